"""Tests of a family keep their level and their promises, and say one of four things."""

import math

import numpy as np
import pytest
from scipy.stats import chi2, dunnett

from analysis.statistics.equivalence import equivalence_p, simultaneous_intervals
from analysis.statistics.family_tests import FamilyTest, Verdict, family_tests
from analysis.statistics.holm import holm
from conspo_study.statistics.contrast import Contrast, mean_contrast
from conspo_study.statistics.family import Correction, Family
from conspo_study.statistics.power import beyond

SEEDS = 5


def family(size: int, correction: Correction = Correction.HOLM) -> Family:
    return Family(tuple((str(k), "ref") for k in range(size)), correction)


def one(value: float, error: float = 0.004, margin: float | None = 0.02) -> FamilyTest:
    return family_tests([Contrast(value, error, 8.0)], family(1), margin)[0]


@pytest.mark.parametrize(
    ("test", "verdict"),
    [
        (one(0.03), Verdict.BETTER),
        (one(-0.03), Verdict.WORSE),
        (one(0.004), Verdict.EQUIVALENT),
        (one(0.004, error=0.02), Verdict.UNDECIDED),
        (one(0.004, margin=None), Verdict.UNDECIDED),
        (one(0.011), Verdict.BETTER),
    ],
)
def test_a_difference_is_one_of_four_things(test: FamilyTest, verdict: Verdict) -> None:
    assert test.verdict(SEEDS) is verdict
    swapped = {Verdict.BETTER: Verdict.WORSE, Verdict.WORSE: Verdict.BETTER}
    assert test.verdict(SEEDS, lower_is_better=True) is swapped.get(verdict, verdict)
    assert test.verdict(2) is Verdict.UNDECIDED, "two seeds support no claim"


def test_what_does_not_vary_is_undecided_and_counts_as_a_comparison() -> None:
    known = Contrast(0.03, 0.01, 8.0)
    found = family_tests([known, None, Contrast(0.5, 0.0, 1.0)], family(3), 0.02)
    assert [test.verdict(SEEDS) for test in found[1:]] == [Verdict.UNDECIDED] * 2
    assert found[2].adjusted is None and found[2].detectable_range(SEEDS) is None
    assert found[0].adjusted == pytest.approx(3 * known.p_value)


def test_holms_family_is_that_of_its_parts() -> None:
    contrasts = [Contrast(v, e, 6.0) for v, e in ((0.01, 0.004), (0.03, 0.005), (0.0, 0.01))]
    found = family_tests(contrasts, family(3), 0.02)
    assert [test.adjusted for test in found] == holm([one.p_value for one in contrasts])
    equal = holm([equivalence_p(one, 0.02) for one in contrasts])
    assert [test.equivalence for test in found] == equal
    for test, ends in zip(found, simultaneous_intervals(contrasts), strict=True):
        assert test.family_interval == pytest.approx(ends)


def test_dunnetts_test_is_that_of_scipy_where_the_errors_are_pooled_the_same() -> None:
    """Of independent groups scipy pools all of them; a family of one comparison pools the same."""
    control, sample = np.random.default_rng(3).normal(0.3, 1, (2, 6))
    found = dunnett(sample, control=control)
    contrast = Contrast(
        float(sample.mean() - control.mean()),
        math.sqrt((sample.var(ddof=1) + control.var(ddof=1)) / 6),
        10.0,
    )
    (test,) = family_tests([contrast], family(1, Correction.DUNNETT), None)
    assert test.adjusted == pytest.approx(found.pvalue[0], abs=1e-3)
    ends = found.confidence_interval()
    assert test.family_interval == pytest.approx((ends.low[0], ends.high[0]), abs=0.02)


@pytest.mark.parametrize("correction", Correction)
def test_a_family_finds_something_where_nothing_is_in_5_percent(correction: Correction) -> None:
    values = np.random.default_rng(4).normal(size=(250, SEEDS, 5))
    of, found = family(4, correction), 0
    for seeds in values:
        contrasts = [mean_contrast(seeds[:, k] - seeds[:, 0]) for k in range(1, 5)]
        tests = family_tests(contrasts, of, None)
        found += any(test.verdict(SEEDS) is not Verdict.UNDECIDED for test in tests)
    assert found / 250 < 0.08


@pytest.mark.parametrize("seeds", [3, 5])
def test_few_studies_call_detectable_what_they_would_mostly_miss(seeds: int) -> None:
    """The true power at the upper end of the range is below a half in less than 5 % of studies; at
    the estimate itself, in a quarter of them and more."""
    shown = np.random.default_rng(seeds).normal(size=(500, seeds))
    error = 1 / math.sqrt(seeds)
    low = {"estimate": 0, "range": 0}
    for values in shown:
        (test, _) = family_tests([mean_contrast(values), None], family(2), None)
        ends = test.detectable_range(seeds)
        for name, stated in (("estimate", test.detectable()), ("range", ends[1])):
            low[name] += beyond(stated / error, seeds - 1, test.limit) < 0.5
    assert low["range"] / 500 < 0.05 and low["estimate"] / 500 > 0.2


def test_problems_do_not_make_the_spread_of_seeds_better_known() -> None:
    contrast = Contrast(0.01, 0.01, 60.0)
    (test,) = family_tests([contrast], family(1), None)
    (pooled, _) = family_tests([contrast, contrast], family(2, Correction.DUNNETT), None)
    upper = [one.detectable_range(3)[1] / one.detectable() for one in (test, pooled)]
    expected = [math.sqrt(df / chi2.ppf(0.1, df)) for df in (2, 2 * 8 / 5)]
    assert upper == pytest.approx(expected)
    assert test.detectable_range(2) is None


def test_equivalence_is_claimed_in_5_percent_at_the_margin() -> None:
    differences = 0.02 + 0.01 * np.random.default_rng(8).normal(size=(800, SEEDS))
    claimed = sum(
        family_tests([mean_contrast(d)], family(1), 0.02)[0].verdict(SEEDS) is Verdict.EQUIVALENT
        for d in differences
    )
    assert claimed / 800 < 0.07
