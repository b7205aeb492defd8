"""Checks for the arguments of the library's functions. They do not need PyTorch.

NumPy's numbers count as numbers. Strings, booleans and NaN do not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

from stylelib.errors import InputError, did_you_mean

__all__ = [
    "check_callback",
    "check_function",
    "check_path",
    "check_seed",
    "choice",
    "number",
    "several",
    "sides",
    "whole",
]

Word = TypeVar("Word", bound=str)


def _scalar(value: Any) -> Any:
    """The value in an array or tensor without axes, or the value itself."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def whole(name: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Check that a value is a whole number within bounds, and return it as an `int`.

    Args:
        name: the argument's name, for the message.
        value: the value to check.
        least: the smallest number allowed.
        most: the largest number allowed; None sets no bound.

    Raises:
        InputError: the value is not such a number.
    """
    given = _scalar(value)
    number = isinstance(given, Integral) and not isinstance(given, bool)
    count = int(given) if number else least - 1
    if count < least or (most is not None and count > most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} must be a whole number, {bounds}, not {value!r}")
    return count


def number(
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    most: float | None = None,
    below: float | None = None,
) -> float:
    """Check that a value is a finite number within bounds, and return it as a `float`.

    `least` and `most` are allowed values; `above` and `below` are not.

    Raises:
        InputError: the value is not such a number.
    """
    given = _scalar(value)
    try:
        x = (
            float(given)
            if isinstance(given, Real) and not isinstance(given, bool)
            else math.nan
        )
    except OverflowError:  # an integer of more than 300 digits
        x = math.inf
    inside = (
        math.isfinite(x)
        and (above is None or x > above)
        and (least is None or x >= least)
        and (most is None or x <= most)
        and (below is None or x < below)
    )
    if not inside:
        bounds = {"above": above, "of at least": least, "at most": most, "below": below}
        said = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
        what = f"{name} must be a finite number {' and '.join(said)}".rstrip()
        raise InputError(f"{what}, not {value!r}")
    return x


def choice(name: str, value: Any, words: Iterable[Word]) -> Word:
    """Check that a value is one of several words, and return that word.

    Raises:
        InputError: it is not; the message suggests a similar word.
    """
    known = list(words)
    for word in known:
        if isinstance(value, str) and value == word:
            return word
    listed = " or ".join([", ".join(map(repr, known[:-1])), repr(known[-1])][-len(known) :])
    hint = did_you_mean(value, known, "") if isinstance(value, str) else ""
    raise InputError(f"{name} must be {listed}, not {value!r}" + (f"; {hint}" if hint else ""))


def several(name: str, values: Any, *, least: int = 1) -> list[Any]:
    """Check that a value is a list, and return it as a `list`.

    A string is not a list: "cat" would be read letter by letter.

    Raises:
        InputError: it is not a list, or has fewer than `least` entries.
    """
    array = hasattr(values, "tolist") and getattr(values, "ndim", 0) > 0  # or a tensor
    listed = isinstance(values, Sequence) or array
    if isinstance(values, str | bytes) or not listed:
        raise InputError(f"{name} must be a list, for example [{values!r}], not {values!r}")
    if len(values) < least:
        raise InputError(f"{name} is empty: give at least {'one' if least == 1 else least}")
    try:
        return values.tolist() if hasattr(values, "tolist") else list(values)
    except RuntimeError as error:  # a tensor that is sparse, or on the device "meta"
        raise InputError(f"{name} must be a list, not {values!r}") from error


def sides(name: str, value: Any, *, least: int = 1) -> tuple[int, ...]:
    """Check that a value is a height and width in pixels, or one side alone.

    Raises:
        InputError: it is neither one nor two whole numbers of at least `least`.
    """
    pair = isinstance(value, tuple | list)
    given = tuple(value) if pair else (value,)
    try:
        checked = tuple(whole(name, side, least=least) for side in given)
    except InputError:
        checked = ()
    if len(checked) != (2 if pair else 1):
        raise InputError(
            f"{name} must be (height, width) in pixels, or one side alone, each {least} or "
            f"more; got {value!r}"
        )
    return checked


def check_seed(seed: Any) -> int:
    """Check that a value is a seed that PyTorch's generators accept, and return it.

    Raises:
        InputError: it is not.
    """
    try:
        return whole("seed", seed, least=0, most=2**63 - 1)
    except InputError:
        message = f"seed must be a whole number from 0 to 2**63 - 1, not {seed!r}"
        raise InputError(message) from None


def check_function(name: str, value: Any) -> None:
    """Check that a value can be called.

    Raises:
        InputError: it cannot.
    """
    if not callable(value):
        raise InputError(f"{name} must be a function, not {value!r}")


def check_path(name: str, value: Any) -> Path:
    """Check that a value is the path of a file or folder, and return it as a `Path`.

    Raises:
        InputError: it is not a path.
    """
    try:
        usable = isinstance(value, str | os.PathLike) and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # half of a pair of surrogates
        usable = False
    if not usable:
        raise InputError(f"{name} must be a path, not {value!r}")
    return Path(value)


def check_callback(callback: Any) -> None:
    """Check that a callback can be called, or is None for no callback.

    Raises:
        InputError: it is neither.
    """
    if callback is not None and not callable(callback):
        raise InputError(f"callback must be a function of a step, or None, not {callback!r}")
