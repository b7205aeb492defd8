"""Losses as modules inside the network, for the method of the paper (chapter 9).

The image goes through the network once. Each loss module computes and keeps the loss of the
features that reach it, and returns them unchanged.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stylelib.errors import InputError
from stylelib.features import FeatureExtractor
from stylelib.images import IMAGE_MEAN, IMAGE_STD
from stylelib.layers import Layer, layer_index
from stylelib.losses import (
    LossWeights,
    check_features,
    check_tensor,
    check_weights,
    gram,
    tv_loss,
)
from stylelib.networks import check_stack, named_layers
from stylelib.optimization import Objective
from stylelib.relatives.conventions import convention

__all__ = [
    "PAPER_CONTENT_LAYERS",
    "PAPER_STYLE_LAYERS",
    "ContentLoss",
    "LossNetwork",
    "Normalization",
    "StyleLoss",
    "insert_losses",
    "modules_objective",
]

PAPER_STYLE_LAYERS: tuple[str, ...] = (
    "relu1_1",
    "relu2_1",
    "relu3_1",
    "relu4_1",
    "relu5_1",
)
"""The layers at which the paper compares styles: the first ReLU of each block."""
PAPER_CONTENT_LAYERS: tuple[str, ...] = ("relu4_2",)
"""The layer at which the paper compares content."""


class Normalization(nn.Module):
    """Normalizes pixels in 0..1, as the first layer of a network that takes plain images.

    Args:
        mean: the mean of each channel, 0..1; ImageNet's by default.
        std: the standard deviation of each channel; ImageNet's by default.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor = IMAGE_MEAN, std: Tensor = IMAGE_STD) -> None:
        super().__init__()
        check_tensor("mean", mean)
        check_tensor("std", std)
        self.register_buffer("mean", mean.detach().clone().view(-1, 1, 1))
        self.register_buffer("std", std.detach().clone().view(-1, 1, 1))

    def forward(self, X: Tensor) -> Tensor:
        """(X - mean) / std for images (N, 3, H, W) in 0..1."""
        return (X - self.mean) / self.std


class ContentLoss(nn.Module):
    """Compares its input features with fixed ones and returns the input unchanged.

    Args:
        Y: the target features, (1, C, H, W).
        by: the convention of the loss, see `stylelib.relatives.conventions`.

    Attributes:
        loss: the loss of the latest input, a tensor with no axes. Every pass replaces it, so
            read it after each.
    """

    loss: Tensor
    target: Tensor

    def __init__(self, Y: Tensor, by: str = "modules") -> None:
        super().__init__()
        check_features(Y)
        self.register_buffer("target", Y.detach().clone())
        self.convention = convention(by)

    def forward(self, Y_hat: Tensor) -> Tensor:
        """Keep the loss of Y_hat, (1, C, H, W); return Y_hat itself."""
        self.loss = self.convention.content_loss(Y_hat, self.target)
        return Y_hat


class StyleLoss(nn.Module):
    """Compares the Gram matrix of its input with a fixed one and returns the input unchanged.

    Args:
        Y: features of the style image at this layer, (1, C, H', W'), of any size.
        by: as for `ContentLoss`.

    Attributes:
        loss: as for `ContentLoss`.
    """

    loss: Tensor
    target: Tensor

    def __init__(self, Y: Tensor, by: str = "modules") -> None:
        super().__init__()
        check_features(Y)
        self.register_buffer("target", gram(Y.detach()))
        self.convention = convention(by)

    def forward(self, Y_hat: Tensor) -> Tensor:
        """Keep the loss of Y_hat, (1, C, H, W); return Y_hat itself."""
        self.loss = self.convention.style_loss(Y_hat, self.target)
        return Y_hat


class LossNetwork(NamedTuple):
    """The network up to its last loss, and the losses in it, in the order of the network."""

    model: nn.Sequential
    content_losses: list[ContentLoss]
    style_losses: list[StyleLoss]


def insert_losses(
    net: nn.Sequential,
    content_X: Tensor,
    style_X: Tensor,
    *,
    content_layers: Sequence[Layer] = PAPER_CONTENT_LAYERS,
    style_layers: Sequence[Layer] = PAPER_STYLE_LAYERS,
    by: str = "modules",
    normalization: Normalization | None = None,
) -> LossNetwork:
    """Insert loss modules into a network, so that it compares its input with two images.

    The new network shares the layers of `net`; it does not copy them. Only in-place ReLUs are
    replaced, because they would overwrite the features that a loss module keeps.

    Args:
        net: a network as `vgg19` returns it; it is not changed.
        content_X: the content image, (1, 3, H, W): normalized, or in 0..1 with a
            `normalization`.
        style_X: the style image, of any size, in the same units.
        content_layers: the layers of `net` after which content is compared.
        style_layers: the layers of `net` after which style is compared.
        by: the convention of the losses, see `stylelib.relatives.conventions`.
        normalization: the first layer of the model; with it, the model takes pixels in 0..1.

    Raises:
        InputError: the network has no such layer, no layer is named, or an image is too small.

    Source: Gatys, Ecker and Bethge (2016), figure 2, in the form of PyTorch's tutorial "Neural
    Transfer Using PyTorch".
    """
    if not content_layers and not style_layers:
        raise InputError("there is nothing to compare: name a content or a style layer")
    head = [] if normalization is None else [("normalization", normalization)]
    start = nn.Sequential(OrderedDict[str, nn.Module](head))
    named = [
        (name, nn.ReLU() if isinstance(layer, nn.ReLU) and layer.inplace else layer)
        for name, layer in named_layers(check_stack(net))
    ]
    plain = nn.Sequential(OrderedDict[str, nn.Module](named))
    with torch.no_grad():
        contents_Y, _ = FeatureExtractor(plain, content_layers, ())(start(content_X))
        _, styles_Y = FeatureExtractor(plain, (), style_layers)(start(style_X))
    if len({layer_index(net, n) for n in content_layers}) < len(content_layers) or len(
        {layer_index(net, n) for n in style_layers}
    ) < len(style_layers):
        raise InputError("a layer is named twice")
    contents = dict(zip((layer_index(net, n) for n in content_layers), contents_Y, strict=True))
    styles = dict(zip((layer_index(net, n) for n in style_layers), styles_Y, strict=True))

    layers = OrderedDict[str, nn.Module](head)
    content_losses: list[ContentLoss] = []
    style_losses: list[StyleLoss] = []
    for index, (name, layer) in enumerate(named):
        if index > max([*contents, *styles]):
            break
        layers[name] = layer
        if index in contents:
            layers[f"content_{name}"] = content = ContentLoss(contents[index], by)
            content_losses.append(content)
        if index in styles:
            layers[f"style_{name}"] = style = StyleLoss(styles[index], by)
            style_losses.append(style)
    return LossNetwork(nn.Sequential(layers), content_losses, style_losses)


def modules_objective(losses: LossNetwork, weights: LossWeights) -> Objective:
    """The losses "content" and "style" of an image, from their modules.

    The modules' convention decides whether layers are summed or averaged. If the weight of
    total variation is not 0, there is also "tv", as in the d2l recipe.
    """
    kinds: dict[str, Sequence[ContentLoss | StyleLoss]] = {
        "content": losses.content_losses,
        "style": losses.style_losses,
    }
    weights = check_weights(weights)
    factors = weights._asdict()

    def objective(X: Tensor) -> dict[str, Tensor]:
        losses.model(X)
        values = {
            name: factors[name] * modules[0].convention.over_layers([m.loss for m in modules])
            for name, modules in kinds.items()
            if modules
        }
        return values | ({"tv": weights.tv * tv_loss(X)} if weights.tv else {})

    return objective
