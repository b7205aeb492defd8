"""A run at one size of the image, and where it stands between two steps (chapter 8)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from stylelib.descents import Clamp, Descent
from stylelib.errors import InputError, Interrupted
from stylelib.optimization import Objective, Optimized, optimize
from stylelib.records import Callback, Record

__all__ = ["RunState", "Stage", "check_state", "has_form"]


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
        optimizer: its `state_dict`; empty after the last step of all.
        scheduler: its `state_dict`; None if there is none.
        history: a record of each step, of all sizes.
        random: PyTorch's random state, of the processor.
        random_began: what it was when the size began; None if that does not matter.
        disposable: whether the run that goes on may empty `optimizer`, to save memory.
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
    random_began: Tensor | None = None
    disposable: bool = False


class Stage:
    """The work at one size: the image, and what moves it.

    Args:
        number: of the size, 0 for the first.
        X: the image to begin with, (1, 3, H, W), normalized.
        steps: at this size.
        descent: how it is moved.
        clamp: as for `optimize`.
        state: of a run that was at this size; what the size began with comes from there.

    Attributes:
        began: the image that the size began with.
        made: the records of the steps made here, by this run.
    """

    def __init__(
        self,
        number: int,
        X: Tensor,
        steps: int,
        descent: Descent,
        clamp: Clamp,
        state: RunState | None = None,
    ) -> None:
        self.number, self.descent, self.steps = number, descent, steps
        self.began = X if state is None else state.began.to(X.device)
        if state is not None and state.random_began is not None:
            torch.set_rng_state(state.random_began)
        self.random_began = torch.get_rng_state()
        self.X = X.detach().clone().requires_grad_()
        self.optimizer, self.scheduler = descent.begin(self.X, steps, clamp)
        self.made: list[Record] = []
        self.before = 0

    def go_on_from(self, state: RunState) -> int:
        """Restore the optimizer. Returns how many steps it had made."""
        try:
            kept = state.optimizer if state.disposable else copy.deepcopy(state.optimizer)
            if kept:
                self.optimizer.load_state_dict(kept)
            if self.scheduler is not None and state.scheduler is not None:
                self.scheduler.load_state_dict(state.scheduler)
            if state.disposable:
                state.optimizer.clear()
            torch.set_rng_state(state.random)
        except torch.OutOfMemoryError:
            raise
        except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            name = type(self.optimizer).__name__
            raise InputError(f"the state is not one of {name}: {error}") from error
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

    def state(self, history: Sequence[Record], *, copied: bool = True) -> RunState:
        """Where the run stands now; `history` is that of the runs before this one."""
        picture, began, optimizer = self.X.detach(), self.began, self.optimizer.state_dict()
        if copied:
            picture, began, optimizer = copy.deepcopy((picture, began.detach(), optimizer))
        return RunState(
            picture=picture,
            began=began,
            descent=type(self.descent).__name__,
            size=self.number,
            made=self.before + len(self.made),
            optimizer=optimizer,
            scheduler=None if self.scheduler is None else self.scheduler.state_dict(),
            history=[*history, *self.made],
            random=torch.get_rng_state(),
            random_began=self.random_began,
        )

    def ended(self, picture: Tensor, history: Sequence[Record]) -> RunState:
        """Where the run stands at its end, with its last image and all of its history."""
        return replace(
            self.state((), copied=False),
            picture=picture.detach(),
            made=self.steps,
            optimizer={},
            scheduler=None,
            history=list(history),
        )


def check_state(
    state: RunState, shapes: Sequence[tuple[int, int]], ends: Sequence[int], descent: Descent
) -> None:
    """Refuse a state of a run with other sizes, another way to move, or more steps."""
    if not isinstance(state, RunState):
        raise InputError(f"state is what Step.state() gives, not {state!r}")
    if not has_form(state):
        raise InputError("the state is damaged: a part of it has another type or shape")
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


def has_form(state: RunState) -> bool:
    """Whether the parts of a state have the types and shapes that they have in any run."""
    numbers = (state.size, state.made)
    if not all(type(number) is int and number >= 0 for number in numbers):
        return False
    if not isinstance(state.optimizer, dict) or not isinstance(state.scheduler, dict | None):
        return False
    for X in (state.picture, state.began):
        if not (isinstance(X, Tensor) and X.ndim == 4 and X.is_floating_point()):
            return False
    try:
        for random in (state.random, state.random_began):
            if random is not None:
                torch.Generator().set_state(random)
    except (RuntimeError, TypeError):
        return False
    return True
