"""The bands of a Laplacian pyramid: reference and likely mistakes (chapter 24)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]

Array = NDArray[Any]
Matrix = Callable[[int, int], Array]
"""How `size` values become `count` along one axis: (count, size)."""


def pyramid_arguments() -> list[Arguments]:
    """Two calls, (X, levels), with odd sides."""
    draw = torch.Generator().manual_seed(24)
    return [
        (torch.randn(1, 3, 13, 18, generator=draw), 2),
        (torch.randn(2, 3, 23, 16, generator=draw), 3),
    ]


def smoothed(size: int, count: int) -> Array:
    """Bilinear with antialiasing: a triangle as wide as a new pixel is."""
    scale = max(size / count, 1.0)
    centers = (np.arange(count) + 0.5) * size / count
    distance = np.abs(np.arange(size) + 0.5 - centers[:, None])
    weights = (1 - distance / scale).clip(0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def bilinear(size: int, count: int, *, corners: bool = False) -> Array:
    """Between the two nearest values, whatever the scale."""
    if corners:
        at = np.linspace(0, size - 1, count)
    else:
        at = ((np.arange(count) + 0.5) * size / count - 0.5).clip(0)
    left = np.minimum(at.astype(int), size - 1)
    matrix = np.zeros((count, size))
    rows = np.arange(count)
    np.add.at(matrix, (rows, left), 1 - (at - left))
    np.add.at(matrix, (rows, np.minimum(left + 1, size - 1)), at - left)
    return matrix


def with_corners(size: int, count: int) -> Array:
    """Bilinear, align_corners=True."""
    return bilinear(size, count, corners=True)


def smoothed_with_corners(size: int, count: int) -> Array:
    """As PyTorch does it: triangles for the scale of aligned corners."""
    scale = max((size - 1) / (count - 1), 1.0)
    centers = (np.arange(count) + 0.5) * scale
    weights = (1 - np.abs(np.arange(size) + 0.5 - centers[:, None]) / scale).clip(0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def every_second(size: int, count: int) -> Array:
    """As `smoothed`, but for a scale of 2 whatever the sizes are."""
    centers = 2 * np.arange(count) + 1.0
    weights = (1 - np.abs(np.arange(size) + 0.5 - centers[:, None]) / 2).clip(0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def areas(size: int, count: int) -> Array:
    """Means of the pixels that a new one covers, even if only in part."""
    matrix = np.zeros((count, size))
    for i in range(count):
        covered = slice(i * size // count, -(-(i + 1) * size // count))
        matrix[i, covered] = 1 / (covered.stop - covered.start)
    return matrix


def nearest(size: int, count: int) -> Array:
    """The value of the pixel that lies there."""
    return np.asarray(np.eye(size)[np.arange(count) * size // count])


def averaged(size: int, count: int) -> Array:
    """Means of pairs; what is left over is left out."""
    matrix = np.zeros((count, size))
    for i in range(count):
        matrix[i, 2 * i : 2 * i + 2] = 0.5 if size > 1 else 1
    return matrix


def resized(X: Array, shape: tuple[int, int], matrix: Matrix) -> Array:
    """Along both axes."""
    down, across = (matrix(size, count) for size, count in zip(X.shape[2:], shape, strict=True))
    return np.asarray(np.einsum("ih,jw,nchw->ncij", down, across, X))


def halves(X: Array) -> tuple[int, int]:
    """Half the sides, rounded down."""
    return max(1, X.shape[2] // 2), max(1, X.shape[3] // 2)


def rounded_up(X: Array) -> tuple[int, int]:
    """Half the sides, rounded up."""
    return -(-X.shape[2] // 2), -(-X.shape[3] // 2)


@dataclass(frozen=True)
class Pyramid:
    """The bands, the finest first, and the small image that is left, by parts."""

    down: Matrix = smoothed
    up: Matrix = bilinear
    half: Callable[[Array], tuple[int, int]] = halves
    band: Callable[[Array, Array], Array] = np.subtract

    def __call__(self, X: Tensor, levels: int) -> list[Array]:
        """All bands."""
        image, bands = X.detach().double().numpy(), []
        for _ in range(levels):
            small = resized(image, self.half(image), self.down)
            bands.append(self.band(image, resized(small, image.shape[2:], self.up)))
            image = small
        return [*bands, image]


RIGHT = Pyramid()


def of_bands(change: Callable[[list[Array]], Any]) -> Callable[[Tensor, int], Any]:
    """A function of the right bands."""
    return lambda X, levels: change(RIGHT(X, levels))


def gaussians(X: Tensor, levels: int) -> list[Array]:
    """The blurred images themselves."""
    return replace(RIGHT, band=lambda image, blurred: image)(X, levels)


def always_from_original(X: Tensor, levels: int) -> list[Array]:
    """Each smaller image is made of the original."""
    image, shape = X.detach().double().numpy(), halves(X.numpy())
    original, bands = image, []
    for _ in range(levels):
        small = resized(original, shape, smoothed)
        bands.append(image - resized(small, image.shape[2:], bilinear))
        image, shape = small, halves(small)
    return [*bands, image]


def not_reduced(X: Tensor, levels: int) -> list[Array]:
    """Every band is the first one."""
    first, small = RIGHT(X, 1)
    return [*[first] * levels, small]


def against_original(X: Tensor, levels: int) -> list[Array]:
    """Bands of full size: the original minus each blurred one."""
    image, X0 = X.detach().double().numpy(), X.detach().double().numpy()
    bands = []
    for _ in range(levels):
        image = resized(image, halves(image), smoothed)
        bands.append(X0 - resized(image, X0.shape[2:], bilinear))
    return [*bands, image]


def continued_with_band(X: Tensor, levels: int) -> list[Array]:
    """Each band is made of the band before."""
    image, bands = X.detach().double().numpy(), []
    for _ in range(levels):
        small = resized(image, halves(image), smoothed)
        image = image - resized(small, image.shape[2:], bilinear)
        bands.append(image)
    return [*bands, small]


WRONGS = (
    Wrong(
        "no_antialias",
        "You make the image smaller without antialiasing, so fine detail turns into false "
        "patterns: use antialias=True.",
        replace(RIGHT, down=bilinear),
    ),
    Wrong(
        "corners_aligned",
        "You resize with align_corners=True; pixels are areas here, so leave it at False.",
        replace(RIGHT, down=with_corners, up=with_corners),
    ),
    Wrong(
        "corners_aligned_upward",
        "You enlarge with align_corners=True; pixels are areas here, so leave it at False.",
        replace(RIGHT, up=with_corners),
    ),
    Wrong(
        "no_antialias_and_corners_aligned_upward",
        "You make the image smaller without antialiasing and enlarge with align_corners=True: "
        "use antialias=True, and leave align_corners at False.",
        replace(RIGHT, down=bilinear, up=with_corners),
    ),
    Wrong(
        "corners_aligned_with_antialias",
        "You resize with align_corners=True; pixels are areas here, so leave it at False.",
        replace(RIGHT, down=smoothed_with_corners, up=with_corners),
    ),
    Wrong(
        "nearest_upward",
        "You enlarge by repeating pixels, the default of interpolate; use mode='bilinear'.",
        replace(RIGHT, up=nearest),
    ),
    Wrong(
        "nearest_downward",
        "You keep every second pixel, as mode='nearest' does; use mode='bilinear' with "
        "antialias=True.",
        replace(RIGHT, down=nearest),
    ),
    Wrong(
        "nearest_both_ways",
        "You resize with mode='nearest', the default of interpolate; use mode='bilinear', with "
        "antialias=True on the way down.",
        replace(RIGHT, down=nearest, up=nearest),
    ),
    Wrong(
        "pooled",
        "You make the image smaller by average pooling; resize with mode='bilinear' and "
        "antialias=True.",
        replace(RIGHT, down=averaged),
    ),
    Wrong(
        "scale_factor",
        "You make the image smaller with scale_factor=0.5, so an odd side is not halved "
        "exactly: give the size of the small image, as in size=(H // 2, W // 2).",
        replace(RIGHT, down=every_second),
    ),
    Wrong(
        "areas",
        "You make the image smaller with mode='area'; use mode='bilinear' with antialias=True.",
        replace(RIGHT, down=areas),
    ),
    Wrong(
        "pooled_and_repeated",
        "You pool and repeat pixels; resize with mode='bilinear' both ways, with "
        "antialias=True on the way down.",
        replace(RIGHT, down=averaged, up=nearest),
    ),
    Wrong(
        "rounded_up",
        "You round half of an odd side up; round it down.",
        replace(RIGHT, half=rounded_up),
    ),
    Wrong(
        "blurred_images",
        "You return the images of each size, which is a Gaussian pyramid; subtract from each "
        "the enlarged next one.",
        gaussians,
    ),
    Wrong(
        "enlarged_returned",
        "You return the blurred images; a band is the image minus its blurred copy.",
        replace(RIGHT, band=lambda image, blurred: blurred),
    ),
    Wrong(
        "difference_turned",
        "You subtract the image from its blurred copy; a band is the image minus the copy.",
        replace(RIGHT, band=lambda image, blurred: blurred - image),
    ),
    Wrong(
        "added",
        "You add the blurred copy; subtract it.",
        replace(RIGHT, band=np.add),
    ),
    Wrong(
        "absolute_values",
        "You take absolute values of the bands; keep their signs, or their sum is not the "
        "image.",
        replace(RIGHT, band=lambda image, blurred: np.abs(image - blurred)),
    ),
    Wrong(
        "rest_missing",
        "You leave out the small image that remains; add it to the end of the list.",
        of_bands(lambda bands: bands[:-1]),
    ),
    Wrong(
        "coarsest_first",
        "Your list begins with the coarsest; the finest detail comes first.",
        of_bands(lambda bands: bands[::-1]),
    ),
    Wrong(
        "rest_first",
        "The small image that remains comes first in your list; it comes last.",
        of_bands(lambda bands: [bands[-1], *bands[:-1]]),
    ),
    Wrong(
        "one_level_too_many",
        "Your pyramid has one band too many: there are `levels` bands and the small image.",
        lambda X, levels: RIGHT(X, levels + 1),
    ),
    Wrong(
        "one_level_too_few",
        "Your pyramid has one band too few: there are `levels` bands and the small image.",
        lambda X, levels: RIGHT(X, levels - 1),
    ),
    Wrong(
        "original_returned_last",
        "The last entry of your list is the image itself; it should be the small image that "
        "remains.",
        lambda X, levels: [*RIGHT(X, levels)[:-1], X.numpy()],
    ),
    Wrong(
        "last_band_for_rest",
        "The last entry of your list is the last band again; it should be the small image.",
        of_bands(lambda bands: [*bands[:-1], bands[-2]]),
    ),
    Wrong(
        "one_size_behind",
        "The last entry of your list is one size too large: go on with the small image after "
        "each band.",
        lambda X, levels: [*RIGHT(X, levels)[:-1], RIGHT(X, levels - 1)[-1]],
    ),
    Wrong(
        "not_made_smaller",
        "All your bands are the first one: after each band, go on with the small image.",
        not_reduced,
    ),
    Wrong(
        "always_from_original",
        "You make each small image from the original; make it from the one before.",
        always_from_original,
    ),
    Wrong(
        "against_original",
        "You subtract each blurred copy from the original; subtract it from the image of its "
        "own level.",
        against_original,
    ),
    Wrong(
        "continued_with_band",
        "You go on with the band; go on with the small image.",
        continued_with_band,
    ),
)


EXERCISES = (
    Exercise(
        "bands_of",
        "the list of bands",
        "bands_of(X, levels)",
        pyramid_arguments,
        RIGHT,
        WRONGS,
        picture="image",
        cases=("one image, two levels", "a batch of two images, three levels"),
        chapter="24-nearest-neighbors",
        pairs=pairs_of(RIGHT, WRONGS),
    ),
)
