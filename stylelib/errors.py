"""The errors that stylelib raises on purpose. `except StylelibError` catches them all."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from stylelib.records import Record

__all__ = [
    "DivergenceError",
    "FileError",
    "InputError",
    "Interrupted",
    "MissingExtraError",
    "StylelibError",
]


class StylelibError(Exception):
    """The base class of the library's errors."""


class InputError(StylelibError, ValueError):
    """An argument that cannot be right. The message names the value and what would be right."""


class FileError(StylelibError, OSError):
    """A file (an image or weights) that cannot be read, downloaded or written."""


class MissingExtraError(StylelibError, ImportError):
    """A package that comes with one of stylelib's extras is not installed."""


def missing(package: str, extra: str) -> MissingExtraError:
    """The error for a missing package, with the command that installs it.

    Example:
        >>> print(missing("matplotlib", "figures"))
        this needs the package 'matplotlib'; install it: pip install "stylelib[figures]"
    """
    return MissingExtraError(
        f"this needs the package '{package}'; install it: pip install \"stylelib[{extra}]\""
    )


def did_you_mean(word: str, known: Iterable[str], otherwise: str) -> str:
    """The end of a message about an unknown word: a similar known word, or `otherwise`."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f"did you mean '{close[0]}'?" if close else otherwise


class DivergenceError(StylelibError, ArithmeticError):
    """The loss or the image is no longer finite.

    Attributes:
        picture: the last image with a finite loss (or the initial image), in the shape that was
            optimized. It is a tensor, or an array if NumPy computed it.
        history: a `Record` of each step before the one that failed.
    """

    def __init__(self, message: str, picture: Any, history: list[Record]) -> None:
        super().__init__(message)
        self.picture = picture
        self.history = history


class Interrupted(KeyboardInterrupt):
    """Ctrl-C after at least one step. It also ends a loop over several images.

    Attributes:
        result: what the function would have returned if it had ended after the steps so far;
            its `.interrupted` is true.
    """

    def __init__(self, message: str, result: Any) -> None:
        super().__init__(message)
        self.result = result


Given = TypeVar("Given")


def or_interrupted(results: Given) -> Given:
    """Return a result or a list of results, unless Ctrl-C ended the run.

    Then raise `Interrupted`, which carries them, or `KeyboardInterrupt` if no step was made.
    """
    several: list[Any] = results if isinstance(results, list) else [results]
    if not any(each.interrupted for each in several):
        return results
    made = max(len(each.history) for each in several)
    if made == 0:
        raise KeyboardInterrupt
    raise Interrupted(
        f"stopped by Ctrl-C after {made} steps; the image so far is in this exception's "
        ".result",
        results,
    )


def alone(make: Callable[[], list[Given]]) -> Given:
    """The one result in the list that `make` returns. `Interrupted` carries it alone, too."""
    try:
        (result,) = make()
    except Interrupted as stop:
        raise Interrupted(str(stop), stop.result[0]) from stop
    return result
