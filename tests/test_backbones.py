import copy
import math

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from torch.nn.functional import avg_pool2d
from toys import noise

import stylelib
from stylelib import (
    FeatureExtractor,
    FileError,
    InputError,
    layer_index,
    preprocess,
    samples,
    squeezenet1_1,
    vgg19,
)

# By hand, from torchvision's numbering and table 1 of Iandola et al. (2016), whose Fire modules
# are counted from 2.
NUMBERS = {
    "conv1": 0,
    "relu1": 1,
    "pool1": 2,
    "fire2": 3,
    "fire3": 4,
    "pool3": 5,
    "fire4": 6,
    "fire5": 7,
    "pool5": 8,
    "fire6": 9,
    "fire7": 10,
    "fire8": 11,
    "fire9": 12,
}
CHANNELS = [64, 64, 64, 128, 128, 128, 256, 256, 256, 384, 384, 512, 512]
POOLINGS = {"squeezenet": (2, 5, 8), "vgg": (4, 9, 18, 27, 36)}


def reference(seed=3):
    """torchvision's model with random weights, biases among them, from a seed."""
    model = torchvision.models.squeezenet1_1(weights=None).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            spread = (2 / parameter[0].numel()) ** 0.5 if parameter.ndim == 4 else 0.1
            parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
    return model


@pytest.fixture(scope="module")
def theirs():
    return reference()


@pytest.fixture(scope="module", params=["features", "whole"])
def ours(request, theirs, tmp_path_factory):
    """Our network with their weights, from either of the two state dicts."""
    path = tmp_path_factory.mktemp("weights") / "w.pth"
    torch.save((theirs.features if request.param == "features" else theirs).state_dict(), path)
    return squeezenet1_1(path)


def outputs(layers, X):
    """Each layer's output, before an in-place layer after it could change it."""
    found = []
    with torch.no_grad():
        for layer in layers:
            X = layer(X.clone())
            found.append(X.clone())
    return found


# --- the structure of SqueezeNet 1.1


@pytest.mark.parametrize(
    "size", [(32, 32), (33, 33), (47, 47), (64, 64), (33, 64), (47, 32), (46, 35)], ids=str
)
def test_every_layer_computes_what_torchvisions_does(ours, theirs, size):
    X = noise((1, 3, *size))
    mine, expected = outputs(ours, X), outputs(theirs.features, X)
    assert len(mine) == len(expected) == 13
    for number, (Y, Z) in enumerate(zip(mine, expected, strict=True)):
        assert Y.shape == Z.shape, number
        assert float(Z.std()) > 0.05, number  # there is something to compare
        # float32, up to 13 layers: sqrt(K) 2**-24 a layer, ten times that in Winograd's way
        torch.testing.assert_close(Y, Z, rtol=1e-4, atol=1e-4 * float(Z.abs().max()))


def test_a_batch_goes_through_as_each_of_its_pictures(ours):
    ours = copy.deepcopy(ours).double()
    X = torch.cat([noise((1, 3, 40, 33), 1), noise((1, 3, 40, 33), 2)]).double()
    with torch.no_grad():
        together, apart = ours(X), [ours(X[:1]), ours(X[1:])]
    torch.testing.assert_close(together, torch.cat(apart), rtol=1e-10, atol=1e-10)
    assert not torch.allclose(apart[0], apart[1], rtol=0.1)


def test_the_gradient_on_the_picture_is_torchvisions(ours, theirs):
    gradients = []
    for features in (ours, theirs.features):
        X = noise((1, 3, 47, 33)).requires_grad_()
        features(X).square().mean().backward()
        gradients.append(X.grad)
    assert float(gradients[1].abs().max()) > 0
    torch.testing.assert_close(
        *gradients, rtol=1e-4, atol=1e-5 * float(gradients[1].abs().max())
    )


def test_what_a_layer_gave_is_not_overwritten_by_the_next(ours):
    X, found = noise((1, 3, 48, 48)), []
    Y = X
    with torch.no_grad():
        for layer in ours:
            before = Y.clone()
            Z = layer(Y)
            assert torch.equal(Y, before)
            found.append(Z)
            Y = Z
    assert float(found[0].min()) < 0 <= float(found[1].min())


def test_names_are_theirs_by_number(ours):
    assert dict(zip(stylelib.SQUEEZENET_LAYERS, range(13), strict=True)) == NUMBERS
    assert [name for name, _ in ours.named_children()] == list(NUMBERS)
    for name, number in NUMBERS.items():
        assert layer_index(ours, name) == layer_index(ours, number) == number


def test_each_layer_has_the_channels_of_the_table():
    found = outputs(squeezenet1_1("random"), noise((1, 3, 64, 64)))
    assert [Y.shape[1] for Y in found] == CHANNELS


@pytest.mark.parametrize(
    ("layers", "length"),
    [
        ([0], 1),
        (["conv1"], 1),
        (["pool1"], 3),
        (["fire2"], 4),
        ([1, "fire4", 3], 7),
        ((7, 0), 8),
        (["fire9"], 13),
        ([12], 13),
    ],
    ids=str,
)
def test_the_network_ends_with_the_deepest_layer_asked_for(layers, length):
    net = squeezenet1_1("random", layers=layers)
    assert [name for name, _ in net.named_children()] == list(NUMBERS)[:length]


def test_by_default_it_has_all_thirteen_layers():
    assert len(squeezenet1_1("random")) == 13


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_weights_are_frozen_and_the_network_is_in_eval_mode(pooling):
    net = squeezenet1_1("random", pooling=pooling)
    parameters = list(net.parameters())
    assert len(parameters) == 2 * (1 + 3 * 8)  # weight and bias of each convolution
    assert not any(parameter.requires_grad for parameter in parameters)
    assert not any(module.training for module in net.modules())
    assert {parameter.dtype for parameter in parameters} == {torch.float32}
    assert {parameter.device.type for parameter in parameters} == {"cpu"}
    assert not any(getattr(module, "inplace", False) for module in net.modules())


def test_it_is_as_small_as_it_says():
    bytes_of_weights = sum(4 * p.numel() for p in squeezenet1_1("random").parameters())
    assert bytes_of_weights == sum(4 * p.numel() for p in reference().features.parameters())
    assert round(bytes_of_weights / 1e6, 1) == 2.9


# --- its weights


def test_each_weight_is_the_one_under_torchvisions_key(ours, theirs):
    state = theirs.state_dict()
    for key in (
        "features.0.weight",
        "features.3.squeeze.weight",
        "features.3.squeeze.bias",
        "features.6.expand1x1.weight",
        "features.12.expand3x3.bias",
    ):
        _, number, *parts = key.split(".")
        assert torch.equal(ours[int(number)].get_parameter(".".join(parts)), state[key]), key
    mine = {
        f"features.{NUMBERS[key.split('.')[0]]}.{key.split('.', 1)[1]}": value
        for key, value in ours.state_dict().items()
    }
    assert mine.keys() == {key for key in state if key.startswith("features.")}
    assert all(torch.equal(value, state[key]) for key, value in mine.items())


def test_what_the_network_saved_of_itself_is_read_back(ours, tmp_path):
    torch.save(ours.state_dict(), tmp_path / "w.pth")
    again = squeezenet1_1(str(tmp_path / "w.pth"))
    assert all(
        torch.equal(a, b) for a, b in zip(again.parameters(), ours.parameters(), strict=True)
    )


def test_half_precision_weights_become_float32(theirs, tmp_path):
    state = {key: value.half() for key, value in theirs.state_dict().items()}
    torch.save(state, tmp_path / "w.pth")
    net = squeezenet1_1(tmp_path / "w.pth")
    assert {parameter.dtype for parameter in net.parameters()} == {torch.float32}
    assert torch.equal(net[3].squeeze.weight, state["features.3.squeeze.weight"].float())


def test_a_missing_key_is_named_where_the_layer_is_needed(theirs, tmp_path):
    state = theirs.state_dict()
    del state["features.6.expand3x3.bias"]
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(FileError, match=r"lacks 'features\.6\.expand3x3\.bias' \(128,\)"):
        squeezenet1_1(tmp_path / "w.pth")
    assert len(squeezenet1_1(tmp_path / "w.pth", layers=["pool3"])) == 6


def test_weights_of_squeezenet_are_not_taken_for_those_of_vgg19(theirs, tmp_path):
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    with pytest.raises(FileError, match=r"'features\.2\.weight'.*not of this network"):
        vgg19(tmp_path / "w.pth", layers=["conv1_2"])


def test_there_are_no_embedded_weights_for_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileError) as raised:
        squeezenet1_1("embedded")
    for word in ("'embedded'", "torchvision", "random"):
        assert word in str(raised.value)
    assert "must be embedded" not in str(raised.value)


def flat(net):
    return torch.cat([parameter.flatten() for parameter in net.parameters()])


def test_random_weights_follow_the_seed_and_nothing_else():
    torch.manual_seed(1)
    first = flat(squeezenet1_1("random", seed=3))
    state = torch.get_rng_state()
    again = flat(squeezenet1_1("random", seed=3))
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    assert torch.equal(first, again)
    assert torch.equal(first, flat(squeezenet1_1("random", seed=3)))
    assert not torch.equal(first, flat(squeezenet1_1("random", seed=4)))


def test_random_weights_have_the_spread_of_he_and_zero_biases():
    convolutions = [m for m in squeezenet1_1("random").modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 25
    for layer in convolutions:
        inputs = layer.in_channels * math.prod(layer.kernel_size)
        # four standard deviations of the estimate of a spread from so many numbers
        tolerance = 4 / (2 * layer.weight.numel()) ** 0.5
        assert float(layer.weight.std()) == pytest.approx((2 / inputs) ** 0.5, rel=tolerance)
        assert not layer.bias.any()


# --- its download


@pytest.fixture
def download(checkpoints):
    return checkpoints / "squeezenet1_1-b8a52dc0.pth"


def test_the_url_is_torchvisions_own():
    url = torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url
    assert url == stylelib.networks.SQUEEZENET_DOWNLOAD.url


@pytest.mark.parametrize("arguments", [(), ("torchvision",)])
@pytest.mark.usefixtures("unreachable")
def test_without_a_connection_it_says_what_to_do(download, arguments):
    with pytest.raises(FileError) as raised:
        squeezenet1_1(*arguments)
    for word in (
        "no route to host",
        "SqueezeNet 1.1",
        "4.7 MB",
        torchvision.models.SqueezeNet1_1_Weights.IMAGENET1K_V1.url,
        str(download),
    ):
        assert word in str(raised.value)
    assert not download.exists()


@pytest.mark.usefixtures("unreachable")
def test_the_file_in_the_cache_is_used_without_a_connection(download, theirs):
    download.parent.mkdir(parents=True)
    torch.save(theirs.state_dict(), download)
    net = squeezenet1_1()
    assert torch.equal(net[12].expand3x3.weight, theirs.features[12].expand3x3.weight)
    assert torch.equal(net[0].bias, theirs.features[0].bias)


@pytest.mark.usefixtures("unreachable")
def test_a_broken_file_in_the_cache_is_named(download):
    download.parent.mkdir(parents=True)
    download.write_bytes(b"half of it")
    with pytest.raises(FileError, match="squeezenet1_1-b8a52dc0"):
        squeezenet1_1()


# --- average pooling


MAKERS = {
    "squeezenet": lambda **more: squeezenet1_1("random", **more),
    "vgg": lambda **more: vgg19("random", layers=["pool5"], **more),
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("size", [(47, 64), (33, 50), (32, 35)], ids=str)
def test_average_pooling_is_torchs_layer_by_layer(kind, size):
    most, mean = MAKERS[kind](), MAKERS[kind](pooling="avg")
    assert len(most) == len(mean)
    X = noise((1, 3, *size))
    with torch.no_grad():
        for number, (a, b) in enumerate(zip(most, mean, strict=True)):
            Y = b(X)
            if number in POOLINGS[kind]:
                kernel, up = (3, True) if kind == "squeezenet" else (2, False)
                expected = avg_pool2d(X, kernel, stride=2, ceil_mode=up)
                assert Y.shape == expected.shape == a(X).shape
                assert not torch.allclose(Y, a(X), rtol=0.05)
            else:
                expected = a(X)
            torch.testing.assert_close(Y, expected, rtol=1e-5, atol=1e-6)
            X = Y


@pytest.mark.parametrize("size", [(7, 7), (8, 9), (2, 5), (10, 4)], ids=str)
@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_a_window_over_the_border_counts_only_what_is_there(pooling, size):
    pool = squeezenet1_1("random", layers=["pool1"], pooling=pooling)[2]
    X = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(1)) - 3
    height, width = ((side - 3 + 1) // 2 + 1 for side in size)
    take = {"max": np.max, "avg": np.mean}[pooling]
    expected = np.array(
        [
            [
                take(X.numpy()[..., 2 * i : 2 * i + 3, 2 * j : 2 * j + 3], axis=(2, 3))
                for j in range(width)
            ]
            for i in range(height)
        ]
    ).transpose(2, 3, 0, 1)
    assert pool(X).shape == expected.shape
    np.testing.assert_allclose(pool(X).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("kind", MAKERS)
def test_pooling_changes_no_random_weight(kind):
    assert torch.equal(flat(MAKERS[kind](pooling="avg")), flat(MAKERS[kind](pooling="max")))


@pytest.fixture(scope="module")
def small_samples():
    return [preprocess(samples.load(name), 64) for name in samples.names()]


def mean_activations(net, pictures):
    """The mean over the pictures of each ReLU's mean output."""
    sums = {}
    with torch.no_grad():
        for Y in pictures:
            for name, layer in net.named_children():
                Y = layer(Y)
                if name.startswith("relu"):
                    sums.setdefault(name, []).append(float(Y.double().mean()))
    return {name: np.mean(values) for name, values in sums.items()}


def test_the_embedded_network_with_average_pooling_has_activations_near_1(small_samples):
    """At a shorter side of 256 they are 1; smaller pictures have finer detail and more border."""
    means = mean_activations(vgg19(layers=["relu5_4"], pooling="avg"), small_samples)
    assert len(means) == 16
    assert all(0.7 < value < 1.7 for value in means.values()), means


def test_the_embedded_networks_differ_by_a_factor_a_layer(small_samples):
    """Scaled apart, both have the same original weights; below the first pooling all agrees."""
    most, mean = (
        vgg19(layers=["conv5_4"], pooling=pooling).state_dict() for pooling in ("max", "avg")
    )
    assert most.keys() == mean.keys()
    factors = {}
    for key, weight in most.items():
        if key.endswith("weight"):
            factor = float((weight * mean[key]).sum() / weight.square().sum())
            torch.testing.assert_close(mean[key], factor * weight, rtol=1e-4, atol=1e-7)
            factors[key] = factor
    assert factors["conv1_1.weight"] == factors["conv1_2.weight"] == pytest.approx(1, abs=1e-6)
    # averaging gives less than the maximum, so the same units need greater weights after it
    for block in range(2, 6):
        assert factors[f"conv{block}_1.weight"] > 1.1
    with torch.no_grad():
        X = small_samples[0]
        a, b = (vgg19(layers=["pool1"], pooling=pooling)(X) for pooling in ("max", "avg"))
    assert a.shape == b.shape
    assert bool((a - b >= -1e-5).all())
    assert float((a - b).mean()) > 0.05


# --- the smallest picture


@pytest.fixture(scope="module")
def networks(whole_net):
    return {
        "vgg": whole_net,
        "vgg avg": vgg19("random", layers=["pool5"], pooling="avg"),
        "squeezenet": squeezenet1_1("random"),
        "squeezenet avg": squeezenet1_1("random", pooling="avg"),
    }


def leaves_something(net, height, width):
    try:
        with torch.no_grad():
            return net(torch.ones(1, 3, height, width)).numel() > 0
    except RuntimeError:  # a kernel does not fit, or an output would be empty
        return False


CASES = [
    *((kind, number) for kind in ("vgg", "vgg avg") for number in range(37)),
    *((kind, number) for kind in ("squeezenet", "squeezenet avg") for number in range(13)),
]


@pytest.mark.parametrize(("kind", "number"), CASES)
def test_the_smallest_side_is_the_smallest_that_works(networks, kind, number):
    net = networks[kind]
    extractor = FeatureExtractor(net, [number], ())
    side, plain = extractor.smallest_side, net[: number + 1]
    assert leaves_something(plain, side, side)
    for small in ((side - 1, side - 1), (side - 1, side + 9), (side + 9, side - 1)):
        assert not leaves_something(plain, *small)
    with torch.no_grad():
        for size in ((side, side), (side, side + 9), (side + 9, side)):
            X = noise((1, 3, *size))
            ([Y], _) = extractor(X)
            assert min(Y.shape) >= 1
            torch.testing.assert_close(Y, plain(X))
    if side > 1:
        with pytest.raises(InputError, match=f"each side needs {side} or more"):
            extractor(noise((1, 3, side - 1, side + 9)))


def test_the_deepest_layer_of_either_list_counts(networks):
    net = networks["vgg"]
    assert FeatureExtractor(net, ["relu1_1"], ["pool3"]).smallest_side == 8
    assert FeatureExtractor(net, ["pool4"], ["pool3"]).smallest_side == 16
    assert FeatureExtractor(net, [], ["conv1_1"]).smallest_side == 1


@pytest.mark.parametrize(
    ("layers", "side"),
    [
        ([nn.Conv2d(3, 2, 5)], 5),
        ([nn.Conv2d(3, 2, 5, padding=1), nn.Conv2d(2, 2, 3, stride=2)], 5),
        ([nn.AvgPool2d(2), nn.MaxPool2d(3, 2, ceil_mode=True)], 4),
        ([nn.MaxPool2d((2, 2), (2, 2)), nn.AvgPool2d(2, 2)], 4),
        ([nn.Sequential(nn.Conv2d(3, 2, 3), nn.ReLU()), nn.MaxPool2d(2)], 4),
        ([nn.ReLU()], 1),
    ],
)
def test_the_smallest_side_of_other_networks(layers, side):
    net = nn.Sequential(*layers).requires_grad_(False)
    assert leaves_something(net, side, side)  # the table above is right
    assert not leaves_something(net, side - 1, side)
    assert FeatureExtractor(net, [len(net) - 1], ()).smallest_side == side


def test_a_picture_too_small_is_refused_by_transfer_with_squeezenet():
    net = squeezenet1_1("random", layers=["pool3"])
    picture = Image.new("RGB", (40, 40), "red")
    arguments = {"steps": 1, "content_layers": ["pool3"], "style_layers": ["conv1"]}
    side = FeatureExtractor(net, ["pool3"], ()).smallest_side
    with pytest.raises(InputError, match="too small"):
        stylelib.transfer(picture, picture, image_shape=side - 1, net=net, **arguments)
    result = stylelib.transfer(picture, picture, image_shape=side, net=net, **arguments)
    assert result.image.size == (side, side)
