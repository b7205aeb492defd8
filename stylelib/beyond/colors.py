"""The colors of one picture given to another (chapter 24)."""

from __future__ import annotations

import torch
from torch import Tensor

from stylelib.errors import InputError
from stylelib.losses import check_tensor

__all__ = ["match_colors"]

LEAST_VARIANCE = 1e-6
"""Added to the variances of colors, so that a gray picture has a covariance to divide by."""


def match_colors(X: Tensor, like: Tensor) -> Tensor:
    """A picture with the mean and the covariance of the colors of another.

    Every color x becomes A (x - mean(X)) + mean(like), A being the symmetric matrix that takes
    one covariance to the other, A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2: of all such matrices the
    one that moves the colors least.

    Args:
        X: a picture, (1, 3, H, W), in any units.
        like: the other, (1, 3, H', W'), in the same units.

    Returns:
        (1, 3, H, W). It may have left the visible range.

    Source: the optimal transport of normal distributions (Dowson and Landau 1982); Gatys et al.
    (2017), section 4.1, match colors by another root.
    """
    for name, picture in {"X": X, "like": like}.items():
        check_tensor(name, picture)
        if picture.ndim != 4 or picture.shape[:2] != (1, 3):
            raise InputError(f"{name} has the shape (1, 3, H, W), not {tuple(picture.shape)}")
    x, y = (picture[0].flatten(1).cpu().double() for picture in (X, like))  # (3, H W)
    S, T = (colors.cov(correction=0) for colors in (x, y))
    S = S + LEAST_VARIANCE * torch.eye(3)
    root, inverse = power(S, 0.5), power(S, -0.5)
    A = inverse @ power(root @ T @ root, 0.5) @ inverse
    moved = A @ (x - x.mean(dim=1, keepdim=True)) + y.mean(dim=1, keepdim=True)
    return moved.reshape(X.shape).to(X)


def power(S: Tensor, exponent: float) -> Tensor:
    """A power of a symmetric matrix without negative eigenvalues."""
    values, vectors = torch.linalg.eigh(S)
    raised: Tensor = vectors * values.clamp_min(0).pow(exponent) @ vectors.T
    return raised
