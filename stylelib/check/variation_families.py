"""tv_loss: families of mistakes (chapter 6)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from stylelib.check.axes import Mistake, parts, subsets
from stylelib.check.exercises import Wrong
from stylelib.check.inputs import Array, array

__all__ = ["WRONGS"]

AXES = "images", "channels", "rows", "columns"


class Way(NamedTuple):
    """How differences along one axis may be taken, or made one number."""

    name: str
    said: str
    formula: Callable[..., Any]


def _mean(D: Array) -> float:
    return float(abs(D).mean())


def _slice(X: Array, axis: int, first: int | None, last: int | None) -> Array:
    return X[(slice(None),) * axis + (slice(first, last),)]


def _padded(X: Array, axis: int, before: int, after: int, **how: Any) -> Array:
    widths = [(before, after) if k == axis else (0, 0) for k in range(X.ndim)]
    return np.asarray(np.diff(np.pad(X, widths, **how), axis=axis))


def _other(axis: int) -> int:
    return 5 - axis


TAKEN = (
    Way("first_pair_missing", "the first pair of neighbors is left out", lambda X, k: np.diff(_slice(X, k, 1, None), axis=k)),
    Way("last_pair_missing", "the last pair of neighbors is left out", lambda X, k: np.diff(_slice(X, k, None, -1), axis=k)),
    Way("border_missing", "the pairs at the border are left out", lambda X, k: np.diff(_slice(X, k, 1, -1), axis=k)),
    Way("cropped_at_the_end", "the last row or column of the other axis is left out, as by one slice too many", lambda X, k: np.diff(_slice(X, _other(k), None, -1), axis=k)),
    Way("cropped_at_the_start", "the first row or column of the other axis is left out, as by one slice too many", lambda X, k: np.diff(_slice(X, _other(k), 1, None), axis=k)),
    Way("wrapped", "the last row or column is compared with the first, as `roll` does", lambda X, k: X - np.roll(X, 1, k)),
    Way("zeros_before", "the first row or column is compared with zeros", lambda X, k: _padded(X, k, 1, 0)),
    Way("zeros_after", "the last row or column is compared with zeros", lambda X, k: _padded(X, k, 0, 1)),
    Way("zeros_around", "the border is compared with zeros on both sides", lambda X, k: _padded(X, k, 1, 1)),
    Way("repeated_border", "the border is repeated, so that a difference of 0 counts", lambda X, k: _padded(X, k, 0, 1, mode="edge")),
    Way("with_the_first", "each row or column is compared with the first one", lambda X, k: _slice(X, k, 1, None) - _slice(X, k, 0, 1)),
    Way("with_the_last", "each row or column is compared with the last one", lambda X, k: _slice(X, k, None, -1) - _slice(X, k, -1, None)),
    Way("ends", "only the first and the last row or column are compared", lambda X, k: _slice(X, k, -1, None) - _slice(X, k, 0, 1)),
    Way("two_apart", "pixels that are two apart are compared", lambda X, k: _slice(X, k, 2, None) - _slice(X, k, None, -2)),
    Way("every_other_pair", "only every other pair is compared", lambda X, k: np.diff(X, axis=k)[(slice(None),) * k + (slice(None, None, 2),)]),
    Way("second_differences", "differences of differences are taken", lambda X, k: np.diff(X, n=2, axis=k)),
    Way("sums_of_neighbors", "neighbors are added; subtract them", lambda X, k: _slice(X, k, 1, None) + _slice(X, k, None, -1)),
    Way("of_absolute_values", "absolute values are taken of the pixels instead of the differences", lambda X, k: np.diff(abs(X), axis=k)),
    Way("of_squares", "the pixels are squared before they are subtracted", lambda X, k: np.diff(X**2, axis=k)),
    Way("flat", "the image is flattened, so that the end of each row is compared with the start of the next", lambda X, k: np.diff((X if k == 3 else X.swapaxes(2, 3)).reshape(*X.shape[:2], -1), axis=2)),
    Way("of_channels", "neighboring channels are compared", lambda X, k: np.diff(X, axis=1)),
    Way("diagonal", "diagonal neighbors are compared", lambda X, k: X[:, :, 1:, 1:] - X[:, :, :-1, :-1]),
    Way("other_diagonal", "diagonal neighbors are compared", lambda X, k: X[:, :, 1:, :-1] - X[:, :, :-1, 1:]),
)  # fmt: skip
"""Differences along axis 2 or 3: how they are taken."""

POOLED = (
    Way("signed", "absolute values are missing", lambda D, X: D.mean()),
    Way("signed_outside", "the absolute value is taken after the mean", lambda D, X: abs(D.mean())),
    Way("signed_sums", "the absolute value is taken after the sum", lambda D, X: abs(D.sum())),
    Way("square", "the differences are squared", lambda D, X: (D**2).mean()),
    Way("root_mean_square", "the root of the mean square is taken", lambda D, X: np.sqrt((D**2).mean())),
    Way("norm", "the length (norm) of the differences is taken", lambda D, X: np.sqrt((D**2).sum())),
    Way("norm_of_image", "the length (norm) of each image's differences is taken", lambda D, X: np.sqrt((D**2).sum((1, 2, 3))).mean()),
    Way("sum", "absolute differences are added up", lambda D, X: abs(D).sum()),
    Way("sum_of_squares", "squares are added up", lambda D, X: (D**2).sum()),
    Way("largest", "the largest difference is taken", lambda D, X: abs(D).max()),
    Way("deviation", "the standard deviation of the differences is taken", lambda D, X: D.std(ddof=1)),
    Way("deviation_of_all", "the standard deviation of the differences is taken", lambda D, X: D.std()),
    Way("variance", "the variance of the differences is taken", lambda D, X: D.var(ddof=1)),
    Way("roots", "roots of absolute differences are taken", lambda D, X: np.sqrt(abs(D)).mean()),
    Way("rising_only", "only rising differences count", lambda D, X: np.maximum(D, 0).mean()),
    Way("falling_only", "only falling differences count", lambda D, X: np.maximum(-D, 0).mean()),
    Way("huber", "small differences are squared, as in a Huber loss", lambda D, X: np.where(abs(D) < 1, D**2 / 2, abs(D) - 0.5).mean()),
    Way("over_pixels", "the sum is divided by the number of all values, and there are fewer pairs", lambda D, X: abs(D).sum() / X.size),
    Way("over_pairs_of_both", "the sum is divided by (H - 1) * (W - 1) in each channel", lambda D, X: abs(D).sum() / X[:, :, 1:, 1:].size),
    Way("over_places", "the sum is divided by H * W alone", lambda D, X: abs(D).sum() / X[0, 0].size),
    Way("over_images", "the sum is divided by the number of images alone", lambda D, X: abs(D).sum() / len(X)),
    Way("over_images_and_channels", "the sum is divided by the number of images and channels alone", lambda D, X: abs(D).sum() / X[..., 0, 0].size),
    Way("over_values_of_image", "the sum is divided by C * H * W, which is one image's", lambda D, X: abs(D).sum() / X[0].size),
    Way("quarter_or_so", "the mean is halved once more", lambda D, X: abs(D).mean() / 2),
    Way("not_halved", "the mean is not halved", lambda D, X: 2 * abs(D).mean()),
    *(
        Way(f"sum_over_{name}", f"absolute differences are added up over {words}", lambda D, X, axes=axes: abs(D).sum(axes).mean())
        for name, words, axes in subsets(AXES)
    ),
    *(
        Way(f"mean_over_{name}_first", f"the differences are averaged over {words} before absolute values are taken", lambda D, X, axes=axes: abs(D.mean(axes)).mean())
        for name, words, axes in subsets(AXES)
    ),
)  # fmt: skip
"""Made one number: of the differences and the image."""


def _way(taken: Way | None, pooled: Way | None) -> Callable[[Array, int], float]:
    def value(X: Array, axis: int) -> float:
        D = taken.formula(X, axis) if taken else np.diff(X, axis=axis)
        return float(pooled.formula(D, X) if pooled else _mean(D))

    return value


def _along_one_or_both() -> Iterator[Mistake]:
    """Each way in both lines, in the vertical one alone, or in the horizontal one."""
    right = _way(None, None)
    ways = [(way, _way(way, None)) for way in TAKEN] + [
        (way, _way(None, way)) for way in POOLED
    ]
    for way, wrong in ways:
        for name, where, down, across in (
            (way.name, "", wrong, wrong),
            (f"{way.name}_vertically", "in the vertical part, ", wrong, right),
            (f"{way.name}_horizontally", "in the horizontal part, ", right, wrong),
        ):
            yield Mistake(
                name,
                f"{where}{way.said}",
                lambda X, down=down, across=across: (down(X, 2) + across(X, 3)) / 2,
            )
        yield Mistake(
            f"{way.name}_without_half",
            f"{way.said}, and the factor of 1/2 is missing",
            lambda X, wrong=wrong: wrong(X, 2) + wrong(X, 3),
        )


def _means(X: Array, *axes: int) -> list[float]:
    """Of absolute differences along each of these axes."""
    return [_mean(np.diff(X, axis=k)) for k in axes]


def _tv(X: Array) -> float:
    return sum(_means(X, 2, 3)) / 2


def _of_another_image() -> Iterator[Mistake]:
    """What is done to the image first."""
    for name, said, take in parts(AXES[:2]):
        yield Mistake(
            name,
            said.partition(";")[0],
            lambda X, take=take: _tv(take(X)) if take(X).size else 0.0,
        )
    for axis, name in enumerate(AXES[:2]):
        yield Mistake(
            f"{name}_averaged_first",
            f"averages the {name} before it subtracts",
            lambda X, axis=axis: _tv(X.mean(axis, keepdims=True)),
        )
        yield Mistake(
            f"{name}_added_first",
            f"adds up the {name} before it subtracts",
            lambda X, axis=axis: _tv(X.sum(axis, keepdims=True)),
        )


def _of_axes(axes: tuple[int, ...], divisor: int) -> Callable[[Array], float]:
    """The means along these axes over a divisor; one image alone has no differences on axis 0."""
    return lambda X: sum(_means(X, *(a for a in axes if a or X.shape[0] > 1))) / divisor


def _along_other_axes() -> Iterator[Mistake]:
    for axes in itertools.chain(
        itertools.combinations(range(4), 2), itertools.combinations(range(4), 3)
    ):
        words = " and ".join(str(axis) for axis in axes)
        for name, said, divisor in (
            ("half", "", 2),
            ("mean", ", and their mean is taken", len(axes)),
            ("sum", ", and nothing is halved", 1),
        ):
            if axes != (2, 3) and not (name == "mean" and len(axes) == 2):
                yield Mistake(
                    f"axes_{''.join(map(str, axes))}_{name}",
                    f"takes differences along the axes {words}{said}; rows are axis 2 and columns are axis 3",
                    _of_axes(axes, divisor),
                )


OTHER_SUMS = (
    Mistake(
        "half_of_the_second",
        "halves only the horizontal part; halve both",
        lambda X: _means(X, 2)[0] + _means(X, 3)[0] / 2,
    ),
    Mistake(
        "half_of_the_first",
        "halves only the vertical part; halve both",
        lambda X: _means(X, 2)[0] / 2 + _means(X, 3)[0],
    ),
    Mistake(
        "smaller_of_the_two",
        "takes the smaller of the two means; add them, and take half",
        lambda X: min(_means(X, 2, 3)),
    ),
    Mistake(
        "root_of_squares",
        "takes the root of the sum of the squared means; add them, and take half",
        lambda X: float(np.linalg.norm(_means(X, 2, 3))),
    ),
    Mistake(
        "root_of_product",
        "takes the root of the product of the means; add them, and take half",
        lambda X: float(np.sqrt(np.prod(_means(X, 2, 3)))),
    ),
    Mistake(
        "diagonal_added",
        "counts diagonal neighbors, too",
        lambda X: _tv(X) + _mean(X[:, :, 1:, 1:] - X[:, :, :-1, :-1]) / 2,
    ),
    Mistake(
        "pairs_exchanged",
        "divides each sum by the number of pairs along the other axis",
        lambda X: (
            (
                abs(np.diff(X, axis=2)).sum() / np.diff(X, axis=3).size
                + abs(np.diff(X, axis=3)).sum() / np.diff(X, axis=2).size
            )
            / 2
        ),
    ),
    Mistake(
        "added_before_absolute",
        "adds the two differences at each pixel before it takes absolute values",
        lambda X: _mean(np.diff(X, axis=2)[..., :-1] + np.diff(X, axis=3)[:, :, :-1]) / 2,
    ),
    Mistake(
        "added_before_absolute_without_half",
        "adds the two differences at each pixel before it takes absolute values",
        lambda X: _mean(np.diff(X, axis=2)[..., :-1] + np.diff(X, axis=3)[:, :, :-1]),
    ),
    Mistake(
        "isotropic_halved",
        "takes the root of the sum of both squares at each pixel",
        lambda X: _lengths(X).mean() / 2,
    ),
    Mistake(
        "isotropic_summed",
        "takes the root of the sum of both squares at each pixel, and adds up",
        lambda X: _lengths(X).sum(),
    ),
    Mistake(
        "isotropic_summed_halved",
        "takes the root of the sum of both squares at each pixel, and adds up",
        lambda X: _lengths(X).sum() / 2,
    ),
)
"""Other sums of the two means, or of other differences."""


def _lengths(X: Array) -> Array:
    down, across = np.diff(X, axis=2)[..., :-1], np.diff(X, axis=3)[:, :, :-1]
    return np.asarray(np.sqrt(down**2 + across**2))


_RIGHT = "Take half of the two means of absolute differences."

WRONGS = tuple(
    Wrong(
        name,
        f"In your total variation, {said}. {_RIGHT}"
        if not said.startswith(("looks", "leaves", "averages", "adds", "takes", "halves", "counts", "divides"))
        else f"Your total variation {said}. {_RIGHT}",
        lambda Y_hat, formula=formula: formula(array(Y_hat)),
    )
    for name, said, formula in (*_along_one_or_both(), *_of_another_image(), *_along_other_axes(), *OTHER_SUMS)
)  # fmt: skip
