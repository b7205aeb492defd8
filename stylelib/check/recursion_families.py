"""lbfgs_direction: families of mistakes in the numbers and vectors of the loops (chapter 9)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.two_loops import Array, Pairs, vectors

__all__ = ["BASE", "Known", "numbers_and_vectors"]

Pair = tuple[Array, Array]
Known = list[Pair]


@dataclass(frozen=True)
class Recursion:
    """The two loops, with all that they may use.

    Attributes:
        alpha: of the number of a pair, all pairs, q and g.
        beta: of the number of a pair, all pairs, r, q and g.
        gamma: of all pairs.
        first: the pairs of the first loop, in its order.
        second: those of the second.
        taken: the alphas of the second loop, of all of them by pair, and of its pairs.
        start: q before the first loop, of g and all pairs.
        middle: r before the second loop, of gamma, q and g.
        weight: of alpha and beta.
        subtracted: from q, of alpha, and a number of a pair, all pairs.
        added: to r, of a weight, a number of a pair, and all pairs.
        end: the direction, of r, g, and all pairs.
    """

    alpha: Callable[..., Any] = lambda i, P, q, g: (P[i][0] @ q) / (P[i][0] @ P[i][1])
    beta: Callable[..., Any] = lambda i, P, r, q, g: (P[i][1] @ r) / (P[i][0] @ P[i][1])
    gamma: Callable[[Known], Any] = lambda P: (P[-1][0] @ P[-1][1]) / (P[-1][1] @ P[-1][1])
    first: Callable[[int], Sequence[int]] = lambda n: range(n)[::-1]
    second: Callable[[int], Sequence[int]] = range
    taken: Callable[..., Any] = lambda alphas, order: [alphas.get(i, 0.0) for i in order]
    start: Callable[..., Array] = lambda g, P: g
    middle: Callable[..., Array] = lambda gamma, q, g: gamma * q
    weight: Callable[..., Any] = lambda alpha, beta: alpha - beta
    subtracted: Callable[..., Array] = lambda alpha, i, P: alpha * P[i][1]
    added: Callable[..., Array] = lambda weight, i, P: weight * P[i][0]
    end: Callable[..., Array] = lambda r, g, P: -r

    def __call__(self, g: Tensor, pairs: Pairs) -> Array:
        """The direction."""
        vector, P = vectors(g, pairs)
        q, alphas = self.start(vector, P), {}
        for i in self.first(len(P)):
            alphas[i] = self.alpha(i, P, q, vector)
            q = q - self.subtracted(alphas[i], i, P)
        r = self.middle(self.gamma(P), q, vector)
        order = self.second(len(P))
        for i, alpha in zip(order, self.taken(alphas, order), strict=False):
            r = r + self.added(self.weight(alpha, self.beta(i, P, r, q, vector)), i, P)
        return np.asarray(self.end(r, vector, P))


BASE = Recursion()

Member = tuple[str, str, dict[str, Any]]
"""A name, a sentence, and parts of `BASE`."""
Row = tuple[str, str, Callable[..., Any]]
"""A name, words, and a formula."""


def _quotients() -> Iterator[Member]:
    """Alpha and beta of other products and divisors."""
    vectors_of = {"s": 0, "y": 1}
    for top, (low, high) in itertools.product("sy", (("s", "s"), ("s", "y"), ("y", "y"))):
        a, b, c = vectors_of[top], vectors_of[low], vectors_of[high]
        quotient = lambda i, P, v, *_, a=a, b=b, c=c: (P[i][a] @ v) / (P[i][b] @ P[i][c])  # noqa: E731
        yield (
            f"alpha_{top}q_over_{low}{high}",
            f"Your alpha is ({top} @ q) / ({low} @ {high}); it is (s @ q) / (s @ y).",
            {"alpha": quotient},
        )
        yield (
            f"beta_{top}r_over_{low}{high}",
            f"Your beta is ({top} @ r) / ({low} @ {high}); it is (y @ r) / (s @ y).",
            {"beta": quotient},
        )
        yield (
            f"both_{top}_over_{low}{high}",
            f"Your alpha and beta are ({top} @ v) / ({low} @ {high}), v = q or r; they are (s @ q) / (s @ y) and (y @ r) / (s @ y).",
            {"alpha": quotient, "beta": quotient},
        )
        for other_low, other_high in (("s", "s"), ("s", "y"), ("y", "y")):
            d, e = vectors_of[other_low], vectors_of[other_high]
            second = lambda i, P, v, *_, a=a, d=d, e=e: (P[i][1 - a] @ v) / (P[i][d] @ P[i][e])  # noqa: E731
            yield (
                f"alpha_{top}_{low}{high}_beta_{other_low}{other_high}",
                f"Your alpha has {top} @ q over {low} @ {high}, and your beta has {'sy'[1 - a]} @ r over {other_low} @ {other_high}; they are (s @ q) / (s @ y) and (y @ r) / (s @ y).",
                {"alpha": quotient, "beta": second},
            )


DIVISORS: tuple[Row, ...] = (
    ("of_newest", "that of the newest pair", lambda i, P: P[-1][0] @ P[-1][1]),
    ("of_oldest", "that of the oldest pair", lambda i, P: P[0][0] @ P[0][1]),
    ("squared", "squared", lambda i, P: (P[i][0] @ P[i][1]) ** 2),
    (
        "of_lengths",
        "the product of their lengths",
        lambda i, P: np.sqrt((P[i][0] @ P[i][0]) * (P[i][1] @ P[i][1])),
    ),
    ("rooted", "its root", lambda i, P: np.sqrt(P[i][0] @ P[i][1])),
    ("doubled", "twice as large", lambda i, P: 2 * (P[i][0] @ P[i][1])),
    ("halved", "half as large", lambda i, P: (P[i][0] @ P[i][1]) / 2),
    (
        "of_reversed",
        "that of another pair: the list of rho is in reverse order",
        lambda i, P: P[-1 - i][0] @ P[-1 - i][1],
    ),
    ("negative", "negative", lambda i, P: -(P[i][0] @ P[i][1])),
)
"""What may stand where s @ y belongs, of the number of a pair and all pairs."""


def _divisors() -> Iterator[Member]:
    for name, words, rho in DIVISORS:
        alpha = lambda i, P, q, g, rho=rho: (P[i][0] @ q) / rho(i, P)  # noqa: E731
        beta = lambda i, P, r, q, g, rho=rho: (P[i][1] @ r) / rho(i, P)  # noqa: E731
        said = f"divisor (s @ y) is {words}; it is s @ y of the same pair."
        yield (
            f"divisors_{name}",
            f"In alpha and beta, the {said}",
            {"alpha": alpha, "beta": beta},
        )
        yield f"divisor_of_alpha_{name}", f"In alpha, the {said}", {"alpha": alpha}
        yield f"divisor_of_beta_{name}", f"In beta, the {said}", {"beta": beta}


def _alphas() -> Iterator[Member]:
    """Alphas that are no products, or of another q."""
    for word, place in (("s", 0), ("y", 1)):
        yield (
            f"each_entry_with_{word}",
            f"Your alpha multiplies entry by entry, {word} * q, and does not add up; write s @ q.",
            {"alpha": lambda i, P, q, g, place=place: P[i][place] * q / (P[i][0] @ P[i][1])},
        )
    yield (
        "alpha_of_updated_q",
        "Your alpha is computed after q has changed; compute it first, then subtract.",
        {"taken": lambda alphas, order: [0.0] * len(order)}
        | {"weight": lambda alpha, beta: 0.0 - beta + 0 * alpha},
    )


WEIGHTS: tuple[Row, ...] = (
    ("alpha_times_beta", "alpha * beta", lambda a, b: a * b),
    ("negative_sum", "-(alpha + beta)", lambda a, b: -a - b),
    ("alpha_over_beta", "alpha / beta", lambda a, b: a / b),
    ("beta_alone", "beta", lambda a, b: b),
    ("negative_alpha", "-alpha", lambda a, b: -a),
    ("twice", "2 * (alpha - beta)", lambda a, b: 2 * (a - b)),
    ("half", "(alpha - beta) / 2", lambda a, b: (a - b) / 2),
    ("absolute", "the absolute value of alpha - beta", lambda a, b: abs(a - b)),
    ("one", "1", lambda a, b: 1.0),
)
"""What the second loop adds times s, of alpha and beta."""

BETWEEN: tuple[Member, ...] = (
    (
        "middle_of_g",
        "Your r begins with gamma * g; it begins with gamma * q.",
        {"middle": lambda gamma, q, g: gamma * g},
    ),
    (
        "middle_of_sum",
        "Your r begins with gamma * (q + g); it begins with gamma * q.",
        {"middle": lambda gamma, q, g: gamma * (q + g)},
    ),
    (
        "middle_plain_g",
        "Your r begins with g; it begins with gamma * q.",
        {"middle": lambda gamma, q, g: g},
    ),
    (
        "middle_zero",
        "Your r begins with 0; it begins with gamma * q.",
        {"middle": lambda gamma, q, g: 0 * q},
    ),
    (
        "middle_negative",
        "Your r begins with -gamma * q; it begins with gamma * q.",
        {"middle": lambda gamma, q, g: -gamma * q},
    ),
    (
        "middle_divided",
        "You divide q by gamma; multiply by it.",
        {"middle": lambda gamma, q, g: q / gamma},
    ),
    (
        "middle_added",
        "You add gamma to q; multiply by it.",
        {"middle": lambda gamma, q, g: q + gamma},
    ),
    (
        "middle_twice",
        "You multiply by gamma twice; once is right.",
        {"middle": lambda gamma, q, g: gamma**2 * q},
    ),
    (
        "gamma_at_start_too",
        "You multiply g by gamma before the first loop, too; do it only between the loops.",
        {"start": lambda g, P: BASE.gamma(P) * g},
    ),
    (
        "gamma_at_end_too",
        "You multiply by gamma after the second loop, too; do it only between the loops.",
        {"end": lambda r, g, P: -BASE.gamma(P) * r},
    ),
    (
        "start_unit",
        "You divide the gradient by its length first; leave it as it is.",
        {"start": lambda g, P: g / np.sqrt(g @ g)},
    ),
    (
        "start_newest_change",
        "Your q begins with the newest y; it begins with g.",
        {"start": lambda g, P: P[-1][1]},
    ),
    (
        "start_newest_step",
        "Your q begins with the newest s; it begins with g.",
        {"start": lambda g, P: P[-1][0]},
    ),
    (
        "end_unit",
        "You divide the direction by its length; leave it as it is.",
        {"end": lambda r, g, P: -r / np.sqrt(r @ r)},
    ),
    (
        "end_minus_g",
        "You subtract the gradient, too; return -r.",
        {"end": lambda r, g, P: -r - g},
    ),
    (
        "end_plus_g",
        "You add the gradient to the direction; return -r.",
        {"end": lambda r, g, P: g - r},
    ),
    (
        "end_clipped",
        "You clamp the direction to -1..1; leave it as it is.",
        {"end": lambda r, g, P: (-r).clip(-1, 1)},
    ),
    ("end_signs", "You return signs; return -r.", {"end": lambda r, g, P: -np.sign(r)}),
)
"""Other vectors between the loops, at the start, or at the end."""

SUBTRACTED: tuple[Row, ...] = (
    ("twice", "2 * alpha * y", lambda a, i, P: 2 * a * P[i][1]),
    ("newest", "alpha times the newest y", lambda a, i, P: a * P[-1][1]),
    ("oldest", "alpha times the oldest y", lambda a, i, P: a * P[0][1]),
    ("divided", "alpha * y / (s @ y)", lambda a, i, P: a * P[i][1] / (P[i][0] @ P[i][1])),
    ("without_alpha", "y without alpha", lambda a, i, P: P[i][1]),
    ("added_step", "-alpha * s, so it adds alpha * s", lambda a, i, P: -a * P[i][0]),
    ("nothing", "nothing", lambda a, i, P: 0 * P[i][1]),
)
"""What the first loop subtracts, of alpha, the number of a pair and all pairs."""

ADDED: tuple[Row, ...] = (
    ("newest", "a multiple of the newest s", lambda w, i, P: w * P[-1][0]),
    ("oldest", "a multiple of the oldest s", lambda w, i, P: w * P[0][0]),
    (
        "divided",
        "(alpha - beta) * s / (s @ y)",
        lambda w, i, P: w * P[i][0] / (P[i][0] @ P[i][1]),
    ),
    ("subtracted_change", "-(alpha - beta) * y", lambda w, i, P: -w * P[i][1]),
)
"""What the second loop adds, of a weight, the number of a pair and all pairs."""


def numbers_and_vectors() -> Iterator[Member]:
    """All of them, first those with other numbers."""
    yield from _quotients()
    yield from _divisors()
    yield from _alphas()
    for name, said, weight in WEIGHTS:
        yield (
            f"weight_{name}",
            f"Your second loop adds {said} times s; it should add (alpha - beta) * s.",
            {"weight": weight},
        )
    yield from BETWEEN
    for name, said, change in SUBTRACTED:
        yield (
            f"subtracted_{name}",
            f"Your first loop subtracts {said} from q; it should subtract alpha * y.",
            {"subtracted": change},
        )
    for name, said, change in ADDED:
        yield (
            f"added_{name}",
            f"Your second loop adds {said} to r; it should add (alpha - beta) * s.",
            {"added": change},
        )
