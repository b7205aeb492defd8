"""content_loss: reference and likely mistakes (chapter 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.grams import gram_of
from stylelib.check.inputs import CASES, SHAPES, array, features

__all__ = ["EXERCISES", "content"]


def content(Y_hat: Tensor, Y: Tensor) -> float:
    """The mean squared difference, entry by entry."""
    F, P = array(Y_hat), array(Y)
    return sum(float(F[i] - P[i]) ** 2 for i in np.ndindex(F.shape)) / F.size


def _pairs() -> list[Arguments]:
    return [
        (features(k, *shape, learns=True), features(10 + k, *shape))
        for k, shape in enumerate(SHAPES)
    ]


def _of_difference(name: str, sentence: str, formula: Any) -> Wrong:
    """A mistake that is a function of the difference of the features."""
    return Wrong(name, sentence, lambda Y_hat, Y: formula(array(Y_hat) - array(Y)))


def _of_both(name: str, sentence: str, formula: Any) -> Wrong:
    """A mistake that is a function of both arrays."""
    return Wrong(name, sentence, lambda Y_hat, Y: formula(array(Y_hat), array(Y)))


CONTENT = Exercise(
    "content_loss",
    "the content loss",
    "content_loss(Y_hat, Y)",
    _pairs,
    content,
    (
        _of_difference(
            "sum_for_mean",
            "Your content loss is the sum of the squared differences. Take their mean, or the "
            "loss grows with the size of the image.",
            lambda D: (D**2).sum(),
        ),
        _of_difference(
            "half_the_sum",
            "Your content loss is half of the sum, as in the paper of Gatys et al. Here it is "
            "the mean of the squared differences.",
            lambda D: (D**2).sum() / 2,
        ),
        _of_difference(
            "half_the_mean",
            "Your content loss has a factor of 1/2 too many. It is the mean of the squared "
            "differences.",
            lambda D: (D**2).mean() / 2,
        ),
        _of_difference(
            "not_squared",
            "Your content loss is the mean of the differences. They are not squared, so "
            "positive and negative ones cancel.",
            lambda D: D.mean(),
        ),
        _of_difference(
            "absolute_for_square",
            "Your content loss is the mean of absolute differences. Square them instead.",
            lambda D: abs(D).mean(),
        ),
        _of_difference(
            "square_of_the_mean",
            "Your content loss squares the mean. Square the differences first, then take the "
            "mean.",
            lambda D: D.mean() ** 2,
        ),
        _of_difference(
            "root_of_the_mean",
            "Your content loss is the root of the mean squared difference. Leave the root out.",
            lambda D: np.sqrt((D**2).mean()),
        ),
        _of_difference(
            "norm",
            "Your content loss is the length (norm) of the difference. It is the root of a "
            "sum, and the mean of the squares is right.",
            lambda D: np.sqrt((D**2).sum()),
        ),
        _of_difference(
            "summed_over_the_batch",
            "Your content loss is added up over the images of the batch. Average over these, "
            "too.",
            lambda D: (D**2).mean((1, 2, 3)).sum(),
        ),
        _of_difference(
            "summed_over_channels",
            "Your content loss is added up over the channels. Average over these, too.",
            lambda D: (D**2).sum(1).mean(),
        ),
        _of_difference(
            "summed_over_positions",
            "Your content loss is added up over the positions. Average over these, too.",
            lambda D: (D**2).sum((2, 3)).mean(),
        ),
        _of_difference(
            "only_divided_by_the_batch",
            "Your content loss is only divided by the number of images. Divide by the number "
            "of all values.",
            lambda D: (D**2).sum() / len(D),
        ),
        _of_difference(
            "variance",
            "Your content loss is the variance of the differences: their mean is subtracted "
            "before they are squared.",
            lambda D: D.var(),
        ),
        _of_difference(
            "unbiased_variance",
            "Your content loss is the variance of the differences (`var` subtracts their "
            "mean). Take the mean of their squares.",
            lambda D: D.var(ddof=1),
        ),
        _of_difference(
            "one_image_only",
            "Your content loss looks only at the first image of the batch.",
            lambda D: (D[0] ** 2).mean(),
        ),
        _of_difference(
            "largest",
            "Your content loss is the largest squared difference, and the mean is right.",
            lambda D: (D**2).max(),
        ),
        _of_difference(
            "smooth_l1",
            "Your content loss is the smooth L1 (Huber) loss, which is linear for large "
            "differences. Square all of them.",
            lambda D: np.where(abs(D) < 1, D**2 / 2, abs(D) - 0.5).mean(),
        ),
        _of_both(
            "sum_for_difference",
            "Your content loss adds the two features. Subtract them.",
            lambda F, P: ((F + P) ** 2).mean(),
        ),
        _of_both(
            "no_target",
            "Your content loss does not use the target Y.",
            lambda F, P: (F**2).mean(),
        ),
        _of_both(
            "target_alone",
            "Your content loss uses the target Y alone, so it does not depend on the image.",
            lambda F, P: (P**2).mean(),
        ),
        _of_both(
            "difference_of_squares",
            "Your content loss squares the features before it subtracts them. Subtract first.",
            lambda F, P: (F**2 - P**2).mean(),
        ),
        _of_both(
            "relative",
            "Your content loss is divided by the mean square of the target. Leave it as it is.",
            lambda F, P: ((F - P) ** 2).mean() / (P**2).mean(),
        ),
        _of_both(
            "means_compared",
            "Your content loss averages over the positions before it subtracts, so it forgets "
            "where things are. Compare position by position.",
            lambda F, P: ((F.mean((2, 3)) - P.mean((2, 3))) ** 2).mean(),
        ),
        _of_both(
            "grams_compared",
            "Your content loss compares Gram matrices. Compare the features themselves.",
            lambda F, P: ((gram_of(F) - gram_of(P)) ** 2).mean(),
        ),
    ),
    cases=CASES,
    learns=True,
    targets=(1,),
    chapter="04-content-loss",
)

EXERCISES = (CONTENT,)
