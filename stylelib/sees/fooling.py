"""Change images until a network classifies them differently (chapter 19)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from stylelib.arguments import number, whole
from stylelib.errors import InputError, Interrupted, alone, or_interrupted
from stylelib.images import IMAGE_STD, denormalize, normalize, postprocess, visible_range
from stylelib.optimization import Optimized, optimize
from stylelib.records import Step
from stylelib.results import Result, settings_of
from stylelib.sees.classifiers import (
    Target,
    check_pictures,
    class_names,
    class_scores,
    pick,
    target_indices,
)

__all__ = ["FoolingResult", "NormalizedGradient", "fooling_image", "fooling_images"]


@dataclass(frozen=True)
class FoolingResult(Result):
    """A fooling image and its distance from the original.

    Distances are between images of 8 bits, as they are saved.

    Attributes:
        original: the original image, (1, 3, H, W), normalized.
        fooled: whether `image` is classified as requested.
        steps: the number of steps.
        confidence: the probability of the target before each step and at the end; without a
            target, the probability of the original class.
        l2: the Euclidean length of the change over all 3 H W values, with pixels in 0..1.
        linf: the largest change of a value, with pixels in 0..1.
    """

    original: Tensor = field(repr=False)
    fooled: bool
    steps: int
    confidence: list[float] = field(repr=False)
    l2: float
    linf: float

    def _measured(self) -> dict[str, Any]:
        return {
            "fooled": self.fooled,
            "steps": self.steps,
            "confidence_path": self.confidence,
            "l2": self.l2,
            "linf": self.linf,
        }


def fooling_image(
    X: Tensor,
    target: Target | None,
    model: nn.Module,
    *,
    epsilon: float | None = None,
    lr: float | None = None,
    max_steps: int = 100,
    confidence: float = 0.0,
) -> FoolingResult:
    """`fooling_images` for one image X, (1, 3, H, W), and one target or None.

    Example:
        >>> from stylelib import classifier, fooling_image, preprocess, samples, top_classes
        >>> model = classifier()
        >>> X = preprocess(samples.load("coffee"), (224, 224))
        >>> result = fooling_image(X, "hummingbird", model, epsilon=2 / 255)
        >>> top_classes(preprocess(result.image, (224, 224)), 1, model)[0][0][0]
        'hummingbird'
        >>> result.linf <= 2 / 255
        True
    """
    if isinstance(X, Tensor) and X.ndim == 4 and len(X) != 1:
        raise InputError(f"fooling_image takes one image, not {len(X)}: use fooling_images")
    return alone(
        lambda: fooling_images(
            X,
            target,
            model,
            epsilon=epsilon,
            lr=lr,
            max_steps=max_steps,
            confidence=confidence,
        )
    )


def fooling_images(
    X: Tensor,
    targets: Target | Sequence[Target] | Tensor | None,
    model: nn.Module,
    *,
    epsilon: float | None = None,
    lr: float | None = None,
    max_steps: int = 100,
    confidence: float = 0.0,
) -> list[FoolingResult]:
    """Change a batch of images until a network classifies them differently.

    Each step moves an image by `lr` along the gradient, whatever the gradient's length. An
    image stops as soon as its *rounded* version, with 8 bits as in a file, is classified as
    requested.

    Args:
        X: normalized images (N, 3, H, W). They are rounded to 8 bits first.
        targets: the class to reach, one for each image or one for all. None accepts any class
            except the one the network sees at first.
        model: a classifier in eval mode.
        epsilon: the largest change of any value, with pixels in 0..1, such as 2 / 255. It is
            rounded down to whole gray levels. None sets no bound.
        lr: the length of a step in normalized units. None takes 1, or, if there is a bound, the
            length of a step that changes every value by half the bound.
        max_steps: when to give up. The result then has `.fooled` = False.
        confidence: continue until the target has more than this probability, 0 to below 1.
            Without a target, until the original class has less than 1 minus this.

    Returns:
        A result for each image. `.history` has the total score of all images that still move.

    Raises:
        InputError: a class does not exist, the bound is below one gray level, an image has its
            target class from the start, or `saliency_map` would refuse the images.
        Interrupted: Ctrl-C after the first step. Its `.result` is the list of results so far.

    Source: the step dX = lr g / ||g|| comes from a course assignment after Szegedy et al.
    (2014); clamping the change to a box after each step, from Madry et al. (2018).
    """
    check_pictures(X, model)
    confidence = number("confidence", confidence, least=0, below=1)
    original = _rounded(X)
    with torch.no_grad():
        seen = class_scores(original, model).argmax(dim=1)  # (N,)
    wanted = seen if targets is None else target_indices(targets, len(X)).to(X.device)
    if targets is not None and bool((wanted == seen).any()):
        name = class_names()[int(wanted[wanted == seen][0])]
        raise InputError(f"the network already says '{name}': choose another target")
    low, high, length = changeable(original, epsilon)
    if lr is not None:
        length = number("lr", lr, above=0)
    attack = Attack(model, original, wanted, confidence, away=targets is None)
    picture = original.clone().requires_grad_()
    try:
        run = optimize(
            picture,
            attack.objective,
            NormalizedGradient([picture], length),
            steps=whole("max_steps", max_steps) + 1,  # the last one only checks the result
            clamp=(low, high),
            callback=attack.watch,
        )
    except Interrupted as stop:
        run = stop.result
    said = {"epsilon": epsilon, "lr": length, "max_steps": max_steps, "confidence": confidence}
    settings = settings_of(model, X.device, **said)
    return or_interrupted(
        [
            attack.result(n, run, settings, class_names()[int(seen[n])])
            for n in range(len(original))
        ]
    )


class Attack:
    """The state of `fooling_images`: which images still move, and what they have become.

    Args:
        model: the network.
        original: the original images, (N, 3, H, W), normalized.
        wanted: a class for each image, (N,).
        confidence: as for `fooling_images`.
        away: whether the images should leave their class instead of reaching it.

    Attributes:
        running: which images still move, (N,).
        final: the images now, or when they stopped, rounded to 8 bits.
        paths: for each image, the probability of its class before each step.
    """

    def __init__(
        self,
        model: nn.Module,
        original: Tensor,
        wanted: Tensor,
        confidence: float,
        *,
        away: bool,
    ) -> None:
        self.model, self.original, self.wanted = model, original, wanted
        self.confidence, self.away = confidence, away
        self.running = torch.ones(len(original), dtype=torch.bool, device=original.device)
        self.final = original.clone()
        self.paths: list[list[float]] = [[] for _ in original]

    def objective(self, picture: Tensor) -> dict[str, Tensor]:
        """The total score of the classes to leave, or minus that of the classes to reach."""
        scores = pick(class_scores(picture, self.model), self.wanted)  # (N,)
        sign = 1 if self.away else -1
        return {"score": sign * (scores * self.running).sum()}  # others get no gradient

    def watch(self, step: Step) -> bool:
        """Classify the rounded images, and return True if none of them moves any more."""
        rounded = _rounded(step.picture)
        with torch.no_grad():
            probabilities = class_scores(rounded, self.model).softmax(dim=1)  # (N, 1000)
        p = pick(probabilities, self.wanted)
        same = probabilities.argmax(dim=1) == self.wanted
        for n in self.running.nonzero().flatten().tolist():
            self.paths[n].append(float(p[n]))
            self.final[n] = rounded[n]
        left, reached = ~same & (p < 1 - self.confidence), same & (p > self.confidence)
        self.running = self.running & ~(left if self.away else reached)
        return not bool(self.running.any())

    def result(
        self, n: int, run: Optimized, settings: dict[str, Any], seen: str
    ) -> FoolingResult:
        """The result of image n, whose original class is `seen`."""
        image, begin = postprocess(self.final[n]), postprocess(self.original[n])
        change = (np.asarray(image, dtype=float) - np.asarray(begin, dtype=float)) / 255
        asked = None if self.away else class_names()[int(self.wanted[n])]
        path = self.paths[n]
        return FoolingResult(
            image=image,
            history=run.history[: len(path)],
            settings={"target": asked, "original": seen, **settings},
            picture=self.final[n : n + 1].cpu(),
            original=self.original[n : n + 1].cpu(),
            fooled=not bool(self.running[n]),
            steps=max(0, len(path) - 1),  # the path is empty after an early Ctrl-C
            confidence=path,
            l2=float(np.linalg.norm(change)),
            linf=float(np.abs(change).max()),
            interrupted=run.interrupted and bool(self.running[n]),
        )


class NormalizedGradient(torch.optim.Optimizer):
    """Steps of the same length for each image, whatever its gradient's: dX = -lr g / ||g||.

    An image whose gradient is 0 does not move.

    Args:
        params: one tensor (N, ...), whose first axis counts the images.
        lr: the Euclidean length of an image's step.
    """

    def __init__(self, params: Iterable[Tensor], lr: float) -> None:
        super().__init__(params, {"lr": number("lr", lr, above=0)})

    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]  # torch overloads it
        """One step; `closure` computes the gradients first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for X in group["params"]:
                if X.grad is None:
                    continue
                shape = (-1, *[1] * (X.ndim - 1))
                tiny = torch.finfo(X.dtype).tiny
                # divide by the largest value first, or squares may overflow or underflow
                greatest = X.grad.flatten(1).abs().amax(dim=1).clamp_min(tiny)
                g = X.grad / greatest.view(shape)
                lengths = g.flatten(1).norm(dim=1).clamp_min(tiny)
                X.data -= group["lr"] * g / lengths.view(shape)
        return loss


def _rounded(X: Tensor) -> Tensor:
    """The images rounded to 8 bits, as in a file, and normalized again."""
    return normalize((denormalize(X.detach()).clamp(0, 1) * 255).round() / 255)


def changeable(original: Tensor, epsilon: float | None) -> tuple[Tensor, Tensor, float]:
    """The lowest and highest allowed pixels, and the default length of a step."""
    low, high = (bound.to(original).expand_as(original) for bound in visible_range())
    if epsilon is None:
        return low, high, 1.0
    reach = (_whole_levels(epsilon) / 255 / IMAGE_STD).view(3, 1, 1).to(original)
    low, high = torch.maximum(low, original - reach), torch.minimum(high, original + reach)
    return low, high, float(reach.expand_as(original[0]).norm()) / 2


def _whole_levels(epsilon: float) -> int:
    """The number of whole gray levels, 1 / 255 each, in a bound."""
    number = isinstance(epsilon, float | int | np.number) and not isinstance(epsilon, bool)
    levels = math.floor(epsilon * 255 + 1e-6) if number and 0 < epsilon <= 1 else 0
    if levels < 1:
        raise InputError(
            "epsilon must be from one gray level (1 / 255) to 1, for pixels in 0..1, not "
            f"{epsilon!r}"
        )
    return levels
