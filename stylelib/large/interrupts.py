"""Ctrl-C and SIGTERM: at once, or at the end of the step (chapter 31)."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

__all__ = ["Postponed", "Termination", "terminations"]

Handler = Callable[[int, FrameType | None], Any]


class Termination(KeyboardInterrupt):
    """SIGTERM, treated like Ctrl-C."""


@contextmanager
def terminations() -> Iterator[list[int]]:
    """Within the block, SIGTERM raises a `Termination`. Yields the list of those received.

    Nothing changes outside of the main thread, which alone may have handlers of signals.
    """
    received: list[int] = []

    def terminate(number: int, frame: FrameType | None) -> NoReturn:
        received.append(number)
        raise Termination

    with _handled((signal.SIGTERM,), terminate):
        yield received


class Postponed:
    """Within its block, Ctrl-C and SIGTERM wait until `pass_on` is called.

    A second one does not wait, except while `busy` is true.

    Attributes:
        asked: the number of the signal that waits; None if there is none.
        busy: whether what runs must not be interrupted.
    """

    def __init__(self) -> None:
        self.asked: int | None = None
        self.busy = False
        self.before: dict[int, Any] = {}

    @contextmanager
    def block(self) -> Iterator[None]:
        """The block. At its end, signals are handled as before."""
        with _handled((signal.SIGINT, signal.SIGTERM), self.receive) as self.before:
            yield

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Note a signal; pass on a second one."""
        second = self.asked is not None and not self.busy
        self.asked = number
        if second:
            self.pass_on()

    def pass_on(self) -> None:
        """Hand a signal that waits to its earlier handler.

        Raises:
            KeyboardInterrupt: unless that was another function, which may raise what it wants.
        """
        number, self.asked = self.asked, None
        if number is None:
            return
        before = self.before.get(number)
        if not callable(before):  # the default for SIGTERM would end the process at once
            raise KeyboardInterrupt
        before(number, None)


@contextmanager
def _handled(numbers: tuple[int, ...], handler: Handler) -> Iterator[dict[int, Any]]:
    """Handle signals within the block, unless they are ignored. Yields what did it before."""
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            # None is a handler that Python does not know, and could not set again
            if signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler)
    try:
        yield before
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
