"""The photograph and the styles of a run, read once and given at any size (chapter 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image, ImageStat
from torch import Tensor

from stylelib.arguments import choice, number
from stylelib.control.colors import COLORS, Colors, prepared, recolored
from stylelib.control.masks import mask_for, resized, resized_inside
from stylelib.control.shares import check_shares
from stylelib.control.styles import Painting, Style, Wanted
from stylelib.errors import InputError
from stylelib.files import MAX_PIXELS, ImageSource, load_image, load_with_alpha, target_shape
from stylelib.images import preprocess
from stylelib.pyramid import sizes
from stylelib.synthesis import Init, starting_picture

__all__ = ["Controls", "Sources"]


@dataclass(frozen=True)
class Controls:
    """What can be asked of any recipe; see `stylelib.transfer`."""

    colors: Colors = "style"
    strength: float = 1.0
    strokes: float = 1.0
    shares: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        choice("colors", self.colors, COLORS)
        number("strength", self.strength, least=0, most=1)
        number("strokes", self.strokes, above=0, below=1e3)
        if self.shares is not None:
            object.__setattr__(self, "shares", check_shares(self.shares))


@dataclass(frozen=True, eq=False)
class Source:
    """A style image that has been read.

    Attributes:
        style: what was asked.
        image: the image.
        shape: (H, W) at the last size.
        here: the region of the photograph, (1, 1, H, W), in any size; None is all of it.
        there: that of the style image, in the size of `image`.
    """

    style: Style
    image: Image.Image
    shape: tuple[int, int]
    here: Tensor | None
    there: Tensor | None

    def at(self, fraction: float, shape: tuple[int, int]) -> Painting:
        """The style at a size; `shape` is the photograph's there."""
        (own,) = sizes(self.shape, [fraction])
        shrink = resized_inside if self.style.erode else resized
        return Painting(
            preprocess(self.image, own),
            weight=float(self.style.weight),
            layers=self.style.layers,
            here=None if self.here is None else resized(self.here, shape),
            there=None if self.there is None else shrink(self.there, own),
            erode=self.style.erode,
        )


def with_strokes(shape: tuple[int, int], strokes: float) -> tuple[int, int]:
    """(H, W) of a style image whose strokes are so many times as large."""
    ((height, width),) = sizes(shape, [strokes])
    if height * width > MAX_PIXELS:
        raise InputError(
            f"strokes of {strokes:g} ask for a style image of {height} x {width}, over "
            f"{MAX_PIXELS:,} pixels; give less"
        )
    return height, width


def opacity(alpha: Image.Image) -> Tensor:
    """An alpha channel as numbers, 0..1, (1, 1, H, W)."""
    levels = torch.from_numpy(np.array(alpha)).float()[None, None]
    if not levels.any():
        raise InputError(
            "the alpha channel of the photograph is empty: it is 0 everywhere, so nothing of "
            "the photograph is visible"
        )
    return levels / 255


def both(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Two regions of one image at once; None is all of it."""
    return a * b if a is not None and b is not None else a if b is None else b


def filled(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """An image with the mean color of what is visible in place of what is transparent."""
    seen = alpha.point(lambda level: 255 if level else 0)
    mean = ImageStat.Stat(image, seen).mean
    plain = Image.new("RGB", image.size, tuple(round(level) for level in mean))
    plain.paste(image, mask=seen)
    return plain


@dataclass(frozen=True, eq=False)
class Sources:
    """The photograph and the styles, read once, given at any size.

    Attributes:
        content: the photograph.
        shape: its (H, W) at the last size.
        styles: at least one.
        opaque: the alpha channel of the photograph, 0..1, (1, 1, H, W); None is 1 everywhere.
        colors: see `Controls`.
    """

    content: Image.Image
    shape: tuple[int, int]
    styles: list[Source]
    opaque: Tensor | None
    colors: Colors

    @classmethod
    def read(
        cls,
        content: ImageSource,
        styles: Sequence[Style],
        image_shape: int | tuple[int, int],
        style_shape: int | tuple[int, int] | None,
        controls: Controls,
    ) -> Sources:
        """Read the images and the masks.

        With a strength below 1, the photograph is one of the styles of each region.
        """
        photograph, alpha = load_with_alpha(content)
        shape = target_shape(photograph, image_shape)
        opaque = None
        if alpha is not None:
            opaque = resized(opacity(alpha), shape)
            photograph = filled(photograph, alpha)
        strength, read = controls.strength, []
        for style in styles:
            image = load_image(style.image)
            base = (
                target_shape(image, image_shape)
                if style_shape is None
                else target_shape(image, style_shape, "style_shape")
            )
            own = with_strokes(base, float(controls.strokes) * float(style.strokes))
            here, there = style.here, style.there
            here = None if here is None else mask_for("here", here, photograph, shape)
            if there is not None:
                there = mask_for("there", there, image, own, own_size=True)
            weighed = replace(style, weight=style.weight * strength)
            read.append(Source(weighed, image, own, here, there))
            if strength < 1:
                rest = replace(style, weight=style.weight * (1 - strength))
                read.append(Source(rest, photograph, shape, here, here))
        return cls(photograph, shape, read, opaque, controls.colors)

    def photograph(self, shape: tuple[int, int]) -> Tensor:
        """The photograph as it is, (1, 3, H, W), normalized."""
        return preprocess(self.content, shape)

    def at(self, fraction: float, device: torch.device) -> Wanted:
        """What is wanted at a size."""
        (shape,) = sizes(self.shape, [fraction])
        plain, opaque = self.photograph(shape), self.visible_at(shape)
        content, styles = plain, []
        for source in self.styles:
            style = source.at(fraction, shape)
            there = style.there
            if source.image is self.content:  # of a strength below 1
                X, there = content, both(there, opaque)
            else:
                content, X = prepared(self.colors, plain, style.X, opaque, there)
            here = both(style.here, opaque)
            styles.append(replace(style, X=X, here=here, there=there).to(device))
        opaque = None if opaque is None else opaque.to(device)
        return Wanted(content.to(device), styles, opaque)

    def visible_at(self, shape: tuple[int, int]) -> Tensor | None:
        """How much each position counts at a size, (1, 1, H, W): the most visible one, 1."""
        if self.opaque is None:
            return None
        opaque = resized(self.opaque, shape)
        return opaque / opaque.max()

    def start(self, init: Init | ImageSource, shape: tuple[int, int], seed: int) -> Tensor:
        """The image to start from, (1, 3, H, W), normalized, with the colors of the losses."""
        X = starting_picture(init, self.content, self.styles[0].image, shape, seed)
        if init == "style":
            there = self.styles[0].there
            there = None if there is None else resized(there, shape)
            content = self.photograph(shape)
            return prepared(self.colors, content, X, self.visible_at(shape), there)[1]
        return prepared(self.colors, X, X)[0]

    def with_alpha(self, image: Image.Image) -> Image.Image:
        """The finished image with the alpha channel of the photograph, if that has one."""
        if self.opaque is not None:
            levels = (255 * self.opaque[0, 0]).round().to(torch.uint8)
            image.putalpha(Image.fromarray(levels.numpy()))
        return image

    def finished(self, X: Tensor) -> Tensor:
        """The finished image, (1, 3, H, W), in the colors that were asked for."""
        return recolored(self.colors, X, self.photograph(self.shape).to(X))
