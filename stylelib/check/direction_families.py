"""lbfgs_direction: families of mistakes (chapter 9)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Wrong
from stylelib.check.inverse_families import matrices
from stylelib.check.recursion_families import BASE, Known, numbers_and_vectors
from stylelib.check.two_loops import Array, Pairs, right, vectors

__all__ = ["WRONGS"]


def _sy(P: Known, i: int = -1) -> Any:
    return P[i][0] @ P[i][1]


def _yy(P: Known, i: int = -1) -> Any:
    return P[i][1] @ P[i][1]


def _ss(P: Known, i: int = -1) -> Any:
    return P[i][0] @ P[i][0]


GAMMAS: tuple[tuple[str, str, Callable[[Known], Any]], ...] = (
    ("sum", "a ratio of sums over all pairs", lambda P: sum(s @ y for s, y in P) / sum(y @ y for _, y in P)),
    ("mean", "the mean over all pairs", lambda P: np.mean([(s @ y) / (y @ y) for s, y in P])),
    ("product", "a product over all pairs", lambda P: np.prod([(s @ y) / (y @ y) for s, y in P])),
    ("largest", "the largest of all pairs", lambda P: max((s @ y) / (y @ y) for s, y in P)),
    ("smallest", "the smallest of all pairs", lambda P: min((s @ y) / (y @ y) for s, y in P)),
    ("second_newest", "that of the pair before the newest", lambda P: _sy(P, -2) / _yy(P, -2)),
    ("second", "that of the second pair", lambda P: _sy(P, 1) / _yy(P, 1)),
    ("root", "a root, of (s @ y) / (y @ y)", lambda P: np.sqrt(_sy(P) / _yy(P))),
    ("square", "a square, of (s @ y) / (y @ y)", lambda P: (_sy(P) / _yy(P)) ** 2),
    ("negative", "negative", lambda P: -_sy(P) / _yy(P)),
    ("length_not_squared", "(s @ y) over the length of y, which is not squared", lambda P: _sy(P) / np.sqrt(_yy(P))),
    ("squared_twice", "(s @ y) over (y @ y) squared", lambda P: _sy(P) / _yy(P) ** 2),
    ("product_squared", "(s @ y) ** 2 / (y @ y)", lambda P: _sy(P) ** 2 / _yy(P)),
    ("cosine", "(s @ y) over the lengths of s and y", lambda P: _sy(P) / np.sqrt(_yy(P) * _ss(P))),
    ("steps_over_changes", "(s @ s) / (y @ y)", lambda P: _ss(P) / _yy(P)),
    ("changes_over_steps", "(y @ y) / (s @ s)", lambda P: _yy(P) / _ss(P)),
    ("lengths_inverted", "a ratio of lengths of y and s", lambda P: np.sqrt(_yy(P) / _ss(P))),
    ("of_steps_inverse", "1 / (s @ s)", lambda P: 1 / _ss(P)),
    ("changes", "y @ y", _yy),
    ("steps", "s @ s", _ss),
    ("mixed_old_new", "(s @ y) of the oldest pair over (y @ y) of the newest", lambda P: _sy(P, 0) / _yy(P)),
    ("mixed_new_old", "(s @ y) of the newest pair over (y @ y) of the oldest", lambda P: _sy(P) / _yy(P, 0)),
    ("each_entry", "a vector, s / y", lambda P: P[-1][0] / P[-1][1]),
    ("each_product", "a vector, s * y / (y @ y)", lambda P: P[-1][0] * P[-1][1] / _yy(P)),
    ("doubled", "twice too large", lambda P: 2 * _sy(P) / _yy(P)),
    ("halved", "half of what it should be", lambda P: _sy(P) / _yy(P) / 2),
    ("mean_of_steps", "the mean of (s @ s) / (s @ y)", lambda P: np.mean([(s @ s) / (s @ y) for s, y in P])),
    ("zero", "0", lambda P: 0.0),
)  # fmt: skip
"""Other factors between the loops."""


def _some_of(count: int, kept: slice) -> range:
    return range(count)[kept]


CUTS: tuple[tuple[str, str, Callable[[range, int], list[int]]], ...] = (
    ("without_newest", "leaves out the newest pair", lambda some, n: [i for i in some if i != n - 1]),
    ("without_oldest", "leaves out the oldest pair", lambda some, n: [i for i in some if i]),
    ("newest_only", "takes the newest pair alone", lambda some, n: [n - 1]),
    ("oldest_only", "takes the oldest pair alone", lambda some, n: [0]),
    ("newest_always", "takes the newest pair in each turn", lambda some, n: [n - 1] * n),
    ("oldest_always", "takes the oldest pair in each turn", lambda some, n: [0] * n),
    ("every_other", "takes every other pair", lambda some, n: list(some)[::2]),
    ("shifted", "is off by one: pairs[i - 1] for pairs[i]", lambda some, n: [(i - 1) % n for i in some]),
)  # fmt: skip
"""The pairs that a loop takes, from those in its order and how many there are."""

ALPHAS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("second_loop_missing_oldest_with_its_alpha", "Your second loop begins with the second pair, but with the first pair's alpha; take all pairs.", {"second": lambda n: range(1, n), "taken": lambda alphas, order: [alphas[i] for i in sorted(alphas)]}),
    ("alphas_of_newest", "Your second loop takes the alpha of the newest pair each time: each pair has its own.", {"taken": lambda alphas, order: [alphas[max(alphas)]] * len(order)}),
    ("alphas_of_oldest", "Your second loop takes the last alpha of the first loop each time: each pair has its own.", {"taken": lambda alphas, order: [alphas[0]] * len(order)}),
    ("alphas_shifted", "Your second loop takes the alpha of the next pair: each pair has its own.", {"taken": lambda alphas, order: [alphas[(i + 1) % len(alphas)] for i in order]}),
    ("alphas_shifted_back", "Your second loop takes the alpha of the pair before: each pair has its own.", {"taken": lambda alphas, order: [alphas[(i - 1) % len(alphas)] for i in order]}),
    ("alphas_added_up", "Your second loop takes the sum of all alphas: each pair has its own.", {"taken": lambda alphas, order: [sum(alphas.values())] * len(order)}),
    ("alpha_zero", "Your alphas are 0 in the second loop; keep those of the first.", {"taken": lambda alphas, order: [0.0] * len(order)}),
)  # fmt: skip
"""Alphas of other pairs in the second loop."""


def _cut(cut: Callable[[range, int], list[int]], step: int) -> Callable[[int], list[int]]:
    return lambda n: cut(range(n)[::step], n)


def _loops() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Pairs that a loop misses, or takes twice or in another order."""
    for loop, step in (("first", -1), ("second", 1)):
        for name, said, cut in CUTS:
            yield (
                f"{loop}_loop_{name}",
                f"Your {loop} loop {said}; it takes all pairs, one by one.",
                {loop: _cut(cut, step)},
            )
    for name, said, kept in (
        ("newest", "the newest pair", slice(None, -1)),
        ("oldest", "the oldest pair", slice(1, None)),
    ):
        yield (
            f"loops_without_{name}",
            f"Your loops leave out {said}, but gamma is right; take all pairs.",
            {
                "first": lambda n, kept=kept: _some_of(n, kept)[::-1],
                "second": lambda n, kept=kept: _some_of(n, kept),
            },
        )
    yield from ALPHAS


def _gamma_in(loop: str) -> Callable[..., Array]:
    """Gamma of each pair, within a loop."""

    def version(g: Tensor, pairs: Pairs) -> Array:
        q, known = vectors(g, pairs)
        alphas = []
        for s, y in known[::-1]:
            alphas.append((s @ q) / (s @ y))
            q = q - alphas[-1] * y
            q = q * ((s @ y) / (y @ y) if loop == "first" else 1.0)
        r = q
        for (s, y), alpha in zip(known, alphas[::-1], strict=True):
            r = r * ((s @ y) / (y @ y) if loop == "second" else 1.0)
            r = r + (alpha - (y @ r) / (s @ y)) * s
        return np.asarray(-r)

    return version


def _some(name: str, said: str, cut: slice) -> Wrong:
    return Wrong(name, said, lambda g, pairs: right(g, pairs[cut]))


WRONGS = (
    *(
        Wrong(f"gamma_{name}", f"Your gamma is {said}; it is (s @ y) / (y @ y) of the newest pair.", replace(BASE, gamma=gamma))
        for name, said, gamma in GAMMAS
    ),
    *(
        Wrong(name, said, replace(BASE, **changes))
        for name, said, changes in (*_loops(), *numbers_and_vectors())
    ),
    *matrices(),
    Wrong("gamma_in_first_loop", "You multiply q by gamma in each turn of the first loop; do it once, between the loops.", _gamma_in("first")),
    Wrong("gamma_in_second_loop", "You multiply r by gamma in each turn of the second loop; do it once, before the loop.", _gamma_in("second")),
    _some("oldest_pair_only", "You use the oldest pair only; use all of them.", slice(0, 1)),
    _some("two_oldest", "You use the two oldest pairs only; use all of them.", slice(0, 2)),
    _some("two_newest", "You use the two newest pairs only; use all of them.", slice(-2, None)),
    _some("every_other_pair", "You use every other pair; use all of them.", slice(None, None, 2)),
)  # fmt: skip
