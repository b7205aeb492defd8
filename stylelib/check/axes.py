"""Families of mistakes in losses: wrong axes or order of steps, a part of the values only."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from stylelib.check.inputs import Array

__all__ = ["Mistake", "listed", "of_differences", "of_two", "parts", "subsets"]


class Mistake(NamedTuple):
    """A family's member: its name, the rest of a sentence ("squares ..."), and its formula."""

    name: str
    said: str
    formula: Callable[..., Any]


def listed(words: Sequence[str]) -> str:
    """Words in a row: "the images, channels and rows"."""
    head, last = words[:-1], words[-1]
    return f"the {', '.join(head)} and {last}" if head else f"the {last}"


def subsets(names: Sequence[str], *, whole: bool = False) -> Iterator[tuple[str, str, Any]]:
    """All sets of axes, the smaller ones first: a name, words, and numbers.

    Args:
        names: of the axes, "images", "channels".
        whole: with the set of all axes, too.
    """
    for size in range(1, len(names) + whole):
        for axes in itertools.combinations(range(len(names)), size):
            words = [names[axis] for axis in axes]
            yield "_and_".join(words), listed(words), axes


def _one_of(axis: int, index: int) -> Callable[[Array], Array]:
    return lambda D: D.take([index], axis)


def _slice_of(axis: int, cut: slice) -> Callable[[Array], Array]:
    return lambda D: D[(slice(None),) * axis + (cut,)]


def parts(names: Sequence[str]) -> Iterator[tuple[str, str, Callable[[Array], Array]]]:
    """What may be left over of an array: a name, words, and how it is taken."""
    for axis, name in enumerate(names):
        one = name.removesuffix("s")
        for word, index in (("first", 0), ("last", -1)):
            yield (
                f"{word}_{one}_only",
                f"looks at the {word} {one} alone; take all {name}",
                _one_of(axis, index),
            )
        for word, cut in (("first", slice(1, None)), ("last", slice(None, -1))):
            yield (
                f"without_{word}_{one}",
                f"leaves out the {word} {one}; take all {name}",
                _slice_of(axis, cut),
            )


def _length(D: Array, axes: Any) -> Array:
    return np.asarray(np.sqrt((D**2).sum(axes)))


def of_differences(names: Sequence[str]) -> Iterator[Mistake]:
    """Mistakes in the mean of squared differences, for arrays with these axes."""
    for name, words, axes in subsets(names):
        yield from _over(name, words, axes)
    for name, said, take in parts(names):
        yield Mistake(name, said, lambda D, take=take: (take(D) ** 2).mean())
    yield from POWERS


def _over(name: str, words: str, axes: Any) -> Iterator[Mistake]:
    """Mistakes that have to do with some of the axes."""
    yield Mistake(
        f"averaged_over_{name}_first",
        f"averages the differences over {words} before it squares them, so that they "
        "cancel; square first",
        lambda D: (D.mean(axes) ** 2).mean(),
    )
    yield Mistake(
        f"added_over_{name}_first",
        f"adds up the differences over {words} before it squares them, so that they "
        "cancel; square first, and take means",
        lambda D: (D.sum(axes) ** 2).mean(),
    )
    yield Mistake(
        f"lengths_over_{name}",
        f"is the mean of lengths (norms) over {words}; take the mean of the squares, "
        "without a root",
        lambda D: _length(D, axes).mean(),
    )
    yield Mistake(
        f"roots_of_means_over_{name}",
        f"takes the root of the mean over {words}, and averages the roots; leave the root out",
        lambda D: np.sqrt((D**2).mean(axes)).mean(),
    )
    yield Mistake(
        f"largest_over_{name}",
        f"takes the largest square over {words}; take the mean",
        lambda D: (D**2).max(axes).mean(),
    )
    yield Mistake(
        f"centered_over_{name}",
        f"subtracts the mean over {words} from the differences; leave it in",
        lambda D: ((D - D.mean(axes, keepdims=True)) ** 2).mean(),
    )
    yield Mistake(
        f"summed_over_{name}",
        f"adds up the squares over {words}; take the mean over all axes",
        lambda D: (D**2).sum(axes).mean(),
    )
    yield Mistake(
        f"lengths_of_sums_over_{name}",
        f"adds up absolute differences over {words} before it squares them; square each",
        lambda D: (abs(D).sum(axes) ** 2).mean(),
    )


def _median(D: Array) -> float:
    """As PyTorch: of an even number, the lower one."""
    return float(np.sort((D**2).ravel())[(D.size - 1) // 2])


POWERS: tuple[Mistake, ...] = (
    Mistake(
        "third_power",
        "takes the third power of the differences; square them",
        lambda D: (D**3).mean(),
    ),
    Mistake(
        "fourth_power",
        "takes the fourth power of the differences; square them",
        lambda D: (D**4).mean(),
    ),
    Mistake(
        "third_power_of_sizes",
        "takes the third power of absolute differences; square them",
        lambda D: (abs(D) ** 3).mean(),
    ),
    Mistake(
        "positive_differences",
        "leaves out negative differences; square all of them",
        lambda D: (np.maximum(D, 0) ** 2).mean(),
    ),
    Mistake(
        "negative_differences",
        "leaves out positive differences; square all of them",
        lambda D: (np.minimum(D, 0) ** 2).mean(),
    ),
    Mistake(
        "root_of_each",
        "takes the root of absolute differences; square them",
        lambda D: np.sqrt(abs(D)).mean(),
    ),
    Mistake("median", "takes the median of the squares; take their mean", _median),
    Mistake(
        "upper_median",
        "takes the median of the squares; take their mean",
        lambda D: np.median(D**2),
    ),
    Mistake(
        "absolute_sum",
        "adds up absolute differences; take the mean of their squares",
        lambda D: abs(D).sum(),
    ),
    Mistake(
        "square_of_absolute_mean",
        "squares the mean absolute difference; square each difference, then take the mean",
        lambda D: abs(D).mean() ** 2,
    ),
    Mistake("smallest", "takes the smallest square; take the mean", lambda D: (D**2).min()),
    Mistake(
        "logarithm",
        "takes the logarithm of the mean square; leave it out",
        lambda D: np.log((D**2).mean()),
    ),
    Mistake(
        "logarithm_of_one_more",
        "takes a logarithm, log(1 + loss); leave it out",
        lambda D: np.log1p((D**2).mean()),
    ),
    Mistake(
        "huber_doubled",
        "is linear for large differences, as a Huber loss; square all of them",
        lambda D: np.where(abs(D) < 1, D**2, 2 * abs(D) - 1).mean(),
    ),
    Mistake(
        "one_division_less",
        "is divided by one less than the number of values; take the mean",
        lambda D: (D**2).sum() / (D.size - 1),
    ),
    Mistake(
        "norm_divided",
        "is the length (norm) of the difference over the number of values; take the mean of "
        "the squares",
        lambda D: np.sqrt((D**2).sum()) / D.size,
    ),
)
"""Other powers than the second, and other numbers than the mean."""


def _unit(A: Array, axes: Any) -> Array:
    return np.asarray(A / np.sqrt((A**2).sum(axes, keepdims=True)))


def of_two(names: Sequence[str]) -> Iterator[Mistake]:
    """Mistakes in what is made of the two arrays that are compared, yours and the target."""
    yield from _of_sizes(names)
    yield from _of_targets(names)
    yield from PRODUCTS


def _of_sizes(names: Sequence[str]) -> Iterator[Mistake]:
    """Both are normalized, or only their sizes are compared."""
    for name, words, axes in subsets(names, whole=True):
        yield Mistake(
            f"normalized_over_{name}",
            f"divides both by their lengths over {words}; compare them as they are",
            lambda F, P, axes=axes: ((_unit(F, axes) - _unit(P, axes)) ** 2).mean(),
        )
        yield Mistake(
            f"cosine_over_{name}",
            f"is one minus a cosine over {words}; take the mean squared difference",
            lambda F, P, axes=axes: 1 - (_unit(F, axes) * _unit(P, axes)).sum(axes).mean(),
        )
        yield Mistake(
            f"energies_over_{name}",
            f"compares mean squares over {words}; subtract first, then square",
            lambda F, P, axes=axes: (((F**2).mean(axes) - (P**2).mean(axes)) ** 2).mean(),
        )
        yield Mistake(
            f"norms_compared_over_{name}",
            f"compares lengths (norms) over {words}; subtract first, then square",
            lambda F, P, axes=axes: ((_length(F, axes) - _length(P, axes)) ** 2).mean(),
        )


def _of_targets(names: Sequence[str]) -> Iterator[Mistake]:
    """Another target: reversed, shifted, averaged, or a part of it."""
    for axis, name in enumerate(names):
        yield Mistake(
            f"target_reversed_along_{name}",
            f"reverses the order of the {name} in the target; compare like with like",
            lambda F, P, axis=axis: ((F - np.flip(P, axis)) ** 2).mean(),
        )
        yield Mistake(
            f"neighbors_along_{name}",
            f"compares with the target one step on along the {name}, as `roll` does; compare "
            "like with like",
            lambda F, P, axis=axis: ((F - np.roll(P, 1, axis)) ** 2).mean(),
        )
    for axis, name in enumerate(names):
        yield Mistake(
            f"target_averaged_over_{name}",
            f"averages the target over the {name} first; compare with the target as it is",
            lambda F, P, axis=axis: ((F - P.mean(axis, keepdims=True)) ** 2).mean(),
        )
        for word, index in (("first", 0), ("last", -1)):
            yield Mistake(
                f"{word}_{name.removesuffix('s')}_of_target",
                f"compares with the {word} {name.removesuffix('s')} of the target alone; each "
                "has its own",
                lambda F, P, axis=axis, index=index: ((F - P.take([index], axis)) ** 2).mean(),
            )


PRODUCTS: tuple[Mistake, ...] = (
    Mistake(
        "every_pair_of_images",
        "compares each image with every target, by broadcasting; compare image by image",
        lambda F, P: ((F[:, None] - P[None]) ** 2).mean(),
    ),
    Mistake(
        "product",
        "multiplies the two; subtract them",
        lambda F, P: (F * P).mean(),
    ),
    Mistake(
        "times_your_own",
        "multiplies the difference by the first argument; square the difference",
        lambda F, P: (F * (F - P)).mean(),
    ),
    Mistake(
        "times_the_target",
        "multiplies the difference by the target; square the difference",
        lambda F, P: (P * (F - P)).mean(),
    ),
    Mistake(
        "target_squared",
        "squares the target before it subtracts; subtract first",
        lambda F, P: (F - P**2).mean(),
    ),
    Mistake(
        "only_yours_squared",
        "squares the first argument before it subtracts; subtract first",
        lambda F, P: (F**2 - P).mean(),
    ),
    Mistake(
        "difference_of_squares_squared",
        "squares both before it subtracts; subtract first",
        lambda F, P: ((F**2 - P**2) ** 2).mean(),
    ),
    Mistake(
        "square_without_the_target_s",
        "leaves out the square of the target: (a - b) ** 2 has three terms",
        lambda F, P: (F**2 - 2 * F * P).mean(),
    ),
    Mistake(
        "no_mixed_term",
        "adds up squares without the product between them: (a - b) ** 2 has three terms",
        lambda F, P: (F**2 + P**2).mean(),
    ),
    Mistake(
        "half_the_mixed_term",
        "has the product of the two only once: it is - 2 * a * b",
        lambda F, P: (F**2 - F * P + P**2).mean(),
    ),
    Mistake(
        "difference_of_absolute_values",
        "takes absolute values before it subtracts, so that signs are lost; subtract first",
        lambda F, P: ((abs(F) - abs(P)) ** 2).mean(),
    ),
    Mistake(
        "rectified",
        "leaves out negative values of both; there is no ReLU in it",
        lambda F, P: ((np.maximum(F, 0) - np.maximum(P, 0)) ** 2).mean(),
    ),
    Mistake(
        "relative_to_each",
        "divides each difference by the target's value; leave it as it is",
        lambda F, P: (((F - P) / P) ** 2).mean(),
    ),
    Mistake(
        "relative_to_size",
        "divides by the sum of the target's squares; take the mean",
        lambda F, P: ((F - P) ** 2).sum() / (P**2).sum(),
    ),
    Mistake(
        "target_doubled",
        "subtracts the target twice; once is right",
        lambda F, P: ((F - 2 * P) ** 2).mean(),
    ),
    Mistake(
        "target_halved",
        "subtracts half of the target; subtract all of it",
        lambda F, P: ((F - P / 2) ** 2).mean(),
    ),
    Mistake(
        "target_turned_down",
        "subtracts the two means and forgets where things are; compare value by value",
        lambda F, P: abs(F.mean() - P.mean()),
    ),
)
"""Other formulas of the two arrays than the mean of squared differences."""
