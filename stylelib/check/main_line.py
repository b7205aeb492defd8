"""The exercises of chapters 2 to 7: the main line, from images to a training step."""

from __future__ import annotations

from stylelib.check import (
    content,
    grams,
    images,
    showing,
    steps,
    style,
    taking_features,
    totals,
    variation,
)
from stylelib.check.rarer import with_families

__all__ = ["EXERCISES"]

EXERCISES = with_families(
    (
        *images.EXERCISES,
        *showing.EXERCISES,
        *taking_features.EXERCISES,
        *content.EXERCISES,
        *grams.EXERCISES,
        *style.EXERCISES,
        *variation.EXERCISES,
        *totals.EXERCISES,
        *steps.EXERCISES,
    )
)
