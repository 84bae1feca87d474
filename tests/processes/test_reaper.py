"""No process of a study outlives its driver, whatever ended it and whatever state they are in."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conspo_study.processes.reaper import MARK, Family, reaper

SLEEPER = "import time; time.sleep(300)"
# Starts a process in a session of its own, so that nothing but the mark leads to it.
PARENT = f"""
import subprocess, sys
child = subprocess.Popen(
    [sys.executable, "-c", {SLEEPER!r}], start_new_session=True, stdout=subprocess.DEVNULL
)
print(child.pid)
"""
# A driver with a child, such a grandchild and a frozen child; it prints their process ids.
DRIVER = f"""
import os, signal, subprocess, sys, time
from pathlib import Path
from conspo_study.processes.reaper import reaper
with reaper(*map(Path, os.environ.get("OWN", "").split())):
    child = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
    grandchild = int(subprocess.check_output([sys.executable, "-c", {PARENT!r}]))
    frozen = subprocess.Popen([sys.executable, "-c", {SLEEPER!r}])
    os.kill(frozen.pid, signal.SIGSTOP)
    print(child.pid, grandchild, frozen.pid, flush=True)
    if sys.argv[1:] != ["leave"]:
        time.sleep(300)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids, seconds=10):
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, f"still there: {list(filter(alive, pids))}"
        time.sleep(0.02)


def start_driver(*arguments):
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    pids = [int(pid) for pid in driver.stdout.readline().split()]
    assert len(pids) == 3
    return driver, pids


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
def test_a_killed_drivers_processes_are_killed(number):
    driver, pids = start_driver()
    assert all(map(alive, pids))
    driver.send_signal(number)
    driver.communicate(timeout=60)
    wait_until_gone(pids)


def reaper_of(driver):
    """The process that a driver has started to end the others."""
    for path in Path("/proc").glob("[0-9]*"):
        try:
            stat = (path / "stat").read_text().rpartition(")")[2].split()
            if int(stat[1]) == driver and b"processes.reaper" in (path / "cmdline").read_bytes():
                return int(path.name) if stat[0] != "Z" else None
        except OSError:
            continue
    return None


def test_a_killed_reaper_is_replaced():
    driver, pids = start_driver()
    first = reaper_of(driver.pid)
    os.kill(first, signal.SIGKILL)
    deadline = time.monotonic() + 30
    while reaper_of(driver.pid) in (None, first):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    driver.kill()
    driver.communicate(timeout=60)
    wait_until_gone(pids)


def test_a_signal_to_the_drivers_whole_group_does_not_save_them():
    driver, pids = start_driver()
    os.killpg(driver.pid, signal.SIGKILL)
    driver.communicate(timeout=60)
    wait_until_gone(pids)


def test_leaving_the_block_ends_what_is_left_before_the_process_goes_on():
    driver, pids = start_driver("leave")
    driver.communicate(timeout=60)
    assert driver.returncode == 0
    assert not any(map(alive, pids))


def test_processes_of_other_drivers_and_of_nobody_are_left_alone():
    with subprocess.Popen([sys.executable, "-c", SLEEPER]) as stranger:
        other = subprocess.Popen(
            [sys.executable, "-c", SLEEPER], env={**os.environ, MARK: "another"}
        )
        try:
            with reaper() as mark:
                mine = subprocess.Popen([sys.executable, "-c", SLEEPER])
                assert os.environ[MARK] == mark
            assert mine.wait(timeout=60) == -signal.SIGKILL
            assert alive(stranger.pid) and alive(other.pid)
        finally:
            stranger.kill()
            other.kill()
            other.wait()
    assert MARK not in os.environ


def test_a_process_that_has_been_seen_stays_known_without_its_mark():
    # Ray's agents write a title over their environment; here it is emptied.
    forgetful = "import os, sys; sys.stdin.readline(); os.execve(sys.argv[1], sys.argv[1:], {})"
    waiting = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(
        [sys.executable, "-c", forgetful, *waiting],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, MARK: "this"},
    ) as process:
        seen, new = Family("this"), Family("this")
        assert process.pid in {pid for pid, _ in seen.look()}
        process.stdin.write(b"\n")
        process.stdin.flush()
        assert process.stdout.readline()
        assert process.pid in {pid for pid, _ in seen.look()}
        assert process.pid not in {pid for pid, _ in new.look()}
        process.stdin.close()
    assert seen.look() == set()


def test_a_folder_of_a_killed_driver_is_removed_and_one_that_left_in_order_keeps_it(
    tmp_path, monkeypatch
):
    own, second = tmp_path / "own", tmp_path / "second"
    (own / "inner").mkdir(parents=True)
    second.mkdir()
    (tmp_path / "kept").touch()
    (second / "link").symlink_to(tmp_path)
    monkeypatch.setenv("OWN", f"{own} {second}")
    driver, pids = start_driver("leave")
    driver.communicate(timeout=60)
    wait_until_gone(pids)
    assert own.exists()
    driver, pids = start_driver()
    driver.kill()
    driver.communicate(timeout=60)
    wait_until_gone(pids)
    deadline = time.monotonic() + 10
    while own.exists() or second.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert (tmp_path / "kept").exists(), "no link is followed"
