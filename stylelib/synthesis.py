"""The synthesized image and its training, as in the recipe (chapter 7)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

from stylelib.arguments import several, whole
from stylelib.descents import check_lr
from stylelib.devices import find_device
from stylelib.errors import InputError
from stylelib.features import FeatureExtractor, check_batch
from stylelib.files import ImageSource, load_image
from stylelib.images import preprocess, visible_range
from stylelib.layers import CONTENT_LAYERS, STYLE_LAYERS, Layer
from stylelib.losses import D2L_WEIGHTS, LossWeights, check_weights, compute_loss, gram
from stylelib.networks import check_stack
from stylelib.optimization import Objective, optimize
from stylelib.precision import Precision
from stylelib.records import Callback

__all__ = [
    "INITS",
    "Init",
    "SynthesizedImage",
    "get_inits",
    "starting_picture",
    "style_objective",
    "train",
]

Init = Literal["content", "style", "noise"]
INITS: tuple[Init, ...] = ("content", "style", "noise")


class SynthesizedImage(nn.Module):
    """A module whose only parameter is an image, at first all 0: the mean color of ImageNet.

    Args:
        img_shape: (1, 3, H, W).
    """

    def __init__(self, img_shape: Sequence[int]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(*img_shape))

    def forward(self) -> Tensor:
        """The image itself, (1, 3, H, W), normalized."""
        return self.weight


def get_inits(
    X: Tensor, device: torch.device | str | None, lr: float, styles_Y: Sequence[Tensor]
) -> tuple[Tensor, list[Tensor], torch.optim.Adam]:
    """The image to start from, the Gram matrices to reach, and an Adam that moves the image.

    Args:
        X: what the image starts as, (1, 3, H, W), normalized; it is copied.
        device: where to train; None is where X is.
        lr: Adam's learning rate, in normalized units per step.
        styles_Y: the features of the style image, one tensor per layer.
    """
    check_batch(X)
    device = X.device if device is None else find_device(device)
    gen_img = SynthesizedImage(X.shape).to(device, X.dtype)
    gen_img.weight.data.copy_(X.data)
    trainer = torch.optim.Adam(gen_img.parameters(), lr=check_lr(lr))
    styles_Y_gram = [gram(Y) for Y in styles_Y]
    return gen_img(), styles_Y_gram, trainer


def style_objective(
    extractor: FeatureExtractor,
    contents_Y: Sequence[Tensor],
    styles_Y_gram: Sequence[Tensor],
    weights: LossWeights = D2L_WEIGHTS,
) -> Objective:
    """The losses "content", "style" and "tv" of an image, each added up over its layers."""

    def objective(X: Tensor) -> dict[str, Tensor]:
        contents_Y_hat, styles_Y_hat = extractor(X)
        contents_l, styles_l, tv_l, _ = compute_loss(
            X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram, weights=weights
        )
        zero = 0 * tv_l  # the sum over no layers, still a tensor
        return {"content": sum(contents_l, zero), "style": sum(styles_l, zero), "tv": tv_l}

    return objective


def train(
    X: Tensor,
    contents_Y: Sequence[Tensor],
    styles_Y: Sequence[Tensor],
    device: torch.device | str | None = None,
    lr: float = 0.3,
    num_epochs: int = 500,
    lr_decay_epoch: int = 50,
    *,
    net: nn.Sequential,
    weights: LossWeights = D2L_WEIGHTS,
    content_layers: Sequence[Layer] = CONTENT_LAYERS,
    style_layers: Sequence[Layer] = STYLE_LAYERS,
    precision: Precision = "auto",
    clamp: bool = False,
    callback: Callback | None = None,
) -> Tensor:
    """Optimize an image toward the content of one image and the style of another.

    Args:
        X: the image to start from, (1, 3, H, W), normalized; it is not changed.
        contents_Y: content features to reach, one tensor per layer (`get_contents`).
        styles_Y: style features to reach, one tensor per layer (`get_styles`).
        device: where to train; None is where X is. `net` is moved there.
        lr: Adam's learning rate at the start.
        num_epochs: the number of steps; the d2l code calls them epochs.
        lr_decay_epoch: each time this many steps have passed, the learning rate is multiplied
            by 0.8.
        net: the network, as `vgg19` returns it.
        weights: a factor for each kind of loss.
        content_layers: the layers that `contents_Y` come from.
        style_layers: the layers that `styles_Y` come from.
        precision: the arithmetic of the network, see `FeatureExtractor`.
        clamp: keep every pixel within the visible range after each step. The d2l code does not.
        callback: called with a `Step` after each step: plots, progress bars and savers go here.

    Returns:
        The optimized image, (1, 3, H, W), normalized, detached.

    Raises:
        DivergenceError: the loss is no longer finite; the exception carries the last good
            image.
        InputError: the arguments do not fit together.

    Source: Zhang et al., Dive into Deep Learning, "Neural Style Transfer": Adam and StepLR with
    these defaults.
    """
    check_batch(X)
    lr, lr_decay_epoch = check_lr(lr), whole("lr_decay_epoch", lr_decay_epoch)
    num_epochs, weights = whole("num_epochs", num_epochs, least=0), check_weights(weights)
    contents_Y = several("contents_Y", contents_Y, least=0)
    styles_Y = several("styles_Y", styles_Y, least=0)
    device = X.device if device is None else find_device(device)
    net = check_stack(net)
    X, styles_Y_gram, trainer = get_inits(X, device, lr, [Y.to(device) for Y in styles_Y])
    contents_Y = [Y.to(device) for Y in contents_Y]
    extractor = FeatureExtractor(
        net.to(device), content_layers, style_layers, precision=precision, widen=False
    )
    return optimize(
        X,
        style_objective(extractor, contents_Y, styles_Y_gram, weights),
        trainer,
        steps=num_epochs,
        scheduler=StepLR(trainer, lr_decay_epoch, gamma=0.8),
        clamp=visible_range(device) if clamp else None,
        callback=callback,
    ).picture


def starting_picture(
    init: Init | ImageSource,
    content: Image.Image,
    style: Image.Image,
    shape: tuple[int, int],
    seed: int,
) -> Tensor:
    """The image to start from, (1, 3, H, W), normalized.

    The noise is faint: normal around the mean color, with a standard deviation of 0.1, about 6
    gray levels. Noise over the whole range has fine grain that the deep layers do not see, so
    it would stay to the end.
    """
    if isinstance(init, str) and init == "noise":
        return 0.1 * torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(seed))
    given = {"content": content, "style": style}.get(init) if isinstance(init, str) else None
    if given is None:
        if isinstance(init, str) and not os.path.exists(init):
            raise InputError(
                f"init is 'content', 'style', 'noise' or an image; there is no file '{init}'"
            )
        given = load_image(init)
    return preprocess(given, shape)
