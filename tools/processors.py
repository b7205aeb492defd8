"""Run the numerical tests as if on every processor that this one can imitate; print a table.

    python tools/processors.py              # all processors, every test
    python tools/processors.py --selection  # some of both, in minutes
    python tools/processors.py "one thread" "without bf16"

Environment variables of oneDNN, PyTorch and OpenBLAS disable instructions. This changes the
order of summation and the speed, and removes bfloat16 in hardware.
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import torch

ROOT = Path(__file__).resolve().parent.parent
ON_ANY = {
    "as it is": {},
    "one thread": {
        f"{library}_NUM_THREADS": "1" for library in ("OMP", "MKL", "OPENBLAS", "VECLIB")
    },
    "without vector units": {"ATEN_CPU_CAPABILITY": "default"},
}
ON_X86 = {
    "without AMX": {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"},
    "without bf16": {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"},
}
TAKEN_AWAY = {"without AMX": "amx_tile", "without bf16": "avx512_f"}
"""What a processor must have, as PyTorch calls it, for the imitation to differ from it."""
NO_NUMBERS = [
    *("arguments", "build_book", "cli", "devices", "extras", "includes", "notebooks"),
    *("package", "prose", "samples", "watching"),
]
SELECTION = ["features", "optimization", "precision", "pyramid", "synthesis", "winograd"]
CHAPTERS = "05"
LONG = "not trains_as_well"  # hundreds of steps, with the same outcome on every processor


@dataclass
class Outcome:
    """The results of pytest on one processor."""

    counts: Counter[str]
    why_skipped: Counter[str]
    failed: list[str]
    seconds: float


def run(limits: dict[str, str], files: Sequence[Path], arguments: Sequence[str]) -> Outcome:
    """Run pytest on the files, with the limits in its environment."""
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
        command += [f"--junit-xml={report}", *arguments, *map(str, files)]
        environment = os.environ | limits
        done = subprocess.run(
            command, cwd=ROOT, env=environment, check=False, capture_output=True, text=True
        )
        cases = ElementTree.parse(report).iter("testcase") if report.exists() else iter(())
        outcome = Outcome(Counter(), Counter(), [], 0.0)
        for case in cases:
            results = {child.tag: child for child in case}
            word = next((word for word in ("failure", "error") if word in results), "passed")
            word = "skipped" if "skipped" in results else word
            outcome.counts[word] += 1
            if word == "skipped":
                outcome.why_skipped[results["skipped"].get("message", "")] += 1
            elif word != "passed":
                outcome.failed.append(f"{case.get('classname')}.{case.get('name')}")
        if not outcome.counts:
            outcome.failed += ["no test ran:", *(done.stdout + done.stderr).splitlines()[-8:]]
    outcome.seconds = time.monotonic() - begin
    return outcome


def main() -> int:
    processors: dict[str, dict[str, str]] = dict(ON_ANY)
    if platform.machine().lower() in ("x86_64", "amd64"):
        processors |= ON_X86
    parser = argparse.ArgumentParser(description="The numerical tests on other processors.")
    parser.add_argument("processors", nargs="*", metavar="PROCESSOR", help=str([*processors]))
    parser.add_argument(
        "--selection", action="store_true", help="only some tests and processors, in minutes"
    )
    options = parser.parse_args()
    has = torch.cpu.get_capabilities()
    chosen = options.processors or [
        name
        for name in processors
        if not (options.selection and name == "one thread")
        and has.get(TAKEN_AWAY.get(name, ""), True)
    ]
    if unknown := set(chosen) - set(processors):
        parser.error(f"cannot imitate {sorted(unknown)} here; choose from {[*processors]}")

    files = sorted(
        path
        for path in (ROOT / "tests").glob("test_*.py")
        if path.stem[5:] not in [*NO_NUMBERS, "chapters"]
        and (not options.selection or path.stem[5:] in SELECTION)
    )
    chapters = [ROOT / "tests" / "test_chapters.py"]
    only = ["-k", CHAPTERS] if options.selection else []
    short = ["-k", LONG] if options.selection else []
    same = [name for name in TAKEN_AWAY if name in processors and name not in chosen]
    if same and not options.processors:
        print(f"this processor has nothing to take away for: {', '.join(same)}")
    print(f"{'processor':22}{'passed':>8}{'skipped':>9}{'failed':>8}{'seconds':>9}", flush=True)
    broken = False
    for name in chosen:
        print(f"{name:22}", end="", flush=True)
        parts = [run(processors[name], files, short), run(processors[name], chapters, only)]
        counts = sum((part.counts for part in parts), Counter[str]())
        failed = [test for part in parts for test in part.failed]
        seconds = sum(part.seconds for part in parts)
        print(f"{counts['passed']:8}{counts['skipped']:9}{len(failed):8}{seconds:9.0f}")
        for why, times in sum((part.why_skipped for part in parts), Counter[str]()).items():
            print(f"    skipped {times}: {why}")
        for test in failed:
            print(f"    failed: {test}")
        broken |= bool(failed) or not all(part.counts["passed"] for part in parts)
    return int(broken)


if __name__ == "__main__":
    sys.exit(main())
