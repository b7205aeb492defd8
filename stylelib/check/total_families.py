"""compute_loss: families of mistakes (chapter 7)."""

# ruff: noqa: E501  # tables have one entry a line
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from stylelib.check.exercises import Wrong
from stylelib.check.grams import GRAM, gram_by_sums
from stylelib.check.inputs import array
from stylelib.check.totals import WEIGHTS, Total, in_all, in_sum, plain_losses, total
from stylelib.check.variation_families import WRONGS as VARIATIONS

__all__ = ["WRONGS"]

KINDS = "content losses", "style losses", "total variation"
Row = tuple[str, str, Callable[..., Any]]
"""A name, words, and a formula."""

OF_ONE_KIND: tuple[Row, ...] = (
    ("first_only", "only the first of the", lambda v: v[0]),
    ("last_only", "only the last of the", lambda v: v[-1]),
    ("without_first", "all but the first of the", lambda v: sum(v[1:])),
    ("without_last", "all but the last of the", lambda v: sum(v[:-1])),
    ("averaged", "the mean of the", lambda v: sum(v) / len(v)),
    ("twice", "twice the", lambda v: 2 * sum(v)),
    ("negative", "the negative of the", lambda v: -sum(v)),
    ("multiplied", "the product of the", np.prod),
    ("largest", "only the largest of the", max),
    ("smallest", "only the smallest of the", min),
    ("squared", "the squares of the", lambda v: sum(x * x for x in v)),
    ("rooted", "the roots of the", lambda v: sum(x**0.5 for x in v)),
    ("times_layers", "as many times as there are layers the", lambda v: len(v) * sum(v)),
)  # fmt: skip
"""What a total may have of the losses of one kind, in place of their sum."""

OF_ALL: tuple[Row, ...] = (
    ("zipped", "Your total loops over both lists with one zip, which ends with the shorter list. Add up each list by itself.", lambda c, s, t, L: sum(a + b for a, b in zip(c, s, strict=False)) + t),
    ("zipped_without_tv", "Your total loops over both lists with one zip, which ends with the shorter list, and leaves out total variation.", lambda c, s, t, L: sum(a + b for a, b in zip(c, s, strict=False))),
    ("zipped_with_tv_inside", "Your total loops over both lists with one zip, which ends with the shorter list, and adds total variation in each turn.", lambda c, s, t, L: sum(a + b + t for a, b in zip(c, s, strict=False))),
    ("tv_for_each_layer", "Your total adds total variation once for each layer. Add it once, after the loops.", lambda c, s, t, L: L + (len(c) + len(s) - 1) * t),
    ("tv_for_each_style", "Your total adds total variation once for each style layer. Add it once, after the loop.", lambda c, s, t, L: L + (len(s) - 1) * t),
    ("tv_for_each_content", "Your total adds total variation once for each content layer. Add it once, after the loop.", lambda c, s, t, L: L + (len(c) - 1) * t),
    ("tv_also_for_each_layer", "Your total adds total variation once for each layer, and once more. Add it once.", lambda c, s, t, L: L + (len(c) + len(s)) * t),
    ("tv_subtracted", "Your total subtracts total variation. Add it.", lambda c, s, t, L: L - 2 * t),
    ("tv_weight_again", "In your total, total variation has its weight twice. It is weighted already.", lambda c, s, t, L: L + 9 * t),
    ("tv_not_weighted_in_total", "In your total, total variation has no weight.", lambda c, s, t, L: L - 0.9 * t),
    ("styles_not_weighted_in_total", "In your total, the style losses have no weight.", lambda c, s, t, L: L - (1 - 1e-4) * sum(s)),
    ("last_layers", "Your total has only the last layer of each kind of loss: the variable of a loop is added after the loop.", lambda c, s, t, L: c[-1] + s[-1] + t),
    ("tv_alone", "Your total is total variation alone. Add all losses.", lambda c, s, t, L: t),
    ("contents_for_styles", "Your total adds the content losses twice, and no style losses.", lambda c, s, t, L: 2 * sum(c) + t),
    ("styles_for_contents", "Your total adds the style losses twice, and no content losses.", lambda c, s, t, L: 2 * sum(s) + t),
    ("contents_times_styles", "Your total multiplies the content losses by the style losses. Add them.", lambda c, s, t, L: sum(c) * sum(s) + t),
    ("largest_loss", "Your total is the largest loss. Add all of them.", lambda c, s, t, L: max(*c, *s, t)),
    ("mean_of_kinds", "Your total is the mean of the three kinds of losses. Add them.", lambda c, s, t, L: L / 3),
    ("means_of_kinds_averaged", "Your total is a mean of means. Add all losses.", lambda c, s, t, L: float((np.mean(c) + np.mean(s) + t) / 3)),
    ("root_of_total", "Your total is a root. Add the losses.", lambda c, s, t, L: L**0.5),
    ("square_of_total", "Your total is a square. Add the losses.", lambda c, s, t, L: L**2),
    ("sum_of_squares", "Your total adds squares of the losses. Add the losses.", lambda c, s, t, L: sum(x * x for x in (*c, *s, t))),
    ("log_of_total", "Your total is a logarithm. Add the losses.", lambda c, s, t, L: float(np.log(L))),
    ("one_more_content_weight", "Your total has the content losses ten times.", lambda c, s, t, L: L + 9 * sum(c)),
    ("halved_total", "Your total is half of the sum. Add the losses.", lambda c, s, t, L: L / 2),
)  # fmt: skip
"""What a total may be: of the content losses, the style losses, total variation and the total."""


def _of_kind(kind: int, take: Callable[..., Any]) -> Callable[..., float]:
    """A total with something else in place of the sum of the losses of one kind."""
    return lambda c, s, t, L: float(L - sum((c, s)[kind]) + take((c, s)[kind]))


def _weighted_again(kind: int) -> Callable[..., float]:
    return lambda c, s, t, L: (
        L + (WEIGHTS[kind] - 1) * sum((c, s)[kind]) * (kind == 1) + (kind == 0) * 9 * sum(c)
    )


def _sums() -> Iterator[Wrong]:
    """What is left out of the total, or counted too often, or in another way."""
    for kind, (name, words) in enumerate((("content", KINDS[0]), ("style", KINDS[1]))):
        for part, said, take in OF_ONE_KIND:
            yield in_sum(
                f"{name}_{part}",
                f"Your total has {said} {words} in it. Add all losses once.",
                _of_kind(kind, take),
            )
        yield in_sum(
            f"{name}_weight_in_total_again",
            f"In your total the {words} have their weight twice. They are weighted already.",
            _weighted_again(kind),
        )
    for name, said, formula in OF_ALL:
        yield in_sum(name, said, formula)


_IN_PLACE = "{} the total: `+=` changes the tensor that it begins with. Write l = l + ..."
RESULTS: tuple[Row, ...] = (
    ("tv_is_the_total", _IN_PLACE.format("Your tv_l has become"), lambda c, s, t, L: (c, s, L, L)),
    ("first_content_is_the_total", _IN_PLACE.format("Your first content loss has become"), lambda c, s, t, L: ([L, *c[1:]], s, t, L)),
    ("first_style_is_the_total", _IN_PLACE.format("Your first style loss has become"), lambda c, s, t, L: (c, [L, *s[1:]], t, L)),
    ("first_content_is_the_sum", _IN_PLACE.format("Your first content loss has become a part of"), lambda c, s, t, L: ([sum(c), *c[1:]], s, t, L)),
    ("first_style_is_the_sum", _IN_PLACE.format("Your first style loss has become a part of"), lambda c, s, t, L: (c, [sum(s), *s[1:]], t, L)),
    ("contents_list_grows", "Your list of content losses has all losses in it: `+=` and append change the list that they begin with. Make a new list.", lambda c, s, t, L: ([*c, *s, t], s, t, L)),
    ("contents_list_grows_by_styles", "Your list of content losses has the style losses in it, too: `+=` changes the list itself. Make a new list.", lambda c, s, t, L: ([*c, *s], s, t, L)),
    ("styles_list_grows", "Your list of style losses has all losses in it: `+=` and append change the list that they begin with. Make a new list.", lambda c, s, t, L: (c, [*s, *c, t], t, L)),
    ("styles_list_grows_by_contents", "Your list of style losses has the content losses in it, too: `+=` changes the list itself. Make a new list.", lambda c, s, t, L: (c, [*s, *c], t, L)),
    ("tv_in_styles", "Your list of style losses has total variation in it, too. Make a new list.", lambda c, s, t, L: (c, [*s, t], t, L)),
    ("tv_in_contents", "Your list of content losses has total variation in it, too. Make a new list.", lambda c, s, t, L: ([*c, t], s, t, L)),
    ("one_list_of_all", "Your function returns all losses in one row. Return two lists, contents_l and styles_l, then tv_l and the total.", lambda c, s, t, L: (*c, *s, t, L)),
    ("tv_in_a_list", "Your tv_l is inside of a list. It is one number.", lambda c, s, t, L: (c, s, [t], L)),
    ("total_in_a_list", "Your total is inside of a list. It is one number.", lambda c, s, t, L: (c, s, t, [L])),
    ("lists_reversed", "Your lists are in reverse order. Keep the order of the layers.", lambda c, s, t, L: (c[::-1], s[::-1], t, L)),
    ("styles_reversed", "Your style losses are in reverse order. Keep the order of the layers.", lambda c, s, t, L: (c, s[::-1], t, L)),
    ("styles_added_up_on_the_way", "Your style losses are running sums. Append each layer's own loss.", lambda c, s, t, L: (c, list(np.cumsum(s)), t, L)),
    ("styles_added_up_and_in_total", "Your style losses are running sums. Append each layer's own loss.", lambda c, s, t, L: (c, list(np.cumsum(s)), t, L - sum(s) + float(np.cumsum(s).sum()))),
    ("lists_added_up_on_the_way", "Your losses are running sums. Append each layer's own loss.", lambda c, s, t, L: (list(np.cumsum(c)), list(np.cumsum(s)), t, L)),
    ("running_sum_over_both_lists", "Your losses are running sums. Append each layer's own loss.", lambda c, s, t, L: (list(np.cumsum(c)), list(sum(c) + np.cumsum(s)), t, L)),
    ("tv_before_styles", "Your function returns tv_l before the style losses. Return contents_l, styles_l, tv_l, l.", lambda c, s, t, L: (c, t, s, L)),
    ("tv_first", "Your function returns tv_l first. Return contents_l, styles_l, tv_l, l.", lambda c, s, t, L: (t, c, s, L)),
    ("total_before_tv", "Your function returns the total before tv_l. Return contents_l, styles_l, tv_l, l.", lambda c, s, t, L: (c, s, L, t)),
    ("contents_twice", "Your function returns the content losses in place of the style losses, too.", lambda c, s, t, L: (c, c, t, L)),
    ("styles_twice", "Your function returns the style losses in place of the content losses, too.", lambda c, s, t, L: (s, s, t, L)),
    ("last_losses_for_lists", "Your function returns the last loss of each list. Return the lists.", lambda c, s, t, L: (c[-1], s[-1], t, L)),
    ("styles_only_as_many_as_contents", "Your list of style losses ends with that of the content losses: one zip over both ends with the shorter list.", lambda c, s, t, L: (c, s[: len(c)], t, sum(c) + sum(s[: len(c)]) + t)),
    ("last_style_in_list", "Your list of style losses has only the last one: it is made anew in each turn of the loop.", lambda c, s, t, L: (c, s[-1:], t, sum(c) + s[-1] + t)),
    ("last_content_in_list", "Your list of content losses has only the last one: it is made anew in each turn of the loop.", lambda c, s, t, L: (c[-1:], s, t, c[-1] + sum(s) + t)),
    ("last_of_both_in_lists", "Your lists have only their last losses: they are made anew in each turn of the loops.", lambda c, s, t, L: (c[-1:], s[-1:], t, c[-1] + s[-1] + t)),
    ("first_of_both_in_lists", "Your lists have only their first losses: does the loop end too early?", lambda c, s, t, L: (c[:1], s[:1], t, c[0] + s[0] + t)),
    ("no_tv", "Your function returns no total variation. Return contents_l, styles_l, tv_l and the total, l.", lambda c, s, t, L: (c, s, L)),
    ("lists_averaged", "Your losses are divided by the number of layers. Add them up as they are.", lambda c, s, t, L: _again([x / len(c) for x in c], [x / len(s) for x in s], t)),
    ("styles_divided_by_layers", "Your style losses are divided by the number of style layers. Add them up as they are.", lambda c, s, t, L: _again(c, [x / len(s) for x in s], t)),
    ("contents_divided_by_layers", "Your content losses are divided by the number of content layers. Add them up as they are.", lambda c, s, t, L: _again([x / len(c) for x in c], s, t)),
)  # fmt: skip
"""What is returned in place of the lists and numbers."""


def _again(c: list[float], s: list[float], t: float) -> Total:
    return c, s, t, sum(c) + sum(s) + t


def _only_weighted_in_total() -> Iterator[Wrong]:
    for name, words, divisors in (
        ("styles", "style losses in the list", (1, 1e4, 1)),
        ("tv", "total variation", (1, 1, 10)),
    ):

        def version(*given: Any, divisors: Any = divisors) -> Total:
            c, s, t, L = total(*given)
            return c, [x / divisors[1] for x in s], t / divisors[2], L

        yield Wrong(
            f"{name}_weighted_in_total_only",
            f"Your {words} has no weight, only in the total. Return weighted losses."
            if name == "tv"
            else f"Your {words} have no weight, only those in the total. Return weighted losses.",
            version,
        )


def _with_losses(content: Any, style: Any, variation: Any) -> Callable[..., Total]:
    """The total with other functions for the single losses."""

    def version(X: Any, contents_hat: Any, styles_hat: Any, contents: Any, grams: Any) -> Total:
        c, s, t = plain_losses(X, contents_hat, styles_hat, contents, grams)
        if content:
            c = [content(Y, T) for Y, T in zip(contents_hat, contents, strict=True)]
        if style:
            s = [style(Y, A) for Y, A in zip(styles_hat, grams, strict=True)]
        t = variation(X) if variation else t
        return _again([WEIGHTS[0] * x for x in c], [WEIGHTS[1] * x for x in s], WEIGHTS[2] * t)

    return version


def _other_losses() -> Iterator[Wrong]:
    """Other losses of one layer than those of chapters 4 to 6."""
    simple: tuple[tuple[str, str, Any], ...] = (
        ("absolute", "has absolute differences in place of squares", lambda D: abs(D).mean()),
        ("halved", "has a factor of 1/2 too many", lambda D: (D**2).mean() / 2),
        ("with_a_root", "has a root too many", lambda D: np.sqrt((D**2).mean())),
        ("summed", "is a sum of squares. Take the mean", lambda D: (D**2).sum()),
        ("half_summed", "is half of a sum of squares. Take the mean", lambda D: (D**2).sum() / 2),
        ("not_squared", "is not squared", lambda D: D.mean()),
        ("quarter", "has a factor of 1/4 too many", lambda D: (D**2).mean() / 4),
        ("times_batch", "is added up over the images of the batch", lambda D: (D**2).mean() * len(D)),
    )  # fmt: skip
    for name, said, f in simple:
        yield Wrong(
            f"content_{name}",
            f"Your content loss of each layer {said}. Use content_loss.",
            _with_losses(lambda Y, T, f=f: float(f(array(Y) - array(T))), None, None),
        )
        yield Wrong(
            f"style_{name}",
            f"Your style loss of each layer {said}. Use style_loss.",
            _with_losses(None, lambda Y, A, f=f: float(f(gram_by_sums(Y) - array(A))), None),
        )
    for wrong in GRAM.wrongs:
        yield Wrong(
            f"gram_{wrong.name}",
            wrong.sentence.replace("Your Gram matrix", "In your style losses, the Gram matrix"),
            _with_losses(
                None,
                lambda Y, A, version=wrong.version: float(
                    ((version(Y) - array(A)) ** 2).mean()
                ),
                None,
            ),
        )
    for wrong in VARIATIONS[:40]:
        yield Wrong(f"tv_{wrong.name}", wrong.sentence, _with_losses(None, None, wrong.version))
    yield Wrong(
        "tv_of_features",
        "Your total variation is that of the content features. Take it of the image X.",
        lambda X, contents_hat, *rest: total(contents_hat[0], contents_hat, *rest),
    )


WRONGS = (
    *_sums(),
    *(in_all(name, said, change) for name, said, change in RESULTS),
    *_only_weighted_in_total(),
    *_other_losses(),
)
