"""Recipes: what a method of style transfer does, as data (chapter 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from stylelib.arguments import check_function, choice, number, several, whole
from stylelib.control.masks import inside, masks_at, within
from stylelib.control.styles import Painting, Wanted
from stylelib.descents import AdamDescent, Clamp, Descent, check_descent
from stylelib.errors import InputError
from stylelib.features import Features
from stylelib.images import visible_range
from stylelib.large.sums import by_sums_of, shapes_at
from stylelib.layers import CONTENT_LAYERS, STYLE_LAYERS, Layer
from stylelib.losses import LossWeights, check_weights, tv_loss
from stylelib.networks import layer_label
from stylelib.objectives import (
    FeatureLoss,
    Layers,
    Match,
    Prior,
    Term,
    compare_features,
    compare_grams,
    factors_of,
    marks_of,
    objective_of,
    sizes_of,
)
from stylelib.optimization import Objective
from stylelib.precision import PRECISIONS, Precision, without_bfloat16
from stylelib.pyramid import doubling, ladder
from stylelib.synthesis import INITS, Init

__all__ = ["EFFORTS", "Effort", "Recipe"]

Effort = Literal["draft", "normal", "best"]
EFFORTS: tuple[Effort, ...] = ("draft", "normal", "best")


@dataclass(frozen=True)
class Recipe:
    """What one method of style transfer does, as data. `dataclasses.replace` changes it.

    Attributes:
        weights: a factor for each kind of loss; None is what suits the network (`weights_for`).
        content_layers: where content is compared, by number or name; or a factor for each.
        style_layers: where style is compared, in the same form.
        content_loss: how features are compared for content.
        style_loss: how they are compared for style.
        smoothness: the loss "tv" of a normalized image (1, 3, H, W).
        averages: whether losses of several layers are averaged; otherwise they are summed.
        per_position: whether the weights of style and total variation are for *each position*
            of the content layer's features (of several layers, for their mean number). The
            paper's content loss is a sum over positions and its style loss is not, so with the
            same weights a larger image would get less style.
        descent: how the image is moved.
        init: what to start from.
        clamp: True keeps every pixel within the visible range after each step, a number within
            that far of the mean color, in normalized units. False leaves them free.
        precision: the arithmetic of the network.
        smallest: about the shorter side of the first size, in pixels; each size after it is the
            square root of 2 times as large. None: there is one size.
        efforts: how many steps there are at each size, for "draft", "normal" and "best". Of
            several sizes, those above a megapixel get fewer.
    """

    weights: LossWeights | None = None
    content_layers: Layers = CONTENT_LAYERS
    style_layers: Layers = STYLE_LAYERS
    # by factories, since a function as a class's attribute would be a method
    content_loss: FeatureLoss = field(default_factory=lambda: compare_features, repr=False)
    style_loss: FeatureLoss = field(default_factory=lambda: compare_grams, repr=False)
    smoothness: Callable[[Tensor], Tensor] = field(default_factory=lambda: tv_loss, repr=False)
    averages: bool = False
    per_position: bool = False
    descent: Descent = field(default_factory=AdamDescent)
    init: Init = "content"
    clamp: bool | float = True
    precision: Precision = "auto"
    smallest: int | None = None
    efforts: tuple[int, int, int] = (100, 200, 500)

    def __post_init__(self) -> None:
        if self.weights is not None:
            check_weights(self.weights)
        if not isinstance(self.clamp, bool):
            number("clamp", self.clamp, above=0, below=1e38)
        choice("precision", self.precision, PRECISIONS)
        if self.smallest is not None:
            whole("smallest", self.smallest)
        if len(several("efforts", self.efforts)) != len(EFFORTS):
            raise InputError(f"efforts are three numbers of steps, not {self.efforts!r}")
        for steps in self.efforts:
            whole("efforts", steps)
        for name in ("content_loss", "style_loss", "smoothness"):
            check_function(name, getattr(self, name))
        choice("init", self.init, INITS)
        if not self.layers:
            raise InputError("there is nothing to compare: name a content or a style layer")
        check_descent(self.descent)
        if self.descent.exact and self.precision == "bfloat16":
            raise InputError("L-BFGS needs precision 'float32' or 'winograd', not 'bfloat16'")

    @property
    def layers(self) -> list[Layer]:
        """All the layers that are looked at."""
        return [
            *factors_of(self.content_layers, "content_layers"),
            *factors_of(self.style_layers, "style_layers"),
        ]

    @property
    def needed_whole(self) -> list[Layer]:
        """The layers whose features its losses need all at once, so not tile by tile."""
        losses = {"content_layers": self.content_loss, "style_layers": self.style_loss}
        return [
            layer
            for name, loss in losses.items()
            if by_sums_of(loss) is None
            for layer in factors_of(getattr(self, name))
        ]

    @property
    def arithmetic(self) -> Precision:
        """The precision in force: a line search compares losses that hardly differ."""
        return without_bfloat16(self.precision) if self.descent.exact else self.precision

    def changed(
        self, *, lr: float | None = None, lr_decay_epoch: int | None = None, **others: Any
    ) -> Recipe:
        """This recipe with other settings. A setting of None stays as it is.

        Raises:
            InputError: a setting that this recipe cannot have.
        """
        new = {name: value for name, value in others.items() if value is not None}
        if "weights" in new:
            new["weights"] = check_weights(new["weights"])
        moves = {"lr": lr, "lr_decay_epoch": lr_decay_epoch}
        asked = {name: value for name, value in moves.items() if value is not None}
        for name in asked.keys() - {each.name for each in fields(self.descent)}:
            kind = type(self.descent).__name__
            raise InputError(f"this recipe has no {name}: it moves by {kind}")
        return replace(self, **new, descent=replace(self.descent, **asked))

    def terms(self, wanted: Wanted, features: Features, *, last: bool = True) -> list[Term]:
        """What is wanted of an image, as a list of terms.

        Args:
            wanted: the photograph and the styles.
            features: where features come from.
            last: whether it is the last of the sizes. At the others, a style whose region is
                still too small is left out.

        Raises:
            InputError: the recipe has no weights of its own, or a region is too small.
        """
        if self.weights is None:
            raise InputError(
                "give the recipe the weights that suit the network: weights_for(net)"
            )
        content, style, tv = self.weights
        if self.per_position:
            positions = self._positions(wanted.content, features)
            style, tv = style * positions, tv * positions
        terms: list[Term] = [self._content(wanted, features, content)]
        terms += self.style_terms(wanted, features, style, last=last)
        smooth = Prior("tv", self.smoothness, tv)
        return [*terms, smooth] if tv or not self.per_position else terms

    def _content(self, wanted: Wanted, features: Features, weight: float) -> Term:
        layers = factors_of(self.content_layers)
        # not eroded: what fills the transparent part is the same in image and target
        opaque = masks_at(wanted.opaque, wanted.content, features, list(layers), erode=False)
        kept, losses = inside(layers, self.content_loss, opaque, opaque)
        return Match("content", wanted.content, kept, losses, weight, self.averages)

    def style_terms(
        self, wanted: Wanted, features: Features, weight: float, *, last: bool = True
    ) -> list[Match]:
        """A term for each style, at its layers and within its region.

        Args:
            wanted: the photograph and the styles.
            features: where features come from.
            weight: a factor for all of them together.
            last: as for `terms`.

        Raises:
            InputError: a region is too small.
        """
        layers_of = {
            style: style.factors(self.style_layers)
            for region in wanted.regions()
            for style in region
        }
        losses: dict[Painting, FeatureLoss | dict[Layer, FeatureLoss]] = {}
        sizes: dict[Painting, dict[Layer, float]] = {}
        for style, layers in layers_of.items():
            here = masks_at(style.here, wanted.content, features, list(layers), style.erode)
            there = masks_at(style.there, style.X, features, list(layers), style.erode)
            kept, losses[style] = inside(layers, self.style_loss, here, there)
            if layers and not kept and last:
                raise InputError(
                    "a region is too small: at no layer is there a position that sees only the "
                    "region; take a larger image, or Style(erode=False)"
                )
            masks = {k: mask for k, mask in zip(layers, there, strict=True) if k in kept}
            sizes[style] = self._sizes(style.X, masks, features, alone=len(layers_of) == 1)
        label = partial(layer_label, getattr(features, "net", nn.Module()))
        # where losses of layers are averaged, it is over those of all styles
        at_all = {label(layer) for layers in layers_of.values() for layer in layers}
        terms = []
        for style, layers in wanted.weighted(
            self.style_layers, lambda style, layer: sizes[style].get(layer, 0.0), label
        ):
            part = len(layers) / len(at_all) if self.averages and at_all else 1.0
            terms.append(
                Match("style", style.X, layers, losses[style], weight * part, self.averages)
            )
        return terms

    def _sizes(
        self,
        X: Tensor,
        masks: Mapping[Layer, Tensor | None],
        features: Features,
        *,
        alone: bool,
    ) -> dict[Layer, float]:
        """What the style loss of a style is divided by at each layer; 1 if it is alone."""
        absolute = marks_of(self.style_loss).get("absolute")  # of a `relative` loss
        if alone or absolute is None:
            return dict.fromkeys(masks, 1.0)
        losses = {layer: within(absolute, mask, mask) for layer, mask in masks.items()}
        found = sizes_of(losses, X, features)
        return {layer: size or 1.0 for layer, size in found.items()}

    def objective(
        self, wanted: Wanted, X: Tensor, features: Features, precise: Features, *, last: bool
    ) -> Objective:
        """The losses of an image at one size.

        Args:
            wanted: the photograph and the styles at this size.
            X: what the image is when the size begins, (1, 3, H, W), normalized.
            features: where its features come from in each step; possibly in bfloat16.
            precise: where those of the targets come from, once.
            last: whether it is the last of the sizes.
        """
        terms = self.terms(wanted, precise, last=last)
        return objective_of(terms, features, targets=precise)

    def finish(self, X: Tensor, wanted: Wanted) -> Tensor:
        """What is done to the image after the last step: nothing."""
        return X

    def fractions(self, side: int, scales: int | None) -> list[float]:
        """The sizes to work through, as fractions of the last one.

        Args:
            side: the shorter side of the last size, in pixels.
            scales: the number of sizes, each twice the one before; None: the recipe's own.
        """
        if scales is not None:
            return doubling(scales)
        return [1.0] if self.smallest is None else ladder(side, self.smallest)

    def bounds(self, device: torch.device) -> Clamp:
        """The lowest and highest value of a pixel, normalized; None if there are no bounds."""
        if isinstance(self.clamp, bool):
            return visible_range(device) if self.clamp else None
        limit = torch.tensor(float(self.clamp), device=device)
        return -limit, limit

    def settings(self, net: nn.Module) -> dict[str, Any]:
        """The settings of this recipe, for the record of a result."""
        return {
            "weights": None if self.weights is None else check_weights(self.weights),
            "content_layers": _labels(self.content_layers, net),
            "style_layers": _labels(self.style_layers, net),
            "descent": repr(self.descent),
            "lr": getattr(self.descent, "lr", None),
            "lr_decay_epoch": getattr(self.descent, "lr_decay_epoch", None),
            "clamp": self.clamp,
        }

    def _positions(self, content_X: Tensor, features: Features) -> float:
        shapes = shapes_at(features, content_X, list(self.content_layers))
        counts = [H * W for _, _, H, W in shapes]
        return sum(counts) / len(counts) if counts else 1


def _labels(layers: Layers, net: nn.Module) -> list[Layer] | dict[str, float]:
    """Layers by number, or by name with their factors."""
    if isinstance(layers, Mapping):
        return {str(layer_label(net, layer, name=True)): f for layer, f in layers.items()}
    return [layer_label(net, layer) for layer in layers]
