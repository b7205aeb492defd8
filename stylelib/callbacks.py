"""Ready-made callbacks: a progress bar and a saver of intermediate images (chapter 7)."""

from __future__ import annotations

import os
from typing import NoReturn

from tqdm.auto import tqdm

from stylelib.arguments import check_path, whole
from stylelib.files import make_folder
from stylelib.images import save_image
from stylelib.records import Callback, Step

__all__ = ["IntermediateSaver", "ProgressBar", "all_of"]


def all_of(*callbacks: Callback) -> Callback:
    """One callback that calls each of `callbacks`, and stops the run if any of them would."""

    def callback(step: Step) -> bool:
        answers = [each(step) for each in callbacks]
        return any(answers)

    return callback


class ProgressBar:
    """A progress bar that shows the losses, for the terminal or a notebook.

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
        self.bar: tqdm[NoReturn] | None = None  # it appears with the first step

    def __call__(self, step: Step) -> None:
        """Advance the bar."""
        if self.steps is None:
            self.steps = getattr(step, "of", None)
        if self.bar is None:
            self.bar = tqdm(total=self.steps, unit="step")
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
