"""The errors stylelib raises on purpose. `except StylelibError` catches them all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from stylelib.optimization import Record

__all__ = ["DivergenceError", "FileError", "InputError", "StylelibError"]


class StylelibError(Exception):
    """The family: every error below is one of these."""


class InputError(StylelibError, ValueError):
    """An argument that cannot be right; the message names the value and what would be."""


class FileError(StylelibError, OSError):
    """A file (picture or weights) that cannot be read, fetched or written."""


class DivergenceError(StylelibError, ArithmeticError):
    """The loss or the picture is no longer finite.

    Attributes:
        picture: the last picture whose loss was finite (or the first of all), of the shape that
            was optimised.
        history: one `Record` for each step before the one that failed.
    """

    def __init__(self, message: str, picture: Tensor, history: list[Record]) -> None:
        super().__init__(message)
        self.picture = picture
        self.history = history
