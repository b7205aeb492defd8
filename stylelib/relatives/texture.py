"""Pictures from Gram matrices alone: textures (chapter 11)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from stylelib.arguments import check_function, several
from stylelib.descents import Descent
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
"""Where Gatys, Ecker and Bethge (2015) compare textures."""


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
    """Make a picture of the same texture, from Gram matrices alone, of any size.

    L-BFGS makes the mean over layers of the relative error small, sum((G - A)^2) / sum(A^2), G
    and A the Gram matrices of the new and of the given picture. Another loss takes their place
    if you give one (`stylelib.beyond.statistics`).

    Args:
        image: the picture of a texture: a path, bytes, a binary file or a PIL image.
        layers: by number or name, where Gram matrices are compared.
        loss: how features are compared; it is made `relative`.
        descent: how the picture is moved; None is `LBFGSDescent()`. Its line search needs a
            smooth loss: for one that sorts or matches take `BacktrackingLBFGSDescent()`.
        image_shape: the new picture's (H, W), or its shorter side.
        texture_shape: the given picture's; None is as large as the new one, its shorter sides
            the same.
        steps: how often the features and their gradient may be computed.
        init: as for `invert_features`.
        tv_weight: likewise.
        range_weight: likewise. Without it more is cut off when the picture is shown, and the
            picture as shown has a greater error than the one that was optimized.
        seed: of the noise.
        device: as for `invert_features`.
        net: the network; None is `vgg19(pooling="avg")`.
        callback: called with a `Step` after each step; returning True ends it.

    Raises:
        FileError: the picture cannot be read.
        InputError: an argument is out of its range.
        DivergenceError: the error is no longer finite.
        Interrupted: Ctrl-C after the first step. Its `.result` is the picture so far.

    Source: Gatys, Ecker and Bethge (2015): Gram matrices, their layers, average pooling. There
    a layer's loss has the factor 1 / (4 C^2 M^2); relative errors make all layers count alike.
    The authors' program bounds pixels by the sample's range (L-BFGS-B); here `range_loss`
    pushes them back.

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
    if texture_shape is None:
        texture_shape = min(shape)
    target_shape(given, texture_shape, "texture_shape")  # it refuses what is no size
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
