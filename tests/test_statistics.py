"""Style losses on distributions of features, against NumPy, SciPy and closed forms."""

import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.optimize import linear_sum_assignment
from torch.overrides import TorchFunctionMode
from toys import assert_near, draw

from stylelib import RECIPES, InputError, compare_grams, gram, samples, transfer
from stylelib.beyond import statistics
from stylelib.beyond.statistics import (
    compare_gaussians,
    compare_histograms,
    compare_moments,
    compare_patches,
    compare_places,
    compare_sliced,
    some_of,
    unit_directions,
)
from stylelib.objectives import relative

LOSSES = {
    "moments": compare_moments,
    "gaussians": compare_gaussians,
    "histograms": compare_histograms,
    "sliced": partial(compare_sliced, directions=8),
    "patches": compare_patches,
    "places": compare_places,
    "few places": partial(compare_places, places=7),
}
SHIFTED = ["moments", "gaussians", "histograms", "sliced"]  # a shift of all features is seen
UNORDERED = [*SHIFTED, "places"]  # where things are does not matter
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())
EPS32 = torch.finfo(torch.float32).eps


def features(shape, seed=0):
    return torch.tensor(draw(shape, seed))


def shuffled(Y, seed=0):
    order = np.random.default_rng(seed).permutation(Y[0, 0].numel())
    return Y.flatten(2)[..., order].reshape(Y.shape)


def matrix(Y):
    """Features (1, C, H, W) as an array (C, M)."""
    return Y[0].flatten(1).numpy()


def gradient(loss, X):
    X = X.detach().clone().requires_grad_()
    value = loss(X)
    value.backward()
    return value.detach(), X.grad


# --- moments


def test_moments_are_those_of_numpy():
    X, Y = features((1, 4, 3, 5)), 2 * features((1, 4, 2, 7), 1) + 1
    F, F_star = matrix(X), matrix(Y)
    expected = (F.mean(1) - F_star.mean(1)) ** 2 + (F.std(1) - F_star.std(1)) ** 2
    assert_near(compare_moments(Y)(X), expected.mean())


def test_moments_by_hand():
    Y = torch.tensor([[[[0.0, 2.0]], [[1.0, 1.0]]]]).double()  # means 1, 1; deviations 1, 0
    X = torch.tensor([[[[0.0, 6.0]], [[1.0, 5.0]]]]).double()  # means 3, 3; deviations 3, 2
    assert_near(compare_moments(Y)(X), ((2**2 + 2**2) + (2**2 + 2**2)) / 2)


# --- Gaussians


def with_covariance(mu, A):
    """Features (1, C, 2, C') of the mean mu (C,) and exactly the covariance A A^T, A (C, C')."""
    C, columns = A.shape
    points = np.concatenate([A, -A], axis=1) * np.sqrt(columns)  # over 2 C' places
    return torch.tensor((mu[:, None] + points).reshape(1, C, 2, columns))


def rotation(C, seed):
    return np.linalg.qr(draw((C, C), seed))[0]


MU, MU_STAR = draw(4, 10), draw(4, 11)
SIGMA, SIGMA_STAR = np.array([0.5, 1.0, 2.0, 3.0]), np.array([1.5, 0.2, 2.0, 1.0])
APART = ((MU - MU_STAR) ** 2).sum()


def test_the_features_for_these_tests_have_the_covariance_asked_for():
    A = draw((4, 4))
    F = matrix(with_covariance(MU, A))
    assert_near(F.mean(1), MU)
    assert_near(np.cov(F, bias=True), A @ A.T)


@pytest.mark.parametrize("axes", [np.eye(4), rotation(4, 1)], ids=["diagonal", "rotated"])
def test_gaussians_along_the_same_axes_differ_by_their_standard_deviations(axes):
    X, Y = (with_covariance(mu, axes * s) for mu, s in [(MU, SIGMA), (MU_STAR, SIGMA_STAR)])
    expected = APART + ((SIGMA - SIGMA_STAR) ** 2).sum()
    assert_near(compare_gaussians(Y, eps=0)(X), expected / 4)


def test_two_channels_have_a_closed_form():
    # the eigenvalues a, b of a 2 x 2 matrix: (sqrt a + sqrt b)^2 = trace + 2 sqrt(determinant)
    A, B = draw((2, 2), 1), draw((2, 2), 2)
    S, T = A @ A.T, B @ B.T
    cross = np.sqrt(np.trace(S @ T) + 2 * np.sqrt(np.linalg.det(S) * np.linalg.det(T)))
    expected = ((MU - MU_STAR)[:2] ** 2).sum() + np.trace(S + T) - 2 * cross
    found = compare_gaussians(with_covariance(MU_STAR[:2], B), eps=0)(
        with_covariance(MU[:2], A)
    )
    assert_near(found, expected / 2)


@pytest.mark.parametrize("eps", [0.0, 1e-4, 0.3])
def test_gaussians_are_those_of_scipys_matrix_square_root(eps):
    A, B = draw((4, 4), 1), draw((4, 4), 2)
    blur = eps * np.trace(B @ B.T) / 4 * np.eye(4)
    S, T = A @ A.T + blur, B @ B.T + blur
    root = sqrtm(T)
    expected = APART + np.trace(S + T - 2 * np.real(sqrtm(root @ S @ root)))
    found = compare_gaussians(with_covariance(MU_STAR, B), eps=eps)(with_covariance(MU, A))
    assert_near(found, expected / 4, 1e-9)


def test_of_singular_covariances_eps_blurs_the_difference():
    s, s_star = np.array([2.0, 0.0, 1.0, 0.0]), np.array([0.0, 3.0, 1.0, 0.0])
    axes, eps = rotation(4, 3), 1e-3
    X, Y = with_covariance(MU, axes * s), with_covariance(MU_STAR, axes * s_star)
    more = eps * (s_star**2).mean()
    expected = APART + ((np.sqrt(s**2 + more) - np.sqrt(s_star**2 + more)) ** 2).sum()
    assert_near(compare_gaussians(Y, eps=eps)(X), expected / 4)
    # without eps: noise of 1e-16 in a variance of 0 is 1e-8 in its root
    assert_near(compare_gaussians(Y, eps=0)(X), (APART + ((s - s_star) ** 2).sum()) / 4, 1e-6)


def test_the_default_eps_hardly_changes_the_distance():
    X, Y = features((1, 4, 5, 6)), 2 * features((1, 4, 5, 6), 1)
    exact = compare_gaussians(Y, eps=0)(X)
    assert abs(compare_gaussians(Y)(X) - exact) < 1e-3 * exact


def test_the_gradient_of_a_variance_alone_is_that_of_the_closed_form():
    # one channel: W^2 = (mu - mu*)^2 + (s - s*)^2, and ds/dx = (x - mu) / (M s)
    X, Y = features((1, 1, 3, 4)), 2 * features((1, 1, 2, 4), 1) + 1
    F, F_star = matrix(X)[0], matrix(Y)[0]
    change = 2 * (F.mean() - F_star.mean()) + 2 * (F.std() - F_star.std()) * (
        (F - F.mean()) / F.std()
    )
    found = gradient(compare_gaussians(Y, eps=0), X)[1]
    assert_near(found.flatten(), change / F.size)


def test_float32_is_near_float64_where_covariances_are_singular():
    # 12 places, 40 channels, of scales from 1 to 0.01: the variances of both are mostly 0
    scale = torch.logspace(0, -2, 40).double()[:, None, None]
    X, Y = scale * features((1, 40, 3, 4)), scale * features((1, 40, 3, 4), 1)
    value, change = gradient(compare_gaussians(Y), X)
    value32, change32 = gradient(compare_gaussians(Y.float()), X.float())
    # Entries of S err by a few eps * tr(S), a variance of eps / 1e-4 of its own at most
    assert abs(value32 - value) < 1e-3 * value
    assert (change32 - change).norm() < 1e-2 * change.norm()


# --- transport in one dimension


def interpolated(values, count):
    ranks = (np.arange(len(values)) + 0.5) / len(values)
    return np.interp((np.arange(count) + 0.5) / count, ranks, np.sort(values))


SIZES = [(3, 5), (2, 3), (7, 9), (1, 1)]  # of the target, as many places, fewer, more, one


@pytest.mark.parametrize("size", SIZES)
def test_histograms_are_sorted_channels(size):
    X, Y = features((1, 4, 3, 5)), features((1, 4, *size), 1)
    pairs = zip(matrix(X), matrix(Y), strict=True)
    expected = [(np.sort(f) - interpolated(g, 15)) ** 2 for f, g in pairs]
    assert_near(compare_histograms(Y)(X), np.mean(expected))


@pytest.mark.parametrize("size", SIZES)
def test_sliced_is_sorted_projections(size):
    X, Y = features((1, 4, 3, 5)), features((1, 4, *size), 1)
    V = unit_directions(6, 4, seed=3).numpy()
    pairs = zip(V @ matrix(X), V @ matrix(Y), strict=True)
    expected = [(np.sort(f) - interpolated(g, 15)) ** 2 for f, g in pairs]
    assert_near(compare_sliced(Y, directions=6, seed=3)(X), np.mean(expected))


def test_directions_lie_evenly_on_the_unit_sphere_and_come_from_the_seed():
    V = unit_directions(4000, 3, seed=0)
    assert_near(V.norm(dim=1), np.ones(4000))
    # the mean of v v^T is I / C; the deviation of its entries over draws is below 1 / 2 each
    assert np.abs(V.T @ V / 4000 - np.eye(3) / 3).max() < 6 * 0.5 / np.sqrt(4000)
    assert torch.equal(V, unit_directions(4000, 3, seed=0))
    assert not torch.equal(V, unit_directions(4000, 3, seed=1))


def test_of_one_channel_all_directions_are_its_histogram():
    X, Y = features((1, 1, 3, 5)), features((1, 1, 4, 4), 1)
    assert_near(compare_sliced(Y)(X), compare_histograms(Y)(X).item())


def way_along(X, Y, V):
    """What the best transport of all features, (C, M) to (C, M), costs along directions V."""
    costs = ((X[:, :, None] - Y[:, None, :]) ** 2).sum(0)
    rows, columns = linear_sum_assignment(costs)
    return ((V @ (X[:, rows] - Y[:, columns])) ** 2).mean(), costs[rows, columns].mean()


def test_each_slice_finds_a_way_as_short_as_the_best_way_of_all_seen_along_it():
    X, Y = features((1, 4, 3, 5)), features((1, 4, 3, 5), 1)
    V = unit_directions(64, 4, seed=0).numpy()
    along, _ = way_along(matrix(X), matrix(Y), V)
    assert compare_sliced(Y)(X) < along
    # along the axes, each way is seen as 1 / C of its square
    along, whole = way_along(matrix(X), matrix(Y), np.eye(4))
    assert_near(along, whole / 4)
    assert compare_histograms(Y)(X) < along
    assert compare_moments(Y)(X) <= compare_gaussians(Y, eps=0)(X) <= whole / 4


@pytest.mark.parametrize(("factor", "shift"), [(1.0, 2.0), (3.0, 0.0), (0.5, -1.0)])
def test_shifted_and_scaled_features_have_no_shorter_way(factor, shift):
    Y = features((1, 4, 3, 5))
    X = factor * Y + shift * torch.tensor([1.0, -1, 0, 2]).double()[:, None, None]
    along, whole = way_along(matrix(X), matrix(Y), unit_directions(64, 4, seed=0).numpy())
    assert_near(compare_sliced(Y)(X), along)
    assert_near(compare_histograms(Y)(X), whole / 4)
    assert_near(compare_gaussians(Y, eps=0)(X), whole / 4)


def test_over_many_directions_a_shift_is_seen_as_its_square_over_the_channels():
    Y = features((1, 5, 3, 4))
    shift = torch.tensor(draw(5, 1))[:, None, None]
    square, K = float(shift.square().sum()), 4000
    # (v . d)^2 has the mean |d|^2 / C and the variance |d|^4 2 (C - 1) / (C^2 (C + 2))
    deviation = square * np.sqrt(2 * 4 / (25 * 7) / K)
    assert abs(compare_sliced(Y, directions=K)(Y + shift) - square / 5) < 6 * deviation


# --- patches


def windows(Y, size, stride):
    """The patches of features (C, H, W), flat; the last of a row or column at the border."""
    starts = [sorted({*range(0, side - size + 1, stride), side - size}) for side in Y.shape[1:]]
    return [Y[:, i : i + size, j : j + size].ravel() for i in starts[0] for j in starts[1]]


def loop_patches(X, Y, size, stride):
    errors = []
    for mine in windows(X[0].numpy(), size, stride):
        best, error = -np.inf, None
        for theirs in windows(Y[0].numpy(), size, stride):
            alike = mine @ theirs / np.linalg.norm(mine) / np.linalg.norm(theirs)
            if alike > best:
                best, error = alike, ((mine - theirs) ** 2).mean()
        errors.append(error)
    return np.mean(errors)


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (3, 1), (3, 3), (2, 1), (1, 1), (4, 3)])
def test_patches_are_those_of_loops(size, stride):
    X, Y = features((1, 2, 6, 7)), features((1, 2, 5, 8), 1)
    found = compare_patches(Y, size=size, stride=stride)(X)
    assert_near(found, loop_patches(X, Y, size, stride))


def test_by_default_patches_are_3_x_3_and_each_place_is_in_one():
    X, Y = features((1, 2, 6, 8)), features((1, 2, 5, 7), 1)
    assert_near(compare_patches(Y)(X), loop_patches(X, Y, 3, 2))
    assert (gradient(compare_patches(Y), X)[1] != 0).all()


def test_a_patch_is_matched_by_its_angle_not_by_its_distance():
    Y = torch.tensor([[5.0, 0.0], [0.0, 1.0]]).double()[None, :, None]  # (5, 0) and (0, 1)
    X = torch.tensor([[1.0], [0.125]]).double()[None, :, None]  # nearer to (0, 1)
    assert_near(compare_patches(Y, size=1, stride=1)(X), ((1 - 5) ** 2 + 0.125**2) / 2)


def test_patches_of_another_order_are_other_patches():
    Y = features((1, 3, 6, 6))
    assert compare_patches(Y)(Y) == 0
    assert compare_patches(Y)(shuffled(Y)) > 0.1
    assert compare_patches(Y, size=1, stride=1)(shuffled(Y)) == 0  # single places have none


def test_an_empty_patch_counts_as_the_targets_do_on_average():
    Y = features((1, 2, 5, 5))
    patches = np.array(windows(Y[0].numpy(), 3, 2))
    value, change = gradient(compare_patches(Y), torch.zeros_like(Y))
    assert_near(value, (patches**2).mean())
    assert (change == 0).all()


# --- places


def loop_places(F, F_star):
    def far(u, v):
        if not u.any() or not v.any():
            return float(u.any() or v.any())
        return 1 - u @ v / np.linalg.norm(u) / np.linalg.norm(v)

    table = [[far(u, v) for v in F_star.T] for u in F.T]
    return max(
        np.mean([min(row) for row in table]),
        np.mean([min(row) for row in zip(*table, strict=True)]),
    )


@pytest.mark.parametrize("one", [False, True])
def test_places_are_those_of_loops(one):
    X, Y = features((1, 3, 4, 5)), features((1, 3, 3, 3), 1)
    if one:  # all places of the picture are near to the target's, but not the other way round
        X = X[:, :, :1, :1].expand(1, 3, 2, 2)
    assert_near(compare_places(Y)(X), loop_places(matrix(X), matrix(Y)))
    assert_near(compare_places(X)(Y), loop_places(matrix(X), matrix(Y)))


def test_empty_places_are_near_to_each_other_alone():
    X, Y = features((1, 3, 4, 5)), features((1, 3, 3, 3), 1)
    X[..., :2, :], Y[..., :2, :2] = 0, 0
    assert_near(compare_places(Y)(X), loop_places(matrix(X), matrix(Y)))
    _, change = gradient(compare_places(Y), X)
    assert change.isfinite().all()
    assert (change[..., :2, :] == 0).all()
    assert compare_places(Y)(Y) == 0


def test_empty_places_alone_are_as_far_as_can_be_and_stay_where_they_are():
    Y = features((1, 3, 3, 3), 1)
    value, change = gradient(compare_places(Y), torch.zeros(1, 3, 4, 5).double())
    assert_near(value, 1.0)
    assert (change == 0).all()


def test_the_length_of_features_does_not_matter_to_places():
    X, Y = features((1, 3, 4, 5)), features((1, 3, 3, 3), 1)
    assert_near(compare_places(Y)(7 * X), compare_places(Y)(X).item())
    assert_near(compare_places(7 * Y)(X), compare_places(Y)(X).item())
    assert compare_places(Y)(7 * Y) < 1e-30


def test_of_more_places_some_are_compared():
    X, Y = features((1, 3, 6, 7)), features((1, 3, 5, 5), 1)
    F, F_star = (matrix(Z)[:, some_of(Z[0, 0].numel(), 11, 4).numpy()] for Z in (X, Y))
    found = compare_places(Y, places=11, seed=4)
    assert_near(found(X), loop_places(F, F_star))
    assert found(X) == found(X)
    assert found(X) != compare_places(Y, places=11, seed=5)(X)
    change = gradient(found, X)[1].flatten(2)
    assert change.abs().max() > 0
    change[..., some_of(42, 11, 4)] = 0
    assert (change == 0).all()


@pytest.mark.parametrize(("count", "most"), [(100, 7), (100, 99), (135_000, 1024), (8, 8)])
def test_some_are_one_of_each_even_stretch(count, most):
    chosen = some_of(count, most, seed=0).numpy()
    edges = [i * count // most for i in range(most + 1)]
    assert len(chosen) == most
    assert all(
        low <= one < high for one, low, high in zip(chosen, edges[:-1], edges[1:], strict=True)
    )
    assert np.array_equal(chosen, some_of(count, most, seed=0))


def test_of_no_more_places_than_asked_for_all_are_compared():
    assert some_of(6, 7, seed=0).tolist() == [0, 1, 2, 3, 4, 5]


# --- what nearest neighbors take in memory


class Sizes(TorchFunctionMode):
    """Notes the size of every tensor that a function of PyTorch returns, and of each product."""

    def __init__(self):
        super().__init__()
        self.all, self.products = [], []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if isinstance(found, torch.Tensor):
            self.all.append(found.numel())
            if "matmul" in func.__name__:
                self.products.append(found.numel())
        return found


@pytest.mark.parametrize("loss", [partial(compare_patches, stride=1), compare_places])
def test_the_table_of_correlations_is_never_whole(loss, monkeypatch):
    X, Y = features((1, 2, 12, 14)), features((1, 2, 11, 13), 1)
    largest = 2 * 3**2 * 10 * 12  # all patches; their table would be 10 * 12 x 9 * 11
    whole = gradient(loss(Y), X)
    for table in (1000, 1):  # one row is the least that can be had at a time
        monkeypatch.setattr(statistics, "LARGEST_TABLE", table)
        with Sizes() as seen:
            value, change = gradient(loss(Y), X)
        assert len(seen.products) > 5
        assert max(seen.products) <= max(table, 12 * 14)
        assert max(seen.all) <= largest
        assert_near(value, whole[0].item())
        assert_near(change, whole[1].numpy())


# --- what holds of them all


@every_loss
@pytest.mark.parametrize("N", [1, 2])
def test_the_gradient_is_that_of_differences(loss, N):
    X, Y = features((N, 3, 4, 5)), features((1, 3, 3, 4), 1)
    assert torch.autograd.gradcheck(loss(Y), X.requires_grad_())


@every_loss
def test_the_gradient_of_relative_losses_likewise(loss):
    X, Y = features((1, 3, 3, 4)), features((1, 3, 4, 5), 1)
    assert torch.autograd.gradcheck(relative(loss)(Y), X.requires_grad_())


@pytest.mark.parametrize("places", [(2, 2), (1, 3), (1, 1)])
def test_the_gradient_of_singular_covariances_likewise(places):
    X, Y = features((1, 6, *places)), features((1, 6, 2, 2), 1)
    assert torch.autograd.gradcheck(compare_gaussians(Y, eps=0.01), X.requires_grad_())


@every_loss
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_targets_own_features_have_no_loss_and_others_have(loss, dtype):
    Y = features((1, 3, 6, 7)).to(dtype)
    value, change = gradient(loss(Y), Y.clone())
    assert 0 <= value < 1e-13
    assert change.abs().max() < 1e-6
    assert loss(Y)(features((1, 3, 6, 7), 1).to(dtype)) > 1e-3


@pytest.mark.parametrize("name", UNORDERED)
def test_where_features_are_does_not_matter(name):
    X, Y = features((1, 3, 6, 7), 1), features((1, 3, 6, 7))
    loss = LOSSES[name](Y)
    assert loss(shuffled(Y)) < 1e-13
    assert_near(loss(shuffled(X)), loss(X).item())
    assert compare_grams(Y)(shuffled(Y)) < 1e-13


@pytest.mark.parametrize("name", SHIFTED)
def test_the_farther_a_channel_is_shifted_the_greater_the_loss(name):
    Y = features((1, 3, 6, 7))
    shift = torch.tensor([0.0, 1.0, 0.0]).double()[:, None, None]
    found = [LOSSES[name](Y)(Y + far * shift).item() for far in (0, 0.1, 0.5, 1, 2, -4)]
    assert found == sorted(found)
    assert_near(np.array(found[1:]) / found[3], [0.01, 0.25, 1, 4, 16], 1e-9)
    if name != "sliced":
        assert_near(found[3], 1 / 3)


@every_loss
def test_of_several_pictures_it_is_the_mean(loss):
    X, Y = features((2, 3, 5, 6)), features((1, 3, 4, 7), 1)
    apart = [gradient(loss(Y), one[None]) for one in X]
    value, change = gradient(loss(Y), X)
    assert value.shape == ()
    assert_near(value, (apart[0][0] + apart[1][0]).item() / 2)
    assert_near(change, torch.cat([apart[0][1], apart[1][1]]).numpy() / 2)


@every_loss
def test_no_gradient_flows_into_the_target(loss):
    X, Y = (features((1, 3, 5, 6), seed).requires_grad_() for seed in (0, 1))
    loss(Y)(X).backward()
    assert Y.grad is None
    assert X.grad.abs().max() > 0


@every_loss
def test_memory_order_does_not_matter(loss):
    X, Y = features((2, 3, 5, 6)), features((1, 3, 4, 7), 1)
    last = [Z.contiguous(memory_format=torch.channels_last) for Z in (X, Y)]
    value, change = gradient(loss(Y), X)
    other, other_change = gradient(loss(last[1]), last[0])
    assert_near(other, value.item())
    assert_near(other_change, change.numpy())


@every_loss
def test_it_comes_in_the_targets_dtype_but_never_below_float32(loss):
    X, Y = features((1, 3, 5, 6)).bfloat16(), features((1, 3, 4, 7), 1).bfloat16()
    exact = loss(Y.double())(X.double())
    assert exact.dtype == torch.float64
    for x, y in [(X, Y), (X.float(), Y.float()), (X.double(), Y.float()), (X.float(), Y)]:
        found = loss(y)(x)
        assert found.dtype == torch.float32
        # sums of 28 numbers of about 1, in the same order of sizes as the result
        assert found.double() == pytest.approx(exact.item(), rel=100 * EPS32)


@every_loss
def test_nothing_of_it_is_left_on_the_processor(loss):
    # "meta" computes shapes, not numbers, and refuses tensors of two devices
    X, Y = (features((1, 3, 5, 6), seed).to("meta") for seed in (0, 1))
    value, change = gradient(loss(Y), X)
    assert value.device.type == "meta"
    assert change.shape == X.shape


CONSTANT = torch.full((1, 12, 3, 3), 0.3)
FEW = {  # features of 9 places and 12 channels
    "singular": features((1, 12, 3, 3)).float(),
    "constant": CONSTANT,
    "zero": torch.zeros_like(CONSTANT),
    "tiny": features((1, 12, 3, 3), 2).float() * 1e-12,
    "silent": features((1, 12, 3, 3), 3).float().relu() * torch.eye(12)[0][:, None, None],
}


@every_loss
@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("other", FEW)
def test_singular_and_constant_features_have_finite_losses_and_gradients(loss, name, other):
    value, change = gradient(loss(FEW[other]), FEW[name])
    assert value.isfinite()
    assert value >= 0
    assert change.isfinite().all()
    if name != other and "tiny" not in (name, other):
        assert value > 1e-3


@every_loss
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_has_diverged_is_told_by_the_loss(loss, wrong):
    X, Y = features((1, 3, 5, 6)).float(), features((1, 3, 4, 7), 1).float()
    X[:, :, :2] = wrong
    assert not loss(Y)(X).isfinite()


@every_loss
def test_adam_makes_it_smaller(loss):
    Y, X = features((1, 4, 8, 9)).relu(), features((1, 4, 7, 8), 1).requires_grad_()
    compare, adam, values = loss(Y), torch.optim.Adam([X], lr=0.05), []
    for _ in range(10):
        adam.zero_grad()
        values.append(compare(X))
        values[-1].backward()
        adam.step()
    assert compare(X) < 0.9 * values[0]


# --- relative


@every_loss
def test_relative_to_its_size_no_features_have_a_loss_of_1(loss):
    X, Y = features((1, 3, 5, 6)), features((1, 3, 4, 7), 1)
    found = relative(loss)(Y)
    assert_near(found(torch.zeros_like(Y)), 1.0)
    assert_near(found(X), (loss(Y)(X) / loss(Y)(torch.zeros_like(Y))).item())


@pytest.mark.parametrize("name", [*SHIFTED, "patches"])
def test_relative_losses_do_not_depend_on_units(name):
    X, Y = features((1, 3, 5, 6)), features((1, 3, 4, 7), 1)
    assert_near(
        relative(LOSSES[name])(50 * Y)(50 * X), relative(LOSSES[name])(Y)(X).item(), 1e-9
    )


def test_the_relative_loss_of_gram_matrices_is_that_of_texture_synthesis():
    X, Y = features((1, 3, 5, 6)), features((1, 3, 4, 7), 1)
    G, A = gram(X), gram(Y)
    expected = ((G - A) ** 2).sum() / (A**2).sum()
    assert_near(relative(compare_grams)(Y)(X), expected.item())


@pytest.mark.parametrize("loss", [*LOSSES.values(), compare_grams])
def test_relative_to_nothing_is_refused(loss):
    with pytest.raises(InputError, match="the features of the target are all 0 at this layer"):
        relative(loss)(torch.zeros(1, 3, 4, 5))


# --- arguments


@every_loss
def test_features_are_checked(loss):
    Y = features((1, 3, 5, 6))
    with pytest.raises(InputError, match=re.escape("(1, C, H, W), not (2, 3, 5, 6)")):
        loss(features((2, 3, 5, 6)))
    with pytest.raises(InputError, match=re.escape("(N, C, H, W), none of them 0, not (3, 5)")):
        loss(features((3, 5)))
    with pytest.raises(InputError, match=re.escape("(N, C, H, W), none of them 0, not (3, 5)")):
        loss(Y)(features((3, 5)))
    with pytest.raises(InputError, match="Y_hat has 4 channels and the target 3; both must"):
        loss(Y)(features((1, 4, 5, 6)))


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (compare_gaussians, {"eps": -1}, "eps must be a finite number of at least 0, not -1"),
        (compare_gaussians, {"eps": "1"}, "eps must be a finite number of at least 0, not '1'"),
        (
            compare_sliced,
            {"directions": 0},
            "directions must be a whole number, 1 or more, not 0",
        ),
        (
            compare_sliced,
            {"seed": -1},
            "seed must be a whole number from 0 to 2**63 - 1, not -1",
        ),
        (compare_patches, {"size": 0}, "size must be a whole number, 1 or more, not 0"),
        (compare_patches, {"stride": 4}, "stride must be a whole number, from 1 to 3, not 4"),
        (compare_patches, {"size": 6}, "patches of 6 x 6 need features of 6 x 6 or more, not"),
        (compare_places, {"places": 2.5}, "places must be a whole number, 1 or more, not 2.5"),
        (
            compare_places,
            {"seed": 0.5},
            "seed must be a whole number from 0 to 2**63 - 1, not 0.5",
        ),
    ],
)
def test_options_are_checked(loss, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        loss(features((1, 3, 5, 6)), **options)


def test_a_picture_that_is_smaller_than_a_patch_is_refused():
    loss = compare_patches(features((1, 3, 5, 6)))
    message = "patches of 3 x 3 need features of 3 x 3 or more, not 4 x 2; use a larger"
    with pytest.raises(InputError, match=message):
        loss(features((1, 3, 4, 2)))


# --- in a recipe


@pytest.mark.parametrize("loss", [*LOSSES.values(), relative(partial(compare_sliced, seed=1))])
def test_a_recipe_takes_them(loss, net, photo):
    # relu5_1 sees 2 x 3 places of such a picture, fewer than a patch has
    where = {"content_layers": ["relu2_1"], "style_layers": ["relu1_1", "relu3_1"]}
    recipe = replace(RECIPES["d2l"], style_loss=loss, precision="float32", **where)
    result = transfer(
        photo, samples.load("mosaic"), recipe=recipe, image_shape=32, steps=3, net=net
    )
    assert result.image.size == (48, 32)
    assert len(result.history) == 3
    assert all(0 < record.losses["style"] < np.inf for record in result.history)
