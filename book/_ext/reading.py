"""How long a page takes to read and to run. A line under the title says so, and the role
``time`` gives the times of another page: {time}`07-synthesized-image`.
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx_exercise.nodes import solution_node

LOG = logging.getLogger(__name__)

WORDS_A_MINUTE = 210
LINES_A_MINUTE = 25  # of code


class TimeOfPage(nodes.Inline, nodes.TextElement):
    """A placeholder for the times of a page, until all pages have run."""


def minutes_to_read(doctree: nodes.document) -> int:
    """Whole minutes for the words and the code of a page, without outputs, hidden code and
    solutions.
    """
    words = lines = 0
    skipped: set[int] = set()  # by identity, because nodes with equal texts are equal
    for node in doctree.findall(nodes.container):
        classes = set(node.get("classes", []))
        if classes & {"cell_output", "tag_hide-input"}:
            skipped.update(id(each) for each in node.findall())
    for solution in doctree.findall(solution_node):
        skipped.update(id(each) for each in solution.findall())
    for text in doctree.findall(nodes.Text):
        if id(text) in skipped:
            continue
        if isinstance(text.parent, nodes.literal_block):
            lines += sum(bool(line.strip()) for line in text.astext().splitlines())
        elif not isinstance(text.parent, nodes.comment):
            words += len(text.astext().split())
    return max(1, round(words / WORDS_A_MINUTE + lines / LINES_A_MINUTE))


def spell_seconds(seconds: float) -> str:
    return f"{max(1, round(seconds))} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def seconds_to_run(env: BuildEnvironment, docname: str) -> float | None:
    """The time measured when the page ran, or else the time in book/page_seconds.json."""
    data = NbMetadataCollector.get_exec_data(env, docname)
    if not data:
        return None
    usual = json.loads((Path(env.srcdir) / "book" / "page_seconds.json").read_text("utf-8"))
    seconds = data["runtime"] or usual.get(docname)
    return None if seconds is None else float(seconds)


def measure(app: Sphinx, doctree: nodes.document) -> None:
    minutes = app.env.__dict__.setdefault("minutes_to_read", {})
    minutes[app.env.docname] = minutes_to_read(doctree)


def merge(_app: Sphinx, env: BuildEnvironment, _docnames: Any, other: BuildEnvironment) -> None:
    env.__dict__.setdefault("minutes_to_read", {}).update(
        other.__dict__.get("minutes_to_read", {})
    )


def time_of_page(
    name: str, _raw: str, text: str, *_: Any
) -> tuple[list[nodes.Node], list[Any]]:
    return [TimeOfPage(page=text)], []


def times_of(env: BuildEnvironment, page: str) -> str:
    """The times of a page in words, "" if none are known."""
    read = env.__dict__.get("minutes_to_read", {}).get(page)
    run = seconds_to_run(env, page)
    said = [f"{read} min to read"] if read else []
    said += [f"{spell_seconds(run)} to run"] if run else []
    return ", ".join(said)


def fill_in(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for node in list(doctree.findall(TimeOfPage)):
        page = f"{docname.rpartition('/')[0]}/{node['page']}".lstrip("/")
        text = times_of(app.env, page)
        if not text:
            LOG.warning("no times are known for the page %s", page, location=node)
        node.replace_self(nodes.inline(text, text, classes=["chapter-time"]))


def say(
    app: Sphinx, pagename: str, _template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Add a line under the title of a page."""
    read = app.env.__dict__.get("minutes_to_read", {}).get(pagename)
    run = seconds_to_run(app.env, pagename) if doctree else None
    if run is None or not read or "body" not in context:
        return
    from living_book import machine

    from stylelib import profile

    at_a_time = app.env.__dict__.get("pages_at_a_time", 1)
    beside = f", {at_a_time} pages at a time" if at_a_time > 1 else ""
    line = (
        f'<p class="page-times"><b>{read} min</b> to read, <b>{spell_seconds(run)}</b> to run '
        f"({html.escape(machine())}{beside}; {profile()} profile)</p>"
    )
    context["body"] = context["body"].replace("</h1>", f"</h1>\n{line}", 1)


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_node(TimeOfPage)
    app.add_role("time", time_of_page)
    app.connect("doctree-read", measure)
    app.connect("env-merge-info", merge)
    app.connect("doctree-resolved", fill_in)
    app.connect("html-page-context", say, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
