"""The likeliest mistake of a function whose values are wrong."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from stylelib.check.calls import Outcome, text_of
from stylelib.check.exercises import Arguments, Exercise, Function, Wrong
from stylelib.check.ladder import finite_flaw, layout_flaw, shape_flaw, type_flaw
from stylelib.check.places import place_flaw
from stylelib.check.probes import ask, ask_shapes
from stylelib.check.ratios import Reason, sizes_of
from stylelib.check.stops import error_flaw
from stylelib.check.trials import Trial, argument_named, part_named, said_of, your
from stylelib.check.values import Leaf, Values, agree, copied, flatten, misfit, near

__all__ = ["changes_flaw", "flaw_of_wrong", "plain"]


def plain(exercise: Exercise, version: Function, arguments: Arguments) -> list[Leaf]:
    """What the reference or a wrong version gives for copies of arguments."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return flatten(exercise.call(version, copied(arguments)))


def changes_flaw(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """Refuse what changes its arguments in place."""
    for trial in trials:
        if trial.changed:
            name = argument_named(exercise, trial.changed[0])
            return Reason(
                "changes_its_input",
                f"Your function changes {name} in place. The caller still needs {name} as it "
                "was. Compute a new array instead.",
            )
        if trial.marked:
            name = argument_named(exercise, trial.marked[0])
            return Reason(
                "side_effect",
                f"Your function has a side effect on {name}: afterward {name} has a gradient, "
                "or another requires_grad or training mode than before. A second call would "
                f"add its gradient to the first. Work on {name}.detach().clone(), or use "
                "torch.autograd.grad, which leaves nothing behind.",
            )
    return None


def flaw_of_wrong(exercise: Exercise, trials: Sequence[Trial]) -> Reason:
    """The likeliest mistake of a function that is not right."""
    versions = [(wrong, _outcomes(exercise, wrong, trials)) for wrong in exercise.wrongs]
    for wrong, outcomes in versions:
        if _same(trials, outcomes, exercise.tolerance):
            return Reason(wrong.name, wrong.sentence)
    for other in (*exercise.rarer, *exercise.pairs):
        if _fits(exercise, other, trials):
            return Reason(other.name, other.sentence)
    if reason := error_flaw(exercise, trials):
        return reason
    if all([(leaf.path, leaf.kind) for leaf in t.yours] == [((), "NoneType")] for t in trials):
        return Reason(
            "returns_nothing",
            "Your function returns nothing. End it with `return`, followed by the result.",
        )
    return (
        _mistake_but_not_finite(exercise, trials, versions)
        or _part_like_a_mistake(exercise, trials, versions)
        or _probed_layout(exercise, trials)
        or _probed(exercise, trials, versions)
        or _placed(exercise, trials)
        or type_flaw(exercise, trials)
        or layout_flaw(exercise, trials)
        or shape_flaw(exercise, trials)
        or finite_flaw(exercise, trials)
        or changes_flaw(exercise, trials)
        or _difference(exercise, trials)
    )


def _outcomes(
    exercise: Exercise, wrong: Wrong, trials: Sequence[Trial]
) -> list[list[Leaf] | Exception]:
    """What a wrong version gives for each trial: arrays, or an error."""
    found: list[list[Leaf] | Exception] = []
    for trial in trials:
        try:
            found.append(plain(exercise, wrong.version, trial.arguments))
        except Exception as error:
            found.append(error)
    return found


def _fits(exercise: Exercise, wrong: Wrong, trials: Sequence[Trial]) -> bool:
    """Whether a wrong version gives what came out. It stops at the first call that differs."""
    for trial in (trial for trial in trials if trial.outcome.error is None):
        if not _same([trial], _outcomes(exercise, wrong, [trial]), exercise.tolerance):
            return False
    return _same(trials, _outcomes(exercise, wrong, trials), exercise.tolerance)


def _same(
    trials: Sequence[Trial], outcomes: Sequence[list[Leaf] | Exception], tolerance: float
) -> bool:
    """Whether all trials end as a wrong version does. Errors alone need the same words."""
    some = any(trial.outcome.error is None for trial in trials)
    return all(
        _same_error(trial.outcome, outcome, exactly=not some)
        if isinstance(outcome, Exception) or trial.outcome.error is not None
        else agree(trial.yours, outcome, tolerance)
        for trial, outcome in zip(trials, outcomes, strict=True)
    )


def _same_error(outcome: Outcome, error: Any, *, exactly: bool) -> bool:
    return type(outcome.error) is type(error) and (
        not exactly or text_of(outcome.error) == str(error)
    )


def _mistake_but_not_finite(
    exercise: Exercise,
    trials: Sequence[Trial],
    versions: Sequence[tuple[Wrong, list[list[Leaf] | Exception]]],
) -> Reason | None:
    """A wrong version, but for calls of which nothing is left but NaN or infinite values."""
    left = [
        i for i, t in enumerate(trials) if any(np.isfinite(y.values).any() for y in t.yours)
    ]
    if len(left) == len(trials) or all(trials[i].right for i in left):
        return None
    some = [trials[i] for i in left]
    for wrong, outcomes in versions:
        if _same(some, [outcomes[i] for i in left], exercise.tolerance):
            return Reason(wrong.name, wrong.sentence)
    return None


Column = tuple[list[Values], list[Values]]


def _columns(trials: Sequence[Trial]) -> dict[tuple[Any, ...], Column]:
    """For each part of the result: your values and the right ones, call by call."""
    columns: dict[tuple[Any, ...], Column] = {}
    for trial in trials:
        right = {leaf.path: leaf for leaf in trial.expected}
        for leaf in trial.yours:
            if leaf.comparable and leaf.path in right:
                yours, expected = columns.setdefault(leaf.path, ([], []))
                yours.append(leaf.values)
                expected.append(right[leaf.path].values)
    return columns


def _wrong_columns(
    exercise: Exercise, trials: Sequence[Trial]
) -> dict[tuple[Any, ...], Column]:
    return {
        path: (yours, expected)
        for path, (yours, expected) in _columns(trials).items()
        if not _near_all(yours, expected, exercise.tolerance)
    }


def _near_all(yours: Sequence[Values], expected: Sequence[Values], tolerance: float) -> bool:
    return len(yours) == len(expected) and all(
        near(y, e, tolerance) for y, e in zip(yours, expected, strict=True)
    )


def _column_of(
    outcomes: Sequence[list[Leaf] | Exception], path: tuple[Any, ...]
) -> list[Values] | None:
    """The values of a wrong version at one position of the result, for all calls or none."""
    found = []
    for outcome in outcomes:
        leaves = [] if isinstance(outcome, Exception) else outcome
        found += [leaf.values for leaf in leaves if leaf.path == path and leaf.comparable]
    return found if len(found) == len(outcomes) else None


def _part_like_a_mistake(
    exercise: Exercise,
    trials: Sequence[Trial],
    versions: Sequence[tuple[Wrong, list[list[Leaf] | Exception]]],
) -> Reason | None:
    """A wrong part of a result equals that of a wrong version: there are several mistakes. Of
    the versions that have such a part, the one that has most parts of yours is named.
    """
    parts, wrong_parts = _columns(trials), _wrong_columns(exercise, trials)
    if len(trials[0].expected) == 1:
        return None
    found: list[tuple[int, Wrong]] = []
    for wrong, outcomes in versions:
        columns = {path: _column_of(outcomes, path) for path in parts}
        equal = [
            path
            for path, values in columns.items()
            if values and _near_all(parts[path][0], values, exercise.tolerance)
        ]
        if any(path in wrong_parts for path in equal):
            found.append((len(equal), wrong))
    if not found:
        return None
    _, wrong = max(found, key=lambda pair: pair[0])
    return Reason(wrong.name, wrong.sentence)


def _probed_layout(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """The right arrays, but only one of them, or in another order, or among others."""
    first = next(trial for trial in trials if not trial.right)
    yours, right = first.yours, first.expected
    if [a.path for a in yours] == [b.path for b in right] and len(right) == 1:
        return None
    fits = [
        [a.comparable and near(a.values, b.values, exercise.tolerance) for b in right]
        for a in yours
    ]
    if len(yours) == 1 and any(fits[0]) and len(right) > 1:
        part = part_named(exercise, right[fits[0].index(True)].path)
        return Reason(
            "one_part_only", f"Your function returns only {part}. It must return more."
        )
    if len(right) == 1 and len(yours) == 1 and fits[0][0]:
        return Reason("in_a_list", f"{your(exercise.what)} is right, but inside of a list.")
    if len(right) == 1 and any(row[0] for row in fits):
        return Reason(
            "too_many_results",
            f"Your function must return {exercise.what} alone, nothing else.",
        )
    if len(yours) == len(right) > 1 and all(map(any, fits)):
        return Reason(
            "order_of_results",
            "Your function returns the right values in another order or nesting.",
        )
    return None


def _probed(
    exercise: Exercise,
    trials: Sequence[Trial],
    versions: Sequence[tuple[Wrong, list[list[Leaf] | Exception]]],
) -> Reason | None:
    """What was done to the right values, or to those of a wrong version, part by part."""
    sizes = [sizes_of(trial.arguments) for trial in trials]
    for path, (yours, expected) in _wrong_columns(exercise, trials).items():
        part = part_named(exercise, path)
        if len(yours) != len(trials):
            continue
        reason = ask_shapes(yours, expected, exercise.tolerance) or ask(
            yours, expected, sizes, exercise.tolerance
        )
        if reason:
            return said_of(reason, part)
        for wrong, outcomes in versions:
            values = _column_of(outcomes, path)
            reason = ask(yours, values, sizes, exercise.tolerance) if values else None
            if reason:
                return _besides(wrong, reason, part)
    return None


def _placed(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """Where the first wrong part of the result is wrong."""
    for path, (yours, expected) in _wrong_columns(exercise, trials).items():
        reason = place_flaw(yours, expected, exercise.tolerance)
        if reason and len(yours) == len(trials):
            return said_of(reason, part_named(exercise, path))
    return None


def _besides(wrong: Wrong, reason: Reason, part: str) -> Reason:
    """A known mistake, and something else that was done to its result."""
    yours = your(part)
    second = reason.sentence.replace("{Yours}", yours[0].lower() + yours[1:])
    return Reason(
        f"{wrong.name}_and_{reason.mistake}",
        f"{wrong.sentence} There is a second mistake, too: with the first one corrected, "
        f"{second}",
    )


def _difference(exercise: Exercise, trials: Sequence[Trial]) -> Reason:
    """Where the values differ, if there is nothing better to say."""
    wrong = [index for index, trial in enumerate(trials) if not trial.right]
    path, (yours, expected) = next(iter(_wrong_columns(exercise, trials).items()))
    which = next(i for i, e in enumerate(expected) if not near(yours[i], e, exercise.tolerance))
    y, e = yours[which], expected[which]
    worst, count = misfit(y, e, exercise.tolerance)
    part = your(part_named(exercise, path))
    here, there = f"{y[worst]:.4g}", f"{e[worst]:.4g}"
    if e.ndim:
        said = (
            f"{part} differs at {count} of {e.size} values, most at {list(worst)}: yours is "
            f"{here}, and {there} is right."
        )
    else:
        said = f"{part} is {here}, and {there} is right."
    if len(wrong) < len(trials) and wrong[0] < len(exercise.cases):
        fine = next(i for i, trial in enumerate(trials) if trial.right)
        said = (
            f"Your function is right for {exercise.cases[fine]}, but not for "
            f"{exercise.cases[wrong[0]]}. {said}"
        )
        return Reason("some_inputs_only", said)
    return Reason("values", said)
