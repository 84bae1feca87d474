"""One driver per study: the dead are replaced, the living never, and who is replaced notices."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from conspo_study.records import EventKind, TrialEvent
from conspo_study.results import lease as lease_module
from conspo_study.results.lease import (
    Holder,
    Lease,
    LeaseLost,
    LogLocked,
    beats,
    read_lease,
)
from conspo_study.results.log import ResultsLog, read_log

DRIVER = """
import sys
from pathlib import Path
from conspo_study.results.lease import Lease, LogLocked
from conspo_study.results.log import ResultsLog

folder = Path(sys.argv[1])
try:
    log = ResultsLog(folder / "log.jsonl", Lease(folder / "driver.json"))
except LogLocked as error:
    print(error, flush=True)
    raise SystemExit(1)
print("driving", flush=True)
sys.stdin.read()
log.close()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "driver.json"


@contextmanager
def driver(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which drives the study until its standard input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "driving\n"
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def held(lease: Lease) -> Iterator[Lease]:
    lease.acquire()
    try:
        yield lease
    finally:
        lease.release()


def write(path: Path, **changes: Any) -> Holder:
    """A lease of somebody on another host, or what `changes` make of it."""
    holder = Holder("elsewhere", 4242, 99, "other scope", "token", "2020-01-01T00:00:00Z", 7)
    holder = replace(holder, **changes)
    path.write_text(json.dumps(asdict(holder)))
    return holder


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def still(seconds: float) -> None:
    """A wait in which nothing happens."""


def test_a_lease_names_its_holder_and_goes_with_it(path: Path) -> None:
    lease = Lease(path)
    assert not lease.is_mine()
    with held(lease):
        holder = read_lease(path)
        assert holder is not None
        assert (holder.host, holder.pid) == (socket.gethostname(), os.getpid())
        assert holder.here and holder.alive and lease.is_mine() and lease.notice == ""
        lease.check()
    assert list(path.parent.iterdir()) == []
    lease.release()


def test_the_counter_rises_while_the_holder_lives(path: Path) -> None:
    with held(Lease(path, interval=0.01)):
        seen = set()

        def rose() -> bool:
            holder = read_lease(path)
            assert holder is not None, "a reader never finds half a file"
            seen.add(holder.heartbeat)
            return len(seen) > 3

        wait_for(rose)
        assert beats(path, interval=0.05)


def test_a_living_driver_of_this_machine_is_named_and_never_replaced(path: Path) -> None:
    with driver(path.parent) as other:
        for takeover in (False, True):
            with pytest.raises(LogLocked) as caught:
                Lease(path, takeover=takeover, wait=still).acquire()
            for part in (socket.gethostname(), f"process {other.pid}", "began at 20"):
                assert part in str(caught.value)
        with pytest.raises(LogLocked, match=f"written by process {other.pid} on host"):
            ResultsLog(path.with_name("log.jsonl"), Lease(path))
        assert read_lease(path) is not None, "the refused one must not remove it"


def test_a_killed_driver_is_replaced_with_a_notice(path: Path) -> None:
    with driver(path.parent) as other:
        other.kill()
        other.wait()
        with ResultsLog(path.with_name("log.jsonl"), Lease(path)) as log:
            assert f"process {other.pid}" in log.notices[0] and "died" in log.notices[0]
            holder = read_lease(path)
            assert holder is not None and holder.pid == os.getpid()


def test_a_driver_that_ends_leaves_nothing_to_take_over(path: Path) -> None:
    with driver(path.parent) as other:
        assert other.stdin is not None
        other.stdin.close()
        other.wait()
    assert not path.exists()


def test_a_process_number_that_was_used_again_is_not_the_driver(path: Path) -> None:
    with held(Lease(path)):
        mine = read_lease(path)
    assert mine is not None
    write(path, scope=mine.scope, pid=os.getpid(), process_start=mine.process_start - 1)
    lease = Lease(path)
    with held(lease):
        assert "died" in lease.notice


def test_of_many_that_start_at_once_one_drives(path: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(path.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(4)
    ]
    try:
        said = [process.stdout.readline() for process in processes if process.stdout]
        assert said.count("driving\n") == 1
        winner = processes[said.index("driving\n")]
        holder = read_lease(path)
        assert holder is not None and holder.pid == winner.pid
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.parametrize("takeover", [False, True])
def test_a_driver_elsewhere_whose_counter_moves_is_never_replaced(
    path: Path, takeover: bool
) -> None:
    write(path)
    looks = []

    def wait(seconds: float) -> None:
        looks.append(seconds)
        if len(looks) == 3:
            write(path, heartbeat=8)

    with pytest.raises(LogLocked, match=r"process 4242 on host elsewhere.*alive"):
        Lease(path, takeover=takeover, wait=wait).acquire()
    assert len(looks) == 3, "it need not look on"


def test_a_silent_driver_elsewhere_is_replaced_only_when_asked_to(path: Path) -> None:
    write(path, started="2999-01-01T00:00:00Z")  # its clock says nothing here
    with pytest.raises(LogLocked, match=r"elsewhere.*no sign of life.*add --takeover"):
        Lease(path, wait=still).acquire()
    lease = Lease(path, takeover=True, wait=still)
    with held(lease):
        assert "taken over" in lease.notice


def test_a_driver_elsewhere_that_ends_while_it_is_watched_is_followed(path: Path) -> None:
    write(path)
    with held(Lease(path, wait=lambda _: path.unlink(missing_ok=True))) as lease:
        assert lease.notice == ""


@pytest.fixture
def on_metal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine, as if outside of a container and with a name of its own."""
    (tmp_path / "id").write_text("0123456789abcdef" * 2 + "\n")
    monkeypatch.setattr(lease_module, "_MACHINE_ID", tmp_path / "id")
    monkeypatch.setattr(lease_module, "_NO_CONTAINER", str(Path("/proc/self/ns/pid").readlink()))


def mine(path: Path) -> Holder:
    """The lease that this process would have written."""
    with held(Lease(path)):
        holder = read_lease(path)
    assert holder is not None
    return holder


@pytest.mark.usefixtures("on_metal")
def test_a_silent_driver_from_before_a_reboot_is_replaced(path: Path) -> None:
    holder = mine(path)
    assert holder.machine and holder.boot and "0123456789abcdef" not in str(asdict(holder))
    write(path, host=holder.host, machine=holder.machine, boot="of before")
    lease = Lease(path, wait=still)
    with held(lease):
        assert "ended with its machine" in lease.notice


@pytest.mark.usefixtures("on_metal")
@pytest.mark.parametrize(
    "changes",
    [
        {"host": socket.gethostname()},
        {"host": socket.gethostname(), "boot": "of before"},
        {"host": socket.gethostname(), "boot": "of before", "machine": "another"},
        {"boot": "of before", "machine": ""},
    ],
    ids=["an earlier version's", "a container's", "a clone's", "one without a machine"],
)
def test_equal_host_names_prove_nothing(path: Path, changes: dict[str, str]) -> None:
    write(path, **changes)
    with pytest.raises(LogLocked, match="add --takeover"):
        Lease(path, wait=still).acquire()


@pytest.mark.usefixtures("on_metal")
def test_of_the_same_boot_another_container_s_driver_may_live(path: Path) -> None:
    holder = mine(path)
    write(path, host=holder.host, machine=holder.machine, boot=holder.boot)
    with pytest.raises(LogLocked, match="add --takeover"):
        Lease(path, wait=still).acquire()


def test_in_a_container_no_machine_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_NO_CONTAINER", "pid:[1]")
    assert mine(path).machine == ""


def test_what_newer_versions_add_to_a_lease_is_left_out(path: Path) -> None:
    with held(Lease(path)) as lease:
        stored = {"later": {"a": 1}, **json.loads(path.read_bytes())}
        path.write_text(json.dumps(stored))
        assert lease.is_mine()
        assert read_lease(path) is not None
    assert not path.exists()


@pytest.mark.parametrize("content", ['{"format": 9}', "", "[]", "\0" * 400])
def test_a_lease_that_another_wrote_and_nobody_can_read_is_lost_and_stays(
    path: Path, content: str
) -> None:
    with held(Lease(path)) as lease:
        path.with_name("theirs").write_text(content)
        path.with_name("theirs").replace(path)
        assert not lease.is_mine()
        with pytest.raises(LeaseLost, match="another driver wrote and this version cannot read"):
            lease.check()
    assert path.read_text() == content


def test_what_is_released_but_cannot_be_read_stays(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Path) -> bytes:
        raise OSError(5, "Input/output error")

    lease = Lease(path)
    lease.acquire()
    with monkeypatch.context() as context:
        context.setattr(lease_module, "read_lease", broken)
        assert lease.is_mine()
        lease.release()
    assert path.exists()


def test_the_heartbeat_is_the_last_field_and_the_length_never_changes(path: Path) -> None:
    with held(Lease(path, interval=1000)) as lease:
        sizes = set()
        for count in (0, 9, 10, 10**11):
            lease._write(count)
            assert list(json.loads(path.read_bytes()).items())[-1] == ("heartbeat", count)
            sizes.add(path.stat().st_size)
        assert len(sizes) == 1


def test_two_threads_may_release_at_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The study's, and the one that ends it because stopping in order takes too long."""
    lease, closed, errors = Lease(path), [], []
    lease.acquire()

    def close(opened: int) -> None:
        if opened == fd:
            time.sleep(0.1)
            closed.append(opened)
        else:
            really_close(opened)

    def release() -> None:
        try:
            lease.release()
        except Exception as error:
            errors.append(error)

    fd, really_close = lease._fd, os.close
    with monkeypatch.context() as patch:
        patch.setattr(lease_module.os, "close", close)
        threads = [threading.Thread(target=release) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    os.close(fd)
    assert closed == [fd] and errors == []
    assert not path.exists()


def test_a_heartbeat_that_is_late_for_the_release_reports_no_loss(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[str] = []
    looking, released = threading.Event(), threading.Event()
    lease = Lease(path, interval=0.01, on_lost=lambda: lost.append("lost"))
    lease.acquire()
    found = Lease.is_mine

    def slow(self: Lease) -> bool:
        looking.set()
        assert released.wait(10)
        return found(self)

    monkeypatch.setattr(Lease, "is_mine", slow)
    assert looking.wait(10)
    lease.release()
    assert not path.exists()
    released.set()
    lease._thread.join(10)
    assert lost == []


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "{}", '{"host": 1}', '{"pid": "../../x"}', "[" * 100_000]
)
def test_an_unreadable_lease_is_replaced_only_when_asked_to(path: Path, content: str) -> None:
    path.write_text(content)
    with pytest.raises(ValueError, match="is not a lease"):
        read_lease(path)
    with pytest.raises(LogLocked, match="add --takeover"):
        Lease(path).acquire()
    with held(Lease(path, takeover=True)) as lease:
        assert lease.is_mine()


def test_names_that_would_move_the_cursor_are_no_lease(path: Path) -> None:
    write(path, host="\x1b[2J")
    with pytest.raises(ValueError, match="host ="):
        read_lease(path)


def test_a_replaced_driver_notices_and_leaves_the_other_alone(path: Path) -> None:
    lost = threading.Event()
    with held(Lease(path, interval=0.01, on_lost=lost.set)) as lease:
        other = write(path.with_name("theirs"))
        path.with_name("theirs").replace(path)
        assert lost.wait(10)
        assert not lease.is_mine()
        with pytest.raises(LeaseLost, match="taken over by process 4242 on host elsewhere"):
            lease.check()
    assert read_lease(path) == other


def test_a_driver_that_wakes_up_late_does_not_take_the_lease_back(path: Path) -> None:
    with held(Lease(path, interval=1000)) as lease:
        other = write(path.with_name("theirs"))
        path.with_name("theirs").replace(path)
        lease._write(1)  # the heartbeat that was due while it slept
        assert read_lease(path) == other


def test_a_removed_lease_is_lost(path: Path) -> None:
    with held(Lease(path)) as lease:
        path.unlink()
        with pytest.raises(LeaseLost, match=r"lost its driver\.json"):
            lease.check()


def test_one_failed_look_is_no_loss(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Path) -> bytes:
        raise OSError(5, "Input/output error")

    with held(Lease(path)) as lease:
        with monkeypatch.context() as context:
            context.setattr(Path, "read_bytes", broken)
            assert lease.is_mine()
        lease.check()


def test_a_heartbeat_that_cannot_be_written_ends_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def full(*arguments: object) -> int:
        tried.set()
        raise OSError(28, "No space left on device")

    lost = threading.Event()
    with held(Lease(path, interval=0.01, on_lost=lost.set)) as lease:
        with monkeypatch.context() as context:
            context.setattr(os, "pwrite", full)
            assert tried.wait(10)
            tried.clear()
            assert tried.wait(10), "it goes on trying"
        assert lease.is_mine() and not lost.is_set()


def test_a_lease_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot take the lease.*driver\.json"):
        Lease(tmp_path / "missing" / "driver.json").acquire()


def test_a_log_whose_lease_is_lost_takes_no_more_events(path: Path) -> None:
    log_path = path.with_name("log.jsonl")
    with ResultsLog(log_path, Lease(path)) as log:
        log.append(TrialEvent(EventKind.SUGGESTED, "t0000"))
        write(path)
        for _ in range(2):
            with pytest.raises(LeaseLost, match="elsewhere"):
                log.append(TrialEvent(EventKind.STARTED, "t0000"))
        path.unlink()
        with pytest.raises(LeaseLost, match="elsewhere"):
            log.append(TrialEvent(EventKind.STARTED, "t0000"))
    assert len(read_log(log_path)) == 1


def test_a_refused_log_is_not_repaired_under_the_driver_s_hands(path: Path) -> None:
    log_path = path.with_name("log.jsonl")
    log_path.write_text('{"seq":')
    write(path)
    with pytest.raises(LogLocked):
        ResultsLog(log_path, Lease(path, wait=still))
    assert log_path.read_text() == '{"seq":'
