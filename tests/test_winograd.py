"""Winograd's algorithm: the same convolutions, with fewer multiplications."""

import copy
import gc

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import conv2d
from toys import assert_near, assert_near_overall, draw, noise, quick

from stylelib import AdamDescent, NetworkFeatures, preprocess, samples, vgg19, winograd
from stylelib.large import plans
from stylelib.large.tiles import TiledFeatures
from stylelib.models import ModelFeatures
from stylelib.winograd import (
    Convolution,
    ConvolutionBack,
    Winograd,
    kernels_of,
    size_of_kernels,
)

LAYER = {"in_channels": 128, "out_channels": 256, "kernel_size": 3, "padding": 1}
SIDES = st.integers(1, 14)
LAST = torch.channels_last


def tensor(shape, seed=0):
    return torch.from_numpy(draw(shape, seed))


def by_loops(x, weight, bias):
    """A convolution 3 x 3 with a border of one zero, as it is defined."""
    (N, C, H, W), O = x.shape, len(weight)  # noqa: E741
    padded = np.zeros((N, C, H + 2, W + 2))
    padded[:, :, 1:-1, 1:-1] = x
    y = np.zeros((N, O, H, W))
    for n, o, i, j in np.ndindex(y.shape):
        y[n, o, i, j] = (padded[n, :, i : i + 3, j : j + 3] * weight[o]).sum() + bias[o]
    return y


# --- the algorithm, in float64


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), SIDES, SIDES)
def test_it_is_the_convolution_of_the_definition(number, channels, out, height, width):
    x, weight = draw((number, channels, height, width)), draw((out, channels, 3, 3), 1)
    bias = draw(out, 2)
    X, kernel = torch.from_numpy(x), torch.from_numpy(weight)
    Y = Convolution.apply(X, kernels_of(kernel), torch.from_numpy(bias), LAST)
    assert_near_overall(Y, by_loops(x, weight, bias))
    without = Convolution.apply(X, kernels_of(kernel), None, LAST)
    assert_near_overall(without, by_loops(x, weight, np.zeros(out)))


@quick
@given(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), SIDES, SIDES)
def test_its_gradient_is_pytorchs(number, channels, out, height, width):
    X, weight = tensor((number, channels, height, width)), tensor((out, channels, 3, 3), 1)
    D = tensor((number, out, height, width), 2)
    expected = torch.nn.grad.conv2d_input(X.shape, weight, D, padding=1)
    X.requires_grad_()
    (found,) = torch.autograd.grad(Convolution.apply(X, kernels_of(weight), None, LAST), X, D)
    assert_near_overall(found, expected)


def test_first_and_second_derivatives():
    X, D = tensor((1, 2, 5, 6)).requires_grad_(), tensor((1, 3, 5, 6)).requires_grad_()
    kernels = kernels_of(tensor((3, 2, 3, 3), 1))
    for function, features, others in (
        (Convolution, X, (kernels, tensor(3, 2), LAST)),
        (ConvolutionBack, D, (kernels, LAST)),
    ):
        assert torch.autograd.gradcheck(function.apply, (features, *others))
        # squared, since the second derivative of what is linear is 0
        assert torch.autograd.gradgradcheck(
            lambda Y, function=function, others=others: function.apply(Y, *others) ** 2,
            features,
        )


@pytest.mark.parametrize("at_once", [1, 2, 5, 1000])
def test_how_many_tiles_are_computed_at_a_time_changes_nothing(monkeypatch, at_once):
    X, weight = tensor((2, 2, 19, 13)), tensor((3, 2, 3, 3), 1)
    monkeypatch.setattr(winograd, "AT_A_TIME", at_once)
    X.requires_grad_()
    Y = Convolution.apply(X, kernels_of(weight), None, LAST)
    assert_near_overall(Y, conv2d(X.detach(), weight, padding=1))
    D = tensor(Y.shape, 2)
    expected = torch.nn.grad.conv2d_input(X.shape, weight, D, padding=1)
    assert_near_overall(torch.autograd.grad(Y, X, D)[0], expected)


def test_the_way_to_the_points_and_back_is_without_rounding():
    """All their entries are fractions whose denominators are powers of 2."""
    exact, short = (winograd.transforms(dtype) for dtype in (torch.float64, torch.float32))
    for matrix in ("A", "B"):
        assert torch.equal(getattr(exact, matrix), getattr(short, matrix).double())


def test_the_coefficients_of_a_product():
    assert_near(winograd.polynomial([2.0, -1.0, 3.0]), np.array([6.0, 1.0, -4.0, 1.0]))


# --- when it takes the place of PyTorch's


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Conv2d(**LAYER).requires_grad_(False)


@pytest.fixture
def count(monkeypatch):
    """How often the algorithm has run."""
    calls = []
    inside = winograd.convolve

    def convolve(*arguments):
        calls.append(arguments)
        return inside(*arguments)

    monkeypatch.setattr(winograd, "convolve", convolve)
    return lambda: len(calls)


def test_a_layer_gives_the_same_up_to_rounding(layer, count):
    X = noise((2, 128, 18, 23)).requires_grad_()
    with Winograd():
        Y = layer(X)
    assert count() == 1
    exact, precise = copy.deepcopy(layer).double(), X.detach().double().requires_grad_()
    Z = exact(precise)
    D = noise(Y.shape, 1)
    found, expected = (
        torch.autograd.grad(Y, X, D)[0],
        torch.autograd.grad(Z, precise, D.double())[0],
    )
    # sums of 9 * 128 products and of 9 * 256, rounded to 24 bits, with room for the points
    for a, b in ((Y, Z), (found, expected)):
        assert a.dtype == torch.float32
        assert float((a - b).detach().norm() / b.detach().norm()) < 5e-6
    layer(X)
    assert count() == 1  # the block is over


@pytest.mark.parametrize(
    "change",
    [
        {"stride": 2},
        {"stride": (2, 1)},
        {"padding": 0},
        {"padding": 2},
        {"padding": (1, 0)},
        {"dilation": 2},
        {"groups": 2, "in_channels": 256, "out_channels": 512},
        {"kernel_size": 1},
        {"kernel_size": (3, 1)},
        {"kernel_size": 5},
        {"out_channels": 255},
        {"padding_mode": "circular"},
        {"dtype": torch.float64},
        {"dtype": torch.bfloat16},
    ],
    ids=repr,
)
def test_other_layers_stay_as_they_are(count, change):
    layer = nn.Conv2d(**LAYER | change).requires_grad_(False)
    X = noise((1, layer.in_channels, 20, 20)).to(layer.weight.dtype)
    expected = layer(X)
    with Winograd():
        assert torch.equal(layer(X), expected)
    assert count() == 0


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_a_layer_that_learns_stays_as_it_is(layer, count, name):
    getattr(layer, name).requires_grad_()
    with Winograd():
        layer(noise((1, 128, 20, 20))).sum().backward()
    assert count() == 0
    assert getattr(layer, name).grad is not None


@pytest.mark.parametrize(
    ("shape", "times"),
    [
        ((1, 128, 8, 12), 0),  # 6 tiles, where 8 are needed for 256 channels
        ((1, 128, 8, 13), 1),
        ((2, 128, 8, 8), 1),
        ((0, 128, 20, 20), 0),
        ((128, 20, 20), 0),
    ],
)
def test_it_takes_as_many_tiles_as_pay(layer, count, shape, times):
    with Winograd():
        Y = layer(noise(shape))
    assert count() == times
    assert Y.shape == (*shape[:-3], 256, *shape[-2:])


@pytest.mark.parametrize("padding", [1, (1, 1), "same"])
def test_the_function_has_all_the_arguments_of_pytorchs(layer, count, padding):
    X = noise((1, 128, 20, 20))
    expected = layer(X)
    with Winograd():
        Y = conv2d(X, weight=layer.weight, bias=layer.bias, padding=padding, stride=(1, 1))
        without = conv2d(input=X, weight=layer.weight, padding=padding)
    assert count() == 2
    assert float((Y - expected).norm() / expected.norm()) < 5e-6
    assert torch.allclose(without + layer.bias[:, None, None], Y, atol=1e-6)


def test_what_pytorch_refuses_is_refused_in_its_words(layer):
    with Winograd(), pytest.raises(RuntimeError, match="expected input"):
        layer(noise((1, 127, 20, 20)))


@pytest.mark.parametrize("weights", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("features", [torch.channels_last, torch.contiguous_format])
def test_the_memory_order_is_pytorchs(layer, weights, features):
    layer.to(memory_format=weights)
    X = noise((1, 128, 20, 20)).to(memory_format=features)
    with Winograd():
        Y = layer(X)
    assert Y.stride() == layer(X).stride()


def test_what_comes_next_may_work_in_place(layer, count):
    X = noise((1, 128, 20, 20)).requires_grad_()
    found = []
    for relu in (nn.ReLU(inplace=True), nn.ReLU()):
        with Winograd():
            Y = relu(layer(X))
        found += [Y, *torch.autograd.grad(Y.sum(), X)]
    assert count() == 2
    assert torch.equal(found[0], found[2])
    assert torch.equal(found[1], found[3])


def test_in_half_precision_nothing_changes(layer, count):
    """Neither the features within PyTorch's autocast nor gradients that are asked for there."""
    X = noise((1, 128, 20, 20)).requires_grad_()
    half = torch.autocast("cpu", torch.bfloat16)
    with half:
        expected = layer(X)
        with Winograd():
            assert torch.equal(layer(X), expected)
    assert count() == 0
    with Winograd():
        Y = layer(X)
    (before,) = torch.autograd.grad(Y.sum(), X, retain_graph=True)
    with half:
        (within,) = torch.autograd.grad(Y.sum(), X)
    assert torch.equal(before, within)


def test_a_look_without_gradients_leaves_them_possible(layer):
    X = noise((1, 128, 20, 20))
    with torch.inference_mode(), Winograd():
        layer(X)
    with Winograd():
        Y = layer(X.requires_grad_())
    assert torch.autograd.grad(Y.sum(), X)[0].isfinite().all()


@pytest.mark.filterwarnings("ignore:`torch.jit.script`")  # PyTorch uses it itself
@pytest.mark.parametrize("of", ["features", "weight", "bias"])
def test_derivatives_in_forward_mode_and_maps_are_pytorchs(layer, count, of):
    given = {"input": noise((1, 128, 20, 20)), "weight": layer.weight, "bias": layer.bias}
    name = "input" if of == "features" else of

    def result(value):
        return conv2d(**given | {name: value}, padding=1)

    value, change = given[name].detach(), noise(given[name].shape, 1)
    several = torch.stack([value, change])
    expected = torch.func.jvp(result, (value,), (change,))[1], torch.func.vmap(result)(several)
    with torch.autograd.forward_ad.dual_level(), Winograd():
        dual = result(torch.autograd.forward_ad.make_dual(value, change))
        found = torch.autograd.forward_ad.unpack_dual(dual).tangent
    assert torch.equal(found, expected[0])
    with Winograd():
        assert torch.equal(torch.func.jvp(result, (value,), (change,))[1], expected[0])
        assert torch.equal(torch.func.vmap(result)(several), expected[1])
    assert count() == 0


def test_tensors_are_made_beside_the_features_whatever_the_default_device_is(layer, count):
    winograd.transforms.cache_clear()
    X = noise((1, 128, 20, 20))
    with Winograd(), torch.device("meta"):
        Y = layer(X)
    assert count() == 1
    assert Y.device.type == "cpu"


@pytest.mark.parametrize("bias", [torch.zeros(1), torch.zeros(256, dtype=torch.float64)])
def test_a_bias_that_pytorch_refuses_is_refused(layer, bias):
    layer.bias = nn.Parameter(bias, requires_grad=False)
    with Winograd(), pytest.raises(RuntimeError):
        layer(noise((1, 128, 20, 20)))


# --- kernels that are kept


def test_a_weight_that_is_changed_has_other_kernels(layer):
    """Also if PyTorch does not see the change, but it is more than rounding."""
    before = kernels_of(layer.weight)
    assert kernels_of(layer.weight) is before
    layer.weight.data[0, 0, 0, 0] = float("nan")
    assert kernels_of(layer.weight) is kernels_of(layer.weight)
    layer.weight.data[0, 0, 0, 0] = 0.0
    before = kernels_of(layer.weight)
    layer.weight.data[3, 5, 1, 1] += 1
    after = kernels_of(layer.weight)
    assert not torch.equal(after[:, 5, 3], before[:, 5, 3])
    with torch.no_grad():
        layer.weight[3, 5, 1, 1] += 1e-7  # less than rounding, but PyTorch knows
    assert kernels_of(layer.weight) is not after
    after = kernels_of(layer.weight)
    layer.weight.data.copy_(layer.weight.data.flip(0))  # the same numbers elsewhere
    assert torch.equal(kernels_of(layer.weight), after.flip(2))


def test_kernels_go_with_their_weight(layer):
    gc.collect()  # what other tests have left
    held = len(winograd._kernels)
    kernels_of(layer.weight)
    assert len(winograd._kernels) == held + 1
    del layer.weight
    gc.collect()
    assert len(winograd._kernels) == held


def test_the_size_of_the_kernels_is_known():
    net = vgg19("random", layers=["pool5"])
    convolutions = [part for part in net if isinstance(part, nn.Conv2d)]
    large = [each for each in convolutions if each.weight.numel() >= 9 * 128 * 256]
    expected = size_of_kernels(net)
    assert expected == sum(kernels_of(each.weight).nbytes for each in large)
    assert size_of_kernels(net) == 0  # they are there
    others = [nn.Conv2d(**LAYER | change) for change in ({"stride": 2}, {"padding": 0})]
    assert size_of_kernels([each.requires_grad_(False) for each in others]) == 0
    assert size_of_kernels([nn.Conv2d(**LAYER)]) == 0  # it learns


# --- in a network


def test_features_and_those_of_a_model(count):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.wide = nn.Conv2d(3, 128, 1)
            self.deep = nn.Conv2d(**LAYER)

        def forward(self, X):
            return self.deep(self.wide(X))

    model, X = Model().requires_grad_(False).eval(), noise((1, 3, 20, 24))
    stack = nn.Sequential(model.wide, model.deep)
    (Y,), (Z,) = NetworkFeatures(stack)(X, [1]), ModelFeatures(model)(X, ["deep"])
    assert count() == 0
    assert torch.equal(Y, Z)
    (Y,) = NetworkFeatures(stack, "winograd")(X, [1])
    (Z,) = ModelFeatures(model, "winograd")(X, ["deep"])
    assert count() == 2
    assert torch.equal(Y, Z)


def test_features_of_vgg19_are_right_to_five_digits(whole_net):
    X = preprocess(samples.load("coffee"), (130, 190))
    layers = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
    exact = NetworkFeatures(copy.deepcopy(whole_net).double())(X.double(), layers)
    for Y, Z in zip(NetworkFeatures(whole_net, "winograd")(X, layers), exact, strict=True):
        assert float((Y - Z).norm() / Z.norm()) < 1e-5


def test_by_tiles_features_differ_no_more_than_rounding(whole_net):
    X, layers = noise((1, 3, 130, 190)), ["conv3_1", "conv5_1"]
    plain = NetworkFeatures(whole_net, "winograd")(X, layers)
    tiled = TiledFeatures(whole_net, "winograd", side=64)(X, layers)
    for Y, Z in zip(tiled, plain, strict=True):
        assert float((Y - Z).norm() / Z.norm()) < 1e-5


def test_a_network_with_relus_in_place(count):
    """As in torchvision's VGG-19."""
    layers = [nn.Conv2d(3, 128, 1), nn.Conv2d(**LAYER), nn.ReLU(inplace=True)]
    net, X = (
        nn.Sequential(*layers).requires_grad_(False),
        noise((1, 3, 20, 24)).requires_grad_(),
    )
    (Y,), (Z,) = (NetworkFeatures(net, name)(X, [2]) for name in ("float32", "winograd"))
    assert count() == 1
    assert float((Y - Z).detach().norm() / Y.detach().norm()) < 5e-6
    gradients = [torch.autograd.grad(each.square().sum(), X)[0] for each in (Y, Z)]
    assert_near_overall(*(each.double() for each in gradients), 1e-4)


def test_what_a_run_is_expected_to_take_includes_the_kernels(monkeypatch):
    net = vgg19("random", layers=["conv4_1"])
    monkeypatch.setattr(plans, "in_use", lambda _: 1e9)

    def expected(precision):
        return plans.Planner(
            net, precision, ["conv3_1"], descent=AdamDescent(), device=torch.device("cpu")
        ).plan((64, 96), [(64, 64)], 10)

    kernels = 36 * 128 * 256 * 4  # of conv3_1 alone
    assert expected("winograd").memory - expected("float32").memory == kernels
    kernels_of(net[10].weight)  # now they are among what is in use
    assert expected("winograd").memory == expected("float32").memory
