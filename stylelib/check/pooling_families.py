"""Pooling forward: families of mistakes (chapter 15)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stylelib.check.exercises import Wrong
from stylelib.check.pooling import Array, fitting

__all__ = ["AVERAGE", "MASKS", "MAXIMUM", "PLACES"]

Place = Callable[[int, int, int], slice]
"""Which rows or columns window i has, of i, kernel_size and stride."""
Reduction = Callable[[Array], Any]
"""From windows (N, C, k, k) to their values (N, C)."""


def window(i: int, k: int, s: int) -> slice:
    """As it should be."""
    return slice(i * s, i * s + k)


def maximum(windows: Array) -> Array:
    """Of each window."""
    return np.asarray(windows.max((2, 3)))


def mean(windows: Array) -> Array:
    """Of each window."""
    return np.asarray(windows.mean((2, 3)))


@dataclass(frozen=True)
class Pooled:
    """Pooling by parts, all images and channels at once.

    Attributes:
        of: what is taken of windows.
        rows: those of a window.
        columns: those of a window.
        count: how many windows there are, of a side, kernel_size and stride.
    """

    of: Reduction
    rows: Place = window
    columns: Place = window
    count: Callable[[int, int, int], int] = fitting

    def __call__(self, x: Array, k: int, s: int) -> Any:
        """The output, (N, C, H', W')."""
        x = x.astype(np.float64)
        H, W = (self.count(side, k, s) for side in x.shape[2:])
        y = np.zeros((*x.shape[:2], H, W))
        for i, j in np.ndindex(H, W):
            y[:, :, i, j] = self.of(x[:, :, self.rows(i, k, s), self.columns(j, k, s)])
        return y


MASKS: dict[str, tuple[str, Callable[[Array, Array, int], Array]]] = {
    "corners": (
        "only the corners of each window",
        lambda u, v, k: ((u == 0) | (u == k - 1)) & ((v == 0) | (v == k - 1)),
    ),
    "diagonal": ("only the diagonal of each window", lambda u, v, k: u == v),
    "other_diagonal": (
        "only the diagonal from the upper right of each window",
        lambda u, v, k: u + v == k - 1,
    ),
    "border": (
        "only the border of each window",
        lambda u, v, k: (u == 0) | (u == k - 1) | (v == 0) | (v == k - 1),
    ),
    "center": ("only the center of each window", lambda u, v, k: (u == k // 2) & (v == k // 2)),
    "last": (
        "only the last pixel of each window",
        lambda u, v, k: (u == k - 1) & (v == k - 1),
    ),
    "inner_and_first": (
        "only the first pixel of each window, and not the rest of its first row and column, "
        "as with loops from 1",
        lambda u, v, k: ((u > 0) & (v > 0)) | ((u == 0) & (v == 0)),
    ),
    "inner": (
        "each window without its first row and column, as with loops from 1",
        lambda u, v, k: (u > 0) & (v > 0),
    ),
    "no_first_row": ("each window without its first row", lambda u, v, k: u > 0),
    "no_first_column": ("each window without its first column", lambda u, v, k: v > 0),
    "no_last_row": ("each window without its last row", lambda u, v, k: u < k - 1),
    "no_last_column": ("each window without its last column", lambda u, v, k: v < k - 1),
    "last_row": ("only the last row of each window", lambda u, v, k: u == k - 1),
    "last_column": ("only the last column of each window", lambda u, v, k: v == k - 1),
    "first_row_and_column": (
        "only the first row and the first column of each window",
        lambda u, v, k: (u == 0) | (v == 0),
    ),
    "no_first": ("each window without its first pixel", lambda u, v, k: u + v > 0),
    "no_last": ("each window without its last pixel", lambda u, v, k: u + v < 2 * k - 2),
    "no_center": (
        "each window without its center",
        lambda u, v, k: (u != k // 2) | (v != k // 2),
    ),
    "first_two": (
        "only the first 2 x 2 pixels of each window, whatever kernel_size is",
        lambda u, v, k: (u < 2) & (v < 2),
    ),
    "upper_triangle": ("only the upper triangle of each window", lambda u, v, k: u <= v),
    "lower_triangle": ("only the lower triangle of each window", lambda u, v, k: u >= v),
}
"""Parts of a window, and which of its pixels (u, v) they have."""


def masked(name: str) -> Callable[[int], Array]:
    """Which pixels of a window of side k a part has, (k, k)."""

    def mask(k: int) -> Array:
        u, v = np.indices((k, k))
        return np.asarray(MASKS[name][1](u, v, k))

    return mask


def of_part(name: str, reduce: Callable[..., Any], divisor: str = "") -> Reduction:
    """A reduction of some pixels; the divisor is that of all of them if it is "all"."""

    def of(windows: Array) -> Any:
        inside = masked(name)(windows.shape[2])
        found = reduce(windows[:, :, inside], axis=2)
        return found * inside.sum() / inside.size if divisor == "all" else found

    return of


def slices(axis: str) -> dict[str, tuple[str, Place]]:
    """Wrong rows or columns of windows; `axis` is "rows" or "columns"."""
    i = "i" if axis == "rows" else "j"
    return {
        "not_strided": (
            f"start at {i}; they start at {i} * stride",
            lambda i, k, s: slice(i, i + k),
        ),
        "by_kernel": (
            f"start at {i} * kernel_size; they start at {i} * stride",
            lambda i, k, s: slice(i * k, i * k + k),
        ),
        "too_many": (
            "are one too many: a slice ends before its last index",
            lambda i, k, s: slice(i * s, i * s + k + 1),
        ),
        "too_few": (
            "are one too few: a slice ends before its last index",
            lambda i, k, s: slice(i * s, i * s + k - 1),
        ),
        "of_stride": (
            "are as many as the stride; they are as many as kernel_size",
            lambda i, k, s: slice(i * s, i * s + s),
        ),
        "to_the_end": (
            f"go on to the end of the image; they end before {i} * stride + kernel_size",
            lambda i, k, s: slice(i * s, None),
        ),
        "from_the_start": (
            f"begin at the start of the image; they begin at {i} * stride",
            lambda i, k, s: slice(0, i * s + k),
        ),
        "all": (
            f"are all there are; window {i} has those from {i} * stride on",
            lambda i, k, s: slice(None),
        ),
        "one_alone": (
            f"are one alone, {i} * stride; there are kernel_size of them",
            lambda i, k, s: slice(i * s, i * s + 1),
        ),
        "dilated": (
            "are `stride` apart; they are neighbors",
            lambda i, k, s: slice(i * s, i * s + k * s, s),
        ),
        "one_late": (
            f"begin one too late; they begin at {i} * stride",
            lambda i, k, s: slice(i * s + 1, i * s + 1 + k),
        ),
        "one_early": (
            f"begin one too early; they begin at {i} * stride",
            lambda i, k, s: slice(max(i * s - 1, 0), max(i * s - 1, 0) + k),
        ),
        "end_at_multiple": (
            f"end at ({i} + 1) * stride; they end at {i} * stride + kernel_size",
            lambda i, k, s: slice(i * s, (i + 1) * s),
        ),
        "end_at_kernels": (
            f"end at ({i} + 1) * kernel_size; they end at {i} * stride + kernel_size",
            lambda i, k, s: slice(i * s, (i + 1) * k),
        ),
    }


PLACES = {axis: slices(axis) for axis in ("rows", "columns")}
TOGETHER = (
    "by_kernel",
    "to_the_end",
    "from_the_start",
    "all",
    "dilated",
    "one_late",
    "one_early",
    "end_at_kernels",
)
"""Slices that are wrong in both axes at once, and not listed elsewhere."""


def sliced(right: Reduction) -> tuple[Wrong, ...]:
    """Windows with wrong rows, columns, or both."""
    found = []
    for axis, places in PLACES.items():
        for name, (said, place) in places.items():
            if name == "end_at_multiple":
                continue
            both_axes = (place, window) if axis == "rows" else (window, place)
            version = Pooled(right, *both_axes)
            found.append(
                Wrong(f"{axis}_{name}", f"The {axis} of your windows {said}.", version)
            )
    for name in TOGETHER:
        said, place = PLACES["rows"][name]
        both = said.replace("window i has", "a window has").replace(" i * ", " (i, j) * ")
        both = both.replace("(i + 1) *", "(i + 1, j + 1) *")
        version = Pooled(right, place, place)
        found.append(
            Wrong(f"both_{name}", f"The rows and columns of your windows {both}.", version)
        )
    return tuple(found)


def over_axes(reduce: Callable[..., Any], verb: str) -> tuple[Wrong, ...]:
    """Images or channels in the reduction, too, kept by broadcasting."""
    return (
        Wrong(
            "everything_mixed",
            f"You {verb} over all images and channels of a window's place, too, as with no "
            "axis given; each image and channel is pooled by itself, over axis=(2, 3).",
            Pooled(lambda w: reduce(w)),
        ),
        Wrong(
            "whole_channel",
            f"You {verb} over the whole image, for every window; each window has its own.",
            lambda x, k, s: np.broadcast_to(
                reduce(x.astype(np.float64), axis=(2, 3), keepdims=True),
                Pooled(maximum)(x, k, s).shape,
            ),
        ),
        Wrong(
            "whole_array",
            f"You {verb} over all of x, for every window; each window has its own.",
            lambda x, k, s: np.full(Pooled(maximum)(x, k, s).shape, reduce(x.astype(float))),
        ),
        Wrong(
            "first_channel_for_all",
            "Every channel gets the output of the first one.",
            lambda x, k, s: Pooled(lambda w: reduce(w, axis=(2, 3)))(
                np.repeat(x[:, :1], x.shape[1], 1), k, s
            ),
        ),
        Wrong(
            "last_channel_for_all",
            "Every channel gets the output of the last one.",
            lambda x, k, s: Pooled(lambda w: reduce(w, axis=(2, 3)))(
                np.repeat(x[:, -1:], x.shape[1], 1), k, s
            ),
        ),
        Wrong(
            "last_image_for_all",
            "Every image of the batch gets the output of the last one.",
            lambda x, k, s: Pooled(lambda w: reduce(w, axis=(2, 3)))(
                np.repeat(x[-1:], len(x), 0), k, s
            ),
        ),
    )


LINES: dict[str, tuple[str, Callable[..., Any]]] = {
    "maximum": ("the maximum", np.max),
    "mean": ("the mean", np.mean),
    "sum": ("the sum", np.sum),
    "minimum": ("the minimum", np.min),
    "median": ("the median", np.median),
}


def by_lines(right: str) -> tuple[Wrong, ...]:
    """One reduction along the rows of a window, and another one along its columns."""
    found = []
    for (one, (said, inner)), (two, (also, outer)) in itertools.product(
        LINES.items(), repeat=2
    ):
        if one == two and one != "median":
            continue
        for axis, words in ((3, "row"), (2, "column")):

            def of(w: Array, inner: Any = inner, outer: Any = outer, axis: int = axis) -> Any:
                return outer(inner(w, axis=axis), axis=2)

            name = f"{two}_of_{one}_of_{words}s"
            if name in SAME_LINES or (one == "mean" and two == "sum" and words == "column"):
                continue
            sentence = f"You take {said} of each {words} of a window and then {also} of these; "
            sentence += f"take {LINES[right][0]} over rows and columns."
            found.append(Wrong(name, sentence, Pooled(of)))
    return tuple(found)


SAME_LINES = {
    "sum_of_mean_of_rows",
    "mean_of_sum_of_rows",
    "sum_of_mean_of_columns",
    "mean_of_sum_of_columns",
}
"""They divide by kernel_size alone."""


def never_reset(add: Callable[..., Any]) -> tuple[Wrong, ...]:
    """A running maximum or sum that is not set back at the start of each window."""
    found = []
    for kept, words in (
        (4, "never"),
        (3, "only for each image"),
        (2, "only for each channel"),
        (1, "only for each row of windows"),
    ):

        def version(x: Array, k: int, s: int, kept: int = kept) -> Any:
            y = add(x, k, s)
            parts = y.reshape(*y.shape[: 4 - kept], -1)
            run = np.maximum if add is MAX else np.add
            return run.accumulate(parts, axis=-1).reshape(y.shape)

        sentence = (
            f"You start anew {words}: start each window's own maximum or sum before its loops."
        )
        if kept == 4:
            sentence = (
                "You never start anew: start each window's own maximum or sum before its loops."
            )
        found.append(Wrong(f"started_anew_{words.replace(' ', '_')}", sentence, version))
    return tuple(found)


MAX, MEAN = Pooled(maximum), Pooled(mean)


def parts(reduce: Callable[..., Any], verb: str) -> tuple[Wrong, ...]:
    """Some pixels of a window alone."""
    return tuple(
        Wrong(
            f"part_{name}",
            f"You {verb} of {said}; look at all its pixels."
            if name != "inner_and_first"
            else "Your loops start at 1, so but for its first pixel the rest of a window's "
            "first row and first column is never looked at; start both at 0.",
            Pooled(of_part(name, reduce)),
        )
        for name, (said, _) in MASKS.items()
    )


MAXIMUM = (
    *sliced(maximum),
    *parts(np.max, "take the maximum"),
    *over_axes(np.max, "take the maximum"),
    *by_lines("maximum"),
    *never_reset(MAX),
    Wrong(
        "second_largest",
        "You take the second largest value of each window; take the largest.",
        Pooled(lambda w: np.sort(w.reshape(*w.shape[:2], -1), axis=2)[..., -2]),
    ),
    Wrong(
        "absolute_at_the_end",
        "You take the absolute value of the maximum; keep its sign.",
        lambda x, k, s: np.abs(MAX(x, k, s)),
    ),
    Wrong(
        "started_at_one",
        "Your running maximum starts at 1; start from the window's first value.",
        lambda x, k, s: np.maximum(MAX(x, k, s), 1),
    ),
    Wrong(
        "started_at_first_pixel",
        "Your running maximum starts at the image's first pixel; start it at the window's.",
        lambda x, k, s: np.maximum(MAX(x, k, s), x[:, :, :1, :1]),
    ),
    Wrong(
        "norm_of_window",
        "You take the length of each window; take its largest value.",
        Pooled(lambda w: np.sqrt((w**2).sum((2, 3)))),
    ),
    Wrong(
        "range_of_window",
        "You take the largest minus the smallest value; take the largest.",
        Pooled(lambda w: np.ptp(w, axis=(2, 3))),
    ),
)

DIVISORS: dict[str, tuple[str, Callable[[Array, int, int], float]]] = {
    "stride": ("the stride, or the number of channels", lambda x, k, s: s),
    "twice_the_side": ("2 * kernel_size, or kernel_size * stride", lambda x, k, s: 2 * k),
    "one_less": ("kernel_size ** 2 - 1", lambda x, k, s: k * k - 1),
    "one_more": ("kernel_size ** 2 + 1", lambda x, k, s: k * k + 1),
    "smaller_window": ("(kernel_size - 1) ** 2", lambda x, k, s: (k - 1) ** 2),
    "larger_window": ("(kernel_size + 1) ** 2", lambda x, k, s: (k + 1) ** 2),
    "cube": ("kernel_size ** 3", lambda x, k, s: k**3),
    "two_to_the_side": ("2 ** kernel_size", lambda x, k, s: 2**k),
    "nine": ("9", lambda x, k, s: 9),
    "height": ("the height of the image", lambda x, k, s: x.shape[2]),
    "width": ("the width of the image", lambda x, k, s: x.shape[3]),
    "pixels": ("the number of pixels of the image", lambda x, k, s: x[0, 0].size),
    "windows": (
        "the number of windows",
        lambda x, k, s: fitting(x.shape[2], k, s) * fitting(x.shape[3], k, s),
    ),
    "images": ("the number of images", lambda x, k, s: len(x)),
    "pixels_and_channels": (
        "kernel_size ** 2 times the number of channels",
        lambda x, k, s: k * k * x.shape[1],
    ),
    "pixels_and_images": (
        "kernel_size ** 2 times the number of images",
        lambda x, k, s: k * k * len(x),
    ),
}
"""What a sum may be divided by in place of kernel_size ** 2."""

AVERAGE = (
    *sliced(mean),
    *parts(np.mean, "take the mean"),
    *(
        Wrong(
            f"sum_of_{name}",
            f"You add up {said}, but divide by kernel_size ** 2; add up all its pixels.",
            Pooled(of_part(name, np.mean, "all")),
        )
        for name, (said, _) in MASKS.items()
    ),
    *over_axes(np.mean, "take the mean"),
    *by_lines("mean"),
    *never_reset(MEAN),
    *(
        Wrong(
            f"divided_by_{name}",
            f"You divide each window's sum by {said}; divide by kernel_size ** 2.",
            lambda x, k, s, by=by: MEAN(x, k, s) * k * k / by(x, k, s),
        )
        for name, (said, by) in DIVISORS.items()
    ),
    Wrong(
        "geometric_mean",
        "You take the root of products; take the sum over kernel_size ** 2.",
        Pooled(lambda w: np.exp(np.log(np.abs(w)).mean((2, 3)))),
    ),
    Wrong(
        "middle_of_extremes",
        "You take the middle of the largest and the smallest value; take the mean of all.",
        Pooled(lambda w: (w.max((2, 3)) + w.min((2, 3))) / 2),
    ),
    Wrong(
        "running_average",
        "You average the mean so far with each new value, so later ones count more; add all up "
        "and divide once.",
        Pooled(
            lambda w: (
                w.reshape(*w.shape[:2], -1)
                * 0.5 ** np.r_[w[0, 0].size - 1, np.arange(w[0, 0].size - 1, 0, -1)]
            ).sum(-1)
        ),
    ),
    Wrong(
        "squares_averaged",
        "You take the mean of the squares; take the mean of the values.",
        Pooled(lambda w: (w**2).mean((2, 3))),
    ),
    Wrong(
        "deviation",
        "You take the standard deviation of each window; take the mean.",
        Pooled(lambda w: w.std((2, 3))),
    ),
    Wrong(
        "rounded_to_zero",
        "Your means have lost their decimals: an array of integers, or int(...), cuts them.",
        lambda x, k, s: np.trunc(MEAN(x, k, s)),
    ),
)
