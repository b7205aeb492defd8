import copy

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from toys import noise, recipe_features, recipe_gram, tiny_network

from stylelib import (
    LossWeights,
    SynthesizedImage,
    extract_features,
    get_contents,
    get_inits,
    get_styles,
    preprocess,
    samples,
    style_objective,
    train,
    visible_range,
)
from stylelib.features import FeatureExtractor

PICTURE = (1, 3, 12, 16)
TINY = {"content_layers": (4,), "style_layers": (0, 2), "precision": "float32"}


def tiny_targets(net):
    contents_Y, _ = extract_features(noise(PICTURE, 1), net, (4,), ())
    _, styles_Y = extract_features(noise(PICTURE, 2), net, (), (0, 2))
    return contents_Y, styles_Y


def test_a_synthesized_image_is_its_one_parameter():
    image = SynthesizedImage((1, 3, 5, 7))
    (parameter,) = image.parameters()
    assert image() is parameter
    assert parameter.shape == (1, 3, 5, 7)
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert not parameter.any()  # nothing is drawn at random


def test_inits_start_from_a_copy_of_the_picture():
    X = noise(PICTURE, 0)
    before = X.clone()
    image, _, _ = get_inits(X, None, 0.3, [])
    assert torch.equal(image, before)
    image.data.add_(1.0)
    assert torch.equal(X, before)
    X.zero_()
    assert torch.equal(image, before + 1.0)


def test_inits_have_the_gram_matrices_of_the_style():
    styles_Y = [noise((1, 4, 5, 6)), noise((1, 7, 2, 3), 1)]
    _, grams, _ = get_inits(noise(PICTURE, 2), None, 0.3, styles_Y)
    for G, Y in zip(grams, styles_Y, strict=True):
        F = Y[0].reshape(Y.shape[1], -1).double().numpy()
        np.testing.assert_allclose(G[0].numpy(), F @ F.T / F.size, rtol=1e-5, atol=1e-6)


def test_inits_have_an_adam_that_holds_the_picture():
    image, _, trainer = get_inits(noise(PICTURE, 0), "cpu", 0.125, [])
    assert type(trainer) is torch.optim.Adam
    (group,) = trainer.param_groups
    (held,) = group["params"]
    assert held is image
    assert group["lr"] == 0.125
    assert group["betas"] == (0.9, 0.999)
    assert group["weight_decay"] == 0
    assert image.is_leaf
    assert image.requires_grad


def recipe_train(X, content_X, style_X, net, lr, num_epochs, lr_decay_epoch, layers):
    """The recipe's loop, with torch alone. Returns the picture and the losses of every
    epoch."""
    with torch.no_grad():
        contents_Y, _ = recipe_features(content_X, net, *layers)
        _, styles_Y = recipe_features(style_X, net, *layers)
        grams = [recipe_gram(Y) for Y in styles_Y]
    X = nn.Parameter(X.clone())
    trainer = torch.optim.Adam([X], lr=lr)
    scheduler = torch.optim.lr_scheduler.StepLR(trainer, lr_decay_epoch, 0.8)
    history = []
    for _ in range(num_epochs):
        trainer.zero_grad()
        contents_Y_hat, styles_Y_hat = recipe_features(X, net, *layers)
        contents_l = [
            torch.square(Y_hat - Y).mean() * 1
            for Y_hat, Y in zip(contents_Y_hat, contents_Y, strict=True)
        ]
        styles_l = [
            torch.square(recipe_gram(Y) - G).mean() * 1e3
            for Y, G in zip(styles_Y_hat, grams, strict=True)
        ]
        vertical = torch.abs(X[:, :, 1:, :] - X[:, :, :-1, :]).mean()
        horizontal = torch.abs(X[:, :, :, 1:] - X[:, :, :, :-1]).mean()
        tv_l = 0.5 * (vertical + horizontal) * 10
        total = sum(10 * styles_l + contents_l + [tv_l])
        total.backward()
        trainer.step()
        scheduler.step()
        history.append(
            [sum(contents_l).item(), 10 * sum(styles_l).item(), tv_l.item(), total.item()]
        )
    return X.detach(), np.array(history)


def test_training_repeats_the_recipes_first_ten_steps(net):
    """In float64: Adam's first steps are signs of gradients, and where a gradient is about zero
    float32 leaves its sign to the order of summation."""
    net = copy.deepcopy(net).double()
    content_X, style_X = (
        preprocess(samples.load(name), (32, 40)).double() for name in ("chelsea", "mosaic")
    )
    contents_Y, _ = extract_features(content_X, net, (25,), ())
    _, styles_Y = extract_features(style_X, net, (), (0, 5, 10, 19, 28))
    steps = []
    picture = train(
        content_X,
        contents_Y,
        styles_Y,
        None,
        0.3,
        10,
        4,
        net=net,
        precision="float32",  # that is, no bfloat16: the picture is in float64
        callback=lambda step: steps.append([*step.losses.values(), step.loss]),
    )
    expected, losses = recipe_train(
        content_X, content_X, style_X, net, 0.3, 10, 4, ((25,), (0, 5, 10, 19, 28))
    )
    # at the first step the picture is the content, and its content loss zero
    np.testing.assert_allclose(np.array(steps), losses, rtol=1e-10, atol=1e-20)
    assert picture.dtype == torch.float64
    assert (picture - expected).abs().max() < 1e-9
    assert (picture - content_X).abs().mean() > 0.1


def test_training_changes_neither_its_arguments_nor_the_network():
    net = tiny_network()
    contents_Y, styles_Y = tiny_targets(net)
    X = noise(PICTURE, 3)
    given = [X, *contents_Y, *styles_Y]
    before, state = [tensor.clone() for tensor in given], copy.deepcopy(net.state_dict())
    picture = train(X, contents_Y, styles_Y, num_epochs=5, net=net, **TINY)
    assert all(torch.equal(a, b) for a, b in zip(given, before, strict=True))
    assert not torch.equal(picture, X)
    assert not picture.requires_grad
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())
    assert not net.training


def test_training_leaves_the_embedded_network_as_it_was(net):
    before = [parameter.clone() for parameter in net.parameters()]
    content_X, contents_Y = get_contents(samples.load("coffee"), (32, 48), net)
    _, styles_Y = get_styles(samples.load("roundels"), (32, 48), net)
    train(content_X, contents_Y, styles_Y, num_epochs=2, net=net)
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before, strict=True))
    assert all(parameter.grad is None for parameter in net.parameters())


def test_training_draws_nothing_from_the_global_generators():
    net = tiny_network()
    contents_Y, styles_Y = tiny_targets(net)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002  the state that could change
    train(noise(PICTURE, 3), contents_Y, styles_Y, num_epochs=2, net=net, **TINY)
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpys)  # noqa: NPY002  as above


def losses_of(run, **arguments):
    steps = []
    picture = run(callback=steps.append, **arguments)
    return picture, steps


def test_loss_falls_on_a_tiny_network():
    net = tiny_network()
    contents_Y, styles_Y = tiny_targets(net)
    _, steps = losses_of(
        train,
        X=noise(PICTURE, 3),
        contents_Y=contents_Y,
        styles_Y=styles_Y,
        num_epochs=150,
        net=net,
        **TINY,
    )
    assert (
        steps[-1].loss < steps[0].loss / 3
    )  # two targets of pure noise cannot be had together with smoothness
    assert steps[-1].losses["style"] < steps[0].losses["style"] / 10


def test_content_alone_is_approached_from_noise():
    net = tiny_network()
    contents_Y, _ = tiny_targets(net)
    picture, steps = losses_of(
        train,
        X=noise(PICTURE, 3),
        contents_Y=contents_Y,
        styles_Y=[],
        lr=0.1,
        num_epochs=150,
        lr_decay_epoch=30,
        net=net,
        weights=LossWeights(1.0, 0.0, 0.0),
        content_layers=(4,),
        style_layers=(),
        precision="float32",
    )
    assert all(step.losses["style"] == 0 and step.losses["tv"] == 0 for step in steps)
    assert steps[-1].losses["content"] < steps[0].losses["content"] / 20
    final = (net(picture) - net(noise(PICTURE, 1))).square().mean()
    assert final < steps[0].losses["content"] / 20


def test_style_alone_is_approached_without_any_content_layer():
    net = tiny_network()
    _, styles_Y = tiny_targets(net)
    _, steps = losses_of(
        train,
        X=noise(PICTURE, 3),
        contents_Y=[],
        styles_Y=styles_Y,
        num_epochs=100,
        net=net,
        content_layers=(),
        style_layers=(0, 2),
        precision="float32",
    )
    assert all(step.losses["content"] == 0 for step in steps)
    assert steps[-1].losses["style"] < steps[0].losses["style"] / 10


def test_without_any_layer_only_the_variation_falls():
    picture, steps = losses_of(
        train,
        X=noise(PICTURE, 3),
        contents_Y=[],
        styles_Y=[],
        num_epochs=150,
        lr_decay_epoch=10,
        net=tiny_network(),
        content_layers=(),
        style_layers=(),
        weights=LossWeights(tv=3.0),
    )
    assert all(step.losses["content"] == step.losses["style"] == 0 for step in steps)
    assert steps[-1].loss < steps[0].loss / 10
    assert picture.std() < noise(PICTURE, 3).std() / 4


def test_objective_has_three_losses_summed_over_their_layers():
    net = tiny_network()
    layers = ((2, 4), (0, 2))
    X, content_X, style_X = noise(PICTURE, 3), noise(PICTURE, 1), noise(PICTURE, 2)
    contents_Y, styles_Y = (
        recipe_features(content_X, net, *layers)[0],
        recipe_features(style_X, net, *layers)[1],
    )
    extractor = FeatureExtractor(net, *layers)
    grams = [recipe_gram(Y)[None] for Y in styles_Y]
    losses = style_objective(extractor, contents_Y, grams, LossWeights(2.0, 30.0, 5.0))(X)
    contents_Y_hat, styles_Y_hat = recipe_features(X, net, *layers)
    content = sum(
        (A - B).square().mean() for A, B in zip(contents_Y_hat, contents_Y, strict=True)
    )
    style = sum(
        (recipe_gram(A) - G).square().mean() for A, G in zip(styles_Y_hat, grams, strict=True)
    )
    tv = 0.5 * (X.diff(dim=2).abs().mean() + X.diff(dim=3).abs().mean())
    assert list(losses) == ["content", "style", "tv"]
    expected = {"content": 2 * content.item(), "style": 30 * style.item(), "tv": 5 * tv.item()}
    assert {name: loss.item() for name, loss in losses.items()} == pytest.approx(
        expected, rel=1e-5
    )


PAIRS = [("astronaut", "mosaic"), ("chelsea", "brushstrokes"), ("coffee", "roundels")]


@pytest.mark.parametrize(("content", "style"), PAIRS)
def test_bfloat16_trains_as_well_as_float32(net, content, style, needs_bfloat16):
    shape = (96, 144)
    content_X, contents_Y = get_contents(samples.load(content), shape, net)
    _, styles_Y = get_styles(samples.load(style), shape, net)
    means, pictures = {}, {}
    for precision in ("float32", "bfloat16"):
        pictures[precision], steps = losses_of(
            train,
            X=content_X,
            contents_Y=contents_Y,
            styles_Y=styles_Y,
            num_epochs=100,
            net=net,
            precision=precision,
        )
        means[precision] = sum(step.loss for step in steps[90:]) / 10
    assert means["bfloat16"] == pytest.approx(means["float32"], rel=0.03)
    assert not torch.equal(pictures["bfloat16"], pictures["float32"])


def test_the_visible_range_is_that_of_black_and_white():
    lowest, highest = visible_range()
    assert lowest.shape == highest.shape == (3, 1, 1)
    for color, bound in (("black", lowest), ("white", highest)):
        X = preprocess(Image.new("RGB", (3, 2), color), (2, 3))
        torch.testing.assert_close(bound.expand(1, 3, 2, 3), X)


def test_clamp_keeps_the_picture_within_the_visible_range():
    net = tiny_network()
    contents_Y, styles_Y = tiny_targets(net)
    common = {
        "contents_Y": contents_Y,
        "styles_Y": styles_Y,
        "num_epochs": 20,
        "net": net,
        **TINY,
    }
    free = train(noise(PICTURE, 3), lr=1.0, **common)
    kept, steps = losses_of(train, X=noise(PICTURE, 3), lr=1.0, clamp=True, **common)
    lowest = (0 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    highest = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
    lowest, highest = lowest.view(3, 1, 1) - 1e-6, highest.view(3, 1, 1) + 1e-6
    assert ((free < lowest) | (free > highest)).any()
    for inside in [step.picture for step in steps[1:]] + [kept]:
        assert ((inside >= lowest) & (inside <= highest)).all()


def test_the_learning_rate_decays_by_a_fifth():
    net = tiny_network()
    contents_Y, styles_Y = tiny_targets(net)
    _, steps = losses_of(
        train,
        X=noise(PICTURE, 3),
        contents_Y=contents_Y,
        styles_Y=styles_Y,
        lr=0.5,
        num_epochs=7,
        lr_decay_epoch=3,
        net=net,
        **TINY,
    )
    expected = [0.5, 0.5, 0.5, 0.4, 0.4, 0.4, 0.32]
    assert [step.lr for step in steps] == pytest.approx(expected, rel=1e-12)


def test_defaults_are_the_recipes():
    net = tiny_network()
    contents_Y, styles_Y = tiny_targets(net)
    _, steps = losses_of(
        train, X=noise(PICTURE, 3), contents_Y=contents_Y, styles_Y=styles_Y, net=net, **TINY
    )
    assert len(steps) == 500
    assert [step.lr for step in steps] == pytest.approx(
        [0.3 * 0.8 ** (k // 50) for k in range(500)], rel=1e-12
    )


def test_no_epochs_give_the_picture_back():
    X = noise(PICTURE, 3)
    picture = train(
        X, [], [], num_epochs=0, net=tiny_network(), content_layers=(), style_layers=()
    )
    assert torch.equal(picture, X)
    assert picture.data_ptr() != X.data_ptr()
