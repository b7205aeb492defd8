"""What is shown while an optimization runs (chapter 7).

In a notebook that is the image and its losses. They go away at the end, so that only the cell's
own figures stay. In a script it is a progress bar.

Example:
    >>> from stylelib.watching import watch
    >>> watch()  # doctest: +SKIP
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from importlib import import_module
from typing import Any, ParamSpec, Protocol, TypeVar

from stylelib.arguments import number
from stylelib.files import data_uri
from stylelib.records import Record

__all__ = ["watch"]

WIDTH = 320
"""Of the image in a notebook, in CSS pixels."""

Given = ParamSpec("Given")
Returned = TypeVar("Returned")
Callback = Callable[[Any], "bool | None"]


class View(Protocol):
    """Shows a run."""

    def show(self, step: Record, of: int) -> None:
        """Show a step of so many, with its image if it has one."""

    def close(self) -> None:
        """End what is shown."""


class Cell:
    """The view in a notebook: an output of the cell, replaced at each step, empty at last."""

    def __init__(self) -> None:
        self.handle: Any = None

    def show(self, step: Record, of: int) -> None:
        """Show a step's losses, and its image if it has one."""
        display = import_module("IPython.display")
        content = display.HTML(f"<div>{picture_of(step)}<p>{escape(told(step, of))}</p></div>")
        if self.handle is None:
            self.handle = display.display(content, display_id=True)
        else:
            self.handle.update(content)

    def close(self) -> None:
        """Take it away."""
        if self.handle is not None:
            self.handle.update(import_module("IPython.display").HTML(""))


class Bar:
    """The view in a terminal: a bar that goes away at the end."""

    def __init__(self) -> None:
        self.bar: Any = None

    def show(self, step: Record, of: int) -> None:
        """Move the bar on."""
        if self.bar is None:
            tqdm = import_module("tqdm").tqdm
            self.bar = tqdm(total=of, unit="step", leave=False, mininterval=0)
        losses = {name: f"{loss:.3g}" for name, loss in step.losses.items()}
        self.bar.set_postfix(losses, refresh=False)
        self.bar.update(step.step - self.bar.n)

    def close(self) -> None:
        """Take it away."""
        if self.bar is not None:
            self.bar.close()


_every: float | None = None  # None: nothing is shown
_shown: ContextVar[bool] = ContextVar("shown", default=False)  # whether a run is


def watch(every: float | None = 0.5) -> None:
    """From now on, show every optimization of this process while it runs.

    Args:
        every: the seconds between two views. A run that takes less shows nothing. None turns it
            off.

    Raises:
        InputError: `every` is not a time.
    """
    global _every
    _every = None if every is None else number("every", every, least=0)


@contextmanager
def watched(callback: Callback | None, of: int) -> Iterator[Callback | None]:
    """A callback for one run of so many steps: it shows them, then calls the given one.

    A run within a run, such as that at one of several sizes, is not shown by itself.
    """
    if _every is None or _shown.get() or not (callback is None or callable(callback)):
        yield callback
        return
    view: View = Cell() if in_notebook() else Bar()
    due, every = time.monotonic() + _every, _every

    def both(step: Record) -> bool | None:
        nonlocal due
        if time.monotonic() >= due:
            view.show(step, of)
            due = time.monotonic() + every
        return callback(step) if callback is not None else None

    within = _shown.set(True)
    try:
        yield both
    finally:
        _shown.reset(within)
        view.close()


def shows(loop: Callable[Given, Returned]) -> Callable[Given, Returned]:
    """Mark a loop as one that can be watched.

    It has the keyword arguments `steps` and `callback`, and perhaps `history`.
    """

    @functools.wraps(loop)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Returned:
        given: Any = kwargs
        if _every is None or not isinstance(given.get("steps"), int):
            return loop(*args, **kwargs)
        of = len(given.get("history", ())) + given["steps"]
        with watched(given.get("callback"), of) as callback:
            return loop(*args, **given | {"callback": callback})

    return run


def in_notebook() -> bool:
    """Whether a kernel runs this, which can show images."""
    shell = import_module("IPython").get_ipython() if "IPython" in sys.modules else None
    return shell is not None and hasattr(shell, "kernel")


def told(step: Record, of: int) -> str:
    """A step in words, such as: step 12 of 60: content 3.1, style 0.2."""
    losses = ", ".join(f"{name} {loss:.3g}" for name, loss in step.losses.items())
    return f"step {step.step} of {of}: {losses}"


def picture_of(step: Record) -> str:
    """The step's image as HTML, or "" where it is not one of pixels. Of several, the first."""
    picture = getattr(step, "picture", None)
    if picture is None or picture.ndim != 4 or picture.shape[1] != 3:
        return ""
    from stylelib.images import postprocess  # the loop in NumPy goes without PyTorch

    source = data_uri(postprocess(picture[:1]), "JPEG", quality=90)
    return f'<img alt="the image so far" width="{WIDTH}" src="{source}">'
