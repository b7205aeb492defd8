"""Exercises that answer: each checks a function that you wrote, and names the likely mistake.

A check runs the function on seeded inputs, compares what comes out with an independent
computation and with versions that have one known mistake, and returns a `Verdict`. It raises
nothing, whatever the function does, and stops it after 10 seconds.

Example:
    >>> from stylelib import check
    >>> def gram(X):
    ...     F = X.flatten(2)
    ...     return F @ F.mT / F.shape[1]
    >>> print(check.gram(gram))
    gram: not yet. Your Gram matrix is divided by the number of channels, C, but not by H * W.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stylelib.check.gradients import gradient
from stylelib.check.tables import verdict_on
from stylelib.check.verdicts import Verdict

__all__ = [
    "Verdict",
    "adam_step",
    "average_pool_backward",
    "average_pool_forward",
    "bands_of",
    "channel_step",
    "class_visualization_step",
    "compute_loss",
    "content_loss",
    "convolution_backward",
    "convolution_forward",
    "extract_features",
    "fooling_step",
    "gaussian_loss",
    "gradient",
    "gradient_residual",
    "gram",
    "guided_gram",
    "lbfgs_direction",
    "match_colors",
    "max_pool_backward",
    "max_pool_forward",
    "mixed_target",
    "moments_loss",
    "nearest",
    "paper_style_loss",
    "postprocess",
    "preprocess",
    "range_loss",
    "relative_error",
    "saliency_map",
    "size_fractions",
    "sliced_loss",
    "slope_along",
    "structure_divergence",
    "style_loss",
    "training_step",
    "tv_loss",
]

Function = Callable[..., Any]


def preprocess(function: Function) -> Verdict:
    """Check `preprocess(image, image_shape)`.

    A PIL image to a normalized tensor (1, 3, H, W) in float32 (chapter 2).
    """
    return verdict_on("preprocess", function)


def postprocess(function: Function) -> Verdict:
    """Check `postprocess(X)`.

    A normalized tensor (1, 3, H, W) to a PIL image, clamped and rounded (chapter 2).
    """
    return verdict_on("postprocess", function)


def extract_features(function: Function) -> Verdict:
    """Check `extract_features(X, net, content_layers, style_layers)`.

    Two lists of features, at the layers of `net`, an `nn.Sequential`, with these numbers
    (chapter 3).
    """
    return verdict_on("extract_features", function)


def content_loss(function: Function) -> Verdict:
    """Check `content_loss(Y_hat, Y)`.

    The mean squared difference of features (chapter 4).
    """
    return verdict_on("content_loss", function)


def gram(function: Function) -> Verdict:
    """Check `gram(X)`.

    F F^T / (C M) for each image of a batch, (N, C, C) (chapter 5).
    """
    return verdict_on("gram", function)


def style_loss(function: Function) -> Verdict:
    """Check `style_loss(Y_hat, gram_Y)`.

    The mean squared difference of Gram matrices (chapter 5).
    """
    return verdict_on("style_loss", function)


def tv_loss(function: Function) -> Verdict:
    """Check `tv_loss(Y_hat)`.

    Half the mean absolute difference of vertical neighbors, and of horizontal ones
    (chapter 6).
    """
    return verdict_on("tv_loss", function)


def compute_loss(function: Function) -> Verdict:
    """Check `compute_loss(X, contents_Y_hat, styles_Y_hat, contents_Y, styles_Y_gram)`.

    The weighted losses and their sum, (contents_l, styles_l, tv_l, l), with the d2l code's
    weights of 1, 1e4 and 10 (chapter 7).
    """
    return verdict_on("compute_loss", function)


def training_step(function: Function) -> Verdict:
    """Check `training_step(X, objective, optimizer)`.

    One step of an optimizer. `objective(X)` gives losses by name, and their sum is made
    smaller (chapter 7).
    """
    return verdict_on("training_step", function)


def gradient_residual(function: Function) -> Verdict:
    """Check `gradient_residual(gradients)`.

    What is left of several gradients when they are added, as a fraction (chapter 8).
    """
    return verdict_on("gradient_residual", function)


def range_loss(function: Function) -> Verdict:
    """Check `range_loss(X)`.

    The mean square of how far normalized pixels lie below black or above white (chapter 10).
    """
    return verdict_on("range_loss", function)


def relative_error(function: Function) -> Verdict:
    """Check `relative_error(Y_hat, Y)`.

    The relative error of the Gram matrix of an image, whose sample may have another size
    (chapter 11).
    """
    return verdict_on("relative_error", function)


def paper_style_loss(function: Function) -> Verdict:
    """Check `paper_style_loss(F, S)`.

    The style loss of Gatys et al., for features (C, M) and a style image's, (C, M_S), as if it
    had M positions, too (chapter 12).
    """
    return verdict_on("paper_style_loss", function)


def convolution_forward(function: Function) -> Verdict:
    """Check `convolution_forward(x, weight, bias, padding, stride)`.

    The output of a convolution, in NumPy (chapter 14).
    """
    return verdict_on("convolution_forward", function)


def convolution_backward(function: Function) -> Verdict:
    """Check `convolution_backward(top_diff, x, weight, padding, stride)`.

    The three gradients of a convolution, in NumPy (chapter 14).
    """
    return verdict_on("convolution_backward", function)


def max_pool_forward(function: Function) -> Verdict:
    """Check `max_pool_forward(x, kernel_size, stride)`.

    The maximum of each window, in NumPy (chapter 15).
    """
    return verdict_on("max_pool_forward", function)


def average_pool_forward(function: Function) -> Verdict:
    """Check `average_pool_forward(x, kernel_size, stride)`.

    The mean of each window, in NumPy (chapter 15).
    """
    return verdict_on("average_pool_forward", function)


def max_pool_backward(function: Function) -> Verdict:
    """Check `max_pool_backward(top_diff, x, kernel_size, stride)`.

    The gradient of max pooling, in NumPy. At a tie the first of the largest values gets it, as
    in PyTorch (chapter 15).
    """
    return verdict_on("max_pool_backward", function)


def average_pool_backward(function: Function) -> Verdict:
    """Check `average_pool_backward(top_diff, x, kernel_size, stride)`.

    The gradient of average pooling, in NumPy (chapter 15).
    """
    return verdict_on("average_pool_backward", function)


def adam_step(function: Function) -> Verdict:
    """Check `adam_step(x, gradient, m, v, t, learning_rate, beta1, beta2, epsilon)`.

    One step of Adam, in NumPy: the next x, m and v. It may change them in place (chapter 16).
    """
    return verdict_on("adam_step", function)


def slope_along(function: Function) -> Verdict:
    """Check `slope_along(f, x, v, h)`.

    How fast a function changes along a direction, by a central difference (chapter 17).
    """
    return verdict_on("slope_along", function)


def saliency_map(function: Function) -> Verdict:
    """Check `saliency_map(X, y, model)`.

    The absolute gradient of a score, the largest of the three channels (chapter 18).
    """
    return verdict_on("saliency_map", function)


def fooling_step(function: Function) -> Verdict:
    """Check `fooling_step(X, y, model, lr)`.

    One step of an image toward another class (chapter 19).
    """
    return verdict_on("fooling_step", function)


def class_visualization_step(function: Function) -> Verdict:
    """Check `class_visualization_step(X, y, model, l2, lr)`.

    One step of an image toward a high score (chapter 20).
    """
    return verdict_on("class_visualization_step", function)


def channel_step(function: Function) -> Verdict:
    """Check `channel_step(X, channels, net, lr)`.

    One step of each image toward a larger mean of its own channel of the map that `net` gives
    (chapter 21).
    """
    return verdict_on("channel_step", function)


def lbfgs_direction(function: Function) -> Verdict:
    """Check `lbfgs_direction(g, pairs)`.

    The direction of L-BFGS, by the two-loop recursion (chapter 9).
    """
    return verdict_on("lbfgs_direction", function)


def size_fractions(function: Function) -> Verdict:
    """Check `size_fractions(side, smallest)`.

    The sizes from coarse to fine as fractions of the last one, the smallest first (chapter 22).
    """
    return verdict_on("size_fractions", function)


def moments_loss(function: Function) -> Verdict:
    """Check `moments_loss(Y_hat, Y)`.

    The difference of means and standard deviations of channels (chapter 23).
    """
    return verdict_on("moments_loss", function)


def gaussian_loss(function: Function) -> Verdict:
    """Check `gaussian_loss(Y_hat, Y)`.

    The squared Wasserstein distance of two Gaussians (chapter 23).
    """
    return verdict_on("gaussian_loss", function)


def sliced_loss(function: Function) -> Verdict:
    """Check `sliced_loss(Y_hat, Y, V)`.

    The sliced Wasserstein distance along the directions V (chapter 23).
    """
    return verdict_on("sliced_loss", function)


def nearest(function: Function) -> Verdict:
    """Check `nearest(columns, candidates)`.

    For each column the number of the candidate with the largest cosine (chapter 24).
    """
    return verdict_on("nearest", function)


def structure_divergence(function: Function) -> Verdict:
    """Check `structure_divergence(F_hat, F)`.

    The divergence of two self-similarities (chapter 25).
    """
    return verdict_on("structure_divergence", function)


def bands_of(function: Function) -> Verdict:
    """Check `bands_of(X, levels)`.

    The bands of a Laplacian pyramid (chapter 24).
    """
    return verdict_on("bands_of", function)


def match_colors(function: Function) -> Verdict:
    """Check `match_colors(X, like)`.

    An image with the mean and the covariance of another's colors, by the symmetric map (chapter
    26).
    """
    return verdict_on("match_colors", function)


def mixed_target(function: Function) -> Verdict:
    """Check `mixed_target(Ys, weights)`.

    The weighted mean of the Gram matrices of several paintings, (C, C) (chapter 27).
    """
    return verdict_on("mixed_target", function)


def guided_gram(function: Function) -> Verdict:
    """Check `guided_gram(Y, mask)`.

    The Gram matrices of a region, (N, C, C), whose mask may have soft edges (chapter 28).
    """
    return verdict_on("guided_gram", function)
