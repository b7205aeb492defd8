"""lbfgs_direction: families of mistakes in the matrix itself (chapter 9)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from stylelib.check.exercises import Wrong
from stylelib.check.two_loops import Array, Pairs, vectors

__all__ = ["matrices"]


@dataclass(frozen=True)
class Matrix:
    """The inverse itself, H <- V H V^T + s s^T / (s @ y), V = I - s y^T / (s @ y)."""

    factor: Callable[..., Array] = lambda unit, s, y: unit - np.outer(s, y) / (s @ y)
    both: Callable[..., Array] = lambda V, H: V @ H @ V.T
    term: Callable[..., Array] = lambda s, y: np.outer(s, s) / (s @ y)
    gamma: Callable[..., Any] = lambda s, y: (s @ y) / (y @ y)
    scaled_by: int = -1
    order: int = 1
    applied: Callable[..., Array] = lambda H, g: -H @ g

    def __call__(self, g: Tensor, pairs: Pairs) -> Array:
        """The direction."""
        vector, known = vectors(g, pairs)
        unit = np.eye(len(vector))
        H = self.gamma(*known[self.scaled_by]) * unit
        for s, y in known[:: self.order]:
            H = self.both(self.factor(unit, s, y), H) + self.term(s, y)
        return np.asarray(self.applied(H, vector))


UPDATES: tuple[tuple[str, str, Callable[[Array, Array], Array]], ...] = (
    ("transposed", "V.T @ H @ V", lambda V, H: V.T @ H @ V),
    ("vhv", "V @ H @ V", lambda V, H: V @ H @ V),
    ("left_only", "V @ H", lambda V, H: V @ H),
    ("right_only", "H @ V.T", lambda V, H: H @ V.T),
    ("both_transposed", "V.T @ H @ V.T", lambda V, H: V.T @ H @ V.T),
    ("left_transposed", "V.T @ H", lambda V, H: V.T @ H),
    ("right_plain", "H @ V", lambda V, H: H @ V),
    ("without_h", "V @ V.T, without H", lambda V, H: V @ V.T),
    ("nothing", "H alone", lambda V, H: H),
    ("entries", "V * H * V.T, entry by entry", lambda V, H: V * H * V.T),
)  # fmt: skip
"""After "Your update of the matrix has": from V and H to the next H."""


FACTORS: tuple[tuple[str, str, Callable[[Array, Array, Array], Array]], ...] = (
    ("step_twice", "I - s s^T / (s @ s)", lambda unit, s, y: unit - np.outer(s, s) / (s @ s)),
    ("step_twice_over_product", "I - s s^T / (s @ y)", lambda unit, s, y: unit - np.outer(s, s) / (s @ y)),
    ("change_twice", "I - y y^T / (y @ y)", lambda unit, s, y: unit - np.outer(y, y) / (y @ y)),
    ("change_twice_over_product", "I - y y^T / (s @ y)", lambda unit, s, y: unit - np.outer(y, y) / (s @ y)),
    ("plus", "I + s y^T / (s @ y)", lambda unit, s, y: unit + np.outer(s, y) / (s @ y)),
    ("not_divided", "I - s y^T, not divided by s @ y", lambda unit, s, y: unit - np.outer(s, y)),
    ("over_changes", "I - s y^T / (y @ y)", lambda unit, s, y: unit - np.outer(s, y) / (y @ y)),
    ("over_steps", "I - s y^T / (s @ s)", lambda unit, s, y: unit - np.outer(s, y) / (s @ s)),
    ("no_unit", "s y^T / (s @ y), without I", lambda unit, s, y: np.outer(s, y) / (s @ y)),
)  # fmt: skip
"""After "Your V is"."""


TERMS: tuple[tuple[str, str, Callable[[Array, Array], Array]], ...] = (
    ("changes", "is y y^T / (s @ y)", lambda s, y: np.outer(y, y) / (s @ y)),
    ("changes_over_changes", "is y y^T / (y @ y)", lambda s, y: np.outer(y, y) / (y @ y)),
    ("not_divided", "is not divided by s @ y", lambda s, y: np.outer(s, s)),
    ("negative", "is subtracted", lambda s, y: -np.outer(s, s) / (s @ y)),
    ("mixed", "is s y^T / (s @ y)", lambda s, y: np.outer(s, y) / (s @ y)),
    ("mixed_transposed", "is y s^T / (s @ y)", lambda s, y: np.outer(y, s) / (s @ y)),
    ("over_steps", "is divided by s @ s", lambda s, y: np.outer(s, s) / (s @ s)),
    ("over_changes", "is divided by y @ y", lambda s, y: np.outer(s, s) / (y @ y)),
    ("number", "is the number (s @ s) / (s @ y), added to every entry", lambda s, y: np.full((len(s), len(s)), (s @ s) / (s @ y))),
)  # fmt: skip
"""What may stand after "the last term"; without it the directions are those of "alpha_zero"."""


def matrices() -> Iterator[Wrong]:
    """All of them."""
    one = Matrix()
    update = "the matrix is H <- V @ H @ V.T + s s^T / (s @ y)"
    for name, said, both in UPDATES:
        yield Wrong(
            f"matrix_{name}",
            f"Your update of the matrix has {said}; {update}, where V = I - s y^T / (s @ y).",
            replace(one, both=both),
        )
    for name, said, factor in FACTORS:
        yield Wrong(
            f"factor_{name}",
            f"Your V is {said}; it is I - s y^T / (s @ y).",
            replace(one, factor=factor),
        )
    for name, said, term in TERMS:
        yield Wrong(
            f"term_{name}",
            f"In your update of the matrix the last term {said}; it is s s^T / (s @ y), added.",
            replace(one, term=term),
        )
    yield Wrong(
        "matrix_of_hessian",
        "You multiply by an estimate of the Hessian; multiply by that of its inverse: s and y are exchanged.",
        Matrix(
            lambda unit, s, y: unit - np.outer(y, s) / (s @ y),
            one.both,
            lambda s, y: np.outer(y, y) / (s @ y),
            lambda s, y: (y @ y) / (s @ y),
        ),
    )
    yield Wrong(
        "matrix_transposed_at_last",
        "Your V is transposed, and the order of the pairs reversed; V = I - s y^T / (s @ y).",
        replace(one, both=lambda V, H: V.T @ H @ V, order=-1),
    )
    yield Wrong(
        "matrix_begins_with_unit_transposed",
        "Your matrix begins with I, and has V.T @ H @ V; it begins with gamma * I, and has V @ H @ V.T.",
        replace(one, both=lambda V, H: V.T @ H @ V, gamma=lambda s, y: 1.0),
    )
