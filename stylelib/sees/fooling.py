"""Pictures changed until a network says something else (chapter 19)."""

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
    """A picture that a network takes for something else, and how far it is from the original.

    Distances are between pictures of 8 bits, as they are saved.

    Attributes:
        original: what it began as, (1, 3, H, W), normalized.
        fooled: whether `image` is classified as was asked.
        steps: how many steps it took.
        confidence: the probability of the target before each step and at the end; of the
            original class, where there was no target.
        l2: the length of the change, pixels in 0..1, all H W 3 numbers together.
        linf: the greatest change of a number, pixels in 0..1.
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
    """`fooling_images` for one picture, X (1, 3, H, W), and one target, or None.

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
        raise InputError(f"fooling_image takes one picture, not {len(X)}: use fooling_images")
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
    """Change pictures, all at once, until a network takes them for something else.

    Each step moves a picture by `lr` in the direction of the gradient, whatever the gradient's
    length, and each picture rests as soon as its *rounded* self, as a file of 8 bits holds it,
    is classified as was asked.

    Args:
        X: normalized pictures (N, 3, H, W). They are rounded to 8 bits first.
        targets: a class for each picture, or one for all, to be reached; None asks for any
            class but the one the network sees at first.
        model: a classifier in eval mode.
        epsilon: the greatest change of any number, pixels in 0..1, such as 2 / 255; rounded
            down to whole gray levels. None sets no bound.
        lr: the length of a step in normalized units; None takes 1, or, where there is a bound,
            the length of a step of half of it in every number.
        max_steps: when to give up; `.fooled` of the result is then False.
        confidence: go on until the target has more than this probability (without a target:
            until the original class has less than 1 minus this), 0 to below 1.

    Returns:
        A result for each picture. `.history` has the score of all running pictures together.

    Raises:
        InputError: a class that does not exist, a bound below one gray level, a target that a
            picture has from the start, or pictures as `saliency_map` refuses them.
        Interrupted: Ctrl-C after the first step. Its `.result` is the list of results so far.

    Source: the step dX = lr g / ||g|| is that of a course assignment after Szegedy et al.
    (2014); keeping the change within a box after each step, Madry et al. (2018).
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
            steps=whole("max_steps", max_steps) + 1,  # the last one only to look
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
    """Pictures that are changed until a network takes them for something else.

    Args:
        model: the network.
        original: the pictures, (N, 3, H, W), normalized.
        wanted: a class for each of them, (N,).
        confidence: as for `fooling_images`.
        away: whether the class is to be left, not reached.

    Attributes:
        running: which pictures still move, (N,).
        final: the pictures as they are, or were when they came to rest, rounded.
        paths: for each picture, the probability of its class before each step.
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
        """The scores of the classes that are wanted, to be made small where they are left."""
        scores = pick(class_scores(picture, self.model), self.wanted)  # (N,)
        sign = 1 if self.away else -1
        return {"score": sign * (scores * self.running).sum()}  # one at rest has no gradient

    def watch(self, step: Step) -> bool:
        """Look whether the network has changed its mind; whether all pictures rest."""
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
        """What became of picture n, which the network took for `seen`."""
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
            steps=max(0, len(path) - 1),  # no step at all if Ctrl-C was early
            confidence=path,
            l2=float(np.linalg.norm(change)),
            linf=float(np.abs(change).max()),
            interrupted=run.interrupted and bool(self.running[n]),
        )


class NormalizedGradient(torch.optim.Optimizer):
    """Steps of the same length whatever the gradient's: dX = -lr g / ||g||, picture by picture.

    A picture whose gradient is 0 stays.

    Args:
        params: one tensor (N, ...), whose first axis counts the pictures.
        lr: the Euclidean length of a picture's step.
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
                # The greatest number first: squares of very small or large ones leave float32
                greatest = X.grad.flatten(1).abs().amax(dim=1).clamp_min(tiny)
                g = X.grad / greatest.view(shape)
                lengths = g.flatten(1).norm(dim=1).clamp_min(tiny)
                X.data -= group["lr"] * g / lengths.view(shape)
        return loss


def _rounded(X: Tensor) -> Tensor:
    """The pictures as a file of 8 bits holds them, normalized again."""
    return normalize((denormalize(X.detach()).clamp(0, 1) * 255).round() / 255)


def changeable(original: Tensor, epsilon: float | None) -> tuple[Tensor, Tensor, float]:
    """The lowest and highest that pixels may be, and the length of a step."""
    low, high = (bound.to(original).expand_as(original) for bound in visible_range())
    if epsilon is None:
        return low, high, 1.0
    reach = (_whole_levels(epsilon) / 255 / IMAGE_STD).view(3, 1, 1).to(original)
    low, high = torch.maximum(low, original - reach), torch.minimum(high, original + reach)
    return low, high, float(reach.expand_as(original[0]).norm()) / 2


def _whole_levels(epsilon: float) -> int:
    """How many gray levels of 255 a bound allows."""
    number = isinstance(epsilon, float | int | np.number) and not isinstance(epsilon, bool)
    levels = math.floor(epsilon * 255 + 1e-6) if number and 0 < epsilon <= 1 else 0
    if levels < 1:
        raise InputError(
            f"epsilon is in pixels of 0..1, one gray level (1 / 255) or more, not {epsilon!r}"
        )
    return levels
