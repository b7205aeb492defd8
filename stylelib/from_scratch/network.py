"""VGG-19 in NumPy: forward to any layers, backward from any of them (chapter 17)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from stylelib.arguments import choice
from stylelib.errors import FileError, InputError
from stylelib.files import ImageSource, load_image, resize
from stylelib.from_scratch.convolution import Convolution
from stylelib.from_scratch.pooling import AveragePool, MaxPool, ReLU
from stylelib.from_scratch.windows import Array, Layer, Method, check_features, check_top_diff
from stylelib.layers import POOLINGS, VGG19_BLOCKS, VGG19_LAYERS, Pooling, layer_index

__all__ = ["VGG19"]


class Parameters(NamedTuple):
    """What a file of weights holds, for pictures in the order R, G, B."""

    mean: Array  # (3,), in gray levels 0..255
    convolutions: Mapping[str, tuple[Array, Array]]  # name: weight (out, in, 3, 3), bias (out,)


class VGG19:
    """The convolutional part of VGG-19, in its original units.

    It takes pictures (N, 3, H, W) in gray levels from 0 to 255, minus a mean color;
    `to_input` makes them, `to_image` makes pictures of them again. Its activations are of the
    order of 100 to 1000.

    Args:
        weights: "embedded", or the path of a MatConvNet file `imagenet-vgg-verydeep-19.mat`,
            whose mean image is averaged to a mean color.
        layers: the layers that will be asked for; the network ends with the deepest.
        pooling: "max", as the network was trained, or "avg".
        method: how convolution and pooling compute.

    Attributes:
        layers: the layers by name, in order: conv1_1, relu1_1, ..., pool5.
        mean: R, G, B, float32.

    Raises:
        FileError: the weights are missing, or the file is not the one expected.
        InputError: a layer that VGG-19 does not have.

    `forward` is remembered by the layers: `backward` is about the last one. PyTorch only reads
    the embedded file.

    Source: Simonyan and Zisserman (2014), configuration E.

    Example:
        >>> net = VGG19(layers=["relu1_1", "pool1"])
        >>> features = net.forward(np.zeros((1, 3, 8, 12), np.float32), ["relu1_1", "pool1"])
        >>> {name: F.shape for name, F in features.items()}
        {'relu1_1': (1, 64, 8, 12), 'pool1': (1, 64, 4, 6)}
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] = "embedded",
        *,
        layers: Sequence[str] = ("pool5",),
        pooling: Pooling = "max",
        method: Method = "im2col",
    ) -> None:
        names = VGG19_LAYERS[: self._deepest(layers) + 1]
        pool = MaxPool if choice("pooling", pooling, POOLINGS) == "max" else AveragePool
        convolutions = [name for name in names if name.startswith("conv")]
        parameters = (
            _embedded(convolutions)
            if weights == "embedded"
            else _matconvnet(weights, convolutions)
        )
        self.mean = parameters.mean.astype(np.float32)
        self.layers: dict[str, Layer] = {}
        channels = 3
        for name in names:
            if name.startswith("conv"):
                width = VGG19_BLOCKS[int(name[4]) - 1][1]
                layer = Convolution(
                    3, channels, width, 1, method=method, trainable=False, seed=None
                )
                weight, bias = parameters.convolutions[name]
                layer.weight = np.ascontiguousarray(weight, dtype=np.float32)
                layer.bias = np.ascontiguousarray(bias, dtype=np.float32)
                self.layers[name] = layer
                channels = width
            else:
                self.layers[name] = (
                    ReLU() if name.startswith("relu") else pool(2, 2, method=method)
                )
        self._shapes: dict[str, tuple[int, ...]] = {}  # of the last forward's outputs

    def forward(self, X: Array, layers: Sequence[str]) -> dict[str, Array]:
        """The features at `layers`, by name; the network runs to the deepest of them.

        Args:
            X: pictures (N, 3, H, W), as `to_input` makes them.
            layers: names of layers that this network has.
        """
        check_features(X, 3)
        deepest = self._deepest(layers, len(self.layers))
        features = {}
        self._shapes = {}
        for name, layer in list(self.layers.items())[: deepest + 1]:
            try:
                X = layer.forward(X)
            except InputError as error:
                raise InputError(f"at {name}: {error}") from error
            self._shapes[name] = X.shape
            if name in layers:
                features[name] = X
        return features

    def backward(self, top_diffs: Mapping[str, Array]) -> Array:
        """The gradient at the picture, from gradients at any layers of the last forward.

        All of them in one sweep: each joins in where the sweep passes its layer.

        Args:
            top_diffs: for each layer the gradient of a loss at its features.

        Returns:
            The gradient of the sum of these losses at the picture of the last forward.
        """
        if not self._shapes:
            raise InputError("backward needs a forward before it")
        if not top_diffs:
            raise InputError("top_diffs is empty: give gradients at one or more layers")
        deepest = self._deepest(list(top_diffs), len(self._shapes))
        for name, top_diff in top_diffs.items():
            check_top_diff(top_diff, self._shapes[name])
        gradient: Array | None = None
        for name, layer in list(self.layers.items())[deepest::-1]:
            if name in top_diffs:
                joining = top_diffs[name]
                gradient = joining if gradient is None else gradient + joining
            assert gradient is not None  # the sweep begins at one of the layers named
            gradient = layer.backward(gradient)
        assert gradient is not None
        return gradient

    def to_input(self, image: ImageSource, image_shape: int | tuple[int, int]) -> Array:
        """Resize a picture to (H, W), or to a shorter side; (1, 3, H, W), float32."""
        pixels = np.asarray(resize(load_image(image), image_shape), dtype=np.float32)
        return np.ascontiguousarray((pixels - self.mean).transpose(2, 0, 1)[None])

    def to_image(self, X: Array) -> Image.Image:
        """The picture that X (1, 3, H, W) shows, rounded and cut off at black and white."""
        check_features(X, 3)
        if len(X) != 1:
            raise InputError(f"to_image takes one picture (1, 3, H, W), not {X.shape}")
        if not np.isfinite(X).all():
            raise InputError("the picture has numbers that are not finite (nan or inf)")
        pixels = X[0].transpose(1, 2, 0) + self.mean  # (H, W, 3)
        return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))

    def digest(self) -> str:
        """The first 16 digits of a SHA-256 of kinds of layers, weights and mean."""
        kinds = [type(layer).__name__ for layer in self.layers.values()]
        digest = hashlib.sha256(" ".join(kinds).encode() + self.mean.tobytes())
        for layer in self.layers.values():
            if isinstance(layer, Convolution):
                digest.update(layer.weight.tobytes() + layer.bias.tobytes())
        return digest.hexdigest()[:16]

    @staticmethod
    def _deepest(layers: Sequence[str], depth: int = len(VGG19_LAYERS)) -> int:
        listed = isinstance(layers, Iterable) and not isinstance(layers, str)
        if not listed or not layers or not all(type(x) is str for x in layers):
            raise InputError(
                f"layers is a list of names, for example ['relu4_2'], not {layers!r}"
            )
        deepest = max(layer_index(VGG19_LAYERS, layer) for layer in layers)
        if deepest >= depth:
            raise InputError(
                f"layer '{VGG19_LAYERS[deepest]}' is deeper than '{VGG19_LAYERS[depth - 1]}', "
                "where this network, or its last forward, ends: name it in VGG19(layers=...)"
            )
        return deepest


def _embedded(names: Sequence[str]) -> Parameters:
    # PyTorch, which reads the file, is imported only here
    from stylelib.weights import EMBEDDED_MEAN, read_embedded, unpack_convolution

    raw = read_embedded()
    convolutions = {}
    for name in names:
        weight, bias = (np.asarray(array) for array in unpack_convolution(raw, name))
        if name == "conv1_1":
            weight = weight[:, ::-1]  # the file takes B, G, R
        convolutions[name] = weight, bias
    return Parameters(np.array(EMBEDDED_MEAN), convolutions)


def _matconvnet(path: str | os.PathLike[str], names: Sequence[str]) -> Parameters:
    """The file as MatConvNet has published it, in either of its two layouts.

    Weights are stored (height, width, in, out), for R, G, B in 0..255 minus the mean image.
    """
    from scipy.io import loadmat  # takes a while to import

    if not isinstance(path, str | os.PathLike):
        raise InputError(f"weights is 'embedded' or a path, not {path!r}")
    if not Path(path).is_file():
        raise FileError(f"there is no file '{path}'; weights is 'embedded' or a file")
    try:
        content = loadmat(path, struct_as_record=False, squeeze_me=True)
        mean = np.asarray(_normalization(content).averageImage, dtype=np.float64)
        found = {str(layer.name): layer for layer in np.atleast_1d(content["layers"])}
        stored = {name: _parts(found[name]) for name in names}
    except Exception as error:  # scipy and what is missing in a file raise errors of all kinds
        raise FileError(
            f"'{path}' is not a MatConvNet file of VGG-19 ({type(error).__name__}: {error})"
        ) from error
    convolutions = {}
    channels = 3
    for name, (filters, bias) in stored.items():
        width = VGG19_BLOCKS[int(name[4]) - 1][1]
        if filters.shape != (3, 3, channels, width) or bias.size != width:
            raise FileError(
                f"'{path}' has filters of shape {filters.shape} and {bias.size} biases at "
                f"{name}; VGG-19 has {(3, 3, channels, width)} and {width}"
            )
        convolutions[name] = filters.transpose(3, 2, 0, 1), bias.reshape(-1)
        channels = width
    if mean.shape[-1:] != (3,):
        raise FileError(f"'{path}' has a mean image of shape {mean.shape}, not (H, W, 3)")
    return Parameters(mean.reshape(-1, 3).mean(axis=0), convolutions)


def _normalization(content: Mapping[str, Any]) -> Any:
    return content["meta"].normalization if "meta" in content else content["normalization"]


def _parts(layer: Any) -> tuple[Array, Array]:
    """The filters and biases of a layer: older files have two fields, newer ones a pair."""
    pair = layer.weights if hasattr(layer, "weights") else (layer.filters, layer.biases)
    return np.asarray(pair[0]), np.asarray(pair[1])
