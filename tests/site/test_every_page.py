"""What holds for every page, those that will be written too: each is opened once, and looked at
as on a desktop and on a phone, in light and in dark.
"""

import functools
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
from check_site import problems
from serve_site import SITE

AXE = (Path(__file__).parent / "axe.min.js").read_text(encoding="utf-8")
KB = 1000
BEFORE_PICTURES = 700 * KB
WHOLE_PAGE = 3000 * KB
AVERAGE = 1500 * KB
PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".avif", ".gif", ".svg"}
LARGE = 900 * KB  # of HTML: nothing such should be opened at once

PAGES = sorted(
    path.relative_to(SITE).as_posix()
    for path in SITE.rglob("*.html")
    if "_static" not in path.parts and path != SITE / "index.html"
)
BOOK = [page for page in PAGES if page.startswith("book/")]
SOURCE = [page for page in PAGES if page.startswith("_modules/")]
LOOKED_AT = [page for page in PAGES if page not in SOURCE] + SOURCE[:2]

# Rules that axe does not run unless asked, as an accessibility review would
ASKED = ["label-content-name-mismatch", "p-as-heading", "table-fake-caption", "td-has-header"]
RUN_AXE = """async ([asked, only]) => {
  const options = { resultTypes: ["violations"], preload: false };
  if (only) options.runOnly = { type: "rule", values: only };
  else options.rules = Object.fromEntries(asked.map((rule) => [rule, { enabled: true }]));
  const found = await axe.run(document, options);
  return found.violations.map((each) =>
    `${each.id}: ${each.nodes.length} x ${each.nodes[0].html.slice(0, 160)} ${(each.nodes[0].any[0] || each.nodes[0].all[0] || each.nodes[0].none[0] || {}).message || ""}`);
}"""
LOOK = """() => ({
  width: document.documentElement.scrollWidth,
  room: document.documentElement.clientWidth,
  searches: document.querySelectorAll("input[type=search], [role=search] input").length,
  headings: Array.from(document.querySelectorAll("main :is(h1,h2,h3,h4,h5,h6)"), (h) => Number(h.tagName[1])),
  skips: document.querySelector("body > a[href='#main-content']") !== null,
  nameless: Array.from(document.querySelectorAll("article img"))
    .filter((img) => !img.alt.trim() || /\\.(png|jpe?g|webp|svg)$|^_images|^\\.\\.\\//.test(img.alt))
    .map((img) => img.getAttribute("src")),
  sizeless: Array.from(document.querySelectorAll("article img"))
    .filter((img) => !(img.getAttribute("width") && img.getAttribute("height"))).map((img) => img.getAttribute("src")),
  eager: Array.from(document.querySelectorAll("article img")).slice(2)
    .filter((img) => img.loading !== "lazy").map((img) => img.getAttribute("src")),
  pictures: Array.from(document.querySelectorAll("img, source"), (img) => img.currentSrc || img.src || img.srcset.split(" ")[0]),
  wide: Array.from(document.querySelectorAll("main *")).filter((each) =>
    each.getBoundingClientRect().right > document.documentElement.clientWidth + 1 &&
    !each.closest("pre, .cell_output, .math-block, .math-long, .pst-scrollable-table-container, .visually-hidden")).slice(0, 3)
    .map((each) => each.outerHTML.slice(0, 120)),
})"""
DARK = "() => { document.documentElement.dataset.theme = 'dark'; }"
LIGHT = "() => { document.documentElement.dataset.theme = 'light'; }"
SETTLE = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"
COLORS = ["color-contrast", "link-in-text-block"]


@dataclass
class Seen:
    """What was seen of a page.

    Attributes:
        axe: violations in each of four views.
        said: errors of the console and of the page.
        asked: addresses that were asked for.
        desktop: what `LOOK` finds at a desktop's width.
        phone: the same on a phone.
    """

    axe: dict[str, list[str]] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    desktop: dict = field(default_factory=dict)
    phone: dict = field(default_factory=dict)


@pytest.fixture(scope="session")
def see(browser, base):
    """Open a page, once, and look at it."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme="light")
    # nothing moves and nothing fades: axe would see colors on their way
    context.add_init_script("sessionStorage.clear()")
    tab = context.new_page()
    seen = Seen()
    tab.on("console", lambda m: seen.said.append(m.text) if m.type == "error" else None)
    tab.on("pageerror", lambda error: seen.said.append(str(error)))
    tab.on("request", lambda request: seen.asked.append(request.url))

    @functools.cache
    def look(path):
        nonlocal seen
        seen = found = Seen()
        tab.set_viewport_size({"width": 1280, "height": 900})
        tab.goto(base + path, wait_until="load")
        tab.evaluate(AXE)
        found.axe["desktop, light"] = tab.evaluate(RUN_AXE, [ASKED, None])
        found.desktop = tab.evaluate(LOOK)
        tab.evaluate(DARK)
        found.axe["desktop, dark"] = tab.evaluate(RUN_AXE, [ASKED, COLORS])
        tab.evaluate(LIGHT)
        tab.set_viewport_size({"width": 375, "height": 740})
        tab.evaluate(SETTLE)
        found.axe["phone, light"] = tab.evaluate(RUN_AXE, [ASKED, None])
        found.phone = tab.evaluate(LOOK)
        tab.evaluate(DARK)
        found.axe["phone, dark"] = tab.evaluate(RUN_AXE, [ASKED, COLORS])
        return found

    yield look
    context.close()


@pytest.mark.parametrize("path", LOOKED_AT)
def test_axe_finds_nothing(see, path):
    assert {view: found for view, found in see(path).axe.items() if found} == {}


@pytest.mark.parametrize("path", LOOKED_AT)
def test_the_console_is_silent_and_nothing_is_asked_of_another_machine(see, base, path):
    assert see(path).said == []
    assert [
        url for url in see(path).asked if not url.startswith((base, "data:", "blob:"))
    ] == []


@pytest.mark.parametrize("path", LOOKED_AT)
def test_nothing_scrolls_sideways(see, path):
    for look in (see(path).desktop, see(path).phone):
        assert look["width"] <= look["room"], look["wide"]


@pytest.mark.parametrize("path", [page for page in LOOKED_AT if page != "404.html"])
def test_one_search_box_a_skip_link_and_headings_in_order(see, path):
    look = see(path).desktop
    assert look["searches"] == 1
    assert look["skips"]
    if path in SOURCE:
        return
    levels = look["headings"]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("path", BOOK)
def test_every_picture_says_what_is_seen_and_has_its_size(see, path):
    look = see(path).desktop
    assert look["nameless"] == []
    assert look["sizeless"] == []
    assert look["eager"] == []


def weights(see, base, path):
    """Bytes of a page without its pictures, and with all of them."""

    def size(url):
        file = SITE / url.removeprefix(base).partition("?")[0].partition("#")[0]
        return file.stat().st_size if file.is_file() else 0

    local = {url.partition("#")[0] for url in see(path).asked if url.startswith(base)}
    rest = {url for url in local if Path(url.partition("?")[0]).suffix not in PICTURES}
    pictures = {url for url in see(path).desktop["pictures"] if url.startswith(base)}
    pictures |= local - rest
    before = sum(map(size, rest))
    return before, before + sum(map(size, pictures))


@pytest.mark.parametrize("path", LOOKED_AT)
def test_a_page_is_light(see, base, path):
    before, whole = weights(see, base, path)
    assert before <= BEFORE_PICTURES
    assert whole <= WHOLE_PAGE


def test_pages_are_light_on_average(see, base):
    whole = [weights(see, base, path)[1] for path in BOOK]
    assert sum(whole) / len(whole) <= AVERAGE


def test_no_file_is_too_large_to_open_at_once():
    assert [page for page in PAGES if (SITE / page).stat().st_size > LARGE] == []


def test_every_link_and_anchor_resolves():
    assert list(problems(SITE)) == []


def test_every_page_with_code_says_how_long_it_takes():
    for path in BOOK:
        text = (SITE / path).read_text("utf-8")
        if 'class="cell_input' in text:
            assert "</b> to read, <b>" in text, path
            assert "</b> to run" in text, path
