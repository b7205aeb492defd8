"""How much vectorization gains, and how close NumPy comes to the processor's limit.

    python benchmarks/scratch.py [layers | step]

"layers" measures a 3 x 3 convolution to 256 channels and 2 x 2 pooling, on features
(1, 256, 24, 40) in float32. "step" measures one step of style transfer at 300 x 450 up to
conv5_1, in NumPy and in PyTorch with the same weights and formulas. All contestants run in this
process, in turns.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from peaks import STATUS, peak
from torch import Tensor
from torch.nn import functional

from stylelib import samples
from stylelib.from_scratch import VGG19, Adam, Convolution, MaxPool, gram
from stylelib.from_scratch.transfer import loss_and_gradient
from stylelib.from_scratch.windows import Array

SHAPE = (1, 256, 24, 40)
STYLE_LAYERS = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]


def report_columns(x: Array, kernel_size: int, height: int, width: int) -> Array:
    """A report's im2col: three Python loops that fill a float64 matrix, one row per window."""
    N, C = x.shape[:2]
    columns = np.zeros((N * height * width, C * kernel_size**2))
    for n in range(N):
        for i in range(height):
            for j in range(width):
                window = x[n, :, i : i + kernel_size, j : j + kernel_size]
                columns[(n * height + i) * width + j] = window.reshape(-1)
    return columns


def report_forward(x: Array, weight: Array, bias: Array) -> tuple[Array, Array]:
    """The report's forward pass with padding 1: features, and columns for the backward pass."""
    N, C, height, width = x.shape
    padded = np.zeros((N, C, height + 2, width + 2))
    padded[:, :, 1:-1, 1:-1] = x
    columns = report_columns(padded, 3, height, width)
    out = columns @ weight.reshape(len(weight), -1).T + bias
    return out.reshape(N, height, width, -1).transpose(0, 3, 1, 2), columns


def report_backward(
    top_diff: Array, weight: Array, columns: Array
) -> tuple[Array, Array, Array]:
    """The report's backward pass, with d_bias corrected: gradients of x, weight and bias."""
    N, out, height, width = top_diff.shape
    rows = top_diff.transpose(0, 2, 3, 1).reshape(-1, out)
    d_weight = (rows.T @ columns).reshape(weight.shape)
    d_bias = rows.sum(axis=0)
    d_columns = rows @ weight.reshape(out, -1)
    d_x = np.zeros((N, weight.shape[1], height + 2, width + 2))
    for n in range(N):
        for i in range(height):
            for j in range(width):
                window = d_columns[(n * height + i) * width + j]
                d_x[n, :, i : i + 3, j : j + 3] += window.reshape(-1, 3, 3)
    return d_x[:, :, 1:-1, 1:-1], d_weight, d_bias


def in_turns(
    contestants: dict[str, Callable[[], object]], rounds: int = 25
) -> dict[str, float]:
    """Each contestant's median seconds; each runs once per round, after one warm-up round."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(rounds + 1):
        for name, call in contestants.items():
            begin = time.perf_counter()
            call()
            if turn:
                seconds[name].append(time.perf_counter() - begin)
    return {name: statistics.median(each) for name, each in seconds.items()}


def layers() -> None:
    """Convolution and pooling: loops, im2col, a report's im2col, and the bare products."""
    random = np.random.default_rng(0)
    x = random.standard_normal(SHAPE, dtype=np.float32)
    top_diff = random.standard_normal(SHAPE, dtype=np.float32)
    pooled = random.standard_normal((1, 256, 12, 20), dtype=np.float32)
    fast, slow = Convolution(3, 256, 256, 1), Convolution(3, 256, 256, 1, method="loops")
    pool, slow_pool = MaxPool(2, 2), MaxPool(2, 2, method="loops")
    matrix = fast.weight.reshape(256, -1)  # (256, 2304)
    columns = random.standard_normal((2304, 960), dtype=np.float32)
    block = top_diff.reshape(256, 960)
    _, report_kept = report_forward(x, fast.weight, fast.bias)

    quick = in_turns(
        {
            "forward": lambda: fast.forward(x),
            "bare forward": lambda: matrix @ columns,
            "backward": lambda: fast.backward(top_diff),
            "bare backward": lambda: (block @ columns.T, matrix.T @ block),
            "pool forward": lambda: pool.forward(x),
            "pool backward": lambda: pool.backward(pooled),
            "report forward": lambda: report_forward(x, fast.weight, fast.bias),
            "report backward": lambda: report_backward(top_diff, fast.weight, report_kept),
        }
    )
    loops = in_turns(
        {
            "forward": lambda: slow.forward(x),
            "backward": lambda: slow.backward(top_diff),
            "pool forward": lambda: slow_pool.forward(x),
            "pool backward": lambda: slow_pool.backward(pooled),
        },
        rounds=3,
    )
    print(f"features {SHAPE}, float32; milliseconds, and the ratio to im2col or arrays")
    print(f"{'':24}{'forward':>12}{'backward':>18}")
    for title, forward, backward in (
        ("convolution im2col", quick["forward"], quick["backward"]),
        ("convolution loops", loops["forward"], loops["backward"]),
        ("a report's im2col", quick["report forward"], quick["report backward"]),
        ("the bare products", quick["bare forward"], quick["bare backward"]),
    ):
        print(
            f"{title:24}{forward * 1e3:9.2f} {forward / quick['forward']:7.2f}x"
            f"{backward * 1e3:9.2f} {backward / quick['backward']:7.2f}x"
        )
    for title, times in (("pooling arrays", quick), ("pooling loops", loops)):
        forward, backward = times["pool forward"], times["pool backward"]
        print(
            f"{title:24}{forward * 1e3:9.2f} {forward / quick['pool forward']:7.2f}x"
            f"{backward * 1e3:9.2f} {backward / quick['pool backward']:7.2f}x"
        )
    gflop = 2 * 256 * 2304 * 960 / 1e9
    print(
        f"\nrate of the bare products: {gflop / quick['bare forward']:.0f} GFLOP/s forward, "
        f"{2 * gflop / quick['bare backward']:.0f} backward; the convolution reaches "
        f"{quick['bare forward'] / quick['forward']:.0%} and "
        f"{quick['bare backward'] / quick['backward']:.0%} of them"
    )


def torch_step(
    net: VGG19, picture: Array, P: dict[str, Array], A: dict[str, Array]
) -> Callable[[], float]:
    """The same step in PyTorch, as a function that takes a step and returns the loss."""
    parameters = {
        name: (torch.from_numpy(layer.weight), torch.from_numpy(layer.bias))
        for name, layer in net.layers.items()
        if isinstance(layer, Convolution)
    }
    X = torch.from_numpy(picture.copy()).requires_grad_()
    adam = torch.optim.Adam([X], lr=10)
    contents = {name: torch.from_numpy(F) for name, F in P.items()}
    grams = {name: torch.from_numpy(G) for name, G in A.items()}

    def step() -> float:
        adam.zero_grad()
        F: Tensor = X
        loss = torch.zeros(())
        for name in net.layers:
            if name in parameters:
                F = functional.conv2d(F, *parameters[name], padding=1)
            elif name.startswith("relu"):
                F = functional.relu(F)
            else:
                F = functional.max_pool2d(F, 2)
            if name in contents:
                loss = loss + (F - contents[name]).square().mean() / 2 / len(contents)
            if name in grams:
                flat = F.flatten(2)
                D = flat @ flat.mT - grams[name]
                factor = 4 * flat.shape[0] * (flat.shape[1] * flat.shape[2]) ** 2
                loss = loss + 500 * D.square().sum() / factor / len(grams)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        adam.step()
        return loss.item()

    return step


def step() -> None:
    """One step of style transfer at 300 x 450 up to conv5_1, in NumPy and in PyTorch."""
    net = VGG19(layers=["conv5_1"])
    X = net.to_input(samples.load("chelsea"), (300, 450))
    style_X = net.to_input(samples.load("brushstrokes"), (300, 450))
    P = net.forward(X, ["conv4_2"])
    A = {name: gram(F) for name, F in net.forward(style_X, STYLE_LAYERS).items()}
    adam, pictures, losses = Adam(10), [X], [0.0]

    def numpy_step() -> None:
        each, gradient = loss_and_gradient(net, pictures[-1], P, A, (1, 500, 0))
        pictures[-1] = adam.update(pictures[-1], gradient)
        losses[-1] = sum(each.values())

    numpy_step()  # read the peak memory before PyTorch allocates any for its own step
    memory = peak_memory()
    in_torch, torch_loss = torch_step(net, X, P, A), [0.0]

    def pytorch_step() -> None:
        torch_loss[-1] = in_torch()

    pytorch_step()
    seconds = in_turns({"NumPy": numpy_step, "PyTorch": pytorch_step}, rounds=9)
    print(f"\none step at 300 x 450 up to conv5_1, float32, {torch.get_num_threads()} threads")
    print(f"NumPy   {seconds['NumPy']:6.2f} s   loss after 11 steps {losses[-1]:.4f}")
    print(f"PyTorch {seconds['PyTorch']:6.2f} s   loss after 11 steps {torch_loss[-1]:.4f}")
    print(f"NumPy takes {seconds['NumPy'] / seconds['PyTorch']:.2f} times as long")
    print(f"peak memory of the whole process up to the end of NumPy's first step: {memory}")


def peak_memory() -> str:
    """The peak memory of this process since its start; "?" if the system does not tell."""
    return f"{peak():.2f} GB" if STATUS.exists() else "?"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the network written in NumPy.")
    parser.add_argument("part", nargs="?", choices=["layers", "step"], help="one part only")
    part = parser.parse_args().part
    print(f"numpy {np.__version__}, torch {torch.__version__}, {platform.machine()}")
    if part != "layers":
        step()
    if part != "step":
        layers()


if __name__ == "__main__":
    main()
