"""Lines of format 1 stay readable, and a log that began with them goes on in format 2."""

import json
import shutil
import zlib
from pathlib import Path

import pytest

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.lines import decode_line, encode_line
from conspo_study.results.log import LogDamaged, ResultsLog, read_log
from conspo_study.results.repair import repair_log

FORMAT_1 = Path(__file__).parents[1] / "assets" / "results_v2" / "log.jsonl"
TRIALS = ("u0000", "u0001", "u0002")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A log of 40 lines of format 1 and 3 of format 2."""
    path = Path(shutil.copy(FORMAT_1, tmp_path / "log.jsonl"))
    with ResultsLog(path) as log:
        assert log.notices == []
        for trial in TRIALS:
            log.append(TrialEvent(EventKind.SUGGESTED, trial))
    return path


def test_a_log_goes_on_in_format_2_and_its_beginning_stays_as_it_is(mixed: Path) -> None:
    whole = mixed.read_bytes()
    assert whole.startswith(FORMAT_1.read_bytes())
    lines = whole.splitlines()
    assert [b'"crc":"' in line for line in lines] == [True] * 40 + [False] * 3
    events = read_log(mixed)
    assert events[:40] == read_log(FORMAT_1)
    assert [entry.event.trial for entry in events[40:]] == list(TRIALS)
    assert [entry.seq for entry in events] == list(range(1, 44))


@pytest.mark.parametrize("place", range(20))
def test_a_flipped_byte_is_found_in_either_format(mixed: Path, place: int) -> None:
    lines = mixed.read_bytes().splitlines(keepends=True)
    for number in (39, 40, 41, 43):
        bad = bytearray(lines[number - 1])
        bad[-2 - place * (len(bad) - 2) // 20] ^= 1
        mixed.write_bytes(b"".join([*lines[: number - 1], bytes(bad), *lines[number:]]))
        with pytest.raises(LogDamaged, match=f"line {number} is damaged"):
            read_log(mixed)
        repair = repair_log(mixed)
        assert (repair.kept, repair.line) == (number - 1, number)


@pytest.mark.parametrize("first", [38, 39, 40, 41])
def test_lines_that_ran_together_are_told_apart_in_either_format(mixed: Path, first: int) -> None:
    lines = mixed.read_bytes().splitlines(keepends=True)
    whole = b"".join(lines)
    mixed.write_bytes(b"".join([*lines[:first], lines[first][:-1], *lines[first + 1 :]]))
    with pytest.raises(LogDamaged, match=f"line {first + 1} is damaged: two lines run into"):
        read_log(mixed)
    repair = repair_log(mixed)
    assert repair.copy is not None and repair.copy.read_bytes() == whole


def test_both_formats_may_end_without_a_newline(mixed: Path) -> None:
    for end in (40, 43):
        lines = mixed.read_bytes().splitlines(keepends=True)[:end]
        path = mixed.with_name("cut.jsonl")
        path.write_bytes(b"".join(lines)[:-1])
        assert len(read_log(path)) == end
        path.write_bytes(b"".join(lines)[:-2])
        assert len(read_log(path)) == end - 1


SAME_VALUE = {
    "a doubled key": lambda line: line.replace(b'"data":{', b'"data":{"step":1,', 1),
    "another number of the same value": lambda line: line.replace(b'"step":5', b'"step":5.0'),
    "blanks": lambda line: line.replace(b'"step":5', b'"step": 5'),
    "an escape": lambda line: line.replace(b'"trial"', b'"tria\\u006c"'),
}


@pytest.mark.parametrize("edit", SAME_VALUE.values(), ids=SAME_VALUE.keys())
@pytest.mark.parametrize("version", [1, 2])
def test_what_parses_to_the_same_value_is_refused_all_the_same(version, edit) -> None:
    line, _ = encode_line(
        1, "2026-01-01T00:00:00Z", TrialEvent(EventKind.REPORTED, "t0", {"step": 5})
    )
    line = line[:-1]
    if version == 1:
        record = json.loads(line)
        del record["crc32"]
        canonical = json.dumps(record, sort_keys=True, separators=(",", ":")).encode()
        record["crc"] = f"{zlib.crc32(canonical):08x}"
        line = json.dumps(record, separators=(",", ":")).encode()
    assert decode_line(line).event.data == {"step": 5}
    with pytest.raises(ValueError, match="checksum"):
        decode_line(edit(line))


@pytest.mark.parametrize("body", [b"[1]", b"1", b'{"a":NaN}', b'{"seq":1,"time":"x"}', b"{" * 5000])
def test_a_right_checksum_alone_makes_no_line(body: bytes) -> None:
    inner = body.removesuffix(b"}")
    with pytest.raises((ValueError, RecursionError)):
        decode_line(inner + b',"crc32":"%08x"}' % zlib.crc32(inner))


def test_keys_that_are_one_key_in_json_are_written_once() -> None:
    line, logged = encode_line(
        1, "2026-01-01T00:00:00Z", TrialEvent(EventKind.REPORTED, "t0", {1: "a", "1": "b"})
    )
    assert line.count(b'"1":') == 1 and logged.event.data == {"1": "b"}
