"""The arguments of the library's functions, checked the same everywhere, without PyTorch.

A number of NumPy's is a number. A string or a truth value is none, and neither is NaN.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence, Sized
from numbers import Integral, Real
from typing import Any, TypeVar

from stylelib.errors import InputError, did_you_mean

__all__ = ["choice", "number", "several", "sides", "whole"]

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
        InputError: it is none.
    """
    value = _scalar(value)
    given = isinstance(value, Integral) and not isinstance(value, bool)
    if not given or value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"from {least} to {most}"
        raise InputError(f"{name} is a whole number, {bounds}, not {value!r}")
    return int(value)


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
        InputError: it is none.
    """
    value = _scalar(value)
    given = isinstance(value, Real) and not isinstance(value, bool)
    inside = (
        given
        and math.isfinite(value)
        and (above is None or value > above)
        and (least is None or value >= least)
        and (most is None or value <= most)
        and (below is None or value < below)
    )
    if not inside:
        bounds = {"above": above, "from": least, "to": most, "below": below}
        said = [f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None]
        raise InputError(f"{' '.join([f'{name} is a finite number', *said])}, not {value!r}")
    return float(value)


def choice(name: str, value: Any, words: Iterable[Word]) -> Word:
    """One of several words.

    Raises:
        InputError: another; the message says which may have been meant.
    """
    known = list(words)
    for word in known:
        if isinstance(value, str) and value == word:
            return word
    listed = " or ".join([", ".join(map(repr, known[:-1])), repr(known[-1])])
    hint = did_you_mean(value, known, "") if isinstance(value, str) else ""
    raise InputError(f"{name} is {listed}, not {value!r}" + (f"; {hint}" if hint else ""))


def several(name: str, values: Any, *, least: int = 1) -> list[Any]:
    """A list of something. A word is none: "cat" would be read letter by letter.

    Raises:
        InputError: it is none, or has fewer than `least` entries.
    """
    listed = isinstance(values, Sequence) or (
        isinstance(values, Sized) and hasattr(values, "tolist")  # an array or a tensor
    )
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
    given = tuple(value) if isinstance(value, tuple | list) else (value,)
    try:
        checked = tuple(whole(name, side, least=least) for side in given)
    except InputError:
        checked = ()
    if len(checked) not in (1, 2):
        raise InputError(
            f"{name} is (height, width) in pixels, or one side alone, each {least} or more; "
            f"got {value!r}"
        )
    return checked
