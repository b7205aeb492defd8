"""The folder of a batch: what is in it, and what may be written there (chapter 31).

Names of files are made here, from safe characters only. Nothing is written outside the folder,
over a file of yours, or over the image of another job.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from stylelib.arguments import check_path
from stylelib.errors import FileError, InputError
from stylelib.files import FORMATS, make_folder, write_whole
from stylelib.results import json_of

__all__ = ["THUMBNAILS", "Folder", "safe_stem"]

THUMBNAILS = "thumbnails"
CHECKPOINTS = "checkpoints"
LONGEST = 80
"""The most bytes of a safe stem: two of them, a hash and the endings fit in 255."""


def safe_stem(name: str) -> str:
    r"""The name of a file without folders and ending, of letters, digits, "-" and "_" alone.

    Example:
        >>> safe_stem("photos/My cat (2).jpg"), safe_stem("../../.."), safe_stem("\0")
        ('My-cat-2', 'image', 'image')
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    stem = last.rpartition(".")[0] or last
    kept = re.sub(r"[^\w-]+", "-", stem).strip("-_")
    short = kept.encode()[:LONGEST].decode(errors="ignore")
    return short or "image"


class Folder:
    """A folder for images with their settings beside them.

    Args:
        path: the folder. It is made if it does not exist.
        ending: of the images.
    """

    def __init__(self, path: str | os.PathLike[str], ending: str) -> None:
        if str(ending).lower() not in FORMATS:
            raise InputError(f"ending must be one of {', '.join(FORMATS)}, not {ending!r}")
        self.path, self.ending = check_path("folder", path), ending.lower()
        make_folder(self.path)
        self._claimed: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def name_for(self, stem: str, key: str, *, again: bool = False) -> str:
        """The name of a job's image: the stem, with a hash if that is taken.

        The same job has the same name, whatever the stem.

        Args:
            stem: a safe one.
            key: what identifies the job.
            again: whether it may replace another job's image. Then each call has its own.

        Raises:
            FileError: both names are taken.
        """
        if key in self._names and not again:
            return self._names[key]
        names = [f"{stem}{self.ending}", f"{stem}-{key[:12]}{self.ending}"]
        for name in names:
            if self.has(name, key) and self._claim(name, key):
                return name
        for name in names:
            free = self._is_free(name, key) or (again and self.is_ours(name))
            if free and self._claim(name, key):
                return name
        raise FileError(f"'{names[-1]}' in '{self.path}' is not of a batch")

    def _claim(self, name: str, key: str) -> bool:
        """Whether a name is this job's in this batch; letters count alike, large or small."""
        if self._claimed.setdefault(name.casefold(), key) != key:
            return False
        self._names[key] = name
        return True

    def has(self, name: str, key: str) -> bool:
        """Whether a job's image is there, finished."""
        image, record = self.path / name, self.record_of(name)
        if record.get("job", {}).get("key") != key or image.is_symlink():
            return False
        with contextlib.suppress(OSError):
            return bool(image.stat().st_size == record["job"].get("bytes"))
        return False

    def record_of(self, name: str) -> dict[str, Any]:
        """The settings beside an image; none if there are none."""
        path = self.path / f"{name}.json"
        if path.is_symlink():
            return {}
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        ours = isinstance(record, dict) and isinstance(record.get("job"), dict)
        return record if ours else {}

    def _is_free(self, name: str, key: str) -> bool:
        settings = f"{name}.json"
        if os.path.lexists(self.path / settings):
            return self.is_ours(name) and self.record_of(name)["job"].get("key") == key
        return not os.path.lexists(self.path / name)

    def is_ours(self, name: str) -> bool:
        """Whether a name is that of an image of some job, as far as its settings tell."""
        return bool(self.record_of(name)) and not (self.path / name).is_symlink()

    def put(self, name: str, image: bytes, record: Mapping[str, Any], small: bytes) -> None:
        """Write an image, its settings and its thumbnail. The image comes last."""
        job = {**record["job"], "bytes": len(image)}
        self.write(f"{THUMBNAILS}/{name}.jpg", small)
        self.write(f"{name}.json", json_of({**record, "job": job}))
        self.write(name, image)

    def write(self, name: str, data: bytes) -> Path:
        """Write a file of this folder, whole or not at all.

        Raises:
            FileError: it cannot be written, or a link leads out of the folder.
        """
        path = self.path / name
        if path.parent != self.path:
            self._make(path.parent)
        return write_whole(_no_link(path), data)

    def append(self, name: str, line: bytes) -> None:
        """Add a line to a file. A line that was cut short before stays one of its own."""
        path = _no_link(self.path / name)
        try:
            with path.open("a+b") as stream:
                if stream.tell():
                    stream.seek(-1, os.SEEK_END)
                    line = line if stream.read(1) == b"\n" else b"\n" + line
                stream.write(line + b"\n")
        except OSError as error:
            raise FileError(f"cannot write '{path}': {error.strerror or error}") from error

    def checkpoint(self, name: str, key: str) -> Path:
        """The file that keeps the state of a job's run while its image `name` is made."""
        self._make(self.path / CHECKPOINTS)
        return _no_link(self.path / CHECKPOINTS / f"{name}-{key[:12]}.checkpoint")

    def _make(self, folder: Path) -> None:
        make_folder(_no_link(folder))


def _no_link(path: Path) -> Path:
    """A path, unless it is that of a link."""
    if path.is_symlink():
        raise FileError(f"'{path}' is a link; nothing is written through it")
    return path
