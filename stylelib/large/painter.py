"""A painter: it takes one task after the other and keeps its network (chapter 31).

It is what runs on each processor of a batch. It gets files and gives back files, so it shares
no disk with the process that sends the tasks.
"""

from __future__ import annotations

import contextlib
import functools
import io
import math
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import torch
from PIL import Image
from torch import nn

from stylelib.control.styles import Style, own_layers
from stylelib.errors import InputError, StylelibError
from stylelib.files import encoded
from stylelib.large.interrupts import terminations
from stylelib.large.room import allotted
from stylelib.layers import Layer
from stylelib.losses import LossWeights
from stylelib.networks import vgg19, weights_for
from stylelib.style_transfer import find_recipe, transfer

__all__ = ["Failed", "Made", "Task", "answer", "main", "thumbnail"]

THUMBNAIL = (240, 180)
"""The largest width and height of a thumbnail, in pixels."""


@dataclass(frozen=True)
class Task:
    """What a painter needs to know.

    Attributes:
        content: of the photograph's file.
        name: of that file, for messages.
        styles: with the contents of files instead of paths; None if they come apart.
        style_names: of their files.
        settings: arguments of `transfer`.
        ending: of the file to make, such as ".png".
        threads: to compute with; 0 leaves PyTorch's number.
        checkpoint: where to keep the state of the run, if there is such a folder; None keeps
            none.
        room: the bytes of memory that it may take, as others are at work beside it.
    """

    content: bytes = field(repr=False)
    name: str
    styles: list[Style] | None = field(repr=False)
    style_names: list[str]
    settings: Mapping[str, Any]
    ending: str = ".png"
    threads: int = 1
    checkpoint: str | None = None
    room: float = math.inf


@dataclass(frozen=True)
class Made:
    """A finished image.

    Attributes:
        image: the content of its file.
        thumbnail: the content of a small JPEG file.
        record: its settings and what was measured, see `Finished.record`.
        seconds: how long it took, reading and writing included.
    """

    image: bytes = field(repr=False)
    thumbnail: bytes = field(repr=False)
    record: dict[str, Any] = field(repr=False)
    seconds: float


@dataclass(frozen=True)
class Failed:
    """Why there is no image."""

    message: str


class Named(io.BytesIO):
    """The content of a file that messages shall call by its name."""

    def __init__(self, data: Any, name: str) -> None:
        super().__init__(data)
        self.name = name


def answer(task: Task, styles: list[Style] | None = None) -> Made | Failed:
    """Do a task; whatever goes wrong with it is told, not raised.

    Args:
        task: the task.
        styles: those of a task that has none.
    """
    if task.threads:
        torch.set_num_threads(task.threads)
    try:
        with allotted(task.room):
            return painted(task, styles or task.styles or [])
    except StylelibError as error:
        return Failed(" ".join(str(error).split()))
    except MemoryError:
        return Failed("there was not enough memory; make the image smaller")
    except Exception as error:  # whatever it is, the other tasks shall be done
        return Failed(" ".join(f"{type(error).__name__}: {error}".split()))


def painted(task: Task, styles: list[Style]) -> Made:
    """Do a task.

    Raises:
        StylelibError: as `transfer` does.
    """
    begin = time.perf_counter()
    settings = dict(task.settings)
    recipe = find_recipe(settings["recipe"]).changed(
        content_layers=settings["content_layers"], style_layers=settings["style_layers"]
    )
    net = network((*recipe.layers, *own_layers(styles)))
    if settings["weights"] is not None:
        usual = recipe.weights or weights_for(net)
        settings["weights"] = _complete(settings["weights"], usual)
    if task.checkpoint is not None and Path(task.checkpoint).parent.is_dir():
        settings["checkpoint"] = task.checkpoint
    named = [
        replace(style, image=Named(style.image, name))
        for style, name in zip(styles, task.style_names, strict=True)
    ]
    result = transfer(Named(task.content, task.name), named, net=net, **settings)
    image = encoded(result.image, task.ending)
    small = encoded(thumbnail(result.image), ".jpg", quality=85)
    return Made(image, small, result.record(), time.perf_counter() - begin)


@functools.lru_cache(maxsize=2)
def network(layers: tuple[Layer, ...]) -> nn.Module:
    """VGG-19 up to the deepest of some layers, kept for the next task."""
    return vgg19(layers=layers)


def thumbnail(image: Image.Image) -> Image.Image:
    """A small copy of an image."""
    small = image.copy()
    small.thumbnail(THUMBNAIL)
    return small


def _complete(asked: Any, usual: LossWeights) -> Any:
    """Loss weights of which some are given by name."""
    if not isinstance(asked, Mapping):
        return asked
    if unknown := asked.keys() - set(LossWeights._fields):
        known = ", ".join(LossWeights._fields)
        raise InputError(f"there is no weight of {', '.join(map(repr, unknown))}; {known}")
    return usual._replace(**asked)


def main() -> None:
    """Do the tasks that come in at the standard input, until it ends."""
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C is for the process that sends the tasks
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed shall not come between the answers
    tasks: queue.Queue[Task] = queue.Queue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, tasks), daemon=True).start()
    with contextlib.suppress(KeyboardInterrupt), terminations():
        while True:
            answers.write(pickle.dumps(answer(tasks.get())))
            answers.flush()


def _receive(stream: BinaryIO, tasks: queue.Queue[Task]) -> None:
    """Take tasks in. When no more can come, no answer is awaited: end the process."""
    while True:
        try:
            tasks.put(pickle.load(stream))
        except (EOFError, pickle.UnpicklingError):
            os._exit(0)
