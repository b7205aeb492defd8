"""Networks other than VGG-19: models of torchvision's, layers by name (chapter 3)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

from stylelib.arguments import choice, several
from stylelib.errors import InputError, did_you_mean
from stylelib.features import Features, NetworkFeatures, check_eval, check_pictures
from stylelib.layers import Layer
from stylelib.networks import check_module, structure
from stylelib.objectives import Layers
from stylelib.precision import PRECISIONS, Precision, resolve_precision

__all__ = ["ModelFeatures", "check_defaults", "features_of", "layer_names"]


def features_of(
    net: nn.Module, precision: Precision = "float32", *, widen: bool = True
) -> Features:
    """The features of pictures in any network: `NetworkFeatures`, or `ModelFeatures`."""
    if isinstance(net, nn.Sequential):
        return NetworkFeatures(net, precision, widen=widen)
    return ModelFeatures(net, precision, widen=widen)


def layer_names(model: nn.Module) -> list[str]:
    """The names by which the layers of a model can be asked for, in order.

    Those of an `nn.Sequential` are its children's; those of another model come from following
    a picture through it (`torchvision.models.feature_extraction.get_graph_node_names`).

    Raises:
        InputError: it is no model of PyTorch, or it cannot be followed.
    """
    if isinstance(model, nn.Sequential):
        return list(model._modules)
    check_module(model)
    from torchvision.models.feature_extraction import get_graph_node_names

    try:
        _, names = get_graph_node_names(model, suppress_diff_warning=True)
    except Exception as error:  # tracing fails in as many ways as models are written
        raise InputError(
            f"the layers of this {type(model).__name__} cannot be followed ({error}); give its "
            "layers as an nn.Sequential"
        ) from error
    return list(names)


class ModelFeatures:
    """The features of pictures in a model that is no `nn.Sequential`, such as a ResNet.

    The model is not changed. In-place operations are replaced in the copy that is run, so that
    what a layer gave stays what it gave; the weights are the model's own.

    Args:
        model: a model in eval mode, for pictures normalized as torchvision's.
        precision, widen: as for `NetworkFeatures`.

    Raises:
        InputError: a model in training mode, or one that cannot be followed.
    """

    def __init__(
        self, model: nn.Module, precision: Precision = "float32", *, widen: bool = True
    ) -> None:
        self.model, self.widen = check_eval(model), widen
        self.names = layer_names(model)
        self.precision = choice("precision", precision, PRECISIONS)
        self.graphs: dict[tuple[str, ...], fx.GraphModule] = {}

    def __call__(self, X: Tensor, layers: Sequence[Layer]) -> list[Tensor]:
        """The features of a batch of pictures; as `NetworkFeatures`, but layers have names."""
        check_pictures(X, self.model)
        asked = [layer_of(self.names, layer) for layer in several("layers", layers, least=0)]
        if not asked:
            return []
        graph = self.graph(tuple(dict.fromkeys(asked)))
        half = resolve_precision(self.precision, X.device) is torch.bfloat16
        with torch.autocast(X.device.type, torch.bfloat16, enabled=half):
            try:
                found = graph(X)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # for example, a kernel larger than what is left
                height, width = X.shape[2:]
                raise InputError(
                    f"the model cannot look at a picture of {height} x {width}: {error}"
                ) from error
        for name in asked:
            if not isinstance(found[name], Tensor) or found[name].ndim != 4:
                raise InputError(f"layer '{name}' gives no features of a shape (N, C, H, W)")
        return [found[name].to(X.dtype) if self.widen else found[name] for name in asked]

    def graph(self, layers: tuple[str, ...]) -> fx.GraphModule:
        """The part of the model that leads to these layers."""
        from torchvision.models.feature_extraction import create_feature_extractor

        if layers not in self.graphs:
            graph = create_feature_extractor(
                self.model, list(layers), suppress_diff_warning=True
            )
            self.graphs[layers] = without_inplace(graph)
        return self.graphs[layers]


def without_inplace(graph: fx.GraphModule) -> fx.GraphModule:
    """The same with copies in place of its in-place modules, and no `inplace=True`.

    Functions that are in place by their name, such as `torch.relu_`, stay.
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
    """Refuse the layers that an argument has by default, VGG-19's, in another network.

    Args:
        net: the network.
        layers: what the argument is.
        usual: what it is by default.
        name: of the argument, for the message.

    Raises:
        InputError: the numbers would mean other layers, or the network ends before them.
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
        f"{name} is by default {list(usual)}, layers of VGG-19, and this network "
        f"{what}: name {name} of its own"
    )


def _alike(layer: nn.Module, usual: nn.Module) -> bool:
    """Whether a layer is of the kind that stands there in VGG-19."""
    if isinstance(usual, nn.Conv2d):
        sizes = (usual.in_channels, usual.out_channels)
        return isinstance(layer, nn.Conv2d) and (layer.in_channels, layer.out_channels) == sizes
    pooling = (nn.MaxPool2d, nn.AvgPool2d)
    return isinstance(layer, pooling if isinstance(usual, pooling) else type(usual))
