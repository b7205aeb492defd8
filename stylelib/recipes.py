"""Style transfer in one call (chapter 1)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stylelib.errors import DivergenceError, InputError, did_you_mean
from stylelib.features import FeatureExtractor, get_contents, get_styles
from stylelib.images import ImageSource, load_image, postprocess, preprocess, target_shape
from stylelib.losses import EMBEDDED_WEIGHTS, LossWeights, check_weights, gram
from stylelib.modules import (
    PAPER_CONTENT_LAYERS,
    PAPER_STYLE_LAYERS,
    insert_losses,
    modules_objective,
)
from stylelib.networks import CONTENT_LAYERS, STYLE_LAYERS, Layer, layer_index, vgg19
from stylelib.optimization import (
    Callback,
    Objective,
    Optimized,
    Record,
    Step,
    gradient_shares,
)
from stylelib.precision import Precision, resolve_precision
from stylelib.results import TransferResult, describe, surroundings
from stylelib.synthesis import (
    Init,
    check_lr,
    starting_picture,
    style_objective,
    synthesize,
    synthesize_by_lbfgs,
    usable_device,
)
from stylelib.weights import check_seed, network_digest

__all__ = ["FULL", "QUICK", "RECIPES", "TINY", "Profile", "Recipe", "profile", "transfer"]

PAPER_WEIGHTS = LossWeights(content=1.0, style=8e3, tv=0.0)
"""Weights for the embedded VGG-19, chosen by looking at pictures; see `transfer`."""


@dataclass(frozen=True)
class Profile:
    """A size of picture and a length of training: `transfer(..., **profile())`.

    Attributes:
        image_shape: (H, W).
        num_epochs: steps.
        lr_decay_epoch: steps after which the learning rate is multiplied by 0.8.
    """

    image_shape: tuple[int, int]
    num_epochs: int
    lr_decay_epoch: int

    def keys(self) -> list[str]:
        """Makes `**profile` work."""
        return list(asdict(self))

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


FULL = Profile(image_shape=(300, 450), num_epochs=500, lr_decay_epoch=50)
"""The recipe's own numbers."""
QUICK = Profile(image_shape=(200, 300), num_epochs=200, lr_decay_epoch=20)
"""What the book uses by default: the same schedule, shorter and smaller."""
TINY = Profile(image_shape=(64, 96), num_epochs=8, lr_decay_epoch=2)
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
    """What one method of style transfer does unless told otherwise.

    Attributes:
        lr: Adam's learning rate at the start; None where L-BFGS finds its own steps.
        weights: a factor for each kind of loss, made for the embedded network.
        content_layers: where content is compared.
        style_layers: where style is compared.
        init: what to start from.
        clamp: whether every pixel is kept within the visible range after each step.
    """

    lr: float | None
    weights: LossWeights
    content_layers: tuple[Layer, ...]
    style_layers: tuple[Layer, ...]
    init: Init
    clamp: bool


RECIPES = MappingProxyType(
    {
        "d2l": Recipe(0.3, EMBEDDED_WEIGHTS, CONTENT_LAYERS, STYLE_LAYERS, "content", True),
        "gatys": Recipe(
            None, PAPER_WEIGHTS, PAPER_CONTENT_LAYERS, PAPER_STYLE_LAYERS, "noise", False
        ),
    }
)
"""The methods by name: "d2l" is the book's main line, "gatys" the method of the paper."""


@dataclass(frozen=True)
class _Task:
    """What does not change from one size of picture to the next."""

    content: Image.Image
    style: Image.Image
    extractor: FeatureExtractor
    content_layers: Sequence[Layer]
    style_layers: Sequence[Layer]
    weights: LossWeights
    lr: float | None  # None: L-BFGS
    lr_decay_epoch: int | None
    clamp: bool
    device: torch.device
    callback: Callback

    def make(
        self, X: Tensor, style_shape: tuple[int, int], steps: int
    ) -> tuple[Objective, Optimized]:
        """Make a picture of one size from X: by which objective, and it."""
        lr = self.lr
        return (
            self._by_lbfgs(X, style_shape, steps)
            if lr is None
            else self._by_adam(X, style_shape, steps, lr)
        )

    def _by_adam(
        self, X: Tensor, style_shape: tuple[int, int], steps: int, lr: float
    ) -> tuple[Objective, Optimized]:
        shape, net = (X.shape[2], X.shape[3]), self.extractor.net
        _, contents_Y = get_contents(
            self.content, shape, net, self.device, content_layers=self.content_layers
        )
        _, styles_Y = get_styles(
            self.style, style_shape, net, self.device, style_layers=self.style_layers
        )
        result = synthesize(
            X,
            contents_Y,
            styles_Y,
            self.device,
            lr,
            steps,
            max(1, steps // 10) if self.lr_decay_epoch is None else self.lr_decay_epoch,
            extractor=self.extractor,
            weights=self.weights,
            clamp=self.clamp,
            callback=self.callback,
        )
        grams = [gram(Y) for Y in styles_Y]
        return style_objective(self.extractor, contents_Y, grams, self.weights), result

    def _by_lbfgs(
        self, X: Tensor, style_shape: tuple[int, int], steps: int
    ) -> tuple[Objective, Optimized]:
        losses = insert_losses(
            self.extractor.net,
            preprocess(self.content, (X.shape[2], X.shape[3])).to(self.device),
            preprocess(self.style, style_shape).to(self.device),
            content_layers=self.content_layers,
            style_layers=self.style_layers,
            by="paper",
        )
        sizes = [module.target[0, 0].numel() for module in losses.content_losses]
        positions = sum(sizes) / len(sizes) if sizes else 1
        weights = self.weights
        weights = weights._replace(style=weights.style * positions, tv=weights.tv * positions)
        objective = modules_objective(losses, weights)
        result = synthesize_by_lbfgs(
            X.to(self.device), objective, steps, clamp=self.clamp, callback=self.callback
        )
        return objective, result


def transfer(
    content: ImageSource,
    style: ImageSource,
    *,
    recipe: str = "d2l",
    image_shape: int | tuple[int, int] = 300,
    style_shape: int | tuple[int, int] | None = None,
    num_epochs: int = 200,
    lr: float | None = None,
    lr_decay_epoch: int | None = None,
    weights: LossWeights | None = None,
    content_layers: Sequence[Layer] | None = None,
    style_layers: Sequence[Layer] | None = None,
    init: Init | ImageSource | None = None,
    seed: int = 0,
    scales: int = 1,
    clamp: bool | None = None,
    precision: Precision = "auto",
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
    picture it has seen. What is None below is what the recipe has in `RECIPES`.

    Args:
        content: the picture whose things are to be recognised: a path, bytes, a binary file or
            a PIL image.
        recipe: "d2l" or "gatys".
        style: the picture whose colours, strokes and textures are to be taken.
        image_shape: (H, W) for both, or the shorter side, each keeping its own aspect ratio.
        style_shape: likewise for the style picture alone, where it is to differ: the larger,
            the broader the strokes.
        num_epochs: how many steps; with L-BFGS, how many evaluations of the losses.
        lr: Adam's learning rate at the start. L-BFGS has none.
        lr_decay_epoch: the learning rate is multiplied by 0.8 each time so many steps have
            passed. None: ten times over the training, as in the recipe.
        weights: a factor for each kind of loss. The recipes' are for the embedded network. With
            "gatys" those of style and total variation are for *each position* of the content
            layer's features: the paper's content loss is a sum over positions, its style loss
            is not, and the same weights would give a larger picture less style. (Of several
            content layers, the mean number of positions.)
        content_layers: where content is compared.
        style_layers: where style is compared.
        init: what to start from: "content", "style", "noise", or a picture.
        seed: of the noise, where `init` is "noise".
        scales: the number of sizes to work through, each twice the one before, the steps shared
            out evenly.
        clamp: keep every pixel within the visible range after each step. The sources do not.
        precision: "float32", "bfloat16" or "auto", see `FeatureExtractor`. The line search of
            L-BFGS needs float32, and "auto" is that with "gatys".
        device: where to compute; None is a GPU that CUDA knows, where there is one, else the
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
        >>> result = transfer(photo, style, image_shape=64, num_epochs=5)
        >>> result.image.size, len(result.history)
        ((96, 64), 5)
    """
    content_image, style_image = load_image(content), load_image(style)
    if type(num_epochs) is not int or num_epochs < 1:
        raise InputError(f"num_epochs is a whole number, 1 or more, not {num_epochs!r}")
    if type(scales) is not int or not 1 <= scales <= num_epochs:
        raise InputError(
            f"scales is a whole number from 1 to num_epochs ({num_epochs}), not {scales!r}"
        )
    check_seed(seed)
    usual = _recipe(recipe)
    if usual.lr is None:
        if lr is not None or lr_decay_epoch is not None:
            raise InputError(f"recipe '{recipe}' has no learning rate: L-BFGS finds its steps")
        if precision == "bfloat16":
            raise InputError(f"recipe '{recipe}' needs precision 'float32', not 'bfloat16'")
        precision = "float32" if precision == "auto" else precision
    else:
        lr = check_lr(usual.lr if lr is None else lr)
    weights = check_weights(usual.weights if weights is None else weights)
    content_layers = usual.content_layers if content_layers is None else content_layers
    style_layers = usual.style_layers if style_layers is None else style_layers
    init = usual.init if init is None else init
    clamp = usual.clamp if clamp is None else clamp
    device = usable_device(device)
    if net is None:
        net = vgg19(layers=[*content_layers, *style_layers])
    net = net.to(device)
    height, width = target_shape(content_image, image_shape)
    full_style = target_shape(style_image, image_shape if style_shape is None else style_shape)
    X = starting_picture(init, content_image, style_image, (height, width), seed)

    network = network_digest(net)
    history: list[Record] = []
    stopped = False

    def follow(step: Step) -> bool:
        nonlocal stopped
        seconds = step.seconds + (history[begins - 1].seconds if begins else 0.0)
        evaluations = step.evaluations + (history[begins - 1].evaluations if begins else 0)
        step = replace(step, step=begins + step.step, seconds=seconds, evaluations=evaluations)
        history.append(Record(step.step, step.losses, step.lr, step.seconds, step.evaluations))
        stopped = bool(callback and callback(step))
        return stopped

    task = _Task(
        content_image,
        style_image,
        FeatureExtractor(net, content_layers, style_layers, precision=precision),
        content_layers,
        style_layers,
        weights,
        lr,
        lr_decay_epoch,
        clamp,
        device,
        follow,
    )
    try:
        for scale in range(scales):
            begins = len(history)
            steps = num_epochs * (scale + 1) // scales - num_epochs * scale // scales
            shrink = 2 ** (scales - 1 - scale)
            shape = (max(1, height // shrink), max(1, width // shrink))
            style_size = (max(1, full_style[0] // shrink), max(1, full_style[1] // shrink))
            if X.shape[2:] != shape:
                X = interpolate(X, shape, mode="bicubic", antialias=True)
            try:
                objective, result = task.make(X, style_size, steps)
            except DivergenceError as error:
                error.history[:] = history
                raise
            X = result.picture
            if stopped or result.interrupted:
                break
        shares = gradient_shares(X, objective)
    except KeyboardInterrupt:  # between the steps of two sizes, or after the last
        if not history:
            raise
        shares = {}

    settings = surroundings() | {
        "recipe": recipe,
        "content": describe(content),
        "style": describe(style),
        "image_shape": image_shape,
        "style_shape": style_shape,
        "num_epochs": num_epochs,
        "lr": lr,
        "lr_decay_epoch": lr_decay_epoch,
        "weights": weights._asdict(),
        "content_layers": [layer_index(net, layer) for layer in content_layers],
        "style_layers": [layer_index(net, layer) for layer in style_layers],
        "init": describe(init),
        "seed": seed,
        "scales": scales,
        "clamp": clamp,
        "network": network,
        "precision": str(resolve_precision(precision, device)).removeprefix("torch."),
        "device": str(device),
    }
    X = X.cpu()
    return TransferResult(postprocess(X), history, settings, X, shares)


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        hint = did_you_mean(str(name), RECIPES, f"there are {', '.join(RECIPES)}")
        raise InputError(f"there is no recipe {name!r}; {hint}")
    return RECIPES[name]
