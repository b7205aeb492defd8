"""Execute every chapter, render the book to _build/html and check it. Exit code 0 means all of
it is right.

    python tools/build_book.py

Executed pages come from the cache where nothing they depend on has changed. Everything else is
made anew each time, so that a warning fails every build, not only the first.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "_build" / "html"
FIRST_PAGE = SITE / "book" / "index.html"


class Page(HTMLParser):
    """The links, pictures and anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.references: list[str] = []
        self.anchors: set[str] = set()
        self.remote: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if identifier := attributes.get("id") or (
            attributes.get("name") if tag == "a" else None
        ):
            self.anchors.add(identifier)
        for key in ("href", "src"):
            if target := attributes.get(key):
                self.references.append(target)
                if tag in ("script", "img") or (
                    tag == "link" and attributes.get("rel") == "stylesheet"
                ):
                    self.remote += [target] if urlsplit(target).netloc else []


def problems(site: Path) -> Iterator[str]:
    """Every link or picture of the site that leads nowhere, and everything a page would load
    from elsewhere.
    """
    pages = {
        path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts
    }
    for path, page in pages.items():
        where = path.relative_to(site)
        yield from (
            f"{where}: loads {target} from elsewhere; ship it with the book"
            for target in page.remote
        )
        for reference in page.references:
            parts = urlsplit(reference)
            if parts.scheme or parts.netloc:
                continue
            target, anchor = urldefrag(unquote(reference))
            file = (path.parent / target.split("?")[0]).resolve() if target else path
            if file.is_dir():
                file /= "index.html"
            if not file.exists():
                yield f"{where}: '{reference}' leads nowhere"
            elif anchor and file in pages and anchor not in pages[file].anchors:
                yield f"{where}: there is no '#{anchor}' in {file.relative_to(site)}"


def main() -> int:
    shutil.rmtree(SITE, ignore_errors=True)
    command = [
        str(Path(sys.executable).with_name("jupyter-book")),
        "build",
        "--all",
        "-W",
        "--keep-going",
        ".",
    ]
    built = subprocess.run(command, cwd=ROOT, check=False).returncode
    found = list(problems(SITE)) if built == 0 else []
    found += [
        f"{log.relative_to(SITE)}: a cell failed" for log in SITE.rglob("reports/**/*.err.log")
    ]
    for problem in found:
        print(problem, file=sys.stderr)
    if built != 0 or found:
        print("The book is not right; see above.", file=sys.stderr)
        return 1
    print(f"The book is built. Its first page: {FIRST_PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
