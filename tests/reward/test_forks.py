"""A judge in a fork of its process: processes and a lock of its own."""

import multiprocessing
import os
import select
import subprocess
import sys
import threading

import pytest

from conspo_study.config import RewardConfig
from conspo_study.records import Verdict
from conspo_study.reward import Verifier

RIGHT = [("x+5", "\\boxed{5+x}")]
WRONG = [("x+5", "\\boxed{6+x}")]


@pytest.fixture
def verifier():
    """A verifier whose process has started."""
    with Verifier(RewardConfig(deadline_s=60)) as verifier:
        assert verifier.verify(RIGHT)[0].verdict is Verdict.CORRECT
        yield verifier


def asked_in_a_fork(verifier, pairs, replies):
    before = verifier.pids
    verdicts = [judgement.verdict.value for judgement in verifier.verify(pairs)]
    replies.put((before, verdicts, verifier.pids))


def in_a_fork(verifier, pairs):
    forking = multiprocessing.get_context("fork")
    replies = forking.Queue()
    child = forking.Process(target=asked_in_a_fork, args=(verifier, pairs, replies))
    child.start()
    try:
        return replies.get(timeout=60)
    finally:
        child.join(10)
        if child.is_alive():
            child.kill()


def test_a_fork_asks_processes_of_its_own_and_leaves_the_parents_alone(verifier):
    pids = verifier.pids
    before, verdicts, own = in_a_fork(verifier, WRONG * 2 + RIGHT)
    assert before == ()
    assert verdicts == ["wrong", "wrong", "correct"]
    assert len(own) == 1 and not set(own) & set(pids)
    assert verifier.pids == pids
    assert verifier.verify(RIGHT)[0].verdict is Verdict.CORRECT
    assert verifier.pids == pids


def test_parent_and_fork_ask_at_the_same_time(verifier):
    ready, go = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"1")
        os.read(go[0], 1)
        found = {j.verdict for _ in range(20) for j in verifier.verify(WRONG)}
        verifier.close()
        os._exit(0 if found == {Verdict.WRONG} else 1)
    os.read(ready[0], 1)
    os.write(go[1], b"1")
    found = {j.verdict for _ in range(20) for j in verifier.verify(RIGHT)}
    _, status = os.waitpid(child, 0)
    assert found == {Verdict.CORRECT}
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_lock_that_another_thread_holds_during_a_fork_does_not_stay_locked(verifier):
    held, release = threading.Event(), threading.Event()

    def hold():
        with verifier._lock:
            held.set()
            release.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    try:
        assert in_a_fork(verifier, RIGHT)[1] == ["correct"]
    finally:
        release.set()
        thread.join()


def test_a_closed_verifier_stays_closed_in_a_fork(verifier):
    verifier.close()
    child = os.fork()
    if child == 0:
        try:
            verifier.verify(RIGHT)
        except RuntimeError:
            os._exit(0)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_does_not_keep_the_processes_of_a_killed_parent_alive():
    code = (
        "import os, sys, time\n"
        "from conspo_study.reward import Verifier\n"
        "verifier = Verifier()\n"
        "verifier.verify([('x+5', r'\\boxed{5+x}')])\n"
        "if (fork := os.fork()) == 0:\n"
        "    sys.stdin.read()\n"  # lives until the test closes it
        "    os._exit(0)\n"
        "print(*verifier.pids, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        pidfd = os.pidfd_open(pid)
        owner.kill()
        ended, _, _ = select.select([pidfd], [], [], 30)
        os.close(pidfd)
        assert ended, "the checking process outlives its owner"
