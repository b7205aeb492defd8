"""Visualize what a class or a channel responds to (chapters 20 and 21).

This module has the objectives (scores and channels), `storages` how an image is stored, and
`transformations` what happens to it before the network sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from stylelib.arguments import check_callback, check_seed, choice, number, several, whole
from stylelib.errors import InputError, Interrupted, alone, or_interrupted
from stylelib.images import postprocess, visible_range
from stylelib.layers import Layer, layer_index, layer_name
from stylelib.networks import check_module, check_stack, vgg19
from stylelib.optimization import optimize
from stylelib.records import Callback, Step
from stylelib.results import Result, settings_of
from stylelib.sees.classifiers import (
    SMALLEST_SIDE,
    Target,
    check_pictures,
    class_index,
    class_names,
    class_scores,
    pick,
)
from stylelib.sees.storages import FINEST, Fourier, Pixels, Storage, shape_of
from stylelib.sees.transformations import STANDARD, Transformation

__all__ = [
    "VisualizationResult",
    "channel_visualization",
    "channel_visualizations",
    "class_visualization",
    "class_visualizations",
]


@dataclass(frozen=True)
class VisualizationResult(Result):
    """An image of what a class or a channel responds to.

    Attributes:
        target: the class's name, or layer and channel as in "conv4_1:17".
        response: the probability of the class or the mean of the channel, for the visible
            image without transformations.
    """

    target: str
    response: float

    def _measured(self) -> dict[str, Any]:
        return {"response": self.response}


StorageName = Literal["fourier", "pixels"]
LEARNING_RATES: dict[StorageName, float] = {"fourier": 0.05, "pixels": 0.1}


def class_visualization(
    target: Target,
    model: nn.Module,
    *,
    image_shape: int | tuple[int, int] = (224, 224),
    steps: int = 256,
    storage: StorageName = "fourier",
    finest: float | None = FINEST,
    transformations: Sequence[Transformation] = STANDARD,
    l2: float = 0.0,
    lr: float | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> VisualizationResult:
    """`class_visualizations` for one class.

    Example:
        >>> from stylelib import class_visualization, classifier
        >>> result = class_visualization("hummingbird", classifier(), image_shape=64, steps=2)
        >>> result.image.size, result.target
        ((64, 64), 'hummingbird')
    """
    return alone(
        lambda: class_visualizations(
            [target],
            model,
            image_shape=image_shape,
            steps=steps,
            storage=storage,
            finest=finest,
            transformations=transformations,
            l2=l2,
            lr=lr,
            seed=seed,
            callback=callback,
        )
    )


def class_visualizations(
    targets: Sequence[Target],
    model: nn.Module,
    *,
    image_shape: int | tuple[int, int] = (224, 224),
    steps: int = 256,
    storage: StorageName = "fourier",
    finest: float | None = FINEST,
    transformations: Sequence[Transformation] = STANDARD,
    l2: float = 0.0,
    lr: float | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> list[VisualizationResult]:
    """Make images to which a classifier gives high scores, one image per class, in one batch.

    Adam maximizes s_y(T(I)) - l2 * ||I||^2: the score of the transformed image before the
    softmax, minus a penalty for values far from the mean color.

    Args:
        targets: classes by number or name, one per image.
        model: a classifier in eval mode.
        image_shape: (H, W), or the side of a square.
        steps: the number of Adam's steps.
        storage: how images are stored while they are optimized: "fourier" or "pixels".
        finest: as for `Fourier`; "pixels" ignore it.
        transformations: applied to the image before the network sees it, drawn again in each
            step and the same for all images. Patterns that do not survive are not rewarded.
        l2: the weight lambda of the squared length of the normalized image.
        lr: the learning rate; None takes 0.05 for "fourier" and 0.1 for "pixels".
        seed: the seed of the initial noise and of the transformations.
        callback: called with a `Step` after each step; its `.picture` holds all images,
            (N, 3, H, W).

    Returns:
        A result for each class. It does not depend on the other classes, up to rounding.
        `.history` has the total response of all images.

    Raises:
        InputError: there is no such class, the model is in training mode, or the image is too
            small.

    Source: Simonyan, Vedaldi and Zisserman (2014), equation 1, for the objective and the
    penalty; Yosinski et al. (2015) and Olah et al. (2017) for the methods that make objects
    recognizable.
    """
    indices = [class_index(target) for target in several("targets", targets)]
    wanted = torch.tensor(indices, device=_device(model))  # (N,)
    shape = shape_of(image_shape, least=SMALLEST_SIDE)
    check_pictures(torch.zeros(1, 3, *shape), model)

    def scores(X: Tensor) -> Tensor:
        return pick(class_scores(X, model), wanted)

    def measure(X: Tensor) -> Tensor:
        return pick(class_scores(X, model).softmax(dim=1), wanted)

    way = _Way(shape, steps, storage, finest, transformations, l2, lr, seed)
    names = [class_names()[index] for index in indices]
    return visualize(names, scores, measure, model, way, callback)


def channel_visualization(
    layer: Layer,
    channel: int,
    *,
    net: nn.Sequential | None = None,
    image_shape: int | tuple[int, int] = 128,
    steps: int = 128,
    storage: StorageName = "fourier",
    finest: float | None = FINEST,
    transformations: Sequence[Transformation] = STANDARD,
    l2: float = 0.0,
    lr: float | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> VisualizationResult:
    """`channel_visualizations` for one channel of a layer.

    Example:
        >>> from stylelib import channel_visualization
        >>> result = channel_visualization("conv2_1", 5, image_shape=32, steps=2)
        >>> result.target
        'conv2_1:5'
    """
    return alone(
        lambda: channel_visualizations(
            layer,
            [channel],
            net=net,
            image_shape=image_shape,
            steps=steps,
            storage=storage,
            finest=finest,
            transformations=transformations,
            l2=l2,
            lr=lr,
            seed=seed,
            callback=callback,
        )
    )


def channel_visualizations(
    layer: Layer,
    channels: Sequence[int],
    *,
    net: nn.Sequential | None = None,
    image_shape: int | tuple[int, int] = 128,
    steps: int = 128,
    storage: StorageName = "fourier",
    finest: float | None = FINEST,
    transformations: Sequence[Transformation] = STANDARD,
    l2: float = 0.0,
    lr: float | None = None,
    seed: int = 0,
    callback: Callback | None = None,
) -> list[VisualizationResult]:
    """Make images that maximize the mean of a channel, one image per channel, in one batch.

    Args:
        layer: a layer of VGG-19, by number or name.
        channels: the channels' numbers, from 0.
        net: a VGG-19 that reaches the layer; None is the embedded one.
        image_shape: (H, W), or the side of a square.
        steps: the number of Adam's steps.
        storage: as for `class_visualizations`.
        finest: as for `class_visualizations`.
        transformations: as for `class_visualizations`.
        l2: as for `class_visualizations`.
        lr: as for `class_visualizations`.
        seed: as for `class_visualizations`.
        callback: as for `class_visualizations`.

    Source: Erhan et al. (2009); Olah et al. (2017), who call it the channel objective.
    """
    name = layer_name(layer)
    if net is None:
        net = vgg19(layers=[name])
    part = check_stack(net)[: layer_index(net, name) + 1]
    shape = shape_of(image_shape, least=SMALLEST_SIDE)
    with torch.no_grad():
        count = part(torch.zeros(1, 3, *shape, device=_device(net))).shape[1]
    channels = [
        int(c) if isinstance(c, np.integer) else c for c in several("channels", channels)
    ]
    wrong = [c for c in channels if type(c) is not int or not 0 <= c < count]
    if wrong:
        raise InputError(
            f"there is no channel {wrong[0]!r}; {name} has the channels 0 to {count - 1}"
        )
    places = torch.arange(len(channels)), torch.tensor(channels)

    def means(X: Tensor) -> Tensor:
        picked: Tensor = part(X)[places].mean(dim=(1, 2))  # image n, its own channel
        return picked

    names = [f"{name}:{channel}" for channel in channels]
    way = _Way(shape, steps, storage, finest, transformations, l2, lr, seed)
    return visualize(names, means, means, net, way, callback)


@dataclass
class _Way:
    """The settings that all visualizations share."""

    image_shape: tuple[int, int]
    steps: int
    storage: StorageName
    finest: float | None
    transformations: Sequence[Transformation]
    l2: float
    lr: float | None
    seed: int

    def __post_init__(self) -> None:
        self.steps = whole("steps", self.steps)
        self.seed = check_seed(self.seed)
        listed = isinstance(self.transformations, Sequence)
        if not listed or not all(callable(each) for each in self.transformations):
            raise InputError(
                "transformations must be a list of functions such as [Jitter(8)], not "
                f"{self.transformations!r}"
            )
        choice("storage", self.storage, LEARNING_RATES)
        if self.finest is not None:
            self.finest = number("finest", self.finest, above=0)
        self.l2 = number("l2", self.l2, least=0)
        if self.lr is not None:
            self.lr = number("lr", self.lr, above=0)

    @property
    def rate(self) -> float:
        """Adam's learning rate."""
        return LEARNING_RATES[self.storage] if self.lr is None else self.lr

    def storing(self, count: int, device: torch.device) -> Storage:
        """The storage of `count` images."""
        if self.storage == "fourier":
            return Fourier(count, self.image_shape, self.seed, device, self.finest)
        return Pixels(count, self.image_shape, self.seed, device)


def visualize(
    names: Sequence[str],
    responses: Callable[[Tensor], Tensor],
    measure: Callable[[Tensor], Tensor],
    model: nn.Module,
    way: _Way,
    callback: Callback | None,
) -> list[VisualizationResult]:
    """Maximize the `responses` of N images, (N,), and `measure` the results."""
    check_callback(callback)
    stored = way.storing(len(names), _device(model))
    generator = torch.Generator().manual_seed(way.seed)

    def objective(parameter: Tensor) -> dict[str, Tensor]:
        X = stored.pictures(parameter)
        seen = X
        for transformation in way.transformations:
            seen = transformation(seen, generator)
        losses = {"response": -responses(seen).sum()}
        return losses | ({"l2": way.l2 * X.square().sum()} if way.l2 else {})

    def watch(step: Step) -> bool | None:
        assert callback is not None
        return callback(replace(step, picture=stored.pictures(step.picture)))

    try:
        run = optimize(
            stored.parameter,
            objective,
            torch.optim.Adam([stored.parameter], lr=way.rate),
            steps=way.steps,
            callback=watch if callback else None,
        )
    except Interrupted as stop:
        run = stop.result
    settings = settings_of(model, **vars(way) | {"lr": way.rate})
    with torch.no_grad():
        low, high = visible_range(stored.parameter.device)
        pictures = stored.pictures(stored.parameter).clamp(low, high)
        measured = measure(pictures).tolist()
    return or_interrupted(
        [
            VisualizationResult(
                image=postprocess(X),
                history=run.history,
                settings={"target": name, **settings},
                picture=X[None].cpu(),
                target=name,
                response=response,
                interrupted=run.interrupted,
            )
            for name, X, response in zip(names, pictures, measured, strict=True)
        ]
    )


def _device(model: nn.Module) -> torch.device:
    first = next(check_module(model).parameters(), None)
    return torch.device("cpu") if first is None else first.device
