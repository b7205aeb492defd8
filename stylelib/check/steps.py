"""One training step: reference and likely mistakes (chapter 7)."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stylelib.check.exercises import Arguments, Exercise, Function, Wrong

__all__ = [
    "EXERCISES",
    "Objective",
    "backward",
    "before_step",
    "on_gradient",
    "step_on",
    "then",
]

Array = NDArray[np.float64]
Objective = Callable[[Tensor], dict[str, Tensor]]
STEPS = 3


def _starts() -> list[Arguments]:
    """An image, a target, and the optimizer: plain descent, and Adam."""
    random = np.random.default_rng(7)
    X, T = (torch.from_numpy(random.standard_normal((1, 3, 4, 5))) for _ in range(2))
    wide = 0.5 * X
    wide[0, 0, 0, :2] = torch.tensor((3.1, -3.1))
    return [(X, T, torch.optim.SGD, 1.0), (wide, T, torch.optim.Adam, 0.2)]


def _objective(T: Tensor) -> Objective:
    """Two losses by name: nearness to a target, and small values."""
    return lambda X: {"near": ((X - T) ** 2).mean(), "small": (X**4).mean()}


def _run(step: Function, arguments: Arguments) -> dict[str, Any]:
    """The image after each of three steps, and, if it has not moved, which part was missing."""
    X, T, optimizer, lr = arguments
    X = X.clone().requires_grad_()
    made = optimizer([X], lr=lr)
    happened = {"backward": False, "step": False}
    X.register_hook(lambda _: happened.update(backward=True))
    moves = made.step

    def watched(*given: Any, **named: Any) -> Any:
        happened["step"] = True
        return moves(*given, **named)

    made.step = watched
    start, images = X.detach().clone(), []
    for _ in range(STEPS):
        step(X, _objective(T), made)
        images.append(X.detach().clone())
    still = 0
    if torch.equal(images[-1], start):
        still = 1 if not happened["backward"] else 2 if not happened["step"] else 3
    return {"images": images, "what is missing": still}


def _gradient(X: Array, objective: Objective) -> Array:
    """By central differences."""
    g, h = np.zeros_like(X), 1e-5
    for i in np.ndindex(X.shape):
        values = []
        for t in (h, -h):
            moved = X.copy()
            moved[i] += t
            values.append(float(total_of(objective(torch.from_numpy(moved)))))
        g[i] = (values[0] - values[1]) / (2 * h)
    return g


def by_hand(X: Tensor, objective: Objective, optimizer: Any) -> None:
    """One step by the formulas of gradient descent or Adam, in NumPy."""
    x = X.detach().numpy()
    g, group = _gradient(x, objective), optimizer.param_groups[0]
    if "betas" in group:
        state = vars(optimizer).setdefault("by_hand", {"t": 0, "m": 0.0, "v": 0.0})
        (b1, b2), t = group["betas"], state["t"] + 1
        m, v = b1 * state["m"] + (1 - b1) * g, b2 * state["v"] + (1 - b2) * g * g
        optimizer.by_hand = {"t": t, "m": m, "v": v}
        g = m / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + group["eps"])
    x -= group["lr"] * g  # X shares this memory


def step_on(
    total: Callable[[dict[str, Tensor]], Tensor],
) -> Callable[[Tensor, Objective, Any], None]:
    """A step that is right but for what is made of the losses."""

    def step(X: Tensor, objective: Objective, optimizer: Any) -> None:
        optimizer.zero_grad()
        torch.autograd.backward(total(objective(X)))
        optimizer.step()

    return step


def then(after: Callable[[Tensor, Any], Any]) -> Callable[[Tensor, Objective, Any], None]:
    """A right step, and something after it."""

    def step(X: Tensor, objective: Objective, optimizer: Any) -> None:
        step_on(total_of)(X, objective, optimizer)
        with torch.no_grad():
            after(X, optimizer)

    return step


def before_step(
    change: Callable[[Tensor, Any], None],
) -> Callable[[Tensor, Objective, Any], None]:
    """A step in which something happens to the gradient before it is used."""

    def step(X: Tensor, objective: Objective, optimizer: Any) -> None:
        optimizer.zero_grad()
        backward(X, objective)
        with torch.no_grad():
            change(X, optimizer)
        optimizer.step()

    return step


def total_of(losses: dict[str, Tensor]) -> Tensor:
    """The sum of all losses."""
    return torch.stack(list(losses.values())).sum()


def backward(X: Tensor, objective: Objective) -> None:
    """Compute the gradient of the sum of all losses."""
    torch.autograd.backward(total_of(objective(X)))


def _never_zero(X: Tensor, objective: Objective, optimizer: Any) -> None:
    backward(X, objective)
    optimizer.step()


def _step_first(X: Tensor, objective: Objective, optimizer: Any) -> None:
    optimizer.step()
    optimizer.zero_grad()
    backward(X, objective)


def _no_backward(X: Tensor, objective: Objective, optimizer: Any) -> None:
    optimizer.zero_grad()
    total_of(objective(X))
    optimizer.step()


def _no_step(X: Tensor, objective: Objective, optimizer: Any) -> None:
    optimizer.zero_grad()
    backward(X, objective)


def _step_twice(X: Tensor, objective: Objective, optimizer: Any) -> None:
    _no_step(X, objective, optimizer)
    optimizer.step()
    optimizer.step()


def _twice(X: Tensor, objective: Objective, optimizer: Any) -> None:
    step_on(total_of)(X, objective, optimizer)
    step_on(total_of)(X, objective, optimizer)


def _backward_twice(X: Tensor, objective: Objective, optimizer: Any) -> None:
    _no_step(X, objective, optimizer)
    backward(X, objective)
    optimizer.step()


def _step_for_each(X: Tensor, objective: Objective, optimizer: Any) -> None:
    for name in objective(X):
        step_on(itemgetter(name))(X, objective, optimizer)


def _also_by_hand(X: Tensor, optimizer: Any) -> None:
    assert X.grad is not None
    X -= optimizer.param_groups[0]["lr"] * X.grad


def _by_hand_only(X: Tensor, objective: Objective, optimizer: Any) -> None:
    _no_step(X, objective, optimizer)
    with torch.no_grad():
        _also_by_hand(X, optimizer)


def on_gradient(change: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Any], None]:
    """A change of the gradient, for `before_step`."""

    def changed(X: Tensor, _: Any) -> None:
        assert X.grad is not None
        X.grad.copy_(change(X.grad))

    return changed


STEP = Exercise(
    "training_step",
    "the image after a step",
    "training_step(X, objective, optimizer)",
    _starts,
    by_hand,
    (
        Wrong(
            "gradients_add_up",
            "Your gradients add up from step to step. Call optimizer.zero_grad() before "
            "backward().",
            _never_zero,
        ),
        Wrong(
            "no_backward",
            "Your image does not move, because no gradient is computed: backward() is missing.",
            _no_backward,
        ),
        Wrong(
            "no_step",
            "Your image does not move, because optimizer.step() is missing.",
            _no_step,
        ),
        Wrong(
            "zeroed_too_late",
            "Your image does not move: optimizer.zero_grad() comes between backward() and "
            "step(), and erases the gradient. Call it first.",
            before_step(lambda X, optimizer: optimizer.zero_grad()),
        ),
        Wrong(
            "step_before_backward",
            "Your step comes before backward(), so it uses the gradient of the step before.",
            _step_first,
        ),
        Wrong(
            "ascent",
            "Your step goes uphill: the loss has the wrong sign, and grows.",
            step_on(lambda losses: -total_of(losses)),
        ),
        Wrong(
            "first_loss_only",
            "Your step uses only the first of the losses. Add all of them.",
            step_on(lambda losses: next(iter(losses.values()))),
        ),
        Wrong(
            "last_loss_only",
            "Your step uses only the last of the losses. Add all of them.",
            step_on(lambda losses: list(losses.values())[-1]),
        ),
        Wrong(
            "mean_of_losses",
            "Your step uses the mean of the losses. Add them.",
            step_on(lambda losses: total_of(losses) / len(losses)),
        ),
        Wrong(
            "product_of_losses",
            "Your step multiplies the losses. Add them.",
            step_on(lambda losses: torch.stack(list(losses.values())).prod()),
        ),
        Wrong(
            "largest_loss",
            "Your step uses only the largest of the losses. Add all of them.",
            step_on(lambda losses: torch.stack(list(losses.values())).max()),
        ),
        Wrong(
            "squared_loss",
            "Your step squares the total. Use the sum of the losses itself.",
            step_on(lambda losses: total_of(losses) ** 2),
        ),
        Wrong(
            "root_of_loss",
            "Your step takes the root of the total. Use the sum itself.",
            step_on(lambda losses: total_of(losses).sqrt()),
        ),
        Wrong(
            "log_of_loss",
            "Your step takes the logarithm of the total. Use the sum itself.",
            step_on(lambda losses: total_of(losses).log()),
        ),
        Wrong("step_called_twice", "Your function calls optimizer.step() twice.", _step_twice),
        Wrong("two_steps", "Your function makes two steps. Make one.", _twice),
        Wrong(
            "step_for_each_loss",
            "Your function makes a step for each loss. Add the losses, and make one step.",
            _step_for_each,
        ),
        Wrong(
            "backward_called_twice",
            "Your function computes the gradient twice, and it adds up.",
            _backward_twice,
        ),
        Wrong(
            "also_by_hand",
            "Your function moves the image by itself, and the optimizer moves it, too. Leave "
            "it to optimizer.step().",
            then(_also_by_hand),
        ),
        Wrong(
            "by_hand_only",
            "Your function moves the image by itself, by learning rate times gradient. Call "
            "optimizer.step(), which knows how.",
            _by_hand_only,
        ),
        Wrong(
            "clamped_to_0_1",
            "Your function clamps the image to 0..1. A normalized image has other limits, and "
            "a step leaves it as it is.",
            then(lambda X, _: X.clamp_(0, 1)),
        ),
        Wrong(
            "clamped_to_1",
            "Your function clamps the image to -1..1. Leave it as it is.",
            then(lambda X, _: X.clamp_(-1, 1)),
        ),
        Wrong(
            "sign_of_gradient",
            "Your step uses only the sign of the gradient.",
            before_step(on_gradient(torch.sign)),
        ),
        Wrong(
            "normalized_gradient",
            "Your step divides the gradient by its length.",
            before_step(on_gradient(lambda g: g / g.norm())),
        ),
        Wrong(
            "averaged_gradient",
            "Your step divides the gradient by its mean absolute value.",
            before_step(on_gradient(lambda g: g / g.abs().mean())),
        ),
    ),
    picture=None,
    cases=("gradient descent", "Adam"),
    returns="any",
    changes=True,
    run=_run,
    tolerance=1e-5,
    chapter="07-synthesized-image",
)

EXERCISES = (STEP,)
