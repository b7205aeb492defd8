import numpy as np
import pytest
import torch
from PIL import Image

from stylelib import InputError, Step
from stylelib.callbacks import IntermediateSaver, ProgressBar, all_of


def step(number, level=0.0):
    picture = torch.full((1, 3, 4, 6), level)
    return Step(
        step=number,
        losses={"content": 12.3456, "tv": 0.5},
        lr=0.3,
        seconds=0.1 * number,
        evaluations=number,
        picture=picture,
    )


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ((), False),
        ((None,), False),
        ((True,), True),
        ((True, False, None), True),
        ((None, False, True), True),
    ],
)
def test_all_of_calls_each_in_turn_and_stops_if_any_does(answers, expected):
    calls = []

    def make(position, answer):
        def callback(step):
            calls.append((position, step))
            return answer

        return callback

    now = step(1)
    assert (
        all_of(*(make(position, answer) for position, answer in enumerate(answers)))(now)
        is expected
    )
    assert calls == [(position, now) for position in range(len(answers))]


def test_the_progress_bar_shows_steps_and_losses_and_never_stops(capsys):
    bar = ProgressBar(3)
    assert [bar(step(number)) for number in (1, 2)] == [None, None]
    assert bar.bar.n == 2
    assert "content=12.3, tv=0.5" in str(bar.bar)
    assert "2/3" in str(bar.bar)
    assert not bar.bar.disable  # still open
    bar(step(3))
    assert bar.bar.n == 3
    assert bar.bar.disable  # closed, as tqdm says it
    assert "3/3" in capsys.readouterr().err


def test_the_progress_bar_moves_to_the_steps_number():
    bar = ProgressBar(10)
    bar(step(4))
    assert bar.bar.n == 4
    bar.bar.close()


@pytest.mark.parametrize(
    ("every", "saved"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6]), (7, [7]), (10, [])]
)
def test_the_saver_writes_every_so_many_steps(tmp_path, every, saved):
    saver = IntermediateSaver(tmp_path / "deep" / "er", every)
    assert [saver(step(number)) for number in range(1, 8)] == [None] * 7
    files = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*"))
    assert files == [f"deep/er/step-{number:04}.png" for number in saved]


def test_the_saver_saves_every_tenth_by_default(tmp_path):
    saver = IntermediateSaver(str(tmp_path))
    for number in range(1, 31):
        saver(step(number))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-0010.png",
        "step-0020.png",
        "step-0030.png",
    ]


def test_the_saved_picture_is_the_steps(tmp_path):
    saver = IntermediateSaver(tmp_path, 1)
    for number, level in ((1, -9.0), (2, 0.0), (3, 9.0)):
        saver(step(number, level))
    # 0 is the mean of ImageNet, (0.485, 0.456, 0.406) of 255; the others are beyond black and white
    for number, color in ((1, (0, 0, 0)), (2, (124, 116, 104)), (3, (255, 255, 255))):
        with Image.open(tmp_path / f"step-{number:04}.png") as image:
            assert image.size == (6, 4)
            assert np.array_equal(np.asarray(image), np.broadcast_to(color, (4, 6, 3)))


def test_a_saver_that_is_refused_makes_no_folder(tmp_path):
    with pytest.raises(InputError, match="every must be a whole number"):
        IntermediateSaver(tmp_path / "none", 0)
    assert not (tmp_path / "none").exists()
