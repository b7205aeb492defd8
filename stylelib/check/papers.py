"""The paper's style loss of one layer: reference and likely mistakes (chapter 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.inputs import Array, array
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]

CASES = "two images of one size", "a larger style image", "a smaller style image"


def paper_arguments() -> list[Arguments]:
    """Three calls, (F, S): features (C, M), and those of a style image, (C, M_S)."""
    calls: list[Arguments] = []
    for seed, (C, M, M_S) in ((12, (3, 14, 14)), (13, (4, 10, 22)), (14, (5, 21, 12))):
        random = np.random.default_rng(seed)
        F, S = (
            torch.from_numpy(
                random.standard_normal((C, count)) + random.uniform(0.1, 1, (C, 1))
            )
            for count in (M, M_S)
        )
        calls.append((F.float().requires_grad_(), S.float()))
    return calls


def paper_style(F: Tensor, S: Tensor) -> float:
    """Entry by entry: (G - A)^2 / (4 C^2 M^2), A as if the style image had M positions."""
    f, s = array(F), array(S)
    (C, M), M_S = f.shape, s.shape[1]
    total = 0.0
    for a, b in np.ndindex(C, C):
        G = sum(f[a, m] * f[b, m] for m in range(M))
        A = sum(s[a, m] * s[b, m] for m in range(M_S)) * M / M_S
        total += (G - A) ** 2
    return float(total / (4 * C**2 * M**2))


def sum_of_squares(G: Array, A: Array) -> Any:
    """What the factor multiplies."""
    return ((G - A) ** 2).sum()


@dataclass(frozen=True)
class Loss:
    """The loss by parts.

    Attributes:
        factor: of (C, M, M_S).
        scale: of both Gram matrices, of (C, M).
        resized: what the style image's Gram matrix is multiplied by, of (M, M_S).
        compare: from two Gram matrices to a number.
    """

    factor: Callable[[int, int, int], float] = lambda C, M, M_S: 1 / (4 * C**2 * M**2)
    scale: Callable[[int, int], float] = lambda C, M: 1.0
    resized: Callable[[int, int], float] = lambda M, M_S: M / M_S
    compare: Callable[[Array, Array], Any] = sum_of_squares

    def __call__(self, F: Tensor, S: Tensor) -> Any:
        """The loss."""
        f, s = array(F), array(S)
        (C, M), M_S = f.shape, s.shape[1]
        k = self.scale(C, M)
        G, A = k * f @ f.T, k * self.resized(M, M_S) * s @ s.T
        return self.factor(C, M, M_S) * self.compare(G, A)


LOSS = Loss()


def factored(name: str, sentence: str, factor: Callable[[int, int, int], float]) -> Wrong:
    """Another factor."""
    return Wrong(name, sentence, replace(LOSS, factor=factor))


def compared(name: str, sentence: str, compare: Callable[[Array, Array], Any]) -> Wrong:
    """Gram matrices compared in another way."""
    return Wrong(name, sentence, replace(LOSS, compare=compare))


def resized(name: str, sentence: str, times: Callable[[int, int], float]) -> Wrong:
    """A style image of another size, not made comparable."""
    return Wrong(name, sentence, replace(LOSS, resized=times))


FACTORS = (
    factored(
        "no_quarter",
        "Your factor lacks the 4: it is 1 / (4 C^2 M^2).",
        lambda C, M, M_S: 1 / (C**2 * M**2),
    ),
    factored(
        "half_for_quarter",
        "Your factor has a 2 in place of the 4: it is 1 / (4 C^2 M^2).",
        lambda C, M, M_S: 1 / (2 * C**2 * M**2),
    ),
    factored(
        "nothing_squared",
        "Your factor is 1 / (4 C M). Square C and M.",
        lambda C, M, M_S: 1 / (4 * C * M),
    ),
    factored(
        "factor_not_squared",
        "Your factor is 1 / (2 C M). The paper's is its square, 1 / (4 C^2 M^2).",
        lambda C, M, M_S: 1 / (2 * C * M),
    ),
    factored(
        "channels_not_squared",
        "Your factor is 1 / (4 C M^2). Square C, too.",
        lambda C, M, M_S: 1 / (4 * C * M**2),
    ),
    factored(
        "positions_not_squared",
        "Your factor is 1 / (4 C^2 M). Square M, too.",
        lambda C, M, M_S: 1 / (4 * C**2 * M),
    ),
    factored(
        "channels_missing",
        "Your factor is 1 / (4 M^2). Divide by C^2, too.",
        lambda C, M, M_S: 1 / (4 * M**2),
    ),
    factored(
        "positions_missing",
        "Your factor is 1 / (4 C^2). These Gram matrices are sums, so divide by M^2, too.",
        lambda C, M, M_S: 1 / (4 * C**2),
    ),
    factored(
        "no_factor",
        "Your loss has no factor: multiply the sum of squares by 1 / (4 C^2 M^2).",
        lambda C, M, M_S: 1.0,
    ),
    factored(
        "quarter_alone",
        "Your loss is a quarter of the sum. Divide by C^2 M^2, too.",
        lambda C, M, M_S: 1 / 4,
    ),
    factored(
        "mean_for_sum",
        "You take the mean of the squares, so C^2 divides twice. Take their sum.",
        lambda C, M, M_S: 1 / (4 * C**4 * M**2),
    ),
    factored(
        "positions_of_style",
        "Your factor has the positions of the style image, M_S. Take those of F, M.",
        lambda C, M, M_S: 1 / (4 * C**2 * M_S**2),
    ),
    factored(
        "positions_of_both",
        "Your factor has M times M_S. It has M^2.",
        lambda C, M, M_S: 1 / (4 * C**2 * M * M_S),
    ),
)

SIZES = (
    resized(
        "not_resized",
        "You compare sums over M positions with sums over M_S positions. Multiply the style "
        "image's Gram matrix by M / M_S.",
        lambda M, M_S: 1,
    ),
    resized(
        "resized_inversely",
        "You multiply the style image's Gram matrix by M_S / M. It is the other way around: "
        "M / M_S.",
        lambda M, M_S: M_S / M,
    ),
    resized(
        "resized_twice",
        "You multiply the style image's Gram matrix by the square of M / M_S. It is a sum of "
        "M_S products, so M / M_S is enough.",
        lambda M, M_S: (M / M_S) ** 2,
    ),
    resized(
        "only_target_divided",
        "You divide the style image's Gram matrix by M_S, and that of F by nothing. Multiply "
        "the first by M / M_S.",
        lambda M, M_S: 1 / M_S,
    ),
)

GRAMS = (
    Wrong(
        "divided_by_positions_twice",
        "Your Gram matrices are divided by the positions already, and the factor divides by "
        "M^2 again.",
        replace(LOSS, scale=lambda C, M: 1 / M),
    ),
    Wrong(
        "divided_by_values_twice",
        "Your Gram matrices are divided by C M, as in d2l, and the factor divides by C^2 M^2 "
        "again.",
        replace(LOSS, scale=lambda C, M: 1 / (C * M)),
    ),
    Wrong(
        "sizes_from_gram",
        "Your M is the number of columns of the Gram matrix, which is C. Take it from F.",
        replace(LOSS, factor=lambda C, M, M_S: 1 / (4 * C**4)),
    ),
    Wrong(
        "d2l",
        "This is the loss of d2l, a mean over Gram matrices that are divided by C M. The "
        "paper's is C^2 / 4 times as large.",
        replace(LOSS, factor=lambda C, M, M_S: 1 / (C**4 * M**2)),
    ),
)

COMPARISONS = (
    compared(
        "not_squared",
        "You add up the differences without squaring them, so they cancel.",
        lambda G, A: (G - A).sum(),
    ),
    compared(
        "absolute_for_square",
        "You add up absolute differences. Square them instead.",
        lambda G, A: abs(G - A).sum(),
    ),
    compared(
        "norm",
        "You take the length (norm) of the difference. Leave the root out.",
        lambda G, A: np.sqrt(((G - A) ** 2).sum()),
    ),
    compared(
        "square_of_the_sum",
        "You square the sum of the differences. Square first, then add up.",
        lambda G, A: (G - A).sum() ** 2,
    ),
    compared(
        "difference_of_squares",
        "You square the Gram matrices before you subtract them. Subtract first.",
        lambda G, A: (G**2 - A**2).sum(),
    ),
    compared(
        "sum_for_difference",
        "You add the two Gram matrices. Subtract them.",
        lambda G, A: ((G + A) ** 2).sum(),
    ),
    compared(
        "no_target",
        "Your loss does not use the style image.",
        lambda G, A: (G**2).sum(),
    ),
    compared(
        "diagonal_only",
        "You compare the diagonals of the Gram matrices only. Compare all entries.",
        lambda G, A: (np.diag(G - A) ** 2).sum(),
    ),
    compared(
        "triangle_only",
        "You add up one triangle of the matrices. Both count, although they are equal.",
        lambda G, A: (np.triu(G - A) ** 2).sum(),
    ),
    compared(
        "relative",
        "You divide by the sum of squares of the target. The paper does not.",
        lambda G, A: ((G - A) ** 2).sum() / (A**2).sum(),
    ),
)

WRONGS = (*FACTORS, *SIZES, *GRAMS, *COMPARISONS)
EXERCISES = (
    Exercise(
        "paper_style_loss",
        "the style loss",
        "paper_style_loss(F, S)",
        paper_arguments,
        paper_style,
        WRONGS,
        cases=CASES,
        learns=True,
        targets=(1,),
        pairs=pairs_of(LOSS, (*FACTORS, *SIZES, *COMPARISONS)),
        chapter="12-conventions",
    ),
)
