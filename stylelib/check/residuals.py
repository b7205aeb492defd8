"""The gradient residual: reference and likely mistakes (chapter 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.inputs import Array, array, features

__all__ = ["EXERCISES"]

CASES = "three gradients", "two gradients"


def residual_arguments() -> list[Arguments]:
    """Two calls, (gradients,): lists of tensors of one shape."""
    return [
        ([scale * features(80 + k, 1, 3, 4, 5) for k, scale in enumerate(scales)],)
        for scales in ((1.0, -0.6, 0.3), (0.4, -1.1))
    ]


def residual(gradients: Sequence[Tensor]) -> float:
    """Value by value."""
    rows = [array(gradient).ravel() for gradient in gradients]
    whole = sum(abs(sum(values)) for values in zip(*rows, strict=True))
    return float(whole / sum(abs(value) for row in rows for value in row))


def of_stack(name: str, sentence: str, formula: Callable[[Array], Any]) -> Wrong:
    """A mistake that is a function of the gradients in rows, (K, number of values)."""
    return Wrong(
        name,
        sentence,
        lambda gradients: formula(np.stack([array(g).ravel() for g in gradients])),
    )


def norm(g: Array, axis: int | None = None) -> Any:
    """The sum of the absolute values."""
    return np.abs(g).sum(axis)


def length(g: Array, axis: int | None = None) -> Any:
    """The root of the sum of the squares."""
    return np.sqrt((g**2).sum(axis))


WRONGS = (
    of_stack(
        "lengths",
        "You take lengths (L2 norms), the roots of sums of squares. Take sums of absolute "
        "values.",
        lambda g: length(g.sum(0)) / length(g, 1).sum(),
    ),
    of_stack(
        "squares",
        "You take sums of squares. Take sums of absolute values.",
        lambda g: (g.sum(0) ** 2).sum() / (g**2).sum(),
    ),
    of_stack(
        "sums_of_gradients",
        "You add up each gradient to one number before you take absolute values, so positive "
        "and negative pixels cancel. Take absolute values pixel by pixel.",
        lambda g: abs(g.sum()) / np.abs(g.sum(1)).sum(),
    ),
    of_stack(
        "absolute_value_too_late",
        "You add up all values of the sum before you take the absolute value, so positive and "
        "negative pixels cancel. Take the absolute value of each pixel first.",
        lambda g: abs(g.sum()) / norm(g),
    ),
    of_stack(
        "signs_kept_above",
        "You add up the sum of the gradients with its signs. Take absolute values, pixel by "
        "pixel.",
        lambda g: g.sum() / norm(g),
    ),
    of_stack(
        "always_one",
        "Your residual is always 1: absolute values are taken before the gradients are added, "
        "or nowhere. Add the gradients first, then take absolute values.",
        lambda g: norm(np.abs(g).sum(0)) / norm(g),
    ),
    of_stack(
        "not_divided",
        "You do not divide: the norm of the sum has to be divided by the sum of the norms.",
        lambda g: norm(g.sum(0)),
    ),
    of_stack(
        "mean_returned",
        "You take the mean absolute value of the sum. Divide its norm by the sum of the norms.",
        lambda g: np.abs(g.sum(0)).mean(),
    ),
    of_stack(
        "divided_by_a_mean",
        "You divide a sum by a mean. Take sums above and below, or means above and below.",
        lambda g: norm(g.sum(0)) / np.abs(g).mean(1).sum(),
    ),
    of_stack(
        "divided_by_the_mean_of_all",
        "You divide by the mean absolute value of all gradients together. Divide by the sum of "
        "their norms.",
        lambda g: np.abs(g.sum(0)).mean() / np.abs(g).mean(),
    ),
    of_stack(
        "divided_by_the_largest",
        "You divide by the largest of the norms. Divide by their sum.",
        lambda g: norm(g.sum(0)) / norm(g, 1).max(),
    ),
    of_stack(
        "divided_by_the_first",
        "You divide by the norm of the first gradient. Divide by the sum of all norms.",
        lambda g: norm(g.sum(0)) / norm(g[0]),
    ),
    of_stack(
        "mean_of_gradients",
        "You average the gradients. Add them up, as the norms below are added up.",
        lambda g: norm(g.mean(0)) / norm(g),
    ),
    of_stack(
        "pixel_by_pixel",
        "You divide pixel by pixel and average the ratios, so faint pixels count as much as "
        "strong ones. Add up first, then divide.",
        lambda g: (np.abs(g.sum(0)) / np.abs(g).sum(0)).mean(),
    ),
    of_stack(
        "upside_down",
        "Your fraction is upside down: the norm of the sum is divided by the sum of the norms.",
        lambda g: norm(g) / norm(g.sum(0)),
    ),
    of_stack(
        "complement",
        "You return what has cancelled. Return what is left.",
        lambda g: 1 - norm(g.sum(0)) / norm(g),
    ),
    of_stack(
        "percent",
        "Your residual is in percent. Return a fraction from 0 to 1.",
        lambda g: 100 * norm(g.sum(0)) / norm(g),
    ),
    of_stack(
        "subtracted",
        "You subtract the other gradients from the first. Add all of them.",
        lambda g: norm(2 * g[0] - g.sum(0)) / norm(g),
    ),
    of_stack(
        "largest_values",
        "You take the largest absolute values. Take sums of absolute values.",
        lambda g: np.abs(g.sum(0)).max() / np.abs(g).max(1).sum(),
    ),
    of_stack(
        "shares",
        "You return the shares of the gradients. The residual is one number: the norm of the "
        "sum, divided by the sum of the norms.",
        lambda g: norm(g, 1) / norm(g),
    ),
    of_stack(
        "lengths_below",
        "You divide a sum of absolute values by lengths (L2 norms). Take sums of absolute "
        "values below, too.",
        lambda g: norm(g.sum(0)) / length(g, 1).sum(),
    ),
    of_stack(
        "length_above",
        "You divide a length (L2 norm) by sums of absolute values. Take the sum of absolute "
        "values above, too.",
        lambda g: length(g.sum(0)) / norm(g),
    ),
    of_stack(
        "first_two_only",
        "You use the first two gradients only. There may be any number.",
        lambda g: norm(g[:2].sum(0)) / norm(g[:2]),
    ),
)

EXERCISES = (
    Exercise(
        "gradient_residual",
        "the residual",
        "gradient_residual(gradients)",
        residual_arguments,
        residual,
        WRONGS,
        cases=CASES,
        returns="any",
        chapter="08-knobs",
    ),
)
