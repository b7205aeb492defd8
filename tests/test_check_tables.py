"""The tables of chapters 8 to 12 and 14 to 28: references and wrong versions."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import right_versions
import torch
import torch.nn.functional as f
from torch import Tensor

from stylelib import compare_gaussians, compare_moments, compare_sliced
from stylelib.beyond.measures import structure_divergence
from stylelib.beyond.neighbors import bands_of, nearest
from stylelib.check import beyond, control, layers, relatives, sees
from stylelib.check.exercises import Exercise
from stylelib.check.judging import judge
from stylelib.from_scratch import Adam, AveragePool, Convolution, MaxPool

EXERCISES = {
    each.name: each
    for table in (relatives, layers, sees, beyond, control)
    for each in table.EXERCISES
}
every_exercise = pytest.mark.parametrize("exercise", EXERCISES.values(), ids=list(EXERCISES))


def arrays(result: Any) -> list[np.ndarray[Any, Any]]:
    """All arrays of a result, in float64."""
    if isinstance(result, list | tuple):
        return [array for each in result for array in arrays(each)]
    if isinstance(result, Tensor):
        result = result.detach().numpy()
    return [np.asarray(result, dtype=np.float64)]


def wide(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Copies of arguments in float64."""

    def widened(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return type(value)(widened(each) for each in value)
        if isinstance(value, np.ndarray):
            return value.astype(np.float64)
        if isinstance(value, Tensor):
            return value.detach().double() if value.is_floating_point() else value
        return value.double() if isinstance(value, torch.nn.Module) else value

    return tuple(widened(copy.deepcopy(value)) for value in arguments)


def results(exercise: Exercise, version: Callable[..., Any]) -> list[list[Any]]:
    with np.errstate(all="ignore"):
        return [arrays(version(*copy.deepcopy(call))) for call in exercise.arguments()]


@every_exercise
def test_all_versions_differ(exercise: Exercise) -> None:
    versions = {wrong.name: results(exercise, wrong.version) for wrong in exercise.wrongs}
    assert len(versions) == len(exercise.wrongs) >= 8  # no name is there twice
    versions["the right one"] = right = results(exercise, exercise.reference)
    largest = [[np.abs(e).max() for e in call] for call in right]

    def alike(a: list[Any], b: list[Any], scales: list[float]) -> bool:
        return len(a) == len(b) and all(
            x.shape == y.shape
            and np.array_equal(np.isnan(x), np.isnan(y))
            and np.nanmax(np.abs(x - y), initial=0) <= 3 * exercise.tolerance * scale
            for x, y, scale in zip(a, b, [*scales, *scales], strict=False)
        )

    for (name, a), (other, b) in itertools.combinations(versions.items(), 2):
        same = all(alike(*calls) for calls in zip(a, b, largest, strict=True))
        assert not same, f"{exercise.name}: {name} and {other}"


def test_how_many() -> None:
    assert len(EXERCISES) == 27
    assert sum(len(exercise.wrongs) for exercise in EXERCISES.values()) > 700


@every_exercise
def test_sentences_are_short(exercise: Exercise) -> None:
    sentences = [wrong.sentence for wrong in exercise.wrongs]
    assert all(s[0].isupper() and s[-1] in ".?" and len(s) <= 200 for s in sentences)


# --- PyTorch and the library as judges of the references, in float64


def conv_by_torch(x: Any, weight: Any, bias: Any, padding: int, stride: int) -> Tensor:
    x, weight, bias = (torch.as_tensor(each) for each in (x, weight, bias))
    return f.conv2d(x, weight, bias, stride, padding)


def conv_gradients_by_torch(
    top_diff: Any, x: Any, weight: Any, padding: int, stride: int
) -> tuple[Tensor, ...]:
    leaves = [torch.tensor(each, requires_grad=True) for each in (x, weight)]
    leaves.append(torch.zeros(len(weight), dtype=leaves[0].dtype, requires_grad=True))
    y = f.conv2d(*leaves, stride, padding)  # type: ignore[arg-type]
    return torch.autograd.grad(y, leaves, torch.as_tensor(top_diff))


def pooled(pool: Callable[..., Tensor]) -> Callable[..., Tensor]:
    return lambda x, k, s: pool(torch.as_tensor(x), k, s)


def pool_gradient(pool: Callable[..., Tensor]) -> Callable[..., Tensor]:
    def by_torch(top_diff: Any, x: Any, k: int, s: int) -> Tensor:
        leaf = torch.tensor(x, requires_grad=True)
        return torch.autograd.grad(pool(leaf, k, s), leaf, torch.as_tensor(top_diff))[0]

    return by_torch


def adam_by_torch(
    x: Any, gradient: Any, m: Any, v: Any, t: int, lr: float, b1: float, b2: float, eps: float
) -> list[Tensor]:
    X = torch.tensor(x, requires_grad=True)
    adam = torch.optim.Adam([X], lr, (b1, b2), eps)
    adam.state[X] = {
        "step": torch.tensor(float(t - 1)),
        "exp_avg": torch.tensor(m),
        "exp_avg_sq": torch.tensor(v),
    }
    X.grad = torch.tensor(gradient)
    adam.step()
    return [X.detach(), adam.state[X]["exp_avg"], adam.state[X]["exp_avg_sq"]]


def score_gradient(X: Tensor, y: Tensor, model: Any, penalty: float = 0.0) -> Tensor:
    leaf = X.detach().clone().requires_grad_()
    objective = model(leaf).gather(1, y[:, None]).sum() - penalty * leaf.square().sum()
    return torch.autograd.grad(objective, leaf)[0]


def saliency_by_torch(X: Tensor, y: Tensor, model: Any) -> Tensor:
    return score_gradient(X, y, model).abs().amax(dim=1)


def fooling_by_torch(X: Tensor, y: Tensor, model: Any, lr: float) -> Tensor:
    g = score_gradient(X, y, model)
    return X + lr * g / g.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def visualization_by_torch(X: Tensor, y: Tensor, model: Any, l2: float, lr: float) -> Tensor:
    return X + lr * score_gradient(X, y, model, l2)


def two_loops(g: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """As in chapter 9."""
    q, alphas = g.clone(), []
    for s, y in reversed(pairs):
        alphas.append((s @ q) / (s @ y))
        q -= alphas[-1] * y
    s, y = pairs[-1]
    r = (s @ y) / (y @ y) * q
    for (s, y), alpha in zip(pairs, reversed(alphas), strict=True):
        r += (alpha - (y @ r) / (s @ y)) * s
    return -r


def sliced_by_torch(Y_hat: Tensor, Y: Tensor, V: Tensor) -> Tensor:
    here, there = ((V @ F.flatten(2)).sort(dim=-1).values for F in (Y_hat, Y.detach()))
    return f.mse_loss(here, there.expand_as(here))


def divergence_by_torch(F_hat: Tensor, F: Tensor) -> Tensor:
    S_hat, S = (
        (f.cosine_similarity(A[:, None], A[None], dim=2) / 0.2).log_softmax(dim=1)
        for A in (F_hat, F)
    )
    return f.kl_div(S_hat, S, log_target=True, reduction="batchmean")


def nearest_by_torch(columns: Tensor, candidates: Tensor) -> Tensor:
    a, b = (each - each.mean(1, keepdim=True) for each in (columns, candidates))
    return f.cosine_similarity(a[:, :, None], b[:, None], dim=0).argmax(1)


def gaussian_by_torch(Y_hat: Tensor, Y: Tensor) -> Tensor:
    """With the singular values of S^1/2 S*^1/2, whose sum is the trace of the root."""
    (mu_star, L_star), losses = gaussian_of(Y[0].detach()), []
    for image in Y_hat:
        mu, L = gaussian_of(image)
        overlap = torch.linalg.svdvals(L.T @ L_star).sum()
        spread = L.square().sum() + L_star.square().sum() - 2 * overlap
        losses.append(((mu - mu_star).square().sum() + spread) / len(image))
    return torch.stack(losses).mean()


def gaussian_of(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean, and the Cholesky factor of the covariance."""
    F = features.flatten(1)
    return F.mean(1), torch.linalg.cholesky(F.cov(correction=0))


def moments_by_torch(Y_hat: Tensor, Y: Tensor) -> Tensor:
    std, mean = torch.std_mean(Y_hat, (2, 3), correction=0)
    std_star, mean_star = torch.std_mean(Y.detach(), (2, 3), correction=0)
    return ((mean - mean_star) ** 2 + (std - std_star) ** 2).mean()


def average(x: Any, k: int, s: int) -> Tensor:
    return f.avg_pool2d(x, k, s)


def greatest(x: Any, k: int, s: int) -> Tensor:
    return f.max_pool2d(x, k, s)


BY_TORCH: dict[str, Callable[..., Any]] = {
    "convolution_forward": conv_by_torch,
    "convolution_backward": conv_gradients_by_torch,
    "max_pool_forward": pooled(greatest),
    "average_pool_forward": pooled(average),
    "max_pool_backward": pool_gradient(greatest),
    "average_pool_backward": pool_gradient(average),
    "adam_step": adam_by_torch,
    "saliency_map": saliency_by_torch,
    "fooling_step": fooling_by_torch,
    "class_visualization_step": visualization_by_torch,
    "lbfgs_direction": two_loops,
    "moments_loss": moments_by_torch,
    "gaussian_loss": gaussian_by_torch,
    "sliced_loss": sliced_by_torch,
    "nearest": nearest_by_torch,
    "structure_divergence": divergence_by_torch,
    "bands_of": bands_of,
    **right_versions.BY_TORCH,
}


@every_exercise
def test_references_agree_with_torch(exercise: Exercise) -> None:
    for call in exercise.arguments():
        expected = arrays(BY_TORCH[exercise.name](*wide(call)))
        found = arrays(exercise.reference(*copy.deepcopy(call)))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10)


def convolution(weight: Any, padding: int, stride: int) -> Convolution:
    out, channels, k, _ = weight.shape
    layer = Convolution(k, channels, out, padding, stride)
    layer.weight = weight
    return layer


def conv_by_library(x: Any, weight: Any, bias: Any, padding: int, stride: int) -> Any:
    layer = convolution(weight, padding, stride)
    layer.bias = bias
    return layer.forward(x)


def conv_gradients_by_library(d: Any, x: Any, weight: Any, padding: int, stride: int) -> Any:
    layer = convolution(weight, padding, stride)
    layer.forward(x)
    return layer.backward(d), layer.d_weight, layer.d_bias


def pool_gradient_by_library(kind: type[MaxPool | AveragePool]) -> Callable[..., Any]:
    def backward(top_diff: Any, x: Any, k: int, s: int) -> Any:
        layer = kind(k, s)
        layer.forward(x)
        return layer.backward(top_diff)

    return backward


def adam_by_library(
    x: Any, gradient: Any, m: Any, v: Any, t: int, lr: float, b1: float, b2: float, eps: float
) -> Any:
    adam = Adam(lr, b1, b2, eps)
    adam.t, adam.m, adam.v = t - 1, m, v
    return adam.update(x, gradient), adam.m, adam.v


def one_gaussian(Y_hat: Tensor, Y: Tensor) -> Tensor:
    return compare_gaussians(Y, eps=0)(Y_hat)


BY_LIBRARY: dict[str, Callable[..., Any]] = {
    "convolution_forward": conv_by_library,
    "convolution_backward": conv_gradients_by_library,
    "max_pool_forward": lambda x, k, s: MaxPool(k, s).forward(x),
    "average_pool_forward": lambda x, k, s: AveragePool(k, s).forward(x),
    "max_pool_backward": pool_gradient_by_library(MaxPool),
    "average_pool_backward": pool_gradient_by_library(AveragePool),
    "adam_step": adam_by_library,
    "moments_loss": lambda Y_hat, Y: compare_moments(Y)(Y_hat),
    "gaussian_loss": one_gaussian,
    "nearest": nearest,
    "structure_divergence": structure_divergence,
    "bands_of": bands_of,
    **right_versions.BY_LIBRARY,
}


@pytest.mark.parametrize("name", BY_LIBRARY)
def test_references_agree_with_the_library(name: str) -> None:
    exercise = EXERCISES[name]
    for call in exercise.arguments():
        expected = arrays(BY_LIBRARY[name](*wide(call)))
        found = arrays(exercise.reference(*copy.deepcopy(call)))
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-8)


def test_sliced_agrees_with_the_library() -> None:
    from stylelib.beyond.statistics import unit_directions

    exercise = EXERCISES["sliced_loss"]
    for Y_hat, Y, V in exercise.arguments():
        Y_hat, Y = Y_hat.detach().double(), Y.double()
        directions = unit_directions(len(V), Y.shape[1], seed=3)
        expected = float(compare_sliced(Y, directions=len(V), seed=3)(Y_hat))
        assert exercise.reference(Y_hat, Y, directions) == pytest.approx(expected, rel=1e-9)


def test_saliency_agrees_with_the_library_formula() -> None:
    """By differences: a pixel's saliency is how much it changes the score."""
    exercise = EXERCISES["saliency_map"]
    X, y, model = wide(exercise.arguments()[0])
    found = exercise.reference(X, y, model)
    for n, i, j in ((0, 1, 2), (1, 4, 6), (1, 0, 3)):
        slopes = []
        for color in range(3):
            there = []
            for step in (1e-5, -1e-5):
                nudged = X.clone()
                nudged[n, color, i, j] += step
                there.append(float(model(nudged)[n, y[n]]))
            slopes.append(abs(there[0] - there[1]) / 2e-5)
        assert found[n, i, j] == pytest.approx(max(slopes), rel=1e-6)


# --- right variants: with and without loops, narrow and wide, in place or not, other formulas


def conv_by_columns(x: Any, weight: Any, bias: Any, padding: int, stride: int) -> Any:
    k = weight.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    view = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::stride, ::stride]
    y = np.einsum("nchwuv,ocuv->nohw", view, weight)
    y += bias[:, None, None]
    return y


def conv_gradients_by_flipping(d: Any, x: Any, weight: Any, padding: int, stride: int) -> Any:
    k = weight.shape[2]
    (N, _, H, W), (rows, columns) = x.shape, d.shape[2:]
    spread = np.zeros(
        (N, len(weight), H + 2 * padding + k - 1, W + 2 * padding + k - 1), d.dtype
    )
    at = [slice(k - 1, k - 1 + n * stride, stride) for n in (rows, columns)]
    spread[:, :, at[0], at[1]] = d
    turned = np.rot90(weight, 2, (2, 3)).swapaxes(0, 1)
    d_x = conv_by_columns(spread, turned, np.zeros(x.shape[1]), 0, 1)
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    view = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::stride, ::stride]
    d_weight = np.einsum("nohw,nchwuv->ocuv", d, view)
    inner = slice(padding, -padding or None)
    return d_x[:, :, inner, inner], d_weight, d.sum((0, 2, 3))


def windows_of(x: Any, k: int, s: int) -> Any:
    return np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, ::s, ::s]


def running_maximum(x: Any, k: int, s: int) -> Any:
    view = windows_of(x, k, s)
    y = view[..., 0, 0].copy()
    for i, j in np.ndindex(k, k):
        np.maximum(y, view[..., i, j], out=y)
    return y


def masked_gradient(top_diff: Any, x: Any, k: int, s: int) -> Any:
    d_x, y = np.zeros_like(x), running_maximum(x, k, s)
    left = np.ones(y.shape, dtype=bool)
    for i, j in np.ndindex(k, k):
        rows, columns = (
            slice(o, o + n * s, s) for o, n in zip((i, j), y.shape[2:], strict=True)
        )
        first = left & (x[:, :, rows, columns] == y)
        d_x[:, :, rows, columns] += top_diff * first
        left &= ~first
    return d_x


def added_by_place(top_diff: Any, x: Any, k: int, s: int) -> Any:
    d_x = np.zeros(x.shape)
    H, W = top_diff.shape[2:]
    for i, j in np.ndindex(k, k):
        d_x[:, :, i : i + H * s : s, j : j + W * s : s] += top_diff / k / k
    return d_x


def adam_in_place(
    x: Any, gradient: Any, m: Any, v: Any, t: int, lr: float, b1: float, b2: float, eps: float
) -> Any:
    m *= b1
    m += (1 - b1) * gradient
    v *= b2
    v += (1 - b2) * gradient * gradient
    x -= lr * m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
    return x, m, v


def adam_by_lerp(
    x: Any, gradient: Any, m: Any, v: Any, t: int, lr: float, b1: float, b2: float, eps: float
) -> Any:
    m, v = m + (1 - b1) * (gradient - m), v + (1 - b2) * (gradient**2 - v)
    rate, root = lr / (1 - b1**t), np.sqrt(1 - b2**t)
    return x - rate * m * root / (np.sqrt(v) + eps * root), m, v


def saliency_one_by_one(X: Tensor, y: Tensor, model: Any) -> Tensor:
    maps = []
    for image, label in zip(X, y, strict=True):
        leaf = image[None].clone().requires_grad_()
        model(leaf)[0, label].backward()
        maps.append(leaf.grad[0].abs().max(dim=0).values)
    return torch.stack(maps)


def saliency_on_a_copy(X: Tensor, y: Tensor, model: Any) -> Tensor:
    leaf = X.clone().requires_grad_()
    scores = model(leaf)
    scores[torch.arange(len(y)), y].backward(torch.ones(len(y)))
    return leaf.grad.abs().amax(1)  # type: ignore[union-attr]


def fooling_of_the_mean(X: Tensor, y: Tensor, model: Any, lr: float) -> Tensor:
    """The mean over the batch has gradients of other lengths, and the same directions."""
    moved = []
    for image, g in zip(X, score_gradient(X, y, model) / len(X), strict=True):
        moved.append(image + lr * g / torch.linalg.vector_norm(g))
    return torch.stack(moved)


def fooling_down(X: Tensor, y: Tensor, model: Any, lr: float) -> Tensor:
    leaf = X.clone().requires_grad_()
    (-model(leaf).gather(1, y[:, None])).sum().backward()
    with torch.no_grad():
        leaf -= lr * leaf.grad / leaf.grad.square().sum((1, 2, 3), keepdim=True).sqrt()
    return leaf.detach()


def visualization_by_hand(X: Tensor, y: Tensor, model: Any, l2: float, lr: float) -> Tensor:
    return X + lr * score_gradient(X, y, model) - 2 * lr * l2 * X


def visualization_by_descent(X: Tensor, y: Tensor, model: Any, l2: float, lr: float) -> Tensor:
    leaf = X.clone().requires_grad_()
    optimizer = torch.optim.SGD([leaf], lr=lr)
    (l2 * leaf.pow(2).sum() - model(leaf).gather(1, y[:, None]).sum()).backward()
    optimizer.step()
    return leaf.detach()


def direction_by_matrix(g: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    s, y = (v.double() for v in pairs[-1])
    H = (s @ y) / (y @ y) * torch.eye(len(g), dtype=torch.float64)
    for s, y in ((s.double(), y.double()) for s, y in pairs):
        V = torch.eye(len(g)) - torch.outer(y, s) / (s @ y)
        H = V.T @ H @ V + torch.outer(s, s) / (s @ y)
    return -(H @ g.double())


def direction_recursively(g: Tensor, pairs: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The same recursion, as a function that calls itself."""
    newest, change = pairs[-1]
    gamma = (newest @ change) / (change @ change)

    def times_inverse(q: Tensor, count: int) -> Tensor:
        if count == 0:
            return gamma * q
        s, y = pairs[count - 1]
        alpha = (s @ q) / (s @ y)
        r = times_inverse(q - alpha * y, count - 1)
        return r + (alpha - (y @ r) / (s @ y)) * s

    return -times_inverse(g, len(pairs))


def moments_by_root(Y_hat: Tensor, Y: Tensor) -> Tensor:
    def both(F: Tensor) -> list[Tensor]:
        mean = F.mean((2, 3))
        return [mean, (F.pow(2).mean((2, 3)) - mean**2).sqrt()]

    pairs = zip(both(Y_hat), both(Y.detach()), strict=True)
    return sum(f.mse_loss(a, b.expand_as(a)) for a, b in pairs)  # type: ignore[return-value]


def gaussian_by_eigenvalues(Y_hat: Tensor, Y: Tensor) -> Tensor:
    P = Y[0].detach().flatten(1)
    T = torch.cov(P, correction=0)
    values, axes = torch.linalg.eigh(T)
    root, total = axes * values.sqrt() @ axes.T, torch.zeros(())
    for image in Y_hat:
        F = image.flatten(1)
        D = F - F.mean(1, keepdim=True)
        S = D @ D.T / F.shape[1]
        eigenvalues = torch.linalg.eigvalsh(root @ S @ root).clamp(min=1e-12)
        total = total + (F.mean(1) - P.mean(1)).pow(2).sum() + torch.trace(S + T)
        total = total - 2 * eigenvalues.sqrt().sum()
    return total / len(Y_hat) / Y.shape[1]


def sliced_one_by_one(Y_hat: Tensor, Y: Tensor, V: Tensor) -> Tensor:
    losses = []
    for image in Y_hat:
        for v in V:
            here, there = (
                (F.flatten(1).T @ v).sort(descending=True)[0] for F in (image, Y.data[0])
            )
            losses.append((here - there).pow(2).mean())
    return torch.stack(losses).mean()


def sliced_by_einsum(Y_hat: Tensor, Y: Tensor, V: Tensor) -> Tensor:
    here, there = (torch.einsum("kc,nchw->nkhw", V, F).flatten(2) for F in (Y_hat, Y.detach()))
    return (torch.sort(here)[0] - torch.sort(there)[0]).square().mean()


def nearest_by_unit_distance(columns: Tensor, candidates: Tensor) -> Tensor:
    a, b = (f.normalize(e - e.mean(1, keepdim=True), dim=0) for e in (columns, candidates))
    return torch.cdist(a.T, b.T).argmin(dim=1)


def nearest_one_by_one(columns: Tensor, candidates: Tensor) -> Tensor:
    b = candidates.double() - candidates.double().mean(1, keepdim=True)
    b /= b.norm(dim=0)
    a = columns.double() - columns.double().mean(1, keepdim=True)
    return torch.tensor([int((column @ b).argmax()) for column in a.T])


def divergence_by_logarithms(F_hat: Tensor, F: Tensor) -> float:
    S_hat, S = (
        torch.softmax(f.normalize(A, dim=1) @ f.normalize(A, dim=1).T / 0.2, dim=1)
        for A in (F_hat, F)
    )
    return float((S * (S / S_hat).log()).sum() / len(S))


def divergence_over_columns(F_hat: Tensor, F: Tensor) -> Tensor:
    """The similarities are symmetric, so a softmax over columns adds up the same terms."""
    unit = [(A / A.norm(dim=1, keepdim=True)).double() for A in (F_hat, F)]
    log_S_hat, log_S = ((A @ A.T / 0.2).log_softmax(dim=0) for A in unit)
    return (log_S.exp() * (log_S - log_S_hat)).sum(dim=0).mean()


def bands_in_place(X: Tensor, levels: int) -> list[Tensor]:
    bands, image = [], X.clone()
    for _ in range(levels):
        half = (image.shape[2] // 2, image.shape[3] // 2)
        small = f.interpolate(image, half, mode="bilinear", antialias=True)
        image -= f.interpolate(small, image.shape[2:], mode="bilinear", align_corners=False)
        bands.append(image)
        image = small.clone()
    bands.append(image)
    return bands


def bands_recursively(X: Tensor, levels: int) -> list[Tensor]:
    if levels == 0:
        return [X]
    half = (X.shape[2] // 2, X.shape[3] // 2)
    small = f.interpolate(X, half, mode="bilinear", antialias=True)
    return [
        X - f.interpolate(small, X.shape[2:], mode="bilinear"),
        *bands_recursively(small, levels - 1),
    ]


VARIANTS: dict[str, list[Callable[..., Any]]] = {
    "convolution_forward": [conv_by_library, conv_by_columns],
    "convolution_backward": [conv_gradients_by_library, conv_gradients_by_flipping],
    "max_pool_forward": [
        BY_LIBRARY["max_pool_forward"],
        running_maximum,
        lambda x, k, s: windows_of(x, k, s).max(axis=(4, 5)),
    ],
    "average_pool_forward": [
        BY_LIBRARY["average_pool_forward"],
        lambda x, k, s: windows_of(x, k, s).mean(axis=(4, 5)),
        lambda x, k, s: windows_of(x.astype(float), k, s).sum(axis=(4, 5)) / k**2,
    ],
    "max_pool_backward": [BY_LIBRARY["max_pool_backward"], masked_gradient],
    "average_pool_backward": [BY_LIBRARY["average_pool_backward"], added_by_place],
    "adam_step": [adam_by_library, adam_in_place, adam_by_lerp],
    "saliency_map": [saliency_by_torch, saliency_one_by_one, saliency_on_a_copy],
    "fooling_step": [fooling_by_torch, fooling_of_the_mean, fooling_down],
    "class_visualization_step": [
        visualization_by_torch,
        visualization_by_hand,
        visualization_by_descent,
    ],
    "lbfgs_direction": [two_loops, direction_by_matrix, direction_recursively],
    "moments_loss": [BY_LIBRARY["moments_loss"], moments_by_torch, moments_by_root],
    "gaussian_loss": [gaussian_by_torch, one_gaussian, gaussian_by_eigenvalues],
    "sliced_loss": [sliced_by_torch, sliced_one_by_one, sliced_by_einsum],
    "nearest": [nearest, nearest_by_torch, nearest_by_unit_distance, nearest_one_by_one],
    "structure_divergence": [
        divergence_by_torch,
        divergence_by_logarithms,
        divergence_over_columns,
    ],
    "bands_of": [bands_of, bands_in_place, bands_recursively],
    **right_versions.VARIANTS,
}


@every_exercise
def test_right_variants_pass(exercise: Exercise) -> None:
    variants = VARIANTS[exercise.name]
    for variant in variants:
        verdict = judge(exercise, variant)
        assert verdict.right, f"{variant}: {verdict.message}"
        if not exercise.learns:  # those need their graph
            verdict = judge(exercise, lambda *a, variant=variant: variant(*wide(a)))
            assert verdict.right, f"{variant} in float64: {verdict.message}"


# --- wrong versions that were once not named


def cut_with_padding(d: Any, x: Any, weight: Any, padding: int, stride: int) -> Any:
    """The slice p:-p is empty without padding."""
    border = (padding, padding)
    wide = np.pad(x, ((0, 0), (0, 0), border, border))
    d_wide, d_weight, d_bias = conv_gradients_by_flipping(d, wide, weight, 0, stride)
    return d_wide[:, :, padding:-padding, padding:-padding], d_weight, d_bias


def cut_and_averaged(d: Any, *given: Any) -> Any:
    d_x, d_weight, d_bias = cut_with_padding(d, *given)
    return d_x, d_weight / len(d), d_bias


def laid_side_by_side(top_diff: Any, x: Any, k: int, s: int) -> Any:
    d_x, shares = np.zeros(x.shape), (top_diff / k**2).repeat(k, 2).repeat(k, 3)
    H, W = np.minimum(x.shape[2:], shares.shape[2:])
    d_x[:, :, :H, :W] = shares[:, :, :H, :W]
    return d_x


def adam_with_other_brackets(
    x: Any, gradient: Any, m: Any, v: Any, t: int, lr: float, b1: float, b2: float, eps: float
) -> Any:
    m, v = b1 * m + (1 - b1) * gradient, b2 * v + (1 - b2) * gradient**2
    return x - lr * m / (1 - b1) ** t / (np.sqrt(v / (1 - b2) ** t) + eps), m, v


def bands_by_scale_factor(X: Tensor, levels: int) -> list[Tensor]:
    bands = []
    for _ in range(levels):
        small = f.interpolate(X, scale_factor=0.5, mode="bilinear", antialias=True)
        bands.append(X - f.interpolate(small, X.shape[2:], mode="bilinear"))
        X = small
    return [*bands, X]


@pytest.mark.parametrize(
    ("name", "version", "mistake"),
    [
        ("convolution_backward", cut_with_padding, "empty_without_padding"),
        (
            "convolution_backward",
            cut_and_averaged,
            "weight_divided_by_batch_and_empty_without_padding",
        ),
        ("average_pool_backward", laid_side_by_side, "side_by_side"),
        ("adam_step", adam_with_other_brackets, "power_of_the_difference"),
        ("bands_of", bands_by_scale_factor, "scale_factor"),
    ],
)
def test_what_was_missed_is_named(name: str, version: Callable[..., Any], mistake: str) -> None:
    verdict = judge(EXERCISES[name], version)
    assert (verdict.right, verdict.mistake) == (False, mistake), verdict
