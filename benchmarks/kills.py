"""Runs that are killed by SIGKILL at random moments, and go on from their checkpoints.

`make bench-kills`, or `python benchmarks/kills.py 100 --seed 3`. Each run must end with the
same bits as one that was not killed: the image, the losses of all steps, the weights' factors.
Checkpoints are written after every step, to a disk that is made slow. The processes are forks
of one that has loaded everything; so it works on Linux and macOS.
"""

from __future__ import annotations

import argparse
import os
import pickle
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from stylelib import Style, samples, transfer, vgg19
from stylelib.large.checkpoints import Checkpoint

SIZE = (48, 72)


def half(side: int) -> np.ndarray[Any, Any]:
    """A region: the left half, or the right one."""
    mask = np.zeros(SIZE)
    mask[:, side * SIZE[1] // 2 : (side + 1) * SIZE[1] // 2] = 1
    return mask


def small(name: str) -> Image.Image:
    """A sample, small."""
    return samples.load(name).resize(SIZE[::-1])


PHOTO, MOSAIC, STROKES = small("chelsea"), small("mosaic"), small("brushstrokes")
REGIONS = [Style(MOSAIC, here=half(0), erode=False), Style(STROKES, here=half(1), erode=False)]
SHARES = {"content": 0.45, "style": 0.45, "tv": 0.1}
CALLS: dict[str, tuple[Any, dict[str, Any]]] = {
    "L-BFGS, two sizes": (MOSAIC, {"recipe": "coarse-to-fine", "steps": 12, "scales": 2}),
    "L-BFGS, shares": (MOSAIC, {"recipe": "coarse-to-fine", "steps": 20, "shares": SHARES}),
    "L-BFGS, line search": (MOSAIC, {"recipe": "gatys", "steps": 20, "init": "noise"}),
    "Adam on bands": (MOSAIC, {"recipe": "neighbors", "steps": 9, "scales": 2}),
    "Adam, two sizes": (MOSAIC, {"recipe": "d2l", "steps": 12, "scales": 2}),
    "Adam that drops": (MOSAIC, {"recipe": "assignment", "steps": 10}),
    "regions, strength": (REGIONS, {"recipe": "d2l", "steps": 8, "strength": 0.5}),
    "shares of Adam": (
        [MOSAIC, STROKES],
        {"recipe": "d2l", "steps": 20, "shares": SHARES, "colors": "keep"},
    ),
}
"""For each kind of run, its styles and arguments."""


def paint(name: str, checkpoint: Path | None) -> dict[str, Any]:
    """Make a run; what must be the same in the end."""
    style, arguments = CALLS[name]
    result = transfer(
        PHOTO,
        style,
        image_shape=SIZE,
        precision="float32",
        net=NET,
        checkpoint=checkpoint,
        **arguments,
    )
    return {
        "picture": result.picture.numpy().tobytes(),
        "image": np.asarray(result.image).tobytes(),
        "losses": [(record.step, record.losses, record.lr) for record in result.history],
        "factors": result.weight_factors,
        "shares": result.gradient_shares,
    }


def forked(work: Callable[[], None]) -> int:
    """Do something in a process of its own. Returns its number."""
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def finished(name: str, checkpoint: Path | None, answer: Path) -> dict[str, Any]:
    """What a run in a process of its own ends with."""
    _, status = os.waitpid(forked(lambda: told(name, checkpoint, answer)), 0)
    if status:
        sys.exit(f"{name}: the run has failed")
    found: dict[str, Any] = pickle.loads(answer.read_bytes())
    return found


def told(name: str, checkpoint: Path | None, answer: Path) -> None:
    answer.write_bytes(pickle.dumps(paint(name, checkpoint)))


def killed(name: str, checkpoint: Path, after: float) -> str:
    """Kill a run after so many seconds. Returns where it was."""
    number = forked(lambda: told(name, checkpoint, checkpoint.with_name("unread")))
    time.sleep(after)
    os.kill(number, signal.SIGKILL)
    _, status = os.waitpid(number, 0)
    if not os.WIFSIGNALED(status):
        return "after the end"
    if any(".stylelib-checkpoint-" in each.name for each in checkpoint.parent.iterdir()):
        return "while the checkpoint was written"
    return "between two" if checkpoint.exists() else "before the first checkpoint"


def tried(name: str, expected: dict[str, Any], seconds: float, chance: random.Random) -> str:
    """Kill a run once and let it go on. Returns where it was killed; ends if bits differ."""
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "run.checkpoint"
        moment = chance.uniform(0, seconds)
        where = killed(name, checkpoint, moment)
        made = finished(name, checkpoint, Path(folder) / "answer")
        for what, value in expected.items():
            if made[what] != value:
                sys.exit(f"{name}, killed after {moment:.3f} s {where}: {what} differs")
        left = sorted(each.name for each in checkpoint.parent.iterdir())
        if set(left) - {"run.checkpoint", "answer", "unread"}:
            sys.exit(f"{name}: files are left: {left}")
    return where


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", type=int, nargs="?", default=100, help="of kills")
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    given = parser.parse_args()
    chance, tally = random.Random(given.seed), Counter[str]()
    names = list(CALLS)[: given.number]
    expected, seconds = {}, {}
    warmed_up()
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            expected[name] = finished(name, None, Path(folder) / "answer")
            begin = time.perf_counter()  # with a checkpoint, which must change nothing
            again = finished(name, Path(folder) / name, Path(folder) / "answer")
            seconds[name] = time.perf_counter() - begin
            if again != expected[name]:
                sys.exit(f"{name}: with a checkpoint the result is another")
            print(f"{name}: {len(again['losses'])} steps, {seconds[name]:.1f} s", flush=True)
    for trial in range(given.number):
        name = names[trial % len(names)]
        tally[tried(name, expected[name], seconds[name], chance)] += 1
    for where, count in tally.most_common():
        print(f"{count:4d} {where}")
    print(f"{given.number:4d} kills, each run went on to the same bits")


def warmed_up() -> None:
    """Import what PyTorch imports at the first step; without autograd, which bears no forks."""
    X = torch.zeros(2).requires_grad_()
    X.grad = torch.zeros(2)
    torch.optim.Adam([X]).step()


def slow_fsync(file: int) -> None:
    """Wait as for a hard disk, so that many kills come while a checkpoint is written."""
    time.sleep(0.02)
    fsync(file)


fsync = os.fsync
setattr(os, "fsync", slow_fsync)  # noqa: B010  mypy refuses to replace a function
torch.set_num_threads(1)
Checkpoint.every = 0.0
NET = vgg19(layers=["relu5_1", "conv5_1"])
if __name__ == "__main__":
    main()
