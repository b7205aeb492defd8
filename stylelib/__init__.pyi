"""The public names, and the modules that define them."""

from . import check as check
from . import samples as samples
from ._version import __version__ as __version__
from .beyond.coarse_to_fine import BacktrackingLBFGS as BacktrackingLBFGS
from .beyond.coarse_to_fine import BacktrackingLBFGSDescent as BacktrackingLBFGSDescent
from .beyond.measures import color_distance as color_distance
from .beyond.measures import content_error as content_error
from .beyond.measures import frechet_distance as frechet_distance
from .beyond.measures import style_errors as style_errors
from .beyond.neighbors import NeighborsRecipe as NeighborsRecipe
from .beyond.statistics import compare_gaussians as compare_gaussians
from .beyond.statistics import compare_histograms as compare_histograms
from .beyond.statistics import compare_moments as compare_moments
from .beyond.statistics import compare_patches as compare_patches
from .beyond.statistics import compare_places as compare_places
from .beyond.statistics import compare_sliced as compare_sliced
from .control.colors import match_colors as match_colors
from .control.colors import with_luminance as with_luminance
from .control.masks import load_mask as load_mask
from .control.masks import region_of_color as region_of_color
from .control.paths import style_path as style_path
from .control.sheets import Sheet as Sheet
from .control.sheets import sheet as sheet
from .control.styles import Style as Style
from .descents import AdamDescent as AdamDescent
from .errors import DivergenceError as DivergenceError
from .errors import FileError as FileError
from .errors import InputError as InputError
from .errors import Interrupted as Interrupted
from .errors import MissingExtraError as MissingExtraError
from .errors import StylelibError as StylelibError
from .features import FeatureExtractor as FeatureExtractor
from .features import NetworkFeatures as NetworkFeatures
from .features import extract_features as extract_features
from .features import get_contents as get_contents
from .features import get_styles as get_styles
from .files import load_image as load_image
from .images import IMAGE_MEAN as IMAGE_MEAN
from .images import IMAGE_STD as IMAGE_STD
from .images import postprocess as postprocess
from .images import preprocess as preprocess
from .images import save_image as save_image
from .images import visible_range as visible_range
from .large.batches import batch as batch
from .large.clips import flicker as flicker
from .large.clips import write_animation as write_animation
from .large.estimates import Estimate as Estimate
from .large.estimates import estimate as estimate
from .large.frames import frames as frames
from .large.jobs import Job as Job
from .large.reports import BatchReport as BatchReport
from .large.reports import Outcome as Outcome
from .large.sums import Additive as Additive
from .large.sums import adds_up as adds_up
from .large.tiles import TiledFeatures as TiledFeatures
from .layers import CONTENT_LAYERS as CONTENT_LAYERS
from .layers import SQUEEZENET_LAYERS as SQUEEZENET_LAYERS
from .layers import STYLE_LAYERS as STYLE_LAYERS
from .layers import VGG19_LAYERS as VGG19_LAYERS
from .layers import layer_index as layer_index
from .layers import layer_name as layer_name
from .losses import D2L_WEIGHTS as D2L_WEIGHTS
from .losses import EMBEDDED_WEIGHTS as EMBEDDED_WEIGHTS
from .losses import Losses as Losses
from .losses import LossWeights as LossWeights
from .losses import compute_loss as compute_loss
from .losses import content_loss as content_loss
from .losses import gram as gram
from .losses import style_loss as style_loss
from .losses import tv_loss as tv_loss
from .models import ModelFeatures as ModelFeatures
from .networks import squeezenet1_1 as squeezenet1_1
from .networks import vgg19 as vgg19
from .networks import weights_for as weights_for
from .objectives import Match as Match
from .objectives import Prior as Prior
from .objectives import compare_features as compare_features
from .objectives import compare_grams as compare_grams
from .objectives import objective_of as objective_of
from .objectives import relative as relative
from .optimization import Optimized as Optimized
from .optimization import gradient_residual as gradient_residual
from .optimization import gradient_shares as gradient_shares
from .optimization import optimize as optimize
from .recipes import Recipe as Recipe
from .records import Record as Record
from .records import Step as Step
from .relatives import assignment as assignment
from .relatives.conventions import CONVENTIONS as CONVENTIONS
from .relatives.conventions import Convention as Convention
from .relatives.conventions import convert_weight as convert_weight
from .relatives.inversion import invert_features as invert_features
from .relatives.inversion import range_loss as range_loss
from .relatives.modules import ContentLoss as ContentLoss
from .relatives.modules import LossNetwork as LossNetwork
from .relatives.modules import Normalization as Normalization
from .relatives.modules import StyleLoss as StyleLoss
from .relatives.modules import insert_losses as insert_losses
from .relatives.modules import modules_objective as modules_objective
from .relatives.quasi_newton import LBFGS as LBFGS
from .relatives.quasi_newton import LBFGSDescent as LBFGSDescent
from .relatives.quasi_newton import lbfgs as lbfgs
from .relatives.texture import synthesize_texture as synthesize_texture
from .results import ReconstructionResult as ReconstructionResult
from .results import Result as Result
from .results import TransferResult as TransferResult
from .sees.classifiers import class_names as class_names
from .sees.classifiers import classifier as classifier
from .sees.classifiers import top_classes as top_classes
from .sees.fooling import FoolingResult as FoolingResult
from .sees.fooling import fooling_image as fooling_image
from .sees.fooling import fooling_images as fooling_images
from .sees.saliency import IntegratedGradients as IntegratedGradients
from .sees.saliency import cut_out as cut_out
from .sees.saliency import integrated_gradients as integrated_gradients
from .sees.saliency import saliency_map as saliency_map
from .sees.saliency import saliency_mask as saliency_mask
from .sees.saliency import smooth_grad as smooth_grad
from .sees.visualization import VisualizationResult as VisualizationResult
from .sees.visualization import channel_visualization as channel_visualization
from .sees.visualization import channel_visualizations as channel_visualizations
from .sees.visualization import class_visualization as class_visualization
from .sees.visualization import class_visualizations as class_visualizations
from .stages import RunState as RunState
from .style_transfer import FULL as FULL
from .style_transfer import QUICK as QUICK
from .style_transfer import RECIPES as RECIPES
from .style_transfer import Profile as Profile
from .style_transfer import profile as profile
from .style_transfer import transfer as transfer
from .synthesis import SynthesizedImage as SynthesizedImage
from .synthesis import get_inits as get_inits
from .synthesis import style_objective as style_objective
from .synthesis import train as train

__all__ = [
    "CONTENT_LAYERS",
    "CONVENTIONS",
    "D2L_WEIGHTS",
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
    "BacktrackingLBFGS",
    "BacktrackingLBFGSDescent",
    "BatchReport",
    "ContentLoss",
    "Convention",
    "DivergenceError",
    "FeatureExtractor",
    "FileError",
    "FoolingResult",
    "InputError",
    "IntegratedGradients",
    "Interrupted",
    "Job",
    "LBFGSDescent",
    "LossNetwork",
    "LossWeights",
    "Losses",
    "Match",
    "MissingExtraError",
    "ModelFeatures",
    "NeighborsRecipe",
    "NetworkFeatures",
    "Normalization",
    "Optimized",
    "Outcome",
    "Prior",
    "Profile",
    "Recipe",
    "ReconstructionResult",
    "Record",
    "Result",
    "RunState",
    "Step",
    "StyleLoss",
    "StylelibError",
    "SynthesizedImage",
    "TransferResult",
    "VisualizationResult",
    "__version__",
    "assignment",
    "batch",
    "channel_visualization",
    "channel_visualizations",
    "check",
    "class_names",
    "class_visualization",
    "class_visualizations",
    "classifier",
    "color_distance",
    "compare_features",
    "compare_gaussians",
    "compare_grams",
    "compare_histograms",
    "compare_moments",
    "compare_patches",
    "compare_places",
    "compare_sliced",
    "compute_loss",
    "content_error",
    "content_loss",
    "convert_weight",
    "cut_out",
    "extract_features",
    "flicker",
    "fooling_image",
    "fooling_images",
    "frames",
    "frechet_distance",
    "get_contents",
    "get_inits",
    "get_styles",
    "gradient_residual",
    "gradient_shares",
    "gram",
    "insert_losses",
    "integrated_gradients",
    "invert_features",
    "layer_index",
    "layer_name",
    "lbfgs",
    "load_image",
    "match_colors",
    "modules_objective",
    "objective_of",
    "optimize",
    "postprocess",
    "preprocess",
    "profile",
    "range_loss",
    "relative",
    "saliency_map",
    "saliency_mask",
    "samples",
    "save_image",
    "smooth_grad",
    "squeezenet1_1",
    "style_errors",
    "style_loss",
    "style_objective",
    "style_path",
    "synthesize_texture",
    "top_classes",
    "train",
    "transfer",
    "tv_loss",
    "vgg19",
    "visible_range",
    "weights_for",
    "write_animation",
]
