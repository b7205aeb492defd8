"""What the examinations of `stylelib.check` share: a case with its name, and how code is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import wrong_versions

from stylelib import check


@dataclass(frozen=True)
class Case(wrong_versions.Case):
    """A wrong version, and what the check calls it.

    Attributes:
        name: of the mistake; None if the version is right after all.
    """

    name: str | None


def written(code: str) -> dict[str, Any]:
    """What a reader's code defines."""
    space: dict[str, Any] = {"__name__": "student"}
    exec(compile(code, "<student>", "exec"), space)
    return space


def verdict_on(case: Case) -> check.Verdict:
    version = written(case.code)[case.exercise]
    return getattr(check, case.exercise)(version)  # type: ignore[no-any-return]
