"""The one loop that moves pixels.

A picture is the parameter, an objective is a number, an optimiser moves the picture.

Chapter 7. Everything in this library that makes a picture makes it here.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from stylelib.errors import DivergenceError, InputError

__all__ = [
    "Callback",
    "Objective",
    "Optimized",
    "Record",
    "Step",
    "gradient_shares",
    "optimize",
]

Objective = Callable[[Tensor], Mapping[str, Tensor]]
"""From a picture to its losses by name, each weighted and with no axes; their sum is what is
made small."""


@dataclass(frozen=True)
class Record:
    """What is known of one step, in numbers.

    Attributes:
        step: 1 for the first.
        losses: each loss by name, weighted, of the picture this step started from.
        lr: the learning rate this step used.
        seconds: time since the first step began, callbacks not counted.
    """

    step: int
    losses: dict[str, float]
    lr: float
    seconds: float

    @property
    def loss(self) -> float:
        """The total: the sum of `losses`."""
        return math.fsum(self.losses.values())


@dataclass(frozen=True)
class Step(Record):
    """What a callback gets: the record of a step and its picture.

    Attributes:
        picture: the picture that `losses` belong to, a detached copy of the shape that is
            optimised.
    """

    picture: Tensor = field(repr=False, compare=False)


Callback = Callable[[Step], bool | None]
"""Called after every step; returning True ends the optimisation."""


@dataclass(frozen=True)
class Optimized:
    """What `optimize` gives back.

    Attributes:
        picture: the picture after the last step, detached.
        history: a record of each step made.
        interrupted: whether Ctrl-C ended it.
    """

    picture: Tensor
    history: list[Record]
    interrupted: bool


_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # glibc's malloc.h
_keepers = 0  # how many loops run now, in this thread and others
_keepers_lock = threading.Lock()


@contextlib.contextmanager
def _freed_memory_kept() -> Iterator[None]:
    """Have glibc keep the memory of one step's features for the next (elsewhere: nothing).

    By default it gives every block over 32 MB back to the system at once and gets it again,
    page by page, each page filled with zeros: 8 to 18 % of a step's time on the processors
    measured. Who has set glibc's own variables for this is left alone. Afterwards glibc is as
    it is by itself once a block of 32 MB has been freed.
    """
    global _keepers
    tuned = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if platform.libc_ver()[0] != "glibc" or sys.maxsize < 2**32 or tuned:
        yield
        return
    libc = ctypes.CDLL(None)
    with _keepers_lock:
        _keepers += 1
    try:
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        yield
    finally:
        with _keepers_lock:
            _keepers -= 1
            if _keepers == 0:
                libc.mallopt(_M_MMAP_MAX, 65536)
                libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
                libc.mallopt(_M_TRIM_THRESHOLD, 64 * 2**20)
                libc.malloc_trim(0)


@_freed_memory_kept()
def optimize(
    X: Tensor,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    *,
    num_steps: int,
    scheduler: LRScheduler | None = None,
    clamp: tuple[Tensor, Tensor] | None = None,
    callback: Callback | None = None,
) -> Optimized:
    """Change a picture, in place, step by step, until done or until the callback says stop.

    Ctrl-C ends it early and is no error: the picture made so far is returned. While it runs,
    this process keeps memory that it would otherwise give back to the system at each step.

    Args:
        X: the picture, a leaf tensor that requires a gradient and that `optimizer` holds.
        objective: what is to become small.
        optimizer: moves the picture, Adam for example.
        num_steps: the number of steps, at least 0.
        scheduler: changes the learning rate after each step.
        clamp: (lowest, highest), tensors that broadcast with X. After each step the picture is
            clamped to them, outside the optimiser's view. None leaves it free.
        callback: called with a `Step` after each step.

    Raises:
        DivergenceError: a loss or the picture is not finite. The exception carries the last
            good picture, which is also what X then holds, and the steps made.
        InputError: the arguments do not fit together.
    """
    if not (X.is_leaf and X.requires_grad):
        raise InputError(
            "X must be a leaf tensor that requires a gradient: "
            "X.detach().clone().requires_grad_()"
        )
    if not any(
        X is parameter for group in optimizer.param_groups for parameter in group["params"]
    ):
        raise InputError(
            "the optimizer does not hold X: build it with, for example, "
            "torch.optim.Adam([X], lr=0.3)"
        )
    if type(num_steps) is not int or num_steps < 0:
        raise InputError(f"num_steps is a whole number, 0 or more, not {num_steps!r}")

    losses: dict[str, Tensor] = {}

    def closure() -> float:
        optimizer.zero_grad()
        now = objective(X)
        if not losses:  # L-BFGS asks more than once a step: first for where the step starts
            losses.update(now)
        if not any(loss.requires_grad for loss in now.values()):
            raise InputError("the objective has no losses that depend on the picture")
        total = torch.stack(list(now.values())).sum()
        total.backward()  # type: ignore[no-untyped-call]  # untyped in torch
        return float(total.detach())

    good = X.detach().clone()  # the last picture whose losses were finite
    started_from = good.clone()
    history: list[Record] = []
    seconds, lr, interrupted = 0.0, 0.0, False
    try:
        for number in range(1, num_steps + 1):
            begin = time.perf_counter()
            started_from.copy_(X.detach())
            losses.clear()
            lr = float(optimizer.param_groups[0]["lr"])
            optimizer.step(closure)
            values = {name: float(loss.detach()) for name, loss in losses.items()}
            if not all(math.isfinite(value) for value in values.values()):
                lr = history[-1].lr if history else lr  # of the step that made this picture
                found = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
                raise _diverged(X, good, history, f"losses of step {number}: {found}", lr)
            good.copy_(started_from)
            if scheduler is not None:
                scheduler.step()
            finite = bool(torch.isfinite(X).all())
            if clamp is not None:
                X.data.clamp_(*clamp)
            seconds += time.perf_counter() - begin
            history.append(Record(number, values, lr, seconds))
            if not finite:
                raise _diverged(
                    X, good, history, f"after step {number} the picture is no longer finite", lr
                )
            if callback is None:
                continue
            if callback(Step(number, values, lr, seconds, good.clone())):
                break
    except KeyboardInterrupt:
        interrupted = True
        if not bool(torch.isfinite(X).all()):
            X.data.copy_(good)
    return Optimized(X.detach().clone(), history, interrupted)


def _diverged(
    X: Tensor, good: Tensor, history: list[Record], what: str, lr: float
) -> DivergenceError:
    X.data.copy_(good)
    return DivergenceError(
        f"{what}, at learning rate {lr:g}: try a smaller one, or smaller loss weights. "
        "The last good picture is in this error's .picture",
        good.clone(),
        history,
    )


def gradient_shares(X: Tensor, objective: Objective) -> dict[str, float]:
    """How much of the push on the pixels comes from each loss.

    The share of a loss is the L1 norm of its gradient with respect to X, divided by the sum of
    these norms over all the losses. Shares add up to 1. Gradients of different losses may
    oppose each other: near the end of an optimisation they nearly cancel, while their shares
    stay.

    Args:
        X: a picture, (1, 3, H, W), normalised; it is not changed.
        objective: as for `optimize`.

    Returns:
        The share of each loss by name, 0..1.
    """
    X = X.detach().clone().requires_grad_()
    losses = objective(X)
    norms: dict[str, float] = {}
    for name, loss in losses.items():
        norms[name] = 0.0
        if loss.requires_grad:
            (gradient,) = torch.autograd.grad(loss, X, retain_graph=True, allow_unused=True)
            norms[name] = 0.0 if gradient is None else float(gradient.abs().sum())
    whole = math.fsum(norms.values()) or 1.0
    return {name: norm / whole for name, norm in norms.items()}
