"""MyST as Markdown that any notebook shows: roles become their text, directives become
headings, quotes, images or code. What has no translation here is an error, so that nothing is
left raw.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pybtex.database
from pybtex.richtext import Text
from sphinx.config import Config
from sphinx.directives.code import LiteralIncludeReader

FENCE = re.compile(r"(?P<fence>`{3,}|:{3,})(?:\{(?P<name>[\w-]+)\})?(?P<argument>.*)")
OPTION = re.compile(r":([\w-]+):\s*(.*)")
LABEL = re.compile(r"^\([\w-]+\)=\n", re.MULTILINE)
SPAN = re.compile(
    r"\{(?P<role>[\w:-]+)\}`(?P<content>[^`]+)`"
    r"|(?P<code>(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))"
    r"|(?P<math>\$\$.+?\$\$|(?<!\\)\$[^$]+\$)"
    r'|<a href="(?P<html>[\w-]+)\.html">(?P<inside>.+?)</a>'
    r"|!\[(?P<alt>[^\]]*)\]\((?P<image>[^)\s:]+)\)(?:\{[^}]*\})?"
    r"|\[(?P<words>[^\]\[]+)\]\((?P<page>[\w-]+)\.md(?P<anchor>#[\w-]+)?\)",
    re.DOTALL,
)
ADMONITIONS = {
    "admonition", "attention", "caution", "danger", "error", "hint", "important", "note",
    "seealso", "tip", "warning",
}  # fmt: skip
CONTAINERS = {"container", "div"}


@dataclass(frozen=True)
class Directive:
    """A fenced block: ```{name} argument, lines of options, content."""

    name: str
    argument: str
    options: Mapping[str, str]
    content: str

    @classmethod
    def parse(cls, name: str, argument: str, lines: list[str]) -> Directive:
        """From what stands behind the name, and the lines between the fences."""
        options = {}
        while lines and (match := OPTION.fullmatch(lines[0].strip())):
            options[match[1]] = match[2]
            lines = lines[1:]
        return cls(name, argument.strip(), options, "\n".join(lines).strip())


def blocks(text: str) -> Iterator[str | Directive]:
    """The directives of a text, and what stands between them."""
    lines, between = text.splitlines(), list[str]()
    while lines:
        line = lines.pop(0)
        match = FENCE.fullmatch(line)
        if match is None:
            between += [line] * (not line.startswith("%"))  # a comment
            continue
        inside = []
        while lines and not (
            lines[0].rstrip().startswith(match["fence"])
            and not lines[0].strip().strip(match["fence"][0])
        ):
            inside.append(lines.pop(0))
        end = lines.pop(0) if lines else match["fence"]
        if match["name"] is None:  # code to be read
            between += [line, *inside, end]
            continue
        if "\n".join(between).strip():
            yield "\n".join(between).strip()
        between = []
        yield Directive.parse(match["name"], match["argument"], inside)
    if "\n".join(between).strip():
        yield "\n".join(between).strip()


@dataclass
class Page:
    """What the translation of a page has to know of it.

    Args:
        path: the file.
        link: the address of a page of the book, or None where there is none to lead to.
        times: how long a page takes, in words.
        figures, exercises: numbers by label.
        cited: keys of the works that were cited so far, in order.
    """

    path: Path
    link: Callable[[str], str | None]
    figures: Mapping[str, int]
    exercises: Mapping[str, int]
    library: pybtex.database.BibliographyData
    times: Callable[[str], str]
    cited: list[str] = field(default_factory=list)

    @classmethod
    def read(
        cls, path: Path, link: Callable[[str], str | None], times: Callable[[str], str]
    ) -> Page:
        """A page in the folder of the others and of their bibliography."""
        text = path.read_text("utf-8")
        return cls(
            path,
            link,
            figures_of(text),
            number(re.findall(r"^:label: (ex-\S+)", text, re.MULTILINE)),
            pybtex.database.parse_file(path.parent / "references.bib"),
            times,
        )

    # --- within a line

    def inline(self, text: str) -> str:
        """Roles and links to other pages as plain text; code and formulas stay as they are."""
        return SPAN.sub(self._span, LABEL.sub("", text))

    def _span(self, match: re.Match[str]) -> str:
        if match["role"]:
            before = " ".join(match.string[: match.start()].split())
            return self._role(match["role"], " ".join(match["content"].split()), before)
        if match["image"]:
            return self._image(match["image"], match["alt"])
        if match["html"]:
            words, address = self.inline(match["inside"]), self.link(match["html"])
            return f'<a href="{address}">{words}</a>' if address else words
        if match["page"]:
            words, address = self.inline(match["words"]), self.link(match["page"])
            return f"[{words}]({address}{match['anchor'] or ''})" if address else words
        return match[0]

    def _role(self, name: str, content: str, before: str) -> str:
        if name in ("cite:p", "cite:t"):
            return self._cite(content.split(","), before, in_text=name == "cite:t")
        if name == "numref":
            return self._figure_name(content)
        if name == "math":
            return f"${content}$"
        if name == "time":
            return self.times(content)
        if name in ("term", "ref"):
            told = re.fullmatch(r"(.+?)\s*<[^>]*>", content)
            if name == "term" or told:
                return told[1] if told else content
            return f"exercise {self.exercises[content]}"
        raise ValueError(f"{self.path.name}: the role {name} has no plain Markdown")

    def _figure_name(self, label: str) -> str:
        if label in self.figures:
            return f"Figure {self.figures[label]}"
        for path in self.path.parent.glob("[0-9][0-9]-*.md"):
            figures = figures_of(path.read_text("utf-8"))
            if label in figures:
                chapter, address = f"chapter {int(path.stem[:2])}", self.link(path.stem)
                where = f"[{chapter}]({address})" if address else chapter
                return f"Figure {figures[label]} of {where}"
        raise ValueError(f"{self.path.name}: there is no figure {label}")

    def _cite(self, keys: list[str], before: str, *, in_text: bool) -> str:
        said = []
        for key in (each.strip() for each in keys):
            entry = self.library.entries[key]
            if key not in self.cited:
                self.cited.append(key)
            year, names = entry.fields.get("year", ""), authors(entry)
            if in_text:
                said.append(f"{names} ({year})" if year else names)
            elif year and before.endswith(names):  # the sentence has named them
                said.append(year)
            else:
                said.append(f"{names}, {year}" if year else names)
        return "; ".join(said) if in_text else f"({'; '.join(said)})"

    # --- whole texts

    def plain(self, text: str) -> str:
        """A text with directives in it."""
        parts = [
            self.inline(block) if isinstance(block, str) else self.directive(block)
            for block in blocks(text)
        ]
        return "\n\n".join(part for part in parts if part)

    def directive(self, block: Directive) -> str:
        """A directive as Markdown. Solutions are folded by the browser."""
        name = block.name
        if name == "exercise":
            title = f"### Exercise {self.exercises[block.options['label']]}"
            return f"{title}\n\n{self.plain(block.content)}"
        if name == "solution":
            summary = (
                f"<summary>Solution to exercise {self.exercises[block.argument]}</summary>"
            )
            return f"<details>\n{summary}\n\n{self.plain(block.content)}\n\n</details>"
        if name in ("figure", "image"):
            return self._figure(block)
        if name == "literalinclude":
            return self._source(block)
        if name in ("code", "code-block"):
            return f"```{block.argument}\n{block.content}\n```"
        if name == "math":
            return f"$$\n{block.content}\n$$"
        if name in CONTAINERS:
            return self.plain(block.content)
        if name in ADMONITIONS:
            title = self.inline(block.argument) or name.capitalize()
            text = f"**{title}**\n\n{self.plain(block.content)}"
            return "\n".join(f"> {line}".rstrip() for line in text.splitlines())
        raise ValueError(f"{self.path.name}: the directive {name} has no plain Markdown")

    def _figure(self, block: Directive) -> str:
        image = self._image(block.argument, block.options.get("alt", ""))
        caption = self.plain(block.content)
        label = block.options.get("name")
        if label:
            caption = f"**Figure {self.figures[label]}.** {caption}"
        return f"{image}\n\n{caption}".strip()

    def _image(self, name: str, alt: str) -> str:
        """An image in the text itself, as HTML: JupyterLab refuses drawings as attachments."""
        file = self.path.parent / name
        kind = {".svg": "svg+xml", ".jpg": "jpeg"}.get(file.suffix, file.suffix[1:])
        data = base64.b64encode(file.read_bytes()).decode()
        return f'<img alt="{escape(self.inline(alt))}" src="data:image/{kind};base64,{data}">'

    def _source(self, block: Directive) -> str:
        wanted = {key: value.strip('"') for key, value in block.options.items()}
        file = (self.path.parent / block.argument).resolve()
        source, _ = LiteralIncludeReader(str(file), wanted, Config()).read()
        return (
            f"From `{file.relative_to(self.path.parent.parent.resolve()).as_posix()}`:\n\n"
            + (f"```python\n{source.rstrip()}\n```")
        )

    def references(self) -> str:
        """The works that the page cites, with where to find them."""
        lines = [described(self.library.entries[key]) for key in sorted(self.cited)]
        return "\n".join(["## References", "", *(f"- {line}" for line in lines)])


def figures_of(text: str) -> dict[str, int]:
    """The numbers of a page's figures, drawings and those of cells, by label."""
    return number(re.findall(r"^[: ]*name: (fig-\S+)", text, re.MULTILINE))


def number(labels: list[str]) -> dict[str, int]:
    return {label: at for at, label in enumerate(labels, start=1)}


def text_of(value: str) -> str:
    """A field of a bibliography without the braces and dashes of TeX."""
    return str(Text.from_latex(value))


def authors(entry: pybtex.database.Entry) -> str:
    """The last names, as in Canny, in Portilla and Simoncelli, in Gatys et al."""
    people = entry.persons.get("author") or entry.persons["editor"]
    names = [" ".join(str(part) for part in person.rich_last_names) for person in people]
    if len(names) > 2 or names[-1] == "others":
        return f"{names[0]} et al."
    return " and ".join(names)


def described(entry: pybtex.database.Entry) -> str:
    """Authors, year, title, place and link of a work."""
    fields = entry.fields
    places = ("journal", "booktitle", "publisher", "howpublished", "institution")
    place = next((text_of(fields[name]) for name in places if name in fields), "")
    link = ""
    if "doi" in fields:
        link = f"https://doi.org/{fields['doi']}"
    elif place.startswith("arXiv:"):
        place, link = "arXiv", f"https://arxiv.org/abs/{place.removeprefix('arXiv:')}"
    elif place.startswith("https:"):
        place, link = "", place
    year = f" ({fields['year']})" if "year" in fields else ""
    said = [f"{authors(entry)}{year}. *{text_of(fields['title'])}*"]
    said += [each for each in (place, f"<{link}>" if link else "") if each]
    return ". ".join(said) + "."
