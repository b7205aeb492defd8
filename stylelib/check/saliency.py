"""Saliency maps: reference and likely mistakes (chapter 18)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pairs import pairs_of

__all__ = [
    "CASES",
    "EXERCISES",
    "Array",
    "Factors",
    "all_scores",
    "classes_of_batch",
    "cross_entropy",
    "first_class",
    "gradient",
    "highest",
    "log_probability",
    "next_class",
    "of_class",
    "pictures",
    "probability",
    "score_arguments",
    "seen",
]

Array = NDArray[Any]
Factors = Callable[[Array, Array], Array]
"""From scores (N, K) and classes (N,) to how an objective changes with each score, (N, K)."""
CASES = "a batch of two images", "a batch of three images"


def score_arguments() -> list[Arguments]:
    """Two calls, (X, y, model): images, their classes, and a small smooth network in eval mode.

    No class that is asked for is the one with the highest score. The first two images, which
    are shown, have different ones.
    """
    calls: list[Arguments] = []
    for seed, shape in ((23, (2, 3, 5, 7)), (19, (3, 3, 6, 4))):
        draw = torch.Generator().manual_seed(seed)
        X = torch.randn(shape, generator=draw)
        size = X[0].numel()
        model = nn.Sequential(nn.Flatten(), nn.Linear(size, 9), nn.Tanh(), nn.Linear(9, 6))
        with torch.no_grad():
            for parameter, spread in zip(model.parameters(), (0.15, 0.3, 1, 0.3), strict=True):
                parameter.copy_(spread * torch.randn(parameter.shape, generator=draw))
            y = model(X).argsort(dim=1)[:, 2].roll(1)
            y = torch.where(y == model(X).argmax(dim=1), (y + 2) % 6, y)
        calls.append((X, y, model.eval().requires_grad_(False)))
    return calls


def pictures(X: Tensor) -> Array:
    """As an array of float64."""
    return X.detach().cpu().numpy().astype(np.float64)


def seen(X: Tensor, model: nn.Sequential) -> tuple[Array, Array]:
    """By the chain rule: scores (N, K), and the gradient of each (N, K, C, H, W)."""
    W1, b1, W2, b2 = (pictures(parameter) for parameter in model.parameters())
    hidden = np.tanh(pictures(X).reshape(len(X), -1) @ W1.T + b1)  # (N, 9)
    slopes = np.einsum("kh,nh,hi->nki", W2, 1 - hidden**2, W1)
    return hidden @ W2.T + b2, slopes.reshape(len(X), len(W2), *X.shape[1:])


def gradient(X: Tensor, y: Tensor, model: nn.Sequential, factors: Factors) -> Array:
    """Of an objective, with respect to the images: (N, C, H, W)."""
    scores, slopes = seen(X, model)
    return np.asarray(np.einsum("nk,nk...->n...", factors(scores, y.numpy()), slopes))


def softmax(scores: Array) -> Array:
    """Probabilities."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def of_class(scores: Array, y: Array) -> Array:
    """The sum of the scores that are asked for."""
    return np.eye(scores.shape[1])[y]


def probability(scores: Array, y: Array) -> Array:
    """The sum of the probabilities."""
    p = softmax(scores)
    return (of_class(scores, y) - p) * p[np.arange(len(y)), y][:, None]


def log_probability(scores: Array, y: Array) -> Array:
    """The sum of their logarithms."""
    return of_class(scores, y) - softmax(scores)


def cross_entropy(scores: Array, y: Array) -> Array:
    """As `torch.nn.functional.cross_entropy`: the mean over the batch, negative."""
    return -log_probability(scores, y) / len(y)


def highest(scores: Array, y: Array) -> Array:
    """The sum of each image's highest score."""
    return of_class(scores, scores.argmax(axis=1))


def all_scores(scores: Array, y: Array) -> Array:
    """The sum of all scores."""
    return np.ones_like(scores)


def first_class(scores: Array, y: Array) -> Array:
    """The first image's class for all."""
    return of_class(scores, np.full_like(y, y[0]))


def next_class(scores: Array, y: Array) -> Array:
    """The class after the one that is asked for."""
    return of_class(scores, (y + 1) % scores.shape[1])


def class_before(scores: Array, y: Array) -> Array:
    """The class before it."""
    return of_class(scores, y - 1)


def classes_of_batch(scores: Array, y: Array) -> Array:
    """Every image with the classes of all: scores[:, y].sum()."""
    return np.broadcast_to(of_class(scores, y).sum(axis=0), scores.shape)


def greatest(g: Array) -> Array:
    """The greatest absolute value of the colors."""
    return np.asarray(np.abs(g).max(axis=1))


@dataclass(frozen=True)
class Map:
    """The map of a gradient (N, C, H, W), in float64, by parts."""

    factors: Factors = of_class
    reduced: Callable[[Array], Array] = greatest

    def __call__(self, X: Tensor, y: Tensor, model: nn.Sequential) -> Array:
        """The saliency map, (N, H, W)."""
        return self.reduced(gradient(X, y, model, self.factors))


right = Map()


def score(X: Tensor, y: Tensor, model: nn.Sequential) -> Array:
    """The scores that are asked for, (N,)."""
    return np.asarray(seen(X, model)[0][np.arange(len(y)), y.numpy()])


OBJECTIVES: tuple[tuple[str, Factors, str], ...] = (
    (
        "probability",
        probability,
        "You take the gradient of the probability; take the score before the softmax.",
    ),
    (
        "log_probability",
        log_probability,
        "You take the gradient of the logarithm of the probability, in which all classes "
        "occur; take the score itself.",
    ),
    (
        "cross_entropy",
        cross_entropy,
        "You take the gradient of the cross-entropy loss; take the score of class y itself.",
    ),
    (
        "highest_score",
        highest,
        "You take each image's highest score; take the score of the class y that is asked for.",
    ),
    (
        "all_scores",
        all_scores,
        "You add up the scores of all classes; pick the score of class y[n] for image n.",
    ),
    (
        "first_class_for_all",
        first_class,
        "Every image gets the class of the first one; pick class y[n] for image n.",
    ),
    (
        "classes_of_batch",
        classes_of_batch,
        "Every image gets the classes of the whole batch, as by scores[:, y]; pick class y[n] "
        "for image n, for example by gather.",
    ),
    (
        "next_class",
        next_class,
        "You take the class after y; classes are counted from 0.",
    ),
    (
        "class_before",
        class_before,
        "You take the class before y; classes are counted from 0.",
    ),
)
"""Wrong objectives: name, factors, sentence."""

WRONGS = (
    *(Wrong(name, said, Map(factors, greatest)) for name, factors, said in OBJECTIVES),
    Wrong(
        "mean_of_classes_of_batch",
        "You take the mean of scores[:, y], in which every image has the classes of the whole "
        "batch; pick class y[n] for image n, for example by gather.",
        Map(lambda s, y: classes_of_batch(s, y) / len(y) ** 2, greatest),
    ),
    Wrong(
        "highest_of_batch",
        "You take the single highest score of the whole batch; pick class y[n] for image n, "
        "and add up the images.",
        Map(lambda s, y: (s == s.max()).astype(float), greatest),
    ),
    Wrong(
        "first_image_only",
        "You take the score of the first image only; add up the scores of all images.",
        Map(lambda s, y: of_class(s, y) * (np.arange(len(y)) == 0)[:, None], greatest),
    ),
    Wrong(
        "mean_of_scores",
        "Your map is divided by the number of images: take the gradient of the sum of the "
        "scores and not of their mean.",
        Map(lambda s, y: of_class(s, y) / len(y), greatest),
    ),
    Wrong(
        "no_absolute_values",
        "You do not take absolute values: a pixel also matters if it should become darker.",
        Map(of_class, lambda g: g.max(axis=1)),
    ),
    Wrong(
        "absolute_values_too_late",
        "You take the largest color first and its absolute value after that; take absolute "
        "values first.",
        Map(of_class, lambda g: np.abs(g.max(axis=1))),
    ),
    Wrong(
        "positive_only",
        "You keep only the positive part of the gradient; take absolute values.",
        Map(of_class, lambda g: g.max(axis=1).clip(0)),
    ),
    Wrong(
        "mean_of_colors",
        "You average the three colors; take the largest of them.",
        Map(of_class, lambda g: np.abs(g).mean(axis=1)),
    ),
    Wrong(
        "sum_of_colors",
        "You add up the three colors; take the largest of them.",
        Map(of_class, lambda g: np.abs(g).sum(axis=1)),
    ),
    Wrong(
        "absolute_sum",
        "You add up the colors before you take absolute values, so that signs cancel; take "
        "absolute values, and then the largest.",
        Map(of_class, lambda g: np.abs(g.sum(axis=1))),
    ),
    Wrong(
        "absolute_mean",
        "You average the colors before you take absolute values, so that signs cancel; take "
        "absolute values, and then the largest.",
        Map(of_class, lambda g: np.abs(g.mean(axis=1))),
    ),
    Wrong(
        "length_of_colors",
        "You take the length of the three colors' gradient; take the largest absolute value.",
        Map(of_class, lambda g: np.sqrt((g**2).sum(axis=1))),
    ),
    Wrong(
        "smallest_color",
        "You take the smallest of the three colors; take the largest.",
        Map(of_class, lambda g: np.abs(g).min(axis=1)),
    ),
    Wrong(
        "first_color",
        "You take the first color only; take the largest of the three.",
        Map(of_class, lambda g: np.abs(g[:, 0])),
    ),
    Wrong(
        "last_color",
        "You take the last color only; take the largest of the three.",
        Map(of_class, lambda g: np.abs(g[:, -1])),
    ),
    Wrong(
        "squared",
        "You square the gradient; take its absolute value.",
        Map(of_class, lambda g: (g**2).max(axis=1)),
    ),
    Wrong(
        "times_image",
        "You multiply the gradient by the image; the map is the gradient alone.",
        lambda X, y, model: greatest(pictures(X) * gradient(X, y, model, of_class)),
    ),
    Wrong(
        "times_image_added_up",
        "You multiply the gradient by the image and add up the colors; the map is the greatest "
        "absolute value of the gradient alone.",
        lambda X, y, model: np.abs((pictures(X) * gradient(X, y, model, of_class)).sum(axis=1)),
    ),
    Wrong(
        "times_score",
        "You take the gradient of the squared score, or multiply it by the score; take the "
        "gradient of the score.",
        lambda X, y, model: np.abs(score(X, y, model))[:, None, None] * right(X, y, model),
    ),
    Wrong(
        "squared_score",
        "You take the gradient of the square of the score; take that of the score.",
        lambda X, y, model: 2 * np.abs(score(X, y, model))[:, None, None] * right(X, y, model),
    ),
    Wrong(
        "scaled_to_one",
        "You divide each map by its largest value; return the gradient in its own units.",
        lambda X, y, model: (
            right(X, y, model) / right(X, y, model).max(axis=(1, 2), keepdims=True)
        ),
    ),
    Wrong(
        "batch_scaled_to_one",
        "You divide the maps by the largest value of the batch; return the gradient in its own "
        "units.",
        lambda X, y, model: right(X, y, model) / right(X, y, model).max(),
    ),
    Wrong(
        "stretched",
        "You stretch each map from 0 to 1; return the gradient in its own units.",
        Map(
            of_class,
            lambda g: (
                (greatest(g) - greatest(g).min(axis=(1, 2), keepdims=True))
                / np.ptp(greatest(g), axis=(1, 2), keepdims=True)
            ),
        ),
    ),
    Wrong(
        "colors_kept",
        "Your map still has three colors: take the largest of them, over axis 1.",
        Map(of_class, np.abs),
    ),
    Wrong(
        "signed_gradient",
        "You return the gradient itself: take its absolute value and then the largest color.",
        Map(of_class, lambda g: g),
    ),
    Wrong(
        "axis_kept",
        "Your map keeps an axis of length 1 for the colors; its shape should be (N, H, W).",
        Map(of_class, lambda g: greatest(g)[:, None]),
    ),
    Wrong(
        "maximum_over_batch",
        "You take the largest value over the batch, axis 0; take it over the colors, axis 1.",
        Map(of_class, lambda g: np.abs(g).max(axis=0)),
    ),
    Wrong(
        "maximum_over_places",
        "You take the largest value over the pixels; take it over the colors, axis 1.",
        Map(of_class, lambda g: np.abs(g).max(axis=(2, 3))),
    ),
)

EXERCISES = (
    Exercise(
        "saliency_map",
        "the saliency map",
        "saliency_map(X, y, model)",
        score_arguments,
        right,
        WRONGS,
        picture="matrix",
        cases=CASES,
        chapter="18-saliency",
        pairs=pairs_of(right, WRONGS),
    ),
)
