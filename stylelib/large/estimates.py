"""What a transfer will take, before it begins (chapter 30)."""

from __future__ import annotations

import inspect
import math
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from stylelib.arguments import check_seed
from stylelib.control.styles import Styles
from stylelib.errors import InputError, did_you_mean
from stylelib.files import ImageSource
from stylelib.images import preprocess
from stylelib.large.plans import Plan
from stylelib.preparations import Run, prepared
from stylelib.pyramid import sizes
from stylelib.sources import Controls
from stylelib.style_transfer import find_recipe, transfer

__all__ = ["Estimate", "estimate"]

TIMED, TIMED_TOO = 256**2, 768**2
"""The numbers of pixels of the images with which steps are timed; the second on a GPU alone,
where small images take as long as tiny ones."""
BEFORE_AND_AFTER = 2
"""The targets of a size take about as long as so many steps, and so do the gradient shares of
the finished image."""


@dataclass(frozen=True)
class Estimate:
    """What a transfer is expected to take on this machine.

    Attributes:
        shapes: (H, W) of each size.
        steps: the number of steps at each size.
        seconds: the time of all of it.
        memory: the most memory of the process, in GB.
        tile: about the side of a tile at the last size, in pixels; None if it needs no tiles.
    """

    shapes: list[tuple[int, int]]
    steps: list[int]
    seconds: float
    memory: float
    tile: int | None

    def __str__(self) -> str:
        """As `--dry-run` prints it."""
        lines = [
            f"{height} x {width}: {steps} steps"
            for (height, width), steps in zip(self.shapes, self.steps, strict=True)
        ]
        tiles = "" if self.tile is None else f"; the last size by tiles of {self.tile} pixels"
        return "\n".join(
            [*lines, f"about {self.memory:.1f} GB, {duration(self.seconds)}{tiles}"]
        )


def duration(seconds: float) -> str:
    """A time in words: "40 s", "12 min", "3.5 h"."""
    if seconds < 120:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def estimate(content: ImageSource, style: Styles, **settings: Any) -> Estimate:
    """What `stylelib.transfer` with the same arguments will take: memory and time.

    A few steps at a small size are timed; the rest is arithmetic. Other programs that run at
    the same time, and processors that get hot, are not foreseen.

    Args:
        content: as for `transfer`.
        style: as for `transfer`.
        settings: any other of its arguments.

    Raises:
        InputError: as for `transfer`; also if it needs more memory than there is.

    Example:
        >>> from stylelib import samples
        >>> photo, style = samples.load("chelsea"), samples.load("mosaic")
        >>> estimate(photo, style, image_shape=64, steps=10).shapes[-1]
        (64, 96)
    """
    run = run_of(content, style, settings)
    plans = run.plans(careful=True)
    steps = [run.steps_at(index) for index in range(len(plans))]
    return Estimate(
        run.shapes,
        steps,
        seconds_of(plans, run.shapes, steps, *rates(run)),
        max(plan.memory for plan in plans) / 1e9,
        plans[-1].side,
    )


def run_of(content: ImageSource, style: Styles, settings: dict[str, Any]) -> Run:
    """What `transfer` would do."""
    known = inspect.signature(transfer).parameters
    for name in settings:
        if name not in known:
            hint = did_you_mean(name, known, "see stylelib.transfer")
            raise InputError(f"transfer has no argument {name!r}; {hint}")
    bound = inspect.signature(transfer).bind(content, style, **settings)
    bound.apply_defaults()
    given = bound.arguments
    changes = ("lr", "lr_decay_epoch", "precision", "weights", "content_layers")
    recipe = find_recipe(given["recipe"]).changed(
        **{name: given[name] for name in (*changes, "style_layers", "clamp")}
    )
    controls = Controls(*(given[n] for n in ("colors", "strength", "strokes", "shares")))
    check_seed(given["seed"])
    names = inspect.signature(prepared).parameters.keys() - {"recipe", "controls"}
    asked = {name: given[name] for name in names}
    return prepared(recipe, controls=controls, **asked)


def rates(run: Run) -> tuple[float, float]:
    """The seconds that a step takes at any size, and besides for each pixel."""
    small, seconds = timed(run, TIMED)
    if run.device.type == "cpu":
        return 0.0, seconds / small
    large, longer = timed(run, TIMED_TOO)
    per_pixel = max(0.0, longer - seconds) / max(1, large - small)
    return max(0.0, seconds - per_pixel * small), per_pixel


def timed(run: Run, most: int) -> tuple[int, float]:
    """The number of pixels of an image, `most` or fewer, and the seconds of a step with it."""
    fraction = min(1.0, (most / math.prod(run.sources.shape)) ** 0.5)
    ((height, width),) = sizes(run.sources.shape, [fraction])
    wanted = run.sources.at(fraction, run.device)
    X = preprocess(run.sources.content, (height, width)).to(run.device).requires_grad_()
    features, precise = run.planner.plain
    objective = run.recipe.objective(wanted, X.detach(), features, precise, last=False)
    best = math.inf
    for _ in range(3):  # the first one is slow
        begin = time.perf_counter()
        losses: list[Tensor] = list(objective(X).values())
        torch.autograd.grad(torch.stack(losses).sum(), X)[0].sum().item()
        best = min(best, time.perf_counter() - begin)
    return height * width, best


def seconds_of(
    plans: list[Plan],
    shapes: list[tuple[int, int]],
    steps: list[int],
    per_step: float,
    per_pixel: float,
) -> float:
    """The time of all sizes, if a step takes so long at any size and so long for a pixel."""
    a_step = [
        per_step + per_pixel * plan.work * math.prod(shape)
        for plan, shape in zip(plans, shapes, strict=True)
    ]
    counts = [count + BEFORE_AND_AFTER for count in steps]
    counts[-1] += BEFORE_AND_AFTER
    return sum(count * seconds for count, seconds in zip(counts, a_step, strict=True))
