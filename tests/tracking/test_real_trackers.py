"""What the real packages hold afterwards, read back from their files; skipped without them."""

import json
import sqlite3

import pytest
from growing_study import WHOLE
from study_fixtures import MARGIN, METRIC, SCHEDULE, TAU

from conspo_study.records import EventKind
from conspo_study.tracking.follow import follow
from conspo_study.tracking.known import make_tracker


@pytest.fixture
def two_trials(study):
    """One that finished, and one that failed with a cause that must stay text."""
    study.whole_trial("t0000", label="no margin")
    study.start("t0001")
    study.train("t0001", 1)
    study.end("t0001", EventKind.FAILED, step=1, cause="<script>alert(1)</script>")
    return study


def send(study, name):
    follow(study.folder, name, make_tracker(name, study.folder), lambda: False)


def test_tensorboard_holds_curves_hyperparameters_and_ends(two_trials):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.plugins.hparams import metadata

    def read(group, seed):
        folder = two_trials.folder / "tracking" / "tensorboard" / group / f"seed{seed}"
        events = accumulator.EventAccumulator(str(folder))
        events.Reload()
        return events

    send(two_trials, "tensorboard")
    (two_trials.folder / "tracking" / "tensorboard.json").unlink()
    send(two_trials, "tensorboard")  # again, from the start: nothing doubles
    run = read("t0000-no_margin", 0)
    curves = {
        tag: {event.step: event.value for event in run.Scalars(tag)}
        for tag in run.Tags()["scalars"]
    }
    wanted = {}
    for step, metrics in WHOLE:
        for tag, value in metrics.items():
            wanted.setdefault(tag, {})[step] = pytest.approx(value)
    assert curves == wanted
    assert all(len(run.Scalars(tag)) == len(curve) for tag, curve in wanted.items())
    plugin = run.PluginTagToContent(metadata.PLUGIN_NAME)
    start = metadata.parse_session_start_info_plugin_data(plugin[metadata.SESSION_START_INFO_TAG])
    assert start.hparams[TAU].number_value == 1.0 and start.hparams["seed"].number_value == 0
    experiment = metadata.parse_experiment_plugin_data(plugin[metadata.EXPERIMENT_TAG])
    columns = {info.name for info in experiment.hparam_infos}
    assert columns == {TAU, MARGIN, SCHEDULE, "seed"}, "all that trials of the study differ in"
    assert start.hparams.keys() == {TAU, "seed"}, "and of them what this trial has"
    failed = read("t0001", 1)
    plugin = failed.PluginTagToContent(metadata.PLUGIN_NAME)
    end = metadata.parse_session_end_info_plugin_data(plugin[metadata.SESSION_END_INFO_TAG])
    assert end.status == 2  # failure
    said = failed.Tensors("outcome")[0].tensor_proto.string_val[0].decode()
    assert said == "    failed at step 1: <script>alert(1)</script>"


def leveldb_records(content):
    """The records of a W&B file: seven bytes, then LevelDB's log format."""
    block, head = 32768, 7
    place, record = head, b""
    while place + head <= len(content):
        if block - place % block < head:
            place += block - place % block  # a header is never split
            continue
        length = int.from_bytes(content[place + 4 : place + 6], "little")
        kind = content[place + 6]
        record += content[place + head : place + head + length]
        place += head + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield record
            record = b""


@pytest.mark.slow
def test_wandb_offline_holds_the_history_of_every_run_once(two_trials, monkeypatch):
    pytest.importorskip("wandb")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_DIR", raising=False)

    def read(path):
        for data in leveldb_records(path.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            yield record

    def key(item):
        return item.key or "/".join(item.nested_key)

    send(two_trials, "wandb")
    (two_trials.folder / "tracking" / "wandb.json").unlink()
    send(two_trials, "wandb")
    folder = two_trials.folder / "tracking" / "wandb"
    files = sorted(folder.glob("offline-run-*/run-*.wandb"))
    assert len(files) == 4, "two trials of two seeds, each in one folder"
    runs = {}
    for path in files:
        records = list(read(path))
        run = next(record.run for record in records if record.HasField("run"))
        history = [
            {key(item): json.loads(item.value_json) for item in record.history.item}
            for record in records
            if record.HasField("history")
        ]
        runs[run.display_name] = run, history, records
    run, history, _ = runs["t0000-no_margin-seed0"]
    assert (run.project, run.run_group, run.job_type) == ("growing", "t0000-no_margin", "search")
    assert list(run.tags) == ["search", "no margin"]
    config = {key(item): json.loads(item.value_json) for item in run.config.update}
    assert config["seed"] == 0 and config["objective"]["tau"] == 1.0
    drawn = [(row["_step"], {k: v for k, v in row.items() if k[0] != "_"}) for row in history]
    assert drawn == WHOLE
    _, _, records = runs["t0001-seed1"]
    assert next(r.exit.exit_code for r in records if r.HasField("exit")) == 1


@pytest.mark.slow
def test_trackio_holds_every_point_once(two_trials, tmp_path):
    pytest.importorskip("trackio")
    import os
    import subprocess
    import sys

    # It reads its settings once per process.
    environment = {**os.environ, "TRACKIO_DIR": str(tmp_path / "trackio")}
    for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
        environment.pop(name, None)
    for _ in range(2):
        (two_trials.folder / "tracking" / "trackio.json").unlink(missing_ok=True)
        subprocess.run(
            [sys.executable, "-m", "conspo_study.tracking", str(two_trials.folder), "trackio"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=120,
            env=environment,
        )
    with sqlite3.connect(tmp_path / "trackio" / "growing.db") as base:
        rows = base.execute(
            "SELECT step, metrics FROM metrics WHERE run_name = ? ORDER BY step",
            ("t0000-no_margin-seed0",),
        ).fetchall()
        config = base.execute(
            "SELECT config FROM configs WHERE run_name = ?", ("t0000-no_margin-seed1",)
        ).fetchall()
        alerts = base.execute("SELECT DISTINCT title, text, level FROM alerts").fetchall()
    assert [(step, json.loads(metrics)) for step, metrics in rows] == WHOLE
    assert len(config) == 1 and json.loads(config[0][0])["objective.tau"] == 1.0
    failed = ("failed", "failed at step 1: <script>alert(1)</script>", "error")
    assert alerts == [failed], "a finished trial alerts nobody"
    assert METRIC in json.loads(rows[0][1])
