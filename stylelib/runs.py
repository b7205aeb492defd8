"""A run: a recipe, followed from a photograph and styles to a finished image (chapter 1)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor, nn

from stylelib.arguments import check_seed
from stylelib.control.shares import InRounds, balanced
from stylelib.control.styles import Style, Styles, styles_of
from stylelib.descents import Descent
from stylelib.devices import find_device
from stylelib.errors import or_interrupted
from stylelib.features import Features
from stylelib.files import ImageSource
from stylelib.images import postprocess
from stylelib.large.checkpoints import Checkpoint
from stylelib.large.marks import marks_of_run
from stylelib.optimization import Objective
from stylelib.precision import resolve_precision
from stylelib.preparations import Run, prepared
from stylelib.pyramid import Painted, paint
from stylelib.recipes import Effort, Recipe
from stylelib.records import Callback
from stylelib.results import TransferResult, describe, settings_of
from stylelib.sources import Controls, Sources
from stylelib.stages import RunState
from stylelib.synthesis import Init

__all__ = ["follow"]


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
    steps: int | Sequence[int] | None = None,
    init: Init | ImageSource | None = None,
    seed: int = 0,
    scales: int | None = None,
    device: torch.device | str | None = None,
    net: nn.Module | None = None,
    callback: Callback | None = None,
    state: RunState | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    memory: float | None = None,
) -> TransferResult:
    """Do what a recipe says. As `stylelib.transfer`; `name` is for the record."""
    seed, device, styles = check_seed(seed), find_device(device), styles_of(style)
    controls = Controls() if controls is None else controls
    sources = Sources.read(content, styles, image_shape, style_shape, controls)
    run = prepared(
        recipe, sources, styles, controls, effort, steps, scales, device, net, memory
    )
    run.plans()  # refuses what does not fit, before anything is computed
    recipe, net, shapes, counted = run.recipe, run.net, run.shapes, run.steps
    start_from = recipe.init if init is None else init
    factors: dict[str, float] = {}
    start = sources.start(start_from, shapes[0], seed).to(device)
    descent: Descent = recipe.descent
    if controls.shares is not None:
        descent = InRounds(descent, run.fractions.count(1.0))
    painting = paint
    if checkpoint is not None:
        asked = {"steps": counted, "sizes": shapes, "seed": seed}
        marks = marks_of_run(recipe, net, sources, start, controls, init=start_from, **asked)
        painting = Checkpoint(checkpoint, marks).paint
    painted = painting(
        start,
        shapes,
        objectives(run, controls, factors),
        descent,
        steps=counted,
        clamp=recipe.bounds(device),
        callback=callback,
        state=state,
    )
    said = {
        "recipe": name,
        "content": describe(content),
        "style": described(styles),
        "image_shape": image_shape,
        "style_shape": style_shape,
        "steps": counted,
        "init": describe(start_from),
        "seed": seed,
        "scales": scales,
        "effort": effort,
        "memory": memory,
    }
    settings = recorded_settings(said, recipe, net, device, controls)
    return finished(painted, recipe, sources, device, settings, factors)


def objectives(
    run: Run, controls: Controls, factors: dict[str, float]
) -> Callable[[int, Tensor], Objective]:
    """The objective at each size, for `paint`. What `shares` multiply goes into `factors`."""
    recipe, last_of_all = run.recipe, len(run.fractions) - 1

    def objective_at(index: int, X: Tensor) -> Objective:
        wanted = run.sources.at(run.fractions[index], run.device)
        features, precise = run.planner.features(run.plan(index))

        def losses(by: Features) -> Objective:
            last = index == last_of_all
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


def visible(objective: Objective, opaque: Tensor | None) -> Objective:
    """The same losses, with no gradient at transparent pixels: these stay as they are."""
    if opaque is None:
        return objective
    moves = opaque > 0
    return lambda X: objective(torch.where(moves, X, X.detach()))
