"""L-BFGS with a line search, as an optimizer for `optimize` (chapter 9)."""

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
"""Computes the gradient, in `.grad` of the image, and returns the loss."""
Seen = tuple[LineSearchClosure, Tensor, Tensor, float]
"""The latest evaluation: its closure, the image, the gradient and the loss."""


KEPT = ("left", "best", "lowest", "scale", "began", "ended", "finished")
"""The attributes of `LBFGS` that belong to its state, besides PyTorch's own."""


class LBFGS(torch.optim.LBFGS):
    """PyTorch's L-BFGS for one image, adapted to the loop of `optimize`.

    A step is one direction and a line search along it, which ends at an image that satisfies
    the strong Wolfe conditions, usually at the first try. Beyond that, this class

    - scales the objective so that the mean absolute value of its first gradient is 1e6, because
      PyTorch's thresholds for stopping and for accepting curvature are absolute. So a constant
      factor on all losses does not change the result;
    - computes nothing twice: a step begins at the image where the previous line search ended;
    - estimates the curvature from steps as they are after clamping;
    - ends (`NoStepLeft`) if no evaluations are left or if a step changes nothing.

    Each objective needs a new optimizer.

    Args:
        X: the image.
        history_size: the number of past steps from which the curvature is estimated. Each
            keeps two tensors of the size of the image.
        max_evaluations: how many times losses and gradient may be computed; None sets no bound.
            A step that would need more is undone.
        clamp: (lowest, highest), tensors that broadcast with X. The image is clamped to them
            after each step.

    Attributes:
        best: the image with the lowest finite loss of all that were tried within `clamp`; None
            before the first.
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
        self.lowest = math.inf  # the loss of `best`
        self.scale: float | None = None
        self.seen: Seen | None = None
        self.began = self.ended = X.detach().clone()  # start and end of the last step
        self.finished = self.left == 0

    def step(self, closure: LineSearchClosure) -> float:  # type: ignore[override]  # torch's may be None
        """Choose a direction and search along it.

        Args:
            closure: computes the gradient, in `.grad` of the image, and returns the loss.

        Raises:
            NoStepLeft: the last step changed nothing, or no evaluations are left.
        """
        if not torch.equal(self.X, self.ended):  # the loop has clamped it since
            self.correct_last_step()
            self.finished = torch.equal(self.X, self.began)
        if self.finished:
            raise NoStepLeft
        self.began, spent = self.X.detach().clone(), self.left == 0
        try:
            self.search(closure)
        except SpentError:
            self.X.data.copy_(self.began)
            if spent and self.recall(closure) is None:  # there is no loss to return
                raise NoStepLeft from None
        if self.clamp is not None:
            self.X.data.clamp_(*self.clamp)
            self.correct_last_step()
        self.ended = self.X.detach().clone()
        self.finished = torch.equal(self.ended, self.began)
        return math.nan if self.seen is None else self.seen[3]

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's state and this class's own, so that a run can continue."""
        ours = {name: getattr(self, name) for name in KEPT}
        known = self.seen is not None and torch.equal(self.seen[1], self.X)
        return super().state_dict() | {"ours": ours, "known": known}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state. The losses of its image are computed once more, which does not
        count as an evaluation.
        """
        mine = ("ours", "known")
        super().load_state_dict({k: v for k, v in state_dict.items() if k not in mine})
        for name, value in state_dict["ours"].items():
            here = value.to(self.X.device) if isinstance(value, Tensor) else value
            setattr(self, name, here)
        self.left += state_dict["known"]

    def search(self, closure: LineSearchClosure) -> None:
        """Call PyTorch's own step."""
        super().step(lambda: self.evaluate(closure))  # type: ignore[no-untyped-call]  # untyped in torch

    def evaluate(self, closure: LineSearchClosure) -> float:
        """Return the scaled loss of the current image and set its gradient, both from memory if
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
        """The latest evaluation, if it was of this closure at the current image."""
        known = (
            self.seen is not None
            and self.seen[0] is closure
            and torch.equal(self.seen[1], self.X)
        )
        return self.seen if known else None

    def keep_if_best(self, loss: float) -> None:
        """Remember the best image. The line search may try images that are out of bounds."""
        picture = self.X.detach()
        inside = self.clamp is None or torch.equal(picture, picture.clamp(*self.clamp))
        if inside and math.isfinite(loss) and loss < self.lowest:
            self.lowest, self.best = loss, picture.clone()

    def correct_last_step(self) -> None:
        """Replace the intended step by the *real* one, from which the curvature follows."""
        state = self.state[self.X]
        if "d" in state:
            state["d"] = (self.X.detach() - self.began).flatten()
            state["t"] = 1.0


def gradient_of(X: Tensor) -> Tensor:
    """A copy of the latest gradient; 0 if the loss does not depend on X."""
    return torch.zeros_like(X) if X.grad is None else X.grad.clone()


class SpentError(Exception):
    """No evaluations are left. It leaves the line search through PyTorch's own code."""


@dataclass(frozen=True)
class LBFGSDescent:
    """`LBFGS` at each size. Its number of steps is the number of evaluations.

    Attributes:
        history_size: the number of past steps from which the curvature is estimated.
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
        """The best image that was tried."""
        assert isinstance(optimizer, LBFGS)
        return X if optimizer.best is None else optimizer.best


lbfgs = LBFGS
"""The name of `LBFGS` in earlier versions, where it was a function."""
