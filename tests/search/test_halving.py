"""Successive halving: brackets, rungs, promotions and states follow from the log alone."""

import random
from dataclasses import replace

import pytest
from study_fixtures import MARGIN, TAU, MemoryLog, definition

from conspo_study.config import with_overrides
from conspo_study.definition import Anchor, Confirmation, Halving, Sampler, StudyDefinition
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Range
from conspo_study.records import EventKind, TrialState
from conspo_study.search import WAIT, Search

BASE = with_overrides(QUICK, {"train.steps": 8})
RULE = Halving(rungs=(2, 4), keep=0.5, bracket=4)
SEEDS = (0, 1)


def study(**changes):
    fields = {
        "base": BASE,
        "space": {TAU: Range(low=0.1, high=10.0, log=True), MARGIN: Range(low=0.0, high=1.0)},
        "anchors": (Anchor(label="base", params={}),),
        "trials": 9,
        "seeds": SEEDS,
        "sampler": Sampler(name="random"),
        "early_stopping": RULE,
    }
    return definition(**{**fields, **changes})


def value(suggestion, step):
    """Known for every trial and step, so that outcomes can be told."""
    return random.Random(f"{suggestion.params} {step}").random()


def end(search, suggestion, kind=None):
    """Let a trial run as far as it is to."""
    step = suggestion.until or suggestion.config.train.steps
    paused = EventKind.PAUSED if suggestion.until else EventKind.FINISHED
    values = {str(seed): value(suggestion, step) for seed in suggestion.seeds}
    data = {"step": step, "values": values, "wall_s": float(step)}
    if kind is EventKind.FAILED:
        data = {"step": step, "cause": "diverged"}
    search.ended(suggestion.trial, kind or paused, data)


def run_all(search, order=None, fail=(), at_once=4):
    """Run a study with so many trials at a time; order: shuffles which ends first."""
    running, seen = [], []
    for _ in range(1000):
        found = search.suggest() if len(running) < at_once else WAIT
        if found is None and not running:
            return seen
        if found is None or found is WAIT:
            assert running, "the search waits for a trial, and none is running"
            one = running.pop(order.randrange(len(running)) if order else 0)
            end(search, one, EventKind.FAILED if one.trial in fail else None)
            continue
        search.started(found.trial)
        running.append(found)
        seen.append((found.trial, found.until))
    raise AssertionError("the study does not end")


@pytest.fixture
def log():
    return MemoryLog()


def test_a_bracket_runs_to_a_rung_and_its_best_go_on(log):
    search = Search(study(trials=5), log)
    seen = run_all(search)
    assert seen[0] == ("t0000", None), "baselines run to their end"
    assert seen[1:5] == [(f"t000{n}", 2) for n in (1, 2, 3, 4)]
    rows = {row.id: row for row in log.table.rows}
    at = {
        step: {trial: random.Random(f"{rows[trial].params} {step}").random() for trial in rows}
        for step in (2, 4)
    }
    first = sorted((t for t in rows if t != "t0000"), key=lambda t: -at[2][t])
    assert seen[5:7] == [(first[0], 4), (first[1], 4)], "the best half, the best first"
    second = max(first[:2], key=lambda t: at[4][t])
    assert seen[7:] == [(second, None)]
    assert rows[second].state is TrialState.FINISHED and rows[second].step == 8
    for trial in first[2:]:
        assert (rows[trial].state, rows[trial].step) == (TrialState.PRUNED, 2)
        assert rows[trial].value == pytest.approx(at[2][trial]), "with what it had there"
    (lost,) = set(first[:2]) - {second}
    assert (rows[lost].state, rows[lost].step) == (TrialState.PRUNED, 4)
    assert tuple(rows[second].pauses) == (2, 4) and rows[second].wall_s == 2 + 4 + 8
    assert rows[lost].wall_s == 2 + 4
    assert search.complete and log.table.best().id in ("t0000", second)


def test_less_of_a_metric_may_be_better(log):
    run_all(Search(study(trials=5, direction="min"), log))
    ranked = sorted(
        (row for row in log.table.rows if row.pauses),
        key=lambda row: random.Random(f"{row.params} 2").random(),
    )
    assert [len(row.pauses) for row in ranked] == [2, 2, 1, 1]


@pytest.mark.parametrize("at_once", [1, 2, 7])
def test_no_decision_depends_on_who_is_faster(at_once):
    logs = []
    for luck in range(3):
        log = MemoryLog()
        run_all(Search(study(), log), random.Random(luck), at_once=at_once)
        logs.append({row.id: replace(row, wall_s=None) for row in log.table.rows})
    assert logs[0] == logs[1] == logs[2]
    whole = MemoryLog()
    run_all(Search(study(), whole))
    assert logs[0] == {row.id: replace(row, wall_s=None) for row in whole.table.rows}


def test_a_bracket_begins_when_the_one_before_has_ended(log):
    seen = run_all(Search(study(), log), at_once=9)
    second = seen.index(("t0005", 2))
    ended = {trial for trial, until in seen[:second] if until is None and trial != "t0000"}
    assert len(ended) == 1, "the first bracket has its winner"


def test_a_sampler_that_learns_knows_the_brackets_before(log):
    learning = study(sampler=Sampler(name="tpe", startup_trials=1), trials=9)
    run_all(Search(learning, log))
    other = MemoryLog()
    shifted = Search(learning, other)
    run_all(shifted, fail=("t0002",))
    before, after = ({row.id: row.params for row in x.table.rows} for x in (log, other))
    assert all(before[f"t000{n}"] == after[f"t000{n}"] for n in (1, 2, 3, 4)), "of no results"
    assert before["t0006"] != after["t0006"], "of results of the first bracket"


def test_failed_trials_are_no_longer_compared(log):
    run_all(Search(study(trials=5), log), fail=("t0001", "t0002"))
    states = {row.id: (row.state, len(row.pauses)) for row in log.table.rows}
    assert states["t0001"][0] is states["t0002"][0] is TrialState.FAILED
    assert sorted(states[t] for t in ("t0003", "t0004")) == [
        (TrialState.FINISHED, 2),
        (TrialState.PRUNED, 1),
    ]


def test_a_bracket_that_fails_as_a_whole_ends(log):
    search = Search(study(trials=5), log)
    run_all(search, fail=("t0001", "t0002", "t0003", "t0004"))
    assert search.complete


def test_a_failed_trial_that_is_tried_again_goes_on_only_if_it_is_among_the_best(log):
    run_all(Search(study(trials=5), log), fail=("t0001",))
    before = {row.id: row.state for row in log.table.rows}
    again = Search(study(trials=5), log, retried=("t0001",))
    run_all(again)
    rows = {row.id: row for row in log.table.rows}
    ranked = sorted((r for r in rows.values() if 2 in r.pauses), key=lambda r: -r.pauses[2])
    late = rows["t0001"]
    assert (4 in late.pauses) == (late in ranked[:2]) and late.state.ended
    assert before.items() <= {t: r.state for t, r in rows.items()}.items() | {
        ("t0001", TrialState.FAILED)
    }
    assert again.complete


@pytest.mark.parametrize("at_once", [1, 2, 4])
@pytest.mark.parametrize("cut", [0, 10, 20, 30])
def test_the_end_of_a_space_decides_a_short_bracket_alike(at_once, cut):
    """Seven points of a budget of eight: the second bracket has three trials."""
    few = study(space={TAU: [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}, anchors=(), trials=8)
    whole, log = MemoryLog(), MemoryLog()
    run_all(Search(few, whole))
    for logged in whole.events[:cut]:
        log.append(logged.event)
    again = Search(few, log)
    run_all(again, at_once=at_once)
    assert again.complete and len(log.table.rows) == 7
    expected = {row.id: (row.state, row.pauses) for row in whole.table.rows}
    assert {row.id: (row.state, row.pauses) for row in log.table.rows} == expected


def test_a_new_bracket_waits_for_the_baselines_as_well(log):
    search = Search(study(), log)
    baseline = search.suggest()
    search.started(baseline.trial)
    running = []
    for _ in range(200):
        found = search.suggest()
        if found is WAIT and not running:
            break
        if found is WAIT:
            end(search, running.pop())
            continue
        search.started(found.trial)
        running.append(found)
    assert len(log.table.rows) == 5, "the second bracket has not begun"
    end(search, baseline)
    assert search.suggest().trial == "t0005"


def test_without_halving_paused_trials_run_to_their_end(log):
    """Racing, or nothing, was accepted in place of halving."""
    search = Search(study(trials=5), log)
    while (found := search.suggest()) is not WAIT:
        search.started(found.trial)
        end(search, found)
        if sum(bool(row.pauses) for row in log.table.rows) == 2:
            break
    plain = Search(study(trials=5, early_stopping=None), log)
    run_all(plain)
    assert plain.complete
    assert all(row.state is TrialState.FINISHED for row in log.table.rows)


@pytest.mark.parametrize("cut", range(8, 46, 3))
def test_a_study_that_is_killed_anywhere_makes_the_same_decisions(cut):
    whole = MemoryLog()
    run_all(Search(study(), whole))
    killed = MemoryLog()
    for logged in whole.events[:cut]:
        killed.append(logged.event)
    again = Search(study(), killed)
    run_all(again)
    assert again.complete
    expected = {row.id: replace(row, wall_s=None, earlier_s=0) for row in whole.table.rows}
    found = {row.id: replace(row, wall_s=None, earlier_s=0) for row in killed.table.rows}
    assert found == expected


def test_the_budget_grows_by_whole_brackets(log):
    run_all(Search(study(trials=5), log))
    before = {row.id: row for row in log.table.rows}
    longer = Search(study(trials=9), log)
    run_all(longer)
    assert longer.complete and len(log.table.rows) == 9
    assert {t: r for t, r in ((row.id, row) for row in log.table.rows) if t in before} == before
    whole = MemoryLog()
    run_all(Search(study(trials=9), whole))
    assert [row.state for row in whole.table.rows] == [row.state for row in log.table.rows]


def test_a_small_space_ends_with_the_bracket_that_it_has(log):
    few = study(space={TAU: [0.1, 1.0]}, anchors=(), trials=4)
    search = Search(few, log)
    run_all(search)
    assert search.complete and len(log.table.rows) == 2
    assert sorted(row.state for row in log.table.rows) == ["finished", "pruned"]


def test_the_winner_is_confirmed_to_its_end(log):
    confirmed = study(trials=5, confirm=Confirmation(seeds=(10, 11), anchors=()))
    seen = run_all(Search(confirmed, log))
    assert seen[-1] == ("c0000", None)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"early_stopping": Halving(rungs=(4, 2), bracket=4)}, "have to ascend"),
        ({"early_stopping": Halving(rungs=(8,), bracket=4)}, "not before the last step, 8"),
        ({"early_stopping": Halving(rungs=(3,), bracket=4)}, "multiples of evaluation.every, 2"),
        (
            {"confirm": Confirmation(seeds=(10, 11), best_over=(TAU,))},
            "halving stops whole strata",
        ),
        ({"trials": 8}, "7 searched trials are no whole number of brackets of 4"),
    ],
)
def test_what_cannot_be_run_is_refused(changes, says):
    with pytest.raises(ValueError, match="early_stopping") as refused:
        study(**changes)
    assert says in str(refused.value)


def test_a_definition_survives_being_stored():
    declared = study()
    again = StudyDefinition.model_validate(declared.frozen())
    assert again.halving == RULE and again.hash == declared.hash
    assert study(early_stopping=None).halving is None


def test_the_share_of_steps_that_are_trained():
    """4 trials to step 2, 2 of them to step 4, 1 to step 8, of 4 x 8."""
    assert RULE.trained_share(8) == pytest.approx((4 * 2 + 2 * 2 + 1 * 4) / 32)
    assert Halving(rungs=(1,), keep=1 / 3, bracket=9).kept(9) == 3
