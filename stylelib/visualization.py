"""Pictures of what a class, or a channel, responds to (chapters 20 and 21).

*What* is made large (a score, a channel) is kept apart from *how the picture is stored*
(pixels, frequencies) and from what happens to it before the network looks (transformations).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, TypedDict, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from stylelib.classifiers import (
    SMALLEST_SIDE,
    Target,
    check_count,
    check_pictures,
    class_index,
    class_names,
    class_scores,
    pick,
)
from stylelib.errors import InputError
from stylelib.images import IMAGE_MEAN, IMAGE_STD, postprocess, visible_range
from stylelib.networks import Layer, layer_index, layer_name, vgg19
from stylelib.optimization import optimize
from stylelib.records import Callback, Step
from stylelib.results import Result, surroundings
from stylelib.weights import check_seed, network_digest

__all__ = [
    "Blur",
    "Clamp",
    "Fourier",
    "Jitter",
    "Noise",
    "Pixels",
    "Rotate",
    "Scale",
    "Storage",
    "Transformation",
    "VisualizationResult",
    "channel_visualization",
    "channel_visualizations",
    "class_visualization",
    "class_visualizations",
]


# How a picture is stored


class Storage(Protocol):
    """A way to write N pictures as numbers that an optimiser moves."""

    parameter: Tensor
    """What the pictures begin as, (N, ...)."""

    def pictures(self, parameter: Tensor) -> Tensor:
        """The normalised pictures (N, 3, H, W) that such a parameter stands for."""


class Pixels:
    """Pictures stored as they are: a number for each pixel and colour, normalised.

    Args:
        count: N, how many pictures.
        image_shape: (H, W).
        seed: of the faint noise they begin as, the same for all.
    """

    def __init__(
        self,
        count: int,
        image_shape: tuple[int, int],
        seed: int = 0,
        device: torch.device | str = "cpu",
    ) -> None:
        generator = torch.Generator().manual_seed(seed)
        noise = 0.1 * torch.randn(3, *image_shape, generator=generator)
        self.parameter = noise.to(device).repeat(count, 1, 1, 1).requires_grad_()

    def pictures(self, parameter: Tensor) -> Tensor:
        """The parameter itself."""
        return parameter


OPPONENT_COLOURS = torch.tensor([[1.0, 1, 1], [1, 0, -1], [-1, 2, -1]])
"""Rows: light against dark, red against blue, green against the two others."""
OPPONENT_SPREAD = torch.tensor([1.0, 0.35, 0.15])
"""About how much each of them varies in photographs, of the first."""


FINEST = 0.3
"""In a wave in some three pixels an eye no longer sees a form."""


class Fourier:
    """Pictures stored as waves in colours that do not depend on each other.

    A pixel is a sum of waves, each scaled by one over its frequency, as in photographs; so a
    step changes large forms as easily as grain. Colours are those of Ohta, Kanade and Sakai
    (1980), which in photographs depend little on each other. A sigmoid keeps every pixel
    between black and white.

    Args:
        count: N, how many pictures.
        image_shape: (H, W).
        seed: of the faint noise they begin as, the same for all.
        finest: waves a pixel, at which a wave is down to 37 %; finer ones hardly occur. None
            keeps all. A network responds to fine waves, where an eye sees dots.

    Source: Olah, Mordvintsev and Schubert (2017), "Preconditioning and Parameterization". They
    measure the colours on ImageNet, and keep all waves.
    """

    def __init__(
        self,
        count: int,
        image_shape: tuple[int, int],
        seed: int = 0,
        device: torch.device | str = "cpu",
        finest: float | None = FINEST,
    ) -> None:
        self.image_shape = height, width = image_shape
        generator = torch.Generator().manual_seed(seed)
        shape = (3, height, width // 2 + 1, 2)  # real and imaginary parts
        noise = 0.01 * torch.randn(shape, generator=generator)
        self.parameter = noise.to(device).repeat(count, 1, 1, 1, 1).requires_grad_()
        frequencies = torch.hypot(
            torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]
        )
        frequencies = frequencies.to(device)
        falling = 0.25 / frequencies.clamp_min(1 / max(height, width))
        kept = 1.0 if finest is None else torch.exp(-((frequencies / finest) ** 2))
        self.scale = falling * kept  # (H, W // 2 + 1)
        colours = functional.normalize(OPPONENT_COLOURS, dim=1) * OPPONENT_SPREAD[:, None]
        self.colours = colours.to(device)  # a row each: what one unit of it adds to R, G, B

    def pictures(self, parameter: Tensor) -> Tensor:
        """From waves to pixels, from opponent colours to R, G, B, then into 0..1."""
        spectrum = torch.view_as_complex(parameter) * self.scale
        waves = torch.fft.irfft2(spectrum, s=self.image_shape, norm="ortho")  # (N, 3, H, W)
        rgb = torch.einsum("nchw,cd->ndhw", waves, self.colours)
        mean, std = (values.view(3, 1, 1).to(rgb) for values in (IMAGE_MEAN, IMAGE_STD))
        return (torch.sigmoid(rgb) - mean) / std


# What happens to it before the network looks

Transformation = Callable[[Tensor, torch.Generator], Tensor]
"""From pictures (N, 3, H, W) and a source of chance to pictures; differentiable."""


@dataclass(frozen=True)
class Jitter:
    """Shift by up to so many pixels either way; what leaves on one side enters on the other."""

    pixels: int

    def __post_init__(self) -> None:
        if type(self.pixels) is not int or self.pixels < 0:
            raise InputError(f"pixels is a whole number, 0 or more, not {self.pixels!r}")

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """A shift drawn anew at each call."""
        down, across = torch.randint(
            -self.pixels, self.pixels + 1, (2,), generator=generator
        ).tolist()
        return X.roll((down, across), dims=(2, 3))


@dataclass(frozen=True)
class Scale:
    """Enlarge or shrink by a factor drawn evenly between two; no side becomes less than 32."""

    lowest: float
    highest: float

    def __post_init__(self) -> None:
        if not 0 < self.lowest <= self.highest < math.inf:
            raise InputError(
                f"factors are above 0, the lower one first, not {self.lowest!r}, "
                f"{self.highest!r}"
            )

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """A factor drawn anew at each call; the size changes with it."""
        factor = self.lowest + (self.highest - self.lowest) * _chance(generator)
        size = [max(SMALLEST_SIDE, round(side * factor)) for side in X.shape[2:]]
        return functional.interpolate(X, size, mode="bilinear", antialias=True)


@dataclass(frozen=True)
class Rotate:
    """Turn by up to so many degrees either way; corners are filled by reflection."""

    degrees: float

    def __post_init__(self) -> None:
        if not 0 <= self.degrees <= 360:
            raise InputError(f"degrees are 0 to 360, not {self.degrees!r}")

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """An angle drawn anew at each call."""
        angle = math.radians(self.degrees * (2 * _chance(generator) - 1))
        cos, sin = math.cos(angle), math.sin(angle)
        height, width = X.shape[2:]
        # affine_grid counts from -1 to 1 along either side, whatever its length
        turn = X.new_tensor([[cos, -sin * height / width, 0], [sin * width / height, cos, 0]])
        grid = functional.affine_grid(
            turn.expand(len(X), 2, 3), list(X.shape), align_corners=False
        )
        return functional.grid_sample(X, grid, padding_mode="reflection", align_corners=False)


@dataclass(frozen=True)
class Blur:
    """Blur by a Gauss of this standard deviation in pixels."""

    sigma: float

    def __post_init__(self) -> None:
        if not 0 < self.sigma < 1000:
            raise InputError(f"sigma is a number of pixels above 0, not {self.sigma!r}")

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """The same at each call."""
        radius = max(1, round(3 * self.sigma))
        places = torch.arange(-radius, radius + 1, dtype=X.dtype, device=X.device)
        kernel = torch.exp(-0.5 * (places / self.sigma) ** 2)
        kernel = (kernel / kernel.sum()).expand(3, 1, 1, -1)  # one for each colour
        padded = functional.pad(X, [radius] * 4, mode="replicate")
        down = functional.conv2d(padded, kernel.mT, groups=3)
        return functional.conv2d(down, kernel, groups=3)


@dataclass(frozen=True)
class Clamp:
    """Cut off at black and white, as a screen would."""

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """The same at each call; no gradient passes where it cuts."""
        low, high = visible_range(X.device)
        return X.clamp(low, high)


def _chance(generator: torch.Generator) -> float:
    return float(torch.rand((), generator=generator))


@dataclass(frozen=True)
class Noise:
    """Add grain, of a strength drawn evenly between none and the highest.

    A change that is fainter than the grain is hard to see in it, for a network too: what is
    rewarded must be strong, and of one piece.

    Args:
        highest: standard deviation in normalised units.

    Source: that gradients under such noise look more like things, Kaur, Cohen and Lipton
    (2019), who average over it.
    """

    highest: float

    def __post_init__(self) -> None:
        if not 0 <= self.highest < math.inf:
            raise InputError(f"highest is a number of 0 or more, not {self.highest!r}")

    def __call__(self, X: Tensor, generator: torch.Generator) -> Tensor:
        """Strength and grain drawn anew at each call, the same for all pictures."""
        strength = self.highest * _chance(generator)
        return X + strength * torch.randn(X.shape[1:], generator=generator).to(X)


STANDARD: tuple[Transformation, ...] = (
    Jitter(16),
    Scale(0.7, 1.2),
    Rotate(15),
    Jitter(8),
    Noise(1.0),
)
"""What `class_visualization` does to a picture in each step unless told otherwise."""


@dataclass(frozen=True)
class VisualizationResult(Result):
    """A picture of what a class or a channel responds to.

    Attributes:
        target: the class's name, or layer and channel as in "conv4_1:17".
        response: of the visible picture, unchanged: the probability of the class, or the
            mean of the channel.
    """

    target: str
    response: float

    def _measured(self) -> dict[str, Any]:
        return {"response": self.response}


StorageName = Literal["fourier", "pixels"]
LEARNING_RATES = {"fourier": 0.05, "pixels": 0.1}


class VisualizationSettings(TypedDict, total=False):
    """What `class_visualizations` takes by name."""

    image_shape: int | tuple[int, int]
    steps: int
    storage: StorageName
    finest: float | None
    transformations: Sequence[Transformation]
    l2: float
    lr: float | None
    seed: int
    callback: Callback | None


class ChannelSettings(VisualizationSettings, total=False):
    """What `channel_visualizations` takes by name."""

    net: nn.Sequential | None


def class_visualization(
    target: Target, model: nn.Module, **settings: Unpack[VisualizationSettings]
) -> VisualizationResult:
    """`class_visualizations` for one class.

    Example:
        >>> from stylelib import class_visualization, classifier
        >>> result = class_visualization("hummingbird", classifier(), image_shape=64, steps=2)
        >>> result.image.size, result.target
        ((64, 64), 'hummingbird')
    """
    return class_visualizations([target], model, **settings)[0]


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
    """Pictures that a classifier gives as high a score as can be, all classes at once.

    What is made large is s_y(T(I)) - l2 * ||I||^2: the score before the softmax of the
    transformed picture, minus a penalty for numbers far from the mean colour.

    Args:
        targets: classes by number or name, one picture each.
        model: a classifier in eval mode.
        image_shape: (H, W), or the side of a square.
        steps: Adam's.
        storage: "fourier" or "pixels": how pictures are stored while they are made.
        finest: of `Fourier`; pixels have no such bound.
        transformations: what happens to a picture before the network looks, drawn anew in each
            step and the same for all pictures. Structures that do not survive are not rewarded.
        l2: the weight lambda of the squared length of the normalised picture.
        lr: None takes 0.05 for waves and 0.1 for pixels.
        seed: of the noise it begins as, and of the transformations.
        callback: called after each step; its `.picture` holds all pictures, (N, 3, H, W).

    Returns:
        A result for each class, the same whether made alone or among others, up to rounding.
        `.history` has the response of all pictures together.

    Raises:
        InputError: a class that does not exist, a model in training mode, a picture too small.

    Source: Simonyan, Vedaldi and Zisserman (2014), equation 1, for the objective and the
    penalty; Yosinski et al. (2015) and Olah et al. (2017) for what makes it look like
    something.
    """
    indices = [class_index(target) for target in _several("targets", targets)]
    wanted = torch.tensor(indices, device=_device(model))  # (N,)
    shape = _shape(image_shape)
    check_pictures(torch.zeros(1, 3, *shape), model)

    def scores(X: Tensor) -> Tensor:
        return pick(class_scores(X, model), wanted)

    def measure(X: Tensor) -> Tensor:
        return pick(class_scores(X, model).softmax(dim=1), wanted)

    way = _Way(shape, steps, storage, finest, transformations, l2, lr, seed)
    names = [class_names()[index] for index in indices]
    return _visualize(names, scores, measure, model, way, callback)


def channel_visualization(
    layer: Layer, channel: int, **settings: Unpack[ChannelSettings]
) -> VisualizationResult:
    """`channel_visualizations` for one channel of a layer.

    Example:
        >>> from stylelib import channel_visualization
        >>> result = channel_visualization("conv2_1", 5, image_shape=32, steps=2)
        >>> result.target
        'conv2_1:5'
    """
    return channel_visualizations(layer, [channel], **settings)[0]


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
    """Pictures that make the mean of a channel large, all channels of a layer at once.

    Args:
        layer: of VGG-19, by number or name.
        channels: numbers from 0.
        net: a VGG-19 that reaches the layer; the embedded one otherwise.
        image_shape: (H, W), or the side of a square.
        steps: Adam's.
        storage: as for `class_visualizations`.
        finest: likewise.
        transformations: likewise.
        l2: likewise.
        lr: likewise.
        seed: likewise.
        callback: likewise.

    Source: Erhan et al. (2009); Olah et al. (2017) call this objective a channel's.
    """
    name = layer_name(layer)
    if net is None:
        net = vgg19(layers=[name])
    part = net[: layer_index(net, name) + 1]
    shape = _shape(image_shape)
    with torch.no_grad():
        count = part(torch.zeros(1, 3, *shape, device=_device(net))).shape[1]
    channels = [
        int(c) if isinstance(c, np.integer) else c for c in _several("channels", channels)
    ]
    wrong = [c for c in channels if type(c) is not int or not 0 <= c < count]
    if wrong:
        raise InputError(
            f"there is no channel {wrong[0]!r}; {name} has the channels 0 to {count - 1}"
        )
    places = torch.arange(len(channels)), torch.tensor(channels)

    def means(X: Tensor) -> Tensor:
        picked: Tensor = part(X)[places].mean(dim=(1, 2))  # picture n, its own channel
        return picked

    names = [f"{name}:{channel}" for channel in channels]
    way = _Way(shape, steps, storage, finest, transformations, l2, lr, seed)
    return _visualize(names, means, means, net, way, callback)


@dataclass(frozen=True)
class _Way:
    """How a visualisation is made, whatever it is of."""

    image_shape: tuple[int, int]
    steps: int
    storage: StorageName
    finest: float | None
    transformations: Sequence[Transformation]
    l2: float
    lr: float | None
    seed: int

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_seed(self.seed)
        listed = isinstance(self.transformations, Sequence)
        if not listed or not all(callable(each) for each in self.transformations):
            raise InputError(
                "transformations is a list of functions such as [Jitter(8)], not "
                f"{self.transformations!r}"
            )
        if self.storage not in LEARNING_RATES:
            raise InputError(f"storage is 'fourier' or 'pixels', not {self.storage!r}")
        if self.finest is not None and not 0 < self.finest < math.inf:
            raise InputError(f"finest is None or a number above 0, not {self.finest!r}")
        if not 0 <= self.l2 < math.inf:
            raise InputError(f"l2 is a number of 0 or more, not {self.l2!r}")
        if not 0 < self.rate < math.inf:
            raise InputError(f"lr is a number above 0, not {self.lr!r}")

    @property
    def rate(self) -> float:
        """Adam's learning rate."""
        return LEARNING_RATES[self.storage] if self.lr is None else self.lr


def _visualize(
    names: Sequence[str],
    responses: Callable[[Tensor], Tensor],
    measure: Callable[[Tensor], Tensor],
    model: nn.Module,
    way: _Way,
    callback: Callback | None,
) -> list[VisualizationResult]:
    """Make `responses` of N pictures, (N,), large; `measure` says how it went."""
    device = _device(model)
    stored: Storage
    if way.storage == "fourier":
        stored = Fourier(len(names), way.image_shape, way.seed, device, way.finest)
    else:
        stored = Pixels(len(names), way.image_shape, way.seed, device)
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

    history = optimize(
        stored.parameter,
        objective,
        torch.optim.Adam([stored.parameter], lr=way.rate),
        steps=way.steps,
        callback=watch if callback else None,
    ).history
    low, high = visible_range(device)
    settings = {
        "image_shape": list(way.image_shape),
        "steps": way.steps,
        "storage": way.storage,
        "finest": way.finest,
        "transformations": [repr(each) for each in way.transformations],
        "l2": way.l2,
        "lr": way.rate,
        "seed": way.seed,
        "network": network_digest(model),
        **surroundings(),
    }
    with torch.no_grad():
        pictures = stored.pictures(stored.parameter).clamp(low, high)
        measured = measure(pictures).tolist()
    return [
        VisualizationResult(
            image=postprocess(X),
            history=history,
            settings={"target": name, **settings},
            picture=X[None].cpu(),
            target=name,
            response=response,
        )
        for name, X, response in zip(names, pictures, measured, strict=True)
    ]


def _several(name: str, values: Sequence[Any]) -> list[Any]:
    """A list of something, or an `InputError`: "cat" would be a list of letters."""
    if isinstance(values, str) or not isinstance(values, Sequence | np.ndarray | Tensor):
        raise InputError(f"{name} is a list, for example [{values!r}], not {values!r}")
    if len(values) == 0:
        raise InputError(f"there are no {name}")
    return values.tolist() if isinstance(values, np.ndarray | Tensor) else list(values)


def _device(model: nn.Module) -> torch.device:
    first = next(model.parameters(), None)
    return torch.device("cpu") if first is None else first.device


def _shape(image_shape: int | tuple[int, int]) -> tuple[int, int]:
    given = tuple(image_shape) if isinstance(image_shape, tuple | list) else (image_shape,) * 2
    if len(given) != 2 or any(type(side) is not int or side < SMALLEST_SIDE for side in given):
        raise InputError(
            f"image_shape is (height, width), or a side, of {SMALLEST_SIDE} pixels or more, "
            f"not {image_shape!r}"
        )
    return given[0], given[1]
