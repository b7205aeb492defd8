"""Memory and time of a step by the size of the image, plain and by tiles.

    python benchmarks/scale.py [--sizes 256 512 1024 2048 4096] [--memory 8] [--steps 3]

Sizes are longer sides; images are 3 : 2. Each is measured in processes of its own: one the
plain way, where that fits into the machine, one within the bound of memory, and one, in float32
and up to `--compare`, that computes the gradient in both ways. Their difference is the largest
of all pixels, divided by the largest gradient. Losses, layers and optimizer are those of the
recipe "coarse-to-fine". A step is one evaluation, the targets are not counted.
"""

import argparse
import contextlib
import json
import platform
import subprocess
import sys
from typing import Any

import torch
from peaks import peak
from torch import Tensor

from stylelib import RECIPES, InputError, optimize, preprocess, samples, vgg19
from stylelib.control.styles import Painting, Wanted
from stylelib.features import Features
from stylelib.large.plans import Plan, Planner
from stylelib.optimization import Objective
from stylelib.precision import Precision, resolve_precision

RECIPE = RECIPES["coarse-to-fine"]
PLAIN = 1e6
"""A bound in GB that no machine has: the plain way."""


def planned(size: int, memory: float, precision: Precision, steps: int) -> tuple[Planner, Plan]:
    """How a size is computed: by tiles if there is a bound and tiles save memory."""
    shape = (round(size * 2 / 3), size)
    planner = Planner(
        vgg19(layers=RECIPE.layers),
        precision,
        RECIPE.layers,
        targets=list(RECIPE.content_layers),
        descent=RECIPE.descent,
        device=torch.device("cpu"),
        memory=memory,
    )
    plan = planner.plan(shape, [shape], steps)
    if memory < PLAIN and plan.side is None:
        planner.bound = 0.98 * plan.memory
        with contextlib.suppress(InputError):
            plan = planner.plan(shape, [shape], steps)
    return planner, plan


def problem(size: int, features: tuple[Features, Features]) -> tuple[Tensor, Objective]:
    """An image to begin with, and what is wanted of it."""
    shape = (round(size * 2 / 3), size)
    photo, style = (
        preprocess(samples.load(name), shape) for name in ("coffee", "brushstrokes")
    )
    noise = torch.randn(photo.shape, generator=torch.Generator().manual_seed(0))
    start, wanted = photo + 0.1 * noise, Wanted(photo, [Painting(style)])
    return start, RECIPE.objective(wanted, start, *features, last=True)


def measured(size: int, memory: float, steps: int) -> dict[str, Any]:
    """Some steps in this process: its peak of memory in GB, and the seconds of a step."""
    planner, plan = planned(size, memory, "auto", steps)
    start, objective = problem(size, planner.features(plan))
    X = start.requires_grad_()
    optimizer, _ = RECIPE.descent.begin(X, steps, None)
    made = optimize(X, objective, optimizer, steps=steps)
    return {
        "parts": plan.parts,
        "side": plan.side,
        "expected": plan.memory / 1e9,
        "peak": peak(),
        "seconds": made.history[-1].seconds / made.history[-1].evaluations,
    }


def difference(size: int, memory: float) -> dict[str, Any]:
    """The largest difference of the gradients in float32, relative to the largest gradient."""
    gradients = []
    for bound in (PLAIN, memory):
        planner, plan = planned(size, bound, "float32", 1)
        start, objective = problem(size, planner.features(plan))
        losses = objective(start.requires_grad_())
        gradients.append(
            torch.autograd.grad(torch.stack(list(losses.values())).sum(), start)[0]
        )
    plain, tiled = gradients
    return {"difference": float((plain - tiled).abs().max() / plain.abs().max())}


def in_a_process(what: str, size: int, memory: float, steps: int) -> dict[str, Any]:
    """The answer of this program in a process of its own; empty if it does not fit."""
    command = [sys.executable, __file__, "--sizes", str(size), "--memory", str(memory)]
    command += ["--steps", str(steps), "--what", what]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {}
    return found


def fits(size: int, steps: int) -> bool:
    """Whether the plain way fits into the memory that is available."""
    planner, plan = planned(size, PLAIN, "auto", steps)
    return plan.memory < planner.used + 0.9 * planner.room


def line(size: int, options: argparse.Namespace) -> str:
    """A line of the table."""
    steps, pixels = options.steps, round(size * 2 / 3) * size / 1e6
    plain = in_a_process("steps", size, PLAIN, steps) if fits(size, steps) else {}
    tiled = in_a_process("steps", size, options.memory, steps)
    compared = size <= options.compare
    both = in_a_process("difference", size, options.memory, 1) if compared else {}
    cells = [f"{round(size * 2 / 3)} x {size}".rjust(12)]
    for found in (plain, tiled):
        cells += [
            f"{found['peak']:8.2f}{found['seconds']:9.2f}{found['seconds'] / pixels:8.2f}"
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
    parser.add_argument("--memory", type=float, default=8.0, help="bound in GB")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--compare", type=int, default=2048, help="largest size compared")
    parser.add_argument("--what", choices=["table", "steps", "difference"], default="table")
    options = parser.parse_args()
    if options.what == "steps":
        print(json.dumps(measured(options.sizes[0], options.memory, options.steps)))
        return
    if options.what == "difference":
        print(json.dumps(difference(options.sizes[0], options.memory)))
        return
    auto = str(resolve_precision("auto", torch.device("cpu"))).removeprefix("torch.")
    threads = torch.get_num_threads()
    print(f"{platform.machine()}, {threads} threads, {auto}, torch {torch.__version__}")
    print(f"{'':12}{'plain':>25}{'by tiles':>25}")
    titles = f"{'GB':>8}{'s/step':>9}{'s/MP':>8}"
    print(
        f"{'pixels':>12}{titles}{titles}{'expected':>9}{'parts':>6}{'side':>6}{'difference':>11}"
    )
    for size in options.sizes:
        print(line(size, options), flush=True)


if __name__ == "__main__":
    main()
