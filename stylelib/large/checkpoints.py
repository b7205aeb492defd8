"""Checkpoints: a run that was interrupted, or killed, goes on to the same bits (chapter 31)."""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from torch import Tensor

from stylelib.arguments import check_callback, check_path
from stylelib.descents import Clamp, Descent
from stylelib.errors import FileError, InputError
from stylelib.large.archives import read_plain, write_plain
from stylelib.large.interrupts import Postponed
from stylelib.large.marks import Marks, differences
from stylelib.large.plans import Plan
from stylelib.large.states import as_plain, is_count, restored
from stylelib.optimization import Objective
from stylelib.pyramid import Painted, paint
from stylelib.records import Callback, Step
from stylelib.stages import RunState

__all__ = ["Checkpoint", "read_checkpoint"]

KIND = "checkpoint of stylelib"
FORMAT = 3
"""To be raised when what is in the file, or the state of an optimizer, changes."""
ADVICE = "The file is left as it is; to begin anew, remove it or name another"


class Checkpoint:
    """A file that holds the state of a run, so that nothing is lost when the run ends early.

    It is written after the first step, then every minute, on Ctrl-C and SIGTERM, if the
    callback stops the run, and at the end. It holds plain data and is replaced as a whole. A
    lock beside it keeps other runs away, and ends with the process, however that ends.

    Args:
        path: of the file.
        run: the marks of the run (`marks_of_run`).
        plans: how the features are computed at each size. They are replaced by those in the
            file: with other tiles the run would end in other bits.
        bound: the bytes of memory that must suffice. Plans in the file that need more are left,
            with a warning.

    Attributes:
        every: the seconds between two writings.
        clock: tells the time in seconds.
    """

    every: float = 60.0
    clock: Callable[[], float] = staticmethod(time.monotonic)

    def __init__(
        self,
        path: str | os.PathLike[str],
        run: Marks,
        plans: list[Plan] | None = None,
        bound: float = math.inf,
    ) -> None:
        self.path = Path(os.path.realpath(check_path("checkpoint", path)))
        if os.path.isdir(self.path):
            raise FileError(f"'{path}' is a directory; give the name of a file in it")
        self.run, self.signals = run, Postponed()
        self.plans, self.bound = [] if plans is None else plans, bound
        self.prefix = f".stylelib-checkpoint-{self.path.name}-"
        self.due = -math.inf
        self.warned = False

    def paint(
        self,
        start: Tensor,
        shapes: Sequence[tuple[int, int]],
        objective_at: Callable[[int, Tensor], Objective],
        descent: Descent,
        *,
        steps: int | Sequence[int],
        clamp: Clamp = None,
        callback: Callback | None = None,
        state: RunState | None = None,
    ) -> Painted:
        """As `stylelib.pyramid.paint`, from the state in the file if it exists.

        Raises:
            FileError: the file cannot be read, is no checkpoint, or another run uses it.
            InputError: it is of another run, or a `state` is given, too.
        """
        check_callback(callback)
        if state is not None:
            raise InputError("give a state or a checkpoint to go on from, not both")
        with self.locked(), self.signals.block():
            painted = paint(
                start,
                shapes,
                objective_at,
                descent,
                steps=steps,
                clamp=clamp,
                callback=partial(self.after, callback),
                state=self.state(start),
            )
            if painted.state is not None:
                self.write(painted.state)
            try:
                self.signals.pass_on()  # it came after the last step
            except KeyboardInterrupt:
                return replace(painted, interrupted=True)
            return painted

    def after(self, callback: Callback | None, step: Step) -> bool:
        """Call the callback after a step, and write the state if it is time."""
        stop = bool(callback and callback(step))
        asked = self.signals.asked is not None  # one that comes later waits for the next step
        if stop or asked or self.clock() >= self.due:
            assert step.state is not None
            self.write(step.state(copied=False))
        if asked:
            self.signals.pass_on()
        return stop

    def state(self, start: Tensor) -> RunState | None:
        """The state in the file, of a run from `start`; None if there is no file."""
        if not os.path.lexists(self.path):
            return None
        state, run, plans = read_checkpoint(self.path)
        said = differences(run, self.run)
        if said:
            raise InputError(
                f"'{self.path}' is the checkpoint of another run: {said}. {ADVICE}"
            )
        alike = state.picture.dtype == start.dtype and len(state.picture) == len(start)
        if not alike or len(plans) != len(self.plans):
            raise FileError(f"the checkpoint '{self.path}' is damaged. {ADVICE}")
        if max((plan.memory for plan in plans), default=0.0) <= self.bound:
            self.plans[:] = plans
        elif tiles_of(plans) != tiles_of(self.plans):
            warnings.warn(
                f"there is less memory than when '{self.path}' was written: the run goes on "
                "with other tiles, and its result differs by rounding",
                stacklevel=2,
            )
        return state

    def write(self, state: RunState) -> None:
        """Write the state. If that fails, warn, and leave the file as it was."""
        content = {
            "kind": KIND,
            "format": FORMAT,
            "run": self.run,
            "plans": [vars(plan) for plan in self.plans],
            "state": as_plain(state),
        }
        self.signals.busy = True
        try:
            write_plain(self.path, content, f"the state of {state.descent}", self.prefix)
        except FileError as error:
            if not self.warned:  # the image is worth more than the checkpoint
                told = f"{error}; the run goes on, and the checkpoint stays as it was"
                warnings.warn(told, stacklevel=2)
            self.warned = True
        finally:
            self.signals.busy = False
            self.due = self.clock() + self.every

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs from the file, and remove what a killed one has left beside it."""
        if not self.path.parent.is_dir():  # FileLock would make it
            missing = f"there is no folder '{self.path.parent}'"
            raise FileError(f"cannot write '{self.path}': {missing}")
        # not "NAME.lock", which may be a file of yours
        lock = FileLock(self.path.with_name(f".stylelib-lock-{self.path.name}"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise FileError(
                f"'{self.path}' is in use by another run: wait for its end, or name another"
            ) from None
        except OSError as error:
            raise FileError(f"cannot write '{self.path}': {error.strerror or error}") from error
        try:
            for name in os.listdir(self.path.parent):
                rest = name.removeprefix(self.prefix)
                if rest != name and "-" not in rest:  # not of a checkpoint with a longer name
                    os.unlink(self.path.with_name(name))
            yield
        finally:
            with suppress(OSError):  # Windows removes no file that is open
                os.unlink(lock.lock_file)
            lock.release()


class Content(NamedTuple):
    """What is in the file of a checkpoint.

    Attributes:
        state: where the run stood.
        run: its marks.
        plans: how it computed features at each size.
    """

    state: RunState
    run: Marks
    plans: list[Plan]


def read_checkpoint(path: Path) -> Content:
    """The content of a checkpoint.

    Raises:
        FileError: the file cannot be read, is damaged, or is no checkpoint.
    """
    try:
        content = read_plain(path)
        if not isinstance(content, dict) or content.get("kind") != KIND:
            raise FileError(f"'{path}' is another kind of file")
        if content["format"] != FORMAT:
            raise FileError(
                f"'{path}' is from another version of stylelib: it has format "
                f"{content['format']}, and this version reads format {FORMAT}"
            )
        plans = [_plan(each) for each in content["plans"]]
        return Content(restored(content["state"]), dict(content["run"]), plans)
    except FileError as error:
        raise FileError(f"the checkpoint {error}. {ADVICE}") from error
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise FileError(f"the checkpoint '{path}' is damaged: {error}. {ADVICE}") from error


def tiles_of(plans: Sequence[Plan]) -> list[tuple[int, int | None]]:
    """What the bits of a result depend on."""
    return [(plan.parts, plan.side) for plan in plans]


def _plan(plain: Mapping[str, Any]) -> Plan:
    plan = Plan(**plain)
    tiled = plan.side is None or (is_count(plan.side) and plan.side > 0)
    if not (is_count(plan.parts) and tiled):
        raise ValueError("a size has no tiles")
    if not all(map(math.isfinite, (plan.memory, plan.work))):
        raise ValueError("a size needs no number of bytes")
    return plan
