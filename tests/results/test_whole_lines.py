"""A log as its writer left it is read line by line, and gives what reading all of it gives."""

import io
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import pytest

from conspo_study.records import EventKind, TrialEvent, TrialState
from conspo_study.results import content, whole_lines
from conspo_study.results.content import content_as_written, read_content
from conspo_study.results.lines import decode_lines
from conspo_study.results.log import ResultsLog, read_log
from conspo_study.results.table import build_table
from conspo_study.results.trial_row import TrialRow, changed
from conspo_study.results.whole_lines import StoredReport

ASSETS = Path(__file__).parents[1] / "assets"
LOGS = [ASSETS / name / "log.jsonl" for name in ("results_v1", "results_v2")]


@pytest.mark.parametrize("size", [1 << 20, 1000, 7])
@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.parent.name)
def test_lines_read_one_by_one_are_those_of_the_whole(path, size, monkeypatch) -> None:
    monkeypatch.setattr(whole_lines, "CHUNK", size)
    events = decode_lines(path.read_bytes(), path)
    with path.open("rb") as file:
        found = content_as_written(file)
    assert found is not None and found.events == events and len(events) > 20
    assert found.builder.table == build_table(events)


def test_reports_are_kept_as_text_and_parsed_when_asked(write: Callable[[], Path]) -> None:
    events = read_log(write())
    kept = [logged.event for logged in events if isinstance(logged.event, StoredReport)]
    assert [event.kind for event in kept] == [EventKind.REPORTED]
    plain = TrialEvent(EventKind.REPORTED, "t0000", {**kept[0].data})
    assert kept[0] == plain and plain == kept[0] and kept[0].data["step"] == 5
    assert kept[0] != TrialEvent(EventKind.REPORTED, "t0000", {"step": 6})
    assert kept[0].data is not kept[0].data, "nobody can change what is kept"


def test_a_driver_keeps_its_own_reports_as_text(tmp_path: Path) -> None:
    with ResultsLog(tmp_path / "log.jsonl") as log:
        log.append(TrialEvent(EventKind.SUGGESTED, "t1"))
        log.append(TrialEvent(EventKind.REPORTED, "t1", {"step": 3}))
        assert isinstance(log.events[-1].event, StoredReport)
        assert log.events[-1].event.data == {"step": 3}


UNLIKE = {
    "torn": lambda whole: whole[:-20],
    "no last newline": lambda whole: whole[:-1],
    "line ends": lambda whole: whole.replace(b"\n", b"\r\n"),
    "a blank": lambda whole: whole.replace(b"\n", b" \n", 1),
    "an empty line": lambda whole: whole + b"\n",
    "a mark": lambda whole: b"\xef\xbb\xbf" + whole,
    "zeros": lambda whole: whole + b"\0" * 9,
    "a flipped byte": lambda whole: whole.replace(b"reward", b"reword"),
    "a line doubled": lambda whole: whole + whole.splitlines(keepends=True)[-1],
    "a line too long": lambda whole: whole + b"x" * (17 << 20),
}


@pytest.mark.parametrize("edit", UNLIKE.values(), ids=UNLIKE.keys())
def test_whatever_its_writer_did_not_write_is_left_to_the_reader_of_the_whole(
    write: Callable[[], Path], edit: Callable[[bytes], bytes]
) -> None:
    whole = write().read_bytes()
    assert content_as_written(io.BytesIO(whole)) is not None
    assert content_as_written(io.BytesIO(edit(whole))) is None


def test_a_log_that_is_as_written_is_read_once(write: Callable[[], Path], monkeypatch) -> None:
    path = write()
    monkeypatch.setattr(content, "whole_content", None)
    before = read_content(path)
    assert before.stamp is not None and len(before.events) == 5
    with ResultsLog(path, content=before) as log:
        assert log.events is before.events, "and not again when it is opened to write"


def test_a_changed_row_is_that_of_dataclasses() -> None:
    row = TrialRow("t0", params={"objective.tau": 0.1}, seeds=(1, 2), steps=7)
    new = {"state": TrialState.RUNNING, "values": {1: 0.5}, "cause": "x"}
    made = changed(row, **new)
    assert made == replace(row, **new) != row
    assert all(getattr(made, f.name) == getattr(replace(row, **new), f.name) for f in fields(row))
    with pytest.raises(KeyError):
        changed(row, stat=1)
