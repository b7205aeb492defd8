"""Find links and images of a built site that are broken or come from elsewhere."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LOADED = {"script", "img", "iframe", "source", "video", "audio", "embed", "object"}
LOADED_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "prefetch"}


class Page(HTMLParser):
    """The links, images and anchors of one page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.references: list[str] = []
        self.anchors: set[str] = set()
        self.remote: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {key: value for key, value in attrs if value}
        if identifier := attributes.get("id") or (
            attributes.get("name") if tag == "a" else None
        ):
            self.anchors.add(identifier)
        kinds = set(attributes.get("rel", "").lower().split())
        loaded = tag in LOADED or (tag == "link" and kinds & LOADED_LINKS)
        targets = [
            attributes[key] for key in ("href", "src", "poster", "data") if key in attributes
        ]
        if tag in ("img", "source"):
            targets += [
                part.split()[0] for part in attributes.get("srcset", "").split(",") if part
            ]
        for target in targets:
            self.references.append(target)
            if loaded and urlsplit(target).netloc:
                self.remote.append(target)


def problems(site: Path) -> Iterator[str]:
    """Each broken link or image of the site, and everything it loads from elsewhere."""
    site = site.resolve()
    pages = {
        path: Page(path) for path in sorted(site.rglob("*.html")) if "_static" not in path.parts
    }
    for path, page in pages.items():
        where = path.relative_to(site)
        yield from (
            f"{where}: loads {url} from elsewhere; ship it with the book" for url in page.remote
        )
        for reference in page.references:
            parts = urlsplit(reference)
            if parts.netloc or parts.scheme in (
                "http",
                "https",
                "mailto",
                "data",
                "javascript",
            ):
                continue
            file = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if file.is_dir():
                file /= "index.html"
            anchor = unquote(parts.fragment)
            if parts.scheme or not file.is_relative_to(site) or not file.exists():
                yield f"{where}: '{reference}' leads nowhere in the site"
            elif anchor and file in pages and anchor not in pages[file].anchors:
                yield f"{where}: there is no '#{anchor}' in {file.relative_to(site)}"
