"""How good is it? Measures of an image's content, style and colors (chapter 25).

Each measure takes images as `load_image` does, so you can compare files saved by any program.
It returns plain numbers, 0 for identical images. Every feature network has units of its own, so
compare a measure only with itself, at the same layer and `image_shape`, and never with numbers
published for another network.
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
"""How the similarity of two positions is measured: by the cosine between their features, or by
CFSD's product of them."""
TEMPERATURE = 0.2
"""The cosines are divided by this before the softmax. At lower values a position's similarity
to itself, always the largest, dominates its row; at much higher values all rows are flat."""
BLOCK = 2**22
"""How many entries of a matrix are in memory at a time: 32 MiB in float64."""


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
    """How much of a photograph's structure is lost: which positions are similar to which.

    Colors and strokes may change, as long as positions that were similar stay similar. The
    measure is the `structure_divergence` of the features of both images.

    Args:
        picture: the synthesized image, as `load_image` takes it. It is resized to the
            photograph.
        photograph: the photograph from which it was made.
        image_shape: (H, W) for both, or the photograph's shorter side. At the default layer
            there are M = H/4 * W/4 positions; the time grows with M^2.
        similarity: "cosine", or "product" as in the source.
        layer: the layer of the features, by number or name.
        net: the network, moved to `device`; None is `vgg19()`.
        block: how many entries of the M x M matrices are in memory at a time.
        device: where to compute; None as for `transfer`.

    Returns:
        0 or more; 0 is the same structure. It is not symmetric.

    Raises:
        FileError: an image cannot be read.
        InputError: an argument is out of range.

    Source: the content feature structural distance (CFSD) of Chung, Hyun and Heo (2024,
    StyleID), which is similarity="product" in torchvision's VGG-19 at relu3_1. Their code sums
    over positions; we average, so that you can compare sizes. The embedded weights give other
    units, so do not compare with their numbers. We prefer the cosine, because products depend
    more on how strong features are than on which features they are: with products, an empty
    gray image can be closer to a photograph than the photograph with noise.
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
    """The mean over positions i of KL(S_i || S_hat_i), where S_i = softmax of row i of A A^T.

    Row i says how similar position i is to every position j. For "cosine", row i of A is F_i
    divided by its length and by the root of `TEMPERATURE`. For "product", A = F / C, so the
    similarity is the mean product of the channels, divided by C once more.

    Args:
        F_hat: features of the synthesized image at M positions, (M, C), in float64.
        F: features of the photograph, (M, C), in float64.
        similarity: "cosine" or "product".
        block: how many entries of an M x M matrix are in memory at a time. It does not change
            the result.
    """
    choice("similarity", similarity, get_args(Similarity))
    block = whole("block", block)
    if F_hat.shape != F.shape or F.ndim != 2 or 0 in F.shape:
        raise InputError(
            "F_hat and F must have the same shape (M, C), both 1 or more, not "
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
    """How far an image is from a style, judged by a network that did not help to make it.

    The distance is (mu - mu*)^2 + tr(S + S* - 2 (S^1/2 S* S^1/2)^1/2), where mu and S are the
    mean and the covariance of an image's features over its positions (`gaussian_distance`).

    The judge is EfficientNet-Lite0 (`classifier`). An image that was optimized in VGG-19 can
    lower VGG-19's losses in ways that no eye would notice; another network has other blind
    spots. The layer "_blocks.4.add" is its last one with a stride of 8. It has 40 channels, so
    hundreds of positions are enough to estimate a covariance. It ends a residual block, so no
    ReLU6 cuts the distribution off.

    Args:
        picture: the synthesized image, as `load_image` takes it.
        style: the style image. Its size may differ.
        image_shape: (H, W) for both, or the shorter side of each. It determines which sizes of
            strokes the network sees, so it matters.
        layer: the layer of the features, by name.
        net: a classifier or another network, moved to `device`; None is `classifier()`.
        device: where to compute; None as for `transfer`.

    Returns:
        0 or more, in squared units of the features; 0 is the same mean and covariance. It is
        symmetric.

    Raises:
        FileError: an image cannot be read.
        InputError: an argument is out of range.

    Source: the single image Frechet inception distance (SIFID) of Shaham, Dekel and Michaeli
    (2019, SinGAN), in Inception-v3 before its second pooling: 192 channels at a stride of 4.
    This is another network, so do not compare with their numbers. They divide the covariance
    by M - 1; we divide by M, so that repeating an image does not change the result.
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

    They are ((mu - mu*)^2, tr(S + S* - 2 (S^1/2 S* S^1/2)^1/2)): the cost of moving the mean,
    and the cost of rotating and stretching the covariance. We compute the trace of the last
    root as the sum of the singular values of S^1/2 S*^1/2, which stays accurate if the
    covariances are singular.

    Args:
        F_hat: samples, one per row, (M, C).
        F: other samples, (M', C).

    Source: Dowson and Landau (1982); Heusel et al. (2017, FID), equation 6.
    """
    (mu_hat, S_hat), (mu, S) = mean_and_covariance(F_hat), mean_and_covariance(F)
    overlap = torch.linalg.svdvals(power(S_hat, 0.5) @ power(S, 0.5)).sum()
    spread = S_hat.trace() + S.trace() - 2 * overlap
    return float((mu_hat - mu).square().sum()), max(0.0, float(spread))


def power(S: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(S)
    raised: Tensor = vectors * values.clamp_min(0).pow(exponent) @ vectors.T
    return raised


def mean_and_covariance(F: Tensor) -> tuple[Tensor, Tensor]:
    """The mean (C,) and covariance (C, C), divided by M, of samples (M, C), in float64."""
    if F.ndim != 2 or 0 in F.shape:
        shape = tuple(F.shape)
        raise InputError(f"samples must have the shape (M, C), both 1 or more, not {shape}")
    M, C = F.shape
    parts = torch.split(F, max(1, BLOCK // C))  # a photograph may have 80 million pixels
    mu = torch.stack([part.double().sum(dim=0) for part in parts]).sum(dim=0) / M
    centered = (part.double() - mu for part in parts)
    return mu, sum((D.T @ D for D in centered), mu.new_zeros(C, C)) / M


class ColorDistance(NamedTuple):
    """How far apart the colors of two images are, in units of pixels in 0..1.

    Attributes:
        total: the root of mean^2 + spread^2.
        mean: the distance between the mean colors.
        spread: the distance between the covariances: contrast, and how colors vary together.
    """

    total: float
    mean: float
    spread: float


def color_distance(a: ImageSource, b: ImageSource) -> ColorDistance:
    """The 2-Wasserstein distance between the colors of two images, as if they were Gaussian.

    It is the root of `gaussian_distance` of pixels in 0..1, with its two parts. Neither the
    positions of the colors nor the sizes of the images matter.

    Args:
        a: an image, as `load_image` takes it.
        b: another image.

    Returns:
        Each value is between 0 (same mean and covariance) and 3^1/2 (black against white). It
        is symmetric, and a lower bound on the cost of moving every pixel's color to one of the
        other image's.

    Raises:
        FileError: an image cannot be read.

    Source: Dowson and Landau (1982); Gelbrich (1990) for the bound. This is a distance between
    RGB values as they are stored, not between colors as people see them.

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
    """Style losses of an image, each `relative` to the target's own size.

    An error is the mean over layers of loss(Y)(Y_hat) / loss(Y)(0), where Y are the style
    image's features, Y_hat the synthesized image's, and 0 features that are all 0. So losses in
    different units fit into one table. For `compare_grams` it is sum((G_hat - G)^2) / sum(G^2).

    A method scores best by the loss that it minimizes, so look at the others.

    Args:
        picture: the synthesized image, as `load_image` takes it.
        style: the style image. Its size may differ.
        losses: losses by name, each like `compare_grams`: from target features to (features to
            loss).
        layers: the layers at which features are compared, by number or name.
        net: the network, moved to `device`; None is `vgg19()`.
        image_shape: (H, W) for both, or the shorter side of each.
        device: where to compute; None as for `transfer`.

    Returns:
        One value per loss; 0 means the style image's own statistics.

    Raises:
        FileError: an image cannot be read.
        InputError: an argument is out of range, or the style image's features at a layer are
            all 0.

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
            "losses must map names to losses, for example {'gram': compare_grams}, not "
            f"{losses!r}"
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
    """An image's features at a layer, one row per position: (M, C), in float64."""
    with torch.no_grad():
        (Y,) = features(preprocess(load_image(image), image_shape).to(device), [layer])
    F = Y[0].flatten(1).T  # (1, C, H', W') to (M, C)
    return (F.cpu() if F.device.type == "mps" else F).double()  # Apple's GPU has no float64


def inner_features(net: nn.Module) -> Features:
    """Features inside a network. `classifier` puts a layer that changes units in front of the
    network; we apply it here, so that layer names are those of the network itself.
    """
    if not isinstance(net, nn.Sequential) or len(net) != 2 or not list(net[1].children()):
        return features_of(net)
    units, inside = net[0], ModelFeatures(net[1])
    return lambda X, layers: inside(units(X), layers)
