"""Regions, against loops in NumPy, gradients in float64, and runs with other paintings."""

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import nn
from torch.nn import functional
from toys import assert_near, draw, noise, tiny_network

from stylelib import (
    RECIPES,
    InputError,
    ModelFeatures,
    NetworkFeatures,
    Style,
    preprocess,
    saliency_mask,
    samples,
    save_image,
    squeezenet1_1,
    transfer,
    vgg19,
)
from stylelib.beyond.neighbors import HYPERCOLUMN_LAYERS, allowed_columns, rotated
from stylelib.beyond.statistics import (
    compare_gaussians,
    compare_histograms,
    compare_moments,
    compare_patches,
    compare_places,
    compare_sliced,
)
from stylelib.control.masks import (
    eroded,
    load_mask,
    mask_for,
    masks_at,
    region_of_color,
    resized,
    resized_inside,
    within,
)
from stylelib.control.styles import Painting, Wanted
from stylelib.networks import Fire
from stylelib.objectives import compare_features, compare_grams, relative
from stylelib.optimization import gradients_of
from stylelib.relatives import assignment
from stylelib.relatives.conventions import CONVENTIONS


def tensor(*shape, seed=0):
    return torch.from_numpy(draw(shape, seed))


def of_ones(mask):
    """A mask (H, W) as (1, 1, H, W) in float64."""
    return torch.as_tensor(mask, dtype=torch.float64)[None, None]


# --- reading a mask

HALF = np.array([[0, 0, 1, 1]] * 3)


@pytest.mark.parametrize(
    "source",
    [
        HALF,
        HALF.astype(bool),
        HALF.astype(np.float16),
        HALF.astype(np.uint16)[::-1],
        torch.from_numpy(HALF)[None],
        torch.from_numpy(HALF)[None, None].bool(),
        Image.fromarray((255 * HALF).astype(np.uint8)),
        Image.fromarray((255 * HALF).astype(np.uint8)).convert("1"),
        Image.fromarray((255 * HALF).astype(np.uint8)).convert("RGB"),
    ],
)
def test_a_mask_from_all_that_it_can_be(source):
    mask = load_mask(source)
    assert mask.dtype == torch.float32
    assert torch.equal(mask, torch.tensor([[[[0.0, 0, 1, 1]] * 3]]))


def test_a_mask_from_a_file_and_what_jpeg_does_to_black(tmp_path):
    white = np.zeros((48, 64), np.uint8)
    white[:, 32:] = 255
    for name in ("mask.png", "mask.jpg"):
        path = save_image(Image.fromarray(white).convert("RGB"), tmp_path / name)
        assert torch.equal(load_mask(path)[0, 0], torch.from_numpy(white).float() / 255)


def test_what_is_transparent_is_outside():
    layer = Image.new("RGBA", (4, 3), (255, 255, 255, 0))
    ImageDraw.Draw(layer).rectangle((2, 0, 3, 2), fill=(255, 255, 255, 255))
    assert torch.equal(load_mask(layer)[0, 0], torch.from_numpy(HALF).float())


def test_the_saliency_mask_is_a_mask():
    maps = torch.zeros(1, 24, 36)
    maps[:, 8:16, 8:20] = 1
    mask = load_mask(saliency_mask(maps, quantile=0.5, blur=0))
    assert torch.equal(mask[0], maps)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (np.zeros((3, 4)), "hair is empty: it is 0 .black. everywhere"),
        (Image.new("L", (4, 3)), "hair is empty"),
        (np.zeros((0, 4)), "hair is empty"),
        (0.4 * np.ones((3, 4)), "hair is at most 0.4; inside it must be 1 .white."),
        (255 * HALF, "from 0 .outside. to 1 .inside., not 0 to 255; scale it first"),
        (-HALF, "not -1 to 0; scale it first"),
        (np.where(HALF, np.nan, 1), "not nan to nan"),
        (np.ones(4), r"hair must have the shape .H, W., not .4,."),
        (np.ones((2, 3, 4)), r"not .2, 3, 4."),
        (np.ones((3, 4), complex), "numbers or truth values, not complex128"),
        (np.full((3, 4), "white"), "numbers or truth values, not <U5"),
        (torch.ones(3, 4, dtype=torch.complex64), "real values"),
    ],
)
def test_what_is_no_mask_is_refused(source, said):
    with pytest.raises(InputError, match=said):
        load_mask(source, "hair")


# --- from an image of labels


def labels():
    image = Image.new("RGB", (8, 6), (10, 20, 30))
    ImageDraw.Draw(image).rectangle((2, 1, 4, 3), fill=(255, 0, 6))
    return image


@pytest.mark.parametrize("color", [(255, 0, 0), "red", "#ff0004", np.array([250, 3, 4])])
def test_the_region_of_a_color(color):
    region = region_of_color(labels(), color)
    expected = torch.zeros(6, 8)
    expected[1:4, 2:5] = 1
    assert torch.equal(region, expected)
    assert torch.equal(load_mask(region)[0, 0], expected)


def test_the_region_of_a_color_that_is_not_there():
    with pytest.raises(InputError, match=r"no pixel has the color blue; .*: \(10, 20, 30\), "):
        region_of_color(labels(), "blue")
    with pytest.raises(InputError, match=r"no pixel has the color \(255, 0, 0\)"):
        region_of_color(labels(), (255, 0, 0), tolerance=5)


@pytest.mark.parametrize("color", ["reddish", (1, 2), 7, (1, 2, 256), (1, 2, 3.5), None])
def test_what_is_no_color_is_refused(color):
    with pytest.raises(InputError, match="color"):
        region_of_color(labels(), color)


# --- in other sizes


def test_resized_it_has_the_means():
    mask = of_ones(np.kron(np.random.default_rng(0).integers(0, 2, (3, 4)), np.ones((6, 6))))
    assert_near(resized(mask, (1, 1)).mean(), mask.mean(), 0.2)
    assert_near(resized(of_ones(np.ones((9, 7))), (4, 3)), np.ones((1, 1, 4, 3)))
    assert resized(mask, mask.shape[2:]) is mask


@pytest.mark.parametrize("shape", [(11, 17), (40, 60), (61, 90), (7, 200)])
def test_an_image_resized_along_has_seen_nothing_outside(shape):
    """Noise outside does not change one bit inside; next to the result's border it does."""
    levels = np.random.default_rng(1).integers(0, 256, (2, 40, 60, 3)).astype(np.uint8)
    mask = np.zeros((40, 60))
    mask[8:30, 11:50] = 1
    mask[15:18, 20:24] = 0
    a, b = levels[0], np.where(mask[..., None] > 0, levels[0], levels[1])
    changed = sum(preprocess(Image.fromarray(each), shape) * s for each, s in ((a, 1), (b, -1)))
    changed = changed.abs().amax(dim=1, keepdim=True) > 0
    inside = resized_inside(load_mask(mask), shape)
    assert inside.any()
    assert not changed[inside > 0].any()
    tight = functional.max_pool2d(changed.float(), 3, 1, 1) > 0
    away = functional.max_pool2d(tight.float(), 3, 1, 1) == 0
    assert (inside[away] > 0).all()
    plain = resized(load_mask(mask), shape)
    assert bool((plain[changed] > 0).any()) is (shape != (40, 60))  # it is not enough


def test_a_mask_for_an_image():
    photo = Image.new("RGB", (60, 40))
    for size in ((40, 60), (20, 30), (200, 300), (33, 49)):  # of the photograph, or as used
        mask = mask_for("here", np.ones(size), photo, (20, 30))
        torch.testing.assert_close(mask, torch.ones(1, 1, 20, 30))
    assert mask_for("here", np.ones((25, 25)), photo, (25, 25)).shape == (1, 1, 25, 25)
    own = mask_for("here", np.ones((25, 25)), photo, (25, 25), own_size=True)
    assert own.shape == (1, 1, 40, 60)
    with pytest.raises(InputError, match=r"here is 60 x 40, of other proportions .*, 40 x 60"):
        mask_for("here", np.ones((60, 40)), photo, (20, 30))


# --- eroded by what each position sees


def positive(net, seed=0):
    """The same network in float64 with positive weights, so that nothing cancels."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in net.parameters():
        parameter.data = 0.1 + torch.rand(
            parameter.shape, generator=generator, dtype=torch.float64
        )
    return net.double().eval()


def shared():
    conv = nn.Conv2d(3, 3, 3, padding=1)
    return nn.Sequential(nn.Sequential(conv, nn.ReLU(), conv), nn.Conv2d(3, 3, 3, stride=2))


NETWORKS = {
    "same": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, padding="same"), nn.Conv2d(4, 4, 5)),
    "even": lambda: nn.Sequential(nn.Conv2d(3, 4, (2, 4), padding="same"), nn.ReLU()),
    "strides": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 7, stride=3, padding=3), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=2)
    ),
    "dilated": lambda: nn.Sequential(nn.Conv2d(3, 4, 3, dilation=3, padding=3)),
    "circular": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 5, padding=2, padding_mode="circular"), nn.Conv2d(4, 4, 3, padding=1)
    ),
    "reflect": lambda: nn.Sequential(nn.Conv2d(3, 4, 5, padding=2, padding_mode="reflect")),
    "ceil": lambda: nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AvgPool2d(3, 2, ceil_mode=True), nn.Conv2d(4, 4, 3, padding=1)
    ),
    "pools": lambda: nn.Sequential(
        nn.AvgPool2d(2), nn.Conv2d(3, 4, 3, padding=1), nn.AvgPool2d(3, 1, padding=1)
    ),
    "nested": lambda: nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU(), nn.AvgPool2d(2))),
        nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)),
    ),
    "shared": shared,
    "fire": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Fire(4, 2, 3).to_empty(device="cpu")),
}


def depends_outside(net, X, mask):
    """At each position of the last layer: whether its gradient reaches a pixel outside."""
    X = X.clone().requires_grad_()
    Y = net(X).sum(dim=1)[0]  # (H', W')
    found = torch.zeros(Y.shape)
    for i, j in np.ndindex(*Y.shape):
        (gradient,) = torch.autograd.grad(Y[i, j], X, retain_graph=True)
        found[i, j] = float(gradient[:, :, mask == 0].abs().max())
    return found > 0


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shape", [(22, 25), (23, 24)])
def test_a_position_is_inside_exactly_if_no_pixel_outside_moves_it(name, shape):
    net = positive(NETWORKS[name]())
    mask = np.zeros(shape)
    mask[4:, 3:19] = 1
    mask[17, 5] = 0
    X = 1 + torch.rand(1, 3, *shape, dtype=torch.float64)
    outside = depends_outside(net, X, torch.from_numpy(mask))
    (found,) = eroded(of_ones(mask), net, [len(net) - 1])
    assert torch.equal(found[0, 0] == 0, outside)
    assert outside.any()
    assert not outside.all()


@pytest.mark.parametrize("pooling", ["max", "avg"])
def test_in_vgg_nothing_comes_in_from_outside(pooling):
    net = vgg19("random", layers=["relu4_1"], pooling=pooling).double()
    mask = torch.zeros(1, 1, 61, 90, dtype=torch.float64)
    mask[:, :, :, :71] = 1
    X = tensor(1, 3, 61, 90).requires_grad_()
    layers = ["conv1_1", "relu2_1", "pool2", "relu3_1", "relu4_1"]
    for Y, inside in zip(
        NetworkFeatures(net)(X, layers), eroded(mask, net, layers), strict=True
    ):
        assert Y.shape[2:] == inside.shape[2:]
        assert 0 < inside.mean() < 1
        (gradient,) = torch.autograd.grad((Y.abs() * inside).sum(), X, retain_graph=True)
        assert not (gradient * (1 - mask)).any()
        assert gradient.any()


def test_how_far_it_is_eroded_in_vgg():
    """By the reach of a receptive field to the right, in pixels: a closed form."""
    net = vgg19("random", layers=["relu3_1"])
    mask = torch.zeros(1, 1, 80, 80)
    mask[..., :48] = 1
    # with 3 x 3 kernels after one another: 1; 2 and, pooled, 1 + 2; 2 * 2 + 1 + ... by hand
    for layer, scale, reach in (("relu1_1", 1, 1), ("relu2_1", 2, 5), ("relu3_1", 4, 13)):
        (inside,) = eroded(mask, net, [layer])
        last = int(inside[0, 0, 10].nonzero().max())
        assert last * scale + reach <= 47 < (last + 1) * scale + reach


def test_soft_values_are_the_least_that_is_seen():
    mask = of_ones(np.random.default_rng(3).random((9, 10)))
    net = nn.Sequential(nn.Conv2d(3, 2, 3, padding=1), nn.MaxPool2d(2))
    (found,) = eroded(mask, net, [1])
    values = mask[0, 0].numpy()
    for i, j in np.ndindex(4, 5):
        window = values[max(0, 2 * i - 1) : 2 * i + 3, max(0, 2 * j - 1) : 2 * j + 3]
        assert float(found[0, 0, i, j]) == window.min()


class Half(nn.Module):
    """Halves an image without saying so in a layer of its own."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, X):
        return functional.avg_pool2d(self.conv(X), 2)


class Residual(nn.Sequential):
    """Not what its parts do one after the other."""

    def forward(self, X):
        return X + super().forward(X)


class Whole(nn.Module):
    """Sees all of the image, which its one layer does not say."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, X):
        return self.conv(X) - X.mean((2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("net", "name"),
    [
        (nn.Sequential(Whole()), "Whole"),
        (nn.Sequential(nn.Sequential(Half())), "Half"),
        (nn.Sequential(Residual(nn.Conv2d(3, 3, 3, padding=1))), "Residual"),
        (nn.Conv2d(3, 4, 3), "Conv2d"),
        (nn.Sequential(nn.InstanceNorm2d(3)), "InstanceNorm2d"),
        (nn.Sequential(nn.Upsample(scale_factor=2)), "Upsample"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(2)), "AdaptiveAvgPool2d"),
        (nn.Sequential(nn.ModuleDict({"a": nn.Conv2d(3, 3, 3)})), "ModuleDict"),
    ],
)
def test_a_network_of_which_it_is_not_known_what_it_sees_is_refused(net, name):
    with pytest.raises(InputError, match=f"{name} sees is not known. Style.erode=False."):
        eroded(torch.ones(1, 1, 16, 16), net, [0])


def test_a_model_is_refused_unless_nothing_is_eroded():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, X):
            return self.conv(X)

    features, X = ModelFeatures(Model().eval()), noise((1, 3, 16, 16))
    mask = torch.ones(1, 1, 16, 16)
    with pytest.raises(InputError, match="Model sees is not known"):
        masks_at(mask, X, features, ["conv"], erode=True)
    (loose,) = masks_at(mask, X, features, ["conv"], erode=False)
    assert torch.equal(loose, mask)


def test_features_of_another_shape_than_the_region_are_refused():
    mask = torch.ones(1, 1, 16, 16)
    with pytest.raises(InputError, match=r"region at this layer is 16 x 16, .* are 8 x 8"):
        within(compare_grams, mask, mask)(noise((1, 4, 8, 8)))


# --- a loss within a region

SOFT = np.random.default_rng(7).random((5, 6)) * (np.random.default_rng(8).random((5, 6)) > 0.4)
HARD = np.random.default_rng(9).random((4, 7)) > 0.5


def guided_gram(F, T):
    """Equation 5 of Gatys et al. (2017), over C: features (C, H, W), a mask (H, W)."""
    T = T / np.sqrt((T**2).sum())  # its squares add up to 1
    G = np.zeros((len(F), len(F)))
    for c, d, i, j in np.ndindex(len(F), len(F), *T.shape):
        G[c, d] += F[c, i, j] * T[i, j] * F[d, i, j] * T[i, j]
    return G / len(F)


def test_gram_matrices_are_those_of_equation_5():
    a, b = draw((3, 5, 6)), draw((3, 4, 7), 1)
    expected = ((guided_gram(a, SOFT) - guided_gram(b, HARD.astype(float))) ** 2).mean()
    loss = within(compare_grams, of_ones(SOFT), of_ones(HARD))
    assert_near(loss(torch.from_numpy(b)[None])(torch.from_numpy(a)[None]), expected, 1e-12)


@pytest.mark.parametrize("name", CONVENTIONS)
def test_conventions_count_softly_too(name):
    """The factor of a convention's style loss knows of no positions."""
    a, b = draw((3, 5, 6)), draw((3, 5, 6), 1)
    difference = guided_gram(a, SOFT) - guided_gram(b, SOFT)
    factor = CONVENTIONS[name].relative_factor("style", (1, 3, 5, 6))
    loss = within(CONVENTIONS[name].compare_grams, of_ones(SOFT), of_ones(SOFT))
    found = loss(torch.from_numpy(b)[None])(torch.from_numpy(a)[None])
    assert_near(found, factor * (difference**2).mean(), 1e-12)


def test_the_losses_of_the_assignment_count_softly_too():
    a, b = draw((3, 5, 6)), draw((3, 5, 6), 1)
    difference = guided_gram(a, SOFT) - guided_gram(b, SOFT)
    loss = within(assignment.ASSIGNMENT.style_loss, of_ones(SOFT), of_ones(SOFT))
    found = loss(torch.from_numpy(b)[None])(torch.from_numpy(a)[None])
    assert_near(found, (difference**2).sum(), 1e-12)


@pytest.mark.parametrize(
    "loss", [compare_features, CONVENTIONS["numpy"].compare_features], ids=["d2l", "numpy"]
)
def test_content_is_a_mean_by_the_mask(loss):
    a, b = draw((3, 5, 6)), draw((3, 5, 6), 1)
    weighted = (SOFT**2 * (a - b) ** 2).sum() / (3 * (SOFT**2).sum())
    factor = 1 if loss is compare_features else 0.5
    found = within(loss, of_ones(SOFT), of_ones(SOFT))
    a, b = torch.from_numpy(a)[None], torch.from_numpy(b)[None]
    assert_near(found(b)(a), factor * weighted, 1e-12)


OTHERS = {
    "moments": compare_moments,
    "gaussians": compare_gaussians,
    "histograms": compare_histograms,
    "sliced": partial(compare_sliced, directions=5),
    "places": compare_places,
}
ALL = OTHERS | {
    "features": compare_features,
    "grams": compare_grams,
    "relative grams": relative(compare_grams),
    "relative moments": relative(compare_moments),
}


@pytest.mark.parametrize("name", ALL)
def test_within_hard_masks_it_is_the_loss_of_the_positions_taken_out(name):
    a, b = tensor(1, 3, 4, 7).requires_grad_(), tensor(1, 3, 4, 7, seed=1)
    positions = torch.from_numpy(HARD)
    expected = ALL[name](b[..., positions][:, :, None])(a[..., positions][:, :, None])
    found = within(ALL[name], of_ones(HARD), of_ones(HARD))(b)(a)
    assert_near(found, expected.detach(), 1e-9)
    gradients = [torch.autograd.grad(each, a)[0] for each in (expected, found)]
    assert_near(gradients[1], gradients[0], 1e-9)
    assert not gradients[1][..., ~positions].any()


@pytest.mark.parametrize("name", ALL)
def test_a_region_of_all_is_the_loss_itself(name):
    a, b, whole = tensor(1, 3, 4, 7), tensor(1, 3, 4, 7, seed=1), torch.ones(1, 1, 4, 7)
    expected = ALL[name](b)(a)
    for here, there in ((whole, whole), (whole, None), (None, whole)):
        assert_near(within(ALL[name], here, there)(b)(a), expected, 1e-12)


@pytest.mark.parametrize("name", OTHERS)
def test_without_squares_a_position_counts_from_one_half(name):
    a, b = tensor(1, 3, 5, 6), tensor(1, 3, 5, 6, seed=1)
    hard = of_ones(SOFT > 0.5)
    soft = within(OTHERS[name], of_ones(SOFT), None)(b)(a)
    assert_near(soft, within(OTHERS[name], hard, None)(b)(a), 1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        compare_patches,
        partial(compare_patches, size=2),
        relative(partial(compare_patches, size=2)),
        partial(partial(compare_patches, size=2), stride=1),
    ],
)
def test_patches_have_no_region(loss):
    mask = torch.ones(1, 1, 8, 8)
    with pytest.raises(InputError, match="compares patches, positions with those beside them"):
        within(loss, mask, mask)


def test_bfloat16_is_kept_and_scaled_well_enough():
    """The scale is rounded to 8 bits, so a Gram matrix is off by less than a hundredth."""
    mask = torch.zeros(1, 1, 30, 40)
    mask[..., 11:] = 1
    Y = noise((1, 8, 30, 40)) + 1
    loss = within(relative(compare_grams), mask, mask)
    assert hasattr(loss, "takes_bfloat16")
    assert float(loss(Y)(Y.bfloat16())) < 1e-4
    assert not hasattr(within(compare_moments, mask, mask), "takes_bfloat16")


# --- runs: what is outside changes nothing

LEFT = np.zeros((48, 72))
LEFT[:, :40] = 1
RUNS = {
    "coarse-to-fine": {"steps": 6, "image_shape": 60},
    "d2l": {"steps": 3},
    "gatys": {"steps": 3},
    "assignment": {"steps": 3},
    "neighbors": {"steps": 4},
}


def picture(seed, height=48, width=72):
    """Blocks of color with grain, in another size than any run uses."""
    generator = np.random.default_rng(seed)
    blocks = np.kron(
        generator.integers(0, 200, (6, 9, 3)), np.ones((height // 6, width // 9, 1))
    )
    return Image.fromarray((blocks + generator.integers(0, 56, blocks.shape)).astype(np.uint8))


def scrambled(image, mask, seed=5):
    """The image with other pixels where the mask is 0."""
    pixels = np.asarray(image)
    other = np.random.default_rng(seed).integers(0, 256, pixels.shape)
    return Image.fromarray(np.where(mask[..., None] > 0, pixels, other).astype(np.uint8))


@pytest.fixture(scope="module")
def net():
    return vgg19(layers=["conv5_1", *HYPERCOLUMN_LAYERS, "relu5_1"])


@pytest.mark.parametrize("recipe", RUNS)
def test_noise_outside_the_styles_region_changes_nothing(recipe, net):
    photo, painting = samples.load("chelsea"), picture(1, 96, 144)
    there = np.kron(LEFT, np.ones((2, 2)))
    how = {"recipe": recipe, "image_shape": 48, "net": net, "style_shape": 56, **RUNS[recipe]}
    first, second, leaked = (
        transfer(photo, Style(image, there=there, erode=erode), **how).picture
        for image, erode in (
            (painting, True),
            (scrambled(painting, there), True),
            (scrambled(painting, there), False),
        )
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, leaked)


@pytest.mark.parametrize("recipe", ["coarse-to-fine", "d2l", "gatys", "assignment"])
def test_the_style_of_one_region_does_not_move_pixels_of_the_other(recipe, net):
    """Its gradient is 0 there, to the last bit; without erosion it is not."""
    content = preprocess(samples.load("chelsea"), (48, 72))
    left = load_mask(LEFT)
    start, recipe = content + 0.1 * noise(content.shape), RECIPES[recipe]
    for erode in (True, False):
        style = Painting(preprocess(picture(1), (48, 72)), here=left, erode=erode)
        terms = recipe.style_terms(Wanted(content, [style]), NetworkFeatures(net), 1.0)
        loss = terms[0].loss_given(NetworkFeatures(net))
        X = start.clone().requires_grad_()
        layers = list(terms[0].layers)
        value = loss(X, dict(zip(layers, NetworkFeatures(net)(X, layers), strict=True)))
        (gradient,) = torch.autograd.grad(value, X)
        assert gradient[..., :40].any()
        assert bool(gradient[..., 40:].any()) is not erode


def test_after_a_step_only_the_region_of_the_other_painting_differs(net):
    photo = samples.load("chelsea")
    right = 1 - LEFT
    one, two = (
        transfer(
            photo,
            [Style(picture(1), here=LEFT), Style(picture(seed), here=right)],
            recipe="d2l",
            image_shape=(48, 72),
            steps=1,
            net=net,
        ).picture
        for seed in (2, 3)
    )
    assert torch.equal(one[..., :40], two[..., :40])
    assert not torch.equal(one[..., 40:], two[..., 40:])


def test_a_style_weighs_as_much_in_one_region_as_without_regions(net):
    """A region of all of the image changes nothing."""
    content, X = (preprocess(picture(seed), (48, 72)) for seed in (1, 2))
    features = NetworkFeatures(net)
    whole = torch.ones(1, 1, 48, 72)
    found = []
    for here in (None, whole):
        wanted = Wanted(content, [Painting(X, here=here)])
        objective = (
            RECIPES["d2l"]
            .changed(weights=(1, 1e4, 0))
            .objective(wanted, content, features, features, last=True)
        )
        found.append(dict(gradients_of(content + 0.1, objective))["style"])
    torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-7)


# --- small regions


def spot(side, shape=(96, 96)):
    mask = torch.zeros(1, 1, *shape)
    mask[:, :, 40 : 40 + side, 40 : 40 + side] = 1
    return mask


def test_a_small_region_loses_the_deep_layers(net):
    content = noise((1, 3, 96, 96))
    features, recipe = NetworkFeatures(net), RECIPES["d2l"]
    counts = []
    for side in (2, 3, 9, 30, 80):
        wanted = Wanted(content, [Painting(content, here=spot(side))])
        if side < 3:
            with pytest.raises(InputError, match="a region is too small: at no layer"):
                recipe.style_terms(wanted, features, 1.0)
            (term,) = recipe.style_terms(wanted, features, 1.0, last=False)
        else:
            (term,) = recipe.style_terms(wanted, features, 1.0)
        counts.append(len(term.layers))
    assert counts[:2] == [0, 1]
    assert counts == sorted(counts)
    assert len(set(counts)) >= 4


def test_a_region_too_small_for_the_first_size_comes_in_later(net):
    photo, mask = samples.load("chelsea"), np.zeros((150, 225))
    mask[70:76, 70:76] = 1
    how = {"net": net, "image_shape": 150, "steps": 6}
    plain, dotted = (
        transfer(photo, Style(picture(1), here=each), **how).picture
        for each in (mask, 1 - mask)
    )
    assert not torch.equal(plain, dotted)
    tiny = np.zeros((150, 225))
    tiny[70, 70] = 1
    for recipe in ("coarse-to-fine", "neighbors"):
        with pytest.raises(InputError, match="too small"):
            transfer(photo, Style(picture(1), here=tiny), recipe=recipe, **how)
        with pytest.raises(InputError, match="too small"):
            transfer(photo, Style(photo, there=tiny[:, :]), recipe=recipe, **how)


@pytest.mark.parametrize("colors", ["style", "keep", "match"])
@pytest.mark.parametrize("recipe", ["coarse-to-fine", "neighbors"])
def test_so_does_a_region_of_the_style(net, recipe, colors):
    """It is lost at the first size, of 37 rows or fewer."""
    there = np.zeros((150, 225))
    there[70:78, 70:78] = 1
    style = Style(picture(1).resize((225, 150)), there=there)
    how = {"net": net, "image_shape": 150, "steps": 6, "scales": 3, "colors": colors}
    made = transfer(samples.load("chelsea"), style, recipe=recipe, **how)
    assert torch.isfinite(made.picture).all()


# --- nearest neighbors


@pytest.mark.parametrize("shape", [(40, 140), (41, 143)])
@pytest.mark.parametrize("layers", [3, 10])
def test_the_columns_that_are_allowed_do_not_see_outside(net, shape, layers, monkeypatch):
    """Also those of the rotated painting, whose pooling begins at another side."""
    monkeypatch.setattr(
        "stylelib.beyond.neighbors.HYPERCOLUMN_LAYERS", HYPERCOLUMN_LAYERS[:layers]
    )
    from stylelib.beyond.neighbors import columns_of

    features = NetworkFeatures(net)
    there = torch.zeros(1, 1, *shape)
    there[..., 5:135] = 1
    a = noise((1, 3, *shape))
    b = torch.where(there > 0, a, noise(a.shape, 1))
    columns, allowed = [], []
    for X in (a, b):
        turned = [rotated(Painting(X, there=there), k) for k in range(4)]
        bare = [torch.rot90(X, k, (2, 3)) for k in range(4)]
        columns.append(torch.cat([columns_of(each, features) for each in bare], dim=1))
        allowed.append(allowed_columns(turned, features))
    assert torch.equal(*allowed)
    assert torch.equal(*(each[:, allowed[0]] for each in columns))
    assert not torch.equal(*columns)


def test_what_is_outside_is_the_mean_color_of_the_region():
    there = torch.tensor([[[[0.0, 1, 1]]]])
    X = torch.tensor([[[[9.0, 2, 4]]]]).expand(1, 3, 1, 3)
    style = rotated(Painting(X, there=there), 1)
    assert style.X[0, 0, :, 0].tolist() == [4.0, 2.0, 3.0]
    assert style.there[0, 0, :, 0].tolist() == [1.0, 1.0, 0.0]
    loose = rotated(Painting(X, there=there, erode=False), 0)
    assert torch.equal(loose.X, X)


# --- other networks


def test_regions_in_a_small_network_and_in_squeezenet():
    photo, painting = picture(1), picture(2)
    regions = [Style(painting, here=LEFT), Style(photo, here=1 - LEFT)]
    for net, layers in (
        (tiny_network(), (1, 4)),
        (squeezenet1_1("random"), ("relu1", "fire3")),
    ):
        how = {"recipe": "d2l", "net": net, "image_shape": (48, 72), "steps": 2}
        content = layers[:1]
        made = transfer(photo, regions, style_layers=layers, content_layers=content, **how)
        assert torch.isfinite(made.picture).all()
