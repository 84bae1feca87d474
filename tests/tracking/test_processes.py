"""Trackers beside a study, with packages that record, fail or hang in place of the real ones."""

import json
import os
import time

import pytest
from growing_study import WHOLE
from study_fixtures import TAU, definition

from conspo_study.commands.command_line import main
from conspo_study.records import EventKind, StudyError, TrialEvent
from conspo_study.study import Study
from conspo_study.tracking.known import parse_trackers
from conspo_study.tracking.processes import tracking

TRACKIO = """
import json, os, time

class AlertLevel:
    ERROR = 0

class Api:
    def runs(self, project):
        return []

class init:
    def __init__(self, name, **settings):
        self.name, self.points = name, []

    def log(self, metrics, step):
        {on_log}
        self.points.append((step, metrics))

    def alert(self, *arguments, **settings):
        pass

    def finish(self):
        with open(os.path.join(os.environ["RECORD"], self.name), "x") as file:
            json.dump(self.points, file)
"""
WANDB = "raise RuntimeError('the server is on fire')\n"


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Makes packages of those names that the trackers' processes import, and a place to record."""
    record = tmp_path / "record"
    record.mkdir()
    monkeypatch.setenv("RECORD", str(record))
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, text):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)

    return make


def tell(told):
    return lambda what, command: told.append((what, command))


def recorded(tmp_path, name):
    return [
        (step, metrics) for step, metrics in json.loads((tmp_path / "record" / name).read_text())
    ]


def test_one_that_fails_is_told_once_and_the_other_has_everything(study, packages, tmp_path):
    packages("trackio", TRACKIO.format(on_log="pass"))
    packages("wandb", WANDB)
    told = []
    with tracking(study.folder, ("wandb", "trackio"), tell(told), end_s=60) as trackers:
        study.whole_trial("t0000")
    assert trackers.failed == ["wandb"]
    assert len(told) == 1
    what, command = told[0]
    assert what.startswith("tracking to wandb failed: RuntimeError: the server is on fire. ")
    assert command == f"conspo track {study.folder} --to wandb"
    assert recorded(tmp_path, "t0000-seed0") == WHOLE


def test_one_that_hangs_is_given_up_and_holds_nobody_up_for_long(study, packages):
    packages("trackio", TRACKIO.format(on_log="time.sleep(600)"))
    study.whole_trial("t0000")
    told = []
    began = time.monotonic()
    with tracking(study.folder, ("trackio",), tell(told), end_s=3.0) as trackers:
        pass
    assert 3.0 <= time.monotonic() - began < 60
    assert trackers.failed == ["trackio"]
    assert len(told) == 1 and "not done within 3 s" in told[0][0]
    assert trackers.all_ended


def test_what_cannot_even_start_is_told_and_nothing_else(study, monkeypatch):
    monkeypatch.setattr("conspo_study.tracking.processes.sys.executable", "/no/such/python")
    told = []
    with tracking(study.folder, ("wandb",), tell(told)) as trackers:
        pass
    assert trackers.failed == ["wandb"] and len(told) == 1 and "/no/such/python" in told[0][0]


def test_names_are_checked_before_anything_is_done(packages, tmp_path, monkeypatch):
    packages("trackio", TRACKIO)
    (tmp_path / "wandb").mkdir()  # what W&B leaves in a working directory, and no package
    monkeypatch.setattr("conspo_study.extras.find_spec", _only_from(tmp_path))
    assert parse_trackers("trackio, trackio,") == ("trackio",)
    with pytest.raises(ValueError) as error:
        parse_trackers("wandb,neptune")
    wandb, neptune = str(error.value).splitlines()
    assert wandb.endswith("pip install 'conspo-study[wandb]'")
    assert neptune == "unknown tracker 'neptune'; known: tensorboard, wandb, trackio"
    monkeypatch.setenv("TRACKIO_SPACE_ID", "somebody/space")
    with pytest.raises(ValueError, match="TRACKIO_SPACE_ID is set: unset it"):
        parse_trackers("trackio")


def _only_from(folder):
    from importlib.machinery import PathFinder

    return lambda name: PathFinder.find_spec(name, [str(folder)])


def test_a_study_with_a_missing_tracker_is_refused_before_it_leaves_anything(tmp_path, monkeypatch):
    monkeypatch.setattr("conspo_study.extras.find_spec", lambda name: None)
    with pytest.raises(StudyError, match=r"pip install 'conspo-study\[tensorboard\]'"):
        definition(Study).run(tmp_path / "results", track=("tensorboard",))
    assert not (tmp_path / "results").exists()


def test_a_study_that_is_tracked_is_the_same_study_and_is_there_to_its_end(
    packages, tmp_path, monkeypatch
):
    packages("trackio", TRACKIO.format(on_log="pass"))
    identity = {"hash": "c0de", "git": None, "files": {}}
    monkeypatch.setattr("conspo_study.study.claim.code_identity", lambda **_: identity)

    def launch(study, folder, log, plan, console, retried, expected_nodes):
        data = {"params": {TAU: 1.0}, "seeds": [0, 1]}
        log.append(TrialEvent(EventKind.SUGGESTED, "t0000", data))
        log.append(TrialEvent(EventKind.STARTED, "t0000"))
        end = {"step": 4, "values": {"0": 0.5, "1": 0.6}}
        log.append(TrialEvent(EventKind.FINISHED, "t0000", end))
        return True

    monkeypatch.setattr("conspo_study.cluster.launch.launch", launch)
    study = definition(Study, trials=2)
    outcome = study.run(tmp_path / "results", track=("trackio",))
    assert (tmp_path / "record" / "t0000-seed1").exists()
    assert json.loads((outcome.folder / "study.json").read_text())["hash"] == study.hash


def test_a_study_that_ended_is_sent_by_a_command(study, packages, tmp_path, capsys):
    packages("trackio", TRACKIO.format(on_log="pass"))
    study.whole_trial("t0000")
    assert main(["track", str(study.folder), "--to", "trackio"]) == 0
    said = capsys.readouterr().out
    assert said == "sent to trackio; look at it with: trackio show --project growing\n"
    assert recorded(tmp_path, "t0000-seed0") == WHOLE


def test_a_command_that_cannot_send_says_so_with_its_status(study, packages, capsys):
    packages("wandb", WANDB)
    assert main(["track", str(study.folder), "--to", "wandb"]) == 1
    assert "the server is on fire" in capsys.readouterr().out
    assert main(["track", str(study.folder), "--to", ","]) == 2
    assert "name a tracker: --to tensorboard, --to wandb or --to trackio" in capsys.readouterr().err
    assert main(["track", str(study.folder / "none"), "--to", "wandb"]) == 2
