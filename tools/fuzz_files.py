"""Cases of `tools/fuzz.py` that read and write files: images, masks, clips, weights, names."""

import io
import pickle
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from damage import Case, damaged, image_file, labeled, odd, picture, repacked
from PIL import Image
from scipy.io import savemat
from torch import nn

from stylelib import load_image, samples, save_image, transfer, vgg19
from stylelib.callbacks import IntermediateSaver
from stylelib.control.masks import load_mask, region_of_color
from stylelib.files import load_with_alpha, write_image
from stylelib.from_scratch import VGG19
from stylelib.large.clips import animated, write_animation
from stylelib.results import Finished

__all__ = ["clip", "image", "mask", "names", "weights"]


# --- images and masks


def image(rng: random.Random, folder: Path) -> Case:
    """A damaged image file is read, and what comes of it is written."""
    source: Any = image_file(rng)
    source = damaged(rng, source) if rng.random() < 0.9 else source
    given = rng.randrange(6)
    if given == 0:
        (folder / "given").write_bytes(source)
        source = folder / "given"
    elif given == 1:
        source = io.BytesIO(source)
    elif given == 2:
        source = labeled(rng, picture(rng))
    ending = rng.choice(("png", "jpg", "webp", "tif", "bmp", "gif"))

    def call() -> None:
        if given == 2 and rng.random() < 0.5:
            write_image(source, f"out.{ending}")
            return
        found, alpha = load_with_alpha(source)
        assert found.mode == "RGB", found.mode
        assert alpha is None or (alpha.mode, alpha.size) == ("L", found.size)
        if found.width * found.height < 10_000:
            write_image(load_image(found), f"out.{ending}")

    return Case(call, folder)


def mask(rng: random.Random, folder: Path) -> Case:
    """A damaged image, an odd array or an odd value is read as a mask or as labels."""
    kinds = "?bBhiqefdF"
    shape = [rng.randint(0, 5) for _ in range(rng.choice((0, 1, 2, 2, 2, 3, 4, 5)))]
    array = np.frombuffer(rng.randbytes(16 * 5**5), rng.choice(kinds))
    array = array[: int(np.prod(shape))].reshape(shape)
    sources: tuple[Callable[[], Any], ...] = (
        lambda: damaged(rng, image_file(rng)),
        lambda: labeled(rng, picture(rng)),
        lambda: array,
        lambda: array.copy().clip(0, 1) if array.dtype.kind != "c" else array,
        lambda: torch.from_numpy(array.copy()).requires_grad_(array.dtype.kind in "fc"),
        lambda: odd(rng),
    )
    source = rng.choice(sources)()
    color = rng.choice(("red", "#123456", (1, 2, 3), odd(rng)))
    if rng.random() < 0.3:
        return Case(partial(region_of_color, source, color, rng.choice((8, odd(rng)))))
    return Case(partial(load_mask, source))


def clip(rng: random.Random, folder: Path) -> Case:
    """The frames of a damaged animation are read, and written as another."""
    frames = [picture(rng, "RGB").resize((9, 7)) for _ in range(rng.randint(1, 5))]
    stream, kind = io.BytesIO(), rng.choice(("GIF", "PNG", "WEBP"))
    durations = [rng.choice((0, 20, 70_000)) for _ in frames] if kind == "GIF" else 20
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:], duration=durations)
    file = folder / "clip"
    file.write_bytes(damaged(rng, stream.getvalue()))
    name = rng.choice(("out.gif", "out.png", "out.webp", "out.jpg", "inner/out.gif"))

    def call() -> None:
        found = list(islice(animated(file), 2))
        if all(each.width * each.height < 10_000 for each, _ in found):
            write_animation([each for each, _ in found], name, [shown for _, shown in found])

    return Case(call, folder)


# --- weights


class Runs:
    """A pickle of it runs a program when it is read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, ("written", "w")


def tensors(rng: random.Random) -> Any:
    """What may stand for a tensor in a state dict."""
    whole = torch.randn(64, 3, 3, 3)
    return rng.choice(
        (
            *(whole, whole.half(), whole.double(), whole.to(torch.complex64), whole.long()),
            *(whole.to_sparse(), whole * torch.nan, torch.ones(1).expand(64, 3, 3, 3)),
            *(torch.quantize_per_tensor(whole, 0.1, 0, torch.qint8), nn.Parameter(whole)),
            *(torch.empty(64, 3, 3, 3, device="meta"), whole.mT, whole.bool(), whole[:1]),
            *(torch.nested.nested_tensor([whole[0], whole[1]]), odd(rng)),
        )
    )


def weights(rng: random.Random, folder: Path) -> Case:
    """A damaged file of weights is read, and the network is run."""
    file = folder / "weights"
    if rng.random() < 0.1:
        return matconvnet(rng, file)
    prefix = rng.choice(("conv1_1", "0", "features.0"))
    state: Any = {
        f"{prefix}.weight": torch.randn(64, 3, 3, 3),
        f"{prefix}.bias": torch.zeros(64),
    }
    change = rng.randrange(4)
    if change == 0:
        state[f"{prefix}.{rng.choice(('weight', 'bias'))}"] = tensors(rng)
    elif change == 1:
        state = rng.choice((Runs(), {"x": Runs()}, [state], state | {1: 2}, odd(rng)))
    stream, zipped = io.BytesIO(), rng.random() < 0.7
    try:
        torch.save(state, stream, _use_new_zipfile_serialization=zipped)
    except Exception:  # not everything can be pickled
        pickle.dump({"x": 1}, stream)
    data = stream.getvalue()
    if change > 1 or rng.random() < 0.3:
        repack = zipped and data.startswith(b"PK") and rng.random() < 0.6
        data = repacked(rng, data) if repack else damaged(rng, data)
    file.write_bytes(data)

    def call() -> None:
        net = vgg19(file, layers=["relu1_1"])
        transfer(
            Image.new("RGB", (8, 8)),
            Image.new("RGB", (8, 8), "red"),
            net=net,
            steps=1,
            image_shape=8,
            content_layers=["relu1_1"],
            style_layers=["conv1_1"],
        )

    return Case(call)


def cell(value: Any) -> Any:
    """An array of one object."""
    array = np.empty(1, object)
    array[0] = value
    return array


def matconvnet(rng: random.Random, file: Path) -> Case:
    """A damaged file in the format of MatConvNet."""
    parts: list[Any] = [np.ones((3, 3, 3, 64)), np.zeros((1, 64))]
    mean: Any = np.ones((1, 1, 3))
    if rng.random() < 0.5:
        parts[rng.randrange(2)] = rng.choice((cell(odd(rng)), "x", np.ones(3), {}))
    if rng.random() < 0.2:
        mean = rng.choice(("xyz", np.ones((0, 3)), np.array(3), np.ones((1, 3)) * 1j, {"a": 1}))
    layer = rng.choice(({"filters": parts[0], "biases": parts[1]}, {"weights": parts}))
    content = {
        "layers": [{"name": "conv1_1"} | layer],
        rng.choice(("normalization", "meta")): {"averageImage": mean},
    }
    try:
        savemat(file, content, do_compression=rng.random() < 0.3)
    except Exception:  # not everything has a place in such a file
        savemat(file, {"layers": 1})
    if rng.random() < 0.6:
        file.write_bytes(damaged(rng, file.read_bytes()))
    return Case(
        lambda: VGG19(file, layers=["conv1_1"]).forward(np.ones((1, 3, 4, 4)), ["conv1_1"])
    )


# --- names


def named(rng: random.Random, folder: Path) -> str:
    """A name for a file or a folder, mostly hostile."""
    (folder / "loop").symlink_to("loop")
    (folder / "link.png").symlink_to("elsewhere.png")
    (folder / "inner").mkdir()
    (folder / "inner.png.json").mkdir()
    parts = ["a", "..", ".", "", "x" * 300, "x" * 250, "\0", "\ud800", "\n", " ", "inner"]
    parts += ["loop", "CON", "a\\b", "-", "~", "é", "link", "$HOME", "%s", "{}"]
    name = "/".join(rng.sample(parts, rng.choice((1, 1, 2, 3))))
    name += rng.choice((".png", ".jpg", "", ".PNG", ".png.json", "."))
    return name.replace("..", "inner/..").lstrip("/")  # it does not lead out of the folder


def names(rng: random.Random, folder: Path) -> Case:
    """Something is written to, or read from, a hostile name."""
    name: Any = named(rng, folder)
    found, tensor = picture(rng, "RGB"), torch.zeros(1, 3, 4, 4)
    name = Path(name) if rng.random() < 0.3 else name
    name = odd(rng) if rng.random() < 0.1 else name
    calls: tuple[Callable[[], object], ...] = (
        lambda: save_image(found, name),
        lambda: save_image(tensor, name, quality=odd(rng)),
        lambda: Finished(found, [], {"x": 1}).save(name),
        lambda: samples.write(name),
        lambda: IntermediateSaver(name, 1)(Moment(tensor)),  # type: ignore[arg-type]
        lambda: load_image(name),
        lambda: samples.load(name),
        lambda: load_mask(name),
        lambda: vgg19(name, layers=["conv1_1"]),
    )
    return Case(rng.choice(calls), folder)


@dataclass
class Moment:
    """What a saver needs of a step."""

    picture: torch.Tensor
    step: int = 1
