"""The commands that paint many images: batch, frames."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from tqdm.auto import tqdm

from stylelib.commands.options import add_parameters, given
from stylelib.commands.painting import add_recipe, asked_weights
from stylelib.errors import Interrupted
from stylelib.files import FORMATS
from stylelib.large.batches import ENGINES, batch
from stylelib.large.frames import frames
from stylelib.large.jobs import NOT_SETTINGS, jobs_of
from stylelib.large.reports import BatchReport, Outcome
from stylelib.style_transfer import transfer

__all__ = ["batch_arguments", "frames_arguments", "paint_batch", "paint_frames"]


def batch_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments and options of `batch`."""
    parser.description = (
        "Paint many images, several at once, on the processor unless --device says otherwise. "
        "What is in the output folder already is not made again, so the same command goes on "
        "after Ctrl-C."
    )
    parser.add_argument(
        "jobs",
        type=Path,
        help="a folder of photographs; or a table (.csv) with the columns content, style and "
        "settings by name, such as image_shape or steps",
    )
    parser.add_argument(
        "style",
        type=Path,
        nargs="*",
        help="style images; each photograph is painted in each, unless its row names one",
    )
    _add_folder(parser)
    parser.add_argument("--engine", choices=ENGINES, help="processes, or ray (a Ray cluster)")
    parser.add_argument(
        "--workers", type=int, help="images at once; by default one per processor"
    )
    parser.add_argument("--threads", type=int, default=1, help="processors for each image")
    parser.add_argument("--address", help="of a running Ray cluster, such as auto")
    parser.add_argument("--ending", choices=list(FORMATS), default=".png", metavar="ENDING")
    parser.add_argument(
        "--checkpoints",
        action="store_true",
        help="keep the state of each run, so that long ones go on too",
    )
    _add_settings(parser)


def frames_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments and options of `frames`."""
    parser.description = (
        "Paint the frames of a clip, each starting from the painted one before. The same "
        "command goes on after Ctrl-C."
    )
    parser.add_argument(
        "clip", type=Path, help="an animated GIF, PNG or WebP, or a folder of images"
    )
    parser.add_argument("style", type=Path, help="the image that gives colors and strokes")
    _add_folder(parser)
    parser.add_argument(
        "--animation", type=Path, metavar="FILE", help="also write a .gif, .png or .webp"
    )
    parser.add_argument("--duration", type=float, help="of a frame, in milliseconds")
    parser.add_argument(
        "--independent", action="store_true", help="start each frame from its photograph"
    )
    _add_settings(parser)


def paint_batch(options: argparse.Namespace) -> int:
    """Do what `batch` was asked for."""
    styles = options.style or None
    jobs = jobs_of(options.jobs, styles)
    with Progress(len(jobs)) as progress:
        return progress.told(
            batch,
            options.jobs,
            options.output,
            styles=styles,
            engine=options.engine,
            workers=options.workers,
            threads=options.threads,
            address=options.address,
            ending=options.ending,
            checkpoints=options.checkpoints,
            **_settings(options),
        )


def paint_frames(options: argparse.Namespace) -> int:
    """Do what `frames` was asked for."""
    with Progress(None) as progress:
        return progress.told(
            frames,
            options.clip,
            options.style,
            options.output,
            linked=not options.independent,
            animation=options.animation,
            duration=options.duration,
            **_settings(options),
        )


class Progress:
    """A bar that counts images. What fails is told at once.

    Args:
        total: the number of images; None if it is not known.
    """

    def __init__(self, total: int | None) -> None:
        self.bar = tqdm(total=total, unit="image")

    def __call__(self, outcome: Outcome) -> None:
        """Count an image."""
        if outcome.status == "failed":
            self.bar.write(f"{outcome.content!r}: {outcome.message}", file=sys.stderr)
        self.bar.update()

    def told(self, paint: Callable[..., BatchReport], *asked: Any, **settings: Any) -> int:
        """Paint, say what became of it, and return the exit code: 1 if an image failed."""
        try:
            report, code = paint(*asked, callback=self, **settings), 0
        except Interrupted as stop:
            report, code = stop.result, 130
        self.bar.close()
        print(f"{report.folder}: {report}")
        if code == 130:
            print("stylelib: stopped; the same command goes on from here", file=sys.stderr)
        return code or (1 if report.failed else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.close()


def _add_folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="where the images are written, with report.csv and index.html",
    )


def _add_settings(parser: argparse.ArgumentParser) -> None:
    add_recipe(parser)
    add_parameters(transfer, parser, but=NOT_SETTINGS)


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """The settings of all images."""
    asked = {"recipe": options.recipe, "weights": asked_weights(options) or None}
    return given(transfer, options) | asked
