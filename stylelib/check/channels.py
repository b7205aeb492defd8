"""A step toward the image of a channel: reference and likely mistakes (chapter 21)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from stylelib.check.ascent import unit
from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.pairs import pairs_of
from stylelib.check.saliency import CASES, Array, pictures

__all__ = ["EXERCISES"]

Factors = Callable[[Array, Array], Array]
"""From maps (N, K, H, W) and channels (N,) to how an objective changes with each value."""


def channel_arguments() -> list[Arguments]:
    """Two calls, (X, channels, net, lr): images, a channel for each, and a small network."""
    calls: list[Arguments] = []
    for seed, shape, channels, lr in (
        (21, (2, 3, 5, 7), [3, 1], 0.7),
        (22, (3, 3, 6, 4), [0, 4, 2], 1.3),
    ):
        draw = torch.Generator().manual_seed(seed)
        X = torch.randn(shape, generator=draw)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, 6, 3, padding=1)
        )
        with torch.no_grad():
            for parameter, spread in zip(net.parameters(), (0.3, 0.4, 0.4, 0.3), strict=True):
                parameter.copy_(spread * torch.randn(parameter.shape, generator=draw))
        calls.append((X, torch.tensor(channels), net.eval().requires_grad_(False), lr))
    return calls


def convolved(x: Array, weight: Array) -> Array:
    """With kernels of 3 x 3 and zeros around, position by position of the kernel."""
    H, W = x.shape[2:]
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    return np.asarray(
        sum(
            np.einsum("oc,nchw->nohw", weight[:, :, i, j], wide[:, :, i : i + H, j : j + W])
            for i, j in np.ndindex(3, 3)
        )
    )


def backward(D: Array, weight: Array) -> Array:
    """The gradient with respect to what was convolved."""
    return convolved(D, weight[:, :, ::-1, ::-1].swapaxes(0, 1))


def slope(X: Tensor, channels: Tensor, net: nn.Sequential, factors: Factors) -> Array:
    """The gradient of an objective with respect to the images, by the chain rule."""
    W1, b1, W2, b2 = (pictures(parameter) for parameter in net.parameters())
    hidden = np.tanh(convolved(pictures(X), W1) + b1[:, None, None])
    maps = convolved(hidden, W2) + b2[:, None, None]
    D = backward(factors(maps, channels.numpy()), W2)
    return backward(D * (1 - hidden**2), W1)


def chosen(maps: Array, channels: Array) -> Array:
    """1 in each image's channel, 0 elsewhere."""
    ones = np.eye(maps.shape[1])[channels]  # (N, K)
    return np.broadcast_to(ones[:, :, None, None], maps.shape)


def means(maps: Array, channels: Array) -> Array:
    """The sum over the images of the mean of the channel that is asked for."""
    return np.asarray(chosen(maps, channels) / maps[0, 0].size)


def highest(maps: Array, channels: Array) -> Array:
    """The sum of the highest values of those channels."""
    only = np.where(chosen(maps, channels) > 0, maps, -np.inf)
    return np.asarray((only == only.max(axis=(1, 2, 3), keepdims=True)).astype(float))


def in_the_middle(maps: Array, channels: Array) -> Array:
    """The value in the middle of the map."""
    there = np.zeros(maps.shape[2:])
    there[maps.shape[2] // 2, maps.shape[3] // 2] = 1
    return np.asarray(chosen(maps, channels) * there)


def softmax(maps: Array, channels: Array) -> Array:
    """The logarithm of a softmax over the channels' means, as for classes."""
    powers = np.exp(maps.mean(axis=(2, 3)))
    shares = (powers / powers.sum(axis=1, keepdims=True))[:, :, None, None]
    return np.asarray((chosen(maps, channels) - shares) / maps[0, 0].size)


@dataclass(frozen=True)
class Step:
    """The images after a step up the mean of a channel, by parts.

    Attributes:
        factors: of the objective.
        along: how far the images move, of the gradient, for a learning rate of 1.
        moved: from the images, the move and the learning rate to the result.
    """

    factors: Factors = means
    along: Callable[[Array], Array] = lambda g: g
    moved: Callable[[Array, Array, float], Array] = lambda x, g, lr: x + lr * g

    def __call__(self, X: Tensor, channels: Tensor, net: nn.Sequential, lr: float) -> Array:
        """The images, (N, 3, H, W)."""
        return self.moved(pictures(X), self.along(slope(X, channels, net, self.factors)), lr)


STEP = Step()


def other(name: str, sentence: str, factors: Factors) -> Wrong:
    """A step up another objective."""
    return Wrong(name, sentence, replace(STEP, factors=factors))


def along(name: str, sentence: str, change: Callable[[Array], Array]) -> Wrong:
    """A step along something else than the gradient."""
    return Wrong(name, sentence, replace(STEP, along=change))


def moved(name: str, sentence: str, change: Callable[[Array, Array, float], Array]) -> Wrong:
    """Something else done with the gradient."""
    return Wrong(name, sentence, replace(STEP, moved=change))


OBJECTIVES = (
    other(
        "sum_of_the_map",
        "You take the sum of the channel's map; take its mean.",
        lambda m, k: means(m, k) * m[0, 0].size,
    ),
    other(
        "highest_value",
        "You take the highest value of the channel's map; take its mean.",
        highest,
    ),
    other(
        "value_in_the_middle",
        "You take the value in the middle of the channel's map; take its mean.",
        in_the_middle,
    ),
    other(
        "mean_of_squares",
        "You take the mean square of the channel's map; take the mean of its values.",
        lambda m, k: 2 * m * means(m, k),
    ),
    other(
        "absolute_values",
        "You take the mean of absolute values; take the mean of the values with their signs.",
        lambda m, k: np.sign(m) * means(m, k),
    ),
    other(
        "after_relu",
        "You apply a ReLU first, so negative values have no gradient; take the layer as it is.",
        lambda m, k: (m > 0) * means(m, k),
    ),
    other(
        "all_channels",
        "You take the mean of all channels; take the one that is asked for.",
        lambda m, k: np.full_like(m, 1 / m[0].size),
    ),
    other(
        "channels_added_up",
        "You add up the means of all channels; take the one that is asked for.",
        lambda m, k: np.full_like(m, 1 / m[0, 0].size),
    ),
    other(
        "every_channel_of_the_list",
        "Each of your images gets all channels of the list, as with `maps[:, channels]`; the "
        "first image gets the first channel, and so on.",
        lambda m, k: np.broadcast_to(means(m, k).sum(axis=0), m.shape),
    ),
    other(
        "every_channel_of_the_list_averaged",
        "You average over all channels of the list for each image, as with `maps[:, "
        "channels]`; the first image gets the first channel, and so on.",
        lambda m, k: np.broadcast_to(means(m, k).mean(axis=0), m.shape) / len(m),
    ),
    other(
        "first_channel_for_all",
        "All of your images get the first channel of the list; each has its own.",
        lambda m, k: means(m, np.full_like(k, k[0])),
    ),
    other(
        "counted_from_one",
        "You take the channel before the one that is asked for; channels are counted from 0.",
        lambda m, k: means(m, k - 1),
    ),
    other(
        "next_channel",
        "You take the channel after the one that is asked for; channels are counted from 0.",
        lambda m, k: means(m, (k + 1) % m.shape[1]),
    ),
    other(
        "mean_over_the_batch",
        "You take the mean over the images of the batch; take the sum, so that each image gets "
        "its own gradient.",
        lambda m, k: means(m, k) / len(m),
    ),
    other(
        "softmax",
        "You take a softmax over the channels, as for classes; take the mean of the map "
        "itself.",
        softmax,
    ),
    other(
        "first_image_only",
        "Only your first image moves; add up the responses of all images.",
        lambda m, k: means(m, k) * (np.arange(len(m)) == 0)[:, None, None, None],
    ),
)

MOVES = (
    along(
        "descent",
        "You make the response smaller: add the step to X, do not subtract it.",
        np.negative,
    ),
    along(
        "normalized",
        "You divide each gradient by its length; the step is lr times the gradient itself.",
        unit,
    ),
    along(
        "normalized_by_batch",
        "You divide the gradient by the length of the whole batch's; the step is lr times the "
        "gradient itself.",
        lambda g: g / np.sqrt((g**2).sum()),
    ),
    along(
        "normalized_by_deviation",
        "You divide the gradient by its standard deviation; the step is lr times the gradient "
        "itself.",
        lambda g: g / g.std(ddof=1),
    ),
    along(
        "signs_only",
        "You move along the signs of the gradient; move along the gradient itself.",
        np.sign,
    ),
    along(
        "gradient_counted_twice",
        "Your step is twice as long as it should be: is a gradient added to an old one?",
        lambda g: 2 * g,
    ),
    moved(
        "learning_rate_missing",
        "Your step leaves out lr.",
        lambda x, g, lr: x + g,
    ),
    moved(
        "divided_by_learning_rate",
        "You divide by lr; multiply by it.",
        lambda x, g, lr: x + g / lr,
    ),
    moved(
        "change_returned",
        "You return the change alone; return the image plus the change.",
        lambda x, g, lr: lr * g,
    ),
    moved(
        "gradient_returned",
        "You return the gradient; return the image plus lr times the gradient.",
        lambda x, g, lr: g,
    ),
    Wrong(
        "not_moved",
        "You return the image as it came; return the image after the step.",
        lambda X, channels, net, lr: pictures(X),
    ),
    moved(
        "clamped_to_one",
        "You clamp the image to 0..1; it is normalized, so black and white are elsewhere.",
        lambda x, g, lr: (x + lr * g).clip(0, 1),
    ),
)

WRONGS = (*OBJECTIVES, *MOVES)
EXERCISES = (
    Exercise(
        "channel_step",
        "the image after the step",
        "channel_step(X, channels, net, lr)",
        channel_arguments,
        STEP,
        WRONGS,
        picture="image",
        cases=CASES,
        pairs=pairs_of(STEP, WRONGS),
        chapter="21-what-a-channel-likes",
    ),
)
