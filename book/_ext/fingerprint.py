"""A short hash of files, by which the book knows what has changed. It imports nothing heavy."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable
from pathlib import Path

LIBRARY = ["stylelib/**/*.py", "stylelib/**/*.pyi", "stylelib/*.json", "stylelib/samples/*.jpg"]
"""What the cells of a page use beside their own text, as patterns."""
ASKED = {"PROFILE": "quick", "PRECISION": "auto", "DEVICE": ""}
"""What the environment may ask of the library by STYLELIB_..., and what is meant without it."""
EXECUTION = [*LIBRARY, "book/images/**/*.jpg", "requirements.txt"]
"""What decides the outputs of a page, its own text apart."""
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
"""What decides the whole site."""


def fingerprint(root: Path, patterns: Iterable[str], *words: str) -> str:
    """A hash of the files that match, their names, some words, what the environment asks of the
    library, and Python's version.
    """
    asked = [os.environ.get(f"STYLELIB_{name}", usual) for name, usual in ASKED.items()]
    digest = hashlib.sha256(" ".join([*asked, platform.python_version(), *words]).encode())
    found = {path for pattern in patterns for path in root.glob(pattern) if path.is_file()}
    for file in sorted(found):
        contents = hashlib.sha256(file.read_bytes()).hexdigest()
        digest.update(f"{file.relative_to(root).as_posix()}\0{contents}\0".encode())
    return digest.hexdigest()[:16]
