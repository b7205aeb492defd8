"""The exercises of chapters 14 to 17: layers, Adam and a check of gradients, in NumPy."""

from __future__ import annotations

from stylelib.check import (
    adam,
    convolution,
    convolution_gradients,
    directions,
    pooling,
    pooling_gradients,
)
from stylelib.check.rarer import with_families

__all__ = ["EXERCISES"]

EXERCISES = with_families(
    (
        *convolution.EXERCISES,
        *convolution_gradients.EXERCISES,
        *pooling.EXERCISES,
        *pooling_gradients.EXERCISES,
        *adam.EXERCISES,
        *directions.EXERCISES,
    )
)
