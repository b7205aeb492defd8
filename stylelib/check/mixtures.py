"""The target of several styles: reference and likely mistakes (chapter 27)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.grams import centered, gram_of
from stylelib.check.inputs import Array, array, features
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]

CASES = "two styles", "three styles"


def mixed_arguments() -> list[Arguments]:
    """Two calls, (Ys, weights): the features of K paintings, (K, C, H, W), and K numbers."""
    return [
        (features(27, 2, 3, 5, 4), [3.0, 0.5]),
        (features(28, 3, 4, 3, 5), [0.2, 1.5, 0.7]),
    ]


def mixed(Ys: Tensor, weights: Sequence[float]) -> Array:
    """Entry by entry: the weighted mean of the Gram matrices."""
    F = array(Ys)
    K, C, H, W = F.shape
    target = np.zeros((C, C))
    for a, b in np.ndindex(target.shape):
        entries = [(F[k, a] * F[k, b]).sum() / (C * H * W) for k in range(K)]
        parts = [w * entry for w, entry in zip(weights, entries, strict=True)]
        target[a, b] = sum(parts) / sum(weights)
    return target


def proportions(w: Array) -> Array:
    """Weights whose sum is 1."""
    return np.asarray(w / w.sum())


@dataclass(frozen=True)
class Mixture:
    """The target by parts.

    Attributes:
        shares: what the weights (K,) become.
        grams: of the features (K, C, H, W): (K, C, C).
        added: from the Gram matrices and their shares to the result.
    """

    shares: Callable[[Array], Array] = proportions
    grams: Callable[[Array], Array] = gram_of
    added: Callable[[Array, Array], Array] = lambda G, w: np.einsum("k,kab->ab", w, G)

    def __call__(self, Ys: Tensor, weights: Sequence[float]) -> Array:
        """(C, C)."""
        return self.added(self.grams(array(Ys)), self.shares(np.array(weights)))


MIXTURE = Mixture()


def weighted(name: str, sentence: str, shares: Callable[[Array], Array]) -> Wrong:
    """Other weights."""
    return Wrong(name, sentence, replace(MIXTURE, shares=shares))


def of_grams(name: str, sentence: str, grams: Callable[[Array], Array]) -> Wrong:
    """Other matrices."""
    return Wrong(name, sentence, replace(MIXTURE, grams=grams))


def of_images(name: str, sentence: str, formula: Callable[[Array, Array], Array]) -> Wrong:
    """A mistake that is a function of the features and the weights."""
    return Wrong(name, sentence, lambda Ys, weights: formula(array(Ys), np.array(weights)))


def in_size(G: Array) -> Array:
    """The sum of the squares of each matrix, (K, 1, 1)."""
    return np.asarray((G**2).sum((1, 2), keepdims=True))


def blend(F: Array, w: Array) -> Array:
    """One mean of features, with these weights: (1, C, H, W)."""
    return np.asarray(np.einsum("k,k...->...", w, F)[None])


WRONGS = (
    weighted(
        "weights_not_normalized",
        "Your weights are not divided by their sum, so the target grows with them.",
        lambda w: w,
    ),
    weighted(
        "weights_not_used",
        "You take the plain mean of the Gram matrices. Weight each by its share.",
        lambda w: np.full(len(w), 1 / len(w)),
    ),
    weighted(
        "added_without_weights",
        "You add up the Gram matrices. Take their mean, weighted by the weights.",
        lambda w: np.ones(len(w)),
    ),
    weighted(
        "divided_by_the_number",
        "You divide by the number of styles. Divide by the sum of the weights.",
        lambda w: w / len(w),
    ),
    weighted(
        "divided_by_the_largest",
        "You divide the weights by the largest one. Divide them by their sum.",
        lambda w: w / w.max(),
    ),
    weighted(
        "divided_by_the_length",
        "You divide the weights by the root of the sum of their squares. Divide them by their "
        "sum.",
        lambda w: w / np.sqrt((w**2).sum()),
    ),
    weighted(
        "softmax",
        "You take the softmax of the weights. Divide them by their sum.",
        lambda w: np.exp(w) / np.exp(w).sum(),
    ),
    weighted(
        "weights_squared",
        "Your weights count squared. Weight the Gram matrices and not the features, of which "
        "each product has two.",
        lambda w: w**2 / (w**2).sum(),
    ),
    weighted(
        "shares_squared",
        "You multiply the features by their shares, so the shares count squared. Multiply the "
        "Gram matrices instead.",
        lambda w: proportions(w) ** 2,
    ),
    weighted(
        "roots_of_weights",
        "Your weights count by their roots. Weight each Gram matrix by its weight.",
        lambda w: np.sqrt(w) / np.sqrt(w).sum(),
    ),
    weighted(
        "weights_inverted",
        "You divide by the weights. A style with a larger weight must count more.",
        lambda w: proportions(1 / w),
    ),
    weighted(
        "weights_reversed",
        "Your weights are in the wrong order: the first belongs to the first style.",
        lambda w: proportions(w)[::-1],
    ),
    weighted(
        "first_weight_for_all",
        "You give each style the weight of the first.",
        lambda w: np.full_like(w, w[0] / w.sum()),
    ),
    weighted(
        "strongest_only",
        "Your target has the style with the largest weight only. Each of them counts in part.",
        lambda w: (w == w.max()).astype(float),
    ),
    weighted(
        "first_only",
        "Your target has the first style only. Add the others.",
        lambda w: np.eye(len(w))[0],
    ),
    weighted(
        "last_only",
        "Your target has the last style only: is it overwritten in a loop?",
        lambda w: np.eye(len(w))[-1],
    ),
    weighted(
        "last_weighted_only",
        "Your target has only the last style, times its share: is it overwritten in a loop?",
        lambda w: np.eye(len(w))[-1] * proportions(w),
    ),
    of_images(
        "features_mixed",
        "You mix the features and take the Gram matrix of the mixture, which has too little of "
        "everything in which the styles differ. Mix the Gram matrices.",
        lambda F, w: gram_of(blend(F, proportions(w)))[0],
    ),
    of_images(
        "features_averaged",
        "You average the features and take one Gram matrix. Average the Gram matrices, with "
        "the weights.",
        lambda F, w: gram_of(F.mean(0, keepdims=True))[0],
    ),
    of_images(
        "features_mixed_without_shares",
        "You mix the features, with weights whose sum is not 1. Mix the Gram matrices, with "
        "shares.",
        lambda F, w: gram_of(blend(F, w))[0],
    ),
    of_grams(
        "gram_not_divided",
        "Your Gram matrices are not divided by C * H * W.",
        lambda F: gram_of(F, 1),
    ),
    of_grams(
        "gram_not_divided_by_channels",
        "Your Gram matrices are divided by H * W, but not by the number of channels.",
        lambda F: gram_of(F, F[0, 0].size),
    ),
    of_grams(
        "gram_not_divided_by_positions",
        "Your Gram matrices are divided by the number of channels, but not by H * W.",
        lambda F: gram_of(F, F.shape[1]),
    ),
    of_grams(
        "gram_divided_by_styles_too",
        "Your Gram matrices are divided by the number of styles, too. Divide by C * H * W.",
        lambda F: gram_of(F, F.size),
    ),
    of_grams(
        "covariances",
        "You subtract the mean of each channel first. A Gram matrix keeps it.",
        lambda F: gram_of(centered(F)),
    ),
    of_grams(
        "divided_by_their_size",
        "You divide each matrix by its size, the sum of its squares. Then the styles no longer "
        "count by their weights.",
        lambda F: (G := gram_of(F)) / in_size(G),
    ),
    of_grams(
        "divided_by_their_length",
        "You divide each matrix by its length (norm). Leave the matrices as they are.",
        lambda F: (G := gram_of(F)) / np.sqrt(in_size(G)),
    ),
    Wrong(
        "not_added",
        "You return a matrix for each style, times its share. Add them up: the target is one "
        "matrix.",
        replace(MIXTURE, added=lambda G, w: w[:, None, None] * G),
    ),
    Wrong(
        "sum_of_weights_times_sum",
        "You multiply the sum of the weights by the sum of the matrices. Multiply each matrix "
        "by its own weight first.",
        lambda Ys, weights: sum(weights) * gram_of(array(Ys)).sum(0),
    ),
)

EXERCISES = (
    Exercise(
        "mixed_target",
        "the target",
        "mixed_target(Ys, weights)",
        mixed_arguments,
        mixed,
        WRONGS,
        picture="matrix",
        cases=CASES,
        pairs=pairs_of(MIXTURE, WRONGS),
        chapter="27-more-than-one-style",
    ),
)
