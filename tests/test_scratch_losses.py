import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import (
    PICTURES,
    SEEDS,
    SHAPES,
    assert_near_overall,
    draw,
    mean_variation,
    paper_style,
    products,
    quick,
    sum_of_squares,
    whole_numbers,
)

import stylelib
from stylelib import InputError
from stylelib.from_scratch import Adam, ContentLoss, StyleLoss, TVLoss, gram

# The formulas as loops


def loop_content(F, P):
    return sum_of_squares(F, P) / (2 * F.size)


def loop_style(F, A):
    N, C, H, W = F.shape
    return sum_of_squares(products(F), A) / (4 * N * C**2 * (H * W) ** 2)


# The formulas in PyTorch


def torch_content(F, P):
    return (F - P).square().sum() / (2 * F.numel())


def torch_gradient(loss, F, *target):
    X = torch.tensor(F, requires_grad=True)
    value = loss(X, *map(torch.tensor, target))
    return value.item(), torch.autograd.grad(value, X)[0].numpy()


# Values


@quick
@given(SHAPES, SEEDS)
def test_losses_equal_loops(shape, seed):
    F, P, S = draw((3, *shape), seed)
    A = products(S)
    assert_near_overall(gram(F), products(F))
    assert_near_overall(ContentLoss().forward(F, P), loop_content(F, P))
    assert_near_overall(StyleLoss().forward(F, A), loop_style(F, A), 1e-10)
    assert_near_overall(
        StyleLoss().forward(F, A[:1]), loop_style(F, A[:1]), 1e-10
    )  # one for all


@quick
@given(PICTURES, SEEDS)
def test_total_variation_equals_loops(shape, seed):
    X = draw(shape, seed)
    assert_near_overall(TVLoss().forward(X), mean_variation(X))


# M = 6, C = 2, N = 1: F all 1, P and A all 0, so sum((F - P)^2) = 12, F F^T has 4 entries of 6
def test_losses_of_ones_against_zeros():
    ones, zeros = np.ones((1, 2, 2, 3)), np.zeros((1, 2, 2, 3))
    assert gram(ones).tolist() == [[[6, 6], [6, 6]]]
    assert ContentLoss().forward(ones, zeros) == 0.5
    assert (
        ContentLoss().backward(ones, zeros).tolist() == np.full((1, 2, 2, 3), 1 / 12).tolist()
    )
    assert StyleLoss().forward(ones, np.zeros((1, 2, 2))) == 4 * 36 / (4 * 4 * 36)
    # 1 / 144 * (two times 6 times 1)
    assert_near_overall(
        StyleLoss().backward(ones, np.zeros((1, 2, 2))), np.full((1, 2, 2, 3), 12 / 144)
    )


def test_losses_are_floats_and_0_at_the_target():
    F = draw((2, 3, 4, 5)).astype(np.float32)
    values = [
        ContentLoss().forward(F, F),
        StyleLoss().forward(F, gram(F)),
        TVLoss().forward(np.ones_like(F)),
    ]
    assert values == [0, 0, 0]
    assert {type(value) for value in values} == {float}
    for gradient in (
        ContentLoss().backward(F, F),
        StyleLoss().backward(F, gram(F)),
        TVLoss().backward(np.ones_like(F)),
    ):
        assert gradient.shape == F.shape
        assert not gradient.any()


@pytest.mark.parametrize(("down", "right"), [(2.0, 0.0), (0.0, 3.0), (-2.0, 3.0), (2.0, -0.5)])
def test_tv_of_a_ramp_is_half_the_sum_of_its_slopes(down, right):
    i, j = np.meshgrid(np.arange(4.0), np.arange(6.0), indexing="ij")
    X = np.broadcast_to(down * i + right * j, (2, 3, 4, 6))
    assert_near_overall(TVLoss().forward(X), 0.5 * (abs(down) + abs(right)))
    # all pixels but those of the border are pulled both ways
    assert np.abs(TVLoss().backward(X)[:, :, 1:-1, 1:-1]).max() < 1e-18


# Gradients


@quick
@given(SHAPES, SEEDS)
def test_gradients_equal_autograds(shape, seed):
    F, P, S = draw((3, *shape), seed)
    value, gradient = torch_gradient(torch_content, F, P)
    assert_near_overall(ContentLoss().forward(F, P), value)
    assert_near_overall(ContentLoss().backward(F, P), gradient)
    for A in (products(S), products(S)[:1]):
        value, gradient = torch_gradient(paper_style, F, A)
        assert_near_overall(StyleLoss().forward(F, A), value, 1e-10)
        assert_near_overall(StyleLoss().backward(F, A), gradient, 1e-10)


@quick
@given(PICTURES, SEEDS, st.booleans())
def test_total_variation_is_the_main_lines(shape, seed, ties):
    X = (whole_numbers if ties else draw)(shape, seed)
    value, gradient = torch_gradient(stylelib.tv_loss, X)
    assert_near_overall(TVLoss().forward(X), value)
    mine = TVLoss().backward(X)
    assert mine.shape == X.shape
    assert np.abs(mine - gradient).max() < 1e-15


@pytest.mark.parametrize("shape", [(1, 3, 2, 4), (2, 2, 3, 3)])
def test_gradients_are_those_of_finite_differences(shape):
    P, A = draw(shape, 1), products(draw(shape, 2))
    levels = np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape) / 10
    for loss, F, target in (
        (ContentLoss(), draw(shape), [P]),
        (StyleLoss(), draw(shape), [A]),
        (TVLoss(), levels, []),  # 0.1 apart or more
    ):
        gradient = loss.backward(F, *target)
        for place in np.ndindex(shape):
            step = np.zeros(shape)
            step[place] = 1e-5
            difference = loss.forward(F + step, *target) - loss.forward(F - step, *target)
            assert difference / 2e-5 == pytest.approx(gradient[place], rel=1e-6, abs=1e-8)


@quick
@given(SHAPES, SEEDS)
def test_losses_are_those_of_the_convention(shape, seed):
    F, P, S = draw((3, *shape), seed)
    ours = stylelib.CONVENTIONS["numpy"]
    value, gradient = torch_gradient(ours.content_loss, F, P)
    assert_near_overall(ContentLoss().forward(F, P), value)
    assert_near_overall(ContentLoss().backward(F, P), gradient)
    assert_near_overall(gram(F), ours.gram(torch.tensor(F)).numpy())
    main_line = stylelib.gram(torch.tensor(S)).numpy()  # divided by C M, as style_loss wants it
    value, gradient = torch_gradient(ours.style_loss, F, main_line)
    assert_near_overall(StyleLoss().forward(F, gram(S)), value, 1e-10)
    assert_near_overall(StyleLoss().backward(F, gram(S)), gradient, 1e-10)


# Numbers


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_large_features_in_float32(size):
    F, P, S = (size * np.abs(draw((3, 1, 16, 20, 30)))).astype(np.float32)
    A = gram(S)
    exact = [each.astype(np.float64) for each in (F, P, S)]
    value, gradient = torch_gradient(torch_content, *exact[:2])
    assert_near_overall(ContentLoss().forward(F, P), value, 1e-5)
    assert_near_overall(ContentLoss().backward(F, P), gradient, 1e-5)
    S64 = exact[2].reshape(1, 16, 600)
    value, gradient = torch_gradient(paper_style, exact[0], S64 @ S64.transpose(0, 2, 1))
    assert np.isfinite(value)
    assert_near_overall(StyleLoss().forward(F, A), value, 1e-3)  # G - A cancels
    assert_near_overall(StyleLoss().backward(F, A), gradient, 1e-3)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_have_the_dtype_of_the_features_which_stay(dtype):
    F, P = draw((2, 2, 3, 4, 5)).astype(dtype)
    A = gram(P)
    before = [each.copy() for each in (F, P, A)]
    for each in (F, P, A):
        each.flags.writeable = False
    gradients = [ContentLoss().backward(F, P), StyleLoss().backward(F, A), TVLoss().backward(F)]
    assert {each.dtype for each in [A, *gradients]} == {np.dtype(dtype)}
    for loss, target in ((ContentLoss(), [P]), (StyleLoss(), [A]), (TVLoss(), [])):
        loss.forward(F, *target)
    for each, then in zip((F, P, A), before, strict=True):
        assert np.array_equal(each, then)


def test_the_order_in_memory_does_not_matter():
    F, P = draw((2, 2, 3, 4, 5))
    A = gram(P)
    other = np.ascontiguousarray(F.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    for loss, target in ((ContentLoss(), [P]), (StyleLoss(), [A]), (TVLoss(), [])):
        assert_near_overall(loss.forward(other, *target), loss.forward(F, *target))
        assert_near_overall(loss.backward(other, *target), loss.backward(F, *target))
    assert_near_overall(gram(other), gram(F))


# Adam


@pytest.mark.parametrize(
    "options",
    [{}, {"beta1": 0.5, "beta2": 0.9}, {"beta1": 0.0}, {"beta2": 0.0}, {"epsilon": 0.1}],
    ids=str,
)
@pytest.mark.parametrize("learning_rate", [10.0, 1e-3])
def test_twenty_steps_of_adam_are_pytorchs(options, learning_rate):
    x = draw((2, 3, 4, 5))
    theirs = torch.tensor(x, requires_grad=True)
    optimizer = torch.optim.Adam(
        [theirs],
        lr=learning_rate,
        betas=(options.get("beta1", 0.9), options.get("beta2", 0.999)),
        eps=options.get("epsilon", 1e-8),
    )
    adam = Adam(learning_rate, **options)
    for step in range(20):
        gradient = draw(x.shape, step + 1) * 10.0 ** np.arange(-8, 7, 3)
        gradient[0, 0] = 0.0  # pixels that never move
        theirs.grad = torch.tensor(gradient)
        optimizer.step()
        x = adam.update(x, gradient)
        assert_near_overall(x, theirs.detach().numpy(), 1e-12)
    assert np.array_equal(x[0, 0], draw((2, 3, 4, 5))[0, 0])
    assert adam.t == 20


def test_the_first_step_is_the_learning_rate_times_the_sign():
    x, gradient = draw((5, 6)), draw((5, 6), 1) * 100
    # m_hat = g, v_hat = g^2: the step is lr g / (|g| + epsilon)
    expected = x - 0.3 * gradient / (np.abs(gradient) + 1e-8)
    assert_near_overall(Adam(0.3).update(x, gradient), expected, 1e-14)
    assert_near_overall(x - Adam(0.3).update(x, gradient), 0.3 * np.sign(gradient), 1e-6)


def test_the_same_gradient_again_and_again_moves_by_the_learning_rate():
    adam, x = Adam(0.1), np.zeros(3)
    for _ in range(50):
        x = adam.update(x, np.array([2.0, -3e4, 1e-3]))
    assert_near_overall(x, [-5.0, 5.0, -5.0], 1e-4)


def test_adam_changes_nothing_in_place_and_keeps_the_dtype():
    for dtype in (np.float32, np.float64):
        x, gradient = draw((2, 4, 5)).astype(dtype)
        before = x.copy(), gradient.copy()
        adam = Adam(0.1)
        for _ in range(3):
            moved = adam.update(x, gradient)
            assert moved.dtype == dtype
            assert not np.shares_memory(moved, x)
        assert np.array_equal(x, before[0])
        assert np.array_equal(gradient, before[1])


@pytest.mark.parametrize("number", [np.float64(0.1), np.float32(0.1), 1])
def test_the_kind_of_number_that_the_learning_rate_is_does_not_matter(number):
    x, gradient = draw((2, 4, 5)).astype(np.float32)
    moved = Adam(number).update(x, gradient)
    assert moved.dtype == np.float32
    assert_near_overall(moved, Adam(float(number)).update(x, gradient), 1e-6)


def test_two_adams_do_not_share_their_means():
    x, gradient = draw((2, 5))
    one, other = Adam(0.1), Adam(0.1)
    one.update(x, 5 * gradient)
    one.update(x, -gradient)
    assert_near_overall(other.update(x, gradient), Adam(0.1).update(x, gradient), 1e-15)


def test_a_learning_rate_of_0_moves_nothing():
    x = draw((5,))
    assert np.array_equal(Adam(0).update(x, draw((5,), 1)), x)


def test_adam_refuses_another_shape():
    adam = Adam(0.1)
    with pytest.raises(InputError, match=r"\(2, 3\) and its gradient has \(3,\)"):
        adam.update(np.zeros((2, 3)), np.zeros(3))  # would broadcast
    adam.update(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"x before had \(2, 3\)"):
        adam.update(np.zeros((1, 3)), np.zeros((1, 3)))
    assert adam.t == 1  # what was refused is no step
