"""One call of a student's function, and words for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from stylelib.check.calls import Outcome
from stylelib.check.exercises import Arguments, Exercise
from stylelib.check.ratios import Reason
from stylelib.check.values import Leaf

__all__ = [
    "Trial",
    "argument_named",
    "article",
    "case_of",
    "part_named",
    "said_of",
    "several",
    "your",
]


@dataclass
class Trial:
    """One call: what the function got, what came out, and what is right."""

    arguments: Arguments
    outcome: Outcome
    expected: list[Leaf]
    yours: list[Leaf] = field(default_factory=list)
    right: bool = False
    changed: tuple[int, ...] = ()
    """The numbers of the arguments whose values are not what they were."""
    marked: tuple[int, ...] = ()
    """Those that have another gradient, requires_grad or training mode than before."""


def argument_named(exercise: Exercise, index: int) -> str:
    """The name of an argument, from the signature."""
    names = exercise.signature.partition("(")[2].rstrip(")").split(",")
    return names[index].strip() if index < len(names) else "its input"


def part_named(exercise: Exercise, path: Sequence[Any]) -> str:
    """A result, or a part of it, in words: "the Gram matrix", "the loss"."""
    if path and isinstance(path[0], int) and path[0] < len(exercise.parts):
        part = exercise.parts[path[0]]
        return part if len(path) == 1 else f"one of {part}"
    place = "".join(f"[{key!r}]" for key in path)
    return exercise.what + (f" at {place}" if place else "")


def case_of(exercise: Exercise, trials: Sequence[Trial], index: int) -> str:
    """What is special about a call: empty, or " for a batch of two images"."""
    known = len(trials) > 1 and index < len(exercise.cases)
    return f" for {exercise.cases[index]}" if known else ""


def your(what: str) -> str:
    """Name a result as the student's: "Your Gram matrix", "One of your style losses"."""
    if what.startswith("one of the "):
        return what.replace("one of the", "One of your", 1)
    return f"Your {what.removeprefix('the ').removeprefix('a ').removeprefix('an ')}"


def said_of(reason: Reason, what: str) -> Reason:
    """A reason whose sentence is about a result."""
    sentence = reason.sentence
    for one, more in _SEVERAL if several(what) else ():
        sentence = sentence.replace(one, more)
    return Reason(reason.mistake, sentence.replace("{Yours}", your(what)))


_SEVERAL = (
    ("{Yours} is", "{Yours} are"),
    ("{Yours} has", "{Yours} have"),
    ("its gradient", "their gradient"),
    ("from it to", "from them to"),
)
"""Words about one result, and about several."""


def several(what: str) -> bool:
    """Whether a result is called by a plural: "the features", but neither "the content loss"
    nor "one of the features".
    """
    head = what.partition(" at ")[0].partition(" of ")[0]
    return head.endswith("s") and not head.endswith("ss")


def article(word: str) -> str:
    """A word with "a" or "an" before it."""
    return f"{'an' if word[:1].lower() in 'aeiou' else 'a'} {word}"
