"""The commands that show what a network sees: saliency, fool, visualize."""

from __future__ import annotations

import argparse
from pathlib import Path

from stylelib.commands.options import given
from stylelib.errors import InputError
from stylelib.files import load_image
from stylelib.images import preprocess, save_image
from stylelib.records import Callback
from stylelib.results import Finished
from stylelib.sees.classifiers import classifier, top_classes
from stylelib.sees.fooling import fooling_images
from stylelib.sees.saliency import cut_out, saliency_map, saliency_mask, smooth_grad
from stylelib.sees.visualization import channel_visualizations, class_visualizations

__all__ = [
    "fool",
    "fool_arguments",
    "saliency",
    "saliency_arguments",
    "visualize",
    "visualize_arguments",
]


def saliency_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `saliency`."""
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


def fool_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `fool`."""
    parser.add_argument("image", type=Path, help="the image to change")
    parser.add_argument("target", help="the class to reach, such as hummingbird")


def visualize_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `visualize`."""
    parser.add_argument(
        "target", help="a class, such as hummingbird, or a channel, as conv3_1:17"
    )


def fool(options: argparse.Namespace, bar: Callback) -> Finished:
    """Make a fooling image."""
    X = preprocess(load_image(options.image), 224)
    return fooling_images(X, options.target, classifier(), **given(fooling_images, options))[0]


def visualize(options: argparse.Namespace, bar: Callback) -> Finished:
    """Make an image for a class or a channel."""
    layer, colon, channel = options.target.partition(":")
    asked = given(class_visualizations, options)
    if not colon:
        return class_visualizations([options.target], classifier(), callback=bar, **asked)[0]
    if not channel.isdigit():
        raise InputError(
            f"a channel is given as a layer and a number, as in conv3_1:17, not {channel!r}"
        )
    return channel_visualizations(layer, [int(channel)], callback=bar, **asked)[0]


def saliency(options: argparse.Namespace) -> int:
    """Write a saliency map, or what it cuts out, and say what the network sees. Returns 0."""
    X, model = preprocess(load_image(options.image), 224), classifier()
    ((seen, probability),) = top_classes(X, 1, model)[0]
    target = options.target or seen
    maps = (
        smooth_grad(X, target, model, **given(smooth_grad, options))
        if options.smooth
        else saliency_map(X, target, model)
    )
    if options.cut_out:
        save_image(cut_out(X, saliency_mask(maps)), options.output)
    else:
        save_image(maps, options.output)
    print(f"{options.output}: {target}; the network sees {seen} ({probability:.0%})")
    return 0
