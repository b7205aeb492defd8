"""Two wrong versions of each exercise of chapters 2 to 25, and what the checks call them.

They were written by someone who had not seen the tables, after the families of mistakes had been
added. All but one, a range of windows that ends too early, were named at first.
"""

from __future__ import annotations

import pytest
from examination import Case, verdict_on

CASES = [
    Case(
        "preprocess",
        """
import numpy as np
import torch
from PIL import Image, ImageOps
from stylelib import IMAGE_MEAN, IMAGE_STD

def preprocess(image, image_shape):
    h, w = image_shape
    fitted = ImageOps.fit(image, (w, h), Image.Resampling.BILINEAR)
    x = torch.from_numpy(np.array(fitted)).float().div(255)
    x = (x - IMAGE_MEAN) / IMAGE_STD
    return x.permute(2, 0, 1).unsqueeze(0)
""",
        "ImageOps.fit keeps the aspect ratio and crops the image instead of stretching "
        "all of it to (H, W).",
        "cropped",
    ),
    Case(
        "preprocess",
        """
import numpy as np
import torch
from PIL import Image
from stylelib import IMAGE_MEAN, IMAGE_STD

def preprocess(image, image_shape):
    levels = np.asarray(image.resize(image_shape[::-1], Image.Resampling.BILINEAR), dtype=np.float32)
    mean = 255 * IMAGE_MEAN.numpy()
    std = IMAGE_STD.numpy()
    X = (levels - mean) / std
    return torch.from_numpy(X.transpose(2, 0, 1).copy())[None]
""",
        "The mean is converted to gray levels 0..255 but the standard deviation is not, "
        "so the result is 255 times too large.",
        "mean_right_std_over_255",
    ),
    Case(
        "postprocess",
        """
import torch
from PIL import Image
from stylelib import IMAGE_MEAN, IMAGE_STD

def postprocess(X):
    X = X.detach().squeeze(0).clamp(0, 1)
    rgb = X.permute(1, 2, 0) * IMAGE_STD + IMAGE_MEAN
    return Image.fromarray((rgb * 255).round().to(torch.uint8).numpy())
""",
        "It clamps the normalized values to 0..1, before the normalization is undone, "
        "rather than the pixels afterward.",
        "clamped_too_early",
    ),
    Case(
        "postprocess",
        """
import numpy as np
from PIL import Image
from stylelib import IMAGE_MEAN, IMAGE_STD

def postprocess(X):
    a = X[0].detach().cpu().numpy()
    mean, std = (t.numpy().reshape(3, 1, 1) for t in (IMAGE_MEAN, IMAGE_STD))
    a = a * std + mean
    a = (a - a.min()) / (a.max() - a.min())
    a = np.rint(255 * a).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.moveaxis(a, 0, -1)))
""",
        "It stretches the image's own range to 0..1 instead of clamping what lies "
        "outside of it.",
        "stretched_at_the_end",
    ),
    Case(
        "extract_features",
        """
def extract_features(X, net, content_layers, style_layers):
    contents, styles = [], []
    for number, layer in enumerate(net):
        X = layer(X)
        if number in content_layers:
            contents.append(X)
        elif number in style_layers:
            styles.append(X)
    return contents, styles
""",
        "Because of elif, a layer that is in both lists is missing from the styles.",
        "elif_for_styles",
    ),
    Case(
        "extract_features",
        """
def extract_features(X, net, content_layers, style_layers):
    outputs = {}
    wanted = set(content_layers) | set(style_layers)
    for i in range(max(wanted, default=-1) + 1):
        X = net[i](X)
        if i in wanted:
            outputs[i] = X.detach().clone()
    return [outputs[i] for i in content_layers], [outputs[i] for i in style_layers]
""",
        "The features are detached, so no gradient gets back to the image.",
        "graph_cut",
    ),
    Case(
        "content_loss",
        """
def content_loss(Y_hat, Y):
    return (Y_hat.detach() - Y).pow(2).mean()
""",
        "It detaches the synthesized image's features instead of the target, so the "
        "gradient goes to the wrong one.",
        "graph_cut",
    ),
    Case(
        "content_loss",
        """
import torch.nn.functional as F

def content_loss(Y_hat, Y):
    return F.smooth_l1_loss(Y_hat, Y.detach())
""",
        "It is the Huber loss: half the square for small differences, and linear for "
        "large ones.",
        "smooth_l1",
    ),
    Case(
        "gram",
        """
import torch

def gram(X):
    N, C, H, W = X.shape
    flat = X.reshape(N, C, H * W)
    flat = flat - flat.mean(dim=-1, keepdim=True)
    return torch.bmm(flat, flat.transpose(1, 2)) / (C * H * W)
""",
        "It subtracts each channel's mean first, which gives a covariance and not a "
        "Gram matrix.",
        "covariance",
    ),
    Case(
        "gram",
        """
import torch

def gram(X):
    G = torch.einsum("nchw,ndhw->ncd", X, X)
    return G / X.numel()
""",
        "X.numel() counts the images of the batch, too, so the matrices are N times too small.",
        "divided_by_the_batch_too",
    ),
    Case(
        "style_loss",
        """
from stylelib import gram

def style_loss(Y_hat, gram_Y):
    G = gram(Y_hat).mean(dim=0, keepdim=True)
    A = gram_Y.detach().mean(dim=0, keepdim=True)
    return (G - A).square().mean()
""",
        "It averages the Gram matrices over the batch before it compares them, instead "
        "of comparing each image's.",
        "batch_averaged_first",
    ),
    Case(
        "style_loss",
        """
from stylelib import gram

def style_loss(Y_hat, gram_Y):
    difference = gram(Y_hat) - gram_Y.detach()
    return (difference ** 2).mean() / 4
""",
        "It keeps the factor 1/4 of the paper's equation, which the mean does not have.",
        "quarter_of_the_mean",
    ),
    Case(
        "tv_loss",
        """
def tv_loss(Y_hat):
    down = (Y_hat - Y_hat.roll(1, dims=2)).abs().mean()
    across = (Y_hat - Y_hat.roll(1, dims=3)).abs().mean()
    return (down + across) / 2
""",
        "roll wraps around, so the last row and column count as neighbors of the first ones.",
        "wraps_around",
    ),
    Case(
        "tv_loss",
        """
def tv_loss(Y_hat):
    dv = (Y_hat[..., 1:, :] - Y_hat[..., :-1, :]).abs()
    dh = (Y_hat[..., :, 1:] - Y_hat[..., :, :-1]).abs()
    return (dv.sum() + dh.sum()) / (dv.numel() + dh.numel())
""",
        "It takes one mean over all pairs together instead of the mean of the two "
        "directions' means, which differs unless the image is square.",
        "one_mean_for_all",
    ),
    Case(
        "compute_loss",
        """
from stylelib import content_loss, style_loss, tv_loss

def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l = [1.0 * content_loss(a, b) for a, b in zip(contents_Y_hat, contents_Y)]
    w = 1e4 / len(styles_Y_hat)
    styles_l = [w * style_loss(a, G) for a, G in zip(styles_Y_hat, styles_Y_gram)]
    tv_l = 10.0 * tv_loss(X)
    return contents_l, styles_l, tv_l, sum(contents_l) + sum(styles_l) + tv_l
""",
        "It divides the style weight by the number of style layers, which is the "
        "paper's convention and not the d2l code's.",
        "styles_divided_by_layers",
    ),
    Case(
        "compute_loss",
        """
from stylelib import content_loss, style_loss, tv_loss

def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l, styles_l = [], []
    for F, P in zip(contents_Y_hat, contents_Y):
        contents_l.append(content_loss(F, P))
    for F, A in zip(styles_Y_hat, styles_Y_gram):
        styles_l.append(style_loss(F, A))
    tv_l = tv_loss(X)
    total = 1 * sum(contents_l) + 1e4 * sum(styles_l) + 10 * tv_l
    return contents_l, styles_l, tv_l, total
""",
        "Only the total is weighted; the style losses and the total variation are "
        "returned without their weights.",
        "weights_in_the_sum_only",
    ),
    Case(
        "training_step",
        """
def training_step(X, objective, optimizer):
    losses = objective(X)
    total = sum(losses.values())
    total.backward()
    optimizer.zero_grad()
    optimizer.step()
""",
        "It clears the gradient between backward and step, so the optimizer has nothing "
        "to follow.",
        "zeroed_too_late",
    ),
    Case(
        "training_step",
        """
def training_step(X, objective, optimizer):
    for loss in objective(X).values():
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
    optimizer.step()
""",
        "The gradient is cleared before each loss, so only the last loss moves the image.",
        "last_loss_only",
    ),
    Case(
        "lbfgs_direction",
        """
def lbfgs_direction(g, pairs):
    q = g.clone()
    alphas = []
    for s, y in reversed(pairs):
        alpha = (s @ q) / (y @ s)
        q = q - alpha * y
        alphas.append(alpha)
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), alpha in zip(pairs, alphas):
        beta = (y @ r) / (y @ s)
        r = r + (alpha - beta) * s
    return -r
""",
        "The alphas were collected from the newest pair to the oldest, but the second "
        "loop uses them in that order with the pairs oldest first.",
        "alphas_not_reversed",
    ),
    Case(
        "lbfgs_direction",
        """
def lbfgs_direction(g, pairs):
    rho = [1 / y.dot(s) for s, y in pairs]
    alpha = [None] * len(pairs)
    q = g.clone()
    for i in range(len(pairs) - 1, -1, -1):
        s, y = pairs[i]
        alpha[i] = rho[i] * s.dot(q)
        q = q - alpha[i] * y
    s, y = pairs[-1]
    z = s.dot(y) / y.dot(y) * q
    r = z.clone()
    for i, (s, y) in enumerate(pairs):
        beta = rho[i] * y.dot(z)
        r = r + s * (alpha[i] - beta)
    return -r
""",
        "In the second loop every beta is computed from the vector at its start, not "
        "from the one that the earlier pairs have corrected.",
        "r_not_updated",
    ),
    Case(
        "convolution_forward",
        """
import numpy as np

def convolution_forward(x, weight, bias, padding, stride):
    N, C, H, W = x.shape
    O, _, k, _ = weight.shape
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    Ho, Wo = (H + 2 * padding - k) // stride + 1, (W + 2 * padding - k) // stride + 1
    y = np.zeros((N, O, Ho, Wo), dtype=x.dtype)
    for n in range(N):
        for o in range(O):
            for i in range(Ho):
                for j in range(Wo):
                    for c in range(C):
                        patch = xp[n, c, i * stride:i * stride + k, j * stride:j * stride + k]
                        y[n, o, i, j] += (patch * weight[o, c]).sum() + bias[o]
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
    p, k = padding, weight.shape[-1]
    padded = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
    rows = (padded.shape[2] - k) // stride + 1
    cols = (padded.shape[3] - k) // stride + 1
    out = np.empty((len(x), len(weight), rows, cols), dtype=x.dtype)
    for i in range(rows):
        for j in range(cols):
            window = padded[:, :, i * stride:i * stride + k, j:j + k]
            out[:, :, i, j] = np.tensordot(window, weight, axes=([1, 2, 3], [1, 2, 3])) + bias
    return out
""",
        "The column of the window is j instead of j * stride, so the stride is ignored "
        "horizontally.",
        "windows_start_columns_not_strided",
    ),
    Case(
        "convolution_backward",
        """
import numpy as np

def convolution_backward(top_diff, x, weight, padding, stride):
    p, s, k = padding, stride, weight.shape[2]
    xp = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
    dxp, dw = np.zeros_like(xp), np.zeros_like(weight)
    for i in range(top_diff.shape[2]):
        for j in range(top_diff.shape[3]):
            d = top_diff[:, :, i, j]
            at = np.s_[:, :, i * s:i * s + k, j * s:j * s + k]
            dw += np.einsum("no,ncuv->ocuv", d, xp[at])
            dxp[at] += np.einsum("no,ocuv->ncuv", d, weight)
    return dxp[:, :, p:-p, p:-p], dw, top_diff.sum(axis=(0, 2, 3))
""",
        "The slice p:-p that removes the padding is empty if the padding is 0.",
        "empty_without_padding",
    ),
    Case(
        "convolution_backward",
        """
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

def convolution_backward(top_diff, x, weight, padding, stride):
    N, C, H, W = x.shape
    k = weight.shape[2]
    xp = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(xp, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    d_weight = np.einsum("noij,ncijuv->ocuv", top_diff, windows) / N
    d_bias = top_diff.sum(axis=(0, 2, 3))
    d_xp = np.zeros_like(xp)
    for i, j in np.ndindex(top_diff.shape[2:]):
        a, b = i * stride, j * stride
        d_xp[:, :, a:a + k, b:b + k] += np.tensordot(top_diff[:, :, i, j], weight, 1)
    return d_xp[:, :, padding:padding + H, padding:padding + W], d_weight, d_bias
""",
        "The gradient of the weights is averaged over the batch, where it must be summed.",
        "weight_divided_by_batch",
    ),
    Case(
        "max_pool_forward",
        """
import numpy as np

def max_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    rows, cols = (H - kernel_size) // stride + 1, (W - kernel_size) // stride + 1
    y = np.zeros((N, C, rows, cols), dtype=x.dtype)
    for n in range(N):
        for i in range(rows):
            for j in range(cols):
                top, left = i * stride, j * stride
                y[n, :, i, j] = np.max(x[n, :, top:top + kernel_size, left:left + kernel_size])
    return y
""",
        "The maximum is taken over the channels, too, so all channels get the same value.",
        "channels_mixed",
    ),
    Case(
        "max_pool_forward",
        """
import math
import numpy as np

def max_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    k, s = kernel_size, stride
    rows = math.ceil((H - k) / s) + 1
    cols = math.ceil((W - k) / s) + 1
    y = np.empty((N, C, rows, cols), dtype=x.dtype)
    for i in range(rows):
        for j in range(cols):
            y[:, :, i, j] = x[:, :, i * s:i * s + k, j * s:j * s + k].max(axis=(2, 3))
    return y
""",
        "The number of windows is rounded up, so windows that extend beyond the border "
        "are included.",
        "last_window_hangs_over",
    ),
    Case(
        "max_pool_backward",
        """
import numpy as np

def max_pool_backward(top_diff, x, kernel_size, stride):
    k, s = kernel_size, stride
    d_x = np.zeros_like(x)
    for i in range(top_diff.shape[2]):
        for j in range(top_diff.shape[3]):
            at = np.s_[:, :, i * s:i * s + k, j * s:j * s + k]
            window = x[at]
            mask = window == window.max(axis=(2, 3), keepdims=True)
            share = mask / mask.sum(axis=(2, 3), keepdims=True)
            d_x[at] += share * top_diff[:, :, i, j][:, :, None, None]
    return d_x
""",
        "At a tie it divides the gradient among the largest values, instead of giving "
        "all of it to the first.",
        "tie_shared",
    ),
    Case(
        "max_pool_backward",
        """
import numpy as np

def max_pool_backward(top_diff, x, kernel_size, stride):
    N, C, rows, cols = top_diff.shape
    grad = np.zeros(x.shape, dtype=x.dtype)
    for n in range(N):
        for c in range(C):
            for i in range(rows):
                for j in range(cols):
                    top, left = i * stride, j * stride
                    window = x[n, c, top:top + kernel_size, left:left + kernel_size]
                    col, row = divmod(int(window.argmax()), kernel_size)
                    grad[n, c, top + row, left + col] += top_diff[n, c, i, j]
    return grad
""",
        "Row and column of the flat argmax are swapped, so the gradient goes to the "
        "transposed position in the window.",
        "rows_and_columns_swapped",
    ),
    Case(
        "average_pool_forward",
        """
import numpy as np

def average_pool_forward(x, kernel_size, stride):
    N, C, H, W = x.shape
    rows = len(range(0, H - kernel_size, stride))
    cols = len(range(0, W - kernel_size, stride))
    y = np.zeros((N, C, rows, cols), dtype=x.dtype)
    for i, a in enumerate(range(0, H - kernel_size, stride)):
        for j, b in enumerate(range(0, W - kernel_size, stride)):
            y[:, :, i, j] = x[:, :, a:a + kernel_size, b:b + kernel_size].mean(axis=(2, 3))
    return y
""",
        "The range ends at H - k instead of H - k + 1, so a window that just fits at "
        "the end is left out.",
        "range_ends_too_early",
    ),
    Case(
        "average_pool_forward",
        """
import numpy as np

def average_pool_forward(x, kernel_size, stride):
    k = kernel_size
    rows = (x.shape[2] - k) // stride + 1
    cols = (x.shape[3] - k) // stride + 1
    S = x.cumsum(axis=2).cumsum(axis=3)
    a = np.arange(rows) * stride
    b = np.arange(cols) * stride
    def at(i, j):
        return S[:, :, i[:, None], j]
    total = at(a + k - 1, b + k - 1) - at(a, b + k - 1) - at(a + k - 1, b) + at(a, b)
    return total / k**2
""",
        "The table of sums has no leading row and column of zeros, so each window loses "
        "its first row and first column.",
        "sum_of_inner",
    ),
    Case(
        "average_pool_backward",
        """
import numpy as np

def average_pool_backward(top_diff, x, kernel_size, stride):
    k = kernel_size
    d_x, count = np.zeros_like(x), np.zeros_like(x)
    for i, j in np.ndindex(top_diff.shape[2:]):
        at = np.s_[:, :, i * stride:i * stride + k, j * stride:j * stride + k]
        d_x[at] += top_diff[:, :, i, j, None, None] / k**2
        count[at] += 1
    return d_x / np.maximum(count, 1)
""",
        "Where windows overlap it averages their gradients instead of adding them.",
        "divided_by_windows",
    ),
    Case(
        "average_pool_backward",
        """
import numpy as np

def average_pool_backward(top_diff, x, kernel_size, stride):
    N, C, rows, cols = top_diff.shape
    out = np.zeros_like(x)
    share = top_diff / (kernel_size * kernel_size)
    for n in range(N):
        for c in range(C):
            for i in range(rows):
                for j in range(cols):
                    r, q = i * kernel_size, j * kernel_size
                    out[n, c, r:r + kernel_size, q:q + kernel_size] += share[n, c, i, j]
    return out
""",
        "Windows begin at i times the kernel size instead of i times the stride.",
        "side_by_side",
    ),
    Case(
        "adam_step",
        """
import numpy as np

def adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon):
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * np.square(gradient)
    m_hat = m / (1 - beta1 ** t)
    v_hat = v / (1 - beta2 ** t)
    x = x - learning_rate * m_hat / np.sqrt(v_hat + epsilon)
    return x, m, v
""",
        "Epsilon is added under the root instead of to the root.",
        "epsilon_in_root",
    ),
    Case(
        "adam_step",
        """
import numpy as np

def adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon):
    m += (1 - beta1) * (gradient - m)
    v += (1 - beta2) * (gradient * gradient - v)
    correction = np.sqrt(1 - beta1**t) / (1 - beta1**t)
    denominator = np.sqrt(v) + epsilon * np.sqrt(1 - beta1**t)
    x -= learning_rate * correction * m / denominator
    return x, m, v
""",
        "The second moment is corrected with beta1 instead of beta2.",
        "v_corrected_with_beta1",
    ),
    Case(
        "saliency_map",
        """
import torch

def saliency_map(X, y, model):
    X = X.detach().clone().requires_grad_(True)
    scores = model(X)
    top = scores.max(dim=1).values
    grad = torch.autograd.grad(top.sum(), X)[0]
    return grad.abs().amax(dim=1)
""",
        "It differentiates the largest score, that of the predicted class, and ignores y.",
        "highest_score",
    ),
    Case(
        "saliency_map",
        """
import torch

def saliency_map(X, y, model):
    image = X.clone().requires_grad_()
    scores = model(image)
    rows = torch.arange(len(scores))
    scores[rows, y].mean().backward()
    saliency, _ = image.grad.abs().max(dim=1)
    return saliency
""",
        "It takes the mean of the scores over the batch, so the maps are divided by the "
        "number of images.",
        "mean_of_scores",
    ),
    Case(
        "fooling_step",
        """
import torch
import torch.nn.functional as F

def fooling_step(X, y, model, lr):
    X = X.detach().clone().requires_grad_()
    loss = F.cross_entropy(model(X), y, reduction="sum")
    g, = torch.autograd.grad(loss, X)
    norm = g.pow(2).sum(dim=(1, 2, 3), keepdim=True).sqrt()
    return (X - lr * g / norm).detach()
""",
        "It goes down the cross-entropy, which also lowers the other classes, instead "
        "of up the score of y.",
        "probability",
    ),
    Case(
        "fooling_step",
        """
import torch

def fooling_step(X, y, model, lr):
    X = X.clone().detach().requires_grad_(True)
    out = model(X)
    score = sum(out[i, c] for i, c in enumerate(y.tolist()))
    score.backward()
    with torch.no_grad():
        length = (X.grad ** 2).sum(dim=(1, 2, 3), keepdim=True)
        return X + lr * X.grad / length
""",
        "It divides by the squared length of the gradient, so the step's length is not lr.",
        "squared_length",
    ),
    Case(
        "class_visualization_step",
        """
import torch

def class_visualization_step(X, y, model, l2, lr):
    X = X.detach().clone().requires_grad_()
    score = model(X)[torch.arange(len(X)), y].sum()
    (g,) = torch.autograd.grad(score, X)
    X = X.detach() + lr * g
    return X - lr * 2 * l2 * X
""",
        "The penalty's gradient is taken at the image that the score has moved already, "
        "so these are two steps and not one.",
        "penalty_after_the_step",
    ),
    Case(
        "class_visualization_step",
        """
import torch

def class_visualization_step(X, y, model, l2, lr):
    X = X.clone().requires_grad_()
    scores = model(X).gather(1, y[:, None]).squeeze(1)
    penalty = l2 * X.flatten(1).norm(dim=1)
    (scores - penalty).sum().backward()
    return X.detach() + lr * X.grad
""",
        "The penalty is the norm of the image and not its square.",
        "length_not_squared",
    ),
    Case(
        "moments_loss",
        """
def moments_loss(Y_hat, Y):
    Y = Y.detach()
    mu_hat, mu = Y_hat.mean(dim=(0, 2, 3)), Y.mean(dim=(0, 2, 3))
    sd_hat = Y_hat.var(dim=(0, 2, 3), unbiased=False).sqrt()
    sd = Y.var(dim=(0, 2, 3), unbiased=False).sqrt()
    return ((mu_hat - mu) ** 2 + (sd_hat - sd) ** 2).mean()
""",
        "The moments are those of the whole batch, as in batch normalization, instead "
        "of each image's own.",
        "over_batch",
    ),
    Case(
        "moments_loss",
        """
def moments_loss(Y_hat, Y):
    a, b = Y_hat.flatten(2), Y.detach().flatten(2)
    means = (a.mean(-1) - b.mean(-1)).square()
    spreads = (a.square().mean(-1).sqrt() - b.square().mean(-1).sqrt()).square()
    return (means + spreads).mean()
""",
        "The standard deviation is computed without subtracting the mean, so it is a "
        "root mean square.",
        "not_centered",
    ),
    Case(
        "gaussian_loss",
        """
import torch

def gaussian_loss(Y_hat, Y):
    def gaussian(F):
        F = F.flatten(2)
        mu = F.mean(dim=2)
        D = F - mu[:, :, None]
        return mu, D @ D.mT / F.shape[2]

    def root(S):
        values, U = torch.linalg.eigh(S)
        return U @ torch.diag_embed(values.clamp(min=1e-12).sqrt()) @ U.mT

    mu_hat, S_hat = gaussian(Y_hat)
    mu, S = gaussian(Y.detach())
    d = (mu_hat - mu).square().sum(1) + (root(S_hat) - root(S)).square().sum(dim=(1, 2))
    return d.mean() / Y.shape[1]
""",
        "The squared distance of the two matrix roots is the right term only if the "
        "covariances commute.",
        "roots_multiplied",
    ),
    Case(
        "gaussian_loss",
        """
import torch

def gaussian_loss(Y_hat, Y):
    C = Y.shape[1]
    target = Y.detach().reshape(C, -1)
    mu, S = target.mean(dim=1), torch.cov(target)
    L, U = torch.linalg.eigh(S)
    half = (U * L.clamp(min=0).sqrt()) @ U.T
    losses = []
    for image in Y_hat:
        F = image.reshape(C, -1)
        S_hat = torch.cov(F)
        roots = torch.linalg.eigvalsh(half @ S_hat @ half).clamp(min=0).sqrt()
        spread = S_hat.trace() + S.trace() - 2 * roots.sum()
        losses.append((((F.mean(dim=1) - mu) ** 2).sum() + spread) / C)
    return torch.stack(losses).mean()
""",
        "torch.cov divides by M - 1 instead of M.",
        "unbiased",
    ),
    Case(
        "sliced_loss",
        """
import torch

def sliced_loss(Y_hat, Y, V):
    here = torch.einsum("kc,nchw->nkhw", V, Y_hat).flatten(2)
    there = torch.einsum("kc,nchw->nkhw", V, Y.detach()).flatten(2)
    here, _ = here.sort(dim=1)
    there, _ = there.sort(dim=1)
    return ((here - there) ** 2).mean()
""",
        "It sorts along the directions instead of along the positions.",
        "sorted_over_directions",
    ),
    Case(
        "sliced_loss",
        """
import torch

def sliced_loss(Y_hat, Y, V):
    p = V @ Y_hat.flatten(2)
    q = (V @ Y.detach().flatten(2)).expand_as(p)
    order = p.argsort(dim=-1)
    p, q = p.gather(-1, order), q.gather(-1, order)
    return (p - q).pow(2).mean()
""",
        "Both projections are put into the order of the first, so each position is "
        "still compared with itself, as without a sort.",
        "not_sorted",
    ),
    Case(
        "nearest",
        """
import torch

def nearest(columns, candidates):
    a = columns - columns.mean(dim=0)
    b = candidates - candidates.mean(dim=0)
    a = a / a.norm(dim=0, keepdim=True)
    b = b / b.norm(dim=0, keepdim=True)
    return torch.einsum("dm,dk->mk", a, b).argmax(dim=1)
""",
        "It subtracts from each column the mean of its own entries, instead of the mean "
        "column of the set.",
        "centered_over_features",
    ),
    Case(
        "nearest",
        """
import torch

def nearest(columns, candidates):
    a = (columns - columns.mean(1, keepdim=True)).T
    b = (candidates - candidates.mean(1, keepdim=True)).T
    return torch.cdist(a, b).argmin(dim=1)
""",
        "It finds the smallest distance instead of the largest cosine, so the lengths "
        "of the vectors matter.",
        "distance_of_centered",
    ),
    Case(
        "bands_of",
        """
import torch.nn.functional as F

def bands_of(X, levels):
    pyramid = [X]
    for _ in range(levels):
        H, W = pyramid[-1].shape[-2:]
        size = (max(1, H // 2), max(1, W // 2))
        pyramid.append(F.interpolate(pyramid[-1], size=size, mode="bilinear", antialias=True))
    bands = []
    for big, small in zip(pyramid, pyramid[1:]):
        up = F.interpolate(small, size=big.shape[-2:], mode="bilinear", align_corners=True)
        bands.append(big - up)
    return bands + [pyramid[-1]]
""",
        "The small image is enlarged with align_corners=True, which shifts it against "
        "the large one.",
        "corners_aligned_upward",
    ),
    Case(
        "bands_of",
        """
from torch.nn.functional import interpolate

def bands_of(X, levels):
    if levels == 0:
        return [X]
    H, W = X.shape[2], X.shape[3]
    small = interpolate(X, ((H + 1) // 2, (W + 1) // 2), mode="bilinear", antialias=True)
    band = X - interpolate(small, (H, W), mode="bilinear")
    return [band] + bands_of(small, levels - 1)
""",
        "Half of an odd side is rounded up instead of down.",
        "rounded_up",
    ),
    Case(
        "structure_divergence",
        """
import torch

def structure_divergence(F_hat, F):
    def cosines(Y):
        Y = Y / Y.norm(dim=1, keepdim=True)
        return Y @ Y.T / 0.2

    P = cosines(F).softmax(dim=1)
    log_Q = cosines(F_hat).log_softmax(dim=1)
    return -(P * log_Q).sum(dim=1).mean()
""",
        "It is the cross-entropy: the entropy of S is not subtracted, so equal "
        "structures do not give 0.",
        "cross_entropy",
    ),
    Case(
        "structure_divergence",
        """
import torch
from torch.nn.functional import kl_div, normalize

def structure_divergence(F_hat, F):
    tau = 0.2
    A_hat, A = normalize(F_hat, dim=1) / tau, normalize(F, dim=1) / tau
    log_S_hat = torch.log_softmax(A_hat @ A_hat.T, dim=-1)
    log_S = torch.log_softmax(A @ A.T, dim=-1)
    return kl_div(log_S_hat, log_S, log_target=True, reduction="batchmean")
""",
        "Both factors of the product are divided by the temperature, so the cosines are "
        "divided by its square.",
        "temperature_twice",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.exercise}-{case.name}")
def test_the_mistake_is_named(case: Case) -> None:
    verdict = verdict_on(case)
    assert not verdict.right
    assert verdict.mistake == case.name, case.mistake
