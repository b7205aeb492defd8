"""Features and gradients tile by tile: the same, in less memory (chapter 30).

A convolution and a pooling see a window of what is before them. So the features in a tile
depend only on the tile and a margin around it. Forward, tiles are computed without a graph;
backward, each is computed once more, with one.
"""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from stylelib.arguments import several, whole
from stylelib.errors import InputError
from stylelib.features import NetworkFeatures
from stylelib.large.strips import Reach, Seeing, Strip, reaches_of, shape_after, strips
from stylelib.large.sums import EVERYWHERE, Summed, Window
from stylelib.layers import Layer, layer_index
from stylelib.precision import Precision
from stylelib.speed import empty, order_of

__all__ = ["TiledFeatures"]

POOLS = (nn.MaxPool2d, nn.AvgPool2d)
"""The layers after which a network is cut: what they hand on is small."""


class Look(NamedTuple):
    """What is wanted of a layer: its features, or a sum of them.

    Attributes:
        tap: the number of the layer.
        sums: as for `Additive`; None are the features.
    """

    tap: int
    sums: Callable[[Tensor, Window], Tensor] | None = None


class Inner(NetworkFeatures):
    """The features of some layers in a row, whose input need not be an image."""

    def _check(self, X: Tensor, deepest: int) -> None:
        pass  # done for the whole network


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some layers of a network in a row, applied tile by tile.

    Attributes:
        layers: their features.
        reaches: what rows and columns see from layer to layer.
        side: about the size of a tile, in positions of the input.
        looks: what is wanted; the layers are numbered from 0.
    """

    layers: Inner
    reaches: Seeing
    side: int
    looks: Sequence[Look]

    def axes(
        self, shape: Sequence[int], taps: Sequence[int]
    ) -> tuple[list[Strip], list[Strip]]:
        """How the rows and the columns of an input of a shape (H, W) are cut."""
        height, width = shape
        return (
            strips(height, self.side, [(n, rows) for n, (rows, _) in self.reaches], taps),
            strips(width, self.side, [(n, columns) for n, (_, columns) in self.reaches], taps),
        )

    def tiles(self, X: Tensor, taps: Sequence[int]) -> Iterator[tuple[Strip, Strip]]:
        """The tiles of an input, each by its rows and columns."""
        return product(*self.axes(X.shape[2:], taps))

    def at(self, tile: Tensor, taps: Sequence[int]) -> dict[int, Tensor]:
        """The features of a tile with its margins."""
        return dict(zip(taps, self.layers(tile, taps), strict=True))

    def forward(self, X: Tensor) -> list[Tensor]:
        """What is wanted, of all tiles together."""
        found: list[Tensor | None] = [None] * len(self.looks)
        taps = sorted({look.tap for look in self.looks})
        for rows, columns in self.tiles(X, taps):
            seen = self.at(X[:, :, rows.crop, columns.crop], taps)
            for i, look in enumerate(self.looks):
                F, place = own(seen, rows, columns, look.tap)
                if not F.numel():
                    continue
                if look.sums is not None:
                    part, so_far = look.sums(F, place), found[i]
                    found[i] = part if so_far is None else so_far + part
                    continue
                if found[i] is None:
                    found[i] = self.room_for(X, seen[look.tap], look.tap)
                found[i][:, :, *place] = F  # type: ignore[index]  # not None
        return [each for each in found if each is not None]

    def room_for(self, X: Tensor, like: Tensor, tap: int) -> Tensor:
        """An empty tensor for all features of a layer, in the memory order of a tile's."""
        rows_columns = shape_after(self.reaches, X.shape[2:], tap)
        return empty((*like.shape[:2], *rows_columns), like, order_of(like))

    def backward(self, X: Tensor, gradients: Sequence[Tensor | None]) -> Tensor:
        """The gradient of the input, from those of what was wanted; None is 0."""
        wanted = [
            (look, gradient)
            for look, gradient in zip(self.looks, gradients, strict=True)
            if gradient is not None
        ]
        total, taps = torch.zeros_like(X), sorted({look.tap for look, _ in wanted})
        for rows, columns in self.tiles(X, taps) if wanted else ():
            tile = X[:, :, rows.crop, columns.crop].detach().requires_grad_()
            outputs, arrive = [], []
            with torch.enable_grad():
                seen = self.at(tile, taps)
                for look, gradient in wanted:
                    F, place = own(seen, rows, columns, look.tap)
                    if F.numel():
                        outputs.append(F if look.sums is None else look.sums(F, place))
                        at_once = look.sums is not None
                        arrive.append(gradient if at_once else gradient[:, :, *place])
            if outputs:
                (part,) = torch.autograd.grad(outputs, tile, arrive)
                total[:, :, rows.crop, columns.crop] += part
        return total


def own(
    seen: dict[int, Tensor], rows: Strip, columns: Strip, tap: int
) -> tuple[Tensor, Window]:
    """A tile's own features at a layer, without the margins, and where they belong."""
    F: Tensor = Cropped.apply(seen[tap], rows.inner[tap], columns.inner[tap])
    return F, (rows.places[tap], columns.places[tap])


class Cropped(torch.autograd.Function):
    """F[:, :, rows, columns] in the memory order of F, as is its gradient.

    The gradient of a slice is always in the order of (N, C, H, W). Where the channels of a
    position are together, a slice makes the pass back through a tile take twice as long.
    """

    @staticmethod
    def forward(ctx: Any, F: Tensor, rows: slice, columns: slice) -> Tensor:
        """The features in a window."""
        ctx.shape, ctx.window, ctx.order = F.shape, (rows, columns), order_of(F)
        return F[:, :, rows, columns].contiguous(memory_format=ctx.order)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of all features, which is 0 outside the window."""
        total = empty(ctx.shape, gradient, ctx.order).zero_()
        total[:, :, *ctx.window] = gradient
        return total, None, None


def in_place(layer: nn.Module) -> bool:
    """Whether a layer may change its input, which overlapping tiles share."""
    return any(getattr(part, "inplace", False) for part in layer.modules())


class Tiled(torch.autograd.Function):
    """What is wanted of a stretch of layers, with a gradient that computes each tile again."""

    @staticmethod
    def forward(ctx: Any, X: Tensor, stretch: Stretch) -> tuple[Tensor, ...]:
        """One tensor for each of `stretch.looks`."""
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(X)
        ctx.stretch = stretch
        return tuple(stretch.forward(X))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor, None]:
        """The gradient of the input."""
        (X,) = ctx.saved_tensors
        return ctx.stretch.backward(X, gradients), None


class TiledFeatures(NetworkFeatures):
    """The features that `NetworkFeatures` gives, tile by tile: as exact, in less memory.

    The network is cut after its pooling layers. In the first parts, tiles are computed one
    after another; what is kept is what each part hands on to the next, and what was asked for.
    In the backward pass each tile is computed once more. The remaining layers, whose features
    are small, are computed as ever. The margins of a part are narrow: at most 4 positions
    on each side in VGG-19, where the whole network up to conv5_1 would need about 80 pixels.

    Args:
        net: a network from `vgg19`, or another `nn.Sequential` of convolutions, poolings and
            layers that see one position.
        precision, widen: as for `NetworkFeatures`.
        side: about the side of a tile, in pixels of the image. Later parts have more channels
            and fewer positions, so that a tile takes about as much memory.
        parts: how many parts of the network are computed by tiles; None is all of them.

    Raises:
        InputError: what a layer of the network sees is not known.

    Source: Galerne, Raad, Lezama and Morel (2024), "Scaling painting style transfer", sum up
    Gram matrices over tiles and compute each tile again for its gradient. They take the whole
    network at once, with a wide margin.

    Example:
        >>> from stylelib import vgg19
        >>> net, X = vgg19(layers=["relu2_1"]), torch.ones(1, 3, 50, 70)
        >>> (Y,) = TiledFeatures(net, side=32)(X, ["relu2_1"])
        >>> bool(torch.allclose(Y, NetworkFeatures(net)(X, ["relu2_1"])[0], atol=1e-5))
        True
    """

    def __init__(
        self,
        net: nn.Sequential,
        precision: Precision = "float32",
        *,
        widen: bool = True,
        side: int = 512,
        parts: int | None = None,
    ) -> None:
        super().__init__(net, precision, widen=widen)
        self.side = whole("side", side)
        self.parts = None if parts is None else whole("parts", parts, least=0)
        self.reaches: list[tuple[int, tuple[Reach, Reach]]] = []
        self.unknown: tuple[int, InputError] | None = None
        for index, layer in enumerate(net):
            try:
                self.reaches += [(index, reach) for reach in reaches_of(layer)]
            except InputError as error:  # only of interest if it is needed
                self.unknown = index, error
                break

    def _check(self, X: Tensor, deepest: int) -> None:
        super()._check(X, deepest)
        self.check_known(deepest)

    def check_known(self, deepest: int) -> None:
        """Check that it is known what the layers up to this one see."""
        if self.unknown is not None and deepest >= self.unknown[0]:
            raise self.unknown[1]

    @functools.cached_property
    def channels(self) -> list[int]:
        """The number of channels of each layer's output."""
        known = range(len(self.net) if self.unknown is None else self.unknown[0])
        side = self.smallest_side(known)
        weight = next(self.net.parameters(), torch.zeros(()))
        with torch.no_grad():
            seen = NetworkFeatures(self.net)(weight.new_zeros(1, 3, side, side), known)
        return [Y.shape[1] for Y in seen]

    def shapes(self, X: Tensor, layers: Sequence[Layer]) -> list[tuple[int, int, int, int]]:
        """The shapes (N, C, H', W') of the features of images, which are not computed."""
        found = []
        for layer in layers:
            tap = layer_index(self.net, layer)
            self._check(X, tap)
            height, width = shape_after(self.reaches, X.shape[2:], tap)
            found.append((len(X), self.channels[tap], height, width))
        return found

    def __call__(self, X: Tensor, layers: Sequence[Layer | Summed]) -> list[Tensor]:
        """The features of a batch of images, or sums of them.

        Args:
            X: normalized images of shape (N, 3, H, W).
            layers: layers by number or name, or a `Summed` for each sum.

        Returns:
            A tensor for each of `layers`, in their order; for a layer, (N, C, H', W').

        Raises:
            InputError: as for `NetworkFeatures`.
        """
        looks = [self._look(each) for each in several("layers", layers, least=0)]
        deepest = max((look.tap for look in looks), default=-1)
        self._check(X, deepest)
        found: dict[int, Tensor] = {}
        Y = X
        for begin, end, tiled in self.stretches(deepest):
            here = {i: look for i, look in enumerate(looks) if begin <= look.tap < end}
            local = [Look(look.tap - begin, look.sums) for look in here.values()]
            if end <= deepest:  # what comes next needs the last layer's features
                local.append(Look(end - 1 - begin))
            outputs = (self._by_tiles if tiled else self._at_once)(Y, begin, end, local)
            found |= dict(zip(here, outputs, strict=False))
            Y = outputs[-1]
        wide = [self.widen and look.sums is None for look in looks]
        return [found[i].to(X.dtype) if w else found[i] for i, w in enumerate(wide)]

    def stretches(self, deepest: int) -> list[tuple[int, int, bool]]:
        """Where parts of the network begin and end, and whether they are computed by tiles.

        Args:
            deepest: the number of the last layer that is needed.
        """
        ends = [
            n
            for n, (layer, after) in enumerate(pairwise(self.net), 1)
            if n <= deepest and isinstance(layer, POOLS) and not in_place(after)
        ]
        cuts = [0, *(ends if self.parts is None else ends[: self.parts]), deepest + 1]
        by_tiles = len(cuts) - 1 if self.parts is None else self.parts
        return [(a, b, i < by_tiles) for i, (a, b) in enumerate(pairwise(cuts)) if a < b]

    def stretch(self, begin: int, end: int, looks: Sequence[Look]) -> Stretch:
        """The layers from one number to before another, by tiles.

        After a pooling, features have twice the channels. There a tile has fewer positions, so
        that it takes the same memory.
        """
        stride = math.prod(rows.stride for n, (rows, _) in self.reaches if n < begin)
        side = max(1, round(self.side / stride**0.5))
        reaches = [(n - begin, each) for n, each in self.reaches if begin <= n < end]
        return Stretch(self.inner(begin, end), reaches, side, looks)

    def with_side(self, side: int) -> TiledFeatures:
        """The same with tiles of another size."""
        return TiledFeatures(
            self.net, self.precision, widen=self.widen, side=side, parts=self.parts
        )

    def inner(self, begin: int, end: int) -> Inner:
        """The features of the layers from one number to before another."""
        layers = OrderedDict(list(self.net._modules.items())[begin:end])
        return Inner(nn.Sequential(layers), self.precision, widen=False)

    def _by_tiles(
        self, Y: Tensor, begin: int, end: int, looks: Sequence[Look]
    ) -> tuple[Tensor, ...]:
        outputs: tuple[Tensor, ...] = Tiled.apply(Y, self.stretch(begin, end, looks))
        return outputs

    def _at_once(
        self, Y: Tensor, begin: int, end: int, looks: Sequence[Look]
    ) -> tuple[Tensor, ...]:
        taps = sorted({look.tap for look in looks})
        seen = dict(zip(taps, self.inner(begin, end)(Y, taps), strict=True))
        return tuple(
            seen[tap] if sums is None else sums(seen[tap], EVERYWHERE) for tap, sums in looks
        )

    def _look(self, asked: Layer | Summed) -> Look:
        if isinstance(asked, Summed):
            return Look(layer_index(self.net, asked.layer), asked.sums)
        return Look(layer_index(self.net, asked))
