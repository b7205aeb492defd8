"""More wrong versions of chapters 14 to 16 and 23 to 25, and what the checks call them.

They were written by others who had not seen the tables. Of the 59 here all but ten were named
at first. What was missed has been added since, so this is a test that nothing is lost. With it
stand the tests of the families of mistakes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from examination import Case, verdict_on

from stylelib import check
from stylelib.check.exercises import Exercise
from stylelib.check.mistakes import plain
from stylelib.check.places import place_flaw
from stylelib.check.tables import EXERCISES

Array = np.ndarray[Any, Any]


CASES = [
    Case(
        "convolution_forward",
        """
import numpy as np

def convolution_forward(x, weight, bias, padding, stride):
    N, C, H, W = x.shape
    O, _, k, _ = weight.shape
    p, s = padding, stride
    flipped = weight[:, :, ::-1, ::-1]
    x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    h, w = (H + 2 * p - k) // s + 1, (W + 2 * p - k) // s + 1
    y = np.zeros((N, O, h, w), dtype=x.dtype)
    for i in range(h):
        for j in range(w):
            patch = x[:, :, i * s : i * s + k, j * s : j * s + k]
            y[:, :, i, j] = np.tensordot(patch, flipped, axes=([1, 2, 3], [1, 2, 3])) + bias
    return y
""",
        "It turns the kernel upside down, as in the convolution of mathematics; a "
        "network's layer does not.",
        "kernel_flipped",
    ),
    Case(
        "convolution_forward",
        """
import numpy as np

def convolution_forward(x, weight, bias, padding, stride):
    N, C, H, W = x.shape
    O, _, k, _ = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    h = (H + 2 * padding - k) // stride + 1
    w = (W + 2 * padding - k) // stride + 1
    y = np.zeros((N, O, h, w))
    for n in range(N):
        for o in range(O):
            for i in range(h):
                for j in range(w):
                    for c in range(C):
                        a, b = i * stride, j * stride
                        window = padded[n, c, a : a + k, b : b + k]
                        y[n, o, i, j] += (window * weight[o, c]).sum() + bias[o]
    return y
""",
        "The bias is added inside the loop over input channels, so it counts C times.",
        "bias_for_each_channel",
    ),
    Case(
        "convolution_forward",
        """
import numpy as np

def convolution_forward(x, weight, bias, padding, stride):
    k, p = weight.shape[2], padding
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)), mode="edge")
    view = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(2, 3))
    view = view[:, :, ::stride, ::stride]
    return np.einsum("ncijuv,ocuv->noij", view, weight) + bias.reshape(1, -1, 1, 1)
""",
        "The border is padded with copies of the edge pixels instead of zeros.",
        "padded_with_edge",
    ),
    Case(
        "convolution_backward",
        """
import numpy as np

def convolution_backward(top_diff, x, weight, padding, stride):
    N, C, H, W = x.shape
    k, p, s = weight.shape[2], padding, stride
    h, w = top_diff.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    d_padded, d_weight = np.zeros_like(padded), np.zeros_like(weight)
    for i in range(h):
        for j in range(w):
            at = np.s_[:, :, i * s : i * s + k, j * s : j * s + k]
            D = top_diff[:, :, i, j]
            d_weight += np.einsum("no,ncuv->ocuv", D, padded[at])
            d_padded[at] += np.einsum("no,ocuv->ncuv", D, weight)
    return d_padded[:, :, :H, :W], d_weight, top_diff.sum(axis=(0, 2, 3))
""",
        "The padding is cut off only at the bottom and the right, so d_x is shifted by "
        "`padding` pixels.",
        "padding_cut_at_the_end",
    ),
    Case(
        "convolution_backward",
        """
import numpy as np

def convolution_backward(top_diff, x, weight, padding, stride):
    N, C, H, W = x.shape
    k, p, s = weight.shape[2], padding, stride
    h, w = top_diff.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    d_padded = np.zeros_like(padded)
    d_bias = top_diff.sum(axis=(0, 2, 3))
    for n in range(N):
        d_weight = np.zeros_like(weight)
        for i in range(h):
            for j in range(w):
                a, b = i * s, j * s
                D = top_diff[n, :, i, j]
                d_weight += D[:, None, None, None] * padded[n, :, a : a + k, b : b + k]
                d_padded[n, :, a : a + k, b : b + k] += np.tensordot(D, weight, axes=1)
    return d_padded[:, :, p : p + H, p : p + W], d_weight, d_bias
""",
        "d_weight is set to zero again for each image, so only the last image of the "
        "batch counts.",
        "weight_of_last_image",
    ),
    Case(
        "convolution_backward",
        """
import numpy as np

def convolution_backward(top_diff, x, weight, padding, stride):
    (H, W), p, s, k = x.shape[2:], padding, stride, weight.shape[2]
    rows, across = top_diff.shape[2:]
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    d_padded, d_weight = np.zeros_like(padded), np.zeros_like(weight)
    turned = np.rot90(weight, 2, axes=(2, 3))
    for u in range(k):
        for v in range(k):
            at = np.s_[:, :, u : u + s * rows : s, v : v + s * across : s]
            d_padded[at] += np.einsum("noij,oc->ncij", top_diff, turned[:, :, u, v])
            d_weight[:, :, u, v] = np.einsum("noij,ncij->oc", top_diff, padded[at])
    return d_padded[:, :, p : p + H, p : p + W], d_weight, top_diff.sum(axis=(0, 2, 3))
""",
        "The kernel is rotated by 180 degrees although the gradients are already "
        "scattered to where the window was, so d_x uses the wrong weights.",
        "kernel_flipped_twice",
    ),
    Case(
        "max_pool_forward",
        """
import numpy as np

def max_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    k, s = kernel_size, stride
    h, w = (H - k) // s + 1, (W - k) // s + 1
    y = x[:, :, : s * (h - 1) + 1 : s, : s * (w - 1) + 1 : s].copy()
    for u in range(1, k):
        for v in range(1, k):
            shifted = x[:, :, u : u + s * (h - 1) + 1 : s, v : v + s * (w - 1) + 1 : s]
            y = np.maximum(y, shifted)
    return y
""",
        "Both loops start at 1, so the rest of each window's first row and first column "
        "is never looked at.",
        "part_inner_and_first",
    ),
    Case(
        "max_pool_forward",
        """
import math
import numpy as np

def max_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    h = math.ceil((H - kernel_size) / stride) + 1
    w = math.ceil((W - kernel_size) / stride) + 1
    y = np.empty((N, C, h, w), dtype=x.dtype)
    for i in range(h):
        for j in range(w):
            a, b = i * stride, j * stride
            y[:, :, i, j] = x[:, :, a : a + kernel_size, b : b + kernel_size].max(axis=(2, 3))
    return y
""",
        "The output's size is rounded up, so there is an extra row or column of windows "
        "that hang over the border.",
        "last_window_hangs_over",
    ),
    Case(
        "max_pool_backward",
        """
import numpy as np

def max_pool_backward(top_diff, x, kernel_size, stride):
    d_x = np.zeros_like(x)
    N, C, h, w = top_diff.shape
    for n in range(N):
        for c in range(C):
            for i in range(h):
                for j in range(w):
                    best, where = -np.inf, None
                    for a in range(i * stride, i * stride + kernel_size):
                        for b in range(j * stride, j * stride + kernel_size):
                            if x[n, c, a, b] >= best:
                                best, where = x[n, c, a, b], (a, b)
                    d_x[n, c, where[0], where[1]] += top_diff[n, c, i, j]
    return d_x
""",
        "With >= the last of several equal maxima gets the gradient instead of the first.",
        "tie_to_the_last",
    ),
    Case(
        "max_pool_backward",
        """
import numpy as np

def max_pool_backward(top_diff, x, kernel_size, stride):
    d_x = np.zeros_like(x)
    k, s = kernel_size, stride
    for n, c, i, j in np.ndindex(top_diff.shape):
        window = x[n, c, i * s : i * s + k, j * s : j * s + k]
        v, u = divmod(int(window.argmax()), k)
        d_x[n, c, i * s + u, j * s + v] += top_diff[n, c, i, j]
    return d_x
""",
        "Row and column of the maximum inside the window are swapped.",
        "rows_and_columns_swapped",
    ),
    Case(
        "average_pool_forward",
        """
import numpy as np

def average_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    h, w = (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1
    y = np.zeros((N, C, h, w), dtype=x.dtype)
    for u in range(kernel_size):
        for v in range(kernel_size):
            y += x[:, :, u : u + stride * h : stride, v : v + stride * w : stride][:, :, :h, :w]
    return y / stride**2
""",
        "The sum of a window is divided by stride squared instead of kernel_size "
        "squared; they agree only if windows do not overlap.",
        "always_divided_by_four",
    ),
    Case(
        "average_pool_forward",
        """
import numpy as np

def average_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    h, w = (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1
    y = np.zeros((N, C, h, w), dtype=x.dtype)
    for i in range(h):
        for j in range(w):
            top, left = i * stride, j * stride
            window = x[:, :, top : top + kernel_size, left : left + kernel_size]
            y[:, :, i, j] = window.mean()
    return y
""",
        "mean() without axes averages over all images and channels too, so every "
        "channel gets the same value.",
        "everything_mixed",
    ),
    Case(
        "average_pool_backward",
        """
import numpy as np

def average_pool_backward(top_diff, x, kernel_size, stride):
    d_x, count = np.zeros_like(x), np.zeros_like(x)
    for i in range(top_diff.shape[2]):
        for j in range(top_diff.shape[3]):
            a, b = i * stride, j * stride
            at = np.s_[:, :, a : a + kernel_size, b : b + kernel_size]
            d_x[at] += top_diff[:, :, i, j][:, :, None, None] / kernel_size**2
            count[at] += 1
    return d_x / np.maximum(count, 1)
""",
        "Where windows overlap, it averages their shares instead of adding them.",
        "divided_by_windows",
    ),
    Case(
        "average_pool_backward",
        """
import numpy as np

def average_pool_backward(top_diff, x, kernel_size, stride):
    d_x = np.zeros_like(x)
    N, C, h, w = top_diff.shape
    share = top_diff / kernel_size**2
    for i in range(h):
        for j in range(w):
            d_x[:, :, i : i + kernel_size, j : j + kernel_size] += share[:, :, i, j, None, None]
    return d_x
""",
        "The windows start at (i, j) instead of (i * stride, j * stride).",
        "windows_not_moved_by_stride",
    ),
    Case(
        "adam_step",
        """
import numpy as np

def adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon):
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient**2
    t = t + 1
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    x = x - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return x, m, v
""",
        "t is raised by one before the correction, although it already counts from 1.",
        "correction_one_step_early",
    ),
    Case(
        "adam_step",
        """
import numpy as np

def adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon):
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * (gradient - m) ** 2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return x - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), m, v
""",
        "v is taken for a variance: it averages the squared distance from m instead of "
        "the squared gradient.",
        "centered",
    ),
    Case(
        "adam_step",
        """
import numpy as np

def adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon):
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * np.sum(gradient**2)
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    return x - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), m, v
""",
        "v gets the squared length of the whole gradient instead of each entry's own "
        "square, so all pixels share one scale.",
        "v_beta2_rest2_sum_over_012",
    ),
    Case(
        "moments_loss",
        """
import torch

def moments_loss(Y_hat, Y):
    mu_hat, mu = Y_hat.mean(dim=(2, 3)), Y.detach().mean(dim=(2, 3))
    sd_hat = Y_hat.std(dim=(2, 3), correction=0)
    sd = Y.std(dim=(2, 3), correction=0)
    return ((mu_hat - mu) ** 2 + (sd_hat - sd) ** 2).mean()
""",
        "Only the target's mean is detached; a gradient still flows into Y through its "
        "standard deviation.",
        None,
    ),
    Case(
        "moments_loss",
        """
import torch

def moments_loss(Y_hat, Y):
    Y = Y.detach()
    axes = (0, 2, 3)
    mean_gap = Y_hat.mean(dim=axes) - Y.mean(dim=axes)
    std_gap = Y_hat.std(dim=axes, correction=0) - Y.std(dim=axes, correction=0)
    return (mean_gap**2 + std_gap**2).mean()
""",
        "The statistics are taken over the whole batch, as batch normalization does, "
        "instead of for each image.",
        "over_batch",
    ),
    Case(
        "gaussian_loss",
        """
import torch

def _stats(F):
    F = F.flatten(2)
    mu = F.mean(dim=2)
    D = F - mu[:, :, None]
    return mu, D @ D.mT / F.shape[2]

def _root(S):
    values, vectors = torch.linalg.eigh(S)
    return vectors @ torch.diag_embed(values.clamp(min=1e-12).sqrt()) @ vectors.mT

def gaussian_loss(Y_hat, Y):
    mu_hat, S_hat = _stats(Y_hat)
    mu, S = _stats(Y.detach())
    gap = _root(S_hat) - _root(S)
    distance = (mu_hat - mu).square().sum(dim=1) + gap.square().sum(dim=(1, 2))
    return distance.mean() / Y.shape[1]
""",
        "It compares the two matrix roots entry by entry, which is the distance only if "
        "the two covariances commute.",
        "roots_multiplied",
    ),
    Case(
        "gaussian_loss",
        """
import torch

def _stats(F):
    F = F.flatten(2)
    return F.mean(dim=2), F @ F.mT / F.shape[2]

def gaussian_loss(Y_hat, Y):
    mu_hat, S_hat = _stats(Y_hat)
    mu, S = _stats(Y.detach())
    values, vectors = torch.linalg.eigh(S)
    half = vectors * values.clamp(min=0).sqrt()[:, None] @ vectors.mT
    cross = torch.linalg.eigvalsh(half @ S_hat @ half).clamp(min=0).sqrt().sum(dim=1)
    traces = S_hat.diagonal(dim1=1, dim2=2).sum(dim=1) + S.diagonal(dim1=1, dim2=2).sum(dim=1)
    distance = (mu_hat - mu).square().sum(dim=1) + traces - 2 * cross
    return distance.mean() / Y.shape[1]
""",
        "The means are not subtracted before the products, so second moments stand in "
        "for covariances and the means count twice.",
        "not_centered",
    ),
    Case(
        "gaussian_loss",
        """
import torch

def _stats(F):
    F = F.flatten(2)
    mu = F.mean(dim=2)
    D = F - mu[:, :, None]
    return mu, D @ D.mT / F.shape[2]

def gaussian_loss(Y_hat, Y):
    mu_hat, S_hat = _stats(Y_hat)
    mu, S = _stats(Y.detach())
    values, vectors = torch.linalg.eigh(S)
    half = vectors * values.sqrt()[:, None] @ vectors.mT
    cross = torch.linalg.eigvalsh(half @ S_hat @ half).clamp(min=0).sqrt().sum(dim=1)
    traces = S_hat.diagonal(dim1=1, dim2=2).sum(dim=1) + S.diagonal(dim1=1, dim2=2).sum(dim=1)
    distance = (mu_hat - mu).square().sum(dim=1) + traces - 2 * cross
    return distance.clamp(min=1e-12).sqrt().mean() / Y.shape[1]
""",
        "It takes the root at the end, the Wasserstein distance itself instead of its square.",
        "distance_not_squared",
    ),
    Case(
        "sliced_loss",
        """
import torch

def sliced_loss(Y_hat, Y, V):
    here = V @ Y_hat.flatten(2)
    there = V @ Y.detach().flatten(2)
    here, _ = torch.sort(here, dim=1)
    there, _ = torch.sort(there, dim=1)
    return (here - there).pow(2).mean()
""",
        "It sorts along the axis of the directions instead of the positions.",
        "sorted_over_directions",
    ),
    Case(
        "sliced_loss",
        """
import torch

def sliced_loss(Y_hat, Y, V):
    here = V @ Y_hat.flatten(2).sort(dim=2).values
    there = V @ Y.detach().flatten(2).sort(dim=2).values
    return (here - there).pow(2).mean()
""",
        "The features of each channel are sorted before they are projected, instead of "
        "the projections.",
        "sorted_before_and_not_after",
    ),
    Case(
        "nearest",
        """
import torch

def nearest(columns, candidates):
    mean = candidates.mean(dim=1, keepdim=True)
    a = torch.nn.functional.normalize(columns - mean, dim=0)
    b = torch.nn.functional.normalize(candidates - mean, dim=0)
    return (a.T @ b).argmax(dim=1)
""",
        "The candidates' mean is subtracted from both sets, instead of from each set its own.",
        "mean_of_candidates_for_both",
    ),
    Case(
        "nearest",
        """
import torch

def nearest(columns, candidates):
    a = columns - columns.mean(dim=1, keepdim=True)
    b = candidates - candidates.mean(dim=1, keepdim=True)
    a = a / a.norm(dim=0)
    return (a.T @ b).argmax(dim=1)
""",
        "Only the columns are scaled to length 1, so long candidates win although their "
        "angle is larger.",
        "not_normalized",
    ),
    Case(
        "bands_of",
        """
from torch.nn.functional import interpolate

def bands_of(X, levels):
    bands = []
    for _ in range(levels):
        H, W = X.shape[2:]
        small = interpolate(X, ((H + 1) // 2, (W + 1) // 2), mode="bilinear", antialias=True)
        bands.append(X - interpolate(small, (H, W), mode="bilinear"))
        X = small
    bands.append(X)
    return bands
""",
        "Odd sides are halved and rounded up instead of down.",
        "rounded_up",
    ),
    Case(
        "bands_of",
        """
from torch.nn.functional import interpolate

def bands_of(X, levels):
    bands = []
    for _ in range(levels):
        H, W = X.shape[2:]
        small = interpolate(X, (max(1, H // 2), max(1, W // 2)), mode="bilinear", antialias=True)
        large = interpolate(small, (H, W), mode="bilinear", align_corners=True)
        bands.append(X - large)
        X = small
    bands.append(X)
    return bands
""",
        "align_corners=True when enlarging shifts the large image against the small one.",
        "corners_aligned_upward",
    ),
    Case(
        "structure_divergence",
        """
import torch

def _similarity(F):
    A = torch.nn.functional.normalize(F, dim=0)
    return torch.softmax(A @ A.T / 0.2, dim=1)

def structure_divergence(F_hat, F):
    S_hat, S = _similarity(F_hat), _similarity(F)
    return (S * (S.log() - S_hat.log())).sum(dim=1).mean()
""",
        "normalize along dim=0 scales each channel over the positions, so the products "
        "of rows are no cosines.",
        "normalized_over_places",
    ),
    Case(
        "structure_divergence",
        """
import torch

def _log_similarity(F):
    A = torch.nn.functional.normalize(F, dim=1)
    return torch.log_softmax(A @ A.T / 0.2, dim=1)

def structure_divergence(F_hat, F):
    return torch.nn.functional.kl_div(
        _log_similarity(F), _log_similarity(F_hat), log_target=True, reduction="batchmean"
    )
""",
        "The arguments of kl_div are swapped, so it computes KL(S_hat || S) instead of "
        "KL(S || S_hat).",
        "arguments_swapped",
    ),
    Case(
        "adam_step",
        """
import numpy as np

def adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon):
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient * gradient
    alpha = learning_rate * (1 - beta2**t) / (1 - beta1**t)
    return x - alpha * m / (np.sqrt(v) + epsilon), m, v
""",
        "Both bias corrections are folded into the step size, but the root over 1 - "
        "beta2^t was forgotten.",
        "factor_-1_1",
    ),
    Case(
        "adam_step",
        """
import numpy as np

def adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon):
    m *= beta1
    m += (1 - beta1) * gradient
    v *= beta2
    v += (1 - beta2) * m**2
    m_hat = m / (1 - beta1**t)
    v_hat = v / (1 - beta2**t)
    x -= learning_rate * m_hat / (np.sqrt(v_hat) + epsilon)
    return x, m, v
""",
        "The second moment averages the square of the new m instead of the square of "
        "the gradient.",
        "m_squared",
    ),
    Case(
        "adam_step",
        """
import numpy as np

def adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon):
    m = m + (1 - beta1) * (gradient - m)
    v = v + (1 - beta2) * (np.square(gradient) - v)
    t = t + 1
    m_hat = m / (1 - np.power(beta1, t))
    v_hat = v / (1 - np.power(beta2, t))
    return x - learning_rate * m_hat / (np.sqrt(v_hat) + epsilon), m, v
""",
        "t is increased by 1 as if it counted from 0, so the bias correction is that of "
        "the next step.",
        "correction_one_step_early",
    ),
    Case(
        "average_pool_backward",
        """
import numpy as np

def average_pool_backward(top_diff, x, kernel_size, stride):
    N, C, rows, cols = top_diff.shape
    k = kernel_size
    d_x = np.zeros_like(x)
    counts = np.zeros_like(x)
    for i in range(rows):
        for j in range(cols):
            r, c = i * stride, j * stride
            d_x[:, :, r:r + k, c:c + k] += top_diff[:, :, i:i + 1, j:j + 1] / (k * k)
            counts[:, :, r:r + k, c:c + k] += 1
    return d_x / np.maximum(counts, 1)
""",
        "Where windows overlap, the contributions are averaged over the windows instead "
        "of added up.",
        "divided_by_windows",
    ),
    Case(
        "average_pool_backward",
        """
import numpy as np

def average_pool_backward(top_diff, x, kernel_size, stride):
    N, C, rows, cols = top_diff.shape
    u = np.arange(kernel_size)
    R = (np.arange(rows)[:, None] * stride + u)[:, None, :, None]  # (rows, 1, k, 1)
    S = (np.arange(cols)[:, None] * stride + u)[None, :, None, :]  # (1, cols, 1, k)
    d_x = np.zeros_like(x)
    d_x[:, :, R, S] += top_diff[:, :, :, :, None, None] / kernel_size**2
    return d_x
""",
        "With index arrays, += adds only once at a pixel that occurs in several windows "
        "(np.add.at is needed), so overlaps are lost.",
        "assigned_not_added",
    ),
    Case(
        "average_pool_forward",
        """
import numpy as np

def average_pool_forward(x, kernel_size, stride):
    k = kernel_size
    S = np.cumsum(np.cumsum(x, axis=2), axis=3)
    S = np.pad(S, ((0, 0), (0, 0), (1, 0), (1, 0)))
    total = S[:, :, k:, k:] - S[:, :, :-k, k:] - S[:, :, k:, :-k] + S[:, :, :-k, :-k]
    return total[:, :, ::stride, ::stride] / (2 * kernel_size)
""",
        "The sum of a window is divided by 2 k instead of k^2, which agrees only for 2 "
        "x 2 windows.",
        "divided_by_twice_the_side",
    ),
    Case(
        "average_pool_forward",
        """
import math
import numpy as np

def average_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    rows = math.ceil((H - kernel_size) / stride) + 1
    cols = math.ceil((W - kernel_size) / stride) + 1
    y = np.empty((N, C, rows, cols), dtype=x.dtype)
    for i in range(rows):
        for j in range(cols):
            window = x[:, :, i * stride:i * stride + kernel_size, j * stride:j * stride + kernel_size]
            y[:, :, i, j] = window.mean(axis=(2, 3))
    return y
""",
        "The output size is rounded up, so incomplete windows at the lower and right "
        "border get an output too.",
        "last_window_hangs_over",
    ),
    Case(
        "bands_of",
        """
import torch.nn.functional as F

def bands_of(X, levels):
    bands = []
    for _ in range(levels):
        H, W = X.shape[-2:]
        small = F.interpolate(X, size=(H // 2, W // 2), mode="bilinear", antialias=True)
        large = F.interpolate(small, size=(H, W), mode="bilinear", align_corners=True)
        bands.append(X - large)
        X = small
    bands.append(X)
    return bands
""",
        "The enlargement uses align_corners=True, which stretches the small image to "
        "the corner pixels.",
        "corners_aligned_upward",
    ),
    Case(
        "bands_of",
        """
import torch.nn.functional as F

def bands_of(X, levels):
    result = []
    current = X
    for level in range(levels):
        smaller = F.interpolate(current, scale_factor=0.5, mode="bilinear", antialias=True)
        back = F.interpolate(smaller, size=current.shape[2:], mode="bilinear", antialias=False)
        result.append(current - back)
        current = smaller
    return result + [current]
""",
        "scale_factor=0.5 samples at a ratio of exactly 2 instead of H / (H // 2), so "
        "images with odd sides are shrunk off center.",
        "scale_factor",
    ),
    Case(
        "bands_of",
        """
from torch.nn.functional import interpolate

def bands_of(X, levels):
    pyramid = [X]
    for _ in range(levels):
        side = [s // 2 for s in pyramid[-1].shape[2:]]
        pyramid.append(interpolate(pyramid[-1], side, mode="bilinear", antialias=True))
    bands = []
    for fine, coarse in zip(pyramid[:-1], pyramid[1:]):
        bands.append(fine - interpolate(coarse, fine.shape[2:], mode="bilinear"))
    bands.append(interpolate(pyramid[-1], X.shape[2:], mode="bilinear"))
    return bands
""",
        "The last entry is the small image enlarged to the size of X instead of the "
        "small image itself.",
        "rest_enlarged",
    ),
    Case(
        "convolution_backward",
        """
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

def convolution_backward(top_diff, x, weight, padding, stride):
    N, C, H, W = x.shape
    O, _, k, _ = weight.shape
    rows, cols = top_diff.shape[2:]
    p, s = padding, stride
    padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    view = sliding_window_view(padded, (k, k), axis=(2, 3))[:, :, ::s, ::s]
    d_weight = np.einsum("noij,ncijuv->ocuv", top_diff, view)
    d_bias = top_diff.sum(axis=(0, 2, 3))
    spread = np.zeros((N, O, H + 2 * p + k - 1, W + 2 * p + k - 1), dtype=top_diff.dtype)
    spread[:, :, k - 1:k - 1 + s * rows:s, k - 1:k - 1 + s * cols:s] = top_diff
    full = sliding_window_view(spread, (k, k), axis=(2, 3))  # (N, O, H + 2p, W + 2p, k, k)
    d_padded = np.einsum("noijuv,ocuv->ncij", full, weight)
    return d_padded[:, :, p:p + H, p:p + W], d_weight, d_bias
""",
        "The kernels are not rotated by 180 degrees before they are moved over the "
        "spread-out top_diff.",
        "kernel_flipped_twice",
    ),
    Case(
        "convolution_backward",
        """
import numpy as np

def convolution_backward(top_diff, x, weight, padding, stride):
    N, C, H, W = x.shape
    O, _, k, _ = weight.shape
    rows, cols = top_diff.shape[2:]
    p = padding
    padded = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    d_padded = np.zeros_like(padded)
    d_weight = np.zeros_like(weight)
    for i in range(rows):
        for j in range(cols):
            D = top_diff[:, :, i, j]  # (N, O)
            d_padded[:, :, i * stride:i * stride + k, j * stride:j * stride + k] += np.tensordot(D, weight, axes=(1, 0))
            d_weight += np.tensordot(D, padded[:, :, i:i + k, j:j + k], axes=(0, 0))
    return d_padded[:, :, p:p + H, p:p + W], d_weight, top_diff.sum((0, 2, 3))
""",
        "The windows for d_weight begin at (i, j) instead of (i stride, j stride); "
        "right for stride 1 only.",
        "weight_windows_not_moved_by_stride",
    ),
    Case(
        "convolution_backward",
        """
import numpy as np

def convolution_backward(top_diff, x, weight, padding, stride):
    O, C, k, _ = weight.shape
    N, _, rows, cols = top_diff.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    d_padded = np.zeros(padded.shape, dtype=x.dtype)
    d_weight = np.zeros(weight.shape, dtype=x.dtype)
    d_bias = np.zeros(O, dtype=x.dtype)
    for n in range(N):
        for o in range(O):
            for i in range(rows):
                for j in range(cols):
                    a, b = i * stride, j * stride
                    d_padded[n, :, a:a + k, b:b + k] += top_diff[n, o, i, j] * weight[o]
                    d_weight[o] += top_diff[n, o, i, j] * padded[n, :, a:a + k, b:b + k]
                    d_bias[o] += top_diff[n, o, i, j]
    d_x = d_padded[:, :, padding:-padding, padding:-padding]
    return d_x, d_weight, d_bias
""",
        "The border is cut off with padding:-padding, which leaves nothing when the "
        "padding is 0.",
        "empty_without_padding",
    ),
    Case(
        "convolution_forward",
        """
import numpy as np

def convolution_forward(x, weight, bias, padding, stride):
    N, C, H, W = x.shape
    O, _, k, _ = weight.shape
    xp = np.pad(x, ((0, 0), (0, 0), (padding,) * 2, (padding,) * 2))
    rows = (H + 2 * padding - k) // stride + 1
    cols = (W + 2 * padding - k) // stride + 1
    y = np.zeros((N, O, rows, cols), dtype=x.dtype)
    for o in range(O):
        for c in range(C):
            plane = np.zeros((N, rows, cols), dtype=x.dtype)
            for u in range(k):
                for v in range(k):
                    plane += weight[o, c, u, v] * xp[:, c, u:u + stride * rows:stride, v:v + stride * cols:stride]
            y[:, o] += plane + bias[o]
    return y
""",
        "The bias is added inside the loop over the input channels, so it counts C times.",
        "bias_for_each_channel",
    ),
    Case(
        "convolution_forward",
        """
import numpy as np

def convolution_forward(x, weight, bias, padding, stride):
    N, C, H, W = x.shape
    O, _, k, _ = weight.shape
    p, s = padding, stride
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    rows, cols = (H + 2 * p - k) // s + 1, (W + 2 * p - k) // s + 1
    columns = np.empty((N, k * k * C, rows * cols), dtype=x.dtype)
    at = 0
    for u in range(k):
        for v in range(k):
            patch = xp[:, :, u:u + s * rows:s, v:v + s * cols:s].reshape(N, C, -1)
            columns[:, at:at + C] = patch
            at += C
    y = weight.reshape(O, -1) @ columns + bias[:, None]
    return y.reshape(N, O, rows, cols)
""",
        "The columns are ordered (u, v, channel), but the weights (channel, u, v), so "
        "weights meet the wrong pixels.",
        "columns_ordered_uvc",
    ),
    Case(
        "gaussian_loss",
        """
import torch

def gaussian_loss(Y_hat, Y):
    def moments(T):
        T = T.flatten(2)
        mu = T.mean(2)
        D = T - mu[..., None]
        S = torch.einsum("ncm,ndm->ncd", D, D) / T.shape[2]
        return mu, S

    def root(S):
        values, U = torch.linalg.eigh(S)
        return (U * values.clamp(min=0).sqrt()[:, None, :]) @ U.mT

    mu1, S1 = moments(Y_hat)
    mu2, S2 = moments(Y.detach())
    means = ((mu1 - mu2) ** 2).sum(1)
    spread = ((root(S1) - root(S2)) ** 2).sum((1, 2))
    return ((means + spread) / Y.shape[1]).mean()
""",
        "The spread is the squared distance of the two matrix roots, which equals the "
        "trace formula only if the covariances commute.",
        "roots_multiplied",
    ),
    Case(
        "gaussian_loss",
        """
import torch

def gaussian_loss(Y_hat, Y):
    Y = Y.detach()
    N, C = Y_hat.shape[:2]
    A, B = Y_hat.flatten(2), Y.flatten(2)
    a, b = A.mean(-1, keepdim=True), B.mean(-1, keepdim=True)
    SA = (A - a) @ (A - a).transpose(1, 2) / A.shape[-1]
    SB = (B - b) @ (B - b).transpose(1, 2) / B.shape[-1]
    cross = torch.linalg.svdvals(SA @ SB).sqrt().sum(-1)
    traces = torch.einsum("ncc->n", SA) + torch.einsum("ncc->n", SB)
    return (((a - b) ** 2).sum((1, 2)) + traces - 2 * cross).mean() / C
""",
        "Singular values of the product S S* are used for its eigenvalues, but the "
        "product is not symmetric, so they differ.",
        "overlap_singular_values",
    ),
    Case(
        "max_pool_backward",
        """
import numpy as np

def max_pool_backward(top_diff, x, kernel_size, stride):
    k = kernel_size
    d_x = np.zeros_like(x)
    N, C, rows, cols = top_diff.shape
    for n in range(N):
        for c in range(C):
            for i in range(rows):
                for j in range(cols):
                    window = x[n, c, i * stride:i * stride + k, j * stride:j * stride + k]
                    column, row = divmod(int(np.argmax(window)), k)
                    d_x[n, c, i * stride + row, j * stride + column] += top_diff[n, c, i, j]
    return d_x
""",
        "Row and column of the maximum are swapped when the flat index is taken apart.",
        "rows_and_columns_swapped",
    ),
    Case(
        "max_pool_backward",
        """
import numpy as np

def max_pool_backward(top_diff, x, kernel_size, stride):
    rows, cols = top_diff.shape[2:]
    s = stride
    best = np.full(top_diff.shape, -np.inf)
    place = np.zeros(top_diff.shape, dtype=int)
    for u in range(kernel_size):
        for v in range(kernel_size):
            value = x[:, :, u:u + s * rows:s, v:v + s * cols:s]
            better = value >= best
            best = np.where(better, value, best)
            place = np.where(better, u * kernel_size + v, place)
    d_x = np.zeros_like(x)
    for u in range(kernel_size):
        for v in range(kernel_size):
            hit = place == u * kernel_size + v
            d_x[:, :, u:u + s * rows:s, v:v + s * cols:s] += hit * top_diff
    return d_x
""",
        "The running maximum is replaced with >=, so at a tie the last of the largest "
        "values gets the gradient.",
        "tie_to_the_last",
    ),
    Case(
        "max_pool_forward",
        """
def max_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    rows = (H - kernel_size) // stride + 1
    cols = (W - kernel_size) // stride + 1
    blocks = x[:, :, :rows * stride, :cols * stride]
    blocks = blocks.reshape(N, C, rows, stride, cols, stride)
    return blocks.max(axis=5).max(axis=3)
""",
        "The blocks have the side of the stride instead of the kernel, which is right "
        "only if the windows do not overlap.",
        "stride_as_kernel",
    ),
    Case(
        "max_pool_forward",
        """
import numpy as np

def max_pool_forward(x, kernel_size, stride):
    H, W = x.shape[2:]
    rows = (H - kernel_size) // stride + 1
    cols = (W - kernel_size) // stride + 1
    last = kernel_size - 1
    top = slice(0, stride * rows, stride), slice(last, last + stride * rows, stride)
    left = slice(0, stride * cols, stride), slice(last, last + stride * cols, stride)
    upper = np.maximum(x[:, :, top[0], left[0]], x[:, :, top[0], left[1]])
    lower = np.maximum(x[:, :, top[1], left[0]], x[:, :, top[1], left[1]])
    return np.maximum(upper, lower)
""",
        "Only the four corners of each window are compared, which is right for 2 x 2 "
        "windows only.",
        "part_corners",
    ),
    Case(
        "moments_loss",
        """
def moments_loss(Y_hat, Y):
    Y = Y.detach()
    mu_hat, mu = Y_hat.mean(dim=(0, 2, 3)), Y.mean(dim=(0, 2, 3))
    sigma_hat = Y_hat.var(dim=(0, 2, 3), unbiased=False).sqrt()
    sigma = Y.var(dim=(0, 2, 3), unbiased=False).sqrt()
    return ((mu_hat - mu) ** 2 + (sigma_hat - sigma) ** 2).mean()
""",
        "As in batch normalization, the moments are taken over the whole batch instead "
        "of for each image.",
        "over_batch",
    ),
    Case(
        "moments_loss",
        """
def moments_loss(Y_hat, Y):
    A, B = Y_hat.flatten(2), Y.detach().flatten(2)
    mean_A, mean_B = A.mean(-1), B.mean(-1)
    std_A = (A**2).mean(-1).sqrt()
    std_B = (B**2).mean(-1).sqrt()
    return ((mean_A - mean_B) ** 2 + (std_A - std_B) ** 2).mean()
""",
        "The means are not subtracted before squaring, so the second moment is the root "
        "mean square instead of the standard deviation.",
        "not_centered",
    ),
    Case(
        "nearest",
        """
import torch

def nearest(columns, candidates):
    mean = candidates.mean(dim=1, keepdim=True)
    a, b = columns - mean, candidates - mean
    a = a / a.norm(dim=0)
    b = b / b.norm(dim=0)
    return torch.argmax(torch.einsum("dm,dk->mk", a, b), dim=1)
""",
        "The candidates' mean is subtracted from both sets instead of each set's own.",
        "mean_of_candidates_for_both",
    ),
    Case(
        "nearest",
        """
import torch

def nearest(columns, candidates):
    a = columns - columns.mean(dim=1)[:, None]
    b = candidates - candidates.mean(dim=1)[:, None]
    found = []
    for m in range(a.shape[1]):
        column = a[:, m] / a[:, m].norm()
        scores = (column[:, None] * b).sum(dim=0)
        found.append(scores.argmax())
    return torch.stack(found)
""",
        "Only the column is scaled to length 1, not the candidates, so long candidates "
        "win over those with a larger cosine.",
        "not_normalized",
    ),
    Case(
        "sliced_loss",
        """
import torch

def sliced_loss(Y_hat, Y, V):
    here = torch.einsum("kc,nchw->nkhw", V, Y_hat)
    there = torch.einsum("kc,nchw->nkhw", V, Y.detach())
    here, _ = here.sort(dim=-1)
    there, _ = there.sort(dim=-1)
    return ((here - there) ** 2).mean()
""",
        "Height and width are not flattened, so only the values within each row of the "
        "image are sorted.",
        "sorted_over_columns",
    ),
    Case(
        "sliced_loss",
        """
def sliced_loss(Y_hat, Y, V):
    N, C = Y_hat.shape[:2]
    a = (V @ Y_hat.reshape(N, C, -1)).reshape(N, -1)
    b = (V @ Y.detach().reshape(len(Y), C, -1)).reshape(len(Y), -1)
    return (a.sort(1).values - b.sort(1).values).pow(2).mean()
""",
        "The projections of all directions are sorted together instead of each "
        "direction by itself.",
        "sorted_all_together",
    ),
    Case(
        "structure_divergence",
        """
import torch

def structure_divergence(F_hat, F):
    def similarity(F):
        F = F / F.norm(dim=0)
        return torch.softmax(F @ F.T / 0.2, dim=1)

    S_hat, S = similarity(F_hat), similarity(F)
    return (S * (S / S_hat).log()).sum(dim=1).mean()
""",
        "The lengths are taken along dim 0, so channels instead of positions are scaled "
        "to length 1.",
        "normalized_over_places",
    ),
    Case(
        "structure_divergence",
        """
import torch

def structure_divergence(F_hat, F):
    cos_hat = torch.cosine_similarity(F_hat[:, None], F_hat[None], dim=2)
    cos = torch.cosine_similarity(F[:, None], F[None], dim=2)
    S = (cos / 0.2).softmax(dim=1)
    log_S_hat = (cos_hat / 0.2).log_softmax(dim=1)
    return -(S * log_S_hat).sum(dim=1).mean()
""",
        "This is the cross-entropy: the entropy of S is not subtracted, so equal "
        "structures do not give 0.",
        "cross_entropy",
    ),
]
IN_FAMILIES = sorted({case.exercise for case in CASES})


@pytest.mark.parametrize("number", range(len(CASES)))
def test_each_is_named(number: int) -> None:
    case = CASES[number]
    verdict = verdict_on(case)
    assert verdict.mistake == case.name, verdict
    assert verdict.right == (case.name is None)


def outcome(exercise: Exercise, version: Callable[..., Any]) -> tuple[str, Array]:
    """The shapes or errors of all calls, and all values in one row, in units of the right ones."""
    shapes: list[Any] = []
    values = [np.zeros(0)]
    for arguments in exercise.arguments():
        right = plain(exercise, exercise.reference, arguments)
        try:
            with np.errstate(all="ignore"):
                leaves = plain(exercise, version, arguments)
        except Exception as error:
            shapes.append(type(error).__name__)
            continue
        shapes.append([(leaf.path, leaf.shape) for leaf in leaves])
        sizes = [float(np.abs(leaf.values).max(initial=0)) or 1.0 for leaf in right]
        for leaf, size in zip(leaves, sizes + [1.0] * len(leaves), strict=False):
            values.append(np.nan_to_num(leaf.values.ravel() / size, nan=1e9))
    return str(shapes), np.concatenate(values)


@pytest.mark.parametrize("name", IN_FAMILIES)
def test_members_of_families_differ(name: str) -> None:
    """From the right version, from the listed wrong ones, and from each other."""
    exercise = EXERCISES[name]
    versions = {wrong.name: wrong.version for wrong in exercise.rarer}
    assert len(versions) == len(exercise.rarer) >= 60
    listed = {wrong.name: wrong.version for wrong in exercise.wrongs}
    assert not versions.keys() & listed.keys()
    groups: dict[str, list[tuple[str, Array]]] = {}
    for each, version in {"right": exercise.reference, **listed, **versions}.items():
        shapes, values = outcome(exercise, version)
        groups.setdefault(shapes, []).append((each, values))
    for group in groups.values():
        names, rows = [each for each, _ in group], np.stack([values for _, values in group])
        for i in range(len(rows)):
            distances = np.abs(rows[i + 1 :] - rows[i]).max(axis=1, initial=0)
            near = np.flatnonzero(distances <= 3 * exercise.tolerance)
            alike = [names[i + 1 + j] for j in near if names[i + 1 + j] in versions]
            assert not alike, f"{names[i]} and {alike}"


@pytest.mark.parametrize("name", IN_FAMILIES)
def test_members_of_families_are_named(name: str) -> None:
    exercise = EXERCISES[name]
    for wrong in exercise.rarer[:: len(exercise.rarer) // 8]:
        verdict = getattr(check, name)(wrong.version)
        assert (verdict.mistake, verdict.message) == (wrong.name, wrong.sentence)
    sentences = [wrong.sentence for wrong in exercise.rarer]
    assert all(s[0].isupper() and s[-1] in ".?" and len(s) <= 200 for s in sentences)


RIGHT = np.random.default_rng(3).standard_normal((3, 2, 4, 5))


def but(part: Any, value: float) -> Array:
    """The right array with another value in a part of it."""
    wrong = RIGHT.copy()
    wrong[part] = value
    return wrong


@pytest.mark.parametrize(
    ("yours", "mistake"),
    [
        (but(np.s_[:, :, -1], 0), "wrong_at_last_row"),
        (but(np.s_[..., 0], 7), "wrong_at_first_column"),
        (but(1, 0), "factor_of_each_image"),
        (but(-1, 0), "wrong_at_last_image"),
        (but(np.s_[1:], 3), "wrong_at_all_but_first_image"),
        (RIGHT.transpose(2, 3, 0, 1).reshape(RIGHT.shape), "read_in_another_order"),
        (np.repeat(RIGHT.sum(0, keepdims=True), 3, 0), "same_for_every_image"),
        (np.roll(RIGHT, 1, 2) * np.arange(1, 5)[:, None].clip(1), None),
        (RIGHT + np.array([2.0, 3.0])[:, None, None], "offset_of_each_channel"),
        (RIGHT * np.array([2.0, 3.0])[:, None, None], "factor_of_each_channel"),
        (RIGHT**2, None),
    ],
)
def test_places_are_found(yours: Array, mistake: str | None) -> None:
    reason = place_flaw([yours], [RIGHT], 1e-4)
    assert (reason.mistake if reason else None) == mistake
    assert place_flaw([RIGHT[0]], [RIGHT], 1e-4) is None
