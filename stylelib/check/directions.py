"""The slope of a function along a direction: reference and likely mistakes (chapter 17)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stylelib.check.exercises import Arguments, Exercise, Wrong
from stylelib.check.inputs import Array

__all__ = ["EXERCISES"]

CASES = "one image", "a batch of two images"


@dataclass(frozen=True, eq=False)
class Cubic:
    """The sum of a x + b x^2 + c x^3 over all values."""

    a: Array
    b: Array
    c: Array

    def __call__(self, x: Array) -> float:
        """Its value."""
        return float((self.a * x + self.b * x**2 + self.c * x**3).sum())


def slope_arguments() -> list[Arguments]:
    """Two calls, (f, x, v, h): a function, two arrays (N, 3, H, W), and a large step."""
    calls: list[Arguments] = []
    for seed, shape, h, k in ((17, (1, 3, 2, 4), 0.2, 0.6), (18, (2, 3, 3, 2), 0.35, -0.6)):
        random = np.random.default_rng(seed)
        a, b, c, x, v = random.standard_normal((5, *shape))
        calls.append((Cubic(a, b, c), x, k * v, h))
    return calls


def slope(f: Cubic, x: Array, v: Array, h: float) -> float:
    """The derivative along v, plus what a step of h adds to it for a cubic."""
    derivative = f.a + 2 * f.b * x + 3 * f.c * x**2
    return float((derivative * v).sum() + h**2 * (f.c * v**3).sum())


def along(f: Cubic, x: Array, step: Array) -> float:
    """The difference of the values on both sides."""
    return f(x + step) - f(x - step)


WRONGS = (
    Wrong(
        "forward_difference",
        "You compare f(x + h v) with f(x). Go to both sides: f(x + h v) and f(x - h v), which "
        "is far more precise.",
        lambda f, x, v, h: (f(x + h * v) - f(x)) / h,
    ),
    Wrong(
        "backward_difference",
        "You compare f(x) with f(x - h v). Go to both sides: f(x + h v) and f(x - h v), which "
        "is far more precise.",
        lambda f, x, v, h: (f(x) - f(x - h * v)) / h,
    ),
    Wrong(
        "forward_difference_halved",
        "You compare f(x + h v) with f(x), and divide by 2 h. Compare it with f(x - h v).",
        lambda f, x, v, h: (f(x + h * v) - f(x)) / (2 * h),
    ),
    Wrong(
        "divided_by_one_step",
        "You divide by h. The two points are 2 h apart.",
        lambda f, x, v, h: along(f, x, h * v) / h,
    ),
    Wrong(
        "not_divided_by_the_step",
        "You divide by 2, but not by h.",
        lambda f, x, v, h: along(f, x, h * v) / 2,
    ),
    Wrong(
        "not_divided",
        "You return the difference of the two values. Divide it by 2 h.",
        lambda f, x, v, h: along(f, x, h * v),
    ),
    Wrong(
        "no_parentheses",
        "You divide by 2 and multiply by h: write parentheses, / (2 * h).",
        lambda f, x, v, h: along(f, x, h * v) / 2 * h,
    ),
    Wrong(
        "divided_by_the_square",
        "You divide by the square of h. Divide by 2 h.",
        lambda f, x, v, h: along(f, x, h * v) / (2 * h**2),
    ),
    Wrong(
        "sign",
        "Your sign is wrong: subtract f(x - h v) from f(x + h v).",
        lambda f, x, v, h: -along(f, x, h * v) / (2 * h),
    ),
    Wrong(
        "absolute_value",
        "You take the absolute value. A slope may be negative.",
        lambda f, x, v, h: abs(along(f, x, h * v)) / (2 * h),
    ),
    Wrong(
        "sum_for_difference",
        "You add the two values. Subtract them.",
        lambda f, x, v, h: (f(x + h * v) + f(x - h * v)) / (2 * h),
    ),
    Wrong(
        "step_forgotten",
        "You go as far as v. Go by h v to each side.",
        lambda f, x, v, h: along(f, x, v) / (2 * h),
    ),
    Wrong(
        "whole_step_of_one",
        "You go as far as v and divide by 2, so h has no effect. Go by h v, and divide by 2 h.",
        lambda f, x, v, h: along(f, x, v) / 2,
    ),
    Wrong(
        "twice_the_step",
        "You go by 2 h v to each side. Go by h v.",
        lambda f, x, v, h: along(f, x, 2 * h * v) / (2 * h),
    ),
    Wrong(
        "half_the_step",
        "You go by h v / 2 to each side, and the two points are then h apart. Go by h v, and "
        "divide by 2 h.",
        lambda f, x, v, h: along(f, x, h * v / 2) / h,
    ),
    Wrong(
        "half_the_step_over_two",
        "You go by h v / 2 to each side, but divide by 2 h. Go by h v.",
        lambda f, x, v, h: along(f, x, h * v / 2) / (2 * h),
    ),
    Wrong(
        "unit_direction",
        "You divide v by its length. Take it as it is.",
        lambda f, x, v, h: along(f, x, h * v / np.linalg.norm(v)) / (2 * h),
    ),
    Wrong(
        "divided_by_the_length",
        "You divide by the length of v, too. The slope along v grows with v.",
        lambda f, x, v, h: along(f, x, h * v) / (2 * h * np.linalg.norm(v)),
    ),
    Wrong(
        "direction_not_used",
        "You add h to every value and do not use v. Go by h v.",
        lambda f, x, v, h: along(f, x, np.full_like(x, h)) / (2 * h),
    ),
    Wrong(
        "signs_of_the_direction",
        "You use the signs of v only. Go by h v.",
        lambda f, x, v, h: along(f, x, h * np.sign(v)) / (2 * h),
    ),
    Wrong(
        "start_forgotten",
        "You leave out x: go by h v from there, to both sides.",
        lambda f, x, v, h: along(f, 0 * x, h * v) / (2 * h),
    ),
    Wrong(
        "averaged",
        "You divide by the number of values. The slope is a sum over all of them.",
        lambda f, x, v, h: along(f, x, h * v) / (2 * h) / x.size,
    ),
    Wrong(
        "second_difference",
        "You compute the curvature, f(x + h v) - 2 f(x) + f(x - h v). The slope is the "
        "difference of two values.",
        lambda f, x, v, h: (f(x + h * v) - 2 * f(x) + f(x - h * v)) / h**2,
    ),
    Wrong(
        "value_returned",
        "You return the value of f. Return how fast it changes along v.",
        lambda f, x, v, h: f(x),
    ),
)

EXERCISES = (
    Exercise(
        "slope_along",
        "the slope",
        "slope_along(f, x, v, h)",
        slope_arguments,
        slope,
        WRONGS,
        cases=CASES,
        returns="any",
        chapter="17-style-transfer-in-numpy",
    ),
)
