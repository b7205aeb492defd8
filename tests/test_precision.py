"""Which arithmetic "auto" means: what the machine does decides, or the environment variable."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from stylelib import InputError
from stylelib import precision as precisions
from stylelib.precision import bfloat16_speedup, resolve_precision, without_bfloat16
from stylelib.winograd import is_faster

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
        assert resolve_precision("bfloat16", cpu) == "bfloat16"
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
def test_where_bfloat16_is_emulated_auto_is_another_and_asking_for_it_warns_once():
    auto, warned = ask(ONEDNN_MAX_CPU_ISA="AVX2")
    assert auto == ("winograd" if is_faster() else "float32")
    (warning,) = warned
    assert "this processor emulates bfloat16" in warning
    assert "precision='auto' or 'float32' is faster here" in warning


def test_auto_and_the_warning_agree_with_each_other():
    auto, warned = ask()
    assert (auto, len(warned)) in [("bfloat16", 0), ("winograd", 1), ("float32", 1)]


def test_trying_changes_neither_threads_nor_random_numbers():
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    assert bfloat16_speedup.__wrapped__() > 0
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)
    assert bfloat16_speedup() == bfloat16_speedup()  # tried once


@pytest.mark.parametrize("word", ["float32", "winograd", "bfloat16"])
@pytest.mark.filterwarnings("ignore:this processor emulates")
def test_the_environment_says_what_auto_means(monkeypatch, word):
    monkeypatch.setenv("STYLELIB_PRECISION", word)
    assert resolve_precision("auto", CPU) == word
    assert resolve_precision("float32", CPU) == "float32"
    assert resolve_precision("winograd", CPU) == "winograd"
    monkeypatch.setenv("STYLELIB_PRECISION", "auto")
    assert resolve_precision("float32", CPU) == "float32"


def test_a_device_that_is_neither_a_processor_nor_of_cuda_gets_float32(monkeypatch):
    monkeypatch.delenv("STYLELIB_PRECISION", raising=False)
    assert resolve_precision("auto", META) == "float32"
    assert resolve_precision("winograd", META) == "float32"
    assert resolve_precision("bfloat16", META) == "bfloat16"


@pytest.mark.parametrize(
    ("speedup", "winograd_pays", "expected", "without"),
    [
        (2.0, False, "bfloat16", "float32"),
        (2.0, True, "bfloat16", "winograd"),
        (0.5, True, "winograd", "winograd"),
        (0.5, False, "float32", "float32"),
    ],
)
def test_auto_is_the_fastest_on_this_processor(
    monkeypatch, speedup, winograd_pays, expected, without
):
    monkeypatch.delenv("STYLELIB_PRECISION", raising=False)
    monkeypatch.setattr(precisions, "bfloat16_speedup", lambda: speedup)
    monkeypatch.setattr(precisions, "is_faster", lambda: winograd_pays)
    assert resolve_precision("auto", CPU) == expected
    assert without_bfloat16("auto") == without
    monkeypatch.setenv("STYLELIB_PRECISION", "bfloat16")
    assert without_bfloat16("auto") == without


@pytest.mark.parametrize("word", ["float32", "winograd"])
def test_without_bfloat16_what_is_asked_for_stays(monkeypatch, word):
    monkeypatch.setenv("STYLELIB_PRECISION", "winograd" if word == "float32" else "float32")
    assert without_bfloat16(word) == word
    monkeypatch.setenv("STYLELIB_PRECISION", word)
    assert without_bfloat16("auto") == word


@pytest.mark.parametrize(
    ("has", "expected"),
    [
        ({"architecture": "x86_64", "avx2": True, "avx512_f": False}, True),
        ({"architecture": "x86_64", "avx2": True, "avx512_f": True}, False),
        ({"architecture": "x86_64", "avx2": False}, False),
        ({"architecture": "aarch64"}, False),
    ],
)
def test_winograds_algorithm_is_for_processors_where_it_was_measured(
    monkeypatch, has, expected
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: has)
    assert is_faster.__wrapped__() is expected


def test_an_unknown_word_in_the_environment_is_refused(monkeypatch):
    monkeypatch.setenv("STYLELIB_PRECISION", "half")
    known = "'auto', 'float32', 'winograd' or 'bfloat16'"
    for resolve in (lambda: resolve_precision("auto", CPU), lambda: without_bfloat16("auto")):
        with pytest.raises(InputError, match=f"STYLELIB_PRECISION must be {known}, not 'half'"):
            resolve()
    assert resolve_precision("float32", CPU) == "float32"
