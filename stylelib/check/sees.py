"""The exercises of chapters 18 to 20: gradients of a score with respect to an image."""

from __future__ import annotations

from stylelib.check import ascent, portraits, saliency

__all__ = ["EXERCISES"]

EXERCISES = (*saliency.EXERCISES, *ascent.EXERCISES, *portraits.EXERCISES)
