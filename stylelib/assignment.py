"""The losses of a course assignment, by its names and signatures (chapter 12).

The names are those of the main line; the weights go inside, sums take the place of means, and
total variation squares its differences. So it stays a module of its own:
`from stylelib import assignment`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import MultiStepLR

from stylelib.checks import check_seed, number, whole
from stylelib.conventions import squared_tv_loss
from stylelib.descents import check_lr
from stylelib.devices import find_device
from stylelib.errors import InputError
from stylelib.features import FeatureExtractor
from stylelib.files import ImageSource, load_image, target_shape
from stylelib.images import postprocess, preprocess
from stylelib.layers import Layer, layer_index
from stylelib.losses import check_features, check_weight, gram
from stylelib.networks import vgg19
from stylelib.optimization import gradient_shares, optimize
from stylelib.records import Callback
from stylelib.results import TransferResult, describe, surroundings
from stylelib.synthesis import starting_picture
from stylelib.weights import network_digest

__all__ = [
    "EMBEDDED_SETTINGS",
    "SQUEEZENET_SETTINGS",
    "Settings",
    "content_loss",
    "gram_matrix",
    "style_loss",
    "style_transfer",
    "tv_loss",
]


def content_loss(
    content_weight: float, content_current: Tensor, content_original: Tensor
) -> Tensor:
    """content_weight * sum((F - P)^2).

    Args:
        content_weight: a factor.
        content_current: features F of the picture that is being made, (N, C, H, W).
        content_original: features P of the content picture, of the same shape; no gradient
            flows into them.
    """
    check_features(content_current)
    if content_current.shape != content_original.shape:
        raise InputError(
            f"content_current has the shape {tuple(content_current.shape)} and "
            f"content_original {tuple(content_original.shape)}; they must be the same"
        )
    return content_weight * (content_current - content_original.detach()).square().sum()


def gram_matrix(features: Tensor, normalize: bool = True) -> Tensor:
    """Gram matrices F F^T, divided by C H W where `normalize` is true.

    Args:
        features: (N, C, H, W).
        normalize: whether to divide.

    Returns:
        (N, C, C): one matrix for each picture of the batch.
    """
    matrices = gram(features)
    return matrices if normalize else matrices * features[0].numel()


def style_loss(
    feats: Sequence[Tensor],
    style_layers: Sequence[int],
    style_targets: Sequence[Tensor],
    style_weights: Sequence[float],
) -> Tensor:
    """Sum over layers of style_weights[i] * sum((G_i - style_targets[i])^2).

    Args:
        feats: features of the picture that is being made, (N, C, H, W), of *every* layer.
        style_layers: which of `feats` to compare, by number from 0.
        style_targets: normalised Gram matrices to reach, one for each of `style_layers`, (N, C,
            C) or (1, C, C); no gradient flows into them.
        style_weights: a factor for each of `style_layers`.
    """
    if not style_layers or not len(style_layers) == len(style_targets) == len(style_weights):
        raise InputError(
            f"{len(style_layers)} style layers have {len(style_targets)} targets and "
            f"{len(style_weights)} weights; each needs one of both, and there must be a layer"
        )
    losses = []
    for index, target, weight in zip(style_layers, style_targets, style_weights, strict=True):
        if not 0 <= index < len(feats):
            raise InputError(f"there is no layer {index}; feats has {len(feats)}, from 0")
        G = gram_matrix(feats[index])
        if target.shape not in (G.shape, (1, *G.shape[1:])):
            raise InputError(
                f"the target of layer {index} has the shape {tuple(target.shape)}; its "
                f"features need {tuple(G.shape)}"
            )
        losses.append(weight * (G - target.detach()).square().sum())
    return torch.stack(losses).sum()


def tv_loss(img: Tensor, tv_weight: float) -> Tensor:
    """tv_weight * (sum of squared vertical + sum of squared horizontal differences).

    Args:
        img: pictures (N, 3, H, W).
        tv_weight: a factor.
    """
    return tv_weight * squared_tv_loss(img)


@dataclass(frozen=True)
class Settings:
    """Sizes, layers and weights: `style_transfer(content, style, SQUEEZENET_SETTINGS)`.

    Attributes:
        image_size: shorter side of the content picture, pixels.
        style_size: shorter side of the style picture.
        content_layer: where content is compared.
        content_weight: its factor.
        style_layers: where style is compared.
        style_weights: a factor for each of them.
        tv_weight: the factor of total variation.
    """

    image_size: int
    style_size: int
    content_layer: Layer
    content_weight: float
    style_layers: tuple[Layer, ...]
    style_weights: tuple[float, ...]
    tv_weight: float


SQUEEZENET_SETTINGS = Settings(192, 512, 3, 6e-2, (1, 4, 6, 7), (300000, 1000, 15, 3), 5e-2)
"""For SqueezeNet 1.1, as in the report this module reproduces; the course's sets are others."""
EMBEDDED_SETTINGS = Settings(
    192,
    512,
    "relu3_2",
    6e-2,
    ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
    (1e6, 3e5, 6e4, 1.5e4),
    5e-2,
)
"""The same for the embedded VGG-19, chosen by looking at pictures."""


def style_transfer(
    content: ImageSource,
    style: ImageSource,
    settings: Settings = EMBEDDED_SETTINGS,
    *,
    steps: int = 200,
    lr: float = 3.0,
    decayed_lr: float = 0.1,
    decay_lr_at: int = 180,
    largest: float = 1.5,
    init_random: bool = False,
    seed: int = 0,
    device: torch.device | str | None = None,
    net: nn.Sequential | None = None,
    callback: Callback | None = None,
) -> TransferResult:
    """Style transfer by the assignment's losses and schedule.

    Adam at 3.0, whose first steps carry pixels from one end of their range to the other; from
    step 180 at 0.1.

    Args:
        content: a path, bytes, a binary file or a PIL image.
        style: likewise.
        settings: sizes, layers and weights. They must fit the network.
        steps: the number of steps.
        lr: Adam's learning rate at the start.
        decayed_lr: the learning rate after `decay_lr_at` steps.
        decay_lr_at: after how many steps it changes.
        largest: the picture is clamped to +-largest, in normalised units, at the start
            and after each step.
        init_random: start from noise in place of the content picture.
        seed: of the noise.
        device: where to compute; None is a GPU that CUDA knows, where there is one, else the
            processor.
        net: the network; None is the embedded VGG-19. For `SQUEEZENET_SETTINGS`:
            `squeezenet1_1()`.
        callback: called with a `Step` after each step; returning True ends it.

    Raises:
        FileError: a picture cannot be read.
        InputError: an argument is out of its range.
        DivergenceError: the loss is no longer finite.

    Source: the style transfer assignment of Stanford's course CS231n. There Adam begins anew at
    `decay_lr_at`, here it keeps its averages; there the picture is clamped before each step but
    the last ten, here before the first and after each; there random starts are uniform, here
    they are faint noise.
    """
    content_image, style_image = load_image(content), load_image(style)
    seed = check_seed(seed)
    lr, decayed_lr = check_lr(lr), check_lr(decayed_lr)
    largest = number("largest", largest, above=0, below=1e38)
    check_weight("content", settings.content_weight)
    for weight in settings.style_weights:
        check_weight("style", weight)
    check_weight("tv", settings.tv_weight)
    if not settings.style_layers or len(settings.style_weights) != len(settings.style_layers):
        raise InputError(
            f"{len(settings.style_layers)} style layers have {len(settings.style_weights)} "
            "weights; each needs one, and there must be a layer"
        )
    decay_lr_at = whole("decay_lr_at", decay_lr_at)
    device = find_device(device)
    layers = [settings.content_layer, *settings.style_layers]
    net = (vgg19(layers=layers) if net is None else net).to(device)
    shape = target_shape(content_image, settings.image_size)
    content_X = preprocess(content_image, shape).to(device)
    style_X = preprocess(style_image, settings.style_size).to(device)
    extractor = FeatureExtractor(net, [settings.content_layer], settings.style_layers)
    with torch.no_grad():
        content_original = extractor(content_X)[0][0]
        style_targets = [gram_matrix(Y) for Y in extractor(style_X)[1]]

    def objective(X: Tensor) -> dict[str, Tensor]:
        (content_current,), feats = extractor(X)
        return {
            "content": content_loss(settings.content_weight, content_current, content_original),
            "style": style_loss(
                feats, range(len(feats)), style_targets, settings.style_weights
            ),
            "tv": tv_loss(X, settings.tv_weight),
        }

    init = "noise" if init_random else "content"
    X = starting_picture(init, content_image, style_image, shape, seed)
    X = X.to(device).requires_grad_()
    optimizer = torch.optim.Adam([X], lr=lr)
    limit = torch.tensor(largest, device=device)
    result = optimize(
        X,
        objective,
        optimizer,
        steps=steps,
        scheduler=MultiStepLR(optimizer, [decay_lr_at], gamma=decayed_lr / lr),
        clamp=(-limit, limit),
        callback=callback,
    )
    used: dict[str, Any] = asdict(settings) | {
        "content_layer": layer_index(net, settings.content_layer),
        "style_layers": [layer_index(net, layer) for layer in settings.style_layers],
    }
    made = surroundings() | {
        "recipe": "assignment",
        "content": describe(content),
        "style": describe(style),
        **used,
        "steps": steps,
        "lr": lr,
        "decayed_lr": decayed_lr,
        "decay_lr_at": decay_lr_at,
        "largest": largest,
        "init": init,
        "seed": seed,
        "network": network_digest(net),
        "device": str(device),
    }
    try:
        shares = gradient_shares(result.picture, objective)
    except KeyboardInterrupt:
        shares = {}
    picture = result.picture.cpu()
    return TransferResult(
        postprocess(picture),
        result.history,
        made,
        picture,
        shares,
        interrupted=result.interrupted,
    )
