"""Power of the paired t-test: against simulation, published tables and scipy's own distribution."""

import itertools

import numpy as np
import pytest
from scipy.stats import nct, ttest_rel
from scipy.stats import t as student_t

from conspo_study.statistics.paired_spread import pooled_spread
from conspo_study.statistics.power import detectable_effect, power, seeds_needed


@pytest.mark.parametrize(("effect", "seeds"), [(0.2, 199), (0.5, 34), (0.8, 15), (1.0, 10)])
def test_seeds_needed_are_those_of_the_textbooks(effect, seeds):
    """Paired t-test, two-sided 5 %, power 80 %: G*Power's published examples."""
    assert seeds_needed(effect, 1.0) == seeds
    assert power(effect, 1.0, seeds) >= 0.8 > power(effect, 1.0, seeds - 1)


@pytest.mark.parametrize(
    ("seeds", "effect"), [(2, 11.55), (3, 3.264), (4, 2.128), (5, 1.682), (10, 0.996)]
)
def test_power_is_what_repeated_experiments_find(seeds, effect):
    """At the detectable effect, four of five simulated paired comparisons are significant."""
    assert detectable_effect(1.0, seeds) == pytest.approx(effect, rel=1e-3)
    rng = np.random.default_rng(seeds)
    shared = rng.normal(0, 3, size=(20_000, seeds))  # a seed's own luck, the same for both
    first = shared + effect + rng.normal(0, 0.6, shared.shape)
    second = shared + rng.normal(0, 0.8, shared.shape)
    found = np.mean(ttest_rel(first, second, axis=1).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=0.012)


def test_power_is_the_tail_of_the_noncentral_t_where_scipy_has_it():
    for seeds in (2, 3, 7, 40):
        for effect in (0.0, 0.1, 0.5, 1.0, 2.0):
            limit = student_t.ppf(0.975, seeds - 1)
            shift = effect * np.sqrt(seeds)
            tails = nct.sf(limit, seeds - 1, shift) + nct.cdf(-limit, seeds - 1, shift)
            if np.isfinite(tails):
                assert power(effect, 1.0, seeds) == pytest.approx(tails, abs=2e-6)


def test_power_is_finite_and_grows_with_the_effect_and_the_seeds():
    for seeds in (2, 3, 10, 100):
        powers = [power(effect, 0.025, seeds) for effect in (0, 0.001, 0.01, 0.1, 1, 100)]
        assert powers[0] == pytest.approx(0.05, abs=1e-6), "of equal settings: the error rate"
        assert all(a <= b for a, b in itertools.pairwise(powers))
        assert powers[-1] == pytest.approx(1.0)
    assert detectable_effect(0.05, 4) == pytest.approx(2 * detectable_effect(0.025, 4))
    assert power(-0.03, 0.025, 5) == power(0.03, 0.025, 5)


def test_one_seed_has_no_answer():
    assert power(1.0, 0.1, 1) is None
    assert detectable_effect(0.1, 1) is None


def test_an_effect_that_no_number_of_seeds_shows_is_said_to_be_one():
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(0.5, 1.0, most=33) is None


def test_the_pooled_spread_ignores_what_trials_and_seeds_share():
    """Trial means and seed means of any size leave the spread of paired differences alone."""
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 0.02, (40, 30))
    layout = noise + rng.normal(0, 5, (40, 1)) + rng.normal(0, 5, (1, 30))
    found = pooled_spread(layout.tolist())
    assert found.sd == pytest.approx(0.02 * np.sqrt(2), rel=0.05)
    assert found.source == "measured: 40 finished trials x 30 seeds"
    direct = np.mean([np.std(layout[i] - layout[j], ddof=1) for i, j in [(0, 1), (2, 3), (4, 5)]])
    assert found.sd == pytest.approx(direct, rel=0.25)


def test_the_pooled_spread_of_two_trials_is_that_of_their_difference():
    a, b = [0.70, 0.74, 0.75], [0.68, 0.75, 0.71]
    differences = np.subtract(a, b)
    assert pooled_spread([a, b]).sd == pytest.approx(np.std(differences, ddof=1))


@pytest.mark.parametrize("layout", [[], [[0.5, 0.6]], [[0.5], [0.6]], [[0.5, 0.6], [0.5, 0.6]]])
def test_too_little_or_too_coarse_results_have_no_spread(layout):
    assert pooled_spread(layout) is None
