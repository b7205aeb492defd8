"""Saliency maps: which pixels a score depends on, and two cures for noisy maps (chapter 18).

A saliency map is a single gradient of the kind that `optimize` follows for hundreds of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stylelib.arguments import check_seed, number, whole
from stylelib.errors import InputError, missing
from stylelib.features import check_batch
from stylelib.images import visible_range
from stylelib.losses import check_tensor
from stylelib.sees.classifiers import (
    Target,
    check_pictures,
    class_scores,
    pick,
    target_indices,
)

__all__ = [
    "IntegratedGradients",
    "cut_out",
    "integrated_gradients",
    "saliency_map",
    "saliency_mask",
    "score_gradient",
    "smooth_grad",
]

Targets = Target | Sequence[Target] | Tensor
"""One class for all images, or one for each: numbers or names."""


def score_gradient(X: Tensor, y: Targets, model: nn.Module) -> tuple[Tensor, Tensor]:
    """The scores of the given classes, (N,), and their gradients with respect to the pixels.

    Image n's score depends on image n alone, so the gradient of the sum of the scores,
    (N, 3, H, W), consists of the gradients of all the scores. The function keeps no graph and
    sets no `.grad`, neither of X nor of the model's weights.

    Args:
        X: normalized images (N, 3, H, W).
        y: a class for each image, or one for all.
        model: a classifier in eval mode.

    Raises:
        InputError: as for `saliency_map`, but pixels may be outside the visible range, as in
            noisy copies.
    """
    indices = target_indices(y, len(X)).to(X.device)
    with torch.enable_grad():
        X = X.detach().clone().requires_grad_()
        scores = pick(class_scores(X, model), indices)  # (N,)
        (gradient,) = torch.autograd.grad(scores.sum(), X)
    return scores.detach(), gradient


def saliency_map(X: Tensor, y: Targets, model: nn.Module) -> Tensor:
    """How much each pixel can change the score of a class.

    Args:
        X: normalized images (N, 3, H, W).
        y: a class for each image, or one for all: numbers or names.
        model: a classifier in eval mode.

    Returns:
        (N, H, W), 0 or more: the absolute gradient of the score before the softmax, as the
        maximum over the three colors.

    Raises:
        InputError: there is no such class, the number of classes is neither 1 nor N, the model
            is in training mode, or the images are too small or outside the normalized range.

    Source: Simonyan, Vedaldi and Zisserman (2014), section 3.
    """
    check_pictures(X, model)
    _, gradient = score_gradient(X, y, model)
    return _greatest_color(gradient)


def smooth_grad(
    X: Tensor,
    y: Targets,
    model: nn.Module,
    *,
    noise: float = 0.15,
    samples: int = 25,
    seed: int = 0,
) -> Tensor:
    """A saliency map with less noise, from the mean gradient over noisy copies of the image.

    Args:
        X: normalized images (N, 3, H, W).
        y: a class for each image, or one for all.
        model: a classifier in eval mode.
        noise: the standard deviation, as a fraction of the range of each image's pixels.
        samples: the number of copies; each takes as long as `saliency_map`.
        seed: the seed of the noise, which is the same for all images except for its strength.

    Returns:
        (N, H, W): as for `saliency_map`, but of gradients that were averaged with their signs.

    Source: Smilkov et al. (2017).
    """
    check_pictures(X, model)
    noise = number("noise", noise, least=0, below=10)
    samples = whole("samples", samples)
    seed = check_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    spread = noise * (X.amax(dim=(1, 2, 3)) - X.amin(dim=(1, 2, 3))).view(-1, 1, 1, 1)
    total = torch.zeros_like(X)
    for _ in range(samples):
        copies = X + spread * torch.randn(X.shape[1:], generator=generator).to(X)
        total += score_gradient(copies, y, model)[1]
    return _greatest_color(total / samples)


class IntegratedGradients(NamedTuple):
    """How much each value of an image contributes to its score, and whether this adds up."""

    attributions: Tensor
    """(N, 3, H, W), signed."""
    map: Tensor
    """(N, H, W), as for `saliency_map`: the largest absolute value of the three colors."""
    difference: Tensor
    """(N,): the score of the image minus that of the baseline."""
    gap: Tensor
    """(N,): the error of the sum of the attributions, relative to `difference`."""


def integrated_gradients(
    X: Tensor,
    y: Targets,
    model: nn.Module,
    *,
    baseline: Tensor | None = None,
    steps: int = 50,
    max_gap: float | None = None,
) -> IntegratedGradients:
    """The mean gradient along the line from a baseline to the image, times their difference.

    The attributions add up to the score of the image minus that of the baseline, up to the
    error of the integral. `.gap` says how large this error is; more `steps` make it smaller.

    Args:
        X: normalized images (N, 3, H, W).
        y: a class for each image, or one for all.
        model: a classifier in eval mode.
        baseline: a normalized image that broadcasts with X; None takes ImageNet's mean color,
            which is 0 in these units.
        steps: the number of gradients along the line, at Gauss-Legendre points.
        max_gap: 0.01, for example, doubles the steps until no gap is above 1%, or until they
            are 64 times `steps`; check `.gap`. All images take the same number, and earlier
            tries add to it: at worst 127 times `steps` in total. If the difference is near 0,
            no gap is small. None takes exactly `steps`.

    Source: Sundararajan, Taly and Yan (2017), equation 1. They use equally spaced points.
    """
    check_pictures(X, model)
    steps = whole("steps", steps)
    if max_gap is not None:
        max_gap = number("max_gap", max_gap, above=0, below=1)
    X = X.detach()
    start = torch.zeros_like(X)
    if baseline is not None:
        if not isinstance(baseline, Tensor):
            raise InputError(f"the baseline must be a tensor, not {baseline!r}")
        try:
            start = baseline.detach().to(X).expand_as(X)
        except RuntimeError:
            raise InputError(
                f"the baseline {tuple(baseline.shape)} does not broadcast with {tuple(X.shape)}"
            ) from None
    check_pictures(start, model)
    with torch.no_grad():
        indices = target_indices(y, len(X)).to(X.device)
        ends = [pick(class_scores(at, model), indices) for at in (X, start)]
    difference = ends[0] - ends[1]
    most = steps if max_gap is None else 64 * steps
    while True:
        attributions = _integral(X, start, y, model, steps)
        missing = (attributions.sum(dim=(1, 2, 3)) - difference).abs()
        gap = missing / difference.abs().clamp_min(torch.finfo(X.dtype).tiny)
        if max_gap is None or steps == most or bool((gap <= max_gap).all()):
            return IntegratedGradients(
                attributions, _greatest_color(attributions), difference, gap
            )
        steps *= 2


def _integral(X: Tensor, start: Tensor, y: Targets, model: nn.Module, steps: int) -> Tensor:
    """The integrated gradients between two images, times their difference: (N, 3, H, W)."""
    points, weights = np.polynomial.legendre.leggauss(steps)  # on -1..1
    total = torch.zeros_like(X)
    for point, weight in zip(points, weights, strict=True):
        between = start + (1 + point) / 2 * (X - start)
        total += weight / 2 * score_gradient(between, y, model)[1]
    return total * (X - start)


def saliency_mask(maps: Tensor, *, quantile: float = 0.9, blur: float = 4.0) -> Tensor:
    """The largest connected spot of strong pixels in a saliency map, with its holes filled.

    Pixels are connected at their sides, not at their corners.

    Args:
        maps: (N, H, W), as `saliency_map` and the others return them.
        quantile: the fraction of pixels that are too weak to count, 0 to below 1.
        blur: the standard deviation, in pixels, of a Gaussian blur. It comes first, because a
            single pixel is not a spot. 0 does not blur.

    Returns:
        (N, H, W), bool, on the CPU.

    Source: the purpose is that of Simonyan, Vedaldi and Zisserman (2014), section 3.2, who grow
    the mask by color instead (GraphCut).
    """
    try:
        from scipy import ndimage  # slow to import
    except ModuleNotFoundError as error:
        raise missing("scipy", "sees") from error
    check_tensor("maps", maps)
    if maps.ndim != 3 or 0 in maps.shape:
        raise InputError(f"maps must have the shape (N, H, W), not {tuple(maps.shape)}")
    quantile = number("quantile", quantile, least=0, below=1)
    blur = number("blur", blur, least=0, below=1000)
    if not bool(maps.isfinite().all()):
        raise InputError("the maps have values that are not finite (nan or inf)")
    masks = []
    for values in maps.detach().cpu().double().numpy():
        smooth = ndimage.gaussian_filter(values, blur) if blur else values
        threshold = np.quantile(smooth, quantile)
        # if most of a map is equally weak, this background does not count as a spot
        background = quantile > 0 and smooth.min() == threshold < smooth.max()
        strong = smooth > threshold if background else smooth >= threshold
        spots, count = ndimage.label(strong)
        sizes = np.bincount(spots.ravel(), minlength=count + 1)[1:]
        masks.append(ndimage.binary_fill_holes(spots == 1 + sizes.argmax()))
    return torch.from_numpy(np.stack(masks))


def cut_out(X: Tensor, mask: Tensor) -> Tensor:
    """The images where the mask is true, and white elsewhere.

    Args:
        X: normalized images (N, 3, H, W).
        mask: (N, H, W), bool.
    """
    check_batch(X)
    if not isinstance(mask, Tensor):
        raise InputError(f"the mask must be a tensor (N, H, W), not {type(mask).__name__}")
    if mask.dtype != torch.bool or mask.shape != (X.shape[0], *X.shape[2:]):
        raise InputError(
            f"the mask is {tuple(mask.shape)} {mask.dtype}; images {tuple(X.shape)} need "
            f"{(X.shape[0], *X.shape[2:])} torch.bool"
        )
    white = visible_range()[1].to(X)
    return torch.where(mask.to(X.device)[:, None], X, white)


def _greatest_color(gradient: Tensor) -> Tensor:
    return gradient.abs().amax(dim=1)  # (N, H, W)
