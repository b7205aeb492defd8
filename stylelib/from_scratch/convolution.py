"""Convolution by hand: as loops, and as one matrix product (chapter 14)."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from stylelib.arguments import check_seed, choice, whole
from stylelib.errors import InputError
from stylelib.from_scratch.windows import (
    METHODS,
    Array,
    Layer,
    Method,
    check_features,
    check_top_diff,
    windows,
)

__all__ = ["Convolution", "convolve", "im2col"]

BLOCK_BYTES = 16 * 2**20
"""The approximate memory of the columns at a time. Those of a whole layer may take hundreds of
megabytes."""

_scratch = threading.local()  # memory for columns, one per thread for all layers


def im2col(x: Array, kernel_size: int, stride: int, out: Array | None = None) -> Array:
    """The windows of one image as the columns of a matrix.

    Args:
        x: the padded image, (C, H, W).
        kernel_size: k, the side of a window.
        stride: the distance between windows.
        out: a C-contiguous array of the result's shape to write to; None makes a new one.

    Returns:
        A matrix (C k k, H' W'), a copy with k k times the memory. Row (c, i, j) holds the
        values of all windows in channel c at position (i, j).

    Source: Chellapilla, Puri and Simard (2006).

    Example:
        >>> im2col(np.arange(9.0).reshape(1, 3, 3), kernel_size=2, stride=1)
        array([[0., 1., 3., 4.],
               [1., 2., 4., 5.],
               [3., 4., 6., 7.],
               [4., 5., 7., 8.]])
    """
    view = windows(x[None], kernel_size, stride)[0]  # (C, H', W', k, k)
    view = view.transpose(0, 3, 4, 1, 2)  # (C, k, k, H', W')
    if out is None:
        out = np.empty((x.shape[0] * kernel_size**2, view[0, 0, 0].size), dtype=x.dtype)
    np.copyto(out.reshape(view.shape), view)
    return out  # (C k k, H' W')


def convolve(
    x: Array, weight: Array, stride: int, out: Array, bias: Array | None = None
) -> None:
    """Convolution as one matrix product for each strip of an image.

    Args:
        x: the padded images, (N, in, H, W).
        weight: (out, in, k, k).
        stride: the distance between windows.
        out: the array (N, out, H', W') for the result, which is overwritten.
        bias: (out,), added if given.
    """
    k = weight.shape[-1]
    matrix = weight.reshape(len(weight), -1)  # (out, in k k)
    flat = out.reshape(*out.shape[:2], -1)  # (N, out, H' W')
    for n, strip, positions in _strips(out, stride, weight.shape):
        block = flat[n, :, positions]  # (out, positions)
        columns = _columns(weight.shape, block)
        im2col(x[n, :, strip], k, stride, columns)
        np.matmul(matrix, columns, out=block)
        if bias is not None:
            block += bias[:, None]


def _strips(
    out: Array, stride: int, weight_shape: tuple[int, ...]
) -> Iterator[tuple[int, slice, slice]]:
    """A few rows of windows of one image at a time: (n, rows of x, positions in out)."""
    height, width = out.shape[2:]
    _, channel_in, k, _ = weight_shape
    row_bytes = channel_in * k * k * width * out.itemsize
    rows = max(1, BLOCK_BYTES // row_bytes)
    for n in range(len(out)):
        for first in range(0, height, rows):
            last = min(first + rows, height)
            strip = slice(first * stride, (last - 1) * stride + k)
            yield n, strip, slice(first * width, last * width)


def _columns(weight_shape: tuple[int, ...], block: Array) -> Array:
    """Memory (in k k, positions) for the columns of a block (out, positions), which is reused.

    New memory comes from the system page by page, which takes a quarter of the time on an idle
    machine.
    """
    shape = math.prod(weight_shape[1:]), block.shape[1]
    size = math.prod(shape)
    memory: Array | None = getattr(_scratch, "memory", None)
    if memory is None or memory.size < size or memory.dtype != block.dtype:
        _scratch.memory = memory = np.empty(size, dtype=block.dtype)
    return memory[:size].reshape(shape)


class Convolution(Layer):
    """Convolution as in neural networks: the kernel is not flipped.

    Args:
        kernel_size: k, the side of the square kernel.
        channel_in: channels of the input.
        channel_out: channels of the output.
        padding: the number of zeros on each side of the image.
        stride: the distance between windows.
        method: "im2col", or "loops", which is the formula and hundreds of times slower.
        trainable: whether `backward` computes `d_weight` and `d_bias`, which takes half of its
            time. Style transfer moves pixels and does not need them.
        seed: for the initial weights, scaled as in He et al. (2015); the bias is 0. None leaves
            the weights at 0, if you set them yourself.

    Attributes:
        weight: (out, in, k, k).
        bias: (out,).
        d_weight: the gradient with respect to `weight` from the last `backward`; None before
            it, or if the layer is not trainable.
        d_bias: the gradient with respect to `bias` from the last `backward`, or None.

    Raises:
        InputError: a size is not a whole number or too small, features have another shape or
            dtype, weights have another shape, or `backward` comes before `forward`.

    Source: LeCun et al. (1989); as a matrix product, Chellapilla, Puri and Simard (2006).

    Example:
        >>> layer = Convolution(3, channel_in=1, channel_out=1, padding=1)
        >>> layer.weight[:] = 1
        >>> layer.forward(np.ones((1, 1, 3, 3)))
        array([[[[4., 6., 4.],
                 [6., 9., 6.],
                 [4., 6., 4.]]]])
    """

    def __init__(
        self,
        kernel_size: int,
        channel_in: int,
        channel_out: int,
        padding: int = 0,
        stride: int = 1,
        method: Method = "im2col",
        *,
        trainable: bool = True,
        seed: int | None = 0,
    ) -> None:
        self.kernel_size = whole("kernel_size", kernel_size)
        self.channel_in = whole("channel_in", channel_in)
        self.channel_out = whole("channel_out", channel_out)
        self.padding = whole("padding", padding, least=0)
        self.stride = whole("stride", stride)
        self.method = choice("method", method, METHODS)
        self.trainable = trainable
        shape = self.channel_out, self.channel_in, self.kernel_size, self.kernel_size
        self._weight_shape = shape
        self.weight: Array = np.zeros(shape, dtype=np.float32)
        if seed is not None:
            random = np.random.default_rng(check_seed(seed))
            spread = np.float32(np.sqrt(2 / (self.channel_in * self.kernel_size**2)))
            self.weight = spread * random.standard_normal(shape, dtype=np.float32)
        self.bias: Array = np.zeros(self.channel_out, dtype=np.float32)
        self.d_weight: Array | None = None
        self.d_bias: Array | None = None
        self._x: Array | None = None  # the padded input, if `backward` needs it
        self._shapes: tuple[tuple[int, ...], tuple[int, ...]] | None = None

    def forward(self, x: Array) -> Array:
        """(N, in, H, W) to (N, out, H', W'), with H' = (H + 2 padding - k) // stride + 1."""
        check_features(x, self.channel_in)
        padded = self._pad(x)
        height, width = windows(padded, self.kernel_size, self.stride).shape[2:4]
        out: Array = np.empty((len(x), self.channel_out, height, width), dtype=x.dtype)
        self._x = padded if self.trainable else None
        self._shapes = padded.shape, out.shape
        weight, bias = self._parameters(x.dtype)
        if self.method == "loops":
            self._forward_loops(padded, weight, bias, out)
        else:
            convolve(padded, weight, self.stride, out, bias)
        return out

    def backward(self, top_diff: Array) -> Array:
        """The gradient with respect to the input; sets `d_weight` and `d_bias`.

        Args:
            top_diff: the gradient of a loss with respect to the output of the last `forward`.

        Returns:
            The gradient of that loss with respect to the input of the last `forward`.
        """
        check_top_diff(top_diff, self._shapes and self._shapes[1])
        assert self._shapes is not None
        weight, _ = self._parameters(top_diff.dtype)
        padded_shape, loops = self._shapes[0], self.method == "loops"
        self.d_weight = self.d_bias = None
        if self._x is not None:  # the layer was trainable in the last forward
            d_weight = self._d_weight_loops if loops else self._d_weight
            self.d_weight = d_weight(top_diff, self._x)
            self.d_bias = top_diff.sum(axis=(0, 2, 3))
        d_x = self._d_x_loops if loops else self._d_x
        return d_x(top_diff, weight, padded_shape)

    def _forward_loops(self, x: Array, weight: Array, bias: Array, out: Array) -> None:
        k, s = self.kernel_size, self.stride
        for n, o, i, j in np.ndindex(out.shape):
            window = x[n, :, i * s : i * s + k, j * s : j * s + k]  # (in, k, k)
            out[n, o, i, j] = np.sum(window * weight[o]) + bias[o]

    def _d_weight_loops(self, top_diff: Array, x: Array) -> Array:
        k, s = self.kernel_size, self.stride
        d_weight: Array = np.zeros(self._weight_shape, dtype=top_diff.dtype)
        for n, o, i, j in np.ndindex(top_diff.shape):
            window = x[n, :, i * s : i * s + k, j * s : j * s + k]  # (in, k, k)
            d_weight[o] += top_diff[n, o, i, j] * window
        return d_weight

    def _d_x_loops(
        self, top_diff: Array, weight: Array, padded_shape: tuple[int, ...]
    ) -> Array:
        k, s = self.kernel_size, self.stride
        d_x: Array = np.zeros(padded_shape, dtype=top_diff.dtype)
        for n, o, i, j in np.ndindex(top_diff.shape):
            window = d_x[n, :, i * s : i * s + k, j * s : j * s + k]  # (in, k, k)
            window += top_diff[n, o, i, j] * weight[o]
        return self._cut(d_x)

    def _d_weight(self, top_diff: Array, x: Array) -> Array:
        shape = self._weight_shape
        flat = top_diff.reshape(*top_diff.shape[:2], -1)  # (N, out, H' W')
        d_matrix: Array | None = None  # (out, in k k)
        for n, strip, positions in _strips(top_diff, self.stride, shape):
            block = flat[n, :, positions]  # (out, positions)
            columns = _columns(shape, block)
            im2col(x[n, :, strip], self.kernel_size, self.stride, columns)
            product = block @ columns.T
            d_matrix = product if d_matrix is None else np.add(d_matrix, product, out=product)
        assert d_matrix is not None  # an output is never empty
        return d_matrix.reshape(shape)

    def _d_x(self, top_diff: Array, weight: Array, padded_shape: tuple[int, ...]) -> Array:
        """Convolve `top_diff`, spread out between zeros, with the rotated kernels."""
        N, channels, height, width = padded_shape
        k, s = self.kernel_size, self.stride
        rows, columns = top_diff.shape[2:]
        shape = N, self.channel_out, height + k - 1, width + k - 1
        spread: Array = np.zeros(shape, dtype=top_diff.dtype)
        spread[:, :, k - 1 : k - 1 + rows * s : s, k - 1 : k - 1 + columns * s : s] = top_diff
        turned = weight.reshape(*weight.shape[:2], k * k)[:, :, ::-1]  # by 180 degrees
        turned = turned.transpose(1, 0, 2).reshape(channels, -1, k, k)  # (in, out, k, k)
        shape = N, channels, height - 2 * self.padding, width - 2 * self.padding
        d_x: Array = np.empty(shape, dtype=top_diff.dtype)
        convolve(self._cut(spread), turned, 1, d_x)
        return d_x

    def _cut(self, padded: Array) -> Array:
        """Remove the border of padding."""
        border = self.padding
        return padded[:, :, border:-border, border:-border] if border else padded

    def _pad(self, x: Array) -> Array:
        if self.padding == 0:
            return x.copy() if self.trainable else x  # for backward, because x may change
        N, C, height, width = x.shape
        border = self.padding
        padded: Array = np.zeros((N, C, height + 2 * border, width + 2 * border), dtype=x.dtype)
        padded[:, :, border:-border, border:-border] = x
        return padded

    def _parameters(self, dtype: DTypeLike) -> tuple[Array, Array]:
        shape = self._weight_shape
        weight, bias = np.asarray(self.weight), np.asarray(self.bias)
        if weight.shape != shape or bias.shape != shape[:1]:
            raise InputError(
                f"weight and bias have the shapes {weight.shape} and {bias.shape}; this layer "
                f"needs {shape} and {shape[:1]}"
            )
        typed: tuple[Any, Any] = (
            weight.astype(dtype, copy=False),
            bias.astype(dtype, copy=False),
        )
        return typed
