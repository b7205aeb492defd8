"""Pictures from features alone: what a layer remembers (chapter 10), textures (chapter 11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from stylelib.checks import check_seed, several, whole
from stylelib.descents import LBFGSDescent
from stylelib.devices import find_device
from stylelib.errors import InputError
from stylelib.features import NetworkFeatures
from stylelib.files import ImageSource, load_image, target_shape
from stylelib.images import postprocess, preprocess, visible_range
from stylelib.layers import Layer, layer_index
from stylelib.losses import (
    check_features,
    check_weight,
    content_loss,
    gram,
    style_loss,
    tv_loss,
)
from stylelib.networks import named_layers, vgg19
from stylelib.objectives import Match, Prior, Term, objective_of
from stylelib.pyramid import paint
from stylelib.records import Callback
from stylelib.results import ReconstructionResult, describe, surroundings
from stylelib.synthesis import Init, starting_picture
from stylelib.weights import network_digest

__all__ = ["TEXTURE_LAYERS", "invert_features", "range_loss", "synthesize_texture"]

TEXTURE_LAYERS: tuple[str, ...] = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
"""Where Gatys, Ecker and Bethge (2015) compare textures."""


def range_loss(X: Tensor) -> Tensor:
    """How far pixels lie beyond black and white: the mean square of what is cut off when shown.

    Args:
        X: pictures (N, 3, H, W), normalised; so is what is squared.

    Source: after the norm by which Mahendran and Vedaldi (2015) make a picture stay in range;
    that one is felt within the range too, this one is 0 there.
    """
    check_features(X)
    if X.shape[1] != 3:
        raise InputError(f"pictures have the shape (N, 3, H, W), not {tuple(X.shape)}")
    low, high = visible_range(X.device)
    return (X - X.clamp(low, high)).square().mean()


def invert_features(
    image: ImageSource,
    layer: Layer,
    *,
    image_shape: int | tuple[int, int] = 224,
    steps: int = 200,
    init: Init | ImageSource = "noise",
    tv_weight: float = 0.0,
    range_weight: float = 0.0,
    seed: int = 0,
    device: torch.device | str | None = None,
    net: nn.Sequential | None = None,
    callback: Callback | None = None,
) -> ReconstructionResult:
    """Make a picture that has, at one layer, the features of another: what it remembers.

    L-BFGS makes the relative error small, sum((F - P)^2) / sum(P^2), F and P the features of
    the new and of the given picture. Where two pictures have the same features, the layer
    cannot tell them apart: what they do not share is what it has forgotten.

    Args:
        image: the picture: a path, bytes, a binary file or a PIL image.
        layer: by number or name, such as "relu4_2".
        image_shape: (H, W), or the shorter side, keeping the aspect ratio.
        steps: how often the features and their gradient may be computed.
        init: what to start from: "noise" (faint, around the mean colour), or a picture.
        tv_weight: of total variation, added to the relative error. It smooths what the layer
            leaves open; a great weight also smooths what the layer does know.
        range_weight: of `range_loss`, added likewise. It pushes pixels back that are blacker
            than black or whiter than white.
        seed: of the noise.
        device: where to compute; None is a GPU that CUDA knows, else Apple's, else the
            processor.
        net: the network; None is `vgg19()`.
        callback: called with a `Step` after each step; returning True ends it.

    Raises:
        FileError: the picture cannot be read.
        InputError: an argument is out of its range.
        DivergenceError: the error is no longer finite.

    Source: Mahendran and Vedaldi (2015), who divide by the size of the features too, but always
    add regularisers of their own and descend with momentum; the content reconstructions of
    Gatys et al. (2016), figure 1.

    Example:
        >>> from stylelib import invert_features, samples
        >>> cat = samples.load("chelsea")
        >>> result = invert_features(cat, "relu1_1", image_shape=48, steps=20)
        >>> result.image.size, result.errors["relu1_1"] < 0.01
        ((72, 48), True)
    """

    def compare(Y: Tensor) -> Callable[[Tensor], Tensor]:
        size = _not_silent(Y.square().mean())
        return lambda Y_hat: content_loss(Y_hat, Y) / size

    given = load_image(image)
    shape = target_shape(given, image_shape)
    return _reconstruct(
        given,
        shape,
        shape,
        [layer],
        compare,
        vgg19(layers=[layer]) if net is None else net,
        device,
        _Way(steps, init, tv_weight, range_weight, seed, callback),
        {"image": describe(image), "image_shape": image_shape},
    )


def synthesize_texture(
    image: ImageSource,
    layers: Sequence[Layer] = TEXTURE_LAYERS,
    *,
    image_shape: int | tuple[int, int] = 256,
    texture_shape: int | tuple[int, int] | None = None,
    steps: int = 300,
    init: Init | ImageSource = "noise",
    tv_weight: float = 0.0,
    range_weight: float = 0.1,
    seed: int = 0,
    device: torch.device | str | None = None,
    net: nn.Sequential | None = None,
    callback: Callback | None = None,
) -> ReconstructionResult:
    """Make a picture of the same texture, from Gram matrices alone, of any size.

    L-BFGS makes the mean over layers of the relative error small, sum((G - A)^2) / sum(A^2), G
    and A the Gram matrices of the new and of the given picture.

    Args:
        image: the picture of a texture: a path, bytes, a binary file or a PIL image.
        layers: by number or name, where Gram matrices are compared.
        image_shape: the new picture's (H, W), or its shorter side.
        texture_shape: the given picture's; None is as large as the new one, its shorter sides
            the same.
        steps: how often the features and their gradient may be computed.
        init: as for `invert_features`.
        tv_weight: likewise.
        range_weight: likewise. Without it more is cut off when the picture is shown, and the
            picture as shown has a greater error than the one that was optimised.
        seed: of the noise.
        device: as for `invert_features`.
        net: the network; None is `vgg19(pooling="avg")`.
        callback: called with a `Step` after each step; returning True ends it.

    Raises:
        FileError: the picture cannot be read.
        InputError: an argument is out of its range.
        DivergenceError: the error is no longer finite.

    Source: Gatys, Ecker and Bethge (2015): Gram matrices, their layers, average pooling. There
    a layer's loss has the factor 1 / (4 C^2 M^2); relative errors make all layers count alike.
    The authors' program bounds pixels by the sample's range (L-BFGS-B); here `range_loss`
    pushes them back.

    Example:
        >>> from stylelib import samples, synthesize_texture
        >>> bark = samples.load("brushstrokes")
        >>> result = synthesize_texture(bark, ["relu1_1"], image_shape=(32, 80), steps=10)
        >>> result.image.size
        (80, 32)
    """
    layers = several("layers", layers)

    def compare(Y: Tensor) -> Callable[[Tensor], Tensor]:
        gram_Y = gram(Y)
        size = _not_silent(gram_Y.square().mean())
        return lambda Y_hat: style_loss(Y_hat, gram_Y) / size

    given = load_image(image)
    shape = target_shape(given, image_shape)
    if texture_shape is None:
        texture_shape = min(shape)
    return _reconstruct(
        given,
        texture_shape,
        shape,
        layers,
        compare,
        vgg19(layers=layers, pooling="avg") if net is None else net,
        device,
        _Way(steps, init, tv_weight, range_weight, seed, callback),
        {
            "image": describe(image),
            "image_shape": image_shape,
            "texture_shape": texture_shape,
        },
    )


@dataclass
class _Way:
    """How to get from the start to the picture, the same for both kinds of reconstruction."""

    steps: int
    init: Init | ImageSource
    tv_weight: float
    range_weight: float
    seed: int
    callback: Callback | None

    def __post_init__(self) -> None:
        self.steps = whole("steps", self.steps)
        self.tv_weight = check_weight("tv", self.tv_weight)
        self.range_weight = check_weight("range", self.range_weight)
        if isinstance(self.init, str) and self.init in ("content", "style"):
            raise InputError(f"init is 'noise' or a picture, not '{self.init}'")
        self.seed = check_seed(self.seed)


def _reconstruct(
    given: Image.Image,
    given_shape: int | tuple[int, int],
    shape: tuple[int, int],
    layers: Sequence[Layer],
    compare: Callable[[Tensor], Callable[[Tensor], Tensor]],
    net: nn.Sequential,
    device: torch.device | str | None,
    way: _Way,
    settings: dict[str, Any],
) -> ReconstructionResult:
    """Make a picture of a shape whose features compare well with those of a given one."""
    device = find_device(device)
    net = net.to(device)
    features = NetworkFeatures(net)
    names = [name for name, _ in named_layers(net)]
    labels = [names[layer_index(net, layer)] for layer in layers]
    target = preprocess(given, given_shape).to(device)
    with torch.no_grad():
        Ys = dict(zip(layers, features(target, layers), strict=True))

    def share(Y: Tensor) -> Callable[[Tensor], Tensor]:
        error = compare(Y)
        return lambda Y_hat: error(Y_hat) / len(layers)

    terms: list[Term] = [
        Match(label, target, [layer], share)
        for label, layer in zip(labels, layers, strict=True)
    ]
    if way.tv_weight:
        terms.append(Prior("tv", tv_loss, way.tv_weight))
    if way.range_weight:
        terms.append(Prior("range", range_loss, way.range_weight))
    # one pass has the features of the target at all layers, though each layer is a term
    objective = objective_of(terms, features, targets=lambda _, names: [Ys[n] for n in names])
    start = starting_picture(way.init, given, given, shape, way.seed).to(device)
    made = paint(
        start,
        [shape],
        lambda _: objective,
        LBFGSDescent(),
        steps=way.steps,
        callback=way.callback,
    )
    image = postprocess(made.picture)
    with torch.no_grad():
        visible = features(preprocess(image, shape).to(device), layers)
        measured = {
            label: float(compare(Ys[layer])(Y_hat))
            for label, layer, Y_hat in zip(labels, layers, visible, strict=True)
        }
    settings = (
        surroundings()
        | settings
        | {
            "layers": [layer_index(net, layer) for layer in layers],
            "steps": way.steps,
            "init": describe(way.init),
            "tv_weight": way.tv_weight,
            "range_weight": way.range_weight,
            "seed": way.seed,
            "network": network_digest(net),
            "device": str(device),
        }
    )
    return ReconstructionResult(
        image,
        made.history,
        settings,
        made.picture.cpu(),
        measured,
        interrupted=made.interrupted,
    )


def _not_silent(size: Tensor) -> Tensor:
    """The mean square that an error is relative to."""
    if float(size) == 0:
        raise InputError("at this layer the picture has no features: all of them are 0")
    return size
