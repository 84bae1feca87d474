"""Families of comparisons: Dunnett's distribution against scipy's, and power by simulation."""

import numpy as np
import pytest
from scipy import stats

from conspo_study.statistics.family import Correction, Family, study_family, winner_family
from conspo_study.statistics.family_power import (
    critical,
    dunnett_p,
    family_shift,
    pooled_freedom,
)
from conspo_study.statistics.power import detectable_shift

LABELS = ("a", "b", "c", "d")


def family(size: int, correction: Correction) -> Family:
    return Family(tuple((str(k), "ref") for k in range(size)), correction)


@pytest.mark.parametrize("comparisons", [1, 2, 5, 9])
def test_dunnetts_p_is_that_of_scipy(comparisons: int):
    rng = np.random.default_rng(comparisons)
    control, *samples = rng.normal(0.4, 1.0, (comparisons + 1, 6)) * [[1.0]]
    found = stats.dunnett(*samples, control=control, rng=np.random.default_rng(0))
    freedom = 5 * (comparisons + 1)
    ours = [dunnett_p(t, comparisons, freedom) for t in found.statistic]
    assert ours == pytest.approx(found.pvalue, abs=2e-4)


@pytest.mark.parametrize(
    ("comparisons", "freedom", "published"),
    [(1, 10, 2.23), (2, 10, 2.57), (3, 10, 2.76), (9, 20, 2.95), (5, 5, 3.62), (4, 60, 2.51)],
)
def test_critical_values_are_those_of_dunnetts_tables(
    comparisons: int, freedom: int, published: float
):
    """Two-sided 5 %, from Dunnett (1964), table II."""
    found = critical(family(comparisons, Correction.DUNNETT), freedom)
    assert found == pytest.approx(published, abs=0.01)


def test_holms_first_step_is_bonferronis():
    found = critical(family(9, Correction.HOLM), 8)
    assert found == pytest.approx(stats.t.ppf(1 - 0.05 / 18, 8))
    assert family_shift(family(9, Correction.HOLM), 8) == pytest.approx(
        detectable_shift(8, 0.05 / 9)
    )
    assert family_shift(family(1, Correction.DUNNETT), 8) == pytest.approx(detectable_shift(8))


@pytest.mark.parametrize(("correction", "size"), [("holm", 5), ("dunnett", 5)])
def test_at_the_detectable_shift_four_of_five_families_find_it(correction: str, size: int):
    """One of five settings is better by the promised difference; five seeds."""
    seeds, of = 5, family(size, Correction(correction))
    effect = family_shift(of, seeds - 1) * np.sqrt(2 / seeds)
    values = np.random.default_rng(0).normal(size=(20_000, seeds, size + 1))
    values[:, :, 1] += effect
    d = values[:, :, 1:] - values[:, :, :1]
    error = d.std(1, ddof=1) / np.sqrt(seeds)
    freedom = float(seeds - 1)
    if of.correction is Correction.DUNNETT:
        error = np.sqrt((error**2).mean(1, keepdims=True))
        freedom = pooled_freedom(freedom, size)
    t = np.abs(d.mean(1)) / error
    limit = critical(of, freedom)
    assert (t[:, 0] > limit).mean() == pytest.approx(0.8, abs=0.012)
    false = (t[:, 1:] > limit).any(1).mean()
    assert false < 0.05


def test_the_declared_family_has_one_reference():
    declared = {"reference": "b", "against": None, "correction": "dunnett", "equivalence": 0.02}
    found = study_family(LABELS, declared)
    assert found.pairs == (("a", "b"), ("c", "b"), ("d", "b")) and found.reference == "b"
    assert (found.correction, found.margin, found.declared) == (Correction.DUNNETT, 0.02, True)
    assert study_family(LABELS, {"reference": "b", "against": ["d"]}).pairs == (("d", "b"),)


def test_without_a_declaration_every_pair_is_compared():
    found = study_family(LABELS, None)
    assert found.size == 6 and found.pairs[0] == ("b", "a") and found.reference is None
    assert not found.declared and study_family((), None).size == 1


def test_a_winner_is_compared_with_every_baseline_but_itself():
    of = study_family(LABELS, {"reference": "b", "equivalence": 0.01, "correction": "dunnett"})
    found = winner_family("c", LABELS, of)
    assert found.pairs == (("c", "a"), ("c", "b"), ("c", "d"))
    assert (found.margin, found.correction) == (0.01, Correction.HOLM)
