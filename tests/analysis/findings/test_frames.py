"""The data behind the figures: what is in it, and what is not."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.figures.data_training import curves_to_show
from analysis.findings.frames import (
    evaluation_curves,
    initial_value,
    margin_points,
    metric_of,
)
from analysis.load.study import load_study

METRIC = "eval/chain/hard/avg@8"


def test_each_seed_of_each_ended_trial_is_a_point(full_study: Path) -> None:
    points = margin_points(load_study(full_study))
    assert len(points) == 2 * 15 and points["complete"].all()
    assert set(points["tau"]) == {0.1, 0.3, 1.0, 10.0}
    assert set(points["ratio"]) == {0.0, 0.001, 1.0, 5.0, 20.0}
    assert set(points[points["ratio"] == 0]["schedule"]) == {"no margin"}
    assert not points["trial"].isin(["t0015"]).any(), "a failed trial has no point"


def test_the_value_before_training_is_that_of_step_0(full_study: Path) -> None:
    assert initial_value(load_study(full_study)) == pytest.approx(0.18)


def test_without_a_report_at_step_0_there_is_no_value_before_training(
    make_study: Callable[..., Path], trial: Any
) -> None:
    study = load_study(make_study([trial(1.0, 1.0, end="waiting")]))
    assert initial_value(study) is None


def test_evaluation_curves_have_no_points_between_evaluations(full_study: Path) -> None:
    study = load_study(full_study)
    reported = study.reports.query("metric == @METRIC")["step"]
    assert 5 in set(reported), "reports repeat the last evaluation"
    curves = evaluation_curves(study, METRIC)
    assert set(curves["step"]) == {0, 20, 40, 60, 80}
    final = curves.query("trial == 't0009' and step == 80").set_index("seed")["value"]
    assert dict(final) == dict(next(r for r in study.table.rows if r.id == "t0009").values)


def test_training_metrics_leave_out_what_was_not_recorded(full_study: Path) -> None:
    study = load_study(full_study)
    assert len(metric_of(study.steps, "reward").query("trial == 't0009'")) == 2 * 80
    assert metric_of(study.steps, "no such metric").empty


def test_curves_are_of_the_best_the_anchors_and_trials_without_a_margin(full_study: Path) -> None:
    curves = curves_to_show(load_study(full_study))
    assert [curve.trial for curve in curves] == ["t0012", "t0000", "t0009", "t0001", "t0005"]
    assert curves[0].name.startswith("best: t0012 (tau 1, M/tau 20")
    assert curves[3].name.endswith("pruned at step 40")
