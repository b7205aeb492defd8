"""The nearest features: families of mistakes (chapter 24)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Wrong
from stylelib.check.matching import Array, matrices, right_scores

__all__ = ["WRONGS"]

Pair = tuple[Array, Array]
CENTERS: dict[str, tuple[str, Callable[[Array, Array], Any]]] = {
    "own": ("their own mean", lambda a, b: a.mean(1, keepdims=True)),
    "nothing": ("nothing", lambda a, b: 0),
    "other": ("the other set's mean", lambda a, b: b.mean(1, keepdims=True)),
    "both": ("one mean of both sets", lambda a, b: np.hstack([a, b]).mean(1, keepdims=True)),
    "features": ("the mean of each column", lambda a, b: a.mean(0, keepdims=True)),
    "number": ("a single number", lambda a, b: a.mean()),
    "median": ("their median", lambda a, b: np.sort(a, 1)[:, [(a.shape[1] - 1) // 2]]),
    "halves": (
        "the mean of both sets' means",
        lambda a, b: (a.mean(1, keepdims=True) + b.mean(1, keepdims=True)) / 2,
    ),
    "least": ("their minima", lambda a, b: a.min(1, keepdims=True)),
}
LENGTHS: dict[str, tuple[str, Callable[[Array], Any]]] = {
    "length": ("their lengths", lambda a: np.sqrt((a**2).sum(0, keepdims=True))),
    "nothing": ("nothing", lambda a: 1),
    "square": ("their squared lengths", lambda a: (a**2).sum(0, keepdims=True)),
    "absolute": ("their sums of absolute values", lambda a: np.abs(a).sum(0, keepdims=True)),
    "largest": ("their largest absolute values", lambda a: np.abs(a).max(0, keepdims=True)),
    "maximum": ("their largest values", lambda a: a.max(0, keepdims=True)),
    "sum": ("their sums", lambda a: a.sum(0, keepdims=True)),
    "root": (
        "the roots of their lengths",
        lambda a: (a**2).sum(0, keepdims=True) ** 0.25,
    ),
    "places": ("each feature's length", lambda a: np.sqrt((a**2).sum(1, keepdims=True))),
    "deviation": ("each feature's deviation", lambda a: a.std(1, keepdims=True)),
    "column_deviation": ("each column's deviation", lambda a: a.std(0, keepdims=True)),
}


def chosen(scores: Callable[[Array, Array], Array]) -> Callable[[Tensor, Tensor], Array]:
    """The candidates with the highest scores (M, K)."""
    return lambda columns, candidates: scores(*matrices(columns, candidates)).argmax(1)


KNOWN = {
    ("own", "own", "length", "length"),
    ("nothing", "nothing", "length", "length"),
    ("own", "nothing", "length", "length"),
    ("nothing", "own", "length", "length"),
    ("both", "both", "length", "length"),
    ("own", "other", "length", "length"),
    ("other", "own", "length", "length"),
    ("features", "features", "length", "length"),
    ("number", "number", "length", "length"),
    ("own", "own", "length", "nothing"),
    ("nothing", "nothing", "length", "nothing"),
    ("own", "own", "length", "square"),
    ("own", "own", "length", "absolute"),
    ("own", "own", "places", "places"),
    ("nothing", "nothing", "places", "places"),
}


def said_of(one: str, two: str, words: dict[str, Any], verb: str) -> str:
    """What is done to columns and candidates, where it is not what should be."""
    right = next(iter(words))
    if one == two:
        return verb.format(words[one][0], "both sets") if one != right else ""
    both = ((one, "the columns"), (two, "the candidates"))
    return " and ".join(verb.format(words[n][0], of) for n, of in both if n != right)


def scored() -> list[Wrong]:
    """Other centers and lengths. What the columns are divided by changes no choice, if it is a
    number for each.
    """
    found = []
    scaled = ("length", "places", "deviation")
    for c, d, e, f in itertools.product(CENTERS, CENTERS, scaled, LENGTHS):
        if f == "nothing" and d != c:
            continue  # a shift of all candidates changes no choice
        wrong = (
            (c != "own") + (d != "own") - (c == d != "own") + (e != "length") + (f != "length")
        )
        wrong -= e == f != "length"
        if (
            (c, d, e, f) in KNOWN
            or wrong > 2
            or (wrong == 2 and f not in {"nothing", "places"})
        ):
            continue

        def scores(a: Array, b: Array, c: str = c, d: str = d, e: str = e, f: str = f) -> Array:
            x, y = a - CENTERS[c][1](a, b), b - CENTERS[d][1](b, a)
            return np.asarray((x / LENGTHS[e][1](x)).T @ (y / LENGTHS[f][1](y)))

        both = (c, d) != ("own", "own") and (e, f) != ("length", "length")
        joined = " and " if both else ""
        found.append(
            Wrong(
                f"center_{c}_{d}_length_{e}_{f}",
                f"You {said_of(c, d, CENTERS, 'subtract {0} from {1}')}"
                f"{joined}"
                f"{said_of(e, f, LENGTHS, 'divide {1} by {0}')}; subtract each set's own mean, "
                "and divide by lengths.",
                chosen(scores),
            )
        )
    return found


def first_best(scores: Array) -> Array:
    """Each candidate is used once, the first column chooses first."""
    left, found = scores.copy(), []
    for row in left:
        found.append(int(row.argmax()))
        left[:, found[-1]] = -np.inf
    return np.array(found)


def ranked(rank: int) -> Callable[[Array, Array], Array]:
    """The candidate at this rank."""
    return lambda a, b: right_scores(a, b).argsort(1)[:, rank]


OTHERS: dict[str, tuple[str, Callable[[Array, Array], Any]]] = {
    "second": ("You take the second best candidate; take the best.", ranked(-2)),
    "third": ("You take the third best candidate; take the best.", ranked(-3)),
    "each_once": (
        "You use each candidate once; several columns may choose the same.",
        lambda a, b: first_best(
            np.pad(right_scores(a, b), ((0, 0), (0, 20)), constant_values=-9)
        ),
    ),
    "not_the_last": (
        "You never choose the last candidate: your loop ends one too early.",
        lambda a, b: right_scores(a, b)[:, :-1].argmax(1),
    ),
    "not_the_first": (
        "You never choose the first candidate: a running best starts with it, or loops from 0.",
        lambda a, b: right_scores(a, b)[:, 1:].argmax(1) + 1,
    ),
    "counted_without_first": (
        "Your numbers are counted from the second candidate on.",
        lambda a, b: right_scores(a, b)[:, 1:].argmax(1),
    ),
    "flattened": (
        "Your argmax has no axis, so it returns one number in the flattened matrix; give it "
        "the axis of the candidates.",
        lambda a, b: right_scores(a, b).argmax(),
    ),
    "best_column_of_all": (
        "You return the candidate of the best pair of all for every column.",
        lambda a, b: np.full(a.shape[1], right_scores(a, b).max(0).argmax()),
    ),
    "best_of_sum": (
        "Every column gets the candidate with the largest sum of cosines; each has its own.",
        lambda a, b: np.full(a.shape[1], right_scores(a, b).sum(0).argmax()),
    ),
    "first_column": (
        "Every column gets the first column's candidate.",
        lambda a, b: np.full(a.shape[1], right_scores(a, b)[0].argmax()),
    ),
    "last_column": (
        "Every column gets the last column's candidate.",
        lambda a, b: np.full(a.shape[1], right_scores(a, b)[-1].argmax()),
    ),
    "backward": (
        "You count the candidates from the end.",
        lambda a, b: b.shape[1] - 1 - right_scores(a, b).argmax(1),
    ),
    "all_ranks": (
        "You return all candidates in their order; return the best of each column.",
        lambda a, b: (-right_scores(a, b)).argsort(1),
    ),
    "all_ranks_upward": (
        "You return all candidates, the worst first; return the best of each column.",
        lambda a, b: right_scores(a, b).argsort(1),
    ),
    "ranks_of_columns": (
        "You return a column's ranks over the wrong axis.",
        lambda a, b: (-right_scores(a, b)).argsort(0)[0],
    ),
    "worst_of_magnitude": (
        "You take the cosine nearest to 0; take the largest.",
        lambda a, b: np.abs(right_scores(a, b)).argmin(1),
    ),
    "squared_cosine": (
        "You take the largest product of the squared features; take cosines.",
        lambda a, b: (
            ((a - a.mean(1, keepdims=True)) ** 2)
            .T.dot((b - b.mean(1, keepdims=True)) ** 2)
            .argmax(1)
        ),
    ),
    "largest_difference": (
        "You take the least of the largest differences; take the largest cosine.",
        lambda a, b: np.abs(a[:, :, None] - b[:, None]).max(0).argmin(1),
    ),
    "first_feature": (
        "You compare the first feature only; take the cosine of all features.",
        lambda a, b: np.abs(a[:1].T - b[:1]).argmin(1),
    ),
    "sums": (
        "You compare sums of the features; take cosines.",
        lambda a, b: np.abs(a.sum(0)[:, None] - b.sum(0)).argmin(1),
    ),
    "standardized": (
        "You divide each feature by its deviation over the set; only subtract its mean, and "
        "divide by lengths.",
        lambda a, b: right_scores(
            a / a.std(1, keepdims=True), b / b.std(1, keepdims=True)
        ).argmax(1),
    ),
    "one_hot": (
        "You return a mask of the best; return its number, by argmax.",
        lambda a, b: ((s := right_scores(a, b)) == s.max(1, keepdims=True)).astype(float),
    ),
    "own_set": (
        "You compare the columns with each other; compare them with the candidates.",
        lambda a, b: right_scores(a, a).argmax(1),
    ),
    "own_set_but_itself": (
        "You find each column's nearest other column; compare with the candidates.",
        lambda a, b: (right_scores(a, a) - 9 * np.eye(a.shape[1])).argmax(1),
    ),
    "candidates_reshaped": (
        "You reshape the candidates to (K, D), which mixes them; transpose them.",
        lambda a, b: right_scores(a, b.reshape(b.shape[::-1]).T).argmax(1),
    ),
    "columns_reshaped": (
        "You reshape the columns to (M, D), which mixes them; transpose them.",
        lambda a, b: right_scores(a.reshape(a.shape[::-1]).T, b).argmax(1),
    ),
    "both_reshaped": (
        "You reshape both to rows of D features, which mixes them; transpose them.",
        lambda a, b: right_scores(
            a.reshape(a.shape[::-1]).T, b.reshape(b.shape[::-1]).T
        ).argmax(1),
    ),
    "distance_of_unit_columns": (
        "You take the candidate farthest away; take the nearest, with argmin for distances.",
        lambda a, b: (-right_scores(a, b)).argmax(1),
    ),
    "greatest_sum": (
        "You take the candidate with the largest length, for every column.",
        lambda a, b: np.full(a.shape[1], (b**2).sum(0).argmax()),
    ),
}
WRONGS = (
    *(
        Wrong(
            name,
            said,
            lambda columns, candidates, of=of: of(*matrices(columns, candidates)),
        )
        for name, (said, of) in OTHERS.items()
        if name != "distance_of_unit_columns"
    ),
    *scored(),
)
