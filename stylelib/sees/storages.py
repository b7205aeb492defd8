"""How an image is stored while it is optimized: as pixels, or as waves (chapter 20)."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from stylelib.images import normalize

__all__ = ["FINEST", "Fourier", "Pixels", "Storage"]


class Storage(Protocol):
    """A way to write N pictures as numbers that an optimiser moves."""

    parameter: Tensor
    """What the pictures begin as, (N, ...)."""

    def pictures(self, parameter: Tensor) -> Tensor:
        """The normalised pictures (N, 3, H, W) that such a parameter stands for."""


class Pixels:
    """Pictures stored as they are: a number for each pixel and colour, normalised.

    Args:
        count: N, how many pictures.
        image_shape: (H, W).
        seed: of the faint noise they begin as, the same for all.
    """

    def __init__(
        self,
        count: int,
        image_shape: tuple[int, int],
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        noise = 0.1 * torch.randn(3, *image_shape, generator=generator)
        self.parameter = noise.to(device).repeat(count, 1, 1, 1).requires_grad_()

    def pictures(self, parameter: Tensor) -> Tensor:
        """The parameter itself."""
        return parameter


OPPONENT_COLOURS = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]])
"""Rows: light against dark, red against blue, green against the two others."""
OPPONENT_SPREAD = torch.tensor([1.0, 0.35, 0.15])
"""About how much each of them varies in photographs, of the first."""


FINEST = 0.3
"""In a wave in some three pixels an eye no longer sees a form."""


class Fourier:
    """Pictures stored as waves in colours that do not depend on each other.

    A pixel is a sum of waves, each scaled by one over its frequency, as in photographs; so a
    step changes large forms as easily as grain. Colours are those of Ohta, Kanade and Sakai
    (1980), which in photographs depend little on each other. A sigmoid keeps every pixel
    between black and white.

    Args:
        count: N, how many pictures.
        image_shape: (H, W).
        seed: of the faint noise they begin as, the same for all.
        finest: waves a pixel, at which a wave is down to 37 %; finer ones hardly occur. None
            keeps all. A network responds to fine waves, where an eye sees dots.

    Source: Olah, Mordvintsev and Schubert (2017), "Preconditioning and Parameterization". They
    measure the colours on ImageNet, and keep all waves.
    """

    def __init__(
        self,
        count: int,
        image_shape: tuple[int, int],
        seed: int = 0,
        device: torch.device | str = "cpu",
        finest: float | None = FINEST,
    ) -> None:
        self.image_shape = height, width = image_shape
        generator = torch.Generator().manual_seed(seed)
        shape = (3, height, width // 2 + 1, 2)  # real and imaginary parts
        noise = 0.01 * torch.randn(shape, generator=generator)
        self.parameter = noise.to(device).repeat(count, 1, 1, 1, 1).requires_grad_()
        frequencies = torch.hypot(
            torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]
        )
        frequencies = frequencies.to(device)
        falling = 0.25 / frequencies.clamp_min(1 / max(height, width))
        kept = 1.0 if finest is None else torch.exp(-((frequencies / finest) ** 2))
        self.scale = falling * kept  # (H, W // 2 + 1)
        colours = functional.normalize(OPPONENT_COLOURS, dim=1) * OPPONENT_SPREAD[:, None]
        self.colours = colours.to(device)  # a row each: what one unit of it adds to R, G, B

    def pictures(self, parameter: Tensor) -> Tensor:
        """From waves to pixels, from opponent colours to R, G, B, then into 0..1."""
        spectrum = torch.view_as_complex(parameter) * self.scale
        waves = torch.fft.irfft2(spectrum, s=self.image_shape, norm="ortho")  # (N, 3, H, W)
        rgb = torch.einsum("nchw,cd->ndhw", waves, self.colours)
        return normalize(torch.sigmoid(rgb))
