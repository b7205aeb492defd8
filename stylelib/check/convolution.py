"""Convolution forward: references and likely mistakes (chapter 14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylelib.check.exercises import Arguments, Exercise, Wrong

__all__ = ["CASES", "EXERCISES", "Array", "forward", "forward_arguments", "padded_with"]

Array = NDArray[Any]


CASES = (
    "a padding of 1 and a stride of 1",
    "a padding of 1 and a stride of 2",
    "no padding and a stride of 2",
)


def forward_arguments() -> list[Arguments]:
    """Three calls, (x, weight, bias, padding, stride): as in VGG-19, with a stride of 2, and
    without padding.
    """
    random = np.random.default_rng(14)
    sizes = ((3, 2, 4, 5, 8), (2, 3, 5, 6, 9), (3, 2, 4, 5, 8))
    calls: list[Arguments] = []
    for (N, C, out, H, W), padding, stride in zip(sizes, (1, 1, 0), (1, 2, 2), strict=True):
        shapes = (N, C, H, W), (out, C, 3, 3), (out,)
        arrays = (random.standard_normal(shape, np.float32) for shape in shapes)
        calls.append((*arrays, padding, stride))
    return calls


def forward(x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Array:
    """The formula, one window at a time, in float64."""
    padded = padded_with(x, padding)
    k = weight.shape[2]
    y = np.zeros((len(x), len(weight), *counts(padded.shape, k, stride)))
    for n, o, i, j in np.ndindex(y.shape):
        window = padded[n, :, i * stride : i * stride + k, j * stride : j * stride + k]
        y[n, o, i, j] = bias[o] + np.sum(window * weight[o])
    return y


def padded_with(x: Array, padding: int, mode: Any = "constant") -> Array:
    """The images with a border, in float64."""
    border = (padding, padding)
    return np.pad(x.astype(np.float64), ((0, 0), (0, 0), border, border), mode)


def counts(shape: tuple[int, ...], k: int, stride: int) -> tuple[int, int]:
    """How many windows fit into (N, C, H, W), downward and across."""
    return (shape[2] - k) // stride + 1, (shape[3] - k) // stride + 1


def crowded(x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Array:
    """As many windows as there should be, but one pixel apart."""
    y = forward(x, weight, bias, padding, 1)
    return y[:, :, : -(-y.shape[2] // stride), : -(-y.shape[3] // stride)]


def channels_first(x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Array:
    """The right products, read in the wrong order."""
    right = forward(x, weight, bias, padding, stride)
    return right.transpose(1, 0, 2, 3).reshape(right.shape)


def batch_last(x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Array:
    """The right products (O, H', W', N), reshaped to (N, O, H', W') without a transpose."""
    right = forward(x, weight, bias, padding, stride)
    return right.transpose(1, 2, 3, 0).reshape(right.shape)


def badly_paired(x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Array:
    """Kernels in the order (u, v, c) meet windows in the order (c, u, v)."""
    turned = weight.transpose(0, 2, 3, 1).reshape(weight.shape)
    return forward(x, turned, bias, padding, stride)


def unfinished(x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Array:
    """The last row and column of windows are never reached."""
    y = forward(x, weight, bias, padding, stride)
    y[:, :, -1], y[:, :, :, -1] = 0, 0
    return y


def without_padding(x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Array:
    """The windows of the image itself, in an array that was made for all."""
    y = np.zeros_like(forward(x, weight, bias, padding, stride))
    found = forward(x, weight, bias, 0, stride)
    y[:, :, : found.shape[2], : found.shape[3]] = found
    return y


def padded_below(x: Array, weight: Array, bias: Array, padding: int, stride: int) -> Array:
    """All of the padding below and on the right."""
    both = (0, 2 * padding)
    return forward(np.pad(x, ((0, 0), (0, 0), both, both)), weight, bias, 0, stride)


def bordered(mode: str) -> Callable[..., Array]:
    """Padding with something else than zeros."""
    return lambda x, w, b, p, s: forward(padded_with(x, p, mode), w, b, 0, s)


FORWARD = (
    Wrong(
        "bias_forgotten",
        "Your convolution leaves out the bias: add bias[o] to every value of channel o.",
        lambda x, w, b, p, s: forward(x, w, 0 * b, p, s),
    ),
    Wrong(
        "kernel_flipped",
        "Your kernel is rotated by 180 degrees, as in mathematics; in a neural network the "
        "forward pass slides the kernel as it is.",
        lambda x, w, b, p, s: forward(x, w[:, :, ::-1, ::-1], b, p, s),
    ),
    Wrong(
        "kernel_flipped_with_channels",
        "Your kernel is flipped along all axes, channels included, as scipy.signal.convolve "
        "does; the forward pass slides it as it is.",
        lambda x, w, b, p, s: forward(x, w[:, ::-1, ::-1, ::-1], b, p, s),
    ),
    Wrong(
        "kernel_transposed",
        "Rows and columns of your kernel are swapped: weight[o, c, u, v] belongs to the pixel "
        "u rows down and v columns across.",
        lambda x, w, b, p, s: forward(x, w.transpose(0, 1, 3, 2), b, p, s),
    ),
    Wrong(
        "kernel_mirrored",
        "Your kernel is mirrored along one axis only; the forward pass does not flip it.",
        lambda x, w, b, p, s: forward(x, w[:, :, :, ::-1], b, p, s),
    ),
    Wrong(
        "kernel_upside_down",
        "Your kernel is turned upside down; the forward pass does not flip it.",
        lambda x, w, b, p, s: forward(x, w[:, :, ::-1], b, p, s),
    ),
    Wrong(
        "stride_ignored",
        "Your windows are one pixel apart whatever the stride is; the next window starts "
        "`stride` pixels further on.",
        lambda x, w, b, p, s: forward(x, w, b, p, 1),
    ),
    Wrong(
        "windows_not_moved_by_stride",
        "You compute the right number of windows, but they start at (i, j) and not at "
        "(i * stride, j * stride).",
        crowded,
    ),
    Wrong(
        "padding_ignored",
        "Your convolution does not pad the image: put `padding` rows and columns of zeros on "
        "each side first.",
        lambda x, w, b, p, s: forward(x, w, b, 0, s),
    ),
    Wrong(
        "border_left_zero",
        "Your output has the right size, but is computed without padding, so its end stays "
        "0: put `padding` zeros on each side of x first.",
        without_padding,
    ),
    Wrong(
        "padded_twice",
        "Your image is padded by twice as much as it should be: `padding` rows and columns of "
        "zeros on each side.",
        lambda x, w, b, p, s: forward(x, w, b, 2 * p, s),
    ),
    Wrong(
        "padded_with_edge",
        "Your padding repeats the pixels of the border; it should be zeros.",
        bordered("edge"),
    ),
    Wrong(
        "padded_with_reflection",
        "Your padding mirrors the image at its border; it should be zeros.",
        bordered("reflect"),
    ),
    Wrong(
        "padded_with_wrap",
        "Your padding takes the pixels of the opposite side; it should be zeros.",
        bordered("wrap"),
    ),
    Wrong(
        "padded_on_one_side",
        "All of your padding is below and on the right; put `padding` zeros on each of the "
        "four sides.",
        padded_below,
    ),
    Wrong(
        "first_channel_only",
        "Your sum takes only the first input channel; add the products of all of them.",
        lambda x, w, b, p, s: forward(x[:, :1], w[:, :1], b, p, s),
    ),
    Wrong(
        "last_channel_only",
        "Only the last input channel is left in your output: add the channels up with += and "
        "do not assign with =.",
        lambda x, w, b, p, s: forward(x[:, -1:], w[:, -1:], b, p, s),
    ),
    Wrong(
        "mean_of_products",
        "You take the mean of the products in a window; it should be their sum.",
        lambda x, w, b, p, s: forward(x, w / w[0].size, b, p, s),
    ),
    Wrong(
        "divided_by_kernel",
        "You divide by the k * k pixels of the window; a convolution is a plain sum.",
        lambda x, w, b, p, s: forward(x, w / w[0, 0].size, b, p, s),
    ),
    Wrong(
        "mean_of_channels",
        "You take the mean over the input channels; they should be added up.",
        lambda x, w, b, p, s: forward(x, w / w.shape[1], b, p, s),
    ),
    Wrong(
        "bias_for_each_channel",
        "You add the bias once for each input channel; add it once after the sum over them.",
        lambda x, w, b, p, s: forward(x, w, w.shape[1] * b, p, s),
    ),
    Wrong(
        "bias_for_each_product",
        "You add the bias to every product in the window; add it once after the sum.",
        lambda x, w, b, p, s: forward(x, w, w[0].size * b, p, s),
    ),
    Wrong(
        "biases_added_up",
        "You add the sum of all biases to every channel; channel o gets bias[o].",
        lambda x, w, b, p, s: forward(x, w, np.full_like(b, b.sum()), p, s),
    ),
    Wrong(
        "bias_subtracted",
        "You subtract the bias; add it.",
        lambda x, w, b, p, s: forward(x, w, -b, p, s),
    ),
    Wrong(
        "first_bias_for_all",
        "Every output channel gets the first bias; channel o should get bias[o].",
        lambda x, w, b, p, s: forward(x, w, np.full_like(b, b[0]), p, s),
    ),
    Wrong(
        "batch_and_channels_mixed",
        "Your values are right but in the wrong places: the product is ordered (out, N, H', "
        "W'), so transpose it before you call it (N, out, H', W').",
        channels_first,
    ),
    Wrong(
        "batch_last_reshaped",
        "Your values are right but in the wrong places: the product is ordered (out, H', W', "
        "N), and a reshape does not move its axes; transpose it to (N, out, H', W').",
        batch_last,
    ),
    Wrong(
        "weights_in_other_order",
        "Your kernels and your columns are in different orders: if a row of weights is ordered "
        "(c, u, v), so must be a column of the window.",
        badly_paired,
    ),
    Wrong(
        "weights_reshaped_not_transposed",
        "You reshape the weights to (in k k, out), which mixes the kernels; reshape them to "
        "(out, in k k) and transpose that.",
        lambda x, w, b, p, s: forward(x, w.reshape(-1, len(w)).T.reshape(w.shape), b, p, s),
    ),
    Wrong(
        "channels_reversed",
        "Your kernels meet the input channels in reverse order.",
        lambda x, w, b, p, s: forward(x[:, ::-1], w, b, p, s),
    ),
    Wrong(
        "first_image_for_all",
        "Every image of the batch gets the output of the first one; use x[n] for image n.",
        lambda x, w, b, p, s: forward(np.repeat(x[:1], len(x), 0), w, b, p, s),
    ),
    Wrong(
        "one_window_short",
        "Your output is one row and one column too small: there are "
        "(H + 2 * padding - k) // stride + 1 rows, and you left out the + 1.",
        lambda x, w, b, p, s: forward(x, w, b, p, s)[:, :, :-1, :-1],
    ),
    Wrong(
        "last_windows_left_out",
        "The last row and the last column of your output stay 0: your loops stop one window "
        "too early.",
        unfinished,
    ),
    Wrong(
        "relu_included",
        "You also apply a ReLU; a convolution may return negative values.",
        lambda x, w, b, p, s: forward(x, w, b, p, s).clip(0),
    ),
)


EXERCISES = (
    Exercise(
        "convolution_forward",
        "the output of the convolution",
        "convolution_forward(x, weight, bias, padding, stride)",
        forward_arguments,
        forward,
        FORWARD,
        cases=CASES,
        chapter="14-convolution",
    ),
)
