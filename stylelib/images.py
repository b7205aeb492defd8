"""Images in and out: files, PIL images and normalized tensors (chapter 2).

This library uses two units and never mixes them. A *PIL image* has gray levels 0..255. A
*normalized tensor*, which `preprocess` makes of it, has the shape (1, 3, H, W) and values of
about -2.1..2.6.
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
    "has_numbers",
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
"""About the standard deviation of each channel (R, G, B) in an image of ImageNet."""


def save_image(
    image: Image.Image | Tensor, path: str | os.PathLike[str], *, quality: int = 95
) -> Path:
    """Write an image to a file, whole or not at all.

    Args:
        image: a PIL image; a normalized tensor of shape (1, 3, H, W) or (3, H, W); or a map of
            values of 0 or more, (H, W) or (1, H, W), such as `saliency_map` returns. A map is
            written in gray levels: 0 is black, its largest value white.
        path: the file. Its ending, one of `FORMATS`, sets the format. An existing file is
            replaced.
        quality: 1..100, for the formats that lose detail.

    Returns:
        The path that was written.

    Raises:
        InputError: the ending is unknown, or the image is neither a PIL image nor a tensor of
            one of these kinds.
        FileError: the folder is missing or cannot be written to.
    """
    check_output(path)
    if not isinstance(image, Image.Image | Tensor):
        raise InputError(f"image must be a PIL image or a tensor, not {type(image).__name__}")
    if not isinstance(image, Tensor):
        picture = image
    elif image.ndim == 2 or (image.ndim == 3 and len(image) == 1):
        picture = _in_grays(image)
    else:
        picture = postprocess(image)
    return write_image(picture, path, quality=quality)


def _in_grays(numbers: Tensor) -> Image.Image:
    """A map (H, W) or (1, H, W) in gray levels: 0 is black, its largest value white."""
    if not has_numbers(numbers):
        what = f"{numbers.dtype} {numbers.layout} on {numbers.device}"
        raise InputError(f"a map to save must have real values, not {what}")
    numbers = numbers.detach().double().cpu().reshape(numbers.shape[-2:])
    if numbers.numel() == 0 or not bool(((numbers >= 0) & (numbers < math.inf)).all()):
        raise InputError("a map to save must have finite values of 0 or more")
    levels = 255 * numbers / numbers.max().clamp_min(torch.finfo(torch.float64).tiny)
    return Image.fromarray(levels.round().to(torch.uint8).numpy())


def has_numbers(X: Tensor) -> bool:
    """Whether a tensor holds a real number for each entry.

    One that is sparse, nested or quantized, or on the device "meta", does not.
    """
    plain = X.layout is torch.strided and not (X.is_nested or X.is_quantized)
    return plain and not (X.is_meta or X.is_complex())


def preprocess(image: Image.Image, image_shape: int | tuple[int, int]) -> Tensor:
    """Resize and normalize an image for a network that was trained on ImageNet.

    Pixels are scaled to 0..1, then each channel is normalized:
    (pixel - IMAGE_MEAN) / IMAGE_STD.

    Args:
        image: a PIL image.
        image_shape: (H, W) in pixels, which may change the aspect ratio, or the length of the
            shorter side, which keeps it.

    Returns:
        A normalized float32 tensor of shape (1, 3, H, W).

    Raises:
        InputError: `image_shape` is neither one nor two positive whole numbers.

    Source: Zhang et al., Dive into Deep Learning, section "Neural Style Transfer".
    """
    resized = resize(load_image(image), image_shape)
    pixels = torch.from_numpy(np.array(resized)).float() / 255  # (H, W, 3), 0..1
    return normalize(pixels.permute(2, 0, 1)[None]).contiguous()  # (1, 3, H, W)


def normalize(pixels: Tensor) -> Tensor:
    """Normalize pixels (..., 3, H, W) in 0..1."""
    mean, std = (values.view(3, 1, 1).to(pixels) for values in (IMAGE_MEAN, IMAGE_STD))
    return (pixels - mean) / std


def denormalize(X: Tensor) -> Tensor:
    """Undo `normalize`: pixels (..., 3, H, W), in 0..1 if they are visible."""
    mean, std = (values.view(3, 1, 1).to(X) for values in (IMAGE_MEAN, IMAGE_STD))
    return X * std + mean


def visible_range(device: torch.device | str | None = None) -> tuple[Tensor, Tensor]:
    """The normalized values of black and of white, each of shape (3, 1, 1)."""
    device = find_device(device) if isinstance(device, str) else device
    black, white = (normalize(pixels(3, 1, 1)) for pixels in (torch.zeros, torch.ones))
    return black.to(device), white.to(device)


def postprocess(X: Tensor) -> Image.Image:
    """Make a PIL image of a normalized tensor: the inverse of `preprocess` without resizing.

    Values outside the visible range are clamped. Gray levels are rounded to the nearest, which
    makes the round trip exact. The d2l code truncates them, and loses up to one level.

    Args:
        X: a normalized tensor of shape (1, 3, H, W) or (3, H, W).

    Raises:
        InputError: X has another shape, or values that are not finite.
    """
    if not isinstance(X, Tensor):
        raise InputError(f"postprocess needs a tensor, not {type(X).__name__}")
    if not has_numbers(X):
        raise InputError(f"postprocess needs real values, not {X.dtype} {X.layout} {X.device}")
    picture = X.detach()[0] if X.ndim == 4 and X.shape[0] == 1 else X.detach()
    if (
        picture.ndim != 3
        or picture.shape[0] != 3
        or 0 in picture.shape
        or not X.is_floating_point()
    ):
        raise InputError(
            "an image must have the shape (1, 3, H, W) or (3, H, W) in floating point, not "
            f"{tuple(X.shape)} {X.dtype}"
        )
    if not bool(torch.isfinite(picture).all()):
        raise InputError("the image has values that are not finite (nan or inf)")
    pixels = denormalize(picture.float().cpu()).permute(1, 2, 0)  # (H, W, 3)
    return Image.fromarray((pixels.clamp(0, 1) * 255).round().to(torch.uint8).numpy())
