"""The alpha channel of the photograph comes back, and what it hides has no say."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter
from torch import nn
from toys import normalized

from stylelib import RECIPES, InputError, Style, load_image, preprocess, samples, transfer
from stylelib.files import load_with_alpha

STYLE = samples.load("mosaic")
SIZE = (72, 48)


def cut_out(seed=0, soft=False):
    """The cat in an ellipse, perhaps with a soft border; behind it the colors of a seed."""
    colors = np.asarray(samples.load("chelsea").resize(SIZE)).copy()
    alpha = Image.new("L", SIZE, 0)
    ImageDraw.Draw(alpha).ellipse((12, 4, 60, 44), fill=255)
    alpha = alpha.filter(ImageFilter.GaussianBlur(4)) if soft else alpha
    outside = np.asarray(alpha) == 0
    colors[outside] = np.random.default_rng(seed).integers(0, 256, (outside.sum(), 3))
    image = Image.fromarray(colors)
    image.putalpha(alpha)
    return image


def painted(content, recipe="d2l", style=STYLE, **arguments):
    return transfer(
        content, style, recipe=recipe, image_shape=48, steps=4, device="cpu", **arguments
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
@pytest.mark.parametrize(
    "how",
    [{}, {"colors": "keep"}, {"colors": "match"}, {"colors": "only"}, {"strength": 0.5}],
    ids=str,
)
@pytest.mark.parametrize("soft", [False, True])
def test_what_is_hidden_changes_nothing(recipe, how, soft):
    first, second = (painted(cut_out(seed, soft), recipe, **how) for seed in (1, 2))
    assert torch.equal(first.picture, second.picture)


@pytest.mark.parametrize("recipe", ["coarse-to-fine", "d2l", "gatys", "assignment"])
@pytest.mark.parametrize("soft", [False, True])
def test_a_strength_of_0_asks_for_the_statistics_of_what_is_visible(recipe, soft):
    how = {"init": "content", "scales": 1, "precision": "float32", "clamp": False}
    found = painted(cut_out(soft=soft), recipe, strength=0, **how).history[0].losses["style"]
    whole = painted(cut_out(soft=soft), recipe, **how).history[0].losses["style"]
    assert found < 1e-9 * whole


def wanted_with(monkeypatch, content, style, **how):
    """What a transfer wants at the last of its sizes."""
    seen, objective = [], type(RECIPES["d2l"]).objective

    def watched(self, wanted, *arguments, **others):
        seen.append(wanted)
        return objective(self, wanted, *arguments, **others)

    monkeypatch.setattr(type(RECIPES["d2l"]), "objective", watched)
    painted(content, style=style, **how)
    return seen[-1]


@pytest.mark.parametrize("word", ["keep", "match"])
def test_colors_are_measured_where_they_are_used(monkeypatch, word):
    """In the visible part of the photograph, and in the region of the style."""
    photo, there = cut_out(), np.zeros((48, 72))
    there[:, 20:50] = 1
    style = Style(STYLE.resize(SIZE), there=there)
    wanted = wanted_with(monkeypatch, photo, style, colors=word)
    colors = wanted.content[0].double().numpy()[:, np.asarray(photo.getchannel("A")) > 0]
    matched = wanted.styles[0].X[0].double().numpy()[:, there > 0]
    np.testing.assert_allclose(matched.mean(axis=1), colors.mean(axis=1), atol=1e-5)
    np.testing.assert_allclose(np.cov(matched, ddof=0), np.cov(colors, ddof=0), atol=1e-5)


def test_matched_to_itself_the_photograph_stays(monkeypatch):
    """As a style of a strength below 1, also in a region."""
    here = np.zeros((48, 72))
    here[:, :36] = 1
    style = Style(STYLE, here=here)
    wanted = wanted_with(monkeypatch, cut_out(), style, colors="match", strength=0.5)
    assert torch.equal(wanted.styles[1].X, wanted.content)


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


@pytest.mark.parametrize("recipe", RECIPES)
def test_an_even_alpha_changes_nothing_but_the_alpha(recipe):
    photo = samples.load("chelsea").resize(SIZE)
    plain = painted(photo, recipe)
    photo.putalpha(120)
    result = painted(photo, recipe)
    assert result.image.getchannel("A").getextrema() == (120, 120)
    apart = (result.picture - plain.picture).abs().mean()
    moved = (plain.picture - preprocess(photo.convert("RGB"), 48)).abs().mean()
    assert float(apart) < 0.05 * float(moved)


def test_every_level_of_alpha_comes_back():
    levels = np.linspace(0, 255, 48 * 72).round().astype(np.uint8).reshape(48, 72)
    assert len(np.unique(levels)) == 256
    photo = samples.load("chelsea").resize(SIZE)
    photo.putalpha(Image.fromarray(levels))
    result = painted(photo)
    np.testing.assert_array_equal(np.asarray(result.image.getchannel("A")), levels)


def test_the_color_of_a_pixel_does_not_depend_on_its_alpha(monkeypatch):
    image = Image.new("RGBA", (4, 2), (200, 0, 0, 150))
    rgb, alpha = load_with_alpha(image)
    assert rgb.getpixel((0, 0)) == (200, 0, 0)
    assert alpha.getpixel((0, 0)) == 150
    white = round(255 - 255 * 150 / 255)
    on_white = (round(200 * 150 / 255 + white), white, white)
    assert load_image(image).getpixel((0, 0)) == on_white
    photo = cut_out(soft=True)
    wanted = wanted_with(monkeypatch, photo, STYLE)
    visible = torch.from_numpy(np.asarray(photo.getchannel("A")) > 0)
    expected = normalized(np.asarray(photo)[..., :3])
    torch.testing.assert_close(
        wanted.content[..., visible], expected[..., visible], rtol=0, atol=1e-5
    )


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, stride=2)

    def forward(self, X):
        return self.second(self.first(X).relu())


def test_a_network_of_which_it_is_not_known_what_it_sees_takes_transparency():
    layers = {"content_layers": ["second"], "style_layers": ["first"]}
    style = Style(STYLE, erode=False)
    result = painted(cut_out(), style=style, net=Model().eval(), weights=(1, 1, 1), **layers)
    assert result.image.mode == "RGBA"


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
