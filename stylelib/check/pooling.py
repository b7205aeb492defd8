"""Pooling forward: references and likely mistakes (chapter 15)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pairs import pairs_of

__all__ = ["CASES", "EXERCISES", "Array", "greatest", "pool_arguments"]

Array = NDArray[Any]
CASES = "windows of 2 x 2 side by side", "windows of 3 x 3 that overlap"


def pool_arguments() -> list[Arguments]:
    """Two calls, (x, kernel_size, stride). Some windows have negative values only, and a row or
    a column is left over; no two values are equal.
    """
    random = np.random.default_rng(15)
    x, larger = (random.permutation(n).astype(np.float32) for n in (210, 432))
    return [
        ((x / 70 - 2).reshape(3, 2, 5, 7), 2, 2),
        ((larger / 144 - 2.5).reshape(3, 2, 8, 9), 3, 2),
    ]


Number = Callable[[int, int], int]
"""Of kernel_size and stride."""


def fitting(side: int, k: int, s: int) -> int:
    """How many windows fit into a side."""
    return (side - k) // s + 1


@dataclass(frozen=True)
class Pooling:
    """Pooling in float64, by parts.

    Attributes:
        of: what is taken of a window.
        size: the side of a window.
        step: how far windows are apart.
        count: how many there are, of the side of the image, kernel_size and stride. Windows
            that hang over the border end there.
        before: what becomes of the images before.
    """

    of: Callable[[Array], Any]
    size: Number = lambda k, s: k
    step: Number = lambda k, s: s
    count: Callable[[int, int, int], int] = fitting
    before: Callable[[Array], Array] = lambda x: x

    def __call__(self, x: Array, kernel_size: int, stride: int) -> Array:
        """The output, (N, C, H', W')."""
        x = self.before(x).astype(np.float64)
        counts = (self.count(side, kernel_size, stride) for side in x.shape[2:])
        size, step = self.size(kernel_size, stride), self.step(kernel_size, stride)
        y = np.zeros((*x.shape[:2], *counts))
        for n, c, i, j in np.ndindex(y.shape):
            y[n, c, i, j] = self.of(
                x[n, c, i * step : i * step + size, j * step : j * step + size]
            )
        return y


greatest = Pooling(np.max)
mean = Pooling(np.mean)


def one_apart(k: int, s: int) -> int:
    """Whatever the stride is."""
    return 1


def hanging(side: int, k: int, s: int) -> int:
    """With a last window that hangs over the border."""
    return -(-(side - k) // s) + 1


def at_each_multiple(side: int, k: int, s: int) -> int:
    """A window at every multiple of the stride within the image."""
    return -(-side // s)


def hanging_over(x: Array, k: int, s: int, fill: float) -> Array:
    """The image with what a last window that hangs over the border would see."""
    missing = [-(side - k) % s for side in x.shape[2:]]
    ends = ((0, 0), (0, 0), (0, missing[0]), (0, missing[1]))
    return np.pad(x.astype(np.float64), ends, constant_values=fill)


EDGES = ((0, 0), (0, 0), (1, 1), (1, 1))


def wrong_windows(right: Pooling) -> tuple[Wrong, ...]:
    """Windows at other positions, or of another size."""

    def unfinished(x: Array, k: int, s: int) -> Array:
        y = right(x, k, s)
        y[:, :, -1], y[:, :, :, -1] = 0, 0
        return y

    return (
        Wrong(
            "stride_ignored",
            "Your windows are one pixel apart whatever the stride is; the next window starts "
            "`stride` pixels further on.",
            replace(right, step=one_apart, count=lambda side, k, s: side - k + 1),
        ),
        Wrong(
            "kernel_as_stride",
            "Your windows are `kernel_size` pixels apart; they should be `stride` pixels "
            "apart.",
            replace(right, step=lambda k, s: k, count=lambda side, k, s: side // k),
        ),
        Wrong(
            "stride_as_kernel",
            "Your windows have the size of the stride; their side should be kernel_size.",
            replace(right, size=lambda k, s: s),
        ),
        Wrong(
            "windows_not_moved_by_stride",
            "Your windows start at (i, j); they should start at (i * stride, j * stride).",
            replace(right, step=one_apart),
        ),
        Wrong(
            "window_too_small",
            "Your windows are one row and one column too small: a slice ends before its last "
            "index, so take i * stride : i * stride + kernel_size.",
            replace(right, size=lambda k, s: k - 1),
        ),
        Wrong(
            "window_too_large",
            "Your windows are one row and one column too large: a slice ends before its last "
            "index, so take i * stride : i * stride + kernel_size.",
            replace(right, size=lambda k, s: k + 1),
        ),
        Wrong(
            "last_windows_left_out",
            "The last row and the last column of your output stay 0: your loops stop one "
            "window too early.",
            unfinished,
        ),
    )


def wrong_counts(right: Pooling) -> tuple[Wrong, ...]:
    """Another number of windows."""
    return (
        Wrong(
            "range_ends_too_early",
            "Your windows end one too early where the last one just fits, as with "
            "range(0, H - k, stride): end the range at H - k + 1.",
            replace(right, count=lambda side, k, s: -((k - side) // s)),
        ),
        Wrong(
            "one_window_short",
            "Your output is one row and one column too small: there are (H - k) // stride + 1 "
            "rows, and you left out the + 1.",
            replace(right, count=lambda side, k, s: (side - k) // s),
        ),
        Wrong(
            "counted_by_kernel",
            "Your output has H // kernel_size rows; (H - kernel_size) // stride + 1 windows "
            "fit.",
            replace(right, count=lambda side, k, s: min(side // k, fitting(side, k, s))),
        ),
        Wrong(
            "window_at_each_multiple",
            "A window of yours starts at every multiple of the stride, so the last ones hang "
            "over the border; only (H - kernel_size) // stride + 1 windows fit.",
            replace(right, count=at_each_multiple),
        ),
        Wrong(
            "counted_by_stride",
            "Your output has H // stride rows, so the last window may hang over the border; "
            "only (H - kernel_size) // stride + 1 windows fit.",
            replace(right, count=lambda side, k, s: side // s),
        ),
    )


def wrong_axes(right: Pooling, verb: str) -> tuple[Wrong, ...]:
    """Images and channels that are mixed up or lost."""
    of: Callable[..., Any] = right.of

    def reordered(x: Array, k: int, s: int) -> Array:
        y = right(x, k, s)
        return y.transpose(2, 3, 0, 1).reshape(y.shape)

    return (
        Wrong(
            "channels_mixed",
            f"You {verb} over all channels, too; each channel is pooled by itself.",
            lambda x, k, s: right(np.repeat(of(x, axis=1)[:, None], x.shape[1], 1), k, s),
        ),
        Wrong(
            "channels_gone",
            f"You {verb} over all channels, too, and lose their axis; each channel is pooled "
            "by itself.",
            lambda x, k, s: right(of(x, axis=1)[:, None], k, s),
        ),
        Wrong(
            "batch_mixed",
            f"You {verb} over all images of the batch, too; each image is pooled by itself.",
            lambda x, k, s: right(np.repeat(of(x, axis=0)[None], len(x), 0), k, s),
        ),
        Wrong(
            "first_image_for_all",
            "Every image of the batch gets the output of the first one.",
            lambda x, k, s: right(np.repeat(x[:1], len(x), 0), k, s),
        ),
        Wrong(
            "order_mixed",
            "Your values are right but in the wrong places: the columns are ordered "
            "(H', W', N, C), so reshape them to that and then transpose to (N, C, H', W').",
            reordered,
        ),
    )


def wrong_lines(right: Pooling, verb: str) -> tuple[Wrong, ...]:
    """Rows or columns of a window alone."""
    of: Callable[..., Any] = right.of

    def line_of(i: int, axis: int) -> Callable[[Array], Any]:
        return lambda window: of(window.take(i, axis))

    return (
        Wrong(
            "columns_only",
            f"You {verb} along the width only; do it over rows and columns of the window.",
            replace(right, of=lambda window: of(window[0])),
        ),
        Wrong(
            "rows_only",
            f"You {verb} along the height only; do it over rows and columns of the window.",
            replace(right, of=lambda window: of(window[:, 0])),
        ),
        Wrong(
            "rows_of_window_kept",
            f"You {verb} along the width of each window only, and its rows are still there.",
            lambda x, k, s: np.stack([Pooling(line_of(i, 0))(x, k, s) for i in range(k)], -1),
        ),
        Wrong(
            "columns_of_window_kept",
            f"You {verb} along the height of each window only, and its columns are still "
            "there.",
            lambda x, k, s: np.stack([Pooling(line_of(i, 1))(x, k, s) for i in range(k)], -1),
        ),
    )


def wrong_values(right: Pooling, edge: float) -> tuple[Wrong, ...]:
    """Other values than those of the windows; a border would hold `edge`."""
    return (
        Wrong(
            "padded",
            "You pad the image; this pooling has no padding.",
            lambda x, k, s: right(np.pad(x, EDGES, constant_values=edge), k, s),
        ),
        Wrong(
            "first_of_window",
            "You take the first value of each window, which is subsampling and not pooling.",
            replace(right, of=lambda window: window[0, 0]),
        ),
        Wrong(
            "absolute_values",
            "You take absolute values first; negative values count as they are.",
            replace(right, before=np.abs),
        ),
    )


def shared(right: Pooling, verb: str, edge: float) -> tuple[Wrong, ...]:
    """Mistakes that both kinds have; `verb` says what is done to a window."""
    return (
        *wrong_windows(right),
        *wrong_axes(right, verb),
        *wrong_counts(right),
        *wrong_lines(right, verb),
        *wrong_values(right, edge),
    )


MAXIMUM = (
    Wrong(
        "mean_taken",
        "You take the mean of each window, which is average pooling; take the maximum.",
        replace(greatest, of=np.mean),
    ),
    Wrong(
        "sum_taken",
        "You add up each window; take the maximum.",
        replace(greatest, of=np.sum),
    ),
    Wrong(
        "minimum_taken",
        "You take the smallest value of each window; take the largest.",
        replace(greatest, of=np.min),
    ),
    Wrong(
        "largest_magnitude",
        "You take the value of largest magnitude; take the largest value, with its sign.",
        replace(greatest, of=lambda w: w.flat[np.abs(w).argmax()]),
    ),
    Wrong(
        "started_at_zero",
        "Your running maximum starts at 0, so a window of negative values gives 0: start from "
        "the window's first value or minus infinity, and apply no ReLU.",
        replace(greatest, of=lambda w: max(0, w.max())),
    ),
    Wrong(
        "last_window_hangs_over",
        "Your last windows hang over the border, so the output is too large: a row or column "
        "that fills no window is left out.",
        replace(greatest, count=hanging),
    ),
    Wrong(
        "zeros_at_the_end",
        "You pad the image with zeros at its end; there is no padding, and rows and columns "
        "that fill no window are left out.",
        lambda x, k, s: greatest(hanging_over(x, k, s, 0), k, s),
    ),
    Wrong(
        "position_returned",
        "You return the position of each maximum, as argmax does; return its value.",
        replace(greatest, of=np.argmax),
    ),
    Wrong(
        "softened",
        "You take the logarithm of a sum of exponentials; take the maximum itself.",
        replace(greatest, of=lambda w: np.log(np.exp(w).sum())),
    ),
)

AVERAGE = (
    Wrong(
        "relu_included",
        "You also apply a ReLU; pooling leaves negative values as they are.",
        replace(mean, of=lambda w: max(0, w.mean())),
    ),
    Wrong(
        "maximum_taken",
        "You take the maximum of each window, which is max pooling; take the mean.",
        replace(mean, of=np.max),
    ),
    Wrong(
        "sum_taken",
        "You add up each window but do not divide by its k * k pixels.",
        replace(mean, of=np.sum),
    ),
    Wrong(
        "divided_by_side",
        "You divide by kernel_size; a window has kernel_size * kernel_size pixels.",
        replace(mean, of=lambda w: w.sum() / w.size**0.5),
    ),
    Wrong(
        "always_divided_by_four",
        "You divide by 4, whatever the window is: divide by kernel_size ** 2, neither by a "
        "constant nor by stride ** 2.",
        replace(mean, of=lambda w: w.sum() / 4),
    ),
    Wrong(
        "divided_twice",
        "You divide by the k * k pixels of the window twice.",
        replace(mean, of=lambda w: w.mean() / w.size),
    ),
    Wrong(
        "median_taken",
        "You take the median of each window; take the mean.",
        replace(mean, of=np.median),
    ),
    Wrong(
        "root_mean_square",
        "You take the root of the mean square; take the mean of the values themselves.",
        replace(mean, of=lambda w: np.sqrt((w**2).mean())),
    ),
    Wrong(
        "last_window_hangs_over",
        "Your last windows hang over the border, so the output is too large: a row or column "
        "that fills no window is left out.",
        replace(mean, count=hanging),
    ),
    Wrong(
        "zeros_at_the_end",
        "You pad the image with zeros at its end; there is no padding, and rows and columns "
        "that fill no window are left out.",
        lambda x, k, s: mean(hanging_over(x, k, s, 0), k, s),
    ),
    Wrong(
        "rounded_down",
        "You divide whole numbers, so your means are rounded down; use / and not //.",
        replace(mean, of=lambda w: np.floor(w.mean())),
    ),
)

WRONG_MAXIMUM = (*MAXIMUM, *shared(greatest, "take the maximum", -np.inf))
WRONG_MEAN = (*AVERAGE, *shared(mean, "take the mean", 0.0))

EXERCISES = (
    Exercise(
        "max_pool_forward",
        "the output of max pooling",
        "max_pool_forward(x, kernel_size, stride)",
        pool_arguments,
        greatest,
        WRONG_MAXIMUM,
        cases=CASES,
        pairs=pairs_of(greatest, WRONG_MAXIMUM),
        chapter="15-pooling",
    ),
    Exercise(
        "average_pool_forward",
        "the output of average pooling",
        "average_pool_forward(x, kernel_size, stride)",
        pool_arguments,
        mean,
        WRONG_MEAN,
        cases=CASES,
        pairs=pairs_of(mean, WRONG_MEAN),
        chapter="15-pooling",
    ),
)
