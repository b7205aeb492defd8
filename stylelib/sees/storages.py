"""How an image is stored while it is optimized: as pixels, or as waves (chapter 20)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from stylelib.arguments import check_seed, number, sides, whole
from stylelib.devices import find_device
from stylelib.images import normalize

__all__ = ["FINEST", "Fourier", "Pixels", "Storage"]


class Storage(Protocol):
    """A way to store N images in a parameter that an optimizer moves."""

    parameter: Tensor
    """The parameter of the initial images, (N, ...)."""

    def pictures(self, parameter: Tensor) -> Tensor:
        """The normalized images (N, 3, H, W) that a parameter represents."""


def shape_of(image_shape: int | tuple[int, int], *, least: int = 1) -> tuple[int, int]:
    """(H, W); a single number is the side of a square."""
    given = sides("image_shape", image_shape, least=least)
    return given[0], given[-1]


def faint_noise(
    strength: float, shape: Sequence[int], count: int, seed: int, device: torch.device | str
) -> Tensor:
    """A parameter (N, ...) of faint noise, the same for all N images."""
    generator = torch.Generator().manual_seed(check_seed(seed))
    noise = strength * torch.randn(*shape, generator=generator)
    copies = (whole("count", count), *(1 for _ in shape))
    return noise.to(find_device(device)).repeat(copies).requires_grad_()


class Pixels:
    """Images stored as normalized pixels.

    Args:
        count: N, the number of images.
        image_shape: (H, W).
        seed: the seed of the faint noise from which all images start.
        device: where the images are.
    """

    def __init__(
        self,
        count: int,
        image_shape: tuple[int, int],
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.parameter = faint_noise(0.1, (3, *shape_of(image_shape)), count, seed, device)

    def pictures(self, parameter: Tensor) -> Tensor:
        """The parameter itself."""
        return parameter


OPPONENT_COLORS = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]])
"""Rows: light against dark, red against blue, green against the other two."""
OPPONENT_SPREAD = torch.tensor([1.0, 0.35, 0.15])
"""About how much each of them varies in photographs, relative to the first."""


FINEST = 0.3
"""In waves shorter than about three pixels the eye sees no shapes."""


class Fourier:
    """Images stored as waves in decorrelated colors.

    A pixel is a sum of waves, each scaled by one over its frequency, as in photographs, so a
    step changes large shapes as easily as grain. The colors of Ohta, Kanade and Sakai (1980)
    depend little on each other in photographs. A sigmoid keeps every pixel between black and
    white.

    Args:
        count: N, the number of images.
        image_shape: (H, W).
        seed: the seed of the faint noise from which all images start.
        device: where the images are.
        finest: the frequency, in waves per pixel, at which a wave is scaled down to 37%; finer
            waves hardly occur. None keeps all. A network responds to fine waves, where an eye
            sees only dots.

    Source: Olah, Mordvintsev and Schubert (2017), "Preconditioning and Parameterization". They
    measure the colors on ImageNet, and keep all waves.
    """

    def __init__(
        self,
        count: int,
        image_shape: tuple[int, int],
        seed: int = 0,
        device: torch.device | str = "cpu",
        finest: float | None = FINEST,
    ) -> None:
        self.image_shape = height, width = shape_of(image_shape)
        finest = None if finest is None else number("finest", finest, above=0)
        shape = (3, height, width // 2 + 1, 2)  # real and imaginary parts
        self.parameter = faint_noise(0.01, shape, count, seed, device)
        frequencies = torch.hypot(
            torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]
        )
        frequencies = frequencies.to(device)
        falling = 0.25 / frequencies.clamp_min(1 / max(height, width))
        kept = 1.0 if finest is None else torch.exp(-((frequencies / finest) ** 2))
        self.scale = falling * kept  # (H, W // 2 + 1)
        colors = functional.normalize(OPPONENT_COLORS, dim=1) * OPPONENT_SPREAD[:, None]
        self.colors = colors.to(device)  # each row: what one unit of it adds to R, G, B

    def pictures(self, parameter: Tensor) -> Tensor:
        """From waves to pixels, then from opponent colors to R, G, B in 0..1, normalized."""
        spectrum = torch.view_as_complex(parameter) * self.scale
        waves = torch.fft.irfft2(spectrum, s=self.image_shape, norm="ortho")  # (N, 3, H, W)
        rgb = torch.einsum("nchw,cd->ndhw", waves, self.colors)
        return normalize(torch.sigmoid(rgb))
