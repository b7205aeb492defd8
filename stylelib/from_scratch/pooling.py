"""Pooling and ReLU by hand: the layers without weights (chapter 15)."""

from __future__ import annotations

import numpy as np

from stylelib.arguments import choice, whole
from stylelib.from_scratch.windows import (
    METHODS,
    Array,
    Layer,
    Method,
    check_features,
    check_top_diff,
    windows,
)

__all__ = ["AveragePool", "MaxPool", "ReLU"]


class _Pool(Layer):
    """The common part of both poolings: window, stride, and the shapes of the last forward."""

    def __init__(self, kernel_size: int, stride: int, method: Method = "im2col") -> None:
        self.kernel_size = whole("kernel_size", kernel_size)
        self.stride = whole("stride", stride)
        self.method = choice("method", method, METHODS)
        self._input_shape: tuple[int, ...] | None = None
        self._shape: tuple[int, ...] | None = None

    def _windows(self, x: Array) -> Array:
        return windows(x, self.kernel_size, self.stride)

    def _begin_forward(self, x: Array) -> Array:
        check_features(x)
        view = self._windows(x)  # (N, C, H', W', k, k)
        self._input_shape, self._shape = x.shape, view.shape[:4]
        return view

    def _begin_backward(self, top_diff: Array) -> tuple[Array, Array]:
        check_top_diff(top_diff, self._shape)
        assert self._input_shape is not None
        d_x: Array = np.zeros(self._input_shape, dtype=top_diff.dtype)
        return d_x, self._windows(d_x)


class MaxPool(_Pool):
    """The maximum of each window. The gradient goes to the position of the maximum.

    If several values are equal, the first in reading order gets the whole gradient, as in
    PyTorch. Any choice among them is a subgradient.

    Args:
        kernel_size: the side of the square window.
        stride: the distance between windows. Rows and columns at the end that do not fill a
            window are left out and get no gradient.
        method: "im2col", which takes all windows at once, or "loops".

    Raises:
        InputError: the image is smaller than the window, features have another shape or dtype,
            or `backward` comes before `forward`.

    Example:
        >>> layer = MaxPool(kernel_size=2, stride=2)
        >>> layer.forward(np.array([[[[1., 5., 5.], [5., 2., 0.]]]]))
        array([[[[5.]]]])
        >>> layer.backward(np.ones((1, 1, 1, 1)))
        array([[[[0., 1., 0.],
                 [0., 0., 0.]]]])
    """

    def forward(self, x: Array) -> Array:
        """(N, C, H, W) to (N, C, H', W'), with H' = (H - k) // stride + 1."""
        view = self._begin_forward(x)
        k = self.kernel_size
        if self.method == "loops":
            largest: Array = np.empty(view.shape[:4], dtype=x.dtype)
            self._place = np.empty(view.shape[:4], dtype=np.min_scalar_type(k * k))
            for n, c, i, j in np.ndindex(view.shape[:4]):
                largest[n, c, i, j] = view[n, c, i, j].max()
                self._place[n, c, i, j] = view[n, c, i, j].argmax()
            return largest
        largest = view[..., 0, 0].copy()
        height, width = x.shape[2:]
        away = np.zeros(largest.shape, dtype=np.intp)  # offset from the window's first pixel
        for i, j in np.ndindex(k, k):
            candidate = np.ascontiguousarray(view[..., i, j])  # (N, C, H', W')
            larger = candidate > largest  # not >=, so the first of equal values stays
            np.maximum(away, larger * (i * width + j), out=away)
            np.maximum(largest, candidate, out=largest)
        planes = np.arange(len(x) * x.shape[1]).reshape(*x.shape[:2], 1, 1) * (height * width)
        rows = np.arange(largest.shape[2])[:, None] * (self.stride * width)
        columns = np.arange(largest.shape[3]) * self.stride
        self._pixels = away + (rows + columns) + planes  # in x, read as one row
        return largest

    def backward(self, top_diff: Array) -> Array:
        """The gradient with respect to x: `top_diff`, added at the positions of the maxima."""
        d_x, view = self._begin_backward(top_diff)
        k = self.kernel_size
        if self.method == "loops":
            for n, c, i, j in np.ndindex(top_diff.shape):
                row, column = divmod(int(self._place[n, c, i, j]), k)
                view[n, c, i, j, row, column] += top_diff[n, c, i, j]
            return d_x
        np.add.at(d_x.reshape(-1), self._pixels.reshape(-1), top_diff.reshape(-1))
        return d_x


class AveragePool(_Pool):
    """The mean of each window. All positions of the window get the same part of the gradient.

    The arguments and errors are those of `MaxPool`.

    Example:
        >>> layer = AveragePool(kernel_size=2, stride=2)
        >>> layer.forward(np.array([[[[1., 5.], [5., 1.]]]]))
        array([[[[3.]]]])
        >>> layer.backward(np.ones((1, 1, 1, 1)))
        array([[[[0.25, 0.25],
                 [0.25, 0.25]]]])
    """

    def forward(self, x: Array) -> Array:
        """(N, C, H, W) to (N, C, H', W'), with H' = (H - k) // stride + 1."""
        view = self._begin_forward(x)
        k = self.kernel_size
        mean: Array = np.zeros(view.shape[:4], dtype=x.dtype)
        if self.method == "loops":
            for n, c, i, j in np.ndindex(view.shape[:4]):
                mean[n, c, i, j] = view[n, c, i, j].mean()
            return mean
        for i, j in np.ndindex(k, k):
            mean += view[..., i, j]
        mean /= k * k
        return mean

    def backward(self, top_diff: Array) -> Array:
        """The gradient with respect to x: each of `top_diff` spread evenly over its window."""
        d_x, view = self._begin_backward(top_diff)
        k = self.kernel_size
        if self.method == "loops":
            for n, c, i, j in np.ndindex(top_diff.shape):
                view[n, c, i, j] += top_diff[n, c, i, j] / (k * k)
            return d_x
        share = top_diff / (k * k)
        for i, j in np.ndindex(k, k):
            view[..., i, j] += share
        return d_x


class ReLU(Layer):
    """max(x, 0). The gradient passes where x was above 0, but not where x was 0."""

    _positive: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] | None = None

    def forward(self, x: Array) -> Array:
        """(N, C, H, W) to the same shape; x is not changed."""
        check_features(x)
        self._positive = x > 0
        out: Array = np.maximum(x, 0)
        return out

    def backward(self, top_diff: Array) -> Array:
        """`top_diff` where the input was above 0, and 0 elsewhere."""
        check_top_diff(top_diff, None if self._positive is None else self._positive.shape)
        assert self._positive is not None
        d_x: Array = np.where(self._positive, top_diff, np.zeros((), top_diff.dtype))
        return d_x
