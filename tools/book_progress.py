"""What the build of the book tells the person who waits for it: a line a page, and where a
cell failed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

PROGRESS = "book-progress: "  # as book/_ext/living_book.py writes it
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

    def hear(self, line: str) -> bool:
        """Take a line of the build's output; whether it was meant for us."""
        _, found, event = line.partition(PROGRESS)
        if found:
            for key, value in (parsed := json.loads(event)).items():
                if handle := getattr(self, f"_hear_{key}", None):
                    handle(value, parsed)
        return bool(found)

    def _say(self, text: str, end: str = "\n") -> None:
        print(text, end=end, file=self.out, flush=True)

    def _hear_pages(self, pages: list[str], _: Mapping[str, Any]) -> None:
        self.pages = pages
        took = about(self.expect(pages))
        self._say(f"{len(pages)} pages run code. If none is kept from before: about {took}.")

    def _hear_begins(self, page: str, event: Mapping[str, Any]) -> None:
        self.page = page
        if page in self.pages:
            number = f"[{self.done + 1:{len(str(len(self.pages)))}}/{len(self.pages)}]"
            self._say(f"{number} {event['title'][:40]:40} ", end="")

    def _hear_ends(self, page: str, event: Mapping[str, Any]) -> None:
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

    def _hear_failed(self, page: str, event: Mapping[str, Any]) -> None:
        self._say("a cell failed")
        self.page, self.traceback = page, event["traceback"]

    def _hear_rendering(self, _: bool, __: Mapping[str, Any]) -> None:
        self.page = ""
        self._say("All pages have run. Now the site is written: less than a minute.")


def which_cell(text: str, traceback: str) -> tuple[int, int, str] | None:
    """The cell of a page that a traceback is about: its number among the page's cells, its
    line in the file, its code.

    Args:
        text: the page, MyST Markdown.
        traceback: as Jupyter's client writes it: the cell's code, or, of a cell that took too
            long, perhaps only its first and last lines.
    """
    fence = r"^```\{code-cell\}.*\n((?:.*\n)*?)```[ ]*$"
    for number, match in enumerate(re.finditer(fence, text, flags=re.MULTILINE), 1):
        code = re.sub(r"\A(?:(?::.*|---\n(?:.*\n)*?---)\n)+", "", match[1]).strip()
        lines = code.splitlines()
        ends = [line for line in lines[:5] + lines[-5:] if line.strip()]
        if code in traceback or (len(lines) > 10 and all(end in traceback for end in ends)):
            return number, text.count("\n", 0, match.start()) + 1, code
    return None


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
