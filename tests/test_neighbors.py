"""Nearest neighbors and colors, against loops and closed forms."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from toys import noise

from stylelib import (
    RECIPES,
    InputError,
    NetworkFeatures,
    match_colors,
    optimize,
    samples,
    transfer,
    vgg19,
)
from stylelib.beyond import statistics
from stylelib.beyond.measures import color_distance
from stylelib.beyond.neighbors import (
    HYPERCOLUMN_LAYERS,
    NEIGHBORS,
    PyramidAdam,
    bands_of,
    collapse,
    hypercolumns,
    nearest,
)
from stylelib.control.styles import Painting, Wanted

RECIPE = RECIPES["neighbors"]


def draw(*shape, seed=0):
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )


@pytest.fixture(scope="module")
def net():
    return vgg19(layers=HYPERCOLUMN_LAYERS)


# --- hypercolumns and their neighbors


def test_a_hypercolumn_has_all_layers_each_over_the_root_of_its_channels():
    features = [draw(1, 4, 6, 8), draw(1, 9, 3, 4, seed=1)]
    columns = hypercolumns(features, (3, 4))
    assert columns.shape == (13, 12)
    np.testing.assert_allclose(columns[4:].reshape(9, 3, 4), features[1][0] / 3, atol=1e-15)
    halves = features[0][0].reshape(4, 3, 2, 4, 2).mean(dim=(2, 4)) / 2
    np.testing.assert_allclose(columns[:4].reshape(4, 3, 4), halves, atol=1e-14)


@pytest.mark.parametrize("table", [1, 40, 10**6])
def test_neighbors_are_those_of_a_loop(monkeypatch, table):
    monkeypatch.setattr(statistics, "LARGEST_TABLE", table)
    a, b = draw(5, 23) + 3, draw(5, 17, seed=1) + 2
    centered = [each.numpy() - each.numpy().mean(axis=1, keepdims=True) for each in (a, b)]
    expected = []
    for i in range(23):
        x = centered[0][:, i]
        cosines = [
            x @ centered[1][:, k] / np.linalg.norm(x) / np.linalg.norm(centered[1][:, k])
            for k in range(17)
        ]
        expected.append(int(np.argmax(cosines)))
    assert nearest(a, b).tolist() == expected


def test_every_column_is_its_own_neighbor():
    a = draw(7, 30)
    assert nearest(a, a).tolist() == list(range(30))


# --- the pyramid


@pytest.mark.parametrize("shape", [(16, 24), (15, 23), (3, 2), (1, 1)])
@pytest.mark.parametrize("levels", [0, 1, 5])
def test_the_bands_add_up_to_the_picture(shape, levels):
    X = draw(1, 3, *shape)
    bands = bands_of(X, levels)
    assert len(bands) == levels + 1
    torch.testing.assert_close(collapse(bands), X, rtol=0, atol=1e-13)


def towards(goal):
    return lambda X: {"distance": (X - goal).square().sum()}


def test_without_levels_it_is_adam():
    goal, pictures = draw(1, 3, 5, 6, seed=1), []
    for make in (lambda X: PyramidAdam(X, 0.1, 0), lambda X: torch.optim.Adam([X], lr=0.1)):
        X = draw(1, 3, 5, 6).requires_grad_()
        pictures.append(optimize(X, towards(goal), make(X), steps=9).picture)
    torch.testing.assert_close(*pictures, rtol=0, atol=1e-13)


def test_with_levels_a_whole_picture_moves_faster():
    """All bands move a pixel that all of them want to move."""
    moved = []
    for levels in (0, 3):
        X = torch.zeros(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
        goal = torch.ones(1, 3, 16, 16, dtype=torch.float64)
        made = optimize(X, towards(goal), PyramidAdam(X, 0.01, levels), steps=3)
        moved.append(float(made.picture.mean()))
    assert moved[0] == pytest.approx(0.03, rel=1e-3)
    assert moved[1] == pytest.approx(0.12, rel=1e-2)


# --- colors


def mean_and_covariance(X):
    x = X[0].flatten(1).double().numpy()
    return x.mean(axis=1), np.cov(x, ddof=0)


def test_matched_colors_have_the_mean_and_covariance_of_the_other_picture():
    X, like = 0.2 * draw(1, 3, 9, 8) + 0.4, draw(1, 3, 5, 6, seed=1)
    like[:, 1] += 0.7 * like[:, 0]
    for found, expected in zip(
        mean_and_covariance(match_colors(X, like)), mean_and_covariance(like), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)  # LEAST_VARIANCE


def test_of_independent_colors_each_is_scaled_by_itself():
    X = torch.zeros(1, 3, 2, 4, dtype=torch.float64)
    for channel, signs in enumerate([(1, 1, 1, 1), (1, 1, -1, -1), (1, -1, 1, -1)]):
        row = torch.tensor(signs, dtype=torch.float64)
        X[0, channel] = torch.stack([row, -row])
    like = X * torch.tensor([2.0, 0.5, 3.0]).view(3, 1, 1) + 1
    torch.testing.assert_close(match_colors(X, like), like, rtol=0, atol=1e-5)


def test_a_picture_like_itself_and_a_gray_one_stay_finite():
    X = draw(1, 3, 5, 6)
    torch.testing.assert_close(match_colors(X, X), X, rtol=0, atol=1e-5)
    gray = torch.full((1, 3, 4, 4), 0.5)
    assert torch.isfinite(match_colors(gray, X.float())).all()


@pytest.mark.parametrize("shape", [(3, 4, 4), (2, 3, 4, 4), (1, 1, 4, 4)])
def test_what_is_no_picture_has_no_colors(shape):
    with pytest.raises(InputError, match=r"like has the shape \(1, 3, H, W\), not"):
        match_colors(draw(1, 3, 4, 4), draw(*shape))


# --- the recipe


def run(net, photo, **changes):
    settings = {"image_shape": (64, 80), "steps": 16, "net": net}
    recipe = replace(RECIPE, precision="float32", **changes)
    return transfer(photo, samples.load("mosaic"), recipe=recipe, **settings)


def test_a_photograph_that_is_its_own_painting_is_already_painted(net, photo):
    recipe = replace(RECIPE, precision="float32", turns=1, strength=0.0)
    settings = {"image_shape": (64, 96), "scales": 1, "steps": 2, "net": net}
    itself = transfer(photo, photo, recipe=recipe, **settings)
    other = transfer(photo, samples.load("mosaic"), recipe=recipe, **settings)
    assert itself.history[0].loss < 1e-5
    assert other.history[0].loss > 0.1


@pytest.mark.parametrize(
    "changes",
    [{}, {"turns": 1}, {"strength": 1.0}, {"strength": 0.0}, {"last_pass": True}],
    ids=str,
)
def test_it_lowers_its_loss_and_has_the_colors_of_the_painting(net, photo, changes):
    result = run(net, photo, **changes)
    sizes = 3 if "last_pass" in changes else 2
    ends = [16 * i // sizes for i in range(sizes + 1)]
    for first, end in pairwise(ends):
        assert result.history[end - 1].loss < result.history[first].loss
    painting = samples.load("mosaic").resize((80, 64))
    # before it is cut to the visible range the distance is 0
    assert color_distance(result.image, painting).total < 0.06
    free = run(net, photo, **changes, colors=False)
    assert (
        color_distance(free.image, painting).total
        > color_distance(result.image, painting).total
    )


def test_turned_paintings_are_candidates_too(net, photo):
    losses = [run(net, photo, turns=turns).history[0].loss for turns in (1, 4)]
    assert losses[1] < losses[0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strength": 1.5}, "strength must be a finite number of at least 0 and at most 1"),
        ({"strength": float("nan")}, "strength"),
        ({"turns": 2}, "turns must be 1 or 4, not 2"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        replace(RECIPE, **changes)


def test_columns_and_losses_are_float32_whatever_the_network_computes_in(net, needs_bfloat16):
    X = noise((1, 3, 64, 96), 0)
    narrow = NetworkFeatures(net, "bfloat16", widen=False)
    assert hypercolumns(narrow(X, ["relu1_1", "relu2_1"]), (4, 6)).dtype == torch.float32
    wanted = Wanted(X, [Painting(noise((1, 3, 64, 64), 1))])
    objective = NEIGHBORS.objective(wanted, X, narrow, NetworkFeatures(net), last=True)
    assert objective(X)["neighbors"].dtype == torch.float32
