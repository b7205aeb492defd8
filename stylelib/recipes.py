"""Style transfer in one call, and the recipes it follows (chapter 1)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from stylelib.checks import check_seed, choice, whole
from stylelib.conventions import CONVENTIONS
from stylelib.descents import AdamDescent, Descent, LBFGSDescent, check_lr
from stylelib.devices import find_device
from stylelib.errors import InputError, did_you_mean
from stylelib.features import Features, NetworkFeatures
from stylelib.files import ImageSource, load_image, target_shape
from stylelib.images import postprocess, preprocess, visible_range
from stylelib.layers import CONTENT_LAYERS, STYLE_LAYERS, Layer, layer_index
from stylelib.losses import EMBEDDED_WEIGHTS, LossWeights, check_weights, tv_loss
from stylelib.modules import PAPER_CONTENT_LAYERS, PAPER_STYLE_LAYERS
from stylelib.networks import named_layers, vgg19
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
from stylelib.optimization import Objective, gradient_shares
from stylelib.precision import PRECISIONS, Precision, resolve_precision
from stylelib.pyramid import doubling, paint
from stylelib.records import Callback
from stylelib.results import TransferResult, describe, surroundings
from stylelib.synthesis import Init, starting_picture
from stylelib.weights import network_digest

__all__ = ["FULL", "QUICK", "RECIPES", "TINY", "Profile", "Recipe", "profile", "transfer"]

PAPER_WEIGHTS = LossWeights(content=1.0, style=8e3, tv=0.0)
"""Weights for the embedded VGG-19, chosen by looking at pictures; see `Recipe.per_position`."""


@dataclass(frozen=True)
class Profile:
    """A size of picture and a length of training: `transfer(..., **profile())`.

    Attributes:
        image_shape: (H, W).
        steps: how many.
    """

    image_shape: tuple[int, int]
    steps: int

    @property
    def num_epochs(self) -> int:
        """The steps, as d2l's `train` calls them."""
        return self.steps

    @property
    def lr_decay_epoch(self) -> int:
        """Steps after which the learning rate falls: ten times over the run."""
        return max(1, self.steps // 10)

    def keys(self) -> list[str]:
        """Makes `**profile` work."""
        return list(asdict(self))

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


FULL = Profile(image_shape=(300, 450), steps=500)
"""The recipe's own numbers."""
QUICK = Profile(image_shape=(200, 300), steps=200)
"""What the book uses by default: the same schedule, shorter and smaller."""
TINY = Profile(image_shape=(64, 96), steps=8)
"""No picture one would look at: for tests that run every chapter."""


def profile() -> Profile:
    """The profile named by STYLELIB_PROFILE in the environment: quick (default), full, tiny.

    Raises:
        InputError: the variable holds another word.
    """
    profiles = {"quick": QUICK, "full": FULL, "tiny": TINY}
    name = os.environ.get("STYLELIB_PROFILE", "quick")
    if name not in profiles:
        raise InputError(f"STYLELIB_PROFILE is quick, full or tiny, not '{name}'")
    return profiles[name]


@dataclass(frozen=True)
class Recipe:
    """What one method of style transfer does: data, to be changed by `dataclasses.replace`.

    Attributes:
        weights: a factor for each kind of loss. Those of `RECIPES` are for the embedded
            network.
        content_layers: where content is compared, by number or name; or a factor for each.
        style_layers: where style is compared, likewise.
        content_loss: how features are compared for content.
        style_loss: how they are compared for style.
        averages: whether losses of several layers are averaged; otherwise they are summed.
        per_position: whether the weights of style and total variation are for *each position*
            of the content layer's features (of several layers, for their mean number). The
            paper's content loss is a sum over positions and its style loss is not, so the same
            weights would give a larger picture less style.
        descent: how the picture is moved.
        init: what to start from.
        clamp: whether every pixel is kept within the visible range after each step.
        precision: the arithmetic of the network.
    """

    weights: LossWeights = EMBEDDED_WEIGHTS
    content_layers: Layers = CONTENT_LAYERS
    style_layers: Layers = STYLE_LAYERS
    # by factories, since a function as a class's attribute would be a method
    content_loss: FeatureLoss = field(default_factory=lambda: compare_features, repr=False)
    style_loss: FeatureLoss = field(default_factory=lambda: compare_grams, repr=False)
    averages: bool = False
    per_position: bool = False
    descent: Descent = field(default_factory=AdamDescent)
    init: Init = "content"
    clamp: bool = True
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        check_weights(self.weights)
        choice("precision", self.precision, PRECISIONS)
        self.layers  # noqa: B018  it refuses what is not a list of layers
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
        self, *, lr: float | None = None, lr_decay_epoch: int | None = None, **fields: Any
    ) -> Recipe:
        """This recipe with other settings; None leaves one as it is.

        Raises:
            InputError: a setting that this recipe cannot have.
        """
        new = {name: value for name, value in fields.items() if value is not None}
        if "weights" in new:
            new["weights"] = check_weights(new["weights"])
        if lr is not None or lr_decay_epoch is not None:
            if not isinstance(self.descent, AdamDescent):
                kind = type(self.descent).__name__
                raise InputError(f"this recipe has no learning rate: it moves by {kind}")
            new["descent"] = self.descent
            if lr is not None:
                new["descent"] = replace(new["descent"], lr=check_lr(lr))
            if lr_decay_epoch is not None:
                every = whole("lr_decay_epoch", lr_decay_epoch)
                new["descent"] = replace(new["descent"], decay_every=every)
        return replace(self, **new)

    def settings(self, net: nn.Sequential) -> dict[str, Any]:
        """What this recipe says, in types that JSON knows."""
        adam = self.descent if isinstance(self.descent, AdamDescent) else None
        return {
            "lr": adam.lr if adam else None,
            "lr_decay_epoch": adam.decay_every if adam else None,
            "weights": check_weights(self.weights)._asdict(),
            "content_layers": _named(self.content_layers, net),
            "style_layers": _named(self.style_layers, net),
            "clamp": self.clamp,
        }

    def terms(self, content_X: Tensor, style_X: Tensor, features: Features) -> list[Term]:
        """What a picture shall be like, given a content and a style picture.

        Args:
            content_X: (1, 3, H, W), normalised.
            style_X: (1, 3, H', W'), normalised.
            features: where features come from.
        """
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
        return [*terms, Prior("tv", tv_loss, tv)] if tv or not self.per_position else terms

    def _positions(self, content_X: Tensor, features: Features) -> float:
        with torch.no_grad():
            sizes = [Y[0, 0].numel() for Y in features(content_X, list(self.content_layers))]
        return sum(sizes) / len(sizes) if sizes else 1


_PAPER = CONVENTIONS["paper"]
RECIPES = MappingProxyType(
    {
        "d2l": Recipe(),
        "gatys": Recipe(
            PAPER_WEIGHTS,
            PAPER_CONTENT_LAYERS,
            PAPER_STYLE_LAYERS,
            _PAPER.compare_features,
            _PAPER.compare_grams,
            averages=_PAPER.averages_layers,
            per_position=True,
            descent=LBFGSDescent(),
            init="noise",
            clamp=False,
        ),
    }
)
"""The methods by name: "d2l" is the book's main line, "gatys" the method of the paper."""


def transfer(
    content: ImageSource,
    style: ImageSource,
    *,
    recipe: str | Recipe = "d2l",
    image_shape: int | tuple[int, int] = 300,
    style_shape: int | tuple[int, int] | None = None,
    steps: int = 200,
    lr: float | None = None,
    lr_decay_epoch: int | None = None,
    weights: LossWeights | None = None,
    content_layers: Layers | None = None,
    style_layers: Layers | None = None,
    init: Init | ImageSource | None = None,
    seed: int = 0,
    scales: int = 1,
    clamp: bool | None = None,
    precision: Precision | None = None,
    device: torch.device | str | None = None,
    net: nn.Sequential | None = None,
    callback: Callback | None = None,
) -> TransferResult:
    """Paint the content of one picture in the style of another.

    The same arguments on the same machine give the same bits. Ctrl-C after the first step
    ends it early and returns the picture made so far.

    There are two recipes. "d2l" is the main line of the book: convolutions' own outputs, means
    of squares, Adam with a falling learning rate. "gatys" is the method of the paper: outputs
    of ReLUs, the paper's factors (the convention "paper"), and L-BFGS, which returns the best
    picture it has seen. What is None below is what the recipe has.

    Args:
        content: the picture whose things are to be recognised: a path, bytes, a binary file or
            a PIL image.
        style: the picture whose colours, strokes and textures are to be taken.
        recipe: "d2l", "gatys", or a `Recipe` of your own, for example
            `dataclasses.replace(RECIPES["d2l"], style_loss=my_loss)`.
        image_shape: (H, W) for both, or the shorter side, each keeping its own aspect ratio.
        style_shape: likewise for the style picture alone, where it is to differ: the larger,
            the broader the strokes.
        steps: how many; with L-BFGS, how many evaluations of the losses.
        lr: Adam's learning rate at the start. L-BFGS has none.
        lr_decay_epoch: the learning rate is multiplied by 0.8 each time so many steps have
            passed. None: ten times over the training, as in the recipe.
        weights: a factor for each kind of loss. The recipes' are for the embedded network. With
            "gatys" those of style and total variation are for *each position* of the content
            layer's features: the paper's content loss is a sum over positions, its style loss
            is not, and the same weights would give a larger picture less style. (Of several
            content layers, the mean number of positions.)
        content_layers: where content is compared: a list of layers by number or name, or a
            mapping from each layer to a factor.
        style_layers: where style is compared, likewise.
        init: what to start from: "content", "style", "noise", or a picture.
        seed: of the noise, where `init` is "noise".
        scales: the number of sizes to work through, each twice the one before, the steps shared
            out evenly. The start is made at the first of them.
        clamp: keep every pixel within the visible range after each step. The sources do not.
        precision: "float32", "bfloat16" or "auto", see `NetworkFeatures`. The line search of
            L-BFGS needs float32.
        device: where to compute; None is a GPU that CUDA knows, else Apple's, else the
            processor.
        net: the network, which is moved to `device`; None is `vgg19()`.
        callback: called with a `Step` after each step; returning True ends the transfer.

    Raises:
        FileError: a picture cannot be read.
        InputError: an argument is out of its range.
        DivergenceError: the loss is no longer finite; the exception carries the last good
            picture.

    Source: Gatys, Ecker and Bethge (2016), in the recipe of Zhang et al., Dive into Deep
    Learning, "Neural Style Transfer", which by default has an image_shape of (300, 450) and 500
    epochs.

    Example:
        >>> from stylelib import samples, transfer
        >>> photo, style = samples.load("chelsea"), samples.load("mosaic")
        >>> result = transfer(photo, style, image_shape=64, steps=5)
        >>> result.image.size, len(result.history)
        ((96, 64), 5)
    """
    content_image, style_image = load_image(content), load_image(style)
    steps, seed = whole("steps", steps), check_seed(seed)
    scales = whole("scales", scales, most=steps)
    used = find_recipe(recipe).changed(
        lr=lr,
        lr_decay_epoch=lr_decay_epoch,
        precision=precision,
        weights=weights,
        content_layers=content_layers,
        style_layers=style_layers,
        clamp=clamp,
    )
    start_from = used.init if init is None else init
    device = find_device(device)
    net = (vgg19(layers=used.layers) if net is None else net).to(device)
    features, precise = NetworkFeatures(net, used.arithmetic), NetworkFeatures(net)
    photo_shapes, painting_shapes = (
        _sizes(target_shape(image, shape), doubling(scales))
        for image, shape in (
            (content_image, image_shape),
            (style_image, image_shape if style_shape is None else style_shape),
        )
    )

    def objective_at(index: int) -> Objective:
        content_X = preprocess(content_image, photo_shapes[index]).to(device)
        style_X = preprocess(style_image, painting_shapes[index]).to(device)
        return objective_of(used.terms(content_X, style_X, precise), features, targets=precise)

    start = starting_picture(start_from, content_image, style_image, photo_shapes[0], seed)
    painted = paint(
        start.to(device),
        photo_shapes,
        objective_at,
        used.descent,
        steps=steps,
        clamp=visible_range(device) if used.clamp else None,
        callback=callback,
    )
    settings = surroundings() | {
        "recipe": recipe if isinstance(recipe, str) else repr(recipe),
        "content": describe(content),
        "style": describe(style),
        "image_shape": image_shape,
        "style_shape": style_shape,
        "steps": steps,
        **used.settings(net),
        "init": describe(start_from),
        "seed": seed,
        "scales": scales,
        "network": network_digest(net),
        "precision": str(resolve_precision(used.arithmetic, device)).removeprefix("torch."),
        "device": str(device),
    }
    try:
        objective = painted.objective
        shares = gradient_shares(painted.picture, objective) if objective else {}
    except KeyboardInterrupt:
        shares = {}
    X = painted.picture.cpu()
    return TransferResult(
        postprocess(X), painted.history, settings, X, shares, interrupted=painted.interrupted
    )


def _sizes(shape: tuple[int, int], fractions: Sequence[float]) -> list[tuple[int, int]]:
    """A size of picture, times each fraction."""
    height, width = shape
    return [(max(1, int(height * f)), max(1, int(width * f))) for f in fractions]


def _named(layers: Layers, net: nn.Sequential) -> list[int] | dict[str, float]:
    """Layers by number, or by name with their factors."""
    if not isinstance(layers, Mapping):
        return [layer_index(net, layer) for layer in layers]
    names = [name for name, _ in named_layers(net)]
    return {names[layer_index(net, layer)]: factor for layer, factor in layers.items()}


def find_recipe(recipe: str | Recipe) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: there is none; the message says which may have been meant.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str) or recipe not in RECIPES:
        hint = did_you_mean(str(recipe), RECIPES, f"there are {', '.join(RECIPES)}")
        raise InputError(f"there is no recipe {recipe!r}; {hint}")
    return RECIPES[recipe]
