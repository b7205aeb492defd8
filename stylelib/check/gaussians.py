"""The loss of Gaussians: reference and likely mistakes (chapter 23)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.distributions import (
    CASES,
    Array,
    clouds,
    feature_arguments,
    of_clouds,
    reshaped,
)
from stylelib.check.exercises import Exercise, Wrong
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]


def covariances(F: Array, ddof: int = 0) -> Array:
    """Of the channels of each cloud (N, C, M): (N, C, C)."""
    D = F - F.mean(axis=2, keepdims=True)
    return np.asarray(D @ D.swapaxes(1, 2) / (F.shape[2] - ddof))


def root(S: Array) -> Array:
    """The symmetric root of a symmetric matrix."""
    values, vectors = np.linalg.eigh(S)
    return np.asarray(vectors * np.sqrt(values.clip(0)) @ vectors.T)


def traces(S: Array, T: Array) -> tuple[Array, Array]:
    """For each image: tr(S + S*) and tr((S*^1/2 S S*^1/2)^1/2), each (N,)."""
    both = np.trace(S, axis1=1, axis2=2) + np.trace(T[0])
    half = root(T[0])
    return both, np.array([np.trace(root(half @ each @ half)) for each in S])


def parts(F: Array, P: Array, S: Array, T: Array) -> tuple[Array, Array, Array]:
    """(mu - mu*)^2, and the traces, each (N,)."""
    return (((F.mean(axis=2) - P.mean(axis=2)) ** 2).sum(axis=1), *traces(S, T))


def gaussian(Y_hat: Tensor, Y: Tensor) -> float:
    """In float64, by the eigenvalues of S S*, which are those of S*^1/2 S S*^1/2."""
    F, P = clouds(Y_hat, Y)
    S, T = covariances(F), covariances(P)[0]
    total = 0.0
    for n, each in enumerate(S):
        moved = ((F[n].mean(axis=1) - P[0].mean(axis=1)) ** 2).sum()
        roots = np.sqrt(np.linalg.eigvals(each @ T).real)
        total += moved + np.trace(each + T) - 2 * roots.sum()
    return float(total / F.shape[0] / F.shape[1])


def right_sum(m: Array, t: Array, o: Array) -> Array:
    """The squared distance."""
    return np.asarray(m + t - 2 * o)


@dataclass(frozen=True)
class Loss:
    """The loss by parts.

    Attributes:
        distance: from (mu - mu*)^2 and the covariances S and S*, for each image.
        spread: the covariances of clouds.
        order: what becomes of the clouds before.
    """

    distance: Callable[[Array, Array, Array], Any] = lambda m, S, T: right_sum(m, *traces(S, T))
    spread: Callable[[Array], Array] = covariances
    order: Callable[[Array], Array] = lambda F: F

    def __call__(self, Y_hat: Tensor, Y: Tensor) -> Any:
        """The mean distance, over C."""
        F, P = (self.order(cloud) for cloud in clouds(Y_hat, Y))
        moved = ((F.mean(axis=2) - P.mean(axis=2)) ** 2).sum(axis=1)
        return np.mean(self.distance(moved, self.spread(F), self.spread(P))) / F.shape[1]


LOSS = Loss()


def of_parts(
    name: str,
    sentence: str,
    formula: Callable[[Array, Array, Array], Any] = right_sum,
    spread: Callable[[Array], Array] = covariances,
) -> Wrong:
    """A mistake in how the parts are put together, or in the covariances; over C in the end."""
    if formula is right_sum:
        return Wrong(name, sentence, replace(LOSS, spread=spread))
    return Wrong(
        name, sentence, replace(LOSS, distance=lambda m, S, T: formula(m, *traces(S, T)))
    )


def elementwise(S: Array, T: Array) -> Any:
    """tr(S + S* - 2 (S S*)^1/2) with the root of each entry."""
    product = np.sqrt((S @ T).clip(0))
    return np.trace(S + T - 2 * product, axis1=1, axis2=2)


def of_covariances(name: str, sentence: str, formula: Callable[[Array, Array], Any]) -> Wrong:
    """A mistake in the term of the covariances, (N,) from (N, C, C) and (1, C, C)."""
    return Wrong(name, sentence, replace(LOSS, distance=lambda m, S, T: m + formula(S, T)))


def squared(D: Array) -> Array:
    """The sum of the squares of each matrix."""
    return np.asarray((D**2).sum(axis=(1, 2)))


def each_root(S: Array) -> Array:
    """Of a stack of matrices."""
    return np.stack([root(each) for each in S])


def pooled(F: Array, P: Array) -> Any:
    """The batch as one cloud."""
    one = F.transpose(1, 0, 2).reshape(1, F.shape[1], -1)
    return right_sum(*parts(one, P, covariances(one), covariances(P))).mean() / F.shape[1]


GAUSSIANS = (
    of_clouds(
        "not_divided_by_channels",
        "You do not divide the distance by the number of channels.",
        lambda F, P: right_sum(*parts(F, P, covariances(F), covariances(P))).mean(),
    ),
    of_clouds(
        "divided_by_channels_squared",
        "You divide by the number of channels twice.",
        lambda F, P: (
            right_sum(*parts(F, P, covariances(F), covariances(P))).mean() / F.shape[1] ** 2
        ),
    ),
    of_clouds(
        "sum_over_batch",
        "You add up the images of the batch; take their mean.",
        lambda F, P: right_sum(*parts(F, P, covariances(F), covariances(P))).sum() / F.shape[1],
    ),
    of_parts(
        "distance_not_squared",
        "You take the square root of the distance; the loss is the squared distance over C.",
        lambda m, t, o: np.sqrt(right_sum(m, t, o)),
    ),
    of_clouds(
        "root_in_the_end",
        "You take a square root in the end; the loss is the squared distance over C.",
        lambda F, P: np.sqrt(
            right_sum(*parts(F, P, covariances(F), covariances(P))).mean() / F.shape[1]
        ),
    ),
    of_parts(
        "means_only",
        "Your loss has the means only; add the term of the covariances.",
        lambda m, t, o: m,
    ),
    of_parts(
        "covariances_only",
        "Your loss has the covariances only; add the squared distance of the means.",
        lambda m, t, o: t - 2 * o,
    ),
    of_parts(
        "overlap_without_two",
        "The matrix root in your trace is not multiplied by 2.",
        lambda m, t, o: m + t - o,
    ),
    of_parts(
        "overlap_added",
        "You add the matrix root; subtract it twice.",
        lambda m, t, o: m + t + 2 * o,
    ),
    of_parts(
        "overlap_forgotten",
        "Your trace has S + S* only; subtract twice the matrix root.",
        lambda m, t, o: m + t,
    ),
    of_parts(
        "traces_forgotten",
        "Your trace has the matrix root only; add tr(S) and tr(S*).",
        lambda m, t, o: m - 2 * o,
    ),
    of_parts(
        "means_not_squared",
        "You add the distance of the means; add its square.",
        lambda m, t, o: np.sqrt(m) + t - 2 * o,
    ),
    of_clouds(
        "means_averaged_twice",
        "You take the mean over the channels for the means' term, and divide by C once more.",
        lambda F, P: (
            right_sum(
                *(
                    part / (F.shape[1] if k == 0 else 1)
                    for k, part in enumerate(parts(F, P, covariances(F), covariances(P)))
                )
            ).mean()
            / F.shape[1]
        ),
    ),
    of_clouds(
        "only_means_divided",
        "You divide the means' term by the number of channels, but not that of the "
        "covariances.",
        lambda F, P: right_sum(
            *(
                part / (F.shape[1] if k == 0 else 1)
                for k, part in enumerate(parts(F, P, covariances(F), covariances(P)))
            )
        ).mean(),
    ),
    of_clouds(
        "only_covariances_divided",
        "You divide the covariances' term by the number of channels, but not that of the "
        "means.",
        lambda F, P: right_sum(
            *(
                part / (F.shape[1] if k > 0 else 1)
                for k, part in enumerate(parts(F, P, covariances(F), covariances(P)))
            )
        ).mean(),
    ),
    of_parts(
        "not_centered",
        "Your covariances are mean products: subtract the means first.",
        right_sum,
        lambda F: F @ F.swapaxes(1, 2) / F.shape[2],
    ),
    of_parts(
        "unbiased",
        "Your covariances divide by M - 1, as torch.cov does by default; divide by M.",
        right_sum,
        lambda F: covariances(F, ddof=1),
    ),
    of_parts(
        "not_divided_by_places",
        "Your covariances are sums over the positions; divide them by M.",
        right_sum,
        lambda F: covariances(F) * F.shape[2],
    ),
    of_parts(
        "covariances_divided_by_channels",
        "Your covariances are divided by C * M, as a Gram matrix is; divide them by M alone.",
        right_sum,
        lambda F: covariances(F) / F.shape[1],
    ),
    of_parts(
        "over_channels",
        "You subtract the mean over the channels of each position; subtract each channel's "
        "mean over its positions.",
        right_sum,
        lambda F: (D := F - F.mean(axis=1, keepdims=True)) @ D.swapaxes(1, 2) / F.shape[2],
    ),
    of_parts(
        "one_mean_for_all",
        "You subtract one mean of the whole layer; subtract each channel's own.",
        right_sum,
        lambda F: (D := F - F.mean(axis=(1, 2), keepdims=True)) @ D.swapaxes(1, 2) / F.shape[2],
    ),
    of_parts(
        "diagonals_only",
        "You use the variances only, as if channels did not depend on each other; use the "
        "whole covariance matrices.",
        right_sum,
        lambda F: covariances(F) * np.eye(F.shape[1]),
    ),
    of_covariances(
        "frobenius",
        "You compare the covariances entry by entry; take the trace of "
        "S + S* - 2 (S*^1/2 S S*^1/2)^1/2.",
        lambda S, T: squared(S - T),
    ),
    of_covariances(
        "mean_of_squares",
        "You take the mean squared difference of the covariances; take the trace of "
        "S + S* - 2 (S*^1/2 S S*^1/2)^1/2.",
        lambda S, T: ((S - T) ** 2).mean(axis=(1, 2)),
    ),
    of_covariances(
        "roots_multiplied",
        "You multiply S^1/2 by S*^1/2, which is right only if the two commute; take the root "
        "of S*^1/2 S S*^1/2.",
        lambda S, T: squared(each_root(S) - each_root(T)),
    ),
    of_covariances(
        "root_forgotten",
        "You subtract the product of the covariances; subtract its matrix root.",
        lambda S, T: np.trace(S + T - 2 * S @ T, axis1=1, axis2=2),
    ),
    of_covariances(
        "inner_roots_forgotten",
        "You leave out the roots of S*: the root is that of S*^1/2 S S*^1/2, and yours is "
        "that of S* S S*.",
        lambda S, T: np.trace(S + T - 2 * each_root(T @ S @ T), axis1=1, axis2=2),
    ),
    of_covariances(
        "root_of_entries",
        "You take the root of each entry; a matrix root R has R @ R equal to the matrix.",
        elementwise,
    ),
    of_covariances(
        "root_of_inner_entries",
        "You take the root of each entry of S*^1/2 S S*^1/2, or of its diagonal; the trace of "
        "its matrix root is the sum of the roots of its eigenvalues.",
        lambda S, T: np.trace(
            S + T - 2 * np.sqrt((each_root(T) @ S @ each_root(T)).clip(0)), axis1=1, axis2=2
        ),
    ),
    Wrong(
        "reshaped",
        "You reshape (C, H, W) to (H W, C), which mixes channels and positions; flatten the "
        "positions and then transpose.",
        replace(LOSS, order=reshaped),
    ),
    of_covariances(
        "root_of_one",
        "You take the root of one covariance only; take that of S*^1/2 S S*^1/2.",
        lambda S, T: np.trace(S + T - 2 * S @ each_root(T), axis1=1, axis2=2),
    ),
    of_covariances(
        "root_of_trace",
        "You take the root of a trace; take the trace of a matrix root.",
        lambda S, T: (
            np.trace(S + T, axis1=1, axis2=2) - 2 * np.sqrt(np.trace(S @ T, axis1=1, axis2=2))
        ),
    ),
    of_covariances(
        "sum_for_trace",
        "You add up all entries of the matrix; a trace is the sum of the diagonal.",
        lambda S, T: (S + T - 2 * each_root(each_root(T) @ S @ each_root(T))).sum(axis=(1, 2)),
    ),
    of_clouds(
        "batch_as_one",
        "You take the whole batch as one cloud; each image has a mean and a covariance of its "
        "own.",
        pooled,
    ),
)

EXERCISES = (
    Exercise(
        "gaussian_loss",
        "the loss of Gaussians",
        "gaussian_loss(Y_hat, Y)",
        feature_arguments,
        gaussian,
        GAUSSIANS,
        cases=CASES,
        tolerance=3e-4,
        learns=True,
        targets=(1,),
        pairs=pairs_of(LOSS, GAUSSIANS),
        chapter="23-six-losses",
    ),
)
