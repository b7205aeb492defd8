"""Several styles, each with a weight, layers and a region of its own (chapter 27)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from stylelib.arguments import number, several
from stylelib.control.masks import MaskSource
from stylelib.errors import InputError
from stylelib.files import ImageSource, kept
from stylelib.layers import Layer
from stylelib.objectives import Layers, factors_of

__all__ = ["Painting", "Style", "Styles", "Wanted", "own_layers", "read_once", "styles_of"]


@dataclass(frozen=True, eq=False)
class Style:
    """One of several styles: `transfer(photo, [Style(wave), Style(mosaic, weight=2)])`.

    Attributes:
        image: the style image: a path, bytes, a binary file or a PIL image.
        weight: how much it counts beside the other styles of the same region and layer. Only
            the ratios matter. A style of weight 0 is left out.
        layers: where this style is compared, by number or name; or a factor for each layer.
            None: at the style layers of the recipe.
        here: the region of the photograph that takes this style, (H, W), 1 inside, 0 outside,
            values between for soft edges: an image (white inside), an array or a tensor. None:
            all of it.
        there: the region of the style image that the style is taken from, in the same form.
        strokes: the size of its strokes, relative to what it would be.
        erode: whether a position of a layer counts only if all that it sees lies in the region.
            Without this, style leaks across the border.

    Raises:
        InputError: a weight or a size of strokes that cannot be, or an empty list of layers.

    Source: Gatys, Ecker, Bethge, Hertzmann and Shechtman (2017), "Controlling perceptual
    factors in neural style transfer".
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


Styles = ImageSource | Style | Sequence[ImageSource | Style]
"""One style, or a list or tuple of several."""


def styles_of(style: Styles) -> list[Style]:
    """The styles that an argument of `transfer` means, without those of weight 0.

    Raises:
        InputError: an empty list, or all weights are 0.
    """
    listed: list[Any] = several("style", style) if isinstance(style, list | tuple) else [style]
    styles = [each if isinstance(each, Style) else Style(each) for each in listed]
    weighty = [each for each in styles if each.weight]
    if not weighty:
        raise InputError("all styles have the weight 0: give one of them more")
    return weighty


def own_layers(styles: Sequence[Style]) -> list[Layer]:
    """The layers that styles have of their own."""
    return [layer for style in styles if style.layers is not None for layer in style.layers]


def read_once(style: ImageSource | Style) -> Style:
    """A style whose images can be read again, even if they were given as open files."""
    given = style if isinstance(style, Style) else Style(style)
    image, here, there = (kept(each) for each in (given.image, given.here, given.there))
    return replace(given, image=image, here=here, there=there)


@dataclass(frozen=True, eq=False)
class Painting:
    """A style at one size of a run.

    Attributes:
        X: the style image, (1, 3, H', W'), normalized.
        weight, layers, erode: as those of a `Style`.
        here: the region of the photograph, (1, 1, H, W), 0..1; None is all of it.
        there: the region of the style image, (1, 1, H', W'), 0..1; None is all of it.
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

    def factors(self, layers: Layers) -> dict[Layer, float]:
        """Its layers with their factors; `layers` are those of a style that has none."""
        return factors_of(layers if self.layers is None else self.layers)

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
        """The styles, those of one region together. A style of weight 0 is left out."""
        groups: list[list[Painting]] = []
        for style in self.styles:
            if not style.weight:
                continue
            group = next((each for each in groups if each[0].shares_region(style)), None)
            if group is None:
                groups.append([style])
            else:
                group.append(style)
        return groups

    def weighted(
        self,
        layers: Layers,
        size: Callable[[Painting, Layer], float] = lambda style, layer: 1.0,
        number: Callable[[Layer], Layer] = lambda layer: layer,
    ) -> list[tuple[Painting, dict[Layer, float]]]:
        """The styles, each with a factor for each of its layers.

        At each layer, the factors of the styles of one region add up to 1. They are in
        proportion to weight times size. So if each loss is divided by its own size, the
        undivided losses are in proportion to the weights.

        Args:
            layers: those of a style that has none of its own.
            size: what the loss of a style at a layer is divided by; 0 if it does not count.
            number: what is equal for two names of the same layer.

        Source: the sum over styles of a |G - A|^2 has the same gradient with respect to G as
        the square of the distance from the one matrix that is the sum of a A, if the factors a
        add up to 1.
        """
        found = []
        for group in self.regions():
            factors = [style.factors(layers) for style in group]
            parts = [
                {layer: style.weight * size(style, layer) for layer in own}
                for style, own in zip(group, factors, strict=True)
            ]
            sums: dict[Layer, float] = {}
            for layer, part in (each for of_style in parts for each in of_style.items()):
                sums[number(layer)] = sums.get(number(layer), 0.0) + part
            for style, own, of_style in zip(group, factors, parts, strict=True):
                shared = {
                    layer: own[layer] * (part / sums[number(layer)])
                    for layer, part in of_style.items()
                    if part
                }
                found.append((style, shared))
        return found
