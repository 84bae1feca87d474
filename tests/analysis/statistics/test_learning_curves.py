"""Draws of learning curves over seeds and problems, against plain loops."""

import numpy as np
import pytest

from analysis.statistics.bootstrap import estimate
from analysis.statistics.learning_curves import DRAWS, LearningCurve, Resampled, filled, shared
from analysis.statistics.scores import ProblemScores, Scores


def made(seeds=(3, 5, 8, 9), evaluations=6, problems=12, seed=0):
    rng = np.random.default_rng(seed)
    spent = np.arange(1.0, evaluations + 1)
    scores = 0.2 * rng.random((len(seeds), 1 + evaluations, problems))
    scores[:, 1:] += (1 / (1 + (1.5 / spent) ** 2))[:, None]
    compute = np.tile(spent, (len(seeds), 1))
    names = tuple(f"p{index:02d}" for index in range(problems))
    return LearningCurve(
        *(tuple(seeds), compute, scores[:, 1:].mean(2), scores[:, 0].mean(1), None, names, scores)
    )


def only_values(curve):
    return LearningCurve(curve.seeds, curve.compute, curve.values, curve.start, curve.ceiling)


def test_the_first_draw_is_the_curve_itself():
    curve = made()
    draws = curve.resampled
    for evaluation in range(6):
        plain = sum(curve.values[:, evaluation]) / 4
        assert draws.means[0, evaluation] == pytest.approx(plain)
    assert draws.start[0] == pytest.approx(sum(curve.start) / 4)
    assert len(draws.weights) == 1 + 3 * DRAWS
    assert (draws.weights[1 : 1 + DRAWS].sum(axis=1) == 3).all(), "S - 1 seeds"
    assert (draws.weights[1 + DRAWS : 1 + 2 * DRAWS] == 1).all(), "problems alone"


def test_the_error_of_an_evaluation_is_that_of_the_bootstrap_over_seeds_and_problems():
    curve = made()
    problems = ProblemScores(curve.problems, curve.scores[:, 4])
    expected = estimate(Scores(curve.seeds, {"set": problems})).contrast
    mine = curve.resampled.contrast(curve.resampled.means[:, 3])
    assert mine.value == pytest.approx(expected.value)
    assert mine.error == pytest.approx(expected.error, rel=0.12)


def test_values_alone_have_the_error_of_seeds():
    curve = only_values(made())
    found = curve.resampled.contrast(curve.resampled.means[:, 2])
    values = curve.values[:, 2]
    assert found.freedom == 3
    assert found.error == pytest.approx(np.std(values, ddof=1) / 2, rel=0.1)
    assert curve.resampled.contrast(np.ones(1 + DRAWS)) is None, "what does not vary"
    assert curve.resampled.contrast(np.r_[1.0, np.nan, np.ones(DRAWS - 1)]) is None


def test_equal_compute_is_fitted_by_means_as_by_points():
    curve = only_values(made())
    nearly = LearningCurve(
        *(curve.seeds, curve.compute * (1 + 1e-12 * np.arange(4))[:, None], curve.values),
        *(curve.start, None),
    )
    fast, slow = curve.resampled.fitted, nearly.resampled.fitted
    assert fast.asymptote[:50] == pytest.approx(slow.asymptote[:50], rel=1e-3)


def test_each_seed_is_fitted_at_what_it_spent_itself():
    """One curve, walked by seeds of different pace: means over seeds would blur it."""
    pace = np.array([0.5, 1.0, 2.0, 4.0])
    compute = np.arange(1, 9) * 4.0 * pace[:, None]
    values = 0.2 + 0.5 / (1 + (12.0 / compute) ** 2.0)
    found = Resampled(LearningCurve((0, 1, 2, 3), compute, values, np.full(4, 0.2), 1.0))
    assert found.fitted.asymptote[0] == pytest.approx(0.7, abs=1e-4)
    assert found.fitted.midpoint[0] == pytest.approx(12.0, rel=1e-3)
    assert np.abs(found.missed(found.fitted, 7)).max() < 1e-4


def test_two_curves_share_seeds_and_problems_in_one_order():
    first, second = made(seeds=(3, 5, 8, 9)), made(seeds=(9, 8, 1, 5), problems=9, seed=1)
    a, b = shared(first, second)
    assert a.seeds == b.seeds == (5, 8, 9) and a.problems == b.problems
    assert a.values[0, 2] == pytest.approx(first.scores[1, 3, :9].mean())
    assert b.values[2, 0] == pytest.approx(second.scores[0, 1].mean())
    same = [np.array_equal(one.resampled.weights, a.resampled.weights) for one in (a, b)]
    assert same == [True, True], "paired draws"
    assert shared(first, only_values(second))[0].problems == ()
    assert shared(first, first)[0] is first


def test_a_missing_score_is_its_seed_s_mean():
    scores = np.array([[[1.0, np.nan, 0.0], [0.0, 0.0, 1.0]]])
    assert filled(scores).tolist() == [[[1.0, 0.5, 0.0], [0.0, 0.0, 1.0]]]


@pytest.mark.parametrize("change", ["shape", "nan", "zero"])
def test_what_makes_no_curve_is_refused(change):
    values, compute = np.ones((2, 3)), np.ones((2, 3))
    values[0, 0] = np.nan if change == "nan" else 1.0
    compute[0, 0] = 0.0 if change == "zero" else 1.0
    with pytest.raises(ValueError):
        LearningCurve((0, 1), compute[:, : 2 if change == "shape" else 3], values, np.ones(2))
