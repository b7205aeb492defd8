import importlib.util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylelib import FileError, samples

TOOL = Path(__file__).parents[1] / "tools" / "draw_samples.py"


@pytest.mark.parametrize("name", sorted(samples.SAMPLES))
def test_a_sample_loads_as_rgb_and_has_an_author_and_a_free_license(name):
    image, sample = samples.load(name), samples.SAMPLES[name]
    assert image.mode == "RGB"
    assert 256 <= min(image.size) <= max(image.size) <= 1024
    assert np.asarray(image).std() > 10  # there is something to see
    assert sample.name == name
    assert sample.license in {"CC0 1.0", "public domain"}
    for text in (sample.title, sample.author, sample.source):
        assert text.strip() == text != ""


def test_the_names_are_sorted_and_known():
    assert samples.names() == [
        "astronaut",
        "brushstrokes",
        "chelsea",
        "coffee",
        "hatching",
        "mosaic",
        "rocket",
        "roundels",
    ]


def test_the_names_returned_are_a_list_of_its_own():
    samples.names().clear()
    assert len(samples.names()) == 8


def test_every_picture_in_the_package_is_listed_and_every_listed_one_is_there():
    folder = Path(samples.__file__).parent
    pictures = {path.name for path in folder.glob("*.jpg")}
    assert pictures == {sample.filename for sample in samples.SAMPLES.values()}
    for name in samples.names():
        assert samples.path(name) == folder / f"{name}.jpg"
        with Image.open(samples.path(name)) as image:
            assert image.format == "JPEG"


def test_write_gives_its_files_pictures_first_and_names_every_author(tmp_path):
    files = samples.write(tmp_path / "a" / "b")
    assert [path.name for path in files] == [f"{name}.jpg" for name in samples.names()] + [
        "CREDITS.txt"
    ]
    lines = files[-1].read_text(encoding="utf-8").splitlines()
    for line, name in zip(lines, samples.names(), strict=True):
        sample = samples.SAMPLES[name]
        for text in (sample.filename, sample.title, sample.author, sample.license):
            assert text in line
    for path in files[:-1]:
        assert path.read_bytes() == samples.path(path.stem).read_bytes()


def test_write_leaves_the_same_file_alone_and_refuses_another(tmp_path):
    samples.write(tmp_path)
    samples.write(str(tmp_path))
    (tmp_path / "CREDITS.txt").write_text("my own notes")
    (tmp_path / "astronaut.jpg").unlink()
    with pytest.raises(FileError, match=r"CREDITS\.txt"):
        samples.write(tmp_path)
    assert (tmp_path / "CREDITS.txt").read_text() == "my own notes"
    assert not (tmp_path / "astronaut.jpg").exists()


def test_write_refuses_a_folder_in_the_place_of_a_picture(tmp_path):
    (tmp_path / "rocket.jpg").mkdir()
    with pytest.raises(FileError, match=r"rocket\.jpg"):
        samples.write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["rocket.jpg"]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("draw_samples", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_drawn_samples_are_those_of_the_tool(tool):
    drawn = {
        name for name, sample in samples.SAMPLES.items() if "draw_samples" in sample.source
    }
    assert drawn == set(tool.DRAWINGS)


def test_roundels_can_be_drawn_again(tool):
    drawing, seed = tool.DRAWINGS["roundels"]
    shipped = np.asarray(samples.load("roundels")).astype(float)
    again, other = (
        np.asarray(drawing(np.random.default_rng(each))).astype(float)
        for each in (seed, seed + 1)
    )
    assert again.shape == shipped.shape
    # JPEG takes 5 levels off a picture with such edges, others with another library
    assert np.abs(again - shipped).mean() < 10
    assert np.abs(other - shipped).mean() > 50
