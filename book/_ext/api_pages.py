"""Extensions for the pages of the library.

1. The directive ``command-line`` describes the purpose and the arguments of each command of
   `python -m stylelib`, from its own parser.
2. Docstrings of constants are shown unchanged. Napoleon would read the text before their first
   colon as a type.
"""

from __future__ import annotations

import argparse
import re
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.application import Sphinx

from stylelib import commands
from stylelib.__main__ import COMMANDS, Formatter


def parser_of(command: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"python -m stylelib {command}", formatter_class=Formatter
    )
    commands.add_options(command, parser)
    return parser


def usage_of(parser: argparse.ArgumentParser) -> str:
    """The required arguments, and whether there are optional ones."""
    needed = [
        names_of(action).split(", ")[0] + (" OUTPUT" if action.option_strings else "")
        for action in parser._actions
        if action.required
    ]
    more = ["[options]"] if any(not action.required for action in parser._actions[1:]) else []
    return " ".join([parser.prog, *needed, *more])


def help_of(action: argparse.Action, parser: argparse.ArgumentParser) -> nodes.paragraph:
    """The help of an option as the terminal shows it, with names of options as code."""
    paragraph = nodes.paragraph()
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    for part in re.split(r"(--[\w-]+)", text):
        option = part.startswith("--")
        paragraph += nodes.literal(part, part) if option else nodes.Text(part)
    return paragraph


def names_of(action: argparse.Action) -> str:
    if not action.option_strings:
        return str(action.metavar or action.dest)
    metavar = "" if action.nargs == 0 else str(action.metavar or action.dest.upper())
    if action.choices is not None and action.metavar is None:
        metavar = "{" + ",".join(map(str, action.choices)) + "}"
    return ", ".join(action.option_strings) + (f" {metavar}" if metavar else "")


class CommandLine(Directive):
    """A section for each command."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """The sections, each with an anchor `command-NAME`."""
        found: list[nodes.Node] = []
        for command, purpose in COMMANDS.items():
            section = nodes.section(ids=[f"command-{command}"], names=[command])
            section += nodes.title("", "", nodes.literal(command, command))
            section += nodes.paragraph("", f"{purpose[0].upper()}{purpose[1:]}.")
            parser = parser_of(command)
            usage = usage_of(parser)
            section += nodes.literal_block(usage, usage, language="text")
            options = nodes.definition_list(classes=["options"])
            for action in parser._actions:
                if "--help" in action.option_strings or action.help == argparse.SUPPRESS:
                    continue
                name = names_of(action)
                options += nodes.definition_list_item(
                    "",
                    nodes.term("", "", nodes.literal(name, name)),
                    nodes.definition("", help_of(action, parser)),
                )
            section += options
            self.state.document.note_explicit_target(section)
            found.append(section)
        return found


KEPT: dict[str, list[str]] = {}
CONSTANTS = {"data", "attribute"}


def keep_docstring(
    _app: Sphinx, what: str, name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    if what in CONSTANTS:
        KEPT[name] = list(lines)


def restore_docstring(
    _app: Sphinx, what: str, name: str, _object: Any, _options: Any, lines: list[str]
) -> None:
    if what in CONSTANTS and name in KEPT:
        kept = KEPT.pop(name)
        # Python's own docstring of a named tuple's field says nothing
        lines[:] = [] if kept and kept[0].startswith("Alias for field number") else kept


def setup(app: Sphinx) -> dict[str, Any]:
    app.add_directive("command-line", CommandLine)
    app.connect("autodoc-process-docstring", keep_docstring, priority=400)
    app.connect("autodoc-process-docstring", restore_docstring, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
