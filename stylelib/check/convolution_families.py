"""Convolution forward: families of mistakes (chapter 14)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from stylelib.check.convolution import Array
from stylelib.check.exercises import Wrong

__all__ = ["WRONGS", "columns_ordered", "orders", "rows_ordered"]

Sides = tuple[int, int, int, int]


@dataclass(frozen=True)
class Convolved:
    """A convolution by parts, as one product for each position of the kernel.

    Attributes:
        pads: rows above and below, columns left and right, of the padding.
        counts: how many windows there are, of the padded sides, k, stride and padding.
        start: where window i starts, downward and across, of i, stride and padding.
        kernel: what the weights are replaced by.
        taps: the positions (u, v) of the kernel that are used, of k.
        gap: how far these are apart, of the stride.
        letters: the sum over channels, as einsum says it.
        bias: what is added, of the bias and the weights, one for each output channel.
        after: what is done to the output.
    """

    pads: Callable[[int], Sides] = lambda p: (p, p, p, p)
    counts: Callable[[int, int, int, int], Any] = lambda side, k, s, p: (side - k) // s + 1
    start: Callable[[Any, int, int], tuple[Any, Any]] = lambda i, s, p: (i * s, i * s)
    kernel: Callable[[Array], Array] = lambda w: w
    taps: Callable[[int], list[tuple[int, int]]] = lambda k: list(np.ndindex(k, k))
    gap: Callable[[int], int] = lambda s: 1
    letters: str = "ncij,oc->noij"
    bias: Callable[[Array, Array], Array] = lambda b, w: b
    after: Callable[[Array], Array] = lambda y: y

    def __call__(self, x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Any:
        """The output, in float64."""
        top, below, left, right = self.pads(padding)
        x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (top, below), (left, right)))
        k, w = weight.shape[2], self.kernel(weight.astype(np.float64))
        H, W = (int(self.counts(side, k, stride, padding)) for side in x.shape[2:])
        (down, _), (_, across) = (
            self.start(np.arange(count), stride, padding) for count in (H, W)
        )
        y = np.zeros((len(x), len(w), H, W)) + self.bias(bias, weight)[:, None, None]
        for u, v in self.taps(k):
            gap = self.gap(stride)
            seen = x[:, :, down + u * gap][:, :, :, across + v * gap]
            y += np.einsum(self.letters, seen, w[:, :, u, v])
        return self.after(y)


CONVOLVED = Convolved()


def of(name: str, sentence: str, **parts: Any) -> Wrong:
    """A mistake in parts of the convolution."""
    return Wrong(name, sentence, replace(CONVOLVED, **parts))


def orders(letters: str) -> list[tuple[tuple[int, ...], str]]:
    """All orders of axes but the first one, and each in words: "(u, v, c)"."""
    return [
        (order, f"({', '.join(letters[i] for i in order)})")
        for order in itertools.permutations(range(len(letters)))
        if order != (*range(len(letters)),)
    ]


def columns_ordered(order: tuple[int, ...]) -> Callable[[Array], Array]:
    """What the kernel of (c, u, v) is for columns in another order."""

    def kernel(w: Array) -> Array:
        shape = tuple(w.shape[1 + axis] for axis in order)
        return w.reshape(len(w), *shape).transpose(0, *(1 + np.argsort(order)))

    return kernel


def rows_ordered(order: tuple[int, ...]) -> Callable[[Array], Array]:
    """What the kernel is if its rows are in another order and the columns are not."""
    return lambda w: w.transpose(0, *(1 + axis for axis in order)).reshape(w.shape)


ORDERS = (
    *(
        of(
            f"columns_ordered_{word.strip('()').replace(', ', '')}",
            f"Your columns are ordered {word}, but a row of the weights is ordered (c, u, v), "
            "so weights meet other pixels than their own: give both one order.",
            kernel=columns_ordered(order),
        )
        for order, word in orders("cuv")
        if word != "(c, v, u)"
    ),
    *(
        of(
            f"rows_ordered_{word.strip('()').replace(', ', '')}",
            f"The rows of your weights are ordered {word}, but your columns (c, u, v), so "
            "weights meet other pixels than their own: give both one order.",
            kernel=rows_ordered(order),
        )
        for order, word in orders("cuv")
        if word not in {"(c, v, u)", "(u, v, c)"}
    ),
)

PADS: dict[str, tuple[str, Callable[[int], Sides]]] = {
    "above_and_left": (
        "All of your padding is above and on the left",
        lambda p: (2 * p, 0) * 2,
    ),
    "rows": ("You pad above and below, but not on the left and right", lambda p: (p, p, 0, 0)),
    "columns": ("You pad left and right, but not above and below", lambda p: (0, 0, p, p)),
    "once_below": ("You pad only below and on the right", lambda p: (0, p, 0, p)),
    "once_above": ("You pad above and left only, or count windows so", lambda p: (p, 0, p, 0)),
    "one_always": ("You pad by 1, whatever `padding` is", lambda p: (1, 1, 1, 1)),
    "one_more": ("You pad by one more than `padding`", lambda p: (p + 1,) * 4),
}
PADDED = tuple(
    of(f"padded_{name}", f"{said}; put `padding` zeros on each of the four sides.", pads=pads)
    for name, (said, pads) in PADS.items()
)

RIGHT_COUNT = "there are (H + 2 * padding - k) // stride + 1 rows, and columns likewise"
COUNTS: dict[str, tuple[str, Callable[[int, int, int, int], int]]] = {
    "padding_once": (
        "counts `padding` once, not for both sides",
        lambda side, k, s, p: (side - p - k) // s + 1,
    ),
    "padding_not": (
        "leaves out the padding",
        lambda side, k, s, p: (side - 2 * p - k) // s + 1,
    ),
    "kernel_less_one": (
        "has k + 1 in place of k",
        lambda side, k, s, p: (side - k - 1) // s + 1,
    ),
    "sides_over_stride": (
        "is that of the image over the stride",
        lambda side, k, s, p: min((side - 2 * p) // s, (side - k) // s + 1),
    ),
}
COUNTED = tuple(
    of(f"counted_{name}", f"The size of your output {said}: {RIGHT_COUNT}.", counts=counts)
    for name, (said, counts) in COUNTS.items()
)

STARTS: dict[str, tuple[str, Callable[[Any, int, int], tuple[Any, Any]]]] = {
    "rows_not_strided": ("(i, j * stride)", lambda i, s, p: (i, i * s)),
    "columns_not_strided": ("(i * stride, j)", lambda i, s, p: (i * s, i)),
    "one_less": ("one pixel too early", lambda i, s, p: (np.maximum(i * s - 1, 0),) * 2),
}
STARTED = tuple(
    of(
        f"windows_start_{name}",
        f"Your windows start at {said}; they start at (i * stride, j * stride)."
        if said[0] == "("
        else f"Your windows start {said}; they start at (i * stride, j * stride).",
        start=start,
    )
    for name, (said, start) in STARTS.items()
)

Taps = Callable[[int], list[tuple[int, int]]]
TAPS: dict[str, tuple[str, Taps]] = {
    "last_left_out": (
        "leave out its last row and column: range(k - 1) ends too early",
        lambda k: list(np.ndindex(k - 1, k - 1)),
    ),
    "first_left_out": (
        "leave out its first row and column: range(1, k) starts too late",
        lambda k: [(u, v) for u in range(1, k) for v in range(1, k)],
    ),
    "last_row_left_out": ("leave out its last row", lambda k: list(np.ndindex(k - 1, k))),
    "last_column_left_out": ("leave out its last column", lambda k: list(np.ndindex(k, k - 1))),
    "first_row_left_out": (
        "leave out its first row",
        lambda k: [(u, v) for u in range(1, k) for v in range(k)],
    ),
    "first_column_left_out": (
        "leave out its first column",
        lambda k: [(u, v) for u in range(k) for v in range(1, k)],
    ),
    "diagonal": ("use only its diagonal", lambda k: [(u, u) for u in range(k)]),
    "corners": (
        "use only its corners",
        lambda k: [(u, v) for u in (0, k - 1) for v in (0, k - 1)],
    ),
    "center": ("use only its center", lambda k: [(k // 2, k // 2)]),
    "first": ("use only its first weight", lambda k: [(0, 0)]),
    "last": (
        "use only its last weight: add up all of them with +=",
        lambda k: [(k - 1, k - 1)],
    ),
    "first_row": ("use only its first row", lambda k: [(0, v) for v in range(k)]),
    "last_row": (
        "use only its last row: add up all rows with +=",
        lambda k: [(k - 1, v) for v in range(k)],
    ),
    "first_column": ("use only its first column", lambda k: [(u, 0) for u in range(k)]),
    "last_column": (
        "use only its last column: add up all columns with +=",
        lambda k: [(u, k - 1) for u in range(k)],
    ),
}
TAPPED = tuple(
    of(f"taps_{name}", f"Of the k x k kernel you {said}.", taps=taps)
    for name, (said, taps) in TAPS.items()
)
DILATED = of(
    "dilated",
    "The pixels of your windows are `stride` apart, as in a dilated convolution; the stride "
    "moves the windows, whose pixels are neighbors.",
    gap=lambda s: s,
    counts=lambda side, k, s, p: min((side - k) // s + 1, (side - (k - 1) * s - 1) // s + 1),
)


def apart(x: Array, w: Array, b: Array, p: int, s: int, axes: str) -> Array:
    """Sums over some axes of the window and of the kernel, before they are multiplied."""
    pad, k = ((0, 0), (0, 0), (p, p), (p, p)), w.shape[2]
    seen = np.lib.stride_tricks.sliding_window_view(
        np.pad(x.astype(float), pad), (k, k), (2, 3)
    )
    kernel = "".join(letter.upper() if letter in axes else letter for letter in "ocuv")
    y = np.einsum(f"nchwuv,{kernel}->nohw", seen[:, :, ::s, ::s], w.astype(float))
    return np.asarray(y + b[:, None, None])


NAMES = {"c": "channels", "u": "rows", "v": "columns"}
APART = tuple(
    Wrong(
        "summed_apart_over_" + "_".join(NAMES[a] for a in axes),
        f"You add up {' and '.join(NAMES[a] for a in axes)} of the window and of the kernel "
        "by themselves and multiply the sums, as einsum does with two letters; use the same "
        "letter for both.",
        lambda x, w, b, p, s, axes="".join(axes): apart(x, w, b, p, s, axes),
    )
    for n in (1, 2, 3)
    for axes in itertools.combinations("cuv", n)
)

KERNELS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "first_kernel": (
        "Every output channel uses the first kernel; channel o has weight[o].",
        lambda w: np.repeat(w[:1], len(w), 0),
    ),
    "last_kernel": (
        "Every output channel uses the last kernel; channel o has weight[o].",
        lambda w: np.repeat(w[-1:], len(w), 0),
    ),
    "all_kernels": (
        "Every output channel uses the sum of all kernels; channel o has weight[o].",
        lambda w: np.repeat(w.sum(0, keepdims=True), len(w), 0),
    ),
    "kernels_reversed": ("Your output channels are in reverse order.", lambda w: w[::-1]),
    "first_channel_of_kernel": (
        "You use the kernel's first input channel for all of them; channel c has weight[o, c].",
        lambda w: np.repeat(w[:, :1], w.shape[1], 1),
    ),
    "last_channel_of_kernel": (
        "You use the kernel's last input channel for all of them; channel c has weight[o, c].",
        lambda w: np.repeat(w[:, -1:], w.shape[1], 1),
    ),
    "absolute_weights": ("You take absolute values of the weights; keep their signs.", np.abs),
    "weights_centered": (
        "You subtract each kernel's mean from it; use the weights as they are.",
        lambda w: w - w.mean((1, 2, 3), keepdims=True),
    ),
    "weights_normalized": (
        "You divide each kernel by its sum; use the weights as they are.",
        lambda w: w / w.sum((1, 2, 3), keepdims=True),
    ),
    "weights_of_length_one": (
        "You divide each kernel by its length; use the weights as they are.",
        lambda w: w / np.sqrt((w**2).sum((1, 2, 3), keepdims=True)),
    ),
    "kernel_turned": (
        "Your kernel is turned by 90 degrees; the forward pass slides it as it is.",
        lambda w: np.rot90(w, 1, (2, 3)),
    ),
    "kernel_turned_back": (
        "Your kernel is turned by 90 degrees; the forward pass slides it as it is.",
        lambda w: np.rot90(w, -1, (2, 3)),
    ),
    "kernel_flipped_and_transposed": (
        "Your kernel is rotated by 180 degrees and transposed; slide it as it is.",
        lambda w: w[:, :, ::-1, ::-1].swapaxes(2, 3),
    ),
    "kernels_swapped": (
        "You reshape the weights to (in, out, k, k), which mixes kernels; they are ordered "
        "(out, in, k, k).",
        lambda w: w.reshape(w.shape[1], w.shape[0], *w.shape[2:]).swapaxes(0, 1),
    ),
}
BIASES: dict[str, tuple[str, Callable[[Array, Array], Array]]] = {
    "twice": ("You add the bias twice; add it once.", lambda b, w: 2 * b),
    "for_each_place": (
        "You add the bias once for each position (u, v) of the kernel; add it once, after the "
        "sum.",
        lambda b, w: w[0, 0].size * b,
    ),
    "for_each_row": (
        "You add the bias once for each row of the kernel; add it once, after the sum.",
        lambda b, w: w.shape[2] * b,
    ),
    "mean": (
        "You add the mean of all biases; channel o gets bias[o].",
        lambda b, w: 0 * b + b.mean(),
    ),
    "last": (
        "Every output channel gets the last bias; channel o gets bias[o].",
        lambda b, w: 0 * b + b[-1],
    ),
    "reversed": (
        "Your biases are in reverse order; channel o gets bias[o].",
        lambda b, w: b[::-1],
    ),
    "first_channel_only": (
        "Only the first output channel gets its bias.",
        lambda b, w: b * (np.arange(len(b)) == 0),
    ),
    "last_channel_only": (
        "Only the last output channel gets its bias: does the line stand after the loop?",
        lambda b, w: b * (np.arange(len(b)) == len(b) - 1),
    ),
    "divided": (
        "Your bias is divided by the number of products in a window; add it as it is.",
        lambda b, w: b / w[0].size,
    ),
}
VALUES = (
    *(of(name, said, kernel=kernel) for name, (said, kernel) in KERNELS.items()),
    *(of(f"bias_{name}", said, bias=bias) for name, (said, bias) in BIASES.items()),
    of(
        "images_added_up",
        "Every image of the batch gets the sum over all of them: einsum needs the same letter "
        "for the images on both sides.",
        letters="mcij,oc->oij",
    ),
    Wrong(
        "largest_channel",
        "You take the largest of the input channels' sums; add them up.",
        lambda x, w, b, p, s: (
            np.max(
                [CONVOLVED(x[:, [c]], w[:, [c]], 0 * b, p, s) for c in range(w.shape[1])],
                axis=0,
            )
            + b[:, None, None]
        ),
    ),
    Wrong(
        "relu_before_bias",
        "You apply a ReLU before you add the bias; a convolution has none.",
        lambda x, w, b, p, s: CONVOLVED(x, w, 0 * b, p, s).clip(0) + b[:, None, None],
    ),
    Wrong(
        "bias_times",
        "You multiply by the bias; add it.",
        lambda x, w, b, p, s: CONVOLVED(x, w, 0 * b, p, s) * b[:, None, None],
    ),
    Wrong(
        "padded_with_mean",
        "Your padding has the mean of the image; it should be zeros.",
        lambda x, w, b, p, s: CONVOLVED(
            np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=x.mean()), w, b, 0, s
        ),
    ),
    Wrong(
        "padded_with_ones",
        "Your padding has ones; it should be zeros.",
        lambda x, w, b, p, s: CONVOLVED(
            np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), constant_values=1), w, b, 0, s
        ),
    ),
    Wrong(
        "inputs_absolute",
        "You take absolute values of x; keep their signs.",
        lambda x, w, b, p, s: CONVOLVED(np.abs(x), w, b, p, s),
    ),
    Wrong(
        "padding_and_stride_swapped",
        "You take the padding for the stride and the stride for the padding.",
        lambda x, w, b, p, s: CONVOLVED(x, w, b, s, p),
    ),
    Wrong(
        "convolved_twice_strided",
        "The windows are too far apart: the stride counts twice, in the start of a window and "
        "in a slice [::stride] of the output.",
        lambda x, w, b, p, s: CONVOLVED(x, w, b, p, s)[:, :, ::s, ::s],
    ),
)

WRONGS = (*ORDERS, *PADDED, *COUNTED, *STARTED, *TAPPED, DILATED, *APART, *VALUES)
