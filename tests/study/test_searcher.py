"""What Ray Tune tells us of a trial becomes the right event, in whatever order it tells it."""

import json

import pytest
from study_fixtures import METRIC, definition

from conspo_study.ray_train import FAILURE, SCORE, STEP
from conspo_study.ray_tune import LoggedSearcher
from conspo_study.records import TrialState
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import build_table
from conspo_study.search import Search


@pytest.fixture
def searcher(tmp_path):
    with ResultsLog(tmp_path / "log.jsonl") as log:
        study = definition()
        yield LoggedSearcher(Search(study, log), study, tmp_path, concurrent=2)


def result(step, value=0.5):
    seeds = {"0": {METRIC: value - 0.1}, "1": {METRIC: value + 0.1}}
    return {STEP: step, "steps": 4, "seeds": json.dumps(seeds), SCORE: value}


def row(searcher, trial="t0000"):
    return build_table(searcher.search.log.events).row(trial)


def test_a_payload_names_the_trial_and_slots_are_limited(searcher):
    payload = searcher.suggest("a")
    assert payload["trial"] == "t0000"
    assert payload["anchor"]
    assert payload["seeds"] == (0, 1)
    assert searcher.suggest("b")["trial"] == "t0001"
    assert searcher.suggest("c") is None
    searcher.on_trial_result("a", result(4))
    searcher.on_trial_complete("a", result(4))
    assert not searcher.suggest("c")["anchor"]


def test_a_trial_that_reports_its_last_step_is_finished_with_its_seeds(searcher):
    searcher.suggest("a")
    for step in (0, 2, 4):
        searcher.on_trial_result("a", result(step, step / 10))
    searcher.on_trial_complete("a", result(4, 0.4))  # Tune repeats the last report
    found = row(searcher)
    assert (found.state, found.step, found.value) == (TrialState.FINISHED, 4, pytest.approx(0.4))
    assert found.values == {0: pytest.approx(0.3), 1: pytest.approx(0.5)}
    assert found.wall_s is not None


def test_a_stopped_trial_is_pruned_at_the_report_it_was_stopped_at(searcher):
    searcher.suggest("a")
    searcher.on_trial_result("a", result(0, 0.1))
    searcher.on_trial_complete("a", result(2, 0.3))  # Tune gives this report to nobody else
    found = row(searcher)
    assert (found.state, found.step, found.value) == (TrialState.PRUNED, 2, pytest.approx(0.3))


def test_a_reported_failure_is_a_failure_with_its_cause(searcher):
    searcher.suggest("a")
    searcher.on_trial_result("a", result(0))
    searcher.on_trial_result("a", {FAILURE: "diverged: nan"})
    searcher.on_trial_complete("a", {FAILURE: "diverged: nan"})
    found = row(searcher)
    assert (found.state, found.cause, found.value) == (TrialState.FAILED, "diverged: nan", None)


@pytest.mark.parametrize("last", [None, {}, {"done": True}])
def test_a_trial_whose_processes_vanish_is_a_failure(searcher, last):
    searcher.suggest("a")
    searcher.on_trial_complete("a", last, error=True)
    assert row(searcher).state is TrialState.FAILED
    assert "died without a report" in row(searcher).cause


def test_a_missing_or_non_finite_metric_is_a_failure_not_a_value(searcher):
    searcher.suggest("a")
    bad = {**result(4), "seeds": json.dumps({"0": {METRIC: 0.5}, "1": {}})}
    searcher.on_trial_result("a", bad)
    searcher.on_trial_complete("a", bad)
    assert row(searcher).state is TrialState.FAILED
    assert f"seed 1 reported {METRIC} = None" in row(searcher).cause


def test_reports_repeated_after_a_worker_restart_are_logged_once(searcher):
    searcher.suggest("a")
    for step in (0, 1, 2, 1, 2, 3):
        searcher.on_trial_result("a", result(step))
    events = [e.event for e in searcher.search.log.events]
    assert [e.data["step"] for e in events if "steps" in e.data] == [0, 1, 2, 3]


def test_tune_s_pickles_hold_nothing_of_ours(searcher):
    assert searcher.__getstate__() == {}
    with pytest.raises(RuntimeError, match="results log"):
        searcher.restore("anything")
