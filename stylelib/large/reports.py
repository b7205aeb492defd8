"""What became of the jobs of a batch, as a table and as a page of thumbnails (chapter 31)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from stylelib.errors import FileError
from stylelib.large.folders import THUMBNAILS, Folder

__all__ = ["BatchReport", "Outcome", "Status"]

Status = Literal["made", "kept", "failed"]

TABLE, LINES, PAGE = "report.csv", "report.jsonl", "index.html"
OURS = '<meta name="generator" content="stylelib">'
"""What tells a page of thumbnails from another page."""
PER_PAGE = 1000
"""Images on one page."""


@dataclass(frozen=True)
class Outcome:
    """What became of one job.

    Attributes:
        number: of the job, from 1.
        content: the path of the photograph.
        style: that of the style, or several with plus signs between.
        status: "made"; "kept", if it was there already; or "failed".
        image: the name of the image in the batch's folder; "" if there is none.
        seconds: how long it took to make.
        message: why it failed.
    """

    number: int
    content: str
    style: str
    status: Status
    image: str = ""
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class BatchReport:
    """What became of a batch.

    Attributes:
        folder: where the images are, with report.csv and index.html.
        outcomes: one for each job that was done, in the order of the jobs.
        jobs: how many there were to do.
        seconds: how long the batch took.
        interrupted: whether Ctrl-C ended it.
    """

    folder: Path
    outcomes: list[Outcome] = field(repr=False)
    jobs: int
    seconds: float
    interrupted: bool = False

    @property
    def images(self) -> list[Path]:
        """The paths of the images, in the order of the jobs."""
        return [self.folder / each.image for each in self.outcomes if each.image]

    @property
    def made(self) -> list[Outcome]:
        """The jobs whose images were made now."""
        return [each for each in self.outcomes if each.status == "made"]

    @property
    def kept(self) -> list[Outcome]:
        """The jobs whose images were there already."""
        return [each for each in self.outcomes if each.status == "kept"]

    @property
    def failed(self) -> list[Outcome]:
        """The jobs that have no image."""
        return [each for each in self.outcomes if each.status == "failed"]

    def __str__(self) -> str:
        text = f"{len(self.made)} made, {len(self.kept)} kept, {len(self.failed)} failed"
        left = self.jobs - len(self.outcomes)
        return f"{text}, {left} left" if left else text


def check_place(folder: Folder) -> None:
    """Check that the table and the page would not replace other files.

    Raises:
        FileError: they would.
    """
    marks = {TABLE: ",".join(Outcome.__annotations__), PAGE: OURS}
    for name, mark in marks.items():
        path = folder.path / name
        try:
            with path.open(encoding="utf-8", errors="replace") as stream:
                begin = stream.read(2000)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise FileError(f"cannot read '{path}': {error.strerror}") from error
        if mark not in begin:
            raise FileError(f"'{path}' is not of a batch; choose another folder")


def add_line(folder: Folder, outcome: Outcome) -> None:
    """Add an outcome to the file of lines, as JSON."""
    folder.append(LINES, json.dumps(asdict(outcome)).encode())


def write_report(folder: Folder, report: BatchReport) -> None:
    """Write the table and the page of thumbnails."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Outcome.__annotations__)
    for each in report.outcomes:
        writer.writerow([_harmless(value) for value in asdict(each).values()])
    folder.write(TABLE, text.getvalue().encode("utf-8", "backslashreplace"))
    pages = max(1, -(-len(report.outcomes) // PER_PAGE))
    for page in range(pages):
        part = report.outcomes[page * PER_PAGE : (page + 1) * PER_PAGE]
        html = page_of(part, report, page, pages)
        folder.write(page_name(page), html.encode("utf-8", "backslashreplace"))


def _harmless(value: object) -> object:
    """A cell that no program takes for a formula."""
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else value
    return f"{value:.3f}" if isinstance(value, float) else value


def page_name(page: int) -> str:
    """The name of a page of thumbnails, from 0."""
    return PAGE if page == 0 else f"index-{page + 1}.html"


def page_of(part: Sequence[Outcome], report: BatchReport, page: int, pages: int) -> str:
    """A page of thumbnails and failures, as HTML that needs nothing but the thumbnails."""
    shown = "\n".join(_figure(each) for each in part if each.image)
    failed = "\n".join(_failure(each) for each in part if not each.image)
    links = " ".join(
        f'<a href="{page_name(each)}"{" aria-current=page" if each == page else ""}>'
        f"{each + 1}</a>"
        for each in range(pages)
    )
    name = escape(report.folder.resolve().name or "Images")
    parts = [
        f"<h1>{name}</h1>\n<p>{escape(str(report))}.</p>",
        f"<nav aria-label=Pages>{links}</nav>" if pages > 1 else "",
        f"<ul class=images>\n{shown}\n</ul>" if shown else "",
        f"<h2>Without an image</h2>\n<ul>\n{failed}\n</ul>" if failed else "",
    ]
    body = "\n".join(filter(None, parts))
    return HTML.format(name=name, style=STYLE, ours=OURS, body=body)


def _figure(outcome: Outcome) -> str:
    content, style = (Path(path).stem for path in (outcome.content, outcome.style))
    small, large = quote(f"{THUMBNAILS}/{outcome.image}.jpg"), quote(outcome.image)
    alt = escape(f"{content} in the style of {style}")
    return (
        f'<li><a href="{large}"><img src="{small}" alt="{alt}" loading="lazy"></a>'
        f"<p>{alt}</p></li>"
    )


def _failure(outcome: Outcome) -> str:
    what = f"{outcome.content} in the style of {outcome.style}"
    return f"<li><b>{escape(what)}</b>: {escape(outcome.message)}</li>"


STYLE = """
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 80rem; padding: 1rem; overflow-wrap: anywhere; }
.images { display: grid; gap: 1rem; padding: 0; list-style: none;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 11rem), 1fr)); }
.images p { margin: 0.25rem 0 0; font-size: 0.875rem; }
img { width: 100%; height: auto; display: block; }
""".strip()

HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
{ours}
<title>{name}</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
