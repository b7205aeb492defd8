"""The arithmetic of a network: float32, or what is faster on this machine (chapter 7)."""

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
from stylelib.winograd import Winograd, is_faster

__all__ = [
    "Arithmetic",
    "Precision",
    "bfloat16_speedup",
    "computed_in",
    "resolve_precision",
    "without_bfloat16",
]

Arithmetic = Literal["float32", "winograd", "bfloat16"]
Precision = Literal["auto", "float32", "winograd", "bfloat16"]
PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "winograd", "bfloat16")

WORTHWHILE = 1.2
"""The speedup from which "auto" means bfloat16: less is not worth rounding to 8 bits."""


def resolve_precision(precision: Precision, device: torch.device) -> Arithmetic:
    """What a precision means on a device.

    - "float32": 32 bits, 24 of them for the digits.
    - "winograd": the same, with fewer multiplications for convolutions with many channels
      (`stylelib.winograd`). Rounding errors of features are of the same order, those of
      gradients up to six times as large. Only on a processor; elsewhere it means float32.
    - "bfloat16": 16 bits, 8 of them for the digits, by `torch.autocast`.
    - "auto": bfloat16 on a processor that convolves faster in it, which is measured once
      (`bfloat16_speedup`), and on a CUDA GPU that has it in hardware. Elsewhere it means
      winograd on a processor where that is faster, and float32 else. If the environment
      variable STYLELIB_PRECISION is one of the other words, "auto" means that.

    Raises:
        InputError: another word, as the argument or in STYLELIB_PRECISION.

    Warns:
        UserWarning: once, if you ask for bfloat16 on a processor that only emulates it.
    """
    word = _asked(precision)
    if word == "auto":
        word = "bfloat16" if _bfloat16_is_faster(device) else _best_of_float32()
    if word == "winograd" and device.type != "cpu":
        return "float32"
    if word == "bfloat16" and device.type == "cpu" and bfloat16_speedup() < WORTHWHILE:
        _warn_of_emulation()
    return word


def without_bfloat16(precision: Precision) -> Precision:
    """What "auto" means where losses are compared that hardly differ; other words stay.

    Raises:
        InputError: as for `resolve_precision`.
    """
    word = _asked(precision)
    if precision == "auto" and word in ("auto", "bfloat16"):
        return _best_of_float32()
    return word


@contextlib.contextmanager
def computed_in(precision: Precision, device: torch.device) -> Iterator[None]:
    """Within the block, a network is computed in what a precision means on a device.

    Raises:
        InputError: as for `resolve_precision`.
    """
    word = resolve_precision(precision, device)
    with (
        torch.autocast(device.type, torch.bfloat16, enabled=word == "bfloat16"),
        Winograd() if word == "winograd" else contextlib.nullcontext(),
    ):
        yield


def _asked(precision: Precision) -> Precision:
    """The word in force, after a look at the environment."""
    word = choice("precision", precision, PRECISIONS)
    if word == "auto":
        asked = os.environ.get("STYLELIB_PRECISION", "auto")
        word = choice("STYLELIB_PRECISION", asked, PRECISIONS)
    return word


def _bfloat16_is_faster(device: torch.device) -> bool:
    if device.type == "cpu":
        return bfloat16_speedup() >= WORTHWHILE
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def _best_of_float32() -> Literal["winograd", "float32"]:
    return "winograd" if is_faster() else "float32"


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
