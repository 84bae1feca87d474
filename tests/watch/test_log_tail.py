"""The log as it grows, and as it should not be."""

import json
import shutil

import pytest

from conspo_study.records import EventKind, TrialEvent, TrialState
from conspo_study.results.log import ResultsLog, read_log
from conspo_study.results.repair import repair_log
from conspo_study.results.table import build_table
from conspo_study.watch.log_tail import LogTail

LONG = 60.0


@pytest.fixture
def path(study):
    return study / "log.jsonl"


def test_a_log_that_is_read_in_pieces_gives_the_table_of_the_whole(path, tmp_path):
    whole, growing = path.read_bytes(), tmp_path / "growing.jsonl"
    tail = LogTail(growing)
    tail.advance(LONG)
    assert tail.seq == 0
    for end in [*range(0, len(whole), 97), len(whole)]:
        with growing.open("ab") as file:
            file.write(whole[file.tell() : end])
        tail.advance(LONG)
        assert tail.seq == whole[:end].count(b"\n"), "a line without its end is not read"
    assert tail.builder.table == build_table(read_log(path))
    assert (tail.damage, tail.left) == ("", 0)


def test_a_short_look_reads_on_where_it_stopped(path, monkeypatch):
    monkeypatch.setattr("conspo_study.results.tail.CHUNK", 200)
    tail, looks = LogTail(path), 0
    while tail.left or not looks:
        tail.advance(0)
        looks += 1
    assert looks > 3
    assert tail.builder.table == build_table(read_log(path))


def test_a_damaged_line_ends_what_is_shown_and_a_repair_brings_the_rest(path, study):
    lines = path.read_bytes().split(b"\n")
    good = path.read_bytes()
    lines[7] = lines[7].replace(b"t00", b"t01")
    path.write_bytes(b"\n".join(lines))
    tail = LogTail(path)
    tail.advance(LONG)
    assert tail.damage.startswith("line 8 of log.jsonl is damaged: its checksum")
    assert (tail.seq, tail.left) == (7, 0), "nothing more will be read"
    assert tail.builder.table.rows[0].state is TrialState.RUNNING
    epoch = tail.epoch
    tail.advance(LONG)
    assert (tail.epoch, tail.seq) == (epoch, 7)
    repaired = repair_log(path).copy
    shutil.move(repaired, path)
    tail.advance(LONG)
    assert (tail.damage, tail.seq) == ("", 7) and tail.epoch > epoch
    path.write_bytes(good)
    tail.advance(LONG)
    assert tail.builder.table == build_table(read_log(path))


def test_a_log_that_was_replaced_is_begun_anew(path):
    tail = LogTail(path)
    tail.advance(LONG)
    epoch, seq = tail.epoch, tail.seq
    path.unlink()
    tail.advance(LONG)
    assert (tail.seq, tail.builder.table.rows) == (0, ())
    with ResultsLog(path) as log:
        log.append(TrialEvent(EventKind.STUDY_STARTED, data={"hash": "x", "trials": 1}))
    tail.advance(LONG)
    assert tail.seq == 1 < seq and tail.epoch > epoch


def test_events_that_contradict_each_other_are_damage(path):
    first = json.loads(path.read_bytes().split(b"\n")[0])
    assert first["seq"] == 1
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], *lines[4:]]))
    tail = LogTail(path)
    tail.advance(LONG)
    assert "line 4" in tail.damage and "missing or doubled" in tail.damage


def test_the_time_that_is_left_is_that_of_status(path, study):
    from conspo_study.terminal.status import _seconds_left

    tail, events = LogTail(path), read_log(path)
    tail.advance(LONG)
    for row in tail.builder.table.rows:
        assert tail.seconds_left(row) == _seconds_left(row, events)
