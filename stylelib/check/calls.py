"""A student's function, called so that nothing it does can harm: a guarded call."""

from __future__ import annotations

import ctypes
import random
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

__all__ = ["SECONDS", "Budget", "Outcome", "Stopped", "guarded", "text_of"]

SECONDS = 10.0
"""How long the function may run in one check, all calls together."""
_HERE = str(Path(__file__).parent)


class Stopped(BaseException):
    """Raised in a function that runs too long."""


@dataclass(frozen=True)
class Outcome:
    """What came out of one call: a result, an error, or nothing in time.

    Attributes:
        result: what it returned.
        error: what it raised, `SystemExit` included.
        line: the student's line that raised it, "line 3, `return F @ F.T`".
        late: whether it was stopped.
    """

    result: Any = None
    error: BaseException | None = None
    line: str = ""
    late: bool = False


def guarded(call: Callable[[], Any], seconds: float = SECONDS) -> Outcome:
    """Call a function of no arguments, and survive it.

    It runs in a thread of its own, so that a check ends in time on every system and in
    notebooks. A Python loop that is too slow gets an exception and ends. Code inside of one
    long call of a C library, or catches every exception, cannot be stopped from within: it is
    left behind in its thread, and ends at the latest with the program. What the function prints
    or warns of is dropped.
    Random numbers begin with seed 0, and the caller's generators are left as they were.
    """
    outcome: list[Outcome] = []

    def work() -> None:
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002  the generator that a student's code may use
        torch.default_generator.manual_seed(0)  # torch.manual_seed would change CUDA's, too
        try:
            outcome.append(Outcome(result=call()))
        except BaseException as error:
            outcome.append(Outcome(error=error, line=_line_of(error)))

    thread = threading.Thread(target=work, daemon=True)
    with _muted(thread), _own_randomness(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        thread.start()
        try:
            thread.join(seconds)
        finally:
            if thread.is_alive():
                _stop(thread)
    late = not outcome or isinstance(outcome[0].error, Stopped)
    return Outcome(late=True) if late else outcome[0]


class Budget:
    """Time for several guarded calls together; only what they use themselves is counted."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self.seconds = self.left = seconds

    def call(self, function: Callable[[], Any]) -> Outcome:
        """Call a function of no arguments in the time that is left."""
        begun = time.monotonic()
        outcome = guarded(function, max(0.1, self.left))
        self.left -= time.monotonic() - begun
        return outcome


def text_of(error: BaseException | None) -> str:
    """The message of an error, which may not have any that can be read."""
    try:
        return str(error)
    except Exception:
        return ""


def _stop(thread: threading.Thread) -> None:
    """Raise `Stopped` in a thread, again if it was caught, for a second at most."""
    for _ in range(20):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident or 0), ctypes.py_object(Stopped)
        )
        thread.join(0.05)
        if not thread.is_alive():
            return


def _line_of(error: BaseException) -> str:
    """The last line of the student's own file on the way to an error."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith((_HERE, "<frozen"))
    ]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    if not own:
        return ""
    return f"line {own[-1].lineno}" + (f", `{own[-1].line}`" if own[-1].line else "")


class _Mute:
    """A stream that drops what one thread writes."""

    def __init__(self, stream: Any, thread: threading.Thread) -> None:
        self._stream, self._thread = stream, thread

    def write(self, text: str) -> int:
        if threading.current_thread() is not self._thread:
            self._stream.write(text)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def _muted(thread: threading.Thread) -> Iterator[None]:
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_Mute(stream, thread) for stream in before)
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


@contextmanager
def _own_randomness() -> Iterator[None]:
    """Leave the generators, and PyTorch's default dtype, as they were."""
    python, dtype = random.getstate(), torch.get_default_dtype()
    legacy = np.random.get_state()  # noqa: NPY002  as above
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002  as above
            torch.set_default_dtype(dtype)
