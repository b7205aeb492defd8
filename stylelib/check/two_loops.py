"""L-BFGS's direction, by the two-loop recursion: reference and likely mistakes (chapter 9)."""

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
Pairs = list[tuple[Tensor, Tensor]]
Scalar = Callable[[Array, Array, Array], Any]
"""A number made of a step s, a change y, and the vector that goes through the loops."""


def direction_arguments() -> list[Arguments]:
    """Two calls, (g, pairs): four pairs from a valley that is steeper along some axes, and two
    of another one.
    """
    calls: list[Arguments] = []
    for seed, size, count in ((9, 7, 4), (10, 5, 2)):
        draw = torch.Generator().manual_seed(seed)
        turn, _ = torch.linalg.qr(torch.randn(size, size, generator=draw))
        H = turn @ torch.linspace(0.4, 4, size).diag() @ turn.T
        steps = [torch.randn(size, generator=draw) for _ in range(count)]
        g = torch.randn(size, generator=draw)
        calls.append((g, [(s, H @ s) for s in steps]))
    return calls


def vectors(g: Tensor, pairs: Pairs) -> tuple[Array, list[tuple[Array, Array]]]:
    """In float64."""
    return g.double().numpy(), [(s.double().numpy(), y.double().numpy()) for s, y in pairs]


def right(g: Tensor, pairs: Pairs) -> Array:
    """-H^-1 g, with the matrix itself: the update of BFGS, pair by pair."""
    vector, known = vectors(g, pairs)
    s, y = known[-1]
    unit = np.eye(len(vector))
    inverse = (s @ y) / (y @ y) * unit
    for s, y in known:
        left = unit - np.outer(s, y) / (s @ y)
        inverse = left @ inverse @ left.T + np.outer(s, s) / (s @ y)
    return np.asarray(-inverse @ vector)


@dataclass(frozen=True)
class Loops:
    """The two-loop recursion, in parts that can be wrong."""

    alpha: Scalar = lambda s, y, q: (s @ q) / (s @ y)
    beta: Scalar = lambda s, y, r: (y @ r) / (s @ y)
    gamma: Scalar = lambda s, y, q: (s @ y) / (y @ y)
    subtracted: Callable[[Array, Array], Array] = lambda s, y: y
    added: Callable[[Array, Array], Array] = lambda s, y: s
    weight: Callable[[float, float], float] = lambda alpha, beta: alpha - beta
    first: int = -1
    """The order of the first loop, 1 for oldest to newest."""
    second: int = 1
    crossed: bool = False
    """Whether the second loop takes the alphas in the order of the first."""
    reversed_alphas: bool = False
    """Whether those are reversed first."""
    scaled_by: int = -1
    """The pair that gamma is computed from."""
    alpha_of: str = "q"
    """The vector that alphas come from: "q", or "g" as it was before the loop."""
    beta_of: str = "r"
    """The vector that betas come from: "r", "gamma q" as it was before the loop, "q", "g"."""
    loops: int = 2

    def __call__(self, g: Tensor, pairs: Pairs) -> Array:
        """The direction."""
        q, known = vectors(g, pairs)
        seen = {"g": q}
        alphas = {}
        for i in range(len(known))[:: self.first]:
            s, y = known[i]
            alphas[i] = self.alpha(s, y, {**seen, "q": q}[self.alpha_of])
            q = q - alphas[i] * self.subtracted(s, y)
        r = self.gamma(*known[self.scaled_by], q) * q
        seen |= {"q": q, "gamma q": r}
        order = range(len(known))[:: self.second]
        taken = list(alphas.values()) if self.crossed else [alphas[i] for i in order]
        taken = taken[::-1] if self.reversed_alphas else taken
        for i, alpha in zip(order if self.loops == 2 else (), taken, strict=False):
            s, y = known[i]
            beta = self.beta(s, y, {**seen, "r": r}[self.beta_of])
            r = r + self.weight(alpha, beta) * self.added(s, y)
        return np.asarray(-r)


LOOPS = Loops()
WRONGS = (
    Wrong(
        "sign",
        "You return an estimate of H^-1 g; L-BFGS moves against it, so the sign is missing.",
        lambda g, pairs: -right(g, pairs),
    ),
    Wrong(
        "no_gamma",
        "You leave out gamma: between the loops q is multiplied by (s @ y) / (y @ y) of the "
        "newest pair.",
        replace(LOOPS, gamma=lambda s, y, q: 1.0),
    ),
    Wrong(
        "gamma_inverted",
        "Your gamma is inverted: it is (s @ y) / (y @ y).",
        replace(LOOPS, gamma=lambda s, y, q: (y @ y) / (s @ y)),
    ),
    Wrong(
        "gamma_of_steps",
        "Your gamma is (s @ s) / (s @ y); it should be (s @ y) / (y @ y).",
        replace(LOOPS, gamma=lambda s, y, q: (s @ s) / (s @ y)),
    ),
    Wrong(
        "gamma_of_steps_alone",
        "Your gamma is divided by s @ s; it is (s @ y) / (y @ y).",
        replace(LOOPS, gamma=lambda s, y, q: (s @ y) / (s @ s)),
    ),
    Wrong(
        "gamma_not_divided",
        "Your gamma is s @ y; divide it by y @ y.",
        replace(LOOPS, gamma=lambda s, y, q: s @ y),
    ),
    Wrong(
        "gamma_of_lengths",
        "Your gamma is a ratio of lengths; it is (s @ y) / (y @ y).",
        replace(LOOPS, gamma=lambda s, y, q: np.sqrt((s @ s) / (y @ y))),
    ),
    Wrong(
        "gamma_is_rho",
        "You multiply by 1 / (s @ y) between the loops; gamma is (s @ y) / (y @ y).",
        replace(LOOPS, gamma=lambda s, y, q: 1 / (s @ y)),
    ),
    Wrong(
        "gamma_of_change_alone",
        "You multiply by 1 / (y @ y) between the loops; gamma is (s @ y) / (y @ y).",
        replace(LOOPS, gamma=lambda s, y, q: 1 / (y @ y)),
    ),
    Wrong(
        "gamma_of_oldest",
        "Your gamma is that of the oldest pair; take the newest one, pairs[-1].",
        replace(LOOPS, scaled_by=0),
    ),
    Wrong(
        "gamma_misplaced",
        "You multiply by gamma before the first loop or after the second; do it between them.",
        lambda g, pairs: (
            replace(LOOPS, gamma=lambda s, y, q: 1.0)(g, pairs)
            * LOOPS.gamma(*vectors(g, pairs)[1][-1], g)
        ),
    ),
    Wrong(
        "orders_swapped",
        "Your loops run in the wrong directions: the first goes from the newest pair to the "
        "oldest, and the second back.",
        replace(LOOPS, first=1, second=-1),
    ),
    Wrong(
        "orders_swapped_with_gamma_of_oldest",
        "You take the pairs as newest first, but the oldest pair comes first in the list.",
        replace(LOOPS, first=1, second=-1, scaled_by=0),
    ),
    Wrong(
        "first_loop_from_oldest",
        "Your first loop goes from the oldest pair to the newest; it goes from the newest to "
        "the oldest.",
        replace(LOOPS, first=1),
    ),
    Wrong(
        "second_loop_from_newest",
        "Your second loop goes from the newest pair to the oldest; it goes from the oldest to "
        "the newest.",
        replace(LOOPS, second=-1),
    ),
    Wrong(
        "alphas_not_reversed",
        "Your second loop takes the alphas in the order of the first: the first alpha "
        "belongs to the newest pair, so reverse them.",
        replace(LOOPS, crossed=True),
    ),
    Wrong(
        "first_loop_from_oldest_with_alphas_reversed",
        "Your first loop goes from the oldest pair to the newest, and its alphas meet the "
        "wrong pairs in the second: go from the newest to the oldest first.",
        replace(LOOPS, first=1, crossed=True, reversed_alphas=True),
    ),
    Wrong(
        "both_loops_from_newest",
        "Both of your loops go from the newest pair to the oldest, and the alphas meet the "
        "wrong pairs in the second: go from the oldest to the newest there.",
        replace(LOOPS, second=-1, crossed=True, reversed_alphas=True),
    ),
    Wrong(
        "q_not_updated",
        "Your alphas all come from the gradient g; each should come from q, from which the "
        "newer pairs' parts are already subtracted.",
        replace(LOOPS, alpha_of="g"),
    ),
    Wrong(
        "r_not_updated",
        "Your betas all come from r as it was before the second loop; each should come from r "
        "with the older pairs' parts added.",
        replace(LOOPS, beta_of="gamma q"),
    ),
    Wrong(
        "beta_of_q",
        "Your betas come from q, which does not change in the second loop; take r, "
        "(y @ r) / (s @ y).",
        replace(LOOPS, beta_of="q"),
    ),
    Wrong(
        "beta_of_gradient",
        "Your betas come from the gradient g; take r, (y @ r) / (s @ y).",
        replace(LOOPS, beta_of="g"),
    ),
    Wrong(
        "neither_updated",
        "Your alphas and betas do not see what the pairs before them have changed: update q "
        "and r within the loops.",
        replace(LOOPS, alpha_of="g", beta_of="gamma q"),
    ),
    Wrong(
        "beta_of_step",
        "Your beta uses s @ r; it is (y @ r) / (s @ y).",
        replace(LOOPS, beta=lambda s, y, r: (s @ r) / (s @ y)),
    ),
    Wrong(
        "alpha_of_change",
        "Your alpha uses y @ q; it is (s @ q) / (s @ y).",
        replace(LOOPS, alpha=lambda s, y, q: (y @ q) / (s @ y)),
    ),
    Wrong(
        "alpha_and_beta_exchanged",
        "Your alpha uses y and your beta uses s; it is (s @ q) / (s @ y) and (y @ r) / (s @ "
        "y).",
        replace(
            LOOPS,
            alpha=lambda s, y, q: (y @ q) / (s @ y),
            beta=lambda s, y, r: (s @ r) / (s @ y),
        ),
    ),
    Wrong(
        "step_subtracted",
        "Your first loop subtracts alpha * s from q; it should subtract alpha * y.",
        replace(LOOPS, subtracted=lambda s, y: s),
    ),
    Wrong(
        "change_added",
        "Your second loop adds a multiple of y to r; it should add a multiple of s.",
        replace(LOOPS, added=lambda s, y: y),
    ),
    Wrong(
        "pairs_swapped",
        "You take each pair as (y, s); it is (s, y), the step first.",
        lambda g, pairs: LOOPS(g, [(y, s) for s, y in pairs]),
    ),
    Wrong(
        "beta_added",
        "Your second loop adds (alpha + beta) * s; it should add (alpha - beta) * s.",
        replace(LOOPS, weight=lambda alpha, beta: alpha + beta),
    ),
    Wrong(
        "difference_turned",
        "Your second loop adds (beta - alpha) * s; it should add (alpha - beta) * s.",
        replace(LOOPS, weight=lambda alpha, beta: beta - alpha),
    ),
    Wrong(
        "beta_forgotten",
        "Your second loop adds alpha * s; it should add (alpha - beta) * s.",
        replace(LOOPS, weight=lambda alpha, beta: alpha),
    ),
    Wrong(
        "alpha_forgotten",
        "Your second loop subtracts beta * s; it should add (alpha - beta) * s.",
        replace(LOOPS, weight=lambda alpha, beta: -beta),
    ),
    Wrong(
        "q_raised",
        "Your first loop adds alpha * y to q; it should subtract it.",
        replace(LOOPS, subtracted=lambda s, y: -y),
    ),
    Wrong(
        "alpha_not_divided",
        "Your alpha is s @ q; divide it by s @ y.",
        replace(LOOPS, alpha=lambda s, y, q: s @ q),
    ),
    Wrong(
        "beta_not_divided",
        "Your beta is y @ r; divide it by s @ y.",
        replace(LOOPS, beta=lambda s, y, r: y @ r),
    ),
    Wrong(
        "neither_divided",
        "Your alpha and beta are not divided by s @ y.",
        replace(LOOPS, alpha=lambda s, y, q: s @ q, beta=lambda s, y, r: y @ r),
    ),
    Wrong(
        "divided_by_change",
        "You divide alpha and beta by y @ y; divide them by s @ y.",
        replace(
            LOOPS,
            alpha=lambda s, y, q: (s @ q) / (y @ y),
            beta=lambda s, y, r: (y @ r) / (y @ y),
        ),
    ),
    Wrong(
        "alpha_divided_by_change",
        "Your alpha is divided by y @ y; divide it by s @ y.",
        replace(LOOPS, alpha=lambda s, y, q: (s @ q) / (y @ y)),
    ),
    Wrong(
        "beta_divided_by_change",
        "Your beta is divided by y @ y; divide it by s @ y.",
        replace(LOOPS, beta=lambda s, y, r: (y @ r) / (y @ y)),
    ),
    Wrong(
        "alpha_divided_by_step",
        "Your alpha is divided by s @ s; divide it by s @ y.",
        replace(LOOPS, alpha=lambda s, y, q: (s @ q) / (s @ s)),
    ),
    Wrong(
        "beta_divided_by_step",
        "Your beta is divided by s @ s; divide it by s @ y.",
        replace(LOOPS, beta=lambda s, y, r: (y @ r) / (s @ s)),
    ),
    Wrong(
        "divided_by_step",
        "You divide alpha and beta by s @ s; divide them by s @ y.",
        replace(
            LOOPS,
            alpha=lambda s, y, q: (s @ q) / (s @ s),
            beta=lambda s, y, r: (y @ r) / (s @ s),
        ),
    ),
    Wrong(
        "multiplied_by_product",
        "You multiply alpha and beta by s @ y; divide them by it.",
        replace(
            LOOPS,
            alpha=lambda s, y, q: (s @ q) * (s @ y),
            beta=lambda s, y, r: (y @ r) * (s @ y),
        ),
    ),
    Wrong(
        "first_loop_only",
        "Your second loop is missing: add (alpha - beta) * s for each pair, from oldest to "
        "newest.",
        replace(LOOPS, loops=1),
    ),
    Wrong(
        "newest_pair_only",
        "You use the newest pair only; use all of them.",
        lambda g, pairs: right(g, pairs[-1:]),
    ),
    Wrong(
        "oldest_pair_left_out",
        "You leave out the oldest pair.",
        lambda g, pairs: right(g, pairs[1:]),
    ),
    Wrong(
        "newest_pair_left_out",
        "You leave out the newest pair.",
        lambda g, pairs: right(g, pairs[:-1]),
    ),
    Wrong(
        "gradient",
        "You return -g, the direction of plain gradient descent; the pairs are not used.",
        lambda g, pairs: -vectors(g, pairs)[0],
    ),
    Wrong(
        "scaled_gradient",
        "You return -gamma * g; both loops are missing.",
        lambda g, pairs: -vectors(g, pairs)[0] * LOOPS.gamma(*vectors(g, pairs)[1][-1], g),
    ),
)


EXERCISES = (
    Exercise(
        "lbfgs_direction",
        "the direction",
        "lbfgs_direction(g, pairs)",
        direction_arguments,
        right,
        WRONGS,
        cases=("four pairs", "two pairs"),
        chapter="09-the-paper",
        pairs=pairs_of(LOOPS, WRONGS),
    ),
)
