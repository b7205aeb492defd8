"""gram: reference and likely mistakes (chapter 5)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.inputs import CASES, SHAPES, Array, array, features

__all__ = [
    "EXERCISES",
    "GRAM",
    "centered",
    "folded",
    "gram_by_sums",
    "gram_of",
    "joined",
    "rows_first",
]


def gram_by_sums(X: Tensor) -> Array:
    """F F^T / (C M), entry by entry."""
    F = array(X)
    N, C, H, W = F.shape
    G = np.zeros((N, C, C))
    for n, a, b in np.ndindex(G.shape):
        G[n, a, b] = (F[n, a] * F[n, b]).sum() / (C * H * W)
    return G


def gram_of(F: Array, divisor: float | None = None) -> Array:
    """The Gram matrices of an array (N, C, H, W), or (N, C, M), by one product."""
    rows = F.reshape(*F.shape[:2], -1)
    product: Array = rows @ rows.swapaxes(1, 2)
    return product / (divisor or rows[0].size)


def folded(F: Array) -> Array:
    """All images as one, whose rows are cut at the wrong positions."""
    rows = F.reshape(F.shape[1], -1)
    return np.asarray(rows @ rows.T / rows.size)


def joined(F: Array) -> Array:
    """All images as one, channel by channel."""
    rows = F.swapaxes(0, 1).reshape(F.shape[1], -1)
    return np.asarray(rows @ rows.T / rows.size)


def rows_first(F: Array) -> Array:
    """Reshaped to (N, H W, C) and transposed, which cuts the channels to pieces."""
    return F.reshape(len(F), -1, F.shape[1]).swapaxes(1, 2)


def _with_sum(F: Array) -> Array:
    """Each image times the sum of all of them."""
    rows = F.reshape(*F.shape[:2], -1)
    return np.asarray(rows @ rows.sum(0).T / rows[0].size)


def _unit(F: Array) -> Array:
    rows = F.reshape(*F.shape[:2], -1)
    return np.asarray(rows / np.sqrt((rows**2).sum(2, keepdims=True)))


def centered(F: Array) -> Array:
    """Without the mean of each channel."""
    return np.asarray(F - F.mean((2, 3), keepdims=True))


def _of_features(name: str, sentence: str, formula: Any) -> Wrong:
    return Wrong(name, f"Your Gram matrix {sentence}", lambda X: formula(array(X)))


def _features_of_both_signs() -> list[Arguments]:
    """The means of neighboring channels have different signs, so some products are negative."""
    calls: list[Arguments] = []
    for k, shape in enumerate(SHAPES):
        signs = torch.tensor([(-1.0) ** c for c in range(shape[1])]).view(1, -1, 1, 1)
        calls.append(((features(k, *shape) * signs).requires_grad_(),))
    return calls


GRAM = Exercise(
    "gram",
    "the Gram matrix",
    "gram(X)",
    _features_of_both_signs,
    gram_by_sums,
    (
        _of_features(
            "not_divided",
            "is not divided by anything. Divide F F^T by C * H * W, the number of values of "
            "one image.",
            lambda F: gram_of(F, 1),
        ),
        _of_features(
            "not_divided_by_channels",
            "is divided by the number of positions, H * W, but not by the number of channels, "
            "C.",
            lambda F: gram_of(F, F[0, 0].size),
        ),
        _of_features(
            "not_divided_by_positions",
            "is divided by the number of channels, C, but not by H * W.",
            lambda F: gram_of(F, F.shape[1]),
        ),
        _of_features(
            "divided_by_the_batch_too",
            "is divided by the number of images, too. Each image has its own matrix, so "
            "divide by C * H * W only.",
            lambda F: gram_of(F, F.size),
        ),
        _of_features(
            "divided_by_channels_twice",
            "is divided by C * C, the number of its entries. Divide by C * H * W.",
            lambda F: gram_of(F, F.shape[1] ** 2),
        ),
        _of_features(
            "divided_twice",
            "is divided by C * H * W twice. Once is right.",
            lambda F: gram_of(F, F[0].size ** 2),
        ),
        _of_features(
            "twice_as_large_a_divisor",
            "is divided by 2 * C * H * W. Leave out the 2.",
            lambda F: gram_of(F, 2 * F[0].size),
        ),
        _of_features(
            "divided_by_the_height",
            "is divided by C * H only. Divide by C * H * W.",
            lambda F: gram_of(F, F.shape[1] * F.shape[2]),
        ),
        _of_features(
            "divided_by_the_width",
            "is divided by C * W only. Divide by C * H * W.",
            lambda F: gram_of(F, F.shape[1] * F.shape[3]),
        ),
        _of_features(
            "batch_folded",
            "mixes the images of the batch: reshape(C, -1) cuts through them, and the result "
            "is one matrix (C, C). Flatten the positions only, and keep the batch axis: (N, "
            "C, H * W).",
            folded,
        ),
        _of_features(
            "batch_folded_once_each",
            "mixes the images of the batch: reshape(C, -1) cuts through them. Flatten the "
            "positions only, and keep the batch axis: (N, C, H * W).",
            lambda F: np.repeat(folded(F)[None], len(F), 0),
        ),
        _of_features(
            "batch_folded_and_kept",
            "mixes the images of the batch: reshape(C, -1) cuts through them, and a batch "
            "axis of 1 is left. There is one matrix for each image: (N, C, C).",
            lambda F: folded(F)[None],
        ),
        _of_features(
            "batch_joined",
            "is one matrix for all images of the batch. There is one for each: (N, C, C).",
            joined,
        ),
        _of_features(
            "batch_folded_not_divided",
            "mixes the images of the batch, because reshape(C, -1) cuts through them, and is "
            "not divided by the number of values.",
            lambda F: folded(F) * F.size,
        ),
        _of_features(
            "multiplied_by_all_images",
            "multiplies each image by the sum of all of them, as `einsum` does with two "
            "letters for the images. Use the same letter twice.",
            _with_sum,
        ),
        _of_features(
            "all_images_multiplied",
            "multiplies the sum of all images by each one, as `einsum` does with two letters "
            "for the images. Use the same letter twice.",
            lambda F: _with_sum(F).swapaxes(1, 2),
        ),
        _of_features(
            "of_positions",
            "compares positions, F^T F, of size (H * W, H * W). Compare channels: F F^T, (C, "
            "C).",
            lambda F: gram_of(F.reshape(*F.shape[:2], -1).swapaxes(1, 2)),
        ),
        _of_features(
            "rows_cut_wrongly",
            "comes from a reshape to (N, H * W, C), which does not move the axes: it cuts the "
            "channels to pieces. Reshape to (N, C, H * W).",
            lambda F: gram_of(rows_first(F)),
        ),
        _of_features(
            "of_rows",
            "takes the height for the channels: it is of size (H, H). Flatten the two axes of "
            "positions.",
            lambda F: gram_of(F.swapaxes(1, 2), F[0].size),
        ),
        _of_features(
            "of_columns",
            "takes the width for the channels: it is of size (W, W). Flatten the two axes of "
            "positions.",
            lambda F: gram_of(F.transpose(0, 3, 1, 2), F[0].size),
        ),
        _of_features(
            "of_images",
            "compares the images of the batch, (N, N). Compare the channels of each image.",
            lambda F: (F.reshape(len(F), -1) @ F.reshape(len(F), -1).T) / F[0].size,
        ),
        _of_features(
            "covariance",
            "is a covariance: the mean of each channel is subtracted first. Leave the mean in.",
            lambda F: gram_of(centered(F)),
        ),
        _of_features(
            "correlation",
            "has ones on its diagonal: each channel is divided by its own length. Leave the "
            "lengths in, and divide by C * H * W.",
            lambda F: gram_of(_unit(F), 1),
        ),
        _of_features(
            "of_means",
            "multiplies the means of the channels. Multiply first, then average over the "
            "positions.",
            lambda F: gram_of(F.mean((2, 3), keepdims=True)),
        ),
        _of_features(
            "diagonal_only",
            "has zeros beside its diagonal. Multiply each channel with each other one, not "
            "only with itself.",
            lambda F: gram_of(F) * np.eye(F.shape[1]),
        ),
        _of_features(
            "triangle_only",
            "has zeros below its diagonal. It is symmetric, and both triangles count.",
            lambda F: np.triu(gram_of(F)),
        ),
        _of_features(
            "diagonal",
            "is only its diagonal, each channel times itself. Multiply each with each.",
            lambda F: (F**2).sum((2, 3)) / F[0].size,
        ),
        _of_features(
            "squared_features",
            "multiplies squared features. Leave out the square.",
            lambda F: gram_of(F**2),
        ),
        _of_features(
            "absolute_features",
            "loses the signs of the features. Leave out the absolute value.",
            lambda F: gram_of(abs(F)),
        ),
        _of_features(
            "positive_features",
            "leaves out negative features. There is no ReLU in it.",
            lambda F: gram_of(np.maximum(F, 0)),
        ),
        _of_features(
            "outer_shape_kept",
            "is the product of the four-dimensional features, row by row of the image: X @ "
            "X^T works on the last two axes. Flatten these first.",
            lambda F: F @ F.swapaxes(-1, -2) / F[0].size,
        ),
    ),
    picture="matrix",
    cases=CASES,
    learns=True,
    chapter="05-style-loss",
)

EXERCISES = (GRAM,)
