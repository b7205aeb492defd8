"""The one loop that moves pixels (chapter 7).

The image is the parameter, the objective computes its losses, and the optimizer moves it. Every
function of this library that makes an image with PyTorch uses this loop.
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
from stylelib.watching import shows

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
"""From an image to its losses by name, each weighted and without axes. Their sum is
minimized."""


@dataclass(frozen=True)
class Optimized:
    """The result of `optimize`.

    Attributes:
        picture: the image after the last step, a detached copy of X.
        history: a record of each step made.
        interrupted: whether Ctrl-C ended the run.
    """

    picture: Tensor
    history: list[Record]
    interrupted: bool


class NoStepLeft(Exception):  # noqa: N818  not an error
    """An optimizer's `step` raises this to end the loop when it has nothing more to do."""


@shows
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
    """Move an image in place, step by step, for `steps` steps or until the callback stops it.

    If a step raises an exception, X is again what it was before that step. While the loop runs,
    the process keeps memory that it would otherwise return to the system at each step.

    Args:
        X: the image, a leaf tensor that requires a gradient and that `optimizer` holds.
        objective: the losses to minimize.
        optimizer: moves the image: Adam, `LBFGS`, or another optimizer of PyTorch.
        steps: the number of steps, at least 0.
        scheduler: changes the learning rate after each step.
        clamp: (lowest, highest), tensors that broadcast with X. The image is clamped to them
            before the first step and after each step. None sets no bounds.
        callback: called with a `Step` after each step. It stops the loop by returning True.
        history: records of earlier steps; steps, seconds and evaluations continue from them.

    Raises:
        DivergenceError: a loss or the image is not finite. The exception carries the last good
            image, which X then holds too, and the records of the steps made.
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
            with closure.step():  # if this raises, X is what it was before
                optimizer.step(closure)  # calls closure for the losses and the gradient
                closure.check()  # raises if a loss or X is not finite
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
    """The function that an optimizer calls for the losses and the gradient of the image.

    It also keeps the records. The losses of a step are those of the image that the step started
    from. A line search may have computed them at the end of the step before.

    Attributes:
        history: a record of each step, including those of earlier runs.
        number: the number of the current or last step.
        losses: the losses by name of the image that this step started from.
        started_from: that image.
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
        self.good = X.detach().clone()  # the last image with finite losses

    def __call__(self) -> float:
        """Compute the gradient into the image's `.grad`, and return the total loss."""
        self.evaluations += 1
        self.X.grad = None
        losses = self.objective(self.X)
        if any(loss.requires_grad for loss in losses.values()):
            total = torch.stack(list(losses.values())).sum()
            torch.autograd.backward(total, inputs=[self.X])
        if self.X.grad is None:
            raise InputError("the objective has no losses that depend on the image")
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        self.seen = self.X.detach().clone(), values
        if not self.losses or torch.equal(self.X, self.started_from):
            self.losses = values
        return math.fsum(values.values())

    @contextlib.contextmanager
    def step(self) -> Iterator[None]:
        """Run one step and record it. If it raises, the image is what it was before."""
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
        """The last step, with the image that its losses belong to."""
        return Step(**vars(self.history[-1]), picture=self.started_from.clone())

    def check(self) -> None:
        """Raise a `DivergenceError` if a loss or the image is not finite."""
        if not all(math.isfinite(value) for value in self.losses.values()):
            found = ", ".join(f"{name} {value:.3g}" for name, value in self.losses.items())
            what = f"losses of step {self.number}: {found}"
            guilty = self.history[-1].lr if self.history else self.group["lr"]
        else:
            self.good.copy_(self.started_from)
            if bool(torch.isfinite(self.X).all()):
                return
            what = f"after step {self.number} the image is no longer finite"
            guilty = self.group["lr"]
        advice = f"at learning rate {guilty:g}: try a smaller one, or smaller loss weights"
        if self.group.get("line_search_fn"):
            advice = "try another initial image, or smaller loss weights"
        raise DivergenceError(
            f"{what}, {advice}. The last good image is in this error's .picture",
            self.good.clone(),
            self.history,
        )


def check_leaf(X: Tensor) -> Tensor:
    """Check that an optimizer can move X, and return it."""
    if not (isinstance(X, Tensor) and X.is_leaf and X.requires_grad):
        raise InputError(
            "X must be a leaf tensor that requires a gradient: "
            "X.detach().clone().requires_grad_()"
        )
    return X


def check_clamp(clamp: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor] | None:
    """Check that bounds are None or two tensors, the lower ones first, and return them."""
    if clamp is None:
        return None
    pair = isinstance(clamp, tuple | list) and len(clamp) == 2
    if not pair or not all(isinstance(bound, Tensor) for bound in clamp):
        raise InputError(f"clamp must be a pair of tensors, (lowest, highest), not {clamp!r}")
    if bool((clamp[0] > clamp[1]).any()):
        raise InputError("clamp must be (lowest, highest), but a lowest is above its highest")
    return clamp


def group_of(X: Tensor, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimizer's parameter group that holds X."""
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
    """The gradient share of each loss.

    This is the L1 norm of the loss's gradient with respect to X, divided by the sum of these
    norms over all losses. The shares add up to 1, or are all 0 if every gradient is 0. The
    gradients of different losses may oppose each other. Near the end of an optimization they
    nearly cancel, but the shares do not show that; `gradient_residual` does.

    Args:
        X: a normalized image, (1, 3, H, W); it is not changed.
        objective: as for `optimize`.

    Returns:
        The share of each loss by name, 0..1.
    """
    return shares_of(gradients_of(X, objective))


def gradient_residual(X: Tensor, objective: Objective) -> float:
    """The fraction of the losses' gradients that is left when they are added up.

    This is the L1 norm of the sum of the gradients with respect to X, divided by the sum of
    their L1 norms. It is 1 if all gradients agree, and 0 if they cancel at every pixel, as they
    do at a minimum of differentiable losses if no pixel is clamped. It falls while L-BFGS
    approaches a minimum. Adam circles around the minimum, and the residual stops falling.

    Args:
        X: a normalized image, (1, 3, H, W); it is not changed.
        objective: as for `optimize`.

    Returns:
        A number from 0 to 1; 0 if every gradient is 0.
    """
    return residual_of(gradients_of(X, objective))


def gradients_of(X: Tensor, objective: Objective) -> list[tuple[str, Tensor]]:
    """The gradient of each loss with respect to the image, by name."""
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
    """The L1 norm of each gradient, divided by the sum of all these norms."""
    norms = {name: float(gradient.abs().sum()) for name, gradient in gradients}
    whole_norm = math.fsum(norms.values()) or 1.0
    return {name: norm / whole_norm for name, norm in norms.items()}


def residual_of(gradients: Sequence[tuple[str, Tensor]]) -> float:
    """The L1 norm of the gradients' sum, divided by the sum of their L1 norms."""
    norms = [float(gradient.abs().sum()) for _, gradient in gradients]
    total = sum((gradient for _, gradient in gradients), torch.zeros(()))
    return min(1.0, float(total.abs().sum()) / (math.fsum(norms) or 1.0))
