"""content_loss: families of mistakes (chapter 4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from stylelib.check.axes import Mistake, of_differences, of_two
from stylelib.check.exercises import Wrong
from stylelib.check.inputs import Array, array

__all__ = ["WRONGS"]

AXES = "images", "channels", "rows", "columns"
KNOWN = {
    "summed_over_images",
    "summed_over_channels",
    "summed_over_rows_and_columns",
    "summed_over_channels_and_rows_and_columns",
    "averaged_over_rows_and_columns_first",
    "first_image_only",
}
"""Those that are in the table."""


def _rows(D: Array, axes: int) -> Array:
    """The first axes joined, and the others."""
    return D.reshape(*D.shape[: axes - 1], D.shape[axes - 1], -1)


def _images(D: Array) -> Array:
    rows = D.reshape(len(D), -1)
    return np.asarray(rows @ rows.T)


def _channels(D: Array) -> Array:
    rows = _rows(D, 2)
    return np.asarray(rows @ rows.swapaxes(1, 2))


def _places(D: Array) -> Array:
    rows = _rows(D, 2)
    return np.asarray(rows.swapaxes(1, 2) @ rows)


def products() -> Iterator[Mistake]:
    """D D^T in place of squares."""
    for name, word, product, inner in (
        ("images", "different images", _images, lambda D: D[0].size),
        ("channels", "different channels", _channels, lambda D: D[0, 0].size),
        ("places", "different positions", _places, lambda D: D.shape[1]),
    ):
        also = (
            f"also multiplies the differences of {word} with each other, as a product D @ D.T "
            "does; square each difference"
        )
        yield Mistake(f"products_of_{name}", also, lambda D, p=product: p(D).mean())
        yield Mistake(
            f"mean_products_of_{name}",
            also,
            lambda D, p=product, inner=inner: p(D).mean() / inner(D),
        )
        yield Mistake(
            f"sum_of_products_of_{name}",
            f"{also}, and take the mean",
            lambda D, p=product: p(D).sum(),
        )
        yield Mistake(
            f"products_of_{name}_per_value",
            also,
            lambda D, p=product: p(D).sum() / D.size,
        )


BORDERS = (
    Mistake(
        "without_border",
        "leaves out the border; compare all positions",
        lambda D: (D[:, :, 1:-1, 1:-1] ** 2).mean(),
    ),
    Mistake(
        "without_last_row_and_column",
        "leaves out the last row and the last column; compare all positions",
        lambda D: (D[:, :, :-1, :-1] ** 2).mean(),
    ),
    Mistake(
        "without_first_row_and_column",
        "leaves out the first row and the first column; compare all positions",
        lambda D: (D[:, :, 1:, 1:] ** 2).mean(),
    ),
)


def _wrong(mistake: Mistake, formula: Any) -> Wrong:
    return Wrong(mistake.name, f"Your content loss {mistake.said}.", formula)


WRONGS = (
    *(
        _wrong(each, lambda Y_hat, Y, f=each.formula: f(array(Y_hat) - array(Y)))
        for each in (*of_differences(AXES), *products(), *BORDERS)
        if each.name not in KNOWN
    ),
    *(
        _wrong(each, lambda Y_hat, Y, f=each.formula: f(array(Y_hat), array(Y)))
        for each in of_two(AXES)
    ),
)
