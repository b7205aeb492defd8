"""All exercises by name."""

from __future__ import annotations

from stylelib.check import beyond, control, layers, main_line, relatives, sees
from stylelib.check.exercises import Exercise, Function
from stylelib.check.judging import judge
from stylelib.check.verdicts import Verdict

__all__ = ["EXERCISES", "verdict_on"]

EXERCISES: dict[str, Exercise] = {
    exercise.name: exercise
    for table in (main_line, relatives, layers, sees, beyond, control)
    for exercise in table.EXERCISES
}
"""The exercises, in the order of the chapters."""


def verdict_on(name: str, function: Function) -> Verdict:
    """The verdict on a function for the exercise of this name."""
    return judge(EXERCISES[name], function)
