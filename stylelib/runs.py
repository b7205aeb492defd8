"""A run: a recipe, followed from a photograph and styles to a finished image (chapter 1)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from stylelib.arguments import check_seed, choice, whole
from stylelib.control.shares import FEWEST, ROUNDS, balanced
from stylelib.control.styles import Style, Styles, styles_of
from stylelib.devices import find_device
from stylelib.errors import or_interrupted
from stylelib.features import Features
from stylelib.files import ImageSource
from stylelib.images import postprocess
from stylelib.layers import CONTENT_LAYERS, STYLE_LAYERS
from stylelib.models import check_defaults, features_of
from stylelib.networks import check_module, vgg19, weights_for
from stylelib.optimization import Objective
from stylelib.precision import resolve_precision
from stylelib.pyramid import Painted, RunState, paint, sizes
from stylelib.recipes import EFFORTS, Effort, Recipe
from stylelib.records import Callback
from stylelib.results import TransferResult, describe, settings_of
from stylelib.sources import Controls, Sources
from stylelib.synthesis import Init

__all__ = ["follow"]

SMALLEST_STYLE = 16
"""The least shorter side of a style image at the first of several sizes: relu5_1 needs it."""


def follow(
    recipe: Recipe,
    content: ImageSource,
    style: Styles,
    *,
    name: str,
    image_shape: int | tuple[int, int],
    style_shape: int | tuple[int, int] | None = None,
    controls: Controls | None = None,
    effort: Effort = "normal",
    steps: int | None = None,
    init: Init | ImageSource | None = None,
    seed: int = 0,
    scales: int | None = None,
    device: torch.device | str | None = None,
    net: nn.Module | None = None,
    callback: Callback | None = None,
    state: RunState | None = None,
) -> TransferResult:
    """Do what a recipe says. As `stylelib.transfer`; `name` is for the record."""
    seed, device, styles = check_seed(seed), find_device(device), styles_of(style)
    controls = Controls() if controls is None else controls
    sources = Sources.read(content, styles, image_shape, style_shape, controls)
    fractions, steps = planned(recipe, sources, effort, steps, scales, controls)
    recipe, net = fitted(recipe, net, styles, controls)
    net = net.to(device)
    start_from = recipe.init if init is None else init
    factors: dict[str, float] = {}
    shapes = sizes(sources.shape, fractions)
    painted = paint(
        sources.start(start_from, shapes[0], seed).to(device),
        shapes,
        objectives(recipe, net, device, sources, fractions, controls, factors),
        recipe.descent,
        steps=steps,
        clamp=recipe.bounds(device),
        callback=callback,
        state=state,
    )
    asked = {
        "recipe": name,
        "content": describe(content),
        "style": described(styles),
        "image_shape": image_shape,
        "style_shape": style_shape,
        "steps": steps,
        "init": describe(start_from),
        "seed": seed,
        "scales": scales,
        "effort": effort,
    }
    settings = recorded_settings(asked, recipe, net, device, controls)
    return finished(painted, recipe, sources, device, settings, factors)


def objectives(
    recipe: Recipe,
    net: nn.Module,
    device: torch.device,
    sources: Sources,
    fractions: Sequence[float],
    controls: Controls,
    factors: dict[str, float],
) -> Callable[[int, Tensor], Objective]:
    """The objective at each size, for `paint`. What `shares` multiply goes into `factors`."""
    features, precise = features_of(net, recipe.arithmetic, widen=False), features_of(net)

    def objective_at(index: int, X: Tensor) -> Objective:
        wanted = sources.at(fractions[index], device)

        def losses(by: Features) -> Objective:
            last = index == len(fractions) - 1
            return visible(recipe.objective(wanted, X, by, precise, last=last), wanted.opaque)

        if controls.shares is None:
            return losses(features)
        objective, found = balanced(losses(features), X, controls.shares, losses(precise))
        factors.update(found)
        return objective

    return objective_at


def recorded_settings(
    asked: dict[str, Any],
    recipe: Recipe,
    net: nn.Module,
    device: torch.device,
    controls: Controls,
) -> dict[str, Any]:
    """What was asked and what it meant, for the record of the result."""
    precision = str(resolve_precision(recipe.arithmetic, device)).removeprefix("torch.")
    return settings_of(
        net,
        device,
        **asked,
        precision=precision,
        **asdict(controls),
        **recipe.settings(net),
    )


def finished(
    painted: Painted,
    recipe: Recipe,
    sources: Sources,
    device: torch.device,
    settings: dict[str, Any],
    factors: dict[str, float],
) -> TransferResult:
    """The result of a run, or `Interrupted` with it."""
    X = sources.finished(recipe.finish(painted.picture, sources.at(1.0, device))).cpu()
    balance, stopped = painted.balance(), painted.interrupted
    image = sources.with_alpha(postprocess(X))
    result = TransferResult(
        image, painted.history, settings, X, *balance, factors, interrupted=stopped
    )
    return or_interrupted(result)


def described(styles: Sequence[Style]) -> Any:
    """What to call the styles in the settings: an image's name, or all that was asked."""

    def asked(style: Style) -> dict[str, Any]:
        said = {each.name: getattr(style, each.name) for each in fields(style)}
        masks = {"here": style.here is not None, "there": style.there is not None}
        return said | masks | {"image": describe(style.image)}

    found, first = [asked(style) for style in styles], styles[0].image
    return describe(first) if found == [asked(Style(first))] else found


def planned(
    recipe: Recipe,
    sources: Sources,
    effort: Effort,
    steps: int | None,
    scales: int | None,
    controls: Controls,
) -> tuple[list[float], int]:
    """The sizes to work through, as fractions of the last, and the steps at all of them.

    A size comes once for each time that weights are set there. Where the steps do not suffice,
    there are fewer sizes, and if that is not enough, the weights are set less often.
    """
    choice("effort", effort, EFFORTS)
    if steps is not None:
        steps = whole("steps", steps)
    if scales is not None:
        scales = whole("scales", scales, most=steps)
    fractions = recipe.fractions(min(sources.shape), scales)
    if steps is None:
        steps = recipe.efforts[EFFORTS.index(effort)] * len(fractions)
    least = 2 if controls.shares is None else FEWEST * ROUNDS
    if scales is None:  # a size needs so many steps at least, and styles that have features
        side = min(min(each.shape) for each in sources.styles)
        fitting = [f for f in fractions if f * side >= SMALLEST_STYLE]
        fractions = (fitting or [1.0])[-max(1, steps // least) :]
    if controls.shares is not None:
        rounds = min(ROUNDS, max(1, steps // (FEWEST * len(fractions))))
        fractions = [fraction for fraction in fractions for _ in range(rounds)]
    return fractions, steps


def fitted(
    recipe: Recipe, net: nn.Module | None, styles: Sequence[Style], controls: Controls
) -> tuple[Recipe, nn.Module]:
    """A recipe with weights, and a network that has its layers.

    A loss that shall have a share begins with a weight of 1 if the recipe gives it none.
    """
    if net is None:
        own = [layer for style in styles if style.layers is not None for layer in style.layers]
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


def visible(objective: Objective, opaque: Tensor | None) -> Objective:
    """The same losses, with no gradient at transparent pixels: these stay as they are."""
    if opaque is None:
        return objective
    moves = opaque > 0
    return lambda X: objective(torch.where(moves, X, X.detach()))
