"""Run every page of the book, write the site to _build/html and check it. Exit code 0 means
all of it is right.

    python tools/build_book.py

A page that has run before is not run again if nothing it depends on has changed. The rest of
the site is made anew, so that a warning fails every build, not only the first. If nothing at
all has changed since the last build that was right, there is nothing to do.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from book_progress import Progress, explain, spell
from check_site import problems

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from fingerprint import SITE as SITES_FILES  # noqa: E402  found by the line above
from fingerprint import fingerprint  # noqa: E402  likewise

BUILD = ROOT / "_build"
SITE, LOG, SECONDS = BUILD / "html", BUILD / "book.log", BUILD / "page_seconds.json"
FIRST_PAGE, BUILT_FROM = SITE / "book" / "index.html", SITE / ".built-from"
USUAL_SECONDS = ROOT / "book" / "page_seconds.json"
COMMAND = ["jupyter-book", "build", "--all", "-W", "--keep-going", "."]


def expected_seconds() -> dict[str, float]:
    """What each page took when it last ran here, or else elsewhere."""
    usual: dict[str, float] = json.loads(USUAL_SECONDS.read_text(encoding="utf-8"))
    here = json.loads(SECONDS.read_text(encoding="utf-8")) if SECONDS.exists() else {}
    return usual | here


def build(progress: Progress) -> int:
    """Run jupyter-book, its output into the log. Returns its exit code."""
    command = [str(Path(sys.executable).with_name(COMMAND[0])), *COMMAND[1:]]
    environment = os.environ | {
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # each kernel would warn of it
        "PYTHONUNBUFFERED": "1",
        "PYTHONUTF8": "1",
        "NO_COLOR": "1",
    }
    BUILD.mkdir(exist_ok=True)
    with (
        LOG.open("w", encoding="utf-8") as log,
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
        ) as process,
    ):
        assert process.stdout is not None
        for line in process.stdout:
            if not progress.hear(line):
                log.write(line)
                log.flush()
    return process.returncode


def failure(progress: Progress, found: list[str]) -> str:
    """What went wrong, in some ten lines."""
    if progress.traceback:
        page = Path(progress.page + ".md")
        text = (ROOT / page).read_text(encoding="utf-8")
        LOG.write_text(LOG.read_text(encoding="utf-8") + progress.traceback, encoding="utf-8")
        return explain(page, text, progress.traceback)
    if found:
        return "\n".join(found)
    lines = [line for line in LOG.read_text(encoding="utf-8").splitlines() if line.strip()]
    warned = [line for line in lines if "WARNING" in line or "ERROR" in line]
    where = f"in {progress.page}.md: " if progress.page else ""
    return "\n".join([f"the build stopped {where}", *(warned or lines)[-8:]])


def main() -> int:
    begin = time.monotonic()
    state = fingerprint(ROOT, SITES_FILES)
    if BUILT_FROM.exists() and BUILT_FROM.read_text(encoding="utf-8") == state:
        print(f"Nothing to do: the book is built. Its first page: {FIRST_PAGE}")
        return 0
    shutil.rmtree(SITE, ignore_errors=True)
    print(f"Building the book. Its log: {LOG.relative_to(ROOT)}", flush=True)
    progress = Progress(expected_seconds(), sys.stdout)
    try:
        code = build(progress)
    except KeyboardInterrupt:
        print("\nStopped. Pages that have run are kept; the next build goes on from there.")
        return 130
    found = list(problems(SITE)) if code == 0 else []
    if code == 0 and not FIRST_PAGE.exists():
        found.append("there is no first page")
    if code != 0 or found:
        print(failure(progress, found), file=sys.stderr)
        print(f"The book is not built. More is in {LOG.relative_to(ROOT)}", file=sys.stderr)
        return 1
    SECONDS.write_text(json.dumps(progress.seconds, indent=1) + "\n", encoding="utf-8")
    BUILT_FROM.write_text(state, encoding="utf-8")
    took = spell(time.monotonic() - begin)
    print(f"The book is built, in {took}. Its first page: {FIRST_PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
