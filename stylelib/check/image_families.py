"""preprocess and postprocess: families of mistakes (chapter 2)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stylelib.check.exercises import Wrong
from stylelib.check.images import MEAN, STD, Array, of_levels, of_right
from stylelib.check.showing import last_axis, shown_levels

__all__ = ["BACKWARD", "FORWARD"]

MEANS: tuple[tuple[str, str, Any], ...] = (
    ("right", "", MEAN),
    ("of_red", "the mean of red in all channels", MEAN[0]),
    ("of_green", "the mean of green in all channels", MEAN[1]),
    ("of_blue", "the mean of blue in all channels", MEAN[2]),
    ("averaged", "one mean for all channels", MEAN.mean()),
    ("reversed", "the means of blue and red exchanged", MEAN[::-1]),
    ("half", "0.5 for the mean", 0.5),
    ("twice", "the mean twice", 2 * MEAN),
    ("of_levels", "a mean in gray levels (times 255)", 255 * MEAN),
    ("over_255", "a mean that is divided by 255", MEAN / 255),
    ("squared", "the square of the mean", MEAN**2),
    ("std", "the standard deviation for the mean", STD),
    ("zero", "no mean", 0 * MEAN),
    ("one", "1 for the mean", 1.0),
    ("negative", "the mean with the wrong sign", -MEAN),
)
STDS: tuple[tuple[str, str, Any], ...] = (
    ("right", "", STD),
    ("of_red", "the standard deviation of red in all channels", STD[0]),
    ("of_green", "the standard deviation of green in all channels", STD[1]),
    ("of_blue", "the standard deviation of blue in all channels", STD[2]),
    ("averaged", "one standard deviation for all channels", STD.mean()),
    ("reversed", "the standard deviations of blue and red exchanged", STD[::-1]),
    ("half", "0.5 for the standard deviation", 0.5),
    ("twice", "the standard deviation twice", 2 * STD),
    ("of_levels", "a standard deviation in gray levels (times 255)", 255 * STD),
    ("over_255", "a standard deviation that is divided by 255", STD / 255),
    ("squared", "the square of the standard deviation", STD**2),
    ("rooted", "the root of the standard deviation", np.sqrt(STD)),
    ("mean", "the mean for the standard deviation", MEAN),
    ("one", "no standard deviation", 0 * STD + 1),
    ("inverted", "one over the standard deviation", 1 / STD),
    ("of_cifar", "the standard deviations of another data set, CIFAR-10", np.array([0.247, 0.243, 0.261])),
    ("large_epsilon", "0.01 added to the standard deviation", STD + 0.01),
    ("small_epsilon", "0.001 added to the standard deviation", STD + 0.001),
)  # fmt: skip


def _constants() -> Iterator[tuple[str, str, Any, Any]]:
    """Every wrong mean with every wrong standard deviation."""
    for mean_name, mean_said, mean in MEANS:
        for std_name, std_said, std in STDS:
            said = " and ".join(filter(None, (mean_said, std_said)))
            if said:
                yield f"mean_{mean_name}_std_{std_name}", said, mean, std


def _stretched(p: Array, axes: Any) -> Array:
    low, high = p.min(axes, keepdims=True), p.max(axes, keepdims=True)
    return np.asarray((p - low) / np.maximum(high - low, 1e-9))


def _mean(p: Array, axes: Any) -> Array:
    return np.asarray(p.mean(axes, keepdims=True))


def _luminance(p: Array) -> Array:
    gray = (p * np.array([299, 587, 114])).sum(2, keepdims=True) / 1000
    return np.asarray(np.floor(gray + 0.5) + 0 * p)


SCALES: tuple[tuple[str, str, Callable[[Array], Any]], ...] = (
    ("over_its_largest", "divided by its largest gray level", lambda p: p / p.max()),
    ("over_largest_of_channel", "divided by each channel's largest gray level", lambda p: p / p.max((0, 1))),
    ("stretched", "stretched from its darkest to its brightest value", lambda p: _stretched(p, (0, 1, 2))),
    ("channels_stretched", "stretched channel by channel", lambda p: _stretched(p, (0, 1))),
    ("over_254", "divided by 254", lambda p: p / 254),
    ("over_100", "divided by 100", lambda p: p / 100),
    ("over_128", "divided by 128", lambda p: p / 128),
    ("over_127_5", "divided by 127.5", lambda p: p / 127.5),
    ("to_minus_one", "scaled to -1..1 before it is normalized", lambda p: p / 127.5 - 1),
    ("to_minus_one_by_128", "scaled to -1..1 before it is normalized", lambda p: p / 128 - 1),
    ("to_minus_half", "moved to -0.5..0.5 before it is normalized", lambda p: p / 255 - 0.5),
    ("inverted", "a negative, 1 - p / 255", lambda p: 1 - p / 255),
    ("rounded", "rounded to 0 or 1", lambda p: np.round(p / 255)),
    ("two_decimals", "rounded to two decimals", lambda p: np.round(p / 255, 2)),
    ("half_precision", "computed in half precision", lambda p: (p.astype(np.float32) / 255).astype(np.float16).astype(np.float64)),
    ("gamma", "linearized with a gamma of 2.2", lambda p: (p / 255) ** 2.2),
    ("gamma_inverse", "brightened with a gamma of 1 / 2.2", lambda p: (p / 255) ** (1 / 2.2)),
    ("gamma_two", "squared", lambda p: (p / 255) ** 2),
    ("luminance", "gray: convert('L') loses the colors", lambda p: _luminance(p) / 255),
    ("red_only", "red in all channels", lambda p: p[..., :1] / 255 + 0 * p),
    ("wrapped_minus_mean", "subtracted in whole numbers, which wrap around below 0", lambda p: (p - 124) % 256 / 255),
    ("standardized_first", "normalized with its own mean and deviation first", lambda p: (p - p.mean()) / np.maximum(p.std(), 1e-9)),
    ("mirrored_levels", "divided by 255 and turned around 0.5", lambda p: 0.5 - p / 255),
    ("levels", "not divided by 255", lambda p: p),
)  # fmt: skip
"""Other ways from gray levels to 0..1."""


OWN: tuple[tuple[str, Callable[[Array, Any], Array]], ...] = (
    (
        "mean_and_deviation",
        lambda p, a: (p - _mean(p, a)) / np.maximum(p.std(a, keepdims=True), 1e-9),
    ),
    (
        "mean_and_unbiased_deviation",
        lambda p, a: (p - _mean(p, a)) / np.maximum(p.std(a, keepdims=True, ddof=1), 1e-9),
    ),
    ("mean_with_std", lambda p, a: (p / 255 - _mean(p / 255, a)) / STD),
    ("mean_alone", lambda p, a: p / 255 - _mean(p / 255, a)),
    (
        "deviation_with_mean",
        lambda p, a: (p / 255 - MEAN) / np.maximum((p / 255).std(a, keepdims=True), 1e-9),
    ),
)
"""An image normalized with its own mean or deviation, over axes."""


def _own_statistics() -> Iterator[Wrong]:
    for name, words, axes in (
        ("channels", "each channel's", (0, 1)),
        ("all", "all its values'", (0, 1, 2)),
        ("pixels", "each pixel's", 2),
        ("rows", "each row's", (1, 2)),
        ("columns", "each column's", (0, 2)),
        ("lines", "each row's", 1),
    ):
        for kind, formula in OWN:
            yield of_levels(
                f"own_{kind}_of_{name}",
                f"Your image is normalized with {words} own {kind.replace('_', ' ')}. Use "
                "IMAGE_MEAN and IMAGE_STD.",
                lambda p, axes=axes, formula=formula: formula(p, axes),
            )


def _forward() -> Iterator[Wrong]:
    for name, said, mean, std in _constants():
        yield of_levels(
            name,
            f"Your image is normalized with {said}. Use IMAGE_MEAN and IMAGE_STD.",
            lambda p, mean=mean, std=std: (p / 255 - mean) / std,
        )
    for name, said, scale in SCALES:
        yield of_levels(
            f"scaled_{name}",
            f"Your image is {said}. Divide the gray levels by 255, then normalize.",
            lambda p, scale=scale: (scale(p) - MEAN) / STD,
        )
        yield of_levels(
            f"scaled_{name}_alone",
            f"Your image is {said}, and not normalized. Divide the gray levels by 255, then "
            "normalize.",
            lambda p, scale=scale: scale(p),
        )
    yield from _own_statistics()
    yield from _of_result()


RESULTS: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    ("clamped", "is clamped to 0..1 at last. Leave it as it is", lambda X: X.clip(0, 1)),
    ("clamped_to_one", "is clamped to -1..1 at last. Leave it as it is", lambda X: X.clip(-1, 1)),
    ("clamped_to_two", "is clamped to -2..2 at last. Leave it as it is", lambda X: X.clip(-2, 2)),
    ("rounded", "is rounded at last. Leave it as it is", np.round),
    ("upside_down", "is upside down", lambda X: X[:, :, ::-1]),
    ("rotated", "is rotated by 180 degrees", lambda X: X[:, :, ::-1, ::-1]),
    ("batch_axis_second", "has the axis of the batch in second place. Add it in front: unsqueeze(0)", lambda X: X.swapaxes(0, 1)),
    ("batch_axis_last", "has the axis of the batch at the end. Add it in front: unsqueeze(0)", lambda X: X[0][..., None]),
    ("two_batch_axes", "has two axes for the batch. Add one: unsqueeze(0)", lambda X: X[None]),
    ("flattened", "is flattened. Keep (1, 3, H, W)", lambda X: X.reshape(1, -1)),
    ("columns_first", "has its axes as (1, W, H, 3). Use permute(2, 0, 1)", lambda X: X.transpose(0, 3, 2, 1)),
    ("rows_before_channels", "has its axes as (1, H, 3, W). Use permute(2, 0, 1)", lambda X: X.transpose(0, 2, 1, 3)),
    ("reshaped_columns", "is reshaped after its columns came first, which scrambles it. Use permute(2, 0, 1)", lambda X: X.transpose(0, 3, 2, 1).reshape(X.shape)),
    ("no_channel_but_first", "has its first channel alone. Keep all three", lambda X: X[:, :1]),
    ("twice_in_batch", "is there twice in the batch. One is right", lambda X: np.repeat(X, 2, 0)),
    ("green_first", "has its channels in another order: green is first. Red comes first", lambda X: X[:, [1, 2, 0]]),
    ("blue_then_red", "has its channels in another order: blue, red, green. Red comes first", lambda X: X[:, [2, 0, 1]]),
    ("absolute", "has lost its signs. Leave it as it is", abs),
    ("positive", "has lost its negative values. Leave it as it is", lambda X: np.maximum(X, 0)),
)  # fmt: skip
"""After "Your image": what is done to the right values at last."""


def _of_result() -> Iterator[Wrong]:
    for name, said, change in RESULTS:
        yield of_right(f"result_{name}", f"Your image {said}.", change)


def _cut(levels: Array) -> Array:
    return np.asarray(np.trunc(np.clip(levels, 0, 255)))


def _rounded(levels: Array) -> Array:
    return np.asarray(np.round(np.clip(levels, 0, 255)))


def _denormalized(x: Array) -> Array:
    return np.asarray(x * STD + MEAN)


LEVELS: tuple[tuple[str, str, Callable[[Array], Any]], ...] = (
    ("times_256", "is multiplied by 256. The largest gray level is 255", lambda x: 256 * _denormalized(x)),
    ("times_256_and_clamped_first", "is multiplied by 256. The largest gray level is 255", lambda x: 256 * _denormalized(x).clip(0, 1)),
    ("times_254", "is multiplied by 254. The largest gray level is 255", lambda x: 254 * _denormalized(x)),
    ("times_254_and_clamped_first", "is multiplied by 254. The largest gray level is 255", lambda x: 254 * _denormalized(x).clip(0, 1)),
    ("half_added", "has 0.5 added before it is rounded, so many levels are one too bright: round() alone is enough", lambda x: 255 * _denormalized(x) + 0.5),
    ("times_100", "is multiplied by 100. The largest gray level is 255", lambda x: 100 * _denormalized(x)),
    ("times_127_5", "is multiplied by 127.5. Multiply by 255", lambda x: 127.5 * _denormalized(x)),
    ("from_minus_one", "is taken for values from -1 to 1 after it is denormalized. Multiply by 255", lambda x: 127.5 * (_denormalized(x) + 1)),
    ("black_and_white", "is clamped to 0..1 after it is multiplied by 255, so that it is black and white. Clamp first", lambda x: 255 * (255 * _denormalized(x)).clip(0, 1)),
    ("rounded_first", "is rounded to 0 or 1 before it is multiplied by 255. Multiply first", lambda x: 255 * np.round(_denormalized(x).clip(0, 1))),
    ("two_decimals", "is rounded before it is multiplied by 255. Multiply first", lambda x: 255 * np.round(_denormalized(x), 2)),
    ("sigmoid", "has gone through a sigmoid. Clamp it instead", lambda x: 255 / (1 + np.exp(-_denormalized(x)))),
    ("sigmoid_of_values", "has gone through a sigmoid. Multiply by IMAGE_STD and add IMAGE_MEAN instead", lambda x: 255 / (1 + np.exp(-x))),
    ("tanh", "has gone through tanh. Clamp it instead", lambda x: 127.5 * (np.tanh(x) + 1)),
    ("over_its_largest", "is divided by its largest value. Clamp it instead", lambda x: 255 * _denormalized(x) / _denormalized(x).max()),
    ("positive_over_its_largest", "is divided by its largest value. Clamp it instead", lambda x: 255 * np.maximum(_denormalized(x), 0) / _denormalized(x).max()),
    ("channels_stretched", "is stretched channel by channel. Clamp it instead", lambda x: 255 * _stretched(_denormalized(x), (0, 1))),
    ("values_channels_stretched", "is stretched channel by channel. Multiply by IMAGE_STD, add IMAGE_MEAN, and clamp", lambda x: 255 * _stretched(x, (0, 1))),
    ("denormalized_twice", "is denormalized twice. Once is right", lambda x: 255 * _denormalized(_denormalized(x))),
    ("clamped_before_mean", "is clamped before IMAGE_MEAN is added. Clamp at the end", lambda x: 255 * ((x * STD).clip(0, 1) + MEAN)),
    ("clamped_to_one_first", "is clamped to -1..1 before it is denormalized. Denormalize first", lambda x: 255 * _denormalized(x.clip(-1, 1))),
    ("clamped_to_two_first", "is clamped to -2..2 before it is denormalized. Denormalize first", lambda x: 255 * _denormalized(x.clip(-2, 2))),
    ("clamped_to_2_5_first", "is clamped to -2.5..2.5 before it is denormalized. Denormalize first", lambda x: 255 * _denormalized(x.clip(-2.5, 2.5))),
    ("clamped_from_below_first", "has its negative values cut off before it is denormalized. Denormalize first", lambda x: 255 * _denormalized(x.clip(0))),
    ("levels_added_to_values", "has IMAGE_MEAN added to gray levels. Add it before you multiply by 255", lambda x: 255 * x * STD + MEAN),
    ("mean_in_levels_alone", "has 255 * IMAGE_MEAN added to values that are not multiplied by 255", lambda x: x * STD + 255 * MEAN),
    ("gamma", "is brightened with a gamma of 2.2. Leave it as it is", lambda x: 255 * _denormalized(x).clip(0, 1) ** (1 / 2.2)),
    ("gamma_inverse", "is darkened with a gamma of 2.2. Leave it as it is", lambda x: 255 * _denormalized(x).clip(0, 1) ** 2.2),
    ("colors_reversed_first", "has red and blue exchanged before it is denormalized. Red comes first", lambda x: 255 * _denormalized(x[..., ::-1])),
    ("own_statistics", "has mean 0.5, with its own deviation. Multiply by IMAGE_STD and add IMAGE_MEAN", lambda x: 255 * ((x - x.mean()) / x.std() * 0.25 + 0.5)),
    ("minus_one_clamped", "is clamped to -1..1 instead of 0..1, so that dark values wrap or vanish", lambda x: 255 * abs(_denormalized(x).clip(-1, 1))),
    ("mirrored_below", "has absolute values of what is darker than black. Clamp it instead", lambda x: abs(255 * _denormalized(x))),
)  # fmt: skip
"""Other ways from normalized values to gray levels."""

TURNED: tuple[tuple[str, str, Callable[[Array], Any]], ...] = (
    ("rotated", "is rotated by 180 degrees", lambda p: p[::-1, ::-1]),
    ("turned_right", "is turned by 90 degrees", lambda p: np.rot90(p, -1)),
    ("turned_left", "is turned by 90 degrees", np.rot90),
    ("reshaped_to_columns", "is reshaped to (W, H, 3), which scrambles it. Use permute(1, 2, 0)", lambda p: p.transpose(2, 0, 1).reshape(p.shape[1], p.shape[0], 3)),
    ("green_first", "has its channels in another order. Red comes first", lambda p: p[..., [1, 2, 0]]),
    ("blue_then_red", "has its channels in another order. Red comes first", lambda p: p[..., [2, 0, 1]]),
    ("red_only", "is that of red alone. Keep all three channels", lambda p: p[..., :1] + 0 * p),
    ("negative", "is a negative: 1 - p. Leave it as it is", lambda p: 255 - p),
    ("gray", "is gray: its channels are averaged. Keep all three", lambda p: np.round(p.mean(2, keepdims=True)) + 0 * p),
)  # fmt: skip
"""After "Your image": what is done to the right gray levels (H, W, 3) at last."""


def _denormalized_with(mean: Any, std: Any) -> Callable[[Array], Array]:
    return lambda x: np.asarray(255 * (x * std + mean))


def _backward() -> Iterator[Wrong]:
    besides = " Besides, round the gray levels instead of cutting off their decimals."
    ways: list[tuple[str, str, Callable[[Array], Array]]] = [
        (name, f"Your image is denormalized with {said}. Use IMAGE_MEAN and IMAGE_STD.", _denormalized_with(mean, std))
        for name, said, mean, std in _constants()
    ]  # fmt: skip
    ways += [(f"levels_{name}", f"Your image {said}.", change) for name, said, change in LEVELS]
    for name, said, change in ways:
        yield Wrong(name, said, lambda X, change=change: _rounded(change(last_axis(X))))
        yield Wrong(
            f"{name}_and_truncated",
            said + besides,
            lambda X, change=change: _cut(change(last_axis(X))),
        )
    for name, said, turn in TURNED:
        yield Wrong(
            f"turned_{name}",
            f"Your image {said}.",
            lambda X, turn=turn: turn(_rounded(shown_levels(X))),
        )


FORWARD = tuple(_forward())
BACKWARD = tuple(_backward())
