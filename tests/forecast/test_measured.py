"""A plan with measured numbers, against arithmetic by hand."""

import pytest

from conspo_study.config import with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.forecast.measured import Measured
from conspo_study.forecast.plan import make_plan
from studies.margin_sweep import margin_sweep

MEASURED = Measured(steps=4, step_s=2.0, evaluation_s=30.0, start_s=10.0, peak_gib=1.5)
SETTINGS = {
    "train.steps": 40,
    "evaluation.every": 10,
    "evaluation.sets": ["chain/easy", "chain/hard"],
    "evaluation.tracked": ["chain/hard"],
    "evaluation.problems_per_set": 50,
}


def test_a_trial_takes_its_start_and_for_each_seed_its_steps_and_evaluations():
    """Before and after training both sets, three times between only one of two equal ones."""
    run = with_overrides(QUICK, SETTINGS)
    assert MEASURED.trial_seconds(run, 3) == pytest.approx(10 + 3 * (40 * 2 + (2 + 3 / 2) * 30))
    all_sets = with_overrides(run, {"evaluation.tracked": []})
    assert MEASURED.trial_seconds(all_sets, 1) == pytest.approx(10 + 40 * 2 + 5 * 30)


def test_a_larger_last_evaluation_is_the_one_that_was_measured():
    """30 s are for 50 problems of one set and 200 of the other; all evaluations have 500."""
    run = with_overrides(QUICK, {**SETTINGS, "evaluation.final_problems": 200})
    of_all = 30 * (100 + 3 * 50 + 250) / 250
    assert MEASURED.trial_seconds(run, 2) == pytest.approx(10 + 2 * (40 * 2 + of_all))


def test_the_plan_of_a_study_adds_up_measured_trials():
    study = margin_sweep(with_overrides(QUICK, SETTINGS))
    study = study.model_copy(update={"confirm": None, "early_stopping": None})
    plan = make_plan(study, 1, 0, measured=MEASURED)
    each = MEASURED.trial_seconds(study.base, len(study.seeds))
    assert plan.seconds == pytest.approx(study.trials * each)
    text = " ".join(" ".join(plan.lines()).split())
    assert "4 steps of one seed: 2 s a step, 30 s an evaluation of all sets, 10 s to start" in text
    assert "1.5 GiB at the peak" in text
    assert "measured" not in "\n".join(make_plan(study, 1, 0).lines())
