import json
import signal
import threading
import time

import numpy as np
import pytest
from PIL import Image
from toys import statuses

from stylelib import (
    FileError,
    InputError,
    Interrupted,
    flicker,
    frames,
    samples,
    transfer,
    write_animation,
)
from stylelib.__main__ import main

TINY = {"recipe": "d2l", "image_shape": 16, "steps": 2, "precision": "float32"}
SIDE = 32


def moving_square(count=4):
    """Frames of a red square that moves to the right on gray, four pixels a frame."""
    found = []
    for number in range(count):
        image = Image.new("RGB", (SIDE, SIDE), "gray")
        image.paste("red", (2 + 4 * number, 8, 12 + 4 * number, 18))
        found.append(image)
    return found


@pytest.fixture
def clip(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number, image in enumerate(moving_square(), 8):  # 8, 9, 10, 11
        image.save(folder / f"f{number}.png")
    samples.load("mosaic").resize((SIDE, SIDE)).save(tmp_path / "mosaic.png")
    return folder


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


# --- painting


def test_each_frame_starts_from_the_painted_one_before(clip, tmp_path):
    asked = TINY | {"image_shape": 32}
    report = frames(clip, tmp_path / "mosaic.png", tmp_path / "out", scales=2, **asked)
    assert [path.name for path in report.images] == [f"frame-000{k}.png" for k in (1, 2, 3, 4)]
    init, scales = None, 2
    for number, path in zip((8, 9, 10, 11), report.images, strict=True):
        made = transfer(
            clip / f"f{number}.png",
            tmp_path / "mosaic.png",
            init=init,
            scales=scales,
            device="cpu",
            **asked,
        )
        assert np.array_equal(pixels(path), np.asarray(made.image))
        init, scales = path, 1
    assert (tmp_path / "out" / "index.html").exists()


def test_independent_frames_are_those_of_transfer(clip, tmp_path):
    report = frames(clip, tmp_path / "mosaic.png", tmp_path / "out", linked=False, **TINY)
    for number, path in zip((8, 9, 10, 11), report.images, strict=True):
        made = transfer(clip / f"f{number}.png", tmp_path / "mosaic.png", device="cpu", **TINY)
        assert np.array_equal(pixels(path), np.asarray(made.image))


def test_it_goes_on_after_the_last_frame_that_is_there(clip, tmp_path):
    style, out = tmp_path / "mosaic.png", tmp_path / "out"
    whole = frames(clip, style, tmp_path / "whole", **TINY)
    (clip / "f10.png").rename(tmp_path / "f10.png")
    (clip / "f11.png").rename(tmp_path / "f11.png")
    frames(clip, style, out, **TINY)
    (tmp_path / "f10.png").rename(clip / "f10.png")
    (tmp_path / "f11.png").rename(clip / "f11.png")
    report = frames(clip, style, out, **TINY)
    assert statuses(report) == ["kept", "kept", "made", "made"]
    for one, other in zip(whole.images, report.images, strict=True):
        assert one.read_bytes() == other.read_bytes()
    # another setting makes all anew, in the same places
    report = frames(clip, style, out, **TINY | {"seed": 1, "init": "noise"})
    assert statuses(report) == ["made"] * 4
    assert sorted(path.name for path in out.glob("*.png")) == [p.name for p in whole.images]


def test_a_file_of_someone_else_is_not_replaced(clip, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "frame-0002.png").write_bytes(b"mine")
    report = frames(clip, tmp_path / "mosaic.png", out, **TINY)
    assert (out / "frame-0002.png").read_bytes() == b"mine"
    assert len(report.made) == 4


def test_originals_of_someone_else_and_the_clip_itself_are_not_replaced(tmp_path):
    samples.load("mosaic").resize((SIDE, SIDE)).save(tmp_path / "mosaic.png")
    clip = write_animation(moving_square(2), tmp_path / "clip.gif")
    before, out = clip.read_bytes(), tmp_path / "out"
    with pytest.raises(InputError, match="animation is the clip itself"):
        frames(clip, tmp_path / "mosaic.png", out, animation=clip, **TINY)
    assert clip.read_bytes() == before
    (out / "originals").mkdir(parents=True)
    mine = out / "originals" / "frame-0002.png"
    for content in (b"mine", (tmp_path / "mosaic.png").read_bytes()):
        mine.write_bytes(content)
        with pytest.raises(FileError, match=r"frame-0002.png' is not of this clip; choose"):
            frames(clip, tmp_path / "mosaic.png", out, **TINY)
        assert mine.read_bytes() == content


def test_linked_frames_take_the_last_of_a_list_of_steps(clip, tmp_path):
    asked = TINY | {"image_shape": 32, "steps": [1, 2]}
    report = frames(clip, tmp_path / "mosaic.png", tmp_path / "out", scales=2, **asked)
    assert len(report.made) == 4
    records = [
        json.loads(path.with_name(f"{path.name}.json").read_text()) for path in report.images
    ]
    assert [record["steps"] for record in records] == [[1, 2], [2], [2], [2]]


def test_a_damaged_frame_costs_itself(clip, tmp_path):
    (clip / "f9.png").write_bytes(b"no")
    out = tmp_path / "out"
    gif = tmp_path / "out.gif"
    report = frames(clip, tmp_path / "mosaic.png", out, animation=gif, **TINY)
    assert statuses(report) == ["made", "failed", "made", "made"]
    with Image.open(gif) as shown:
        assert shown.n_frames == 3
    third = transfer(
        clip / "f10.png",
        tmp_path / "mosaic.png",
        init=report.images[0],
        scales=1,
        device="cpu",
        **TINY,
    )
    assert np.array_equal(pixels(report.images[1]), np.asarray(third.image))


def test_ctrl_c_ends_a_clip_and_keeps_its_frames(clip, tmp_path):
    def stop(outcome):
        if outcome.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="the same call goes on") as caught:
        frames(clip, tmp_path / "mosaic.png", tmp_path / "out", callback=stop, **TINY)
    assert len(caught.value.result.images) == 2
    report = frames(clip, tmp_path / "mosaic.png", tmp_path / "out", **TINY)
    assert statuses(report) == ["kept", "kept", "made", "made"]


def test_ctrl_c_within_a_frame_ends_the_clip_too(clip, tmp_path, interrupts):
    def interrupt():
        deadline = time.monotonic() + 60
        while not (tmp_path / "out" / "frame-0001.png").exists():
            if time.monotonic() > deadline:
                return
            time.sleep(0.01)
        time.sleep(0.3)
        signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupted):
        frames(clip, tmp_path / "mosaic.png", tmp_path / "out", **TINY | {"steps": 300})
    thread.join()


# --- animations


@pytest.mark.parametrize("ending", [".gif", ".png", ".webp"])
def test_an_animation_is_read_and_written(tmp_path, ending):
    samples.load("mosaic").resize((SIDE, SIDE)).save(tmp_path / "mosaic.png")
    clip = write_animation(moving_square(), tmp_path / f"clip{ending}", [50, 60, 70, 80])
    painted = tmp_path / f"painted{ending}"
    out = tmp_path / "out"
    report = frames(clip, tmp_path / "mosaic.png", out, animation=painted, **TINY)
    for number, original in enumerate(moving_square(), 1):
        read = pixels(out / "originals" / f"frame-000{number}.png").astype(int)
        assert np.abs(read - np.asarray(original)).max() <= 2  # a GIF has 256 colors
    with Image.open(painted) as file:
        assert file.n_frames == 4
        assert file.info["loop"] == 0
        for number, path in enumerate(report.images):
            file.seek(number)
            file.load()
            if ending != ".webp":
                assert file.info["duration"] == 50 + 10 * number
            if ending != ".gif":
                assert np.array_equal(np.asarray(file.convert("RGB")), pixels(path))


def test_an_animation_that_cannot_be_is_refused(clip, tmp_path):
    small, style = Image.new("RGB", (4, 4)), tmp_path / "mosaic.png"
    with pytest.raises(InputError, match=r"ends in \.gif, \.png or \.webp"):
        write_animation([small], tmp_path / "a.jpg")
    with pytest.raises(InputError, match="images is empty"):
        write_animation([], tmp_path / "a.gif")
    with pytest.raises(InputError, match="have one size"):
        write_animation([small, Image.new("RGB", (4, 5))], tmp_path / "a.gif")
    with pytest.raises(InputError, match="2 images and 1 durations"):
        write_animation([small, small], tmp_path / "a.gif", [3])
    with pytest.raises(InputError, match=r"ends in \.gif, \.png or \.webp"):
        frames(clip, style, tmp_path / "out", animation=tmp_path / "a.tif")
    with pytest.raises(InputError, match="duration must be"):
        frames(clip, style, tmp_path / "out", duration=0)
    with pytest.raises(InputError, match="choose another"):
        frames(clip, style, clip)
    with pytest.raises(FileError, match="there is no file"):
        frames(tmp_path / "none.gif", style, tmp_path / "out")
    (tmp_path / "bad.gif").write_bytes(b"GIF89a")
    with pytest.raises(FileError, match=r"bad\.gif"):
        frames(tmp_path / "bad.gif", style, tmp_path / "out")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="no image in the folder"):
        frames(empty, style, tmp_path / "out")


# --- flicker


def test_flicker_is_the_mean_of_the_formula():
    rng = np.random.default_rng(3)
    Y, X = rng.integers(0, 256, (2, 5, 6, 7, 3)).astype(np.uint8)
    found = flicker([Image.fromarray(y) for y in Y], [Image.fromarray(x) for x in X])
    y, x = Y.astype(float), X.astype(float)
    total = count = 0
    for t in range(4):
        for index in np.ndindex(6, 7, 3):
            total += abs((y[t + 1][index] - y[t][index]) - (x[t + 1][index] - x[t][index]))
            count += 1
    assert found == pytest.approx(total / count, rel=1e-12)


def test_what_changes_as_the_originals_do_does_not_flicker():
    originals = moving_square()
    assert flicker(originals, originals) == 0
    darker = [image.point(lambda level: level - 10) for image in originals]
    # levels of 0 cannot be darker: the square's green and blue, where it comes and goes
    assert flicker(darker, originals) == pytest.approx(2 / 3 * 10 * 80 / SIDE**2)


def test_flicker_needs_frames_of_one_kind():
    small, large = Image.new("RGB", (4, 4)), Image.new("RGB", (8, 8))
    assert flicker([small, small], [large, large]) == 0  # originals are resized
    with pytest.raises(InputError, match="at least two painted frames"):
        flicker([small], [small])
    with pytest.raises(InputError, match="2 painted frames and 3 originals"):
        flicker([small] * 2, [small] * 3)
    with pytest.raises(InputError, match="different sizes"):
        flicker([small, large], [small, small])


def test_the_command_line_paints_a_clip(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    options = ["--size", "16", "--steps", "1", "--recipe", "d2l", "--precision", "float32"]
    asked = ["frames", "clip", "mosaic.png", "-o", "out", "--animation", "out.gif"]
    assert main([*asked, "--duration", "40", *options]) == 0
    assert capsys.readouterr().out == "out: 4 made, 0 kept, 0 failed\n"
    with Image.open("out.gif") as file:
        assert (file.n_frames, file.info["duration"]) == (4, 40)
    inits = [
        json.loads((tmp_path / "out" / f"frame-000{k}.png.json").read_text())["init"]
        for k in (1, 2)
    ]
    assert inits[0] == "content"
    assert inits[1] != "content"
    assert main([*asked, "--independent", *options]) == 0
