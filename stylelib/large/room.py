"""How much memory there is (chapter 30)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import torch

__all__ = ["allotted", "available", "in_use"]

PYTORCH = 0.8e9
"""What a process with PyTorch and a network uses, where the system does not say."""
OWN_GROUP = Path("/proc/self/cgroup")
CGROUPS = (
    ("/sys/fs/cgroup", "", "max", "current", "inactive_file"),
    (
        "/sys/fs/cgroup/memory",
        "memory",
        "limit_in_bytes",
        "usage_in_bytes",
        "total_inactive_file",
    ),
)
"""Versions 2 and 1 of Linux's groups of processes: their folder, the controller, and the names
of what a group may use, what it uses, and how much of that are files read before, for which
there is no need."""

_allotted: ContextVar[float] = ContextVar("_allotted", default=float("inf"))


@contextmanager
def allotted(most: float) -> Iterator[None]:
    """Within the block, no more than so many bytes are available: the rest is for others."""
    token = _allotted.set(most)
    try:
        yield
    finally:
        _allotted.reset(token)


def in_use(device: torch.device) -> float:
    """The bytes that this process uses on a device now."""
    if device.type == "cuda":
        return float(torch.cuda.memory_allocated(device))
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, AttributeError, IndexError):
        return PYTORCH


def available(device: torch.device) -> float:
    """The bytes that this process can still get on a device; infinite if nothing is known."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # what PyTorch has freed, and keeps for what it needs next
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return float(free + kept)
    return min(of_system(), of_cgroup(), _allotted.get())


def of_system() -> float:
    """What Linux calls available, else half of what is built in."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        told = next(line for line in lines if line.startswith("MemAvailable:"))
        return 1024.0 * int(told.split()[1])
    except (OSError, ValueError, StopIteration):
        pass
    try:
        return 0.5 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return float("inf")


def of_cgroup() -> float:
    """What the limits of containers, services and jobs leave; infinite if there are none."""
    left = [float("inf")]
    for root, controller, limit, used, files in CGROUPS:
        for group in groups(Path(root), controller):
            try:
                most, now = (
                    float(Path(group, f"memory.{name}").read_text()) for name in (limit, used)
                )
            except (OSError, ValueError):  # no such file, or "max"
                continue
            left.append(max(0.0, most - now + cached(group / "memory.stat", files)))
    return min(left)


def groups(root: Path, controller: str) -> list[Path]:
    """The folders of this process's group and of those that it is part of."""
    try:
        lines = [line.split(":", 2) for line in OWN_GROUP.read_text().splitlines()]
        path = next(line[2] for line in lines if controller in line[1].split(","))
    except (OSError, IndexError, StopIteration):
        return [root]
    own = Path(os.path.normpath(f"{root}/{path}"))
    return [each for each in (own, *own.parents) if each.is_relative_to(root)] or [root]


def cached(stat: Path, name: str) -> float:
    """The bytes of files in memory that the system gives up when it needs them."""
    try:
        lines = stat.read_text().splitlines()
        return float(next(line for line in lines if line.startswith(f"{name} ")).split()[1])
    except (OSError, ValueError, StopIteration):
        return 0.0
