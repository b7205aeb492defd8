"""tv_loss: reference and likely mistakes (chapter 6)."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Exercise, Wrong
from stylelib.check.inputs import CASES, Array, array, features

__all__ = ["EXERCISES", "variation"]


def variation(Y_hat: Tensor) -> float:
    """Half the mean absolute difference downward, and half of that across, pair by pair."""
    X = array(Y_hat)
    N, C, H, W = X.shape
    down = [abs(X[n, c, i + 1, j] - X[n, c, i, j]) for n, c, i, j in np.ndindex(N, C, H - 1, W)]
    across = [
        abs(X[n, c, i, j + 1] - X[n, c, i, j]) for n, c, i, j in np.ndindex(N, C, H, W - 1)
    ]
    return float(np.mean(down) + np.mean(across)) / 2


def _of_axes(name: str, sentence: str, formula: Any) -> Wrong:
    """A mistake that is a function of the differences downward and across."""
    return Wrong(
        name,
        f"Your total variation {sentence}",
        lambda Y_hat: formula(np.diff(array(Y_hat), axis=2), np.diff(array(Y_hat), axis=3)),
    )


def _of_image(name: str, sentence: str, formula: Any) -> Wrong:
    return Wrong(name, f"Your total variation {sentence}", lambda Y_hat: formula(array(Y_hat)))


def _mean(D: Array) -> float:
    return float(abs(D).mean())


TV = Exercise(
    "tv_loss",
    "the total variation",
    "tv_loss(Y_hat)",
    lambda: [
        (features(42 + k, *shape, learns=True),)
        for k, shape in enumerate([(1, 3, 4, 6), (2, 2, 5, 3), (3, 4, 3, 7)])
    ],
    variation,
    (
        _of_axes(
            "no_half",
            "has no factor of 1/2: it is the sum of the two means. Take half of it.",
            lambda V, U: _mean(V) + _mean(U),
        ),
        _of_axes(
            "product",
            "multiplies the two means. Add them.",
            lambda V, U: _mean(V) * _mean(U),
        ),
        _of_axes(
            "half_the_product",
            "multiplies the two means. Add them.",
            lambda V, U: _mean(V) * _mean(U) / 2,
        ),
        _of_axes(
            "vertical_twice",
            "takes the vertical differences twice, and no horizontal ones: check the axes of "
            "your two lines.",
            lambda V, U: _mean(V),
        ),
        _of_axes(
            "horizontal_twice",
            "takes the horizontal differences twice, and no vertical ones: check the axes of "
            "your two lines.",
            lambda V, U: _mean(U),
        ),
        _of_axes(
            "vertical_only",
            "leaves out the differences of horizontal neighbors.",
            lambda V, U: _mean(V) / 2,
        ),
        _of_axes(
            "horizontal_only",
            "leaves out the differences of vertical neighbors.",
            lambda V, U: _mean(U) / 2,
        ),
        _of_axes(
            "sum_for_mean",
            "adds up the absolute differences. Take their mean along each axis.",
            lambda V, U: (abs(V).sum() + abs(U).sum()) / 2,
        ),
        _of_axes(
            "sum_for_mean_no_half",
            "adds up the absolute differences, without the factor of 1/2. Take half of the "
            "two means.",
            lambda V, U: abs(V).sum() + abs(U).sum(),
        ),
        _of_axes(
            "squared",
            "squares the differences. Take absolute values.",
            lambda V, U: ((V**2).mean() + (U**2).mean()) / 2,
        ),
        _of_axes(
            "squared_no_half",
            "squares the differences, and has no factor of 1/2. Take half of the means of "
            "absolute values.",
            lambda V, U: (V**2).mean() + (U**2).mean(),
        ),
        _of_axes(
            "squared_sums",
            "adds up squared differences. Take means of absolute values.",
            lambda V, U: ((V**2).sum() + (U**2).sum()) / 2,
        ),
        _of_axes(
            "no_absolute_values",
            "takes no absolute values, so rising and falling differences cancel.",
            lambda V, U: (V.mean() + U.mean()) / 2,
        ),
        _of_axes(
            "absolute_value_of_the_mean",
            "takes the absolute value of the mean. Take it of each difference, before the "
            "mean.",
            lambda V, U: (abs(V.mean()) + abs(U.mean())) / 2,
        ),
        _of_axes(
            "difference_of_means",
            "subtracts the two means. Add them.",
            lambda V, U: (_mean(V) - _mean(U)) / 2,
        ),
        _of_axes(
            "one_mean_for_all",
            "takes one mean over all pairs. Take one for each axis, and half of each.",
            lambda V, U: (abs(V).sum() + abs(U).sum()) / (V.size + U.size),
        ),
        _of_axes(
            "larger_of_the_two",
            "takes the larger of the two means. Add them, and take half.",
            lambda V, U: max(_mean(V), _mean(U)),
        ),
        _of_axes(
            "isotropic",
            "takes the root of the sum of both squares at each pixel. Add the two absolute "
            "differences instead.",
            lambda V, U: np.sqrt(V[..., :-1] ** 2 + U[..., :-1, :] ** 2).mean(),
        ),
        _of_axes(
            "summed_over_channels",
            "is added up over the channels. Average over these, too.",
            lambda V, U: V.shape[1] * (_mean(V) + _mean(U)) / 2,
        ),
        _of_axes(
            "quarter",
            "has a factor of 1/4. One half of the two means is right.",
            lambda V, U: (_mean(V) + _mean(U)) / 4,
        ),
        _of_image(
            "divided_by_pixels",
            "is divided by the number of pixels. There are fewer pairs: (H - 1) * W and H * "
            "(W - 1) in a channel.",
            lambda X: sum(abs(np.diff(X, axis=k)).sum() for k in (2, 3)) / (2 * X.size),
        ),
        _of_image(
            "divided_by_pixels_no_half",
            "is divided by the number of pixels, and has no factor of 1/2. Take half of two "
            "means.",
            lambda X: sum(abs(np.diff(X, axis=k)).sum() for k in (2, 3)) / X.size,
        ),
        _of_image(
            "wraps_around",
            "compares the last row and column with the first ones, as `roll` does. Leave "
            "these pairs out.",
            lambda X: sum(abs(X - np.roll(X, 1, k)).mean() for k in (2, 3)) / 2,
        ),
        _of_image(
            "wraps_around_no_half",
            "compares the last row and column with the first ones, as `roll` does, and has no "
            "factor of 1/2.",
            lambda X: sum(abs(X - np.roll(X, 1, k)).mean() for k in (2, 3)),
        ),
        _of_image(
            "padded",
            "compares the border with zeros. Leave these pairs out.",
            lambda X: sum(abs(np.diff(X, axis=k, append=0)).mean() for k in (2, 3)) / 2,
        ),
        _of_image(
            "first_row",
            "compares each row with the first one: `:1:` is the first row alone. Write `1:`, "
            "which is all rows but the first.",
            lambda X: (_mean(X[:, :, :1] - X[:, :, :-1]) + _mean(np.diff(X, axis=3))) / 2,
        ),
        _of_image(
            "first_column",
            "compares each column with the first one: `:1:` is the first column alone. Write "
            "`1:`, which is all columns but the first.",
            lambda X: (_mean(np.diff(X, axis=2)) + _mean(X[..., :1] - X[..., :-1])) / 2,
        ),
        _of_image(
            "first_row_and_column",
            "compares with the first row and the first column: `:1:` is the first alone. "
            "Write `1:`, which is all but the first.",
            lambda X: (_mean(X[:, :, :1] - X[:, :, :-1]) + _mean(X[..., :1] - X[..., :-1])) / 2,
        ),
        _of_image(
            "channels_as_rows",
            "takes the axis of channels for that of rows. Rows are axis 2, columns are axis 3.",
            lambda X: sum(_mean(np.diff(X, axis=k)) for k in (1, 2)) / 2,
        ),
        _of_image(
            "channels_and_columns",
            "takes the axis of channels for that of rows. Rows are axis 2, columns are axis 3.",
            lambda X: sum(_mean(np.diff(X, axis=k)) for k in (1, 3)) / 2,
        ),
        _of_image(
            "every_other",
            "compares pixels that are two apart. Compare neighbors.",
            lambda X: (_mean(X[:, :, 2:] - X[:, :, :-2]) + _mean(X[..., 2:] - X[..., :-2])) / 2,
        ),
        _of_image(
            "diagonal",
            "compares diagonal neighbors. Compare each pixel with the one below it and with "
            "the one beside it.",
            lambda X: _mean(X[:, :, 1:, 1:] - X[:, :, :-1, :-1]),
        ),
        _of_image(
            "first_image_only",
            "looks only at the first image of the batch.",
            lambda X: sum(_mean(np.diff(X[0], axis=k)) for k in (1, 2)) / 2,
        ),
        _of_image(
            "first_channel_only",
            "looks only at the first channel.",
            lambda X: sum(_mean(np.diff(X[:, 0], axis=k)) for k in (1, 2)) / 2,
        ),
        _of_image(
            "all_four_neighbors",
            "counts each pair twice. Compare each pixel only with the one below it and with "
            "the one on its right.",
            lambda X: sum(2 * abs(np.diff(X, axis=k)).sum() for k in (2, 3)) / X.size,
        ),
    ),
    cases=CASES,
    learns=True,
    chapter="06-total-variation",
)

EXERCISES = (TV,)
