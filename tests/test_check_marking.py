"""Marking a file: `python -m stylelib check FILE` and `stylelib.check.marking`."""

import io
import os
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from stylelib.check.marking import LONGEST, _defined, _lines, _read, mark, table
from stylelib.errors import FileError

STUDENT = """
import os, sys
print("I print"); print("and complain", file=sys.stderr)

def gram(X):
    F = X.flatten(2)
    return F @ F.mT

def content_loss(Y_hat, Y):
    os._exit(0)

def tv_loss(Y_hat):
    return sum(Y_hat.diff(dim=k).abs().mean() for k in (2, 3)) / 2

def style_loss(Y_hat, gram_Y):
    return bytearray(64 * 2**30)

def my_own_helper():
    raise SystemExit

if True:
    postprocess = None
"""


def test_marking_survives_a_function_that_ends_the_process(tmp_path):
    file = tmp_path / "student.py"
    file.write_text(STUDENT)
    verdicts = {verdict.exercise: verdict for verdict in mark(file)}
    assert list(verdicts) == ["postprocess", "content_loss", "gram", "style_loss", "tv_loss"]
    found = {name: verdict.mistake for name, verdict in verdicts.items()}
    assert found["postprocess"] == "not_callable"
    assert found["content_loss"] == "stopped"
    assert found["gram"] == "not_divided"
    assert found["tv_loss"] is None
    if Path("/proc/self/statm").exists():
        assert "MemoryError" in verdicts["style_loss"].message
    rows = table(verdicts.values()).splitlines()
    assert rows[-1] == "1 of 5 right"
    assert max(map(len, rows)) <= 96
    assert "student" not in sys.modules


def test_a_file_that_does_not_load_is_marked_wrong(tmp_path):
    file = tmp_path / "student.py"
    file.write_text("import nosuchthing\ndef gram(X): return X\ndef tv_loss(X): return X")
    first, second = mark(file)
    assert first.mistake == second.mistake == "file"
    assert "line 1" in first.message
    assert "nosuchthing" in first.message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("x = 1", "defines no function"),
        ("def gram(X:", "is not Python"),
        ("\0", "is not Python"),
        (None, "cannot read"),
    ],
)
def test_marking_refuses_other_files(tmp_path, source, words):
    file = tmp_path / "student.py"
    if source is not None:
        file.write_text(source)
    with pytest.raises(FileError, match=words):
        mark(file)


def test_a_silent_worker_is_stopped(tmp_path):
    file = tmp_path / "student.py"
    file.write_text("def gram(X): return X")
    begun = time.monotonic()
    (verdict,) = mark(file, seconds=0.01)
    assert verdict.mistake == "stopped"
    assert "0.01 seconds" in verdict.message
    assert time.monotonic() - begun < 20
    assert os.listdir(tmp_path) == ["student.py"]


# --- files that interfere

GRAM = """
def gram(X):
    F = X.flatten(2)
    return F @ F.mT / X[0].numel()
"""


def written(tmp_path, source):
    file = tmp_path / "student.py"
    file.write_text(source)
    return file


def marked(tmp_path, source, **options):
    verdicts = mark(written(tmp_path, source), **options)
    return {verdict.exercise: verdict for verdict in verdicts}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_keeps_the_pipe_holds_nothing_up(tmp_path):
    child = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(60)
    os._exit(0)
"""
    begun = time.monotonic()
    assert marked(tmp_path, child + GRAM, seconds=120)["gram"].right
    assert time.monotonic() - begun < 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_child_that_writes_without_end_does_not_win_time(tmp_path):
    child = """
import os, time
def gram(X):
    if os.fork() == 0:
        os.setsid()
        end = time.monotonic() + 30
        while time.monotonic() < end:
            for number in range(3, 12):
                try:
                    os.write(number, b'{"name": "gram", "begun": true}\\n')
                except OSError:
                    pass
        os._exit(0)
    os._exit(0)
"""
    begun = time.monotonic()
    assert marked(tmp_path, child, seconds=6)["gram"].mistake == "stopped"
    assert time.monotonic() - begun < 20


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux")
def test_a_child_that_leaves_its_session_is_ended(tmp_path):
    child = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    with open("child", "w") as file:
        print(os.getpid(), file=file)
    time.sleep(60)
    os._exit(0)
while not os.path.exists("child") or not open("child").read().endswith("\\n"):
    time.sleep(0.01)
"""
    assert marked(tmp_path, child + GRAM)["gram"].right
    number = int((tmp_path / "child").read_text())
    end = time.monotonic() + 10
    while runs(number):
        assert time.monotonic() < end
        time.sleep(0.01)


def runs(number):
    """Whether a process is there and has not ended."""
    try:
        return psutil.Process(number).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_a_line_without_end_is_read_in_parts():
    text = "x" * (2 * LONGEST + 7) + "\n{}\n"
    lines = _lines(io.StringIO(text), threading.Event())
    found = list(iter(lambda: lines.get(timeout=10), None))
    assert [len(line) for line in found] == [LONGEST, LONGEST, 8, 3]
    assert "".join(found) == text


def test_reading_ends_if_nobody_listens():
    class Endless(io.StringIO):
        def readline(self, size=-1):
            return "x"

    stream, over = Endless(), threading.Event()
    lines = _lines(stream, over)
    while not lines.full():
        time.sleep(0.01)
    over.set()
    end = time.monotonic() + 10
    while not stream.closed:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize(
    "line",
    [
        '{"name": "gram", "message": "x"}',
        '{"name": "gram", "message": "x", "right": 1, "mistake": null}',
        '{"name": "gram", "message": "x", "right": true, "mistake": 3}',
        '{"name": "gram", "message": 3, "right": true, "mistake": null}',
        '{"name": ["gram"], "begun": true}',
        '["gram"]',
        "[" * 100_000,
    ],
    ids=range(7),
)
def test_a_line_that_is_no_answer_is_skipped(line):
    assert _read(line, ["gram"]) == ("", None)


def test_a_forged_line_does_not_break_marking(tmp_path):
    forged = """
import os
for number in range(3, 12):
    try:
        os.write(number, b'{"name": "gram", "message": "x"}\\n')
    except OSError:
        pass
"""
    assert marked(tmp_path, forged + GRAM)["gram"].right


def test_a_long_sum_is_read(tmp_path):
    long = "text = " + " + ".join(["'a'"] * 1201)
    with pytest.raises(FileError, match="defines no function"):
        marked(tmp_path, long)
    assert "gram" in _defined(written(tmp_path, f"{long}\n{GRAM}"))


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("from mine import gram", {"gram"}),
        ("from mine import product as gram, x", {"gram", "x"}),
        ("import gram", {"gram"}),
        ("if True:\n    from .mine import gram", {"gram"}),
        ("gram, (a, *b) = 1, (2, 3)", {"gram", "a", "b"}),
        ("gram: int = 1", {"gram"}),
        ("print(gram := 1)", {"gram"}),
        ("[gram for gram in range(3)]", set()),
        ("gram", set()),
        ("def f():\n    gram = 1", {"f"}),
        ("from stylelib import gram", set()),
        ("from stylelib.losses import gram", set()),
    ],
)
def test_names_that_a_file_binds(tmp_path, source, names):
    assert _defined(written(tmp_path, source)) == names


def test_an_imported_function_is_marked(tmp_path):
    (tmp_path / "mine.py").write_text(GRAM)
    assert marked(tmp_path, "from mine import gram")["gram"].right
