"""What several test files compute with: pictures, small networks, formulas as loops."""

import numpy as np
import torch
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn
from torch.nn import functional

from stylelib import samples

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])  # of ImageNet
SEEDS = st.integers(0, 2**32 - 1)
SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
"""(N, C, H, W) of features."""
PICTURES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 5), st.integers(2, 5))
quick = settings(deadline=None, max_examples=40)


# --- numbers


def draw(shape, seed=0):
    """Normal numbers, an array in float64."""
    return np.random.default_rng(seed).normal(size=shape)


def whole_numbers(shape, seed=0):
    """0, 1 and 2 in float64: hardly a window without equal ones."""
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(shape, seed=0):
    """Normal numbers, a tensor in float32."""
    return torch.randn(shape, generator=chance(seed))


def assert_near(actual, expected, tolerance=1e-12, near_zero=None):
    """Each entry by itself, in float64; near 0 by `near_zero`, or by the tolerance."""
    actual, expected = as_array(actual), as_array(expected)
    assert actual.shape == expected.shape
    assert actual.dtype == np.float64
    floor = tolerance if near_zero is None else near_zero
    np.testing.assert_allclose(actual, expected, tolerance, floor, equal_nan=False)


def assert_near_overall(actual, expected, tolerance=1e-12):
    """Against the greatest of the entries: single ones may be all but 0 by chance."""
    actual, expected = as_array(actual), as_array(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


def as_array(values):
    return values.detach().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


# --- pictures


def photo(name, side):
    """A sample as a square."""
    return samples.load(name).resize((side, side))


def pixels(height, width, seed=0):
    """A picture of chance."""
    levels = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    return Image.fromarray(levels.astype(np.uint8))


def normalized(levels):
    """A picture (H, W, 3) as networks take it, (1, 3, H, W), without the library."""
    X = (np.asarray(levels).astype(np.float64) / 255 - MEAN) / STD
    return torch.from_numpy(X.transpose(2, 0, 1)[None]).float()


# --- formulas, as loops


def sum_of_squares(A, B):
    """Of the differences; an axis of length 1 in B stands for all of A's."""
    total = 0.0
    for a, b in zip(A.ravel(), np.broadcast_to(B, A.shape).ravel(), strict=True):
        total += (a - b) ** 2
    return total


def products(F):
    """F F^T of each picture (N, C, H, W), divided by nothing: (N, C, C)."""
    N, C, H, W = F.shape
    G = np.zeros((N, C, C))
    for n, c, d, i, j in np.ndindex(N, C, C, H, W):
        G[n, c, d] += F[n, c, i, j] * F[n, d, i, j]
    return G


def loop_gram(F):
    """Gram matrices, divided by C H W."""
    return products(F) / F[0].size


def variations(X, size=abs):
    """size(difference), added up over vertical and over horizontal neighbors."""
    N, C, H, W = X.shape
    down = across = 0.0
    for n, c, i, j in np.ndindex(N, C, H, W):
        if i + 1 < H:
            down += size(X[n, c, i + 1, j] - X[n, c, i, j])
        if j + 1 < W:
            across += size(X[n, c, i, j + 1] - X[n, c, i, j])
    return down, across


def mean_variation(X):
    """Half the mean absolute difference down plus half of that across."""
    N, C, H, W = X.shape
    down, across = variations(X)
    return 0.5 * (down / (N * C * (H - 1) * W) + across / (N * C * H * (W - 1)))


def recipe_features(X, net, content_layers, style_layers):
    """As the d2l code takes them."""
    contents, styles = [], []
    for i in range(len(net)):
        X = net[i](X)
        if i in style_layers:
            styles.append(X)
        if i in content_layers:
            contents.append(X)
    return contents, styles


def recipe_gram(X):
    """As d2l writes it, for one picture."""
    num_channels, n = X.shape[1], X.numel() // X.shape[1]
    X = X.reshape((num_channels, n))
    return torch.matmul(X, X.T) / (num_channels * n)


def paper_style(F, A):
    """A layer's loss after the paper, averaged over the batch; A is divided by nothing."""
    N, C, H, W = F.shape
    flat = F.reshape(N, C, H * W)
    return (flat @ flat.mT - A).square().sum() / (4 * N * C**2 * (H * W) ** 2)


# --- batches


def statuses(report):
    return [each.status for each in report.outcomes]


# --- objectives and networks


def towards(target, stiffness=1.0):
    """A quadratic, least at the target."""
    return lambda X: {"distance": 0.5 * stiffness * ((X - target) ** 2).sum()}


def tiny_network(seed=0):
    """Five layers of random weights: 0, 2 and 4 are convolutions."""
    generator = chance(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3),
    )
    for parameter in net.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * 0.2
    return net.eval().requires_grad_(False)


class Linear(nn.Module):
    """Scores linear in a picture of 32 x 32, of four classes of a thousand: gradients known
    without autograd. It remembers what it saw.

    Args:
        size: of the weights.
        seed: likewise.
        bias: added to the four scores.
        others: the scores of the other classes.
        dtype: of the weights.
    """

    def __init__(self, size, seed, bias=0.0, others=0.0, dtype=torch.float32):
        super().__init__()
        weight = size * torch.randn(4, 3, 32, 32, generator=chance(seed), dtype=dtype)
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias, self.others, self.seen = bias, others, []

    def forward(self, X):
        self.seen.append(X.detach().clone())
        scores = torch.einsum("nchw,kchw->nk", X, self.weight) + self.bias
        return functional.pad(scores, (0, 996), value=self.others)


class Colors(nn.Module):
    """Scores (N, 1000) of pictures of any size: weighted colors and their squares."""

    def __init__(self, seed=5):
        super().__init__()
        weight = torch.randn(6, 1000, generator=chance(seed))
        self.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, X):
        numbers = torch.cat([X, X.square()], dim=1).mean(dim=(2, 3))  # (N, 6)
        return numbers @ self.weight
