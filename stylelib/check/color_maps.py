"""Matrices from the covariance of some colors to another: likely mistakes (chapter 26)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylelib.check.gaussians import root

__all__ = ["WAYS", "Array", "Way", "symmetric"]

Array = NDArray[Any]
Way = Callable[[Array, Array], Array]
"""From covariances S and T (3, 3) to a matrix."""


def inverse_root(S: Array) -> Array:
    """S^-1/2."""
    return np.asarray(np.linalg.inv(root(S)))


def symmetric(S: Array, T: Array) -> Array:
    """S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2."""
    return inverse_root(S) @ root(root(S) @ T @ root(S)) @ inverse_root(S)


def axes(S: Array) -> Array:
    """E times the roots of the variances: a root of S that is not symmetric."""
    values, vectors = np.linalg.eigh(S)
    return np.asarray(vectors * np.sqrt(values))


def entries(S: Array) -> Array:
    """The root of each entry."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.sqrt(S))


def by_entries(S: Array, T: Array) -> Array:
    """The formula, with roots of entries."""
    half = np.linalg.inv(entries(S))
    return half @ entries(entries(S) @ T @ entries(S)) @ half


def deviations(S: Array) -> Array:
    """A diagonal matrix of standard deviations."""
    return np.diag(np.sqrt(np.diag(S)))


WAYS: tuple[tuple[str, str, Way], ...] = (
    (
        "roots_only",
        "Your matrix is T^1/2 S^-1/2. It gives the right covariance, but it also rotates the "
        "colors: take S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2.",
        lambda S, T: root(T) @ inverse_root(S),
    ),
    (
        "roots_in_the_wrong_order",
        "Your matrix is S^-1/2 T^1/2, which does not even give the covariance T: whiten with "
        "S^-1/2 first, which stands on the right.",
        lambda S, T: inverse_root(S) @ root(T),
    ),
    (
        "cholesky",
        "Your matrix is L_T L_S^-1, from Cholesky factors. It gives the right covariance, but "
        "the order of the channels matters. Take the symmetric one.",
        lambda S, T: np.linalg.cholesky(T) @ np.linalg.inv(np.linalg.cholesky(S)),
    ),
    (
        "cholesky_in_the_wrong_order",
        "Your matrix is L_S^-1 L_T, from Cholesky factors in the wrong order. Take the "
        "symmetric one.",
        lambda S, T: np.linalg.inv(np.linalg.cholesky(S)) @ np.linalg.cholesky(T),
    ),
    (
        "cholesky_transposed",
        "Your Cholesky factors are upper triangular, so L^T L is not the covariance. Take the "
        "symmetric map.",
        lambda S, T: np.linalg.cholesky(T).T @ np.linalg.inv(np.linalg.cholesky(S).T),
    ),
    (
        "axes_on_axes",
        "You map axes on axes, with eigenvectors times roots as the root of a covariance. "
        "Their signs are arbitrary: take the symmetric root E Lambda^1/2 E^T.",
        lambda S, T: axes(T) @ np.linalg.inv(axes(S)),
    ),
    (
        "axes_in_the_formula",
        "Your roots are eigenvectors times roots of eigenvalues. Multiply by the transposed "
        "eigenvectors, too: S^1/2 = E Lambda^1/2 E^T.",
        lambda S, T: (
            np.linalg.inv(axes(S)) @ axes(axes(S) @ T @ axes(S)) @ np.linalg.inv(axes(S))
        ),
    ),
    (
        "inverse_roots_forgotten",
        "Your matrix is (S^1/2 T S^1/2)^1/2. Multiply it by S^-1/2 on both sides.",
        lambda S, T: root(root(S) @ T @ root(S)),
    ),
    (
        "inverse_root_on_the_left_only",
        "S^-1/2 is missing on the right of your matrix. It stands on both sides.",
        lambda S, T: inverse_root(S) @ root(root(S) @ T @ root(S)),
    ),
    (
        "inverse_root_on_the_right_only",
        "S^-1/2 is missing on the left of your matrix. It stands on both sides.",
        lambda S, T: root(root(S) @ T @ root(S)) @ inverse_root(S),
    ),
    (
        "roots_for_inverse_roots",
        "You multiply by S^1/2 on both sides of the root. Multiply by its inverse, S^-1/2.",
        lambda S, T: root(S) @ root(root(S) @ T @ root(S)) @ root(S),
    ),
    (
        "middle_root_forgotten",
        "You leave out the root in the middle, so your matrix is T itself.",
        lambda S, T: T,
    ),
    (
        "inner_roots_forgotten",
        "You take S in place of S^1/2 inside of the root: it is that of S^1/2 T S^1/2.",
        lambda S, T: inverse_root(S) @ root(S @ T @ S) @ inverse_root(S),
    ),
    (
        "inverses_for_inverse_roots",
        "You multiply by S^-1 on both sides of the root. Multiply by S^-1/2.",
        lambda S, T: np.linalg.inv(S) @ root(root(S) @ T @ root(S)) @ np.linalg.inv(S),
    ),
    (
        "swapped",
        "Your matrix leads from the colors of like to those of X. Swap S and T.",
        lambda S, T: symmetric(T, S),
    ),
    (
        "root_of_entries",
        "You take the root of each entry. A matrix root R has R @ R equal to the matrix: take "
        "the roots of the eigenvalues.",
        by_entries,
    ),
    (
        "channel_by_channel",
        "You scale each channel by its own standard deviation, so the correlations stay those "
        "of X. Use the whole covariance matrices.",
        lambda S, T: deviations(T) @ np.linalg.inv(deviations(S)),
    ),
    (
        "variances_for_deviations",
        "You scale each channel by the ratio of the variances. Use the whole covariance "
        "matrices, and their roots.",
        lambda S, T: np.diag(np.diag(T) / np.diag(S)),
    ),
    (
        "without_roots",
        "Your matrix is T S^-1. For A S A^T to be T you need roots of the matrices.",
        lambda S, T: T @ np.linalg.inv(S),
    ),
    (
        "means_only",
        "You match the means only. Multiply the colors by the matrix A, too.",
        lambda S, T: np.eye(3),
    ),
    (
        "only_whitened",
        "You whiten the colors and stop there. Stretch them to the covariance of like.",
        lambda S, T: inverse_root(S),
    ),
)
"""Short names, sentences, and matrices."""
