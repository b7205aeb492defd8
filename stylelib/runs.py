"""A run: a recipe, followed from a photograph and styles to a finished image (chapter 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageStat
from torch import Tensor, nn

from stylelib.arguments import check_seed, choice, number, whole
from stylelib.control.colors import COLORS, Colors, prepared, recolored
from stylelib.control.masks import mask_for, resized, resized_inside
from stylelib.control.shares import FEWEST, ROUNDS, balanced, check_shares
from stylelib.control.styles import Painting, Style, Styles, Wanted, styles_of
from stylelib.devices import find_device
from stylelib.errors import InputError, or_interrupted
from stylelib.files import MAX_PIXELS, ImageSource, load_image, load_with_alpha, target_shape
from stylelib.images import postprocess, preprocess
from stylelib.layers import CONTENT_LAYERS, STYLE_LAYERS
from stylelib.models import check_defaults, features_of
from stylelib.networks import check_module, vgg19, weights_for
from stylelib.optimization import Objective
from stylelib.precision import resolve_precision
from stylelib.pyramid import Painted, RunState, paint, sizes
from stylelib.recipes import EFFORTS, Effort, Recipe
from stylelib.records import Callback
from stylelib.results import TransferResult, describe, settings_of
from stylelib.synthesis import Init, starting_picture

__all__ = ["follow"]

SMALLEST_STYLE = 16
"""The least shorter side of a style image at the first of several sizes: relu5_1 needs it."""


@dataclass(frozen=True)
class Controls:
    """What can be asked of any recipe; see `stylelib.transfer`."""

    colors: Colors = "style"
    strength: float = 1.0
    strokes: float = 1.0
    shares: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        choice("colors", self.colors, COLORS)
        number("strength", self.strength, least=0, most=1)
        number("strokes", self.strokes, above=0, below=1e3)
        if self.shares is not None:
            object.__setattr__(self, "shares", check_shares(self.shares))


def follow(
    recipe: Recipe,
    content: ImageSource,
    style: Styles,
    *,
    name: str,
    image_shape: int | tuple[int, int],
    style_shape: int | tuple[int, int] | None = None,
    controls: Controls | None = None,
    effort: Effort = "normal",
    steps: int | None = None,
    init: Init | ImageSource | None = None,
    seed: int = 0,
    scales: int | None = None,
    device: torch.device | str | None = None,
    net: nn.Module | None = None,
    callback: Callback | None = None,
    state: RunState | None = None,
) -> TransferResult:
    """Do what a recipe says. As `stylelib.transfer`; `name` is for the record."""
    seed, device, styles = check_seed(seed), find_device(device), styles_of(style)
    controls = Controls() if controls is None else controls
    sources = Sources.read(content, styles, image_shape, style_shape, controls)
    fractions, steps = planned(recipe, sources, effort, steps, scales, controls)
    recipe, net = fitted(recipe, net, styles, controls)
    net = net.to(device)
    start_from = recipe.init if init is None else init
    factors: dict[str, float] = {}
    shapes = sizes(sources.shape, fractions)
    painted = paint(
        sources.start(start_from, shapes[0], seed).to(device),
        shapes,
        objectives(recipe, net, device, sources, fractions, controls, factors),
        recipe.descent,
        steps=steps,
        clamp=recipe.bounds(device),
        callback=callback,
        state=state,
    )
    asked = {
        "recipe": name,
        "content": describe(content),
        "style": described(styles),
        "image_shape": image_shape,
        "style_shape": style_shape,
        "steps": steps,
        "init": describe(start_from),
        "seed": seed,
        "scales": scales,
        "effort": effort,
    }
    settings = recorded_settings(asked, recipe, net, device, controls)
    return finished(painted, recipe, sources, device, settings, factors)


def objectives(
    recipe: Recipe,
    net: nn.Module,
    device: torch.device,
    sources: Sources,
    fractions: Sequence[float],
    controls: Controls,
    factors: dict[str, float],
) -> Callable[[int, Tensor], Objective]:
    """The objective at each size, as `paint` asks for it. Factors for shares go to `factors`."""
    features, precise = features_of(net, recipe.arithmetic, widen=False), features_of(net)

    def objective_at(index: int, X: Tensor) -> Objective:
        wanted = sources.at(fractions[index], device)
        last = index == len(fractions) - 1
        objective = visible(
            recipe.objective(wanted, X, features, precise, last=last), wanted.opaque
        )
        if controls.shares is None:
            return objective
        objective, found = balanced(objective, X, controls.shares)
        factors.update(found)
        return objective

    return objective_at


def recorded_settings(
    asked: dict[str, Any],
    recipe: Recipe,
    net: nn.Module,
    device: torch.device,
    controls: Controls,
) -> dict[str, Any]:
    """What was asked and what it meant, for the record of the result."""
    precision = str(resolve_precision(recipe.arithmetic, device)).removeprefix("torch.")
    return settings_of(
        net,
        device,
        **asked,
        precision=precision,
        **asdict(controls),
        **recipe.settings(net),
    )


def finished(
    painted: Painted,
    recipe: Recipe,
    sources: Sources,
    device: torch.device,
    settings: dict[str, Any],
    factors: dict[str, float],
) -> TransferResult:
    """The result of a run, or `Interrupted` with it."""
    X = sources.finished(recipe.finish(painted.picture, sources.at(1.0, device))).cpu()
    balance, stopped = painted.balance(), painted.interrupted
    image = sources.with_alpha(postprocess(X))
    result = TransferResult(
        image, painted.history, settings, X, *balance, factors, interrupted=stopped
    )
    return or_interrupted(result)


def described(styles: Sequence[Style]) -> Any:
    """What to call the styles in the settings: an image's name, or all that was asked."""
    found = [
        {
            "image": describe(style.image),
            "weight": style.weight,
            "layers": style.layers,
            "here": style.here is not None,
            "there": style.there is not None,
            "strokes": style.strokes,
            "erode": style.erode,
        }
        for style in styles
    ]
    name = found[0]["image"]
    plain = {"image": name, "weight": 1.0, "layers": None, "here": False, "there": False}
    return name if found == [plain | {"strokes": 1.0, "erode": True}] else found


def planned(
    recipe: Recipe,
    sources: Sources,
    effort: Effort,
    steps: int | None,
    scales: int | None,
    controls: Controls,
) -> tuple[list[float], int]:
    """The sizes to work through, as fractions of the last, and the steps at all of them.

    A size comes once for each time that weights are set there. Where the steps do not suffice,
    there are fewer sizes, and if that is not enough, the weights are set less often.
    """
    choice("effort", effort, EFFORTS)
    if steps is not None:
        steps = whole("steps", steps)
    if scales is not None:
        scales = whole("scales", scales, most=steps)
    fractions = recipe.fractions(min(sources.shape), scales)
    if steps is None:
        steps = recipe.efforts[EFFORTS.index(effort)] * len(fractions)
    least = 2 if controls.shares is None else FEWEST * ROUNDS
    if scales is None:  # a size needs so many steps at least, and styles that have features
        side = min(min(each.shape) for each in sources.styles)
        fitting = [f for f in fractions if f * side >= SMALLEST_STYLE]
        fractions = (fitting or [1.0])[-max(1, steps // least) :]
    if controls.shares is not None:
        rounds = min(ROUNDS, max(1, steps // (FEWEST * len(fractions))))
        fractions = [fraction for fraction in fractions for _ in range(rounds)]
    return fractions, steps


def fitted(
    recipe: Recipe, net: nn.Module | None, styles: Sequence[Style], controls: Controls
) -> tuple[Recipe, nn.Module]:
    """A recipe with weights, and a network that has its layers.

    A loss that shall have a share begins with a weight of 1 if the recipe gives it none.
    """
    if net is None:
        own = [layer for style in styles if style.layers is not None for layer in style.layers]
        net = vgg19(layers=[*recipe.layers, *own])
    check_defaults(net, recipe.content_layers, CONTENT_LAYERS, "content_layers")
    check_defaults(net, recipe.style_layers, STYLE_LAYERS, "style_layers")
    check_module(net)
    if recipe.weights is None:
        recipe = replace(recipe, weights=weights_for(net))
    if controls.shares is not None and recipe.weights is not None:
        missing = {
            name: 1.0
            for name, weight in recipe.weights._asdict().items()
            if name in controls.shares and not weight
        }
        recipe = replace(recipe, weights=recipe.weights._replace(**missing))
    return recipe, net


@dataclass(frozen=True, eq=False)
class Source:
    """A style image that has been read.

    Attributes:
        style: what was asked.
        image: the image.
        shape: (H, W) at the last size.
        here: the region of the photograph, (1, 1, H, W), in any size; None is all of it.
        there: that of the style image, in the size of `image`.
    """

    style: Style
    image: Image.Image
    shape: tuple[int, int]
    here: Tensor | None
    there: Tensor | None

    def at(self, fraction: float, shape: tuple[int, int]) -> Painting:
        """The style at a size; `shape` is the photograph's there."""
        (own,) = sizes(self.shape, [fraction])
        shrink = resized_inside if self.style.erode else resized
        return Painting(
            preprocess(self.image, own),
            weight=float(self.style.weight),
            layers=self.style.layers,
            here=None if self.here is None else resized(self.here, shape),
            there=None if self.there is None else shrink(self.there, own),
            erode=self.style.erode,
        )


def visible(objective: Objective, opaque: Tensor | None) -> Objective:
    """The same losses, with no gradient at transparent pixels: these stay as they are."""
    if opaque is None:
        return objective
    moves = opaque > 0
    return lambda X: objective(torch.where(moves, X, X.detach()))


def with_strokes(shape: tuple[int, int], strokes: float) -> tuple[int, int]:
    """(H, W) of a style image whose strokes are so many times as large."""
    ((height, width),) = sizes(shape, [strokes])
    if height * width > MAX_PIXELS:
        raise InputError(
            f"strokes of {strokes:g} ask for a style image of {height} x {width}, over "
            f"{MAX_PIXELS:,} pixels; give less"
        )
    return height, width


def opacity(alpha: Image.Image) -> Tensor:
    """An alpha channel as numbers, 0..1, (1, 1, H, W)."""
    levels = torch.from_numpy(np.array(alpha)).float()[None, None]
    if not levels.any():
        raise InputError(
            "the alpha channel of the photograph is empty: it is 0 everywhere, so nothing of "
            "the photograph is visible"
        )
    return levels / 255


def both(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Two regions of one image at once; None is all of it."""
    return a * b if a is not None and b is not None else a if b is None else b


def filled(image: Image.Image, alpha: Image.Image) -> Image.Image:
    """An image with the mean color of what is visible in place of what is transparent."""
    seen = alpha.point(lambda level: 255 if level else 0)
    mean = ImageStat.Stat(image, seen).mean
    plain = Image.new("RGB", image.size, tuple(round(level) for level in mean))
    plain.paste(image, mask=seen)
    return plain


@dataclass(frozen=True, eq=False)
class Sources:
    """The photograph and the styles, read once, given at any size.

    Attributes:
        content: the photograph.
        shape: its (H, W) at the last size.
        styles: at least one.
        opaque: the alpha channel of the photograph, 0..1, (1, 1, H, W); None is 1 everywhere.
        colors: see `Controls`.
    """

    content: Image.Image
    shape: tuple[int, int]
    styles: list[Source]
    opaque: Tensor | None
    colors: Colors

    @classmethod
    def read(
        cls,
        content: ImageSource,
        styles: Sequence[Style],
        image_shape: int | tuple[int, int],
        style_shape: int | tuple[int, int] | None,
        controls: Controls,
    ) -> Sources:
        """Read the images and the masks.

        With a strength below 1, the photograph is one of the styles of each region.
        """
        photograph, alpha = load_with_alpha(content)
        shape = target_shape(photograph, image_shape)
        opaque = None
        if alpha is not None:
            opaque = resized(opacity(alpha), shape)
            photograph = filled(photograph, alpha)
        strength, read = controls.strength, []
        for style in styles:
            image = load_image(style.image)
            base = (
                target_shape(image, image_shape)
                if style_shape is None
                else target_shape(image, style_shape, "style_shape")
            )
            own = with_strokes(base, controls.strokes * style.strokes)
            here, there = style.here, style.there
            here = None if here is None else mask_for("here", here, photograph, shape)
            if there is not None:
                there = mask_for("there", there, image, own, own_size=True)
            weighed = replace(style, weight=style.weight * strength)
            read.append(Source(weighed, image, own, here, there))
            if strength < 1:
                rest = replace(style, weight=style.weight * (1 - strength))
                read.append(Source(rest, photograph, shape, here, here))
        return cls(photograph, shape, read, opaque, controls.colors)

    def photograph(self, shape: tuple[int, int]) -> Tensor:
        """The photograph as it is, (1, 3, H, W), normalized."""
        return preprocess(self.content, shape)

    def at(self, fraction: float, device: torch.device) -> Wanted:
        """What is wanted at a size."""
        (shape,) = sizes(self.shape, [fraction])
        plain, opaque = self.photograph(shape), self.visible_at(shape)
        content, styles = plain, []
        for source in self.styles:
            style = source.at(fraction, shape)
            there = style.there
            if source.image is self.content:  # of a strength below 1
                X, there = content, both(there, opaque)
            else:
                content, X = prepared(self.colors, plain, style.X, opaque, there)
            here = both(style.here, opaque)
            styles.append(replace(style, X=X, here=here, there=there).to(device))
        opaque = None if opaque is None else opaque.to(device)
        return Wanted(content.to(device), styles, opaque)

    def visible_at(self, shape: tuple[int, int]) -> Tensor | None:
        """How much each position counts at a size, (1, 1, H, W): the most visible one, 1."""
        if self.opaque is None:
            return None
        opaque = resized(self.opaque, shape)
        return opaque / opaque.max()

    def start(self, init: Init | ImageSource, shape: tuple[int, int], seed: int) -> Tensor:
        """The image to start from, (1, 3, H, W), normalized, with the colors of the losses."""
        X = starting_picture(init, self.content, self.styles[0].image, shape, seed)
        if init == "style":
            there = self.styles[0].there
            there = None if there is None else resized(there, shape)
            content = self.photograph(shape)
            return prepared(self.colors, content, X, self.visible_at(shape), there)[1]
        return prepared(self.colors, X, X)[0]

    def with_alpha(self, image: Image.Image) -> Image.Image:
        """The finished image with the alpha channel of the photograph, if that has one."""
        if self.opaque is not None:
            levels = (255 * self.opaque[0, 0]).round().to(torch.uint8)
            image.putalpha(Image.fromarray(levels.numpy()))
        return image

    def finished(self, X: Tensor) -> Tensor:
        """The finished image, (1, 3, H, W), in the colors that were asked for."""
        return recolored(self.colors, X, self.photograph(self.shape).to(X))
