"""Style as a distribution of features: moments, transport, patches, places (chapter 23).

Each function here is a `stylelib.objectives.FeatureLoss`, as `compare_grams` is: it takes the
features of a target, (1, C, H', W'), and gives a loss of features (N, C, H, W), a tensor with
no axes, the mean over the N pictures. H' and W' may be others than H and W. What depends on the
target alone is computed once, and no gradient flows into it. Features of less than float32 are
compared in float32.

F is one picture's features as a matrix, (C, M): M = H * W places, C numbers at each. A star
marks what is the target's.
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

__all__ = [
    "compare_gaussians",
    "compare_histograms",
    "compare_moments",
    "compare_patches",
    "compare_places",
    "compare_sliced",
]

LARGEST_TABLE = 2**22
"""How many correlations are in memory at a time while nearest neighbors are sought."""


def target(Y: Tensor) -> Tensor:
    """The features of a target, (1, C, H', W'), without gradient, in float32 at least."""
    check_features(Y)
    if len(Y) != 1:
        raise InputError(
            f"the features of a target have the shape (1, C, H, W), not {tuple(Y.shape)}"
        )
    return widened(Y.detach())


def alike(Y_hat: Tensor, Y: Tensor) -> Tensor:
    """Features (N, C, H, W) in the target's dtype, if they have as many channels as it has."""
    check_features(Y_hat)
    if Y_hat.shape[1] != Y.shape[1]:
        raise InputError(
            f"Y_hat has {Y_hat.shape[1]} channels and the target {Y.shape[1]}; both must come "
            "from the same layer"
        )
    return Y_hat.to(Y.dtype)


def compare_moments(Y: Tensor) -> Callable[[Tensor], Tensor]:
    """Means and standard deviations: (mu - mu*)^2 + (sigma - sigma*)^2, the mean over channels.

    Args:
        Y: the features of the target, (1, C, H', W').

    Source: Li, Wang, Liu and Hou (2017), "Demystifying neural style transfer", the matching of
    batch normalization statistics; Huang and Belongie (2017) train with it, in norms that are
    not squared. It is the squared 2-Wasserstein distance, over C, of normal distributions with
    independent channels, so never more than `compare_gaussians`.

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
    """Of features (N, C, H, W) over their places: mu (N, C); S (N, C, C) in float64."""
    mu = Y.mean((2, 3), keepdim=True)  # (N, C, 1, 1)
    S = Y.shape[1] * gram(Y - mu)  # (N, C, C)
    S = S.cpu() if S.device.type == "mps" else S  # Apple's device has no float64
    return mu.flatten(1), S.double()


def compare_gaussians(Y: Tensor, *, eps: float = 1e-4) -> Callable[[Tensor], Tensor]:
    """Means and covariances: the distance of two normal distributions, squared, over C.

    That is ((mu - mu*)^2 + tr(S + S* - 2 (S*^1/2 S S*^1/2)^1/2)) / C, S and S* the covariances
    of the channels over the places.

    Args:
        Y: the features of the target, (1, C, H', W').
        eps: a share of the target's mean variance, 0 or more, that is added to both diagonals.
            A covariance of fewer places than channels is singular, and a standard deviation of
            0 has no derivative; with a little more everywhere it has.

    Raises:
        InputError: eps is negative.

    Source: the 2-Wasserstein distance of normal distributions (Dowson and Landau 1982), in
    style transfer by Mroueh (2020), "Wasserstein style transfer". Without eps it is at most
    that of the features themselves, W_2^2 / C (Gelbrich 1990).

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
        # A trace needs eigenvalues only, whose gradient has no differences of eigenvalues in
        # it. In float64, one thread, with the gradient, C = 64, 128, 256, 512: 0.2, 1, 5, 32
        # ms; 20 steps of Newton-Schulz, without: 1, 6, 39, 330 ms, not enough at C = 512.
        R = (root @ S @ root).nan_to_num(0, 0, 0)  # of what is not finite, mu and S tell
        squares: Tensor = torch.linalg.eigvalsh(R).clamp(min=tiny)  # (N, C)
        spread = (S + S_star).diagonal(dim1=1, dim2=2).sum(1) - 2 * squares.sqrt().sum(1)
        distance = (mu - mu_star).square().sum(1).to(spread) + spread  # (N,)
        return distance.clamp(min=0).mean().to(mu) / C

    return loss


def in_order(rows: Tensor) -> Tensor:
    """The values of each row (..., M), smallest first."""
    if rows.device.type != "cpu":
        return torch.sort(rows, dim=-1).values
    # NumPy finds the order 4 to 8 times as fast: 64 rows of 135,000 in 0.10 s, not 0.86 s
    order = torch.from_numpy(rows.detach().contiguous().numpy().argsort(axis=-1))
    return rows.gather(-1, order)


def transport_to(wanted: Tensor) -> Callable[[Tensor], Tensor]:
    """Optimal transport in one dimension, row by row: the smallest goes to the smallest.

    Args:
        wanted: (1, K, M'), the values that K rows should have, in any order.

    Returns:
        From rows (N, K, M) to the mean squared difference of values of the same rank. Of equal
        counts that is the transport's cost. If M is not M', the ranks are the quantiles
        (i + 1/2) / M, between those of the target on straight lines.
    """
    wanted = in_order(wanted)

    def loss(rows: Tensor) -> Tensor:
        M = rows.shape[-1]
        same = wanted.shape[-1] == M
        ranked = wanted if same else interpolate(wanted, M, mode="linear")  # (1, K, M)
        return (in_order(rows) - ranked).square().mean()

    return loss


def compare_histograms(Y: Tensor) -> Callable[[Tensor], Tensor]:
    """The histogram of each channel: sorted values against the target's, mean of squares.

    Args:
        Y: the features of the target, (1, C, H', W').

    Source: Risser, Wilmot and Barnes (2017), the histogram loss: the squared difference of
    features and the same features after histogram matching. There the histograms have bins;
    here ranks are matched, which is exact where both have as many places, and otherwise up to
    straight lines between the target's values. It is at most W_2^2 / C, as all transport of
    single channels; what channels do together it cannot see.

    Example:
        >>> ramp = torch.arange(6.0).reshape(1, 1, 2, 3)
        >>> compare_histograms(ramp)(5 - ramp)
        tensor(0.)
    """
    Y = target(Y)
    cost = transport_to(Y.flatten(2))  # of (1, C, M')
    return lambda Y_hat: cost(alike(Y_hat, Y).flatten(2))


def unit_directions(count: int, channels: int, seed: int) -> Tensor:
    """Directions drawn evenly from the unit sphere: (count, channels), in float64."""
    generator = torch.Generator().manual_seed(seed)
    V = torch.randn(count, channels, generator=generator, dtype=torch.float64)
    return normalize(V, dim=1)


def compare_sliced(
    Y: Tensor, *, directions: int = 64, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """Histograms along random directions: the sliced 2-Wasserstein distance, squared.

    Features are projected on unit directions, sorted, and compared with the target's as in
    `compare_histograms`, whose directions are the channels' axes.

    Over the drawing of directions its mean is at most W_2^2 / C, W_2 the distance of the
    features themselves: of a way of length d, a random direction sees d^2 / C on average, and
    each slice may find a shorter way of its own. It is W_2^2 / C where none does: where the
    features are the target's, shifted or scaled by one factor.

    Args:
        Y: the features of the target, (1, C, H', W').
        directions: how many.
        seed: from which they are drawn, once.

    Raises:
        InputError: directions or seed is no such number.

    Source: Heitz, Vanhoey, Chambon and Belcour (2021), section 3. There C directions are drawn
    anew at each step; with fixed ones the loss is a function, as L-BFGS needs it, but what
    cancels in all of them is not seen.

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
    """For each column of A, (D, M), the column of B, (D, M'), of the greatest inner product.

    Returns:
        Their numbers, (M,). At most `LARGEST_TABLE` products (or one row of M') are in memory.
    """
    rows = max(1, LARGEST_TABLE // B.shape[1])
    return torch.cat([(block.mT @ B).argmax(dim=1) for block in torch.split(A, rows, dim=1)])


def patches(Y: Tensor, size: int, stride: int) -> Tensor:
    """All that a window of size x size sees as it moves over features (N, C, H, W) in strides.

    Returns:
        (N, C * size^2, n), one patch a column. The last window of each row and column ends at
        the border, so none of the features is left out.
    """
    H, W = Y.shape[2:]
    if min(H, W) < size:
        raise InputError(
            f"patches of {size} x {size} need features of {size} x {size} or more, not "
            f"{H} x {W}; take a larger picture or a shallower layer"
        )
    for axis, side in ((2, H), (3, W)):
        starts = torch.arange(0, side - size + stride, stride).clamp(max=side - size)
        seen = starts[:, None] + torch.arange(size)  # (windows, size)
        Y = Y.index_select(axis, seen.flatten().to(Y.device))
    # (N, C, size * rows, size * columns) to (N, C * size^2, rows, columns)
    return pixel_unshuffle(Y, size).flatten(2)


def compare_patches(Y: Tensor, *, size: int = 3, stride: int = 2) -> Callable[[Tensor], Tensor]:
    """Each patch against the patch of the target that it resembles most, mean of squares.

    A patch of the target resembles most that has the greatest normalized cross-correlation,
    the cosine of the angle between the two; it is sought anew each time, and no gradient flows
    through the choice. A patch whose features are all 0 has no angle: it counts as much as the
    target's patches do on average against 0, without gradient.

    Args:
        Y: the features of the target, (1, C, H', W').
        size: of patches, in places.
        stride: from a patch to the next, 1 to `size`, in both pictures. With 2, each place is
            still in a patch of 3 x 3, and there are a sixteenth of the pairs to compare. At
            relu3_1 of a photograph and a painting, 300 x 450, one thread, that took 0.6 s in
            place of 7.6 s, and the loss was 1.3 % greater: among fewer patches, a match is less
            good.

    Raises:
        InputError: size or stride is no such number; there are fewer places than a patch has.

    Source: Li and Wand (2016), equations 2 and 3, with the sum in place of the mean, a stride
    of 1, and patches of the target turned and scaled as well. They compare relu3_1 and relu4_1.
    The search takes time as (H W)^2: earlier layers are slow.

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
    """`most` of the numbers 0 .. count - 1, one drawn from each of as many even stretches.

    If there are no more than that, all of them. The same arguments give the same numbers.
    """
    if count <= most:
        return torch.arange(count)
    edges = torch.arange(most + 1) * count // most
    drawn = torch.rand(most, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return edges[:-1] + (drawn * edges.diff()).long()


def unit_places(F: Tensor) -> Tensor:
    """The features of each place, (C, M), with length 1, and whether all are 0: (C + 1, M).

    So half the squared distance of two columns is 1 - cos; it is 0 if both places are empty,
    1 if one is. An empty place gets no gradient.
    """
    length = torch.linalg.vector_norm(F, dim=0, keepdim=True)  # (1, M)
    empty = length == 0
    return torch.cat([F / length.masked_fill(empty, math.inf), empty.to(F)])


def compare_places(
    Y: Tensor, *, places: int = 1024, seed: int = 0
) -> Callable[[Tensor], Tensor]:
    """The relaxed earth mover's distance: to each place the nearest of the other picture's.

    It is the larger of two means of least cosine distances: over the picture's places, each to
    the nearest of the target's, and over the target's, each to the nearest of the picture's.
    The distance 1 - cos is from 0 to 2. A place whose features are all 0 points nowhere: its
    distance is 0 to another such place and 1 to any other, so that of features which are all 0
    is 1, unless the target has such places too.

    Args:
        Y: the features of the target, (1, C, H', W').
        places: how many of each picture are compared; all, if there are no more. They are
            drawn evenly over the picture, and are the same each time for pictures of one shape.
            The others get no gradient: at early layers there are pixels that none of the drawn
            places sees. Memory is bounded, whatever the number.
        seed: from which they are drawn.

    Raises:
        InputError: places or seed is no such number.

    Source: Kolkin, Salavon and Shakhnarovich (2019), section 2.2, the loss l_r. There places
    are drawn anew at each step, and are hypercolumns through all layers, not of a single one.

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
