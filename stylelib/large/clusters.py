"""A Ray cluster that does the tasks of a batch (chapter 31).

It gives the same answers to the same tasks as `stylelib.large.workers`. Ray would repeat what
failed by itself, but it does not tell a task that kills its workers from a machine that goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import pickle
from collections.abc import Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any, Self

from stylelib.devices import cores
from stylelib.errors import InputError, missing
from stylelib.large.painter import Failed, Made, Task, answer
from stylelib.large.workers import AHEAD, TRIES, ahead

__all__ = ["Ray"]

NODES = 5
"""So many machines may go while they have one task in work. Rented ones often go."""
STYLES = 32
"""So many styles are kept on a cluster for the next tasks."""


class Ray:
    """The machines of a Ray cluster.

    Args:
        workers: how many tasks at once; None is as many as there are processors.
        threads: of each, and so the processors that Ray keeps free for it.
        address: of the cluster; None is the one that is connected already, or the one of the
            environment variable RAY_ADDRESS, or a new one on this machine.
        gpus: the GPUs that a task needs.

    Raises:
        MissingExtraError: Ray is not installed.
        InputError: there is no cluster at that address.
    """

    def __init__(
        self,
        workers: int | None = None,
        threads: int = 1,
        address: str | None = None,
        gpus: float = 0,
    ) -> None:
        if find_spec("ray") is None:
            raise missing("ray", "many")
        self.workers, self.threads, self.address = workers, threads, address
        self.needs = {"num_cpus": threads, "num_gpus": gpus}
        self.work: Any = None
        self.ray: Any = None  # it is imported and connected for the first task
        self.ours = False
        self.styles: dict[bytes, Any] = {}

    def _connect(self) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would report what it does
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or it warns
        os.environ.setdefault("RAY_py_gcs_connect_timeout_s", "10")  # for each of a few tries
        import ray

        self.ray, self.ours = ray, not ray.is_initialized()
        said: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
        if self.address is not None:
            said["address"] = self.address
        elif not os.environ.get("RAY_ADDRESS"):
            workers = self.workers or max(1, cores() // self.threads)
            said |= {"address": "local", "num_cpus": workers * self.threads}
            said["include_dashboard"] = False
        if self.ours:
            with _limited_wait() if self.address else contextlib.nullcontext():
                try:
                    ray.init(**said)
                except (ConnectionError, RuntimeError, ValueError) as error:
                    raise InputError(
                        f"there is no Ray cluster at {self.address!r}: {error}"
                    ) from error
        self.work = ray.remote(answer).options(**self.needs, max_retries=0)

    def run(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Made | Failed]]:
        """Do tasks, each with its number; the answers come as they are ready."""
        running: dict[Any, tuple[int, Task, int, int]] = {}

        def begin(number: int, task: Task, died: int = 0, gone: int = 0) -> None:
            running[self._begin(task)] = (number, task, died, gone)

        def ready() -> Iterator[tuple[int, Made | Failed]]:
            for done in self.ray.wait(list(running), num_returns=1)[0]:
                number, task, died, gone = running.pop(done)
                try:
                    found: Made | Failed = self.ray.get(done)
                except self.ray.exceptions.RayError as error:
                    left = isinstance(error, self._losses())
                    died, gone = (died, gone + 1) if left else (died + 1, gone)
                    if died < TRIES and gone < NODES:
                        begin(number, task, died, gone)
                        continue
                    what = f"{gone} machines" if left else f"{died} workers"
                    found = Failed(f"{what} died over it: {type(error).__name__}")
                yield number, found

        try:
            yield from ahead(tasks, begin, ready, self._room)
        finally:
            for task in running:
                self.ray.cancel(task, force=True)

    def _losses(self) -> tuple[type[Exception], ...]:
        """What is raised if a machine goes, for which its tasks are not to blame."""
        errors = self.ray.exceptions
        return errors.NodeDiedError, errors.ObjectLostError, errors.LocalRayletDiedError

    def _begin(self, task: Task) -> Any:
        """Send a task; the styles of many tasks are sent once."""
        if self.ray is None:
            self._connect()
        digest = hashlib.sha256(pickle.dumps(task.styles)).digest()
        styles = self.styles.pop(digest, None) or self.ray.put(task.styles)
        self.styles[digest] = styles  # now the newest
        if len(self.styles) > STYLES:
            del self.styles[next(iter(self.styles))]
        return self.work.remote(replace(task, styles=None), styles)

    def _room(self) -> int:
        """How many tasks are out at once; a cluster may grow."""
        if self.workers is not None:
            return self.workers
        available = self.ray.cluster_resources().get("CPU", 1)
        return max(1, int(AHEAD * available / self.threads))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.ours:
            self.ray.shutdown()


@contextlib.contextmanager
def _limited_wait() -> Iterator[None]:
    """Within the block, Ray tries a few times to reach a cluster, and not for minutes."""
    name = "RAY_gcs_server_port_wait_time_s"
    chosen = name in os.environ
    os.environ.setdefault(name, "3")
    try:
        yield
    finally:
        if not chosen:
            del os.environ[name]
