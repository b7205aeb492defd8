"""style_loss: reference and likely mistakes (chapter 5)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.grams import centered, folded, gram_by_sums, gram_of, joined, rows_first
from stylelib.check.inputs import CASES, SHAPES, Array, array, features
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]


def _style(Y_hat: Tensor, gram_Y: Tensor) -> float:
    """The mean squared difference of Gram matrices, entry by entry."""
    G, A = gram_by_sums(Y_hat), array(gram_Y)
    return sum(float(G[i] - A[i]) ** 2 for i in np.ndindex(G.shape)) / G.size


def _with_grams() -> list[Arguments]:
    shapes = SHAPES
    targets = [gram_by_sums(1.3 * features(30 + k, *shape)) for k, shape in enumerate(shapes)]
    return [
        (features(20 + k, *shape, learns=True), torch.from_numpy(target).float())
        for k, (shape, target) in enumerate(zip(shapes, targets, strict=True))
    ]


@dataclass(frozen=True)
class _Loss:
    """The style loss, in parts that can be wrong."""

    compare: Callable[[Array, Array], Any] = lambda G, A: ((G - A) ** 2).mean()
    gram: Callable[[Array], Array] = gram_of

    def __call__(self, Y_hat: Tensor, gram_Y: Tensor) -> Any:
        return self.compare(self.gram(array(Y_hat)), array(gram_Y))


_LOSS = _Loss()


def _of_grams(name: str, sentence: str, formula: Callable[[Array, Array], Any]) -> Wrong:
    """A mistake that is a function of the two Gram matrices."""
    return Wrong(name, f"Your style loss {sentence}", replace(_LOSS, compare=formula))


def _by_gram(name: str, sentence: str, gram: Callable[[Array], Array]) -> Wrong:
    """A mistake in the Gram matrix of the features."""
    return Wrong(name, f"Your style loss {sentence}", replace(_LOSS, gram=gram))


def _triangle(D: Array, diagonal: int = 0) -> Array:
    """The entries on and above a diagonal, (N, number of entries)."""
    rows, columns = np.triu_indices(D.shape[1], diagonal)
    return np.asarray(D[:, rows, columns])


_COMPARISONS = (
    _of_grams(
        "sum_for_mean",
        "is the sum of the squared differences. Take their mean.",
        lambda G, A: ((G - A) ** 2).sum(),
    ),
    _of_grams(
        "half_the_sum",
        "is half of the sum of the squared differences. Take their mean.",
        lambda G, A: ((G - A) ** 2).sum() / 2,
    ),
    _of_grams(
        "half_the_mean",
        "has a factor of 1/2 too many.",
        lambda G, A: ((G - A) ** 2).mean() / 2,
    ),
    _of_grams(
        "quarter_of_the_mean",
        "has a factor of 1/4 too many, as in the paper of Gatys et al., which has sums "
        "instead of means.",
        lambda G, A: ((G - A) ** 2).mean() / 4,
    ),
    _of_grams(
        "quarter_of_the_sum",
        "is a quarter of the sum, as in the paper of Gatys et al. Here it is the mean.",
        lambda G, A: ((G - A) ** 2).sum() / 4,
    ),
    _of_grams(
        "not_squared",
        "is the mean of the differences. They are not squared, so they cancel.",
        lambda G, A: (G - A).mean(),
    ),
    _of_grams(
        "absolute_for_square",
        "is the mean of absolute differences. Square them instead.",
        lambda G, A: abs(G - A).mean(),
    ),
    _of_grams(
        "root_of_the_mean",
        "is the root of the mean squared difference. Leave the root out.",
        lambda G, A: np.sqrt(((G - A) ** 2).mean()),
    ),
    _of_grams(
        "norm",
        "is the length (norm) of the difference. Take the mean of its squares.",
        lambda G, A: np.sqrt(((G - A) ** 2).sum()),
    ),
    _of_grams(
        "square_of_the_mean",
        "squares the mean of the differences. Square first, then take the mean.",
        lambda G, A: (G - A).mean() ** 2,
    ),
    _of_grams(
        "summed_over_the_batch",
        "is added up over the images of the batch. Average over these, too.",
        lambda G, A: ((G - A) ** 2).sum() / G[0].size,
    ),
    _of_grams(
        "only_divided_by_channels",
        "is divided by the number of channels. Divide by the number of entries, C * C.",
        lambda G, A: ((G - A) ** 2).sum(1).mean(),
    ),
    _of_grams(
        "first_image_only",
        "looks only at the first image of the batch.",
        lambda G, A: ((G[0] - A[0]) ** 2).mean(),
    ),
    _of_grams(
        "diagonal_only",
        "compares only the diagonals of the Gram matrices. Compare all entries.",
        lambda G, A: (np.einsum("nii->ni", G - A) ** 2).mean(),
    ),
    _of_grams(
        "no_target",
        "does not use the target gram_Y.",
        lambda G, A: (G**2).mean(),
    ),
    _of_grams(
        "sum_for_difference",
        "adds the two Gram matrices. Subtract them.",
        lambda G, A: ((G + A) ** 2).mean(),
    ),
    _of_grams(
        "difference_of_squares",
        "squares the Gram matrices before it subtracts them. Subtract first.",
        lambda G, A: (G**2 - A**2).mean(),
    ),
    _of_grams(
        "relative",
        "is divided by the mean square of the target. Leave it as it is.",
        lambda G, A: ((G - A) ** 2).mean() / (A**2).mean(),
    ),
    _of_grams(
        "batch_averaged_first",
        "averages the Gram matrices over the batch before it compares them. Compare image "
        "by image.",
        lambda G, A: ((G.mean(0) - A.mean(0)) ** 2).mean(),
    ),
    _of_grams(
        "target_divided_again",
        "divides the target by the number of channels. The target is a Gram matrix already.",
        lambda G, A: ((G - A / A.shape[1]) ** 2).mean(),
    ),
    _of_grams(
        "gram_of_the_target",
        "takes the Gram matrix of gram_Y. It is one already, so use it as it is.",
        lambda G, A: ((G - A @ A.swapaxes(1, 2) / A[0].size) ** 2).mean(),
    ),
    _of_grams(
        "triangle_only",
        "is the mean over one triangle of the matrices, so the diagonal counts twice. "
        "Take the mean over all entries.",
        lambda G, A: (_triangle(G - A) ** 2).mean(),
    ),
    _of_grams(
        "triangle_without_diagonal",
        "leaves out the diagonal of the matrices. Take the mean over all entries.",
        lambda G, A: (_triangle(G - A, 1) ** 2).mean(),
    ),
    _of_grams(
        "triangle_added_up",
        "adds up one triangle of the matrices. Take the mean over all entries.",
        lambda G, A: (_triangle(G - A) ** 2).sum(),
    ),
)

_GRAMS = (
    _by_gram(
        "gram_not_divided",
        "uses a Gram matrix that is not divided by C * H * W, as the target is.",
        lambda F: gram_of(F, 1),
    ),
    _by_gram(
        "gram_not_divided_by_channels",
        "uses a Gram matrix that is divided by H * W, but not by the number of channels.",
        lambda F: gram_of(F, F[0, 0].size),
    ),
    _by_gram(
        "gram_not_divided_by_positions",
        "uses a Gram matrix that is divided by the number of channels, but not by H * W.",
        lambda F: gram_of(F, F.shape[1]),
    ),
    _by_gram(
        "gram_divided_by_the_batch_too",
        "uses a Gram matrix that is divided by the number of images, too.",
        lambda F: gram_of(F, F.size),
    ),
    _by_gram(
        "gram_divided_by_images_and_positions",
        "uses a Gram matrix that is divided by N * H * W. Divide by C * H * W.",
        lambda F: gram_of(F, F[:, 0].size),
    ),
    _by_gram(
        "gram_divided_by_its_entries",
        "uses a Gram matrix that is divided by C * C. Divide by C * H * W.",
        lambda F: gram_of(F, F.shape[1] ** 2),
    ),
    _by_gram(
        "gram_divided_twice",
        "uses a Gram matrix that is divided by C * H * W twice.",
        lambda F: gram_of(F, F[0].size ** 2),
    ),
    _by_gram(
        "batch_folded",
        "uses a Gram matrix that mixes the images of the batch. Keep the batch axis.",
        folded,
    ),
    _by_gram(
        "batch_joined",
        "uses one Gram matrix for all images of the batch. Keep the batch axis.",
        joined,
    ),
    _by_gram(
        "covariance",
        "uses covariances: the mean of each channel is subtracted. Leave the mean in.",
        lambda F: gram_of(centered(F)),
    ),
    _by_gram(
        "gram_rows_cut_wrongly",
        "uses a Gram matrix after a reshape to (N, H * W, C), which does not move the "
        "axes. Reshape to (N, C, H * W).",
        lambda F: gram_of(rows_first(F)),
    ),
    _by_gram(
        "gram_triangle_only",
        "uses a Gram matrix with zeros below its diagonal. Both triangles count.",
        lambda F: np.triu(gram_of(F)),
    ),
)


def _of_paper(Y_hat: Tensor, gram_Y: Tensor) -> Any:
    F = array(Y_hat)
    return ((gram_of(F) - array(gram_Y)) ** 2).sum() / (4 * F[0].size ** 2)


STYLE = Exercise(
    "style_loss",
    "the style loss",
    "style_loss(Y_hat, gram_Y)",
    _with_grams,
    _style,
    (
        *_COMPARISONS,
        *_GRAMS,
        Wrong(
            "factor_of_the_paper",
            "Your style loss is divided by 4 * C ** 2 * M ** 2, as in the paper of Gatys et "
            "al. These Gram matrices are divided by C * M already: take the mean.",
            _of_paper,
        ),
    ),
    cases=CASES,
    learns=True,
    targets=(1,),
    pairs=pairs_of(_LOSS, (*_COMPARISONS, *_GRAMS)),
    chapter="05-style-loss",
)

EXERCISES = (STYLE,)
