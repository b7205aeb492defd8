"""Other objectives than the score of a class, and other sets of axes, for gradients of scores."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stylelib.check.axes import subsets
from stylelib.check.saliency import Array, Factors, of_class, softmax

__all__ = ["ALONG", "RARER"]


def _own(scores: Array, y: Array) -> Array:
    """The score that is asked for, (N, 1)."""
    return np.asarray(scores[np.arange(len(y)), y][:, None])


def _at(scores: Array, index: Array) -> Array:
    return np.eye(scores.shape[1])[index]


def _over_batch(scores: Array, y: Array) -> Array:
    """Probabilities of a softmax over the images."""
    powers = np.exp(scores - scores.max(axis=0))
    p = powers / powers.sum(axis=0)
    chosen = of_class(scores, y)
    return np.asarray(p * (chosen - (chosen * p).sum(axis=0)))


def _log_over_batch(scores: Array, y: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=0))
    p, chosen = powers / powers.sum(axis=0), of_class(scores, y)
    return np.asarray(chosen - p * chosen.sum(axis=0))


def _sigmoid(scores: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-scores)))


def _product(scores: Array, y: Array) -> Array:
    own = _own(scores, y)
    return np.asarray(of_class(scores, y) * own.prod() / own)


def _only(index: int) -> Factors:
    def factors(scores: Array, y: Array) -> Array:
        n = np.arange(len(y))[:, None]
        return np.asarray(of_class(scores, y) * (n == n[index]))

    return factors


def _twice_through_softmax(scores: Array, y: Array) -> Array:
    """The logarithm of a softmax of probabilities, as cross_entropy after a softmax."""
    p = softmax(scores)
    d = of_class(scores, y) - softmax(p)
    return np.asarray(p * (d - (d * p).sum(axis=1, keepdims=True)))


def _entropy(scores: Array, y: Array) -> Array:
    p = softmax(scores)
    return np.asarray(-p * (np.log(p) - (p * np.log(p)).sum(axis=1, keepdims=True)))


RARER: tuple[tuple[str, Factors, str], ...] = (
    ("last_class_for_all", lambda s, y: _at(s, np.full_like(y, y[-1])), "Every image gets the class of the last one; pick class y[n] for image n."),
    ("class_zero", lambda s, y: _at(s, 0 * y), "You take the score of class 0 for each image; pick class y[n] for image n."),
    ("last_of_all_classes", lambda s, y: _at(s, 0 * y - 1), "You take the score of the last class for each image; pick class y[n] for image n."),
    ("classes_reversed", lambda s, y: _at(s, y[::-1]), "The images get the classes in reverse order; pick class y[n] for image n."),
    ("class_of_image_before", lambda s, y: _at(s, np.roll(y, 1)), "Each image gets the class of the one before it; pick class y[n] for image n."),
    ("class_of_next_image", lambda s, y: _at(s, np.roll(y, -1)), "Each image gets the class of the next one; pick class y[n] for image n."),
    ("position_for_class", lambda s, y: _at(s, np.arange(len(y))), "Image n gets class n; pick class y[n] for image n."),
    ("mean_of_all_scores", lambda s, y: np.full_like(s, 1 / s.size), "You take the mean of all scores; pick the score of class y[n] for image n, and add up the images."),
    ("mean_of_all_classes", lambda s, y: np.full_like(s, 1 / s.shape[1]), "You take the mean over the classes; pick the score of class y[n] for image n."),
    ("all_other_classes", lambda s, y: 1 - of_class(s, y), "You take the scores of all classes but y; take that of class y."),
    ("y_minus_other_classes", lambda s, y: 2 * of_class(s, y) - 1, "You subtract the scores of all other classes; take that of class y alone."),
    ("y_minus_mean", lambda s, y: of_class(s, y) - 1 / s.shape[1], "You subtract the mean of all scores; take the score of class y alone."),
    ("y_minus_highest", lambda s, y: of_class(s, y) - _at(s, s.argmax(1)), "You subtract the highest score from that of class y; take the score of class y alone."),
    ("highest_minus_y", lambda s, y: _at(s, s.argmax(1)) - of_class(s, y), "You take the difference of the highest score and that of class y; take the score of class y alone."),
    ("highest_added", lambda s, y: of_class(s, y) + _at(s, s.argmax(1)), "You add the highest score; take the score of class y alone."),
    ("lowest_score", lambda s, y: _at(s, s.argmin(1)), "You take each image's lowest score; take the score of the class y that is asked for."),
    ("second_score", lambda s, y: _at(s, s.argsort(1)[:, -2]), "You take each image's second-highest score; take the score of the class y that is asked for."),
    ("highest_probability", lambda s, y: (_at(s, s.argmax(1)) - softmax(s)) * softmax(s).max(1, keepdims=True), "You take each image's highest probability; take the score of the class y that is asked for."),
    ("log_of_highest_probability", lambda s, y: _at(s, s.argmax(1)) - softmax(s), "You take the logarithm of each image's highest probability; take the score of class y."),
    ("squared_score", lambda s, y: 2 * _own(s, y) * of_class(s, y), "You take the square of the score; take the score itself."),
    ("half_squared_score", lambda s, y: _own(s, y) * of_class(s, y), "You multiply the gradient by the score; take the gradient of the score itself."),
    ("absolute_score", lambda s, y: np.sign(_own(s, y)) * of_class(s, y), "You take the absolute value of the score; take the score itself."),
    ("rectified_score", lambda s, y: (_own(s, y) > 0) * of_class(s, y), "You leave out negative scores, as a ReLU does; take the score itself."),
    ("exponential_score", lambda s, y: np.exp(_own(s, y)) * of_class(s, y), "You take the exponential of the score; take the score itself."),
    ("sigmoid_of_score", lambda s, y: _sigmoid(_own(s, y)) * (1 - _sigmoid(_own(s, y))) * of_class(s, y), "You take a sigmoid of the score; take the score itself."),
    ("log_sigmoid_of_score", lambda s, y: (1 - _sigmoid(_own(s, y))) * of_class(s, y), "You take the logarithm of a sigmoid of the score; take the score itself."),
    ("binary_cross_entropy", lambda s, y: of_class(s, y) - _sigmoid(s), "You take a cross-entropy with sigmoids for all classes; take the score of class y itself."),
    ("tanh_of_score", lambda s, y: (1 - np.tanh(_own(s, y)) ** 2) * of_class(s, y), "You take tanh of the score; take the score itself."),
    ("product_of_scores", _product, "You multiply the scores of the images, as prod() does; add them up."),
    ("softmax_over_batch", _over_batch, "You take a softmax over the images, axis 0; take the score before any softmax."),
    ("log_softmax_over_batch", _log_over_batch, "You take the logarithm of a softmax over the images, axis 0; take the score before any softmax."),
    ("softmax_twice", _twice_through_softmax, "You take a softmax before a cross-entropy, which has one of its own; take the score of class y itself."),
    ("cross_entropy_added_up", lambda s, y: softmax(s) - of_class(s, y), "You take the cross-entropy loss, added up over the batch; take the score of class y itself."),
    ("mean_log_probability", lambda s, y: (of_class(s, y) - softmax(s)) / len(y), "You take the mean logarithm of the probability; take the score of class y itself."),
    ("mean_probability", lambda s, y: (of_class(s, y) - softmax(s)) * softmax(s)[np.arange(len(y)), y][:, None] / len(y), "You take the mean probability; take the score of class y itself, and add up the images."),
    ("mean_highest_score", lambda s, y: _at(s, s.argmax(1)) / len(y), "You take the mean of the highest scores; take the score of the class y that is asked for, and add up."),
    ("one_minus_probability", lambda s, y: -(of_class(s, y) - softmax(s)) * softmax(s)[np.arange(len(y)), y][:, None], "You take one minus the probability; take the score of class y itself."),
    ("entropy", _entropy, "You take the entropy of all probabilities; take the score of class y."),
    ("length_of_scores", lambda s, y: s / np.sqrt((s**2).sum(1, keepdims=True)), "You take the length (norm) of all scores; take the score of class y."),
    ("squares_of_all_scores", lambda s, y: 2 * s, "You take the squares of all scores; take the score of class y."),
    ("number_times_scores", lambda s, y: y[:, None] * np.ones_like(s), "You multiply all scores by the number y; y says which score to pick."),
    ("number_times_score", lambda s, y: y[:, None] * of_class(s, y), "You multiply the score by the number y; y says only which score to pick."),
    ("last_image_only", _only(-1), "You take the score of the last image only; add up the scores of all images."),
    ("first_image_with_all_classes", lambda s, y: (np.arange(len(y)) == 0)[:, None] * of_class(s, y).sum(0), "You take the first image's scores of all classes in y, as by scores[0, y]; pick class y[n] for image n."),
    ("last_image_with_all_classes", lambda s, y: (np.arange(len(y)) == len(y) - 1)[:, None] * of_class(s, y).sum(0), "You take the last image's scores of all classes in y; pick class y[n] for image n."),
    ("classes_that_anyone_asks_for", lambda s, y: np.broadcast_to(of_class(s, y).max(0), s.shape), "Every image gets the classes of the whole batch; pick class y[n] for image n."),
    ("half_of_score", lambda s, y: of_class(s, y) / 2, "You take half of the score; take the score itself."),
    ("score_twice", lambda s, y: 2 * of_class(s, y), "Your gradient is counted twice: is backward() called twice, without a reset between?"),
    ("score_for_each_image", lambda s, y: len(y) * of_class(s, y), "You multiply the scores by the number of images: is backward() called once for each image, and adds up?"),
    ("fewer_for_later_images", lambda s, y: (len(y) - np.arange(len(y)))[:, None] * of_class(s, y), "Your gradients add up from image to image: reset them, or call backward() once for the sum of the scores."),
)  # fmt: skip
"""Wrong objectives that are not in every table: name, factors, sentence."""

AXES = "images", "channels", "rows", "columns"
Change = Callable[[Array], Array]

SCALES: tuple[tuple[str, str, Callable[[Array, Any], Array]], ...] = (
    ("length", "length", lambda g, a: np.sqrt((g**2).sum(a, keepdims=True))),
    ("square", "squared length", lambda g, a: (g**2).sum(a, keepdims=True)),
    ("root", "root of the length", lambda g, a: (g**2).sum(a, keepdims=True) ** 0.25),
    ("largest", "largest absolute value", lambda g, a: abs(g).max(a, keepdims=True)),
    ("maximum", "largest value", lambda g, a: g.max(a, keepdims=True)),
    ("absolute_sum", "sum of absolute values", lambda g, a: abs(g).sum(a, keepdims=True)),
    ("absolute_mean", "mean absolute value", lambda g, a: abs(g).mean(a, keepdims=True)),
    ("sum", "sum", lambda g, a: g.sum(a, keepdims=True)),
    ("mean_square", "root of the mean square", lambda g, a: np.sqrt((g**2).mean(a, keepdims=True))),
    ("mean_of_squares", "mean square", lambda g, a: (g**2).mean(a, keepdims=True)),
    ("deviation", "standard deviation", lambda g, a: g.std(a, ddof=1, keepdims=True)),
    ("biased_deviation", "standard deviation", lambda g, a: g.std(a, keepdims=True)),
    ("variance", "variance", lambda g, a: g.var(a, ddof=1, keepdims=True)),
)  # fmt: skip
"""What a gradient may be divided by, over axes: a name, words, and the divisor."""


def _divided(size: Callable[[Array, Any], Array], axes: tuple[int, ...]) -> Change:
    return lambda g: g / size(g, axes)


def _scaled() -> Iterator[tuple[str, str, Change]]:
    for kind, word, size in SCALES:
        for name, words, axes in subsets(AXES, whole=True):
            if axes == (0,) and (kind.endswith("deviation") or kind == "variance"):
                continue
            yield (
                f"{kind}_over_{name}",
                f"divide by the {word} of the gradient over {words}",
                _divided(size, axes),
            )


def _length(g: Array) -> Array:
    """Of each image's gradient, (N, 1, 1, 1)."""
    return np.asarray(np.sqrt((g**2).sum((1, 2, 3), keepdims=True)))


def _centered(g: Array) -> Array:
    """Each image's gradient without its mean."""
    return np.asarray(g - g.mean((1, 2, 3), keepdims=True))


ALONG: tuple[tuple[str, str, Change], ...] = (
    *_scaled(),
    ("times_length", "multiply by the length of the gradient", lambda g: g * _length(g)),
    ("root_of_gradient", "take roots of the gradient's values", lambda g: np.sign(g) * np.sqrt(abs(g))),
    ("length_of_first", "divide by the length of the first image's gradient", lambda g: g / _length(g)[:1]),
    ("length_of_last", "divide by the length of the last image's gradient", lambda g: g / _length(g)[-1:]),
    ("mean_length", "divide by the mean length of the gradients of the batch", lambda g: g / _length(g).mean()),
    ("largest_length", "divide by the largest length of the gradients of the batch", lambda g: g / _length(g).max()),
    ("sum_of_lengths", "divide by the sum of the lengths of the gradients of the batch", lambda g: g / _length(g).sum()),
    ("one_more_than_length", "divide by one more than the length", lambda g: g / (_length(g) + 1)),
    ("large_epsilon", "add 0.1 to the length", lambda g: g / (_length(g) + 0.1)),
    ("epsilon_of_a_hundredth", "add 0.01 to the length", lambda g: g / (_length(g) + 0.01)),
    ("epsilon_of_a_thousandth", "add 0.001 to the length", lambda g: g / (_length(g) + 1e-3)),
    ("root_of_gradient_length_one", "take absolute values of the gradient, divided by its length", lambda g: abs(g) / _length(g)),
    ("positive_of_length_one", "leave out negative values of the gradient, divided by its length", lambda g: np.maximum(g, 0) / _length(g)),
    ("centered_of_length_one", "subtract the gradient's mean and divide by the length", lambda g: _centered(g) / _length(_centered(g))),
    ("standardized", "subtract the gradient's mean and divide by its standard deviation", lambda g: _centered(g) / g.std((1, 2, 3), ddof=1, keepdims=True)),
    ("standardized_over_batch", "subtract the gradient's mean and divide by its standard deviation", lambda g: (g - g.mean()) / g.std(ddof=1)),
    ("added_of_length_one", "add up the gradients of the batch before you divide by the length", lambda g: np.broadcast_to(g.sum(0) / np.sqrt((g.sum(0) ** 2).sum()), g.shape)),
    ("units_added", "add up the directions of all images, and move each along the sum", lambda g: np.broadcast_to((g / _length(g)).sum(0), g.shape)),
    ("units_averaged", "average the directions of all images, and move each along the mean", lambda g: np.broadcast_to((g / _length(g)).mean(0), g.shape)),
    ("mean_over_own_length", "average the gradients of the batch, and divide by each image's length", lambda g: g.mean(0) / _length(g)),
    ("first_image_unit_only", "move the first image only", lambda g: g / _length(g) * (np.arange(len(g)) == 0)[:, None, None, None]),
    ("last_image_unit_only", "move the last image only", lambda g: g / _length(g) * (np.arange(len(g)) == len(g) - 1)[:, None, None, None]),
    ("first_channel_unit_only", "move the first channel only", lambda g: g / _length(g) * np.array([1, 0, 0])[:, None, None]),
    ("mirrored_unit", "mirror the gradient", lambda g: (g / _length(g))[..., ::-1]),
    ("upside_down_unit", "turn the gradient upside down", lambda g: (g / _length(g))[:, :, ::-1]),
    ("channels_of_unit_reversed", "reverse the channels of the gradient", lambda g: (g / _length(g))[:, ::-1]),
    ("images_of_unit_reversed", "reverse the order of the images' gradients", lambda g: (g / _length(g))[::-1]),
    ("half_of_unit", "move by half of lr", lambda g: g / _length(g) / 2),
    ("absolute", "take absolute values of the gradient", abs),
    ("positive", "leave out negative values of the gradient", lambda g: np.maximum(g, 0)),
    ("squares", "square the gradient", np.square),
    ("added_over_batch", "add up the gradients of the batch", lambda g: np.broadcast_to(g.sum(0), g.shape)),
    ("averaged_over_batch", "average the gradients of the batch", lambda g: np.broadcast_to(g.mean(0), g.shape)),
    ("divided_by_batch", "divide the gradient by the number of images", lambda g: g / len(g)),
    ("divided_by_values", "divide the gradient by the number of values of an image", lambda g: g / g[0].size),
    ("divided_by_all_values", "divide the gradient by the number of all values", lambda g: g / g.size),
    ("first_image_only_moved", "move the first image only", lambda g: g * (np.arange(len(g)) == 0)[:, None, None, None]),
    ("last_image_only_moved", "move the last image only", lambda g: g * (np.arange(len(g)) == len(g) - 1)[:, None, None, None]),
    ("halved", "halve the gradient", lambda g: g / 2),
    ("clipped_at_one", "clamp the gradient to -1..1", lambda g: g.clip(-1, 1)),
    ("clipped_at_half", "clamp the gradient to -0.5..0.5", lambda g: g.clip(-0.5, 0.5)),
    ("clipped_at_a_tenth", "clamp the gradient to -0.1..0.1", lambda g: g.clip(-0.1, 0.1)),
    ("clipped_at_a_hundredth", "clamp the gradient to -0.01..0.01", lambda g: g.clip(-0.01, 0.01)),
    ("centered", "subtract the gradient's mean", lambda g: _centered(g)),
    ("same_for_all_channels", "average the gradient over the channels", lambda g: g.mean(1, keepdims=True)),
    ("at_most_one", "shorten only gradients that are longer than 1", lambda g: g / np.maximum(_length(g), 1)),
)  # fmt: skip
"""Other ways to go along a gradient: a name, words after "You", and what becomes of it."""
