"""What a network sees in an image: its features at chosen layers (chapter 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from stylelib.arguments import choice, several
from stylelib.devices import find_device
from stylelib.errors import InputError
from stylelib.images import preprocess
from stylelib.layers import CONTENT_LAYERS, STYLE_LAYERS, Layer, layer_index
from stylelib.networks import Net, check_module, check_stack
from stylelib.precision import PRECISIONS, Precision, computed_in

__all__ = [
    "FeatureExtractor",
    "Features",
    "NetworkFeatures",
    "extract_features",
    "get_contents",
    "get_styles",
]


class Features(Protocol):
    """A source of features: a network, or anything else that is called like one."""

    def __call__(self, X: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
        """The features of images (N, 3, H, W), one tensor (N, C, H', W') per layer."""


class NetworkFeatures:
    """The features of images in a network, in one pass that goes no deeper than needed.

    Args:
        net: a network from `vgg19`, or another `nn.Sequential`.
        precision: the arithmetic of the network: "float32", "winograd", "bfloat16", or "auto",
            which is one of them that is fast on this machine (`resolve_precision`).
        widen: whether to return features in the image's own dtype. False leaves them in the
            network's arithmetic, which saves copies. The losses of this library accept them,
            and compute in float32 what needs it.
    """

    def __init__(
        self, net: nn.Sequential, precision: Precision = "float32", *, widen: bool = True
    ) -> None:
        self.net = check_eval(check_stack(net))
        self.precision = choice("precision", precision, PRECISIONS)
        self.widen = widen

    def smallest_side(self, layers: Sequence[Layer]) -> int:
        """The smallest height or width of an image that has features at these layers."""
        listed = several("layers", layers, least=0)
        deepest = max((layer_index(self.net, layer) for layer in listed), default=-1)
        return _smallest_side(list(self.net)[: deepest + 1])

    def __call__(self, X: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
        """The features of a batch of images.

        Args:
            X: normalized images of shape (N, 3, H, W).
            layers: layers by number or name.

        Returns:
            A tensor (N, C, H', W') for each layer, in the order of `layers`.

        Raises:
            InputError: the network does not have one of the layers, X has another shape, or
                the images are too small for the deepest layer.
        """
        taps = [layer_index(self.net, layer) for layer in several("layers", layers, least=0)]
        deepest = max(taps, default=-1)
        self._check(X, deepest)
        features: dict[int, Tensor] = {}
        with computed_in(self.precision, X.device):
            Y = X
            for index in range(deepest + 1):
                Y = _passed(self.net[index], Y, index)
                if index in taps:
                    features[index] = Y.to(X.dtype) if self.widen else Y
        return [features[tap] for tap in taps]

    def _check(self, X: Tensor, deepest: int) -> None:
        check_pictures(X, self.net)
        smallest = _smallest_side(list(self.net)[: deepest + 1])
        if min(X.shape[2:]) < smallest:
            raise InputError(
                f"an image of {X.shape[2]} x {X.shape[3]} pixels is too small for layer "
                f"{deepest}: each side needs {smallest} or more"
            )


def _passed(layer: nn.Module, Y: Tensor, index: int) -> Tensor:
    """What a layer makes of features; its number is for the message."""
    try:
        output: Tensor = layer(Y)
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:  # for example, a kernel larger than its input
        raise InputError(
            f"layer {index} of the network cannot process {tuple(Y.shape)}: {error}"
        ) from error
    return output


def check_batch(X: Tensor) -> None:
    """Check that X is a batch of images (N, 3, H, W)."""
    tensor = isinstance(X, Tensor)
    if not tensor or X.ndim != 4 or X.shape[1] != 3 or not X.is_floating_point():
        found = f"{tuple(X.shape)} {X.dtype}" if tensor else type(X).__name__
        raise InputError(f"X must have the shape (N, 3, H, W) in floating point, not {found}")


def check_pictures(X: Tensor, net: nn.Module) -> None:
    """Check that X is a batch of images (N, 3, H, W) in the network's dtype."""
    check_batch(X)
    weight = next(net.parameters(), X)
    if weight.dtype != X.dtype:
        raise InputError(f"the image is {X.dtype}, but the network is {weight.dtype}")


def check_eval(net: Net) -> Net:
    """Check that a pass neither changes the network nor draws random numbers; return it."""
    for part in check_module(net).modules():
        if part.training and isinstance(part, _BatchNorm | _DropoutNd):
            raise InputError(
                f"the network is in training mode, so its {type(part).__name__} would change "
                "it or draw random numbers: call net.eval() first"
            )
    return net


class FeatureExtractor(nn.Module):
    """`NetworkFeatures` with fixed layers, in the two lists that the d2l code uses.

    Args:
        net: a network from `vgg19`.
        content_layers: the layers to return as contents, by number or name, in this order.
        style_layers: the layers to return as styles, by number or name, in this order.
        precision, widen: as for `NetworkFeatures`.
        after_inplace_relu: whether to return what the d2l code gets from torchvision's network,
            whose in-place ReLUs overwrite the output of the convolution before them. These are
            the features after the ReLU, except at the network's last layer, which no ReLU
            follows. The option demonstrates this mistake; leave it off.

    Raises:
        InputError: the network does not have one of the layers.
    """

    def __init__(
        self,
        net: nn.Sequential,
        content_layers: Sequence[Layer] = CONTENT_LAYERS,
        style_layers: Sequence[Layer] = STYLE_LAYERS,
        *,
        precision: Precision = "float32",
        widen: bool = True,
        after_inplace_relu: bool = False,
    ) -> None:
        super().__init__()
        self.net = net
        self.features = NetworkFeatures(net, precision, widen=widen)
        contents = several("content_layers", content_layers, least=0)
        styles = several("style_layers", style_layers, least=0)
        self.content_taps = [layer_index(net, layer) for layer in contents]
        self.style_taps = [layer_index(net, layer) for layer in styles]
        if after_inplace_relu:
            self.content_taps = [self._overwritten_by(tap) for tap in self.content_taps]
            self.style_taps = [self._overwritten_by(tap) for tap in self.style_taps]

    @property
    def smallest_side(self) -> int:
        """The smallest height or width of an image that has these features."""
        return self.features.smallest_side(self.content_taps + self.style_taps)

    def _overwritten_by(self, tap: int) -> int:
        followed = tap + 1 < len(self.net) and isinstance(self.net[tap + 1], nn.ReLU)
        return tap + 1 if followed else tap

    def forward(self, X: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The features of a batch of images.

        Args:
            X: normalized images of shape (N, 3, H, W).

        Returns:
            (contents, styles): two lists with a tensor (N, C, H', W') per layer.

        Raises:
            InputError: X has another shape, or is too small for the deepest layer.
        """
        found = self.features(X, self.content_taps + self.style_taps)
        return found[: len(self.content_taps)], found[len(self.content_taps) :]


def _smallest_side(layers: Sequence[nn.Module]) -> int:
    """The smallest height or width of an image that has an output after these layers."""
    parts = [part for layer in layers for part in layer.modules()]
    return max(_smallest_along(axis, parts) for axis in (0, 1))


def _smallest_along(axis: int, parts: Sequence[nn.Module]) -> int:
    """The smallest height (axis 0) or width (axis 1)."""
    side = 1
    for part in reversed(parts):
        if isinstance(part, nn.Conv2d):
            window = part.dilation[axis] * (part.kernel_size[axis] - 1) + 1
            sides = part._reversed_padding_repeated_twice  # numbers, even for "same"
            padding = sum(sides[2:] if axis == 0 else sides[:2])
            side = part.stride[axis] * (side - 1) + window - padding
        elif isinstance(part, nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride = (
                n if isinstance(n, int) else n[axis] for n in (part.kernel_size, part.stride)
            )
            side = stride * (side - 1) + kernel - (stride - 1 if part.ceil_mode else 0)
        side = max(1, side)
    return side


def extract_features(
    X: Tensor,
    net: nn.Sequential,
    content_layers: Sequence[Layer] = CONTENT_LAYERS,
    style_layers: Sequence[Layer] = STYLE_LAYERS,
    *,
    after_inplace_relu: bool = False,
) -> tuple[list[Tensor], list[Tensor]]:
    """The content and style features of images, in one pass (see `FeatureExtractor`).

    Args:
        X: normalized images of shape (N, 3, H, W).
        net: a network from `vgg19`.
        content_layers: layers by number or name.
        style_layers: layers by number or name.
        after_inplace_relu: whether to reproduce what torchvision's in-place ReLUs leave.

    Returns:
        (contents, styles): two lists with a tensor (N, C, H', W') per layer.

    Example:
        >>> import torch
        >>> from stylelib import extract_features, vgg19
        >>> contents, styles = extract_features(torch.zeros(1, 3, 64, 96), vgg19())
        >>> [tuple(Y.shape) for Y in styles][:2]
        [(1, 64, 64, 96), (1, 128, 32, 48)]
    """
    extractor = FeatureExtractor(
        net, content_layers, style_layers, after_inplace_relu=after_inplace_relu
    )
    contents, styles = extractor(X)
    return contents, styles


def get_contents(
    image: Image.Image,
    image_shape: int | tuple[int, int],
    net: nn.Sequential,
    device: torch.device | str | None = None,
    *,
    content_layers: Sequence[Layer] = CONTENT_LAYERS,
) -> tuple[Tensor, list[Tensor]]:
    """The preprocessed content image and its content features, without gradients.

    Args:
        image: a PIL image.
        image_shape: (H, W), or the shorter side, in pixels.
        net: the network, which is moved to `device`.
        device: where to compute; None means the network's own device.
        content_layers: layers by number or name.

    Returns:
        (content_X, contents_Y): the normalized image (1, 3, H, W) and a tensor per layer.
    """
    content_X = _to_device(preprocess(image, image_shape), net, device)
    with torch.no_grad():
        contents_Y, _ = extract_features(content_X, net, content_layers, ())
    return content_X, contents_Y


def get_styles(
    image: Image.Image,
    image_shape: int | tuple[int, int],
    net: nn.Sequential,
    device: torch.device | str | None = None,
    *,
    style_layers: Sequence[Layer] = STYLE_LAYERS,
) -> tuple[Tensor, list[Tensor]]:
    """The preprocessed style image and its style features; see `get_contents`.

    Returns:
        (style_X, styles_Y): the normalized image (1, 3, H, W) and a tensor per layer.
    """
    style_X = _to_device(preprocess(image, image_shape), net, device)
    with torch.no_grad():
        _, styles_Y = extract_features(style_X, net, (), style_layers)
    return style_X, styles_Y


def _to_device(X: Tensor, net: nn.Sequential, device: torch.device | str | None) -> Tensor:
    check_stack(net)
    if device is None:
        return X.to(next(net.parameters(), X).device)
    device = find_device(device)
    net.to(device)
    return X.to(device)
