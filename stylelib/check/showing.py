"""postprocess: reference and likely mistakes (chapter 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.images import MEAN, STD, channels_first

__all__ = ["EXERCISES", "last_axis", "shown_levels"]

Array = NDArray[np.float64]


def _tensors() -> list[Arguments]:
    """Normalized tensors, some pixels beyond black or white, no level close to a half."""
    random = np.random.default_rng(3)
    found: list[Arguments] = []
    for size in ((5, 7), (8, 4)):
        levels = random.integers(-60, 316, (*size, 3)) + random.uniform(-0.4, 0.4, (*size, 3))
        found.append((torch.from_numpy(channels_first((levels / 255 - MEAN) / STD)).float(),))
    return found


def shown_levels(X: Tensor) -> Array:
    """Gray levels (H, W, 3), neither clamped nor rounded."""
    return np.asarray((last_axis(X) * STD + MEAN) * 255)


def last_axis(X: Tensor) -> Array:
    """The channels last, (H, W, 3)."""
    return np.asarray(X[0].double().numpy().transpose(1, 2, 0))


def _shown(X: Tensor) -> Array:
    """Pixel by pixel: std * x + mean, clamped, times 255, rounded."""
    p = shown_levels(X)
    for i in np.ndindex(p.shape):
        p[i] = round(min(255.0, max(0.0, float(p[i]))))
    return p


def _rounded(pixels: Array) -> Array:
    return np.asarray(np.round(np.clip(255 * pixels, 0, 255)))


def _truncated(pixels: Array) -> Array:
    return np.asarray(np.trunc(np.clip(255 * pixels, 0, 255)), dtype=np.float64)


def _wrapped(levels: Any) -> Array:
    return np.asarray(levels.astype(np.int64) % 256.0)


def _stretched(x: Array) -> Array:
    return np.asarray((x - x.min()) / (x.max() - x.min()))


def _of_values(name: str, sentence: str, formula: Any) -> tuple[Wrong, Wrong]:
    """A mistake on the way from normalized values (H, W, 3) to 0..1, before gray levels are
    rounded, or cut off as `ToPILImage` does.
    """
    cut = f"{sentence} Besides, round the gray levels instead of cutting off their decimals."
    return (
        Wrong(name, sentence, lambda X: _rounded(formula(last_axis(X)))),
        Wrong(f"{name}_and_truncated", cut, lambda X: _truncated(formula(last_axis(X)))),
    )


def _of_levels_back(name: str, sentence: str, formula: Any) -> Wrong:
    """A mistake in what becomes of gray levels (H, W, 3) that are not yet clamped."""
    return Wrong(name, sentence, lambda X: formula(shown_levels(X)))


def _turned(name: str, sentence: str, formula: Any) -> tuple[Wrong, Wrong]:
    """A mistake in the axes of the right image."""
    return (
        Wrong(name, sentence, lambda X: formula(_shown(X))),
        Wrong(
            f"{name}_and_truncated",
            f"{sentence} Besides, round the gray levels instead of cutting off their decimals.",
            lambda X: formula(np.trunc(np.clip(shown_levels(X), 0, 255))),
        ),
    )


POSTPROCESS = Exercise(
    "postprocess",
    "the image",
    "postprocess(X)",
    _tensors,
    _shown,
    (
        _of_levels_back(
            "truncated",
            "Your gray levels are cut off, not rounded to the nearest: many are one level too "
            "dark. Round before you convert to whole numbers.",
            lambda p: np.trunc(np.clip(p, 0, 255)),
        ),
        _of_levels_back(
            "rounded_up",
            "Your gray levels are rounded up. Round to the nearest, without adding 0.5 before "
            "it.",
            lambda p: np.ceil(np.clip(p, 0, 255)),
        ),
        _of_levels_back(
            "not_clamped",
            "Your image is not clamped to 0..1, so values beyond black or white wrap around.",
            lambda p: _wrapped(np.round(p)),
        ),
        _of_levels_back(
            "not_clamped_and_truncated",
            "Your image is not clamped to 0..1, so values beyond black or white wrap around. "
            "Round the gray levels, too.",
            lambda p: _wrapped(np.trunc(p)),
        ),
        _of_levels_back(
            "not_clamped_from_above",
            "Your image is not clamped at 1, so values brighter than white wrap around.",
            lambda p: _wrapped(np.round(np.maximum(p, 0))),
        ),
        _of_levels_back(
            "not_clamped_from_below",
            "Your image is not clamped at 0, so values darker than black wrap around.",
            lambda p: _wrapped(np.round(np.minimum(p, 255))),
        ),
        _of_levels_back(
            "not_times_255",
            "Your image has values from 0 to 1, so it is nearly black. Multiply by 255.",
            lambda p: np.round(np.clip(p / 255, 0, 1)),
        ),
        _of_levels_back(
            "times_255_twice",
            "Your image is multiplied by 255 twice, so it is nearly white.",
            lambda p: np.round(np.clip(255 * np.clip(p, 0, 255), 0, 255)),
        ),
        *_of_values(
            "not_denormalized",
            "Your image is not denormalized: multiply by IMAGE_STD and add IMAGE_MEAN.",
            lambda x: x,
        ),
        *_of_values(
            "mean_not_added",
            "Your image is multiplied by IMAGE_STD, but IMAGE_MEAN is not added.",
            lambda x: x * STD,
        ),
        *_of_values(
            "std_not_multiplied",
            "Your image has IMAGE_MEAN added, but is not multiplied by IMAGE_STD.",
            lambda x: x + MEAN,
        ),
        *_of_values(
            "divided_by_std",
            "Your image is divided by IMAGE_STD. Multiply by it to undo that.",
            lambda x: x / STD + MEAN,
        ),
        *_of_values(
            "mean_subtracted",
            "Your image has IMAGE_MEAN subtracted. Add it to undo that.",
            lambda x: x * STD - MEAN,
        ),
        *_of_values(
            "normalized_again",
            "Your image is normalized a second time. Multiply by IMAGE_STD and add IMAGE_MEAN.",
            lambda x: (x - MEAN) / STD,
        ),
        *_of_values(
            "mean_before_std",
            "Your image has IMAGE_MEAN added before it is multiplied by IMAGE_STD. Multiply "
            "first.",
            lambda x: (x + MEAN) * STD,
        ),
        *_of_values(
            "mean_and_std_swapped",
            "Your image has IMAGE_MEAN and IMAGE_STD in each other's place.",
            lambda x: x * MEAN + STD,
        ),
        *_of_values(
            "constants_reversed",
            "Your image is denormalized with the values of blue for red, and of red for blue.",
            lambda x: x * STD[::-1] + MEAN[::-1],
        ),
        *_of_values(
            "one_mean_for_all_channels",
            "Your image is denormalized with one mean and one standard deviation for all "
            "channels. Each channel has its own.",
            lambda x: x * STD.mean() + MEAN.mean(),
        ),
        *_of_values(
            "first_mean_for_all_channels",
            "Your image is denormalized with the values of red in all channels. Each channel "
            "has its own.",
            lambda x: x * STD[0] + MEAN[0],
        ),
        *_of_values(
            "clamped_too_early",
            "Your image is clamped to 0..1 before it is denormalized. Denormalize first.",
            lambda x: np.clip(x, 0, 1) * STD + MEAN,
        ),
        *_of_values(
            "clamped_to_minus_one",
            "Your image is taken for values from -1 to 1. Multiply by IMAGE_STD and add "
            "IMAGE_MEAN.",
            lambda x: (x + 1) / 2,
        ),
        *_of_values(
            "stretched",
            "Your image is stretched from its darkest to its brightest value. Multiply by "
            "IMAGE_STD, add IMAGE_MEAN, and clamp.",
            _stretched,
        ),
        *_of_values(
            "stretched_at_the_end",
            "Your image is stretched from its darkest to its brightest value. Clamp it "
            "instead.",
            lambda x: _stretched(x * STD + MEAN),
        ),
        *_of_values(
            "absolute",
            "Your image has absolute values of what is darker than black. Clamp it instead.",
            lambda x: abs(x * STD + MEAN),
        ),
        *_of_values(
            "reshaped_before_denormalizing",
            "Your image is reshaped to (H, W, 3) before it is denormalized, which scrambles "
            "pixels and colors. Move the axis: permute(1, 2, 0).",
            lambda x: x.transpose(2, 0, 1).reshape(x.shape) * STD + MEAN,
        ),
        *_turned(
            "channels_reversed",
            "Your image has red and blue swapped.",
            lambda p: p[..., ::-1],
        ),
        *_turned(
            "height_and_width_swapped",
            "Your image is transposed: permute(1, 2, 0) moves the channels to the end and "
            "keeps height before width.",
            lambda p: p.swapaxes(0, 1),
        ),
        *_turned(
            "reshaped",
            "Your image is reshaped to (H, W, 3), which scrambles pixels and colors. Move the "
            "axis: permute(1, 2, 0).",
            lambda p: p.transpose(2, 0, 1).reshape(p.shape),
        ),
        *_turned("mirrored", "Your image is mirrored left to right.", lambda p: p[:, ::-1]),
        *_turned("upside_down", "Your image is upside down.", lambda p: p[::-1]),
    ),
    picture="image",
    cases=("an image of 5 x 7", "an image of 8 x 4"),
    returns="image",
    chapter="02-images",
)

EXERCISES = (POSTPROCESS,)
