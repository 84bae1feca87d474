"""A study's trials are a function of its definition: not of the machine's speed, the number of
trials at a time, or how often and when its driver died."""

import random

import pytest
from simulated_engine import run
from study_fixtures import MARGIN, TAU, definition

from conspo_study.config import with_overrides
from conspo_study.definition import Aim, Confirmation, EarlyStopping, Sampler
from conspo_study.definition.presets import QUICK
from conspo_study.definition.space import Range
from conspo_study.records import TrialState

STEPS = {"train.steps": 20, "evaluation.every": 4}
BASE = with_overrides(QUICK, STEPS)
RANGES = {TAU: Range(low=0.1, high=10.0, log=True), MARGIN: Range(low=0.0, high=5.0)}
STUDIES = {
    "tpe": {},
    "tpe, ranges": {"space": RANGES},
    "tpe, no early stopping": {"early_stopping": None},
    "tpe, two objectives": {"also": (Aim(metric="tokens", direction="min"),)},
    "tpe, no lag": {"lag": 0},
    "random": {"sampler": Sampler(name="random")},
    "random, no early stopping": {"sampler": Sampler(name="random"), "early_stopping": None},
    "qmc": {"sampler": Sampler(name="qmc"), "space": RANGES},
    "qmc, no early stopping": {"sampler": Sampler(name="qmc"), "early_stopping": None},
    "grid": {"sampler": Sampler(name="grid"), "trials": 50},
    "grid, no early stopping": {"sampler": Sampler(name="grid"), "early_stopping": None},
    "the worst": {"direction": "min", "seeds": (0, 1, 2)},
    "anchors only": {"trials": 2},
}


def study(name):
    fields = {
        "base": BASE,
        "trials": 11,
        "early_stopping": EarlyStopping(min_fraction=0.3, alpha=0.2),
        "confirm": Confirmation(seeds=(100, 101), overrides={"evaluation.problems_per_set": 8}),
    }
    return definition(**{**fields, **STUDIES[name]})


@pytest.fixture(scope="module")
def expected():
    """By study: what one trial at a time and an immortal driver find."""
    return {name: run(study(name)) for name in STUDIES}


@pytest.mark.parametrize("name", STUDIES)
def test_neither_speed_nor_the_number_at_a_time_changes_any_trial(name, expected):
    for concurrent in (2, 4, 4):
        found = run(study(name), concurrent, random.Random(f"{name} {concurrent}"))
        assert found == expected[name]


@pytest.mark.parametrize("name", STUDIES)
def test_no_death_of_a_driver_changes_any_trial(name, expected):
    chance = random.Random(name)
    for _ in range(3):
        deaths = [chance.randint(1, 30) for _ in range(chance.randint(2, 12))]
        assert run(study(name), chance.choice((1, 2, 4)), chance, deaths) == expected[name]


@pytest.mark.parametrize(("name", "stride"), [("tpe", 20), ("random", 5)])
def test_a_death_at_any_write_changes_no_trial(name, stride, expected):
    for appends in range(1, 110, stride):
        assert run(study(name), 2, random.Random(appends), [appends]) == expected[name], appends


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_deaths_all_along_a_study_and_many_of_them_change_no_trial(name, expected):
    chance = random.Random(name)
    for appends in range(1, 130, 7):
        deaths = [appends, *(chance.randint(1, 60) for _ in range(appends % 4))]
        assert run(study(name), chance.choice((1, 2, 3, 4)), chance, deaths) == expected[name]


@pytest.mark.slow
def test_a_gaussian_process_too_is_a_function_of_the_log():
    changes = {"sampler": Sampler(name="gp", startup_trials=2), "space": RANGES, "trials": 9}
    declared = definition(**{**vars(study("tpe")), **changes})
    found = run(declared)
    assert len(found) == 9 + 3
    assert run(declared, 4, random.Random(1), [20, 30]) == found


def test_the_studies_above_stop_fail_and_confirm(expected):
    states = [row["state"] for row in expected["tpe"].values()]
    assert TrialState.PRUNED in states
    assert TrialState.FAILED in states
    for found in expected.values():
        assert [row for row in found if row.startswith("c")][:2] == ["c0000", "c0001"]
    assert all(row["bars"] == {} for row in expected["tpe, no early stopping"].values())
    assert expected["grid"].keys() >= {f"t{n:04d}" for n in range(11)}


def test_results_matter(expected):
    """Were nothing learned from results, determinism would be no feat."""
    params = {name: [row["params"] for row in found.values()] for name, found in expected.items()}
    worst = run(definition(**{**vars(study("tpe, ranges")), "direction": "min"}))
    assert [row["params"] for row in worst.values()][6:11] != params["tpe, ranges"][6:11]
