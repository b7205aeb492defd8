"""What is wanted of an image: terms, and the objective made of them (chapter 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from stylelib.arguments import check_function, number, several
from stylelib.errors import InputError
from stylelib.features import Features
from stylelib.large.sums import (
    AddsUp,
    BySums,
    Spread,
    Summed,
    adds_up,
    by_sums_of,
    features_by_sums,
    grams_by_sums,
    relative_by_sums,
)
from stylelib.layers import Layer
from stylelib.losses import check_features, check_tensor, content_loss, gram, style_loss
from stylelib.optimization import Objective

__all__ = [
    "FeatureLoss",
    "Layers",
    "Match",
    "Prior",
    "Term",
    "compare_features",
    "compare_grams",
    "objective_of",
    "relative",
]

Layers = Sequence[Layer] | Mapping[Layer, float]
"""Layers by number or name, or a mapping from each of them to a factor."""
FeatureLoss = Callable[[Tensor], Callable[[Tensor], Tensor]]
"""From the features of a target, (1, C, H', W'), to a loss of features (N, C, H, W). What
depends on the target alone is computed once."""
Marked = TypeVar("Marked", bound=Callable[..., Any])


def takes_bfloat16(loss: FeatureLoss) -> FeatureLoss:
    """Mark a loss that takes features in bfloat16, and computes in float32 what needs it.

    `Match` gives any other loss its features in the image's dtype.
    """
    vars(loss)["takes_bfloat16"] = True
    return loss


def sums_squares(loss: Marked) -> Marked:
    """Mark a loss in which features times t count t^2 times: of squares, or of their sums.

    A region with soft edges can weigh the positions of such a loss (`control.masks.within`).
    """
    vars(loss)["sums_squares"] = True
    return loss


def needs_layout(loss: Marked) -> Marked:
    """Mark a loss that compares positions with those beside them, so not within a region."""
    vars(loss)["needs_layout"] = True
    return loss


def marks_of(loss: FeatureLoss) -> dict[str, Any]:
    """What a loss is marked with, or the function of which it is a `functools.partial`."""
    inner = marks_of(loss.func) if isinstance(loss, partial) else {}
    return inner | getattr(loss, "__dict__", {})


@sums_squares
@takes_bfloat16
def compare_features(Y: Tensor) -> Callable[[Tensor], Tensor]:
    """Content: the mean squared difference of features (`content_loss`)."""
    check_features(Y)
    return lambda Y_hat: content_loss(Y_hat, Y)


@sums_squares
@takes_bfloat16
def compare_grams(Y: Tensor) -> Callable[[Tensor], Tensor]:
    """Style: the mean squared difference of Gram matrices (`style_loss`)."""
    gram_Y = gram(Y)
    return lambda Y_hat: style_loss(Y_hat, gram_Y)


adds_up(compare_features, features_by_sums)
adds_up(compare_grams, grams_by_sums)


def relative(loss: FeatureLoss) -> FeatureLoss:
    """A loss divided by its value for features that are all 0, which is the size of the target.

    It is 0 for features like the target's and 1 for no features at all, whatever the units of a
    layer. So all layers count alike, and one weight serves several losses. `compare_grams`
    becomes sum((G - A)^2) / sum(A^2), G and A the Gram matrices of the image and the target.

    Args:
        loss: as `compare_grams`.

    Returns:
        Another such function. It raises an `InputError` if the target's size is 0.

    Example:
        >>> Y = torch.ones(1, 1, 2, 3)
        >>> relative(compare_grams)(Y)(2 * Y)  # (4 - 1)^2
        tensor(9.)
    """

    def compare(Y: Tensor) -> Callable[[Tensor], Tensor]:
        absolute = loss(Y)
        size = absolute(torch.zeros_like(Y))
        if float(size) == 0:
            raise InputError("the features of the target are all 0 at this layer")
        return lambda Y_hat: absolute(Y_hat) / size

    vars(compare).update(marks_of(loss), absolute=loss)
    adds_up(compare, relative_by_sums(by_sums_of(loss)))
    return compare


def factors_of(layers: Layers, name: str = "layers") -> dict[Layer, float]:
    """Layers with their factors, 1 for each layer that has none.

    Args:
        layers: a list of them, or a mapping from layer to factor.
        name: the name of the argument, for the message.

    Raises:
        InputError: they are not a list, a factor is not a number, or a layer is named twice.
    """
    if isinstance(layers, Mapping):
        return {layer: number(f"the factor of {layer}", f) for layer, f in layers.items()}
    listed = several(name, layers, least=0)
    try:
        twice = len(set(listed)) < len(listed)
    except TypeError:  # a list in the list
        raise InputError(f"{name} are numbers or names of layers, not {listed!r}") from None
    if twice:
        raise InputError(f"{name} names a layer twice: {listed}; give it a factor of 2 instead")
    return dict.fromkeys(listed, 1.0)


Seen = Mapping[Layer | Summed, Tensor]
"""The features of an image by layer, or sums over their positions."""
Loss = Callable[[Tensor, Seen], Tensor]
"""A loss of an image and its features. It asks for those at the layers of its term, or for
those in its attribute `looks`."""


class Term(Protocol):
    """One thing that is wanted of an image: `Match`, `Prior`, or a class of your own."""

    @property
    def name(self) -> str:
        """What the loss is called. Terms of one name are added up."""

    @property
    def layers(self) -> Layers:
        """The layers whose features the loss needs."""

    def loss_given(self, features: Features) -> Loss:
        """The weighted loss. What does not depend on the image is computed here, once.

        The loss gets features as `features` gives them: in bfloat16 if the network computes in
        it and does not widen them, as in a recipe (`Match` widens them).
        """


@dataclass(frozen=True, eq=False)
class Match:
    """At some layers, the features must become like those of a target.

    Attributes:
        name: what the loss is called.
        target: the other image, (1, 3, H, W), normalized.
        layers: where features are compared, by number or name; or a factor for each layer.
        compare: how they are compared; or a loss for each layer.
        weight: a factor for all of it.
        averages: whether the losses of several layers are averaged; otherwise they are summed.
    """

    name: str
    target: Tensor = field(repr=False)
    layers: Layers
    compare: FeatureLoss | Mapping[Layer, FeatureLoss]
    weight: float = 1.0
    averages: bool = False

    def __post_init__(self) -> None:
        check_tensor("target", self.target)
        number("weight", self.weight)
        for layer in factors_of(self.layers):
            check_function("compare", self.loss_at(layer))

    def loss_at(self, layer: Layer) -> FeatureLoss:
        """How features are compared at a layer."""
        if not isinstance(self.compare, Mapping):
            return self.compare
        if layer not in self.compare:
            raise InputError(f"compare has no loss for the layer {layer!r}")
        return self.compare[layer]

    def loss_given(self, features: Features) -> Loss:
        """Compares the features at each layer with those of the target."""
        factors = factors_of(self.layers)
        parts: dict[Layer, Part] = {}
        if isinstance(features, AddsUp):
            parts |= self.parts_by_sums(features)
        whole = [layer for layer in factors if layer not in parts]
        Ys = features(self.target, whole) if whole or not parts else []
        for layer, Y in zip(whole, Ys, strict=True):
            parts[layer] = self.part(layer, Y)
        return MatchLoss(self, [(factor, parts[layer]) for layer, factor in factors.items()])

    def part(self, layer: Layer, Y: Tensor) -> Part:
        """The loss at a layer, whose target features are Y."""
        loss = self.loss_at(layer)
        compare, narrow = loss(Y), hasattr(loss, "takes_bfloat16")
        return Part(layer, lambda X, F: compare(F if narrow else F.to(X.dtype)))

    def parts_by_sums(self, features: AddsUp) -> dict[Layer, Part]:
        """The losses that are functions of sums over positions, by layer."""
        parts = {}
        for layer in factors_of(self.layers):
            by_sums = by_sums_of(self.loss_at(layer))
            if by_sums is not None:
                parts[layer] = self.part_by_sums(layer, by_sums, features)
        return parts

    def part_by_sums(self, layer: Layer, by_sums: BySums, features: AddsUp) -> Part:
        """The loss at a layer as a function of sums over its positions."""
        loss = by_sums(Spread(features, self.target, layer))
        if not hasattr(self.loss_at(layer), "takes_bfloat16"):
            loss = loss.after(lambda F, where: F.to(self.target.dtype))
        return Part(
            Summed(layer, loss.sums),
            lambda X, S: loss.value(S, features.shapes(X, [layer])[0]),
        )


class Part(NamedTuple):
    """A loss at one layer.

    Attributes:
        look: what it asks for: the layer's features, or a sum of them.
        loss: of the image and what it asked for.
    """

    look: Layer | Summed
    loss: Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class MatchLoss:
    """The weighted loss of a `Match`; `parts` are the layers' factors and losses."""

    match: Match
    parts: Sequence[tuple[float, Part]]

    @property
    def looks(self) -> list[Layer | Summed]:
        """What it asks for."""
        return [part.look for _, part in self.parts]

    def __call__(self, X: Tensor, seen: Seen) -> Tensor:
        """The sum or the mean of the layers' losses, times the weight."""
        weight = self.match.weight
        each = [factor * part.loss(X, seen[part.look]) for factor, part in self.parts]
        if not each:
            return X.new_zeros(())
        if self.match.averages:
            return weight * (torch.stack(each).sum() / len(each))
        return sum((weight * one for one in each[1:]), weight * each[0])


def sizes_of(
    losses: Mapping[Layer, FeatureLoss], X: Tensor, features: Features
) -> dict[Layer, float]:
    """What each loss is for features that are all 0. The image X is the target."""
    sizes: dict[Layer, float] = {}
    with torch.no_grad():
        if isinstance(features, AddsUp):
            for layer, by_sums in ((k, by_sums_of(loss)) for k, loss in losses.items()):
                if by_sums is not None:
                    Y = Spread(features, X, layer)
                    sizes[layer] = float(Y.at_zero(by_sums(Y)))
        whole = [layer for layer in losses if layer not in sizes]
        for layer, F in zip(whole, features(X, whole), strict=True):
            sizes[layer] = float(losses[layer](F)(torch.zeros_like(F)))
    return {layer: sizes[layer] for layer in losses}


@dataclass(frozen=True)
class Prior:
    """A wish about the pixels alone: that they are smooth, or within a range.

    Attributes:
        name: what the loss is called.
        penalty: a loss of a normalized image (1, 3, H, W).
        weight: a factor.
    """

    name: str
    penalty: Callable[[Tensor], Tensor]
    weight: float = 1.0
    layers: Layers = ()

    def __post_init__(self) -> None:
        check_function("penalty", self.penalty)
        number("weight", self.weight)
        factors_of(self.layers)

    def loss_given(self, features: Features) -> Loss:
        """The penalty; features do not matter."""
        return lambda X, _: self.weight * self.penalty(X)


def objective_of(
    terms: Sequence[Term], features: Features, *, targets: Features | None = None
) -> Objective:
    """The losses of an image by name, from one pass through the network for all terms.

    Args:
        terms: what is wanted.
        features: where features come from, for example `NetworkFeatures(vgg19())`.
        targets: where those of the targets come from; None is the same. They are computed only
            once, so they can be more precise. If they come by tiles (`TiledFeatures`), both do.

    Raises:
        InputError: there are no terms, or a layer that there is not.
    """
    terms = several("terms", terms, least=0)
    if not terms:
        raise InputError("there is nothing to compare: name at least one term")
    with torch.no_grad():
        sources = features if targets is None else targets
        losses = [(term.name, term.loss_given(sources)) for term in terms]
    asked = [
        getattr(loss, "looks", t.layers) for t, (_, loss) in zip(terms, losses, strict=True)
    ]
    looks = list(dict.fromkeys(look for of_term in asked for look in of_term))

    def objective(X: Tensor) -> dict[str, Tensor]:
        seen = dict(zip(looks, features(X, looks), strict=True))
        found: dict[str, Tensor] = {}
        for name, loss in losses:
            value = loss(X, seen)
            found[name] = found[name] + value if name in found else value
        return found

    return objective
