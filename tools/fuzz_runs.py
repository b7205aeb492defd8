"""Cases of `tools/fuzz.py` that paint: settings, the command line, checkpoints, batches."""

import contextlib
import dataclasses
import inspect
import io
import random
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from damage import Case, damaged, image_file, labeled, odd, picture, repacked
from PIL import Image
from torch import nn

from stylelib import (
    RECIPES,
    Recipe,
    Style,
    invert_features,
    synthesize_texture,
    transfer,
)
from stylelib.__main__ import main as command_line
from stylelib.control.paths import style_path
from stylelib.errors import StylelibError
from stylelib.large import batches
from stylelib.large.painter import Failed, Made, Task
from stylelib.losses import LossWeights

__all__ = ["batch", "checkpoint", "command", "settings"]


def layers() -> list[nn.Module]:
    """A convolution, a ReLU, a pooling and another convolution."""
    return [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3)]


def small_network() -> nn.Sequential:
    """A network that works, always the same."""
    torch.manual_seed(0)
    return nn.Sequential(*layers()).eval().requires_grad_(False)


def network(rng: random.Random) -> nn.Module:
    """A small network, mostly one that works."""
    stack = layers()
    if rng.random() < 0.7:
        return small_network()
    return rng.choice(
        (
            nn.Sequential(*stack).double(),
            nn.Sequential(*stack).half(),
            nn.Sequential(*stack).to("meta"),
            nn.Sequential(),
            nn.Sequential(nn.Flatten(), *stack),
            nn.Sequential(nn.Conv2d(1, 4, 3), *stack),
            nn.Sequential(nn.Conv2d(3, 3, 30, stride=9, dilation=3), *stack),
            nn.Sequential(nn.Dropout(), nn.BatchNorm2d(3), *stack).train(),
            nn.Sequential(nn.Identity(), nn.Upsample(scale_factor=3), *stack),
            nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(2, 1), nn.ReLU()),
            nn.ReLU(),
            nn.Conv2d(3, 4, 3),
        )
    )


def changed(rng: random.Random, kind: type, good: dict[str, Any], names: Iterable[str]) -> Any:
    """An object of a class with odd values, or what making it raises when it is called."""
    chosen = rng.sample(sorted(names), 1)
    return partial(kind, **good | {name: odd(rng) for name in chosen})


def argument(rng: random.Random, name: str) -> Any:
    """A value for an argument of a transfer: odd, or one that may be right."""
    lists: tuple[Any, ...] = (
        [0],
        ["0", 3],
        {3: 2.0},
        [2, "2"],
        {"0": odd(rng)},
        [odd(rng)],
        [],
    )
    sources = (
        picture(rng),
        damaged(rng, image_file(rng)),
        [picture(rng), picture(rng)],
        labeled(rng, picture(rng)),
    )
    near: dict[str, tuple[Any, ...]] = {
        "recipe": (*RECIPES, changed(rng, Recipe, {}, fields_of(Recipe))),
        "content": sources,
        "image": sources,
        "style": (
            *sources,
            changed(rng, Style, {"image": picture(rng)}, fields_of(Style)),
            changed(rng, Style, {"image": picture(rng)}, ("here", "there", "weight")),
        ),
        "init": (*sources, "content", "style", "noise"),
        "colors": ("keep", "match", "only"),
        "shares": ({"content": 0.4, "style": 0.4, "tv": 0.2}, {"content": 0.5, "style": 0.5}),
        "weights": (changed(rng, LossWeights, {}, LossWeights._fields), (0, 0, 0), (1, 1, 1)),
        "net": (network(rng),),
        "image_shape": (1, 2, 3, (1, 40), (17, 5)),
        "style_shape": (1, 2, 40, (1, 40)),
        "strokes": (0.01, 3, 1 / 3),
        "content_layers": lists,
        "style_layers": lists,
        "layers": lists,
    }
    return rng.choice((*near.get(name, ()), odd(rng)))


def fields_of(kind: Any) -> list[str]:
    """The names of a dataclass's fields."""
    return [each.name for each in dataclasses.fields(kind)]


FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(transfer, transfer, transfer, transfer),
    *(synthesize_texture, invert_features, style_path),
)


def settings(rng: random.Random, folder: Path) -> Case:
    """One to three arguments of a transfer, a texture, an inversion or a path are odd."""
    function = rng.choice(FUNCTIONS)
    good = {
        "content": picture(rng, "RGB"),
        "style": picture(rng, "RGB"),
        "image": picture(rng, "RGB"),
        "first": picture(rng, "RGB"),
        "last": picture(rng, "RGB"),
        "count": 2,
        "layer": 1,
        "layers": [0, 3],
        "content_layers": [1],
        "style_layers": [0, 3],
        "image_shape": rng.randint(6, 24),
        "recipe": rng.choice(sorted(RECIPES)),
        "net": small_network(),
        "steps": rng.randint(1, 3),
        "callback": lambda step: step.step >= 3,  # whatever the steps are, it ends soon
    }
    own = inspect.signature(function).parameters
    names = sorted({*own, *(inspect.signature(transfer).parameters if "count" in own else ())})
    names = [name for name in names if name != "arguments"]
    arguments = {name: value for name, value in good.items() if name in names}
    for name in rng.sample(names, rng.choice((1, 1, 1, 2, 3))):
        value = argument(rng, name)
        if name == "callback":
            arguments["steps"] = 2
        if not (name == "steps" and arguments["callback"] is not good["callback"]):
            arguments[name] = value

    def call() -> None:
        made = {k: v() if isinstance(v, partial) else v for k, v in arguments.items()}
        results = function(**made)
        for result in results if isinstance(results, list) else [results]:
            result.save("out.png")

    return Case(call, folder)


def command(rng: random.Random, folder: Path) -> Case:
    """The command line, with odd words."""
    words = ["", "0", "1", "-1", "nan", "inf", "1e9", "x", "16", "8x9", "9x", "a=b", "conv1_1"]
    words += ["content=0.5,style=0.5", "-", ",", "\0", "\udc80", "é", "out.png", "noise"]
    (folder / "a.png").write_bytes(damaged(rng, image_file(rng)))
    picture(rng, "RGB").save(folder / "b.png")
    file = rng.choice(("b.png", "b.png", "a.png", "nowhere", "."))
    called = ["transfer", file, "b.png", "-o", "out.png", "--steps=1", "--size=8"]
    called += ["--weights=random", "--content-layers=conv1_1", "--style-layers=relu1_1"]
    flags = "mix here there recipe content-weight tv-weight pooling save-every style-size"
    flags += " colors strength strokes shares effort lr init seed scales precision device"
    for flag in rng.sample([*flags.split(), "content-layers", "size"], rng.choice((1, 1, 2))):
        called.append(f"--{flag}={rng.choice((*words, '1', '1', '2', '0.5', 'max', 'd2l'))}")

    def call() -> None:
        told = io.StringIO()
        with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            try:
                code: Any = command_line(called)
            except SystemExit as stop:
                code = stop.code
        assert code in (0, 1, 2), code
        if code == 2:
            raise StylelibError(told.getvalue())

    return Case(call, folder)


# --- checkpoints


def painted(file: Path, recipe: str, steps: int = 4, stop: int | None = None) -> None:
    """A short run that keeps its state in a file, and goes on from it if it is there."""
    transfer(
        Image.new("RGB", (9, 8), "gray"),
        Image.new("RGB", (9, 8), "red"),
        recipe=recipe,
        image_shape=8,
        steps=steps,
        net=small_network(),
        content_layers=[1],
        style_layers=[0, 1],
        checkpoint=file,
        callback=lambda step: step.step == stop,
    )


@cache
def good_checkpoint(recipe: str) -> bytes:
    """The file of a run that was stopped after two steps."""
    with tempfile.TemporaryDirectory() as folder:
        painted(Path(folder, "state"), recipe, stop=2)
        return Path(folder, "state").read_bytes()


def changed_state(rng: random.Random, state: dict[str, Any]) -> dict[str, Any]:
    """The state of a run of which one part is lost, of another shape, or something odd.

    What is within an optimizer's own state stays: PyTorch does not check it.
    """
    name = rng.choice(sorted(state))
    value, chance = state[name], rng.random()
    if chance < 0.1:
        return {key: each for key, each in state.items() if key != name}
    if isinstance(value, torch.Tensor) and chance < 0.7:
        others = (value[..., :1], value.double(), value * torch.nan, value.long(), value[None])
        return state | {name: rng.choice(others)}
    return state | {name: value * 2 if isinstance(value, list) else odd(rng)}


def checkpoint(rng: random.Random, folder: Path) -> Case:
    """A run goes on from a damaged checkpoint, or from one of another run."""
    recipe = rng.choice(("coarse-to-fine", "d2l", "gatys", "assignment"))
    data, file = good_checkpoint(recipe), folder / "state"
    if rng.random() < 0.5:
        content = torch.load(io.BytesIO(data), weights_only=True)
        stream = io.BytesIO()
        with contextlib.suppress(Exception):  # not everything can be pickled
            torch.save(content | {"state": changed_state(rng, content["state"])}, stream)
        data = stream.getvalue()
    else:
        data = rng.choice((damaged, repacked, lambda rng, data: data))(rng, data)
    file.write_bytes(data)
    goes_on = rng.choice((recipe, recipe, recipe, "d2l"))
    return Case(lambda: painted(file, goes_on), folder)


# --- batches


class Pretender:
    """Does the tasks of a batch without painting."""

    def run(self, tasks: Iterable[tuple[int, Task]]) -> Iterator[tuple[int, Made | Failed]]:
        """Answer each task by an image of one pixel, or by a failure."""
        for number, task in tasks:
            if number % 3:
                yield number, Made(b"image", b"thumbnail", {"settings": 1}, 0.1)
            else:
                yield number, Failed(f"{task.name} is not painted")


def trapped(rng: random.Random, folder: Path) -> Path:
    """A folder in which some names lead elsewhere or belong to someone else."""
    out = folder / "out"
    out.mkdir()
    (folder / "victim").write_text("mine")
    names = ("a.png", "a--b.png", "a--b.png.json", "report.csv", "report.jsonl", "index.html")
    for name in rng.sample((*names, "thumbnails", "checkpoints", "b.png"), rng.randrange(4)):
        what = rng.randrange(4)
        if what < 2:
            (out / name).symlink_to(rng.choice((folder / "victim", folder, Path("gone"), out)))
        elif what == 2:
            (out / name).mkdir()
        else:
            (out / name).write_bytes(
                rng.choice((b"{}", b'{"job": {"key": 1}}', b"[1]", b"\xff"))
            )
    return out


def batch(rng: random.Random, folder: Path) -> Case:
    """A damaged table with hostile names becomes a folder of images that nobody painted."""
    given = [folder / name for name in ("a.png", "b.png", "-c.png", "é.png")]
    for path in given:
        picture(rng, "RGB").save(path)
    (folder / "link.png").symlink_to("/dev/zero")
    own = [path.name for path in given]
    paths = [*own, "", "..", "../a.png", "./a.png", "link.png", "x" * 300, "out", "/dev/zero"]
    paths += ["a.png/..", "no\\where", "\0", "<b>.png", "=1+1", str(given[0])]
    columns = [
        "content",
        "style",
        "steps",
        "image-shape",
        "weights",
        "recipe",
        "init",
        "shares",
    ]
    cells = ["", "nan", "16", "8x9", "a=b", "1e999", "9" * 5000, "d2l", "\ud800", "x,y"]
    header = ["content", *rng.sample(columns, rng.randrange(4))]
    lines = [",".join(header)] + [
        ",".join(rng.choice(paths if c in ("content", "style") else cells) for c in header)
        for _ in range(rng.randrange(5))
    ]
    text = "\n".join(lines).encode(errors="surrogatepass")
    styles = rng.choice((given[1], [given[0], given[1]], [Style(given[1])], odd(rng)))
    others = {name: odd(rng) for name in rng.sample(("ending", "steps", "style", "x"), 1)}
    others, keeps = rng.choice((others, {}, {})), rng.random() < 0.5
    table, out = folder / "table.csv", trapped(rng, folder)
    table.write_bytes(damaged(rng, text) if rng.random() < 0.4 else text)

    def call() -> None:
        engine = contextlib.nullcontext(Pretender())
        with mock.patch.object(batches, "open_engine", return_value=engine):
            batches.batch(table, out, styles=styles, checkpoints=keeps, **others)

    return Case(call, out)
