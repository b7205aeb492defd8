"""Two mistakes at once: wrong versions of a function that is built of parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from itertools import combinations
from typing import Any

from stylelib.check.exercises import Wrong

__all__ = ["pairs_of"]


def pairs_of(built: Any, wrongs: Iterable[Wrong]) -> tuple[Wrong, ...]:
    """All wrong versions that have two of some known mistakes.

    Args:
        built: the right version, an instance of a frozen dataclass that can be called. Its
            fields are the parts that may be wrong.
        wrongs: versions with one mistake. Those that are `replace(built, ...)` are combined,
            where they replace different parts.
    """
    known = [
        (wrong, changes) for wrong in wrongs if (changes := _changes(built, wrong.version))
    ]
    return tuple(
        Wrong(
            f"{first.name}_and_{second.name}",
            f"{first.sentence} There is a second mistake, too. {second.sentence}",
            replace(built, **changes, **others),
        )
        for (first, changes), (second, others) in combinations(known, 2)
        if not changes.keys() & others.keys()
    )


def _changes(built: Any, version: Any) -> dict[str, Any]:
    """The parts of a version that are not those of the right one."""
    if type(version) is not type(built) or not is_dataclass(version):
        return {}
    both = ((f.name, getattr(built, f.name), getattr(version, f.name)) for f in fields(version))
    return {name: now for name, was, now in both if now != was}
