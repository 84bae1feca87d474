"""Parts of metrics: added up in any order and from any pieces, they say the same."""

import math
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conspo_study.records import Correlation, Least, Mean, Peak, Quantile, Spread, add_parts

VALUES = st.lists(st.integers(-50, 50).map(lambda n: n / 8), min_size=1, max_size=12)


def correlation(values):
    pairs = [(value, value**2 + value) for value in values]
    sums = ((1, 0), (0, 1), (2, 0), (0, 2), (1, 1))
    return Correlation(len(pairs), *(sum(x**i * y**j for x, y in pairs) for i, j in sums))


KINDS = {
    "mean": lambda values: Mean(sum(values), len(values)),
    "peak": lambda values: Peak(max(values)),
    "least": lambda values: Least(min(values)),
    "spread": lambda values: Spread(len(values), sum(values), sum(v * v for v in values)),
    "correlation": correlation,
    "quantile": lambda values: Quantile(0.9, {v: values.count(v) for v in values}),
}


def expected(kind, values):
    match kind:
        case "mean":
            return np.mean(values)
        case "peak":
            return max(values)
        case "least":
            return min(values)
        case "spread":
            return np.std(values)
        case "quantile":
            return np.quantile(values, 0.9, method="inverted_cdf")
        case "correlation":
            squares = np.square(values) + values
            if np.ptp(values) == 0 or np.ptp(squares) == 0:
                return None
            return np.corrcoef(values, squares)[0, 1]


@pytest.mark.parametrize("kind", KINDS)
@given(pieces=st.lists(VALUES, min_size=1, max_size=4), data=st.data())
def test_parts_of_pieces_add_up_to_the_metric_of_the_whole(kind, pieces, data):
    whole = [value for piece in pieces for value in piece]
    shuffled = data.draw(st.permutations(pieces))
    result = reduce(add, map(KINDS[kind], shuffled)).value
    right = expected(kind, whole)
    assert result == (right if right is None else pytest.approx(right, rel=1e-9, abs=1e-9))


@pytest.mark.parametrize("kind", [Peak, Least])
@pytest.mark.parametrize("order", [1, -1])
def test_what_is_not_a_number_wins_from_either_side(kind, order):
    first, second = [kind(math.nan), kind(1.0)][::order]
    assert math.isnan((first + second).value)


def test_nothing_has_no_value():
    assert Mean(0.0, 0.0).value is None
    assert Spread(0, 0.0, 0.0).value is None
    assert Quantile(0.5, {}).value is None
    assert Correlation(3, 3.0, 0.0, 3.0, 2.0, 0.0).value is None  # x is 1 throughout


def test_parts_are_added_name_by_name():
    known = {"a": Mean(1.0, 2.0), "b": Peak(3.0)}
    add_parts(known, {"a": Mean(3.0, 2.0), "c": Least(0.0)})
    assert known == {"a": Mean(4.0, 4.0), "b": Peak(3.0), "c": Least(0.0)}
