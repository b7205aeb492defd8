"""The losses of a course assignment, by its names and signatures (chapter 12).

The names are those of the d2l code, but the weights are arguments of the losses, sums replace
means, and total variation squares its differences. So these functions stay in a module of their
own: `from stylelib import assignment`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR

from stylelib.arguments import number, whole
from stylelib.descents import Clamp, check_lr
from stylelib.errors import InputError
from stylelib.files import ImageSource
from stylelib.large.sums import adds_up, features_by_sums, grams_by_sums
from stylelib.layers import Layer
from stylelib.losses import LossWeights, check_features, check_tensor, check_weight, gram
from stylelib.objectives import sums_squares
from stylelib.recipes import Recipe
from stylelib.records import Callback
from stylelib.relatives.conventions import squared_tv_loss
from stylelib.results import TransferResult
from stylelib.runs import follow

__all__ = [
    "ASSIGNMENT",
    "EMBEDDED_SETTINGS",
    "SQUEEZENET_SETTINGS",
    "DroppingAdamDescent",
    "Settings",
    "content_loss",
    "gram_matrix",
    "style_loss",
    "style_transfer",
    "tv_loss",
]


def content_loss(
    content_weight: float, content_current: Tensor, content_original: Tensor
) -> Tensor:
    """content_weight * sum((F - P)^2).

    Args:
        content_weight: the factor.
        content_current: features F of the synthesized image, (N, C, H, W).
        content_original: features P of the content image, of the same shape. They get no
            gradient.
    """
    content_weight = number("content_weight", content_weight)
    check_features(content_current)
    check_tensor("content_original", content_original)
    if content_current.shape != content_original.shape:
        raise InputError(
            f"content_current has the shape {tuple(content_current.shape)} and "
            f"content_original {tuple(content_original.shape)}; they must be the same"
        )
    return content_weight * (content_current - content_original.detach()).square().sum()


def gram_matrix(features: Tensor, normalize: bool = True) -> Tensor:
    """Gram matrices F F^T, divided by C H W if `normalize` is true.

    Args:
        features: (N, C, H, W).
        normalize: whether to divide.

    Returns:
        (N, C, C): one matrix for each image in the batch.
    """
    matrices = gram(features)
    return matrices if normalize else matrices * features[0].numel()


def style_loss(
    feats: Sequence[Tensor],
    style_layers: Sequence[int],
    style_targets: Sequence[Tensor],
    style_weights: Sequence[float],
) -> Tensor:
    """Sum over layers of style_weights[i] * sum((G_i - style_targets[i])^2).

    Args:
        feats: features of the synthesized image at *every* layer, (N, C, H, W) each.
        style_layers: indices of the features in `feats` to compare, from 0.
        style_targets: the target's normalized Gram matrices, one for each of `style_layers`,
            (N, C, C) or (1, C, C). They get no gradient.
        style_weights: a factor for each of `style_layers`.
    """
    if not style_layers or not len(style_layers) == len(style_targets) == len(style_weights):
        raise InputError(
            f"{len(style_layers)} style layers have {len(style_targets)} targets and "
            f"{len(style_weights)} weights; every layer needs one of each, and there must be "
            "at least one layer"
        )
    losses = []
    for index, target, weight in zip(style_layers, style_targets, style_weights, strict=True):
        if not 0 <= index < len(feats):
            raise InputError(f"there is no layer {index}; feats has {len(feats)}, from 0")
        G = gram_matrix(feats[index])
        check_tensor(f"the target of layer {index}", target)
        if target.shape not in (G.shape, (1, *G.shape[1:])):
            raise InputError(
                f"the target of layer {index} has the shape {tuple(target.shape)}; its "
                f"features need {tuple(G.shape)}"
            )
        weight = number(f"the weight of layer {index}", weight)
        losses.append(weight * (G - target.detach()).square().sum())
    return torch.stack(losses).sum()


def tv_loss(img: Tensor, tv_weight: float) -> Tensor:
    """tv_weight * (sum of squared vertical + sum of squared horizontal differences).

    Args:
        img: images (N, 3, H, W).
        tv_weight: the factor.
    """
    return number("tv_weight", tv_weight) * squared_tv_loss(img)


@dataclass(frozen=True)
class DroppingAdamDescent:
    """Adam whose learning rate drops once.

    Attributes:
        lr: the learning rate at the start, in normalized units per step.
        decayed_lr: the learning rate after the drop.
        decay_lr_at: the number of steps before the drop; None drops after nine tenths of the
            steps at each size.
    """

    exact: ClassVar[bool] = False

    lr: float = 3.0
    decayed_lr: float = 0.1
    decay_lr_at: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "lr", check_lr(self.lr))  # a plain number
        number("decayed_lr", self.decayed_lr, above=0, below=1e38)
        if self.decay_lr_at is not None:
            whole("decay_lr_at", self.decay_lr_at)

    def begin(
        self, X: Tensor, steps: int, clamp: Clamp
    ) -> tuple[torch.optim.Optimizer, LRScheduler | None]:
        """Adam and its `MultiStepLR`."""
        adam = torch.optim.Adam([X], lr=float(self.lr))
        drop = float(self.decayed_lr) / float(self.lr)
        at = max(1, steps * 9 // 10) if self.decay_lr_at is None else int(self.decay_lr_at)
        return adam, MultiStepLR(adam, [at], gamma=drop)

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The image after the last step."""
        return X


@sums_squares
def _compare_features(Y: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda Y_hat: content_loss(1.0, Y_hat, Y)


@sums_squares
def _compare_grams(Y: Tensor) -> Callable[[Tensor], Tensor]:
    gram_Y = gram_matrix(Y)
    return lambda Y_hat: style_loss([Y_hat], [0], [gram_Y], [1.0])


# sums where the others are means
adds_up(
    _compare_features,
    lambda Y: features_by_sums(Y).then(lambda mean, shape: mean * math.prod(shape)),
)
adds_up(
    _compare_grams,
    lambda Y: grams_by_sums(Y).then(lambda mean, shape: mean * shape[0] * shape[1] ** 2),
)


@dataclass(frozen=True)
class Settings:
    """Sizes, layers and weights: `style_transfer(content, style, SQUEEZENET_SETTINGS)`.

    Attributes:
        image_size: the shorter side of the content image, in pixels.
        style_size: the shorter side of the style image, in pixels.
        content_layer: the layer at which content is compared.
        content_weight: the weight of the content loss.
        style_layers: the layers at which style is compared.
        style_weights: a weight for each of `style_layers`.
        tv_weight: the weight of total variation.
    """

    image_size: int
    style_size: int
    content_layer: Layer
    content_weight: float
    style_layers: tuple[Layer, ...]
    style_weights: tuple[float, ...]
    tv_weight: float

    def recipe(
        self, descent: DroppingAdamDescent, largest: float = 1.5, *, noise: bool = False
    ) -> Recipe:
        """These settings as a recipe of `transfer`.

        Raises:
            InputError: a layer has no weight or is named twice, or a weight is below 0.
        """
        layers = self.style_layers
        if not layers or len(self.style_weights) != len(layers):
            raise InputError(
                f"{len(layers)} style layers have {len(self.style_weights)} weights; every "
                "layer needs one, and there must be at least one layer"
            )
        if len(set(layers)) < len(layers):
            raise InputError(f"style_layers names a layer twice: {layers}")
        weights = [check_weight("style", weight) for weight in self.style_weights]
        return Recipe(
            LossWeights(self.content_weight, 1.0, self.tv_weight),
            [self.content_layer],
            dict(zip(layers, weights, strict=True)),
            _compare_features,
            _compare_grams,
            squared_tv_loss,
            descent=descent,
            init="noise" if noise else "content",
            clamp=number("largest", largest, above=0, below=1e38),
            precision="float32",
        )


SQUEEZENET_SETTINGS = Settings(192, 512, 3, 6e-2, (1, 4, 6, 7), (300000, 1000, 15, 3), 5e-2)
"""For SqueezeNet 1.1, from the report that this module reproduces; the course's own settings
differ."""
EMBEDDED_SETTINGS = Settings(
    192,
    512,
    "relu3_2",
    6e-2,
    ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
    (1e6, 3e5, 6e4, 1.5e4),
    5e-2,
)
"""For the embedded VGG-19, chosen by looking at the results."""
ASSIGNMENT = EMBEDDED_SETTINGS.recipe(DroppingAdamDescent())
"""The assignment as a recipe of `transfer`. Its content loss is a sum over positions and its
style loss is not, so the weights are right for 192 x 288 pixels only."""


def style_transfer(
    content: ImageSource,
    style: ImageSource,
    settings: Settings = EMBEDDED_SETTINGS,
    *,
    steps: int = 200,
    lr: float = 3.0,
    decayed_lr: float = 0.1,
    decay_lr_at: int = 180,
    largest: float = 1.5,
    init_random: bool = False,
    seed: int = 0,
    device: torch.device | str | None = None,
    net: nn.Module | None = None,
    callback: Callback | None = None,
) -> TransferResult:
    """Style transfer with the losses and the schedule of the assignment.

    Adam runs at a learning rate of 3.0, so its first steps carry pixels from one end of their
    range to the other. From step 180 the rate is 0.1.

    Args:
        content: the content image: a path, bytes, a binary file or a PIL image.
        style: the style image, in one of the same forms.
        settings: sizes, layers and weights. They must fit the network.
        steps: the number of steps.
        lr: Adam's learning rate at the start.
        decayed_lr: the learning rate after `decay_lr_at` steps.
        decay_lr_at: the number of steps before the learning rate drops.
        largest: the image is clamped to +-largest, in normalized units, at the start and after
            each step.
        init_random: start from noise instead of the content image.
        seed: the seed of the noise.
        device: where to compute; None takes a CUDA GPU, else Apple's GPU, else the CPU.
        net: the network; None is the embedded VGG-19. `SQUEEZENET_SETTINGS` need
            `squeezenet1_1()`.
        callback: called with a `Step` after each step; if it returns True, the run ends.

    Raises:
        FileError: an image cannot be read.
        InputError: an argument is out of range.
        DivergenceError: the loss is no longer finite.
        Interrupted: Ctrl-C after the first step. Its `.result` has the image so far.

    Source: the style transfer assignment of Stanford's course CS231n. It differs in three ways:
    it restarts Adam at `decay_lr_at`, while we keep Adam's averages; it clamps the image before
    each step except the last ten, while we clamp before the first step and after each; and its
    random starts are uniform, while ours are faint noise.
    """
    return follow(
        settings.recipe(
            DroppingAdamDescent(lr, decayed_lr, decay_lr_at), largest, noise=init_random
        ),
        content,
        style,
        name="assignment",
        image_shape=whole("image_size", settings.image_size),
        style_shape=whole("style_size", settings.style_size),
        steps=whole("steps", steps),
        seed=seed,
        device=device,
        net=net,
        callback=callback,
    )
