"""The frames of a clip: each starts from the one painted before (chapter 31)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from stylelib.arguments import check_callback, check_path, number
from stylelib.errors import FileError, InputError
from stylelib.files import encoded, load_image
from stylelib.large.batch_runs import BatchRun, Destination
from stylelib.large.clips import DURATION, animated, check_animation, natural, write_animation
from stylelib.large.folders import Folder
from stylelib.large.jobs import Job, JobStyle, check_settings, photographs_in
from stylelib.large.painter import Failed, Made, Task, answer
from stylelib.large.reports import BatchReport, Outcome, check_place

__all__ = ["frames"]

ORIGINALS = "originals"


def frames(
    clip: str | os.PathLike[str],
    style: JobStyle,
    folder: str | os.PathLike[str],
    *,
    linked: bool = True,
    animation: str | os.PathLike[str] | None = None,
    duration: float | None = None,
    callback: Callable[[Outcome], None] | None = None,
    **settings: Any,
) -> BatchReport:
    """Paint the frames of a clip, one after the other, into a folder.

    If each frame were painted for itself, strokes would jump from frame to frame where the
    photographs hardly differ. Here each frame starts from the painted frame before it, at the
    last size alone, so strokes stay where the losses leave them. Nothing follows what moves;
    that needs optical flow (Ruder et al. 2016). `flicker` measures what is left.

    The frames are frame-0001.png and so on, with a report as from `batch`. If you call
    `frames` again, it goes on after the last frame that is there. With other settings it
    replaces the frames of that folder.

    Args:
        clip: an animated GIF, PNG or WebP, or a folder of images in the order of their names,
            where frame2 comes before frame10.
        style: the path of a style image, or a `Style` of one, or a list of several to mix.
        folder: where to write; it is made if it does not exist. The frames of an animated file
            are written to its folder "originals".
        linked: whether a frame starts from the one before. The first starts as the recipe says.
        animation: also write all frames to this file: .gif, .png or .webp.
        duration: of a frame of the animation, in milliseconds. None is what the clip says, or
            100 for a folder.
        callback: called with an `Outcome` after each frame.
        settings: arguments of `stylelib.transfer`, as for `batch`. What they say of `init` and
            `scales` is for the first frame alone if frames are linked; of a list of steps, the
            others take the last number.

    Returns:
        What became of each frame. A frame that cannot be read is left out.

    Raises:
        InputError: there are no frames, or an argument that cannot be.
        FileError: the clip or the folder cannot be used.
        Interrupted: Ctrl-C. Its `.result` is the report so far.

    Source: starting from the frame before is the "short-term" part of Ruder, Dosovitskiy and
    Brox (2016), "Artistic style transfer for videos", without their optical flow.
    """
    if callback is not None:
        check_callback(callback)
    clip = check_path("clip", clip)
    if animation is not None:
        check_animation(animation)
        if Path(animation).resolve() == clip.resolve():
            raise InputError(f"animation is the clip itself, '{clip}': choose another")
    if duration is not None:
        number("duration", duration, least=1, most=65535)
    check_settings(settings)
    kept = Folder(folder, ".png")
    check_place(kept)
    originals, durations = _frames_of(clip, kept)
    common = {**settings, "device": settings.get("device") or "cpu"}
    jobs = [Job(path, style) for path in originals]
    report = Chain(jobs, kept, common, callback=callback, linked=linked).through(Here())
    if animation is not None and report.images:
        shown = [each.number - 1 for each in report.outcomes if each.image]
        times = [duration or durations[index] for index in shown]
        write_animation(report.images, animation, times)
    return report


@dataclass
class Chain(BatchRun):
    """A batch in which each job starts from the image of the one before.

    Attributes:
        linked: whether they do.
    """

    linked: bool = True

    def prepared(self, job: Job) -> tuple[Task, Destination]:
        """The task of a frame, and the file its image goes to."""
        before = (each.image for each in reversed(self.outcomes.values()) if each.image)
        last = next(before, None)
        if self.linked and last is not None:
            linked = {"init": self.folder.path / last, "scales": 1}
            steps = {**self.common, **job.settings}.get("steps")
            if isinstance(steps, list | tuple):
                linked["steps"] = steps[-1:]
            job = replace(job, settings={**job.settings, **linked})
        return super().prepared(job)

    def name_for(self, job: Job, key: str) -> str:
        """The name of a frame."""
        index = len(self.outcomes) + 1
        return self.folder.name_for(f"frame-{index:04}", key, again=True)


class Here:
    """Does tasks in this process, one after the other. A task is not read before its turn."""

    def run(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Made | Failed]]:
        """Do tasks, each with its number."""
        for index, task in tasks:
            yield index, answer(replace(task, threads=0))


def _frames_of(clip: Path, folder: Folder) -> tuple[list[Path], list[float]]:
    """The paths of a clip's frames, and how long each is shown."""
    if clip.is_dir():
        paths = sorted(photographs_in(clip), key=natural)
        if clip.resolve() == folder.path.resolve():
            raise InputError(f"folder is that of the clip, '{clip}': choose another")
    else:
        paths, durations = [], []
        for index, (image, shown) in enumerate(animated(clip), 1):
            name = f"{ORIGINALS}/frame-{index:04}.png"
            path = folder.path / name
            if path.exists() and not _shows(path, image):
                raise FileError(f"'{path}' is not of this clip; choose another folder")
            paths.append(folder.write(name, encoded(image, ".png")))
            durations.append(shown)
        return paths, durations
    if not paths:
        raise InputError(f"there is no image in the folder '{clip}'")
    return paths, [DURATION] * len(paths)


def _shows(path: Path, image: Image.Image) -> bool:
    """Whether a file is an image with the same pixels."""
    try:
        found = load_image(path)
    except FileError:
        return False
    return found.size == image.size and found.tobytes() == image.tobytes()
