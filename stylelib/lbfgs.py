"""L-BFGS with a line search, for the one loop (chapter 9)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from stylelib.checks import whole
from stylelib.optimization import NoStepLeft

__all__ = ["LBFGS", "lbfgs"]


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

    Args:
        X: the picture.
        history_size: how many of the last steps the curvature is estimated from. Each keeps
            two tensors of the size of the picture.
        max_evaluations: how often losses and gradient may be computed; None sets no bound. A
            step for which they do not suffice is undone.
        clamp: (lowest, highest), tensors that broadcast with X: the picture is clamped to them
            after each step.

    Attributes:
        best: the picture with the lowest loss of all that were tried within `clamp`; None
            before the first evaluation.

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
            [X],
            lr=1.0,
            max_iter=1,
            max_eval=25,
            tolerance_grad=0.0,
            tolerance_change=0.0,
            history_size=whole("history_size", history_size),
            line_search_fn="strong_wolfe",
        )
        if max_evaluations is not None:
            whole("max_evaluations", max_evaluations, least=0)
        self.X, self.clamp = X, clamp
        self.left = math.inf if max_evaluations is None else max_evaluations
        self.best: Tensor | None = None
        self._lowest = math.inf
        self._scale = 1.0
        self._seen: tuple[Tensor, Tensor, float] | None = None  # picture, gradient, loss
        self._from = self._left = X.detach().clone()  # where the last step began and ended
        self._finished = self.left == 0

    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]  # torch's may be None
        """One direction and the search along it.

        Args:
            closure: computes the gradient, in `.grad` of the picture, and returns the loss.

        Raises:
            NoStepLeft: the step before was the last.
        """
        if self._finished:
            raise NoStepLeft
        if not torch.equal(self.X, self._left):
            self._tell()  # someone has clamped it since
        self._from = self.X.detach().clone()
        try:
            super().step(lambda: self.evaluate(closure))  # type: ignore[no-untyped-call]  # untyped in torch
        except _SpentError:
            self.X.data.copy_(self._from)
        else:
            if self.clamp is not None:
                self.X.data.clamp_(*self.clamp)
                self._tell()
        self._left = self.X.detach().clone()
        self._finished = torch.equal(self._left, self._from)
        return math.nan if self._seen is None else self._seen[2] / self._scale

    def evaluate(self, closure: Callable[[], float]) -> float:
        """The scaled loss of the picture as it is now, and its gradient, from memory if
        possible.
        """
        if self._seen is None or not torch.equal(self._seen[0], self.X):
            if self.left == 0:
                raise _SpentError
            self.left -= 1
            loss = closure()
            assert self.X.grad is not None
            if self._seen is None:
                size = float(self.X.grad.abs().mean())
                self._scale = 1e6 / size if 0 < size < math.inf else 1.0
            gradient = self.X.grad.mul_(self._scale)
            self._seen = self.X.detach().clone(), gradient, loss * self._scale
            self._keep(loss)
        self.X.grad = self._seen[1].clone()
        return self._seen[2]

    def _keep(self, loss: float) -> None:
        """Remember the best picture. The line search may try some that are out of bounds."""
        picture = self.X.detach()
        if loss < self._lowest and (
            self.clamp is None or torch.equal(picture, picture.clamp(*self.clamp))
        ):
            self._lowest, self.best = loss, picture.clone()

    def _tell(self) -> None:
        """Curvature is the gradient's difference over the *real* step, not the one intended."""
        state = self.state[self.X]
        if "d" in state:
            state["d"] = (self.X.detach() - self._from).flatten()
            state["t"] = 1.0


class _SpentError(Exception):
    """No evaluations are left; raised out of the line search, through its own code."""


lbfgs = LBFGS
"""As the book writes it, where torch's own is near."""
