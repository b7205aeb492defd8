"""Several styles, each with a weight, layers and a region of its own (chapter 27)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from stylelib.arguments import number, several
from stylelib.control.masks import MaskSource
from stylelib.errors import InputError
from stylelib.files import ImageSource
from stylelib.layers import Layer
from stylelib.objectives import Layers, factors_of

__all__ = ["Painting", "Style", "Styles", "Wanted", "styles_of"]


@dataclass(frozen=True, eq=False)
class Style:
    """One of several styles: `transfer(photo, [Style(wave), Style(mosaic, weight=2)])`.

    Attributes:
        image: the style image: a path, bytes, a binary file or a PIL image.
        weight: how much it counts beside the other styles of the same region and layer. Only
            the ratios matter.
        layers: where this style is compared, by number or name; or a factor for each layer.
            None: at the style layers of the recipe.
        here: the region of the photograph that takes this style, (H, W), 1 inside, 0 outside,
            values between for soft edges: an image (white inside), an array or a tensor. None:
            all of it.
        there: the region of the style image that the style is taken from, likewise.
        strokes: the size of its strokes, relative to what it would be.
        erode: whether a position of a layer counts only if all that it sees lies in the region.
            Without this, style leaks across the border.

    Raises:
        InputError: a weight or a size of strokes that cannot be, or an empty list of layers.

    Source: Gatys, Ecker, Bethge, Hertzmann and Shechtman (2017), "Controlling perceptual
    factors in neural style transfer", section 3. There a mask is only resized to each layer.
    """

    image: ImageSource = field(repr=False)
    weight: float = 1.0
    layers: Layers | None = None
    here: MaskSource | None = field(default=None, repr=False)
    there: MaskSource | None = field(default=None, repr=False)
    strokes: float = 1.0
    erode: bool = True

    def __post_init__(self) -> None:
        number("the weight of a style", self.weight, least=0, below=1e38)
        number("strokes", self.strokes, above=0, below=1e3)
        if self.layers is not None and not factors_of(self.layers, "the layers of a style"):
            raise InputError("the layers of a style are at least one, or None for the recipe's")


Styles = ImageSource | Style | list[ImageSource | Style] | tuple[ImageSource | Style, ...]
"""One style, or several."""


def styles_of(style: Styles) -> list[Style]:
    """The styles that an argument of `transfer` means.

    Raises:
        InputError: an empty list, or all weights are 0.
    """
    listed = several("style", style) if isinstance(style, list | tuple) else [style]
    styles = [each if isinstance(each, Style) else Style(each) for each in listed]
    if not any(each.weight for each in styles):
        raise InputError("all styles have the weight 0: give one of them more")
    return styles


@dataclass(frozen=True, eq=False)
class Painting:
    """A style at one size of a run.

    Attributes:
        X: the style image, (1, 3, H', W'), normalized.
        weight, layers, erode: as those of a `Style`.
        here: the region of the photograph, (1, 1, H, W), 0..1; None is all of it.
        there: the region of the style image, (1, 1, H', W'), likewise.
    """

    X: Tensor
    weight: float = 1.0
    layers: Layers | None = None
    here: Tensor | None = None
    there: Tensor | None = None
    erode: bool = True

    def to(self, device: torch.device) -> Painting:
        """The same on a device."""
        here, there = (None if m is None else m.to(device) for m in (self.here, self.there))
        return replace(self, X=self.X.to(device), here=here, there=there)

    def shares_region(self, other: Painting) -> bool:
        """Whether both are for the same region of the photograph."""
        if self.here is None or other.here is None:
            return self.here is other.here
        return torch.equal(self.here, other.here)


@dataclass(frozen=True, eq=False)
class Wanted:
    """What is wanted of an image, at one size of a run.

    Attributes:
        content: the photograph, (1, 3, H, W), normalized.
        styles: at least one.
        opaque: where the photograph is not transparent, (1, 1, H, W), 0..1; None is everywhere.
    """

    content: Tensor
    styles: Sequence[Painting]
    opaque: Tensor | None = None

    def regions(self) -> list[list[Painting]]:
        """The styles, those of one region together."""
        groups: list[list[Painting]] = []
        for style in self.styles:
            group = next((each for each in groups if each[0].shares_region(style)), None)
            if group is None:
                groups.append([style])
            else:
                group.append(style)
        return groups

    def weighted(self, layers: Layers) -> list[tuple[Painting, dict[Layer, float]]]:
        """The styles, each with a factor for each of its layers.

        At each layer, the weights of the styles of one region add up to 1.

        Args:
            layers: those of a style that has none of its own.
        """
        found = []
        for group in self.regions():
            sums: dict[Layer, float] = {}
            for style in group:
                for layer in factors_of(layers if style.layers is None else style.layers):
                    sums[layer] = sums.get(layer, 0.0) + style.weight
            for style in group:
                own = factors_of(layers if style.layers is None else style.layers)
                shared = {
                    layer: factor * style.weight / sums[layer]
                    for layer, factor in own.items()
                    if style.weight
                }
                found.append((style, shared))
        return found
