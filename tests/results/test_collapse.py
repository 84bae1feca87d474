"""Collapsed seeds: those that stopped by themselves, and those that lost half and more."""

import json

import pytest
from study_fixtures import METRIC, TAU, definition

from conspo_study.records import Collapse, EventKind, TrialEvent, TrialState
from conspo_study.results.collapse import collapse_rate
from conspo_study.results.export import export_sqlite
from conspo_study.results.log import ResultsLog
from conspo_study.results.table import StudyTable, TrialRow
from conspo_study.terminal.live_view import View
from conspo_study.terminal.status import study_status
from conspo_study.watch.study_view import StudyView

SEEDS = tuple(range(10))
DIVERGED = Collapse(3, "diverged: the gradient was not finite in 3 consecutive steps")


def row(values=(), untrained=0.2, **fields):
    """A trial of ten seeds that finished, by default with 0.7 in each."""
    found = dict(zip(SEEDS, (*values, *[0.7] * 10), strict=False))
    start = {} if untrained is None else {seed: {METRIC: untrained} for seed in SEEDS}
    fields = {"state": TrialState.FINISHED, "seeds": SEEDS, "step": 4, "steps": 4} | fields
    return TrialRow("t0000", values=found, untrained=start, **fields)


def test_a_seed_that_stopped_or_lost_half_of_its_start_has_collapsed():
    rate = collapse_rate(row((0.02, 0.099, 0.1), collapses={7: DIVERGED}), METRIC, "max")
    assert (rate.seeds, rate.of, str(rate), rate.rate) == ((0, 1, 7), 10, "3 of 10", 0.3)
    assert rate.sentence == "3 of 10 seeds collapsed"
    assert rate.reasons == (
        "seed 0 collapsed from 0.200 untrained to 0.020",
        "seed 1 collapsed from 0.200 untrained to 0.099",
        "seed 7 collapsed at step 3: diverged: the gradient was not finite in 3 consecutive steps",
    )


@pytest.mark.parametrize(
    ("direction", "untrained"), [("min", 0.2), ("max", None), ("max", 0.0), ("max", -1.0)]
)
def test_there_is_no_rule_by_value_without_a_start_or_where_less_is_better(direction, untrained):
    rate = collapse_rate(row((0.02,), untrained), METRIC, direction)
    assert (rate.seeds, str(rate), rate.sentence) == ((), "", "")
    again = collapse_rate(row((), untrained, collapses={1: DIVERGED}), METRIC, direction)
    assert again.seeds == (1,)


@pytest.mark.parametrize(
    ("value", "untrained"), [(-0.6, None), (-0.6, -1.0), (-0.1, 0.0), (0.0, 0.0)]
)
def test_a_metric_that_begins_at_nothing_or_below_has_no_rule_by_value(value, untrained):
    assert collapse_rate(row((value,), untrained), METRIC, "max").seeds == ()


def test_while_a_trial_runs_only_stopped_seeds_have_collapsed():
    running = TrialRow(
        "t0000",
        TrialState.RUNNING,
        seeds=(0, 1),
        untrained={0: {METRIC: 0.2}, 1: {METRIC: 0.2}},
        seed_metrics={0: {METRIC: 0.0}, 1: {METRIC: 0.0}},
        collapses={1: DIVERGED},
    )
    assert collapse_rate(running, METRIC, "max").seeds == (1,)


def test_a_collapsed_trial_has_a_result_and_may_be_the_best():
    assert TrialState.COLLAPSED.ended and TrialState.COLLAPSED.has_result
    assert not TrialState.PRUNED.has_result
    collapsed = row(state=TrialState.COLLAPSED, collapses=dict.fromkeys(SEEDS, DIVERGED))
    table = StudyTable(rows=(collapsed,))
    assert (table.best(), table.with_result) == (collapsed, 1)


@pytest.fixture
def study(tmp_path):
    """A study of a method that collapses in 3 of 10 seeds, and of one that does in all."""
    folder = tmp_path / "study"
    folder.mkdir()
    declared = definition(seeds=SEEDS, trials=2)
    stored = {"schema": 1, "name": declared.name, "hash": declared.hash, "data": {}}
    (folder / "study.json").write_text(json.dumps({**stored, "definition": declared.frozen()}))
    with ResultsLog(folder / "log.jsonl") as log:
        hello = {"hash": declared.hash, "trials": 2, "resumed": False}
        log.append(TrialEvent(EventKind.STUDY_STARTED, data=hello))
        for trial, tau, fallen, kind in (
            ("t0000", 1.0, (0, 4, 9), EventKind.FINISHED),
            ("t0001", 0.1, SEEDS, EventKind.COLLAPSED),
        ):
            data = {"params": {TAU: tau}, "seeds": list(SEEDS), "label": f"tau {tau:g}"}
            log.append(TrialEvent(EventKind.SUGGESTED, trial, data))
            log.append(TrialEvent(EventKind.STARTED, trial))
            start = {str(seed): {METRIC: 0.2, "time/evaluate_s": seed} for seed in SEEDS}
            report = {"step": 0, "steps": 4, "seeds": start}
            log.append(TrialEvent(EventKind.REPORTED, trial, report))
            values = {str(seed): 0.01 if seed in fallen else 0.7 for seed in SEEDS}
            # One of them came to its last step and lost all that it had.
            stopped = [seed for seed in fallen if seed != 4]
            told = {str(s): {"step": 3, "cause": DIVERGED.cause} for s in stopped}
            if kind is EventKind.COLLAPSED:
                told["4"] = {"step": 3, "cause": DIVERGED.cause}
            latest = {seed: {METRIC: value} for seed, value in values.items()}
            report = {"step": 4, "steps": 4, "seeds": latest, "collapsed": told}
            log.append(TrialEvent(EventKind.REPORTED, trial, report))
            end = {"step": 4, "values": values, "collapsed": told, "wall_s": 5.0}
            log.append(TrialEvent(kind, trial, end))
        log.append(TrialEvent(EventKind.STUDY_FINISHED))
    return folder


def test_the_status_says_which_seeds_collapsed_and_nothing_of_it_failed(study):
    found = study_status(study)
    text = "\n".join(found.lines())
    assert "collapsed  t0000: 3 of 10 seeds collapsed: seed 0 collapsed at step 3: diverged" in text
    assert "seed 4 collapsed from 0.200 untrained to 0.010" in text
    assert "trials     1 finished, 1 collapsed; budget 2" in text
    assert (found.alarms, found.failed, found.best.trial) == ((), {}, "t0000")
    assert found.best.value == pytest.approx((7 * 0.7 + 3 * 0.01) / 10)
    assert found.as_json()["collapsed"]["t0001"].startswith("10 of 10 seeds collapsed")


def test_a_study_whose_trials_all_collapsed_has_results(study):
    log = (study / "log.jsonl").read_text().splitlines(keepends=True)
    (study / "log.jsonl").write_text("".join(log[:1] + _renumbered(log, "t0001")))
    assert study_status(study).alarms == ()


def _renumbered(lines, trial):
    from conspo_study.results.lines import decode_line, encode_line

    events = [decode_line(line.strip().encode()) for line in lines]
    own = [logged for logged in events if logged.event.trial == trial]
    return [encode_line(n, one.time, one.event)[0].decode() for n, one in enumerate(own, start=2)]


def test_the_terminal_shows_the_rate(study):
    with ResultsLog(study / "log.jsonl") as log:
        table = log.table
    view = View(definition(seeds=SEEDS, trials=2), 1)
    first, second = table.rows
    assert view._cells(first, 120)["state"].plain == "finished, 3 of 10 collapsed"
    assert "after 5 s, 3 of 10 seeds collapsed (seed 0 collapsed at step 3" in view.sentence(first)
    assert "collapsed" in view.sentence(second) and "0.010" in view.sentence(second)


def test_the_page_has_the_rate_and_the_reasons(study):
    view = StudyView(study)
    first, second = view.study(0, 0)["trials"]
    assert first["collapsed"]["shown"] == "3 of 10"
    assert first["collapsed"]["reasons"][1] == "seed 4 collapsed from 0.200 untrained to 0.010"
    assert (second["state"], second["collapsed"]["shown"]) == ("collapsed", "10 of 10")
    assert view.trial("t0000")["row"]["collapsed"] == first["collapsed"]
    assert view.study(0, 0)["counts"]["collapsed"] == 1


def test_what_trials_report_alike_before_training_is_kept_once(study):
    with ResultsLog(study / "log.jsonl") as log:
        first, second = log.table.rows
    assert first.untrained[3] is second.untrained[3]
    assert dict(first.untrained[3]) == {METRIC: 0.2}


@pytest.mark.slow
def test_an_exported_collapse_is_a_complete_trial(study, tmp_path):
    optuna = pytest.importorskip("optuna")
    with ResultsLog(study / "log.jsonl") as log:
        events = log.events
    stored = json.loads((study / "study.json").read_text())
    export_sqlite(tmp_path / "optuna.sqlite3", stored["definition"] | {"name": "s"}, events)
    found = optuna.load_study(study_name="s", storage=f"sqlite:///{tmp_path / 'optuna.sqlite3'}")
    collapsed = found.trials[1]
    assert collapsed.state.name == "COMPLETE" and collapsed.value == pytest.approx(0.01)
    assert collapsed.user_attrs["collapsed"]["0"] == 3
