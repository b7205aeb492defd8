"""The alpha channel of the photograph comes back, and what it hides has no say."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from stylelib import RECIPES, InputError, preprocess, samples, transfer
from stylelib.files import load_with_alpha

STYLE = samples.load("mosaic")
SIZE = (72, 48)


def cut_out(seed=0):
    """The cat in an ellipse; behind it random colors, or those of one seed."""
    colors = np.asarray(samples.load("chelsea").resize(SIZE)).copy()
    alpha = Image.new("L", SIZE, 0)
    ImageDraw.Draw(alpha).ellipse((12, 4, 60, 44), fill=255)
    outside = np.asarray(alpha) == 0
    colors[outside] = np.random.default_rng(seed).integers(0, 256, (outside.sum(), 3))
    image = Image.fromarray(colors)
    image.putalpha(alpha)
    return image


def painted(content, recipe="d2l", **arguments):
    return transfer(
        content, STYLE, recipe=recipe, image_shape=48, steps=4, device="cpu", **arguments
    )


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_alpha_channel_comes_back_and_transparent_pixels_stay(recipe):
    photo = cut_out()
    result = painted(photo, recipe, init="content")
    assert result.image.mode == "RGBA"
    assert result.image.size == SIZE
    np.testing.assert_array_equal(
        np.asarray(result.image.getchannel("A")), np.asarray(photo.getchannel("A"))
    )
    if recipe in ("neighbors", "coarse-to-fine"):  # they end with other colors or other sizes
        return
    visible = np.asarray(photo.getchannel("A")) > 0
    mean = np.asarray(photo)[..., :3][visible].mean(axis=0).round().astype(np.uint8)
    start = preprocess(Image.fromarray(np.full((48, 72, 3), mean)), 48)
    hidden = torch.from_numpy(~visible)
    moved = (result.picture - start).abs().amax(dim=1)[0]
    limit = 1.5 if recipe == "assignment" else np.inf  # that recipe clamps
    at_start = start.clamp(-limit, limit)
    assert torch.equal(result.picture[0, :, hidden], at_start[0, :, hidden]), (
        f"{recipe}: transparent pixels moved by {moved[hidden].max()}"
    )
    assert float(moved[torch.from_numpy(visible)].max()) > 0.01


@pytest.mark.parametrize("recipe", RECIPES)
def test_what_is_hidden_changes_nothing(recipe):
    first, second = (painted(cut_out(seed=seed), recipe) for seed in (1, 2))
    assert torch.equal(first.picture, second.picture)


def test_an_opaque_alpha_channel_is_none():
    photo = samples.load("chelsea").resize(SIZE)
    plain = painted(photo)
    with_alpha = photo.copy()
    with_alpha.putalpha(255)
    result = painted(with_alpha)
    assert result.image.mode == "RGB"
    assert torch.equal(result.picture, plain.picture)


def test_a_photograph_with_nothing_visible_is_refused():
    photo = samples.load("chelsea").resize(SIZE)
    photo.putalpha(0)
    with pytest.raises(InputError, match="alpha channel of the photograph is empty"):
        painted(photo)


def test_it_is_saved_with_transparency_where_the_format_has_it(tmp_path):
    result = painted(cut_out())
    for name, mode in {"cat.png": "RGBA", "cat.jpg": "RGB"}.items():
        with Image.open(result.save(tmp_path / name)) as saved:
            assert saved.mode == mode


@pytest.mark.parametrize("mode", ["RGBA", "LA", "RGBa", "La", "PA"])
def test_the_alpha_channel_is_found_in_every_mode(mode):
    if mode == "PA":
        image = cut_out().convert("RGB").quantize(8).convert("PA")
        image.putalpha(cut_out().getchannel("A"))
    else:
        image = cut_out().convert({"La": "LA"}.get(mode, mode.upper()))
        image = image.convert(mode)
    assert image.mode == mode
    rgb, alpha = load_with_alpha(image)
    assert (rgb.mode, alpha.mode) == ("RGB", "L")
    np.testing.assert_array_equal(np.asarray(alpha), np.asarray(cut_out().getchannel("A")))


def test_a_transparent_color_of_a_palette_is_found():
    image = Image.new("P", (4, 2), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((1, 0), 1)
    image.info["transparency"] = 1
    _, alpha = load_with_alpha(image)
    assert np.asarray(alpha).tolist() == [[255, 0, 255, 255], [255, 255, 255, 255]]


def test_the_orientation_of_the_camera_is_applied_to_alpha_too():
    image = cut_out()
    exif = image.getexif()
    exif[0x0112] = 6  # turned by a quarter
    rgb, alpha = load_with_alpha(image)
    assert rgb.size == alpha.size == (SIZE[1], SIZE[0])
