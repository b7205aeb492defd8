"""From small to large: an image is made at one size after the other (chapter 8)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

from torch import Tensor
from torch.nn.functional import interpolate

from stylelib.arguments import check_callback, several
from stylelib.descents import Clamp, Descent
from stylelib.optimization import Objective, gradients_of, residual_of, shares_of
from stylelib.records import Callback, Record, Step
from stylelib.stages import RunState, Stage, check_state
from stylelib.watching import shows

__all__ = ["Painted", "doubling", "ladder", "paint", "sizes"]


@dataclass(frozen=True)
class Painted:
    """What `paint` gives back.

    Attributes:
        picture: (1, 3, H, W), normalized, detached.
        history: a record of each step, counted on from size to size.
        interrupted: whether Ctrl-C ended it.
        objective: that of the last size; None if Ctrl-C came while a size was prepared.
        state: from which `paint` gives the same again, without a step; None if the run was
            stopped before its end.
    """

    picture: Tensor
    history: list[Record]
    interrupted: bool
    objective: Objective | None
    state: RunState | None = None

    def balance(self) -> tuple[dict[str, float], float | None]:
        """Each loss's share of the gradient, and what is left of their sum; nothing if Ctrl-C
        comes before they are known.
        """
        try:
            gradients = gradients_of(self.picture, self.objective) if self.objective else []
            return shares_of(gradients), residual_of(gradients) if gradients else None
        except KeyboardInterrupt:
            return {}, None


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


def ends_of(steps: int | Sequence[int], count: int) -> list[int]:
    """How many steps have been made before each size, and in the end.

    Args:
        steps: the number at all sizes together, or at each of them.
        count: the number of sizes.
    """
    if isinstance(steps, Sequence):
        return [sum(steps[:i]) for i in range(count + 1)]
    return [steps * i // count for i in range(count + 1)]


def done_of(made: int, ends: Sequence[int], shapes: Sequence[tuple[int, int]]) -> float:
    """The fraction of a run's work that is done. A step counts by its pixels.

    Args:
        made: the number of steps so far.
        ends: as from `ends_of`.
        shapes: (H, W) of each size.
    """
    done = total = 0
    for (begin, end), shape in zip(pairwise(ends), shapes, strict=True):
        total += (end - begin) * math.prod(shape)
        done += min(max(made - begin, 0), end - begin) * math.prod(shape)
    return min(1.0, done / total) if total else 1.0


@shows
def paint(
    start: Tensor,
    shapes: Sequence[tuple[int, int]],
    objective_at: Callable[[int, Tensor], Objective],
    descent: Descent,
    *,
    steps: int | Sequence[int],
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
        steps: the number of steps, divided evenly among the sizes; or that at each of them.
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
    stage: Stage | None = None
    X, several_shapes = start.detach(), several("shapes", shapes)
    ends = ends_of(steps, len(several_shapes))
    if state is not None:
        check_state(state, shapes, ends, descent)
        X, history = state.picture.to(X.device), list(state.history)

    def follow(step: Step) -> bool:
        nonlocal stopped
        assert stage is not None
        stage.made.append(step.record)
        done = done_of(step.evaluations, ends, shapes)
        seen = replace(step, state=partial(stage.state, history), of=ends[-1], done=done)
        stopped = bool(callback and callback(seen))
        return stopped

    try:
        for index, (begin, end) in enumerate(pairwise(ends)):
            if state is not None and index < state.size:
                continue
            objective = None
            if X.shape[2:] != shapes[index]:
                X = interpolate(X, shapes[index], mode="bicubic", antialias=True)
            stage = Stage(index, X, end - begin, descent, clamp, state)
            objective = objective_at(index, stage.began)
            done = 0 if state is None else stage.go_on_from(state)
            state = None
            made = stage.run(objective, end - begin - done, clamp, follow, history)
            X, history = descent.end(stage.optimizer, made.picture), made.history
            interrupted = made.interrupted
            if stopped or interrupted:
                break
    except KeyboardInterrupt:  # while a size is prepared
        if not history:
            raise
        interrupted = True
    ended = None if stage is None or stopped or interrupted else stage.ended(X, history)
    return Painted(X.detach(), history, interrupted, objective, ended)
