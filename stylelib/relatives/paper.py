"""The method of the paper, as a recipe (chapter 9)."""

from __future__ import annotations

from stylelib.losses import LossWeights
from stylelib.recipes import Recipe
from stylelib.relatives.conventions import CONVENTIONS
from stylelib.relatives.modules import PAPER_CONTENT_LAYERS, PAPER_STYLE_LAYERS
from stylelib.relatives.quasi_newton import LBFGSDescent

__all__ = ["GATYS"]

PAPER_WEIGHTS = LossWeights(content=1.0, style=8e3, tv=0.0)
"""Loss weights for the embedded VGG-19, chosen by looking at the results; see
`Recipe.per_position`."""

_PAPER = CONVENTIONS["paper"]
GATYS = Recipe(
    PAPER_WEIGHTS,
    PAPER_CONTENT_LAYERS,
    PAPER_STYLE_LAYERS,
    _PAPER.compare_features,
    _PAPER.compare_grams,
    averages=_PAPER.averages_layers,
    per_position=True,
    descent=LBFGSDescent(),
    init="noise",
    clamp=False,
)
"""The method of Gatys, Ecker and Bethge (2016), the recipe "gatys"."""
