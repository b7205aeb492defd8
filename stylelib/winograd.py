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
from collections.abc import Callable, Iterable, Iterator, MutableMapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._C._functorch import is_functorch_wrapped_tensor
from torch.autograd.forward_ad import unpack_dual
from torch.nn.functional import conv2d, pad
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakTensorKeyDictionary

from stylelib.speed import empty, order_of

__all__ = ["Winograd", "is_faster", "size_of_kernels"]

POINTS = (0.0, 5 / 8, -5 / 8, 3 / 2, -3 / 2)
"""Where the polynomials are evaluated, besides infinity. Of the pairs of multiples of 1/8 that
were tried, these give the smallest errors."""
TILE, OUTPUT = 6, 4
"""The sides of a tile of the input and of the output."""
LEAST_KERNELS = 128 * 256
"""From so many kernels on, it is used. Measured on two cores with AVX2, for an image of
300 x 450: 0.4 of the time with 512 channels, half with 256, and 0.9 with 128."""
CHANNELS_PER_TILE = 32
"""Fewer tiles than one for so many channels take longer: most of it is to read the kernels."""
AT_A_TIME = 256
"""How many tiles are computed at a time, about: what is between the steps fits in a cache."""


@functools.cache
def is_faster() -> bool:
    """Whether it is known to be faster on this processor: with AVX2, but without AVX-512.

    It does not depend on a measurement, so that the same program gives the same bits again.
    """
    has = torch.cpu.get_capabilities()
    return bool(has.get("avx2")) and not has.get("avx512_f")


class Winograd(TorchFunctionMode):
    """Within `with Winograd():`, `conv2d` computes large convolutions so.

    These are convolutions of features (N, C, H, W) in float32 on a processor, 3 x 3 with a
    stride of 1 and a padding of 1, with many channels. Their weights and biases are parameters
    that need no gradient. The gradient of the features is computed alike, also outside the
    block. A layer keeps its kernels at the points as long as it lives: four times its weights.
    All other convolutions are PyTorch's own, and so are all within `torch.func` or with
    derivatives in forward mode.

    Errors are of the order of float32's, but relative to the largest value of a tile of 6 x 6.

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
        if func is conv2d and (found := by_winograd(*args, **given)) is not None:
            return found
        return func(*args, **given)


def by_winograd(
    input: Tensor,  # as PyTorch calls it
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor | None:
    """What `conv2d` gives for the same arguments; None if it had better compute that itself."""
    if not is_usual(weight, bias, stride, padding, dilation, groups) or not is_plain(input):
        return None
    if input.shape[1] != weight.shape[1]:
        return None  # PyTorch refuses that itself
    if CHANNELS_PER_TILE * number_of_tiles(input) < max(weight.shape[:2]):
        return None
    together = torch.channels_last in (order_of(input), order_of(weight))  # as PyTorch decides
    order = torch.channels_last if together else torch.contiguous_format
    Y: Tensor = Convolution.apply(input, kernels_of(weight), bias, order)
    return Y


def is_usual(
    weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any, groups: int
) -> bool:
    """Whether a layer is of the kind that is computed so."""
    frozen = [
        type(each) is nn.Parameter
        and not each.requires_grad
        and each.dtype == torch.float32
        and each.device.type == "cpu"
        for each in (weight, bias)
        if each is not None
    ]
    return (
        all(frozen)
        and weight.shape[2:] == (3, 3)
        and math.prod(weight.shape[:2]) >= LEAST_KERNELS
        and (bias is None or bias.shape == weight.shape[:1])
        and stride in (1, (1, 1))
        and padding in (1, (1, 1), "same")
        and dilation in (1, (1, 1))
        and groups == 1
    )


def is_plain(X: Tensor) -> bool:
    """Whether features are numbers on a processor in float32, and nothing special."""
    return (
        type(X) in (Tensor, nn.Parameter)
        and X.ndim == 4
        and X.dtype == torch.float32
        and X.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not is_functorch_wrapped_tensor(X)
        and unpack_dual(X).tangent is None  # type: ignore[no-untyped-call]
    )


def number_of_tiles(X: Tensor) -> int:
    """How many tiles features have."""
    return len(X) * math.prod(math.ceil(side / OUTPUT) for side in X.shape[2:])


def size_of_kernels(layers: Iterable[nn.Module]) -> int:
    """The bytes that layers will need for their kernels at the points, if not made before."""
    parts = [part for layer in layers for part in layer.modules()]
    weights = [part.weight for part in parts if isinstance(part, nn.Conv2d) and is_used(part)]
    return sum(TILE**2 * weight.nbytes // 9 for weight in weights if weight not in _kernels)


def is_used(layer: nn.Conv2d) -> bool:
    """Whether a layer is computed so if its input is large enough."""
    settings = (layer.stride, layer.padding, layer.dilation, layer.groups)
    return layer.padding_mode == "zeros" and is_usual(layer.weight, layer.bias, *settings)


class Transforms(NamedTuple):
    """What goes to the points and back, for both axes of an image at once.

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
    room = torch.zeros(3, TILE, TILE, dtype=torch.float64, device="cpu")
    A, B, G = room[0, :, :OUTPUT], room[1], room[2, :, :3]
    powers = torch.arange(OUTPUT, dtype=torch.float64, device="cpu")
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
    found = torch.ones(1, dtype=torch.float64, device="cpu")
    for root in roots:
        found = pad(found, (1, 0)) - root * pad(found, (0, 1))
    return found


Stamp = tuple[int, int | None, bytes]
_kernels: MutableMapping[Tensor, tuple[Stamp, Tensor]] = WeakTensorKeyDictionary()


def kernels_of(weight: Tensor) -> Tensor:
    """The kernels (O, I, 3, 3) at the points, (36, I, O); new if the weight has changed.

    A change through `weight.data` that no sum of its channel shows is not seen.
    """
    stamp, kept = stamp_of(weight), _kernels.get(weight)
    if kept is None or kept[0] != stamp:
        columns = weight.detach().permute(2, 3, 1, 0).reshape(9, -1)
        kernels = transforms(weight.dtype).G @ columns
        kept = _kernels[weight] = stamp, kernels.view(TILE**2, *weight.shape[1::-1])
    return kept[1]


def stamp_of(weight: Tensor) -> Stamp:
    """What changes with a weight: where it is, how often it was changed, and weighted sums."""
    rows = weight.detach().permute(0, 2, 3, 1).flatten(1)
    sums = rows @ torch.arange(rows.shape[1], dtype=rows.dtype, device="cpu").cos()
    version = None if weight.is_inference() else weight._version
    return weight.data_ptr(), version, sums.numpy().tobytes()


def blocks(shape: Sequence[int]) -> Iterator[tuple[slice, int, int]]:
    """The images and rows of features (N, H, W, C), so many at a time: images, first, last + 1.

    Each block is a number of rows of tiles, so the last may end below the image.
    """
    number, height, width, _ = shape
    across, bottom = math.ceil(width / OUTPUT), math.ceil(height / OUTPUT)
    images = min(number, max(1, AT_A_TIME // across))
    rows = max(1, AT_A_TIME // (images * across))
    for first in range(0, number, images):
        for top in range(0, bottom, rows):
            ends = OUTPUT * top, OUTPUT * min(bottom, top + rows)
            yield slice(first, first + images), *ends


def convolve(X: Tensor, kernels: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution (N, O, H, W) of features (N, H, W, I), channels last."""
    number, height, width, channels = X.shape
    across, out = math.ceil(width / OUTPUT), kernels.shape[2]
    found = empty((number, out, height, width), X, torch.channels_last)
    by, Y = transforms(X.dtype), found.permute(0, 2, 3, 1)
    for images, top, bottom in blocks(X.shape):
        begin, end, down = max(0, top - 1), min(height, bottom + 1), (bottom - top) // OUTPUT
        margins = (1, OUTPUT * across + 1 - width, begin - top + 1, bottom + 1 - end)
        padded = pad(X[images, begin:end], (0, 0, *margins))
        tiles = padded.unfold(1, TILE, OUTPUT).unfold(2, TILE, OUTPUT)
        columns = tiles.permute(4, 5, 0, 1, 2, 3).reshape(TILE**2, -1)
        at_points = (by.B @ columns).view(TILE**2, -1, channels) @ kernels
        products = by.A.mT @ at_points.view(TILE**2, -1)
        grid = products.view(OUTPUT, OUTPUT, -1, down, across, out).permute(2, 3, 0, 4, 1, 5)
        rows = grid.reshape(-1, bottom - top, OUTPUT * across, out)
        own = rows[:, : min(bottom, height) - top, :width]
        Y[images, top:bottom] = own if bias is None else own + bias
    return found


def convolve_back(D: Tensor, kernels: Tensor) -> Tensor:
    """The gradient (N, I, H, W) of the input from that of the output, (N, H, W, O).

    It is the transpose of `convolve`, so tiles overlap in what they add to the result.
    """
    number, height, width, out = D.shape
    across, channels = math.ceil(width / OUTPUT), kernels.shape[1]
    found = empty((number, channels, height, width), D, torch.channels_last).zero_()
    by, X = transforms(D.dtype), found.permute(0, 2, 3, 1)
    for images, top, bottom in blocks(D.shape):
        begin, end, down = max(0, top - 1), min(height, bottom + 1), (bottom - top) // OUTPUT
        own = D[images, top:bottom]
        margins = (0, OUTPUT * across - width, 0, bottom - top - own.shape[1])
        grid = pad(own, (0, 0, *margins)).view(-1, down, OUTPUT, across, OUTPUT, out)
        columns = grid.permute(2, 4, 0, 1, 3, 5).reshape(OUTPUT**2, -1)
        at_points = (by.A @ columns).view(TILE**2, -1, out) @ kernels.mT
        products = by.B.mT @ at_points.view(TILE**2, -1)
        tiles = products.view(TILE, TILE, -1, down, across, channels)
        total = overlapped(tiles.permute(2, 3, 0, 4, 1, 5))
        X[images, begin:end] += total[:, begin - top + 1 : end - top + 1, 1 : width + 1]
    return found


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
    """The convolution (N, O, H, W) of features (N, I, H, W) with kernels at the points."""

    @staticmethod
    def forward(
        ctx: Any, X: Tensor, kernels: Tensor, bias: Tensor | None, order: torch.memory_format
    ) -> Tensor:
        """The features, in a memory order."""
        ctx.kernels, ctx.order = kernels, order
        return convolve(X.permute(0, 2, 3, 1), kernels, bias).contiguous(memory_format=order)

    @staticmethod
    def backward(ctx: Any, D: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient of X."""
        return ConvolutionBack.apply(D, ctx.kernels, ctx.order), None, None, None


class ConvolutionBack(torch.autograd.Function):
    """The transpose of `Convolution`, whose gradient is a convolution."""

    @staticmethod
    def forward(ctx: Any, D: Tensor, kernels: Tensor, order: torch.memory_format) -> Tensor:
        """The gradient (N, I, H, W) from that of the output, (N, O, H, W)."""
        ctx.kernels, ctx.order = kernels, order
        with torch.autocast("cpu", enabled=False):  # where `backward` is called, it may be on
            found = convolve_back(D.permute(0, 2, 3, 1), kernels)
        return found.contiguous(memory_format=order)

    @staticmethod
    def backward(ctx: Any, dX: Tensor) -> tuple[Tensor, None, None]:
        """The gradient of D."""
        return Convolution.apply(dX, ctx.kernels, None, ctx.order), None, None
