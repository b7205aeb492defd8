"""The gradients of a convolution: reference and likely mistakes (chapter 14)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stylelib.check.convolution import CASES, Array, forward, forward_arguments, padded_with
from stylelib.check.exercises import Arguments, Exercise, Wrong

__all__ = ["EXERCISES"]

Gradients = tuple[Array, Array, Array]
Gradient = Callable[..., Array]


def backward_arguments() -> list[Arguments]:
    """Three calls, (top_diff, x, weight, padding, stride)."""
    random = np.random.default_rng(15)
    calls: list[Arguments] = []
    for x, weight, bias, padding, stride in forward_arguments():
        shape = forward(x, weight, bias, padding, stride).shape
        calls.append((random.standard_normal(shape, np.float32), x, weight, padding, stride))
    return calls


def backward(
    top_diff: Array, x: Array, weight: Array, padding: int, stride: int, step: int | None = None
) -> Gradients:
    """Window by window, the gradients of all three; `step` is the distance of the windows."""
    padded = padded_with(x, padding)
    d_padded, d_weight = np.zeros_like(padded), np.zeros(weight.shape)
    top_diff, weight = top_diff.astype(np.float64), weight.astype(np.float64)
    k, step = weight.shape[2], stride if step is None else step
    for n, o, i, j in np.ndindex(top_diff.shape):
        at = n, slice(None), slice(i * step, i * step + k), slice(j * step, j * step + k)
        d_padded[at] += top_diff[n, o, i, j] * weight[o]
        d_weight[o] += top_diff[n, o, i, j] * padded[at]
    return trimmed(d_padded, padding), d_weight, np.einsum("noij->o", top_diff)


def trimmed(padded: Array, padding: int) -> Array:
    """Without its border."""
    return padded[:, :, padding : padded.shape[2] - padding, padding:][
        :, :, :, : padded.shape[3] - 2 * padding
    ]


def scattered(
    top_diff: Array, x: Array, weight: Array, padding: int, stride: int, *, add: bool = True
) -> Array:
    """The gradient of the padded input; without `add`, the last window wins."""
    d_padded, k = np.zeros_like(padded_with(x, padding)), weight.shape[2]
    for n, i, j in np.ndindex(top_diff.shape[0], *top_diff.shape[2:]):
        at = (
            n,
            slice(None),
            slice(i * stride, i * stride + k),
            slice(j * stride, j * stride + k),
        )
        share = np.einsum("o,ocuv->cuv", top_diff[n, :, i, j], weight)
        d_padded[at] = share + d_padded[at] * add
    return d_padded


def last_kernel_wins(top_diff: Array, x: Array, weight: Array, p: int, s: int) -> Array:
    """Output channel by output channel, = in place of +=."""
    d_padded, k = np.zeros_like(padded_with(x, p)), weight.shape[2]
    for n, o, i, j in np.ndindex(top_diff.shape):
        at = n, slice(None), slice(i * s, i * s + k), slice(j * s, j * s + k)
        d_padded[at] = top_diff[n, o, i, j] * weight[o]
    return trimmed(d_padded, p)


def last_position_wins(top_diff: Array, x: Array, weight: Array, p: int, s: int) -> Array:
    """Position by position of the kernel, = in place of +=."""
    d_padded, (H, W) = np.zeros_like(padded_with(x, p)), top_diff.shape[2:]
    for u, v in np.ndindex(weight.shape[2:]):
        at = np.s_[:, :, u : u + s * H : s, v : v + s * W : s]
        d_padded[at] = np.einsum("noij,oc->ncij", top_diff, weight[:, :, u, v])
    return trimmed(d_padded, p)


def cut_at_the_end(top_diff: Array, x: Array, weight: Array, p: int, s: int) -> Array:
    """The border is taken off below and on the right."""
    return scattered(top_diff, x, weight, p, s)[:, :, : x.shape[2], : x.shape[3]]


def emptied(version: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """Cut with padding:-padding, which is 0:0 without padding."""

    def emptied_version(d: Array, x: Array, weight: Array, p: int, s: int) -> Gradients:
        d_x, d_weight, d_bias = version(d, x, weight, p, s)
        return (d_x if p else d_x[:, :, :0, :0]), d_weight, d_bias

    return emptied_version


def last_window_wins(top_diff: Array, x: Array, weight: Array, p: int, s: int) -> Array:
    """The gradient of the weights, = in place of += at each window."""
    last = np.zeros_like(top_diff)
    last[-1, :, -1, -1] = top_diff[-1, :, -1, -1]
    return backward(last, x, weight, p, s)[1]


def channels_reshaped(weight: Array) -> Array:
    """(out, in, k, k) called (in, out, k, k), and what is then the kernel of the loops."""
    out, channels, *window = weight.shape
    return weight.reshape(channels, out, *window).swapaxes(0, 1)


def channels_transposed(weight: Array) -> Array:
    """(in, out, k, k) called (out, in, k, k)."""
    return weight.swapaxes(0, 1).reshape(weight.shape)


def transposed_and_reshaped(weight: Array) -> Array:
    """(in k k, out) called (out, in, k, k)."""
    return weight.reshape(len(weight), -1).T.reshape(weight.shape)


def mixed(top_diff: Array) -> Array:
    """(N, out, H', W') read as (out, N, H', W')."""
    N, out, *places = top_diff.shape
    return top_diff.reshape(out, N, *places).swapaxes(0, 1)


def with_x(wrong: Gradient) -> Callable[..., Gradients]:
    """A mistake in the gradient of x alone."""

    def version(top_diff: Array, x: Array, weight: Array, p: int, s: int) -> Gradients:
        _, d_weight, d_bias = backward(top_diff, x, weight, p, s)
        return wrong(top_diff, x, weight, p, s), d_weight, d_bias

    return version


def with_weight(wrong: Gradient) -> Callable[..., Gradients]:
    """A mistake in the gradient of the weights alone."""

    def version(top_diff: Array, x: Array, weight: Array, p: int, s: int) -> Gradients:
        d_x, _, d_bias = backward(top_diff, x, weight, p, s)
        return d_x, wrong(top_diff, x, weight, p, s), d_bias

    return version


def with_bias(wrong: Callable[[Array], Any]) -> Callable[..., Gradients]:
    """A mistake in the gradient of the bias alone, a function of top_diff."""

    def version(top_diff: Array, x: Array, weight: Array, p: int, s: int) -> Gradients:
        d_x, d_weight, _ = backward(top_diff, x, weight, p, s)
        return d_x, d_weight, wrong(top_diff)

    return version


WRONG_X = (
    Wrong(
        "kernel_flipped_twice",
        "Your d_x uses a kernel rotated by 180 degrees: with loops add weight[o] as it is, and "
        "with a convolution of top_diff rotate it exactly once.",
        with_x(lambda d, x, w, p, s: backward(d, x, w[:, :, ::-1, ::-1], p, s)[0]),
    ),
    Wrong(
        "kernel_flipped_on_one_axis",
        "Your d_x flips the kernel along one axis only; rotate it by 180 degrees, which flips "
        "both.",
        with_x(lambda d, x, w, p, s: backward(d, x, w[:, :, :, ::-1], p, s)[0]),
    ),
    Wrong(
        "kernel_flipped_upside_down",
        "Your d_x flips the rows of the kernel but not its columns; rotate it by 180 degrees.",
        with_x(lambda d, x, w, p, s: backward(d, x, w[:, :, ::-1], p, s)[0]),
    ),
    Wrong(
        "kernel_transposed_in_x",
        "Your d_x swaps rows and columns of the kernel.",
        with_x(lambda d, x, w, p, s: backward(d, x, w.swapaxes(2, 3), p, s)[0]),
    ),
    Wrong(
        "kernel_reshaped_in_x",
        "Your d_x swaps the kernel's input and output channels by a reshape, which does not "
        "move axes; transpose it: weight.transpose(1, 0, 2, 3).",
        with_x(lambda d, x, w, p, s: backward(d, x, channels_reshaped(w), p, s)[0]),
    ),
    Wrong(
        "columns_reshaped_in_x",
        "Your d_x takes weight.reshape(in k k, out) for the transposed matrix of the weights, "
        "and a reshape does not move axes; use weight.reshape(out, -1).T.",
        with_x(
            lambda d, x, w, p, s: backward(
                d, x, w.reshape(-1, len(w)).T.reshape(w.shape), p, s
            )[0]
        ),
    ),
    Wrong(
        "top_diff_reshaped_in_x",
        "Your d_x reshapes top_diff to (out, N H' W'), which mixes images and channels; "
        "transpose it first: top_diff.transpose(1, 0, 2, 3).",
        with_x(lambda d, x, w, p, s: backward(mixed(d), x, w, p, s)[0]),
    ),
    Wrong(
        "x_assigned_not_added",
        "In your d_x later windows overwrite earlier ones: a pixel under several windows gets "
        "the sum, so use += and not =.",
        with_x(lambda *a: trimmed(scattered(*a, add=False), a[3])),
    ),
    Wrong(
        "last_kernel_wins",
        "In your d_x each output channel overwrites the one before: add what comes from every "
        "channel with +=.",
        with_x(last_kernel_wins),
    ),
    Wrong(
        "last_position_wins",
        "In your d_x each position (u, v) of the kernel overwrites the one before: add what "
        "comes from every position with +=.",
        with_x(last_position_wins),
    ),
    Wrong(
        "first_output_channel_only",
        "Your d_x uses only the first output channel; add up what comes from all of them.",
        with_x(lambda d, x, w, p, s: backward(d[:, :1], x, w[:1], p, s)[0]),
    ),
    Wrong(
        "padding_not_cut",
        "Your d_x still has the border of the padding: cut `padding` rows and columns off each "
        "side.",
        with_x(scattered),
    ),
    Wrong(
        "padding_cut_at_the_end",
        "You cut all of the padding's border off below and on the right; cut `padding` rows "
        "and columns off each side.",
        with_x(cut_at_the_end),
    ),
    Wrong(
        "empty_without_padding",
        "Without padding your d_x is empty: the slice padding:-padding is 0:0 there. End it at "
        "padding + H, and at padding + W.",
        emptied(backward),
    ),
    Wrong(
        "x_divided_by_batch",
        "Your d_x is divided by the number of images; the loss has already taken its mean, if "
        "it wants one.",
        with_x(lambda d, x, w, p, s: backward(d / len(d), x, w, p, s)[0]),
    ),
    Wrong(
        "x_divided_by_kernel",
        "Your d_x is divided by the k * k pixels of a window; each pixel counts with its whole "
        "weight.",
        with_x(lambda d, x, w, p, s: backward(d / w[0, 0].size, x, w, p, s)[0]),
    ),
    Wrong(
        "x_windows_not_moved_by_stride",
        "In your d_x the windows start at (i, j); they start at (i * stride, j * stride).",
        with_x(lambda d, x, w, p, s: backward(d, x, w, p, s, step=1)[0]),
    ),
)

WRONG_WEIGHT = (
    Wrong(
        "weight_flipped",
        "Your d_weight is rotated by 180 degrees: weight[o, c, u, v] was multiplied by the "
        "pixel at (u, v) of the window, unflipped.",
        with_weight(lambda *a: backward(*a)[1][:, :, ::-1, ::-1]),
    ),
    Wrong(
        "weight_transposed",
        "Rows and columns of your d_weight are swapped.",
        with_weight(lambda *a: backward(*a)[1].swapaxes(2, 3)),
    ),
    Wrong(
        "weight_reshaped",
        "Your d_weight is a product (in k k, out) that is reshaped to the shape of the "
        "weights, and a reshape does not move axes; transpose it first.",
        with_weight(lambda *a: transposed_and_reshaped(backward(*a)[1])),
    ),
    Wrong(
        "weight_channels_reshaped",
        "Your d_weight swaps input and output channels by a reshape, which does not move "
        "axes; transpose them.",
        with_weight(lambda *a: channels_transposed(backward(*a)[1])),
    ),
    Wrong(
        "top_diff_reshaped_in_weight",
        "Your d_weight reshapes top_diff to (out, N H' W'), which mixes images and channels; "
        "transpose it first: top_diff.transpose(1, 0, 2, 3).",
        with_weight(lambda d, *a: backward(mixed(d), *a)[1]),
    ),
    Wrong(
        "weight_of_last_image",
        "Your d_weight is that of the last image alone: add up all images of the batch with "
        "+=.",
        with_weight(lambda d, x, w, p, s: backward(d[-1:], x[-1:], w, p, s)[1]),
    ),
    Wrong(
        "weight_of_first_image",
        "Your d_weight is that of the first image alone; add up all images of the batch.",
        with_weight(lambda d, x, w, p, s: backward(d[:1], x[:1], w, p, s)[1]),
    ),
    Wrong(
        "weight_divided_by_batch",
        "Your d_weight is divided by the number of images; it is a sum over the batch.",
        with_weight(lambda d, *a: backward(d / len(d), *a)[1]),
    ),
    Wrong(
        "weight_divided_by_places",
        "Your d_weight is a mean over the windows of an image; it is a sum.",
        with_weight(lambda d, *a: backward(d / d[0, 0].size, *a)[1]),
    ),
    Wrong(
        "weight_mean",
        "Your d_weight is a mean over images and windows; it is a sum over both.",
        with_weight(lambda d, *a: backward(d / d[:, 0].size, *a)[1]),
    ),
    Wrong(
        "weight_of_last_window",
        "Your d_weight is that of the last window alone: add up all windows with +=.",
        with_weight(last_window_wins),
    ),
    Wrong(
        "weight_windows_not_moved_by_stride",
        "In your d_weight the windows start at (i, j); they start at (i * stride, j * stride).",
        with_weight(lambda d, x, w, p, s: backward(d, x, w, p, s, step=1)[1]),
    ),
)

WRONG_BIAS = (
    Wrong(
        "bias_mean",
        "Your d_bias is a mean; it is the sum of top_diff over images and positions.",
        with_bias(lambda d: d.mean((0, 2, 3))),
    ),
    Wrong(
        "bias_divided_by_batch",
        "Your d_bias is divided by the number of images; it is a sum over the batch.",
        with_bias(lambda d: d.sum((0, 2, 3)) / len(d)),
    ),
    Wrong(
        "bias_divided_by_places",
        "Your d_bias is a mean over the positions of an image; it is a sum.",
        with_bias(lambda d: d.mean((2, 3)).sum(0)),
    ),
    Wrong(
        "bias_of_last_image",
        "Your d_bias is that of the last image alone: add up all images of the batch with +=.",
        with_bias(lambda d: d[-1].sum((1, 2))),
    ),
    Wrong(
        "bias_of_first_image",
        "Your d_bias is that of the first image alone; add up all images of the batch.",
        with_bias(lambda d: d[0].sum((1, 2))),
    ),
    Wrong(
        "bias_for_each_image",
        "Your d_bias has a row for each image: sum over the batch, too.",
        with_bias(lambda d: d.sum((2, 3))),
    ),
    Wrong(
        "bias_with_axes_kept",
        "Your d_bias has axes of length 1; it has the shape of the bias, (out,).",
        with_bias(lambda d: d.sum((0, 2, 3), keepdims=True)),
    ),
    Wrong(
        "top_diff_reshaped_in_bias",
        "Your d_bias reshapes top_diff to (out, N H' W'), which mixes images and channels; "
        "transpose it first: top_diff.transpose(1, 0, 2, 3).",
        with_bias(lambda d: mixed(d).sum((0, 2, 3))),
    ),
    Wrong(
        "bias_of_all_channels",
        "Your d_bias adds up all output channels; bias[o] gets the sum of channel o alone.",
        with_bias(lambda d: d.sum()),
    ),
    Wrong(
        "bias_zero",
        "Your d_bias is 0: the bias is added to every value of its channel, so its gradient is "
        "the sum of top_diff there.",
        with_bias(lambda d: np.zeros(d.shape[1])),
    ),
    Wrong(
        "bias_counted",
        "Your d_bias counts the positions: multiply each by its top_diff before you add.",
        with_bias(lambda d: np.full(d.shape[1], d[:, 0].size)),
    ),
)

WRONG_TOGETHER = (
    Wrong(
        "windows_not_moved_by_stride",
        "Your windows start at (i, j), in d_x and in d_weight; they start at "
        "(i * stride, j * stride).",
        lambda d, x, w, p, s: backward(d, x, w, p, s, step=1),
    ),
    Wrong(
        "top_diff_reshaped",
        "You reshape top_diff to (out, N H' W'), which mixes images and channels; transpose "
        "it first: top_diff.transpose(1, 0, 2, 3).",
        lambda d, *a: backward(mixed(d), *a),
    ),
    Wrong(
        "top_diff_reshaped_for_the_products",
        "For d_x and d_weight you reshape top_diff to (out, N H' W'), which mixes images and "
        "channels; transpose it first: top_diff.transpose(1, 0, 2, 3).",
        lambda d, *a: (*backward(mixed(d), *a)[:2], backward(d, *a)[2]),
    ),
    Wrong(
        "parameters_divided_by_batch",
        "Your d_weight and d_bias are divided by the number of images; they are sums over the "
        "batch.",
        lambda d, *a: (backward(d, *a)[0], *(g / len(d) for g in backward(d, *a)[1:])),
    ),
    Wrong(
        "all_divided_by_batch",
        "All your gradients are divided by the number of images; top_diff already has the "
        "factors of the loss.",
        lambda d, *a: backward(d / len(d), *a),
    ),
    Wrong(
        "parameters_of_last_image",
        "Your d_weight and d_bias are those of the last image alone: add up all images with "
        "+=.",
        lambda d, x, w, p, s: (
            backward(d, x, w, p, s)[0],
            *backward(d[-1:], x[-1:], w, p, s)[1:],
        ),
    ),
    Wrong(
        "top_diff_ignored",
        "Your gradients do not use top_diff: by the chain rule every term is multiplied by it.",
        lambda d, *a: backward(np.ones_like(d), *a),
    ),
    Wrong(
        "returned_in_other_order",
        "You return the gradients in another order: it is (d_x, d_weight, d_bias).",
        lambda *a: (backward(*a)[1], backward(*a)[2], backward(*a)[0]),
    ),
)

WRONGS = (*WRONG_X, *WRONG_WEIGHT, *WRONG_BIAS, *WRONG_TOGETHER)
EMPTY = next(wrong for wrong in WRONG_X if wrong.name == "empty_without_padding")
PAIRS = tuple(
    Wrong(
        f"{wrong.name}_and_{EMPTY.name}",
        f"{wrong.sentence} There is a second mistake, too. {EMPTY.sentence}",
        emptied(wrong.version),
    )
    for wrong in WRONGS
    if "padding" not in wrong.name and wrong.name != "returned_in_other_order"
)

EXERCISES = (
    Exercise(
        "convolution_backward",
        "the backward pass of the convolution",
        "convolution_backward(top_diff, x, weight, padding, stride)",
        backward_arguments,
        backward,
        WRONGS,
        pairs=PAIRS,
        cases=CASES,
        parts=("d_x", "d_weight", "d_bias"),
        chapter="14-convolution",
    ),
)
