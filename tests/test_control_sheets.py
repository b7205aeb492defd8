"""Sheets of previews: what stands where, what is refused, and what is written beside them."""

import io
import json
import re

import numpy as np
import pytest
from PIL import Image
from toys import pixels

from stylelib import (
    DivergenceError,
    InputError,
    Interrupted,
    LossWeights,
    Style,
    samples,
    sheet,
    transfer,
)
from stylelib.__main__ import main
from stylelib.control.sheets import filled, said
from stylelib.results import TransferResult

PHOTO, STYLE = samples.load("chelsea"), pixels(32, 32)
QUICK = {"image_shape": 32, "steps": 3, "precision": "float32"}


def made(gray, seconds_of=None, factors=None):
    """A result as `transfer` gives it, of one gray."""
    image = Image.new("RGB", (60, 40), (gray,) * 3)
    settings = {"weights": {"content": 2.0, "style": 3e4, "tv": 0.0}}
    shares = {"content": 0.5, "style": 0.5}
    return TransferResult(
        image, seconds_of or [], settings, None, shares, 0.1, weight_factors=factors or {}
    )


def by_gray(settings):
    return made(10 * settings["a"] + settings["b"])


# --- what stands where


def test_rows_and_columns_have_their_settings():
    found = filled(by_gray, {"b": [1, 2, 3]}, {"a": [5, 6]})
    grays = [[cell.image.getpixel((0, 0))[0] for cell in row] for row in found.results]
    assert grays == [[51, 52, 53], [61, 62, 63]]
    assert (found.rows, found.columns) == (["a 5", "a 6"], ["b 1", "b 2", "b 3"])


def test_the_grid_has_the_images_in_this_order():
    gray = np.asarray(filled(by_gray, {"b": [1, 2, 3]}, {"a": [5, 6]}).image)[..., 0]
    # tiny images are enlarged to 300 x 200; 12 pixels lie between them
    assert gray[5, [5, 317, 629]].tolist() == [51, 52, 53]
    assert gray[199, [299, 611, 923]].tolist() == [51, 52, 53]
    assert (61, 62, 63) in {tuple(row[[5, 317, 629]].tolist()) for row in gray[212:]}
    assert (gray == 63).sum() >= 300 * 200


def test_without_rows_there_is_one_row():
    found = filled(lambda settings: made(settings["b"]), {"b": [7, 8]})
    assert len(found.results) == 1
    assert repr(found.pictures) == (
        "<2 images of 60 x 40: b 7 0.0 s; weights content 2, style 3e+04; "
        "b 8 0.0 s; weights content 2, style 3e+04>"
    )


def test_the_images_are_those_of_transfer():
    found = sheet(
        PHOTO, STYLE, columns={"strength": [0.5, 1]}, rows={"recipe": ["d2l", "gatys"]}, **QUICK
    )
    for row, recipe in zip(found.results, ("d2l", "gatys"), strict=True):
        for cell, strength in zip(row, (0.5, 1), strict=True):
            alone = transfer(PHOTO, STYLE, recipe=recipe, strength=strength, **QUICK)
            assert np.array_equal(cell.image, alone.image)


def test_styles_may_be_an_axis_with_labels():
    found = sheet(PHOTO, columns={"style": {"noise": STYLE, "tiles": [Style(STYLE)]}}, **QUICK)
    assert found.columns == ["style noise", "style tiles"]
    assert len(found.results[0]) == 2


def test_open_files_serve_for_all_images():
    files = []
    for image in (PHOTO, STYLE):
        files.append(io.BytesIO())
        image.save(files[-1], "PNG")
        files[-1].seek(0)
    found = sheet(files[0], Style(files[1]), columns={"seed": [0, 1]}, **QUICK)
    assert all(isinstance(cell, TransferResult) for cell in found.results[0])


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (None, "default"),
        (0.30000000000000004, "0.3"),
        (True, "yes"),
        ("d2l", "d2l"),
        ({"content": 0.5, "style": 0.5}, "content 0.5, style 0.5"),
        (LossWeights(1, 1e4, 10), "content 1, style 10000, tv 10"),
        ([("relu1_1"), "relu2_1"], "relu1_1, relu2_1"),
        (PHOTO, ""),
    ],
)
def test_labels_say_the_value(value, label):
    assert said(value) == label


def test_images_without_a_label_are_numbered():
    found = filled(lambda _: made(1), {"style": [PHOTO, STYLE]})
    assert found.columns == ["style 1", "style 2"]


def test_the_weights_are_those_that_the_shares_led_to():
    found = filled(lambda _: made(1, factors={"content": 2.0, "style": 0.5}), {"b": [1]})
    assert "weights content 4, style 1.5e+04" in repr(found.pictures)


# --- what cannot be made


def test_a_refusal_stands_in_its_place():
    found = sheet(PHOTO, STYLE, columns={"strokes": [1, 900_000]}, **QUICK)
    good, bad = found.results[0]
    assert isinstance(good, TransferResult)
    assert isinstance(bad, InputError)
    assert "strokes must be a finite number" in repr(found.pictures)


def test_so_does_a_run_that_diverges():
    def make(settings):
        if settings["lr"] > 1:
            raise DivergenceError("losses of step 2: content nan", None, [])
        return made(9)

    assert "losses of step 2: content nan" in repr(filled(make, {"lr": [1, 99]}).pictures)


def test_if_all_are_refused_so_is_the_sheet():
    with pytest.raises(InputError, match="strength must be"):
        sheet(PHOTO, STYLE, columns={"strength": [2, 3]}, **QUICK)


def test_other_errors_are_not_hidden():
    with pytest.raises(OSError, match="missing\\.png"):
        sheet("missing.png", STYLE, columns={"strength": [1]}, **QUICK)


def test_ctrl_c_leaves_the_sheet_so_far():
    def make(settings):
        if settings["b"] == 2:
            raise Interrupted("stopped", made(77))
        return made(settings["b"])

    with pytest.raises(Interrupted) as stop:
        filled(make, {"b": [1, 2, 3]})
    found = stop.value.result
    assert found.interrupted
    assert [getattr(cell, "image", None) is not None for cell in found.results[0]] == [
        True,
        True,
        False,
    ]
    assert "not made" in repr(found.pictures)


def test_ctrl_c_before_the_first_step_of_a_later_image_leaves_the_others():
    def make(settings):
        if settings["b"] >= 2:
            raise KeyboardInterrupt
        return made(settings["b"])

    with pytest.raises(Interrupted) as stop:
        filled(make, {"b": [1, 2, 3]})
    assert stop.value.result.interrupted
    assert [cell is not None for cell in stop.value.result.results[0]] == [True, False, False]
    with pytest.raises(KeyboardInterrupt) as first:
        filled(make, {"b": [2, 3]})
    assert first.type is KeyboardInterrupt  # there is no image yet


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"columns": {"strenth": [1]}}, "no argument 'strenth'; did you mean 'strength'?"),
        ({"columns": {"strength": [1]}, "efort": "draft"}, "did you mean 'effort'?"),
        ({"columns": {"strength": []}}, "strength is empty"),
        ({"columns": {"style": {}}, "style": None}, "columns has no values of style"),
        ({"columns": {"strength": 1}}, "strength must be a list"),
        ({"columns": {"strength": [1, 1]}}, "columns has a value of strength twice"),
        ({"columns": "strength"}, "columns must be one argument with its values"),
        ({"columns": {"strength": [1], "strokes": [1]}}, "columns must be one argument"),
        ({"columns": {"style": [PHOTO]}}, "style is given twice"),
        ({"columns": {"seed": [1]}, "rows": {"seed": [2]}}, "seed is given twice"),
        ({"columns": {"seed": [1]}, "style": None}, "a sheet needs a style"),
    ],
)
def test_what_cannot_be_a_sheet_is_refused(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        sheet(PHOTO, **({"style": STYLE} | QUICK | arguments))


# --- saved


def test_a_sheet_is_saved_with_the_settings_of_its_images(tmp_path):
    found = sheet(PHOTO, STYLE, columns={"strokes": [1, 900_000]}, **QUICK)
    assert found.save(tmp_path / "sheet.png") == tmp_path / "sheet.png"
    with Image.open(tmp_path / "sheet.png") as image:
        assert np.array_equal(image, found.image)
    record = json.loads((tmp_path / "sheet.png.json").read_text())
    assert record["columns"] == ["strokes 1", "strokes 900000"]
    first, second = record["results"][0]
    assert (first["strokes"], first["image_shape"]) == (1, 32)
    assert list(second) == ["error"]


# --- shown


def test_a_notebook_shows_it(monkeypatch):
    shown = []
    found = filled(by_gray, {"b": [1, 2]}, {"a": [5]})
    monkeypatch.setattr(
        type(found.pictures), "_ipython_display_", lambda pictures: shown.append(pictures)
    )
    found._ipython_display_()
    assert shown == [found.pictures]
    assert found.pictures._repr_html_().count("<figure") == 2


# --- from the command line


@pytest.fixture
def folder(tmp_path, monkeypatch):
    PHOTO.resize((48, 32)).save(tmp_path / "photo.png")
    STYLE.save(tmp_path / "noise.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*arguments):
    words = ["transfer", "photo.png", "noise.png", "-o", "out.png", "--steps", "3"]
    try:
        return main([*words, "--sheet-size", "32", *arguments])
    except SystemExit as stop:
        return stop.code


def test_a_sheet_is_made_on_the_command_line(folder, capsys):
    assert command("--sheet", "strength=0.5,1", "--sheet", "recipe=d2l,neighbors") == 0
    assert capsys.readouterr().out == "out.png: 4 images\n"
    record = json.loads((folder / "out.png.json").read_text())
    assert record["columns"] == ["strength 0.5", "strength 1"]
    assert record["rows"] == ["recipe d2l", "recipe neighbors"]
    asked = [[(c["strength"], c["recipe"]) for c in row] for row in record["results"]]
    assert asked == [[(0.5, "d2l"), (1, "d2l")], [(0.5, "neighbors"), (1, "neighbors")]]
    assert {cell["image_shape"] for row in record["results"] for cell in row} == {32}


def test_values_with_commas_and_refused_ones(folder, capsys):
    axis = "shares=content=0.5,style=0.5|content=0.2,style=0.8"
    assert command("--recipe", "gatys", "--sheet", axis) == 0
    assert capsys.readouterr().out == "out.png: 1 image, 1 refused\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sheet", "strength"], "--sheet must be an option with its values"),
        (["--sheet", "strength=0.5,"], "--sheet must be an option with its values"),
        (["--sheet", "strength=0.5,high"], "argument --strength: invalid float value: 'high'"),
        (["--sheet", "strenth=1"], "unrecognized arguments: --strenth=1"),
        (["--sheet", "seed=1;lr=1;size=8"], "--sheet has one or two options, not 3"),
        (["--sheet", "seed=1", "--save-every", "2"], "leave out --save-every"),
    ],
)
def test_what_cannot_be_a_sheet_is_refused_on_the_command_line(
    folder, capsys, arguments, message
):
    assert command(*arguments) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "out.png").exists()


def test_each_style_has_layers_of_its_own(folder):
    words = ["transfer", "photo.png", "noise.png", "photo.png", "-o", "out.png"]
    words += ["--size", "32", "--steps", "3", "--precision", "float32", "--device", "cpu"]
    assert main([*words, "--layers-of", "relu1_1,relu2_1=2/-"]) == 0
    styles = [Style("noise.png", layers={"relu1_1": 1, "relu2_1": 2}), Style("photo.png")]
    alone = transfer(
        "photo.png", styles, image_shape=32, steps=3, precision="float32", device="cpu"
    )
    with Image.open(folder / "out.png") as image:
        assert np.array_equal(image, alone.image)
    assert main([*words, "--layers-of", "relu1_1"]) == 2
