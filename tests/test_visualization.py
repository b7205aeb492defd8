import numpy as np
import pytest
import torch
from PIL import ImageOps
from scipy import ndimage
from torch import nn
from torch.nn import functional
from toys import MEAN, STD, Colors, Linear, chance, normalized

from stylelib import (
    VisualizationResult,
    channel_visualization,
    channel_visualizations,
    class_names,
    class_visualization,
    class_visualizations,
    samples,
    vgg19,
)
from stylelib.sees.storages import Fourier, Pixels
from stylelib.sees.transformations import Blur, Clamp, Jitter, Noise, Rotate, Scale

LOWEST, HIGHEST = (
    torch.from_numpy((bound - MEAN) / STD).float().view(3, 1, 1) for bound in (0, 1)
)


@pytest.fixture(scope="module")
def short_net():
    return vgg19(layers=["conv3_1"])


def random_pictures(count=2, height=12, width=18, seed=0):
    return torch.rand(count, 3, height, width, generator=chance(seed), dtype=torch.float64)


@pytest.fixture
def linear():
    return Linear(1 / 10, seed=3).eval()


def visualize(targets, model, **settings):
    settings = {"image_shape": 32, "steps": 5, "transformations": ()} | settings
    return class_visualizations(targets, model, **settings)


# --- storage


def waves_by_hand(storage, height, width, finest=0.3):
    """The documented sum of waves, in NumPy, wave by wave: pixels in 0..1, (N, 3, H, W)."""
    parameter = storage.parameter.detach().double().numpy()
    opponents = np.array([[1, 1, 1], [1, 0, -1], [-1, 2, -1]], dtype=float)
    opponents /= np.linalg.norm(opponents, axis=1, keepdims=True)
    opponents *= np.array([1, 0.35, 0.15])[:, None]
    down, across = np.mgrid[:height, :width]
    waves = np.zeros((*parameter.shape[:2], height, width))
    for i in range(height):
        for j in range(width // 2 + 1):
            fy, fx = (i if i < (height + 1) // 2 else i - height) / height, j / width
            frequency = np.sqrt(fx**2 + fy**2)
            scale = 0.25 / max(frequency, 1 / max(height, width))
            scale *= np.exp(-((frequency / finest) ** 2))
            number = (parameter[:, :, i, j, 0] + 1j * parameter[:, :, i, j, 1]) * scale
            turn = np.exp(2j * np.pi * (fy * down + fx * across))
            twice = 1 if j == 0 or 2 * j == width else 2  # the other half of the spectrum
            waves += twice * (number[:, :, None, None] * turn).real
    waves /= np.sqrt(height * width)
    rgb = np.zeros_like(waves)
    for color in range(3):
        for opponent in range(3):
            rgb[:, color] += waves[:, opponent] * opponents[opponent, color]
    return 1 / (1 + np.exp(-rgb))


@pytest.mark.parametrize("shape", [(6, 8), (5, 7), (8, 5), (7, 6)], ids=str)
@pytest.mark.parametrize("finest", [0.1, None])
def test_a_picture_is_a_sum_of_waves(shape, finest):
    storage = Fourier(2, shape, seed=4, finest=finest)
    with torch.no_grad():
        storage.parameter.mul_(100)  # the noise at the start is faint
        storage.parameter[1] += 3
    by_hand = waves_by_hand(storage, *shape, finest=finest or np.inf)
    expected = (by_hand - MEAN[:, None, None]) / STD[:, None, None]
    pictures = storage.pictures(storage.parameter)
    assert pictures.shape == (2, 3, *shape)
    assert pictures.detach().std() > 0.1
    assert np.abs(pictures.detach().numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("shape", [(4, 5), (5, 4)], ids=str)
def test_gradients_flow_through_the_waves(shape):
    """By finite differences of the sum in NumPy."""
    storage = Fourier(1, shape)
    with torch.no_grad():
        storage.parameter.mul_(50)
    weight = np.random.default_rng(0).normal(size=(1, 3, *shape))
    (torch.from_numpy(weight).float() * storage.pictures(storage.parameter)).sum().backward()

    def total(move):
        shifted = Fourier(1, shape)
        shifted.parameter = storage.parameter.detach().double() + move
        return (weight * waves_by_hand(shifted, *shape) / STD[:, None, None]).sum()

    gradient = storage.parameter.grad
    for place in np.ndindex(*gradient.shape):
        move = torch.zeros(gradient.shape, dtype=torch.float64)
        move[place] = 1e-5
        expected = (total(move) - total(-move)) / 2e-5
        assert float(gradient[place]) == pytest.approx(expected, rel=1e-3, abs=1e-5), place
    assert (gradient[..., 0] != 0).all()


@pytest.mark.parametrize("kind", [Fourier, Pixels])
def test_the_start_is_faint_seeded_noise(kind):
    state = torch.get_rng_state()
    first, again, other = (kind(2, (33, 48), seed) for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), state)
    assert first.parameter.is_leaf
    assert first.parameter.requires_grad
    assert torch.equal(first.pictures(first.parameter), again.pictures(again.parameter))
    assert not torch.equal(first.pictures(first.parameter), other.pictures(other.parameter))
    X = first.pictures(first.parameter).detach()
    assert X.shape == (2, 3, 33, 48)
    # alone or among others: the same start, but for the last bits of the Fourier transform
    assert torch.allclose(X[0], X[1], rtol=0, atol=0 if kind is Pixels else 1e-6)
    assert 0 < float(X.std(dim=(0, 2, 3)).max()) < 0.3


def test_waves_stay_strictly_between_black_and_white_and_pixels_are_free():
    storage = Fourier(1, (16, 16))
    with torch.no_grad():
        storage.parameter.mul_(300)
    X = storage.pictures(storage.parameter)
    assert (X > LOWEST).all()
    assert (X < HIGHEST).all()
    assert float(X.detach().amax() - X.detach().amin()) > 2
    with torch.no_grad():
        storage.parameter.mul_(1e6)
    X = storage.pictures(storage.parameter)
    assert (X >= LOWEST - 1e-5).all()
    assert (X <= HIGHEST + 1e-5).all()
    pixels = Pixels(1, (16, 16))
    assert pixels.pictures(pixels.parameter) is pixels.parameter


# --- transformations


def test_noise_is_normal_the_same_for_all_and_of_any_strength_up_to_the_highest():
    X, generator = random_pictures(2, 40, 50), chance(1)
    strengths = []
    for _ in range(200):
        added = Noise(0.5)(X, generator) - X
        assert torch.allclose(added[0], added[1], atol=1e-12)
        strengths.append(float(added[0].std()))
    assert float(added.mean().abs()) < 0.02
    # even on 0..0.5: its mean within four standard errors, no gap at either end
    assert abs(np.mean(strengths) - 0.25) < 4 * 0.5 / np.sqrt(12 * 200)
    assert min(strengths) < 0.03
    assert 0.47 < max(strengths) < 0.52
    assert torch.equal(Noise(0.0)(X, generator), X)


@pytest.mark.parametrize("most", [1, 3])
def test_jitter_rolls_by_every_shift_up_to_its_own(most):
    X, generator, drawn = random_pictures(), chance(), set()
    for _ in range(200):
        Y = Jitter(most)(X, generator).numpy()
        shifts = [
            (down, across)
            for down in range(-most, most + 1)
            for across in range(-most, most + 1)
            if np.array_equal(Y, np.roll(X.numpy(), (down, across), axis=(2, 3)))
        ]
        assert len(shifts) == 1
        drawn.update(shifts)
    for axis in (0, 1):
        assert {shift[axis] for shift in drawn} == set(range(-most, most + 1))


def test_jitter_of_nothing_is_the_identity():
    X = random_pictures()
    assert torch.equal(Jitter(0)(X, chance()), X)


@pytest.mark.parametrize(
    ("factor", "shape"), [(0.5, (50, 61)), (1.0, (100, 122)), (1.25, (125, 152))]
)
def test_scale_changes_the_size_by_its_factor(factor, shape):
    X = torch.rand(1, 3, 100, 122, generator=chance())
    Y = Scale(factor, factor)(X, chance())
    assert Y.shape == (1, 3, *shape)
    if factor == 1:
        assert torch.allclose(Y, X, atol=1e-6)


def test_scale_draws_evenly_between_its_bounds():
    X, generator = torch.zeros(1, 3, 1000, 500), chance()
    shapes = [Scale(0.5, 1.5)(X, generator).shape[2:] for _ in range(40)]
    factors = np.array([height / 1000 for height, _ in shapes])
    assert 0.5 <= factors.min() < 0.65
    assert 1.35 < factors.max() <= 1.5
    assert abs(factors.mean() - 1) < 0.15
    assert all(abs(width - height / 2) <= 1 for height, width in shapes)


def test_scale_keeps_a_slope_a_slope():
    slope = torch.arange(64.0).expand(1, 3, 64, 64)
    Y = Scale(0.5, 0.5)(slope, chance())
    expected = 2 * torch.arange(32.0) + 0.5  # the middles of two pixels each
    assert (Y[0, 0, 5, 2:-2] - expected[2:-2]).abs().max() < 1e-4


@pytest.mark.parametrize("shape", [(15, 15), (16, 25), (25, 16)], ids=str)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rotate_turns_about_the_middle(shape, seed):
    """By SciPy, bilinear as well; a picture that is not square stays undistorted."""
    X = random_pictures(2, *shape, seed=9)
    angle = 40 * (2 * float(torch.rand((), generator=chance(seed))) - 1)
    assert abs(angle) > 3
    Y = Rotate(40)(X, chance(seed)).numpy()
    errors = [
        np.abs(
            Y
            - ndimage.rotate(
                X.numpy(), turn, axes=(2, 3), reshape=False, order=1, mode="reflect"
            )
        ).max()
        for turn in (angle, -angle)
    ]
    assert min(errors) < 1e-6 < 0.1 < max(errors)


def test_rotate_by_nothing_is_the_identity():
    X = random_pictures()
    assert torch.allclose(Rotate(0)(X, chance()), X, atol=1e-12)


def test_rotate_goes_either_way_and_not_beyond():
    """A ramp that rises to the right, turned, rises along the angle."""
    X, generator, angles = torch.arange(41.0).expand(1, 3, 41, 41), chance(), []
    for _ in range(60):
        Y = Rotate(10)(X, generator)[0, 0, 15:26, 15:26]
        slopes = float(Y.diff(dim=0).mean()), float(Y.diff(dim=1).mean())
        angles.append(np.degrees(np.arctan2(*slopes)))
        assert np.hypot(*slopes) == pytest.approx(1, abs=1e-3)
    assert -10.01 < min(angles) < -7
    assert 7 < max(angles) < 10.01


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1, 1.5, 2.5])
def test_blur_is_that_of_scipy(sigma):
    """SciPy cuts its Gauss off at a radius too; ours is three standard deviations, rounded."""
    X = random_pictures(2, 20, 26)
    radius = max(1, round(3 * sigma))
    expected = [
        [ndimage.gaussian_filter(plane, sigma, mode="nearest", radius=radius) for plane in each]
        for each in X.numpy()
    ]
    Y = Blur(sigma)(X, chance())
    assert Y.shape == X.shape
    assert np.abs(Y.numpy() - np.array(expected)).max() < 1e-12


def test_clamp_cuts_at_black_and_white():
    X = 3 * torch.randn(2, 3, 9, 9, generator=chance())
    X.requires_grad_()
    Y = Clamp()(X, chance())
    pixels = np.clip(X.detach().double().numpy().transpose(0, 2, 3, 1) * STD + MEAN, 0, 1)
    expected = ((pixels - MEAN) / STD).transpose(0, 3, 1, 2)
    assert np.abs(Y.detach().numpy() - expected).max() < 1e-5
    Y.sum().backward()
    inside = (X > LOWEST) & (X < HIGHEST)
    assert torch.equal(X.grad, inside.float())
    assert 0.2 < inside.float().mean() < 0.8


@pytest.mark.parametrize("each", [Jitter(5), Scale(0.8, 1.1), Rotate(20), Blur(1.0)], ids=repr)
def test_transformations_are_the_same_for_all_pictures_and_differentiable(each):
    X = torch.rand(3, 3, 40, 44, generator=chance()).requires_grad_()
    Y = each(X, chance(2))
    for n in range(3):
        assert torch.allclose(Y[n : n + 1], each(X[n : n + 1], chance(2)), atol=1e-6)
    Y.sum().backward()
    assert (X.grad != 0).float().mean() > 0.95


# --- the objective


@pytest.mark.parametrize("storage", ["pixels", "fourier"])
def test_the_picture_moves_along_the_weights_of_its_class(linear, storage):
    results = visualize([0, 2], linear, storage=storage, steps=20)
    start = linear.seen[0]
    for n, (target, result) in enumerate(zip((0, 2), results, strict=True)):
        moved = (result.picture - start[n]).flatten()
        along = [float(moved @ linear.weight[k].flatten()) for k in range(4)]
        assert along[target] > 1
        assert along[target] == max(along)


def test_one_step_of_adam_goes_by_the_sign_of_the_gradient(linear):
    """Adam's first step is lr times the gradient's sign: up the score, down the penalty."""
    lr = 0.03
    for l2, rows in ((0.0, linear.weight[[1, 3]]), (100.0, None)):
        linear.seen.clear()
        results = visualize([1, 3], linear, storage="pixels", steps=1, lr=lr, l2=l2)
        start = linear.seen[0]
        slope = linear.weight[[1, 3]] - 2 * l2 * start if rows is None else rows
        clear = slope.abs() > 1e-3
        moved = torch.cat([result.picture for result in results]) - start
        assert (moved - lr * slope.sign())[clear].abs().max() < 1e-4
        assert clear.float().mean() > 0.9


@pytest.mark.parametrize("l2", [0, 0.02])
@pytest.mark.parametrize("storage", ["pixels", "fourier"])
def test_the_loss_is_the_penalty_minus_the_score(linear, storage, l2):
    """By a spy in the network: without transformations it sees the pictures themselves."""
    (first, second) = visualize([1, 2], linear, storage=storage, steps=4, l2=l2)
    assert first.history == second.history
    assert [record.step for record in first.history] == [1, 2, 3, 4]
    for record, X in zip(first.history, linear.seen, strict=False):
        X, weight = X.double().numpy(), linear.weight.double().numpy()
        score = (X[0] * weight[1]).sum() + (X[1] * weight[2]).sum()
        assert record.losses["response"] == pytest.approx(-score, rel=1e-4, abs=1e-4)
        if l2:
            assert record.losses["l2"] == pytest.approx(l2 * (X**2).sum(), rel=1e-4)
        assert record.losses.keys() == ({"response", "l2"} if l2 else {"response"})


def test_the_penalty_is_of_the_picture_before_transformations(linear):
    def darken(X, generator):
        return X * 0 - 1

    (result,) = visualize([1], linear, storage="pixels", steps=1, l2=0.5)
    (other,) = visualize(
        [1], linear, storage="pixels", steps=1, l2=0.5, transformations=[darken]
    )
    assert other.history[0].losses["l2"] == result.history[0].losses["l2"]
    assert torch.equal(linear.seen[-2], torch.full((1, 3, 32, 32), -1.0))


def test_transformations_happen_in_their_order(linear):
    order = []

    def note(name):
        def transformation(X, generator):
            order.append((name, float(torch.rand((), generator=generator))))
            return X + 1 if name == "add" else X * 2

        return transformation

    results = visualize(
        [1], linear, storage="pixels", steps=2, transformations=[note("add"), note("double")]
    )
    start = 0.1 * torch.randn(1, 3, 32, 32, generator=chance(0))
    assert [name for name, _ in order] == ["add", "double"] * 2
    assert len({number for _, number in order}) == 4
    assert torch.allclose(linear.seen[0], (start + 1) * 2, atol=1e-6)
    assert len(results[0].settings["transformations"]) == 2


@pytest.mark.parametrize("storage", ["pixels", "fourier"])
def test_a_penalty_makes_the_picture_smaller(linear, storage):
    sizes = [
        float(visualize([1], linear, storage=storage, l2=l2, steps=30)[0].picture.norm())
        for l2 in (0, 0.05, 1.0)
    ]
    assert sizes[0] > 1.2 * sizes[1] > 1.2 * 1.2 * sizes[2]


def test_the_picture_is_visible_and_what_the_image_shows(linear):
    (result,) = visualize([1], linear, storage="pixels", steps=60, lr=0.5)
    X = result.picture
    assert isinstance(result, VisualizationResult)
    assert X.shape == (1, 3, 32, 32)
    assert not X.requires_grad
    assert (X >= LOWEST).all()
    assert (X <= HIGHEST).all()
    assert (X == LOWEST).any()
    assert (normalized(result.image) - X).abs().max() <= 0.5 / 255 / STD.min() + 1e-5
    scores = (X.double()[0] * linear.weight.double()).sum(dim=(1, 2, 3))
    every = torch.cat([scores, torch.zeros(996)]).softmax(dim=0)
    assert result.response == pytest.approx(float(every[1]), rel=1e-3)
    assert result.target == class_names()[1]


# --- results and settings


def test_one_class_by_name_is_the_same_as_a_list_of_one(linear):
    name = class_names()[3]
    one = class_visualization(name, linear, image_shape=32, steps=3, transformations=())
    (other,) = visualize([3], linear, steps=3)
    assert torch.equal(one.picture, other.picture)
    assert one.target == other.target == name


def test_the_callback_sees_the_picture_not_the_waves_it_is_stored_as(linear):
    steps = []
    visualize([1], linear, callback=steps.append)
    start = Fourier(1, (32, 32))
    assert torch.equal(steps[0].picture, start.pictures(start.parameter).detach())


@pytest.mark.parametrize("storage", ["fourier", "pixels"])
def test_a_picture_is_the_same_alone_and_among_others(storage):
    settings = {
        "storage": storage,
        "transformations": [Jitter(3), Scale(1.0, 1.3), Noise(0.5)],
        "steps": 4,
    }
    model = Colors().eval()
    alone = visualize([3], model, **settings)[0]
    others = visualize([1, 3, 2], model, **settings)
    assert torch.allclose(alone.picture, others[1].picture, atol=1e-5)
    assert alone.settings == others[1].settings
    assert not torch.allclose(alone.picture, others[0].picture, atol=1e-2)


def test_targets_and_channels_may_be_arrays(linear, short_net):
    names = [result.target for result in visualize(torch.tensor([1, 2]), linear, steps=1)]
    assert names == [class_names()[1], class_names()[2]]
    (result,) = channel_visualizations(
        "conv1_1", np.array([5]), net=short_net, image_shape=32, steps=1
    )
    assert result.target == "conv1_1:5"


def test_a_network_without_parameters_will_do():
    class Means(nn.Module):
        def forward(self, X):
            return functional.pad(X.mean(dim=(2, 3)), (0, 997))

    (result,) = visualize([0], Means().eval(), storage="pixels", steps=40)
    red, green, _ = result.picture[0].mean(dim=(1, 2)).tolist()
    assert red > 1
    assert abs(green) < 0.2


@pytest.mark.parametrize("shape", [(32, 40), [40, 33], 36], ids=str)
def test_shapes_are_height_and_width_or_a_side(short_net, shape):
    size = (36, 36) if shape == 36 else (shape[1], shape[0])
    result = channel_visualization(
        "conv1_1", 3, net=short_net, image_shape=shape, steps=2, transformations=()
    )
    assert result.image.size == size
    assert list(result.settings["image_shape"]) == [size[1], size[0]]


# --- the real classifier


def test_the_classifier_is_sure_of_its_pictures_also_in_another_light(model):
    names = ["hummingbird", "espresso"]
    results = class_visualizations(names, model, image_shape=128, steps=96)
    assert [result.target for result in results] == names
    for name, result in zip(names, results, strict=True):
        image, index = result.image, class_names().index(name)
        levels = np.asarray(image).astype(float)
        noise = np.random.default_rng(0).normal(0, 4, levels.shape)
        seen = {
            "as it is": levels,
            "mirrored": ImageOps.mirror(image),
            "contrast": 127.5 + 0.7 * (levels - 127.5),
            "noise": (levels + noise).clip(0, 255),
        }
        for change, picture in seen.items():
            with torch.no_grad():
                p = model(normalized(picture))[0].softmax(dim=0)
            assert int(p.argmax()) == index, (name, change)
            assert float(p[index]) >= 0.99, (name, change)
        assert result.response >= 0.99
    off = (results[0].picture - results[1].picture).abs().mean()
    assert float(off) > 0.2


# --- channels


def response_of(net, layer, channel, X):
    """The mean of a channel, by running the layers one after another."""
    with torch.no_grad():
        for name, module in net.named_children():
            X = module(X)
            if name == layer:
                return float(X[0, channel].mean())
    raise AssertionError(layer)


def test_a_channel_responds_more_than_to_noise_and_to_photographs(short_net):
    layer, channels = "conv3_1", [7, 100]
    results = channel_visualizations(
        layer, channels, net=short_net, image_shape=64, steps=40, seed=2
    )
    storage = Fourier(2, (64, 64), seed=2)
    start = storage.pictures(storage.parameter).detach()
    for n, (channel, result) in enumerate(zip(channels, results, strict=True)):
        expected = response_of(short_net, layer, channel, result.picture)
        assert result.response == pytest.approx(expected, rel=1e-3)
        shown = response_of(short_net, layer, channel, normalized(result.image))
        assert result.target == f"{layer}:{channel}"
        others = [start[n : n + 1]] + [
            normalized(samples.load(name).resize((64, 64)))
            for name in ("astronaut", "chelsea", "coffee", "rocket")
        ]
        for X in others:
            assert shown > response_of(short_net, layer, channel, X) + 0.5


def test_the_default_network_is_vgg19_up_to_the_layer(short_net):
    settings = {"image_shape": 32, "steps": 2}
    given = channel_visualization("conv2_1", 5, net=short_net, **settings)
    default = channel_visualization("conv2_1", 5, **settings)
    by_number = channel_visualization(5, 5, **settings)
    assert torch.allclose(given.picture, default.picture, atol=1e-6)
    assert torch.equal(by_number.picture, default.picture)
    assert by_number.target == "conv2_1:5"


def test_the_first_loss_is_minus_the_mean_of_each_channel(short_net):
    results = channel_visualizations(
        "conv1_2",
        [3, 3, 60],
        net=short_net,
        image_shape=32,
        steps=1,
        storage="pixels",
        transformations=(),
    )
    start = Pixels(3, (32, 32)).parameter.detach()
    means = [
        response_of(short_net, "conv1_2", channel, start[n : n + 1])
        for n, channel in enumerate((3, 3, 60))
    ]
    assert results[0].history[0].losses == {"response": pytest.approx(-sum(means), rel=1e-3)}
