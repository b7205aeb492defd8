"""What cannot be right is refused: one table over all public functions.

A row has wrong arguments, which take the place of right ones, and words of the message, in which
" ... " stands for anything. Rows that need a file or a network are functions of `t` (`Things`).
"""

import functools
import io
import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from torch import nn
from toys import Colors, pixels

import stylelib
from stylelib import (
    CONVENTIONS,
    RECIPES,
    SQUEEZENET_LAYERS,
    VGG19_LAYERS,
    AdamDescent,
    FeatureExtractor,
    FileError,
    InputError,
    LBFGSDescent,
    LossWeights,
    Match,
    ModelFeatures,
    NetworkFeatures,
    Normalization,
    Prior,
    Recipe,
    RunState,
    Style,
    assignment,
    callbacks,
    devices,
    figures,
    from_scratch,
    samples,
)
from stylelib.control.styles import Painting, Wanted
from stylelib.from_scratch import AveragePool, Convolution, MaxPool, windows
from stylelib.models import layer_names
from stylelib.relatives import conventions, modules
from stylelib.sees import classifiers, fooling, saliency, storages, transformations

NAN, INF = math.nan, math.inf
PHOTO = pixels(32, 40)
ARRAY = np.ones((1, 3, 4, 5))  # where a tensor is wanted
F = torch.ones(1, 3, 4, 5)  # features, or a small picture
G = torch.ones(1, 3, 3)  # Gram matrices of such features
X32 = torch.zeros(1, 3, 32, 32)  # what a classifier takes
NO_FEATURES = [(3, 4, 5), (4,), (), (1, 1, 3, 4, 5), (0, 3, 4, 5), (1, 0, 4, 5), (1, 3, 0, 5)]
OTHER_FEATURES = [(1, 3, 4, 1), (1, 1, 4, 5), (3, 4, 5), (2, 3, 4, 5), (1, 3, 5, 4)]
OTHER_GRAMS = [(3, 3), (1, 3, 1), (1, 1, 1), (3, 3, 3), (1, 4, 4), (2, 2, 3, 3)]
NO_LAYER_NUMBERS = [-1, 1000, True, False, 2.0, NAN, None]


class Row(NamedTuple):
    wrong: dict[str, Any] | Callable[..., dict[str, Any]]
    words: str
    error: type[Exception] = InputError


ROWS, RIGHT = [], []


def table(function, right, *rows, name=""):
    """Rows of one function, and its right arguments."""
    name = name or function.__name__
    RIGHT.append(pytest.param(function, right, id=name))
    ROWS.extend(
        pytest.param(function, right, row, id=f"{name}: {short(row)}")
        for row in itertools.starmap(Row, rows)
    )


def short(row):
    """The wrong arguments; or the words, if these would be too long. Without addresses, so that a
    test has the same name in every process.
    """
    arguments = {} if callable(row.wrong) else row.wrong
    text = ", ".join(f"{name}={shown(value)}" for name, value in arguments.items())
    words = re.sub(r" at 0x[0-9a-fA-F]+", "", row.words)
    return words if not text or " at 0x" in text or len(text) > 80 else text


def shown(value):
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim:
        return f"{type(value).__name__} {tuple(value.shape)} {value.dtype}"
    return repr(value)


def of(t, arguments):
    return arguments(t) if callable(arguments) else arguments


class Things:
    """What rows may need: networks and files."""

    def __init__(self, net, folder):
        self.net, self.model, self.folder = net, Colors().eval(), folder
        self.small = stylelib.vgg19("random", layers=["pool1"])
        self.scratch = from_scratch.VGG19(layers=["relu1_1"])
        self.numbers = itertools.count()

    def written(self, data, name="thing.png"):
        folder = self.folder / str(next(self.numbers))
        folder.mkdir()
        (folder / name).write_bytes(data)
        return folder / name

    def saved(self, value):
        stream = io.BytesIO()
        torch.save(value, stream)
        return self.written(stream.getvalue(), "w.pth")


class Forked(nn.Module):
    """A network that is no `nn.Sequential`."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3)

    def forward(self, X):
        return self.second(X + self.first(X)).mean(dim=(2, 3))


class Choosy(nn.Module):
    """A network whose way depends on the picture."""

    def forward(self, X):
        return X if X.sum() > 0 else -X


@pytest.fixture(scope="module")
def t(net, tmp_path_factory):
    return Things(net, tmp_path_factory.mktemp("refusals"))


# --- rows that many functions have


def as_it_is(value):
    return value


def alone(value):
    return [value]


def each(name, values, words, make=as_it_is):
    """A row for each value. In the words `{}` is the value and `{kind}` its type."""
    return [({name: make(v)}, words.format(v, repr(v), kind=type(v).__name__)) for v in values]


def misspelt(name, words, *wrong_and_meant, make=as_it_is):
    words += " '{}'; did you mean '{}'?"
    return [
        ({name: make(wrong)}, words.format(wrong, meant)) for wrong, meant in wrong_and_meant
    ]


def also(more, rows):
    """The same rows with more arguments."""
    return [(wrong | more, *rest) for wrong, *rest in rows]


def written(name, contents, words):
    """Files of such contents."""
    return [
        (lambda t, data=data: {name: t.written(data)}, words, FileError) for data in contents
    ]


def saved(name, values, words):
    """Files of such states."""
    return [
        (lambda t, value=value: {name: t.saved(value)}, words, FileError) for value in values
    ]


def numbers(name, bounds, *outside, optional=False, said=""):
    """What is no finite number, or outside its bounds."""
    values = ["3", NAN, INF, True, *outside] + ([] if optional else [None])
    return each(
        name, values, f"{said or name} must be a finite number {bounds}".strip() + ", not {1}"
    )


def wholes(name, bounds, *outside, optional=False, said=None):
    """What is no whole number, or outside its bounds."""
    values = ["3", NAN, True, 2.0, *outside] + ([] if optional else [None])
    said = name if said is None else said
    return each(name, values, f"{said} must be a whole number, {bounds}, not {{1}}")


def seeds(optional=False):
    values = [-1, 2**63, 1.5, "3", NAN, True] + ([] if optional else [None])
    return each("seed", values, "seed must be a whole number from 0 to 2**63 - 1, not {1}")


def sizes(name, *more, least=1, optional=False, said=None):
    """What is no size of a picture."""
    values = [0, -24, (), (64, 0), (64, 64, 64), 64.0, NAN, "64", True, *more]
    values += [] if optional else [None]
    words = "must be (height, width) in pixels, or one side alone, each {} or more; got"
    said = name if said is None else said
    return each(name, values, f"{said} {words.format(least)} {{1}}")


def choices(name, words, *others):
    return each(name, [*others, "", None, 3], f"{name} must be {words}, not {{1}}")


def paths(name):
    return each(name, [3, None], f"{name} must be a path, not {{}}")


def functions(name):
    return each(name, ["tv", 3, None], f"{name} must be a function, not {{1}}")


def tensors(name, said="features"):
    """What is no tensor in floating point."""
    words = f"{said} must be a torch.Tensor in floating point, not {{kind}}"
    words_of_kinds = f"{said} must be a torch.Tensor in floating point, not torch.int64"
    return [*each(name, [ARRAY, None, "a.png"], words), ({name: F.long()}, words_of_kinds)]


def precisions(optional=False):
    values = ["float16", "fp32", "half", "", 3, torch.float32] + ([] if optional else [None])
    return each(
        "precision",
        values,
        "precision must be 'auto', 'float32', 'winograd' or 'bfloat16', not {1}",
    )


def on_devices(*names):
    names = names or ("nonsense", "gpu", "cuda:99", "cpu:x", "")
    words = "device {1} cannot be used here; try 'cpu', 'cuda' or 'mps'"
    return each("device", names, words)


def watchers():
    words = "callback must be a function of a step, or None, not {1}"
    return each("callback", [True, 3, "bar"], words)


def lists(name, *more, optional=False):
    """What is no list: a word would be read letter by letter."""
    values = ["relu1_1", 3, True, *more] + ([] if optional else [None])
    return each(name, values, f"{name} must be a list, for example [{{1}}], not {{1}}")


def empty(name):
    return each(name, [[], (), torch.tensor([])], f"{name} is empty")


def sources(name, optional=False):
    """What is no picture, nor a file of one."""
    values = [3, [1, 2], F] + ([] if optional else [None])
    words = "an image must be a path, bytes, a binary file or a PIL image, not {kind}"
    return [
        *each(name, values, words),
        (lambda t: {name: t.folder / "gone.jpg"}, "there is no file ... gone.jpg'", FileError),
        (lambda t: {name: t.written(b"none")}, "thing.png' is not an image", FileError),
    ]


def styles():
    """What is neither a picture, nor a file of one, nor a list of such: [1, 2] is read as two."""
    rows = [row for row in sources("style") if row[0] != {"style": [1, 2]}]
    return [*rows, ({"style": [1, 2]}, "a binary file or a PIL image, not int")]


def features(name, words="features must have the shape (N, C, H, W), none of them 0, not {}"):
    return each(name, NO_FEATURES, words, torch.zeros)


def three_weights(optional=False):
    words = "weight must be a finite number of at least 0 and below 1e+38, not {1}"
    wrong = [NAN, "1", True, None, -5, 1e39]
    no_three = [(1, 2), (1, 2, 3, 4), 3, "abcd"] + ([] if optional else [None])
    return [
        *each("weights", wrong, f"the content {words}", lambda v: LossWeights(v, 1, 1)),
        *each("weights", wrong, f"the style {words}", lambda v: (1, v, 1)),
        *each("weights", wrong, f"the tv {words}", lambda v: LossWeights(1, 1, v)),
        *each(
            "weights", no_three, "weights must be three numbers (content, style, tv), not {1}"
        ),
    ]


# --- pictures


def encoded(image, kind):
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def half(kind):
    data = encoded(PHOTO, kind)
    return Image.open(io.BytesIO(data[: len(data) // 2]))


def named(stream, name):
    stream.name = name
    return stream


def as_text(kind):
    return io.TextIOWrapper(io.BytesIO(encoded(PHOTO, kind)), encoding="utf-8")


def grays(*levels):
    return Image.fromarray(np.array([levels], np.int32))


def no_picture(data, words):
    """As a file, as bytes, and as an open file."""
    return [
        (lambda t: {"source": t.written(data)}, f"thing.png' {words}", FileError),
        ({"source": data}, f"the given data {words}", FileError),
        ({"source": named(io.BytesIO(data), "s.png")}, f"'s.png' {words}", FileError),
    ]


FLOATS = Image.new("F", (3, 3))

table(
    stylelib.load_image,
    {"source": PHOTO},
    *sources("source"),
    *each("source", [2.5, np.zeros((4, 4, 3), np.uint8)], "a PIL image, not {kind}"),
    ({"source": grays(0, -1)}, "gray levels -1..0 are outside 0..65535; scale them first"),
    ({"source": grays(0, 65536)}, "gray levels 0..65536 are outside 0..65535"),
    ({"source": grays(0, 2**31 - 1)}, "gray levels 0..2147483647 are outside 0..65535"),
    ({"source": FLOATS}, "a 32-bit float image (mode 'F') has no agreed range"),
    (
        {"source": encoded(FLOATS, "TIFF")},
        "a 32-bit float image (mode 'F') has no agreed range",
    ),
    *each(
        "source",
        [(0, 4), (4, 0), (0, 0)],
        "the image has no pixels: its size is {0[0]} x {0[1]}",
        lambda size: Image.new("RGB", size),
    ),
    (lambda t: {"source": t.folder}, "refusals ... is a directory, not an image", FileError),
    (lambda t: {"source": t.folder / ("x" * 5000)}, "cannot read ... xxx", FileError),
    ({"source": "a\0b.png"}, "cannot read ... null", FileError),
    *no_picture(b"", "is empty (0 bytes)"),
    *no_picture(b"Dear diary,\n", "is not an image in a format that Pillow reads"),
    *no_picture(np.random.default_rng(0).bytes(5000), "is not an image"),
    *no_picture(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "is not an image"),
    ({"source": named(io.StringIO("hello"), "a.txt")}, "'a.txt' was opened as text; ... 'rb'"),
    ({"source": io.StringIO("hello")}, "'the given file' was opened as text; ... 'rb'"),
    *each("source", ["PNG", "JPEG"], "was opened as text; open it in binary mode", as_text),
    (lambda t: {"source": half("PNG")}, "the image is damaged or cut short", FileError),
    (lambda t: {"source": half("JPEG")}, "the image is damaged or cut short", FileError),
)
table(
    stylelib.save_image,
    lambda t: {"image": PHOTO, "path": t.folder / "a.png"},
    *each("image", ["a.png", None, ARRAY], "a PIL image or a tensor, not {kind}"),
    ({"image": torch.zeros(2, 3, 4, 4)}, "(1, 3, H, W) or (3, H, W) ... not (2, 3, 4, 4)"),
    *each(
        "image",
        [-1.0, NAN, INF],
        "a map to save must have finite values of 0 or more",
        lambda v: torch.tensor([[0.0, v]]),
    ),
    (
        lambda t: {"path": t.folder / "a.xyz"},
        "cannot write 'a.xyz': end the name in one of .png",
    ),
    (lambda t: {"path": t.folder / "gone/a.png"}, "there is no folder ... gone", FileError),
    (lambda t: {"path": t.written(b"") / "a.png"}, "no folder ... thing.png", FileError),
    (lambda t: {"path": t.folder / ("x" * 5000 + ".png")}, "cannot write ... xxx", FileError),
    *wholes("quality", "from 1 to 100", 0, 101),
    *paths("path"),
    ({"image": torch.ones(4, 4, dtype=torch.complex64)}, "complex64"),
)
table(
    stylelib.preprocess,
    {"image": PHOTO, "image_shape": 8},
    *sources("image"),
    *sizes("image_shape", -1, False, (0, 3), (-2, 3), (3, 2.0), (2.5, 3), (True, 3), 1.5),
    *each("image_shape", ["32x48", ("3", "4"), np.float64(3)], "each 1 or more; got {1}"),
    *each(
        "image_shape", [10**6, (10**5, 10**5)], "image_shape {} asks for ... 89,478,485 pixels"
    ),
)
table(
    stylelib.postprocess,
    {"X": F},
    *each(
        "X",
        [
            (2, 3, 4, 4),
            (0, 3, 4, 4),
            (1, 1, 4, 4),
            (4, 4),
            (4, 4, 3),
            (1, 3, 0, 4),
            (1, 1, 3, 4, 5),
        ],
        "an image must have the shape (1, 3, H, W) or (3, H, W) in floating point, not {}",
        torch.zeros,
    ),
    ({"X": F.to(torch.uint8)}, "in floating point, not (1, 3, 4, 5) torch.uint8"),
    *each(
        "X",
        [NAN, INF, -INF],
        "the image has values that are not finite (nan or inf)",
        lambda v: F.where(F.cumsum(3) < 3, v),
    ),
    *each("X", ["a.png", None, ARRAY, PHOTO], "postprocess needs a tensor, not {kind}"),
)
table(
    stylelib.visible_range,
    {"device": None},
    *on_devices(),
)


def show_images(**arguments):
    try:
        figures.show_images(**arguments)
    finally:
        plt.close("all")


table(
    show_images,
    {"images": [F, PHOTO], "titles": ["one", "two"]},
    *empty("images")[:-1],
    *each("titles", [0, 1, 3], "2 images have {} titles", lambda n: ["one"] * n),
    (
        {"images": [torch.zeros(2, 3, 4, 4)], "titles": None},
        "an image must have the shape ... (2, 3,",
    ),
    (
        {"images": [ARRAY], "titles": None},
        "an array must be a map (H, W), not (1, 3, 4, 5)",
    ),
    *lists("images", PHOTO),
    *lists("titles", "ab", optional=True),
    *wholes("columns", "1 or more", -1, 0, optional=True),
    *numbers("width", "above 0", 0, -1),
)

# --- samples

for function in (samples.path, samples.load):
    table(
        function,
        {"name": "chelsea"},
        *misspelt("name", "there is no sample", ("chelsae", "chelsea"), ("Mosaic", "mosaic")),
        *misspelt("name", "there is no sample", ("roundel", "roundels")),
        *each("name", ["zzz", "", "../__init__", "a.jpg/../mosaic"], "is no sample '{}'; "),
        name=f"samples.{function.__name__}",
    )
table(
    samples.write,
    lambda t: {"folder": t.folder / "samples"},
    (lambda t: {"folder": t.written(b"")}, "cannot make the folder ... thing.png'", FileError),
    (lambda t: {"folder": t.written(b"") / "in"}, "cannot make the folder ... in'", FileError),
    *paths("folder"),
    name="samples.write",
)

# --- layers and networks

MISSPELT = [
    ("conv51", "conv5_1"),
    ("Conv4_4", "conv4_4"),
    ("relu22", "relu2_2"),
    ("pool_5", "pool5"),
]
MISSPELT_FIRES = [("fire_2", "fire2"), ("Fire9", "fire9"), ("pol5", "pool5")]

table(
    stylelib.layer_name,
    {"layer": 28},
    *misspelt("layer", "there is no layer", *MISSPELT),
    ({"layer": "xyz"}, "there is no layer 'xyz'; the layers are conv1_1 to pool5"),
    *each(
        "layer", [37, [28], *NO_LAYER_NUMBERS], "there is no layer {}; the layers are 0 to 36"
    ),
)
table(
    stylelib.layer_index,
    {"names": VGG19_LAYERS, "layer": "conv5_1"},
    *each("layer", [37, *NO_LAYER_NUMBERS], "there is no layer {}; the layers are 0 to 36"),
    (lambda t: {"names": t.net, "layer": 29}, "there is no layer 29; the layers are 0 to 28"),
    (
        lambda t: {"names": t.net, "layer": "relu5_1"},
        "there is no layer 'relu5_1'; did you mean",
    ),
    ({"names": []}, "there is no layer 'conv5_1'; there are none"),
)


def no_weights(wrong, meant):
    return {"weights": wrong}, f"there is no file '{wrong}'; did you mean '{meant}'?", FileError


for function, names, wrong_names, words in (
    (stylelib.vgg19, VGG19_LAYERS, MISSPELT, "embedded, torchvision, random"),
    (stylelib.squeezenet1_1, SQUEEZENET_LAYERS, MISSPELT_FIRES, "torchvision, random"),
):
    last = len(names) - 1
    table(
        function,
        {"weights": "random", "layers": [names[0]]},
        *misspelt("layers", "there is no layer", *wrong_names, make=alone),
        no_weights("Torchvision", "torchvision"),
        no_weights("randon", "random"),
        *each(
            "layers",
            [last + 1, *NO_LAYER_NUMBERS],
            f"there is no layer {{}}; the layers are 0 to {last}",
            alone,
        ),
        *lists("layers"),
        *empty("layers"),
        *each("weights", [None, 3, b"random"], "weights must be a name or a path, not {}"),
        (
            lambda t: {"weights": t.folder / "gone.pth"},
            f"there is no file ... gone.pth'; weights must be {words} or a file",
            FileError,
        ),
        (lambda t: {"weights": t.folder}, "there is no file '", FileError),
        *saved("weights", [[1, 2]], "w.pth' holds a list, not a state dict"),
        *saved("weights", [F], "w.pth' holds a Tensor, not a state dict"),
        *saved("weights", [5], "w.pth' holds a int, not a state dict"),
        *saved("weights", [None], "w.pth' holds a NoneType, not a state dict"),
        *written(
            "weights",
            [b"", b"hello", b"PK\x03\x04 not a zip", bytes(range(256))],
            "thing.png' is not a state dict that torch.load(weights_only=True) reads",
        ),
        *seeds(),
        *also({"layers": [names[-1]]}, choices("pooling", "'max' or 'avg'", "mean", "Max", 2)),
    )
table(
    stylelib.vgg19,
    {"weights": "random", "layers": ["conv1_1"]},
    no_weights("embeded", "embedded"),
    *choices("pooling", "'max' or 'avg'", "mean"),
    name="vgg19 without a pooling",
)
table(
    stylelib.squeezenet1_1,
    {"weights": "random"},
    *(
        (
            lambda t, net=net: {"weights": t.saved(dict(net().state_dict()))},
            "the state dict ... it is not of this network",
            FileError,
        )
        for net in (
            torchvision.models.squeezenet1_0,
            lambda: stylelib.vgg19("random", layers=["conv2_1"]),
        )
    ),
    name="squeezenet1_1 by others' weights",
)
table(
    stylelib.weights_for,
    lambda t: {"net": t.net},
    *each(
        "net", [None, "vgg19"], "a network must be an nn.Module, such as vgg19(), not {kind}"
    ),
)

# --- features

BATCHES = [
    *each(
        "X",
        [(3, 32, 32), (1, 1, 32, 32), (1, 4, 32, 32), (1, 32, 32, 3), (3,)],
        "X must have the shape (N, 3, H, W) in floating point, not {} torch.float32",
        torch.zeros,
    ),
    *each(
        "X",
        [torch.int64, torch.uint8, torch.complex64],
        "X must have the shape (N, 3, H, W) in floating point, not (1, 3, 32, 32) {}",
        X32.to,
    ),
    ({"X": X32.double()}, "the image is torch.float64, but the network is torch.float32"),
    *each("X", [ARRAY, None, PHOTO], "not {kind}"),
]
NO_STACK = "a network must be an nn.Sequential of layers, ... not {kind}"
MODULES = each("net", [nn.Conv2d(3, 4, 1), nn.ModuleList([nn.ReLU()])], NO_STACK)
NO_MODULES = each("net", [None, "vgg19", 3], NO_STACK)
UNREADY = each(
    "net",
    [nn.BatchNorm2d(3), nn.Dropout(), nn.Dropout2d()],
    "the network is in training mode, so its {kind} ... call net.eval() first",
    lambda part: nn.Sequential(nn.Sequential(part), nn.ReLU()),
)
STACKS = MODULES + NO_MODULES + UNREADY


def taps(name):
    """No layers of a network that ends with conv5_1."""
    words = "there is no layer {}; the layers are 0 to 28"
    return [
        *each(name, [29, *NO_LAYER_NUMBERS], words, alone),
        ({name: ["relu5_1"]}, "there is no layer 'relu5_1'; did you mean 'relu"),
        ({name: ["conv9_9"]}, "there is no layer 'conv9_9'; did you mean 'conv"),
    ]


TAPS = [
    *taps("content_layers"),
    *taps("style_layers"),
    *lists("content_layers"),
    *lists("style_layers"),
]

table(NetworkFeatures, lambda t: {"net": t.net}, *STACKS, *precisions())
table(
    lambda net, X, layers: NetworkFeatures(net)(X, layers),
    lambda t: {"net": t.net, "X": X32, "layers": ["conv1_1"]},
    *BATCHES,
    *taps("layers"),
    *lists("layers"),
    (
        {"layers": ["conv5_1"], "X": X32[:, :, :15]},
        "an image of 15 x 32 pixels is too small for layer 28: each side needs 16 or more",
    ),
    name="NetworkFeatures.__call__",
)
table(
    lambda net, layers: NetworkFeatures(net).smallest_side(layers),
    lambda t: {"net": t.net, "layers": ["conv1_1"]},
    *taps("layers"),
    *lists("layers"),
    name="NetworkFeatures.smallest_side",
)
table(FeatureExtractor, lambda t: {"net": t.net}, *(*STACKS, *precisions(), *TAPS))
table(
    stylelib.extract_features, lambda t: {"X": X32, "net": t.net}, *(*BATCHES, *STACKS, *TAPS)
)
for function, layers in (
    (stylelib.get_contents, "content_layers"),
    (stylelib.get_styles, "style_layers"),
):
    table(
        function,
        lambda t: {"image": PHOTO, "image_shape": 32, "net": t.net},
        *sources("image"),
        *sizes("image_shape"),
        ({"image_shape": (7, 40)}, "an image of 7 x 40 pixels is too small for layer 2"),
        MODULES[0],
        UNREADY[0],
        *NO_MODULES,
        ({"net": nn.Sequential()}, "there is no layer"),
        *on_devices(),
        *taps(layers),
        *lists(layers),
    )
table(
    ModelFeatures,
    lambda t: {"model": Forked()},
    ({"model": nn.Sequential(nn.Dropout())}, "its Dropout ... call net.eval() first"),
    ({"model": Choosy()}, "the layers of this Choosy cannot be traced"),
    *precisions(),
    *each("model", [None, "a", 3], "an nn.Module, ... not {kind}"),
)
table(
    lambda model, X, layers: ModelFeatures(model)(X, layers),
    lambda t: {"model": Forked(), "X": X32, "layers": ["first"]},
    *BATCHES,
    *lists("layers"),
    *misspelt("layers", "this model has no layer", ("frist", "first"), make=alone),
    *each(
        "layers",
        [0, True, None],
        "this model has no layer {}; its layers are x to mean",
        alone,
    ),
    ({"layers": ["mean"]}, "'mean' gives no features of shape (N, C, H, W)"),
    ({"layers": ["second"], "X": X32[:, :, :2]}, "cannot process an image of 2 x 32: "),
    name="ModelFeatures.__call__",
)
table(
    layer_names,
    lambda t: {"model": Forked()},
    *each(
        "model", [None, "a", 3], "a network must be an nn.Module, such as vgg19(), not {kind}"
    ),
)

# --- losses

OTHER_CONTENTS = each(
    "Y",
    OTHER_FEATURES,
    "Y_hat has the shape (1, 3, 4, 5) and Y has {}; they must be the same",
    torch.zeros,
)
GRAMS = each(
    "gram_Y", OTHER_GRAMS, "gram_Y has the shape {}; these features need (2, 3, 3)", torch.zeros
)
OTHER_STYLES = also({"Y_hat": torch.zeros(2, 3, 4, 5)}, GRAMS)

table(stylelib.gram, {"X": F}, *features("X"), *tensors("X"))
table(
    stylelib.content_loss,
    {"Y_hat": F, "Y": F},
    *features("Y_hat"),
    *OTHER_CONTENTS,
    *tensors("Y_hat"),
    *tensors("Y", "Y"),
)
table(
    stylelib.style_loss,
    {"Y_hat": F, "gram_Y": G},
    *features("Y_hat"),
    *OTHER_STYLES,
    *tensors("Y_hat"),
    *tensors("gram_Y", "gram_Y"),
)
table(
    stylelib.tv_loss,
    {"Y_hat": F},
    *each(
        "Y_hat",
        [(1, 3, 1, 5), (1, 3, 5, 1), (3, 4, 5), (1, 3, 0, 5), (4, 5), (1, 1, 3, 4, 5)],
        "total variation needs images (N, C, H, W) of 2 x 2 pixels or more, not {}",
        torch.zeros,
    ),
    *tensors("Y_hat", "Y_hat"),
)
table(
    stylelib.range_loss,
    {"X": F},
    *features("X"),
    *each(
        "X",
        [(1, 1, 4, 5), (1, 2, 4, 5)],
        "images must have the shape (N, 3, H, W), not {}",
        torch.zeros,
    ),
    *tensors("X"),
)
table(
    stylelib.compute_loss,
    {"X": F, "contents_Y_hat": [F], "styles_Y_hat": [F, F], "contents_Y": [F]}
    | {"styles_Y_gram": [G, G]},
    ({"contents_Y_hat": []}, "0 content and 2 style layers have 1 and 2 targets;"),
    ({"styles_Y_hat": [F]}, "1 content and 1 style layers have 1 and 2 targets;"),
    ({"contents_Y": []}, "1 content and 2 style layers have 0 and 2 targets;"),
    ({"styles_Y_gram": [G]}, "style layers have 1 and 1 targets; the numbers must agree"),
    ({"contents_Y": [F[:, :2]]}, "has the shape (1, 3, 4, 5) and Y has (1, 2, 4, 5)"),
    ({"styles_Y_gram": [G, F]}, "gram_Y has the shape (1, 3, 4, 5)"),
    ({"X": F[:, :, :1]}, "2 x 2 pixels or more, not (1, 3, 1, 5)"),
    *three_weights(),
)

# --- conventions


def by_name(name):
    """What is no convention."""
    meant = [
        ("dl2", "d2l"),
        ("asignment", "assignment"),
        ("nunpy", "numpy"),
        ("module", "modules"),
    ]
    words = f"there is no convention {{1}}; there are {', '.join(CONVENTIONS)}"
    return [
        *misspelt(name, "there is no convention", *meant, ("Paper", "paper")),
        *each(name, ["xyzzy", "", None, 3], words),
    ]


NO_LAYER = "features must have the shape (N, C, H, W), not {}"
NO_SHAPES = [(2, 3, 4), (1, 2, 3, 4, 5), (), (1, 0, 3, 4), (1, 2, 3, 0), (1, -2, 3, 4)]
SHAPES = each("shape", NO_SHAPES, NO_LAYER)

table(conventions.convention, {"name": "d2l"}, *by_name("name"))
table(
    stylelib.convert_weight,
    {"weight": 1.0, "source": "d2l", "target": "assignment", "shape": (1, 2, 3, 4)},
    *by_name("source"),
    *by_name("target"),
    *choices("kind", "'content', 'style' or 'tv'", "styles"),
    *wholes("num_layers", "1 or more", 0, -1),
    *also({"kind": "content"}, SHAPES),
    *also({"kind": "style"}, SHAPES),
    (
        {"kind": "tv", "source": "paper"},
        "of 'paper' and 'assignment' do not differ by a factor",
    ),
    *each("shape", [(1, 2.5, 3, 4), (1, NAN, 3, 4), (1, "2", 3, 4)], NO_LAYER),
    *numbers("weight", ""),
)
table(
    stylelib.convert_weight,
    {"weight": 1.0, "source": "d2l", "target": "d2l", "shape": (1, 2, 3, 4), "kind": "tv"},
    *by_name("target"),
    *numbers("weight", ""),
    name="convert_weight of tv",
)
for name, one in CONVENTIONS.items():
    table(one.gram, {"Y": F}, *features("Y"), name=f"{name}.gram")
    table(
        one.content_loss,
        {"Y_hat": F, "Y": F},
        *features("Y_hat", NO_LAYER),
        *OTHER_CONTENTS,
        name=f"{name}.content_loss",
    )
    table(
        one.style_loss,
        {"Y_hat": F, "gram_Y": G},
        *features("Y_hat", NO_LAYER),
        *OTHER_STYLES,
        name=f"{name}.style_loss",
    )
for name, X in (("d2l", "Y_hat"), ("assignment", "X")):
    table(
        CONVENTIONS[name].tv,
        {X: F},
        *each(X, [(3, 4, 5), (4, 5), (1, 1, 3, 4, 5)], "(N, C, H, W) ... not {}", torch.zeros),
        name=f"{name}.tv",
    )
table(
    CONVENTIONS["d2l"].relative_factor,
    {"kind": "style", "shape": (1, 2, 3, 4)},
    *each(
        "kind", ["styles", "tv", "", None], "only content and style differ by a factor, not {1}"
    ),
    *SHAPES,
)

# --- terms and objectives


def match(layers, **arguments):
    return Match(
        **{"name": "a", "target": F, "compare": stylelib.compare_features} | arguments,
        layers=layers,
    )


def factors(name, key):
    """What is no factor of a layer."""
    words = f"the factor of {key} must be a finite number, not {{1}}"
    return each(name, ["2", NAN, INF, True, None], words, lambda v: {key: v})


table(
    match,
    {"layers": ["conv1_1"]},
    ({"layers": ["3", "3"]}, "layers names a layer twice: ['3', '3']; give it a factor of 2"),
    *lists("layers"),
    *factors("layers", "3"),
    *numbers("weight", ""),
    *tensors("target", "target"),
    *functions("compare"),
    name="Match",
)
table(
    Prior,
    {"name": "tv", "penalty": stylelib.tv_loss},
    *numbers("weight", ""),
    *lists("layers"),
    *functions("penalty"),
)
table(stylelib.compare_features, {"Y": F}, *features("Y"), *tensors("Y"))
table(stylelib.compare_grams, {"Y": F}, *features("Y"))
table(
    stylelib.objective_of,
    lambda t: {"terms": [match(["conv1_1"])], "features": NetworkFeatures(t.net)},
    *each("terms", [[], ()], "there is nothing to compare: name at least one term"),
    ({"terms": [match(["conf1_1"])]}, "there is no layer 'conf1_1'; did you mean 'conv1_1'?"),
    *lists("terms", match(["conv1_1"])),
)

# --- the loop


def leaf():
    return torch.ones(1, 3, 4, 5, requires_grad=True)


def square(X):
    return {"square": X.square().sum()}


def optimize(X, moved=None, **arguments):
    sgd = torch.optim.SGD([X if moved is None else moved], lr=0.1)
    right = {"objective": square, "optimizer": sgd, "steps": 1}
    return stylelib.optimize(X, **right | arguments)


NO_LEAF = (
    "X must be a leaf tensor that requires a gradient: X.detach().clone().requires_grad_()"
)

BOUNDS = [
    *each(
        "clamp", [3, (torch.ones(()),), (0, 1)], "clamp must be a pair of tensors, ... not {}"
    ),
    ({"clamp": (torch.ones(()), torch.zeros(()))}, "a lowest is above its highest"),
]

table(
    optimize,
    lambda t: {"X": leaf()},
    ({"X": leaf() * 1, "moved": leaf()}, NO_LEAF),
    ({"X": F, "moved": leaf()}, NO_LEAF),
    ({"moved": leaf()}, "the optimizer does not hold X: build it with, for example"),
    ({"objective": lambda X: {}}, "the objective has no losses that depend on the image"),
    (
        {"objective": lambda X: {"constant": torch.tensor(1.0)}},
        "the objective has no losses that depend on the image",
    ),
    *wholes("steps", "0 or more", -1),
    *watchers(),
    *also({"moved": leaf()}, each("X", [ARRAY, None], NO_LEAF)),
    *each("optimizer", [3, torch.optim.Adam], "the optimizer does not hold X"),
    *functions("objective"),
    *BOUNDS,
)
for measure in (stylelib.gradient_shares, stylelib.gradient_residual):
    table(
        measure,
        {"X": F, "objective": square},
        *tensors("X", "X"),
        *functions("objective"),
    )
table(
    AdamDescent,
    {},
    *numbers("lr", "above 0 and below 1e+38", 0, -1, 1e38),
    *wholes("lr_decay_epoch", "1 or more", 0, -1, optional=True),
    *numbers("gamma", "above 0", 0, -1),
)
table(
    assignment.DroppingAdamDescent,
    {},
    *numbers("lr", "above 0 and below 1e+38", 0, -1),
    *numbers("decayed_lr", "above 0 and below 1e+38", 0, -0.1),
    *wholes("decay_lr_at", "1 or more", 0, -1, optional=True),
)
table(LBFGSDescent, {}, *wholes("history_size", "1 or more", 0, -3))
table(
    stylelib.LBFGS,
    lambda t: {"X": leaf()},
    *wholes("history_size", "1 or more", 0, -3),
    *wholes("max_evaluations", "0 or more", -1, optional=True),
    *each("X", [leaf() * 1, F, None], NO_LEAF),
    *BOUNDS,
)

# --- style transfer


def wanted(name):
    """What is no list of layers, nor factors of them."""
    return [
        *lists(name, {0}, optional=True),
        ({name: ["a", "a"]}, f"{name} names a layer twice: ['a', 'a']; give it a factor of 2"),
        *factors(name, 25),
    ]


def missing(name):
    return [
        ({name: ["conv4_9"]}, "there is no layer 'conv4_9'; did you mean 'conv4_"),
        ({name: ["conv9"], "net": None}, "there is no layer 'conv9'; did you mean 'conv"),
        *each(name, [99, True], "there is no layer {}; the layers are 0 to 28", alone),
    ]


def clamps(*more):
    words = "clamp must be a finite number above 0 and below 1e+38, not {1}"
    return each("clamp", ["1", NAN, INF, 0, -1, *more], words)


def state(height=24, width=36, size=0, steps=1, descent="AdamDescent"):
    X, records, chance = torch.zeros(1, 3, height, width), [None] * steps, torch.get_rng_state()
    return RunState(X, X, descent, size, steps, {}, None, records, chance)


def painting(t):
    right = {"content": PHOTO, "style": PHOTO, "recipe": "d2l", "image_shape": (24, 36)}
    return right | {"steps": 3, "net": t.net}


GATYS = {"recipe": "gatys", "content_layers": ["relu1_1"], "style_layers": ["relu1_1"]}

table(
    stylelib.transfer,
    painting,
    *sources("content"),
    *styles(),
    *sources("init", optional=True),
    *each(
        "init", ["nose", ""], "init is 'content', 'style', 'noise' or an image; ... file '{}'"
    ),
    *misspelt("recipe", "there is no recipe", ("gaty", "gatys"), ("dl2", "d2l")),
    *each(
        "recipe",
        ["something else", None, 3],
        f"there is no recipe {{1}}; there are {', '.join(RECIPES)}",
    ),
    *sizes("image_shape", (24, 36, 3)),
    *sizes("style_shape", (24, -1), optional=True),
    ({"image_shape": 10**6}, "image_shape 1000000 asks for ... over 89,478,485 pixels"),
    ({"image_shape": (8, 8)}, "an image of 8 x 8 pixels is too small for layer 2"),
    ({"style_shape": (8, 8)}, "an image of 8 x 8 pixels is too small for layer 28"),
    ({"image_shape": (24, 24), "scales": 2}, "an image of 12 x 12 pixels is too small"),
    *wholes("steps", "1 or more", 0, -1, 2.5, optional=True),
    *numbers("lr", "above 0 and below 1e+38", 0, -0.3, optional=True),
    *wholes("lr_decay_epoch", "1 or more", 0, -1, 2.5, optional=True),
    *three_weights(optional=True),
    *wanted("content_layers"),
    *wanted("style_layers"),
    *missing("content_layers"),
    *missing("style_layers"),
    *seeds(),
    *wholes("scales", "from 1 to 3", 0, -1, 4, optional=True),
    *choices("effort", "'draft', 'normal' or 'best'", "fast"),
    *clamps(),
    *precisions(optional=True),
    *on_devices(),
    *each("net", [3, "vgg19"], "a network must be an nn.Module, such as vgg19(), not {kind}"),
    (
        lambda t: {"net": nn.Sequential(nn.Conv2d(3, 4, 3))},
        "content_layers is by default [25], ",
    ),
    (
        lambda t: {"net": nn.Sequential(nn.Conv2d(3, 4, 3)), "content_layers": [0]},
        "style_layers is by default [0, 5, 10, 19, 28], layers of VGG-19",
    ),
    (
        lambda t: {"net": t.net[:20]},
        "ends with 'conv4_1', number 19: name content_layers of its own",
    ),
    *watchers(),
    (
        {"state": state(24, 24)},
        "the state is of another run: size 1 with 24 x 24 pixels, ... [(24, 36)]",
    ),
    ({"state": state(size=1)}, "the state is of another run: size 2 with 24 x 36 pixels"),
    ({"state": state(steps=4)}, "the state has 4 steps, more than the 3 asked for"),
    (
        {"state": state(descent="LBFGSDescent")},
        "it moves by LBFGSDescent, this one by AdamDescent",
    ),
    ({"init": ARRAY}, "not ndarray"),
    ({"style_shape": 10**6}, "style_shape 1000000 asks for ... over 89,478,485 pixels"),
    ({"state": 3}, "state is what Step.state() gives, not 3"),
    ({"content_layers": [], "style_layers": []}, "there is nothing to compare"),
    ({"style": []}, "style is empty: give at least one"),
    (
        {"style": [Style(PHOTO, weight=0)]},
        "all styles have the weight 0: give one of them more",
    ),
    (
        {"style": [Style(PHOTO, layers=["conv9_1"])]},
        "there is no layer 'conv9_1'; did you mean",
    ),
    (
        {"style": Style(PHOTO, here=np.ones((8, 20)))},
        "here is 8 x 20, of other proportions than its image, 32 x 40; cut or resize it first",
    ),
    (
        {"style": Style(PHOTO, there=np.ones((8, 20)))},
        "there is 8 x 20, of other proportions than its image, 32 x 40; cut or resize it first",
    ),
    ({"style": Style(PHOTO, here=np.zeros((32, 40)))}, "here is empty: it is 0 (black)"),
    *choices("colors", "'style', 'keep', 'match' or 'only'", "Keep", "none"),
    *numbers("strength", "of at least 0 and at most 1", -0.1, 1.1),
    *numbers("strokes", "above 0 and below 1000", 0, -1),
    *each(
        "shares",
        [{}, {"content": 1.0}, 0.5, "content=0.5", ["content", "style"]],
        "shares are for two losses or more ... not {1}",
    ),
    *each(
        "shares",
        [0, -0.1, 1.1, NAN, "0.5", None],
        "the share of content must be a finite number above 0 and at most 1, not {1}",
        lambda v: {"content": v, "style": 0.5},
    ),
    ({"shares": {"content": 0.4, "style": 0.4}}, "shares add up to 1, not to 0.8"),
    ({"shares": {"content": 0.3, "style": 0.7}}, "the share of style is at most 0.5, not 0.7"),
    (
        {"shares": {"content": 0.5, "stile": 0.5}},
        "shares name the loss 'stile', which there is not; did you mean 'style'?",
    ),
    ({"shares": {"content": 0.5, "style": 0.5}}, "shares name each loss; there is none for tv"),
)
table(
    stylelib.transfer,
    lambda t: painting(t) | GATYS,
    ({"lr": 0.3}, "this recipe has no lr: it moves by LBFGSDescent"),
    ({"lr_decay_epoch": 5}, "this recipe has no lr_decay_epoch: it moves by LBFGSDescent"),
    (
        {"precision": "bfloat16"},
        "L-BFGS needs precision 'float32' or 'winograd', not 'bfloat16'",
    ),
    (
        {"precision": "half"},
        "precision must be 'auto', 'float32', 'winograd' or 'bfloat16', not 'half'",
    ),
    name="transfer by gatys",
)
table(
    Recipe,
    {},
    *three_weights(optional=True),
    *wanted("content_layers"),
    *wanted("style_layers"),
    *clamps(None),
    *precisions(),
    *wholes("smallest", "1 or more", 0, -1, optional=True),
    *each(
        "efforts",
        ["3", NAN, True, 2.0, None, 0],
        "efforts must be a whole number, 1 or more, not {1}",
        lambda v: (1, v, 3),
    ),
    ({"efforts": (1, 2)}, "efforts are three numbers of steps, not (1, 2)"),
    ({"efforts": 3}, "efforts must be a list, for example [3], not 3"),
    (
        {"descent": LBFGSDescent(), "precision": "bfloat16"},
        "L-BFGS needs precision 'float32' or 'winograd', not 'bfloat16'",
    ),
    *functions("content_loss"),
    *functions("style_loss"),
    *functions("smoothness"),
    *choices("init", "'content', 'style' or 'noise'", "nose"),
    ({"content_layers": [], "style_layers": []}, "there is nothing to compare"),
)
table(
    lambda **changes: Recipe(descent=LBFGSDescent()).changed(**changes),
    {},
    ({"lr": 0.3}, "this recipe has no lr: it moves by LBFGSDescent"),
    *three_weights(optional=True),
    name="Recipe.changed",
)
table(
    lambda t, weights: Recipe(weights).terms(
        Wanted(X32, [Painting(X32)]), NetworkFeatures(t.net)
    ),
    lambda t: {"t": t, "weights": LossWeights()},
    ({"weights": None}, "give the recipe the weights that suit the network: weights_for(net)"),
    name="Recipe.terms",
)


def by_environment(function, variable, *rows, right):
    def asked(word):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(variable, word)
            return function()

    table(asked, {"word": right}, *rows, name=variable)


by_environment(
    stylelib.profile,
    "STYLELIB_PROFILE",
    *each(
        "word",
        ["", "Quick", "huge", " full"],
        "STYLELIB_PROFILE is auto, quick, light, full or tiny, not {1}",
    ),
    right="tiny",
)
by_environment(
    lambda: devices.find_device(None),
    "STYLELIB_DEVICE",
    ({"word": "nonsense"}, "device 'nonsense' cannot be used here; try 'cpu', 'cuda' or 'mps'"),
    right="cpu",
)
table(
    devices.find_device,
    {"device": None},
    *on_devices(),
    *each("device", [True, [1]], "device '{}' cannot be used here"),
)

# --- the recipe by hand


def training(t):
    contents, styles = stylelib.extract_features(F, t.net, ["relu1_1"], ["conv1_1"])
    right = {"X": F, "contents_Y": contents, "styles_Y": styles, "num_epochs": 1, "net": t.net}
    return right | {"content_layers": ["relu1_1"], "style_layers": ["conv1_1"]}


NOT_ALIKE = [
    ({"contents_Y": []}, "1 content and 1 style layers have 0 and 1 targets;"),
    ({"styles_Y": []}, "style layers have 1 and 0 targets; the numbers must agree"),
]
table(
    stylelib.train,
    training,
    *NOT_ALIKE,
    *each(
        "X", [ARRAY, None], "X must have the shape (N, 3, H, W) in floating point, not {kind}"
    ),
    ({"X": F.long()}, "in floating point, not (1, 3, 4, 5) torch.int64"),
    ({"X": F[0]}, "X must have the shape (N, 3, H, W) in floating point, not (3, 4, 5)"),
    ({"X": F[:, :, :, :4]}, "(1, 64, 4, 4) and Y has (1, 64, 4, 5); they must be the same"),
    *numbers("lr", "above 0 and below 1e+38", 0, 0.0, -0.3),
    *wholes("num_epochs", "0 or more", -1),
    *wholes("lr_decay_epoch", "1 or more", 0, -5, 2.5),
    *MODULES,
    *UNREADY,
    *three_weights(),
    *taps("content_layers"),
    *taps("style_layers"),
    *precisions(),
    *watchers(),
    *NO_MODULES,
    *lists("contents_Y"),
    *lists("styles_Y"),
    *on_devices(),
    *lists("content_layers"),
    *lists("style_layers"),
)
table(
    stylelib.get_inits,
    {"X": F, "device": None, "lr": 0.3, "styles_Y": [F]},
    *each("styles_Y", NO_FEATURES, "none of them 0, not {}", lambda s: [torch.zeros(s)]),
    *numbers("lr", "above 0 and below 1e+38", 0, -0.3),
    *on_devices(),
    *each(
        "X",
        [ARRAY, F.long(), F[0]],
        "X must have the shape (N, 3, H, W) in floating point, not",
    ),
)


def style_objective(t, X=F, weights=LossWeights(), **arguments):
    given = {name: training(t)[name] for name in ("contents_Y", "styles_Y")} | arguments
    extractor = FeatureExtractor(t.net, ["relu1_1"], ["conv1_1"])
    grams = [stylelib.gram(Y) for Y in given["styles_Y"]]
    return stylelib.style_objective(extractor, given["contents_Y"], grams, weights)(X)


table(
    style_objective,
    lambda t: {"t": t},
    *NOT_ALIKE,
    ({"X": F[0]}, "X must have the shape (N, 3, H, W) in floating point, not (3, 4, 5)"),
    *three_weights(),
)

# --- the paper and its relatives


def reconstruction(t):
    return {"image": PHOTO, "image_shape": 24, "steps": 2, "net": t.net}


WEIGHT = "of at least 0 and below 1e+38"
RECONSTRUCTION = [
    *sources("image"),
    *sources("init"),
    ({"init": "nose"}, "init is ... an image; there is no file 'nose'"),
    *each("init", ["content", "style"], "init must be 'noise' or an image, not '{}'"),
    *sizes("image_shape"),
    *wholes("steps", "1 or more", 0, -1, 1.5),
    *numbers("tv_weight", WEIGHT, -1, -1e-9, [1], said="the tv weight"),
    *numbers("range_weight", WEIGHT, -1, -1e-9, [1], said="the range weight"),
    *seeds(),
    *on_devices(),
    *watchers(),
    *each("net", [3, "vgg19"], "a network must be ... not {kind}"),
    ({"init": ARRAY}, "not ndarray"),
]


def unknown_layers(name, make=as_it_is):
    meant = ("relu21", "relu2_1"), ("Pool1", "pool1")
    words = "there is no layer {}; the layers are 0 to 36"
    rows = [
        *misspelt(name, "there is no layer", *meant, make=make),
        ({name: make("xyz")}, "there is no layer 'xyz'; the layers are conv1_1 to pool5"),
        *each(name, [37, *NO_LAYER_NUMBERS], words, make),
    ]
    return [
        *also({"net": None}, rows),
        ({name: make("pool5")}, "there is no layer 'pool5'; did you mean 'pool"),
        ({name: make(29)}, "there is no layer 29; the layers are 0 to 28"),
    ]


table(
    stylelib.invert_features,
    lambda t: reconstruction(t) | {"layer": "relu1_1"},
    *RECONSTRUCTION,
    *unknown_layers("layer"),
    ({"layer": "pool4", "image_shape": (15, 40)}, "an image of 15 x 40 pixels is too small"),
)
table(
    stylelib.synthesize_texture,
    lambda t: reconstruction(t) | {"layers": ["relu1_1"]},
    *RECONSTRUCTION,
    *unknown_layers("layers", lambda layer: ["relu1_1", layer]),
    *lists("layers"),
    *empty("layers"),
    *also({"net": None}, lists("layers") + empty("layers")),
    *sizes("texture_shape", -3, (24, 0), "24", optional=True),
    *(
        ({"layers": ["relu1_1", "pool3"], "image_shape": size, "texture_shape": given}, words)
        for size, given in (((16, 7), 16), (16, (16, 7)))
        for words in ("an image of 16 x 7 pixels is too small",)
    ),
    *functions("loss"),
    ({"layers": ["relu1_1", "relu1_1"]}, "layers names a layer twice: ['relu1_1', 'relu1_1']"),
)


def insertion(t):
    right = {"net": t.small, "content_X": F, "style_X": F}
    return right | {"content_layers": ["conv1_1"], "style_layers": ["relu1_1"]}


def inserted(name):
    return [
        ({name: ["relu1_1", "relu1_9"]}, "there is no layer 'relu1_9'; did you mean 'relu1_"),
        *each(name, [8, -1, True], "there is no layer {}; the layers are 0 to 4", alone),
        ({name: ["relu1_1", 1]}, "a layer is named twice"),
        *lists(name),
    ]


table(
    stylelib.insert_losses,
    insertion,
    *inserted("content_layers"),
    *inserted("style_layers"),
    ({"content_layers": [], "style_layers": ()}, "there is nothing to compare"),
    *(
        row
        for X, layers in (("content_X", "content_layers"), ("style_X", "style_layers"))
        for row in (
            ({X: F[:, :, :1], layers: ["pool1"]}, "an image of 1 x 5 pixels is too small"),
            *each(X, [F[0], F[:, :2], F.long()], "X must have the shape (N, 3, H, W)"),
            ({X: ARRAY}, "X must have the shape (N, 3, H, W) in floating point, not ndarray"),
        )
    ),
    *by_name("by"),
    *MODULES,
    *NO_MODULES,
)
for function in (modules.ContentLoss, modules.StyleLoss):
    table(
        function,
        {"Y": F},
        *by_name("by"),
        *features("Y"),
        *tensors("Y"),
    )
table(
    Normalization,
    {},
    *tensors("mean", "mean"),
    *tensors("std", "std"),
)
table(
    lambda t, weights: stylelib.modules_objective(
        stylelib.insert_losses(**insertion(t)), weights
    )(F),
    lambda t: {"t": t, "weights": LossWeights(1, 1, 1)},
    *three_weights(),
    name="modules_objective",
)

# --- the assignment

table(
    assignment.content_loss,
    {"content_weight": 1.0, "content_current": F, "content_original": F},
    *features("content_current"),
    *each(
        "content_original",
        OTHER_FEATURES,
        "content_current has the shape (1, 3, 4, 5) and content_original {}; they must be the same",
        torch.zeros,
    ),
    *numbers("content_weight", ""),
)
table(
    assignment.gram_matrix,
    {"features": F},
    *features("features"),
    *also({"normalize": False}, features("features")),
)
table(
    assignment.style_loss,
    {"feats": [F] * 3, "style_layers": [0], "style_targets": [G], "style_weights": [1.0]},
    *(
        (
            {"style_layers": [0] * n, "style_targets": [G] * m, "style_weights": [1.0] * k},
            f"{n} style layers have {m} targets and {k} weights; every layer needs one of each",
        )
        for n, m, k in ((2, 1, 2), (2, 2, 1), (1, 2, 2), (2, 3, 2), (0, 0, 0))
    ),
    *also(
        {"feats": [torch.zeros(2, 3, 4, 5)]},
        each(
            "style_targets",
            OTHER_GRAMS,
            "the target of layer 0 has the shape {}; its features need (2, 3, 3)",
            lambda shape: [torch.zeros(shape)],
        ),
    ),
    *each("feats", NO_FEATURES, "none of them 0, not {}", lambda s: [torch.zeros(s)]),
    *each("style_layers", [3, 7, -2, NAN], "there is no layer {}; feats has 3, from 0", alone),
    *each(
        "style_weights",
        ["3", NAN, True, None],
        "the weight of layer 0 must be a finite number, not {1}",
        alone,
    ),
)
table(
    assignment.tv_loss,
    {"img": F, "tv_weight": 1.0},
    *features("img"),
    *numbers("tv_weight", ""),
)
SMALL = assignment.Settings(32, 40, "conv2_1", 6e-2, ("conv1_1", "relu1_1"), (3e5, 10), 5e-2)


def changed(**changes):
    return {"settings": replace(SMALL, **changes)}


def settings(name, values, words, make=as_it_is):
    return [(changed(**wrong), told) for wrong, told in each(name, values, words, make)]


NO_SIDES = ["3", NAN, True, 2.5, None, 0, -1, (32, 40)]
NO_WEIGHTS = ["much", NAN, INF, True, None, -1.0]
SETTINGS = [
    *settings(
        "content_weight",
        NO_WEIGHTS,
        f"the content weight must be a finite number {WEIGHT}, not {{1}}",
    ),
    *settings(
        "tv_weight", NO_WEIGHTS, f"the tv weight must be a finite number {WEIGHT}, not {{1}}"
    ),
    *settings(
        "style_weights",
        NO_WEIGHTS,
        f"the style weight must be a finite number {WEIGHT}, not {{1}}",
        lambda v: (300000, v),
    ),
    (changed(style_layers=(1, 4, 6)), "3 style layers have 2 weights; every layer needs one"),
    (changed(style_weights=(1,)), "2 style layers have 1 weights; every layer needs one"),
    (
        changed(style_layers=(), style_weights=()),
        "0 style layers have 0 weights; every layer needs one",
    ),
    (changed(style_layers=(1, 1)), "style_layers names a layer twice: (1, 1)"),
]
table(
    lambda settings: settings.recipe(assignment.DroppingAdamDescent()),
    changed(),
    *SETTINGS,
    name="Settings.recipe",
)
table(
    assignment.style_transfer,
    lambda t: {"content": PHOTO, "style": PHOTO, "steps": 1, "net": t.net} | changed(),
    *sources("content"),
    *styles(),
    *SETTINGS,
    *settings("image_size", NO_SIDES, "image_size must be a whole number, 1 or more, not {1}"),
    *settings("style_size", NO_SIDES, "style_size must be a whole number, 1 or more, not {1}"),
    (changed(image_size=1), "is too small for layer"),
    *settings("content_layer", [29, "fire1", True, None], "there is no layer {1}; "),
    (changed(style_layers=(1, 99)), "there is no layer 99; the layers are 0 to 28"),
    *wholes("steps", "1 or more", 0, -1),
    *numbers("lr", "above 0 and below 1e+38", 0.0, -1),
    *numbers("decayed_lr", "above 0 and below 1e+38", 0, -0.1),
    *wholes("decay_lr_at", "1 or more", 0, optional=True),
    *numbers("largest", "above 0 and below 1e+38", 0, -1.5),
    *seeds(),
    *on_devices(),
    *watchers(),
    *each("net", [3, "vgg19"], "a network must be ... not {kind}"),
    name="assignment.style_transfer",
)

# --- control

table(
    Style,
    {"image": PHOTO},
    *numbers(
        "weight", "of at least 0 and below 1e+38", -1.0, 1e39, said="the weight of a style"
    ),
    *numbers("strokes", "above 0 and below 1000", 0, -1, 1000),
    *each(
        "layers",
        ["relu1_1", 3],
        "the layers of a style must be a list, for example [{1}], not {1}",
    ),
    *each("layers", [[], {}], "the layers of a style are at least one, or None for"),
    ({"layers": {"relu1_1": "2"}}, "the factor of relu1_1 must be a finite number, not '2'"),
    ({"layers": [0, 0]}, "the layers of a style names a layer twice"),
)
table(
    stylelib.style_path,
    lambda t: (
        {"content": PHOTO, "first": PHOTO, "last": PHOTO, "recipe": "d2l", "count": 2}
        | {"image_shape": (24, 36), "steps": 1, "net": t.net}
    ),
    *sources("content"),
    *sources("first"),
    *sources("last"),
    *wholes("count", "2 or more", 0, 1, -1),
    ({"style": PHOTO}, "a path has two styles, `first` and `last`: leave out `style`"),
)
MASK = np.array([[0.0, 1.0]])
table(
    stylelib.load_mask,
    {"source": MASK},
    *each("source", [3, [1, 2], None], "a PIL image, not {kind}"),
    (lambda t: {"source": t.folder / "gone.png"}, "there is no file ... gone.png'", FileError),
    (lambda t: {"source": t.written(b"none")}, "thing.png' is not an image", FileError),
    *each(
        "source", [0 * MASK, 0 * torch.ones(2, 2)], "mask is empty: it is 0 (black) everywhere"
    ),
    ({"source": Image.new("L", (3, 2))}, "mask is empty: it is 0 (black) everywhere"),
    ({"source": 0.5 * MASK}, "mask is at most 0.5; inside it must be 1 (white)"),
    *each(
        "source",
        [255, -1, NAN, INF],
        "mask must have values from 0 (outside) to 1 (inside), not",
        lambda v: np.array([[0.0, v]]),
    ),
    *each(
        "source",
        [(3,), (3, 4, 5), (2, 1, 4, 5), (1, 1, 1, 4, 5)],
        "mask must have the shape (H, W), not {}",
        np.ones,
    ),
    (
        {"source": MASK.astype(complex)},
        "mask must have numbers or truth values, not complex128",
    ),
    ({"source": torch.ones(2, 2, dtype=torch.complex64)}, "real values, not torch.complex64"),
)
table(
    stylelib.region_of_color,
    {"labels": Image.new("RGB", (3, 2), "red"), "color": "red"},
    *sources("labels"),
    *each(
        "color",
        ["rot", 3, None, (1, 2), "", (1, 2, 3, 4)],
        'color must be (R, G, B), or a name or a code such as "#ff0000", not {1}',
    ),
    ({"color": (0, 0, 256)}, "a channel of a color must be a whole number, from 0 to 255"),
    *wholes("tolerance", "from 0 to 255", -1, 256),
    ({"color": "blue"}, "no pixel has the color blue; the most frequent: (255, 0, 0)"),
)
table(
    stylelib.with_luminance,
    {"X": F, "like": F},
    *each(
        "X", [(3, 4, 5), (2, 3, 4, 5), (1, 1, 4, 5)], "X ... (1, 3, H, W), not {}", torch.ones
    ),
    *each("like", [(3, 4, 5), (1, 4, 4, 5)], "like ... (1, 3, H, W), not {}", torch.ones),
    (
        {"like": torch.ones(1, 3, 5, 4)},
        "like must be as large as X, [1, 3, 4, 5], not [1, 3, 5, 4]",
    ),
    *tensors("X", "X"),
    *tensors("like", "like"),
)

# --- beyond the Gram matrix

BACKTRACKING = wholes("memory", "1 or more", 0, -1)

table(
    stylelib.BacktrackingLBFGS,
    lambda t: {"X": leaf()},
    *BACKTRACKING,
    *wholes("max_evaluations", "0 or more", -1, optional=True),
    *each("X", [leaf() * 1, F, None], NO_LEAF),
    *BOUNDS,
)
table(stylelib.BacktrackingLBFGSDescent, {}, *BACKTRACKING)
table(
    stylelib.NeighborsRecipe,
    {},
    *numbers("strength", "of at least 0 and at most 1", -0.1, 1.1),
    *each("turns", [0, 2, "4", None, NAN, True, 4.0], "turns must be 1 or 4, not {1}"),
)
for function, rows in {
    stylelib.compare_gaussians: numbers("eps", "of at least 0", -1),
    stylelib.compare_histograms: [],
    stylelib.compare_moments: [],
    stylelib.compare_patches: [
        *wholes("size", "1 or more", 0, -1),
        *wholes("stride", "from 1 to 3", 0, 4),
        ({"size": 6}, "patches of 6 x 6 need features of 6 x 6 or more, not 4 x 5; use a"),
    ],
    stylelib.compare_places: [*wholes("places", "1 or more", 0, 2.5), *seeds()],
    stylelib.compare_sliced: [*wholes("directions", "1 or more", 0, -1), *seeds()],
}.items():
    table(
        lambda function, Y, Y_hat, **more: function(Y, **more)(Y_hat),
        {"function": function, "Y": F, "Y_hat": F},
        *(*features("Y"), *features("Y_hat"), *rows),
        (
            {"Y": torch.ones(2, 3, 4, 5)},
            "a target's features must have the shape (1, C, H, W), not (2, 3, 4, 5)",
        ),
        ({"Y_hat": F[:, :2]}, "Y_hat has 2 channels and the target 3; both must come from"),
        *(*tensors("Y"), *tensors("Y_hat")),
        name=function.__name__,
    )
table(
    lambda Y: stylelib.relative(stylelib.compare_grams)(Y),
    {"Y": F},
    ({"Y": 0 * F}, "the features of the target are all 0 at this layer"),
    name="relative",
)
table(
    stylelib.match_colors,
    {"X": F, "like": F},
    *each(
        "X", [(3, 4, 5), (2, 3, 4, 5), (1, 1, 4, 5)], "X ... (1, 3, H, W), not {}", torch.ones
    ),
    *each("like", [(3, 4, 5), (1, 4, 4, 5)], "like ... (1, 3, H, W), not {}", torch.ones),
    *tensors("X", "X"),
    *tensors("like", "like"),
)
table(stylelib.color_distance, {"a": PHOTO, "b": PHOTO}, *sources("a"), *sources("b"))
MEASURED = [*sources("picture"), *sizes("image_shape"), *on_devices()]
table(
    stylelib.content_error,
    lambda t: {"picture": PHOTO, "photograph": PHOTO, "image_shape": 8, "net": t.net},
    *(*MEASURED, *sources("photograph")),
    *choices("similarity", "'cosine' or 'product'", "cosines"),
    *wholes("block", "1 or more", 0, -1),
    ({"layer": "relu3_9"}, "there is no layer 'relu3_9'; did you mean 'relu3_"),
    ({"image_shape": (3, 8)}, "an image of 3 x 8 pixels is too small"),
    *each("net", [3, "vgg19"], "a network must be an nn.Module, such as vgg19(), not {kind}"),
)
table(
    stylelib.frechet_distance,
    lambda t: {"picture": PHOTO, "style": PHOTO, "image_shape": 8, "layer": 2, "net": t.net},
    *(*MEASURED, *sources("style")),
    ({"layer": 29}, "there is no layer 29; the layers are 0 to 28"),
    *each("net", [3, "vgg19"], "a network must be an nn.Module, such as vgg19(), not {kind}"),
)
table(
    stylelib.style_errors,
    lambda t: (
        {"picture": PHOTO, "style": PHOTO, "image_shape": 8, "net": t.net}
        | {"layers": [0], "losses": {"gram": stylelib.compare_grams}}
    ),
    *(*MEASURED, *sources("style"), *lists("layers"), *empty("layers")),
    *each(
        "losses",
        [{}, [stylelib.compare_grams], "gram", None],
        "losses must map names to losses, for example",
    ),
    ({"layers": ["conv4_9"]}, "there is no layer 'conv4_9'; did you mean 'conv4_"),
    *each("net", [3, "vgg19"], "a network must be an nn.Module, such as vgg19(), not {kind}"),
    ({"losses": {"gram": 3}}, "losses['gram'] must be a function, not 3"),
)

# --- callbacks

table(
    callbacks.IntermediateSaver,
    lambda t: {"folder": t.folder / "steps"},
    *wholes("every", "1 or more", 0, -1),
    *paths("folder"),
)
table(
    callbacks.ProgressBar,
    {"steps": 1},
    *wholes("steps", "1 or more", 0, -1, optional=True),
)

# --- what a network sees

NO_CLASSES = [1000, -1, True, False, 1.0, 1.5, NAN]
TOO_FAR = [(0, 2.26), (1, 2.44), (2, 2.65), (0, -2.13), (1, -2.05), (2, -1.82), (2, NAN)]


def classes(name, make=as_it_is, optional=False):
    """What is no class."""
    meant = ("expresso", "espresso"), ("HUMMINBIRD", "hummingbird")
    values = NO_CLASSES + ([] if optional else [None])
    return [
        *misspelt(name, "there is no class", *meant, make=make),
        ({name: make("qqqq")}, "there is no class 'qqqq'; class_names() lists them all"),
        *each(name, ["", "no such thing at all"], "there is no class '{}'; ", make),
        *each(name, values, "there is no class {}; the classes are 0 to 999", make),
    ]


def targets(name):
    """What are no classes of two pictures."""
    kinds = "classes must be integers (N,), not"
    return [
        *each(name, [0, 3], "there are 2 images and {} classes", lambda n: [1] * n),
        *each(name, [0, 3], "there are 2 images and {} classes", torch.arange),
        *each(name, [1000, -1], "there is no class {}", lambda v: torch.tensor([1, v])),
        *each(name, ["no such thing at all", True], "there is no class {1}", lambda v: [1, v]),
        ({name: torch.ones(2)}, f"{kinds} (2,) torch.float32"),
        ({name: torch.ones(2).bool()}, f"{kinds} (2,) torch.bool"),
        ({name: torch.ones(1, 2).long()}, f"{kinds} (1, 2) torch.int64"),
        ({name: np.array([0.5])}, f"{kinds} (1,) torch.float64"),
    ]


def one_number(channel_and_value):
    """Two pictures, of which one number is out of range."""
    channel, value = channel_and_value
    X = torch.zeros(2, 3, 32, 32)
    X[1, channel, 3, 4] = value
    return X


WRONG_SHAPES = [(3, 32, 32), (1, 1, 3, 32, 32), (1, 1, 32, 32), (1, 32, 32, 3)]
PICTURES = [
    *each("X", WRONG_SHAPES, "images must be a tensor (N, 3, H, W), not {}", torch.zeros),
    *each("X", [ARRAY, None, "a.jpg"], "images must be a tensor (N, 3, H, W), not {kind}"),
    ({"X": X32.long()}, "images must be in floating point, not torch.int64"),
    ({"X": X32[:, :, 1:]}, "images of 31 x 32 are too small: a classifier needs 32 x 32"),
    ({"X": X32[:, :, :, 1:]}, "images of 32 x 31 are too small"),
    *each("X", [2.7, -2.2, NAN, INF], "pixels from {0} to {0} are outside", X32.add),
    ({"X": X32 + 255}, "make X with preprocess"),
]
EMPTY = ({"X": X32[:0]}, "images must be a tensor (N, 3, H, W), not (0, 3, 32, 32)")
TOO_FAR_ROWS = each("X", TOO_FAR, "pixels from ... outside the normalized range", one_number)


class Scores(nn.Module):
    """Zeros of a shape, whatever the picture."""

    def __init__(self, *shape):
        super().__init__()
        self.shape = shape

    def forward(self, X):
        return X.new_zeros(len(X), *self.shape)


TRAINING = [
    ({"model": Colors()}, "the model, or a part of it, is in training mode: call model.eval()"),
    (
        {"model": nn.Sequential(Colors().eval()).train(False).append(nn.Dropout())},
        "call model.eval() first",
    ),
    *each("model", ["efficientnet_lite0", 3], "a network must be an nn.Module, ... not {kind}"),
]
SCORES = [
    *each(
        "model",
        [(1, 10), (1, 1001), (1, 3, 32, 32)],
        "the model returns {}; an ImageNet classifier returns (1, 1000)",
        lambda shape: Scores(*shape[1:]).eval(),
    ),
    *each(
        "model",
        [nn.Conv2d(3, 4, 50), Colors().double()],
        "the model does not take images (1, 3, 32, 32) of torch.float32 on cpu: ",
        lambda model: model.eval(),
    ),
]

table(
    stylelib.classifier,
    {"name": "squeezenet1_1", "weights": "random"},
    *misspelt("name", "there is no classifier", ("squeezenet11", "squeezenet1_1")),
    *misspelt("name", "there is no classifier", ("efficientnet-lite0", "efficientnet_lite0")),
    *each("name", ["xyz", "fcn_resnet50", None, 3], "there is no classifier {1}; "),
    *seeds(),
    ({"weights": 3}, "weights must be None, 'random' or a path, not 3"),
)


def squeezenet_state(value):
    return dict.fromkeys(torchvision.models.squeezenet1_1().state_dict(), value)


for name in ("squeezenet1_1", "efficientnet_lite0"):
    table(
        stylelib.classifier,
        {"name": name, "weights": "random"},
        no_weights("randon", "random"),
        (lambda t: {"weights": t.folder / "gone.pth"}, "no file ... gone.pth'", FileError),
        *saved("weights", [{"a": F}, {"a": 1.0}], f"the state dict does not fit {name}: "),
        *(
            (
                lambda t, value=value: {"weights": t.saved(squeezenet_state(value))},
                f"the state dict does not fit {name}: ",
                FileError,
            )
            for value in (torch.zeros(2), 1.0)
        ),
        *saved("weights", [[F]], "w.pth' holds a list, not a state dict"),
        *written("weights", [b"", b"no weights"], "thing.png' is not a state dict"),
        name=f"{name} of other weights",
    )
table(classifiers.class_index, {"target": 3}, *classes("target"))
table(
    classifiers.target_indices,
    {"targets": [1, 2], "count": 2},
    *targets("targets"),
    *classes("targets"),
    ({"count": 1}, "there are 1 images and 2 classes"),
    ({"count": 3}, "there are 3 images and 2 classes"),
)
table(
    classifiers.check_pictures,
    lambda t: {"X": X32, "model": t.model},
    *(*PICTURES, EMPTY, *TOO_FAR_ROWS, *TRAINING),
)
table(classifiers.class_scores, lambda t: {"X": X32, "model": t.model}, *SCORES)
table(
    stylelib.top_classes,
    lambda t: {"X": X32, "model": t.model},
    *(*PICTURES, EMPTY, *TRAINING, *SCORES),
    *wholes("k", "from 1 to 1000", 0, -1, 1001),
)
OWN_ROWS = {
    stylelib.saliency_map: [],
    stylelib.smooth_grad: [
        *numbers("noise", "of at least 0 and below 10", -0.1, 10),
        *wholes("samples", "1 or more", 0, -1),
        *seeds(),
    ],
    stylelib.integrated_gradients: [
        *wholes("steps", "1 or more", 0, -1),
        *numbers("max_gap", "above 0 and below 1", 0, 1, -0.1, optional=True),
        *each("baseline", [3, NAN], "pixels from {0} to {0} are outside", X32.add),
        ({"baseline": X32[:, :, :16]}, "the baseline (1, 3, 16, 32) does not broadcast"),
        ({"baseline": X32.expand(3, 3, 32, 32)}, "the baseline (3, 3, 32, 32) does not"),
        ({"baseline": 0.0}, "the baseline must be a tensor, not 0.0"),
    ],
}
for function, rows in OWN_ROWS.items():
    table(
        function,
        lambda t: {"X": X32, "y": 1, "model": t.model},
        *(*PICTURES, EMPTY, *TRAINING, *SCORES, *rows, *classes("y")),
        *also({"X": X32.expand(2, 3, 32, 32)}, targets("y")),
    )
table(
    saliency.score_gradient,
    lambda t: {"X": X32, "y": 1, "model": t.model},
    *(*SCORES, *classes("y")),
)
table(
    stylelib.saliency_mask,
    {"maps": torch.ones(1, 8, 8)},
    *numbers("quantile", "of at least 0 and below 1", -0.1, 1.0),
    *numbers("blur", "of at least 0 and below 1000", -1, 1000),
    *each("maps", [(8, 8), (1, 3, 8, 8), (0, 8, 8)], "shape (N, H, W), not {}", torch.ones),
    *each("maps", [NAN, INF], "not finite (nan or inf)", torch.ones(1, 8, 8).mul),
    *tensors("maps", "maps"),
)
table(
    stylelib.cut_out,
    {"X": X32, "mask": torch.ones(1, 32, 32).bool()},
    ({"mask": torch.ones(1, 32, 32)}, "the mask is (1, 32, 32) torch.float32; images"),
    (
        {"mask": torch.ones(32, 32).bool()},
        "(32, 32) torch.bool; ... need (1, 32, 32) torch.bool",
    ),
    ({"mask": torch.ones(2, 32, 32).bool()}, "the mask is (2, 32, 32) torch.bool; images"),
    *each("mask", [ARRAY, None], "the mask must be a tensor (N, H, W), not {kind}"),
    *each(
        "X", [ARRAY, None], "X must have the shape (N, 3, H, W) in floating point, not {kind}"
    ),
    ({"X": X32[:, :1]}, "X must have the shape (N, 3, H, W) ... not (1, 1, 32, 32)"),
)

# --- pictures that fool


def fooling_rows(name):
    words = "epsilon must be from one gray level (1 / 255) to 1, for pixels in 0..1, not {1}"
    return [
        *(*PICTURES[1:], *TRAINING, *SCORES, *classes(name, optional=True)),
        *each(
            "epsilon", [0, 0.0039, 0.5 / 255, -0.1, 1.001, 2, NAN, INF, True, "2/255"], words
        ),
        *numbers("lr", "above 0", 0, -1, optional=True),
        *numbers("confidence", "of at least 0 and below 1", -0.1, 1, 1.5),
        *wholes("max_steps", "1 or more", 0, -1),
    ]


table(
    stylelib.fooling_image,
    lambda t: {"X": X32, "target": None, "model": t.model, "max_steps": 1},
    *fooling_rows("target"),
    ({"X": X32.expand(2, 3, 32, 32)}, "fooling_image takes one image, not 2: use"),
    *PICTURES[:1],
)
table(
    stylelib.fooling_images,
    lambda t: {"X": X32, "targets": None, "model": t.model, "max_steps": 1},
    *(PICTURES[0], EMPTY, *fooling_rows("targets")),
    *also({"X": X32.expand(2, 3, 32, 32)}, targets("targets")),
)
table(
    fooling.NormalizedGradient,
    lambda t: {"params": [leaf()], "lr": 0.1},
    *numbers("lr", "above 0", 0, -1),
)

# --- pictures of what a network looks for

VISUALIZED = [
    *wholes("steps", "1 or more", 0, -1),
    *choices("storage", "'fourier' or 'pixels'", "Fourier"),
    *numbers("finest", "above 0", 0, -1, optional=True),
    *each(
        "transformations",
        [transformations.Jitter(3), [3], "blur", None],
        "transformations must be a list of functions such as [Jitter(8)], not {1}",
    ),
    *numbers("l2", "of at least 0", -1e-9),
    *numbers("lr", "above 0", 0, -0.1, optional=True),
    *seeds(),
    *sizes("image_shape", 31, -64, (64, 31), (31, 64), (64,), least=32),
    *watchers(),
]


def channels(name, make):
    words = "there is no channel {1}; conv1_1 has the channels 0 to 63"
    return [
        *each(name, [64, -1, 1.0, True, "3", NAN, None], words, make),
        (
            {"layer": "conv3_1", name: make(256)},
            "there is no channel 256; conv3_1 has the channels 0 to 255",
        ),
        *misspelt("layer", "there is no layer", ("conv31", "conv3_1")),
        ({"layer": "relu5_1"}, "there is no layer 'relu5_1'; did you mean"),
        *each("layer", [37, *NO_LAYER_NUMBERS], "there is no layer {}; the layers are 0 to 36"),
        *MODULES,
        *NO_MODULES[1:],
    ]


def after_1(value):
    return [1, value]


VISUAL = {"image_shape": 32, "steps": 1, "transformations": ()}
for function, name, right, make in (
    (stylelib.class_visualization, "target", 2, as_it_is),
    (stylelib.class_visualizations, "targets", [2], after_1),
):
    table(
        function,
        lambda t, name=name, right=right: VISUAL | {"model": t.model, name: right},
        *(*VISUALIZED, *TRAINING, *SCORES[:2], *classes(name, make)),
        *(lists(name) + empty(name) if make is after_1 else []),
    )
for function, name, right, make in (
    (stylelib.channel_visualization, "channel", 2, as_it_is),
    (stylelib.channel_visualizations, "channels", [2], after_1),
):
    table(
        function,
        lambda t, name=name, right=right: VISUAL | {"layer": 0, "net": t.net, name: right},
        *(*VISUALIZED, *channels(name, make)),
        *(lists(name) + empty(name) if make is after_1 else []),
    )
table(transformations.Jitter, {"pixels": 1}, *wholes("pixels", "0 or more", -1))
table(
    transformations.Scale,
    {"lowest": 0.7, "highest": 1.2},
    *numbers("lowest", "above 0", 0, -1),
    *numbers("highest", "of at least 0.7", 0.6, -1),
)
for function, name, bounds, *outside in (
    (transformations.Rotate, "degrees", "of at least 0 and at most 360", -1, 361),
    (transformations.Blur, "sigma", "above 0 and below 1000", 0, -1.0, 1000),
    (transformations.Noise, "highest", "of at least 0", -0.1),
):
    table(function, {name: 1}, *numbers(name, bounds, *outside))
for function in (storages.Pixels, storages.Fourier):
    table(
        function,
        {"count": 1, "image_shape": (8, 9)},
        *wholes("count", "1 or more", 0, -1),
        *seeds(),
        *on_devices(),
        *sizes("image_shape", (8, 2.5), (8, 0)),
    )
table(
    storages.Fourier,
    {"count": 1, "image_shape": (8, 9)},
    *numbers("finest", "above 0", 0, -1, optional=True),
    name="Fourier by waves",
)

# --- in NumPy alone

x = np.ones((1, 3, 4, 6))
NO_DTYPES = [np.int64, np.uint8, np.float16, np.complex128, bool, object]


def numpy_features(name):
    shape = "features must have the shape (N, C, H, W), none of them 0, not {}"
    return [
        *each(name, NO_DTYPES, "float32 or float64, not {0.__name__}", x.astype),
        *each(name, NO_FEATURES, shape, np.zeros),
        *each(name, [[[[[1.0]]]], F, None], "features must be a NumPy array, not {kind}"),
    ]


def backward(make, top_diff, forward=True):
    layer = make()
    if forward:
        layer.forward(TWO)
    return layer.backward(top_diff)


METHODS = choices("method", "'im2col' or 'loops'", "im2cols", 1)
TWO = np.ones((2, 3, 4, 6))
LAYERS = {"ReLU": from_scratch.ReLU} | {
    f"{name} by {method}": functools.partial(*given, method=method)
    for name, *given in (
        ("Convolution", Convolution, 2, 3, 2),
        ("Convolution with a border", Convolution, 3, 3, 4, 1, 2),
        ("MaxPool", MaxPool, 2, 2),
        ("AveragePool", AveragePool, 2, 2),
    )
    for method in ("im2col", "loops")
}
for name, make in LAYERS.items():
    top = make().forward(TWO)
    table(
        lambda make, x: make().forward(x),
        {"make": make, "x": TWO},
        *numpy_features("x"),
        name=f"{name}, forward",
    )
    table(
        backward,
        {"make": make, "top_diff": top},
        ({"forward": False}, "call forward before backward"),
        *(
            (
                {"top_diff": wrong},
                f"top_diff has the shape {wrong.shape}, the output of the last forward {top.shape}",
            )
            for wrong in (top[:, :, :-1], top[:1], top[:, :1], top.transpose(0, 1, 3, 2))
        ),
        ({"top_diff": top[0]}, f"the shape (N, C, H, W), none of them 0, not {top[0].shape}"),
        ({"top_diff": top.astype(int)}, "float32 or float64, not int64"),
        ({"top_diff": top.astype(np.float16)}, "float32 or float64, not float16"),
        ({"top_diff": top.tolist()}, "features must be a NumPy array, not list"),
        name=f"{name}, backward",
    )
for method in ("im2col", "loops"):
    for name, make in (
        ("Convolution", functools.partial(Convolution, 4, 3, 2, 0, 1, method)),
        ("MaxPool", functools.partial(MaxPool, 4, 2, method)),
    ):
        table(
            lambda make, shape: make().forward(np.zeros(shape)),
            {"make": make, "shape": (1, 3, 4, 4)},
            ({"shape": (1, 3, 3, 9)}, "a kernel of 4 x 4 does not fit into 3 x 9"),
            ({"shape": (1, 3, 9, 3)}, "a kernel of 4 x 4 does not fit into 9 x 3"),
            name=f"{name} by {method}, sizes",
        )
table(
    Convolution,
    {"kernel_size": 3, "channel_in": 3, "channel_out": 3},
    *(
        row
        for name in ("kernel_size", "channel_in", "channel_out", "stride")
        for row in wholes(name, "1 or more", 0, -1, (3, 3))
    ),
    *wholes("padding", "0 or more", -1, 0.5, "same"),
    *METHODS,
    *seeds(optional=True),
)
for function in (MaxPool, AveragePool):
    table(
        function,
        {"kernel_size": 2, "stride": 2},
        *wholes("kernel_size", "1 or more", 0, -1, (3, 3)),
        *wholes("stride", "1 or more", 0, -1, (3, 3)),
        *METHODS,
    )


def convolved(channels=3, **parts):
    layer = Convolution(3, 3, 4)
    for name, shape in parts.items():
        setattr(layer, name, np.zeros(shape))
    return layer.forward(np.zeros((1, channels, 5, 5)))


table(
    convolved,
    {},
    *each("weight", [(3, 4, 3, 3), (4, 27), (4, 3, 3, 2)], "shapes {} ... needs (4, 3, 3, 3)"),
    *each("bias", [(1,), (4, 1), ()], "and bias have the shapes ... {}; this layer needs"),
    *each("channels", [1, 2, 4], "this layer needs 3 channels, not {}"),
)
table(
    windows.windows,
    {"x": x, "kernel_size": 3, "stride": 1},
    ({"kernel_size": 5}, "a kernel of 5 x 5 does not fit into 4 x 6"),
)

P_ROWS = [
    *each(
        "P", OTHER_FEATURES, "F has the shape (1, 3, 4, 6) (float64), but P has {}", np.zeros
    ),
    ({"P": x.astype(np.float32)}, "(float64), but P has (1, 3, 4, 6) (float32)"),
    *each("P", [F, None], "P must be features like F, not {kind}"),
]
A_ROWS = [
    *also(
        {"F": np.zeros((2, 3, 4, 5))},
        each(
            "A",
            [*OTHER_GRAMS, (2, 3)],
            "A has the shape {}, but the Gram matrices of F have (2, 3, 3)",
            np.zeros,
        ),
    ),
    (
        {"A": np.ones((1, 3, 3), np.float32)},
        "A is float32, but F is float64; they must be the same",
    ),
    *each("A", [G, None], "A has the shape {kind}, but the Gram"),
]
X_ROWS = each(
    "X",
    [(1, 3, 1, 5), (1, 3, 5, 1), (1, 1, 1, 1)],
    "total variation needs 2 x 2 pixels or more, not {}",
    np.zeros,
)
table(from_scratch.gram, {"F": x}, *numpy_features("F"))
for loss, right, rows in (
    (from_scratch.ContentLoss(), {"F": x, "P": x}, P_ROWS + numpy_features("F")),
    (from_scratch.StyleLoss(), {"F": x, "A": G.double().numpy()}, A_ROWS + numpy_features("F")),
    (from_scratch.TVLoss(), {"X": x}, X_ROWS + numpy_features("X")),
):
    for function in (loss.forward, loss.backward):
        table(function, right, *rows, name=function.__qualname__)
table(
    from_scratch.Adam,
    {"learning_rate": 0.1},
    *numbers("learning_rate", "of at least 0", -1.0, -1e-9),
    *numbers("beta1", "of at least 0 and below 1", 1.0, -0.1, 2),
    *numbers("beta2", "of at least 0 and below 1", 1.0, -0.1, 2),
    *numbers("epsilon", "above 0", 0, -1e-8),
)
table(
    lambda x, gradient: from_scratch.Adam(0.1).update(x, gradient),
    {"x": x, "gradient": x},
    *each("x", [[1.0], F], "x must be an array of float32 or float64, not {kind}"),
    *each(
        "gradient", [[1.0], F], "gradient must be an array of float32 or float64, not {kind}"
    ),
    ({"x": x.astype(int)}, "x must be an array of float32 or float64, not int64"),
    ({"gradient": x.astype(np.float32)}, "x is float64, but its gradient is float32"),
    ({"gradient": x[0]}, "x has the shape (1, 3, 4, 6) and its gradient has (3, 4, 6)"),
    name="Adam.update",
)


def names_of_layers(name="layers"):
    words = "layers must be a list of names, for example ['relu4_2'], not {1}"
    return [
        *each(name, ["relu1_1", [], (), [1], [True], None, 3], words),
        ({name: ["relu4-2"]}, "there is no layer 'relu4-2'; did you mean 'relu4_"),
    ]


table(
    from_scratch.VGG19,
    {"layers": ["relu1_1"]},
    *choices("pooling", "'max' or 'avg'", "mean"),
    *choices("method", "'im2col' or 'loops'", "fast"),
    *names_of_layers(),
    (
        {"weights": "embeded"},
        "no file 'embeded'; weights must be 'embedded' or a file",
        FileError,
    ),
    (lambda t: {"weights": t.folder}, "there is no file", FileError),
    *written(
        "weights", [b"", b"hello", encoded(PHOTO, "PNG")], "thing.png' is not a MatConvNet file"
    ),
    *each("weights", [None, 19, ["embedded"]], "weights must be 'embedded' or a path, not {}"),
)
table(
    lambda t, X, layers: t.scratch.forward(X, layers),
    lambda t: {"t": t, "X": x, "layers": ["relu1_1"]},
    *(*numpy_features("X"), *names_of_layers()),
    ({"X": x[:, :1]}, "this layer needs 3 channels, not 1: (1, 1, 4, 6)"),
    ({"layers": ["conv1_1", "relu4_2"]}, "layer 'relu4_2' is deeper than 'relu1_1'"),
    name="VGG19.forward",
)


TOP = np.ones((1, 64, 4, 6))


def scratch_backward(t, top_diffs, forward=("relu1_1",)):
    net = t.scratch if forward else from_scratch.VGG19(layers=["conv1_1"])
    if forward:
        net.forward(x, forward)
    return net.backward(top_diffs)


table(
    scratch_backward,
    lambda t: {"t": t, "top_diffs": {"relu1_1": TOP}},
    ({"forward": ()}, "call forward before backward"),
    ({"forward": ["conv1_1"]}, "layer 'relu1_1' is deeper than 'conv1_1'"),
    ({"top_diffs": {}}, "top_diffs is empty: give gradients at one or more layers"),
    ({"top_diffs": {"relu11": TOP}}, "there is no layer 'relu11'; did you mean 'relu1_1'?"),
    (
        {"top_diffs": {1: TOP}},
        "layers must be a list of names, for example ['relu4_2'], not [1]",
    ),
    *each(
        "top_diffs",
        [(1, 64, 4, 1), (1, 1, 1, 1), (2, 64, 4, 6)],
        "top_diff has the shape {}, the output of the last forward (1, 64, 4, 6)",
        lambda shape: {"relu1_1": TOP, "conv1_1": np.ones(shape)},
    ),
    ({"top_diffs": {"relu1_1": TOP.astype(np.float16)}}, "float32 or float64, not float16"),
    name="VGG19.backward",
)
table(
    lambda t, X: t.scratch.to_image(X),
    lambda t: {"t": t, "X": x},
    *numpy_features("X"),
    (
        {"X": np.zeros((2, 3, 4, 4))},
        "to_image needs one image (1, 3, H, W), not (2, 3, 4, 4)",
    ),
    ({"X": x[:, :1]}, "this layer needs 3 channels, not 1: (1, 1, 4, 6)"),
    *each("X", [NAN, INF, -INF], "values that are not finite (nan or inf)", lambda v: x * v),
    name="VGG19.to_image",
)
table(
    lambda t, image, image_shape: t.scratch.to_input(image, image_shape),
    lambda t: {"t": t, "image": PHOTO, "image_shape": 8},
    *(*sources("image"), *sizes("image_shape")),
    name="VGG19.to_input",
)


def compared(name):
    return [
        *lists(name),
        *empty(name),
        *also({"net": None}, lists(name)),
        ({name: ["relu11"]}, "there is no layer 'relu11'; did you mean 'relu1_1'?"),
        ({name: ["relu2_1"]}, "layer 'relu2_1' is deeper than 'relu1_1'"),
        ({name: [1]}, "layers must be a list of names, for example ['relu4_2'], not [1]"),
    ]


SCRATCH = {"content": PHOTO, "style": PHOTO, "image_shape": 8, "steps": 1}
table(
    from_scratch.style_transfer,
    lambda t: (
        SCRATCH | {"net": t.scratch, "content_layers": ["relu1_1"], "style_layers": ["conv1_1"]}
    ),
    *sources("content"),
    *sources("style"),
    *sizes("image_shape", (8, 0), (8, 8, 3), 1.5),
    *numbers("alpha", "of at least 0", -1.0),
    *numbers("beta", "of at least 0", -1.0),
    *numbers("tv", "of at least 0", -1.0),
    *numbers("learning_rate", "of at least 0", -1.0),
    *wholes("steps", "1 or more", 0, -1, 1.5),
    *choices("init", "'content' or 'noise'", "Content", "photo", 0),
    *seeds(),
    *compared("content_layers"),
    *compared("style_layers"),
    *each(
        "net", [3, "vgg19", nn.ReLU()], "net must be a stylelib.from_scratch.VGG19, not {kind}"
    ),
    (
        {"net": None, "image_shape": (3, 3), "style_layers": ["relu3_1"]},
        "a kernel of 2 x 2 does not fit into 1 x 1",
    ),
    *watchers(),
    name="from_scratch.style_transfer",
)

# --- the tests


def what_happens(function, arguments):
    try:
        function(**arguments)
    except Exception as error:
        return error
    return "it is accepted"


@pytest.mark.parametrize(("function", "right", "row"), ROWS)
def test_it_is_refused(t, function, right, row):
    found = what_happens(function, of(t, right) | of(t, row.wrong))
    words = ".*".join(map(re.escape, row.words.split(" ... ")))
    if not isinstance(found, row.error) or not re.search(words, str(found), re.DOTALL):
        pytest.fail(f"{row.words!r} was expected, and {found!r} found", pytrace=False)


@pytest.mark.parametrize(("function", "right"), RIGHT)
def test_what_stands_beside_it_is_right(t, function, right):
    function(**of(t, right))
