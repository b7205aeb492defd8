"""Report the progress of a build of the book: a line per page, and which cell failed."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

PROGRESS = "book-progress: "
"""The start of lines that book/_ext/running.py prints for this module."""

USUAL_SECONDS = 60.0  # of a page that has never been timed


def spell(seconds: float) -> str:
    """A time in words: 8 s, 4 min 10 s, 1 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def about(seconds: float) -> str:
    """An estimated time in words."""
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{round(seconds)} s"


@dataclass
class Progress:
    """Turns the events of the book's extension into lines, one for each page that has ended.

    Attributes:
        expected: seconds per page, measured earlier and perhaps on another machine. After the
            first page we know how much faster or slower this machine is.
        out: where the lines go.
        seconds: how long each page of this build ran, now or when it was cached, divided by the
            pages that ran at a time: so much longer does the build take for this page.
        traceback: the traceback of the cell that failed, or "".
        page: the page that has failed, or "".
        at_a_time: the number of pages that run at a time.
        spent: what the pages that ran have added to the time of this build.
        spent_as_expected: the expected seconds of these pages.
    """

    expected: Mapping[str, float]
    out: TextIO
    seconds: dict[str, float] = field(default_factory=dict)
    traceback: str = ""
    page: str = ""
    pages: list[str] = field(default_factory=list)
    at_a_time: int = 1
    spent: float = 0.0
    spent_as_expected: float = 0.0

    def expect(self, pages: Iterable[str]) -> float:
        """How long these pages will take, from the speed of those that have run."""
        pace = self.spent / self.spent_as_expected if self.spent_as_expected else 1.0
        return pace * sum(self.expected.get(page, USUAL_SECONDS) for page in pages)

    def hear(self, line: str) -> str:
        """Take a line of the build's output. Returns the part that belongs in the log."""
        rest, found, event = line.partition(PROGRESS)
        if not found:
            return line
        try:
            self._hear(json.loads(event))
        except json.JSONDecodeError:  # a kernel wrote in between: a long event has two pieces
            return line
        return f"{rest}\n" if rest else ""

    def _hear(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"pages": pages, "at_a_time": at_a_time}:
                self._begin_book(pages, at_a_time)
            case {"ends": page}:
                self._end_page(page, event)
            case {"failed": page, "title": title, "traceback": traceback}:
                self._say(f"{self._line(title)}  failed")
                self.page, self.traceback = page, traceback
            case {"rendering": _}:
                self._say("All pages have run. Writing the site takes less than a minute.")

    def _say(self, text: str) -> None:
        print(text, file=self.out, flush=True)

    def _begin_book(self, pages: list[str], at_a_time: int) -> None:
        self.pages, self.at_a_time = pages, at_a_time
        took = about(self.expect(pages))
        self._say(f"{len(pages)} pages run code. If none is cached, this takes about {took}.")

    def _line(self, title: str) -> str:
        """The start of a page's line."""
        all_ = len(self.pages)
        return f"[{len(self.seconds) + 1:{len(str(all_))}}/{all_}] {title[:40]:40} "

    def _end_page(self, page: str, event: Mapping[str, Any]) -> None:
        line = self._line(event["title"])
        self.seconds[page] = (event["runtime"] or event["seconds"]) / self.at_a_time
        if event["ran"]:
            self.spent += event["seconds"] / self.at_a_time
            self.spent_as_expected += self.expected.get(page, USUAL_SECONDS)
        rest = self.expect(page for page in self.pages if page not in self.seconds)
        behind = self.expect(self.seconds)
        took = spell(event["seconds"]) if event["ran"] else "cached"
        share = behind / (behind + rest or 1)
        end = f"   about {about(rest)} to go" if rest else ""
        self._say(f"{line}{took:>12}  {share:4.0%}{end}")


def which_cell(text: str, traceback: str) -> tuple[int, int, str] | None:
    """Find the cell that a traceback is about: its number on the page, its line and its code.

    Args:
        text: the page, in MyST Markdown.
        traceback: from Jupyter's client. It contains the cell's code, or, if the cell took too
            long, perhaps only its first and last lines.
    """
    fence = r"^```\{code-cell\}.*\n((?:.*\n)*?)```[ ]*$"
    found: tuple[int, int, str] | None = None
    for number, match in enumerate(re.finditer(fence, text, flags=re.MULTILINE), 1):
        code = re.sub(r"\A(?:(?::.*|---\n(?:.*\n)*?---)\n)+", "", match[1]).strip()
        lines = code.splitlines()
        ends = [line for line in lines[:5] + lines[-5:] if line.strip()]
        named = code in traceback or (len(lines) > 10 and all(e in traceback for e in ends))
        # if one cell's code is part of another's, the longer one has failed
        if code and named and (found is None or len(code) > len(found[2])):
            found = number, text.count("\n", 0, match.start()) + 1, code
    return found


def last_words(log: str) -> str:
    """The lines of a failed build's log that say why: the last error, or else warnings."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    lines = [line.rstrip() for line in plain.splitlines() if "IPKernelApp" not in line]
    lines = [line for line in lines if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
    # jupyter-book's own error says only that there was an earlier one
    errors = [line for line in errors if "error in building your book" not in line]
    warned = [line for line in lines if re.search(r"\b(WARNING|ERROR):", line)]
    return "\n".join((errors[-1:] or warned or lines)[-8:])


def explain(page: Path, text: str, traceback: str) -> str:
    """Say in at most ten lines which cell of which page failed, and how.

    Args:
        page: the page's file.
        text: the file's contents.
        traceback: as for `which_cell`.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", traceback)
    said = [line.rstrip() for line in plain.splitlines() if line.strip()]
    if "CellTimeoutError" in plain:
        said = [line for line in said if "timed out" in line][:1]
    cell = which_cell(text, plain)
    if cell is None:
        return "\n".join([f"{page} failed:", *said[-8:]])
    number, line, code = cell
    lines = [f"    {each}" for each in code.splitlines() if each.strip()]
    shown = lines if len(lines) <= 4 else [*lines[:2], "    ...", lines[-1]]
    return "\n".join([f"{page}:{line}: cell {number} failed:", *shown, *said[-4:]])
