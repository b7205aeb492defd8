"""Gradient shares, with few steps and many."""

from collections import Counter

import pytest
from toys import pixels

from stylelib import InputError, preprocess, runs, samples, transfer

PHOTO, STYLE = samples.load("chelsea"), pixels(96, 96)
THREE = {"content": 0.45, "style": 0.45, "tv": 0.1}


def rounds(monkeypatch, **how):
    """How often the weights were set at each size, by its height."""
    seen, balanced = [], runs.balanced

    def watched(objective, X, *others):
        seen.append(X.shape[2])
        return balanced(objective, X, *others)

    monkeypatch.setattr(runs, "balanced", watched)
    transfer(PHOTO, STYLE, image_shape=96, shares=THREE, init="noise", **how)
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
