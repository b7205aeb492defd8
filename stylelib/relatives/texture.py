"""Synthesize textures from Gram matrices alone (chapter 11)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from stylelib.arguments import check_function, several
from stylelib.descents import Descent, check_descent
from stylelib.devices import find_device
from stylelib.files import ImageSource, load_image, target_shape
from stylelib.layers import Layer
from stylelib.networks import vgg19
from stylelib.objectives import FeatureLoss, compare_grams, relative
from stylelib.records import Callback
from stylelib.relatives.inversion import Target, Way, reconstruct
from stylelib.relatives.quasi_newton import LBFGSDescent
from stylelib.results import ReconstructionResult, describe
from stylelib.synthesis import Init

__all__ = ["TEXTURE_LAYERS", "synthesize_texture"]

TEXTURE_LAYERS: tuple[str, ...] = ("relu1_1", "pool1", "pool2", "pool3", "pool4")
"""The layers at which Gatys, Ecker and Bethge (2015) compare textures."""


def synthesize_texture(
    image: ImageSource,
    layers: Sequence[Layer] = TEXTURE_LAYERS,
    *,
    loss: FeatureLoss = compare_grams,
    descent: Descent | None = None,
    image_shape: int | tuple[int, int] = 256,
    texture_shape: int | tuple[int, int] | None = None,
    steps: int = 300,
    init: Init | ImageSource = "noise",
    tv_weight: float = 0.0,
    range_weight: float = 0.1,
    seed: int = 0,
    device: torch.device | str | None = None,
    net: nn.Module | None = None,
    callback: Callback | None = None,
) -> ReconstructionResult:
    """Make an image of any size with the same texture as another, from Gram matrices alone.

    L-BFGS minimizes the relative error sum((G - A)^2) / sum(A^2), averaged over the layers,
    where G and A are the Gram matrices of the new and of the given image. You can replace this
    loss by another (`stylelib.beyond.statistics`).

    Args:
        image: the image of a texture: a path, bytes, a binary file or a PIL image.
        layers: the layers, by number or name, at which features are compared.
        loss: the loss that compares features; it is made `relative`.
        descent: how the image moves; None is `LBFGSDescent()`. Its line search needs a smooth
            loss: for a loss that sorts or matches, use `BacktrackingLBFGSDescent()`.
        image_shape: (H, W) of the new image, or its shorter side.
        texture_shape: (H, W) of the given image, or its shorter side; None gives it the same
            shorter side as the new one.
        steps: how many times the features and their gradient may be computed.
        init: as for `invert_features`.
        tv_weight: as for `invert_features`.
        range_weight: as for `invert_features`. Without it more is cut off for display, and the
            image as displayed has a larger error than the optimized one.
        seed: the seed of the noise.
        device: as for `invert_features`.
        net: the network; None is `vgg19(pooling="avg")`.
        callback: called with a `Step` after each step; if it returns True, the run ends.

    Raises:
        FileError: the image cannot be read.
        InputError: an argument is out of range.
        DivergenceError: the error is no longer finite.
        Interrupted: Ctrl-C after the first step. Its `.result` has the image so far.

    Source: Gatys, Ecker and Bethge (2015): Gram matrices, the layers, average pooling. They
    give a layer's loss the factor 1 / (4 C^2 M^2); our relative errors give all layers the same
    weight. Their program bounds pixels by the sample's range (L-BFGS-B); we use `range_loss`.

    Example:
        >>> from stylelib import samples, synthesize_texture
        >>> bark = samples.load("brushstrokes")
        >>> result = synthesize_texture(bark, ["relu1_1"], image_shape=(32, 80), steps=10)
        >>> result.image.size
        (80, 32)
    """
    layers = several("layers", layers)
    given = load_image(image)
    shape = target_shape(given, image_shape)
    check_function("loss", loss)
    if descent is not None:
        check_descent(descent)
    if texture_shape is None:
        texture_shape = min(shape)
    target_shape(given, texture_shape, "texture_shape")  # refuses anything that is not a size
    return reconstruct(
        Target(given, texture_shape, layers, relative(loss)),
        shape,
        vgg19(layers=layers, pooling="avg") if net is None else net,
        find_device(device),
        Way(
            steps,
            init,
            tv_weight,
            range_weight,
            seed,
            callback,
            LBFGSDescent() if descent is None else descent,
        ),
        {
            "image": describe(image),
            "descent": repr(descent or LBFGSDescent()),
            "loss": getattr(loss, "__name__", repr(loss)),
            "image_shape": image_shape,
            "texture_shape": texture_shape,
        },
    )
