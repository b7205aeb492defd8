"""Results made comparable: whatever a function returns becomes a list of arrays in float64."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Number
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

__all__ = [
    "TOO_LARGE",
    "Leaf",
    "Values",
    "agree",
    "copied",
    "flatten",
    "marks",
    "misfit",
    "near",
    "unchanged",
]

Values = NDArray[np.float64]

TOO_LARGE = "too large"
"""The kind of a result that has too many values."""
_DEPTH = 6  # of lists in lists: one may contain itself
_VALUES, _ARRAYS = 10**6, 1000  # at most, of one result


@dataclass(frozen=True)
class Leaf:
    """One array of a result.

    Attributes:
        path: where it is in the result: () for the result itself, (0, 1), ("content",).
        kind: "tensor", "array", "number", "image", `TOO_LARGE`, or the name of another type.
        dtype: "float32"; of an image, its mode.
        values: in float64; empty for what has none.
    """

    path: tuple[Any, ...]
    kind: str
    dtype: str
    values: Values

    @property
    def comparable(self) -> bool:
        """Whether it has values."""
        return self.kind in {"tensor", "array", "number", "image"}

    @property
    def shape(self) -> tuple[int, ...]:
        """Of its values."""
        return self.values.shape


def flatten(result: Any) -> list[Leaf]:
    """All arrays of a result, from lists, tuples and dictionaries too, in their order.

    What cannot be read has no values. If there are more than a million of them, or a thousand
    arrays, there is one array that has none, of the kind `TOO_LARGE`.
    """
    leaves, size = [], 0
    for leaf in _leaves(result, ()):
        leaves.append(leaf)
        size += leaf.values.size
        if leaf.kind == TOO_LARGE or size > _VALUES or len(leaves) > _ARRAYS:
            return [Leaf((), TOO_LARGE, "", np.zeros(0))]
    return leaves


def _leaves(result: Any, path: tuple[Any, ...]) -> Iterator[Leaf]:
    try:
        if len(path) > _DEPTH:
            raise TypeError("lists in lists")
        if isinstance(result, Mapping):
            for key, value in result.items():
                yield from _leaves(value, (*path, str(key)))
        elif isinstance(result, list | tuple):
            for index, value in enumerate(result):
                yield from _leaves(value, (*path, index))
        elif _size(result) > _VALUES:
            yield Leaf(path, TOO_LARGE, "", np.zeros(0))
        else:
            yield _leaf(result, path)
    except Exception:  # whatever a student's object does when it is read
        yield Leaf(path, type(result).__name__, "", np.zeros(0))


def _size(result: Any) -> int:
    """How many values there would be, before memory is used for them."""
    if isinstance(result, Tensor):
        return result.numel()
    if isinstance(result, Image.Image):
        return result.width * result.height * len(result.getbands())
    return result.size if isinstance(result, np.ndarray) else 1


def _leaf(result: Any, path: tuple[Any, ...]) -> Leaf:
    if isinstance(result, Tensor):
        dtype = str(result.dtype).removeprefix("torch.")
        plain = result.detach().cpu()
        values = (plain.real if plain.is_complex() else plain).to(torch.float64).numpy()
        return Leaf(path, "tensor", dtype, values)
    if isinstance(result, Image.Image):
        return Leaf(path, "image", result.mode, np.asarray(result, dtype=np.float64))
    if isinstance(result, np.ndarray | np.generic):
        kind = "array" if result.ndim else "number"
        return Leaf(path, kind, str(result.dtype), np.real(result).astype(np.float64))
    if isinstance(result, Number) and not isinstance(result, complex):
        return Leaf(path, "number", type(result).__name__, np.array(result, dtype=np.float64))
    raise TypeError(type(result).__name__)


def near(yours: Values, expected: Values, tolerance: float) -> bool:
    """Whether two arrays agree, NaN and infinities included."""
    if yours.shape != expected.shape:
        return False
    finite = np.isfinite(expected)
    if not np.array_equal(yours[~finite], expected[~finite], equal_nan=True):
        return False
    scale = np.abs(expected[finite]).max(initial=0.0)
    with np.errstate(invalid="ignore", over="ignore"):
        return bool(
            np.all(np.abs(yours[finite] - expected[finite]) <= max(tolerance * scale, 1e-9))
        )


def agree(yours: Sequence[Leaf], expected: Sequence[Leaf], tolerance: float) -> bool:
    """Whether two results have the same arrays at the same positions, whatever their types."""
    return [leaf.path for leaf in yours] == [leaf.path for leaf in expected] and all(
        a.comparable == b.comparable and near(a.values, b.values, tolerance)
        for a, b in zip(yours, expected, strict=True)
    )


def misfit(yours: Values, expected: Values, tolerance: float) -> tuple[tuple[int, ...], int]:
    """Where the largest difference of two arrays is, and how many of their entries differ."""
    difference = np.abs(np.nan_to_num(yours - expected, nan=np.inf, posinf=np.inf))
    scale = max(tolerance * float(np.abs(expected).max(initial=0.0)), 1e-9)
    worst = np.unravel_index(int(difference.argmax()), expected.shape)
    return tuple(int(i) for i in worst), int((difference > scale).sum())


def copied(value: Any) -> Any:
    """A copy of an argument that shares nothing with it."""
    if isinstance(value, Tensor):
        return value.detach().clone().requires_grad_(value.requires_grad)
    if isinstance(value, np.ndarray | Image.Image):
        return value.copy()
    if isinstance(value, Mapping):
        return {key: copied(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        entries = [copied(entry) for entry in value]
        return entries if isinstance(value, list) else tuple(entries)
    return copy.deepcopy(value) if isinstance(value, nn.Module) else value


def unchanged(after: Any, before: Any) -> bool:
    """Whether an argument is still what it was."""
    if isinstance(before, nn.Module):
        return unchanged(dict(after.state_dict()), dict(before.state_dict()))
    now, then = flatten(after), flatten(before)
    return [(a.path, a.dtype, a.shape) for a in now] == [
        (b.path, b.dtype, b.shape) for b in then
    ] and all(
        np.array_equal(a.values, b.values, equal_nan=True)
        for a, b in zip(now, then, strict=True)
    )


def marks(value: Any) -> Any:
    """What a call may leave on an argument beside its values: gradients of tensors and
    parameters, whether they require one, and modes of training.
    """
    if isinstance(value, Tensor):
        gradient = value.grad if value.is_leaf else None
        return value.requires_grad, None if gradient is None else gradient.tolist()
    if isinstance(value, nn.Module):
        modes = [module.training for module in value.modules()]
        return modes, [marks(parameter) for parameter in value.parameters()]
    if isinstance(value, Mapping):
        return [marks(entry) for entry in value.values()]
    return [marks(entry) for entry in value] if isinstance(value, list | tuple) else None
