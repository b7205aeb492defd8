"""What this book asks of Sphinx beyond its extensions.

1. Pages are executed again when something they depend on changes that jupyter-cache does not
   look at: the library, the pictures, the pinned packages, the profile.
2. Each page says how long it took to run, as measured when it ran.
3. Each page can be downloaded as a notebook in plain Markdown.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import torch
from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.directives.code import LiteralIncludeReader

CACHES_KEPT = 4  # a cache for each state of the library; older ones are removed


def fingerprint(root: Path) -> str:
    """A short hash of everything that decides what a page shows, its own text apart."""
    files = [
        *(root / "stylelib").rglob("*.py"),
        *(root / "stylelib").rglob("*.json"),
        *(root / "stylelib" / "samples").glob("*.jpg"),
        *(root / "book" / "images").rglob("*.jpg"),
        root / "requirements.txt",
    ]
    profile = os.environ.get("STYLELIB_PROFILE", "quick")
    digest = hashlib.sha256(f"{profile} {platform.python_version()} {machine()}".encode())
    for file in sorted(files):
        digest.update(
            f"{file.relative_to(root)}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode()
        )
    return digest.hexdigest()[:16]


def machine() -> str:
    """The machine in a few words, such as "2 cores, x86_64, no GPU"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{cores} cores, {platform.machine()}, {gpu}"


def choose_cache(app: Sphinx, config: Config) -> None:
    caches = Path(app.outdir).parent / ".jupyter_cache"
    chosen = caches / fingerprint(Path(app.srcdir))
    chosen.mkdir(parents=True, exist_ok=True)
    os.utime(chosen)
    folders = [folder for folder in caches.iterdir() if folder.is_dir()]
    for old in sorted(folders, key=lambda folder: folder.stat().st_mtime)[:-CACHES_KEPT]:
        shutil.rmtree(old)
    config["nb_execution_cache_path"] = str(chosen)


def spell_seconds(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.1f} min"


def say_run_time(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put the measured run time below the cell, or cells, under the title that make its
    picture.
    """
    data = NbMetadataCollector.get_exec_data(app.env, docname)
    title = next(iter(doctree.findall(nodes.title)), None)
    if not data or not data["runtime"] or title is None:
        return
    profile = os.environ.get("STYLELIB_PROFILE", "quick")
    text = (
        f"Time to run this page: {spell_seconds(data['runtime'])}, measured when it was built "
        f"({machine()}; {profile} profile)."
    )
    line = nodes.paragraph("", "", nodes.emphasis(text, text), classes=["run-time"])
    section = title.parent
    at = section.index(title) + 1
    while at < len(section) and "cell" in section[at].get("classes", []):
        at += 1
    section.insert(at, line)


def plain_markdown(text: str, page: Path, config: Config) -> str:
    """The MyST of a page as Markdown that any notebook shows: directives become text, pictures
    or code.
    """

    def directive(match: re.Match[str]) -> str:
        name, argument, body = match["name"], match["argument"].strip(), match["body"]
        options = dict(re.findall(r"^:([\w-]+):[ ]*(.*)$", body, flags=re.MULTILINE))
        content = re.sub(r"\A(?::[\w-]+:.*\n)+", "", body).strip()
        if name == "literalinclude":
            wanted = {key: value.strip('"') for key, value in options.items()}
            source, _ = LiteralIncludeReader(str(page.parent / argument), wanted, config).read()
            return f"```python\n{source}```\n"
        if name in ("figure", "image"):
            return f"![{options.get('alt', '')}]({argument})\n\n{content}\n"
        heading = {"exercise": "Exercise", "solution": "Solution"}.get(
            name, argument or name.capitalize()
        )
        return f"**{heading}**\n\n{content}\n"

    fence = (
        r"^(?P<fence>`{3,}|:{3,})\{(?P<name>[\w-]+)\}(?P<argument>.*)\n"
        r"(?P<body>(?:.*\n)*?)(?P=fence)[ ]*$\n?"
    )
    while re.search(fence, text + "\n", flags=re.MULTILINE):
        text = re.sub(fence, directive, text + "\n", flags=re.MULTILINE)
    text = re.sub(r"^\([\w-]+\)=\n", "", text, flags=re.MULTILINE)  # labels
    text = re.sub(r"\{cite(?::\w)?\}`([^`]+)`", r"[\1]", text)
    text = re.sub(r"\{[\w:-]+\}`([^`<]+?) ?<[^`>]*>`", r"\1", text)
    return re.sub(r"\{[\w:-]+\}`([^`]+)`", r"`\1`", text)


def offer_notebook(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: Any
) -> None:
    """Write the page as a notebook, ready to be run, and let the theme offer it for
    download.
    """
    executed = Path(app.outdir).parent / "jupyter_execute" / f"{pagename}.ipynb"
    if not executed.exists() or app.builder.format != "html":
        return
    notebook = nbformat.read(executed, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = plain_markdown(
                cell.source, Path(app.srcdir) / f"{pagename}.md", app.config
            )
    target = Path(app.outdir) / "_sources" / f"{pagename}.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, target)
    context["ipynb_source"] = f"{pagename}.ipynb"


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", choose_cache)
    app.connect("doctree-resolved", say_run_time)
    app.connect("html-page-context", offer_notebook, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
