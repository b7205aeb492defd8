"""What there is to compute on: the device, and the processor's cores."""

from __future__ import annotations

import os

import torch

from stylelib.errors import InputError

__all__ = ["cores", "find_device"]


def cores() -> int:
    """The number of the processor's cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def find_device(device: torch.device | str | None) -> torch.device:
    """The device that an argument means.

    None means a CUDA GPU if there is one, else Apple's GPU (MPS), else the CPU. If the
    environment variable STYLELIB_DEVICE names a device, None means that one.

    Raises:
        InputError: the device cannot be used on this machine.
    """
    device = os.environ.get("STYLELIB_DEVICE") if device is None else device
    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.zeros(1, device=found).item()
    except (RuntimeError, AssertionError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            f"device '{device}' cannot be used here; try 'cpu', 'cuda' or 'mps'"
        ) from error
    return found
