"""Clips: frames read from animations and written to them, and their flicker (chapter 31)."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from stylelib.arguments import several
from stylelib.errors import FileError, InputError
from stylelib.files import (
    MAX_PIXELS,
    ImageSource,
    check_output,
    load_image,
    resize,
    write_whole,
)

__all__ = [
    "DURATION",
    "animated",
    "check_animation",
    "flicker",
    "natural",
    "write_animation",
]

ANIMATIONS = ("GIF", "PNG", "WEBP")
"""The formats of animations."""
DURATION = 100
"""Of a frame, in milliseconds, where no file says."""


def natural(path: Path) -> list[tuple[bool, int, str]]:
    """What sorts names by the numbers in them."""
    parts = re.split(r"(\d+)", path.name)
    return [
        (not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts
    ]


def animated(path: Path) -> Iterator[tuple[Image.Image, float]]:
    """The frames of an animated file, and how long each is shown, in milliseconds."""
    load_image(path)  # it names what is wrong with the file
    try:
        with Image.open(path) as file:
            if file.width * file.height > MAX_PIXELS:
                raise FileError(f"'{path}' has frames of more than {MAX_PIXELS:,} pixels")
            for index in range(getattr(file, "n_frames", 1)):
                file.seek(index)
                shown = file.info.get("duration") or DURATION
                yield load_image(file.copy()), float(shown)
    except FileError:
        raise
    except Exception as error:  # Pillow's decoders raise many kinds for a broken file
        raise FileError(f"'{path}' is damaged or cut short: {error}") from error


def check_animation(path: str | os.PathLike[str]) -> str:
    """Check that an animation can be written to a path, and return the format of its ending."""
    kind = check_output(path)
    if kind not in ANIMATIONS:
        raise InputError(f"an animation ends in .gif, .png or .webp, not '{path}'")
    return kind


def write_animation(
    images: Sequence[ImageSource],
    path: str | os.PathLike[str],
    durations: float | Sequence[float] = DURATION,
) -> Path:
    """Write images as one animation that repeats.

    Args:
        images: at least one, of one size.
        path: .gif, with 256 colors in each frame; or .png (APNG) or .webp, without loss.
        durations: how long each is shown, in milliseconds.

    Raises:
        InputError: another ending, no images, or different sizes.
        FileError: an image cannot be read, or the file cannot be written.
    """
    listed, kind = several("images", images), check_animation(path)
    first, *others = [load_image(image) for image in listed]
    for image in others:
        if image.size != first.size:
            raise InputError(
                f"the images of an animation have one size, not {first.size} and {image.size}"
            )
    times = [durations] * len(listed) if isinstance(durations, int | float) else durations
    if len(times) != len(listed):
        raise InputError(f"there are {len(listed)} images and {len(times)} durations")
    buffer = io.BytesIO()
    try:
        first.save(
            buffer,
            kind,
            save_all=True,
            append_images=others,
            duration=[round(shown) for shown in times],
            loop=0,
            **({"lossless": True} if kind == "WEBP" else {}),
        )
    except Exception as error:  # as for one image; and WebP has at most 16383 x 16383 pixels
        raise InputError(
            f"cannot write {len(listed)} images of {first.size} as {kind}: {error}"
        ) from error
    return write_whole(Path(path), buffer.getvalue())


def flicker(painted: Sequence[ImageSource], originals: Sequence[ImageSource]) -> float:
    r"""How much more, or otherwise, painted frames change than the originals.

    With painted frames $Y_t$ and original frames $X_t$ in gray levels 0..255, it is the mean
    over all pixels, channels and pairs of successive frames of

    $$|(Y_{t+1} - Y_t) - (X_{t+1} - X_t)|.$$

    It is 0 if the painted frames change exactly as the originals do. If the originals do not
    move, it is the mean change of the painted frames. If they move, painted strokes have to
    change, too, so compare two ways to paint the same clip, and not two clips.

    Args:
        painted: at least two frames, of one size.
        originals: as many, which are resized to that size.

    Returns:
        The mean change, in gray levels.

    Raises:
        InputError: fewer than two frames, or not as many of both.

    Example:
        >>> from PIL import Image
        >>> gray, light = (Image.new("RGB", (8, 8), color) for color in ("#808080", "#888888"))
        >>> flicker([gray, light, gray], [gray, gray, gray])
        8.0
    """
    painted, originals = several("painted", painted), several("originals", originals)
    if len(painted) < 2:
        raise InputError("flicker needs at least two painted frames, not one")
    if len(painted) != len(originals):
        raise InputError(
            f"there are {len(painted)} painted frames and {len(originals)} originals"
        )
    changes, before = [], None
    for Y, X in zip(map(load_image, painted), map(load_image, originals), strict=True):
        # what a painted frame is apart from its original: its change is what is asked for
        apart = np.asarray(Y, np.int16) - np.asarray(resize(X, (Y.height, Y.width)), np.int16)
        if before is not None:
            if before.shape != apart.shape:
                raise InputError("the painted frames have different sizes")
            changes.append(float(np.abs(apart - before).mean()))
        before = apart
    return sum(changes) / len(changes)
