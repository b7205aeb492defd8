"""What book/_ext/pictures.py makes of the pictures of a page, tried on a small book."""

import base64
import io
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import nbformat.v4
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from pictures import picture_size
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

from stylelib.figures import compare, filmstrip, show_images

pytestmark = pytest.mark.filterwarnings("default")  # Sphinx's own affair


def noise(width=160, height=120, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return {"image/png": base64.b64encode(buffer.getvalue()).decode(), "text/plain": "image"}


def plot(kind):
    figure, buffer = Figure(figsize=(3, 2), dpi=100), io.BytesIO()
    figure.subplots().imshow(np.asarray(noise()))
    figure.savefig(buffer, format=kind)
    data = buffer.getvalue()
    if kind == "svg":
        return {"image/svg+xml": data.decode()}
    return {"image/png": base64.b64encode(data).decode()}


def html(shown):
    return {"text/html": shown._repr_html_(), **png(shown.image)}


def cell(data, alt=None):
    metadata = {} if alt is None else {"mystnb": {"image": {"alt": alt}}}
    output = nbformat.v4.new_output("display_data", data)
    return nbformat.v4.new_code_cell("show()", outputs=[output], metadata=metadata)


def with_ids(cells):
    """Copies of cells, each with an id of its own."""
    return [nbformat.NotebookNode({**cell, "id": f"cell{at}"}) for at, cell in enumerate(cells)]


class Tags(HTMLParser):
    """The tags of a page's article, each with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.tags = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def all(self, tag, of=""):
        return [a for name, a in self.tags if name == tag and of in a.get("class", "")]


@pytest.fixture
def build(tmp_path):
    def build(*pages, **config):
        source, warnings = tmp_path / "source", io.StringIO()
        (source / "pages").mkdir(parents=True)
        (source / "_static").mkdir()
        for name in ("pictures.js", "pictures.css"):
            (source / "_static" / name).write_text("")
        for number, cells in enumerate(pages):
            title = nbformat.v4.new_markdown_cell(f"# Page {number}")
            notebook = nbformat.v4.new_notebook(
                cells=[title, *with_ids(cells)],
                metadata={"language_info": {"name": "python", "pygments_lexer": "ipython3"}},
            )
            nbformat.write(notebook, source / "pages" / f"{number}.ipynb")
        (source / "index.rst").write_text(
            "Book\n====\n\n.. toctree::\n   :glob:\n\n   pages/*\n", encoding="utf-8"
        )
        settings = {
            "extensions": ["myst_nb", "pictures"],
            "nb_execution_mode": "off",
            "html_theme": "basic",
            "html_static_path": ["_static"],
            "suppress_warnings": [],
        }
        out = tmp_path / "build" / "html"
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                source,
                None,
                out,
                tmp_path / "build" / "doctrees",
                "html",
                settings | config,
                status=None,
                warning=warnings,
            )
            app.build()
        texts = [(out / "pages" / f"{n}.html").read_text("utf-8") for n in range(len(pages))]
        return SimpleNamespace(
            folder=out / "_images",
            texts=texts,
            pages=[Tags(text) for text in texts],
            warned=re.sub(r"\x1b\[[0-9;]*m", "", warnings.getvalue()),
        )

    return build


def file_of(site, image):
    assert image["src"].startswith("../_images/")
    return site.folder / image["src"].removeprefix("../_images/")


def test_the_images_of_a_grid_become_files_and_links_to_them(build):
    photo, values = noise(), torch.arange(6.0).reshape(2, 3)
    site = build([cell(html(show_images([photo, values], ["noise", ""])), "Noise, and a map")])
    assert site.warned == ""
    assert "data:image" not in site.texts[0]
    first, second = site.pages[0].all("img")
    assert [first["alt"], second["alt"]] == ["noise", "Noise, and a map"]
    (group,) = site.pages[0].all("div", "pictures")
    assert (group["role"], group["aria-label"]) == ("group", "Noise, and a map")
    assert (first["width"], first["height"], first["loading"]) == ("160", "120", "lazy")
    assert (second["width"], second["height"]) == ("160", "107")
    with Image.open(file_of(site, first)) as image:
        assert (image.format, image.size) == ("JPEG", (160, 120))
        assert np.abs(np.asarray(image) - np.asarray(photo).astype(float)).mean() < 20
    with Image.open(file_of(site, second)) as image:
        assert (image.format, image.size) == ("PNG", (3, 2))
    links = site.pages[0].all("a", "opens")
    assert [link["href"] for link in links] == [first["src"], second["src"]]


def test_equal_images_of_two_pages_are_one_file(build):
    shown = cell(html(show_images([noise(), noise()])), "noise")
    site = build([shown], [shown, shown])
    assert len({image["src"] for page in site.pages for image in page.all("img")}) == 1
    assert len([file for file in site.folder.iterdir() if file.suffix == ".jpg"]) == 1


def test_a_photograph_shown_as_png_becomes_jpeg_and_plots_stay_what_they_are(build):
    cells = [png(noise()), plot("png"), plot("svg"), png(Image.new("RGB", (200, 100)))]
    site = build([cell(data, f"{at}") for at, data in enumerate(cells)])
    assert site.warned == ""
    images = site.pages[0].all("img")
    assert [image["alt"] for image in images] == ["0", "1", "2", "3"]
    files = [file_of(site, image) for image in images]
    assert [file.suffix for file in files] == [".jpg", ".png", ".svg", ".png"]
    assert [(image["width"], image["height"]) for image in images] == [
        ("160", "120"),
        ("300", "200"),
        ("288", "192"),  # 3 x 2 inches of 96 pixels
        ("200", "100"),
    ]
    assert all(image["loading"] == "lazy" for image in images)
    assert files[1].read_bytes() == base64.b64decode(cells[1]["image/png"])
    with Image.open(files[0]) as image:
        assert (image.format, image.size) == ("JPEG", (160, 120))


@pytest.mark.parametrize(
    "data", [html(show_images([noise()], ["noise"])), png(noise()), plot("svg")]
)
def test_a_picture_without_a_text_is_named_by_page_and_cell(build, data):
    text = nbformat.v4.new_code_cell("1")
    site = build([text, cell(data, "noise"), cell(data), cell(data, " ")], [text])
    warned = [line for line in site.warned.splitlines() if line.strip()]
    assert len(warned) == 2
    assert "pages/0, code cell 3: an image has no alternative text" in warned[0]
    assert "pages/0, code cell 4: an image has no alternative text" in warned[1]


def test_a_text_can_be_left_for_later(build):
    assert build([cell(png(noise()))], pictures_need_alt=False).warned == ""


def test_sliders_bring_their_own_texts(build):
    pair = compare(noise(), noise(seed=1), alt='"Noise" & more')
    strip = filmstrip([noise(), noise(seed=1), noise(seed=2)], list("abc"), label="seeds")
    site = build([cell(html(pair)), cell(html(strip)), cell(html(strip), "Three kinds")])
    assert site.warned == ""
    groups = site.pages[0].all("div", "pictures")
    assert [group["aria-label"] for group in groups] == [
        '"Noise" & more',
        "seeds",
        "Three kinds",
    ]
    assert [group.get("data-label") for group in groups] == [None, "seeds", "seeds"]
    assert len(site.pages[0].all("img")) == 2 + 3 + 3


def test_a_page_gets_the_scripts_that_it_needs(build):
    pair = compare(noise(), noise(seed=1), alt="noise")
    one, two, three = build(
        [nbformat.v4.new_code_cell("1")], [cell(png(noise()), "noise")], [cell(html(pair))]
    ).pages

    def scripts(page):
        return [
            re.search(r"([\w-]+)\.js", a["src"])[1]
            for a in page.all("script")
            if re.search("pictures|image-compare", a.get("src", ""))
        ]

    assert scripts(one) == []
    assert scripts(two) == ["pictures"]
    assert scripts(three) == ["image-compare", "pictures"]


@pytest.mark.parametrize(
    ("head", "size"),
    [
        ('<svg xmlns="x" width="432pt" height="216.5pt" viewBox="0 0 1 1">', (576, 289)),
        ('<svg width="10" height="20px">', (10, 20)),
        ('<svg width="100%" height="20">', None),
        ('<svg viewBox="0 0 1 1">', None),
    ],
)
def test_the_size_of_a_drawing_is_in_css_pixels(tmp_path, head, size):
    (tmp_path / "a.svg").write_text(f"<?xml version='1.0'?>\n{head}</svg>")
    assert picture_size(tmp_path / "a.svg") == size


def test_what_is_no_picture_has_no_size(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no")
    assert picture_size(tmp_path / "a.png") is None
    assert picture_size(tmp_path / "b.png") is None
