"""Recipes: what a method of style transfer does, as data, and who does it (chapter 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor, nn

from stylelib.arguments import check_function, check_seed, choice, number, several, whole
from stylelib.descents import AdamDescent, Clamp, Descent
from stylelib.devices import find_device
from stylelib.errors import InputError, or_interrupted
from stylelib.features import Features
from stylelib.files import ImageSource, load_image, target_shape
from stylelib.images import postprocess, preprocess, visible_range
from stylelib.layers import CONTENT_LAYERS, STYLE_LAYERS, Layer
from stylelib.losses import LossWeights, check_weights, tv_loss
from stylelib.models import check_defaults, features_of
from stylelib.networks import check_module, layer_label, vgg19, weights_for
from stylelib.objectives import (
    FeatureLoss,
    Layers,
    Match,
    Prior,
    Term,
    compare_features,
    compare_grams,
    factors_of,
    objective_of,
)
from stylelib.optimization import Objective
from stylelib.precision import PRECISIONS, Precision, resolve_precision
from stylelib.pyramid import RunState, doubling, ladder, paint, sizes
from stylelib.records import Callback
from stylelib.results import TransferResult, describe, settings_of
from stylelib.synthesis import INITS, Init, starting_picture

__all__ = ["EFFORTS", "Effort", "Recipe", "follow"]

Effort = Literal["draft", "normal", "best"]
EFFORTS: tuple[Effort, ...] = ("draft", "normal", "best")
SMALLEST_STYLE = 16
"""The least shorter side of a painting at the first of several sizes: relu5_1 needs it."""


@dataclass(frozen=True)
class Recipe:
    """What one method of style transfer does: data, to be changed by `dataclasses.replace`.

    Attributes:
        weights: a factor for each kind of loss; None is what suits the network (`weights_for`).
        content_layers: where content is compared, by number or name; or a factor for each.
        style_layers: where style is compared, likewise.
        content_loss: how features are compared for content.
        style_loss: how they are compared for style.
        smoothness: the loss "tv", of a picture (1, 3, H, W), normalized.
        averages: whether losses of several layers are averaged; otherwise they are summed.
        per_position: whether the weights of style and total variation are for *each position*
            of the content layer's features (of several layers, for their mean number). The
            paper's content loss is a sum over positions and its style loss is not, so the same
            weights would give a larger picture less style.
        descent: how the picture is moved.
        init: what to start from.
        clamp: True keeps every pixel within the visible range after each step, a number within
            that far of the mean color, in normalized units. False leaves them free.
        precision: the arithmetic of the network.
        smallest: the shorter side of the first size, about; the sizes after it are a factor of
            the square root of 2 apart. None: there is one size.
        efforts: how many steps there are at each size, for "draft", "normal" and "best".
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
        if self.descent.exact and self.precision == "bfloat16":
            raise InputError("L-BFGS needs precision 'float32', not 'bfloat16'")

    @property
    def layers(self) -> list[Layer]:
        """All the layers that are looked at."""
        return [
            *factors_of(self.content_layers, "content_layers"),
            *factors_of(self.style_layers, "style_layers"),
        ]

    @property
    def arithmetic(self) -> Precision:
        """The precision in force: a line search compares losses that hardly differ."""
        return "float32" if self.descent.exact else self.precision

    def changed(
        self, *, lr: float | None = None, lr_decay_epoch: int | None = None, **others: Any
    ) -> Recipe:
        """This recipe with other settings; None leaves one as it is.

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

    def terms(self, content_X: Tensor, style_X: Tensor, features: Features) -> list[Term]:
        """What a picture shall be like, given a content and a style picture.

        Args:
            content_X: (1, 3, H, W), normalized.
            style_X: (1, 3, H', W'), normalized.
            features: where features come from.

        Raises:
            InputError: the recipe has no weights of its own.
        """
        if self.weights is None:
            raise InputError(
                "give the recipe the weights that suit the network: weights_for(net)"
            )
        content, style, tv = self.weights
        if self.per_position:
            positions = self._positions(content_X, features)
            style, tv = style * positions, tv * positions
        terms: list[Term] = [
            Match(
                "content",
                content_X,
                self.content_layers,
                self.content_loss,
                content,
                self.averages,
            ),
            Match("style", style_X, self.style_layers, self.style_loss, style, self.averages),
        ]
        smooth = Prior("tv", self.smoothness, tv)
        return [*terms, smooth] if tv or not self.per_position else terms

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
        """The losses of a picture at one size.

        Args:
            content_X: (1, 3, H, W), normalized.
            style_X: (1, 3, H', W'), normalized.
            X: what the picture is when the size begins.
            features: where its features come from in each step; maybe in bfloat16.
            precise: where those of the targets come from, once.
            last: whether it is the last of the sizes.
        """
        terms = self.terms(content_X, style_X, precise)
        return objective_of(terms, features, targets=precise)

    def finish(self, X: Tensor, style_X: Tensor) -> Tensor:
        """What is done to the picture after the last step: nothing."""
        return X

    def fractions(self, side: int, scales: int | None) -> list[float]:
        """The sizes to work through, for a picture whose shorter side is the last of them.

        Args:
            side: in pixels.
            scales: how many, each twice the one before; None: as the recipe has them.
        """
        if scales is not None:
            return doubling(scales)
        return [1.0] if self.smallest is None else ladder(side, self.smallest)

    def bounds(self, device: torch.device) -> Clamp:
        """The lowest and highest that pixels may be, normalized; None where they are free."""
        if isinstance(self.clamp, bool):
            return visible_range(device) if self.clamp else None
        limit = torch.tensor(float(self.clamp), device=device)
        return -limit, limit

    def settings(self, net: nn.Module) -> dict[str, Any]:
        """What this recipe says, for the record of a result."""
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
        with torch.no_grad():
            counts = [Y[0, 0].numel() for Y in features(content_X, list(self.content_layers))]
        return sum(counts) / len(counts) if counts else 1


def _labels(layers: Layers, net: nn.Module) -> list[Layer] | dict[str, float]:
    """Layers by number, or by name with their factors."""
    if isinstance(layers, Mapping):
        return {str(layer_label(net, layer, name=True)): f for layer, f in layers.items()}
    return [layer_label(net, layer) for layer in layers]


def follow(
    recipe: Recipe,
    content: ImageSource,
    style: ImageSource,
    *,
    name: str,
    image_shape: int | tuple[int, int],
    style_shape: int | tuple[int, int] | None = None,
    effort: Effort = "normal",
    steps: int | None = None,
    init: Init | ImageSource | None = None,
    seed: int = 0,
    scales: int | None = None,
    device: torch.device | str | None = None,
    net: nn.Module | None = None,
    callback: Callback | None = None,
    state: RunState | None = None,
) -> TransferResult:
    """Do what a recipe says. As `stylelib.transfer`; `name` is for the record."""
    seed, device = check_seed(seed), find_device(device)
    pair = Pair(load_image(content), load_image(style), image_shape, style_shape)
    steps = pair.plan(recipe, choice("effort", effort, EFFORTS), steps, scales)
    recipe, net = fitted(recipe, net)
    net = net.to(device)
    features, precise = features_of(net, recipe.arithmetic, widen=False), features_of(net)
    start_from = recipe.init if init is None else init

    def objective_at(size: int, X: Tensor) -> Objective:
        content_X, style_X = (each.to(device) for each in pair.at(size))
        last = size == len(pair.shapes) - 1
        return recipe.objective(content_X, style_X, X, features, precise, last=last)

    painted = paint(
        starting_picture(start_from, pair.content, pair.style, pair.shapes[0], seed).to(device),
        pair.shapes,
        objective_at,
        recipe.descent,
        steps=steps,
        clamp=recipe.bounds(device),
        callback=callback,
        state=state,
    )
    settings = settings_of(
        net,
        device,
        recipe=name,
        content=describe(content),
        style=describe(style),
        image_shape=image_shape,
        style_shape=style_shape,
        steps=steps,
        init=describe(start_from),
        seed=seed,
        scales=scales,
        effort=effort,
        precision=str(resolve_precision(recipe.arithmetic, device)).removeprefix("torch."),
        **recipe.settings(net),
    )
    style_X = preprocess(pair.style, pair.style_shapes[-1]).to(device)
    X = recipe.finish(painted.picture, style_X).cpu()
    image = postprocess(X)
    balance, stopped = painted.balance(), painted.interrupted
    result = TransferResult(image, painted.history, settings, X, *balance, interrupted=stopped)
    return or_interrupted(result)


def fitted(recipe: Recipe, net: nn.Module | None) -> tuple[Recipe, nn.Module]:
    """A recipe with weights, and a network that has its layers."""
    if net is None:
        net = vgg19(layers=recipe.layers)
    check_defaults(net, recipe.content_layers, CONTENT_LAYERS, "content_layers")
    check_defaults(net, recipe.style_layers, STYLE_LAYERS, "style_layers")
    check_module(net)
    return (
        replace(recipe, weights=weights_for(net)) if recipe.weights is None else recipe
    ), net


class Pair:
    """A photograph and a painting, at each size of a run.

    Args:
        content: the photograph.
        style: the painting.
        image_shape: (H, W) of both at the last size, or the shorter side.
        style_shape: that of the painting, where it is another.

    Attributes:
        shape: (H, W) of the photograph at the last size.
        style_shape: that of the painting.
        shapes: (H, W) of the photograph at each size.
        style_shapes: those of the painting.
    """

    def __init__(
        self,
        content: Image.Image,
        style: Image.Image,
        image_shape: int | tuple[int, int],
        style_shape: int | tuple[int, int] | None,
    ) -> None:
        self.content, self.style = content, style
        self.shape = target_shape(content, image_shape)
        self.style_shape = (
            target_shape(style, image_shape)
            if style_shape is None
            else target_shape(style, style_shape, "style_shape")
        )
        self.shapes, self.style_shapes = [self.shape], [self.style_shape]

    def plan(
        self, recipe: Recipe, effort: Effort, steps: int | None, scales: int | None
    ) -> int:
        """Set the sizes to work through; returns how many steps there are at all of them."""
        if scales is not None:
            scales = whole("scales", scales, most=steps)
        fractions = recipe.fractions(min(self.shape), scales)
        if steps is None:
            steps = recipe.efforts[EFFORTS.index(effort)] * len(fractions)
        steps = whole("steps", steps)
        if scales is None:  # a size needs two steps at least, and a painting that has features
            fitting = [f for f in fractions if f * min(self.style_shape) >= SMALLEST_STYLE]
            fractions = (fitting or [1.0])[-max(1, steps // 2) :]
        self.shapes = sizes(self.shape, fractions)
        self.style_shapes = sizes(self.style_shape, fractions)
        return steps

    def at(self, size: int) -> tuple[Tensor, Tensor]:
        """Both pictures at a size, 0 for the first: (1, 3, H, W), normalized."""
        content_X = preprocess(self.content, self.shapes[size])
        return content_X, preprocess(self.style, self.style_shapes[size])
