"""The machinery of `stylelib.check`, and the tables of chapters 2 to 7 (see test_check_tables)."""

import base64
import inspect
import io
import itertools
import random
import re
import sys
import threading
import time
import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as f
import torchvision
from PIL import Image
from toys import recipe_features

import stylelib
from stylelib import check
from stylelib.check import main_line, tables
from stylelib.check.judging import judge
from stylelib.check.mistakes import plain
from stylelib.check.values import agree
from stylelib.check.verdicts import Verdict
from stylelib.from_scratch import AveragePool, ContentLoss, Convolution, MaxPool, TVLoss

MAIN = {exercise.name: exercise for exercise in main_line.EXERCISES}
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
every_exercise = pytest.mark.parametrize("exercise", MAIN.values(), ids=list(MAIN))


def test_each_exercise_has_a_documented_check():
    assert {*tables.EXERCISES, "Verdict", "gradient"} == set(check.__all__)
    for name, exercise in tables.EXERCISES.items():
        assert f"`{exercise.signature}`" in inspect.getdoc(getattr(check, name))
        assert exercise.signature.startswith(f"{name}(")
        assert exercise.signature.count(",") == len(exercise.arguments()[0]) - 1 or exercise.run
    assert sum(len(exercise.wrongs) for exercise in tables.EXERCISES.values()) >= 150


@pytest.mark.parametrize("exercise", tables.EXERCISES.values(), ids=list(tables.EXERCISES))
def test_sentences_are_whole_and_names_are_unique(exercise):
    names = [wrong.name for wrong in exercise.wrongs]
    assert len(set(names)) == len(names) >= 8
    for wrong in exercise.wrongs:
        assert re.fullmatch(r"[a-z0-9_]+", wrong.name)
        assert re.fullmatch(r"[A-Z].*[.?]", wrong.sentence)
        assert "  " not in wrong.sentence
        assert len(wrong.sentence) < 260


# --- the wrong versions


def outcomes(exercise, version):
    found = []
    for arguments in exercise.arguments():
        try:
            found.append(plain(exercise, version, arguments))
        except Exception as error:
            found.append(type(error))
    return found


def same(some, others, tolerance):
    return all(
        a is b if isinstance(a, type) or isinstance(b, type) else agree(a, b, tolerance)
        for a, b in zip(some, others, strict=True)
    )


@every_exercise
def test_versions_differ_pairwise_by_more_than_rounding(exercise):
    versions = {w.name: outcomes(exercise, w.version) for w in exercise.wrongs}
    versions["right"] = outcomes(exercise, exercise.reference)
    for (one, some), (other, others) in itertools.combinations(versions.items(), 2):
        assert not same(some, others, 3 * exercise.tolerance), (one, other)


@every_exercise
def test_each_wrong_version_is_named(exercise):
    for wrong in exercise.wrongs:
        verdict = judge(exercise, wrong.version)
        assert (verdict.right, verdict.mistake) == (False, wrong.name)
        assert verdict.message == wrong.sentence


# --- right versions, none of which may be refused


def preprocess_d2l(image, image_shape):
    steps = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(image_shape),
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize(mean=MEAN.tolist(), std=STD.tolist()),
        ]
    )
    return steps(image).unsqueeze(0)


def preprocess_in_float64(image, image_shape):
    H, W = image_shape
    pixels = np.asarray(image.resize((W, H), Image.Resampling.LANCZOS)) / 255
    X = torch.tensor((pixels - MEAN.double().numpy()) / STD.double().numpy())
    return X.permute(2, 0, 1)[None].float()


def preprocess_in_place(image, image_shape):
    X = torch.from_numpy(np.array(image.resize(image_shape[::-1]), np.float32))
    X = X.permute(2, 0, 1).contiguous().div_(255)
    return X.sub_(MEAN[:, None, None]).div_(STD[:, None, None]).unsqueeze(0)


def postprocess_in_numpy(X):
    pixels = np.moveaxis(X[0].numpy(), 0, 2) * STD.numpy() + MEAN.numpy()
    return Image.fromarray(np.uint8(np.clip(pixels * 255 + 0.5, 0, 255)))


def postprocess_by_loops(X):
    image = Image.new("RGB", (X.shape[3], X.shape[2]))
    for i, j in np.ndindex(*X.shape[2:]):
        pixel = (X[0, :, i, j].double() * STD + MEAN).clamp(0, 1) * 255
        image.putpixel((j, i), tuple(int(level) for level in pixel.round()))
    return image


def postprocess_in_place(X):
    X = X.squeeze(0).permute(1, 2, 0).clone()
    X.mul_(STD).add_(MEAN).clamp_(0, 1).mul_(255).round_()
    return Image.fromarray(X.numpy().astype("uint8"))


def extract_from_outputs(X, net, content_layers, style_layers):
    outputs = [X]
    for layer in net:
        outputs.append(layer(outputs[-1]))
    return [[outputs[k + 1] for k in some] for some in (content_layers, style_layers)]


def extract_from_slices(X, net, content_layers, style_layers):
    return (
        tuple(net[: k + 1](X) for k in content_layers),
        tuple(net[: k + 1](X) for k in style_layers),
    )


def gram_d2l(X):
    N, C = X.shape[:2]
    n = X.numel() // N // C
    X = X.reshape((N, C, n))
    return torch.bmm(X, X.transpose(1, 2)) / (C * n)


def gram_by_loops(X):
    N, C, H, W = X.shape
    rows = [
        torch.stack([(X[n, a] * X[n, b]).sum() for a in range(C) for b in range(C)])
        for n in range(N)
    ]
    return torch.stack(rows).reshape(N, C, C).div_(C * H * W)


def gram_in_float64(X):
    return torch.einsum("nahw,nbhw->nab", X.double(), X.double()) / X[0].numel()


def style_by_images(Y_hat, gram_Y):
    pairs = zip(Y_hat, gram_Y.detach(), strict=True)
    losses = [f.mse_loss(gram_d2l(Y[None])[0], A) for Y, A in pairs]
    return sum(losses) / len(losses)


def style_in_place(Y_hat, gram_Y):
    D = gram_d2l(Y_hat) - gram_Y.detach()
    return D.square_().mean()


def tv_by_loops(Y_hat):
    N, C, H, W = Y_hat.shape
    down = sum(abs(Y_hat[..., i + 1, :] - Y_hat[..., i, :]).sum() for i in range(H - 1))
    across = sum(abs(Y_hat[..., j + 1] - Y_hat[..., j]).sum() for j in range(W - 1))
    return 0.5 * (down / (N * C * (H - 1) * W) + across / (N * C * H * (W - 1)))


def tv_by_diff(Y_hat):
    return sum(torch.diff(Y_hat.double(), dim=k).abs().mean() for k in (2, 3)) / 2


def tv_l1(Y_hat):
    return (
        f.l1_loss(Y_hat[:, :, 1:], Y_hat[:, :, :-1])
        + f.l1_loss(Y_hat[..., 1:], Y_hat[..., :-1])
    ) / 2


def compute_d2l(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    pairs = zip(contents_Y_hat, contents_Y, strict=True)
    contents_l = [torch.square(Y_hat - Y.detach()).mean() * 1 for Y_hat, Y in pairs]
    pairs = zip(styles_Y_hat, styles_Y_gram, strict=True)
    styles_l = [torch.square(gram_d2l(Y_hat) - Y.detach()).mean() * 1e4 for Y_hat, Y in pairs]
    tv_l = tv_by_loops(X) * 10
    return contents_l, styles_l, tv_l, sum([*styles_l, *contents_l, tv_l])


def compute_in_float64(*given):
    return compute_d2l(
        *([Y.double() for Y in g] if isinstance(g, list) else g.double() for g in given)
    )


def compute_by_parts(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
    contents_l, styles_l, total = (), (), 0.0
    for Y_hat, Y in zip(contents_Y_hat, contents_Y, strict=True):
        contents_l += (f.mse_loss(Y_hat, Y.detach()),)
        total = total + contents_l[-1]
    for Y_hat, Y in zip(styles_Y_hat, styles_Y_gram, strict=True):
        styles_l += (1e4 * f.mse_loss(gram_in_float64(Y_hat).float(), Y.detach()),)
        total = total + styles_l[-1]
    tv_l = 10 * tv_l1(X)
    return [contents_l, styles_l, tv_l, total + tv_l]


def step_in_order(X, objective, optimizer):
    optimizer.zero_grad()
    loss = sum(objective(X).values())
    loss.backward()
    optimizer.step()
    return loss.item()


def step_zeroed_at_the_end(X, objective, optimizer):
    sum(objective(X).values()).backward()
    optimizer.step()
    optimizer.zero_grad()


def step_by_closure(X, objective, optimizer):
    def closure():
        optimizer.zero_grad()
        for loss in objective(X).values():
            loss.backward(retain_graph=True)
        return loss

    optimizer.step(closure)


def step_by_grad(X, objective, optimizer):
    (X.grad,) = torch.autograd.grad(sum(objective(X).values()), X)
    optimizer.step()


RIGHT = {
    "preprocess": [
        stylelib.preprocess,
        preprocess_d2l,
        preprocess_in_float64,
        preprocess_in_place,
    ],
    "postprocess": [
        stylelib.postprocess,
        postprocess_in_numpy,
        postprocess_by_loops,
        postprocess_in_place,
    ],
    "extract_features": [
        stylelib.extract_features,
        recipe_features,
        extract_from_outputs,
        extract_from_slices,
    ],
    "content_loss": [
        stylelib.content_loss,
        lambda Y_hat, Y: f.mse_loss(Y_hat, Y.detach()),
        lambda Y_hat, Y: (Y_hat.double() - Y.detach().double()).pow(2).sum() / Y.numel(),
        lambda Y_hat, Y: (Y_hat - Y.detach()).square_().mean(),
        lambda Y_hat, Y: (
            sum((a - float(b)) ** 2 for a, b in zip(Y_hat.ravel(), Y.ravel(), strict=True))
            / Y.numel()
        ),
    ],
    "gram": [stylelib.gram, gram_d2l, gram_by_loops, gram_in_float64],
    "style_loss": [
        stylelib.style_loss,
        lambda Y_hat, gram_Y: f.mse_loss(gram_by_loops(Y_hat), gram_Y.detach()),
        lambda Y_hat, gram_Y: ((gram_in_float64(Y_hat) - gram_Y.detach()) ** 2).mean(),
        style_by_images,
        style_in_place,
    ],
    "tv_loss": [stylelib.tv_loss, tv_by_loops, tv_by_diff, tv_l1],
    "compute_loss": [stylelib.compute_loss, compute_d2l, compute_in_float64, compute_by_parts],
    "training_step": [step_in_order, step_zeroed_at_the_end, step_by_closure, step_by_grad],
}


@every_exercise
def test_right_versions_are_right(exercise):
    assert len(RIGHT[exercise.name]) >= 3
    for version in RIGHT[exercise.name]:
        verdict = getattr(check, exercise.name)(version)
        assert verdict.right, (version, verdict)
        assert verdict.mistake is None
        assert re.search("agrees? with an independent computation", verdict.message)


# --- what students also do

GRAM = MAIN["gram"]


def forget_the_batch(X):
    F = X[0].flatten(1)
    return F @ F.T / F.numel()


def stub(X): ...


def stub_that_says_what(X):
    """The Gram matrix."""


MISTAKES = {
    "the result for the function": (torch.ones(2), "not_callable", "without parentheses"),
    "no arguments": (lambda: 1, "signature", "gram(X)"),
    "nothing": (lambda X: None, "returns_nothing", "`return`"),
    "a stub": (stub, "not_written", "dots"),
    "a stub with a docstring": (stub_that_says_what, "not_written", "dots"),
    "not written": (lambda X: (_ for _ in ()).throw(NotImplementedError()), "not_written", "yet"),
    "an error": (lambda X: X.nosuch, "error", "`\"an error\": (lambda X: X.nosuch"),
    "shapes inside": (lambda X: X.flatten(2) @ X.flatten(2), "shapes_inside", "Print the shapes"),
    "an array": (lambda X: gram_d2l(X).detach().numpy(), "array_for_tensor", "torch tensor"),
    "text": (lambda X: "F F^T", "str_for_tensor", "a str"),
    "numpy() of a leaf": (lambda X: X.numpy(), "graph_cut", "PyTorch"),
    "whole numbers": (lambda X: gram_d2l(X).int(), "truncated", "cut off"),
    "half precision": (lambda X: gram_d2l(X.half()).double(), "values", "differs at"),
    "a tuple": (lambda X: (gram_d2l(X), X), "too_many_results", "alone"),
    "a list": (lambda X: [gram_d2l(X)], "in_a_list", "inside of a list"),
    "NaN": (lambda X: gram_d2l(X) / 0 * 0, "not_finite", "NaN"),
    "another shape": (lambda X: X.flatten(2), "shape", "(1, 3, 20)"),
    "flat": (lambda X: gram_d2l(X).flatten(1), "shape", "another shape"),
    "twice": (lambda X: 2 * gram_d2l(X), "times_2", "2 times"),
    "three sevenths": (lambda X: gram_d2l(X) * 3 / 7, "times_0.429", "0.4286 times"),
    "negative": (lambda X: -gram_d2l(X), "sign", "sign is wrong"),
    "H W too often": (
        lambda X: gram_d2l(X) / X[0, 0].numel(),
        "divisor_positions_twice",
        "divided by C * (H * W) ** 2",
    ),
    "times N": (lambda X: gram_d2l(X) * len(X), "not_divided_by_images", "of images in"),
    "an offset": (lambda X: gram_d2l(X) + 1, "offset", "off by 1"),
    "rounded": (lambda X: (10 * gram_d2l(X)).round() / 10, "values", "differs at"),
    "a square": (lambda X: gram_d2l(X) ** 2, "squared", "the square of"),
    "no first axis": (forget_the_batch, "no_batch_axis", "no axis for the images"),
    "two mistakes": (
        lambda X: 2 * torch.einsum("nahw,nbhw->nab", X.abs(), X.abs()),
        "absolute_features_and_times_",
        "second mistake, too: with the first one corrected, your Gram matrix is 120 times",
    ),
    "cut": (lambda X: gram_d2l(X.detach()), "graph_cut", "no gradient"),
    "no_grad": (torch.no_grad()(gram_d2l), "graph_cut", "no_grad"),
    "half a graph": (
        lambda X: X.flatten(2) @ X.detach().flatten(2).mT / X[0].numel(),
        "gradient",
        "a wrong gradient",
    ),
    "bfloat16": (lambda X: gram_d2l(X).bfloat16().to(torch.float16), "values", "differs"),
    "one row doubled": (
        lambda X: torch.cat([gram_d2l(X)[:, :1] * 2, gram_d2l(X)[:, 1:]], 1),
        "wrong_at_first_row",
        "is right but for the first row",
    ),
    "one image only": (lambda X: gram_d2l(X[:1]).expand(len(X), -1, -1), "first_for_all", "of the first image"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_other_mistakes_are_named(name):
    function, mistake, words = MISTAKES[name]
    verdict = check.gram(function)
    assert not verdict.right
    assert (verdict.mistake or "").startswith(mistake), verdict
    assert words in verdict.message
    assert "{" not in verdict.message


def test_a_loss_as_a_python_number_has_no_gradient():
    verdict = check.content_loss(lambda Y_hat, Y: f.mse_loss(Y_hat, Y).item())
    assert verdict.mistake == "number_for_tensor"
    assert "no gradient can flow" in verdict.message


def test_a_loss_for_each_image_has_to_be_averaged():
    verdict = check.content_loss(lambda Y_hat, Y: ((Y_hat - Y) ** 2).mean((1, 2, 3)))
    assert verdict.mistake == "not_averaged"


def test_a_factor_is_recognized_in_single_numbers():
    verdict = check.style_loss(lambda Y_hat, A: 7 * stylelib.style_loss(Y_hat, A))
    assert verdict.mistake == "times_7"


def test_parts_are_named():
    def untotaled(*given):
        contents_l, styles_l, tv_l, total = compute_d2l(*given)
        return contents_l, [7 * l for l in styles_l], tv_l, total  # noqa: E741

    assert "7 times" in check.compute_loss(untotaled).message

    def both(*given):
        return stylelib.compute_loss(*given, weights=(2, 1e4, 1))

    assert check.compute_loss(both).mistake == "no_tv_weight"
    one = check.extract_features(lambda *given: recipe_features(*given)[::-1])
    assert one.mistake == "styles_first"


def test_changed_inputs_are_noticed_and_do_no_harm():
    def clamp_it(X):
        image = stylelib.postprocess(X)
        X.clamp_(0, 1)
        return image

    verdict = check.postprocess(clamp_it)
    assert verdict.mistake == "changes_its_input"
    assert "changes X in place" in verdict.message
    target = check.content_loss(
        lambda Y_hat, Y: Y.sub_(Y_hat.detach()).square().mean() + 0 * Y_hat.sum()
    )
    assert target.mistake == "changes_its_input"
    leaf = check.content_loss(lambda Y_hat, Y: Y_hat.sub_(Y).square_().mean())
    assert leaf.mistake == "changes_its_input"


def test_a_gradient_that_flows_into_a_target_is_told():
    loss = check.content_loss(f.mse_loss)
    assert (loss.right, loss.mistake) == (True, None)
    assert "A gradient also flows into Y, the target." in loss.message
    assert "use Y.detach()" in loss.message
    detached = check.content_loss(lambda Y_hat, Y: f.mse_loss(Y_hat, Y.data))
    assert detached.right
    assert "target" not in detached.message

    def total(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram):
        contents_l, _, tv_l, l = compute_d2l(  # noqa: E741
            X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram
        )
        grams = zip(styles_Y_hat, styles_Y_gram, strict=True)
        styles_l = [1e4 * f.mse_loss(gram_d2l(Y_hat), G) for Y_hat, G in grams]
        return contents_l, styles_l, tv_l, l

    verdict = check.compute_loss(total)
    assert verdict.right
    assert "flows into styles_Y_gram" in verdict.message
    assert "detach() on each of styles_Y_gram" in verdict.message


def test_side_effects_are_noticed():
    def on_the_input(X, y, model):
        X.requires_grad_()
        model(X).gather(1, y[:, None]).sum().backward()
        return X.grad.detach().abs().amax(1)

    verdict = check.saliency_map(on_the_input)
    assert verdict.mistake == "side_effect"
    assert "side effect on X" in verdict.message

    def thawed(X, y, model):
        for parameter in model.parameters():
            parameter.requires_grad_()
        return on_the_input(X.clone(), y, model)

    assert "side effect on model" in check.saliency_map(thawed).message

    def training(X, y, model):
        return on_the_input(X.clone(), y, model.train())

    assert check.saliency_map(training).mistake == "side_effect"

    def backward_within(Y_hat, Y):
        loss = f.mse_loss(Y_hat, Y.detach())
        loss.backward(retain_graph=True)
        return loss

    assert "side effect on Y_hat" in check.content_loss(backward_within).message


def test_what_is_kept_between_calls_is_noticed():
    calls = []

    def forgetful(X):
        calls.append(X)
        return gram_d2l(X) * (1 if len(calls) <= len(GRAM.arguments()) else 2)

    assert check.gram(forgetful).mistake == "not_repeatable"


def test_a_right_version_of_another_width():
    narrow = check.preprocess(lambda *given: stylelib.preprocess(*given).double())
    assert narrow.mistake == "dtype"
    assert "float64; float32 is needed" in narrow.message


# --- hostile functions


def swallow(X):
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            continue


def endless(X):
    while True:
        X = X + 1


def recurse(X):
    return recurse(X)


def stop(error):
    def function(*_):
        raise error

    return function


HOSTILE = {
    "exits": (stop(SystemExit(0)), "exit"),
    "interrupts": (stop(KeyboardInterrupt()), "error"),
    "raises": (stop(ValueError("no { } \n way")), "error"),
    "raises a base": (stop(BaseException()), "error"),
    "recurses": (recurse, "error"),
    "is no function": (None, "not_callable"),
    "is a word": ("gram", "not_callable"),
    "gives a generator": (lambda X: (x for x in X), "generator_for_tensor"),
    "gives itself": (lambda X: endless, "function_for_tensor"),
    "gives much": (lambda X: [[X] * 3] * 3, "number_of_results"),
    "gives None in a list": (lambda X: [None], "nonetype_for_tensor"),
    "gives complex numbers": (lambda X: gram_d2l(X) * 1j, None),
    "gives nothing at all": (lambda X: X[:0], "shape"),
    "gives truth values": (lambda X: gram_d2l(X) > 0, None),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_functions_get_a_verdict(name):
    function, mistake = HOSTILE[name]
    verdict = check.gram(function)
    assert isinstance(verdict, Verdict)
    assert not verdict
    if mistake:
        assert verdict.mistake == mistake, verdict
    assert "\n" not in verdict.message


@pytest.mark.parametrize("exercise", tables.EXERCISES.values(), ids=list(tables.EXERCISES))
@pytest.mark.parametrize("value", [None, "word", float("nan"), torch.ones(1, 2, 3), []])
def test_every_exercise_survives_what_is_returned(exercise, value):
    verdict = judge(exercise, lambda *_: value)
    assert not verdict.right
    assert verdict.mistake
    assert verdict.message.endswith((".", "?"))


@pytest.mark.parametrize("function", [endless, swallow])
def test_what_runs_too_long_is_stopped(function):
    begun = time.monotonic()
    verdict = judge(GRAM, function, seconds=0.3)
    assert verdict.mistake == "too_slow"
    assert time.monotonic() - begun < 10
    if function is endless:
        assert not any(thread.name.endswith("(work)") for thread in threading.enumerate())


class Items(dict):
    def items(self):
        raise KeyError("items")


class NoTextError(Exception):
    def __str__(self):
        raise RuntimeError("text")


class Strange:
    @property
    def __signature__(self):
        raise RuntimeError("signature")

    def __call__(self, X):
        return gram_d2l(X)


def nested(X):
    inside = []
    inside.append(inside)
    return inside


@pytest.mark.parametrize(
    ("function", "mistake"),
    [
        (lambda X: 10**400, "int_for_tensor"),
        (lambda X: np.broadcast_to(0, (10**13,)), "too_large"),
        (lambda X: torch.zeros(()).expand(10**13), "too_large"),
        (lambda X: [0] * 2000, "too_large"),
        (lambda X: Items(a=1), "items_for_tensor"),
        (nested, "list_for_tensor"),
        (stop(NoTextError()), "error"),
    ],
)
def test_what_cannot_be_read_is_named(function, mistake):
    verdict = check.gram(function)
    assert (verdict.right, verdict.mistake) == (False, mistake), verdict


def test_a_strange_signature_is_no_mistake():
    assert check.gram(Strange())


def test_an_argument_that_contains_itself_does_no_harm():
    def within(X, net, content_layers, style_layers):
        result = stylelib.extract_features(X, net, content_layers, style_layers)
        style_layers.append(style_layers)
        return result

    assert not check.extract_features(within)


def slow_in(number):
    """A function that is endless from one call on."""
    calls = []

    def function(X):
        calls.append(X)
        return endless(X) if len(calls) >= number else gram_d2l(X)

    return function


@pytest.mark.parametrize("more", [1, 2, 3, 4])
def test_all_calls_share_the_time(more):
    """The repeated call, and those for gradients, have no time of their own."""
    begun = time.monotonic()
    verdict = judge(GRAM, slow_in(len(GRAM.arguments()) + more), seconds=0.5)
    assert verdict.mistake == "too_slow"
    assert "after 0.5 seconds" in verdict.message
    assert time.monotonic() - begun < 5


def test_each_gradient_takes_of_the_time():
    def tired(X):
        time.sleep(0.15)
        return gram_d2l(X)

    assert judge(GRAM, tired, seconds=0.6).mistake == "too_slow"
    assert judge(GRAM, tired, seconds=30)


def test_seeding_leaves_other_processors_alone(monkeypatch):
    seeded = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    draws = []

    def drawn(X):
        draws.append(torch.rand(3).tolist())
        return gram_d2l(X)

    assert check.gram(drawn)
    assert not seeded
    assert draws == draws[:1] * len(draws)


def test_a_check_leaves_everything_as_it_was(capsys):
    def rude(X):
        print("noise")  # noqa: T201
        print("noise", file=sys.stderr)  # noqa: T201
        warnings.warn("noise", stacklevel=1)
        torch.manual_seed(5)
        np.random.seed(5)  # noqa: NPY002
        random.seed(5)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        return X

    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
    check.gram(rude)
    after = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
    assert torch.equal(before[0], after[0])
    assert before[1] == after[1]
    np.testing.assert_array_equal(before[2], after[2])
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert capsys.readouterr() == ("", "")


def test_a_check_works_within_no_grad():
    with torch.no_grad():
        assert check.gram(gram_d2l)


# --- verdicts


def test_a_verdict_in_a_notebook_shows_where_matrices_differ():
    verdict = check.gram(lambda X: 2 * gram_d2l(X))
    shown = verdict._repr_html_()
    assert "<strong>Not yet.</strong>" in shown
    images = re.findall(r'alt="(\w+)" src="data:image/png;base64,([^"]+)"', shown)
    assert [name for name, _ in images] == ["yours", "expected", "difference"]
    pixels = [np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))) for _, data in images]
    assert all(p.shape == (120, 120, 3) for p in pixels)
    np.testing.assert_array_equal(pixels[1], pixels[2])  # the difference is as large


def test_a_verdict_escapes_what_students_write():
    shown = check.gram(stop(ValueError("<b>&")))._repr_html_()
    assert "&lt;b&gt;&amp;" in shown
    assert "<b>" not in shown


def test_a_verdict_in_a_terminal_is_plain():
    assert str(check.tv_loss(tv_l1)) == (
        "tv_loss: right. Your total variation agrees with an independent computation on 3 "
        "inputs, and so does its gradient."
    )
    assert str(check.gram(lambda X: None)).startswith("gram: not yet. Your function returns")
    features = check.extract_features(stylelib.extract_features)
    assert "Your features agree with" in features.message
    assert "their gradient" in features.message
    cut = check.extract_features(torch.no_grad()(recipe_features))
    assert "Your features have the right values, but no gradient flows from them" in cut.message
    wide = check.extract_features(lambda *given: recipe_features(*given)[0][0][0])
    assert "one of the" not in wide.message


def test_what_is_nan_for_one_input_is_named_by_the_others():
    """An image of one color has no deviation."""

    def own_statistics(image, image_shape):
        X = torch.from_numpy(np.array(image.resize(image_shape[::-1]))).double() / 255
        X = X.flatten(0, 1).T.reshape(1, 3, *image_shape)
        deviation = X.var((2, 3), keepdim=True, correction=0).sqrt()
        X = (X - X.mean((2, 3), keepdim=True)) / torch.where(deviation < 1e-6, 0, deviation)
        return X.float().nan_to_num(float("nan"), float("nan"), float("nan"))

    assert check.preprocess(own_statistics).mistake == "own_statistics"


def test_a_loop_that_ends_too_early_is_named():
    def ends_at_contents(X, net, content_layers, style_layers):
        contents, styles = [], []
        for i, layer in enumerate(net):
            X = layer(X)
            if i in style_layers:
                styles.append(X)
            if i in content_layers:
                contents.append(X)
            if len(contents) == len(content_layers):
                break
        return contents, styles

    assert check.extract_features(ends_at_contents).mistake == "ends_at_last_content_layer"


def test_two_letters_for_images_are_named():
    def summed(X):
        return torch.einsum("nchw,mdhw->ncd", X, X) / X[0].numel()

    assert check.gram(summed).mistake == "multiplied_by_all_images"


def test_one_colon_too_many_is_named():
    def first_row(X):
        vertical = (X[:, :, :1:] - X[:, :, :-1]).abs().mean()
        return (vertical + (X[..., 1:] - X[..., :-1]).abs().mean()) / 2

    assert check.tv_loss(first_row).mistake == "first_row"


# --- gradients of layers


def layers():
    generator = np.random.default_rng(0)
    x = generator.standard_normal((2, 3, 5, 6))
    convolution = Convolution(3, 3, 2, 1, 1)
    convolution.weight = generator.standard_normal((2, 3, 3, 3))
    convolution.bias = generator.standard_normal(2)
    return [
        (convolution, x),
        (MaxPool(2, 2), x[..., :4, :]),
        (AveragePool(3, 1), x),
        (ContentLoss(), x, x[::-1].copy()),
        (TVLoss(), x),
    ]


@pytest.mark.parametrize("given", layers(), ids=lambda given: type(given[0]).__name__)
def test_gradient_accepts_right_layers(given):
    verdict = check.gradient(*given)
    assert verdict.right, verdict
    assert f"all {given[1].size} values" in verdict.message


class Wrong:
    """A square whose gradient is changed."""

    def __init__(self, change):
        self.change = change

    def forward(self, x):
        self.x = x
        return x**2

    def backward(self, D):
        return self.change(2 * self.x * D)


def at_the_border(g):
    g[..., 0] += 1
    return g


@pytest.mark.parametrize(
    ("change", "mistake", "words"),
    [
        (lambda g: g / 2, "times_0.5", "0.5 times"),
        (lambda g: -g, "sign", "negative"),
        (lambda g: g[..., ::-1], "mirrored", "left to right"),
        (lambda g: g.ravel(), "shape", "the shape (30,)"),
        (lambda g: g * np.nan, "not_finite", "NaN"),
        (at_the_border, "values", "at the border"),
        (stop(ValueError("no")), "error", "ValueError"),
        (lambda g: None, "returns_nothing", "returns nothing"),
    ],
)
def test_gradient_names_what_is_wrong(change, mistake, words):
    x = np.random.default_rng(1).standard_normal((5, 6))
    verdict = check.gradient(Wrong(change), x)
    assert (verdict.right, verdict.mistake) == (False, mistake), verdict
    assert words in verdict.message


def test_gradient_takes_tensors_and_pairs_of_functions():
    x = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    before = x.clone()
    assert check.gradient((lambda x: (x**3).sum(), lambda x: 3 * x**2), x)
    assert torch.equal(x, before)
