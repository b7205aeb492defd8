"""How many times the right values are yours, and what that number may be."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from stylelib.check.values import Values, near

__all__ = ["Reason", "explain", "ratios", "sizes_of"]


class Reason(NamedTuple):
    """A likely mistake: its short name, and a sentence about "{Yours}"."""

    mistake: str
    sentence: str


_CONSTANTS = {
    2.0: "Is a factor of 1/2 missing, or is something counted twice?",
    0.5: "Is there a factor of 1/2 too many, or is one half of it missing?",
    -1.0: "Its sign is wrong, for example because a difference is taken the other way around.",
    4.0: "Is a factor of 1/2 missing before the square?",
    0.25: "Is there a factor of 1/2 too many before a square, or a factor of 1/4?",
    3.0: "Is it added up over three color channels instead of averaged?",
    1 / 3: "Is it averaged over three color channels instead of added up?",
    255.0: "Are gray levels 0 to 255 used instead of values from 0 to 1?",
    1 / 255: "Is it divided by 255, although the values are already from 0 to 1?",
    10.0: "Is a loss weight missing or used twice?",
    0.1: "Is a loss weight missing or used twice?",
}
_QUANTITIES = {
    "N": ("images", "the number of images in the batch"),
    "C": ("channels", "the number of channels"),
    "H": ("height", "the height"),
    "W": ("width", "the width"),
    "HW": ("positions", "the number of positions, height times width"),
    "CHW": ("values", "the number of values, channels times height times width"),
    "NCHW": ("all_values", "the number of all values (it is a sum instead of a mean)"),
    "NC": ("images_and_channels", "the number of images times channels"),
    "NHW": ("images_and_positions", "the number of images times positions"),
    "CC": ("channels_squared", "the square of the number of channels"),
    "NCC": ("entries", "the number of entries of the Gram matrices"),
    "HWHW": ("positions_squared", "the square of the number of positions"),
    "CHWCHW": ("values_squared", "the square of the number of values"),
    "CW": ("channels_and_width", "the number of channels times the width"),
    "CH": ("channels_and_height", "the number of channels times the height"),
}
_EXTRA = {1.0: "", 2.0: "twice ", 0.5: "half of ", -1.0: "the negative of "}


def sizes_of(arguments: Sequence[Any]) -> dict[str, float]:
    """Sizes that a function may divide by: those of the first array (..., C, H, W) given."""
    for argument in arguments:
        first = argument[0] if isinstance(argument, list | tuple) and argument else argument
        shape = tuple(getattr(first, "shape", ()))
        if len(shape) in {3, 4}:
            letters = dict(zip("NCHW", (1, *shape)[-4:], strict=True))
            return {
                word: float(math.prod(letters[letter] for letter in word))
                for word in _QUANTITIES
            }
    return {}


def ratios(
    yours: Sequence[Values], expected: Sequence[Values], tolerance: float
) -> list[float] | None:
    """For each call the number k with yours = k * expected, if there is one for all calls.

    A single number for a single call is no evidence: it always has a ratio.
    """
    found = []
    for y, e in zip(yours, expected, strict=True):
        if y.shape != e.shape or not (np.isfinite(y).all() and np.isfinite(e).all()):
            return None
        size = float((e * e).sum())
        k = float((y * e).sum()) / size if size else 1.0
        if abs(k) < 1e-12 or not near(y, k * e, tolerance):
            return None
        found.append(k)
    return found if sum(e.size for e in expected) > 1 else None


def explain(
    factors: Sequence[float],
    sizes: Sequence[dict[str, float]],
    tolerance: float,
    *,
    fractions: bool = True,
) -> Reason | None:
    """What a factor may be: a constant, or sizes of the input, the same for all calls.

    Args:
        factors: one for each call.
        sizes: of each call's input (`sizes_of`).
        tolerance: how well they are known.
        fractions: whether to try one size over another.

    Returns:
        None if the factors have no common explanation.
    """
    known = [letters for letters in _QUANTITIES if all(letters in size for size in sizes)]

    def fits(values: Iterable[float]) -> bool:
        return all(
            math.isclose(k, value, rel_tol=3 * tolerance)
            for k, value in zip(factors, values, strict=True)
        )

    if fits(factors[0] for _ in sizes):
        return _constant(factors[0])
    for extra, word in _EXTRA.items():
        for a in known:
            name, words = _QUANTITIES[a]
            if fits(extra * size[a] for size in sizes):
                said = (
                    f"{word}not divided by {words}"
                    if not word
                    else (f"{word}what it should be, and not divided by {words}")
                )
                return Reason(f"not_divided_by_{name}", f"{{Yours}} is {said}.")
            if fits(extra / size[a] for size in sizes):
                said = f"{word}what it should be, and " if word else ""
                return Reason(
                    f"divided_by_{name}",
                    f"{{Yours}} is {said}divided by {words} once too often.",
                )
    for a, b in itertools.permutations(known, 2) if fractions else ():
        if fits(size[a] / size[b] for size in sizes):
            (name, words), (other, others) = _QUANTITIES[a], _QUANTITIES[b]
            return Reason(
                f"divided_by_{other}_for_{name}",
                f"{{Yours}} is divided by {others}. Divide by {words} instead.",
            )
    return None


def _constant(k: float) -> Reason:
    for constant, hint in _CONSTANTS.items():
        if math.isclose(k, constant, rel_tol=1e-3):
            if constant == -1:
                return Reason("sign", "{Yours} is the negative of the right one. " + hint)
            return Reason(
                f"times_{constant:.3g}", f"{{Yours}} is {k:.3g} times the right one. {hint}"
            )
    return Reason(
        f"times_{k:.3g}",
        f"{{Yours}} is {k:.4g} times the right one. A constant factor is wrong.",
    )
