"""Trials side by side: settings, paired differences, importance."""

import pytest
from scipy import stats
from watched_study import METRIC, TAU

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog


@pytest.fixture
def ended(study):
    """The study with a second finished trial of other seeds, and a third."""
    with ResultsLog(study / "log.jsonl") as log:
        for trial, values in (
            ("t0002", {"0": 0.55, "1": 0.66}),
            ("t0003", {"1": 0.5, "2": 0.9, "3": 0.7}),
            ("t0004", {"0": 0.61, "1": 0.71, "2": 0.5}),
        ):
            if trial != "t0002":
                seeds = list(map(int, values))
                suggested = {"params": {TAU: 0.1}, "seeds": seeds}
                log.append(TrialEvent(EventKind.SUGGESTED, trial, suggested))
                log.append(TrialEvent(EventKind.STARTED, trial))
            log.append(TrialEvent(EventKind.FINISHED, trial, {"step": 40, "values": values}))
    return study


def test_differences_are_those_of_a_paired_t_interval(ended, watch):
    told = watch(ended).ask("compare?trials=t0000,t0002,t0003,t0004")
    assert (told["reference"], told["metric"]) == ("t0000", METRIC)
    assert [row["id"] for row in told["trials"]] == ["t0000", "t0002", "t0003", "t0004"]
    assert told["values"]["t0000"]["seeds"] == {"0": 0.5, "1": 0.7}
    assert told["values"]["t0003"]["mean"] == pytest.approx(0.7)
    assert told["values"]["t0003"]["spread"] == pytest.approx(0.2)
    found = told["differences"]["t0002"]
    test = stats.ttest_rel([0.55, 0.66], [0.5, 0.7])
    low, high = test.confidence_interval()
    assert (found["mean"], found["n"]) == (pytest.approx(0.005), 2)
    assert (found["low"], found["high"]) == (pytest.approx(low), pytest.approx(high))
    one = told["differences"]["t0003"]
    assert (one["n"], one["mean"], one["low"]) == (1, pytest.approx(-0.2), None)
    assert one["why"] == "a single seed"
    equal = told["differences"]["t0004"]
    assert equal["n"] == 2 and equal["low"] is not None, "+0.11 and +0.01"
    assert "t0000" not in told["differences"]


def test_trials_without_common_seeds_or_values_say_so(study, watch):
    told = watch(study).ask("compare?trials=t0002,t0001&metric=reward")
    assert told["metric"] == "reward"
    assert told["differences"]["t0001"]["mean"] == 0.0, "of the latest reports"
    assert told["differences"]["t0001"]["why"] == "the values do not vary between seeds"
    told = watch(study).ask("compare?trials=t0002,t0001&metric=nonsense")
    assert told["differences"]["t0001"] == {"n": 0, "why": "they have no seed in common"}
    assert told["values"]["t0002"] == {"mean": None, "spread": None, "seeds": {}}


def test_settings_that_differ_are_those_of_the_configurations(study, watch):
    told = watch(study).ask("compare?trials=t0000,t0001")
    assert told["settings"] == [
        {"path": "objective.tau", "values": {"t0000": 0.1, "t0001": 1.0}},
    ], "the objective's name is the same"
    (study / "trials/t0001/config.json").unlink()
    (study / "trials/t0000/config.json").unlink()
    told = watch(study).ask("compare?trials=t0000,t0001")
    assert {one["path"] for one in told["settings"]} == {
        "objective.tau",
        "objective.margin",
        "objective.schedule",
    }
    (schedule,) = (one for one in told["settings"] if one["path"] == "objective.schedule")
    assert list(schedule["values"]) == ["t0001"], "the other has no such setting"


@pytest.mark.parametrize(
    ("trials", "status", "said"),
    [
        ("t0000", 400, "compare 2 to 8 trials, not 1"),
        ("", 400, "not 0"),
        ("t0000,t0000", 400, "not 1"),
        (",".join(f"t{i}" for i in range(9)), 400, "not 9"),
        ("t0000,t9999", 404, "not found"),
        ("t0000,../x", 404, "not found"),
    ],
)
def test_a_comparison_that_makes_no_sense_is_answered_so(study, watch, trials, status, said):
    assert said in watch(study).ask(f"compare?trials={trials}", status=status)["error"]


def test_importance_is_of_finished_trials(study, watch):
    page = watch(study)
    assert page.ask("importance") == {"trials": 1, "settings": []}
    with ResultsLog(study / "log.jsonl") as log:
        for number in range(10, 22):
            trial, good = f"t{number:04d}", number % 2
            params = {TAU: [0.1, 10.0][good], "objective.margin": float(number % 5)}
            log.append(TrialEvent(EventKind.SUGGESTED, trial, {"params": params, "seeds": [0]}))
            log.append(TrialEvent(EventKind.STARTED, trial))
            value = 0.2 + 0.5 * good + 0.001 * (number % 3)
            log.append(TrialEvent(EventKind.FINISHED, trial, {"step": 40, "values": {"0": value}}))
    told = page.ask("importance")
    assert told["trials"] == 13
    first = told["settings"][0]
    assert first["setting"] == TAU and first["share"] > 0.8 > first["chance"]
