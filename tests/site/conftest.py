"""The built site in a real browser. `make test-site` runs these after `make book`; where there is
no browser they are skipped, unless STYLELIB_BROWSER=required.
"""

import os
import threading
from pathlib import Path

import pytest
from browser import chromium, find
from serve_site import SITE, server

HERE = Path(__file__).parent
REQUIRED = os.environ.get("STYLELIB_BROWSER") == "required"


def _missing() -> str:
    if not (SITE / "index.html").exists():
        return "the book is not built: make book"
    if find() is None:
        return "there is no Chromium: apt-get install chromium"
    return ""


def pytest_collection_modifyitems(items):
    missing = _missing()
    if not missing:
        return
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=missing))


def pytest_sessionstart(session):
    if REQUIRED and _missing():
        pytest.exit(_missing(), returncode=1)


@pytest.fixture(scope="session")
def base():
    """The address of the site."""
    with server(SITE) as serving:
        thread = threading.Thread(target=serving.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}/"
        serving.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, base):
    """A page of a desktop's width, in light colors, with nothing open yet."""
    context = browser.new_context(
        base_url=base, viewport={"width": 1280, "height": 900}, color_scheme="light"
    )
    yield context.new_page()
    context.close()


@pytest.fixture
def phone(browser, base):
    """A page on a phone."""
    context = browser.new_context(
        base_url=base,
        viewport={"width": 375, "height": 740},
        has_touch=True,
        is_mobile=True,
        color_scheme="light",
    )
    yield context.new_page()
    context.close()
