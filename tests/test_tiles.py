"""Tiles give the features and gradients of the whole image. The plain way is what they are
compared with; float64 leaves only rounding."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn
from toys import noise

from stylelib import (
    CONVENTIONS,
    InputError,
    Match,
    NetworkFeatures,
    Prior,
    TiledFeatures,
    compare_features,
    compare_grams,
    objective_of,
    relative,
    squeezenet1_1,
    tv_loss,
    vgg19,
)
from stylelib.beyond.statistics import compare_moments, compare_sliced
from stylelib.control.masks import within
from stylelib.large.strips import Reach, reaches_of, strips
from stylelib.large.sums import Additive, Summed, adds_up, by_sums_of
from stylelib.large.tiles import Cropped
from stylelib.relatives import assignment

LAYERS = ["relu1_1", "conv2_2", "relu3_1", "relu4_2", "relu5_1"]


def small_stack(pool=None):
    """Windows of many kinds: strides, dilation, uneven padding, pooling at the border."""
    torch.manual_seed(3)
    return (
        nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1),
            nn.Tanh(),
            pool or nn.AvgPool2d(3, stride=2, padding=1),
            nn.Conv2d(5, 6, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
            nn.Conv2d(6, 4, 4, padding="same"),
            nn.Conv2d(4, 4, 5, stride=2, padding=(2, 1)),
        )
        .double()
        .eval()
        .requires_grad_(False)
    )


def gradient(function, X):
    X = X.clone().requires_grad_()
    (found,) = torch.autograd.grad(function(X), X)
    return found


def largest_error(found, expected):
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize(
    ("net", "layers", "shape"),
    [
        (lambda: vgg19("random", layers=LAYERS), LAYERS, (83, 67)),
        (lambda: vgg19("random", layers=LAYERS, pooling="avg"), LAYERS, (65, 78)),
        (lambda: squeezenet1_1("random"), ["conv1", "pool1", "fire3", "fire9"], (141, 109)),
        (small_stack, [0, 1, 2, 4, 5, 7], (61, 83)),
        (lambda: small_stack(nn.MaxPool2d(5, stride=3, padding=2)), [1, 5, 6, 7], (70, 53)),
    ],
    ids=["max", "avg", "fire", "windows", "overlapping"],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize(("side", "parts"), [(10, None), (24, 1)])
def test_features_and_gradients_are_those_of_the_whole_image(net, layers, shape, side, parts):
    net = net().double()
    X = noise((1, 3, *shape)).double()
    plain, tiled = NetworkFeatures(net), TiledFeatures(net, side=side, parts=parts)
    expected, found = plain(X, layers), tiled(X, layers)
    assert [F.shape for F in found] == [F.shape for F in expected]
    assert [tuple(F.shape) for F in expected] == tiled.shapes(X, layers)
    weights = [noise(F.shape, seed).double() for seed, F in enumerate(expected)]

    def total(features):
        return lambda X: sum(
            (w * F.sin()).sum() for w, F in zip(weights, features(X, layers), strict=True)
        )

    for F, G in zip(found, expected, strict=True):
        assert largest_error(F, G) < 1e-12
    assert largest_error(gradient(total(tiled), X), gradient(total(plain), X)) < 1e-11


@pytest.mark.parametrize(
    "wrap",
    [
        lambda loss: loss,
        relative,
        lambda loss: within(loss, None, None),
    ],
    ids=["plain", "relative", "within"],
)
def test_losses_from_sums_are_those_of_all_features(wrap):
    net = vgg19("random", layers=["relu4_1"]).double()
    X, target, style = (
        noise((1, 3, *s), i).double() for i, s in enumerate([(75, 91)] * 2 + [(60, 83)])
    )
    terms = [
        Match("content", target, ["relu4_1"], wrap(compare_features), 2.0),
        Match("style", style, {"relu1_1": 1.0, "relu3_1": 0.5}, wrap(compare_grams), 1e3, True),
        Prior("tv", tv_loss, 0.3),
    ]
    assert_alike(terms, net, X)


def assert_alike(terms, net, X):
    """The losses and their gradients, by tiles and plain."""
    plain = objective_of(terms, NetworkFeatures(net))
    tiled = objective_of(terms, TiledFeatures(net, side=20))
    expected, found = plain(X), tiled(X)
    assert list(found) == list(expected)
    for name, loss in expected.items():
        assert float(found[name]) == pytest.approx(float(loss), rel=1e-11)
        one = gradient(lambda X, name=name: tiled(X)[name], X)
        assert largest_error(one, gradient(lambda X, name=name: plain(X)[name], X)) < 1e-11


def keeps_no_features(terms, net, X):
    """Whether the losses ask for sums alone."""
    asked = []

    class Watched(TiledFeatures):
        def __call__(self, X, layers):
            asked.extend(layers)
            return super().__call__(X, layers)

    objective = objective_of(terms, Watched(net, side=20))
    asked.clear()  # the targets
    objective(X)
    return all(isinstance(layer, Summed) for layer in asked)


def assert_from_sums(content_loss, style_loss):
    net = vgg19("random", layers=["relu2_1"]).double()
    X, target = noise((1, 3, 43, 51)).double(), noise((1, 3, 43, 51), 1).double()
    terms = [
        Match("content", target, ["relu2_1"], content_loss),
        Match("style", target, ["relu1_2"], style_loss),
    ]
    assert_alike(terms, net, X)
    assert keeps_no_features(terms, net, X)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_every_convention_has_its_losses_from_sums(name):
    convention = CONVENTIONS[name]
    assert_from_sums(convention.compare_features, convention.compare_grams)


def test_the_assignments_losses_too():
    recipe = assignment.ASSIGNMENT
    assert_from_sums(recipe.content_loss, recipe.style_loss)


def test_regions_with_soft_edges_are_weighed_tile_by_tile():
    net = vgg19("random", layers=["relu2_1"]).double()
    X, target = noise((1, 3, 48, 56)).double(), noise((1, 3, 48, 56), 1).double()
    here = torch.linspace(0, 1, 28).expand(1, 1, 24, 28).double()
    loss = relative(compare_grams)
    terms = [
        Match("style", target, ["relu2_1"], within(loss, here, here.flip(3))),
        Match("content", target, ["relu2_1"], within(compare_features, here, here)),
    ]
    assert_alike(terms, net, X)
    assert keeps_no_features(terms, net, X)


@pytest.mark.parametrize("loss", [compare_sliced, compare_moments])
def test_a_loss_of_all_features_gets_them(loss):
    net = vgg19("random", layers=["relu2_1"]).double()
    X, target = noise((1, 3, 43, 51)).double(), noise((1, 3, 43, 51), 1).double()
    terms = [Match("style", target, ["relu2_1"], loss)]
    assert by_sums_of(loss) is None
    assert not keeps_no_features(terms, net, X)
    assert_alike(terms, net, X)


def test_a_content_of_another_size_is_refused_as_without_tiles():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1)).eval()
    match = Match("content", torch.rand(1, 3, 24, 24), [0], compare_features)
    for features in (NetworkFeatures(net), TiledFeatures(net, side=8)):
        objective = objective_of([match], features)
        for side in (16, 32):
            with pytest.raises(InputError, match="they must be the same"):
                objective(torch.rand(1, 3, side, side))


def test_a_loss_of_ones_own_is_added_up():
    def compare_means(Y):
        mean = Y.mean((2, 3))
        return lambda Y_hat: (Y_hat.mean((2, 3)) - mean).square().sum()

    def total(F, where):
        return F.sum((2, 3))

    def by_sums(Y):
        mean = Y.total(total) / (Y.shape[2] * Y.shape[3])
        return Additive(
            total, lambda S, shape: (S / (shape[2] * shape[3]) - mean).square().sum()
        )

    adds_up(compare_means, by_sums)
    net = vgg19("random", layers=["relu2_1"]).double()
    X, target = noise((1, 3, 43, 51)).double(), noise((1, 3, 33, 60), 1).double()
    terms = [
        Match("style", target, ["relu2_1"], wrap(compare_means))
        for wrap in (relative, lambda x: x)
    ]
    assert_alike(terms, net, X)
    assert keeps_no_features(terms, net, X)


def test_sums_are_loops_over_positions():
    net = nn.Sequential(nn.Conv2d(3, 2, 1, bias=False)).double().eval().requires_grad_(False)
    X = noise((1, 3, 7, 9)).double()
    tiled = TiledFeatures(net, side=4)
    (found,) = tiled(X, [Summed(0, lambda F, where: torch.einsum("nchw,ndhw->cd", F, F))])
    kernel, pixels = net[0].weight.numpy()[:, :, 0, 0], X.numpy()[0]
    expected = np.zeros((2, 2))
    for row, column in itertools.product(range(7), range(9)):
        feature = kernel @ pixels[:, row, column]
        expected += np.outer(feature, feature)
    np.testing.assert_allclose(found.numpy(), expected, 1e-12)


@pytest.mark.parametrize(
    "reach", [Reach(3, 1, 1, 1), Reach(2, 2), Reach(3, 2, 0, 0, True), Reach(5, 3, 2, 1)]
)
@pytest.mark.parametrize("size", [5, 8, 23])
def test_a_window_counts_its_outputs_as_pytorch_does(reach, size):
    X = torch.zeros(1, 1, size + reach.before + reach.after)
    if reach.ceil:
        found = nn.functional.max_pool1d(X, reach.kernel, reach.stride, ceil_mode=True)
    else:
        found = nn.functional.conv1d(X, torch.zeros(1, 1, reach.kernel), stride=reach.stride)
    assert reach.outputs(size) == found.shape[-1]


def test_the_tiles_of_an_axis_have_each_position_once_and_margins_that_suffice():
    chain = [
        (0, Reach(3, 1, 1, 1)),
        (1, Reach(3, 1, 1, 1)),
        (2, Reach(2, 2)),
        (3, Reach(3, 1, 1, 1)),
    ]
    found = strips(101, 30, chain, [0, 2, 3])
    for tap, size in ((0, 101), (2, 50), (3, 50)):
        own = [i for strip in found for i in range(size)[strip.places[tap]]]
        assert own == list(range(size))
    # layer 3 sees 1 position, so 2 pixels, and 1 more in each of two convolutions: 4
    inner = found[1]
    assert (inner.crop.start, inner.crop.stop) == (
        2 * inner.places[3].start - 4,
        2 * inner.places[3].stop + 4,
    )


def test_vgg19_sees_70_pixels_beside_a_cell_of_16():
    """The receptive field of conv5_1 is 156: 70 + 16 + 70."""
    net = vgg19("random", layers=["conv5_1"])
    chain = [(n, rows) for n, layer in enumerate(net) for rows, _ in reaches_of(layer)]
    (_, middle, _) = strips(3 * 320, 320, chain, [28])
    assert middle.crop == slice(320 - 80, 640 + 80)  # the next multiple of 16


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_a_window_of_features_keeps_their_memory_order_in_both_directions(order):
    F = noise((1, 8, 9, 7)).contiguous(memory_format=order).requires_grad_()
    arrives = noise((1, 8, 4, 3), seed=1)

    window = Cropped.apply(F, slice(2, 6), slice(4, 7))
    (found,) = torch.autograd.grad(window, F, arrives)

    expected = torch.zeros(1, 8, 9, 7, dtype=F.dtype)
    expected[:, :, 2:6, 4:7] = arrives
    assert torch.equal(window, F[:, :, 2:6, 4:7])
    assert torch.equal(found, expected)
    assert window.is_contiguous(memory_format=order)
    assert found.is_contiguous(memory_format=order)


def test_networks_whose_windows_are_not_known_are_refused_when_it_matters():
    class Odd(nn.Module):
        def forward(self, X):
            return X.flip(3)

    net = nn.Sequential(nn.Conv2d(3, 4, 3), Odd(), nn.Conv2d(4, 4, 3)).eval()
    tiled, X = TiledFeatures(net, side=8), noise((1, 3, 20, 20))
    assert torch.allclose(tiled(X, [0])[0], net[0](X), atol=1e-6)
    with pytest.raises(InputError, match="a position of Odd sees is not known"):
        tiled(X, [2])
    circular = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"))
    with pytest.raises(InputError, match="Conv2d"):
        TiledFeatures(circular.eval())(X, [0])


class MinusMean(nn.ReLU):
    """A ReLU by its class alone."""

    def forward(self, X):
        return X - X.mean()


@pytest.mark.parametrize(
    "layer", [MinusMean(), nn.BatchNorm2d(4, track_running_stats=False)], ids=["own", "norm"]
)
def test_a_layer_that_only_its_class_makes_known_is_refused(layer):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), layer, nn.Conv2d(4, 4, 3)).eval()
    with pytest.raises(InputError, match=f"a position of {type(layer).__name__} sees is not"):
        TiledFeatures(net, side=8)(noise((1, 3, 20, 20)), [2])


def test_a_layer_that_works_in_place_changes_no_margin_twice():
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.MaxPool2d(2),
        nn.LeakyReLU(0.5, inplace=True),
        nn.Conv2d(4, 4, 3, padding=1),
    )
    net = net.double().eval().requires_grad_(False)
    X = noise((1, 3, 40, 52)).double()
    plain, tiled = NetworkFeatures(net), TiledFeatures(net, side=16)
    for Y, expected in zip(tiled(X, [1, 3]), plain(X, [1, 3]), strict=True):
        assert largest_error(Y, expected) < 1e-12
    found, expected = (
        gradient(lambda X, f=f: f(X, [3])[0].square().sum(), X) for f in (tiled, plain)
    )
    assert largest_error(found, expected) < 1e-12


def test_what_is_refused_of_an_image_is_refused_by_tiles():
    tiled = TiledFeatures(vgg19("random"), side=32)
    with pytest.raises(InputError, match="too small for layer 28"):
        tiled(noise((1, 3, 15, 40)), [28])
    with pytest.raises(InputError, match="side must be a whole number"):
        TiledFeatures(vgg19("random"), side=0)


def test_in_float32_the_gradient_of_a_transfer_is_right_to_five_digits(deep_net, photo_of_256):
    """Where a ReLU is decided the other way by rounding, a few pixels may differ more."""
    X, style = photo_of_256
    terms = [
        Match("content", X, ["relu4_2"], relative(compare_features), 0.7),
        Match("style", style, ["relu1_1", "relu3_1", "relu5_1"], relative(compare_grams)),
    ]
    start = X + 0.3 * noise(X.shape, 5)
    plain, tiled = (
        objective_of(terms, features)
        for features in (NetworkFeatures(deep_net), TiledFeatures(deep_net, side=64))
    )
    for name, loss in plain(start).items():
        assert float(tiled(start)[name]) == pytest.approx(float(loss), rel=1e-5)
        found, expected = (
            gradient(lambda X, f=f, name=name: f(X)[name], start) for f in (tiled, plain)
        )
        error = (found - expected).abs() / expected.abs().max()
        assert float(error.median()) < 1e-5
        assert float(error.max()) < 1e-2


@pytest.fixture
def photo_of_256():
    from stylelib import preprocess, samples

    return preprocess(samples.load("coffee"), (131, 196)), preprocess(
        samples.load("mosaic"), 120
    )


def test_in_bfloat16_tiles_differ_no_more_than_rounding(needs_bfloat16):
    net, X = vgg19(layers=["relu4_1"]), noise((1, 3, 96, 120))
    layers = ["relu1_1", "relu4_1"]
    (a, b), (c, d) = (
        kind(net, "bfloat16", widen=False)(X, layers)
        for kind in (NetworkFeatures, lambda *x, **y: TiledFeatures(*x, side=32, **y))
    )
    assert a.dtype == c.dtype == torch.bfloat16
    assert largest_error(c.float(), a.float()) < 0.02
    assert largest_error(d.float(), b.float()) < 0.05
