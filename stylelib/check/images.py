"""preprocess: reference and likely mistakes (chapter 2)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Function, Wrong

__all__ = ["EXERCISES", "MEAN", "STD", "Array", "channels_first", "of_levels", "of_right"]

Array = NDArray[np.float64]

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def _photographs() -> list[Arguments]:
    """Two images that are of the right size already; one of a single color that is not, since
    there are several right ways to resize; and one of three colors that is too wide.
    """
    random = np.random.default_rng(2)
    sizes = (5, 7), (8, 4)
    noise = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    plain = Image.new("RGB", (12, 9), (200, 40, 90))
    fit = [(Image.fromarray(p), size) for p, size in zip(noise, sizes, strict=True)]
    stripes = np.repeat(np.array([[(200, 40, 90), (30, 160, 220), (120, 90, 10)]]), 20, 1)
    wide = Image.fromarray(np.repeat(stripes, 4, 0).astype(np.uint8))
    return [*fit, (plain, (4, 6)), (wide, (4, 30))]


def _run(function: Function, arguments: Arguments) -> Any:
    """What comes out; of the wide image only which of its stripes are seen, at columns where
    no way to resize mixes them.
    """
    image, size = arguments
    X = function(image, size)
    if size != (4, 30) or not isinstance(X, Tensor | np.ndarray):
        return X
    seen = [9.0]
    if tuple(X.shape) == (1, 3, *size):
        stripes = np.asarray(X.detach() if isinstance(X, Tensor) else X, dtype=np.float64)
        stripes = stripes[0][..., (5, 6, 14, 15, 23, 24)].reshape(3, 4, 3, 2)
        if np.ptp(stripes, (1, 3)).max() < 1e-3:
            seen = [float(abs(stripes - np.roll(stripes, k, 2)).max() > 1e-3) for k in (1, 2)]
            seen += (abs(np.diff(stripes[:, 0, :, 0])).max(0) > 1e-3).astype(float).tolist()
    return X.new_tensor(seen) if isinstance(X, Tensor) else np.array(seen, X.dtype)


def _cropped(image: Image.Image, image_shape: tuple[int, int]) -> Array:
    return _normalized(ImageOps.fit(image, image_shape[::-1]), image_shape)


def _corner(image: Image.Image, image_shape: tuple[int, int]) -> Array:
    return _normalized(image.crop((0, 0, *image_shape[::-1])), image_shape)


def _framed(image: Image.Image, image_shape: tuple[int, int]) -> Array:
    return _normalized(ImageOps.pad(image, image_shape[::-1]), image_shape)


def _pixels(image: Image.Image, image_shape: tuple[int, int]) -> Array:
    """Gray levels (H, W, 3) at the size that is asked for."""
    resized = image.resize(image_shape[::-1], Image.Resampling.BILINEAR)
    return np.asarray(resized, dtype=np.float64)


def channels_first(values: Array) -> Array:
    """(H, W, 3) as (1, 3, H, W)."""
    return np.ascontiguousarray(values.transpose(2, 0, 1)[None])


def _normalized(image: Image.Image, image_shape: tuple[int, int]) -> Array:
    """Pixel by pixel: (p / 255 - mean) / std."""
    p = _pixels(image, image_shape)
    X = np.zeros((1, 3, *p.shape[:2]))
    for i, j, c in np.ndindex(p.shape):
        X[0, c, i, j] = (p[i, j, c] / 255 - MEAN[c]) / STD[c]
    return X


def of_levels(name: str, sentence: str, formula: Any) -> Wrong:
    """A mistake in what is computed of gray levels (H, W, 3)."""
    return Wrong(
        name, sentence, lambda image, size: channels_first(formula(_pixels(image, size)))
    )


def of_right(name: str, sentence: str, formula: Any) -> Wrong:
    """A mistake in what is done with the right values (1, 3, H, W)."""
    return Wrong(name, sentence, lambda image, size: formula(_normalized(image, size)))


def _unresized(image: Image.Image, image_shape: tuple[int, int]) -> Array:
    return _normalized(image, (image.height, image.width))


PREPROCESS = Exercise(
    "preprocess",
    "the preprocessed image",
    "preprocess(image, image_shape)",
    _photographs,
    _normalized,
    (
        of_levels(
            "not_scaled",
            "Your image is normalized without being scaled: divide the gray levels by 255 "
            "before you subtract the mean.",
            lambda p: (p - MEAN) / STD,
        ),
        of_levels(
            "not_normalized",
            "Your image is scaled to 0..1, but not normalized: subtract IMAGE_MEAN and divide "
            "by IMAGE_STD.",
            lambda p: p / 255,
        ),
        of_levels(
            "gray_levels",
            "Your image still has gray levels from 0 to 255: divide by 255, then normalize.",
            lambda p: p,
        ),
        of_levels(
            "mean_only",
            "Your image is not divided by IMAGE_STD.",
            lambda p: p / 255 - MEAN,
        ),
        of_levels(
            "std_only",
            "Your image is divided by IMAGE_STD, but IMAGE_MEAN is not subtracted.",
            lambda p: p / 255 / STD,
        ),
        of_levels(
            "times_std",
            "Your image is multiplied by IMAGE_STD. Divide by it.",
            lambda p: (p / 255 - MEAN) * STD,
        ),
        of_levels(
            "mean_added",
            "Your image has IMAGE_MEAN added. Subtract it.",
            lambda p: (p / 255 + MEAN) / STD,
        ),
        of_levels(
            "std_before_mean",
            "Your image is divided by IMAGE_STD before IMAGE_MEAN is subtracted. Subtract the "
            "mean first.",
            lambda p: p / 255 / STD - MEAN,
        ),
        of_levels(
            "denormalized",
            "Your image is multiplied by IMAGE_STD and has IMAGE_MEAN added, as on the way "
            "back. Subtract the mean, and divide by the standard deviation.",
            lambda p: p / 255 * STD + MEAN,
        ),
        of_levels(
            "normalized_twice",
            "Your image is normalized twice. Once is right.",
            lambda p: ((p / 255 - MEAN) / STD - MEAN) / STD,
        ),
        of_levels(
            "scaled_twice",
            "Your image is divided by 255 twice. Once is right (`ToTensor` does it, too).",
            lambda p: (p / 255 / 255 - MEAN) / STD,
        ),
        of_levels(
            "divided_by_256",
            "Your image is divided by 256. The largest gray level is 255.",
            lambda p: (p / 256 - MEAN) / STD,
        ),
        of_levels(
            "whole_number_division",
            "Your image is divided by 255 in whole numbers, so nearly all of it becomes 0. "
            "Convert it to floating point first.",
            lambda p: (p // 255 - MEAN) / STD,
        ),
        of_levels(
            "minus_one_to_one",
            "Your image is scaled to -1..1, as with a mean and standard deviation of 0.5. Use "
            "IMAGE_MEAN and IMAGE_STD.",
            lambda p: p / 127.5 - 1,
        ),
        of_levels(
            "mean_and_std_swapped",
            "Your image has IMAGE_MEAN and IMAGE_STD in each other's place.",
            lambda p: (p / 255 - STD) / MEAN,
        ),
        of_levels(
            "variance_for_std",
            "Your image is divided by the square of IMAGE_STD. Divide by IMAGE_STD itself.",
            lambda p: (p / 255 - MEAN) / STD**2,
        ),
        of_levels(
            "one_mean_for_all_channels",
            "Your image is normalized with one mean and one standard deviation for all "
            "channels. Each channel has its own.",
            lambda p: (p / 255 - MEAN.mean()) / STD.mean(),
        ),
        of_levels(
            "first_mean_for_all_channels",
            "Your image is normalized with the values of red in all channels. Each channel "
            "has its own.",
            lambda p: (p / 255 - MEAN[0]) / STD[0],
        ),
        of_levels(
            "constants_reversed",
            "Your image is normalized with the values of blue for red, and of red for blue.",
            lambda p: (p / 255 - MEAN[::-1]) / STD[::-1],
        ),
        of_levels(
            "own_statistics",
            "Your image is normalized with its own mean and standard deviation. Use those of "
            "ImageNet, IMAGE_MEAN and IMAGE_STD.",
            lambda p: (p - p.mean((0, 1))) / np.maximum(p.std((0, 1)), 1e-9),
        ),
        of_levels(
            "own_statistics_unbiased",
            "Your image is normalized with its own mean and standard deviation. Use those of "
            "ImageNet, IMAGE_MEAN and IMAGE_STD.",
            lambda p: (p - p.mean((0, 1))) / np.maximum(p.std((0, 1), ddof=1), 1e-9),
        ),
        of_levels(
            "paper_units",
            "Your image is in the units of the original VGG: gray levels minus their mean. "
            "Divide by 255 and by IMAGE_STD.",
            lambda p: p - 255 * MEAN,
        ),
        of_levels(
            "gray",
            "Your image has lost its color: all three channels are their mean.",
            lambda p: (p.mean(2, keepdims=True) / 255 - MEAN) / STD,
        ),
        of_levels(
            "channels_reversed",
            "Your image has blue as its first channel. Red comes first.",
            lambda p: (p[..., ::-1] / 255 - MEAN) / STD,
        ),
        of_right(
            "channels_reversed_at_the_end",
            "Your image is right, but its channels are in reverse order. Red comes first.",
            lambda X: X[:, ::-1],
        ),
        of_right(
            "channels_last",
            "Your image has its channels last. Move them to the front: permute(2, 0, 1).",
            lambda X: X.transpose(0, 2, 3, 1),
        ),
        of_right(
            "height_and_width_swapped",
            "Your image is transposed: its height and width are swapped. The axes of an array "
            "of pixels are (H, W, 3), so permute(2, 0, 1) is right.",
            lambda X: X.swapaxes(2, 3),
        ),
        of_right(
            "reshaped",
            "Your image is reshaped to (3, H, W), which scrambles pixels and colors. Move the "
            "axis: permute(2, 0, 1).",
            lambda X: X.transpose(0, 2, 3, 1).reshape(X.shape),
        ),
        of_levels(
            "reshaped_before_normalizing",
            "Your image is reshaped to (3, H, W) before it is normalized, which scrambles "
            "pixels and colors. Move the axis: permute(2, 0, 1).",
            lambda p: (p.reshape(3, -1).T.reshape(p.shape) / 255 - MEAN) / STD,
        ),
        of_right(
            "no_batch_axis",
            "Your image has no axis for the batch. Add one in front: [None] or unsqueeze(0).",
            lambda X: X[0],
        ),
        of_right(
            "no_batch_axis_and_channels_last",
            "Your image has its channels last and no axis for the batch.",
            lambda X: X[0].transpose(1, 2, 0),
        ),
        of_right("mirrored", "Your image is mirrored left to right.", lambda X: X[..., ::-1]),
        Wrong(
            "cropped",
            "Your image is cropped to the new shape, as by ImageOps.fit, so that a part is "
            "lost. "
            "Resize all of it.",
            _cropped,
        ),
        Wrong(
            "corner_cut_out",
            "Your image is cut out at the upper left corner. Resize all of it.",
            _corner,
        ),
        Wrong(
            "framed",
            "Your image keeps its shape and has black bars. Resize it to image_shape.",
            _framed,
        ),
        Wrong(
            "not_resized",
            "Your image is not resized to image_shape.",
            _unresized,
        ),
    ),
    picture="image",
    cases=(
        "an image of 5 x 7",
        "an image of 8 x 4",
        "an image that has to be resized",
        "an image that is too wide",
    ),
    run=_run,
    dtype="float32",
    returns="tensor",
    chapter="02-images",
)

EXERCISES = (PREPROCESS,)
