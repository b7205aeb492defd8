"""The exercises of chapters 14 to 16: layers and Adam, in NumPy."""

from __future__ import annotations

from stylelib.check import (
    adam,
    convolution,
    convolution_gradients,
    pooling,
    pooling_gradients,
)

__all__ = ["EXERCISES"]

EXERCISES = (
    *convolution.EXERCISES,
    *convolution_gradients.EXERCISES,
    *pooling.EXERCISES,
    *pooling_gradients.EXERCISES,
    *adam.EXERCISES,
)
