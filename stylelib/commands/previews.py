"""The option `--sheet` of `transfer`: a grid of small images over one or two options."""

from __future__ import annotations

import argparse
import copy
import os
from typing import Any

from stylelib.callbacks import ProgressBar
from stylelib.commands.painting import transferred
from stylelib.control.sheets import Sheet, filled
from stylelib.errors import InputError, Interrupted
from stylelib.results import TransferResult

__all__ = ["paint_sheet", "sheet_arguments"]


class _Axis(argparse.Action):
    """Keeps NAME=VALUE,VALUE of each `--sheet`, and the parser that can read the values."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        namespace.sheet = [*(namespace.sheet or []), *values.split(";")]
        namespace.parser = parser


def sheet_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `transfer` for a sheet."""
    parser.add_argument(
        "--sheet",
        action=_Axis,
        metavar="NAME=VALUE,VALUE",
        help="make a sheet of small images, one for each value of an option, such as "
        "strength=0.3,0.6,1; a second --sheet makes rows (values with commas: "
        "shares=content=0.5,style=0.5|...)",
    )
    parser.add_argument(
        "--sheet-size",
        default="128",
        metavar="SIZE",
        help="size of each image of the sheet, written as for --size",
    )


def paint_sheet(options: argparse.Namespace) -> int:
    """Make the sheet, and return the exit code."""
    for name, flag in {"checkpoint": "--checkpoint", "save_every": "--save-every"}.items():
        if getattr(options, name, None) is not None:
            raise InputError(f"--sheet makes several images: leave out {flag}")
    axes = [axis_of(text) for text in options.sheet]
    if len(axes) > 2:
        raise InputError(f"--sheet has one or two options, not {len(axes)}")
    for flag, value in ((flag, value) for flag, values in axes for value in values):
        changed(options, {flag: value})  # before the work, not in the middle of it

    def make(settings: dict[str, Any]) -> TransferResult:
        bar = ProgressBar()
        try:
            made = transferred(changed(options, settings), bar)
        finally:
            bar.close()
        assert isinstance(made, TransferResult)
        return made

    columns, *rows = ({flag: values} for flag, values in axes)
    try:
        finished = filled(make, columns, rows[0] if rows else None)
    except Interrupted as stop:
        stop.result.save(options.output)
        print(f"{options.output}: stopped; the sheet is not complete")
        return 130
    finished.save(options.output)
    print(f"{options.output}: {counted(finished)}")
    return 0


def counted(finished: Sheet) -> str:
    """How many images there are, and how many were refused."""
    cells = [cell for row in finished.results for cell in row]
    made = sum(isinstance(cell, TransferResult) for cell in cells)
    said = f"{made} image" + "s" * (made != 1)
    return said if made == len(cells) else f"{said}, {len(cells) - made} refused"


def axis_of(text: str) -> tuple[str, list[str]]:
    """An option and its values from "strength=0.3,0.6"; "|" separates values with commas."""
    flag, _, values = text.strip().partition("=")
    listed = [value.strip() for value in values.split("|" if "|" in values else ",")]
    if not flag or not all(listed):
        raise InputError(
            f"--sheet must be an option with its values, such as strength=0.3,0.6, not {text!r}"
        )
    return flag.removeprefix("--"), listed


def changed(options: argparse.Namespace, settings: dict[str, str]) -> argparse.Namespace:
    """The options of one image: those of all, and some that are its own.

    The parser ends the program with one line if there is no such option, or the value is wrong.
    """
    words = {"size": options.sheet_size} | settings
    paths = [options.content, *options.style, "--output", options.output]
    return options.parser.parse_args(  # type: ignore[no-any-return]  # it is argparse's
        [*map(os.fspath, paths), *(f"--{flag}={value}" for flag, value in words.items())],
        copy.copy(options),
    )
