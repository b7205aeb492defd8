"""L-BFGS without a line search, and the recipe "coarse-to-fine" that uses it (chapter 22)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from stylelib.arguments import whole
from stylelib.descents import Clamp
from stylelib.losses import LossWeights
from stylelib.objectives import compare_features, compare_grams, relative
from stylelib.optimization import NoStepLeft, check_clamp, check_leaf
from stylelib.recipes import Recipe
from stylelib.relatives.modules import PAPER_CONTENT_LAYERS, PAPER_STYLE_LAYERS

__all__ = ["COARSE_TO_FINE", "BacktrackingLBFGS", "BacktrackingLBFGSDescent"]

FIRST_MOVE = 0.05
"""The mean distance that pixels move in the first step, in normalized units."""
LONGEST_MOVE = 3.0
"""The largest distance that a pixel may move in one step, in normalized units."""
RISE = 1.02
"""A step is accepted if the loss is at most this many times what it was before."""
SHRINK, SHORTEST = 0.4, 0.05
"""Otherwise the step is multiplied by the first, again and again. A step shorter than the
second, as a fraction of the whole step, is always accepted."""
CURVED = 1e-4
"""A step and its change of the gradient are kept if their cosine is larger than this."""


class BacktrackingLBFGS(torch.optim.Optimizer):
    """L-BFGS for one image that takes whole steps, and shorter ones only if the loss rises.

    A line search compares losses that hardly differ, and bfloat16 rounds such differences away.
    Here a step may raise the loss a little. So the network can be computed in bfloat16, and
    nearly every evaluation is a step.

    Args:
        X: the image.
        memory: the number of past steps from which the curvature is estimated.
        max_evaluations: how many times losses and gradient may be computed; None sets no bound.
        clamp: (lowest, highest). The image is clamped to them within each step, so that the
            curvature is estimated from the real step.

    Source: the two-loop recursion of Nocedal (1980). Backtracking that lets the loss rise by 2%
    replaces the line search.
    """

    def __init__(
        self,
        X: Tensor,
        *,
        memory: int = 15,
        max_evaluations: int | None = None,
        clamp: Clamp = None,
    ) -> None:
        super().__init__([check_leaf(X)], {"lr": 1.0, "line_search_fn": "backtracking"})
        self.X, self.clamp, self.memory = X, check_clamp(clamp), whole("memory", memory)
        left = (
            None
            if max_evaluations is None
            else whole("max_evaluations", max_evaluations, least=0)
        )
        self.state[X] = {"steps": [], "changes": [], "at": None, "left": left}

    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]  # torch's may be None
        """Choose a direction and move along it.

        Args:
            closure: computes the gradient, in `.grad` of the image, and returns the loss.

        Raises:
            NoStepLeft: no evaluations are left.
        """
        state = self.state[self.X]
        if state["left"] == 0:
            raise NoStepLeft
        if state["at"] is None or not torch.equal(state["at"], self.X):
            self.evaluate(closure)
        begin, loss, gradient = state["at"], state["loss"], state["gradient"]
        move = self.direction(gradient)
        move *= min(1.0, LONGEST_MOVE / max(float(move.abs().max()), 1e-12))
        length = 1.0
        limit = loss + (RISE - 1) * abs(loss)
        while state["left"] != 0:
            self.X.data.copy_(begin - length * move)
            if self.clamp is not None:
                self.X.data.clamp_(*self.clamp)
            self.evaluate(closure)
            if state["loss"] <= limit or length < SHORTEST:
                break
            length *= SHRINK
        else:  # no evaluations are left, and the last try was refused
            self.X.data.copy_(begin)
            state.update(at=begin, loss=loss, gradient=gradient)
        self.remember(state["at"] - begin, state["gradient"] - gradient)
        return float(loss)

    def evaluate(self, closure: Callable[[], float]) -> None:
        """Compute and keep the loss and the gradient of the current image."""
        state = self.state[self.X]
        with torch.enable_grad():
            loss = closure()
        assert self.X.grad is not None
        state.update(
            at=self.X.detach().clone(), loss=loss, gradient=self.X.grad.detach().clone()
        )
        if state["left"] is not None:
            state["left"] -= 1

    def direction(self, gradient: Tensor) -> Tensor:
        """The gradient times an estimate of the inverse Hessian, by the two-loop recursion."""
        steps, changes = self.state[self.X]["steps"], self.state[self.X]["changes"]
        if not steps:
            return gradient * (FIRST_MOVE / gradient.abs().mean().clamp_min(1e-30))
        q, alphas = gradient.clone(), []
        for s, y in zip(reversed(steps), reversed(changes), strict=True):
            alphas.append((s * q).sum() / (s * y).sum())
            q -= alphas[-1] * y
        s, y = steps[-1], changes[-1]
        q *= (s * y).sum() / y.square().sum()
        for s, y, alpha in zip(steps, changes, reversed(alphas), strict=True):
            q += (alpha - (y * q).sum() / (s * y).sum()) * s
        return q

    def remember(self, s: Tensor, y: Tensor) -> None:
        """Keep a step s and the gradient's change y over it, if the curvature is positive."""
        state = self.state[self.X]
        if float((s * y).sum()) > CURVED * float(s.norm() * y.norm()):
            state["steps"] = [*state["steps"], s][-self.memory :]
            state["changes"] = [*state["changes"], y][-self.memory :]

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state. The losses of its image are computed once more, which does not
        count as an evaluation.
        """
        super().load_state_dict(state_dict)
        state = self.state[self.X]
        state["at"] = None
        if state["left"]:
            state["left"] += 1


@dataclass(frozen=True)
class BacktrackingLBFGSDescent:
    """`BacktrackingLBFGS` at each size. Its number of steps is the number of evaluations.

    Attributes:
        memory: the number of past steps from which the curvature is estimated.
    """

    exact: ClassVar[bool] = False

    memory: int = 15

    def __post_init__(self) -> None:
        whole("memory", self.memory)

    def begin(
        self, X: Tensor, steps: int, clamp: Clamp
    ) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """The optimizer, with `steps` evaluations. It needs no schedule."""
        return BacktrackingLBFGS(
            X, memory=self.memory, max_evaluations=steps, clamp=clamp
        ), None

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The image after the last step."""
        return X


COARSE_TO_FINE = Recipe(
    LossWeights(content=0.7, style=1.0, tv=0.0),
    PAPER_CONTENT_LAYERS,
    PAPER_STYLE_LAYERS,
    relative(compare_features),
    relative(compare_grams),
    descent=BacktrackingLBFGSDescent(),
    smallest=75,
    efforts=(25, 60, 120),
)
"""The default recipe of `transfer`: Gram matrices at the paper's layers, from 75 pixels up.
Each loss is relative to its target's own size, so the weights suit any network."""
