"""Damage what the library is given, at random from a seed, and see that it breaks no rule.

    python tools/fuzz.py --minutes 5                # all kinds
    python tools/fuzz.py --cases 2000 image mask    # some, a number of cases of each
    python tools/fuzz.py --case image:4711          # one case again, with its traceback

A case is one call of the library. It may raise the library's own errors and no others. It may
use 5 seconds of the processor, may write nothing outside its folder, and may run no program
but Python. After the first 300 cases of a kind, its process may grow by 100 MB. What breaks a
rule is printed and written to _build/fuzz.txt.
"""

import argparse
import contextlib
import gc
import multiprocessing
import os
import random
import secrets
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import torch
from damage import Case
from fuzz_files import clip, image, mask, names, weights
from fuzz_runs import batch, checkpoint, command, settings

from stylelib.errors import StylelibError

KINDS: dict[str, Callable[[random.Random, Path], Case]] = {
    each.__name__: each
    for each in (image, mask, clip, weights, names, settings, command, checkpoint, batch)
}
SECONDS = 5.0
PATIENCE = 60.0
"""Seconds of the clock after which a silent process is ended: it waits, or C code runs on."""
WARM_UP = 300
GROWTH = 100e6
ADDRESSES = 6 * 2**30
"""Bytes of addresses that a process may use beside those of the libraries."""
LOG = Path(__file__).resolve().parent.parent / "_build" / "fuzz.txt"

WRITES = {
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink"),
    *("os.truncate", "os.chmod", "os.chown", "os.utime", "shutil.copyfile", "shutil.move"),
}
FOLLOW = {"open", "os.truncate", "os.chmod", "os.chown", "os.utime"}
"""Those that go where a link leads."""
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
PROGRAMS = {
    *("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"),
    *("socket.connect", "socket.getaddrinfo", "pty.spawn"),
}


class Escaped(BaseException):
    """Something was written elsewhere, or a program was run; no `except Exception` hides it."""


def written(event: str, arguments: tuple[Any, ...]) -> Sequence[Any]:
    """The paths that an event of `sys.audit` writes to."""
    if event == "open":
        return arguments[:1] if (arguments[2] or 0) & WRITING else ()
    if event in ("os.link", "os.symlink"):
        return arguments[1:2]
    return arguments[: 2 if event == "os.rename" else 1] if event in WRITES else ()


class Guard:
    """Sees what Python does to files while a case runs (`sys.addaudithook`), and stops it."""

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.watching = False
        self.escapes: list[str] = []
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.watching:
            return
        outside = [path for path in written(event, arguments) if not self.allows(path, event)]
        program = event in PROGRAMS and arguments[0] != sys.executable  # Python may try a file
        if outside or program:
            self.escapes.append(f"{event} {outside or arguments[:1]}")
            raise Escaped(self.escapes[-1])

    def allows(self, path: Any, event: str) -> bool:
        """Whether a case may write there."""
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # an open file, or none
        name = os.fsdecode(path)
        if name == os.devnull:
            return True
        above, last = os.path.split(name)
        followed = event in FOLLOW
        where = Path(os.path.realpath(name if followed else above), "" if followed else last)
        return self.folder is not None and where.is_relative_to(self.folder)

    @contextlib.contextmanager
    def over(self, folder: Path | None) -> Iterator[None]:
        """Watch a case that may write into a folder."""
        self.folder, self.watching = folder, True
        try:
            yield
        finally:
            self.watching = False


GUARD = Guard()


class Outcome(NamedTuple):
    """What came of a case: what rule it breaks, or why it was refused, or neither.

    Attributes:
        broken: the rule in the first line, then the traceback.
        refused: the message of the library's error.
    """

    broken: str
    refused: str


@cache
def warmed() -> None:
    """PyTorch makes a folder of its own the first time that something is optimized."""
    dot = torch.zeros(1, requires_grad=True)
    torch.optim.Adam([dot]).zero_grad()


def tried(kind: str, seed: int) -> Outcome:
    """Run a case."""
    warmed()
    rng = random.Random(f"{kind}:{seed}")
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        folder = Path(os.path.realpath(name))
        with contextlib.chdir(folder):
            GUARD.escapes, what, refused = [], "", ""
            begun = time.process_time()
            try:
                case = KINDS[kind](rng, folder)
                begun = time.process_time()
                with GUARD.over(case.folder):
                    case.call()
            except StylelibError as error:
                refused = str(error)
            except BaseException as error:
                head = f"{type(error).__name__}: {error}".splitlines()[0]
                what = f"{head[:200]}\n{traceback.format_exc()}"
            seconds = time.process_time() - begun
    if GUARD.escapes:
        what = f"it left its folder: {GUARD.escapes[0]}\n{what}"
    elif seconds > SECONDS:
        what = f"it took {seconds:.1f} s\n{what}"
    return Outcome(what, refused)


def work(kind: str, first: int, count: int, end: float, pipe: Connection) -> None:
    """Run cases one after the other, and say so before and after each."""
    torch.set_num_threads(1)
    bound_addresses()
    process, before = psutil.Process(), 0
    for number in range(count):
        if time.time() > end:
            break
        if number == WARM_UP:
            gc.collect()
            before = process.memory_info().rss
        pipe.send(("begun", first + number))
        pipe.send(("ended", tried(kind, first + number)))
    gc.collect()
    pipe.send(("grown", process.memory_info().rss - before if before else 0))


def bound_addresses() -> None:
    """Bound the memory, on systems that can."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        most = psutil.Process().memory_info().vms + ADDRESSES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


@dataclass
class Tally:
    """What came of the cases of a kind."""

    kind: str
    cases: int = 0
    refused: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    grown: float = 0.0
    failures: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.kind:<11} {self.cases:>7,} cases, {self.refused:>7,} refused "
            f"{self.seconds:>7.0f} s   slowest {self.slowest:.1f} s   "
            f"grown by {self.grown / 1e6:.0f} MB   {len(self.failures)} failures"
        )


def fuzz(kind: str, first: int, count: int, seconds: float) -> Tally:
    """Run cases in processes of their own; a new one begins after a case that ends it."""
    tally, begun = Tally(kind), time.time()
    while tally.cases < count and time.time() < begun + seconds:
        theirs = (kind, first + tally.cases, count - tally.cases, begun + seconds)
        if not watched(tally, theirs):
            break
    tally.seconds = time.time() - begun
    return tally


def watched(tally: Tally, theirs: tuple[str, int, int, float]) -> bool:
    """Listen to one process. Returns whether it ended in the middle of a case."""
    ours, pipe = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=work, args=(*theirs, pipe))
    process.start()
    pipe.close()
    seed, begun, why = theirs[1], time.time(), "it waited without end"
    try:
        while ours.poll(PATIENCE):
            what, value = ours.recv()
            if what == "grown":
                tally.grown = max(tally.grown, value)
                if value > GROWTH:
                    say(tally, "memory", f"the process grew by {value / 1e6:.0f} MB")
                return False
            if what == "begun":
                seed, begun = value, time.time()
                continue
            tally.cases += 1
            tally.slowest = max(tally.slowest, time.time() - begun)
            tally.refused += bool(value.refused)
            if value.broken:
                say(tally, f"{tally.kind}:{seed}", value.broken)
    except EOFError:
        process.join(5)
        why = f"it ended the process ({process.exitcode})"
    finally:
        process.kill()
        process.join()
    tally.cases += 1
    say(tally, f"{tally.kind}:{seed}", why)
    return True


def say(tally: Tally, name: str, what: str) -> None:
    """Print and keep a failure."""
    tally.failures[name] = what
    print(f"{name}: {what.splitlines()[0]}", flush=True)
    LOG.parent.mkdir(exist_ok=True)
    with LOG.open("a") as log:
        log.write(f"--- {name}\n{what.strip()}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--minutes", type=float, default=1440, help="for all kinds together")
    parser.add_argument("--cases", type=int, default=10**9, help="the most of each kind")
    parser.add_argument("--first", type=int, default=secrets.randbits(32), help="first seed")
    parser.add_argument("--case", help="KIND:SEED: run this one alone")
    options = parser.parse_args(arguments)
    if options.case:
        kind, _, seed = options.case.partition(":")
        outcome = tried(kind, int(seed))
        print(outcome.broken or f"it breaks no rule. {outcome.refused}")
        return int(bool(outcome.broken))
    kinds = options.kinds or list(KINDS)
    # a cache that would grow with each new size of an image, up to 1024 of them
    os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "0"
    failures = 0
    for kind in kinds:
        tally = fuzz(kind, options.first, options.cases, 60 * options.minutes / len(kinds))
        print(tally, flush=True)
        failures += len(tally.failures)
    return int(failures > 0)


if __name__ == "__main__":
    sys.exit(main())
