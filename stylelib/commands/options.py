"""The options of the command line: for each parameter of the library's functions, one."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from stylelib.control.colors import COLORS
from stylelib.descents import AdamDescent
from stylelib.layers import POOLINGS, VGG19_LAYERS
from stylelib.precision import PRECISIONS
from stylelib.recipes import EFFORTS
from stylelib.sees.visualization import LEARNING_RATES
from stylelib.style_transfer import RECIPES

__all__ = [
    "OPTIONS",
    "add_network",
    "add_parameters",
    "given",
    "in_users_words",
    "layers",
    "layers_of_styles",
    "masks",
    "names",
    "numbers",
]


def size(text: str) -> int | tuple[int, int]:
    """A shorter side, "300", or a height and width, "300x450"."""
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.strip().isdigit() for side in sides):
        raise argparse.ArgumentTypeError(
            f"give the shorter side in pixels, 300, or HEIGHTxWIDTH, 300x450, not '{text}'"
        )
    return int(sides[0]) if len(sides) == 1 else (int(sides[0]), int(sides[1]))


def names(text: str) -> list[str]:
    """A list of layers by name: "relu1_1,pool1"."""
    return [name.strip() for name in text.split(",")]


def layers(text: str) -> list[str] | dict[str, float]:
    """A list of layers by name, in which each may have a factor: "conv1_1,conv2_1=0.5"."""
    if "=" not in text:
        return names(text)
    named = [part.partition("=") for part in text.split(",")]
    return {name.strip(): float(factor or 1) for name, _, factor in named}


def layers_of_styles(text: str) -> list[list[str] | dict[str, float] | None]:
    """Layers for each style, or - for the recipe's: "relu1_1,relu2_1/relu4_1=2/-"."""
    parts = [part.strip() for part in text.split("/")]
    return [None if part == "-" else layers(part) for part in parts]


def numbers(text: str) -> list[float]:
    """A number for each style: "0.7,0.3"."""
    return [float(part) for part in text.split(",")]


def masks(text: str) -> list[Path | None]:
    """A file for each style, or - for none: "sky.png,-"."""
    return [None if name.strip() == "-" else Path(name.strip()) for name in text.split(",")]


def shares(text: str) -> dict[str, float]:
    """A share for each loss: "content=0.45,style=0.45,tv=0.1"."""
    named = [part.partition("=") for part in text.split(",")]
    return {name.strip(): float(share) for name, _, share in named}


def _default_rate() -> str:
    return f"Adam's initial learning rate; by default {AdamDescent().lr:g}"


OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "image_shape": (
        "--size",
        {"type": size, "help": "shorter side in pixels, or HEIGHTxWIDTH"},
    ),
    "style_shape": ("--style-size", {"type": size, "help": "size of the style image"}),
    "texture_shape": ("--texture-size", {"type": size, "help": "size of the sample"}),
    "colors": (
        "--colors",
        {
            "choices": COLORS,
            "metavar": "COLORS",
            "help": "the painting's (style), the photograph's (keep: only its luminance is "
            "painted; match: the style gets them first), or nothing but the style's (only)",
        },
    ),
    "strength": (
        "--strength",
        {"type": float, "help": "from 0, the photograph's own style, to 1"},
    ),
    "strokes": ("--strokes", {"type": float, "help": "size of the strokes, such as 0.5 or 2"}),
    "shares": (
        "--shares",
        {
            "type": shares,
            "help": "gradient share of each loss, such as content=0.45,style=0.45,tv=0.1",
        },
    ),
    "steps": ("--steps", {"type": int, "help": "number of steps (L-BFGS: of evaluations)"}),
    "max_steps": ("--steps", {"type": int, "help": "largest number of steps"}),
    "effort": (
        "--effort",
        {
            "choices": EFFORTS,
            "metavar": "EFFORT",
            "help": "draft, normal or best: sets the number of steps if --steps is not given",
        },
    ),
    "lr": ("--lr", {"type": float, "help": _default_rate()}),
    "content_layers": (
        "--content-layers",
        {"type": layers, "help": "layers for content, written as for --style-layers"},
    ),
    "style_layers": (
        "--style-layers",
        {
            "type": layers,
            "help": "layers for style, each with a factor if it has one, such as "
            "conv1_1,conv2_1=0.5; by default the recipe's",
        },
    ),
    "init": (
        "--init",
        {
            "help": "start from content, style, noise or an image's path; transfer's default: "
            + ", ".join(f"{recipe.init} ({name})" for name, recipe in RECIPES.items())
        },
    ),
    "seed": ("--seed", {"type": int, "help": "seed of the random numbers"}),
    "scales": ("--scales", {"type": int, "help": "number of sizes, small to large"}),
    "clamp": (
        "--clamp",
        {
            "action": argparse.BooleanOptionalAction,
            "help": "keep pixels visible after each step; by default only with d2l",
        },
    ),
    "precision": (
        "--precision",
        {"choices": PRECISIONS, "help": "precision of the network; by default the recipe's"},
    ),
    "memory": (
        "--memory",
        {
            "type": float,
            "metavar": "GB",
            "help": "memory that may be used; by default what is available. What does not fit "
            "is computed by tiles",
        },
    ),
    "checkpoint": (
        "--checkpoint",
        {
            "type": Path,
            "metavar": "FILE",
            "help": "keep the state in this file, every minute and when stopped; the same "
            "command continues from it. It is removed when the image is saved",
        },
    ),
    "device": ("--device", {"help": "cpu, cuda or mps; by default the fastest available"}),
    "tv_weight": ("--tv-weight", {"type": float, "help": "weight of total variation"}),
    "range_weight": (
        "--range-weight",
        {"type": float, "help": "weight of the penalty on pixels out of range"},
    ),
    "epsilon": ("--epsilon", {"type": float, "help": "largest change of a pixel in 0..1"}),
    "confidence": ("--confidence", {"type": float, "help": "continue up to this probability"}),
    "storage": (
        "--storage",
        {"choices": list(LEARNING_RATES), "help": "how the image is stored"},
    ),
    "l2": ("--l2", {"type": float, "help": "weight of the squared length of the image"}),
}
"""For each parameter of the library's functions, its option and the arguments for argparse."""


def add_parameters(
    function: Callable[..., Any], parser: argparse.ArgumentParser, *, but: Sequence[str] = ()
) -> None:
    """Give a command an option for each parameter of its function, with the same default.

    Args:
        function: the function.
        parser: of the command.
        but: parameters that are left out.
    """
    for name, parameter in inspect.signature(function).parameters.items():
        if name in OPTIONS and name not in but:
            flag, told = OPTIONS[name]
            parser.add_argument(flag, dest=name, default=parameter.default, **told)


def given(function: Callable[..., Any], options: argparse.Namespace) -> dict[str, Any]:
    """The options that are parameters of a function, by name."""
    parameters = inspect.signature(function).parameters
    return {
        name: value
        for name, value in vars(options).items()
        if name in OPTIONS and name in parameters
    }


def add_network(parser: argparse.ArgumentParser) -> None:
    """Options for the weights and the pooling of VGG-19."""
    parser.add_argument(
        "--weights",
        default="embedded",
        help="VGG-19 weights: embedded, torchvision or a file",
    )
    parser.add_argument("--pooling", choices=POOLINGS, help="pooling of the network")
    parser.add_argument(
        "--list-layers",
        action=_ListLayers,
        nargs=0,
        help="print the names of the layers and exit",
    )


class _ListLayers(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        print("\n".join(VGG19_LAYERS))
        parser.exit(0)


def in_users_words(message: str) -> str:
    """Replace a parameter's name at the start of a message with the name of its option."""
    message = re.sub(r"^(here|there) (?=must |is (empty|at most|\d))", r"--\1 ", message)
    name, _, rest = message.partition(" ")
    return f"{OPTIONS[name][0]} {rest}" if name in OPTIONS else message
