"""Convolutions with fewer multiplications, by Winograd's algorithm (chapter 7).

Along one axis, four outputs next to each other depend on six inputs, by three weights: twelve
multiplications. Winograd's algorithm transforms inputs and weights to values at six points, and
multiplies these, point by point. Along both axes it takes 36 multiplications, where there were
144. The transforms take time too. But what the input becomes serves all output channels, and
what the products become is computed after the sum over all input channels. So it pays where
there are many channels.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

__all__ = ["Winograd", "pays", "size_of_kernels"]

POINTS = (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)
"""Where the polynomials are evaluated, besides infinity. Of those tried, in multiples of 1/8,
these give the smallest errors: 5e-7 of the output, where direct convolution has 3e-7."""
TILE, OUTPUT = 6, 4
"""The sides of a tile of the input and of the output."""
LEAST = 128 * 256
"""From so many kernels on, it is used. Measured on two cores with AVX2, for an image of
300 x 450: 0.4 of the time with 512 channels, half with 256, and 0.9 with 128."""
CHANNELS_PER_TILE = 32
"""Fewer tiles than one for so many channels take longer: most of it is to read the kernels."""
AT_A_TIME = 256
"""How many tiles are computed at a time, about: what is between the steps fits in a cache."""


@functools.cache
def pays() -> bool:
    """Whether this processor convolves faster so: known of those with AVX2, but not AVX-512.

    It does not depend on a measurement, so that the same program gives the same bits again.
    """
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx2")) and not has.get("avx512_f")


def size_of_kernels(net: nn.Module) -> int:
    """The bytes that the kernels of a network take at the points."""
    weights = [part.weight for part in net.modules() if isinstance(part, nn.Conv2d)]
    return sum(
        TILE**2 * math.prod(weight.shape[:2]) * weight.element_size()
        for weight in weights
        if large_enough(weight)
    )


class Winograd(TorchFunctionMode):
    """Within `with Winograd():`, convolutions are computed so where that takes less time.

    These are convolutions in float32 on a processor, 3 x 3 with a stride of 1 and a padding of
    1, with many channels, and with weights that need no gradient. The gradient of the input is
    computed alike. A layer keeps its kernels at the points as long as it lives: four times its
    weights.

    Source: Lavin and Gray (2016), section 4, after Winograd (1980). The points are chosen as
    Barabasz et al. (2020) advise, for small errors.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """The same as `func`, computed otherwise."""
        given = kwargs or {}
        if func is conv2d and (found := fast(*args, **given)) is not None:
            return found
        return func(*args, **given)


def fast(
    input: Tensor,  # as PyTorch calls it
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """What `conv2d` gives for the same arguments; None if it had better compute that itself."""
    frozen = not weight.requires_grad and (bias is None or not bias.requires_grad)
    usual = stride in (1, (1, 1)) and dilation in (1, (1, 1)) and groups == 1
    plain = type(input) is Tensor and input.ndim == 4 and input.device.type == "cpu"
    single = input.dtype == weight.dtype == torch.float32
    if not (frozen and usual and plain and single and padding in (1, (1, 1), "same")):
        return None
    if not large_enough(weight) or input.shape[1] != weight.shape[1]:
        return None
    if CHANNELS_PER_TILE * number_of_tiles(input) < max(weight.shape[:2]):
        return None
    Y: Tensor = Convolution.apply(input, kernels_of(weight), bias)
    return Y


def large_enough(weight: Tensor) -> bool:
    """Whether a convolution is 3 x 3, and has so many channels that it takes less time so."""
    return weight.shape[2:] == (3, 3) and math.prod(weight.shape[:2]) >= LEAST


def number_of_tiles(X: Tensor) -> int:
    """How many tiles an input has."""
    return len(X) * math.prod(math.ceil(side / OUTPUT) for side in X.shape[2:])


class Transforms(NamedTuple):
    """What goes to the points and back, for both directions of an image at once.

    For a tile d of the input and a kernel g, both written as columns, the tile of the output is
    A^T ((G g) * (B d)).

    Attributes:
        A: of shape (36, 16).
        B: (36, 36).
        G: (36, 9).
    """

    A: Tensor
    B: Tensor
    G: Tensor


@functools.cache
def transforms(dtype: torch.dtype) -> Transforms:
    """The transforms in a dtype."""
    A, B, G = (torch.zeros(TILE, n, dtype=torch.float64) for n in (OUTPUT, TILE, 3))
    powers = torch.arange(OUTPUT, dtype=torch.float64)
    for i, a in enumerate(POINTS):
        others = [b for b in POINTS if b != a]
        A[i] = a**powers
        G[i] = a ** powers[:3] / math.prod(a - b for b in others)
        B[i, :-1] = polynomial(others)
    A[-1, -1] = G[-1, -1] = 1  # at infinity
    B[-1] = polynomial(POINTS)
    return Transforms(*(torch.kron(M, M).to(dtype) for M in (A, B, G)))


def polynomial(roots: Sequence[float]) -> Tensor:
    """The coefficients of the product of x - root over all roots, the constant first."""
    found = torch.ones(1, dtype=torch.float64)
    for root in roots:
        found = pad(found, (1, 0)) - root * pad(found, (0, 1))
    return found


_kernels: MutableMapping[Tensor, tuple[Tensor, Tensor]] = WeakTensorKeyDictionary()


def kernels_of(weight: Tensor) -> Tensor:
    """The kernels (O, I, 3, 3) at the points, (36, I, O); new if the weight has changed."""
    rows = weight.detach().permute(0, 2, 3, 1).flatten(1)
    seen = rows @ torch.arange(rows.shape[1], dtype=rows.dtype).cos()  # tells weights apart
    before, kernels = _kernels.get(weight, (seen, None))
    if kernels is None or not torch.equal(before, seen):
        columns = weight.detach().permute(2, 3, 1, 0).reshape(9, -1)
        kernels = (transforms(weight.dtype).G @ columns).view(TILE**2, *weight.shape[1::-1])
        _kernels[weight] = seen, kernels
    return kernels


def blocks(shape: Sequence[int]) -> Iterator[tuple[int, int]]:
    """The rows of an image (N, H, W, C), so many at a time, as (first, last + 1).

    Each block is a number of rows of tiles, so the last may end below the image.
    """
    number, height, width, _ = shape
    at_once = max(1, AT_A_TIME // max(1, number * math.ceil(width / OUTPUT)))
    bottom = math.ceil(height / OUTPUT)
    for top in range(0, bottom, at_once):
        yield OUTPUT * top, OUTPUT * min(bottom, top + at_once)


def convolve(X: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution (N, H, W, O) of features (N, H, W, I)."""
    number, height, width, channels = X.shape
    across, out = math.ceil(width / OUTPUT), kernels.shape[2]
    by, Y = transforms(X.dtype), X.new_empty(number, height, width, out)
    for top, bottom in blocks(X.shape):
        begin, end, down = max(0, top - 1), min(height, bottom + 1), (bottom - top) // OUTPUT
        margins = (1, OUTPUT * across + 1 - width, begin - top + 1, bottom + 1 - end)
        seen = pad(X[:, begin:end], (0, 0, *margins))
        tiles = seen.unfold(1, TILE, OUTPUT).unfold(2, TILE, OUTPUT)  # N, down, across, I, 6, 6
        columns = tiles.permute(4, 5, 0, 1, 2, 3).reshape(TILE**2, -1)
        at_points = (by.B @ columns).view(TILE**2, -1, channels) @ kernels
        found = by.A.mT @ at_points.view(TILE**2, -1)
        grid = found.view(OUTPUT, OUTPUT, number, down, across, out).permute(2, 3, 0, 4, 1, 5)
        rows = grid.reshape(number, bottom - top, OUTPUT * across, out)
        own = rows[:, : min(bottom, height) - top, :width]
        Y[:, top:bottom] = own if bias is None else own + bias
    return Y


def convolve_back(D: Tensor, kernels: Tensor) -> Tensor:
    """The gradient (N, H, W, I) of the input from that of the output, (N, H, W, O).

    It is the transpose of `convolve`, so tiles overlap in what they add to the result.
    """
    number, height, width, out = D.shape
    across, channels = math.ceil(width / OUTPUT), kernels.shape[1]
    by, X = transforms(D.dtype), D.new_zeros(number, height, width, channels)
    for top, bottom in blocks(D.shape):
        begin, end, down = max(0, top - 1), min(height, bottom + 1), (bottom - top) // OUTPUT
        arrive = D[:, top:bottom]
        margins = (0, OUTPUT * across - width, 0, bottom - top - arrive.shape[1])
        grid = pad(arrive, (0, 0, *margins)).view(number, down, OUTPUT, across, OUTPUT, out)
        columns = grid.permute(2, 4, 0, 1, 3, 5).reshape(OUTPUT**2, -1)
        at_points = (by.A @ columns).view(TILE**2, -1, out) @ kernels.mT
        found = by.B.mT @ at_points.view(TILE**2, -1)
        tiles = found.view(TILE, TILE, number, down, across, channels)
        total = overlapped(tiles.permute(2, 3, 0, 4, 1, 5))
        X[:, begin:end] += total[:, begin - top + 1 : end - top + 1, 1 : width + 1]
    return X


def overlapped(tiles: Tensor) -> Tensor:
    """The sum of tiles (N, down, 6, across, 6, C) that lie 4 apart, with room to spare."""
    number, down, _, across, _, channels = tiles.shape
    height, width = OUTPUT * down, OUTPUT * across
    total = tiles.new_zeros(number, height + OUTPUT, width + OUTPUT, channels)
    for i, rows in ((0, OUTPUT), (OUTPUT, TILE - OUTPUT)):
        for j, columns in ((0, OUTPUT), (OUTPUT, TILE - OUTPUT)):
            shifted = total[:, i : i + height, j : j + width]
            grid = shifted.view(number, down, OUTPUT, across, OUTPUT, channels)
            grid[:, :, :rows, :, :columns] += tiles[:, :, i : i + rows, :, j : j + columns]
    return total


class Convolution(torch.autograd.Function):
    """A convolution of features (N, I, H, W) with kernels at the points."""

    @staticmethod
    def forward(X: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
        """The features (N, O, H, W)."""
        return convolve(X.permute(0, 2, 3, 1), kernels, bias).permute(0, 3, 1, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the kernels."""
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, D: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of X."""
        return Back.apply(D, *ctx.saved_tensors), None, None

    @staticmethod
    def jvp(ctx: Any, dX: Tensor, *_: None) -> Tensor:
        """The change of the output with that of X, which is linear."""
        changed: Tensor = Convolution.apply(dX, *ctx.saved_tensors, None)
        return changed

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *inputs: Any) -> tuple[Tensor, int]:
        """Images of several batches are images of one."""
        return of_all(Convolution, in_dims, inputs)


class Back(torch.autograd.Function):
    """The transpose of `Convolution`, whose gradient is a convolution."""

    @staticmethod
    def forward(D: Tensor, kernels: Tensor) -> Tensor:
        """The gradient (N, I, H, W) from that of the output, (N, O, H, W)."""
        return convolve_back(D.permute(0, 2, 3, 1), kernels).permute(0, 3, 1, 2)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Keep the kernels."""
        ctx.save_for_backward(inputs[1])
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, dX: Tensor) -> tuple[Tensor, None]:
        """The gradient of D."""
        return Convolution.apply(dX, *ctx.saved_tensors, None), None

    @staticmethod
    def jvp(ctx: Any, dD: Tensor, *_: None) -> Tensor:
        """The change of the gradient with that of D, which is linear."""
        changed: Tensor = Back.apply(dD, *ctx.saved_tensors)
        return changed

    @staticmethod
    def vmap(info: Any, in_dims: Sequence[int | None], *inputs: Any) -> tuple[Tensor, int]:
        """Images of several batches are images of one."""
        return of_all(Back, in_dims, inputs)


def of_all(
    function: type[torch.autograd.Function],
    in_dims: Sequence[int | None],
    inputs: Sequence[Any],
) -> tuple[Tensor, int]:
    """A function of images for several batches of them, along one dimension; and which."""
    X, *others = inputs
    batches = X.movedim(in_dims[0], 0)
    Y = function.apply(batches.flatten(0, 1), *others)
    return Y.view(*batches.shape[:2], *Y.shape[1:]), 0
