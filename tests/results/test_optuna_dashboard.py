"""The exported file as the real optuna-dashboard reads it, through the program's own interface."""

import io
import json
import statistics
from pathlib import Path

import pytest

from conspo_study.records import TrialState
from conspo_study.results.export import export_sqlite
from conspo_study.results.log import read_log
from conspo_study.results.table import build_table

optuna_dashboard = pytest.importorskip("optuna_dashboard", reason="extra optuna-dashboard")

FROZEN = Path(__file__).parents[1] / "assets" / "results_v2"
STATES = {
    TrialState.WAITING: "Waiting",
    TrialState.RUNNING: "Running",
    TrialState.FINISHED: "Complete",
    TrialState.PRUNED: "Pruned",
    TrialState.FAILED: "Fail",
}


@pytest.fixture(scope="module")
def table():
    return build_table(read_log(FROZEN / "log.jsonl"))


def serve(path):
    """A function that asks the program about a path, without a network."""
    from optuna.storages import RDBStorage

    program = optuna_dashboard.wsgi(RDBStorage(f"sqlite:///{path}"))

    def get(asked):
        status = []
        environment = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": asked,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        body = b"".join(program(environment, lambda line, *_: status.append(line)))
        assert status == ["200 OK"], (asked, status, body[:500])
        return json.loads(body)

    return get


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """What the program says of the frozen study."""
    definition = json.loads((FROZEN / "study.json").read_text())["definition"]
    path = tmp_path_factory.mktemp("export") / "optuna.sqlite3"
    export_sqlite(path, definition, read_log(FROZEN / "log.jsonl"))
    get = serve(path)
    (summary,) = get("/api/studies")["study_summaries"]
    assert summary["study_name"] == definition["name"]
    return get(f"/api/studies/{summary['study_id']}")


def attributes(trial):
    return {attribute["key"]: attribute["value"] for attribute in trial["user_attrs"]}


def test_objectives_have_their_names_and_directions(study):
    assert study["objective_names"] == ["eval/chain/hard/avg@2", "response_length"]
    assert study["directions"] == ["maximize", "minimize"]


def test_every_trial_is_shown_with_its_state_and_settings(study, table):
    assert [trial["state"] for trial in study["trials"]] == [STATES[r.state] for r in table.rows]
    assert {"Complete", "Fail"} <= {trial["state"] for trial in study["trials"]}
    for trial, row in zip(study["trials"], table.rows, strict=True):
        shown = {one["name"]: one["param_external_value"] for one in trial["params"]}
        assert shown == {path: str(value) for path, value in row.params.items()}


def test_trials_carry_their_id_label_seeds_and_cause(study, table):
    for trial, row in zip(study["trials"], table.rows, strict=True):
        told = attributes(trial)
        assert json.loads(told["seeds"]) == list(row.seeds)
        assert (told["trial"], told.get("label", "")) == (row.id, row.label)
        assert told.get("cause", "") == row.cause
        assert bool(row.cause) == (row.state is TrialState.FAILED)


def test_values_are_means_over_the_seeds(study, table):
    finished = [row for row in table.rows if row.state is TrialState.FINISHED]
    assert finished
    for trial, row in zip(study["trials"], table.rows, strict=True):
        if row in finished:
            lengths = statistics.fmean(row.also["response_length"].values())
            assert trial["values"] == [pytest.approx(row.value), pytest.approx(lengths)]


def test_curves_of_a_study_with_one_objective_are_intermediate_values(tmp_path, table):
    frozen = json.loads((FROZEN / "study.json").read_text())["definition"]
    events = read_log(FROZEN / "log.jsonl")
    path = tmp_path / "optuna.sqlite3"
    export_sqlite(path, {**frozen, "also": []}, events)
    study = serve(path)("/api/studies/1")
    every, metric = frozen["base"]["evaluation"]["every"], frozen["metric"]
    measured, searched = {}, {row.id for row in table.rows}
    for event in (logged.event for logged in events if logged.event.trial in searched):
        if event.kind == "reported" and event.data["step"] % every == 0:
            values = [seed.get(metric) for seed in event.data["seeds"].values()]
            measured[event.trial, event.data["step"]] = statistics.fmean(values)
    assert measured
    shown = {
        (attributes(trial)["trial"], point["step"]): point["value"]
        for trial in study["trials"]
        for point in trial["intermediate_values"]
    }
    assert {key: shown[key] for key in measured} == pytest.approx(measured)
