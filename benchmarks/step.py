"""Time and memory of one step of style transfer: stylelib, the recipe as its author wrote it,
and two other programs.

    python benchmarks/step.py [--shape 300 450] [--steps 100] [--device cpu]

All variants are timed in this process, with the same weights, images and size; the memory of
each is measured in a process of its own. The recipe below uses
torchvision's network, with in-place ReLUs and weights that require gradients. In-place ReLUs
change the features that are compared, so stylelib compares the features after those ReLUs: then
the losses are the same. The other programs (`peers.py`) have losses and an optimizer of their
own, so you can compare only their time and memory. Memory is the peak of the first five steps;
L-BFGS keeps two more images for each step, up to 100 steps.
"""

import argparse
import ctypes
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import torch
import torchvision
from peaks import machine
from peers import Clock, Peer, neural_style_pt, pastiche
from torch import Tensor, nn
from torch.nn.functional import conv2d

from stylelib import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    Step,
    extract_features,
    postprocess,
    preprocess,
    samples,
    train,
    vgg19,
)
from stylelib.precision import Precision, resolve_precision


@dataclass
class Run:
    """One run: the seconds of each step, and the total loss at its start."""

    seconds: list[float]
    losses: list[float]


Hook = Callable[[], None]


class Variant(Protocol):
    """From a content image, a style image and a number of steps to a run."""

    def __call__(
        self, content_X: Tensor, style_X: Tensor, steps: int, begun: Hook = ...
    ) -> Run:
        """Optimize the image, and call `begun` after the first step."""


def recipe(content_X: Tensor, style_X: Tensor, steps: int, begun: Hook = lambda: None) -> Run:
    """The recipe as its author wrote it, with the embedded weights in torchvision's network."""
    features = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["E"])
    net = nn.Sequential(*[features[i] for i in range(29)]).to(content_X.device)
    for layer, with_weights in zip(net, vgg19(), strict=True):
        layer.load_state_dict(with_weights.state_dict())

    def extract(X: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        contents, styles = [], []
        for i in range(len(net)):
            X = net[i](X)
            if i in STYLE_LAYERS:
                styles.append(X)
            if i in CONTENT_LAYERS:
                contents.append(X)
        return contents, styles

    def gram(X: Tensor) -> Tensor:
        num_channels, n = X.shape[1], X.numel() // X.shape[1]
        X = X.reshape((num_channels, n))
        return torch.matmul(X, X.T) / (num_channels * n)

    contents_Y = [Y.detach() for Y in extract(content_X)[0]]
    styles_Y_gram = [gram(Y).detach() for Y in extract(style_X)[1]]
    X = nn.Parameter(content_X.clone())
    trainer = torch.optim.Adam([X], lr=0.3)
    scheduler = torch.optim.lr_scheduler.StepLR(trainer, 50, 0.8)
    run = Run([], [])
    for _ in range(steps):
        begin = time.perf_counter()
        trainer.zero_grad()
        contents_Y_hat, styles_Y_hat = extract(X)
        contents_l = [
            torch.square(a - b).mean() * 1
            for a, b in zip(contents_Y_hat, contents_Y, strict=True)
        ]
        styles_l = [
            torch.square(gram(a) - b).mean() * 1e3
            for a, b in zip(styles_Y_hat, styles_Y_gram, strict=True)
        ]
        tv_l = (
            0.5
            * (
                (X[:, :, 1:] - X[:, :, :-1]).abs().mean()
                + (X[..., 1:] - X[..., :-1]).abs().mean()
            )
            * 10
        )
        loss = sum(10 * styles_l + contents_l + [tv_l])
        assert isinstance(loss, Tensor)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        trainer.step()
        scheduler.step()
        run.losses.append(loss.item())
        run.seconds.append(time.perf_counter() - begin)
        if len(run.seconds) == 1:
            begun()
    return run


def ours(precision: Precision) -> Variant:
    """The library's `train`, at the layers that the recipe compares after in-place ReLUs."""
    style_layers, content_layers = [1, 6, 11, 20, 28], [26]

    def variant(
        content_X: Tensor, style_X: Tensor, steps: int, begun: Hook = lambda: None
    ) -> Run:
        net = vgg19().to(content_X.device)
        with torch.no_grad():
            contents_Y, _ = extract_features(content_X, net, content_layers, [])
            _, styles_Y = extract_features(style_X, net, [], style_layers)
        clock, losses = [0.0], []

        def record(step: Step) -> None:
            clock.append(step.seconds)
            losses.append(step.loss)
            if step.step == 1:
                begun()

        train(
            content_X,
            contents_Y,
            styles_Y,
            content_X.device,
            num_epochs=steps,
            net=net,
            style_layers=style_layers,
            content_layers=content_layers,
            precision=precision,
            callback=record,
        )
        return Run([b - a for a, b in pairwise(clock)], losses)

    return variant


def peer(paint: Peer) -> Variant:
    """Another program, for `steps` evaluations, without its losses (they have other units)."""

    def variant(
        content_X: Tensor, style_X: Tensor, steps: int, begun: Hook = lambda: None
    ) -> Run:
        content, style = postprocess(content_X), postprocess(style_X)
        shape = (content_X.shape[2], content_X.shape[3])
        clock = Clock(evaluations=steps, begun=begun)
        paint(content, style, shape, clock, content_X.device)
        return Run([b - a for a, b in pairwise(clock.seconds)], [])

    return variant


def peak_memory(variant: Variant, content_X: Tensor, style_X: Tensor) -> float | None:
    """The memory that a run adds to this process at its peak, in MB; None if the system does
    not tell. On a GPU it is what PyTorch has taken for the tensors.
    """
    if content_X.device.type == "cuda":
        return peak_of_gpu(variant, content_X, style_X)
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not reset.exists():
        return None

    def read(key: str) -> float:
        return next(
            float(line.split()[1]) / 1e3
            for line in status.read_text().splitlines()
            if line.startswith(key)
        )

    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = read("VmRSS")

    def forget_the_peak() -> None:
        reset.write_text("5")  # resets the peak, VmHWM, to the present use

    variant(content_X, style_X, 5, begun=forget_the_peak)  # loading weights is not counted
    return read("VmHWM") - before


def memory_of(name: str) -> float | None:
    """The memory of a variant in a process of its own: what ran before would leave some."""
    command = [sys.executable, *sys.argv, "--memory-of", name]
    found: float | None = json.loads(subprocess.check_output(command, text=True))
    return found


def peak_of_gpu(variant: Variant, content_X: Tensor, style_X: Tensor) -> float:
    """The memory of a GPU that a run adds at its peak, in MB."""
    gc.collect()
    before = torch.cuda.memory_allocated()
    variant(content_X, style_X, 5, begun=torch.cuda.reset_peak_memory_stats)
    return (torch.cuda.max_memory_allocated() - before) / 1e6


def convolution_seconds(
    height: int, width: int, dtype: torch.dtype, device: torch.device
) -> tuple[float, float]:
    """Seconds that this machine needs for a step's convolutions only, and their GFLOP.

    Each of the 13 convolutions and its gradient with respect to the input is timed alone, in
    both memory orders, and the best time counts. A step would take this long if everything else
    were free.
    """
    seconds = flops = 0.0
    for layer in vgg19():
        if isinstance(layer, nn.MaxPool2d):
            height, width = height // 2, width // 2
        if not isinstance(layer, nn.Conv2d):
            continue
        best = [float("inf"), float("inf")]
        for order in (torch.contiguous_format, torch.channels_last):
            X, D = (
                torch.randn(1, channels, height, width, device=device)
                .to(dtype)
                .to(memory_format=order)
                for channels in (layer.in_channels, layer.out_channels)
            )
            weight = layer.weight.to(device, dtype).to(memory_format=order)
            for _ in range(6):
                begin = now(device)
                conv2d(X, weight, padding=1)
                middle = now(device)
                torch.ops.aten.convolution_backward(
                    D,
                    X,
                    weight,
                    None,
                    [1, 1],
                    [1, 1],
                    [1, 1],
                    False,
                    [0, 0],
                    1,
                    [True, False, False],
                )
                end = now(device)
                best = [min(best[0], middle - begin), min(best[1], end - middle)]
        seconds += sum(best)
        flops += 2 * (2 * 9 * layer.in_channels * layer.out_channels * height * width)
    return seconds, flops / 1e9


def now(device: torch.device) -> float:
    """The time at which a device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Time and memory of one step of style transfer."
    )
    parser.add_argument("--shape", type=int, nargs=2, default=[300, 450], metavar=("H", "W"))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--memory-of", metavar="VARIANT", help="print its memory alone")
    options = parser.parse_args()
    height, width = options.shape
    content_X, style_X = (
        preprocess(samples.load(name), (height, width)).to(options.device)
        for name in ("chelsea", "brushstrokes")
    )
    auto = resolve_precision("auto", options.device)
    variants = {
        "recipe": recipe,
        "stylelib float32": ours("float32"),
        f"stylelib auto ({auto})": ours("auto"),
        "pastiche": peer(pastiche),
        "neural-style-pt": peer(neural_style_pt),
    }

    if options.memory_of:
        print(json.dumps(peak_memory(variants[options.memory_of], content_X, style_X)))
        return

    print(f"{height} x {width}, {options.steps} steps, {machine(options.device)}")
    print(f"torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}\n")
    memory = {name: memory_of(name) for name in variants}
    runs = {name: Run([], []) for name in variants}
    for name, variant in variants.items():
        runs[name] = variant(content_X, style_X, options.steps)
    # a second, short round in reverse order shows whether the machine has slowed down
    again = {
        name: variant(content_X, style_X, 12) for name, variant in reversed(variants.items())
    }

    base = statistics.median(runs["recipe"].seconds)
    last = slice(-10, None)
    base_loss = statistics.mean(runs["recipe"].losses[last])
    print(
        f"{'':26}{'s/step':>8}{'again':>8}{'faster':>8}{'MB':>8}"
        f"{'of recipe':>11}{'last 10 losses':>16}{'off by':>8}"
    )
    for name, run in runs.items():
        seconds, second = statistics.median(run.seconds), statistics.median(again[name].seconds)
        used, recipe_used = memory[name], memory["recipe"]
        megabytes = (
            f"{used:8.0f}{used / recipe_used:11.2f}"
            if used and recipe_used
            else f"{'?':>8}{'?':>11}"
        )
        losses = ""
        if run.losses:
            loss = statistics.mean(run.losses[last])
            losses = f"{loss:16.4f}{abs(loss / base_loss - 1):8.1%}"
        print(f"{name:26}{seconds:8.3f}{second:8.3f}{base / seconds:7.2f}x{megabytes}{losses}")

    print("\nFraction of this machine's convolution rate that a step reaches:")
    for name, dtype in {
        "stylelib float32": torch.float32,
        f"stylelib auto ({auto})": torch.bfloat16 if auto == "bfloat16" else torch.float32,
    }.items():
        seconds, gflop = convolution_seconds(height, width, dtype, options.device)
        step = statistics.median(runs[name].seconds)
        print(
            f"{name:26}{gflop / seconds:6.0f} GFLOP/s alone, {gflop / step:6.0f} in a step: "
            f"{seconds / step:4.0%}"
        )


if __name__ == "__main__":
    main()
