"""The arithmetic of a network: float32, or bfloat16 if that is faster (chapter 7)."""

from __future__ import annotations

import contextlib
import functools
import os
import time
import warnings
from collections.abc import Iterator
from typing import Literal

import torch
from torch.nn.functional import conv2d

from stylelib.arguments import choice

__all__ = ["Precision", "bfloat16_speedup", "resolve_precision"]

Precision = Literal["auto", "float32", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")

WORTHWHILE = 1.2
"""The speedup from which "auto" means bfloat16: less is not worth rounding to 8 bits."""


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """The dtype that "auto", "float32" or "bfloat16" means on a device.

    "auto" means bfloat16 on a processor that convolves faster in it, which is measured once
    (`bfloat16_speedup`), and on a CUDA GPU that has it in hardware. Elsewhere it means float32.
    If the environment variable STYLELIB_PRECISION is "float32" or "bfloat16", "auto" means
    that.

    Raises:
        InputError: another word, as the argument or in STYLELIB_PRECISION.

    Warns:
        UserWarning: once, if you ask for bfloat16 on a processor that only emulates it.
    """
    word: str = choice("precision", precision, PRECISIONS)
    if word == "auto":
        asked = os.environ.get("STYLELIB_PRECISION", "auto")
        word = choice("STYLELIB_PRECISION", asked, PRECISIONS)
    if word == "float32":
        return torch.float32
    if word == "bfloat16":
        if device.type == "cpu" and bfloat16_speedup() < WORTHWHILE:
            _warn_of_emulation()
        return torch.bfloat16
    if device.type == "cpu":
        faster = bfloat16_speedup() >= WORTHWHILE
    else:
        faster = device.type == "cuda" and torch.cuda.is_bf16_supported(
            including_emulation=False
        )
    return torch.bfloat16 if faster else torch.float32


@functools.cache
def bfloat16_speedup() -> float:
    """How many times faster this processor convolves in bfloat16 than in float32.

    Processors with bfloat16 instructions reach 1.7 to 7. Others emulate them, at 0.1 to 0.7.
    PyTorch may not be able to use all that a processor has, for example under a limit such as
    ONEDNN_MAX_CPU_ISA or in a virtual machine. So this function measures: it takes the best of
    seven convolutions each, on one thread, which takes a few milliseconds, once per process.
    """
    best = {torch.float32: float("inf"), torch.bfloat16: float("inf")}
    with _one_thread():
        for _ in range(7):
            for dtype in best:
                X = torch.ones(1, 64, 56, 56, dtype=dtype)
                weight = torch.ones(64, 64, 3, 3, dtype=dtype)
                X, weight = (Y.to(memory_format=torch.channels_last) for Y in (X, weight))
                begin = time.perf_counter()
                conv2d(X, weight, padding=1)
                best[dtype] = min(best[dtype], time.perf_counter() - begin)
    return best[torch.float32] / best[torch.bfloat16]


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread, because on a busy machine several would wait for each other."""
    threads = torch.get_num_threads()
    if "OpenMP" not in torch.__config__.parallel_info():  # others can set the number only once
        yield
        return
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@functools.cache
def _warn_of_emulation() -> None:
    """Warn at the first call in a process."""
    warnings.warn(
        f"this processor emulates bfloat16: a convolution takes {1 / bfloat16_speedup():.1f} "
        "times as long as in float32; precision='auto' or 'float32' is faster here",
        UserWarning,
        stacklevel=2,
    )
