"""Weights that are found from the gradient shares that they should give (chapter 29).

A size is worked through in several rounds. At the beginning of each, every loss gets the factor
that gives it its share of the gradient there. So the shares change by the factors of a round,
and then by what the image does in that round. What is left of this change is set right in the
next round, and the last round ends near the shares that were asked for, not at them: within
about 0.03 with each of the recipes that have several losses, after 100 steps or more.

At a minimum the gradients add up to 0. So the shares of two losses are one half each there,
whatever their weights are, and shares do not set the strength of a style.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from stylelib.arguments import number
from stylelib.descents import Clamp, Descent
from stylelib.errors import InputError, did_you_mean
from stylelib.optimization import Objective, gradients_of

__all__ = ["FEWEST", "ROUNDS", "InRounds", "balanced", "check_shares"]

ROUNDS = 4
"""How often the weights are set at each size."""
FEWEST = 5
"""The least number of steps after each time; with one or two, L-BFGS does not move at all."""


def check_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """Gradient shares, by the names of the losses, each of them positive, adding up to 1.

    Raises:
        InputError: they are not. More than one half for one loss is refused, too: at a minimum
            the gradients add up to 0, so none is longer than all others together.
    """
    if not isinstance(shares, Mapping) or len(shares) < 2:
        raise InputError(
            'shares are for two losses or more, such as {"content": 0.45, "style": 0.45, '
            f'"tv": 0.1}}, not {shares!r}'
        )
    found = {
        name: number(f"the share of {name}", share, above=0, most=1)
        for name, share in shares.items()
    }
    total = sum(found.values())
    if abs(total - 1) > 1e-6:
        raise InputError(f"shares add up to 1, not to {total:g}")
    for name, share in found.items():
        if share > 0.5:
            raise InputError(
                f"the share of {name} is at most 0.5, not {share:g}: at a minimum the "
                "gradients add up to 0, so none of them is longer than all others together"
            )
    return found


def balanced(
    objective: Objective,
    X: Tensor,
    shares: Mapping[str, float],
    precise: Objective | None = None,
) -> tuple[Objective, dict[str, float]]:
    """An objective whose losses have the given shares of the gradient at an image.

    Args:
        objective: from an image to named losses.
        X: the image, (1, 3, H, W), normalized.
        shares: of each loss.
        precise: the same losses in float32, whose gradients are measured; None: `objective`
            itself. At the photograph itself, bfloat16 gives the content loss a gradient of
            nothing but rounding errors.

    Returns:
        The objective with a factor for each loss, and these factors. They do not change the
        sum of the norms. They are all 1 if the gradient of one loss is 0, as that of the
        content loss at the photograph itself.

    Raises:
        InputError: the objective has other losses than `shares`, or only one.

    Example:
        >>> X = torch.zeros(1, 3, 2, 2)
        >>> near, far = (lambda X: (X - 1).square().sum()), (lambda X: (X + 9).square().sum())
        >>> both = {"near": 0.5, "far": 0.5}
        >>> _, factors = balanced(lambda X: {"near": near(X), "far": far(X)}, X, both)
        >>> {name: round(factor, 2) for name, factor in factors.items()}
        {'near': 5.0, 'far': 0.56}
    """
    norms = {name: float(g.abs().sum()) for name, g in gradients_of(X, precise or objective)}
    if len(norms) == 1:
        raise InputError(f"shares need two losses or more; there is only {next(iter(norms))!r}")
    for name in shares:
        if name not in norms:
            hint = did_you_mean(name, norms, f"the losses are {', '.join(norms)}")
            raise InputError(f"shares name the loss {name!r}, which there is not; {hint}")
    missing = [name for name, norm in norms.items() if norm and name not in shares]
    if missing:
        raise InputError(f"shares name each loss; there is none for {', '.join(missing)}")
    factors = dict.fromkeys(norms, 1.0)
    if all(norms[name] for name in shares):
        total = sum(norms.values())
        factors |= {name: share * total / norms[name] for name, share in shares.items()}

    def weighted(X: Tensor) -> dict[str, Tensor]:
        return {name: factors[name] * loss for name, loss in objective(X).items()}

    return weighted, factors


@dataclass(eq=False)
class InRounds:
    """A descent that goes on from round to round at a size, instead of beginning again.

    Only a descent with a schedule of its learning rate goes on, and its schedule is for all
    rounds together: a rate that is high again would throw the image far away from where the
    shares were right. L-BFGS begins again, because its curvature is that of the old weights.

    Attributes:
        descent: how the image is moved.
        rounds: the number of rounds at each size.
    """

    exact: ClassVar[bool] = False  # what is computed how is decided by then

    descent: Descent
    rounds: int
    before: tuple[torch.Size, torch.optim.Optimizer, LRScheduler] | None = field(
        default=None, init=False, repr=False
    )

    def begin(
        self, X: Tensor, steps: int, clamp: Clamp
    ) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """The optimizer and its schedule for a round of `steps` steps."""
        optimizer, schedule = self.descent.begin(X, steps * self.rounds, clamp)
        if schedule is None:
            return self.descent.begin(X, steps, clamp)
        if self.before is not None and self.before[0] == X.shape:
            optimizer.load_state_dict(self.before[1].state_dict())
            schedule.load_state_dict(self.before[2].state_dict())
        self.before = X.shape, optimizer, schedule
        return optimizer, schedule

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The image after the last step of a round."""
        return self.descent.end(optimizer, X)
