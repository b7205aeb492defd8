"""Style transfer in one call (chapter 1)."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from stylelib.beyond.coarse_to_fine import COARSE_TO_FINE
from stylelib.beyond.neighbors import NEIGHBORS
from stylelib.control.colors import Colors
from stylelib.control.styles import Styles
from stylelib.devices import cores, find_device
from stylelib.errors import InputError, did_you_mean
from stylelib.files import ImageSource
from stylelib.losses import LossWeights
from stylelib.objectives import Layers
from stylelib.precision import Precision, resolve_precision
from stylelib.recipes import Effort, Recipe
from stylelib.records import Callback
from stylelib.relatives.assignment import ASSIGNMENT
from stylelib.relatives.paper import GATYS
from stylelib.results import TransferResult
from stylelib.runs import follow
from stylelib.sources import Controls
from stylelib.stages import RunState
from stylelib.synthesis import Init

__all__ = [
    "FULL",
    "LIGHT",
    "PROFILES",
    "QUICK",
    "RECIPES",
    "TINY",
    "Profile",
    "find_recipe",
    "profile",
    "transfer",
]

RECIPES = MappingProxyType(
    {
        "coarse-to-fine": COARSE_TO_FINE,
        "neighbors": NEIGHBORS,
        "d2l": Recipe(),
        "gatys": GATYS,
        "assignment": ASSIGNMENT,
    }
)
"""The methods by name. "coarse-to-fine" is the default, "neighbors" matches positions, "d2l" is
the book's main line, "gatys" the method of the paper, "assignment" that of a course."""


def transfer(
    content: ImageSource,
    style: Styles,
    *,
    recipe: str | Recipe = "coarse-to-fine",
    image_shape: int | tuple[int, int] = 300,
    style_shape: int | tuple[int, int] | None = None,
    colors: Colors = "style",
    strength: float = 1.0,
    strokes: float = 1.0,
    shares: Mapping[str, float] | None = None,
    effort: Effort = "normal",
    steps: int | Sequence[int] | None = None,
    lr: float | None = None,
    lr_decay_epoch: int | None = None,
    weights: LossWeights | None = None,
    content_layers: Layers | None = None,
    style_layers: Layers | None = None,
    init: Init | ImageSource | None = None,
    seed: int = 0,
    scales: int | None = None,
    clamp: bool | float | None = None,
    precision: Precision | None = None,
    device: torch.device | str | None = None,
    net: nn.Module | None = None,
    callback: Callback | None = None,
    state: RunState | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    memory: float | None = None,
) -> TransferResult:
    """Paint the content of one image in the style of another.

    The same arguments give the same bits on the same processor. A GPU may add in another order
    each time, unless `torch.use_deterministic_algorithms(True)` forbids it.

    There are five recipes. "coarse-to-fine", the default, compares Gram matrices and works
    through one size after the other by L-BFGS without a line search. "neighbors" gives every
    position the features of the most similar position of the style image. "d2l" is the main
    line of the book: the outputs of convolutions, mean squared errors, Adam with a falling
    learning rate. "gatys" is the method of the paper: outputs of ReLUs, the paper's factors
    (the convention "paper"), and L-BFGS, which returns the best image it has seen.
    "assignment" is that of a course (`stylelib.assignment`). An argument of None takes what
    the recipe has.

    Args:
        content: the image whose objects stay recognizable: a path, bytes, a binary file or a
            PIL image. If it has an alpha channel, the result has the same, and transparent
            positions do not count in the losses of content and style.
        style: the image whose colors, strokes and textures are taken; or a list of several,
            each an image or a `Style` with a weight, layers, or a region of its own.
        recipe: one of these names, or a `Recipe` of your own, for example
            `dataclasses.replace(RECIPES["d2l"], style_loss=my_loss)`.
        image_shape: (H, W) for both images; or the shorter side, and each keeps its aspect
            ratio. A transfer needs about 0.8 GB of memory, plus 4 GB per million pixels; or
            less, see `memory`.
        style_shape: the same for the style image alone, if its size should differ. The larger
            it is, the broader the strokes.
        colors: "style" takes the style's colors; "keep" keeps the photograph's and paints only
            its luminance; "match" gives the style image the photograph's colors before it is
            used; "only" takes nothing but the colors of the painted image.
        strength: from 0, the photograph, to 1: what the style losses aim for lies between the
            photograph's own statistics and the style's.
        strokes: the size of the style image, and so of its strokes, relative to what
            `style_shape` says.
        shares: the gradient share that each loss should have, such as {"content": 0.45,
            "style": 0.45, "tv": 0.1}. The weights are set up to four times at each size, so a
            share means the same for any network and any loss. At most 0.5 each. A run of a
            hundred steps or more ends within about 0.03 of them.
        effort: "draft", "normal" or "best": the number of steps, if `steps` does not say.
        steps: the number of steps at all sizes together; with L-BFGS, the number of evaluations
            of the losses. Or a list: the number at each size, of which there are so many. None:
            what `effort` says; of several sizes, those above a megapixel get fewer.
        lr: Adam's learning rate at the start. L-BFGS has none.
        lr_decay_epoch: each time this many steps have passed, the learning rate is multiplied
            by 0.8. None: each time a tenth of the run has passed, as in the d2l recipe.
        weights: a factor for each kind of loss. Those of "d2l" suit the network
            (`weights_for`), those of "coarse-to-fine" suit any, the others the embedded
            weights. With "gatys" the weights of style and total variation are for *each
            position* of the content layer's features: the paper's content loss is a sum over
            positions and its style loss is not, so with the same weights a larger image would
            get less style. With several content layers, their mean number of positions counts.
        content_layers: where content is compared: a list of layers by number or name, or a
            mapping from each layer to a factor.
        style_layers: where style is compared, in the same form.
        init: what to start from: "content", "style", "noise", or an image.
        seed: for the noise, if `init` is "noise".
        scales: the number of sizes to work through, each twice the one before. The steps are
            divided evenly among them. None: the recipe's own sizes.
        clamp: keep every pixel within the visible range after each step (True), or within this
            distance of the mean color, in normalized units (a number). The sources of "d2l" and
            "gatys" do not clamp.
        precision: "float32", "winograd", "bfloat16" or "auto", see `resolve_precision`. The
            line search of L-BFGS does not work in bfloat16. On CUDA, PyTorch rounds what it
            convolves in float32 to 10 bits (TF32) unless `torch.backends.cudnn.allow_tf32` is
            False.
        device: where to compute; None takes a GPU with CUDA, else Apple's, else the processor.
        net: the network, which is moved to `device`; None is `vgg19()`. Networks other than
            VGG-19, such as torchvision's models, need both kinds of layers named.
        callback: called with a `Step` after each step; returning True ends the transfer.
        state: what `step.state()` returned in a callback of an earlier call with the same
            arguments. The transfer continues from there.
        checkpoint: a file that holds the state of the run. It is written every minute, on
            Ctrl-C and SIGTERM, which then end the transfer after the step, and at the end, each
            time as a whole. If the file exists when the same call is made again, the transfer
            continues from there with the same tiles (see `memory`), and its result has the same
            bits as without a stop, on the same machine. After the end the same call returns
            the same result at once, until you remove the file. If it cannot be written, there
            is a warning, and the run goes on.
        memory: the most memory that the process may use, in GB; on a GPU, what its tensors may.
            None: 90% of what is available (on Windows, where it is not known, all). What does
            not fit is computed by tiles (`TiledFeatures`): the same losses and gradients up to
            rounding, on a processor in 1.1 to 1.7 times the time. What does not fit even so is
            refused before the first step (`stylelib.estimate` tells it, too). A bound that you
            give is not compared with what there is.

    Raises:
        FileError: an image cannot be read; the checkpoint is damaged or in use by another run.
        InputError: an argument is out of its range, the image needs too much memory, or the
            checkpoint is of another run.
        DivergenceError: the loss is no longer finite. The exception carries the last good
            image.
        Interrupted: Ctrl-C after the first step. Its `.result` is the image so far.

    Source: Gatys, Ecker and Bethge (2016), in the recipe of Zhang et al., Dive into Deep
    Learning, "Neural Style Transfer", which by default has an image_shape of (300, 450) and 500
    steps.

    Example:
        >>> from stylelib import samples, transfer
        >>> photo, style = samples.load("chelsea"), samples.load("mosaic")
        >>> result = transfer(photo, style, image_shape=64, steps=5)
        >>> result.image.size
        (96, 64)
    """
    used = find_recipe(recipe).changed(
        lr=lr,
        lr_decay_epoch=lr_decay_epoch,
        precision=precision,
        weights=weights,
        content_layers=content_layers,
        style_layers=style_layers,
        clamp=clamp,
    )
    return follow(
        used,
        content,
        style,
        name=recipe if isinstance(recipe, str) else repr(recipe),
        image_shape=image_shape,
        style_shape=style_shape,
        controls=Controls(colors, strength, strokes, shares),
        effort=effort,
        steps=steps,
        init=init,
        seed=seed,
        scales=scales,
        device=device,
        net=net,
        callback=callback,
        state=state,
        checkpoint=checkpoint,
        memory=memory,
    )


def find_recipe(recipe: str | Recipe) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: there is none; the message says which may have been meant.
    """
    if isinstance(recipe, Recipe):
        return recipe
    if not isinstance(recipe, str) or recipe not in RECIPES:
        hint = did_you_mean(str(recipe), RECIPES, f"there are {', '.join(RECIPES)}")
        raise InputError(f"there is no recipe {recipe!r}; {hint}")
    return RECIPES[recipe]


@dataclass(frozen=True)
class Profile:
    """An image size and a length of training: `transfer(..., **profile())`.

    Attributes:
        image_shape: (H, W).
        steps: the number of steps.
    """

    image_shape: tuple[int, int]
    steps: int

    @property
    def draft(self) -> dict[str, Any]:
        """The arguments of `transfer` for a quick image: an effort, or TINY's few steps."""
        return {"steps": self.steps} if self == TINY else {"effort": "draft"}

    @property
    def normal(self) -> dict[str, Any]:
        """The same for an image that may take longer."""
        return {"steps": self.steps} if self == TINY else {"effort": "normal"}

    @property
    def num_epochs(self) -> int:
        """The steps, as d2l's `train` calls them."""
        return self.steps

    @property
    def lr_decay_epoch(self) -> int:
        """The number of steps between drops of the learning rate: ten drops per run."""
        return max(1, self.steps // 10)

    def keys(self) -> list[str]:
        """Makes `**profile` work."""
        return list(asdict(self))

    def __getitem__(self, key: str) -> Any:
        return getattr(self, key)

    def __str__(self) -> str:
        """The profile's name, such as "quick"; "own" if it is none of `PROFILES`."""
        return next((name for name, known in PROFILES.items() if known == self), "own")


FULL = Profile(image_shape=(300, 450), steps=500)
"""The recipe's own numbers."""
QUICK = Profile(image_shape=(200, 300), steps=200)
"""What the book uses by default: the same schedule, shorter and smaller."""
LIGHT = Profile(image_shape=(112, 168), steps=200)
"""What it uses on one or two cores without fast bfloat16, where that would take an hour."""
TINY = Profile(image_shape=(64, 96), steps=8)
"""Too small to look at: for tests that run every chapter."""
PROFILES = MappingProxyType({"quick": QUICK, "light": LIGHT, "full": FULL, "tiny": TINY})
"""The profiles by name."""


def profile() -> Profile:
    """The profile named by STYLELIB_PROFILE in the environment: quick, light, full or tiny.

    Without the variable, or with "auto", it is light on a processor of one or two cores where
    `precision="auto"` does not mean bfloat16 (`resolve_precision`), and quick elsewhere.

    Raises:
        InputError: the variable holds another word.
    """
    name = os.environ.get("STYLELIB_PROFILE", "auto")
    if name == "auto":
        device = find_device(None)
        few = device.type == "cpu" and cores() <= 2
        slow = few and resolve_precision("auto", device) != "bfloat16"
        return LIGHT if slow else QUICK
    if name not in PROFILES:
        known = "auto, quick, light, full or tiny"
        raise InputError(f"STYLELIB_PROFILE is {known}, not '{name}'")
    return PROFILES[name]
