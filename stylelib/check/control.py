"""The exercises of chapters 26 to 28: color, several styles, and regions."""

from __future__ import annotations

from stylelib.check import mixtures, recoloring, regions

__all__ = ["EXERCISES"]

EXERCISES = (*recoloring.EXERCISES, *mixtures.EXERCISES, *regions.EXERCISES)
