"""A run: a recipe, followed from a photograph and styles to a finished image (chapter 1)."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

import torch
from torch import Tensor, nn

from stylelib.arguments import check_seed
from stylelib.control.shares import balanced
from stylelib.control.styles import Style, Styles
from stylelib.errors import or_interrupted
from stylelib.features import Features
from stylelib.files import ImageSource
from stylelib.images import postprocess
from stylelib.large.checkpoints import Checkpoint
from stylelib.large.marks import marks_of_run
from stylelib.large.plans import Plan
from stylelib.optimization import Objective
from stylelib.precision import resolve_precision
from stylelib.preparations import Run, prepared
from stylelib.pyramid import Painted, paint
from stylelib.recipes import Effort, Recipe
from stylelib.records import Callback
from stylelib.results import TransferResult, describe, settings_of
from stylelib.sources import Controls
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
    seed = check_seed(seed)
    run = prepared(
        recipe,
        content,
        style,
        image_shape=image_shape,
        style_shape=style_shape,
        controls=Controls() if controls is None else controls,
        effort=effort,
        steps=steps,
        scales=scales,
        device=device,
        net=net,
        memory=memory,
    )
    plans = run.plans()  # refuses what does not fit, before anything is computed
    start_from = run.recipe.init if init is None else init
    start = run.sources.start(start_from, run.shapes[0], seed).to(run.device)
    factors: dict[str, float] = {}
    painting = paint
    if checkpoint is not None:
        marks = marks_of_run(
            run.recipe,
            run.net,
            run.sources,
            start,
            run.controls,
            init=start_from,
            steps=run.steps,
            sizes=run.shapes,
            seed=seed,
        )
        painting = Checkpoint(checkpoint, marks, plans, run.planner.bound).paint
    painted = painting(
        start,
        run.shapes,
        objectives(run, plans, factors),
        run.descent(),
        steps=run.steps,
        clamp=run.recipe.bounds(run.device),
        callback=callback,
        state=state,
    )
    said = {
        "recipe": name,
        "content": describe(content),
        "style": described(run.styles),
        "image_shape": image_shape,
        "style_shape": style_shape,
        "steps": run.steps,
        "init": describe(start_from),
        "seed": seed,
        "scales": scales,
        "effort": effort,
        "memory": memory,
    }
    return finished(painted, run, recorded_settings(run, said), factors)


def objectives(
    run: Run, plans: Sequence[Plan], factors: dict[str, float]
) -> Callable[[int, Tensor], Objective]:
    """The objective at each size, for `paint`. What `shares` multiply goes into `factors`."""
    recipe, shares = run.recipe, run.controls.shares
    last_of_all = len(run.fractions) - 1

    def objective_at(index: int, X: Tensor) -> Objective:
        wanted = run.sources.at(run.fractions[index], run.device)
        features, precise = run.planner.features(plans[index])

        def losses(by: Features) -> Objective:
            last = index == last_of_all
            return visible(recipe.objective(wanted, X, by, precise, last=last), wanted.opaque)

        if shares is None:
            return losses(features)
        objective, found = balanced(losses(features), X, shares, losses(precise))
        factors.update(found)
        return objective

    return objective_at


def recorded_settings(run: Run, said: dict[str, Any]) -> dict[str, Any]:
    """What was asked and what it meant, for the record of the result."""
    return settings_of(
        run.net,
        run.device,
        **said,
        precision=resolve_precision(run.recipe.arithmetic, run.device),
        **asdict(run.controls),
        **run.recipe.settings(run.net),
    )


def finished(
    painted: Painted, run: Run, settings: dict[str, Any], factors: dict[str, float]
) -> TransferResult:
    """The result of a run, or `Interrupted` with it."""
    sources = run.sources
    made = run.recipe.finish(painted.picture, sources.at(1.0, run.device))
    X = sources.finished(made).cpu()
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
