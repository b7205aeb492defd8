"""A book whose pages run. They run again after changes that jupyter-cache does not check: in
the library, the images, the pinned packages or the profile. And you can download each page as
a notebook, which `notebooks.py` writes.
"""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path
from typing import Any

import torch
from fingerprint import EXECUTION, fingerprint
from notebooks import offer_notebook
from sphinx.application import Sphinx
from sphinx.config import Config

from stylelib.devices import cores, find_device
from stylelib.precision import resolve_precision

CACHES_KEPT = 4  # a cache for each state of the library; older ones are removed


def machine() -> str:
    """A short description of the machine, such as "2 cores, x86_64, no GPU, float32"."""
    device = find_device(None)
    gpu = "no GPU" if device.type == "cpu" else f"GPU ({device.type})"
    if device.type == "cuda":
        gpu = torch.cuda.get_device_name(device)
    precision = resolve_precision("auto", device)
    return f"{cores()} cores, {platform.machine()}, {gpu}, {precision}"


def choose_cache(app: Sphinx, config: Config) -> None:
    caches = Path(app.outdir).parent / ".jupyter_cache"
    chosen = caches / fingerprint(Path(app.srcdir), EXECUTION, machine())
    chosen.mkdir(parents=True, exist_ok=True)
    os.utime(chosen)
    folders = [folder for folder in caches.iterdir() if folder.is_dir()]
    for old in sorted(folders, key=lambda folder: folder.stat().st_mtime)[:-CACHES_KEPT]:
        shutil.rmtree(old)
    config["nb_execution_cache_path"] = str(chosen)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("config-inited", choose_cache)
    app.connect("html-page-context", offer_notebook, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
