"""saliency_map: families of mistakes (chapter 18)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor, nn

from stylelib.check.axes import subsets
from stylelib.check.exercises import Wrong
from stylelib.check.objectives import AXES, RARER
from stylelib.check.saliency import Array, gradient, greatest, of_class, pictures, right

__all__ = ["WRONGS"]

Change = Callable[[Array], Array]
Pool = Callable[[Array, Any], Array]
"""Of an array, over axes."""

POOLS: tuple[tuple[str, str, Pool], ...] = (
    ("largest", "take the largest absolute value over", lambda g, a: abs(g).max(a)),
    ("mean", "average absolute values over", lambda g, a: abs(g).mean(a)),
    ("sum", "add up absolute values over", lambda g, a: abs(g).sum(a)),
    ("signed_largest", "take the largest value, without absolute values, over", lambda g, a: g.max(a)),
    ("signed_mean", "average the gradient, without absolute values, over", lambda g, a: g.mean(a)),
    ("signed_sum", "add up the gradient, without absolute values, over", lambda g, a: g.sum(a)),
    ("signed_smallest", "take the smallest value over", lambda g, a: g.min(a)),
    ("late_smallest", "take the smallest value, and then absolute values, over", lambda g, a: abs(g.min(a))),
    ("smallest", "take the smallest absolute value over", lambda g, a: abs(g).min(a)),
    ("squares", "add up squares over", lambda g, a: (g**2).sum(a)),
    ("mean_squares", "average squares over", lambda g, a: (g**2).mean(a)),
    ("root_of_mean_squares", "take the root of the mean square over", lambda g, a: np.sqrt((g**2).mean(a))),
    ("range", "subtract the smallest value from the largest over", lambda g, a: np.ptp(g, a)),
    ("deviation", "take the standard deviation over", lambda g, a: g.std(a)),
    ("median", "take the median of absolute values over", lambda g, a: np.median(abs(g), a)),
    ("positive_sum", "add up positive values over", lambda g, a: np.maximum(g, 0).sum(a)),
    ("positive_mean", "average positive values over", lambda g, a: np.maximum(g, 0).mean(a)),
    ("negative", "take the most negative value over", lambda g, a: np.maximum(-g, 0).max(a)),
    ("late_sum", "add up the gradient, and then take absolute values, over", lambda g, a: abs(g.sum(a))),
    ("late_largest", "take the largest value, and then absolute values, over", lambda g, a: abs(g.max(a))),
    ("product", "multiply absolute values over", lambda g, a: abs(g).prod(a)),
    ("position", "return which one is largest (argmax) over", lambda g, a: abs(g).argmax(a).astype(float)),
)  # fmt: skip
_RIGHT = "take the largest absolute value over the channels, axis 1"


def _over(axes: Any, formula: Pool) -> Change:
    return lambda array: formula(array, axes)


def _pooled() -> Iterator[Wrong]:
    """Every way to make fewer numbers of a gradient, over every set of axes."""
    for kind, words, pool in POOLS:
        for name, over, axes in subsets(AXES):
            axis: Any = axes[0] if len(axes) == 1 else axes
            if (axes == (1,) and kind == "largest") or (kind == "position" and len(axes) > 1):
                continue
            if len(axes) > 1 and kind not in ("largest", "mean", "sum", "signed_largest"):
                continue
            yield Wrong(
                f"{kind}_over_{name}",
                f"You {words} {over}; {_RIGHT}.",
                replace(right, reduced=_over(axis, pool)),
            )


def _luminance(g: Array) -> Array:
    return np.asarray((g * np.array([0.299, 0.587, 0.114])[:, None, None]).sum(1))


PARTS = (
    ("image", "each map", (1, 2)),
    ("batch", "the maps of the batch", (0, 1, 2)),
    ("row", "each row", (2,)),
    ("column", "each column", (1,)),
)

SCALED: tuple[tuple[str, str, Pool], ...] = (
    ("over_sum", "divide {} by the sum", lambda m, a: m / m.sum(a, keepdims=True)),
    ("over_mean", "divide {} by the mean", lambda m, a: m / m.mean(a, keepdims=True)),
    ("over_length", "divide {} by the length (norm)", lambda m, a: m / np.sqrt((m**2).sum(a, keepdims=True))),
    ("over_deviation", "divide {} by the deviation", lambda m, a: m / m.std(a, ddof=1, keepdims=True)),
    ("centered", "subtract the mean of {}", lambda m, a: m - m.mean(a, keepdims=True)),
    ("standardized", "subtract the mean of {}, and divide by the standard deviation", lambda m, a: (m - m.mean(a, keepdims=True)) / m.std(a, ddof=1, keepdims=True)),
    ("stretched_to_one", "stretch {} to 0..1", lambda m, a: (m - m.min(a, keepdims=True)) / np.ptp(m, a, keepdims=True)),
)  # fmt: skip
"""What is done to each of these parts of the right map: a name, words, and a formula."""

OF_MAP: tuple[tuple[str, str, Change], ...] = (
    ("of_first_image", "return the map of the first image alone", lambda m: m[0]),
    (
        "of_first_for_all",
        "return the first image's map for each image",
        lambda m: np.repeat(m[:1], len(m), 0),
    ),
    (
        "of_last_for_all",
        "return the last image's map for each image",
        lambda m: np.repeat(m[-1:], len(m), 0),
    ),
    (
        "mean_for_all",
        "average the maps of the batch",
        lambda m: np.repeat(m.mean(0, keepdims=True), len(m), 0),
    ),
    (
        "added_from_image_to_image",
        "add up the maps from image to image",
        lambda m: m.cumsum(0),
    ),
    ("root", "take the root of the map", np.sqrt),
    ("fourth_power", "square the map twice", lambda m: m**4),
    ("logarithm", "take the logarithm of the map", np.log),
    ("logarithm_of_one_more", "take log(1 + map)", np.log1p),
    ("clamped_at_a_tenth", "clamp the map to 0.1", lambda m: m.clip(max=0.1)),
    ("levels", "scale the map to 0..255", lambda m: 255 * m / m.max((1, 2), keepdims=True)),
    (
        "stretched_levels",
        "stretch the map to 0..255",
        lambda m: 255 * (m - m.min((1, 2), keepdims=True)) / np.ptp(m, (1, 2), keepdims=True),
    ),
    (
        "inverted",
        "subtract the map from its largest value",
        lambda m: m.max((1, 2), keepdims=True) - m,
    ),
    *(
        (f"{part}_{kind}", said.format(words), _over(axes, formula))
        for part, words, axes in PARTS
        for kind, said, formula in SCALED
    ),
    (
        "row_scaled_to_one",
        "divide each row by its largest value",
        lambda m: m / m.max(2, keepdims=True),
    ),
    (
        "softmax",
        "take a softmax over the pixels",
        lambda m: np.exp(m) / np.exp(m).sum((1, 2), keepdims=True),
    ),
    ("negative", "return the negative of the map", np.negative),
)
"""What is done to the right map (N, H, W)."""

OF_GRADIENT: tuple[tuple[str, str, Change], ...] = (
    ("green_only", "take the second color alone", lambda g: abs(g[:, 1])),
    (
        "first_color_signed",
        "take the first color alone, without absolute values",
        lambda g: g[:, 0],
    ),
    ("luminance", "weight the colors as luminance does", lambda g: abs(_luminance(g))),
    (
        "luminance_of_sizes",
        "weight the colors as luminance does",
        lambda g: _luminance(abs(g)),
    ),
    ("signed_luminance", "weight the colors as luminance does", _luminance),
    (
        "signed_by_largest",
        "keep the sign of the value with the largest size",
        lambda g: np.take_along_axis(g, abs(g).argmax(1)[:, None], 1)[:, 0],
    ),
    (
        "reshaped",
        "reshape to (N, H, W, 3), which does not move the colors, and take the last axis",
        lambda g: abs(g).reshape(len(g), *g.shape[2:], 3).max(3),
    ),
    ("first_image_s_gradient", "use the first image's gradient alone", lambda g: abs(g[0])),
    (
        "smoothed_away",
        "subtract the mean of the gradient first",
        lambda g: greatest(g - g.mean((1, 2, 3), keepdims=True)),
    ),
    (
        "unit",
        "divide the gradient by its length",
        lambda g: greatest(g / np.sqrt((g**2).sum((1, 2, 3), keepdims=True))),
    ),
    ("signs", "take the sign of the gradient", lambda g: greatest(np.sign(g))),
    (
        "added_over_batch",
        "add up the gradients of the batch",
        lambda g: np.repeat(greatest(g.sum(0, keepdims=True)), len(g), 0),
    ),
    (
        "adding_up_gradients",
        "add up the gradients from image to image",
        lambda g: greatest(g.cumsum(0)),
    ),
)
"""What is made of the gradient (N, 3, H, W)."""


def _elsewhere(name: str, said: str, change: Callable[[Tensor], Tensor]) -> Wrong:
    """The map at another image."""
    return Wrong(name, said, lambda X, y, model: right(change(X), y, model))


WITH_IMAGE: tuple[tuple[str, str, Callable[[Array, Array], Array]], ...] = (
    ("sizes_times_image", "You multiply absolute values of the gradient and the image", lambda g, X: abs(g * X).max(1)),
    ("signed_times_image", "You multiply the gradient by the image", lambda g, X: (g * X).max(1)),
    ("sum_times_image", "You multiply the gradient by the image", lambda g, X: (g * X).sum(1)),
    ("sizes_times_image_added", "You multiply the gradient by the image", lambda g, X: abs(g * X).sum(1)),
    ("map_times_map", "You multiply the map by the largest color of the image", lambda g, X: greatest(g) * greatest(X)),
    ("image_alone", "You use the image in place of its gradient", lambda g, X: greatest(X)),
    ("image_added", "You add the gradient to the image", lambda g, X: greatest(X + g)),
    ("divided_by_image", "You divide the gradient by the image", lambda g, X: greatest(g / X)),
)  # fmt: skip
"""What is made of the gradient and the image."""


def _with_image() -> Iterator[Wrong]:
    for name, said, formula in WITH_IMAGE:

        def version(X: Tensor, y: Tensor, model: nn.Sequential, formula: Any = formula) -> Any:
            return formula(gradient(X, y, model, of_class), pictures(X))

        yield Wrong(name, f"{said}; the map is the largest absolute gradient.", version)


ELSEWHERE = (
    _elsewhere(
        "at_zero",
        "You take the gradient at a black or empty image; take it at X.",
        lambda X: 0 * X,
    ),
    _elsewhere(
        "at_clamped",
        "You clamp the image to 0..1 first; it is normalized, so take X as it is.",
        lambda X: X.clamp(0, 1),
    ),
    _elsewhere(
        "at_clamped_to_one",
        "You clamp the image to -1..1 first; take X as it is.",
        lambda X: X.clamp(-1, 1),
    ),
    _elsewhere(
        "at_standardized",
        "You normalize the image again; take X as it is.",
        lambda X: (X - X.mean()) / X.std(),
    ),
    _elsewhere(
        "at_each_standardized",
        "You normalize each image again; take X as it is.",
        lambda X: (X - X.mean((1, 2, 3), keepdim=True)) / X.std((1, 2, 3), keepdim=True),
    ),
    _elsewhere(
        "at_absolute", "You take absolute values of the image first; take X as it is.", abs
    ),
    _elsewhere(
        "at_scaled", "You divide the image by 255 first; take X as it is.", lambda X: X / 255
    ),
    _elsewhere(
        "at_reversed_colors",
        "You reverse the colors of the image first; take X as it is.",
        lambda X: X.flip(1),
    ),
)


WRONGS = (
    *(Wrong(name, said, replace(right, factors=factors)) for name, factors, said in RARER),
    *_pooled(),
    *(
        Wrong(f"map_{name}", f"You {said}; return the map in its own units, (N, H, W).", lambda X, y, model, change=change: change(right(X, y, model)))
        for name, said, change in OF_MAP
    ),
    *(
        Wrong(f"gradient_{name}", f"You {said}; {_RIGHT}.", replace(right, reduced=change))
        for name, said, change in OF_GRADIENT
    ),
    *_with_image(),
    *ELSEWHERE,
)  # fmt: skip
