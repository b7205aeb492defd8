"""A step of class visualization: reference and likely mistakes (chapter 20)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor, nn

from stylelib.check.ascent import length, unit
from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pairs import pairs_of
from stylelib.check.saliency import (
    CASES,
    OBJECTIVES,
    Array,
    Factors,
    cross_entropy,
    gradient,
    of_class,
    pictures,
    score_arguments,
)

__all__ = ["EXERCISES"]


def visualization_arguments() -> list[Arguments]:
    """Two calls, (X, y, model, l2, lr)."""
    numbers = ((0.07, 0.9), (0.15, 1.2))
    return [(*call, *pair) for call, pair in zip(score_arguments(), numbers, strict=True)]


def whole(D: Array) -> Array:
    """The gradient of the objective as it is."""
    return D


@dataclass(frozen=True)
class Step:
    """The images after a step up s_y - l2 * ||X||^2, by parts.

    Attributes:
        factors: of the objective in place of the score.
        penalty: the gradient of the penalty.
        along: how far the images move, of the whole gradient, for a learning rate of 1.
    """

    factors: Factors = of_class
    penalty: Callable[[Array], Array] = lambda X: 2 * X
    along: Callable[[Array], Array] = whole

    def __call__(
        self, X: Tensor, y: Tensor, model: nn.Sequential, l2: float, lr: float
    ) -> Array:
        """The images, (N, C, H, W)."""
        x = pictures(X)
        return x + lr * self.along(gradient(X, y, model, self.factors) - l2 * self.penalty(x))


visualized = Step()


def penalized(penalty: Callable[[Array], Array]) -> Step:
    """Another gradient of the penalty in place of 2 X."""
    return replace(visualized, penalty=penalty)


def changed(change: Callable[..., Array]) -> Callable[..., Array]:
    """A function of the images, the score's gradient, l2 and lr."""

    def version(X: Tensor, y: Tensor, model: nn.Sequential, l2: float, lr: float) -> Array:
        return change(pictures(X), gradient(X, y, model, of_class), l2, lr)

    return version


def other(factors: Factors) -> Step:
    """A step up another objective, with the right penalty."""
    return replace(visualized, factors=factors)


VISUALIZATION = (
    Wrong(
        "descent",
        "You go down the objective: add the step to X, do not subtract it.",
        replace(visualized, along=np.negative),
    ),
    Wrong(
        "penalty_rewarded",
        "The sign of your penalty is wrong: subtract l2 times the squared length, so that "
        "large values cost something.",
        penalized(lambda X: -2 * X),
    ),
    Wrong(
        "score_lowered",
        "The sign of your score is wrong: its gradient is added, and only the penalty's is "
        "subtracted.",
        changed(lambda X, g, l2, lr: X - lr * (g + 2 * l2 * X)),
    ),
    Wrong(
        "penalty_without_two",
        "Your penalty's gradient is l2 * X; the derivative of X ** 2 is 2 * X.",
        penalized(lambda X: X),
    ),
    Wrong(
        "penalty_forgotten",
        "Your step leaves out the penalty: subtract the gradient of l2 times the squared "
        "length of the image.",
        penalized(lambda X: 0 * X),
    ),
    Wrong(
        "descent_without_two",
        "You go down the objective, and your penalty's gradient is l2 * X: add the step to "
        "X, and take 2 * l2 * X.",
        changed(lambda X, g, l2, lr: X - lr * (g - l2 * X)),
    ),
    Wrong(
        "penalty_rewarded_without_two",
        "The sign of your penalty is wrong, and its derivative lacks a 2: subtract 2 * l2 * X.",
        changed(lambda X, g, l2, lr: X + lr * (g + l2 * X)),
    ),
    Wrong(
        "score_lowered_without_two",
        "The sign of your score is wrong, and the penalty's derivative lacks a 2: add the "
        "score's gradient, and subtract 2 * l2 * X.",
        changed(lambda X, g, l2, lr: X - lr * (g + l2 * X)),
    ),
    Wrong(
        "score_alone_lowered",
        "You go down the score and leave out the penalty: add the score's gradient, and "
        "subtract 2 * l2 * X.",
        changed(lambda X, g, l2, lr: X - lr * g),
    ),
    Wrong(
        "length_not_squared",
        "Your penalty is the length of each image; it should be the squared length.",
        penalized(unit),
    ),
    Wrong(
        "length_of_batch_not_squared",
        "Your penalty is the length of the whole batch; it should be the squared length of "
        "each image.",
        penalized(lambda X: X / np.sqrt((X**2).sum())),
    ),
    Wrong(
        "mean_penalty",
        "Your penalty is the mean of the squares; it should be their sum.",
        penalized(lambda X: 2 * X / X.size),
    ),
    Wrong(
        "mean_penalty_of_image",
        "Your penalty is the mean of an image's squares; it should be their sum.",
        penalized(lambda X: 2 * X / X[0].size),
    ),
    Wrong(
        "penalty_divided_by_batch",
        "Your penalty is divided by the number of images; each image has its own.",
        penalized(lambda X: 2 * X / len(X)),
    ),
    Wrong(
        "absolute_penalty",
        "Your penalty is the sum of absolute values; it should be the sum of squares.",
        penalized(np.sign),
    ),
    Wrong(
        "penalty_not_differentiated",
        "You subtract the squares of the pixels; subtract their derivative, 2 * X.",
        penalized(np.square),
    ),
    Wrong(
        "penalty_value_subtracted",
        "You subtract the penalty itself from every pixel; subtract its gradient, 2 * l2 * X.",
        penalized(lambda X: (X**2).sum(axis=(1, 2, 3), keepdims=True) + 0 * X),
    ),
    Wrong(
        "penalty_without_learning_rate",
        "Your penalty is not multiplied by lr: multiply the whole gradient by it.",
        changed(lambda X, g, l2, lr: X + lr * g - 2 * l2 * X),
    ),
    Wrong(
        "decay_without_learning_rate",
        "You shrink the image by 1 - l2; the penalty's gradient is 2 * l2 * X, and it is "
        "multiplied by lr.",
        changed(lambda X, g, l2, lr: X + lr * g - l2 * X),
    ),
    Wrong(
        "penalty_after_the_step",
        "You compute the penalty after the step up the score; take both gradients at X.",
        changed(lambda X, g, l2, lr: (X + lr * g) * (1 - 2 * l2 * lr)),
    ),
    Wrong(
        "penalty_alone",
        "Your step has the penalty alone; add the gradient of the score.",
        changed(lambda X, g, l2, lr: X - 2 * lr * l2 * X),
    ),
    Wrong(
        "learning_rate_missing",
        "Your step leaves out lr.",
        changed(lambda X, g, l2, lr: X + g - 2 * l2 * X),
    ),
    Wrong(
        "numbers_swapped",
        "You swap l2 and lr: l2 is the penalty's weight, lr the learning rate.",
        changed(lambda X, g, l2, lr: X + l2 * (g - 2 * lr * X)),
    ),
    Wrong(
        "change_returned",
        "You return the change alone; return the image plus the change.",
        changed(lambda X, g, l2, lr: lr * (g - 2 * l2 * X)),
    ),
    Wrong(
        "gradient_returned",
        "You return the gradient; return the image plus lr times the gradient.",
        changed(lambda X, g, l2, lr: g - 2 * l2 * X),
    ),
    Wrong(
        "not_moved",
        "You return the image as it came; return the image after the step.",
        changed(lambda X, g, l2, lr: X),
    ),
    Wrong(
        "normalized",
        "You divide the gradient by its length, as for a fooling image; here the step is lr "
        "times the gradient itself.",
        replace(visualized, along=unit),
    ),
    Wrong(
        "normalized_by_batch",
        "You divide the gradient by the length of the whole batch's; here the step is lr times "
        "the gradient itself.",
        replace(visualized, along=lambda D: D / np.sqrt((D**2).sum())),
    ),
    Wrong(
        "divided_by_length_of_score",
        "You divide by the length of the score's gradient; here the step is lr times the "
        "gradient itself.",
        changed(lambda X, g, l2, lr: X + lr * (g - 2 * l2 * X) / length(g)),
    ),
    Wrong(
        "descent_normalized",
        "You go down the objective, and divide the gradient by its length: add lr times the "
        "gradient itself.",
        replace(visualized, along=lambda D: -unit(D)),
    ),
    Wrong(
        "score_normalized",
        "You divide the score's gradient by its length; here it counts as it is.",
        changed(lambda X, g, l2, lr: X + lr * (unit(g) - 2 * l2 * X)),
    ),
    Wrong(
        "signs_only",
        "You move along the signs of the gradient; move along the gradient itself.",
        replace(visualized, along=np.sign),
    ),
    Wrong(
        "gradient_counted_twice",
        "Your step is twice as long as it should be: is a gradient added to an old one?",
        replace(visualized, along=lambda D: 2 * D),
    ),
    Wrong(
        "mean_of_scores",
        "You take the mean of the scores over the batch; take their sum, so that each image "
        "gets the gradient of its own score.",
        other(lambda s, y: of_class(s, y) / len(y)),
    ),
    Wrong(
        "mean_of_objective",
        "You take the mean of the objective over the batch; take the sum, so that each image "
        "gets its own gradient.",
        replace(visualized, along=lambda D: D / len(D)),
    ),
    Wrong(
        "clamped_to_one",
        "You clamp the image to 0..1; it is normalized, so black and white are elsewhere.",
        lambda *arguments: visualized(*arguments).clip(0, 1),
    ),
    Wrong(
        "negative_cross_entropy",
        "You take the negative cross-entropy loss, the mean logarithm of the probability; take "
        "the score of class y itself.",
        other(lambda s, y: -cross_entropy(s, y)),
    ),
    *(Wrong(name, said, other(factors)) for name, factors, said in OBJECTIVES),
)

EXERCISES = (
    Exercise(
        "class_visualization_step",
        "the image after the step",
        "class_visualization_step(X, y, model, l2, lr)",
        visualization_arguments,
        visualized,
        VISUALIZATION,
        chapter="20-class-visualization",
        pairs=pairs_of(visualized, VISUALIZATION),
        picture="image",
        cases=CASES,
    ),
)
