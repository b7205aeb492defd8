"""The losses by hand, each with its gradient (chapter 16).

Features have the shape (N, C, H, W); other shapes and dtypes raise an `InputError`. Chapter 16
derives the gradients. The factors are those of `stylelib.CONVENTIONS["numpy"]`; total variation
is that of the d2l recipe.
"""

from __future__ import annotations

import numpy as np

from stylelib.errors import InputError
from stylelib.from_scratch.windows import Array, check_features

__all__ = ["ContentLoss", "StyleLoss", "TVLoss", "gram"]


def gram(F: Array) -> Array:
    """Gram matrices of features, not normalized: (N, C, H, W) to (N, C, C).

    Source: Gatys et al. (2016), equation 3.
    """
    check_features(F)
    flat = F.reshape(*F.shape[:2], -1)  # (N, C, M)
    product: Array = flat @ flat.transpose(0, 2, 1)
    return product


class ContentLoss:
    """1 / (2 N C H W) * sum((F - P)^2).

    Source: Gatys et al. (2016), equation 1, which does not divide by N C H W.

    Example:
        >>> F, P = np.full((1, 1, 1, 2), 3.0), np.ones((1, 1, 1, 2))
        >>> ContentLoss().forward(F, P), ContentLoss().backward(F, P)
        (2.0, array([[[[1., 1.]]]]))
    """

    def forward(self, F: Array, P: Array) -> float:
        """The loss of features F with the target P, both (N, C, H, W)."""
        return float(np.square(self._difference(F, P)).mean()) / 2

    def backward(self, F: Array, P: Array) -> Array:
        """The gradient with respect to F: (F - P) / (N C H W)."""
        return self._difference(F, P) / F.size

    def _difference(self, F: Array, P: Array) -> Array:
        check_features(F)
        if not isinstance(P, np.ndarray):
            raise InputError(f"P must be features like F, not {type(P).__name__}")
        if F.shape != P.shape or F.dtype != P.dtype:
            raise InputError(
                f"F has the shape {F.shape} ({F.dtype}), but P has {P.shape} ({P.dtype})"
            )
        return F - P


class StyleLoss:
    """1 / (4 N C^2 M^2) * sum((gram(F) - A)^2), M = H W.

    Source: Gatys et al. (2016), equation 4, for N = 1. Their gradient in equation 6 is set to 0
    for F < 0; we leave that to the ReLU before F.

    These Gram matrices grow with M, so the style image must have the size of the content image.

    Example:
        >>> F = np.array([[[[1.0, 2.0]]]])  # its Gram matrix is 5
        >>> A = np.array([[[3.0]]])
        >>> StyleLoss().forward(F, A), StyleLoss().backward(F, A)
        (0.25, array([[[[0.5, 1. ]]]]))
    """

    def forward(self, F: Array, A: Array) -> float:
        """The loss of features F (N, C, H, W) with the target Gram matrices A (N, C, C).

        A may also be (1, C, C), the same for all N images.
        """
        D = self._difference(F, A)
        # Fourth powers of features: float32 could overflow if the image diverges
        return float(np.square(D, dtype=np.float64).sum()) / (4 * self._factor(F))

    def backward(self, F: Array, A: Array) -> Array:
        """The gradient with respect to F: 1 / (N C^2 M^2) * (gram(F) - A) F."""
        D = self._difference(F, A) / self._factor(F)
        product: Array = (D @ F.reshape(*F.shape[:2], -1)).reshape(F.shape)
        return product

    def _difference(self, F: Array, A: Array) -> Array:
        G = gram(F)
        if not isinstance(A, np.ndarray) or A.shape not in (G.shape, (1, *G.shape[1:])):
            kind = A.shape if isinstance(A, np.ndarray) else type(A).__name__
            raise InputError(
                f"A has the shape {kind}, but the Gram matrices of F have {G.shape}: give "
                "gram(...)"
            )
        if A.dtype != G.dtype:
            raise InputError(f"A is {A.dtype}, but F is {G.dtype}; they must be the same")
        return G - A

    @staticmethod
    def _factor(F: Array) -> float:
        N, C, height, width = F.shape
        return float(N * (C * height * width) ** 2)


class TVLoss:
    """Half the sum of the mean absolute differences down and across.

    Source: Rudin, Osher and Fatemi (1992), in the anisotropic form of the d2l recipe.

    Example:
        >>> X = np.array([[[[0.0, 1.0], [0.0, 1.0]]]])
        >>> TVLoss().forward(X), TVLoss().backward(X)
        (0.5, array([[[[-0.25,  0.25],
                 [-0.25,  0.25]]]]))
    """

    def forward(self, X: Array) -> float:
        """The loss of images (N, C, H, W) of 2 x 2 pixels or more."""
        down, across = self._differences(X)
        return 0.5 * float(np.abs(down).mean() + np.abs(across).mean())

    def backward(self, X: Array) -> Array:
        """The gradient with respect to X: each difference pulls its two pixels together."""
        down, across = self._differences(X)
        d_X: Array = np.zeros_like(X)
        pull = np.sign(down) / (2 * down.size)
        d_X[:, :, 1:] += pull
        d_X[:, :, :-1] -= pull
        pull = np.sign(across) / (2 * across.size)
        d_X[:, :, :, 1:] += pull
        d_X[:, :, :, :-1] -= pull
        return d_X

    def _differences(self, X: Array) -> tuple[Array, Array]:
        check_features(X)
        if min(X.shape[2:]) < 2:
            raise InputError(f"total variation needs 2 x 2 pixels or more, not {X.shape}")
        return X[:, :, 1:] - X[:, :, :-1], X[:, :, :, 1:] - X[:, :, :, :-1]
