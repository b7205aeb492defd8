"""Pooling backward: references and likely mistakes (chapter 15)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pairs import pairs_of
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


def tied_arguments() -> list[Arguments]:
    """A third call, whose windows have several largest values."""
    random = np.random.default_rng(17)
    x = random.integers(-2, 1, (2, 3, 7, 6)).astype(np.float32)
    shape = greatest(x, 2, 1).shape
    return [*gradient_arguments(), (random.standard_normal(shape, np.float32), x, 2, 1)]


def all_of_it(window: Array) -> Array:
    """All of the gradient for every position."""
    return np.ones(window.shape)


@dataclass(frozen=True)
class Spread:
    """The gradient of pooling, by parts.

    Attributes:
        share: of a window, what its positions get.
        step: how far windows are apart, of the stride.
        kept: what stays of a pixel's gradient when a later window reaches it, of the shares.
        given: what the gradients are spread of, of top_diff and x.
        size: the side of a window, of kernel_size and stride.
    """

    share: Share
    step: Callable[[int], int] = lambda s: s
    kept: Callable[[Array], Any] = lambda share: 1
    given: Callable[[Array, Array], Array] = lambda top_diff, x: top_diff
    size: Callable[[int, int], int] = lambda k, s: k

    def __call__(self, top_diff: Array, x: Array, kernel_size: int, stride: int) -> Array:
        """Each of top_diff, times its window's share, added to the window it came from."""
        d_x, step = np.zeros(x.shape), self.step(stride)
        given, size = self.given(top_diff, x), self.size(kernel_size, stride)
        for n, c, i, j in np.ndindex(given.shape):
            at = n, c, slice(i * step, i * step + size), slice(j * step, j * step + size)
            share = self.share(x[at])
            d_x[at] = given[n, c, i, j] * share + d_x[at] * self.kept(share)
        return d_x


to_maximum = Spread(one_at(np.argmax))
to_all = Spread(even)


def of_every_maximum(window: Array) -> Array:
    """At a tie, all of the gradient for each of the largest."""
    return np.asarray(window == window.max(), dtype=np.float64)


def at_last_maximum(window: Array) -> int:
    """At a tie, the last of the largest."""
    return int(window.size - 1 - window.ravel()[::-1].argmax())


def none_kept(share: Array) -> Any:
    """A later window overwrites all of its positions."""
    return 0


def others_kept(share: Array) -> Any:
    """A later window overwrites the positions that it gives something to."""
    return share == 0


def swapped(window: Array) -> Array:
    """Row and column of the maximum exchanged."""
    return one_at(np.argmax)(window).T


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
    windows = Spread(all_of_it)(np.ones_like(top_diff), x, k, s)
    return np.asarray(to_all(top_diff, x, k, s) / windows.clip(1))


def repeated(top_diff: Array, x: Array, k: int, s: int) -> Array:
    """Gradients repeated as if windows lay side by side, up to the border."""
    rows, columns = (
        np.minimum(np.arange(side) // s, count - 1)
        for side, count in zip(x.shape[2:], top_diff.shape[2:], strict=True)
    )
    return top_diff[:, :, rows][:, :, :, columns] / float(k * k)


def side_by_side(top_diff: Array, x: Array, k: int, s: int) -> Array:
    """Shares of k x k pixels one beside the other, whatever the stride is."""
    d_x, shares = np.zeros(x.shape), np.kron(top_diff, np.ones((k, k))) / float(k * k)
    H, W = (min(sides) for sides in zip(x.shape[2:], shares.shape[2:], strict=True))
    d_x[:, :, :H, :W] = shares[:, :, :H, :W]
    return d_x


def reordered(top_diff: Array) -> Array:
    """The gradients of (N, C, H', W'), read as if they were (H', W', N, C)."""
    N, C, height, width = top_diff.shape
    return top_diff.reshape(height, width, N, C).transpose(2, 3, 0, 1)


def wrong_places(right: Spread) -> tuple[Wrong, ...]:
    """Gradients that go to other windows or images, or stay where they are."""
    return (
        Wrong(
            "windows_not_moved_by_stride",
            "Your windows start at (i, j); they should start at (i * stride, j * stride).",
            replace(right, step=lambda s: 1),
        ),
        Wrong(
            "order_mixed",
            "The gradients went to other windows and channels: your columns are ordered (H', "
            "W', N, C), but top_diff.reshape(-1) reads (N, C, H', W'); transpose it first.",
            replace(right, given=lambda d, x: reordered(d)),
        ),
        Wrong(
            "first_image_only",
            "Only the first image of the batch gets a gradient.",
            replace(
                right, given=lambda d, x: d * (np.arange(len(d)) == 0)[:, None, None, None]
            ),
        ),
        Wrong(
            "of_output_shape",
            "Your gradient has the shape of the output; it should have the shape of x.",
            lambda d, x, k, s: d,
        ),
    )


def wrong_factors(right: Spread) -> tuple[Wrong, ...]:
    """Gradients at the right positions, but of another size."""
    return (
        Wrong(
            "top_diff_ignored",
            "You do not use top_diff: by the chain rule each window's share is multiplied by "
            "it.",
            replace(right, given=lambda d, x: np.ones_like(d)),
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
    )


def shared(right: Spread) -> tuple[Wrong, ...]:
    """Mistakes that both kinds of pooling have."""
    return (*wrong_places(right), *wrong_factors(right))


MAXIMUM = (
    Wrong(
        "spread_evenly",
        "You spread the gradient over the window, as for average pooling; all of it goes to "
        "the maximum.",
        replace(to_maximum, share=even),
    ),
    Wrong(
        "assigned_not_added",
        "A pixel that is the maximum of several windows gets only the last one's gradient: use "
        "+= in a loop, or np.add.at.",
        replace(to_maximum, kept=others_kept),
    ),
    Wrong(
        "window_assigned_not_added",
        "Where windows overlap, a later window overwrites the gradients of an earlier one: use "
        "+= and not =.",
        replace(to_maximum, kept=none_kept),
    ),
    Wrong(
        "given_to_every_place",
        "Every position of a window gets its gradient; only the maximum should.",
        replace(to_maximum, share=all_of_it),
    ),
    Wrong(
        "given_to_all_others",
        "Every position but the maximum gets the gradient; your mask is inverted.",
        replace(to_maximum, share=lambda w: 1 - one_at(np.argmax)(w)),
    ),
    Wrong(
        "given_to_minimum",
        "The gradient goes to the smallest value of each window; it goes to the largest.",
        replace(to_maximum, share=one_at(np.argmin)),
    ),
    Wrong(
        "given_to_magnitude",
        "The gradient goes to the value of largest magnitude; it goes to the largest value.",
        replace(to_maximum, share=one_at(lambda w: np.abs(w).argmax())),
    ),
    Wrong(
        "given_to_first",
        "The gradient goes to the first position of each window; it goes to the maximum.",
        replace(to_maximum, share=one_at(lambda w: 0)),
    ),
    Wrong(
        "given_to_last",
        "The gradient goes to the last position of each window; it goes to the maximum.",
        replace(to_maximum, share=one_at(lambda w: w.size - 1)),
    ),
    Wrong(
        "tie_counted_for_all",
        "If the largest value of a window occurs more than once, each of them gets the whole "
        "gradient, so it counts several times; give it to the first, as PyTorch does.",
        replace(to_maximum, share=of_every_maximum),
    ),
    Wrong(
        "tie_shared",
        "If the largest value of a window occurs more than once, they share the gradient. "
        "Programs differ here; give all of it to the first, as PyTorch does.",
        replace(to_maximum, share=lambda w: of_every_maximum(w) / of_every_maximum(w).sum()),
    ),
    Wrong(
        "tie_to_the_last",
        "If the largest value of a window occurs more than once, the last gets the gradient. "
        "Programs differ here; give it to the first, as PyTorch does.",
        replace(to_maximum, share=one_at(at_last_maximum)),
    ),
    Wrong(
        "place_in_window_only",
        "You use the maximum's position in its window as if it were a position in the image: "
        "add (i * stride, j * stride).",
        from_corner,
    ),
    Wrong(
        "rows_and_columns_swapped",
        "Row and column of the maximum are swapped: divmod(argmax, k) returns (row, column).",
        replace(to_maximum, share=swapped),
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
        replace(
            to_maximum,
            given=lambda d, x: np.ones_like(d),
            share=lambda w: one_at(np.argmax)(w) * float(w.max()),
        ),
    ),
    Wrong(
        "divided_by_kernel",
        "You divide by the k * k pixels of the window; the maximum gets the whole gradient.",
        replace(to_maximum, share=lambda w: one_at(np.argmax)(w) / w.size),
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
    *(wrong for wrong in shared(to_maximum) if wrong.name != "relu_included"),
)

AVERAGE = (
    Wrong(
        "given_to_maximum",
        "All of the gradient goes to the maximum, as for max pooling; spread it over the "
        "window.",
        replace(to_all, share=one_at(np.argmax)),
    ),
    Wrong(
        "not_divided",
        "Every position of a window gets all of its gradient: divide by the k * k positions.",
        replace(to_all, share=all_of_it),
    ),
    Wrong(
        "divided_by_side",
        "You divide by kernel_size; a window has kernel_size * kernel_size positions.",
        replace(to_all, share=lambda w: np.full(w.shape, w.size**-0.5)),
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
        replace(to_all, share=lambda w: np.full(w.shape, w.size**-2.0)),
    ),
    Wrong(
        "assigned_not_added",
        "Where windows overlap, a later one overwrites an earlier one: use += and not =.",
        replace(to_all, kept=none_kept),
    ),
    Wrong(
        "given_to_first",
        "The gradient goes to the first position of each window only; every position "
        "gets a share.",
        replace(to_all, share=one_at(lambda w: 0)),
    ),
    Wrong(
        "first_gets_share",
        "Only the first position of each window gets its share; give it to every position.",
        replace(to_all, share=lambda w: one_at(lambda w: 0)(w) / w.size),
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
        replace(to_all, share=lambda w: w / float(w.sum())),
    ),
    Wrong(
        "repeated_inside",
        "You repeat each gradient `stride` times as if windows lay side by side; windows of "
        "kernel_size may overlap, and there their gradients add up.",
        lambda d, x, k, s: Spread(lambda w: np.full(w.shape, 1 / k**2))(d, x, s, s),
    ),
    Wrong(
        "side_by_side",
        "You lay shares of kernel_size x kernel_size pixels side by side; windows start "
        "`stride` pixels apart, and where they overlap, their shares add up.",
        side_by_side,
    ),
    Wrong(
        "repeated",
        "You repeat each gradient over the image as if windows lay side by side up to the "
        "border; windows may overlap, and rows and columns in no window get 0.",
        repeated,
    ),
    *shared(to_all),
)

EXERCISES = (
    Exercise(
        "max_pool_backward",
        "the gradient of max pooling",
        "max_pool_backward(top_diff, x, kernel_size, stride)",
        tied_arguments,
        to_maximum,
        MAXIMUM,
        cases=(*CASES, "windows with several largest values"),
        pairs=pairs_of(to_maximum, MAXIMUM),
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
        pairs=pairs_of(to_all, AVERAGE),
        chapter="15-pooling",
    ),
)
