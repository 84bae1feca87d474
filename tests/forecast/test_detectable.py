"""The plan promises the test of the family that the report will apply."""

import math

import pytest
from scipy import stats
from study_fixtures import MARGIN, TAU, definition

from conspo_study.definition import Anchor, Comparisons, Confirmation
from conspo_study.forecast.detectable import confirmation_family, detectable, search_family
from conspo_study.forecast.plan import make_plan
from conspo_study.statistics.family import Correction
from conspo_study.statistics.paired_spread import PairedSpread

SPREAD = PairedSpread(0.02, "measured")
ANCHORS = tuple(
    Anchor(label=label, params={TAU: tau, MARGIN: 0.0})
    for label, tau in (("a", 0.1), ("b", 1.0), ("c", 10.0), ("d", 3.0))
)


def study(**changes):
    fields = {"anchors": ANCHORS, "trials": 4, "space": {}, "seeds": tuple(range(5))}
    return definition(**{**fields, **changes})


def power_at(effect: float, seeds: int, comparisons: int) -> float:
    """Of Bonferroni's test, by scipy's noncentral t."""
    shift, limit = effect / 0.02 * math.sqrt(seeds), stats.t.ppf(1 - 0.025 / comparisons, seeds - 1)
    return 1 - stats.nct.cdf(limit, seeds - 1, shift) + stats.nct.cdf(-limit, seeds - 1, shift)


@pytest.mark.parametrize(
    ("compare", "comparisons", "says"),
    [
        (None, 6, "differences of every two of the baselines, 6 comparisons, from 0."),
        ({"reference": "b"}, 3, "differences to b from 0."),
        ({"reference": "b", "against": ("a",)}, 1, "differences of two settings from 0."),
    ],
)
def test_the_promise_has_the_power_it_states(compare, comparisons, says):
    plan = make_plan(study(compare=compare), 2, 0, spread=SPREAD)
    effect = plan.search.detectable
    assert power_at(effect, 5, comparisons) == pytest.approx(0.8, abs=1e-5)
    half = plan.search.tests.half
    assert (
        power_at(effect / 2, half, comparisons) >= 0.8 > power_at(effect / 2, half - 1, comparisons)
    )
    text = " ".join(" ".join(plan.lines()).split())
    assert says in text
    assert ("% / 3 as Holm's first step" in text) is (comparisons == 3)
    assert ("every two of the 4 baselines are compared" in text) is (compare is None)


def test_dunnetts_test_shows_smaller_differences():
    compared = [
        detectable(
            search_family(study(compare=Comparisons(reference="a", correction=c))), SPREAD, 5
        )
        for c in (Correction.HOLM, Correction.DUNNETT)
    ]
    assert 0.4 * compared[0].effect < compared[1].effect < 0.8 * compared[0].effect
    assert "Dunnett's test of 3 comparisons" in compared[1].line()


def test_a_confirmation_compares_the_winner_with_each_baseline():
    confirm = Confirmation(seeds=(10, 11, 12, 13))
    assert confirmation_family(study(confirm=confirm)).size == 3, "the winner is one of four"
    searched = study(confirm=confirm, trials=6, space={TAU: [0.1, 0.2, 0.4]})
    assert confirmation_family(searched).size == 4
    plan = make_plan(searched, 2, 0, spread=SPREAD)
    assert power_at(plan.confirmation.detectable, 4, 4) == pytest.approx(0.8, abs=1e-5)
    text = " ".join(" ".join(plan.lines()).split())
    assert "confirmation: differences of the winner to each of 4 baselines from" in text


def test_the_winner_may_be_a_baseline_that_is_not_confirmed():
    """Of four baselines two are confirmed: if a third wins, it is compared with both."""
    confirm = Confirmation(seeds=(10, 11, 12, 13), anchors=("a", "b"))
    assert confirmation_family(study(confirm=confirm)).size == 2
    every = Confirmation(seeds=(10, 11, 12, 13), anchors=("d", "c", "b", "a"))
    assert confirmation_family(study(confirm=every)).size == 3
    assert confirmation_family(study(confirm=Confirmation(seeds=(10, 11), anchors=()))) is None


def test_seeds_that_can_show_nothing_promise_nothing():
    """Three seeds find 8.0 times the spread of one pair by Holm's first of six; two decide
    nothing."""
    wide = PairedSpread(0.05, "measured")
    said = [
        " ".join(" ".join(make_plan(study(seeds=seeds), 2, 0, spread=wide).lines()).split())
        for seeds in ((0, 1), (0, 1, 2))
    ]
    assert "search: two seeds decide nothing: a verdict needs three" in said[0]
    assert "6 comparisons, from 0.40" in said[1]
    wide = PairedSpread(0.2, "measured")
    plan = make_plan(study(seeds=(0, 1, 2)), 2, 0, spread=wide)
    said = " ".join(" ".join(plan.lines()).split())
    assert "search: nothing, over 3 seeds: differences of every two of the baselines" in said
    assert "would have to be larger than 1 (paired t-test" in said
