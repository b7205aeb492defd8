"""Ways to move an image, as data, and one of them: Adam with a falling rate (chapter 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, StepLR

from stylelib.arguments import number, whole
from stylelib.errors import InputError

__all__ = ["AdamDescent", "Clamp", "Descent", "check_lr"]

Clamp = tuple[Tensor, Tensor] | None
"""(lowest, highest), tensors that broadcast with an image; None sets no bounds."""


def check_lr(lr: float) -> float:
    """Check a learning rate, and return a plain number: a tensor would be changed in place."""
    return number("lr", lr, above=0, below=1e38)


class Descent(Protocol):
    """A way to move an image. It makes an optimizer for each size of the image.

    Attributes:
        exact: whether it compares losses that differ very little, and so needs float32.
    """

    __dataclass_fields__: ClassVar[dict[str, Any]]  # its settings are dataclass fields
    exact: ClassVar[bool]

    def begin(
        self, X: Tensor, steps: int, clamp: Clamp
    ) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """The optimizer that holds X, and the scheduler of its learning rate."""

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The image to return after the last step; X is where the optimizer ended."""


def check_descent(descent: Any) -> None:
    """Check that a value is a way to move an image."""
    if not (callable(getattr(descent, "begin", None)) and hasattr(descent, "exact")):
        raise InputError(f"descent must be a Descent, such as AdamDescent(), not {descent!r}")


@dataclass(frozen=True)
class AdamDescent:
    """Adam with a learning rate that is multiplied by a factor at regular intervals.

    Attributes:
        lr: the initial learning rate, in normalized units per step.
        lr_decay_epoch: the interval in steps; None is a tenth of the run.
        gamma: the factor.

    Source: Kingma and Ba (2015), with the schedule of Zhang et al., Dive into Deep Learning.
    """

    exact: ClassVar[bool] = False

    lr: float = 0.3
    lr_decay_epoch: int | None = None
    gamma: float = 0.8

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_lr(self.lr))  # a plain number
        number("gamma", self.gamma, above=0)
        if self.lr_decay_epoch is not None:
            whole("lr_decay_epoch", self.lr_decay_epoch)

    def begin(
        self, X: Tensor, steps: int, clamp: Clamp
    ) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """Adam and `StepLR`."""
        adam = torch.optim.Adam([X], lr=float(self.lr))
        every = max(1, steps // 10) if self.lr_decay_epoch is None else int(self.lr_decay_epoch)
        return adam, StepLR(adam, every, gamma=self.gamma)

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The image after the last step."""
        return X
