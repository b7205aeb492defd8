"""Files of plain data, written whole and read without running code (chapter 31).

They are archives of `torch.save`.
"""

from __future__ import annotations

import os
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch import Tensor

from stylelib.errors import FileError, InputError
from stylelib.files import written_whole

__all__ = ["read_plain", "write_plain"]


def write_plain(path: Path, content: Any, name: str, prefix: str) -> None:
    """Write plain data to a file, whole or not at all.

    Args:
        path: of the file.
        content: numbers, texts, tensors, and lists and mappings of them.
        name: of the content, for the message.
        prefix: with which the name of the temporary file begins.

    Raises:
        FileError: the file cannot be written. An older one is still there.
        InputError: the content is of another kind.
    """
    check_plain(content, name)
    with written_whole(path, prefix) as stream:
        target = _Patient(stream)
        torch.save(content, cast("IO[bytes]", target))  # it asks for no more
        if target.error is not None:
            raise target.error


class _Patient:
    """A stream that keeps the first OSError, and drops all that is written after it.

    An exception from within `torch.save` can end the process.
    """

    def __init__(self, stream: IO[bytes]) -> None:
        self.stream = stream
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        """Write some bytes."""
        if self.error is None:
            try:
                self.stream.write(data)
            except OSError as error:
                self.error = error
        return memoryview(data).nbytes

    def flush(self) -> None:
        """Nothing: `written_whole` does it."""


def check_plain(value: Any, name: str) -> None:
    """Check that a value is plain: a number, a text, a tensor, or a list or mapping of them.

    Raises:
        InputError: it is not.
    """
    if isinstance(value, dict):
        for each in value.items():
            check_plain(each, name)
    elif isinstance(value, list | tuple):
        for each in value:
            check_plain(each, name)
    elif not (isinstance(value, Tensor) or type(value) in (type(None), bool, int, float, str)):
        raise InputError(
            f"{name} cannot be written: it has a {type(value).__name__}, not only numbers, "
            "texts, tensors, and lists and mappings of them"
        )


def read_plain(path: Path) -> Any:
    """The content of a file of `write_plain`. No code is run, whatever is in the file.

    Raises:
        FileError: the file cannot be read, is damaged, or is another kind of file.
    """
    if not os.path.isfile(path):
        raise FileError(f"'{path}' is a directory or a device, not a file")
    try:
        check_archive(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileError:
        raise
    except PermissionError as error:
        raise FileError(f"cannot read '{path}': {error.strerror}") from error
    except Exception as error:  # zipfile and PyTorch raise many kinds
        raise FileError(f"'{path}' is damaged, or another kind of file") from error


def check_archive(path: Path) -> None:
    """Check an archive of PyTorch's. PyTorch itself does not look at the checksums.

    Raises:
        FileError: it is empty, damaged, or unpacks to more than it is.
    """
    size = path.stat().st_size
    if size == 0:
        raise FileError(f"'{path}' is empty")
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            raise FileError(f"'{path}' is another kind of file")
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
        if not stored or sum(member.file_size for member in members) > size:
            raise FileError(f"'{path}' is another kind of file: it unpacks to more")
        if archive.testzip() is not None:
            raise FileError(f"'{path}' is damaged")
