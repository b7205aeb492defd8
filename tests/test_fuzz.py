"""What `make fuzz` has found, 50 quick cases of each of its kinds, and its rules themselves."""

import io
import json
import os
import subprocess
import warnings
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import fuzz
import numpy as np
import pytest
import torch
from damage import Case
from PIL import Image
from torch import nn
from toys import statuses, tiny_network

from stylelib import (
    AdamDescent,
    FileError,
    InputError,
    NetworkFeatures,
    Recipe,
    Style,
    batch,
    files,
    load_image,
    load_mask,
    postprocess,
    samples,
    save_image,
    synthesize_texture,
    transfer,
    vgg19,
)
from stylelib.devices import find_device
from stylelib.files import make_folder, write_image, write_whole
from stylelib.from_scratch import VGG19
from stylelib.large.checkpoints import Checkpoint, read_checkpoint
from stylelib.large.clips import write_animation
from stylelib.large.tables import value_of
from stylelib.networks import check_module
from stylelib.objectives import factors_of
from stylelib.results import Finished
from stylelib.stages import RunState, check_state

RED = Image.new("RGB", (3, 2), "red")


def quantized(X):
    with warnings.catch_warnings():  # it is going to leave PyTorch
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(X, 0.1, 0, torch.qint8)


NO_NUMBERS = {
    "meta": lambda X: X.to("meta"),
    "sparse": torch.Tensor.to_sparse,
    "quantized": quantized,
    "complex": lambda X: X.to(torch.complex64),
}


@pytest.fixture(params=sorted(NO_NUMBERS))
def without_numbers(request):
    """Takes the numbers out of a tensor."""
    return NO_NUMBERS[request.param]


# --- the kinds and the rules


@pytest.mark.parametrize("kind", sorted(fuzz.KINDS))
def test_fifty_cases_break_no_rule(kind):
    outcomes = [fuzz.tried(kind, seed) for seed in range(50)]
    assert [each.broken for each in outcomes if each.broken] == []
    assert 0 < sum(bool(each.refused) for each in outcomes) < 50


@pytest.fixture
def judged(monkeypatch):
    """What the rules say of a call."""

    def judge(call, folder=None):
        def kind(rng, own):
            return Case(call, own if folder is None else folder)

        monkeypatch.setitem(fuzz.KINDS, "own", kind)
        return fuzz.tried("own", 0)

    return judge


def raises(error):
    raise error


def test_errors_of_others_break_a_rule(judged):
    assert judged(lambda: raises(ValueError("no"))).broken.startswith("ValueError: no\n")
    assert judged(lambda: raises(SystemExit(3))).broken
    assert judged(lambda: raises(InputError("bad"))) == ("", "bad")
    assert judged(lambda: None) == ("", "")


def test_what_leaves_the_folder_breaks_a_rule(judged, tmp_path):
    outside = tmp_path / "outside"
    for call in (
        lambda: outside.write_text("x"),
        lambda: os.mkdir(outside),
        lambda: os.symlink("a", outside),
        lambda: Path("a").symlink_to(outside) or Path("a").write_text("x"),
        lambda: Path("a").write_text("x") and os.rename("a", outside),
        lambda: subprocess.run(["true"], check=True),
        lambda: os.system("true"),
    ):
        assert judged(call).broken.startswith("it left its folder"), call
        assert not os.path.lexists(outside)
    assert judged(lambda: Path("a").write_text("x")) == ("", "")
    assert judged(lambda: Path("a").write_text("x"), folder=tmp_path).broken


def test_an_escape_is_seen_where_the_exception_is_hidden(judged, tmp_path):
    def hidden():
        try:
            (tmp_path / "outside").write_text("x")
        except BaseException:
            return

    assert judged(hidden).broken.startswith("it left its folder")


def test_a_slow_case_breaks_a_rule(judged, monkeypatch):
    monkeypatch.setattr(fuzz, "SECONDS", 0.0)
    assert judged(lambda: sum(range(1000))).broken.startswith("it took 0.0 s")


# --- names


def test_names_that_are_none(tmp_path):
    for name in ([], None, torch.zeros(2), Path("chelsea")):
        with pytest.raises(InputError, match="no sample"):
            samples.path(name)
    with pytest.raises(InputError, match="path"):
        Finished(RED, [], {}).save(torch.zeros(2))


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
def test_names_that_no_file_can_have(name, tmp_path):
    with pytest.raises(InputError, match="must be a path"):
        samples.write(tmp_path / name)
    with pytest.raises(InputError, match="must be a path"):
        Checkpoint(tmp_path / name, {})
    with pytest.raises(FileError, match="cannot make"):
        make_folder(tmp_path / name)
    with pytest.raises(FileError):
        write_whole(tmp_path / name, b"x")
    with pytest.raises(FileError):
        load_image(tmp_path / name)
    with pytest.raises(FileError, match="no file"):
        vgg19(tmp_path / name, layers=["conv1_1"])
    assert os.listdir(tmp_path) == []


def test_names_that_are_too_long(tmp_path):
    name = "x" * 250 + ".png"  # 254 bytes, and 259 with ".json"
    with pytest.raises(FileError, match="too long"):
        Finished(RED, [], {}).save(tmp_path / name)
    assert os.listdir(tmp_path) == []
    for read in (vgg19, VGG19):
        with pytest.raises(FileError, match="no file"):
            read(tmp_path / ("x" * 300), layers=["conv1_1"])


# --- images


@pytest.mark.parametrize(("ending", "value"), [("gif", (1, 2, 3)), ("webp", None)])
def test_odd_transparency_is_not_written(ending, value, tmp_path):
    image = Image.new("P", (3, 2))
    image.info["transparency"] = value
    with pytest.raises(InputError, match="cannot write"):
        write_image(image, tmp_path / f"a.{ending}")
    assert os.listdir(tmp_path) == []


def test_a_program_in_postscript_is_not_run(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a program was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    stream = io.BytesIO()
    RED.save(stream, "EPS")
    with pytest.raises(FileError, match="PostScript"):
        load_image(stream.getvalue())


def test_what_has_no_end_is_not_read_to_the_end(monkeypatch, tmp_path):
    file = tmp_path / "a.png"
    file.write_bytes(bytes(1001))
    monkeypatch.setattr(files, "MAX_BYTES", 1000)
    sources = [file, io.BytesIO(bytes(1001)), bytes(1001)]
    if os.path.exists("/dev/zero"):
        sources.append("/dev/zero")
    for source in sources:
        with pytest.raises(FileError, match="more than 1,000 bytes"):
            load_image(source)
    with pytest.raises(FileError, match="not an image"):
        load_image(bytes(1000))


def test_an_animation_too_large_for_its_format(tmp_path):
    wide = Image.new("RGB", (16384, 1))
    with pytest.raises(InputError, match="as WEBP"):
        write_animation([wide, wide], tmp_path / "a.webp")
    assert os.listdir(tmp_path) == []


# --- tensors


def test_tensors_without_numbers_are_refused(without_numbers, tmp_path):
    X = without_numbers(torch.ones(1, 3, 4, 4))
    for call in (
        lambda: load_mask(without_numbers(torch.ones(4, 4))),
        lambda: postprocess(X),
        lambda: save_image(X, tmp_path / "a.png"),
        lambda: save_image(without_numbers(torch.ones(4, 4)), tmp_path / "a.png"),
    ):
        with pytest.raises(InputError, match="real values"):
            call()


def test_a_network_without_weights_is_refused():
    with pytest.raises(InputError, match="no weights"):
        check_module(nn.Conv2d(3, 4, 3, device="meta"))


def test_a_network_that_cannot_process_the_image_is_refused():
    net = nn.Sequential(nn.Linear(3, 3)).eval()
    with pytest.raises(InputError, match=r"layer 0 .* \(1, 3, 4, 5\)"):
        NetworkFeatures(net)(torch.zeros(1, 3, 4, 5), [0])


@pytest.mark.filterwarnings("ignore")  # PyTorch says that some kinds of tensors are to go
def test_weights_without_numbers_are_refused(without_numbers, tmp_path):
    weight = without_numbers(torch.ones(64, 3, 3, 3))
    file = tmp_path / "weights.pth"
    torch.save({"0.weight": weight, "0.bias": torch.zeros(64)}, file)
    with pytest.raises(FileError, match=r"features\.0\.weight"):
        vgg19(file, layers=["conv1_1"])


def test_a_matconvnet_file_that_ends_scipys_process(tmp_path):
    def words(*numbers):
        return np.array(numbers, "<i4").tobytes()

    file = tmp_path / "a.mat"
    array, cells = (6, 8, 1, 0, 5, 8, 1, 1), (6, 8, 2, 0, 5, 8, 1, 1)
    file.write_bytes(
        b"MATLAB 5.0 MAT-file".ljust(124)
        + b"\0\1IM"
        + (words(14, 824, *array, 1, 6) + b"layers\0\0")
        + (words(14, 768, *cells, 1, 0, 0x40005, 8, 1, 24) + b"name\0\0\0\0")
        + b"filters\0biases\0\0"
        + words(14, 56, 6, 8, 4, 0, 5, 8, 1, 7, 1, 0)
        + (words(0x210, 7) + b"conv1_1\0")  # a type of numbers that there is not
        + words(14, 48, 6, 8)
    )
    with pytest.raises(FileError, match=r"a\.mat"):
        VGG19(file, layers=["conv1_1"])


# --- settings


def test_devices_that_are_none():
    for device in (2**63, 10**400, "cuda:99999999999999999999", object()):
        with pytest.raises(InputError, match="cannot be used"):
            find_device(device)


def test_layers_that_are_lists():
    with pytest.raises(InputError, match="style_layers are numbers or names"):
        factors_of([0, [1]], "style_layers")


def test_ways_to_move_that_are_none():
    for descent in (5, [], object()):
        with pytest.raises(InputError, match="descent must be"):
            Recipe(descent=descent)
        with pytest.raises(InputError, match="descent must be"):
            synthesize_texture(RED, [0], descent=descent, net=tiny_network())


def test_sizes_of_strokes_that_are_tensors():
    styles = [Style(RED, strokes=torch.tensor(2.0))]
    result = transfer(
        *(RED, styles),
        image_shape=8,
        steps=1,
        net=tiny_network(),
        content_layers=[0],
        style_layers=[0],
    )
    assert result.image.size == (12, 8)


def test_a_fraction_is_recorded(tmp_path):
    Finished(RED, [], {"strength": Fraction(1, 4)}).save(tmp_path / "a.png")
    assert json.loads((tmp_path / "a.png.json").read_text())["strength"] == 0.25


def test_losses_are_averaged_over_no_layers():
    result = transfer(
        *(RED, RED),
        recipe=Recipe(averages=True, content_layers=[0], style_layers=[]),
        image_shape=8,
        steps=1,
        net=tiny_network(),
    )
    assert result.history[0].losses["style"] == 0


# --- checkpoints


def test_a_checkpoint_of_an_odd_format(tmp_path):
    file = tmp_path / "state"
    for content in (torch.zeros(2), [], "1"):
        torch.save({"kind": "checkpoint of stylelib", "format": content}, file)
        with pytest.raises(FileError, match="checkpoint"):
            read_checkpoint(file)


def test_a_checkpoint_in_place_of_a_folder(tmp_path):
    with pytest.raises(FileError, match="is a directory"):
        Checkpoint(tmp_path, {})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        {"picture": torch.zeros(2)},
        {"began": torch.zeros(1, 3, 4, 4, dtype=torch.long)},
        {"size": "0"},
        {"made": -1},
        {"optimizer": None},
        {"scheduler": 3},
        {"random": torch.zeros(5)},
        {"random_began": torch.get_rng_state()[:-1]},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_state_of_another_form(change):
    X = torch.zeros(1, 3, 4, 4)
    state = RunState(X, X, "AdamDescent", 0, 1, {}, None, [], torch.get_rng_state())
    check_state(state, [(4, 4)], [0, 2], AdamDescent())
    with pytest.raises(InputError, match="damaged"):
        check_state(replace(state, **change), [(4, 4)], [0, 2], AdamDescent())


# --- batches


def test_a_size_of_thousands_of_digits_stays_a_text():
    text = f"{'9' * 5001}x9"
    assert value_of("image_shape", text) == text
    assert value_of("image_shape", "200 x 300") == (200, 300)


def test_a_number_that_is_no_float_is_told_in_the_report(tmp_path):
    file = tmp_path / "a.png"
    RED.save(file)
    report = batch([file], tmp_path / "out", styles=file, workers=1, strokes=10**400)
    assert statuses(report) == ["failed"]
