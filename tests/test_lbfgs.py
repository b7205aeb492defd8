import contextlib
import dataclasses
import itertools
import math

import numpy as np
import pytest
import torch
from toys import draw, noise

from stylelib import (
    DivergenceError,
    Interrupted,
    LossWeights,
    extract_features,
    lbfgs,
    optimize,
    preprocess,
    samples,
    transfer,
    vgg19,
)
from stylelib.optimization import NoStepLeft

SHAPE = (1, 3, 4, 5)
CONTENT, STYLE = samples.load("chelsea"), samples.load("mosaic")


def picture(seed=0):
    return torch.tensor(draw(SHAPE, seed))


def start(seed=0):
    return picture(seed).requires_grad_()


def curvatures(condition):
    """From 1 to `condition`, evenly on a logarithmic scale, in no order."""
    values = np.geomspace(1.0, condition, 60)
    return torch.tensor(np.random.default_rng(9).permutation(values)).view(SHAPE)


class Bowl:
    """A quadratic, least at `target`, that remembers each picture it is asked about."""

    def __init__(self, condition=100.0, factor=1.0):
        self.a, self.target, self.factor = curvatures(condition), picture(1), factor
        self.pictures = []

    def value(self, X):
        return self.factor * 0.5 * (self.a * (X - self.target) ** 2).sum()

    def __call__(self, X):
        self.pictures.append(X.detach().clone())
        return {"bowl": self.value(X)}


class Valley(Bowl):
    """Rosenbrock's function of each pair of neighbors, least at 1."""

    def value(self, X):
        x = X.flatten()
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def descend(
    X, objective, *, steps, max_evaluations=None, clamp=None, keep_best=False, callback=None
):
    """The loop with L-BFGS; with `keep_best`, X ends as the best picture that was tried."""
    optimizer = lbfgs(X, max_evaluations=max_evaluations, clamp=clamp)
    result = optimize(X, objective, optimizer, steps=steps, clamp=clamp, callback=callback)
    if keep_best and optimizer.best is not None:
        X.data.copy_(optimizer.best)
        result = dataclasses.replace(result, picture=optimizer.best)
    return result


def descent_needs(bowl, X, error):
    """Steps of plain gradient descent at its best learning rate, in closed form."""
    lr = 2 / (bowl.a.max() + bowl.a.min())
    away, rate = (X - bowl.target).abs(), (1 - lr * bowl.a).abs()
    n = 1
    while (away * rate**n).max() > error:
        n *= 2
    return n // 2  # at least so many


def test_an_ill_conditioned_quadratic_is_solved():
    bowl, X = Bowl(100.0), start()
    result = descend(X, bowl, steps=1000, max_evaluations=1000)
    torch.testing.assert_close(result.picture, bowl.target, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("error", "condition"), [(1e-2, 1000.0), (1e-6, 1000.0)])
def test_a_quadratic_takes_far_fewer_evaluations_than_gradient_descent(error, condition):
    bowl, X = Bowl(condition), start()
    many = descent_needs(bowl, X.detach(), error)
    result = descend(X, bowl, steps=many, max_evaluations=many // 5)
    assert (result.picture - bowl.target).abs().max() < error


def directly(X, objective, num_steps, history_size):
    """torch.optim.LBFGS by itself, on the objective over the mean of its first gradient."""
    X = X.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(X)["bowl"], X)
    scale = 1 / gradient.abs().mean().item()
    optimizer = torch.optim.LBFGS(
        [X],
        lr=1,
        max_iter=1,
        max_eval=25,
        tolerance_grad=0,
        tolerance_change=0,
        history_size=history_size,
        line_search_fn="strong_wolfe",
    )

    def closure():
        optimizer.zero_grad()
        loss = scale * objective(X)["bowl"]
        loss.backward()
        return loss

    path = []
    for _ in range(num_steps):
        path.append(X.detach().clone())
        optimizer.step(closure)
    return path


@pytest.mark.parametrize("kind", [Bowl, Valley])
@pytest.mark.parametrize("history_size", [1, 3, 20])
def test_the_path_is_that_of_pytorchs_optimizer_by_itself(kind, history_size):
    X, objective, steps = start(), kind(), []
    expected = directly(X, objective, 12, history_size)
    optimize(
        X,
        objective,
        lbfgs(X, history_size=history_size),
        steps=12,
        callback=lambda step: steps.append(step.picture),
    )
    torch.testing.assert_close(torch.stack(steps), torch.stack(expected), rtol=0, atol=1e-8)


@pytest.mark.parametrize("history_size", [1, 5, 20])
def test_directions_are_those_of_the_two_loops_and_steps_satisfy_the_wolfe_conditions(
    history_size,
):
    X, valley, path = start(), Valley(), []
    optimize(
        X,
        valley,
        lbfgs(X, history_size=history_size),
        steps=25,
        callback=lambda step: path.append(step.picture.flatten()),
    )
    path.append(X.detach().flatten())
    values, gradients = [], []
    for x in path:
        x = x.clone().requires_grad_()
        value = valley.value(x)
        (gradient,) = torch.autograd.grad(value, x)
        values.append(value.item())
        gradients.append(gradient.numpy())
    x = [each.numpy() for each in path]
    for k in range(25):
        s = x[k + 1] - x[k]
        q = gradients[k].copy()
        pairs = [
            (x[i + 1] - x[i], gradients[i + 1] - gradients[i])
            for i in range(max(0, k - history_size), k)
        ]
        alphas = []
        for move, change in reversed(pairs):
            alphas.append(move @ q / (move @ change))
            q = q - alphas[-1] * change
        if pairs:
            move, change = pairs[-1]
            q = q * (move @ change) / (change @ change)
        for (move, change), alpha in zip(pairs, reversed(alphas), strict=True):
            q = q + move * (alpha - change @ q / (move @ change))
        cosine = -q @ s / np.linalg.norm(q) / np.linalg.norm(s)
        assert cosine == pytest.approx(1.0, abs=1e-6)
        before, after = gradients[k] @ s, gradients[k + 1] @ s
        assert values[k + 1] <= values[k] + 1e-4 * before
        assert abs(after) <= 0.9 * abs(before) * (1 + 1e-9)


@pytest.mark.parametrize("factor", [1e-6, 1e6, 2.0**-40])
@pytest.mark.parametrize("clamp", [None, (torch.tensor(-1.0), torch.tensor(1.0))])
def test_losses_times_a_constant_give_the_same_pictures(factor, clamp):
    runs = []
    for bowl in (Bowl(), Bowl(factor=factor)):
        X = start()
        descend(X, bowl, steps=20, clamp=clamp)
        runs.append(torch.stack(bowl.pictures))
    assert runs[0].shape == runs[1].shape
    torch.testing.assert_close(runs[1], runs[0], rtol=0, atol=1e-8)
    assert (runs[0][0] - runs[0][-1]).abs().max() > 0.1


@pytest.mark.parametrize("bound", [0, 1, 2, 3, 7, 50])
def test_the_bound_on_evaluations_is_kept(bound):
    valley, X, at_callback = Valley(), start(), []
    result = descend(
        X,
        valley,
        steps=1000,
        max_evaluations=bound,
        callback=lambda step: at_callback.append((step.evaluations, len(valley.pictures))),
    )
    assert len(valley.pictures) == bound
    assert all(told == counted for told, counted in at_callback)
    assert [record.evaluations for record in result.history] == [n for n, _ in at_callback]
    if bound == 50:
        assert len(at_callback) > 10
    assert not result.interrupted


def test_without_a_bound_evaluations_are_counted_too():
    valley, X = Valley(), start()
    result = descend(X, valley, steps=30)
    evaluations = [record.evaluations for record in result.history]
    assert len(evaluations) == 30
    assert evaluations[-1] == len(valley.pictures)
    assert all(a < b for a, b in itertools.pairwise(evaluations))
    assert evaluations[0] >= 2


@pytest.mark.parametrize("clamp", [None, (torch.tensor(-1.5), torch.tensor(1.5))])
def test_a_bound_within_a_step_undoes_that_step(clamp):
    def inside():
        X = start().detach()
        return (X if clamp is None else X.clamp(*clamp)).requires_grad_()

    free, X = Valley(), inside()
    after = {0: inside().detach()}
    descend(
        X,
        free,
        steps=30,
        clamp=clamp,
        callback=lambda step: after.update({step.evaluations: X.detach().clone()}),
    )
    ends = sorted(after)
    assert sum(b - a > 1 for a, b in itertools.pairwise(ends)) > 1  # these can be cut in two
    for bound in range(ends[-1]):
        Y, valley = inside(), Valley()
        result = descend(Y, valley, steps=30, max_evaluations=bound, clamp=clamp)
        done = max(end for end in ends if end <= bound)
        assert torch.equal(result.picture, after[done])
        assert torch.equal(Y, result.picture)
        # the losses of the picture where the undone step began are known
        assert len(result.history) == ends.index(done) + (bound > 0)
        assert [record.evaluations for record in result.history] == [
            *ends[1 : ends.index(done) + 1],
            *[bound] * (bound > 0),
        ]


@pytest.mark.parametrize("bound", [1, 2, 3, 4, 5, 9, 23, None])
def test_the_best_picture_of_all_is_kept(bound):
    valley, X = Valley(), start()
    result = descend(X, valley, steps=25, max_evaluations=bound, keep_best=True)
    totals = [valley.value(Y).item() for Y in valley.pictures]
    assert torch.equal(result.picture, valley.pictures[int(np.argmin(totals))])


def test_before_the_first_evaluation_no_picture_is_the_best():
    assert lbfgs(start()).best is None


@pytest.mark.parametrize("kind", ["lbfgs", "adam"])
@pytest.mark.parametrize("k", [1, 2, 3, 4, 5, 11, 20])
def test_an_interrupt_within_an_evaluation(kind, k):
    valley, X, after = Valley(), start(), [start().detach()]

    def objective(Y):
        if len(valley.pictures) == k - 1:
            raise KeyboardInterrupt
        return valley(Y)

    optimizer = lbfgs(X) if kind == "lbfgs" else torch.optim.Adam([X], lr=0.1)
    with pytest.raises(KeyboardInterrupt) as caught:
        optimize(
            X,
            objective,
            optimizer,
            steps=100,
            callback=lambda step: after.append(X.detach().clone()),
        )
    assert isinstance(caught.value, Interrupted) == (len(after) > 1)
    if len(after) > 1:
        result = caught.value.result
        assert result.interrupted
        assert len(result.history) == len(after) - 1
        assert torch.equal(result.picture, after[-1])
    assert len(valley.pictures) == k - 1
    assert torch.equal(X, after[-1])
    if kind == "lbfgs" and k > 1:
        best = min(valley.pictures, key=lambda Y: valley.value(Y).item())
        assert torch.equal(optimizer.best, best)


def test_curvature_is_that_of_the_real_step_whoever_clamps():
    """Clamped by the loop alone, it takes the way that it takes when it clamps by itself."""
    paths = []
    for bounds in (None, (LOWEST, HIGHEST)):
        bowl, X = Bowl(10.0), start()
        optimizer = lbfgs(X, clamp=bounds)
        optimize(X, bowl, optimizer, steps=15, clamp=(LOWEST, HIGHEST))
        paths.append(torch.stack(bowl.pictures[:20]))
    torch.testing.assert_close(*paths, rtol=0, atol=1e-9)


LOWEST = torch.tensor([-0.5, -0.25, 0.0]).double().view(3, 1, 1)
HIGHEST = torch.tensor([0.5, 0.75, 1.0]).double().view(3, 1, 1)


@pytest.mark.parametrize("keep_best", [False, True])
def test_after_each_step_the_picture_is_within_bounds(keep_best):
    bowl, X, seen = Bowl(), start(), []

    def look(step):
        seen.append(X.detach().clone())
        if step.step > 1:
            assert torch.equal(step.picture, seen[-2])

    result = descend(
        X,
        bowl,
        steps=20,
        clamp=(LOWEST, HIGHEST),
        keep_best=keep_best,
        callback=look,
    )
    assert len(seen) == 20
    for inside in (*seen, result.picture, X.detach()):
        assert (inside >= LOWEST).all()
        assert (inside <= HIGHEST).all()
    outside = [((Y < LOWEST) | (Y > HIGHEST)).any() for Y in bowl.pictures[1:]]
    assert any(outside)  # the line search is free


@pytest.mark.parametrize("clamp", [None, (LOWEST, HIGHEST)])
@pytest.mark.parametrize("kind", [Bowl, Valley])
def test_within_a_step_pictures_lie_on_a_line(kind, clamp):
    objective, X, starts, ends = kind(), start(), [], [0]

    def look(step):
        starts.append(step.picture)
        ends.append(step.evaluations)

    descend(X, objective, steps=60, clamp=clamp, callback=look)
    several = 0
    for origin, (begin, end) in zip(starts, itertools.pairwise(ends), strict=True):
        moves = [(Y - origin).flatten() for Y in objective.pictures[begin:end]]
        moves = [move for move in moves if move.abs().max() > 0]
        several += len(moves) > 1
        for move in moves[1:]:
            cosine = move @ moves[0] / (move.norm() * moves[0].norm())
            assert cosine.item() == pytest.approx(1.0, abs=1e-9)
    assert several > 0


def best_in_the_box(bowl):
    return bowl.target.clamp(LOWEST, HIGHEST)


def test_with_clamp_a_separable_quadratic_is_brought_to_the_projection():
    bowl, X = Bowl(10.0), start()
    assert (best_in_the_box(bowl) != bowl.target).sum() > 20
    result = descend(X, bowl, steps=1000, max_evaluations=3000, clamp=(LOWEST, HIGHEST))
    torch.testing.assert_close(result.picture, best_in_the_box(bowl), rtol=0, atol=1e-6)


def test_with_clamp_and_keep_best_the_picture_is_no_worse_than_one_already_seen_in_the_box():
    """A trial picture outside the box may have the lowest total: clamped, it is another one."""
    bowl, X = Bowl(10.0), start()
    result = descend(
        X,
        bowl,
        steps=1000,
        max_evaluations=3000,
        clamp=(LOWEST, HIGHEST),
        keep_best=True,
    )
    seen = [Y for Y in bowl.pictures if ((Y >= LOWEST) & (Y <= HIGHEST)).all()]
    assert len(seen) > 5
    assert bowl.value(result.picture) <= min(bowl.value(Y) for Y in seen) * (1 + 1e-12)


def test_it_ends_where_a_step_no_longer_changes_the_picture():
    class Impatient(Bowl):
        def __call__(self, X):
            assert len(self.pictures) < 5000
            return super().__call__(X)

    bowl, X = Impatient(10.0), start()
    result = descend(X, bowl, steps=10**6)
    assert 5 < len(result.history) < 2000
    assert not result.interrupted
    # the line search stops at changes of 1e-9, times the curvature's reach
    torch.testing.assert_close(result.picture, bowl.target, rtol=0, atol=1e-6)


def test_a_picture_that_is_perfect_at_the_start_stays():
    bowl = Bowl()
    X = bowl.target.clone().requires_grad_()
    result = descend(X, bowl, steps=10**6)
    assert torch.equal(result.picture, bowl.target)
    assert len(bowl.pictures) == 1
    assert [record.losses for record in result.history] == [{"bowl": 0.0}]


def test_losses_fall_from_step_to_step():
    valley, X = Valley(), start()
    history = descend(X, valley, steps=60).history
    losses = [record.loss for record in history]
    assert len(losses) == 60
    assert all(b < a for a, b in itertools.pairwise(losses))
    assert losses[-1] < 1e-2 * losses[0]


def test_losses_are_not_scaled_in_the_history():
    bowl, X, steps = Bowl(factor=1e5), start(), []
    descend(X, bowl, steps=9, callback=steps.append)
    assert len(steps) == 9
    for step in steps:
        assert step.losses == {
            "bowl": pytest.approx(bowl.value(step.picture).item(), rel=1e-12)
        }


@pytest.mark.parametrize("first_bad", [1, 2, 3, 6, 15])
@pytest.mark.parametrize("keep_best", [False, True])
def test_a_loss_that_is_not_finite_is_reported_with_a_good_picture(first_bad, keep_best):
    valley, X, starts = Valley(), start(), []

    def objective(Y):
        losses = valley(Y)
        return losses | (
            {"other": Y.sum() * math.nan} if len(valley.pictures) >= first_bad else {}
        )

    with pytest.raises(DivergenceError) as caught:
        descend(
            X,
            objective,
            steps=100,
            keep_best=keep_best,
            callback=lambda step: starts.append(step.picture),
        )
    good = caught.value.picture
    assert torch.isfinite(good).all()
    assert torch.equal(X, good)
    if first_bad == 1:
        assert torch.equal(good, start())
    else:  # one of the pictures whose losses were finite, where a step began
        finite = valley.pictures[: first_bad - 1]
        assert any(torch.equal(good, Y) for Y in finite)
        later = [Y for Y in starts if any(torch.equal(Y, Z) for Z in finite)]
        assert not later or valley.value(good) <= valley.value(later[-1])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_trial_that_is_infinite_is_not_taken(sign):
    """PyTorch's line search finds no way back from infinity; then the picture stays."""
    valley, X, path = Valley(), start(), [start().detach()]

    def objective(Y):
        losses = valley(Y)
        infinite = {"other": (Y**2).sum() * sign * math.inf}
        return losses | (infinite if len(valley.pictures) >= 6 else {})

    with contextlib.suppress(DivergenceError):
        descend(
            X,
            objective,
            steps=100,
            callback=lambda step: path.append(X.detach().clone()),
        )
    assert torch.isfinite(X).all()
    assert len(path) > 2
    assert any(torch.equal(X, Y) for Y in path)
    assert valley.value(X) < valley.value(path[0])


def test_a_callback_may_clear_gradients():
    runs = []
    for clear in (False, True):
        X = start()
        optimizer = lbfgs(X)

        def callback(step, clear=clear, optimizer=optimizer):
            if clear:
                optimizer.zero_grad()

        runs.append(optimize(X, Bowl(), optimizer, steps=5, callback=callback).picture)
    assert torch.equal(*runs)


@pytest.mark.parametrize("begin", [1.0, 1.5])
def test_clamped_from_outside_alone_it_ends_at_the_wall(begin):
    X = torch.full(SHAPE, begin, dtype=torch.float64).requires_grad_()
    bounds = torch.tensor(1.0), torch.tensor(2.0)
    result = optimize(
        X, lambda X: {"square": X.square().sum()}, lbfgs(X), steps=50, clamp=bounds
    )
    assert torch.equal(result.picture, torch.ones(SHAPE, dtype=torch.float64))
    assert len(result.history) < 10


@pytest.mark.parametrize("another", [False, True])
def test_what_it_remembers_of_one_run_is_not_taken_for_another(another):
    first, X = Valley(), start()
    optimizer = lbfgs(X)
    optimize(X, first, optimizer, steps=5)
    second, before = (Bowl() if another else Valley()), X.detach().clone()
    history = optimize(X, second, optimizer, steps=3).history
    assert history[0].loss == pytest.approx(second.value(before).item(), rel=1e-12)
    assert torch.equal(second.pictures[0], before)


def test_a_bound_given_as_a_tensor_stays_what_it_was():
    bound, X = torch.tensor(3), start()
    optimize(X, Bowl(), lbfgs(X, max_evaluations=bound), steps=9)
    assert bound == 3


def test_the_best_picture_has_a_finite_loss():
    X, losses = start(), iter([5.0, -math.inf, 3.0, 4.0])

    def closure():
        X.grad = torch.ones_like(X)
        return next(losses)

    optimizer = lbfgs(X, max_evaluations=4)
    optimizer.step(closure)
    assert optimizer.lowest >= 3.0


def test_an_optimizer_that_has_ended_says_so_and_changes_nothing():
    bowl, X = Bowl(10.0), start()
    optimizer = lbfgs(X, max_evaluations=1)
    optimize(X, bowl, optimizer, steps=9)
    assert optimize(X, bowl, optimizer, steps=9).history == []
    assert torch.equal(X, start())
    with pytest.raises(NoStepLeft):
        optimizer.step(lambda: 0.0)


@pytest.fixture(scope="module")
def random_net():
    return vgg19("random", layers=["relu5_1"])


@pytest.fixture
def gatys(random_net):
    def run(**arguments):
        return transfer(
            CONTENT,
            STYLE,
            **{
                "recipe": "gatys",
                "image_shape": (32, 48),
                "steps": 6,
                "net": random_net,
                "device": "cpu",
            }
            | arguments,
        )

    return run


STYLE_LAYERS = ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]


@pytest.mark.parametrize("style_shape", [None, (48, 40)])
@pytest.mark.parametrize("weights", [None, LossWeights(2.0, 500.0, 3.0)])
def test_the_first_losses_are_those_of_the_papers_formulas(
    gatys, random_net, style_shape, weights
):
    result = gatys(style_shape=style_shape, weights=weights)
    faint = 0.1 * noise((1, 3, 32, 48))
    P = preprocess(CONTENT, (32, 48))
    A = preprocess(STYLE, style_shape or (32, 48))
    with torch.no_grad():
        (F_content,), F_styles = extract_features(faint, random_net, ["relu4_2"], STYLE_LAYERS)
        (P_content,), _ = extract_features(P, random_net, ["relu4_2"], [])
        _, A_styles = extract_features(A, random_net, [], STYLE_LAYERS)
    content = 0.5 * (F_content.double() - P_content.double()).square().sum().item()
    style = 0.0
    for F, S in zip(F_styles, A_styles, strict=True):
        f, s = (Y[0].flatten(1).double().numpy() for Y in (F, S))
        C, M = f.shape
        difference = f @ f.T - s @ s.T * (M / s.shape[1])
        style += (difference**2).sum() / (4 * C**2 * M**2) / 5
    positions = F_content.shape[2] * F_content.shape[3]
    assert positions == 24
    factors = (1.0, 8e3 * positions) if weights is None else (2.0, 500.0 * positions)
    first = dict(result.history[0].losses)
    assert first.pop("content") == pytest.approx(factors[0] * content, rel=1e-4)
    assert first.pop("style") == pytest.approx(factors[1] * style, rel=1e-4)
    if weights:
        x = faint.double().numpy()
        down, across = np.abs(np.diff(x, axis=2)).mean(), np.abs(np.diff(x, axis=3)).mean()
        assert first.pop("tv") == pytest.approx(
            3.0 * positions * 0.5 * (down + across), rel=1e-5
        )
    assert first == {}
    expected = (
        {"content": 1.0, "style": 8e3, "tv": 0.0} if weights is None else weights._asdict()
    )
    assert result.settings["weights"] == expected


def test_of_several_content_layers_the_mean_number_of_positions_counts(gatys):
    """32 x 48 pixels have 384 positions at relu2_2 and 24 at relu4_2."""
    one, both = (
        gatys(content_layers=layers, steps=1).history[0].losses["style"]
        for layers in (["relu4_2"], ["relu2_2", "relu4_2"])
    )
    assert both / one == pytest.approx((384 + 24) / 2 / 24, rel=1e-5)


def test_the_style_may_have_another_size(gatys):
    same, other = gatys(), gatys(style_shape=(48, 40))
    assert other.image.size == same.image.size == (48, 32)
    assert not torch.equal(other.picture, same.picture)
    assert other.settings["style_shape"] == (48, 40)


def test_sizes_share_the_evaluations(gatys):
    steps = []
    result = gatys(scales=2, image_shape=(64, 64), steps=20, callback=steps.append)
    assert result.image.size == (64, 64)
    assert {tuple(step.picture.shape[2:]) for step in steps} == {(32, 32), (64, 64)}
    evaluations = [record.evaluations for record in result.history]
    assert all(a <= b for a, b in itertools.pairwise(evaluations))  # = at a step undone
    assert len(set(evaluations)) >= len(evaluations) - 2
    assert evaluations[-1] == 20
    first = [step.evaluations for step in steps if step.picture.shape[2] == 32]
    assert first[-1] == 10
    assert [record.step for record in result.history] == list(range(1, len(steps) + 1))


def test_a_transfer_computes_no_more_often_than_asked_and_keeps_the_best(gatys, random_net):
    calls = []
    handle = random_net[0].register_forward_hook(
        lambda layer, inputs, output: calls.append(inputs[0].detach().clone())
    )
    try:
        result = gatys(steps=9)
    finally:
        handle.remove()
    # besides the 9: the content picture twice (once for its number of positions), the style
    # picture, and the shares at the end
    assert len(calls) == 9 + 4
    assert any(torch.equal(result.picture, Y) for Y in calls[3:12])


def test_clamped_the_picture_is_visible(gatys):
    picture = gatys(clamp=True, steps=12).picture
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    pixels = picture * std.view(3, 1, 1) + mean.view(3, 1, 1)
    assert pixels.min() >= -1e-6
    assert pixels.max() <= 1 + 1e-6


def test_the_settings_hold_the_recipe_and_its_weights(gatys):
    saved = gatys().settings
    assert saved["recipe"] == "gatys"
    assert saved["weights"] == {"content": 1.0, "style": 8e3, "tv": 0.0}
    assert saved["content_layers"] == [22]
    assert saved["style_layers"] == [1, 6, 11, 20, 29]
    assert saved["init"] == "noise"
    assert saved["descent"] == "LBFGSDescent(history_size=20)"
    assert saved["lr"] is None
    assert saved["clamp"] is False
    assert saved["precision"] in ("float32", "winograd")


def test_one_evaluation_leaves_the_noise(gatys):
    result = gatys(steps=1)
    faint = 0.1 * noise((1, 3, 32, 48))
    assert torch.equal(result.picture, faint)
    assert [record.evaluations for record in result.history] == [1]
