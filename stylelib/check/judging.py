"""The judge: runs a function, climbs the ladder, and names the likeliest mistake."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import partial

import numpy as np

from stylelib.check.calls import SECONDS, Budget
from stylelib.check.exercises import Arguments, Exercise, Function
from stylelib.check.gradients import graph_flaw, word_on_targets
from stylelib.check.ladder import dtype_flaw, type_flaw
from stylelib.check.mistakes import changes_flaw, flaw_of_wrong, plain
from stylelib.check.pictures import pictured
from stylelib.check.ratios import Reason
from stylelib.check.stops import call_flaw, late_flaw
from stylelib.check.trials import Trial, case_of, said_of, several, your
from stylelib.check.values import Leaf, agree, copied, flatten, marks, unchanged
from stylelib.check.verdicts import Verdict

__all__ = ["judge"]


def judge(exercise: Exercise, function: Function, *, seconds: float = SECONDS) -> Verdict:
    """Run a student's function on the inputs of an exercise, and say what is wrong with it.

    It never raises, whatever the function does (see `guarded` for what cannot be stopped).

    Args:
        exercise: what the function is to do.
        function: the student's.
        seconds: how long it may run, all calls together.
    """
    budget, inputs = Budget(seconds), exercise.arguments()
    asked = budget.call(lambda: call_flaw(exercise, function, inputs[0]))
    if asked.late:
        return _refused(exercise, late_flaw(seconds))
    if asked.result:
        return _refused(exercise, asked.result)
    trials = _tried(exercise, function, inputs, budget)
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if trials[-1].outcome.late:
            reason = late_flaw(seconds, case_of(exercise, trials, len(trials) - 1))
        elif all(trial.right for trial in trials):
            flaw = _flaw_of_right(exercise, function, trials, budget)
            if flaw is None:
                return _accepted(exercise, function, trials, budget)
            reason = flaw
        else:
            reason = flaw_of_wrong(exercise, trials)
    return _refused(exercise, reason, trials)


def _tried(
    exercise: Exercise, function: Function, inputs: Sequence[Arguments], budget: Budget
) -> list[Trial]:
    """One trial for each input, up to the first that is late."""
    trials = []
    for arguments in inputs:
        outcome = budget.call(partial(_called, exercise, function, arguments))
        trial = Trial(arguments, outcome, plain(exercise, exercise.reference, arguments))
        trials.append(trial)
        if outcome.late:
            break
        if outcome.error is None:
            trial.yours, trial.changed, trial.marked = outcome.result
            trial.right = agree(trial.yours, trial.expected, exercise.tolerance)
    return trials


Called = tuple[list[Leaf], tuple[int, ...], tuple[int, ...]]


def _called(exercise: Exercise, function: Function, arguments: Arguments) -> Called:
    """What comes out of copies of arguments, and which of these are then changed or marked."""
    given = copied(arguments)
    leaves = flatten(exercise.call(function, given))
    if exercise.changes:
        return leaves, (), ()
    both = list(enumerate(zip(given, arguments, strict=True)))
    changed = tuple(i for i, (now, then) in both if not unchanged(now, then))
    marked = tuple(i for i, (now, then) in both if marks(now) != marks(then))
    return leaves, changed, marked


def _refused(exercise: Exercise, reason: Reason, trials: Sequence[Trial] = ()) -> Verdict:
    picture = next(
        (
            pictured(trial.yours[0].values, trial.expected[0].values, exercise.picture)
            for trial in trials
            if trial.yours and trial.yours[0].comparable and not trial.right
        ),
        "",
    )
    return Verdict(False, reason.sentence, reason.mistake, exercise.name, picture)


def _accepted(
    exercise: Exercise, function: Function, trials: Sequence[Trial], budget: Budget
) -> Verdict:
    agrees, its = ("agree", "their") if several(exercise.what) else ("agrees", "its")
    many = f"{len(trials)} inputs" if len(trials) > 1 else "an input"
    also = f", and so does {its} gradient" if exercise.learns else ""
    said = f"{your(exercise.what)} {agrees} with an independent computation on {many}{also}."
    words = (
        word_on_targets(exercise, function, trial.arguments, budget)
        for trial in (trials if exercise.targets else ())
    )
    word = next(filter(None, words), "")
    return Verdict(True, f"{said} {word}".strip(), None, exercise.name)


def _flaw_of_right(
    exercise: Exercise, function: Function, trials: Sequence[Trial], budget: Budget
) -> Reason | None:
    """What may be wrong although the values are right."""
    flaw = type_flaw(exercise, trials) or dtype_flaw(exercise, trials)
    if flaw := flaw or changes_flaw(exercise, trials):
        return flaw
    first = trials[0]
    again = budget.call(lambda: flatten(exercise.call(function, copied(first.arguments))))
    if again.late:
        return late_flaw(budget.seconds)
    if again.error is not None or not agree(again.result, first.expected, exercise.tolerance):
        return Reason(
            "not_repeatable",
            "Your function is right at first, but gives something else when it is called again "
            "with the same input. Does it keep something from one call to the next?",
        )
    for trial in trials if exercise.learns else ():
        if flaw := graph_flaw(exercise, function, trial.arguments, budget):
            return said_of(flaw, exercise.what)
    return None
