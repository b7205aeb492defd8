"""The exercises of chapters 8 and 10 to 12: knobs, and relatives of the main line."""

from __future__ import annotations

from stylelib.check import papers, ranges, relative_errors, residuals

__all__ = ["EXERCISES"]

EXERCISES = (
    *residuals.EXERCISES,
    *ranges.EXERCISES,
    *relative_errors.EXERCISES,
    *papers.EXERCISES,
)
