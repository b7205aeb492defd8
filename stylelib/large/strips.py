"""How an image is cut into tiles with a margin, so that nothing is lost (chapter 30)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from torch import nn

from stylelib.control.masks import PLAIN, is_of_torch, parts_of, sees_as_its_parts
from stylelib.errors import InputError

__all__ = ["Reach", "Seeing", "Strip", "reaches_of", "shape_after", "strips"]


class Reach(NamedTuple):
    """What each output of a layer sees along one axis: a window of the layer's input.

    Output i sees the inputs from `stride * i - before` on, `kernel` of them.

    Attributes:
        kernel: the width of the window.
        stride: the distance between windows.
        before: how many zeros come before the first input.
        after: how many zeros come after the last.
        ceil: whether the last window may extend beyond the border.
    """

    kernel: int
    stride: int = 1
    before: int = 0
    after: int = 0
    ceil: bool = False

    def outputs(self, size: int) -> int:
        """The number of outputs for so many inputs."""
        padded = size + self.before + self.after
        count = (padded - self.kernel + (self.stride - 1) * self.ceil) // self.stride + 1
        if self.ceil and (count - 1) * self.stride >= size + self.before:
            count -= 1  # a window must not begin in what comes after the last input
        return count


def reaches_of(layer: nn.Module) -> list[tuple[Reach, Reach]]:
    """What a layer sees along rows and along columns: one window after another.

    Raises:
        InputError: it is not known what a position of this layer sees.
    """
    if sees_as_its_parts(layer):
        return [each for part in parts_of(layer) for each in reaches_of(part)]
    if not is_of_torch(layer):
        raise unknown(layer)
    if isinstance(layer, nn.Conv2d) and layer.padding_mode != "circular":
        left, right, top, bottom = layer._reversed_padding_repeated_twice
        (kh, kw), (sh, sw), (dh, dw) = layer.kernel_size, layer.stride, layer.dilation
        rows = Reach(dh * (kh - 1) + 1, sh, top, bottom)
        return [(rows, Reach(dw * (kw - 1) + 1, sw, left, right))]
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        settings = (layer.kernel_size, layer.stride, layer.padding)
        pairs = [each if isinstance(each, tuple) else (each, each) for each in settings]
        if getattr(layer, "dilation", 1) in (1, (1, 1)):
            rows, columns = (
                Reach(k, s, p, p, layer.ceil_mode) for k, s, p in zip(*pairs, strict=True)
            )
            return [(rows, columns)]
    if isinstance(layer, PLAIN):
        return []
    raise unknown(layer)


def unknown(module: nn.Module) -> InputError:
    """The error for a module of which it is not known what it sees."""
    return InputError(
        "tiles need a network whose layers follow each other, such as vgg19(); what a "
        f"position of {type(module).__name__} sees is not known: take a smaller image"
    )


Seeing = Sequence[tuple[int, tuple[Reach, Reach]]]
"""The numbers of layers, and what these see along rows and along columns."""


@dataclass(frozen=True)
class Strip:
    """A tile along one axis.

    Attributes:
        crop: its part of the input, with the margins.
        inner: for each layer, its own positions among those of the crop.
        places: for each layer, its own positions among those of the whole input.
    """

    crop: slice
    inner: dict[int, slice]
    places: dict[int, slice]


def strips(
    size: int, side: int, reaches: Sequence[tuple[int, Reach]], taps: Sequence[int]
) -> list[Strip]:
    """Cut an axis into tiles, whose own positions at each layer are all positions, once.

    Args:
        size: of the input.
        side: about the size of a tile without its margins.
        reaches: what is seen from layer to layer, each with the layer's number.
        taps: the numbers of the layers whose positions are wanted.
    """
    strides, sizes, margin = {}, {}, 0
    for tap in taps:
        before = [reach for number, reach in reaches if number <= tap]
        stride, length, low, high = 1, size, 0, 0
        for reach in before:
            stride, length = stride * reach.stride, reach.outputs(length)
        for reach in reversed(before):  # how far before and beyond its own part a tile sees
            low = low * reach.stride + reach.before
            high = high * reach.stride + reach.kernel - reach.stride - reach.before
            low, high = max(0, low), max(0, high)
        strides[tap], sizes[tap], margin = stride, length, max(margin, low, high)
    # tiles begin where all strides meet, so that their windows are those of the whole input
    grid = max(strides.values(), default=1)
    margin = -(-margin // grid) * grid
    count = -(-size // max(side, grid))
    cuts = sorted({size * i // count // grid * grid for i in range(count)})
    found = []
    for begin, end in pairwise([*cuts, size]):
        first, last = max(0, begin - margin), min(size, end + margin)
        places = {
            tap: slice(
                min(begin // s, sizes[tap]),
                sizes[tap] if end == size else min(end // s, sizes[tap]),
            )
            for tap, s in strides.items()
        }
        inner = {
            tap: slice(place.start - first // strides[tap], place.stop - first // strides[tap])
            for tap, place in places.items()
        }
        found.append(Strip(slice(first, last), inner, places))
    return found


def shape_after(reaches: Seeing, shape: Sequence[int], tap: int) -> tuple[int, int]:
    """(rows, columns) of a layer for an input of a shape."""
    height, width = shape
    for number, (rows, columns) in reaches:
        if number <= tap:
            height, width = rows.outputs(height), columns.outputs(width)
    return height, width
