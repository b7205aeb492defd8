"""Runs a student's file, in a process of its own: `stylelib.check.marking` starts it.

`python -m stylelib.check.worker FILE NAME ...` writes one line of JSON for each name. It is for
learning, not for examinations: a file that means to cheat runs in this process, and can.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path
from typing import Any, TextIO

from stylelib.check.calls import Outcome, guarded, text_of
from stylelib.check.tables import verdict_on

__all__ = ["MEMORY", "main"]

MEMORY = 2 * 2**30
"""Bytes that a student's file may use beside what PyTorch needs, if the system bounds it."""


def main() -> None:
    """Load the file, and answer for each of its functions."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what the file prints goes nowhere, and it reads nothing
        os.dup2(nowhere, stream)
    file, *names = sys.argv[1:]
    _bound_memory()
    namespace: dict[str, Any] = {}
    outcome = guarded(lambda: namespace.update(_loaded(Path(file))), seconds=30.0)
    if outcome.late or outcome.error is not None:
        for name in names:
            _answer(answers, name, right=False, mistake="file", message=_why(outcome))
        return
    for name in names:
        _answer(answers, name, begun=True)
        verdict = verdict_on(name, namespace.get(name))  # type: ignore[arg-type]  # None, too
        _answer(
            answers,
            name,
            right=verdict.right,
            mistake=verdict.mistake,
            message=verdict.message,
        )
    answers.flush()
    os._exit(0)  # threads that could not be stopped do not hold it up


def _answer(answers: TextIO, name: str, **said: Any) -> None:
    print(json.dumps({"name": name, **said}), file=answers, flush=True)


def _loaded(file: Path) -> dict[str, Any]:
    """The names that a file defines."""
    sys.path.insert(0, str(file.parent))
    spec = importlib.util.spec_from_file_location("student", file)
    if spec is None or spec.loader is None:
        raise ImportError(f"{file.name} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules["student"] = module
    spec.loader.exec_module(module)
    return vars(module)


def _why(outcome: Outcome) -> str:
    if outcome.late:
        return "The file was still loading after 30 seconds, so it was stopped."
    kind, text = type(outcome.error).__name__, " ".join(text_of(outcome.error).split())[:200]
    line = f" in {outcome.line}" if outcome.line else ""
    return f"The file stopped with {kind}{line}: {text}"


def _bound_memory() -> None:
    """Bound the address space, on systems that can."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    except (ImportError, OSError, ValueError):
        return  # Windows has no such limits, and macOS none that holds


if __name__ == "__main__":
    main()
