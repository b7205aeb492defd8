import base64
import io
from html.parser import HTMLParser

import matplotlib as mpl
import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from PIL import Image, JpegImagePlugin

from stylelib import InputError, postprocess, samples
from stylelib.figures import compare, encode, filmstrip, show_images


class Read(HTMLParser):
    """The HTML as a page gets it: the tags with their attributes, and the captions."""

    def __init__(self, shown):
        super().__init__()
        self.tags, self.captions, self.open = [], [], []
        self.feed(shown._repr_html_())
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag == "figcaption":
            self.captions.append("")
        if tag not in ("img", "br"):
            self.open.append(tag)
        elif tag == "br":
            self.captions[-1] += "\n"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "figcaption" in self.open:
            self.captions[-1] += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def group(self):
        return self.tags[0][1]

    @property
    def images(self):
        """The pictures, decoded by Pillow."""
        return [decoded(attributes["src"]) for attributes in self.all("img")]


def decoded(uri):
    kind, data = uri.split(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert kind == f"data:{image.get_format_mimetype()}"
    image.load()
    return image


def sizes(read):
    return [(int(a["width"]), int(a["height"])) for a in read.all("img")]


def plain(color, size=(160, 120)):
    return Image.new("RGB", size, color)


def noise(width=160, height=120, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def pixels(image):
    return np.asarray(image.convert("RGB"))


# --- What is in the page


def test_images_stand_in_order_in_a_group_of_figures_with_captions():
    shown = [plain((level, 0, 0)) for level in range(5)]
    read = Read(show_images(shown, list("abcde"), columns=3))
    assert [tag for tag, _ in read.tags] == ["div"] + ["figure", "img", "figcaption"] * 5
    assert read.captions == list("abcde")
    assert [image.convert("RGB").getpixel((0, 0)) for image in read.images] == [
        (level, 0, 0) for level in range(5)
    ]
    assert read.group["class"] == "pictures"
    assert read.group["role"] == "group"
    assert "repeat(3," in read.group["style"]
    assert all(a["loading"] == "lazy" for a in read.all("img"))


@pytest.mark.parametrize(
    ("count", "columns", "across"),
    [(1, None, 1), (4, None, 4), (4, 2, 2), (3, 1, 1), (2, 5, 2)],
)
def test_the_grid_has_no_more_columns_than_images(count, columns, across):
    read = Read(show_images([plain("red")] * count, columns=columns))
    assert f"--columns:{across};--narrow:{min(across, 2)};" in read.group["style"]


def test_a_title_is_text_not_html_and_keeps_its_lines():
    title = "<script>alert(\"x\")</script> & 'more'\nin two lines"
    read = Read(show_images([plain("red")], [title]))
    assert read.captions == [title]
    assert "script" not in [tag for tag, _ in read.tags]
    assert read.all("img")[0]["alt"] == title.replace("\n", " ")


def test_without_a_title_there_is_no_caption_and_the_text_is_marked_as_no_name():
    read = Read(show_images([plain("red"), plain("blue")], ["", "blue"]))
    assert read.captions == ["blue"]
    first, second = read.all("img")
    assert (first["alt"], second["alt"]) == ("image 1 of 2", "blue")
    assert "data-unnamed" in first
    assert "data-unnamed" not in second


def test_one_image_without_a_title_is_no_group():
    assert "role" not in Read(show_images([plain("red")])).group
    assert "role" in Read(show_images([plain("red")], ["red"])).group


# --- Pixels


def test_a_photograph_is_shown_at_its_own_pixels_nearly_as_it_is():
    photo = samples.load("chelsea")
    read = Read(show_images([photo]))
    assert sizes(read) == [photo.size] == [read.images[0].size]
    assert read.images[0].format == "JPEG"
    error = (pixels(read.images[0]).astype(float) - pixels(photo)) ** 2
    assert 10 * np.log10(255**2 / error.mean()) > 36
    assert "image-rendering" not in read.all("img")[0]["style"]


def test_a_photographs_colors_are_kept_at_full_resolution():
    (image,) = Read(show_images([noise()])).images
    assert JpegImagePlugin.get_sampling(image) == 0  # 4:4:4


@pytest.mark.parametrize("colors", [1, 2, 255, 256])
def test_few_colors_are_kept_without_loss(colors):
    palette = np.arange(colors) * 65_521 + 12_345  # all different, below 2**24
    numbers = np.arange(120 * 160).reshape(120, 160) % colors
    packed = palette[numbers]
    image = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=2).astype(np.uint8)
    kind, data = encode(Image.fromarray(image))
    assert kind == "image/png"
    np.testing.assert_array_equal(pixels(Image.open(io.BytesIO(data))), image)


def test_few_pixels_are_kept_without_loss():
    kind, data = encode(noise(64, 64))
    assert kind == "image/png"
    np.testing.assert_array_equal(pixels(Image.open(io.BytesIO(data))), pixels(noise(64, 64)))
    assert encode(noise(65, 64))[0] == "image/jpeg"


@pytest.mark.parametrize(
    ("size", "columns", "shown"),
    [
        ((150, 100), 1, (300, 200)),  # twice
        ((150, 100), 2, (300, 200)),
        ((150, 100), 3, (150, 100)),  # 240 pixels for each: once
        ((149, 90), 1, (298, 180)),
        ((151, 90), 1, (151, 90)),
        ((700, 400), 1, (700, 400)),
        ((700, 400), 4, (700, 400)),  # the page makes it smaller
        ((30, 20), 1, (300, 200)),
    ],
)
def test_small_images_are_enlarged_a_whole_number_of_times(size, columns, shown):
    read = Read(show_images([noise(*size)] * columns, columns=columns))
    assert sizes(read) == [shown] * columns
    assert read.images[0].size == size  # in the file they are as they were
    enlarged = "image-rendering:pixelated" in read.all("img")[0]["style"]
    assert enlarged == (shown != size)


def test_maps_are_as_large_as_the_images_beside_them():
    maps = [torch.rand(6, 9), torch.rand(3, 2)]
    assert sizes(Read(show_images([noise(360, 240), *maps]))) == [
        (360, 240),
        (360, 240),
        (240, 360),
    ]
    assert sizes(Read(show_images(maps))) == [(300, 200), (200, 300)]
    assert sizes(Read(show_images([torch.rand(400, 500), *maps])))[1:] == [
        (500, 333),
        (333, 500),
    ]


def test_maps_of_one_row_can_be_shown():
    assert sizes(Read(show_images([np.arange(1000.0)[None]]))) == [(1000, 1)]
    assert sizes(Read(show_images([np.arange(700.0)[:, None], np.ones((1, 1))]))) == [
        (1, 700),
        (700, 700),
    ]


@pytest.mark.parametrize("shape", [(1, 3, 108, 132), (3, 108, 132)])
def test_normalized_tensors_are_shown_as_their_images(shape):
    X = torch.zeros(shape).requires_grad_()
    (image,) = Read(show_images([X])).images
    np.testing.assert_array_equal(pixels(image), pixels(postprocess(X)))


@pytest.mark.parametrize("cmap", ["viridis", "gray", "RdBu"])
def test_maps_are_drawn_in_colors_from_their_least_to_their_greatest_value(cmap):
    M = np.random.default_rng(0).normal(size=(7, 5))
    expected = mpl.colormaps[cmap]((M - M.min()) / (M.max() - M.min()), bytes=True)[..., :3]
    for given in (M, 10 * M - 3, torch.tensor(M, requires_grad=True), M.astype(np.float32)):
        (image,) = Read(show_images([given], cmap=cmap)).images
        assert image.format == "PNG"
        assert image.size == (5, 7)
        # in another precision a value may fall on the other side of a step of 1/256
        difference = pixels(image).astype(int) - expected
        assert np.abs(difference).max() <= 4
    (image,) = Read(show_images([M], cmap=cmap)).images
    np.testing.assert_array_equal(pixels(image), expected)


@pytest.mark.parametrize(
    "given",
    [np.array([[0, 1], [255, 3]], np.uint8), np.array([[True, False]]), torch.tensor([[3, 4]])],
)
def test_maps_of_whole_numbers_and_truth_values_are_scaled_too(given):
    (image,) = Read(show_images([given], cmap="gray")).images
    shown = pixels(image)[..., 0]
    assert shown.flat[int(np.asarray(given).argmin())] == 0
    assert shown.flat[int(np.asarray(given).argmax())] == 255


def test_a_constant_map_has_the_lowest_color_and_what_is_not_finite_is_white():
    constant, broken = np.full((2, 2), 7.0), np.array([[0.0, np.nan], [np.inf, 1.0]])
    nothing = np.full((2, 2), np.nan)
    one, two, three = Read(show_images([constant, broken, nothing], cmap="gray")).images
    assert not pixels(one).any()
    assert pixels(two)[..., 0].tolist() == [[0, 255], [255, 255]]
    assert (pixels(three) == 255).all()


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1", "LA", "CMYK", "YCbCr"])
def test_images_of_other_modes_look_as_they_are(mode):
    image = noise(9, 6).convert(mode)
    (shown,) = Read(show_images([image])).images
    np.testing.assert_array_equal(pixels(shown), pixels(image))


# --- What is refused


@pytest.mark.parametrize(
    "tensor", [torch.zeros(2, 3, 4, 4), torch.zeros(7), torch.zeros(1, 4, 4)]
)
def test_a_tensor_that_is_no_image_is_refused(tensor):
    with pytest.raises(InputError, match="shape"):
        show_images([tensor])


@pytest.mark.parametrize(
    "array", [np.zeros((0, 4)), torch.zeros(4, 0), np.array([["a"]]), np.zeros((2, 2), complex)]
)
def test_an_array_without_numbers_is_refused(array):
    with pytest.raises(InputError, match=r"a map must have real values \(H, W\), not \("):
        show_images([array])


def test_unknown_colors_are_refused_with_a_hint():
    with pytest.raises(InputError, match="viridis"):
        show_images([np.ones((2, 2))], cmap="virdis")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"alt": ""}, "alt must be a text that describes the image, not ''"),
        ({"alt": None}, "alt must be a text"),
        ({"labels": ["one"]}, "labels must be two texts, such as"),
        ({"labels": "ab"}, "labels must be a list"),
        ({"labels": ["one", 2]}, "labels must be a text"),
        ({"after": plain("red", (120, 160))}, "different shapes, 160 x 120 and 120 x 160"),
        ({"after": np.zeros((3, 4))}, r"arrays are not shown here, not \(3, 4\)"),
        ({"after": torch.zeros(3, 4)}, "shape"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments, message):
    given = {"before": plain("red"), "after": plain("blue"), "alt": "two colors"} | arguments
    with pytest.raises(InputError, match=message):
        compare(given.pop("before"), given.pop("after"), **given)


@pytest.mark.parametrize(
    ("images", "titles", "label", "message"),
    [
        (
            [plain("red")],
            ["red"],
            "colors",
            "images has one image: a filmstrip needs two or more",
        ),
        ([plain("red"), plain("blue")], ["red"], "colors", "2 images have 1 titles"),
        ([plain("red"), plain("blue")], ["red", "blue"], " ", "label must be a text"),
        (plain("red"), ["red"], "colors", "images must be a list"),
    ],
)
def test_what_is_no_filmstrip_is_refused(images, titles, label, message):
    with pytest.raises(InputError, match=message):
        filmstrip(images, titles, label=label)


# --- Before and after; one after the other


def test_the_two_that_are_compared_have_one_size_and_their_names():
    read = Read(
        compare(noise(451, 300), noise(300, 200), alt='a "cat"', labels=["photo", "<b>"])
    )
    assert read.group["class"] == "pictures compare"
    assert read.group["aria-label"] == 'a "cat"'
    assert [a["alt"] for a in read.all("img")] == read.captions == ["photo", "<b>"]
    assert sizes(read) == [(451, 300)] * 2
    assert [image.size for image in read.images] == [(451, 300), (300, 200)]


def test_of_a_filmstrip_all_but_the_first_and_the_last_are_hidden():
    images = [plain((level, 0, 0)) for level in range(4)]
    read = Read(filmstrip(images, list("abcd"), label="levels of red"))
    assert ["hidden" in figure for figure in read.all("figure")] == [False, True, True, False]
    assert read.group["class"] == "pictures filmstrip"
    assert read.group["aria-label"] == read.group["data-label"] == "levels of red"
    assert "repeat(2," in read.group["style"]
    assert read.captions == list("abcd")


# --- Where there is no HTML


def test_all_of_them_as_one_image():
    shown = [plain("red"), plain("lime"), plain("blue")]
    image = show_images(shown, columns=2).image
    assert image.size == (160 + 12 + 160, 120 + 12 + 120)
    assert image.getpixel((0, 0)) == (255, 0, 0)
    assert image.getpixel((331, 119)) == (0, 255, 0)
    assert image.getpixel((0, 251)) == (0, 0, 255)
    assert image.getpixel((331, 251)) == image.getpixel((165, 0)) == (255, 255, 255)


def test_titles_are_written_below_the_images():
    image = show_images([plain("red"), plain("blue")], ["\u03b2 = 1\ntwo", ""]).image
    below = np.asarray(image.convert("L"))[120:]
    assert below.shape[0] == 36
    assert (below[:18, :160] < 128).any()
    assert (below[18:, :160] < 128).any()
    assert (below[:, 160:] == 255).all()


def test_of_a_filmstrip_the_first_and_the_last_are_in_the_one_image():
    images = [plain("red"), plain("lime"), plain("blue")]
    image = filmstrip(images, ["", "", ""], label="colors").image
    assert image.size == (332, 120)
    assert image.getpixel((0, 0)) == (255, 0, 0)
    assert image.getpixel((331, 0)) == (0, 0, 255)


def test_as_text_it_says_what_it_holds():
    assert repr(show_images([plain("red")])) == "<1 image of 160 x 120>"
    two = show_images([plain("red"), noise()], ["a", "two\nlines"])
    assert repr(two) == "<2 images of 160 x 120: a; two lines>"
    assert repr(show_images([plain("red"), noise(9, 9)])) == "<2 images>"


@pytest.fixture
def shell():
    yield InteractiveShell.instance()
    InteractiveShell.clear_instance()


@pytest.mark.parametrize(
    ("cell", "count"),
    [
        ("show_images([picture]);", 1),
        ("show_images([picture])", 1),
        ("show_images([picture]); show_images([picture])", 2),
        ("shown = show_images([picture])\nprint(shown)", 1),
        ("for _ in range(3):\n    show_images([picture])", 3),
    ],
)
def test_in_a_notebook_the_call_shows_them_once(shell, cell, count):
    shell.push({"show_images": show_images, "picture": noise()})
    with capture_output() as captured:
        shell.run_cell(cell, store_history=True).raise_error()
    assert len(captured.outputs) == count
    for output in captured.outputs:
        assert set(output.data) == {"text/plain", "text/html", "image/jpeg"}
        with Image.open(io.BytesIO(base64.b64decode(output.data["image/jpeg"]))) as image:
            assert image.size == (160, 120)


def test_in_a_later_cell_they_are_shown_again(shell):
    shell.push({"show_images": show_images, "picture": plain("red")})
    with capture_output() as captured:
        for cell in ("shown = show_images([picture])", "shown", "1", "shown"):
            shell.run_cell(cell, store_history=True).raise_error()
    assert sum("text/html" in output.data for output in captured.outputs) == 3
