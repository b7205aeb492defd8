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
    """A way to write N pictures as numbers that an optimizer moves."""

    parameter: Tensor
    """What the pictures begin as, (N, ...)."""

    def pictures(self, parameter: Tensor) -> Tensor:
        """The normalized pictures (N, 3, H, W) that such a parameter stands for."""


def shape_of(image_shape: int | tuple[int, int], *, least: int = 1) -> tuple[int, int]:
    """(H, W), of a square where one side is given."""
    given = sides("image_shape", image_shape, least=least)
    return given[0], given[-1]


def faint_noise(
    strength: float, shape: Sequence[int], count: int, seed: int, device: torch.device | str
) -> Tensor:
    """What all of N pictures begin as, a parameter (N, ...)."""
    generator = torch.Generator().manual_seed(check_seed(seed))
    noise = strength * torch.randn(*shape, generator=generator)
    copies = (whole("count", count), *(1 for _ in shape))
    return noise.to(find_device(device)).repeat(copies).requires_grad_()


class Pixels:
    """Pictures stored as they are: a number for each pixel and color, normalized.

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
        self.parameter = faint_noise(0.1, (3, *shape_of(image_shape)), count, seed, device)

    def pictures(self, parameter: Tensor) -> Tensor:
        """The parameter itself."""
        return parameter


OPPONENT_COLORS = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]])
"""Rows: light against dark, red against blue, green against the two others."""
OPPONENT_SPREAD = torch.tensor([1.0, 0.35, 0.15])
"""About how much each of them varies in photographs, of the first."""


FINEST = 0.3
"""In a wave in some three pixels an eye no longer sees a form."""


class Fourier:
    """Pictures stored as waves in colors that do not depend on each other.

    A pixel is a sum of waves, each scaled by one over its frequency, as in photographs; so a
    step changes large forms as easily as grain. Colors are those of Ohta, Kanade and Sakai
    (1980), which in photographs depend little on each other. A sigmoid keeps every pixel
    between black and white.

    Args:
        count: N, how many pictures.
        image_shape: (H, W).
        seed: of the faint noise they begin as, the same for all.
        finest: waves a pixel, at which a wave is down to 37 %; finer ones hardly occur. None
            keeps all. A network responds to fine waves, where an eye sees dots.

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
        self.colors = colors.to(device)  # a row each: what one unit of it adds to R, G, B

    def pictures(self, parameter: Tensor) -> Tensor:
        """From waves to pixels, from opponent colors to R, G, B, then into 0..1."""
        spectrum = torch.view_as_complex(parameter) * self.scale
        waves = torch.fft.irfft2(spectrum, s=self.image_shape, norm="ortho")  # (N, 3, H, W)
        rgb = torch.einsum("nchw,cd->ndhw", waves, self.colors)
        return normalize(torch.sigmoid(rgb))
