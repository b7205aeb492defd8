"""Functions that cannot be called, or stop with an error."""

from __future__ import annotations

import dis
import inspect
import re
from collections.abc import Sequence

from stylelib.check.calls import text_of
from stylelib.check.exercises import Arguments, Exercise, Function
from stylelib.check.ratios import Reason
from stylelib.check.trials import Trial, article, case_of

__all__ = ["call_flaw", "error_flaw", "late_flaw"]


def call_flaw(exercise: Exercise, function: Function, arguments: Arguments) -> Reason | None:
    """Refuse what is no function, or cannot be called with these arguments."""
    if not callable(function):
        return Reason(
            "not_callable",
            f"This is no function, but {article(type(function).__name__)}. Give the function "
            f"itself, without parentheses: check.{exercise.name}({exercise.name}).",
        )
    if _is_stub(function):
        return Reason(
            "not_written",
            "Your function is empty. Write your lines in place of the dots.",
        )
    if exercise.run is not None:
        return None
    try:
        signature = inspect.signature(function)
    except Exception:  # it may have a `__signature__` of its own, whatever that is
        return None
    try:
        signature.bind(*arguments)
    except TypeError as error:
        return Reason(
            "signature",
            f"Your function must take the arguments of {exercise.signature}: {error}.",
        )
    return None


def _stub() -> None: ...


def _is_stub(function: Function) -> bool:
    """Whether a `def` has nothing but dots in it, and perhaps a docstring."""
    if not inspect.isfunction(function) or function.__name__ == "<lambda>":
        return False
    does, nothing = (
        [(line.opname, line.argval) for line in dis.get_instructions(each)]
        for each in (function, _stub)
    )
    return does == nothing


_HINTS: tuple[tuple[str, str, str], ...] = (
    (
        r"leaf Variable that requires grad is being used in an in-place",
        "changes_its_input",
        "Your function changes its input in place{line}. Compute a new tensor instead, and "
        "leave the input as it is.",
    ),
    (
        r"Can't call numpy\(\) on Tensor that requires grad",
        "graph_cut",
        "Your function turns a tensor into NumPy{line}, where no gradient can flow. Use "
        "operations of PyTorch.",
    ),
    (
        r"mat1 and mat2 shapes cannot be multiplied|size mismatch|must match the size|"
        r"could not be broadcast|not aligned|mismatch in its core dimension|Expected size for|"
        r"is invalid for input of size|cannot reshape|different from",
        "shapes_inside",
        "Your function combines shapes that do not fit{line}: {error}. Print the shapes just "
        "before this line.",
    ),
    (
        r"can't multiply sequence by non-int",
        "list_times_number",
        "Your function multiplies a list by a number{line}. Multiply each of its entries, or "
        "their sum.",
    ),
    (
        r"implicitly created only for scalar",
        "backward_of_several",
        "Your function calls backward() on several values{line}. Add them up first.",
    ),
    (
        r"'dict' object has no attribute|'dict' and|: 'dict'",
        "dictionary_for_sum",
        "Your function takes a dictionary of losses for a number{line}. Add up its values().",
    ),
    (
        r"operand type\(s\) for \+: .*'(list|str)'|can only concatenate (list|str)|"
        r"operand type\(s\) for \*: 'float' and 'list'",
        "lists_added",
        "Your function adds a list to a number{line}. Add up the list with sum() first.",
    ),
    (
        r"does not require grad and does not have a grad_fn",
        "graph_cut",
        "Your function calls backward() on something that no gradient flows through{line}. Is "
        "there a `detach()`, an `item()` or a `torch.no_grad()` before it?",
    ),
    (
        r"backward through the graph a second time",
        "backward_called_twice",
        "Your function goes backward twice through the same computation{line}. Compute the "
        "losses anew for each step, and call backward() once.",
    ),
    (
        r"[Ii]nput type .* should be the same|expected .* to have the same dtype|"
        r"expected scalar type|but found",
        "types_inside",
        "Your function combines numbers of different types{line}: {error}. Convert one to the "
        "type of the other.",
    ),
    (
        r"view size is not compatible",
        "view_for_reshape",
        "Your function uses `view` on a tensor whose axes were swapped{line}. Use `reshape`.",
    ),
)


def late_flaw(seconds: float, case: str = "") -> Reason:
    """A function that had to be stopped."""
    return Reason(
        "too_slow",
        f"Your function was still running after {seconds:g} seconds{case}, so it was stopped. "
        "Is there a loop that never ends?",
    )


def error_flaw(exercise: Exercise, trials: Sequence[Trial]) -> Reason | None:
    """What a call stopped with, and where."""
    for index, trial in enumerate(trials):
        error, line = trial.outcome.error, trial.outcome.line
        if error is None:
            continue
        case = case_of(exercise, trials, index)
        at = (f" in {line}" if line else "") + case
        text = " ".join(text_of(error).split())[:200].rstrip(".")
        if isinstance(error, NotImplementedError):
            return Reason("not_written", "Your function is not written yet.")
        if isinstance(error, SystemExit):
            return Reason(
                "exit", f"Your function ends the program{at}. Return a value instead."
            )
        for pattern, mistake, sentence in _HINTS:
            if re.search(pattern, text):
                said = sentence.replace("{line}", at).replace("{error}", text)
                return Reason(mistake, said)
        kind = type(error).__name__
        said = f": {text}" if text else ""
        return Reason("error", f"Your function stopped with {article(kind)}{at}{said}.")
    return None
