"""Measure the method of the paper: divergence of L-BFGS, inversion of layers, textures.

    python benchmarks/paper.py divergence [--ratios 1e3 1e4 ... --seeds 0 1 2]
    python benchmarks/paper.py inversion
    python benchmarks/paper.py texture

The first takes one to three hours on two cores, the other two several minutes each.
"""

import argparse
import math
from itertools import pairwise
from pathlib import Path

import torch

from stylelib import (
    DivergenceError,
    LossWeights,
    insert_losses,
    invert_features,
    lbfgs,
    load_image,
    modules_objective,
    optimize,
    postprocess,
    preprocess,
    samples,
    synthesize_texture,
    vgg19,
)
from stylelib.relatives.modules import PAPER_STYLE_LAYERS

IMAGES = Path(__file__).parent.parent / "book" / "images"


def divergence(ratios: list[float], seeds: list[int], evaluations: int) -> None:
    """L-BFGS from noise at 256 x 512, losses as modules, varying style weight / content weight.

    "worst" is the highest total loss at the start of a step, divided by that of the noise.
    Above 1, the loss has risen.
    """
    content_X = preprocess(load_image(IMAGES / "temple.jpg"), (256, 512))
    style_X = preprocess(load_image(IMAGES / "hokusai-great-wave-1831.jpg"), (256, 512))
    losses = insert_losses(vgg19(layers=PAPER_STYLE_LAYERS), content_X, style_X)
    print("  ratio seed    start      end    worst  never up  steps  evaluations  seconds")
    for ratio in ratios:
        objective = modules_objective(losses, LossWeights(1.0, ratio, 0.0))
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            X = (0.1 * torch.randn(content_X.shape, generator=generator)).requires_grad_()
            try:
                optimizer = lbfgs(X, max_evaluations=evaluations)
                history = optimize(X, objective, optimizer, steps=evaluations).history
            except DivergenceError as error:
                print(f"{ratio:7.0e} {seed:4} DIVERGED: {error}", flush=True)
                continue
            totals = [record.loss for record in history]
            with torch.no_grad():
                end = math.fsum(float(loss) for loss in objective(X).values())
            never_up = all(after <= before for before, after in pairwise(totals))
            print(
                f"{ratio:7.0e} {seed:4} {totals[0]:8.3g} {end:8.3g} "
                f"{max(totals) / totals[0]:8.3f} {never_up!s:>9} {len(history):6} "
                f"{history[-1].evaluations:12} {history[-1].seconds:8.0f}",
                flush=True,
            )


def inversion() -> None:
    """Invert features of the sample chelsea from noise, 224 x 224, 200 evaluations."""
    given = preprocess(samples.load("chelsea"), (224, 224))
    pixels = torch.tensor(list(postprocess(given).tobytes())) / 255
    print("layer     relative error     PSNR of the image  seconds")
    for layer in ("relu1_1", "relu2_2", "relu3_2", "relu4_2", "relu5_2"):
        result = invert_features(
            samples.load("chelsea"), layer, image_shape=(224, 224), steps=200
        )
        made = torch.tensor(list(result.image.tobytes())) / 255
        psnr = -10 * math.log10(float((made - pixels).square().mean()) or 1e-10)
        print(
            f"{layer:8} {result.errors[layer]:15.4%} {psnr:18.1f} dB "
            f"{result.history[-1].seconds:8.0f}",
            flush=True,
        )


def texture() -> None:
    """Textures from noise, 256 x 256, 300 evaluations: Gram errors relative to the noise's."""
    for name in ("brushstrokes", "mosaic"):
        result = synthesize_texture(samples.load(name), image_shape=(256, 256), steps=300)
        begin = result.history[0].losses
        shares = "  ".join(
            f"{layer} {error / (begin[layer] * len(result.errors)):.3%}"
            for layer, error in result.errors.items()
        )
        print(f"{name:13} {shares}  ({result.history[-1].seconds:.0f} s)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the method of the paper.")
    commands = parser.add_subparsers(dest="command", required=True)
    first = commands.add_parser("divergence", help="L-BFGS from noise at five ratios")
    first.add_argument("--ratios", type=float, nargs="+", default=[1e3, 1e4, 1e5, 1e6, 1e7])
    first.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    first.add_argument("--evaluations", type=int, default=500)
    commands.add_parser("inversion", help="invert five layers")
    commands.add_parser("texture", help="Gram errors of two textures")
    options = parser.parse_args()
    if options.command == "divergence":
        divergence(options.ratios, options.seeds, options.evaluations)
    elif options.command == "inversion":
        inversion()
    else:
        texture()


if __name__ == "__main__":
    main()
