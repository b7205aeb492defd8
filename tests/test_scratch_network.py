import copy
import json
import math
import time
from importlib import resources

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat
from torch.nn import functional
from toys import assert_near_overall, draw, paper_style, pixels

import stylelib
from stylelib import DivergenceError, FileError, InputError, preprocess, samples
from stylelib.from_scratch import VGG19, ScratchResult, style_transfer
from stylelib.weights import read_embedded, unpack_convolution

MEAN = np.array([123.68, 116.779, 103.939], np.float32)  # R, G, B; Simonyan and Zisserman

# By hand, from configuration E of Simonyan and Zisserman (2014).
E = [
    *("conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1"),
    *("conv2_1", "relu2_1", "conv2_2", "relu2_2", "pool2"),
    *("conv3_1", "relu3_1", "conv3_2", "relu3_2"),
    *("conv3_3", "relu3_3", "conv3_4", "relu3_4", "pool3"),
    *("conv4_1", "relu4_1", "conv4_2", "relu4_2"),
    *("conv4_3", "relu4_3", "conv4_4", "relu4_4", "pool4"),
    *("conv5_1", "relu5_1", "conv5_2", "relu5_2"),
    *("conv5_3", "relu5_3", "conv5_4", "relu5_4", "pool5"),
]
CHANNELS = {"1": 64, "2": 128, "3": 256, "4": 512, "5": 512}


def picture(shape, seed=0, dtype=np.float32):
    return np.random.default_rng(seed).uniform(-120, 140, shape).astype(dtype)


@pytest.fixture(scope="module")
def deep():
    return VGG19(layers=["relu5_1"])


@pytest.fixture(scope="module")
def shallow():
    return VGG19(layers=["relu3_1"])


@pytest.fixture(scope="module")
def averaging():
    return VGG19(layers=["relu3_1"], pooling="avg")


@pytest.fixture(scope="module")
def first():
    return VGG19(layers=["relu1_1"])


def torch_features(net, X, pooling="max"):
    """The features at all layers that `net` has, by PyTorch, with its weights."""
    pool = {"max": functional.max_pool2d, "avg": functional.avg_pool2d}[pooling]
    features = {}
    for name, layer in net.layers.items():
        if name.startswith("conv"):
            weight, bias = (
                torch.tensor(np.ascontiguousarray(each)).to(X.dtype)
                for each in (layer.weight, layer.bias)
            )
            X = functional.conv2d(X, weight, bias, padding=1)
        else:
            X = X.relu() if name.startswith("relu") else pool(X, 2)
        features[name] = X
    return features


def assert_near_in_length(actual, expected, tolerance):
    """Near as a whole, in the root of the sum of squares: ties may fall out otherwise."""
    assert actual.shape == expected.shape
    assert np.linalg.norm(actual - expected) <= tolerance * np.linalg.norm(expected)


# Structure and weights


def test_it_is_configuration_e_to_the_end():
    net = VGG19()
    assert list(net.layers) == E
    channels = 3
    for name, layer in net.layers.items():
        if name.startswith("conv"):
            assert layer.weight.shape == (CHANNELS[name[4]], channels, 3, 3)
            assert layer.bias.shape == (CHANNELS[name[4]],)
            assert layer.weight.dtype == layer.bias.dtype == np.float32
            channels = CHANNELS[name[4]]
    assert net.mean.dtype == np.float32
    assert net.mean.tolist() == MEAN.tolist()
    features = net.forward(picture((1, 3, 32, 35)), ["pool5"])
    assert features["pool5"].shape == (1, 512, 1, 1)


@pytest.mark.parametrize(
    ("layers", "last"),
    [
        (["conv1_1"], "conv1_1"),
        (["pool2", "relu1_1"], "pool2"),
        (("relu1_1", "conv3_1", "conv1_2"), "conv3_1"),
    ],
)
def test_it_ends_with_the_deepest_layer(layers, last):
    assert list(VGG19(layers=layers).layers) == E[: E.index(last) + 1]


def test_embedded_weights_are_the_files_for_r_g_b(deep):
    raw = read_embedded()
    for name, layer in deep.layers.items():
        if name.startswith("conv"):
            weight, bias = unpack_convolution(raw, name)
            if name == "conv1_1":
                weight = weight.flip(1)
            assert np.array_equal(layer.weight, weight.numpy().astype(np.float32))
            assert np.array_equal(layer.bias, bias.numpy().astype(np.float32))


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_features_are_the_main_lines_up_to_one_scale_a_layer(pooling):
    layers = ["relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1"]
    image, shape = samples.load("chelsea"), (64, 80)
    main_line = stylelib.vgg19(layers=layers, pooling=pooling)
    net = VGG19(layers=layers, pooling=pooling)
    features = net.forward(net.to_input(image, shape), layers)
    measured = json.loads(
        resources.files("stylelib").joinpath("vgg19_activations.json").read_text("utf-8")
    )["mean_activation" if pooling == "max" else "mean_activation_avg_pool"]
    X = preprocess(image, shape)
    for name, layer in main_line.named_children():
        X = layer(X)
        if name in layers:
            inside = (..., slice(4, -4), slice(4, -4))  # the border differs by a gray level
            scale = measured[name.replace("relu", "conv")]
            # float32, five layers of up to 1,152 terms: sqrt(1152) 2**-24 a layer, and ten
            # times that if a convolution is computed in Winograd's way
            assert_near_overall(features[name][inside], scale * X.numpy()[inside], 1e-4)
            assert features[name].max() > 100  # the original's units


# Forward


def test_features_at_all_layers_are_pytorchs(deep):
    X = picture((1, 3, 19, 34))
    features = deep.forward(X, list(deep.layers))
    expected = torch_features(deep, torch.tensor(X))
    assert list(features) == list(expected)
    for name, F in features.items():
        assert F.dtype == np.float32
        assert_near_overall(F, expected[name].numpy(), 1e-4)


@pytest.mark.parametrize("layers", [["relu1_1"], ["pool2", "conv1_1"], ("relu3_1", "relu1_2")])
def test_features_are_those_asked_for(shallow, layers):
    X = picture((2, 3, 9, 12))
    everything = shallow.forward(X, list(shallow.layers))
    some = shallow.forward(X, layers)
    assert set(some) == set(layers)
    for name in layers:
        assert np.array_equal(some[name], everything[name])


def test_forward_goes_no_deeper_than_it_must(shallow):
    tiny = picture((1, 3, 2, 3))  # too small for the second pooling
    assert shallow.forward(tiny, ["conv2_1"])["conv2_1"].shape == (1, 128, 1, 1)
    with pytest.raises(InputError, match="kernel of 2 x 2 does not fit into 1 x 1"):
        shallow.forward(tiny, ["pool2"])


def test_forward_and_backward_change_nothing_they_are_given(shallow):
    X = picture((1, 3, 8, 10))
    before = X.copy()
    features = shallow.forward(X, ["conv1_1", "relu1_1", "pool1", "relu3_1"])
    tops = {name: draw(F.shape).astype(np.float32) for name, F in features.items()}
    copies = {name: (features[name].copy(), tops[name].copy()) for name in tops}
    for array in (X, *features.values(), *tops.values()):
        array.flags.writeable = False
    shallow.backward(tops)
    shallow.forward(before[:, ::-1], ["relu3_1"])
    assert np.array_equal(X, before)
    for name, (F, top) in copies.items():
        assert np.array_equal(features[name], F)
        assert np.array_equal(tops[name], top)


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_both_methods_agree(pooling):
    X = picture((1, 3, 4, 4), dtype=np.float64)
    answers = []
    for method in ("im2col", "loops"):
        net = VGG19(layers=["conv2_1"], pooling=pooling, method=method)
        assert [net.layers[name].method for name in ("conv1_1", "pool1")] == [method] * 2
        features = net.forward(X, ["pool1", "conv2_1"])
        tops = {name: draw(F.shape) for name, F in features.items()}
        answers.append([*features.values(), net.backward(tops)])
    for one, other in zip(*answers, strict=True):
        assert_near_overall(one, other, 1e-12)


# Backward


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_the_gradient_of_several_losses_is_pytorchs_in_float64(shallow, averaging, pooling):
    net = shallow if pooling == "max" else averaging
    layers = ["conv1_1", "relu1_2", "pool1", "conv2_2", "relu3_1"]
    X = picture((2, 3, 13, 18), dtype=np.float64)
    theirs = torch.tensor(X, requires_grad=True)
    expected = torch_features(net, theirs, pooling)
    features = net.forward(X, layers)
    tops = {}
    loss = 0.0
    for name in layers:
        assert_near_overall(features[name], expected[name].detach().numpy(), 1e-12)
        target = 100 * draw(features[name].shape)
        tops[name] = features[name] - target
        loss = loss + (expected[name] - torch.tensor(target)).square().sum() / 2
    gradient = net.backward(tops)
    assert gradient.dtype == np.float64
    assert_near_overall(gradient, torch.autograd.grad(loss, theirs)[0].numpy(), 1e-9)


def test_the_gradient_of_several_losses_is_pytorchs_in_float32(deep):
    layers = ["relu1_1", "relu2_1", "pool2", "relu3_1", "relu4_1", "conv4_2", "relu5_1"]
    net = VGG19(layers=["conv1_1"])
    X = net.to_input(samples.load("chelsea"), (33, 50))  # sizes that pooling cuts
    theirs = torch.tensor(X, requires_grad=True)
    expected = torch_features(deep, theirs)
    features = deep.forward(X, layers)
    tops, loss = {}, 0.0
    for name, F in features.items():
        scale = float(np.abs(F).mean())
        tops[name] = (draw(F.shape) / scale).astype(np.float32)
        loss = loss + (expected[name] * torch.tensor(tops[name])).sum()
    gradient = deep.backward(tops)
    assert gradient.dtype == np.float32
    assert gradient.shape == X.shape
    # its twin above is exact; in float32 rounding decides at a unit or two which side of a ReLU
    # or which maximum it is, and each that falls out otherwise costs about 1e-3
    assert_near_in_length(gradient, torch.autograd.grad(loss, theirs)[0].numpy(), 1e-2)


def test_the_gradient_is_that_of_finite_differences(shallow):
    X = picture((1, 3, 4, 5), dtype=np.float64)
    layers = ["conv1_1", "pool1", "relu3_1"]
    features = shallow.forward(X, layers)
    tops = {name: draw(F.shape) for name, F in features.items()}
    gradient = shallow.backward(tops)

    def loss(X):
        found = shallow.forward(X, layers)
        return sum(np.sum(tops[name] * found[name]) for name in layers)

    for place in [(0, 0, 0, 0), (0, 1, 2, 3), (0, 2, 3, 4), (0, 0, 1, 4)]:
        step = np.zeros(X.shape)
        step[place] = 1e-5
        difference = (loss(X + step) - loss(X - step)) / 2e-5
        assert difference == pytest.approx(gradient[place], rel=1e-6)


def test_one_sweep_is_the_sum_of_separate_sweeps(shallow):
    X = picture((2, 3, 9, 12), dtype=np.float64)
    layers = ["conv1_1", "relu1_1", "pool1", "relu2_2", "relu3_1"]
    features = shallow.forward(X, layers)
    tops = {name: draw(F.shape, seed) for seed, (name, F) in enumerate(features.items())}
    together = shallow.backward(tops)
    apart = [shallow.backward({name: top}) for name, top in tops.items()]
    assert_near_overall(together, sum(apart), 1e-13)
    assert_near_overall(shallow.backward(dict(reversed(tops.items()))), together, 1e-15)
    assert min(np.abs(each).max() for each in apart) > 0
    # separate forwards to the layer alone give the same
    for name, expected in zip(layers, apart, strict=True):
        shallow.forward(X, [name])
        assert_near_overall(shallow.backward({name: tops[name]}), expected, 1e-13)


def test_gradients_may_come_from_layers_that_were_only_passed(shallow):
    X = picture((1, 3, 8, 8), dtype=np.float64)
    top = draw((1, 64, 8, 8))
    shallow.forward(X, ["relu1_2"])
    expected = shallow.backward({"relu1_2": top})
    shallow.forward(X, ["relu3_1"])
    assert np.array_equal(shallow.backward({"relu1_2": top}), expected)


# Pictures in and out


@pytest.mark.parametrize("shape", [(5, 7), 6, (1, 1)])
def test_to_input_and_to_image_are_each_others_inverse(first, shape):
    image = pixels(6, 9)
    X = first.to_input(image, shape)
    height, width = {6: (6, 9)}.get(shape, shape)
    assert X.shape == (1, 3, height, width)
    assert X.dtype == np.float32
    assert X.flags.c_contiguous
    small = image.resize((width, height), Image.Resampling.BILINEAR)
    assert_near_overall(X[0].transpose(1, 2, 0), np.asarray(small) - MEAN, 1e-6)
    back = first.to_image(X)
    assert back.mode == "RGB"
    assert np.array_equal(np.asarray(back), np.asarray(small))
    assert np.array_equal(np.asarray(first.to_image(X.astype(np.float64))), np.asarray(small))


def test_to_image_rounds_and_cuts_off(first):
    levels = np.array([-50.0, -0.4, 0.6, 100.4, 100.6, 254.6, 255.4, 999.0])
    X = np.broadcast_to(levels, (1, 3, 1, 8)) - MEAN[:, None, None]
    expected = [0, 0, 1, 100, 101, 255, 255, 255]
    assert np.asarray(first.to_image(X))[0].T.tolist() == [expected] * 3


def test_to_image_keeps_red_red(first):
    X = first.to_input(Image.new("RGB", (2, 2), (200, 100, 50)), (2, 2))
    assert_near_overall(X[0, :, 0, 0], [200 - 123.68, 100 - 116.779, 50 - 103.939], 1e-6)
    assert first.to_image(X).getpixel((0, 0)) == (200, 100, 50)


# MatConvNet's file


PARTS = [("conv1_1", 3, 64), ("conv1_2", 64, 64), ("conv2_1", 64, 128)]


def stored(seed=0):
    """Filters (3, 3, in, out) and biases (1, out), as MatConvNet stores them."""
    return {
        name: (
            (draw((3, 3, channels, width), seed + i) / 10).astype(np.float32),
            draw((1, width), seed + i + 10).astype(np.float32),
        )
        for i, (name, channels, width) in enumerate(PARTS)
    }


def cells(*entries):
    array = np.empty((1, len(entries)), object)
    for i, entry in enumerate(entries):
        array[0, i] = entry
    return array


def content(layout, convolutions, mean):
    """What is in the file: one cell a layer, those without weights included."""
    layers = []
    for name in ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1", "relu2_1"]:
        layer = {"name": name, "type": name[:4], "stride": np.array([[1.0, 1.0]])}
        if name.startswith("conv") and name not in convolutions:
            continue
        if name in convolutions:
            filters, biases = convolutions[name]
            if layout == "old":
                layer |= {"filters": filters, "biases": biases}
            else:
                layer |= {"weights": cells(filters, biases)}
        layers.append(layer)
    normalization = {"averageImage": mean, "imageSize": np.array([[224.0, 224.0, 3.0]])}
    if layout == "old":
        return {"layers": cells(*layers), "normalization": normalization}
    return {"layers": cells(*layers), "meta": {"normalization": normalization}}


def mean_image(layout):
    if layout == "new":
        return np.array([[[120.5, 110.25, 100.75]]])
    image = np.random.default_rng(5).uniform(80, 140, (6, 4, 3))
    image += np.array([120.5, 110.25, 100.75]) - image.mean(axis=(0, 1))
    return image.astype(np.float32)


@pytest.fixture(params=["old", "new"])
def layout(request):
    return request.param


@pytest.fixture
def matconvnet(layout, tmp_path):
    """Writes a file of that layout, and says where."""

    def write(convolutions=None, mean=None, **changes):
        path = tmp_path / f"{layout}.mat"
        convolutions = stored() if convolutions is None else convolutions
        mean = mean_image(layout) if mean is None else mean
        savemat(path, content(layout, convolutions, mean) | changes)
        return path

    return write


def test_matconvnets_files_are_read_in_either_layout(matconvnet):
    net = VGG19(matconvnet(), layers=["relu2_1"])
    assert list(net.layers) == E[: E.index("relu2_1") + 1]
    assert net.mean.shape == (3,)
    assert net.mean.dtype == np.float32
    assert_near_overall(net.mean, [120.5, 110.25, 100.75], 1e-6)
    for name, (filters, biases) in stored().items():
        weight, bias = net.layers[name].weight, net.layers[name].bias
        assert weight.dtype == bias.dtype == np.float32
        assert bias.tolist() == biases[0].tolist()
        for row, column in np.ndindex(3, 3):  # R, G, B stay in their order
            assert np.array_equal(weight[:, :, row, column], filters[row, column].T)


def test_a_network_from_a_file_computes_what_pytorch_does(matconvnet):
    net = VGG19(str(matconvnet()), layers=["relu2_1"])
    X = picture((1, 3, 7, 10), dtype=np.float64)
    theirs = torch.tensor(X, requires_grad=True)
    expected = theirs
    for name, (filters, biases) in stored().items():
        weight = torch.tensor(filters).double().permute(3, 2, 0, 1)
        expected = expected if name != "conv2_1" else functional.max_pool2d(expected, 2)
        bias = torch.tensor(biases[0]).double()
        expected = functional.conv2d(expected, weight, bias, padding=1).relu()
    F = net.forward(X, ["relu2_1"])["relu2_1"]
    assert_near_overall(F, expected.detach().numpy(), 1e-12)
    top = draw(F.shape)
    (gradient,) = torch.autograd.grad(expected, theirs, torch.tensor(top))
    assert_near_overall(net.backward({"relu2_1": top}), gradient.numpy(), 1e-9)
    X = net.to_input(Image.new("RGB", (2, 2), (200, 100, 50)), (2, 2))
    assert_near_overall(X[0, :, 0, 0], [200 - 120.5, 100 - 110.25, 50 - 100.75], 1e-6)
    assert net.to_image(X).getpixel((1, 1)) == (200, 100, 50)


def test_only_the_layers_needed_are_looked_for_in_a_file(matconvnet):
    path = matconvnet({"conv1_1": stored()["conv1_1"]})
    assert list(VGG19(path, layers=["conv1_1"]).layers) == ["conv1_1"]
    with pytest.raises(FileError, match="conv1_2") as caught:
        VGG19(path, layers=["conv1_2"])
    assert str(path) in str(caught.value)


def test_a_file_of_one_layer_is_read(layout, tmp_path):
    whole = content(layout, stored(), mean_image(layout))
    path = tmp_path / "one.mat"
    savemat(path, whole | {"layers": cells(whole["layers"][0, 0])})
    net = VGG19(path, layers=["conv1_1"])
    assert np.array_equal(net.layers["conv1_1"].bias, stored()["conv1_1"][1][0])


def test_doubles_are_read_as_well_as_singles(matconvnet):
    doubles = {
        name: tuple(part.astype(np.float64) for part in parts)
        for name, parts in stored().items()
    }
    one = VGG19(matconvnet(), layers=["conv2_1"])
    other = VGG19(matconvnet(doubles), layers=["conv2_1"])
    for name in stored():
        assert other.layers[name].weight.dtype == np.float32
        assert np.array_equal(one.layers[name].weight, other.layers[name].weight)


@pytest.mark.parametrize("kind", ["missing", "text", "empty", "directory", "cut", "picture"])
def test_what_is_no_such_file_is_refused_by_name(matconvnet, tmp_path, kind):
    path = tmp_path / f"{kind}.mat"
    if kind == "text":
        path.write_text(
            "MATLAB 5.0 MAT-file, or so it says; but it is a poem of some length" * 9
        )
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "directory":
        path.mkdir()
    elif kind == "cut":
        path.write_bytes(matconvnet().read_bytes()[:5000])
    elif kind == "picture":
        pixels(8, 8).save(path, format="PNG")
    with pytest.raises(FileError) as caught:
        VGG19(path, layers=["relu2_1"])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("filters", "biases"),
    [
        ((3, 3, 64, 32), (1, 64)),
        ((3, 3, 32, 64), (1, 64)),
        ((64, 64, 3, 3), (1, 64)),
        ((5, 5, 64, 64), (1, 64)),
        ((3, 3, 64), (1, 64)),
        ((3, 3, 64, 64), (1, 63)),
    ],
)
def test_weights_of_another_shape_are_refused(matconvnet, filters, biases):
    path = matconvnet(stored() | {"conv1_2": (np.zeros(filters), np.zeros(biases))})
    with pytest.raises(FileError, match="conv1_2") as caught:
        VGG19(path, layers=["relu2_1"])
    assert str(path) in str(caught.value)
    assert "(3, 3, 64, 64)" in str(caught.value)


def test_a_message_on_wrong_biases_speaks_of_biases(matconvnet):
    path = matconvnet(stored() | {"conv1_2": (np.zeros((3, 3, 64, 64)), np.zeros((1, 63)))})
    with pytest.raises(FileError, match=r"bias.*63"):
        VGG19(path, layers=["relu2_1"])


@pytest.mark.parametrize(
    "mean", [np.zeros((6, 4)), np.zeros((1, 1, 4)), np.zeros((1, 1)), np.zeros((0, 0))], ids=str
)
def test_a_mean_image_of_another_shape_is_refused(matconvnet, mean):
    path = matconvnet(mean=mean)
    with pytest.raises(FileError) as caught:
        VGG19(path, layers=["relu2_1"])
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("missing", ["layers", "normalization"])
def test_a_file_without_what_is_needed_is_refused(layout, tmp_path, missing):
    whole = content(layout, stored(), mean_image(layout))
    if missing == "normalization" and layout == "new":
        missing = "meta"
    del whole[missing]
    path = tmp_path / "part.mat"
    savemat(path, whole | {"classes": np.arange(3.0)})
    with pytest.raises(FileError) as caught:
        VGG19(path, layers=["relu2_1"])
    assert str(path) in str(caught.value)


def test_a_convolution_without_weights_is_refused(layout, tmp_path):
    whole = content(layout, stored(), mean_image(layout))
    whole["layers"][0, 0] = {"name": "conv1_1", "type": "conv"}
    path = tmp_path / "bare.mat"
    savemat(path, whole)
    with pytest.raises(FileError) as caught:
        VGG19(path, layers=["relu2_1"])
    assert str(path) in str(caught.value)


# Style transfer


def torch_tv(X):
    down, across = X[:, :, 1:] - X[:, :, :-1], X[..., 1:] - X[..., :-1]
    return 0.5 * (down.abs().mean() + across.abs().mean())


def torch_transfer(
    net, images, size, weights, layers, learning_rate, steps, start=None, pooling="max"
):
    """The same in float64, by autograd and PyTorch's Adam: losses of each step, and the last
    picture."""
    content_layers, style_layers = layers
    inputs = [
        torch.tensor(
            np.asarray(image.resize(size[::-1], Image.Resampling.BILINEAR), np.float32)
            - np.asarray(net.mean)
        )
        .double()
        .permute(2, 0, 1)[None]
        for image in images
    ]
    P, S = (torch_features(net, X, pooling) for X in inputs)
    A = {name: S[name].flatten(2) @ S[name].flatten(2).mT for name in style_layers}
    X = (inputs[0] if start is None else torch.tensor(start)).clone().requires_grad_()
    adam = torch.optim.Adam([X], lr=learning_rate)
    history = []
    for _ in range(steps):
        features = torch_features(net, X, pooling)
        losses = {
            "content": weights[0]
            * sum((features[name] - P[name]).square().mean() / 2 for name in content_layers)
            / len(content_layers),
            "style": weights[1]
            * sum(paper_style(features[name], A[name]) for name in style_layers)
            / len(style_layers),
            "tv": weights[2] * torch_tv(X),
        }
        adam.zero_grad()
        sum(losses.values()).backward()
        adam.step()
        history.append({name: loss.item() for name, loss in losses.items()})
    return history, X.detach().numpy()


def in_float64(net):
    """The same network with pictures in float64: in float32, where a gradient is all but 0, the
    order of summation decides which way Adam's first steps go."""
    double = copy.copy(net)
    double.to_input = lambda *arguments: net.to_input(*arguments).astype(np.float64)
    return double


def assert_same_run(result, expected):
    history, last = expected
    assert len(result.history) == len(history)
    for step, (mine, theirs) in enumerate(zip(result.history, history, strict=True), 1):
        assert mine.step == mine.evaluations == step
        assert set(mine.losses) == {"content", "style", "tv"}
        for name, loss in theirs.items():
            assert mine.losses[name] == pytest.approx(loss, rel=1e-9, abs=1e-12), name
    assert result.picture.dtype == np.float64
    assert np.abs(result.picture - last).max() < 1e-6  # of 255


CONTENT = ("relu4_2",)
STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


def test_ten_steps_are_those_of_pytorch(deep):
    images = samples.load("chelsea"), samples.load("mosaic")
    result = style_transfer(
        *images,
        image_shape=(32, 48),
        steps=10,
        tv=30.0,
        learning_rate=5.0,
        net=in_float64(deep),
    )
    assert isinstance(result, ScratchResult)
    assert result.image.size == (48, 32)
    expected = torch_transfer(
        deep, images, (32, 48), (1.0, 500.0, 30.0), (CONTENT, STYLE), 5.0, 10
    )
    assert_same_run(result, expected)
    assert result.history[0].losses["content"] == 0  # it starts from the photograph
    assert result.history[-1].loss < 0.5 * result.history[0].loss


def test_other_layers_weights_and_a_start_from_noise(shallow):
    images = pixels(20, 31), pixels(40, 17, 1)  # the painting has another size
    layers = ("relu1_2", "relu2_2"), ("relu1_1", "relu2_2")  # one is in both
    start = np.random.default_rng(3).uniform(-20, 20, (1, 3, 16, 24))
    result = style_transfer(
        *images,
        image_shape=(16, 24),
        steps=4,
        alpha=2.5,
        beta=40.0,
        tv=7.0,
        learning_rate=3.0,
        init="noise",
        seed=3,
        content_layers=layers[0],
        style_layers=layers[1],
        net=in_float64(shallow),
    )
    expected = torch_transfer(
        shallow, images, (16, 24), (2.5, 40.0, 7.0), layers, 3.0, 4, start
    )
    assert_same_run(result, expected)


@pytest.mark.parametrize(("alpha", "beta"), [(1e4, 1e-6), (1e-6, 1e4), (30.0, 0.02)])
def test_content_and_style_may_be_compared_at_the_same_layer(shallow, alpha, beta):
    # whichever of the two is by far the stronger: neither gradient is lost
    images, layers = (pixels(12, 16), pixels(12, 16, 1)), (["relu2_1"], ["relu2_1"])
    start = np.random.default_rng(0).uniform(-20, 20, (1, 3, 12, 16))
    result = style_transfer(
        *images,
        image_shape=(12, 16),
        steps=4,
        alpha=alpha,
        beta=beta,
        init="noise",
        content_layers=layers[0],
        style_layers=layers[1],
        net=in_float64(shallow),
    )
    weights = alpha, beta, 0.0
    expected = torch_transfer(shallow, images, (12, 16), weights, layers, 10.0, 4, start)
    assert_same_run(result, expected)


@pytest.mark.parametrize(("alpha", "beta", "tv"), [(0, 500.0, 0), (1.0, 0, 3.0), (0, 0, 0)])
def test_a_weight_of_0_takes_its_loss_away(shallow, alpha, beta, tv):
    images, layers = (pixels(12, 16), pixels(12, 16, 1)), (("relu2_1",), ("relu1_1", "relu3_1"))
    result = style_transfer(
        *images,
        image_shape=(12, 16),
        steps=3,
        alpha=alpha,
        beta=beta,
        tv=tv,
        content_layers=layers[0],
        style_layers=layers[1],
        net=in_float64(shallow),
    )
    expected = torch_transfer(shallow, images, (12, 16), (alpha, beta, tv), layers, 10.0, 3)
    assert_same_run(result, expected)
    if not alpha + beta + tv:
        assert np.array_equal(np.asarray(result.image), np.asarray(images[0]))


def test_the_network_given_is_the_one_used(matconvnet, averaging):
    images = pixels(9, 12), pixels(9, 12, 1)
    layers = ["relu2_1"], ["relu1_1"]
    for net, pooling in (
        (VGG19(matconvnet(), layers=["relu2_1"]), "max"),
        (averaging, "avg"),
    ):
        result = style_transfer(
            *images,
            image_shape=9,
            steps=2,
            net=in_float64(net),
            content_layers=layers[0],
            style_layers=layers[1],
        )
        weights = 1.0, 500.0, 0.0
        expected = torch_transfer(
            net, images, (9, 12), weights, layers, 10.0, 2, pooling=pooling
        )
        assert_same_run(result, expected)


QUICK = {"content_layers": ["relu1_1"], "style_layers": ["relu1_1"], "image_shape": (8, 10)}


def run(net=None, **options):
    return style_transfer(pixels(8, 10), pixels(8, 10, 1), **(QUICK | {"net": net} | options))


def test_each_step_has_the_learning_rate_and_one_evaluation(first):
    result = run(first, steps=3, learning_rate=2.0)
    assert result.picture.dtype == np.float32
    assert [(each.lr, each.evaluations) for each in result.history] == [
        (2.0, 1),
        (2.0, 2),
        (2.0, 3),
    ]


def test_by_default_the_network_is_the_embedded_one(first):
    assert np.array_equal(run(first, steps=2).picture, run(steps=2).picture)


def test_noise_is_drawn_evenly_from_20_gray_levels_on_either_side(first):
    noise = run(first, steps=1, learning_rate=0, init="noise", seed=1).picture
    assert -20 <= noise.min() < -18
    assert 18 < noise.max() <= 20


def test_seconds_do_not_count_callbacks(first, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def slow(record):
        clock[0] += 1000.0

    result = run(first, steps=3, callback=slow)
    monkeypatch.undo()
    assert [record.seconds for record in result.history] == [0.0, 0.0, 0.0]


# Settings


def test_settings_know_the_size_that_one_number_meant(first):
    result = style_transfer(
        pixels(16, 24), pixels(5, 5), **(QUICK | {"image_shape": 8}), steps=1, net=first
    )
    assert list(result.settings["image_shape"]) == [8, 12]
    assert result.image.size == (12, 8)


def test_settings_name_a_picture_by_its_path(first, tmp_path):
    path = tmp_path / "style.png"
    pixels(7, 7).save(path)
    settings = style_transfer(pixels(8, 10), path, **QUICK, steps=1, net=first).settings
    assert (settings["content"], settings["style"]) == ("<Image>", str(path))


def test_settings_tell_networks_apart(first, matconvnet):
    layers = {"content_layers": ["pool1"], "style_layers": ["relu1_1"], "steps": 1}
    nets = [
        VGG19(layers=["pool1"]),
        VGG19(layers=["pool1"], pooling="avg"),
        VGG19(matconvnet(), layers=["pool1"]),
    ]
    told = [json.dumps(run(net, **layers).settings, sort_keys=True) for net in nets]
    assert len(set(told)) == 3


# Divergence


def test_a_step_out_of_all_numbers_gives_back_the_picture_before_it(first):
    seen = []
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="step 1") as caught:
        run(first, steps=3, learning_rate=1e39, callback=seen.append)
    assert "learning_rate" in str(caught.value)
    assert np.array_equal(caught.value.picture, first.to_input(pixels(8, 10), (8, 10)))
    assert caught.value.history == seen == []


def test_divergence_gives_back_the_last_picture_whose_loss_was_finite(first):
    # a picture of 1e30 is finite; the squares of its features are not
    with np.errstate(all="ignore"), pytest.raises(DivergenceError, match="step 2") as caught:
        run(first, steps=3, learning_rate=1e30)
    assert len(caught.value.history) == 1
    assert math.isfinite(caught.value.history[0].loss)
    assert np.array_equal(caught.value.picture, first.to_input(pixels(8, 10), (8, 10)))
    assert first.to_image(caught.value.picture).size == (10, 8)


def test_divergence_is_not_announced_by_warnings_of_numpy(first):
    with pytest.raises(DivergenceError):  # warnings are errors in these tests
        run(first, steps=3, learning_rate=1e30)
