import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
import torch

from stylelib import (
    D2L_WEIGHTS,
    EMBEDDED_WEIGHTS,
    FULL,
    QUICK,
    RECIPES,
    DivergenceError,
    Interrupted,
    LBFGSDescent,
    LossWeights,
    Profile,
    postprocess,
    preprocess,
    profile,
    samples,
    transfer,
)
from stylelib.style_transfer import LIGHT, TINY

CONTENT, STYLE = samples.path("chelsea"), samples.path("mosaic")


@pytest.fixture
def tiny(net):
    """`transfer` by "d2l" of two files, small and short; arguments replace or add to that."""

    def run(content=CONTENT, style=STYLE, **arguments):
        return transfer(
            content,
            style,
            **{"recipe": "d2l", "image_shape": (24, 36), "steps": 3, "net": net} | arguments,
        )

    return run


def test_the_style_may_have_another_size(tiny, net):
    same, other = tiny(), tiny(style_shape=(60, 40))
    assert other.image.size == same.image.size == (36, 24)
    assert not torch.equal(other.picture, same.picture)
    # what the first step of a style of this size must start from, without transfer's own code
    X, Y = (
        preprocess(samples.load("chelsea"), (24, 36)),
        preprocess(samples.load("mosaic"), (60, 40)),
    )
    style = 0.0
    with torch.no_grad():
        for index in range(29):
            X, Y = net[index](X), net[index](Y)
            if index in (0, 5, 10, 19, 28):
                A, B = X[0].flatten(1), Y[0].flatten(1)
                style += 1e4 * float(
                    (A @ A.T / A.numel() - B @ B.T / B.numel()).square().mean()
                )
    assert tiny(style_shape=(60, 40), precision="float32").history[0].losses[
        "style"
    ] == pytest.approx(style, rel=1e-4)


def test_transfer_draws_nothing_from_the_global_generator(tiny):
    before = torch.get_rng_state()
    tiny(init="noise", image_shape=(32, 48), scales=2)
    assert torch.equal(torch.get_rng_state(), before)


def start_of(run, **arguments):
    steps = []
    run(steps=1, callback=steps.append, **arguments)
    return steps[0].picture


def test_noise_is_faint_and_around_the_mean_color(tiny):
    X = start_of(tiny, init="noise", image_shape=(64, 64))[0].double().numpy()
    assert X.mean(axis=(1, 2)) == pytest.approx([0] * 3, abs=5 * 0.1 / 64)
    assert X.std(axis=(1, 2)) == pytest.approx([0.1] * 3, rel=0.05)
    spread = X.std() * np.mean([0.229, 0.224, 0.225]) * 255
    assert 5 < spread < 7  # gray levels, as the docstring says


@pytest.mark.parametrize("init", ["content", "style", "path", "str", "bytes", "image"])
def test_training_starts_from_what_init_says(tiny, init):
    coffee = samples.path("coffee")
    given = {
        "path": coffee,
        "str": str(coffee),
        "bytes": coffee.read_bytes(),
        "image": samples.load("coffee"),
    }
    expected = {"content": "chelsea", "style": "mosaic"}.get(init, "coffee")
    X = start_of(tiny, init=given.get(init, init))
    assert torch.equal(X, preprocess(samples.load(expected), (24, 36)))


def test_training_starts_from_the_content_by_default(tiny):
    assert torch.equal(start_of(tiny), preprocess(samples.load("chelsea"), (24, 36)))


@pytest.mark.parametrize(("asked", "scales"), [(4, 1), (5, 2), (7, 3), (2, 2)])
def test_history_counts_every_step_across_scales(tiny, asked, scales):
    steps = []
    result = tiny(image_shape=(64, 80), steps=asked, scales=scales, callback=steps.append)
    assert [record.step for record in result.history] == list(range(1, asked + 1))
    assert [step.step for step in steps] == list(range(1, asked + 1))
    assert [step.seconds for step in steps] == [record.seconds for record in result.history]
    assert [step.losses for step in steps] == [record.losses for record in result.history]
    seconds = [0.0] + [record.seconds for record in result.history]
    assert all(a < b for a, b in itertools.pairwise(seconds))
    assert result.image.size == (80, 64)


def test_each_scale_is_twice_the_one_before_and_has_its_share_of_steps(tiny):
    steps = []
    tiny(image_shape=(67, 92), steps=6, scales=3, callback=steps.append)
    sizes = [tuple(step.picture.shape[2:]) for step in steps]
    assert sizes == [(16, 23)] * 2 + [(33, 46)] * 2 + [(67, 92)] * 2


def test_a_scale_starts_from_the_picture_of_the_one_before(tiny):
    steps = []
    tiny(image_shape=(64, 96), steps=16, scales=2, init="noise", callback=steps.append)
    halved = torch.nn.functional.avg_pool2d(steps[8].picture, 2)
    last = steps[7].picture
    noise = preprocess(postprocess(steps[0].picture), (32, 48))
    # steps[7] is one step behind, and resizing is not the inverse of averaging, so near is all it can be
    assert (halved - last).abs().mean() < (noise - last).abs().mean() / 3


def test_the_loss_falls(tiny):
    history = tiny(image_shape=(32, 48), steps=20).history
    assert history[-1].loss < 0.6 * history[0].loss


def test_the_learning_rate_falls_ten_times_over_the_training_by_default(tiny):
    lrs = [record.lr for record in tiny(steps=20, lr=0.1).history]
    assert lrs == pytest.approx([0.1 * 0.8 ** (k // 2) for k in range(20)], rel=1e-12)


def test_the_learning_rate_falls_when_told(tiny):
    lrs = [record.lr for record in tiny(steps=5, lr_decay_epoch=3).history]
    assert lrs == pytest.approx([0.3, 0.3, 0.3, 0.24, 0.24], rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "inside"), [({}, True), ({"clamp": True}, True), ({"clamp": False}, False)]
)
def test_pixels_stay_visible_unless_clamp_is_off(tiny, arguments, inside):
    X = tiny(lr=1.0, **arguments).picture
    pixels = X[0].permute(1, 2, 0).numpy() * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406]
    assert bool(pixels.min() > -1e-6 and pixels.max() < 1 + 1e-6) is inside


def test_weights_and_layers_are_passed_on(tiny):
    def first_losses(**arguments):
        return tiny(steps=1, init="noise", precision="float32", **arguments).history[0].losses

    plain, heavy = (
        first_losses(weights=LossWeights(1.0, 1e4, 10.0)),
        first_losses(weights=LossWeights(3.0, 1e5, 20.0)),
    )
    factors = {"content": 3, "style": 10, "tv": 2}
    assert heavy == pytest.approx(
        {name: factors[name] * loss for name, loss in plain.items()}, rel=1e-5
    )
    bare = first_losses(content_layers=(), style_layers=["conv1_1"])
    assert bare["content"] == 0
    assert 0 < bare["style"] < plain["style"]


def test_default_weights_are_those_for_the_embedded_network(tiny):
    given, default = tiny(steps=1, weights=EMBEDDED_WEIGHTS), tiny(steps=1)
    assert default.settings["weights"] == EMBEDDED_WEIGHTS._asdict()
    assert default.history[0].losses == given.history[0].losses
    assert LossWeights() == EMBEDDED_WEIGHTS != D2L_WEIGHTS
    assert LossWeights(tv=40)._replace(tv=20) == EMBEDDED_WEIGHTS  # nothing else changes


def test_the_network_is_made_where_none_is_given(tiny):
    few = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1"], "steps": 2}
    assert torch.equal(tiny(net=None, **few).picture, tiny(**few).picture)


def test_settings_are_enough_to_make_it_again(tiny):
    result = tiny(
        steps=6,
        lr=0.2,
        lr_decay_epoch=2,
        image_shape=(40, 50),
        style_shape=48,
        weights=LossWeights(2.0, 5e3, 7.0),
        content_layers=["conv3_1"],
        style_layers=["conv1_1", "conv2_1"],
        init="noise",
        seed=5,
        scales=2,
        clamp=True,
    )
    settings = json.loads(json.dumps(result.settings))
    about = {
        name: settings.pop(name)
        for name in ("stylelib", "torch", "machine", "threads", "network", "descent")
    }
    assert about["torch"] == torch.__version__
    assert about["threads"] == torch.get_num_threads()
    assert len(about["network"]) == 16
    assert (settings["content_layers"], settings["style_layers"]) == ([10], [0, 5])
    assert settings["precision"] in ("float32", "winograd", "bfloat16")
    settings["weights"] = LossWeights(**settings["weights"])
    again = tiny(**settings)
    assert torch.equal(again.picture, result.picture)
    assert again.settings | {"image_shape": [40, 50]} == result.settings | {
        "image_shape": [40, 50]
    }


def test_settings_name_a_picture_by_its_path_or_kind(tiny):
    settings = tiny(
        samples.load("chelsea"), STYLE.read_bytes(), steps=1, init=samples.load("coffee")
    ).settings
    assert json.loads(json.dumps(settings)) | {"image_shape": (24, 36)} == settings
    assert (settings["content"], settings["style"], settings["init"]) == (
        "<Image>",
        "<bytes>",
        "<Image>",
    )
    assert tiny(steps=1).settings["content"] == str(CONTENT)


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_the_callback_can_stop_in_the_first_of_two_scales(tiny, stop):
    result = tiny(
        image_shape=(48, 64), steps=6, scales=2, callback=lambda step: step.step == stop
    )
    assert len(result.history) == stop
    assert result.image.size == (32, 24)


# at 3 it is the last step of the first scale
@pytest.mark.parametrize("number", [1, 3, 4, 6])
def test_an_interrupt_in_either_of_two_scales_gives_the_picture_so_far(tiny, number):
    def interrupt(step):
        if step.step == number:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        tiny(image_shape=(48, 64), steps=6, scales=2, callback=interrupt)
    result = caught.value.result
    assert result.image.size == ((32, 24) if number <= 3 else (64, 48))
    assert result.interrupted
    assert [record.step for record in result.history] == list(range(1, number + 1))
    assert torch.isfinite(result.picture).all()
    assert set(result.gradient_shares) == {"content", "style", "tv"}


def test_a_huge_learning_rate_diverges_with_a_finite_picture(tiny):
    with pytest.raises(DivergenceError, match=r"learning rate 1e\+30") as caught:
        tiny(lr=1e30, steps=9, lr_decay_epoch=9, clamp=False)
    error = caught.value
    assert error.picture.shape == (1, 3, 24, 36)
    assert torch.isfinite(error.picture).all()
    assert 1 <= len(error.history) < 9
    assert all(math.isfinite(record.loss) for record in error.history)


def test_a_recipe_of_ones_own_may_have_plain_weights(tiny):
    recipe = dataclasses.replace(RECIPES["d2l"], weights=(1, 1e4, 10))
    assert tiny(recipe=recipe).settings["weights"] == D2L_WEIGHTS._asdict()


def test_weights_may_be_any_three_numbers(tiny):
    assert torch.equal(tiny(weights=(1, 1e4, 10)).picture, tiny(weights=D2L_WEIGHTS).picture)


@pytest.fixture
def interrupt_when(net):
    """Ctrl-C at the first pass through the network for which a condition holds."""
    handles = []

    def set_up(condition):
        def hook(layer, inputs, output):
            if condition(inputs[0]):
                raise KeyboardInterrupt

        handles.append(net[0].register_forward_hook(hook))

    yield set_up
    for handle in handles:
        handle.remove()


@pytest.mark.parametrize(("after", "gradient"), [(2, False), (4, True)])
def test_an_interrupt_outside_the_steps_gives_the_picture_so_far(
    tiny, interrupt_when, after, gradient
):
    """While the second size is prepared; while the shares are computed at the end."""
    finished = []
    interrupt_when(lambda X: len(finished) == after and X.requires_grad is gradient)

    def run():
        return tiny(
            image_shape=(48, 64),
            steps=4,
            scales=2,
            callback=lambda step: finished.append(step.step),
        )

    if after < 4:
        with pytest.raises(Interrupted) as caught:
            run()
        result = caught.value.result
    else:
        result = run()  # all its steps were made
    assert len(result.history) == after
    assert result.gradient_shares == {}
    assert result.gradient_residual is None
    assert torch.isfinite(result.picture).all()


def test_divergence_in_the_second_scale_has_the_steps_of_both(tiny):
    calls = []

    def spoil(step):
        calls.append(step.step)
        if step.step == 4:
            with torch.no_grad():
                net_input.weight.mul_(math.nan)

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1)).requires_grad_(False)
    net_input = net[0]
    with pytest.raises(DivergenceError) as caught:
        tiny(
            steps=6,
            scales=2,
            net=net,
            content_layers=[0],
            style_layers=[0],
            callback=spoil,
        )
    assert [record.step for record in caught.value.history] == [1, 2, 3, 4] == calls
    assert caught.value.picture.shape == (1, 3, 24, 36)


def test_profiles_are_chosen_by_the_environment(monkeypatch):
    known = {"quick": QUICK, "light": LIGHT, "full": FULL, "tiny": TINY}
    for name, expected in known.items():
        monkeypatch.setenv("STYLELIB_PROFILE", name)
        assert profile() is expected
        assert str(profile()) == name
    assert str(Profile((300, 450), 400)) == "own"


@pytest.mark.filterwarnings("ignore:this processor emulates")
def test_without_a_name_the_profile_is_the_one_for_this_machine(monkeypatch):
    monkeypatch.setenv("STYLELIB_DEVICE", "cpu")
    monkeypatch.delenv("STYLELIB_PROFILE", raising=False)
    for precision, count, expected in (
        ("float32", 2, LIGHT),
        ("float32", 3, QUICK),
        ("bfloat16", 2, QUICK),
    ):
        monkeypatch.setenv("STYLELIB_PRECISION", precision)
        monkeypatch.setattr("stylelib.style_transfer.cores", lambda count=count: count)
        assert profile() is expected
    monkeypatch.setattr("stylelib.style_transfer.cores", lambda: 1)
    monkeypatch.setenv("STYLELIB_PROFILE", "auto")
    monkeypatch.setenv("STYLELIB_PRECISION", "float32")
    assert profile() is LIGHT
    gpu = torch.device("cuda")
    monkeypatch.setattr("stylelib.style_transfer.find_device", lambda _: gpu)
    assert profile() is QUICK


def test_the_full_profile_is_the_recipes():
    assert Profile((300, 450), 500) == FULL
    # quick: the same schedule, ten decays and the same ratio, shorter and smaller
    assert Profile((200, 300), 200) == QUICK
    # light: the same schedule as quick, smaller
    assert Profile((112, 168), 200) == LIGHT
    assert TINY.steps <= 10
    assert math.prod(TINY.image_shape) <= 10_000


def test_a_profile_unpacks_into_transfer(net, monkeypatch):
    monkeypatch.setenv("STYLELIB_PROFILE", "tiny")
    assert set(dict(**profile())) == {"image_shape", "steps"}
    result = transfer(CONTENT, STYLE, recipe="d2l", net=net, **profile())
    assert result.image.size == TINY.image_shape[::-1]
    expected = [0.3 * 0.8 ** (k // TINY.lr_decay_epoch) for k in range(TINY.steps)]
    assert [record.lr for record in result.history] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("content", "style"), [("astronaut", "mosaic"), ("chelsea", "brushstrokes")]
)
def test_with_the_default_weights_every_loss_has_its_share_of_the_gradient(net, content, style):
    shares = transfer(
        samples.load(content),
        samples.load(style),
        recipe="d2l",
        image_shape=(64, 96),
        steps=60,
        net=net,
    ).gradient_shares
    assert list(shares) == ["content", "style", "tv"]
    assert sum(shares.values()) == pytest.approx(1.0, abs=1e-12)
    assert min(shares.values()) > 0.002
    assert min(shares["content"], shares["style"]) > 0.2


@pytest.mark.parametrize("evaluations", range(5, 45, 3))
def test_every_record_of_a_line_search_has_losses(photo, evaluations):
    # a clamped picture is another one than the last that was tried; no evaluation may be left for it
    recipe = dataclasses.replace(
        RECIPES["coarse-to-fine"], smallest=None, descent=LBFGSDescent()
    )
    history = transfer(
        photo, samples.load("mosaic"), recipe=recipe, image_shape=32, steps=evaluations
    ).history
    assert all(set(record.losses) == {"content", "style", "tv"} for record in history)
    assert history[-1].evaluations <= evaluations
