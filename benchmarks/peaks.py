"""The machine that is measured, and the most memory that a process has used there."""

import platform
from pathlib import Path

import torch

STATUS = Path("/proc/self/status")


def peak(device: torch.device | None = None) -> float:
    """Of this process since its start, in GB: that of the machine, or what PyTorch has taken
    of a GPU. Not that of the parent of the process, as `ru_maxrss` may be.
    """
    if device is not None and device.type == "cuda":
        return torch.cuda.max_memory_reserved(device) / 1e9
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 / 1e9


def machine(device: torch.device) -> str:
    """What computes."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {torch.get_num_threads()} threads"
