"""Weights that are found from the gradient shares that they should give (chapter 8)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from stylelib.arguments import number
from stylelib.errors import InputError, did_you_mean
from stylelib.optimization import Objective, gradients_of

__all__ = ["FEWEST", "ROUNDS", "balanced", "check_shares"]

ROUNDS = 4
"""How often the weights are set at each size."""
FEWEST = 5
"""The least number of steps after each time; with one or two, L-BFGS does not move at all."""


def check_shares(shares: Mapping[str, float]) -> dict[str, float]:
    """Gradient shares, by the names of the losses, each of them positive, adding up to 1.

    Raises:
        InputError: they are not. More than one half for one loss is refused, too: at a minimum
            the gradients add up to 0, so none is longer than all others together.
    """
    if not isinstance(shares, Mapping) or len(shares) < 2:
        raise InputError(
            'shares are for two losses or more, such as {"content": 0.45, "style": 0.45, '
            f'"tv": 0.1}}, not {shares!r}'
        )
    found = {
        name: number(f"the share of {name}", share, above=0, most=1)
        for name, share in shares.items()
    }
    total = sum(found.values())
    if abs(total - 1) > 1e-6:
        raise InputError(f"shares add up to 1, not to {total:g}")
    for name, share in found.items():
        if share > 0.5:
            raise InputError(
                f"the share of {name} is at most 0.5, not {share:g}: at a minimum the "
                "gradients add up to 0, so none of them is longer than all others together"
            )
    return found


def balanced(
    objective: Objective,
    X: Tensor,
    shares: Mapping[str, float],
    precise: Objective | None = None,
) -> tuple[Objective, dict[str, float]]:
    """An objective whose losses have the given shares of the gradient at an image.

    Args:
        objective: from an image to named losses.
        X: the image, (1, 3, H, W), normalized.
        shares: of each loss.
        precise: the same losses in float32, whose gradients are measured; None: `objective`
            itself. At the photograph itself, bfloat16 gives the content loss a gradient of
            nothing but rounding errors.

    Returns:
        The objective with a factor for each loss, and these factors. They are all 1 if the
        gradient of one loss is 0, as that of the content loss at the photograph itself.

    Raises:
        InputError: the objective has other losses than `shares`.
    """
    norms = {name: float(g.abs().sum()) for name, g in gradients_of(X, precise or objective)}
    for name in shares:
        if name not in norms:
            hint = did_you_mean(name, norms, f"the losses are {', '.join(norms)}")
            raise InputError(f"shares name the loss {name!r}, which there is not; {hint}")
    missing = [name for name, norm in norms.items() if norm and name not in shares]
    if missing:
        raise InputError(f"shares name each loss; there is none for {', '.join(missing)}")
    factors = dict.fromkeys(norms, 1.0)
    if all(norms[name] for name in shares):
        total = sum(norms.values())
        factors |= {name: share * total / norms[name] for name, share in shares.items()}

    def weighted(X: Tensor) -> dict[str, Tensor]:
        return {name: factors[name] * loss for name, loss in objective(X).items()}

    return weighted, factors
