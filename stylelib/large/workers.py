"""Processes of this machine that do the tasks of a batch (chapter 31).

A task whose worker has died is given to another one. If that dies too, the task is given up,
for it may be what kills them. `stylelib.large.clusters` does the same with Ray.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

import torch

from stylelib.devices import cores
from stylelib.large.painter import Failed, Made, Task
from stylelib.large.room import available

__all__ = ["AHEAD", "TRIES", "Engine", "Processes", "ahead"]

TRIES = 2
"""So many workers may die over one task."""
GRACE = 10.0
"""The seconds that a worker has to write its checkpoint when the batch is stopped."""
AHEAD = 2
"""So many tasks for each worker are read ahead."""


class Engine(Protocol):
    """Does tasks, several at once."""

    def run(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Made | Failed]]:
        """Do tasks, each with its number; the answers come as they are ready."""


class DiedError(Exception):
    """A worker has ended before its answer."""


class Worker:
    """One process with a painter. It starts with its first task.

    What it says at the standard error is kept, for when it dies.
    """

    def __init__(self, threads: int) -> None:
        package = str(Path(__file__).resolve().parents[2])
        paths = [package, *filter(None, [os.environ.get("PYTHONPATH")])]
        self.said = tempfile.TemporaryFile()  # noqa: SIM115  # until `end`
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from stylelib.large.painter import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
            env=os.environ
            | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": str(threads)},
            start_new_session=True,  # Ctrl-C is not for it
        )

    def ask(self, task: bytes) -> Made | Failed:
        """Have a task done, which comes pickled.

        Raises:
            DiedError: the process has ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        try:
            self.process.stdin.write(task)
            self.process.stdin.flush()
            found: Made | Failed = pickle.load(self.process.stdout)
        except (EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=5)
            said = self.last_words()
            self.end()
            raise DiedError(_how_ended(self.process.returncode, said)) from error
        return found

    def last_words(self) -> str:
        """The last line that it has written at the standard error."""
        self.said.seek(0)
        lines = self.said.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "")

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout, self.said):
            if stream is not None:
                with contextlib.suppress(OSError):  # what was to be sent has nowhere to go
                    stream.close()


class Processes:
    """Processes of this machine, each with threads of its own.

    They share the memory that is free now evenly. They are started as programs, not as copies
    of this one, so a script needs no `if __name__ == "__main__"`.

    Args:
        workers: how many; None is one for each group of so many processors.
        threads: of each.
    """

    def __init__(self, workers: int | None = None, threads: int = 1) -> None:
        self.workers = max(1, cores() // threads) if workers is None else workers
        self.threads = threads
        self.room = available(torch.device("cpu")) / self.workers
        self._here = threading.local()  # each thread has one worker
        self._all: list[Worker] = []
        self._over = threading.Event()
        self._pool = ThreadPoolExecutor(self.workers)

    def run(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Made | Failed]]:
        """Do tasks, each with its number; the answers come as they are ready."""
        numbers: dict[Future[Made | Failed], int] = {}
        yield from ahead(
            tasks,
            lambda number, task: numbers.update({self._pool.submit(self._do, task): number}),
            lambda: _ready(numbers),
            lambda: AHEAD * self.workers,
        )

    def _do(self, task: Task) -> Made | Failed:
        """Do a task in the thread's own worker, and in another if that dies."""
        try:
            data = pickle.dumps(replace(task, room=self.room))
        except Exception as error:  # a setting may be anything
            return Failed(f"a setting cannot be handed to a worker: {error}")
        for tries in range(1, TRIES + 1):
            if self._over.is_set():
                break
            worker = getattr(self._here, "worker", None) or self._new()
            try:
                return worker.ask(data)
            except DiedError as death:
                self._here.worker = None
                if tries == TRIES:
                    return Failed(f"{TRIES} workers died over it: {death}")
        return Failed("the batch was stopped")

    def _new(self) -> Worker:
        self._here.worker = worker = Worker(self.threads)
        self._all.append(worker)
        if self._over.is_set():
            worker.end()
        return worker

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        for worker in self._all:
            worker.process.terminate()
        end = time.monotonic() + GRACE
        for worker in self._all:
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.process.wait(max(0.0, end - time.monotonic()))
            worker.end()
        self._pool.shutdown()


def ahead(
    tasks: Iterable[tuple[int, Task]],
    begin: Callable[[int, Task], None],
    ready: Callable[[], Iterator[tuple[int, Made | Failed]]],
    room: Callable[[], int],
) -> Iterator[tuple[int, Made | Failed]]:
    """Begin tasks while there is room, and give answers as they are ready."""
    out = 0
    for number, task in tasks:
        begin(number, task)
        out += 1
        while out >= room():
            for found in ready():
                out -= 1
                yield found
    while out:
        for found in ready():
            out -= 1
            yield found


def _ready(numbers: dict[Future[Made | Failed], int]) -> Iterator[tuple[int, Made | Failed]]:
    for done in wait(numbers, return_when=FIRST_COMPLETED).done:
        yield numbers.pop(done), done.result()


def _how_ended(code: int, said: str) -> str:
    if code >= 0:
        return f"exit code {code}, {said}" if said else f"exit code {code}"
    try:
        return f"killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"killed by signal {-code}"
