"""The library on another device than the processor, for whoever has one:

STYLELIB_TEST_DEVICE=cuda pytest tests/test_accelerator.py

Everywhere else these tests are skipped.
"""

import os

import pytest
import torch

from stylelib import (
    RECIPES,
    NetworkFeatures,
    TiledFeatures,
    assignment,
    batch,
    channel_visualization,
    class_visualization,
    classifier,
    cut_out,
    estimate,
    fooling_images,
    frames,
    get_contents,
    get_styles,
    integrated_gradients,
    invert_features,
    preprocess,
    saliency_map,
    saliency_mask,
    samples,
    smooth_grad,
    style_objective,
    synthesize_texture,
    top_classes,
    train,
    transfer,
    vgg19,
)
from stylelib.control.styles import Painting, Wanted
from stylelib.features import FeatureExtractor
from stylelib.large import room
from stylelib.losses import EMBEDDED_WEIGHTS, gram

DEVICE = os.environ.get("STYLELIB_TEST_DEVICE")
pytestmark = pytest.mark.skipif(not DEVICE, reason="STYLELIB_TEST_DEVICE names no device")
PHOTO, PAINTING = samples.load("chelsea"), samples.load("mosaic")


@pytest.fixture(autouse=True)
def _whole_float32(monkeypatch):
    """CUDA's convolutions may round float32 to 10 bits, unless told not to."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.fixture(scope="module")
def nets():
    layers = ["relu5_1"]
    return {"cpu": vgg19(layers=layers), DEVICE: vgg19(layers=layers).to(DEVICE)}


def test_losses_and_gradient_are_those_of_the_processor(nets):
    found = {}
    for device, net in nets.items():
        extractor = FeatureExtractor(net)
        photo, painting = (
            preprocess(image, (64, 96)).to(device) for image in (PHOTO, PAINTING)
        )
        with torch.no_grad():
            contents, styles = extractor(photo)[0], [gram(Y) for Y in extractor(painting)[1]]
        X = ((photo + painting) / 2).requires_grad_()
        losses = style_objective(extractor, contents, styles, EMBEDDED_WEIGHTS)(X)
        sum(losses.values()).backward()
        found[device] = {name: loss.item() for name, loss in losses.items()}, X.grad.cpu()
    losses, gradient = found["cpu"]
    assert found[DEVICE][0] == pytest.approx(losses, rel=1e-4)
    # float32 through 29 layers; a ReLU that is decided the other way moves a gradient by 1e-3
    assert (found[DEVICE][1] - gradient).abs().max() < 1e-2 * gradient.abs().max()


@pytest.mark.parametrize(
    "recipe", ["coarse-to-fine", "neighbors", "d2l", "gatys", "assignment"]
)
def test_transfer(nets, recipe):
    seen = []

    def callback(step):
        seen.append(step.picture.device.type)
        return step.step == 2 and not states.append(step.state())

    states = []
    given = {"image_shape": (48, 64), "steps": 8, "recipe": recipe, "scales": 2}
    given |= {"device": DEVICE, "net": nets[DEVICE]}
    whole = transfer(PHOTO, PAINTING, **given)
    assert whole.picture.device.type == "cpu"
    assert whole.settings["device"].startswith(DEVICE)
    assert torch.isfinite(whole.picture).all()
    transfer(PHOTO, PAINTING, callback=callback, **given)
    assert set(seen) == {torch.device(DEVICE).type}
    rest = transfer(PHOTO, PAINTING, state=states[0], **given)
    assert [record.step for record in rest.history] == [r.step for r in whole.history]
    assert (rest.picture - whole.picture).abs().mean() < 0.05


@pytest.mark.parametrize("precision", ["auto", "bfloat16", "float32"])
def test_transfer_in_each_precision(nets, precision):
    result = transfer(
        PHOTO,
        PAINTING,
        image_shape=64,
        recipe="d2l",
        steps=20,
        precision=precision,
        device=DEVICE,
    )
    assert result.history[-1].losses["style"] < 0.2 * result.history[0].losses["style"]


def test_reconstructions(nets):
    given = {"device": DEVICE, "image_shape": (48, 64), "steps": 12}
    inverted = invert_features(PHOTO, "relu2_1", range_weight=0.1, tv_weight=0.01, **given)
    texture = synthesize_texture(PAINTING, **given)
    assert inverted.errors["relu2_1"] < 0.5
    assert texture.history[-1].loss < 0.5 * texture.history[0].loss


def test_the_d2l_functions(nets):
    net = nets[DEVICE]
    X, contents = get_contents(PHOTO, (48, 64), net, DEVICE)
    _, styles = get_styles(PAINTING, (48, 64), net, DEVICE)
    made = train(X, contents, styles, DEVICE, num_epochs=4, net=net, clamp=True)
    assert made.device.type == torch.device(DEVICE).type
    assert torch.isfinite(made).all()
    assert len(NetworkFeatures(net, "bfloat16")(X, ["relu1_1"])) == 1


def test_the_assignments_function(nets):
    settings = assignment.Settings(
        48, 64, "relu3_2", 6e-2, ("relu1_1", "relu2_1"), (1e6, 3e5), 5e-2
    )
    result = assignment.style_transfer(
        PHOTO, PAINTING, settings, steps=5, device=DEVICE, net=nets[DEVICE]
    )
    assert result.picture.abs().max().item() == pytest.approx(1.5)


def test_what_the_network_sees():
    model = classifier().to(DEVICE)
    X = preprocess(samples.load("coffee"), (224, 224))
    here, there = classifier(), model
    assert top_classes(X, 3, here)[0][0][0] == top_classes(X.to(DEVICE), 3, there)[0][0][0]
    plain = saliency_map(X, "espresso", here)
    moved = saliency_map(X.to(DEVICE), "espresso", there)
    assert moved.device.type == torch.device(DEVICE).type
    assert (moved.cpu() - plain).abs().max() < 0.05 * plain.max()
    smooth = smooth_grad(X.to(DEVICE), "espresso", there, samples=2)
    assert torch.isfinite(cut_out(X.to(DEVICE), saliency_mask(smooth))).all()
    whole = integrated_gradients(X.to(DEVICE), "espresso", there, steps=8)
    assert torch.isfinite(whole.attributions).all()
    (fooled,) = fooling_images(X.to(DEVICE), "hummingbird", there, epsilon=2 / 255)
    assert fooled.fooled
    assert fooled.linf <= 2 / 255
    seen = class_visualization("hummingbird", there, steps=16, transformations=())
    assert seen.history[-1].loss < seen.history[0].loss
    net = vgg19(layers=["conv3_1"]).to(DEVICE)
    channel = channel_visualization(
        "conv3_1", 3, net=net, image_shape=64, steps=16, transformations=()
    )
    assert channel.history[-1].loss < channel.history[0].loss


# --- large, long and many

of_cuda = pytest.mark.skipif(
    not DEVICE or torch.device(DEVICE).type != "cuda",
    reason="CUDA has float64, and tells its memory",
)


@pytest.fixture
def _same_bits(monkeypatch):
    """A GPU adds in the same order each time, if it is told to."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(before)


@of_cuda
def test_tiles_give_the_gradient_of_the_plain_way():
    net = vgg19(layers=["relu5_1"]).double().to(DEVICE)
    photo, painting = (
        preprocess(image, (208, 304)).double().to(DEVICE) for image in (PHOTO, PAINTING)
    )
    recipe, gradients = RECIPES["coarse-to-fine"], []
    wanted = Wanted(photo, [Painting(painting)])
    for features in (NetworkFeatures(net), TiledFeatures(net, side=64)):
        X = ((photo + painting) / 2).requires_grad_()
        losses = recipe.objective(wanted, X.detach(), features, features, last=True)(X)
        gradients.append(torch.autograd.grad(torch.stack(list(losses.values())).sum(), X)[0])
    plain, tiled = gradients
    assert (tiled - plain).abs().max() < 1e-10 * plain.abs().max()


@of_cuda
def test_memory_stays_below_the_bound_that_the_plain_way_exceeds():
    peaks = []
    for memory in (None, 1.5):
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(DEVICE)
        transfer(
            PHOTO, PAINTING, image_shape=(800, 1200), steps=[2, 3], memory=memory, device=DEVICE
        )
        peaks.append(torch.cuda.max_memory_allocated(DEVICE))
    assert peaks[1] < 1.5e9 < peaks[0]


@of_cuda
def test_what_pytorch_keeps_of_a_gpu_is_available():
    device = torch.device(DEVICE)
    torch.cuda.empty_cache()
    before = room.available(device), room.in_use(device)
    held = torch.empty(10**9, dtype=torch.uint8, device=device)
    assert room.in_use(device) - before[1] == pytest.approx(1e9, rel=0.01)
    assert before[0] - room.available(device) == pytest.approx(1e9, rel=0.03)
    del held
    assert torch.cuda.memory_reserved(device) >= 1e9
    assert room.available(device) == pytest.approx(before[0], abs=3e7)


def test_an_estimate_is_for_the_device():
    found = estimate(PHOTO, PAINTING, image_shape=(96, 144), steps=4, device=DEVICE)
    assert found.shapes[-1] == (96, 144)
    assert 0 < found.seconds < 60
    assert 0.01 < found.memory < 10


@pytest.mark.usefixtures("_same_bits")
@pytest.mark.parametrize("recipe", ["coarse-to-fine", "neighbors", "d2l", "gatys"])
def test_a_run_goes_on_from_its_checkpoint_to_the_same_bits(nets, tmp_path, recipe):
    given = {"image_shape": (48, 64), "steps": 8, "recipe": recipe, "device": DEVICE}
    given |= {"net": nets[DEVICE]}
    whole, kept = transfer(PHOTO, PAINTING, **given), tmp_path / "run.checkpoint"
    first = transfer(
        PHOTO, PAINTING, checkpoint=kept, callback=lambda step: step.step == 2, **given
    )
    assert len(first.history) == 2
    rest = transfer(PHOTO, PAINTING, checkpoint=kept, **given)
    assert len(rest.history) == len(whole.history)
    assert torch.equal(rest.picture, whole.picture)


def test_a_batch_and_a_clip(tmp_path):
    folder, style = tmp_path / "photographs", samples.path("mosaic")
    folder.mkdir()
    for name in ("chelsea", "coffee"):
        samples.load(name).resize((96, 64)).save(folder / f"{name}.png")
    given = {"image_shape": 48, "steps": 3, "device": DEVICE}
    made = batch(folder, tmp_path / "batch", styles=style, **given)
    assert str(made).startswith("2 made, 0 kept, 0 failed"), made.failed
    made = frames(folder, style, tmp_path / "clip", **given)
    assert str(made).startswith("2 made, 0 kept, 0 failed"), made.failed
