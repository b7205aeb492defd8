import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import stylelib
from stylelib import InputError
from stylelib.from_scratch import Adam, ContentLoss, StyleLoss, TVLoss, gram

SHAPES = st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
PICTURES = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(2, 5), st.integers(2, 5))
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(deadline=None, max_examples=30)


def draw(shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def whole_numbers(shape, seed=0):
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.float64)


# The formulas as loops


def loop_content(F, P):
    total = 0.0
    for place in np.ndindex(F.shape):
        total += (F[place] - P[place]) ** 2
    N, C, H, W = F.shape
    return total / (2 * N * C * H * W)


def loop_gram(F):
    N, C, H, W = F.shape
    G = np.zeros((N, C, C))
    for n, c, d, i, j in np.ndindex(N, C, C, H, W):
        G[n, c, d] += F[n, c, i, j] * F[n, d, i, j]
    return G


def loop_style(F, A):
    N, C, H, W = F.shape
    G, total = loop_gram(F), 0.0
    for n, c, d in np.ndindex(G.shape):
        total += (G[n, c, d] - A[n if len(A) > 1 else 0, c, d]) ** 2
    return total / (4 * N * C**2 * (H * W) ** 2)


def loop_tv(X):
    N, C, H, W = X.shape
    down = across = 0.0
    for n, c, i, j in np.ndindex(X.shape):
        if i + 1 < H:
            down += abs(X[n, c, i + 1, j] - X[n, c, i, j])
        if j + 1 < W:
            across += abs(X[n, c, i, j + 1] - X[n, c, i, j])
    return 0.5 * (down / (N * C * (H - 1) * W) + across / (N * C * H * (W - 1)))


# The formulas in PyTorch


def torch_content(F, P):
    return (F - P).square().sum() / (2 * F.numel())


def torch_style(F, A):
    N, C, H, W = F.shape
    flat = F.reshape(N, C, H * W)
    return (flat @ flat.mT - A).square().sum() / (4 * N * C**2 * (H * W) ** 2)


def torch_gradient(loss, F, *target):
    X = torch.tensor(F, requires_grad=True)
    value = loss(X, *map(torch.tensor, target))
    return value.item(), torch.autograd.grad(value, X)[0].numpy()


def assert_near(actual, expected, tolerance=1e-12):
    """Near as a whole: single entries may be all but 0 by chance."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape
    assert np.abs(actual - expected).max() <= tolerance * np.abs(expected).max()


# Values


@quick
@given(SHAPES, SEEDS)
def test_losses_equal_loops(shape, seed):
    F, P, S = draw((3, *shape), seed)
    A = loop_gram(S)
    assert_near(gram(F), loop_gram(F))
    assert_near(ContentLoss().forward(F, P), loop_content(F, P))
    assert_near(StyleLoss().forward(F, A), loop_style(F, A), 1e-10)
    assert_near(StyleLoss().forward(F, A[:1]), loop_style(F, A[:1]), 1e-10)  # one for all


@quick
@given(PICTURES, SEEDS)
def test_total_variation_equals_loops(shape, seed):
    X = draw(shape, seed)
    assert_near(TVLoss().forward(X), loop_tv(X))


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
    assert_near(
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
    assert_near(TVLoss().forward(X), 0.5 * (abs(down) + abs(right)))
    # all pixels but those of the border are pulled both ways
    assert np.abs(TVLoss().backward(X)[:, :, 1:-1, 1:-1]).max() < 1e-18


# Gradients


@quick
@given(SHAPES, SEEDS)
def test_gradients_equal_autograds(shape, seed):
    F, P, S = draw((3, *shape), seed)
    value, gradient = torch_gradient(torch_content, F, P)
    assert_near(ContentLoss().forward(F, P), value)
    assert_near(ContentLoss().backward(F, P), gradient)
    for A in (loop_gram(S), loop_gram(S)[:1]):
        value, gradient = torch_gradient(torch_style, F, A)
        assert_near(StyleLoss().forward(F, A), value, 1e-10)
        assert_near(StyleLoss().backward(F, A), gradient, 1e-10)


@quick
@given(PICTURES, SEEDS, st.booleans())
def test_total_variation_is_the_main_lines(shape, seed, ties):
    X = (whole_numbers if ties else draw)(shape, seed)
    value, gradient = torch_gradient(stylelib.tv_loss, X)
    assert_near(TVLoss().forward(X), value)
    mine = TVLoss().backward(X)
    assert mine.shape == X.shape
    assert np.abs(mine - gradient).max() < 1e-15


@pytest.mark.parametrize("shape", [(1, 3, 2, 4), (2, 2, 3, 3)])
def test_gradients_are_those_of_finite_differences(shape):
    P, A = draw(shape, 1), loop_gram(draw(shape, 2))
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
    assert_near(ContentLoss().forward(F, P), value)
    assert_near(ContentLoss().backward(F, P), gradient)
    assert_near(gram(F), ours.gram(torch.tensor(F)).numpy())
    main_line = stylelib.gram(torch.tensor(S)).numpy()  # divided by C M, as style_loss wants it
    value, gradient = torch_gradient(ours.style_loss, F, main_line)
    assert_near(StyleLoss().forward(F, gram(S)), value, 1e-10)
    assert_near(StyleLoss().backward(F, gram(S)), gradient, 1e-10)


# Numbers


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_large_features_in_float32(size):
    F, P, S = (size * np.abs(draw((3, 1, 16, 20, 30)))).astype(np.float32)
    A = gram(S)
    exact = [each.astype(np.float64) for each in (F, P, S)]
    value, gradient = torch_gradient(torch_content, *exact[:2])
    assert_near(ContentLoss().forward(F, P), value, 1e-5)
    assert_near(ContentLoss().backward(F, P), gradient, 1e-5)
    S64 = exact[2].reshape(1, 16, 600)
    value, gradient = torch_gradient(torch_style, exact[0], S64 @ S64.transpose(0, 2, 1))
    assert np.isfinite(value)
    assert_near(StyleLoss().forward(F, A), value, 1e-3)  # G - A cancels
    assert_near(StyleLoss().backward(F, A), gradient, 1e-3)


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
        assert_near(loss.forward(other, *target), loss.forward(F, *target))
        assert_near(loss.backward(other, *target), loss.backward(F, *target))
    assert_near(gram(other), gram(F))


# What is refused


@pytest.mark.parametrize(
    "use",
    [
        gram,
        lambda F: ContentLoss().forward(F, F),
        lambda F: ContentLoss().backward(F, F),
        lambda F: StyleLoss().forward(F, np.zeros((1, 3, 3))),
        lambda F: StyleLoss().backward(F, np.zeros((1, 3, 3))),
        TVLoss().forward,
        TVLoss().backward,
    ],
    ids=["gram", "content", "content-back", "style", "style-back", "tv", "tv-back"],
)
def test_bad_features_are_refused(use):
    for shape in ((), (3, 4, 5), (1, 1, 3, 4, 5), (0, 3, 4, 5), (1, 3, 0, 5)):
        with pytest.raises(InputError, match=r"\(N, C, H, W\)") as caught:
            use(np.zeros(shape))
        assert str(shape) in str(caught.value)
    for dtype in (np.int64, np.uint8, np.float16):
        with pytest.raises(InputError, match="float32 or float64") as caught:
            use(np.zeros((1, 3, 4, 5), dtype))
        assert np.dtype(dtype).name in str(caught.value)


# all but the last would broadcast
@pytest.mark.parametrize(
    "shape", [(1, 3, 4, 1), (1, 1, 4, 5), (3, 4, 5), (2, 3, 4, 5), (1, 3, 5, 4)]
)
def test_content_loss_refuses_another_shape(shape):
    for use in (ContentLoss().forward, ContentLoss().backward):
        with pytest.raises(InputError, match="has the shape") as caught:
            use(np.zeros((1, 3, 4, 5)), np.zeros(shape))
        assert str(shape) in str(caught.value)
        assert "(1, 3, 4, 5)" in str(caught.value)


@pytest.mark.parametrize("shape", [(3, 3), (1, 3, 1), (1, 1, 1), (3, 3, 3), (1, 4, 4), (2, 3)])
def test_style_loss_refuses_another_shape_of_gram_matrix(shape):
    for use in (StyleLoss().forward, StyleLoss().backward):
        with pytest.raises(InputError, match="A has the shape") as caught:
            use(np.zeros((2, 3, 4, 5)), np.zeros(shape))
        assert str(shape) in str(caught.value)
        assert "(2, 3, 3)" in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 3, 1, 5), (1, 3, 5, 1), (1, 1, 1, 1)])
def test_total_variation_needs_two_by_two_pixels(shape):
    for use in (TVLoss().forward, TVLoss().backward):
        with pytest.raises(InputError, match="2 x 2 pixels or more") as caught:
            use(np.zeros(shape))
        assert str(shape) in str(caught.value)


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
        assert_near(x, theirs.detach().numpy(), 1e-12)
    assert np.array_equal(x[0, 0], draw((2, 3, 4, 5))[0, 0])
    assert adam.t == 20


def test_the_first_step_is_the_learning_rate_times_the_sign():
    x, gradient = draw((5, 6)), draw((5, 6), 1) * 100
    # m_hat = g, v_hat = g^2: the step is lr g / (|g| + epsilon)
    expected = x - 0.3 * gradient / (np.abs(gradient) + 1e-8)
    assert_near(Adam(0.3).update(x, gradient), expected, 1e-14)
    assert_near(x - Adam(0.3).update(x, gradient), 0.3 * np.sign(gradient), 1e-6)


def test_the_same_gradient_again_and_again_moves_by_the_learning_rate():
    adam, x = Adam(0.1), np.zeros(3)
    for _ in range(50):
        x = adam.update(x, np.array([2.0, -3e4, 1e-3]))
    assert_near(x, [-5.0, 5.0, -5.0], 1e-4)


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
    assert_near(moved, Adam(float(number)).update(x, gradient), 1e-6)


def test_two_adams_do_not_share_their_means():
    x, gradient = draw((2, 5))
    one, other = Adam(0.1), Adam(0.1)
    one.update(x, 5 * gradient)
    one.update(x, -gradient)
    assert_near(other.update(x, gradient), Adam(0.1).update(x, gradient), 1e-15)


def test_a_learning_rate_of_0_moves_nothing():
    x = draw((5,))
    assert np.array_equal(Adam(0).update(x, draw((5,), 1)), x)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, -1e-9])
def test_adam_refuses_a_learning_rate(value):
    with pytest.raises(
        InputError, match="learning_rate is a finite number of at least 0"
    ) as caught:
        Adam(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", ["10", None])
def test_adam_refuses_what_is_no_number(value):
    with pytest.raises(InputError, match="learning_rate is a finite number") as caught:
        Adam(value)
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [1.0, -0.1, float("nan"), 2])
@pytest.mark.parametrize("name", ["beta1", "beta2"])
def test_adam_refuses_a_beta(name, value):
    with pytest.raises(
        InputError, match=f"{name} is a finite number of at least 0 and below 1"
    ) as caught:
        Adam(0.1, **{name: value})
    assert repr(value) in str(caught.value)


@pytest.mark.parametrize("value", [0, -1e-8, float("nan")])
def test_adam_refuses_an_epsilon(value):
    with pytest.raises(InputError, match="epsilon is a finite number above 0"):
        Adam(0.1, epsilon=value)


def test_adam_refuses_another_shape():
    adam = Adam(0.1)
    with pytest.raises(InputError, match=r"\(2, 3\) and its gradient \(3,\)"):
        adam.update(np.zeros((2, 3)), np.zeros(3))  # would broadcast
    adam.update(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(InputError, match=r"x before had \(2, 3\)"):
        adam.update(np.zeros((1, 3)), np.zeros((1, 3)))
    assert adam.t == 1  # what was refused is no step
