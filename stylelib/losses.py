"""The three losses of style transfer: content, style and total variation (chapters 4 to 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from stylelib.arguments import number
from stylelib.errors import InputError
from stylelib.speed import GramProduct

__all__ = [
    "D2L_WEIGHTS",
    "EMBEDDED_WEIGHTS",
    "LossWeights",
    "Losses",
    "compute_loss",
    "content_loss",
    "gram",
    "style_loss",
    "tv_loss",
]


class LossWeights(NamedTuple):
    """The factor of each loss. The defaults are those of `transfer` with the d2l recipe.

    They suit the embedded VGG-19, whose activations are 1 on average, and were chosen by
    looking at images. In a finished image, the gradient shares of content and style are about
    0.45, and that of total variation is 0.05 to 0.2. With `D2L_WEIGHTS`, which suit
    torchvision's network, images stay close to the content image, and grain remains, because
    the gradient share of total variation is only 0.01.
    """

    content: float = 0.05
    style: float = 1e4
    tv: float = 20.0


def check_weights(weights: Sequence[float]) -> LossWeights:
    """Check that there are three weights, each a finite number of 0 or more; return them."""
    try:
        named = LossWeights(*weights)._asdict()
    except TypeError:
        named = {}
    if not named or len(weights) != len(named):
        raise InputError(f"weights must be three numbers (content, style, tv), not {weights!r}")
    return LossWeights(*(check_weight(name, weight) for name, weight in named.items()))


def check_weight(name: str, weight: float) -> float:
    """Check that a weight is a finite number of 0 or more, and return it."""
    return number(f"the {name} weight", weight, least=0, below=1e38)


EMBEDDED_WEIGHTS = LossWeights()
"""The loss weights for the embedded VGG-19: the defaults of `LossWeights`."""
D2L_WEIGHTS = LossWeights(content=1.0, style=1e4, tv=10.0)
"""The loss weights of the d2l code, for torchvision's network: the defaults of `train`.

That code has a style weight of 1e3, but its `10 * styles_l` repeats the list of losses ten
times, so their sum is that of a weight of 1e4.
"""


class Losses(NamedTuple):
    """The weighted losses of an image, each a tensor without axes."""

    contents_l: list[Tensor]
    styles_l: list[Tensor]
    tv_l: Tensor
    l: Tensor  # noqa: E741  the d2l code's name for the total


def content_loss(Y_hat: Tensor, Y: Tensor) -> Tensor:
    """Mean squared difference of features: mean((Y_hat - Y)^2).

    Args:
        Y_hat: features of the image that is being optimized, (N, C, H, W).
        Y: the features it should have, of the same shape; no gradient flows into them.

    Source: Gatys et al. (2016), equation 1, which has half the sum instead of the mean.

    Example:
        >>> import torch
        >>> content_loss(torch.ones(1, 2, 3, 4), torch.zeros(1, 2, 3, 4))
        tensor(1.)
    """
    check_features(Y_hat)
    check_tensor("Y", Y)
    if Y_hat.shape != Y.shape:
        raise InputError(
            f"Y_hat has the shape {tuple(Y_hat.shape)} and Y has {tuple(Y.shape)}; they "
            "must be the same"
        )
    return ((Y_hat - Y.detach()) ** 2).mean()


def gram(X: Tensor) -> Tensor:
    """Gram matrix of each image in a batch: F F^T / (C M), with the C x M matrix F of features.

    Args:
        X: features of shape (N, C, H, W); M = H * W.

    Returns:
        (N, C, C), symmetric; in float32 if the features are bfloat16.

    Source: Gatys et al. (2016), equation 3, which does not divide F F^T. The division makes the
    matrices of layers and images of different sizes comparable.

    Example:
        >>> import torch
        >>> gram(torch.ones(1, 2, 3, 4))
        tensor([[[0.5000, 0.5000],
                 [0.5000, 0.5000]]])
    """
    check_features(X)
    F = X.flatten(2)  # (N, C, M)
    product: Tensor = GramProduct.apply(F)  # F F^T, (N, C, C)
    return product / (F.shape[1] * F.shape[2])


def style_loss(Y_hat: Tensor, gram_Y: Tensor) -> Tensor:
    """Mean squared difference of Gram matrices: mean((gram(Y_hat) - gram_Y)^2).

    Args:
        Y_hat: features of the image that is being optimized, (N, C, H, W).
        gram_Y: the target's Gram matrix, (N, C, C) or (1, C, C); no gradient flows into it.

    Source: Gatys et al. (2016), equation 4, which has the factor 1 / (4 C^2 M^2) for matrices
    that are not normalized.
    """
    check_features(Y_hat)
    check_tensor("gram_Y", gram_Y)
    N, C = Y_hat.shape[:2]
    if gram_Y.shape not in ((N, C, C), (1, C, C)):
        raise InputError(
            f"gram_Y has the shape {tuple(gram_Y.shape)}; these features need ({N}, {C}, {C})"
        )
    return ((gram(Y_hat) - gram_Y.detach()) ** 2).mean()


def tv_loss(Y_hat: Tensor) -> Tensor:
    """Total variation: half the sum of the mean absolute differences down and across.

    Args:
        Y_hat: images of shape (N, C, H, W), at least 2 x 2 pixels.

    Source: Rudin, Osher and Fatemi (1992), in the anisotropic form of the d2l code: absolute
    differences along each axis, averaged over the pairs of that axis.

    Example:
        >>> import torch
        >>> tv_loss(torch.tensor([[[[0., 1.], [0., 1.]]]]))
        tensor(0.5000)
    """
    check_tensor("Y_hat", Y_hat)
    if Y_hat.ndim != 4 or min(Y_hat.shape[2:]) < 2:
        raise InputError(
            "total variation needs images (N, C, H, W) of 2 x 2 pixels or more, not "
            f"{tuple(Y_hat.shape)}"
        )
    vertical = (Y_hat[:, :, 1:, :] - Y_hat[:, :, :-1, :]).abs().mean()
    horizontal = (Y_hat[:, :, :, 1:] - Y_hat[:, :, :, :-1]).abs().mean()
    return 0.5 * (vertical + horizontal)


def compute_loss(
    X: Tensor,
    contents_Y_hat: Sequence[Tensor],
    styles_Y_hat: Sequence[Tensor],
    contents_Y: Sequence[Tensor],
    styles_Y_gram: Sequence[Tensor],
    *,
    weights: LossWeights = D2L_WEIGHTS,
) -> Losses:
    """All losses of an image, weighted, and their sum.

    Args:
        X: the normalized image, (N, 3, H, W).
        contents_Y_hat: its content features, one tensor per layer.
        styles_Y_hat: its style features, one tensor per layer.
        contents_Y: the content features it should have.
        styles_Y_gram: the Gram matrices it should have.
        weights: a factor for each kind of loss.

    Returns:
        (contents_l, styles_l, tv_l, l): lists of weighted losses with one entry per layer, the
        weighted total variation, and the total.
    """
    if len(contents_Y_hat) != len(contents_Y) or len(styles_Y_hat) != len(styles_Y_gram):
        raise InputError(
            f"{len(contents_Y_hat)} content and {len(styles_Y_hat)} style layers have "
            f"{len(contents_Y)} and {len(styles_Y_gram)} targets; the numbers must agree"
        )
    weights = check_weights(weights)
    contents_l = [
        weights.content * content_loss(Y_hat, Y)
        for Y_hat, Y in zip(contents_Y_hat, contents_Y, strict=True)
    ]
    styles_l = [
        weights.style * style_loss(Y_hat, G)
        for Y_hat, G in zip(styles_Y_hat, styles_Y_gram, strict=True)
    ]
    tv_l = weights.tv * tv_loss(X)
    return Losses(contents_l, styles_l, tv_l, torch.stack([*contents_l, *styles_l, tv_l]).sum())


def check_tensor(name: str, Y: Any) -> None:
    """Check that Y is a tensor in floating point."""
    if not isinstance(Y, Tensor) or not Y.is_floating_point():
        kind = Y.dtype if isinstance(Y, Tensor) else type(Y).__name__
        raise InputError(f"{name} must be a torch.Tensor in floating point, not {kind}")


def widened(Y: Tensor) -> Tensor:
    """The same values, in float32 at least."""
    return Y.to(torch.promote_types(Y.dtype, torch.float32))


def check_features(Y: Tensor) -> None:
    """Check that Y has the shape (N, C, H, W) of features or images."""
    check_tensor("features", Y)
    if Y.ndim != 4 or 0 in Y.shape:
        raise InputError(
            f"features must have the shape (N, C, H, W), none of them 0, not {tuple(Y.shape)}"
        )
