"""What the build of the book tells the person who waits for it: a line a page, and where a
cell failed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

PROGRESS = "book-progress: "
"""What a line begins with that book/_ext/living_book.py means for us."""

USUAL_SECONDS = 60.0  # of a page that has never been timed


def spell(seconds: float) -> str:
    """A time as a person says it: 8 s, 4 min 10 s, 1 h 05 min."""
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def about(seconds: float) -> str:
    """A time that is only estimated."""
    return f"{round(seconds / 60)} min" if seconds >= 90 else f"{round(seconds)} s"


@dataclass
class Progress:
    """Turns what the book's extension says into lines.

    Attributes:
        expected: seconds by page, as measured at some other time, perhaps on another machine.
            How much faster or slower this one is shows after the first page.
        out: where the lines go.
        seconds: what each page of this build took to run, now or when it was kept.
        traceback: of the cell that failed, and its page, if one has.
    """

    expected: Mapping[str, float]
    out: TextIO
    seconds: dict[str, float] = field(default_factory=dict)
    traceback: str = ""
    page: str = ""
    pages: list[str] = field(default_factory=list)
    spent: float = 0.0
    spent_as_expected: float = 0.0
    done: int = 0

    def expect(self, pages: Iterable[str]) -> float:
        """How long these pages will take, by the speed of those that have run."""
        pace = self.spent / self.spent_as_expected if self.spent_as_expected else 1.0
        return pace * sum(self.expected.get(page, USUAL_SECONDS) for page in pages)

    def hear(self, line: str) -> str:
        """Take a line of the build's output. Returns what of it is for the log."""
        rest, found, event = line.partition(PROGRESS)
        if found:
            self._hear(json.loads(event))
            return f"{rest}\n" if rest else ""
        return line

    def _hear(self, event: Mapping[str, Any]) -> None:
        match event:
            case {"pages": pages}:
                self._begin_book(pages)
            case {"begins": page, "title": title}:
                self._begin_page(page, title)
            case {"ends": page}:
                self._end_page(page, event)
            case {"failed": page, "traceback": traceback}:
                self._say("a cell failed")
                self.page, self.traceback = page, traceback
            case {"rendering": _}:
                self.page = ""
                self._say("All pages have run. Now the site is written: less than a minute.")

    def _say(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=self.out, flush=True)

    def _begin_book(self, pages: list[str]) -> None:
        self.pages = pages
        took = about(self.expect(pages))
        self._say(f"{len(pages)} pages run code. If none is kept from before: about {took}.")

    def _begin_page(self, page: str, title: str) -> None:
        self.page = page
        if page in self.pages:
            number = f"[{self.done + 1:{len(str(len(self.pages)))}}/{len(self.pages)}]"
            self._say(f"{number} {title[:40]:40} ", end="")

    def _end_page(self, page: str, event: Mapping[str, Any]) -> None:
        self.done += 1
        self.seconds[page] = event["runtime"] or event["seconds"]
        if event["ran"]:
            self.spent += event["seconds"]
            self.spent_as_expected += self.expected.get(page, USUAL_SECONDS)
        rest = self.expect(self.pages[self.done :])
        behind = self.expect(self.pages[: self.done])
        took = spell(event["seconds"]) if event["ran"] else "kept"
        share = behind / (behind + rest or 1)
        end = f"   about {about(rest)} to go" if rest else ""
        self._say(f"{took:>12}  {share:4.0%}{end}")


def which_cell(text: str, traceback: str) -> tuple[int, int, str] | None:
    """The cell of a page that a traceback is about: its number among the page's cells, its
    line in the file, its code.

    Args:
        text: the page, MyST Markdown.
        traceback: as Jupyter's client writes it: the cell's code, or, of a cell that took too
            long, perhaps only its first and last lines.
    """
    fence = r"^```\{code-cell\}.*\n((?:.*\n)*?)```[ ]*$"
    found: tuple[int, int, str] | None = None
    for number, match in enumerate(re.finditer(fence, text, flags=re.MULTILINE), 1):
        code = re.sub(r"\A(?:(?::.*|---\n(?:.*\n)*?---)\n)+", "", match[1]).strip()
        lines = code.splitlines()
        ends = [line for line in lines[:5] + lines[-5:] if line.strip()]
        named = code in traceback or (len(lines) > 10 and all(e in traceback for e in ends))
        # one cell's code may be part of another's, which then is the one
        if code and named and (found is None or len(code) > len(found[2])):
            found = number, text.count("\n", 0, match.start()) + 1, code
    return found


def last_words(log: str) -> str:
    """Of a log that ends in a failure, the lines that say why: errors, or else warnings."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", log)
    lines = [line.rstrip() for line in plain.splitlines() if "IPKernelApp" not in line]
    lines = [line for line in lines if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception|Interrupt)\b", line)]
    # jupyter-book's own error says only that there was one before it
    errors = [line for line in errors if "error in building your book" not in line]
    warned = [line for line in lines if re.search(r"\b(WARNING|ERROR):", line)]
    return "\n".join((errors[-1:] or warned or lines)[-8:])


def explain(page: Path, text: str, traceback: str) -> str:
    """Which cell of which page failed, and how, in ten lines at most.

    Args:
        page: the page's file.
        text: what is in it.
        traceback: as for `which_cell`.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", traceback)
    said = [line.rstrip() for line in plain.splitlines() if line.strip()]
    if "CellTimeoutError" in plain:
        said = [line for line in said if "timed out" in line][:1]
    cell = which_cell(text, plain)
    if cell is None:
        return "\n".join([f"{page}: a cell failed:", *said[-8:]])
    number, line, code = cell
    lines = [f"    {each}" for each in code.splitlines() if each.strip()]
    shown = lines if len(lines) <= 4 else [*lines[:2], "    ...", lines[-1]]
    return "\n".join([f"{page}:{line}: cell {number} failed:", *shown, *said[-4:]])
