"""What every maker of pictures promises of its results, tried on all of them, as small as can be.

All start from noise, where they know it. The networks are tiny, or the first layer of VGG-19.
"""

import copy
import dataclasses
import functools
import inspect
import itertools
import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys import Colors, normalized, photo, tiny_network

import stylelib
from stylelib import (
    FileError,
    FoolingResult,
    InputError,
    Interrupted,
    LossWeights,
    ReconstructionResult,
    Record,
    RunState,
    Step,
    StylelibError,
    TransferResult,
    VisualizationResult,
    assignment,
    from_scratch,
    transfer,
    vgg19,
)
from stylelib.sees.transformations import STANDARD

SIZE = (24, 36)  # (H, W) of what is painted
ADAMS, EVALUATIONS = 5, 14  # steps
GRAYS_MEAN = np.array([123.68, 116.779, 103.939])  # what pictures in NumPy are without


def colors():
    return Colors().eval()


def first_layer():
    return vgg19("random", layers=["conv1_1"])


@functools.cache
def deepest():
    return vgg19("random", layers=["relu4_2"])


def deep():
    return copy.deepcopy(deepest())


def in_numpy():
    return from_scratch.VGG19(layers=["relu1_1"])


@dataclasses.dataclass(frozen=True)
class Maker:
    """A function that makes pictures, with arguments for the smallest of them.

    Attributes:
        function: it.
        given: pictures, or what stands in their place, by parameter.
        net: makes the network.
        asked: the other arguments.
        kind: of its results.
        told: what the settings say in other words than the arguments.
        unsaid: parameters that the settings do not name.
        holds_net: the network's parameter.
    """

    function: Callable[..., Any]
    given: dict[str, Any]
    net: Callable[[], Any]
    asked: dict[str, Any]
    kind: type
    told: dict[str, Any] = dataclasses.field(default_factory=dict)
    unsaid: frozenset[str] = frozenset()
    holds_net: str = "net"

    def __call__(self, net=None, **changes):
        net = {self.holds_net: self.net() if net is None else net}
        return self.function(**self.given, **net, **self.asked | changes)

    @property
    def takes(self):
        return set(inspect.signature(self.function).parameters)

    @property
    def steps(self):
        """The name of the parameter that bounds them."""
        return "steps" if "steps" in self.takes else "max_steps"


PAIR = {"content": photo("chelsea", 30), "style": photo("mosaic", 30)}
X32 = normalized(photo("chelsea", 32))
TWO = torch.cat([X32, normalized(photo("coffee", 32))])
LAYERS = {"content_layers": ["2"], "style_layers": {"0": 1.0, "2": 0.5}}
NAMED = {"content_layers": [2], "style_layers": {"0": 1.0, "2": 0.5}}
TRANSFER = {"image_shape": SIZE, "init": "noise", "seed": 3, "precision": "float32"}
WEIGHTS = LossWeights(1.0, 30.0, 2.0)
SEES = {"image_shape": SIZE, "steps": ADAMS, "seed": 3}
FOOLS = {"epsilon": 0.2, "lr": 0.02, "max_steps": ADAMS, "confidence": 0.5}
VISUALIZATION = {"image_shape": (32, 40), "steps": ADAMS, "seed": 3, "l2": 0.5}
SOUGHT = {
    "transformations": [repr(transformation) for transformation in STANDARD],
    "lr": 0.05,
}
MAKERS = {
    "coarse-to-fine": Maker(
        transfer,
        PAIR,
        tiny_network,
        TRANSFER | LAYERS | {"steps": 8, "recipe": "coarse-to-fine", "weights": WEIGHTS},
        TransferResult,
        NAMED | {"weights": WEIGHTS._asdict()},
    ),
    "neighbors": Maker(
        transfer,
        PAIR,
        deep,
        TRANSFER | {"steps": ADAMS, "recipe": "neighbors", "scales": 1, "lr": 0.25},
        TransferResult,
    ),
    "d2l": Maker(
        transfer,
        PAIR,
        tiny_network,
        TRANSFER | LAYERS | {"steps": ADAMS, "recipe": "d2l", "weights": WEIGHTS, "lr": 0.25},
        TransferResult,
        NAMED | {"weights": WEIGHTS._asdict()},
    ),
    "gatys": Maker(
        transfer,
        PAIR,
        tiny_network,
        TRANSFER | LAYERS | {"steps": EVALUATIONS, "recipe": "gatys", "weights": WEIGHTS},
        TransferResult,
        NAMED | {"weights": WEIGHTS._asdict()},
    ),
    "assignment": Maker(
        transfer,
        PAIR,
        tiny_network,
        TRANSFER | LAYERS | {"steps": ADAMS, "recipe": "assignment", "lr": 0.25},
        TransferResult,
        NAMED,
    ),
    "assignment's own": Maker(
        assignment.style_transfer,
        PAIR,
        tiny_network,
        {
            "settings": assignment.Settings(24, 28, "2", 0.5, ("0", "2"), (1e3, 3.0), 0.05),
            "steps": ADAMS,
            "lr": 0.25,
            "largest": 2.0,
            "init_random": True,
            "seed": 3,
        },
        TransferResult,
        {
            "image_shape": 24,
            "style_shape": 28,
            "weights": {"content": 0.5, "style": 1.0, "tv": 0.05},
            "content_layers": [2],
            "style_layers": {"0": 1e3, "2": 3.0},
            "clamp": 2.0,
            "init": "noise",
        },
        frozenset({"settings", "largest", "init_random", "decayed_lr", "decay_lr_at"}),
    ),
    "inversion": Maker(
        stylelib.invert_features,
        {"image": PAIR["content"]},
        tiny_network,
        {"layer": "2", "image_shape": SIZE, "steps": EVALUATIONS, "seed": 3, "tv_weight": 0.5},
        ReconstructionResult,
        {"layers": [2]},
        frozenset({"layer"}),
    ),
    "texture": Maker(
        stylelib.synthesize_texture,
        {"image": PAIR["style"]},
        tiny_network,
        {
            "layers": ["0", "2"],
            "image_shape": SIZE,
            "texture_shape": 20,
            "steps": EVALUATIONS,
            "seed": 3,
        },
        ReconstructionResult,
        {"layers": [0, 2]},
    ),
    "fooling": Maker(
        stylelib.fooling_image,
        {"X": X32, "target": 7},
        colors,
        FOOLS,
        FoolingResult,
        {"target": stylelib.class_names()[7]},
        frozenset({"X"}),
        "model",
    ),
    "fooling several": Maker(
        stylelib.fooling_images,
        {"X": TWO, "targets": [7, 8]},
        colors,
        FOOLS,
        FoolingResult,
        {},
        frozenset({"X", "targets"}),
        "model",
    ),
    "class": Maker(
        stylelib.class_visualization,
        {"target": 7},
        colors,
        VISUALIZATION,
        VisualizationResult,
        SOUGHT | {"target": stylelib.class_names()[7]},
        holds_net="model",
    ),
    "classes": Maker(
        stylelib.class_visualizations,
        {"targets": [7, 8]},
        colors,
        VISUALIZATION | {"storage": "pixels", "transformations": ()},
        VisualizationResult,
        {"lr": 0.1},
        frozenset({"targets"}),
        "model",
    ),
    "channel": Maker(
        stylelib.channel_visualization,
        {"layer": "conv1_1", "channel": 5},
        first_layer,
        VISUALIZATION,
        VisualizationResult,
        SOUGHT | {"target": "conv1_1:5"},
        frozenset({"layer", "channel"}),
    ),
    "channels": Maker(
        stylelib.channel_visualizations,
        {"layer": 0, "channels": [5, 60]},
        first_layer,
        VISUALIZATION,
        VisualizationResult,
        SOUGHT,
        frozenset({"layer", "channels"}),
    ),
    "in NumPy": Maker(
        from_scratch.style_transfer,
        PAIR,
        in_numpy,
        {
            "image_shape": (8, 12),
            "steps": ADAMS,
            "alpha": 2.0,
            "beta": 30.0,
            "tv": 0.5,
            "learning_rate": 3.0,
            "init": "noise",
            "seed": 3,
            "content_layers": ["relu1_1"],
            "style_layers": ["conv1_1", "relu1_1"],
        },
        from_scratch.ScratchResult,
    ),
}
PLURAL = {"fooling several", "classes", "channels"}
WATCHED = [name for name, maker in MAKERS.items() if "callback" in maker.takes]
SEEDED = [name for name, maker in MAKERS.items() if "seed" in maker.takes]
PAINTERS = ["d2l", "gatys", "assignment", "inversion", "texture", "in NumPy"]
ANYWHERE = [(name, "callback") for name in WATCHED] + [(name, "network") for name in MAKERS]


def each(names):
    """A case for each name."""
    return pytest.mark.parametrize("name", list(names))


def several(results):
    """A list of results, also of one."""
    return results if isinstance(results, list) else [results]


@functools.cache
def finished(name):
    """The results of the arguments above, made once."""
    return several(MAKERS[name]())


def as_json(value):
    return json.loads(json.dumps(value))


def numbers(result):
    """The picture before it was made visible, an array."""
    return np.asarray(result.picture)


def losses(result):
    return [record.losses for record in result.history]


def assert_same(results, others):
    """To the last bit, in all but the time they took."""
    for one, other in zip(several(results), several(others), strict=True):
        assert np.array_equal(numbers(one), numbers(other))
        assert numbers(one).dtype == numbers(other).dtype == np.float32
        assert one.image.tobytes() == other.image.tobytes()
        assert losses(one) == losses(other)
        for field in dataclasses.fields(one):
            if field.name not in ("image", "history", "picture", "original"):
                assert getattr(one, field.name) == getattr(other, field.name), field.name


# --- the picture and its settings


@each(MAKERS)
def test_a_maker_of_many_gives_a_list_and_a_maker_of_one_a_result(name):
    results = MAKERS[name]()
    assert isinstance(results, list) == (name in PLURAL)
    assert len(several(results)) == (2 if name in PLURAL else 1)
    assert all(type(result) is MAKERS[name].kind for result in several(results))


@each(MAKERS)
def test_the_image_is_the_picture_made_visible(name):
    for result in finished(name):
        X = numbers(result)
        assert X.shape == (1, 3, result.image.height, result.image.width)
        assert result.image.mode == "RGB"
        X = X[0].astype(np.float64).transpose(1, 2, 0)
        if name == "in NumPy":
            gray = X + GRAYS_MEAN
        else:
            assert result.picture.device.type == "cpu"
            assert not result.picture.requires_grad
            gray = 255 * (X * [0.229, 0.224, 0.225] + [0.485, 0.456, 0.406])
        assert np.abs(gray.clip(0, 255) - np.asarray(result.image)).max() <= 0.5 + 1e-3


def plain(value):
    """Whether a value is of JSON's own types all through."""
    if isinstance(value, dict):
        return all(type(key) is str and plain(each) for key, each in value.items())
    if type(value) in (list, tuple):
        return all(map(plain, value))
    if type(value) is float:
        return math.isfinite(value)
    return value is None or isinstance(value, str) or type(value) in (int, bool)


@each(MAKERS)
def test_settings_say_what_was_asked_in_types_of_json(name):
    maker = MAKERS[name]
    for result in finished(name):
        assert plain(result.settings)
        expected = {k: v for k, v in maker.asked.items() if k not in maker.unsaid} | maker.told
        settings = as_json(result.settings)
        assert {key: settings[key] for key in expected} == as_json(expected)
        for picture in ("content", "style", "image"):
            assert settings.get(picture, "<Image>") == "<Image>"


@each(MAKERS)
def test_settings_name_every_parameter_the_version_and_the_machine(name):
    maker = MAKERS[name]
    (result, *_) = finished(name)
    others = {maker.holds_net, "callback", "state", "checkpoint"} | maker.unsaid
    about = {"stylelib", "machine", "network"}
    about |= {"numpy"} if name == "in NumPy" else {"torch", "threads", "device"}
    assert (maker.takes - others) | about <= result.settings.keys()
    assert result.settings["stylelib"] == stylelib.__version__
    if name == "in NumPy":
        assert result.settings["numpy"] == np.__version__
    else:
        assert result.settings["torch"] == torch.__version__
        assert result.settings["threads"] == torch.get_num_threads()
        assert result.settings["device"] == "cpu"


def weights_of(net):
    """The arrays and tensors that a network computes with."""
    if isinstance(net, from_scratch.VGG19):
        layers = [layer for layer in net.layers.values() if hasattr(layer, "weight")]
        return [net.mean] + [each for layer in layers for each in (layer.weight, layer.bias)]
    return [weight.data for weight in net.state_dict().values()]


@each(MAKERS)
def test_settings_tell_networks_apart_by_their_weights(name):
    maker, net = MAKERS[name], MAKERS[name].net()
    digests = [finished(name)[0].settings["network"]]
    for weight in weights_of(net)[-2:]:
        weight[(-1,) * weight.ndim] += 1e-3
        digests.append(several(maker(net))[0].settings["network"])
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in digests)
    assert len(set(digests)) == len(digests)


@each(MAKERS)
def test_the_kind_of_number_does_not_matter(name):
    """NumPy's whole numbers and PyTorch's, and floats that float32 holds exactly."""
    kinds = {
        int: itertools.cycle([np.int64, torch.tensor]),
        float: itertools.cycle([np.float64, np.float32, torch.tensor]),
    }
    exact = {"epsilon": 0.25, "lr": 0.25} if name.startswith("fooling") else {}
    plain_ones = MAKERS[name].asked | exact
    other = {k: next(kinds[type(v)])(v) for k, v in plain_ones.items() if type(v) in kinds}
    result = MAKERS[name](**other)
    assert_same(result, MAKERS[name](**plain_ones))
    assert all(plain(each.settings) for each in several(result))


# --- the same again


@each(MAKERS)
def test_the_same_call_gives_the_same_bits(name):
    """Whatever PyTorch's own generator has drawn, which stays as it is."""
    net = MAKERS[name].net()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1234)
        before = torch.get_rng_state()
        again = MAKERS[name](net)
        assert torch.equal(torch.get_rng_state(), before)
    assert_same(again, finished(name))


@each(MAKERS)
def test_gradients_may_be_switched_off_around_the_call(name):
    with torch.no_grad():
        again = MAKERS[name]()
    assert_same(again, finished(name))


@each(SEEDED)
def test_another_seed_gives_another_picture(name):
    for one, other in zip(finished(name), several(MAKERS[name](seed=4)), strict=True):
        assert not np.array_equal(numbers(one), numbers(other))
        assert losses(one)[0] != losses(other)[0]
        assert other.settings["seed"] == 4


# --- files


@each(MAKERS)
@pytest.mark.parametrize("kind", [str, Path])
def test_save_writes_the_picture_and_a_file_of_settings_beside_it(name, kind, tmp_path):
    for result in finished(name):
        written = result.save(kind(tmp_path / "cat.png"))
        assert written == tmp_path / "cat.png"
        assert {path.name for path in tmp_path.iterdir()} == {"cat.png", "cat.png.json"}
        with Image.open(written) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", result.image.size)
            assert image.tobytes() == result.image.tobytes()
        text = (tmp_path / "cat.png.json").read_text()
        record, last = json.loads(text), result.history[-1]
        assert text.endswith("}\n")
        assert as_json(result.settings).items() <= record.items()
        assert record["steps_made"] == len(result.history)
        assert record["interrupted"] is False
        assert record["seconds"] == pytest.approx(last.seconds, abs=0.0005)
        assert record["losses_of_last_step"] == last.losses


MEASURED = {
    TransferResult: ["gradient_shares", "gradient_residual"],
    ReconstructionResult: ["errors"],
    FoolingResult: ["fooled", "steps", "l2", "linf"],
    VisualizationResult: ["response"],
    from_scratch.ScratchResult: [],
}


@each(MAKERS)
def test_the_file_has_what_was_measured_too(name, tmp_path):
    for result in finished(name):
        record = json.loads(Path(f"{result.save(tmp_path / 'a.png')}.json").read_text())
        for field in MEASURED[type(result)]:
            assert record[field] == getattr(result, field)


@each(MAKERS)
def test_saving_again_replaces_both_files(name, tmp_path):
    (old, *_), (new, *_) = several(MAKERS[name](**{MAKERS[name].steps: 2})), finished(name)
    old.save(tmp_path / "a.png")
    before = (tmp_path / "a.png.json").read_bytes()
    new.save(tmp_path / "a.png")
    assert (tmp_path / "a.png.json").read_bytes() != before
    assert json.loads((tmp_path / "a.png.json").read_text())["steps_made"] == len(new.history)
    with Image.open(tmp_path / "a.png") as image:
        assert image.tobytes() == new.image.tobytes()


@each(MAKERS)
def test_what_cannot_be_saved_is_not_saved_by_half(name, tmp_path):
    (result, *_) = finished(name)
    (tmp_path / "a.png.json").mkdir()
    (tmp_path / "b.png").mkdir()
    before = sorted(tmp_path.rglob("*"))
    for wrong, error, message in (
        ("a.png", FileError, r"a\.png\.json.* is a directory"),
        ("b.png", FileError, r"b\.png.* is a directory"),
        ("none/cat.png", FileError, "there is no folder"),
        ("cat.txt", InputError, r"cannot write 'cat\.txt'"),
        ("cat", InputError, "cannot write 'cat'"),
    ):
        with pytest.raises(error, match=message):
            result.save(tmp_path / wrong)
    assert sorted(tmp_path.rglob("*")) == before


# --- history and callbacks


@each(MAKERS)
def test_the_history_has_each_step(name):
    for result in finished(name):
        history = result.history
        assert len(history) >= ADAMS - 1
        assert all(type(record) is Record for record in history)
        assert [record.step for record in history] == list(range(1, len(history) + 1))
        for record in history:
            assert record.losses
            assert all(type(loss) is float for loss in record.losses.values())
            assert all(map(math.isfinite, record.losses.values()))
            assert record.loss == pytest.approx(sum(record.losses.values()), rel=1e-12)
        seconds = [0.0] + [record.seconds for record in history]
        assert all(a < b for a, b in itertools.pairwise(seconds))
        counts = [0] + [record.evaluations for record in history]
        # the last step of L-BFGS may have been undone for want of evaluations
        assert all(a < b for a, b in itertools.pairwise(counts[:-1]))
        assert counts[-2] <= counts[-1]


@each(WATCHED)
def test_the_callback_gets_every_step(name):
    seen = []
    results = several(MAKERS[name](callback=seen.append))
    assert_same(results, finished(name))
    for result in results:
        history = result.history
        if name == "in NumPy":
            assert seen == history
            continue
        assert all(type(step) is Step for step in seen)
        assert [step.record for step in seen] == history
    if name != "in NumPy":
        for step in seen:
            assert step.picture.shape == (len(results), 3, *results[0].picture.shape[2:])
            assert not step.picture.requires_grad
        assert not torch.equal(seen[0].picture, seen[-1].picture)


@each(WATCHED)
@pytest.mark.parametrize("answer", [None, False])
def test_another_answer_than_true_does_not_end_it(name, answer):
    assert_same(MAKERS[name](callback=lambda step: answer), finished(name))


@each(WATCHED)
@pytest.mark.parametrize("k", [1, 3])
def test_a_callback_that_returns_true_ends_it(name, k):
    seen = []
    stopped = several(MAKERS[name](callback=lambda step: seen.append(step) or len(seen) == k))
    assert len(seen) == k
    for result, whole in zip(stopped, finished(name), strict=True):
        assert losses(result) == losses(whole)[:k]
        assert not result.interrupted
        assert not np.array_equal(numbers(result), numbers(whole))


def raise_when(net, condition, error):
    """A network that raises at the first pass for which a condition holds.

    Those count that a gradient is wanted of: in NumPy all but the first two.
    """
    raised, passes = [], itertools.count(1)

    def look(wanted):
        if wanted and not raised and condition():
            raised.append(error)
            raise error

    if isinstance(net, from_scratch.VGG19):
        forward = net.forward

        def guarded(X, layers):
            look(next(passes) > 2)
            return forward(X, layers)

        net.forward = guarded
    else:
        first = next(part for part in net.modules() if not list(part.children()))
        first.register_forward_pre_hook(lambda layer, inputs: look(inputs[0].requires_grad))
    return net


@pytest.mark.parametrize(("name", "where"), ANYWHERE)
def test_another_exception_passes_through(name, where):
    maker, net, error = MAKERS[name], MAKERS[name].net(), ZeroDivisionError("mine")

    def fail(step):
        raise error

    arguments = {"callback": fail} if where == "callback" else {}
    if where == "network":
        net = raise_when(net, lambda: True, error)
    with pytest.raises(ZeroDivisionError, match="mine"):
        maker(net, **arguments)


# --- Ctrl-C


def test_interrupted_is_what_python_raises_at_ctrl_c_and_no_error():
    """So `except Exception` and `except StylelibError` let it through."""
    assert issubclass(Interrupted, KeyboardInterrupt)
    assert not issubclass(Interrupted, (Exception, StylelibError))


def interrupted(name, k, where, **changes):
    """The exception that Ctrl-C gives after k steps, in a callback or within the next step."""
    maker, net, passes, made = MAKERS[name], MAKERS[name].net(), [], []

    def callback(step):
        made.append(step)
        if where == "callback" and len(made) == k:
            raise KeyboardInterrupt

    if "callback" in maker.takes:
        changes["callback"] = callback
        if where == "network":
            net = raise_when(net, lambda: len(made) == k, KeyboardInterrupt())
    else:  # one pass with a gradient each step
        net = raise_when(
            net, lambda: passes.append(1) or len(passes) == k + 1, KeyboardInterrupt()
        )
    with pytest.raises(KeyboardInterrupt) as caught:
        maker(net, **changes)
    return caught.value


@pytest.mark.parametrize("k", [1, 3])
@pytest.mark.parametrize(("name", "where"), ANYWHERE)
def test_ctrl_c_gives_the_picture_so_far(name, k, where, tmp_path):
    stop = interrupted(name, k, where)
    assert type(stop) is Interrupted
    assert f"after {k} step" in str(stop)
    for result, whole in zip(several(stop.result), finished(name), strict=True):
        assert type(result) is MAKERS[name].kind
        assert result.interrupted
        assert losses(result) == losses(whole)[:k]
        assert result.settings == whole.settings
        assert np.isfinite(numbers(result)).all()
        record = json.loads(Path(f"{result.save(tmp_path / 'a.png')}.json").read_text())
        assert (record["interrupted"], record["steps_made"]) == (True, k)


@each(WATCHED)
@pytest.mark.parametrize("where", ["callback", "network"])
def test_the_picture_so_far_is_that_of_a_callback_that_returns_true(name, where):
    stopped = several(MAKERS[name](callback=lambda step: step.step == 3))
    for one, other in zip(several(interrupted(name, 3, where).result), stopped, strict=True):
        assert np.array_equal(numbers(one), numbers(other))
        for field in MEASURED[type(one)]:
            assert getattr(one, field) == getattr(other, field)


@each(MAKERS)
def test_after_ctrl_c_there_is_what_the_maker_would_have_given(name):
    assert type(interrupted(name, 2, "network").result) is type(MAKERS[name]())


@each(MAKERS)
def test_ctrl_c_before_any_step_is_pythons_own(name):
    stop = interrupted(name, 0, "network")
    assert type(stop) is KeyboardInterrupt


LOOPS = """
import signal
from stylelib import Interrupted, transfer
from toys import photo, tiny_network

signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests ignore it
photo, painting, net = photo("chelsea", 24), photo("mosaic", 24), tiny_network()
layers = {"content_layers": ["2"], "style_layers": ["0"], "recipe": "d2l"}
for caught in (Interrupted, Exception):
    for i in range(3):
        print(caught.__name__, i, flush=True)
        try:
            result = transfer(
                photo, painting, image_shape=24, steps=10**6 if i == 0 else 2, net=net, **layers,
                callback=lambda step: print("made", step.step, flush=True) if step.step < 3 else 0,
            )
        except caught as error:
            print("caught", len(error.result.history) >= 2, flush=True)
            continue
        result.save(f"{caught.__name__}{i}.png")
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT to send to one process")
def test_ctrl_c_ends_a_loop_over_pictures_unless_the_loop_catches_it(tmp_path):
    """Two loops, the first picture of each without end, Ctrl-C after its second step."""
    said = []
    with subprocess.Popen(
        [sys.executable, "-c", LOOPS],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        give_up = threading.Timer(150, process.kill)
        give_up.start()
        try:
            for line in process.stdout:
                said.append(line.strip())
                if said[-1] == "made 2" and said[-3].endswith(" 0"):
                    process.send_signal(signal.SIGINT)
            errors = process.stderr.read()
            process.wait()
        finally:
            give_up.cancel()
            process.kill()
    made = ["made 1", "made 2"]
    assert said == [
        *(
            "Interrupted 0",
            *made,
            "caught True",
            "Interrupted 1",
            *made,
            "Interrupted 2",
            *made,
        ),
        *("Exception 0", *made),
    ]
    assert errors.splitlines()[-1].startswith("stylelib.errors.Interrupted: stopped by Ctrl-C")
    assert process.returncode != 0
    assert {path.name for path in tmp_path.iterdir()} == {
        f"Interrupted{i}.png{ending}" for i in (1, 2) for ending in ("", ".json")
    }


# --- what is the caller's


@each(MAKERS)
@pytest.mark.parametrize("learns", [False, True])
def test_network_and_pictures_are_left_as_they_were(name, learns):
    maker, net = MAKERS[name], MAKERS[name].net()
    if name != "in NumPy":
        net.requires_grad_(learns)
    before = [np.array(weight) for weight in weights_of(net)]
    given = copy.deepcopy(maker.given)
    maker(net)
    assert all(map(np.array_equal, weights_of(net), before))
    if name != "in NumPy":
        assert all(each.requires_grad == learns for each in net.parameters())
        assert all(each.grad is None for each in net.parameters())
        assert not any(part.training for part in net.modules())
    for was, now in zip(given.values(), maker.given.values(), strict=True):
        if isinstance(now, Image.Image):
            assert (now.tobytes(), now.size, now.info) == (was.tobytes(), was.size, was.info)
        elif isinstance(now, torch.Tensor):
            assert torch.equal(now, was)
            assert not now.requires_grad
            assert now.grad is None
        else:
            assert now == was


# --- sizes


@each(PAINTERS)
def test_a_size_is_height_and_width_or_the_shorter_side(name):
    """Of pictures that lie and that stand, whose longer side is 1.5 times the shorter."""
    maker = MAKERS[name]
    few = {maker.steps: 1}
    for image_shape, lying, standing in (
        ((20, 44), (44, 20), (44, 20)),
        ([40, 26], (26, 40), (26, 40)),
        (20, (30, 20), (20, 30)),
        (21, (32, 21), (21, 32)),  # 31.5, rounded to even
    ):
        for size, expected in (((60, 40), lying), ((40, 60), standing)):
            given = {key: picture.resize(size) for key, picture in maker.given.items()}
            result = dataclasses.replace(maker, given=given)(image_shape=image_shape, **few)
            assert result.image.size == expected
            assert result.picture.shape == (1, 3, *expected[::-1])


# --- going on from a state


RESUMED = {"coarse-to-fine": 16, "neighbors": 6, "d2l": 6, "assignment": 6, "gatys": 22}


def resumable(name, scales):
    return functools.partial(MAKERS[name], steps=RESUMED[name], scales=scales)


def assert_goes_on(result, whole, made, exact):
    """The same but for the time, and for one evaluation more of L-BFGS."""
    assert np.array_equal(numbers(result), numbers(whole))
    assert losses(result) == losses(whole)
    assert result.gradient_shares == whole.gradient_shares
    assert result.gradient_residual == whole.gradient_residual
    assert result.settings == whole.settings
    for k, (one, other) in enumerate(zip(result.history, whole.history, strict=True)):
        assert (one.step, one.lr) == (other.step, other.lr)
        assert one.evaluations - other.evaluations in ([0] if exact or k < made else [0, 1])
    seconds = [0.0] + [record.seconds for record in result.history]
    assert all(a < b for a, b in itertools.pairwise(seconds))


@each(RESUMED)
@pytest.mark.parametrize("scales", [1, 2])
def test_a_run_goes_on_from_its_state_after_any_step(name, scales):
    """The states of one whole run: also after the last step of a size, and of all."""
    run, states = resumable(name, scales), []
    whole = run(callback=lambda step: states.append(step.state()))
    assert all(type(state) is RunState for state in states)
    assert [state.size for state in states] == sorted(state.size for state in states)
    assert {state.size for state in states} == set(range(scales))
    for k, state in enumerate(states, 1):
        assert state.history == whole.history[:k]
        seen = []
        exact = name not in ("gatys", "coarse-to-fine")
        assert_goes_on(run(state=state, callback=seen.append), whole, k, exact)
        assert [step.step for step in seen] == list(range(k + 1, len(whole.history) + 1))


@each(RESUMED)
@pytest.mark.parametrize("scales", [1, 2])
def test_a_run_that_was_stopped_goes_on_from_a_file_and_may_be_stopped_again(
    name, scales, tmp_path
):
    """Each run makes one step; the state is written and read in between."""
    run = resumable(name, scales)
    whole, path = run(), tmp_path / "state.pt"

    def stop(step):
        torch.save(step.state(), path)
        raise KeyboardInterrupt

    state = None
    for made in range(1, len(whole.history) + 1):
        with pytest.raises(Interrupted) as caught:
            run(state=state, callback=stop)
        assert losses(caught.value.result) == losses(whole)[:made]
        state = torch.load(path, weights_only=False)
    result = run(state=state)
    assert np.array_equal(numbers(result), numbers(whole))
    assert losses(result) == losses(whole)


@each(RESUMED)
def test_a_state_is_a_copy_and_stays_what_it_is(name):
    run, states = resumable(name, 2), []

    def take(step):
        states.append(step.state())
        if step.step == 2:
            states[-1].picture.fill_(7)  # of no concern to the run

    assert_same(run(callback=take), run())
    state, before = states[3], copy.deepcopy(states[3])
    first = run(state=state)
    assert torch.equal(state.picture, before.picture)
    assert torch.equal(state.random, before.random)
    assert (state.size, state.made, state.history) == (before.size, before.made, before.history)
    assert_same(run(state=state), first)


@each(RESUMED)
def test_a_state_that_does_not_fit_is_refused(name):
    states = []
    resumable(name, 2)(callback=lambda step: states.append(step.state()))
    for state, wrong, message in (
        (states[0], {"image_shape": (24, 32)}, "another run: size 1 with 12 x 18 pixels"),
        (states[-1], {"scales": 1}, "another run: size 2 with 24 x 36 pixels"),
        (states[-1], {"steps": len(states) - 1}, f"{len(states)} steps, more than the"),
    ):
        with pytest.raises(InputError, match=message):
            resumable(name, 2)(state=state, **wrong)
