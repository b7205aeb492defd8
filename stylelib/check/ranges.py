"""The penalty on pixels out of range: reference and likely mistakes (chapter 10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.images import MEAN, STD
from stylelib.check.inputs import Array, array, features
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]

CASES = "a batch of two images", "one image"
COLORS = (3, 1, 1)


def range_arguments() -> list[Arguments]:
    """Two calls, (X,): about a third of the values is beyond black or white."""
    return [
        (features(10 + k, *shape).mul(2.2).requires_grad_(),)
        for k, shape in enumerate([(2, 3, 4, 5), (1, 3, 5, 7)])
    ]


def beyond_range(X: Tensor) -> float:
    """Value by value: how far it is from black or white if it lies outside, squared."""
    x, total = array(X), 0.0
    for n, c, i, j in np.ndindex(x.shape):
        pixel = x[n, c, i, j] * STD[c] + MEAN[c]  # visible from 0 to 1
        outside = max(0.0, -pixel, pixel - 1) / STD[c]
        total += outside**2
    return float(total / x.size)


Limits = Callable[[], tuple[Any, Any]]
"""Black and white, as numbers or (3, 1, 1)."""


def of_pixels(low: Any, high: Any) -> tuple[Array, Array]:
    """The normalized values of pixels."""
    return (low - MEAN) / STD, (high - MEAN) / STD


def in_colors(low: Any, high: Any) -> tuple[Any, Any]:
    """One value per channel, in shape for images."""
    return np.reshape(low, COLORS), np.reshape(high, COLORS)


def mean_of_squares(D: Array) -> Any:
    """The right penalty of the distances."""
    return (D**2).mean()


@dataclass(frozen=True)
class Penalty:
    """The penalty by parts: black and white, and a function of the distances from them."""

    limits: Limits = lambda: in_colors(*of_pixels(0, 1))
    measure: Callable[[Array], Any] = mean_of_squares

    def __call__(self, X: Tensor) -> Any:
        """The penalty."""
        x = array(X)
        return self.measure(x - x.clip(*self.limits()))


PENALTY = Penalty()


def limited(name: str, sentence: str, limits: Limits) -> Wrong:
    """Other limits than black and white."""
    return Wrong(name, sentence, replace(PENALTY, limits=limits))


def measured(name: str, sentence: str, measure: Callable[[Array], Any]) -> Wrong:
    """Another function of the distances."""
    return Wrong(name, f"Your penalty {sentence}", replace(PENALTY, measure=measure))


def of_image(name: str, sentence: str, formula: Callable[[Array], Any]) -> Wrong:
    """A mistake that is a function of the image."""
    return Wrong(name, sentence, lambda X: formula(array(X)))


LIMITS = (
    limited(
        "pixels_for_normalized",
        "Your limits are 0 and 1, but X is normalized: black is -IMAGE_MEAN / IMAGE_STD there, "
        "and white (1 - IMAGE_MEAN) / IMAGE_STD.",
        lambda: (0, 1),
    ),
    limited(
        "gray_levels_for_normalized",
        "Your limits are 0 and 255, but X is normalized: black is -IMAGE_MEAN / IMAGE_STD "
        "there, and white (1 - IMAGE_MEAN) / IMAGE_STD.",
        lambda: (0, 255),
    ),
    limited(
        "from_minus_one_to_one",
        "Your limits are -1 and 1. Black and white are further out, and differ from channel to "
        "channel.",
        lambda: (-1, 1),
    ),
    limited(
        "widest_for_all",
        "Your limits are the widest of the three channels. Each channel has its own black and "
        "white.",
        lambda: (of_pixels(0, 1)[0].min(), of_pixels(0, 1)[1].max()),
    ),
    limited(
        "red_for_all",
        "You use the limits of the first channel for all three. Each has its own: reshape them "
        "to (3, 1, 1).",
        lambda: (of_pixels(0, 1)[0][0], of_pixels(0, 1)[1][0]),
    ),
    limited(
        "mean_for_all",
        "You average the limits over the channels. Each channel has its own black and white.",
        lambda: (of_pixels(0, 1)[0].mean(), of_pixels(0, 1)[1].mean()),
    ),
    limited(
        "channels_reversed",
        "Your limits are in the order blue, green, red. The channels of X are red, green, "
        "blue.",
        lambda: in_colors(*(each[::-1] for each in of_pixels(0, 1))),
    ),
    limited(
        "not_divided_by_std",
        "Your limits are -IMAGE_MEAN and 1 - IMAGE_MEAN. Divide them by IMAGE_STD.",
        lambda: in_colors(-MEAN, 1 - MEAN),
    ),
    limited(
        "multiplied_by_std",
        "You multiply your limits by IMAGE_STD. Divide by it.",
        lambda: in_colors(-MEAN * STD, (1 - MEAN) * STD),
    ),
    limited(
        "mean_not_subtracted",
        "Your limits are 0 and 1 / IMAGE_STD. Subtract IMAGE_MEAN before you divide.",
        lambda: in_colors(0 * STD, 1 / STD),
    ),
    limited(
        "mean_subtracted_last",
        "You divide by IMAGE_STD before you subtract IMAGE_MEAN. Subtract first.",
        lambda: in_colors(-MEAN, 1 / STD - MEAN),
    ),
    limited(
        "denormalized",
        "Your limits are 0 and 1 times IMAGE_STD plus IMAGE_MEAN, the way back from normalized "
        "values. Subtract IMAGE_MEAN and divide by IMAGE_STD.",
        lambda: in_colors(MEAN, STD + MEAN),
    ),
)

MEASURES = (
    measured(
        "sum_for_mean",
        "is the sum of the squares. Take their mean over all values, or it grows with the "
        "image.",
        lambda D: (D**2).sum(),
    ),
    measured(
        "absolute_for_square",
        "is the mean of absolute distances. Square them instead.",
        lambda D: abs(D).mean(),
    ),
    measured(
        "not_squared",
        "is the mean of signed distances, so dark and light ones cancel. Square them.",
        lambda D: D.mean(),
    ),
    measured(
        "root_of_the_mean",
        "is the root of the mean square. Leave the root out.",
        lambda D: np.sqrt((D**2).mean()),
    ),
    measured(
        "square_of_the_mean",
        "squares the mean of the distances. Square first, then take the mean.",
        lambda D: abs(D).mean() ** 2,
    ),
    measured(
        "half_the_mean",
        "has a factor of 1/2 too many.",
        lambda D: (D**2).mean() / 2,
    ),
    measured(
        "summed_over_the_batch",
        "is added up over the images of the batch. Average over these, too.",
        lambda D: (D**2).sum() / D[0].size,
    ),
    measured(
        "summed_over_channels",
        "is added up over the channels. Average over these, too.",
        lambda D: (D**2).sum(1).mean(),
    ),
    measured(
        "summed_over_positions",
        "is added up over the positions. Average over these, too.",
        lambda D: (D**2).sum((2, 3)).mean(),
    ),
    measured(
        "mean_of_those_outside",
        "is the mean over the values out of range only. Divide by the number of all values, "
        "or one such pixel costs as much as many.",
        lambda D: (D**2).sum() / (D != 0).sum(),
    ),
    measured(
        "dark_only",
        "has only what is darker than black. Add what is lighter than white.",
        lambda D: (D.clip(max=0) ** 2).mean(),
    ),
    measured(
        "light_only",
        "has only what is lighter than white. Add what is darker than black.",
        lambda D: (D.clip(min=0) ** 2).mean(),
    ),
    measured(
        "counted",
        "counts the values out of range. A count has no gradient: take the squared distance.",
        lambda D: (D != 0).mean(),
    ),
    measured(
        "largest",
        "is the largest squared distance. Take the mean.",
        lambda D: (D**2).max(),
    ),
    measured(
        "in_pixels",
        "is computed for pixels from 0 to 1. Measure the distance in the units of X, the "
        "normalized ones.",
        lambda D: ((D * STD.reshape(COLORS)) ** 2).mean(),
    ),
)

OTHERS = (
    of_image(
        "everywhere",
        "Your penalty is the mean square of all values. It must be 0 between black and white.",
        mean_of_squares,
    ),
    of_image(
        "inside_penalized",
        "Your penalty is the mean square of the clamped image. Subtract it from X first: only "
        "what is cut off costs something.",
        lambda x: (x.clip(*PENALTY.limits()) ** 2).mean(),
    ),
    of_image(
        "outside_kept_whole",
        "Your penalty squares the whole value of each pixel out of range. Square its distance "
        "from black or white.",
        lambda x: (x**2 * (x != x.clip(*PENALTY.limits()))).mean(),
    ),
)

WRONGS = (*LIMITS, *MEASURES, *OTHERS)
EXERCISES = (
    Exercise(
        "range_loss",
        "the penalty",
        "range_loss(X)",
        range_arguments,
        beyond_range,
        WRONGS,
        cases=CASES,
        learns=True,
        pairs=pairs_of(PENALTY, WRONGS),
        chapter="10-what-a-layer-remembers",
    ),
)
