"""extract_features: reference and likely mistakes (chapter 3)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stylelib.check.exercises import Arguments, Exercise, Wrong

__all__ = ["EXERCISES"]

Array = NDArray[np.float64]
Found = tuple[list[Any], list[Any]]


def small_network() -> nn.Sequential:
    """Three convolutions, ReLUs and a pooling, with fixed weights."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 2, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(2, 5, 3, padding=1),
        nn.ReLU(),
    )
    random = np.random.default_rng(4)
    for weight in net.parameters():
        values = random.standard_normal(tuple(weight.shape)) / 2
        weight.data.copy_(torch.from_numpy(values))
    return net.requires_grad_(False).eval()


def _inputs() -> list[Arguments]:
    random = np.random.default_rng(5)
    given: list[Arguments] = []
    for shape, contents, styles in (
        ((1, 3, 6, 8), [5], [0, 2]),
        ((2, 3, 4, 6), [2], [0, 2, 5]),
        ((1, 3, 8, 4), [1, 4, 6], [3]),
    ):
        X = torch.from_numpy(random.standard_normal(shape)).float().requires_grad_()
        given.append((X, small_network(), contents, styles))
    return given


def _layer(layer: nn.Module, x: Array) -> Array:
    """One layer in NumPy, window by window."""
    if isinstance(layer, nn.ReLU):
        return np.asarray(np.maximum(x, 0))
    N, _, H, W = x.shape
    if isinstance(layer, nn.MaxPool2d):
        return np.asarray(x.reshape(*x.shape[:2], H // 2, 2, W // 2, 2).max((3, 5)))
    weight, bias = (layer.get_parameter(n).double().numpy() for n in ("weight", "bias"))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    y = np.zeros((N, len(weight), H, W))
    for i, j in np.ndindex(H, W):
        y[:, :, i, j] = np.tensordot(
            padded[:, :, i : i + 3, j : j + 3], weight, ([1, 2, 3],) * 2
        )
    return np.asarray(y + bias[:, None, None])


def outputs(X: Tensor, net: nn.Sequential) -> list[Array]:
    """The output of every layer."""
    y, found = X.detach().double().numpy(), []
    for layer in net:
        y = _layer(layer, y)
        found.append(y)
    return found


def _features(X: Tensor, net: nn.Sequential, contents: list[int], styles: list[int]) -> Found:
    y = outputs(X, net)
    return [y[k] for k in contents], [y[k] for k in styles]


def _of_outputs(
    name: str, sentence: str, pick: Callable[[Array, list[Array], list[int]], list[Any]]
) -> Wrong:
    """A mistake in what is taken of the input and of all outputs, for a list of layers."""

    def version(X: Tensor, net: nn.Sequential, contents: list[int], styles: list[int]) -> Found:
        x, y = X.detach().double().numpy(), outputs(X, net)
        return pick(x, y, contents), pick(x, y, styles)

    return Wrong(name, sentence, version)


def _of_both(name: str, sentence: str, change: Callable[[Any, Any], Any]) -> Wrong:
    """A mistake in what is returned of the right features."""
    return Wrong(name, sentence, lambda *given: change(*_features(*given)))


def _elif(first: int) -> Callable[..., Found]:
    """A layer that is in both lists is found in one of them only."""

    def version(X: Tensor, net: nn.Sequential, contents: list[int], styles: list[int]) -> Found:
        only = [k for k in (styles, contents)[first] if k not in (contents, styles)[first]]
        return _features(X, net, *((contents, only) if first == 0 else (only, styles)))

    return version


def _before_deepest(X: Tensor, net: nn.Sequential, *layers: list[int]) -> Found:
    deepest = max(max(some) for some in layers)
    contents, styles = ([k for k in some if k < deepest] for some in layers)
    return _features(X, net, contents, styles)


def _up_to(last: Callable[[list[int], list[int]], float]) -> Callable[..., Found]:
    """The loop ends at a layer, so what is deeper is missing."""

    def version(X: Tensor, net: nn.Sequential, *layers: list[int]) -> Found:
        end = last(*layers)
        contents, styles = ([k for k in some if k <= end] for some in layers)
        return _features(X, net, contents, styles)

    return version


def _within_last_content(X: Tensor, net: nn.Sequential, *layers: list[int]) -> Found:
    contents, styles = layers
    return _features(X, net, contents, [k for k in styles if k < max(contents)])


def _same_input(X: Tensor, net: nn.Sequential, *layers: list[int]) -> Found:
    x = X.detach().double().numpy()
    contents, styles = (
        [net[k](torch.from_numpy(x).float()).numpy() for k in some] for some in layers
    )
    return contents, styles


FEATURES = Exercise(
    "extract_features",
    "the features",
    "extract_features(X, net, content_layers, style_layers)",
    _inputs,
    _features,
    (
        _of_both(
            "styles_first",
            "Your function returns the style features first. Return contents, styles.",
            lambda contents, styles: (styles, contents),
        ),
        _of_both(
            "contents_only",
            "Your function returns only the content features.",
            lambda contents, _: contents,
        ),
        _of_both(
            "styles_only",
            "Your function returns only the style features.",
            lambda _, styles: styles,
        ),
        _of_both(
            "one_list",
            "Your function returns all features in one list. Return two lists, contents and "
            "styles.",
            lambda contents, styles: [*contents, *styles],
        ),
        _of_both(
            "features_without_lists",
            "Your function returns tensors in place of the lists contents and styles, for "
            "example because it joins or unpacks them.",
            lambda contents, styles: (contents[-1], styles[-1]),
        ),
        _of_both(
            "no_contents",
            "Your list of content features is empty. Are they appended to another list?",
            lambda _, styles: ([], styles),
        ),
        _of_both(
            "no_styles",
            "Your list of style features is empty. Are they appended to another list?",
            lambda contents, _: (contents, []),
        ),
        _of_both(
            "styles_twice",
            "Your function returns the style features twice, and no content features.",
            lambda _, styles: (styles, styles),
        ),
        _of_both(
            "contents_twice",
            "Your function returns the content features twice, and no style features.",
            lambda contents, _: (contents, contents),
        ),
        _of_both(
            "deepest_first",
            "Your features are in reverse order. Keep the order of the layers.",
            lambda contents, styles: (contents[::-1], styles[::-1]),
        ),
        _of_both(
            "last_only",
            "Your lists hold only the last feature each. Append to them, and return after the "
            "loop.",
            lambda contents, styles: (contents[-1:], styles[-1:]),
        ),
        _of_both(
            "first_only",
            "Your lists hold only the first feature each. Is `return` inside of the loop?",
            lambda contents, styles: (contents[:1], styles[:1]),
        ),
        _of_both(
            "flattened",
            "Your features have lost their axes: keep (N, C, H, W), and flatten in `gram`.",
            lambda *both: tuple([F.reshape(*F.shape[:2], -1) for F in some] for some in both),
        ),
        _of_both(
            "no_batch_axis",
            "Your features have no axis for the batch, or those of its first image only.",
            lambda *both: tuple([F[0] for F in some] for some in both),
        ),
        _of_both(
            "rectified",
            "Your features have gone through a ReLU that is not among the layers asked for. "
            "If a ReLU of the network works in place, it overwrites the features before it.",
            lambda *both: tuple([np.maximum(F, 0) for F in some] for some in both),
        ),
        _of_both(
            "averaged_over_positions",
            "Your features are averaged over positions. Keep them as they are.",
            lambda *both: tuple([F.mean((2, 3)) for F in some] for some in both),
        ),
        _of_outputs(
            "layer_before",
            "Your features are those of the layer before: they are taken before the layer is "
            "applied, or the layers are counted from 1.",
            lambda x, y, layers: [y[k - 1] if k else x for k in layers],
        ),
        _of_outputs(
            "layer_after",
            "Your features are those of the next layer: the counting starts one too early.",
            lambda _, y, layers: [y[min(k + 1, len(y) - 1)] for k in layers],
        ),
        _of_outputs(
            "final_output",
            "Your features are all those of the network's last layer. Take them within the "
            "loop.",
            lambda _, y, layers: [y[-1] for _ in layers],
        ),
        _of_outputs(
            "every_layer",
            "Your lists hold the features of every layer. Take only the layers asked for.",
            lambda _, y, layers: list(y),
        ),
        _of_outputs(
            "every_layer_up_to_it",
            "Your lists hold the features of every layer up to the deepest one asked for. "
            "Take only the layers asked for.",
            lambda _, y, layers: y[: max(layers) + 1],
        ),
        _of_outputs(
            "input_only",
            "Your features are the image itself. Is the result of each layer kept, as in `X = "
            "layer(X)`?",
            lambda x, _, layers: [x for _ in layers],
        ),
        Wrong(
            "elif_for_styles",
            "Your function misses style layers that are content layers, too. Write two `if`, "
            "not `if` and `elif`.",
            _elif(0),
        ),
        Wrong(
            "elif_for_contents",
            "Your function misses content layers that are style layers, too. Write two `if`, "
            "not `if` and `elif`.",
            _elif(1),
        ),
        Wrong(
            "deepest_missing",
            "Your function stops before the deepest layer. The loop has to include it.",
            _before_deepest,
        ),
        Wrong(
            "ends_at_last_content_layer",
            "Your loop ends at the last content layer, so the features of deeper style layers "
            "are missing.",
            _up_to(lambda contents, _: max(contents)),
        ),
        Wrong(
            "ends_within_last_content_layer",
            "Your loop ends as soon as the last content layer is taken, so the features of "
            "style layers that are as deep or deeper are missing.",
            _within_last_content,
        ),
        Wrong(
            "ends_at_last_style_layer",
            "Your loop ends at the last style layer, so the features of deeper content layers "
            "are missing.",
            _up_to(lambda _, styles: max(styles)),
        ),
        Wrong(
            "each_layer_on_the_image",
            "Your function applies each layer to the image. Apply it to the output of the "
            "layer before it: `X = layer(X)`.",
            _same_input,
        ),
    ),
    parts=("the content features", "the style features"),
    cases=(
        "one image",
        "a batch of two images and a layer that is in both lists",
        "a ReLU and a pooling layer",
    ),
    learns=True,
    chapter="03-looking-through-vgg",
)

EXERCISES = (FEATURES,)
