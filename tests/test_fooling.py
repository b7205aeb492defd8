import json

import numpy as np
import pytest
import torch
from PIL import Image
from toys import MEAN, STD, Linear, normalized, photo

from stylelib import (
    FoolingResult,
    InputError,
    class_names,
    fooling_image,
    fooling_images,
    top_classes,
)
from stylelib.sees.fooling import NormalizedGradient


class FourClasses(Linear):
    def __init__(self):
        super().__init__(1 / 20, seed=0, others=-30.0)

    def sees(self, X):
        return int(self(X)[0].argmax())


class Curved(FourClasses):
    """The same, but no longer linear: the gradient changes along the way."""

    def forward(self, X):
        return super().forward(X.tanh())


def gray(name, side=32):
    return np.asarray(photo(name, side))


@pytest.fixture(scope="module")
def tiny():
    return FourClasses().eval()


@pytest.fixture(scope="module")
def curved():
    return Curved().eval()


@pytest.fixture(scope="module", name="X")
def cat():
    """The cat at 32 x 32."""
    return normalized(gray("chelsea"))


def another(model, X):
    """A class of the four that the network does not see."""
    return (model.sees(X) + 1) % 4


# --- steps of one length


@pytest.mark.parametrize("scale", [1e-30, 1e-10, 1.0, 1e10, 1e30])
@pytest.mark.parametrize("shape", [(3, 3, 8, 8), (2, 5)], ids=str)
def test_each_picture_moves_by_the_same_length(scale, shape):
    generator = torch.Generator().manual_seed(0)
    start = torch.zeros(shape)
    gradient = torch.randn(shape, generator=generator)
    gradient[1] *= 7
    X = start.clone().requires_grad_()
    X.grad = gradient * scale
    NormalizedGradient([X], lr=0.5).step()
    flat = gradient.flatten(1).double().numpy()
    expected = -0.5 * flat / np.linalg.norm(flat, axis=1, keepdims=True)
    assert np.abs(X.detach().flatten(1).numpy() - expected).max() < 1e-6


def test_a_picture_without_a_gradient_stays():
    X = torch.rand(2, 3, 4, 4)
    before = X.clone()
    X.grad = torch.zeros_like(X)
    X.grad[0, 0, 0, 0] = -3
    NormalizedGradient([X], lr=2.0).step()
    assert torch.equal(X[1], before[1])
    assert float((X - before).norm()) == pytest.approx(2)
    assert float((X - before)[0, 0, 0, 0]) == pytest.approx(2)


def test_a_tensor_that_has_no_gradient_yet_is_skipped():
    X = torch.ones(2, 3)
    NormalizedGradient([X], lr=1.0).step()
    assert torch.equal(X, torch.ones(2, 3))


def test_a_closure_is_called_before_the_step():
    X = torch.ones(1, 4).requires_grad_()
    optimizer = NormalizedGradient([X], lr=0.25)

    def closure():
        X.grad = torch.tensor([[0.0, 0, 0, 9]])
        return 17.0

    assert optimizer.step(closure) == 17.0
    assert X.tolist() == [[1, 1, 1, 0.75]]
    assert optimizer.step(None) is None


def test_the_first_step_is_lr_times_the_direction_of_the_gradient(curved, X):
    """dX = lr g / ||g||, from the rounded picture, then rounded to 8 bits again."""
    target = another(curved, X)
    result = fooling_image(X, target, curved, lr=0.8, max_steps=1, confidence=0.999999)
    assert result.steps == 1
    x = X.double().numpy()
    g = (curved.weight[target].double().numpy() * (1 - np.tanh(x) ** 2))[0]
    moved = (x[0] + 0.8 * g / np.linalg.norm(g)).transpose(1, 2, 0) * STD + MEAN
    levels = np.asarray(result.image).astype(float)
    assert np.abs(levels - moved.clip(0, 1) * 255).max() <= 0.5 + 1e-3
    assert (levels != gray("chelsea")).any()


@pytest.mark.parametrize(("epsilon", "levels"), [(2 / 255, 2), (3.9 / 255, 3), (0.1, 25)])
def test_with_a_bound_a_step_is_half_of_it_in_every_number(tiny, X, epsilon, levels):
    result = fooling_image(X, another(tiny, X), tiny, epsilon=epsilon, max_steps=1)
    expected = np.sqrt(32 * 32 * ((levels / 2 / 255 / STD) ** 2).sum())
    assert result.settings["lr"] == pytest.approx(expected, rel=1e-4)  # a sum in float32
    assert fooling_image(X, another(tiny, X), tiny).settings["lr"] == 1


# --- what is reached


def test_a_target_is_reached_and_the_way_recorded(curved, X):
    target = another(curved, X)
    result = fooling_image(X, target, curved, lr=0.3)
    assert isinstance(result, FoolingResult)
    assert result.fooled
    assert curved.sees(normalized(result.image)) == target
    assert 1 < result.steps == len(result.confidence) - 1
    assert len(result.history) == len(result.confidence)
    softmax = curved(X)[0].softmax(dim=0)
    assert result.confidence[0] == pytest.approx(float(softmax[target]), rel=1e-4)
    end = curved(normalized(result.image))[0].softmax(dim=0)
    assert result.confidence[-1] == pytest.approx(float(end[target]), rel=1e-4)
    assert result.confidence == sorted(result.confidence)


def test_it_stops_at_the_first_step_that_is_enough(curved, X):
    target = another(curved, X)
    steps = fooling_image(X, target, curved, lr=0.3).steps
    assert fooling_image(X, target, curved, lr=0.3, max_steps=steps).fooled
    assert not fooling_image(X, target, curved, lr=0.3, max_steps=steps - 1).fooled


def test_without_a_target_any_other_class_will_do(curved, X):
    seen = curved.sees(X)
    result = fooling_image(X, None, curved, lr=0.3)
    assert result.fooled
    assert curved.sees(normalized(result.image)) != seen
    assert result.confidence == sorted(result.confidence, reverse=True)
    begin, end = (curved(at)[0].softmax(dim=0)[seen] for at in (X, normalized(result.image)))
    assert result.confidence[0] == pytest.approx(float(begin), rel=1e-4)
    assert result.confidence[-1] == pytest.approx(float(end), rel=1e-4)
    assert result.settings["target"] is None
    assert result.settings["original"] == class_names()[seen]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.999])
def test_it_goes_on_until_it_is_sure(curved, X, confidence, tmp_path):
    target = another(curved, X)
    result = fooling_image(X, target, curved, lr=0.1, max_steps=500, confidence=confidence)
    assert result.fooled
    with Image.open(result.save(tmp_path / "a.png")) as image:
        p = curved(normalized(image))[0].softmax(dim=0)
    assert float(p[target]) > confidence
    assert result.confidence[-2] <= confidence


@pytest.mark.parametrize("confidence", [0.5, 0.95])
def test_without_a_target_it_goes_on_until_little_is_left(curved, X, confidence):
    seen = curved.sees(X)
    result = fooling_image(X, None, curved, lr=0.1, max_steps=500, confidence=confidence)
    assert result.fooled
    assert float(curved(normalized(result.image))[0].softmax(dim=0)[seen]) < 1 - confidence


def test_when_steps_run_out_it_says_so(curved, X):
    result = fooling_image(X, another(curved, X), curved, lr=0.01, max_steps=3)
    assert not result.fooled
    assert result.steps == 3
    assert len(result.confidence) == 4
    assert curved.sees(normalized(result.image)) == curved.sees(X)


# --- how far it is from the original


@pytest.mark.parametrize("levels", [1, 2, 7.5, 255])
@pytest.mark.parametrize("targeted", [True, False])
def test_no_number_is_changed_by_more_than_epsilon(curved, levels, targeted, tmp_path):
    """Also next to black and white, in the file."""
    given = gray("chelsea").copy()
    given[:4], given[4:8] = 0, 255
    X = normalized(given)
    target = another(curved, X) if targeted else None
    result = fooling_image(
        X, target, curved, epsilon=levels / 255, max_steps=20, confidence=0.9999
    )
    with Image.open(result.save(tmp_path / "a.png")) as image:
        change = np.abs(np.asarray(image).astype(int) - given)
    assert 0 < change.max() <= levels
    assert change.max() == int(levels) or levels > 7
    assert result.linf <= levels / 255


def test_distances_are_between_pictures_of_8_bits(curved, X):
    result = fooling_image(X, another(curved, X), curved, lr=0.5)
    change = np.asarray(result.image).astype(float) / 255 - gray("chelsea") / 255
    assert result.l2 == pytest.approx(np.sqrt((change**2).sum()), rel=1e-9)
    assert result.linf == pytest.approx(np.abs(change).max(), rel=1e-9)
    assert result.l2 > result.linf > 0


def test_a_picture_between_gray_levels_is_rounded_first(curved, X):
    """What is compared, and what the network sees at first, is the file of the original."""
    between = X + torch.from_numpy(0.4 / 255 / STD).view(3, 1, 1).float()
    between = torch.where(X < 1.5, between, X)
    target = another(curved, X)
    one, other = (fooling_image(at, target, curved, lr=0.5) for at in (X, between))
    assert np.array_equal(np.asarray(one.image), np.asarray(other.image))
    assert (one.l2, one.confidence) == (other.l2, pytest.approx(other.confidence, rel=1e-5))
    assert torch.allclose(other.original, X, atol=1e-5)


def test_the_original_is_kept(curved, X):
    result = fooling_image(X, another(curved, X), curved)
    assert torch.allclose(result.original, X, atol=1e-5)
    assert not torch.allclose(result.picture, X, atol=1e-2)


# --- several at once


def three(curved):
    pictures = [normalized(gray(name)) for name in ("chelsea", "coffee", "astronaut")]
    return pictures, [another(curved, each) for each in pictures]


@pytest.mark.parametrize("settings", [{}, {"epsilon": 6 / 255}], ids=str)
@pytest.mark.parametrize("targeted", [True, False])
def test_a_picture_fares_the_same_alone_and_in_a_batch(curved, targeted, settings):
    pictures, targets = three(curved)
    settings = {"confidence": 0.7, "max_steps": 40} | settings
    together = fooling_images(
        torch.cat(pictures), targets if targeted else None, curved, **settings
    )
    assert len({result.steps for result in together}) > 1  # some rest before others
    for picture, target, result in zip(pictures, targets, together, strict=True):
        alone = fooling_image(picture, target if targeted else None, curved, **settings)
        assert (alone.steps, alone.fooled) == (result.steps, result.fooled)
        off = np.asarray(alone.image).astype(int) - np.asarray(result.image)
        assert np.abs(off).max() <= 1  # a sum in another order may round otherwise
        assert (off != 0).mean() < 0.001
        assert alone.confidence == pytest.approx(result.confidence, rel=1e-3)
        assert alone.settings == result.settings


def test_one_target_for_all(curved):
    pictures, _ = three(curved)
    free = next(k for k in range(4) if k not in {curved.sees(each) for each in pictures})
    by_number = fooling_images(torch.cat(pictures), free, curved)
    by_name = fooling_images(torch.cat(pictures), class_names()[free], curved)
    for one, other in zip(by_number, by_name, strict=True):
        assert one.fooled
        assert np.array_equal(np.asarray(one.image), np.asarray(other.image))
        assert one.settings["target"] == class_names()[free]


def test_a_target_that_is_seen_already_is_refused(tiny):
    pictures, targets = three(tiny)
    targets[1] = tiny.sees(pictures[1])
    name = class_names()[targets[1]]
    words = f"the network already says '{name}': choose another target"
    with pytest.raises(InputError, match=words):
        fooling_images(torch.cat(pictures), targets, tiny)
    with pytest.raises(InputError, match=words):
        fooling_image(pictures[1], name, tiny)


# --- settings and files


def test_the_file_says_what_was_seen_at_first_and_how_the_confidence_rose(curved, X, tmp_path):
    result = fooling_image(X, another(curved, X), curved, max_steps=9, confidence=0.5)
    result.save(tmp_path / "fooled.png")
    record = json.loads((tmp_path / "fooled.png.json").read_text())
    assert record["original"] == class_names()[curved.sees(X)]
    assert (record["confidence"], record["confidence_path"]) == (0.5, result.confidence)


# --- the real classifier


@pytest.fixture(scope="module")
def pairs(model):
    """20 pairs of a photograph at 224 x 224 and a class it does not show."""
    photos = [gray(name, 224) for name in ("astronaut", "chelsea", "coffee", "rocket")]
    with torch.no_grad():
        seen = [int(model(normalized(each)).argmax()) for each in photos]
    drawn, generator = [], np.random.default_rng(0)
    while len(drawn) < 20:
        which, target = int(generator.integers(4)), int(generator.integers(1000))
        if target != seen[which]:
            drawn.append((photos[which], target))
    return drawn


def test_two_gray_levels_are_enough_for_nearly_any_class(model, pairs, tmp_path):
    fooled, steps = 0, []
    for first in range(0, 20, 10):
        some = pairs[first : first + 10]
        results = fooling_images(
            torch.cat([normalized(levels) for levels, _ in some]),
            [target for _, target in some],
            model,
            epsilon=2 / 255,
        )
        for (levels, target), result in zip(some, results, strict=True):
            with Image.open(result.save(tmp_path / "fooled.png")) as image:
                saved = np.asarray(image)
            assert np.abs(saved.astype(int) - levels).max() <= 2
            with torch.no_grad():
                right = int(model(normalized(saved)).argmax()) == target
            assert result.fooled == right
            fooled += right
            steps.append(result.steps)
    assert fooled >= 18, f"{fooled} of 20"
    assert np.median(steps) < 20


def test_the_cup_becomes_a_hummingbird_without_a_bound(model, tmp_path):
    X = normalized(photo("coffee", 96))
    result = fooling_image(X, "hummingbird", model, confidence=0.9)
    ((best, p),) = top_classes(
        normalized(Image.open(result.save(tmp_path / "a.png"))), 1, model
    )[0]
    assert result.fooled
    assert best == "hummingbird"
    assert p > 0.9
    assert result.settings["epsilon"] is None
