import io
import math
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg
import torch
from PIL import Image, ImageFilter
from scipy.optimize import linear_sum_assignment
from torch import nn
from toys import chance, draw, loop_gram, normalized, pixels, tiny_network

import stylelib
from stylelib import FileError, InputError, compare_features, compare_grams, preprocess, samples
from stylelib.beyond import measures
from stylelib.beyond.measures import (
    color_distance,
    content_error,
    frechet_distance,
    gaussian_distance,
    mean_and_covariance,
    structure_divergence,
    style_errors,
)

SIDE = 96


@pytest.fixture(scope="module")
def judge():
    return stylelib.classifier()


def small(name, side=SIDE):
    return samples.load(name).resize((side * 3 // 2, side))


def jpeg(image, quality):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def noisy(image, size):
    levels = np.asarray(image) + size * draw((image.height, image.width, 3))
    return Image.fromarray(levels.clip(0, 255).round().astype(np.uint8))


def blends(a, b):
    """From a picture to another, four steps, both ends among them."""
    return [Image.blend(a, b.resize(a.size), share) for share in np.linspace(0, 1, 4)]


def grows(numbers):
    return all(a < b for a, b in pairwise(numbers))


def tensor(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


# --- content: self-similarity


def loop_divergence(F_hat, F, similarity):
    """After the definition, a pair of places at a time."""
    M, C = F.shape
    total = 0.0
    for i in range(M):
        rows = []
        for Y in (F, F_hat):
            row = []
            for j in range(M):
                product = sum(Y[i, c] * Y[j, c] for c in range(C))
                if similarity == "product":
                    row.append(product / C**2)
                else:
                    lengths = math.sqrt(sum(Y[i] ** 2)) * math.sqrt(sum(Y[j] ** 2))
                    row.append(product / lengths / 0.2)
            weights = [math.exp(value) for value in row]
            rows.append([weight / math.fsum(weights) for weight in weights])
        total += math.fsum(p * math.log(p / q) for p, q in zip(*rows, strict=True))
    return total / M


@pytest.mark.parametrize("similarity", ["cosine", "product"])
@pytest.mark.parametrize(("M", "C"), [(1, 3), (2, 1), (7, 4), (12, 3)])
def test_the_divergence_is_that_of_the_definition(M, C, similarity):
    F_hat, F = draw((M, C), 1), draw((M, C), 2)
    actual = structure_divergence(tensor(F_hat), tensor(F), similarity=similarity)
    assert actual == pytest.approx(loop_divergence(F_hat, F, similarity), rel=1e-11, abs=1e-15)


@pytest.mark.parametrize("similarity", ["cosine", "product"])
def test_blocks_do_not_change_the_divergence(similarity):
    F_hat, F = tensor(draw((50, 8), 1)), tensor(draw((50, 8), 2))
    whole = structure_divergence(F_hat, F, similarity=similarity)
    assert whole > 0
    for block in (1, 50, 99, 350, 2499, 2500, 10**9):  # of 2,500 entries
        part = structure_divergence(F_hat, F, similarity=similarity, block=block)
        assert part == pytest.approx(whole, rel=1e-10)


def test_no_more_than_a_block_of_the_matrix_is_held(monkeypatch):
    sizes, log_softmax = [], torch.Tensor.log_softmax

    def watched(rows, dim):
        sizes.append(rows.shape)
        return log_softmax(rows, dim)

    monkeypatch.setattr(torch.Tensor, "log_softmax", watched)
    F = tensor(draw((30, 2)))
    structure_divergence(F, F, block=210)
    assert sizes == [(7, 30)] * 8 + [(2, 30)] * 2


def test_rows_of_another_length_have_the_same_cosines_and_other_products():
    F = tensor(np.abs(draw((20, 5))))
    lengths = tensor(np.random.default_rng(1).uniform(0.5, 2, (20, 1)))
    assert structure_divergence(lengths * F, F) == pytest.approx(0, abs=1e-14)
    assert structure_divergence(lengths * F, F, similarity="product") > 1e-3


def test_channels_turned_and_places_renumbered_are_the_same_structure():
    F_hat, F = draw((20, 5), 1), draw((20, 5), 2)
    turn, _ = np.linalg.qr(draw((5, 5)))
    order = np.random.default_rng(0).permutation(20)
    for similarity in ("cosine", "product"):
        before = structure_divergence(tensor(F_hat), tensor(F), similarity=similarity)
        turned = structure_divergence(tensor(F_hat @ turn), tensor(F), similarity=similarity)
        renumbered = structure_divergence(
            tensor(F_hat[order]), tensor(F[order]), similarity=similarity
        )
        assert turned == pytest.approx(before, rel=1e-11)
        assert renumbered == pytest.approx(before, rel=1e-11)


def test_the_photograph_is_the_truth():
    # Two places of one channel, unlike in the photograph, alike in the picture: p against 1/2
    F, F_hat = tensor([[1.0], [-1.0]]), tensor([[1.0], [1.0]])
    p = 1 / (1 + math.exp(-2 / 0.2))  # cosines 1 and -1
    forth = p * math.log(2 * p) + (1 - p) * math.log(2 * (1 - p))
    back = 0.5 * math.log(0.5 / p) + 0.5 * math.log(0.5 / (1 - p))
    assert structure_divergence(F_hat, F) == pytest.approx(forth, rel=1e-12)
    assert structure_divergence(F, F_hat) == pytest.approx(back, rel=1e-12)


def test_a_place_without_features_is_no_error():
    F = tensor(np.vstack([draw((3, 4)), np.zeros((2, 4))]))
    assert structure_divergence(F, F) < 1e-12
    assert 0 < structure_divergence(torch.zeros_like(F), F) < math.inf


def test_content_error_is_the_divergence_of_the_features():
    photograph, picture = pixels(5, 4, 0), pixels(9, 9, 1)
    resized = picture.resize((4, 5), Image.Resampling.BILINEAR)
    F, F_hat = (
        normalized(image)[0].flatten(1).T.double().numpy() for image in (photograph, resized)
    )
    for similarity in ("cosine", "product"):
        actual = content_error(
            picture,
            photograph,
            image_shape=(5, 4),
            similarity=similarity,
            layer=0,
            net=nn.Sequential(nn.Identity()),
            device="cpu",
        )
        assert actual == pytest.approx(loop_divergence(F_hat, F, similarity), rel=1e-5)


def test_content_error_looks_at_relu3_1_of_the_embedded_network(net):
    photograph, picture = small("chelsea", 16), small("coffee", 16)
    with torch.no_grad():
        F_hat, F = (
            net[:12](preprocess(image, (16, 24)))[0].flatten(1).T.double().numpy()
            for image in (picture, photograph)
        )
    assert list(net._modules)[11] == "relu3_1"
    expected = loop_divergence(F_hat, F, "cosine")
    assert content_error(picture, photograph, image_shape=16, device="cpu") == pytest.approx(
        expected, rel=1e-4
    )


def test_content_errors_order_as_eyes_do(net):
    photograph = small("chelsea")

    def error(picture):
        return content_error(picture, photograph, image_shape=SIDE, net=net)

    itself = error(photograph)
    saved = error(jpeg(photograph, 90))
    noise = [error(noisy(photograph, size)) for size in (10, 40, 160)]
    blurred = error(photograph.filter(ImageFilter.GaussianBlur(2)))
    others = [error(samples.load(name)) for name in ("coffee", "rocket", "mosaic", "hatching")]
    others += [error(Image.new("RGB", (9, 6), "gray")), error(photograph.transpose(0))]
    recolored = error(Image.fromarray(np.asarray(photograph)[..., [2, 0, 1]]))
    assert itself < 1e-9
    assert grows([itself, saved, *noise[:2], min(others)])
    assert grows(noise)
    assert grows([itself, saved, blurred, min(others)])
    assert recolored < min(others) / 4


def test_by_products_gray_is_nearer_than_noise_and_by_cosines_it_is_not(net):
    photograph = small("chelsea", 128)
    gray, noise = Image.new("RGB", (9, 6), (128, 128, 128)), noisy(photograph, 60)

    def errors(similarity):
        return [
            content_error(picture, photograph, image_shape=128, similarity=similarity, net=net)
            for picture in (gray, noise)
        ]

    assert errors("product")[0] < errors("product")[1]
    assert errors("cosine")[0] > errors("cosine")[1]


def test_content_error_grows_from_a_photograph_to_another(net):
    photograph = small("chelsea")
    errors = [
        content_error(picture, photograph, image_shape=SIDE, net=net)
        for picture in blends(photograph, samples.load("coffee"))
    ]
    assert errors[0] < 1e-9
    assert grows(errors)


# --- Gaussians


def sqrtm_parts(X, Y):
    """The two parts, by NumPy and SciPy."""
    S, T = (np.cov(samples, rowvar=False, ddof=0).reshape(X.shape[1], -1) for samples in (X, Y))
    mean = ((X.mean(0) - Y.mean(0)) ** 2).sum()
    root = scipy.linalg.sqrtm(S)
    return mean, np.trace(S + T - 2 * scipy.linalg.sqrtm(root @ T @ root).real)


def test_mean_and_covariance_are_numpys():
    F = draw((50, 4))
    mu, S = mean_and_covariance(tensor(F))
    np.testing.assert_allclose(mu, F.mean(0), rtol=1e-12)
    np.testing.assert_allclose(S, np.cov(F, rowvar=False, ddof=0), rtol=1e-12, atol=1e-15)


def test_mean_and_covariance_in_many_parts_are_the_same(monkeypatch):
    F = tensor(draw((1000, 3)) + 100)
    whole = mean_and_covariance(F)
    monkeypatch.setattr(measures, "BLOCK", 100)  # parts of 33 rows
    for part, all_of_it in zip(mean_and_covariance(F), whole, strict=True):
        torch.testing.assert_close(part, all_of_it, rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize(("M", "N", "C"), [(40, 60, 1), (40, 60, 3), (500, 300, 12)])
def test_the_distance_of_gaussians_is_scipys(M, N, C):
    X = draw((M, C), 1) @ draw((C, C), 2)
    Y = draw((N, C), 3) @ draw((C, C), 4) + draw((1, C), 5)
    actual = gaussian_distance(tensor(X), tensor(Y))
    assert actual == pytest.approx(sqrtm_parts(X, Y), rel=1e-8)
    assert gaussian_distance(tensor(Y), tensor(X)) == pytest.approx(actual, rel=1e-11)


def whitened(M, C, seed=0):
    """Samples of mean 0 and covariance 1, to rounding."""
    X = draw((M, C), seed)
    return scipy.linalg.orth(X - X.mean(0)) * math.sqrt(M)


def test_diagonal_covariances_have_a_closed_form():
    X, a, b = whitened(50, 4), np.array([0.5, 1, 2, 0]), np.array([3, 1, 0, 0.25])
    parts = gaussian_distance(tensor(X * a), tensor(X * b))
    assert parts[0] == pytest.approx(0, abs=1e-25)
    assert parts[1] == pytest.approx(((a - b) ** 2).sum(), rel=1e-12)


def test_a_shift_moves_the_mean_alone():
    X, shift = draw((50, 4)), draw((1, 4), 1)
    mean, spread = gaussian_distance(tensor(X + shift), tensor(X))
    assert mean == pytest.approx((shift**2).sum(), rel=1e-12)
    assert spread == pytest.approx(0, abs=1e-12)


def test_it_is_the_cost_of_the_optimal_map():
    # A symmetric positive map is the gradient of a convex function, so no other is cheaper
    X, A = draw((60, 5)) @ draw((5, 5), 1), draw((5, 5), 2)
    moved = X @ (A @ A.T) + draw((1, 5), 3)
    cost = ((moved - X) ** 2).sum(1).mean()
    assert sum(gaussian_distance(tensor(moved), tensor(X))) == pytest.approx(cost, rel=1e-10)


def test_covariances_of_rank_one():
    # S = u u^T and v v^T: the trace of the root is |u . v|
    u, v, t = draw((1, 6), 1), draw((1, 6), 2), whitened(20, 1)
    _, spread = gaussian_distance(tensor(t * u), tensor(t * v))
    expected = (u**2).sum() + (v**2).sum() - 2 * abs((u * v).sum())
    assert spread == pytest.approx(expected, rel=1e-12)


def test_fewer_samples_than_channels_are_no_obstacle():
    X = draw((5, 40))
    assert sum(gaussian_distance(tensor(X), tensor(X))) == pytest.approx(0, abs=1e-11)
    turned = X @ scipy.linalg.orth(draw((40, 40), 1))
    assert sum(gaussian_distance(tensor(X), tensor(turned))) > 1


# --- style, by another network


def block_output(judge, image):
    """What the fifth block gives, by a hook: samples (M, C)."""
    outputs = []
    hook = judge[1]._blocks[4].register_forward_hook(lambda *seen: outputs.append(seen[2]))
    with torch.no_grad():
        judge(normalized(image))
    hook.remove()
    assert outputs[0].shape[:2] == (1, 40)
    return outputs[0][0].flatten(1).T.double().numpy()


def test_frechet_distance_is_that_of_the_blocks_outputs(judge):
    a, b = small("chelsea"), small("mosaic")
    X, Y = block_output(judge, a), block_output(judge, b)
    assert X.shape == (12 * 18, 40)  # a stride of 8
    actual = frechet_distance(a, b, image_shape=SIDE, net=judge, device="cpu")
    assert actual == pytest.approx(sum(sqrtm_parts(X, Y)), rel=1e-4)
    assert frechet_distance(a, b, image_shape=SIDE, device="cpu") == pytest.approx(
        actual, rel=1e-4
    )


def test_frechet_distance_is_zero_for_itself_and_symmetric(judge):
    a, b = small("chelsea"), small("mosaic")

    def distance(one, other):
        return frechet_distance(one, other, image_shape=SIDE, net=judge)

    forth = distance(a, b)
    assert distance(a, a) < 1e-9 * forth
    assert distance(b, a) == pytest.approx(forth, rel=1e-9)


def test_frechet_distances_order_as_eyes_do(judge):
    style = small("mosaic")

    def distance(picture):
        return frechet_distance(picture, style, image_shape=SIDE, net=judge)

    mirrored = distance(style.transpose(0))
    saved = distance(jpeg(style, 90))
    noise = [distance(noisy(style, size)) for size in (10, 60)]
    others = [distance(small(name)) for name in ("chelsea", "coffee", "roundels")]
    assert grows([saved, *noise])
    assert 10 * max(saved, mirrored) < min(others)
    assert grows([distance(picture) for picture in blends(style, small("chelsea"))])


def test_frechet_distance_takes_other_networks_and_layers():
    a, b = pixels(8, 9, 0), pixels(8, 9, 1)
    X, Y = (normalized(image)[0].flatten(1).T.double().numpy() for image in (a, b))
    actual = frechet_distance(
        a, b, image_shape=(8, 9), layer=0, net=nn.Sequential(nn.Identity()), device="cpu"
    )
    assert actual == pytest.approx(sum(sqrtm_parts(X, Y)), rel=1e-5)


# --- colors


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("black", "white", math.sqrt(3)),
        ("red", "black", 1),
        ("red", "lime", math.sqrt(2)),
        ((10, 20, 30), (10, 20, 30), 0),
    ],
)
def test_flat_colors_are_as_far_apart_as_their_pixels(a, b, expected):
    distance = color_distance(Image.new("RGB", (5, 3), a), Image.new("RGB", (4, 4), b))
    assert distance == pytest.approx((expected, expected, 0), abs=1e-12)


def test_color_distance_is_scipys():
    a, b = samples.load("chelsea"), samples.load("mosaic")
    mean, spread = sqrtm_parts(*(np.asarray(x).reshape(-1, 3) / 255 for x in (a, b)))
    distance = color_distance(a, b)
    assert distance == pytest.approx(np.sqrt([mean + spread, mean, spread]), rel=1e-7)
    assert distance.total == pytest.approx(math.hypot(distance.mean, distance.spread))


def test_color_distance_is_symmetric_and_zero_for_itself():
    a, b = samples.load("chelsea"), samples.load("mosaic")
    assert color_distance(b, a) == pytest.approx(color_distance(a, b), rel=1e-9)
    assert color_distance(a, a).mean < 1e-12
    assert color_distance(a, a).total < 1e-7  # the root of rounding


def test_where_colors_lie_and_how_often_does_not_matter():
    levels = np.asarray(pixels(6, 8))
    shuffled = np.random.default_rng(0).permutation(levels.reshape(-1, 3)).reshape(4, 12, 3)
    for other in (shuffled, np.tile(levels, (2, 3, 1)), levels[:, ::-1]):
        distance = color_distance(Image.fromarray(levels), Image.fromarray(other))
        assert distance.total < 1e-7


def test_contrast_is_spread_alone():
    # Levels 100 +- 10 and 100 +- 50: the deviations differ by 40 / 255 along (1, 1, 1)
    def checks(low, high):
        return Image.fromarray(np.array([[low, high], [high, low]], np.uint8)).convert("RGB")

    distance = color_distance(checks(90, 110), checks(50, 150))
    expected = math.sqrt(3) * 40 / 255
    assert distance == pytest.approx((expected, 0, expected), abs=1e-9)


def test_color_distance_grows_and_a_jpeg_is_near():
    a = samples.load("chelsea")
    assert grows([color_distance(a, x).total for x in blends(a, samples.load("mosaic"))])
    assert color_distance(a, jpeg(a, 90)).total < 0.01
    order = [2, 0, 1]
    turned = Image.fromarray(np.asarray(a)[..., order])
    assert color_distance(a, turned).total > 0.05


def test_it_is_at_most_the_cost_of_moving_every_pixel():
    for seed in range(5):
        a, b = pixels(5, 6, seed), pixels(5, 6, seed + 100)
        X, Y = (np.asarray(x).reshape(-1, 1, 3) / 255 for x in (a, b))
        costs = ((X - Y.transpose(1, 0, 2)) ** 2).sum(2)  # (M, M)
        cost = costs[linear_sum_assignment(costs)].mean()
        assert color_distance(a, b).total ** 2 <= cost + 1e-12


# --- style, by losses


def test_style_errors_are_relative_and_averaged_over_layers():
    net = tiny_network()
    a, b = pixels(6, 8, 0), pixels(6, 8, 1)
    X_hat, X = normalized(a), normalized(b)
    grams, features = [], []
    for depth in (1, 3):
        Y_hat, Y = (net[:depth](x).double().numpy() for x in (X_hat, X))
        G_hat, G = loop_gram(Y_hat), loop_gram(Y)
        grams.append(((G_hat - G) ** 2).sum() / (G**2).sum())
        features.append(((Y_hat - Y) ** 2).sum() / (Y**2).sum())
    errors = style_errors(
        a,
        b,
        {"gram": compare_grams, "features": compare_features},
        [0, 2],
        net,
        image_shape=(6, 8),
        device="cpu",
    )
    expected = {"gram": np.mean(grams), "features": np.mean(features)}
    assert list(errors) == list(expected)
    assert errors == pytest.approx(expected, rel=1e-4)


def test_each_picture_passes_through_the_network_once():
    net, passes = tiny_network(), []
    net[0].register_forward_hook(lambda *seen: passes.append(seen[1][0].shape))
    style_errors(
        pixels(6, 8),
        pixels(7, 7),
        dict.fromkeys("abc", compare_grams),
        [0, 2, 4],
        net,
        image_shape=6,
    )
    assert passes == [(1, 3, 6, 8), (1, 3, 6, 6)]


def test_style_errors_are_zero_for_the_style_and_grow_away_from_it(net):
    style = small("mosaic")

    def error(picture):
        return style_errors(picture, style, {"gram": compare_grams}, net=net, image_shape=SIDE)

    errors = [error(picture)["gram"] for picture in blends(style, small("chelsea"))]
    assert errors[0] < 1e-9
    assert grows(errors)
    assert error(jpeg(style, 90))["gram"] < errors[1]


def test_a_picture_of_tiles_has_the_style_of_one_tile():
    # A network of one place sees no borders, so the Gram matrix of 2 x 3 tiles is one tile's
    layer = nn.Conv2d(3, 5, 1)
    layer.weight.data = torch.randn(layer.weight.shape, generator=chance())
    net = nn.Sequential(layer).eval().requires_grad_(False)
    tile = pixels(8, 8)
    tiled = Image.fromarray(np.tile(np.asarray(tile), (2, 3, 1)))
    options = {"layers": [0], "net": net, "device": "cpu"}
    bigger = style_errors(
        tiled, tiled, {"gram": compare_grams}, image_shape=(16, 24), **options
    )
    assert bigger["gram"] < 1e-9
    one = style_errors(pixels(8, 8, 1), tile, {"gram": compare_grams}, image_shape=8, **options)
    four = style_errors(
        Image.fromarray(np.tile(np.asarray(pixels(8, 8, 1)), (2, 2, 1))),
        Image.fromarray(np.tile(np.asarray(tile), (2, 2, 1))),
        {"gram": compare_grams},
        image_shape=16,
        **options,
    )
    assert four["gram"] == pytest.approx(one["gram"], rel=1e-5)


# --- all of them

MEASURES = {
    "content": lambda a, b, **options: content_error(a, b, image_shape=32, **options),
    "frechet": lambda a, b, **options: frechet_distance(a, b, image_shape=32, **options),
    "style": lambda a, b, **options: style_errors(
        a, b, {"gram": compare_grams}, image_shape=32, **options
    ),
    "color": color_distance,
}


@pytest.mark.parametrize("name", MEASURES)
def test_pictures_are_files_bytes_or_images(name, tmp_path):
    measure, a, b = MEASURES[name], small("chelsea", 32), small("coffee", 32)
    path = tmp_path / "a.png"
    a.save(path)
    expected = measure(a, b)
    assert measure(path, b) == expected
    assert measure(path.read_bytes(), b.convert("RGBA")) == expected
    with pytest.raises(FileError, match="there is no file"):
        measure(a, tmp_path / "missing.png")
    with pytest.raises(InputError, match="not ndarray"):
        measure(np.asarray(a), b)


@pytest.mark.parametrize("name", ["content", "frechet", "style"])
def test_a_device_that_there_is_not(name):
    with pytest.raises(InputError, match="device 'abacus' cannot be used here"):
        MEASURES[name](pixels(32, 32), pixels(32, 32), device="abacus")


def test_numbers_are_numbers_and_no_gradient_is_kept(net):
    trained = stylelib.vgg19(layers=["relu3_1"]).requires_grad_()
    error = content_error(pixels(32, 32, 0), pixels(32, 32, 1), image_shape=32, net=trained)
    assert type(error) is float
    assert all(parameter.grad is None for parameter in trained.parameters())
    errors = style_errors(
        pixels(32, 32, 0),
        pixels(32, 32, 1),
        {"gram": compare_grams},
        [0],
        trained,
        image_shape=32,
    )
    assert type(errors["gram"]) is float
    assert all(parameter.grad is None for parameter in trained.parameters())
    assert type(frechet_distance(pixels(32, 32, 0), pixels(32, 32, 1), image_shape=32)) is float
    assert {type(part) for part in color_distance(pixels(3, 3), pixels(3, 4))} == {float}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda a: content_error(a, a, image_shape=0), "image_shape must be .* got 0"),
        (lambda a: content_error(a, a, image_shape=2), "2 x 2 pixels is too small"),
        (lambda a: content_error(a, a, image_shape=8, layer="relu3_9"), "did you mean 'relu3_"),
        (
            lambda a: content_error(a, a, image_shape=8, similarity="cosines"),
            "similarity must be 'cosine' or 'product', not 'cosines'; did you mean 'cosine'?",
        ),
        (lambda a: content_error(a, a, image_shape=8, block=0), "block must be .* not 0"),
        (lambda a: frechet_distance(a, a, image_shape=(8, -1)), "image_shape must be .* got"),
        (
            lambda a: frechet_distance(a, a, layer="_blocks.4.ad"),
            "did you mean '_blocks.4.add'",
        ),
        (lambda a: frechet_distance(a, a, layer=4), "this model has no layer 4"),
        (lambda a: style_errors(a, a, {}), "losses must map names to losses, .* not {}"),
        (lambda a: style_errors(a, a, [compare_grams]), "losses must map names"),
        (lambda a: style_errors(a, a, {"g": compare_grams}, []), "layers is empty"),
        (
            lambda a: style_errors(a, a, {"g": compare_grams}, "conv1_1"),
            "layers must be a list",
        ),
        (
            lambda a: style_errors(a, a, {"g": compare_grams}, net=tiny_network()),
            "layers is by default .* name layers of its own",
        ),
        (
            lambda a: style_errors(
                Image.new("RGB", (8, 8), "red"),
                Image.new("RGB", (8, 8), "red"),
                {"g": lambda Y: lambda Y_hat: Y_hat.new_zeros(())},
                [0],
            ),
            "features of the target are all 0",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call(pixels(16, 16))


@pytest.mark.parametrize("shapes", [((4, 3), (5, 3)), ((4,), (4,)), ((0, 3), (0, 3))])
def test_features_of_other_shapes_are_refused(shapes):
    with pytest.raises(InputError, match=r"the same shape \(M, C\)"):
        structure_divergence(*(torch.zeros(shape).double() for shape in shapes))
    with pytest.raises(InputError, match=r"samples must have the shape \(M, C\)"):
        mean_and_covariance(torch.zeros(4))
