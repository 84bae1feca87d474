"""Intervals are Student's, differences are paired, and one seed yields neither."""

import math

import numpy as np
import pytest
from scipy.stats import ttest_1samp

from analysis.statistics.intervals import mean_interval, paired_difference


def test_the_interval_is_that_of_the_t_test() -> None:
    values = [0.71, 0.75, 0.69, 0.74]
    interval = mean_interval(values)
    expected = ttest_1samp(values, 0).confidence_interval(0.95)
    assert interval is not None
    assert interval.mean == pytest.approx(np.mean(values))
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))


@pytest.mark.parametrize("values", [[], [0.7]])
def test_fewer_than_two_seeds_have_no_interval(values: list[float]) -> None:
    assert mean_interval(values) is None


def test_intervals_of_normal_samples_cover_their_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    intervals = [mean_interval(list(rng.normal(size=3))) for _ in range(2000)]
    covered = np.mean([i.low <= 0 <= i.high for i in intervals if i is not None])
    assert 0.935 < covered < 0.965


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        mean_interval([0.5, bad])


def test_differences_are_taken_seed_by_seed_over_shared_seeds() -> None:
    difference = paired_difference({0: 0.7, 1: 0.9, 5: 0.0}, {1: 0.8, 0: 0.5})
    assert difference is not None
    assert difference.by_seed == pytest.approx({0: 0.2, 1: 0.1})
    assert difference.mean == pytest.approx(0.15)
    assert difference.interval is not None and difference.interval.n == 2


def test_trials_without_a_shared_seed_have_no_difference() -> None:
    assert paired_difference({0: 0.7}, {1: 0.7}) is None
    single = paired_difference({0: 0.7}, {0: 0.5})
    assert single is not None and single.interval is None
