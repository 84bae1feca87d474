"""The log is read once when a study starts, and once at its end, by the report."""

import shutil
from collections import Counter
from pathlib import Path

import pytest

from analysis.load.study import load_study
from conspo_study.commands.carry_out import carry_out
from conspo_study.data.check import StudyData
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results import glance, whole_lines
from conspo_study.results.folder import read_definition
from conspo_study.results.log import ResultsLog
from conspo_study.study import Study
from conspo_study.study import study as study_module
from conspo_study.study.preflight import Preflight
from conspo_study.terminal.console import Console
from conspo_study.terminal.status import study_status

FROZEN = Path(__file__).parents[1] / "assets" / "interrupted_0_1_0"


@pytest.fixture
def folder(tmp_path):
    copy = Path(shutil.copytree(FROZEN, tmp_path / "quick_killed"))
    (copy / "driver.json").unlink()
    return copy


@pytest.fixture
def readings(monkeypatch):
    """How often a log was read."""
    counted, numbered_lines = Counter(), whole_lines.numbered_lines

    def counting(file):
        counted["log"] += 1
        return numbered_lines(file)

    for module in (whole_lines, glance):
        monkeypatch.setattr(module, "numbered_lines", counting)
    return counted


@pytest.fixture
def started(folder, monkeypatch):
    """Starts the study, whose trials and preparations are made up; returns how often a plan was
    made, own code tried and a search begun."""
    done = Counter()
    make_plan = study_module.make_plan

    def planning(*args, **options):
        done["plan"] += 1
        return make_plan(*args, **options)

    def looking(study, plan, *, fetch, try_code):
        done["trial calls"] += try_code
        return Preflight(data=StudyData(read_definition(folder)["data"]))

    def launching(study, where, log, plan, console, retried, expected_nodes):
        done["launch"] += 1
        return True

    monkeypatch.setattr(study_module, "make_plan", planning)
    monkeypatch.setattr(study_module, "preflight", looking)
    monkeypatch.setattr("conspo_study.cluster.launch.launch", launching)

    def run(**options):
        console = Console(quiet=True)
        study, options = Study.of_folder(folder), {"allow_changes": True, **options}
        report = lambda where: load_study(where)  # noqa: E731
        carry_out(lambda: study.run_in(folder, console=console, **options), report, console)
        return done

    return run


def test_a_start_reads_the_log_once_and_the_report_once_more(started, readings):
    assert started(resume=True) == {"plan": 1, "trial calls": 1, "launch": 1}
    assert readings["log"] == 2


def test_a_finished_study_is_read_once_and_its_own_code_is_not_run(folder, started, readings):
    with ResultsLog(folder / "log.jsonl") as log:
        log.append(TrialEvent(EventKind.STUDY_FINISHED))
    readings.clear()
    assert started() == {"plan": 1, "trial calls": 0}
    assert readings["log"] == 2


def test_a_log_that_was_changed_between_reading_and_locking_is_read_again(
    folder, started, readings, monkeypatch
):
    make_folder = study_module.make_folder

    def changing(*args):
        make_folder(*args)
        with ResultsLog(folder / "log.jsonl") as log:
            log.append(TrialEvent(EventKind.STARTED, "t0002"))
        readings.clear()

    monkeypatch.setattr(study_module, "make_folder", changing)
    started(resume=True)
    assert readings["log"] == 2
    lines = (folder / "log.jsonl").read_bytes().splitlines()
    assert len(lines) == 24, "one of another driver, a start and an end"


def test_a_status_reads_the_log_once(folder, readings):
    study_status(folder)
    assert readings["log"] == 1
