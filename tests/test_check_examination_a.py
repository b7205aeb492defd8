"""More wrong versions of chapters 2 to 9 and 18 to 20, and what the checks call them.

They were written by others who had not seen the tables. Of the 61 here all but six were named
at first. What was missed has been added since, so this is a test that nothing is lost.
"""

from __future__ import annotations

import re

import pytest
from examination import Case, verdict_on

from stylelib.check.judging import judge
from stylelib.check.tables import EXERCISES

CASES = [
    Case(
        "preprocess",
        """
import numpy as np
import torch
from PIL import ImageOps
from stylelib.images import IMAGE_MEAN, IMAGE_STD

def preprocess(image, image_shape):
    height, width = image_shape
    image = ImageOps.fit(image.convert("RGB"), (width, height))
    pixels = torch.from_numpy(np.array(image)).float() / 255
    return ((pixels - IMAGE_MEAN) / IMAGE_STD).permute(2, 0, 1)[None]
""",
        "ImageOps.fit crops the image to the new aspect ratio before it resizes, so the "
        "borders are lost instead of squeezed.",
        "cropped",
    ),
    Case(
        "preprocess",
        """
import numpy as np
import torch

def preprocess(image, image_shape):
    height, width = image_shape
    mean = np.array([0.485, 0.456, 0.406])
    std = np.array([0.229, 0.224, 0.225])
    pixels = np.asarray(image.convert("RGB").resize((width, height))) / 255
    pixels = (pixels - mean) / std
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None].copy())
""",
        "NumPy divides in double precision and nobody converts it back, so the tensor "
        "is float64 instead of float32.",
        "dtype",
    ),
    Case(
        "preprocess",
        """
import numpy as np
import torch

def preprocess(image, image_shape):
    height, width = image_shape
    levels = np.array(image.resize((width, height)), dtype=np.float32) / 256
    mean = np.array([0.485, 0.456, 0.406], dtype=np.float32)
    std = np.array([0.229, 0.224, 0.225], dtype=np.float32)
    return torch.from_numpy(((levels - mean) / std).transpose(2, 0, 1)).unsqueeze(0)
""",
        "The gray levels are divided by 256 instead of 255, so white is not quite 1.",
        "divided_by_256",
    ),
    Case(
        "preprocess",
        """
import numpy as np
import torch

def preprocess(image, image_shape):
    H, W = image_shape
    X = torch.from_numpy(np.array(image.resize((W, H)))).float().div(255)
    X = X.permute(2, 0, 1).unsqueeze(0)
    mean = X.mean(dim=(2, 3), keepdim=True)
    std = X.std(dim=(2, 3), keepdim=True)
    return (X - mean) / std
""",
        "The image is normalized with its own mean and standard deviation instead of "
        "ImageNet's.",
        "own_statistics_unbiased",
    ),
    Case(
        "postprocess",
        """
import torch
from PIL import Image
from stylelib.images import IMAGE_MEAN, IMAGE_STD

def postprocess(X):
    pixels = X[0].detach().clamp(0, 1).permute(1, 2, 0)
    pixels = pixels * IMAGE_STD + IMAGE_MEAN
    return Image.fromarray((255 * pixels).clamp(0, 255).round().to(torch.uint8).numpy())
""",
        "It clamps the normalized values to 0..1 before it undoes the normalization, so "
        "everything below the ImageNet mean turns into the mean.",
        "clamped_too_early",
    ),
    Case(
        "postprocess",
        """
import torch
from PIL import Image
from stylelib.images import IMAGE_MEAN, IMAGE_STD

def postprocess(X):
    pixels = X[0].detach().permute(1, 2, 0) * IMAGE_STD + IMAGE_MEAN
    pixels = (pixels - pixels.min()) / (pixels.max() - pixels.min())
    return Image.fromarray((255 * pixels).round().to(torch.uint8).numpy())
""",
        "It stretches the image's smallest and largest value to 0 and 1 instead of "
        "clamping, which changes the contrast.",
        "stretched_at_the_end",
    ),
    Case(
        "postprocess",
        """
import numpy as np
from PIL import Image

def postprocess(X):
    mean = np.array([0.485, 0.456, 0.406])
    std = np.array([0.229, 0.224, 0.225])
    pixels = X.detach().squeeze(0).numpy().T * std + mean
    levels = np.rint(255 * np.clip(pixels, 0, 1))
    return Image.fromarray(levels.astype(np.uint8))
""",
        ".T reverses all three axes to (W, H, 3), so the image comes out mirrored at "
        "its diagonal.",
        "height_and_width_swapped",
    ),
    Case(
        "postprocess",
        """
import torch
from PIL import Image

def postprocess(X):
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    levels = (X.detach() * std + mean) * 255
    levels = (levels + 0.5).round().clamp(0, 255).to(torch.uint8)
    return Image.fromarray(levels[0].permute(1, 2, 0).numpy())
""",
        "0.5 is added before round, which already rounds to the nearest, so about half "
        "of the levels come out one too high.",
        "rounded_up",
    ),
    Case(
        "extract_features",
        """
def extract_features(X, net, content_layers, style_layers):
    contents, styles = [], []
    for i, layer in enumerate(net):
        X = layer(X)
        if i in style_layers:
            styles.append(X)
        elif i in content_layers:
            contents.append(X)
    return contents, styles
""",
        "With elif, a layer that is in both lists is missing from the contents.",
        "elif_for_contents",
    ),
    Case(
        "extract_features",
        """
import torch

@torch.no_grad()
def extract_features(X, net, content_layers, style_layers):
    contents, styles = [], []
    for i in range(max([*content_layers, *style_layers]) + 1):
        X = net[i](X)
        if i in content_layers:
            contents.append(X)
        if i in style_layers:
            styles.append(X)
    return contents, styles
""",
        "no_grad cuts the graph, so no loss of these features can move the image.",
        "graph_cut",
    ),
    Case(
        "extract_features",
        """
def extract_features(X, net, content_layers, style_layers):
    contents, styles = [], []
    for number, layer in enumerate(net):
        X = layer(X)
        if number in style_layers:
            styles.append(X)
        elif number in content_layers:
            contents.append(X)
    return contents, styles
""",
        "elif: a layer that is in both lists is taken as a style layer only, and misses "
        "among the contents.",
        "elif_for_contents",
    ),
    Case(
        "extract_features",
        """
import torch

def extract_features(X, net, content_layers, style_layers):
    found = {}
    with torch.no_grad():
        for number in range(max([*content_layers, *style_layers]) + 1):
            X = net[number](X)
            found[number] = X
    return [found[i] for i in content_layers], [found[i] for i in style_layers]
""",
        "The pass runs under no_grad, so no gradient can flow from the features back to "
        "the image.",
        "graph_cut",
    ),
    Case(
        "content_loss",
        """
def content_loss(Y_hat, Y):
    # features of shape (N, C, H, W): one distance per position
    return (Y_hat - Y.detach()).pow(2).sum(dim=1).mean()
""",
        "The squares are summed over the channels and averaged over positions and "
        "images only, so the loss is C times too large.",
        "summed_over_channels",
    ),
    Case(
        "content_loss",
        """
def content_loss(Y_hat, Y):
    return (Y_hat.detach() - Y).square().mean()
""",
        "The wrong one of the two is detached: no gradient reaches Y_hat, and the "
        "target gets it instead.",
        "graph_cut",
    ),
    Case(
        "content_loss",
        """
def content_loss(Y_hat, Y):
    D = (Y_hat - Y.detach()).flatten(1)  # (N, C H W)
    return (D @ D.T).mean() / D.shape[1] * D.shape[0]
""",
        "The product D D^T also holds the products of different images, which the mean "
        "adds to the squares; right for one image only.",
        "products_of_images_per_value",
    ),
    Case(
        "content_loss",
        """
import torch.nn.functional as F

def content_loss(Y_hat, Y):
    return F.mse_loss(Y_hat.detach(), Y)
""",
        "The wrong argument is detached: no gradient reaches Y_hat, and it flows into "
        "the target instead.",
        "graph_cut",
    ),
    Case(
        "gram",
        """
def gram(X):
    N, C, H, W = X.shape
    F = X.reshape(N, H * W, C)
    return F.transpose(1, 2) @ F / (C * H * W)
""",
        "reshape to (N, M, C) does not move the channel axis to the end, so each column "
        "mixes values of all channels.",
        "rows_cut_wrongly",
    ),
    Case(
        "gram",
        """
import torch

def gram(X):
    G = torch.einsum("nihw,njhw->nij", X, X)
    return G / X.numel()
""",
        "It divides by the number of values of the whole batch, N C M, instead of C M "
        "for each image.",
        "divided_by_the_batch_too",
    ),
    Case(
        "gram",
        """
def gram(X):
    F = X.flatten(2)
    F = F / F.norm(dim=2, keepdim=True)
    return F @ F.mT / F.shape[1]
""",
        "Each channel is scaled to length 1 first, so the matrix holds cosines of "
        "channels and the strengths are lost.",
        "normalized_over_positions_divided_by_channels",
    ),
    Case(
        "gram",
        """
import torch

def gram(X):
    N, C, H, W = X.shape
    return torch.einsum("nchw,mdhw->ncd", X, X) / (C * H * W)
""",
        "The second factor has its own batch index m, so each image is multiplied by "
        "the sum of all images.",
        "multiplied_by_all_images",
    ),
    Case(
        "gram",
        """
def gram(X):
    N, C, H, W = X.shape
    F = X.permute(0, 2, 3, 1).reshape(N, C, H * W)
    return F.bmm(F.transpose(1, 2)) / (C * H * W)
""",
        "The channels are moved to the end and then the reshape asks for (N, C, M), "
        "which mixes channels and positions.",
        "rows_after_permute_0231",
    ),
    Case(
        "gram",
        """
import torch

def gram(X):
    F = X.flatten(start_dim=2)
    G = torch.stack([f @ f.t() for f in F])
    return G / X.numel()
""",
        "The product is divided by N C H W: the batch size is counted in.",
        "divided_by_the_batch_too",
    ),
    Case(
        "style_loss",
        """
from stylelib import gram

def style_loss(Y_hat, gram_Y):
    return ((gram(Y_hat) - gram_Y.detach()) ** 2).mean() / 4
""",
        "The factor 1/4 of the paper's formula is left in, although the loss is a plain mean.",
        "quarter_of_the_mean",
    ),
    Case(
        "style_loss",
        """
from stylelib import gram

def style_loss(Y_hat, gram_Y):
    G = gram(Y_hat)
    hat = G.diagonal(dim1=1, dim2=2)
    target = gram_Y.detach().diagonal(dim1=-2, dim2=-1)
    return (hat - target).pow(2).mean()
""",
        "Only the diagonals are compared, the energies of the channels, and no products "
        "of different channels.",
        "diagonal_only",
    ),
    Case(
        "style_loss",
        """
import torch
from stylelib import gram

def style_loss(Y_hat, gram_Y):
    C = Y_hat.shape[1]
    i, j = torch.triu_indices(C, C)
    D = gram(Y_hat) - gram_Y.detach()
    return (D[:, i, j] ** 2).mean()
""",
        "The mean goes over the upper triangle only, so the diagonal weighs twice as "
        "much as it should.",
        "triangle_only",
    ),
    Case(
        "style_loss",
        """
def style_loss(Y_hat, gram_Y):
    N, C, H, W = Y_hat.shape
    F = Y_hat.reshape(N, C, H * W)
    G = F @ F.transpose(1, 2) / (C * H * W)
    difference = (G - gram_Y.detach()).mean(dim=0)
    return difference.square().mean()
""",
        "The differences are averaged over the batch before they are squared, so errors "
        "of different images can cancel.",
        "batch_averaged_first",
    ),
    Case(
        "tv_loss",
        """
import torch

def tv_loss(Y_hat):
    vertical = (Y_hat - torch.roll(Y_hat, 1, dims=2)).abs().mean()
    horizontal = (Y_hat - torch.roll(Y_hat, 1, dims=3)).abs().mean()
    return 0.5 * (vertical + horizontal)
""",
        "roll wraps around, so the first row and the last one, and the first and last "
        "column, count as neighbors.",
        "wraps_around",
    ),
    Case(
        "tv_loss",
        """
def tv_loss(Y_hat):
    vertical = (Y_hat[:, :, 1:, :] - Y_hat[:, :, :-1, :]).abs().sum()
    horizontal = (Y_hat[:, :, :, 1:] - Y_hat[:, :, :, :-1]).abs().sum()
    return 0.5 * (vertical + horizontal) / Y_hat.numel()
""",
        "Both sums are divided by the number of values of the image instead of the "
        "number of pairs of neighbors.",
        "divided_by_pixels",
    ),
    Case(
        "tv_loss",
        """
import torch

def tv_loss(Y_hat):
    down = Y_hat[:, :, 1:] - Y_hat[:, :, :-1]
    across = Y_hat[..., 1:] - Y_hat[..., :-1]
    return torch.cat([down.flatten(), across.flatten()]).abs().mean()
""",
        "One mean over all pairs: the two directions have different numbers of pairs "
        "unless H = W, so they do not count half each.",
        "one_mean_for_all",
    ),
    Case(
        "tv_loss",
        """
import torch

def tv_loss(Y_hat):
    vertical = (torch.roll(Y_hat, -1, dims=2) - Y_hat).abs().mean()
    horizontal = (torch.roll(Y_hat, -1, dims=3) - Y_hat).abs().mean()
    return (vertical + horizontal) / 2
""",
        "roll wraps around, so the last row and column are compared with the first.",
        "wraps_around",
    ),
    Case(
        "compute_loss",
        """
from stylelib import content_loss, style_loss, tv_loss

def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l = [content_loss(a, b) for a, b in zip(contents_Y_hat, contents_Y)]
    styles_l = [style_loss(a, b) for a, b in zip(styles_Y_hat, styles_Y_gram)]
    tv_l = tv_loss(X)
    l = 1 * sum(contents_l) + 1e4 * sum(styles_l) + 10 * tv_l
    return contents_l, styles_l, tv_l, l
""",
        "The sum is right, but the lists and the total variation come back without "
        "their weights.",
        "weights_in_the_sum_only",
    ),
    Case(
        "compute_loss",
        """
from stylelib import content_loss, style_loss, tv_loss

def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l = [content_loss(a, b) for a, b in zip(contents_Y_hat, contents_Y)]
    styles_l = [1e4 * style_loss(a, b) / len(styles_Y_hat)
                for a, b in zip(styles_Y_hat, styles_Y_gram)]
    tv_l = 10 * tv_loss(X)
    return contents_l, styles_l, tv_l, sum(contents_l + styles_l + [tv_l])
""",
        "The style weight is divided among the layers, so the style losses are a mean "
        "over layers instead of a sum.",
        "styles_divided_by_layers",
    ),
    Case(
        "compute_loss",
        """
from stylelib import content_loss, style_loss, tv_loss

def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l = [content_loss(a, b) for a, b in zip(contents_Y_hat, contents_Y)]
    styles_l = [1e4 * style_loss(a, b) for a, b in zip(styles_Y_hat, styles_Y_gram)]
    tv_l = 10 * tv_loss(X)
    l = 0.0
    for c, s in zip(contents_l, styles_l):
        l = l + c + s
    return contents_l, styles_l, tv_l, l + tv_l
""",
        "One zip over both lists stops at the shorter one, so most of the style losses "
        "are missing from the sum.",
        "zipped",
    ),
    Case(
        "compute_loss",
        """
from stylelib import content_loss, style_loss, tv_loss

def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l = [content_loss(a, b) for a, b in zip(contents_Y_hat, contents_Y)]
    styles_l = [style_loss(a, b) for a, b in zip(styles_Y_hat, styles_Y_gram)]
    tv_l = 10 * tv_loss(X)
    l = sum(contents_l) + 1e4 * sum(styles_l) + tv_l
    return contents_l, styles_l, tv_l, l
""",
        "The style losses in the returned list are not weighted; only the total is.",
        "styles_weighted_in_total_only",
    ),
    Case(
        "compute_loss",
        """
from stylelib import content_loss, style_loss, tv_loss

def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l, styles_l = [], []
    tv_l = tv_loss(X) * 10
    l = tv_l
    for Y_hat, Y in zip(contents_Y_hat, contents_Y):
        contents_l.append(content_loss(Y_hat, Y) * 1)
        l += contents_l[-1]
    for Y_hat, G in zip(styles_Y_hat, styles_Y_gram):
        styles_l.append(style_loss(Y_hat, G) * 1e4)
        l += styles_l[-1]
    return contents_l, styles_l, tv_l, l
""",
        "l and tv_l are the same tensor, so l += ... in place turns the returned total "
        "variation into the total, too.",
        "tv_is_the_total",
    ),
    Case(
        "compute_loss",
        """
import torch
from stylelib import content_loss, style_loss, tv_loss

def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l = [content_loss(Y_hat, Y) for Y_hat, Y in zip(contents_Y_hat, contents_Y)]
    styles_l = [style_loss(Y_hat, G) * 1e4 for Y_hat, G in zip(styles_Y_hat, styles_Y_gram)]
    tv_l = tv_loss(X) * 10
    l = torch.tensor([float(loss.detach()) for loss in contents_l + styles_l + [tv_l]]).sum()
    return contents_l, styles_l, tv_l, l
""",
        "The total is a new tensor made from plain numbers, so no gradient flows from "
        "it to the image.",
        "gradient",
    ),
    Case(
        "training_step",
        """
def training_step(X, objective, optimizer):
    total = sum(objective(X).values())
    total.backward()
    optimizer.zero_grad()
    optimizer.step()
""",
        "zero_grad stands between backward and step, so the gradient is thrown away "
        "before it is used.",
        "zeroed_too_late",
    ),
    Case(
        "training_step",
        """
def training_step(X, objective, optimizer):
    for name in objective(X):
        optimizer.zero_grad()
        objective(X)[name].backward()
        optimizer.step()
""",
        "It makes a step of its own for each loss, instead of one step for their sum.",
        "step_for_each_loss",
    ),
    Case(
        "training_step",
        """
def training_step(X, objective, optimizer):
    losses = objective(X)
    for loss in losses.values():
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
    optimizer.step()
""",
        "The gradient is reset before each loss, so only the last loss moves the image.",
        "last_loss_only",
    ),
    Case(
        "training_step",
        """
def training_step(X, objective, optimizer):
    for name in list(objective(X)):
        optimizer.zero_grad()
        objective(X)[name].backward()
        optimizer.step()
""",
        "The optimizer makes a step of its own for each loss instead of one for their sum.",
        "step_for_each_loss",
    ),
    Case(
        "training_step",
        """
import torch

def training_step(X, objective, optimizer):
    optimizer.zero_grad()
    loss = torch.stack(list(objective(X).values())).mean()
    loss.backward()
    optimizer.step()
""",
        "The mean of the losses is minimized instead of their sum, so the gradient is "
        "too small by their number.",
        "mean_of_losses",
    ),
    Case(
        "lbfgs_direction",
        """
def lbfgs_direction(g, pairs):
    q = g.clone()
    alphas = []
    for s, y in reversed(pairs):
        alpha = (s @ g) / (s @ y)
        alphas.append(alpha)
        q = q - alpha * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), alpha in zip(pairs, reversed(alphas)):
        beta = (y @ r) / (s @ y)
        r = r + (alpha - beta) * s
    return -r
""",
        "Each alpha is computed from the gradient g instead of q, which the newer pairs "
        "have already changed.",
        "q_not_updated",
    ),
    Case(
        "lbfgs_direction",
        """
def lbfgs_direction(g, pairs):
    q, alphas = g.clone(), []
    for s, y in pairs[::-1]:
        alphas.append((s @ q) / (s @ y))
        q = q - alphas[-1] * y
    s, y = pairs[-1]
    r = q * (s @ s) / (s @ y)
    for (s, y), alpha in zip(pairs, alphas[::-1]):
        r = r + s * (alpha - (y @ r) / (s @ y))
    return -r
""",
        "The first guess of the inverse is scaled by s.s / s.y instead of s.y / y.y.",
        "gamma_of_steps",
    ),
    Case(
        "lbfgs_direction",
        """
def lbfgs_direction(g, pairs):
    rho = [1 / (y @ s) for s, y in pairs]
    alphas = []
    q = g.clone()
    for i in reversed(range(len(pairs))):
        s, y = pairs[i]
        alphas.append(rho[i] * (s @ q))
        q = q - alphas[-1] * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for i in range(len(pairs)):
        s, y = pairs[i]
        beta = rho[i] * (y @ r)
        r = r + s * (alphas[i] - beta)
    return -r
""",
        "The alphas were appended newest first and are read from the front by pairs "
        "that go oldest first, so each pair gets another pair's alpha.",
        "alphas_not_reversed",
    ),
    Case(
        "lbfgs_direction",
        """
import torch

def lbfgs_direction(g, pairs):
    s, y = pairs[-1]
    identity = torch.eye(len(g), dtype=g.dtype)
    H = (s @ y) / (y @ y) * identity
    for s, y in pairs:
        rho = 1 / (y @ s)
        V = identity - rho * torch.outer(s, y)
        H = V.T @ H @ V + rho * torch.outer(s, s)
    return -(H @ g)
""",
        "The BFGS update of the matrix is V H V^T with V = I - rho s y^T, but here the "
        "two are transposed: V^T H V.",
        "matrix_transposed",
    ),
    Case(
        "lbfgs_direction",
        """
def lbfgs_direction(g, pairs):
    q = g.clone()
    alphas = []
    for s, y in reversed(pairs):
        alpha = s.dot(q) / y.dot(s)
        q = q - alpha * y
        alphas.append(alpha)
    s, y = pairs[0]
    r = q * (s.dot(y) / y.dot(y))
    for (s, y), alpha in zip(pairs, reversed(alphas)):
        beta = y.dot(r) / y.dot(s)
        r = r + s * (alpha - beta)
    return -r
""",
        "The initial scale is taken from the oldest pair instead of the newest.",
        "gamma_of_oldest",
    ),
    Case(
        "lbfgs_direction",
        """
def lbfgs_direction(g, pairs):
    q = g.clone()
    alphas = []
    for s, y in pairs[::-1]:
        a = (s @ q) / (y @ s)
        q -= a * y
        alphas.append(a)
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for i, (s, y) in enumerate(pairs):
        b = (y @ r) / (y @ s)
        r += (alphas[i] - b) * s
    return -r
""",
        "The alphas were collected from the newest pair on, but are read from the "
        "oldest on, so they meet the wrong pairs.",
        "alphas_not_reversed",
    ),
    Case(
        "saliency_map",
        """
import torch

def saliency_map(X, y, model):
    X = X.detach().clone().requires_grad_()
    scores = model(X)
    scores[torch.arange(len(y)), y].sum().backward()
    return X.grad.max(dim=1).values.abs()
""",
        "The largest channel is taken before the absolute value, so a large negative "
        "gradient loses to a small positive one.",
        "absolute_values_too_late",
    ),
    Case(
        "saliency_map",
        """
import torch

def saliency_map(X, y, model):
    X = X.detach().clone().requires_grad_()
    chances = model(X).softmax(dim=1)
    chances.gather(1, y[:, None]).sum().backward()
    return X.grad.abs().amax(dim=1)
""",
        "It differentiates the probability after softmax instead of the score, which "
        "also depends on the other classes.",
        "probability",
    ),
    Case(
        "saliency_map",
        """
import torch

def saliency_map(X, y, model):
    X = X.detach().clone().requires_grad_()
    scores = model(X)[range(len(X)), y]
    (g,) = torch.autograd.grad(scores.sum(), X)
    largest, _ = g.max(dim=1)
    return largest.abs()
""",
        "The maximum over the channels is taken before the absolute value, so large "
        "negative gradients are lost.",
        "absolute_values_too_late",
    ),
    Case(
        "saliency_map",
        """
import torch

def saliency_map(X, y, model):
    X.requires_grad_()
    scores = model(X).gather(1, y.unsqueeze(1)).squeeze(1)
    scores.backward(torch.ones_like(scores))
    return X.grad.abs().max(dim=1).values
""",
        "X is neither copied nor its gradient reset, so X is changed, and a second call "
        "with the same X returns maps that are added up.",
        "side_effect",
    ),
    Case(
        "saliency_map",
        """
import torch

def saliency_map(X, y, model):
    X = X.detach().clone().requires_grad_(True)
    scores, _ = model(X).max(dim=1)
    scores.sum().backward()
    return X.grad.abs().amax(dim=1)
""",
        "The gradient is that of the highest score, whatever class y asks for.",
        "highest_score",
    ),
    Case(
        "fooling_step",
        """
import torch

def fooling_step(X, y, model, lr):
    X = X.detach().clone().requires_grad_()
    model(X).gather(1, y[:, None]).sum().backward()
    return X.detach() + lr * X.grad.sign()
""",
        "It steps by the sign of the gradient, so every pixel moves by lr, instead of a "
        "step whose length is lr.",
        "signs_only",
    ),
    Case(
        "fooling_step",
        """
import torch

def fooling_step(X, y, model, lr):
    X = X.detach().clone().requires_grad_()
    scores = model(X)
    score = scores[range(len(y)), y].sum()
    score.backward()
    g = X.grad
    return (X + lr * g / g.pow(2).sum(dim=(1, 2, 3), keepdim=True)).detach()
""",
        "It divides by the squared length of the gradient (no root), so the step has "
        "the length lr / |g|.",
        "squared_length",
    ),
    Case(
        "fooling_step",
        """
import torch

def fooling_step(X, y, model, lr):
    X.requires_grad_()
    score = model(X).gather(1, y.view(-1, 1)).sum()
    (g,) = torch.autograd.grad(score, X)
    with torch.no_grad():
        X += lr * g / g.flatten(1).norm(dim=1)[:, None, None, None]
    return X.detach()
""",
        "The returned images are right, but += changes the caller's images in place.",
        "changes_its_input",
    ),
    Case(
        "fooling_step",
        """
import torch
import torch.nn.functional as F

def fooling_step(X, y, model, lr):
    X = X.detach().clone().requires_grad_()
    score = model(X)[torch.arange(len(X)), y].sum()
    score.backward()
    direction = F.normalize(X.grad)
    return (X + lr * direction).detach()
""",
        "F.normalize works along dim 1 by default, so the gradient is scaled to length "
        "1 at each pixel instead of per image.",
        "length_of_pixel",
    ),
    Case(
        "fooling_step",
        """
import torch
import torch.nn.functional as F

def fooling_step(X, y, model, lr):
    X = X.detach().clone().requires_grad_()
    loss = F.cross_entropy(model(X), y, reduction="sum")
    (g,) = torch.autograd.grad(loss, X)
    g = g / g.flatten(1).norm(dim=1)[:, None, None, None]
    return (X - lr * g).detach()
""",
        "It goes down the cross-entropy, that is, up the log-probability after the "
        "softmax, instead of up the score.",
        "probability",
    ),
    Case(
        "class_visualization_step",
        """
import torch

def class_visualization_step(X, y, model, l2, lr):
    X = X.detach().clone().requires_grad_()
    score = model(X).gather(1, y[:, None]).sum()
    (g,) = torch.autograd.grad(score, X)
    return (X + lr * (g - l2 * X)).detach()
""",
        "The gradient of l2 |X|^2 by hand misses its factor 2.",
        "penalty_without_two",
    ),
    Case(
        "class_visualization_step",
        """
import torch

def class_visualization_step(X, y, model, l2, lr):
    X = X.detach().clone().requires_grad_()
    score = model(X).gather(1, y[:, None]).sum() - l2 * X.pow(2).sum()
    score.backward()
    g = X.grad
    g = g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
    return (X + lr * g).detach()
""",
        "The gradient is scaled to length 1 as in the fooling step, although a plain "
        "gradient step is asked for.",
        "normalized",
    ),
    Case(
        "class_visualization_step",
        """
import torch

def class_visualization_step(X, y, model, l2, lr):
    X = X.detach().clone().requires_grad_(True)
    scores = model(X)
    scores[torch.arange(len(y)), y].sum().backward()
    with torch.no_grad():
        new = X + lr * X.grad
        new -= lr * 2 * l2 * new
    return new
""",
        "The penalty's step is taken at the image that has already moved, not at the "
        "image the step started from.",
        "penalty_after_the_step",
    ),
    Case(
        "class_visualization_step",
        """
import torch

def class_visualization_step(X, y, model, l2, lr):
    X = X.clone().detach().requires_grad_()
    score = model(X).gather(1, y[:, None]).squeeze(1)
    objective = score - l2 * X.flatten(1).pow(2).sum(dim=1)
    objective.mean().backward()
    return (X + lr * X.grad).detach()
""",
        "The objective is the mean over the batch instead of the sum, so each image "
        "moves by 1/N of its step.",
        "mean_of_objective",
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.exercise}-{case.name}")
def test_each_is_named(case: Case) -> None:
    verdict = verdict_on(case)
    assert (verdict.right, verdict.mistake) == (False, case.name), case.mistake


FAMILIES = sorted({case.exercise for case in CASES} - {"extract_features"})


@pytest.mark.parametrize("name", FAMILIES)
def test_sentences_of_families(name: str) -> None:
    exercise = EXERCISES[name]
    names = [wrong.name for wrong in (*exercise.wrongs, *exercise.rarer)]
    assert len(set(names)) == len(names) > 100
    for wrong in exercise.rarer:
        assert re.fullmatch(r"[A-Z].*[.?]", wrong.sentence)
        assert "  " not in wrong.sentence
        assert len(wrong.sentence) < 260


@pytest.mark.parametrize("name", FAMILIES)
def test_members_of_families_are_named(name: str) -> None:
    """Some of each. They are neither right nor like any in the table."""
    exercise = EXERCISES[name]
    for wrong in exercise.rarer[:: len(exercise.rarer) // 4]:
        verdict = judge(exercise, wrong.version)
        assert (verdict.right, verdict.message) == (False, wrong.sentence), wrong.name
