"""Five ways to write the same losses, and how to convert their weights (chapter 12).

Papers and programs multiply the same two sums, over features and over Gram matrices, by
different factors. A "style weight 1e6" in one of them is 10 in another, or 1e7.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from numbers import Integral
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from stylelib.arguments import choice, number, whole
from stylelib.errors import InputError, did_you_mean
from stylelib.large.sums import (
    Additive,
    BySums,
    Spread,
    adds_up,
    features_by_sums,
    grams_by_sums,
)
from stylelib.losses import check_features, content_loss, gram, style_loss, tv_loss
from stylelib.objectives import sums_squares

__all__ = ["CONVENTIONS", "Convention", "convention", "convert_weight", "squared_tv_loss"]

Kind = Literal["content", "style", "tv"]
Factor = Callable[[int, int, int], float]
"""A factor as a function of (N, C, M): images in the batch, channels, positions."""


@dataclass(frozen=True)
class Convention:
    """The factors with which one source writes its losses.

    F and P are the features of the synthesized and of the content image, (N, C, M), and A is
    the Gram matrix of the style image. The sums run over all entries:

    - content = content_factor * sum((F - P)^2),
    - G = gram_factor * F F^T, one matrix for each image,
    - style = style_factor * sum((G - A)^2) at one layer.

    Attributes:
        name: the key in `CONVENTIONS`.
        source: the text or program that uses this convention.
        content_factor: the factor of the content loss, a function of (N, C, M).
        gram_factor: the factor of the Gram matrix, a function of (N, C, M).
        style_factor: the factor of the style loss, a function of (N, C, M).
        averages_layers: whether the losses of several layers are averaged instead of summed.
        tv: total variation of images (N, 3, H, W), or None if the source has none.
        formulas: content, Gram, style and total variation, in TeX.
    """

    name: str
    source: str
    content_factor: Factor = field(repr=False)
    gram_factor: Factor = field(repr=False)
    style_factor: Factor = field(repr=False)
    averages_layers: bool = field(repr=False)
    tv: Callable[[Tensor], Tensor] | None = field(repr=False)
    formulas: tuple[str, str, str, str] = field(repr=False)

    def content_loss(self, Y_hat: Tensor, Y: Tensor) -> Tensor:
        """The content loss at one layer.

        Args:
            Y_hat: features of the synthesized image, (N, C, H, W).
            Y: features of the content image, of the same shape. They get no gradient.
        """
        return self.relative_factor("content", Y_hat.shape) * content_loss(Y_hat, Y)

    def gram(self, Y: Tensor) -> Tensor:
        """The Gram matrices (N, C, C) of features (N, C, H, W), in this convention's units."""
        matrices = gram(Y)  # divided by C M
        N, C, M = _sizes(Y.shape)
        return self.gram_factor(N, C, M) * C * M * matrices

    def style_loss(self, Y_hat: Tensor, gram_Y: Tensor) -> Tensor:
        """The style loss at one layer.

        Args:
            Y_hat: features of the synthesized image, (N, C, H, W).
            gram_Y: the Gram matrix of the style image *as `stylelib.gram` returns it*,
                (N, C, C) or (1, C, C). So the style image may have any size: if the convention
                does not divide by M, its own Gram matrix is multiplied by M / M_style, as if
                both images had the size of Y_hat. Its N is handled in the same way.
        """
        return self.relative_factor("style", Y_hat.shape) * style_loss(Y_hat, gram_Y)

    @sums_squares
    def compare_features(self, Y: Tensor) -> Callable[[Tensor], Tensor]:
        """The content loss for a term: from target features to a loss of features."""
        return lambda Y_hat: self.content_loss(Y_hat, Y)

    @sums_squares
    def compare_grams(self, Y: Tensor) -> Callable[[Tensor], Tensor]:
        """The style loss for a term: from target features to a loss of features."""
        gram_Y = gram(Y)
        return lambda Y_hat: self.style_loss(Y_hat, gram_Y)

    def over_layers(self, losses: Sequence[Tensor]) -> Tensor:
        """The sum or the mean of the losses of one or more layers."""
        total = torch.stack(list(losses)).sum()
        return total / len(losses) if self.averages_layers else total

    def relative_factor(self, kind: Kind, shape: Sequence[int]) -> float:
        """This convention's loss divided by the d2l recipe's, for features (N, C, H, W)."""
        N, C, M = _sizes(shape)
        if kind == "content":
            return self.content_factor(N, C, M) * N * C * M
        if kind == "style":
            return (
                self.style_factor(N, C, M) * (self.gram_factor(N, C, M) * C * M) ** 2 * N * C**2
            )
        raise InputError(f"only content and style differ by a factor, not {kind!r}")


def _scaled(kind: Kind, by_sums: BySums) -> Callable[[Convention, Spread], Additive]:
    """A convention's loss from sums, for `adds_up`."""

    def compare(own: Convention, Y: Spread) -> Additive:
        return by_sums(Y).then(lambda value, shape: own.relative_factor(kind, shape) * value)

    return compare


adds_up(Convention.compare_features, _scaled("content", features_by_sums))
adds_up(Convention.compare_grams, _scaled("style", grams_by_sums))


def squared_tv_loss(X: Tensor) -> Tensor:
    """The sum of squared differences of vertical and of horizontal neighbors, (N, 3, H, W)."""
    check_features(X)
    vertical = (X[:, :, 1:, :] - X[:, :, :-1, :]).square().sum()
    horizontal = (X[:, :, :, 1:] - X[:, :, :, :-1]).square().sum()
    return vertical + horizontal


_ALL = (
    Convention(
        "d2l",
        "Dive into Deep Learning; the d2l recipe of this book",
        content_factor=lambda N, C, M: 1 / (N * C * M),
        gram_factor=lambda N, C, M: 1 / (C * M),
        style_factor=lambda N, C, M: 1 / (N * C**2),
        averages_layers=False,
        tv=tv_loss,
        formulas=(
            r"\frac{1}{NCM}\sum(F-P)^2",
            r"\frac{1}{CM}FF^\top",
            r"\frac{1}{NC^2}\sum(G-A)^2",
            r"\frac12(\text{mean}\lvert\Delta_x\rvert+\text{mean}\lvert\Delta_y\rvert)",
        ),
    ),
    Convention(
        "assignment",
        "a course assignment on SqueezeNet",
        content_factor=lambda N, C, M: 1.0,
        gram_factor=lambda N, C, M: 1 / (C * M),
        style_factor=lambda N, C, M: 1.0,
        averages_layers=False,
        tv=squared_tv_loss,
        formulas=(
            r"\sum(F-P)^2",
            r"\frac{1}{CM}FF^\top",
            r"\sum(G-A)^2",
            r"\sum\Delta_x^2+\sum\Delta_y^2",
        ),
    ),
    Convention(
        "numpy",
        "VGG-19 by hand in NumPy",
        content_factor=lambda N, C, M: 1 / (2 * N * C * M),
        gram_factor=lambda N, C, M: 1.0,
        style_factor=lambda N, C, M: 1 / (4 * N * C**2 * M**2),
        averages_layers=True,
        tv=None,
        formulas=(
            r"\frac{1}{2NCM}\sum(F-P)^2",
            r"FF^\top",
            r"\frac{1}{4NC^2M^2}\sum(G-A)^2",
            "",
        ),
    ),
    Convention(
        "modules",
        "losses as modules, MSE everywhere",
        content_factor=lambda N, C, M: 1 / (N * C * M),
        gram_factor=lambda N, C, M: 1 / (N * C * M),
        style_factor=lambda N, C, M: 1 / (N * C**2),
        averages_layers=False,
        tv=None,
        formulas=(
            r"\frac{1}{NCM}\sum(F-P)^2",
            r"\frac{1}{NCM}FF^\top",
            r"\frac{1}{NC^2}\sum(G-A)^2",
            "",
        ),
    ),
    Convention(
        "paper",
        "Gatys, Ecker and Bethge (2016), equations 1, 3 and 4",
        content_factor=lambda N, C, M: 1 / 2,
        gram_factor=lambda N, C, M: 1.0,
        style_factor=lambda N, C, M: 1 / (4 * C**2 * M**2),
        averages_layers=True,
        tv=None,
        formulas=(
            r"\frac12\sum(F-P)^2",
            r"FF^\top",
            r"\frac{1}{4C^2M^2}\sum(G-A)^2",
            "",
        ),
    ),
)

CONVENTIONS = MappingProxyType({each.name: each for each in _ALL})
"""The conventions by name: d2l, assignment, numpy, modules, paper."""


def convention(name: str) -> Convention:
    """The convention with this name.

    Raises:
        InputError: there is no such convention; the message suggests a similar name.
    """
    if name not in CONVENTIONS:
        hint = did_you_mean(str(name), CONVENTIONS, f"there are {', '.join(CONVENTIONS)}")
        raise InputError(f"there is no convention {name!r}; {hint}")
    return CONVENTIONS[name]


def convert_weight(
    weight: float,
    source: str,
    target: str,
    shape: Sequence[int],
    *,
    kind: Kind = "style",
    num_layers: int = 1,
) -> float:
    """Convert a weight so that another convention gives the same gradient at one layer.

    The result depends on the layer's shape. For content it depends on all of (N, C, M), for
    style only on N and C: with the style image brought to the same size (see
    `Convention.style_loss`), M cancels in each of the five. So if several layers are compared,
    one weight becomes several.

    Args:
        weight: the weight in the convention `source`.
        source: the name of a convention.
        target: the name of the convention to convert to.
        shape: the shape of the layer's features, (N, C, H, W).
        kind: "content", "style" or "tv".
        num_layers: how many layers of this kind are compared; two conventions average over
            them.

    Raises:
        InputError: a name is unknown, or the two total variations do not differ by a factor.

    Example:
        >>> convert_weight(1e4, "d2l", "assignment", (1, 512, 18, 28))  # 1e4 / 512^2
        0.03814697265625
    """
    weight = number("weight", weight)
    here, there = convention(source), convention(target)
    choice("kind", kind, ("content", "style", "tv"))
    if kind == "tv":
        if here.tv is None or here.tv is not there.tv:
            raise InputError(
                f"the total variations of '{source}' and '{target}' do not differ by a factor: "
                + ", ".join(
                    f"'{each.name}' has {each.tv.__name__ if each.tv else 'none'}"
                    for each in (here, there)
                )
            )
        return weight
    num_layers = whole("num_layers", num_layers)
    divided = [num_layers if each.averages_layers else 1 for each in (here, there)]
    ratio = here.relative_factor(kind, shape) / there.relative_factor(kind, shape)
    return weight * ratio * divided[1] / divided[0]


def _sizes(shape: Sequence[int]) -> tuple[int, int, int]:
    whole_numbers = all(isinstance(side, Integral) for side in shape)
    if len(shape) != 4 or not whole_numbers or min(shape) < 1:
        raise InputError(f"features must have the shape (N, C, H, W), not {tuple(shape)}")
    N, C, H, W = shape
    return N, C, H * W
