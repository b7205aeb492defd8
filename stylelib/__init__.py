"""Neural style transfer, one readable module a chapter of *Painting with Gradients*.

Example:
    >>> from stylelib import samples, transfer
    >>> photo, style = samples.load("chelsea"), samples.load("mosaic")
    >>> result = transfer(photo, style, image_shape=64, steps=5)
    >>> result.image.size
    (96, 64)
"""

from stylelib import assignment, samples
from stylelib._version import __version__
from stylelib.classifiers import class_names, classifier, top_classes
from stylelib.conventions import CONVENTIONS, Convention, convert_weight
from stylelib.descents import AdamDescent, LBFGSDescent
from stylelib.errors import DivergenceError, FileError, InputError, StylelibError
from stylelib.features import (
    FeatureExtractor,
    NetworkFeatures,
    extract_features,
    get_contents,
    get_styles,
)
from stylelib.fooling import FoolingResult, fooling_image, fooling_images
from stylelib.images import (
    IMAGE_MEAN,
    IMAGE_STD,
    load_image,
    postprocess,
    preprocess,
    save_image,
    visible_range,
)
from stylelib.lbfgs import LBFGS, lbfgs
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
from stylelib.modules import (
    ContentLoss,
    LossNetwork,
    Normalization,
    StyleLoss,
    insert_losses,
    modules_objective,
)
from stylelib.networks import (
    CONTENT_LAYERS,
    SQUEEZENET_LAYERS,
    STYLE_LAYERS,
    VGG19_LAYERS,
    layer_index,
    layer_name,
    squeezenet1_1,
    vgg19,
)
from stylelib.objectives import Match, Prior, compare_features, compare_grams, objective_of
from stylelib.optimization import Optimized, gradient_shares, optimize
from stylelib.recipes import FULL, QUICK, RECIPES, Profile, Recipe, profile, transfer
from stylelib.reconstruction import invert_features, range_loss, synthesize_texture
from stylelib.records import Record, Step
from stylelib.results import ReconstructionResult, Result, TransferResult
from stylelib.saliency import (
    IntegratedGradients,
    cut_out,
    integrated_gradients,
    saliency_map,
    saliency_mask,
    smooth_grad,
)
from stylelib.synthesis import (
    SynthesizedImage,
    get_inits,
    style_objective,
    train,
)
from stylelib.visualization import (
    VisualizationResult,
    channel_visualization,
    channel_visualizations,
    class_visualization,
    class_visualizations,
)

__all__ = [
    "CONTENT_LAYERS",
    "CONVENTIONS",
    "EMBEDDED_WEIGHTS",
    "FULL",
    "IMAGE_MEAN",
    "IMAGE_STD",
    "LBFGS",
    "QUICK",
    "RECIPES",
    "SQUEEZENET_LAYERS",
    "STYLE_LAYERS",
    "VGG19_LAYERS",
    "AdamDescent",
    "ContentLoss",
    "Convention",
    "DivergenceError",
    "FeatureExtractor",
    "FileError",
    "FoolingResult",
    "InputError",
    "IntegratedGradients",
    "LBFGSDescent",
    "LossNetwork",
    "LossWeights",
    "Losses",
    "Match",
    "NetworkFeatures",
    "Normalization",
    "Optimized",
    "Prior",
    "Profile",
    "Recipe",
    "ReconstructionResult",
    "Record",
    "Result",
    "Step",
    "StyleLoss",
    "StylelibError",
    "SynthesizedImage",
    "TransferResult",
    "VisualizationResult",
    "__version__",
    "assignment",
    "channel_visualization",
    "channel_visualizations",
    "class_names",
    "class_visualization",
    "class_visualizations",
    "classifier",
    "compare_features",
    "compare_grams",
    "compute_loss",
    "content_loss",
    "convert_weight",
    "cut_out",
    "extract_features",
    "fooling_image",
    "fooling_images",
    "get_contents",
    "get_inits",
    "get_styles",
    "gradient_shares",
    "gram",
    "insert_losses",
    "integrated_gradients",
    "invert_features",
    "layer_index",
    "layer_name",
    "lbfgs",
    "load_image",
    "modules_objective",
    "objective_of",
    "optimize",
    "postprocess",
    "preprocess",
    "profile",
    "range_loss",
    "saliency_map",
    "saliency_mask",
    "samples",
    "save_image",
    "smooth_grad",
    "squeezenet1_1",
    "style_loss",
    "style_objective",
    "synthesize_texture",
    "top_classes",
    "train",
    "transfer",
    "tv_loss",
    "vgg19",
    "visible_range",
]
