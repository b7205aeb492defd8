"""L-BFGS with a line search, for the one loop (chapter 9)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from stylelib.arguments import whole
from stylelib.descents import Clamp
from stylelib.optimization import NoStepLeft, check_clamp, check_leaf

__all__ = ["LBFGS", "LBFGSDescent", "lbfgs"]

LineSearchClosure = Callable[[], float]
"""Computes the gradient, in `.grad` of the picture, and returns the loss."""
Seen = tuple[LineSearchClosure, Tensor, Tensor, float]
"""Who was asked last, about which picture, its gradient and its loss."""


KEPT = ("left", "best", "lowest", "scale", "began", "ended", "finished")
"""What of `LBFGS` belongs to the state of a run, beside PyTorch's own."""


class LBFGS(torch.optim.LBFGS):
    """PyTorch's L-BFGS for one picture, with what the loop needs around it.

    A step is one direction and the search along it for a picture that satisfies the strong
    Wolfe conditions, most often at the first try. Around that,

    - the objective is scaled such that its first gradient is 1e6 on average, because PyTorch's
      thresholds for stopping and for accepting curvature are absolute numbers. So losses times
      a constant give the same pictures;
    - nothing is computed twice: a step begins with the picture on which the line search before
      it ended;
    - the curvature is that of the step as it was after clamping;
    - it ends (`NoStepLeft`) if no evaluations are left, or if a step changes nothing.

    Make a new one for another objective.

    Args:
        X: the picture.
        history_size: how many of the last steps the curvature is estimated from. Each keeps
            two tensors of the size of the picture.
        max_evaluations: how often losses and gradient may be computed; None sets no bound. A
            step for which they do not suffice is undone.
        clamp: (lowest, highest), tensors that broadcast with X: the picture is clamped to them
            after each step.

    Attributes:
        best: the picture with the lowest finite loss of all that were tried within `clamp`;
            None before there is one.
        left: how many evaluations are left; `math.inf` if there is no bound.

    Source: Nocedal (1980), Liu and Nocedal (1989); line search: Nocedal and Wright (2006),
    algorithms 3.5, 3.6.
    """

    def __init__(
        self,
        X: Tensor,
        *,
        history_size: int = 20,
        max_evaluations: int | None = None,
        clamp: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        super().__init__(
            [check_leaf(X)],
            lr=1.0,
            max_iter=1,
            max_eval=25,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            history_size=whole("history_size", history_size),
            line_search_fn="strong_wolfe",
        )
        self.X, self.clamp = X, check_clamp(clamp)
        self.left = math.inf
        if max_evaluations is not None:
            self.left = whole("max_evaluations", max_evaluations, least=0)
        self.best: Tensor | None = None
        self.lowest = math.inf  # the loss of the best
        self.scale: float | None = None
        self.seen: Seen | None = None
        self.began = self.ended = X.detach().clone()  # where the last step did
        self.finished = self.left == 0

    def step(self, closure: LineSearchClosure) -> float:  # type: ignore[override]  # torch's may be None
        """One direction and the search along it.

        Args:
            closure: computes the gradient, in `.grad` of the picture, and returns the loss.

        Raises:
            NoStepLeft: the step before was the last, or no evaluations are left.
        """
        if not torch.equal(self.X, self.ended):  # somebody has clamped it since
            self.correct_last_step()
            self.finished = torch.equal(self.X, self.began)
        if self.finished:
            raise NoStepLeft
        self.began, spent = self.X.detach().clone(), self.left == 0
        try:
            self.search(closure)
        except SpentError:
            self.X.data.copy_(self.began)
            if spent and self.recall(closure) is None:  # a step without losses is none
                raise NoStepLeft from None
        if self.clamp is not None:
            self.X.data.clamp_(*self.clamp)
            self.correct_last_step()
        self.ended = self.X.detach().clone()
        self.finished = torch.equal(self.ended, self.began)
        return math.nan if self.seen is None else self.seen[3]

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's, and where this class stands, so that a run can go on from there."""
        ours = {name: getattr(self, name) for name in KEPT}
        known = self.seen is not None and torch.equal(self.seen[1], self.X)
        return super().state_dict() | {"ours": ours, "known": known}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state. Only the losses of the picture where it ended are computed anew,
        once, which does not count as one of the evaluations that are left.
        """
        mine = ("ours", "known")
        super().load_state_dict({k: v for k, v in state_dict.items() if k not in mine})
        for name, value in state_dict["ours"].items():
            here = value.to(self.X.device) if isinstance(value, Tensor) else value
            setattr(self, name, here)
        self.left += state_dict["known"]

    def search(self, closure: LineSearchClosure) -> None:
        """PyTorch's own step."""
        super().step(lambda: self.evaluate(closure))  # type: ignore[no-untyped-call]  # untyped in torch

    def evaluate(self, closure: LineSearchClosure) -> float:
        """The scaled loss of the picture as it is now, and its gradient, from memory if
        possible.
        """
        seen = self.recall(closure)
        if seen is None:
            if self.left == 0:
                raise SpentError
            self.left -= 1
            loss = closure()
            seen = self.seen = closure, self.X.detach().clone(), gradient_of(self.X), loss
            self.keep_if_best(loss)
        _, _, gradient, loss = seen
        if self.scale is None:
            size = float(gradient.abs().mean())
            self.scale = 1e6 / size if 0 < size < math.inf else 1.0
        self.X.grad = self.scale * gradient
        return self.scale * loss

    def recall(self, closure: LineSearchClosure) -> Seen | None:
        """What is known of this picture, if this closure was asked about it last."""
        known = (
            self.seen is not None
            and self.seen[0] is closure
            and torch.equal(self.seen[1], self.X)
        )
        return self.seen if known else None

    def keep_if_best(self, loss: float) -> None:
        """Remember the best picture. The line search may try some that are out of bounds."""
        picture = self.X.detach()
        inside = self.clamp is None or torch.equal(picture, picture.clamp(*self.clamp))
        if inside and math.isfinite(loss) and loss < self.lowest:
            self.lowest, self.best = loss, picture.clone()

    def correct_last_step(self) -> None:
        """Curvature is the gradient's difference over the *real* step, not the one intended."""
        state = self.state[self.X]
        if "d" in state:
            state["d"] = (self.X.detach() - self.began).flatten()
            state["t"] = 1.0


def gradient_of(X: Tensor) -> Tensor:
    """A copy of the gradient that was computed last; 0 if nothing depends on X."""
    return torch.zeros_like(X) if X.grad is None else X.grad.clone()


class SpentError(Exception):
    """No evaluations are left; raised out of the line search, through its own code."""


@dataclass(frozen=True)
class LBFGSDescent:
    """L-BFGS, which finds its own steps. A number of steps is one of evaluations here.

    Attributes:
        history_size: how many of the last steps the curvature is estimated from.
    """

    exact: ClassVar[bool] = True

    history_size: int = 20

    def __post_init__(self) -> None:
        whole("history_size", self.history_size)

    def begin(
        self, X: Tensor, steps: int, clamp: Clamp
    ) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """`LBFGS` with `steps` evaluations."""
        size = self.history_size
        return LBFGS(X, history_size=size, max_evaluations=steps, clamp=clamp), None

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The best picture that was tried."""
        assert isinstance(optimizer, LBFGS)
        return X if optimizer.best is None else optimizer.best


lbfgs = LBFGS
"""The name by which it was known before it was a class."""
