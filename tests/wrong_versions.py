"""Wrong versions of the book's functions, written without knowing the tables of `stylelib.check`.

They are as a reader may write them. The functions of chapters 2 to 9 have the library's
signatures. Of chapters 14 to 25, layers are classes with the library's constructor, `forward`
and `backward`; Adam is a class with `update`; a fooling step is the `step` of an optimizer, which
gets the gradient of minus the score; losses are made of a target. A visualization step, which
the library has as an objective only, is one step of gradient ascent.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A wrong version of one function.

    Attributes:
        exercise: the name of the function.
        code: its source, with its imports.
        mistake: what is wrong, in one sentence.
    """

    exercise: str
    code: str
    mistake: str


WRONGS = [
    # ---------------------------------------------------------------- chapter 2: preprocess
    Case(
        exercise="preprocess",
        code="""
import numpy as np
import torch
from PIL import Image

MEAN = torch.tensor([0.485, 0.456, 0.406])
STD = torch.tensor([0.229, 0.224, 0.225])


def preprocess(image, image_shape):
    if isinstance(image_shape, int):
        scale = image_shape / min(image.size)
        h, w = round(image.height * scale), round(image.width * scale)
    else:
        h, w = image_shape
    image = image.convert("RGB").resize((w, h), Image.BILINEAR)
    x = torch.from_numpy(np.array(image)).float() / 255
    x = x / STD - MEAN
    return x.permute(2, 0, 1).unsqueeze(0)
""",
        mistake="It divides by the standard deviation before it subtracts the mean.",
    ),
    Case(
        exercise="preprocess",
        code="""
import numpy as np
import torch
from PIL import Image


def preprocess(image, image_shape):
    if isinstance(image_shape, int):
        factor = image_shape / min(image.size)
        size = (round(image.height * factor), round(image.width * factor))
    else:
        size = image_shape
    image = image.convert("RGB").resize(tuple(size), resample=Image.BILINEAR)
    pixels = np.asarray(image, dtype=np.float32) / 255.0
    pixels = (pixels - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    pixels = np.transpose(pixels, (2, 0, 1))[np.newaxis]
    return torch.tensor(pixels, dtype=torch.float32)
""",
        mistake="PIL's resize takes (width, height) and is given (height, width).",
    ),
    Case(
        exercise="preprocess",
        code="""
import numpy as np
import torch
from PIL import Image


def preprocess(image, image_shape):
    if isinstance(image_shape, int):
        s = image_shape / min(image.size)
        H, W = round(image.height * s), round(image.width * s)
    else:
        H, W = image_shape
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    image = image.convert("RGB").resize((W, H), Image.BILINEAR)
    X = torch.tensor(np.array(image)).float().div(255)
    X = X.reshape(1, 3, H, W)
    return (X - mean) / std
""",
        mistake="It reshapes (H, W, 3) to (3, H, W) where the axes must be permuted, which mixes "
        "up the pixels.",
    ),
    # --------------------------------------------------------------- chapter 2: postprocess
    Case(
        exercise="postprocess",
        code="""
import torch
from PIL import Image


def postprocess(X):
    mean = torch.tensor([0.485, 0.456, 0.406]).reshape(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).reshape(3, 1, 1)
    img = X.detach().cpu()
    if img.ndim == 4:
        img = img[0]
    img = (img * std + mean) * 255
    levels = img.round().int().permute(1, 2, 0).numpy()
    return Image.fromarray(levels.astype("uint8"))
""",
        mistake="Values are not clamped, so that those out of range wrap around in uint8.",
    ),
    Case(
        exercise="postprocess",
        code="""
import numpy as np
import torch
from PIL import Image

IMAGE_MEAN = torch.tensor([0.485, 0.456, 0.406])
IMAGE_STD = torch.tensor([0.229, 0.224, 0.225])


def postprocess(X):
    img = X.detach().cpu()
    img = img[0] if img.dim() == 4 else img
    for c in range(3):
        img[c] *= IMAGE_STD[c]
        img[c] += IMAGE_MEAN[c]
    levels = np.rint(np.clip(img.numpy(), 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(levels.transpose(1, 2, 0))
""",
        mistake="It undoes the normalization in place, and so changes the tensor that it was "
        "given.",
    ),
    Case(
        exercise="postprocess",
        code="""
import torch
from PIL import Image


def postprocess(X):
    mean = torch.tensor([0.485, 0.456, 0.406])
    std = torch.tensor([0.229, 0.224, 0.225])
    X = X.detach().cpu()
    if X.dim() == 4:
        X = X.squeeze(0)
    img = X.permute(1, 2, 0)
    img = img.clamp(0, 1) * std + mean
    return Image.fromarray((img * 255).byte().numpy())
""",
        mistake="It clamps to 0..1 before the normalization is undone, and it cuts off decimals "
        "in place of rounding.",
    ),
    # ---------------------------------------------------------- chapter 3: extract_features
    Case(
        exercise="extract_features",
        code="""
def extract_features(X, net, content_layers, style_layers):
    kept = {}
    Y = X
    for i, (name, layer) in enumerate(net.named_children()):
        kept[i] = kept[name] = Y
        Y = layer(Y)
    contents = [kept[l] for l in content_layers]
    styles = [kept[l] for l in style_layers]
    return contents, styles
""",
        mistake="It keeps the input of each layer and not its output.",
    ),
    Case(
        exercise="extract_features",
        code="""
def extract_features(X, net, content_layers, style_layers):
    contents, styles = {}, {}
    wanted_c, wanted_s = list(content_layers), list(style_layers)
    for i, (name, layer) in enumerate(net.named_children()):
        X = layer(X)
        if i in wanted_s or name in wanted_s:
            styles[i] = styles[name] = X
        elif i in wanted_c or name in wanted_c:
            contents[i] = contents[name] = X
    return (
        [contents[l] for l in wanted_c if l in contents],
        [styles[l] for l in wanted_s if l in styles],
    )
""",
        mistake="A layer that is in both lists is missing from the contents, because of an elif.",
    ),
    Case(
        exercise="extract_features",
        code="""
import torch


def extract_features(X, net, content_layers, style_layers):
    outputs = {}
    net.eval()
    with torch.no_grad():
        for i, (name, layer) in enumerate(net.named_children()):
            X = layer(X)
            outputs[i] = X
            outputs[name] = X
    return [outputs[l] for l in content_layers], [outputs[l] for l in style_layers]
""",
        mistake="The pass runs without gradients, so that none reaches the image.",
    ),
    # -------------------------------------------------------------- chapter 4: content_loss
    Case(
        exercise="content_loss",
        code="""
def content_loss(Y_hat, Y):
    return 0.5 * ((Y_hat - Y.detach()) ** 2).sum()
""",
        mistake="It is half the sum of the squares, as in the paper, and not their mean.",
    ),
    Case(
        exercise="content_loss",
        code="""
import torch.nn.functional as F


def content_loss(Y_hat, Y):
    return F.mse_loss(Y_hat, Y)
""",
        mistake="The target is not detached, so that a gradient flows into it.",
    ),
    Case(
        exercise="content_loss",
        code="""
def content_loss(Y_hat, Y):
    target = Y.detach()
    loss = 0
    for c in range(Y_hat.shape[1]):
        diff = Y_hat[:, c] - target[:, c]
        loss = loss + (diff * diff).mean()
    return loss
""",
        mistake="It adds up the means of the channels and does not divide by their number.",
    ),
    # ---------------------------------------------------------------------- chapter 5: gram
    Case(
        exercise="gram",
        code="""
def gram(X):
    n, c, h, w = X.size()
    features = X.reshape(n * c, h * w)
    G = features @ features.t()
    return G.div(n * c * h * w)
""",
        mistake="It folds the batch into the channels: one matrix (N C, N C) without an axis for "
        "the images.",
    ),
    Case(
        exercise="gram",
        code="""
import torch


def gram(X):
    H, W = X.shape[-2:]
    return torch.einsum("nahw,nbhw->nab", X, X) / (H * W)
""",
        mistake="It divides by the number of positions M and not by C M.",
    ),
    Case(
        exercise="gram",
        code="""
import torch


def gram(X):
    N, C, H, W = X.shape
    F = X.view(N, C, H * W)
    F -= F.mean(dim=2, keepdim=True)
    return torch.bmm(F, F.transpose(1, 2)) / (C * H * W)
""",
        mistake="It subtracts the means of the channels, which gives a covariance, and does so in "
        "place, which changes the features.",
    ),
    # ---------------------------------------------------------------- chapter 5: style_loss
    Case(
        exercise="style_loss",
        code="""
def style_loss(Y_hat, gram_Y):
    N, C, H, W = Y_hat.shape
    M = H * W
    F = Y_hat.reshape(N, C, M)
    G = F @ F.transpose(1, 2) / (C * M)
    return ((G - gram_Y.detach()) ** 2).sum() / (4 * C**2 * M**2)
""",
        mistake="The paper's factor 1 / (4 C^2 M^2) is applied to Gram matrices that are divided "
        "by C M already.",
    ),
    Case(
        exercise="style_loss",
        code="""
import torch

from stylelib import gram


def style_loss(Y_hat, gram_Y):
    C = Y_hat.shape[1]
    rows, cols = torch.triu_indices(C, C)  # symmetric: half is enough
    G = gram(Y_hat)[:, rows, cols]
    A = gram_Y.detach()[:, rows, cols]
    return (G - A).square().mean()
""",
        mistake="It takes the mean over one triangle, which gives the diagonal about twice its "
        "weight.",
    ),
    Case(
        exercise="style_loss",
        code="""
from stylelib import gram


def style_loss(Y_hat, gram_Y):
    difference = gram(Y_hat) - gram_Y.detach()
    return difference.mean() ** 2
""",
        mistake="It squares the mean of the differences in place of taking the mean of their "
        "squares.",
    ),
    # ------------------------------------------------------------------- chapter 6: tv_loss
    Case(
        exercise="tv_loss",
        code="""
import torch


def tv_loss(Y_hat):
    down = torch.roll(Y_hat, -1, dims=2) - Y_hat
    right = torch.roll(Y_hat, -1, dims=3) - Y_hat
    return 0.5 * (down.abs().mean() + right.abs().mean())
""",
        mistake="roll makes the image cyclic: the last row is compared with the first, and the "
        "last column likewise.",
    ),
    Case(
        exercise="tv_loss",
        code="""
def tv_loss(Y_hat):
    dy = Y_hat[:, :, 1:, :] - Y_hat[:, :, :-1, :]
    dx = Y_hat[:, :, :, 1:] - Y_hat[:, :, :, :-1]
    return dy.pow(2).mean() + dx.pow(2).mean()
""",
        mistake="It squares the differences where it should take absolute values, and lacks the "
        "factor 1/2.",
    ),
    Case(
        exercise="tv_loss",
        code="""
def tv_loss(Y_hat):
    vertical = Y_hat.diff(dim=1).abs().mean()
    horizontal = Y_hat.diff(dim=2).abs().mean()
    return (vertical + horizontal) / 2
""",
        mistake="The axes are off by one: it takes differences of channels and of rows, none of "
        "columns.",
    ),
    Case(
        exercise="tv_loss",
        code="""
def tv_loss(Y_hat):
    N, C, H, W = Y_hat.shape
    total = 0.0
    for i in range(H - 1):
        total += (Y_hat[:, :, i + 1] - Y_hat[:, :, i]).abs().sum()
    for j in range(W - 1):
        total += (Y_hat[..., j + 1] - Y_hat[..., j]).abs().sum()
    return 0.5 * total / (N * C * H * W)
""",
        mistake="It divides both sums by the number of pixels, and not each by its number of "
        "pairs.",
    ),
    # -------------------------------------------------------------- chapter 7: compute_loss
    Case(
        exercise="compute_loss",
        code="""
from stylelib import D2L_WEIGHTS, content_loss, style_loss, tv_loss


def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram, *,
                 weights=D2L_WEIGHTS):
    content_weight, tv_weight, style_weight = weights
    contents_l = [content_loss(Y_hat, Y) * content_weight
                  for Y_hat, Y in zip(contents_Y_hat, contents_Y)]
    styles_l = [style_loss(Y_hat, G) * style_weight
                for Y_hat, G in zip(styles_Y_hat, styles_Y_gram)]
    tv_l = tv_loss(X) * tv_weight
    l = sum(contents_l + styles_l + [tv_l])
    return contents_l, styles_l, tv_l, l
""",
        mistake="The weights are unpacked in a wrong order: those of style and of total variation "
        "are exchanged.",
    ),
    Case(
        exercise="compute_loss",
        code="""
from stylelib import D2L_WEIGHTS, content_loss, style_loss, tv_loss


def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram, *,
                 weights=D2L_WEIGHTS):
    contents_l, styles_l = [], []
    for Y_hat, Y in zip(contents_Y_hat, contents_Y):
        contents_l.append(weights.content * content_loss(Y_hat, Y))
    for Y_hat, gram_Y in zip(styles_Y_hat, styles_Y_gram):
        styles_l.append(weights.style * style_loss(Y_hat, gram_Y))
    tv_l = weights.tv * tv_loss(X)
    l = weights.content * sum(contents_l) + weights.style * sum(styles_l) + weights.tv * tv_l
    return contents_l, styles_l, tv_l, l
""",
        mistake="The weights are applied a second time in the total.",
    ),
    Case(
        exercise="compute_loss",
        code="""
import torch

from stylelib import D2L_WEIGHTS, content_loss, style_loss, tv_loss


def compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram, *,
                 weights=D2L_WEIGHTS):
    w_content, w_style, w_tv = weights
    contents_l = [w_content * content_loss(a, b) for a, b in zip(contents_Y_hat, contents_Y)]
    styles_l = [w_style * style_loss(a, b) for a, b in zip(styles_Y_hat, styles_Y_gram)]
    tv_l = w_tv * tv_loss(X)
    l = torch.tensor([*contents_l, *styles_l, tv_l], requires_grad=True).sum()
    return contents_l, styles_l, tv_l, l
""",
        mistake="torch.tensor copies the numbers of the losses without their graph, so that the "
        "total has no gradient with respect to the image.",
    ),
    # ------------------------------------------------------------- chapter 7: training_step
    Case(
        exercise="training_step",
        code="""
def training_step(X, objective, optimizer, scheduler=None):
    loss = sum(objective(X).values())
    loss.backward()
    optimizer.zero_grad()
    optimizer.step()
    if scheduler is not None:
        scheduler.step()
    return loss.item()
""",
        mistake="It clears the gradient between backward and the step, so that the image does "
        "not move.",
    ),
    Case(
        exercise="training_step",
        code="""
def training_step(X, objective, optimizer, scheduler=None):
    total = 0.0
    for loss in objective(X).values():
        optimizer.zero_grad()
        loss.backward(retain_graph=True)
        total += loss.item()
    optimizer.step()
    if scheduler is not None:
        scheduler.step()
    return total
""",
        mistake="zero_grad is in the loop over the losses, so that only the last loss's gradient "
        "is left for the step.",
    ),
    Case(
        exercise="training_step",
        code="""
import torch


def training_step(X, objective, optimizer, scheduler=None):
    losses = objective(X)
    loss = torch.stack(list(losses.values())).sum()
    loss.backward()
    if scheduler is not None:
        scheduler.step()
    optimizer.step()
    return loss.item()
""",
        mistake="Gradients are never cleared, so that they add up over the steps, and the "
        "scheduler changes the learning rate before the step.",
    ),
    # ----------------------------------------------------------------- chapter 9: direction
    Case(
        exercise="direction",
        code="""
def direction(g, pairs):
    q = g.clone()
    alphas = []
    for s, y in pairs[::-1]:
        alpha = s.dot(q) / s.dot(y)
        alphas.append(alpha)
        q = q - alpha * y
    s, y = pairs[-1]
    r = s.dot(y) / y.dot(y) * q
    for (s, y), alpha in zip(pairs, alphas):
        beta = y.dot(r) / s.dot(y)
        r = r + (alpha - beta) * s
    return -r
""",
        mistake="The second loop takes the alphas in the order of the first, newest first, while "
        "its pairs run from the oldest.",
    ),
    Case(
        exercise="direction",
        code="""
def direction(g, pairs):
    rho = [1 / (y @ s) for s, y in pairs]
    alpha = [None] * len(pairs)
    q = g.clone()
    for i in range(len(pairs) - 1, -1, -1):
        s, y = pairs[i]
        alpha[i] = rho[i] * (s @ q)
        q -= alpha[i] * y
    s, y = pairs[-1]
    gamma = (s @ s) / (s @ y)
    r = gamma * q
    for i in range(len(pairs)):
        s, y = pairs[i]
        beta = rho[i] * (y @ r)
        r += s * (alpha[i] - beta)
    return -r
""",
        mistake="The scale is (s . s) / (s . y) and not (s . y) / (y . y).",
    ),
    Case(
        exercise="direction",
        code="""
def direction(g, pairs):
    q, alphas = g, []
    for s, y in reversed(pairs):
        alphas.append((s @ q) / (s @ y))
        q -= alphas[-1] * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), alpha in zip(pairs, reversed(alphas)):
        beta = (y @ r) / (s @ y)
        r += (alpha - beta) * s
    return -r
""",
        mistake="q is the gradient itself and not a copy, so that the caller's gradient is "
        "changed.",
    ),
    Case(
        exercise="direction",
        code="""
def direction(g, pairs):
    q = g.clone()
    alphas = {}
    for i in reversed(range(len(pairs))):
        s, y = pairs[i]
        alphas[i] = (s * q).sum() / (s * y).sum()
        q = q - alphas[i] * y
    s_last, y_last = pairs[-1]
    r = q * (s_last * y_last).sum() / (y_last * y_last).sum()
    for i, (s, y) in enumerate(pairs):
        beta = (y * q).sum() / (s * y).sum()
        r = r + (alphas[i] - beta) * s
    return -r
""",
        mistake="In the second loop beta is computed from q, which does not change there, and "
        "not from r.",
    ),
    # ------------------------------------------------------------------ convolution, forward
    Case(
        exercise="convolution_forward",
        code="""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class Convolution:
    def __init__(self, kernel_size, channel_in, channel_out, padding=0, stride=1,
                 method="im2col", *, trainable=True, seed=0):
        self.k, self.padding, self.stride = kernel_size, padding, stride
        rng = np.random.default_rng(seed)
        shape = (channel_out, channel_in, kernel_size, kernel_size)
        self.weight = rng.standard_normal(shape) * np.sqrt(2 / (channel_in * kernel_size**2))
        self.bias = np.zeros(channel_out)

    def forward(self, x):
        p, s, k = self.padding, self.stride, self.k
        x = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        view = sliding_window_view(x, (k, k), axis=(2, 3))[:, :, ::s, ::s]
        N, C, H_out, W_out = view.shape[:4]
        columns = view.transpose(1, 4, 5, 0, 2, 3).reshape(C * k * k, -1)  # all images at once
        out = self.weight.reshape(len(self.weight), -1) @ columns + self.bias[:, None]
        return out.reshape(N, len(self.weight), H_out, W_out)
""",
        mistake="The product of all images' columns is in the order (out, N, H', W') but is "
        "reshaped straight to (N, out, H', W') without a transpose, so with more than one image "
        "channels and images are mixed.",
    ),
    Case(
        exercise="convolution_forward",
        code="""
import numpy as np


class Convolution:
    def __init__(self, kernel_size, channel_in, channel_out, padding=0, stride=1,
                 method="loops", *, trainable=True, seed=0):
        self.kernel_size = kernel_size
        self.padding = padding
        self.stride = stride
        rng = np.random.default_rng(seed)
        self.weight = rng.standard_normal((channel_out, channel_in, kernel_size, kernel_size))
        self.bias = np.zeros(channel_out)

    def forward(self, x):
        k, s, p = self.kernel_size, self.stride, self.padding
        N, C, H, W = x.shape
        padded = np.zeros((N, C, H + 2 * p, W + 2 * p), dtype=x.dtype)
        padded[:, :, p:p + H, p:p + W] = x
        rows = (H + 2 * p - k) // s + 1
        columns = (W + 2 * p - k) // s + 1
        out = np.zeros((N, self.weight.shape[0], rows, columns), dtype=x.dtype)
        for n in range(N):
            for o in range(self.weight.shape[0]):
                for i in range(rows):
                    for j in range(columns):
                        window = padded[n, :, i * s:i * s + k, j * s:j * s + k]
                        out[n, o, i, j] = (window * self.weight[o] + self.bias[o]).sum()
        return out
""",
        mistake="The bias is added inside the sum over the window, so it counts C k k times.",
    ),
    # ----------------------------------------------------------------- convolution, backward
    Case(
        exercise="convolution_backward",
        code="""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


def correlate(x, weight, stride):
    k = weight.shape[-1]
    view = sliding_window_view(x, (k, k), axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("ncijuv,ocuv->noij", view, weight)


class Convolution:
    def __init__(self, kernel_size, channel_in, channel_out, padding=0, stride=1,
                 method="im2col", *, trainable=True, seed=0):
        self.kernel_size, self.padding, self.stride = kernel_size, padding, stride
        shape = channel_out, channel_in, kernel_size, kernel_size
        self.weight = np.random.default_rng(seed).standard_normal(shape)
        self.bias = np.zeros(channel_out)

    def forward(self, x):
        p = self.padding
        self.x = np.pad(x, [(0, 0), (0, 0), (p, p), (p, p)])
        return correlate(self.x, self.weight, self.stride) + self.bias[:, None, None]

    def backward(self, top_diff):
        k, s, p = self.kernel_size, self.stride, self.padding
        N, C, H, W = self.x.shape
        O, rows, columns = top_diff.shape[1:]
        view = sliding_window_view(self.x, (k, k), axis=(2, 3))[:, :, ::s, ::s]
        self.d_weight = np.einsum("noij,ncijuv->ocuv", top_diff, view)
        self.d_bias = top_diff.sum(axis=(0, 2, 3))
        spread = np.zeros((N, O, H + k - 1, W + k - 1), dtype=top_diff.dtype)
        spread[:, :, k - 1:k - 1 + rows * s:s, k - 1:k - 1 + columns * s:s] = top_diff
        flipped = self.weight[:, :, ::-1, ::-1].reshape(C, O, k, k)  # in and out swapped
        d_x = correlate(spread, flipped, 1)
        return d_x[:, :, p:H - p, p:W - p]
""",
        mistake="The kernel's input and output channels are swapped by a reshape where a "
        "transpose is needed, so the gradient at x uses the kernels of other channels.",
    ),
    Case(
        exercise="convolution_backward",
        code="""
import numpy as np


class Convolution:
    def __init__(self, kernel_size, channel_in, channel_out, padding=0, stride=1,
                 method="loops", *, trainable=True, seed=0):
        self.kernel_size, self.padding, self.stride = kernel_size, padding, stride
        shape = channel_out, channel_in, kernel_size, kernel_size
        self.weight = np.random.default_rng(seed).standard_normal(shape)
        self.bias = np.zeros(channel_out)
        self.d_weight = self.d_bias = None

    def forward(self, x):
        p, k, s = self.padding, self.kernel_size, self.stride
        self.shape = x.shape
        self.padded = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        N, _, H, W = self.padded.shape
        y = np.empty((N, len(self.weight), (H - k) // s + 1, (W - k) // s + 1))
        for n, o, i, j in np.ndindex(y.shape):
            window = self.padded[n, :, i * s:i * s + k, j * s:j * s + k]
            y[n, o, i, j] = np.sum(window * self.weight[o]) + self.bias[o]
        return y

    def backward(self, top_diff):
        k, s = self.kernel_size, self.stride
        d_x = np.zeros_like(self.padded)
        self.d_weight = np.zeros_like(self.weight)
        for n, o, i, j in np.ndindex(top_diff.shape):
            rows, columns = slice(i * s, i * s + k), slice(j * s, j * s + k)
            self.d_weight[o] += top_diff[n, o, i, j] * self.padded[n, :, rows, columns]
            d_x[n, :, rows, columns] += top_diff[n, o, i, j] * self.weight[o]
        self.d_bias = top_diff.sum((0, 2, 3))
        H, W = self.shape[2:]
        return d_x[:, :, :H, :W]  # without the padding
""",
        mistake="The padding is cut off at the end only instead of on each side, so the gradient "
        "at x is shifted by the padding.",
    ),
    # ------------------------------------------------------------------ max pooling, forward
    Case(
        exercise="max_pool_forward",
        code="""
import numpy as np


class MaxPool:
    def __init__(self, kernel_size, stride, method="loops"):
        self.kernel_size = kernel_size
        self.stride = stride

    def forward(self, x):
        k, s = self.kernel_size, self.stride
        N, C, H, W = x.shape
        tops = range(0, H, s)
        lefts = range(0, W, s)
        out = np.zeros((N, C, len(tops), len(lefts)), dtype=x.dtype)
        for i, top in enumerate(tops):
            for j, left in enumerate(lefts):
                out[:, :, i, j] = x[:, :, top:top + k, left:left + k].max(axis=(2, 3))
        return out
""",
        mistake="A window starts at every multiple of the stride inside the image, so windows "
        "that hang over the border are counted too and the output has too many rows and columns.",
    ),
    Case(
        exercise="max_pool_forward",
        code="""
import numpy as np


class MaxPool:
    def __init__(self, kernel_size, stride, method="im2col"):
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x):
        k, s = self.kernel_size, self.stride
        rows = (x.shape[2] - k) // s + 1
        columns = (x.shape[3] - k) // s + 1
        largest = np.zeros((*x.shape[:2], rows, columns), dtype=x.dtype)
        for u in range(k):
            for v in range(k):
                candidate = x[:, :, u:u + s * rows:s, v:v + s * columns:s]
                largest = np.maximum(largest, candidate)
        return largest
""",
        mistake="The running maximum starts at 0, so a window of negative values gives 0 instead "
        "of its largest value.",
    ),
    # ----------------------------------------------------------------- max pooling, backward
    Case(
        exercise="max_pool_backward",
        code="""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class MaxPool:
    def __init__(self, kernel_size, stride, method="im2col"):
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x):
        k, s = self.kernel_size, self.stride
        self.x = x
        self.y = sliding_window_view(x, (k, k), (2, 3))[:, :, ::s, ::s].max(axis=(4, 5))
        return self.y

    def backward(self, top_diff):
        k, s = self.kernel_size, self.stride
        rows, columns = self.y.shape[2:]
        d_x = np.zeros_like(self.x)
        for u in range(k):
            for v in range(k):
                place = np.s_[:, :, u:u + s * rows:s, v:v + s * columns:s]
                is_max = self.x[place] == self.y
                d_x[place] += is_max * top_diff
        return d_x
""",
        mistake="Every value that equals its window's maximum gets the whole gradient, so at a "
        "tie the gradient is counted several times instead of going to the first place only.",
    ),
    Case(
        exercise="max_pool_backward",
        code="""
import numpy as np


class MaxPool:
    def __init__(self, kernel_size, stride, method="loops"):
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x):
        k, s = self.kernel_size, self.stride
        N, C, H, W = x.shape
        self.shape = x.shape
        y = np.empty((N, C, (H - k) // s + 1, (W - k) // s + 1), dtype=x.dtype)
        self.place = np.empty(y.shape, dtype=int)
        for n, c, i, j in np.ndindex(y.shape):
            window = x[n, c, i * s:i * s + k, j * s:j * s + k]
            y[n, c, i, j] = window.max()
            self.place[n, c, i, j] = window.argmax()
        return y

    def backward(self, top_diff):
        k, s = self.kernel_size, self.stride
        d_x = np.zeros(self.shape, dtype=top_diff.dtype)
        for n, c, i, j in np.ndindex(top_diff.shape):
            column, row = divmod(self.place[n, c, i, j], k)
            d_x[n, c, i * s + row, j * s + column] = top_diff[n, c, i, j]
        return d_x
""",
        mistake="Two slips: the place of the maximum is taken apart as (column, row) instead of "
        "(row, column), and the gradient is assigned instead of added, so that where windows "
        "overlap only the last one counts.",
    ),
    # -------------------------------------------------------------- average pooling, forward
    Case(
        exercise="average_pool_forward",
        code="""
import numpy as np


class AveragePool:
    def __init__(self, kernel_size, stride, method="im2col"):
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x):
        k, s = self.kernel_size, self.stride
        N, C, H, W = x.shape
        rows, columns = (H - k) // s + 1, (W - k) // s + 1
        mean = np.zeros((N, C, rows, columns), dtype=x.dtype)
        for i in range(k):
            for j in range(k):
                mean += x[:, :, i:i + rows, j:j + columns]
        return mean / k**2
""",
        mistake="The slices have no step, so the windows are one pixel apart and not a stride; "
        "the output is the upper left corner of a pooling with stride 1.",
    ),
    Case(
        exercise="average_pool_forward",
        code="""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class AveragePool:
    def __init__(self, kernel_size, stride, method="im2col"):
        self.kernel_size = kernel_size
        self.stride = stride

    def forward(self, x):
        k = self.kernel_size
        windows = sliding_window_view(x, (k, k), axis=(2, 3))
        windows = windows[:, :, ::k, ::k]
        return np.einsum("ncijuv->ncij", windows) / (k * k)
""",
        mistake="The windows are kernel_size apart instead of stride, which is the same only "
        "where the two are equal.",
    ),
    # ------------------------------------------------------------- average pooling, backward
    Case(
        exercise="average_pool_backward",
        code="""
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view


class AveragePool:
    def __init__(self, kernel_size, stride, method="im2col"):
        self.kernel_size, self.stride = kernel_size, stride

    def _view(self, x):
        k, s = self.kernel_size, self.stride
        return sliding_window_view(x, (k, k), (2, 3), writeable=True)[:, :, ::s, ::s]

    def forward(self, x):
        self.shape = x.shape
        return self._view(x).mean(axis=(4, 5))

    def backward(self, top_diff):
        d_x = np.zeros(self.shape, dtype=top_diff.dtype)
        view = self._view(d_x)
        share = top_diff / self.stride**2
        for i in range(self.kernel_size):
            for j in range(self.kernel_size):
                view[..., i, j] += share
        return d_x
""",
        mistake="The gradient is divided by the square of the stride instead of the kernel size, "
        "so it is too large where windows overlap.",
    ),
    Case(
        exercise="average_pool_backward",
        code="""
import numpy as np


class AveragePool:
    def __init__(self, kernel_size, stride, method="loops"):
        self.kernel_size, self.stride = kernel_size, stride

    def forward(self, x):
        self.x_shape = x.shape
        k, s = self.kernel_size, self.stride
        N, C, H, W = x.shape
        y = np.zeros((N, C, (H - k) // s + 1, (W - k) // s + 1), x.dtype)
        for i in range(y.shape[2]):
            for j in range(y.shape[3]):
                y[:, :, i, j] = x[:, :, i * s:i * s + k, j * s:j * s + k].mean((2, 3))
        return y

    def backward(self, top_diff):
        k, s = self.kernel_size, self.stride
        d_x = np.zeros(self.x_shape, top_diff.dtype)
        for i in range(top_diff.shape[2]):
            for j in range(top_diff.shape[3]):
                g = top_diff[:, :, i, j][:, :, None, None] / (k * k)
                d_x[:, :, i * s:i * s + k, j * s:j * s + k] = g
        return d_x
""",
        mistake="Each window's share is assigned instead of added, so a pixel in several "
        "overlapping windows keeps the share of the last one only.",
    ),
    # ------------------------------------------------------------------------------- Adam
    Case(
        exercise="adam_step",
        code="""
import numpy as np


class Adam:
    def __init__(self, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.learning_rate = learning_rate
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.t, self.m, self.v = 0, 0.0, 0.0

    def update(self, x, gradient):
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * gradient
        self.v = self.beta2 * self.v + (1 - self.beta2) * gradient**2
        self.m = self.m / (1 - self.beta1**self.t)
        self.v = self.v / (1 - self.beta2**self.t)
        return x - self.learning_rate * self.m / (np.sqrt(self.v) + self.epsilon)
""",
        mistake="The corrected means are stored in place of the running ones, so from the second "
        "step on they are corrected again and again.",
    ),
    Case(
        exercise="adam_step",
        code="""
import numpy as np


class Adam:
    def __init__(self, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.lr, self.b1, self.b2, self.eps = learning_rate, beta1, beta2, epsilon
        self.t = 0
        self.m = self.v = None

    def update(self, x, gradient):
        if self.m is None:
            self.m = np.zeros_like(x)
            self.v = np.zeros_like(x)
        self.t += 1
        self.m = self.b1 * self.m + (1 - self.b1) * gradient
        self.v = self.b2 * self.v + (1 - self.b2) * gradient * gradient
        m_hat = self.m / (1 - self.b1**self.t)
        v_hat = self.v / (1 - self.b2**self.t)
        x -= self.lr * m_hat / np.sqrt(v_hat + self.eps)
        return x
""",
        mistake="Two slips: epsilon is added inside the root, which makes steps for small "
        "gradients too short, and x itself is changed instead of a new array returned.",
    ),
    # --------------------------------------------------------------------------- saliency
    Case(
        exercise="saliency_map",
        code="""
import torch


def saliency_map(X, y, model):
    X = X.detach().clone().requires_grad_()
    scores = model(X)
    picked = scores[torch.arange(len(X)), y]
    picked.sum().backward()
    saliency, _ = X.grad.max(dim=1)
    return saliency.abs()
""",
        mistake="The largest of the three colors is taken before the absolute value, so a large "
        "negative gradient is lost.",
    ),
    Case(
        exercise="saliency_map",
        code="""
import torch


def saliency_map(X, y, model):
    X.requires_grad_()
    scores = model(X).gather(1, y.view(-1, 1)).squeeze()
    scores.backward(torch.ones_like(scores))
    return X.grad.abs().max(dim=1).values
""",
        mistake="backward is called on the caller's own X, which then requires a gradient and "
        "keeps it, so a second call adds to the gradient of the first; the model's weights "
        "gather gradients too.",
    ),
    # ------------------------------------------------------------------------ fooling step
    Case(
        exercise="fooling_step",
        code="""
import torch


class NormalizedGradient(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        with torch.no_grad():
            for group in self.param_groups:
                for X in group["params"]:
                    if X.grad is None:
                        continue
                    g = X.grad
                    X -= group["lr"] * g / (g.norm() + 1e-12)
        return loss
""",
        mistake="The gradient is divided by its length over the whole batch instead of each "
        "image's own, so with several images every step is too short and depends on the "
        "others.",
    ),
    Case(
        exercise="fooling_step",
        code="""
import torch


class NormalizedGradient(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for X in group["params"]:
                if X.grad is None:
                    continue
                for n in range(len(X)):
                    g = X.grad[n]
                    norm = torch.sum(g**2).clamp(min=1e-12)
                    X[n] -= group["lr"] * g / norm
        return loss
""",
        mistake="The gradient is divided by the square of its length, the root is missing, so "
        "the step has the length lr / ||g|| instead of lr.",
    ),
    # ------------------------------------------------------------------ visualization step
    Case(
        exercise="visualization_step",
        code="""
import torch


def visualization_step(X, target, model, *, lr, l2):
    X = X.detach().clone().requires_grad_()
    scores = model(X)
    score = scores.gather(1, target.view(-1, 1)).sum()
    gradient, = torch.autograd.grad(score, X)
    gradient = gradient - l2 * X.detach()  # of the penalty
    return X.detach() + lr * gradient
""",
        mistake="The derivative of the penalty l2 * ||X||^2 is written as l2 * X, without its "
        "factor 2.",
    ),
    Case(
        exercise="visualization_step",
        code="""
import torch
from torch.nn.functional import cross_entropy


def visualization_step(X, target, model, *, lr, l2):
    X = X.detach().clone().requires_grad_()
    loss = cross_entropy(model(X), target, reduction="sum") + l2 * (X**2).mean()
    loss.backward()
    with torch.no_grad():
        return X - lr * X.grad
""",
        mistake="Two slips: the cross entropy, that is the log of the probability, takes the "
        "place of the score, and the penalty is the mean of the squares instead of their sum.",
    ),
    # --------------------------------------------------------------------- channel moments
    Case(
        exercise="compare_moments",
        code="""
import torch


def compare_moments(Y):
    Y = Y.detach()
    mu_star, sigma_star = Y.mean((2, 3)), Y.std((2, 3))

    def loss(Y_hat):
        mu, sigma = Y_hat.mean((2, 3)), Y_hat.std((2, 3))
        return ((mu - mu_star) ** 2 + (sigma - sigma_star) ** 2).mean()

    return loss
""",
        mistake="torch's std divides by M - 1 unless told otherwise, so the deviations are too "
        "large by the root of M / (M - 1).",
    ),
    Case(
        exercise="compare_moments",
        code="""
import torch


def moments(Y):
    F = Y.flatten(2)  # (N, C, M)
    mu = F.mean(dim=2)
    variance = F.var(dim=2, correction=0)
    return mu, variance.clamp(min=1e-12).sqrt()


def compare_moments(Y):
    mu_star, sigma_star = moments(Y)

    def loss(Y_hat):
        mu, sigma = moments(Y_hat)
        return (mu - mu_star).square().mean() + (sigma - sigma_star).square().mean()

    return loss
""",
        mistake="The target is not detached, so gradients flow into it, and a second backward "
        "fails if it came out of a network with a graph.",
    ),
    # ------------------------------------------------------------------------ Gaussian W2
    Case(
        exercise="compare_gaussians",
        code="""
import torch


def moments(Y):
    F = Y.double().flatten(2)
    mu = F.mean(2)
    D = F - mu[:, :, None]
    return mu, torch.einsum("ncm,ndm->ncd", D, D) / F.shape[2]


def compare_gaussians(Y, *, eps=1e-4):
    C = Y.shape[1]
    mu_star, S_star = moments(Y.detach())
    blur = eps * S_star[0].diag().mean() * torch.eye(C, dtype=torch.float64)
    S_star = S_star + blur
    values, vectors = torch.linalg.eigh(S_star[0])
    root = vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T

    def loss(Y_hat):
        mu, S = moments(Y_hat)
        S = S + blur
        R = root @ S @ root
        d = lambda A: A.diagonal(dim1=1, dim2=2)
        cross = d(R).clamp(min=1e-30).sqrt().sum(1)  # the trace of the root of R
        distance = (mu - mu_star).square().sum(1) + d(S).sum(1) + d(S_star).sum(1) - 2 * cross
        return (distance.mean() / C).to(Y_hat.dtype)

    return loss
""",
        mistake="The trace of the matrix root is taken as the sum of the roots of the diagonal "
        "entries instead of the roots of the eigenvalues, which is right for diagonal matrices "
        "only.",
    ),
    Case(
        exercise="compare_gaussians",
        code="""
import torch


def mean_and_covariance(Y, eps):
    F = Y.flatten(2).double()
    N, C, M = F.shape
    mu = F.mean(dim=2, keepdim=True)
    S = (F - mu) @ (F - mu).mT / (M - 1)
    return mu.squeeze(2), S + eps * torch.eye(C, dtype=F.dtype, device=F.device)


def compare_gaussians(Y, *, eps=1e-4):
    C = Y.shape[1]
    mu_star, S_star = mean_and_covariance(Y.detach(), eps)
    L, V = torch.linalg.eigh(S_star)
    root = V @ torch.diag_embed(L.clamp(min=0).sqrt()) @ V.mT

    def loss(Y_hat):
        mu, S = mean_and_covariance(Y_hat, eps)
        eigenvalues = torch.linalg.eigvalsh(root @ S @ root).clamp(min=1e-300)
        trace = torch.einsum("ncc->n", S) + torch.einsum("ncc->n", S_star)
        spread = trace - 2 * eigenvalues.sqrt().sum(dim=1)
        return (((mu - mu_star) ** 2).sum(dim=1) + spread).mean().to(Y_hat.dtype) / C

    return loss
""",
        mistake="Two slips: the covariances are divided by M - 1 instead of M, and eps itself is "
        "added to the diagonals instead of eps times the target's mean variance.",
    ),
    # ----------------------------------------------------------------- sliced Wasserstein
    Case(
        exercise="compare_sliced",
        code="""
import torch
from torch.nn.functional import interpolate, normalize


def compare_sliced(Y, *, directions=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    V = torch.randn(directions, Y.shape[1], generator=generator, dtype=torch.float64)
    V = normalize(V, dim=0).to(Y)
    wanted = (V @ Y.detach().flatten(2)).sort(dim=2).values

    def loss(Y_hat):
        projected = (V @ Y_hat.flatten(2)).sort(dim=2).values
        goal = wanted
        if goal.shape[2] != projected.shape[2]:
            goal = interpolate(wanted, projected.shape[2], mode="linear")
        return (projected - goal).square().mean()

    return loss
""",
        mistake="The directions are normalized along the wrong axis: each channel over all "
        "directions instead of each direction over the channels, so they are not of length 1.",
    ),
    Case(
        exercise="compare_sliced",
        code="""
import numpy as np
import torch
from torch.nn.functional import interpolate


def compare_sliced(Y, *, directions=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    V = torch.randn(directions, Y.shape[1], generator=generator, dtype=torch.float64)
    V = (V / V.norm(dim=1, keepdim=True)).to(Y.dtype)

    def project_and_sort(F):
        rows = torch.einsum("kc,nchw->nkhw", V, F).flatten(2)
        return torch.from_numpy(np.sort(rows.detach().numpy(), axis=-1))  # NumPy sorts faster

    wanted = project_and_sort(Y)

    def loss(Y_hat):
        rows = project_and_sort(Y_hat)
        target = wanted
        if rows.shape[-1] != target.shape[-1]:
            target = interpolate(target, rows.shape[-1], mode="linear")
        return torch.mean((rows - target) ** 2)

    return loss
""",
        mistake="The projections of the image are detached and sorted in NumPy, so the value "
        "is right but no gradient comes back to the features.",
    ),
    # -------------------------------------------------------------------- nearest features
    Case(
        exercise="nearest",
        code="""
import torch


def nearest(columns, candidates):
    mean = columns.mean(dim=1, keepdim=True)
    a = columns - mean
    b = candidates - mean
    a = a / a.norm(dim=0, keepdim=True).clamp(min=1e-12)
    b = b / b.norm(dim=0, keepdim=True).clamp(min=1e-12)
    return (a.T @ b).argmax(dim=1)
""",
        mistake="The candidates are centered by the mean of the columns instead of their own.",
    ),
    Case(
        exercise="nearest",
        code="""
import torch
from torch.nn.functional import normalize


def nearest(columns, candidates):
    a = normalize(columns, dim=0)
    b = normalize(candidates, dim=0)
    a = a - a.mean(dim=1, keepdim=True)
    b = b - b.mean(dim=1, keepdim=True)
    cosines = torch.einsum("dm,dk->mk", a, b)
    return cosines.argmax(dim=1)
""",
        mistake="The columns are normalized first and centered afterwards, so they no longer "
        "have length 1 and the products are no cosines.",
    ),
    # ------------------------------------------------------------------- Laplacian pyramid
    Case(
        exercise="bands_of",
        code="""
from torch.nn.functional import interpolate


def bands_of(X, levels):
    bands = []
    for _ in range(levels):
        half = (max(1, X.shape[2] // 2), max(1, X.shape[3] // 2))
        small = X[:, :, ::2, ::2][:, :, :half[0], :half[1]]
        bands.append(X - interpolate(small, size=X.shape[2:], mode="bilinear"))
        X = small
    bands.append(X)
    return bands
""",
        mistake="Every second pixel is taken without a blur first, so fine detail is aliased "
        "into the coarse bands.",
    ),
    Case(
        exercise="bands_of",
        code="""
import torch
import torch.nn.functional as F


@torch.no_grad()
def bands_of(X, levels):
    bands = []
    current = X
    for level in range(levels):
        H, W = current.shape[-2:]
        small = F.interpolate(current, (max(1, H // 2), max(1, W // 2)),
                              mode="bilinear", antialias=True)
        current -= F.interpolate(small, (H, W), mode="bilinear")
        bands.append(current)
        current = small
    return bands + [current]
""",
        mistake="The blurred image is subtracted in place, so the caller's image becomes its "
        "own finest band.",
    ),
    # ---------------------------------------------------------- self-similarity divergence
    Case(
        exercise="structure_divergence",
        code="""
import torch
from torch.nn.functional import kl_div


def similarities(F, similarity):
    if similarity == "product":
        F = F / F.shape[1]
        return F @ F.T
    F = F / F.norm(dim=1, keepdim=True).clamp(min=1e-300)
    return F @ F.T / 0.2


def structure_divergence(F_hat, F, *, similarity="cosine", block=2**22):
    log_S_hat = similarities(F_hat, similarity).log_softmax(dim=1)
    S = similarities(F, similarity).softmax(dim=1)
    return float(kl_div(log_S_hat, S, reduction="mean"))
""",
        mistake="kl_div with reduction='mean' divides by all M * M entries instead of the M "
        "places; 'batchmean' would be right.",
    ),
    Case(
        exercise="structure_divergence",
        code="""
import torch


def structure_divergence(F_hat, F, *, similarity="cosine", block=2**22):
    def log_rows(A):
        if similarity == "product":
            A = A / A.shape[1]
        else:
            A = A / A.norm(dim=1, keepdim=True).clamp(min=1e-300) / 0.2
        return torch.log_softmax(A @ A.T, dim=1)

    log_S, log_S_hat = log_rows(F), log_rows(F_hat)
    total = 0.0
    for i in range(len(F)):
        total += float((log_S[i].exp() * (log_S[i] - log_S_hat[i])).sum())
    return total / len(F)
""",
        mistake="Both factors of the product are divided by the temperature, so cosines are "
        "divided by 0.04 instead of 0.2 and the softmax is much too sharp.",
    ),
]
