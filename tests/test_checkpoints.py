"""Runs that are stopped, by a callback, by signals, by SIGKILL, and go on from their checkpoints."""

import contextlib
import functools
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from processes import MODULE, steps_until
from toys import draw, pixels, tiny_network

from stylelib import (
    RECIPES,
    AdamDescent,
    BacktrackingLBFGSDescent,
    FileError,
    InputError,
    Interrupted,
    LBFGSDescent,
    LossWeights,
    Style,
    compare_features,
    compare_grams,
    relative,
    transfer,
)
from stylelib.__main__ import main
from stylelib.beyond.neighbors import PyramidAdamDescent
from stylelib.large.checkpoints import Checkpoint, read_checkpoint
from stylelib.large.marks import mark
from stylelib.large.plans import Plan, Planner
from stylelib.relatives.assignment import DroppingAdamDescent

SHAPES = [(4, 6), (8, 12)]
BOUNDS = tuple(torch.tensor(value, dtype=torch.float64) for value in (-0.5, 0.75))


@pytest.fixture(autouse=True)
def _after_every_step(monkeypatch):
    monkeypatch.setattr(Checkpoint, "every", 0.0)


def bent(size, *_):
    """A quadratic of many curvatures, and a quartic."""
    steep, aim = (torch.tensor(draw((1, 3, *SHAPES[size]), seed)) for seed in (size, size + 9))
    return lambda X: {
        "bowl": (steep.exp() * (X - aim).square()).sum(),
        "quartic": X.square().square().sum(),
    }


def by_chance(size, *_):
    """What is wanted is drawn when a size begins, and again in every step."""
    aim = torch.rand(1, 3, *SHAPES[size], dtype=torch.float64)
    return lambda X: {"chance": ((X - aim - torch.rand_like(X)) ** 2).sum()}


def run(path, descent, objective_at=bent, clamp=None, seed=5, kind=Checkpoint, **arguments):
    """From noise to the second size, with a checkpoint."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return kind(path, {"run": "1"}).paint(
            torch.tensor(draw((1, 3, *SHAPES[0]))),
            SHAPES,
            objective_at,
            descent,
            steps=16,
            clamp=clamp,
            **arguments,
        )


def numbers(history):
    return [(record.step, record.losses, record.lr) for record in history]


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


# --- the same bits


@pytest.mark.parametrize(
    ("descent", "objective_at", "clamp"),
    [
        pytest.param(AdamDescent(0.3, 4), bent, BOUNDS, id="Adam"),
        pytest.param(AdamDescent(0.3), by_chance, None, id="Adam by chance"),
        pytest.param(DroppingAdamDescent(), bent, None, id="Adam that drops"),
        pytest.param(PyramidAdamDescent(0.1, 2), bent, None, id="Adam on bands"),
        pytest.param(LBFGSDescent(3), bent, None, id="L-BFGS"),
        pytest.param(LBFGSDescent(3), bent, BOUNDS, id="L-BFGS clamped"),
        pytest.param(BacktrackingLBFGSDescent(3), bent, None, id="backtracking"),
        pytest.param(BacktrackingLBFGSDescent(3), bent, BOUNDS, id="backtracking clamped"),
    ],
)
def test_a_run_that_stopped_after_any_step_ends_with_the_same_bits(
    tmp_path, descent, objective_at, clamp
):
    same = functools.partial(run, descent=descent, objective_at=objective_at, clamp=clamp)
    whole = same(tmp_path / "whole")
    assert len(whole.history) >= 6
    for k in range(1, len(whole.history) + 1):
        path = tmp_path / f"{k}"
        first = same(path, callback=lambda step, k=k: step.step == k)
        assert len(first.history) == k
        made = same(path, seed=k)  # the state has PyTorch's random numbers, too
        assert torch.equal(made.picture, whole.picture)
        assert numbers(made.history) == numbers(whole.history)
        assert made.history[:k] == first.history
        assert not made.interrupted


def test_a_run_that_stops_again_and_again_ends_with_the_same_bits(tmp_path):
    whole = run(tmp_path / "whole", BacktrackingLBFGSDescent(3))
    for _ in whole.history:
        made = run(tmp_path / "bits", BacktrackingLBFGSDescent(3), callback=lambda step: True)
    assert torch.equal(made.picture, whole.picture)


def test_after_the_end_the_same_comes_at_once(tmp_path):
    whole, asked = run(tmp_path / "a", LBFGSDescent(3)), []

    def objective_at(size, *_):
        asked.append(size)
        return lambda X: asked.append("losses")

    size = (tmp_path / "a").stat().st_size
    again = run(tmp_path / "a", LBFGSDescent(3), objective_at)
    assert asked == [1]  # no losses
    assert torch.equal(again.picture, whole.picture)
    assert again.history == whole.history
    assert (
        size < 40_000
    )  # two images of 2 kB, two random states of 5 kB, 16 steps; no curvature
    assert names(tmp_path) == ["a"]


RUNS = {
    "coarse-to-fine": {"recipe": "coarse-to-fine", "steps": 8, "scales": 2},
    "gatys": {"recipe": "gatys", "steps": 6, "init": "noise"},
    "assignment": {"recipe": "assignment", "steps": 4},
    "neighbors": {"recipe": "neighbors", "steps": 4},
    "shares": {
        "recipe": "d2l",
        "steps": 10,
        "shares": {"content": 0.45, "style": 0.45, "tv": 0.1},
    },
}


@pytest.mark.parametrize("case", RUNS)
def test_every_recipe_goes_on_to_the_same_result(deep_net, tmp_path, case):
    mask = np.zeros((32, 48))
    mask[:, :24] = 1
    styles = [Style(pixels(40, 40, 1), here=mask, erode=False), pixels(32, 48, 2)]
    same = functools.partial(
        transfer,
        pixels(32, 48),
        styles if case == "shares" else styles[1],
        image_shape=(32, 48),
        strength=0.7 if case == "neighbors" else 1.0,
        net=deep_net,
        precision="float32",
        **RUNS[case],
    )
    whole = same()
    k = len(whole.history) // 2
    path = tmp_path / "run.checkpoint"
    same(checkpoint=path, callback=lambda step: step.step == k)
    made = same(checkpoint=path)
    assert torch.equal(made.picture, whole.picture)
    assert numbers(made.history) == numbers(whole.history)
    assert made.weight_factors == whole.weight_factors
    assert bool(made.weight_factors) == (case == "shares")
    assert made.gradient_shares == whole.gradient_shares
    assert made.settings == whole.settings


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
def test_killed_runs_go_on_to_the_same_bits():
    program = Path(__file__).parents[1] / "benchmarks" / "kills.py"
    done = subprocess.run(
        [sys.executable, str(program), "4"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("   4 kills, each run went on to the same bits\n")


# --- when it is written


def test_it_is_written_every_minute_and_at_the_end(tmp_path, monkeypatch):
    now, written = [0.0], []

    class Clocked(Checkpoint):
        every = 60.0
        clock = staticmethod(lambda: now[0])

        def write(self, state):
            written.append(len(state.history))
            super().write(state)

    def callback(step):
        now[0] += 25

    run(tmp_path / "a", AdamDescent(), kind=Clocked, callback=callback)
    # at 25 s, then not before 85, 160, 235, 310, 385 s
    assert written == [1, 4, 7, 10, 13, 16, 16]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("where", ["in a step", "while a size is prepared", "in the callback"])
def test_a_signal_waits_for_the_end_of_the_step(
    tmp_path, interrupts, monkeypatch, number, where
):
    monkeypatch.setattr(Checkpoint, "every", 1e9)
    whole = run(tmp_path / "whole", AdamDescent())
    calls = []

    def objective_at(size, X):
        if size == 1 and where == "while a size is prepared":
            signal.raise_signal(number)
        inner = bent(size)

        def objective(X):
            calls.append(size)
            if len(calls) == 9 and where == "in a step":
                signal.raise_signal(number)
            return inner(X)

        return objective

    def callback(step):
        if step.step == 9 and where == "in the callback":
            signal.raise_signal(number)

    made = run(tmp_path / "a", AdamDescent(), objective_at, callback=callback)
    assert made.interrupted
    assert len(made.history) == 9
    state = read_checkpoint(tmp_path / "a").state
    assert torch.equal(state.picture, made.picture)
    made = run(tmp_path / "a", AdamDescent())
    assert torch.equal(made.picture, whole.picture)
    assert not made.interrupted


def test_a_signal_that_comes_when_nothing_is_due_loses_no_step(tmp_path, interrupts):
    """It comes at the last moment of a step: when it is known that nothing is due."""
    came = []

    class Late(Checkpoint):
        def clock(self):
            if len(came) == 4:
                signal.raise_signal(signal.SIGINT)
            came.append(1)
            return 0.0

    made = run(tmp_path / "a", AdamDescent(), kind=Late)
    assert made.interrupted
    assert len(read_checkpoint(tmp_path / "a")[0].history) == len(made.history)


def test_a_second_signal_does_not_wait(tmp_path, interrupts, monkeypatch):
    monkeypatch.setattr(Checkpoint, "every", 1e9)
    calls = []

    def objective_at(size, X):
        def objective(X):
            calls.append(size)
            for _ in range(2 * (len(calls) == 4)):
                signal.raise_signal(signal.SIGINT)
            return bent(size)(X)

        return objective

    made = run(tmp_path / "a", AdamDescent(), objective_at)
    assert made.interrupted
    assert len(made.history) == 3  # the fourth is undone
    assert len(read_checkpoint(tmp_path / "a")[0].history) == 1  # from after the first


def test_a_signal_is_passed_on_to_who_handled_it_before(tmp_path, interrupts):
    class Told(Exception):  # noqa: N818
        pass

    def handler(number, frame):
        raise Told(len(read_checkpoint(tmp_path / "a")[0].history))

    signal.signal(signal.SIGTERM, handler)

    def callback(step):
        if step.step == 3:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(Told, match=r"^3$"):  # it was written before
        run(tmp_path / "a", AdamDescent(), callback=callback)
    assert signal.getsignal(signal.SIGTERM) is handler
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def test_an_ignored_signal_stays_ignored(tmp_path, interrupts):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    made = run(
        tmp_path / "a", AdamDescent(), callback=lambda _: signal.raise_signal(signal.SIGINT)
    )
    assert (made.interrupted, len(made.history)) == (False, 16)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_outside_of_the_main_thread_no_signal_is_handled(tmp_path, interrupts):
    seen = []

    def callback(step):
        seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(
        target=run, args=(tmp_path / "a", AdamDescent()), kwargs={"callback": callback}
    )
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler] * 16
    assert names(tmp_path) == ["a"]


def test_ctrl_c_raises_interrupted_with_the_image_so_far(tmp_path, interrupts):
    def callback(step):
        if step.step == 2:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        short(checkpoint=tmp_path / "a", callback=callback)
    assert len(caught.value.result.history) == 2
    assert torch.equal(short(checkpoint=tmp_path / "a").picture, short().picture)


# --- files that are refused


def short(**changes):
    """A transfer of three steps by a tiny network."""
    arguments = {
        "content": pixels(16, 24),
        "style": pixels(16, 24, 1),
        "recipe": "d2l",
        "image_shape": (16, 24),
        "steps": 3,
        "weights": LossWeights(1.0, 2.0, 0.5),
        "content_layers": [4],
        "style_layers": [0, 2],
        "net": tiny_network(),
        "precision": "float32",
    }
    return transfer(**arguments | changes)


def after_one_step(path, **changes):
    short(checkpoint=path, callback=lambda step: True, **changes)
    return path.read_bytes()


class Code:
    """Unpickled, it would make a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def saved(content):
    stream = io.BytesIO()
    torch.save(content, stream)
    return stream.getvalue()


def image_file():
    stream = io.BytesIO()
    pixels(8, 8).save(stream, "PNG")
    return stream.getvalue()


def bomb():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\0" * 10**8)
    return stream.getvalue()


def overlapping(good):
    """The central directory names one member many times."""
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        members = archive.infolist()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"\0" * 1000)
        archive.filelist *= len(members) + 100
    return stream.getvalue()


BAD = {
    "empty": lambda good: b"",
    "an image": lambda good: image_file(),
    "text": lambda good: b"steps: 3\n",
    "two letters": lambda good: b"PK",
    "cut by a byte": lambda good: good[:-1],
    "cut in half": lambda good: good[: len(good) // 2],
    "another file of torch": lambda good: saved({"conv1_1.weight": torch.zeros(3)}),
    "a list": lambda good: saved([1, 2]),
    "only its kind": lambda good: saved({"kind": "checkpoint of stylelib", "format": 1}),
    "a zip bomb": lambda good: bomb(),
    "overlapping": overlapping,
}


@pytest.mark.parametrize("case", BAD)
def test_other_files_are_refused_and_left_as_they_are(tmp_path, case):
    path = tmp_path / "run.checkpoint"
    path.write_bytes(BAD[case](after_one_step(path)))
    before = path.read_bytes()
    with pytest.raises(FileError, match=r"run\.checkpoint.*remove it or name another$"):
        short(checkpoint=path)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["run.checkpoint"]


def test_no_code_is_run(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(saved({"kind": "checkpoint of stylelib", "x": Code(tmp_path / "made")}))
    with pytest.raises(FileError):
        short(checkpoint=path)
    assert names(tmp_path) == ["a"]


def test_a_changed_byte_in_any_part_is_found(tmp_path):
    path = tmp_path / "a"
    good = after_one_step(path)
    with zipfile.ZipFile(io.BytesIO(good)) as archive:
        parts = [
            (each.header_offset, each.filename, each.file_size) for each in archive.infolist()
        ]
    assert len(parts) > 8
    for offset, name, size in parts:
        extra = int.from_bytes(good[offset + 28 : offset + 30], "little")
        begin = offset + 30 + len(name.encode()) + extra
        bad = bytearray(good)
        bad[begin + size // 2] ^= 1
        path.write_bytes(bad)
        with pytest.raises(FileError, match="is damaged"):
            short(checkpoint=path)
    path.write_bytes(good)
    short(checkpoint=path)


def test_a_folder_a_missing_folder_and_no_path_are_refused(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError, match="is a directory"):
        short(checkpoint=tmp_path / "folder")
    with pytest.raises(FileError, match=r"cannot write .*a': there is no folder"):
        short(checkpoint=tmp_path / "none" / "a")
    with pytest.raises(InputError, match="checkpoint must be a path, not 3"):
        short(checkpoint=3)
    assert names(tmp_path) == ["folder"]


def test_another_version_of_the_format_is_refused(tmp_path, monkeypatch):
    after_one_step(tmp_path / "a")
    monkeypatch.setattr("stylelib.large.checkpoints.FORMAT", 4)
    with pytest.raises(
        FileError, match=r"another version of stylelib: it has format 3, and .* 4"
    ):
        short(checkpoint=tmp_path / "a")


def by_a_factor(factor):
    def compare(Y):
        return lambda Y_hat: factor * (Y_hat - Y).square().mean()

    return compare


def half_mask():
    mask = np.zeros((16, 24))
    mask[:, :12] = 1
    return mask


D2L = RECIPES["d2l"]
OTHERS = {
    "steps": {"steps": 4},
    "content": {"content": pixels(16, 24, 7)},
    "style 1": {"style": pixels(16, 24, 7)},
    "style 2": {"style": [pixels(16, 24, 1), pixels(16, 24, 2)]},
    "weight of style 1": {"style": Style(pixels(16, 24, 1), weight=2.0)},
    "layers of style 1": {"style": Style(pixels(16, 24, 1), layers=[0])},
    "here of style 1": {"style": Style(pixels(16, 24, 1), here=half_mask())},
    "there of style 1": {"style": Style(pixels(16, 24, 1), there=half_mask())},
    "erode of style 1": {"style": Style(pixels(16, 24, 1), erode=False)},
    "sizes": {"image_shape": (16, 28)},
    "weights": {"weights": LossWeights(1.0, 2.0, 0.25)},
    "content_layers": {"content_layers": [2]},
    "style_layers": {"style_layers": {0: 1.0, 2: 0.5}},
    "style_loss": {"recipe": replace(D2L, style_loss=by_a_factor(2.0))},
    "descent": {"lr": 0.1},
    "clamp": {"clamp": False},
    "init": {"init": "noise"},
    "seed": {"seed": 1},
    "start": {"init": "style"},
    "colors": {"colors": "keep"},
    "strength": {"strength": 0.5},
    "strokes": {"strokes": 0.75},
    "shares": {"shares": {"content": 0.45, "style": 0.45, "tv": 0.1}},
    "network": {"net": tiny_network(1)},
}


@pytest.mark.parametrize("case", OTHERS)
def test_a_checkpoint_of_another_run_is_refused_with_what_differs(tmp_path, case):
    path = tmp_path / "run.checkpoint"
    before = after_one_step(path)
    said = rf"is the checkpoint of another run: (.*; )?{case} was .* and is .*remove it or name"
    with pytest.raises(InputError, match=said):
        short(checkpoint=path, **OTHERS[case])
    assert path.read_bytes() == before


@pytest.mark.filterwarnings("ignore:this processor emulates bfloat16")
def test_an_alpha_channel_and_another_precision_are_other_runs_too(tmp_path):
    after_one_step(tmp_path / "a")
    clear = pixels(16, 24)
    clear.putalpha(Image.fromarray((255 * half_mask()).astype(np.uint8)))
    with pytest.raises(InputError, match="alpha channel was None and is 1 x 1 x 16 x 24 #"):
        short(checkpoint=tmp_path / "a", content=clear)
    with pytest.raises(InputError, match="precision was float32 and is bfloat16"):
        short(checkpoint=tmp_path / "a", precision="bfloat16")


def test_names_of_files_do_not_matter(tmp_path):
    for name in ("one.png", "two.png"):
        pixels(16, 24).save(tmp_path / name)
    short(checkpoint=tmp_path / "a", content=tmp_path / "one.png", callback=lambda step: True)
    made = short(checkpoint=tmp_path / "a", content=tmp_path / "two.png")
    assert torch.equal(made.picture, short().picture)


def test_a_state_and_a_checkpoint_are_one_too_many(tmp_path):
    states = []
    short(callback=lambda step: states.append(step.state()))
    with pytest.raises(InputError, match="a state or a checkpoint to go on from, not both"):
        short(state=states[0], checkpoint=tmp_path / "a")
    assert names(tmp_path) == []


def test_functions_are_told_apart_by_name_code_and_what_they_hold():
    functions = [
        compare_grams,
        compare_features,
        relative(compare_grams),
        relative(compare_features),
        by_a_factor(1.0),
        by_a_factor(2.0),
        functools.partial(by_a_factor, 2.0),
        lambda Y: Y + 1,
        lambda Y: Y + 2,
        compare_grams.__call__,
    ]
    marks = [mark(each) for each in functions]
    assert len(set(marks)) == len(marks)
    assert not any(re.search(r"0x[0-9a-f]{6}", each) for each in marks)  # no addresses
    assert mark(by_a_factor(2.0)) == marks[5]


@pytest.mark.parametrize(("one", "other"), [(1.0, 1), (np.float64(0.5), 0.5), (0.0, -0.0)])
def test_equal_numbers_have_equal_marks(one, other):
    assert mark(one) == mark(other)
    assert mark(one) != mark(one + 1e-15)


def plan_of(monkeypatch, *plan):
    monkeypatch.setattr(Planner, "plan", lambda *_, **__: Plan(*plan))


TILES, PLAIN = (9, 8, 1e9, 1.5), (0, None, 1e9, 1.0)


def test_a_run_goes_on_with_its_tiles_though_there_is_more_memory_now(tmp_path, monkeypatch):
    plan_of(monkeypatch, *TILES)
    whole = short(steps=6)
    after_one_step(tmp_path / "a", steps=6)
    plan_of(monkeypatch, *PLAIN)
    assert not torch.equal(short(steps=6).picture, whole.picture)  # the tiles are seen
    assert torch.equal(short(steps=6, checkpoint=tmp_path / "a").picture, whole.picture)


def test_tiles_that_no_longer_fit_are_replaced_with_a_warning(tmp_path, monkeypatch):
    plan_of(monkeypatch, 0, None, 1e18, 1.0)
    after_one_step(tmp_path / "a")
    plan_of(monkeypatch, *TILES)
    with pytest.warns(UserWarning, match=r"less memory than when .*a' was written"):
        made = short(checkpoint=tmp_path / "a")
    assert torch.allclose(made.picture, short().picture, atol=1e-4)
    assert [plan.side for plan in read_checkpoint(tmp_path / "a").plans] == [8]


# --- two runs, full disks


def test_a_second_run_on_one_file_is_refused(tmp_path):
    path, refused = tmp_path / "a", []

    def callback(step):
        with pytest.raises(FileError, match=r"'.*a' is in use by another run: wait"):
            short(checkpoint=path)
        refused.append(step.step)

    made = short(checkpoint=path, callback=callback)
    assert refused == [1, 2, 3]
    assert torch.equal(made.picture, short().picture)
    assert names(tmp_path) == ["a"]


def test_what_a_killed_run_has_left_is_removed_but_nothing_of_others(tmp_path):
    others = [".stylelib-checkpoint-a-b-01234567", ".stylelib-01234567", "a-b", "a.lock"]
    others.append(".stylelib-lock-a-b")
    for name in [".stylelib-checkpoint-a-01234567", ".stylelib-lock-a", *others]:
        (tmp_path / name).write_bytes(b"")
    short(checkpoint=tmp_path / "a")
    assert names(tmp_path) == sorted(["a", *others])


@contextlib.contextmanager
def no_space(folder):
    """Files cannot be written to the disk: a stand-in for every system."""

    def fsync(number):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        yield lambda: patch.setattr(os, "fsync", fsync)


@contextlib.contextmanager
def limit(folder):
    """A process may write files of 2 kB only."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextlib.contextmanager
def small_disk(folder):
    """A disk of 64 kB, which another file fills."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")

    def fill():
        with contextlib.suppress(OSError), open(folder / "filler", "wb", 0) as stream:
            while True:
                stream.write(b"0" * 1000)

    try:
        yield fill
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize("disk", [no_space, limit, small_disk])
def test_on_a_full_disk_the_run_goes_on_and_the_old_checkpoint_stays(tmp_path, disk):
    path, kept = tmp_path / "a", []
    with disk(tmp_path) as fill:

        def callback(step):
            if step.step == 2:
                kept.append(path.read_bytes())
                fill()

        said = r"cannot write '.*a': .*; the run goes on"
        with pytest.warns(UserWarning, match=said) as told:
            made = run(path, AdamDescent(), callback=callback)
        left = path.read_bytes()
        assert set(names(tmp_path)) <= {"a", "filler"}
    assert len(told) == 1
    assert len(made.history) == 16
    assert left == kept[0]
    path.write_bytes(left)
    assert len(read_checkpoint(path)[0].history) == 1
    assert torch.equal(run(path, AdamDescent()).picture, made.picture)


def changed(name, change, part="state"):
    """A checkpoint whose checksums are right, with one part of its state changed."""

    def make(good):
        content = torch.load(io.BytesIO(good), weights_only=True)
        within = content["state"] if part == "state" else content["plans"][0]
        within[name] = change(within[name])
        return saved(content)

    return make


CHANGED = {
    "no image": changed("picture", lambda value: None),
    "not finite": changed("picture", lambda value: value * torch.nan),
    "whole numbers": changed("picture", lambda value: value.long()),
    "double": lambda good: changed("picture", torch.Tensor.double)(
        changed("began", torch.Tensor.double)(good)
    ),
    "two images": lambda good: changed("picture", lambda value: value.repeat(2, 1, 1, 1))(
        changed("began", lambda value: value.repeat(2, 1, 1, 1))(good)
    ),
    "another size": changed("began", lambda value: value[..., :1]),
    "random numbers": changed("random", lambda value: value[:9]),
    "random numbers of a size": changed("random_began", lambda value: value * 0 + 255),
    "a negative number": changed("size", lambda value: -1),
    "no number": changed("made", lambda value: "1"),
    "history": changed("history", lambda value: [value[0] | {"losses": {"content": "1"}}]),
    "no history": changed("history", lambda value: 3),
    "no step": changed("history", lambda value: [{"step": 1}]),
    "no optimizer": changed("optimizer", lambda value: [1]),
    "no tiles": changed("side", lambda value: 0, "plans"),
    "no parts": changed("parts", lambda value: -1, "plans"),
    "no memory": changed("memory", lambda value: float("nan"), "plans"),
}


@pytest.mark.parametrize("case", CHANGED)
def test_a_state_that_cannot_be_is_refused(tmp_path, case):
    path = tmp_path / "run.checkpoint"
    path.write_bytes(CHANGED[case](after_one_step(path)))
    before = path.read_bytes()
    with pytest.raises(
        FileError, match=r"run\.checkpoint' is damaged.*remove it or name another$"
    ):
        short(checkpoint=path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "change",
    [
        changed("optimizer", lambda value: {"state": {}}),
        changed("optimizer", lambda value: value | {"param_groups": 3}),
        changed("size", lambda value: 1),
        changed("made", lambda value: 4),
        changed("descent", lambda value: "LBFGSDescent"),
        changed("history", lambda value: value * 4),
    ],
)
def test_a_state_of_another_run_is_refused(tmp_path, change):
    path = tmp_path / "run.checkpoint"
    path.write_bytes(change(after_one_step(path)))
    with pytest.raises(InputError, match="the state "):
        short(checkpoint=path)


@dataclass
class Odd:
    """Its state has what cannot be read without running code."""

    exact = False

    def begin(self, X, steps, clamp):
        optimizer = torch.optim.SGD([X], lr=0.1)
        optimizer.param_groups[0]["odd"] = np.float64(1)
        return optimizer, None

    def end(self, optimizer, X):
        return X


def test_an_optimizer_whose_state_is_not_plain_is_refused_after_the_first_step(tmp_path):
    with pytest.raises(
        InputError, match="the state of Odd cannot be written: it has a float64"
    ):
        run(tmp_path / "a", Odd())
    assert names(tmp_path) == []


# --- the command line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pixels(16, 24).save(tmp_path / "content.png")
    pixels(16, 24, 1).save(tmp_path / "style.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


COMMAND = ["transfer", "content.png", "style.png", "-o", "out.png", "--size", "16"]
COMMAND += ["--recipe", "d2l", "--precision", "float32", "--checkpoint", "run.checkpoint"]


def test_the_command_removes_the_checkpoint_when_the_image_is_saved(
    folder, monkeypatch, capsys
):
    assert main([*COMMAND, "--steps", "2"]) == 0
    assert names(folder) == ["content.png", "out.png", "out.png.json", "style.png"]
    image = (folder / "out.png").read_bytes()

    def fail(*_):
        raise FileError("no")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stylelib.results.write_image", fail)
        assert main([*COMMAND, "--steps", "2"]) == 2
    assert "run.checkpoint" in names(folder)
    assert main([*COMMAND, "--steps", "2"]) == 0
    assert "run.checkpoint" not in names(folder)
    assert (folder / "out.png").read_bytes() == image


@pytest.mark.parametrize("name", ["out.png", "out.png.json", "./out.png"])
def test_the_command_needs_another_file_than_the_output(folder, capsys, name):
    assert main([*COMMAND[:-1], name, "--steps", "2"]) == 2
    err = capsys.readouterr().err
    assert err == "stylelib: --checkpoint must be another file than the output, 'out.png'\n"
    assert names(folder) == ["content.png", "style.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to send to one process")
def test_sigterm_saves_image_and_checkpoint_and_is_exit_code_143(folder):
    steps = steps_until(signal.SIGTERM, 143, [*MODULE, *COMMAND], folder)
    assert len(read_checkpoint(folder / "run.checkpoint")[0].history) == steps
    assert names(folder) == [
        "content.png",
        "out.png",
        "out.png.json",
        "run.checkpoint",
        "style.png",
    ]


class Blurred:
    """A loss of a user's own that is an object."""

    def __init__(self, sigma: float) -> None:
        self.sigma = sigma

    def __call__(self, X):
        return self.sigma * X.square().mean()


def test_an_object_in_a_recipe_counts_by_its_attributes():
    assert mark(Blurred(1.0)) == mark(Blurred(1.0))
    assert mark(Blurred(1.0)) != mark(Blurred(2.0))
