"""Serve the built site on this machine, until Ctrl-C.

python tools/serve_site.py [port]
"""

import functools
import sys
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SITE = Path(__file__).resolve().parent.parent / "_build" / "html"


class Handler(SimpleHTTPRequestHandler):
    """Python's handler, with the book's own page for addresses that do not exist."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".woff2": "font/woff2"}

    def send_error(self, code: int, message: str | None = None, explain: str | None = None):  # type: ignore[no-untyped-def]
        page = Path(self.directory) / "404.html"
        if code != 404 or not page.exists():
            super().send_error(code, message, explain)
            return
        body = page.read_bytes()
        self.send_response(404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Do not log requests."""


def server(site: Path, port: int = 0) -> ThreadingHTTPServer:
    """A server of the site, for this machine only; port 0 takes any free port."""
    handler = functools.partial(Handler, directory=str(site))
    return ThreadingHTTPServer(("127.0.0.1", port), handler)


def main() -> int:
    if not (SITE / "index.html").exists():
        print("The book is not built: make book", file=sys.stderr)
        return 1
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    with server(SITE, port) as serving:
        print(f"http://127.0.0.1:{serving.server_port}/  (Ctrl-C stops it)", flush=True)
        try:
            serving.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
