"""The command line: `python -m stylelib transfer` and `python -m stylelib samples`."""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from stylelib import (
    RECIPES,
    DivergenceError,
    LossWeights,
    StylelibError,
    save_image,
    transfer,
    vgg19,
)
from stylelib._version import __version__
from stylelib.callbacks import IntermediateSaver, ProgressBar, all_of
from stylelib.descents import AdamDescent
from stylelib.images import check_output
from stylelib.records import Callback
from stylelib.results import check_settings_output
from stylelib.samples import write


class _Parser(argparse.ArgumentParser):
    """An argument parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


class _Formatter(argparse.ArgumentDefaultsHelpFormatter):
    """Adds defaults to the help, but for those that depend on other options."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default is None else super()._get_help_string(action)


def size(text: str) -> int | tuple[int, int]:
    """A shorter side, "300", or a height and width, "300x450"."""
    sides = [int(side) for side in text.lower().split("x")]
    if len(sides) not in (1, 2):
        raise ValueError
    return sides[0] if len(sides) == 1 else (sides[0], sides[1])


def _parser() -> argparse.ArgumentParser:
    defaults: dict[str, Any] = {
        name: parameter.default
        for name, parameter in inspect.signature(transfer).parameters.items()
    }
    parser = _Parser(
        prog="stylelib",
        description="Neural style transfer, from the book Painting with Gradients.",
    )
    parser.add_argument("--version", action="version", version=f"stylelib {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)

    paint = commands.add_parser(
        "transfer",
        help="paint one picture in the style of another",
        description="Paint the content of one picture in the style of another. "
        "Ctrl-C saves what there is.",
        formatter_class=_Formatter,
    )
    paint.add_argument(
        "content", type=Path, help="the picture whose things are to be recognised"
    )
    paint.add_argument(
        "style", type=Path, help="the picture whose colours and strokes are to be taken"
    )
    paint.add_argument(
        "--recipe",
        choices=list(RECIPES),
        default=defaults["recipe"],
        help="the book's main line, or the method of the paper by L-BFGS from noise",
    )
    paint.add_argument(
        "-o",
        "--output",
        type=Path,
        required=True,
        help="the picture to write (.png, .jpg, ...)",
    )
    paint.add_argument(
        "--size",
        type=size,
        default=defaults["image_shape"],
        help="shorter side, or HEIGHTxWIDTH",
    )
    paint.add_argument(
        "--style-size",
        type=size,
        default=defaults["style_shape"],
        help="the same for the style",
    )
    paint.add_argument(
        "--steps",
        type=int,
        default=defaults["steps"],
        help="number of steps, with gatys of evaluations",
    )
    paint.add_argument(
        "--lr",
        type=float,
        help=f"Adam's learning rate at the start; by default {AdamDescent().lr}",
    )
    for name, value in RECIPES["d2l"].weights._asdict().items():
        recipe, paper = (
            getattr(weights, name) for weights in (LossWeights(), RECIPES["gatys"].weights)
        )
        text = (
            f"factor of the {name} loss; by default {value:g}, and {recipe:g} where --weights "
            f"is not embedded; with gatys {paper:g}"
        )
        paint.add_argument(f"--{name}-weight", type=float, help=text)
    paint.add_argument(
        "--init",
        help="start from content, style, noise or a picture's path; by default the recipe's: "
        + ", ".join(f"{recipe.init} ({name})" for name, recipe in RECIPES.items()),
    )
    paint.add_argument(
        "--seed", type=int, default=defaults["seed"], help="of the noise, with --init noise"
    )
    paint.add_argument(
        "--scales",
        type=int,
        default=defaults["scales"],
        help="sizes to work through, small to large",
    )
    paint.add_argument(
        "--clamp",
        action=argparse.BooleanOptionalAction,
        help="keep pixels visible after each step; by default only with d2l",
    )
    paint.add_argument(
        "--precision",
        choices=["auto", "float32", "bfloat16"],
        help="of the network; by default the recipe's",
    )
    paint.add_argument(
        "--device", default=None, help="cpu or cuda; by default a GPU where there is one"
    )
    paint.add_argument(
        "--weights",
        default="embedded",
        help="embedded, torchvision or a file of VGG-19 weights",
    )
    paint.add_argument(
        "--save-every",
        type=int,
        metavar="N",
        help="also save every Nth step, in OUTPUT's folder",
    )

    copy = commands.add_parser("samples", help="write the sample pictures into a folder")
    copy.add_argument("folder", type=Path)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; the exit code is 0, 2 for bad input, 1 where the loss diverged."""
    options = _parser().parse_args(arguments)
    try:
        return _samples(options) if options.command == "samples" else _transfer(options)
    except StylelibError as error:
        print(f"stylelib: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stylelib: stopped before there was a picture", file=sys.stderr)
        return 130


def _samples(options: argparse.Namespace) -> int:
    files = write(options.folder)
    print(f"{len(files)} files in {options.folder}")
    return 0


def _transfer(options: argparse.Namespace) -> int:
    check_output(options.output)  # before the work, not after it
    check_settings_output(options.output)
    chosen = {name: getattr(options, f"{name}_weight") for name in LossWeights._fields}
    recipe = RECIPES[options.recipe]
    usual = LossWeights()
    if options.weights == "embedded" or options.recipe != "d2l":
        usual = recipe.weights
    weights = usual._replace(**{k: v for k, v in chosen.items() if v is not None})
    bar = ProgressBar(options.steps)
    callback: Callback = bar
    if options.save_every is not None:
        callback = all_of(bar, IntermediateSaver(options.output.parent, options.save_every))
    try:
        result = transfer(
            options.content,
            options.style,
            recipe=options.recipe,
            image_shape=options.size,
            style_shape=options.style_size,
            steps=options.steps,
            lr=options.lr,
            weights=weights,
            init=options.init,
            seed=options.seed,
            scales=options.scales,
            clamp=options.clamp,
            precision=options.precision,
            device=options.device,
            net=vgg19(options.weights, layers=[*recipe.content_layers, *recipe.style_layers]),
            callback=callback,
        )
    except DivergenceError as error:
        bar.close()
        save_image(error.picture, options.output)
        print(f"stylelib: {error}; saved as {options.output}", file=sys.stderr)
        return 1
    finally:
        bar.close()
    result.save(options.output)
    shares = ", ".join(f"{name} {share:.0%}" for name, share in result.gradient_shares.items())
    print(f"{options.output}: {len(result.history)} steps; share of the gradient: {shares}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
