"""The command line as a process of its own, for the tests that stop it."""

import re
import subprocess
import sys
import threading

MODULE = [sys.executable, "-m", "stylelib"]
AS_IN_A_TERMINAL = [
    sys.executable,
    "-c",
    "import runpy, signal; "
    "signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('stylelib', run_name='__main__', alter_sys=True)",
]
"""It heeds SIGINT also where the tests run in the background and ignore it."""


def started(command, folder, text=False):
    """In a group of its own, which gets no signal that is meant for the tests."""
    return subprocess.Popen(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=text,
        start_new_session=True,
    )


def steps_until(signal, exit_code, command, folder):
    """How many of a transfer's 100000 steps are made if it gets a signal after the first.

    Args:
        signal: what is sent.
        exit_code: what the process is to end with.
        command: a transfer to out.png that says its progress.
        folder: where it runs.
    """
    process = started([*command, "--steps", "100000"], folder)
    give_up = threading.Timer(150, process.kill)
    give_up.start()
    try:
        seen = b""
        while not re.search(rb" [1-9]\d*/100000", seen):
            piece = process.stderr.read1(4096)
            assert piece, f"ended before the first step: {seen!r}"
            seen += piece
        process.send_signal(signal)
        out, err = process.communicate()
    finally:
        give_up.cancel()
        process.kill()
    assert process.returncode == exit_code, (process.returncode, err)
    assert b"Traceback" not in err, err
    return int(re.match(rb"out\.png: stopped after (\d+) steps of 100000", out)[1])
