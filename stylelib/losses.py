"""The three losses of style transfer: content, style, total variation (chapters 4 to 6)."""

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
    """What each loss is multiplied by. The defaults are those in force in `transfer`.

    They are for the embedded VGG-19, whose activations are 1 on average, and were chosen by
    looking at images. The shares of a finished image's gradient are then about 0.45 for content
    and style and 0.05 to 0.2 for total variation. With `D2L_WEIGHTS`, made for torchvision's
    network, this network keeps close to the content image, and total variation has a share of
    0.01: grain stays.
    """

    content: float = 0.05
    style: float = 1e4
    tv: float = 20.0


def check_weights(weights: Sequence[float]) -> LossWeights:
    """The three weights, each a finite number of 0 or more, or an `InputError`."""
    try:
        named = LossWeights(*weights)._asdict()
    except TypeError:
        named = {}
    if not named or len(weights) != len(named):
        raise InputError(f"weights are three numbers (content, style, tv), not {weights!r}")
    return LossWeights(*(check_weight(name, weight) for name, weight in named.items()))


def check_weight(name: str, weight: float) -> float:
    """One weight, a finite number of 0 or more, or an `InputError`."""
    return number(f"the {name} weight", weight, least=0, below=1e38)


EMBEDDED_WEIGHTS = LossWeights()
"""The weights for the embedded VGG-19: the defaults of `LossWeights`."""
D2L_WEIGHTS = LossWeights(content=1.0, style=1e4, tv=10.0)
"""The weights in force in the d2l code, for torchvision's network: the defaults of `train`.

That code writes a style weight of 1e3, and its `10 * styles_l` repeats the list of losses ten
times, so that their sum is that of a weight of 1e4.
"""


class Losses(NamedTuple):
    """The weighted losses of one picture, each a tensor with no axes."""

    contents_l: list[Tensor]
    styles_l: list[Tensor]
    tv_l: Tensor
    l: Tensor  # noqa: E741  the recipe's name for the total


def content_loss(Y_hat: Tensor, Y: Tensor) -> Tensor:
    """Mean squared difference of features: mean((Y_hat - Y)^2).

    Args:
        Y_hat: features of the picture that is being made, (N, C, H, W).
        Y: the features it should have, of the same shape; no gradient flows into them.

    Source: Gatys et al. (2016), equation 1, which has half the sum in place of the mean.

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
    """Gram matrix of each picture of a batch: F F^T / (C M), F the C x M matrix of features.

    Args:
        X: features of shape (N, C, H, W); M = H * W.

    Returns:
        (N, C, C), symmetric; in float32 where the features are bfloat16.

    Source: Gatys et al. (2016), equation 3, where F F^T is not divided by anything. The
    division makes matrices of layers and pictures of different sizes comparable.

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
        Y_hat: features of the picture that is being made, (N, C, H, W).
        gram_Y: the Gram matrix to reach, (N, C, C) or (1, C, C); no gradient flows into it.

    Source: Gatys et al. (2016), equation 4, which has the factor 1 / (4 C^2 M^2) on matrices
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
    """Total variation: mean absolute differences down and across, half of each added up.

    Args:
        Y_hat: pictures of shape (N, C, H, W), at least 2 x 2 pixels.

    Source: Rudin, Osher and Fatemi (1992), in the anisotropic form of the recipe: absolute
    differences along each axis, each averaged over its own number of pairs.

    Example:
        >>> import torch
        >>> tv_loss(torch.tensor([[[[0., 1.], [0., 1.]]]]))
        tensor(0.5000)
    """
    check_tensor("Y_hat", Y_hat)
    if Y_hat.ndim != 4 or min(Y_hat.shape[2:]) < 2:
        raise InputError(
            "total variation needs pictures (N, C, H, W) of 2 x 2 or more, not "
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
    """All the losses of a picture, weighted, and their sum.

    Args:
        X: the picture, (N, 3, H, W), normalized.
        contents_Y_hat: its content features, one tensor a layer.
        styles_Y_hat: its style features.
        contents_Y: the content features it should have.
        styles_Y_gram: the Gram matrices it should have.
        weights: a factor for each kind of loss.

    Returns:
        (contents_l, styles_l, tv_l, l): a weighted loss for each layer, for each layer, for the
        picture, and the total.
    """
    if len(contents_Y_hat) != len(contents_Y) or len(styles_Y_hat) != len(styles_Y_gram):
        raise InputError(
            f"{len(contents_Y_hat)} content and {len(styles_Y_hat)} style layers are to be "
            "compared with "
            f"{len(contents_Y)} and {len(styles_Y_gram)}; the numbers must agree"
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
    """Refuse what is no tensor in floating point, with an `InputError`."""
    if not isinstance(Y, Tensor) or not Y.is_floating_point():
        kind = Y.dtype if isinstance(Y, Tensor) else type(Y).__name__
        raise InputError(f"{name} must be a torch.Tensor in floating point, not {kind}")


def widened(Y: Tensor) -> Tensor:
    """The same numbers, in float32 at least."""
    return Y.to(torch.promote_types(Y.dtype, torch.float32))


def check_features(Y: Tensor) -> None:
    """Refuse what are no features or pictures (N, C, H, W), with an `InputError`."""
    check_tensor("features", Y)
    if Y.ndim != 4 or 0 in Y.shape:
        raise InputError(
            f"features have the shape (N, C, H, W), none of them 0, not {tuple(Y.shape)}"
        )
