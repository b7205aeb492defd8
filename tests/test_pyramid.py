"""From size to size, with a descent whose steps are known: each goes half of the way."""

import math
from dataclasses import dataclass, field

import pytest
import torch
from toys import draw, towards

from stylelib import AdamDescent, DivergenceError, LBFGSDescent, Record
from stylelib.pyramid import doubling, paint
from stylelib.relatives.quasi_newton import LBFGS

SHAPES = [(2, 3), (4, 6), (8, 12)]


@dataclass
class HalfTheWay:
    """Gradient descent by half of (X - target), for the objective below."""

    begun: list = field(default_factory=list)

    def begin(self, X, steps, clamp):
        self.begun.append((tuple(X.shape[2:]), steps, clamp))
        return torch.optim.SGD([X], lr=0.5), None

    def end(self, optimizer, X):
        return X


def start(shape=SHAPES[0], value=0.0):
    return torch.full((1, 3, *shape), value, dtype=torch.float64)


def run(steps=7, value=1.0, **arguments):
    descent = HalfTheWay()
    made = paint(start(), SHAPES, lambda *_: towards(value), descent, steps=steps, **arguments)
    return made, descent


@pytest.mark.parametrize("count", [1, 2, 5])
def test_doubling_ends_with_the_whole_size(count):
    sizes = doubling(count)
    assert sizes == [1 / 2**k for k in reversed(range(count))]


@pytest.mark.parametrize(("steps", "shares"), [(7, [2, 2, 3]), (3, [1, 1, 1]), (9, [3, 3, 3])])
def test_steps_are_shared_out_and_counted_on(steps, shares):
    made, descent = run(steps)
    assert descent.begun == [(shape, n, None) for shape, n in zip(SHAPES, shares, strict=True)]
    assert [record.step for record in made.history] == list(range(1, steps + 1))
    assert [record.evaluations for record in made.history] == list(range(1, steps + 1))
    seconds = [record.seconds for record in made.history]
    assert seconds == sorted(seconds)
    assert not made.interrupted


def test_each_size_starts_from_the_picture_of_the_one_before():
    made, _ = run(7)
    # every step halves what is left; a constant picture stays one when it is resized
    torch.testing.assert_close(made.picture, start(SHAPES[-1], 1 - 0.5**7), rtol=0, atol=1e-12)
    first = made.history[2]  # the first step at the second size
    assert first.losses["distance"] == pytest.approx(0.5 * 3 * 24 * 0.25**2, rel=1e-12)


def test_a_callback_gets_every_step_and_can_stop():
    seen = []

    def stop(step):
        seen.append((step.step, tuple(step.picture.shape[2:])))
        return step.step == 3

    made, descent = run(7, callback=stop)
    assert seen == [(1, (2, 3)), (2, (2, 3)), (3, (4, 6))]
    assert made.picture.shape[2:] == (4, 6)
    assert len(descent.begun) == 2


def test_pictures_are_clamped_at_every_size():
    bounds = tuple(torch.tensor(value, dtype=torch.float64) for value in (-1.0, 0.6))
    made, descent = run(7, clamp=bounds)
    assert float(made.picture.max()) == 0.6
    assert all(clamp is bounds for _, _, clamp in descent.begun)


def test_the_objective_is_that_of_the_last_size():
    made = paint(
        start(),
        SHAPES,
        lambda size, *_: towards(float(size)),
        HalfTheWay(),
        steps=30,
        callback=None,
    )
    torch.testing.assert_close(made.picture, start(SHAPES[-1], 2.0), rtol=0, atol=0.01)
    assert made.objective(start(value=2.0))["distance"] == 0


def test_ctrl_c_while_a_size_is_prepared_gives_the_picture_so_far():
    def objective_at(index, *_):
        if index == 1:
            raise KeyboardInterrupt
        return towards(1.0)

    made = paint(start(), SHAPES, objective_at, HalfTheWay(), steps=6)
    assert made.interrupted
    assert made.objective is None
    assert len(made.history) == 2

    def at_once(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        paint(start(), SHAPES, at_once, HalfTheWay(), steps=6)


def test_ctrl_c_within_a_step_ends_all_sizes():
    calls = []

    def objective(X):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return towards(1.0)(X)

    made = paint(start(), SHAPES, lambda *_: objective, HalfTheWay(), steps=6)
    assert made.interrupted
    assert [record.step for record in made.history] == [1, 2, 3]
    assert made.picture.shape[2:] == SHAPES[1]


def test_an_error_of_divergence_has_the_steps_of_all_sizes():
    def objective_at(index, *_):
        return towards(math.nan if index == 1 else 1.0)

    with pytest.raises(DivergenceError) as caught:
        paint(start(), SHAPES, objective_at, HalfTheWay(), steps=6)
    assert [record.step for record in caught.value.history] == [1, 2]
    assert all(type(record) is Record for record in caught.value.history)


def test_adam_falls_ten_times_over_its_steps_or_when_told():
    for descent, steps, expected in (
        (AdamDescent(0.5), 40, [0.5 * 0.8 ** (k // 4) for k in range(40)]),
        (AdamDescent(0.5, 3, 0.1), 7, [0.5 * 0.1 ** (k // 3) for k in range(7)]),
        (AdamDescent(0.5), 5, [0.5 * 0.8**k for k in range(5)]),
    ):
        made = paint(start(), SHAPES[:1], lambda *_: towards(1.0), descent, steps=steps)
        assert [record.lr for record in made.history] == pytest.approx(expected, rel=1e-12)


def test_lbfgs_makes_as_many_evaluations_as_steps_and_gives_its_best():
    X = start().requires_grad_()
    bounds = torch.tensor(-1.0), torch.tensor(1.0)
    optimizer, scheduler = LBFGSDescent(history_size=3).begin(X, 11, bounds)
    assert isinstance(optimizer, LBFGS)
    assert scheduler is None
    assert (optimizer.left, optimizer.clamp) == (11, bounds)
    assert optimizer.param_groups[0]["history_size"] == 3
    descent = LBFGSDescent()
    assert torch.equal(descent.end(optimizer, X), X)  # before any evaluation
    optimizer.best = start(value=7.0)
    assert torch.equal(descent.end(optimizer, X), start(value=7.0))


# --- going on from a state


BOUNDS = tuple(torch.tensor(value, dtype=torch.float64) for value in (-0.5, 0.75))


def bent(size, *_):
    """A quadratic of many curvatures, and a quartic."""
    steep, aim = (torch.tensor(draw((1, 3, *SHAPES[size]), seed)) for seed in (size, size + 9))
    return lambda X: {
        "bowl": (steep.exp() * (X - aim).square()).sum(),
        "quartic": X.square().square().sum(),
    }


def by_chance(*_):
    """What is wanted changes with PyTorch's own random numbers."""
    return lambda X: {"chance": ((X - torch.rand_like(X)) ** 2).sum()}


@pytest.mark.parametrize(
    ("descent", "objective_at", "clamp"),
    [
        pytest.param(AdamDescent(0.3, 4), bent, None, id="Adam"),
        pytest.param(AdamDescent(0.3, 4), bent, BOUNDS, id="Adam clamped"),
        pytest.param(AdamDescent(0.3), by_chance, None, id="Adam by chance"),
        pytest.param(LBFGSDescent(3), bent, None, id="L-BFGS"),
        pytest.param(
            LBFGSDescent(3),
            bent,
            BOUNDS,
            id="L-BFGS clamped",
        ),
    ],
)
def test_a_run_goes_on_from_its_state_after_any_step(descent, objective_at, clamp):
    """Three sizes, from after each of the steps: the same bits as without a stop."""

    def run(seed=5, **arguments):
        begin = torch.tensor(draw((1, 3, *SHAPES[0])))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return paint(
                begin, SHAPES, objective_at, descent, steps=24, clamp=clamp, **arguments
            )

    states = []
    whole = run(callback=lambda step: states.append(step.state()))
    assert {state.size for state in states} == {0, 1, 2}
    assert len(states) == len(whole.history) >= 3 * len(SHAPES)  # three steps a size, or more
    for k, state in enumerate(states, 1):
        made = run(seed=k, state=state)
        assert torch.equal(made.picture, whole.picture)
        for one, other in zip(made.history, whole.history, strict=True):
            assert (one.step, one.losses, one.lr) == (other.step, other.losses, other.lr)
        assert made.history[:k] == whole.history[:k]
        seconds = [record.seconds for record in made.history]
        assert seconds == sorted(seconds)
        more = [
            one.evaluations - other.evaluations
            for one, other in zip(made.history, whole.history, strict=True)
        ]
        # L-BFGS asks once more about the picture where it left off, if there is more to do
        assert set(more) <= ({0, 1} if descent.exact else {0})
        assert more == sorted(more)


def test_the_steps_after_a_stop_are_counted_on_and_nothing_is_asked_before_them():
    states, asked = [], []
    run(7, callback=lambda step: states.append(step.state()))

    def objective_at(size, *_):
        asked.append(size)
        return towards(1.0)

    numbers = []
    paint(
        start(value=9.0),  # of no concern
        SHAPES,
        objective_at,
        HalfTheWay(),
        steps=7,
        state=states[2],
        callback=lambda step: numbers.append(step.step),
    )
    assert asked == [1, 2]
    assert numbers == [4, 5, 6, 7]


def test_after_the_last_step_nothing_is_left_to_do():
    states = []
    whole, _ = run(7, callback=lambda step: states.append(step.state()))
    again, _ = run(7, state=states[-1], callback=states.append)
    assert torch.equal(again.picture, whole.picture)
    assert again.history == whole.history
    assert len(states) == 7
