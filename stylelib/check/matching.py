"""The nearest features: reference and likely mistakes (chapter 24)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong

__all__ = ["EXERCISES", "Array", "matrices", "unit"]

Array = NDArray[Any]


def nearest_arguments() -> list[Arguments]:
    """Two calls, (columns, candidates): (D, M) and (D, K). All features are similar, as after a
    ReLU, and differ in strength; no match is close to a tie.
    """
    calls: list[Arguments] = []
    for seed, (D, M, K) in ((24, (6, 40, 30)), (25, (8, 25, 36))):
        random = np.random.default_rng(seed)
        scale = random.uniform(0.5, 2, (D, 1))
        columns, candidates = (
            (random.standard_normal((D, n)) * scale + offset) * random.uniform(0.5, 2, n)
            for n, offset in ((M, 1.2), (K, random.uniform(0.5, 2, (D, 1))))
        )
        calls.append(tuple(torch.from_numpy(a).float() for a in (columns, candidates)))
    return calls


def matrices(columns: Tensor, candidates: Tensor) -> tuple[Array, Array]:
    """In float64."""
    return columns.double().numpy(), candidates.double().numpy()


def nearest(columns: Tensor, candidates: Tensor) -> Array:
    """Column by column: the largest cosine after each set's own mean is subtracted."""
    a, b = matrices(columns, candidates)
    mean, other = (sum(each.T) / each.shape[1] for each in (a, b))
    found = []
    for column in a.T - mean:
        cosines = [
            column @ candidate / (column @ column * (candidate @ candidate)) ** 0.5
            for candidate in b.T - other
        ]
        found.append(max(range(len(cosines)), key=cosines.__getitem__))
    return np.array(found)


def unit(a: Array, axis: int = 0) -> Array:
    """With lengths of 1."""
    return np.asarray(a / np.linalg.norm(a, axis=axis, keepdims=True))


def centered(a: Array, axis: int | None = 1) -> Array:
    """Minus a mean."""
    return np.asarray(a - a.mean(axis=axis, keepdims=True))


def scored(name: str, sentence: str, scores: Callable[[Array, Array], Array]) -> Wrong:
    """The candidate with the highest of other scores, (M, K)."""
    return Wrong(name, sentence, lambda *a: scores(*matrices(*a)).argmax(axis=1))


def cosines(a: Array, b: Array) -> Array:
    """Of columns as they are, (M, K)."""
    return unit(a).T @ unit(b)


def right_scores(a: Array, b: Array) -> Array:
    """Of centered columns."""
    return cosines(centered(a), centered(b))


def closeness(a: Array, b: Array, power: int = 2) -> Array:
    """The negative distance, (M, K)."""
    return np.asarray(-(np.abs(a[:, :, None] - b[:, None]) ** power).sum(axis=0))


NEAREST = (
    scored(
        "not_centered", "You do not subtract the mean feature before you take cosines.", cosines
    ),
    scored(
        "only_columns_centered",
        "You subtract a mean from the columns only; subtract the candidates' mean from them, "
        "too.",
        lambda a, b: cosines(centered(a), b),
    ),
    scored(
        "only_candidates_centered",
        "You subtract a mean from the candidates only; subtract the columns' mean from them, "
        "too.",
        lambda a, b: cosines(a, centered(b)),
    ),
    scored(
        "one_mean_for_both",
        "You subtract one mean of columns and candidates together; each has its own.",
        lambda a, b: cosines(
            *(each - np.hstack([a, b]).mean(1, keepdims=True) for each in (a, b))
        ),
    ),
    scored(
        "mean_of_columns_for_both",
        "You subtract the columns' mean from the candidates; they have a mean of their own.",
        lambda a, b: cosines(centered(a), b - a.mean(axis=1, keepdims=True)),
    ),
    scored(
        "mean_of_candidates_for_both",
        "You subtract the candidates' mean from the columns; they have a mean of their own.",
        lambda a, b: cosines(a - b.mean(axis=1, keepdims=True), centered(b)),
    ),
    scored(
        "centered_over_features",
        "You subtract the mean of each column; subtract the mean column, over dim=1.",
        lambda a, b: cosines(centered(a, 0), centered(b, 0)),
    ),
    scored(
        "one_number_subtracted",
        "You subtract a single number, the mean of everything; subtract the mean column, over "
        "dim=1.",
        lambda a, b: cosines(centered(a, None), centered(b, None)),
    ),
    scored(
        "not_normalized",
        "You compare inner products, or divide the columns alone: divide the candidates by "
        "their lengths, too, or long ones win.",
        lambda a, b: centered(a).T @ centered(b),
    ),
    scored(
        "products_alone",
        "You compare plain inner products: subtract the mean first, and divide by the lengths.",
        lambda a, b: a.T @ b,
    ),
    scored(
        "normalized_over_places",
        "You normalize each feature over the places, or divide it by its deviation; divide "
        "each column by its length, over dim=0.",
        lambda a, b: unit(centered(a), 1).T @ unit(centered(b), 1),
    ),
    scored(
        "normalized_over_places_not_centered",
        "You normalize along the wrong axis, dim=1, and do not subtract the mean.",
        lambda a, b: unit(a, 1).T @ unit(b, 1),
    ),
    scored(
        "normalized_before_centering",
        "You normalize first and subtract the mean after that; subtract it first.",
        lambda a, b: centered(unit(a)).T @ centered(unit(b)),
    ),
    scored(
        "squared_length",
        "You divide by the squared length: the root is missing.",
        lambda a, b: centered(a).T @ (centered(b) / (centered(b) ** 2).sum(axis=0)),
    ),
    scored(
        "sum_of_absolute_values",
        "You divide by the sum of absolute values; divide by the length, the root of the sum "
        "of squares.",
        lambda a, b: centered(a).T @ (centered(b) / np.abs(centered(b)).sum(axis=0)),
    ),
    scored(
        "least_alike",
        "You take the smallest cosine, which is the candidate least alike; take the largest.",
        lambda a, b: -right_scores(a, b),
    ),
    scored(
        "least_alike_not_centered",
        "You take the smallest cosine; take the largest, after the mean is subtracted.",
        lambda a, b: -cosines(a, b),
    ),
    scored(
        "absolute_cosine",
        "You take the largest absolute cosine; opposite columns are not alike.",
        lambda a, b: np.abs(right_scores(a, b)),
    ),
    scored(
        "distance",
        "You take the candidate at the least distance; take the one with the largest cosine.",
        closeness,
    ),
    scored(
        "distance_of_centered",
        "You take the least distance of centered columns; take the largest cosine.",
        lambda a, b: closeness(centered(a), centered(b)),
    ),
    scored(
        "absolute_distance",
        "You take the least sum of absolute differences; take the largest cosine.",
        lambda a, b: closeness(a, b, 1),
    ),
    scored(
        "largest_distance",
        "You take the candidate farthest away; take the one with the largest cosine.",
        lambda a, b: -closeness(a, b),
    ),
    scored(
        "reshaped_for_transposed",
        "You reshape the columns to (M, D) for the product, which mixes them; transpose them: "
        "columns.T.",
        lambda a, b: unit(centered(a)).reshape(a.shape[::-1]) @ unit(centered(b)),
    ),
    Wrong(
        "columns_for_candidates",
        "You find a column for each candidate; find a candidate for each column, over the "
        "other axis.",
        lambda *a: right_scores(*matrices(*a)).argmax(axis=0),
    ),
    Wrong(
        "counted_from_one",
        "Your numbers are one too large; count from 0.",
        lambda *a: nearest(*a) + 1,
    ),
    Wrong(
        "cosines_returned",
        "You return the largest cosines; return the numbers of the candidates, by argmax.",
        lambda *a: right_scores(*matrices(*a)).max(axis=1),
    ),
    Wrong(
        "all_cosines_returned",
        "You return all cosines; return the number of the largest in each row, by argmax.",
        lambda *a: right_scores(*matrices(*a)),
    ),
    Wrong(
        "features_returned",
        "You return the candidates themselves; return their numbers.",
        lambda columns, candidates: matrices(columns, candidates)[1][
            :, nearest(columns, candidates)
        ],
    ),
)

EXERCISES = (
    Exercise(
        "nearest",
        "the choice of candidates",
        "nearest(columns, candidates)",
        nearest_arguments,
        nearest,
        NEAREST,
        cases=("40 columns and 30 candidates", "25 columns and 36 candidates"),
        chapter="24-nearest-neighbors",
    ),
)
