"""VGG-19 and style transfer in NumPy, with every gradient by hand (chapters 14 to 17).

Nothing in this package computes with PyTorch. Images and features are arrays of shape
(N, C, H, W), float32 or float64. Results have the dtype of the input.

Example:
    >>> import numpy as np
    >>> from stylelib.from_scratch import Convolution
    >>> layer = Convolution(3, channel_in=3, channel_out=8, padding=1)
    >>> layer.forward(np.zeros((1, 3, 5, 7))).shape
    (1, 8, 5, 7)
"""

from stylelib.from_scratch.adam import Adam
from stylelib.from_scratch.convolution import Convolution
from stylelib.from_scratch.losses import ContentLoss, StyleLoss, TVLoss, gram
from stylelib.from_scratch.network import VGG19
from stylelib.from_scratch.pooling import AveragePool, MaxPool, ReLU
from stylelib.from_scratch.transfer import ScratchResult, style_transfer

__all__ = [
    "VGG19",
    "Adam",
    "AveragePool",
    "ContentLoss",
    "Convolution",
    "MaxPool",
    "ReLU",
    "ScratchResult",
    "StyleLoss",
    "TVLoss",
    "gram",
    "style_transfer",
]
