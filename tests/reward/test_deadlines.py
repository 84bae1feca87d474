"""Deadlines of checks count the computing of a check, not the business of the machine."""

import subprocess
import sys
import time

import pytest
from checking_libraries import write_libraries

from conspo_study.config import RewardConfig
from conspo_study.records import Verdict
from conspo_study.reward import Verifier, child

# Stands in for math-verify: an answer's text says how long a check takes.
SLOW = """
import time

def verify(golds, answers, timeout_seconds):
    (answer,) = answers
    if "wait" in answer:
        time.sleep(3 * BUDGET_S)
    if "sleep" in answer:
        time.sleep(600)
    if "work" in answer or "busy" in answer:
        begun = time.process_time()
        while time.process_time() - begun < 0.6 * BUDGET_S or "busy" in answer:
            pass
    return False
"""


@pytest.fixture
def slow(tmp_path, monkeypatch):
    """Makes verifiers with a budget of seconds."""
    made = []

    def make(budget_s, workers=1):
        libraries = tmp_path / str(budget_s)
        if not libraries.exists():
            write_libraries(libraries, f"BUDGET_S = {budget_s}\n{SLOW}")
        monkeypatch.setenv("PYTHONPATH", str(libraries))
        made.append(Verifier(RewardConfig(deadline_s=budget_s, workers=workers)))
        return made[-1]

    yield make
    for verifier in made:
        verifier.close()


def verdicts(verifier, answers):
    return [j.verdict for j in verifier.verify([("x", f"\\boxed{{x+{a}}}") for a in answers])]


def test_a_check_may_wait_for_the_machine_but_not_compute_beyond_its_budget(slow):
    found = verdicts(slow(0.5), ["wait", "work", "busy", "y"])
    assert found == [Verdict.WRONG, Verdict.WRONG, Verdict.TIMEOUT, Verdict.WRONG]


def test_a_check_that_sleeps_ends_too(slow, monkeypatch):
    monkeypatch.setattr(child, "_BACKSTOP", (2.0, 0.5))
    begun = time.monotonic()
    assert verdicts(slow(0.5), ["sleep", "y"]) == [Verdict.TIMEOUT, Verdict.WRONG]
    assert time.monotonic() - begun < 60


@pytest.mark.slow
def test_two_hundred_borderline_answers_get_the_same_verdicts_on_a_busy_machine(slow):
    answers = [f"work_{{{number}}}" for number in range(200)]
    answers[::40] = [f"busy_{{{number}}}" for number in range(5)]
    quiet = verdicts(slow(0.1, workers=2), answers)
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(8)]
    try:
        loaded = verdicts(slow(0.1, workers=2), answers)
    finally:
        for process in load:
            process.kill()
            process.wait()
    assert loaded == quiet
    assert quiet.count(Verdict.WRONG) == 195 and quiet.count(Verdict.TIMEOUT) == 5
