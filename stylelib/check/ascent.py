"""A fooling step: reference and likely mistakes (chapter 19)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor, nn

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.saliency import (
    CASES,
    OBJECTIVES,
    Array,
    Factors,
    cross_entropy,
    gradient,
    highest,
    log_probability,
    of_class,
    pictures,
    probability,
    score_arguments,
)

__all__ = ["EXERCISES", "length", "unit"]

Step = Callable[[Array], Array]
"""From a gradient (N, C, H, W) to how far the images move for a learning rate of 1."""


def fooling_arguments() -> list[Arguments]:
    """Two calls, (X, y, model, lr)."""
    return [(*call, lr) for call, lr in zip(score_arguments(), (1.5, 2.5), strict=True)]


def length(g: Array) -> Array:
    """Of each image's gradient, (N, 1, 1, 1)."""
    return np.asarray(np.sqrt((g**2).sum(axis=(1, 2, 3), keepdims=True)))


def unit(g: Array) -> Array:
    """Each image's gradient with the length 1."""
    return g / length(g)


def moved(step: Step, factors: Factors = of_class) -> Callable[..., Array]:
    """The images after a step; with `factors`, up another objective."""

    def version(X: Tensor, y: Tensor, model: nn.Sequential, lr: float) -> Array:
        return pictures(X) + lr * step(gradient(X, y, model, factors))

    return version


FOOLED = moved(unit)


def down_the_highest(X: Tensor, y: Tensor, model: nn.Sequential, lr: float) -> Array:
    """Away from what the network sees."""
    return moved(lambda g: -unit(g), highest)(X, y, model, lr)


OTHER_STEPS: tuple[tuple[str, Step, str], ...] = (
    (
        "not_normalized",
        lambda g: g,
        "You do not divide the gradient by its length.",
    ),
    (
        "descent_not_normalized",
        lambda g: -g,
        "You subtract the step, and do not divide the gradient by its length.",
    ),
    (
        "length_of_batch",
        lambda g: g / np.sqrt((g**2).sum()),
        "You divide by the length of the whole batch's gradient and not by each image's own.",
    ),
)
"""Steps that are also tried up other objectives."""

FOOLING = (
    Wrong(
        "descent",
        "You go down the score of class y: add the step to X, do not subtract it.",
        moved(lambda g: -unit(g)),
    ),
    Wrong(
        "not_normalized",
        "You do not divide the gradient by its length, so the step is lr times as long as the "
        "gradient; it should have the length lr.",
        moved(lambda g: g),
    ),
    Wrong(
        "length_of_batch",
        "You divide by the length of the whole batch's gradient; divide each image's "
        "gradient by its own length.",
        moved(lambda g: g / np.sqrt((g**2).sum())),
    ),
    Wrong(
        "descent_with_length_of_batch",
        "You go down the score, and divide by the length of the whole batch's gradient: add "
        "the step, and divide each image's gradient by its own length.",
        moved(lambda g: -g / np.sqrt((g**2).sum())),
    ),
    Wrong(
        "descent_not_normalized",
        "You go down the score, and do not divide the gradient by its length: add the step, "
        "and give it the length lr.",
        moved(lambda g: -g),
    ),
    Wrong(
        "squared_length",
        "You divide by the square of the length: the square root is missing.",
        moved(lambda g: g / length(g) ** 2),
    ),
    Wrong(
        "largest_value",
        "You divide by the largest absolute value of the gradient; divide by its length.",
        moved(lambda g: g / np.abs(g).max(axis=(1, 2, 3), keepdims=True)),
    ),
    Wrong(
        "largest_value_of_batch",
        "You divide by the largest absolute value of the whole batch; divide each image's "
        "gradient by its own length.",
        moved(lambda g: g / np.abs(g).max()),
    ),
    Wrong(
        "sum_of_absolute_values",
        "You divide by the sum of absolute values; the length is the root of the sum of "
        "squares.",
        moved(lambda g: g / np.abs(g).sum(axis=(1, 2, 3), keepdims=True)),
    ),
    Wrong(
        "mean_of_absolute_values",
        "You divide by the mean absolute value; the length is the root of the sum of squares.",
        moved(lambda g: g / np.abs(g).mean(axis=(1, 2, 3), keepdims=True)),
    ),
    Wrong(
        "mean_square",
        "You divide by the root of the mean square; the length is the root of the sum.",
        moved(lambda g: g / np.sqrt((g**2).mean(axis=(1, 2, 3), keepdims=True))),
    ),
    Wrong(
        "standard_deviation",
        "You divide by the gradient's standard deviation; divide by its length.",
        moved(lambda g: g / g.std(axis=(1, 2, 3), ddof=1, keepdims=True)),
    ),
    Wrong(
        "signs_only",
        "You move each value by lr times the sign of its gradient; move along the gradient, "
        "divided by its length.",
        moved(np.sign),
    ),
    Wrong(
        "signs_only_descent",
        "You go down the score, by lr times the sign of the gradient: add the step, and move "
        "along the gradient, divided by its length.",
        moved(lambda g: -np.sign(g)),
    ),
    Wrong(
        "length_of_channel",
        "You divide each channel by a length of its own; divide by that of the whole image.",
        moved(lambda g: g / np.sqrt((g**2).sum(axis=(2, 3), keepdims=True))),
    ),
    Wrong(
        "length_of_pixel",
        "You divide each pixel by a length of its own; divide by that of the whole image.",
        moved(lambda g: g / np.sqrt((g**2).sum(axis=1, keepdims=True))),
    ),
    Wrong(
        "length_along_batch",
        "You take the length along the batch; take it over the channels and pixels of an "
        "image.",
        moved(lambda g: g / np.sqrt((g**2).sum(axis=0, keepdims=True))),
    ),
    Wrong(
        "learning_rate_missing",
        "Your step has the length 1: multiply it by lr.",
        lambda X, y, model, lr: FOOLED(X, y, model, 1.0),
    ),
    Wrong(
        "divided_by_learning_rate",
        "You divide by lr; multiply by it.",
        lambda X, y, model, lr: FOOLED(X, y, model, 1 / lr),
    ),
    Wrong(
        "change_returned",
        "You return the change alone; return the image plus the change.",
        lambda X, y, model, lr: FOOLED(X, y, model, lr) - pictures(X),
    ),
    Wrong(
        "not_moved",
        "You return the image as it came; return the image after the step.",
        lambda X, y, model, lr: pictures(X),
    ),
    Wrong(
        "two_steps_long",
        "Your step is twice as long as lr: is it made twice, or is a gradient added to an old "
        "one?",
        lambda X, y, model, lr: FOOLED(X, y, model, 2 * lr),
    ),
    Wrong(
        "clamped_to_one",
        "You clamp the image to 0..1; it is normalized, so black and white are elsewhere.",
        lambda X, y, model, lr: FOOLED(X, y, model, lr).clip(0, 1),
    ),
    Wrong(
        "clamped_around_zero",
        "You clamp the image to -1..1; it is normalized, so black and white are elsewhere.",
        lambda X, y, model, lr: FOOLED(X, y, model, lr).clip(-1, 1),
    ),
    Wrong(
        "down_the_highest",
        "You go down the score of what the network sees; go up that of class y.",
        down_the_highest,
    ),
    Wrong(
        "down_the_probability",
        "You go down the probability of y, or up its cross-entropy: go up, and take the score "
        "before the softmax.",
        moved(lambda g: -unit(g), probability),
    ),
    *(
        Wrong(
            f"{objective}_{name}",
            f"{said} And the gradient should be that of the score of class y.",
            moved(step, factors),
        )
        for objective, factors in (
            ("probability", probability),
            ("log_probability", log_probability),
            ("cross_entropy", cross_entropy),
            ("highest_score", highest),
        )
        for name, step, said in OTHER_STEPS
    ),
    *(
        Wrong(name, said, moved(unit, factors))
        for name, factors, said in OBJECTIVES
        if name
        not in (
            "cross_entropy",
            "log_probability",
        )  # the same step as "probability", or down it
    ),
)

EXERCISES = (
    Exercise(
        "fooling_step",
        "the image after the step",
        "fooling_step(X, y, model, lr)",
        fooling_arguments,
        FOOLED,
        FOOLING,
        chapter="19-fooling",
        picture="image",
        cases=CASES,
    ),
)
