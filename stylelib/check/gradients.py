"""Gradients against central differences: those of a function, and those of a layer by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stylelib.check.calls import Budget, Outcome, guarded, text_of
from stylelib.check.exercises import Arguments, Exercise, Function
from stylelib.check.probes import ask
from stylelib.check.ratios import Reason
from stylelib.check.stops import late_flaw
from stylelib.check.trials import argument_named
from stylelib.check.values import Leaf, Values, copied, flatten, misfit, near
from stylelib.check.verdicts import Verdict

__all__ = ["gradient", "graph_flaw", "word_on_targets"]

_STEP = 1e-5


def graph_flaw(
    exercise: Exercise, function: Function, arguments: Arguments, budget: Budget
) -> Reason | None:
    """What is wrong with the gradients that a right function of tensors passes on.

    The gradient of a random combination of all values is compared, along random directions,
    with central differences of the reference.
    """
    given = copied(arguments)
    wanted = [t for t in _tensors(given) if t.requires_grad]
    outcome = budget.call(lambda: _gradients(exercise.call(function, given), wanted))
    if outcome.late:
        return late_flaw(budget.seconds)
    if outcome.error is not None:
        return Reason(
            "graph_cut",
            "{Yours} has the right values, but its gradient cannot be computed: PyTorch says "
            f'"{_first_line(outcome.error)}". Compute it with operations of PyTorch alone.',
        )
    if any(g is None for g in outcome.result):
        return Reason(
            "graph_cut",
            "{Yours} has the right values, but no gradient flows from it to the input. Is "
            "there a `detach()`, an `item()`, a `torch.no_grad()` or a new tensor in between?",
        )
    for number, (tensor, found) in enumerate(zip(wanted, outcome.result, strict=True)):
        direction = np.random.default_rng(number).standard_normal(tuple(tensor.shape))
        expected = _slope(exercise, arguments, number, direction)
        got = float((found.detach().double().numpy() * direction).sum())
        size = float(found.detach().double().norm()) + abs(expected)
        if abs(got - expected) > max(2e-3 * size, 1e-8):
            return Reason(
                "gradient",
                "{Yours} has the right values, but a wrong gradient: part of the computation "
                "is cut off from the graph. Is there a `detach()` or a `.data` in it?",
            )
    return None


def word_on_targets(
    exercise: Exercise, function: Function, arguments: Arguments, budget: Budget
) -> str:
    """A sentence if a gradient flows into a target that requires one, which is no mistake."""
    given = copied(arguments)
    for number in exercise.targets:
        wanted = [target.requires_grad_() for target in _tensors(given[number])]
        outcome = budget.call(partial(_gradients_of_call, exercise, function, given, wanted))
        found = [] if outcome.error or outcome.late else outcome.result
        if any(g is not None and bool(g.any()) for g in found):
            name = argument_named(exercise, number)
            return (
                f"A gradient also flows into {name}, the target. If a network computes it, use "
                f"{_detached(name, arguments[number])}, or its graph is kept and a second "
                "backward() fails."
            )
        for target in wanted:
            target.requires_grad_(False)
    return ""


def _gradients_of_call(
    exercise: Exercise, function: Function, given: Arguments, wanted: list[Tensor]
) -> list[Tensor | None]:
    return _gradients(exercise.call(function, given), wanted)


def _detached(name: str, target: Any) -> str:
    if isinstance(target, Tensor):
        return f"{name}.detach()"
    return f"detach() on each of {name}"


def _first_line(error: BaseException) -> str:
    return text_of(error).strip().split("\n")[0][:160]


def _tensors(value: Any) -> list[Tensor]:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, list | tuple):
        return [tensor for entry in value for tensor in _tensors(entry)]
    return []


def _factors(leaf: Leaf, index: int) -> Values:
    """A random factor for each value of a result."""
    return np.random.default_rng(100 + index).uniform(0.5, 1.5, leaf.shape)


def _gradients(result: Any, wanted: list[Tensor]) -> list[Tensor | None]:
    results = _tensors(result)
    total = sum(
        (tensor * torch.from_numpy(_factors(leaf, index)).to(tensor.dtype)).sum()
        for index, (tensor, leaf) in enumerate(zip(results, flatten(results), strict=True))
    )
    if not isinstance(total, Tensor) or not total.requires_grad:
        return [None for _ in wanted]
    return list(torch.autograd.grad(total, wanted, allow_unused=True))


def _slope(exercise: Exercise, arguments: Arguments, number: int, direction: Values) -> float:
    """How fast the reference changes if one of the tensors moves."""

    def combined(t: float) -> float:
        moved = _moved(copied(arguments), [number], torch.from_numpy(t * direction))
        leaves = flatten(exercise.call(exercise.reference, moved))
        return sum(
            float((leaf.values * _factors(leaf, index)).sum())
            for index, leaf in enumerate(leaves)
        )

    return (combined(_STEP) - combined(-_STEP)) / (2 * _STEP)


def _moved(value: Any, countdown: list[int], by: Tensor) -> Any:
    """Arguments in float64, without gradients, one of the wanted tensors moved."""
    if isinstance(value, Tensor) and value.is_floating_point():
        wide = value.detach().double()
        if value.requires_grad:
            countdown[0] -= 1
            return wide + by if countdown[0] == -1 else wide
        return wide
    if isinstance(value, list | tuple):
        entries = [_moved(entry, countdown, by) for entry in value]
        return entries if isinstance(value, list) else tuple(entries)
    return value


def gradient(layer: Any, x: Any, *others: Any) -> Verdict:
    """Compare a layer's `backward` with central differences of its `forward`.

    Everything is computed in float64, on copies. The objective is the sum of all outputs, each
    times a random factor D, so that every wrong entry counts.

    Args:
        layer: an object with `forward(x, *others)` and `backward(D)`, D the gradient with
            respect to the output; if the output is a single number, such as a loss, with
            `backward(x, *others)`. A pair of functions (forward, backward) will do.
        x: an array or tensor, of a few hundred values at most: each needs two forward passes.
        *others: more arguments of `forward`, such as a target.

    Returns:
        A `Verdict` that says where the two differ.

    Example:
        >>> import numpy as np
        >>> from stylelib import check
        >>> squares = (lambda x: (x**2).sum(), lambda x: 2 * x)
        >>> print(check.gradient(squares, np.arange(3.0)))
        gradient: right. Your gradient agrees with central differences at all 3 values.
    """
    outcome = guarded(lambda: _compared(layer, x, others), seconds=60.0)
    if outcome.error is not None or outcome.late:
        return _failed(outcome)
    kind, found, expected = outcome.result
    if kind == "NoneType":
        return _verdict(
            "returns_nothing",
            "There is no gradient yet: your function returns nothing. End it with `return`, "
            "followed by the gradient.",
        )
    if found.shape != expected.shape:
        return _verdict(
            "shape", f"Your gradient has the shape {found.shape}, and x has {expected.shape}."
        )
    if not np.isfinite(found).all():
        return _verdict("not_finite", "Your gradient has values that are NaN or infinite.")
    if near(found, expected, 1e-5):
        said = f"Your gradient agrees with central differences at all {found.size} values."
        return Verdict(True, said, None, "gradient")
    sizes: list[dict[str, float]] = [{}]
    if reason := ask([found], [expected], sizes, 1e-5):
        return _verdict(
            reason.mistake, reason.sentence.replace("{Yours}", "Your gradient").strip()
        )
    worst, count = misfit(found, expected, 1e-5)
    return _verdict(
        "values",
        f"Your gradient differs at {count} of {found.size} values, most at {list(worst)}: "
        f"yours is {found[worst]:.4g}, and central differences give {expected[worst]:.4g}."
        + _where(found, expected),
    )


def _verdict(mistake: str, message: str) -> Verdict:
    return Verdict(False, message, mistake, "gradient")


def _failed(outcome: Outcome) -> Verdict:
    if outcome.late:
        return _verdict("too_slow", "The layer ran longer than a minute. Use a smaller x.")
    error = outcome.error
    line = f" in {outcome.line}" if outcome.line else ""
    return (
        _verdict(
            "error",
            f"The layer stopped with {type(error).__name__}{line}: {_first_line(error)}",
        )
        if error
        else _verdict("error", "The layer stopped.")
    )


def _where(found: Values, expected: Values) -> str:
    """Whether the errors are all at the border of the last two axes."""
    wrong = np.abs(found - expected) > 1e-5 * np.abs(expected).max(initial=1e-4)
    if wrong.ndim >= 2 and min(wrong.shape[-2:]) > 2 and not wrong[..., 1:-1, 1:-1].any():
        return " All of these are at the border."
    return ""


def _compared(layer: Any, x: Any, others: tuple[Any, ...]) -> tuple[str, Values, Values]:
    """What `backward` returns, its kind first, and the gradient of central differences."""
    forward: Callable[..., Any]
    backward: Callable[..., Any]
    forward, backward = layer if isinstance(layer, tuple) else (layer.forward, layer.backward)
    tensor = isinstance(x, Tensor)
    array: Values = np.array(x.detach().cpu() if tensor else x, dtype=np.float64)
    rest = tuple(_widened(copied(other)) for other in others)

    def given(values: Values) -> Any:
        return torch.from_numpy(values.copy()) if tensor else values.copy()

    def output(values: Values) -> Values:
        return flatten(forward(given(values), *rest))[0].values

    D = np.random.default_rng(0).uniform(0.5, 1.5, output(array).shape)
    scalar = D.ndim == 0
    expected = np.zeros_like(array)
    for index in np.ndindex(array.shape):
        up, down = array.copy(), array.copy()
        up[index] += _STEP
        down[index] -= _STEP
        difference = output(up) - output(down)
        expected[index] = (difference * (1.0 if scalar else D)).sum() / (2 * _STEP)
    output(array)  # a layer keeps what its last forward pass had
    result = backward(given(array), *rest) if scalar else backward(given(D))
    leaf = flatten(result)[0]
    return leaf.kind, leaf.values, expected


def _widened(value: Any) -> Any:
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.double()
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.float64)
    return value
