"""Memory that is kept is not filled with zeros again: page faults tell, in a process of its own."""

import json
import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc" or sys.maxsize < 2**32,
    reason="another malloc than glibc's",
)

KEPT = """
import json, resource, threading

BLOCK = 64 * 2**20  # bytes; by itself glibc never keeps so much
seen = []

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def kept():
    "Whether a block that is freed is there for the next one of its size."
    bytearray(BLOCK)
    before = faults()
    for _ in range(3):
        bytearray(BLOCK)
    # three blocks anew have three times so many, even in pages of 2 MB
    return faults() - before < BLOCK // 2**21
"""


def run(program, **environment):
    """What the program has put into `seen`."""
    tuned = ("MALLOC_", "GLIBC_TUNABLES")
    plain = {name: value for name, value in os.environ.items() if not name.startswith(tuned)}
    done = subprocess.run(
        [sys.executable, "-c", f"{KEPT}\n{program}\nprint(json.dumps(seen))"],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


WITHIN = """
from stylelib.memory import freed_memory_kept

seen.append(kept())
with freed_memory_kept():
    seen.append(kept())
seen.append(kept())
"""


def test_memory_is_kept_within_and_given_back_afterwards():
    assert run(WITHIN) == [False, True, False]


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "GLIBC_TUNABLES"])
def test_what_the_user_has_set_is_left_alone(name):
    assert run(WITHIN, **{name: "1" if name == "MALLOC_ARENA_MAX" else ""}) == [False] * 3


END_OF_THE_HEAP = """
import ctypes
from stylelib.memory import freed_memory_kept

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.sbrk.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
with freed_memory_kept():
    begin = libc.sbrk(0)
    block = libc.malloc(5 * 2**29)  # bytes, which are not touched, so take no memory
    end = libc.sbrk(0)
    libc.free(block)
    seen.extend([end - begin >= 5 * 2**29, libc.sbrk(0) - end])
"""


def test_more_than_two_gigabytes_are_kept_too():
    """`mallopt` takes an int: the largest would still give these back."""
    assert run(END_OF_THE_HEAP) == [True, 0]


FORKED = """
import os
from stylelib import memory

with memory.freed_memory_kept(), memory._keepers_lock:  # as if another thread held it
    child = os.fork()
    if child == 0:
        with memory.freed_memory_kept():
            within = kept()
        os._exit(0 if (within, kept()) == (True, False) else 1)
    seen.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_has_loops_of_its_own():
    assert run(FORKED) == [0]


SEVERAL = """
from stylelib.memory import freed_memory_kept

inside, leave = threading.Event(), threading.Event()

def another_thread():
    with freed_memory_kept():
        inside.set()
        leave.wait(60)

thread = threading.Thread(target=another_thread)
with freed_memory_kept():
    with freed_memory_kept():
        pass
    seen.append(kept())
    thread.start()
    inside.wait(60)
seen.append(kept())
leave.set()
thread.join()
seen.append(kept())
"""


def test_the_last_of_several_gives_it_back():
    """One within another, and one in another thread."""
    assert run(SEVERAL) == [True, True, False]


LOOP = """
from types import SimpleNamespace
import torch
from stylelib import optimize

def descend(callback):
    X = torch.ones(1, 3, 2, 4, requires_grad=True)
    groups = [{"params": [X], "lr": 1.0}]  # no optimizer of PyTorch's: importing them takes long
    still = SimpleNamespace(param_groups=groups, step=lambda closure: closure())
    optimize(X, lambda X: {"sum": X.sum()}, still, steps=1, callback=callback)

def another(step):
    descend(lambda step: seen.append(kept()))
    seen.append(kept())

def fail(step):
    seen.append(kept())
    raise ZeroDivisionError

descend(another)
seen.append(kept())
try:
    descend(fail)
except ZeroDivisionError:
    seen.append(kept())
"""


def test_it_is_kept_while_a_picture_is_made_and_given_back_after_an_error_too():
    assert run(LOOP) == [True, True, False, True, False]
