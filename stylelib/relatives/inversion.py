"""Reconstruct an image from the features of one layer (chapter 10)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from stylelib.arguments import check_seed, whole
from stylelib.descents import Descent
from stylelib.devices import find_device
from stylelib.errors import InputError, or_interrupted
from stylelib.files import ImageSource, load_image, target_shape
from stylelib.images import postprocess, preprocess, visible_range
from stylelib.layers import Layer
from stylelib.losses import check_features, check_weight, tv_loss
from stylelib.models import features_of
from stylelib.networks import check_module, layer_label, vgg19
from stylelib.objectives import (
    FeatureLoss,
    Match,
    Prior,
    Term,
    compare_features,
    objective_of,
    relative,
)
from stylelib.precision import resolve_precision, without_bfloat16
from stylelib.pyramid import paint
from stylelib.records import Callback
from stylelib.relatives.quasi_newton import LBFGSDescent
from stylelib.results import ReconstructionResult, describe, settings_of
from stylelib.synthesis import Init, starting_picture

__all__ = ["invert_features", "range_loss"]


def range_loss(X: Tensor) -> Tensor:
    """The mean square of how far pixels lie below black or above white.

    Args:
        X: normalized images (N, 3, H, W). The loss is in squared normalized units.

    Source: after the norm with which Mahendran and Vedaldi (2015) keep an image in range. Their
    norm also acts within the range; this loss is 0 there.
    """
    check_features(X)
    if X.shape[1] != 3:
        raise InputError(f"images must have the shape (N, 3, H, W), not {tuple(X.shape)}")
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
    net: nn.Module | None = None,
    callback: Callback | None = None,
) -> ReconstructionResult:
    """Make an image that has the same features as another at one layer.

    L-BFGS minimizes the relative error sum((F - P)^2) / sum(P^2), where F and P are the
    features of the new and of the given image. A layer cannot distinguish two images with the
    same features, so their differences show what it has forgotten. The steps are computed in
    float32, or as fast as in `precision="winograd"` where that is what "auto" means; the given
    features and the errors in float32.

    Args:
        image: the given image: a path, bytes, a binary file or a PIL image.
        layer: the layer, by number or by name, such as "relu4_2".
        image_shape: (H, W), or the shorter side, which keeps the aspect ratio.
        steps: how many times the features and their gradient may be computed.
        init: the start: "noise" (faint, around the mean color), or an image.
        tv_weight: the weight of total variation, added to the relative error. It smooths what
            the layer does not determine; a large weight also smooths what it does.
        range_weight: the weight of `range_loss`, which keeps pixels between black and white.
        seed: the seed of the noise.
        device: where to compute; None takes a CUDA GPU, else Apple's GPU, else the CPU.
        net: the network; None is `vgg19()`.
        callback: called with a `Step` after each step; if it returns True, the run ends.

    Raises:
        FileError: the image cannot be read.
        InputError: an argument is out of range.
        DivergenceError: the error is no longer finite.
        Interrupted: Ctrl-C after the first step. Its `.result` has the image so far.

    Source: Mahendran and Vedaldi (2015), who also divide by the size of the features, but
    always add regularizers of their own and descend with momentum; the content reconstructions
    of Gatys et al. (2016), figure 1.

    Example:
        >>> from stylelib import invert_features, samples
        >>> cat = samples.load("chelsea")
        >>> result = invert_features(cat, "relu1_1", image_shape=48, steps=20)
        >>> result.image.size, result.errors["relu1_1"] < 0.01
        ((72, 48), True)
    """
    given = load_image(image)
    shape = target_shape(given, image_shape)
    return reconstruct(
        Target(given, shape, [layer], relative(compare_features)),
        shape,
        vgg19(layers=[layer]) if net is None else net,
        find_device(device),
        Way(steps, init, tv_weight, range_weight, seed, callback),
        {"image": describe(image), "image_shape": image_shape},
    )


@dataclass
class Target:
    """The image whose features are reconstructed.

    Attributes:
        image: the given image.
        shape: the size at which its features are computed.
        layers: the layers at which its features are compared.
        compare: from its features at a layer to a relative error of other features.
    """

    image: Image.Image
    shape: int | tuple[int, int]
    layers: Sequence[Layer]
    compare: FeatureLoss


@dataclass
class Way:
    """How to optimize the image; the fields are the parameters of `invert_features`."""

    steps: int
    init: Init | ImageSource
    tv_weight: float
    range_weight: float
    seed: int
    callback: Callback | None
    descent: Descent = field(default_factory=LBFGSDescent)

    def __post_init__(self) -> None:
        self.steps = whole("steps", self.steps)
        self.tv_weight = check_weight("tv", self.tv_weight)
        self.range_weight = check_weight("range", self.range_weight)
        if isinstance(self.init, str) and self.init in ("content", "style"):
            raise InputError(f"init must be 'noise' or an image, not '{self.init}'")
        self.seed = check_seed(self.seed)

    @property
    def priors(self) -> list[Term]:
        """The losses of the pixels alone."""
        wanted = [
            Prior("tv", tv_loss, self.tv_weight),
            Prior("range", range_loss, self.range_weight),
        ]
        return [prior for prior in wanted if prior.weight]


def reconstruct(
    target: Target,
    shape: tuple[int, int],
    net: nn.Module,
    device: torch.device,
    way: Way,
    said: dict[str, Any],
) -> ReconstructionResult:
    """Make an image of the given shape whose features are close to the target's."""
    net = check_module(net).to(device)
    features, layers = features_of(net), target.layers
    precision = without_bfloat16("auto")
    in_steps = features_of(net, precision)
    labels = [str(layer_label(net, layer, name=True)) for layer in layers]
    if len(set(layers)) < len(layers):
        raise InputError(f"layers names a layer twice: {layers}")
    target_X = preprocess(target.image, target.shape).to(device)
    with torch.no_grad():
        Ys = dict(zip(layers, features(target_X, layers), strict=True))

    def share(Y: Tensor) -> Callable[[Tensor], Tensor]:
        error = target.compare(Y)
        return lambda Y_hat: error(Y_hat) / len(layers)

    terms = [
        Match(label, target_X, [layer], share)
        for label, layer in zip(labels, layers, strict=True)
    ]
    # each layer is a term, but one pass has computed the target's features at all of them
    objective = objective_of(
        [*terms, *way.priors], in_steps, targets=lambda _, names: [Ys[n] for n in names]
    )
    start = starting_picture(way.init, target.image, target.image, shape, way.seed).to(device)
    made = paint(
        start,
        [shape],
        lambda *_: objective,
        way.descent,
        steps=way.steps,
        callback=way.callback,
    )
    image = postprocess(made.picture)
    with torch.no_grad():
        visible = features(preprocess(image, shape).to(device), layers)
        errors = {
            label: float(target.compare(Ys[layer])(Y_hat))
            for label, layer, Y_hat in zip(labels, layers, visible, strict=True)
        }
    said |= {
        "layers": [layer_label(net, layer) for layer in layers],
        "steps": way.steps,
        "precision": resolve_precision(precision, device),
        "init": describe(way.init),
        "tv_weight": way.tv_weight,
        "range_weight": way.range_weight,
        "seed": way.seed,
    }
    return or_interrupted(
        ReconstructionResult(
            image,
            made.history,
            settings_of(net, device, **said),
            made.picture.cpu(),
            errors,
            interrupted=made.interrupted,
        )
    )
