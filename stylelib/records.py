"""The record of a step: its losses, learning rate, time and image (chapter 7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor

    from stylelib.stages import RunState

__all__ = ["Callback", "Record", "Snapshot", "Step"]


@dataclass(frozen=True)
class Record:
    """The numbers that belong to one step.

    Attributes:
        step: the step's number, from 1.
        losses: the weighted losses by name of the image that this step started from.
        lr: the learning rate of this step.
        seconds: the time since the first step began, without callbacks.
        evaluations: how often the objective and its gradient were computed up to the end of
            this step. Adam needs one evaluation per step; L-BFGS may need several.
    """

    step: int
    losses: dict[str, float]
    lr: float
    seconds: float
    evaluations: int

    @property
    def loss(self) -> float:
        """The total loss, the sum of `losses`."""
        return math.fsum(self.losses.values())


class Snapshot(Protocol):
    """A function that returns where a run stands."""

    def __call__(self, *, copied: bool = True) -> RunState:
        """The state. Without `copied` it shares its tensors with the run, which moves on."""


@dataclass(frozen=True)
class Step(Record):
    """The argument of a callback: the record of a step and its image.

    Attributes:
        picture: the image that `losses` belong to, a detached copy in the shape that is
            optimized.
        state: a function that returns a copy of the run's state after this step, from which
            the run can continue later (`RunState`). Call it within the callback. None if
            `optimize` is called directly.
        of: the total number of steps, or evaluations, of the run; None if it is not known.
        done: the fraction of the run's work that is done, 0..1, in which a step at a size
            counts by its pixels; None if it is not known.
    """

    picture: Tensor = field(repr=False, compare=False)
    state: Snapshot | None = field(default=None, repr=False, compare=False)
    of: int | None = None
    done: float | None = None

    @property
    def record(self) -> Record:
        """The record for the history."""
        return Record(**{each.name: getattr(self, each.name) for each in fields(Record)})


Callback = Callable[[Step], bool | None]
"""Called after every step. It ends the optimization by returning True."""
