"""The total loss, and one training step: references and likely mistakes (chapter 7)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylelib.check.content import content
from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.grams import gram_by_sums
from stylelib.check.inputs import array, features
from stylelib.check.variation import variation

__all__ = ["EXERCISES", "WEIGHTS", "Total", "in_all", "in_sum", "plain_losses", "total"]

Array = NDArray[np.float64]
Total = tuple[list[float], list[float], float, float]
Tensors = Sequence[Tensor]

WEIGHTS = 1.0, 1e4, 10.0
"""Of content, style and total variation, as in the d2l code."""


def _losses_of_one_image() -> list[Arguments]:
    given: list[Arguments] = []
    for seed, N, contents, styles in ((50, 1, 1, 3), (60, 2, 2, 3)):
        shapes = [(N, 2 + k, 3, 4 + k) for k in range(5)]
        fresh = [features(seed + k, *shapes[k], learns=True) for k in range(contents + styles)]
        targets = [features(seed + 5 + k, *shapes[k]) for k in range(contents + styles)]
        grams = [torch.from_numpy(gram_by_sums(Y)).float() for Y in targets[contents:]]
        X = features(seed + 9, N, 3, 4, 5, learns=True)
        given.append((X, fresh[:contents], fresh[contents:], targets[:contents], grams))
    return given


def plain_losses(
    X: Tensor, contents_hat: Tensors, styles_hat: Tensors, contents: Tensors, grams: Tensors
) -> tuple[list[float], list[float], float]:
    """The three kinds of losses, without weights."""
    styles_l = [
        float(((gram_by_sums(Y) - array(A)) ** 2).mean())
        for Y, A in zip(styles_hat, grams, strict=True)
    ]
    return (
        [content(*pair) for pair in zip(contents_hat, contents, strict=True)],
        styles_l,
        (variation(X)),
    )


def _weighted(weights: tuple[float, float, float], *given: Any) -> Total:
    (contents_l, styles_l, tv_l), (alpha, beta, tv) = plain_losses(*given), weights
    contents_l, styles_l = [alpha * c for c in contents_l], [beta * s for s in styles_l]
    return contents_l, styles_l, tv * tv_l, sum(contents_l) + sum(styles_l) + tv * tv_l


def total(*given: Any) -> Total:
    """The reference."""
    return _weighted(WEIGHTS, *given)


def _with_weights(name: str, sentence: str, alpha: float, beta: float, tv: float) -> Wrong:
    return Wrong(name, sentence, lambda *given: _weighted((alpha, beta, tv), *given))


def in_sum(name: str, sentence: str, formula: Callable[..., float]) -> Wrong:
    """A mistake in the sum of the losses only."""

    def version(*given: Any) -> Total:
        contents_l, styles_l, tv_l, L = total(*given)
        return contents_l, styles_l, tv_l, formula(contents_l, styles_l, tv_l, L)

    return Wrong(name, sentence, version)


def in_all(name: str, sentence: str, change: Callable[..., Any]) -> Wrong:
    """A mistake in what is returned of the right losses."""
    return Wrong(name, sentence, lambda *given: change(*total(*given)))


def _unweighted_sum(*given: Any) -> Total:
    contents_l, styles_l, tv_l, _ = total(*given)
    plain = _weighted((1.0, 1.0, 1.0), *given)
    return contents_l, styles_l, tv_l, plain[3]


def _weighted_sum_of_plain(*given: Any) -> Total:
    return (*plain_losses(*given), total(*given)[3])


def _weighted_twice(*given: Any) -> Total:
    twice = _weighted((WEIGHTS[0] ** 2, WEIGHTS[1] ** 2, WEIGHTS[2] ** 2), *given)
    return (*total(*given)[:3], twice[3])


def _with_sums(*given: Any) -> Total:
    """Sums of squares over each layer, instead of means."""
    X, contents_hat, styles_hat, contents, grams = given
    contents_l = [
        float(((array(F) - array(P)) ** 2).sum())
        for F, P in zip(contents_hat, contents, strict=True)
    ]
    styles_l = [
        WEIGHTS[1] * float(((gram_by_sums(Y) - array(A)) ** 2).sum())
        for Y, A in zip(styles_hat, grams, strict=True)
    ]
    tv_l = WEIGHTS[2] * variation(X)
    return contents_l, styles_l, tv_l, sum(contents_l) + sum(styles_l) + tv_l


def _without_half(*given: Any) -> Total:
    contents_l, styles_l, tv_l, L = total(*given)
    return contents_l, styles_l, 2 * tv_l, L + tv_l


TOTAL = Exercise(
    "compute_loss",
    "the total loss",
    "compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram)",
    _losses_of_one_image,
    total,
    (
        _with_weights(
            "no_weights",
            "Your losses are not multiplied by their weights: 1 for content, 1e4 for style, "
            "10 for total variation.",
            1.0,
            1.0,
            1.0,
        ),
        _with_weights(
            "no_style_weight",
            "Your style losses are not multiplied by their weight, 1e4.",
            1.0,
            1.0,
            10.0,
        ),
        _with_weights(
            "no_tv_weight",
            "Your total variation is not multiplied by its weight, 10.",
            1.0,
            1e4,
            1.0,
        ),
        _with_weights(
            "style_weight_of_1000",
            "Your style losses have a weight of 1e3. The d2l code says 1e3 and takes the list "
            "ten times, so that its weight is 1e4.",
            1.0,
            1e3,
            10.0,
        ),
        _with_weights(
            "style_weight_of_100000",
            "Your style losses are ten times too large: their weight is 1e4.",
            1.0,
            1e5,
            10.0,
        ),
        _with_weights(
            "weights_in_another_order",
            "Your weights of content and style are swapped: 1 is for content, and 1e4 for "
            "style.",
            1e4,
            1.0,
            10.0,
        ),
        _with_weights(
            "weights_of_style_and_tv_swapped",
            "Your weights of style and of total variation are swapped: 1e4 is for style, and "
            "10 for total variation.",
            1.0,
            10.0,
            1e4,
        ),
        _with_weights(
            "tv_weight_for_content",
            "Your content losses have the weight of total variation, 10, and the other way "
            "around.",
            10.0,
            1e4,
            1.0,
        ),
        _with_weights(
            "style_weight_for_all",
            "All your losses have the weight of style, 1e4.",
            1e4,
            1e4,
            1e4,
        ),
        in_sum(
            "tv_left_out", "Your total leaves out total variation.", lambda c, s, t, L: L - t
        ),
        in_sum(
            "styles_left_out",
            "Your total leaves out the style losses.",
            lambda c, s, t, L: sum(c) + t,
        ),
        in_sum(
            "contents_left_out",
            "Your total leaves out the content losses.",
            lambda c, s, t, L: sum(s) + t,
        ),
        in_sum(
            "styles_only",
            "Your total has only the style losses in it. Add all losses.",
            lambda c, s, t, L: sum(s),
        ),
        in_sum(
            "contents_only",
            "Your total has only the content losses in it. Add all losses.",
            lambda c, s, t, L: sum(c),
        ),
        in_sum(
            "tv_twice", "Your total counts total variation twice.", lambda c, s, t, L: L + t
        ),
        in_sum(
            "ten_times_the_styles",
            "Your total has the style losses ten times. `10 * styles_l` repeats the list, and "
            "the weight of 1e4 is complete without it.",
            lambda c, s, t, L: L + 9 * sum(s),
        ),
        in_sum(
            "mean_of_the_losses",
            "Your total is the mean of the losses. Add them.",
            lambda c, s, t, L: L / (len(c) + len(s) + 1),
        ),
        in_sum(
            "layers_averaged",
            "Your total averages each kind of loss over its layers. Add them.",
            lambda c, s, t, L: float(np.mean(c) + np.mean(s) + t),
        ),
        in_sum(
            "styles_averaged",
            "Your total averages the style losses over their layers. Add them.",
            lambda c, s, t, L: float(sum(c) + np.mean(s) + t),
        ),
        in_sum(
            "first_layers_only",
            "Your total has only the first layer of each kind of loss.",
            lambda c, s, t, L: c[0] + s[0] + t,
        ),
        in_sum(
            "first_style_only",
            "Your total has only the first style loss. Add all of them.",
            lambda c, s, t, L: sum(c) + s[0] + t,
        ),
        in_sum(
            "last_style_only",
            "Your total has only the last style loss. Add all of them.",
            lambda c, s, t, L: sum(c) + s[-1] + t,
        ),
        in_sum(
            "product",
            "Your total multiplies the losses. Add them.",
            lambda c, s, t, L: float(np.prod([*c, *s, t])),
        ),
        in_all(
            "total_only",
            "Your function returns only the total. Return contents_l, styles_l, tv_l and the "
            "total, l.",
            lambda c, s, t, L: L,
        ),
        in_all(
            "no_total",
            "Your function returns the losses without their sum. Return contents_l, styles_l, "
            "tv_l and the total, l.",
            lambda c, s, t, L: (c, s, t),
        ),
        in_all(
            "total_first",
            "Your function returns the total first. Return contents_l, styles_l, tv_l, l.",
            lambda c, s, t, L: (L, c, s, t),
        ),
        in_all(
            "styles_first",
            "Your function returns the style losses first. Return contents_l, styles_l, tv_l, "
            "l.",
            lambda c, s, t, L: (s, c, t, L),
        ),
        in_all(
            "sums_for_lists",
            "Your function returns sums in place of the lists contents_l and styles_l. Return "
            "one loss for each layer.",
            lambda c, s, t, L: (sum(c), sum(s), t, L),
        ),
        Wrong(
            "weights_missing_in_the_sum",
            "Your total adds losses without their weights.",
            _unweighted_sum,
        ),
        Wrong(
            "weights_in_the_sum_only",
            "Your single losses are not multiplied by their weights, only those in the total "
            "are. Return weighted losses.",
            _weighted_sum_of_plain,
        ),
        Wrong(
            "weighted_twice",
            "Your total has the weights twice: the losses are weighted already.",
            _weighted_twice,
        ),
        Wrong(
            "sums_for_means",
            "Your content and style losses are sums of squares. Take means.",
            _with_sums,
        ),
        Wrong("tv_without_half", "Your total variation has no factor of 1/2.", _without_half),
    ),
    parts=("the content losses", "the style losses", "the total variation", "the total"),
    cases=("one image", "a batch of two images"),
    learns=True,
    targets=(3, 4),
    chapter="07-synthesized-image",
)

EXERCISES = (TOTAL,)
