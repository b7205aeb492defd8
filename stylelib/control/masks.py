"""Regions: where a style goes, and where it is taken from (chapter 28)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageColor
from torch import Tensor, nn
from torch.nn.functional import interpolate, max_pool2d, pad
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from stylelib.arguments import whole
from stylelib.errors import InputError
from stylelib.features import Features, NetworkFeatures
from stylelib.files import ImageSource, load_image, load_with_alpha
from stylelib.images import has_numbers
from stylelib.large.sums import (
    Additive,
    BySums,
    Spread,
    Window,
    adds_up,
    by_sums_of,
    shapes_at,
)
from stylelib.layers import Layer, layer_index
from stylelib.objectives import FeatureLoss, marks_of, takes_bfloat16

__all__ = [
    "MaskSource",
    "eroded",
    "load_mask",
    "mask_for",
    "region_of_color",
    "resized",
    "resized_inside",
    "within",
]

MaskSource = ImageSource | NDArray[Any] | Tensor
"""An image, white inside and black outside; or an array or a tensor (H, W), 1 and 0."""
ALMOST = 8
"""Gray levels of a mask so near to black or white count as such: a JPEG file blurs both."""
PLAIN = (
    *(nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Hardswish, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Identity),
    *(_BatchNorm, _DropoutNd, nn.LocalResponseNorm),
)
"""Layers in which, in eval mode, a position depends on that position alone."""
BLOCKS = ("stylelib.networks.Fire", "torchvision.models.squeezenet.Fire")
"""Modules that see no more than their parts in a row. Of others the code may do anything."""


def load_mask(source: MaskSource, name: str = "mask") -> Tensor:
    """Read a mask.

    Args:
        source: an image (a path, bytes, a binary file, a PIL image), whose luminance counts,
            white inside; what is transparent is outside. Or an array or a tensor, (H, W),
            (1, H, W) or (1, 1, H, W), of truth values or of numbers from 0 to 1.
        name: of the argument, for the messages.

    Returns:
        (1, 1, H, W), 0..1, float32.

    Raises:
        FileError: the image cannot be read.
        InputError: another shape, values outside 0..1, or a mask that is nowhere above one
            half.

    Example:
        >>> import numpy as np
        >>> load_mask(np.array([[0, 1, 1]])).shape
        torch.Size([1, 1, 1, 3])
    """
    if isinstance(source, np.ndarray | Tensor):
        mask = _from_values(source, name)
    else:
        mask = _from_image(source)
    most = float(mask.max()) if mask.numel() else 0.0
    if most == 0:
        raise InputError(f"{name} is empty: it is 0 (black) everywhere")
    if most <= 0.5:
        raise InputError(f"{name} is at most {most:.2g}; inside it must be 1 (white)")
    return mask


def _from_values(source: NDArray[Any] | Tensor, name: str) -> Tensor:
    if isinstance(source, np.ndarray):
        if source.dtype.kind not in "biuf":
            raise InputError(f"{name} must have numbers or truth values, not {source.dtype}")
        source = torch.from_numpy(source.astype(np.float64))
    if not has_numbers(source):
        what = f"{source.dtype} {source.layout} on {source.device}"
        raise InputError(f"{name} must have real values, not {what}")
    values = source.detach().cpu().double()
    if values.ndim < 2 or values.ndim > 4 or values.shape[:-2].numel() != 1:
        raise InputError(f"{name} must have the shape (H, W), not {tuple(values.shape)}")
    if not bool(((values >= 0) & (values <= 1)).all()):
        found = f"{float(values.min()):g} to {float(values.max()):g}"
        raise InputError(
            f"{name} must have values from 0 (outside) to 1 (inside), not {found}; "
            "scale it first"
        )
    return values.float().reshape(1, 1, *values.shape[-2:])


def _from_image(source: ImageSource) -> Tensor:
    image, alpha = load_with_alpha(source)
    gray = np.array(image.convert("L")).astype(np.float32)
    if alpha is not None:
        gray = gray * np.array(alpha) / 255
    gray[gray < ALMOST] = 0
    gray[gray > 255 - ALMOST] = 255
    return torch.from_numpy(gray)[None, None] / 255


def region_of_color(
    labels: ImageSource, color: str | tuple[int, int, int], tolerance: int = 8
) -> Tensor:
    """The region that has one color in an image of labels, such as one drawn by hand.

    Args:
        labels: the image.
        color: (R, G, B), 0..255, or a name or a code such as "red" or "#ff0000".
        tolerance: how far each channel may be from it, 0..255.

    Returns:
        (H, W), 0 or 1.

    Raises:
        FileError: the image cannot be read.
        InputError: this is no color, or no pixel has it; the message names the most frequent
            ones.

    Example:
        >>> from PIL import Image
        >>> float(region_of_color(Image.new("RGB", (3, 2), "red"), "red").mean())
        1.0
    """
    wanted = np.array(_color(color))
    tolerance = whole("tolerance", tolerance, least=0, most=255)
    image = load_image(labels)
    pixels = np.asarray(image).astype(int)
    region = (np.abs(pixels - wanted) <= tolerance).all(axis=2)
    if not region.any():
        found = sorted(image.getcolors(image.width * image.height) or [], reverse=True)[:4]
        colors = ", ".join(str(each) for _, each in found)
        raise InputError(f"no pixel has the color {color}; the most frequent: {colors}")
    return torch.from_numpy(region).float()


def _color(color: str | tuple[int, int, int]) -> tuple[int, ...]:
    try:
        named = ImageColor.getrgb(color)[:3] if isinstance(color, str) else tuple(color)
    except (ValueError, TypeError):
        named = ()
    if len(named) != 3:
        raise InputError(
            f'color must be (R, G, B), or a name or a code such as "#ff0000", not {color!r}'
        )
    return tuple(whole("a channel of a color", c, least=0, most=255) for c in named)


def resized(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """A mask (1, 1, H, W) in another size, each value the mean of what it covers."""
    if tuple(mask.shape[2:]) == tuple(shape):
        return mask
    return interpolate(mask, shape, mode="bilinear", antialias=True).clamp(0, 1)


def resized_inside(mask: Tensor, shape: tuple[int, int]) -> Tensor:
    """As `resized`, but 0 where the pixel of an image resized along has seen any 0 of the mask.

    An image loses its sharp border when it is resized: pixels beside the border mix both sides.
    """
    if tuple(mask.shape[2:]) == tuple(shape):
        return mask
    outside = (mask == 0).float()
    for axis, size in enumerate(shape, 2):
        old = outside.shape[axis]
        reach = max(1.0, old / size)  # of `preprocess`, which interpolates linearly
        centers = (torch.arange(size, dtype=torch.float64) + 0.5) * old / size
        first = (centers - reach).floor().clamp(min=0).long()
        after = (centers + reach).ceil().clamp(max=old).long()
        counts = pad(outside.double().cumsum(axis), (0, 0, 1, 0) if axis == 2 else (1, 0))
        seen = counts.index_select(axis, after) - counts.index_select(axis, first)
        outside = (seen > 0).float()
    return resized(mask, shape) * (1 - outside)


def mask_for(
    name: str,
    source: MaskSource,
    image: Image.Image,
    shape: tuple[int, int],
    *,
    own_size: bool = False,
) -> Tensor:
    """A mask in the size that an image is used in, (1, 1, H, W), 0..1.

    Args:
        name: of the argument, for the messages.
        source: the mask, in the proportions of the image or in the size `shape`.
        image: the image that it is for.
        shape: (H, W) that the image is resized to.
        own_size: whether to return it in the size that the image has before.

    Raises:
        FileError: the mask cannot be read.
        InputError: it is none, or has other proportions than the image.
    """
    mask = load_mask(source, name)
    height, width = mask.shape[2:]
    if (height, width) != tuple(shape):
        # the two shapes may each be rounded by half a pixel
        off = abs(height * image.width - width * image.height)
        if off > max(image.width, image.height) + max(height, width):
            raise InputError(
                f"{name} is {height} x {width}, of other proportions than its image, "
                f"{image.height} x {image.width}; cut or resize it first"
            )
    return resized(mask, (image.height, image.width) if own_size else shape)


def eroded(mask: Tensor, net: nn.Module, layers: Sequence[Layer]) -> list[Tensor]:
    """A mask at layers of a network: at each position the least value that it sees.

    What is outside the mask has no influence on features at positions where the result is not
    0. Zeros that a convolution pads with count as inside.

    Args:
        mask: (1, 1, H, W), 0..1, in the size of the image.
        net: a network as `vgg19` returns it, or another `nn.Sequential`.
        layers: by number or name.

    Returns:
        A tensor (1, 1, H', W') for each layer.

    Raises:
        InputError: the network is no `nn.Sequential`, has no such layer, or has a layer of
            which it is not known what it sees.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        >>> eroded(torch.tensor([[[[0.0, 1.0, 1.0, 1.0]]]]), net, [1])
        [tensor([[[[0., 0., 1., 1.]]]])]
    """
    if not isinstance(net, nn.Sequential):
        raise _unknown(net)
    taps = [layer_index(net, layer) for layer in layers]
    seen: dict[int, Tensor] = {}
    for index, layer in enumerate(net):
        if index > max(taps, default=-1):
            break
        mask = least_seen(mask, layer)
        seen[index] = mask
    return [seen[tap] for tap in taps]


def least_seen(mask: Tensor, layer: nn.Module) -> Tensor:
    """The least value of a mask that each position of a layer's output depends on."""
    if sees_as_its_parts(layer):
        for part in parts_of(layer):
            mask = least_seen(mask, part)
        return mask
    if not is_of_torch(layer):
        raise _unknown(layer)
    if isinstance(layer, nn.Conv2d):
        mode = layer.padding_mode
        sides = layer._reversed_padding_repeated_twice  # numbers, even for padding="same"
        mask = pad(mask, sides, "constant", 1) if mode == "zeros" else pad(mask, sides, mode)
        return -max_pool2d(-mask, layer.kernel_size, layer.stride, dilation=layer.dilation)
    if isinstance(layer, nn.MaxPool2d | nn.AvgPool2d):
        window = (layer.kernel_size, layer.stride, layer.padding)
        return -max_pool2d(
            -mask, *window, getattr(layer, "dilation", 1), ceil_mode=layer.ceil_mode
        )
    if isinstance(layer, PLAIN):
        return mask
    raise _unknown(layer)


def sees_as_its_parts(layer: nn.Module) -> bool:
    """Whether a module is known to see no more than its parts in a row."""
    in_a_row = isinstance(layer, nn.Sequential) and type(layer).forward is nn.Sequential.forward
    return in_a_row or f"{type(layer).__module__}.{type(layer).__name__}" in BLOCKS


def parts_of(layer: nn.Module) -> list[nn.Module]:
    """The parts of a module in their order; `children` leaves out what comes again."""
    return [part for part in layer._modules.values() if part is not None]


def is_of_torch(layer: nn.Module) -> bool:
    """Whether what a layer computes is PyTorch's, and the same for each image of a batch.

    A subclass of a convolution may compute anything.
    """
    alone = not isinstance(layer, _BatchNorm) or layer.running_mean is not None
    return alone and type(layer).forward.__module__.startswith("torch.nn.")


def _unknown(module: nn.Module) -> InputError:
    return InputError(
        "regions need a network whose layers follow each other, such as vgg19(); what a "
        f"position of {type(module).__name__} sees is not known. Style(erode=False) takes any"
    )


def masks_at(
    mask: Tensor | None, X: Tensor, features: Features, layers: Sequence[Layer], erode: bool
) -> list[Tensor | None]:
    """A mask at each layer, eroded or resized; None where there is no mask.

    Args:
        mask: (1, 1, H, W).
        X: the image that it is for, (1, 3, H, W).
        features: where features come from.
        layers: by number or name.
        erode: see `Style`.
    """
    if mask is None:
        return [None] * len(layers)
    if not erode:
        return [resized(mask, (H, W)) for _, _, H, W in shapes_at(features, X, layers)]
    if isinstance(features, NetworkFeatures):
        return list(eroded(mask, features.net, layers))
    raise _unknown(getattr(features, "model", nn.Module()))


def inside(
    layers: Mapping[Layer, float],
    loss: FeatureLoss,
    here: Sequence[Tensor | None],
    there: Sequence[Tensor | None],
) -> tuple[dict[Layer, float], FeatureLoss | dict[Layer, FeatureLoss]]:
    """A loss within a region of an image and a region of its target, at each layer.

    Args:
        layers: with their factors.
        loss: as `compare_grams`.
        here: the region of the image at each layer, (1, 1, H', W'); None is all of it.
        there: that of the target.

    Returns:
        The layers at which both regions have positions left, with their factors; and the loss
        at each of them.

    Raises:
        InputError: the loss compares positions with those beside them.
    """
    if not any(mask is not None for mask in (*here, *there)):
        return dict(layers), loss
    kept: dict[Layer, float] = {}
    losses: dict[Layer, FeatureLoss] = {}
    for (layer, factor), a, b in zip(layers.items(), here, there, strict=True):
        if all(mask is None or bool((mask > least_of(loss)).any()) for mask in (a, b)):
            kept[layer], losses[layer] = factor, within(loss, a, b)
    return kept, losses


def least_of(loss: FeatureLoss) -> float:
    """The value of a mask above which a position counts: 0 if it can count in part."""
    return 0.0 if "sums_squares" in marks_of(loss) else 0.5


def within(loss: FeatureLoss, here: Tensor | None, there: Tensor | None) -> FeatureLoss:
    """A loss that compares a region of an image with a region of its target.

    Args:
        loss: as `compare_grams`. It may not compare positions with those beside them.
        here: the region of the image at this layer, (1, 1, H, W), 0..1; None is all of it.
        there: the region of the target at this layer, in the same form.

    Returns:
        Another such loss. A loss made of sums of squares counts each position by the square of
        the mask's value; any other takes the positions where that is more than one half.

    Raises:
        InputError: the loss compares positions with those beside them.

    Source: Gatys et al. (2017), guided Gram matrices: features times the mask, whose squares
    add up to 1. Here they add up to the number of positions, because `gram` divides by it.

    Example:
        >>> from stylelib import compare_features
        >>> left = torch.tensor([[[[1.0, 0.0]]]])
        >>> Y = torch.tensor([[[[1.0, 2.0]]]])
        >>> loss = within(compare_features, left, left)(Y)
        >>> round(float(loss(Y + torch.tensor([3.0, 5.0]))), 3)  # 3^2, at the left alone
        9.0
    """
    marks = marks_of(loss)
    if "needs_layout" in marks:
        raise InputError(
            "this style loss compares patches, positions with those beside them, and a region "
            "has no neighbors at its border: take another loss, such as compare_grams or "
            "compare_places"
        )
    take = weighed if "sums_squares" in marks else chosen

    def compare(Y: Tensor) -> Callable[[Tensor], Tensor]:
        of_region = loss(take(Y, there))
        return lambda Y_hat: of_region(take(Y_hat, here))

    by_sums = by_sums_of(loss)
    if by_sums is not None and take is weighed:
        adds_up(compare, lambda Y: weighed_by_sums(by_sums, Y, here, there))
    return takes_bfloat16(compare) if "takes_bfloat16" in marks else compare


def weighed(Y: Tensor, mask: Tensor | None) -> Tensor:
    """Features (N, C, H, W) times a mask, scaled so that its squares are 1 on average."""
    if mask is None:
        return Y
    _check_fits(Y, mask)
    return Y * (mask / mask.square().mean().sqrt()).to(Y)


def weighed_by_sums(
    by_sums: BySums, Y: Spread, here: Tensor | None, there: Tensor | None
) -> Additive:
    """`within` for a loss from sums: each window of features times its part of the mask."""

    def weigh(mask: Tensor | None) -> Callable[[Tensor, Window], Tensor]:
        if mask is None:
            return lambda F, where: F
        scaled = mask / mask.square().mean().sqrt()

        def weigh_part(F: Tensor, where: Window) -> Tensor:
            part = scaled[:, :, *where]
            _check_fits(F, part)
            return F * part.to(F)

        return weigh_part

    return by_sums(Y.after(weigh(there))).after(weigh(here))


def chosen(Y: Tensor, mask: Tensor | None) -> Tensor:
    """The features (N, C, H, W) at the K positions where a mask is above 1/2, (N, C, 1, K)."""
    if mask is None:
        return Y
    _check_fits(Y, mask)
    positions = (mask > 0.5).flatten().nonzero().flatten()  # (K,)
    return Y.flatten(2).index_select(2, positions.to(Y.device))[:, :, None]


def _check_fits(Y: Tensor, mask: Tensor) -> None:
    if Y.shape[2:] != mask.shape[2:]:
        rows, columns = mask.shape[2:]
        raise InputError(
            f"the region at this layer is {rows} x {columns}, but its features are "
            f"{Y.shape[2]} x {Y.shape[3]}; Style(erode=False) takes any network"
        )
