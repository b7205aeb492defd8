"""The sliced loss: reference and likely mistakes (chapter 23)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylelib.check.distributions import CASES, Array, clouds, feature_arguments, reshaped
from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]


def sliced_arguments() -> list[Arguments]:
    """Two calls, (Y_hat, Y, V): V (K, C) are directions of length 1."""
    calls: list[Arguments] = []
    for (Y_hat, Y), count in zip(feature_arguments(), (5, 6), strict=True):
        V = np.random.default_rng(count).standard_normal((count, Y.shape[1]))
        V /= np.linalg.norm(V, axis=1, keepdims=True)
        calls.append((Y_hat, Y, torch.from_numpy(V).float()))
    return calls


def sliced(Y_hat: Tensor, Y: Tensor, V: Tensor) -> float:
    """Image by image and direction by direction, in float64."""
    F, P = clouds(Y_hat, Y)
    total, directions = 0.0, V.double().numpy()
    for points in F:
        for v in directions:
            here, there = (sorted(float(v @ p) for p in cloud.T) for cloud in (points, P[0]))
            costs = [(a - b) ** 2 for a, b in zip(here, there, strict=True)]
            total += sum(costs) / len(costs)
    return total / len(F) / len(directions)


def costs(a: Array, b: Array, axis: int = -1) -> Array:
    """Squared differences of sorted values."""
    return np.asarray((np.sort(a, axis=axis) - np.sort(b, axis=axis)) ** 2)


@dataclass(frozen=True)
class Loss:
    """The loss by parts: of a cloud (N, C, M) and V the lines (N, K, M), and of both lines a
    number.
    """

    formula: Callable[[Array, Array], Any] = lambda a, b: costs(a, b).mean()
    lines: Callable[[Array, Array], Array] = lambda F, V: V @ F

    def __call__(self, Y_hat: Tensor, Y: Tensor, V: Tensor) -> Any:
        """The loss."""
        v = V.double().numpy()
        return self.formula(*(self.lines(cloud, v) for cloud in clouds(Y_hat, Y)))


LOSS = Loss()


def of_lines(name: str, sentence: str, formula: Callable[[Array, Array], Any]) -> Wrong:
    """A mistake after the projection: from (N, K, M) and (1, K, M)."""
    return Wrong(name, sentence, replace(LOSS, formula=formula))


def of_projection(name: str, sentence: str, lines: Callable[[Array, Array], Array]) -> Wrong:
    """A mistake in the projection: from a cloud (N, C, M) and V to lines, which are sorted."""
    return Wrong(name, sentence, replace(LOSS, lines=lines))


SLICED = (
    of_lines(
        "not_sorted",
        "You do not sort the projected values, so you compare position by position.",
        lambda a, b: ((a - b) ** 2).mean(),
    ),
    of_lines(
        "target_not_sorted",
        "You sort the values of your features but not those of the target; sort both.",
        lambda a, b: ((np.sort(a) - b) ** 2).mean(),
    ),
    of_lines(
        "only_target_sorted",
        "You sort the values of the target but not those of your features; sort both.",
        lambda a, b: ((a - np.sort(b)) ** 2).mean(),
    ),
    of_lines(
        "sorted_over_directions",
        "You sort over the directions; sort the values of each direction over the positions.",
        lambda a, b: costs(a, b, axis=1).mean(),
    ),
    of_lines(
        "sorted_all_together",
        "You sort the values of all directions together; sort those of each direction by "
        "themselves.",
        lambda a, b: costs(a.reshape(len(a), -1), b.reshape(1, -1)).mean(),
    ),
    of_lines(
        "opposite_orders",
        "You sort one of the two from large to small; the smallest value belongs to the "
        "smallest.",
        lambda a, b: ((np.sort(a) - np.sort(b)[..., ::-1]) ** 2).mean(),
    ),
    of_lines(
        "sum_over_directions",
        "You add up the directions; take their mean.",
        lambda a, b: costs(a, b).mean(axis=2).sum(axis=1).mean(),
    ),
    of_lines(
        "sum_over_places",
        "You add up the positions; take their mean.",
        lambda a, b: costs(a, b).sum(axis=2).mean(),
    ),
    of_lines(
        "sum_over_batch",
        "You add up the images of the batch; take their mean.",
        lambda a, b: costs(a, b).mean(axis=(1, 2)).sum(),
    ),
    of_lines(
        "sum_of_all",
        "You add up all squares; take their mean.",
        lambda a, b: costs(a, b).sum(),
    ),
    of_lines(
        "sum_of_directions_and_places",
        "You add up directions and positions; take the mean over both.",
        lambda a, b: costs(a, b).sum(axis=(1, 2)).mean(),
    ),
    of_lines(
        "absolute_values",
        "You take absolute differences; square them.",
        lambda a, b: np.sqrt(costs(a, b)).mean(),
    ),
    of_lines(
        "root_taken",
        "You take a square root in the end; the loss is the mean of the squares.",
        lambda a, b: np.sqrt(costs(a, b).mean()),
    ),
    of_lines(
        "root_of_directions",
        "You take the square root for each direction; take the mean of the squares.",
        lambda a, b: np.sqrt(costs(a, b).mean(axis=2)).mean(),
    ),
    of_lines(
        "halved",
        "Your loss has a factor of 1/2 too many.",
        lambda a, b: costs(a, b).mean() / 2,
    ),
    of_lines(
        "largest_direction",
        "You take the direction with the largest loss; take the mean over all of them.",
        lambda a, b: costs(a, b).mean(axis=2).max(axis=1).mean(),
    ),
    of_lines(
        "first_direction",
        "You use the first direction only; take the mean over all of them.",
        lambda a, b: costs(a[:, :1], b[:, :1]).mean(),
    ),
    of_lines(
        "means_of_lines",
        "You compare the mean along each direction; compare all sorted values.",
        lambda a, b: ((a.mean(axis=2) - b.mean(axis=2)) ** 2).mean(),
    ),
    of_lines(
        "not_squared",
        "You do not square the differences, so they cancel.",
        lambda a, b: (np.sort(a) - np.sort(b)).mean(),
    ),
    of_lines(
        "centered",
        "You subtract the mean along each direction; the means are part of the distance.",
        lambda a, b: costs(a - a.mean(2, keepdims=True), b - b.mean(2, keepdims=True)).mean(),
    ),
    of_lines(
        "moments_of_lines",
        "You compare mean and deviation along each direction; compare all sorted values.",
        lambda a, b: (
            (a.mean(axis=2) - b.mean(axis=2)) ** 2 + (a.std(axis=2) - b.std(axis=2)) ** 2
        ).mean(),
    ),
    of_lines(
        "first_image_only",
        "You compare the first image of the batch only.",
        lambda a, b: costs(a[:1], b).mean(),
    ),
    of_projection(
        "not_projected",
        "You sort each channel and leave out the directions; project the features on V first.",
        lambda F, V: F,
    ),
    of_projection(
        "positions_mixed",
        "You reshape (C, H, W) to (H W, C), which mixes channels and positions; flatten the "
        "positions and then transpose.",
        lambda F, V: V @ reshaped(F),
    ),
    of_projection(
        "sorted_before_projecting",
        "You sort each channel before you project; project first, then sort.",
        lambda F, V: V @ np.sort(F),
    ),
    of_projection(
        "directions_normalized_over_channels",
        "You divide the directions by lengths over the wrong axis: each row of V has the "
        "length 1 already.",
        lambda F, V: (V / np.linalg.norm(V, axis=0)) @ F,
    ),
    of_projection(
        "projection_divided",
        "You divide the projections by the number of channels; a projection is a plain sum.",
        lambda F, V: V @ F / F.shape[1],
    ),
    of_projection(
        "features_normalized",
        "You divide each position's features by their length first; project them as they are.",
        lambda F, V: V @ (F / np.linalg.norm(F, axis=1, keepdims=True)),
    ),
    Wrong(
        "multiplied_by_channels",
        "You multiply by the number of channels; take the mean over directions and positions.",
        lambda Y_hat, Y, V: Y.shape[1] * sliced(Y_hat, Y, V),
    ),
    Wrong(
        "divided_by_channels",
        "You divide by the number of channels; a direction has the length 1 in all of them.",
        lambda Y_hat, Y, V: sliced(Y_hat, Y, V) / Y.shape[1],
    ),
)

EXERCISES = (
    Exercise(
        "sliced_loss",
        "the sliced loss",
        "sliced_loss(Y_hat, Y, V)",
        sliced_arguments,
        sliced,
        SLICED,
        cases=CASES,
        learns=True,
        targets=(1,),
        pairs=pairs_of(LOSS, SLICED),
        chapter="23-six-losses",
    ),
)
