"""Other networks than VGG-19: a small model with what makes models difficult, and torchvision's."""

import copy

import pytest
import torch
import torchvision
from torch import nn

from stylelib import (
    D2L_WEIGHTS,
    EMBEDDED_WEIGHTS,
    InputError,
    ModelFeatures,
    NetworkFeatures,
    samples,
    transfer,
    vgg19,
    weights_for,
)
from stylelib.models import features_of, layer_names


class Forked(nn.Module):
    """Two ways that meet, an in-place module, an in-place function, a head."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.ReLU(inplace=True)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.head = nn.Linear(4, 2)

    def forward(self, X):
        Y = self.act(self.first(X))
        Z = torch.nn.functional.relu(self.second(self.norm(Y)), inplace=True)
        return self.head((Y + Z).mean(dim=(2, 3)))


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Forked().double().eval()
    model.norm.running_mean.normal_()
    return model


def pictures(n=2, side=8):
    return torch.randn(
        n, 3, side, side, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
    )


def test_features_are_those_that_layers_give_before_anything_overwrites_them(model):
    X = pictures()
    first = torch.nn.functional.conv2d(X, model.first.weight, model.first.bias, padding=1)
    Y = first.clamp(min=0)
    weight, bias = model.second.weight, model.second.bias
    second = torch.nn.functional.conv2d(model.norm(Y), weight, bias, padding=1)
    features = ModelFeatures(model)
    assert features.names == [
        "x",
        "first",
        "act",
        "norm",
        "second",
        "relu",
        *features.names[6:],
    ]
    wanted = {"second": second, "first": first, "act": Y, "add": Y + second.clamp(min=0)}
    for found, expected in zip(features(X, list(wanted)), wanted.values(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert features(X, []) == []


def test_a_model_is_not_changed(model):
    before, kept = copy.deepcopy(model.state_dict()), model.act
    features = ModelFeatures(model)
    X = pictures().requires_grad_()
    sum(Y.sum() for Y in features(X, ["first", "relu"])).backward()
    assert model.act is kept
    assert model.act.inplace
    assert X.grad.abs().max() > 0
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])
    assert features.graphs  # and the weights are not copied
    (graph,) = features.graphs.values()
    assert graph.get_submodule("first").weight is model.first.weight


def test_a_pass_goes_no_deeper_than_asked(model):
    def deep(*_):
        raise AssertionError("too deep")

    model.second.register_forward_hook(deep)
    ModelFeatures(model)(pictures(), ["act"])


def test_a_sequential_of_layers_has_the_features_of_network_features():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()).double()
    assert layer_names(net) == ["0", "1"]
    assert isinstance(features_of(net), NetworkFeatures)
    torch.testing.assert_close(features_of(net)(pictures(), [1]), [net(pictures())])


RESNET = {
    "content_layers": ["layer2.0.relu"],
    "style_layers": {"relu": 1.0, "layer1.0.add": 0.5},
}


def test_transfer_takes_a_model_of_torchvision_by_its_layers_names(photo):
    torch.manual_seed(0)
    net = torchvision.models.resnet18(weights=None).eval()
    given = {"net": net, "image_shape": 32, "recipe": "d2l"} | RESNET
    result = transfer(photo, samples.load("mosaic"), steps=1, **given)
    assert result.settings["content_layers"] == RESNET["content_layers"]
    assert result.settings["style_layers"] == RESNET["style_layers"]
    assert result.settings["weights"] == D2L_WEIGHTS._asdict()
    style = {"weights": (0, 1e4, 0), "lr": 0.03, "steps": 6}
    history = transfer(photo, samples.load("mosaic"), **style, **given).history
    assert history[-1].loss < 0.9 * history[0].loss
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize(
    ("net", "arguments", "message"),
    [
        (lambda: Forked().eval(), {}, "content_layers is by default .25., layers of VGG-19"),
        (lambda: torchvision.models.vgg16(weights=None).features, {}, "from '0' to '30'"),
        (lambda: Forked().eval(), {"content_layers": ["act"]}, "style_layers is by default"),
        (
            lambda: vgg19("random", layers=["relu4_1"]),
            {"style_layers": ["relu4_1"]},
            "ends with 'relu4_1', number 20: name content_layers of its own",
        ),
    ],
)
def test_vgg19s_layers_are_not_taken_for_those_of_another_network(
    photo, net, arguments, message
):
    with pytest.raises(InputError, match=message):
        transfer(photo, photo, recipe="d2l", net=net(), image_shape=32, steps=1, **arguments)


def test_torchvisions_own_vgg19_has_the_same_layers(photo):
    net = torchvision.models.vgg19(weights=None).features.eval()
    assert transfer(photo, photo, recipe="d2l", net=net, image_shape=32, steps=1).history


def test_weights_suit_the_network():
    assert weights_for(vgg19(layers=["relu1_1"])) == EMBEDDED_WEIGHTS
    assert weights_for(vgg19("random", layers=["relu1_1"])) == D2L_WEIGHTS
    assert weights_for(copy.deepcopy(vgg19(layers=["relu1_1"]))) == EMBEDDED_WEIGHTS
    assert weights_for(nn.Sequential()) == D2L_WEIGHTS


@pytest.mark.parametrize("weights", ["embedded", "random"])
def test_transfer_uses_the_weights_that_suit_its_network(photo, weights):
    net = vgg19(weights)
    used = transfer(photo, photo, recipe="d2l", net=net, image_shape=32, steps=1).settings[
        "weights"
    ]
    assert used == weights_for(net)._asdict()
