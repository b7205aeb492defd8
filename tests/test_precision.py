"""Which arithmetic "auto" means: what the machine does decides, or the environment variable."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from stylelib import InputError
from stylelib.precision import bfloat16_speedup, resolve_precision

CPU, META = torch.device("cpu"), torch.device("meta")

# "auto", then bfloat16 by name twice; prints what auto is and each warning
ASK = """
import warnings, torch
from stylelib.precision import resolve_precision
cpu = torch.device("cpu")
with warnings.catch_warnings(record=True) as seen:
    warnings.simplefilter("always")
    print(resolve_precision("auto", cpu))
    assert not seen
    for _ in range(2):
        assert resolve_precision("bfloat16", cpu) is torch.bfloat16
print(*(str(w.message) for w in seen), sep="\\n")
"""


def ask(**limits):
    environment = {k: v for k, v in os.environ.items() if k != "STYLELIB_PRECISION"} | limits
    done = subprocess.run(
        [sys.executable, "-c", ASK], capture_output=True, text=True, check=True, env=environment
    )
    auto, *warned = done.stdout.splitlines()
    return auto, [line for line in warned if line]


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="limits of x86 processors"
)
def test_where_bfloat16_is_emulated_auto_is_float32_and_asking_for_it_warns_once():
    auto, warned = ask(ONEDNN_MAX_CPU_ISA="AVX2")
    assert auto == "torch.float32"
    (warning,) = warned
    assert "this processor emulates bfloat16" in warning
    assert "precision='auto' or 'float32' is faster here" in warning


def test_auto_and_the_warning_agree_with_each_other():
    auto, warned = ask()
    assert (auto, len(warned)) in [("torch.bfloat16", 0), ("torch.float32", 1)]


def test_trying_changes_neither_threads_nor_random_numbers():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    assert bfloat16_speedup.__wrapped__() > 0
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert bfloat16_speedup() == bfloat16_speedup()  # tried once


@pytest.mark.parametrize("device", [CPU, META])
@pytest.mark.parametrize(
    ("word", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)]
)
@pytest.mark.filterwarnings("ignore:this processor emulates")
def test_the_environment_says_what_auto_means(monkeypatch, device, word, dtype):
    monkeypatch.setenv("STYLELIB_PRECISION", word)
    assert resolve_precision("auto", device) is dtype
    assert resolve_precision("float32", device) is torch.float32
    monkeypatch.setenv("STYLELIB_PRECISION", "auto")
    assert resolve_precision("float32", device) is torch.float32


def test_a_device_that_is_neither_a_processor_nor_of_cuda_gets_float32(monkeypatch):
    monkeypatch.delenv("STYLELIB_PRECISION", raising=False)
    assert resolve_precision("auto", META) is torch.float32
    assert resolve_precision("bfloat16", META) is torch.bfloat16


def test_an_unknown_word_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("STYLELIB_PRECISION", "half")
    expected = "STYLELIB_PRECISION must be 'auto', 'float32' or 'bfloat16', not 'half'"
    with pytest.raises(InputError, match=expected):
        resolve_precision("auto", CPU)
    assert resolve_precision("float32", CPU) is torch.float32
