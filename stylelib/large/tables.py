"""Tables of jobs: CSV files with a row for each image to paint (chapter 31)."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

from stylelib.errors import FileError, InputError

__all__ = ["read_table", "value_of"]

PATHS = ("content", "style", "init")
"""Columns that name files, which are looked for from the table's folder on."""


def read_table(path: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file with a header, without the cells that are empty.

    Raises:
        FileError: the file cannot be read.
        InputError: it is not a table with the column "content".
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="surrogateescape")
    except (OSError, ValueError) as error:
        raise FileError(f"cannot read the table {str(path)!r}: {error}") from error
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise InputError(
            f"'{path}' is not a table of comma-separated values: {error}"
        ) from error
    names = [name.strip().lower().replace("-", "_") for name in rows[0]] if rows else []
    if "content" not in names:
        raise InputError(f"'{path}' has no column 'content': the first line names the columns")
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise InputError(f"'{path}' has two columns '{twice}'")
    return [_read_row(names, row, path.parent) for row in rows[1:] if any(row)]


def _read_row(names: list[str], cells: list[str], folder: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"content": ""}
    for index, cell in enumerate(cells):
        text = cell.strip()
        if not text:
            continue
        name = names[index] if index < len(names) else f"column {index + 1}"
        if name in PATHS:
            row[name] = text if name == "init" and text.isalpha() else str(folder / text)
        else:
            row[name] = value_of(name, text)
    return row


def value_of(name: str, text: str) -> Any:
    """The value of a setting as it is written in a table.

    Example:
        >>> value_of("image_shape", "200x300"), value_of("shares", "content=0.4, style=0.6")
        ((200, 300), {'content': 0.4, 'style': 0.6})
        >>> value_of("style_layers", "conv1_1"), value_of("steps", "50")
        (['conv1_1'], 50)
    """
    if "=" in text:
        parts = [part.partition("=") for part in text.split(",")]
        return {key.strip(): _scalar(value.strip()) for key, _, value in parts}
    if re.fullmatch(r"\d{1,9}\s*x\s*\d{1,9}", text):
        height, _, width = text.partition("x")
        return int(height), int(width)
    if "," in text or name.endswith("_layers"):
        return [_scalar(part.strip()) for part in text.split(",")]
    return _scalar(text)


def _scalar(text: str) -> Any:
    words = {"yes": True, "true": True, "no": False, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
