"""Differences as small images, for a notebook."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stylelib.check.values import Values
from stylelib.files import data_uri

__all__ = ["pictured"]

_SIDE = 120  # pixels, of the longer side


def pictured(yours: Values, expected: Values, how: str | None) -> str:
    """Your values, the expected ones, and their difference, side by side, as HTML.

    Args:
        yours: a matrix (..., C, C), or an image (..., 3, H, W) or (H, W, 3).
        expected: the same.
        how: "matrix" or "image". With None, or shapes that are no such thing, the answer is
            empty.
    """
    if how is None or yours.shape != expected.shape or yours.ndim < 2 or not yours.size:
        return ""
    y, e = (_plane(values, how) for values in (yours, expected))
    if y is None or e is None:
        return ""
    named = {"yours": y, "expected": e, "difference": y - e}
    if how == "image":
        named["difference"] = np.abs(y - e).sum(-1)
    figures = "".join(
        f'<figure style="display: inline-block; margin: 0.6em 1em 0 0">'
        f'<img alt="{name}" src="{_png(values, e, how)}">'
        f"<figcaption>{name}</figcaption></figure>"
        for name, values in named.items()
    )
    return f"<div>{figures}</div>"


def _plane(values: Values, how: str) -> Values | None:
    """The first matrix, or the first image with its channels last."""
    if how == "matrix":
        return np.asarray(values.reshape(-1, *values.shape[-2:])[0])
    if values.ndim == 3 and values.shape[-1] == 3:
        return values
    if values.ndim >= 3 and values.shape[-3] == 3:
        return np.asarray(np.moveaxis(values.reshape(-1, *values.shape[-3:])[0], 0, -1))
    return None


def _png(values: Values, expected: Values, how: str) -> str:
    """A PNG, for `src`. A matrix is blue below 0 and red above, in the units of `expected`."""
    values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
    if values.ndim == 3:
        low, high = float(expected.min()), float(expected.max())
        pixels = (values - low) / max(high - low, 1e-12)
    elif how == "image":
        pixels = np.repeat((values / max(float(values.max()), 1e-12))[..., None], 3, -1)
    else:
        t = np.clip(values / max(float(np.abs(expected).max()), 1e-12), -1, 1)[..., None]
        blue, red = np.array([0.13, 0.4, 0.67]), np.array([0.7, 0.09, 0.17])
        pixels = 1 - np.abs(t) * (1 - np.where(t < 0, blue, red))
    levels: NDArray[np.uint8] = (np.clip(pixels, 0, 1) * 255).round().astype(np.uint8)
    image = Image.fromarray(levels)
    scale = max(1, _SIDE // max(image.size))
    size = image.width * scale, image.height * scale
    return data_uri(image.resize(size, Image.Resampling.NEAREST), "PNG")
