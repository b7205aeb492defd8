"""One step of Adam: reference and likely mistakes (chapter 16)."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylelib.check.exercises import Arguments, Exercise, Wrong

__all__ = ["EXERCISES"]

Array = NDArray[Any]
State = tuple[Array, Array, Array]


def adam_arguments() -> list[Arguments]:
    """A fourth step and a first one: (x, gradient, m, v, t, learning_rate, beta1, beta2,
    epsilon). Epsilon is large enough to be seen.
    """
    random = np.random.default_rng(16)
    x, gradient, m = (random.standard_normal((2, 3, 5), np.float32) for _ in range(3))
    v = random.uniform(0.01, 0.5, x.shape).astype(np.float32)
    nothing = np.zeros_like(x)
    return [
        (x, gradient, m / 4, v, 4, 0.3, 0.8, 0.95, 0.05),
        (x, -2 * gradient, nothing, nothing, 1, 0.2, 0.9, 0.99, 0.01),
    ]


def step_of(
    x: Array,
    gradient: Array,
    m: Array,
    v: Array,
    t: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> State:
    """One number at a time, in float64: the next x, m and v."""
    after = [np.zeros(x.shape) for _ in range(3)]
    for i in np.ndindex(x.shape):
        g = float(gradient[i])
        mean = beta1 * float(m[i]) + (1 - beta1) * g
        square = beta2 * float(v[i]) + (1 - beta2) * g * g
        corrected, root = mean / (1 - beta1**t), (square / (1 - beta2**t)) ** 0.5
        moved = float(x[i]) - learning_rate * corrected / (root + epsilon)
        for array, value in zip(after, (moved, mean, square), strict=True):
            array[i] = value
    return after[0], after[1], after[2]


Formula = Callable[[SimpleNamespace], Any]

RIGHT: dict[str, Formula] = {
    "m": lambda a: a.b1 * a.m0 + (1 - a.b1) * a.g,
    "v": lambda a: a.b2 * a.v0 + (1 - a.b2) * a.g**2,
    "m_hat": lambda a: a.m / (1 - a.b1**a.t),
    "v_hat": lambda a: a.v / (1 - a.b2**a.t),
    "step": lambda a: a.lr * a.m_hat / (np.sqrt(a.v_hat) + a.eps),
    "x": lambda a: a.x0 - a.step,
}
"""The six lines of Adam, in their order."""


def mistaken(returned: tuple[str, ...] = ("x", "m", "v"), /, **changes: Formula) -> Any:
    """Adam with some of its lines replaced; `returned` says what it hands back."""
    lines = RIGHT | changes

    def version(
        x: Array, g: Array, m: Array, v: Array, t: int, *numbers: float
    ) -> tuple[Any, ...]:
        x0, g, m0, v0 = (array.astype(np.float64) for array in (x, g, m, v))
        lr, b1, b2, eps = numbers
        a = SimpleNamespace(x0=x0, g=g, m0=m0, v0=v0, t=t, lr=lr, b1=b1, b2=b2, eps=eps)
        with np.errstate(all="ignore"):
            for name, formula in lines.items():
                setattr(a, name, formula(a))
        return tuple(getattr(a, name) for name in returned)

    return version


WRONGS = (
    Wrong(
        "no_correction",
        "You do not correct m and v: divide them by 1 - beta1 ** t and 1 - beta2 ** t, or the "
        "first steps are too long.",
        mistaken(m_hat=lambda a: a.m, v_hat=lambda a: a.v),
    ),
    Wrong(
        "m_not_corrected",
        "You do not correct m: divide it by 1 - beta1 ** t.",
        mistaken(m_hat=lambda a: a.m),
    ),
    Wrong(
        "v_not_corrected",
        "You do not correct v: divide it by 1 - beta2 ** t.",
        mistaken(v_hat=lambda a: a.v),
    ),
    Wrong(
        "epsilon_in_root",
        "Your epsilon is inside the root: divide by sqrt(v_hat) + epsilon.",
        mistaken(step=lambda a: a.lr * a.m_hat / np.sqrt(a.v_hat + a.eps)),
    ),
    Wrong(
        "no_epsilon",
        "You leave out epsilon: divide by sqrt(v_hat) + epsilon.",
        mistaken(step=lambda a: a.lr * a.m_hat / np.sqrt(a.v_hat)),
    ),
    Wrong(
        "epsilon_before_correction",
        "You add epsilon to sqrt(v) and correct for the start afterward; add it to "
        "sqrt(v_hat).",
        mistaken(
            step=lambda a: a.lr * a.m_hat * np.sqrt(1 - a.b2**a.t) / (np.sqrt(a.v) + a.eps)
        ),
    ),
    Wrong(
        "no_root",
        "You divide by v_hat without its square root.",
        mistaken(step=lambda a: a.lr * a.m_hat / (a.v_hat + a.eps)),
    ),
    Wrong(
        "ascent",
        "You go up the loss: subtract the step from x.",
        mistaken(x=lambda a: a.x0 + a.step),
    ),
    Wrong(
        "gradient_not_squared",
        "Your v averages the gradient; it should average the gradient's square.",
        mistaken(v=lambda a: a.b2 * a.v0 + (1 - a.b2) * a.g),
    ),
    Wrong(
        "absolute_gradient",
        "Your v averages the absolute gradient; it should average the gradient's square.",
        mistaken(v=lambda a: a.b2 * a.v0 + (1 - a.b2) * np.abs(a.g)),
    ),
    Wrong(
        "m_squared",
        "Your v averages the square of m; it should average the square of the gradient.",
        mistaken(v=lambda a: a.b2 * a.v0 + (1 - a.b2) * a.m**2),
    ),
    Wrong(
        "v_squared",
        "You square all of v; only the gradient in it is squared.",
        mistaken(v=lambda a: (a.b2 * a.v0 + (1 - a.b2) * a.g) ** 2),
    ),
    Wrong(
        "centered",
        "Your v averages (gradient - m) ** 2, as in AdaBelief; Adam averages gradient ** 2.",
        mistaken(v=lambda a: a.b2 * a.v0 + (1 - a.b2) * (a.g - a.m) ** 2),
    ),
    Wrong(
        "betas_swapped",
        "You swap beta1 and beta2: beta1 is for m, beta2 for v.",
        mistaken(
            m=lambda a: a.b2 * a.m0 + (1 - a.b2) * a.g,
            v=lambda a: a.b1 * a.v0 + (1 - a.b1) * a.g**2,
            m_hat=lambda a: a.m / (1 - a.b2**a.t),
            v_hat=lambda a: a.v / (1 - a.b1**a.t),
        ),
    ),
    Wrong(
        "betas_swapped_in_correction",
        "Your corrections use the wrong beta: m is divided by 1 - beta1 ** t and v by "
        "1 - beta2 ** t.",
        mistaken(m_hat=lambda a: a.m / (1 - a.b2**a.t), v_hat=lambda a: a.v / (1 - a.b1**a.t)),
    ),
    Wrong(
        "beta1_for_v",
        "Your v uses beta1; it should use beta2.",
        mistaken(v=lambda a: a.b1 * a.v0 + (1 - a.b1) * a.g**2),
    ),
    Wrong(
        "beta1_for_both",
        "You use beta1 for v, too; v and its correction use beta2.",
        mistaken(
            v=lambda a: a.b1 * a.v0 + (1 - a.b1) * a.g**2,
            v_hat=lambda a: a.v / (1 - a.b1**a.t),
        ),
    ),
    Wrong(
        "factors_swapped",
        "Your running means keep 1 - beta of the old value and take beta of the new one; it is "
        "the other way around.",
        mistaken(
            m=lambda a: (1 - a.b1) * a.m0 + a.b1 * a.g,
            v=lambda a: (1 - a.b2) * a.v0 + a.b2 * a.g**2,
        ),
    ),
    Wrong(
        "gradient_not_weighted",
        "Your running means add the whole gradient and its whole square; multiply them by "
        "1 - beta1 and 1 - beta2.",
        mistaken(m=lambda a: a.b1 * a.m0 + a.g, v=lambda a: a.b2 * a.v0 + a.g**2),
    ),
    Wrong(
        "gradient_not_weighted_in_m",
        "Your m adds the whole gradient; multiply it by 1 - beta1.",
        mistaken(m=lambda a: a.b1 * a.m0 + a.g),
    ),
    Wrong(
        "gradient_not_weighted_in_v",
        "Your v adds the whole square of the gradient; multiply it by 1 - beta2.",
        mistaken(v=lambda a: a.b2 * a.v0 + a.g**2),
    ),
    Wrong(
        "weight_squared_in_v",
        "Your v squares the factor with the gradient: it is (1 - beta2) * gradient ** 2.",
        mistaken(v=lambda a: a.b2 * a.v0 + ((1 - a.b2) * a.g) ** 2),
    ),
    Wrong(
        "correction_one_step_late",
        "Your corrections use t - 1; in the first step t is 1.",
        mistaken(
            m_hat=lambda a: a.m / (1 - a.b1 ** (a.t - 1)) if a.t > 1 else a.m * np.nan,
            v_hat=lambda a: a.v / (1 - a.b2 ** (a.t - 1)) if a.t > 1 else a.v * np.nan,
        ),
    ),
    Wrong(
        "correction_one_step_early",
        "Your corrections use t + 1: t is already the number of this step, 1 for the first.",
        mistaken(
            m_hat=lambda a: a.m / (1 - a.b1 ** (a.t + 1)),
            v_hat=lambda a: a.v / (1 - a.b2 ** (a.t + 1)),
        ),
    ),
    Wrong(
        "correction_without_power",
        "Your corrections divide by 1 - beta; the beta is raised to the power t.",
        mistaken(m_hat=lambda a: a.m / (1 - a.b1), v_hat=lambda a: a.v / (1 - a.b2)),
    ),
    Wrong(
        "power_of_the_difference",
        "Your corrections are (1 - beta) ** t; only beta is raised to the power t: "
        "1 - beta ** t.",
        mistaken(
            m_hat=lambda a: a.m / (1 - a.b1) ** a.t, v_hat=lambda a: a.v / (1 - a.b2) ** a.t
        ),
    ),
    Wrong(
        "correction_times_t",
        "Your corrections use beta * t; it is beta ** t.",
        mistaken(
            m_hat=lambda a: a.m / (1 - a.b1 * a.t), v_hat=lambda a: a.v / (1 - a.b2 * a.t)
        ),
    ),
    Wrong(
        "correction_multiplied",
        "You multiply m and v by their corrections; divide by them.",
        mistaken(m_hat=lambda a: a.m * (1 - a.b1**a.t), v_hat=lambda a: a.v * (1 - a.b2**a.t)),
    ),
    Wrong(
        "corrected_means_kept",
        "You return the corrected means; the next step needs m and v as they were before the "
        "correction.",
        mistaken(("x", "m_hat", "v_hat")),
    ),
    Wrong(
        "old_means_returned",
        "You return the old m and v; return the new ones, or nothing is remembered.",
        mistaken(("x", "m0", "v0")),
    ),
    Wrong(
        "moved_by_old_means",
        "Your step uses the old m and v; update them with this gradient first.",
        mistaken(
            m_hat=lambda a: a.m0 / (1 - a.b1**a.t), v_hat=lambda a: a.v0 / (1 - a.b2**a.t)
        ),
    ),
    Wrong(
        "gradient_for_m",
        "Your step moves along the gradient itself; it should move along m_hat.",
        mistaken(step=lambda a: a.lr * a.g / (np.sqrt(a.v_hat) + a.eps)),
    ),
    Wrong(
        "no_learning_rate",
        "Your step leaves out the learning rate.",
        mistaken(step=lambda a: a.m_hat / (np.sqrt(a.v_hat) + a.eps)),
    ),
    Wrong(
        "no_division",
        "Your step is learning_rate * m_hat; divide it by sqrt(v_hat) + epsilon.",
        mistaken(step=lambda a: a.lr * a.m_hat),
    ),
    Wrong(
        "plain_descent",
        "Your x moves by learning_rate * gradient, which is plain gradient descent.",
        mistaken(step=lambda a: a.lr * a.g),
    ),
    Wrong(
        "epsilon_next_to_fraction",
        "Your epsilon is added to the step: it belongs into the denominator, in parentheses.",
        mistaken(step=lambda a: a.lr * a.m_hat / np.sqrt(a.v_hat) + a.eps),
    ),
    Wrong(
        "sign_only",
        "Your x moves by learning_rate times the sign of m; divide m_hat by sqrt(v_hat) + "
        "epsilon.",
        mistaken(step=lambda a: a.lr * np.sign(a.m_hat)),
    ),
    Wrong(
        "one_root_for_all",
        "You average v over all values; each value has its own.",
        mistaken(step=lambda a: a.lr * a.m_hat / (np.sqrt(a.v_hat.mean()) + a.eps)),
    ),
    Wrong(
        "step_returned",
        "You return the step; return x minus the step.",
        mistaken(("step", "m", "v")),
    ),
    Wrong(
        "x_not_moved",
        "You return the old x; return x minus the step.",
        mistaken(("x0", "m", "v")),
    ),
    Wrong(
        "returned_in_other_order",
        "You return the means before x: the order is (x, m, v).",
        mistaken(("m", "v", "x")),
    ),
    Wrong(
        "means_swapped",
        "You return v before m: the order is (x, m, v).",
        mistaken(("x", "v", "m")),
    ),
    Wrong(
        "x_alone",
        "You return x alone; return (x, m, v), because the next step needs the means.",
        lambda *arguments: step_of(*arguments)[0],
    ),
)

COMMON: dict[str, tuple[str, dict[str, Formula]]] = {
    "no_correction": (
        "You do not correct m and v.",
        {"m_hat": lambda a: a.m, "v_hat": lambda a: a.v},
    ),
    "gradient_not_weighted": (
        "Your running means lack the factors 1 - beta1 and 1 - beta2.",
        {"m": lambda a: a.b1 * a.m0 + a.g, "v": lambda a: a.b2 * a.v0 + a.g**2},
    ),
    "epsilon_in_root": (
        "Your epsilon is inside the root.",
        {"step": lambda a: a.lr * a.m_hat / np.sqrt(a.v_hat + a.eps)},
    ),
    "no_epsilon": (
        "You leave out epsilon.",
        {"step": lambda a: a.lr * a.m_hat / np.sqrt(a.v_hat)},
    ),
    "no_root": (
        "You divide by v_hat without its square root.",
        {"step": lambda a: a.lr * a.m_hat / (a.v_hat + a.eps)},
    ),
    "gradient_for_m": (
        "Your step moves along the gradient and not along m_hat.",
        {"step": lambda a: a.lr * a.g / (np.sqrt(a.v_hat) + a.eps)},
    ),
    "ascent": ("You go up the loss.", {"x": lambda a: a.x0 + a.step}),
}
"""Mistakes that are often made together."""

PAIRS = tuple(
    Wrong(f"{first}_and_{second}", f"{said} {also}", mistaken(**one, **other))
    for (first, (said, one)), (second, (also, other)) in combinations(COMMON.items(), 2)
    if not one.keys() & other.keys()
)

EXERCISES = (
    Exercise(
        "adam_step",
        "the step of Adam",
        "adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon)",
        adam_arguments,
        step_of,
        (*WRONGS, *PAIRS),
        parts=("x", "m", "v"),
        changes=True,
        cases=("a fourth step", "a first step, with m and v at 0"),
        chapter="16-losses-and-adam",
    ),
)
