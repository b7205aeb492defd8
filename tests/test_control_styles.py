"""Several styles, against matrices in float64, and against runs of one style."""

import io

import numpy as np
import pytest
import torch
from PIL import Image
from toys import draw, loop_gram, noise, photo, pixels, tiny_network

from stylelib import (
    RECIPES,
    InputError,
    NetworkFeatures,
    Recipe,
    Style,
    compare_grams,
    preprocess,
    relative,
    samples,
    style_path,
    transfer,
)
from stylelib.beyond.neighbors import HYPERCOLUMN_LAYERS, columns_of, nearest
from stylelib.control.styles import Painting, Wanted, styles_of
from stylelib.optimization import gradients_of

LEFT = np.repeat([[1.0, 0.0]], 2, axis=0).repeat(16, axis=0).repeat(16, axis=1)  # (32, 32)
LOSSES = {"absolute": compare_grams, "relative": relative(compare_grams)}


def double(*shape, seed=0):
    return torch.from_numpy(draw(shape, seed))


def recipe_of(loss, layers=(0, 2)):
    return Recipe((0, 1, 0), [], list(layers), style_loss=loss)


def style_gradient(recipe, wanted, X, net):
    """Of the style losses with respect to an image, in the precision of the image."""
    features = NetworkFeatures(net)
    objective = recipe.objective(wanted, X, features, features, last=True)
    return dict(gradients_of(X, objective))["style"]


def toward_matrices(net, X, targets):
    """The gradient of sum over layers of factor * sum((G - A)^2), by loops over channels."""
    X = X.clone().requires_grad_()
    Y, loss = X, torch.zeros((), dtype=X.dtype)
    for index, layer in enumerate(net):
        Y = layer(Y)
        if index in targets:
            factor, A = targets[index]
            F = Y[0].flatten(1)
            G = F @ F.T / F.numel()
            loss = loss + factor * ((G - torch.from_numpy(A)) ** 2).sum()
    return torch.autograd.grad(loss, X)[0]


def grams_of(net, X):
    found, Y = {}, X
    for index, layer in enumerate(net):
        Y = layer(Y)
        found[index] = loop_gram(Y.numpy())[0]
    return found


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weights", [(0.3, 0.7), (1, 3), (2, 0.5), (1, 0)])
def test_styles_pull_as_the_weighted_mean_of_their_gram_matrices(loss, weights):
    """Gradients in float64, of one style at another scale, so that their sizes differ."""
    net = tiny_network().double()
    content, X, a = (double(1, 3, 9, 11, seed=k) for k in (1, 2, 3))
    b = 3 * double(1, 3, 10, 8, seed=4)
    wanted = Wanted(
        content, [Painting(s, weight=w) for s, w in zip((a, b), weights, strict=True)]
    )
    found = style_gradient(recipe_of(LOSSES[loss]), wanted, X, net)
    grams = [grams_of(net, s) for s in (a, b)]
    parts = [w / sum(weights) for w in weights]
    targets = {}
    for layer in (0, 2):
        A = sum(p * g[layer] for p, g in zip(parts, grams, strict=True))
        sizes = [p * (g[layer] ** 2).sum() for p, g in zip(parts, grams, strict=True)]
        targets[layer] = (1 / A.size if loss == "absolute" else 1 / sum(sizes), A)
    expected = toward_matrices(net, X, targets)
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12 * expected.abs().max())


def test_the_mean_of_gram_matrices_is_that_of_the_paintings_side_by_side():
    """With one style twice as wide as the other; a 1 x 1 kernel sees across no border."""
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 1)).double().requires_grad_(False)
    a, b, X = double(1, 3, 4, 6, seed=1), double(1, 3, 4, 3, seed=2), double(1, 3, 5, 5, seed=3)
    collage = Wanted(X, [Painting(torch.cat([a, b], dim=3))])
    both = Wanted(X, [Painting(a, weight=2), Painting(b)])
    found, expected = (
        style_gradient(recipe_of(compare_grams, [0]), each, X, net) for each in (both, collage)
    )
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-14)


def factors(wanted, layers, **arguments):
    return [found for _, found in wanted.weighted(layers, **arguments)]


def test_weights_add_up_to_1_at_each_layer_of_each_region():
    X, left = double(1, 3, 4, 4), torch.tensor([[[[1.0, 0.0]]]])
    wanted = Wanted(
        X,
        [
            Painting(X, weight=3),
            Painting(X, weight=1, layers=[0]),
            Painting(X, weight=5, here=left),
            Painting(X, weight=0),
            Painting(X, weight=4, layers={0: 2, 2: 0.5}),
            Painting(X, weight=15, here=left.clone(), layers=[7]),
        ],
    )
    assert factors(wanted, [0, 7]) == [
        {0: 3 / 8, 7: 1.0},
        {0: 1 / 8},
        {0: 2 * 4 / 8, 2: 0.5},
        {0: 1.0, 7: 0.25},
        {7: 0.75},
    ]


def test_a_size_of_0_leaves_a_layer_to_the_others():
    X = double(1, 3, 4, 4)
    a, b = Painting(X), Painting(X, weight=3)
    sizes = {a: {0: 6.0, 1: 0.0}, b: {0: 1.0, 1: 5.0}}
    found = factors(Wanted(X, [a, b]), [0, 1], size=lambda style, layer: sizes[style][layer])
    assert found == [{0: 6 / 9}, {0: 3 / 9, 1: 1.0}]


def test_two_names_of_a_layer_are_one_layer(net):
    """By number and by name, the styles share a layer's weight: half of each."""
    content, a, b = (preprocess(pixels(32, 40, seed), (32, 40)) for seed in (1, 2, 3))
    mixed = Wanted(content, [Painting(a, layers=["conv1_1"]), Painting(b, layers=[0])])
    same = Wanted(content, [Painting(a, layers=[0]), Painting(b, layers=[0])])
    X = content + 0.1 * noise(content.shape)
    found, expected = (
        style_gradient(recipe_of(compare_grams), each, X, net) for each in (mixed, same)
    )
    assert torch.equal(found, expected)


# --- in a run

EXACT = {"image_shape": 32, "steps": 4, "device": "cpu"}
FRAME = photo("chelsea", 32)


def run(style, recipe, **arguments):
    return transfer(FRAME, style, recipe=recipe, **(EXACT | arguments)).picture


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_style_of_weight_0_is_as_if_it_were_not_there(recipe):
    """Not even its size matters: a small image must not shorten the ladder of sizes."""
    one, none = pixels(48, 48, 1), Style(pixels(48, 48, 2), weight=0, strokes=0.3)
    alone = run(one, recipe, image_shape=64)
    assert torch.equal(run([one, none], recipe, image_shape=64), alone)
    assert torch.equal(run([none, one], recipe, image_shape=64), alone)


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_same_style_twice_is_one(recipe):
    one = pixels(32, 32, 1)
    once, twice = run(one, recipe), run([Style(one, weight=2), Style(one, weight=3)], recipe)
    start = preprocess(FRAME, 32)
    moved, apart = (once - start).abs().mean(), (once - twice).abs().mean()
    assert float(apart) < 0.02 * float(moved)


@pytest.mark.parametrize("recipe", RECIPES)
def test_both_of_two_styles_have_a_say(recipe):
    a, b, c = (pixels(32, 32, seed) for seed in (1, 2, 3))
    both = run([a, b], recipe)
    assert torch.isfinite(both).all()
    assert not torch.equal(both, run([a, c], recipe))
    assert not torch.equal(both, run([c, b], recipe))


def test_styles_mixed_by_layer_are_compared_at_their_own(net):
    """At layers of one style, the other image may be any."""
    content, a, b = (preprocess(pixels(32, 40, k), (32, 40)) for k in range(3))
    X, recipe = content + 0.1 * noise(content.shape), RECIPES["d2l"].changed(weights=(0, 1, 0))
    fine, coarse = [0, 5], [10, 19]
    wanted = Wanted(content, [Painting(a, layers=fine), Painting(b, layers=coarse)])
    found = style_gradient(recipe, wanted, X, net)
    parts = [
        style_gradient(
            recipe.changed(style_layers=layers), Wanted(content, [Painting(image)]), X, net
        )
        for layers, image in ((fine, a), (coarse, b))
    ]
    expected = parts[0] + parts[1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6 * expected.abs().max())


def test_neighbors_takes_the_mean_of_the_targets_and_no_layers(net):
    """Its loss, by hypercolumns and a loop over styles."""
    content, a, b = (preprocess(pixels(32, 40, seed), (32, 40)) for seed in (1, 2, 3))
    recipe, features = RECIPES["neighbors"], NetworkFeatures(net)
    wanted = Wanted(content, [Painting(a, weight=1), Painting(b, weight=3)])
    objective = recipe.objective(wanted, content, features, features, last=True)
    sought, target = columns_of(content, features), 0
    for image, part in ((a, 0.25), (b, 0.75)):
        turned = [columns_of(torch.rot90(image, k, (2, 3)), features) for k in range(4)]
        columns = torch.cat(turned, dim=1)
        taken = columns[:, nearest(sought, columns)]
        target = target + part * taken / taken.norm(dim=0)
    cosines = (sought * target).sum(dim=0) / sought.norm(dim=0) / target.norm(dim=0)
    loss = objective(content)["neighbors"]
    torch.testing.assert_close(loss, (1 - cosines).mean(), rtol=1e-4, atol=1e-6)
    assert len(HYPERCOLUMN_LAYERS) == 10
    own = Wanted(content, [Painting(a), Painting(b, layers=["relu1_1"])])
    with pytest.raises(InputError, match="a style has no layers of its own"):
        recipe.objective(own, content, features, features, last=True)


# --- strength


@pytest.mark.parametrize("recipe", ["coarse-to-fine", "d2l", "gatys", "assignment"])
def test_a_strength_of_0_asks_for_the_photographs_own_statistics(recipe):
    """So the photograph has no style loss, whatever the painting."""
    found = [
        transfer(
            FRAME, pixels(32, 32, seed), recipe=recipe, init="content", strength=0, **EXACT
        )
        for seed in (1, 2)
    ]
    assert torch.equal(found[0].picture, found[1].picture)
    first = found[0].history[0].losses
    one = transfer(FRAME, pixels(32, 32, 1), recipe=recipe, init="content", **EXACT)
    assert first["style"] < 1e-3 * one.history[0].losses["style"]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("strength", [0.25, 0.5])
def test_the_target_of_a_strength_lies_on_the_line_between(loss, strength):
    """With a small and a large style, and the share that was asked for."""
    net = tiny_network().double()
    content, X, style = (double(1, 3, 9, 11, seed=k) for k in (1, 2, 3))
    styles = [Painting(4 * style, weight=strength), Painting(content, weight=1 - strength)]
    found = style_gradient(recipe_of(LOSSES[loss], [2]), Wanted(content, styles), X, net)
    A, P = (grams_of(net, each)[2] for each in (4 * style, content))
    line = toward_matrices(net, X, {2: (1.0, strength * A + (1 - strength) * P)})
    found, line = found.flatten(), line.flatten()
    assert float(found @ line / found.norm() / line.norm()) > 1 - 1e-12


# --- what `transfer` takes


def test_styles_may_be_a_list_a_tuple_or_one():
    a, b = pixels(4, 4, 1), Style(pixels(4, 4, 2), weight=2)
    assert [each.weight for each in styles_of([a, b])] == [1.0, 2]
    assert styles_of((b,)) == styles_of(b) == [b]
    assert styles_of(a)[0].image is a


def test_the_settings_say_what_was_asked(tmp_path):
    path = tmp_path / "style.png"
    pixels(32, 32).save(path)
    arguments = {"recipe": "d2l", **EXACT}
    one = transfer(FRAME, path, **arguments).settings["style"]
    assert one == transfer(FRAME, [path], **arguments).settings["style"]
    style = Style(path, weight=2, layers=["conv1_1"], here=LEFT)
    several = transfer(FRAME, [path, style], **arguments).settings["style"]
    assert [each["weight"] for each in several] == [1.0, 2]
    asked = {"weight": 2, "layers": ["conv1_1"], "here": True, "there": False}
    assert several[1] == several[0] | asked


# --- a path


def test_a_path_begins_and_ends_with_transfers_of_one_style(tmp_path):
    a, b = samples.load("mosaic").resize((32, 32)), Image.new("RGB", (40, 40), "teal")
    arguments = {"recipe": "d2l", **EXACT}
    results = style_path(FRAME, a, Style(b, weight=7), 3, **arguments)
    ends = [transfer(FRAME, each, **arguments) for each in (a, b)]
    assert torch.equal(results[0].picture, ends[0].picture)
    assert torch.equal(results[2].picture, ends[1].picture)
    weights = [each["weight"] for each in results[1].settings["style"]]
    assert weights == [0.5, 0.5]
    assert not torch.equal(results[1].picture, results[0].picture)
    assert not torch.equal(results[1].picture, results[2].picture)


def test_the_files_of_a_path_are_read_once():
    def file(image):
        stream = io.BytesIO()
        image.save(stream, "PNG")
        stream.seek(0)
        return stream

    mask = Image.fromarray((255 * LEFT).astype(np.uint8))
    images = [FRAME, pixels(32, 32, 1), pixels(32, 32, 2), mask, mask, pixels(32, 32, 3)]
    arguments = {"recipe": "d2l", **EXACT}
    from_files, plain = (
        style_path(
            content, Style(a, here=here), Style(b, there=there), 3, init=init, **arguments
        )
        for content, a, b, here, there, init in (map(file, images), images)
    )
    for found, expected in zip(from_files, plain, strict=True):
        assert torch.equal(found.picture, expected.picture)


def test_strokes_that_would_need_a_huge_style_image_are_refused():
    message = "strokes of 900 ask for a style image of 28800 x 28800, over 89,478,485 pixels"
    with pytest.raises(InputError, match=message):
        transfer(FRAME, Style(pixels(32, 32), strokes=300), strokes=3, **EXACT)
