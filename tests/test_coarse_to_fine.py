"""L-BFGS without a line search, in float64 against a matrix; and the recipe that uses it."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from stylelib import RECIPES, BacktrackingLBFGS, optimize, samples, transfer
from stylelib.pyramid import ladder, sizes

SIZE = (1, 3, 2, 2)
generator = torch.Generator().manual_seed(0)
AXES, _ = torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))
HESSIAN = AXES @ torch.logspace(0, 2, 12, dtype=torch.float64).diag() @ AXES.T
START = torch.randn(12, generator=generator, dtype=torch.float64).reshape(SIZE)


class Valley:
    """x H x / 2, and the pictures it was asked about."""

    def __init__(self):
        self.pictures = []

    def __call__(self, X):
        self.pictures.append(X.detach().clone())
        x = X.flatten()
        return {"valley": x @ HESSIAN @ x / 2}


def run(objective, steps=100, **settings):
    X = START.clone().requires_grad_()
    return optimize(X, objective, BacktrackingLBFGS(X, **settings), steps=steps)


def test_it_finds_the_bottom_of_a_valley():
    valley = Valley()
    made = run(valley, max_evaluations=60)
    assert valley(made.picture)["valley"] < 1e-10 * valley(START)["valley"]


def test_the_first_step_moves_a_pixel_by_a_twentieth_on_average():
    made = run(Valley(), steps=1)
    gradient = (HESSIAN @ START.flatten()).reshape(SIZE)
    expected = START - 0.05 * gradient / gradient.abs().mean()
    torch.testing.assert_close(made.picture, expected, rtol=0, atol=1e-12)


def test_directions_are_those_of_the_matrix_that_bfgs_builds():
    """The two-loop recursion against the update of the inverse Hessian, written out."""
    X = START.clone().requires_grad_()
    optimizer = BacktrackingLBFGS(X)
    optimize(X, Valley(), optimizer, steps=5)
    steps, changes = (
        [each.flatten().numpy() for each in optimizer.state[X][name]]
        for name in ("steps", "changes")
    )
    assert len(steps) == 5
    s, y = steps[-1], changes[-1]
    H = np.eye(12) * (s @ y) / (y @ y)
    for s, y in zip(steps, changes, strict=True):
        rho = 1 / (s @ y)
        V = np.eye(12) - rho * np.outer(y, s)
        H = V.T @ H @ V + rho * np.outer(s, s)
    gradient = optimizer.state[X]["gradient"]
    direction = optimizer.direction(gradient).flatten().numpy()
    np.testing.assert_allclose(direction, H @ gradient.flatten().numpy(), rtol=0, atol=1e-12)


def test_it_keeps_only_so_many_pairs():
    X = START.clone().requires_grad_()
    optimizer = BacktrackingLBFGS(X, memory=3)
    optimize(X, Valley(), optimizer, steps=7)
    assert len(optimizer.state[X]["steps"]) == len(optimizer.state[X]["changes"]) == 3


@pytest.mark.parametrize("evaluations", [1, 2, 7])
def test_evaluations_are_counted_and_bounded(evaluations):
    valley = Valley()
    made = run(valley, max_evaluations=evaluations)
    assert len(valley.pictures) == evaluations
    assert made.history[-1].evaluations == evaluations


def test_a_step_is_made_shorter_where_the_loss_would_rise():
    """Told of a curvature a thousand times too small, it first goes far beyond the bottom."""
    pictures = []

    def bowl(X):
        pictures.append(X.detach().clone())
        return {"bowl": X.square().sum()}

    X = (0.1 * START).requires_grad_()
    optimizer = BacktrackingLBFGS(X)
    ones = torch.ones_like(START)
    optimizer.state[X].update(steps=[ones], changes=[1e-3 * ones])
    optimize(X, bowl, optimizer, steps=1)
    begin, *tried = pictures
    lengths = [float((picture - begin).norm()) for picture in tried]
    assert len(tried) > 1
    for longer, shorter in pairwise(lengths):
        assert shorter == pytest.approx(0.4 * longer)
    for picture in tried[:-1]:
        assert picture.square().sum() > 1.02 * begin.square().sum()
    assert tried[-1].square().sum() <= 1.02 * begin.square().sum()


def test_every_picture_it_tries_is_within_the_bounds():
    valley = Valley()
    low, high = torch.tensor(-0.3).double(), torch.tensor(0.2).double()
    X = START.clone().requires_grad_()
    optimizer = BacktrackingLBFGS(X, clamp=(low, high))
    optimize(X, valley, optimizer, steps=20, clamp=(low, high))
    for picture in valley.pictures:
        assert low <= picture.min()
        assert picture.max() <= high


def test_a_loss_rounded_to_three_digits_does_not_stop_it():
    """As in bfloat16. A line search would compare equal numbers and give up."""

    def rounded(X):
        exact = Valley()(X)["valley"]
        return {"valley": exact + (float(f"{float(exact.detach()):.2e}") - exact).detach()}

    made = run(rounded, max_evaluations=60)
    assert Valley()(made.picture)["valley"] < 1e-3 * Valley()(START)["valley"]


def test_without_curvature_nothing_is_remembered():
    X = START.clone().requires_grad_()
    optimizer = BacktrackingLBFGS(X)
    optimize(X, lambda X: {"plane": X.sum()}, optimizer, steps=3)
    assert optimizer.state[X]["steps"] == []


# --- the recipe


@pytest.mark.parametrize(
    ("side", "smallest", "expected"),
    [(300, 75, 5), (75, 75, 1), (40, 75, 1), (106, 75, 2), (768, 75, 8), (150, 75, 3)],
)
def test_sizes_are_a_factor_of_the_root_of_2_apart(side, smallest, expected):
    fractions = ladder(side, smallest)
    assert len(fractions) == expected
    assert fractions[-1] == 1
    for small, large in pairwise(fractions):
        assert large / small == pytest.approx(2**0.5)
    if side >= smallest:
        assert smallest / 2**0.25 <= side * fractions[0] <= smallest * 2**0.25
    assert sizes((side, 2 * side), fractions)[-1] == (side, 2 * side)


@pytest.mark.parametrize(("effort", "each"), [("draft", 25), ("normal", 60), ("best", 120)])
def test_effort_is_a_number_of_evaluations_at_each_size(net_of_the_paper, photo, effort, each):
    seen = []

    def stop(step):
        seen.append(step)
        return True

    settings = {"net": net_of_the_paper, "image_shape": (106, 110), "effort": effort}
    result = transfer(photo, samples.load("mosaic"), callback=stop, **settings)
    assert result.settings["steps"] == seen[0].of == 2 * each
    assert result.settings["effort"] == effort


@pytest.fixture(scope="module")
def net_of_the_paper():
    from stylelib import vgg19

    return vgg19(layers=["relu5_1"])


def test_the_default_recipe_begins_at_the_photograph_and_lowers_its_losses(
    net_of_the_paper, photo
):
    result = transfer(
        photo, samples.load("mosaic"), net=net_of_the_paper, image_shape=48, steps=15
    )
    first, last = result.history[0].losses, result.history[-1].losses
    assert result.settings["recipe"] == "coarse-to-fine"
    # targets are computed in float32, the picture's features perhaps in bfloat16
    assert first["content"] < 1e-3
    assert last["style"] < 0.5 * first["style"]


def test_weights_do_not_depend_on_the_units_of_the_network(photo):
    """A network whose features are ten times as large gives the same losses."""
    import copy

    from stylelib import vgg19

    net = vgg19(layers=["relu5_1"])
    tenfold = copy.deepcopy(net)
    tenfold[0].weight.data *= 10
    for layer in tenfold:
        if isinstance(layer, torch.nn.Conv2d):
            layer.bias.data *= 10
    losses = [
        transfer(
            photo,
            samples.load("mosaic"),
            recipe=replace(RECIPES["coarse-to-fine"], precision="float32"),
            net=each,
            image_shape=48,
            init="style",
            steps=1,
        )
        .history[0]
        .losses
        for each in (net, tenfold)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


def test_with_few_steps_there_are_fewer_sizes(net_of_the_paper, photo):
    """Each size needs an evaluation to look and one to move."""
    seen = []
    transfer(
        photo,
        samples.load("mosaic"),
        net=net_of_the_paper,
        image_shape=(110, 112),
        steps=3,
        callback=lambda step: seen.append(tuple(step.picture.shape[2:])),
    )
    assert set(seen) == {(110, 112)}


def test_a_small_painting_begins_where_it_has_features(net_of_the_paper, photo):
    seen = []
    transfer(
        photo,
        samples.load("mosaic"),
        net=net_of_the_paper,
        image_shape=(150, 150),
        style_shape=24,
        steps=6,
        callback=lambda step: seen.append(step.picture.shape[2]),
    )
    assert sorted(set(seen)) == [106, 150]


def test_a_try_that_is_refused_when_evaluations_run_out_is_not_returned():
    X = (0.1 * START).requires_grad_()
    optimizer = BacktrackingLBFGS(X, max_evaluations=2)
    ones = torch.ones_like(START)
    optimizer.state[X].update(steps=[ones], changes=[1e-3 * ones])  # far too long a step
    made = optimize(X, lambda X: {"bowl": X.square().sum()}, optimizer, steps=5)
    assert torch.equal(made.picture, 0.1 * START)
