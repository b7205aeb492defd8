"""Style transfer in one call (chapter 1)."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import interpolate

from stylelib._version import __version__
from stylelib.errors import DivergenceError, FileError, InputError
from stylelib.features import (
    FeatureExtractor,
    Precision,
    get_contents,
    get_styles,
    resolve_precision,
)
from stylelib.images import (
    IMAGE_MEAN,
    IMAGE_STD,
    ImageSource,
    load_image,
    postprocess,
    preprocess,
    save_image,
    target_shape,
    write_whole,
)
from stylelib.losses import EMBEDDED_WEIGHTS, LossWeights, check_weights, gram
from stylelib.networks import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    Layer,
    check_seed,
    layer_index,
    network_digest,
    vgg19,
)
from stylelib.optimization import Callback, Objective, Record, Step, gradient_shares
from stylelib.synthesis import check_lr, style_objective, synthesize

__all__ = ["FULL", "QUICK", "TINY", "Init", "Profile", "TransferResult", "profile", "transfer"]

Init = Literal["content", "style", "noise"]


@dataclass(frozen=True)
class Profile:
    """A size of picture and a length of training: `transfer(..., **profile())`.

    Attributes:
        image_shape: (H, W).
        num_epochs: steps.
        lr_decay_epoch: steps after which the learning rate is multiplied by 0.8.
    """

    image_shape: tuple[int, int]
    num_epochs: int
    lr_decay_epoch: int

    def keys(self) -> list[str]:
        """Makes `**profile` work."""
        return list(asdict(self))

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)


FULL = Profile(image_shape=(300, 450), num_epochs=500, lr_decay_epoch=50)
"""The recipe's own numbers."""
QUICK = Profile(image_shape=(200, 300), num_epochs=200, lr_decay_epoch=20)
"""What the book uses by default: the same schedule, shorter and smaller."""
TINY = Profile(image_shape=(64, 96), num_epochs=8, lr_decay_epoch=2)
"""No picture one would look at: for tests that run every chapter."""


def profile() -> Profile:
    """The profile named by STYLELIB_PROFILE in the environment: quick (default), full, tiny.

    Raises:
        InputError: the variable holds another word.
    """
    profiles = {"quick": QUICK, "full": FULL, "tiny": TINY}
    name = os.environ.get("STYLELIB_PROFILE", "quick")
    if name not in profiles:
        raise InputError(f"STYLELIB_PROFILE is quick, full or tiny, not '{name}'")
    return profiles[name]


@dataclass(frozen=True)
class TransferResult:
    """A finished picture and how it came about.

    Attributes:
        image: the picture, RGB.
        picture: the same before it was made visible: (1, 3, H, W), normalised, on the CPU.
        history: a record of each step.
        gradient_shares: each loss's share of the gradient at the finished picture; empty if
            Ctrl-C came before they were known.
        settings: what is needed to make it again, the pictures apart, in types that JSON knows.
    """

    image: Image.Image
    picture: Tensor = field(repr=False)
    history: list[Record] = field(repr=False)
    gradient_shares: dict[str, float]
    settings: dict[str, Any] = field(repr=False)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the picture, and its settings beside it: starry.png, starry.png.json.

        Returns:
            The picture's path.

        Raises:
            InputError: the name's ending is no format of pictures.
            FileError: the folder is missing or cannot be written to.
        """
        last = self.history[-1] if self.history else None
        record = self.settings | {
            "steps": len(self.history),
            "seconds": round(last.seconds, 3) if last else 0.0,
            "losses_of_last_step": last.losses if last else {},
            "gradient_shares": self.gradient_shares,
        }
        text = json.dumps(record, indent=2, default=lambda number: number.item()) + "\n"
        check_settings_output(path)
        written = save_image(self.image, path)
        write_whole(Path(f"{written}.json"), text.encode())
        return written


def check_settings_output(path: str | os.PathLike[str]) -> None:
    """Refuse a picture's name beside which its settings cannot be written."""
    settings = Path(f"{os.fspath(path)}.json")
    if settings.is_dir():
        raise FileError(f"'{settings}', where the settings are to be written, is a directory")


def transfer(
    content: ImageSource,
    style: ImageSource,
    *,
    image_shape: int | tuple[int, int] = 300,
    style_shape: int | tuple[int, int] | None = None,
    num_epochs: int = 200,
    lr: float = 0.3,
    lr_decay_epoch: int | None = None,
    weights: LossWeights = EMBEDDED_WEIGHTS,
    content_layers: Sequence[Layer] = CONTENT_LAYERS,
    style_layers: Sequence[Layer] = STYLE_LAYERS,
    init: Init | ImageSource = "content",
    seed: int = 0,
    scales: int = 1,
    clamp: bool = True,
    precision: Precision = "auto",
    device: torch.device | str | None = None,
    net: nn.Sequential | None = None,
    callback: Callback | None = None,
) -> TransferResult:
    """Paint the content of one picture in the style of another.

    The same arguments on the same machine give the same bits. Ctrl-C after the first step
    ends it early and returns the picture made so far.

    Args:
        content: the picture whose things are to be recognised: a path, bytes, a binary file or
            a PIL image.
        style: the picture whose colours, strokes and textures are to be taken.
        image_shape: (H, W) for both, or the shorter side, each keeping its own aspect ratio.
        style_shape: likewise for the style picture alone, where it is to differ: the larger,
            the broader the strokes.
        num_epochs: how many steps.
        lr: Adam's learning rate at the start.
        lr_decay_epoch: the learning rate is multiplied by 0.8 each time so many steps have
            passed. None: ten times over the training, as in the recipe.
        weights: a factor for each kind of loss. The defaults are for the embedded network.
        content_layers: where content is compared.
        style_layers: where style is compared.
        init: what to start from: "content", "style", "noise", or a picture.
        seed: of the noise, where `init` is "noise".
        scales: the number of sizes to work through, each twice the one before, the steps shared
            out evenly.
        clamp: keep every pixel within the visible range after each step. The recipe does not.
        precision: "float32", "bfloat16" or "auto", see `FeatureExtractor`.
        device: where to compute; None is a GPU that CUDA knows, where there is one, else the
            processor.
        net: the network, which is moved to `device`; None is `vgg19()`.
        callback: called with a `Step` after each step; returning True ends the transfer.

    Raises:
        FileError: a picture cannot be read.
        InputError: an argument is out of its range.
        DivergenceError: the loss is no longer finite; the exception carries the last good
            picture.

    Source: Gatys, Ecker and Bethge (2016), in the recipe of Zhang et al., Dive into Deep
    Learning, "Neural Style Transfer", which by default has an image_shape of (300, 450) and 500
    epochs.

    Example:
        >>> from stylelib import samples, transfer
        >>> photo, style = samples.load("chelsea"), samples.load("mosaic")
        >>> result = transfer(photo, style, image_shape=64, num_epochs=5)
        >>> result.image.size, len(result.history)
        ((96, 64), 5)
    """
    content_image, style_image = load_image(content), load_image(style)
    if type(num_epochs) is not int or num_epochs < 1:
        raise InputError(f"num_epochs is a whole number, 1 or more, not {num_epochs!r}")
    if type(scales) is not int or not 1 <= scales <= num_epochs:
        raise InputError(
            f"scales is a whole number from 1 to num_epochs ({num_epochs}), not {scales!r}"
        )
    check_seed(seed)
    weights, lr = check_weights(weights), check_lr(lr)
    device = _usable_device(device)
    if net is None:
        net = vgg19(layers=[*content_layers, *style_layers])
    net = net.to(device)
    height, width = target_shape(content_image, image_shape)
    full_style = target_shape(style_image, image_shape if style_shape is None else style_shape)
    X = _start(init, content_image, style_image, (height, width), seed)

    network = network_digest(net)
    extractor = FeatureExtractor(net, content_layers, style_layers, precision=precision)
    history: list[Record] = []
    stopped = False

    def follow(step: Step) -> bool:
        nonlocal stopped
        seconds = step.seconds + (history[begins - 1].seconds if begins else 0.0)
        step = replace(step, step=begins + step.step, seconds=seconds)
        history.append(Record(step.step, step.losses, step.lr, step.seconds))
        stopped = bool(callback and callback(step))
        return stopped

    objective: Objective | None = None
    try:
        for scale in range(scales):
            begins = len(history)
            steps = num_epochs * (scale + 1) // scales - begins
            shrink = 2 ** (scales - 1 - scale)
            shape = (max(1, height // shrink), max(1, width // shrink))
            style_size = (max(1, full_style[0] // shrink), max(1, full_style[1] // shrink))
            _, contents_Y = get_contents(
                content_image, shape, net, device, content_layers=content_layers
            )
            _, styles_Y = get_styles(
                style_image, style_size, net, device, style_layers=style_layers
            )
            resized = X
            if X.shape[2:] != shape:
                resized = interpolate(X, shape, mode="bicubic", antialias=True)
            try:
                result = synthesize(
                    resized,
                    contents_Y,
                    styles_Y,
                    device,
                    lr,
                    steps,
                    max(1, steps // 10) if lr_decay_epoch is None else lr_decay_epoch,
                    extractor=extractor,
                    weights=weights,
                    clamp=clamp,
                    callback=follow,
                )
            except DivergenceError as error:
                error.history[:] = history
                raise
            X = result.picture
            grams = [gram(Y) for Y in styles_Y]
            objective = style_objective(extractor, contents_Y, grams, weights)
            if stopped or result.interrupted:
                break
        shares = gradient_shares(X, objective) if objective else {}
    except KeyboardInterrupt:  # between the steps of two sizes, or after the last
        if objective is None:
            raise
        shares = {}

    settings = {
        "stylelib": __version__,
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": torch.get_num_threads(),
        "content": _describe(content),
        "style": _describe(style),
        "image_shape": image_shape,
        "style_shape": style_shape,
        "num_epochs": num_epochs,
        "lr": lr,
        "lr_decay_epoch": lr_decay_epoch,
        "weights": weights._asdict(),
        "content_layers": [layer_index(net, layer) for layer in content_layers],
        "style_layers": [layer_index(net, layer) for layer in style_layers],
        "init": _describe(init),
        "seed": seed,
        "scales": scales,
        "clamp": clamp,
        "network": network,
        "precision": str(resolve_precision(precision, device)).removeprefix("torch."),
        "device": str(device),
    }
    X = X.cpu()
    return TransferResult(postprocess(X), X, history, shares, settings)


def _usable_device(device: torch.device | str | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.zeros(1, device=device).item()
        return torch.device(device)
    except (RuntimeError, AssertionError) as error:  # torch's ways to say that there is none
        raise InputError(
            f"device '{device}' cannot be used here: {str(error).splitlines()[0]}"
        ) from error


def _start(
    init: Init | ImageSource,
    content: Image.Image,
    style: Image.Image,
    shape: tuple[int, int],
    seed: int,
) -> Tensor:
    """The picture to start from, (1, 3, H, W), normalised."""
    if init == "noise":
        pixels = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(seed))
        return (pixels - IMAGE_MEAN.view(3, 1, 1)) / IMAGE_STD.view(3, 1, 1)
    given = {"content": content, "style": style}.get(init) if isinstance(init, str) else None
    if given is None:
        if isinstance(init, str) and not os.path.exists(init):
            raise InputError(
                f"init is 'content', 'style', 'noise' or a picture; there is no file '{init}'"
            )
        given = load_image(init)
    return preprocess(given, shape)


def _describe(source: ImageSource) -> str:
    """What to call a picture in the settings: its path, or its kind."""
    return (
        os.fspath(source)
        if isinstance(source, str | os.PathLike)
        else f"<{type(source).__name__}>"
    )
