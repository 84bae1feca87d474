"""The log never loses an acknowledged event and never invents one."""

import json
import math
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import LogDamaged, LogLocked, ResultsLog, read_log
from conspo_study.results.repair import repair_log
from conspo_study.results.table import build_table

Write = Callable[[], Path]


def test_events_come_back_in_order_with_contiguous_numbers(
    write: Write, events: tuple[TrialEvent, ...]
) -> None:
    logged = read_log(write())
    assert [entry.event for entry in logged] == list(events)
    assert [entry.seq for entry in logged] == list(range(1, len(events) + 1))


def test_each_line_is_ascii_json_that_ends_with_the_checksum_of_its_bytes(write: Write) -> None:
    for line in write().read_bytes().splitlines():
        body, _, end = line.rpartition(b',"crc32":"')
        assert end == b'%08x"}' % zlib.crc32(body)
        record = json.loads(line.decode("ascii"))
        assert list(record) == ["seq", "time", "event", "trial", "data", "crc32"]


def test_appending_continues_after_reopening(write: Write, events: tuple[TrialEvent, ...]) -> None:
    path = write()
    with ResultsLog(path) as log:
        assert log.append(events[2]).seq == len(events) + 1
        assert log.events == read_log(path)


def test_what_append_returns_is_what_a_reader_sees(tmp_path: Path) -> None:
    with ResultsLog(tmp_path / "log.jsonl") as log:
        log.append(TrialEvent(EventKind.SUGGESTED, "t1"))
        data = {"seeds": {2: {"x": (1, 2.5)}, 10: {}}, "tiny": 5e-324}
        logged = log.append(TrialEvent(EventKind.REPORTED, "t1", data))
        assert logged.event.data["seeds"] == {"2": {"x": [1, 2.5]}, "10": {}}
        assert read_log(log.path)[1:] == [logged]


def test_a_tail_torn_at_any_byte_is_cut_off_and_kept_aside(
    write: Write, events: tuple[TrialEvent, ...]
) -> None:
    path = write()
    whole = path.read_bytes()
    start = whole[:-1].rfind(b"\n") + 1
    aside = path.with_name("log.jsonl.torn-1")
    for end in range(start + 1, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert len(read_log(path)) == len(events) - 1
        assert path.read_bytes() == whole[:end], "a reader must not write"
        with ResultsLog(path) as log:
            assert len(log.events) == len(events) - 1
            assert "cut off and kept as log.jsonl.torn-1" in log.notices[0]
            log.append(events[-1])
        assert [entry.event for entry in read_log(path)] == list(events)
        assert aside.read_bytes() == whole[start:end]
        aside.unlink()


EDITED = {
    "Windows line ends": lambda whole: whole.replace(b"\n", b"\r\n"),
    "old Mac line ends": lambda whole: whole.replace(b"\n", b"\r"),
    "a byte order mark": lambda whole: b"\xef\xbb\xbf" + whole,
    "both": lambda whole: b"\xef\xbb\xbf" + whole.replace(b"\n", b"\r\n"),
    "no last newline": lambda whole: whole[:-1],
    "Windows line ends and no last one": lambda whole: whole.replace(b"\n", b"\r\n")[:-2],
    "half a Windows line end": lambda whole: whole.replace(b"\n", b"\r\n")[:-1],
    "empty lines at the end": lambda whole: whole + b"\n\r\n\n",
    "an empty line between others": lambda whole: whole.replace(b"\n", b"\n\n", 1),
    "an empty line first": lambda whole: b"\n" + whole,
    "blanks at the ends": lambda whole: whole.replace(b"\n", b" \t\n"),
    "blanks before": lambda whole: b"  " + whole.replace(b"\n", b"\n  "),
}


@pytest.mark.parametrize("edit", EDITED.values(), ids=EDITED.keys())
def test_what_editors_put_around_whole_lines_costs_no_event(
    write: Write, events: tuple[TrialEvent, ...], edit: Callable[[bytes], bytes]
) -> None:
    path = write()
    whole = path.read_bytes()
    edited = edit(whole)
    path.write_bytes(edited)
    assert [entry.event for entry in read_log(path)] == list(events)
    assert path.read_bytes() == edited, "a reader must not write"
    assert repair_log(path).kept == len(events) and repair_log(path).copy is None
    with ResultsLog(path) as log:
        (notice,) = log.notices
        assert path.read_bytes() == whole
        with pytest.raises(LogLocked):
            ResultsLog(path)
        assert log.append(events[2]).seq == len(events) + 1
    with ResultsLog(path) as log:
        assert log.notices == [] and len(log.events) == len(events) + 1
    kept = path.with_name("log.jsonl.original-1")
    if edited == whole[:-1]:
        assert "no newline: added" in notice and not kept.exists()
    else:
        assert f"all {len(events)} events are whole" in notice and kept.name in notice
        assert kept.read_bytes() == edited


def test_an_edited_log_with_an_unfinished_line_loses_that_line_alone(
    write: Write, events: tuple[TrialEvent, ...]
) -> None:
    path = write()
    whole = path.read_bytes()
    edited = whole.replace(b"\n", b"\r\n") + b'{"seq":'
    path.write_bytes(edited)
    with ResultsLog(path) as log:
        assert len(log.events) == len(events)
        assert "an unfinished line of 7 bytes is left out" in log.notices[0]
    assert path.read_bytes() == whole
    assert path.with_name("log.jsonl.original-1").read_bytes() == edited


def test_damage_in_an_edited_log_is_found_at_its_line(write: Write) -> None:
    path = write()
    edited = path.read_bytes().replace(b"\n", b"\r\n").replace(b"reward", b"reword")
    path.write_bytes(edited)
    for read in (read_log, ResultsLog):
        with pytest.raises(LogDamaged, match="line 4 is damaged: its checksum"):
            read(path)
    assert path.read_bytes() == edited


def test_an_undamaged_log_opens_without_a_notice(write: Write) -> None:
    path = write()
    with ResultsLog(path) as log:
        assert log.notices == []
    assert not list(path.parent.glob("*torn*"))


def test_a_second_torn_tail_does_not_overwrite_the_first(write: Write) -> None:
    path = write()
    for _ in range(2):
        with path.open("ab") as file:
            file.write(b'{"seq":')
        ResultsLog(path).close()
    assert len(list(path.parent.glob("*.torn-*"))) == 2


def test_a_flipped_byte_anywhere_in_a_line_is_refused_by_line_number(write: Write) -> None:
    path = write()
    lines = path.read_bytes().splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        for at in range(len(line) - 1):
            bad = bytearray(line)
            bad[at] ^= 0x01
            damaged = b"".join([*lines[: number - 1], bytes(bad), *lines[number:]])
            path.write_bytes(damaged)
            # A flip may also create a newline, which damages the line that it ends.
            with pytest.raises(LogDamaged, match=rf"line {number} is damaged") as caught:
                read_log(path)
    assert f"conspo repair {path.parent}" in str(caught.value)
    with pytest.raises(LogDamaged, match=f"line {len(lines)}"):
        ResultsLog(path)
    assert path.read_bytes() == damaged, "a damaged log must not be changed"


@pytest.mark.parametrize("first", ["complete", "torn"])
def test_two_lines_run_together_are_refused(write: Write, first: str) -> None:
    path = write()
    lines = path.read_bytes().splitlines()
    lines[1] = (lines[1] if first == "complete" else lines[1][:40]) + lines.pop(2)
    path.write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(LogDamaged, match="line 2 is damaged: two lines run into each other"):
        read_log(path)


@pytest.mark.parametrize("keep", [[0, 2, 3], [0, 1, 1, 2], [1, 2], [0, 2, 1]])
def test_missing_doubled_and_swapped_lines_are_refused(write: Write, keep: list[int]) -> None:
    path = write()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[index] for index in keep))
    with pytest.raises(LogDamaged, match="sequence number"):
        read_log(path)


@pytest.mark.parametrize(
    "line", [b"{}", b"[]", b"NaN", b"\xff\xfe", b"[" * 5000, b'{"seq":1,"seq":1}', b"\x00" * 9]
)
def test_foreign_lines_are_refused(write: Write, line: bytes) -> None:
    path = write()
    path.write_bytes(line + b"\n" + path.read_bytes())
    with pytest.raises(LogDamaged, match="line 1 is damaged"):
        read_log(path)


def test_an_empty_file_is_an_empty_log(tmp_path: Path, events: tuple[TrialEvent, ...]) -> None:
    path = tmp_path / "log.jsonl"
    path.touch()
    assert read_log(path) == []
    with ResultsLog(path) as log:
        assert log.append(events[0]).seq == 1


def test_a_missing_log_is_an_error_for_readers(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_log(tmp_path / "log.jsonl")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, object(), b"x"])
def test_what_json_cannot_hold_is_refused_and_leaves_no_trace(write: Write, value: object) -> None:
    path = write()
    before = path.read_bytes()
    with ResultsLog(path) as log:
        with pytest.raises(ValueError, match="finished of trial 't0000' cannot be logged"):
            log.append(TrialEvent(EventKind.FINISHED, "t0000", {"value": value}))
        assert path.read_bytes() == before


@pytest.mark.parametrize("trial", ["", "..", "../x", "a/b", ".hidden", "a\nb", "x" * 65])
def test_trial_ids_that_could_leave_the_directory_are_refused(tmp_path: Path, trial: str) -> None:
    with ResultsLog(tmp_path / "log.jsonl") as log, pytest.raises(ValueError, match="trial id"):
        log.append(TrialEvent(EventKind.STARTED, trial))


def test_a_second_writer_is_refused(write: Write) -> None:
    path = write()
    code = (
        "import sys; from pathlib import Path; from conspo_study.results.log import ResultsLog;"
        "log = ResultsLog(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(LogLocked, match=r"log\.jsonl is being written by another process"):
            ResultsLog(path)
        assert read_log(path), "readers are not locked out"
    finally:
        holder.kill()
        holder.wait()
    with ResultsLog(path), pytest.raises(LogLocked):
        ResultsLog(path)
    ResultsLog(path).close()
    assert [file.name for file in path.parent.iterdir()] == ["log.jsonl"]


def test_reading_in_the_same_process_does_not_drop_the_lock(write: Write) -> None:
    with ResultsLog(write()) as log:
        read_log(log.path)
        with pytest.raises(LogLocked):
            ResultsLog(log.path)


def test_an_event_that_contradicts_the_log_is_refused_and_leaves_no_trace(write: Write) -> None:
    path = write()
    before = path.read_bytes()
    other = {"params": {"objective.tau": 9.0}, "seeds": [0, 1]}
    with ResultsLog(path) as log:
        with pytest.raises(ValueError, match="other parameters"):
            log.append(TrialEvent(EventKind.SUGGESTED, "t0000", other))
        with pytest.raises(ValueError, match="never suggested"):
            log.append(TrialEvent(EventKind.STARTED, "t0001"))
        assert path.read_bytes() == before
        assert log.append(TrialEvent(EventKind.STARTED, "t0000")).seq == len(log.events)


def test_a_log_that_contradicts_itself_is_not_written_to(write: Write) -> None:
    path = write()
    with ResultsLog(path) as log:
        log._builder.check = lambda logged: None  # type: ignore[method-assign]
        log._builder.add = lambda logged: None  # type: ignore[method-assign]
        log.append(TrialEvent(EventKind.STARTED, "t0001"))
    with pytest.raises(LogDamaged, match=r"line 6 is damaged.*never suggested"):
        ResultsLog(path)


def test_the_table_follows_the_log(write: Write, events: tuple[TrialEvent, ...]) -> None:
    with ResultsLog(write()) as log:
        assert log.table == build_table(log.events)
        assert log.table is log.table
        log.append(events[2])
        assert log.table == build_table(log.events)


def test_another_thread_may_read_the_table_at_any_time(tmp_path: Path) -> None:
    wrong: list[object] = []
    done = threading.Event()

    def read(log: ResultsLog) -> None:
        last = 0
        while not done.is_set():
            table = log.table
            if len(table.rows) < last or len({row.id for row in table.rows}) != len(table.rows):
                wrong.append(table)
            last = len(table.rows)

    with ResultsLog(tmp_path / "log.jsonl") as log:
        reader = threading.Thread(target=read, args=(log,))
        reader.start()
        for number in range(100):
            log.append(TrialEvent(EventKind.SUGGESTED, f"t{number:04d}"))
        done.set()
        reader.join()
        assert not wrong and len(log.table.rows) == 100


def test_a_full_disk_leaves_the_log_intact_and_ends_the_writing(tmp_path: Path) -> None:
    code = """
import resource, sys
from pathlib import Path
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog, read_log

path = Path(sys.argv[1])
limits = resource.getrlimit(resource.RLIMIT_FSIZE)
with ResultsLog(path) as log:
    for trial in range(3):
        log.append(TrialEvent(EventKind.SUGGESTED, f"t{trial}"))
    before = path.read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
    for free_again in (False, True):
        if free_again:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        try:
            log.append(TrialEvent(EventKind.SUGGESTED, "t3"))
        except OSError as error:
            assert str(path) in str(error) and "not stored" in str(error), error
            assert log.failure is error
        else:
            raise SystemExit("no error")
    assert path.read_bytes() == before
with ResultsLog(path) as log:
    log.append(TrialEvent(EventKind.SUGGESTED, "t4"))
assert [entry.event.trial for entry in read_log(path)] == ["t0", "t1", "t2", "t4"]
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log.jsonl")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_an_interrupt_between_disk_and_memory_ends_the_writing(
    write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write()
    with ResultsLog(path) as log:
        written = log._write

        def interrupted(line: bytes) -> None:
            written(line)
            raise KeyboardInterrupt

        monkeypatch.setattr(log, "_write", interrupted)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                log.append(TrialEvent(EventKind.STARTED, "t0000"))
    assert len(read_log(path)) == 6


def test_a_killed_writer_loses_no_acknowledged_event(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    code = """
import sys
from pathlib import Path
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog

log = ResultsLog(Path(sys.argv[1]))
for number in range(10**6):
    log.append(TrialEvent(EventKind.SUGGESTED, f"t{number}"))
    print(number, flush=True)
"""
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    acknowledged = [int(writer.stdout.readline()) for _ in range(20)]
    writer.kill()
    acknowledged += [int(line) for line in writer.stdout.read().split(b"\n")[:-1]]
    writer.wait()
    logged = [int(entry.event.trial[1:]) for entry in read_log(path)]
    assert logged[: len(acknowledged)] == acknowledged
    with ResultsLog(path) as log:
        assert len(log.events) == len(logged)
