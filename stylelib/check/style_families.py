"""style_loss: families of mistakes (chapter 5)."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.axes import Mistake, of_differences, of_two
from stylelib.check.content_families import products
from stylelib.check.exercises import Wrong
from stylelib.check.gram_families import MISTAKES
from stylelib.check.grams import GRAM, gram_of
from stylelib.check.inputs import array

__all__ = ["WRONGS"]

AXES = "images", "rows", "columns"
"""Of the Gram matrices. They are symmetric, so columns are no different."""

OF_MATRICES: tuple[Mistake, ...] = (
    Mistake(
        "triangle_of_zeros",
        "counts one triangle of the matrices and divides by the number of all entries. "
        "Take the mean over all entries",
        lambda D: (np.triu(D) ** 2).mean(),
    ),
    Mistake(
        "strict_triangle_of_zeros",
        "counts the entries above the diagonal alone, and divides by the number of all. "
        "Take the mean over all entries",
        lambda D: (np.triu(D, 1) ** 2).mean(),
    ),
    Mistake(
        "no_diagonal",
        "leaves out the diagonal, and divides by the number of all entries. Take the mean "
        "over all entries",
        lambda D: ((D * (1 - np.eye(D.shape[1]))) ** 2).mean(),
    ),
    Mistake(
        "diagonal_of_all",
        "counts the diagonal alone, and divides by the number of all entries. Count all",
        lambda D: (np.einsum("nii->ni", D) ** 2).sum() / D.size,
    ),
    Mistake(
        "largest_entry",
        "is the largest squared difference. Take the mean",
        lambda D: (D**2).max(),
    ),
    Mistake(
        "variance",
        "is the variance of the differences: their mean is subtracted. Leave it in",
        lambda D: D.var(),
    ),
    Mistake(
        "unbiased_variance",
        "is the variance of the differences: their mean is subtracted. Leave it in",
        lambda D: D.var(ddof=1),
    ),
    Mistake(
        "trace",
        "squares the trace of the difference. Square all entries",
        lambda D: (np.einsum("nii->n", D) ** 2).mean(),
    ),
    Mistake(
        "matrix_square",
        "multiplies the difference by itself as a matrix. Square each entry",
        lambda D: (D @ D).mean(),
    ),
    Mistake(
        "matrix_square_added_up",
        "multiplies the difference by itself as a matrix. Square each entry",
        lambda D: (D @ D).sum(),
    ),
    Mistake(
        "largest_eigenvalue",
        "is the largest eigenvalue of the difference. Take the mean of its squares",
        lambda D: abs(np.linalg.eigvalsh(D)).max(),
    ),
    Mistake(
        "one_channel_less",
        "is divided by C * (C - 1). Divide by the number of entries, C * C",
        lambda D: (D**2).sum() / (len(D) * D.shape[1] * (D.shape[1] - 1)),
    ),
    Mistake(
        "entries_of_triangle",
        "is divided by the number of entries in one triangle. Divide by C * C",
        lambda D: 2 * (D**2).sum() / (len(D) * D.shape[1] * (D.shape[1] + 1)),
    ),
)
"""What is special about matrices."""


def _scaled_first(Y_hat: Tensor, gram_Y: Tensor, factor: Any) -> Any:
    F = array(Y_hat)
    return ((factor(F) * (gram_of(F) - array(gram_Y))) ** 2).mean()


SIZES: tuple[tuple[str, str, Any], ...] = (
    (
        "positions",
        "the number of positions",
        lambda F: F[0, 0].size,
    ),
    ("channels", "the number of channels", lambda F: F.shape[1]),
    ("values", "the number of values, C * H * W", lambda F: F[0].size),
)

WITH_A_TARGET: tuple[tuple[str, str, Any], ...] = (
    (
        "features_for_gram",
        "compares means of the features with the rows of gram_Y. Compare Gram matrices",
        lambda F, A: ((F.mean((2, 3)) - A.mean(1)) ** 2).mean(),
    ),
    (
        "eigenvalues",
        "compares eigenvalues. Compare the entries of the matrices",
        lambda F, A: ((np.linalg.eigvalsh(gram_of(F)) - np.linalg.eigvalsh(A)) ** 2).mean(),
    ),
    (
        "traces",
        "compares traces alone. Compare all entries",
        lambda F, A: ((np.einsum("nii->n", gram_of(F)) - np.einsum("nii->n", A)) ** 2).mean(),
    ),
    (
        "mean_gram_with_each_target",
        "averages your Gram matrices over the batch, and compares the mean with each target. "
        "Compare image by image",
        lambda F, A: ((gram_of(F).mean(0) - A) ** 2).mean(),
    ),
    (
        "gram_of_your_gram",
        "takes the Gram matrix of a Gram matrix. Take it once",
        lambda F, A: ((gram_of(F) @ gram_of(F) - A) ** 2).mean(),
    ),
    (
        "logarithms",
        "compares logarithms of the entries. Compare the entries themselves",
        lambda F, A: ((np.log(abs(gram_of(F))) - np.log(abs(A))) ** 2).mean(),
    ),
    (
        "roots",
        "compares roots of the entries. Compare the entries themselves",
        lambda F, A: ((np.sqrt(abs(gram_of(F))) - np.sqrt(abs(A))) ** 2).mean(),
    ),
)

COMPARED = (*of_differences(AXES[:2]), *of_two(AXES[:2]))
_ALL_AXES = tuple(
    each
    for each in (*of_differences(AXES), *of_two(AXES))
    if "columns" in each.name and "rows" in each.name
)


def _wrong(name: str, said: str, formula: Any) -> Wrong:
    return Wrong(name, f"Your style loss {said}.", formula)


_NAMES = {each.name for each in of_two(AXES)}
_BY_GRAM = {wrong.name: wrong.sentence for wrong in GRAM.wrongs}

WRONGS = (
    *(
        _wrong(name, said, lambda Y, A, f=formula: f(gram_of(array(Y)), array(A)))
        if name in _NAMES
        else _wrong(name, said, lambda Y, A, f=formula: f(gram_of(array(Y)) - array(A)))
        for name, said, formula in (*COMPARED, *_ALL_AXES)
    ),
    *(
        _wrong(name, said, lambda Y, A, f=formula: f(gram_of(array(Y)) - array(A)))
        for name, said, formula in (*OF_MATRICES, *products())
        if not name.startswith(("products_of_places", "mean_products_of_places"))
    ),
    *(
        _wrong(
            f"both_times_{name}",
            f"multiplies both Gram matrices by {words}. They are divided already",
            lambda Y, A, factor=factor: _scaled_first(Y, A, factor),
        )
        for name, words, factor in SIZES
    ),
    *(
        _wrong(name, said, lambda Y, A, f=formula: f(array(Y), array(A)))
        for name, said, formula in WITH_A_TARGET
    ),
    *(
        Wrong(
            f"gram_{name}",
            f"In your style loss, the Gram matrix of the features {said}.",
            lambda Y, A, f=formula: ((f(array(Y)) - array(A)) ** 2).mean(),
        )
        for name, said, formula in MISTAKES
    ),
    *(
        Wrong(
            f"of_{wrong.name}",
            wrong.sentence.replace(
                "Your Gram matrix", "In your style loss, the Gram matrix of the features"
            ),
            lambda Y, A, version=wrong.version: ((version(Y) - array(A)) ** 2).mean(),
        )
        for wrong in GRAM.wrongs
    ),
)
