"""Seeded features for the exercises on losses."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["CASES", "SHAPES", "Array", "array", "features"]

Array = NDArray[np.float64]

CASES = "one image", "a batch of two images", "a batch of three images"
SHAPES = (1, 3, 4, 5), (2, 4, 3, 5), (3, 2, 5, 6)
"""(N, C, H, W), all of different products."""


def array(X: Tensor) -> Array:
    """The values of a tensor in float64."""
    return X.detach().double().numpy()


def features(seed: int, *shape: int, learns: bool = False) -> Tensor:
    """Random features of both signs, in float32."""
    random = np.random.default_rng(seed)
    values = random.standard_normal(shape) + random.uniform(0.2, 0.8, (1, shape[1], 1, 1))
    return torch.from_numpy(values).float().requires_grad_(learns)
