"""The commands of the command line. Each calls a function of the library, whose parameters are
its options.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stylelib import samples
from stylelib.callbacks import ProgressBar
from stylelib.commands import many, painting, previews, seeing
from stylelib.commands.options import add_parameters, in_users_words
from stylelib.errors import DivergenceError, InputError, Interrupted
from stylelib.files import check_output
from stylelib.images import save_image
from stylelib.records import Callback
from stylelib.relatives.inversion import invert_features
from stylelib.relatives.texture import synthesize_texture
from stylelib.results import Finished, check_settings_output
from stylelib.sees.fooling import fooling_images
from stylelib.sees.saliency import smooth_grad
from stylelib.sees.visualization import class_visualizations
from stylelib.style_transfer import transfer

__all__ = ["add_options", "in_users_words", "run"]

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "transfer": transfer,
    "texture": synthesize_texture,
    "invert": invert_features,
    "saliency": smooth_grad,
    "fool": fooling_images,
    "visualize": class_visualizations,
}
"""For each command, the function whose parameters are its options."""


ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "transfer": painting.transfer_arguments,
    "batch": many.batch_arguments,
    "frames": many.frames_arguments,
    "texture": painting.texture_arguments,
    "invert": painting.invert_arguments,
    "saliency": seeing.saliency_arguments,
    "fool": seeing.fool_arguments,
    "visualize": seeing.visualize_arguments,
}
"""What each command asks for besides."""
MAKERS: dict[str, Callable[[argparse.Namespace, Callback], Finished]] = {
    "transfer": painting.transferred,
    "texture": painting.texture,
    "invert": painting.invert,
    "fool": seeing.fool,
    "visualize": seeing.visualize,
}
"""What each command that makes an image step by step does."""


PAINT_MANY: dict[str, Callable[[argparse.Namespace], int]] = {
    "batch": many.paint_batch,
    "frames": many.paint_frames,
}
"""What each command that makes many images does."""


def add_options(command: str, parser: argparse.ArgumentParser) -> None:
    """Give a command its arguments and options, with the defaults of its function."""
    if command == "samples":
        parser.add_argument("folder", type=Path)
        return
    if command == "check":
        parser.add_argument("file", type=Path, help="a Python file with functions of yours")
        parser.add_argument("--json", action="store_true", help="print JSON, not a table")
        return
    ARGUMENTS[command](parser)
    if command in PAINT_MANY:
        return
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="the image to write (.png, .jpg, ...)"
    )
    add_parameters(FUNCTIONS[command], parser)
    if command == "transfer":
        previews.sheet_arguments(parser)


def _check(options: argparse.Namespace) -> int:
    """Mark a file. The exit code is 0 if all of its functions are right."""
    from stylelib.check.marking import as_json, mark, table

    verdicts = mark(options.file)
    print((as_json if options.json else table)(verdicts))
    return 0 if all(verdicts) else 1


def run(options: argparse.Namespace) -> int:
    """Run the given command, and return the exit code as `stylelib.__main__.main` does."""
    if options.command == "samples":
        files = samples.write(options.folder)
        print(f"{len(files)} files in {options.folder}")
        return 0
    if options.command == "check":
        return _check(options)
    if options.command in PAINT_MANY:
        return PAINT_MANY[options.command](options)
    check_output(options.output)  # before the work, not after it
    check_settings_output(options.output)
    checkpoint = getattr(options, "checkpoint", None)
    check_apart(checkpoint, options.output)
    if options.command == "saliency":
        return seeing.saliency(options)
    if getattr(options, "sheet", None) is not None:
        return previews.paint_sheet(options)
    if getattr(options, "dry_run", False):
        print(painting.estimated(options))
        return 0
    steps = getattr(options, "steps", None)
    bar = ProgressBar(steps)
    try:
        result = MAKERS[options.command](options, bar)
    except DivergenceError as error:
        bar.close()
        save_image(error.picture, options.output)
        print(f"stylelib: {error}; saved as {options.output}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        bar.close()
        result = stop.result[0] if isinstance(stop.result, list) else stop.result
        result.save(options.output)
        asked = result.settings.get("steps", result.settings.get("max_steps"))
        print(f"{options.output}: stopped after {len(result.history)} steps of {asked}")
        return 130
    finally:
        bar.close()
    result.save(options.output)
    if checkpoint is not None:  # not before the image is safe
        checkpoint.unlink(missing_ok=True)
    made = f"{len(result.history)} steps"
    print(f"{options.output}: {made}{_said_of(result)}")
    return 0


def check_apart(checkpoint: Path | None, output: Path) -> None:
    """Check that a checkpoint is not one of the files that are written at the end."""
    if checkpoint is not None:
        taken = [os.path.realpath(output), os.path.realpath(f"{output}.json")]
        if os.path.realpath(checkpoint) in taken:
            raise InputError(f"checkpoint must be another file than the output, '{output}'")


def _said_of(result: Finished) -> str:
    """The gradient shares of a finished image, if it has any."""
    shares = getattr(result, "gradient_shares", {})
    said = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return f"; gradient shares: {said}" if said else ""
