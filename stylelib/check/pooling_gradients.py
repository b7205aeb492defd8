"""Pooling backward: references and likely mistakes (chapter 15)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pooling import CASES, Array, greatest, pool_arguments

__all__ = ["EXERCISES"]

Share = Callable[[Array], Array]
"""From a window (k, k) to what each of its positions gets of the window's gradient."""


def gradient_arguments() -> list[Arguments]:
    """Two calls, (top_diff, x, kernel_size, stride)."""
    random = np.random.default_rng(16)
    return [
        (random.standard_normal(greatest(x, k, s).shape, np.float32), x, k, s)
        for x, k, s in pool_arguments()
    ]


def spread(
    top_diff: Array,
    x: Array,
    k: int,
    s: int,
    share: Share,
    *,
    step: int | None = None,
    add: bool = True,
) -> Array:
    """Each of top_diff, times its window's share, added to the window it came from; without
    `add` the last window wins. `step` is how far windows are apart in fact.
    """
    d_x, step = np.zeros(x.shape), step or s
    for n, c, i, j in np.ndindex(top_diff.shape):
        at = n, c, slice(i * step, i * step + k), slice(j * step, j * step + k)
        d_x[at] = top_diff[n, c, i, j] * share(x[at]) + d_x[at] * add
    return d_x


def one_at(position: Callable[[Array], Any]) -> Share:
    """All of the gradient for one position of the window."""

    def share(window: Array) -> Array:
        one = np.zeros(window.shape)
        one.flat[int(position(window))] = 1
        return one

    return share


def even(window: Array) -> Array:
    """The same for all positions."""
    return np.full(window.shape, 1 / window.size)


def all_of_it(window: Array) -> Array:
    """All of the gradient for every position."""
    return np.ones(window.shape)


def to_maximum(top_diff: Array, x: Array, kernel_size: int, stride: int) -> Array:
    """The gradient of max pooling."""
    return spread(top_diff, x, kernel_size, stride, one_at(np.argmax))


def to_all(top_diff: Array, x: Array, kernel_size: int, stride: int) -> Array:
    """The gradient of average pooling."""
    return spread(top_diff, x, kernel_size, stride, even)


def swapped(window: Array) -> Array:
    """Row and column of the maximum exchanged."""
    return one_at(np.argmax)(window).T


def only_assigned(top_diff: Array, x: Array, k: int, s: int) -> Array:
    """The gradient of the last window alone, if a pixel is the maximum of several."""
    d_x = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(top_diff.shape):
        window = x[n, c, i * s : i * s + k, j * s : j * s + k]
        row, column = divmod(int(window.argmax()), k)
        d_x[n, c, i * s + row, j * s + column] = top_diff[n, c, i, j]
    return d_x


def from_corner(top_diff: Array, x: Array, k: int, s: int) -> Array:
    """The position of the maximum in its window is taken for its position in the image."""
    d_x = np.zeros(x.shape)
    for n, c, i, j in np.ndindex(top_diff.shape):
        window = x[n, c, i * s : i * s + k, j * s : j * s + k]
        row, column = divmod(int(window.argmax()), k)
        d_x[n, c, row, column] += top_diff[n, c, i, j]
    return d_x


def to_channel_maximum(top_diff: Array, x: Array, k: int, s: int) -> Array:
    """All of a channel's gradient for the largest value of the whole channel."""
    d_x = np.zeros(x.shape)
    for n, c in np.ndindex(x.shape[:2]):
        d_x[n, c].flat[int(x[n, c].argmax())] = top_diff[n, c].sum()
    return d_x


def one_for_all_channels(top_diff: Array, x: Array, k: int, s: int) -> Array:
    """Only the channel with the largest value of a window passes its gradient on."""
    y = greatest(x, k, s)
    return to_maximum(top_diff * (y == y.max(axis=1, keepdims=True)), x, k, s)


def counted(top_diff: Array, x: Array, k: int, s: int) -> Array:
    """The gradient of average pooling, over the number of windows that a pixel is in."""
    windows = spread(np.ones_like(top_diff), x, k, s, all_of_it)
    return np.asarray(to_all(top_diff, x, k, s) / windows.clip(1))


def repeated(top_diff: Array, x: Array, k: int, s: int) -> Array:
    """Gradients repeated as if windows lay side by side, up to the border."""
    rows, columns = (
        np.minimum(np.arange(side) // s, count - 1)
        for side, count in zip(x.shape[2:], top_diff.shape[2:], strict=True)
    )
    return top_diff[:, :, rows][:, :, :, columns] / float(k * k)


def reordered(top_diff: Array) -> Array:
    """The gradients of (N, C, H', W'), read as if they were (H', W', N, C)."""
    N, C, height, width = top_diff.shape
    return top_diff.reshape(height, width, N, C).transpose(2, 3, 0, 1)


def shared(right: Callable[..., Array], share: Share) -> tuple[Wrong, ...]:
    """Mistakes that both kinds of pooling have."""
    return (
        Wrong(
            "windows_not_moved_by_stride",
            "Your windows start at (i, j); they should start at (i * stride, j * stride).",
            lambda d, x, k, s: spread(d, x, k, s, share, step=1),
        ),
        Wrong(
            "order_mixed",
            "The gradients went to other windows and channels: your columns are ordered (H', "
            "W', N, C), but top_diff.reshape(-1) reads (N, C, H', W'); transpose it first.",
            lambda d, x, k, s: right(reordered(d), x, k, s),
        ),
        Wrong(
            "top_diff_ignored",
            "You do not use top_diff: by the chain rule each window's share is multiplied by "
            "it.",
            lambda d, x, k, s: right(np.ones_like(d), x, k, s),
        ),
        Wrong(
            "sign_flipped",
            "The sign of your gradient is wrong: pooling passes top_diff on with its own sign.",
            lambda d, x, k, s: -right(d, x, k, s),
        ),
        Wrong(
            "divided_by_batch",
            "Your gradient is divided by the number of images; top_diff already has the "
            "factors of the loss.",
            lambda d, x, k, s: right(d, x, k, s) / len(d),
        ),
        Wrong(
            "relu_included",
            "You stop the gradient where x is negative; that is what a ReLU does, not pooling.",
            lambda d, x, k, s: right(d, x, k, s) * (x > 0),
        ),
        Wrong(
            "multiplied_by_x",
            "You multiply the gradient by x; each position only gets its share of top_diff.",
            lambda d, x, k, s: right(d, x, k, s) * x,
        ),
        Wrong(
            "first_image_only",
            "Only the first image of the batch gets a gradient.",
            lambda d, x, k, s: right(
                d * (np.arange(len(d)) == 0)[:, None, None, None], x, k, s
            ),
        ),
        Wrong(
            "of_output_shape",
            "Your gradient has the shape of the output; it should have the shape of x.",
            lambda d, x, k, s: d,
        ),
    )


MAXIMUM = (
    Wrong(
        "spread_evenly",
        "You spread the gradient over the window, as for average pooling; all of it goes to "
        "the maximum.",
        to_all,
    ),
    Wrong(
        "assigned_not_added",
        "A pixel that is the maximum of several windows gets only the last one's gradient: use "
        "+= in a loop, or np.add.at.",
        only_assigned,
    ),
    Wrong(
        "window_assigned_not_added",
        "Where windows overlap, a later window overwrites the gradients of an earlier one: use "
        "+= and not =.",
        lambda d, x, k, s: spread(d, x, k, s, one_at(np.argmax), add=False),
    ),
    Wrong(
        "given_to_every_place",
        "Every position of a window gets its gradient; only the maximum should.",
        lambda d, x, k, s: spread(d, x, k, s, all_of_it),
    ),
    Wrong(
        "given_to_all_others",
        "Every position but the maximum gets the gradient; your mask is inverted.",
        lambda d, x, k, s: spread(d, x, k, s, lambda w: 1 - one_at(np.argmax)(w)),
    ),
    Wrong(
        "given_to_minimum",
        "The gradient goes to the smallest value of each window; it goes to the largest.",
        lambda d, x, k, s: spread(d, x, k, s, one_at(np.argmin)),
    ),
    Wrong(
        "given_to_magnitude",
        "The gradient goes to the value of largest magnitude; it goes to the largest value.",
        lambda d, x, k, s: spread(d, x, k, s, one_at(lambda w: np.abs(w).argmax())),
    ),
    Wrong(
        "given_to_first",
        "The gradient goes to the first position of each window; it goes to the maximum.",
        lambda d, x, k, s: spread(d, x, k, s, one_at(lambda w: 0)),
    ),
    Wrong(
        "given_to_last",
        "The gradient goes to the last position of each window; it goes to the maximum.",
        lambda d, x, k, s: spread(d, x, k, s, one_at(lambda w: w.size - 1)),
    ),
    Wrong(
        "place_in_window_only",
        "You use the maximum's position in its window as if it were a position in the "
        "image: add "
        "(i * stride, j * stride).",
        from_corner,
    ),
    Wrong(
        "rows_and_columns_swapped",
        "Row and column of the maximum are swapped: divmod(argmax, k) returns (row, column).",
        lambda d, x, k, s: spread(d, x, k, s, swapped),
    ),
    Wrong(
        "channel_maximum",
        "All of the gradient goes to the largest value of a whole channel; each window has its "
        "own maximum.",
        to_channel_maximum,
    ),
    Wrong(
        "maximum_of_all_channels",
        "You look for one maximum in all channels of a window; each channel has its own.",
        one_for_all_channels,
    ),
    Wrong(
        "multiplied_by_window_maximum",
        "You write the maximum itself into d_x; write top_diff there.",
        lambda d, x, k, s: spread(
            np.ones_like(d), x, k, s, lambda w: one_at(np.argmax)(w) * float(w.max())
        ),
    ),
    Wrong(
        "divided_by_kernel",
        "You divide by the k * k pixels of the window; the maximum gets the whole gradient.",
        lambda d, x, k, s: to_maximum(d, x, k, s) / k**2,
    ),
    Wrong(
        "zero_for_negative",
        "A window whose maximum is negative passes no gradient; its maximum should get it, "
        "too.",
        lambda d, x, k, s: to_maximum(d * (greatest(x, k, s) > 0), x, k, s),
    ),
    Wrong(
        "maxima_of_first_image",
        "You use the first image's maxima for every image of the batch.",
        lambda d, x, k, s: to_maximum(d, np.repeat(x[:1], len(x), 0), k, s),
    ),
    *(
        wrong
        for wrong in shared(to_maximum, one_at(np.argmax))
        if wrong.name != "relu_included"
    ),
)

AVERAGE = (
    Wrong(
        "given_to_maximum",
        "All of the gradient goes to the maximum, as for max pooling; spread it over the "
        "window.",
        to_maximum,
    ),
    Wrong(
        "not_divided",
        "Every position of a window gets all of its gradient: divide by the k * k positions.",
        lambda d, x, k, s: spread(d, x, k, s, all_of_it),
    ),
    Wrong(
        "divided_by_side",
        "You divide by kernel_size; a window has kernel_size * kernel_size positions.",
        lambda d, x, k, s: to_all(d, x, k, s) * k,
    ),
    Wrong(
        "always_divided_by_four",
        "You divide by 4, whatever the window is: divide by kernel_size ** 2, neither by a "
        "constant nor by stride ** 2.",
        lambda d, x, k, s: to_all(d, x, k, s) * k**2 / 4 if k != s else to_all(d, x, k, s),
    ),
    Wrong(
        "divided_twice",
        "You divide by the k * k positions of the window twice.",
        lambda d, x, k, s: to_all(d, x, k, s) / k**2,
    ),
    Wrong(
        "assigned_not_added",
        "Where windows overlap, a later one overwrites an earlier one: use += and not =.",
        lambda d, x, k, s: spread(d, x, k, s, even, add=False),
    ),
    Wrong(
        "given_to_first",
        "The gradient goes to the first position of each window only; every position "
        "gets a share.",
        lambda d, x, k, s: spread(d, x, k, s, one_at(lambda w: 0)),
    ),
    Wrong(
        "first_gets_share",
        "Only the first position of each window gets its share; give it to every position.",
        lambda d, x, k, s: spread(d, x, k, s, one_at(lambda w: 0)) / k**2,
    ),
    Wrong(
        "divided_by_windows",
        "You divide by the number of windows that a pixel is in; it gets the sum of its "
        "shares.",
        counted,
    ),
    Wrong(
        "in_proportion_to_x",
        "You spread the gradient in proportion to x; every position gets the same share.",
        lambda d, x, k, s: spread(d, x, k, s, lambda w: w / float(w.sum())),
    ),
    Wrong(
        "repeated_inside",
        "You repeat each gradient `stride` times as if windows lay side by side; windows of "
        "kernel_size may overlap, and there their gradients add up.",
        lambda d, x, k, s: spread(d, x, s, s, lambda w: np.full(w.shape, 1 / k**2)),
    ),
    Wrong(
        "repeated",
        "You repeat each gradient over the image as if windows lay side by side up to the "
        "border; windows may overlap, and rows and columns in no window get 0.",
        repeated,
    ),
    *shared(to_all, even),
)

EXERCISES = (
    Exercise(
        "max_pool_backward",
        "the gradient of max pooling",
        "max_pool_backward(top_diff, x, kernel_size, stride)",
        gradient_arguments,
        to_maximum,
        MAXIMUM,
        cases=CASES,
        chapter="15-pooling",
    ),
    Exercise(
        "average_pool_backward",
        "the gradient of average pooling",
        "average_pool_backward(top_diff, x, kernel_size, stride)",
        gradient_arguments,
        to_all,
        AVERAGE,
        cases=CASES,
        chapter="15-pooling",
    ),
)
