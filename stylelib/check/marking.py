"""Marking a student's file: `python -m stylelib check FILE`.

The file is read here, but never imported: `stylelib.check.worker` runs it in a process of its
own, with a bound on its time and, on Linux, on its memory.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import os
import queue
import secrets
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from stylelib.check.tables import EXERCISES
from stylelib.check.verdicts import Verdict
from stylelib.errors import FileError

__all__ = ["as_json", "mark", "table"]

SECONDS = 60.0
"""How long the worker may be silent: it loads PyTorch and the file, or runs one check."""
LONGEST = 100_000
"""The most characters of a line that are read at once: it may have no end."""
TOKEN = "STYLELIB_MARKING"
"""The environment variable by which all that a worker has started is found."""


def mark(file: str | os.PathLike[str], *, seconds: float = SECONDS) -> list[Verdict]:
    """The verdicts on all functions of a file that an exercise asks for, in the book's order.

    Args:
        file: Python source. It is run in another process, which ends when a check takes too
            long; a function that ends its process is marked wrong, and the others go on.
        seconds: how long one check may take, loading included.

    Raises:
        FileError: the file cannot be read, is not Python, or defines no such function.
    """
    path = Path(file).resolve()
    names = [name for name in EXERCISES if name in _defined(path)]
    if not names:
        some = ", ".join(list(EXERCISES)[:5])
        raise FileError(f"'{path.name}' defines no function of an exercise, such as {some}")
    verdicts: dict[str, Verdict] = {}
    while waiting := [name for name in names if name not in verdicts]:
        verdicts.update(_worked(path, waiting, seconds))
    return [verdicts[name] for name in names]


def table(verdicts: Iterable[Verdict]) -> str:
    """Verdicts as a table for a terminal, 96 columns wide."""
    listed = list(verdicts)
    wide = max(len(verdict.exercise) for verdict in listed)
    rows = []
    for verdict in listed:
        head = f"{verdict.exercise:<{wide}}  {'right' if verdict.right else 'wrong'}  "
        lines = textwrap.wrap(verdict.message, 96 - len(head))
        rows += [f"{' ' * len(head) if i else head}{line}" for i, line in enumerate(lines)]
    count = sum(verdict.right for verdict in listed)
    return "\n".join([*rows, f"{count} of {len(listed)} right"])


def as_json(verdicts: Iterable[Verdict]) -> str:
    """Verdicts for a program: how many are right, and a name, mistake and message for each."""
    listed = list(verdicts)
    functions = [
        {
            "name": verdict.exercise,
            "right": verdict.right,
            "mistake": verdict.mistake,
            "message": verdict.message,
        }
        for verdict in listed
    ]
    count = sum(verdict.right for verdict in listed)
    return json.dumps({"right": count, "of": len(listed), "functions": functions}, indent=2)


def _defined(path: Path) -> set[str]:
    """The names that are bound at the top of a file."""
    try:
        source = path.read_bytes()
    except OSError as error:
        raise FileError(f"cannot read '{path}': {error.strerror}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise FileError(f"'{path.name}' is not Python: {error}") from None
    return set(_bound(tree))


_OWN_SCOPE = ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp


def _bound(tree: ast.AST) -> Iterator[str]:
    """Names that are defined, assigned or imported, but for what is imported from stylelib. A
    stack holds the nodes, since a long sum is nested more deeply than calls may be.
    """
    nodes = [tree]
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif not isinstance(node, _OWN_SCOPE) and not _ours(node):
            nodes += ast.iter_child_nodes(node)


def _ours(node: ast.AST) -> bool:
    module = node.module if isinstance(node, ast.ImportFrom) else None
    return (module or "").partition(".")[0] == "stylelib"


def _started(path: Path, names: list[str], token: str) -> subprocess.Popen[str]:
    """A worker, in a session of its own, with a token in its environment."""
    package = str(Path(__file__).resolve().parents[2])
    paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "stylelib.check.worker", str(path), *names],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=path.parent,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), TOKEN: token},
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )


def _worked(path: Path, names: list[str], seconds: float) -> dict[str, Verdict]:
    """What one worker says, up to its end. If it breaks off, the name it was at is wrong."""
    token = secrets.token_hex(16)
    process = _started(path, names, token)
    verdicts: dict[str, Verdict] = {}
    at, why = names[0], "Your function ends the whole process, or needs too much memory."
    over, begun, end = threading.Event(), set[str](), time.monotonic() + seconds
    lines = _lines(process.stdout, over)
    try:
        while len(verdicts) < len(names):
            left = end - time.monotonic()
            try:
                line = lines.get(timeout=max(0.0, left))
            except queue.Empty:
                line = ""
            if left <= 0 or line == "":
                why = f"There was no answer within {seconds:g} seconds, so it was stopped."
                break
            if line is None:
                break
            name, verdict = _read(line, names)
            if verdict is not None and name not in verdicts:
                verdicts[name] = verdict
            elif name and name not in begun:
                begun.add(name)
                at = name
            else:
                continue
            end = time.monotonic() + seconds
    finally:
        over.set()
        _end(process, token)
    if len(verdicts) < len(names):
        verdicts.setdefault(at, Verdict(False, why, "stopped", at))
    return verdicts


def _read(line: str, names: list[str]) -> tuple[str, Verdict | None]:
    """The name that a line is about, and the verdict if it is one; else no name."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return "", None
    name = said.get("name") if isinstance(said, dict) else None
    if name not in names:
        return "", None
    right, message, mistake = (said.get(key) for key in ("right", "message", "mistake"))
    if not (isinstance(right, bool) and isinstance(message, str)):
        return (name if said.get("begun") is True else ""), None
    if not isinstance(mistake, str | None):
        return "", None
    return name, Verdict(right, message, mistake, name)


def _lines(stream: IO[str] | None, over: threading.Event) -> queue.Queue[str | None]:
    """The lines of a stream as they come, then None.

    They are read in a thread, which also closes the stream, at its end or at the next line
    after all is `over`: a process that the student's file has started may keep it open.
    """
    lines: queue.Queue[str | None] = queue.Queue(maxsize=100)

    def put(line: str | None) -> None:
        while not over.is_set():
            with contextlib.suppress(queue.Full):
                lines.put(line, timeout=0.5)
                return

    def read() -> None:
        with stream or io.StringIO() as each:
            while not over.is_set() and (line := each.readline(LONGEST)):
                put(line)
        put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def _end(process: subprocess.Popen[str], token: str) -> None:
    """End a worker, and what it has started; what has left its session, on Linux alone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
    for _ in range(10):  # it may start others meanwhile
        if not (found := _left_behind(token)):
            break
        for number in found:
            with contextlib.suppress(OSError):
                os.kill(number, signal.SIGKILL)


def _left_behind(token: str) -> list[int]:
    """The processes that have the token in their environment, as Linux tells it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):  # it is not ours, or has ended
            if token.encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found
