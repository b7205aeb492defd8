"""The judge: runs a function, climbs the ladder, and names the likeliest mistake."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence

import numpy as np

from stylelib.check.calls import SECONDS, guarded
from stylelib.check.exercises import Arguments, Exercise, Function
from stylelib.check.gradients import graph_flaw, target_flaw
from stylelib.check.ladder import dtype_flaw, type_flaw
from stylelib.check.mistakes import changes_flaw, flaw_of_wrong, plain, said_of, your
from stylelib.check.pictures import pictured
from stylelib.check.ratios import Reason
from stylelib.check.stops import call_flaw
from stylelib.check.trials import Trial, case_of
from stylelib.check.values import agree, copied, flatten, marks, unchanged
from stylelib.check.verdicts import Verdict

__all__ = ["judge"]

Sizes = list[dict[str, float]]


def judge(exercise: Exercise, function: Function, *, seconds: float = SECONDS) -> Verdict:
    """Run a student's function on the inputs of an exercise, and say what is wrong with it.

    It never raises, whatever the function does (see `guarded` for what cannot be stopped).

    Args:
        exercise: what the function is to do.
        function: the student's.
        seconds: how long it may run, all calls together.
    """
    inputs = exercise.arguments()
    reason = call_flaw(exercise, function, inputs[0])
    if reason:
        return _verdict(exercise, reason)
    trials = _tried(exercise, function, inputs, seconds)
    if trials[-1].outcome.late:
        return _verdict(
            exercise,
            Reason(
                "too_slow",
                f"Your function was still running after {seconds:g} seconds"
                f"{case_of(exercise, trials, len(trials) - 1)}, so it was stopped. Is there "
                f"a loop "
                "that never ends?",
            ),
        )
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if all(trial.right for trial in trials):
            reason = _flaw_of_right(exercise, function, trials)
        else:
            reason = flaw_of_wrong(exercise, trials)
    return _verdict(exercise, reason, trials)


def _tried(
    exercise: Exercise, function: Function, inputs: Sequence[Arguments], seconds: float
) -> list[Trial]:
    """One trial for each input, up to the first that is late."""
    end, trials = time.monotonic() + seconds, []
    for arguments in inputs:
        given = copied(arguments)
        outcome = guarded(
            lambda given=given: exercise.call(function, given),  # type: ignore[misc]
            max(0.1, end - time.monotonic()),
        )
        trial = Trial(arguments, outcome, plain(exercise, exercise.reference, arguments))
        trials.append(trial)
        if outcome.late:
            break
        if outcome.error is None:
            trial.yours = flatten(outcome.result)
            trial.right = agree(trial.yours, trial.expected, exercise.tolerance)
        if not exercise.changes:
            both = list(enumerate(zip(given, arguments, strict=True)))
            trial.changed = tuple(i for i, (now, then) in both if not unchanged(now, then))
            trial.marked = tuple(i for i, (now, then) in both if marks(now) != marks(then))
    return trials


def _verdict(
    exercise: Exercise, reason: Reason | None, trials: Sequence[Trial] = ()
) -> Verdict:
    if reason is None:
        many = f"{len(trials)} inputs" if len(trials) > 1 else "an input"
        head = exercise.what.partition(" of ")[0]
        several = head.endswith("s") and not head.endswith("ss")
        agrees, its = ("agree", "their") if several else ("agrees", "its")
        also = f", and so does {its} gradient" if exercise.learns else ""
        message = (
            f"{your(exercise.what)} {agrees} with an independent computation on {many}{also}."
        )
        return Verdict(True, message, None, exercise.name)
    picture = next(
        (
            pictured(trial.yours[0].values, trial.expected[0].values, exercise.picture)
            for trial in trials
            if trial.yours and trial.yours[0].comparable and not trial.right
        ),
        "",
    )
    return Verdict(False, reason.sentence, reason.mistake, exercise.name, picture)


def _flaw_of_right(
    exercise: Exercise, function: Function, trials: Sequence[Trial]
) -> Reason | None:
    """What may be wrong although the values are right."""
    flaw = type_flaw(exercise, trials) or dtype_flaw(exercise, trials)
    if flaw:
        return flaw
    if changed := changes_flaw(exercise, trials):
        return changed
    again = guarded(lambda: exercise.call(function, copied(trials[0].arguments)))
    if again.error is not None or not agree(
        flatten(again.result), trials[0].expected, exercise.tolerance
    ):
        return Reason(
            "not_repeatable",
            "Your function is right at first, but gives something else when it is called "
            "again with "
            "the same input. Does it keep something from one call to the next?",
        )
    for trial in trials if exercise.learns else ():
        if reason := graph_flaw(exercise, function, trial.arguments):
            return said_of(reason, exercise.what)
    for trial in trials if exercise.targets else ():
        if reason := target_flaw(exercise, function, trial.arguments):
            return said_of(reason, exercise.what)
    return None
