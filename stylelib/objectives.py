"""What is wanted of an image: terms, and the objective made of them (chapter 7)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from stylelib.arguments import check_function, number, several
from stylelib.errors import InputError
from stylelib.features import Features
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
    if len(set(listed)) < len(listed):
        raise InputError(f"{name} names a layer twice: {listed}; give it a factor of 2 instead")
    return dict.fromkeys(listed, 1.0)


Loss = Callable[[Tensor, Mapping[Layer, Tensor]], Tensor]
"""A loss of an image and its features by layer."""


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
        Ys = features(self.target, list(factors))
        losses = []
        for (layer, factor), Y in zip(factors.items(), Ys, strict=True):
            compare = self.loss_at(layer)
            narrow = hasattr(compare, "takes_bfloat16")
            losses.append((layer, factor, compare(Y), narrow))

        def loss(X: Tensor, seen: Mapping[Layer, Tensor]) -> Tensor:
            each = [
                factor * compare(seen[layer] if narrow else seen[layer].to(X.dtype))
                for layer, factor, compare, narrow in losses
            ]
            if not each:
                return X.new_zeros(())
            if self.averages:
                return self.weight * (torch.stack(each).sum() / len(each))
            return sum((self.weight * one for one in each[1:]), self.weight * each[0])

        return loss


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
            once, so they can be more precise.

    Raises:
        InputError: there are no terms, or a layer that there is not.
    """
    terms = several("terms", terms, least=0)
    if not terms:
        raise InputError("there is nothing to compare: name at least one term")
    with torch.no_grad():
        sources = features if targets is None else targets
        losses = [(term.name, term.loss_given(sources)) for term in terms]
    layers = list(dict.fromkeys(layer for term in terms for layer in term.layers))

    def objective(X: Tensor) -> dict[str, Tensor]:
        seen = dict(zip(layers, features(X, layers), strict=True))
        found: dict[str, Tensor] = {}
        for name, loss in losses:
            value = loss(X, seen)
            found[name] = found[name] + value if name in found else value
        return found

    return objective
