"""Memory and time of a step by the size of the image, plain and by tiles.

    python benchmarks/scale.py [--sizes 256 512 1024 2048 4096] [--memory GB] [--steps 6]
                               [--device cpu]

Sizes are longer sides; images are 3 : 2. Each is measured in processes of its own: one the
plain way, where that fits into the machine, one within the bound of memory (by default 85% of
what is free), and one, in float32 and up to `--compare`, that computes the gradient both ways.
Their difference is the largest of all pixels, divided by the largest gradient. Memory is that
of the device. Losses, layers and optimizer are those of the recipe "coarse-to-fine". A step is
one evaluation, and the median of those after the first step counts; targets are not counted.
"""

import argparse
import contextlib
import json
import signal
import statistics
import subprocess
import sys
from itertools import pairwise
from typing import Any

import torch
from peaks import machine, peak
from torch import Tensor

from stylelib import RECIPES, InputError, optimize, preprocess, samples, vgg19
from stylelib.control.styles import Painting, Wanted
from stylelib.features import Features
from stylelib.large.plans import Plan, Planner
from stylelib.large.room import available
from stylelib.optimization import Objective
from stylelib.precision import Precision, resolve_precision

RECIPE = RECIPES["coarse-to-fine"]
PLAIN = 1e6
"""A bound in GB that no machine has: the plain way."""


def planned(
    size: int, memory: float, precision: Precision, steps: int, device: torch.device
) -> tuple[Planner, Plan]:
    """How a size is computed: by tiles if there is a bound and tiles save memory."""
    shape = (round(size * 2 / 3), size)
    planner = Planner(
        vgg19(layers=RECIPE.layers).to(device),
        precision,
        RECIPE.layers,
        targets=list(RECIPE.content_layers),
        descent=RECIPE.descent,
        device=device,
        memory=memory,
    )
    plan = planner.plan(shape, [shape], steps)
    if memory < PLAIN and plan.side is None:
        planner.bound = 0.98 * plan.memory
        with contextlib.suppress(InputError):
            plan = planner.plan(shape, [shape], steps)
    return planner, plan


def problem(
    size: int, features: tuple[Features, Features], device: torch.device
) -> tuple[Tensor, Objective]:
    """An image to begin with, and what is wanted of it."""
    shape = (round(size * 2 / 3), size)
    photo, style = (
        preprocess(samples.load(name), shape).to(device) for name in ("coffee", "brushstrokes")
    )
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    start, wanted = photo + 0.1 * noise.to(device), Wanted(photo, [Painting(style)])
    return start, RECIPE.objective(wanted, start, *features, last=True)


def measured(size: int, memory: float, device: torch.device, steps: int) -> dict[str, Any]:
    """Some steps in this process: its peak of memory in GB, and the seconds of a step."""
    planner, plan = planned(size, memory, "auto", steps, device)
    start, objective = problem(size, planner.features(plan), device)
    X = start.requires_grad_()
    optimizer, _ = RECIPE.descent.begin(X, steps, None)
    history = optimize(X, objective, optimizer, steps=steps).history
    seconds = [
        (b.seconds - a.seconds) / (b.evaluations - a.evaluations) for a, b in pairwise(history)
    ]
    return {
        "parts": plan.parts,
        "side": plan.side,
        "expected": plan.memory / 1e9,
        "peak": peak(device),
        "seconds": statistics.median(seconds),
    }


def difference(size: int, memory: float, device: torch.device) -> dict[str, Any]:
    """The largest difference of the gradients in float32, relative to the largest gradient."""
    torch.backends.cudnn.allow_tf32 = False  # float32 as it is
    gradients = []
    for bound in (PLAIN, memory):
        planner, plan = planned(size, bound, "float32", 1, device)
        if bound == memory and plan.side is None:
            return {}  # no tiles to compare with
        start, objective = problem(size, planner.features(plan), device)
        losses = objective(start.requires_grad_())
        gradients.append(
            torch.autograd.grad(torch.stack(list(losses.values())).sum(), start)[0]
        )
    plain, tiled = gradients
    return {"difference": float((plain - tiled).abs().max() / plain.abs().max())}


def in_a_process(
    what: str, size: int, memory: float, steps: int, device: torch.device
) -> dict[str, Any]:
    """The answer of this program in a process of its own; empty if it does not fit."""
    command = [sys.executable, __file__, "--sizes", str(size), "--memory", str(memory)]
    command += ["--steps", str(steps), "--what", what, "--device", str(device)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode == -signal.SIGKILL:  # the system had no memory left
        return {}
    done.check_returncode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def fits(size: int, steps: int, device: torch.device) -> bool:
    """Whether the plain way fits into the memory that is available."""
    planner, plan = planned(size, PLAIN, "auto", steps, device)
    return plan.memory < planner.used + 0.9 * planner.room


def line(size: int, options: argparse.Namespace) -> str:
    """A line of the table."""
    steps, pixels = options.steps, round(size * 2 / 3) * size / 1e6
    at = options.device
    plain = in_a_process("steps", size, PLAIN, steps, at) if fits(size, steps, at) else {}
    tiled = in_a_process("steps", size, options.memory, steps, at)
    compared = size <= options.compare
    both = in_a_process("difference", size, options.memory, 1, at) if compared else {}
    cells = [f"{round(size * 2 / 3)} x {size}".rjust(12)]
    for found in (plain, tiled):
        cells += [
            f"{found['peak']:8.2f}{found['seconds']:9.3f}{found['seconds'] / pixels:8.3f}"
            if found
            else f"{'-':>8}{'-':>9}{'-':>8}"
        ]
    plan = (
        f"{tiled['expected']:9.2f}{tiled['parts']:6}{tiled['side'] or '-':>6}" if tiled else ""
    )
    error = f"{both['difference']:11.1e}" if both else f"{'-':>11}"
    return "".join([*cells, f"{plan:21}", error])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[256, 512, 1024, 2048, 4096])
    parser.add_argument("--memory", type=float, help="bound in GB")
    parser.add_argument("--steps", type=int, default=6, help="evaluations, 4 or more")
    parser.add_argument("--compare", type=int, default=2048, help="largest size compared")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--what", choices=["table", "steps", "difference"], default="table")
    options = parser.parse_args()
    if options.memory is None:
        options.memory = round(0.85e-9 * available(options.device), 1)
    if options.steps < 4:
        parser.error("--steps must be 4 or more: the first is not counted")
    if options.what != "table":
        asked = options.sizes[0], options.memory, options.device
        try:
            found = (
                measured(*asked, options.steps)
                if options.what == "steps"
                else difference(*asked)
            )
        except InputError:  # it does not fit
            found = {}
        print(json.dumps(found))
        return
    auto = resolve_precision("auto", options.device)
    print(f"{machine(options.device)}, {auto}, torch {torch.__version__}")
    print(f"{'':12}{'plain':>25}{f'by tiles, {options.memory:g} GB':>25}")
    titles = f"{'GB':>8}{'s/step':>9}{'s/MP':>8}"
    print(
        f"{'pixels':>12}{titles}{titles}{'expected':>9}{'parts':>6}{'side':>6}{'difference':>11}"
    )
    for size in options.sizes:
        print(line(size, options), flush=True)


if __name__ == "__main__":
    main()
