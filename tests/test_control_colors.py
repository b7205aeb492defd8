"""Colors kept, matched, or taken alone, against closed forms in NumPy."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from toys import MEAN, SEEDS, STD, normalized, photo, pixels, quick

from stylelib import (
    RECIPES,
    InputError,
    match_colors,
    postprocess,
    preprocess,
    samples,
    transfer,
    with_luminance,
)
from stylelib.control.colors import COLORS, METHODS, color_map, prepared, recolored

MATCHING = [method for method in METHODS if method != "mean"]
PHOTO, PAINTING = samples.load("chelsea"), samples.load("mosaic")
SHAPE = (32, 48)


def colors(seed, rank=3, count=60):
    """Random colors that vary in so many directions, (1, 3, 1, count), in float64."""
    draws = np.random.default_rng(seed)
    directions, _ = np.linalg.qr(draws.normal(size=(3, rank)))
    x = directions * draws.uniform(0.3, 2, rank) @ draws.normal(size=(rank, count))
    return torch.from_numpy(x + draws.normal(size=(3, 1))).reshape(1, 3, 1, count)


def moments(X):
    x = X[0].flatten(1).double().numpy()
    return x.mean(axis=1), np.cov(x, ddof=0)


def root(S):
    values, vectors = np.linalg.eigh(S)
    return vectors * np.sqrt(values) @ vectors.T


def matrix(X, moved):
    """A of moved = A x + b, by least squares."""
    x = X[0].flatten(1).numpy()
    ones = np.ones((1, x.shape[1]))
    found = np.linalg.lstsq(np.vstack([x, ones]).T, moved[0].flatten(1).numpy().T, rcond=None)
    return found[0][:3].T


def luma(image):
    """Of an image with gray levels, 0..255."""
    return np.asarray(image).astype(float) @ [0.299, 0.587, 0.114]


def chroma(image):
    return np.asarray(image).astype(float) - luma(image)[..., None]


# --- matches


@quick
@given(seed=SEEDS, method=st.sampled_from(MATCHING))
def test_a_match_has_the_mean_and_the_covariance_of_the_other_image(seed, method):
    X, like = colors(seed), colors(seed + 1, count=41)
    for found, expected in zip(
        moments(match_colors(X, like, method)), moments(like), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_in_single_precision_photographs_match_too():
    X, like = (preprocess(samples.load(name), 40) for name in ("rocket", "hatching"))
    for method in MATCHING:
        moved = match_colors(X, like, method)
        assert moved.dtype == torch.float32
        np.testing.assert_allclose(moments(moved)[1], moments(like)[1], rtol=0, atol=1e-6)


def test_the_mean_alone_shifts():
    X, like = colors(0), colors(1)
    shift = (moments(like)[0] - moments(X)[0]).reshape(1, 3, 1, 1)
    np.testing.assert_allclose(match_colors(X, like, "mean"), X.numpy() + shift, atol=1e-14)


def test_each_matrix_is_its_formula():
    X, like = colors(2), colors(3)
    S, T = moments(X)[1], moments(like)[1]
    half, inverse = root(S), np.linalg.inv(root(S))
    expected = {
        "symmetric": inverse @ root(half @ T @ half) @ inverse,
        "pca": root(T) @ inverse,
        "cholesky": np.linalg.cholesky(T) @ np.linalg.inv(np.linalg.cholesky(S)),
        "mean": np.eye(3),
    }
    assert set(expected) == set(METHODS)
    for method, A in expected.items():
        found = matrix(X, match_colors(X, like, method))
        np.testing.assert_allclose(found, A, rtol=0, atol=1e-9)
    A = expected["pca"]
    assert np.abs(A - A.T).max() > 0.05  # symmetric roots do not make a symmetric product


@quick
@given(seed=SEEDS)
def test_no_other_matrix_moves_the_colors_less(seed):
    """All that match are T^1/2 R S^-1/2, where R is a rotation, perhaps with a reflection."""
    X, like = colors(seed), colors(seed + 1)
    S, T = moments(X)[1], moments(like)[1]
    centered = X[0].flatten(1).numpy() - moments(X)[0][:, None]

    def moves(A):
        return np.square(A @ centered - centered).sum(axis=0).mean()

    A = color_map(torch.from_numpy(S), torch.from_numpy(T), "symmetric").numpy()
    np.testing.assert_allclose(A, A.T, rtol=0, atol=1e-8 * np.abs(A).max())
    assert np.linalg.eigvalsh(A).min() > -1e-9
    # the 2-Wasserstein distance of two normal distributions
    overlap = np.sqrt(np.linalg.eigvals(S @ T).real.clip(min=0)).sum()
    assert moves(A) == pytest.approx(S.trace() + T.trace() - 2 * overlap, rel=1e-6, abs=1e-9)
    draws = np.random.default_rng(seed)
    for _ in range(20):
        R, _ = np.linalg.qr(draws.normal(size=(3, 3)))
        other = root(T) @ R @ np.linalg.inv(root(S))
        assert moves(other) >= moves(A) * (1 - 1e-9)


# --- where the colors do not vary


@quick
@given(
    seed=SEEDS, ranks=st.sampled_from([(2, 2), (2, 1), (1, 1), (3, 1), (3, 2)]),
    method=st.sampled_from(MATCHING),
)  # fmt: skip
def test_colors_of_few_directions_match_those_of_no_more(seed, ranks, method):
    X, like = colors(seed, ranks[0]), colors(seed + 1, ranks[1])
    found, expected = moments(match_colors(X, like, method)), moments(like)
    np.testing.assert_allclose(found[0], expected[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[1], expected[1], rtol=0, atol=1e-6)


@pytest.mark.parametrize("method", MATCHING)
def test_directions_at_right_angles_match(method):
    line = torch.linspace(-1, 1, 9, dtype=torch.float64)
    X, like = torch.zeros(2, 1, 3, 1, 9, dtype=torch.float64)
    X[0, 0, 0], like[0, 2, 0] = line, 2 * line
    moved = match_colors(X, like, method)
    np.testing.assert_allclose(moments(moved)[1], moments(like)[1], rtol=0, atol=1e-12)


def test_a_gray_image_takes_the_color_that_goes_with_its_gray():
    """Along the grays, t is the variance of the colors to match. Each gray becomes the color
    that linear regression predicts from a gray that varies by t."""
    draws = np.random.default_rng(0)
    gray = torch.from_numpy(draws.normal(size=40)).expand(1, 3, 1, 40)
    like = colors(1)
    mean, T = moments(like)
    u = np.ones(3) / 3**0.5
    t = u @ T @ u
    standard = (gray[0, 0, 0].numpy() - gray[0, 0, 0].numpy().mean()) / gray[0, 0].numpy().std()
    expected = mean[:, None] + (T @ u / t)[:, None] * t**0.5 * standard
    np.testing.assert_allclose(match_colors(gray, like)[0, :, 0], expected, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_one_color_stays_one_color(method):
    """Single precision, and a mean that is not exact."""
    flat = normalized(np.full((31, 37, 3), (200, 13, 77)))
    like = preprocess(PAINTING, 20)
    mean = torch.from_numpy(moments(like)[0]).float().view(1, 3, 1, 1)
    torch.testing.assert_close(
        match_colors(flat, like, method), mean.expand_as(flat), rtol=0, atol=1e-5
    )
    moved = match_colors(like, flat, method)
    torch.testing.assert_close(moved.mean((2, 3)), flat.mean((2, 3)), rtol=0, atol=1e-5)
    if method != "mean":
        torch.testing.assert_close(moved, flat[..., :1, :1].expand_as(moved), atol=1e-5, rtol=0)


@pytest.mark.parametrize("method", MATCHING)
def test_noise_of_rounding_is_not_amplified(method):
    """A sepia photograph in 8 bits: off its one line of colors there is only rounding."""
    gray = np.asarray(PHOTO.convert("L").resize((60, 40))).astype(float)
    tint = np.array([0.9, 0.7, 0.45])
    X = normalized((gray[..., None] * tint).round())
    moved = match_colors(X, preprocess(PAINTING, 40), method)[0].flatten(1).double().numpy()
    values = np.linalg.eigvalsh(np.cov(moved))
    assert values[-1] > 0.1  # it has contrast
    assert values[-2] < 1e-6  # and no second direction


@pytest.mark.parametrize("method", MATCHING)
def test_a_tiny_gamut_matches(method):
    levels = np.random.default_rng(0).integers(100, 103, (40, 50, 3))
    like = preprocess(PAINTING, 30)
    moved = match_colors(normalized(levels), like, method)
    np.testing.assert_allclose(moments(moved)[1], moments(like)[1], rtol=0, atol=1e-6)
    back = match_colors(like, normalized(levels), method)
    np.testing.assert_allclose(
        moments(back)[1], moments(normalized(levels))[1], rtol=0, atol=1e-6
    )


# --- luminance


def test_the_luminance_is_within_a_gray_level_of_what_was_asked():
    pairs = [
        (photo("astronaut", 64), photo("rocket", 64)),
        (photo("roundels", 64), photo("hatching", 64)),
        (pixels(64, 64), pixels(64, 64, seed=1)),
        (Image.new("RGB", (8, 8), (255, 0, 0)), photo("coffee", 8)),
        (photo("coffee", 8), Image.new("RGB", (8, 8), "white")),
    ]
    for source, like in pairs:
        X, Y = (normalized(image) for image in (source, like))
        made = postprocess(with_luminance(X, Y))
        assert np.abs(luma(made) - luma(like)).max() < 1


def test_a_color_keeps_its_hue_and_loses_no_more_than_it_must():
    X, like = pixels(30, 40), pixels(30, 40, seed=1)
    made = with_luminance(normalized(X), normalized(like))
    levels = 255 * (made[0].permute(1, 2, 0).double().numpy() * STD + MEAN)
    before, after = chroma(X), levels - luma(levels)[..., None]
    fraction = (before * after).sum(axis=2) / np.square(before).sum(axis=2).clip(1e-9)
    np.testing.assert_allclose(after, fraction[..., None] * before, atol=1e-2)
    assert fraction.max() < 1 + 1e-3
    shrunk = fraction < 1 - 1e-3
    assert 0.1 < shrunk.mean() < 0.9
    edge = np.minimum(levels, 255 - levels).min(axis=2)  # the distance from what is not visible
    assert edge.min() > -1e-2
    assert edge[shrunk].max() < 1e-2


def test_to_keep_colors_both_images_lose_theirs_and_the_style_gets_the_light_of_the_photo():
    content, style = (preprocess(image, 40) for image in (PHOTO, PAINTING))
    X, Y = prepared("keep", content, style)
    for gray in (X, Y):
        levels = gray[0].double().permute(1, 2, 0).numpy() * STD + MEAN
        np.testing.assert_allclose(levels - levels[..., :1], 0, atol=1e-6)
    levels = content[0].double().permute(1, 2, 0).numpy() * STD + MEAN
    wanted = levels @ [0.299, 0.587, 0.114]
    of_X, of_Y = (each[0, 0].double().numpy() * STD[0] + MEAN[0] for each in (X, Y))
    np.testing.assert_allclose(of_X, wanted, atol=1e-6)
    assert 0 < of_Y.min() < of_Y.max() < 1  # nothing was cut off
    assert of_Y.mean() == pytest.approx(wanted.mean(), abs=1e-6)
    assert of_Y.std() == pytest.approx(wanted.std(), abs=1e-6)


def test_light_is_measured_in_regions_and_changed_everywhere():
    content, style = (preprocess(image, 40) for image in (PHOTO, PAINTING))
    opaque, there = (
        torch.from_numpy(np.random.default_rng(k).random(each.shape[2:]))[None, None]
        for k, each in enumerate((content, style))
    )
    Y = prepared("keep", content, style, opaque, there)[1]
    found, before, wanted = (
        (each[0].double().permute(1, 2, 0).numpy() * STD + MEAN) @ [0.299, 0.587, 0.114]
        for each in (Y, style, content)
    )

    def of_region(levels, mask):
        mean = np.average(levels, weights=mask[0, 0])
        return mean, np.average((levels - mean) ** 2, weights=mask[0, 0]) ** 0.5

    (mean, spread), (new_mean, new_spread) = of_region(before, there), of_region(wanted, opaque)
    expected = new_mean + (before - mean) * new_spread / spread
    assert 0 < expected.min() < expected.max() < 1
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_region_that_is_lost_in_a_small_image_is_all_of_it():
    content, style = preprocess(PHOTO, 20), preprocess(PAINTING, 20)
    nothing = torch.zeros(1, 1, *style.shape[2:])
    for word in ("keep", "match"):
        plain = prepared(word, content, style)[1]
        assert torch.equal(prepared(word, content, style, None, nothing)[1], plain)


def test_a_style_of_one_color_gets_one_gray():
    content, flat = preprocess(PHOTO, 64), normalized(np.full((61, 83, 3), (200, 13, 77)))
    Y = prepared("keep", content, flat)[1]
    levels = Y[0].double().permute(1, 2, 0).numpy() * STD + MEAN
    assert np.ptp(levels) < 1e-6


def test_other_words_leave_the_images_alone():
    content, style = preprocess(PHOTO, 20), preprocess(PAINTING, 20)
    for word in ("style", "only"):
        X, Y = prepared(word, content, style)
        assert X is content
        assert Y is style
    X, Y = prepared("match", content, style)
    assert X is content
    assert torch.equal(Y, match_colors(style, content))
    for word in ("style", "match"):
        assert recolored(word, style, content) is style


# --- every recipe


@pytest.mark.parametrize("recipe", sorted(RECIPES))
@pytest.mark.parametrize("word", COLORS)
def test_every_recipe_gives_the_colors_that_were_asked_for(monkeypatch, recipe, word):
    seen = []
    objective = type(RECIPES[recipe]).objective

    def watched(self, wanted, *arguments, **others):
        seen.append(wanted)
        return objective(self, wanted, *arguments, **others)

    monkeypatch.setattr(type(RECIPES[recipe]), "objective", watched)
    made = transfer(
        PHOTO, PAINTING, recipe=recipe, colors=word, image_shape=SHAPE, steps=2, scales=1
    )
    original = postprocess(preprocess(PHOTO, SHAPE))
    wanted = seen[-1]
    assert made.settings["colors"] == word
    if word == "only":
        assert np.abs(luma(made.image) - luma(original)).max() < 1
    if word == "keep":
        assert float((wanted.content[:, :1] * STD[0] + MEAN[0]).std()) > 0
        cross = np.cross(chroma(made.image), chroma(original))
        length = np.linalg.norm(chroma(original), axis=2) + 1e-9
        off = np.linalg.norm(cross, axis=2) / length  # the distance from the original hue
        assert off[length > 5].max() < 1.5  # gray levels: three channels are rounded
    if word == "match":
        for found, expected in zip(
            moments(wanted.styles[0].X), moments(wanted.content), strict=True
        ):
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    if word == "style":
        assert torch.equal(
            wanted.styles[0].X, preprocess(PAINTING, wanted.styles[0].X.shape[2:])
        )


def test_neighbors_end_with_the_colors_that_were_matched():
    made = transfer(
        PHOTO, PAINTING, recipe="neighbors", colors="match", image_shape=SHAPE, steps=2
    )
    expected = moments(preprocess(PHOTO, SHAPE))
    for found, wanted in zip(moments(made.picture), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5)


# --- refusals


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("simmetric", r"method must be 'symmetric', 'mean', 'cholesky' or 'pca', not 'simm.*'"),
        (None, "method must be 'symmetric'.*, not None"),
    ],
)
def test_unknown_methods_are_refused(method, message):
    with pytest.raises(InputError, match=message):
        match_colors(colors(0), colors(1), method)


def test_unknown_colors_are_refused():
    with pytest.raises(InputError, match="colors must be 'style', 'keep', 'match' or 'only'"):
        transfer(PHOTO, PAINTING, colors="original", image_shape=32, steps=1)


@pytest.mark.parametrize(
    ("X", "like", "message"),
    [
        (torch.ones(3, 4, 5), torch.ones(3, 4, 5), r"X has the shape \(1, 3, H, W\), not"),
        (torch.ones(1, 3, 4, 5), torch.ones(1, 1, 4, 5), r"like has the shape \(1, 3, H, W\)"),
        (torch.ones(1, 3, 4, 5), torch.ones(1, 3, 4, 6), r"as large as X, \[1, 3, 4, 5\], not"),
        ([1], torch.ones(1, 3, 4, 5), r"X must be a torch\.Tensor in floating point"),
    ],
)
def test_luminance_is_of_images_of_one_size(X, like, message):
    with pytest.raises(InputError, match=message):
        with_luminance(X, like)
