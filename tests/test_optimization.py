import itertools
import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.optim.lr_scheduler import StepLR
from toys import draw, towards

from stylelib import (
    DivergenceError,
    Interrupted,
    Record,
    Step,
    gradient_residual,
    gradient_shares,
    lbfgs,
    optimize,
)

SHAPE = (1, 3, 2, 4)


def picture(seed=0, requires_grad=True):
    return torch.tensor(draw(SHAPE, seed), requires_grad=requires_grad)


def two_pulls(P, Q):
    """Least at (P + 3 Q) / 4."""
    return lambda X: {"near": ((X - P) ** 2).sum(), "far": 3 * ((X - Q) ** 2).sum()}


def failing_at(step, error):
    """A quadratic that raises at its step-th evaluation."""
    count = 0

    def objective(X):
        nonlocal count
        count += 1
        if count == step:
            raise error
        return towards(0.0)(X)

    return objective


def test_adam_reaches_the_known_minimum():
    X, P, Q = picture(0), picture(1, False), picture(2, False)
    adam = torch.optim.Adam([X], lr=0.1)
    result = optimize(
        X, two_pulls(P, Q), adam, steps=1500, scheduler=StepLR(adam, 300, gamma=0.1)
    )
    torch.testing.assert_close(result.picture, (P + 3 * Q) / 4, rtol=0, atol=1e-8)


def test_only_the_picture_gets_a_gradient():
    X, weight = picture(0), picture(1)
    optimize(X, lambda X: {"loss": (X * weight).sum()}, torch.optim.Adam([X], lr=0.1), steps=2)
    assert weight.grad is None


def test_an_objective_of_chance_is_asked_in_each_step_even_where_nothing_moves():
    X, answers = picture(0), iter([0.0, 0.0, 1.0, 1.0])
    start = X.detach().clone()
    adam = torch.optim.Adam([X], lr=0.1)
    history = optimize(X, lambda X: {"loss": next(answers) * X.sum()}, adam, steps=4).history
    assert [record.evaluations for record in history] == [1, 2, 3, 4]
    assert not torch.equal(X, start)


def test_path_is_that_of_adam_with_bias_correction():
    X, P, Q = picture(0), picture(1, False), picture(2, False)
    x, m, v = X.detach().numpy().copy(), np.zeros(SHAPE), np.zeros(SHAPE)
    path, losses = [], []
    for t in range(1, 51):
        path.append(x.copy())
        losses.append((((x - P.numpy()) ** 2).sum(), 3 * ((x - Q.numpy()) ** 2).sum()))
        g = 2 * (x - P.numpy()) + 6 * (x - Q.numpy())
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        x = x - 0.3 * 0.8 ** ((t - 1) // 10) * (m / (1 - 0.9**t)) / (
            np.sqrt(v / (1 - 0.999**t)) + 1e-8
        )
    steps = []
    adam = torch.optim.Adam([X], lr=0.3)
    scheduler = StepLR(adam, 10, gamma=0.8)
    result = optimize(
        X, two_pulls(P, Q), adam, steps=50, scheduler=scheduler, callback=steps.append
    )
    np.testing.assert_allclose(
        np.stack([step.picture.numpy() for step in steps]), np.stack(path), rtol=0, atol=1e-10
    )
    np.testing.assert_allclose(result.picture.numpy(), x, rtol=0, atol=1e-10)
    recorded = [(record.losses["near"], record.losses["far"]) for record in result.history]
    np.testing.assert_allclose(recorded, losses, rtol=1e-10)


@pytest.mark.parametrize(("lr", "stiffness"), [(0.1, 1.0), (0.5, 0.4), (0.3, 5.0)])
def test_gradient_descent_follows_its_closed_form(lr, stiffness):
    X, target = picture(0), picture(1, False)
    start = X.detach().clone()
    result = optimize(X, towards(target, stiffness), torch.optim.SGD([X], lr=lr), steps=17)
    expected = target + (1 - lr * stiffness) ** 17 * (start - target)
    torch.testing.assert_close(result.picture, expected, rtol=0, atol=1e-12)


def test_lbfgs_reaches_the_known_minimum():
    X, P, Q = picture(0), picture(1, False), picture(2, False)
    result = optimize(X, two_pulls(P, Q), torch.optim.LBFGS([X]), steps=3)
    torch.testing.assert_close(result.picture, (P + 3 * Q) / 4, rtol=0, atol=1e-8)


def test_history_has_the_learning_rate_of_each_step():
    X = picture()
    adam = torch.optim.Adam([X], lr=0.3)
    result = optimize(X, towards(0.0), adam, steps=10, scheduler=StepLR(adam, 3, gamma=0.8))
    expected = [0.3 * 0.8**k for k in (0, 0, 0, 1, 1, 1, 2, 2, 2, 3)]
    assert [record.lr for record in result.history] == pytest.approx(expected, rel=1e-12)


def test_the_learning_rate_stays_without_a_scheduler():
    X = picture()
    result = optimize(X, towards(0.0), torch.optim.Adam([X], lr=0.25), steps=4)
    assert [record.lr for record in result.history] == [0.25] * 4


# LBFGS evaluates the objective many times a step, at other pictures than the one the step started from
@pytest.mark.parametrize("optimizer", [torch.optim.Adam, torch.optim.SGD, torch.optim.LBFGS])
def test_losses_are_of_the_picture_the_step_started_from(optimizer):
    X, P, Q = picture(0), picture(1, False), picture(2, False)
    objective = two_pulls(P, Q)
    steps = []
    starts = [X.detach().clone()]

    def note(step):
        steps.append(step)
        starts.append(X.detach().clone())

    optimize(X, objective, optimizer([X], lr=0.05), steps=4, callback=note)
    assert len(steps) == 4
    for step, start in zip(steps, starts[:4], strict=True):
        assert torch.equal(step.picture, start)
        again = {name: loss.item() for name, loss in objective(step.picture).items()}
        assert step.losses == pytest.approx(again, rel=1e-12)


def test_total_is_the_sum_of_the_losses():
    assert (
        Record(
            step=1, losses={"a": 1.5, "b": 2.0, "c": -0.25}, lr=0.3, seconds=0.0, evaluations=1
        ).loss
        == 3.25
    )


def test_a_callback_gets_what_history_holds():
    X, steps = picture(), []
    result = optimize(
        X, towards(0.0), torch.optim.Adam([X], lr=0.3), steps=5, callback=steps.append
    )
    assert [record.step for record in result.history] == [1, 2, 3, 4, 5]
    assert all(type(record) is Record for record in result.history)
    assert all(type(step) is Step for step in steps)
    seen = [
        Record(step.step, step.losses, step.lr, step.seconds, step.evaluations)
        for step in steps
    ]
    assert seen == result.history
    assert not result.interrupted


def test_seconds_count_the_steps_but_not_the_callbacks(monkeypatch):
    now = 1000.0

    def objective(X):
        nonlocal now
        now += 2.0
        return towards(0.0)(X)

    def slow(step):
        nonlocal now
        now += 100.0

    monkeypatch.setattr(time, "perf_counter", lambda: now)
    X = picture()
    result = optimize(X, objective, torch.optim.Adam([X], lr=0.3), steps=4, callback=slow)
    assert [record.seconds for record in result.history] == [2.0, 4.0, 6.0, 8.0]


def test_seconds_increase():
    X = picture()
    history = optimize(X, towards(0.0), torch.optim.Adam([X], lr=0.3), steps=5).history
    seconds = [0.0, *(record.seconds for record in history)]
    assert all(a < b for a, b in itertools.pairwise(seconds))


@pytest.mark.parametrize(("answer", "made"), [(True, 3), (False, 7), (None, 7)])
def test_a_callback_that_returns_true_ends_it(answer, made):
    X, target = picture(0), picture(1, False)
    start = X.detach().clone()
    result = optimize(
        X,
        towards(target),
        torch.optim.SGD([X], lr=0.1),
        steps=7,
        callback=lambda step: answer if step.step >= 3 else None,
    )
    assert len(result.history) == made
    torch.testing.assert_close(
        result.picture, target + 0.9**made * (start - target), rtol=0, atol=1e-12
    )
    assert not result.interrupted


def test_no_steps_leave_the_picture_alone():
    X = picture()
    start = X.detach().clone()
    result = optimize(
        X, failing_at(1, AssertionError()), torch.optim.Adam([X], lr=0.3), steps=0
    )
    assert torch.equal(result.picture, start)
    assert torch.equal(X, start)
    assert result.history == []
    assert not result.interrupted


def test_the_picture_is_changed_in_place_and_the_result_is_its_copy():
    X = picture()
    start, address = X.detach().clone(), X.data_ptr()
    result = optimize(X, towards(0.0), torch.optim.Adam([X], lr=0.3), steps=3)
    assert X.data_ptr() == address
    assert not torch.equal(X, start)
    assert torch.equal(result.picture, X)
    assert not result.picture.requires_grad
    assert result.picture.grad_fn is None
    result.picture.zero_()
    assert X.abs().max() > 0


def test_what_a_callback_does_to_its_picture_changes_nothing():
    X, Y = picture(), picture()
    plain = optimize(X, towards(0.0), torch.optim.Adam([X], lr=0.3), steps=4)
    held = []

    def spoil(step):
        assert not step.picture.requires_grad
        held.append(step.picture.clone())
        step.picture.fill_(math.nan)

    spoiled = optimize(Y, towards(0.0), torch.optim.Adam([Y], lr=0.3), steps=4, callback=spoil)
    assert torch.equal(plain.picture, spoiled.picture)
    assert not torch.equal(held[0], held[1])


def test_clamp_keeps_every_pixel_within_its_channels_bounds():
    lowest = torch.tensor([-1.0, -0.5, 0.0]).double().view(3, 1, 1)
    highest = torch.tensor([0.5, 0.75, 1.0]).double().view(3, 1, 1)
    pictures = []
    X, target = picture(0), 10 * picture(1, False)
    assert (X > 1.0).any()
    result = optimize(
        X,
        towards(target),
        torch.optim.Adam([X], lr=0.3),
        steps=60,
        clamp=(lowest, highest),
        callback=lambda step: pictures.append(step.picture),
    )
    for inside in (*pictures[1:], result.picture, X):
        assert (inside >= lowest).all()
        assert (inside <= highest).all()
    outside = (target < lowest) | (target > highest)
    assert outside.sum() > 10
    assert torch.equal(result.picture[outside], target.clamp(lowest, highest)[outside])


def test_without_clamp_pixels_are_free():
    X = picture()
    result = optimize(X, towards(50.0), torch.optim.SGD([X], lr=0.5), steps=30)
    torch.testing.assert_close(
        result.picture, torch.full(SHAPE, 50.0).double(), rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("step", [1, 2, 5])
def test_a_loss_that_is_not_finite_is_reported_with_the_last_good_picture(step, bad):
    count = 0

    def objective(X):
        nonlocal count
        count += 1
        return towards(0.0)(X) | {"other": 0 * X.sum() + (bad if count == step else 0.0)}

    X = picture()
    start = X.detach().clone()
    with pytest.raises(
        DivergenceError, match=r"at learning rate 0\.125: try a smaller one"
    ) as caught:
        optimize(X, objective, torch.optim.SGD([X], lr=0.125), steps=9)
    error = caught.value
    assert f"step {step}" in str(error)
    assert [record.step for record in error.history] == list(range(1, step))
    # the picture that step - 1 started from: the one that step started from has no finite loss
    torch.testing.assert_close(
        error.picture, 0.875 ** max(0, step - 2) * start, rtol=0, atol=1e-12
    )
    assert torch.isfinite(error.picture).all()
    assert not error.picture.requires_grad
    assert torch.equal(X, error.picture)
    assert error.picture.data_ptr() != X.data_ptr()


def infinite_slope(X):
    """Finite at 0, its gradient there not."""
    return {"root": X.abs().sqrt().sum()}


@pytest.mark.parametrize("steps", [1, 2])
def test_a_picture_that_is_not_finite_is_noticed_also_after_the_last_step(steps):
    X = torch.zeros(SHAPE, requires_grad=True)
    with pytest.raises(DivergenceError, match=r"learning rate 0\.3") as caught:
        optimize(X, infinite_slope, torch.optim.Adam([X], lr=0.3), steps=steps)
    assert torch.equal(caught.value.picture, torch.zeros(SHAPE))
    assert torch.equal(X, torch.zeros(SHAPE))
    assert caught.value.history == []  # no step before the one that failed


def test_a_picture_that_is_not_finite_is_noticed_where_the_callback_stops():
    X = torch.zeros(SHAPE, requires_grad=True)
    with pytest.raises(DivergenceError, match="the image is no longer finite"):
        optimize(
            X,
            infinite_slope,
            torch.optim.Adam([X], lr=0.3),
            steps=9,
            callback=lambda step: True,
        )


def test_gradient_descent_that_overshoots_diverges_with_a_finite_picture():
    X = picture()
    with pytest.raises(DivergenceError, match="learning rate 1e") as caught:
        optimize(X, towards(0.0), torch.optim.SGD([X], lr=1e30), steps=30)
    assert math.isfinite(towards(0.0)(caught.value.picture)["distance"])
    assert caught.value.history[-1].loss == pytest.approx(
        towards(0.0)(caught.value.picture)["distance"].item()
    )


def interrupt(step):
    if step.step == 4:
        raise KeyboardInterrupt


def test_an_interrupt_in_a_callback_gives_back_the_picture_so_far():
    X = picture()
    start = X.detach().clone()
    with pytest.raises(Interrupted, match="after 4 steps") as caught:
        optimize(X, towards(0.0), torch.optim.SGD([X], lr=0.1), steps=9, callback=interrupt)
    result = caught.value.result
    assert result.interrupted
    assert [record.step for record in result.history] == [1, 2, 3, 4]
    torch.testing.assert_close(result.picture, 0.9**4 * start, rtol=0, atol=1e-12)
    assert torch.equal(X, result.picture)


def test_an_interrupt_within_a_step_gives_back_the_picture_so_far():
    X = picture()
    start = X.detach().clone()
    objective = failing_at(4, KeyboardInterrupt())
    with pytest.raises(Interrupted) as caught:
        optimize(X, objective, torch.optim.SGD([X], lr=0.1), steps=9)
    result = caught.value.result
    assert result.interrupted
    assert [record.step for record in result.history] == [1, 2, 3]
    torch.testing.assert_close(result.picture, 0.9**3 * start, rtol=0, atol=1e-12)


def test_other_exceptions_pass_through():
    def fail(step):
        raise ZeroDivisionError("mine")

    X = picture()
    with pytest.raises(ZeroDivisionError, match="mine"):
        optimize(X, towards(0.0), torch.optim.SGD([X], lr=0.1), steps=9, callback=fail)
    with pytest.raises(ZeroDivisionError, match="within"):
        optimize(
            X,
            failing_at(2, ZeroDivisionError("within")),
            torch.optim.SGD([X], lr=0.1),
            steps=9,
        )


def test_an_exception_leaves_the_picture_that_its_step_began_with():
    """L-BFGS has moved the picture to a trial when its second evaluation fails."""
    X, tried = picture(), []
    objective = failing_at(2, ZeroDivisionError("within"))

    def look(Y):
        tried.append(Y.detach().clone())
        return objective(Y)

    with pytest.raises(ZeroDivisionError, match="within"):
        optimize(X, look, lbfgs(X), steps=9)
    assert not torch.equal(tried[1], tried[0])
    assert torch.equal(X, picture())


def test_the_start_is_clamped_too():
    bounds = torch.tensor(-0.5), torch.tensor(0.25)
    expected = picture().detach().numpy().clip(-0.5, 0.25)
    for make in (lbfgs, lambda X: torch.optim.SGD([X], lr=0.1)):
        X, seen = picture(), []
        optimize(
            X,
            towards(3.0),
            make(X),
            steps=1,
            clamp=bounds,
            callback=lambda step, seen=seen: seen.append(step.picture),
        )
        assert np.array_equal(seen[0].numpy(), expected)
        assert X.detach().max() <= 0.25
        assert X.detach().min() >= -0.5


def test_the_learning_rate_recorded_is_that_of_the_pictures_group():
    X, other = picture(), picture(1)
    groups = [{"params": [other], "lr": 7.0}, {"params": [X], "lr": 0.125}]
    result = optimize(X, towards(0.0), torch.optim.SGD(groups, lr=1.0), steps=2)
    assert [record.lr for record in result.history] == [0.125, 0.125]


def test_the_picture_may_be_in_any_group_of_the_optimizer():
    X, other = picture(), picture(1)
    optimizer = torch.optim.SGD([{"params": [other]}, {"params": [X]}], lr=0.1)
    result = optimize(X, towards(0.0), optimizer, steps=2)
    torch.testing.assert_close(result.picture, 0.81 * picture().detach(), rtol=0, atol=1e-12)


def test_gradient_shares_of_known_gradients():
    slope = torch.tensor(draw(SHAPE))

    def objective(X):
        return {
            "three": (3 * slope * X).sum(),
            "against": -(slope * X).sum(),
            "bend": 0.5 * (X**2).sum(),
        }

    X = picture()
    s, b = slope.abs().sum().item(), X.detach().abs().sum().item()
    expected = {
        "three": 3 * s / (4 * s + b),
        "against": s / (4 * s + b),
        "bend": b / (4 * s + b),
    }
    assert gradient_shares(X, objective) == pytest.approx(expected, rel=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=5), st.integers(0, 1000))
def test_gradient_shares_add_to_one(factors, seed):
    def objective(X):
        return {str(k): factor * (X**2).sum() for k, factor in enumerate(factors)}

    shares = gradient_shares(picture(seed), objective)
    assert all(0 <= share <= 1 for share in shares.values())
    assert sum(shares.values()) == pytest.approx(1.0 if any(factors) else 0.0, rel=1e-12)


def test_gradient_shares_leave_the_picture_alone():
    X = picture()
    X.grad = torch.full(SHAPE, 7.0).double()
    before = X.detach().clone()
    gradient_shares(X, two_pulls(0.0, 1.0))
    assert torch.equal(X, before)
    assert torch.equal(X.grad, torch.full(SHAPE, 7.0).double())
    assert X.requires_grad


def test_gradient_shares_of_losses_with_a_common_part():
    def objective(X):
        common = (X**2).sum()
        return {"one": common, "four": 4 * common}

    assert gradient_shares(picture(), objective) == pytest.approx(
        {"one": 0.2, "four": 0.8}, rel=1e-12
    )


def test_gradient_shares_where_nothing_pushes_are_zeros():
    assert gradient_shares(picture(), lambda X: {"a": 0 * X.sum(), "b": (0 * X**2).sum()}) == {
        "a": 0.0,
        "b": 0.0,
    }


def test_the_gradient_residual_of_known_gradients():
    slope = torch.tensor(draw(SHAPE))

    def objective(X):
        return {"three": (3 * slope * X).sum(), "bend": 0.5 * (X**2).sum()}

    X = picture()
    three, bend = 3 * slope, X.detach()
    left = (three + bend).abs().sum() / (three.abs().sum() + bend.abs().sum())
    assert gradient_residual(X, objective) == pytest.approx(left.item(), rel=1e-12)


def test_the_gradient_residual_is_0_at_a_minimum_and_1_where_all_pull_one_way():
    a, b = torch.tensor(draw(SHAPE)), torch.tensor(draw(SHAPE, 1))

    def objective(X):  # smallest at the weighted mean of a and b
        return {"a": ((X - a) ** 2).sum(), "b": 3 * ((X - b) ** 2).sum()}

    def one_way(X):
        return {"one": X.sum(), "two": 2 * X.sum()}

    assert gradient_residual((a + 3 * b) / 4, objective) < 1e-14
    assert gradient_residual(picture(), one_way) == pytest.approx(1.0, rel=1e-14)
    assert gradient_residual(picture(), lambda X: {"none": 0 * X.sum()}) == 0.0
