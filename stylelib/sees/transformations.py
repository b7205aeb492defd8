"""Transformations of an image before the network sees it (chapter 20).

Patterns that do not survive a transformation are not rewarded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from stylelib.arguments import number, whole
from stylelib.images import visible_range
from stylelib.sees.classifiers import SMALLEST_SIDE

__all__ = [
    "STANDARD",
    "Blur",
    "Clamp",
    "Jitter",
    "Noise",
    "Rotate",
    "Scale",
    "Transformation",
]

Transformation = Callable[[Tensor, torch.Generator], Tensor]
"""A differentiable function from images (N, 3, H, W) and a random generator to images."""


@dataclass(frozen=True)
class Jitter:
    """Shift by up to `pixels` in each direction; pixels that leave enter at the other side."""

    pixels: int

    def __post_init__(self) -> None:
        whole("pixels", self.pixels, least=0)

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a shift and apply it."""
        down, across = torch.randint(
            -self.pixels, self.pixels + 1, (2,), generator=generator
        ).tolist()
        return X.roll((down, across), dims=(2, 3))


@dataclass(frozen=True)
class Scale:
    """Resize by a factor drawn uniformly from `lowest` to `highest`, to sides of 32 or more."""

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        number("highest", self.highest, least=number("lowest", self.lowest, above=0))

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a factor and resize by it."""
        factor = self.lowest + (self.highest - self.lowest) * _chance(generator)
        size = [max(SMALLEST_SIDE, round(side * factor)) for side in X.shape[2:]]
        return functional.interpolate(X, size, mode="bilinear", antialias=True)


@dataclass(frozen=True)
class Rotate:
    """Rotate by up to `degrees` in each direction; corners are filled by reflection."""

    degrees: float

    def __post_init__(self) -> None:
        number("degrees", self.degrees, least=0, most=360)

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Draw an angle and rotate by it."""
        angle = math.radians(self.degrees * (2 * _chance(generator) - 1))
        cos, sin = math.cos(angle), math.sin(angle)
        height, width = X.shape[2:]
        # affine_grid's coordinates run from -1 to 1 along each side, whatever its length
        turn = X.new_tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])
        grid = functional.affine_grid(
            turn.expand(len(X), 2, 3), list(X.shape), align_corners=False
        )
        return functional.grid_sample(X, grid, padding_mode="reflection", align_corners=False)


@dataclass(frozen=True)
class Blur:
    """Blur with a Gaussian of standard deviation `sigma` in pixels."""

    sigma: float

    def __post_init__(self) -> None:
        number("sigma", self.sigma, above=0, below=1000)

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Blur; nothing is random."""
        radius = max(1, round(3 * self.sigma))
        places = torch.arange(-radius, radius + 1, dtype=X.dtype, device=X.device)
        kernel = torch.exp(-0.5 * (places / self.sigma) ** 2)
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)  # one for each color
        padded = functional.pad(X, [radius] * 4, mode="replicate")
        down = functional.conv2d(padded, kernel.mT, groups=3)
        return functional.conv2d(down, kernel, groups=3)


@dataclass(frozen=True)
class Clamp:
    """Clamp to black and white, as a screen does."""

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Clamp; clamped values get no gradient, and nothing is random."""
        low, high = visible_range(X.device)
        return X.clamp(low, high)


def _chance(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


@dataclass(frozen=True)
class Noise:
    """Add noise with a strength drawn uniformly from 0 to `highest`.

    Changes fainter than the noise are hard to see, for a network too. So only strong, connected
    shapes are rewarded.

    Args:
        highest: the largest standard deviation, in normalized units.

    Source: Kaur, Cohen and Lipton (2019) found that gradients look more like objects under such
    noise; they average over it.
    """

    highest: float

    def __post_init__(self) -> None:
        number("highest", self.highest, least=0)

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Draw a strength and noise, the same for all images, and add it."""
        strength = self.highest * _chance(generator)
        return X + strength * torch.randn(X.shape[1:], generator=generator).to(X)


STANDARD: tuple[Transformation, ...] = (
    Jitter(16),
    Scale(0.7, 1.2),
    Rotate(15),
    Jitter(8),
    Noise(1.0),
)
"""The default transformations of `class_visualization`, applied in each step."""
