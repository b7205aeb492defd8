"""A batch on a real Ray cluster of two nodes, one of which is killed."""

import os
import threading
import time

import psutil
import pytest
import torch
from PIL import Image
from toys import statuses

from stylelib import InputError, batch, samples
from stylelib.large.batch_runs import BatchRun
from stylelib.large.folders import Folder
from stylelib.large.frames import Here
from stylelib.large.jobs import Job

ray = pytest.importorskip("ray", reason="the extra 'many' is not installed")

TINY = {"recipe": "d2l", "image_shape": 16, "precision": "float32"}


@pytest.fixture(scope="module")
def cluster():
    """The first node of a cluster, with one processor."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    from ray.cluster_utils import Cluster

    arguments = {"num_cpus": 1, "include_dashboard": False}
    found = Cluster(initialize_head=True, head_node_args=arguments)
    yield found
    ray.shutdown()
    found.shutdown()


@pytest.fixture
def jobs(tmp_path):
    samples.load("mosaic").resize((48, 32)).save(tmp_path / "mosaic.png")
    listed = []
    for number in range(8):
        path = tmp_path / f"{number}.png"
        samples.load("coffee").rotate(45 * number).resize((48, 32)).save(path)
        listed.append(Job(path, tmp_path / "mosaic.png", {"seed": number}))
    (tmp_path / "broken.png").write_bytes(b"no")
    return [*listed, Job(tmp_path / "broken.png", tmp_path / "mosaic.png")]


def expected(jobs, folder, **settings):
    """The same jobs in this process, on one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        run = BatchRun(jobs, Folder(folder, ".png"), {"device": "cpu", **TINY, **settings})
        return run.through(Here())
    finally:
        torch.set_num_threads(threads)


def same_bits(report, other):
    return [(path.name, path.read_bytes()) for path in report.images] == [
        (path.name, path.read_bytes()) for path in other.images
    ]


def test_all_jobs_are_done_though_a_node_is_killed(cluster, jobs, tmp_path):
    node = cluster.add_node(num_cpus=1)
    cluster.wait_for_nodes()
    told, removed = [], threading.Event()

    def remove(outcome):
        told.append(outcome)
        if outcome.status == "made" and not removed.is_set():
            removed.set()  # both nodes have a task in work
            cluster.remove_node(node, allow_graceful=False)

    report = batch(
        jobs, tmp_path / "out", address=cluster.address, callback=remove, steps=20, **TINY
    )
    assert removed.is_set()
    assert str(report) == "8 made, 0 kept, 1 failed"
    assert len(told) == 9
    assert "broken.png" in report.failed[0].message
    assert not ray.is_initialized()  # what it has connected, it disconnects
    for path in report.images:
        with Image.open(path) as image:
            assert image.size == (24, 16)
    assert same_bits(report, expected(jobs, tmp_path / "here", steps=20))
    again = batch(jobs, tmp_path / "out", address=cluster.address, steps=20, **TINY)
    assert str(again) == "0 made, 8 kept, 1 failed"


def test_a_job_that_kills_its_workers_is_given_up(cluster, jobs, tmp_path):
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    killed, over = [], threading.Event()

    def kill():
        while len(killed) < 2 and not over.is_set():
            for process in psutil.process_iter(["cmdline"]):
                title = " ".join(process.info["cmdline"] or [])
                if title.startswith("ray::answer") and process.pid not in killed:
                    process.kill()
                    killed.append(process.pid)
            time.sleep(0.02)

    thread = threading.Thread(target=kill)
    thread.start()
    long = Job(jobs[0].content, jobs[0].style, {"steps": 1_000_000})
    try:
        report = batch(
            [long, jobs[1]], tmp_path / "out", workers=1, engine="ray", steps=1, **TINY
        )
        assert ray.is_initialized()  # that was not connected by the batch
    finally:
        over.set()
        thread.join()
        ray.shutdown()
    assert len(killed) == 2
    assert statuses(report) == ["failed", "made"]
    assert report.failed[0].message == "2 workers died over it: WorkerCrashedError"


def test_where_there_is_no_cluster_it_says_so(jobs, tmp_path, monkeypatch):
    def init(**asked):
        assert asked["address"] == "nowhere:1"
        raise ConnectionError("no answer")

    monkeypatch.setattr(ray, "init", init)  # Ray itself tries for a minute
    match = "there is no Ray cluster at 'nowhere:1': no answer"
    with pytest.raises(InputError, match=match):
        batch(jobs, tmp_path / "out", address="nowhere:1", steps=1, **TINY)
