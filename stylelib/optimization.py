"""The one loop that moves pixels.

A picture is the parameter, an objective is a number, an optimizer moves the picture.

Chapter 7. Everything in this library that makes a picture with PyTorch makes it here.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from stylelib.arguments import check_callback, check_function, whole
from stylelib.errors import DivergenceError, InputError, or_interrupted
from stylelib.losses import check_tensor
from stylelib.memory import freed_memory_kept
from stylelib.records import Callback, Record, Step

__all__ = [
    "Closure",
    "NoStepLeft",
    "Objective",
    "Optimized",
    "gradient_residual",
    "gradient_shares",
    "optimize",
]

Objective = Callable[[Tensor], Mapping[str, Tensor]]
"""From a picture to its losses by name, each weighted and with no axes; their sum is what is
made small."""


@dataclass(frozen=True)
class Optimized:
    """What `optimize` gives back.

    Attributes:
        picture: what X holds at the end, detached: the picture after the last step.
        history: a record of each step made.
        interrupted: whether Ctrl-C ended it.
    """

    picture: Tensor
    history: list[Record]
    interrupted: bool


class NoStepLeft(Exception):  # noqa: N818  it is no error
    """Raised by an optimizer's `step` to end the loop: it has nothing more to do."""


@freed_memory_kept()
def optimize(
    X: Tensor,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    scheduler: LRScheduler | None = None,
    clamp: tuple[Tensor, Tensor] | None = None,
    callback: Callback | None = None,
    history: Sequence[Record] = (),
) -> Optimized:
    """Change a picture, in place, step by step, until done or until the callback says stop.

    If it raises anything, X is what the step that raised it began with. While it runs, this
    process keeps memory that it would otherwise give back to the system at each step.

    Args:
        X: the picture, a leaf tensor that requires a gradient and that `optimizer` holds.
        objective: what must become small.
        optimizer: moves the picture: Adam, or `LBFGS`, or any other of PyTorch's.
        steps: the number of steps, at least 0.
        scheduler: changes the learning rate after each step.
        clamp: (lowest, highest), tensors that broadcast with X. The picture is clamped to them
            before the first step and after each step. None leaves it free.
        callback: called with a `Step` after each step.
        history: records of steps before these, on which steps, seconds and evaluations count.

    Raises:
        DivergenceError: a loss or the picture is not finite. The exception carries the last
            good picture, which is also what X then holds, and the steps made.
        InputError: the arguments do not fit together.
        Interrupted: Ctrl-C. Its `.result` is what would have been returned.
    """
    steps = whole("steps", steps, least=0)
    check_callback(callback)
    check_function("objective", objective)
    check_clamp(clamp)
    closure = Closure(X, objective, optimizer, history)
    interrupted = False
    if clamp is not None:
        X.data.clamp_(*clamp)
    try:
        for _ in range(steps):
            with closure.step():  # if anything is raised in here, X is what it was before
                optimizer.step(closure)  # it asks for the losses and the gradient of X
                closure.check()  # the losses are finite, and so is X
                if scheduler is not None:
                    scheduler.step()
                if clamp is not None:
                    X.data.clamp_(*clamp)
            if callback is not None and callback(closure.made()):
                break
    except KeyboardInterrupt:
        interrupted = True
    except NoStepLeft:
        pass
    return or_interrupted(Optimized(X.detach().clone(), closure.history, interrupted))


class Closure:
    """What an optimizer calls: it computes the losses and the gradient of the picture.

    It also keeps the records. The losses of a step are those of the picture that the step
    started from; a line search may have computed them at the end of the step before.

    Attributes:
        history: a record of each step, with those of earlier runs.
        number: of the step that runs now, or ran last.
        losses: of the picture that this step started from, by name.
        started_from: that picture.
    """

    def __init__(
        self,
        X: Tensor,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        history: Sequence[Record],
    ) -> None:
        self.X, self.objective, self.group = X, objective, group_of(X, optimizer)
        self.history = list(history)
        last = self.history[-1] if self.history else Record(0, {}, 0.0, 0.0, 0)
        self.number, self.seconds, self.evaluations = last.step, last.seconds, last.evaluations
        self.losses: dict[str, float] = {}
        self.started_from = X.detach().clone()
        self.seen: tuple[Tensor | None, dict[str, float]] = None, {}
        self.good = X.detach().clone()  # the last picture with finite losses

    def __call__(self) -> float:
        """The total loss; the gradient is in `.grad` of the picture."""
        self.evaluations += 1
        self.X.grad = None
        losses = self.objective(self.X)
        if any(loss.requires_grad for loss in losses.values()):
            total = torch.stack(list(losses.values())).sum()
            torch.autograd.backward(total, inputs=[self.X])
        if self.X.grad is None:
            raise InputError("the objective has no losses that depend on the picture")
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        self.seen = self.X.detach().clone(), values
        if not self.losses or torch.equal(self.X, self.started_from):
            self.losses = values
        return math.fsum(values.values())

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """One step and its record. If it raises anything, the picture is what it was before."""
        begin, lr = time.perf_counter(), float(self.group["lr"])
        self.number += 1
        self.started_from.copy_(self.X.detach())
        seen, values = self.seen
        known = seen is not None and torch.equal(seen, self.started_from)
        self.losses = values if known else {}
        try:
            yield
        except DivergenceError:
            self.X.data.copy_(self.good)
            raise
        except BaseException:
            self.X.data.copy_(self.started_from)
            raise
        self.seconds += time.perf_counter() - begin
        self.history.append(
            Record(self.number, self.losses, lr, self.seconds, self.evaluations)
        )

    def made(self) -> Step:
        """The step that was made last, with the picture that its losses belong to."""
        return Step(**vars(self.history[-1]), picture=self.started_from.clone())

    def check(self) -> None:
        """Refuse to go on from a loss or a picture that is not finite."""
        if not all(math.isfinite(value) for value in self.losses.values()):
            found = ", ".join(f"{name} {value:.3g}" for name, value in self.losses.items())
            what = f"losses of step {self.number}: {found}"
            guilty = self.history[-1].lr if self.history else self.group["lr"]
        else:
            self.good.copy_(self.started_from)
            if bool(torch.isfinite(self.X).all()):
                return
            what = f"after step {self.number} the picture is no longer finite"
            guilty = self.group["lr"]
        advice = f"at learning rate {guilty:g}: try a smaller one, or smaller loss weights"
        if self.group.get("line_search_fn"):
            advice = "try another start, or smaller loss weights"
        raise DivergenceError(
            f"{what}, {advice}. The last good picture is in this error's .picture",
            self.good.clone(),
            self.history,
        )


def check_leaf(X: Tensor) -> Tensor:
    """The picture, if an optimizer can move it."""
    if not (isinstance(X, Tensor) and X.is_leaf and X.requires_grad):
        raise InputError(
            "X must be a leaf tensor that requires a gradient: "
            "X.detach().clone().requires_grad_()"
        )
    return X


def check_clamp(clamp: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
    """The bounds of a picture, if they are two tensors, the lower ones first, or None."""
    if clamp is None:
        return None
    pair = isinstance(clamp, tuple | list) and len(clamp) == 2
    if not pair or not all(isinstance(bound, Tensor) for bound in clamp):
        raise InputError(f"clamp is a pair of tensors, (lowest, highest), not {clamp!r}")
    if bool((clamp[0] > clamp[1]).any()):
        raise InputError("clamp is (lowest, highest); here a lowest is above its highest")
    return clamp


def group_of(X: Tensor, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The settings by which an optimizer moves X."""
    check_leaf(X)
    groups: list[dict[str, Any]] = getattr(optimizer, "param_groups", [])
    for group in groups:
        if any(X is each for each in group["params"]):
            return group
    raise InputError(
        "the optimizer does not hold X: build it with, for example, "
        "torch.optim.Adam([X], lr=0.3)"
    )


def gradient_shares(X: Tensor, objective: Objective) -> dict[str, float]:
    """How much of the push on the pixels comes from each loss.

    The share of a loss is the L1 norm of its gradient with respect to X, divided by the sum of
    these norms over all the losses. Shares add up to 1, or are all 0 where nothing pushes.
    Gradients of different losses may oppose each other: near the end of an optimization they
    nearly cancel, while their shares stay (`gradient_residual` tells).

    Args:
        X: a picture, (1, 3, H, W), normalized; it is not changed.
        objective: as for `optimize`.

    Returns:
        The share of each loss by name, 0..1.
    """
    return shares_of(gradients_of(X, objective))


def gradient_residual(X: Tensor, objective: Objective) -> float:
    """How much of the gradients is left when those of all losses are added up.

    That is the L1 norm of the sum of the losses' gradients with respect to X, divided by the
    sum of their L1 norms: 1 where all losses pull the same way, 0 where they cancel at every
    pixel, as they do at a minimum of differentiable losses if no pixel is clamped. It falls
    while L-BFGS approaches a minimum; Adam circles around one, and there it stays.

    Args:
        X: a picture, (1, 3, H, W), normalized; it is not changed.
        objective: as for `optimize`.

    Returns:
        A number from 0 to 1; 0 where nothing pulls.
    """
    return residual_of(gradients_of(X, objective))


def gradients_of(X: Tensor, objective: Objective) -> list[tuple[str, Tensor]]:
    """The gradient of each loss with respect to a picture, by name."""
    check_tensor("X", X)
    check_function("objective", objective)
    X = X.detach().clone().requires_grad_()
    with torch.enable_grad():
        losses = objective(X)
    gradients = []
    for name, loss in losses.items():
        gradient: Tensor | None = None
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss, X, retain_graph=True, allow_unused=True)
        gradients.append((name, torch.zeros_like(X) if gradient is None else gradient.detach()))
    return gradients


def shares_of(gradients: Sequence[tuple[str, Tensor]]) -> dict[str, float]:
    """The L1 norm of each gradient over the sum of them all."""
    norms = {name: float(gradient.abs().sum()) for name, gradient in gradients}
    whole_norm = math.fsum(norms.values()) or 1.0
    return {name: norm / whole_norm for name, norm in norms.items()}


def residual_of(gradients: Sequence[tuple[str, Tensor]]) -> float:
    """The L1 norm of the sum of gradients over the sum of their L1 norms."""
    norms = [float(gradient.abs().sum()) for _, gradient in gradients]
    total = sum((gradient for _, gradient in gradients), torch.zeros(()))
    return min(1.0, float(total.abs().sum()) / (math.fsum(norms) or 1.0))
