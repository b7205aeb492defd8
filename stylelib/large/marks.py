"""What a run is made of, as short texts: to tell whether two runs are the same (chapter 31)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import asdict, fields, is_dataclass
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from stylelib.files import ImageSource
from stylelib.objectives import marks_of
from stylelib.precision import resolve_precision
from stylelib.recipes import Recipe
from stylelib.sources import Controls, Sources
from stylelib.synthesis import INITS, Init
from stylelib.weights import network_digest

__all__ = ["Marks", "differences", "mark", "marks_of_run"]

Marks = dict[str, str]
"""For each thing that a result depends on, its name and a text that differs if it does."""
KNOWN = ("init", "efforts", "smallest", "precision")
"""Fields of a recipe of which the start, the steps, the sizes and the precision tell all."""
DEEPEST = 8
"""Closures within closures, and what is in lists of lists, are looked at this far."""


def marks_of_run(
    recipe: Recipe,
    net: nn.Module,
    sources: Sources,
    start: Tensor,
    controls: Controls,
    *,
    init: Init | ImageSource,
    **plain: Any,
) -> Marks:
    """The marks of a run: all that its result depends on, besides the machine.

    Images and masks count by their pixels, whatever the names of their files. A function that
    is a part of the recipe counts by its name and what it has closed over; if it is not of this
    library, also by its code. Another object counts by its class and its attributes.

    Args:
        recipe: with weights.
        net: the network.
        sources: the photograph and the styles.
        start: the image to start from, (1, 3, H, W).
        controls: those of the call.
        init: what the start is made from.
        plain: other arguments by name.
    """
    found = plain | asdict(controls)
    found["kind of recipe"] = type(recipe)
    found["init"] = init if init in INITS else "an image"
    for each in fields(recipe):
        if each.name not in KNOWN:
            name = f"{each.name} of the recipe" if each.name in found else each.name
            found[name] = getattr(recipe, each.name)
    found["alpha channel"] = sources.opaque
    found["start"] = start
    for number, source in enumerate(sources.styles, 1):
        style = source.style
        found |= {
            f"weight of style {number}": float(style.weight),
            f"layers of style {number}": style.layers,
            f"here of style {number}": source.here,
            f"there of style {number}": source.there,
            f"erode of style {number}": style.erode,
        }
    marks = {name: mark(value) for name, value in found.items()}
    marks["content"] = f"{mark(sources.content)} at {sources.shape}"
    for number, source in enumerate(sources.styles, 1):
        marks[f"style {number}"] = f"{mark(source.image)} at {source.shape}"
    marks["network"] = network_digest(net)
    marks["precision"] = resolve_precision(recipe.arithmetic, start.device)
    return marks


def differences(before: Mapping[str, Any], now: Marks) -> str:
    """What differs between the marks of two runs, in words; nothing if they are the same."""
    said = [
        f"{name} was {before.get(name, 'not known')} and is {now.get(name, 'not known')}"
        for name in dict.fromkeys([*now, *before])
        if before.get(name) != now.get(name)
    ]
    return "; ".join(said)


def mark(value: Any, depth: int = 0) -> str:
    """A text that is the same in every process, and another if the value is another."""
    if depth > DEEPEST:
        return "..."
    within = partial(mark, depth=depth + 1)
    if isinstance(value, float):  # 1.0 means the same as 1
        return repr(int(value) if value.is_integer() else float(value))
    if value is None or isinstance(value, bool | int | complex | str | bytes):
        return repr(value)
    if isinstance(value, Image.Image):
        return f"{value.width} x {value.height} pixels {_digest(value.tobytes())}"
    if isinstance(value, Tensor | np.ndarray):
        return _of_array(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{within(k)}: {within(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Set):
        return "{" + ", ".join(sorted(map(within, value))) + "}"
    if isinstance(value, Sequence):
        return "[" + ", ".join(within(each) for each in value) + "]"
    if isinstance(value, partial):
        return f"{within(value.func)}({within(value.args)}, {within(value.keywords)})"
    if isinstance(value, FunctionType):
        return _of_function(value, depth + 1)
    if isinstance(value, MethodType):
        return f"{within(value.__self__)}.{value.__name__}"
    if is_dataclass(value) and not isinstance(value, type):
        said = ", ".join(
            f"{each.name}={within(getattr(value, each.name))}" for each in fields(value)
        )
        return f"{type(value).__qualname__}({said})"
    known = isinstance(value, type | BuiltinFunctionType)
    named = value if known else type(value)
    name = f"{named.__module__}.{named.__qualname__}"
    held = {} if known else getattr(value, "__dict__", {})
    return f"{name}({within(held)})" if held else name


def _of_function(function: FunctionType, depth: int) -> str:
    """The name of a function with what it has closed over; of another's, also its code."""
    name = f"{function.__module__}.{function.__qualname__}"
    inside = [*_closed_over(function), *marks_of(function).values()]
    said = [mark(each, depth) for each in inside]
    if not function.__module__.startswith("stylelib."):
        said.append(_digest(_code(function.__code__).encode()))
    return f"{name}<{', '.join(said)}>" if said else name


def _closed_over(function: FunctionType) -> list[Any]:
    """What the cells of a function hold, and its defaults."""
    held = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # nothing yet
            held.append(cell.cell_contents)
    return held


def _code(code: CodeType) -> str:
    """The instructions of a function, and of those within it."""
    constants = [
        _code(each) if isinstance(each, CodeType) else mark(each) for each in code.co_consts
    ]
    return " ".join([code.co_code.hex(), *code.co_names, *constants])


def _of_array(value: Tensor | np.ndarray[Any, Any]) -> str:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    shape = " x ".join(str(side) for side in value.shape)
    return f"{shape} {_digest(np.ascontiguousarray(value).tobytes())}"


def _digest(data: bytes) -> str:
    return "#" + hashlib.sha256(data).hexdigest()[:12]
