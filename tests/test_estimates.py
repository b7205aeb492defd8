"""Plans within a bound of memory, and estimates before a run and while it is made."""

import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from stylelib import (
    RECIPES,
    BacktrackingLBFGSDescent,
    Estimate,
    InputError,
    Step,
    Style,
    TiledFeatures,
    compare_grams,
    compare_places,
    estimate,
    samples,
    transfer,
    vgg19,
)
from stylelib.__main__ import main
from stylelib.callbacks import ProgressBar, TimeLeft
from stylelib.large import estimates, room
from stylelib.large.estimates import duration, rates, run_of, seconds_of
from stylelib.large.plans import Plan, Planner, costs_of
from stylelib.preparations import spread
from stylelib.pyramid import done_of, ends_of

PHOTO, STYLE = samples.load("coffee"), samples.load("mosaic")
CPU = torch.device("cpu")


def planner(net=None, layers=("relu1_1", "relu4_2"), **settings):
    net = vgg19("random", layers=layers) if net is None else net
    settings = {"descent": BacktrackingLBFGSDescent(), "device": CPU, "memory": 8.0} | settings
    found = Planner(net, "float32", layers, **settings)
    found.used = 1e9  # by the rest of the process, whatever ran before in it
    return found


# --- the bytes of a network


def test_what_a_layer_keeps_is_counted_in_bytes():
    """A convolution keeps its input, a ReLU its output, a pooling its input and indices."""
    net = vgg19("random", layers=["relu3_1"])
    first, second, third = costs_of(TiledFeatures(net), [1, 11], CPU)
    # image 3, relu1_1 64, relu1_2 64; one index (8 bytes) for each of the 64 pooled, at 1 / 4
    assert first.kept == 4 * (3 + 64 + 64) + 8 * 64 / 4
    # pool1 64, relu2_1 128, relu2_2 128, all at 1 / 4; 128 indices at 1 / 16
    assert second.kept == 4 * (64 + 128 + 128) / 4 + 8 * 128 / 16
    # pool2 128, relu3_1 256 at 1 / 16
    assert third.kept == 4 * (128 + 256) / 16
    assert (first.largest, second.largest, third.largest) == (256, 128, 64)
    assert (first.handed_on, second.handed_on) == (64, 32)
    assert (first.tapped, second.tapped, third.tapped) == (256, 0, 64)
    # two operations for each of 9 C C' products at each position
    assert first.work == 2 * 9 * (3 * 64 + 64 * 64)
    assert second.work == 2 * 9 * (64 * 128 + 128 * 128) / 4


# --- plans


def test_the_less_memory_the_more_parts_and_the_smaller_tiles():
    shape, found = (1000, 1500), []
    for memory in (60.0, 20.0, 6.0, 4.0, 3.5, 3.2, 3.0):
        plan = planner(memory=memory).plan(shape, [shape], 60)
        assert plan.memory <= memory * 1e9
        found.append((plan.parts, -(plan.side or 10**6)))
    assert found[0] == (0, -(10**6))
    assert found == sorted(found)
    assert len(set(found)) > 2


def test_a_gpu_gets_larger_tiles_as_long_as_they_fit():
    shape, found = (2000, 3000), []
    for memory in (60.0, 18.0, 8.0):
        of_gpu = planner(memory=memory)
        assert of_gpu.costs  # measured on this processor
        of_gpu.device = torch.device("cuda")
        plan = of_gpu.plan(shape, [shape], 60)
        assert plan.memory <= memory * 1e9
        found.append(plan.side)
    assert found[0] is None
    assert found[1] >= 1024 > found[2]
    assert planner(memory=18.0).plan(shape, [shape], 60).side < 1024


def test_a_plan_by_tiles_costs_more_time():
    plain, tiled = (planner(memory=m).plan((1000, 1500), [], 60) for m in (60.0, 3.5))
    assert plain.work == 1
    assert 1.1 < tiled.work < 2


def test_each_pair_of_lbfgs_is_two_images_and_there_are_no_more_than_steps():
    area, bytes_of_image = 1000 * 1500, 3 * 4
    memory = [
        planner(memory=99.0).plan((1000, 1500), [], steps).memory for steps in (5, 15, 60)
    ]
    assert memory[1] - memory[0] == pytest.approx(1.3 * 20 * area * bytes_of_image)
    assert memory[2] - memory[1] == pytest.approx(0)


def test_what_does_not_fit_is_refused_with_what_it_needs():
    with pytest.raises(
        InputError, match=r"4000 x 6000 needs about [\d.]+ GB .* the bound is 1.5 GB"
    ):
        planner(memory=1.5).plan((4000, 6000), [], 60)
    with pytest.raises(InputError, match="need all features at once"):
        planner(memory=3.0, whole=["relu1_1"]).plan((4000, 6000), [], 60)


def test_layers_of_a_style_of_its_own_are_needed_whole_by_the_same_losses():
    style = Style(STYLE, layers=["relu3_1"])
    for loss, whole in ((compare_places, ["relu1_1", "relu3_1"]), (compare_grams, [])):
        recipe = replace(RECIPES["d2l"], style_loss=loss, style_layers=["relu1_1"])
        run = run_of(PHOTO, style, {"recipe": recipe, "image_shape": 64, "memory": 8})
        assert run.planner.whole == whole


def test_the_bound_is_a_positive_number():
    for memory in (0, -1, "8", float("nan")):
        with pytest.raises(InputError, match="memory must be"):
            transfer(PHOTO, STYLE, image_shape=32, steps=2, memory=memory)


def test_a_network_of_unknown_windows_is_used_the_plain_way_or_refused():
    class Odd(nn.Module):
        def forward(self, X):
            return X

    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), Odd()).eval()
    assert planner(net, [1], memory=None).plan((5000, 5000), [], 9).parts == 0
    with pytest.raises(InputError, match="Odd"):
        planner(net, [1])


# --- transfers by tiles


@pytest.fixture
def small_tiles(monkeypatch):
    """Every plan is by tiles of 24 pixels."""
    by_small_tiles(monkeypatch)


def by_small_tiles(monkeypatch):
    monkeypatch.setattr(Planner, "plan", lambda *_, **__: Plan(9, 24, 1e9, 1.5))


@pytest.mark.parametrize("recipe", sorted(RECIPES))
def test_a_transfer_by_tiles_takes_the_same_first_step(recipe, monkeypatch):
    """From noise, since at the photograph itself a gradient is only rounding."""
    asked = {
        "image_shape": 48,
        "steps": 1,
        "scales": 1,
        "init": "noise",
        "precision": "float32",
    }
    plain = transfer(PHOTO, STYLE, recipe=recipe, **asked)
    by_small_tiles(monkeypatch)
    tiled = transfer(PHOTO, STYLE, recipe=recipe, **asked)
    (one,), (other,) = plain.history, tiled.history
    for name, loss in one.losses.items():
        assert other.losses[name] == pytest.approx(loss, rel=1e-4)
    for name, share in plain.gradient_shares.items():
        assert tiled.gradient_shares[name] == pytest.approx(share, abs=0.02)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(
    "asked",
    [
        {"strength": 0.5},
        {"shares": {"content": 0.5, "style": 0.5}},
        {"style_layers": {"relu1_1": 1.0, "relu2_1": 0.5}},
    ],
    ids=["strength", "shares", "layers"],
)
def test_controls_work_by_tiles(asked):
    result = transfer(
        PHOTO, [STYLE, samples.load("hatching")], image_shape=48, steps=4, **asked
    )
    assert len(result.history) > 1
    assert result.history[-1].loss < result.history[0].loss


MEASURE = """
import torch
from stylelib import samples, transfer
torch.set_num_threads(1)
photo, style = samples.load("coffee"), samples.load("mosaic")
transfer(photo, style, image_shape=512, style_shape=200, scales=1, steps=2, memory={memory},
         precision="float32", recipe="coarse-to-fine", style_layers=["relu1_1", "relu2_1"],
         content_layers=["relu2_2"])
lines = open("/proc/self/status").read().splitlines()
print(next(int(line.split()[1]) * 1024e-9 for line in lines if line.startswith("VmHWM")))
"""
# not ru_maxrss, which a process inherits from the one that starts it


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_a_process_keeps_to_its_bound():
    plain, tiled = (
        float(
            subprocess.run(
                [sys.executable, "-c", MEASURE.format(memory=memory)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for memory in (64.0, 1.2)
    )
    assert tiled < 1.1 * 1.2 < plain  # on other processors libraries take other memory


# --- sizes and steps


def test_sizes_above_a_megapixel_get_fewer_steps():
    shapes = [(500, 500), (1024, 1024), (2048, 1024), (4096, 2731)]
    assert spread(240, shapes) == [60, 60, 30, 6]
    assert spread(240, shapes[:2]) == 240
    assert spread(12, shapes)[-1] == 2


def test_steps_may_be_given_for_each_size():
    result = transfer(PHOTO, STYLE, image_shape=96, steps=[3, 2], recipe="d2l", scales=2)
    assert len(result.history) == 5
    assert result.settings["steps"] == [3, 2]
    with pytest.raises(InputError, match="3 numbers, one for each size, but there are only 2"):
        transfer(PHOTO, STYLE, image_shape=96, steps=[3, 2, 1], recipe="d2l", scales=2)
    with pytest.raises(InputError, match=r"2 numbers, .* there is only 1 size$"):
        transfer(PHOTO, STYLE, image_shape=96, steps=[3, 2], recipe="d2l")
    for scales in (0, "2", 10**12):
        with pytest.raises(InputError, match="scales must be a whole number"):
            transfer(PHOTO, STYLE, image_shape=96, steps=[3, 2], recipe="d2l", scales=scales)
    with pytest.raises(InputError, match="steps must be a whole number"):
        transfer(PHOTO, STYLE, image_shape=96, steps=[3, 0], recipe="d2l", scales=2)


def test_work_is_counted_in_pixels():
    ends, shapes = ends_of([10, 10, 5], 3), [(10, 10), (20, 20), (40, 40)]
    assert ends == [0, 10, 20, 25]
    assert ends_of(10, 3) == [0, 3, 6, 10]
    total = 10 * 100 + 10 * 400 + 5 * 1600
    assert done_of(10, ends, shapes) == 1000 / total
    assert done_of(15, ends, shapes) == 3000 / total
    assert done_of(25, ends, shapes) == done_of(30, ends, shapes) == 1


# --- the time left


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_the_time_left_counts_pixels_not_steps():
    """A second for every hundredth of the work; half of the steps are a tenth of the work."""
    clock = Clock()
    left = TimeLeft(clock)
    assert left.after(0.01) is None
    for done in (0.02, 0.05, 0.1, 0.4, 0.9):
        clock.now = 100 + 100 * (done - 0.01)
        assert left.after(done) == pytest.approx(100 * (1 - done))
    assert left.after(1.0) == 0
    assert left.after(None) is None


def test_the_time_left_forgets_how_fast_it_was_long_ago():
    clock = Clock()
    left = TimeLeft(clock)
    for i in range(1, 20):
        clock.now += 1
        left.after(0.01 * i)
    for i in range(20, 40):
        clock.now += 5
        found = left.after(0.01 * i)
    assert found == pytest.approx(5 * 61)


def test_the_progress_bar_shows_the_time_left():
    bar = ProgressBar(10)
    clock = Clock()
    bar.time_left = TimeLeft(clock)
    for number, done in ((1, 0.01), (2, 0.02)):
        clock.now += 2
        record = {"losses": {"a": 1.0}, "lr": 1.0, "seconds": 1.0, "evaluations": number}
        bar(Step(step=number, picture=torch.zeros(1), done=done, **record))
    assert "<03:16," in str(bar.bar)  # 98 hundredths, 2 s each
    bar.close()


# --- estimates


def test_an_estimate_is_the_time_of_all_steps_targets_and_shares():
    plans = [Plan(0, None, 1e9, 1.0), Plan(2, 512, 2e9, 1.5)]
    seconds = seconds_of(plans, [(10, 10), (20, 20)], [30, 4], 0.0, 1e-3)
    assert seconds == pytest.approx(1e-3 * (100 * 32 + 1.5 * 400 * 6 + 1.5 * 400 * 2))
    assert seconds_of(plans, [(10, 10), (20, 20)], [30, 4], 0.5, 0.0) == 0.5 * (32 + 6 + 2)


def test_a_gpu_takes_some_time_for_a_step_of_any_size(monkeypatch):
    def timed(run, most):
        pixels = min(most, run.largest)
        return pixels, 8e-3 + 7e-9 * pixels

    monkeypatch.setattr(estimates, "timed", timed)
    cuda = torch.device("cuda")
    found = rates(SimpleNamespace(device=cuda, largest=10**7))
    assert found == pytest.approx((8e-3, 7e-9))
    small = 8e-3 + 7e-9 * 1000
    assert rates(SimpleNamespace(device=cuda, largest=1000)) == pytest.approx((small, 0))
    assert rates(SimpleNamespace(device=CPU, largest=1000)) == pytest.approx((0, small / 1000))


def test_an_estimate_tells_sizes_steps_memory_and_tiles():
    text = str(Estimate([(75, 100), (150, 200)], [25, 25], 600.0, 3.21, 384))
    assert text == (
        "75 x 100: 25 steps\n150 x 200: 25 steps\n"
        "about 3.2 GB, 10 min; the last size by tiles of 384 pixels"
    )
    assert [duration(s) for s in (39.2, 600, 9000)] == ["40 s", "10 min", "2.5 h"]


def test_an_estimate_is_for_the_arguments_of_transfer():
    found = estimate(PHOTO, STYLE, image_shape=64, steps=7, recipe="d2l")
    assert (found.shapes, found.steps, found.tile) == ([(64, 96)], [7], None)
    assert found.seconds > 0
    assert 0.1 < found.memory < 64
    with pytest.raises(InputError, match="no argument 'step'; did you mean 'steps'"):
        estimate(PHOTO, STYLE, step=7)
    with pytest.raises(InputError, match="needs about"):
        estimate(PHOTO, STYLE, image_shape=4000, memory=1.0)


def test_a_dry_run_tells_and_writes_nothing(tmp_path, capsys):
    samples.write(tmp_path / "in")
    files = [str(tmp_path / "in" / name) for name in ("coffee.jpg", "mosaic.jpg")]
    command = [
        "transfer",
        *files,
        "--size",
        "64",
        "--steps",
        "6",
        "-o",
        str(tmp_path / "out.png"),
    ]
    assert main([*command, "--dry-run"]) == 0
    assert "64 x 96" in capsys.readouterr().out
    assert not (tmp_path / "out.png").exists()
    assert main([*command, "--memory", "0.1", "--dry-run"]) == 2
    assert "needs about" in capsys.readouterr().err


# --- the memory there is


def test_a_container_may_have_less_than_the_machine(tmp_path, monkeypatch):
    limit, used, stat = (tmp_path / f"memory.{name}" for name in ("max", "current", "stat"))
    limit.write_text("3000000000\n")
    used.write_text("1000000000\n")
    monkeypatch.setattr(room, "OWN_GROUP", tmp_path / "cgroup")  # not there yet
    monkeypatch.setattr(
        room, "CGROUPS", [(str(tmp_path), "", "max", "current", "inactive_file")]
    )
    assert room.of_cgroup() == 2e9
    # files that were read count as used, but the system gives them up
    stat.write_text("anon 300000000\nfile 700000000\ninactive_file 600000000\n")
    assert room.of_cgroup() == 2.6e9
    stat.unlink()
    assert room.available(CPU) <= 2e9
    limit.write_text("max\n")
    assert room.of_cgroup() == float("inf")
    assert 1e7 < room.in_use(CPU) < 1e12
    assert room.available(CPU) > 1e6


@pytest.mark.parametrize(("controller", "line"), [("", "0::{}"), ("memory", "4:cpu,memory:{}")])
def test_of_groups_within_groups_the_least_counts(tmp_path, monkeypatch, controller, line):
    def group(path, most, now):
        (tmp_path / path).mkdir(parents=True, exist_ok=True)
        (tmp_path / path / "memory.max").write_text(most)
        (tmp_path / path / "memory.current").write_text(now)

    monkeypatch.setattr(
        room, "CGROUPS", [(str(tmp_path), controller, "max", "current", "file")]
    )
    monkeypatch.setattr(room, "OWN_GROUP", tmp_path / "own")
    group("jobs", "9000", "2000")
    group("jobs/mine", "max", "500")
    group("jobs/other", "100", "90")
    for path, expected in (("/jobs/mine", 7000), ("/", float("inf")), ("/../..", float("inf"))):
        (tmp_path / "own").write_text(f"7:pids:/elsewhere\n{line.format(path)}\n")
        assert room.of_cgroup() == expected
    group("jobs/mine", "1000", "500")
    (tmp_path / "own").write_text(line.format("/jobs/mine"))
    assert room.of_cgroup() == 500
