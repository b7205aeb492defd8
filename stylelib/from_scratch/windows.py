"""A kernel's windows as a view of the image, which convolution and pooling share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from stylelib.errors import InputError

__all__ = [
    "Array",
    "Layer",
    "Method",
    "check_features",
    "check_top_diff",
    "windows",
]

Array: TypeAlias = NDArray[np.floating[Any]]
"""Features, images, weights or gradients: float32 or float64."""
Method = Literal["im2col", "loops"]
"""How a layer computes: with whole arrays, or with Python loops, as the formula says."""
METHODS: tuple[Method, ...] = ("im2col", "loops")


class Layer(ABC):
    """A function of features with a backward pass."""

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """The layer's output. The layer keeps what `backward` needs."""

    @abstractmethod
    def backward(self, top_diff: Array) -> Array:
        """A loss's gradient with respect to the input, from that with respect to the output."""


def windows(x: Array, kernel_size: int, stride: int) -> Array:
    """Every window of every channel, without copying: (N, C, H, W) to (N, C, H', W', k, k).

    H' = (H - k) // stride + 1: windows that would extend beyond the border are left out. The
    result is a view, so writing to it writes to `x`. For a fixed position (i, j) in the kernel,
    `windows(x)[..., i, j]` of shape (N, C, H', W') contains no pixel twice.

    Raises:
        InputError: the image is smaller than the kernel.
    """
    height, width = x.shape[2:]
    if height < kernel_size or width < kernel_size:
        raise InputError(
            f"a kernel of {kernel_size} x {kernel_size} does not fit into {height} x {width}"
        )
    view = sliding_window_view(x, (kernel_size, kernel_size), axis=(2, 3), writeable=True)
    return view[:, :, ::stride, ::stride]


def check_features(x: Array, channels: int | None = None) -> None:
    """Check that x is an array (N, C, H, W) of float32 or float64."""
    if not isinstance(x, np.ndarray):
        raise InputError(f"features must be a NumPy array, not {type(x).__name__}")
    if x.dtype not in (np.float32, np.float64):
        raise InputError(f"features must be float32 or float64, not {x.dtype}")
    if x.ndim != 4 or 0 in x.shape:
        raise InputError(
            f"features must have the shape (N, C, H, W), none of them 0, not {x.shape}"
        )
    if channels is not None and x.shape[1] != channels:
        raise InputError(f"this layer needs {channels} channels, not {x.shape[1]}: {x.shape}")


def check_top_diff(top_diff: Array, shape: tuple[int, ...] | None) -> None:
    """Check that a gradient has the shape of the last forward's output."""
    if shape is None:
        raise InputError("call forward before backward")
    check_features(top_diff)
    if top_diff.shape != shape:
        raise InputError(
            f"top_diff has the shape {top_diff.shape}, the output of the last forward {shape}"
        )
