"""Gradient shares: the factors that give them, where the rounds lead, and what rounds do to a
run.

The closed forms are for three losses w_i |X - t_i|^2 whose targets t_i are the unit vectors. With
p_i = w_i / (w_1 + w_2 + w_3) their sum is smallest at X = p. There the gradient of the first is
2 w_1 (p_1 - 1, p_2, p_3), whose L1 norm is 2 w_1 (1 - p_1 + p_2 + p_3) = 4 w_1 (1 - p_1). So the
shares are in proportion to p_i (1 - p_i).
"""

from collections import Counter

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import StepLR
from toys import pixels

from stylelib import (
    AdamDescent,
    InputError,
    LBFGSDescent,
    gradient_shares,
    preprocess,
    runs,
    samples,
    transfer,
)
from stylelib.control.shares import InRounds, balanced, check_shares

PHOTO, STYLE = samples.load("chelsea"), pixels(96, 96)
THREE = {"content": 0.45, "style": 0.45, "tv": 0.1}
NAMES = list(THREE)


def quadratic(weights):
    """The three losses, of an image whose three values are along one row."""
    targets = torch.eye(3, dtype=torch.float64)
    return lambda X: {
        name: w * (X.flatten() - t).square().sum()
        for name, w, t in zip(NAMES, weights, targets, strict=False)
    }


def minimum(weights):
    """Where the sum of the three losses is smallest, an image (1, 1, 1, 3)."""
    w = torch.tensor(weights, dtype=torch.float64)
    return (w / w.sum()).reshape(1, 1, 1, 3)


def at_minimum(weights, rounds, shares=THREE):
    """The weights after some rounds, each of which ends at its minimum."""
    for _ in range(rounds):
        _, factors = balanced(quadratic(weights), minimum(weights), shares)
        weights = [w * factors[name] for w, name in zip(weights, NAMES, strict=True)]
    return weights


# --- the factors


def test_the_factors_are_those_of_the_formula():
    weights, X = [1.0, 20.0, 0.3], torch.tensor([[[[3.0, -1.0, 2.0]]]], dtype=torch.float64)
    # |X - t| in L1: 2 + 1 + 2, 3 + 2 + 2, 3 + 1 + 1
    norms = [2 * w * n for w, n in zip(weights, (5, 7, 5), strict=True)]
    changed, factors = balanced(quadratic(weights), X, THREE)
    for name, norm in zip(NAMES, norms, strict=True):
        assert factors[name] == pytest.approx(THREE[name] * sum(norms) / norm, rel=1e-12)
    assert gradient_shares(X, changed) == pytest.approx(THREE, rel=1e-12)


def test_the_precise_losses_are_measured_and_the_others_minimized():
    X = torch.tensor([[[[3.0, -1.0, 2.0]]]], dtype=torch.float64)
    rough = quadratic([4.0, 4.0, 4.0])
    changed, factors = balanced(rough, X, THREE, quadratic([1.0, 1.0, 1.0]))
    assert factors["content"] == pytest.approx(0.45 * 17 / 5, rel=1e-12)
    assert float(changed(X)["tv"]) == pytest.approx(factors["tv"] * float(rough(X)["tv"]))


def test_where_a_gradient_is_0_all_factors_are_1():
    at_target = torch.tensor([[[[1.0, 0.0, 0.0]]]], dtype=torch.float64)
    _, factors = balanced(quadratic([1.0, 2.0, 3.0]), at_target, THREE)
    assert factors == dict.fromkeys(NAMES, 1.0)


# --- where the rounds lead


def test_rounds_lead_to_the_weights_whose_minimum_has_the_shares():
    # p (1 - p) : 2 p (1 - 2 p) = 0.45 : 0.1, so p = 8 / 17, and 1 / 17 is left for the third
    found = at_minimum([1.0, 1.0, 1.0], 40)
    assert [w / sum(found) for w in found] == pytest.approx([8 / 17, 8 / 17, 1 / 17], rel=1e-9)


def test_four_rounds_are_near_the_shares_while_the_weights_are_still_far_away():
    weights = at_minimum([9.0, 1.0, 1.0], 4)
    shares = gradient_shares(minimum(weights), quadratic(weights))
    assert shares == pytest.approx(THREE, abs=0.03)
    assert weights[0] / weights[1] > 1.5  # in the end 1


@pytest.mark.parametrize("ratio", [0.1, 1.0, 40.0])
def test_at_a_minimum_of_two_losses_the_shares_say_nothing_about_the_weights(ratio):
    both = {"content": 0.5, "style": 0.5}
    weights = [ratio, 1.0]
    objective = quadratic(weights)
    X = torch.tensor([[[[ratio / (1 + ratio), 1 / (1 + ratio), 0.0]]]], dtype=torch.float64)
    _, factors = balanced(objective, X, both)
    assert factors == pytest.approx({"content": 1.0, "style": 1.0}, rel=1e-12)


# --- rounds


def test_a_schedule_is_that_of_all_rounds_and_adam_keeps_its_averages():
    X = torch.zeros(1, 3, 2, 2, requires_grad=True)
    in_rounds, rates, counts = InRounds(AdamDescent(lr=0.3), rounds=4), [], []
    for _ in range(4):
        optimizer, schedule = in_rounds.begin(X, 5, None)
        for _ in range(5):
            X.grad = torch.ones_like(X)
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        counts.append(int(optimizer.state[X]["step"]))
    assert counts == [5, 10, 15, 20]
    # of twenty steps, a tenth are two
    assert rates == pytest.approx([0.3 * 0.8 ** (step // 2) for step in range(20)])


def test_another_size_begins_anew():
    in_rounds = InRounds(AdamDescent(), rounds=1)
    small, large = (torch.zeros(1, 3, n, n, requires_grad=True) for n in (2, 3))
    optimizer, _ = in_rounds.begin(small, 4, None)
    small.grad = torch.ones_like(small)
    optimizer.step()
    optimizer, schedule = in_rounds.begin(large, 4, None)
    assert optimizer.state_dict()["state"] == {}
    assert isinstance(schedule, StepLR)


def test_lbfgs_begins_anew_with_the_evaluations_of_its_round():
    X = torch.zeros(1, 3, 2, 2, requires_grad=True)
    in_rounds = InRounds(LBFGSDescent(), rounds=4)
    for _ in range(2):
        optimizer, schedule = in_rounds.begin(X, 5, None)
        assert (optimizer.left, schedule) == (5, None)


def test_the_learning_rate_never_rises_within_a_size():
    made = transfer(PHOTO, STYLE, recipe="d2l", image_shape=32, steps=40, shares=THREE)
    assert [r.lr for r in made.history] == pytest.approx(
        [0.3 * 0.8 ** (step // 4) for step in range(40)]
    )


@pytest.mark.parametrize("stop", [7, 23])  # within the first round, and within the third
def test_a_run_in_rounds_goes_on_to_the_same_bits(stop):
    def run(callback=None, state=None):
        return transfer(
            PHOTO, STYLE, recipe="d2l", image_shape=32, steps=40, shares=THREE,
            precision="float32", callback=callback, state=state,
        )  # fmt: skip

    states = []

    def at(step):
        if step.step == stop:
            states.append(step.state())

    whole, rest = run(at), run(state=states[0])
    assert torch.equal(whole.picture, rest.picture)
    assert whole.weight_factors == rest.weight_factors
    assert [r.losses for r in rest.history] == [r.losses for r in whole.history]


@pytest.mark.parametrize(
    ("recipe", "steps"),
    [("d2l", 80), ("assignment", 80), ("coarse-to-fine", 60), ("gatys", 60)],
)
def test_a_short_run_ends_near_its_shares(recipe, steps):
    """Within 0.1 in these few steps at 48 pixels; longer runs come within 0.03."""
    made = transfer(
        PHOTO, samples.load("mosaic"), recipe=recipe, image_shape=48, steps=steps, shares=THREE
    )
    assert made.gradient_shares == pytest.approx(THREE, abs=0.1)


def rounds(monkeypatch, **how):
    """How often the weights were set at each size, by its height."""
    seen, balanced = [], runs.balanced

    def watched(objective, X, *others):
        seen.append(X.shape[2])
        return balanced(objective, X, *others)

    monkeypatch.setattr(runs, "balanced", watched)
    # sizes and rounds do not depend on the network
    small = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 3))
    layers = {"content_layers": [2], "style_layers": [0]}
    transfer(
        PHOTO, STYLE, image_shape=96, shares=THREE, init="noise", net=small, **layers, **how
    )
    return dict(Counter(seen))


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (4, {96: 1}),
        (12, {96: 2}),
        (19, {96: 3}),
        (39, {96: 4}),
        (40, {67: 4, 96: 4}),
    ],
)
def test_with_few_steps_there_are_fewer_sizes_then_weights_are_set_less_often(
    monkeypatch, steps, expected
):
    assert rounds(monkeypatch, steps=steps) == expected


def test_sizes_that_were_asked_for_stay(monkeypatch):
    assert rounds(monkeypatch, steps=20, scales=2) == {48: 2, 96: 2}


@pytest.mark.parametrize("recipe", ["coarse-to-fine", "gatys"])
@pytest.mark.parametrize("steps", [5, 12, 30])
def test_an_image_moves_with_shares_and_few_steps(recipe, steps):
    made = transfer(
        PHOTO, STYLE, recipe=recipe, image_shape=64, steps=steps, init="content",
        shares={"content": 0.5, "style": 0.5},
    )  # fmt: skip
    moved = (made.picture - preprocess(PHOTO, 64)).abs().mean()
    assert float(moved) > 0.01


@pytest.mark.parametrize("steps", ["10", 0, 2.5])
def test_steps_are_checked_before_the_sizes(steps):
    with pytest.raises(InputError, match="steps must be a whole number"):
        transfer(PHOTO, STYLE, image_shape=32, steps=steps, scales=2)


# --- what is refused


def test_the_reason_why_a_share_is_at_most_one_half_is_told():
    message = (
        "the share of style is at most 0.5, not 0.6: at a minimum the gradients add up to 0"
    )
    with pytest.raises(InputError, match=message):
        check_shares({"content": 0.4, "style": 0.6})


def test_a_recipe_with_one_loss_has_no_shares_to_give():
    with pytest.raises(InputError, match=r"shares need two losses or more; .* 'neighbors'"):
        transfer(
            PHOTO, STYLE, recipe="neighbors", image_shape=32, steps=20,
            shares={"content": 0.5, "style": 0.5},
        )  # fmt: skip
