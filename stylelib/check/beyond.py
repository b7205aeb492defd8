"""The exercises of chapters 9 and 23 to 25: what goes beyond the main line."""

from __future__ import annotations

from stylelib.check import (
    bands,
    distributions,
    gaussians,
    matching,
    similarities,
    slices,
    two_loops,
)

__all__ = ["EXERCISES"]

EXERCISES = (
    *two_loops.EXERCISES,
    *distributions.EXERCISES,
    *gaussians.EXERCISES,
    *slices.EXERCISES,
    *matching.EXERCISES,
    *bands.EXERCISES,
    *similarities.EXERCISES,
)
