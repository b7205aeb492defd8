"""Run the pages before Sphinx reads them, several at a time. Sphinx finds their outputs in the
cache. The first cell that fails ends the build.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

from docutils import nodes
from jupyter_cache import get_cache
from jupyter_core.utils import ensure_event_loop
from myst_nb.core.execute import create_client
from myst_nb.core.read import create_nb_reader
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util import logging

from stylelib.devices import cores, find_device
from stylelib.large.room import available

LOG = logging.getLogger(__name__)

PROGRESS = "book-progress: "  # starts a line of standard output that build_book.py reads
MOST = 4  # pages at a time: small images hardly gain from more threads than that
MEMORY = 2.5e9  # bytes for each page: the largest takes 1.5 GB


def pages_at_a_time() -> int:
    """As many as there are cores, four at most, and not more than fit into the memory that is
    available; one if a GPU does the work.
    """
    device = find_device(None)
    if device.type != "cpu":
        return 1
    memory = available(device)
    fit = int(memory / MEMORY) if memory < float("inf") else 2  # Windows does not say
    return max(1, min(MOST, cores(), fit))


def tell(**event: Any) -> None:
    """Print a line for build_book.py, in one piece, because threads print in between."""
    sys.stdout.write(f"{PROGRESS}{json.dumps(event)}\n")
    sys.stdout.flush()


def run_pages(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Run all pages with code, those first that usually take longest."""
    docnames.sort()
    if env.mystnb_config.execution_mode != "cache":
        return
    texts = {name: Path(env.doc2path(name)).read_text("utf-8") for name in docnames}
    titles = {
        name: match[1] if (match := re.search(r"^# (.+)$", text, re.MULTILINE)) else name
        for name, text in texts.items()
        if "```{code-cell}" in text
    }
    usual = json.loads((Path(app.srcdir) / "book" / "page_seconds.json").read_text("utf-8"))
    waiting = deque(sorted(titles, key=lambda name: -usual.get(name, 0)))
    at_a_time = env.__dict__["pages_at_a_time"] = pages_at_a_time()
    tell(pages=list(titles), at_a_time=at_a_time)
    for name, data in run(env, waiting, at_a_time):
        if data["traceback"]:
            tell(failed=name, title=titles[name], traceback=data["traceback"])
            raise ExtensionError(f"{name} has failed")
        tell(ends=name, title=titles[name], **data)


def run(
    env: BuildEnvironment, waiting: deque[str], at_a_time: int
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Start threads that run the pages that wait, and tell of each when it has ended.

    The kernels share the cores. If the build ends early, its threads and kernels end with it.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, cores() // at_a_time)))
    get_cache(env.mystnb_config.execution_cache_path).db  # noqa: B018  made once, not by each
    ended: SimpleQueue[tuple[str, dict[str, Any]]] = SimpleQueue()

    def work() -> None:
        # a loop of this thread for Jupyter's client, until no page waits any more
        with closing(ensure_event_loop()), suppress(IndexError):
            while True:
                name = waiting.popleft()
                made = run_page(env, name)
                if made["traceback"]:
                    waiting.clear()
                ended.put((name, made))

    count = len(waiting)
    for _ in range(at_a_time):
        Thread(target=work, daemon=True).start()
    while count:
        with suppress(Empty):  # Windows hears Ctrl-C only between two waits
            yield ended.get(timeout=1)
            count -= 1


def run_page(env: BuildEnvironment, name: str) -> dict[str, Any]:
    """Run a page, or find it in the cache.

    Returns:
        seconds: how long that took; runtime: how long its run took, now or when it was cached;
        ran: whether it ran now; traceback: of what failed, or None.
    """
    LOG.info("%s begins", name)
    begin = time.perf_counter()
    try:
        path, config = env.doc2path(name), env.mystnb_config
        text = Path(path).read_text("utf-8")
        reader = create_nb_reader(path, env.myst_config, config, text)
        notebook = reader.read(text)
        with create_client(notebook, path, config, LOG, reader.read_fmt) as client:
            data = client.exec_metadata
        runtime, failure = data["runtime"], data["traceback"]
    except BaseException:  # else the build would wait for this page forever
        runtime, failure = None, traceback.format_exc()
    seconds = time.perf_counter() - begin
    LOG.info("%s has ended", name)
    ran = seconds >= (runtime or 0)  # a cached page takes less time than its run
    return {"seconds": seconds, "runtime": runtime, "ran": ran, "traceback": failure}


def check_page(app: Sphinx, _doctree: nodes.document) -> None:
    """A page that was not found in the cache has run while Sphinx read it."""
    data = NbMetadataCollector.get_exec_data(app.env, app.env.docname)
    if data and data["traceback"]:
        tell(failed=app.env.docname, title=app.env.docname, traceback=data["traceback"])
        raise ExtensionError(f"{app.env.docname} has failed")


def begin_rendering(_app: Sphinx, _env: BuildEnvironment) -> None:
    tell(rendering=True)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("env-before-read-docs", run_pages)
    app.connect("doctree-read", check_page)
    app.connect("env-updated", begin_rendering)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
