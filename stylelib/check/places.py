"""Where an array is wrong: only in its last row, only in some images, in another order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylelib.check.ratios import Reason
from stylelib.check.values import Values, near

__all__ = ["place_flaw"]

Mask = NDArray[np.bool_]
_AXES = {4: ("image", "channel", "row", "column"), 3: ("channel", "row", "column")}
_LETTERS = {4: ("N", "C", "H", "W"), 3: ("C", "H", "W")}


def place_flaw(
    yours: Sequence[Values], expected: Sequence[Values], tolerance: float
) -> Reason | None:
    """What can be said of where an array (N, C, H, W) or (C, H, W) is wrong, all calls alike.

    Args:
        yours: one array for each call.
        expected: the right ones.
        tolerance: of the largest right value.
    """
    if any(
        y.shape != e.shape or e.ndim not in _AXES for y, e in zip(yours, expected, strict=True)
    ):
        return None
    if not all(np.isfinite(y).all() for y in yours):
        return None
    wrong = [(y, e) for y, e in zip(yours, expected, strict=True) if not near(y, e, tolerance)]
    return (
        _in_a_region(wrong, tolerance)
        or _in_another_order(wrong, tolerance)
        or _the_same(wrong, tolerance)
        or _shifted(wrong, tolerance)
        or _by_axis(wrong, tolerance)
    )


Pairs = Sequence[tuple[Values, Values]]


def _differs(y: Values, e: Values, tolerance: float) -> Mask:
    return np.asarray(np.abs(y - e) > max(tolerance * np.abs(e).max(), 1e-9))


def _regions(ndim: int) -> Iterator[tuple[str, str, Callable[[Values], Mask]]]:
    """Names and words of parts of an array, the smallest first."""
    axes = _AXES[ndim]

    def at(*parts: tuple[int, Any]) -> Callable[[Values], Mask]:
        def mask(e: Values) -> Mask:
            inside = np.zeros(e.shape, dtype=bool)
            for axis, part in parts:
                inside[(slice(None),) * axis + (part,)] = True
            return inside

        return mask

    last, first = slice(-1, None), slice(0, 1)
    for part, word in ((last, "last"), (first, "first")):
        for axis, name in enumerate(axes):
            yield f"{word}_{name}", f"the {word} {name}", at((axis, part))
    for part, word in ((last, "last"), (first, "first")):
        both = at((ndim - 2, part), (ndim - 1, part))
        yield f"{word}_row_and_column", f"the {word} row and the {word} column", both
    yield (
        "border",
        "the border: the first and last rows and columns",
        at(*((ndim - a, part) for a in (1, 2) for part in (first, last))),
    )
    for part, word in ((slice(1, None), "first"), (slice(None, -1), "last")):
        for axis, name in enumerate(axes[:-2]):
            yield f"all_but_{word}_{name}", f"all {name}s but the {word}", at((axis, part))


_HINTS = {
    "row": "Does a loop or a slice begin or end one too early or too late?",
    "column": "Does a loop or a slice begin or end one too early or too late?",
    "border": "What does your function do there?",
    "image": "Does your function treat all images of a batch alike?",
    "channel": "Does your function treat all channels alike?",
}


def _in_a_region(pairs: Pairs, tolerance: float) -> Reason | None:
    ndim = pairs[0][0].ndim
    if any(e.ndim != ndim for _, e in pairs):
        return None
    for name, words, mask in _regions(ndim):
        inside = [(y, e, mask(e)) for y, e in pairs]
        if all(part.all() for *_, part in inside) or any(
            _differs(y, e, tolerance)[~part].any() for y, e, part in inside
        ):
            continue
        if name.startswith("all_but") and not all(
            (_differs(y, e, tolerance) | ~part).any(_others(ndim, name)).all()
            for y, e, part in inside
        ):
            continue
        zero = all(not y[_differs(y, e, tolerance)].any() for y, e, _ in inside)
        hint = _HINTS[name.rpartition("_")[2]]
        said = f"{{Yours}} is right but for {words}{', where it is 0' if zero else ''}. {hint}"
        return Reason(f"wrong_at_{name}", said)
    return None


def _others(ndim: int, name: str) -> tuple[int, ...]:
    """All axes but the one that a region is named after."""
    own = _AXES[ndim].index(name.rpartition("_")[2])
    return tuple(axis for axis in range(ndim) if axis != own)


def _in_another_order(pairs: Pairs, tolerance: float) -> Reason | None:
    """The right values, ordered in one way and read in another."""
    if not all(near(np.sort(y, None), np.sort(e, None), tolerance) for y, e in pairs):
        return None
    ndim = pairs[0][1].ndim
    letters = _LETTERS[ndim]
    orders = list(itertools.permutations(range(ndim)))
    for made, read in itertools.product(orders, orders):
        if all(near(y, _reread(e, made, read), tolerance) for y, e in pairs):
            names = ["(" + ", ".join(letters[a] for a in order) + ")" for order in (made, read)]
            said = (
                f"{{Yours}} has the right values in the wrong places: they are ordered "
                f"{names[0]}, but read as {names[1]}. Reshape them to their own order, "
                "then move the axes."
            )
            return Reason("read_in_another_order", said)
    return Reason(
        "in_other_places",
        "{Yours} has the right values, but in other places: look at the order of your axes and "
        "loops.",
    )


def _reread(e: Values, made: tuple[int, ...], read: tuple[int, ...]) -> Values:
    shape = tuple(e.shape[axis] for axis in read)
    return e.transpose(made).reshape(shape).transpose(np.argsort(read))


def _the_same(pairs: Pairs, tolerance: float) -> Reason | None:
    """One value for all images, channels, rows or columns."""
    for axis, name in enumerate(_AXES[pairs[0][1].ndim]):
        if any(e.shape[axis] < 2 for _, e in pairs):
            continue
        alike = all(
            near(y, np.repeat(y.take([0], axis), y.shape[axis], axis), tolerance)
            for y, _ in pairs
        )
        constant = all(
            near(e, np.repeat(e.take([0], axis), e.shape[axis], axis), tolerance)
            for _, e in pairs
        )
        if alike and not constant:
            said = (
                f"{{Yours}} is the same for every {name}. Is a sum, mean or maximum taken over "
                f"the {name}s, too, or is the index of the {name} missing?"
            )
            return Reason(f"same_for_every_{name}", said)
    return None


def _shifted(pairs: Pairs, tolerance: float) -> Reason | None:
    """Everything one row or column further on, or back."""
    for rows, columns in itertools.product((0, 1, -1), repeat=2):
        if not rows and not columns:
            continue
        inner = [
            (
                y[
                    ...,
                    max(rows, 0) : y.shape[-2] + min(rows, 0),
                    max(columns, 0) : y.shape[-1] + min(columns, 0),
                ],
                e[
                    ...,
                    max(-rows, 0) : e.shape[-2] + min(-rows, 0),
                    max(-columns, 0) : e.shape[-1] + min(-columns, 0),
                ],
            )
            for y, e in pairs
        ]
        if all(a.size and near(a, b, tolerance) for a, b in inner):
            words = [
                word
                for word, there in (
                    ("a row too far down", rows > 0),
                    ("a row too far up", rows < 0),
                    ("a column too far right", columns > 0),
                    ("a column too far left", columns < 0),
                )
                if there
            ]
            said = f"{{Yours}} is right, but {' and '.join(words)}."
            return Reason("shifted", said)
    return None


def _by_axis(pairs: Pairs, tolerance: float) -> Reason | None:
    """A factor or an offset of its own for each image or channel."""
    ndim = pairs[0][1].ndim
    for axis, name in enumerate(_AXES[ndim][:-2]):
        others = tuple(a for a in range(ndim) if a != axis)
        if any(e.size < 2 * e.shape[axis] or e.shape[axis] < 2 for _, e in pairs):
            continue
        offsets = ((y, e, (y - e).mean(others, keepdims=True)) for y, e in pairs)
        if all(near(y, e + offset, tolerance) for y, e, offset in offsets):
            said = (
                f"{{Yours}} differs from the right one by one number for each {name}, the same "
                "at all positions. Look at what you add or subtract there."
            )
            return Reason(f"offset_of_each_{name}", said)
        factors = (
            (y, e, (y * e).sum(others, keepdims=True) / (e * e).sum(others, keepdims=True))
            for y, e in pairs
            if (e * e).sum(others).all()
        )
        fits = [near(y, factor * e, tolerance) for y, e, factor in factors]
        if len(fits) == len(pairs) and all(fits):
            said = (
                f"{{Yours}} is the right one times a factor of its own for each {name}. Do you "
                f"divide by something that belongs to the {name}, such as its length?"
            )
            return Reason(f"factor_of_each_{name}", said)
    return None
