"""Each stratum has a winner of its own, which is run again; without strata nothing changes."""

import pytest
from study_fixtures import MARGIN, TAU, MemoryLog, definition

from conspo_study.definition import Anchor, Confirmation, Sampler, confirmation_batch
from conspo_study.definition.space import Choice
from conspo_study.forecast.detectable import confirmation_family, search_family
from conspo_study.forecast.notes import study_notes
from conspo_study.records import EventKind
from conspo_study.results.strata import chosen_over, strata_of, stratum_key
from conspo_study.search import WAIT, Search, Suggestion

RATE = "update.learning_rate"
PER_TAU = Confirmation(seeds=(100, 101), best_over=(RATE,))


def points(taus=(0.1, 1.0, 10.0), rates=(1e-4, 3e-4)):
    return tuple(
        Anchor(label=f"tau {tau:g}, lr {rate:g}", params={TAU: tau, RATE: rate})
        for tau in taus
        for rate in rates
    )


def study(**changes):
    anchors = changes.pop("anchors", points())
    fields = {"space": {}, "anchors": anchors, "trials": len(anchors), "confirm": PER_TAU}
    return definition(**{**fields, "early_stopping": None, **changes})


def finish(search, suggestion, value, kind=EventKind.FINISHED):
    values = {str(seed): value for seed in suggestion.seeds}
    search.ended(suggestion.trial, kind, {"step": 4, "value": value, "values": values})


def fail(search, suggestion):
    search.ended(suggestion.trial, EventKind.FAILED, {"step": 1, "cause": "diverged"})


def run(search, values):
    """Finish every search trial with its value, None for a failure; confirmations with 0.5."""
    order = []
    while isinstance(suggestion := search.suggest(), Suggestion):
        order.append(suggestion)
        value = 0.5 if suggestion.of else values[int(suggestion.trial[1:])]
        if value is None:
            fail(search, suggestion)
        else:
            finish(search, suggestion, value)
    return order


def again(log):
    return [row.of for row in log.table.confirmations]


def test_the_best_trial_of_every_stratum_is_confirmed_on_fresh_seeds():
    log = MemoryLog()
    search = Search(study(), log)
    order = run(search, [0.1, 0.2, 0.9, 0.8, 0.3, 0.4])
    assert again(log) == ["t0001", "t0002", "t0005"]
    confirmed = order[6:]
    assert [s.trial for s in confirmed] == ["c0000", "c0001", "c0002"]
    assert {s.seeds for s in confirmed} == {(100, 101)}
    assert [s.config.update.learning_rate for s in confirmed] == [3e-4, 1e-4, 3e-4]
    assert {s.config.evaluation.split for s in confirmed} == {"test"}
    assert confirmed[0].label == "tau 0.1, lr 0.0003"
    assert search.complete


def test_ties_go_to_the_earlier_trial_and_a_collapsed_stratum_to_its_best():
    log = MemoryLog()
    run(Search(study(), log), [0.5, 0.5, 0.0, 0.0, 0.001, 0.0])
    assert again(log) == ["t0000", "t0002", "t0004"]


def test_less_is_better_within_strata_too():
    log = MemoryLog()
    run(Search(study(direction="min"), log), [0.1, 0.2, 0.9, 0.8, 0.3, 0.4])
    assert again(log) == ["t0000", "t0003", "t0004"]


def test_a_stratum_without_a_finished_trial_has_no_winner_and_stops_no_other():
    log = MemoryLog()
    search = Search(study(), log)
    run(search, [None, None, None, 0.8, 0.3, 0.4])
    assert again(log) == ["t0003", "t0005"]
    assert search.complete


def test_a_stratum_is_confirmed_once_it_has_ended_and_in_the_order_of_the_strata():
    log = MemoryLog()
    search = Search(study(), log)
    trials = [search.suggest() for _ in range(6)]
    assert search.suggest() is WAIT
    for trial in trials[2:]:  # the first stratum still runs: the order must not depend on speed
        finish(search, trial, 0.5)
    assert search.suggest() is WAIT
    finish(search, trials[0], 0.1)
    assert search.suggest() is WAIT
    finish(search, trials[1], 0.2)
    assert [search.suggest().of for _ in range(3)] == ["t0001", "t0002", "t0004"]
    assert search.suggest() is None
    assert not search.complete


def test_a_resumed_study_suggests_what_was_open_and_then_the_other_strata():
    log = MemoryLog()
    search = Search(study(), log)
    for value in (0.1, 0.2, 0.9, 0.8, 0.3, 0.4):
        finish(search, search.suggest(), value)
    opened = search.suggest()
    resumed = Search(study(), MemoryLog(log.events))
    assert resumed.suggest() == opened
    assert [resumed.suggest().of for _ in range(2)] == ["t0002", "t0005"]


def test_an_extension_adds_to_strata_and_confirms_new_winners():
    log = MemoryLog()
    space = {TAU: Choice(values=(0.1, 1.0, 10.0)), RATE: Choice(values=(1e-4, 3e-4))}
    grid = {"anchors": (), "space": space, "sampler": Sampler(name="grid")}
    run(Search(study(**grid, trials=5), log), [0.1] * 5)
    before = again(log)
    assert len(before) == 3
    search = Search(study(**grid, trials=6), log)
    run(search, [0.1] * 5 + [0.9])
    assert again(log) == [*before, "t0005"]
    assert search.complete


def test_named_anchors_are_confirmed_beside_the_winners():
    log = MemoryLog()
    named = Confirmation(seeds=(100,), best_over=(RATE,), anchors=("tau 1, lr 0.0003",))
    run(Search(study(confirm=named), log), [0.1, 0.2, 0.9, 0.8, 0.3, 0.4])
    assert again(log) == ["t0003", "t0001", "t0002", "t0005"]
    assert confirmation_batch(study(confirm=named)).trials == 4


def test_strata_are_what_the_other_settings_say():
    assert stratum_key({TAU: 1, RATE: 3e-4}, (RATE,)) == stratum_key({RATE: 1, TAU: 1.0}, (RATE,))
    assert stratum_key({TAU: 1}, ()) != stratum_key({TAU: 1, MARGIN: 0.0}, ())
    log = MemoryLog()
    run(Search(study(), log), [0.1, 0.2, 0.9, 0.8, 0.3, 0.4])
    strata = strata_of(log.table.rows, (RATE,))
    assert [[row.id for row in one.rows] for one in strata] == [
        ["t0000", "t0001"],
        ["t0002", "t0003"],
        ["t0004", "t0005"],
    ]
    assert [one.winner("max").id for one in strata] == ["t0001", "t0002", "t0005"]


def test_the_plan_counts_a_confirmation_for_every_stratum():
    assert confirmation_batch(study()).trials == 3
    space = {TAU: Choice(values=(0.1, 1.0)), RATE: Choice(values=(1e-4, 3e-4))}
    grid = study(space=space, anchors=points((0.1,)), trials=4)
    assert confirmation_batch(grid).trials == 3, "a stratum of anchors, and at most two more"


def test_a_definition_without_strata_is_written_and_hashed_as_before():
    plain = study(confirm=Confirmation(seeds=(100,)))
    assert "best_over" not in plain.frozen()["confirm"]
    assert plain.hash != study().hash
    assert chosen_over(plain.frozen()) == ()
    assert chosen_over(study().frozen()) == (RATE,)
    assert chosen_over({"confirm": {"best_over": "update"}}) == ()


def test_a_setting_that_no_trial_has_cannot_be_chosen_over():
    with pytest.raises(ValueError, match="no trial sets update"):
        study(confirm=Confirmation(seeds=(9,), best_over=("update.epochs_per_batch",)))


def test_the_plan_says_what_the_strata_can_show():
    family = confirmation_family(study())
    assert (family.size, family.reference) == (2, "one stratum"), "two against the third"
    assert search_family(study()).size == 1, "within strata nothing is tested"
    assert not any("every two of" in note for note in study_notes(study(), None))
