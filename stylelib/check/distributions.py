"""Style losses of moments, Gaussians and sorted values: likely mistakes (chapter 23)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pairs import pairs_of

__all__ = ["CASES", "EXERCISES", "Array", "clouds", "feature_arguments", "reshaped"]

Array = NDArray[Any]
CASES = "a batch of two images", "a batch of three images"


def feature_arguments() -> list[Arguments]:
    """Two calls, (Y_hat, Y): features (N, C, H, W) and those of a target, (1, C, H, W). Their
    channels have means, spreads and correlations of their own.
    """
    calls: list[Arguments] = []
    for seed, (N, C, H, W) in ((23, (2, 3, 4, 5)), (24, (3, 4, 3, 7))):
        random = np.random.default_rng(seed)
        Y_hat, Y = (drawn(random, count, C, H, W) for count in (N, 1))
        calls.append((Y_hat.requires_grad_(), Y))
    return calls


def drawn(random: np.random.Generator, N: int, C: int, H: int, W: int) -> Tensor:
    """Features (N, C, H, W) whose channels depend on each other."""
    mix = np.eye(C) + 0.4 * random.standard_normal((N, C, C))
    means = random.standard_normal((N, C, 1))
    noise = random.standard_normal((N, C, H * W))
    return torch.from_numpy((mix @ noise + means).reshape(N, C, H, W)).float()


def clouds(Y_hat: Tensor, Y: Tensor) -> tuple[Array, Array]:
    """Both as points in columns, in float64: (N, C, M) and (1, C, M)."""
    F, P = (each.detach().double().flatten(2).numpy() for each in (Y_hat, Y))
    return F, P


Formula = Callable[[Array, Array], Any]
"""A loss of two clouds."""


def of_clouds(name: str, sentence: str, formula: Formula) -> Wrong:
    """A mistake that is a function of the two clouds."""
    return Wrong(name, sentence, lambda Y_hat, Y, *more: formula(*clouds(Y_hat, Y)))


def right(Y_hat: Tensor, Y: Tensor) -> float:
    """Image by image and channel by channel, in float64."""
    F, P = clouds(Y_hat, Y)
    losses = []
    for n, c in np.ndindex(F.shape[:2]):
        here, there = F[n, c], P[0, c]
        mean, wanted = here.sum() / here.size, there.sum() / there.size
        spread = (((here - mean) ** 2).sum() / here.size) ** 0.5
        wanted_spread = (((there - wanted) ** 2).sum() / there.size) ** 0.5
        losses.append((mean - wanted) ** 2 + (spread - wanted_spread) ** 2)
    return float(sum(losses) / len(losses))


def differences(F: Array, P: Array, axis: Any = 2, ddof: int = 0) -> tuple[Array, Array]:
    """Of means, and of standard deviations."""
    return (
        F.mean(axis=axis) - P.mean(axis=axis),
        F.std(axis=axis, ddof=ddof) - P.std(axis=axis, ddof=ddof),
    )


def mean_of_squares(m: Array, s: Array) -> Any:
    """The right loss of both differences."""
    return (m**2 + s**2).mean()


@dataclass(frozen=True)
class Moments:
    """The loss by parts: a function of both differences, which are taken over `axis`."""

    formula: Formula = mean_of_squares
    axis: Any = 2
    ddof: int = 0
    order: Callable[[Array], Array] = lambda F: F
    """What becomes of the clouds before."""

    def __call__(self, Y_hat: Tensor, Y: Tensor) -> Any:
        """The loss."""
        F, P = (self.order(cloud) for cloud in clouds(Y_hat, Y))
        return self.formula(*differences(F, P, self.axis, self.ddof))


BY_MOMENTS = Moments()


def of_moments(
    name: str,
    sentence: str,
    formula: Formula = mean_of_squares,
    axis: Any = 2,
    ddof: int = 0,
) -> Wrong:
    """A mistake that is a function of the two differences."""
    return Wrong(name, sentence, Moments(formula, axis, ddof))


def reshaped(F: Array) -> Array:
    """Channels and positions mixed by a reshape that should be a transpose."""
    return F.reshape(F.shape[0], F.shape[2], F.shape[1]).swapaxes(1, 2)


def squares(m: Array, s: Array) -> Any:
    """What the mean is taken of."""
    return m**2 + s**2


MOMENTS = (
    of_moments(
        "unbiased",
        "Your standard deviations divide by M - 1, as torch.std does by default; divide by M "
        "(correction=0).",
        ddof=1,
    ),
    of_clouds(
        "variances",
        "You compare variances; compare standard deviations, their square roots.",
        lambda F, P: ((F.mean(2) - P.mean(2)) ** 2 + (F.var(2) - P.var(2)) ** 2).mean(),
    ),
    of_clouds(
        "unbiased_variances",
        "You compare variances, divided by M - 1; compare standard deviations, divided by M.",
        lambda F, P: (
            (F.mean(2) - P.mean(2)) ** 2 + (F.var(2, ddof=1) - P.var(2, ddof=1)) ** 2
        ).mean(),
    ),
    of_moments(
        "means_only",
        "You compare the means only; add the squared differences of the standard deviations.",
        lambda m, s: (m**2).mean(),
    ),
    of_moments(
        "deviations_only",
        "You compare the standard deviations only; add the squared differences of the means.",
        lambda m, s: (s**2).mean(),
    ),
    of_moments(
        "deviations_only_unbiased",
        "You compare the standard deviations only, divided by M - 1; divide by M, and add the "
        "squared differences of the means.",
        lambda m, s: (s**2).mean(),
        ddof=1,
    ),
    of_moments(
        "sum_over_channels",
        "You add up the channels; take their mean.",
        lambda m, s: squares(m, s).sum(axis=1).mean(),
    ),
    of_moments(
        "sum_over_batch",
        "You add up the images of the batch; take their mean.",
        lambda m, s: squares(m, s).mean(axis=1).sum(),
    ),
    of_moments(
        "sum_of_all",
        "You add up images and channels; take the mean over both.",
        lambda m, s: squares(m, s).sum(),
    ),
    of_moments(
        "halved",
        "You take the mean of the two terms; take their sum.",
        lambda m, s: squares(m, s).mean() / 2,
    ),
    of_moments(
        "absolute_values",
        "You take absolute differences; square them.",
        lambda m, s: (np.abs(m) + np.abs(s)).mean(),
    ),
    of_moments(
        "not_squared",
        "You do not square the differences, so they cancel.",
        lambda m, s: (m + s).mean(),
    ),
    of_moments(
        "sum_squared",
        "You add the two differences and square their sum; square each of them first.",
        lambda m, s: ((m + s) ** 2).mean(),
    ),
    of_moments(
        "terms_subtracted",
        "You subtract the two terms; add them.",
        lambda m, s: (m**2 - s**2).mean(),
    ),
    of_moments(
        "terms_multiplied",
        "You multiply the two terms; add them.",
        lambda m, s: (m**2 * s**2).mean(),
    ),
    of_moments(
        "root_taken",
        "You take a square root in the end; the loss is the mean of the squares.",
        lambda m, s: np.sqrt(squares(m, s).mean()),
    ),
    of_moments(
        "length_of_channels",
        "You take the length of the differences over the channels; take the mean of the "
        "squares.",
        lambda m, s: np.sqrt(squares(m, s).sum(axis=1)).mean(),
    ),
    of_moments(
        "lengths_of_batch_added",
        "You add the lengths of the two differences, over the whole batch; take the mean of "
        "the squares.",
        lambda m, s: np.sqrt((m**2).sum()) + np.sqrt((s**2).sum()),
    ),
    of_moments(
        "lengths_added",
        "You add the lengths of the two differences, which are not squared; take the mean of "
        "the squares.",
        lambda m, s: np.sqrt((m**2).sum(axis=1)).mean() + np.sqrt((s**2).sum(axis=1)).mean(),
    ),
    of_moments(
        "layer_as_a_whole",
        "You take one mean and one deviation of the whole layer; each channel has its own.",
        axis=(1, 2),
    ),
    Wrong(
        "reshaped",
        "You reshape (C, H, W) to (H W, C), which mixes channels and positions; flatten the "
        "positions and then transpose.",
        replace(BY_MOMENTS, order=reshaped),
    ),
    of_moments(
        "over_channels",
        "You take means and deviations over the channels of each position; take them over the "
        "positions of each channel, dim=(2, 3).",
        axis=1,
    ),
    of_moments(
        "over_batch",
        "You take means and deviations over the batch, too; each image has its own.",
        axis=(0, 2),
    ),
    of_moments(
        "over_everything",
        "You take one mean and one deviation of everything; take them over the positions of "
        "each channel, dim=(2, 3).",
        axis=(0, 1, 2),
    ),
    of_moments(
        "over_everything_unbiased",
        "You take one mean and one deviation of everything; take them over the positions of "
        "each channel, dim=(2, 3).",
        axis=(0, 1, 2),
        ddof=1,
    ),
    of_clouds(
        "position_by_position",
        "You compare position by position, as the content loss does; compare means and "
        "standard deviations of the channels.",
        lambda F, P: ((F - P) ** 2).mean(),
    ),
    of_clouds(
        "grams",
        "You compare Gram matrices; compare means and standard deviations of the channels.",
        lambda F, P: (((F @ F.swapaxes(1, 2) - P @ P.swapaxes(1, 2)) / F[0].size) ** 2).mean(),
    ),
    of_clouds(
        "second_moments",
        "You compare mean squares in place of standard deviations: subtract the mean first, "
        "and take the root.",
        lambda F, P: (
            (F.mean(2) - P.mean(2)) ** 2 + ((F**2).mean(2) - (P**2).mean(2)) ** 2
        ).mean(),
    ),
    of_clouds(
        "not_centered",
        "Your deviations are roots of mean squares: subtract the mean first.",
        lambda F, P: (
            (F.mean(2) - P.mean(2)) ** 2
            + (np.sqrt((F**2).mean(2)) - np.sqrt((P**2).mean(2))) ** 2
        ).mean(),
    ),
    of_clouds(
        "absolute_deviations",
        "You compare mean absolute deviations; compare standard deviations.",
        lambda F, P: (
            (F.mean(2) - P.mean(2)) ** 2
            + (
                np.abs(F - F.mean(2, keepdims=True)).mean(2)
                - np.abs(P - P.mean(2, keepdims=True)).mean(2)
            )
            ** 2
        ).mean(),
    ),
    of_clouds(
        "deviation_against_mean",
        "You subtract the target's mean from your deviation, or its deviation from your mean.",
        lambda F, P: ((F.mean(2) - P.std(2)) ** 2 + (F.std(2) - P.mean(2)) ** 2).mean(),
    ),
    of_clouds(
        "squares_subtracted",
        "You subtract the squares; subtract first, and square the difference.",
        lambda F, P: (F.mean(2) ** 2 - P.mean(2) ** 2 + F.std(2) ** 2 - P.std(2) ** 2).mean(),
    ),
    of_clouds(
        "target_ignored",
        "Your loss does not use the target.",
        lambda F, P: (F.mean(2) ** 2 + F.std(2) ** 2).mean(),
    ),
)

NOT_FOR_EACH_CHANNEL = (
    "layer_as_a_whole",
    "over_batch",
    "over_everything",
    "over_everything_unbiased",
)
"""Mistakes after which there is nothing left to be done wrong with channels."""

EXERCISES = (
    Exercise(
        "moments_loss",
        "the loss of means and deviations",
        "moments_loss(Y_hat, Y)",
        feature_arguments,
        right,
        MOMENTS,
        cases=CASES,
        learns=True,
        targets=(1,),
        pairs=pairs_of(
            BY_MOMENTS, (each for each in MOMENTS if each.name not in NOT_FOR_EACH_CHANNEL)
        ),
        chapter="23-six-losses",
    ),
)
