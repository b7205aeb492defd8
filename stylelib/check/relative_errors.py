"""The relative error of a Gram matrix: reference and likely mistakes (chapter 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.grams import centered, gram_of, rows_first
from stylelib.check.inputs import Array, array, features
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]

CASES = "an image larger than its sample", "an image smaller than its sample"


def sample_arguments() -> list[Arguments]:
    """Two calls, (Y_hat, Y): features (1, C, H, W), and those of a sample, (1, C, H', W')."""
    shapes = ((1, 3, 5, 6), (1, 3, 4, 3)), ((1, 4, 3, 5), (1, 4, 6, 7))
    return [
        (features(110 + k, *here, learns=True), 1.2 * features(120 + k, *there))
        for k, (here, there) in enumerate(shapes)
    ]


def relative(Y_hat: Tensor, Y: Tensor) -> float:
    """Entry by entry: sum((G - A)^2) / sum(A^2), with means over the positions."""
    F, P = array(Y_hat)[0], array(Y)[0]
    missed = size = 0.0
    for a, b in np.ndindex(len(F), len(F)):
        G, A = (F[a] * F[b]).sum() / F[a].size, (P[a] * P[b]).sum() / P[a].size
        missed, size = missed + (G - A) ** 2, size + A**2
    return missed / size


@dataclass(frozen=True)
class Error:
    """The error by parts: Gram matrices of features (1, C, H, W), and how they are compared."""

    compare: Callable[[Array, Array], Any] = lambda G, A: ((G - A) ** 2).sum() / (A**2).sum()
    gram: Callable[[Array], Array] = gram_of

    def __call__(self, Y_hat: Tensor, Y: Tensor) -> Any:
        """The error."""
        return self.compare(self.gram(array(Y_hat)), self.gram(array(Y)))


ERROR = Error()


def compared(name: str, sentence: str, compare: Callable[[Array, Array], Any]) -> Wrong:
    """Gram matrices compared in another way."""
    return Wrong(name, sentence, replace(ERROR, compare=compare))


def by_gram(name: str, sentence: str, gram: Callable[[Array], Array]) -> Wrong:
    """Other matrices."""
    return Wrong(name, sentence, replace(ERROR, gram=gram))


WRONGS = (
    compared(
        "not_divided",
        "You return the sum of the squared differences. Divide it by the sum of the squares of "
        "A.",
        lambda G, A: ((G - A) ** 2).sum(),
    ),
    compared(
        "mean_alone",
        "You return the mean of the squared differences, the style loss. Divide it by the mean "
        "of the squares of A.",
        lambda G, A: ((G - A) ** 2).mean(),
    ),
    compared(
        "divided_by_the_image",
        "You divide by the sum of the squares of G. Divide by that of the target, A.",
        lambda G, A: ((G - A) ** 2).sum() / (G**2).sum(),
    ),
    compared(
        "divided_by_both",
        "You divide by the squares of G and of A. Divide by those of A alone.",
        lambda G, A: ((G - A) ** 2).sum() / ((G**2).sum() + (A**2).sum()),
    ),
    compared(
        "divided_by_the_product",
        "You divide by the sum of the products of G and A. Divide by the squares of A.",
        lambda G, A: ((G - A) ** 2).sum() / (G * A).sum(),
    ),
    compared(
        "divided_by_the_length",
        "You divide by the length (norm) of A. Divide by its square.",
        lambda G, A: ((G - A) ** 2).sum() / np.sqrt((A**2).sum()),
    ),
    compared(
        "divided_by_the_sum",
        "You divide by the sum of A, not by the sum of its squares.",
        lambda G, A: ((G - A) ** 2).sum() / A.sum(),
    ),
    compared(
        "divided_by_the_squared_sum",
        "You divide by the square of the sum of A. Square its entries first, then add up.",
        lambda G, A: ((G - A) ** 2).sum() / A.sum() ** 2,
    ),
    compared(
        "mean_over_sum",
        "You divide a mean by a sum. Take sums above and below, or means above and below.",
        lambda G, A: ((G - A) ** 2).mean() / (A**2).sum(),
    ),
    compared(
        "sum_over_mean",
        "You divide a sum by a mean. Take sums above and below, or means above and below.",
        lambda G, A: ((G - A) ** 2).sum() / (A**2).mean(),
    ),
    compared(
        "entry_by_entry",
        "You divide entry by entry and add up, so a small entry counts as much as a large one. "
        "Add up first, then divide.",
        lambda G, A: ((G - A) ** 2 / A**2).sum(),
    ),
    compared(
        "mean_entry_by_entry",
        "You divide entry by entry and average, so a small entry counts as much as a large "
        "one. Add up first, then divide.",
        lambda G, A: ((G - A) ** 2 / A**2).mean(),
    ),
    compared(
        "root",
        "You take the root: this is the relative length of the difference. The error has "
        "squares.",
        lambda G, A: np.sqrt(((G - A) ** 2).sum() / (A**2).sum()),
    ),
    compared(
        "absolute_for_square",
        "You take absolute values above and below. Square the entries instead.",
        lambda G, A: abs(G - A).sum() / abs(A).sum(),
    ),
    compared(
        "not_squared",
        "You do not square: positive and negative differences cancel.",
        lambda G, A: (G - A).sum() / A.sum(),
    ),
    compared(
        "square_of_the_sum",
        "You square the sums. Square the entries first, then add up.",
        lambda G, A: (G - A).sum() ** 2 / A.sum() ** 2,
    ),
    compared(
        "difference_of_squares",
        "You square the Gram matrices before you subtract them. Subtract first.",
        lambda G, A: (G**2 - A**2).sum() / (A**2).sum(),
    ),
    compared(
        "sum_for_difference",
        "You add the two Gram matrices. Subtract them.",
        lambda G, A: ((G + A) ** 2).sum() / (A**2).sum(),
    ),
    compared(
        "no_target",
        "You compare the size of G with that of A. Subtract A from G first.",
        lambda G, A: (G**2).sum() / (A**2).sum(),
    ),
    compared(
        "half",
        "Your error has a factor of 1/2 too many.",
        lambda G, A: ((G - A) ** 2).sum() / (A**2).sum() / 2,
    ),
    compared(
        "diagonal_only",
        "You compare the diagonals of the Gram matrices only. Compare all entries.",
        lambda G, A: (
            (np.diagonal(G - A, 0, 1, 2) ** 2).sum() / (np.diagonal(A, 0, 1, 2) ** 2).sum()
        ),
    ),
    compared(
        "triangle_only",
        "You add up one triangle of the matrices. Both count, although they are equal.",
        lambda G, A: (np.triu(G - A) ** 2).sum() / (np.triu(A) ** 2).sum(),
    ),
    by_gram(
        "not_divided_by_positions",
        "Your Gram matrices are sums over the positions, and the sample has another number of "
        "them. Divide each matrix by its own.",
        lambda F: gram_of(F, 1),
    ),
    by_gram(
        "divided_by_positions_twice",
        "Your Gram matrices are divided by the number of positions twice. Once is right.",
        lambda F: gram_of(F, F[0].size * F[0, 0].size),
    ),
    by_gram(
        "covariances",
        "You subtract the mean of each channel first. A Gram matrix keeps it.",
        lambda F: gram_of(centered(F)),
    ),
    by_gram(
        "of_means",
        "You multiply the means of the channels. Multiply first, then average over the "
        "positions.",
        lambda F: gram_of(F.mean((2, 3), keepdims=True)),
    ),
    by_gram(
        "means_compared",
        "You compare the means of the channels. Compare their products, the Gram matrices.",
        lambda F: F.mean((2, 3), keepdims=True)[..., 0],
    ),
    by_gram(
        "rows_cut_wrongly",
        "Your Gram matrices come from a reshape to (H * W, C), which cuts the channels to "
        "pieces. Reshape to (C, H * W).",
        lambda F: gram_of(rows_first(F)),
    ),
    by_gram(
        "absolute_features",
        "You lose the signs of the features. Leave out the absolute value.",
        lambda F: gram_of(abs(F)),
    ),
)

NO_MATRICES = {"means_compared"}
EXERCISES = (
    Exercise(
        "relative_error",
        "the relative error",
        "relative_error(Y_hat, Y)",
        sample_arguments,
        relative,
        WRONGS,
        cases=CASES,
        learns=True,
        targets=(1,),
        pairs=pairs_of(ERROR, (wrong for wrong in WRONGS if wrong.name not in NO_MATRICES)),
        chapter="11-texture",
    ),
)
