"""A damaged log: what can be trusted is copied, what is lost is named, the log is not touched."""

import shutil
from pathlib import Path

import pytest

from conspo_study.records import EventKind, TrialEvent, TrialState
from conspo_study.results.log import LogDamaged, ResultsLog, read_log
from conspo_study.results.repair import repair_log
from conspo_study.results.table import build_table

FROZEN = Path(__file__).parents[1] / "assets" / "results_v2" / "log.jsonl"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return Path(shutil.copy(FROZEN, tmp_path / "log.jsonl"))


def lines_of(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.parent.iterdir())


def test_an_undamaged_log_needs_no_copy(path: Path) -> None:
    repair = repair_log(path)
    assert repair.copy is None and files(path) == ["log.jsonl"]
    assert repair.lines() == [f"{path} is undamaged: 40 events"]


def test_a_flipped_byte_ends_what_is_trusted_wherever_it_is(path: Path) -> None:
    whole, lines = path.read_bytes(), lines_of(path)
    for number in range(1, len(lines) + 1):
        start = sum(map(len, lines[: number - 1]))
        bad = bytearray(whole)
        bad[start + 20] ^= 1
        path.write_bytes(bad)
        repair = repair_log(path)
        assert path.read_bytes() == bad, "the log itself is not touched"
        assert repair.copy is not None and repair.rest is not None
        assert repair.copy.read_bytes() == b"".join(lines[: number - 1])
        assert repair.copy.read_bytes() + repair.rest.read_bytes() == bad, "no byte is dropped"
        assert (repair.kept, repair.line, repair.unreadable) == (number - 1, number, 1)
        assert len(repair.lost) == len(lines) - number
        read_log(repair.copy)


def test_every_trial_whose_end_is_lost_is_named(path: Path) -> None:
    lines = lines_of(path)
    finished = {
        logged.event.trial: logged.seq
        for logged in read_log(path)
        if logged.event.kind in (EventKind.FINISHED, EventKind.PRUNED, EventKind.FAILED)
    }
    lines[22] = lines[22][:40] + b"?" + lines[22][41:]
    path.write_bytes(b"".join(lines))
    repair = repair_log(path)
    assert repair.line == 23
    assert list(repair.lost_ends) == [trial for trial, seq in finished.items() if seq > 23]
    said = "\n".join(repair.lines())
    assert "lost: the end of t0003, which finished with 0.625; it runs again" in said
    assert "lost: the end of t0004, which failed; it runs again" in said
    assert f"{path}: line 23: its checksum does not match its content" in said


def test_the_copy_can_be_written_on_and_open_trials_run_again(path: Path) -> None:
    lines = lines_of(path)
    lines[9] = b"nonsense\n"
    path.write_bytes(b"".join(lines))
    repair = repair_log(path)
    assert repair.copy is not None
    repair.copy.replace(path)
    with ResultsLog(path) as log:
        assert repair.open_trials == tuple(
            row.id for row in log.table.all_rows if not row.state.ended
        )
        for trial in repair.open_trials:
            log.append(TrialEvent(EventKind.STARTED, trial))
    assert len(read_log(path)) == 9 + len(repair.open_trials)


def test_lines_that_only_ran_together_are_told_apart_and_nothing_is_lost(path: Path) -> None:
    whole, lines = path.read_bytes(), lines_of(path)
    path.write_bytes(b"".join([*lines[:4], lines[4][:-1], lines[5][:-1], *lines[6:]]))
    with pytest.raises(LogDamaged, match="line 5 is damaged: two lines run into each other"):
        read_log(path)
    repair = repair_log(path)
    assert repair.copy is not None and repair.rest is None
    assert repair.copy.read_bytes() == whole
    assert "no event is lost" in repair.lines()


def test_of_lines_that_overwrote_each_other_the_whole_one_is_not_trusted(path: Path) -> None:
    lines = lines_of(path)
    path.write_bytes(b"".join([*lines[:4], lines[4][:30], *lines[5:]]))
    repair = repair_log(path)
    assert repair.kept == 4
    assert [logged.seq for logged in repair.lost] == list(range(6, 41))


@pytest.mark.parametrize(
    ("keep", "kept"), [([0, 1, 3, 4], 2), ([0, 1, 1, 2], 2), ([1, 2], 0), ([0, 2, 1], 1)]
)
def test_gaps_and_repetitions_end_what_is_trusted(path: Path, keep: list[int], kept: int) -> None:
    lines = lines_of(path)
    path.write_bytes(b"".join(lines[index] for index in keep))
    assert repair_log(path).kept == kept


def test_a_contradiction_ends_what_is_trusted(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    with ResultsLog(other) as log:
        log.append(TrialEvent(EventKind.STUDY_STARTED))
        log._builder.check = lambda logged: None  # type: ignore[method-assign]
        log._builder.add = lambda logged: None  # type: ignore[method-assign]
        log.append(TrialEvent(EventKind.FINISHED, "t0000", {"value": 0.5}))
    repair = repair_log(other)
    assert repair.kept == 1 and "never suggested" in repair.reason
    assert repair.lost_ends == ("t0000",)


def test_a_torn_end_is_kept_aside(path: Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"seq":41,"ti')
    repair = repair_log(path)
    assert repair.copy is not None and repair.copy.read_bytes() == whole
    assert repair.rest is not None and repair.rest.read_bytes() == b'{"seq":41,"ti'
    assert repair.lost_ends == () and repair.unreadable == 1


def test_a_second_repair_overwrites_nothing(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"0.2", b"0.3", 1))
    repair_log(path)
    repair_log(path)
    assert files(path) == [
        "log.jsonl",
        "log.jsonl.repaired-1",
        "log.jsonl.repaired-2",
        "log.jsonl.rest-1",
        "log.jsonl.rest-2",
    ]


def test_a_log_of_noise_keeps_nothing(path: Path) -> None:
    path.write_bytes(b"\x00" * 100 + b"\n\n" + b"[" * 5000 + b"\n")
    repair = repair_log(path)
    assert (repair.kept, repair.unreadable) == (0, 2)


def test_a_repaired_log_builds_the_table_of_its_part(path: Path) -> None:
    events = read_log(path)
    lines = lines_of(path)
    lines[30] = lines[30][:-10] + b"\n"
    path.write_bytes(b"".join(lines))
    repair = repair_log(path)
    assert repair.copy is not None
    table = build_table(read_log(repair.copy))
    assert table == build_table(events[:30])
    assert any(row.state is TrialState.FINISHED for row in table.rows)


@pytest.mark.parametrize("end", [b"\r\n", b"  \n", b"\n\n"])
def test_of_an_edited_log_all_whole_events_are_saved(path: Path, end: bytes) -> None:
    lines = lines_of(path)
    lines[20] = lines[20][:-1] + lines[20]  # doubled in its line
    path.write_bytes(b"\xef\xbb\xbf" + b"".join(lines).replace(b"\n", end))
    repair = repair_log(path)
    assert repair.copy is not None and repair.rest is not None
    assert repair.copy.read_bytes() == b"".join(lines_of(FROZEN)[:21])
    assert repair.rest.read_bytes().startswith(lines_of(FROZEN)[20][:-1])
    assert (repair.kept, len(repair.lost), repair.unreadable) == (21, 20, 0)


def test_a_byte_order_mark_before_glued_lines_shifts_nothing(path: Path) -> None:
    lines = lines_of(path)
    glued = lines[0][:-1] + lines[1][:-1] + b" " + lines[2]
    path.write_bytes(b"\xef\xbb\xbf" + glued + b"".join(lines[3:10]) + b"?\n")
    repair = repair_log(path)
    assert repair.copy is not None and repair.rest is not None
    assert repair.copy.read_bytes() == b"".join(lines[:10])
    assert repair.rest.read_bytes() == b"?\n"
