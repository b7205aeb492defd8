"""Measure the mean activation of each layer of the embedded VGG-19 and write
stylelib/vgg19_activations.json.

    python tools/measure_scales.py stylelib/vgg19_activations.json

The images are the package's samples, with a shorter side of 256 pixels. The network has its
original, unscaled weights, and we measure after each convolution's ReLU.
"""

import argparse
import json
from pathlib import Path

import torch
from torch import Tensor, nn

from stylelib import networks, preprocess, samples, weights
from stylelib.layers import VGG19_LAYERS, Pooling

SHORTER_SIDE = 256


def unscaled_network(pooling: Pooling) -> nn.Sequential:
    """VGG-19 with unscaled embedded weights, whose features have the original's units."""
    raw = weights.read_embedded()
    net = networks.structure(len(VGG19_LAYERS), pooling)
    ones = dict.fromkeys(VGG19_LAYERS, 1.0)
    net.load_state_dict(weights.embedded_state(net, raw, ones), assign=True)
    return net.requires_grad_(False)


@torch.no_grad()
def mean_activations(net: nn.Sequential, pictures: list[Tensor]) -> dict[str, float]:
    """The mean after each convolution's ReLU, over images, channels and positions."""
    total: dict[str, float] = {}
    for X in pictures:
        for name, layer in net.named_children():
            X = layer(X)
            if name.startswith("conv"):
                total[name] = total.get(name, 0.0) + float(X.relu().double().mean()) / len(
                    pictures
                )
    return total


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Measure the mean activation of each layer of the embedded VGG-19."
    )
    parser.add_argument("output", type=Path)
    output: Path = parser.parse_args().output
    pictures = [preprocess(samples.load(name), SHORTER_SIDE) for name in samples.names()]
    record = {
        "what": "mean activation after each convolution's ReLU, in the original's units; "
        "see tools/measure_scales.py",
        "pictures": samples.names(),
        "shorter_side": SHORTER_SIDE,
    }
    kinds: dict[str, Pooling] = {
        "mean_activation": "max",
        "mean_activation_avg_pool": "avg",
    }
    for key, pooling in kinds.items():
        means = mean_activations(unscaled_network(pooling), pictures)
        record[key] = {name: float(f"{value:.6g}") for name, value in means.items()}
    output.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
