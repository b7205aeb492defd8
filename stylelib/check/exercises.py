"""What an exercise is: a function to write, its inputs, its reference, and likely mistakes.

Each module of tables, such as `stylelib.check.main_line`, ends in a tuple `EXERCISES`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Arguments", "Exercise", "Function", "Wrong"]

Arguments = tuple[Any, ...]
"""The positional arguments of one call."""
Function = Callable[..., Any]
"""What a student writes."""


@dataclass(frozen=True)
class Wrong:
    """A version of the function that has one likely mistake and can be run.

    Attributes:
        name: short, unique within its exercise, such as "not_divided_by_channels".
        sentence: names the mistake, to a student: "Your Gram matrix is not divided by ...".
        version: takes what the reference takes, and returns what comes out with the mistake.
            It may raise an error, if a student's function then does so, too.
    """

    name: str
    sentence: str
    version: Function


@dataclass(frozen=True)
class Exercise:
    """A function that a student writes, and all that is needed to judge it.

    Attributes:
        name: of the student's function and of its check, "gram".
        what: its result in messages, "the Gram matrix".
        signature: how it is called, "gram(X)".
        arguments: makes fresh, seeded inputs: a list of argument tuples, one for each call.
            Arrays, tensors, numbers, images, modules, and lists or dictionaries of them.
            The first are those that are shown. Sizes should all be different, and one
            call should have a batch of two or more.
        reference: the right values, in float64, by plain loops or NumPy: an array, a tensor, a
            number, an image, or a list, tuple or dictionary of them. It gets copies.
        wrongs: the first one that fits is named.
        rarer: more wrong versions with one mistake each, made by families, tried if none of
            `wrongs` fits. Nothing is combined with them.
        pairs: versions with two mistakes (see `stylelib.check.pairs`), tried if none with one
            fits.
        picture: how a difference is shown: "matrix" (values in colors), "image" (an array
            or tensor (..., 3, H, W), or a PIL image), or None for not at all.
        parts: names of the results of a function that returns several, "the loss".
        tolerance: values agree if |yours - expected| <= tolerance * the largest |expected|,
            for each result.
        cases: what is special about each call's inputs, "a batch of two images".
        dtype: of the result, "float32", if no other will do. By default it is floating point,
            and at least as wide as that of the arguments.
        returns: "tensor", "array", "image" or "any"; by default a tensor if there is a tensor
            or a module among the arguments, an array (or number) if there is an array.
        learns: the tensors among the arguments that require a gradient must get one, and it
            must be that of the reference (by central differences).
        targets: the numbers of the arguments that are targets: if they require a gradient
            and get one, a right function is told so.
        changes: the function may change its arguments.
        run: how a function is called with arguments, if not by `function(*arguments)`: it
            returns the result to compare. The reference and the wrong versions are called
            in the same way.
        chapter: where the book has it, "05-style-loss".
    """

    name: str
    what: str
    signature: str
    arguments: Callable[[], list[Arguments]]
    reference: Function
    wrongs: tuple[Wrong, ...]
    picture: str | None = None
    parts: tuple[str, ...] = ()
    tolerance: float = 1e-4
    cases: tuple[str, ...] = ()
    dtype: str | None = None
    returns: str | None = None
    learns: bool = False
    targets: tuple[int, ...] = ()
    changes: bool = False
    run: Callable[[Function, Arguments], Any] | None = None
    chapter: str = ""
    pairs: tuple[Wrong, ...] = ()
    rarer: tuple[Wrong, ...] = ()

    def call(self, function: Function, arguments: Arguments) -> Any:
        """The result of a version of the function."""
        return self.run(function, arguments) if self.run else function(*arguments)
