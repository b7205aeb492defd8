"""Settings of glibc that keep the memory that a step frees for the next step."""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import sys
import threading
from collections.abc import Iterator

__all__ = ["freed_memory_kept"]

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4  # glibc's malloc.h
_keepers = 0  # the number of loops that run now, in all threads
_keepers_lock = threading.Lock()


def _forget_keepers() -> None:
    """In a forked process the loops of other threads do not go on."""
    global _keepers, _keepers_lock
    _keepers, _keepers_lock = 0, threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_keepers)


@contextlib.contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Make glibc keep the memory of one step's features for the next; do nothing without glibc.

    It is the memory of the process's main thread; other threads get theirs from elsewhere.
    By default, glibc returns every block of more than 32 MB to the system and gets it again
    page by page, each filled with zeros. That takes 8 to 18% of a step's time on the processors
    measured. If you set MALLOC_* or GLIBC_TUNABLES yourself, nothing changes. Afterward glibc
    has the settings that it chooses itself once a block of 32 MB has been freed.
    """
    global _keepers
    tuned = any(name.startswith(("MALLOC_", "GLIBC_TUNABLES")) for name in os.environ)
    if platform.libc_ver()[0] != "glibc" or sys.maxsize < 2**32 or tuned:
        yield
        return
    libc = ctypes.CDLL(None)
    with _keepers_lock:
        _keepers += 1
    try:
        libc.mallopt(_M_MMAP_MAX, 0)
        libc.mallopt(_M_TRIM_THRESHOLD, -1)  # never, whatever the size
        yield
    finally:
        with _keepers_lock:
            _keepers = max(0, _keepers - 1)  # a child that was forked within began at 0
            if _keepers == 0:
                libc.mallopt(_M_MMAP_MAX, 65536)
                libc.mallopt(_M_MMAP_THRESHOLD, 32 * 2**20)
                libc.mallopt(_M_TRIM_THRESHOLD, 64 * 2**20)
                libc.malloc_trim(0)
