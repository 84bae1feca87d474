"""Equivalence tests against scipy's one-sided t-tests, and intervals that hold together."""

import numpy as np
import pytest
from scipy import stats

from analysis.statistics.equivalence import equivalence_p, simultaneous_intervals
from conspo_study.statistics.contrast import Contrast, mean_contrast


@pytest.mark.parametrize("shift", [0.0, 0.4, -0.9, 2.5])
def test_the_p_value_is_the_larger_of_two_one_sided_tests(shift: float):
    values = np.random.default_rng(0).normal(shift, 1.0, 7)
    margin = 1.0
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    assert equivalence_p(mean_contrast(values), margin) == pytest.approx(max(above, below))


@pytest.mark.parametrize("margin", [0.3, 0.45, 0.47, 0.48, 0.6])
def test_equivalent_is_where_the_90_percent_interval_lies_inside_the_margin(margin: float):
    contrast = Contrast(0.1, 0.2, 12.0)
    low, high = contrast.interval(0.9)
    assert (equivalence_p(contrast, margin) < 0.05) is (-margin < low and high < margin)
    assert contrast.interval(0.9)[1] == pytest.approx(0.4565, abs=1e-4)


def test_a_difference_without_an_error_is_not_shown_to_be_equivalent():
    assert equivalence_p(Contrast(0.0, 0.0, 1.0), 0.02) == 1.0


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf")])
def test_a_margin_is_a_positive_number(margin: float):
    with pytest.raises(ValueError, match="positive number"):
        equivalence_p(Contrast(0.0, 1.0, 3.0), margin)


def test_simultaneous_intervals_are_bonferronis():
    contrasts = [Contrast(0.0, 1.0, 4.0), Contrast(1.0, 0.5, 9.0)]
    for contrast, ends in zip(contrasts, simultaneous_intervals(contrasts), strict=True):
        assert ends == pytest.approx(contrast.interval(0.975))
    assert simultaneous_intervals(contrasts[:1], 0.9) == [contrasts[0].interval(0.9)]
    assert simultaneous_intervals([]) == []
    missing = simultaneous_intervals([contrasts[0], None])
    assert missing == [contrasts[0].interval(0.975), None], "it was declared all the same"


def test_simultaneous_intervals_hold_together_as_often_as_they_say():
    values = np.random.default_rng(2).normal(size=(1000, 5, 6))  # the first setting: the reference
    held = 0
    for seeds in values:
        contrasts = [mean_contrast(seeds[:, k] - seeds[:, 0]) for k in range(1, 6)]
        held += all(low <= 0 <= high for low, high in simultaneous_intervals(contrasts))
    assert 0.935 <= held / 1000 <= 0.972
