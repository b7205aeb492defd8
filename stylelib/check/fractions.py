"""The sizes from coarse to fine: reference and likely mistakes (chapter 22)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylelib.check.exercises import Arguments, Exercise, Function, Wrong

__all__ = ["EXERCISES"]

Array = NDArray[np.float64]
CASES = "400 and 75", "300 and 64", "512 and 64", "40 and 75", "700 and 24"


def sides() -> list[Arguments]:
    """Five calls, (side, smallest). No ratio is near the middle of two sizes."""
    return [(400, 75), (300, 64), (512, 64), (40, 75), (700, 24)]


def fractions(side: float, smallest: float) -> Array:
    """The number of sizes whose first has a side nearest to `smallest` is found by trial."""
    counts = range(30)
    misses = [abs(math.log2(side * 0.5 ** (count / 2) / smallest)) for count in counts]
    count = misses.index(min(misses))
    return np.array([1 / math.sqrt(2**k) for k in reversed(range(count + 1))])


@dataclass(frozen=True)
class Ladder:
    """The fractions by parts.

    Attributes:
        factor: between neighbors.
        exact: from the ratio of the sides, and the factor, to how many factors it has.
        count: from this to a whole number.
        listed: from the number, and the factor, to the fractions.
    """

    factor: float = 2**0.5
    exact: Callable[[float, float], float] = math.log
    count: Callable[[float], int] = lambda n: max(0, round(n))
    listed: Callable[[int, float], Any] = lambda n, f: f ** np.arange(-n, 1.0)

    def __call__(self, side: float, smallest: float) -> Any:
        """An array of them."""
        number = self.count(self.exact(side / smallest, self.factor))
        return self.listed(number, self.factor)


LADDER = Ladder()


def counted(name: str, sentence: str, count: Callable[[float], int]) -> Wrong:
    """Another number of sizes."""
    return Wrong(name, sentence, replace(LADDER, count=count))


def listed(name: str, sentence: str, fractions: Callable[[int, float], Any]) -> Wrong:
    """Other fractions."""
    return Wrong(name, sentence, replace(LADDER, listed=fractions))


WRONGS = (
    Wrong(
        "doubled",
        "Your sizes are a factor of 2 apart. The factor is the root of 2, so that each size "
        "has half the pixels of the next.",
        replace(LADDER, factor=2.0),
    ),
    Wrong(
        "logarithm_of_base_two",
        "You count factors of 2, but your sizes are a factor of the root of 2 apart: there are "
        "twice as many of these.",
        replace(LADDER, exact=lambda ratio, f: math.log2(ratio)),
    ),
    Wrong(
        "logarithm_not_divided",
        "You take the natural logarithm of the ratio. Divide it by the logarithm of the "
        "factor.",
        replace(LADDER, exact=lambda ratio, f: math.log(ratio)),
    ),
    Wrong(
        "logarithm_of_base_ten",
        "You take the logarithm of base 10. Divide it by the logarithm of the factor.",
        replace(LADDER, exact=lambda ratio, f: math.log10(ratio)),
    ),
    Wrong(
        "ratio_for_logarithm",
        "You take the ratio of the sides for the number of sizes. Take its logarithm, to the "
        "base of the factor.",
        replace(LADDER, exact=lambda ratio, f: ratio),
    ),
    Wrong(
        "ratio_inverted",
        "You divide the smallest side by the last one, so the logarithm is negative. It is the "
        "other way around.",
        replace(LADDER, exact=lambda ratio, f: -math.log(ratio, f)),
    ),
    counted(
        "rounded_down",
        "You round the number of sizes down. Round to the nearest, so that the first size is "
        "as near to `smallest` as possible.",
        lambda n: max(0, math.floor(n)),
    ),
    counted(
        "rounded_up",
        "You round the number of sizes up. Round to the nearest, so that the first size is as "
        "near to `smallest` as possible.",
        lambda n: max(0, math.ceil(n)),
    ),
    counted(
        "one_too_many",
        "Your list has one size too many.",
        lambda n: max(0, round(n)) + 1,
    ),
    counted(
        "one_size_at_least_before",
        "If the last size is no larger than `smallest`, there is only that one: [1].",
        lambda n: max(1, round(n)),
    ),
    counted(
        "negative_count",
        "If the last size is smaller than `smallest`, your list is empty. There is always the "
        "last size: [1].",
        lambda n: round(n),
    ),
    counted(
        "not_limited",
        "If the last size is smaller than `smallest`, you go on the other way. There is always "
        "the last size alone: [1].",
        lambda n: abs(round(n)),
    ),
    counted(
        "last_alone",
        "Your list has the last size only. Put the smaller ones before it.",
        lambda n: 0,
    ),
    listed(
        "last_missing",
        "The last size is missing from your list: end with the fraction 1.",
        lambda n, f: f ** np.arange(-n, 0.0),
    ),
    Wrong(
        "first_missing",
        "The smallest size is missing from your list.",
        lambda side, smallest: LADDER(side, smallest)[1:],
    ),
    listed(
        "empty",
        "Your list is empty. It ends with the last size, the fraction 1.",
        lambda n, f: np.zeros(0),
    ),
    listed(
        "largest_first",
        "Your list begins with the largest size. The smallest comes first.",
        lambda n, f: f ** np.arange(0.0, -n - 1, -1),
    ),
    listed(
        "inverted",
        "Your fractions are larger than 1: divide by the powers of the factor.",
        lambda n, f: f ** np.arange(n, -1.0, -1),
    ),
    listed(
        "growing_from_one",
        "Your list begins with 1 and grows. These are fractions of the last size, so the last "
        "one is 1.",
        lambda n, f: f ** np.arange(0.0, n + 1),
    ),
    listed(
        "pixels",
        "Your fractions are those of the pixels. Where the pixels are halved, a side shrinks "
        "by the root of 2.",
        lambda n, f: f ** (2 * np.arange(-n, 1.0)),
    ),
    listed(
        "evenly_spaced",
        "Your fractions have equal differences. Neighbors must have equal ratios.",
        lambda n, f: np.linspace(f**-n, 1, n + 1),
    ),
    listed(
        "count_returned",
        "You return the number of sizes. Return the list of fractions.",
        lambda n, f: n + 1,
    ),
    Wrong(
        "sides_returned",
        "You return sides in pixels. Divide them by the last one.",
        lambda side, smallest: side * LADDER(side, smallest),
    ),
    Wrong(
        "starts_exactly",
        "Your first size is exactly `smallest`, so the factor is not the root of 2. Start from "
        "the last size and divide.",
        lambda side, smallest: np.geomspace(
            min(1, smallest / side), 1, len(LADDER(side, smallest))
        ),
    ),
    Wrong(
        "counted_from_the_first",
        "You multiply `smallest` by the factor again and again, so the last size is not the "
        "one that is asked for. Start from the last size and divide.",
        lambda side, smallest: (
            smallest / side * LADDER.factor ** np.arange(len(LADDER(side, smallest)))
        ),
    ),
)


def called(function: Function, arguments: Arguments) -> Any:
    """The list as one array, so that a tuple, an array or a tensor will do."""
    result = function(*arguments)
    return np.asarray(result, dtype=np.float64) if isinstance(result, list | tuple) else result


EXERCISES = (
    Exercise(
        "size_fractions",
        "the list of fractions",
        "size_fractions(side, smallest)",
        sides,
        fractions,
        WRONGS,
        cases=CASES,
        run=called,
        returns="any",
        chapter="22-coarse-to-fine",
    ),
)
