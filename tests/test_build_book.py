"""The build of the book: its check of the site finds what is broken and only that, and what it
says while it runs is true."""

import io
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import build_book
import jupytext
import pytest
import torch
from book_progress import Progress, about, explain, last_words, spell, which_cell
from check_site import problems
from fingerprint import EXECUTION, SITE, fingerprint
from myst_nb.core.config import NbParserConfig
from myst_parser.config.main import MdParserConfig
from nbclient.exceptions import CellExecutionError, CellTimeoutError
from nbformat.v4 import new_code_cell
from running import pages_at_a_time, run_pages
from running import tell as tell_of
from sphinx.errors import ExtensionError

BOOK = Path(__file__).parent.parent / "book"


@pytest.fixture
def site(tmp_path):
    site = tmp_path / "site"
    (site / "book").mkdir(parents=True)
    (site / "book" / "a b.html").write_text("<h1 id='top'>Hi</h1>")
    (site / "logo.png").write_bytes(b"")
    (tmp_path / "outside.html").write_text("")
    return site


@pytest.mark.parametrize(
    "sound",
    [
        "<a href='a%20b.html#top'>x</a>",
        "<a href='../book/a%20b.html?q=1'>x</a>",
        "<a href='#here' id='here'>x</a>",
        "<a href='https://example.org'>x</a>",
        "<a href='mailto:a@example.org'>x</a>",
        "<img src='../logo.png' srcset='../logo.png 2x'>",
        "<img src='data:image/png;base64,AAAA'>",
        "<link rel='canonical' href='https://example.org/'>",
    ],
)
def test_sound_references_pass(site, sound):
    (site / "book" / "page.html").write_text(sound)
    assert list(problems(site)) == []


@pytest.mark.parametrize(
    "broken",
    [
        "<a href='gone.html'>x</a>",
        "<a href='a%20b.html#gone'>x</a>",
        "<a href='#gone'>x</a>",
        "<a href='../../outside.html'>x</a>",
        "<a href='file:///etc/hostname'>x</a>",
        "<img src='gone.png'>",
        "<img src='../logo.png' srcset='gone.png 2x'>",
        "<img src='https://example.org/a.png'>",
        "<script src='//example.org/a.js'></script>",
        "<iframe src='https://example.org'></iframe>",
        "<link rel='shortcut stylesheet' href='https://example.org/a.css'>",
        "<link rel='preload' href='https://example.org/a.woff2'>",
        "<video poster='gone.png'></video>",
    ],
)
def test_broken_references_are_found(site, broken):
    (site / "book" / "page.html").write_text(broken)
    assert len(list(problems(site))) == 1


# --- a line for each page


@pytest.fixture
def progress():
    return Progress({"a": 10, "b": 30, "c": 60}, io.StringIO())


def tell(progress, **event):
    assert progress.hear(f"book-progress: {json.dumps(event)}\n") == ""


def lines(progress):
    return [" ".join(line.split()) for line in progress.out.getvalue().splitlines()]


def test_a_line_of_the_log_is_not_for_us(progress):
    line = "reading sources... [ 4%] book/01-first-picture\n"
    assert progress.hear(line) == line
    assert progress.out.getvalue() == ""
    assert (
        progress.hear('a warning book-progress: {"pages": [], "at_a_time": 1}\n')
        == "a warning \n"
    )
    assert progress.out.getvalue().startswith("0 pages")


def test_an_event_that_another_message_has_damaged_goes_to_the_log(progress):
    line = 'book-progress: {"failed": "a", "tra[IPKernelApp] WARNING\n'
    assert progress.hear(line) == line


def test_each_page_has_a_line_with_its_time_and_how_far_and_how_long_to_go(progress):
    tell(progress, pages=["a", "b", "c"], at_a_time=1)
    assert lines(progress) == ["3 pages run code. If none is cached, this takes about 2 min."]
    tell(progress, ends="b", title="Losses", seconds=0.4, runtime=31, ran=False)
    assert lines(progress)[-1] == "[1/3] Losses cached 30% about 70 s to go"
    tell(progress, ends="a", title="Pictures", seconds=20.2, runtime=19.8, ran=True)
    # twice as slow as expected, so the other 60 s become 120; 40 of 100 expected seconds are done
    assert lines(progress)[-1] == "[2/3] Pictures 20 s 40% about 2 min to go"
    tell(progress, ends="c", title="Steps", seconds=100, runtime=99, ran=True)
    assert lines(progress)[-1] == "[3/3] Steps 1 min 40 s 100%"
    tell(progress, rendering=True)
    assert len(lines(progress)) == 5
    assert progress.seconds == {"a": 19.8, "b": 31, "c": 99}


def test_pages_that_run_at_the_same_time_each_take_a_part_of_the_time(progress):
    tell(progress, pages=["a", "b", "c"], at_a_time=2)
    tell(progress, ends="a", title="Pictures", seconds=40, runtime=40, ran=True)
    # half of 40 s for what was expected to take 10, so the other 90 s become 180
    assert lines(progress)[-1] == "[1/3] Pictures 40 s 10% about 3 min to go"
    tell(progress, ends="c", title="Steps", seconds=100, runtime=100, ran=True)
    # 70 s for 70
    assert lines(progress)[-1] == "[2/3] Steps 1 min 40 s 70% about 30 s to go"
    assert progress.seconds == {"a": 20, "c": 50}


def test_a_page_that_was_never_timed_is_expected_to_take_a_minute(progress):
    assert progress.expect(["new"]) == 60


@pytest.mark.parametrize(
    ("seconds", "said", "roughly"),
    [
        (0.2, "0 s", "0 s"),
        (59.4, "59 s", "59 s"),
        (59.6, "1 min 00 s", "60 s"),
        (250, "4 min 10 s", "4 min"),
        (3599.7, "1 h 00 min", "60 min"),
        (3900, "1 h 05 min", "65 min"),
    ],
)
def test_times_are_spelled(seconds, said, roughly):
    assert spell(seconds) == said
    assert about(seconds) == roughly


# --- pages that run


@pytest.mark.parametrize(
    ("cores", "memory", "device", "expected"),
    [
        (1, 64e9, "cpu", 1),
        (2, 8e9, "cpu", 2),
        (16, 64e9, "cpu", 4),
        (8, 8e9, "cpu", 3),
        (8, 2e9, "cpu", 1),
        (8, float("inf"), "cpu", 2),
        (8, 64e9, "cuda", 1),
    ],
)
def test_as_many_pages_run_as_there_are_cores_and_memory_for(
    monkeypatch, cores, memory, device, expected
):
    monkeypatch.setattr("running.cores", lambda: cores)
    monkeypatch.setattr("running.available", lambda _: memory)
    monkeypatch.setattr("running.find_device", lambda _: torch.device(device))
    assert pages_at_a_time() == expected


def test_an_event_is_written_in_one_piece(monkeypatch):
    """Pages that run at the same time print too; `print` writes the end of a line by itself."""
    written = []
    stream = SimpleNamespace(write=written.append, flush=lambda: None)
    monkeypatch.setattr("running.sys.stdout", stream)
    tell_of(ends="a", seconds=1)
    assert written == ['book-progress: {"ends": "a", "seconds": 1}\n']


def page(code):
    header = "---\nkernelspec:\n  name: python3\njupytext:\n  text_representation:\n"
    header += "    format_name: myst\n---\n\n"
    return f"{header}# The title\n\n```{{code-cell}} ipython3\n{code}\n```\n"


@pytest.fixture
def book(tmp_path, monkeypatch, capfd):
    """A function that runs pages, given as name and code; returns the events."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")  # so that it is put back after the test
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr("running.cores", lambda: 6)
    monkeypatch.setattr("running.pages_at_a_time", lambda: 2)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "page_seconds.json").write_text('{"long": 9, "short": 1}')
    env = SimpleNamespace(
        doc2path=lambda name: str(tmp_path / f"{name}.md"),
        myst_config=MdParserConfig(),
        mystnb_config=NbParserConfig(
            execution_mode="cache", execution_cache_path=str(tmp_path / "cache")
        ),
    )

    def run(**codes):
        for name, code in codes.items():
            (tmp_path / f"{name}.md").write_text(page(code))
        (tmp_path / "plain.md").write_text("# No code")
        try:
            run_pages(SimpleNamespace(srcdir=str(tmp_path)), env, ["plain", *codes])
        finally:
            told = capfd.readouterr().out.splitlines()
            run.events = [json.loads(line.removeprefix("book-progress: ")) for line in told]
        return run.events

    return run


MEET = """
import os, pathlib, time
pathlib.Path("{name}.here").touch()
for _ in range(900):
    if pathlib.Path("{other}.here").exists():
        break
    time.sleep(0.1)
else:
    raise TimeoutError
assert os.environ["OMP_NUM_THREADS"] == "3"
"""


def test_pages_run_at_the_same_time_and_are_then_found_in_the_cache(book):
    pair = {
        "one": MEET.format(name="one", other="two"),
        "two": MEET.format(name="two", other="one"),
    }
    first, *ends = book(**pair)
    assert first == {"pages": ["one", "two"], "at_a_time": 2}
    assert sorted(end["ends"] for end in ends) == ["one", "two"]
    assert all(end["ran"] and end["title"] == "The title" for end in ends)
    assert all(0 < end["runtime"] <= end["seconds"] for end in ends)
    _, *again = book(**pair)
    assert [end["ran"] for end in again] == [False, False]


def test_the_longest_pages_begin_first(book, tmp_path, monkeypatch):
    monkeypatch.setattr("running.pages_at_a_time", lambda: 1)
    note = "with open('order', 'a') as file:\n    file.write('{} ')"
    book(**{name: note.format(name) for name in ("brief", "short", "long")})
    assert (tmp_path / "order").read_text() == "long short brief "


@pytest.mark.parametrize(
    ("code", "said"),
    [("print(1)\n1 / 0", "ZeroDivisionError"), ("import os\nos._exit(1)", "Kernel died")],
)
def test_the_first_page_that_fails_ends_the_build_and_no_other_begins(
    book, tmp_path, monkeypatch, code, said
):
    monkeypatch.setattr("running.pages_at_a_time", lambda: 1)
    with pytest.raises(ExtensionError, match="long has failed"):
        book(long=code, short="open('begun', 'w').close()")
    assert book.events[-1]["failed"] == "long"
    assert said in book.events[-1]["traceback"]
    time.sleep(1)
    assert not (tmp_path / "begun").exists()


# --- a cell that fails

PAGE = """# Title

```{code-cell} ipython3
first = 1
```

Text with `code`.

```{code-cell} ipython3
:tags: [hide-input]
:name: second

second = first +

  first
```

```{code-cell} ipython3
---
tags: [hide-input]
---
for i in range(3):
    print(i)
    wait()
    wait()
    wait()
    wait()
    wait()
    wait()
    wait()
    wait()
    wait()
    finish(i)
```
"""
SECOND = "second = first +\n\n  first"


def failing(code, error="\x1b[31mSyntaxError\x1b[39m: invalid syntax"):
    """What Jupyter's own client says of a cell."""
    message = {"ename": "SyntaxError", "evalue": "no", "traceback": ["-" * 75, "line 1", error]}
    return str(CellExecutionError.from_cell_and_msg(new_code_cell(code), message))


def test_the_cell_that_failed_is_found_in_its_page():
    assert which_cell(PAGE, failing("first = 1")) == (1, 3, "first = 1")
    assert which_cell(PAGE, failing(SECOND)) == (2, 9, SECOND)
    assert which_cell(PAGE, failing("elsewhere()")) is None


def test_a_failure_is_told_in_ten_lines_with_page_line_cell_and_error():
    said = explain(Path("book/page.md"), PAGE, failing(SECOND)).splitlines()
    assert len(said) <= 10
    assert said[0] == "book/page.md:9: cell 2 failed:"
    assert said[1:3] == ["    second = first +", "      first"]
    assert said[-1] == "SyntaxError: invalid syntax"


def test_a_cell_that_takes_too_long_is_told_too():
    code = PAGE.split("---\n")[2].split("```")[0]
    error = CellTimeoutError.error_from_timeout_and_cell("timed out", 900, new_code_cell(code))
    said = explain(Path("page.md"), PAGE, f"nbclient.CellTimeoutError: {error}").splitlines()
    assert said[0] == "page.md:18: cell 3 failed:"
    assert said[1] == "    for i in range(3):"
    assert "timed out while it was being executed, after 900 seconds" in said[-1]
    assert len(said) <= 10


def test_a_failure_that_no_cell_explains_ends_with_the_error():
    said = explain(Path("page.md"), PAGE, "Traceback\n" * 20 + "OddError: why")
    assert said.splitlines()[-1] == "OddError: why"
    assert len(said.splitlines()) <= 10


def test_of_two_cells_of_which_one_holds_the_other_the_longer_is_named():
    page = "```{code-cell} ipython3\n:tags: [x]\n```\n" + PAGE.replace("second", "first")
    assert which_cell(page, failing("first = first +\n\n  first"))[0] == 3


LOG = """\x1b[91mWARNING: something else\x1b[39m
[IPKernelApp] WARNING | Kernel is running over TCP
Traceback (most recent call last):
nbclient.exceptions.DeadKernelError: Kernel died
The above exception was the direct cause of the following exception:
RuntimeError: There was an error in building your book. Look above for the cause.
"""


def test_a_log_that_ends_in_an_error_is_known_by_that_error():
    assert last_words(LOG) == "nbclient.exceptions.DeadKernelError: Kernel died"


def test_a_log_without_an_error_is_known_by_its_warnings_or_its_end():
    warned = [*LOG.splitlines()[:2], "page.md:3: WARNING: no such label", "done"]
    assert last_words("\n".join(warned)).splitlines() == [
        "WARNING: something else",
        "page.md:3: WARNING: no such label",
    ]
    assert last_words("\n".join(map(str, range(50)))).splitlines() == [
        str(n) for n in range(42, 50)
    ]


@pytest.mark.parametrize("path", sorted(BOOK.glob("[0-9]*.md")), ids=lambda path: path.stem)
def test_every_cell_of_the_book_is_found(path):
    text = path.read_text(encoding="utf-8")
    cells = [cell.source for cell in jupytext.read(path).cells if cell.cell_type == "code"]
    for number, code in enumerate(cells, 1):
        found = which_cell(text, failing(code))
        assert found is not None
        assert found[0] == number


# --- what has changed


def test_a_fingerprint_changes_with_names_contents_words_and_profile(tmp_path, monkeypatch):
    monkeypatch.delenv("STYLELIB_PROFILE", raising=False)
    (tmp_path / "folder").mkdir()
    file = tmp_path / "folder" / "a.txt"
    file.write_text("one")
    (tmp_path / "other.md").write_text("")
    seen = [fingerprint(tmp_path, ["**/*.txt"])]
    (tmp_path / "other.md").write_text("not among them")
    assert fingerprint(tmp_path, ["folder/*", "**/*.txt"]) == seen[0]
    file.write_text("two")
    seen.append(fingerprint(tmp_path, ["**/*.txt"]))
    file.rename(tmp_path / "folder" / "b.txt")
    seen.append(fingerprint(tmp_path, ["**/*.txt"]))
    seen.append(fingerprint(tmp_path, ["**/*.txt"], "a word"))
    monkeypatch.setenv("STYLELIB_PROFILE", "full")
    seen.append(fingerprint(tmp_path, ["**/*.txt"]))
    assert len(set(seen)) == len(seen)


def test_every_file_of_the_library_counts():
    root = BOOK.parent
    files = {
        p
        for p in (root / "stylelib").rglob("*")
        if p.suffix in {".py", ".pyi", ".json", ".jpg"}
    }
    for patterns in (EXECUTION, SITE):
        assert files <= {path for pattern in patterns for path in root.glob(pattern)}


@pytest.mark.parametrize(
    ("name", "usual", "other"),
    [("PROFILE", "auto", "full"), ("PRECISION", "auto", "float32"), ("DEVICE", "", "cpu")],
)
def test_what_is_usual_is_the_same_as_nothing(tmp_path, monkeypatch, name, usual, other):
    monkeypatch.delenv(f"STYLELIB_{name}", raising=False)
    unset = fingerprint(tmp_path, [])
    monkeypatch.setenv(f"STYLELIB_{name}", usual)
    assert fingerprint(tmp_path, []) == unset
    monkeypatch.setenv(f"STYLELIB_{name}", other)
    assert fingerprint(tmp_path, []) != unset


# --- the whole build, with a small program in the place of jupyter-book

BUILDS = """
import json, os, pathlib, sys, time
def tell(**event): print("book-progress: " + json.dumps(event), flush=True)
print("a line for the log")
tell(pages=["book/page"], at_a_time=1)
"""
SUCCEEDS = """
tell(ends="book/page", title="A page", seconds=2.0, runtime=1.5, ran=True)
site = pathlib.Path("_build/html/book"); site.mkdir(parents=True)
(site / "index.html").write_text("<h1>Hi</h1>")
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.delenv("STYLELIB_PROFILE", raising=False)
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "page.md").write_text(PAGE)
    return tmp_path


def build(project, program):
    return build_book.main(project, [Path(sys.executable).name, "-c", BUILDS + program])


def test_a_build_says_its_pages_and_a_second_one_has_nothing_to_do(project, capsys):
    assert build(project, SUCCEEDS) == 0
    said = capsys.readouterr().out
    assert "[1/1] A page" in said
    assert f"Its first page: {project / '_build' / 'html' / 'book' / 'index.html'}" in said
    assert (project / "_build" / "book.log").read_text() == "a line for the log\n"
    assert build(project, "raise SystemExit(9)") == 0
    assert capsys.readouterr().out.startswith("Nothing to do")
    (project / "book" / "page.md").write_text(PAGE + "more")
    assert build(project, SUCCEEDS) == 0
    assert capsys.readouterr().out.startswith("Building the book")


def test_a_build_with_a_failing_cell_names_it_and_is_tried_again(project, capsys):
    program = (
        f"tell(failed='book/page', title='A page', traceback={failing(SECOND)!r}); sys.exit(2)"
    )
    for _ in range(2):
        assert build(project, program) == 1
        said = capsys.readouterr()
        assert "[1/1] A page" in said.out
        assert "failed" in said.out
        assert said.err.startswith(f"{Path('book/page.md')}:9: cell 2 failed:\n")
        assert len(said.err.splitlines()) <= 11
    assert "SyntaxError" in (project / "_build" / "book.log").read_text()


def test_a_build_that_ends_otherwise_says_why(project, capsys):
    assert build(project, "print('MemoryError: too much'); sys.exit(1)") == 1
    assert capsys.readouterr().err.startswith("the build stopped:\nMemoryError: too much\n")


def test_a_broken_link_fails_the_build(project, capsys):
    program = SUCCEEDS.replace("<h1>Hi</h1>", "<a href='gone.html'>x</a>")
    assert build(project, program) == 1
    assert "'gone.html' leads nowhere" in capsys.readouterr().err


def test_ctrl_c_ends_what_was_begun(project, capsys, monkeypatch):
    program = "pathlib.Path('pid').write_text(str(os.getpid())); time.sleep(600)"

    def interrupt(self, line):
        for _ in range(600):
            if (project / "pid").exists() and (project / "pid").read_text():
                raise KeyboardInterrupt
            time.sleep(0.05)

    monkeypatch.setattr(Progress, "hear", interrupt)
    assert build(project, program) == 130
    assert "Stopped." in capsys.readouterr().out
    with pytest.raises(OSError):  # noqa: PT011  there is no such process; Windows has its own words
        os.kill(int((project / "pid").read_text()), 0)
