"""What a run does, settled before its first step: sizes, steps, network, memory (chapter 1)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import nn

from stylelib.arguments import choice, several, whole
from stylelib.control.shares import FEWEST, ROUNDS, InRounds
from stylelib.control.styles import Style, Styles, own_layers, styles_of
from stylelib.descents import Descent
from stylelib.devices import find_device
from stylelib.errors import InputError
from stylelib.files import ImageSource
from stylelib.large.plans import Plan, Planner
from stylelib.large.sums import by_sums_of
from stylelib.layers import CONTENT_LAYERS, STYLE_LAYERS, Layer
from stylelib.models import check_defaults
from stylelib.networks import check_module, vgg19, weights_for
from stylelib.pyramid import ends_of, sizes
from stylelib.recipes import EFFORTS, Effort, Recipe
from stylelib.sources import Controls, Sources

__all__ = ["Run", "planned", "prepared"]

SMALLEST_STYLE = 16
"""The least shorter side of a style image at the first of several sizes: relu5_1 needs it."""
LEAST = 2
"""The least number of steps at a size."""
MANY = 2**20
"""Above so many pixels a size gets fewer steps than the sizes before it."""


@dataclass(frozen=True, eq=False)
class Run:
    """What is done, before anything is done.

    Attributes:
        recipe: with weights.
        net: on the device.
        device: where it is computed.
        styles: as they were asked for.
        sources: the photograph and the styles, read.
        controls: what was asked besides.
        fractions: the sizes, as fractions of the last.
        steps: at all sizes together, or at each of them.
        planner: chooses how features are computed.
    """

    recipe: Recipe
    net: nn.Module
    device: torch.device
    styles: list[Style]
    sources: Sources
    controls: Controls
    fractions: list[float]
    steps: int | list[int]
    planner: Planner

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """(H, W) of each size."""
        return sizes(self.sources.shape, self.fractions)

    def descent(self) -> Descent:
        """How the image is moved; with shares, in rounds."""
        if self.controls.shares is None:
            return self.recipe.descent
        return InRounds(self.recipe.descent, self.fractions.count(1.0))

    def plan(self, index: int, *, careful: bool = False) -> Plan:
        """How features are computed at the size of a number; as `Planner.plan`."""
        styles = [sizes(each.shape, self.fractions)[index] for each in self.sources.styles]
        return self.planner.plan(
            self.shapes[index], styles, self.steps_at(index), careful=careful
        )

    def steps_at(self, index: int) -> int:
        """The number of steps at a size."""
        ends = ends_of(self.steps, len(self.fractions))
        return ends[index + 1] - ends[index]

    def plans(self, *, careful: bool = False) -> list[Plan]:
        """How features are computed at each size.

        Raises:
            InputError: a size does not fit into memory.
        """
        last_first = [
            self.plan(index, careful=careful) for index in reversed(range(len(self.fractions)))
        ]
        return last_first[::-1]


def prepared(
    recipe: Recipe,
    content: ImageSource,
    style: Styles,
    *,
    image_shape: int | tuple[int, int],
    style_shape: int | tuple[int, int] | None,
    controls: Controls,
    effort: Effort,
    steps: int | Sequence[int] | None,
    scales: int | None,
    device: torch.device | str | None,
    net: nn.Module | None,
    memory: float | None,
) -> Run:
    """What a recipe asks for. The arguments are as those of `stylelib.transfer`."""
    device, styles = find_device(device), styles_of(style)
    sources = Sources.read(content, styles, image_shape, style_shape, controls)
    fractions, counted = planned(recipe, sources, effort, steps, scales, controls)
    own = own_layers(styles)
    recipe, net = fitted(recipe, net, own, controls)
    net = net.to(device)
    planner = Planner(
        net,
        recipe.arithmetic,
        [*recipe.layers, *own],
        whole=[*recipe.needed_whole, *(own if by_sums_of(recipe.style_loss) is None else [])],
        targets=list(recipe.content_layers),
        descent=recipe.descent,
        device=device,
        memory=memory,
    )
    return Run(recipe, net, device, styles, sources, controls, fractions, counted, planner)


def planned(
    recipe: Recipe,
    sources: Sources,
    effort: Effort,
    steps: int | Sequence[int] | None,
    scales: int | None,
    controls: Controls,
) -> tuple[list[float], int | list[int]]:
    """The sizes to work through, as fractions of the last, and the steps.

    A size comes once for each time that weights are set there. Where the steps do not suffice,
    there are fewer sizes, and if that is not enough, the weights are set less often.
    """
    choice("effort", effort, EFFORTS)
    if isinstance(steps, Sequence) and not isinstance(steps, str):
        return listed(recipe, sources, steps, scales, controls)
    asked = None if steps is None else whole("steps", steps)
    if scales is not None:
        scales = whole("scales", scales, most=asked)
    fractions = recipe.fractions(min(sources.shape), scales)
    each = recipe.efforts[EFFORTS.index(effort)]
    total = each * len(fractions) if asked is None else asked
    least = LEAST if controls.shares is None else FEWEST * ROUNDS
    if scales is None:  # a size needs so many steps at least, and styles that have features
        side = min(min(each.shape) for each in sources.styles)
        fitting = [f for f in fractions if f * side >= SMALLEST_STYLE]
        fractions = (fitting or [1.0])[-max(1, total // least) :]
    if controls.shares is not None:
        rounds = min(ROUNDS, max(1, total // (FEWEST * len(fractions))))
        return [fraction for fraction in fractions for _ in range(rounds)], total
    if asked is None and len(fractions) > 1:
        return fractions, spread(total, sizes(sources.shape, fractions))
    return fractions, total


def listed(
    recipe: Recipe,
    sources: Sources,
    steps: Sequence[int],
    scales: int | None,
    controls: Controls,
) -> tuple[list[float], list[int]]:
    """The last of the sizes, as many as there are numbers of steps."""
    counts = [whole("steps", count) for count in several("steps", steps)]
    if controls.shares is not None:
        raise InputError("with shares, steps are one number: weights are set between them")
    if scales is not None:
        scales = whole("scales", scales, most=sum(counts))
    fractions = recipe.fractions(min(sources.shape), scales)
    if len(counts) > len(fractions):
        have = "is only 1 size" if len(fractions) == 1 else f"are only {len(fractions)} sizes"
        raise InputError(
            f"steps has {len(counts)} numbers, one for each size, but there {have}"
        )
    return fractions[-len(counts) :], counts


def spread(steps: int, shapes: Sequence[tuple[int, int]]) -> int | list[int]:
    """The steps at each size: fewer above a megapixel, where a step takes long.

    There they are in inverse proportion to the pixels: every size above takes about as long.
    The sizes before have found the forms. If no size is so large, the steps are as given.
    """
    each = steps / len(shapes)
    counts = [max(LEAST, round(each * min(1.0, MANY / math.prod(shape)))) for shape in shapes]
    large = any(math.prod(shape) > MANY for shape in shapes)
    return counts if large else steps


def fitted(
    recipe: Recipe, net: nn.Module | None, own: Sequence[Layer], controls: Controls
) -> tuple[Recipe, nn.Module]:
    """A recipe with weights, and a network that has its layers and those of the styles' own.

    A loss that shall have a share begins with a weight of 1 if the recipe gives it none.
    """
    if net is None:
        net = vgg19(layers=[*recipe.layers, *own])
    check_defaults(net, recipe.content_layers, CONTENT_LAYERS, "content_layers")
    check_defaults(net, recipe.style_layers, STYLE_LAYERS, "style_layers")
    check_module(net)
    if recipe.weights is None:
        recipe = replace(recipe, weights=weights_for(net))
    if controls.shares is not None and recipe.weights is not None:
        missing = {
            name: 1.0
            for name, weight in recipe.weights._asdict().items()
            if name in controls.shares and not weight
        }
        recipe = replace(recipe, weights=recipe.weights._replace(**missing))
    return recipe, net
