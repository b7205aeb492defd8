"""VGG-19 in NumPy, forward to any layers and backward from any of them (chapter 17)."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from stylelib.arguments import choice
from stylelib.errors import FileError, InputError, missing
from stylelib.files import ImageSource, load_image, resize
from stylelib.from_scratch.convolution import Convolution
from stylelib.from_scratch.pooling import AveragePool, MaxPool, ReLU
from stylelib.from_scratch.windows import Array, Layer, Method, check_features, check_top_diff
from stylelib.layers import POOLINGS, VGG19_BLOCKS, VGG19_LAYERS, Pooling, layer_index

__all__ = ["VGG19"]


class Parameters(NamedTuple):
    """The content of a file of weights, for images in the order R, G, B."""

    mean: Array  # (3,), in gray levels 0..255
    convolutions: Mapping[str, tuple[Array, Array]]  # name: weight (out, in, 3, 3), bias (out,)


class VGG19:
    """The convolutional part of VGG-19, in its original units.

    It takes images (N, 3, H, W) in gray levels from 0 to 255, minus a mean color. `to_input`
    makes them, and `to_image` turns them back. Activations are of the order of 100 to 1000.

    Args:
        weights: "embedded", or the path of a MatConvNet file `imagenet-vgg-verydeep-19.mat`,
            whose mean image is averaged to a mean color.
        layers: the layers that you will use; the network ends with the deepest.
        pooling: "max", as the network was trained, or "avg".
        method: "im2col" or "loops", for convolution and pooling.

    Attributes:
        layers: the layers by name, in order: conv1_1, relu1_1, ..., pool5.
        mean: the mean color (R, G, B), float32.

    Raises:
        FileError: the weights are missing, or the file is not the expected one.
        InputError: VGG-19 does not have one of the layers.

    The layers remember the last `forward`, and `backward` belongs to it. PyTorch is only used
    to read the embedded file.

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
        """The features at `layers`, by name. The network runs to the deepest of them.

        Args:
            X: images (N, 3, H, W) from `to_input`.
            layers: names of layers of this network.
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
        """The gradient with respect to the image, from gradients at any layers.

        One backward pass is enough: each gradient is added when the pass reaches its layer.

        Args:
            top_diffs: for each layer, the gradient of a loss with respect to its features.

        Returns:
            The gradient of the sum of these losses with respect to the input of the last
            `forward`.
        """
        if not self._shapes:
            raise InputError("call forward before backward")
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
            assert gradient is not None  # the pass starts at one of these layers
            gradient = layer.backward(gradient)
        assert gradient is not None
        return gradient

    def to_input(self, image: ImageSource, image_shape: int | tuple[int, int]) -> Array:
        """Resize an image to (H, W) or to a shorter side: an input (1, 3, H, W), float32."""
        pixels = np.asarray(resize(load_image(image), image_shape), dtype=np.float32)
        return np.ascontiguousarray((pixels - self.mean).transpose(2, 0, 1)[None])

    def to_image(self, X: Array) -> Image.Image:
        """The image that X (1, 3, H, W) shows, rounded and clipped to black and white."""
        check_features(X, 3)
        if len(X) != 1:
            raise InputError(f"to_image needs one image (1, 3, H, W), not {X.shape}")
        if not np.isfinite(X).all():
            raise InputError("the image has values that are not finite (nan or inf)")
        pixels = X[0].transpose(1, 2, 0) + self.mean  # (H, W, 3)
        return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))

    def digest(self) -> str:
        """The first 16 digits of the SHA-256 of layer types, weights and mean."""
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
                f"layers must be a list of names, for example ['relu4_2'], not {layers!r}"
            )
        deepest = max(layer_index(VGG19_LAYERS, layer) for layer in layers)
        if deepest >= depth:
            raise InputError(
                f"layer '{VGG19_LAYERS[deepest]}' is deeper than '{VGG19_LAYERS[depth - 1]}', "
                "where this network, or its last forward, ends: name it in VGG19(layers=...)"
            )
        return deepest


def _embedded(names: Sequence[str]) -> Parameters:
    # PyTorch is imported only here, to read the file
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
    """Read a file that MatConvNet has published, in either of its two layouts.

    Weights are stored (height, width, in, out), for R, G, B in 0..255 minus the mean image.
    """
    try:
        from scipy.io import loadmat  # slow to import
    except ModuleNotFoundError as error:
        raise missing("scipy", "matconvnet") from error
    if not isinstance(path, str | os.PathLike):
        raise InputError(f"weights must be 'embedded' or a path, not {path!r}")
    if not os.path.isfile(path):
        raise FileError(f"there is no file '{path}'; weights must be 'embedded' or a file")
    if not _is_survived(path):
        raise FileError(f"'{path}' is damaged: SciPy cannot read it")
    try:
        content = loadmat(path, struct_as_record=False, squeeze_me=True)
        mean = np.asarray(_normalization(content).averageImage, dtype=np.float64)
        found = {str(layer.name): layer for layer in np.atleast_1d(content["layers"])}
        stored = {name: _parts(found[name]) for name in names}
    except Exception as error:  # scipy and missing parts raise many kinds
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


def _is_survived(path: str | os.PathLike[str]) -> bool:
    """Whether SciPy reads a file, or raises. Some damaged ones end its process."""
    code = "import sys; from scipy.io import loadmat; loadmat(sys.argv[1])"
    command = [sys.executable, "-c", code, os.fspath(path)]
    return subprocess.run(command, capture_output=True, check=False).returncode in (0, 1)


def _normalization(content: Mapping[str, Any]) -> Any:
    return content["meta"].normalization if "meta" in content else content["normalization"]


def _parts(layer: Any) -> tuple[Array, Array]:
    """The filters and biases of a layer: two fields in older files, a pair in newer ones."""
    pair = layer.weights if hasattr(layer, "weights") else (layer.filters, layer.biases)
    return np.asarray(pair[0]), np.asarray(pair[1])
