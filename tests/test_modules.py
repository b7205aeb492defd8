from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d, max_pool2d
from toys import loop_gram, products, sum_of_squares

from stylelib import (
    IMAGE_MEAN,
    IMAGE_STD,
    ContentLoss,
    LossWeights,
    Normalization,
    StyleLoss,
    insert_losses,
    modules_objective,
    preprocess,
    samples,
    vgg19,
)

WEIGHTS = LossWeights(content=0.7, style=300.0, tv=0.0)
LAYERS = ("c1", "r1", "c2", "r2", "pool", "c3", "r3", "c4")


def tiny_net(inplace=False, seed=0):
    """Four convolutions in float64 with random weights, frozen."""
    rng = np.random.default_rng(seed)

    def conv(before, after):
        layer = nn.Conv2d(before, after, 3, padding=1).double()
        layer.weight.data = torch.tensor(rng.normal(size=layer.weight.shape) / before**0.5 / 3)
        layer.bias.data = torch.tensor(0.1 * rng.normal(size=after))
        return layer

    parts = [
        conv(3, 4),
        nn.ReLU(inplace),
        conv(4, 5),
        nn.ReLU(inplace),
        nn.MaxPool2d(2),
        conv(5, 6),
        nn.ReLU(inplace),
        conv(6, 4),
    ]
    named = OrderedDict(zip(LAYERS, parts, strict=True))
    return nn.Sequential(named).eval().requires_grad_(False)


def picture(seed, height=8, width=10, lowest=None):
    rng = np.random.default_rng(seed)
    values = (
        rng.normal(size=(1, 3, height, width))
        if lowest is None
        else rng.random((1, 3, height, width))
    )
    return torch.tensor(values)


def features(net, X):
    """What each layer of the tiny network gives, by functions that change nothing in place."""
    found = {}
    for name, layer in zip(LAYERS, net, strict=True):
        if name.startswith("c"):
            X = conv2d(X, layer.weight, layer.bias, padding=1)
        elif name.startswith("r"):
            X = torch.where(X > 0, X, torch.zeros_like(X))
        else:
            X = max_pool2d(X, 2)
        found[name] = X
    return found


def written_content(Y_hat, P, by):
    total = sum_of_squares(*(Y.detach().numpy() for Y in (Y_hat, P)))
    return total / Y_hat.numel() if by == "modules" else total / 2


def written_style(Y_hat, Y, by):
    F, S = (each.detach().numpy() for each in (Y_hat, Y))
    if by == "modules":
        return sum_of_squares(loop_gram(F), loop_gram(S)) / F.shape[1] ** 2
    A = loop_gram(S) * F[0].size  # brought to the size of F
    return sum_of_squares(products(F), A) / (4 * F[0].size ** 2)


def functional_total(net, X, content_X, style_X, content_layers, style_layers, by):
    """The whole objective, from the formulas, by torch's own differentiation."""
    current, wanted, painted = (
        features(net, X),
        features(net, content_X),
        features(net, style_X),
    )
    contents, styles = [], []
    for name in content_layers:
        squares = (current[name] - wanted[name]) ** 2
        contents.append(squares.mean() if by == "modules" else squares.sum() / 2)
    for name in style_layers:
        F, S = current[name][0].flatten(1), painted[name][0].flatten(1)
        C, M, M_style = *F.shape, S.shape[1]
        G, A = torch.einsum("im,jm->ij", F, F), torch.einsum("im,jm->ij", S, S)
        if by == "modules":
            styles.append(((G / (C * M) - A / (C * M_style)) ** 2).mean())
        else:
            styles.append(((G - A * M / M_style) ** 2).sum() / (4 * C**2 * M**2))
    content, style = sum(contents), sum(styles)
    if by == "paper":
        content, style = content / max(1, len(contents)), style / max(1, len(styles))
    return WEIGHTS.content * content, WEIGHTS.style * style


def slope(loss, X):
    (gradient,) = torch.autograd.grad(loss, X, retain_graph=True)
    return gradient


def test_normalization_is_the_arithmetic_of_preprocess():
    image = samples.load("chelsea").resize((13, 9))
    pixels = torch.tensor(np.array(image)).permute(2, 0, 1)[None].float() / 255
    torch.testing.assert_close(
        Normalization()(pixels), preprocess(image, (9, 13)), rtol=0, atol=1e-6
    )


def test_normalization_by_hand():
    X = picture(0, 2, 3, lowest=0)
    mean, std = torch.tensor([0.1, 0.2, 0.3]).double(), torch.tensor([2.0, 4.0, 0.5]).double()
    Y = Normalization(mean, std)(X)
    assert Y.shape == X.shape
    for c, (m, s) in enumerate([(0.1, 2.0), (0.2, 4.0), (0.3, 0.5)]):
        for i in range(2):
            for j in range(3):
                assert Y[0, c, i, j].item() == pytest.approx(
                    (X[0, c, i, j].item() - float(np.float32(m))) / s, abs=1e-12
                )


def test_normalization_has_no_parameters_and_leaves_its_input_alone():
    X = picture(0, lowest=0)
    before = X.clone()
    layer = Normalization()
    layer(X)
    assert torch.equal(X, before)
    assert list(layer.parameters()) == []
    assert set(dict(layer.named_buffers())) == {"mean", "std"}


@pytest.mark.parametrize("by", ["modules", "paper"])
def test_content_loss_passes_its_input_on_and_keeps_the_loss(by):
    Y, Y_hat, later = picture(0, 3, 4), picture(1, 3, 4), picture(2, 3, 4)
    module = ContentLoss(Y, by)
    before = Y_hat.clone()
    assert module(Y_hat) is Y_hat
    assert torch.equal(Y_hat, before)
    assert module.loss.shape == ()
    assert module.loss.item() == pytest.approx(written_content(Y_hat, Y, by), rel=1e-12)
    module(later)
    assert module.loss.item() == pytest.approx(written_content(later, Y, by), rel=1e-12)


@pytest.mark.parametrize("by", ["modules", "paper"])
@pytest.mark.parametrize("size", [(3, 4), (5, 7)])
def test_style_loss_passes_its_input_on_and_keeps_the_loss(by, size):
    Y, Y_hat, later = picture(0, *size), picture(1, 3, 4), picture(2, 3, 4)
    module = StyleLoss(Y, by)
    before = Y_hat.clone()
    assert module(Y_hat) is Y_hat
    assert torch.equal(Y_hat, before)
    assert module.loss.shape == ()
    assert module.loss.item() == pytest.approx(written_style(Y_hat, Y, by), rel=1e-12)
    module(later)
    assert module.loss.item() == pytest.approx(written_style(later, Y, by), rel=1e-12)


def test_losses_are_by_default_in_the_convention_of_modules():
    Y, Y_hat = picture(0, 3, 4), picture(1, 3, 4)
    content, style = ContentLoss(Y), StyleLoss(Y)
    style(content(Y_hat))
    assert content.loss.item() == pytest.approx(written_content(Y_hat, Y, "modules"), rel=1e-12)
    assert style.loss.item() == pytest.approx(written_style(Y_hat, Y, "modules"), rel=1e-12)


@pytest.mark.parametrize("kind", [ContentLoss, StyleLoss])
def test_no_gradient_flows_into_the_target(kind):
    Y, Y_hat = picture(0, 3, 4).requires_grad_(), picture(1, 3, 4).requires_grad_()
    module = kind(Y * 2)
    assert not module.target.requires_grad
    module(Y_hat)
    module.loss.backward()
    assert Y.grad is None
    assert Y_hat.grad.abs().max() > 0


@pytest.mark.parametrize("by", ["modules", "paper"])
@pytest.mark.parametrize("style_size", [(8, 10), (11, 6)])
@pytest.mark.parametrize("inplace", [False, True])
@pytest.mark.parametrize(
    ("content_layers", "style_layers"),
    [
        (("r2",), ("r1", "r2", "r3")),
        (("r3", "r1"), ("r2",)),
        (("c4",), ("r1", "c4")),
        (("pool",), ()),
        ((), ("pool", "r3")),
        (("c1",), ()),
        (("c2",), ("c1", "c2", "c3", "c4")),
        (("c1", "c3"), ("c2",)),
    ],
)
def test_losses_and_gradients_are_those_of_the_formulas(
    by, style_size, inplace, content_layers, style_layers
):
    net = tiny_net(inplace)
    content_X, style_X = picture(1), picture(2, *style_size)
    losses = insert_losses(
        net, content_X, style_X, content_layers=content_layers, style_layers=style_layers, by=by
    )
    X = picture(3).requires_grad_()
    found = modules_objective(losses, WEIGHTS)(X)
    content, style = functional_total(
        net, X, content_X, style_X, content_layers, style_layers, by
    )
    kinds = {"content": content} if content_layers else {}
    kinds |= {"style": style} if style_layers else {}
    assert list(found) == list(kinds)
    for name, expected in kinds.items():
        assert found[name].item() == pytest.approx(expected.item(), rel=1e-10)
        mine, theirs = slope(found[name], X), slope(expected, X)
        torch.testing.assert_close(mine, theirs, rtol=0, atol=1e-10 * theirs.abs().max().item())
        assert theirs.abs().max() > 0


def test_the_gradient_is_that_of_finite_differences():
    losses = insert_losses(
        tiny_net(),
        picture(1),
        picture(2, 7, 9),
        content_layers=["r2"],
        style_layers=["r1", "r3"],
        by="paper",
    )
    objective = modules_objective(losses, WEIGHTS._replace(tv=3.0))

    def total(X):
        return sum(objective(X).values())

    X = picture(3).requires_grad_()
    gradient = slope(total(X), X)
    for seed in range(3):
        V = picture(10 + seed)
        step = 1e-6
        with torch.no_grad():
            difference = (total(X + step * V) - total(X - step * V)).item() / (2 * step)
        assert difference == pytest.approx((gradient * V).sum().item(), rel=1e-6)


@pytest.mark.parametrize("inplace", [False, True])
def test_each_loss_is_0_at_its_own_picture(inplace):
    content_X, style_X = picture(1), picture(2)
    losses = insert_losses(
        tiny_net(inplace),
        content_X,
        style_X,
        content_layers=["c1", "r2", "c4"],
        style_layers=["c1", "c2", "r3"],
    )
    losses.model(content_X)
    assert [module.loss.item() for module in losses.content_losses] == [0.0] * 3
    assert all(module.loss > 1e-6 for module in losses.style_losses)
    losses.model(style_X)
    assert [module.loss.item() for module in losses.style_losses] == [0.0] * 3
    assert all(module.loss > 1e-6 for module in losses.content_losses)


def test_with_in_place_relus_the_convolution_itself_is_compared():
    """The network of torchvision's has in-place ReLUs, which overwrite a tapped convolution."""
    content_X, style_X, X = picture(1), picture(2), picture(3)
    taps = ["c1", "c2", "c3"]
    plain, inplace = (
        insert_losses(
            tiny_net(kind), content_X, style_X, content_layers=taps, style_layers=taps
        )
        for kind in (False, True)
    )
    plain.model(X)
    inplace.model(X)
    for kind in ("content_losses", "style_losses"):
        expected = [module.loss.item() for module in getattr(plain, kind)]
        assert [module.loss.item() for module in getattr(inplace, kind)] == expected
    for mine, theirs in zip(inplace.content_losses, plain.content_losses, strict=True):
        assert (theirs.target < 0).any()  # so it is no ReLU's output
        assert torch.equal(mine.target, theirs.target)


def test_torchvisions_own_network_gives_what_the_functions_give():
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(0)
    net = torchvision.models.vgg19(weights=None).features[:6].double().requires_grad_(False)
    content_X, X = picture(1, 16, 16), picture(2, 16, 16)
    losses = insert_losses(
        net, content_X, X, content_layers=["0", "2", "5"], style_layers=["0", "5"]
    )
    losses.model(X)

    def taps(Y):
        found = []
        for index in range(6):
            layer = net[index]
            if isinstance(layer, nn.Conv2d):
                Y = conv2d(Y, layer.weight, layer.bias, padding=1)
                if index in (0, 2, 5):
                    found.append(Y)
            else:
                Y = Y.clamp(min=0) if isinstance(layer, nn.ReLU) else max_pool2d(Y, 2)
        return found

    for module, Y_hat, Y in zip(losses.content_losses, taps(X), taps(content_X), strict=True):
        assert module.loss.item() == pytest.approx(((Y_hat - Y) ** 2).mean().item(), rel=1e-9)
    assert [module.loss.item() for module in losses.style_losses] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("content_layers", "style_layers", "last"),
    [
        (["r2"], ["r1"], "content_r2"),
        (["r1"], ["r2"], "style_r2"),
        (["c1"], ["c1"], "style_c1"),
        (["r1"], ["c3", "c1"], "style_c3"),
        ([7], [], "content_c4"),
    ],
)
def test_the_model_ends_with_its_last_loss(content_layers, style_layers, last):
    net = tiny_net()
    losses = insert_losses(
        net, picture(1), picture(2), content_layers=content_layers, style_layers=style_layers
    )
    names = [name for name, _ in losses.model.named_children()]
    assert names[-1] == last
    deepest = last.split("_")[1]
    assert [name for name in names if name in LAYERS] == list(
        LAYERS[: LAYERS.index(deepest) + 1]
    )
    # what comes out is what the network gives there
    torch.testing.assert_close(
        losses.model(picture(3)), features(net, picture(3))[deepest], rtol=0, atol=1e-12
    )


def test_losses_are_in_the_order_of_the_network():
    net = tiny_net()
    content_X, style_X = picture(1), picture(2)
    losses = insert_losses(
        net, content_X, style_X, content_layers=["c4", "r1"], style_layers=["c3", 0, "r2"]
    )
    assert len(losses.content_losses) == 2
    assert len(losses.style_losses) == 3
    wanted = features(net, content_X)
    for module, name in zip(losses.content_losses, ["r1", "c4"], strict=True):
        torch.testing.assert_close(module.target, wanted[name], rtol=0, atol=1e-12)
    X = picture(3)
    losses.model(X)
    current, painted = features(net, X), features(net, style_X)
    for module, name in zip(losses.style_losses, ["c1", "r2", "c3"], strict=True):
        assert module.loss.item() == pytest.approx(
            written_style(current[name], painted[name], "modules"), rel=1e-10
        )
    inside = list(losses.model)
    places = [[inside.index(module) for module in kind] for kind in losses[1:]]
    assert places == [sorted(place) for place in places]


@pytest.mark.parametrize("inplace", [False, True])
def test_the_given_network_is_not_changed(inplace):
    net = tiny_net(inplace)
    names, layers = [name for name, _ in net.named_children()], list(net)
    state = {name: value.clone() for name, value in net.state_dict().items()}
    content_X, style_X = picture(1), picture(2)
    pictures = content_X.clone(), style_X.clone()
    losses = insert_losses(
        net, content_X, style_X, content_layers=["r2"], style_layers=["r1", "c3", "r3"]
    )
    X = picture(3).requires_grad_()
    sum(modules_objective(losses, WEIGHTS)(X).values()).backward()
    assert [name for name, _ in net.named_children()] == names
    assert all(mine is before for mine, before in zip(net, layers, strict=True))
    assert [layer.inplace for layer in net if isinstance(layer, nn.ReLU)] == [inplace] * 3
    assert not net.training
    after = net.state_dict()
    assert list(after) == list(state)
    assert all(torch.equal(after[name], value) for name, value in state.items())
    assert torch.equal(content_X, pictures[0])
    assert torch.equal(style_X, pictures[1])
    # the model shares the convolutions, and none of its ReLUs is in place
    shared = [layer for layer in losses.model if isinstance(layer, nn.Conv2d)]
    assert [id(layer) for layer in shared] == [id(net.c1), id(net.c2), id(net.c3)]
    relus = [layer for layer in losses.model if isinstance(layer, nn.ReLU)]
    assert [layer.inplace for layer in relus] == [False] * 3


def test_relus_that_are_not_in_place_are_shared_too():
    net = tiny_net()
    losses = insert_losses(net, picture(1), picture(2), content_layers=["c4"], style_layers=[])
    model = dict(losses.model.named_children())
    assert all(model[name] is getattr(net, name) for name in LAYERS)


def test_a_layer_that_stands_in_two_places_is_in_both():
    """As in `relu = nn.ReLU(); nn.Sequential(c1, relu, c2, relu, c3)`."""
    parts = tiny_net()
    net = nn.Sequential(parts.c1, parts.r1, parts.c2, parts.r1, parts.c3)
    apart = nn.Sequential(parts.c1, nn.ReLU(), parts.c2, nn.ReLU(), parts.c3)
    X = picture(3)
    for layer in ("3", "4"):
        one, other = (
            insert_losses(each, picture(1), picture(2), content_layers=[layer], style_layers=[])
            for each in (net, apart)
        )
        one.model(X)
        other.model(X)
        assert one.content_losses[0].loss == other.content_losses[0].loss
        assert len(one.model) == len(other.model) == int(layer) + 2
    assert torch.equal(one.content_losses[0].target, apart(picture(1)))


def test_modules_have_their_numbers_to_themselves():
    """Loading a state dict writes into buffers; a layer in place, into what it was given."""
    mean, std = IMAGE_MEAN.clone(), IMAGE_STD.clone()
    half = torch.full((3, 1, 1), 0.5)
    Normalization().load_state_dict({"mean": half, "std": half})
    assert torch.equal(IMAGE_MEAN, mean)
    assert torch.equal(IMAGE_STD, std)
    Y = picture(1)
    loss = ContentLoss(Y)
    Y.zero_()
    assert torch.equal(loss.target, picture(1))


def test_no_gradient_is_stored_in_frozen_weights():
    net = tiny_net()
    losses = insert_losses(
        net, picture(1), picture(2), content_layers=["r2"], style_layers=["r1", "r3"]
    )
    X = picture(3).requires_grad_()
    sum(modules_objective(losses, WEIGHTS)(X).values()).backward()
    assert X.grad.abs().max() > 0
    assert all(weight.grad is None for weight in net.parameters())
    assert all(not weight.requires_grad for weight in losses.model.parameters())


def test_targets_take_no_gradient_even_where_weights_and_pictures_would():
    net = tiny_net().requires_grad_(True)
    content_X, style_X = picture(1).requires_grad_(), picture(2).requires_grad_()
    losses = insert_losses(
        net, content_X, style_X, content_layers=["r2"], style_layers=["r1", "r3"]
    )
    targets = [module.target for module in (*losses.content_losses, *losses.style_losses)]
    assert all(not target.requires_grad and target.grad_fn is None for target in targets)
    X = picture(3).requires_grad_()
    sum(modules_objective(losses, WEIGHTS)(X).values()).backward()
    assert content_X.grad is None
    assert style_X.grad is None


@pytest.mark.parametrize("by", ["modules", "paper"])
def test_with_a_normalization_the_pictures_are_plain_ones(by):
    net = tiny_net()
    mean, std = IMAGE_MEAN.double(), IMAGE_STD.double()
    plain = [picture(seed, 8 + size, 10, lowest=0) for seed, size in ((1, 0), (2, 3), (3, 0))]
    normal = [(X - mean.view(3, 1, 1)) / std.view(3, 1, 1) for X in plain]
    layers = {"content_layers": ["r2"], "style_layers": ["r1", "c3"], "by": by}
    normalization = Normalization(mean, std)
    within = insert_losses(net, *plain[:2], **layers, normalization=normalization)
    without = insert_losses(net, *normal[:2], **layers)
    assert next(iter(within.model)) is normalization
    assert not any(isinstance(layer, Normalization) for layer in without.model)
    X, Z = plain[2].requires_grad_(), normal[2].requires_grad_()
    mine, theirs = (
        modules_objective(losses, WEIGHTS)(Y) for losses, Y in ((within, X), (without, Z))
    )
    for name in ("content", "style"):
        assert mine[name].item() == pytest.approx(theirs[name].item(), rel=1e-10)
        # by the chain rule
        torch.testing.assert_close(
            slope(mine[name], X), slope(theirs[name], Z) / std.view(3, 1, 1), rtol=1e-9, atol=0
        )


def test_the_default_layers_are_those_of_the_paper():
    net = vgg19("random", layers=["relu5_1"])
    X = preprocess(samples.load("chelsea"), (32, 48))
    losses = insert_losses(net, X, preprocess(samples.load("mosaic"), (40, 32)))
    tapped = [
        name
        for name, layer in losses.model.named_children()
        if isinstance(layer, ContentLoss | StyleLoss)
    ]
    assert tapped == [
        "style_relu1_1",
        "style_relu2_1",
        "style_relu3_1",
        "style_relu4_1",
        "content_relu4_2",
        "style_relu5_1",
    ]
    assert losses.content_losses[0].target.shape == (1, 512, 4, 6)
    assert [module.target.shape[-1] for module in losses.style_losses] == [
        64,
        128,
        256,
        512,
        512,
    ]
    assert [name for name, _ in losses.model.named_children() if "_relu" not in name] == [
        name for name, _ in net.named_children()
    ]


def test_layers_may_be_given_by_number():
    net = tiny_net()
    by_name, by_number = (
        insert_losses(net, picture(1), picture(2), content_layers=content, style_layers=style)
        for content, style in ((["r2"], ["c1", "c3"]), ([3], [0, 5]))
    )
    X = picture(3)
    values = [
        {name: loss.item() for name, loss in modules_objective(losses, WEIGHTS)(X).items()}
        for losses in (by_name, by_number)
    ]
    assert values[0] == values[1]
    assert min(values[0].values()) > 0


@pytest.mark.parametrize("tv", [0.0, 0.25, 7.0])
def test_total_variation_is_there_only_where_it_has_a_weight(tv):
    losses = insert_losses(
        tiny_net(), picture(1), picture(2), content_layers=["r2"], style_layers=["r1"]
    )
    X = picture(3)
    found = modules_objective(losses, WEIGHTS._replace(tv=tv))(X)
    assert list(found) == ["content", "style"] + ["tv"] * bool(tv)
    if tv:
        x, down, across = X.numpy()[0], [], []
        for c in range(3):
            for i in range(8):
                for j in range(10):
                    if i:
                        down.append(abs(x[c, i, j] - x[c, i - 1, j]))
                    if j:
                        across.append(abs(x[c, i, j] - x[c, i, j - 1]))
        expected = tv * 0.5 * (np.mean(down) + np.mean(across))
        assert found["tv"].item() == pytest.approx(expected, rel=1e-12)


def test_weights_multiply_their_losses():
    losses = insert_losses(
        tiny_net(), picture(1), picture(2), content_layers=["r2"], style_layers=["r1", "r3"]
    )
    X = picture(3)
    one = modules_objective(losses, LossWeights(1.0, 1.0, 1.0))(X)
    many = modules_objective(losses, LossWeights(2.0, 3e5, 7.0))(X)
    for name, factor in (("content", 2.0), ("style", 3e5), ("tv", 7.0)):
        assert many[name].item() == pytest.approx(factor * one[name].item(), rel=1e-12)


def test_losses_can_be_computed_again_and_again():
    losses = insert_losses(
        tiny_net(), picture(1), picture(2), content_layers=["r2"], style_layers=["r1", "r3"]
    )
    objective = modules_objective(losses, WEIGHTS)
    first = None
    for seed in (3, 4, 3):
        X = picture(seed).requires_grad_()
        total = sum(objective(X).values())
        total.backward()
        if first is None:
            first = total.item(), X.grad.clone()
    assert (total.item(), True) == (first[0], torch.equal(X.grad, first[1]))
