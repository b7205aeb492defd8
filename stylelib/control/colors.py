"""Colors kept, matched, or taken alone (chapter 26)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from stylelib.arguments import choice
from stylelib.errors import InputError
from stylelib.images import IMAGE_STD, denormalize, normalize
from stylelib.losses import check_tensor

__all__ = [
    "COLORS",
    "METHODS",
    "Colors",
    "Method",
    "match_colors",
    "prepared",
    "recolored",
    "with_luminance",
]

Colors = Literal["style", "keep", "match", "only"]
COLORS: tuple[Colors, ...] = ("style", "keep", "match", "only")
LUMINANCE = (0.299, 0.587, 0.114)
"""How much of R, G and B is in the luminance of a color (Rec. 601, the Y of YIQ and YCbCr)."""
Method = Literal["symmetric", "mean", "cholesky", "pca"]
METHODS: tuple[Method, ...] = ("symmetric", "mean", "cholesky", "pca")
ROUNDING = 1 / 255 / 12**0.5
"""The standard deviation of the error of rounding pixels in 0..1 to 8 bits."""
LEAST_VARIANCE = (2 * ROUNDING / float(IMAGE_STD.mean())) ** 2
"""Twice that in normalized units, squared: colors that vary by less do so by rounding."""


def luminance(X: Tensor) -> Tensor:
    """The luminance of images (N, 3, H, W), normalized: (N, 1, H, W), 0..1 if visible."""
    weights = torch.tensor(LUMINANCE).to(X).view(3, 1, 1)
    return (weights * denormalize(X)).sum(dim=1, keepdim=True)


def with_luminance(X: Tensor, like: Tensor) -> Tensor:
    """The colors of one image with the luminance of another.

    A color that would leave the visible range is moved toward the gray of its luminance until
    it is visible: its hue and its luminance stay.

    Args:
        X: where the colors come from, (1, 3, H, W), normalized.
        like: where the luminance comes from, of the same shape.

    Returns:
        (1, 3, H, W), normalized, within the visible range. In the image that `postprocess`
        makes of it, the luminance differs from that of `like` by less than a gray level.

    Raises:
        InputError: X is no image, or `like` has another shape.

    Example:
        >>> red, gray = torch.zeros(2, 1, 3, 4, 6)
        >>> red[:, 0] = 2
        >>> with_luminance(red, gray).shape
        torch.Size([1, 3, 4, 6])

    Source: Gatys et al. (2017), section 5.1, who change Y of YIQ; there colors out of range are
    cut off, which changes their luminance.
    """
    check_image("X", X)
    check_image("like", like)
    if X.shape != like.shape:
        raise InputError(f"like must be as large as X, {list(X.shape)}, not {list(like.shape)}")
    wanted = luminance(like).clamp(0, 1)
    chroma = denormalize(X) - luminance(X)  # of luminance 0
    room = torch.where(chroma > 0, 1 - wanted, wanted)
    fits = (room / chroma.abs().clamp_min(1e-12)).amin(dim=1, keepdim=True).clamp(max=1)
    return normalize(wanted + fits * chroma)


def prepared(
    colors: Colors,
    content: Tensor,
    style: Tensor,
    opaque: Tensor | None = None,
    there: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The photograph and a style image, as the losses are to see them.

    Args:
        colors: "keep" takes the colors out of both, and gives the style's luminance the mean
            and the standard deviation of the photograph's; "match" gives the style the
            photograph's colors (`match_colors`).
        content: (1, 3, H, W), normalized.
        style: (1, 3, H', W'), normalized.
        opaque: the part of the photograph whose colors count, (1, 1, H, W); None is all of it.
        there: that of the style image, (1, 1, H', W').
    """
    if colors == "match":
        like = [(1.0, content, opaque)]
        return content, match_colors_within(style, like, there, everywhere=True)
    if colors != "keep":
        return content, style
    Y_content, Y_style = luminance(content), luminance(style)
    mean, before = gray_moments(Y_style, there)
    wanted, after = gray_moments(Y_content, opaque)
    spread = after / before if before > ROUNDING else 0.0
    Y_style = (spread * (Y_style - mean) + wanted).clamp(0, 1)
    return normalize(Y_content.expand(-1, 3, -1, -1)), normalize(Y_style.expand(-1, 3, -1, -1))


def gray_moments(Y: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of a luminance (1, 1, H, W) in a region, as `weights_of`."""
    weights = weights_of(mask)
    if weights is None:
        return Y.mean(), Y.std(correction=0)
    y = Y.flatten().cpu().double()
    mean = (weights * y).sum()
    return mean.to(Y), (weights * (y - mean).square()).sum().sqrt().to(Y)


def recolored(colors: Colors, X: Tensor, content: Tensor) -> Tensor:
    """The finished image in the colors that were asked for.

    Args:
        colors: "keep" takes the photograph's, "only" leaves the photograph but for its colors.
        X: the image, (1, 3, H, W), normalized.
        content: the photograph, of the same shape.
    """
    if colors == "keep":
        return with_luminance(content, X)
    return with_luminance(X, content) if colors == "only" else X


def match_colors(X: Tensor, like: Tensor, method: Method = "symmetric") -> Tensor:
    """An image with the mean and the covariance of the colors of another.

    Every color x becomes A (x - mean(X)) + mean(like). If S is the covariance of the colors of
    X and T that of `like`, then many matrices A satisfy A S A^T = T.

    Args:
        X: an image, (1, 3, H, W), normalized.
        like: the other, (1, 3, H', W'), normalized.
        method: which matrix. "symmetric" is A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2, the only
            symmetric one without negative eigenvalues; of all it moves the colors least.
            "pca" is T^1/2 S^-1/2. "cholesky" is L_T L_S^-1, where L L^T is a covariance and L
            is triangular. "mean" is the identity: only the mean is matched.

    Returns:
        (1, 3, H, W). It may have left the visible range. A direction in which the colors of X
        vary by no more than rounding to 8 bits is dropped: only noise would be amplified.
        Then the result varies in fewer directions; its covariance is that of `like` if the
        colors of `like` vary in no more directions than those of X.

    Raises:
        InputError: X or `like` is no such tensor, or the method is unknown.

    Example:
        >>> X, like = torch.randn(1, 3, 8, 8), 0.5 * torch.randn(1, 3, 9, 7)
        >>> bool((match_colors(X, like).mean((2, 3)) - like.mean((2, 3))).abs().max() < 1e-6)
        True

    Source: the optimal transport of normal distributions (Dowson and Landau 1982); "pca" and
    "cholesky" are those of Gatys et al. (2017), section 5.2.
    """
    choice("method", method, METHODS)
    return match_colors_within(X, [(1.0, like, None)], None, method)


def match_colors_within(
    X: Tensor,
    like: Sequence[tuple[float, Tensor, Tensor | None]],
    here: Tensor | None,
    method: Method = "symmetric",
    *,
    everywhere: bool = False,
) -> Tensor:
    """As `match_colors`, within a region, and with the colors of several images together.

    Args:
        X: an image, (1, 3, H, W), normalized.
        like: for each of the other images its weight, of which all add up to 1; the image,
            (1, 3, H', W'), normalized; its region, (1, 1, H', W'); None is all of it.
        here: the region of `X` that is changed, (1, 1, H, W), 0..1; None is all of it.
        method: see `match_colors`.
        everywhere: whether all of `X` is changed, in the way that suits the region.
    """
    mean, S = color_moments("X", X, here)
    parts = [(weight, *color_moments("like", Y, there)) for weight, Y, there in like]
    wanted = sum((w * m for w, m, _ in parts), torch.zeros_like(mean))
    T = sum((w * (C + (m - wanted) @ (m - wanted).T) for w, m, C in parts), torch.zeros_like(S))
    A = color_map(S, T, method)
    x = X[0].flatten(1).cpu().double()  # (3, H W)
    moved = (A @ (x - mean) + wanted).reshape(X.shape).to(X)
    return moved if here is None or everywhere else X + here.to(X) * (moved - X)


def color_map(S: Tensor, T: Tensor, method: Method) -> Tensor:
    """A matrix A (3, 3) with A S A^T = T, if the rank of S is not smaller than that of T.

    With S = B B^T and T = C C^T, every such matrix is C Q B^-1, where Q Q^T is the identity.
    """
    if method == "mean":
        return torch.eye(3).to(S)
    B, C = axes(S, LEAST_VARIANCE), axes(T, 0.0)  # (3, r) and (3, q)
    if method == "symmetric":
        Q = nearest_rotation(C.T @ B)  # of all Q the one with the largest trace(A S)
    else:
        C = C[:, : B.shape[1]]  # so that q <= r
        if method == "pca":
            Q = nearest_rotation((C / C.norm(dim=0)).T @ (B / B.norm(dim=0)))
        else:
            Q = to_triangle(C) @ to_triangle(B)[:, : C.shape[1]].T
    A: Tensor = C @ Q @ torch.linalg.pinv(B)
    return A


def axes(S: Tensor, least: float) -> Tensor:
    """B (3, r) with B B^T = S: eigenvectors times roots of eigenvalues, the longest first.

    Eigenvalues of at most `least`, or 0 up to rounding, are left out.
    """
    values, vectors = (each.flip(-1) for each in torch.linalg.eigh(S))
    found = values > max(least, 1e-12 * float(values[0]))
    B: Tensor = vectors[:, found] * values[found].sqrt()
    return B


def nearest_rotation(M: Tensor) -> Tensor:
    """Q of the shape of M, its rows or columns orthonormal, with the largest trace(Q^T M)."""
    U, _, V = torch.linalg.svd(M, full_matrices=False)
    Q: Tensor = U @ V
    return Q


def to_triangle(B: Tensor) -> Tensor:
    """Q, orthogonal, such that B Q is lower triangular, its diagonal without negative signs."""
    Q, R = torch.linalg.qr(B.T)
    signed: Tensor = Q * torch.where(R.diagonal() < 0, -1.0, 1.0)
    return signed


def color_moments(name: str, X: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Mean, (3, 1), and covariance, (3, 3), of the colors of a region, in float64.

    The region is as in `weights_of`.
    """
    check_image(name, X)
    x = X[0].flatten(1).cpu().double()  # (3, H W)
    weights = weights_of(mask)
    if weights is None:
        return x.mean(dim=1, keepdim=True), x.cov(correction=0)
    return (x * weights).sum(dim=1, keepdim=True), x.cov(correction=0, aweights=weights)


def weights_of(mask: Tensor | None) -> Tensor | None:
    """A mask (1, 1, H, W) as weights (H W,) in float64, of sum 1; None for all of the image.

    A region that has been lost in a small image counts as all of it.
    """
    if mask is None or not mask.any():
        return None
    weights = mask.flatten().cpu().double()
    return weights / weights.sum()


def check_image(name: str, X: Tensor) -> None:
    """Check that X has the shape (1, 3, H, W) of an image."""
    check_tensor(name, X)
    if X.ndim != 4 or X.shape[:2] != (1, 3):
        raise InputError(f"{name} has the shape (1, 3, H, W), not {tuple(X.shape)}")
