"""The commands that paint: transfer, texture, invert."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from stylelib.callbacks import IntermediateSaver, all_of
from stylelib.commands.options import (
    add_network,
    given,
    layers_of_styles,
    masks,
    names,
    numbers,
)
from stylelib.control.styles import Style
from stylelib.errors import InputError
from stylelib.large.estimates import Estimate, estimate
from stylelib.losses import D2L_WEIGHTS, EMBEDDED_WEIGHTS, LossWeights
from stylelib.networks import vgg19, weights_for
from stylelib.records import Callback
from stylelib.relatives.inversion import invert_features
from stylelib.relatives.texture import TEXTURE_LAYERS, synthesize_texture
from stylelib.results import Finished
from stylelib.style_transfer import RECIPES, transfer

__all__ = [
    "add_recipe",
    "asked_weights",
    "estimated",
    "invert",
    "invert_arguments",
    "texture",
    "texture_arguments",
    "transfer_arguments",
    "transferred",
]


def transfer_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `transfer` besides its parameters."""
    parser.description = (
        "Paint the content of one image in the style of another. Ctrl-C saves the image so far."
    )
    parser.add_argument("content", type=Path, help="the image that gives the content")
    parser.add_argument(
        "style", type=Path, nargs="+", help="the images that give colors and strokes"
    )
    parser.add_argument(
        "--mix", type=numbers, help="weight of each style, such as 0.7,0.3; by default equal"
    )
    parser.add_argument(
        "--layers-of",
        type=layers_of_styles,
        metavar="LAYERS[/LAYERS]",
        help="layers of each style, written as for --style-layers, such as "
        "relu1_1,relu2_1/relu4_1; - for the recipe's",
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
    add_recipe(parser)
    add_network(parser)
    parser.add_argument(
        "--save-every",
        type=int,
        metavar="N",
        help="also save the image of every Nth step, in OUTPUT's folder",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only tell sizes, steps, memory and time, and end",
    )


def add_recipe(parser: argparse.ArgumentParser) -> None:
    """Options for the recipe and for a weight of each kind of loss."""
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


def asked_weights(options: argparse.Namespace) -> dict[str, float]:
    """The weight of each kind of loss that was asked for."""
    chosen = {kind: getattr(options, f"{kind}_weight") for kind in LossWeights._fields}
    return {kind: weight for kind, weight in chosen.items() if weight is not None}


def transferred(options: argparse.Namespace, bar: Callback) -> Finished:
    """Do what `transfer` was asked for."""
    saver = (
        []
        if options.save_every is None
        else [IntermediateSaver(options.output.parent, options.save_every)]
    )
    content, style, asked = _asked(options)
    return transfer(content, style, callback=all_of(bar, *saver), **asked)


def estimated(options: argparse.Namespace) -> Estimate:
    """What `transfer` would take."""
    content, style, asked = _asked(options)
    return estimate(content, style, **asked)


def _asked(options: argparse.Namespace) -> tuple[Path, Path | list[Style], dict[str, Any]]:
    """The arguments of `transfer` that were asked for."""
    recipe = RECIPES[options.recipe]
    wanted = recipe.changed(
        content_layers=options.content_layers, style_layers=options.style_layers
    ).layers
    own = [layer for group in options.layers_of or [] for layer in group or []]
    net = vgg19(options.weights, layers=[*wanted, *own], pooling=options.pooling or "max")
    asked = asked_weights(options)
    usual = recipe.weights or weights_for(net)
    settings = {
        "recipe": options.recipe,
        "weights": usual._replace(**asked) if asked else None,
        "net": net,
        **given(transfer, options),
    }
    return options.content, _styles(options), settings


def _styles(options: argparse.Namespace) -> Path | list[Style]:
    """The style or the styles that were asked for."""
    given = {
        "weight": options.mix,
        "layers": options.layers_of,
        "here": options.here,
        "there": options.there,
    }
    flags = {
        "weight": "--mix",
        "layers": "--layers-of",
        "here": "--here",
        "there": "--there",
    }
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


def texture_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `texture`."""
    parser.add_argument("image", type=Path, help="an image of the texture")
    parser.add_argument(
        "--layers",
        type=names,
        default=list(TEXTURE_LAYERS),
        help="layers for the Gram matrices, such as relu1_1,pool1",
    )
    add_network(parser)


def invert_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `invert`."""
    parser.add_argument("image", type=Path, help="the image whose features are inverted")
    parser.add_argument("layer", help="the layer of the features, such as relu4_2")
    add_network(parser)


def texture(options: argparse.Namespace, bar: Callback) -> Finished:
    """Make a texture."""
    net = vgg19(options.weights, layers=options.layers, pooling=options.pooling or "avg")
    return synthesize_texture(
        options.image,
        options.layers,
        net=net,
        callback=bar,
        **given(synthesize_texture, options),
    )


def invert(options: argparse.Namespace, bar: Callback) -> Finished:
    """Make an image from the features of a layer."""
    net = vgg19(options.weights, layers=[options.layer], pooling=options.pooling or "max")
    return invert_features(
        options.image, options.layer, net=net, callback=bar, **given(invert_features, options)
    )
