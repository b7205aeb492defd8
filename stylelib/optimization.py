"""The one loop that moves pixels.

A picture is the parameter, an objective is a number, an optimiser moves the picture.

Chapter 7, and chapter 9 for L-BFGS. Everything in this library that makes a picture makes it
here.
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
    "lbfgs",
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
        evaluations: how often the objective and its gradient had been computed by the end of
            this step. Adam needs one a step; L-BFGS may try several pictures in one.
    """

    step: int
    losses: dict[str, float]
    lr: float
    seconds: float
    evaluations: int

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
        picture: what X holds at the end, detached: the picture after the last step, or with
            `keep_best` the best one.
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


class _SpentError(Exception):
    """No evaluations are left; raised out of the optimiser, through its own code."""


class _Evaluations:
    """The closure an optimiser calls: losses and gradient of the picture as it is now.

    It counts, refuses to go beyond `most`, and remembers the best picture. For L-BFGS it scales
    losses and gradients, and answers from memory when it is asked again about the picture it
    has just seen: a step begins with the picture that the line search before it ended on.
    """

    def __init__(
        self,
        X: Tensor,
        objective: Objective,
        most: int | None,
        bounds: tuple[Tensor, Tensor] | None,
        quasi_newton: bool,
    ) -> None:
        self.X, self.objective, self.most = X, objective, most
        self.bounds, self.quasi_newton = bounds, quasi_newton
        self.count = 0
        self.scale: float | None = None
        self.started_from: dict[str, float] = {}  # the losses of the step's first picture
        self.seen: tuple[Tensor, Tensor, dict[str, float]] | None = None
        self.best: tuple[float, Tensor] | None = None

    def __call__(self) -> float:
        known = self.quasi_newton and self.seen and torch.equal(self.seen[0], self.X)
        if not known:
            if self.count == self.most:
                raise _SpentError
            self._evaluate()
        assert self.seen is not None
        _, gradient, values = self.seen
        self.X.grad = gradient.clone()
        self.started_from = self.started_from or values
        return math.fsum(values.values()) * (self.scale or 1.0)

    def _evaluate(self) -> None:
        self.count += 1
        self.X.grad = None
        losses = self.objective(self.X)
        if not any(loss.requires_grad for loss in losses.values()):
            raise InputError("the objective has no losses that depend on the picture")
        total_loss = torch.stack(list(losses.values())).sum()
        total_loss.backward(inputs=[self.X])  # type: ignore[no-untyped-call]  # untyped in torch
        if self.X.grad is None:
            raise InputError("the objective has no losses that depend on the picture")
        gradient: Tensor = self.X.grad
        if self.quasi_newton:
            if self.scale is None:
                size = float(gradient.abs().mean())
                self.scale = 1e6 / size if 0 < size < math.inf else 1.0
            gradient.mul_(self.scale)
        values = {name: float(loss.detach()) for name, loss in losses.items()}
        picture = self.X.detach().clone()
        self.seen = picture, gradient, values
        total = math.fsum(values.values())
        better = math.isfinite(total) and (self.best is None or total < self.best[0])
        # The line search may try pictures out of bounds; none of them is to be returned
        if better and (
            self.bounds is None or torch.equal(picture, picture.clamp(*self.bounds))
        ):
            self.best = total, picture


@_freed_memory_kept()
def optimize(
    X: Tensor,
    objective: Objective,
    optimizer: torch.optim.Optimizer,
    *,
    num_steps: int,
    max_evaluations: int | None = None,
    scheduler: LRScheduler | None = None,
    clamp: tuple[Tensor, Tensor] | None = None,
    keep_best: bool = False,
    callback: Callback | None = None,
) -> Optimized:
    """Change a picture, in place, step by step, until done or until the callback says stop.

    Ctrl-C ends it early and is no error: the picture made so far is returned. Any other
    exception passes through, and X is what the step that raised it began with. L-BFGS also ends
    early where a step no longer changes the picture. While it runs, this process keeps memory
    that it would otherwise give back to the system at each step.

    Args:
        X: the picture, a leaf tensor that requires a gradient and that `optimizer` holds.
        objective: what is to become small.
        optimizer: moves the picture: Adam, or what `lbfgs` returns.
        num_steps: the number of steps, at least 0.
        max_evaluations: end when the objective has been computed so often, be it in the middle
            of a step. That step is undone; it has a record all the same, with the losses of the
            picture it started from, which then is the last one. None sets no such bound.
        scheduler: changes the learning rate after each step.
        clamp: (lowest, highest), tensors that broadcast with X. Before the first step and after
            each the picture is clamped to them, outside the optimiser's view. None leaves it
            free.
        keep_best: at the end, also after Ctrl-C, go back to the picture with the lowest total
            loss of those the objective was computed for and that lie within `clamp`. The
            picture after the last step is not one of them unless a line search has tried it.
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
    holding = (g for g in optimizer.param_groups if any(X is each for each in g["params"]))
    group = next(holding, None)
    if group is None:
        raise InputError(
            "the optimizer does not hold X: build it with, for example, "
            "torch.optim.Adam([X], lr=0.3)"
        )
    if type(num_steps) is not int or num_steps < 0:
        raise InputError(f"num_steps is a whole number, 0 or more, not {num_steps!r}")
    if max_evaluations is not None and (
        type(max_evaluations) is not int or max_evaluations < 0
    ):
        raise InputError(
            f"max_evaluations is None or a whole number, 0 or more, not {max_evaluations!r}"
        )

    quasi_newton = isinstance(optimizer, torch.optim.LBFGS)
    if quasi_newton:
        if len(group["params"]) != 1:
            raise InputError(
                f"L-BFGS is to hold the picture alone, not {len(group['params'])} tensors"
            )
        if clamp is not None and group["max_iter"] != 1:
            raise InputError(
                "clamping goes with an L-BFGS of one iteration a step, as `lbfgs` makes it, "
                f"not with max_iter {group['max_iter']}"
            )
        optimizer.state.clear()  # curvature in the units of an earlier call
    if clamp is not None:
        X.data.clamp_(*clamp)
    closure = _Evaluations(X, objective, max_evaluations, clamp, quasi_newton)
    good = X.detach().clone()  # the last picture whose losses were finite
    started_from = good.clone()
    history: list[Record] = []
    seconds, lr, interrupted, within_step = 0.0, 0.0, False, False
    try:
        for number in range(1, num_steps + 1):
            begin = time.perf_counter()
            started_from.copy_(X.detach())
            closure.started_from = {}
            lr = float(group["lr"])
            within_step = True
            spent = False
            try:
                optimizer.step(closure)
            except _SpentError:
                spent = True
                X.data.copy_(started_from)
                if not closure.started_from:
                    break
            except BaseException:
                X.data.copy_(started_from)
                raise
            values = closure.started_from
            if not all(math.isfinite(value) for value in values.values()):
                lr = history[-1].lr if history else lr  # of the step that made this picture
                found = ", ".join(f"{name} {value:.3g}" for name, value in values.items())
                what = f"losses of step {number}: {found}"
                raise _diverged(X, good, history, what, lr, quasi_newton)
            good.copy_(started_from)
            if scheduler is not None and not spent:
                scheduler.step()
            if not torch.isfinite(X).all():
                what = f"after step {number} the picture is no longer finite"
                raise _diverged(X, good, history, what, lr, quasi_newton)
            if clamp is not None:
                X.data.clamp_(*clamp)
                if quasi_newton:
                    _tell_lbfgs(optimizer, X, started_from)
            within_step = False
            seconds += time.perf_counter() - begin
            record = number, values, lr, seconds, closure.count
            history.append(Record(*record))
            if callback is not None and callback(Step(*record, good.clone())):
                break
            if spent or (quasi_newton and torch.equal(X, started_from)):
                break
    except KeyboardInterrupt:
        interrupted = True
        if within_step:
            X.data.copy_(started_from)
    if keep_best and closure.best is not None:
        X.data.copy_(closure.best[1])
    return Optimized(X.detach().clone(), history, interrupted)


def lbfgs(X: Tensor, *, history_size: int = 20) -> torch.optim.LBFGS:
    """L-BFGS with a line search, one iteration a step, for `optimize`.

    A step is one direction and the search along it for a picture that satisfies the strong
    Wolfe conditions, most often at the first try. PyTorch's thresholds for stopping and for
    accepting curvature are absolute numbers: `optimize` therefore scales the objective such
    that its first gradient is 1e6 on average, and this function sets the former to 0 (but for
    the 1e-9 of the line search, which PyTorch does not let change). So losses times a constant
    give the same pictures. Each call of `optimize` begins without curvature.

    Args:
        X: the picture.
        history_size: how many of the last steps the curvature is estimated from. Each keeps
            two tensors of the size of the picture.

    Source: Nocedal (1980), Liu and Nocedal (1989); line search: Nocedal and Wright (2006),
    algorithms 3.5, 3.6.
    """
    if type(history_size) is not int or history_size < 1:
        raise InputError(f"history_size is a whole number, 1 or more, not {history_size!r}")
    return torch.optim.LBFGS(
        [X],
        lr=1.0,
        max_iter=1,
        max_eval=25,
        tolerance_grad=0.0,
        tolerance_change=0.0,
        history_size=history_size,
        line_search_fn="strong_wolfe",
    )


def _tell_lbfgs(optimizer: torch.optim.Optimizer, X: Tensor, started_from: Tensor) -> None:
    """The step as it was after clamping: curvature is gradient difference over *real* step."""
    state = optimizer.state[X]
    if "d" in state:
        state["d"] = (X.detach() - started_from).flatten()
        state["t"] = 1.0


def _diverged(
    X: Tensor, good: Tensor, history: list[Record], what: str, lr: float, quasi_newton: bool
) -> DivergenceError:
    X.data.copy_(good)
    advice = "try another start, or smaller loss weights"
    if not quasi_newton:
        advice = f"at learning rate {lr:g}: try a smaller one, or smaller loss weights"
    return DivergenceError(
        f"{what}, {advice}. The last good picture is in this error's .picture",
        good.clone(),
        history,
    )


def gradient_shares(X: Tensor, objective: Objective) -> dict[str, float]:
    """How much of the push on the pixels comes from each loss.

    The share of a loss is the L1 norm of its gradient with respect to X, divided by the sum of
    these norms over all the losses. Shares add up to 1, or are all 0 where nothing pushes.
    Gradients of different losses may oppose each other: near the end of an optimisation they
    nearly cancel, while their shares stay.

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
