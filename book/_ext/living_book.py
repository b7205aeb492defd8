"""What this book asks of Sphinx beyond its extensions.

1. Pages are executed again when something they depend on changes that jupyter-cache does not
   look at: the library, the pictures, the pinned packages, the profile.
2. The build says which page it runs, and stops at the first cell that fails.
3. Each page can be downloaded as a notebook in plain Markdown.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import time
from pathlib import Path
from typing import Any

import nbformat
import torch
from docutils import nodes
from fingerprint import EXECUTION, fingerprint
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.directives.code import LiteralIncludeReader
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

from stylelib.devices import find_device
from stylelib.precision import resolve_precision

CACHES_KEPT = 4  # a cache for each state of the library; older ones are removed
PROGRESS = "book-progress: "  # begins a line on standard output that is meant for build_book.py


def machine() -> str:
    """The machine in a few words, such as "2 cores, x86_64, no GPU, float32"."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    device = find_device(None)
    gpu = "no GPU" if device.type == "cpu" else f"GPU ({device.type})"
    if device.type == "cuda":
        gpu = torch.cuda.get_device_name(device)
    precision = str(resolve_precision("auto", device)).removeprefix("torch.")
    return f"{cores} cores, {platform.machine()}, {gpu}, {precision}"


def choose_cache(app: Sphinx, config: Config) -> None:
    caches = Path(app.outdir).parent / ".jupyter_cache"
    chosen = caches / fingerprint(Path(app.srcdir), EXECUTION, machine())
    chosen.mkdir(parents=True, exist_ok=True)
    os.utime(chosen)
    folders = [folder for folder in caches.iterdir() if folder.is_dir()]
    for old in sorted(folders, key=lambda folder: folder.stat().st_mtime)[:-CACHES_KEPT]:
        shutil.rmtree(old)
    config["nb_execution_cache_path"] = str(chosen)


def tell(**event: Any) -> None:
    """A line for build_book.py."""
    print(PROGRESS + json.dumps(event), flush=True)


def say_what_will_run(app: Sphinx, _env: BuildEnvironment, docnames: list[str]) -> None:
    docnames.sort()
    texts = {name: Path(app.env.doc2path(name)).read_text("utf-8") for name in docnames}
    tell(pages=[name for name in docnames if "```{code-cell}" in texts[name]])


def begin_page(app: Sphinx, docname: str, source: list[str]) -> None:
    title = re.search(r"^# (.+)$", source[0], flags=re.MULTILINE)
    app.env.temp_data["begun"] = time.perf_counter()
    tell(begins=docname, title=title[1] if title else docname)


def end_page(app: Sphinx, _doctree: nodes.document) -> None:
    docname = app.env.docname
    data = NbMetadataCollector.get_exec_data(app.env, docname)
    if not data:
        return
    if data["traceback"]:
        tell(failed=docname, traceback=data["traceback"])
        raise ExtensionError(f"{docname}: a cell failed")
    seconds = time.perf_counter() - app.env.temp_data["begun"]
    ran = seconds >= (data["runtime"] or 0)  # the cache answers sooner
    tell(ends=docname, seconds=seconds, runtime=data["runtime"], ran=ran)


def begin_rendering(_app: Sphinx, _env: BuildEnvironment) -> None:
    tell(rendering=True)


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
        if name == "solution-end":
            return ""
        known = {"exercise": "Exercise", "solution": "Solution", "solution-start": "Solution"}
        heading = known.get(name, argument or name.capitalize())
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
    app.connect("env-before-read-docs", say_what_will_run)
    app.connect("source-read", begin_page)
    app.connect("doctree-read", end_page)
    app.connect("env-updated", begin_rendering)
    app.connect("html-page-context", offer_notebook, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
