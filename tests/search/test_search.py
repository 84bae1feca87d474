"""The search: anchors first, nothing twice, waits by lag, confirms, and is rebuilt from the log."""

from dataclasses import replace

import pytest
from study_fixtures import MARGIN, METRIC, SCHEDULE, TAU, MemoryLog, definition

from conspo_study.config import with_overrides
from conspo_study.definition import Confirmation, Sampler
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Choice, Range
from conspo_study.records import EventKind, TrialRole, TrialState, written_bar
from conspo_study.results.log import ResultsLog
from conspo_study.search import WAIT, Search, Suggestion, mean_value

RANDOM = {"sampler": Sampler(name="random"), "early_stopping": None}
CONFIRM = Confirmation(seeds=(100, 101, 102))


@pytest.fixture
def log():
    return MemoryLog()


def finish(search, suggestion, value=0.5, kind=EventKind.FINISHED, step=4):
    search.started(suggestion.trial)
    values = {str(seed): value + 0.01 * i for i, seed in enumerate(suggestion.seeds)}
    search.ended(suggestion.trial, kind, {"step": step, "value": value, "values": values})


def fail(search, suggestion):
    search.ended(suggestion.trial, EventKind.FAILED, {"step": 1, "cause": "diverged"})


def score(config):
    """Best at tau 1 with margin 1."""
    return 0.5 * (config.objective.tau == 1.0) + 0.3 * (config.objective.margin == 1.0)


def run_all(search):
    order = []
    while suggestion := search.suggest():
        assert suggestion is not WAIT
        finish(search, suggestion, score(suggestion.config))
        order.append(suggestion)
    return order


def start_all(search):
    """Suggestions until the search waits or ends; none of them ends."""
    order = []
    while isinstance(suggestion := search.suggest(), Suggestion):
        order.append(suggestion)
    return [s.trial for s in order], suggestion


def test_anchors_run_first_and_the_budget_is_kept(log):
    search = Search(definition(), log)
    order = run_all(search)
    assert [s.label for s in order] == ["paper", "no margin", "", "", "", ""]
    assert [s.trial for s in order] == [f"t{i:04d}" for i in range(6)]
    assert order[0].config.objective.tau == 10.0
    assert search.complete


def test_no_configuration_is_run_twice_and_a_small_space_ends_the_study(log):
    search = Search(definition(trials=50), log)
    order = run_all(search)
    configs = [s.config for s in order]
    assert len({str(c) for c in configs}) == len(configs)
    # tau x (no margin + 2 margins x 2 schedules) = 10, an anchor among them, and the paper's.
    assert len(order) == 11
    assert search.complete


@pytest.mark.parametrize("name", ["tpe", "gp", "qmc", "random", "grid"])
def test_every_sampler_uses_up_a_small_space(name, log):
    space = {TAU: Choice(values=(0.1, 1.0)), MARGIN: Choice(values=(0.0, 5.0))}
    sampler = Sampler(name=name, startup_trials=1)
    order = run_all(Search(definition(trials=50, space=space, sampler=sampler), log))
    assert len(order) == 1 + 4  # the paper's lies outside


def test_a_configuration_that_failed_is_not_tried_again(log):
    search = Search(definition(trials=50, **RANDOM), log)
    seen = []
    while suggestion := search.suggest():
        seen.append(str(suggestion.config))
        fail(search, suggestion)
    assert len(seen) == len(set(seen)) == 11
    assert search.complete


def test_settings_that_do_not_fit_together_are_passed_over(log):
    # 16 prompts do not divide over 3 workers; each value is valid beside the base's others.
    base = with_overrides(QUICK, {"rollout.prompts_per_step": 24})
    space = {
        "rollout.prompts_per_step": Choice(values=(24, 16)),
        "train.workers": Choice(values=(1, 3)),
    }
    study = definition(base=base, space=space, anchors=(), trials=9)
    assert len(run_all(Search(study, log))) == 3


def test_every_suggestion_is_logged_before_it_is_handed_out(log):
    suggestion = Search(definition(), log).suggest()
    event = log.events[-1].event
    assert event.kind is EventKind.SUGGESTED
    assert event.trial == suggestion.trial
    assert event.data["seeds"] == [0, 1]
    assert event.data["label"] == "paper"
    assert event.data["bars"] == {}
    assert event.data["role"] == "search"


def test_another_root_seed_gives_another_search():
    def configs(root_seed):
        return [s.config for s in run_all(Search(definition(root_seed=root_seed), MemoryLog()))]

    assert configs(0) == configs(0)
    assert any(configs(0) != configs(seed) for seed in (1, 2))


def test_trial_n_waits_for_the_trials_up_to_n_1_lag(log):
    search = Search(definition(lag=1, trials=6), log)
    paper, other = search.suggest(), search.suggest()
    assert search.suggest() is WAIT  # trial 2 needs trial 0
    fail(search, other)  # which this is not
    assert search.suggest() is WAIT
    finish(search, paper)
    third = search.suggest()
    fourth = search.suggest()
    assert search.suggest() is WAIT
    fail(search, third)  # an end like any other
    assert search.suggest().trial == "t0004"
    assert fourth.trial == "t0003"


def test_at_most_lag_plus_one_searched_trials_run_at_once(log):
    search = Search(definition(lag=2, trials=9, anchors=()), log)
    assert start_all(search) == (["t0000", "t0001", "t0002"], WAIT)


@pytest.mark.parametrize("changes", [RANDOM, {**RANDOM, "sampler": Sampler(name="grid")}])
def test_a_search_that_uses_no_results_waits_for_none(changes, log):
    assert start_all(Search(definition(lag=0, **changes), log)) == (
        [f"t{i:04d}" for i in range(6)],
        None,
    )


def test_anchors_wait_for_nothing(log):
    anchors = definition().anchors
    assert len(start_all(Search(definition(lag=0, trials=2), log))[0]) == len(anchors)


def test_a_new_search_on_the_log_of_a_dead_one_repeats_nothing_and_loses_nothing(tmp_path):
    path = tmp_path / "log.jsonl"
    with ResultsLog(path) as log:
        search = Search(definition(), log)
        for _ in range(2):
            finish(search, search.suggest())
        left_open = search.suggest()
        search.started(left_open.trial)
        never_started = search.suggest()
    with ResultsLog(path) as log:
        search = Search(definition(), log)
        assert not search.complete
        again = [search.suggest(), search.suggest()]
        assert again == [left_open, never_started]
        for suggestion in again:
            finish(search, suggestion, 0.2)
        run_all(search)
        rows = log.table.rows
        assert [row.id for row in rows] == [f"t{i:04d}" for i in range(6)]
        assert all(row.state is TrialState.FINISHED for row in rows)
        assert search.complete


def test_completeness_follows_from_the_log_alone(log):
    search = Search(definition(confirm=CONFIRM), log)
    assert not search.complete
    run_all(search)
    written = len(log.events)
    assert Search(definition(confirm=CONFIRM), log).complete
    assert not Search(definition(confirm=CONFIRM, trials=7), log).complete
    assert len(log.events) == written


def test_the_budget_can_grow(log):
    run_all(Search(definition(trials=4), log))
    order = run_all(Search(definition(trials=6), log))
    assert [s.trial for s in order] == ["t0004", "t0005"]


def test_an_extended_study_is_the_longer_study(log):
    run_all(Search(definition(trials=4), log))
    run_all(Search(definition(trials=8), log))
    whole = MemoryLog()
    run_all(Search(definition(trials=8), whole))
    assert [row.params for row in log.table.rows] == [row.params for row in whole.table.rows]


def test_the_winner_and_the_anchors_are_confirmed_on_their_own_seeds_and_problems(log):
    confirm = Confirmation(seeds=(100, 101, 102), overrides={"evaluation.problems_per_set": 8})
    order = run_all(Search(definition(confirm=confirm, trials=11), log))  # the whole space
    winner = log.table.best("max")
    assert [(s.trial, s.of, s.label) for s in order[11:]] == [
        ("c0000", "t0000", "paper"),
        ("c0001", "t0001", "no margin"),
        ("c0002", winner.id, ""),
    ]
    for suggestion in order[11:]:
        assert suggestion.seeds == (100, 101, 102)
        assert suggestion.bars == {}
        assert suggestion.config.evaluation.problems_per_set == 8
        row = log.table.row(suggestion.trial)
        confirmed = log.table.row(suggestion.of)
        assert (row.role, row.params) == (TrialRole.CONFIRMATION, confirmed.params)
        assert row.config_hash != confirmed.config_hash


def test_anchors_are_confirmed_while_the_search_ends_and_the_winner_after_it(log):
    search = Search(definition(confirm=CONFIRM, **RANDOM), log)
    started, then = start_all(search)
    assert started == [*(f"t{i:04d}" for i in range(6)), "c0000", "c0001"]
    assert then is WAIT
    for row in log.table.all_rows[:5]:
        finish(search, search._again(row), 0.1)
    assert search.suggest() is WAIT
    finish(search, search._again(log.table.row("t0005")), 0.9)
    assert search.suggest().of == "t0005"
    assert search.suggest() is None
    assert not search.complete


def test_a_winning_anchor_is_confirmed_once(log):
    search = Search(definition(confirm=CONFIRM), log)
    while isinstance(suggestion := search.suggest(), Suggestion):
        finish(search, suggestion, 0.9 if suggestion.label == "paper" else 0.1)
    assert [row.of for row in log.table.confirmations] == ["t0000", "t0001"]


def test_only_the_named_anchors_are_confirmed(log):
    confirm = Confirmation(seeds=(100,), anchors=("no margin",))
    run_all(Search(definition(confirm=confirm, trials=11), log))
    winner = log.table.best("max")
    found = [(row.id, row.of) for row in log.table.confirmations]
    assert found == [("c0000", "t0001"), ("c0001", winner.id)]


def test_a_winner_that_is_an_unnamed_anchor_is_confirmed_under_its_label(log):
    search = Search(definition(confirm=Confirmation(seeds=(100,), anchors=())), log)
    while isinstance(suggestion := search.suggest(), Suggestion):
        finish(search, suggestion, 0.9 if suggestion.label == "paper" else 0.1)
    assert [(row.of, row.label) for row in log.table.confirmations] == [("t0000", "paper")]


def test_without_a_finished_trial_there_is_no_winner_to_confirm(log):
    search = Search(definition(confirm=Confirmation(seeds=(100,), anchors=())), log)
    while suggestion := search.suggest():
        fail(search, suggestion)
    assert log.table.confirmations == ()
    assert search.complete


def test_an_extension_that_changes_the_winner_confirms_the_new_one_too(log):
    run_all(Search(definition(trials=3, confirm=CONFIRM), log))
    before = [row.of for row in log.table.confirmations]
    search = Search(definition(trials=4, confirm=CONFIRM), log)
    finish(search, search.suggest(), 2.0)
    finish(search, search.suggest(), 2.0)
    assert search.suggest() is None
    assert [row.of for row in log.table.confirmations] == [*before, "t0003"]
    assert [row.id for row in log.table.confirmations][-1] == f"c{len(before):04d}"


def test_confirmations_never_win_nor_teach(log):
    search = Search(definition(confirm=CONFIRM), log)
    while isinstance(suggestion := search.suggest(), Suggestion):
        finish(search, suggestion, 0.9 if suggestion.of else 0.1)
    assert log.table.best("max").role is TrialRole.SEARCH
    with_them = Search(definition(trials=8, confirm=CONFIRM), log).suggest()
    bare = [e for e in log.events if not e.event.trial.startswith("c")]
    without = Search(definition(trials=8, confirm=CONFIRM), MemoryLog(bare)).suggest()
    assert (with_them.trial, with_them.params) == (without.trial, without.params)


def test_bars_come_from_the_log_and_from_ended_trials_only(log):
    search = Search(definition(lag=1), log)

    def measure(suggestion, values):
        seeds = {str(s): {METRIC: v} for s, v in zip(suggestion.seeds, values, strict=True)}
        search.reported(suggestion.trial, {"step": 2, "steps": 4, "seeds": seeds})

    first, second = search.suggest(), search.suggest()
    assert (first.bars, second.bars) == ({}, {})
    measure(first, (0.5, 0.6))
    measure(second, (0.1, 0.3))
    finish(search, first)
    third = search.suggest()
    assert third.bars == {}  # one trial has no residual
    finish(search, second)
    measure(third, (0.9, 0.9))
    bars = search.suggest().bars
    assert bars.keys() == {2}
    assert bars[2].threshold < 0.55  # the best of the first two; the third has not ended
    assert bars[2].rival == {0: 0.5, 1: 0.6}
    assert log.events[-1].event.data["bars"] == {"2": written_bar(bars[2])}
    assert log.table.rows[-1].bars == bars


@pytest.mark.parametrize("earlier", [True, False])
def test_a_study_that_began_with_plain_thresholds_goes_on_with_them(log, earlier):
    search = Search(definition(lag=0), log)

    def run(suggestion, values):
        seeds = {str(s): {METRIC: v} for s, v in zip(suggestion.seeds, values, strict=True)}
        search.reported(suggestion.trial, {"step": 2, "steps": 4, "seeds": seeds})
        finish(search, suggestion)

    run(search.suggest(), (0.5, 0.6))
    run(search.suggest(), (0.1, 0.3))
    third = search.suggest()
    if earlier:  # as version 0.2 wrote it
        plain = {step: bar.threshold for step, bar in third.bars.items()}
        old = MemoryLog([*log.events[:-1]])
        old.append(replace(third, bars=plain).event())
        assert old.events[-1].event.data["bars"] == {"2": plain[2]}
        search = Search(definition(lag=0), old)
        assert search.suggest().bars == plain  # the trial itself
    run(third, (0.4, 0.5))
    fourth = search.suggest()
    assert fourth.bars.keys() == {2}
    assert isinstance(fourth.bars[2], float) is earlier


def test_incidents_are_logged_once_however_often_they_are_told(log):
    search = Search(definition(), log)
    trial = search.suggest().trial
    told = [
        {"type": "worker_restarted", "count": 1, "detail": "killed"},
        {"type": "step_skipped", "count": 2, "detail": "not finite"},
        {"type": "worker_restarted", "count": 1, "detail": "frozen"},
    ]
    search.incidents(trial, told[:1])
    search.incidents(trial, told)
    Search(definition(), log).incidents(trial, told)
    assert log.table.row(trial).incidents == {"worker_restarted": 2, "step_skipped": 2}
    details = [e.event.data["detail"] for e in log.events if e.event.kind is EventKind.INCIDENT]
    assert details == ["killed", "not finite", "frozen"]


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), "0.5", True, 10**400])
def test_a_mean_over_seeds_needs_a_number_of_every_seed(bad):
    good = {"0": {METRIC: 0.5}, "1": {METRIC: 0.7}}
    assert mean_value(good, METRIC, (0, 1)) == (pytest.approx(0.6), {"0": 0.5, "1": 0.7})
    for seeds in ({**good, "1": {METRIC: bad}}, {**good, "1": {}}, {"0": good["0"]}):
        with pytest.raises(ValueError, match="seed 1 reported"):
            mean_value(seeds, METRIC, (0, 1))


def test_params_of_a_suggestion_are_those_of_its_configuration(log):
    space = {TAU: Range(low=0.1, high=1.0), SCHEDULE: Choice(values=("off", "cosine"))}
    for suggestion in run_all(Search(definition(space=space), log)):
        params = log.table.row(suggestion.trial).params
        assert suggestion.params == params
        assert suggestion.config.objective.tau == params[TAU]
