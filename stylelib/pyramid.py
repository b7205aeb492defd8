"""From small to large: an image is made at one size after the other (chapter 8)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from stylelib.arguments import check_callback, several
from stylelib.descents import Clamp, Descent
from stylelib.errors import InputError, Interrupted
from stylelib.optimization import (
    Objective,
    Optimized,
    gradients_of,
    optimize,
    residual_of,
    shares_of,
)
from stylelib.records import Callback, Record, Step
from stylelib.watching import shows

__all__ = ["Painted", "RunState", "doubling", "ladder", "paint", "sizes"]


@dataclass(frozen=True)
class Painted:
    """What `paint` gives back.

    Attributes:
        picture: (1, 3, H, W), normalized, detached.
        history: a record of each step, counted on from size to size.
        interrupted: whether Ctrl-C ended it.
        objective: that of the last size; None if Ctrl-C came while a size was prepared.
    """

    picture: Tensor
    history: list[Record]
    interrupted: bool
    objective: Objective | None

    def balance(self) -> tuple[dict[str, float], float | None]:
        """Each loss's share of the gradient, and what is left of their sum; nothing if Ctrl-C
        comes before they are known.
        """
        try:
            gradients = gradients_of(self.picture, self.objective) if self.objective else []
            return shares_of(gradients), residual_of(gradients) if gradients else None
        except KeyboardInterrupt:
            return {}, None


@dataclass(frozen=True, eq=False)
class RunState:
    """Where a run stands between two steps. Handed back, it goes on to the same bits.

    All of it can be written by `torch.save`.

    Attributes:
        picture: (1, 3, H, W), normalized, as the optimizer left it.
        began: what it was when the size began.
        descent: how it is moved: the name of the class.
        size: the number of the size in work, 0 for the first.
        made: the number of steps made at this size.
        optimizer: its `state_dict`.
        scheduler: its `state_dict`; None if there is none.
        history: a record of each step, of all sizes.
        random: PyTorch's random state, of the processor.
    """

    picture: Tensor
    began: Tensor
    descent: str
    size: int
    made: int
    optimizer: dict[str, Any]
    scheduler: dict[str, Any] | None
    history: list[Record]
    random: Tensor


def doubling(count: int) -> list[float]:
    """A number of sizes, each twice the one before, as fractions of the last: 1/4, 1/2, 1."""
    return [2.0 ** (i - count + 1) for i in range(count)]


def ladder(side: int, smallest: int, factor: float = 2**0.5) -> list[float]:
    """Sizes a factor apart, as fractions of the last; the first is about `smallest`.

    Args:
        side: the shorter side of the last size, in pixels.
        smallest: about the shorter side of the first size.
        factor: between one size and the next.
    """
    count = max(0, round(math.log(side / smallest) / math.log(factor)))
    return [factor ** (i - count) for i in range(count + 1)]


def sizes(shape: tuple[int, int], fractions: Sequence[float]) -> list[tuple[int, int]]:
    """(H, W) of an image, times each fraction."""
    height, width = shape
    # rounded before it is cut off: the root of 2, squared, is not quite 2
    return [
        (max(1, int(round(height * f, 6))), max(1, int(round(width * f, 6)))) for f in fractions
    ]


@shows
def paint(
    start: Tensor,
    shapes: Sequence[tuple[int, int]],
    objective_at: Callable[[int, Tensor], Objective],
    descent: Descent,
    *,
    steps: int,
    clamp: Clamp = None,
    callback: Callback | None = None,
    state: RunState | None = None,
) -> Painted:
    """Make an image at one size after the other, each from the image of the size before.

    Args:
        start: what to begin with, (1, 3, H, W), normalized, of the first shape.
        shapes: (H, W) of each size.
        objective_at: the objective at the size of a number, 0 for the first, given the image
            as it is then.
        descent: how the image is moved.
        steps: the number of steps, divided evenly among the sizes.
        clamp: as for `optimize`.
        callback: called with a `Step` after each step, counted on from size to size.
        state: where an earlier run with the same arguments stood (`Step.state`). This one
            continues from there and ignores `start` and the seed of PyTorch's random numbers.

    Raises:
        DivergenceError: as for `optimize`; its history has the steps of all sizes.
        InputError: the state is of another run.
    """
    check_callback(callback)
    history: list[Record] = []
    interrupted = stopped = False
    objective: Objective | None = None
    X, several_shapes = start.detach(), several("shapes", shapes)
    ends = [steps * i // len(several_shapes) for i in range(len(several_shapes) + 1)]
    if state is not None:
        _check_state(state, shapes, ends, descent)
        X, history = state.picture.to(X.device), list(state.history)

    def follow(step: Step) -> bool:
        nonlocal stopped
        stage.made.append(step.record)
        seen = replace(step, state=lambda: stage.state(history), of=steps)
        stopped = bool(callback and callback(seen))
        return stopped

    try:
        for index, (begin, end) in enumerate(pairwise(ends)):
            if state is not None and index < state.size:
                continue
            objective = None
            if X.shape[2:] != shapes[index]:
                X = interpolate(X, shapes[index], mode="bicubic", antialias=True)
            goes_on = state is not None and index == state.size
            began = state.began.to(X.device) if state is not None and goes_on else X
            objective = objective_at(index, began)
            stage = Stage(index, X, end - begin, descent, clamp)
            stage.began = began
            done = stage.go_on_from(state) if state is not None and goes_on else 0
            made = stage.run(objective, end - begin - done, clamp, follow, history)
            X, history = descent.end(stage.optimizer, made.picture), made.history
            interrupted = made.interrupted
            if stopped or interrupted:
                break
    except KeyboardInterrupt:  # while a size is prepared
        if not history:
            raise
        interrupted = True
    return Painted(X.detach(), history, interrupted, objective)


class Stage:
    """The work at one size: the image, and what moves it.

    Args:
        number: of the size, 0 for the first.
        X: the image to begin with, (1, 3, H, W), normalized.
        steps: at this size.
        descent: how it is moved.
        clamp: as for `optimize`.

    Attributes:
        made: the records of the steps made here, by this run.
    """

    def __init__(
        self, number: int, X: Tensor, steps: int, descent: Descent, clamp: Clamp
    ) -> None:
        self.number, self.descent, self.began = number, descent, X
        self.X = X.detach().clone().requires_grad_()
        self.optimizer, self.scheduler = descent.begin(self.X, steps, clamp)
        self.made: list[Record] = []
        self.before = 0

    def go_on_from(self, state: RunState) -> int:
        """Restore the optimizer. Returns how many steps it had made."""
        self.optimizer.load_state_dict(copy.deepcopy(state.optimizer))
        if self.scheduler is not None and state.scheduler is not None:
            self.scheduler.load_state_dict(state.scheduler)
        torch.set_rng_state(state.random)
        self.before = state.made
        return state.made

    def run(
        self,
        objective: Objective,
        steps: int,
        clamp: Clamp,
        callback: Callback,
        history: Sequence[Record],
    ) -> Optimized:
        """Make the steps, as `optimize` does; those made so far if Ctrl-C ends them."""
        try:
            return optimize(
                self.X,
                objective,
                self.optimizer,
                steps=steps,
                scheduler=self.scheduler,
                clamp=clamp,
                callback=callback,
                history=history,
            )
        except Interrupted as stop:
            made: Optimized = stop.result
            return made

    def state(self, history: Sequence[Record]) -> RunState:
        """A copy of where the run stands now; `history` is that of the runs before this one."""
        return RunState(
            picture=self.X.detach().clone(),
            began=self.began.detach().clone(),
            descent=type(self.descent).__name__,
            size=self.number,
            made=self.before + len(self.made),
            optimizer=copy.deepcopy(self.optimizer.state_dict()),
            scheduler=None if self.scheduler is None else self.scheduler.state_dict(),
            history=[*history, *self.made],
            random=torch.get_rng_state(),
        )


def _check_state(
    state: RunState, shapes: Sequence[tuple[int, int]], ends: Sequence[int], descent: Descent
) -> None:
    """Refuse a state of a run with other sizes, another way to move, or more steps."""
    if not isinstance(state, RunState):
        raise InputError(f"state is what Step.state() gives, not {state!r}")
    shape = tuple(state.picture.shape[2:])
    if state.size >= len(shapes) or shape != tuple(shapes[state.size]):
        raise InputError(
            f"the state is of another run: size {state.size + 1} with {shape[0]} x {shape[1]} "
            f"pixels, where this one has {[tuple(each) for each in shapes]}"
        )
    kind = type(descent).__name__
    if state.descent != kind:
        raise InputError(
            f"the state is of another run: it moves by {state.descent}, this one by {kind}"
        )
    here = ends[state.size + 1] - ends[state.size]
    if len(state.history) > ends[-1] or state.made > here:
        raise InputError(
            f"the state has {len(state.history)} steps, more than the {ends[-1]} asked for, or "
            f"more at its size than {here}"
        )
