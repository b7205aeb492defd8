"""The windows a kernel sees, as a view of the picture: what convolution and pooling share."""

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
"""Features, pictures, weights or gradients: float32 or float64."""
Method = Literal["im2col", "loops"]
"""How a layer computes: by whole arrays, or as the formula is written, in Python loops."""
METHODS: tuple[Method, ...] = ("im2col", "loops")


class Layer(ABC):
    """A function of features that knows how to send a gradient back."""

    @abstractmethod
    def forward(self, x: Array) -> Array:
        """The layer's output; what `backward` needs of `x` is kept."""

    @abstractmethod
    def backward(self, top_diff: Array) -> Array:
        """The gradient of a loss at the input, from that at the output of the last forward."""


def windows(x: Array, kernel_size: int, stride: int) -> Array:
    """Every window of every channel, without copying: (N, C, H, W) to (N, C, H', W', k, k).

    H' = (H - k) // stride + 1: a window that would hang over the border is left out. Writing
    into the view writes into `x`. For a fixed place (i, j) in the kernel, the part
    `windows(x)[..., i, j]`, (N, C, H', W'), holds no pixel twice.

    Raises:
        InputError: the picture is smaller than the kernel.
    """
    height, width = x.shape[2:]
    if height < kernel_size or width < kernel_size:
        raise InputError(
            f"a kernel of {kernel_size} x {kernel_size} does not fit into {height} x {width}"
        )
    view = sliding_window_view(x, (kernel_size, kernel_size), axis=(2, 3), writeable=True)
    return view[:, :, ::stride, ::stride]


def check_features(x: Array, channels: int | None = None) -> None:
    """Refuse what is not an array (N, C, H, W) of float32 or float64, with an `InputError`."""
    if not isinstance(x, np.ndarray):
        raise InputError(f"features are a NumPy array, not {type(x).__name__}")
    if x.dtype not in (np.float32, np.float64):
        raise InputError(f"features are float32 or float64, not {x.dtype}")
    if x.ndim != 4 or 0 in x.shape:
        raise InputError(f"features have the shape (N, C, H, W), none of them 0, not {x.shape}")
    if channels is not None and x.shape[1] != channels:
        raise InputError(f"this layer takes {channels} channels, not {x.shape[1]}: {x.shape}")


def check_top_diff(top_diff: Array, shape: tuple[int, ...] | None) -> None:
    """Refuse a gradient that is not of the shape of the last forward's output."""
    if shape is None:
        raise InputError("backward needs a forward before it")
    check_features(top_diff)
    if top_diff.shape != shape:
        raise InputError(
            f"top_diff has the shape {top_diff.shape}, the output of the last forward {shape}"
        )
