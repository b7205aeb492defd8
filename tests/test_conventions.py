from dataclasses import FrozenInstanceError
from fractions import Fraction
from functools import partial
from itertools import product
from types import MappingProxyType

import numpy as np
import pytest
import torch
import toys
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import (
    SEEDS,
    SHAPES,
    assert_near_overall,
    draw,
    loop_gram,
    mean_variation,
    products,
    sum_of_squares,
    variations,
)

from stylelib import CONVENTIONS, InputError, convert_weight
from stylelib.relatives.conventions import convention, squared_tv_loss

NAMES = ["d2l", "assignment", "numpy", "modules", "paper"]
PAIRS = list(product(NAMES, NAMES))
quick = settings(deadline=None, max_examples=15)


# What the five sources write, as loops and without the library


def content_factor(name, N, C, M):
    return {
        "d2l": Fraction(1, N * C * M),  # a mean over all entries
        "assignment": Fraction(1),
        "numpy": Fraction(1, 2 * N * C * M),
        "modules": Fraction(1, N * C * M),  # MSE
        "paper": Fraction(1, 2),
    }[name]


def gram_divisor(name, N, C, M):
    return {"d2l": C * M, "assignment": C * M, "numpy": 1, "modules": N * C * M, "paper": 1}[
        name
    ]


def style_factor(name, N, C, M):
    return {
        "d2l": Fraction(1, N * C * C),  # a mean over all entries of all matrices
        "assignment": Fraction(1),
        "numpy": Fraction(1, 4 * N * C**2 * M**2),
        "modules": Fraction(1, N * C * C),  # MSE
        "paper": Fraction(1, 4 * C**2 * M**2),
    }[name]


AVERAGED = {"numpy", "paper"}  # mean over layers, w_l = 1 / number of layers; the others add up


def sizes(F):
    N, C, H, W = F.shape
    return N, C, H * W


def written_content(name, F, P):
    return float(content_factor(name, *sizes(F))) * sum_of_squares(F, P)


def written_gram(name, F):
    return products(F) / gram_divisor(name, *sizes(F))


def brought_to_size(name, F, S):
    """Gram matrices of style features S, M / M_style times what they were, one for each of F."""
    N, C, M = sizes(F)
    A = products(S) * (M / sizes(S)[2]) / gram_divisor(name, N, C, M)
    return np.stack([A[n if len(A) > 1 else 0] for n in range(N)])


def written_style(name, F, A):
    return float(style_factor(name, *sizes(F))) * sum_of_squares(written_gram(name, F), A)


def written_content_gradient(name, F, P):
    return 2 * float(content_factor(name, *sizes(F))) * (F - P)


def written_style_gradient(name, F, A):
    """4 s g (G - A) F, where style = s sum((G - A)^2), G = g F F^T, A symmetric."""
    N, C, M = sizes(F)
    D = written_gram(name, F) - A
    scale = 4 * float(style_factor(name, N, C, M)) / gram_divisor(name, N, C, M)
    return np.stack([scale * D[n] @ F[n].reshape(C, M) for n in range(N)]).reshape(F.shape)


def target(S):
    """The Gram matrix of style features as `stylelib.gram` gives it, by loops."""
    return torch.tensor(loop_gram(S))


# some losses are very small numbers: only what is relative counts
assert_near = partial(toys.assert_near, near_zero=1e-300)

# Losses


@quick
@pytest.mark.parametrize("name", NAMES)
@given(SHAPES, SEEDS)
def test_content_loss_equals_loops(name, shape, seed):
    F, P = draw((2, *shape), seed)
    loss = CONVENTIONS[name].content_loss(torch.tensor(F), torch.tensor(P))
    assert loss.ndim == 0
    assert_near(loss, written_content(name, F, P))


@quick
@pytest.mark.parametrize("name", NAMES)
@given(SHAPES, SEEDS)
def test_gram_equals_loops(name, shape, seed):
    F = draw(shape, seed)
    G = CONVENTIONS[name].gram(torch.tensor(F))
    assert G.shape == (shape[0], shape[1], shape[1])
    assert_near_overall(G, written_gram(name, F))


@quick
@pytest.mark.parametrize("name", NAMES)
@given(SHAPES, st.tuples(st.integers(1, 5), st.integers(1, 5)), SEEDS, st.booleans())
def test_style_loss_equals_loops_for_a_style_picture_of_any_size(
    name, shape, style_size, seed, one_target
):
    N, C = shape[:2]
    F, S = draw(shape, seed), draw((1 if one_target else N, C, *style_size), seed + 1)
    loss = CONVENTIONS[name].style_loss(torch.tensor(F), target(S))
    assert loss.ndim == 0
    expected = written_style(name, F, brought_to_size(name, F, S))
    assert_near(loss, expected, 1e-9 if expected < 1e-3 else 1e-11)  # G - A may cancel


@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_losses_of_one_picture_and_of_three_equal_loops(name, N):
    F, P, S = draw((3, N, 4, 3, 5))
    c = CONVENTIONS[name]
    assert_near(c.content_loss(*map(torch.tensor, (F, P))), written_content(name, F, P))
    assert_near_overall(c.gram(torch.tensor(F)), written_gram(name, F))
    # of the same size: what the source writes, to the letter
    assert_near(
        c.style_loss(torch.tensor(F), target(S)), written_style(name, F, written_gram(name, S))
    )


@pytest.mark.parametrize("name", ["d2l", "assignment", "modules"])
def test_conventions_that_divide_by_m_compare_gram_matrices_as_they_are(name):
    F, S = draw((1, 4, 3, 5)), draw((1, 4, 7, 6), 1)
    loss = CONVENTIONS[name].style_loss(torch.tensor(F), target(S))
    assert_near(loss, written_style(name, F, written_gram(name, S)))


@pytest.mark.parametrize("name", ["numpy", "paper"])
def test_the_others_would_compare_matrices_of_different_sizes(name):
    F, S = draw((1, 4, 3, 5)), draw((1, 4, 7, 6), 1)
    loss = CONVENTIONS[name].style_loss(torch.tensor(F), target(S)).item()
    assert loss < 0.5 * written_style(name, F, written_gram(name, S))


@pytest.mark.parametrize("name", NAMES)
def test_a_style_picture_laid_out_four_times_asks_for_the_same(name):
    F, S = draw((3, 4, 3, 5)), draw((1, 4, 3, 5), 1)
    c = CONVENTIONS[name]
    once = c.style_loss(torch.tensor(F), target(S))
    assert_near(c.style_loss(torch.tensor(F), target(np.tile(S, (1, 1, 2, 2)))), once)
    assert once.item() > 0


# M = 6, C = 2, N = 1: F all 1, P and S all 0, so sum((F - P)^2) = 12, F F^T has 4 entries of 6
@pytest.mark.parametrize(
    ("name", "content", "style", "entry"),
    [
        ("d2l", 1.0, 0.25, 0.5),
        ("assignment", 12.0, 1.0, 0.5),
        ("numpy", 0.5, 4 * 36 / (4 * 4 * 36), 6.0),
        ("modules", 1.0, 0.25, 0.5),
        ("paper", 6.0, 4 * 36 / (4 * 4 * 36), 6.0),
    ],
)
def test_losses_of_ones_against_zeros(name, content, style, entry):
    ones, zeros = torch.ones(1, 2, 2, 3).double(), torch.zeros(1, 2, 2, 3).double()
    c = CONVENTIONS[name]
    assert_near(c.content_loss(ones, zeros), content)
    assert_near(c.gram(ones), np.full((1, 2, 2), entry))
    assert_near(c.style_loss(ones, torch.zeros(1, 2, 2).double()), style)


@pytest.mark.parametrize("N", [1, 3])
def test_total_variations_equal_loops(N):
    A = draw((N, 3, 5, 4))
    squares = sum(variations(A, np.square))
    assert_near(CONVENTIONS["d2l"].tv(torch.tensor(A)), mean_variation(A))
    assert_near(CONVENTIONS["assignment"].tv(torch.tensor(A)), squares)
    assert_near(squared_tv_loss(torch.tensor(A)), squares)


@pytest.mark.parametrize("name", NAMES)
def test_formulas_are_four_and_the_last_is_there_where_total_variation_is(name):
    c = CONVENTIONS[name]
    assert len(c.formulas) == 4
    assert all(c.formulas[:3])
    assert bool(c.formulas[3]) == (c.tv is not None) == (name in ("d2l", "assignment"))


@pytest.mark.parametrize("name", NAMES)
def test_over_layers_adds_up_or_averages(name):
    losses = [torch.tensor(value, dtype=torch.float64) for value in (1.0, 10.0, 100.0)]
    c = CONVENTIONS[name]
    assert c.averages_layers == (name in AVERAGED)
    assert_near(c.over_layers(losses), 37.0 if name in AVERAGED else 111.0)
    assert_near(c.over_layers(tuple(losses[:1])), 1.0)


# Gradients


@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_gradients_equal_those_by_hand(name, N):
    F, P = draw((2, N, 4, 3, 5))
    S = draw((1, 4, 6, 2), 1)
    c = CONVENTIONS[name]
    X = torch.tensor(F, requires_grad=True)
    (content,) = torch.autograd.grad(c.content_loss(X, torch.tensor(P)), X)
    (style,) = torch.autograd.grad(c.style_loss(X, target(S)), X)
    assert_near_overall(content, written_content_gradient(name, F, P))
    assert_near_overall(
        style, written_style_gradient(name, F, brought_to_size(name, F, S)), 1e-11
    )


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_those_of_the_losses(name):
    X = torch.tensor(draw((2, 3, 2, 2)), requires_grad=True)
    Y, A = torch.tensor(draw((2, 3, 2, 2), 1)), torch.tensor(draw((2, 3, 3), 2))
    c = CONVENTIONS[name]
    check = torch.autograd.gradcheck
    assert check(lambda X: c.content_loss(X, Y), X, atol=1e-9, rtol=1e-6)
    assert check(lambda X: c.style_loss(X, A), X, atol=1e-9, rtol=1e-6)
    assert check(c.gram, X)


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_flows_into_targets(name):
    X, Y = (torch.tensor(draw((2, 3, 4, 5), seed), requires_grad=True) for seed in (0, 1))
    A = torch.tensor(draw((1, 3, 3), 2), requires_grad=True)
    c = CONVENTIONS[name]
    (c.content_loss(X, Y) + c.style_loss(X, A)).backward()
    assert Y.grad is None
    assert A.grad is None
    assert X.grad.abs().max() > 0


# Weights


@pytest.mark.parametrize("kind", ["content", "style"])
@pytest.mark.parametrize(("source", "there"), PAIRS)
@pytest.mark.parametrize("N", [1, 3])
def test_converted_weight_gives_the_same_gradient(N, source, there, kind):
    F, P = draw((2, N, 4, 3, 5))
    S = draw((1, 4, 6, 2), 1)  # the style picture has another size
    weight = 12.5
    converted = convert_weight(weight, source, there, F.shape, kind=kind)
    gradients = []
    for name, factor in ((source, weight), (there, converted)):
        X = torch.tensor(F, requires_grad=True)
        c = CONVENTIONS[name]
        loss = (
            c.content_loss(X, torch.tensor(P))
            if kind == "content"
            else c.style_loss(X, target(S))
        )
        gradients.append(torch.autograd.grad(factor * loss, X)[0])
    assert_near_overall(gradients[1], gradients[0], 1e-10)
    # and so it does by gradients that are no work of the library
    here, other = (
        written_content_gradient(name, F, P)
        if kind == "content"
        else written_style_gradient(name, F, brought_to_size(name, F, S))
        for name in (source, there)
    )
    assert_near_overall(converted * other, weight * here, 1e-10)


LAYERS = [(1, 2, 4, 6), (1, 4, 2, 3), (1, 5, 1, 2)]


@pytest.mark.parametrize("kind", ["content", "style"])
@pytest.mark.parametrize(("source", "there"), PAIRS)
def test_converted_weights_of_three_layers_give_the_same_gradients(source, there, kind):
    Fs = [draw(shape, seed) for seed, shape in enumerate(LAYERS)]
    Ps = [draw(shape, seed) for seed, shape in enumerate(LAYERS, 10)]
    Ss = [draw((1, shape[1], 3, 3), seed) for seed, shape in enumerate(LAYERS, 20)]
    weight = 12.5
    converted = [
        convert_weight(weight, source, there, shape, kind=kind, num_layers=3)
        for shape in LAYERS
    ]
    gradients = []
    for name, weights in ((source, [weight] * 3), (there, converted)):
        c = CONVENTIONS[name]
        Xs = [torch.tensor(F, requires_grad=True) for F in Fs]
        losses = [
            factor * c.content_loss(X, torch.tensor(P))
            if kind == "content"
            else factor * c.style_loss(X, target(S))
            for X, P, S, factor in zip(Xs, Ps, Ss, weights, strict=True)
        ]
        gradients.append(torch.autograd.grad(c.over_layers(losses), Xs))
    for mine, theirs in zip(*gradients, strict=True):
        assert_near_overall(theirs, mine, 1e-10)


@quick
@pytest.mark.parametrize(("source", "there"), PAIRS)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 512), st.integers(1, 400), st.integers(1, 400)),
    st.integers(1, 9),
)
def test_converted_weight_is_the_exact_ratio_of_the_factors(source, there, shape, num_layers):
    N, C, H, W = shape
    for kind in ("content", "style"):
        factors = []
        for name in (source, there):
            factor = (
                content_factor(name, N, C, H * W)
                if kind == "content"
                else style_factor(name, N, C, H * W) / gram_divisor(name, N, C, H * W) ** 2
            )
            factors.append(factor / (num_layers if name in AVERAGED else 1))
        converted = convert_weight(3.0, source, there, shape, kind=kind, num_layers=num_layers)
        assert converted == pytest.approx(float(3 * factors[0] / factors[1]), rel=1e-12, abs=0)
        back = convert_weight(converted, there, source, shape, kind=kind, num_layers=num_layers)
        assert back == pytest.approx(3.0, rel=1e-12, abs=0)


@pytest.mark.parametrize(("source", "there"), PAIRS)
def test_style_weights_do_not_depend_on_positions_and_content_weights_do(source, there):
    small, large = (2, 8, 3, 5), (2, 8, 30, 50)
    style = [convert_weight(7.0, source, there, shape) for shape in (small, large)]
    assert style[0] == pytest.approx(style[1], rel=1e-12, abs=0)
    content = [
        convert_weight(7.0, source, there, shape, kind="content") for shape in (small, large)
    ]
    sums = {"assignment", "paper"}
    powers = (source not in sums) - (there not in sums)
    assert content[1] / content[0] == pytest.approx(100.0**-powers, rel=1e-12)


def test_one_layer_of_style_is_the_default():
    shape = (1, 4, 3, 5)
    assert convert_weight(2.0, "d2l", "paper", shape) == convert_weight(
        2.0, "d2l", "paper", shape, kind="style", num_layers=1
    )
    assert convert_weight(2.0, "d2l", "paper", shape) != convert_weight(
        2.0, "d2l", "paper", shape, kind="content"
    )


@pytest.mark.parametrize(("source", "there"), PAIRS)
def test_weights_of_total_variation_convert_only_to_the_same(source, there):
    if source == there and source in ("d2l", "assignment"):
        assert convert_weight(7.0, source, there, (1, 3, 4, 5), kind="tv") == 7.0
    else:
        with pytest.raises(InputError, match="do not differ by a factor") as caught:
            convert_weight(7.0, source, there, (1, 3, 4, 5), kind="tv")
        assert f"'{source}'" in str(caught.value)
        assert f"'{there}'" in str(caught.value)
        assert "\\" not in str(caught.value)  # words, no TeX


# Names and arguments


def test_there_are_five_and_they_cannot_be_changed():
    assert list(CONVENTIONS) == NAMES
    assert isinstance(CONVENTIONS, MappingProxyType)
    with pytest.raises(TypeError):
        CONVENTIONS["mine"] = CONVENTIONS["d2l"]
    with pytest.raises(TypeError):
        del CONVENTIONS["d2l"]
    with pytest.raises(FrozenInstanceError):
        CONVENTIONS["d2l"].averages_layers = True


@pytest.mark.parametrize("name", NAMES)
def test_a_convention_is_found_by_its_name(name):
    assert convention(name) is CONVENTIONS[name]
    assert convention(name).name == name
    assert convention(name).source
