"""The table that is shown is the table of the whole log, though not all of it is parsed."""

import random
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results import glance
from conspo_study.results.content import read_content
from conspo_study.results.glance import glance_at
from conspo_study.results.lines import LogDamaged, encode_line
from conspo_study.results.log import read_log
from conspo_study.results.table import build_table

ASSETS = Path(__file__).parents[1] / "assets"
TIME = "2026-01-01T00:00:00.000Z"
TRIALS = ("t0", "t1", "t2")


@pytest.mark.parametrize("name", ["results_v1", "results_v2", "interrupted_0_1_0"])
def test_logs_of_earlier_versions_give_the_table_of_the_whole(name: str) -> None:
    path = ASSETS / name / "log.jsonl"
    found = glance_at(path)
    assert found.events == read_log(path)
    assert found.builder.table == build_table(found.events) and found.builder.table.rows


def _random_event(rng: random.Random) -> TrialEvent:
    trial = rng.choice(TRIALS)
    kind = rng.choice([EventKind.REPORTED] * 6 + [k for k in EventKind if "study" not in k])
    seeds = {str(seed): {"eval/a": rng.random(), "n": rng.randrange(9)} for seed in (0, 1)}
    values = {"0": rng.random(), "1": rng.random()}
    data = {
        EventKind.SUGGESTED: {"seeds": [0, 1]},
        EventKind.REPORTED: {"step": rng.randrange(4), "steps": 9, "seeds": seeds},
        EventKind.INCIDENT: {"type": "worker_restarted"},
        EventKind.STARTED: {},
        EventKind.FAILED: {"cause": "x"},
    }.get(kind, {"step": rng.randrange(9), "values": values, "wall_s": 1.0})
    if kind is EventKind.REPORTED and rng.random() < 0.3:
        data = rng.choice(
            [
                {"steps": 7, "seeds": seeds},
                {"step": 5, "seeds": {}, "tokens_per_s": 2.0},
                {"step": 3, "steps": 9, "seeds": {}, "collapsed": {"1": {"step": 2}}},
                {"step": 2, "metrics": {"reward": 0.5}},
            ]
        )
    return TrialEvent(kind, rng.choice(["", trial]) if kind is EventKind.INCIDENT else trial, data)


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_events_gives_the_table_of_the_whole(tmp_path: Path, seed: int) -> None:
    rng, path = random.Random(seed), tmp_path / "log.jsonl"
    events = [TrialEvent(EventKind.STUDY_STARTED, data={"hash": "x", "trials": 3})]
    events += [TrialEvent(EventKind.SUGGESTED, trial, {"seeds": [0, 1]}) for trial in TRIALS]
    events += [_random_event(rng) for _ in range(40)]
    lines = [encode_line(number, TIME, event)[0] for number, event in enumerate(events, start=1)]
    path.write_bytes(b"".join(lines))
    found = glance_at(path)
    assert found.builder.table == build_table(read_log(path))
    assert found.events == read_log(path) and found.stamp is None


def _reports(path: Path, count: int) -> list[bytes]:
    events = [TrialEvent(EventKind.SUGGESTED, "t0", {"seeds": [0]})]
    reports = [{"step": 1 + n, "steps": 9, "seeds": {"0": {"reward": n}}} for n in range(count)]
    events += [TrialEvent(EventKind.REPORTED, "t0", data) for data in reports]
    lines = [encode_line(number, TIME, event)[0] for number, event in enumerate(events, start=1)]
    path.write_bytes(b"".join(lines))
    return lines


def test_superseded_reports_are_not_parsed(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "log.jsonl"
    _reports(path, 5)
    parsed = []
    decode = glance.decode_line
    monkeypatch.setattr(glance, "decode_line", lambda line: parsed.append(line) or decode(line))
    monkeypatch.setattr(glance, "read_content", None)
    found = glance_at(path)
    assert len(parsed) == 1 and len(found.events) == 6
    assert found.builder.row("t0").seed_metrics == {0: {"reward": 4.0}}


def test_a_flipped_byte_of_a_superseded_report_is_found(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = _reports(path, 4)
    for place in range(len(lines[2]) - 1):
        bad = bytearray(lines[2])
        bad[place] ^= 1
        path.write_bytes(b"".join([*lines[:2], bytes(bad), *lines[3:]]))
        with pytest.raises(LogDamaged, match="line 3 is damaged") as caught:
            glance_at(path)
        with pytest.raises(LogDamaged) as whole:
            read_content(path)
        assert str(caught.value) == str(whole.value)


@pytest.mark.parametrize("keep", [[0, 2, 3, 4], [0, 1, 1, 2], [0, 2, 1, 3], [1, 2, 3]])
def test_missing_and_doubled_reports_are_found(tmp_path: Path, keep: list[int]) -> None:
    path = tmp_path / "log.jsonl"
    lines = _reports(path, 4)
    path.write_bytes(b"".join(lines[index] for index in keep))
    with pytest.raises(LogDamaged, match=r"sequence number|never suggested"):
        glance_at(path)


@pytest.mark.parametrize("edit", [b"torn", b"\n", b"\r\n", b"\0\0"])
def test_a_log_that_is_not_as_written_is_read_as_a_whole(
    write: Callable[[], Path], edit: bytes
) -> None:
    path = write()
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] if edit == b"torn" else whole.replace(b"\n", edit))
    content = read_content(path)
    assert glance_at(path).events == content.events
    assert glance_at(path).builder.table == content.builder.table


def test_what_somebody_made_up_is_refused_where_it_is_computed_from(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    lines = _reports(path, 3)
    body = lines[1].rpartition(b',"crc32"')[0].replace(b"reward", b're"ard')
    lines[1] = body + b',"crc32":"%08x"}\n' % zlib.crc32(body)
    path.write_bytes(b"".join(lines))
    with pytest.raises(LogDamaged, match="line 2 is damaged: it is not a JSON object"):
        read_content(path)
    found = glance_at(path)
    assert found.builder.row("t0").step == 3
    with pytest.raises(ValueError, match="delimiter"):
        _ = found.events[1].event.data


def test_no_log_is_an_empty_one(tmp_path: Path) -> None:
    assert glance_at(tmp_path / "log.jsonl").events == []
