"""The state of a run as plain data, and back (chapter 31)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from stylelib.records import Record
from stylelib.stages import RunState, has_form

__all__ = ["as_plain", "is_count", "restored"]


def as_plain(state: RunState) -> dict[str, Any]:
    """The parts of a state by name. The tensors are not copied."""
    return vars(state) | {"history": [vars(record) for record in state.history]}


def restored(plain: Mapping[str, Any]) -> RunState:
    """The state that `as_plain` made into plain data. The run that goes on may use it up.

    Raises:
        AttributeError, LookupError, RuntimeError, TypeError, ValueError: it is no such state.
            What belongs to the optimizer is not looked at.
    """
    history = [_record(each) for each in plain["history"]]
    state = RunState(**{**plain, "history": history, "disposable": True})
    if not (has_form(state) and isinstance(state.descent, str)):
        raise ValueError("a part of the state has another type or shape")
    for image in (state.picture, state.began):
        if image.shape[1] != 3:
            raise ValueError(f"no image has the shape {tuple(image.shape)}")
        if not bool(torch.isfinite(image).all()):
            raise ValueError("the image is not finite")
    if state.picture.dtype != state.began.dtype or state.picture.shape != state.began.shape:
        raise ValueError("the image has changed its shape within a size")
    return state


def _record(plain: Mapping[str, Any]) -> Record:
    record = Record(**plain)
    values = [record.lr, record.seconds, *record.losses.values()]
    if not (all(map(math.isfinite, values)) and is_count(record.step)):
        raise ValueError("a step has no losses")
    if not (is_count(record.evaluations) and all(map(str.isprintable, record.losses))):
        raise ValueError("a step has no losses")
    return record


def is_count(value: Any) -> bool:
    """Whether a value is a whole number, 0 or more."""
    return type(value) is int and value >= 0
