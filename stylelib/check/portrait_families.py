"""class_visualization_step: families of mistakes (chapter 20)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stylelib.check.ascent import length, unit
from stylelib.check.exercises import Wrong
from stylelib.check.objectives import ALONG, RARER
from stylelib.check.portraits import changed, other, penalized, visualized
from stylelib.check.saliency import Array, gradient, of_class, pictures

__all__ = ["WRONGS"]


def _tv_slopes(X: Array) -> Array:
    """The gradient of the total variation."""
    g = np.zeros_like(X)
    for axis in (2, 3):
        signs = np.sign(np.diff(X, axis=axis))
        widths = [(1, 0) if k == axis else (0, 0) for k in range(4)]
        after = [(0, 1) if k == axis else (0, 0) for k in range(4)]
        g += (np.pad(signs, widths) - np.pad(signs, after)) / signs.size / 2
    return g


PENALTIES: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    ("length_times_two", "is twice the length", lambda X: 2 * unit(X)),
    ("third_power", "has a third power", lambda X: 3 * X**2),
    ("third_power_of_sizes", "has a third power", lambda X: 3 * X * abs(X)),
    ("fourth_power", "has a fourth power", lambda X: 4 * X**3),
    ("length_to_the_fourth", "is the square of the squared length", lambda X: 4 * X * (X**2).sum((1, 2, 3), keepdims=True)),
    ("length_to_the_fourth_of_batch", "is the square of the whole batch's squared length", lambda X: 4 * X * (X**2).sum()),
    ("over_channels", "is divided by the number of channels", lambda X: 2 * X / X.shape[1]),
    ("over_positions", "is divided by the number of positions", lambda X: 2 * X / X[0, 0].size),
    ("over_positions_and_batch", "is divided by the number of positions and of images", lambda X: 2 * X / X[:, 0].size),
    ("over_channels_and_batch", "is divided by the number of channels and of images", lambda X: 2 * X / X[..., 0, 0].size),
    ("total_variation", "is the total variation", _tv_slopes),
    ("mean_of_sizes", "is the mean of absolute values", lambda X: np.sign(X) / X.size),
    ("mean_of_sizes_of_image", "is the mean of an image's absolute values", lambda X: np.sign(X) / X[0].size),
    ("sizes_doubled", "has the derivative of absolute values", lambda X: 2 * np.sign(X)),
    ("of_absolute_values", "pushes all values down, since signs are lost", lambda X: 2 * abs(X)),
    ("constant", "has the constant derivative 2", lambda X: 2 + 0 * X),
    ("constant_one", "is the sum of the values, not of their squares", lambda X: 1 + 0 * X),
    ("mean_of_values", "is the mean of the values", lambda X: 1 / X[0].size + 0 * X),
    ("square_of_sum", "squares the sum", lambda X: 2 * X.sum((1, 2, 3), keepdims=True) + 0 * X),
    ("square_of_sum_of_batch", "squares the sum over the batch", lambda X: 2 * X.sum() + 0 * X),
    ("square_of_mean", "squares the mean", lambda X: 2 * X.mean((1, 2, 3), keepdims=True) / X[0].size + 0 * X),
    ("of_mean_image", "is that of the mean image", lambda X: 2 * X.mean(0, keepdims=True) + 0 * X),
    ("variance", "leaves out the mean, as a variance does", lambda X: 2 * (X - X.mean((1, 2, 3), keepdims=True))),
    ("variance_over_values", "is the variance", lambda X: 2 * (X - X.mean((1, 2, 3), keepdims=True)) / X[0].size),
    ("deviation", "is the standard deviation", lambda X: (X - X.mean((1, 2, 3), keepdims=True)) / X[0].size / X.std((1, 2, 3), keepdims=True)),
    ("first_image", "is that of the first image alone", lambda X: 2 * X * (np.arange(len(X)) == 0)[:, None, None, None]),
    ("last_image", "is that of the last image alone", lambda X: 2 * X * (np.arange(len(X)) == len(X) - 1)[:, None, None, None]),
    ("first_image_for_all", "is that of the first image, for all images", lambda X: 2 * X[:1] + 0 * X),
    ("times_batch", "counts once for each image of the batch", lambda X: 2 * X * len(X)),
    ("times_values", "is multiplied by the number of values", lambda X: 2 * X * X[0].size),
    ("quarter", "has the derivative X / 2", lambda X: X / 2),
    ("doubled", "has the derivative 4 * X", lambda X: 4 * X),
    ("positive", "leaves out negative values", lambda X: 2 * np.maximum(X, 0)),
    ("negative_part", "leaves out positive values", lambda X: 2 * np.minimum(X, 0)),
    ("first_channel", "is that of the first channel alone", lambda X: 2 * X * np.array([1, 0, 0])[:, None, None]),
    ("root_mean_square", "is the root of the mean square", lambda X: X / X[0].size / np.sqrt((X**2).mean((1, 2, 3), keepdims=True))),
    ("root_of_sizes", "has roots of absolute values", lambda X: np.sign(X) / 2 / np.sqrt(abs(X))),
    ("largest", "is the largest square", lambda X: 2 * X * (abs(X) == abs(X).max((1, 2, 3), keepdims=True))),
    ("signs_times_two", "has the derivative of absolute values, twice", lambda X: 2 * np.sign(X) * abs(X).mean()),
    ("length_per_channel", "is the length of each channel", lambda X: X / np.sqrt((X**2).sum((2, 3), keepdims=True))),
    ("length_per_pixel", "is the length of each pixel's colors", lambda X: X / np.sqrt((X**2).sum(1, keepdims=True))),
    ("value_of_batch", "is subtracted itself, not its gradient", lambda X: (X**2).sum() + 0 * X),
    ("mean_value", "is subtracted itself, not its gradient, and as a mean", lambda X: (X**2).mean() + 0 * X),
    ("length_value", "is subtracted itself, not its gradient", lambda X: length(X) + 0 * X),
)  # fmt: skip
"""After "Your penalty": name, words, derivative."""

Formula = Callable[[Array, Array, float, float], Array]

STEPS: tuple[tuple[str, str, Formula], ...] = (
    ("rate_squared", "You multiply by lr twice; once is right.", lambda X, g, l2, lr: X + lr**2 * (g - 2 * l2 * X)),
    ("rate_on_penalty_only", "You multiply only the penalty's gradient by lr; multiply the score's, too.", lambda X, g, l2, lr: X + g - 2 * lr * l2 * X),
    ("weight_missing", "You leave out l2: the penalty's gradient is 2 * l2 * X.", lambda X, g, l2, lr: X + lr * (g - 2 * X)),
    ("weight_missing_without_two", "You leave out l2 and the 2: the penalty's gradient is 2 * l2 * X.", lambda X, g, l2, lr: X + lr * (g - X)),
    ("weight_squared", "You multiply the penalty by l2 twice; once is right.", lambda X, g, l2, lr: X + lr * (g - 2 * l2**2 * X)),
    ("weight_rooted", "You take the root of l2; take l2 itself.", lambda X, g, l2, lr: X + lr * (g - 2 * l2**0.5 * X)),
    ("weight_for_both", "You multiply the score's gradient by l2, too; it counts as it is.", lambda X, g, l2, lr: X + lr * l2 * (g - 2 * X)),
    ("weight_for_score", "You multiply the score's gradient by l2 and not the penalty's.", lambda X, g, l2, lr: X + lr * (l2 * g - 2 * X)),
    ("weights_share", "You multiply the score by 1 - l2; it counts as it is.", lambda X, g, l2, lr: X + lr * ((1 - l2) * g - 2 * l2 * X)),
    ("penalty_of_gradient", "Your penalty is that of the gradient; it is that of the image X.", lambda X, g, l2, lr: X + lr * (g - 2 * l2 * g)),
    ("penalty_of_gradient_without_two", "Your penalty is that of the gradient; it is that of the image X.", lambda X, g, l2, lr: X + lr * (g - l2 * g)),
    ("shrunk_after_without_two", "You shrink the image by 1 - lr * l2 after the step; take both gradients at X, and 2 * l2 * X.", lambda X, g, l2, lr: (X + lr * g) * (1 - lr * l2)),
    ("shrunk_after_by_weight", "You shrink the image by 1 - l2 after the step; subtract 2 * l2 * X from the gradient.", lambda X, g, l2, lr: (X + lr * g) * (1 - l2)),
    ("shrunk_after_by_twice_weight", "You shrink the image by 1 - 2 * l2 after the step; subtract 2 * l2 * X from the gradient.", lambda X, g, l2, lr: (X + lr * g) * (1 - 2 * l2)),
    ("divided_after", "You divide the image by 1 + 2 * lr * l2 after the step; subtract 2 * l2 * X from the gradient.", lambda X, g, l2, lr: (X + lr * g) / (1 + 2 * lr * l2)),
    ("divided_by_rate", "You divide by lr; multiply by it.", lambda X, g, l2, lr: X + (g - 2 * l2 * X) / lr),
    ("rate_half", "You move by half of lr.", lambda X, g, l2, lr: X + lr / 2 * (g - 2 * l2 * X)),
    ("rate_a_tenth", "You move by a tenth of lr.", lambda X, g, l2, lr: X + lr / 10 * (g - 2 * l2 * X)),
    ("image_negative", "You subtract the image; add the step to X.", lambda X, g, l2, lr: -X + lr * (g - 2 * l2 * X)),
    ("image_twice", "You add the step to 2 * X; add it to X.", lambda X, g, l2, lr: 2 * X + lr * (g - 2 * l2 * X)),
    ("score_unit_no_penalty", "You make a fooling step: the penalty is missing, and the gradient is divided by its length.", lambda X, g, l2, lr: X + lr * unit(g)),
    ("both_normalized", "You divide the gradients of score and penalty by their lengths; take them as they are.", lambda X, g, l2, lr: X + lr * (unit(g) - 2 * l2 * unit(X))),
    ("both_normalized_without_two", "You divide the gradients of score and penalty by lengths; take them as they are.", lambda X, g, l2, lr: X + lr * (unit(g) - l2 * unit(X))),
    ("score_unit_without_two", "You divide the score's gradient by its length, and the penalty's lacks a 2.", lambda X, g, l2, lr: X + lr * (unit(g) - l2 * X)),
    ("score_unit_and_decay", "You divide the score's gradient by its length, and shrink the image by 2 * l2 without lr.", lambda X, g, l2, lr: X + lr * unit(g) - 2 * l2 * X),
    ("score_unit_of_batch", "You divide the score's gradient by the length of the whole batch's; take it as it is.", lambda X, g, l2, lr: X + lr * (g / np.sqrt((g**2).sum()) - 2 * l2 * X)),
    ("penalty_added_to_result", "You add the penalty's gradient after the step with the wrong sign, and without lr.", lambda X, g, l2, lr: X + lr * g + 2 * l2 * X),
    ("penalty_times_score", "You multiply the score's gradient by the penalty's; subtract it.", lambda X, g, l2, lr: X + lr * g * 2 * l2 * X),
    ("score_times_image", "You multiply the score's gradient by the image; take it alone.", lambda X, g, l2, lr: X + lr * (g * X - 2 * l2 * X)),
    ("shrunk_besides", "You shrink the image after the step, too; subtract the penalty's gradient once.", lambda X, g, l2, lr: (X + lr * (g - 2 * l2 * X)) * (1 - 2 * lr * l2)),
    ("numbers_swapped_in_penalty", "Your penalty has lr for l2 as well; it is 2 * l2 * X, times lr.", lambda X, g, l2, lr: X + lr * (g - 2 * lr * X)),
    ("weight_for_rate", "You multiply by l2 in place of lr.", lambda X, g, l2, lr: X + l2 * (g - 2 * l2 * X)),
    ("returned_gradient_times_image", "You multiply the image by its gradient; add it.", lambda X, g, l2, lr: X * (1 + lr * (g - 2 * l2 * X))),
    ("first_image_returned", "You return the first image alone; return all of them.", lambda X, g, l2, lr: (X + lr * (g - 2 * l2 * X))[:1]),
    ("penalty_per_value", "Your penalty is divided by the number of values, and lacks its 2.", lambda X, g, l2, lr: X + lr * (g - l2 * X / X[0].size)),
)  # fmt: skip


def _clamp(low: float, high: float) -> Callable[[Array], Array]:
    return lambda Z: Z.clip(low, high)


def _results() -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    for name, low, high in (
        ("one", -1, 1),
        ("two", -2, 2),
        ("two_and_a_half", -2.5, 2.5),
        ("levels", 0, 255),
        ("from_below", 0, np.inf),
    ):
        yield (
            f"clamped_at_{name}",
            f"clamp the image to {low}..{high}; it is normalized, so black and white are elsewhere",
            _clamp(low, high),
        )
    yield "result_unit", "divide the image by its length; leave it as it is", unit
    yield (
        "result_centered",
        "subtract the mean of the image; leave it as it is",
        lambda Z: Z - Z.mean(),
    )
    yield (
        "result_each_centered",
        "subtract the mean of each image; leave it as it is",
        lambda Z: Z - Z.mean((1, 2, 3), keepdims=True),
    )
    yield (
        "result_standardized",
        "normalize the image; leave it as it is",
        lambda Z: (Z - Z.mean()) / Z.std(ddof=1),
    )
    yield (
        "result_stretched",
        "stretch the image to 0..1; leave it as it is",
        lambda Z: (Z - Z.min()) / np.ptp(Z),
    )


def _along(change: Callable[[Array], Array]) -> Any:
    return replace(visualized, along=change)


def _at(place: Callable[[Tensor], Tensor]) -> Callable[..., Array]:
    def version(X: Tensor, y: Tensor, model: nn.Sequential, l2: float, lr: float) -> Array:
        x = pictures(X)
        return x + lr * (gradient(place(X), y, model, of_class) - 2 * l2 * x)

    return version


def _several(count: int) -> Callable[..., Array]:
    def version(X: Tensor, y: Tensor, model: nn.Sequential, l2: float, lr: float) -> Array:
        for _ in range(count):
            X = torch.from_numpy(visualized(X, y, model, l2, lr))
        return pictures(X)

    return version


def _shrunk_first(
    X: Tensor, y: Tensor, model: nn.Sequential, l2: float, lr: float, *, factor: Any
) -> Array:
    small = X.double() * factor(l2, lr)
    return pictures(small) + lr * gradient(small, y, model, of_class)


WRONGS = (
    *(Wrong(name, said, other(factors)) for name, factors, said in RARER),
    *(
        Wrong(
            f"{name}_unit",
            f"You divide the gradient by its length, and go along another objective. {said}",
            replace(other(factors), along=unit),
        )
        for name, factors, said in RARER
        if name in ("mean_log_probability", "cross_entropy_added_up", "mean_probability")
    ),
    *(
        Wrong(
            f"penalty_{name}",
            f"Your penalty {said}; it is l2 times the sum of squares, with the gradient 2 * l2 * "
            "X.",
            penalized(penalty),
        )
        for name, said, penalty in PENALTIES
    ),
    *(
        Wrong(f"along_{name}", f"You {said}; the step is lr times the gradient.", _along(step))
        for name, said, step in ALONG
    ),
    *(Wrong(f"step_{name}", said, changed(formula)) for name, said, formula in STEPS),
    *(
        Wrong(name, f"You {said}.", lambda *given, change=change: change(visualized(*given)))
        for name, said, change in _results()
    ),
    Wrong("two_steps", "You make two steps; make one.", _several(2)),
    Wrong("three_steps", "You make three steps; make one.", _several(3)),
    Wrong("ten_steps", "You make ten steps; make one.", _several(10)),
    Wrong(
        "shrunk_first",
        "You shrink the image before the score's gradient; take both gradients at X.",
        lambda *given: _shrunk_first(*given, factor=lambda l2, lr: 1 - 2 * lr * l2),
    ),
    Wrong(
        "shrunk_first_without_two",
        "You shrink the image by 1 - lr * l2 before the score's gradient; take both at X.",
        lambda *given: _shrunk_first(*given, factor=lambda l2, lr: 1 - lr * l2),
    ),
    Wrong(
        "shrunk_first_by_weight",
        "You shrink the image by 1 - l2 before the score's gradient; take both at X.",
        lambda *given: _shrunk_first(*given, factor=lambda l2, lr: 1 - l2),
    ),
    Wrong(
        "at_clamped",
        "You clamp the image to 0..1 before the gradient; take the gradient at X.",
        _at(lambda X: X.clamp(0, 1)),
    ),
    Wrong(
        "at_zero",
        "You take the score's gradient at an empty image; take it at X.",
        _at(lambda X: 0 * X),
    ),
)
