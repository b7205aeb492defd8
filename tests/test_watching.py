import subprocess
import sys
from types import SimpleNamespace

import IPython
import IPython.display
import pytest
import torch

from stylelib import DivergenceError, InputError, optimize, watching
from stylelib.descents import AdamDescent
from stylelib.pyramid import paint
from stylelib.watching import watch


@pytest.fixture(autouse=True)
def nothing_is_watched_afterwards():
    yield
    watch(None)


@pytest.fixture
def cell(monkeypatch):
    """What a notebook's cell would show, in order: (where, HTML)."""
    shown = []

    def display(content, display_id=False):
        assert display_id is True  # one place, which can be filled anew
        place = len(shown)
        shown.append((place, content.data))
        return SimpleNamespace(update=lambda new: shown.append((place, new.data)))

    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace(kernel=None))
    monkeypatch.setattr(IPython.display, "display", display)
    return shown


def run(shape=(1, 3, 4, 6), steps=3, **others):
    X = torch.zeros(shape, requires_grad=True)

    def objective(X):
        return {"far": (X - 1).square().mean(), "away": X.abs().mean()}

    return optimize(X, objective, torch.optim.SGD([X], lr=0.1), steps=steps, **others)


def test_nothing_is_shown_until_asked(cell, capsys):
    run()
    assert cell == []
    assert capsys.readouterr() == ("", "")


def test_a_cell_shows_each_step_in_one_place_and_nothing_at_the_end(cell):
    watch(every=0)
    run()
    assert {place for place, _ in cell} == {0}
    assert [text.count("<img") for _, text in cell] == [1, 1, 1, 0]
    for number, (_, text) in enumerate(cell[:3], start=1):
        assert f"step {number} of 3: far " in text
        assert "data:image/jpeg;base64," in text
    assert "far 1, away 0" in cell[0][1]
    assert cell[3][1] == ""


def test_what_is_no_image_of_pixels_shows_its_losses_alone(cell):
    watch(every=0)
    run(shape=(1, 3, 4, 6, 2))
    assert not any("<img" in text for _, text in cell)
    assert "step 1 of 3" in cell[0][1]


def test_a_short_run_shows_nothing(cell):
    watch(every=60)
    run()
    assert cell == []


def test_the_result_is_the_same_and_so_is_what_a_callback_gets(cell):
    plain, watched = [], []
    first = run(callback=plain.append)
    watch(every=0)
    second = run(callback=watched.append)
    assert torch.equal(first.picture, second.picture)
    assert [step.losses for step in plain] == [step.losses for step in watched]


def test_a_callback_still_ends_the_run(cell):
    watch(every=0)
    assert len(run(callback=lambda step: step.step == 2).history) == 2
    assert cell[-1][1] == ""


def test_later_runs_go_on_counting(cell):
    watch(every=0)
    run(history=run().history)
    assert "step 4 of 6" in cell[4][1]


def test_sizes_are_parts_of_one_run(cell):
    watch(every=0)

    def paint_both(index, X):
        return lambda X: {"far": (X - 1).square().mean()}

    X = torch.zeros(1, 3, 4, 6)
    paint(X, [(4, 6), (8, 12)], paint_both, AdamDescent(), steps=4)
    assert {place for place, _ in cell} == {0}
    assert [text[text.find("step") :].split(":")[0] for _, text in cell[:-1]] == [
        f"step {number} of 4" for number in (1, 2, 3, 4)
    ]
    assert cell[-1][1] == ""
    run(steps=1)  # and the next one is shown again
    assert "step 1 of 1" in cell[-2][1]


def test_a_missing_number_of_steps_is_an_error_of_the_call(cell):
    watch(every=0)
    X = torch.zeros(1, 3, 4, 6, requires_grad=True)
    with pytest.raises(TypeError, match="steps"):
        optimize(X, lambda X: {"x": X.sum()}, torch.optim.SGD([X]))


def test_it_goes_away_when_a_run_fails(cell):
    watch(every=0)
    X = torch.ones(1, 3, 2, 2, requires_grad=True)
    with pytest.raises(DivergenceError):
        optimize(X, lambda X: {"x": X.pow(9).sum()}, torch.optim.SGD([X], lr=1e30), steps=9)
    assert cell[-1][1] == ""


def test_arguments_are_refused_as_ever(cell):
    watch(every=0)
    with pytest.raises(InputError, match="callback"):
        run(callback="no function")
    with pytest.raises(InputError, match="steps"):
        run(steps=0.5)
    with pytest.raises(InputError, match="every"):
        watch(every=-1)


def test_in_a_script_it_is_a_bar_that_goes_away():
    code = (
        "import torch; from stylelib import optimize, watching; watching.watch(0)\n"
        "X = torch.zeros(1, 3, 2, 2, requires_grad=True)\n"
        "optimize(X, lambda X: {'x': (X - 1).square().sum()}, torch.optim.SGD([X], lr=.1), steps=4)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert "4/4" in done.stderr
    assert done.stderr.splitlines()[-1].strip() == ""


def test_the_loop_in_numpy_is_shown_too(cell):
    from stylelib import samples
    from stylelib.from_scratch import style_transfer

    watch(every=0)
    style_transfer(samples.load("coffee"), samples.load("mosaic"), image_shape=32, steps=2)
    assert "step 2 of 2: " in cell[1][1]
    assert cell[-1][1] == ""


def test_a_terminal_of_ipython_is_no_notebook(monkeypatch):
    monkeypatch.setattr(IPython, "get_ipython", lambda: SimpleNamespace())
    assert not watching.in_notebook()
