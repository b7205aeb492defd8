"""Pictures side by side, for notebooks and for the book."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from stylelib.checks import number, several, whole
from stylelib.errors import InputError
from stylelib.files import load_image
from stylelib.images import postprocess

__all__ = ["show_images"]


def show_images(
    images: Sequence[Image.Image | Tensor | NDArray[Any]],
    titles: Sequence[str] | None = None,
    *,
    columns: int | None = None,
    width: float = 9.0,
    cmap: str = "magma",
) -> Figure:
    """Show pictures in a grid, each with its title above it.

    Args:
        images: PIL images; normalised tensors (1, 3, H, W) or (3, H, W); or maps of numbers (H,
            W), tensors or arrays, drawn in colours from the least to the greatest value of
            each.
        titles: one for each picture, may have several lines.
        columns: pictures in a row; None puts all in one row.
        width: of the whole figure, in inches.
        cmap: matplotlib's name of the colours for maps.

    Returns:
        The figure; in a notebook it shows itself at the end of the cell.

    Raises:
        InputError: no pictures, or as many titles as there are not pictures.
    """
    images = several("images", images)
    if titles is not None and len(several("titles", titles, least=0)) != len(images):
        raise InputError(f"{len(images)} images have {len(titles)} titles")
    columns = len(images) if columns is None else whole("columns", columns)
    width = number("width", width, above=0)
    rows = -(-len(images) // columns)
    arrays = [_to_array(image) for image in images]
    tallest = max(array.shape[0] / array.shape[1] for array in arrays)
    lines = max((title.count("\n") + 1 for title in titles or [""] if title), default=0)
    height = rows * (width / columns * tallest + 0.2 * lines + 0.05)
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, height), squeeze=False, layout="constrained"
    )
    for index, ax in enumerate(axes.flat):
        ax.axis("off")
        if index < len(arrays):
            ax.imshow(arrays[index], cmap=cmap)
            if titles is not None:
                ax.set_title(titles[index], fontsize=11)
    return figure


def _to_array(image: Image.Image | Tensor | NDArray[Any]) -> NDArray[Any]:
    if isinstance(image, np.ndarray) and image.ndim == 2:
        return image
    if isinstance(image, Tensor):
        if image.ndim == 2:
            return image.detach().float().cpu().numpy()
        image = postprocess(image)
    if isinstance(image, np.ndarray):
        raise InputError(f"an array is shown as a map (H, W), not {image.shape}")
    return np.asarray(load_image(image))
