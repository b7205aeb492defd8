"""Style as a distribution of features: moments, transport, patches, positions (chapter 23).

Each function here is a `stylelib.objectives.FeatureLoss`, as `compare_grams` is. It takes the
features of a target, (1, C, H', W'), and returns a function from features (N, C, H, W) to their
loss, a tensor with no axes: the mean over the N images. H' and W' may differ from H and W.
Whatever depends on the target alone is computed once, without a gradient. Features narrower
than float32 are compared in float32.

F is one image's features as a matrix, (C, M): C values at each of M = H * W positions. A star
marks the target's quantities.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize, pixel_unshuffle

from stylelib.arguments import check_seed, number, whole
from stylelib.errors import InputError
from stylelib.losses import check_features, gram, widened
from stylelib.objectives import needs_layout

__all__ = [
    "compare_gaussians",
    "compare_histograms",
    "compare_moments",
    "compare_patches",
    "compare_places",
    "compare_sliced",
]

LARGEST_TABLE = 2**22
"""How many correlations are in memory at a time in the search for nearest neighbors."""


def target(Y: Tensor) -> Tensor:
    """A target's features, (1, C, H', W'), without gradient, in float32 or wider."""
    check_features(Y)
    if len(Y) != 1:
        raise InputError(
            f"a target's features must have the shape (1, C, H, W), not {tuple(Y.shape)}"
        )
    return widened(Y.detach())


def alike(Y_hat: Tensor, Y: Tensor) -> Tensor:
    """Features (N, C, H, W) in the target's dtype; they must have as many channels."""
    check_features(Y_hat)
    if Y_hat.shape[1] != Y.shape[1]:
        raise InputError(
            f"Y_hat has {Y_hat.shape[1]} channels and the target {Y.shape[1]}; both must come "
            "from the same layer"
        )
    return Y_hat.to(Y.dtype)


def compare_moments(Y: Tensor) -> Callable[[Tensor], Tensor]:
    """Means and standard deviations: (mu - mu*)^2 + (sigma - sigma*)^2, averaged over channels.

    Args:
        Y: the features of the target, (1, C, H', W').

    Source: Li, Wang, Liu and Hou (2017), "Demystifying neural style transfer", the matching of
    batch normalization statistics. Huang and Belongie (2017) train with it, without squaring
    the norms. It is the squared 2-Wasserstein distance between normal distributions with
    independent channels, divided by C, so it is never more than `compare_gaussians`.

    Example:
        >>> ramp = torch.arange(6.0).reshape(1, 1, 2, 3)
        >>> compare_moments(ramp)(ramp + 3)
        tensor(9.)
    """
    Y = target(Y)
    sigma_star, mu_star = torch.std_mean(Y, (2, 3), correction=0)  # (1, C) each

    def loss(Y_hat: Tensor) -> Tensor:
        sigma, mu = torch.std_mean(alike(Y_hat, Y), (2, 3), correction=0)  # (N, C) each
        return ((mu - mu_star).square() + (sigma - sigma_star).square()).mean()

    return loss


def moments_of_places(Y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (N, C) and covariance (N, C, C), in float64, of features (N, C, H, W)."""
    mu = Y.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
    S = Y.shape[1] * gram(Y - mu)  # (N, C, C)
    S = S.cpu() if S.device.type == "mps" else S  # Apple's device has no float64
    return mu.flatten(1), S.double()


def compare_gaussians(Y: Tensor, *, eps: float = 1e-4) -> Callable[[Tensor], Tensor]:
    """Means and covariances: the squared distance between two normal distributions, over C.

    It is ((mu - mu*)^2 + tr(S + S* - 2 (S*^1/2 S S*^1/2)^1/2)) / C, where S and S* are the
    covariances of the channels over the positions.

    Args:
        Y: the features of the target, (1, C, H', W').
        eps: a fraction of the target's mean variance, 0 or more, that is added to both
            diagonals. With fewer positions than channels a covariance is singular, and a
            standard deviation of 0 has no derivative; the added variance avoids this.

    Raises:
        InputError: eps is negative.

    Source: the 2-Wasserstein distance between normal distributions (Dowson and Landau 1982),
    used for style transfer by Mroueh (2020), "Wasserstein style transfer". Without eps it is at
    most the distance between the features themselves, W_2^2 / C (Gelbrich 1990).

    Example:
        >>> ramp = torch.arange(6.0).reshape(1, 1, 2, 3)
        >>> compare_gaussians(ramp)(ramp + 3)
        tensor(9.)
    """
    eps, Y = number("eps", eps, least=0), target(Y)
    C = Y.shape[1]
    mu_star, S_star = moments_of_places(Y)
    blur = eps * S_star.diagonal(dim1=1, dim2=2).mean() * torch.eye(C).to(S_star)
    S_star = S_star + blur  # (1, C, C)
    variances, axes = torch.linalg.eigh(S_star)
    tiny = torch.finfo(S_star.dtype).tiny  # the root of 0 has no derivative
    root = (axes * variances.clamp(min=0).sqrt()[:, None]) @ axes.mT  # S*^1/2

    def loss(Y_hat: Tensor) -> Tensor:
        mu, S = moments_of_places(alike(Y_hat, Y))
        S = S + blur  # (N, C, C)
        # The trace needs only eigenvalues, whose gradient does not divide by differences of
        # eigenvalues. In float64, one thread, with the gradient, C = 64, 128, 256, 512 take
        # 0.2, 1, 5, 32 ms. 20 steps of Newton-Schulz take 1, 6, 39, 330 ms without it, and are
        # not enough at C = 512.
        R = (root @ S @ root).nan_to_num(0, 0, 0)  # mu and S keep what is not finite
        squares: Tensor = torch.linalg.eigvalsh(R).clamp(min=tiny)  # (N, C)
        spread = (S + S_star).diagonal(dim1=1, dim2=2).sum(1) - 2 * squares.sqrt().sum(1)
        distance = (mu - mu_star).square().sum(1).to(spread) + spread  # (N,)
        return distance.clamp(min=0).mean().to(mu) / C

    return loss


def in_order(rows: Tensor) -> Tensor:
    """The values of each row (..., M), smallest first."""
    if rows.device.type != "cpu":
        return torch.sort(rows, dim=-1).values
    # NumPy sorts 4 to 8 times as fast: 64 rows of 135,000 in 0.10 s instead of 0.86 s
    order = torch.from_numpy(rows.detach().contiguous().numpy().argsort(axis=-1))
    return rows.gather(-1, order)


def transport_to(wanted: Tensor) -> Callable[[Tensor], Tensor]:
    """Optimal transport in one dimension, row by row: values of the same rank are matched.

    Args:
        wanted: (1, K, M'), the values that K rows should have, in any order.

    Returns:
        A function from rows (N, K, M) to the mean squared difference of values of the same
        rank. If M = M', this is the cost of the transport. Otherwise the rows are compared with
        the target's quantiles (i + 1/2) / M, interpolated linearly.
    """
    wanted = in_order(wanted)

    def loss(rows: Tensor) -> Tensor:
        M = rows.shape[-1]
        same = wanted.shape[-1] == M
        ranked = wanted if same else interpolate(wanted, M, mode="linear")  # (1, K, M)
        return (in_order(rows) - ranked).square().mean()

    return loss


def compare_histograms(Y: Tensor) -> Callable[[Tensor], Tensor]:
    """The histogram of each channel: the mean squared difference between sorted values.

    Args:
        Y: the features of the target, (1, C, H', W').

    Source: Risser, Wilmot and Barnes (2017), the histogram loss: the squared difference between
    features and the same features after histogram matching. Their histograms have bins. We
    match ranks, which is exact if both images have equally many positions; otherwise we
    interpolate linearly between the target's values. The loss is at most W_2^2 / C, because it
    transports each channel separately, and it does not see how channels vary together.

    Example:
        >>> ramp = torch.arange(6.0).reshape(1, 1, 2, 3)
        >>> compare_histograms(ramp)(5 - ramp)
        tensor(0.)
    """
    Y = target(Y)
    cost = transport_to(Y.flatten(2))  # of (1, C, M')
    return lambda Y_hat: cost(alike(Y_hat, Y).flatten(2))


def unit_directions(count: int, channels: int, seed: int) -> Tensor:
    """Directions drawn uniformly from the unit sphere, (count, channels), in float64."""
    generator = torch.Generator().manual_seed(seed)
    V = torch.randn(count, channels, generator=generator, dtype=torch.float64)
    return normalize(V, dim=1)


def compare_sliced(
    Y: Tensor, *, directions: int = 64, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """Histograms along random directions: the squared sliced 2-Wasserstein distance.

    Features are projected onto unit directions, sorted, and compared with the target's as in
    `compare_histograms`, whose directions are the channels' axes.

    The expectation over random directions is at most W_2^2 / C, where W_2 is the distance
    between the features themselves: the squared projection of a move of length d is d^2 / C on
    average, and each slice may find a cheaper transport of its own. It equals W_2^2 / C if none
    does, that is, if the features are the target's, shifted or scaled by one factor.

    Args:
        Y: the features of the target, (1, C, H', W').
        directions: the number of directions.
        seed: the seed from which they are drawn, once.

    Raises:
        InputError: directions or seed is out of range.

    Source: Heitz, Vanhoey, Chambon and Belcour (2021), section 3. They draw C new directions at
    each step. With fixed directions the loss is a function, as L-BFGS requires, but it misses
    differences that no direction shows.

    Example:
        >>> ramp = torch.arange(6.0).reshape(1, 1, 2, 3)
        >>> compare_sliced(ramp, directions=8)(ramp + 3)
        tensor(9.)
    """
    directions, seed = whole("directions", directions), check_seed(seed)
    Y = target(Y)
    V = unit_directions(directions, Y.shape[1], seed).to(Y)  # (K, C)
    cost = transport_to(V @ Y.flatten(2))  # of (1, K, M')
    return lambda Y_hat: cost(V @ alike(Y_hat, Y).flatten(2))


@torch.no_grad()
def nearest(A: Tensor, B: Tensor) -> Tensor:
    """For each column of A, (D, M), the column of B, (D, M'), with the largest inner product.

    Returns:
        Their indices, (M,). At most `LARGEST_TABLE` products (or one row of M') are in memory.
    """
    rows = max(1, LARGEST_TABLE // B.shape[1])
    return torch.cat([(block.mT @ B).argmax(dim=1) for block in torch.split(A, rows, dim=1)])


def patches(Y: Tensor, size: int, stride: int) -> Tensor:
    """The contents of a size x size window that moves over features (N, C, H, W) in strides.

    Returns:
        (N, C * size^2, n), one patch per column. The last window of each row and column ends at
        the border, so every feature is in a patch.
    """
    H, W = Y.shape[2:]
    if min(H, W) < size:
        raise InputError(
            f"patches of {size} x {size} need features of {size} x {size} or more, not "
            f"{H} x {W}; use a larger image or a shallower layer"
        )
    for axis, side in ((2, H), (3, W)):
        starts = torch.arange(0, side - size + stride, stride).clamp(max=side - size)
        seen = starts[:, None] + torch.arange(size)  # (windows, size)
        Y = Y.index_select(axis, seen.flatten().to(Y.device))
    # (N, C, size * rows, size * columns) to (N, C * size^2, rows, columns)
    return pixel_unshuffle(Y, size).flatten(2)


@needs_layout
def compare_patches(Y: Tensor, *, size: int = 3, stride: int = 2) -> Callable[[Tensor], Tensor]:
    """Each patch against the most similar patch of the target: the mean squared difference.

    The most similar patch has the largest normalized cross-correlation, the cosine of the angle
    between the two. It is searched for in every evaluation, and no gradient flows through the
    choice. A patch whose features are all 0 has no angle. Its error is the average error of the
    target's patches against 0, and it gets no gradient.

    Args:
        Y: the features of the target, (1, C, H', W').
        size: the side of a patch, in positions.
        stride: the distance between patches, 1 to `size`, in both images. With a stride of 2,
            each position is still in a 3 x 3 patch, and only a sixteenth of the pairs have to
            be compared. At relu3_1 of a photograph and a painting, 300 x 450, one thread, this
            took 0.6 s instead of 7.6 s. The loss was 1.3% larger, because among fewer patches
            the matches are less good.

    Raises:
        InputError: size or stride is out of range, or the features are smaller than a patch.

    Source: Li and Wand (2016), equations 2 and 3. They use the sum instead of the mean, a
    stride of 1, and rotated and scaled patches of the target as well, at relu3_1 and relu4_1.
    The time grows as (H W)^2, so earlier layers are slow.

    Example:
        >>> ramp = torch.arange(12.0).reshape(1, 1, 3, 4)
        >>> compare_patches(ramp, stride=1)(ramp[..., 1:])  # one of its two patches
        tensor(0.)
    """
    size = whole("size", size)
    stride, Y = whole("stride", stride, most=size), target(Y)
    P_star = patches(Y, size, stride)[0]  # (C size^2, n')
    length = torch.linalg.vector_norm(P_star, dim=0)
    directions = P_star / length.masked_fill(length == 0, math.inf)

    def loss_of_one(P: Tensor) -> Tensor:  # (C size^2, n)
        match = nearest(P, directions)  # as for P / |P|: its length does not change the order
        errors = (P - P_star[:, match]).square().mean(0)  # (n,)
        return torch.where((P == 0).all(0), P_star.square().mean(), errors).mean()

    return lambda Y_hat: torch.stack(
        [loss_of_one(P) for P in patches(alike(Y_hat, Y), size, stride)]
    ).mean()


def some_of(count: int, most: int, seed: int) -> Tensor:
    """`most` of the indices 0 .. count - 1, one drawn from each of `most` even intervals.

    If count <= most, all of them. The same arguments give the same indices.
    """
    if count <= most:
        return torch.arange(count)
    edges = torch.arange(most + 1) * count // most
    drawn = torch.rand(most, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return edges[:-1] + (drawn * edges.diff()).long()


def unit_places(F: Tensor) -> Tensor:
    """The features of each position, (C, M), scaled to length 1, and a last row (C + 1, M) that
    is 1 where they are all 0.

    So half the squared distance between two columns is 1 - cos. It is 0 if both positions are
    all 0, and 1 if only one is. Such positions get no gradient.
    """
    length = torch.linalg.vector_norm(F, dim=0, keepdim=True)  # (1, M)
    empty = length == 0
    return torch.cat([F / length.masked_fill(empty, math.inf), empty.to(F)])


def compare_places(
    Y: Tensor, *, places: int = 1024, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """The relaxed earth mover's distance: from each position to the nearest of the other image.

    It is the larger of two means of smallest cosine distances: from each position of the image
    to the nearest of the target's, and from each of the target's to the nearest of the image's.
    The distance 1 - cos is between 0 and 2. A position whose features are all 0 has no
    direction. Its distance is 0 to another such position and 1 to any other, so features that
    are all 0 have a loss of 1, unless the target has such positions too.

    Args:
        Y: the features of the target, (1, C, H', W').
        places: how many positions of each image are compared; all, if there are no more. They
            are drawn evenly over the image, and are the same each time for images of one shape.
            The others get no gradient, so at early layers no drawn position depends on some of
            the pixels. Memory is bounded, whatever the number.
        seed: the seed from which they are drawn.

    Raises:
        InputError: places or seed is out of range.

    Source: Kolkin, Salavon and Shakhnarovich (2019), section 2.2, the loss l_r. They draw new
    positions at each step, and compare hypercolumns through all layers instead of one layer.

    Example:
        >>> right, up = torch.eye(2).reshape(2, 1, 2, 1, 1)
        >>> compare_places(right)(5 * right), compare_places(right)(up)
        (tensor(0.), tensor(1.))
    """
    places, seed = whole("places", places), check_seed(seed)
    Y = target(Y)

    def chosen(F: Tensor) -> Tensor:  # (C, M) to (C + 1, places)
        return unit_places(F[:, some_of(F.shape[1], places, seed).to(F.device)])

    U_star = chosen(Y.flatten(2)[0])

    def loss_of_one(F: Tensor) -> Tensor:
        U = chosen(F)
        there = (U - U_star[:, nearest(U, U_star)]).square().sum(0) / 2
        back = (U[:, nearest(U_star, U)] - U_star).square().sum(0) / 2
        return torch.maximum(there.mean(), back.mean())

    return lambda Y_hat: torch.stack(
        [loss_of_one(F) for F in alike(Y_hat, Y).flatten(2)]
    ).mean()
