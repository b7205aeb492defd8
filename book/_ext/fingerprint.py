"""A short hash of files that tells what has changed. This module imports nothing heavy."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from pathlib import Path

LIBRARY = ["stylelib/**/*.py", "stylelib/**/*.pyi", "stylelib/*.json", "stylelib/samples/*.jpg"]
"""Patterns of the library's files, which the cells of every page use."""
ASKED = {"PROFILE": "auto", "PRECISION": "auto", "DEVICE": ""}
"""The variables STYLELIB_... that change the library's behavior, and their defaults."""
EXECUTION = [*LIBRARY, "book/images/**/*.jpg", "requirements.txt"]
"""Patterns of all files that affect the outputs of a page, besides the page itself."""
SITE = [
    *EXECUTION,
    "book/*",
    "book/_ext/*.py",
    "book/_extra/**/*",
    "book/_static/**/*",
    "book/_templates/**/*",
    "book/images/**/*",
    "_config.yml",
    "_toc.yml",
    "pyproject.toml",
    "tools/build_book.py",
    "tools/check_site.py",
]
"""Patterns of all files that affect the site."""


def fingerprint(root: Path, patterns: Iterable[str], *words: str) -> str:
    """A hash of the matching files, their names, the given words, the variables STYLELIB_...
    and Python's version.
    """
    asked = [os.environ.get(f"STYLELIB_{name}", usual) for name, usual in ASKED.items()]
    digest = hashlib.sha256(" ".join([*asked, platform.python_version(), *words]).encode())
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    for file in sorted(found):
        contents = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(root).as_posix()}\0{contents}\0".encode())
    return digest.hexdigest()[:16]
