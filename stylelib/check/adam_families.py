"""One step of Adam: families of mistakes (chapter 16)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from stylelib.check.adam import Formula, mistaken
from stylelib.check.exercises import Wrong

__all__ = ["WRONGS"]

FACTORS: dict[str, tuple[str, Formula]] = {
    "beta1": ("beta1", lambda a: a.b1),
    "rest1": ("(1 - beta1)", lambda a: 1 - a.b1),
    "beta2": ("beta2", lambda a: a.b2),
    "rest2": ("(1 - beta2)", lambda a: 1 - a.b2),
    "one": ("1", lambda a: 1),
    "zero": ("0", lambda a: 0),
    "half": ("1/2", lambda a: 0.5),
    "rate": ("learning_rate", lambda a: a.lr),
    "power1": ("beta1 ** t", lambda a: a.b1**a.t),
    "power2": ("beta2 ** t", lambda a: a.b2**a.t),
}
"""What the old value or the new one may be multiplied by, in words and as a formula."""

SUMMED: dict[str, tuple[str, Formula]] = {
    "g_squared": ("gradient ** 2", lambda a: a.g**2),
    "g": ("gradient", lambda a: a.g),
    "g_absolute": ("the absolute gradient", lambda a: np.abs(a.g)),
    "g_cubed": ("gradient ** 3", lambda a: a.g**3),
    "g_root": ("the root of the absolute gradient", lambda a: np.sqrt(np.abs(a.g))),
    "m_squared": ("the new m ** 2", lambda a: a.m**2),
    "old_m_squared": ("the old m ** 2", lambda a: a.m0**2),
    "m_hat_squared": ("m_hat ** 2", lambda a: (a.m / (1 - a.b1**a.t)) ** 2),
    "g_times_m": ("gradient * m", lambda a: a.g * a.m),
    "g_times_old_m": ("gradient * the old m", lambda a: a.g * a.m0),
    "minus_m": ("(gradient - m) ** 2", lambda a: (a.g - a.m) ** 2),
    "minus_old_m": ("(gradient - the old m) ** 2", lambda a: (a.g - a.m0) ** 2),
    "minus_mean": (
        "(gradient - its mean) ** 2",
        lambda a: (a.g - a.g.mean()) ** 2,
    ),
    "x_squared": ("x ** 2", lambda a: a.x0**2),
    "largest_square": ("the largest gradient ** 2", lambda a: (a.g**2).max() + 0 * a.g),
    "variance": ("the variance of the gradient", lambda a: a.g.var() + 0 * a.g),
    "square_of_mean": ("the square of the mean gradient", lambda a: a.g.mean() ** 2 + 0 * a.g),
    "length": ("the length of the gradient", lambda a: np.sqrt((a.g**2).sum()) + 0 * a.g),
    "square_of_sum": ("the square of the summed gradient", lambda a: a.g.sum() ** 2 + 0 * a.g),
}
"""What v may be an average of."""

NAMES = ("first", "second", "third")


def reduced(reduce: Callable[..., Any], axes: tuple[int, ...]) -> Formula:
    """One number of gradient ** 2 over some axes, repeated along them."""
    return lambda a: reduce(a.g**2, axis=axes, keepdims=True) + 0 * a.g


REDUCED: dict[str, tuple[str, Formula]] = {
    f"{kind}_over_{''.join(map(str, axes))}": (
        f"the {kind} of gradient ** 2 over "
        + ("the whole array" if n == 3 else f"the {' and '.join(NAMES[a] for a in axes)} axis"),
        reduced(reduce, axes),
    )
    for n in (3, 1, 2)
    for axes in itertools.combinations(range(3), n)
    for kind, reduce in (("sum", np.sum), ("mean", np.mean))
}
"""One number where each value should have its own."""


def mean_of(keep: Formula, take: Formula, of: Formula, old: Formula) -> Formula:
    """A running mean with other factors."""
    return lambda a: keep(a) * old(a) + take(a) * of(a)


IN_M: dict[str, tuple[str, Formula]] = {
    "g": ("gradient", lambda a: a.g),
    "g_squared": ("gradient ** 2", lambda a: a.g**2),
    "g_sign": ("the sign of gradient", lambda a: np.sign(a.g)),
    "g_absolute": ("the absolute gradient", lambda a: np.abs(a.g)),
    "g_normalized": (
        "gradient over its length",
        lambda a: a.g / np.sqrt((a.g**2).sum()),
    ),
    "g_mean": ("the mean gradient", lambda a: a.g.mean() + 0 * a.g),
    "g_negative": ("-gradient", lambda a: -a.g),
    "g_times_x": ("gradient * x", lambda a: a.g * a.x0),
    "x": ("x", lambda a: a.x0),
    "v": ("v", lambda a: a.v0),
}
KNOWN_M = {
    ("beta1", "rest1", "g"),
    ("rest1", "beta1", "g"),
    ("beta1", "one", "g"),
}
KNOWN_V = {
    ("beta2", "rest2", name)
    for name in ("g_squared", "g", "g_absolute", "m_squared", "minus_m")
} | {
    ("beta2", "one", "g_squared"),
    ("rest2", "beta2", "g_squared"),
    ("beta1", "rest1", "g_squared"),
}


def in_m() -> list[Wrong]:
    """Other factors or another quantity in m."""
    found = []
    for keep, take, what in itertools.product(FACTORS, FACTORS, IN_M):
        if (keep, take, what) in KNOWN_M or (
            what != "g" and (keep, take) != ("beta1", "rest1")
        ):
            continue
        (k, keeps), (t, takes), (w, of) = FACTORS[keep], FACTORS[take], IN_M[what]
        found.append(
            Wrong(
                f"m_{keep}_{take}_{what}",
                f"Your m is {k} * m + {t} * {w}; it is beta1 * m + (1 - beta1) * gradient.",
                mistaken(m=mean_of(keeps, takes, of, lambda a: a.m0)),
            )
        )
    return found


def in_v() -> list[Wrong]:
    """Other factors or another quantity in v."""
    found = []
    of_v = SUMMED | REDUCED
    for keep, take, what in itertools.product(FACTORS, FACTORS, of_v):
        usual = (keep, take) == ("beta2", "rest2")
        if (keep, take, what) in KNOWN_V or (what != "g_squared" and not usual):
            continue
        (k, keeps), (t, takes), (w, of) = FACTORS[keep], FACTORS[take], of_v[what]
        found.append(
            Wrong(
                f"v_{keep}_{take}_{what}",
                f"Your v is {k} * v + {t} * {w}; it is "
                "beta2 * v + (1 - beta2) * gradient ** 2, value by value.",
                mistaken(v=mean_of(keeps, takes, of, lambda a: a.v0)),
            )
        )
    return found


def with_powers(first: float, second: float) -> Formula:
    """The step with powers of both corrections as factors."""
    return lambda a: (
        a.lr
        * a.m
        * (1 - a.b1**a.t) ** first
        * (1 - a.b2**a.t) ** second
        / (np.sqrt(a.v) + a.eps)
    )


def in_factors() -> list[Wrong]:
    """Both corrections folded into the step's length, with wrong powers."""
    found = []
    powers = (-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
    for a, b in itertools.product(powers, powers):
        if (a, b) in {(-1.0, 0.5), (0.0, 0.0)}:
            continue
        words = " * ".join(
            f"(1 - beta{i} ** t) ** {power:g}" for i, power in ((1, a), (2, b)) if power
        )
        found.append(
            Wrong(
                f"factor_{a:g}_{b:g}",
                f"Your step has the factor {words}; both corrections are sqrt(1 - beta2 ** t) "
                "/ (1 - beta1 ** t), and epsilon belongs to sqrt(v_hat).",
                mistaken(step=with_powers(a, b)),
            )
        )
    return found


CORRECTIONS: dict[str, tuple[str, Any]] = {
    "late": ("1 - {b} ** (t - 1)", lambda b, t: 1 - b ** (t - 1) if t > 1 else np.nan),
    "early": ("1 - {b} ** (t + 1)", lambda b, t: 1 - b ** (t + 1)),
    "no_power": ("1 - {b}", lambda b, t: 1 - b),
    "of_difference": ("(1 - {b}) ** t", lambda b, t: (1 - b) ** t),
    "times_t": ("1 - {b} * t", lambda b, t: 1 - b * t),
    "over_t": ("1 - {b} / t", lambda b, t: 1 - b / t),
    "plus": ("1 + {b} ** t", lambda b, t: 1 + b**t),
    "power_alone": ("{b} ** t", lambda b, t: b**t),
    "twice": ("1 - {b} ** (2 * t)", lambda b, t: 1 - b ** (2 * t)),
    "square": ("1 - {b} ** 2", lambda b, t: 1 - b**2),
    "squared": ("(1 - {b} ** t) ** 2", lambda b, t: (1 - b**t) ** 2),
    "root": ("the root of 1 - {b} ** t", lambda b, t: np.sqrt(1 - b**t)),
    "inverse": ("1 / (1 - {b} ** t): you multiply, so divide", lambda b, t: 1 / (1 - b**t)),
    "swapped_base": ("1 - t ** {b}", lambda b, t: 1 - t**b if t > 1 else np.nan),
    "negative": ("{b} ** t - 1", lambda b, t: b**t - 1),
    "by_t": ("t", lambda b, t: t),
    "exponential": ("1 - exp(-{b} * t)", lambda b, t: 1 - np.exp(-b * t)),
}
KNOWN_CORRECTIONS = {
    (name, "m_and_v")
    for name in ("late", "early", "no_power", "of_difference", "times_t", "inverse")
}


def m_over(of: Any) -> Formula:
    """Another m_hat, of beta1 and t."""
    return lambda a: a.m / of(a.b1, a.t)


def v_over(of: Any) -> Formula:
    """Another v_hat, of beta2 and t."""
    return lambda a: a.v / of(a.b2, a.t)


def in_corrections() -> list[Wrong]:
    """A wrong correction of m, of v, or of both."""
    found = []
    for name, (words, of) in CORRECTIONS.items():
        for which in ("m", "v", "m_and_v"):
            if (name, which) in KNOWN_CORRECTIONS or (name, which) == ("negative", "v"):
                continue
            if (name, which) == ("negative", "m_and_v"):
                continue
            lines: dict[str, Formula] = {}
            if which != "v":
                lines["m_hat"] = m_over(of)
            if which != "m":
                lines["v_hat"] = v_over(of)
            beta = {"m": "beta1", "v": "beta2"}.get(which, "beta")
            said = which.replace("_", " ")
            found.append(
                Wrong(
                    f"{which}_corrected_{name}",
                    f"You divide {said} by {words.replace('{b}', beta)}; divide by "
                    f"1 - {beta} ** t.",
                    mistaken(**lines),
                )
            )
    for which, other in (("m", "beta2"), ("v", "beta1")):
        line: dict[str, Formula] = (
            {"m_hat": lambda a: a.m / (1 - a.b2**a.t)}
            if which == "m"
            else {"v_hat": lambda a: a.v / (1 - a.b1**a.t)}
        )
        found.append(
            Wrong(
                f"{which}_corrected_with_{other}",
                f"You correct {which} with {other}; m uses beta1, and v beta2.",
                mistaken(**line),
            )
        )
    return found


MOVES: dict[str, tuple[str, Formula]] = {
    "m_hat": ("m_hat", lambda a: a.m_hat),
    "m": ("m, not corrected,", lambda a: a.m),
    "g": ("the gradient", lambda a: a.g),
    "old_m": ("the old m", lambda a: a.m0),
    "old_m_hat": ("the old m, corrected,", lambda a: a.m0 / (1 - a.b1**a.t)),
    "m_squared": ("m_hat ** 2", lambda a: a.m_hat**2),
    "absolute": ("the absolute m_hat", lambda a: np.abs(a.m_hat)),
    "sign": ("the sign of m_hat", lambda a: np.sign(a.m_hat)),
    "v_hat": ("v_hat", lambda a: a.v_hat),
    "nesterov": (
        "a mixture of m_hat and the gradient, as NAdam does,",
        lambda a: a.b1 * a.m_hat + (1 - a.b1) * a.g / (1 - a.b1**a.t),
    ),
    "g_and_m": ("m_hat plus the gradient", lambda a: a.m_hat + a.g),
}
ROOTS: dict[str, tuple[str, Formula]] = {
    "root": ("sqrt(v_hat) + epsilon", lambda a: np.sqrt(a.v_hat) + a.eps),
    "root_of_v": ("sqrt(v) + epsilon", lambda a: np.sqrt(a.v) + a.eps),
    "root_of_old": (
        "the root of the old v, plus epsilon",
        lambda a: np.sqrt(a.v0 / (1 - a.b2**a.t)) + a.eps,
    ),
    "root_of_old_v": (
        "the root of the old v, not corrected, plus epsilon",
        lambda a: np.sqrt(a.v0) + a.eps,
    ),
    "v_hat": ("v_hat + epsilon", lambda a: a.v_hat + a.eps),
    "v": ("v + epsilon", lambda a: a.v + a.eps),
    "inside": ("sqrt(v_hat + epsilon)", lambda a: np.sqrt(a.v_hat + a.eps)),
    "inside_v": ("sqrt(v + epsilon)", lambda a: np.sqrt(a.v + a.eps)),
    "inside_squared": (
        "sqrt(v_hat + epsilon ** 2)",
        lambda a: np.sqrt(a.v_hat + a.eps**2),
    ),
    "both": (
        "sqrt(v_hat + epsilon) + epsilon",
        lambda a: np.sqrt(a.v_hat + a.eps) + a.eps,
    ),
    "none": ("sqrt(v_hat), without epsilon", lambda a: np.sqrt(a.v_hat)),
    "none_v": ("sqrt(v), without epsilon", lambda a: np.sqrt(a.v)),
    "minus": ("sqrt(v_hat) - epsilon", lambda a: np.sqrt(a.v_hat) - a.eps),
    "times": ("sqrt(v_hat) * epsilon", lambda a: np.sqrt(a.v_hat) * a.eps),
    "root_and_epsilon": (
        "sqrt(v_hat) + sqrt(epsilon)",
        lambda a: np.sqrt(a.v_hat) + np.sqrt(a.eps),
    ),
    "fourth": ("the fourth root of v_hat, plus epsilon", lambda a: a.v_hat**0.25 + a.eps),
    "squared": ("v_hat ** 2 + epsilon", lambda a: a.v_hat**2 + a.eps),
    "squared_sum": (
        "(sqrt(v_hat) + epsilon) ** 2",
        lambda a: (np.sqrt(a.v_hat) + a.eps) ** 2,
    ),
    "plus_one": ("sqrt(v_hat) + 1", lambda a: np.sqrt(a.v_hat) + 1),
    "length": (
        "the root of the sum of v_hat, plus epsilon",
        lambda a: np.sqrt(a.v_hat.sum()) + a.eps,
    ),
    "largest": (
        "the root of the largest v_hat, plus epsilon",
        lambda a: np.sqrt(a.v_hat.max()) + a.eps,
    ),
    "mean_of_roots": (
        "the mean of sqrt(v_hat), plus epsilon",
        lambda a: np.sqrt(a.v_hat).mean() + a.eps,
    ),
    "absolute_gradient": ("the absolute gradient + epsilon", lambda a: np.abs(a.g) + a.eps),
    "m_hat": ("the absolute m_hat + epsilon", lambda a: np.abs(a.m_hat) + a.eps),
    "deviation": (
        "sqrt(v_hat - m_hat ** 2) + epsilon",
        lambda a: np.sqrt(np.abs(a.v_hat - a.m_hat**2)) + a.eps,
    ),
}
RATES: dict[str, tuple[str, Formula]] = {
    "rate": ("learning_rate", lambda a: a.lr),
    "no_rate": ("no learning_rate", lambda a: 1.0),
    "squared_rate": ("learning_rate ** 2", lambda a: a.lr**2),
    "rate_over_t": ("learning_rate / t", lambda a: a.lr / a.t),
    "rate_over_root_t": ("learning_rate / sqrt(t)", lambda a: a.lr / np.sqrt(a.t)),
    "rate_times_t": ("learning_rate * t", lambda a: a.lr * a.t),
    "rate_times_beta": ("learning_rate * (1 - beta1)", lambda a: a.lr * (1 - a.b1)),
    "half_rate": ("learning_rate / 2", lambda a: a.lr / 2),
    "twice_rate": ("2 * learning_rate", lambda a: a.lr * 2),
    "per_size": ("learning_rate over the number of values", lambda a: a.lr / a.g.size),
    "over_rate": ("1 / learning_rate", lambda a: 1 / a.lr),
}
KNOWN_STEPS = {
    ("m_hat", "root", "rate"),
    ("m_hat", "root", "no_rate"),
    ("g", "root", "rate"),
    ("sign", "none", "rate"),
    ("m_hat", "root_of_v", "rate"),
    ("m", "root", "rate"),
    ("m", "root_of_v", "rate"),
    ("old_m_hat", "root_of_old", "rate"),
    *(("m_hat", name, "rate") for name in ("v_hat", "inside", "none")),
}


def step_of(move: Formula, root: Formula, rate: Formula) -> Formula:
    """A step of these three."""
    return lambda a: rate(a) * move(a) / root(a)


def in_steps() -> list[Wrong]:
    """Another numerator, denominator or rate; two of them at most are wrong."""
    found = []
    for move, root, rate in itertools.product(MOVES, ROOTS, RATES):
        wrong = (move != "m_hat") + (root != "root") + (rate != "rate")
        if (move, root, rate) in KNOWN_STEPS or wrong > 2 or (wrong == 2 and rate != "rate"):
            continue
        (m, moves), (r, roots), (lr, rates) = MOVES[move], ROOTS[root], RATES[rate]
        numerator = m if rate == "rate" else f"{lr} * {m}" if rate != "no_rate" else m
        if wrong == 2 and (move in {"m_squared", "absolute", "g_and_m"} or "plus" in root):
            continue
        found.append(
            Wrong(
                f"step_{move}_{root}_{rate}",
                f"Your step divides {numerator} by {r}; it is "
                "learning_rate * m_hat / (sqrt(v_hat) + epsilon).",
                mistaken(step=step_of(moves, roots, rates)),
            )
        )
    return found


ENDS = (
    Wrong(
        "x_scaled",
        "You multiply x by 1 - step; subtract the step from x.",
        mistaken(x=lambda a: a.x0 * (1 - a.step)),
    ),
    Wrong(
        "x_decayed",
        "Your x also decays by learning_rate * x, as in AdamW; Adam has no weight decay here.",
        mistaken(x=lambda a: a.x0 - a.step - a.lr * a.x0),
    ),
    Wrong(
        "momentum_alone",
        "Your x moves by learning_rate * m, which is momentum alone; correct m, and divide by "
        "sqrt(v_hat) + epsilon.",
        mistaken(step=lambda a: a.lr * a.m),
    ),
    Wrong(
        "moved_twice",
        "You subtract the step twice.",
        mistaken(x=lambda a: a.x0 - 2 * a.step),
    ),
    Wrong(
        "x_clamped",
        "You clamp x to values from 0 to 1; return it as it is.",
        mistaken(x=lambda a: np.clip(a.x0 - a.step, 0, 1)),
    ),
    Wrong(
        "largest_v_kept",
        "Your step uses the larger of the old and the new v, as AMSGrad does.",
        mistaken(v_hat=lambda a: np.maximum(a.v, a.v0) / (1 - a.b2**a.t)),
    ),
    Wrong(
        "m_of_v_last",
        "You return the old m; return the new one, or nothing is remembered.",
        mistaken(("x", "m0", "v")),
    ),
    Wrong(
        "v_of_old",
        "You return the old v; return the new one, or nothing is remembered.",
        mistaken(("x", "m", "v0")),
    ),
    Wrong(
        "m_hat_kept",
        "You return the corrected m; the next step needs m as it was before the correction.",
        mistaken(("x", "m_hat", "v")),
    ),
    Wrong(
        "v_hat_kept",
        "You return the corrected v; the next step needs v as it was before the correction.",
        mistaken(("x", "m", "v_hat")),
    ),
    Wrong(
        "root_kept",
        "You return the root of v; the next step needs v itself.",
        mistaken(("x", "m", "root"), root=lambda a: np.sqrt(a.v)),
    ),
    Wrong(
        "averaged_twice",
        "You update m twice with this gradient.",
        mistaken(m=lambda a: a.b1 * (a.b1 * a.m0 + (1 - a.b1) * a.g) + (1 - a.b1) * a.g),
    ),
    Wrong(
        "v_averaged_twice",
        "You update v twice with this gradient.",
        mistaken(v=lambda a: a.b2 * (a.b2 * a.v0 + (1 - a.b2) * a.g**2) + (1 - a.b2) * a.g**2),
    ),
    Wrong(
        "m_in_gradient",
        "Your m multiplies the sum by the factors: beta1 * (m + (1 - beta1) * gradient).",
        mistaken(m=lambda a: a.b1 * (a.m0 + (1 - a.b1) * a.g)),
    ),
)

WRONGS = (*ENDS, *in_v(), *in_m(), *in_corrections(), *in_factors(), *in_steps())
