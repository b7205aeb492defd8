"""The divergence of self-similarities: families of mistakes (chapter 25)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Wrong
from stylelib.check.matching import Array, matrices
from stylelib.check.moment_families import REDUCTIONS
from stylelib.check.similarities import softmax

__all__ = ["WRONGS"]

Lengths = Callable[[Array], Any]
LENGTHS: dict[str, tuple[str, Lengths]] = {
    "length": ("its length", lambda F: np.sqrt((F**2).sum(1, keepdims=True))),
    "nothing": ("nothing", lambda F: 1),
    "square": ("its squared length", lambda F: (F**2).sum(1, keepdims=True)),
    "absolute": ("its sum of absolute values", lambda F: np.abs(F).sum(1, keepdims=True)),
    "largest": ("its largest absolute value", lambda F: np.abs(F).max(1, keepdims=True)),
    "maximum": ("its largest value", lambda F: F.max(1, keepdims=True)),
    "sum": ("its sum", lambda F: F.sum(1, keepdims=True)),
    "deviation": ("its deviation", lambda F: F.std(1, keepdims=True)),
    "places": ("each channel's length", lambda F: np.sqrt((F**2).sum(0, keepdims=True))),
    "channel_deviation": ("each channel's deviation", lambda F: F.std(0, keepdims=True)),
    "unbiased_channel_deviation": (
        "each channel's unbiased deviation",
        lambda F: F.std(0, ddof=1, keepdims=True),
    ),
    "whole": ("the length of all features", lambda F: np.sqrt((F**2).sum())),
    "half": ("the root of its length", lambda F: (F**2).sum(1, keepdims=True) ** 0.25),
    "mean_length": (
        "the mean length",
        lambda F: np.sqrt((F**2).sum(1)).mean(),
    ),
    "root_mean": (
        "the root of its mean square",
        lambda F: np.sqrt((F**2).mean(1, keepdims=True)),
    ),
}
CENTERS: dict[str, tuple[str, Lengths]] = {
    "nothing": ("", lambda F: 0),
    "channel": ("the mean feature", lambda F: F.mean(0, keepdims=True)),
    "place": ("each position's mean", lambda F: F.mean(1, keepdims=True)),
    "all": ("one mean of everything", lambda F: F.mean()),
}
TEMPERATURES: dict[str, tuple[str, Callable[[Array], float]]] = {
    "right": ("0.2", lambda F: 0.2),
    "one": ("1", lambda F: 1.0),
    "tenth": ("0.1", lambda F: 0.1),
    "half": ("0.5", lambda F: 0.5),
    "hundredth": ("0.02", lambda F: 0.02),
    "two": ("2", lambda F: 2.0),
    "inverse": ("5", lambda F: 5.0),
    "square": ("0.04", lambda F: 0.04),
    "root": ("the root of 0.2", lambda F: 0.2**0.5),
    "channels": ("the number of channels", lambda F: F.shape[1]),
    "root_of_channels": ("the root of the number of channels", lambda F: F.shape[1] ** 0.5),
    "times_channels": ("0.2 times the number of channels", lambda F: 0.2 * F.shape[1]),
    "times_places": ("0.2 times the number of positions", lambda F: 0.2 * len(F)),
    "doubled": ("0.4", lambda F: 0.4),
    "negative": ("-0.2", lambda F: -0.2),
}


def rows(
    F: Array, length: str = "length", center: str = "nothing", temperature: str = "right"
) -> Array:
    """What the softmax is taken of."""
    D = F - CENTERS[center][1](F)
    unit = D / LENGTHS[length][1](D)
    return np.asarray(unit @ unit.T / TEMPERATURES[temperature][1](F))


def kl(S_hat: Array, S: Array) -> Array:
    """KL(S_i || S_hat_i) of each row."""
    return np.asarray((S * np.log(S / S_hat)).sum(1))


Side = Callable[[Array], Array]


def of_sides(name: str, sentence: str, hat: Side, own: Side) -> Wrong:
    """Rows of each of the two made in their own way, to the softmax."""

    def version(F_hat: Tensor, F: Tensor) -> Any:
        a, b = matrices(F_hat, F)
        return kl(softmax(hat(a)), softmax(own(b))).mean()

    return Wrong(name, sentence, version)


KNOWN = {
    ("length", "nothing", name)
    for name in ("right", "one", "inverse", "square", "root", "negative")
} | {
    ("nothing", "nothing", "right"),
    ("nothing", "nothing", "one"),
    ("nothing", "nothing", "channels"),
    ("places", "nothing", "right"),
    ("length", "channel", "right"),
    ("length", "place", "right"),
    ("square", "nothing", "right"),
}


def in_rows() -> list[Wrong]:
    """Other lengths, centers and temperatures, of both images or of one only."""
    found = []
    for length, center, temperature in itertools.product(LENGTHS, CENTERS, TEMPERATURES):
        wrong = (length != "length") + (center != "nothing") + (temperature != "right")
        if wrong not in {1, 2} or (wrong == 2 and temperature not in {"right", "one"}):
            continue
        if length in {"whole", "mean_length"} and temperature != "right":
            continue
        said = []
        if length != "length":
            said.append(f"divide the features of each position by {LENGTHS[length][0]}")
        if center != "nothing":
            said.append(f"subtract {CENTERS[center][0]}")
        if temperature != "right":
            said.append(f"divide the products by {TEMPERATURES[temperature][0]}")
        words = " and ".join(said)
        key = (length, center, temperature)

        def changed(F: Array, key: tuple[str, str, str] = key) -> Array:
            return rows(F, *key)

        label = "_".join(key)
        if key not in KNOWN and key != ("deviation", "place", "right"):
            end = "divide each position's features by its length, and the cosines by 0.2."
            found.append(of_sides(f"rows_{label}", f"You {words}; {end}", changed, changed))
        if wrong == 1:
            found += [
                of_sides(
                    f"rows_of_F_hat_{label}",
                    f"For F_hat you {words}, but not for F; treat both alike.",
                    changed,
                    rows,
                ),
                of_sides(
                    f"rows_of_F_{label}",
                    f"For F you {words}, but not for F_hat; treat both alike.",
                    rows,
                    changed,
                ),
            ]
    return found


Formula = Callable[[Array, Array], Any]
"""Of S_hat and S."""
WEIGHTS: dict[str, tuple[str, Formula]] = {
    "S": ("S", lambda q, p: p),
    "S_hat": ("S_hat", lambda q, p: q),
    "one": ("1", lambda q, p: 1.0),
    "mean": ("(S + S_hat) / 2", lambda q, p: (p + q) / 2),
    "log_S": ("log S", lambda q, p: np.log(p)),
    "S_squared": ("S ** 2", lambda q, p: p**2),
    "root": ("the root of S", lambda q, p: np.sqrt(p)),
    "difference": ("(S - S_hat)", lambda q, p: p - q),
}
TERMS: dict[str, tuple[str, Formula]] = {
    "log_ratio": ("(log S - log S_hat)", lambda q, p: np.log(p / q)),
    "log_ratio_turned": ("(log S_hat - log S)", lambda q, p: np.log(q / p)),
    "absolute": ("the absolute (log S - log S_hat)", lambda q, p: np.abs(np.log(p / q))),
    "squared": ("(log S - log S_hat) ** 2", lambda q, p: np.log(p / q) ** 2),
    "log_S": ("log S", lambda q, p: np.log(p)),
    "log_S_hat": ("log S_hat", lambda q, p: np.log(q)),
    "minus_log_S_hat": ("-log S_hat", lambda q, p: -np.log(q)),
    "minus_log_S": ("-log S", lambda q, p: -np.log(p)),
    "ratio": ("S / S_hat", lambda q, p: p / q),
    "ratio_turned": ("S_hat / S", lambda q, p: q / p),
    "log_difference": ("log(|S - S_hat|)", lambda q, p: np.log(np.abs(p - q))),
    "log_quotient": ("log S / log S_hat", lambda q, p: np.log(p) / np.log(q)),
    "log_product": ("(log S + log S_hat)", lambda q, p: np.log(p * q)),
    "squared_difference": ("(S - S_hat) ** 2", lambda q, p: (p - q) ** 2),
    "root_difference": (
        "(sqrt S - sqrt S_hat) ** 2",
        lambda q, p: (np.sqrt(p) - np.sqrt(q)) ** 2,
    ),
    "difference": ("(S - S_hat)", lambda q, p: p - q),
    "absolute_difference": ("|S - S_hat|", lambda q, p: np.abs(p - q)),
    "log_of_two": ("the logarithm of base 2 of S / S_hat", lambda q, p: np.log2(p / q)),
    "log_of_ten": ("the logarithm of base 10 of S / S_hat", lambda q, p: np.log10(p / q)),
    "log_of_one_more": (
        "(log(1 + S) - log(1 + S_hat))",
        lambda q, p: np.log1p(p) - np.log1p(q),
    ),
}
KNOWN_FORMULAS = {
    ("S", "log_ratio"),
    ("S_hat", "log_ratio_turned"),
    ("S", "log_ratio_turned"),
    ("S", "minus_log_S_hat"),
    ("one", "log_ratio"),
    ("S", "difference"),
    ("S", "log_of_two"),
    ("one", "difference"),
    ("log_S", "difference"),
    ("mean", "difference"),
}
SAME_FORMULAS = {
    ("S", "ratio_turned"),
    ("mean", "ratio_turned"),
    ("one", "squared_difference"),
    ("difference", "difference"),
    ("difference", "log_ratio"),
    ("log_S", "log_ratio"),
    ("log_S", "log_of_two"),
    ("log_S", "log_of_ten"),
}


def in_formula() -> list[Wrong]:
    """Another weight, or another term, and sums where the mean over rows is right."""
    found = []
    for one, two in itertools.product(WEIGHTS, TERMS):
        if (one, two) in KNOWN_FORMULAS | SAME_FORMULAS:
            continue
        weight, term = WEIGHTS[one][1], TERMS[two][1]
        what = f"{WEIGHTS[one][0]} * {TERMS[two][0]}" if one != "one" else TERMS[two][0]

        def version(F_hat: Tensor, F: Tensor, weight: Any = weight, term: Any = term) -> Any:
            q, p = (softmax(rows(each)) for each in matrices(F_hat, F))
            return (weight(q, p) * term(q, p)).sum(1).mean()

        found.append(
            Wrong(
                f"weight_{one}_term_{two}",
                f"You add up {what} in each row; add up S * (log S - log S_hat).",
                version,
            )
        )
    return found


def over_rows(of: Callable[[Array, Array], Any]) -> Callable[[Tensor, Tensor], Any]:
    """A function of S_hat and S."""
    return lambda F_hat, F: of(*(softmax(rows(each)) for each in matrices(F_hat, F)))


def terms(q: Array, p: Array) -> Array:
    """S * log(S / S_hat), (M, M)."""
    return np.asarray(p * np.log(p / q))


def in_reductions() -> list[Wrong]:
    """Other reductions than sums of rows and their mean."""
    found = []
    for (one, (said, inner)), (two, (also, outer)) in itertools.product(
        REDUCTIONS.items(), repeat=2
    ):
        if {one, two} <= {"sum", "mean"} or (one, two) == ("sum", "first"):
            continue

        def version(q: Array, p: Array, inner: Any = inner, outer: Any = outer) -> Any:
            return outer(inner(terms(q, p), axis=1), axis=0)

        found.append(
            Wrong(
                f"{two}_of_{one}_of_rows",
                f"You take {said} of each row and {also} of the rows; take the sum of each row "
                "and the mean of the rows.",
                over_rows(version),
            )
        )
    return found


OTHERS: dict[str, tuple[str, Callable[[Array, Array], Any]]] = {
    "diagonal_only": (
        "You use the diagonal only; add up all entries of each row.",
        lambda q, p: terms(q, p).trace() / len(p),
    ),
    "diagonal_left_out": (
        "You leave out the diagonal; add up all entries of each row.",
        lambda q, p: (terms(q, p).sum() - terms(q, p).trace()) / len(p),
    ),
    "upper_triangle": (
        "You use the upper triangle only; add up all entries of each row.",
        lambda q, p: np.triu(terms(q, p)).sum() / len(p),
    ),
    "upper_triangle_without_diagonal": (
        "You use the upper triangle without the diagonal; add up all entries of each row.",
        lambda q, p: np.triu(terms(q, p), 1).sum() / len(p),
    ),
    "lower_triangle": (
        "You use the lower triangle only; add up all entries of each row.",
        lambda q, p: np.tril(terms(q, p)).sum() / len(p),
    ),
    "absolute_values": (
        "You add up absolute values; the terms keep their signs.",
        lambda q, p: np.abs(terms(q, p)).sum() / len(p),
    ),
    "one_less": (
        "You divide by M - 1; divide by the M positions.",
        lambda q, p: terms(q, p).sum() / (len(p) - 1),
    ),
    "halved": (
        "Your divergence is halved; take the mean of the rows.",
        lambda q, p: terms(q, p).sum() / len(p) / 2,
    ),
    "root": (
        "You take a square root in the end; take the mean of the rows.",
        lambda q, p: np.sqrt(terms(q, p).sum() / len(p)),
    ),
    "mean_rows_compared": (
        "You average the rows before you compare them; compare row by row.",
        lambda q, p: kl(q.mean(0)[None], p.mean(0)[None])[0],
    ),
    "columns_against_rows": (
        "You compare the rows of S with the columns of S_hat; compare row by row.",
        lambda q, p: terms(q.T, p).sum() / len(p),
    ),
    "rows_reversed": (
        "You compare position i with position M - 1 - i; compare row by row.",
        lambda q, p: terms(q[::-1], p).sum() / len(p),
    ),
    "softmax_twice": (
        "You take the softmax twice; take it once.",
        lambda q, p: kl(softmax(q), softmax(p)).mean(),
    ),
    "first_row_for_all": (
        "You compare every row with the first row of S_hat; compare row by row.",
        lambda q, p: kl(np.repeat(q[:1], len(q), 0), p).mean(),
    ),
    "cross_of_all_rows": (
        "You compare every row with every other one; compare row by row.",
        lambda q, p: np.mean([kl(np.roll(q, i, 0), p).mean() for i in range(len(p))]),
    ),
    "correlation": (
        "You take 1 minus the products of the rows; take the divergence.",
        lambda q, p: 1 - (p * q).sum() / len(p),
    ),
    "entropies": (
        "You compare entropies; take S * (log S - log S_hat).",
        lambda q, p: ((p * np.log(p)).sum() - (q * np.log(q)).sum()) / len(p),
    ),
}

PLACES = (
    of_sides(
        "channels_compared_twice",
        "You divide channels by their lengths and compare positions with positions of products "
        "of channels; take F @ F.T of unit features.",
        lambda F: (
            (F / np.sqrt((F**2).sum(0))).T @ (F / np.sqrt((F**2).sum(1, keepdims=True))) / 0.2
        ),
        lambda F: (
            (F / np.sqrt((F**2).sum(0))).T @ (F / np.sqrt((F**2).sum(1, keepdims=True))) / 0.2
        ),
    ),
    of_sides(
        "one_factor_normalized",
        "You divide only one of the two factors by its lengths; divide both.",
        lambda F: (F / np.sqrt((F**2).sum(1, keepdims=True))) @ F.T / 0.2,
        lambda F: (F / np.sqrt((F**2).sum(1, keepdims=True))) @ F.T / 0.2,
    ),
    of_sides(
        "other_factor_normalized",
        "You divide only one of the two factors by its lengths; divide both.",
        lambda F: F @ (F / np.sqrt((F**2).sum(1, keepdims=True))).T / 0.2,
        lambda F: F @ (F / np.sqrt((F**2).sum(1, keepdims=True))).T / 0.2,
    ),
    of_sides(
        "absolute_cosines",
        "You take absolute cosines; keep their signs.",
        lambda F: np.abs(rows(F)),
        lambda F: np.abs(rows(F)),
    ),
    of_sides(
        "squared_cosines",
        "You square the cosines; take them as they are.",
        lambda F: rows(F) ** 2 * 0.2,
        lambda F: rows(F) ** 2 * 0.2,
    ),
    of_sides(
        "positive_cosines",
        "You set negative cosines to 0; keep them.",
        lambda F: rows(F).clip(0),
        lambda F: rows(F).clip(0),
    ),
    of_sides(
        "angles",
        "You take the softmax of angles; take that of the cosines.",
        lambda F: np.arccos((rows(F) * 0.2).clip(-1, 1)) / 0.2,
        lambda F: np.arccos((rows(F) * 0.2).clip(-1, 1)) / 0.2,
    ),
    of_sides(
        "euclidean",
        "You take the softmax of negative distances; take that of the cosines.",
        lambda F: -np.sqrt(((F[:, None] - F[None]) ** 2).sum(2)) / 0.2,
        lambda F: -np.sqrt(((F[:, None] - F[None]) ** 2).sum(2)) / 0.2,
    ),
    of_sides(
        "squared_euclidean",
        "You take the softmax of negative squared distances; take that of the cosines.",
        lambda F: -((F[:, None] - F[None]) ** 2).sum(2) / 0.2,
        lambda F: -((F[:, None] - F[None]) ** 2).sum(2) / 0.2,
    ),
    of_sides(
        "diagonal_zero",
        "You set each position's similarity to itself to 0; leave it at 1.",
        lambda F: rows(F) * (1 - np.eye(len(F))),
        lambda F: rows(F) * (1 - np.eye(len(F))),
    ),
    of_sides(
        "normalized_after_product",
        "You divide the products' rows by their lengths; divide the features first.",
        lambda F: (P := F @ F.T) / np.sqrt((P**2).sum(1, keepdims=True)) / 0.2,
        lambda F: (P := F @ F.T) / np.sqrt((P**2).sum(1, keepdims=True)) / 0.2,
    ),
)


def between(F_hat: Tensor, F: Tensor) -> Any:
    """Cosines of F with F_hat on the target's side."""
    a, b = (each / np.sqrt((each**2).sum(1, keepdims=True)) for each in matrices(F_hat, F))
    return kl(softmax(a @ a.T / 0.2), softmax(b @ a.T / 0.2)).mean()


def shares(F_hat: Tensor, F: Tensor) -> Any:
    """Rows divided by their sums, without exponentials."""
    q, p = ((P := rows(each)) / P.sum(1, keepdims=True) for each in matrices(F_hat, F))
    return (p * np.log(np.abs(p / q))).sum(1).mean()


def powers(F_hat: Tensor, F: Tensor) -> Any:
    """Exponentials that are not divided by their sums."""
    q, p = (np.exp(rows(each)) for each in matrices(F_hat, F))
    return kl(q, p).mean()


WRONGS = (
    *(Wrong(name, said, over_rows(of)) for name, (said, of) in OTHERS.items()),
    *PLACES,
    Wrong(
        "target_between_images",
        "The rows of S hold cosines of F with F_hat; take those of F with itself.",
        between,
    ),
    Wrong(
        "exponentials_not_divided",
        "You take exponentials without dividing each row by its sum; take the softmax.",
        powers,
    ),
    Wrong(
        "divided_without_exponentials",
        "You divide each row by its sum without exponentials; take the softmax.",
        shares,
    ),
    *in_formula(),
    *in_reductions(),
    *in_rows(),
)
