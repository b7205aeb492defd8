"""Light pages: they load only the book's own templates and assets, not the theme's. The HTML of
Sphinx and its extensions is repaired if a screen reader would misread it.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bs4 import BeautifulSoup, SoupStrainer, Tag
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx_exercise.nodes import solution_node

SEARCH_NEEDS = {"documentation_options.js", "doctools.js", "sphinx_highlight.js"}
DESIGN = {"sphinx-design.min.css", "design-tabs.js"}  # for pages with cards, grids or tabs
THEBE = "sphinx_thebe"

ENTRANCE = """<!DOCTYPE html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <title>{title}</title>
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta http-equiv="refresh" content="0; url={page}">
    <link rel="icon" href="_static/favicon.svg" type="image/svg+xml">
  </head>
  <body><main><h1><a href="{page}">{title}</a></h1></main></body>
</html>
"""


def know_the_address(_app: Sphinx, config: Config) -> None:
    """Set the site's future address, which social cards need: `SITE_URL=... make book`."""
    url = os.environ.get("SITE_URL", "")
    if url:
        url = url.rstrip("/") + "/"
        config["ogp_site_url"] = config["html_baseurl"] = url


def leave_out_thebe(app: Sphinx, _config: Config) -> None:
    """Thebe adds a script and the address of another to every page; we need neither."""
    for listeners in app.events.listeners.values():
        listeners[:] = [each for each in listeners if each.handler.__module__ != THEBE]


# --- what a page loads


def keep_assets(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], _doctree: Any
) -> None:
    """Keep only the book's own style sheets and scripts, and those that the page needs."""
    own = {path.name for path in (Path(app.srcdir) / "book" / "_static").rglob("*")}
    wanted = own | {"pygments.css"}
    if pagename == "search":
        wanted |= SEARCH_NEEDS
    if 'class="sd-' in context.get("body", ""):
        wanted |= DESIGN
    for kind in ("css_files", "script_files"):
        kept = {}
        for asset in context[kind]:
            filename = getattr(asset, "filename", None)
            name = Path(os.fspath(filename)).name if filename else ""
            if name in wanted:
                kept.setdefault(name, asset)
        context[kind] = sorted(kept.values(), key=lambda asset: asset.priority)
    tags = context.get("metatags", "")
    tags = re.sub(r'<meta name="viewport"[^>]*>\s*', "", tags)
    if not app.config.ogp_site_url:  # without an address these would be wrong
        tags = re.sub(r'<meta property="og:(?:url|image|image:alt)"[^>]*>\s*', "", tags)
    context["book_metatags"] = tags.strip()


# --- the contents of a page


def visit_solution(self: Any, node: nodes.Element) -> None:
    """Write a solution as `<details>`, which the browser folds."""
    node["begins"] = len(self.body)
    self.body.append(self.starttag(node, "details", CLASS="admonition"))


def depart_solution(self: Any, node: nodes.Element) -> None:
    written = "".join(self.body[node["begins"] :])
    del self.body[node["begins"] :]
    title = r'<p class="admonition-title">(.*?)</p>'

    def summary(match: re.Match[str]) -> str:
        text = re.sub(r"</?a\b[^>]*>", "", match[1])
        text = re.sub(r"^Solution to\s*", "Solution to ", text)
        return f'<summary class="admonition-title">{text}</summary>'

    written = re.sub(title, summary, written, count=1, flags=re.DOTALL)
    written = written.replace('<section id="solution-content">', '<div class="content">', 1)
    before, _, after = written.rpartition("</section>")
    self.body.append(f"{before}</div>{after}</details>\n" if before else f"{written}</details>")


def mend(
    _app: Sphinx, _pagename: str, _template: str, context: dict[str, Any], _doctree: Any
) -> None:
    body = context.get("body")
    if not body:
        return
    # a role that is deprecated and leaves a list without items
    body = body.replace('role="doc-biblioentry"', 'role="listitem"')
    body = re.sub(r"<table\b.*?</table>", name_rows, body, flags=re.DOTALL)
    body = re.sub(r'<dt class="sig .*?</dt>', unlist, body, flags=re.DOTALL)
    # this label would hide the text
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    body = body.replace("Show code cell source", "Show the code")
    body = body.replace("Hide code cell source", "Hide the code")
    body = body.replace('<section id="exercise-content">', '<section class="content">')
    context["body"] = body


EMPTY = r"<th\b[^>]*>\s*(?:&nbsp;|&#160;|\xa0|<p>\s*</p>)?\s*</th>"


def name_rows(match: re.Match[str]) -> str:
    """Make the cells below an empty corner headers of rows; the corner itself is no header."""
    table = match[0]
    if re.search(rf"<thead>\s*<tr[^>]*>\s*{EMPTY}", table):
        before, head, rows = table.partition("</thead>")
        row = r"(<tr[^>]*>\s*)<td([^>]*)>(.*?)</td>"
        rows = re.sub(row, r'\1<th scope="row"\2>\3</th>', rows, flags=re.DOTALL)
        table = before + head + rows
    return re.sub(EMPTY, "<td></td>", table)


def unlist(match: re.Match[str]) -> str:
    """Replace the definition list that Sphinx uses for the parameters of a long signature."""
    signature = re.sub(r"<(dl|dd)>", r'<span class="\1">', match[0])
    return re.sub(r"</(?:dl|dd)>", "</span>", signature)


# --- after all pages are written


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    site = Path(app.outdir)
    add_previews(site)
    entrance = ENTRANCE.format(title=html.escape(app.config.project), page="book/index.html")
    (site / "index.html").write_text(entrance, encoding="utf-8")
    leave_out_the_unused(site, Path(app.srcdir) / "book" / "_static")


def leave_out_the_unused(site: Path, own: Path) -> None:
    """Delete files of _static that are not the book's own and that nothing names."""
    static = site / "_static"
    kept = {path.relative_to(own) for path in own.rglob("*")}
    pages = [*site.glob("*.html"), *site.glob("book/*.html"), *own.glob("*.css")]
    named = set(re.findall(r"[\w.-]+\.\w+", " ".join(p.read_text("utf-8") for p in pages)))
    for path in sorted(static.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.relative_to(static) not in kept and (
            path.name not in named or path.parent != static
        ):
            path.unlink()


# --- previews


LINK = re.compile(
    r'<a class="(?P<kind>[^"]*\breference internal\b[^"]*)" href="(?P<href>[^"]+)"'
)
UNWANTED = ["script", "style", "template", "button", ".headerlink", ".viewcode-link"]
LONGEST = 700  # characters of a preview


def add_previews(site: Path) -> None:
    """Add to each page previews of the targets of its links, as templates."""
    files = sorted((site / "book").glob("*.html"))
    texts = {file: file.read_text("utf-8") for file in files}
    only = SoupStrainer("article")
    soups = {file: BeautifulSoup(texts[file], "html.parser", parse_only=only) for file in files}
    targets = {
        file: {str(tag["id"]): tag for tag in soup.find_all(id=True)}
        for file, soup in soups.items()
    }
    shown: dict[tuple[Path, str], str] = {}
    for file in files:
        text = texts[file]
        begin, end = text.find("<article"), text.rfind("</article>")
        if begin < 0 or end < 0:
            continue
        numbers: dict[tuple[Path, str], int] = {}

        def mark(match: re.Match[str], file: Path = file, numbers: Any = numbers) -> str:
            path, _, anchor = html.unescape(match["href"]).partition("#")
            target = (file.parent / path).resolve() if path else file
            if target not in soups or (target == file and not anchor):
                return match[0]
            key = (target, anchor)
            if key not in shown:
                shown[key] = preview(soups[target], targets[target].get(anchor), anchor)
            if not shown[key]:
                return match[0]
            number = numbers.setdefault(key, len(numbers) + 1)
            return f'{match[0]} data-preview="preview-{number}"'

        article = LINK.sub(mark, without_signatures(text[begin:end]))
        article = article.replace(SIGNATURE, "")
        templates = "".join(
            f'\n<template id="preview-{number}">{shown[key]}</template>'
            for key, number in numbers.items()
        )
        file.write_text(text[:begin] + article + templates + text[end:], encoding="utf-8")


SIGNATURE = "\x00"


def without_signatures(article: str) -> str:
    """Mark the links in signatures, which repeat the same classes and so get no previews."""
    return re.sub(
        r'<dt class="sig .*?</dt>',
        lambda match: match[0].replace('<a class="', f'<a {SIGNATURE}class="'),
        article,
        flags=re.DOTALL,
    )


def preview(soup: BeautifulSoup, target: Tag | None, anchor: str) -> str:
    """The target of a link in a few lines of HTML; "" if there is nothing useful to show."""
    if not anchor:
        target = soup.find("section")
    if target is None:
        return ""
    return "".join(clean(part) for part in parts_of(target))


def parts_of(target: Tag) -> Iterator[str]:
    classes = set(target.get("class") or [])
    if target.name == "section":
        heading = target.find(["h1", "h2", "h3", "h4"])
        paragraph = first_paragraph(target)
        if heading:
            yield f"<b>{inner(heading)}</b>"
        if paragraph:
            yield str(paragraph)
    elif target.name == "dt":
        name = target.select_one(".descname")
        yield f"<b><code>{inner(name)}</code></b>" if name else f"<b>{inner(target)}</b>"
        meaning = target.find_next_sibling("dd")
        paragraph = first_paragraph(meaning) if meaning else None
        if paragraph:
            yield str(paragraph)
        elif meaning and not name:
            yield f"<p>{inner(meaning)}</p>"
    elif "citation" in classes:
        text = target.find("p")
        yield f"<p>{inner(text)}</p>" if text else ""
    elif "math-block" in classes:
        formula = target.find("math")
        yield str(formula) if formula else ""
    elif target.name == "figure":
        picture, caption = target.find("img"), target.find("figcaption")
        if picture:
            yield str(picture)
        if caption:
            yield f"<p>{inner(caption)}</p>"
    elif "admonition" in classes:
        title, paragraph = target.select_one(".admonition-title"), first_paragraph(target)
        if title:
            yield f"<b>{inner(title)}</b>"
        if paragraph:
            yield str(paragraph)


def first_paragraph(within: Tag) -> Tag | None:
    for paragraph in within.find_all("p"):
        classes = set(paragraph.get("class") or [])
        if classes & {"admonition-title", "page-times", "rubric"}:
            continue
        if paragraph.find_parent(["summary", "figure", "figcaption", "table"]):
            continue
        if paragraph.get_text(strip=True):
            return paragraph
    return None


def inner(tag: Tag) -> str:
    return tag.decode_contents()


def clean(text: str) -> str:
    """Plain HTML without links and ids, cut to `LONGEST` characters."""
    soup = BeautifulSoup(text, "html.parser")
    for selector in UNWANTED:
        for tag in soup.select(selector):
            tag.decompose()
    for tag in soup.find_all(["a", "span", "mark"]):
        if tag.name == "a" or not tag.get("class"):
            tag.unwrap()
    for tag in soup.find_all(True):
        for attribute in ("id", "title", "tabindex", "data-preview", "loading", "aria-label"):
            del tag[attribute]
    if len(soup.get_text()) > LONGEST:
        left = LONGEST
        for string in list(soup.find_all(string=True)):
            if left <= 0:
                string.extract()
            elif len(string) > left:
                string.replace_with(string[:left].rsplit(" ", 1)[0] + " …")
            left -= len(string)
    return str(soup).strip().replace("\n", " ")


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_js_file("book.js", defer="defer")
    app.add_node(solution_node, override=True, html=(visit_solution, depart_solution))
    app.connect("config-inited", know_the_address, priority=900)
    app.connect("config-inited", leave_out_thebe)
    app.connect("html-page-context", mend, priority=500)
    app.connect("html-page-context", keep_assets, priority=900)
    app.connect("build-finished", finish, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
