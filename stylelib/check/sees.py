"""The exercises of chapters 18 to 21: gradients of scores and maps with respect to images."""

from __future__ import annotations

from stylelib.check import ascent, channels, portraits, saliency
from stylelib.check.rarer import with_families

__all__ = ["EXERCISES"]

EXERCISES = with_families(
    (
        *saliency.EXERCISES,
        *ascent.EXERCISES,
        *portraits.EXERCISES,
        *channels.EXERCISES,
    )
)
