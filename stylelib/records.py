"""What is known of a step: its losses, its learning rate, its time, its picture (chapter 7)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from stylelib.pyramid import RunState

__all__ = ["Callback", "Record", "Step"]


@dataclass(frozen=True)
class Record:
    """What is known of one step, in numbers.

    Attributes:
        step: 1 for the first.
        losses: each loss by name, weighted, of the picture this step started from.
        lr: the learning rate this step used.
        seconds: time since the first step began, callbacks not counted.
        evaluations: how often the objective and its gradient had been computed by the end of
            this step. Adam needs one a step; L-BFGS may try several pictures in one.
    """

    step: int
    losses: dict[str, float]
    lr: float
    seconds: float
    evaluations: int

    @property
    def loss(self) -> float:
        """The total: the sum of `losses`."""
        return math.fsum(self.losses.values())


@dataclass(frozen=True)
class Step(Record):
    """What a callback gets: the record of a step and its picture.

    Attributes:
        picture: the picture that `losses` belong to, a detached copy of the shape that is
            optimized.
        state: gives where the run stands after this step, a copy, to go on from later
            (`RunState`); to be called within the callback. None where `optimize` is called by
            itself.
        of: how many steps, or evaluations, were asked for in all; None where that is not known.
    """

    picture: Tensor = field(repr=False, compare=False)
    state: Callable[[], RunState] | None = field(default=None, repr=False, compare=False)
    of: int | None = None

    @property
    def record(self) -> Record:
        """What of it goes into the history."""
        return Record(**{each.name: getattr(self, each.name) for each in fields(Record)})


Callback = Callable[[Step], bool | None]
"""Called after every step; returning True ends the optimization."""
