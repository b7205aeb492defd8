"""Losses that are functions of sums over positions, for images too large for their features.

A Gram matrix and a mean square are sums over the positions of a layer. So they can be added up
part by part, and no more than a part of the features is in memory (chapter 30).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from stylelib.errors import InputError
from stylelib.layers import Layer
from stylelib.losses import widened
from stylelib.speed import GramProduct

__all__ = [
    "EVERYWHERE",
    "Additive",
    "AddsUp",
    "BySums",
    "Spread",
    "Summed",
    "Window",
    "adds_up",
    "features_by_sums",
    "grams_by_sums",
    "relative_by_sums",
    "shapes_at",
]

Window = tuple[slice, slice]
"""Rows and columns of the positions of a layer."""
EVERYWHERE: Window = (slice(None), slice(None))
"""All of them."""
Shape = Sequence[int]
"""(N, C, H, W) of the features of a whole image."""
ROWS_AT_A_TIME = 64
"""Rows of zeros that are in memory at a time."""


@dataclass(frozen=True)
class Additive:
    """A loss of features that depends on them only by way of sums over positions.

    Attributes:
        sums: from features (N, C, h, w) in a window, and that window, to what they add to the
            sums: a tensor of any shape, the same for every window.
        value: from the sums over all positions, and the shape of all features (N, C, H, W), to
            the loss, a tensor without axes.
    """

    sums: Callable[[Tensor, Window], Tensor]
    value: Callable[[Tensor, Shape], Tensor]

    def then(self, change: Callable[[Tensor, Shape], Tensor]) -> Additive:
        """The same loss, changed at the end, such as multiplied by a factor."""
        return Additive(self.sums, lambda S, shape: change(self.value(S, shape), shape))

    def after(self, change: Callable[[Tensor, Window], Tensor]) -> Additive:
        """The same loss of features that are changed first, position by position."""
        return Additive(lambda F, where: self.sums(change(F, where), where), self.value)


@dataclass(frozen=True)
class Summed:
    """Asked for in place of a layer: not its features, but a sum over its positions.

    Attributes:
        layer: by number or name.
        sums: as for `Additive`.
    """

    layer: Layer
    sums: Callable[[Tensor, Window], Tensor]


@runtime_checkable
class AddsUp(Protocol):
    """A source of features (`Features`) that also gives sums of them, and their shapes."""

    def __call__(self, X: Tensor, layers: Sequence[Layer | Summed]) -> list[Tensor]:
        """The features of images (N, 3, H, W) at layers, or sums of them."""

    def shapes(self, X: Tensor, layers: Sequence[Layer]) -> list[tuple[int, int, int, int]]:
        """The shapes (N, C, H', W') of their features, which are not computed."""


def shapes_at(features: Any, X: Tensor, layers: Sequence[Layer]) -> list[Shape]:
    """The shapes of features, which are computed only if there is no other way."""
    if isinstance(features, AddsUp):
        return list(features.shapes(X, layers))
    with torch.no_grad():
        return [Y.shape for Y in features(X, layers)]


@dataclass(frozen=True)
class Spread:
    """The features of an image at a layer, which need not be in memory all at once.

    Attributes:
        features: where they come from.
        X: the image, (1, 3, H, W).
        layer: by number or name.
        change: what is done to the features in a window.
    """

    features: AddsUp
    X: Tensor
    layer: Layer
    change: Callable[[Tensor, Window], Tensor] = lambda F, where: F

    @property
    def shape(self) -> Shape:
        """(1, C, H', W')."""
        return self.features.shapes(self.X, [self.layer])[0]

    def whole(self) -> Tensor:
        """The features in memory after all."""
        return self.change(self.features(self.X, [self.layer])[0], EVERYWHERE)

    def total(self, sums: Callable[[Tensor, Window], Tensor]) -> Tensor:
        """A sum over all positions."""
        summed = Summed(self.layer, lambda F, where: sums(self.change(F, where), where))
        return self.features(self.X, [summed])[0]

    def at_zero(self, loss: Additive) -> Tensor:
        """The value of a loss for features of this shape that are all 0."""
        N, C, H, W = self.shape
        parts = []
        for top in range(0, H, ROWS_AT_A_TIME):
            rows = slice(top, min(H, top + ROWS_AT_A_TIME))
            nothing = self.X.new_zeros(N, C, rows.stop - top, W)
            parts.append(loss.sums(nothing, (rows, slice(0, W))))
        return loss.value(torch.stack(parts).sum(0), self.shape)

    def after(self, change: Callable[[Tensor, Window], Tensor]) -> Spread:
        """The same features, changed further."""
        earlier = self.change
        return Spread(
            self.features,
            self.X,
            self.layer,
            lambda F, where: change(earlier(F, where), where),
        )


BySums = Callable[[Spread], Additive]
"""From the features of a target to a loss. It says of a `FeatureLoss` how to compute it from
sums."""


def adds_up(loss: Callable[..., Any], by_sums: Callable[..., Additive] | None) -> None:
    """Say how a loss of features is computed from sums over positions; None is not at all.

    `Match` then never needs all features of a large image at once. Any other loss does.

    Args:
        loss: as `stylelib.compare_grams`: from a target's features to a loss of features.
        by_sums: the same, from the target's features as a `Spread` to an `Additive`. For a
            method, it has the object as its first argument.

    Example:
        >>> def compare_means(Y):
        ...     mean = Y.mean((2, 3))
        ...     return lambda Y_hat: (Y_hat.mean((2, 3)) - mean).square().sum()
        >>> def means_by_sums(Y):
        ...     mean = Y.total(total) / positions(Y.shape)
        ...     return Additive(
        ...         total, lambda S, shape: (S / positions(shape) - mean).square().sum()
        ...     )
        >>> def total(F, where):
        ...     return F.sum((2, 3))
        >>> def positions(shape):
        ...     return shape[2] * shape[3]
        >>> adds_up(compare_means, means_by_sums)
    """
    vars(loss)["by_sums"] = by_sums


def by_sums_of(loss: Callable[..., Any]) -> BySums | None:
    """How a loss is computed from sums, or None."""
    found: Callable[..., Additive] | None = getattr(loss, "by_sums", None)
    owner = getattr(loss, "__self__", None)
    return found if found is None or owner is None else lambda Y: found(owner, Y)


def products(F: Tensor, where: Window) -> Tensor:
    """F F^T of the features in a window, (N, C, C)."""
    product: Tensor = GramProduct.apply(F.flatten(2))
    return product


def grams_by_sums(Y: Spread) -> Additive:
    """`stylelib.compare_grams` from sums: F F^T is a sum over positions."""

    def gram(S: Tensor, shape: Shape) -> Tensor:
        return S / (shape[1] * shape[2] * shape[3])

    gram_Y = gram(Y.total(products), Y.shape)
    return Additive(products, lambda S, shape: mse_loss(gram(S, shape), gram_Y.expand_as(S)))


def features_by_sums(Y: Spread) -> Additive:
    """`stylelib.compare_features` from sums: of squared differences, (N,).

    The target's features at this layer stay in memory.
    """
    target = Y.whole()

    def check(shape: Shape, part: Tensor) -> None:
        if tuple(shape[1:]) != tuple(part.shape[1:]):
            raise InputError(
                "the image's features have another shape than the target's, "
                f"{tuple(target.shape)}; they must be the same"
            )

    def squares(F: Tensor, where: Window) -> Tensor:
        part = target[:, :, *where]
        check(F.shape, part)
        return (widened(F) - part).square().sum((1, 2, 3))

    def value(S: Tensor, shape: Shape) -> Tensor:
        check(shape, target)
        return S.sum() / (shape[0] * target[0].numel())

    return Additive(squares, value)


def relative_by_sums(by_sums: BySums | None) -> BySums | None:
    """`stylelib.relative` of a loss, from sums."""
    if by_sums is None:
        return None

    def compare(Y: Spread) -> Additive:
        absolute = by_sums(Y)
        size = Y.at_zero(absolute)
        if float(size) == 0:
            raise InputError("the features of the target are all 0 at this layer")
        return absolute.then(lambda value, _: value / size)

    return compare
