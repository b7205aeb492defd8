"""The rungs of the ladder that do not compare values: type, number, shape, dtype, NaN."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor, nn

from stylelib.check.exercises import Arguments, Exercise
from stylelib.check.ratios import Reason
from stylelib.check.trials import Trial, article, case_of, part_named, said_of
from stylelib.check.values import TOO_LARGE

__all__ = ["dtype_flaw", "finite_flaw", "layout_flaw", "shape_flaw", "type_flaw"]


def layout_flaw(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """One result for several, several for one, or another number of them."""
    for trial in trials:
        yours, expected = (
            [leaf.path for leaf in side] for side in (trial.yours, trial.expected)
        )
        if yours == expected:
            continue
        known = exercise.parts or [f"{len(expected)} results"]
        if len(expected) == 1 and not expected[0]:
            said = f"Your function returns {len(yours)} results. Return {exercise.what} alone."
        elif len(yours) == 1 and not yours[0]:
            said = f"Your function returns one result. Return {_listed(known)}."
        else:
            said = (
                f"Your function returns {len(yours)} arrays, and {len(expected)} are right: "
                f"{_listed(known)}."
            )
        return Reason("number_of_results", said)
    return None


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


_KINDS = {
    "tensor": ("a torch tensor", {"tensor"}),
    "array": ("a NumPy array", {"array", "number"}),
    "image": ("a PIL image", {"image"}),
}
_CALLED = {
    "array": "a NumPy array",
    "number": "a Python number",
    "image": "a PIL image",
    "tensor": "a torch tensor",
    "NoneType": "nothing (None)",
}


def _contains(arguments: Any, kind: Any) -> bool:
    if isinstance(arguments, list | tuple):
        return any(_contains(argument, kind) for argument in arguments)
    return isinstance(arguments, kind)


def _returns(exercise: Exercise, arguments: Arguments) -> str:
    if exercise.returns:
        return exercise.returns
    if _contains(arguments, Tensor | nn.Module):
        return "tensor"
    kinds: dict[str, Any] = {"array": np.ndarray, "tensor": Image.Image}
    return next((name for name, kind in kinds.items() if _contains(arguments, kind)), "any")


def type_flaw(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """A NumPy array for a tensor, a string, None among the results."""
    for trial in trials:
        wanted = _returns(exercise, trial.arguments)
        words, kinds = _KINDS.get(wanted, ("", set()))
        for leaf in trial.yours:
            if leaf.comparable and (not kinds or leaf.kind in kinds):
                continue
            if leaf.kind == TOO_LARGE:
                said = (
                    "{Yours} has more than a million values. Print the shape: is each position "
                    "compared with each other one?"
                )
                return said_of(Reason("too_large", said), exercise.what)
            called = _CALLED.get(leaf.kind, article(leaf.kind))
            part = part_named(exercise, leaf.path).capitalize()
            why = ", or no gradient can flow" if exercise.learns and leaf.comparable else ""
            return Reason(
                f"{leaf.kind.lower()}_for_{wanted}",
                f"{part} is {called}, and {words or 'an array'} is needed{why}.",
            )
    return None


def shape_flaw(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """Another shape than the right one."""
    for index, trial in enumerate(trials):
        for y, e in zip(trial.yours, trial.expected, strict=False):
            if y.shape != e.shape:
                case = case_of(exercise, trials, index)
                said = (
                    f"{{Yours}} has the shape {y.shape}{case}, and {e.shape} is right."
                    f"{_shape_hint(y.shape, e.shape)}"
                )
                return said_of(Reason("shape", said), part_named(exercise, e.path))
    return None


def _shape_hint(yours: tuple[int, ...], right: tuple[int, ...]) -> str:
    """What may have happened to a shape."""
    if right[:1] == (1,) and yours == right[1:]:
        return " It has no axis for the batch."
    if sorted(yours) == sorted(right):
        return " The axes are in another order. An image's size is (width, height) for PIL."
    if len(yours) == len(right) and yours[0] != right[0] and yours[1:] == right[1:]:
        return " The first axis is that of the images of a batch."
    return ""


_BITS: Callable[[str], int] = lambda dtype: int(re.sub(r"\D", "", dtype) or 64)  # noqa: E731


def dtype_flaw(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """Right values in a type that is too narrow, or not the one that is asked for."""
    for trial in trials:
        floats = [d for d in _dtypes(trial.arguments) if "float" in d]
        for y, e in zip(trial.yours, trial.expected, strict=True):
            if y.kind not in {"tensor", "array"}:
                continue
            whole = "int" in e.dtype or e.dtype == "bool"
            wanted = exercise.dtype or min(floats, key=_BITS, default="float32")
            if exercise.dtype:
                fits = y.dtype == wanted
            else:
                fits = whole or (
                    "float" in y.dtype
                    and y.dtype != "bfloat16"
                    and _BITS(y.dtype) >= _BITS(wanted)
                )
            if not fits:
                said = f"{{Yours}} has the right values in {y.dtype}; {wanted} is needed."
                return said_of(Reason("dtype", said), part_named(exercise, e.path))
    return None


def _dtypes(arguments: Any) -> list[str]:
    if isinstance(arguments, list | tuple):
        return [dtype for argument in arguments for dtype in _dtypes(argument)]
    dtype = getattr(arguments, "dtype", None)
    return [] if dtype is None else [str(dtype).removeprefix("torch.")]


def finite_flaw(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """NaN or infinite values where there are none."""
    for index, trial in enumerate(trials):
        for y, e in zip(trial.yours, trial.expected, strict=False):
            bad = ~np.isfinite(y.values)
            if bad.any() and np.isfinite(e.values).all():
                word = "NaN" if np.isnan(y.values).any() else "infinite"
                case = case_of(exercise, trials, index)
                said = (
                    f"{{Yours}} is {word} in {int(bad.sum())} of {bad.size} values{case}. Is "
                    "something divided by 0, or is memory used that was never filled, as by "
                    "`torch.empty`?"
                )
                return said_of(Reason("not_finite", said), part_named(exercise, e.path))
    return None
