import inspect
import io
import json
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from toys import MEAN, STD, noise, normalized

from stylelib import (
    DivergenceError,
    InputError,
    extract_features,
    invert_features,
    preprocess,
    range_loss,
    samples,
    squeezenet1_1,
    synthesize_texture,
    vgg19,
)

SIZE = (36, 24)  # of the pictures given, width first; (24, 36) as a shape


@pytest.fixture(scope="module")
def cat():
    return samples.load("chelsea").resize(SIZE)


@pytest.fixture(scope="module")
def tiles():
    return samples.load("mosaic").resize(SIZE)


@pytest.fixture(scope="module")
def avg():
    return vgg19(layers=["pool4"], pooling="avg")


@pytest.fixture
def invert(cat, net):
    """`invert_features` of a small picture, short; arguments replace or add to that."""

    def run(image=cat, layer="relu2_1", **arguments):
        return invert_features(
            image, layer, **{"image_shape": 24, "steps": 12, "net": net} | arguments
        )

    return run


@pytest.fixture
def texture(tiles, avg):
    """`synthesize_texture` likewise."""

    def run(image=tiles, layers=("relu1_1",), **arguments):
        return synthesize_texture(
            image, layers, **{"image_shape": 24, "steps": 12, "net": avg} | arguments
        )

    return run


@pytest.fixture(params=["invert", "texture"])
def either(request):
    """Each of the two; they share much."""
    return request.getfixturevalue(request.param)


def features(X, net, layer):
    """Features at one layer, (C, M), in float64."""
    with torch.no_grad():
        ([Y], _) = extract_features(X, net, [layer], ())
    assert Y.shape[0] == 1
    return Y[0].flatten(1).double().numpy()


def features_error(X, P, net, layer):
    F = features(X, net, layer)
    return ((F - P) ** 2).sum() / (P**2).sum()


def gram_error(X, target, net, layer):
    """Relative error of Gram matrices, each divided by its own number of features."""
    G, A = (F @ F.T / F.size for F in (features(X, net, layer), features(target, net, layer)))
    return ((G - A) ** 2).sum() / (A**2).sum()


def faint_noise(seed, height, width):
    return 0.1 * noise((1, 3, height, width), seed)


def variation(image):
    pixels = np.asarray(image).astype(np.float64)
    return np.abs(np.diff(pixels, axis=0)).mean() + np.abs(np.diff(pixels, axis=1)).mean()


# --- inverting features

KINDS = {  # a layer by name, its number, and by which factor its error falls in 30 evaluations
    "conv1_1": (0, 100),
    "relu1_1": (1, 100),
    "pool1": (4, 100),
    "conv2_1": (5, 30),
    "relu3_1": (11, 5),
    "pool2": (9, 10),
    "conv4_2": (21, 5),
}


@pytest.mark.parametrize("layer", KINDS)
def test_the_error_is_that_of_the_visible_picture_and_falls(invert, cat, net, layer):
    number, factor = KINDS[layer]
    result = invert(layer=layer, steps=30)
    P = features(normalized(cat), net, number)
    expected = features_error(normalized(result.image), P, net, number)
    assert result.errors == {layer: pytest.approx(expected, rel=1e-3)}
    start = features_error(faint_noise(0, 24, 36), P, net, number)
    assert expected < start / factor


def test_rounding_to_gray_levels_is_part_of_the_error(invert, cat, net):
    result = invert(layer="conv1_1", steps=60)
    P = features(normalized(cat), net, "conv1_1")
    before = features_error(result.picture, P, net, "conv1_1")
    assert result.errors["conv1_1"] > 1.2 * before


@pytest.mark.parametrize("layer", KINDS)
def test_the_history_begins_with_the_loss_of_the_noise(invert, cat, net, layer):
    result = invert(layer=layer, steps=8, seed=5)
    P = features(normalized(cat), net, layer)
    expected = features_error(faint_noise(5, 24, 36), P, net, layer)
    assert result.history[0].losses == {layer: pytest.approx(expected, rel=1e-4)}


@pytest.mark.parametrize("layer", ["conv1_1", "relu2_1", "pool1"])
def test_a_layer_by_number_is_the_same_as_by_name(invert, net, layer):
    number = [name for name, _ in net.named_children()].index(layer)
    by_name, by_number = invert(layer=layer), invert(layer=number)
    assert torch.equal(by_name.picture, by_number.picture)
    assert by_name.errors == by_number.errors
    assert list(by_number.errors) == [layer]
    assert by_name.settings["layers"] == by_number.settings["layers"] == [number]


@pytest.mark.parametrize("steps", [3, 4, 25])
def test_the_picture_returned_is_the_best_one_seen(cat, steps):
    """Also where the evaluations end within a line search, 3 and 4 within the first."""
    net, tried = vgg19(layers=["relu2_1"]), []

    def note(layer, given, Y):
        if Y.requires_grad:
            tried.append(given[0].detach().clone())

    hook = net[0].register_forward_hook(note)
    result = invert_features(cat, "relu2_1", image_shape=24, steps=steps, net=net)
    hook.remove()
    P = features(normalized(cat), net, "relu2_1")
    errors = [features_error(X, P, net, "relu2_1") for X in tried]
    assert len(errors) == steps
    assert min(errors) < errors[0]
    assert torch.equal(result.picture, tried[int(np.argmin(errors))])


def test_more_steps_come_closer(invert):
    errors = [invert(steps=steps).errors["relu2_1"] for steps in (6, 20, 60)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0


def test_what_it_was_asked_for_is_the_given_picture(invert, cat):
    """conv1_1 hardly loses anything: its inverse is the picture, to a few gray levels."""
    levels = np.asarray(invert(layer="conv1_1", steps=60).image).astype(float)
    off = np.abs(levels - np.asarray(cat)).mean()
    assert off < 4 < np.asarray(cat).astype(float).std() / 5


# --- sizes


def test_the_error_at_another_size_is_against_the_resized_picture(invert, cat, net):
    result = invert(image_shape=(30, 20))
    P = features(preprocess(cat, (30, 20)), net, "relu2_1")
    expected = features_error(normalized(result.image), P, net, "relu2_1")
    assert result.errors["relu2_1"] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("function", [invert_features, synthesize_texture])
def test_the_default_sizes_and_bounds_are_the_documented_ones(function):
    parameters = inspect.signature(function).parameters
    expected = (224, 200) if function is invert_features else (256, 300)
    assert (parameters["image_shape"].default, parameters["steps"].default) == expected
    assert (parameters["tv_weight"].default, parameters["seed"].default) == (0, 0)
    held = 0 if function is invert_features else 0.1
    assert parameters["range_weight"].default == held


# --- the start


def first_picture(run, **arguments):
    steps = []
    run(callback=lambda step: steps.append(step) or True, **arguments)
    return steps[0].picture


@pytest.mark.parametrize("kind", ["path", "str", "bytes", "file", "image"])
def test_it_starts_from_the_picture_that_init_is(either, kind, tmp_path):
    coffee = samples.load("coffee").resize((50, 40))
    path = tmp_path / "coffee.png"
    coffee.save(path)
    init = {
        "path": path,
        "str": str(path),
        "bytes": path.read_bytes(),
        "file": io.BytesIO(path.read_bytes()),
        "image": coffee,
    }[kind]
    assert torch.equal(first_picture(either, init=init), preprocess(coffee, (24, 36)))


def test_by_default_it_starts_from_faint_noise(either):
    assert torch.equal(first_picture(either, seed=7), faint_noise(7, 24, 36))


def test_init_changes_the_result(invert, tiles):
    assert not torch.equal(invert(init=tiles).picture, invert().picture)


@pytest.mark.parametrize("layer", ["conv1_1", "relu4_2", "pool3"])
def test_from_the_picture_itself_there_is_nothing_to_do(invert, cat, layer):
    result = invert(layer=layer, init=cat)
    assert np.array_equal(np.asarray(result.image), np.asarray(cat))
    assert result.errors[layer] == pytest.approx(0, abs=1e-9)
    assert result.history[0].loss == pytest.approx(0, abs=1e-9)
    assert result.history[-1].evaluations <= 2


# --- steps and callbacks


@pytest.mark.parametrize("steps", [1, 2, 7, 15])
def test_steps_bounds_how_often_the_gradient_is_computed(cat, steps):
    seen = []
    net = vgg19("random", layers=["relu2_1"])
    net[0].register_forward_hook(lambda layer, given, Y: seen.append(Y.requires_grad))
    result = invert_features(cat, "relu2_1", image_shape=24, steps=steps, net=net)
    assert sum(seen) == steps  # far from the minimum none is left over
    assert seen.count(False) == 2  # what is asked for, and what the visible picture has
    assert all(record.evaluations <= steps for record in result.history)
    counts = [record.evaluations for record in result.history]
    assert counts[-1] == steps
    assert counts[:-1] == sorted(set(counts[:-1]))  # the last may be a step that was undone
    assert [record.step for record in result.history] == list(range(1, len(counts) + 1))


def test_one_evaluation_leaves_the_start_as_it_is(invert, tiles):
    result = invert(init=tiles, steps=1)
    assert np.array_equal(np.asarray(result.image), np.asarray(tiles))


def test_the_losses_belong_to_the_pictures_that_steps_started_from(invert, cat, net):
    steps = []
    invert(steps=15, callback=steps.append)
    P = features(normalized(cat), net, "relu2_1")
    for step in steps:
        expected = features_error(step.picture, P, net, "relu2_1")
        assert step.loss == pytest.approx(expected, rel=1e-3)


# --- total variation


def test_total_variation_smooths_at_the_price_of_a_greater_error(invert):
    plain, smooth = (invert(layer="relu3_1", steps=50, tv_weight=weight) for weight in (0, 1.0))
    assert variation(smooth.image) < 0.6 * variation(plain.image)
    assert smooth.errors["relu3_1"] > 1.5 * plain.errors["relu3_1"]
    assert list(plain.history[0].losses) == ["relu3_1"]


def test_total_variation_smooths_a_texture(texture):
    plain, smooth = (texture(steps=40, tv_weight=weight) for weight in (0.0, 1.0))
    assert variation(smooth.image) < 0.6 * variation(plain.image)
    assert smooth.errors["relu1_1"] > 1.5 * plain.errors["relu1_1"]


def test_total_variation_is_added_with_its_weight(either):
    X = faint_noise(0, 24, 36).double().numpy()
    expected = 0.5 * (np.abs(np.diff(X, axis=2)).mean() + np.abs(np.diff(X, axis=3)).mean())
    plain, more = either(), either(tv_weight=0.25)
    losses = more.history[0].losses
    assert losses == plain.history[0].losses | {"tv": pytest.approx(0.25 * expected, rel=1e-4)}
    assert "tv" not in more.errors


# --- pixels in range


def test_the_range_loss_is_the_mean_square_of_what_is_cut_off():
    """Pixels 0.3 above white and 0.2 below black, in one color each, in 0..1."""
    pixels = np.full((1, 3, 2, 5), 0.5)
    pixels[0, 0, 0, 0], pixels[0, 1, 1, 3], pixels[0, 2, 0, 1] = 1.3, -0.2, 1.0
    X = torch.from_numpy((pixels - MEAN.reshape(3, 1, 1)) / STD.reshape(3, 1, 1))
    expected = ((0.3 / 0.229) ** 2 + (0.2 / 0.224) ** 2) / 30
    assert float(range_loss(X)) == pytest.approx(expected, rel=1e-6)
    X.requires_grad_()
    assert torch.autograd.gradcheck(range_loss, X)


def test_pictures_in_range_have_no_range_loss(cat):
    corners = Image.new("RGB", SIZE, "white")
    corners.paste("black", (0, 0, 10, 10))
    for picture in (cat, corners):
        assert float(range_loss(normalized(picture))) == pytest.approx(0, abs=1e-12)


def cut_off(X):
    """The mean square of what is lost in showing a picture, from its pixels in 0..1."""
    levels = X[0].permute(1, 2, 0).double().numpy() * STD + MEAN
    return (((levels - levels.clip(0, 1)) / STD) ** 2).mean()


@pytest.mark.parametrize("weight", [0.1, 10.0])
def test_the_range_loss_is_added_with_its_weight(either, weight):
    """At every step, of the picture it started from; the steepest ones leave the range."""
    steps = []
    either(steps=30, callback=steps.append, range_weight=weight)
    losses = [step.losses["range"] for step in steps]
    for step, loss in zip(steps, losses, strict=True):
        assert loss == pytest.approx(weight * cut_off(step.picture), rel=1e-3, abs=1e-12)
    assert losses[0] == 0
    assert max(losses) > 0


def test_a_texture_is_pushed_back_into_range(texture):
    free, held, pressed = (
        texture(layers=LAYERS, steps=40, range_weight=weight) for weight in (0, 0.1, 10)
    )
    assert cut_off(free.picture) > 1e-4
    assert cut_off(held.picture) < cut_off(free.picture) / 2
    assert cut_off(pressed.picture) < cut_off(free.picture) / 10
    assert "range" not in free.history[0].losses
    assert "range" not in held.errors


@pytest.mark.parametrize("name", ["coffee", "roundels"])
def test_a_texture_as_shown_is_nearly_the_one_that_was_optimized(name, avg):
    """What the range loss is for: less error comes from cutting pixels off.

    (Of other samples hardly anything is cut off in the first place; of the brushstrokes so little
    that where 60 steps in float32 end decides.)
    """
    sample = samples.load(name).resize((48, 48))
    target, gaps, shown = normalized(sample), [], []
    for weight in (0.0, 0.1):
        result = synthesize_texture(
            sample, LAYERS, image_shape=48, steps=60, range_weight=weight, net=avg
        )
        optimized = sum(gram_error(result.picture, target, avg, layer) for layer in LAYERS)
        shown.append(sum(result.errors.values()))
        gaps.append(shown[-1] - optimized)
    assert gaps[1] < gaps[0] / 2
    assert shown[1] < shown[0]


def test_features_are_compared_alone_unless_asked(invert):
    free, held = invert(), invert(range_weight=0.5)
    assert list(free.history[0].losses) == ["relu2_1"]
    assert list(held.history[0].losses) == ["relu2_1", "range"]


# --- textures


LAYERS = ["relu1_1", "conv2_1", "pool2", "relu3_2"]


def test_the_errors_are_those_of_gram_matrices_of_the_visible_picture(texture, tiles, avg):
    result = texture(layers=LAYERS, steps=25)
    X, target = normalized(result.image), normalized(tiles)
    assert list(result.errors) == LAYERS
    for layer in LAYERS:
        expected = gram_error(X, target, avg, layer)
        assert result.errors[layer] == pytest.approx(expected, rel=1e-3), layer
        assert expected < 0.5 * gram_error(faint_noise(0, 24, 36), target, avg, layer), layer


def test_the_loss_is_the_mean_over_layers(texture, tiles, avg):
    losses = texture(layers=LAYERS, seed=2).history[0].losses
    target, X = normalized(tiles), faint_noise(2, 24, 36)
    assert losses == {
        layer: pytest.approx(gram_error(X, target, avg, layer) / len(LAYERS), rel=1e-4)
        for layer in LAYERS
    } | {"range": 0}


def test_a_layer_named_twice_counts_twice(texture, tiles, avg):
    """The mean over layers of the relative error; the same layer by name and by number."""
    target, X = normalized(tiles), faint_noise(0, 24, 36)
    once, other = (gram_error(X, target, avg, layer) for layer in ("relu1_1", "pool2"))
    total = texture(layers=["relu1_1", 1, "pool2"]).history[0].loss
    assert total == pytest.approx((2 * once + other) / 3, rel=1e-4)


@pytest.mark.parametrize("layer", ["relu1_1", "conv1_2", "pool1", 6])
def test_one_layer_is_enough(texture, tiles, avg, layer):
    result = texture(layers=[layer], steps=30)
    name = layer if isinstance(layer, str) else "relu2_1"
    expected = gram_error(normalized(result.image), normalized(tiles), avg, layer)
    assert result.errors == {name: pytest.approx(expected, rel=1e-3)}


def test_the_gram_error_falls_ten_times_in_few_steps(texture, tiles, avg):
    result = texture(steps=20)
    X, target = normalized(result.image), normalized(tiles)
    start = gram_error(faint_noise(0, 24, 36), target, avg, "relu1_1")
    assert start > 0.1
    assert gram_error(X, target, avg, "relu1_1") < start / 10


@pytest.mark.parametrize(
    ("image_shape", "texture_shape", "given"),
    [
        ((40, 24), None, (24, 36)),  # the shorter sides are the same
        ((20, 50), None, (20, 30)),
        (32, None, (32, 48)),
        ((40, 24), 16, (16, 24)),
        ((32, 32), (40, 28), (40, 28)),
        (16, 40, (40, 60)),
    ],
    ids=str,
)
def test_the_texture_may_have_another_size(
    texture, tiles, avg, image_shape, texture_shape, given
):
    layers = ["relu1_1", "pool2"]
    result = texture(
        layers=layers, image_shape=image_shape, texture_shape=texture_shape, steps=15
    )
    height, width = (
        image_shape if isinstance(image_shape, tuple) else (image_shape, image_shape * 3 // 2)
    )
    assert result.image.size == (width, height)
    target, start = preprocess(tiles, given), faint_noise(0, height, width)
    for layer in layers:
        expected = gram_error(normalized(result.image), target, avg, layer)
        assert result.errors[layer] == pytest.approx(expected, rel=1e-3), layer
        assert 2 * result.history[0].losses[layer] == pytest.approx(
            gram_error(start, target, avg, layer), rel=1e-4
        )


@pytest.mark.parametrize("color", [(200, 30, 60), (128, 128, 128), (0, 0, 0)], ids=str)
def test_a_texture_without_any_texture_stays_one(texture, color):
    """From a picture of strong contrasts; at the border the features see zeros as well."""
    result = texture(
        Image.new("RGB", SIZE, color),
        ["relu1_1", "pool1", "pool2"],
        image_shape=(32, 32),
        init=samples.load("chelsea"),
        steps=80,
    )
    inside = np.asarray(result.image).astype(float)[6:-6, 6:-6]
    before = np.asarray(samples.load("chelsea").resize((32, 32))).astype(float)[6:-6, 6:-6]
    assert inside.mean(axis=(0, 1)) == pytest.approx(np.array(color), abs=8)
    assert inside.std(axis=(0, 1)).max() < before.std(axis=(0, 1)).min() / 2
    assert max(result.errors.values()) < 0.1


# --- networks


def test_the_default_networks_are_the_documented_ones(invert, texture):
    for run in (invert, texture):
        given, default = run(), run(net=None)
        assert torch.equal(given.picture, default.picture)
        assert given.errors == default.errors


def test_a_texture_is_of_average_pooling_by_default(texture, tiles, net):
    result = texture(layers=["pool1"], net=None)
    by_max = texture(layers=["pool1"], net=net)
    assert result.errors["pool1"] != pytest.approx(by_max.errors["pool1"], rel=0.05)


@pytest.mark.parametrize("layer", ["relu1", "pool1", "fire3", 6])
def test_another_network_may_be_given(cat, layer):
    net = squeezenet1_1("random")
    result = invert_features(cat, layer, image_shape=(33, 48), steps=20, net=net)
    P = features(preprocess(cat, (33, 48)), net, layer)
    expected = features_error(normalized(result.image), P, net, layer)
    name = layer if isinstance(layer, str) else "fire4"
    assert result.errors == {name: pytest.approx(expected, rel=1e-3)}
    assert expected < 0.7 * features_error(faint_noise(0, 33, 48), P, net, layer)


def test_a_texture_of_another_network(tiles):
    net = squeezenet1_1("random", layers=["fire2"])
    layers = ["relu1", "fire2"]
    result = synthesize_texture(tiles, layers, image_shape=(40, 33), steps=20, net=net)
    target = preprocess(tiles, 33)
    for layer in layers:
        expected = gram_error(normalized(result.image), target, net, layer)
        assert result.errors[layer] == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("function", [invert_features, synthesize_texture])
def test_a_layer_that_is_silent_is_refused(function, cat):
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).requires_grad_(False)
    net[0].weight.zero_()
    net[0].bias.fill_(-1)
    layer = "1" if function is invert_features else ["0", "1"]
    with pytest.raises(InputError, match="the target are all 0"):
        function(cat, layer, image_shape=24, steps=5, net=net)
    net[0].bias.fill_(1)  # alive again; only now it does not depend on the picture
    with torch.no_grad():
        net[0].weight[0, 0, 1, 1] = 1
    assert function(cat, layer, image_shape=24, steps=5, net=net).image.size == SIZE


@pytest.mark.parametrize("steps", [3, 60])
def test_an_error_that_is_not_finite_is_a_divergence_however_few_the_steps(either, steps):
    net = vgg19("random", layers=["relu2_1"])
    net[0].weight.fill_(math.nan)
    with pytest.raises(DivergenceError):
        either(net=net, steps=steps)


# --- settings and files


def test_settings_are_enough_to_make_it_again(invert, texture, cat, tiles):
    first = invert(seed=8, tv_weight=0.1, image_shape=(20, 28), steps=9, init="noise")
    settings = json.loads(json.dumps(first.settings))
    again = invert(
        cat,
        settings["layers"][0],
        **{k: settings[k] for k in ("seed", "tv_weight", "image_shape", "init", "device")},
        steps=settings["steps"],
    )
    assert torch.equal(again.picture, first.picture)
    first = texture(
        layers=["pool1", 0], image_shape=(20, 28), texture_shape=18, steps=9, range_weight=2
    )
    settings = json.loads(json.dumps(first.settings))
    assert settings["layers"] == [4, 0]
    again = texture(
        tiles,
        settings["layers"],
        **{
            k: settings[k]
            for k in ("seed", "texture_shape", "image_shape", "init", "range_weight")
        },
        steps=settings["steps"],
    )
    assert torch.equal(again.picture, first.picture)


def test_settings_name_a_picture_by_its_path_or_kind(invert, cat, tmp_path):
    cat.save(tmp_path / "cat.png")
    named = invert(tmp_path / "cat.png", init=str(tmp_path / "cat.png")).settings
    assert named["image"] == named["init"] == str(tmp_path / "cat.png")
    other = invert(cat, init=(tmp_path / "cat.png").read_bytes()).settings
    assert (other["image"], other["init"]) == ("<Image>", "<bytes>")


def test_settings_tell_max_and_average_pooling_apart(invert):
    """ "What is needed to make it again": the two have the same weights, but not pictures."""
    by_max, by_mean = (
        invert(net=vgg19("random", layers=["relu2_1"], pooling=pooling))
        for pooling in ("max", "avg")
    )
    assert not torch.equal(by_max.picture, by_mean.picture)
    assert by_max.settings != by_mean.settings


def test_a_result_whose_only_step_was_undone_can_be_saved(invert, tmp_path):
    result = invert(steps=1)
    (only,) = result.history
    record = json.loads((tmp_path / f"{result.save(tmp_path / 'a.png')}.json").read_text())
    assert (record["steps_made"], record["losses_of_last_step"]) == (1, only.losses)
    assert record["errors"] == result.errors


# --- what is refused


def test_a_picture_too_small_for_the_layer_is_refused(invert, texture):
    with pytest.raises(InputError, match="too small"):
        invert(layer="pool4", image_shape=(15, 40))
    assert invert(layer="pool4", image_shape=(16, 40), steps=2).image.size == (40, 16)
    with pytest.raises(InputError, match="too small"):
        texture(layers=["relu1_1", "pool3"], image_shape=(16, 7), texture_shape=16)
    with pytest.raises(InputError, match="too small"):
        texture(layers=["relu1_1", "pool3"], image_shape=16, texture_shape=(16, 7))
    small = texture(layers=["relu1_1", "pool3"], image_shape=(16, 8), steps=2)
    assert small.image.size == (8, 16)
