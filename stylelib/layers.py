"""The layers of the networks by number and by name (chapter 3). PyTorch is not needed."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Literal

from stylelib.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "CONTENT_LAYERS",
    "POOLINGS",
    "SQUEEZENET_LAYERS",
    "STYLE_LAYERS",
    "VGG19_BLOCKS",
    "VGG19_LAYERS",
    "Layer",
    "Pooling",
    "layer_index",
    "layer_name",
]

Pooling = Literal["max", "avg"]
POOLINGS: tuple[Pooling, ...] = ("max", "avg")
Layer = int | str
"""A layer by number (torchvision's) or by name, such as 28 or "conv5_1"."""

VGG19_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""(number of convolutions, channels) of each of the five blocks. Every block ends with 2 x 2
max pooling."""

VGG19_LAYERS: tuple[str, ...] = tuple(
    name
    for block, (convolutions, _) in enumerate(VGG19_BLOCKS, 1)
    for name in [
        *(
            f"{kind}{block}_{i}"
            for i in range(1, convolutions + 1)
            for kind in ("conv", "relu")
        ),
        f"pool{block}",
    ]
)
"""The names of layers 0 to 36: conv1_1, relu1_1, conv1_2, ..., pool5."""

STYLE_LAYERS: tuple[int, ...] = (0, 5, 10, 19, 28)
"""conv1_1, conv2_1, conv3_1, conv4_1, conv5_1: the first convolution of each block."""
CONTENT_LAYERS: tuple[int, ...] = (25,)
"""conv4_4: the last convolution of block 4."""

SQUEEZENET_LAYERS: tuple[str, ...] = (
    "conv1",
    "relu1",
    "pool1",
    "fire2",
    "fire3",
    "pool3",
    "fire4",
    "fire5",
    "pool5",
    "fire6",
    "fire7",
    "fire8",
    "fire9",
)
"""The names of layers 0 to 12. The paper calls the first Fire module fire2."""


def layer_index(names: Sequence[str] | nn.Sequential, layer: Layer) -> int:
    """The number of a layer given by number or by name.

    Args:
        names: the layers' names in order, or the network itself.
        layer: for example 28 or "conv5_1"; negative numbers are not allowed.

    Raises:
        InputError: there is no such layer; the message suggests a similar name.
    """
    if not isinstance(names, Sequence):
        names = list(names._modules)
    if isinstance(layer, str):
        if layer in names:
            return list(names).index(layer)
        known = f"the layers are {names[0]} to {names[-1]}" if names else "there are none"
        hint = did_you_mean(layer, names, known)
        raise InputError(f"there is no layer '{layer}'; {hint}")
    number = isinstance(layer, Integral) and not isinstance(layer, bool)
    if not number or not 0 <= layer < len(names):
        raise InputError(f"there is no layer {layer!r}; the layers are 0 to {len(names) - 1}")
    return int(layer)


def layer_name(layer: Layer) -> str:
    """The name of a VGG-19 layer: `layer_name(28)` is "conv5_1"."""
    return VGG19_LAYERS[layer_index(VGG19_LAYERS, layer)]
