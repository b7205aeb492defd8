"""The command line, `python -m stylelib COMMAND`. See `stylelib.commands` for the commands."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from stylelib._version import __version__
from stylelib.errors import StylelibError
from stylelib.large.interrupts import terminations

COMMANDS = {
    "transfer": "paint one image in the style of another",
    "batch": "paint many images, several at once",
    "frames": "paint the frames of a clip",
    "texture": "make an image of any size with the texture of another",
    "invert": "make an image from the features of one layer",
    "saliency": "show which pixels the score of a class depends on",
    "fool": "change an image until a network takes it for something else",
    "visualize": "make an image that a class or a channel responds to",
    "samples": "write the sample images into a folder",
    "check": "mark the functions that you wrote for the exercises",
}


class Parser(argparse.ArgumentParser):
    """An argument parser that reports an error in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


class Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds the defaults to the help, except those that depend on other options."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Parse the command line.

    Only the options of the given command are built, because that imports PyTorch.
    """
    parser = Parser(
        prog="stylelib",
        description="Neural style transfer, from the book Painting with Gradients.",
    )
    parser.add_argument("--version", action="version", version=f"stylelib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    given = next((word for word in arguments if not word.startswith("-")), None)
    for name, text in COMMANDS.items():
        command = commands.add_parser(name, help=text, formatter_class=Formatter)
        if name == given:
            from stylelib import commands as library

            library.add_options(name, command)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Returns:
        0 for success, 1 if the loss diverged or a checked function is wrong, 2 for bad input,
        and 130 if Ctrl-C or 143 if SIGTERM ended the run, even if an image was saved.
    """
    options = _parse(sys.argv[1:] if arguments is None else arguments)
    with terminations() as received:
        code = _run(options)
    return 143 if code == 130 and received else code


def _run(options: argparse.Namespace) -> int:
    """Run a command, and say in one line why it failed."""
    from stylelib import commands

    try:
        return commands.run(options)
    except StylelibError as error:
        text = commands.in_users_words(" ".join(str(error).split()))
        print(f"stylelib: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stylelib: stopped before there was an image", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
