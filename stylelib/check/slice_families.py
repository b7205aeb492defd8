"""The sliced loss: families of mistakes (chapter 23)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.distributions import Array
from stylelib.check.exercises import Wrong
from stylelib.check.moment_families import REDUCTIONS, images, words_of

__all__ = ["WRONGS"]

AXES = ("images", "directions", "rows", "columns")
Lines = tuple[Array, Array]


def projected(Y_hat: Tensor, Y: Tensor, V: Tensor) -> Lines:
    """Both, (N, K, H, W) and (1, K, H, W)."""
    F, P = images(Y_hat, Y)
    v = V.double().numpy()
    return np.einsum("kc,nchw->nkhw", v, F), np.einsum("kc,nchw->nkhw", v, P)


def flat(a: Array) -> Array:
    """Positions in one axis, (N, K, M)."""
    return a.reshape(*a.shape[:2], -1)


def right(a: Array, b: Array) -> Array:
    """The squared differences of sorted values, (N, K, M)."""
    return np.asarray((np.sort(flat(a)) - np.sort(flat(b))) ** 2)


def of(name: str, sentence: str, formula: Callable[[Array, Array], Any]) -> Wrong:
    """A mistake after the projection."""
    return Wrong(name, sentence, lambda *given: formula(*projected(*given)))


def sorted_over(a: Array, axes: tuple[int, ...]) -> Array:
    """Values sorted over some axes together, the others left where they are."""
    rest = [axis for axis in range(4) if axis not in axes]
    moved = a.transpose(*rest, *axes)
    shape = moved.shape
    ordered = np.sort(moved.reshape(*shape[: len(rest)], -1), axis=-1).reshape(shape)
    return ordered.transpose(np.argsort([*rest, *axes]))


def sorted_wrongly(axes: tuple[int, ...]) -> Callable[[Array, Array], Any]:
    """The loss of values that are sorted over these axes."""
    return lambda a, b: ((sorted_over(a, axes) - sorted_over(b, axes)) ** 2).mean()


SORTED = tuple(
    of(
        f"sorted_over_{'_'.join(AXES[a] for a in axes)}",
        f"You sort over {words_of(axes, AXES)}; flatten rows and columns to one axis, and sort "
        "over that alone.",
        sorted_wrongly(axes),
    )
    for n in range(1, 5)
    for axes in itertools.combinations(range(4), n)
    if axes not in {(2, 3), (1,), (1, 2, 3)}
)

DISTANCES: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "absolute": ("the absolute value", np.abs),
    "root": ("the root of the absolute value", lambda d: np.sqrt(np.abs(d))),
    "cubed": ("the third power of the size", lambda d: np.abs(d) ** 3),
    "fourth": ("the fourth power", lambda d: d**4),
    "clipped": ("the square of the positive part", lambda d: d.clip(0) ** 2),
}


def reductions() -> list[Wrong]:
    """Other reductions than means."""
    found = []
    for names in itertools.product(REDUCTIONS, repeat=3):
        wrong = [name for name in names if name != "mean"]
        if not wrong or len(wrong) > 2 or set(wrong) == {"sum"}:
            continue
        if names in {("mean", "maximum", "mean"), ("mean", "first", "mean")}:
            continue
        if names == ("first", "mean", "mean"):
            continue

        def formula(a: Array, b: Array, names: tuple[str, ...] = names) -> Any:
            d = right(a, b)
            for axis in (2, 1, 0):
                d = REDUCTIONS[names[axis]][1](d, axis=axis)
            return d

        words = (REDUCTIONS[name][0] for name in names)
        said = " and ".join(
            f"{word} of the {what}"
            for word, what in zip(words, ("images", "directions", "positions"), strict=True)
            if word != "the mean"
        )
        found.append(
            of(f"reduced_{'_'.join(names)}", f"You take {said}; take the mean of all.", formula)
        )
    return found


OTHER_MEANS = (
    of(
        "mean_of_images_first",
        "You average the sorted values over the batch before you compare; compare image by "
        "image.",
        lambda a, b: ((np.sort(flat(a)).mean(0) - np.sort(flat(b))[0]) ** 2).mean(),
    ),
    of(
        "differences_summed_over_directions",
        "You add up the differences of all directions before you square; square each.",
        lambda a, b: ((np.sort(flat(a)) - np.sort(flat(b))).sum(1) ** 2).mean(),
    ),
    of(
        "differences_averaged_over_directions",
        "You average the differences of all directions before you square; square each.",
        lambda a, b: ((np.sort(flat(a)) - np.sort(flat(b))).mean(1) ** 2).mean(),
    ),
    of(
        "differences_averaged_over_images",
        "You average the differences of all images before you square; square each.",
        lambda a, b: ((np.sort(flat(a)) - np.sort(flat(b))).mean(0) ** 2).mean(),
    ),
    of(
        "root_of_each_line",
        "You take the length of each line's differences; take the mean square.",
        lambda a, b: np.sqrt(right(a, b).sum(2)).mean(),
    ),
    of(
        "length_of_all",
        "You take the length of all differences; take the mean square.",
        lambda a, b: np.sqrt(right(a, b).sum()),
    ),
    of(
        "products_of_images",
        "You multiply differences of different images with each other, as D @ D.T does; "
        "square each value.",
        lambda a, b: (
            ((D := (np.sort(flat(a)) - np.sort(flat(b))).reshape(len(a), -1)) @ D.T).mean()
            / D.shape[1]
        ),
    ),
)


def of_sorted(distance: Callable[[Array], Array]) -> Callable[[Array, Array], Any]:
    """The mean of another distance between sorted values."""
    return lambda a, b: distance(np.sort(flat(a)) - np.sort(flat(b))).mean()


OTHER_DISTANCES = tuple(
    of(
        f"distance_{name}",
        f"You take {words} of each difference; square it.",
        of_sorted(distance),
    )
    for name, (words, distance) in DISTANCES.items()
    if name != "absolute"
)


Cloud = Callable[[Array, Array], Array]
"""From features (N, C, H, W) and V to lines (N, K, H, W)."""


def plain(F: Array, V: Array) -> Array:
    """As it should be."""
    return np.asarray(np.einsum("kc,nchw->nkhw", V, F))


LINES: dict[str, tuple[str, Cloud]] = {
    "directions_centered": (
        "You subtract each direction's mean from it; use V as it is.",
        lambda F, V: plain(F, V - V.mean(1, keepdims=True)),
    ),
    "directions_absolute": (
        "You take absolute values of V; keep their signs.",
        lambda F, V: plain(F, np.abs(V)),
    ),
    "directions_signs": (
        "You use the signs of V only; use V as it is.",
        lambda F, V: plain(F, np.sign(V)),
    ),
    "directions_added": (
        "You add up all directions first; project on each of them.",
        lambda F, V: plain(F, V.sum(0, keepdims=True)),
    ),
    "directions_averaged": (
        "You average all directions first; project on each of them.",
        lambda F, V: plain(F, V.mean(0, keepdims=True)),
    ),
    "directions_reshaped": (
        "You reshape V to (C, K) for the product, which mixes its directions; transpose it.",
        lambda F, V: plain(F, V.reshape(V.shape[::-1]).T),
    ),
    "directions_squared_lengths": (
        "You divide V by its largest value; its rows have the length 1 already.",
        lambda F, V: plain(F, V / V.max(1, keepdims=True)),
    ),
    "directions_of_length_one_by_sum": (
        "You divide V by its sums; its rows have the length 1 already.",
        lambda F, V: plain(F, V / V.sum(1, keepdims=True)),
    ),
    "directions_over_absolute_sums": (
        "You divide V by the sums of its absolute values; its rows have the length 1 already.",
        lambda F, V: plain(F, V / np.abs(V).sum(1, keepdims=True)),
    ),
    "last_direction": (
        "You use the last direction only; take the mean over all of them.",
        lambda F, V: plain(F, V[-1:]),
    ),
    "no_last_direction": (
        "You leave out the last direction: your loop ends one too early.",
        lambda F, V: plain(F, V[:-1]),
    ),
    "no_first_direction": (
        "You leave out the first direction: loops begin at 0.",
        lambda F, V: plain(F, V[1:]),
    ),
    "products_not_summed": (
        "You multiply features by V but do not add up the channels; a projection is their sum.",
        lambda F, V: np.einsum("kc,nchw->nkchw", V, F).reshape(len(F), -1, *F.shape[2:]),
    ),
    "projection_absolute": (
        "You take absolute values of the projections; keep their signs.",
        lambda F, V: np.abs(plain(F, V)),
    ),
    "projection_squared": (
        "You square the projections before you sort; square the differences after it.",
        lambda F, V: plain(F, V) ** 2,
    ),
    "projection_positive": (
        "You set negative projections to 0; keep them.",
        lambda F, V: plain(F, V).clip(0),
    ),
    "channels_reversed": (
        "Your directions meet the channels in reverse order.",
        lambda F, V: plain(F[:, ::-1], V),
    ),
    "features_centered": (
        "You subtract the mean of each position's features; project them as they are.",
        lambda F, V: plain(F - F.mean(1, keepdims=True), V),
    ),
    "channels_of_length_one": (
        "You divide each channel by its length first; project the features as they are.",
        lambda F, V: plain(F / np.sqrt((F**2).sum((2, 3), keepdims=True)), V),
    ),
    "features_over_layer": (
        "You divide the features by their length in the whole image; project them as they are.",
        lambda F, V: plain(F / np.sqrt((F**2).sum((1, 2, 3), keepdims=True)), V),
    ),
    "features_standardized": (
        "You subtract means and divide by deviations first; project the features as they are.",
        lambda F, V: plain(
            (F - F.mean((2, 3), keepdims=True)) / F.std((2, 3), keepdims=True), V
        ),
    ),
    "features_over_deviations": (
        "You divide the channels by their deviations first; project the features as they are.",
        lambda F, V: plain(F / F.std((2, 3), keepdims=True), V),
    ),
    "features_over_root": (
        "You divide the projections by the root of the number of channels; a projection is a "
        "plain sum.",
        lambda F, V: plain(F, V) / F.shape[1] ** 0.5,
    ),
    "rows_averaged": (
        "You average each row of the image first; sort all positions.",
        lambda F, V: plain(F.mean(3, keepdims=True), V),
    ),
    "columns_averaged": (
        "You average each column of the image first; sort all positions.",
        lambda F, V: plain(F.mean(2, keepdims=True), V),
    ),
    "height_and_width_kept": (
        "You use the first row of the image only; sort all positions.",
        lambda F, V: plain(F[:, :, :1], V),
    ),
    "first_column": (
        "You use the first column of the image only; sort all positions.",
        lambda F, V: plain(F[:, :, :, :1], V),
    ),
    "no_last_position": (
        "You leave out the last position.",
        lambda F, V: plain(F, V).reshape(len(F), len(V), 1, -1)[..., :-1],
    ),
}


def of_lines(name: str, sentence: str, lines: Cloud) -> Wrong:
    """A mistake in the projection of both."""

    def version(Y_hat: Tensor, Y: Tensor, V: Tensor) -> Any:
        F, P = images(Y_hat, Y)
        v = V.double().numpy()
        return right(lines(F, v), lines(P, v)).mean()

    return Wrong(name, sentence, version)


PROJECTED = tuple(of_lines(name, said, lines) for name, (said, lines) in LINES.items())

ORDERS = (
    Wrong(
        "sorted_before_and_not_after",
        "You sort each channel before you project, and not the projections; project first, "
        "then sort.",
        lambda Y_hat, Y, V: (
            (np.subtract(*(V.double().numpy() @ np.sort(flat(F)) for F in images(Y_hat, Y))))
            ** 2
        ).mean(),
    ),
    of(
        "positions_compared",
        "You sort with argsort and compare the positions; compare the sorted values.",
        lambda a, b: ((np.argsort(flat(a)) - np.argsort(flat(b))) ** 2).mean(),
    ),
    of(
        "order_of_first_direction",
        "You sort all directions in the order of the first one; each has an order of its own.",
        lambda a, b: (
            (in_order(flat(a), flat(a)[:, :1]) - in_order(flat(b), flat(b)[:, :1])) ** 2
        ).mean(),
    ),
    of(
        "order_of_the_target",
        "You order both by the target's values; sort each by its own.",
        lambda a, b: (
            (in_order(flat(a), np.repeat(flat(b), len(a), 0)) - np.sort(flat(b))) ** 2
        ).mean(),
    ),
    of(
        "argsort_used_as_values",
        "You index with ranks the wrong way around: sorted values are values[argsort].",
        lambda a, b: ((twisted(flat(a)) - twisted(flat(b))) ** 2).mean(),
    ),
    of(
        "sorted_by_magnitude",
        "You sort by absolute values; sort by the values themselves.",
        lambda a, b: (
            (in_order(flat(a), np.abs(flat(a))) - in_order(flat(b), np.abs(flat(b)))) ** 2
        ).mean(),
    ),
    of(
        "medians_compared",
        "You compare medians; compare all sorted values.",
        lambda a, b: ((np.median(flat(a), 2) - np.median(flat(b), 2)) ** 2).mean(),
    ),
    of(
        "extremes_compared",
        "You compare the smallest and the largest values; compare all sorted values.",
        lambda a, b: right(a, b)[..., [0, -1]].mean(),
    ),
    of(
        "deviations_compared",
        "You compare deviations along each direction; compare all sorted values.",
        lambda a, b: ((flat(a).std(2) - flat(b).std(2)) ** 2).mean(),
    ),
    of(
        "every_pair_compared",
        "You compare every position with every other one; sort, and compare rank by rank.",
        lambda a, b: ((flat(a)[..., None] - flat(b)[..., None, :]) ** 2).mean(),
    ),
    of(
        "nearest_compared",
        "You compare each value with the nearest one of the target; compare rank by rank.",
        lambda a, b: ((flat(a)[..., None] - flat(b)[..., None, :]) ** 2).min(-1).mean(),
    ),
    of(
        "sums_of_sorted_compared",
        "You compare running sums of the sorted values; compare the values themselves.",
        lambda a, b: ((np.sort(flat(a)).cumsum(-1) - np.sort(flat(b)).cumsum(-1)) ** 2).mean(),
    ),
    of(
        "relative_to_target",
        "You divide the differences by the target's values; take them as they are.",
        lambda a, b: (right(a, b) / np.sort(flat(b)) ** 2).mean(),
    ),
    of(
        "target_ignored",
        "Your loss does not use the target.",
        lambda a, b: (a**2).mean(),
    ),
    of(
        "directions_paired_wrongly",
        "You compare every direction with every other one; compare each with itself.",
        lambda a, b: ((np.sort(flat(a))[:, :, None] - np.sort(flat(b))[:, None]) ** 2).mean(),
    ),
    of(
        "last_image_only",
        "You compare the last image of the batch only.",
        lambda a, b: right(a[-1:], b).mean(),
    ),
    of(
        "batch_averaged_first",
        "You average the features over the batch first; compare image by image.",
        lambda a, b: right(a.mean(0, keepdims=True), b).mean(),
    ),
)


def in_order(values: Array, keys: Array) -> Array:
    """Values in the order of keys."""
    return np.take_along_axis(values, np.argsort(np.broadcast_to(keys, values.shape)), -1)


def twisted(values: Array) -> Array:
    """Values at their ranks."""
    return np.take_along_axis(values, np.argsort(np.argsort(values)), -1)


WRONGS = tuple(
    wrong
    for wrong in (*SORTED, *reductions(), *OTHER_MEANS, *OTHER_DISTANCES, *PROJECTED, *ORDERS)
    if wrong.name != "reduced_last_mean_mean"
)
