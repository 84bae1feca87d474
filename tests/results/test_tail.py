"""What grows is read once; what was replaced is read again from its start."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results import tail
from conspo_study.results.log import ResultsLog, read_log
from conspo_study.results.table import build_table
from conspo_study.results.tail import LineReader, LogFollower


def test_each_complete_line_is_told_once(tmp_path: Path) -> None:
    reader = LineReader(tmp_path / "rows")
    assert list(reader.new()) == []
    reader.path.write_bytes(b"one\ntwo\nthr")
    assert (list(reader.new()), reader.left) == ([b"one", b"two"], 3)
    with reader.path.open("ab") as file:
        file.write(b"ee\n\n")
    assert (list(reader.new()), reader.left) == ([b"three", b""], 0)
    assert (list(reader.new()), reader.start) == ([], 0)


@pytest.mark.parametrize("how", ["replaced", "cut short", "removed"])
def test_a_file_that_is_another_is_begun_anew(tmp_path: Path, how: str) -> None:
    reader = LineReader(tmp_path / "rows")
    reader.path.write_bytes(b"one\ntwo\n")
    assert list(reader.new()) == [b"one", b"two"]
    if how == "replaced":
        other = tmp_path / "other"
        other.write_bytes(b"three\nfour\nfive\n")
        other.replace(reader.path)
    elif how == "cut short":
        reader.path.write_bytes(b"three\n")
    else:
        reader.path.unlink()
    expected = {"replaced": [b"three", b"four", b"five"], "cut short": [b"three"], "removed": []}
    assert (list(reader.new()), reader.start) == (expected[how], 1)


def test_a_line_that_was_not_taken_is_told_again(tmp_path: Path) -> None:
    reader = LineReader(tmp_path / "rows")
    reader.path.write_bytes(b"one\ntwo\nthree\n")
    assert next(reader.new()) == b"one"
    assert list(reader.new()) == [b"two", b"three"]


def test_a_line_longer_than_what_is_read_at_once_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tail, "CHUNK", 4)
    reader = LineReader(tmp_path / "rows")
    reader.path.write_bytes(b"a long line\nb\n")
    assert list(reader.new(seconds=0)) == [b"a long line"], "whole, though the time is over"
    assert list(reader.new(seconds=0)) == [b"b"]


def test_a_follower_ends_at_damage_until_the_log_is_restored(write: Callable[[], Path]) -> None:
    path = write()
    whole = path.read_bytes()
    events = read_log(path)
    follower = LogFollower(path)
    path.write_bytes(whole.replace(b"reward", b"reword"))
    assert list(follower.new()) == events[:3]
    assert follower.damage is not None and follower.damage.line == 4
    assert (follower.left, follower.epoch, list(follower.new())) == (0, 1, [])
    path.write_bytes(whole)
    assert list(follower.new()) == events
    assert (follower.damage, follower.epoch, follower.seq) == (None, 2, 5)
    with ResultsLog(path) as log:
        logged = log.append(TrialEvent(EventKind.STARTED, "t0000"))
        assert list(follower.new()) == [logged]
        assert follower.builder.table == build_table(log.events)
