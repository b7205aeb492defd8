"""The loss of Gaussians: families of mistakes (chapter 23)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.distributions import Array, clouds
from stylelib.check.exercises import Wrong
from stylelib.check.gaussians import covariances, each_root
from stylelib.check.moment_families import REDUCTIONS

__all__ = ["WRONGS"]

Overlap = Callable[[Array, Array], Array]
"""From covariances (N, C, C) and (1, C, C) to what is subtracted twice, (N,)."""


def trace(S: Array) -> Array:
    """Of each matrix."""
    return np.asarray(np.trace(S, axis1=1, axis2=2))


def inner(S: Array, T: Array) -> Array:
    """S*^1/2 S S*^1/2."""
    half = each_root(T)
    return np.asarray(half @ S @ half)


def overlap(S: Array, T: Array) -> Array:
    """The trace of the root of S*^1/2 S S*^1/2."""
    return np.asarray(np.sqrt(np.linalg.eigvalsh(inner(S, T)).clip(0)).sum(1))


def lower(S: Array) -> Array:
    """Eigenvalues of a matrix that is taken for symmetric: of its lower triangle."""
    return np.asarray(np.linalg.eigvalsh(S))


OVERLAPS: dict[str, tuple[str, Overlap]] = {
    "singular_values": (
        "the roots of the singular values of S S*, which is not symmetric; take the roots of "
        "its eigenvalues",
        lambda S, T: np.sqrt(np.linalg.svd(S @ T, compute_uv=False)).sum(1),
    ),
    "singular_values_not_rooted": (
        "the singular values of S S*; take the roots of the eigenvalues",
        lambda S, T: np.linalg.svd(S @ T, compute_uv=False).sum(1),
    ),
    "taken_for_symmetric": (
        "eigenvalues of S S* by eigh, which uses one triangle; that product is not symmetric, "
        "so use S*^1/2 S S*^1/2",
        lambda S, T: np.sqrt(lower(S @ T).clip(0)).sum(1),
    ),
    "taken_for_symmetric_turned": (
        "eigenvalues of S* S by eigh, which uses one triangle; that product is not symmetric, "
        "so use S*^1/2 S S*^1/2",
        lambda S, T: np.sqrt(lower(T @ S).clip(0)).sum(1),
    ),
    "symmetric_part": (
        "the root of the mean of S S* and S* S; take the root of S*^1/2 S S*^1/2",
        lambda S, T: np.sqrt(lower((S @ T + T @ S) / 2).clip(0)).sum(1),
    ),
    "eigenvalues_not_rooted": (
        "the eigenvalues without their roots",
        lambda S, T: np.linalg.eigvalsh(inner(S, T)).sum(1),
    ),
    "half_once": (
        "S*^1/2 on one side only; the root is that of S*^1/2 S S*^1/2",
        lambda S, T: np.sqrt(np.abs(np.linalg.eigvals(each_root(T) @ S))).sum(1),
    ),
    "sorted_eigenvalues": (
        "products of sorted eigenvalues of S and S*, as if they commuted",
        lambda S, T: np.sqrt(lower(S).clip(0) * lower(T).clip(0)).sum(1),
    ),
    "diagonals": (
        "the roots of the variances' products; take the whole matrices",
        lambda S, T: np.sqrt(np.einsum("nii->ni", S) * np.einsum("nii->ni", T)).sum(1),
    ),
    "diagonal_roots": (
        "the roots of the diagonal of S S*; take the trace of a matrix root",
        lambda S, T: np.sqrt(np.einsum("nii->ni", S @ T).clip(0)).sum(1),
    ),
    "root_of_sum": (
        "the root of the sum of eigenvalues; take the sum of their roots",
        lambda S, T: np.sqrt(np.linalg.eigvalsh(inner(S, T)).sum(1)),
    ),
    "largest_eigenvalue": (
        "the root of the largest eigenvalue; add the roots of all",
        lambda S, T: np.sqrt(np.linalg.eigvalsh(inner(S, T))[:, -1]),
    ),
    "smallest_eigenvalue": (
        "the root of the smallest eigenvalue; add the roots of all",
        lambda S, T: np.sqrt(np.linalg.eigvalsh(inner(S, T))[:, 0].clip(0)),
    ),
    "determinant": (
        "the root of a determinant; take the trace of a matrix root",
        lambda S, T: np.sqrt(np.linalg.det(S @ T).clip(0)),
    ),
    "frobenius": (
        "the Frobenius norm of a root; take its trace",
        lambda S, T: np.sqrt(((each_root(S) @ each_root(T)) ** 2).sum((1, 2))),
    ),
    "mean_of_eigenvalues": (
        "the mean of the eigenvalues' roots; take their sum",
        lambda S, T: np.sqrt(np.linalg.eigvalsh(inner(S, T)).clip(0)).mean(1),
    ),
    "root_twice": (
        "the fourth roots of the eigenvalues: the root is taken twice",
        lambda S, T: (np.linalg.eigvalsh(inner(S, T)).clip(0) ** 0.25).sum(1),
    ),
    "geometric_mean_of_traces": (
        "the root of tr(S) tr(S*); take the trace of a matrix root",
        lambda S, T: np.sqrt(trace(S) * trace(T)),
    ),
    "cholesky": (
        "the trace of a product of Cholesky factors; take its singular values",
        lambda S, T: trace(np.linalg.cholesky(S).swapaxes(1, 2) @ np.linalg.cholesky(T)),
    ),
    "target_alone": (
        "the root of S* S* only: S is missing in it",
        lambda S, T: trace(T) + 0 * trace(S),
    ),
    "own_alone": ("the root of S S only: S* is missing in it", lambda S, T: trace(S)),
    "sum_of_entries": (
        "the sum of all entries of the root; a trace is the sum of its diagonal",
        lambda S, T: each_root(inner(S, T)).sum((1, 2)),
    ),
    "first_entry": (
        "the first entry of the root; a trace is the sum of its diagonal",
        lambda S, T: each_root(inner(S, T))[:, 0, 0],
    ),
    "sum_of_entries_of_roots": (
        "the sum of all entries of S^1/2 S*^1/2; take the trace of a matrix root",
        lambda S, T: (each_root(S) @ each_root(T)).sum((1, 2)),
    ),
    "of_sum": (
        "the root of S + S*; take that of S*^1/2 S S*^1/2",
        lambda S, T: trace(each_root(S + T)),
    ),
    "vectors_not_turned": (
        "a root without the eigenvectors on its right, V sqrt(L); it is V sqrt(L) V^T",
        lambda S, T: trace(unturned(T) @ S @ unturned(T)),
    ),
    "half_without_vectors": (
        "V sqrt(L) for the root of S*; it is V sqrt(L) V^T",
        lambda S, T: np.sqrt(np.abs(np.linalg.eigvals(unturned(T) @ S @ unturned(T)))).sum(1),
    ),
    "half_inverted": (
        "V^T sqrt(L) V for the root of S*; it is V sqrt(L) V^T",
        lambda S, T: np.sqrt(np.linalg.eigvalsh(inverted(T) @ S @ inverted(T)).clip(0)).sum(1),
    ),
}


def unturned(S: Array) -> Array:
    """V sqrt(L) of each matrix."""
    values, vectors = np.linalg.eigh(S)
    return np.asarray(vectors * np.sqrt(values.clip(0))[:, None])


def inverted(S: Array) -> Array:
    """V^T sqrt(L) V of each matrix."""
    values, vectors = np.linalg.eigh(S)
    return np.asarray((vectors.swapaxes(1, 2) * np.sqrt(values.clip(0))[:, None]) @ vectors)


def loss(F: Array, P: Array, S: Array, T: Array, of: Overlap = overlap) -> Array:
    """The squared distance over C, for each image."""
    moved = ((F.mean(2) - P.mean(2)) ** 2).sum(1)
    return np.asarray((moved + trace(S) + trace(T) - 2 * of(S, T)) / F.shape[1])


def of_clouds(name: str, sentence: str, formula: Callable[[Array, Array], Any]) -> Wrong:
    """A mistake that is a function of the two clouds."""

    def version(Y_hat: Tensor, Y: Tensor) -> Any:
        return formula(*clouds(Y_hat, Y))

    return Wrong(name, sentence, version)


def mean_loss(of: Overlap) -> Callable[[Array, Array], Any]:
    """Of two clouds, with another overlap."""
    return lambda F, P: loss(F, P, covariances(F), covariances(P), of).mean()


IN_OVERLAP = tuple(
    of_clouds(
        f"overlap_{name}",
        f"In the place of the matrix root's trace you take {said}.",
        mean_loss(of),
    )
    for name, (said, of) in OVERLAPS.items()
)

COUNTS = {0: "leave out", 0.5: "take half of", 2: "take twice", -1: "subtract"}


def combinations() -> list[Wrong]:
    """Terms that are left out, doubled or subtracted."""
    found = []
    names = "the means' term", "tr(S)", "tr(S*)"
    for factors in itertools.product((1, 0, 0.5, 2, -1), repeat=3):
        for k in (2, 1, 4, 0.5, 0):
            wrong = [f for f in (*factors, k / 2) if f != 1]
            if not wrong or len(wrong) > 2 or (len(wrong) == 2 and -1 in wrong):
                continue
            if (factors, k) in KNOWN_SUMS:
                continue
            said = [
                f"{COUNTS[f]} {name}"
                for f, name in zip(factors, names, strict=True)
                if f in COUNTS
            ]
            if k != 2:
                said.append(
                    f"subtract the matrix root {k:g} times" if k else "leave out the root"
                )

            def formula(F: Array, P: Array, factors: Any = factors, k: float = k) -> Any:
                S, T = covariances(F), covariances(P)
                moved = ((F.mean(2) - P.mean(2)) ** 2).sum(1)
                a, b, c = factors
                total = a * moved + b * trace(S) + c * trace(T) - k * overlap(S, T)
                return (total / F.shape[1]).mean()

            found.append(
                of_clouds(
                    f"sum_{'_'.join(f'{f:g}' for f in (*factors, k))}",
                    f"You {' and '.join(said)}; it is the means' term plus tr(S) plus tr(S*) "
                    "minus 2 times the matrix root's trace.",
                    formula,
                )
            )
    return found


KNOWN_SUMS = {((1, 1, 1), 1), ((1, 1, 1), 0), ((1, 0, 0), 2)}

CENTERS: dict[str, tuple[str, Callable[[Array], Any]]] = {
    "channel": ("each channel's mean", lambda F: F.mean(2, keepdims=True)),
    "nothing": ("nothing", lambda F: 0),
    "place": ("the mean over channels", lambda F: F.mean(1, keepdims=True)),
    "layer": ("one mean of the layer", lambda F: F.mean((1, 2), keepdims=True)),
    "batch": ("the batch's mean", lambda F: F.mean((0, 2), keepdims=True)),
    "images": ("the mean over images", lambda F: F.mean(0, keepdims=True)),
    "all": ("one mean of everything", lambda F: F.mean()),
    "twice": ("each channel's mean twice", lambda F: 2 * F.mean(2, keepdims=True)),
    "median": ("each channel's median", lambda F: np.median(F, 2, keepdims=True)),
}
DIVISORS: dict[str, tuple[str, Callable[[Array], float]]] = {
    "M": ("M", lambda F: F.shape[2]),
    "M_less_one": ("M - 1", lambda F: F.shape[2] - 1),
    "one": ("nothing", lambda F: 1),
    "C": ("C", lambda F: F.shape[1]),
    "CM": ("C * M", lambda F: F.shape[1] * F.shape[2]),
    "M_root": ("the root of M", lambda F: F.shape[2] ** 0.5),
    "M_squared": ("M ** 2", lambda F: F.shape[2] ** 2),
    "C_less_one": ("C - 1", lambda F: F.shape[1] - 1),
    "N": ("the number of all images times M", lambda F: len(F) * F.shape[2]),
    "M_plus_one": ("M + 1", lambda F: F.shape[2] + 1),
}
KNOWN_SPREADS = {
    *((center, "M") for center in ("channel", "nothing", "place", "layer")),
    *(("channel", name) for name in ("M_less_one", "one", "CM")),
}


def spreads() -> list[Wrong]:
    """Covariances with another center or divisor."""
    found = []
    for (one, (center, mean)), (two, (words, count)) in itertools.product(
        CENTERS.items(), DIVISORS.items()
    ):
        if (one, two) in KNOWN_SPREADS or (one == "images" and two != "M"):
            continue
        if one in {"twice", "median", "all", "images"} and two != "M":
            continue

        def formula(F: Array, P: Array, mean: Any = mean, count: Any = count) -> Any:
            S, T = ((D := A - mean(A)) @ D.swapaxes(1, 2) / count(A) for A in (F, P))
            return loss(F, P, S, T).mean()

        said = f"Your covariances subtract {center} and are divided by {words}; subtract each "
        found.append(
            of_clouds(f"spread_{one}_{two}", f"{said}channel's mean, and divide by M.", formula)
        )
    return found


def reductions() -> list[Wrong]:
    """Other reductions over the images, and other divisors than C."""
    found = []
    for name, (said, reduce) in REDUCTIONS.items():
        if name in {"mean", "sum"}:
            continue

        def formula(F: Array, P: Array, reduce: Any = reduce) -> Any:
            return reduce(loss(F, P, covariances(F), covariances(P)), axis=0)

        found.append(
            of_clouds(
                f"{name}_of_images", f"You take {said} of the images; take their mean.", formula
            )
        )
    for name, words, count in (
        ("M", "the number of positions", lambda F: F.shape[2]),
        ("N", "the number of images once more", lambda F: F.shape[1] * len(F)),
        ("CM", "the number of channels times positions", lambda F: F[0].size),
        ("root", "the root of the number of channels", lambda F: F.shape[1] ** 0.5),
        ("4C", "4 times the number of channels", lambda F: 4 * F.shape[1]),
    ):

        def divided(F: Array, P: Array, count: Any = count) -> Any:
            distance = loss(F, P, covariances(F), covariances(P)) * F.shape[1]
            return (distance / count(F)).mean()

        found.append(
            of_clouds(
                f"divided_by_{name}",
                f"You divide the distance by {words}; divide it by the number of channels.",
                divided,
            )
        )
    return found


def correlations(F: Array) -> Array:
    """Of the channels of each cloud."""
    S = covariances(F)
    lengths = np.sqrt(np.einsum("nii->ni", S))
    return np.asarray(S / lengths[:, :, None] / lengths[:, None])


def with_means(moved: Callable[[Array, Array], Any]) -> Callable[[Array, Array], Any]:
    """Another term of the means, (N,)."""

    def formula(F: Array, P: Array) -> Any:
        S, T = covariances(F), covariances(P)
        rest = trace(S) + trace(T) - 2 * overlap(S, T)
        return ((moved(F, P) + rest) / F.shape[1]).mean()

    return formula


OTHERS = (
    of_clouds(
        "means_absolute",
        "You add absolute differences of the means; add their squares.",
        with_means(lambda F, P: np.abs(F.mean(2) - P.mean(2)).sum(1)),
    ),
    of_clouds(
        "means_summed_first",
        "You add up the differences of the means before you square; square each.",
        with_means(lambda F, P: (F.mean(2) - P.mean(2)).sum(1) ** 2),
    ),
    of_clouds(
        "means_not_squared_at_all",
        "You add the differences of the means as they are; square them.",
        with_means(lambda F, P: (F.mean(2) - P.mean(2)).sum(1)),
    ),
    of_clouds(
        "means_over_channels",
        "You take the means over the channels of each position; take them over the positions "
        "of each channel.",
        with_means(lambda F, P: ((F.mean(1) - P.mean(1)) ** 2).sum(1)),
    ),
    of_clouds(
        "means_of_layer",
        "You compare one mean of the whole layer; each channel has its own.",
        with_means(lambda F, P: (F.mean((1, 2)) - P.mean((1, 2))) ** 2),
    ),
    of_clouds(
        "sums_for_means",
        "You compare sums over the positions; compare means.",
        with_means(lambda F, P: ((F.sum(2) - P.sum(2)) ** 2).sum(1)),
    ),
    of_clouds(
        "means_of_batch_added",
        "The means' term is added up over the batch for every image; each image has its own.",
        with_means(lambda F, P: ((F.mean(2) - P.mean(2)) ** 2).sum()),
    ),
    of_clouds(
        "positions_for_means",
        "You compare position by position in place of the means.",
        with_means(lambda F, P: ((F - P) ** 2).sum(1).mean(1)),
    ),
    of_clouds(
        "correlations",
        "You compare correlations: the channels are divided by their deviations. Leave them.",
        lambda F, P: loss(F, P, correlations(F), correlations(P)).mean(),
    ),
    of_clouds(
        "absolute_in_the_end",
        "You compare matrix roots by absolute differences; take the trace formula.",
        lambda F, P: np.mean(
            (
                ((F.mean(2) - P.mean(2)) ** 2).sum(1)
                + np.abs(each_root(covariances(F)) - each_root(covariances(P))).sum((1, 2))
            )
            / F.shape[1]
        ),
    ),
    of_clouds(
        "eigenvalues_compared",
        "You compare sorted eigenvalues of the covariances; take the trace formula.",
        lambda F, P: np.mean(
            (
                ((F.mean(2) - P.mean(2)) ** 2).sum(1)
                + ((lower(covariances(F)) - lower(covariances(P))) ** 2).sum(1)
            )
            / F.shape[1]
        ),
    ),
    of_clouds(
        "covariance_of_positions",
        "Your covariances are (M, M), of positions; take those of channels, (C, C).",
        lambda F, P: loss(
            F, P, covariances(F.swapaxes(1, 2)), covariances(P.swapaxes(1, 2))
        ).mean(),
    ),
    of_clouds(
        "covariance_of_batch",
        "Your covariance is that of all images together; each has its own.",
        lambda F, P: loss(
            F, P, np.repeat(covariances(F).mean(0, keepdims=True), len(F), 0), covariances(P)
        ).mean(),
    ),
    of_clouds(
        "covariance_of_first_image",
        "Every image gets the covariance of the first one.",
        lambda F, P: loss(
            F, P, np.repeat(covariances(F)[:1], len(F), 0), covariances(P)
        ).mean(),
    ),
    of_clouds(
        "kl_of_gaussians",
        "You compute a Kullback-Leibler divergence; take the squared Wasserstein distance.",
        lambda F, P: np.mean(
            [
                (
                    np.trace(np.linalg.solve(T, S))
                    + (F[n].mean(1) - P[0].mean(1))
                    @ np.linalg.solve(T, F[n].mean(1) - P[0].mean(1))
                    - len(S)
                    + np.log(np.linalg.det(T) / np.linalg.det(S))
                )
                / 2
                for n, S in enumerate(covariances(F))
                for T in covariances(P)
            ]
        ),
    ),
)

WRONGS = (*IN_OVERLAP, *combinations(), *spreads(), *reductions(), *OTHERS)
