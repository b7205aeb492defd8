"""Style transfer by nearest neighbors among features of the painting (chapter 24)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize
from torch.optim.lr_scheduler import LRScheduler

from stylelib.arguments import number, whole
from stylelib.beyond.statistics import compare_places
from stylelib.beyond.statistics import nearest as most_alike
from stylelib.control.colors import match_colors_within
from stylelib.control.masks import masks_at, resized
from stylelib.control.styles import Painting, Wanted
from stylelib.descents import Clamp, check_lr
from stylelib.errors import InputError
from stylelib.features import Features
from stylelib.layers import Layer
from stylelib.losses import LossWeights, widened
from stylelib.objectives import objective_of
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
"""The layers whose features a hypercolumn contains."""
SMALLEST_SIDE = 32
"""The least shorter side of the first size. A smaller one has too few positions to match."""


def hypercolumns(features: Sequence[Tensor], grid: tuple[int, int]) -> Tensor:
    """The features of all layers at each position of a grid.

    Args:
        features: one image's features, (1, C, H, W) at each layer.
        grid: (rows, columns).

    Returns:
        (D, rows * columns), where D is the sum of all C: one column per position. Each layer
        is divided by the square root of its C, so all layers have the same weight. The dtype is
        float32 or wider.
    """
    parts = [
        interpolate(widened(Y), grid, mode="bilinear", align_corners=False).flatten(2)[0]
        / len(Y[0]) ** 0.5
        for Y in features
    ]
    return torch.cat(parts)


def nearest(columns: Tensor, candidates: Tensor) -> Tensor:
    """For each column, the index of the candidate with the largest centered cosine.

    Columns and candidates are centered on their own means first. Features after a ReLU are not
    negative, so without this step all columns would point in similar directions. At most
    `LARGEST_TABLE` cosines (or one row of K) are in memory at a time.

    Args:
        columns: (D, M).
        candidates: (D, K).

    Returns:
        (M,), indices from 0 to K - 1.
    """
    a, b = (
        normalize(each - each.mean(dim=1, keepdim=True), dim=0)
        for each in (columns, candidates)
    )
    return most_alike(a, b)


def bands_of(X: Tensor, levels: int) -> list[Tensor]:
    """The Laplacian pyramid of an image: bands from fine to coarse, then a small image."""
    bands = []
    for _ in range(levels):
        small = interpolate(X, _half(X), mode="bilinear", antialias=True)
        bands.append(X - interpolate(small, X.shape[2:], mode="bilinear"))
        X = small
    return [*bands, X]


def collapse(bands: Sequence[Tensor]) -> Tensor:
    """The image that a Laplacian pyramid represents."""
    X = bands[-1]
    for band in reversed(bands[:-1]):
        X = interpolate(X, band.shape[2:], mode="bilinear") + band
    return X


def _half(X: Tensor) -> tuple[int, int]:
    return max(1, X.shape[2] // 2), max(1, X.shape[3] // 2)


class PyramidAdam(torch.optim.Optimizer):
    """Adam on the bands of an image's Laplacian pyramid, so large areas move as fast as pixels.

    Args:
        X: the image; after each step it is the sum of its bands.
        lr: the learning rate, in normalized units per step.
        levels: the number of the pyramid's bands, without the small image.
    """

    def __init__(self, X: Tensor, lr: float, levels: int) -> None:
        super().__init__([X], {"lr": lr})
        self.X = X
        self.bands = [band.requires_grad_() for band in bands_of(X.detach(), levels)]
        self.adam = torch.optim.Adam(self.bands, lr=lr)

    def step(self, closure: Callable[[], float]) -> float:  # type: ignore[override]  # torch's may be None
        """One step; `closure` computes the image's gradient first."""
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
        """PyTorch's state, with the bands and the state of their Adam."""
        bands = [band.detach() for band in self.bands]
        return super().state_dict() | {"bands": bands, "adam": self.adam.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from a state."""
        for band, kept in zip(self.bands, state_dict["bands"], strict=True):
            band.data.copy_(kept)
        self.adam.load_state_dict(state_dict["adam"])


@dataclass(frozen=True)
class PyramidAdamDescent:
    """`PyramidAdam` at each size.

    Attributes:
        lr: the learning rate, in normalized units per step.
        levels: the number of the pyramid's bands, without the small image.
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
        """The optimizer. It does not clamp, because the image is the sum of its bands."""
        return PyramidAdam(X, float(self.lr), int(self.levels)), None

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The image after the last step."""
        return X


@dataclass(frozen=True)
class NeighborsRecipe(Recipe):
    """Style transfer by nearest neighbors. Its loss weights have no effect; `strength` does.

    At each size, every position of the image gets a target: the most similar hypercolumn of the
    painting. The loss "neighbors" is the mean over positions of 1 minus the cosine between the
    position's own hypercolumn and its target.

    Attributes:
        strength: 0..1. The search uses the photograph's features times 1 - strength, plus
            strength times the features of the image so far. At the first size, this is the
            image from which the run starts.
        turns: the number of orientations in which the painting is searched, a quarter turn
            apart: 1 (as it is) or 4.
        last_pass: whether a last pass at full size matches each layer separately, again in
            every step, on a sample of positions (`compare_places`).
        colors: whether the result gets the mean and covariance of the painting's colors. The
            cosine does not depend on the strength of a feature, so contrast drifts.

    Source: Kolkin, Kucera, Paris, Sykora, Shechtman and Shakhnarovich (2022), "Neural neighbor
    style transfer". They use VGG-16, do not match colors, and take 200 steps in the last pass.
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
            raise InputError(f"turns must be 1 or 4, not {self.turns!r}")

    @property
    def needed_whole(self) -> list[Layer]:
        """All layers: positions are compared with all positions of the painting."""
        return self.layers

    def changed(
        self, *, lr: float | None = None, lr_decay_epoch: int | None = None, **others: Any
    ) -> Recipe:
        """As for any recipe, but weights, layers and clamping cannot be changed."""
        for name, value in others.items():
            if (
                name in ("weights", "content_layers", "style_layers", "clamp")
                and value is not None
            ):
                raise InputError(f"the recipe 'neighbors' has no {name}; see NeighborsRecipe")
        return super().changed(lr=lr, lr_decay_epoch=lr_decay_epoch, **others)

    def fractions(self, side: int, scales: int | None) -> list[float]:
        """Four sizes, each twice the one before, or fewer if the first would be below
        `SMALLEST_SIDE`. With `last_pass`, the last size comes twice.
        """
        fitting = 1 + int(math.log2(max(1.0, side / SMALLEST_SIDE)))
        sizes = doubling(min(4, fitting) if scales is None else scales)
        return [*sizes, 1.0] if self.last_pass else sizes

    def objective(
        self, wanted: Wanted, X: Tensor, features: Features, precise: Features, *, last: bool
    ) -> Objective:
        """As for any recipe. The targets are found here, once for each size, among features
        computed in the same precision as in the steps.

        Of several styles, each gives a target, and their mean by weight is the target. Outside
        all regions, the target is the photograph's own hypercolumn.

        Raises:
            InputError: a style has layers of its own, or a region is too small.
        """
        if any(style.layers is not None for style in wanted.styles):
            raise InputError(
                "'neighbors' matches all its layers at once: a style has no layers of its own"
            )
        if last and self.last_pass:
            final = replace(self, style_loss=compare_places)
            terms = [
                replace(t, name="neighbors") for t in final.style_terms(wanted, features, 1.0)
            ]
            return objective_of(terms, features)
        grid = _quarter(wanted.content)
        with torch.no_grad():
            content, so_far = (columns_of(Y, features) for Y in (wanted.content, X))
            sought = (1 - self.strength) * content + self.strength * so_far  # (D, M)
            target = content.clone()  # (D, M)
            for styles in wanted.regions():
                region = flat(styles[0].here, grid)
                if sought[:, region].numel():
                    found = self.matched(sought[:, region], styles, features, last=last)
                    target[:, region] = content[:, region] if found is None else found
                elif last:
                    raise InputError(
                        "the region of the photograph is too small for 'neighbors', which has "
                        "one position for 4 x 4 pixels: take a larger one, or a larger image"
                    )
            target = normalize(target, dim=0)
            opaque = flat(wanted.opaque, grid)

        def objective(X: Tensor) -> dict[str, Tensor]:
            columns = columns_of(X, features)
            cosines = (normalize(columns, dim=0) * target).sum(dim=0)  # (M,)
            return {"neighbors": (1 - cosines)[opaque].mean()}

        return objective

    def matched(
        self, sought: Tensor, styles: Sequence[Painting], features: Features, *, last: bool
    ) -> Tensor | None:
        """For each column (D, M), the mean of the most similar ones of the styles, (D, M).

        Before the last size, a style whose region is still too small is left out; None if all
        are.
        """
        found = []
        for style in styles:
            turned = [rotated(style, k) for k in range(self.turns)]
            candidates = torch.cat([columns_of(each.X, features) for each in turned], dim=1)
            candidates = candidates[:, allowed_columns(turned, features)]  # (D, K)
            if candidates.numel():
                found.append((style.weight, candidates[:, nearest(sought, candidates)]))
            elif last:
                raise InputError(
                    "the region of a style image is too small for 'neighbors': take a larger "
                    "one, or a larger image"
                )
        if len(found) < 2:
            return found[0][1] if found else None
        total = sum(weight for weight, _ in found)
        parts = (weight / total * normalize(Y, dim=0) for weight, Y in found)
        return sum(parts, torch.zeros_like(sought))

    def finish(self, X: Tensor, wanted: Wanted) -> Tensor:
        """The image, each region with the colors of its styles if `colors` is true."""
        if not self.colors:
            return X
        for styles in wanted.regions():
            total = sum(style.weight for style in styles)
            like = [(style.weight / total, style.X, style.there) for style in styles]
            X = match_colors_within(X, like, styles[0].here)
        return X


def columns_of(X: Tensor, features: Features) -> Tensor:
    """The hypercolumns of an image on a grid of a quarter of its height and width."""
    return hypercolumns(features(X, list(HYPERCOLUMN_LAYERS)), _quarter(X))


def flat(mask: Tensor | None, grid: tuple[int, int]) -> Tensor | slice:
    """The positions of a grid that lie in a region, (M,); all of them without a mask."""
    return slice(None) if mask is None else (resized(mask, grid) > 0.5).flatten()


def rotated(style: Painting, quarters: int) -> Painting:
    """A style image and its region, rotated by quarter turns.

    If `style.erode` is true, the region's mean color replaces everything outside the region.
    """
    X, there = style.X, style.there
    if there is not None and style.erode:
        mean = (X * there).sum(dim=(2, 3), keepdim=True) / there.sum().clamp_min(1e-12)
        X = torch.where(there > 0, X, mean)
    there = None if there is None else torch.rot90(there, quarters, (2, 3))
    return replace(style, X=torch.rot90(X, quarters, (2, 3)), there=there)


def allowed_columns(turned: Sequence[Painting], features: Features) -> Tensor | slice:
    """The columns of a style image, in several orientations, that see nothing but its region.

    At a small size the deepest layers may have none. Then only the layers before them count;
    what the deepest ones see outside is the mean color of the region. If even the first has
    none, no column is allowed.

    Args:
        turned: from `rotated`.
        features: where features come from.
    """
    if turned[0].there is None:
        return slice(None)
    least = 0.0 if turned[0].erode else 0.5
    sees = []
    for style in turned:
        masks = masks_at(style.there, style.X, features, HYPERCOLUMN_LAYERS, style.erode)
        outside = [(mask <= least).float() for mask in masks if mask is not None]
        grids = [interpolate(each, _quarter(style.X), mode="bilinear") for each in outside]
        sees.append(torch.stack(grids).flatten(1))  # (layers, H / 4 * W / 4)
    inside = torch.cat(sees, dim=1) == 0  # (layers, K)
    for deepest in range(len(inside), 1, -1):
        allowed = inside[:deepest].all(dim=0)
        if allowed.any():
            return allowed
    return inside[0]


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
"""The recipe "neighbors": style transfer by nearest neighbors."""
