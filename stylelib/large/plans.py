"""How much memory a size takes, and what to do if that is too much (chapter 30)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from stylelib.arguments import number
from stylelib.descents import Descent
from stylelib.errors import InputError
from stylelib.features import Features
from stylelib.large.room import available, in_use
from stylelib.large.strips import shape_after, unknown
from stylelib.large.tiles import Look, TiledFeatures
from stylelib.layers import Layer, layer_index
from stylelib.models import features_of
from stylelib.precision import Precision, resolve_precision
from stylelib.winograd import size_of_kernels

__all__ = ["Plan", "Planner"]

SIDES = (512, 384, 256, 192, 128)
"""Sides of tiles to choose from, in pixels: the largest that fits."""
LARGER = (2048, 1024)
"""Sides to try first on a GPU, which small tiles leave idle. Measured at 4,096 pixels, on an
H200, milliseconds of a step: plain 81; one part by tiles of 2,048 pixels 99, of 1,024 107, of
512 201; two parts 112, 121, 288."""
PASSING = 6
"""How many features of the largest layer are in memory at a time besides those that are kept:
gradients, scratch memory of convolutions, what the system has not got back yet. Measured."""
WHOLE = 4
"""The same where a loss needs all features of a layer at once, such as by sorting them."""
IMAGES = 14
"""How many images a run keeps besides those that L-BFGS remembers."""
MARGIN = 1.3
"""What is expected is multiplied by this, since memory falls to pieces. Measured: up
to 1.25, in a run of nine sizes."""
SURELY = 16e3
"""In so many bytes per pixel, images and styles together, every recipe fits without tiles."""
SAMPLE = 96
"""The side of the image with which a network is measured."""


@dataclass(frozen=True)
class Cost:
    """What a part of a network takes for each pixel of the image.

    Attributes:
        begin: the number of its first layer.
        end: the number of the layer after its last.
        kept: bytes kept for the backward pass.
        largest: bytes of the features of its largest layer.
        handed_on: bytes of the features of its last layer.
        tapped: bytes of the features of the layers that are looked at.
        work: the floating-point operations, forward.
    """

    begin: int
    end: int
    kept: float
    largest: float
    handed_on: float
    tapped: float
    work: float


def costs_of(tiles: TiledFeatures, taps: Sequence[int], device: torch.device) -> list[Cost]:
    """What each part of a network takes, measured with a small image."""
    side = max(SAMPLE, tiles.smallest_side(taps))
    weight = next(tiles.net.parameters(), torch.zeros(()))
    X = torch.zeros(1, 3, side, side, dtype=weight.dtype, device=device)
    X.requires_grad_()
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that no two have the same address

    def pack(Y: Tensor) -> Tensor:
        if Y.ndim == 4 and len(Y) == 1:  # not a weight
            kept[Y.untyped_storage().data_ptr()] = Y.untyped_storage()
        return Y

    found, before = [], 0
    for begin, end, _ in tiles.stretches(max(taps)):
        with (
            torch.enable_grad(),
            FlopCounterMode(display=False) as counter,
            torch.autograd.graph.saved_tensors_hooks(pack, lambda Y: Y),
        ):
            Ys = tiles.inner(begin, end)(X, range(end - begin))
        tapped = [Ys[tap - begin] for tap in taps if begin <= tap < end]
        for Y in tapped:
            pack(Y)
        X, total = Ys[-1], sum(each.nbytes() for each in kept.values())
        sizes = [Y.nbytes for Y in Ys]
        numbers = (total - before, max(sizes), sizes[-1], sum(Y.nbytes for Y in tapped))
        work = counter.get_total_flops()
        found.append(Cost(begin, end, *(n / side**2 for n in (*numbers, work))))
        before = total
    return found


@dataclass(frozen=True)
class Plan:
    """How the features of one size are computed.

    Attributes:
        parts: how many parts of the network are computed by tiles; 0 is the plain way.
        side: about the side of a tile in pixels; None where there are no tiles.
        memory: the most memory that the process is expected to use, in bytes.
        work: the time of a step relative to the plain way.
    """

    parts: int
    side: int | None
    memory: float
    work: float


class Planner:
    """Chooses for each size how its features are computed, within a bound of memory.

    Args:
        net: the network.
        precision: of the steps.
        layers: those that are looked at.
        whole: those of them whose features a loss needs all at once.
        targets: those whose features the content image keeps.
        descent: how the image is moved.
        device: where it is computed.
        memory: the bound in GB; None is what is found to be available.

    Raises:
        InputError: the bound is not a positive number, or cannot be kept with this network.
    """

    def __init__(
        self,
        net: nn.Module,
        precision: Precision,
        layers: Sequence[Layer],
        *,
        whole: Sequence[Layer] = (),
        targets: Sequence[Layer] = (),
        descent: Descent,
        device: torch.device,
        memory: float | None = None,
    ) -> None:
        self.net, self.precision, self.descent = net, precision, descent
        self.layers, self.whole, self.targets = (
            list(dict.fromkeys(each)) for each in (layers, whole, targets)
        )
        self.device, self.room, self.used = device, available(device), in_use(device)
        self.given = memory is not None
        self.bound = self.used + 0.9 * self.room
        if memory is not None:
            self.bound = 1e9 * number("memory", memory, above=0)
        if resolve_precision(precision, device) == "winograd":
            self.used += size_of_kernels(self._layers_needed())
        self.tiles = self._tiles()

    def _layers_needed(self) -> Sequence[nn.Module]:
        """The network's layers up to the deepest that is looked at."""
        if not isinstance(self.net, nn.Sequential):
            return [self.net]
        return list(self.net)[: max(self._taps(self.layers), default=-1) + 1]

    def _tiles(self) -> TiledFeatures | None:
        """The network by tiles; None if what its layers see is not known."""
        try:
            if not isinstance(self.net, nn.Sequential):
                raise unknown(self.net)
            tiles = TiledFeatures(self.net, self.precision, widen=False)
            tiles.check_known(max(self._taps(self.layers), default=-1))
        except InputError:
            if self.given:
                raise
            return None
        return tiles

    def _taps(self, layers: Sequence[Layer]) -> list[int]:
        assert isinstance(self.net, nn.Sequential)
        return [layer_index(self.net, layer) for layer in layers]

    @functools.cached_property
    def plain(self) -> tuple[Features, Features]:
        """Where features come from without tiles: in each step, and for the targets."""
        return features_of(self.net, self.precision, widen=False), features_of(self.net)

    def features(self, plan: Plan) -> tuple[Features, Features]:
        """Where features come from by a plan: in each step, and for the targets."""
        net = self.net
        if plan.side is None or not isinstance(net, nn.Sequential):
            return self.plain
        return (
            TiledFeatures(net, self.precision, widen=False, side=plan.side, parts=plan.parts),
            TiledFeatures(net, side=plan.side, parts=plan.parts),
        )

    def plan(
        self,
        shape: tuple[int, int],
        styles: Sequence[tuple[int, int]],
        steps: int,
        *,
        careful: bool = False,
    ) -> Plan:
        """The first way that fits, of which the fastest come first.

        Args:
            shape: (H, W) of the image.
            styles: those of the style images.
            steps: how many there are at this size.
            careful: whether to compute the memory even if there is certainly enough.

        Raises:
            InputError: the size does not fit.
        """
        area, painted = math.prod(shape), sum(math.prod(style) for style in styles)
        easy = SURELY * (area + painted)
        careful = careful or self.given or easy > self.room
        if self.tiles is None or not careful:
            return Plan(0, None, self.used + easy, 1.0)
        pairs = getattr(self.descent, "memory", getattr(self.descent, "history_size", 0))
        images = 12.0 * (area * (IMAGES + 2 * min(pairs, steps)) + 2 * painted)
        least = math.inf
        for parts, side in self._ways():
            tile, work = self._by_tiles(shape, parts, side)
            needed = images + self._at_once(area, painted, parts) + tile
            plan = Plan(parts, side, self.used + MARGIN * needed, work)
            if plan.memory <= self.bound:
                return plan
            least = min(least, plan.memory)
        return self._refuse(shape, least)

    def _ways(self) -> Iterator[tuple[int, int | None]]:
        """The number of parts by tiles and the side of a tile, the fastest first."""
        yield 0, None
        parts = range(1, len(self.costs) + 1)
        if self.device.type == "cuda":
            yield from itertools.product(parts, LARGER)
        yield from itertools.product(parts, SIDES)

    def _refuse(self, shape: tuple[int, int], least: float) -> NoReturn:
        bound = (
            f"the bound is {self.bound / 1e9:.1f} GB"
            if self.given
            else f"there are {self.bound / 1e9:.1f} GB"
        )
        wholes = ", whose losses need all features at once," if self.whole else ""
        raise InputError(
            f"an image of {shape[0]} x {shape[1]} needs about {least / 1e9:.1f} GB of memory "
            f"with this recipe{wholes} and {bound}: take a smaller image, or another recipe"
        )

    @functools.cached_property
    def costs(self) -> list[Cost]:
        """What each part of the network takes for a pixel of the image."""
        assert self.tiles is not None
        return costs_of(self.tiles, self._taps(self.layers), self.device)

    def _at_once(self, area: int, painted: int, parts: int) -> float:
        """The bytes for features that are in memory at once, for all of the image."""
        rest = self.costs[parts:]
        passing = PASSING * max((each.largest for each in rest), default=0.0)
        # what parts by tiles hand on is there twice: with its gradient
        handed_on = sum(2 * each.handed_on for each in self.costs[:parts])
        of_image = area * (handed_on + sum(each.kept for each in rest) + passing)
        # of a style image there are no gradients
        of_style = painted * (handed_on / 2 + sum(each.tapped for each in rest) + passing)
        targets = [layer for layer in self.targets if layer not in self.whole]
        wholes = (area + painted) * WHOLE * self._bytes_at(self.whole)
        return max(of_image, of_style) + area * self._bytes_at(targets) + wholes

    def _bytes_at(self, layers: Sequence[Layer]) -> float:
        """The bytes for each pixel of the image of the features at layers, in float32."""
        assert self.tiles is not None
        side = max(SAMPLE, self.tiles.smallest_side(layers))
        weight = next(self.net.parameters(), torch.zeros(()))
        X = torch.empty(1, 3, side, side, device="meta", dtype=weight.dtype)
        return 4 * sum(map(math.prod, self.tiles.shapes(X, layers))) / side**2

    def _by_tiles(
        self, shape: tuple[int, int], parts: int, side: int | None
    ) -> tuple[float, float]:
        """The bytes of a tile, and the time of a step relative to the plain way."""
        assert self.tiles is not None
        tiles = self.tiles if side is None else self.tiles.with_side(side)
        bytes_of_tile, work = 0.0, sum(2 * each.work for each in self.costs[parts:])
        for part in self.costs[:parts]:
            length = part.end - part.begin
            entry = shape_after(tiles.reaches, shape, part.begin - 1)
            stretch = tiles.stretch(part.begin, part.end, [Look(length - 1)])
            rows, columns = stretch.axes(entry, [length - 1])
            lengths = [
                [s.crop.stop - s.crop.start for s in strips] for strips in (rows, columns)
            ]
            pixels = math.prod(shape) / math.prod(entry)  # for each position
            largest = pixels * max(lengths[0]) * max(lengths[1])
            overhead = pixels * sum(lengths[0]) * sum(lengths[1]) / math.prod(shape)
            bytes_of_tile = max(bytes_of_tile, largest * (part.kept + PASSING * part.largest))
            work += 3 * overhead * part.work  # forward, again forward, backward
        return bytes_of_tile, work / sum(2 * each.work for each in self.costs)
