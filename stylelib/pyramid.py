"""From small to large: a picture is made at one size after the other (chapter 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor
from torch.nn.functional import interpolate

from stylelib.checks import several
from stylelib.descents import Clamp, Descent
from stylelib.optimization import Objective, optimize
from stylelib.records import Callback, Record, Step

__all__ = ["Painted", "doubling", "paint"]


@dataclass(frozen=True)
class Painted:
    """What `paint` gives back.

    Attributes:
        picture: (1, 3, H, W), normalised, detached.
        history: a record of each step, counted on from size to size.
        interrupted: whether Ctrl-C ended it.
        objective: that of the last size; None if Ctrl-C came while a size was prepared.
    """

    picture: Tensor
    history: list[Record]
    interrupted: bool
    objective: Objective | None


def doubling(count: int) -> list[float]:
    """So many sizes, each twice the one before, the last of them whole: 1/4, 1/2, 1."""
    return [2.0 ** (i - count + 1) for i in range(count)]


def paint(
    start: Tensor,
    shapes: Sequence[tuple[int, int]],
    objective_at: Callable[[int], Objective],
    descent: Descent,
    *,
    steps: int,
    clamp: Clamp = None,
    callback: Callback | None = None,
) -> Painted:
    """Make a picture at each of some sizes, from the picture of the size before.

    Args:
        start: what to begin with, (1, 3, H, W), normalised, of the first shape.
        shapes: (H, W) of each size.
        objective_at: the objective at the size of a number, 0 for the first.
        descent: how the picture is moved.
        steps: of all sizes together; they are shared out evenly.
        clamp: as for `optimize`.
        callback: called with a `Step` after each step, counted on from size to size.

    Raises:
        DivergenceError: as for `optimize`; its history has the steps of all sizes.
    """
    history: list[Record] = []
    stopped = interrupted = False
    objective: Objective | None = None

    def follow(step: Step) -> bool:
        nonlocal stopped
        stopped = bool(callback and callback(step))
        return stopped

    X = start.detach()
    ends = [steps * i // len(shapes) for i in range(len(several("shapes", shapes)) + 1)]
    try:
        for index, (begin, end) in enumerate(pairwise(ends)):
            objective = None
            if X.shape[2:] != shapes[index]:
                X = interpolate(X, shapes[index], mode="bicubic", antialias=True)
            objective = objective_at(index)
            X = X.clone().requires_grad_()
            optimizer, scheduler = descent.begin(X, end - begin, clamp)
            made = optimize(
                X,
                objective,
                optimizer,
                steps=end - begin,
                scheduler=scheduler,
                clamp=clamp,
                callback=follow,
                history=history,
            )
            X, history = descent.end(optimizer, made.picture), made.history
            interrupted = made.interrupted
            if stopped or interrupted:
                break
    except KeyboardInterrupt:  # while a size is prepared
        if not history:
            raise
        interrupted = True
    return Painted(X.detach(), history, interrupted, objective)
