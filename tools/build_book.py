"""Run every page of the book, write the site to _build/html and check it. Exit code 0 means
that no page failed and nothing is broken.

    python tools/build_book.py

A page does not run again if nothing it depends on has changed. All pages are rendered again, so
that a warning fails every build, not only the first. If nothing has changed since the last
successful build, there is nothing to do.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from book_progress import Progress, explain, last_words, spell
from check_site import problems

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "book" / "_ext"))
from fingerprint import SITE as SITES_FILES  # noqa: E402  found by the line above
from fingerprint import fingerprint  # noqa: E402  likewise

COMMAND = ["jupyter-book", "build", "--all", "-W", "--keep-going", "."]
WAIT = 10  # seconds that a build gets to stop


class Build:
    """The files of one build.

    Args:
        root: the folder of the project.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = root / "_build"
        self.site, self.log = self.folder / "html", self.folder / "book.log"
        self.first_page = self.site / "book" / "index.html"
        self.built_from = self.site / ".built-from"
        # each profile has times of its own
        profile = os.environ.get("STYLELIB_PROFILE", "auto")
        self.seconds = self.folder / f"page_seconds-{profile}.json"

    def expected_seconds(self) -> dict[str, float]:
        """The seconds of each page's last run here, or else on another machine."""
        found: dict[str, float] = {}
        for file in (self.root / "book" / "page_seconds.json", self.seconds):
            if file.exists():
                found |= json.loads(file.read_text(encoding="utf-8"))
        return found

    def run(self, command: Sequence[str], progress: Progress) -> int:
        """Run the command and write its output to the log. Returns its exit code."""
        environment = os.environ | {
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else each kernel warns
            "PYTHONUNBUFFERED": "1",
            "PYTHONUTF8": "1",
            "NO_COLOR": "1",
        }
        self.folder.mkdir(exist_ok=True)
        with (
            self.log.open("w", encoding="utf-8") as log,
            subprocess.Popen(
                command,
                cwd=self.root,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    log.write(progress.hear(line))
                    log.flush()
            except BaseException:
                stop(process)
                raise
        return process.returncode

    def failure(self, progress: Progress, found: Sequence[str]) -> str:
        """What went wrong, in about ten lines."""
        if progress.traceback:
            page = Path(progress.page + ".md")
            text = (self.root / page).read_text(encoding="utf-8")
            with self.log.open("a", encoding="utf-8") as log:
                log.write(progress.traceback)
            return explain(page, text, progress.traceback)
        if found:
            return "\n".join(found)
        return "the build stopped:\n" + last_words(self.log.read_text("utf-8"))


def stop(process: "subprocess.Popen[str]") -> None:
    """Ask a process to end, and kill it if it does not."""
    process.terminate()
    try:
        process.wait(WAIT)
    except subprocess.TimeoutExpired:
        process.kill()


def main(root: Path = ROOT, command: Sequence[str] = COMMAND) -> int:
    """Build the book of a project with a command of this environment. Returns the exit code."""
    begin = time.monotonic()
    build, progress = Build(root), Progress({}, sys.stdout)
    try:
        state = fingerprint(root, SITES_FILES)
        if build.built_from.exists() and build.built_from.read_text("utf-8") == state:
            print(f"Nothing to do: the book is built. Its first page: {build.first_page}")
            return 0
        shutil.rmtree(build.site, ignore_errors=True)
        print(f"Building the book. Its log: {build.log.relative_to(root)}", flush=True)
        progress.expected = build.expected_seconds()
        code = build.run(
            [str(Path(sys.executable).with_name(command[0])), *command[1:]], progress
        )
        found = list(problems(build.site)) if code == 0 else []
    except KeyboardInterrupt:
        print("\nStopped. Finished pages are cached, so the next build continues from there.")
        return 130
    if code == 0 and not build.first_page.exists():
        found.append("there is no first page")
    if code != 0 or found:
        print(build.failure(progress, found), file=sys.stderr)
        print(f"The book is not built. The log has more: {build.log}", file=sys.stderr)
        return 1
    build.seconds.write_text(json.dumps(progress.seconds, indent=1) + "\n", encoding="utf-8")
    build.built_from.write_text(state, encoding="utf-8")
    took = spell(time.monotonic() - begin)
    print(f"The book is built, in {took}. Its first page: {build.first_page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
