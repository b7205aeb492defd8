"""One call of `batch`: jobs become tasks, and answers become files (chapter 31)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from stylelib.errors import Interrupted, StylelibError
from stylelib.files import encoded, load_image
from stylelib.large.folders import THUMBNAILS, Folder, safe_stem
from stylelib.large.jobs import Job, identity
from stylelib.large.painter import Failed, Made, Task, thumbnail
from stylelib.large.reports import (
    BatchReport,
    Outcome,
    Status,
    add_line,
    write_report,
)
from stylelib.large.workers import Engine
from stylelib.precision import resolve_precision
from stylelib.style_transfer import find_recipe

__all__ = ["BatchRun", "Destination"]


@dataclass(frozen=True)
class Destination:
    """The file that the image of a job goes to.

    Attributes:
        name: of the image.
        job: what is recorded of the job: its key, and the hashes of its files.
    """

    name: str
    job: dict[str, Any]


@dataclass
class BatchRun:
    """One call of `batch`.

    Attributes:
        jobs: all of them.
        folder: where to write.
        common: settings of all jobs.
        threads: processors for each image.
        checkpoints: whether the state of each run is kept.
        callback: called with each outcome.
        outcomes: so far, by the number of the job.
        destinations: of the jobs in work.
        twins: for the key of each job in work, the numbers of those that are the same.
    """

    jobs: list[Job]
    folder: Folder
    common: Mapping[str, Any]
    threads: int = 1
    checkpoints: bool = False
    callback: Callable[[Outcome], None] | None = None
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    destinations: dict[int, Destination] = field(default_factory=dict)
    twins: dict[str, list[int]] = field(default_factory=dict)

    def through(self, engine: Engine) -> BatchReport:
        """Do all jobs, and report; after Ctrl-C, report what is done."""
        begin, interrupted = time.perf_counter(), False
        try:
            for number, found in engine.run(self.tasks()):
                self.finish(number, found)
        except KeyboardInterrupt:
            interrupted = True
        outcomes = [self.outcomes[number] for number in sorted(self.outcomes)]
        seconds = time.perf_counter() - begin
        report = BatchReport(
            self.folder.path, outcomes, len(self.jobs), seconds, interrupted=interrupted
        )
        write_report(self.folder, report)
        if interrupted:
            raise Interrupted(
                f"stopped by Ctrl-C: {report}; the same call goes on from here", report
            )
        return report

    def tasks(self) -> Iterator[tuple[int, Task]]:
        """The tasks, read as they are asked for. What needs no work is told at once."""
        for number, job in enumerate(self.jobs, 1):
            try:
                task, target = self.prepared(job)
                key = target.job["key"]
                kept = self.folder.has(target.name, key)
                if kept:
                    self.keep_thumbnail(target.name)
            except StylelibError as error:
                self.tell(number, "failed", message=" ".join(str(error).split()))
                continue
            if kept:
                self.tell(number, "kept", target.name)
            elif key in self.twins:
                self.twins[key].append(number)
            else:
                self.twins[key], self.destinations[number] = [], target
                yield number, task

    def prepared(self, job: Job) -> tuple[Task, Destination]:
        """The task of a job, and the file its image goes to.

        Raises:
            StylelibError: it cannot be done.
        """
        files, settings = job.read(self.common)
        key = identity(files, settings)
        name = self.name_for(job, key)
        settings |= {"init": files.init, "precision": self.precision(settings)}
        task = Task(
            files.content,
            str(job.content),
            files.styles,
            job.style_names,
            settings,
            self.folder.ending,
            self.threads,
            str(self.folder.checkpoint(name, key)) if self.checkpoints else None,
        )
        return task, Destination(name, {"key": key, **files.digests})

    def name_for(self, job: Job, key: str) -> str:
        """The name of a job's image."""
        stems = [safe_stem(str(job.content)), *map(safe_stem, job.style_names)]
        return self.folder.name_for("--".join(stems[:2]), key)

    def precision(self, settings: Mapping[str, Any]) -> Any:
        """The precision in force, so that all workers have the same: it is measured."""
        asked = settings["precision"]
        word = asked or find_recipe(settings["recipe"]).arithmetic
        if word != "auto" or str(settings["device"]) != "cpu":
            return asked
        return resolve_precision(word, torch.device("cpu"))

    def finish(self, number: int, found: Made | Failed) -> None:
        """Write an image, and tell of it."""
        job, target = self.jobs[number - 1], self.destinations.pop(number)
        same = self.twins.pop(target.job["key"])
        if isinstance(found, Made):
            said = {"content": str(job.content), "style": job.style_name}
            try:
                record = found.record | said | {"job": target.job}
                self.folder.put(target.name, found.image, record, found.thumbnail)
                if self.checkpoints:
                    path = self.folder.checkpoint(target.name, target.job["key"])
                    path.unlink(missing_ok=True)
            except StylelibError as error:
                found = Failed(str(error))
        for each in [number, *same]:
            if isinstance(found, Failed):
                self.tell(each, "failed", message=found.message)
            elif each == number:
                self.tell(each, "made", target.name, found.seconds)
            else:
                self.tell(each, "kept", target.name)

    def tell(
        self,
        number: int,
        status: Status,
        image: str = "",
        seconds: float = 0.0,
        message: str = "",
    ) -> None:
        """Record what became of a job."""
        job = self.jobs[number - 1]
        outcome = Outcome(
            number, str(job.content), job.style_name, status, image, seconds, message
        )
        self.outcomes[number] = outcome
        add_line(self.folder, outcome)
        if self.callback is not None:
            self.callback(outcome)

    def keep_thumbnail(self, name: str) -> None:
        """Make the thumbnail of an image that is there, if it is missing."""
        small = f"{THUMBNAILS}/{name}.jpg"
        if not (self.folder.path / small).exists():
            image = thumbnail(load_image(self.folder.path / name))
            self.folder.write(small, encoded(image, ".jpg", quality=85))
