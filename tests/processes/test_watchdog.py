"""Silence is noticed once and in bounded time; slow answers and a good ending are not silence."""

import itertools
import subprocess
import sys
import threading
import time

from conspo_study.processes.watchdog import watching


def watch(probe, patience=3, until=lambda: None):
    said = []
    with watching(probe, said.append, tick_s=0.01, patience=patience):
        until()
    return said


def test_a_living_cluster_is_left_alone():
    enough = threading.Event()
    asked = itertools.count()

    def probe():
        if next(asked) > 20:
            enough.set()

    assert watch(probe, until=lambda: enough.wait(30)) == []


def lost_of(probe):
    said, heard = [], threading.Event()

    def lost(what):
        said.append(what)
        heard.set()

    with watching(probe, lost, tick_s=0.01, patience=3):
        assert heard.wait(30)
    return said


def test_a_probe_that_never_returns_is_silence():
    forever = threading.Event()
    assert lost_of(lambda: forever.wait(60) and None) == ["it does not answer"]
    forever.set()


def test_a_probe_that_says_what_is_wrong_is_believed_at_once():
    asked = []
    assert lost_of(lambda: asked.append(1) or "the head node is dead") == ["the head node is dead"]
    assert len(asked) == 1


def test_a_probe_that_raises_is_quoted():
    def probe():
        raise ConnectionError("refused")

    assert lost_of(probe) == ["ConnectionError: refused"]


def test_a_probe_under_way_at_the_end_is_waited_for_and_not_heard():
    under_way, answered = threading.Event(), []

    def probe():
        under_way.set()
        time.sleep(0.03)  # in which the block ends, and what is asked with it
        answered.append("the head node is dead")
        return answered[0]

    assert watch(probe, patience=500, until=lambda: under_way.wait(30)) == []
    assert answered, "what is asked ends only after the last question"


def test_a_fault_that_passes_is_forgiven():
    enough = threading.Event()
    asked = itertools.count()

    def probe():
        number = next(asked)
        if number > 40:
            enough.set()
        if number % 3:
            raise ConnectionError("refused")

    assert watch(probe, patience=20, until=lambda: enough.wait(30)) == []


def test_the_end_is_a_message_and_status_one():
    code = "from conspo_study.processes.interrupts import end_at_once; end_at_once('Ray is gone')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr.strip() == (
        "error: Ray is gone. All that was logged stands; continue with --resume"
    )
