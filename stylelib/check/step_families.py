"""training_step: families of mistakes (chapter 7)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from stylelib.check.axes import subsets
from stylelib.check.exercises import Wrong
from stylelib.check.steps import Objective, backward, before_step, on_gradient, step_on, then

__all__ = ["WRONGS"]

AXES = "images", "channels", "rows", "columns"
Losses = dict[str, Tensor]
Step = Callable[[Tensor, Objective, Any], Any]


def _values(losses: Losses) -> list[Tensor]:
    return list(losses.values())


def _of_values(total: Callable[[list[Tensor]], Tensor]) -> Callable[[Losses], Tensor]:
    return lambda losses: total(_values(losses))


def _totals() -> Iterator[Wrong]:
    """Other numbers made of the losses. The optimizer sees nothing else."""
    others: tuple[tuple[str, str, Callable[[list[Tensor]], Tensor]], ...] = (
        ("last_subtracted", "subtracts the last loss from the first. Add all of them", lambda v: v[0] - v[1]),
        ("first_subtracted", "subtracts the first loss from the last. Add all of them", lambda v: v[1] - v[0]),
        ("smallest_loss", "uses only the smallest of the losses. Add all of them", lambda v: torch.stack(v).min()),
        ("first_twice", "counts the first loss twice: is it the start of a sum that adds it again?", lambda v: 2 * v[0] + v[1]),
        ("last_twice", "counts the last loss twice. Add each once", lambda v: v[0] + 2 * v[1]),
        ("total_twice", "counts each loss twice. Add each once", lambda v: 2 * (v[0] + v[1])),
        ("squares", "squares each loss. Add the losses themselves", lambda v: v[0] ** 2 + v[1] ** 2),
        ("roots", "takes the root of each loss. Add the losses themselves", lambda v: v[0].sqrt() + v[1].sqrt()),
        ("logs", "takes the logarithm of each loss. Add the losses themselves", lambda v: v[0].log() + v[1].log()),
        ("exponential", "takes the exponential of the total. Use the sum itself", lambda v: (v[0] + v[1]).exp()),
        ("norm", "takes the length (norm) of the losses. Add them", lambda v: torch.stack(v).norm()),
        ("one_over", "goes down one over the total. Use the sum itself", lambda v: 1 / (v[0] + v[1])),
        ("style_weight", "weights the losses again, with 1e4. Add them as they are", lambda v: v[0] + 1e4 * v[1]),
        ("style_weight_for_first", "weights the losses again, with 1e4. Add them as they are", lambda v: 1e4 * v[0] + v[1]),
        ("tv_weight", "weights the losses again, with 10. Add them as they are", lambda v: v[0] + 10 * v[1]),
        ("tv_weight_for_first", "weights the losses again, with 10. Add them as they are", lambda v: 10 * v[0] + v[1]),
        ("normalized_total", "divides the total by its own value. Use the sum itself", lambda v: (v[0] + v[1]) / (v[0] + v[1]).detach()),
        ("each_normalized", "divides each loss by its own value. Use the sum itself", lambda v: v[0] / v[0].detach() + v[1] / v[1].detach()),
        ("times_its_value", "multiplies the total by itself without a gradient. Use the sum itself", lambda v: (v[0] + v[1]) * (v[0] + v[1]).detach()),
        ("deviation", "uses the standard deviation of the losses. Add them", lambda v: torch.stack(v).std()),
    )  # fmt: skip
    for name, said, total in others:
        yield Wrong(
            name,
            f"Your step {said}." if said[-1] != "?" else f"Your step {said}",
            step_on(_of_values(total)),
        )


OF_GRADIENT: tuple[tuple[str, str, Callable[[Tensor], Tensor]], ...] = (
    ("gradient_over_values", "is divided by the number of values", lambda g: g / g.numel()),
    ("gradient_times_values", "is multiplied by the number of values", lambda g: g * g.numel()),
    ("gradient_over_largest", "is divided by its largest absolute value", lambda g: g / g.abs().max()),
    ("gradient_over_root_mean_square", "is divided by the root of its mean square", lambda g: g / g.square().mean().sqrt()),
    ("gradient_over_deviation", "is divided by its standard deviation", lambda g: g / g.std()),
    ("gradient_standardized", "is centered and divided by its standard deviation", lambda g: (g - g.mean()) / g.std()),
    ("gradient_over_sum", "is divided by the sum of its absolute values", lambda g: g / g.abs().sum()),
    ("gradient_absolute", "loses its signs", torch.abs),
    ("gradient_positive", "loses its negative values", torch.relu),
    ("gradient_squared", "is squared", torch.square),
    ("gradient_halved", "is halved", lambda g: g / 2),
    ("gradient_clipped_at_a_tenth", "is clamped to -0.1..0.1", lambda g: g.clamp(-0.1, 0.1)),
    ("gradient_clipped_at_a_hundredth", "is clamped to -0.01..0.01", lambda g: g.clamp(-0.01, 0.01)),
    ("gradient_clipped_at_half", "is clamped to -0.5..0.5", lambda g: g.clamp(-0.5, 0.5)),
    ("gradient_clamped_to_0_1", "is clamped to 0..1", lambda g: g.clamp(0, 1)),
    ("gradient_of_length_a_tenth", "is scaled to a length of at most 0.1", lambda g: g * (0.1 / g.norm()).clamp(max=1)),
    ("gradient_of_length_half", "is scaled to a length of at most 0.5", lambda g: g * (0.5 / g.norm()).clamp(max=1)),
    ("gradient_upside_down", "is turned upside down", lambda g: g.flip(2)),
    ("gradient_mirrored", "is mirrored", lambda g: g.flip(3)),
    ("gradient_channels_reversed", "has its channels in reverse order", lambda g: g.flip(1)),
    *(
        (f"gradient_centered_over_{name}", f"has its mean over {words} subtracted", lambda g, axes=axes: g - g.mean(axes, keepdim=True))
        for name, words, axes in subsets(AXES[1:], whole=True)
        for axes in [tuple(axis + 1 for axis in axes)]
    ),
    *(
        (f"gradient_averaged_over_{name}", f"is averaged over {words}", lambda g, axes=axes: g.mean(axes, keepdim=True).expand_as(g))
        for name, words, axes in subsets(AXES[1:], whole=True)
        for axes in [tuple(axis + 1 for axis in axes)]
    ),
    *(
        (f"gradient_normalized_over_{name}", f"is divided by its length over {words}", lambda g, axes=axes: g / g.square().sum(axes, keepdim=True).sqrt())
        for name, words, axes in subsets(AXES[1:])
        for axes in [tuple(axis + 1 for axis in axes)]
    ),
)  # fmt: skip
"""What is done to the gradient before the step: a name, words, and a formula."""


def _with_decay(rate: float) -> Callable[[Tensor, Any], None]:
    """The image is added to its gradient, times a rate."""

    def change(X: Tensor, _: Any) -> None:
        assert X.grad is not None
        X.grad.add_(rate * X)

    return change


def _gradients() -> Iterator[Wrong]:
    """What is done to the gradient before the step."""
    for name, said, change in OF_GRADIENT:
        yield Wrong(
            name,
            f"In your step the gradient {said} before it is used. Leave it as it is.",
            before_step(on_gradient(change)),
        )
    for decay in (0.01, 0.1, 1e-3, 1.0):
        yield Wrong(
            f"weight_decay_{decay:g}".replace(".", "_").replace("-", ""),
            f"Your step adds {decay:g} times the image to its gradient, as weight decay does. "
            "Leave it as it is.",
            before_step(_with_decay(decay)),
        )


def _put(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Any], Any]:
    return lambda X, _: X.copy_(change(X))


def _first(put: Callable[[Tensor, Any], Any]) -> Step:
    """A change of the image, and then a right step."""

    def step(X: Tensor, objective: Objective, optimizer: Any) -> None:
        with torch.no_grad():
            put(X, optimizer)
        step_on(lambda losses: torch.stack(_values(losses)).sum())(X, objective, optimizer)

    return step


def _images() -> Iterator[Wrong]:
    """What is done to the image before or after the step."""
    others: tuple[tuple[str, str, Callable[[Tensor], Tensor]], ...] = (
        ("to_0_1", "clamps the image to 0..1", lambda X: X.clamp(0, 1)),
        ("to_1", "clamps the image to -1..1", lambda X: X.clamp(-1, 1)),
        ("to_2", "clamps the image to -2..2", lambda X: X.clamp(-2, 2)),
        ("to_2_5", "clamps the image to -2.5..2.5", lambda X: X.clamp(-2.5, 2.5)),
        ("from_below", "clamps the image at 0", lambda X: X.clamp(min=0)),
        ("to_levels", "clamps the image to 0..255", lambda X: X.clamp(0, 255)),
        ("standardized", "gives the image mean 0 and standard deviation 1", lambda X: (X - X.mean()) / X.std()),
        ("standardized_biased", "gives the image mean 0 and standard deviation 1", lambda X: (X - X.mean()) / X.std(correction=0)),
        ("centered", "subtracts the mean of the image", lambda X: X - X.mean()),
        ("stretched", "stretches the image to 0..1", lambda X: (X - X.min()) / (X.max() - X.min())),
        ("unit", "divides the image by its length", lambda X: X / X.norm()),
        ("over_largest", "divides the image by its largest absolute value", lambda X: X / X.abs().max()),
        ("rounded", "rounds the image", torch.round),
    )  # fmt: skip
    for name, said, change in others:
        if name not in ("to_0_1", "to_1"):
            yield Wrong(
                f"image_{name}",
                f"Your function {said} after the step. Leave it as it is.",
                then(_put(change)),
            )
        if name != "to_levels":
            yield Wrong(
                f"image_{name}_first",
                f"Your function {said} before the step. Leave it as it is.",
                _first(_put(change)),
            )


def _by_hand(sign: float, rate: Callable[[Any], float]) -> Step:
    def step(X: Tensor, objective: Objective, optimizer: Any) -> None:
        optimizer.zero_grad()
        backward(X, objective)
        with torch.no_grad():
            assert X.grad is not None
            X += sign * rate(optimizer) * X.grad

    return step


def _rate(optimizer: Any) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _each(
    X: Tensor, objective: Objective, optimizer: Any, *, zero: str = "", turned: bool = False
) -> None:
    if zero == "once":
        optimizer.zero_grad()
    for name in list(objective(X))[:: -1 if turned else 1]:
        if zero == "each":
            optimizer.zero_grad()
        torch.autograd.backward(objective(X)[name])
        optimizer.step()


def _each_from_the_start(
    X: Tensor, objective: Objective, optimizer: Any, *, zero: bool
) -> None:
    """Gradients of each loss at the image before any step, and a step for each."""
    gradients = [torch.autograd.grad(loss, X)[0] for loss in objective(X).values()]
    X.grad = torch.zeros_like(X)
    for gradient in gradients:
        X.grad = gradient.clone() if zero else X.grad + gradient
        optimizer.step()


def _scaled_rate(factor: float, *, kept: bool) -> Step:
    """A step with another learning rate; or it is changed for the next one."""

    def step(X: Tensor, objective: Objective, optimizer: Any) -> None:
        optimizer.zero_grad()
        backward(X, objective)
        if not kept:
            _multiply(optimizer, factor)
        optimizer.step()
        _multiply(optimizer, factor if kept else 1 / factor)

    return step


def _multiply(optimizer: Any, factor: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] *= factor


def _fresh(kind: Callable[[Any], Any]) -> Step:
    """A new optimizer in each step."""

    def step(X: Tensor, objective: Objective, optimizer: Any) -> None:
        made = kind(optimizer)([X], lr=_rate(optimizer))
        made.zero_grad()
        backward(X, objective)
        made.step()

    return step


def _several(count: int) -> Step:
    def step(X: Tensor, objective: Objective, optimizer: Any) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            backward(X, objective)
            optimizer.step()

    return step


def _orders() -> Iterator[Wrong]:
    several: tuple[tuple[str, str, Step], ...] = (
        ("three_steps", "Your function makes three steps. Make one.", _several(3)),
        ("ten_steps", "Your function makes ten steps. Make one.", _several(10)),
        ("hundred_steps", "Your function makes a hundred steps. Make one.", _several(100)),
        ("each_step_never_zeroed", "Your function makes a step for each loss, and its gradients add up. Add the losses, and make one step.", _each),
        ("each_step_zeroed_once", "Your function makes a step for each loss, and its gradients add up within a call. Add the losses, and make one step.", lambda *given: _each(*given, zero="once")),
        ("each_step_turned", "Your function makes a step for each loss, from the last to the first. Add the losses, and make one step.", lambda *given: _each(*given, zero="each", turned=True)),
        ("each_step_from_the_start", "Your function makes a step for each loss. Add the losses, and make one step.", lambda *given: _each_from_the_start(*given, zero=True)),
        ("each_step_from_the_start_adding_up", "Your function makes a step after each backward(): take optimizer.step() out of the loop.", lambda *given: _each_from_the_start(*given, zero=False)),
        ("by_hand_uphill", "Your function moves the image by itself, and uphill. Call optimizer.step().", _by_hand(1.0, _rate)),
        ("by_hand_without_rate", "Your function subtracts the gradient itself. Call optimizer.step(), which knows how.", _by_hand(-1.0, lambda _: 1.0)),
        ("by_hand_a_tenth", "Your function subtracts a tenth of the gradient. Call optimizer.step(), which knows how.", _by_hand(-1.0, lambda _: 0.1)),
        ("by_hand_a_hundredth", "Your function subtracts a hundredth of the gradient. Call optimizer.step(), which knows how.", _by_hand(-1.0, lambda _: 0.01)),
        ("rate_halved", "Your step halves the learning rate. Leave it as it is.", _scaled_rate(0.5, kept=False)),
        ("rate_doubled", "Your step doubles the learning rate. Leave it as it is.", _scaled_rate(2.0, kept=False)),
        ("rate_a_tenth", "Your step takes a tenth of the learning rate. Leave it as it is.", _scaled_rate(0.1, kept=False)),
        *(
            (f"rate_falls_by_{int(100 * factor)}", f"Your function multiplies the learning rate by {factor:g} after each step. Leave it as it is.", _scaled_rate(factor, kept=True))
            for factor in (0.99, 0.95, 0.9, 0.8, 0.5, 0.1)
        ),
        ("fresh_descent", "Your function makes an optimizer of its own, plain descent. Use the one that is given.", _fresh(lambda _: torch.optim.SGD)),
        ("fresh_adam", "Your function makes an optimizer of its own, Adam, anew in each call. Use the one that is given, which remembers.", _fresh(lambda _: torch.optim.Adam)),
        ("fresh_optimizer", "Your function makes a new optimizer in each call, which forgets what Adam remembers. Use the one that is given.", _fresh(type)),
    )  # fmt: skip
    for name, said, step in several:
        yield Wrong(name, said, step)


WRONGS = (*_totals(), *_gradients(), *_images(), *_orders())
