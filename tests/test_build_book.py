"""The check of the built site finds what is broken, and only that."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent.parent / "tools" / "build_book.py"
specification = importlib.util.spec_from_file_location("build_book", SCRIPT)
build_book = importlib.util.module_from_spec(specification)
specification.loader.exec_module(build_book)


@pytest.fixture
def site(tmp_path):
    site = tmp_path / "site"
    (site / "book").mkdir(parents=True)
    (site / "book" / "a b.html").write_text("<h1 id='top'>Hi</h1>")
    (site / "logo.png").write_bytes(b"")
    (tmp_path / "outside.html").write_text("")
    return site


@pytest.mark.parametrize(
    "sound",
    [
        "<a href='a%20b.html#top'>x</a>",
        "<a href='../book/a%20b.html?q=1'>x</a>",
        "<a href='#here' id='here'>x</a>",
        "<a href='https://example.org'>x</a>",
        "<a href='mailto:a@example.org'>x</a>",
        "<img src='../logo.png' srcset='../logo.png 2x'>",
        "<img src='data:image/png;base64,AAAA'>",
        "<link rel='canonical' href='https://example.org/'>",
    ],
)
def test_sound_references_pass(site, sound):
    (site / "book" / "page.html").write_text(sound)
    assert list(build_book.problems(site)) == []


@pytest.mark.parametrize(
    "broken",
    [
        "<a href='gone.html'>x</a>",
        "<a href='a%20b.html#gone'>x</a>",
        "<a href='#gone'>x</a>",
        "<a href='../../outside.html'>x</a>",
        "<a href='file:///etc/hostname'>x</a>",
        "<img src='gone.png'>",
        "<img src='../logo.png' srcset='gone.png 2x'>",
        "<img src='https://example.org/a.png'>",
        "<script src='//example.org/a.js'></script>",
        "<iframe src='https://example.org'></iframe>",
        "<link rel='shortcut stylesheet' href='https://example.org/a.css'>",
        "<link rel='preload' href='https://example.org/a.woff2'>",
        "<video poster='gone.png'></video>",
    ],
)
def test_broken_references_are_found(site, broken):
    (site / "book" / "page.html").write_text(broken)
    assert len(list(build_book.problems(site))) == 1
