"""The most memory that a process has used, as Linux tells it."""

from pathlib import Path

STATUS = Path("/proc/self/status")


def peak() -> float:
    """Of this process since its start, in GB. Not its parent's, as `ru_maxrss` may be."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e9
