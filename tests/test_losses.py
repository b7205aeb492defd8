import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from toys import (
    PICTURES,
    SEEDS,
    SHAPES,
    assert_near,
    draw,
    loop_gram,
    mean_variation,
    quick,
    recipe_gram,
    sum_of_squares,
)

from stylelib import (
    D2L_WEIGHTS,
    Losses,
    LossWeights,
    compute_loss,
    content_loss,
    gram,
    style_loss,
    tv_loss,
)


def loop_content(A, B):
    return sum_of_squares(A, B) / A.size


def loop_style(A, G):
    mine = loop_gram(A)
    return sum_of_squares(mine, G) / mine.size


def folded_gram(X):
    """One matrix for a whole batch: the positions of all its pictures side by side."""
    N, C, H, W = X.shape
    F = X.permute(1, 0, 2, 3).reshape(C, N * H * W)
    return F @ F.T / (C * N * H * W)


@quick
@given(SHAPES, SEEDS)
def test_content_loss_equals_loops(shape, seed):
    A, B = draw((2, *shape), seed)
    assert_near(content_loss(torch.tensor(A), torch.tensor(B)), loop_content(A, B))


@quick
@given(SHAPES, SEEDS)
def test_gram_equals_loops(shape, seed):
    A = draw(shape, seed)
    G = gram(torch.tensor(A))
    assert G.shape == (shape[0], shape[1], shape[1])
    assert_near(G, loop_gram(A))


@quick
@given(SHAPES, SEEDS, st.booleans())
def test_style_loss_equals_loops(shape, seed, one_target):
    A, T = (
        draw(shape, seed),
        draw((1 if one_target else shape[0], shape[1], shape[1]), seed + 1),
    )
    assert_near(style_loss(torch.tensor(A), torch.tensor(T)), loop_style(A, T))


@quick
@given(PICTURES, SEEDS)
def test_tv_loss_equals_loops(shape, seed):
    A = draw(shape, seed)
    assert_near(tv_loss(torch.tensor(A)), mean_variation(A))


def test_losses_of_equal_features_are_zero():
    X = torch.tensor(draw((2, 3, 4, 5)))
    assert content_loss(X, X.clone()).item() == 0
    assert style_loss(X, gram(X)).item() == 0


def test_content_loss_of_a_shift_is_its_square():
    Y = torch.tensor(draw((1, 3, 4, 5)))
    assert_near(content_loss(Y + 0.25, Y), 0.0625)


@pytest.mark.parametrize(
    ("N", "C", "H", "W"), [(1, 1, 1, 1), (1, 4, 1, 1), (2, 3, 4, 5), (3, 1, 2, 7)]
)
def test_gram_of_a_constant_is_its_square_over_the_channels(N, C, H, W):
    assert_near(
        gram(torch.full((N, C, H, W), 3.0, dtype=torch.float64)), np.full((N, C, C), 9 / C)
    )


def test_gram_of_channels_that_are_never_on_together_is_diagonal():
    X = torch.zeros(1, 2, 1, 4, dtype=torch.float64)
    X[0, 0, 0, :1] = 2.0
    X[0, 1, 0, 1:] = 1.0
    assert_near(gram(X), [[[4 / 8, 0], [0, 3 / 8]]])


def test_style_loss_scales_with_the_fourth_power():
    X = torch.tensor(draw((1, 3, 4, 5)))
    nothing = torch.zeros(1, 3, 3, dtype=torch.float64)
    assert_near(style_loss(2 * X, nothing), 16 * style_loss(X, nothing))


@quick
@given(SHAPES, SEEDS)
def test_gram_is_symmetric_and_positive_semidefinite(shape, seed):
    G = gram(torch.tensor(draw(shape, seed)))
    assert_near(G, G.mT)
    eigenvalues = np.linalg.eigvalsh(G.numpy())
    assert eigenvalues.min() >= -1e-12 * eigenvalues.max()


@quick
@given(SHAPES, SEEDS)
def test_gram_does_not_see_where_things_are(shape, seed):
    A = draw(shape, seed)
    shuffled = (
        np.random.default_rng(seed)
        .permutation(A.reshape(*shape[:2], -1), axis=2)
        .reshape(shape)
    )
    assert_near(gram(torch.tensor(shuffled)), gram(torch.tensor(A)))


@quick
@given(SHAPES, SEEDS)
def test_gram_of_a_batch_is_the_gram_of_each_picture(shape, seed):
    X = torch.tensor(draw(shape, seed))
    assert_near(gram(X), torch.cat([gram(picture[None]) for picture in X]))


@pytest.mark.parametrize("recipe", [recipe_gram, folded_gram])
def test_gram_of_one_picture_is_the_recipes(recipe):
    X = torch.tensor(draw((1, 5, 6, 7)))
    assert_near(gram(X)[0], recipe(X))


@pytest.mark.parametrize("recipe", [recipe_gram, folded_gram])
def test_gram_of_two_pictures_is_not_the_recipes_one_matrix(recipe):
    X = torch.tensor(draw((2, 5, 6, 7)))
    assert min((G - recipe(X)).abs().max() for G in gram(X)) > 0.01
    assert_near(gram(X).mean(0), folded_gram(X))


def test_gram_is_the_same_in_channels_last_memory_order():
    X = torch.tensor(draw((2, 5, 6, 7)))
    other = X.contiguous(memory_format=torch.channels_last)
    assert other.stride() != X.stride()
    assert_near(gram(other), loop_gram(X.numpy()))


@pytest.mark.parametrize("shape", [(1, 3, 2, 4), (2, 3, 2, 2), (2, 1, 1, 1)])
def test_content_gradient(shape):
    X, Y = torch.tensor(draw((2, *shape)))
    assert torch.autograd.gradcheck(lambda X: content_loss(X, Y), X.clone().requires_grad_())


@pytest.mark.parametrize("shape", [(1, 3, 2, 4), (2, 3, 2, 2), (2, 1, 1, 1)])
def test_gram_gradient(shape):
    X = torch.tensor(draw(shape), requires_grad=True)
    assert torch.autograd.gradcheck(gram, X)
    assert torch.autograd.gradgradcheck(gram, X)


@pytest.mark.parametrize("shape", [(1, 3, 2, 4), (2, 3, 2, 2), (2, 1, 1, 1)])
def test_style_gradient(shape):
    X = torch.tensor(draw(shape), requires_grad=True)
    target = torch.tensor(draw((shape[0], shape[1], shape[1]), 1))  # not symmetric
    assert torch.autograd.gradcheck(lambda X: style_loss(X, target), X)


@pytest.mark.parametrize("shape", [(1, 1, 2, 2), (1, 3, 4, 3), (2, 2, 3, 4)])
def test_tv_gradient_where_no_neighbors_are_equal(shape):
    levels = (
        np.random.default_rng(0).permutation(int(np.prod(shape))).reshape(shape) / 10
    )  # 0.1 apart or more
    assert torch.autograd.gradcheck(tv_loss, torch.tensor(levels, requires_grad=True))


@pytest.mark.parametrize("shape", [(1, 4, 3, 5), (3, 4, 2, 2), (2, 1, 3, 3), (1, 6, 1, 1)])
def test_gram_gradient_equals_autograds_for_an_upstream_gradient_that_is_not_symmetric(shape):
    N, C, H, W = shape
    D = torch.tensor(draw((N, C, C), 1))
    assert C == 1 or not torch.allclose(D, D.mT)
    X, Z = (torch.tensor(draw(shape), requires_grad=True) for _ in range(2))
    gram(X).backward(D)
    F = Z.reshape(N, C, H * W)
    (F @ F.mT / (C * H * W)).backward(D)
    assert_near(X.grad, Z.grad)


def test_no_gradient_flows_into_targets():
    X, Y, Z = (torch.tensor(draw((1, 3, 4, 5), seed), requires_grad=True) for seed in range(3))
    (content_loss(X, Y) + style_loss(X, gram(Z))).backward()
    assert Y.grad is None
    assert Z.grad is None
    assert X.grad.abs().max() > 0


def test_tv_of_a_constant_picture_is_zero():
    assert tv_loss(torch.full((2, 3, 4, 5), 0.7)).item() == 0


@pytest.mark.parametrize(("down", "right"), [(2.0, 0.0), (0.0, 3.0), (-2.0, 3.0), (2.0, -0.5)])
def test_tv_of_a_ramp_is_half_the_sum_of_its_slopes(down, right):
    i, j = torch.meshgrid(torch.arange(4.0).double(), torch.arange(6.0).double(), indexing="ij")
    X = (down * i + right * j).expand(2, 3, 4, 6)
    assert_near(tv_loss(X), 0.5 * (abs(down) + abs(right)))


def test_tv_sees_an_edge_in_either_direction():
    upright = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    upright[..., 3:] = 1.0  # one of the 5 steps between columns
    lying = torch.zeros(1, 1, 4, 6, dtype=torch.float64)
    lying[:, :, 2:] = 1.0  # one of the 3 steps between rows
    assert_near(tv_loss(upright), 0.5 / 5)
    assert_near(tv_loss(lying), 0.5 / 3)


def test_tv_does_not_compare_across_channels_or_pictures():
    X = torch.arange(6.0).reshape(2, 3, 1, 1).expand(2, 3, 3, 3)
    assert tv_loss(X).item() == 0


def some_layers():
    X = torch.tensor(draw((1, 3, 6, 8)))
    contents_Y_hat, contents_Y = ([torch.tensor(draw((1, 4, 3, 4), seed))] for seed in (1, 2))
    shapes = [(1, 2, 6, 8), (1, 4, 3, 4), (1, 5, 2, 2)]
    styles_Y_hat, styles_Y = (
        [torch.tensor(draw(shape, seed)) for shape in shapes] for seed in (3, 4)
    )
    return X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y


def test_compute_loss_gives_each_weighted_loss_and_their_sum():
    X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y = some_layers()
    grams = [torch.tensor(loop_gram(Y.numpy())) for Y in styles_Y]
    losses = compute_loss(
        X,
        contents_Y_hat,
        styles_Y_hat,
        contents_Y,
        grams,
        weights=LossWeights(content=2.0, style=30.0, tv=0.5),
    )
    contents_l, styles_l, tv_l, total = losses
    assert isinstance(losses, Losses)
    assert losses._fields == ("contents_l", "styles_l", "tv_l", "l")
    contents = [2.0 * loop_content(contents_Y_hat[0].numpy(), contents_Y[0].numpy())]
    styles = [
        30.0 * loop_style(A.numpy(), G.numpy())
        for A, G in zip(styles_Y_hat, grams, strict=True)
    ]
    tv = 0.5 * mean_variation(X.numpy())
    assert_near(torch.stack(contents_l), contents)
    assert_near(torch.stack(styles_l), styles)
    assert_near(tv_l, tv)
    assert_near(total, sum(contents) + sum(styles) + tv)
    assert total.ndim == 0


def test_default_weights_are_those_in_force_in_the_recipe():
    assert D2L_WEIGHTS == (1, 1e4, 10)
    X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y = some_layers()
    content_weight, style_weight, tv_weight = 1, 1e3, 10
    contents_l = [
        ((Y_hat - Y) ** 2).mean() * content_weight
        for Y_hat, Y in zip(contents_Y_hat, contents_Y, strict=True)
    ]
    styles_l = [
        ((recipe_gram(Y_hat) - recipe_gram(Y)) ** 2).mean() * style_weight
        for Y_hat, Y in zip(styles_Y_hat, styles_Y, strict=True)
    ]
    tv_l = tv_weight * mean_variation(X.numpy())
    total = sum(10 * styles_l + contents_l + [tv_l])  # 10 * a list is the list ten times over
    ours = compute_loss(
        X, contents_Y_hat, styles_Y_hat, contents_Y, [gram(Y) for Y in styles_Y]
    )
    assert_near(ours.l / total, 1.0)
    assert_near(torch.stack(ours.styles_l).sum() / sum(10 * styles_l), 1.0)


def test_compute_loss_of_no_layers_is_the_total_variation():
    X = torch.tensor(draw((1, 3, 6, 8)))
    contents_l, styles_l, tv_l, total = compute_loss(X, [], [], [], [])
    assert (contents_l, styles_l) == ([], [])
    assert_near(tv_l, 10 * mean_variation(X.numpy()))
    assert total == tv_l
