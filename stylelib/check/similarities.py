"""The divergence of self-similarities: reference and likely mistakes (chapter 25)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.matching import Array, matrices, unit
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]

TEMPERATURE = 0.2


def divergence_arguments() -> list[Arguments]:
    """Two calls, (F_hat, F): features at M positions, (M, C)."""
    calls: list[Arguments] = []
    for seed, (M, C) in ((26, (6, 4)), (27, (9, 5))):
        random = np.random.default_rng(seed)
        F = random.standard_normal((M, C)) + 0.3
        F_hat = 0.8 * F + 0.5 * random.standard_normal((M, C))
        calls.append(tuple(torch.from_numpy(a).float() for a in (F_hat, F)))
    return calls


def softmax(A: Array, axis: int | None = 1) -> Array:
    """Rows that add up to 1."""
    powers = np.exp(A - A.max())
    return np.asarray(powers / powers.sum(axis=axis, keepdims=True))


def similarities(F: Array) -> Array:
    """Cosines over the temperature, (M, M)."""
    return unit(F, 1) @ unit(F, 1).T / TEMPERATURE


def divergence(F_hat: Tensor, F: Tensor) -> float:
    """Position by position, in float64."""
    positions = [[np.asarray(f) for f in each.double().numpy()] for each in (F_hat, F)]
    total = 0.0
    for i in range(len(F)):
        powers = []
        for own in positions:
            lengths = [float(f @ f) ** 0.5 for f in own]
            cosine = [own[i] @ f / lengths[i] / n for f, n in zip(own, lengths, strict=True)]
            powers.append(np.exp(np.array(cosine) / 0.2))
        S_hat, S = (p / p.sum() for p in powers)
        total += float((S * np.log(S / S_hat)).sum())
    return total / len(F)


def kl(S: Array, S_hat: Array) -> Array:
    """KL(S_i || S_hat_i) of each row."""
    return np.asarray((S * np.log(S / S_hat)).sum(axis=1))


@dataclass(frozen=True)
class Divergence:
    """The divergence by parts: of features (M, C) what the softmax is taken of, and of S_hat
    and S a number.
    """

    formula: Callable[[Array, Array], Any] = lambda S_hat, S: kl(S, S_hat).mean()
    rows: Callable[[Array], Array] = similarities
    softmax: Callable[[Array], Array] = softmax

    def __call__(self, F_hat: Tensor, F: Tensor) -> Any:
        """The mean over the rows."""
        return self.formula(*(self.softmax(self.rows(each)) for each in matrices(F_hat, F)))


DIVERGED = Divergence()


def of_rows(name: str, sentence: str, formula: Callable[[Array, Array], Any]) -> Wrong:
    """A mistake after the softmax, a function of S_hat and S."""
    return Wrong(name, sentence, replace(DIVERGED, formula=formula))


def of_features(name: str, sentence: str, rows: Callable[[Array], Array]) -> Wrong:
    """A mistake in what the softmax is taken of, a function of (M, C)."""
    return Wrong(name, sentence, replace(DIVERGED, rows=rows))


def without_self(A: Array) -> Array:
    """The similarity of a position to itself left out."""
    M = len(A)
    return A[~np.eye(M, dtype=bool)].reshape(M, M - 1)


def crossed(F_hat: Tensor, F: Tensor) -> Any:
    """Similarities between the two images."""
    here, there = matrices(F_hat, F)
    between = unit(here, 1) @ unit(there, 1).T / TEMPERATURE
    return kl(softmax(similarities(there)), softmax(between)).mean()


DIVERGENCE = (
    of_rows(
        "arguments_swapped",
        "You compute KL(S_hat || S); it is KL(S || S_hat), weighted by the photograph's rows.",
        lambda S_hat, S: kl(S_hat, S).mean(),
    ),
    of_rows(
        "arguments_swapped_and_summed",
        "You compute KL(S_hat || S) and add up the positions; it is the mean of "
        "KL(S || S_hat).",
        lambda S_hat, S: kl(S_hat, S).sum(),
    ),
    of_rows(
        "arguments_swapped_and_averaged_over_entries",
        "You compute KL(S_hat || S), over all M * M entries; it is KL(S || S_hat), averaged "
        "over the M positions.",
        lambda S_hat, S: kl(S_hat, S).mean() / len(S),
    ),
    of_rows(
        "sum_over_places",
        "You add up the positions; take their mean.",
        lambda S_hat, S: kl(S, S_hat).sum(),
    ),
    of_rows(
        "mean_over_entries",
        "You average over all M * M entries; add up each row, and take the mean over the M "
        "rows.",
        lambda S_hat, S: kl(S, S_hat).mean() / len(S),
    ),
    of_rows(
        "negative",
        "The sign is wrong: it is the sum of S * (log S - log S_hat).",
        lambda S_hat, S: -kl(S, S_hat).mean(),
    ),
    of_rows(
        "cross_entropy",
        "You compute the cross-entropy; subtract the entropy of S, which is S * log S.",
        lambda S_hat, S: -(S * np.log(S_hat)).sum(axis=1).mean(),
    ),
    of_rows(
        "weight_forgotten",
        "You add up log S - log S_hat; multiply each by S first.",
        lambda S_hat, S: (np.log(S) - np.log(S_hat)).sum(axis=1).mean(),
    ),
    of_rows(
        "logarithm_forgotten",
        "You add up S * (S - S_hat); the difference is that of the logarithms.",
        lambda S_hat, S: (S * (S - S_hat)).sum(axis=1).mean(),
    ),
    of_rows(
        "kl_div_without_logarithm",
        "Your kl_div gets S_hat itself; its first argument is the logarithm of S_hat.",
        lambda S_hat, S: (S * (np.log(S) - S_hat)).sum(axis=1).mean(),
    ),
    of_rows(
        "logarithm_as_target",
        "Your kl_div gets the logarithm of S as its target: give it S itself, or say "
        "log_target=True.",
        lambda S_hat, S: np.nan,
    ),
    of_rows(
        "symmetric",
        "You average both directions of the divergence; take KL(S || S_hat) alone.",
        lambda S_hat, S: (kl(S, S_hat) + kl(S_hat, S)).mean() / 2,
    ),
    of_rows(
        "both_directions",
        "You add both directions of the divergence; take KL(S || S_hat) alone.",
        lambda S_hat, S: (kl(S, S_hat) + kl(S_hat, S)).mean(),
    ),
    of_rows(
        "jensen_shannon",
        "You compare both with their mean, as Jensen and Shannon do; take KL(S || S_hat).",
        lambda S_hat, S: (kl(S, (S + S_hat) / 2) + kl(S_hat, (S + S_hat) / 2)).mean() / 2,
    ),
    of_rows(
        "base_two",
        "Your logarithm has the base 2; take the natural one.",
        lambda S_hat, S: kl(S, S_hat).mean() / np.log(2),
    ),
    of_rows(
        "squared_differences",
        "You compare the rows by squared differences; take the Kullback-Leibler divergence.",
        lambda S_hat, S: ((S - S_hat) ** 2).mean(),
    ),
    of_rows(
        "absolute_differences",
        "You compare the rows by absolute differences; take the Kullback-Leibler divergence.",
        lambda S_hat, S: np.abs(S - S_hat).mean(),
    ),
    of_rows(
        "first_place_only",
        "You return the divergence of the first position; take the mean over all positions.",
        lambda S_hat, S: kl(S, S_hat)[0],
    ),
    of_rows(
        "not_averaged",
        "You return a value for each position; return their mean.",
        lambda S_hat, S: kl(S, S_hat),
    ),
    of_features(
        "products",
        "You compare inner products; divide the features of each position by their "
        "length first.",
        lambda F: F @ F.T / TEMPERATURE,
    ),
    of_features(
        "products_alone",
        "You take the softmax of inner products: divide the features by their lengths, and the "
        "cosines by 0.2.",
        lambda F: F @ F.T,
    ),
    of_features(
        "products_of_the_paper",
        "You divide the products by C * C, as CFSD does; take cosines over 0.2.",
        lambda F: F @ F.T / F.shape[1] ** 2,
    ),
    of_features(
        "products_over_channels",
        "You average the products over the channels; take cosines over 0.2.",
        lambda F: F @ F.T / F.shape[1],
    ),
    of_features(
        "no_temperature",
        "You do not divide the cosines by 0.2.",
        lambda F: similarities(F) * TEMPERATURE,
    ),
    Wrong(
        "no_temperature_and_swapped",
        "You do not divide the cosines by 0.2, and you compute KL(S_hat || S); it is "
        "KL(S || S_hat).",
        lambda *a: kl(*(softmax(TEMPERATURE * similarities(F)) for F in matrices(*a))).mean(),
    ),
    Wrong(
        "products_alone_and_swapped",
        "You take the softmax of inner products, and compute KL(S_hat || S): take cosines over "
        "0.2, and KL(S || S_hat).",
        lambda *a: kl(*(softmax(F @ F.T) for F in matrices(*a))).mean(),
    ),
    of_features(
        "times_temperature",
        "You multiply the cosines by 0.2; divide them by it.",
        lambda F: similarities(F) * TEMPERATURE**2,
    ),
    of_features(
        "temperature_twice",
        "You divide both factors by 0.2, so the cosines are divided by 0.04; divide each by "
        "the root of 0.2.",
        lambda F: similarities(F) / TEMPERATURE,
    ),
    of_features(
        "root_of_temperature",
        "You divide the cosines by the root of 0.2; divide them by 0.2.",
        lambda F: similarities(F) * TEMPERATURE**0.5,
    ),
    of_features(
        "normalized_over_places",
        "You normalize each channel over the positions; normalize the features of each "
        "position, "
        "over dim=1.",
        lambda F: unit(F, 0) @ unit(F, 0).T / TEMPERATURE,
    ),
    of_features(
        "reshaped_for_transposed",
        "You reshape the features to (C, M) for the product, which mixes them; transpose "
        "them: F @ F.T.",
        lambda F: unit(F, 1) @ unit(F, 1).reshape(F.shape[::-1]) / TEMPERATURE,
    ),
    of_features(
        "channels_compared",
        "You compare channels with channels; compare positions with positions, F @ F.T.",
        lambda F: unit(F, 0).T @ unit(F, 0) / TEMPERATURE,
    ),
    of_features(
        "channels_of_normalized_places",
        "You compare channels with channels; compare positions with positions, F @ F.T.",
        lambda F: unit(F, 1).T @ unit(F, 1) / TEMPERATURE,
    ),
    of_features(
        "centered",
        "You subtract the mean feature first; these cosines are of the features as they are.",
        lambda F: similarities(F - F.mean(axis=0)),
    ),
    of_features(
        "centered_at_each_place",
        "You subtract the mean of each position's features first; take the cosines as "
        "they are.",
        lambda F: similarities(F - F.mean(axis=1, keepdims=True)),
    ),
    of_features(
        "squared_lengths",
        "You divide the features by their squared lengths: the root is missing.",
        lambda F: (
            (F / (F**2).sum(1, keepdims=True))
            @ (F / (F**2).sum(1, keepdims=True)).T
            / TEMPERATURE
        ),
    ),
    of_features(
        "distances",
        "You take the softmax of distances, 1 - cosine; take that of the cosines.",
        lambda F: -similarities(F),
    ),
    of_features(
        "self_left_out",
        "You leave out the similarity of each position to itself; it belongs to the row.",
        lambda F: without_self(similarities(F)),
    ),
    Wrong(
        "softmax_of_everything",
        "You take one softmax over the whole matrix; take one over each row, dim=1.",
        replace(DIVERGED, softmax=lambda A: softmax(A, None)),
    ),
    Wrong(
        "no_softmax",
        "You compare the cosines themselves; take the softmax of each row, and the divergence.",
        lambda *a: (
            np.subtract(*(TEMPERATURE * similarities(F) for F in matrices(*a))) ** 2
        ).mean(),
    ),
    Wrong(
        "between_images",
        "You take the cosines between the two images; take those within each image.",
        crossed,
    ),
)

EXERCISES = (
    Exercise(
        "structure_divergence",
        "the divergence",
        "structure_divergence(F_hat, F)",
        divergence_arguments,
        divergence,
        DIVERGENCE,
        pairs=pairs_of(DIVERGED, DIVERGENCE),
        cases=("6 positions", "9 positions"),
        returns="any",
        chapter="25-how-good",
    ),
)
