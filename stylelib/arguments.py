"""The arguments of the library's functions, checked the same everywhere, without PyTorch.

NumPy's numbers are numbers. Strings, truth values and NaN are not.
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
    """What an array or a tensor without axes holds, or the value itself."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def whole(name: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """A whole number within bounds.

    Args:
        name: of the argument, for the message.
        value: what was given.
        least: the smallest number allowed.
        most: the largest; None sets no bound.

    Raises:
        InputError: it is not one.
    """
    given = _scalar(value)
    number = isinstance(given, Integral) and not isinstance(given, bool)
    count = int(given) if number else least - 1
    if count < least or (most is not None and count > most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} is a whole number, {bounds}, not {value!r}")
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
    """A finite number within bounds, of which `above` and `below` are not allowed themselves.

    Raises:
        InputError: it is not one.
    """
    given = _scalar(value)
    try:
        x = (
            float(given)
            if isinstance(given, Real) and not isinstance(given, bool)
            else math.nan
        )
    except OverflowError:  # a whole number of over 300 digits
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
        what = f"{name} is a finite number {' and '.join(said)}".rstrip()
        raise InputError(f"{what}, not {value!r}")
    return x


def choice(name: str, value: Any, words: Iterable[Word]) -> Word:
    """One of several words.

    Raises:
        InputError: it is another; the message says which may have been meant.
    """
    known = list(words)
    for word in known:
        if isinstance(value, str) and value == word:
            return word
    listed = " or ".join([", ".join(map(repr, known[:-1])), repr(known[-1])][-len(known) :])
    hint = did_you_mean(value, known, "") if isinstance(value, str) else ""
    raise InputError(f"{name} is {listed}, not {value!r}" + (f"; {hint}" if hint else ""))


def several(name: str, values: Any, *, least: int = 1) -> list[Any]:
    """A list of something. A word is not a list: "cat" would be read letter by letter.

    Raises:
        InputError: it is not one, or has fewer than `least` entries.
    """
    array = hasattr(values, "tolist") and getattr(values, "ndim", 0) > 0  # or a tensor
    listed = isinstance(values, Sequence) or array
    if isinstance(values, str | bytes) or not listed:
        raise InputError(f"{name} is a list, for example [{values!r}], not {values!r}")
    if len(values) < least:
        raise InputError(f"{name} is empty: name at least {'one' if least == 1 else least}")
    return values.tolist() if hasattr(values, "tolist") else list(values)


def sides(name: str, value: Any, *, least: int = 1) -> tuple[int, ...]:
    """The height and width of a picture, or one side alone.

    Raises:
        InputError: neither one nor two whole numbers of at least `least`.
    """
    pair = isinstance(value, tuple | list)
    given = tuple(value) if pair else (value,)
    try:
        checked = tuple(whole(name, side, least=least) for side in given)
    except InputError:
        checked = ()
    if len(checked) != (2 if pair else 1):
        raise InputError(
            f"{name} is (height, width) in pixels, or one side alone, each {least} or more; "
            f"got {value!r}"
        )
    return checked


def check_seed(seed: Any) -> int:
    """A seed that PyTorch's generators can take.

    Raises:
        InputError: it is not one.
    """
    try:
        return whole("seed", seed, least=0, most=2**63 - 1)
    except InputError:
        message = f"seed is a whole number from 0 to 2**63 - 1, not {seed!r}"
        raise InputError(message) from None


def check_function(name: str, value: Any) -> None:
    """Refuse what cannot be called.

    Raises:
        InputError: it cannot.
    """
    if not callable(value):
        raise InputError(f"{name} is a function, not {value!r}")


def check_path(name: str, value: Any) -> Path:
    """The path of a file or a folder.

    Raises:
        InputError: it is none.
    """
    if not isinstance(value, str | os.PathLike):
        raise InputError(f"{name} is a path, not {value!r}")
    return Path(value)


def check_callback(callback: Any) -> None:
    """Refuse a callback that cannot be called. None is no callback.

    Raises:
        InputError: it is neither.
    """
    if callback is not None and not callable(callback):
        raise InputError(f"callback is a function of a step, or None, not {callback!r}")
