"""Pooling backward: families of mistakes (chapter 15)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stylelib.check.exercises import Wrong
from stylelib.check.pooling import Array
from stylelib.check.pooling_families import DIVISORS, MASKS, PLACES, Place, masked, window

__all__ = ["AVERAGE", "MAXIMUM"]

Share = Callable[[Array], Array]
"""From windows (N, C, a, b) to what their pixels get, the same shape."""


def first_maximum(windows: Array) -> Array:
    """1 at the first maximum of each window."""
    flat = windows.reshape(*windows.shape[:2], -1)
    one = np.zeros_like(flat)
    np.put_along_axis(one, flat.argmax(-1)[..., None], 1, -1)
    return one.reshape(windows.shape)


def even(windows: Array) -> Array:
    """The same for all pixels."""
    return np.full(windows.shape, 1 / (windows.shape[2] * windows.shape[3]))


@dataclass(frozen=True)
class Spread:
    """The gradient of pooling by parts, all images and channels at once.

    Attributes:
        share: of windows.
        given: what is spread, of top_diff.
        rows: those of a window.
        columns: those of a window.
        seen: the array whose windows decide, of x.
        start: what d_x is before, of x.
    """

    share: Share
    given: Callable[[Array], Array] = lambda d: d
    rows: Place = window
    columns: Place = window
    seen: Callable[[Array], Array] = lambda x: x
    start: Callable[[Array], Array] = np.zeros_like

    def __call__(self, top_diff: Array, x: Array, k: int, s: int) -> Any:
        """The gradient of x."""
        d, x = self.given(top_diff.astype(np.float64)), x.astype(np.float64)
        d_x, seen = self.start(x), self.seen(x)
        for i, j in np.ndindex(d.shape[2:]):
            at = np.s_[:, :, self.rows(i, k, s), self.columns(j, k, s)]
            d_x[at] += self.share(seen[at]) * d[:, :, i, j, None, None]
        return d_x


def only(part: Any) -> Callable[[Array], Array]:
    """Some of top_diff; 0 elsewhere."""

    def given(d: Array) -> Array:
        one = np.zeros_like(d)
        one[part] = d[part]
        return one

    return given


GIVEN: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "no_last_row_and_column": (
        "The last row and column of windows pass no gradient: your loops end one too early.",
        only(np.s_[:, :, :-1, :-1]),
    ),
    "no_last_row": (
        "The last row of windows passes no gradient: your loop ends one too early.",
        only(np.s_[:, :, :-1]),
    ),
    "no_last_column": (
        "The last column of windows passes no gradient: your loop ends one too early.",
        only(np.s_[..., :-1]),
    ),
    "no_first_row_and_column": (
        "The first row and column of windows pass no gradient: loops begin at 0.",
        only(np.s_[:, :, 1:, 1:]),
    ),
    "no_first_row": (
        "The first row of windows passes no gradient: loops begin at 0.",
        only(np.s_[:, :, 1:]),
    ),
    "no_first_column": (
        "The first column of windows passes no gradient: loops begin at 0.",
        only(np.s_[..., 1:]),
    ),
    "first_window": ("Only the first window passes a gradient.", only(np.s_[:, :, 0, 0])),
    "last_window": (
        "Only the last window passes a gradient: does d_x start anew at each window?",
        only(np.s_[:, :, -1, -1]),
    ),
    "last_row_of_windows": (
        "Only the last row of windows passes a gradient: does d_x start anew at each row?",
        only(np.s_[:, :, -1]),
    ),
    "last_image": (
        "Only the last image of the batch gets a gradient: does d_x start anew?",
        only(-1),
    ),
    "no_last_image": ("The last image of the batch gets no gradient.", only(np.s_[:-1])),
    "no_first_image": ("The first image of the batch gets no gradient.", only(np.s_[1:])),
    "first_channel": ("Only the first channel gets a gradient.", only(np.s_[:, 0])),
    "last_channel": ("Only the last channel gets a gradient.", only(np.s_[:, -1])),
    "summed_over_images": (
        "Every image gets the gradient of the whole batch; image n gets that of top_diff[n].",
        lambda d: np.repeat(d.sum(0, keepdims=True), len(d), 0),
    ),
    "averaged_over_images": (
        "Every image gets the mean gradient of the batch; image n gets that of top_diff[n].",
        lambda d: np.repeat(d.mean(0, keepdims=True), len(d), 0),
    ),
    "summed_over_channels": (
        "Every channel gets the sum over channels; channel c gets that of top_diff[:, c].",
        lambda d: np.repeat(d.sum(1, keepdims=True), d.shape[1], 1),
    ),
    "averaged_over_channels": (
        "Every channel gets the mean over channels; channel c gets that of top_diff[:, c].",
        lambda d: np.repeat(d.mean(1, keepdims=True), d.shape[1], 1),
    ),
    "first_image_for_all": (
        "Every image gets the first image's top_diff; image n gets top_diff[n].",
        lambda d: np.repeat(d[:1], len(d), 0),
    ),
    "last_image_for_all": (
        "Every image gets the last image's top_diff; image n gets top_diff[n].",
        lambda d: np.repeat(d[-1:], len(d), 0),
    ),
    "first_channel_for_all": (
        "Every channel gets the first channel's top_diff; channel c gets top_diff[:, c].",
        lambda d: np.repeat(d[:, :1], d.shape[1], 1),
    ),
    "one_number": (
        "Every window gets the sum of all of top_diff; window (i, j) gets its own value.",
        lambda d: np.full_like(d, d.sum()),
    ),
    "mean_of_all": (
        "Every window gets the mean of top_diff; window (i, j) gets its own value.",
        lambda d: np.full_like(d, d.mean()),
    ),
    "summed_over_places": (
        "Every window gets the sum of its channel; window (i, j) gets its own value.",
        lambda d: np.broadcast_to(d.sum((2, 3), keepdims=True), d.shape),
    ),
    "first_value_of_channel": (
        "Every window gets its channel's first value of top_diff; it gets its own.",
        lambda d: np.broadcast_to(d[:, :, :1, :1], d.shape),
    ),
    "squared": ("You square top_diff; pass it on as it is.", np.square),
    "absolute": ("You take absolute values of top_diff; keep its signs.", np.abs),
    "positive": (
        "Negative values of top_diff are lost; pass them on, too.",
        lambda d: d.clip(0),
    ),
    "rotated": (
        "You rotate top_diff by 180 degrees; window (i, j) gets top_diff[..., i, j].",
        lambda d: d[:, :, ::-1, ::-1],
    ),
    "channels_swapped": ("Your channels are in reverse order.", lambda d: d[:, ::-1]),
    "rounded": ("You round the gradients to whole numbers.", np.trunc),
    "read_as_channels_first": (
        "You reshape top_diff to (C, N, H', W'), which mixes them; transpose it.",
        lambda d: d.reshape(d.shape[1], d.shape[0], *d.shape[2:]).swapaxes(0, 1),
    ),
}
"""What may be spread in place of top_diff."""


def shared(right: Spread) -> tuple[Wrong, ...]:
    """Mistakes that both kinds have."""
    slices = []
    for axis, places in PLACES.items():
        for name, (said, place) in places.items():
            if name != "end_at_multiple":
                rows, columns = (place, window) if axis == "rows" else (window, place)
                version = replace(right, rows=rows, columns=columns)
                sentence = f"The {axis} of your windows {said}."
                slices.append(Wrong(f"{axis}_{name}", sentence, version))
    both = [
        Wrong(
            f"both_{name}",
            f"The rows and columns of your windows {words}.",
            replace(right, rows=PLACES["rows"][name][1], columns=PLACES["rows"][name][1]),
        )
        for name, words in BOTH.items()
    ]
    given = [
        Wrong(f"given_{name}", said, replace(right, given=change))
        for name, (said, change) in GIVEN.items()
    ]
    return (
        *given,
        *slices,
        *both,
        Wrong(
            "starts_as_x",
            "Your d_x starts as a copy of x; it starts at 0.",
            replace(right, start=np.copy),
        ),
        Wrong(
            "starts_at_one",
            "Your d_x starts at 1; it starts at 0.",
            replace(right, start=np.ones_like),
        ),
    )


BOTH = {
    "by_kernel": "start at (i, j) * kernel_size; they start at (i, j) * stride",
    "too_many": "are one too many: a slice ends before its last index",
    "too_few": "are one too few: a slice ends before its last index",
    "of_stride": "are as many as the stride; they are as many as kernel_size",
    "dilated": "are `stride` apart; they are neighbors",
    "one_late": "begin one too late",
    "one_early": "begin one too early",
    "to_the_end": "go on to the end of the image",
    "from_the_start": "begin at the start of the image",
    "all": "are those of the whole image",
}
"""Slices that are wrong in both axes."""


def of_part(name: str) -> Share:
    """The maximum of some pixels of a window."""

    def share(w: Array) -> Array:
        if w.shape[2] != w.shape[3]:
            return first_maximum(w)
        return first_maximum(np.where(masked(name)(w.shape[2]), w, -np.inf))

    return share


def taken_apart(divisor: Callable[[int, int], int]) -> Callable[..., Any]:
    """Row and column of a maximum found with a wrong divisor, of kernel_size and stride."""

    def version(d: Array, x: Array, k: int, s: int) -> Any:
        d_x = np.zeros(x.shape)
        for n, c, i, j in np.ndindex(d.shape):
            at = x[n, c, i * s : i * s + k, j * s : j * s + k]
            u, v = divmod(int(at.argmax()), divisor(k, s))
            d_x[n, c, i * s + u, j * s + v] += d[n, c, i, j]
        return d_x

    return version


def put(
    place: Callable[[int, int, int, int], int], axes: tuple[int, ...]
) -> Callable[..., Any]:
    """The maximum's position in the image computed wrongly from (i, u, k, s)."""

    def version(d: Array, x: Array, k: int, s: int) -> Any:
        d_x = np.zeros(x.shape)
        for n, c, i, j in np.ndindex(d.shape):
            at = x[n, c, i * s : i * s + k, j * s : j * s + k]
            u, v = divmod(int(at.argmax()), k)
            row = place(i, u, k, s) if 0 in axes else i * s + u
            column = place(j, v, k, s) if 1 in axes else j * s + v
            d_x[n, c, row, column] += d[n, c, i, j]
        return d_x

    return version


PUT: dict[str, tuple[str, Callable[[int, int, int, int], int]]] = {
    "not_strided": ("adds {i}, not {i} * stride,", lambda i, u, k, s: i + u),
    "by_kernel": ("adds {i} * kernel_size, not {i} * stride,", lambda i, u, k, s: i * k + u),
    "without_start": ("adds no {i} * stride", lambda i, u, k, s: u),
    "first": ("leaves out the position", lambda i, u, k, s: i * s),
    "one_more": ("adds 1", lambda i, u, k, s: i * s + u + 1),
    "one_less": ("subtracts 1", lambda i, u, k, s: max(i * s + u - 1, 0)),
    "mirrored": (
        "counts from the window's end",
        lambda i, u, k, s: i * s + k - 1 - u,
    ),
}
PUTS = tuple(
    Wrong(
        f"put_{name}_in_{'_and_'.join(('rows', 'columns')[a] for a in axes)}",
        "The gradient goes to the wrong place: from the maximum's "
        f"{' and '.join(('row', 'column')[a] for a in axes)} in its window to that in x "
        f"your function {said.replace('{i}', ('i', 'j', '(i, j)')[sum(axes) + len(axes) // 2])}"
        + (" to it." if said.startswith("adds") else "."),
        put(place, axes),
    )
    for (name, (said, place)), axes in itertools.product(PUT.items(), ((0,), (1,), (0, 1)))
    if not (name == "without_start" and axes == (0, 1))
    and not (name == "first" and axes == (0, 1))
)

to_maximum, to_all = Spread(first_maximum), Spread(even)


def proportional(windows: Array) -> Array:
    """Shares like those of a softmax."""
    powers = np.exp(windows - windows.max((2, 3), keepdims=True))
    return np.asarray(powers / powers.sum((2, 3), keepdims=True))


def equal_anywhere(d: Array, x: Array, k: int, s: int) -> Any:
    """Every pixel of the channel that equals a window's maximum."""
    d_x = np.zeros(x.shape)
    for i, j in np.ndindex(d.shape[2:]):
        at = x[:, :, i * s : i * s + k, j * s : j * s + k]
        d_x += (x == at.max((2, 3), keepdims=True)) * d[:, :, i, j, None, None]
    return d_x


def largest_gradient(d: Array, x: Array, k: int, s: int) -> Any:
    """A pixel that several windows choose gets only one of their gradients."""
    found = np.full(x.shape, -np.inf)
    for i, j in np.ndindex(d.shape[2:]):
        at = np.s_[:, :, i * s : i * s + k, j * s : j * s + k]
        chosen = np.where(first_maximum(x[at]) > 0, d[:, :, i, j, None, None], -np.inf)
        found[at] = np.maximum(found[at], chosen)
    return np.where(np.isinf(found), 0, found)


def reached(axes: tuple[int, ...]) -> Share:
    """1 where a value is the largest over some axes of (N, C, k, k)."""
    return lambda w: np.asarray(w == w.max(axes, keepdims=True), dtype=np.float64)


def even_in(name: str) -> Share:
    """The same for some of the pixels of a window."""
    return lambda w: even(w) * masked(name)(max(w.shape[2:]))


def all_in(name: str) -> Share:
    """The same for some of the pixels of a window, and 1 in all."""
    return lambda w: even_in(name)(w) / masked(name)(max(w.shape[2:])).mean()


AXES = ("images", "channels", "rows", "columns")
SUBSETS = [
    axes
    for n in (1, 2, 3, 4)
    for axes in itertools.combinations(range(4), n)
    if axes not in {(2, 3)}
]

MAXIMUM = (
    *shared(to_maximum),
    *(
        Wrong(
            f"maximum_over_{'_'.join(AXES[a] for a in axes)}",
            "The gradient goes to what is the largest over "
            f"{' and '.join(AXES[a] for a in axes)} of the windows at a place; it goes to the "
            "largest over rows and columns.",
            Spread(reached(axes)),
        )
        for axes in SUBSETS
    ),
    *(
        Wrong(
            f"part_{name}",
            f"You look for the maximum in {said}; look at all its pixels.",
            Spread(of_part(name)),
        )
        for name, (said, _) in MASKS.items()
    ),
    *PUTS,
    Wrong(
        "divided_by_stride",
        "You divide the maximum's number by the stride for its row and column; divide it by "
        "kernel_size: divmod(argmax, k).",
        taken_apart(lambda k, s: s),
    ),
    Wrong(
        "shares_of_softmax",
        "You spread the gradient as a softmax does; all of it goes to the maximum.",
        Spread(proportional),
    ),
    Wrong(
        "equal_anywhere",
        "Every pixel of the channel that equals a window's maximum gets its gradient; compare "
        "within the window.",
        equal_anywhere,
    ),
    Wrong(
        "largest_gradient_kept",
        "A pixel that is the maximum of several windows gets the largest of their gradients; "
        "it gets their sum.",
        largest_gradient,
    ),
    Wrong(
        "maximum_of_magnitudes",
        "You look for the maximum in absolute values of x, and give to each at a tie; take x.",
        Spread(lambda w: reached((2, 3))(np.abs(w))),
    ),
    Wrong(
        "maxima_of_first_channel",
        "You use the first channel's maxima for every channel.",
        Spread(first_maximum, seen=lambda x: np.repeat(x[:, :1], x.shape[1], 1)),
    ),
    Wrong(
        "maxima_of_last_channel",
        "You use the last channel's maxima for every channel.",
        Spread(first_maximum, seen=lambda x: np.repeat(x[:, -1:], x.shape[1], 1)),
    ),
    Wrong(
        "maxima_of_last_image",
        "You use the last image's maxima for every image of the batch.",
        Spread(first_maximum, seen=lambda x: np.repeat(x[-1:], len(x), 0)),
    ),
    Wrong(
        "second_largest",
        "The gradient goes to the second largest value of each window; it goes to the largest.",
        Spread(lambda w: first_maximum(np.where(first_maximum(w) > 0, -np.inf, w))),
    ),
    Wrong(
        "times_maximum",
        "You multiply each gradient by the maximum; pass top_diff on as it is.",
        Spread(lambda w: first_maximum(w) * w.max((2, 3), keepdims=True)),
    ),
    Wrong(
        "only_positive_pixels",
        "A maximum that is negative gets no gradient; it gets all of it, too.",
        Spread(lambda w: first_maximum(w) * (w > 0)),
    ),
)


def in_windows_of(rows: Place, columns: Place) -> Callable[..., Any]:
    """Shares of 1 / kernel_size ** 2 in windows of another size."""
    spread = Spread(lambda w: np.ones(w.shape), rows=rows, columns=columns)
    return lambda d, x, k, s: spread(d, x, k, s) / k**2


OTHER_SIZES = ("too_many", "too_few", "of_stride", "to_the_end", "from_the_start", "all")
AVERAGE = (
    *shared(to_all),
    *(
        Wrong(
            f"{which}_{name}_over_all",
            f"The {words} of your windows {BOTH[name]}.",
            in_windows_of(
                *(
                    PLACES["rows"][name][1] if axis in which else window
                    for axis in ("row", "col")
                )
            ),
        )
        for name in OTHER_SIZES
        for which, words in (
            ("row", "rows"),
            ("col", "columns"),
            ("row_and_col", "rows and columns"),
        )
    ),
    *(
        Wrong(
            f"divided_by_{name}",
            f"You divide each gradient by {said}; divide by kernel_size ** 2.",
            lambda d, x, k, s, by=by: to_all(d, x, k, s) * k * k / by(x, k, s),
        )
        for name, (said, by) in DIVISORS.items()
        if name != "images"
    ),
    *(
        Wrong(
            f"part_{name}",
            f"You give shares to {said}; give them to all its pixels.",
            Spread(even_in(name)),
        )
        for name, (said, _) in MASKS.items()
    ),
    *(
        Wrong(
            f"part_gets_all_{name}",
            f"You spread each gradient over {said}; spread it over all its pixels.",
            Spread(all_in(name)),
        )
        for name, (said, _) in MASKS.items()
    ),
    Wrong(
        "times_x",
        "You multiply shares by the pixels of x; every pixel gets the same share.",
        Spread(lambda w: even(w) * w),
    ),
    Wrong(
        "shares_of_softmax",
        "You spread the gradient as a softmax does; every pixel gets the same share.",
        Spread(proportional),
    ),
    Wrong(
        "only_positive_pixels",
        "Pixels that are negative get no share; every pixel gets one.",
        Spread(lambda w: even(w) * (w > 0)),
    ),
)
