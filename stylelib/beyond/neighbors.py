"""Nearest neighbors: every place takes its paint from the place most like it (chapter 24)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from torch.optim.lr_scheduler import LRScheduler

from stylelib.arguments import number, whole
from stylelib.beyond.colors import match_colors
from stylelib.beyond.statistics import compare_places
from stylelib.beyond.statistics import nearest as most_alike
from stylelib.descents import Clamp, check_lr
from stylelib.errors import InputError
from stylelib.features import Features
from stylelib.layers import Layer
from stylelib.losses import LossWeights, widened
from stylelib.objectives import Match, objective_of
from stylelib.optimization import Objective
from stylelib.pyramid import doubling
from stylelib.recipes import Recipe

__all__ = [
    "HYPERCOLUMN_LAYERS",
    "NEIGHBORS",
    "NeighborsRecipe",
    "PyramidAdam",
    "PyramidAdamDescent",
    "hypercolumns",
    "nearest",
]

HYPERCOLUMN_LAYERS = (
    *("relu1_1", "relu1_2", "relu2_1", "relu2_2"),
    *("relu3_1", "relu3_2", "relu3_3", "relu3_4", "relu4_1", "relu4_2"),
)
"""The layers that a hypercolumn is made of."""
SMALLEST_SIDE = 32
"""The least shorter side of the first size: with less there are too few places to match."""


def hypercolumns(features: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
    """What all the layers say about each place of a grid.

    Args:
        features: of one picture, (1, C, H, W) at each layer.
        grid: (rows, columns).

    Returns:
        (D, rows * columns), D the sum of all C: one column for each place. Each layer is
        divided by the square root of its C, so that it counts the same. In float32 at least.
    """
    parts = [
        interpolate(widened(Y), grid, mode="bilinear", align_corners=False).flatten(2)[0]
        / len(Y[0]) ** 0.5
        for Y in features
    ]
    return torch.cat(parts)


def nearest(columns: Tensor, candidates: Tensor) -> Tensor:
    """For each column the number of the candidate that is nearest in centered cosine.

    Args:
        columns: (D, M).
        candidates: (D, K).

    Returns:
        (M,), numbers from 0 to K - 1.

    Cosines of columns minus their mean, both over M and K: without that, all columns point the
    same way, since features after a ReLU are not negative. At most `LARGEST_TABLE` cosines are
    in memory at a time.
    """
    a, b = (
        normalize(each - each.mean(dim=1, keepdim=True), dim=0)
        for each in (columns, candidates)
    )
    return most_alike(a, b)


def bands_of(X: Tensor, levels: int) -> list[Tensor]:
    """The Laplacian pyramid of a picture, finest detail first, then what is left."""
    bands = []
    for _ in range(levels):
        small = interpolate(X, _half(X), mode="bilinear", antialias=True)
        bands.append(X - interpolate(small, X.shape[2:], mode="bilinear"))
        X = small
    return [*bands, X]


def collapse(bands: Sequence[Tensor]) -> Tensor:
    """The picture of a Laplacian pyramid."""
    X = bands[-1]
    for band in reversed(bands[:-1]):
        X = interpolate(X, band.shape[2:], mode="bilinear") + band
    return X


def _half(X: Tensor) -> tuple[int, int]:
    return max(1, X.shape[2] // 2), max(1, X.shape[3] // 2)


class PyramidAdam(torch.optim.Optimizer):
    """Adam on the bands of a picture's Laplacian pyramid: large areas move as fast as pixels.

    Args:
        X: the picture; after each step it is the sum of its bands.
        lr: the learning rate, in normalized units a step.
        levels: of the pyramid.
    """

    def __init__(self, X: Tensor, lr: float, levels: int) -> None:
        super().__init__([X], {"lr": lr})
        self.X = X
        self.bands = [band.requires_grad_() for band in bands_of(X.detach(), levels)]
        self.adam = torch.optim.Adam(self.bands, lr=lr)

    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]  # torch's may be None
        """One step; `closure` computes the picture's gradient first."""
        with torch.no_grad():  # the loop may have clamped it since
            seen = collapse(self.bands)
            if not torch.equal(self.X, seen):
                self.bands[0] += self.X - seen
        for band in self.bands:
            band.grad = None
        with torch.enable_grad():
            loss = closure()
            collapse(self.bands).backward(self.X.grad)  # type: ignore[no-untyped-call]  # in torch
        self.adam.step()
        self.X.data.copy_(collapse(self.bands).detach())
        return loss

    def state_dict(self) -> dict[str, Any]:
        """PyTorch's, with the bands and the state of their Adam."""
        bands = [band.detach() for band in self.bands]
        return super().state_dict() | {"bands": bands, "adam": self.adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a state."""
        for band, kept in zip(self.bands, state_dict["bands"], strict=True):
            band.data.copy_(kept)
        self.adam.load_state_dict(state_dict["adam"])


@dataclass(frozen=True)
class PyramidAdamDescent:
    """`PyramidAdam` at each size.

    Attributes:
        lr: the learning rate, in normalized units a step.
        levels: of the pyramid.
    """

    exact: ClassVar[bool] = False

    lr: float = 0.022
    levels: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_lr(self.lr))  # a plain number
        whole("levels", self.levels)

    def begin(
        self, X: Tensor, steps: int, clamp: Clamp
    ) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """The optimizer. It does not clamp: the picture is the sum of its bands."""
        return PyramidAdam(X, float(self.lr), int(self.levels)), None

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The picture after the last step."""
        return X


@dataclass(frozen=True)
class NeighborsRecipe(Recipe):
    """Style transfer by nearest neighbors. Its weights count nothing; `strength` does.

    At each size, every place of the picture gets a target: the hypercolumn of the place of the
    painting that is most like it. The loss "neighbors" is 1 minus the cosine between its own
    hypercolumn and the target's, the mean over places.

    Attributes:
        strength: 0..1. A place is sought by the photograph's features times 1 minus this, plus
            the features of the picture so far times this; at the first size that is the picture
            it starts from.
        turns: by how many quarter turns the painting is also looked at: 1 (not turned) or 4.
        last_pass: whether a last pass at full size matches every layer by itself, anew in each
            step, on a sample of places (`compare_places`).
        colors: whether the picture gets the mean and covariance of the painting's colors in the
            end. The cosine does not see how strong a feature is, so contrast drifts.

    Source: Kolkin, Kucera, Paris, Sykora, Shechtman and Shakhnarovich (2022), "Neural neighbor
    style transfer". There the network is VGG-16, the colors are not matched, and the last pass
    has 200 steps.
    """

    strength: float = 0.25
    turns: int = 4
    last_pass: bool = False
    colors: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        number("strength", self.strength, least=0, most=1)
        counted = isinstance(self.turns, Integral) and not isinstance(self.turns, bool)
        if not counted or self.turns not in (1, 4):
            raise InputError(f"turns is 1 or 4, not {self.turns!r}")

    def changed(
        self, *, lr: float | None = None, lr_decay_epoch: int | None = None, **others: Any
    ) -> Recipe:
        """As for any recipe; it has no weights, no layers of its own, and does not clamp."""
        for name, value in others.items():
            if (
                name in ("weights", "content_layers", "style_layers", "clamp")
                and value is not None
            ):
                raise InputError(f"the recipe 'neighbors' has no {name}; see NeighborsRecipe")
        return super().changed(lr=lr, lr_decay_epoch=lr_decay_epoch, **others)

    def fractions(self, side: int, scales: int | None) -> list[float]:
        """Four sizes, each twice the one before, fewer where the first would be below
        `SMALLEST_SIDE`; the last of them twice with `last_pass`.
        """
        fitting = 1 + int(math.log2(max(1.0, side / SMALLEST_SIDE)))
        sizes = doubling(min(4, fitting) if scales is None else scales)
        return [*sizes, 1.0] if self.last_pass else sizes

    def objective(
        self,
        content_X: Tensor,
        style_X: Tensor,
        X: Tensor,
        features: Features,
        precise: Features,
        *,
        last: bool = False,
    ) -> Objective:
        """As for any recipe; the targets are sought here, once for each size, among features of
        the same arithmetic as in the steps.
        """
        layers: list[Layer] = list(HYPERCOLUMN_LAYERS)
        if last and self.last_pass:
            return objective_of([Match("neighbors", style_X, layers, compare_places)], features)
        grid = _quarter(content_X)

        def columns_of(picture: Tensor) -> Tensor:
            return hypercolumns(features(picture, layers), _quarter(picture))

        with torch.no_grad():
            turned = [torch.rot90(style_X, k, (2, 3)) for k in range(self.turns)]
            candidates = torch.cat([columns_of(each) for each in turned], dim=1)  # (D, K)
            content, so_far = columns_of(content_X), columns_of(X)
            sought = (1 - self.strength) * content + self.strength * so_far  # (D, M)
            target = normalize(candidates[:, nearest(sought, candidates)], dim=0)  # (D, M)

        def objective(X: Tensor) -> dict[str, Tensor]:
            columns = hypercolumns(features(X, layers), grid)
            cosines = (normalize(columns, dim=0) * target).sum(dim=0)  # (M,)
            return {"neighbors": (1 - cosines).mean()}

        return objective

    def finish(self, X: Tensor, style_X: Tensor) -> Tensor:
        """The picture with the painting's colors, if that is wanted."""
        return match_colors(X, style_X) if self.colors else X


def _quarter(X: Tensor) -> tuple[int, int]:
    return max(1, X.shape[2] // 4), max(1, X.shape[3] // 4)


NEIGHBORS = NeighborsRecipe(
    LossWeights(0.0, 1.0, 0.0),
    HYPERCOLUMN_LAYERS,
    HYPERCOLUMN_LAYERS,
    descent=PyramidAdamDescent(),
    clamp=False,
    efforts=(30, 60, 120),
)
"""Nearest neighbors, the recipe "neighbors"."""
