from dataclasses import FrozenInstanceError, replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import (
    SEEDS,
    SHAPES,
    assert_near,
    draw,
    loop_gram,
    products,
    quick,
    sum_of_squares,
    variations,
)

from stylelib import assignment, extract_features, preprocess, samples
from stylelib import squeezenet1_1 as build_squeezenet
from stylelib.relatives.assignment import (
    EMBEDDED_SETTINGS,
    SQUEEZENET_SETTINGS,
    content_loss,
    gram_matrix,
    style_loss,
    style_transfer,
    tv_loss,
)

PICTURES = st.tuples(st.integers(1, 3), st.just(3), st.integers(1, 5), st.integers(1, 5))


def loop_style(feats, layers, targets, weights):
    return sum(
        weight * sum_of_squares(loop_gram(feats[index]), A)
        for index, A, weight in zip(layers, targets, weights, strict=True)
    )


def loop_tv(X, weight):
    return weight * sum(variations(X, np.square))


def tensors(arrays):
    return [torch.tensor(array) for array in arrays]


# Content


@quick
@given(SHAPES, SEEDS)
def test_content_loss_equals_loops(shape, seed):
    F, P = draw((2, *shape), seed)
    loss = content_loss(0.06, torch.tensor(F), torch.tensor(P))
    assert loss.ndim == 0
    assert_near(loss, 0.06 * sum_of_squares(F, P))


@pytest.mark.parametrize("N", [1, 3])
def test_content_loss_of_a_shift_counts_every_entry(N):
    P = torch.tensor(draw((N, 2, 4, 5)))
    assert_near(content_loss(3.0, P + 0.25, P), 3 * N * 40 * 0.0625)


# Gram


@quick
@given(SHAPES, SEEDS, st.booleans())
def test_gram_matrix_equals_loops(shape, seed, normalize):
    F = draw(shape, seed)
    G = gram_matrix(torch.tensor(F), normalize)
    assert G.shape == (shape[0], shape[1], shape[1])
    assert_near(G, loop_gram(F) if normalize else products(F))


@pytest.mark.parametrize("N", [1, 3])
def test_gram_matrix_is_normalized_unless_told(N):
    F = draw((N, 4, 3, 5))
    assert_near(gram_matrix(torch.tensor(F)), loop_gram(F))
    assert_near(gram_matrix(torch.tensor(F), normalize=False), products(F))
    assert_near(gram_matrix(torch.tensor(F)) * 60, products(F))  # by C H W, not by N


@pytest.mark.parametrize("normalize", [True, False])
def test_gram_matrix_of_a_constant(normalize):
    G = gram_matrix(torch.full((3, 4, 2, 5), 3.0, dtype=torch.float64), normalize)
    assert_near(G, np.full((3, 4, 4), 9 / 4 if normalize else 90.0))


def folded_gram(X):
    """What reports wrote that were right for N = 1 only: the batch beside the positions."""
    N, C, H, W = X.shape
    F = X.permute(1, 0, 2, 3).reshape(C, N * H * W)
    return F @ F.T / (C * H * W)


def reshaped_gram(X):
    """Another such: reshaped without the batch."""
    N, C, H, W = X.shape
    F = X.reshape(C, N * H * W)
    return F @ F.T / (C * H * W)


@pytest.mark.parametrize("mistaken", [folded_gram, reshaped_gram])
def test_gram_matrices_folded_over_the_batch_are_right_for_one_picture_only(mistaken):
    one, three = torch.tensor(draw((1, 4, 3, 5))), torch.tensor(draw((3, 4, 3, 5)))
    assert_near(gram_matrix(one)[0], mistaken(one))
    assert min((G - mistaken(three)).abs().max() for G in gram_matrix(three)) > 0.1
    assert_near(gram_matrix(three), torch.cat([gram_matrix(X[None]) for X in three]))


# Style

LAYERS = [(2, 6, 8), (4, 3, 4), (5, 2, 2), (3, 1, 2)]  # (C, H, W)


def some_features(N, seed=0):
    return [draw((N, *shape), seed + layer) for layer, shape in enumerate(LAYERS)]


@pytest.mark.parametrize("one_target", [True, False])
@pytest.mark.parametrize("style_layers", [[0, 1, 2, 3], [3, 1], [2], [1, 1], range(4), (0, 2)])
@pytest.mark.parametrize("N", [1, 3])
def test_style_loss_equals_loops(N, style_layers, one_target):
    feats = some_features(N)
    styles = some_features(1 if one_target else N, seed=10)
    targets = [loop_gram(styles[layer]) for layer in style_layers]
    weights = [300000, 1000, 15, 3][: len(style_layers)]
    loss = style_loss(tensors(feats), style_layers, tensors(targets), weights)
    assert loss.ndim == 0
    assert_near(loss, loop_style(feats, style_layers, targets, weights))


@quick
@given(SHAPES, SEEDS, st.booleans())
def test_style_loss_of_one_layer_equals_loops(shape, seed, one_target):
    N, C = shape[:2]
    F, A = draw(shape, seed), draw((1 if one_target else N, C, C), seed + 1)  # not symmetric
    loss = style_loss([torch.tensor(F)], [0], [torch.tensor(A)], [15])
    assert_near(loss, loop_style([F], [0], [A], [15]))


def test_style_loss_adds_up_over_the_batch():
    feats = tensors(some_features(3))
    targets = tensors(loop_gram(F) for F in some_features(1, seed=10))
    weights = [4.0, 3.0, 2.0, 1.0]
    each = [
        style_loss([F[n : n + 1] for F in feats], range(4), targets, weights) for n in range(3)
    ]
    assert_near(style_loss(feats, range(4), targets, weights), sum(each))


def test_style_loss_of_the_style_picture_is_zero():
    feats = some_features(1)
    targets = [gram_matrix(F) for F in tensors(feats)]
    assert style_loss(tensors(feats), range(4), targets, [1.0] * 4).item() == 0


# Total variation


@quick
@given(PICTURES, SEEDS)
def test_tv_loss_equals_loops(shape, seed):
    X = draw(shape, seed)
    loss = tv_loss(torch.tensor(X), 0.05)
    assert loss.ndim == 0
    assert_near(loss, loop_tv(X, 0.05))


@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize(("down", "right"), [(2.0, 0.0), (0.0, 3.0), (-2.0, 3.0), (2.0, -0.5)])
def test_tv_of_a_ramp(N, down, right):
    i, j = torch.meshgrid(torch.arange(4.0).double(), torch.arange(6.0).double(), indexing="ij")
    X = (down * i + right * j).expand(N, 3, 4, 6)
    assert_near(tv_loss(X, 2.0), 2 * N * 3 * (3 * 6 * down**2 + 4 * 5 * right**2))


def test_tv_does_not_compare_across_channels_or_pictures():
    X = torch.arange(6.0).reshape(2, 3, 1, 1).expand(2, 3, 3, 3)
    assert tv_loss(X, 1.0).item() == 0


def tv_as_a_product(X):
    down = (X[:, :, 1:] - X[:, :, :-1]).square().sum()
    return down * (X[:, :, :, 1:] - X[:, :, :, :-1]).square().sum()


def tv_of_rows_twice(X):
    return 2 * (X[:, :, 1:] - X[:, :, :-1]).square().sum()


def tv_of_columns_twice(X):
    return 2 * (X[:, :, :, 1:] - X[:, :, :, :-1]).square().sum()


def tv_with_a_slipped_colon(X):
    # `:1:` is the first row alone; it broadcasts, and nothing complains
    down = (X[:, :, :1:] - X[:, :, :-1]).square().sum()
    return down + (X[:, :, :, 1:] - X[:, :, :, :-1]).square().sum()


def tv_across_slipped(X):
    across = (X[:, :, :, :1:] - X[:, :, :, :-1]).square().sum()
    return (X[:, :, 1:] - X[:, :, :-1]).square().sum() + across


@pytest.mark.parametrize("N", [1, 3])
@pytest.mark.parametrize(
    "mistaken",
    [
        tv_as_a_product,
        tv_of_rows_twice,
        tv_of_columns_twice,
        tv_with_a_slipped_colon,
        tv_across_slipped,
    ],
)
def test_tv_is_none_of_the_mistaken_ones(mistaken, N):
    slopes = 2 * np.arange(5)[:, None] + 3 * np.arange(7)
    X = torch.tensor(draw((N, 3, 5, 7)) + slopes)
    expected = loop_tv(X.numpy(), 1.0)
    assert abs(mistaken(X).item() / expected - 1) > 0.05  # this picture tells them apart
    assert_near(tv_loss(X, 1.0), expected)


# Gradients


@pytest.mark.parametrize("shape", [(1, 3, 2, 4), (3, 3, 2, 2), (2, 1, 1, 1)])
def test_gradients(shape):
    N, C = shape[:2]
    X = torch.tensor(draw(shape), requires_grad=True)
    P, A = torch.tensor(draw(shape, 1)), torch.tensor(draw((N, C, C), 2))  # not symmetric
    check = torch.autograd.gradcheck
    assert check(lambda X: content_loss(0.06, X, P), X)
    assert check(gram_matrix, X)
    assert check(lambda X: gram_matrix(X, normalize=False), X)
    assert check(lambda X: style_loss([P, X], [1, 0], [A, A], [15, 3]), X)
    assert check(lambda X: tv_loss(X, 0.05), X)


@pytest.mark.parametrize("N", [1, 3])
def test_gradients_equal_those_by_hand(N):
    F, P = draw((2, N, 4, 3, 5))
    A = loop_gram(draw((1, 4, 6, 2), 1))
    X = torch.tensor(F, requires_grad=True)
    (content,) = torch.autograd.grad(content_loss(0.06, X, torch.tensor(P)), X)
    assert_near(content, 2 * 0.06 * (F - P))
    (style,) = torch.autograd.grad(style_loss([X], [0], [torch.tensor(A)], [15]), X)
    D = loop_gram(F) - A
    by_hand = [15 * 4 / 60 * D[n] @ F[n].reshape(4, 15) for n in range(N)]
    assert_near(style, np.stack(by_hand).reshape(F.shape))


def test_no_gradient_flows_into_targets():
    X, P = (torch.tensor(draw((2, 3, 4, 5), seed), requires_grad=True) for seed in (0, 1))
    A = torch.tensor(draw((1, 3, 3), 2), requires_grad=True)
    (content_loss(1.0, X, P) + style_loss([X], [0], [A], [1.0])).backward()
    assert P.grad is None
    assert A.grad is None
    assert X.grad.abs().max() > 0


# The whole


def test_settings_are_those_of_the_report_and_cannot_be_changed():
    usual = SQUEEZENET_SETTINGS
    assert (usual.image_size, usual.style_size) == (192, 512)
    assert (usual.content_layer, usual.content_weight) == (3, 6e-2)
    assert (usual.style_layers, usual.style_weights) == ((1, 4, 6, 7), (300000, 1000, 15, 3))
    assert usual.tv_weight == 5e-2
    with pytest.raises(FrozenInstanceError):
        usual.image_size = 64
    assert assignment.SQUEEZENET_SETTINGS is SQUEEZENET_SETTINGS


SMALL = replace(SQUEEZENET_SETTINGS, image_size=32, style_size=40)


@pytest.fixture(scope="module")
def squeezenet():
    return build_squeezenet("random", layers=[7])


def test_transfer_on_squeezenet_follows_the_assignment_to_the_letter(squeezenet, photo):
    style = samples.load("mosaic")
    steps = []
    result = style_transfer(
        photo,
        style,
        SMALL,
        steps=5,
        decay_lr_at=3,
        net=squeezenet,
        device="cpu",
        callback=steps.append,
    )
    assert [step.step for step in result.history] == [1, 2, 3, 4, 5]
    assert [step.lr for step in result.history] == pytest.approx(
        [3.0, 3.0, 3.0, 0.1, 0.1], rel=1e-12
    )

    # pictures: the first is the content picture; all are clamped
    pictures = [step.picture for step in steps] + [result.picture]
    assert result.picture.shape == (1, 3, 32, 48)
    assert result.image.size == (48, 32)
    content_X = preprocess(photo, (32, 48))
    assert content_X.abs().max() > 1.5
    assert torch.equal(pictures[0], content_X.clamp(-1.5, 1.5))
    for picture in pictures:
        assert picture.abs().max().item() == 1.5
    # A step of 3 takes every pixel within +-1.5 to one end, or past it
    inside = content_X.abs() < 1.4
    assert (pictures[1][inside].abs() == 1.5).double().mean() > 0.99

    # losses
    assert [record.losses for record in result.history] == [step.losses for step in steps]
    (P,), _ = extract_features(content_X, squeezenet, [3], [])
    _, styles = extract_features(preprocess(style, 40), squeezenet, [], [1, 4, 6, 7])
    A = [quick_gram(Y.numpy()) for Y in styles]
    for step in steps:
        (F,), feats = extract_features(step.picture, squeezenet, [3], [1, 4, 6, 7])
        content = 6e-2 * ((F.double().numpy() - P.double().numpy()) ** 2).sum()
        weights = (300000, 1000, 15, 3)
        style_l = sum(
            weight * ((quick_gram(Y.numpy()) - T) ** 2).sum()
            for weight, Y, T in zip(weights, feats, A, strict=True)
        )
        X = step.picture.double().numpy()
        tv = 5e-2 * (np.diff(X, axis=2) ** 2).sum() + 5e-2 * (np.diff(X, axis=3) ** 2).sum()
        expected = {"content": content, "style": style_l, "tv": tv}
        assert list(step.losses) == ["content", "style", "tv"]
        assert step.losses == pytest.approx(expected, rel=1e-5, abs=0)
    assert 0 < steps[0].losses["content"] < steps[1].losses["content"]

    # Adam by hand, its averages kept where the learning rate drops
    m = v = 0.0
    for t, (before, after) in enumerate(pairwise(pictures), 1):
        g = gradient(before, squeezenet, P, A)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        move = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        by_hand = before.double().numpy() - (3.0 if t <= 3 else 0.1) * move
        by_hand = by_hand.clip(-1.5, 1.5)
        # In float32 a gradient is off by 2e-7 of the largest. Adam divides by its size: where it
        # is a thousandth of the largest, a step of 3.0 is off by 3.0 * 2e-4, a few times over
        known = np.abs(m) > 1e-3 * np.abs(m).max()
        assert known.mean() > 0.9
        assert np.abs(after.double().numpy() - by_hand)[known].max() < 5e-3

    # what is kept of it
    expected = {
        "recipe": "assignment",
        "image_shape": 32,
        "style_shape": 40,
        "weights": {"content": 6e-2, "style": 1.0, "tv": 5e-2},
        "content_layers": [3],
        "style_layers": {"relu1": 300000, "fire3": 1000, "fire4": 15, "fire5": 3},
        "steps": 5,
        "lr": 3.0,
        "descent": "DroppingAdamDescent(lr=3.0, decayed_lr=0.1, decay_lr_at=3)",
        "clamp": 1.5,
        "init": "content",
        "seed": 0,
        "device": "cpu",
    }
    assert {name: result.settings[name] for name in expected} == expected
    assert list(result.gradient_shares) == ["content", "style", "tv"]
    assert sum(result.gradient_shares.values()) == pytest.approx(1.0)


def quick_gram(Y):
    """Normalized Gram matrices of features (N, C, H, W), in float64."""
    N, C, H, W = Y.shape
    F = Y.astype(np.float64).reshape(N, C, H * W)
    return np.einsum("ncm,ndm->ncd", F, F) / (C * H * W)


def gradient(X, net, P, A):
    """Of the assignment's three losses, by autograd, with formulas that are not stylelib's."""
    X = X.clone().requires_grad_()
    (F,), feats = extract_features(X, net, [3], [1, 4, 6, 7])
    loss = 6e-2 * ((F - P) ** 2).sum()
    for weight, Y, T in zip((300000, 1000, 15, 3), feats, A, strict=True):
        G = torch.einsum("ncij,ndij->ncd", Y, Y) / Y[0].numel()
        loss = loss + weight * ((G - torch.tensor(T).float()) ** 2).sum()
    loss = loss + 5e-2 * (torch.diff(X, dim=2) ** 2).sum()
    loss = loss + 5e-2 * (torch.diff(X, dim=3) ** 2).sum()
    return torch.autograd.grad(loss, X)[0].double().numpy()


def test_a_random_start_has_no_trace_of_the_content_picture(squeezenet, photo):
    steps = []
    arguments = {"steps": 1, "init_random": True, "net": squeezenet, "callback": steps.append}
    style_transfer(photo, samples.load("mosaic"), SMALL, **arguments)
    noise, content_X = steps[0].picture, preprocess(photo, (32, 48))
    assert noise.shape == content_X.shape
    assert noise.std() > 0.01
    assert abs(np.corrcoef(noise.ravel(), content_X.ravel())[0, 1]) < 0.1


def test_transfer_on_the_embedded_network_inverts_features_where_style_counts_nothing(
    net, photo
):
    settings_ = replace(
        EMBEDDED_SETTINGS, image_size=32, style_size=32, style_weights=(0, 0, 0, 0), tv_weight=0
    )
    result = style_transfer(
        photo,
        samples.load("mosaic"),
        settings_,
        steps=4,
        lr=0.05,
        decayed_lr=0.02,
        decay_lr_at=2,
        largest=0.3,
        init_random=True,
        net=net,
        device="cpu",
    )
    # VGG-19's numbers of relu3_2 and of relu1_1, relu2_1, relu3_1, relu4_1
    assert result.settings["content_layers"] == [13]
    assert list(result.settings["style_layers"]) == ["relu1_1", "relu2_1", "relu3_1", "relu4_1"]
    assert [step.lr for step in result.history] == pytest.approx(
        [0.05, 0.05, 0.02, 0.02], rel=1e-12
    )
    content = [step.losses["content"] for step in result.history]
    assert content == sorted(content, reverse=True)
    assert content[-1] < content[0]
    assert all(step.losses["style"] == step.losses["tv"] == 0 for step in result.history)
    assert result.gradient_shares == {"content": 1.0, "style": 0.0, "tv": 0.0}
    assert result.picture.abs().max().item() == pytest.approx(0.3, rel=1e-6)
