"""The loss of means and deviations: families of mistakes (chapter 23)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.distributions import Array, differences
from stylelib.check.exercises import Wrong

__all__ = ["AXES", "REDUCTIONS", "WRONGS", "images", "words_of"]

Formula = Callable[[Array, Array], Any]
AXES = ("images", "channels", "rows", "columns")
SUBSETS = [axes for n in range(1, 5) for axes in itertools.combinations(range(4), n)]
RIGHT = (2, 3)


def images(*given: Tensor) -> list[Array]:
    """Features (N, C, H, W) in float64."""
    return [each.detach().double().numpy() for each in given]


def words_of(axes: tuple[int, ...], names: tuple[str, ...] = AXES) -> str:
    """Axes in words: "images and rows"."""
    return " and ".join(names[axis] for axis in axes)


def of_images(name: str, sentence: str, formula: Formula) -> Wrong:
    """A mistake that is a function of both features, (N, C, H, W) and (1, C, H, W)."""
    return Wrong(name, sentence, lambda Y_hat, Y: formula(*images(Y_hat, Y)))


def over(axes: tuple[int, ...], ddof: int = 0, other: Any = None) -> Formula:
    """The loss with statistics over other axes; the deviations over `other` ones."""

    def formula(F: Array, P: Array) -> Any:
        m, _ = differences(F, P, axes)
        _, s = differences(F, P, axes if other is None else other, ddof)
        return (m**2).mean() + (s**2).mean()

    return formula


AXIS_WRONGS = (
    *(
        of_images(
            f"over_{'_'.join(AXES[a] for a in axes)}{'_unbiased' * ddof}",
            f"You take means and deviations over {words_of(axes)}"
            f"{', and divide by one less' * ddof}; take them over rows and columns.",
            over(axes, ddof),
        )
        for axes in SUBSETS
        for ddof in (0, 1)
        if axes not in {RIGHT, (0, 1, 2, 3)}
        and (axes, ddof) not in {((1,), 0), ((0, 2, 3), 0), ((1, 2, 3), 0)}
        and not (axes == (0,) and ddof)
    ),
    *(
        of_images(
            f"means_over_{'_'.join(AXES[a] for a in axes)}",
            f"You take means over {words_of(axes)}; take them over rows and columns.",
            over(axes, other=RIGHT),
        )
        for axes in SUBSETS
        if axes != RIGHT
    ),
    *(
        of_images(
            f"deviations_over_{'_'.join(AXES[a] for a in axes)}{'_unbiased' * ddof}",
            f"You take deviations over {words_of(axes)}"
            f"{', and divide by one less' * ddof}; take them over rows and columns.",
            over(RIGHT, ddof, other=axes),
        )
        for axes in SUBSETS
        for ddof in (0, 1)
        if axes != RIGHT and not (axes == (0,) and ddof)
    ),
)

CENTERS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "mean": ("means", lambda F: F.mean(RIGHT)),
    "sum": ("sums", lambda F: F.sum(RIGHT)),
    "median": ("medians", lambda F: np.median(F, RIGHT)),
    "maximum": ("maxima", lambda F: F.max(RIGHT)),
    "absolute_mean": ("mean absolute values", lambda F: np.abs(F).mean(RIGHT)),
    "first": ("the first pixels", lambda F: F[:, :, 0, 0]),
    "squared_mean": ("squared means", lambda F: F.mean(RIGHT) ** 2),
    "mean_square": ("mean squares", lambda F: (F**2).mean(RIGHT)),
    "nothing": ("", lambda F: 0 * F.mean(RIGHT)),
}
SPREADS: dict[str, tuple[str, Callable[[Array], Array]]] = {
    "deviation": ("standard deviations", lambda F: F.std(RIGHT)),
    "unbiased": (
        "standard deviations that divide by M - 1",
        lambda F: F.std(RIGHT, ddof=1),
    ),
    "variance": ("variances", lambda F: F.var(RIGHT)),
    "unbiased_variance": ("variances that divide by M - 1", lambda F: F.var(RIGHT, ddof=1)),
    "root_mean_square": ("roots of mean squares", lambda F: np.sqrt((F**2).mean(RIGHT))),
    "mean_square": ("mean squares", lambda F: (F**2).mean(RIGHT)),
    "sum_of_squares": ("sums of squares, not divided,", lambda F: F.var(RIGHT) * F[0, 0].size),
    "root_of_sum": (
        "roots of sums of squares, not divided,",
        lambda F: F.std(RIGHT) * F[0, 0].size ** 0.5,
    ),
    "length": ("lengths", lambda F: np.sqrt((F**2).sum(RIGHT))),
    "absolute_deviation": (
        "mean absolute deviations",
        lambda F: np.abs(F - F.mean(RIGHT, keepdims=True)).mean(RIGHT),
    ),
    "range": ("ranges", lambda F: np.ptp(F, axis=RIGHT)),
    "relative": ("deviations over means", lambda F: F.std(RIGHT) / F.mean(RIGHT)),
    "logarithm": ("logarithms of deviations", lambda F: np.log(F.std(RIGHT))),
    "deviation_of_rows": ("deviations of row means", lambda F: F.mean(3).std(2)),
    "deviation_of_columns": ("deviations of column means", lambda F: F.mean(2).std(2)),
    "mean_of_row_deviations": ("means of the rows' deviations", lambda F: F.std(3).mean(2)),
    "mean_of_column_deviations": (
        "means of the columns' deviations",
        lambda F: F.std(2).mean(2),
    ),
    "centered_by_layer": (
        "deviations from one mean of the whole layer",
        lambda F: np.sqrt(((F - F.mean((1, 2, 3), keepdims=True)) ** 2).mean(RIGHT)),
    ),
    "centered_by_batch": (
        "deviations from the batch's mean",
        lambda F: np.sqrt(((F - F.mean((0, 2, 3), keepdims=True)) ** 2).mean(RIGHT)),
    ),
    "nothing": ("", lambda F: 0 * F.mean(RIGHT)),
}
KNOWN_STATISTICS = {
    ("mean", name)
    for name in (
        "deviation",
        "unbiased",
        "variance",
        "unbiased_variance",
        "nothing",
        "mean_square",
        "root_mean_square",
        "absolute_deviation",
    )
} | {("nothing", name) for name in ("deviation", "unbiased", "nothing")}


def statistics() -> list[Wrong]:
    """Other statistics than means and standard deviations."""
    found = []
    for (one, (center, first)), (two, (spread, second)) in itertools.product(
        CENTERS.items(), SPREADS.items()
    ):
        if (one, two) in KNOWN_STATISTICS:
            continue
        words = " and ".join(filter(None, (center, spread)))

        def formula(F: Array, P: Array, first: Any = first, second: Any = second) -> Any:
            m, s = first(F) - first(P), second(F) - second(P)
            return (m**2 + s**2).mean()

        sentence = (
            f"You compare {words}; compare means and standard deviations of each channel."
        )
        found.append(of_images(f"{one}_and_{two}", sentence.replace(",;", ";"), formula))
    return found


DISTANCES: dict[str, tuple[str, Callable[[Array], Any]]] = {
    "squared": ("the mean square", lambda d: (d**2).mean()),
    "absolute": ("the mean absolute value", lambda d: np.abs(d).mean()),
    "sum": ("the sum of squares", lambda d: (d**2).sum()),
    "mean": ("the mean, not squared,", lambda d: d.mean()),
    "root": ("the root of the mean square", lambda d: np.sqrt((d**2).mean())),
    "norm": ("the length", lambda d: np.sqrt((d**2).sum())),
    "of_mean": ("the square of the mean", lambda d: d.mean() ** 2),
    "largest": ("the largest square", lambda d: (d**2).max()),
    "summed_channels": ("the sum over channels", lambda d: (d**2).sum(1).mean()),
    "summed_images": ("the sum over images", lambda d: (d**2).mean(1).sum()),
    "of_batch": (
        "the square of the batch's mean difference",
        lambda d: (d.mean(0) ** 2).mean(),
    ),
    "fourth": ("the mean fourth power", lambda d: (d**4).mean()),
    "half": ("half the mean square", lambda d: (d**2).mean() / 2),
    "twice": ("twice the mean square", lambda d: (d**2).mean() * 2),
    "negative": ("the negative mean square", lambda d: -(d**2).mean()),
    "tenth": ("a tenth of the mean square", lambda d: (d**2).mean() / 10),
    "first_channel": ("the first channel's square", lambda d: (d[:, 0] ** 2).mean()),
    "first_image": ("the first image's mean square", lambda d: (d[0] ** 2).mean()),
    "last_image": ("the last image's mean square", lambda d: (d[-1] ** 2).mean()),
    "median": ("the median square", lambda d: np.median(d**2)),
}
KNOWN_DISTANCES = {
    (name, name)
    for name in (
        "squared",
        "absolute",
        "mean",
        "sum",
        "summed_channels",
        "summed_images",
        "half",
        "norm",
        "twice",
        "negative",
    )
} | {("squared", "negative")}


def distances() -> list[Wrong]:
    """Other distances of means, or of deviations."""
    found = []
    for (one, (said, first)), (two, (also, second)) in itertools.product(
        DISTANCES.items(), repeat=2
    ):
        if (one, two) in KNOWN_DISTANCES or ("squared" not in {one, two} and one != two):
            continue

        def formula(F: Array, P: Array, first: Any = first, second: Any = second) -> Any:
            m, s = differences(F, P, RIGHT)
            return first(m) + second(s)

        words = (
            f"{said} of the differences of means and of deviations"
            if one == two
            else f"{said} of the differences of means, and {also} of those of deviations"
        )
        found.append(
            of_images(
                f"{one}_for_means_{two}_for_deviations",
                f"You take {words}; take the mean square of both.",
                formula,
            )
        )
    return found


REDUCTIONS: dict[str, tuple[str, Callable[..., Any]]] = {
    "sum": ("the sum", np.sum),
    "mean": ("the mean", np.mean),
    "maximum": ("the maximum", np.max),
    "median": ("the median", np.median),
    "minimum": ("the minimum", np.min),
    "first": ("the first", lambda d, axis: d.take(0, axis)),
    "last": ("the last", lambda d, axis: d.take(-1, axis)),
}


def reductions() -> list[Wrong]:
    """Other reductions than the mean over images and channels."""
    found = []
    for (one, (said, inner)), (two, (also, outer)) in itertools.product(
        REDUCTIONS.items(), repeat=2
    ):
        if {one, two} <= {"sum", "mean"}:
            continue

        def formula(F: Array, P: Array, inner: Any = inner, outer: Any = outer) -> Any:
            m, s = differences(F, P, RIGHT)
            return outer(inner(m**2 + s**2, axis=1), axis=0)

        found.append(
            of_images(
                f"{one}_of_channels_{two}_of_images",
                f"You take {said} of the channels and {also} of the images; take the mean of "
                "both.",
                formula,
            )
        )
    return found


OTHERS = (
    of_images(
        "root_of_each",
        "You take the root of each channel's sum of squares; take the mean of the squares.",
        lambda F, P: np.sqrt(np.add(*(d**2 for d in differences(F, P, RIGHT)))).mean(),
    ),
    of_images(
        "relative_to_target",
        "You divide the differences by the target's means and deviations; take them as they "
        "are.",
        lambda F, P: (
            ((F.mean(RIGHT) - P.mean(RIGHT)) / P.mean(RIGHT)) ** 2
            + ((F.std(RIGHT) - P.std(RIGHT)) / P.std(RIGHT)) ** 2
        ).mean(),
    ),
    of_images(
        "normalized_by_target",
        "You divide the means' differences by the target's deviation; take them as they are.",
        lambda F, P: (
            ((F.mean(RIGHT) - P.mean(RIGHT)) / P.std(RIGHT)) ** 2
            + (F.std(RIGHT) - P.std(RIGHT)) ** 2
        ).mean(),
    ),
    of_images(
        "deviation_of_difference",
        "You take the deviation of the difference of both; take the difference of deviations.",
        lambda F, P: ((F.mean(RIGHT) - P.mean(RIGHT)) ** 2 + (F - P).std(RIGHT) ** 2).mean(),
    ),
    of_images(
        "deviations_from_targets_mean",
        "Your deviations are from the target's mean; each is from its own.",
        lambda F, P: (
            (F.mean(RIGHT) - P.mean(RIGHT)) ** 2
            + (np.sqrt(((F - P.mean(RIGHT, keepdims=True)) ** 2).mean(RIGHT)) - P.std(RIGHT))
            ** 2
        ).mean(),
    ),
    of_images(
        "channels_sorted",
        "Your channels are paired in reverse order; compare channel c with channel c.",
        lambda F, P: np.add(*(d**2 for d in differences(F[:, ::-1], P, RIGHT))).mean(),
    ),
    of_images(
        "pairs_of_channels",
        "You compare every channel with every other one; compare channel c with channel c.",
        lambda F, P: (
            (F.mean(RIGHT)[:, :, None] - P.mean(RIGHT)[:, None]) ** 2
            + (F.std(RIGHT)[:, :, None] - P.std(RIGHT)[:, None]) ** 2
        ).mean(),
    ),
    of_images(
        "mean_of_images_first",
        "You average means and deviations over the batch before you compare; compare image by "
        "image.",
        lambda F, P: (
            (F.mean(RIGHT).mean(0) - P.mean(RIGHT)[0]) ** 2
            + (F.std(RIGHT).mean(0) - P.std(RIGHT)[0]) ** 2
        ).mean(),
    ),
    of_images(
        "deviation_term_twice",
        "You add the term of the deviations twice, and not that of the means.",
        lambda F, P: 2 * (differences(F, P, RIGHT)[1] ** 2).mean(),
    ),
    of_images(
        "mean_term_twice",
        "You add the term of the means twice, and not that of the deviations.",
        lambda F, P: 2 * (differences(F, P, RIGHT)[0] ** 2).mean(),
    ),
    of_images(
        "products_of_images",
        "You multiply differences of different images with each other, as D @ D.T does; square "
        "each value.",
        lambda F, P: sum((d @ d.T).mean() / d.shape[1] for d in differences(F, P, RIGHT)),
    ),
)

WRONGS = (*AXIS_WRONGS, *statistics(), *distances(), *reductions(), *OTHERS)
