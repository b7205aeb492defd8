import copy

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients as CaptumIntegratedGradients
from captum.attr import Saliency
from torch import nn
from torch.nn import functional
from toys import Linear

from stylelib import (
    class_names,
    cut_out,
    integrated_gradients,
    preprocess,
    saliency_map,
    saliency_mask,
    samples,
    smooth_grad,
)
from stylelib.sees.saliency import score_gradient

CAT, ESPRESSO = 285, 967
METHODS = {
    "saliency_map": saliency_map,
    "smooth_grad": lambda X, y, model: smooth_grad(X, y, model, samples=2),
    "integrated_gradients": lambda X, y, model: integrated_gradients(X, y, model, steps=2).map,
    "score_gradient": lambda X, y, model: score_gradient(X, y, model)[1],
}


@pytest.fixture(params=METHODS)
def method(request):
    """Each of the ways to a map: (X, y, model) to a tensor."""
    return METHODS[request.param]


@pytest.fixture(scope="module")
def exact(model):
    """The same in float64: in float32 two ways to a gradient differ by more than 1e-6."""
    return copy.deepcopy(model).double()


@pytest.fixture(scope="module")
def photos():
    """The cat and the cup, (2, 3, 96, 96), float64."""
    each = [preprocess(samples.load(name), (96, 96)) for name in ("chelsea", "coffee")]
    return torch.cat(each).double()


def random_pictures(count, seed=0, height=32, width=32):
    """Within the visible range, float64."""
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.rand(count, 3, height, width, generator=generator, dtype=torch.float64) * 3 - 1.5
    )


class TwoLayers(nn.Module):
    """A convolution, (K, 3, 4, 4) side by side, a ReLU, the mean, and a matrix (1000, K)."""

    def __init__(self, bias=True):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        options = {"generator": generator, "dtype": torch.float64}
        self.W = nn.Parameter(torch.randn(6, 3, 4, 4, **options))
        self.b = nn.Parameter(torch.randn(6, **options) * bias)
        self.V = nn.Parameter(torch.randn(1000, 6, **options))

    def forward(self, X):
        Z = functional.conv2d(X, self.W, self.b, stride=4)
        return Z.relu().mean(dim=(2, 3)) @ self.V.T

    def by_hand(self, X, targets):
        """Scores (N,) and gradients (N, 3, H, W), in NumPy."""
        W, b, V = (values.detach().numpy() for values in (self.W, self.b, self.V))
        N, _, H, W_ = X.shape
        patches = X.numpy().reshape(N, 3, H // 4, 4, W_ // 4, 4)
        Z = np.einsum("ncaubv,kcuv->nkab", patches, W) + b[:, None, None]
        v = V[targets]  # (N, K)
        scores = (v * np.maximum(Z, 0).mean(axis=(2, 3))).sum(axis=1)
        slopes = v[:, :, None, None] * (Z > 0) / (Z.shape[2] * Z.shape[3])
        gradient = np.einsum("nkab,kcuv->ncaubv", slopes, W)
        return scores, gradient.reshape(X.shape)


@pytest.fixture(scope="module")
def tiny():
    return TwoLayers().eval().requires_grad_(False)


# --- the gradient, in closed form


@pytest.mark.parametrize("shape", [(32, 32), (36, 48)], ids=str)
def test_score_and_gradient_are_those_computed_by_hand(tiny, shape):
    X, targets = random_pictures(3, 0, *shape), [7, 999, 0]
    scores, gradient = score_gradient(X, targets, tiny)
    expected_scores, expected = tiny.by_hand(X, targets)
    assert np.abs(scores.numpy() - expected_scores).max() < 1e-12
    assert np.abs(gradient.numpy() - expected).max() < 1e-12
    assert np.abs(expected).max() > 0.01


def test_a_map_is_the_greatest_absolute_gradient_of_the_colors(tiny):
    X, targets = random_pictures(2), [5, 6]
    expected = np.abs(tiny.by_hand(X, targets)[1]).max(axis=1)
    maps = saliency_map(X, targets, tiny)
    assert maps.shape == (2, 32, 32)
    assert np.abs(maps.numpy() - expected).max() < 1e-12
    assert not maps.requires_grad


@pytest.mark.parametrize(
    ("targets", "same"),
    [
        ([3], [3, 3]),
        (3, [3, 3]),
        ("espresso", [ESPRESSO, ESPRESSO]),
        (["espresso", 4], [ESPRESSO, 4]),
        (torch.tensor([8, 9]), [8, 9]),
    ],
    ids=str,
)
def test_classes_are_given_by_name_or_number_for_all_or_for_each(tiny, method, targets, same):
    X = random_pictures(2)
    assert class_names()[ESPRESSO] == "espresso"
    assert torch.equal(method(X, targets, tiny), method(X, same, tiny))


def test_another_class_has_another_map(tiny, method):
    X = random_pictures(1)
    assert not torch.allclose(method(X, 1, tiny), method(X, 2, tiny))


# --- against Captum


def test_saliency_maps_are_those_of_captum(exact, photos):
    targets = [CAT, 281]
    theirs = Saliency(exact).attribute(photos.clone().requires_grad_(), target=targets)
    expected = theirs.amax(dim=1)
    ours = saliency_map(photos, targets, exact)
    assert expected.max() > 0.01
    assert (ours - expected).abs().max() < 1e-6 * float(expected.max())


def test_saliency_maps_in_float32_are_those_of_captum_up_to_its_noise(model, photos):
    X = photos[:1].float()
    expected = Saliency(model).attribute(X.clone().requires_grad_(), target=CAT).amax(dim=1)
    assert (saliency_map(X, CAT, model) - expected).abs().max() < 1e-3 * float(expected.max())


@pytest.mark.parametrize("steps", [1, 6])
def test_integrated_gradients_are_those_of_captum(exact, photos, steps):
    targets = [CAT, ESPRESSO]
    expected = CaptumIntegratedGradients(exact).attribute(
        photos, 0, target=targets, n_steps=steps, method="gausslegendre"
    )
    ours = integrated_gradients(photos, targets, exact, steps=steps)
    assert (ours.attributions - expected).abs().max() < 1e-6 * float(expected.abs().max())
    assert (ours.map - expected.abs().amax(dim=1)).abs().max() < 1e-6 * float(expected.max())


def test_another_baseline_is_that_of_captum(tiny):
    X, baseline = random_pictures(2, 0), random_pictures(1, 1)
    expected = CaptumIntegratedGradients(tiny).attribute(
        X, baseline, target=[1, 2], n_steps=9, method="gausslegendre"
    )
    ours = integrated_gradients(X, [1, 2], tiny, baseline=baseline, steps=9)
    # captum has its weights of Gauss and Legendre in float32
    assert (ours.attributions - expected).abs().max() < 1e-6 * float(expected.abs().max())


# --- a batch


def test_a_picture_has_the_same_map_alone_and_in_a_batch(exact, photos):
    targets = [CAT, ESPRESSO]
    together = saliency_map(photos, targets, exact)
    for n in (0, 1):
        alone = saliency_map(photos[n : n + 1], targets[n], exact)[0]
        assert (together[n] - alone).abs().max() < 1e-9 * float(alone.max())


def test_integrated_gradients_are_the_same_alone_and_in_a_batch(tiny):
    X, targets = random_pictures(3), [4, 5, 6]
    together = integrated_gradients(X, targets, tiny, steps=7)
    for n, target in enumerate(targets):
        alone = integrated_gradients(X[n : n + 1], target, tiny, steps=7)
        for field, expected in zip(together, alone, strict=True):
            assert torch.allclose(field[n], expected[0], rtol=1e-9, atol=1e-12)


# --- nothing is left behind


@pytest.mark.parametrize("requires_grad", [False, True], ids=["frozen", "trainable"])
def test_neither_picture_nor_network_is_changed(method, requires_grad):
    model = TwoLayers().eval().requires_grad_(requires_grad)
    X = random_pictures(2).requires_grad_(requires_grad)
    before = copy.deepcopy(model.state_dict()), X.detach().clone()
    maps = method(X, 3, model)
    assert not maps.requires_grad
    assert X.grad is None
    assert X.requires_grad is requires_grad
    assert torch.equal(X, before[1])
    for name, parameter in model.named_parameters():
        assert parameter.grad is None
        assert parameter.requires_grad is requires_grad
        assert torch.equal(parameter, before[0][name])
    for module in model.modules():
        for hooks in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks"):
            assert not getattr(module, hooks)
    assert not model.training


def test_an_earlier_gradient_stays(method, tiny):
    X = random_pictures(1).requires_grad_()
    X.sum().backward()
    method(X, 3, tiny)
    assert torch.equal(X.grad, torch.ones_like(X))


def test_it_works_where_gradients_are_switched_off(method, tiny):
    X = random_pictures(1)
    expected = method(X, 3, tiny)
    with torch.no_grad():
        assert torch.equal(method(X, 3, tiny), expected)
        assert not torch.is_grad_enabled()
    assert torch.is_grad_enabled()


# --- integrated gradients


def test_integrated_gradients_of_a_linear_model_need_one_step():
    model, X = Linear(1, 2, 0.7, dtype=torch.float64).eval(), random_pictures(2)
    baseline = random_pictures(2, seed=8)
    result = integrated_gradients(X, [0, 3], model, baseline=baseline, steps=1)
    expected = (X - baseline) * model.weight[[0, 3]]
    assert torch.allclose(result.attributions, expected, rtol=1e-12)
    assert torch.allclose(result.map, expected.abs().amax(dim=1), rtol=1e-12)
    assert torch.allclose(result.difference, expected.sum(dim=(1, 2, 3)), rtol=1e-9)
    assert float(result.gap.max()) < 1e-9


def test_one_step_takes_the_gradient_half_way(tiny):
    """The only point of Gauss and Legendre is the middle, with the whole weight."""
    X = random_pictures(2)
    expected = X.numpy() * tiny.by_hand(X / 2, [1, 2])[1]
    result = integrated_gradients(X, [1, 2], tiny, steps=1)
    assert np.abs(result.attributions.numpy() - expected).max() < 1e-12


def test_difference_and_gap_are_as_defined(tiny):
    X = random_pictures(2)
    result = integrated_gradients(X, [1, 2], tiny, steps=3)
    ends = [tiny.by_hand(at, [1, 2])[0] for at in (X, torch.zeros_like(X))]
    difference = ends[0] - ends[1]
    assert np.abs(result.difference.numpy() - difference).max() < 1e-12
    missing = np.abs(result.attributions.numpy().sum(axis=(1, 2, 3)) - difference)
    assert missing.min() > 1e-6
    assert result.gap.numpy() == pytest.approx(missing / np.abs(difference), rel=1e-6)


def test_without_a_bias_one_step_is_exact():
    """From 0 on, no ReLU changes sides along the way: the gradient is the same all along."""
    model, X = TwoLayers(bias=False).eval(), random_pictures(1)
    result = integrated_gradients(X, 5, model, steps=1)
    assert float(result.gap) < 1e-12


def test_more_steps_close_the_gap(tiny):
    X = random_pictures(4)
    gaps = [integrated_gradients(X, 1, tiny, steps=steps).gap.mean() for steps in (2, 20, 200)]
    assert gaps[0] > 4 * gaps[1] > 16 * gaps[2]


def test_on_a_photograph_the_gap_falls_below_a_hundredth(model, photos):
    """50 steps leave 3 %: the gradient jumps along the way."""
    X = photos[:1].float()
    result = integrated_gradients(X, CAT, model, max_gap=0.01)
    difference = float((model(X) - model(torch.zeros(1, 3, 96, 96)))[0, CAT])
    assert abs(difference) > 1
    assert float(result.difference) == pytest.approx(difference, abs=1e-4)
    total = float(result.attributions.double().sum())
    assert abs(total - difference) < 0.01 * abs(difference)
    assert float(result.gap) < 0.01


class Counted(nn.Module):
    """A model that counts the pictures whose gradient is asked for."""

    def __init__(self, model):
        super().__init__()
        self.model, self.count = model, 0

    def forward(self, X):
        self.count += X.requires_grad
        return self.model(X)


@pytest.mark.parametrize("max_gap", [0.3, 0.01, 0.001])
def test_max_gap_doubles_the_steps_until_no_gap_is_larger(tiny, max_gap):
    X, targets = random_pictures(3, seed=3), [1, 2, 3]
    given = integrated_gradients(X, targets, tiny, steps=2, max_gap=max_gap)
    tried = [2 * 2**n for n in range(7)]  # 2 to 128, 64 times as many
    each = [integrated_gradients(X, targets, tiny, steps=steps) for steps in tried]
    enough = [n for n, result in enumerate(each) if float(result.gap.max()) <= max_gap]
    expected = each[enough[0] if enough else -1]
    for field, other in zip(given, expected, strict=True):
        assert torch.allclose(field, other, rtol=1e-9, atol=1e-12)


def test_max_gap_gives_up_after_64_times_the_steps(tiny):
    counted = Counted(tiny).eval()
    result = integrated_gradients(random_pictures(1), 1, counted, steps=3, max_gap=1e-15)
    assert result.gap > 1e-15
    assert counted.count == 3 * (1 + 2 + 4 + 8 + 16 + 32 + 64)
    counted.count = 0
    integrated_gradients(random_pictures(1), 1, counted, steps=3)
    assert counted.count == 3


def test_a_picture_that_is_its_baseline_has_no_attributions_and_no_gap(tiny):
    X = random_pictures(2)
    result = integrated_gradients(X, 3, tiny, baseline=X, steps=2)
    assert not result.attributions.any()
    assert not result.difference.any()
    assert not result.gap.any()


# --- SmoothGrad


@pytest.mark.parametrize("noise", [0.0, 0.15, 0.4])
def test_smooth_grad_is_the_mean_over_noisy_copies(tiny, noise):
    X, targets = random_pictures(2), [1, 2]
    X[1] /= 3  # each picture's own range counts
    generator = torch.Generator().manual_seed(4)
    total = np.zeros(X.shape)
    for _ in range(5):
        drawn = torch.randn(X.shape[1:], generator=generator)[None]  # one for all pictures
        for n, target in enumerate(targets):
            spread = noise * (X[n].max() - X[n].min()).item()
            copy_ = X[n : n + 1] + spread * drawn
            total[n] += tiny.by_hand(copy_, [target])[1][0]
    expected = np.abs(total / 5).max(axis=1)
    maps = smooth_grad(X, targets, tiny, noise=noise, samples=5, seed=4)
    assert maps.shape == (2, 32, 32)
    assert np.abs(maps.numpy() - expected).max() < 1e-7


def test_without_noise_it_is_the_saliency_map(exact, photos):
    expected = saliency_map(photos[:1], CAT, exact)
    maps = smooth_grad(photos[:1], CAT, exact, noise=0, samples=3)
    assert torch.allclose(maps, expected, rtol=1e-9, atol=1e-12)


def test_the_noise_is_seeded_and_the_global_generator_left_alone(tiny):
    X, state = random_pictures(1), torch.get_rng_state()
    first = smooth_grad(X, 1, tiny, samples=3, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(77)
    assert torch.equal(smooth_grad(X, 1, tiny, samples=3, seed=5), first)
    assert not torch.equal(smooth_grad(X, 1, tiny, samples=3, seed=6), first)
    assert not torch.equal(smooth_grad(X, 1, tiny, samples=4, seed=5), first)


# --- masks


def two_spots():
    """A map whose smaller spot is the stronger one, on weak ground, and the larger spot."""
    ground = np.linspace(0.0, 0.1, 40 * 50).reshape(40, 50)
    larger = np.zeros((40, 50), dtype=bool)
    larger[4:14, 5:17] = True
    ground[larger] = 1
    ground[25:30, 30:37] = 9
    return torch.from_numpy(ground), torch.from_numpy(larger)


def test_the_mask_is_the_largest_spot():
    values, larger = two_spots()  # 120 and 35 of 2,000 pixels
    mask = saliency_mask(values[None], quantile=0.9225, blur=0)
    assert mask.dtype == torch.bool
    assert torch.equal(mask, larger[None])


def test_holes_are_filled_and_bays_are_not():
    values, larger = two_spots()
    values[7:10, 8:12] = 0  # a hole
    values[11:14, 9:12] = 0  # a bay, open below
    larger[11:14, 9:12] = False
    mask = saliency_mask(values[None], quantile=0.935, blur=0)
    assert torch.equal(mask, larger[None])


def test_a_ground_without_any_saliency_is_no_spot():
    """nine tenths of the pixels are too weak to count, also where they are all 0."""
    values, larger = two_spots()
    values[values < 0.5] = 0
    assert torch.equal(saliency_mask(values[None], quantile=0.9, blur=0), larger[None])


def test_the_quantile_is_the_share_that_does_not_count():
    """A hill: one spot however low the threshold."""
    down, across = np.mgrid[:50, :60]
    hill = -np.hypot(down - 24.3, across - 29.6)[None]  # no two the same
    for quantile in (0.0, 0.25, 0.5, 0.9, 0.99):
        mask = saliency_mask(torch.from_numpy(hill), quantile=quantile, blur=0)
        assert float(mask.double().mean()) == pytest.approx(1 - quantile, abs=0.001)
        assert torch.equal(mask[0], torch.from_numpy(hill[0] >= np.quantile(hill, quantile)))


def test_blur_makes_spots_of_single_pixels():
    """A loose cloud of points has no two that touch; blurred, it outweighs a small square."""
    values = torch.zeros(1, 60, 60, dtype=torch.float64)
    values[0, 10:40:3, 10:40:3] = 1
    values[0, 50:53, 50:53] = 1
    values += 1e-3 * torch.rand(60, 60, generator=torch.Generator().manual_seed(0))
    sharp = saliency_mask(values, quantile=0.97, blur=0)
    assert torch.equal(sharp[0].nonzero().amin(dim=0), torch.tensor([50, 50]))
    smooth = saliency_mask(values, quantile=0.75, blur=2.0)
    assert smooth[0, 12:36, 12:36].all()
    assert not smooth[0, 48:, 48:].any()
    assert torch.equal(saliency_mask(values), saliency_mask(values, quantile=0.9, blur=4.0))


def test_each_map_of_a_batch_has_its_own_mask():
    values, _ = two_spots()
    batch = torch.stack([values, 100 * values.flip(0), values.flip(1)]).float()
    masks = saliency_mask(batch, quantile=0.9, blur=1.0)
    assert masks.shape == (3, 40, 50)
    for n in range(3):
        assert torch.equal(masks[n], saliency_mask(batch[n : n + 1], quantile=0.9, blur=1.0)[0])
    assert torch.equal(masks[1], masks[0].flip(0))
    assert torch.equal(masks[2], masks[0].flip(1))


def test_the_cat_is_found(model, photos):
    """The mask of a photograph's map is one piece of about the share that was asked for."""
    maps = integrated_gradients(photos[:1].float(), CAT, model, steps=10).map
    mask = saliency_mask(maps, quantile=0.8, blur=3.0)[0]
    assert 0.03 < float(mask.double().mean()) < 0.35


def test_what_is_cut_out_stays_and_the_rest_is_white(photos):
    X = photos.float()
    mask = torch.rand(2, 96, 96, generator=torch.Generator().manual_seed(0)) > 0.5
    cut = cut_out(X, mask)
    assert cut.dtype == X.dtype
    inside = mask[:, None].expand_as(X)
    assert torch.equal(cut[inside], X[inside])
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = cut.permute(0, 2, 3, 1).numpy() * std + mean  # (N, H, W, 3), 0..1
    assert np.abs(pixels[~mask.numpy()] - 1).max() < 1e-6
    assert pixels[mask.numpy()].min() < 0.1
