"""gram: families of mistakes (chapter 5)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stylelib.check.axes import Mistake, subsets
from stylelib.check.exercises import Wrong
from stylelib.check.grams import centered, gram_of
from stylelib.check.inputs import Array, array

__all__ = ["MISTAKES", "WRONGS"]

Rows = Callable[[Array], Array]


def _rows(F: Array) -> Array:
    return F.reshape(*F.shape[:2], -1)


def _product(A: Array, B: Array, F: Array) -> Array:
    """A B^T, over the number of values of an image."""
    return np.asarray(A @ B.swapaxes(-1, -2) / F[0].size)


def _of_rows(rows: Rows) -> Callable[[Array], Array]:
    return lambda F: _product(rows(F), rows(F), F)


def _second(rows: Rows) -> Callable[[Array], Array]:
    return lambda F: _product(_rows(F), rows(F), F)


def _rows_after(order: tuple[int, ...]) -> Rows:
    return lambda F: F.transpose(order).reshape(len(F), F.shape[1], -1)


def _columns_after(order: tuple[int, ...]) -> Rows:
    return lambda F: F.transpose(order).reshape(len(F), -1, F.shape[1]).swapaxes(1, 2)


def _orders() -> Iterator[Mistake]:
    """Every order of the axes before a reshape."""
    for order in itertools.permutations(range(4)):
        moved = ", ".join(map(str, order))
        if order not in ((0, 1, 2, 3), (0, 1, 3, 2)):
            yield Mistake(
                "rows_after_permute_" + "".join(map(str, order)),
                f"mixes channels, positions or images: after permute({moved}) a reshape to (N, "
                "C, H * W) cuts the rows wrongly. Leave the permute out",
                _of_rows(_rows_after(order)),
            )
        if order not in ((0, 1, 2, 3), (0, 2, 3, 1), (0, 3, 2, 1)):
            yield Mistake(
                "columns_after_permute_" + "".join(map(str, order)),
                f"mixes channels, positions or images: after permute({moved}) a reshape to (N, "
                "H * W, C) cuts the columns wrongly. Use flatten(2)",
                _of_rows(_columns_after(order)),
            )
    yield Mistake(
        "second_factor_cut",
        "multiplies by a reshape to (N, H * W, C), which does not transpose. Use "
        "F.transpose(1, 2)",
        _second(lambda F: F.reshape(len(F), -1, F.shape[1]).swapaxes(1, 2)),
    )
    yield Mistake(
        "second_factor_with_columns_first",
        "multiplies position (i, j) by position (j, i): flatten both factors in the same order",
        _second(lambda F: F.swapaxes(2, 3).reshape(*F.shape[:2], -1)),
    )


def _centered_over(axes: tuple[int, ...]) -> Rows:
    return lambda F: _rows(F) - _rows(F).mean(axes, keepdims=True)


def _normalized_over(axes: tuple[int, ...], rows: Rows = _rows) -> Rows:
    return lambda F: rows(F) / np.sqrt((rows(F) ** 2).sum(axes, keepdims=True))


def _scaled() -> Iterator[Mistake]:
    """Rows that are centered or normalized first, over each set of axes."""
    for name, words, axes in subsets(("images", "channels", "positions"), whole=True):
        unit = _normalized_over(axes)
        yield Mistake(
            f"centered_over_{name}",
            f"is made of features whose mean over {words} is subtracted. Leave the mean in",
            _of_rows(_centered_over(axes)),
        )
        said = f"is made of features that are divided by their lengths over {words}"
        yield Mistake(
            f"normalized_over_{name}", f"{said}. Leave the lengths in", _of_rows(unit)
        )
        yield Mistake(
            f"normalized_over_{name}_divided_by_channels",
            f"{said}, and divided by C. Leave the lengths in, and divide by C * H * W",
            lambda F, unit=unit: gram_of(unit(F), F.shape[1]),
        )
        yield Mistake(
            f"normalized_over_{name}_not_divided",
            f"{said}, and not divided by C * H * W. Leave the lengths in, and divide",
            lambda F, unit=unit: gram_of(unit(F), 1),
        )
        both = _normalized_over(axes, _centered_over(axes))
        yield Mistake(
            f"standardized_over_{name}",
            f"is made of features that are centered and normalized over {words}, as in "
            "correlations. Take them as they are",
            lambda F, both=both: gram_of(both(F), 1),
        )


def _parts() -> Iterator[Mistake]:
    """Positions that are left out, or moved."""
    for name, words, cut in (
        ("last_row", "the last row", lambda F: F[:, :, :-1]),
        ("first_row", "the first row", lambda F: F[:, :, 1:]),
        ("last_column", "the last column", lambda F: F[..., :-1]),
        ("first_column", "the first column", lambda F: F[..., 1:]),
        ("last_position", "the last position", lambda F: _rows(F)[..., :-1]),
        ("first_position", "the first position", lambda F: _rows(F)[..., 1:]),
        ("border", "the border", lambda F: F[:, :, 1:-1, 1:-1]),
        ("last_row_and_column", "the last row and column", lambda F: F[:, :, :-1, :-1]),
        ("all_but_first_row", "all rows but the first", lambda F: F[:, :, :1]),
        ("all_but_first_column", "all columns but the first", lambda F: F[..., :1]),
        ("all_but_last_row", "all rows but the last", lambda F: F[:, :, -1:]),
        ("all_but_last_column", "all columns but the last", lambda F: F[..., -1:]),
    ):
        yield Mistake(
            f"without_{name}",
            f"leaves out {words}. Add up all positions",
            lambda F, cut=cut: gram_of(cut(F), F[0].size),
        )
        yield Mistake(
            f"without_{name}_in_divisor_either",
            f"leaves out {words}. Add up all positions, and divide by C * H * W",
            lambda F, cut=cut: gram_of(cut(F)),
        )
    yield Mistake(
        "shifted",
        "multiplies each position by the next one. Multiply channels at the same position",
        lambda F: _product(_rows(F)[..., 1:], _rows(F)[..., :-1], F),
    )
    yield Mistake(
        "rolled",
        "multiplies each position by the next one. Multiply channels at the same position",
        _second(lambda F: np.roll(_rows(F), 1, 2)),
    )


MIXED: tuple[tuple[str, str, Callable[[Array], Array]], ...] = (
    ("mean_image", "multiplies each image by the mean image of the batch", _second(lambda F: _rows(F.mean(0, keepdims=True)))),
    ("first_image", "multiplies each image by the first one", _second(lambda F: _rows(F[:1]))),
    ("last_image", "multiplies each image by the last one", _second(lambda F: _rows(F[-1:]))),
    ("image_before", "multiplies each image by the one before it", _second(lambda F: np.roll(_rows(F), 1, 0))),
    ("images_reversed", "multiplies each image by another one: the order of the batch is reversed", _second(lambda F: _rows(F)[::-1])),
    ("of_the_sum", "is that of the sum of all images", lambda F: _repeated(F.sum(0, keepdims=True), F)),
    ("of_the_mean_image", "is that of the mean of all images", lambda F: _repeated(F.mean(0, keepdims=True), F)),
    ("first_for_all", "is that of the first image, for each image", lambda F: _repeated(F[:1], F)),
    ("last_for_all", "is that of the last image, for each image", lambda F: _repeated(F[-1:], F)),
    ("mean_for_all", "is the mean of all images' matrices, for each image", lambda F: np.repeat(gram_of(F).mean(0, keepdims=True), len(F), 0)),
    ("sum_for_all", "is the sum of all images' matrices, for each image", lambda F: np.repeat(gram_of(F).sum(0, keepdims=True), len(F), 0)),
    ("mean_kept", "is the mean of all images' matrices", lambda F: gram_of(F).mean(0, keepdims=True)),
    ("added_up_from_image_to_image", "is added up from image to image: start anew for each", lambda F: gram_of(F).cumsum(0)),
)  # fmt: skip
"""Images that are mixed."""


def _of_batch() -> Iterator[Mistake]:
    for name, said, formula in MIXED:
        yield Mistake(name, f"{said}. Each image has its own matrix", formula)


def _repeated(one: Array, F: Array) -> Array:
    return np.repeat(gram_of(one), len(F), 0)


def _of_letters() -> Iterator[Mistake]:
    """Letters of einsum that are not the same in both factors."""
    for letters, said in (
        ("nihw,njhv->nij", "adds up over the columns of each factor alone"),
        ("nihw,njkw->nij", "adds up over the rows of each factor alone"),
        ("nihw,njkv->nij", "adds up over the positions of each factor alone"),
        ("nihw,mjkv->nij", "adds up over the positions and images of each factor alone"),
    ):
        yield Mistake(
            "letters_" + letters[:9].replace(",", "_"),
            f"{said}, before it multiplies. Use the same letters for positions in both, as in "
            "nchw,ndhw->ncd",
            lambda F, letters=letters: np.einsum(letters, F, F) / F[0].size,
        )


def _without_diagonal(G: Array) -> Array:
    return np.asarray(G * (1 - np.eye(G.shape[-1])))


CHANGED: tuple[tuple[str, str, Any], ...] = (
    ("upper_only", "has zeros on and below its diagonal. All entries count", lambda G: np.triu(G, 1)),
    ("lower_only", "has zeros above its diagonal. Both triangles count", np.tril),
    ("strictly_lower", "has zeros on and above its diagonal. All entries count", lambda G: np.tril(G, -1)),
    ("no_diagonal", "has zeros on its diagonal. A channel's product with itself counts", _without_diagonal),
    ("no_unit_matrix", "has the unit matrix subtracted. Leave it as it is", lambda G: G - np.eye(G.shape[-1])),
    ("unit_matrix_added", "has the unit matrix added. Leave it as it is", lambda G: G + np.eye(G.shape[-1])),
    ("cosines", "is divided by the roots of its diagonal, as correlations are. Leave it as it is", lambda G: G / np.sqrt(np.einsum("nii->ni", G)[:, :, None] * np.einsum("nii->ni", G)[:, None])),
    ("softmax", "has gone through a softmax. Leave it as it is", lambda G: np.exp(G) / np.exp(G).sum(-1, keepdims=True)),
    ("scaled_by_largest", "is divided by its largest entry. Divide by C * H * W only", lambda G: G / abs(G).max((1, 2), keepdims=True)),
    ("scaled_by_trace", "is divided by its trace. Divide by C * H * W only", lambda G: G / np.einsum("nii->n", G)[:, None, None]),
    ("scaled_by_norm", "is divided by its length. Divide by C * H * W only", lambda G: G / np.sqrt((G**2).sum((1, 2), keepdims=True))),
    ("applied_twice", "is multiplied by itself. One product is enough", lambda G: G @ G),
)  # fmt: skip
"""What is done to the right matrix."""

PAIRED: tuple[tuple[str, str, Any], ...] = (
    ("sums_of_pairs", "adds the channels. Multiply them", lambda A, B, F: (A + B).sum(-1) / F[0].size),
    ("distances", "is a matrix of squared distances of channels. Multiply them", lambda A, B, F: ((A - B) ** 2).sum(-1) / F[0].size),
    ("absolute_products", "adds up absolute values of products. Leave the signs in", lambda A, B, F: abs(A * B).sum(-1) / F[0].size),
    ("largest_products", "takes the largest product over the positions. Add up all", lambda A, B, F: (A * B).max(-1) / F.shape[1]),
    ("positive_products", "leaves out negative products. Add up all", lambda A, B, F: np.maximum(A * B, 0).sum(-1) / F[0].size),
)  # fmt: skip
"""Of each channel with each: (N, C, 1, H * W), (N, 1, C, H * W), and the features."""

SECONDS: tuple[tuple[str, str, Rows], ...] = (
    ("second_absolute", "loses the signs of one factor. Leave out the absolute value", abs),
    ("second_rectified", "leaves out negative features of one factor. There is no ReLU in it", lambda F: np.maximum(F, 0)),
    ("second_squared", "squares one of its factors. Multiply the features as they are", np.square),
    ("second_centered", "has the mean of each channel subtracted in one factor. Leave it in", lambda F: F - F.mean((2, 3), keepdims=True)),
    ("signs", "multiplies by signs. Multiply the features themselves", np.sign),
    ("channels_of_second_reversed", "has the channels of one factor in reverse order", lambda F: F[:, ::-1]),
    ("upside_down", "multiplies by an image that is upside down. Flatten both factors alike", lambda F: F[:, :, ::-1]),
    ("mirrored", "multiplies by a mirrored image. Flatten both factors alike", lambda F: F[..., ::-1]),
    ("ones", "does not multiply channels: one factor is a matrix of ones", np.ones_like),
)  # fmt: skip
"""What is done to one of the two factors."""


def _rows_of(change: Rows) -> Rows:
    return lambda F: _rows(change(F))


def _of_result() -> Iterator[Mistake]:
    """What is done to the right matrix, or in place of the product."""
    for name, said, change in CHANGED:
        yield Mistake(name, said, lambda F, change=change: change(gram_of(F)))
    for name, said, pair in PAIRED:
        yield Mistake(
            name, said, lambda F, p=pair: p(_rows(F)[:, :, None], _rows(F)[:, None], F)
        )
    for name, said, second in SECONDS:
        yield Mistake(name, said, _second(_rows_of(second)))


DIVISORS: tuple[tuple[str, str, Callable[[int, int, int, int], float]], ...] = (
    ("unbiased", "is divided by C * (H * W - 1)", lambda N, C, H, W: C * (H * W - 1)),
    ("unbiased_without_channels", "is divided by H * W - 1", lambda N, C, H, W: H * W - 1),
    ("sum_of_sizes", "is divided by C + H * W", lambda N, C, H, W: C + H * W),
    ("sum_of_all_sizes", "is divided by C + H + W", lambda N, C, H, W: C + H + W),
    ("sum_of_sides", "is divided by C * (H + W)", lambda N, C, H, W: C * (H + W)),
    ("root", "is divided by the root of C * H * W", lambda N, C, H, W: (C * H * W) ** 0.5),
    ("root_of_positions", "is divided by the root of H * W", lambda N, C, H, W: (H * W) ** 0.5),
    ("height_twice", "is divided by C * H * H", lambda N, C, H, W: C * H * H),
    ("width_twice", "is divided by C * W * W", lambda N, C, H, W: C * W * W),
    ("height", "is divided by H alone", lambda N, C, H, W: H),
    ("width", "is divided by W alone", lambda N, C, H, W: W),
    ("batch", "is divided by N alone", lambda N, C, H, W: N),
    ("batch_and_channels", "is divided by N * C", lambda N, C, H, W: N * C),
    ("batch_and_positions", "is divided by N * H * W", lambda N, C, H, W: N * H * W),
    ("channels_twice_and_positions", "is divided by C * C * H * W", lambda N, C, H, W: C * C * H * W),
    ("positions_twice", "is divided by C * (H * W) ** 2", lambda N, C, H, W: C * (H * W) ** 2),
    ("without_border", "is divided by C * (H - 1) * (W - 1)", lambda N, C, H, W: C * (H - 1) * (W - 1)),
    ("one_channel_less", "is divided by (C - 1) * H * W", lambda N, C, H, W: (C - 1) * H * W),
    ("four_squares", "is divided by 4 * C ** 2 * (H * W) ** 2, as the loss in the paper is", lambda N, C, H, W: 4 * (C * H * W) ** 2),
)  # fmt: skip
"""After "Your Gram matrix": words, and the divisor, of N, C, H and W."""


def _of_divisors() -> Iterator[Mistake]:
    for name, said, size in (
        ("unbiased_covariance", "divided by H * W - 1", lambda F: F[0, 0].size - 1),
        ("covariance_of_positions", "divided by H * W", lambda F: F[0, 0].size),
        ("covariance_not_divided", "not divided", lambda F: 1),
        (
            "unbiased_covariance_of_values",
            "divided by C * (H * W - 1)",
            lambda F: F.shape[1] * (F[0, 0].size - 1),
        ),
    ):
        yield Mistake(
            name,
            f"is a covariance: the mean of each channel is subtracted, and it is {said}. Leave "
            "the mean in, and divide by C * H * W",
            lambda F, size=size: gram_of(centered(F), size(F)),
        )
    for name, said, product in DIVISORS:
        yield Mistake(
            f"divisor_{name}",
            f"{said}. Divide by C * H * W",
            lambda F, product=product: gram_of(F, product(*F.shape)),
        )


MISTAKES = (
    *_orders(),
    *_scaled(),
    *_parts(),
    *_of_batch(),
    *_of_letters(),
    *_of_result(),
    *_of_divisors(),
)
"""To be read after "Your Gram matrix"."""

WRONGS = tuple(
    Wrong(name, f"Your Gram matrix {said}.", lambda X, formula=formula: formula(array(X)))
    for name, said, formula in MISTAKES
)
