"""Adam by hand (chapter 16)."""

from __future__ import annotations

import numpy as np

from stylelib.arguments import number
from stylelib.errors import InputError
from stylelib.from_scratch.windows import Array

__all__ = ["Adam"]


class Adam:
    """Adam: each step moves a value by about the learning rate, however large its gradient.

    Args:
        learning_rate: in the units of x, which are gray levels for an image in 0..255.
        beta1: the fraction of the mean gradient that is kept from step to step.
        beta2: the fraction of the mean squared gradient that is kept from step to step.
        epsilon: avoids a division by 0 if a gradient is 0.

    Raises:
        InputError: a number is out of its range.

    Source: Kingma and Ba (2015), algorithm 1.

    Example:
        >>> x, gradient = np.array([3.0, -4.0]), np.array([0.5, -50.0])
        >>> Adam(learning_rate=0.1).update(x, gradient).round(6)
        array([ 2.9, -3.9])
    """

    def __init__(
        self,
        learning_rate: float,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.learning_rate = number("learning_rate", learning_rate, least=0)
        self.beta1 = number("beta1", beta1, least=0, below=1)
        self.beta2 = number("beta2", beta2, least=0, below=1)
        self.epsilon = number("epsilon", epsilon, above=0)
        self.t = 0
        self.m: Array | None = None  # the mean gradient, uncorrected
        self.v: Array | None = None  # the mean squared gradient, uncorrected

    def update(self, x: Array, gradient: Array) -> Array:
        """Return the next x as a new array, and keep the means for the next call.

        Args:
            x: the values to move, of any shape, float32 or float64.
            gradient: the gradient, of the same shape and dtype.

        Raises:
            InputError: shapes or dtypes differ, or x had another shape before.
        """
        for name, array in (("x", x), ("gradient", gradient)):
            if not isinstance(array, np.ndarray) or array.dtype not in (np.float32, np.float64):
                kind = array.dtype if isinstance(array, np.ndarray) else type(array).__name__
                raise InputError(f"{name} must be an array of float32 or float64, not {kind}")
        if x.dtype != gradient.dtype:
            raise InputError(f"x is {x.dtype}, but its gradient is {gradient.dtype}")
        if x.shape != gradient.shape or (self.m is not None and self.m.shape != x.shape):
            before = "" if self.m is None else f", x before had {self.m.shape}"
            raise InputError(
                f"x has the shape {x.shape} and its gradient has {gradient.shape}{before}"
            )
        if self.m is None or self.v is None:
            self.m, self.v = np.zeros_like(x), np.zeros_like(x)
        self.t += 1
        self.m = self.beta1 * self.m + (1 - self.beta1) * gradient
        self.v = self.beta2 * self.v + (1 - self.beta2) * gradient**2
        m_hat = self.m / (1 - self.beta1**self.t)
        v_hat = self.v / (1 - self.beta2**self.t)
        step: Array = self.learning_rate * m_hat / (np.sqrt(v_hat) + self.epsilon)
        return x - step
