"""What Optuna reads from the exported file is what the log says; no trial is dropped."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState as OptunaState
from study_fixtures import MemoryLog, definition

from conspo_study.definition import Anchor, Sampler
from conspo_study.definition.space import Choice, Range
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.export import export_sqlite
from conspo_study.results.lines import LoggedEvent
from conspo_study.results.log import read_log
from conspo_study.search import Search

FROZEN = Path(__file__).parents[1] / "assets" / "results_v2"
METRIC = "eval/chain/hard/avg@8"
TAU, SCHEDULE = "objective.tau", "objective.schedule"
DEFINITION: dict[str, Any] = {
    "name": "one",
    "metric": METRIC,
    "direction": "max",
    "base": {"evaluation": {"every": 20}},
    "space": {
        TAU: {"kind": "range", "low": 0.1, "high": 1.0, "log": True, "when": None},
        SCHEDULE: {"kind": "choice", "values": ["cosine", "linear"], "when": None},
    },
}


def log_of(*events: tuple[str, str, dict[str, Any]]) -> list[LoggedEvent]:
    return [
        LoggedEvent(seq, f"2026-01-01T00:00:{seq:02d}.000Z", TrialEvent(EventKind(kind), *rest))
        for seq, (kind, *rest) in enumerate(events, start=1)
    ]


def suggested(trial: str, tau: Any = 0.5, **params: Any) -> tuple[str, str, dict[str, Any]]:
    return ("suggested", trial, {"params": {TAU: tau, **params}, "seeds": [0, 1]})


def finished(trial: str, *values: float) -> tuple[str, str, dict[str, Any]]:
    by_seed = {str(seed): value for seed, value in enumerate(values)}
    return ("finished", trial, {"step": 80, "values": by_seed})


def reported(trial: str, step: int, *values: float) -> tuple[str, str, dict[str, Any]]:
    seeds = {str(seed): {METRIC: value} for seed, value in enumerate(values)}
    return ("reported", trial, {"step": step, "steps": 90, "seeds": seeds})


def export(folder: Path, *events: tuple[str, str, dict[str, Any]], **changes: Any) -> optuna.Study:
    path = folder / "optuna.sqlite3"
    export_sqlite(path, {**DEFINITION, **changes}, log_of(*events))
    return optuna.load_study(study_name="one", storage=f"sqlite:///{path}")


def test_every_state_is_told_as_it_is(tmp_path: Path) -> None:
    study = export(
        tmp_path,
        *[suggested(f"t{index}") for index in range(5)],
        *[("started", f"t{index}", {}) for index in range(1, 5)],
        finished("t2", 0.5, 0.7),
        ("pruned", "t3", {"step": 20, "values": {"0": 0.2, "1": 0.4}}),
        ("failed", "t4", {"cause": "diverged", "step": 7}),
    )
    assert [trial.state for trial in study.trials] == [
        OptunaState.WAITING,
        OptunaState.RUNNING,
        OptunaState.COMPLETE,
        OptunaState.PRUNED,
        OptunaState.FAIL,
    ]
    assert study.best_trial.number == 2 and study.best_value == pytest.approx(0.6)
    assert study.trials[3].value is None
    assert study.trials[3].intermediate_values == {20: pytest.approx(0.3)}
    assert study.trials[4].user_attrs["cause"] == "diverged"
    assert study.trials[2].user_attrs["values"] == {"0": 0.5, "1": 0.7}
    assert [trial.user_attrs["trial"] for trial in study.trials] == ["t0", "t1", "t2", "t3", "t4"]
    assert study.metric_names == [METRIC]
    finished_trial = study.trials[2]
    assert finished_trial.datetime_start.second == 7  # when it started, not when suggested
    assert finished_trial.duration is not None and finished_trial.duration.seconds == 3


def test_curves_hold_what_was_measured_and_not_what_reports_repeat(tmp_path: Path) -> None:
    study = export(
        tmp_path,
        suggested("t0"),
        ("started", "t0", {}),
        reported("t0", 0, 0.1, 0.3),
        reported("t0", 5, 0.1, 0.3),
        reported("t0", 20, 0.4, 0.6),
        reported("t0", 40, 0.9),
        reported("t0", 90, 0.7, 0.7),
    )
    curve = study.trials[0].intermediate_values
    assert curve == {0: pytest.approx(0.2), 20: pytest.approx(0.5), 90: pytest.approx(0.7)}


def test_anchors_outside_of_the_space_are_not_dropped(tmp_path: Path) -> None:
    study = export(
        tmp_path,
        suggested("t0", 10.0, **{SCHEDULE: "off"}),
        suggested("t1", 0.3, **{SCHEDULE: "linear"}),
        suggested("t2", 0.0),
        suggested("t3", "odd", **{"rollout.group_size": 4}),
        suggested("t4", 0.01),
        *[finished(f"t{index}", 0.5, 0.5) for index in range(5)],
    )
    assert [trial.params.get(TAU) for trial in study.trials] == [10.0, 0.3, None, None, 0.01]
    assert study.trials[0].params[SCHEDULE] == "off"
    assert study.trials[3].params["rollout.group_size"] == 4
    # A logarithmic range has no place for these two; they stand among the attributes.
    assert study.trials[2].user_attrs[TAU] == 0.0
    assert study.trials[3].user_attrs[TAU] == "odd"


def test_a_mean_over_some_of_the_seeds_is_not_compared(tmp_path: Path) -> None:
    study = export(tmp_path, suggested("t0"), finished("t0", 0.9))
    assert study.trials[0].state is OptunaState.FAIL
    assert "seeds" in study.trials[0].user_attrs["cause"]


@pytest.mark.parametrize("direction", ["max", "min"])
def test_the_direction_is_the_study_s(tmp_path: Path, direction: str) -> None:
    trials = [suggested("t0"), suggested("t1"), finished("t0", 1, 1), finished("t1", 2, 2)]
    study = export(tmp_path, *trials, direction=direction)
    assert study.best_trial.number == (1 if direction == "max" else 0)


def test_several_objectives_and_confirmations_of_the_frozen_study(tmp_path: Path) -> None:
    definition = json.loads((FROZEN / "study.json").read_text())["definition"]
    path = tmp_path / "optuna.sqlite3"
    assert export_sqlite(path, definition, read_log(FROZEN / "log.jsonl")) == 6
    study = optuna.load_study(study_name="two-aims", storage=f"sqlite:///{path}")
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert study.metric_names == ["eval/chain/hard/avg@2", "response_length"]
    values = [trial.values for trial in study.trials]
    assert values == [[0.45, 8.25], [0.5, 7.25], None, [0.625, 7.5], None, None]
    assert {trial.number for trial in study.best_trials} == {1, 3}
    confirmed = study.trials[0].user_attrs["confirmed in c0000"]
    assert confirmed["values"] == {"100": 0.42, "101": 0.4, "102": 0.44}
    assert study.trials[0].user_attrs["label"] == "paper"
    assert study.trials[3].user_attrs["incidents"]["worker_restart"] == 2


def test_a_later_export_replaces_the_file_as_a_whole(tmp_path: Path) -> None:
    export(tmp_path, suggested("t0"))
    study = export(tmp_path, suggested("t0"), suggested("t1"))
    assert len(study.trials) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["optuna.sqlite3"]


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    cause = "\x1b[31m \ud800 </script> '); DROP TABLE trials; --"
    study = export(tmp_path, suggested("t0"), ("failed", "t0", {"cause": cause}))
    assert study.trials[0].user_attrs["cause"] == cause


def test_nothing_loads_optuna_before_an_export() -> None:
    code = "import sys, conspo_study.results.export; assert 'optuna' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_numbers_to_choose_from_stand_in_their_order(tmp_path: Path) -> None:
    space = {TAU: {"kind": "choice", "values": [0.1, 20.0], "when": None}}
    study = export(tmp_path, suggested("t0", 0.5), suggested("t1", 20.0), space=space)
    assert study.trials[0].distributions[TAU].choices == (0.1, 0.5, 20.0)  # type: ignore[attr-defined]
    assert [trial.params[TAU] for trial in study.trials] == [0.5, 20.0]


def test_whole_numbers_lists_none_and_truth_are_exported(tmp_path):
    settings = {
        "rollout.group_size": Range(low=2, high=8, log=True),
        "policy.lora_targets": Choice(values=(["q_proj"], ["q_proj", "v_proj"])),
        "update.importance_cap": Choice(values=(None, 2.0)),
        "policy.gradient_checkpointing": Choice(values=(True, False)),
    }
    anchors = (Anchor(label="larger", params={"rollout.group_size": 16}),)
    study = definition(
        space=settings, anchors=anchors, sampler=Sampler(name="random"), early_stopping=None
    )
    log = MemoryLog()
    search = Search(study, log)
    while search.suggest():
        pass
    path = tmp_path / "optuna.sqlite3"
    export_sqlite(path, json.loads(json.dumps(study.frozen())), log.events)
    (name,) = optuna.study.get_all_study_names(f"sqlite:///{path}")
    found = optuna.load_study(study_name=name, storage=f"sqlite:///{path}").trials
    whole = found[1].distributions["rollout.group_size"]
    assert whole == optuna.distributions.IntDistribution(2, 16, log=True)
    for trial, row in zip(found, log.table.rows, strict=True):
        for setting, value in row.params.items():
            listed = isinstance(value, list | bool)
            assert trial.params[setting] == (json.dumps(value) if listed else value)
