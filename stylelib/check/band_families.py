"""The bands of a Laplacian pyramid: families of mistakes (chapter 24)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stylelib.check.bands import RIGHT, Array, bilinear, halves, resized, smoothed
from stylelib.check.exercises import Wrong

__all__ = ["WRONGS"]


def mode(name: str, **options: Any) -> Callable[[int, int], Array]:
    """PyTorch's way to resize one axis, as a matrix (count, size)."""

    def matrix(size: int, count: int) -> Array:
        one = torch.eye(size, dtype=torch.float64)[None, :, :, None].expand(1, size, size, 4)
        found = nn.functional.interpolate(one, (count, 4), mode=name, **options)
        return np.asarray(found[0, :, :, 0].T.numpy())

    return matrix


DOWN: dict[str, tuple[str, Callable[[int, int], Array]]] = {
    "bicubic": (
        "mode='bicubic' without antialiasing",
        mode("bicubic"),
    ),
    "bicubic_smoothed": ("mode='bicubic'", mode("bicubic", antialias=True)),
    "bicubic_corners": (
        "mode='bicubic' with align_corners",
        mode("bicubic", align_corners=True),
    ),
    "nearest_exact": ("mode='nearest-exact'", mode("nearest-exact")),
    "first_of_two": (
        "a slice [::2]",
        lambda size, count: np.eye(size)[::2][:count],
    ),
    "second_of_two": (
        "a slice [1::2]",
        lambda size, count: np.eye(size)[1::2][:count],
    ),
    "cropped": (
        "the first half of the image, cut out,",
        lambda size, count: np.eye(size)[:count],
    ),
    "cropped_in_the_middle": (
        "the middle of the image, cut out,",
        lambda size, count: np.eye(size)[(size - count) // 2 :][:count],
    ),
}
UP: dict[str, tuple[str, Callable[[int, int], Array]]] = {
    "bicubic": ("mode='bicubic'", mode("bicubic")),
    "bicubic_corners": (
        "mode='bicubic' with align_corners",
        mode("bicubic", align_corners=True),
    ),
    "area": ("mode='area'", mode("area")),
    "nearest_exact": ("mode='nearest-exact'", mode("nearest-exact")),
    "zeros_between": (
        "zeros between the pixels",
        lambda size, count: np.eye(count)[:, : 2 * size : 2][:, :size],
    ),
    "zeros_beside": ("zeros below and on the right", lambda size, count: np.eye(count, size)),
    "repeated_first": (
        "each pixel twice, the last one up to the border",
        lambda size, count: np.eye(size)[np.minimum(np.arange(count) // 2, size - 1)],
    ),
}
RESIZED = (
    *(
        Wrong(
            f"down_{name}",
            f"You make the image smaller by {said}; use mode='bilinear' with antialias=True.",
            replace(RIGHT, down=matrix),
        )
        for name, (said, matrix) in DOWN.items()
    ),
    *(
        Wrong(
            f"up_{name}",
            f"You enlarge the small image by {said}; use mode='bilinear'.",
            replace(RIGHT, up=matrix),
        )
        for name, (said, matrix) in UP.items()
    ),
    *(
        Wrong(
            f"down_{one}_up_{two}",
            f"You make the image smaller by {DOWN[one][0]} and enlarge it by {UP[two][0]}; use "
            "mode='bilinear', with antialias=True on the way down.",
            replace(RIGHT, down=DOWN[one][1], up=UP[two][1]),
        )
        for one, two in (
            ("bicubic", "bicubic"),
            ("bicubic_smoothed", "bicubic"),
            ("bicubic_corners", "bicubic_corners"),
            ("nearest_exact", "nearest_exact"),
            ("first_of_two", "repeated_first"),
            ("first_of_two", "zeros_between"),
        )
    ),
)

Half = Callable[[Array], tuple[int, int]]


def part_of(X: Array, parts: int) -> tuple[int, int]:
    """The sides over a number, rounded down, but not 0."""
    return max(1, X.shape[2] // parts), max(1, X.shape[3] // parts)


HALVES: dict[str, tuple[str, Half]] = {
    "third": ("a third of the sides", lambda X: part_of(X, 3)),
    "quarter": ("a quarter of the sides", lambda X: part_of(X, 4)),
    "rounded": (
        "half the sides, rounded to the nearest even number,",
        lambda X: (round(X.shape[2] / 2), round(X.shape[3] / 2)),
    ),
    "rows_only": (
        "half the height, but the whole width",
        lambda X: (X.shape[2] // 2, X.shape[3]),
    ),
    "columns_only": (
        "half the width, but the whole height",
        lambda X: (X.shape[2], X.shape[3] // 2),
    ),
    "square": (
        "half the height for both sides",
        lambda X: (X.shape[2] // 2, X.shape[2] // 2),
    ),
    "square_of_width": (
        "half the width for both sides",
        lambda X: (X.shape[3] // 2, X.shape[3] // 2),
    ),
    "swapped": (
        "half the width for the height, and half the height for the width",
        lambda X: (X.shape[3] // 2, X.shape[2] // 2),
    ),
    "same": ("the whole sides", lambda X: (X.shape[2], X.shape[3])),
    "one_less": (
        "half the sides minus 1",
        lambda X: (max(1, X.shape[2] // 2 - 1), max(1, X.shape[3] // 2 - 1)),
    ),
    "one_more": (
        "half the sides plus 1",
        lambda X: (X.shape[2] // 2 + 1, X.shape[3] // 2 + 1),
    ),
    "height_up": (
        "the height rounded up, and the width down,",
        lambda X: (-(-X.shape[2] // 2), X.shape[3] // 2),
    ),
}
SIZED = tuple(
    Wrong(
        f"size_{name}",
        f"Your small image has {said}; it has half of both, rounded down.",
        replace(RIGHT, half=half),
    )
    for name, (said, half) in HALVES.items()
    if name != "same"
)


def steps(X: Tensor, levels: int) -> tuple[list[Array], list[Array]]:
    """The images of all sizes, and the enlarged copies of the smaller ones."""
    sizes, blurred = [X.detach().double().numpy()], []
    for _ in range(levels):
        sizes.append(resized(sizes[-1], halves(sizes[-1]), smoothed))
        blurred.append(resized(sizes[-1], sizes[-2].shape[2:], bilinear))
    return sizes, blurred


def enlarged(a: Array, like: Array) -> Array:
    """To the size of another image."""
    return resized(a, like.shape[2:], bilinear)


def in_steps(a: Array, sizes: list[Array], level: int) -> Array:
    """From the size of a level to the first, one size after the other."""
    for image in sizes[level - 1 :: -1] if level else ():
        a = enlarged(a, image)
    return a


Rest = Callable[[list[Array], list[Array], list[Array]], Any]
"""The last entry, of images, blurred copies and bands."""
RESTS: dict[str, tuple[str, Rest]] = {
    "enlarged": (
        "the small image enlarged to the size of X",
        lambda g, b, d: enlarged(g[-1], g[0]),
    ),
    "enlarged_step_by_step": (
        "the small image enlarged to the size of X, one size after the other",
        lambda g, b, d: in_steps(g[-1], g, len(b)),
    ),
    "last_blurred": ("the last blurred copy, twice as large", lambda g, b, d: b[-1]),
    "first_blurred": ("the first blurred copy", lambda g, b, d: b[0]),
    "first_small": ("the first small image", lambda g, b, d: g[1]),
    "one_smaller": (
        "one size smaller",
        lambda g, b, d: resized(g[-1], halves(g[-1]), smoothed),
    ),
    "zeros": ("zeros", lambda g, b, d: 0 * g[-1]),
    "mean": ("the image's mean", lambda g, b, d: g[-1].mean((2, 3), keepdims=True)),
    "minus_mean": (
        "the small image minus its mean",
        lambda g, b, d: g[-1] - g[-1].mean((2, 3), keepdims=True),
    ),
    "negative": ("the negative small image", lambda g, b, d: -g[-1]),
    "of_original": (
        "X made smaller in one step; take the small image of the last band",
        lambda g, b, d: resized(g[0], g[-1].shape[2:], smoothed),
    ),
    "band_made_smaller": (
        "the last band made smaller",
        lambda g, b, d: resized(d[-1], g[-1].shape[2:], smoothed),
    ),
    "small_minus_enlarged": (
        "a band, too",
        lambda g, b, d: g[-1] - enlarged(resized(g[-1], halves(g[-1]), smoothed), g[-1]),
    ),
    "sum_of_bands": (
        "the sum of the bands",
        lambda g, b, d: sum(enlarged(each, g[0]) for each in d),
    ),
}


def with_rest(of: Rest) -> Callable[[Tensor, int], list[Any]]:
    """Right bands, and another last entry."""

    def version(X: Tensor, levels: int) -> list[Any]:
        sizes, blurred = steps(X, levels)
        bands = [a - b for a, b in zip(sizes, blurred, strict=False)]
        return [*bands, of(sizes, blurred, bands)]

    return version


ENDS = tuple(
    Wrong(
        f"rest_{name}",
        f"The last entry of your list is {said}"
        + (
            "."
            if "take the" in said
            else "; it is the small image itself, of the smallest size."
        ),
        with_rest(of),
    )
    for name, (said, of) in RESTS.items()
)

Bands = Callable[[list[Array], list[Array]], list[Any]]
"""All bands but the last entry, of images and blurred copies."""
BANDS: dict[str, tuple[str, Bands]] = {
    "enlarged": (
        "All your bands are enlarged to the size of X; leave each at its own size.",
        lambda g, b: [enlarged(a - c, g[0]) for a, c in zip(g, b, strict=False)],
    ),
    "first_not_band": (
        "Your first entry is the image itself, not a band.",
        lambda g, b: [g[0], *(a - c for a, c in zip(g[1:], b[1:], strict=False))],
    ),
    "last_not_band": (
        "Your last band is the image of its size; subtract its blurred copy.",
        lambda g, b: [*(a - c for a, c in zip(g[:-2], b[:-1], strict=False)), g[-2]],
    ),
    "squared": (
        "You square the bands; keep them as they are.",
        lambda g, b: [(a - c) ** 2 for a, c in zip(g, b, strict=False)],
    ),
    "divided": (
        "You divide the image by its blurred copy; subtract it.",
        lambda g, b: [a / c for a, c in zip(g, b, strict=False)],
    ),
    "clamped": (
        "You clamp the bands to values from 0 to 1; they have both signs.",
        lambda g, b: [(a - c).clip(0, 1) for a, c in zip(g, b, strict=False)],
    ),
    "positive": (
        "Negative values of your bands are lost; they have both signs.",
        lambda g, b: [(a - c).clip(0) for a, c in zip(g, b, strict=False)],
    ),
    "shifted": (
        "You add 0.5 to the bands; keep them as they are.",
        lambda g, b: [a - c + 0.5 for a, c in zip(g, b, strict=False)],
    ),
    "halved": (
        "You halve the bands; keep them as they are.",
        lambda g, b: [(a - c) / 2 for a, c in zip(g, b, strict=False)],
    ),
    "twice": (
        "You double the bands; keep them as they are.",
        lambda g, b: [2 * (a - c) for a, c in zip(g, b, strict=False)],
    ),
    "centered": (
        "You subtract each band's mean; keep the bands as they are.",
        lambda g, b: [
            (d := a - c) - d.mean((2, 3), keepdims=True) for a, c in zip(g, b, strict=False)
        ],
    ),
    "minus_rest": (
        "You subtract the last small image from each; subtract the next one, enlarged.",
        lambda g, b: [a - enlarged(g[-1], a) for a in g[:-1]],
    ),
    "at_small_size": (
        "You subtract at the small size: small image minus the image made smaller again.",
        lambda g, b: [
            c - resized(enlarged(c, a), c.shape[2:], smoothed) for a, c in itertools.pairwise(g)
        ],
    ),
    "gray": (
        "You average the color channels of the bands; keep all three.",
        lambda g, b: [
            np.broadcast_to((a - c).mean(1, keepdims=True), a.shape)
            for a, c in zip(g, b, strict=False)
        ],
    ),
    "all_last": (
        "All bands are the last one: does the list hold one array that you change in place?",
        lambda g, b: [g[-2] - b[-1]] * len(b),
    ),
    "all_small": (
        "All your entries are the small image: does the list hold one array that changes?",
        lambda g, b: [g[-1]] * len(b),
    ),
    "coarse_first": (
        "Your bands are in reverse order; the finest comes first.",
        lambda g, b: [a - c for a, c in zip(g, b, strict=False)][::-1],
    ),
    "sum_of_bands": (
        "Each band also has those before it: subtract from the image of its own level.",
        lambda g, b: [g[0] - in_steps(c, g, i) for i, c in enumerate(b)],
    ),
}


def with_bands(of: Bands) -> Callable[[Tensor, int], list[Any]]:
    """Other bands, and the right last entry."""

    def version(X: Tensor, levels: int) -> list[Any]:
        sizes, blurred = steps(X, levels)
        return [*of(sizes, blurred), sizes[-1]]

    return version


OTHERS = (
    Wrong(
        "first_image_of_batch",
        "Your bands are those of the first image only; keep the batch.",
        lambda X, levels: RIGHT(X[:1], levels),
    ),
    Wrong(
        "last_image_of_batch",
        "Your bands are those of the last image only; keep the batch.",
        lambda X, levels: RIGHT(X[-1:], levels),
    ),
    Wrong(
        "mean_of_batch",
        "Your bands are those of the batch's mean; keep all images.",
        lambda X, levels: RIGHT(X.mean(0, keepdim=True), levels),
    ),
    Wrong(
        "one_level_always",
        "Your pyramid has one band, whatever `levels` is.",
        lambda X, levels: RIGHT(X, 1),
    ),
    Wrong(
        "halved_twice",
        "You halve the image twice for each band; halve it once.",
        lambda X, levels: halved_again(X, levels),
    ),
    Wrong(
        "blurred_once_more",
        "You go on with the image made smaller from its blurred copy; go on with the small "
        "image itself.",
        lambda X, levels: gone_on(X, levels),
    ),
)


def halved_again(X: Tensor, levels: int) -> list[Array]:
    """Each next image is made smaller once more."""
    image, bands = X.detach().double().numpy(), []
    for _ in range(levels):
        small = resized(image, halves(image), smoothed)
        bands.append(image - enlarged(small, image))
        image = resized(small, halves(small), smoothed)
    return [*bands, image]


def gone_on(X: Tensor, levels: int) -> list[Array]:
    """Each next image is made of the blurred copy."""
    image, bands = X.detach().double().numpy(), []
    for _ in range(levels):
        blurred = enlarged(resized(image, halves(image), smoothed), image)
        bands.append(image - blurred)
        image = resized(blurred, halves(image), smoothed)
    return [*bands, image]


WRONGS = (
    *RESIZED,
    *SIZED,
    *ENDS,
    *(Wrong(f"bands_{name}", said, with_bands(of)) for name, (said, of) in BANDS.items()),
    *OTHERS,
)
