"""The search: anchors first, nothing twice, states told as they are, rebuilt from the log."""

import pytest
from study_fixtures import MARGIN, METRIC, TAU, definition

from conspo_study.records import EventKind, TrialState
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import build_table
from conspo_study.search import Search, mean_value


@pytest.fixture
def log(tmp_path):
    with ResultsLog(tmp_path / "log.jsonl") as log:
        yield log


def finish(search, suggestion, value, kind=EventKind.FINISHED, step=4):
    search.started(suggestion.trial)
    values = {"0": value - 0.01, "1": value + 0.01}
    search.ended(suggestion.trial, kind, {"step": step, "value": value, "values": values})


def score(config):
    """Best at tau 1 with margin 1."""
    return 0.5 * (config.objective.tau == 1.0) + 0.3 * (config.objective.margin == 1.0)


def run_all(search):
    order = []
    while suggestion := search.suggest():
        finish(search, suggestion, score(suggestion.config))
        order.append(suggestion)
    return order


def test_anchors_run_first_and_the_budget_is_kept(log):
    order = run_all(Search(definition(), log))
    assert [s.label for s in order] == ["paper", "no margin", "", "", "", ""]
    assert [s.trial for s in order] == [f"t{i:04d}" for i in range(6)]
    assert order[0].config.objective.tau == 10.0


def test_no_configuration_is_run_twice_and_a_small_space_ends_the_study(log):
    search = Search(definition(trials=50), log)
    order = run_all(search)
    configs = [s.config for s in order]
    assert len({str(c) for c in configs}) == len(configs)
    # tau x (no margin + 2 margins x 2 schedules) = 10, an anchor among them, and the paper's.
    assert len(order) == 11
    assert search.complete


def test_every_suggestion_is_logged_before_it_is_handed_out(log):
    search = Search(definition(), log)
    suggestion = search.suggest()
    event = log.events[-1].event
    assert event.kind is EventKind.SUGGESTED
    assert event.trial == suggestion.trial
    assert event.data["seeds"] == [0, 1]
    assert event.data["label"] == "paper"


def test_the_same_seed_gives_the_same_search_and_another_does_not(tmp_path):
    def configs(name, root_seed):
        with ResultsLog(tmp_path / name) as log:
            return [s.config for s in run_all(Search(definition(root_seed=root_seed), log))]

    assert configs("a", 0) == configs("b", 0)
    assert any(configs("c", seed) != configs("a2" + str(seed), 0) for seed in (1,))


def test_a_new_search_on_the_log_of_a_dead_one_repeats_nothing_and_loses_nothing(tmp_path):
    path = tmp_path / "log.jsonl"
    with ResultsLog(path) as log:
        search = Search(definition(), log)
        for _ in range(2):
            suggestion = search.suggest()
            finish(search, suggestion, 0.5)
        left_open = search.suggest()
        search.started(left_open.trial)
        never_started = search.suggest()
    with ResultsLog(path) as log:
        search = Search(definition(), log)
        again = [search.suggest(), search.suggest()]
        assert [(s.trial, s.config) for s in again] == [
            (s.trial, s.config) for s in (left_open, never_started)
        ]
        for suggestion in again:
            finish(search, suggestion, 0.2)
        run_all(search)
        rows = build_table(log.events).rows
        assert [row.id for row in rows] == [f"t{i:04d}" for i in range(6)]
        assert all(row.state is TrialState.FINISHED for row in rows)
        assert search.complete


def test_optuna_hears_of_finished_pruned_and_failed_trials_as_such(log):
    search = Search(definition(trials=6), log)
    for _ in range(2):
        finish(search, search.suggest(), 0.1)
    finish(search, search.suggest(), 0.4)
    finish(search, search.suggest(), 0.2, EventKind.PRUNED, step=2)
    failed = search.suggest()
    search.ended(failed.trial, EventKind.FAILED, {"step": 1, "cause": "diverged"})
    states = [t.state.name for t in search._optuna.trials]
    # The paper's point lies outside of the space; the other anchor lies inside.
    assert states == ["COMPLETE", "COMPLETE", "PRUNED", "FAIL"]
    row = build_table(log.events).row(failed.trial)
    assert (row.state, row.cause, row.value) == (TrialState.FAILED, "diverged", None)


def test_the_budget_can_grow(tmp_path):
    path = tmp_path / "log.jsonl"
    with ResultsLog(path) as log:
        run_all(Search(definition(trials=4), log))
    with ResultsLog(path) as log:
        order = run_all(Search(definition(trials=6), log))
        assert [s.trial for s in order] == ["t0004", "t0005"]


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), "0.5", True])
def test_a_mean_over_seeds_needs_a_number_of_every_seed(bad):
    good = {"0": {METRIC: 0.5}, "1": {METRIC: 0.7}}
    assert mean_value(good, METRIC) == (pytest.approx(0.6), {"0": 0.5, "1": 0.7})
    with pytest.raises(ValueError, match="seed 1 reported"):
        mean_value({**good, "1": {METRIC: bad}}, METRIC)
    with pytest.raises(ValueError, match="seed 1 reported"):
        mean_value({**good, "1": {}}, METRIC)


def test_params_of_a_suggestion_are_those_of_its_configuration(log):
    for suggestion in run_all(Search(definition(), log)):
        params = build_table(log.events).row(suggestion.trial).params
        assert suggestion.config.objective.tau == params[TAU]
        assert suggestion.config.objective.margin == params[MARGIN]
