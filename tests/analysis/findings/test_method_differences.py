"""Holm's correction is the closed test of Bonferroni's, and counts what could not be tested."""

from itertools import chain, combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.findings.method_differences import differences_table, method_differences
from analysis.statistics.holm import holm
from analysis.statistics.scores import ProblemScores, Scores


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_adjusted_values_are_those_of_the_closed_test(p_values: list[float]) -> None:
    indices = range(len(p_values))
    subsets = [
        *chain.from_iterable(combinations(indices, size) for size in range(1, len(p_values) + 1))
    ]
    for index, adjusted in enumerate(holm(p_values)):
        within = [subset for subset in subsets if index in subset]
        closed = max(min(1.0, len(s) * min(p_values[i] for i in s)) for s in within)
        assert adjusted == pytest.approx(closed)


def test_what_could_not_be_tested_counts_but_stays_unknown() -> None:
    assert holm([0.01, None, 0.04]) == [pytest.approx(0.03), None, pytest.approx(0.08)]
    assert holm([]) == [] and holm([None]) == [None]


def method(level: float, seed: int, seeds: tuple[int, ...] = (0, 1, 2)) -> Scores:
    rng = np.random.default_rng(seed)
    values = level + rng.normal(0, 0.02, (len(seeds), 20))
    return Scores(seeds, {"chain/hard": ProblemScores(tuple(map(str, range(20))), values)})


def test_each_method_is_compared_with_the_reference() -> None:
    found = method_differences(
        {"GRPO": method(0.5, 0), "ConSPO": method(0.6, 1), "x": method(0.5, 2)}, "GRPO"
    )
    assert [(one.method, one.reference) for one in found] == [("ConSPO", "GRPO"), ("x", "GRPO")]
    better, same = found
    assert better.difference is not None and better.difference.low is not None
    assert better.difference.low > 0.05 and better.improvement == 1.0
    assert better.difference.p_value is not None and better.adjusted is not None
    assert better.adjusted == pytest.approx(2 * better.difference.p_value)
    assert same.adjusted is not None and same.adjusted > 0.05


def test_without_a_reference_every_pair_is_compared() -> None:
    found = method_differences(
        {"a": method(0.5, 0), "b": method(0.5, 1), "c": method(0.5, 2, seeds=(9,))}
    )
    assert [(one.method, one.reference) for one in found] == [("b", "a"), ("c", "a"), ("c", "b")]
    assert found[1].difference is found[1].adjusted is found[1].improvement is None
    assert found[0].difference is not None and found[0].difference.p_value is not None
    assert found[0].adjusted == pytest.approx(min(1.0, 3 * found[0].difference.p_value))


def test_one_seed_is_compared_without_a_verdict() -> None:
    (found,) = method_differences(
        {"a": method(0.5, 0, seeds=(0,)), "b": method(0.9, 1, seeds=(0,))}
    )
    assert found.difference is not None and found.difference.value > 0.3
    assert found.difference.low is None and found.adjusted is None


def test_the_table_of_comparisons_shows_points_and_what_is_missing() -> None:
    methods = {"a": method(0.5, 0), "b": method(0.9, 1), "c": method(0.5, 2, seeds=(9,))}
    table = differences_table(method_differences(methods, "a"))
    better, apart = (dict(zip(table.titles, row, strict=True)) for row in table.rows)
    assert (better["method"], better["compared with"], better["seeds"]) == ("b", "a", "3")
    assert better["difference"].startswith("+") and better["95 % CI"].startswith("[+3")
    assert better["p (Holm)"] == "< 0.001" and better["problems"] == "20"
    assert {apart[name] for name in ("difference", "95 % CI", "p", "p (Holm)", "seeds")} == {"–"}
    assert apart["reason"] == "no shared seed or problem"
