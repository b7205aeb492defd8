"""The Gram matrix of a region: reference and likely mistakes (chapter 28)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.inputs import Array, array, features
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]

CASES = "one image", "a batch of two images"


def guided_arguments() -> list[Arguments]:
    """Two calls, (Y, mask): features (N, C, H, W), and a mask with soft edges, (1, 1, H, W)."""
    calls: list[Arguments] = []
    for seed, (N, C, H, W) in ((28, (1, 3, 5, 6)), (29, (2, 4, 6, 5))):
        random = np.random.default_rng(seed)
        mask = (1.8 * random.random((1, 1, H, W)) - 0.5).clip(0, 0.9)
        calls.append((features(seed, N, C, H, W, learns=True), torch.from_numpy(mask).float()))
    return calls


def guided(Y: Tensor, mask: Tensor) -> Array:
    """Entry by entry: the sum of T^2 F F over positions, divided by C and the sum of T^2."""
    F, T = array(Y), array(mask)[0, 0]
    N, C, H, W = F.shape
    G = np.zeros((N, C, C))
    for n, a, b in np.ndindex(G.shape):
        total = weight = 0.0
        for i, j in np.ndindex(H, W):
            total += T[i, j] ** 2 * F[n, a, i, j] * F[n, b, i, j]
            weight += T[i, j] ** 2
        G[n, a, b] = total / weight / C
    return G


def summed(F: Array, weights: Array) -> Array:
    """The products of channels at all positions, each times a weight: (N, C, C)."""
    return np.asarray(np.einsum("nam,m,nbm->nab", F, weights, F))


@dataclass(frozen=True)
class Guided:
    """The matrix by parts.

    Attributes:
        mask: what becomes of the mask (M,) before.
        weights: of the positions, from the mask.
        divisor: from the mask (M,).
        channels: another divisor, of the number of channels.
        rows: what becomes of the features (N, C, M) before.
    """

    mask: Callable[[Array], Array] = lambda T: T
    weights: Callable[[Array], Array] = np.square
    divisor: Callable[[Array], float] = lambda T: float((T**2).sum())
    channels: Callable[[int], float] = lambda C: C
    rows: Callable[[Array], Array] = lambda F: F

    def __call__(self, Y: Tensor, mask: Tensor) -> Array:
        """(N, C, C)."""
        F = self.rows(array(Y).reshape(*Y.shape[:2], -1))
        T = self.mask(array(mask).ravel())
        total = summed(F, self.weights(T))
        return total / (self.divisor(T) * self.channels(Y.shape[1]))


GUIDED = Guided()


def masked(name: str, sentence: str, mask: Callable[[Array], Array]) -> Wrong:
    """Another mask."""
    return Wrong(name, sentence, replace(GUIDED, mask=mask))


def divided(name: str, sentence: str, divisor: Callable[[Array], float]) -> Wrong:
    """Another divisor."""
    return Wrong(name, sentence, replace(GUIDED, divisor=divisor))


def of_channels(name: str, sentence: str, channels: Callable[[int], float]) -> Wrong:
    """Another divisor for the channels."""
    return Wrong(name, sentence, replace(GUIDED, channels=channels))


def of_rows(name: str, sentence: str, rows: Callable[[Array], Array]) -> Wrong:
    """Other features."""
    return Wrong(name, sentence, replace(GUIDED, rows=rows))


def of_region(F: Array, T: Array) -> Array:
    """The weighted mean of each channel, (N, C, 1)."""
    return np.asarray((F * T**2).sum(-1, keepdims=True) / (T**2).sum())


def by_region(name: str, sentence: str, formula: Callable[[Array, Array], Array]) -> Wrong:
    """A function of the features (N, C, M) and the mask (M,)."""
    return Wrong(
        name,
        sentence,
        lambda Y, mask: formula(array(Y).reshape(*Y.shape[:2], -1), array(mask).ravel()),
    )


WRONGS = (
    by_region(
        "mask_not_squared",
        "You weight the products by the mask itself. The mask multiplies both features, so "
        "weight them by its square, and divide by the sum of squares.",
        lambda F, T: summed(F, T) / T.sum() / F.shape[1],
    ),
    Wrong(
        "one_factor_masked",
        "You multiply only one of the two features by the mask. Multiply both.",
        replace(GUIDED, weights=lambda T: T),
    ),
    divided(
        "divided_by_the_mask",
        "You divide by the sum of the mask. Divide by the sum of its squares.",
        lambda T: float(T.sum()),
    ),
    divided(
        "divided_by_all_positions",
        "You divide by the number of all positions, so a small region has a small Gram matrix. "
        "Divide by the sum of the mask's squares.",
        lambda T: float(T.size),
    ),
    divided(
        "divided_by_positions_inside",
        "You divide by the number of positions at which the mask is not 0. Divide by the sum "
        "of its squares.",
        lambda T: float((T > 0).sum()),
    ),
    divided(
        "divided_by_mask_above_half",
        "You divide by the number of positions at which the mask is above 1/2. Divide by the "
        "sum of its squares.",
        lambda T: float((T > 0.5).sum()),
    ),
    divided(
        "divided_by_the_squared_sum",
        "You scale the mask until its sum is 1. The sum of its squares must be 1.",
        lambda T: float(T.sum() ** 2),
    ),
    divided(
        "divided_by_the_length",
        "You divide by the root of the sum of the mask's squares. It occurs twice in each "
        "product, so leave out the root.",
        lambda T: float(np.sqrt((T**2).sum())),
    ),
    divided(
        "divided_twice",
        "You divide the mask by the sum of its squares, which then divides each product twice. "
        "Divide the mask by the root of the sum.",
        lambda T: float((T**2).sum() ** 2),
    ),
    divided(
        "scaled_by_the_mean",
        "You divide the mask by its mean. Divide it by the root of the mean of its squares.",
        lambda T: float(T.size * T.mean() ** 2),
    ),
    divided(
        "scaled_by_the_mean_square",
        "You divide the mask by the mean of its squares. The root of this mean is missing.",
        lambda T: float(T.size * (T**2).mean() ** 2),
    ),
    divided(
        "scaled_by_the_largest",
        "You divide the mask by its largest value, and then by the number of positions. Divide "
        "by the sum of the mask's squares.",
        lambda T: float(T.max() ** 2 * T.size),
    ),
    divided(
        "not_divided_by_the_mask",
        "You do not divide by the mask. Divide by the sum of its squares.",
        lambda T: 1.0,
    ),
    of_channels(
        "not_divided_by_channels",
        "You do not divide by the number of channels, C.",
        lambda C: 1.0,
    ),
    of_channels(
        "divided_by_channels_squared",
        "You divide by C * C, the number of entries. Divide by C.",
        lambda C: float(C**2),
    ),
    masked(
        "squared_twice",
        "You square the mask before you multiply both features by it, so its fourth power "
        "counts.",
        np.square,
    ),
    masked(
        "cut_at_half",
        "You take the positions at which the mask is above 1/2. A soft edge counts in part: "
        "weight each position by the square of the mask.",
        lambda T: (T > 0.5).astype(float),
    ),
    masked(
        "cut_at_zero",
        "You take all positions at which the mask is not 0. A soft edge counts in part: weight "
        "each position by the square of the mask.",
        lambda T: (T > 0).astype(float),
    ),
    masked(
        "inverted",
        "Your mask is inverted: 1 is inside the region.",
        lambda T: 1 - T,
    ),
    masked(
        "mask_not_used",
        "You do not use the mask: this is the Gram matrix of the whole image.",
        np.ones_like,
    ),
    by_region(
        "mask_after_the_gram",
        "You multiply the Gram matrix by the mean of the mask. It no longer has positions, so "
        "multiply the features by the mask before.",
        lambda F, T: summed(F, np.ones_like(T)) * T.mean() / F[0].size,
    ),
    by_region(
        "covariance",
        "You subtract the mean of each channel in the region. A Gram matrix keeps it.",
        lambda F, T: summed(F - of_region(F, T), T**2) / (T**2).sum() / F.shape[1],
    ),
    by_region(
        "of_means",
        "You multiply the means of the channels. Multiply first, then average over the region.",
        lambda F, T: summed(of_region(F, T), np.ones(1)) / F.shape[1],
    ),
    by_region(
        "averaged_over_the_batch",
        "You average the matrices of the batch. Each image has its own: (N, C, C).",
        lambda F, T: (summed(F, T**2) / (T**2).sum() / F.shape[1]).mean(0),
    ),
    by_region(
        "divided_by_the_batch_too",
        "You divide by the number of images, too. Each image has its own matrix.",
        lambda F, T: summed(F, T**2) / (T**2).sum() / F.shape[1] / len(F),
    ),
    of_rows(
        "absolute_features",
        "You lose the signs of the features. Leave out the absolute value.",
        np.abs,
    ),
    of_rows(
        "positive_features",
        "You leave out negative features. There is no ReLU in it.",
        lambda F: np.maximum(F, 0),
    ),
)

ONES = {"cut_at_half", "cut_at_zero", "mask_not_used"}
"""With masks of 0 and 1 several divisors are the same, so these are not combined."""
EXERCISES = (
    Exercise(
        "guided_gram",
        "the Gram matrix",
        "guided_gram(Y, mask)",
        guided_arguments,
        guided,
        WRONGS,
        picture="matrix",
        cases=CASES,
        learns=True,
        pairs=pairs_of(GUIDED, (wrong for wrong in WRONGS if wrong.name not in ONES)),
        chapter="28-here-but-not-there",
    ),
)
