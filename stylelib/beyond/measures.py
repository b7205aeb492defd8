"""How good is it? Numbers for a picture's content, style and colors (chapter 25).

Each measure takes pictures as `load_image` does, so that saved files of any program can be
compared, and gives plain numbers, 0 for the same picture. Feature networks have units of their
own: a measure is comparable with itself, on the same layer at the same `image_shape`, and never
with numbers published for another network.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize as unit_lengths

from stylelib.arguments import check_function, choice, several, whole
from stylelib.beyond.colors import power
from stylelib.devices import find_device
from stylelib.errors import InputError
from stylelib.features import Features
from stylelib.files import ImageSource, load_image, target_shape
from stylelib.images import preprocess
from stylelib.layers import STYLE_LAYERS, Layer
from stylelib.models import ModelFeatures, check_defaults, features_of
from stylelib.networks import check_module, vgg19
from stylelib.objectives import FeatureLoss, relative
from stylelib.sees.classifiers import classifier

__all__ = [
    "ColorDistance",
    "Similarity",
    "color_distance",
    "content_error",
    "frechet_distance",
    "gaussian_distance",
    "mean_and_covariance",
    "structure_divergence",
    "style_errors",
]

Similarity = Literal["cosine", "product"]
"""How alike two places are: the angle between their features, or CFSD's product of them."""
TEMPERATURE = 0.2
"""What cosines are divided by before the softmax. Below it a place's likeness to itself, always
the greatest, takes most of its row; far above it all rows are flat."""
BLOCK = 2**22
"""Entries of a matrix that are held at once: 32 MiB in float64."""


def content_error(
    picture: ImageSource,
    photograph: ImageSource,
    *,
    image_shape: int | tuple[int, int] = 256,
    similarity: Similarity = "cosine",
    layer: Layer = "relu3_1",
    net: nn.Module | None = None,
    block: int = BLOCK,
    device: torch.device | str | None = None,
) -> float:
    """How much of a photograph's structure is lost: which places are alike, and which are not.

    Colors and strokes may change as long as what was alike stays alike: `structure_divergence`
    of the features of both, the photograph's rows being the truth.

    Args:
        picture: what was made, as `load_image` takes it; it is resized to the photograph.
        photograph: what it was made of.
        image_shape: (H, W) for both, or the photograph's shorter side. With the default layer
            there are M = H/4 * W/4 places; time grows with M^2.
        similarity: "cosine", or "product" as in the source.
        layer: where features are taken, by number or name.
        net: the network, moved to `device`; None is `vgg19()`.
        block: entries of the M x M matrices held at once, which bounds the memory.
        device: where to compute; None as for `transfer`.

    Returns:
        0 or more; 0 is the same structure. It is not symmetric.

    Raises:
        FileError: a picture cannot be read.
        InputError: an argument is out of its range.

    Source: the content feature structural distance (CFSD) of Chung, Hyun and Heo (2024,
    StyleID), which is similarity="product" in torchvision's VGG-19 at relu3_1. Their code adds
    up over places; we average, so that sizes can be compared. Not comparable with their
    numbers: the embedded network has other units. We prefer the cosine. Products depend more on
    how strong features are than on which: by them an empty gray picture can be closer to a
    photograph than the photograph with noise.
    """
    where = find_device(device)
    shape = target_shape(load_image(photograph), image_shape)
    net = vgg19(layers=[layer]) if net is None else check_module(net)
    features = features_of(net.to(where))
    F_hat, F = (
        features_at_places(features, image, shape, layer, where)  # (M, C)
        for image in (picture, photograph)
    )
    return structure_divergence(F_hat, F, similarity=similarity, block=block)


def structure_divergence(
    F_hat: Tensor, F: Tensor, *, similarity: Similarity = "cosine", block: int = BLOCK
) -> float:
    """The mean over places i of KL(S_i || S_hat_i), where S_i = softmax of row i of A A^T.

    Row i says how alike place i is to every place j. For "cosine", row i of A is F_i divided by
    its length, and by the root of `TEMPERATURE`; for "product", A = F / C, so that the
    similarity is the mean product of the channels, divided by C once more.

    Args:
        F_hat: features of the picture at M places, (M, C), in float64.
        F: those of the photograph, likewise.
        similarity: "cosine" or "product".
        block: entries of a matrix M x M held at once. It does not change the result.
    """
    choice("similarity", similarity, get_args(Similarity))
    block = whole("block", block)
    if F_hat.shape != F.shape or F.ndim != 2 or 0 in F.shape:
        raise InputError(
            "the features of both have one shape (M, C), none of them 0, not "
            f"{tuple(F_hat.shape)} and {tuple(F.shape)}"
        )
    A_hat, A = (
        Y / Y.shape[1] if similarity == "product" else unit_lengths(Y) / TEMPERATURE**0.5
        for Y in (F_hat, F)
    )
    M = len(A)
    height, total = max(1, block // M), 0.0
    for rows_hat, rows in zip(torch.split(A_hat, height), torch.split(A, height), strict=True):
        log_S = (rows @ A.T).log_softmax(dim=1)  # (height, M)
        log_S_hat = (rows_hat @ A_hat.T).log_softmax(dim=1)
        total += float((log_S.exp() * (log_S - log_S_hat)).sum())
    return max(0.0, total / M)


def frechet_distance(
    picture: ImageSource,
    style: ImageSource,
    *,
    image_shape: int | tuple[int, int] = 256,
    layer: Layer = "_blocks.4.add",
    net: nn.Module | None = None,
    device: torch.device | str | None = None,
) -> float:
    """How far a picture is from a style, seen by a network that had no part in making it.

    (mu - mu*)^2 + tr(S + S* - 2 (S^1/2 S* S^1/2)^1/2), of the mean mu and the covariance S over
    the places of one picture's features: `gaussian_distance`.

    The judge is EfficientNet-Lite0 (`classifier`). A picture that was optimized in VGG-19 can
    please VGG-19 in ways no eye would notice; another network has other blind spots. Its layer
    "_blocks.4.add" is the last at a stride of 8: 40 channels, which hundreds of places are
    enough to estimate a covariance of, and the end of a residual block, after no ReLU6 that
    would cut the distribution off.

    Args:
        picture: what was made, as `load_image` takes it.
        style: the style picture. Its size may differ.
        image_shape: (H, W) for both, or the shorter side of each. It decides which sizes of
            strokes are seen, so it matters.
        layer: where features are taken, by name.
        net: a classifier or another network, moved to `device`; None is `classifier()`.
        device: where to compute; None as for `transfer`.

    Returns:
        0 or more, in squared units of the features; 0 is the same mean and covariance. It is
        symmetric.

    Raises:
        FileError: a picture cannot be read.
        InputError: an argument is out of its range.

    Source: the single image Frechet inception distance (SIFID) of Shaham, Dekel and Michaeli
    (2019, SinGAN), in Inception-v3 before its second pooling: 192 channels at a stride of 4.
    Not comparable with their numbers: this is another network. Their covariance is divided by
    M - 1, ours by M, so that a repeated picture is the same picture.
    """
    where = find_device(device)
    net = classifier() if net is None else check_module(net)
    features = inner_features(net.to(where))
    F_hat, F = (
        features_at_places(features, image, image_shape, layer, where)  # (M, C), M of each
        for image in (picture, style)
    )
    return sum(gaussian_distance(F_hat, F))


def gaussian_distance(F_hat: Tensor, F: Tensor) -> tuple[float, float]:
    """The squared 2-Wasserstein distance between two Gaussians, in its two parts.

    ((mu - mu*)^2, tr(S + S* - 2 (S^1/2 S* S^1/2)^1/2)): what it costs to move the mean, and to
    turn and stretch the spread. The last trace is the sum of the singular values of
    S^1/2 S*^1/2, which stays accurate where the covariances are singular.

    Args:
        F_hat: samples in rows, (M, C).
        F: other samples, (M', C).

    Source: Dowson and Landau (1982); Heusel et al. (2017, FID), equation 6.
    """
    (mu_hat, S_hat), (mu, S) = mean_and_covariance(F_hat), mean_and_covariance(F)
    overlap = torch.linalg.svdvals(power(S_hat, 0.5) @ power(S, 0.5)).sum()
    spread = S_hat.trace() + S.trace() - 2 * overlap
    return float((mu_hat - mu).square().sum()), max(0.0, float(spread))


def mean_and_covariance(F: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (C,) and covariance (C, C), divided by M, of samples (M, C), in float64."""
    if F.ndim != 2 or 0 in F.shape:
        raise InputError(f"samples have the shape (M, C), none of them 0, not {tuple(F.shape)}")
    M, C = F.shape
    parts = torch.split(F, max(1, BLOCK // C))  # a photograph may have 80 million pixels
    mu = torch.stack([part.double().sum(dim=0) for part in parts]).sum(dim=0) / M
    centered = (part.double() - mu for part in parts)
    return mu, sum((D.T @ D for D in centered), mu.new_zeros(C, C)) / M


class ColorDistance(NamedTuple):
    """How far apart the colors of two pictures are, in units of pixels 0..1.

    Attributes:
        total: the root of mean^2 + spread^2.
        mean: the distance between the mean colors.
        spread: the distance between the covariances: contrast, and which colors go together.
    """

    total: float
    mean: float
    spread: float


def color_distance(a: ImageSource, b: ImageSource) -> ColorDistance:
    """The 2-Wasserstein distance between the colors of two pictures, as if they were Gaussian.

    The root of `gaussian_distance` of pixels 0..1, and of its two parts. Where colors lie in
    the picture does not matter, nor do the sizes of the pictures.

    Args:
        a: a picture, as `load_image` takes it.
        b: another.

    Returns:
        Each from 0, the same mean and covariance, to 3^1/2, black against white. It is
        symmetric, and at most what moving every pixel's color to one of the other's costs.

    Raises:
        FileError: a picture cannot be read.

    Source: Dowson and Landau (1982); Gelbrich (1990) for the bound. This is a distance between
    RGB values as they are stored, not between colors as they are seen.

    Example:
        >>> from PIL import Image
        >>> black, red = (Image.new("RGB", (9, 9), color) for color in ("black", "red"))
        >>> color_distance(black, red)
        ColorDistance(total=1.0, mean=1.0, spread=0.0)
    """
    levels, other = (
        torch.from_numpy(np.array(load_image(image))).view(-1, 3)  # (H W, 3), 0..255
        for image in (a, b)
    )
    mean, spread = gaussian_distance(levels, other)  # in levels^2
    return ColorDistance(*(math.sqrt(part) / 255 for part in (mean + spread, mean, spread)))


def style_errors(
    picture: ImageSource,
    style: ImageSource,
    losses: Mapping[str, FeatureLoss],
    layers: Sequence[Layer] = STYLE_LAYERS,
    net: nn.Module | None = None,
    *,
    image_shape: int | tuple[int, int] = 256,
    device: torch.device | str | None = None,
) -> dict[str, float]:
    """Style losses of a picture, each `relative` to the target's own size.

    For each loss the mean over layers of loss(Y)(Y_hat) / loss(Y)(0): Y are the style picture's
    features, Y_hat the picture's, 0 features that are nowhere active. Losses of different units
    can so stand in one table; for `compare_grams` it is sum((G_hat - G)^2) / sum(G^2).

    A method does best by the loss it minimizes, so look at the others.

    Args:
        picture: what was made, as `load_image` takes it.
        style: the style picture. Its size may differ.
        losses: by name, as `compare_grams`: from target features to (features to loss).
        layers: where features are compared, by number or name.
        net: the network, moved to `device`; None is `vgg19()`.
        image_shape: (H, W) for both, or the shorter side of each.
        device: where to compute; None as for `transfer`.

    Returns:
        A number for each loss: 0 is the style picture's own statistics.

    Raises:
        FileError: a picture cannot be read.
        InputError: an argument is out of its range, or the style has no features at a layer.

    Example:
        >>> from stylelib import compare_grams, samples
        >>> flat, mosaic = samples.load("roundels"), samples.load("mosaic")
        >>> errors = style_errors(flat, mosaic, {"gram": compare_grams}, image_shape=64)
        >>> round(errors["gram"])
        5
    """
    layers = several("layers", layers)
    if not isinstance(losses, Mapping) or not losses:
        raise InputError(
            f"losses are named, for example {{'gram': compare_grams}}, not {losses!r}"
        )
    where = find_device(device)
    for name, loss in losses.items():
        check_function(f"losses[{name!r}]", loss)
    net = vgg19(layers=layers) if net is None else check_module(net)
    check_defaults(net, layers, STYLE_LAYERS, "layers")
    features = features_of(net.to(where))
    with torch.no_grad():
        Ys_hat, Ys = (
            features(preprocess(load_image(image), image_shape).to(where), layers)
            for image in (picture, style)
        )
        pairs = list(zip(Ys_hat, Ys, strict=True))
        return {
            name: sum(float(relative(loss)(Y)(Y_hat)) for Y_hat, Y in pairs) / len(pairs)
            for name, loss in losses.items()
        }


def features_at_places(
    features: Features,
    image: ImageSource,
    image_shape: int | tuple[int, int],
    layer: Layer,
    device: torch.device,
) -> Tensor:
    """A picture's features at a layer, a row for each of its M places: (M, C), in float64."""
    with torch.no_grad():
        (Y,) = features(preprocess(load_image(image), image_shape).to(device), [layer])
    F = Y[0].flatten(1).T  # (1, C, H', W') to (M, C)
    return (F.cpu() if F.device.type == "mps" else F).double()  # Apple's GPU has no float64


def inner_features(net: nn.Module) -> Features:
    """Features inside a network. Before that of `classifier` stands a layer that changes units,
    which is applied here, so that the names are those of the network behind it.
    """
    if not isinstance(net, nn.Sequential) or len(net) != 2 or not list(net[1].children()):
        return features_of(net)
    units, inside = net[0], ModelFeatures(net[1])
    return lambda X, layers: inside(units(X), layers)
