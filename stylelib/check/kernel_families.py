"""The gradients of a convolution: families of mistakes (chapter 14)."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from stylelib.check.convolution import Array, padded_with
from stylelib.check.convolution_families import columns_ordered, orders, rows_ordered
from stylelib.check.exercises import Wrong

__all__ = ["WRONGS"]

Gradients = tuple[Any, Any, Any]
Change = Callable[[Array, Array, Array], tuple[Array, Array, Array]]
"""From (top_diff, x, weight) to what a gradient is computed of."""


def gradients(
    d: Array,
    x: Array,
    w: Array,
    p: int,
    s: int,
    *,
    into_x: str = "noij,oc->ncij",
    into_weight: str = "noij,ncij->oc",
) -> Gradients:
    """All three, position by position of the kernel; the letters are those of the sums."""
    padded, k = padded_with(x, p), w.shape[2]
    d, w = d.astype(np.float64), w.astype(np.float64)
    d_padded, d_weight = np.zeros_like(padded), np.zeros(w.shape)
    for u, v in np.ndindex(k, k):
        at = np.s_[:, :, u : u + s * d.shape[2] : s, v : v + s * d.shape[3] : s]
        d_padded[at] += np.einsum(into_x, d, w[:, :, u, v])
        d_weight[:, :, u, v] = np.einsum(into_weight, d, padded[at])
    H, W = x.shape[2:]
    return d_padded[:, :, p : p + H, p : p + W], d_weight, d.sum((0, 2, 3))


def same(d: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """Nothing is changed."""
    return d, x, w


WORDS = {
    (0,): "d_x",
    (1,): "d_weight",
    (2,): "d_bias",
    (0, 1): "d_x and d_weight",
    (1, 2): "d_weight and d_bias",
    (0, 1, 2): "three gradients",
}


def changed(which: tuple[int, ...], change: Change) -> Callable[..., Gradients]:
    """Some of the gradients are those of other arrays."""

    def version(d: Array, x: Array, w: Array, p: int, s: int) -> Gradients:
        right, wrong = gradients(d, x, w, p, s), gradients(*change(d, x, w), p, s)
        found = tuple(wrong[i] if i in which else right[i] for i in range(3))
        return found[0], found[1], found[2]

    return version


def at(part: Any) -> Change:
    """Only some of the values of top_diff are used."""

    def change(d: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
        one = np.zeros_like(d)
        one[part] = d[part]
        return one, x, w

    return change


def without(part: Any) -> Change:
    """Some of the values of top_diff are left out."""

    def change(d: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
        one = d.copy()
        one[part] = 0
        return one, x, w

    return change


REGIONS: dict[str, tuple[str, Change]] = {
    "no_last_row_and_column": (
        "miss the last row and column of windows: the loops end one too early",
        at(np.s_[:, :, :-1, :-1]),
    ),
    "no_last_row": (
        "miss the last row of windows: the loop ends one too early",
        at(np.s_[:, :, :-1]),
    ),
    "no_last_column": (
        "miss the last column of windows: the loop ends one too early",
        at(np.s_[..., :-1]),
    ),
    "no_first_row_and_column": (
        "miss the first row and column of windows: loops begin at 0",
        at(np.s_[:, :, 1:, 1:]),
    ),
    "no_first_row": ("miss the first row of windows: loops begin at 0", at(np.s_[:, :, 1:])),
    "no_first_column": (
        "miss the first column of windows: loops begin at 0",
        at(np.s_[..., 1:]),
    ),
    "first_window": ("use only the first window", at(np.s_[:, :, 0, 0])),
    "last_window": (
        "use only the last window: add up all of them with +=",
        at(np.s_[:, :, -1, -1]),
    ),
    "last_window_of_last_image": (
        "use only the last window of the last image: add up all of them with +=",
        at(np.s_[-1, :, -1, -1]),
    ),
    "last_row_of_windows": (
        "use only the last row of windows: add up all of them with +=",
        at(np.s_[:, :, -1]),
    ),
    "first_row_of_windows": ("use only the first row of windows", at(np.s_[:, :, 0])),
    "last_column_of_windows": (
        "use only the last column of windows: add up all of them with +=",
        at(np.s_[..., -1]),
    ),
    "first_image": ("use only the first image of the batch", at(0)),
    "last_image": ("use only the last image of the batch: use +=", at(-1)),
    "no_last_image": ("leave out the last image of the batch", at(np.s_[:-1])),
    "no_first_image": ("leave out the first image of the batch", at(np.s_[1:])),
    "first_output": ("use only the first output channel", at(np.s_[:, 0])),
    "last_output": ("use only the last output channel: use +=", at(np.s_[:, -1])),
    "no_last_output": ("leave out the last output channel", at(np.s_[:, :-1])),
    "no_first_output": ("leave out the first output channel", at(np.s_[:, 1:])),
}
TOP: dict[str, tuple[str, Change]] = {
    "top_diff_squared": ("use the square of top_diff", lambda d, x, w: (d**2, x, w)),
    "top_diff_absolute": ("use absolute values of top_diff", lambda d, x, w: (np.abs(d), x, w)),
    "top_diff_positive": (
        "set negative values of top_diff to 0, as a ReLU does",
        lambda d, x, w: (d.clip(0), x, w),
    ),
    "top_diff_averaged": (
        "use the mean of top_diff over the batch for every image",
        lambda d, x, w: (np.repeat(d.mean(0, keepdims=True), len(d), 0), x, w),
    ),
    "top_diff_of_first_image": (
        "use the first image's top_diff for every image",
        lambda d, x, w: (np.repeat(d[:1], len(d), 0), x, w),
    ),
    "top_diff_of_last_image": (
        "use the last image's top_diff for every image",
        lambda d, x, w: (np.repeat(d[-1:], len(d), 0), x, w),
    ),
    "top_diff_mean": (
        "use one mean of top_diff",
        lambda d, x, w: (np.full_like(d, d.mean()), x, w),
    ),
    "top_diff_of_places_added": (
        "use the sum of top_diff over all positions for every window",
        lambda d, x, w: (np.broadcast_to(d.sum((2, 3), keepdims=True), d.shape), x, w),
    ),
    "outputs_reversed": (
        "take the output channels in reverse order",
        lambda d, x, w: (d[:, ::-1], x, w),
    ),
    "top_diff_rotated": (
        "rotate top_diff by 180 degrees",
        lambda d, x, w: (d[:, :, ::-1, ::-1], x, w),
    ),
}
OTHER_IMAGES: dict[str, tuple[str, Change]] = {
    "first_image_for_all": (
        "use the first image of x for every image",
        lambda d, x, w: (d, np.repeat(x[:1], len(x), 0), w),
    ),
    "last_image_for_all": (
        "use the last image of x for every image",
        lambda d, x, w: (d, np.repeat(x[-1:], len(x), 0), w),
    ),
    "x_absolute": ("use absolute values of x", lambda d, x, w: (d, np.abs(x), w)),
    "x_positive": ("set negative values of x to 0", lambda d, x, w: (d, x.clip(0), w)),
    "x_squared": ("use the square of x", lambda d, x, w: (d, x**2, w)),
    "x_ignored": ("use top_diff only, without the pixels x", lambda d, x, w: (d, 0 * x + 1, w)),
    "x_rotated": ("rotate x by 180 degrees", lambda d, x, w: (d, x[:, :, ::-1, ::-1], w)),
    "inputs_reversed": (
        "take the input channels in reverse order",
        lambda d, x, w: (d, x[:, ::-1], w),
    ),
    "first_input_for_all": (
        "use the first input channel for all of them",
        lambda d, x, w: (d, np.repeat(x[:, :1], x.shape[1], 1), w),
    ),
    "last_input_for_all": (
        "use the last input channel for all of them",
        lambda d, x, w: (d, np.repeat(x[:, -1:], x.shape[1], 1), w),
    ),
}


def of_weights(kernel: Callable[[Array], Array]) -> Change:
    """Only the weights are others."""
    return lambda d, x, w: (d, x, kernel(w))


OTHER_KERNELS: dict[str, tuple[str, Change]] = {
    "first_kernel": (
        "use the first kernel for every output channel",
        lambda d, x, w: (d, x, np.repeat(w[:1], len(w), 0)),
    ),
    "last_kernel": (
        "use the last kernel for every output channel",
        lambda d, x, w: (d, x, np.repeat(w[-1:], len(w), 0)),
    ),
    "weights_absolute": ("use absolute weights", lambda d, x, w: (d, x, np.abs(w))),
    "weights_ignored": (
        "use top_diff only, without weights",
        lambda d, x, w: (d, x, 0 * w + 1),
    ),
    "kernel_turned": (
        "use a kernel turned by 90 degrees",
        lambda d, x, w: (d, x, np.rot90(w, 1, (2, 3))),
    ),
    "kernel_turned_back": (
        "use a kernel turned by 90 degrees",
        lambda d, x, w: (d, x, np.rot90(w, -1, (2, 3))),
    ),
    "kernel_rotated_and_transposed": (
        "use a kernel rotated by 180 degrees and transposed",
        lambda d, x, w: (d, x, w[:, :, ::-1, ::-1].swapaxes(2, 3)),
    ),
    "kernel_channels_reversed": (
        "take the input channels in reverse order",
        lambda d, x, w: (d, x, w[:, ::-1]),
    ),
    **{
        f"rows_ordered_{word.strip('()').replace(', ', '')}": (
            f"use weights in the order {word}, but columns in the order (c, u, v)",
            of_weights(rows_ordered(order)),
        )
        for order, word in orders("cuv")
        if word != "(c, v, u)"
    },
    **{
        f"columns_ordered_{word.strip('()').replace(', ', '')}": (
            f"use columns in the order {word}, but weights in the order (c, u, v)",
            of_weights(columns_ordered(order)),
        )
        for order, word in orders("cuv")
        if word != "(c, v, u)"
    },
}


def family(
    changes: dict[str, tuple[str, Change]], *parts: tuple[int, ...], known: tuple[str, ...] = ()
) -> tuple[Wrong, ...]:
    """Each change in each of these groups of gradients."""
    found = []
    for (name, (said, change)), which in itertools.product(changes.items(), parts):
        label = f"{name}_in_{''.join(str(i) for i in which)}"
        words = WORDS[which]
        verb = said.partition(" ")[0]
        if len(which) == 1:
            said = said.replace(verb, verb + ("es" if verb.endswith("ss") else "s"), 1)
        found.append(Wrong(label, f"Your {words} {said}.", changed(which, change)))
    return tuple(wrong for wrong in found if wrong.name not in known)


KNOWN = (
    "first_output_in_0",
    "first_image_in_1",
    "last_image_in_1",
    "first_image_in_2",
    "last_image_in_2",
    "last_image_in_12",
    "last_window_of_last_image_in_1",
    "rows_ordered_vuc_in_0",
)
"""Listed among the others."""
FAMILIES = (
    *family(REGIONS, (0,), (1,), (2,), (0, 1), (1, 2), (0, 1, 2), known=KNOWN),
    *family(TOP, (0,), (1,), (2,), (0, 1), (0, 1, 2)),
    *family(OTHER_IMAGES, (1,)),
    *family(OTHER_KERNELS, (0,)),
)


def weights_moved(move: Callable[[Array], Array]) -> Callable[..., Gradients]:
    """The gradient of the weights with its values elsewhere."""

    def version(*given: Any) -> Gradients:
        d_x, d_weight, d_bias = gradients(*given)
        return d_x, move(d_weight), d_bias

    return version


def taken_back(order: tuple[int, ...]) -> Callable[[Array], Array]:
    """Values in another order, called (c, u, v)."""
    return lambda w: w.transpose(0, *(1 + axis for axis in order)).reshape(w.shape)


MOVED = tuple(
    Wrong(
        f"weight_gradient_ordered_{word.strip('()').replace(', ', '')}",
        f"The rows of your d_weight are ordered {word}, but read as (c, u, v): reshape them "
        "to their own order and transpose that.",
        weights_moved(taken_back(order)),
    )
    for order, word in orders("cuv")
    if word != "(c, v, u)"
)

EINSUM = (
    Wrong(
        "outputs_summed_apart_in_x",
        "Your d_x adds up top_diff and weights over the output channels by themselves, as "
        "einsum does with two letters; use the same letter for both.",
        lambda *a: (gradients(*a, into_x="npij,oc->ncij")[0], *gradients(*a)[1:]),
    ),
    Wrong(
        "inputs_added_up_in_x",
        "Your d_x gives every input channel the sum over all of them.",
        lambda d, x, w, p, s: (
            gradients(d, x, np.repeat(w.sum(1, keepdims=True), w.shape[1], 1), p, s)[0],
            *gradients(d, x, w, p, s)[1:],
        ),
    ),
    Wrong(
        "images_summed_apart_in_weight",
        "Your d_weight multiplies each image's top_diff by the sum of all images, as einsum "
        "does with two letters; use the same letter for both.",
        lambda *a: (
            gradients(*a)[0],
            gradients(*a, into_weight="noij,mcij->oc")[1],
            gradients(*a)[2],
        ),
    ),
    Wrong(
        "places_summed_apart_in_weight",
        "Your d_weight adds up top_diff and pixels over the windows by themselves, as einsum "
        "does with other letters; use the same letters for both.",
        lambda *a: (
            gradients(*a)[0],
            gradients(*a, into_weight="noij,nckl->oc")[1],
            gradients(*a)[2],
        ),
    ),
    Wrong(
        "outputs_added_up_in_weight",
        "Your d_weight is the same for every output channel, their sum: channel o gets the sum "
        "with top_diff[:, o].",
        lambda *a: (
            gradients(*a)[0],
            np.repeat(gradients(*a)[1].sum(0, keepdims=True), len(a[2]), 0),
            gradients(*a)[2],
        ),
    ),
    Wrong(
        "inputs_added_up_in_weight",
        "Your d_weight adds up the input channels; each has a gradient of its own.",
        lambda *a: (
            gradients(*a)[0],
            np.repeat(gradients(*a)[1].sum(1, keepdims=True), a[2].shape[1], 1),
            gradients(*a)[2],
        ),
    ),
)


def bordered(mode: str) -> Callable[..., Gradients]:
    """The gradient of the weights with another border than zeros."""

    def version(d: Array, x: Array, w: Array, p: int, s: int) -> Gradients:
        d_x, _, d_bias = gradients(d, x, w, p, s)
        return d_x, gradients(d, padded_with(x, p, mode), w, 0, s)[1], d_bias

    return version


def shifted(rows: int, columns: int) -> Callable[..., Gradients]:
    """The gradient of x cut out of the padded one elsewhere."""

    def version(d: Array, x: Array, w: Array, p: int, s: int) -> Gradients:
        _, d_weight, d_bias = gradients(d, x, w, p, s)
        wide = np.pad(x, ((0, 0), (0, 0), (p, p), (p, p)))
        d_padded, (H, W) = gradients(d, wide, w, 0, s)[0], x.shape[2:]
        top, left = p + rows * p, p + columns * p
        return d_padded[:, :, top : top + H, left : left + W], d_weight, d_bias

    return version


def pixels_beside(d: Array, x: Array, w: Array, p: int, s: int) -> Gradients:
    """Weights from the image as if it began where the padded one does."""
    d_x, _, d_bias = gradients(d, x, w, p, s)
    beside = np.pad(x, ((0, 0), (0, 0), (0, 2 * p), (0, 2 * p)))
    return d_x, gradients(d, beside, w, 0, s)[1], d_bias


def axes_of_bias() -> list[Wrong]:
    """Sums and means of top_diff over other axes, where the result has a shape of its own."""
    names = ("images", "channels", "rows", "columns")
    found = []
    for n in range(1, 4):
        for axes in itertools.combinations(range(4), n):
            if axes in {(0, 2, 3), (2, 3)}:
                continue
            words = " and ".join(names[axis] for axis in axes)

            def version(*given: Any, axes: tuple[int, ...] = axes) -> Gradients:
                d_x, d_weight, _ = gradients(*given)
                return d_x, d_weight, given[0].sum(axes)

            said = f"Your d_bias is summed over {words}; sum it over images, rows and columns."
            found.append(Wrong(f"bias_over_{'_'.join(names[a] for a in axes)}", said, version))
    return found


PLACED = (
    *(
        Wrong(
            f"weight_padded_with_{mode}",
            f"Your d_weight pads x with {words}; pad it with zeros, as in the forward pass.",
            bordered(mode),
        )
        for mode, words in (
            ("edge", "the pixels of the border"),
            ("reflect", "its mirror image"),
            ("wrap", "pixels of the other side"),
        )
    ),
    Wrong(
        "weight_without_padding",
        "Your d_weight takes its windows from x instead of the padded x, so they lie `padding` "
        "pixels too far down and right.",
        pixels_beside,
    ),
    Wrong(
        "padding_cut_at_the_start",
        "You cut all of the padding's border off above and on the left; cut `padding` rows and "
        "columns off each side.",
        shifted(1, 1),
    ),
    Wrong(
        "padding_cut_at_the_end_of_rows",
        "You cut all of the padding's rows off below; cut `padding` off each side.",
        shifted(-1, 0),
    ),
    Wrong(
        "padding_cut_at_the_end_of_columns",
        "You cut all of the padding's columns off on the right; cut `padding` off each side.",
        shifted(0, -1),
    ),
    *axes_of_bias(),
    Wrong(
        "relu_included",
        "Your d_x is 0 where x is negative; that is what a ReLU does, not a convolution.",
        lambda d, x, w, p, s: (
            gradients(d, x, w, p, s)[0] * (x > 0),
            *gradients(d, x, w, p, s)[1:],
        ),
    ),
    Wrong(
        "bias_of_x",
        "Your d_bias sums x; sum top_diff over images and positions.",
        lambda d, x, w, p, s: (*gradients(d, x, w, p, s)[:2], x.sum((0, 2, 3))),
    ),
    Wrong(
        "bias_largest",
        "Your d_bias takes the largest of top_diff; take its sum over images and positions.",
        lambda d, x, w, p, s: (*gradients(d, x, w, p, s)[:2], d.max((0, 2, 3))),
    ),
    Wrong(
        "padding_and_stride_swapped",
        "You take the padding for the stride and the stride for the padding.",
        lambda d, x, w, p, s: gradients(d, x, w, s, p),
    ),
)

WRONGS = (*FAMILIES, *MOVED, *EINSUM, *PLACED)
