"""The losses of a course assignment, by its names and signatures (chapter 12).

The names are those of the d2l code; the weights go inside, sums take the place of means, and
total variation squares its differences. So it stays a module of its own:
`from stylelib import assignment`.
"""

from __future__ import annotations

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
from stylelib.layers import Layer
from stylelib.losses import LossWeights, check_features, check_tensor, check_weight, gram
from stylelib.recipes import Recipe, follow
from stylelib.records import Callback
from stylelib.relatives.conventions import squared_tv_loss
from stylelib.results import TransferResult

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
        content_weight: a factor.
        content_current: features F of the picture that is being made, (N, C, H, W).
        content_original: features P of the content picture, of the same shape; no gradient
            flows into them.
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
    """Gram matrices F F^T, divided by C H W where `normalize` is true.

    Args:
        features: (N, C, H, W).
        normalize: whether to divide.

    Returns:
        (N, C, C): one matrix for each picture of the batch.
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
        feats: features of the picture that is being made, (N, C, H, W), of *every* layer.
        style_layers: which of `feats` to compare, by number from 0.
        style_targets: normalized Gram matrices to reach, one for each of `style_layers`, (N, C,
            C) or (1, C, C); no gradient flows into them.
        style_weights: a factor for each of `style_layers`.
    """
    if not style_layers or not len(style_layers) == len(style_targets) == len(style_weights):
        raise InputError(
            f"{len(style_layers)} style layers have {len(style_targets)} targets and "
            f"{len(style_weights)} weights; each needs one of both, and there must be a layer"
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
        img: pictures (N, 3, H, W).
        tv_weight: a factor.
    """
    return number("tv_weight", tv_weight) * squared_tv_loss(img)


@dataclass(frozen=True)
class DroppingAdamDescent:
    """Adam whose learning rate drops once.

    Attributes:
        lr: the learning rate at the start, in normalized units a step.
        decayed_lr: that after the drop.
        decay_lr_at: after how many steps it drops; None is after nine tenths of those at a
            size.
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
        """Adam, and `MultiStepLR`."""
        adam = torch.optim.Adam([X], lr=float(self.lr))
        drop = float(self.decayed_lr) / float(self.lr)
        at = max(1, steps * 9 // 10) if self.decay_lr_at is None else int(self.decay_lr_at)
        return adam, MultiStepLR(adam, [at], gamma=drop)

    def end(self, optimizer: torch.optim.Optimizer, X: Tensor) -> Tensor:
        """The picture after the last step."""
        return X


def _compare_features(Y: Tensor) -> Callable[[Tensor], Tensor]:
    return lambda Y_hat: content_loss(1.0, Y_hat, Y)


def _compare_grams(Y: Tensor) -> Callable[[Tensor], Tensor]:
    gram_Y = gram_matrix(Y)
    return lambda Y_hat: style_loss([Y_hat], [0], [gram_Y], [1.0])


@dataclass(frozen=True)
class Settings:
    """Sizes, layers and weights: `style_transfer(content, style, SQUEEZENET_SETTINGS)`.

    Attributes:
        image_size: shorter side of the content picture, pixels.
        style_size: shorter side of the style picture.
        content_layer: where content is compared.
        content_weight: its factor.
        style_layers: where style is compared.
        style_weights: a factor for each of them.
        tv_weight: the factor of total variation.
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
        """What `transfer` follows.

        Raises:
            InputError: a layer without a weight, named twice, or a weight below 0.
        """
        layers = self.style_layers
        if not layers or len(self.style_weights) != len(layers):
            raise InputError(
                f"{len(layers)} style layers have {len(self.style_weights)} weights; each "
                "needs one, and there must be a layer"
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
"""For SqueezeNet 1.1, as in the report this module reproduces; the course's sets are others."""
EMBEDDED_SETTINGS = Settings(
    192,
    512,
    "relu3_2",
    6e-2,
    ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
    (1e6, 3e5, 6e4, 1.5e4),
    5e-2,
)
"""The same for the embedded VGG-19, chosen by looking at pictures."""
ASSIGNMENT = EMBEDDED_SETTINGS.recipe(DroppingAdamDescent())
"""The assignment as a recipe of `transfer`. Its content loss is a sum over positions and its
style loss is not: the weights are for 192 x 288 pixels."""


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
    """Style transfer by the assignment's losses and schedule.

    Adam at 3.0, whose first steps carry pixels from one end of their range to the other; from
    step 180 at 0.1.

    Args:
        content: a path, bytes, a binary file or a PIL image.
        style: likewise.
        settings: sizes, layers and weights. They must fit the network.
        steps: the number of steps.
        lr: Adam's learning rate at the start.
        decayed_lr: the learning rate after `decay_lr_at` steps.
        decay_lr_at: after how many steps it changes.
        largest: the picture is clamped to +-largest, in normalized units, at the start
            and after each step.
        init_random: start from noise in place of the content picture.
        seed: of the noise.
        device: where to compute; None is a GPU that CUDA knows, else Apple's, else the
            processor.
        net: the network; None is the embedded VGG-19. For `SQUEEZENET_SETTINGS`:
            `squeezenet1_1()`.
        callback: called with a `Step` after each step; returning True ends it.

    Raises:
        FileError: a picture cannot be read.
        InputError: an argument is out of its range.
        DivergenceError: the loss is no longer finite.
        Interrupted: Ctrl-C after the first step. Its `.result` is the picture so far.

    Source: the style transfer assignment of Stanford's course CS231n. There Adam begins anew at
    `decay_lr_at`, here it keeps its averages; there the picture is clamped before each step but
    the last ten, here before the first and after each; there random starts are uniform, here
    they are faint noise.
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
