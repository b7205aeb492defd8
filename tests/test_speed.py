"""What is there for speed: the same numbers as without it."""

import pytest
import torch
from toys import noise

from stylelib import (
    Match,
    NetworkFeatures,
    compare_features,
    compare_grams,
    gram,
    objective_of,
    preprocess,
    samples,
)
from stylelib.objectives import relative
from stylelib.speed import PLACES, GramProduct


def features(*shape, seed=0):
    return noise(shape, seed).relu().bfloat16()


@pytest.mark.parametrize("places", [1, 7, PLACES, PLACES + 1, 3 * PLACES])
def test_products_in_bfloat16_are_sums_in_float32_rounded_once_each(places):
    F = features(2, 5, places)
    product = GramProduct.apply(F)
    exact = F.double() @ F.double().mT
    assert product.dtype == torch.float32
    # a part is rounded to 8 bits: by 2**-8 of itself at most; parts here are all positive
    assert float(((product - exact) / exact.clamp(min=1e-6)).abs().max()) < 2**-8 * 1.01


def test_the_gradient_in_bfloat16_is_that_of_the_formula():
    F = features(2, 6, 500).requires_grad_()
    D = noise((2, 6, 6), 1)
    GramProduct.apply(F).backward(D)
    exact = (D + D.mT).double() @ F.detach().double()
    assert F.grad.dtype == torch.bfloat16
    assert float((F.grad - exact).norm() / exact.norm()) < 2**-8


@pytest.mark.parametrize("order", [torch.contiguous_format, torch.channels_last])
def test_the_memory_order_of_features_does_not_matter(order):
    Y = features(1, 8, 20, 30)
    exact = gram(Y.double())
    found = gram(Y.contiguous(memory_format=order))
    assert float((found - exact).norm() / exact.norm()) < 2**-8


def test_gradients_keep_the_memory_order_of_channels_last():
    Y = features(1, 8, 20, 30).contiguous(memory_format=torch.channels_last).requires_grad_()
    gram(Y).sum().backward()
    assert Y.grad.is_contiguous(memory_format=torch.channels_last)


def test_features_stay_in_bfloat16_only_if_they_need_not_be_widened(net, needs_bfloat16):
    X = noise((1, 3, 32, 48), 0)
    assert NetworkFeatures(net, "bfloat16")(X, [0])[0].dtype == torch.float32
    (Y,) = NetworkFeatures(net, "bfloat16", widen=False)(X, [0])
    assert Y.dtype == torch.bfloat16
    assert NetworkFeatures(net, "float32", widen=False)(X, [0])[0].dtype == torch.float32


def test_a_loss_of_ones_own_never_sees_bfloat16(net, needs_bfloat16):
    seen = []

    def own(Y):
        return lambda Y_hat: (seen.append(Y_hat.dtype), ((Y_hat - Y) ** 2).mean())[1]

    X = noise((1, 3, 32, 48), 0)
    narrow = NetworkFeatures(net, "bfloat16", widen=False)
    terms = [Match("own", X, ["relu1_1"], loss) for loss in (own, relative(own))]
    objective_of(terms, narrow, targets=NetworkFeatures(net))(X)
    assert seen
    assert set(seen) == {torch.float32}


@pytest.mark.parametrize("wrap", [lambda loss: loss, relative])
def test_a_step_in_bfloat16_is_near_one_in_float32(net, photo, wrap, needs_bfloat16):
    content_X, style_X = preprocess(photo, 96), preprocess(samples.load("brushstrokes"), 96)
    start = content_X + 0.3 * noise(content_X.shape, 0)
    terms = [
        Match("content", content_X, ["relu4_2"], wrap(compare_features), 0.7),
        Match(
            "style", style_X, ["relu1_1", "relu2_1", "relu3_1", "relu4_1"], wrap(compare_grams)
        ),
    ]
    found = {}
    for precision in ("float32", "bfloat16"):
        X = start.clone().requires_grad_()
        objective = objective_of(
            terms, NetworkFeatures(net, precision, widen=False), targets=NetworkFeatures(net)
        )
        loss = torch.stack(list(objective(X).values())).sum()
        loss.backward()
        found[precision] = float(loss.detach()), X.grad.flatten()
    (exact, g), (rough, h) = found["float32"], found["bfloat16"]
    assert abs(rough / exact - 1) < 0.01
    assert float(torch.nn.functional.cosine_similarity(g, h, dim=0)) > 0.97
