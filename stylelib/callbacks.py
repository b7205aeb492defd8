"""Ready-made callbacks: a progress bar and a saver of intermediate images (chapter 7)."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from tqdm.auto import tqdm

from stylelib.arguments import check_path, whole
from stylelib.files import make_folder
from stylelib.images import save_image
from stylelib.records import Callback, Step

__all__ = ["IntermediateSaver", "ProgressBar", "TimeLeft", "all_of"]

LATELY = 10
"""From how many of the last steps the time left is estimated."""


def all_of(*callbacks: Callback) -> Callback:
    """One callback that calls each of `callbacks`, and stops the run if any of them would."""

    def callback(step: Step) -> bool:
        answers = [each(step) for each in callbacks]
        return any(answers)

    return callback


LOOKS = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{left}, {rate_fmt}{postfix}]"
"""What a progress bar shows, in tqdm's words, and the time left."""


class TimeLeft:
    """How long a run will still take, from how fast its work has been done of late.

    Args:
        clock: a function that gives the time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seen: deque[tuple[float, float]] = deque(maxlen=LATELY)

    def after(self, done: float | None) -> float | None:
        """The seconds left after a step; None if they are not known yet.

        Args:
            done: the fraction of the work that is done (`Step.done`).
        """
        if done is None:
            return None
        self.seen.append((self.clock(), done))
        (began, before), (now, _) = self.seen[0], self.seen[-1]
        if done >= 1:
            return 0.0
        return None if done <= before else (1 - done) * (now - began) / (done - before)


class _Bar(tqdm):  # type: ignore[type-arg]  # tqdm.auto's is not generic when the code runs
    """A progress bar that is told the time left, since steps may take longer and longer."""

    left: float | None = None

    @property
    def format_dict(self) -> Any:
        """What the bar shows, by name."""
        left = "?" if self.left is None else self.format_interval(self.left)
        return {**super().format_dict, "left": left}


class ProgressBar:
    """A progress bar that shows the losses, for the terminal or a notebook.

    The time left is that for the pixels left: at a larger size a step takes longer.

    Args:
        steps: the length of the bar, in evaluations of the objective (one per step for Adam).
            None takes it from the first step.

    Example:
        >>> from stylelib import samples, transfer
        >>> photo, style = samples.load("coffee"), samples.load("mosaic")
        >>> bar = ProgressBar()
        >>> result = transfer(photo, style, image_shape=32, steps=5, callback=bar)
    """

    def __init__(self, steps: int | None = None) -> None:
        self.steps = None if steps is None else whole("steps", steps)
        self.bar: _Bar | None = None  # it appears with the first step
        self.time_left = TimeLeft()

    def __call__(self, step: Step) -> None:
        """Advance the bar."""
        if self.steps is None:
            self.steps = getattr(step, "of", None)
        if self.bar is None:
            self.bar = _Bar(total=self.steps, unit="step", bar_format=LOOKS)
        done = getattr(step, "done", None)  # a record of NumPy's run has none
        if done is None and self.steps:
            done = step.evaluations / self.steps
        self.bar.left = self.time_left.after(done)
        self.bar.set_postfix(
            {name: f"{loss:.3g}" for name, loss in step.losses.items()}, refresh=False
        )
        self.bar.update(step.evaluations - self.bar.n)
        if step.evaluations == self.steps:
            self.close()

    def close(self) -> None:
        """Close the bar where it is. After the last step it closes by itself."""
        if self.bar is not None:
            self.bar.close()


class IntermediateSaver:
    """Saves the image of every `every`-th step, as folder/step-0010.png.

    Args:
        folder: where to save; it is created if it does not exist.
        every: 10 saves the images that steps 10, 20, 30, ... started from.
    """

    def __init__(self, folder: str | os.PathLike[str], every: int = 10) -> None:
        self.folder = check_path("folder", folder)
        self.every = whole("every", every)

    def __call__(self, step: Step) -> None:
        """Save the image if it is this step's turn."""
        if step.step % self.every == 0:
            make_folder(self.folder)
            save_image(step.picture, self.folder / f"step-{step.step:04}.png")
