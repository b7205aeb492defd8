import weakref

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from toys import SEEDS, assert_near, draw, quick, whole_numbers

from stylelib.from_scratch import AveragePool, Convolution, MaxPool, ReLU, convolution
from stylelib.from_scratch.convolution import im2col
from stylelib.from_scratch.windows import windows

METHODS = ["im2col", "loops"]
POOLS = [MaxPool, AveragePool]


def all_different(shape, seed=0):
    """0.1 apart or more, and from 0 too: no finite difference crosses a kink."""
    levels = np.random.default_rng(seed).permutation(int(np.prod(shape))).reshape(shape)
    return (levels - levels.size // 2 + 0.5) / 10


def read_only(array):
    array.flags.writeable = False  # who writes into it gets a ValueError
    return array


# PyTorch's answers


def torch_gradients(function, top_diff, *arguments):
    """function(*arguments), and the gradients at them of sum(top_diff * that)."""
    tensors = [torch.tensor(each, requires_grad=True) for each in arguments]
    out = function(*tensors)
    grads = torch.autograd.grad(out, tensors, torch.tensor(top_diff))
    return [each.detach().numpy() for each in (out, *grads)]


def torch_convolution(x, weight, bias, top_diff, stride, padding):
    return torch_gradients(
        lambda *each: functional.conv2d(*each, stride=stride, padding=padding),
        top_diff,
        x,
        weight,
        bias,
    )


def torch_pool(kind, x, top_diff, kernel_size, stride):
    pool = functional.max_pool2d if kind is MaxPool else functional.avg_pool2d
    return torch_gradients(lambda x: pool(x, kernel_size, stride), top_diff, x)


# Sizes


def places(size, kernel_size, stride, padding=0):
    """How many windows fit, counted one by one."""
    return len(range(0, size + 2 * padding - kernel_size + 1, stride))


@st.composite
def convolutions(draw):
    """N, in, out, (H, W), kernel_size, stride, padding."""
    kernel_size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    padding = draw(st.integers(0, 3))
    side = st.integers(max(1, kernel_size - 2 * padding), 8)
    counts = [draw(st.integers(1, 3)) for _ in range(3)]
    return *counts, (draw(side), draw(side)), kernel_size, stride, padding


@st.composite
def poolings(draw):
    """(N, C, H, W), kernel_size, stride."""
    kernel_size, stride = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    side = st.integers(kernel_size, 9)
    shape = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(side), draw(side)
    return shape, kernel_size, stride


def convolve(method, N, C, out, size, k, stride, padding, seed=0, **more):
    """The layer, its input and a gradient at its output, of normal numbers."""
    layer = Convolution(k, C, out, padding, stride, method, **more)
    layer.weight, layer.bias = draw((out, C, k, k), seed + 1), draw((out,), seed + 2)
    x = draw((N, C, *size), seed)
    top = draw((N, out, *(places(side, k, stride, padding) for side in size)), seed + 3)
    return layer, x, top


def forward_and_back(layer, x, top_diff):
    out = layer.forward(x)
    d_x = layer.backward(top_diff)
    if isinstance(layer, Convolution):
        return out, d_x, layer.d_weight, layer.d_bias
    return out, d_x


# Windows and columns


def loop_windows(x, k, stride):
    N, C, H, W = x.shape
    found = np.empty((N, C, places(H, k, stride), places(W, k, stride), k, k))
    for n, c, i, j, a, b in np.ndindex(found.shape):
        found[n, c, i, j, a, b] = x[n, c, i * stride + a, j * stride + b]
    return found


@quick
@given(poolings(), SEEDS)
def test_windows_equal_loops_and_are_a_view(sizes, seed):
    shape, k, stride = sizes
    x = draw(shape, seed)
    view = windows(x, k, stride)
    assert np.array_equal(view, loop_windows(x, k, stride))
    assert np.shares_memory(view, x)
    view[...] = 7.0  # what is written into it stands in x
    for i, j in np.ndindex(shape[2:]):
        covered = any(
            0 <= i - a * stride < k and 0 <= j - b * stride < k
            for a, b in np.ndindex(view.shape[2:4])
        )
        assert np.all(x[:, :, i, j] == 7.0) == covered


@quick
@given(poolings(), SEEDS)
def test_columns_equal_pytorchs(sizes, seed):
    (_, *shape), k, stride = sizes
    x = draw(shape, seed)
    columns = im2col(x, k, stride)
    expected = functional.unfold(torch.tensor(x)[None], k, stride=stride)[0].numpy()
    assert columns.dtype == np.float64
    assert np.array_equal(columns, expected)


# Convolution


@quick
@given(convolutions(), SEEDS)
def test_the_way_back_through_columns_is_fold_and_the_transpose(sizes, seed):
    layer, x, top = convolve("im2col", *sizes, seed=seed)
    layer.bias[:] = 0
    out = layer.forward(x)
    d_x = layer.backward(top)
    assert np.vdot(out, top) == pytest.approx(np.vdot(x, d_x), rel=1e-10, abs=1e-10)
    columns = layer.weight.reshape(len(layer.weight), -1).T @ top.reshape(*top.shape[:2], -1)
    folded = functional.fold(
        torch.tensor(columns),
        x.shape[2:],
        layer.kernel_size,
        padding=layer.padding,
        stride=layer.stride,
    )
    assert_near(d_x, folded.numpy(), 1e-12)


@quick
@given(convolutions(), SEEDS)
def test_convolution_equals_pytorchs_by_either_method(sizes, seed):
    answers = {}
    for method in METHODS:
        layer, x, top = convolve(method, *sizes, seed=seed)
        answers[method] = forward_and_back(layer, x, top)
        expected = torch_convolution(
            x, layer.weight, layer.bias, top, layer.stride, layer.padding
        )
        for mine, theirs in zip(answers[method], expected, strict=True):
            assert mine.dtype == np.float64
            assert_near(mine, theirs, 1e-8)
    for one, other in zip(*answers.values(), strict=True):
        assert_near(one, other, 1e-10)


ODD = [
    (2, 3, 4, (7, 10), 3, 1, 1),
    (1, 2, 3, (8, 7), 3, 2, 1),  # the stride does not divide 8
    (2, 2, 2, (6, 9), 2, 3, 0),  # pixels between the windows
    (2, 3, 2, (5, 4), 1, 1, 0),
    (1, 3, 2, (5, 4), 1, 4, 2),  # windows in the padding alone
    (1, 1, 1, (1, 1), 3, 1, 1),
    (2, 2, 3, (5, 7), 5, 2, 2),
]


@pytest.mark.parametrize("sizes", ODD)
@pytest.mark.parametrize("method", METHODS)
def test_odd_convolutions_equal_pytorchs(method, sizes):
    layer, x, top = convolve(method, *sizes)
    expected = torch_convolution(x, layer.weight, layer.bias, top, layer.stride, layer.padding)
    for mine, theirs in zip(forward_and_back(layer, x, top), expected, strict=True):
        assert_near(mine, theirs, 1e-8)


def differences(loss, array, step=1e-4):
    """The gradient of loss() at an array, which is changed in place and put back."""
    found = np.empty_like(array)
    for place in np.ndindex(array.shape):
        before = array[place]
        array[place] = before + step
        above = loss()
        array[place] = before - step
        below = loss()
        array[place] = before
        found[place] = (above - below) / (2 * step)
    return found


@pytest.mark.parametrize("sizes", [(2, 2, 3, (4, 5), 3, 2, 1), (1, 3, 2, (5, 4), 2, 3, 0)])
@pytest.mark.parametrize("method", METHODS)
def test_gradients_of_convolution_are_those_of_finite_differences(method, sizes):
    layer, x, top = convolve(method, *sizes)
    probe = convolve(method, *sizes)[0]
    _, d_x, d_weight, d_bias = forward_and_back(layer, x, top)

    def loss():
        return np.sum(top * probe.forward(x))

    assert_near(d_x, differences(loss, x), 1e-8)
    assert_near(d_weight, differences(loss, probe.weight), 1e-8)
    assert_near(d_bias, differences(loss, probe.bias), 1e-8)


def test_the_kernel_is_not_turned_round():
    layer = Convolution(2, 1, 1)
    layer.weight[:] = [[1, 10], [100, 1000]]
    out = layer.forward(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]))
    assert out.tolist() == [[[[4321.0]]]]
    # the other way round is what backward does: one pixel shows the kernel
    d_x = layer.backward(np.ones((1, 1, 1, 1)))
    assert d_x.tolist() == [[[[1, 10], [100, 1000]]]]


@pytest.mark.parametrize("block_bytes", [1, 1000, 2500])
@pytest.mark.parametrize("sizes", ODD)
def test_results_do_not_depend_on_how_many_strips_are_made(sizes, block_bytes, monkeypatch):
    whole = forward_and_back(*convolve("im2col", *sizes))
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return im2col(*arguments)

    monkeypatch.setattr(convolution, "im2col", counted)
    monkeypatch.setattr(convolution, "BLOCK_BYTES", block_bytes)
    layer, x, top = convolve("im2col", *sizes)
    in_strips = forward_and_back(layer, x, top)
    for one, other in zip(in_strips, whole, strict=True):
        assert_near(one, other, 1e-11)
    if block_bytes == 1:  # each row of windows by itself: twice those on x, once those on top
        assert len(calls) == len(x) * (2 * top.shape[2] + x.shape[2])


def test_several_rows_are_taken_at_a_time_and_the_last_strip_may_be_shorter(monkeypatch):
    layer, x, top = convolve("im2col", 1, 2, 3, (9, 6), 3, 1, 1)  # 9 rows of windows
    expected = torch_convolution(x, layer.weight, layer.bias, top, 1, 1)
    rows = []
    monkeypatch.setattr(
        convolution, "im2col", lambda *each: rows.append(each[0].shape[1] - 2) or im2col(*each)
    )
    monkeypatch.setattr(convolution, "BLOCK_BYTES", 4 * 2 * 9 * 6 * 8 + 10)
    for mine, theirs in zip(forward_and_back(layer, x, top), expected, strict=True):
        assert_near(mine, theirs, 1e-10)
    # d_x has 9 rows of windows too, in 3 channels where x has 2
    assert rows == [4, 4, 1] * 2 + [2, 2, 2, 2, 1]


@pytest.mark.parametrize("method", METHODS)
def test_without_training_there_is_no_gradient_at_the_weights(method):
    sizes = (2, 3, 2, (5, 6), 3, 2, 1)
    trained = forward_and_back(*convolve(method, *sizes))
    layer, x, top = convolve(method, *sizes, trainable=False)
    out, d_x, d_weight, d_bias = forward_and_back(layer, x, top)
    assert d_weight is None
    assert d_bias is None
    assert np.array_equal(out, trained[0])
    assert np.array_equal(d_x, trained[1])


@pytest.mark.parametrize("method", METHODS)
def test_without_training_the_input_is_not_kept(method):
    layer, x, top = convolve(method, 1, 2, 3, (5, 6), 3, 1, 0, trainable=False)
    layer.forward(x)
    kept = weakref.ref(x)
    del x
    assert kept() is None
    assert layer.backward(top).shape == (1, 2, 5, 6)


@pytest.mark.parametrize("method", METHODS)
def test_a_second_pair_of_passes_starts_anew(method):
    layer, x, top = convolve(method, 2, 3, 2, (5, 6), 3, 2, 1)
    assert layer.d_weight is None
    assert layer.d_bias is None
    first = [each.copy() for each in forward_and_back(layer, x, top)]
    again = forward_and_back(layer, x, top)
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one, other)
    back_alone = layer.backward(top)  # twice after one forward
    assert np.array_equal(back_alone, first[1])
    assert np.array_equal(layer.d_weight, first[2])
    assert np.array_equal(layer.d_bias, first[3])
    smaller, diff = draw((1, 3, 3, 4), 8), draw((1, 2, 2, 2), 9)  # another size in between
    expected = torch_convolution(smaller, layer.weight, layer.bias, diff, 2, 1)
    for mine, theirs in zip(forward_and_back(layer, smaller, diff), expected, strict=True):
        assert_near(mine, theirs, 1e-10)


def test_first_weights_have_the_size_he_et_al_advise():
    layer = Convolution(3, 32, 64)
    assert layer.weight.shape == (64, 32, 3, 3)
    assert layer.weight.dtype == layer.bias.dtype == np.float32
    assert layer.weight.std() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.02)
    assert abs(layer.weight.mean()) < 0.002
    assert layer.bias.tolist() == [0] * 64
    same, other = Convolution(3, 32, 64, method="loops"), Convolution(3, 32, 64, seed=1)
    assert np.array_equal(layer.weight, same.weight)
    assert not np.array_equal(layer.weight, other.weight)


# Pooling


@quick
@pytest.mark.parametrize("kind", POOLS)
@given(poolings(), SEEDS, st.booleans())
def test_pooling_equals_pytorchs_by_either_method(kind, sizes, seed, ties):
    shape, k, stride = sizes
    x = (whole_numbers if ties else draw)(shape, seed)
    top = draw((*shape[:2], *(places(side, k, stride) for side in shape[2:])), seed + 1)
    expected = torch_pool(kind, x, top, k, stride)
    answers = [forward_and_back(kind(k, stride, method), x, top) for method in METHODS]
    for one, other, theirs in zip(*answers, expected, strict=True):
        assert one.dtype == other.dtype == np.float64
        assert_near(one, other, 1e-10)
        assert_near(one, theirs, 1e-8)
        assert_near(other, theirs, 1e-8)


@pytest.mark.parametrize(("k", "stride"), [(2, 2), (3, 2), (3, 1), (2, 1), (2, 3), (1, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_of_equal_ones_the_same_is_chosen_as_in_pytorch(method, k, stride):
    for x in (whole_numbers((2, 3, 9, 8)), np.zeros((1, 2, 7, 7)), -np.ones((1, 1, 6, 6))):
        top = draw((*x.shape[:2], *(places(side, k, stride) for side in x.shape[2:])))
        expected = torch_pool(MaxPool, x, top, k, stride)
        for mine, theirs in zip(
            forward_and_back(MaxPool(k, stride, method), x, top), expected, strict=True
        ):
            assert_near(mine, theirs, 1e-12)


@pytest.mark.parametrize(("k", "stride"), [(2, 2), (3, 2)])
@pytest.mark.parametrize("kind", POOLS)
def test_both_methods_pool_features_of_24_by_40_alike(kind, k, stride):
    x = np.maximum(draw((1, 256, 24, 40)), 0)  # as after a ReLU: windows of zeros alone
    top = draw((1, 256, places(24, k, stride), places(40, k, stride)), 1)
    expected = torch_pool(kind, x, top, k, stride)
    answers = [forward_and_back(kind(k, stride, method), x, top) for method in METHODS]
    for one, other, theirs in zip(*answers, expected, strict=True):
        assert_near(one, other, 1e-10)
        assert_near(one, theirs, 1e-10)


@pytest.mark.parametrize(("k", "stride"), [(2, 2), (3, 2), (2, 3), (3, 1)])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", POOLS)
def test_gradients_of_pooling_are_those_of_finite_differences(kind, method, k, stride):
    x = all_different((2, 2, 6, 5))
    top = draw((2, 2, places(6, k, stride), places(5, k, stride)), 1)
    layer, probe = kind(k, stride, method), kind(k, stride, method)
    _, d_x = forward_and_back(layer, x, top)
    assert_near(d_x, differences(lambda: np.sum(top * probe.forward(x)), x), 1e-8)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", POOLS)
def test_rows_and_columns_that_fill_no_window_get_no_gradient(kind, method):
    out, d_x = forward_and_back(kind(2, 2, method), draw((1, 1, 5, 7)), np.ones((1, 1, 2, 3)))
    assert out.shape == (1, 1, 2, 3)
    assert not d_x[:, :, 4].any()
    assert not d_x[..., 6].any()
    assert d_x.sum() == pytest.approx(6)


@pytest.mark.parametrize("method", METHODS)
def test_kernels_with_more_places_than_a_byte_counts(method):
    x = all_different((1, 2, 18, 17))
    x[0, :, 17, 16] = 1000.0  # the last of 17 x 17 = 289 places
    top = draw((1, 2, 2, 1))
    expected = torch_pool(MaxPool, x, top, 17, 1)
    for mine, theirs in zip(
        forward_and_back(MaxPool(17, 1, method), x, top), expected, strict=True
    ):
        assert_near(mine, theirs, 1e-12)


# ReLU


@quick
@given(st.tuples(*[st.integers(1, 4)] * 4), SEEDS, st.booleans())
def test_relu_equals_pytorchs(shape, seed, ties):
    x = (whole_numbers(shape, seed) - 1) if ties else draw(shape, seed)
    top = draw(shape, seed + 1)
    expected = torch_gradients(torch.relu, top, x)
    for mine, theirs in zip(forward_and_back(ReLU(), x, top), expected, strict=True):
        assert np.array_equal(mine, theirs)


def test_relu_by_hand_and_by_finite_differences():
    x = np.array([[[[-2.0, -0.0, 0.0, 1e-300, 3.0]]]])
    out, d_x = forward_and_back(ReLU(), x, np.full(x.shape, 5.0))
    assert out.tolist() == [[[[0, 0, 0, 1e-300, 3]]]]
    assert d_x.tolist() == [[[[0, 0, 0, 5, 5]]]]
    x, top = all_different((1, 2, 3, 4)), draw((1, 2, 3, 4))
    _, d_x = forward_and_back(ReLU(), x, top)
    assert_near(d_x, differences(lambda: np.sum(top * ReLU().forward(x)), x), 1e-8)


# All layers

ALL = {
    "convolution": lambda method: Convolution(3, 3, 4, 1, 2, method),
    "unpadded": lambda method: Convolution(2, 3, 4, 0, 1, method),
    "max": lambda method: MaxPool(3, 2, method),
    "average": lambda method: AveragePool(3, 2, method),
    "relu": lambda method: ReLU(),
}


@pytest.fixture(params=[(name, method) for name in ALL for method in METHODS], ids="-".join)
def make(request):
    name, method = request.param
    return lambda: ALL[name](method)


def in_and_out(make, dtype=np.float64):
    x = draw((2, 3, 7, 9)).astype(dtype)
    return x, draw(make().forward(x).shape, 1).astype(dtype)


def test_everything_is_in_the_dtype_of_the_input(make):
    exact = forward_and_back(make(), *in_and_out(make))
    assert {each.dtype for each in exact} == {np.dtype(np.float64)}
    single = forward_and_back(make(), *in_and_out(make, np.float32))
    assert {each.dtype for each in single} == {np.dtype(np.float32)}
    for one, other in zip(single, exact, strict=True):
        assert_near(one.astype(np.float64), other, 1e-4)


def test_float64_is_computed_in_float64(make):
    # a change of one part in 10^10, which float32 anywhere on the way would swallow
    x, top = in_and_out(make)
    layer, scale = make(), 1 + 1e-10
    out, d_x = forward_and_back(layer, x, top)[:2]
    # 36 terms of size 8 may be off by 36 * 8 * 2**-53 = 3e-14; float32 would be off by 1e-7
    assert_near(layer.backward(top * scale) - d_x, d_x * 1e-10, 1e-12)
    assert_near(layer.forward(x * scale) - out, out * 1e-10, 1e-12)  # first biases are 0
    assert np.abs(out).max() > 0.1


def test_inputs_and_gradients_are_not_changed(make):
    x, top = in_and_out(make)
    expected = forward_and_back(make(), x.copy(), top.copy())
    before = x.copy(), top.copy()
    answers = forward_and_back(make(), x, top)
    assert np.array_equal(x, before[0])
    assert np.array_equal(top, before[1])
    assert not any(np.shares_memory(each, x) for each in answers)
    assert not any(np.shares_memory(each, top) for each in answers)
    locked = forward_and_back(make(), read_only(x), read_only(top))
    for one, other in zip(locked, expected, strict=True):
        assert np.array_equal(one, other)


def as_slices(array):
    larger = np.full([2 * side + 1 for side in array.shape], np.nan, array.dtype)
    view = larger[tuple(slice(1, None, 2) for _ in array.shape)]
    view[:] = array
    return view


ORDERS = {
    "channels last": lambda a: np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(
        0, 3, 1, 2
    ),
    "fortran": np.asfortranarray,
    "every second": as_slices,
    "backwards": lambda a: a[::-1, ::-1, ::-1, ::-1].copy()[::-1, ::-1, ::-1, ::-1],
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_in_memory_does_not_matter(make, order):
    x, top = in_and_out(make)
    expected = forward_and_back(make(), x, top)
    other_x, other_top = ORDERS[order](x), ORDERS[order](top)
    assert not other_x.flags.c_contiguous
    assert np.array_equal(other_x, x)
    for one, other in zip(forward_and_back(make(), other_x, other_top), expected, strict=True):
        assert_near(one, other, 1e-12)


def test_one_number_for_all_places_is_a_gradient_too(make):
    x, top = in_and_out(make)
    ones = np.broadcast_to(np.float64(1), top.shape)
    expected = forward_and_back(make(), x, np.ones(top.shape))
    for one, other in zip(forward_and_back(make(), x, ones), expected, strict=True):
        assert_near(one, other, 1e-12)


def test_each_picture_of_a_batch_is_by_itself(make):
    x, top = in_and_out(make)
    together = forward_and_back(make(), x, top)
    apart = [forward_and_back(make(), x[n : n + 1], top[n : n + 1]) for n in range(2)]
    for which in range(2):
        each = np.concatenate([answer[which] for answer in apart])
        assert_near(together[which], each, 1e-12)
    for which in range(2, len(together)):  # d_weight and d_bias add up
        assert_near(together[which], apart[0][which] + apart[1][which], 1e-12)


def test_backward_is_of_the_last_forward(make):
    layer, (x, top) = make(), in_and_out(make)
    other = draw((1, 3, 9, 5), 5)
    layer.forward(other)
    for one, expected in zip(
        forward_and_back(layer, x, top), forward_and_back(make(), x, top), strict=True
    ):
        assert np.array_equal(one, expected)
