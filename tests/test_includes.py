"""Each `literalinclude` of the book shows what it means to show.

Sphinx reports a marker that is not there only when the whole book is built.
"""

import ast
import re
from pathlib import Path

import pytest

BOOK = Path(__file__).parent.parent / "book"
INCLUDES = [
    (page, found.group(1), dict(re.findall(r':([\w-]+): *"?(.*?)"?$', found.group(2), re.M)))
    for page in sorted(BOOK.glob("*.md"))
    for found in re.finditer(
        r"```\{literalinclude\} (\S+)\n(.*?)```", page.read_text(encoding="utf-8"), re.S
    )
]


def source_of(path, name):
    """The lines of a function, class or method, decorators included."""
    text = path.read_text(encoding="utf-8")
    node = ast.parse(text)
    for part in name.split("."):
        node = next(child for child in node.body if getattr(child, "name", None) == part)
    first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
    return text.splitlines()[first - 1 : node.end_lineno]


def test_there_are_includes():
    assert len(INCLUDES) > 40


@pytest.mark.parametrize(
    ("page", "target", "options"),
    INCLUDES,
    ids=[f"{page.stem}-{number}" for number, (page, _, _) in enumerate(INCLUDES)],
)
def test_an_include_finds_its_source_and_its_markers(page, target, options):
    assert set(options) <= {"pyobject", "start-at", "end-at", "end-before", "lines"}
    path = (page.parent / target).resolve()
    lines = path.read_text(encoding="utf-8").splitlines()
    if "pyobject" in options:
        lines = source_of(path, options["pyobject"])
    for kind in ("start-at", "end-at", "end-before"):
        if kind in options:
            places = [i for i, line in enumerate(lines) if options[kind] in line]
            assert places, f"{page.name}: {options[kind]!r} is not in {options}"
            lines = lines[places[0] :] if kind == "start-at" else lines[: places[0] + 1]
    assert lines
