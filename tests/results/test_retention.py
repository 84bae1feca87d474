"""Checkpoints of ended trials stay within their budget, and the ones that matter always stay."""

import time
from types import SimpleNamespace

import pytest
from study_fixtures import definition

from conspo_study.records import EventKind, StudyError, TrialEvent, TrialState
from conspo_study.results.incidents import IncidentType
from conspo_study.results.lines import LoggedEvent
from conspo_study.results.log import ResultsLog, read_log
from conspo_study.results.retention import BUDGET, Retention, budget_bytes, making_room
from conspo_study.results.table import build_table

SIZE = 1000


def table(**ends):
    """Trials by id: a kind and a value, or None for one that runs."""
    return table_of(happened(**ends))


def table_of(events):
    return build_table([LoggedEvent(i, "", event) for i, event in enumerate(events, start=1)])


def happened(**ends):
    """What makes such a table."""
    events = []
    for trial, end in ends.items():
        role = {"role": "confirmation", "of": end[2]} if end and len(end) == 3 else {}
        suggested = {"params": {}, "seeds": [0], "config_hash": trial, **role}
        events += [
            TrialEvent(EventKind.SUGGESTED, trial, suggested),
            TrialEvent(EventKind.STARTED, trial),
        ]
        if end:
            kind, value = end[:2]
            data = {"step": 4, "cause": ""} if value is None else {"step": 4, "value": value}
            if value is not None:
                data["values"] = {"0": value}
            events.append(TrialEvent(kind, trial, data))
    return events


FINISHED, PRUNED, FAILED = EventKind.FINISHED, EventKind.PRUNED, EventKind.FAILED
FIVE = {
    "t0000": (FINISHED, 0.5),
    "t0001": (FAILED, None),
    "t0002": (PRUNED, 0.9),
    "t0003": (FINISHED, 0.2),
    "t0004": None,
}


def make(results, trial, *names):
    for name in names:
        folder = results / "ray" / f"study-{trial}" / name
        (folder / "seed-0").mkdir(parents=True)
        (folder / "seed-0" / "model.safetensors").write_bytes(b"x" * SIZE)


def left(results):
    return sorted(str(path.relative_to(results / "ray")) for path in results.glob("ray/*/*"))


def size_of_one(results):
    folder = next(results.glob("ray/*/checkpoint_*"))
    return sum(path.lstat().st_size for path in folder.rglob("*"))


@pytest.fixture
def results(tmp_path):
    for trial in FIVE:
        make(tmp_path, trial, "checkpoint_00004")
    return tmp_path


def tidy(results, rows, budget, direction="max"):
    return Retention(results, "study", budget).tidy(table(**rows), direction)


def test_an_ended_trial_keeps_its_last_whole_checkpoint_and_a_running_one_all(tmp_path):
    names = (
        "checkpoint_00002",
        "checkpoint_00004",
        "checkpoint_00006.partial",
        "checkpoint_00003.damaged",
    )
    for trial in ("t0000", "t0004"):
        make(tmp_path, trial, *names)
    assert tidy(tmp_path, {"t0000": FIVE["t0000"], "t0004": None}, 10**9) == []
    kept = ["study-t0000/checkpoint_00004", *(f"study-t0004/{name}" for name in sorted(names))]
    assert left(tmp_path) == kept


@pytest.mark.parametrize(
    ("budget", "gone"),
    [
        (4, ()),
        (3, ("t0001",)),  # a failed trial's first
        (2, ("t0001", "t0002")),  # a pruned one's whatever its value
        (1, ("t0001", "t0002", "t0003")),
        (0, ("t0001", "t0002", "t0003")),  # the best one's never, nor a running one's
    ],
)
def test_the_worst_trials_checkpoints_go_first(results, budget, gone):
    assert tidy(results, FIVE, budget * size_of_one(results)) == []
    stay = [trial for trial in FIVE if trial not in gone]
    assert left(results) == [f"study-{trial}/checkpoint_00004" for trial in stay]


def test_where_less_is_better_the_largest_value_goes(results):
    tidy(results, FIVE, 0, direction="min")
    assert left(results) == ["study-t0003/checkpoint_00004", "study-t0004/checkpoint_00004"]


def test_the_confirmation_of_the_best_trial_stays_and_that_of_another_goes(tmp_path):
    rows = {
        "t0000": (FINISHED, 0.5),
        "t0001": (FINISHED, 0.4),
        "c0000": (FINISHED, 0.1, "t0000"),
        "c0001": (FINISHED, 0.9, "t0001"),
    }
    for trial in rows:
        make(tmp_path, trial, "checkpoint_00004")
    tidy(tmp_path, rows, 0)
    assert left(tmp_path) == ["study-c0000/checkpoint_00004", "study-t0000/checkpoint_00004"]


def test_trials_that_end_one_after_the_other_are_all_looked_at(results):
    retention = Retention(results, "study", 0)
    for count in range(1, 5):
        retention.tidy(table(**dict(list(FIVE.items())[:count])), "max")
    assert left(results) == ["study-t0000/checkpoint_00004", "study-t0004/checkpoint_00004"]


def test_other_files_other_names_and_links_are_left_alone(results, tmp_path):
    outside = tmp_path / "outside"
    make(outside, "x", "checkpoint_00001")
    target = outside / "ray" / "study-x"
    run = results / "ray" / "study-t0003"
    (run / "checkpoint_notes").mkdir()
    (run / "checkpoint_00007").symlink_to(target / "checkpoint_00001")
    (results / "ray" / "study-t0001" / "checkpoint_00004").rename(run / "checkpoint_00001")
    (results / "ray" / "study-t0001").rmdir()
    (results / "ray" / "study-t0001").symlink_to(target)
    assert tidy(results, FIVE, 0) == []
    assert (target / "checkpoint_00001" / "seed-0" / "model.safetensors").exists()
    assert sorted(path.name for path in run.iterdir()) == ["checkpoint_00007", "checkpoint_notes"]


def test_what_cannot_be_removed_is_an_incident_and_is_tried_once(results, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("conspo_study.results.retention.rmtree", refuse)
    retention = Retention(results, "study", 3 * size_of_one(results))
    ((trial, incident),) = retention.tidy(table(**FIVE), "max")
    assert trial == "t0001"
    assert incident.type is IncidentType.CHECKPOINT_KEPT
    assert incident.detail == "study-t0001/checkpoint_00004: Permission denied"
    assert retention.tidy(table(**FIVE), "max") == []


def test_an_anchor_s_checkpoint_stays_whatever_its_value(results):
    suggested = {"params": {}, "seeds": [0], "config_hash": "t0003", "label": "an anchor"}
    others = happened(**{trial: end for trial, end in FIVE.items() if trial != "t0003"})
    anchor = [
        TrialEvent(EventKind.SUGGESTED, "t0003", suggested),
        *happened(t0003=FIVE["t0003"])[1:],
    ]
    Retention(results, "study", 0).tidy(table_of(others + anchor), "max")
    assert left(results) == [f"study-t000{n}/checkpoint_00004" for n in (0, 3, 4)]


def log_of(results, **ends):
    log = ResultsLog(results / "log.jsonl")
    for event in happened(**ends):
        log.append(event)
    return log


def until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_room_is_made_beside_a_running_study_when_a_trial_ends(results, monkeypatch):
    monkeypatch.setattr("conspo_study.results.retention.LOOK_S", 0.02)
    monkeypatch.setenv(BUDGET, "0")
    study = definition(name="study")
    with (
        log_of(results, t0000=FIVE["t0000"], t0001=None) as log,
        making_room(study.name, study.direction, results, log, pytest.fail),
    ):
        time.sleep(0.1)
        assert left(results) == [f"study-t000{n}/checkpoint_00004" for n in range(5)]
        for event in happened(t0001=FIVE["t0001"])[2:]:
            log.append(event)
        until(lambda: "study-t0001/checkpoint_00004" not in left(results))
    # The last to end, just before the study does, is looked at too.
    with (
        ResultsLog(results / "log.jsonl") as log,
        making_room(study.name, study.direction, results, log, pytest.fail),
    ):
        for event in happened(t0003=FIVE["t0003"]):
            log.append(event)
    assert left(results) == [f"study-t000{n}/checkpoint_00004" for n in (0, 2, 4)]


def test_what_cannot_be_removed_is_in_the_log_under_its_trial(results, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("conspo_study.results.retention.rmtree", refuse)
    monkeypatch.setenv(BUDGET, "0")
    study = definition(name="study")
    with (
        log_of(results, **FIVE) as log,
        making_room(study.name, study.direction, results, log, pytest.fail),
    ):
        pass
    (row,) = [row for row in build_table(read_log(log.path)).rows if row.id == "t0001"]
    assert dict(row.incidents) == {"checkpoint_kept": 1}
    assert row.state is TrialState.FAILED


def test_a_failure_of_the_tidying_is_told_and_ends_no_study(results, monkeypatch):
    def fail(self, table, direction):
        raise RuntimeError("a stale handle")

    monkeypatch.setattr(Retention, "tidy", fail)
    said = []
    with log_of(results, **FIVE) as log, making_room("study", "max", results, log, said.append):
        until(lambda: said)
        log.append(TrialEvent(EventKind.STARTED, "t0004"))
    assert said == ["checkpoints of ended trials are no longer removed: a stale handle"]


def test_a_removal_that_is_cut_off_leaves_no_checkpoint_that_looks_whole(results, monkeypatch):
    def killed(path):
        (path / "seed-0" / "model.safetensors").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("conspo_study.results.retention.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            tidy(results, FIVE, 0)
    assert "study-t0001/checkpoint_00004.partial" in left(results)
    tidy(results, FIVE, 10**9)
    assert not list(results.glob("ray/*/*.partial"))


def test_the_budget_is_a_share_of_the_disk_unless_the_environment_sets_it(monkeypatch, tmp_path):
    monkeypatch.delenv(BUDGET, raising=False)
    usage = SimpleNamespace(free=10_000)
    monkeypatch.setattr("conspo_study.results.retention.disk_usage", lambda path: usage)
    assert budget_bytes(tmp_path / "not" / "yet") == 5_000
    make(tmp_path, "t0000", "checkpoint_00004")
    assert budget_bytes(tmp_path) == (10_000 + size_of_one(tmp_path)) // 2, "held is not lost"
    monkeypatch.setenv(BUDGET, "0.5")
    assert budget_bytes(tmp_path) == 2**29
    for nonsense in ("much", "-1", "nan", "inf"):
        monkeypatch.setenv(BUDGET, nonsense)
        with pytest.raises(StudyError, match=BUDGET):
            budget_bytes(tmp_path)
