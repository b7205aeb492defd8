"""The commands of the command line. Each calls a function of the library, whose parameters are
its options.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stylelib import samples
from stylelib.callbacks import IntermediateSaver, ProgressBar, all_of
from stylelib.control.colors import COLORS
from stylelib.control.styles import Style
from stylelib.descents import AdamDescent
from stylelib.errors import DivergenceError, InputError, Interrupted
from stylelib.files import check_output, load_image
from stylelib.images import preprocess, save_image
from stylelib.layers import POOLINGS, VGG19_LAYERS
from stylelib.losses import D2L_WEIGHTS, EMBEDDED_WEIGHTS, LossWeights
from stylelib.networks import vgg19, weights_for
from stylelib.precision import PRECISIONS
from stylelib.recipes import EFFORTS
from stylelib.records import Callback
from stylelib.relatives.inversion import invert_features
from stylelib.relatives.texture import TEXTURE_LAYERS, synthesize_texture
from stylelib.results import Finished, check_settings_output
from stylelib.sees.classifiers import classifier, top_classes
from stylelib.sees.fooling import fooling_images
from stylelib.sees.saliency import cut_out, saliency_map, saliency_mask, smooth_grad
from stylelib.sees.visualization import (
    LEARNING_RATES,
    channel_visualizations,
    class_visualizations,
)
from stylelib.style_transfer import RECIPES, transfer

__all__ = ["add_options", "in_users_words", "run"]


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


def weights(text: str) -> list[float]:
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

FUNCTIONS: dict[str, Callable[..., Any]] = {
    "transfer": transfer,
    "texture": synthesize_texture,
    "invert": invert_features,
    "saliency": smooth_grad,
    "fool": fooling_images,
    "visualize": class_visualizations,
}
"""For each command, the function whose parameters are its options."""


def add_options(command: str, parser: argparse.ArgumentParser) -> None:
    """Give a command its arguments and options, with the defaults of its function."""
    if command == "samples":
        parser.add_argument("folder", type=Path)
        return
    if command == "check":
        parser.add_argument("file", type=Path, help="a Python file with functions of yours")
        parser.add_argument("--json", action="store_true", help="print JSON, not a table")
        return
    _ARGUMENTS[command](parser)
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="the image to write (.png, .jpg, ...)"
    )
    for name, parameter in inspect.signature(FUNCTIONS[command]).parameters.items():
        if name in OPTIONS:
            flag, told = OPTIONS[name]
            parser.add_argument(flag, dest=name, default=parameter.default, **told)


def _transfer_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Paint the content of one image in the style of another. Ctrl-C saves the image so far."
    )
    parser.add_argument("content", type=Path, help="the image that gives the content")
    parser.add_argument(
        "style", type=Path, nargs="+", help="the images that give colors and strokes"
    )
    parser.add_argument(
        "--mix", type=weights, help="weight of each style, such as 0.7,0.3; by default equal"
    )
    for flag, text in {
        "--here": "region of the content image for each style",
        "--there": "region of each style image that the style is taken from",
    }.items():
        parser.add_argument(
            flag,
            type=masks,
            metavar="MASK[,MASK]",
            help=f"{text}: an image, white inside, or - for all of it ({flag}=-,MASK if first)",
        )
    parser.add_argument(
        "--recipe",
        choices=list(RECIPES),
        default="coarse-to-fine",
        metavar="NAME",
        help="the method: " + ", ".join(RECIPES),
    )
    usual = {"d2l": EMBEDDED_WEIGHTS, "d2l, --weights not embedded": D2L_WEIGHTS} | {
        name: recipe.weights for name, recipe in RECIPES.items() if recipe.weights
    }
    for kind in LossWeights._fields:
        said = ", ".join(f"{getattr(w, kind):g} ({name})" for name, w in usual.items())
        parser.add_argument(
            f"--{kind}-weight", type=float, help=f"weight of the {kind} loss; by default {said}"
        )
    _network_options(parser)
    parser.add_argument(
        "--save-every",
        type=int,
        metavar="N",
        help="also save the image of every Nth step, in OUTPUT's folder",
    )


def _network_options(parser: argparse.ArgumentParser) -> None:
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


def _texture_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, help="an image of the texture")
    parser.add_argument(
        "--layers",
        type=names,
        default=list(TEXTURE_LAYERS),
        help="layers for the Gram matrices, such as relu1_1,pool1",
    )
    _network_options(parser)


def _invert_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, help="the image whose features are inverted")
    parser.add_argument("layer", help="the layer of the features, such as relu4_2")
    _network_options(parser)


def _saliency_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, help="the image to look at")
    parser.add_argument(
        "--class", dest="target", help="the class; by default the most probable"
    )
    parser.add_argument(
        "--smooth", action="store_true", help="average the map over noisy copies"
    )
    parser.add_argument(
        "--cut-out", action="store_true", help="write what the map cuts out of the image"
    )


def _fool_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", type=Path, help="the image to change")
    parser.add_argument("target", help="the class to reach, such as hummingbird")


def _visualize_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "target", help="a class, such as hummingbird, or a channel, as conv3_1:17"
    )


_ARGUMENTS: dict[str, Callable[[argparse.ArgumentParser], None]] = {
    "transfer": _transfer_arguments,
    "texture": _texture_arguments,
    "invert": _invert_arguments,
    "saliency": _saliency_arguments,
    "fool": _fool_arguments,
    "visualize": _visualize_arguments,
}


def in_users_words(message: str) -> str:
    """Replace a parameter's name at the start of a message with the name of its option."""
    message = re.sub(r"^(here|there) (?=must |is (empty|at most|\d))", r"--\1 ", message)
    name, _, rest = message.partition(" ")
    return f"{OPTIONS[name][0]} {rest}" if name in OPTIONS else message


def _check(options: argparse.Namespace) -> int:
    """Mark a file. The exit code is 0 if all of its functions are right."""
    from stylelib.check.marking import as_json, mark, table

    verdicts = mark(options.file)
    print((as_json if options.json else table)(verdicts))
    return 0 if all(verdicts) else 1


def run(options: argparse.Namespace) -> int:
    """Run the given command, and return the exit code as `stylelib.__main__.main` does."""
    if options.command == "samples":
        files = samples.write(options.folder)
        print(f"{len(files)} files in {options.folder}")
        return 0
    if options.command == "check":
        return _check(options)
    check_output(options.output)  # before the work, not after it
    check_settings_output(options.output)
    if options.command == "saliency":
        return _saliency(options)
    steps = getattr(options, "steps", None)
    bar = ProgressBar(steps)
    try:
        result = _MAKERS[options.command](options, bar)
    except DivergenceError as error:
        bar.close()
        save_image(error.picture, options.output)
        print(f"stylelib: {error}; saved as {options.output}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        bar.close()
        result = stop.result[0] if isinstance(stop.result, list) else stop.result
        result.save(options.output)
        asked = result.settings.get("steps", result.settings.get("max_steps"))
        print(f"{options.output}: stopped after {len(result.history)} steps of {asked}")
        return 130
    finally:
        bar.close()
    result.save(options.output)
    made = f"{len(result.history)} steps"
    print(f"{options.output}: {made}{_said_of(result)}")
    return 0


def _said_of(result: Finished) -> str:
    """The gradient shares of a finished image, if it has any."""
    shares = getattr(result, "gradient_shares", {})
    said = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    return f"; gradient shares: {said}" if said else ""


def _given(options: argparse.Namespace) -> dict[str, Any]:
    """The options that are parameters of the library's function, by name."""
    parameters = inspect.signature(FUNCTIONS[options.command]).parameters
    return {
        name: value
        for name, value in vars(options).items()
        if name in OPTIONS and name in parameters
    }


def _transfer(options: argparse.Namespace, bar: Callback) -> Finished:
    recipe = RECIPES[options.recipe]
    saver = (
        []
        if options.save_every is None
        else [IntermediateSaver(options.output.parent, options.save_every)]
    )
    wanted = recipe.changed(
        content_layers=options.content_layers, style_layers=options.style_layers
    ).layers
    net = vgg19(options.weights, layers=wanted, pooling=options.pooling or "max")
    chosen = {kind: getattr(options, f"{kind}_weight") for kind in LossWeights._fields}
    asked = {kind: weight for kind, weight in chosen.items() if weight is not None}
    usual = recipe.weights or weights_for(net)
    return transfer(
        options.content,
        _styles(options),
        recipe=options.recipe,
        weights=usual._replace(**asked) if asked else None,
        net=net,
        callback=all_of(bar, *saver),
        **_given(options),
    )


def _styles(options: argparse.Namespace) -> Path | list[Style]:
    """The style or the styles that were asked for."""
    given = {"weight": options.mix, "here": options.here, "there": options.there}
    flags = {"weight": "--mix", "here": "--here", "there": "--there"}
    asked = {name: values for name, values in given.items() if values is not None}
    styles: list[Path] = options.style
    for name, values in asked.items():
        if len(values) != len(styles):
            raise InputError(
                f"{flags[name]} needs a value for each style: there are {len(styles)} styles "
                f"and {len(values)} values"
            )
    if len(styles) == 1 and not asked:
        return styles[0]
    return [
        Style(path, **{name: values[k] for name, values in asked.items()})
        for k, path in enumerate(styles)
    ]


def _texture(options: argparse.Namespace, bar: Callback) -> Finished:
    net = vgg19(options.weights, layers=options.layers, pooling=options.pooling or "avg")
    return synthesize_texture(
        options.image, options.layers, net=net, callback=bar, **_given(options)
    )


def _invert(options: argparse.Namespace, bar: Callback) -> Finished:
    net = vgg19(options.weights, layers=[options.layer], pooling=options.pooling or "max")
    return invert_features(
        options.image, options.layer, net=net, callback=bar, **_given(options)
    )


def _fool(options: argparse.Namespace, bar: Callback) -> Finished:
    X = preprocess(load_image(options.image), 224)
    return fooling_images(X, options.target, classifier(), **_given(options))[0]


def _visualize(options: argparse.Namespace, bar: Callback) -> Finished:
    layer, colon, channel = options.target.partition(":")
    given = _given(options)
    if not colon:
        return class_visualizations([options.target], classifier(), callback=bar, **given)[0]
    if not channel.isdigit():
        raise InputError(
            f"a channel is given as a layer and a number, as in conv3_1:17, not {channel!r}"
        )
    return channel_visualizations(layer, [int(channel)], callback=bar, **given)[0]


def _saliency(options: argparse.Namespace) -> int:
    X, model = preprocess(load_image(options.image), 224), classifier()
    ((seen, probability),) = top_classes(X, 1, model)[0]
    target = options.target or seen
    maps = (
        smooth_grad(X, target, model, **_given(options))
        if options.smooth
        else saliency_map(X, target, model)
    )
    if options.cut_out:
        save_image(cut_out(X, saliency_mask(maps)), options.output)
    else:
        save_image(maps, options.output)
    print(f"{options.output}: {target}; the network sees {seen} ({probability:.0%})")
    return 0


_MAKERS: dict[str, Callable[[argparse.Namespace, Callback], Finished]] = {
    "transfer": _transfer,
    "texture": _texture,
    "invert": _invert,
    "fool": _fool,
    "visualize": _visualize,
}
