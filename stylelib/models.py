"""Networks other than VGG-19: torchvision's models, with layers by name (chapter 3)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from stylelib.arguments import choice, several
from stylelib.errors import InputError, did_you_mean, missing
from stylelib.features import Features, NetworkFeatures, check_eval, check_pictures
from stylelib.layers import Layer
from stylelib.networks import check_module, structure
from stylelib.objectives import Layers
from stylelib.precision import PRECISIONS, Precision, computed_in

__all__ = ["ModelFeatures", "check_defaults", "features_of", "layer_names"]


def features_of(
    net: nn.Module, precision: Precision = "float32", *, widen: bool = True
) -> Features:
    """The features of images in any network: `NetworkFeatures` or `ModelFeatures`."""
    if isinstance(net, nn.Sequential):
        return NetworkFeatures(net, precision, widen=widen)
    return ModelFeatures(net, precision, widen=widen)


def layer_names(model: nn.Module) -> list[str]:
    """The names of a model's layers, in order.

    The layers of an `nn.Sequential` have the names of its children. Those of another model come
    from tracing it (`torchvision.models.feature_extraction.get_graph_node_names`).

    Raises:
        InputError: it is not a PyTorch model, or it cannot be traced.
    """
    if isinstance(model, nn.Sequential):
        return list(model._modules)
    check_module(model)
    try:
        from torchvision.models.feature_extraction import get_graph_node_names
    except ModuleNotFoundError as error:
        raise missing("torchvision", "models") from error
    try:
        _, names = get_graph_node_names(model, suppress_diff_warning=True)
    except Exception as error:  # tracing fails in as many ways as models are written
        raise InputError(
            f"the layers of this {type(model).__name__} cannot be traced ({error}); give its "
            "layers as an nn.Sequential"
        ) from error
    return list(names)


class ModelFeatures:
    """The features of images in a model that is not an `nn.Sequential`, such as a ResNet.

    The model itself is not changed. A copy with the same weights is run, in which in-place
    operations are replaced, so that no layer overwrites the features of another.

    Args:
        model: a model in eval mode, for images normalized as torchvision's models need them.
        precision, widen: as for `NetworkFeatures`.

    Raises:
        InputError: the model is in training mode, or cannot be traced.
    """

    def __init__(
        self, model: nn.Module, precision: Precision = "float32", *, widen: bool = True
    ) -> None:
        self.model, self.widen = check_eval(model), widen
        self.names = layer_names(model)
        self.precision = choice("precision", precision, PRECISIONS)
        self.graphs: dict[tuple[str, ...], fx.GraphModule] = {}

    def __call__(self, X: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
        """The features of a batch of images, as from `NetworkFeatures`; layers have names."""
        check_pictures(X, self.model)
        asked = [layer_of(self.names, layer) for layer in several("layers", layers, least=0)]
        if not asked:
            return []
        graph = self.graph(tuple(dict.fromkeys(asked)))
        with computed_in(self.precision, X.device):
            try:
                found = graph(X)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # for example, a kernel larger than its input
                height, width = X.shape[2:]
                raise InputError(
                    f"the model cannot process an image of {height} x {width}: {error}"
                ) from error
        for name in asked:
            if not isinstance(found[name], Tensor) or found[name].ndim != 4:
                raise InputError(f"layer '{name}' gives no features of shape (N, C, H, W)")
        return [found[name].to(X.dtype) if self.widen else found[name] for name in asked]

    def graph(self, layers: tuple[str, ...]) -> fx.GraphModule:
        """The part of the model that computes these layers."""
        from torchvision.models.feature_extraction import create_feature_extractor

        if layers not in self.graphs:
            graph = create_feature_extractor(
                self.model, list(layers), suppress_diff_warning=True
            )
            self.graphs[layers] = without_inplace(graph)
        return self.graphs[layers]


def without_inplace(graph: fx.GraphModule) -> fx.GraphModule:
    """Replace in-place modules by copies that are not in place, and drop `inplace=True`.

    Functions that are in place by name, such as `torch.relu_`, stay.
    """
    for name, part in list(graph.named_modules(remove_duplicate=False)):
        if getattr(part, "inplace", False) and not list(part.children()):
            plain = copy.copy(part)
            plain.inplace = False
            parent, _, leaf = name.rpartition(".")
            setattr(graph.get_submodule(parent), leaf, plain)
    for node in graph.graph.nodes:
        if node.kwargs.get("inplace"):
            node.kwargs = {**node.kwargs, "inplace": False}
    graph.recompile()
    return graph


def layer_of(names: Sequence[str], layer: Layer) -> str:
    """The name of a layer of a model whose layers have no numbers."""
    if isinstance(layer, str) and layer in names:
        return layer
    known = f"its layers are {names[0]} to {names[-1]}"
    hint = did_you_mean(layer, names, known) if isinstance(layer, str) else known
    raise InputError(f"this model has no layer {layer!r}; {hint}")


def check_defaults(net: nn.Module, layers: Layers, usual: Sequence[int], name: str) -> None:
    """Check that an argument does not name VGG-19's layers by default in another network.

    Args:
        net: the network.
        layers: the argument's value.
        usual: its default.
        name: its name, for the message.

    Raises:
        InputError: the numbers mean other layers in this network, or it ends before them.
    """
    if list(layers) != list(usual):
        return
    known = structure(max(usual) + 1)
    names = layer_names(net)
    alike = isinstance(net, nn.Sequential) and all(map(_alike, net, known))
    if alike and len(names) >= len(known):
        return
    what = f"is another, with layers from {names[0]!r} to {names[-1]!r}"
    if alike:
        what = f"ends with {names[-1]!r}, number {len(names) - 1}"
    raise InputError(
        f"{name} is by default {list(usual)}, layers of VGG-19, but this network "
        f"{what}: name {name} of its own"
    )


def _alike(layer: nn.Module, usual: nn.Module) -> bool:
    """Whether a layer is of the same kind as the layer of VGG-19 at its position."""
    if isinstance(usual, nn.Conv2d):
        sizes = (usual.in_channels, usual.out_channels)
        return isinstance(layer, nn.Conv2d) and (layer.in_channels, layer.out_channels) == sizes
    pooling = (nn.MaxPool2d, nn.AvgPool2d)
    return isinstance(layer, pooling if isinstance(usual, pooling) else type(usual))
