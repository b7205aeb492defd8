"""Batches: many images, in processes of this machine or on a Ray cluster (chapter 31)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from stylelib.arguments import check_callback, choice, whole
from stylelib.errors import InputError
from stylelib.large.batch_runs import BatchRun
from stylelib.large.clusters import Ray
from stylelib.large.folders import Folder
from stylelib.large.jobs import Jobs, JobStyle, check_settings, jobs_of
from stylelib.large.reports import (
    BatchReport,
    Outcome,
    check_place,
)
from stylelib.large.workers import Processes

__all__ = ["ENGINES", "EngineName", "batch"]

EngineName = Literal["processes", "ray"]
ENGINES: tuple[EngineName, ...] = ("processes", "ray")


def batch(
    jobs: Jobs,
    folder: str | os.PathLike[str],
    *,
    styles: JobStyle | None = None,
    engine: EngineName | None = None,
    workers: int | None = None,
    threads: int = 1,
    address: str | None = None,
    ending: str = ".png",
    checkpoints: bool = False,
    callback: Callable[[Outcome], None] | None = None,
    **settings: Any,
) -> BatchReport:
    """Paint many images, several at once, into a folder.

    Each image gets its settings beside it, as from `TransferResult.save`, and a thumbnail. The
    folder gets report.csv, a line for each job; report.jsonl, to which the lines are added
    while the batch runs; and index.html, a page of thumbnails.

    A job that cannot be done, for example because a file is damaged, is told in the report,
    and the others go on. If you call `batch` again, an image that is there is kept if the
    contents of its files and its settings are the same. So a batch that was interrupted or that
    has grown costs only what is missing. An image of other contents or settings is never
    replaced: the new one gets a hash in its name. One batch at a time should write to a folder.

    Images depend on the jobs alone, not on the engine or the number of workers: the same
    numbers of threads and the same processor give the same bits.

    Args:
        jobs: what to paint: a folder of photographs; a table, the path of a .csv file with the
            columns "content", "style" and settings, an empty cell for what is not set; or a
            list of paths, of `Job` objects, or of mappings such as rows of a table. Paths in a
            table start from its folder.
        folder: where to write; it is made if it does not exist.
        styles: the path of a style image or a `Style` of one, or a list; each photograph is
            painted in each, unless its row names a style.
        engine: "processes" of this machine, or "ray" for a Ray cluster (the extra `many`).
            None is "ray" if there is an `address`.
        workers: how many images are made at once; None is as many as the processors allow.
            Processes share the free memory of this machine evenly, but not that of a GPU, so
            for large images give fewer. `memory` is for each.
        threads: processors for each image.
        address: of a running Ray cluster, "auto" for the one on this machine; without one,
            "ray" starts Ray here.
        ending: of the images: ".png", ".jpg" and so on.
        checkpoints: whether each run keeps its state in the folder "checkpoints" while it
            lasts, so that long ones go on from there (`transfer`). On a cluster that needs a
            folder that all machines share; others begin again.
        callback: called with an `Outcome` as each job is done, in any order.
        settings: arguments of `stylelib.transfer` for all jobs; a job's own count more. The
            device is "cpu" unless it is set. `net`, `callback`, `state` and
            `checkpoint` cannot be given.

    Returns:
        What became of each job.

    Raises:
        InputError: there are no jobs, no style, or an argument or a name of a setting that
            cannot be. A *value* that a transfer refuses costs only its own job.
        FileError: the folder or the table cannot be used.
        MissingExtraError: Ray is asked for and not installed.
        Interrupted: Ctrl-C. Its `.result` is the report so far.

    Example:
        >>> import tempfile
        >>> from stylelib import batch, samples
        >>> cat, wave = samples.path("chelsea"), samples.path("hatching")
        >>> folder = tempfile.mkdtemp()
        >>> report = batch([cat], folder, styles=wave, workers=1, image_shape=32, steps=1)
        >>> print(report, [path.name for path in report.images])
        1 made, 0 kept, 0 failed ['chelsea--hatching.png']
    """
    if callback is not None:
        check_callback(callback)
    check_settings(settings)
    listed = jobs_of(jobs, styles)
    kept = Folder(folder, ending)
    if isinstance(jobs, str | os.PathLike) and Path(jobs).resolve() == kept.path.resolve():
        raise InputError(f"folder is that of the photographs, '{folder}': choose another")
    check_place(kept)
    common = {**settings, "device": settings.get("device") or "cpu"}
    with open_engine(engine, workers, threads, address, common["device"]) as working:
        run = BatchRun(listed, kept, common, threads, checkpoints, callback)
        return run.through(working)


def open_engine(
    engine: EngineName | None,
    workers: int | None,
    threads: int,
    address: str | None,
    device: Any,
) -> Processes | Ray:
    """What does the work; see `batch`."""
    if engine is None:
        engine = "processes" if address is None else "ray"
    choice("engine", engine, ENGINES)
    whole("threads", threads)
    if workers is not None:
        whole("workers", workers)
    if engine == "ray":
        gpus = 1 if str(device).startswith("cuda") else 0
        return Ray(workers, threads, address, gpus)
    if address is not None:
        raise InputError("address is that of a Ray cluster: it needs engine='ray'")
    if str(device) != "cpu" and workers is None:
        workers = 1  # one GPU, which images would share
    return Processes(workers, threads)
