"""Versions with two mistakes, over all exercises that have them."""

import itertools

import numpy as np
import pytest

from stylelib.check.exercises import Wrong
from stylelib.check.judging import judge
from stylelib.check.mistakes import plain
from stylelib.check.pairs import pairs_of
from stylelib.check.tables import EXERCISES
from stylelib.check.two_loops import LOOPS, Loops
from stylelib.check.values import agree

WITH_PAIRS = {name: each for name, each in EXERCISES.items() if each.pairs}
every_exercise = pytest.mark.parametrize("exercise", WITH_PAIRS.values(), ids=list(WITH_PAIRS))


def outcomes(exercise, version):
    with np.errstate(all="ignore"):
        return [plain(exercise, version, arguments) for arguments in exercise.arguments()]


def alike(some, others, tolerance):
    return all(agree(a, b, tolerance) for a, b in zip(some, others, strict=True))


@every_exercise
def test_pairs_differ(exercise):
    """None is right. Nearly all are unlike each single mistake, and unlike each other pair; of
    the few that are not, as two signs that cancel, the simpler one is named.
    """
    bound = 3 * exercise.tolerance
    right = outcomes(exercise, exercise.reference)
    known = [outcomes(exercise, wrong.version) for wrong in exercise.wrongs]
    found = {pair.name: outcomes(exercise, pair.version) for pair in exercise.pairs}
    assert len(found) == len(exercise.pairs) >= 40
    assert not [name for name, each in found.items() if alike(each, right, bound)]
    single = {n for n, each in found.items() if any(alike(each, k, bound) for k in known)}
    rest = {name: each for name, each in found.items() if name not in single}
    double = {
        other
        for (_, each), (other, others) in itertools.combinations(rest.items(), 2)
        if alike(each, others, bound)
    }
    assert len(single) + len(double) <= 0.12 * len(found), (single, double)


@every_exercise
def test_pairs_are_named(exercise):
    for pair in exercise.pairs[:: len(exercise.pairs) // 4]:
        verdict = judge(exercise, pair.version)
        assert not verdict.right
        known = {each.name: each for each in (*exercise.pairs, *exercise.wrongs)}
        named = known[verdict.mistake]
        assert verdict.message == named.sentence
        found = (outcomes(exercise, each.version) for each in (named, pair))
        assert alike(*found, 3 * exercise.tolerance)


@every_exercise
def test_sentences_of_pairs(exercise):
    for pair in exercise.pairs:
        first, second = pair.sentence.split(" There is a second mistake, too. ")
        sentences = {wrong.sentence for wrong in exercise.wrongs}
        assert {first, second} <= sentences


def test_only_different_parts_are_combined():
    def wrong(name, **changes):
        return Wrong(name, f"{name.title()}.", Loops(**changes))

    one, same, other = wrong("a", first=1), wrong("b", first=2), wrong("c", crossed=True)
    plain_function = Wrong("d", "D.", lambda g, pairs: g)
    pairs = pairs_of(LOOPS, [one, same, other, plain_function])
    assert [pair.name for pair in pairs] == ["a_and_c", "b_and_c"]
    assert pairs[0].sentence == "A. There is a second mistake, too. C."
    assert (pairs[0].version.first, pairs[0].version.crossed) == (1, True)
