"""fooling_step: families of mistakes (chapter 19)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor, nn

from stylelib.check.ascent import FOOLED, length, moved, unit
from stylelib.check.exercises import Wrong
from stylelib.check.objectives import ALONG, RARER
from stylelib.check.saliency import OBJECTIVES, Array, gradient, of_class, pictures

__all__ = ["WRONGS"]

Move = Callable[[Array, Array, float], Array]
"""From the images, the gradients and lr to the images after the step."""


SCALED: tuple[tuple[str, str, Move], ...] = (
    ("length_of_image", "You divide by the length of the image X; divide by that of its gradient.", lambda X, g, lr: X + lr * g / length(X)),
    ("times_length_of_image", "You multiply the step by the length of the image; its length should be lr.", lambda X, g, lr: X + lr * length(X) * unit(g)),
    ("learning_rate_squared", "You multiply by lr twice; once is right.", lambda X, g, lr: X + lr**2 * unit(g)),
    ("learning_rate_halved", "You move by half of lr.", lambda X, g, lr: X + lr / 2 * unit(g)),
    ("learning_rate_over_batch", "You divide the step by the number of images; each image moves by lr.", lambda X, g, lr: X + lr / len(X) * unit(g)),
    ("learning_rate_over_values", "You divide the step by the number of values; its length should be lr.", lambda X, g, lr: X + lr / X[0].size * unit(g)),
    ("learning_rate_times_root", "Your step is longer by the root of the number of values: its length should be lr.", lambda X, g, lr: X + lr * X[0].size ** 0.5 * unit(g)),
    ("sum_normalized", "You divide the image after the step by its length; divide only the gradient.", lambda X, g, lr: unit(X + lr * g)),
    ("sum_of_unit_normalized", "You divide the image after the step by its length; divide only the gradient.", lambda X, g, lr: unit(X + lr * unit(g))),
    ("image_scaled_down", "You shrink the image by 1 - lr; add the step to X as it is.", lambda X, g, lr: (1 - lr) * X + lr * unit(g)),
    ("image_negative", "You subtract the image; add the step to X.", lambda X, g, lr: -X + lr * unit(g)),
    ("image_twice", "You add the step to 2 * X; add it to X.", lambda X, g, lr: 2 * X + lr * unit(g)),
    ("image_times_step", "You multiply the image by the step; add it.", lambda X, g, lr: X * lr * unit(g)),
    ("image_unit", "You divide the image by its length before the step; leave it as it is.", lambda X, g, lr: unit(X) + lr * unit(g)),
    ("length_of_sum", "You divide by the length of image plus gradient; divide by that of the gradient.", lambda X, g, lr: X + lr * g / length(X + g)),
    ("rate_inside_length", "You divide by the length of lr times the gradient, so that lr cancels; multiply by lr after that.", lambda X, g, lr: X + lr * g / length(lr * g)),
    ("times_gradient_again", "You multiply the gradient by its own values.", lambda X, g, lr: X + lr * g * abs(g) / length(g)),
    ("times_image", "You multiply the gradient by the image; take the gradient alone.", lambda X, g, lr: X + lr * unit(g * X)),
)  # fmt: skip
"""Wrong factors of the step, or of the image."""

RESULTS: tuple[tuple[str, str, Move], ...] = (
    ("clamped_to_range", "You clamp the image to the range that it had; leave it as it is.", lambda X, g, lr: (X + lr * unit(g)).clip(X.min(), X.max())),
    ("clamped_to_own_range", "You clamp each image to the range that it had; leave it as it is.", lambda X, g, lr: (X + lr * unit(g)).clip(X.min((1, 2, 3), keepdims=True), X.max((1, 2, 3), keepdims=True))),
    ("stretched", "You stretch the image to 0..1; leave it as it is.", lambda X, g, lr: _stretched(X + lr * unit(g))),
    ("centered_result", "You subtract the mean of the image; leave it as it is.", lambda X, g, lr: _centered(X + lr * unit(g))),
    ("signs_of_length_one", "You take signs and divide them by their length; take the gradient itself.", lambda X, g, lr: X + lr * unit(np.sign(g))),
    ("first_image_returned", "You return the first image alone; return all of them.", lambda X, g, lr: (X + lr * unit(g))[:1]),
    ("unit_returned", "You return the gradient's direction; return the image plus lr times it.", lambda X, g, lr: unit(g)),
    ("gradient_returned", "You return the gradient; return the image after the step.", lambda X, g, lr: g),
    ("penalty_like", "You shrink the image as well, as class visualization does; add the step alone.", lambda X, g, lr: X + lr * (unit(g) - X)),
)  # fmt: skip
"""The image is changed after the step, or something else is returned."""


def _image_clamped(low: float, high: float) -> Move:
    return lambda X, g, lr: (X + lr * unit(g)).clip(low, high)


def _step_clamped(low: float, high: float) -> Move:
    return lambda X, g, lr: X + (lr * unit(g)).clip(low, high)


def _clamped() -> Iterator[tuple[str, str, Move]]:
    for name, low, high in (
        ("two", -2, 2),
        ("two_and_a_half", -2.5, 2.5),
        ("three", -3, 3),
        ("levels", 0, 255),
        ("from_below", 0, np.inf),
        ("half", -0.5, 0.5),
    ):
        yield (
            f"clamped_{name}",
            f"You clamp the image to {low}..{high}; it is normalized, so black and white are elsewhere.",
            _image_clamped(low, high),
        )
        yield (
            f"step_clamped_{name}",
            f"You clamp the step to {low}..{high}; leave it as it is.",
            _step_clamped(low, high),
        )


def _stretched(Z: Array) -> Array:
    return np.asarray((Z - Z.min()) / np.ptp(Z))


def _centered(Z: Array) -> Array:
    return np.asarray(Z - Z.mean((1, 2, 3), keepdims=True))


def _moved_by(move: Move) -> Callable[..., Array]:
    def version(X: Tensor, y: Tensor, model: nn.Sequential, lr: float) -> Array:
        return move(pictures(X), gradient(X, y, model, of_class), lr)

    return version


def _at(place: Callable[[Tensor], Tensor]) -> Callable[..., Array]:
    """The gradient of another image."""

    def version(X: Tensor, y: Tensor, model: nn.Sequential, lr: float) -> Array:
        return pictures(X) + lr * unit(gradient(place(X), y, model, of_class))

    return version


def _several(count: int, share: float = 1.0) -> Callable[..., Array]:
    def version(X: Tensor, y: Tensor, model: nn.Sequential, lr: float) -> Array:
        for _ in range(count):
            X = torch.from_numpy(FOOLED(X, y, model, share * lr))
        return pictures(X)

    return version


def _one_after_another(X: Tensor, y: Tensor, model: nn.Sequential, lr: float) -> Array:
    """Each image's gradient added to those before it."""
    g = gradient(X, y, model, of_class).cumsum(0)
    return pictures(X) + lr * unit(g)


_AXES_RIGHT = "divide each image's gradient by its own length"
_SAME_LINE = {"squared_score", "half_squared_score", "half_of_score", "score_twice"} | {
    "exponential_score",
    "sigmoid_of_score",
    "log_sigmoid_of_score",
    "tanh_of_score",
    "score_for_each_image",
    "number_times_score",
    "fewer_for_later_images",
    "absolute_score",
    "rectified_score",
    "product_of_scores",
    "cross_entropy_added_up",
    "mean_log_probability",
    "mean_probability",
    "one_minus_probability",
    "mean_highest_score",
    "mean_of_all_scores",
    "mean_of_all_classes",
    "log_of_highest_probability",
    "squares_of_all_scores",
}
"""Objectives whose direction is right, or that of another one in the table."""
_NO_GRADIENT = {
    "last_image_only",
    "first_image_with_all_classes",
    "last_image_with_all_classes",
    "number_times_scores",
}
"""Those in which an image has no gradient, which has no direction."""

WRONGS = (
    *(
        Wrong(name, said, moved(unit, factors))
        for name, factors, said in RARER
        if name not in _SAME_LINE | _NO_GRADIENT
    ),
    *(
        Wrong(
            f"signs_of_{name}",
            f"You move by signs, and along another objective. {said}",
            moved(np.sign, factors),
        )
        for name, factors, said in OBJECTIVES
    ),
    *(
        Wrong(
            f"descent_of_{name}",
            f"You go down, and along another objective. {said}",
            moved(lambda g: -unit(g), factors),
        )
        for name, factors, said in (*OBJECTIVES, *RARER)
        if name not in _SAME_LINE | _NO_GRADIENT
        and name not in ("probability", "highest_score", "cross_entropy")
    ),
    *(
        Wrong(f"along_{name}", f"You {said}; {_AXES_RIGHT}.", moved(step))
        for name, said, step in ALONG
    ),
    *(
        Wrong(name, said, _moved_by(move))
        for name, said, move in (*SCALED, *_clamped(), *RESULTS)
    ),
    Wrong(
        "mean_score_not_normalized",
        "You take the mean of the scores, and do not divide the gradient by its length.",
        moved(lambda g: g / len(g)),
    ),
    Wrong("two_steps", "You make two steps; make one.", _several(2)),
    Wrong("three_steps", "You make three steps; make one.", _several(3)),
    Wrong("ten_steps", "You make ten steps; make one.", _several(10)),
    Wrong(
        "two_half_steps", "You make two steps of half the length; make one.", _several(2, 0.5)
    ),
    Wrong(
        "gradients_added_from_image_to_image",
        "Your gradients add up from image to image; each image has its own.",
        _one_after_another,
    ),
    Wrong(
        "at_clamped",
        "You clamp the image to 0..1 before the gradient; take the gradient at X.",
        _at(lambda X: X.clamp(0, 1)),
    ),
    Wrong(
        "at_zero",
        "You take the gradient at an empty image; take it at X.",
        _at(lambda X: 0 * X),
    ),
    Wrong(
        "at_standardized",
        "You normalize the image again before the gradient; take the gradient at X.",
        _at(lambda X: (X - X.mean()) / X.std()),
    ),
)
