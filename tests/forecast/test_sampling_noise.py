"""The bound on what seeds can show is the luck of sampling, as a simulation has it."""

import math

import numpy as np
import pytest
from scipy import stats
from study_fixtures import definition

from conspo_study.config import with_overrides
from conspo_study.definition.presets import EMBEDDED, PRESETS
from conspo_study.forecast.sampling_noise import sampling_noise
from conspo_study.statistics.family import Family
from conspo_study.statistics.family_power import family_shift, least_shift
from conspo_study.statistics.paired_spread import ONE_SEED, TOO_FEW

LAB = PRESETS["lab/qwen2.5-0.5b-gsm8k"]


def noise(run, **changes):
    fields = {"base": run, "space": {}, "trials": 2, "metric": run.evaluation.main_metric}
    return sampling_noise(definition(**{**fields, **changes}))


def test_two_equal_policies_differ_by_as_much_as_it_says():
    run = with_overrides(LAB, {"evaluation.problems_per_set": 40, "evaluation.samples": 4})
    found = noise(run)
    assert (found.problems, found.samples) == (40, 4)
    generator = np.random.default_rng(0)
    chances = generator.random((4000, 40))
    scores = [generator.binomial(4, chances).mean(axis=1) / 4 for _ in range(2)]
    measured = np.std(scores[0] - scores[1])
    # The relative error of a standard deviation over 4000 draws is about 1 %.
    assert measured == pytest.approx(found.sd, rel=0.05)


def test_the_problems_of_the_last_evaluation_count():
    more = {"evaluation.final_problems": 1000}
    assert noise(with_overrides(LAB, more)).problems == 1000
    assert noise(EMBEDDED) is None
    found = noise(with_overrides(EMBEDDED, more))
    assert (found.problems, found.samples) == (1000, 8)
    assert found.sd == pytest.approx((2 / 6 / 8000) ** 0.5)


def test_the_metric_s_own_set_counts():
    sets = {"evaluation.sets": ("gsm8k", "aime24"), "evaluation.samples_of": {"aime24": 32}}
    run = with_overrides(LAB, sets)
    found = noise(run, metric="eval/aime24/avg@32")
    assert (found.problems, found.samples) == (30, 32)
    assert found.sd == pytest.approx((2 / 6 / 960) ** 0.5)
    assert noise(run, metric="eval/gsm8k/avg@4").problems == 300


def test_what_is_known_better_or_no_accuracy_has_none():
    assert noise(EMBEDDED) is None
    assert noise(LAB, metric="eval/gsm8k/pass@4") is None


def test_seeds_that_are_too_few_show_nothing():
    assert noise(LAB).line(1) == ONE_SEED and noise(LAB).line(2) == TOO_FEW


@pytest.mark.parametrize("comparisons", [1, 10])
def test_the_bound_is_below_what_any_test_can_find(comparisons):
    """As with a known standard error: a bootstrap over problems has more than two degrees of
    freedom on three seeds, so Student's would be no bound."""
    found = noise(LAB)
    family = Family(tuple((str(index), "reference") for index in range(comparisons)))
    quantiles = stats.norm.ppf(1 - 0.025 / comparisons) + stats.norm.ppf(0.8)
    bound = found.sd / math.sqrt(3) * quantiles
    assert f"from {bound:.3f} up, over 3 seeds" in found.line(3, family)
    assert least_shift(family) == pytest.approx(quantiles, rel=1e-4)
    assert least_shift(family) < family_shift(family, 20)
