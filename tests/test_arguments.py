"""Arguments are checked the same everywhere."""

import math
import re
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stylelib import InputError
from stylelib.arguments import (
    check_callback,
    check_seed,
    choice,
    number,
    several,
    sides,
    whole,
)

NO_NUMBERS = ["3", b"3", None, True, False, np.True_, [3], (3,), 1j, {}, torch.ones(1)]
WHOLE = st.integers(-(10**6), 10**6)
KINDS = st.sampled_from([int, np.int64, np.array, torch.tensor])
FINITE = st.floats(-1e6, 1e6)
NANS = st.sampled_from([float, np.float32, np.float64, np.array, torch.tensor]).map(
    lambda kind: kind(math.nan)
)
BOOLS = st.sampled_from([bool, np.bool_, np.array, torch.tensor])
NEVER = st.one_of(
    *(st.text(), st.binary(), st.none(), st.complex_numbers(), NANS),
    *(st.lists(st.integers()), st.dictionaries(st.text(), st.integers())),
    st.tuples(BOOLS, st.booleans()).map(lambda pair: pair[0](pair[1])),
)
SOME = st.one_of(
    NEVER,
    *(st.integers(), st.floats(), st.fractions(), st.floats(width=32).map(np.float32)),
    *(st.integers(0, 255).map(np.uint8), st.integers(-9, 9).map(torch.tensor)),
)


@given(WHOLE, WHOLE, KINDS)
def test_a_whole_number_passes_from_its_least_on_whatever_kind_it_is(value, least, kind):
    given_ = kind(value)
    if value >= least:
        passed = whole("n", given_, least=least)
        assert type(passed) is int
        assert passed == value
    else:
        with pytest.raises(InputError, match=f"n must be a whole number, {least} or more, not"):
            whole("n", given_, least=least)


@given(WHOLE, st.integers(0, 100), st.integers(0, 100))
def test_a_whole_number_passes_up_to_its_most(value, least, span):
    most = least + span
    if least <= value <= most:
        assert whole("n", value, least=least, most=most) == value
    else:
        words = f"n must be a whole number, from {least} to {most}, not {value}"
        with pytest.raises(InputError, match=re.escape(words)):
            whole("n", value, least=least, most=most)


@pytest.mark.parametrize("value", [*NO_NUMBERS, 2.0, 2.5, math.nan, np.float32(2)], ids=repr)
def test_what_is_no_whole_number_is_refused_by_its_name(value):
    with pytest.raises(InputError, match=re.escape(f"not {value!r}")):
        whole("n", value)


@given(FINITE, st.sampled_from([float, np.float64, Fraction, np.array, torch.tensor]))
def test_a_number_without_bounds_passes_whatever_kind_it_is(value, kind):
    passed = number("x", kind(value))
    assert type(passed) is float
    assert passed == pytest.approx(value, rel=1e-6)  # torch makes a float32 of it


@given(FINITE, FINITE, FINITE)
def test_bounds_belong_to_their_range_or_do_not(value, low, high):
    inside = {
        "above": value > low,
        "least": value >= low,
        "most": value <= high,
        "below": value < high,
    }
    for name, passes in inside.items():
        bound = {name: low if name in ("above", "least") else high}
        if passes:
            assert number("x", value, **bound) == value
        else:
            with pytest.raises(InputError, match="x must be a finite number"):
                number("x", value, **bound)


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, math.nan, math.inf, -math.inf, np.float64("nan")], ids=repr
)
def test_what_is_no_finite_number_is_refused_by_its_name(value):
    with pytest.raises(InputError) as caught:
        number("x", value, above=0, most=1)
    assert str(caught.value).startswith("x must be a finite number above 0 and at most 1, not ")


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (["a"], ["a"]),
        (("a", 1), ["a", 1]),
        (range(2), [0, 1]),
        (np.array([1, 2]), [1, 2]),
        (torch.tensor([1, 2]), [1, 2]),
    ],
    ids=repr,
)
def test_a_list_is_a_list(given_, expected):
    passed = several("names", given_)
    assert passed == expected
    assert passed is not given_


@pytest.mark.parametrize("value", ["conv1_1", b"x", 3, None, {"a": 1}, {1}], ids=repr)
def test_what_is_no_list_is_refused_and_shown_in_one(value):
    words = f"names must be a list, for example [{value!r}], not {value!r}"
    with pytest.raises(InputError, match=re.escape(words)):
        several("names", value)


def test_an_empty_list_passes_only_where_it_may():
    assert several("names", [], least=0) == []
    with pytest.raises(InputError, match="names is empty: give at least one"):
        several("names", ())


@given(st.integers(1, 500), st.integers(1, 500), st.integers(1, 400))
def test_sides_are_one_or_two(height, width, least):
    for given_ in (height, (height, width), [height, width]):
        expected = tuple(given_) if isinstance(given_, tuple | list) else (given_,)
        if min(expected) >= least:
            assert sides("shape", given_, least=least) == expected
        else:
            with pytest.raises(InputError, match=r"shape must be \(height, width\) in pixels"):
                sides("shape", given_, least=least)


@pytest.mark.parametrize(
    "value", [(), (300,), (1, 2, 3), "300", "300x450", 2.0, (1, "2"), None, True]
)
def test_what_is_no_size_is_refused(value):
    with pytest.raises(InputError, match=re.escape(f"got {value!r}")):
        sides("shape", value)


@pytest.mark.parametrize("value", ["max", "avg"])
def test_one_of_several_words_is_that_word(value):
    assert choice("pooling", value, ("max", "avg")) == value


@pytest.mark.parametrize(
    ("value", "words", "message"),
    [
        ("maxx", ("max", "avg"), "w must be 'max' or 'avg', not 'maxx'; did you mean 'max'?"),
        (3, ("a", "b", "c"), "w must be 'a', 'b' or 'c', not 3"),
        (None, ("a",), "w must be 'a', not None"),
    ],
)
def test_another_word_is_refused_with_those_there_are(value, words, message):
    with pytest.raises(InputError) as caught:
        choice("w", value, words)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", [0, 7, 2**63 - 1, np.int64(3), torch.tensor(3)])
def test_a_seed_is_one_that_pytorch_takes(value):
    seed = check_seed(value)
    assert seed == value
    torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("value", [-1, 2**63, 1.0, "1", None, True])
def test_another_seed_is_refused(value):
    with pytest.raises(
        InputError, match=re.escape("seed must be a whole number from 0 to 2**63 - 1")
    ):
        check_seed(value)


@pytest.mark.parametrize("value", [torch.tensor(3), np.array(3)])
def test_an_array_without_axes_is_no_list(value):
    with pytest.raises(InputError, match="names must be a list"):
        several("names", value)


def passed(check, value):
    """What a check makes of a value; None where it is refused, in words that show it."""
    try:
        return check(value)
    except InputError as error:
        message = str(error)
    assert repr(value) in message
    return None


@given(NEVER)
def test_words_truth_values_and_nan_are_never_numbers(value):
    assert passed(lambda v: whole("n", v, least=-(10**9)), value) is None
    assert passed(lambda v: number("x", v), value) is None
    assert passed(check_seed, value) is None
    assert passed(lambda v: sides("shape", (3, v)), value) is None


@given(SOME, FINITE, FINITE)
def test_what_passes_is_equal_and_within_its_bounds(value, low, high):
    x = passed(lambda v: number("x", v, least=low, below=high), value)
    n = passed(lambda v: whole("n", v, least=int(low), most=int(high)), value)
    assert x is None or (x == float(value) and low <= x < high)
    assert n is None or (n == value and int(low) <= n <= int(high))


@given(st.integers(-(2**65), 2**65))
def test_a_seed_passes_if_it_has_63_bits(value):
    assert passed(check_seed, value) == (value if 0 <= value < 2**63 else None)


@given(st.lists(st.text(), min_size=1, unique=True), SOME)
def test_a_word_passes_if_it_is_one_of_those_there_are(words, value):
    assert passed(lambda v: choice("w", v, words), words[-1]) == words[-1]
    expected = value if isinstance(value, str) and value in words else None
    assert passed(lambda v: choice("w", v, words), value) == expected


@given(st.lists(st.integers(-(2**31), 2**31)))
def test_a_list_comes_back_equal_whatever_kind_it_is(values):
    for kind in (list, tuple, np.array, torch.tensor):
        assert several("names", kind(values), least=0) == values
    with pytest.raises(InputError, match="names is empty: give at least"):
        several("names", values, least=len(values) + 1)


@given(st.one_of(st.text(), st.binary()))
def test_a_word_is_never_a_list(value):
    assert passed(lambda v: several("names", v, least=0), value) is None


def test_a_callback_can_be_called_or_is_none():
    check_callback(None)
    check_callback(print)
    for value in (True, False, 0, "bar"):
        assert passed(lambda v: check_callback(v) or v, value) is None
