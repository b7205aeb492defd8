"""Pictures in, pictures out: files, PIL images, normalized tensors (chapter 2).

Two units are used in this library, and never mixed: a *PIL image* has gray levels 0..255, and a
*normalized tensor* has the shape (1, 3, H, W) with values about -2.1..2.6, what `preprocess`
makes of it.
"""

from __future__ import annotations

import math
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from stylelib.devices import find_device
from stylelib.errors import InputError
from stylelib.files import ImageSource, check_output, load_image, resize, write_image

__all__ = [
    "IMAGE_MEAN",
    "IMAGE_STD",
    "ImageSource",
    "denormalize",
    "load_image",
    "normalize",
    "postprocess",
    "preprocess",
    "save_image",
    "visible_range",
]

IMAGE_MEAN = torch.tensor([0.485, 0.456, 0.406])
"""Mean of each channel (R, G, B) over ImageNet, pixels in 0..1."""
IMAGE_STD = torch.tensor([0.229, 0.224, 0.225])
"""Standard deviation of each channel (R, G, B) over ImageNet, pixels in 0..1."""


def save_image(
    image: Image.Image | Tensor, path: str | os.PathLike[str], *, quality: int = 95
) -> Path:
    """Write a picture to a file, whole or not at all.

    Args:
        image: a PIL image; a normalized tensor of shape (1, 3, H, W) or (3, H, W); or a map of
            numbers of 0 or more, (H, W) or (1, H, W), as `saliency_map` gives, written in gray
            levels from 0, black, to its greatest number, white.
        path: the file; its ending, one of `FORMATS`, chooses the format. An existing file is
            replaced.
        quality: for the formats that lose detail, 1..100.

    Returns:
        The path that was written.

    Raises:
        InputError: an unknown ending, or the image is neither a PIL image nor a tensor that is
            a picture.
        FileError: the folder is missing or cannot be written to.
    """
    check_output(path)
    if not isinstance(image, Image.Image | Tensor):
        raise InputError(
            f"what is saved is a PIL image or a tensor, not {type(image).__name__}"
        )
    if not isinstance(image, Tensor):
        picture = image
    elif image.ndim == 2 or (image.ndim == 3 and len(image) == 1):
        picture = _in_grays(image)
    else:
        picture = postprocess(image)
    return write_image(picture, path, quality=quality)


def _in_grays(numbers: Tensor) -> Image.Image:
    """A map (H, W) or (1, H, W) from 0, black, to its greatest number, white."""
    if numbers.is_complex():
        raise InputError(f"a map that is saved has real numbers, not {numbers.dtype}")
    numbers = numbers.detach().double().cpu().reshape(numbers.shape[-2:])
    if numbers.numel() == 0 or not bool(((numbers >= 0) & (numbers < math.inf)).all()):
        raise InputError("a map that is saved has finite numbers of 0 or more")
    levels = 255 * numbers / numbers.max().clamp_min(torch.finfo(torch.float64).tiny)
    return Image.fromarray(levels.round().to(torch.uint8).numpy())


def preprocess(image: Image.Image, image_shape: int | tuple[int, int]) -> Tensor:
    """Resize a picture and make of it what a network trained on ImageNet expects.

    Pixels are scaled to 0..1, then each channel is normalized:
    (pixel - IMAGE_MEAN) / IMAGE_STD.

    Args:
        image: a PIL image.
        image_shape: (H, W) in pixels, which may change the aspect ratio, or one number: the
            length of the shorter side, the aspect ratio kept.

    Returns:
        A float32 tensor of shape (1, 3, H, W), normalized.

    Raises:
        InputError: `image_shape` is neither a positive whole number nor two of them.

    Source: the recipe of Zhang et al., Dive into Deep Learning, section "Neural Style
    Transfer".
    """
    resized = resize(load_image(image), image_shape)
    pixels = torch.from_numpy(np.array(resized)).float() / 255  # (H, W, 3), 0..1
    return normalize(pixels.permute(2, 0, 1)[None]).contiguous()  # (1, 3, H, W)


def normalize(pixels: Tensor) -> Tensor:
    """Pixels (..., 3, H, W) in 0..1, normalized."""
    mean, std = (values.view(3, 1, 1).to(pixels) for values in (IMAGE_MEAN, IMAGE_STD))
    return (pixels - mean) / std


def denormalize(X: Tensor) -> Tensor:
    """Normalized pixels (..., 3, H, W), in 0..1 again where they are visible."""
    mean, std = (values.view(3, 1, 1).to(X) for values in (IMAGE_MEAN, IMAGE_STD))
    return X * std + mean


def visible_range(device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
    """The normalized values of black and of white, each of shape (3, 1, 1)."""
    device = find_device(device) if isinstance(device, str) else device
    black, white = (normalize(pixels(3, 1, 1)) for pixels in (torch.zeros, torch.ones))
    return black.to(device), white.to(device)


def postprocess(X: Tensor) -> Image.Image:
    """Make a PIL image of a normalized tensor: the inverse of `preprocess`, its resizing apart.

    Values outside the visible range are clamped. Gray levels are rounded to the nearest (the
    recipe truncates them, and so loses up to one level), which makes the round trip exact.

    Args:
        X: a normalized tensor of shape (1, 3, H, W) or (3, H, W).

    Raises:
        InputError: another shape, or values that are not finite.
    """
    if not isinstance(X, Tensor):
        raise InputError(f"postprocess takes a tensor, not {type(X).__name__}")
    picture = X.detach()[0] if X.ndim == 4 and X.shape[0] == 1 else X.detach()
    if (
        picture.ndim != 3
        or picture.shape[0] != 3
        or 0 in picture.shape
        or not X.is_floating_point()
    ):
        raise InputError(
            "a picture has the shape (1, 3, H, W) or (3, H, W) in floating point, not "
            f"{tuple(X.shape)} {X.dtype}"
        )
    if not bool(torch.isfinite(picture).all()):
        raise InputError("the picture has values that are not finite (nan or inf)")
    pixels = denormalize(picture.float().cpu()).permute(1, 2, 0)  # (H, W, 3)
    return Image.fromarray((pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
