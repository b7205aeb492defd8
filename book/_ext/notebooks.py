"""A page as a notebook that runs in an empty folder.

    python book/_ext/notebooks.py lab              # all of them, for `make lab`
    python book/_ext/notebooks.py lab 11-texture   # some

Its text is plain Markdown, its drawings and the images that it loads are in the file, and its
solutions are folded. The cell below the title installs the library where it is missing.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from plain_markdown import LABEL, Directive, Page, blocks
from reading import spell_seconds, times_of
from sphinx.application import Sphinx

from stylelib._version import __version__

BOOK = Path(__file__).resolve().parent.parent
WHEEL = f"stylelib-{__version__}-py3-none-any.whl"
COLLAPSED = {"heading_collapsed": True, "jp-MarkdownHeadingCollapsed": True}
"""Of a heading: what stands below it is folded, in Jupyter and in JupyterLab."""
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}
"""Of a cell: its code is folded, in JupyterLab and in Colab."""
FOLDING_TAGS = {"hide-input", "remove-input", "hide-cell", "remove-cell"}
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}

INSTALL = """\
# Installs what is missing, for example on Colab. This cell is not part of the chapter.
import importlib.util

if importlib.util.find_spec("stylelib") is None:
    %pip install --quiet "{wheel}"

from stylelib.watching import watch

watch()  # while a cell runs, it shows the image and the losses
"""
UNPACK = """\
#@title The images that this chapter loads
# Writes them beside this notebook. Credits: see the page "Credits" of the book.
import base64
from pathlib import Path

for name, data in {{
{images}
}}.items():
    if not Path(name).exists():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_bytes(base64.b64decode(data))
"""


def has_code(page: Path) -> bool:
    return "```{code-cell}" in page.read_text("utf-8")


def usual_time(page: str) -> str:
    """How long a page has taken where its time was measured."""
    measured = json.loads((BOOK / "page_seconds.json").read_text("utf-8"))
    seconds = measured.get(f"book/{page}")
    return f"{spell_seconds(seconds)} to run" if seconds else ""


def notebook_of(
    path: Path,
    link: Callable[[str], str | None],
    site: str = "",
    times: Callable[[str], str] = usual_time,
) -> nbformat.NotebookNode:
    """The notebook of a page.

    Args:
        path: the page, in MyST.
        link: the address of another page by its name, None where there is none.
        times: how long a page takes, in words.
        site: where the book is published, and its wheel beside it. Without it the wheel is
            looked for beside the notebook.
    """
    page = Page.read(path, link, times)
    cells = list(translated(page))
    cells[1:1] = list(setup_cells(path, "\n".join(each.source for each in cells), site))
    if page.cited:
        cells.append(new_markdown_cell(page.references()))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number:03}"  # the same at each build
    shut = [cell.id for cell in cells if "heading_collapsed" in cell.metadata]
    return new_notebook(
        cells=cells,
        metadata={
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
            "colab": {"collapsed_sections": shut},
        },
    )


def translated(page: Page) -> Iterator[nbformat.NotebookNode]:
    """The cells of a page, without what is added to them."""
    for cell in jupytext.read(page.path, fmt="md:myst").cells:
        if cell.cell_type != "code":
            yield from text_cells(page, cell.source)
            continue
        tags = set(cell.metadata.get("tags", []))
        kept = sorted(tags - FOLDING_TAGS)
        metadata = dict(FOLDED if tags & FOLDING_TAGS else {}) | (
            {"tags": kept} if kept else {}
        )
        yield new_code_cell(cell.source, metadata=metadata)
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if "name" in figure:
            number = page.figures[figure["name"]]
            caption = page.inline(figure["caption"])
            yield new_markdown_cell(f"**Figure {number}.** {caption}")


def text_cells(page: Page, source: str) -> Iterator[nbformat.NotebookNode]:
    """The cells of a text: the title, exercises, solutions and drawings stand alone."""
    waiting: list[str] = []

    def flushed() -> Iterator[nbformat.NotebookNode]:
        text = "\n\n".join(filter(None, waiting))
        waiting.clear()
        if text:
            yield new_markdown_cell(text)

    after_solution = False
    for block in blocks(source):
        if after_solution and not begins_section(block):
            raise ValueError(f"{page.path.name}: no heading or exercise ends a folded solution")
        after_solution = False
        if isinstance(block, str):
            text = page.inline(block).strip()
            if text.startswith("# "):
                title, _, text = text.partition("\n")
                yield new_markdown_cell(title)
            waiting.append(text.strip())
        elif block.name == "solution-start":
            yield from flushed()
            title = f"#### Solution to exercise {page.exercises[block.argument]}"
            yield new_markdown_cell(title, metadata=dict(COLLAPSED))
        elif block.name == "solution-end":
            yield from flushed()
            after_solution = True
        elif block.name in ("exercise", "solution", "figure"):
            yield from flushed()
            yield new_markdown_cell(page.directive(block))
        else:
            waiting.append(page.directive(block))
    yield from flushed()


def begins_section(block: str | Directive) -> bool:
    """Whether a block ends what is folded above it."""
    if isinstance(block, str):
        return re.match(r"#{1,4} ", LABEL.sub("", block)) is not None
    return block.name == "exercise"


def setup_cells(path: Path, text: str, site: str) -> Iterator[nbformat.NotebookNode]:
    """What stands below the title: the installation, and the images that the text loads."""
    wheel = f"stylelib[notebooks] @ {site}/{WHEEL}" if site else f"./{WHEEL}[notebooks]"
    yield new_code_cell(INSTALL.format(wheel=wheel))
    files = loaded_files(path, text)
    if files:
        lines = [
            f'    "{file.relative_to(path.parent).as_posix()}":\n'
            f'        "{base64.b64encode(file.read_bytes()).decode()}",'
            for file in files
        ]
        yield new_code_cell(UNPACK.format(images="\n".join(lines)), metadata=dict(FOLDED))


def loaded_files(path: Path, text: str) -> list[Path]:
    """The files below `images` whose names, or the name of whose folder, a text says."""
    images = path.parent / "images"
    if "images/" not in text:
        return []
    return [
        file
        for file in sorted(images.rglob("*.*"))
        if file.suffix in (".jpg", ".png", ".json")
        and (
            file.stem in text if file.parent == images else f"images/{file.parent.name}" in text
        )
    ]


# --- for whom


def offer_notebook(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: Any
) -> None:
    """Write the page as a notebook, and let the theme offer it for download."""
    path = Path(app.srcdir) / f"{pagename}.md"
    if app.builder.format != "html" or not path.exists() or not has_code(path):
        return
    site = os.environ.get("SITE_URL", "").rstrip("/")
    notebook = notebook_of(
        path,
        lambda page: f"{site}/book/{page}.html" if site else None,
        site,
        lambda page: times_of(app.env, f"{path.parent.name}/{page}"),
    )
    target = Path(app.outdir) / "_sources" / f"{pagename}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    context["ipynb_source"] = f"{pagename}.ipynb"


def write_all(folder: Path, chosen: Sequence[str] = ()) -> None:
    """Write the notebooks of all pages, or of the chosen ones, into a folder, with links from
    one to another. A file whose cells somebody has changed is left alone.
    """
    pages = [page for page in sorted(BOOK.glob("*.md")) if has_code(page)]
    names = {page.stem for page in pages if not chosen or page.stem in chosen}
    folder.mkdir(parents=True, exist_ok=True)
    for page in (each for each in pages if each.stem in names):
        target = folder / f"{page.stem}.ipynb"
        notebook = notebook_of(page, lambda name: f"{name}.ipynb" if name in names else None)
        notebook.metadata["written"] = digest(notebook)
        if target.exists():
            found = nbformat.read(target, as_version=4)
            written = found.metadata.get("written")
            if written == notebook.metadata["written"]:
                continue
            if written != digest(found):
                print(f"{target} has been changed and is left alone; the chapter is newer.")
                continue
        nbformat.write(notebook, target)


def digest(notebook: nbformat.NotebookNode) -> str:
    """A hash of what stands in the cells, outputs apart."""
    text = "\0".join(cell.source for cell in notebook.cells)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


if __name__ == "__main__":
    write_all(Path(sys.argv[1]), sys.argv[2:])
