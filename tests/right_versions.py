"""Right versions of the functions of chapters 8, 10 to 12, 17, 21, 22 and 26 to 28, for the tests of
`stylelib.check`.

`BY_TORCH` has one that does not compute as the reference does, `BY_LIBRARY` what the book uses,
and `VARIANTS` what readers may write: with loops or without, narrow or wide, in place or not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as f
from torch import Tensor

from stylelib import CONVENTIONS, compare_grams, gram, match_colors, range_loss, relative
from stylelib.control.masks import weighed
from stylelib.optimization import residual_of
from stylelib.pyramid import ladder

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64)
Version = Callable[..., Any]


# --- chapter 8


def residual_by_torch(gradients: list[Tensor]) -> Tensor:
    whole = torch.stack(gradients)
    norms = torch.linalg.vector_norm(whole, ord=1, dim=(1, 2, 3, 4))
    return torch.linalg.vector_norm(whole.sum(dim=0), ord=1) / norms.sum()


def residual_by_library(gradients: list[Tensor]) -> float:
    return residual_of([(str(k), gradient) for k, gradient in enumerate(gradients)])


def residual_of_means(gradients: list[Tensor]) -> Tensor:
    whole = torch.stack(gradients)
    return whole.sum(dim=0).abs().mean() / whole.abs().mean(dim=(1, 2, 3, 4)).sum()


def residual_in_a_loop(gradients: list[Tensor]) -> float:
    total, norms = torch.zeros_like(gradients[0]), 0.0
    for gradient in gradients:
        total += gradient
        norms += float(gradient.double().abs().sum())
    return float(total.double().abs().sum()) / norms


# --- chapter 10


def range_by_relu(X: Tensor) -> Tensor:
    mean, std = (each.to(X).view(1, 3, 1, 1) for each in (MEAN, STD))
    pixels = X * std + mean
    return (f.relu(-pixels) / std + f.relu(pixels - 1) / std).pow(2).mean()


def range_in_place(X: Tensor) -> Tensor:
    low, high = ((each - MEAN) / STD for each in (0, 1))
    outside = X.clone()
    outside -= X.detach().clamp(low[:, None, None], high[:, None, None])
    return outside.square_().mean()


def range_by_channels(X: Tensor) -> Tensor:
    losses = []
    for c in range(3):
        low, high = (float((each - MEAN[c]) / STD[c]) for each in (0, 1))
        x = X[:, c].double()
        losses.append((x[x < low] - low).pow(2).sum() + (x[x > high] - high).pow(2).sum())
    return torch.stack(losses).sum() / X.numel()


# --- chapter 11


def error_by_torch(Y_hat: Tensor, Y: Tensor) -> Tensor:
    """With means over the positions, not divided by the channels."""
    G, A = (torch.einsum("chw,dhw->cd", F[0], F[0]) / F[0, 0].numel() for F in (Y_hat, Y.data))
    return (G - A).norm() ** 2 / A.norm() ** 2


def error_by_library(Y_hat: Tensor, Y: Tensor) -> Tensor:
    return relative(compare_grams)(Y)(Y_hat)


def error_of_means(Y_hat: Tensor, Y: Tensor) -> Tensor:
    A = gram(Y.detach())
    return f.mse_loss(gram(Y_hat), A) / A.square().mean()


def error_in_float64(Y_hat: Tensor, Y: Tensor) -> Tensor:
    F, P = Y_hat.double().flatten(2), Y.detach().double().flatten(2)
    G, A = F @ F.mT / F.shape[2], P @ P.mT / P.shape[2]
    return (G - A).pow(2).sum() / A.pow(2).sum()


# --- chapter 12


def paper_by_covariance(F: Tensor, S: Tensor) -> Tensor:
    """With means of products in place of sums, which leaves the factor 1 / (4 C^2)."""
    G, A = (torch.einsum("am,bm->abm", Y, Y).mean(2) for Y in (F, S.detach()))
    return f.mse_loss(G, A) / 4


def paper_by_convention(F: Tensor, S: Tensor) -> Tensor:
    return CONVENTIONS["paper"].style_loss(F[None, :, :, None], gram(S[None, :, :, None]))


def paper_by_resizing(F: Tensor, S: Tensor) -> Tensor:
    (C, M), S = F.shape, S.detach() * (F.shape[1] / S.shape[1]) ** 0.5
    return (F @ F.T - S @ S.T).norm() ** 2 / (2 * C * M) ** 2


def paper_in_place(F: Tensor, S: Tensor) -> Tensor:
    C, M = F.shape
    D = F.double() @ F.double().T
    D -= S.detach().double() @ S.detach().double().T * (M / S.shape[1])
    return D.square_().sum().div(4 * C**2 * M**2)


# --- chapter 17


def slope_by_difference(f: Version, x: Any, v: Any, h: float) -> Any:
    return (f(x + h * v) - f(x - h * v)) / (2 * h)


def slope_by_torch(f: Any, x: Any, v: Any, h: float) -> float:
    """The mean of the derivative between the two points, by Simpson's rule: exact for cubics."""
    a, b, c, at = (torch.as_tensor(each) for each in (f.a, f.b, f.c, x))
    weights, slopes = (1, 4, 1), []
    for t in (-h, 0.0, h):
        leaf = torch.zeros((), dtype=torch.float64, requires_grad=True)
        moved = at + (t + leaf) * torch.as_tensor(v)
        value = (a * moved + b * moved**2 + c * moved**3).sum()
        slopes.append(float(torch.autograd.grad(value, leaf)[0]))
    return sum(w * s for w, s in zip(weights, slopes, strict=True)) / 6


def slope_in_place(f: Version, x: Any, v: Any, h: float) -> float:
    moved = x.copy()
    moved += h * v
    above = f(moved)
    moved -= 2 * h * v
    return float((above - f(moved)) / h / 2)


def slope_of_both_halves(f: Version, x: Any, v: Any, h: float) -> Any:
    ahead, behind = ((f(x + step * v) - f(x)) / step for step in (h, -h))
    return np.float32((ahead + behind) / 2)


# --- chapter 21


def channel_by_torch(X: Tensor, channels: Tensor, net: Any, lr: float) -> Tensor:
    leaf = X.detach().clone().requires_grad_()
    maps = net(leaf)
    response = maps[torch.arange(len(X)), channels].mean(dim=(1, 2)).sum()
    return X + lr * torch.autograd.grad(response, leaf)[0]


def channel_one_by_one(X: Tensor, channels: Tensor, net: Any, lr: float) -> Tensor:
    moved = []
    for image, channel in zip(X, channels.tolist(), strict=True):
        leaf = image[None].clone().requires_grad_()
        net(leaf)[0, channel].mean().backward()
        moved.append(image + lr * leaf.grad[0])  # type: ignore[index]
    return torch.stack(moved)


def channel_by_optimizer(X: Tensor, channels: Tensor, net: Any, lr: float) -> Tensor:
    leaf = X.clone().requires_grad_()
    optimizer = torch.optim.SGD([leaf], lr=lr)
    means = net(leaf).flatten(2).mean(dim=2)
    (-means.gather(1, channels[:, None])).sum().backward()
    optimizer.step()
    return leaf.detach()


# --- chapter 22


def fractions_by_halves(side: float, smallest: float) -> list[float]:
    """Pixels are halved, and the count is the nearest power of 2 of their ratio."""
    count = max(0, round(math.log2((side / smallest) ** 2)))
    return [0.5 ** (k / 2) for k in range(count, -1, -1)]


def fractions_by_division(side: float, smallest: float) -> tuple[float, ...]:
    found = [1.0]
    while side * found[0] / 2**0.25 > smallest:
        found.insert(0, found[0] / 2**0.5)
    return tuple(found)


def fractions_as_tensor(side: float, smallest: float) -> Tensor:
    count = max(0, round(2 * math.log2(side / smallest)))
    return torch.logspace(-count / 2, 0, count + 1, base=2)


# --- chapter 26


def flat(X: Tensor) -> Tensor:
    return X[0].flatten(1)


def power(S: Tensor, exponent: float) -> Tensor:
    values, vectors = torch.linalg.eigh(S)
    return vectors * values**exponent @ vectors.T


def match_by_roots(X: Tensor, like: Tensor) -> Tensor:
    x, y = flat(X), flat(like)
    m, m_like = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
    S, T = (torch.cov(each, correction=0) for each in (x, y))
    A = power(S, -0.5) @ power(power(S, 0.5) @ T @ power(S, 0.5), 0.5) @ power(S, -0.5)
    return (A @ (x - m) + m_like).view_as(X)


def match_by_rotation(X: Tensor, like: Tensor) -> Tensor:
    """With Cholesky factors, and the rotation that makes the map symmetric."""
    x, y = flat(X).double(), flat(like).double()
    B, C = (torch.linalg.cholesky(torch.cov(each, correction=0)) for each in (x, y))
    U, _, V = torch.linalg.svd(C.T @ B)
    A = C @ U @ V @ torch.linalg.inv(B)
    return (A @ (x - x.mean(1, keepdim=True)) + y.mean(1, keepdim=True)).reshape(X.shape)


def match_by_geometric_mean(X: Tensor, like: Tensor) -> Tensor:
    """The geometric mean of S^-1 and T, by an iteration of arithmetic and harmonic means."""
    x, y = (flat(each).double() for each in (X, like))
    A, T = torch.cov(x, correction=0).inverse(), torch.cov(y, correction=0)
    for _ in range(40):
        A, T = (A + T) / 2, 2 * (A.inverse() + T.inverse()).inverse()
    pixels = [A @ (color - x.mean(1)) + y.mean(1) for color in x.T]
    return torch.stack(pixels, dim=1).reshape(X.shape).to(X)


# --- chapter 27


def mixed_by_torch(Ys: Tensor, weights: list[float]) -> Tensor:
    F = Ys.double().flatten(2)
    w = torch.tensor(weights, dtype=torch.float64)
    return torch.einsum("k,kam,kbm->ab", w / w.sum(), F, F) / F[0].numel()


def mixed_by_library(Ys: Tensor, weights: list[float]) -> Tensor:
    w = torch.tensor(weights).to(Ys)
    return (w[:, None, None] * gram(Ys)).sum(dim=0) / w.sum()


def mixed_in_a_loop(Ys: Tensor, weights: list[float]) -> Tensor:
    target = torch.zeros(Ys.shape[1], Ys.shape[1])
    for Y, weight in zip(Ys, weights, strict=True):
        target += weight / sum(weights) * gram(Y[None])[0]
    return target


def mixed_as_collage(Ys: Tensor, weights: list[float]) -> Tensor:
    """The roots of the shares on the features, side by side: one Gram matrix."""
    shares = [(weight / sum(weights)) ** 0.5 for weight in weights]
    wide = torch.cat([share * Y.flatten(1) for share, Y in zip(shares, Ys, strict=True)], dim=1)
    return wide @ wide.T / Ys[0].numel()


# --- chapter 28


def guided_by_torch(Y: Tensor, mask: Tensor) -> Tensor:
    w = mask.flatten().square()
    return torch.einsum("ncm,ndm,m->ncd", Y.flatten(2), Y.flatten(2), w / w.sum()) / Y.shape[1]


def guided_by_library(Y: Tensor, mask: Tensor) -> Tensor:
    return gram(weighed(Y, mask))


def guided_by_unit_mask(Y: Tensor, mask: Tensor) -> Tensor:
    F = Y.flatten(2) * f.normalize(mask.flatten(), dim=0)
    return F @ F.mT / Y.shape[1]


def guided_one_by_one(Y: Tensor, mask: Tensor) -> Tensor:
    rows = (Y.double() * mask.double()).flatten(2)
    found = torch.stack([each @ each.T for each in rows])
    found /= mask.double().square().sum() * Y.shape[1]
    return found


BY_TORCH: dict[str, Version] = {
    "gradient_residual": residual_by_torch,
    "range_loss": range_by_relu,
    "relative_error": error_by_torch,
    "paper_style_loss": paper_by_covariance,
    "slope_along": slope_by_torch,
    "channel_step": channel_by_torch,
    "size_fractions": lambda side, smallest: np.array(fractions_by_halves(side, smallest)),
    "match_colors": match_by_rotation,
    "mixed_target": mixed_by_torch,
    "guided_gram": guided_by_torch,
}
BY_LIBRARY: dict[str, Version] = {
    "gradient_residual": residual_by_library,
    "range_loss": range_loss,
    "relative_error": error_by_library,
    "paper_style_loss": paper_by_convention,
    "size_fractions": lambda side, smallest: np.array(ladder(side, smallest)),
    "match_colors": match_colors,
    "mixed_target": mixed_by_library,
    "guided_gram": guided_by_library,
}
VARIANTS: dict[str, list[Version]] = {
    "gradient_residual": [
        residual_by_library,
        residual_by_torch,
        residual_of_means,
        residual_in_a_loop,
    ],
    "relative_error": [error_by_library, error_by_torch, error_of_means, error_in_float64],
    "range_loss": [range_loss, range_by_relu, range_in_place, range_by_channels],
    "paper_style_loss": [
        paper_by_convention,
        paper_by_covariance,
        paper_by_resizing,
        paper_in_place,
    ],
    "slope_along": [slope_by_difference, slope_by_torch, slope_in_place, slope_of_both_halves],
    "channel_step": [channel_by_torch, channel_one_by_one, channel_by_optimizer],
    "size_fractions": [
        ladder,
        fractions_by_halves,
        fractions_by_division,
        fractions_as_tensor,
    ],
    "match_colors": [match_colors, match_by_roots, match_by_rotation, match_by_geometric_mean],
    "mixed_target": [mixed_by_library, mixed_by_torch, mixed_in_a_loop, mixed_as_collage],
    "guided_gram": [
        guided_by_library,
        guided_by_torch,
        guided_by_unit_mask,
        guided_one_by_one,
    ],
}
