"""The exercises of chapters 9 and 22 to 25: what goes beyond the main line."""

from __future__ import annotations

from stylelib.check import (
    bands,
    distributions,
    fractions,
    gaussians,
    matching,
    similarities,
    slices,
    two_loops,
)
from stylelib.check.rarer import with_families

__all__ = ["EXERCISES"]

EXERCISES = with_families(
    (
        *two_loops.EXERCISES,
        *fractions.EXERCISES,
        *distributions.EXERCISES,
        *gaussians.EXERCISES,
        *slices.EXERCISES,
        *matching.EXERCISES,
        *bands.EXERCISES,
        *similarities.EXERCISES,
    )
)
