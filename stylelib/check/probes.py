"""Probes: what may have been done to the right values, or to those of a known mistake."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from stylelib.check.ratios import Reason, explain, ratios
from stylelib.check.values import Values, near

__all__ = ["ask", "ask_shapes"]


class Probe(NamedTuple):
    """Something that turns the right values into yours."""

    mistake: str
    sentence: str
    change: Callable[[Values], Values]


def _axes(order: Sequence[int]) -> Callable[[Values], Values]:
    return lambda e: e.transpose(order) if e.ndim == len(order) else np.zeros(0)


def _cut(order: Sequence[int]) -> Callable[[Values], Values]:
    """Axes in another order, called by their old names."""
    moved = _axes(order)
    return lambda e: moved(e).reshape(e.shape) if e.ndim == len(order) else np.zeros(0)


def _flip(axis: int, length: int | None = None) -> Callable[[Values], Values]:
    def flip(e: Values) -> Values:
        right = e.ndim >= -axis and length in {None, e.shape[axis]}
        return np.flip(e, axis) if right else np.zeros(0)

    return flip


def _normalized(e: Values) -> Values:
    length = float(np.sqrt((e * e).sum()))
    return e / length if length else e


_ORDERS = [o for n in (2, 3, 4) for o in itertools.permutations(range(n)) if o != (*range(n),)]
SAME = (
    Probe(
        "absolute", "{Yours} has the right sizes, but no signs: every value is positive.", abs
    ),
    Probe(
        "no_negatives",
        "{Yours} is right, but its negative values have become 0.",
        lambda e: np.maximum(e, 0),
    ),
    Probe("squared", "{Yours} is the square of the right one.", np.square),
    Probe(
        "square_root",
        "{Yours} is the square root of the right one.",
        lambda e: np.sqrt(np.abs(e)),
    ),
    Probe("rounded", "{Yours} is right, but rounded to whole numbers.", np.round),
    Probe("truncated", "{Yours} is right, but its decimals are cut off.", np.trunc),
    Probe(
        "clamped",
        "{Yours} is right, but clamped to values from 0 to 1.",
        lambda e: np.clip(e, 0, 1),
    ),
    Probe(
        "mirrored",
        "{Yours} is right, but mirrored left to right: its last axis is reversed.",
        _flip(-1),
    ),
    Probe(
        "upside_down",
        "{Yours} is right, but upside down: its last axis but one is reversed.",
        _flip(-2),
    ),
    Probe(
        "rotated",
        "{Yours} is right, but rotated by 180 degrees: its last two axes are reversed.",
        lambda e: np.flip(e, (-1, -2)) if e.ndim > 1 else np.zeros(0),
    ),
    Probe(
        "channels_reversed",
        "{Yours} has its color channels in the wrong order: blue is first.",
        _flip(-3, 3),
    ),
    Probe(
        "channels_reversed",
        "{Yours} has its color channels in the wrong order: blue is first.",
        lambda e: _flip(-1, 3)(e) if e.ndim == 3 else np.zeros(0),
    ),
    Probe(
        "batch_reversed",
        "{Yours} has the images of the batch in the wrong order.",
        lambda e: np.flip(e, 0) if e.ndim > 2 else np.zeros(0),
    ),
    Probe("centered", "{Yours} is right, but its mean is subtracted.", lambda e: e - e.mean()),
    Probe("normalized", "{Yours} is divided by its own length.", _normalized),
    *(
        Probe(
            "axes_swapped",
            f"{{Yours}} has its axes in another order: {order} of the right one.",
            _axes(order),
        )
        for order in _ORDERS
    ),
    *(
        Probe(
            "reshaped",
            "{Yours} has the right values in the wrong places, as after a reshape or view that "
            "should move axes: it never does. Use transpose or permute.",
            _cut(order),
        )
        for order in _ORDERS
    ),
)
"""Changes that leave the sizes of the values comparable. The first that fits is named."""

REDUCED = (
    Probe(
        "no_batch_axis",
        "{Yours} has no axis for the images of a batch, or only the first image.",
        lambda e: e[0],
    ),
    Probe("extra_axis", "{Yours} has one axis too many in front.", lambda e: e[None]),
    Probe("squeezed", "{Yours} has lost its axes of length 1.", np.squeeze),
    Probe("flattened", "{Yours} is flattened: the values are right, but in one row.", np.ravel),
    Probe(
        "summed_over_batch",
        "{Yours} is added up over the images of the batch.",
        lambda e: e.sum(0),
    ),
    Probe(
        "averaged_over_batch",
        "{Yours} is averaged over the images of the batch.",
        lambda e: e.mean(0),
    ),
    Probe("summed", "{Yours} is added up to a single number.", lambda e: np.asarray(e.sum())),
    Probe(
        "averaged", "{Yours} is averaged to a single number.", lambda e: np.asarray(e.mean())
    ),
)
"""Changes of the right values that change their shape."""

UNREDUCED = (
    Probe(
        "not_averaged",
        "{Yours} has a value for each {of}. Their mean would be right.",
        lambda y: np.asarray(y.mean()),
    ),
    Probe(
        "not_added_up",
        "{Yours} has a value for each {of}. Their sum would be right.",
        lambda y: np.asarray(y.sum()),
    ),
    Probe(
        "not_averaged_over_batch",
        "{Yours} has to be averaged over its first axis.",
        lambda y: y.mean(0),
    ),
    Probe(
        "not_added_up_over_batch",
        "{Yours} has to be added up over its first axis.",
        lambda y: y.sum(0),
    ),
)
"""What would have to be done to yours."""


def ask(
    yours: Sequence[Values],
    base: Sequence[Values],
    sizes: Sequence[dict[str, float]],
    tolerance: float,
) -> Reason | None:
    """What may have been done to `base` to get yours, the same for each call: a factor, another
    order of axes or values, a sign, a square.
    """
    factors = ratios(yours, base, tolerance)
    if factors and (reason := explain(factors, sizes, tolerance)):
        return reason
    for probe in (*SAME, *REDUCED):
        changed = [_changed(probe, e) for e in base]
        if all(near(y, e, tolerance) for y, e in zip(yours, changed, strict=True)):
            return Reason(probe.mistake, probe.sentence)
        enough = sum(e.size for e in changed) > 2
        factors = ratios(yours, changed, tolerance) if enough else None
        if factors and (reason := explain(factors, sizes, tolerance, fractions=False)):
            return Reason(
                f"{probe.mistake}_{reason.mistake}", f"{probe.sentence} {reason.sentence}"
            )
    return _offset(yours, base, tolerance)


def _changed(probe: Probe, e: Values) -> Values:
    with np.errstate(all="ignore"):
        return probe.change(e) if e.size and (e.ndim or probe in SAME) else np.zeros(0)


def _offset(yours: Sequence[Values], base: Sequence[Values], tolerance: float) -> Reason | None:
    """A constant that is added to each value."""
    if sum(e.size for e in base) < 3 or any(
        y.shape != e.shape or not e.size for y, e in zip(yours, base, strict=True)
    ):
        return None
    offset = float(np.mean(yours[0] - base[0]))
    if (
        offset
        and np.isfinite(offset)
        and all(near(y, e + offset, tolerance) for y, e in zip(yours, base, strict=True))
    ):
        return Reason("offset", f"{{Yours}} is right, but each value is off by {offset:.4g}.")
    return None


def ask_shapes(
    yours: Sequence[Values], expected: Sequence[Values], tolerance: float
) -> Reason | None:
    """What would still have to be done to your values, if their shape is another one."""
    if all(y.size == e.size for y, e in zip(yours, expected, strict=True)) and all(
        near(y.reshape(e.shape), e, tolerance) for y, e in zip(yours, expected, strict=True)
    ):
        shapes = " and ".join(str(tuple(a[0].shape)) for a in (yours, expected))
        return Reason(
            "shape",
            "{Yours} has the right values in another shape. These are yours and the right "
            f"one: {shapes}.",
        )
    for probe in UNREDUCED:
        if any(y.ndim == 0 for y in yours):
            break
        for kind, values in _pooled(yours):
            changed = [probe.change(y) for y in values]
            if all(near(y, e, tolerance) for y, e in zip(changed, expected, strict=True)):
                of = "image" if yours[0].ndim == 1 else "entry"
                return Reason(kind + probe.mistake, probe.sentence.replace("{of}", of))
    return None


def _pooled(yours: Sequence[Values]) -> Iterator[tuple[str, Sequence[Values]]]:
    """Your values as they are, and as if they still had to be made positive or squared."""
    yield "", yours
    yield "no_absolute_values_and_", [np.abs(y) for y in yours]
    yield "not_squared_and_", [y * y for y in yours]
