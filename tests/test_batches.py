import csv
import hashlib
import html.parser
import json
import os
import re
import signal
import sys
import threading
import time
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import psutil
import pytest
import torch
from PIL import Image
from processes import AS_IN_A_TERMINAL, started
from toys import statuses

from stylelib import (
    EMBEDDED_WEIGHTS,
    BatchReport,
    FileError,
    InputError,
    Job,
    Style,
    batch,
    samples,
    transfer,
)
from stylelib.__main__ import main
from stylelib.large import jobs as large_jobs
from stylelib.large.batch_runs import BatchRun
from stylelib.large.folders import Folder, safe_stem
from stylelib.large.frames import Here
from stylelib.large.jobs import jobs_of
from stylelib.large.painter import network
from stylelib.large.reports import Outcome, write_report
from stylelib.large.workers import Processes

TINY = {"recipe": "d2l", "image_shape": 16, "steps": 1, "precision": "float32"}


@pytest.fixture
def photographs(tmp_path):
    """A folder with three photographs and something else, and two styles beside it."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for name in ("chelsea", "coffee", "rocket"):
        samples.load(name).resize((48, 32)).save(folder / f"{name}.png")
    (folder / "notes.txt").write_text("no image\n")
    for name in ("mosaic", "hatching"):
        samples.load(name).resize((48, 32)).save(tmp_path / f"{name}.png")
    return folder


def here(jobs, folder, styles=None, **settings):
    """A batch in this process, which is quicker."""
    common = {"device": "cpu", **TINY, **settings}
    return BatchRun(jobs_of(jobs, styles), Folder(folder, ".png"), common).through(Here())


class NoWork:
    """Refuses all tasks."""

    def run(self, tasks):
        for number, task in tasks:
            raise AssertionError(f"job {number} is made: {task}")
        yield from ()


def files_below(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# --- what comes out


def test_each_photograph_is_painted_in_each_style_as_transfer_paints_it(photographs):
    styles = [photographs.parent / "mosaic.png", photographs.parent / "hatching.png"]
    report = here(photographs, photographs.parent / "out", styles)
    assert isinstance(report, BatchReport)
    assert [path.name for path in report.images] == [
        f"{photo}--{style}.png"
        for photo in ("chelsea", "coffee", "rocket")
        for style in ("mosaic", "hatching")
    ]
    for each, path in zip(report.outcomes, report.images, strict=True):
        expected = transfer(each.content, each.style, device="cpu", **TINY)
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), np.asarray(expected.image))
        settings = json.loads(Path(f"{path}.json").read_text("utf-8"))
        for name, value in json.loads(json.dumps(expected.settings)).items():
            assert settings[name] == value, name
        digest = hashlib.sha256(Path(each.content).read_bytes()).hexdigest()
        assert settings["job"]["content"] == digest


def test_processes_give_the_same_bits_as_this_process(photographs):
    style, threads = photographs.parent / "mosaic.png", torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        expected = here(photographs, photographs.parent / "here", style)
    finally:
        torch.set_num_threads(threads)
    seen = []
    report = batch(
        photographs,
        photographs.parent / "out",
        styles=style,
        workers=2,
        callback=seen.append,
        **TINY,
    )
    assert str(report) == "3 made, 0 kept, 0 failed"
    assert sorted(each.number for each in seen) == [1, 2, 3]
    for one, other in zip(expected.images, report.images, strict=True):
        assert (one.name, one.read_bytes()) == (other.name, other.read_bytes())


def test_a_painter_keeps_its_network():
    assert network((0, 5)) is network((0, 5))
    assert len(network((0, 5))) == 6


def test_several_styles_are_mixed_and_masks_are_files(photographs, tmp_path):
    mask = Image.new("L", (48, 32))
    mask.paste(255, (0, 0, 24, 32))
    mask.save(tmp_path / "left.png")
    mosaic, hatching = tmp_path / "mosaic.png", tmp_path / "hatching.png"
    style = [Style(mosaic, weight=2.0, here=tmp_path / "left.png"), Style(hatching)]
    # a layer that sees little: the region is small
    settings = {"style_layers": ["conv1_1"], "image_shape": 32}
    job = Job(photographs / "coffee.png", style, settings)
    report = here([job], tmp_path / "out")
    expected = transfer(photographs / "coffee.png", style, device="cpu", **TINY | settings)
    with Image.open(report.images[0]) as image:
        assert np.array_equal(np.asarray(image), np.asarray(expected.image))
    mask.paste(255, (0, 0, 48, 32))
    mask.save(tmp_path / "left.png")
    assert statuses(here([job], tmp_path / "out")) == ["made"]  # another job now


def test_weights_are_given_in_part(photographs, tmp_path):
    path = photographs / "coffee.png"
    job = Job(path, tmp_path / "mosaic.png", {"weights": {"style": 123.0}})
    (image,) = here([job], tmp_path / "out").images
    weights = json.loads(Path(f"{image}.json").read_text("utf-8"))["weights"]
    assert (weights["style"], weights["content"]) == (123.0, EMBEDDED_WEIGHTS.content)
    wrong = Job(path, tmp_path / "mosaic.png", {"weights": {"stile": 1.0}})
    (outcome,) = here([wrong], tmp_path / "out").outcomes
    assert outcome.message == "there is no weight of 'stile'; content, style, tv"


# --- what goes wrong costs itself


def test_a_bad_job_costs_itself_and_stands_in_the_report(photographs, tmp_path):
    (photographs / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (photographs / "empty.png").write_bytes(b"")
    good, style = photographs / "coffee.png", tmp_path / "mosaic.png"
    jobs = [
        good,
        photographs / "broken.png",
        photographs / "empty.png",
        photographs / "none.png",
        photographs,
        {"content": good, "steps": -3},
        {"content": good, "stepz": 3},
        {"content": good, "recipe": "d3l"},
        {"content": ""},
        {"content": good, "style": tmp_path / "none.png"},
        {"content": "a\0b.png"},
        photographs / "rocket.png",
    ]
    if hasattr(os, "mkfifo"):  # to read from it would take for ever
        os.mkfifo(tmp_path / "pipe.png")
        jobs.append(tmp_path / "pipe.png")
    report = here(jobs, tmp_path / "out", style)
    assert [k for k, each in enumerate(report.outcomes) if each.status == "made"] == [0, 11]
    told = [each.message for each in report.outcomes]
    assert str(photographs / "broken.png") in told[1]
    assert told[2].endswith("is empty (0 bytes)")
    assert told[3] == f"there is no file '{photographs / 'none.png'}'"
    assert told[4] == f"'{photographs}' is a directory, not an image"
    assert told[5] == "steps must be a whole number, 1 or more, not -3"
    assert told[6] == "there is no setting 'stepz' of a job; did you mean 'steps'?"
    assert told[7] == "there is no recipe 'd3l'; did you mean 'd2l'?"
    assert told[8] == "the job names no content"
    assert told[9] == f"there is no file '{tmp_path / 'none.png'}'"
    assert "null" in told[10]
    if len(jobs) > 12:
        assert told[12] == f"'{tmp_path / 'pipe.png'}' is no ordinary file"
    with (tmp_path / "out" / "report.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == statuses(report)
    assert [row["message"] for row in rows] == told
    lines = (tmp_path / "out" / "report.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["number"] for line in lines} == set(range(1, len(jobs) + 1))


def test_what_no_job_can_mean_is_refused_before_the_work(photographs, tmp_path, monkeypatch):
    style, out = tmp_path / "mosaic.png", tmp_path / "out"
    for asked, match in [
        ({"stepz": 3}, "there is no setting 'stepz' of a job; did you mean 'steps'"),
        ({"net": None}, "there is no setting 'net'"),
        ({"recipe": 3}, "given by its name, not 3"),
        ({"engine": "rays"}, "did you mean 'ray'"),
        ({"workers": 0}, "workers must be a whole number, 1 or more, not 0"),
        ({"threads": 0}, "threads must be"),
        ({"address": "auto", "engine": "processes"}, "address is that of a Ray cluster"),
        ({"ending": ".txt"}, "ending must be one of .png"),
        ({"callback": 3}, "callback must be a function"),
    ]:
        with pytest.raises(InputError, match=match):
            batch(photographs, out, styles=style, **asked)
    with pytest.raises(InputError, match="has no style"):
        batch(photographs, out)
    with pytest.raises(InputError, match="choose another"):
        batch(photographs, photographs, styles=style)
    with pytest.raises(InputError, match="no image to paint"):
        batch([], out, styles=style)
    with pytest.raises(InputError, match="a folder of images, a table"):
        batch(style, out, styles=style)
    with pytest.raises(FileError, match="there is no folder or table"):
        batch(tmp_path / "nowhere", out, styles=style)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"stylelib\[many\]"):
        batch(photographs, out, styles=style, engine="ray")


# --- again


def test_what_is_finished_is_kept(photographs, tmp_path):
    style, out = tmp_path / "mosaic.png", tmp_path / "out"
    here(photographs, out, style)
    before = files_below(out)
    jobs = jobs_of(photographs, style)
    # the same settings, some of them said by the job or as another type of number
    jobs = [Job(job.content, job.style, {"image_shape": 16.0, "seed": 0}) for job in jobs]
    again = BatchRun(jobs, Folder(out, ".png"), {"device": "cpu", **TINY}).through(NoWork())
    assert statuses(again) == ["kept"] * 3
    after = files_below(out)
    for name in before:
        if "report" not in name and "index" not in name:
            assert before[name] == after[name]
    samples.load("astronaut").resize((48, 32)).save(photographs / "astronaut.png")
    assert statuses(here(photographs, out, style)) == ["made", "kept", "kept", "kept"]


def test_an_image_of_another_job_stays(photographs, tmp_path):
    style, out = tmp_path / "mosaic.png", tmp_path / "out"
    (first,) = here([photographs / "coffee.png"], out, style).images
    before = first.read_bytes()
    (second,) = here([photographs / "coffee.png"], out, style, steps=2).images
    samples.load("rocket").resize((32, 48)).save(photographs / "coffee.png")
    (third,) = here([photographs / "coffee.png"], out, style).images
    assert len({first, second, third}) == 3
    assert first.read_bytes() == before
    for image in (second, third):
        key = json.loads(Path(f"{image}.json").read_text("utf-8"))["job"]["key"]
        assert image.name == f"coffee--mosaic-{key[:12]}.png"


@pytest.mark.parametrize("harm", ["image", "cut", "settings", "nonsense"])
def test_what_is_damaged_is_made_again(photographs, tmp_path, harm):
    style, out = tmp_path / "mosaic.png", tmp_path / "out"
    (image,) = here([photographs / "coffee.png"], out, style).images
    before, settings = image.read_bytes(), Path(f"{image}.json")
    if harm == "image":
        image.unlink()
    elif harm == "cut":
        image.write_bytes(before[:-10])
    elif harm == "settings":
        settings.unlink()
    else:
        settings.write_bytes(b"[" * 100_000)
    (again,) = here([photographs / "coffee.png"], out, style).images
    assert again.read_bytes() == before


def test_an_image_without_thumbnail_that_cannot_be_read_costs_itself(photographs, tmp_path):
    out = tmp_path / "out"
    (image,) = here([photographs / "coffee.png"], out, tmp_path / "mosaic.png").images
    image.write_bytes(b"x" * image.stat().st_size)
    (out / "thumbnails" / f"{image.name}.jpg").unlink()
    report = here(photographs, out, tmp_path / "mosaic.png")
    assert statuses(report) == ["made", "failed", "made"]
    assert image.name in report.failed[0].message


def test_a_file_of_too_many_bytes_is_not_read(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr(
        large_jobs, "MAX_BYTES", (photographs / "coffee.png").stat().st_size - 1
    )
    monkeypatch.setattr(Path, "read_bytes", lambda self: pytest.fail(f"{self} is read"))
    with pytest.raises(FileError, match=r"coffee.png' has more than .* bytes"):
        Job(photographs / "coffee.png", tmp_path / "mosaic.png").read({})


def test_a_job_that_comes_twice_is_made_once(photographs, tmp_path):
    path, style = photographs / "coffee.png", tmp_path / "mosaic.png"
    report = here([path, path, photographs / "rocket.png", path], tmp_path / "out", style)
    assert statuses(report) == ["made", "kept", "made", "kept"]
    assert len(set(report.images)) == 2


def test_a_copy_is_the_same_job_under_another_name(photographs, tmp_path):
    (photographs / "copy.png").write_bytes((photographs / "coffee.png").read_bytes())
    report = here(photographs, tmp_path / "out", tmp_path / "mosaic.png")
    assert statuses(report) == ["made", "made", "kept", "made"]
    assert report.images[1] == report.images[2]
    again = here(photographs, tmp_path / "out", tmp_path / "mosaic.png")
    assert statuses(again) == ["kept"] * 4
    assert again.images == report.images


def test_a_line_that_was_cut_short_spoils_no_other(tmp_path):
    folder = Folder(tmp_path, ".png")
    folder.append("lines", b'{"number": 1}')
    with (tmp_path / "lines").open("ab") as stream:
        stream.write(b'{"numb')
    folder.append("lines", b'{"number": 2}')
    assert (tmp_path / "lines").read_bytes().splitlines() == [
        b'{"number": 1}',
        b'{"numb',
        b'{"number": 2}',
    ]


# --- names, links, the page

HOSTILE = [
    "../../escaped.png",
    "/etc/passwd",
    "..",
    ".hidden.png",
    "-o",
    "a\0b.png",
    "con.png",
    "x" * 400 + ".png",
    "é" * 200,
    "<script>alert(1)</script>.png",
    '"><img src=x onerror=alert(1)>.png',
    "bad\udcff.png",
    "line\nbreak.png",
    "..\\..\\windows.png",
    "=1+1.png",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_becomes_letters_digits_and_dashes(name):
    stem = safe_stem(name)
    assert stem
    assert all(letter.isalnum() or letter in "-_" for letter in stem)
    assert not stem.startswith(("-", "_"))
    assert len(f"{stem}--{stem}-{'0' * 12}.png.json".encode()) < 255


def test_hostile_names_write_only_into_the_folder(photographs, tmp_path):
    source = (photographs / "coffee.png").read_bytes()
    jobs = []
    for number, name in enumerate(HOSTILE):
        try:
            path = photographs / str(number) / name.replace("/", "-").replace("..", "-")
            path.parent.mkdir()
            path.write_bytes(source)
        except (OSError, ValueError):  # no file can have this name here
            path = Path(name)
        jobs.append({"content": path, "seed": number})
    before = files_below(tmp_path)
    report = here(jobs, tmp_path / "out", tmp_path / "mosaic.png")
    assert len(report.made) > len(HOSTILE) / 2
    after = files_below(tmp_path)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("out/") for name in after.keys() - before.keys())
    assert len(set(report.images)) == len(report.images)
    page = (tmp_path / "out" / "index.html").read_text("utf-8")
    tags = tags_of(page)
    assert not [tag for tag, _ in tags if tag == "script"]
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on")]
    table = (tmp_path / "out" / "report.csv").read_text("utf-8")
    assert not [row for row in csv.reader(table.splitlines()) if any(c[:1] == "=" for c in row)]


def tags_of(page):
    found = []

    class Reader(html.parser.HTMLParser):
        def handle_starttag(self, tag, attributes):
            found.append((tag, dict(attributes)))

    Reader().feed(page)
    return found


def test_the_page_shows_each_image_with_a_text_and_tells_of_the_others(photographs, tmp_path):
    (photographs / "broken.png").write_bytes(b"no")
    out = tmp_path / "out"
    report = here(photographs, out, tmp_path / "mosaic.png")
    page = (out / "index.html").read_text("utf-8")
    tags = tags_of(page)
    shown = [attributes for tag, attributes in tags if tag == "img"]
    assert len(shown) == len(report.images) == 3
    for attributes, image in zip(shown, report.images, strict=True):
        assert attributes["alt"] == f"{image.name.split('--')[0]} in the style of mosaic"
        with Image.open(out / unquote(attributes["src"])) as small:
            assert small.format == "JPEG"
            assert small.width <= 240
    links = [attributes["href"] for tag, attributes in tags if tag == "a"]
    assert [out / unquote(link) for link in links] == report.images
    assert "broken.png" in page
    assert report.failed[0].message.split("'")[-1] in page
    assert not [tag for tag, _ in tags if tag in ("script", "link")]
    assert "color-scheme: light dark" in page
    (out / "thumbnails" / f"{report.images[0].name}.jpg").unlink()
    here(photographs, out, tmp_path / "mosaic.png")
    assert (out / "thumbnails" / f"{report.images[0].name}.jpg").exists()


def test_many_images_make_several_pages(tmp_path):
    outcomes = [Outcome(k, f"{k}.png", "s.png", "made", f"{k}.png") for k in range(1, 2002)]
    report = BatchReport(tmp_path, outcomes, 2001, 1.0)
    write_report(Folder(tmp_path, ".png"), report)
    pages = [tmp_path / name for name in ("index.html", "index-2.html", "index-3.html")]
    counts = [page.read_text("utf-8").count("<img") for page in pages]
    assert counts == [1000, 1000, 1]
    links = [a["href"] for tag, a in tags_of(pages[1].read_text("utf-8")) if tag == "a"]
    assert links[:3] == [page.name for page in pages]


def test_nothing_is_written_through_links_or_over_other_files(photographs, tmp_path):
    out, outside, style = tmp_path / "out", tmp_path / "outside", tmp_path / "mosaic.png"
    out.mkdir()
    outside.write_bytes(b"precious")
    try:
        (out / "coffee--mosaic.png").symlink_to(outside)
    except OSError:
        pytest.skip("there are no links here")
    (out / "rocket--mosaic.png").write_bytes(b"mine")
    report = here(photographs, out, style)
    assert statuses(report) == ["made"] * 3
    assert outside.read_bytes() == b"precious"
    assert (out / "rocket--mosaic.png").read_bytes() == b"mine"
    assert [path.name.count("-") for path in report.images] == [2, 3, 3]
    (out / "report.csv").unlink()
    (out / "report.csv").symlink_to(outside)
    with pytest.raises(FileError, match="is not of a batch"):
        batch(photographs, out, styles=style, **TINY)
    (out / "report.csv").unlink()
    (out / "index.html").write_text("<h1>My page</h1>")
    with pytest.raises(FileError, match="is not of a batch"):
        batch(photographs, out, styles=style, **TINY)
    assert (out / "index.html").read_text() == "<h1>My page</h1>"
    other = tmp_path / "other"
    other.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (other / "thumbnails").symlink_to(tmp_path / "elsewhere")
    report = here([photographs / "coffee.png"], other, style)
    assert "is a link" in report.failed[0].message
    assert not list((tmp_path / "elsewhere").iterdir())
    link = Folder(other, ".png").checkpoint("a.png", "0123")
    link.symlink_to(tmp_path / "elsewhere" / "new")
    with pytest.raises(FileError, match="is a link"):
        Folder(other, ".png").checkpoint("a.png", "0123")


# --- tables


def test_a_table_names_files_and_settings(photographs, tmp_path):
    table = photographs / "jobs.csv"
    table.write_bytes(
        "\ufeffContent,style,size,steps,shares,style-layers,clamp,init,colors\r\n"
        'coffee.png,../mosaic.png,16x24,2,"content=0.5,style=0.5",conv1_1,no,noise,keep\r\n'
        ",,,,,,,,\r\n"
        "rocket.png,,20,,,,,coffee.png,\r\n".encode()
    )
    first, second = jobs_of(table, tmp_path / "hatching.png")
    assert first == Job(
        str(photographs / "coffee.png"),
        str(photographs / "../mosaic.png"),
        {
            "image_shape": (16, 24),
            "steps": 2,
            "shares": {"content": 0.5, "style": 0.5},
            "style_layers": ["conv1_1"],
            "clamp": False,
            "init": "noise",
            "colors": "keep",
        },
    )
    assert second == Job(
        str(photographs / "rocket.png"),
        tmp_path / "hatching.png",
        {"image_shape": 20, "init": str(photographs / "coffee.png")},
    )


def test_a_table_of_a_spreadsheet_has_semicolons(tmp_path):
    (tmp_path / "t.csv").write_text('content;style;steps\n"a;b.png";s.png;7\n')
    (job,) = jobs_of(tmp_path / "t.csv")
    assert (Path(job.content).name, job.settings) == ("a;b.png", {"steps": 7})


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", "has no column 'content'"),
        ("image,style\na,b\n", "has no column 'content'"),
        ("content,style,style\na,b,c\n", "two columns 'style'"),
        ("content,style\n", "no image to paint"),
        ("content,steps\na,3\n", "has no style"),
        ("content,style\n" + "a" * 200_000 + ",b\n", "not a table"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(tmp_path, text, match):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=match):
        jobs_of(tmp_path / "t.csv")


def test_a_row_with_too_many_cells_costs_itself(photographs, tmp_path):
    (photographs / "t.csv").write_text(
        "content,style\ncoffee.png,../mosaic.png,3\nrocket.png,../mosaic.png\nrocket.png,\n"
    )
    report = here(photographs / "t.csv", tmp_path / "out")
    assert statuses(report) == ["failed", "made", "failed"]
    assert "'column 3'" in report.outcomes[0].message
    assert report.outcomes[2].message == "the job names no style"


# --- workers that die, and Ctrl-C


def is_worker(process):
    try:
        return "stylelib.large.painter" in " ".join(process.cmdline())
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


def test_what_a_killed_worker_did_is_done_by_another(photographs, tmp_path):
    killed, style = [], tmp_path / "mosaic.png"

    def kill():
        deadline = time.monotonic() + 60
        while not killed and time.monotonic() < deadline:
            for child in psutil.Process().children():
                if is_worker(child):
                    child.kill()
                    killed.append(child.pid)
            time.sleep(0.05)

    thread = threading.Thread(target=kill)
    thread.start()
    report = batch(photographs, tmp_path / "out", styles=style, workers=1, **TINY)
    thread.join()
    assert killed
    assert statuses(report) == ["made"] * 3
    expected = here(photographs, tmp_path / "here", style)
    for one, other in zip(expected.images, report.images, strict=True):
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL to report")
def test_a_job_that_kills_its_workers_is_given_up(photographs, tmp_path):
    killers = 0

    def kill(outcome_or_none=None):
        nonlocal killers
        deadline, seen = time.monotonic() + 60, set()
        while killers < 2 and time.monotonic() < deadline:
            for child in psutil.Process().children():
                if child.pid not in seen and is_worker(child):
                    seen.add(child.pid)
                    child.kill()
                    killers += 1
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    style = tmp_path / "mosaic.png"
    report = batch(photographs, tmp_path / "out", styles=style, workers=1, **TINY)
    thread.join()
    assert killers == 2
    assert statuses(report) == ["failed", "made", "made"]
    assert report.failed[0].message == "2 workers died over it: killed by SIGKILL"


def start(folder, contents, *options):
    """The batch command in a process of its own, with one worker."""
    command = [
        *AS_IN_A_TERMINAL,
        "batch",
        contents,
        "mosaic.png",
        "-o",
        "out",
        "--workers",
        "1",
    ]
    settings = ["--recipe", "d2l", "--size", "16", "--precision", "float32"]
    return started([*command, *settings, *options], folder, text=True)


def wait_for(condition, seconds=90):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for one process")
def test_ctrl_c_leaves_what_is_done_and_says_how_to_go_on(photographs, tmp_path):
    (photographs / "t.csv").write_text(
        "content,steps\nrocket.png,1\ncoffee.png,100000\nchelsea.png,1\n"
    )
    process = start(tmp_path, "photographs/t.csv", "--checkpoints")
    checkpoints = tmp_path / "out" / "checkpoints"
    # it is written after the first step
    wait_for(lambda: any(checkpoints.glob("coffee--mosaic.png-*.checkpoint")))
    workers = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    assert out == "out: 1 made, 0 kept, 0 failed, 2 left\n"
    assert "stylelib: stopped; the same command goes on from here" in err
    assert "Traceback" not in err
    assert not [worker for worker in workers if worker.is_running()]
    assert (tmp_path / "out" / "rocket--mosaic.png").exists()
    assert "rocket in the style of mosaic" in (tmp_path / "out" / "index.html").read_text(
        "utf-8"
    )
    # with fewer steps it is another run, which the checkpoint does not stop
    (photographs / "t.csv").write_text(
        "content,steps\nrocket.png,1\ncoffee.png,2\nchelsea.png,1\n"
    )
    common = {"device": "cpu", **TINY}
    jobs = jobs_of(photographs / "t.csv", tmp_path / "mosaic.png")
    folder = Folder(tmp_path / "out", ".png")
    report = BatchRun(jobs, folder, common, checkpoints=True).through(Here())
    assert statuses(report) == ["kept", "made", "made"]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_workers_end_with_whoever_started_them(photographs, tmp_path):
    process = start(tmp_path, "photographs", "--steps", "100000")
    parent = psutil.Process(process.pid)
    wait_for(parent.children)
    workers = parent.children()
    process.kill()
    process.communicate(timeout=60)
    wait_for(lambda: not any(running(worker) for worker in workers), seconds=30)


def running(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_command_line_counts_and_tells(photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (photographs / "broken.png").write_bytes(b"no")
    options = ["--size", "16", "--steps", "1", "--recipe", "d2l", "--precision", "float32"]
    asked = ["batch", "photographs", "mosaic.png", "-o", "out", "--workers", "1", *options]
    assert main([*asked, "--tv-weight", "5"]) == 1
    out, err = capsys.readouterr()
    assert out == "out: 3 made, 0 kept, 1 failed\n"
    assert "broken.png" in err
    settings = json.loads((tmp_path / "out" / "coffee--mosaic.png.json").read_text("utf-8"))
    assert (settings["weights"]["tv"], settings["image_shape"]) == (5.0, 16)
    (photographs / "broken.png").unlink()
    assert main([*asked, "--tv-weight", "5"]) == 0  # from what is there: nothing is started
    assert capsys.readouterr().out == "out: 0 made, 3 kept, 0 failed\n"


def test_a_setting_that_no_worker_can_get_costs_its_job(photographs, tmp_path):
    odd = Job(photographs / "coffee.png", tmp_path / "mosaic.png", {"strength": lambda: 1})
    jobs = [odd, photographs / "rocket.png"]
    report = batch(jobs, tmp_path / "out", styles=tmp_path / "mosaic.png", workers=1, **TINY)
    assert statuses(report) == ["failed", "made"]
    assert "a setting cannot be handed to a worker" in report.failed[0].message


def test_workers_share_the_free_memory(photographs, tmp_path, monkeypatch):
    monkeypatch.setattr("stylelib.large.workers.available", lambda device: 6e9)
    large = Job(photographs / "coffee.png", tmp_path / "mosaic.png", {"image_shape": 2000})
    jobs = [large, photographs / "rocket.png"]
    settings = TINY | {"recipe": "neighbors"}
    report = batch(
        jobs, tmp_path / "out", styles=tmp_path / "mosaic.png", workers=3, **settings
    )
    assert statuses(report) == ["failed", "made"]
    told = re.search(
        r"needs about [\d.]+ GB .* there are ([\d.]+) GB", report.failed[0].message
    )
    # nine tenths of a third of 6 GB, and what the worker's process uses already
    assert 1.8 < float(told[1]) < 1.8 + 1.5


@pytest.mark.skipif(os.name == "nt", reason="Windows runs no shell script as Python")
def test_the_last_words_of_a_worker_are_told(photographs, tmp_path, monkeypatch):
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho First >&2\necho 'ImportError: no torch' >&2\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    photo, style = photographs / "rocket.png", tmp_path / "mosaic.png"
    report = batch([photo], tmp_path / "out", styles=style, workers=1, **TINY)
    said = "2 workers died over it: exit code 3, ImportError: no torch"
    assert report.failed[0].message == said


def test_no_worker_starts_where_nothing_is_to_do():
    with Processes(2) as working:
        assert list(working.run(iter([]))) == []
        assert not working._all
