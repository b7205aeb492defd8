"""Colors matched by the symmetric map: reference and likely mistakes (chapter 26)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from stylelib.check.color_maps import WAYS, Array, Way, symmetric
from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.inputs import array
from stylelib.check.pairs import pairs_of

__all__ = ["EXERCISES"]

CASES = "one pair of images", "another pair"
MIXES = (
    ([[0.9, 0.3, 0.1], [0.2, 0.7, 0.3], [0.1, 0.4, 0.8]], [0.3, -0.2, 0.1]),
    ([[0.5, 0.2, 0.4], [0.3, 1.1, 0.1], [0.4, 0.2, 0.6]], [-0.4, 0.5, 0.8]),
    ([[1.2, 0.5, 0.2], [0.1, 0.6, 0.2], [0.3, 0.1, 0.9]], [0.6, 0.9, -0.3]),
)
"""How the channels depend on each other, and their means. Covariances are positive."""


def color_arguments() -> list[Arguments]:
    """Two calls, (X, like): images (1, 3, H, W) and (1, 3, H', W')."""
    calls: list[Arguments] = []
    for seed, here, there in ((26, (5, 7), (6, 9)), (27, (8, 6), (5, 4))):
        random = np.random.default_rng(seed)
        pair = (MIXES[seed - 26], MIXES[seed - 25])
        X, like = (
            torch.from_numpy(drawn(random, mix, mean, shape)).float()
            for (mix, mean), shape in zip(pair, (here, there), strict=True)
        )
        calls.append((X, like))
    return calls


def drawn(
    random: np.random.Generator,
    mix: list[list[float]],
    mean: list[float],
    shape: tuple[int, int],
) -> Array:
    """An image (1, 3, H, W) whose channels depend on each other."""
    noise = random.standard_normal((3, shape[0] * shape[1]))
    return np.asarray(np.array(mix) @ noise + np.array(mean)[:, None]).reshape(1, 3, *shape)


def colors_of(X: Tensor) -> Array:
    """One color per column, (3, M), in float64."""
    return np.asarray(array(X)[0].reshape(3, -1))


def matched(X: Tensor, like: Tensor) -> Array:
    """A = S^-1 (S T)^1/2, with the eigenvectors of the product S T, which is not symmetric."""
    x, y = colors_of(X), colors_of(like)
    m, m_like = (np.array([sum(row) / len(row) for row in each]) for each in (x, y))
    S, T = np.cov(x, bias=True), np.cov(y, bias=True)
    values, vectors = np.linalg.eig(S @ T)
    A = np.linalg.inv(S) @ ((vectors * np.sqrt(values)) @ np.linalg.inv(vectors)).real
    moved = [A @ (color - m) + m_like for color in x.T]
    return np.stack(moved, axis=1).reshape(X.shape)


def covariance(x: Array) -> Array:
    """Of colors (3, M), over M."""
    return np.cov(x, bias=True)


def shifted(A: Array, x: Array, m: Array, m_like: Array) -> Array:
    """A (x - m) + m'."""
    return np.asarray(A @ (x - m) + m_like)


@dataclass(frozen=True)
class Match:
    """The image by parts.

    Attributes:
        way: from both covariances to the matrix.
        spread: from colors (3, M) to a covariance.
        shift: from the matrix, the colors and both means (3, 1) to the new colors.
    """

    way: Way = symmetric
    spread: Callable[[Array], Array] = covariance
    shift: Callable[[Array, Array, Array, Array], Array] = shifted

    def __call__(self, X: Tensor, like: Tensor) -> Array:
        """(1, 3, H, W)."""
        x, y = colors_of(X), colors_of(like)
        A = self.way(self.spread(x), self.spread(y))
        means = (each.mean(1, keepdims=True) for each in (x, y))
        return self.shift(A, x, *means).reshape(X.shape)


MATCH = Match()


def spread(name: str, sentence: str, of: Callable[[Array], Array]) -> Wrong:
    """Another covariance."""
    return Wrong(name, sentence, replace(MATCH, spread=of))


def moved(
    name: str, sentence: str, shift: Callable[[Array, Array, Array, Array], Array]
) -> Wrong:
    """Other means."""
    return Wrong(name, sentence, replace(MATCH, shift=shift))


def correlations(x: Array) -> Array:
    """Covariances of channels with a deviation of 1."""
    return np.corrcoef(x)


SPREADS = (
    spread(
        "unbiased",
        "Your covariances divide by M - 1, as torch.cov does by default. Divide by M "
        "(correction=0).",
        lambda x: np.cov(x),
    ),
    spread(
        "not_divided",
        "Your covariances are sums over the pixels. Divide them by the number of pixels, "
        "because the images have different sizes.",
        lambda x: covariance(x) * x.shape[1],
    ),
    spread(
        "not_centered",
        "Your covariances are mean products: subtract the mean color first.",
        lambda x: x @ x.T / x.shape[1],
    ),
    spread(
        "one_mean_for_all",
        "For the covariances you subtract one mean of all three channels. Each channel has its "
        "own.",
        lambda x: (D := x - x.mean()) @ D.T / x.shape[1],
    ),
    spread(
        "correlations",
        "You use correlations. Covariances have the variances on their diagonal.",
        correlations,
    ),
    spread(
        "reshaped",
        "You reshape (3, H, W) to (H W, 3) for the covariances, which mixes colors and "
        "positions. Flatten the positions and then transpose.",
        lambda x: covariance(x.reshape(-1, 3).T),
    ),
)

SHIFTS = (
    moved(
        "mean_not_subtracted",
        "You do not subtract the mean of X before you multiply by A.",
        lambda A, x, m, m_like: A @ x + m_like,
    ),
    moved(
        "mean_not_added",
        "You do not add the mean of like at the end.",
        lambda A, x, m, m_like: A @ (x - m),
    ),
    moved(
        "own_mean_added",
        "You add the mean of X again. Add that of like.",
        lambda A, x, m, m_like: A @ (x - m) + m,
    ),
    moved(
        "other_mean_subtracted",
        "You subtract the mean of like before you multiply by A. Subtract that of X.",
        lambda A, x, m, m_like: A @ (x - m_like) + m_like,
    ),
    moved(
        "means_swapped",
        "You subtract the mean of like and add that of X. It is the other way around.",
        lambda A, x, m, m_like: A @ (x - m_like) + m,
    ),
    moved(
        "means_ignored",
        "You multiply the colors by A and leave the means alone: subtract that of X before, "
        "and add that of like at the end.",
        lambda A, x, m, m_like: A @ x,
    ),
    moved(
        "shifted_before_the_map",
        "You shift the mean before you multiply by A, which then changes it. Shift it to that "
        "of like at the end.",
        lambda A, x, m, m_like: A @ (x - m + m_like),
    ),
    moved(
        "gray_means",
        "You use one mean of all three channels. Each channel has its own.",
        lambda A, x, m, m_like: A @ (x - m.mean()) + m_like.mean(),
    ),
    moved(
        "clamped",
        "You clamp the result to values from 0 to 1. It is normalized, and it may leave the "
        "visible range.",
        lambda A, x, m, m_like: shifted(A, x, m, m_like).clip(0, 1),
    ),
)

WRONGS = (
    *(Wrong(name, said, replace(MATCH, way=way)) for name, said, way in WAYS),
    *SPREADS,
    *SHIFTS,
)
EXERCISES = (
    Exercise(
        "match_colors",
        "the image",
        "match_colors(X, like)",
        color_arguments,
        matched,
        WRONGS,
        picture="image",
        cases=CASES,
        tolerance=3e-4,
        pairs=pairs_of(MATCH, WRONGS),
        chapter="26-color",
    ),
)
