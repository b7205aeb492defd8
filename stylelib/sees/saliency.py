"""Which pixels a score depends on: saliency maps and two cures for their noise (chapter 18).

A saliency map is a single gradient of the kind that `optimize` follows for hundreds of steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from stylelib.arguments import check_seed, number, whole
from stylelib.errors import InputError
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
"""One class for all pictures, or one for each: numbers or names."""


def score_gradient(X: Tensor, y: Targets, model: nn.Module) -> tuple[Tensor, Tensor]:
    """The scores of the given classes, (N,), and their gradients at the pixels, (N, 3, H, W).

    Picture n's score depends on picture n alone, so the gradient of the sum of the scores is
    made of the gradients of each. Nothing is left behind: no `.grad`, neither on X nor on the
    model's weights, and no graph.

    Args:
        X: normalized pictures (N, 3, H, W).
        y: a class for each picture, or one for all.
        model: a classifier in eval mode.

    Raises:
        InputError: as for `saliency_map`, but pictures may be outside the visible range, as
            noisy copies are.
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
        X: normalized pictures (N, 3, H, W).
        y: a class for each picture, or one for all: numbers or names.
        model: a classifier in eval mode.

    Returns:
        (N, H, W), 0 or more: the absolute gradient of the score before the softmax, the
        greatest of the three colors.

    Raises:
        InputError: a class that does not exist, as many classes as there are not pictures, a
            model in training mode, pictures too small or outside the normalized range.

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
    """A saliency map with less noise: the mean gradient over noisy copies of the picture.

    Args:
        X: normalized pictures (N, 3, H, W).
        y: a class for each picture, or one for all.
        model: a classifier in eval mode.
        noise: the standard deviation, as a share of the range of each picture's pixels.
        samples: how many copies; the time is as many times that of `saliency_map`.
        seed: of the noise, the same for all pictures but for its strength.

    Returns:
        (N, H, W): gradients are averaged with their signs; then as in `saliency_map`.

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
    """The share of each number of a picture in its score, and whether the shares add up."""

    attributions: Tensor
    """(N, 3, H, W), signed."""
    map: Tensor
    """(N, H, W), as `saliency_map` gives it: the greatest absolute value of the colors."""
    difference: Tensor
    """(N,): the score of the picture minus that of the baseline."""
    gap: Tensor
    """(N,): by how much the sum of the attributions misses `difference`, relative to it."""


def integrated_gradients(
    X: Tensor,
    y: Targets,
    model: nn.Module,
    *,
    baseline: Tensor | None = None,
    steps: int = 50,
    max_gap: float | None = None,
) -> IntegratedGradients:
    """The gradients along the straight way from a baseline to the picture, times the way.

    Their sum is the score of the picture minus that of the baseline, up to the error of the
    integral; `.gap` says how large that error is, and more `steps` make it smaller.

    Args:
        X: normalized pictures (N, 3, H, W).
        y: a class for each picture, or one for all.
        model: a classifier in eval mode.
        baseline: a picture that broadcasts with X, normalized; None takes the mean color of
            ImageNet, which is 0 there.
        steps: how many gradients along the way, at the points of Gauss and Legendre.
        max_gap: 0.01, for example, doubles the steps until no gap is above 1 %, or until they
            are 64 times `steps`; look at `.gap`. All pictures take as many, and those of the
            tries before come on top: at worst 127 times `steps` in all. Where the difference is
            near 0 no gap is small. None leaves it at `steps`.

    Source: Sundararajan, Taly and Yan (2017), equation 1. They sum at equal distances.
    """
    check_pictures(X, model)
    steps = whole("steps", steps)
    if max_gap is not None:
        max_gap = number("max_gap", max_gap, above=0, below=1)
    X = X.detach()
    start = torch.zeros_like(X)
    if baseline is not None:
        if not isinstance(baseline, Tensor):
            raise InputError(f"the baseline is a picture, a tensor, not {baseline!r}")
        try:
            start = baseline.detach().to(X).expand_as(X)
        except RuntimeError:
            raise InputError(
                f"the baseline is {tuple(baseline.shape)} and does not fit {tuple(X.shape)}"
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
    """The gradients between two pictures, integrated, times the way: (N, 3, H, W)."""
    points, weights = np.polynomial.legendre.leggauss(steps)  # on -1..1
    total = torch.zeros_like(X)
    for point, weight in zip(points, weights, strict=True):
        between = start + (1 + point) / 2 * (X - start)
        total += weight / 2 * score_gradient(between, y, model)[1]
    return total * (X - start)


def saliency_mask(maps: Tensor, *, quantile: float = 0.9, blur: float = 4.0) -> Tensor:
    """The largest connected spot of a saliency map, holes filled.

    Pixels are connected at their sides, not at their corners.

    Args:
        maps: (N, H, W), as `saliency_map` and the others give them.
        quantile: the share of pixels that are too weak to count, 0 to below 1.
        blur: the map is blurred first, by a Gauss of this standard deviation in pixels, since
            single pixels make no spot. 0 leaves it.

    Returns:
        (N, H, W), bool, on the CPU.

    Source: the use is that of Simonyan, Vedaldi and Zisserman (2014), section 3.2, who grow
    the mask by color instead (GraphCut).
    """
    from scipy import ndimage  # takes a while to import

    check_tensor("maps", maps)
    if maps.ndim != 3 or 0 in maps.shape:
        raise InputError(f"maps have the shape (N, H, W), not {tuple(maps.shape)}")
    quantile = number("quantile", quantile, least=0, below=1)
    blur = number("blur", blur, least=0, below=1000)
    if not bool(maps.isfinite().all()):
        raise InputError("the maps have values that are not finite (nan or inf)")
    masks = []
    for values in maps.detach().cpu().double().numpy():
        smooth = ndimage.gaussian_filter(values, blur) if blur else values
        threshold = np.quantile(smooth, quantile)
        # Where most of a map is equally weak, its ground is not to count as a spot
        ground = quantile > 0 and smooth.min() == threshold < smooth.max()
        strong = smooth > threshold if ground else smooth >= threshold
        spots, count = ndimage.label(strong)
        sizes = np.bincount(spots.ravel(), minlength=count + 1)[1:]
        masks.append(ndimage.binary_fill_holes(spots == 1 + sizes.argmax()))
    return torch.from_numpy(np.stack(masks))


def cut_out(X: Tensor, mask: Tensor) -> Tensor:
    """The pictures where the mask is true, and white elsewhere.

    Args:
        X: normalized pictures (N, 3, H, W).
        mask: (N, H, W), bool.
    """
    check_batch(X)
    if not isinstance(mask, Tensor):
        raise InputError(f"the mask is a tensor (N, H, W), not {type(mask).__name__}")
    if mask.dtype != torch.bool or mask.shape != (X.shape[0], *X.shape[2:]):
        raise InputError(
            f"the mask is {tuple(mask.shape)} {mask.dtype}; pictures {tuple(X.shape)} need "
            f"{(X.shape[0], *X.shape[2:])} torch.bool"
        )
    white = visible_range()[1].to(X)
    return torch.where(mask.to(X.device)[:, None], X, white)


def _greatest_color(gradient: Tensor) -> Tensor:
    return gradient.abs().amax(dim=1)  # (N, H, W)
