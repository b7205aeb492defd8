"""Sphinx extensions for a book whose pages run.

1. Pages run again after changes that jupyter-cache does not check: in the library, the images,
   the pinned packages or the profile.
2. The build reports which page it runs, and stops at the first cell that fails.
3. You can download each page as a notebook, which `notebooks.py` writes.
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

import torch
from docutils import nodes
from fingerprint import EXECUTION, fingerprint
from myst_nb.sphinx_ import NbMetadataCollector
from notebooks import offer_notebook
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

from stylelib.devices import find_device
from stylelib.precision import resolve_precision

CACHES_KEPT = 4  # a cache for each state of the library; older ones are removed
PROGRESS = "book-progress: "  # starts a line of standard output that build_book.py reads


def machine() -> str:
    """A short description of the machine, such as "2 cores, x86_64, no GPU, float32"."""
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
    """Print a line for build_book.py."""
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
    ran = seconds >= (data["runtime"] or 0)  # a cached page takes less time than its run
    tell(ends=docname, seconds=seconds, runtime=data["runtime"], ran=ran)


def begin_rendering(_app: Sphinx, _env: BuildEnvironment) -> None:
    tell(rendering=True)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", choose_cache)
    app.connect("env-before-read-docs", say_what_will_run)
    app.connect("source-read", begin_page)
    app.connect("doctree-read", end_page)
    app.connect("env-updated", begin_rendering)
    app.connect("html-page-context", offer_notebook, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
