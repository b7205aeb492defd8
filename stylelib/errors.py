"""The errors stylelib raises on purpose. `except StylelibError` catches them all."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from stylelib.records import Record

__all__ = ["DivergenceError", "FileError", "InputError", "Interrupted", "StylelibError"]


class StylelibError(Exception):
    """The family: every error below is one of these."""


class InputError(StylelibError, ValueError):
    """An argument that cannot be right; the message names the value and what would be."""


class FileError(StylelibError, OSError):
    """A file (picture or weights) that cannot be read, fetched or written."""


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The end of a message on an unknown word: the known one it resembles, or `otherwise`."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else otherwise


class DivergenceError(StylelibError, ArithmeticError):
    """The loss or the picture is no longer finite.

    Attributes:
        picture: the last picture whose loss was finite (or the first of all), of the shape that
            was optimized: a tensor, or an array where NumPy computed it.
        history: one `Record` for each step before the one that failed.
    """

    def __init__(self, message: str, picture: Any, history: list[Record]) -> None:
        super().__init__(message)
        self.picture = picture
        self.history = history


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, after at least one step. It ends a loop over pictures as Ctrl-C ends any loop.

    Attributes:
        result: what the function would have returned, made of the steps so far; its
            `.interrupted` is true.
    """

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result


Given = TypeVar("Given")


def or_interrupted(results: Given) -> Given:
    """A result or a list of them. If Ctrl-C ended them, raise `Interrupted`, which carries
    them, or Python's own exception if no step was made.
    """
    several: list[Any] = results if isinstance(results, list) else [results]
    if not any(each.interrupted for each in several):
        return results
    made = max(len(each.history) for each in several)
    if made == 0:
        raise KeyboardInterrupt
    raise Interrupted(
        f"stopped by Ctrl-C after {made} steps; the picture so far is in this exception's "
        ".result",
        results,
    )


def alone(make: Callable[[], list[Given]]) -> Given:
    """The one result in the list that `make` gives. `Interrupted` carries it alone, too."""
    try:
        (result,) = make()
    except Interrupted as stop:
        raise Interrupted(str(stop), stop.result[0]) from stop
    return result
