import copy

import pytest
import torch
import torchvision
from torch import nn
from toys import noise

from stylelib import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    VGG19_LAYERS,
    FeatureExtractor,
    InputError,
    NetworkFeatures,
    extract_features,
    get_contents,
    get_styles,
    preprocess,
    vgg19,
)
from stylelib.precision import resolve_precision


def picture(height=48, width=64, batch=1, seed=0):
    return noise((batch, 3, height, width), seed)


def run(net, number, X):
    """The output of module `number`, by a loop of its own."""
    for index in range(number + 1):
        X = net[index](X)
    return X


# --- what is returned


@pytest.mark.parametrize("number", sorted({*STYLE_LAYERS, *CONTENT_LAYERS}))
def test_features_at_i_are_the_output_of_module_i(net, number):
    X = picture()
    ((as_content,), (as_style,)) = extract_features(X, net, [number], [number])
    expected = net[: number + 1](X)
    assert torch.equal(as_content, expected)
    assert torch.equal(as_style, expected)


def test_the_defaults_are_five_styles_and_one_content(net):
    X = picture()
    contents, styles = extract_features(X, net)
    assert [tuple(Y.shape) for Y in styles] == [
        (1, 64, 48, 64),
        (1, 128, 24, 32),
        (1, 256, 12, 16),
        (1, 512, 6, 8),
        (1, 512, 3, 4),
    ]
    assert [tuple(Y.shape) for Y in contents] == [(1, 512, 6, 8)]
    for Y, number in zip([*contents, *styles], [25, 0, 5, 10, 19, 28], strict=True):
        assert torch.equal(Y, run(net, number, X))


def test_features_before_a_relu_keep_their_negative_values(net):
    contents, styles = extract_features(picture(), net)
    for Y in [*contents, *styles]:
        assert (Y < 0).any()


@pytest.mark.parametrize("number", range(37))
def test_names_and_numbers_give_the_same_features(whole_net, number):
    X = picture(32, 32)
    (by_number,), (by_name,) = extract_features(X, whole_net, [number], [VGG19_LAYERS[number]])
    assert torch.equal(by_number, by_name)


def test_order_and_repetition_are_those_asked_for(net):
    X = picture()
    contents, styles = extract_features(X, net, [10, 0, 10], ["conv2_1", 1, 5])
    for Y, number in zip([*contents, *styles], [10, 0, 10, 5, 1, 5], strict=True):
        assert torch.equal(Y, run(net, number, X))


@pytest.mark.parametrize(("content", "style"), [((), (5,)), ((5,), ()), ((), ())])
def test_a_list_of_layers_may_be_empty(net, content, style):
    contents, styles = extract_features(picture(), net, content, style)
    assert (len(contents), len(styles)) == (len(content), len(style))


def test_each_picture_of_a_batch_is_on_its_own(net):
    X = picture(batch=3)
    together = extract_features(X, net)
    for i in range(3):
        alone = extract_features(X[i : i + 1], net)
        for Y, y in zip(together[0] + together[1], alone[0] + alone[1], strict=True):
            # the same sums in another order: float32, 13 layers
            torch.testing.assert_close(
                Y[i : i + 1], y, rtol=1e-4, atol=1e-4 * float(y.abs().max())
            )


def test_the_picture_is_not_changed(net):
    X = picture()
    before = X.clone()
    extract_features(X, net, [1], [4])
    extract_features(X, net, after_inplace_relu=True)
    assert torch.equal(X, before)


# --- how much is computed


@pytest.mark.parametrize(
    ("content", "style"),
    [((25,), (0, 5)), ((2,), (10, 10, 10)), (("relu1_1",), ()), ((), (36,))],
)
@pytest.mark.parametrize("after_inplace_relu", [True, False])
def test_every_layer_runs_once_and_none_below_the_deepest(
    whole_net, content, style, after_inplace_relu
):
    calls = []
    hooks = [
        layer.register_forward_hook(lambda *_, i=i: calls.append(i))
        for i, layer in enumerate(whole_net)
    ]
    try:
        extract_features(
            picture(32, 32), whole_net, content, style, after_inplace_relu=after_inplace_relu
        )
    finally:
        for hook in hooks:
            hook.remove()
    deepest = {"relu1_1": 1}.get(content[0], content[0]) if content else 0
    deepest = max(deepest, *style, 0)
    if after_inplace_relu and isinstance(whole_net[min(deepest + 1, 36)], torch.nn.ReLU):
        deepest += 1  # the ReLU that overwrites the deepest layer asked for
    assert calls == list(range(deepest + 1))


def test_after_inplace_relu_depends_on_the_network_not_on_what_is_asked_for(net):
    X = picture(64, 64)
    (alone,), _ = extract_features(X, net, [25], [], after_inplace_relu=True)
    (beside,), _ = extract_features(X, net, [25], [28], after_inplace_relu=True)
    assert torch.equal(alone, beside)
    assert alone.min() == 0


def test_nothing_runs_where_nothing_is_asked_for(whole_net):
    calls = []
    hook = whole_net[0].register_forward_hook(lambda *_: calls.append(0))
    extract_features(picture(32, 32), whole_net, (), ())
    hook.remove()
    assert calls == []


# --- the trap of the in-place ReLUs


@pytest.fixture(scope="module")
def exact(net):
    # float64, so that no ReLU or maximum is decided the other way by rounding
    return copy.deepcopy(net).double()


@pytest.fixture(scope="module")
def trapped(exact):
    """torchvision's own network, its ReLUs in place, with the same weights."""
    features = torchvision.models.vgg19(weights=None).features[:29].double()
    weights = zip(features.state_dict(), exact.state_dict().values(), strict=True)
    features.load_state_dict(dict(weights))
    assert all(layer.inplace for layer in features if isinstance(layer, nn.ReLU))
    return features.eval().requires_grad_(False)


def collected(features, X, content_layers, style_layers):
    """The loop of the recipe: every output goes into a list, where a later ReLU overwrites
    it."""
    contents, styles = {}, {}
    for i in range(len(features)):
        X = features[i](X)
        if i in style_layers:
            styles[i] = X
        if i in content_layers:
            contents[i] = X
    return [contents[i] for i in content_layers], [styles[i] for i in style_layers]


def test_after_inplace_relu_is_what_the_recipe_collects(exact, trapped):
    X = picture().double()
    ours = extract_features(X, exact, after_inplace_relu=True)
    theirs = collected(trapped, X.clone(), CONTENT_LAYERS, STYLE_LAYERS)
    for our_list, their_list in zip(ours, theirs, strict=True):
        assert len(our_list) == len(their_list)
        for Y, expected in zip(our_list, their_list, strict=True):
            torch.testing.assert_close(
                Y, expected, rtol=1e-9, atol=1e-10 * float(expected.abs().max())
            )
    # 28 is the deepest: no ReLU follows it, so it alone keeps its negative values.
    assert [bool((Y < 0).any()) for Y in ours[1]] == [False, False, False, False, True]
    assert [bool((Y < 0).any()) for Y in ours[0]] == [False]
    assert [bool((Y < 0).any()) for Y in theirs[1]] == [False, False, False, False, True]


def test_after_inplace_relu_has_the_recipes_gradient(exact, trapped):
    gradients = []
    for collect in (
        lambda X: extract_features(X, exact, after_inplace_relu=True),
        lambda X: collected(trapped, X.clone(), CONTENT_LAYERS, STYLE_LAYERS),
    ):
        X = picture().double().requires_grad_()
        contents, styles = collect(X)
        loss = sum((Y**2).mean() for Y in styles) + 3 * sum(
            (Y - 1).abs().mean() for Y in contents
        )
        loss.backward()
        gradients.append(X.grad)
    ours, theirs = gradients
    assert theirs.norm() > 0
    assert float((ours - theirs).norm() / theirs.norm()) < 1e-9


def test_with_and_without_the_trap_differ_except_at_the_deepest(net):
    X = picture()
    plain, after = extract_features(X, net), extract_features(X, net, after_inplace_relu=True)
    for i, (Y, Z) in enumerate(zip(plain[1], after[1], strict=True)):
        assert torch.equal(Z, Y if i == 4 else Y.clamp(min=0))
    assert torch.equal(after[0][0], plain[0][0].clamp(min=0))


def test_layers_that_no_relu_follows_are_left_alone(whole_net):
    X = picture(32, 32)
    for layer in ("relu2_1", "pool2"):
        ((plain,), _) = extract_features(X, whole_net, [layer], ["conv5_1"])
        ((after,), _) = extract_features(
            X, whole_net, [layer], ["conv5_1"], after_inplace_relu=True
        )
        assert torch.equal(plain, after)


# --- gradients


def test_the_gradient_reaches_the_picture_and_no_weight(net):
    X = picture().requires_grad_()
    contents, styles = extract_features(X, net)
    sum(Y.square().mean() for Y in [*contents, *styles]).backward()
    assert X.grad is not None
    assert torch.isfinite(X.grad).all()
    assert X.grad.abs().sum() > 0
    assert all(p.grad is None for p in net.parameters())


def test_the_gradient_is_that_of_finite_differences():
    double = vgg19("random", layers=["conv2_1"], seed=5).double()
    X = picture(6, 6, seed=1).double().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda X: extract_features(X, double, ["conv1_2"], ["conv2_1"])[0][0].sum(), X
    )
    assert torch.autograd.gradcheck(
        lambda X: extract_features(X, double, ["conv1_2"], ["conv2_1"])[1][0].sum(), X
    )


# --- precision


def test_bfloat16_is_near_float32_and_comes_back_as_float32(net, photo, needs_bfloat16):
    X = preprocess(photo, 64)
    exact = FeatureExtractor(net, precision="float32")(X)
    rough = FeatureExtractor(net, precision="bfloat16")(X)
    for Y, Z in zip(exact[0] + exact[1], rough[0] + rough[1], strict=True):
        assert Z.dtype == torch.float32
        error = float((Z - Y).norm() / Y.norm())
        # bfloat16 keeps 8 bits: half a unit is 2**-9 = 0.2 %, which grows over up to 13 convolutions
        assert 1e-4 < error < 0.04


def test_bfloat16_values_are_rounded_to_8_bits(net, needs_bfloat16):
    (_, (Y,)) = FeatureExtractor(net, (), [0], precision="bfloat16")(picture())
    assert torch.equal(Y, Y.bfloat16().float())
    (_, (Y,)) = FeatureExtractor(net, (), [0], precision="float32")(picture())
    assert not torch.equal(Y, Y.bfloat16().float())


def test_auto_is_one_of_the_three(net):
    X = picture()
    name = resolve_precision("auto", torch.device("cpu"))
    assert name in ("float32", "winograd", "bfloat16")
    for Y, Z in zip(
        FeatureExtractor(net, precision="auto")(X)[1],
        FeatureExtractor(net, precision=name)(X)[1],
        strict=True,
    ):
        assert torch.equal(Y, Z)


def test_float64_works_with_a_network_of_float64(whole_net):
    double = copy.deepcopy(whole_net).double()
    X = picture(32, 32)
    ((Y,), _) = extract_features(X.double(), double, ["conv3_1"], ())
    ((y,), _) = extract_features(X, whole_net, ["conv3_1"], ())
    assert Y.dtype == torch.float64
    assert 0 < float((Y - y).abs().max() / Y.abs().max()) < 1e-5


# --- get_contents and get_styles


@pytest.mark.parametrize("shape", [32, (32, 48)])
def test_get_contents_and_get_styles_give_the_picture_and_its_features(net, photo, shape):
    content_X, contents_Y = get_contents(photo, shape, net)
    style_X, styles_Y = get_styles(photo, shape, net)
    X = preprocess(photo, shape)
    assert torch.equal(content_X, X)
    assert torch.equal(style_X, X)
    for Y, number in zip([*contents_Y, *styles_Y], [25, 0, 5, 10, 19, 28], strict=True):
        assert torch.equal(Y, run(net, number, X))
        assert not Y.requires_grad
        assert Y.device.type == "cpu"
    assert (len(contents_Y), len(styles_Y)) == (1, 5)


def test_get_contents_and_get_styles_take_other_layers_and_a_device(net, photo):
    X, contents_Y = get_contents(photo, (16, 20), net, "cpu", content_layers=["relu1_1", 4])
    assert [tuple(Y.shape) for Y in contents_Y] == [(1, 64, 16, 20), (1, 64, 8, 10)]
    X, styles_Y = get_styles(photo, (16, 20), net, torch.device("cpu"), style_layers=[5])
    assert [tuple(Y.shape) for Y in styles_Y] == [(1, 128, 8, 10)]
    assert X.device.type == "cpu"


def test_no_gradient_is_kept_even_where_the_network_would_learn(photo):
    learning = vgg19("random", layers=["conv1_2"]).requires_grad_()
    assert not get_contents(photo, 16, learning, content_layers=[2])[1][0].requires_grad
    assert not get_styles(photo, 16, learning, style_layers=[2])[1][0].requires_grad
    assert torch.is_grad_enabled()


# --- what is refused


@pytest.mark.parametrize(
    ("layer", "smallest"),
    [
        ("conv1_2", 1),
        ("pool1", 2),
        ("conv2_1", 2),
        ("conv3_4", 4),
        ("conv4_4", 8),
        ("conv5_1", 16),
        ("pool5", 32),
    ],
)
def test_a_picture_too_small_is_refused_and_the_smallest_named_works(
    whole_net, layer, smallest
):
    ((Y,), _) = extract_features(picture(smallest, smallest), whole_net, [layer], ())
    assert Y.shape[2:] == (1, 1)
    for height, width in [(smallest - 1, 64), (64, smallest - 1)]:
        with pytest.raises(InputError) as raised:
            extract_features(picture(height, width), whole_net, [layer], ())
        assert f"{height} x {width}" in str(raised.value)
        assert f"needs {smallest} or more" in str(raised.value)


# --- other networks


@pytest.mark.parametrize("layer", [nn.BatchNorm2d(3), nn.Dropout(), nn.Dropout2d()], ids=repr)
def test_a_network_that_a_pass_would_change_is_refused(layer):
    net = nn.Sequential(nn.Sequential(layer), nn.ReLU())
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(InputError, match=r"call net.eval\(\) first"):
        FeatureExtractor(net, [1], [])
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())
    ((Y,), _) = FeatureExtractor(net.eval(), [1], [])(picture())
    assert torch.isfinite(Y).all()


def test_layers_without_two_ways_may_be_in_training_mode():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU()).train()
    assert NetworkFeatures(net)(picture(), [1])[0].shape[1] == 4
