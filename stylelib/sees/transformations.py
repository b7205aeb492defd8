"""What happens to an image before the network looks at it (chapter 20).

Structures that do not survive a transformation are not rewarded.
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
"""From pictures (N, 3, H, W) and a source of chance to pictures; differentiable."""


@dataclass(frozen=True)
class Jitter:
    """Shift by up to so many pixels either way; what leaves on one side enters on the other."""

    pixels: int

    def __post_init__(self) -> None:
        whole("pixels", self.pixels, least=0)

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """A shift drawn anew at each call."""
        down, across = torch.randint(
            -self.pixels, self.pixels + 1, (2,), generator=generator
        ).tolist()
        return X.roll((down, across), dims=(2, 3))


@dataclass(frozen=True)
class Scale:
    """Enlarge or shrink by a factor drawn evenly between two; no side becomes less than 32."""

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        number("highest", self.highest, least=number("lowest", self.lowest, above=0))

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """A factor drawn anew at each call; the size changes with it."""
        factor = self.lowest + (self.highest - self.lowest) * _chance(generator)
        size = [max(SMALLEST_SIDE, round(side * factor)) for side in X.shape[2:]]
        return functional.interpolate(X, size, mode="bilinear", antialias=True)


@dataclass(frozen=True)
class Rotate:
    """Turn by up to so many degrees either way; corners are filled by reflection."""

    degrees: float

    def __post_init__(self) -> None:
        number("degrees", self.degrees, least=0, most=360)

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """An angle drawn anew at each call."""
        angle = math.radians(self.degrees * (2 * _chance(generator) - 1))
        cos, sin = math.cos(angle), math.sin(angle)
        height, width = X.shape[2:]
        # affine_grid counts from -1 to 1 along either side, whatever its length
        turn = X.new_tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])
        grid = functional.affine_grid(
            turn.expand(len(X), 2, 3), list(X.shape), align_corners=False
        )
        return functional.grid_sample(X, grid, padding_mode="reflection", align_corners=False)


@dataclass(frozen=True)
class Blur:
    """Blur by a Gauss of this standard deviation in pixels."""

    sigma: float

    def __post_init__(self) -> None:
        number("sigma", self.sigma, above=0, below=1000)

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """The same at each call."""
        radius = max(1, round(3 * self.sigma))
        places = torch.arange(-radius, radius + 1, dtype=X.dtype, device=X.device)
        kernel = torch.exp(-0.5 * (places / self.sigma) ** 2)
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)  # one for each color
        padded = functional.pad(X, [radius] * 4, mode="replicate")
        down = functional.conv2d(padded, kernel.mT, groups=3)
        return functional.conv2d(down, kernel, groups=3)


@dataclass(frozen=True)
class Clamp:
    """Cut off at black and white, as a screen would."""

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """The same at each call; no gradient passes where it cuts."""
        low, high = visible_range(X.device)
        return X.clamp(low, high)


def _chance(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


@dataclass(frozen=True)
class Noise:
    """Add grain, of a strength drawn evenly between none and the highest.

    A change that is fainter than the grain is hard to see in it, for a network too: what is
    rewarded must be strong, and of one piece.

    Args:
        highest: standard deviation in normalized units.

    Source: that gradients under such noise look more like things, Kaur, Cohen and Lipton
    (2019), who average over it.
    """

    highest: float

    def __post_init__(self) -> None:
        number("highest", self.highest, least=0)

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Strength and grain drawn anew at each call, the same for all pictures."""
        strength = self.highest * _chance(generator)
        return X + strength * torch.randn(X.shape[1:], generator=generator).to(X)


STANDARD: tuple[Transformation, ...] = (
    Jitter(16),
    Scale(0.7, 1.2),
    Rotate(15),
    Jitter(8),
    Noise(1.0),
)
"""What `class_visualization` does to a picture in each step unless told otherwise."""
