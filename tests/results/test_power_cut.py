"""Zeros that a power cut leaves at the end of a log are a torn line; elsewhere they are damage."""

from collections.abc import Callable
from pathlib import Path

import pytest

from conspo_study.records import TrialEvent
from conspo_study.results.lines import decode_lines, split_torn
from conspo_study.results.log import LogDamaged, ResultsLog, read_log
from conspo_study.results.tail import LogFollower

Write = Callable[[], Path]


def zeroed(content: bytes, begin: int, end: int) -> bytes:
    return content[:begin] + bytes(end - begin) + content[end:]


@pytest.mark.parametrize("keeps", [0, 1, 20])
def test_a_last_line_zeroed_by_a_power_cut_is_torn(
    write: Write, events: tuple[TrialEvent, ...], keeps: int
) -> None:
    """keeps: bytes at the line's end that had reached the disk."""
    path = write()
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    for begin in (start, start + 1, start + 50):
        content = zeroed(whole, begin, len(whole) - keeps)
        path.write_bytes(content)
        assert len(read_log(path)) == len(events) - 1
        assert [entry.event for entry in LogFollower(path).new()] == list(events[:-1])
        assert path.read_bytes() == content, "a reader must not write"
        with ResultsLog(path) as log:
            (notice,) = log.notices
            assert "holds zeros, as after a power cut" in notice
            log.append(events[-1])
        aside = path.with_name("log.jsonl.torn-1")
        assert [entry.event for entry in read_log(path)] == list(events)
        assert aside.read_bytes() == content[start:]
        aside.unlink()


@pytest.mark.parametrize("size", [1, 512, 4096])
def test_a_block_of_zeros_after_whole_lines_is_cut_off(
    write: Write, events: tuple[TrialEvent, ...], size: int
) -> None:
    path = write()
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(size))
    assert len(read_log(path)) == len(events)
    with ResultsLog(path) as log:
        assert f"{size} bytes" in log.notices[0] and "zeros" in log.notices[0]
    assert path.read_bytes() == whole


def test_a_follower_goes_on_where_the_driver_has_cut_zeros_off(
    write: Write, events: tuple[TrialEvent, ...]
) -> None:
    path = write()
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    path.write_bytes(zeroed(whole, start, len(whole) - 1))
    follower = LogFollower(path)
    assert len(list(follower.new())) == len(events) - 1
    with ResultsLog(path) as log:
        log.append(events[-1])
    list(follower.new())
    assert follower.seq == len(events) and follower.damage is None


def test_a_follower_calls_zeros_damage_once_something_follows_them(write: Write) -> None:
    path = write()
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    follower = LogFollower(path)
    path.write_bytes(zeroed(whole, start, len(whole) - 1))
    list(follower.new())
    with path.open("ab") as file:
        file.write(whole[start:])
    list(follower.new())
    assert follower.damage is not None and follower.damage.line == len(whole.splitlines())


def test_no_zeros_cost_an_intact_line_in_silence(write: Write) -> None:
    """Zeros from anywhere to anywhere, and the end of the file anywhere after them."""
    path = write()
    whole = path.read_bytes()
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    cases = 0
    for begin in range(0, len(whole), 2):
        stops = {begin + 1, begin + 7, begin + 64, *ends, *(end - 1 for end in ends)}
        for stop in (stop for stop in stops if begin < stop <= len(whole)):
            for size in {stop, *(end for end in ends if end > stop), len(whole) - 3}:
                if size < stop:
                    continue
                cases += 1
                content = zeroed(whole, begin, stop)[:size]
                before = sum(end <= begin for end in ends)
                after = sum(stop < end <= size for end in ends)
                inside = sum(begin < end <= size for end in ends)
                try:
                    found = len(decode_lines(split_torn(content)[0], path))
                except LogDamaged as damage:
                    assert damage.line == before + 1
                    assert inside, "only what was ended can be damaged"
                    continue
                # Not called damaged: then no line that is whole, or was ended, follows the zeros
                # but for the last, of which they are a part.
                assert found == before, (begin, stop, size)
                assert after <= 1, (begin, stop, size)
    assert cases > 3000
