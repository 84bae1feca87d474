"""Claimed fits of settings, and every reason for claiming none."""

import numpy as np
import pytest
from compute_results import Learner, write_curves

from analysis.findings.compute_axes import Over
from analysis.findings.curve_fits import FEWEST_EVALUATIONS, Refusal, curve_fit, last_third
from analysis.findings.curve_settings import curve_set
from analysis.load.study import load_study

RISING = Learner("rising")


@pytest.fixture
def fit(tmp_path):
    def one(learner, *, over=Over.STEPS, level=None, **options):
        folder = tmp_path / f"study-{len(list(tmp_path.iterdir()))}"
        found = curve_set([load_study(write_curves(folder, [learner], **options))], over)
        return curve_fit(found.settings[0], level)

    return one


def covers(contrast, truth):
    low, high = contrast.interval()
    return low <= truth <= high


@pytest.mark.parametrize("problems", [0, 30])
def test_a_known_curve_is_recovered_within_its_intervals(fit, problems):
    found = fit(RISING, level=0.5, problems=problems)
    assert found.claimed and found.held_out.kept
    curve = found.setting.curve
    assert len(curve.problems) == problems and curve.values.shape == (5, 10)
    slack = 0.05 if problems else 0.0  # so few problems have another mean than all
    assert found.asymptote.value == pytest.approx(0.7, abs=0.01 + slack)
    if not problems:
        assert covers(found.asymptote, 0.7)
        assert covers(found.log_midpoint, np.log(20.0))
        assert covers(found.log_steepness, np.log(1.7))
        reached = 20.0 * (0.3 / 0.2) ** (1 / 1.7)
        assert covers(found.log_reached, np.log(reached))


def test_the_same_results_give_the_same_numbers(fit):
    first, second = fit(RISING), fit(RISING)
    assert first.asymptote == second.asymptote and first.held_out == second.held_out


def test_over_tokens_the_midpoint_is_in_tokens(fit):
    found = fit(RISING, over=Over.TOKENS)
    assert np.exp(found.log_midpoint.value) == pytest.approx(2000 * 1.02, rel=0.03)


def test_the_last_third_is_predicted_from_the_rest(fit):
    held = fit(RISING).held_out
    assert (held.fitted, len(held.measured)) == (7, 3) and last_third(6) == 2
    for step, value, low, high in zip(
        (64, 72, 80), held.measured, held.low, held.high, strict=True
    ):
        assert value == pytest.approx(RISING.level(step), abs=0.01)
        assert low < RISING.level(step) < high
    assert held.compute == (64.0, 72.0, 80.0)
    assert held.errors == [a - b for a, b in zip(held.measured, held.predicted, strict=True)]


def test_a_late_second_rise_misses_the_last_third(fit):
    late = Learner("late", shape=lambda step: 0.5 + 0.05 * (step >= 60) - 0.3 * 0.5 ** (step / 4))
    found = fit(late, seeds=range(8))
    assert found.refusal is Refusal.HELD_OUT and not found.claimed
    assert "misses 3 of the last 3" in found.reason
    assert found.held_out.inside == 0 and min(found.held_out.errors) > 0.03
    assert found.asymptote is not None, "shown in the files, not claimed"


@pytest.mark.parametrize(
    ("learner", "options", "refusal", "words"),
    [
        (RISING, {"seeds": (0, 1)}, Refusal.SEEDS, "it has 2 seeds, and 3 are needed"),
        (RISING, {"every": 16}, Refusal.EVALUATIONS, "5 evaluations after step 0, and 6"),
        (RISING, {"collapsed": [("rising", 2, 70)]}, Refusal.COLLAPSED, "1 of 5 seeds collapsed"),
        (Learner("flat", shape=lambda step: 0.2), {}, Refusal.NO_RISE, "no gain beyond noise"),
        (Learner("worse", shape=lambda step: 0.15), {}, Refusal.NO_RISE, "are worse than"),
        (
            Learner("falls", shape=lambda step: 0.6 - 0.1 * (step > 60)),
            *({}, Refusal.DECLINE, "its last 3 evaluations lie 0."),
        ),
        (
            Learner("drops", shape=lambda step: 0.6 - 0.3 * (step == 80)),
            *({}, Refusal.DECLINE, "gets worse at the end"),
        ),
        (
            Learner("slow", top=0.9, middle=150.0),
            *({}, Refusal.NOT_IDENTIFIED, "ends before half of the gain that the curve supposes"),
        ),
        (
            Learner("full", top=1.0, middle=6.0),
            *({}, Refusal.NOT_IDENTIFIED, "reaches the bound 1"),
        ),
    ],
)
def test_what_the_data_do_not_carry_is_refused_with_the_reason(
    fit, learner, options, refusal, words
):
    found = fit(learner, **options)
    assert found.refusal is refusal
    assert words in found.reason


def test_a_wide_asymptote_is_refused(fit):
    found = fit(Learner("noisy", middle=45.0), noise=0.05)
    assert found.refusal is Refusal.NOT_IDENTIFIED


def test_six_evaluations_are_enough(fit):
    assert FEWEST_EVALUATIONS == 6
    assert fit(RISING, steps=84, every=14).claimed


def test_a_rise_before_the_first_evaluation_has_an_asymptote_and_no_midpoint(fit):
    found = fit(Learner("at once", shape=lambda step: 0.6))
    assert found.claimed and found.edge
    assert found.asymptote.value == pytest.approx(0.6, abs=0.01)
    assert found.log_midpoint is None and found.log_steepness is None


def test_less_may_be_better(fit):
    found = fit(
        Learner("loss", start=2.0, top=0.5, shape=lambda s: 2.0 - 1.5 / (1 + (20 / s) ** 1.7)),
        metric="val/loss",
        direction="min",
    )
    assert found.claimed
    assert found.asymptote.value == pytest.approx(-0.5, abs=0.05), "minus the metric"


def test_a_trial_without_a_measured_start_has_no_curve(tmp_path):
    folder = write_curves(tmp_path / "study", [RISING, Learner("died", end="failed")], steps=48)
    found = curve_set([load_study(folder)], Over.STEPS)
    died = curve_fit(found.settings[1])
    assert died.refusal is Refusal.NO_CURVE and died.reason == "study/t0001 failed"


def test_all_evaluations_count_on_the_problems_that_each_of_them_has(fit):
    few, more = (fit(RISING, problems=20, final_problems=n).setting for n in (0, 15))
    assert more.curve.problems == few.curve.problems == tuple(f"p{n:03d}" for n in range(20))
    assert np.array_equal(more.curve.values, few.curve.values)
    logged = [more.row.values[seed] for seed in more.curve.seeds]
    assert abs(logged - more.curve.values[:, -1]).max() > 0.01, "the last one has a mean of its own"


def test_reports_between_evaluations_are_no_evaluations(fit):
    assert fit(RISING).setting.steps == tuple(range(8, 81, 8)), "without files"
    assert fit(RISING, problems=4).setting.steps == tuple(range(8, 81, 8)), "by their files"
