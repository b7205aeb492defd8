import inspect
import json
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import AS_IN_A_TERMINAL, MODULE, steps_until

import stylelib
from stylelib import D2L_WEIGHTS, EMBEDDED_WEIGHTS, RECIPES, samples
from stylelib.__main__ import main

TINY = ["--recipe", "d2l", "--size", "16", "--steps", "2", "--precision", "float32"]


@pytest.fixture
def folder(tmp_path):
    """A folder with a content picture, a style picture and a text file."""
    for name, source in (("content.png", "chelsea"), ("style.png", "mosaic")):
        samples.load(source).resize((60, 40)).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no picture\n")
    return tmp_path


def run(folder, *arguments):
    """The command line as a person would run it, in `folder`."""
    command = [*MODULE, *map(str, arguments)]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=200, check=False
    )


def call(monkeypatch, folder, *arguments):
    """The same in this process, which is quicker: the exit code."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("NO_COLOR", "1")  # of the help, from Python 3.14 on
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    monkeypatch.setenv("PYTHON_COLORS", "0")
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return stop.code


# --- transfer


def test_transfer_writes_the_picture_and_its_settings(folder):
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = run(
        folder, "transfer", "content.png", "style.png", "-o", "out.png", *TINY, "--seed", "7"
    )
    assert done.returncode == 0, done.stderr
    with Image.open(folder / "out.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (24, 16))
    settings = json.loads((folder / "out.png.json").read_text())
    assert (settings["steps"], settings["steps_made"], settings["seed"]) == (2, 2, 7)
    assert (settings["content"], settings["style"], settings["image_shape"]) == (
        "content.png",
        "style.png",
        16,
    )
    assert settings["stylelib"] == stylelib.__version__
    assert "2/2" in done.stderr  # the progress bar, which is no part of the output
    assert done.stdout.startswith("out.png: 2 steps")
    assert done.stdout.count("\n") == 1
    after = {path: path.read_bytes() for path in folder.iterdir()}
    assert {path: after[path] for path in before} == before
    assert {path.name for path in after.keys() - before.keys()} == {"out.png", "out.png.json"}


def test_the_command_line_gives_the_picture_that_transfer_gives(monkeypatch, folder, capsys):
    options = [
        "--size",
        "16x24",
        "--steps",
        "3",
        "--recipe",
        "d2l",
        "--lr",
        "0.1",
        "--precision",
        "float32",
        "--device",
        "cpu",
    ]
    options += [
        "--content-weight",
        "2",
        "--style-weight",
        "500",
        "--tv-weight",
        "3",
        "--init",
        "noise",
        "--seed",
        "5",
    ]
    assert (
        call(
            monkeypatch,
            folder,
            "transfer",
            "content.png",
            "style.png",
            "-o",
            "out.png",
            *options,
        )
        == 0
    )
    expected = stylelib.transfer(
        folder / "content.png",
        folder / "style.png",
        recipe="d2l",
        image_shape=(16, 24),
        steps=3,
        lr=0.1,
        weights=stylelib.LossWeights(2, 500, 3),
        init="noise",
        seed=5,
        precision="float32",
        device="cpu",
    )
    with Image.open(folder / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected.image))


@pytest.mark.parametrize(
    ("size", "expected"),
    [("32", (48, 32)), ("32x48", (48, 32)), ("20x33", (33, 20)), ("20X33", (33, 20))],
)
def test_size_is_the_shorter_side_or_height_x_width(
    monkeypatch, folder, capsys, size, expected
):
    arguments = ["transfer", "content.png", "style.png", "-o", "out.jpg", *TINY, "--size", size]
    assert call(monkeypatch, folder, *arguments) == 0
    with Image.open(folder / "out.jpg") as image:
        assert (image.format, image.size) == ("JPEG", expected)


@pytest.mark.parametrize("init", ["content", "style", "noise", "style.png"])
def test_every_start_works(monkeypatch, folder, capsys, init):
    arguments = ["transfer", "content.png", "style.png", "-o", "out.png", *TINY, "--init", init]
    assert call(monkeypatch, folder, *arguments) == 0
    assert json.loads((folder / "out.png.json").read_text())["init"] == init


def test_scales_clamp_style_size_and_save_every(monkeypatch, folder, capsys):
    options = [
        "--recipe",
        "d2l",
        "--size",
        "32",
        "--style-size",
        "40",
        "--steps",
        "4",
        "--scales",
        "2",
        "--no-clamp",
        "--save-every",
        "2",
    ]
    assert (
        call(
            monkeypatch,
            folder,
            "transfer",
            "content.png",
            "style.png",
            "-o",
            "out.png",
            *options,
        )
        == 0
    )
    assert {path.name for path in folder.glob("step-*")} == {"step-0002.png", "step-0004.png"}
    settings = json.loads((folder / "out.png.json").read_text())
    assert (
        settings["scales"],
        settings["clamp"],
        settings["style_shape"],
        settings["steps"],
    ) == (2, False, 40, 4)


def test_an_existing_picture_is_replaced(monkeypatch, folder, capsys):
    (folder / "out.png").write_bytes(b"old")
    assert (
        call(
            monkeypatch, folder, "transfer", "content.png", "style.png", "-o", "out.png", *TINY
        )
        == 0
    )
    with Image.open(folder / "out.png") as image:
        assert image.size == (24, 16)


# --- bad input

COMPLETE = {"content": "content.png", "style": "style.png", "-o": "out.png", "--recipe": "d2l"}
BAD = {
    "missing content": ({"content": "gone.png"}, "gone.png"),
    "missing style": ({"style": "gone.png"}, "gone.png"),
    "content no picture": ({"content": "notes.txt"}, "notes.txt"),
    "content a directory": ({"content": "."}, "directory"),
    "unknown ending": ({"-o": "out.xyz"}, "out.xyz"),
    "no ending": ({"-o": "out"}, "'out'"),
    "output a directory": ({"-o": "dir.png"}, "dir.png"),
    "missing output folder": ({"-o": "absent/out.png"}, "absent"),
    "size a word": ({"--size": "big"}, "big"),
    "size of three": ({"--size": "3x4x5"}, "3x4x5"),
    "size empty": ({"--size": ""}, "--size"),
    "size 0": ({"--size": "0"}, "0"),
    "size negative": ({"--size": "-5"}, "-5"),
    "size half missing": ({"--size": "32x"}, "32x"),
    "size a fraction": ({"--size": "32.5"}, "32.5"),
    "size too small for the network": ({"--size": "8"}, "8 x 12"),
    "size too large": ({"--size": "1000000"}, "1000000"),
    "style size 0": ({"--style-size": "0"}, "0"),
    "steps a word": ({"--steps": "many"}, "many"),
    "steps 0": ({"--steps": "0"}, "0"),
    "steps negative": ({"--steps": "-3"}, "-3"),
    "lr 0": ({"--lr": "0"}, "lr"),
    "lr negative": ({"--lr": "-1"}, "-1"),
    "lr nan": ({"--lr": "nan"}, "nan"),
    "lr infinite": ({"--lr": "inf"}, "inf"),
    "lr beyond float32": ({"--lr": "1e39"}, "1e+39"),
    "scales 0": ({"--scales": "0"}, "scales"),
    "more scales than steps": ({"--scales": "9"}, "9"),
    "scales too many for the picture": ({"--scales": "2"}, "too small"),
    "save every 0": ({"--save-every": "0"}, "0"),
    "unknown device": ({"--device": "toaster"}, "toaster"),
    "a device that is not there": ({"--device": "cuda:99"}, "cuda:99"),
    "a device without arithmetic": ({"--device": "meta"}, "meta"),
    "unknown precision": ({"--precision": "float8"}, "float8"),
    "unknown init": ({"--init": "chaos"}, "chaos"),
    "init no picture": ({"--init": "notes.txt"}, "notes.txt"),
    "seed too large": ({"--init": "noise", "--seed": "9" * 30}, "9" * 30),
    "unknown weights": ({"--weights": "embeded"}, "embeded"),
    "weights no weights": ({"--weights": "notes.txt"}, "notes.txt"),
    "unknown option": ({"--color": "red"}, "--color"),
    "style weight a word": ({"--style-weight": "much"}, "much"),
    "mix a word": ({"--mix": "much"}, "much"),
    "mix of two for one style": ({"--mix": "0.7,0.3"}, "--mix needs a value for each style"),
    "mix negative": ({"--mix": "-1"}, "the weight of a style must be a finite number"),
    "mix 0": ({"--mix": "0"}, "all styles have the weight 0"),
    "missing mask": ({"--here": "gone.png"}, "gone.png"),
    "mask no picture": ({"--there": "notes.txt"}, "notes.txt"),
    "two masks for one style": ({"--there": "-,-"}, "--there needs a value for each style"),
    "mask of other proportions": ({"--here": "square.png"}, "--here is 20 x 20, of other"),
    "mask of the style likewise": ({"--there": "square.png"}, "--there is 20 x 20, of other"),
    "mask black": ({"--here": "black.png"}, "--here is empty"),
    "unknown colors": ({"--colors": "red"}, "red"),
    "strength above 1": ({"--strength": "2"}, "--strength must be a finite number"),
    "strokes 0": ({"--strokes": "0"}, "--strokes must be a finite number"),
    "shares a word": ({"--shares": "much"}, "much"),
    "shares of a loss there is not": ({"--shares": "content=0.5,stile=0.5"}, "'stile'"),
    "shares above 1": ({"--shares": "content=0.5,style=0.6"}, "--shares add up to 1"),
}


def transfer_arguments(changes):
    given = COMPLETE | {"--size": "16", "--steps": "2"} | changes
    arguments = ["transfer", given.pop("content"), given.pop("style")]
    for option, value in given.items():
        arguments.append(f"{option}={value}" if option.startswith("--") else option)
        arguments += [] if option.startswith("--") else [value]
    return arguments


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_exit_code_2_and_no_output(monkeypatch, folder, capfd, case):
    changes, named = BAD[case]
    (folder / "dir.png").mkdir()
    (folder / "out.png").write_bytes(b"an older picture")
    Image.new("L", (20, 20), 255).save(folder / "square.png")
    Image.new("L", (60, 40)).save(folder / "black.png")
    before = sorted(folder.rglob("*"))
    assert call(monkeypatch, folder, *transfer_arguments(changes)) == 2
    out, err = capfd.readouterr()
    assert out == ""
    # A carriage return starts a line too: a progress bar before the message is not one line.
    assert re.fullmatch(r"stylelib[^\n\r]*: [^\n\r]+\n", err), repr(err)
    assert named in err
    assert (folder / "out.png").read_bytes() == b"an older picture"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "command"),
        (["paint"], "paint"),
        (["transfer"], "content"),
        (["transfer", "content.png"], "style"),
        (["transfer", "content.png", "style.png"], "--output"),
        (["transfer", "content.png", "style.png", "more.png", "-o", "out.png"], "more.png"),
        (["check"], "file"),
        (["check", "missing.py"], "missing.py"),
        (["check", "notes.txt"], "notes.txt"),
        (["samples"], "folder"),
        (["samples", "a", "b"], "b"),
        (["samples", "notes.txt"], "notes.txt"),
        (["samples", "notes.txt/inside"], "notes.txt"),
    ],
)
def test_incomplete_commands_are_one_line_and_exit_code_2(
    monkeypatch, folder, capfd, arguments, named
):
    assert call(monkeypatch, folder, *arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"stylelib[^\n\r]*: [^\n\r]+\n", err), repr(err)
    assert named in err


# The same as a process of its own, where nothing catches what the interpreter prints at its end.
@pytest.mark.parametrize(
    "case", ["missing content", "unknown ending", "size a word", "unknown device"]
)
def test_bad_input_to_the_process_is_one_line_and_exit_code_2(folder, case):
    changes, named = BAD[case]
    done = run(folder, *transfer_arguments(changes))
    assert done.returncode == 2
    assert done.stdout == ""
    assert named in done.stderr
    assert re.fullmatch(r"stylelib[^\n\r]*: [^\n\r]+\n", done.stderr), repr(done.stderr)
    assert not (folder / "out.png").exists()


def test_divergence_saves_the_last_good_picture_and_is_exit_code_1(monkeypatch, folder, capfd):
    arguments = [
        *transfer_arguments({"--lr": "1e30", "--steps": "5"}),
        "--no-clamp",
        "--precision",
        "float32",
    ]
    assert call(monkeypatch, folder, *arguments) == 1
    assert re.search(
        r"stylelib: [^\n]*(nan|inf)[^\n]*learning rate[^\n]*saved as out\.png\n",
        capfd.readouterr().err,
    )
    with Image.open(folder / "out.png") as image:
        assert image.size == (24, 16)


@pytest.mark.parametrize(
    "arguments", [["--help"], ["transfer", "--help"], ["samples", "--help"], ["--version"]]
)
def test_help_and_version_are_no_errors(monkeypatch, folder, capsys, arguments):
    assert call(monkeypatch, folder, *arguments) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert (
        stylelib.__version__ in out if arguments == ["--version"] else "usage: stylelib" in out
    )


def test_help_tells_the_defaults_of_transfer(monkeypatch, folder, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    call(monkeypatch, folder, "transfer", "--help")
    out = capsys.readouterr().out
    parameters = inspect.signature(stylelib.transfer).parameters
    for option, parameter in (
        ("--effort", "effort"),
        ("--size", "image_shape"),
        ("--recipe", "recipe"),
    ):
        assert re.search(
            rf"  {option} [^\n]*\(default: {parameters[parameter].default}\)", out
        ), option
    for name in ("content", "style", "tv"):
        main, d2l = (getattr(weights, name) for weights in (EMBEDDED_WEIGHTS, D2L_WEIGHTS))
        others = [
            f"{getattr(RECIPES[recipe].weights, name):g} ({recipe})"
            for recipe in ("coarse-to-fine", "neighbors", "gatys", "assignment")
        ]
        said = [f"{main:g} (d2l)", f"{d2l:g} (d2l, --weights not embedded)", *others]
        text = re.escape(f"by default {', '.join(said)}\n")
        assert re.search(rf"  --{name}-weight \S+\s+weight[^\n]*{text}", out)
    assert re.search(r"  --lr [^\n]*by default 0\.3\n", out)
    assert re.search(
        r"  --init [^\n]*content \(d2l\), noise \(gatys\), content \(assignment\)\n", out
    )
    assert "None" not in out


def test_several_styles_and_every_control_are_handed_on(monkeypatch, folder, capsys):
    """As a person would type them; the same picture as from Python."""
    mask = np.zeros((40, 60), np.uint8)
    mask[:, :30] = 255
    Image.fromarray(mask).save(folder / "left.png")
    Image.fromarray(255 - mask).save(folder / "right.png")
    arguments = ["transfer", "content.png", "style.png", "content.png", "-o", "out.png"]
    arguments += ["--mix", "0.7, 0.3", "--here", "left.png, -", "--there=-,right.png"]
    arguments += ["--colors", "keep", "--strength", "0.8", "--strokes", "1.5"]
    arguments += ["--shares", "content=0.4,style=0.4,tv=0.2", "--recipe", "d2l"]
    arguments += [
        "--size",
        "32x48",
        "--steps",
        "8",
        "--precision",
        "float32",
        "--device",
        "cpu",
    ]
    assert call(monkeypatch, folder, *arguments) == 0
    capsys.readouterr()
    content, style = folder / "content.png", folder / "style.png"
    expected = stylelib.transfer(
        content,
        [
            stylelib.Style(style, weight=0.7, here=mask / 255),
            stylelib.Style(content, weight=0.3, there=1 - mask / 255),
        ],
        colors="keep",
        strength=0.8,
        strokes=1.5,
        shares={"content": 0.4, "style": 0.4, "tv": 0.2},
        recipe="d2l",
        image_shape=(32, 48),
        steps=8,
        precision="float32",
        device="cpu",
    )
    with Image.open(folder / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected.image))
    settings = json.loads((folder / "out.png.json").read_text())
    assert [each["weight"] for each in settings["style"]] == [0.7, 0.3]
    assert [each["here"] for each in settings["style"]] == [True, False]


def test_the_recipe_is_handed_on(monkeypatch, folder, capsys):
    arguments = ["transfer", "content.png", "style.png", "-o", "out.png", "--recipe", "gatys"]
    assert call(monkeypatch, folder, *arguments, "--size", "32x48", "--steps", "6") == 0
    capsys.readouterr()
    expected = stylelib.transfer(
        folder / "content.png",
        folder / "style.png",
        recipe="gatys",
        image_shape=(32, 48),
        steps=6,
    )
    with Image.open(folder / "out.png") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(expected.image))


# --- samples


def test_samples_writes_every_picture_and_the_credits(folder):
    done = run(folder, "samples", "new/pictures")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    target = folder / "new" / "pictures"
    assert {path.name for path in target.iterdir()} == {
        f"{name}.jpg" for name in samples.names()
    } | {"CREDITS.txt"}
    for name in samples.names():
        assert (target / f"{name}.jpg").read_bytes() == samples.path(name).read_bytes()
    credit_lines = (target / "CREDITS.txt").read_text(encoding="utf-8").splitlines()
    assert [line.split(":")[0] for line in credit_lines] == [
        f"{name}.jpg" for name in samples.names()
    ]


def test_samples_may_be_written_twice_but_replace_no_other_file(monkeypatch, folder, capfd):
    assert call(monkeypatch, folder, "samples", "pictures") == 0
    assert call(monkeypatch, folder, "samples", "pictures") == 0
    (folder / "pictures" / "mosaic.jpg").write_bytes(b"my own mosaic")
    (folder / "pictures" / "chelsea.jpg").unlink()
    capfd.readouterr()
    assert call(monkeypatch, folder, "samples", "pictures") == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert "mosaic.jpg" in err
    assert (folder / "pictures" / "mosaic.jpg").read_bytes() == b"my own mosaic"
    assert not (folder / "pictures" / "chelsea.jpg").exists()  # nothing was written


# --- Ctrl-C


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c_saves_the_picture_made_so_far(folder):
    command = [*AS_IN_A_TERMINAL, "transfer", "content.png", "style.png"]
    command += ["-o", "out.png", "--size", "16", "--precision", "float32"]
    steps = steps_until(signal.SIGINT, 130, command, folder)
    assert 1 <= steps < 100000
    settings = json.loads((folder / "out.png.json").read_text())
    assert (settings["steps"], settings["steps_made"]) == (100000, steps)
    assert settings["interrupted"]
    with Image.open(folder / "out.png") as image, Image.open(folder / "content.png") as content:
        assert image.size == (24, 16)
        start = np.asarray(
            content.convert("RGB").resize((24, 16), Image.Resampling.BILINEAR)
        ).astype(int)
        assert np.abs(np.asarray(image) - start).max() > 5  # it has moved
    assert {path.name for path in Path(folder).iterdir()} == {
        "content.png",
        "style.png",
        "notes.txt",
        "out.png",
        "out.png.json",
    }


def test_the_bar_counts_every_step(monkeypatch, folder, capfd):
    assert call(monkeypatch, folder, *transfer_arguments({"--steps": "4"})) == 0
    counts = [int(count) for count in re.findall(r" (\d+)/4", capfd.readouterr().err)]
    assert counts[-1] == 4
    assert all(earlier <= later for earlier, later in pairwise(counts))


# --- the other makers

SMALL = ["--size", "32x48", "--steps", "2"]
OTHERS = {
    "texture": (["style.png", "--layers", "relu1_1,pool1", *SMALL], (48, 32)),
    "texture of another size": (["style.png", "--texture-size", "40", *SMALL], (48, 32)),
    "invert": (["content.png", "relu2_1", "--tv-weight", "0.1", *SMALL], (48, 32)),
    "saliency": (["content.png"], (336, 224)),
    "saliency of a class": (["content.png", "--class", "goldfish", "--cut-out"], (336, 224)),
    "fool": (["content.png", "goldfish", "--epsilon", "0.02", "--steps", "1"], (336, 224)),
    "visualize": (["goldfish", *SMALL], (48, 32)),
    "visualize a channel": (["conv2_1:3", "--storage", "pixels", *SMALL], (48, 32)),
}


@pytest.mark.parametrize("case", OTHERS)
def test_every_maker_is_a_command(monkeypatch, folder, capsys, case):
    arguments, expected = OTHERS[case]
    command = case.split()[0]
    assert call(monkeypatch, folder, command, *arguments, "-o", "out.png") == 0
    assert capsys.readouterr().out.startswith("out.png: ")
    with Image.open(folder / "out.png") as image:
        mode = "L" if case == "saliency" else "RGB"
        assert (image.mode, image.size) == (mode, expected)
        assert np.ptp(np.asarray(image)) > 0
    if command != "saliency":
        record = json.loads((folder / "out.png.json").read_text())
        assert record["interrupted"] is False


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["texture", "style.png", "--layers", "conf1"], "did you mean"),
        (["texture", "gone.png"], "gone.png"),
        (["invert", "content.png", "relu9_9"], "relu9_9"),
        (["invert", "content.png", "relu1_1", "--tv-weight", "-1"], "tv weight"),
        (["saliency", "content.png", "--class", "goldfisch"], "did you mean 'goldfish'?"),
        (["fool", "content.png", "goldfish", "--epsilon", "3"], "--epsilon must be from one"),
        (["fool", "content.png", "goldfish", "--steps", "0"], "--steps must be a whole number"),
        (["visualize", "goldfisch"], "goldfish"),
        (["visualize", "conv2_1:999"], "999"),
        (["visualize", "conv2_1:x"], "'x'"),
        (["visualize", "goldfish", "--size", "8"], "--size must be"),
        (["visualize", "goldfish", "--lr", "0"], "--lr must be a finite number above 0"),
    ],
)
def test_bad_input_to_the_others_is_one_line_in_the_users_words(
    monkeypatch, folder, capfd, arguments, named
):
    assert call(monkeypatch, folder, *arguments, "-o", "out.png") == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert re.fullmatch(r"stylelib[^\n\r]*: [^\n\r]+\n", err), repr(err)
    assert named in err
    assert not (folder / "out.png").exists()


def test_layers_may_be_named_with_factors(monkeypatch, folder):
    arguments = ["--content-layers", "relu2_1", "--style-layers", "conv1_1,conv2_1=0.5"]
    given = transfer_arguments({})
    assert call(monkeypatch, folder, *given, *arguments) == 0
    settings = json.loads((folder / "out.png.json").read_text())
    assert settings["content_layers"] == [6]
    assert settings["style_layers"] == {"conv1_1": 1.0, "conv2_1": 0.5}


def test_layers_can_be_listed(monkeypatch, folder, capsys):
    assert call(monkeypatch, folder, "transfer", "--list-layers") == 0
    names = capsys.readouterr().out.split()
    assert (len(names), names[0], names[-1]) == (37, "conv1_1", "pool5")


def test_help_comes_without_pytorch():
    code = (
        "import sys; from stylelib.__main__ import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as stop: assert stop.code == 0\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(word in done.stdout for word in ("transfer", "texture", "visualize"))


# --- check

HALF_RIGHT = """
print("hello")

def content_loss(Y_hat, Y):
    return ((Y_hat - Y.detach()) ** 2).mean()

def tv_loss(Y_hat):
    down = (Y_hat[:, :, 1:] - Y_hat[:, :, :-1]).abs().mean()
    return down + (Y_hat[..., 1:] - Y_hat[..., :-1]).abs().mean()
"""


def test_check_marks_a_file(folder):
    (folder / "mine.py").write_text(HALF_RIGHT)
    done = run(folder, "check", "mine.py")
    assert (done.returncode, done.stderr) == (1, "")
    first, *rest, last = done.stdout.splitlines()
    assert first.startswith("content_loss  right  Your content loss agrees")
    wrong = "tv_loss       wrong  Your total variation has no factor of 1/2"
    assert any(line.startswith(wrong) for line in rest)
    assert last == "1 of 2 right"


def test_check_gives_json_and_exit_code_0_if_all_is_right(monkeypatch, folder, capfd):
    (folder / "mine.py").write_text(HALF_RIGHT.partition("def tv_loss")[0])
    assert call(monkeypatch, folder, "check", "mine.py", "--json") == 0
    said = json.loads(capfd.readouterr().out)
    assert (said["right"], said["of"]) == (1, 1)
    assert said["functions"][0]["name"] == "content_loss"
    assert said["functions"][0]["mistake"] is None
