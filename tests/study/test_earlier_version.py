"""A study that version 0.1.0 began, and whose driver was killed, is read and goes on."""

import json
import shutil
from pathlib import Path

import pytest

from analysis.load.study import load_study
from conspo_study.data.check import StudyData
from conspo_study.records import EventKind, StudyError, TrialEvent, TrialState
from conspo_study.results.folder import read_definition, read_events, read_table
from conspo_study.results.lease import Lease, LogLocked, read_lease
from conspo_study.results.log import ResultsLog
from conspo_study.study import Study
from conspo_study.study.claim import claim
from conspo_study.terminal.status import study_status
from conspo_study.watch.study_view import StudyView

FROZEN = Path(__file__).parents[1] / "assets" / "interrupted_0_1_0"
LEFT_OUT = "t0001 lacks"
"""Rows that the frozen copy does not have, to be small."""


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(FROZEN, tmp_path / "quick_killed"))


def resumed(folder, allow_changes):
    """The claim of a study that goes on there."""
    study, data = Study.of_folder(folder), StudyData(read_definition(folder)["data"])
    return claim(folder, study, data, read_table(folder), resume=True, allow_changes=allow_changes)


def test_it_goes_on_where_the_change_of_the_reward_is_accepted(folder):
    claimed = resumed(folder, allow_changes=True)
    setting, code = claimed.changes
    assert setting == "base.reward.after: absent there, '</think>' here"
    assert code.startswith("code: git 07d175b")
    assert not claimed.done
    assert read_definition(folder)["code"]["hash"] == "46823a0964bb"
    states = {row.id: row.state for row in claimed.table.rows}
    assert [states[f"t000{n}"] for n in (0, 1)] == [TrialState.FINISHED] * 2
    assert states["t0002"] is TrialState.RUNNING


def test_code_that_0_1_0_did_not_have_is_a_change(folder):
    path = folder / "study.json"
    stored = json.loads(path.read_text())
    stored["code"]["files"]["seeds.py"] = "000000000000"
    path.write_text(json.dumps(stored))
    with pytest.raises(StudyError, match=r"code: git 07d175b\w+ there, .* \(\d+ files differ"):
        resumed(folder, allow_changes=False)


def test_its_log_goes_on_in_the_format_of_this_version(folder):
    before = (folder / "log.jsonl").read_bytes()
    content = read_events(folder)
    (folder / "driver.json").unlink()
    with ResultsLog(folder / "log.jsonl", Lease(folder / "driver.json"), content) as log:
        assert log.notices == []
        log.append(TrialEvent(EventKind.STARTED, "t0002"))
    assert (folder / "log.jsonl").read_bytes().startswith(before + b'{"seq":22,')
    assert read_events(folder).events == log.events and len(log.events) == 22


def test_its_lease_is_understood(folder):
    holder = read_lease(folder / "driver.json")
    assert (holder.pid, holder.heartbeat, holder.here) == (18362, 11, False)
    lease = Lease(folder / "driver.json", wait=lambda seconds: None)
    with pytest.raises(LogLocked, match=r"process 18362 on host elsewhere, .* no sign.*--takeover"):
        lease.acquire()
    lease = Lease(folder / "driver.json", takeover=True, wait=lambda seconds: None)
    lease.acquire()
    lease.release()


def test_an_attention_that_no_model_loads_with_is_read_and_not_gone_on_with(folder):
    path = folder / "study.json"
    path.write_text(
        path.read_text().replace('"attention": "sdpa"', '"attention": "flash_attention_2"')
    )
    assert "flash_attention_2" in path.read_text()
    test_status_analysis_and_page_read_it(folder)
    with pytest.raises(StudyError, match=r"set policy\.attention=sdpa"):
        Study.of_folder(folder)


def test_status_analysis_and_page_read_it(folder):
    status = study_status(folder, wait=lambda seconds: None)
    assert (status.driver.state, status.trials, status.counts["finished"]) == ("silent", 12, 2)
    assert status.best.trial == "t0000" and status.best.value == 0.1875
    assert all(line.startswith(LEFT_OUT) for line in status.missing)
    study = load_study(folder)
    assert study.best.id == "t0000" and len(study.steps_of(["t0000"])) == 8
    assert set(study.evaluations_of(["t0000"]).step) == {0, 2, 4}
    page = StudyView(folder).study(0, 0)
    assert (page["problem"], page["damage"], page["seq"], page["best"]) == ("", "", 21, "t0000")
