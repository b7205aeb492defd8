"""Neural style transfer, one readable module a chapter of *Painting with Gradients*.

Example:
    >>> from stylelib import samples, transfer
    >>> photo, style = samples.load("chelsea"), samples.load("mosaic")
    >>> result = transfer(photo, style, image_shape=64, num_epochs=5)
    >>> result.image.size
    (96, 64)
"""

from stylelib import samples
from stylelib._version import __version__
from stylelib.errors import DivergenceError, FileError, InputError, StylelibError
from stylelib.features import FeatureExtractor, extract_features, get_contents, get_styles
from stylelib.images import (
    IMAGE_MEAN,
    IMAGE_STD,
    load_image,
    postprocess,
    preprocess,
    save_image,
)
from stylelib.losses import (
    EMBEDDED_WEIGHTS,
    Losses,
    LossWeights,
    compute_loss,
    content_loss,
    gram,
    style_loss,
    tv_loss,
)
from stylelib.networks import (
    CONTENT_LAYERS,
    STYLE_LAYERS,
    VGG19_LAYERS,
    layer_index,
    layer_name,
    vgg19,
)
from stylelib.optimization import Optimized, Record, Step, gradient_shares, optimize
from stylelib.recipes import FULL, QUICK, Profile, TransferResult, profile, transfer
from stylelib.synthesis import (
    SynthesizedImage,
    get_inits,
    style_objective,
    train,
    visible_range,
)

__all__ = [
    "CONTENT_LAYERS",
    "EMBEDDED_WEIGHTS",
    "FULL",
    "IMAGE_MEAN",
    "IMAGE_STD",
    "QUICK",
    "STYLE_LAYERS",
    "VGG19_LAYERS",
    "DivergenceError",
    "FeatureExtractor",
    "FileError",
    "InputError",
    "LossWeights",
    "Losses",
    "Optimized",
    "Profile",
    "Record",
    "Step",
    "StylelibError",
    "SynthesizedImage",
    "TransferResult",
    "__version__",
    "compute_loss",
    "content_loss",
    "extract_features",
    "get_contents",
    "get_inits",
    "get_styles",
    "gradient_shares",
    "gram",
    "layer_index",
    "layer_name",
    "load_image",
    "optimize",
    "postprocess",
    "preprocess",
    "profile",
    "samples",
    "save_image",
    "style_loss",
    "style_objective",
    "train",
    "transfer",
    "tv_loss",
    "vgg19",
    "visible_range",
]
