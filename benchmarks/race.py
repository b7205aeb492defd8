"""How many seconds the library needs to reach the recipe's final loss.

    python benchmarks/race.py [--shape 300 450] [--steps 500] [--content FILE --style FILE]
                              [--device cpu]

The recipe runs as its author wrote it (`step.py`), for 500 steps; its last loss is the goal.
The library minimizes the same losses, with the same weights and from the same start, by L-BFGS
without a line search, in the precision that is faster on this machine. It keeps images during
the run, and computes their losses in float32 afterwards, so this takes no measured time.
"""

import argparse
from itertools import accumulate, pairwise

import torch
from step import recipe
from torch import Tensor

from stylelib import (
    D2L_WEIGHTS,
    BacktrackingLBFGS,
    Match,
    NetworkFeatures,
    Prior,
    Step,
    compare_features,
    compare_grams,
    load_image,
    objective_of,
    optimize,
    preprocess,
    tv_loss,
    vgg19,
    visible_range,
)
from stylelib.objectives import Term

CONTENT, STYLE = [26], [1, 6, 11, 20, 28]  # the recipe's layers, after in-place ReLUs


def ours(
    content_X: Tensor, style_X: Tensor, evaluations: int, every: int
) -> list[tuple[float, float]]:
    """(seconds, loss in float32) of images during the run."""
    net = vgg19().to(content_X.device)
    terms: list[Term] = [
        Match("content", content_X, CONTENT, compare_features, D2L_WEIGHTS.content),
        Match("style", style_X, STYLE, compare_grams, D2L_WEIGHTS.style),
        Prior("tv", tv_loss, D2L_WEIGHTS.tv),
    ]
    exact = NetworkFeatures(net)
    precise = objective_of(terms, exact)
    fast = objective_of(terms, NetworkFeatures(net, "auto", widen=False), targets=exact)
    kept: list[tuple[float, Tensor]] = []

    def keep(step: Step) -> None:  # its seconds are at the step's end, its losses at the start
        if step.step % every == 0:
            kept.append((step.seconds, X.detach().clone()))

    X = content_X.clone().requires_grad_()
    clamp = visible_range(X.device)
    optimizer = BacktrackingLBFGS(X, max_evaluations=evaluations, clamp=clamp)
    optimize(X, fast, optimizer, steps=evaluations, clamp=clamp, callback=keep)
    with torch.no_grad():
        return [(seconds, float(sum(precise(picture).values()))) for seconds, picture in kept]


def after(budget: float, way: list[tuple[float, float]]) -> str:
    """The last loss within `budget` seconds."""
    losses = [loss for seconds, loss in way if seconds <= budget]
    return f"{losses[-1]:8.2f}" if losses else f"{'-':>8}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Seconds until the recipe's own loss.")
    parser.add_argument("--shape", type=int, nargs=2, default=[300, 450], metavar=("H", "W"))
    parser.add_argument("--steps", type=int, default=500, help="the recipe's steps")
    parser.add_argument(
        "--evaluations", type=int, default=300, help="the library's evaluations"
    )
    parser.add_argument("--content", default="book/images/temple.jpg")
    parser.add_argument("--style", default="book/images/hokusai-great-wave-1831.jpg")
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    options = parser.parse_args()
    content_X, style_X = (
        preprocess(load_image(path), tuple(options.shape)).to(options.device)
        for path in (options.content, options.style)
    )
    way = ours(content_X, style_X, options.evaluations, 5)
    run = recipe(content_X, style_X, options.steps)
    goal, whole = run.losses[-1], sum(run.seconds)
    print(f"the recipe: {whole:.0f} s for {options.steps} steps, loss {goal:.2f}")
    # a step's loss is that of its initial image, which the step before has made
    theirs = list(zip(accumulate(run.seconds), run.losses[1:], strict=False))
    for budget in (15, 30, 60, 120):
        print(
            f"after {budget:3} s: recipe {after(budget, theirs)}, stylelib {after(budget, way)}"
        )
    for within in (1.05, 1.0):
        for (_, before), (seconds, loss) in pairwise([(0.0, float("inf")), *way]):
            if loss <= within * goal < before:
                print(
                    f"stylelib reaches {within:.0%} of that loss after {seconds:.1f} s: "
                    f"{whole / seconds:.1f} times as fast"
                )
                break
        else:
            print(f"stylelib does not reach {within:.0%} of that loss in {way[-1][0]:.0f} s")


if __name__ == "__main__":
    main()
