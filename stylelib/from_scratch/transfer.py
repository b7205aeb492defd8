"""Style transfer in NumPy: the loop and its result (chapter 17)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from stylelib.arguments import check_callback, check_seed, choice, number, several, whole
from stylelib.errors import DivergenceError, InputError, or_interrupted
from stylelib.files import ImageSource, load_image, target_shape
from stylelib.from_scratch.adam import Adam
from stylelib.from_scratch.losses import ContentLoss, StyleLoss, TVLoss, gram
from stylelib.from_scratch.network import VGG19
from stylelib.from_scratch.windows import Array
from stylelib.records import Record
from stylelib.results import Finished, describe, recorded
from stylelib.watching import watched

__all__ = ["ScratchResult", "style_transfer"]

CONTENT_LAYERS = ("relu4_2",)
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@dataclass(frozen=True)
class ScratchResult(Finished):
    """A style transfer made with NumPy.

    Attributes:
        picture: the image before clipping and rounding, (1, 3, H, W), in gray levels minus the
            mean color.
    """

    picture: Array = field(repr=False)


def style_transfer(
    content: ImageSource,
    style: ImageSource,
    *,
    image_shape: int | tuple[int, int] = 200,
    alpha: float = 1.0,
    beta: float = 500.0,
    tv: float = 0.0,
    learning_rate: float = 10.0,
    steps: int = 100,
    init: Literal["content", "noise"] = "content",
    seed: int = 0,
    content_layers: Sequence[str] = CONTENT_LAYERS,
    style_layers: Sequence[str] = STYLE_LAYERS,
    net: VGG19 | None = None,
    callback: Callable[[Record], bool | None] | None = None,
) -> ScratchResult:
    """Paint one image in the style of another with Adam, without any framework.

    Args:
        content: the photograph.
        style: the painting. It is resized to the photograph's (H, W), because Gram matrices
            that are not normalized can only be compared at one size.
        image_shape: (H, W), or the shorter side, in pixels.
        alpha: the weight of the content loss, a mean over layers.
        beta: the weight of the style loss, a mean over layers. At 500, the report's smallest,
            content hardly matters; try 0.0005.
        tv: the weight of total variation.
        learning_rate: about the number of gray levels that a pixel moves per step.
        steps: the number of steps.
        init: "content", or "noise", which is uniform within 20 gray levels of the mean color.
        seed: for "noise".
        content_layers: the layers at which content is compared.
        style_layers: the layers at which style is compared.
        net: a network that reaches these layers; None means the embedded VGG-19.
        callback: called with the `Record` of each step, such as a `ProgressBar`. It stops the
            run by returning True.

    Returns:
        The image, its history and its settings.

    Raises:
        InputError: a setting is out of its range, or the size is too small for the network.
        FileError: an image or the weights cannot be read.
        DivergenceError: a loss or the image is no longer finite. Its `.picture` is the last
            good image.
        Interrupted: Ctrl-C after the first step. Its `.result` is the result so far.

    Source: Gatys et al. (2016), with Adam instead of L-BFGS. The losses are those of
    `stylelib.CONVENTIONS["numpy"]`.

    Example:
        >>> from stylelib import samples
        >>> photo, painting = samples.load("coffee"), samples.load("mosaic")
        >>> result = style_transfer(photo, painting, image_shape=32, steps=2)
        >>> result.history[1].loss < result.history[0].loss
        True
    """
    steps, seed = whole("steps", steps), check_seed(seed)
    weights = (
        number("alpha", alpha, least=0),
        number("beta", beta, least=0),
        number("tv", tv, least=0),
    )
    check_callback(callback)
    adam = Adam(learning_rate)
    several("content_layers", content_layers)
    several("style_layers", style_layers)
    choice("init", init, ("content", "noise"))
    if net is not None and not isinstance(net, VGG19):
        raise InputError(f"net must be a stylelib.from_scratch.VGG19, not {type(net).__name__}")
    if net is None:
        net = VGG19(layers=[*content_layers, *style_layers])
    photo = load_image(content)
    size = target_shape(photo, image_shape)
    X = net.to_input(photo, size)
    P = net.forward(X, content_layers)
    style_features = net.forward(net.to_input(style, size), style_layers)
    A = {name: gram(F) for name, F in style_features.items()}
    if init == "noise":
        X = np.random.default_rng(seed).uniform(-20, 20, X.shape).astype(X.dtype)

    def evaluate(X: Array) -> tuple[dict[str, float], Array]:
        return loss_and_gradient(net, X, P, A, weights)

    with watched(callback, steps) as callback:
        X, history, interrupted = descend(X, evaluate, adam, steps, callback)
    settings = recorded(
        content=describe(content),
        style=describe(style),
        image_shape=size,
        alpha=weights[0],
        beta=weights[1],
        tv=weights[2],
        learning_rate=adam.learning_rate,
        steps=steps,
        init=init,
        seed=seed,
        content_layers=content_layers,
        style_layers=style_layers,
        network=net.digest(),
        numpy=np.__version__,
    )
    made = ScratchResult(net.to_image(X), history, settings, X, interrupted=interrupted)
    return or_interrupted(made)


def descend(
    X: Array,
    evaluate: Callable[[Array], tuple[dict[str, float], Array]],
    adam: Adam,
    steps: int,
    callback: Callable[[Record], bool | None] | None,
) -> tuple[Array, list[Record], bool]:
    """The loop: compute the losses and the gradient, make a step of Adam, and repeat.

    Args:
        X: the initial image; it is not changed.
        evaluate: from an image to its losses by name and the gradient of their sum.
        adam: moves the image.
        steps: the number of steps.
        callback: as for `style_transfer`.

    Returns:
        The image, a record of each step, and whether Ctrl-C ended the run.
    """
    history: list[Record] = []
    seconds, good = 0.0, X
    try:
        for step in range(1, steps + 1):
            start = time.perf_counter()
            with np.errstate(over="ignore", invalid="ignore"):  # checked below
                losses, gradient = evaluate(X)
                moved = adam.update(X, gradient)
            finite = all(math.isfinite(loss) for loss in losses.values())
            good = X if finite else good
            if not (finite and np.isfinite(moved).all()):
                raise DivergenceError(
                    f"step {step}: a loss or the image is not finite; a smaller "
                    f"learning_rate than {adam.learning_rate:g} may help. The last "
                    "good image is in this error's .picture",
                    good,
                    history,
                )
            X = moved
            seconds += time.perf_counter() - start
            history.append(Record(step, losses, adam.learning_rate, seconds, evaluations=step))
            if callback is not None and callback(history[-1]):
                break
    except KeyboardInterrupt:
        if not history:
            raise
        return X, history, True
    return X, history, False


def loss_and_gradient(
    net: VGG19,
    X: Array,
    P: Mapping[str, Array],
    A: Mapping[str, Array],
    weights: tuple[float, float, float],
) -> tuple[dict[str, float], Array]:
    """The weighted losses of an image by name, and the gradient of their sum.

    Args:
        net: a network that reaches all layers of P and A.
        X: the image, (1, 3, H, W).
        P: the content features it should have, by layer.
        A: the Gram matrices it should have, by layer.
        weights: alpha, beta, and the weight of total variation.
    """
    alpha, beta, tv = weights
    features = net.forward(X, [*P, *A])
    losses = {"content": 0.0, "style": 0.0, "tv": tv * TVLoss().forward(X)}
    top_diffs: dict[str, Array] = {}
    for kind, loss, targets, weight in (
        ("content", ContentLoss(), P, alpha / len(P)),
        ("style", StyleLoss(), A, beta / len(A)),
    ):
        for name, target in targets.items():
            losses[kind] += weight * loss.forward(features[name], target)
            top_diff = weight * loss.backward(features[name], target)
            top_diffs[name] = top_diffs.get(name, 0) + top_diff
    return losses, net.backward(top_diffs) + tv * TVLoss().backward(X)
