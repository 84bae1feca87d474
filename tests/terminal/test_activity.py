"""What a trial does is told from its files, between two reports too."""

import os

import pytest
from growing_study import GrowingStudy
from study_fixtures import definition

from conspo_study.cluster.trial_spec import TrialSpec
from conspo_study.results.table import TrialRow
from conspo_study.terminal.activity import Activities


@pytest.fixture
def study(tmp_path):
    growing = GrowingStudy(tmp_path)
    growing.start("t0000")
    yield growing
    growing.log.close()


def doing(study):
    table = study.log.table
    activity = Activities(study.folder, definition(name="growing"))(table.row("t0000"))
    return activity.doing, activity.step


def begin_worker(study):
    place = study.folder / "ray" / "growing-t0000"
    place.mkdir(parents=True, exist_ok=True)
    (place / "worker-0.json").write_text("{}")


def test_the_workers_are_looked_for_where_they_are_enlisted(study):
    results = str(study.folder)
    spec = TrialSpec("growing", "t0000", {}, (0, 1), "reward", "max", {}, results)
    assert spec.run_folder == study.folder / "ray" / "growing-t0000"


def test_from_the_start_to_the_last_evaluation(study):
    assert doing(study) == ("starting", 0)
    begin_worker(study)
    assert doing(study) == ("evaluating", 0), "before the first step the untrained policy is"
    study.report("t0000", 0, 0.1)
    assert doing(study) == ("training", 0)
    study.train("t0000", 1)
    assert doing(study) == ("training", 1), "without a report"
    study.train("t0000", 2)
    assert doing(study) == ("evaluating", 2)
    study.report("t0000", 2, 0.1)
    assert doing(study) == ("training", 2)
    study.train("t0000", 3)
    study.train("t0000", 4)
    assert doing(study) == ("evaluating", 4)


def test_workers_that_are_started_again_are_starting(study):
    begin_worker(study)
    study.report("t0000", 0, 0.1)
    study.train("t0000", 1)
    (study.folder / "ray" / "growing-t0000" / "worker-0.json").unlink()
    assert doing(study)[0] == "starting"


def test_how_long_it_has_been_evaluating(study):
    begin_worker(study)
    worker = study.folder / "ray" / "growing-t0000" / "worker-0.json"
    began = worker.stat().st_mtime - 60
    os.utime(worker, (began, began))
    row = study.log.table.row("t0000")
    seconds = Activities(study.folder, definition(name="growing"))(row).seconds
    assert 60 <= seconds < 600


def test_rows_that_cannot_be_read_are_no_trouble(study):
    begin_worker(study)
    path = study.folder / "trials" / "t0000" / "steps.jsonl"
    path.write_bytes(b"\xff\xfe\n")
    assert doing(study) == ("starting", 0)
    path.write_bytes(b'{"seed": 0, "step": 1, "rew')
    assert doing(study)[1] == 0
    study.report("t0000", 3, 0.1)
    path.write_text('{"no": "step"}\n')
    assert doing(study) == ("training", 3)


def test_a_trial_without_files_is_starting(tmp_path):
    asked = Activities(tmp_path, definition())
    assert asked(TrialRow("t0000")).doing == "starting"
