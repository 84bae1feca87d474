"""The checking processes: their start, their death and that none is left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from checking_libraries import write_libraries

from conspo_study.config import RewardConfig
from conspo_study.records import Verdict
from conspo_study.reward import Verifier, VerifierUnavailable

WAIT_S = 60.0
STUBBORN = "\\boxed{(900000!)^{900000}}"
"""Hangs, and nothing in its text says so."""

# Stands in for math-verify: an answer's text says how the check goes wrong.
FAULTY = r"""
import os, signal

def verify(golds, answers, timeout_seconds):
    (answer,) = answers
    if "print" in answer:
        print(answer); os.write(1, b'{"verdict": "correct"}\n'); os.write(2, answer.encode())
    if "exit" in answer:
        os._exit(0)
    if "segfault" in answer:
        os.kill(os.getpid(), signal.SIGSEGV)
    if "raise" in answer:
        raise MemoryError
    if "exhaust" in answer:
        try:
            hoard = [bytearray(1 << 20) for _ in range(1 << 20)]
        except MemoryError:
            pass
    return False
"""


def alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def cpu_ticks(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11])


def children_of(pid):
    """Processes that a process without threads has started."""
    return [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(condition):
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "the awaited state was not reached"
        time.sleep(0.01)


@pytest.fixture
def faulty(tmp_path, monkeypatch):
    write_libraries(tmp_path, FAULTY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Verifier(RewardConfig(deadline_s=30, memory_mb=256)) as verifier:
        yield verifier


@pytest.mark.parametrize("fault", ["exit", "segfault", "raise", "exhaust"])
def test_a_check_whose_process_dies_is_killed_and_the_next_one_is_fine(faulty, fault):
    responses = ["\\boxed{x}", f"\\boxed{{x+{fault}}}", "\\boxed{y}"]
    judged = faulty.verify([("x", response) for response in responses])
    verdicts = [judgement.verdict for judgement in judged]
    assert verdicts == [Verdict.CORRECT, Verdict.KILLED, Verdict.WRONG]
    assert len(faulty.pids) == 1


def test_what_a_library_prints_is_neither_shown_nor_taken_for_a_reply(faulty, capfd):
    judged = faulty.verify([("x", "\\boxed{x+print}"), ("x", "\\boxed{x}")])
    assert [judgement.verdict for judgement in judged] == [Verdict.WRONG, Verdict.CORRECT]
    assert capfd.readouterr() == ("", "")


def test_a_process_killed_at_work_makes_the_verdict_killed():
    with Verifier(RewardConfig(deadline_s=WAIT_S)) as verifier:
        verifier.verify([("x+5", "\\boxed{5+x}")])
        (pid,) = verifier.pids
        idle = cpu_ticks(pid)
        judged = []
        thread = threading.Thread(
            target=lambda: judged.extend(verifier.verify([("x+5", STUBBORN)]))
        )
        thread.start()
        wait_until(lambda: cpu_ticks(pid) > idle + 5)
        os.kill(pid, signal.SIGKILL)
        thread.join()
        assert judged[0].verdict is Verdict.KILLED
        assert verifier.verify([("x+5", "\\boxed{5+x}")])[0].verdict is Verdict.CORRECT


def test_a_process_killed_while_idle_costs_no_verdict():
    with Verifier(RewardConfig(deadline_s=30)) as verifier:
        verifier.verify([("x+5", "\\boxed{5+x}")])
        (pid,) = verifier.pids
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not alive(pid))
        assert verifier.verify([("x+5", "\\boxed{5+x}")])[0].verdict is Verdict.CORRECT


def test_close_leaves_no_process_and_ends_the_verifier():
    verifier = Verifier(RewardConfig(deadline_s=0.5, workers=2))
    verifier.verify([("x+5", "\\boxed{5+x}"), ("x+5", STUBBORN)])
    pids = verifier.pids
    assert len(pids) == 2
    verifier.close()
    verifier.close()
    assert not any(alive(pid) for pid in pids)
    with pytest.raises(RuntimeError, match="closed"):
        verifier.verify([("5", "\\boxed{5}")])


def test_a_forgotten_verifier_takes_its_processes_along():
    verifier = Verifier(RewardConfig(deadline_s=30))
    verifier.verify([("x+5", "\\boxed{5+x}")])
    (pid,) = verifier.pids
    del verifier
    wait_until(lambda: not alive(pid))


@pytest.mark.parametrize("how", ["exits", "is killed"])
def test_no_process_survives_when_the_owner(how):
    code = (
        "from conspo_study.config import RewardConfig\n"
        "from conspo_study.reward import Verifier\n"
        "verifier = Verifier(RewardConfig(workers=2, deadline_s=1.0))\n"
        "verifier.verify([('x+5', r'\\boxed{5+x}'), ('x+5', r'\\boxed{x+6}')])\n"
        "print(*verifier.pids, flush=True)\n"
    )
    if how == "is killed":
        code += f"while True: verifier.verify([('x+5', r'{STUBBORN}')])\n"
    owner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert owner.stdout is not None
    pids = [int(pid) for pid in owner.stdout.readline().split()]
    assert len(pids) == 2
    if how == "is killed":
        idle = {pid: cpu_ticks(pid) for pid in pids}
        # One of the two children is now computing and does not look at its input.
        wait_until(lambda: any(not alive(pid) or cpu_ticks(pid) > idle[pid] + 5 for pid in idle))
        pids += children_of(owner.pid)  # a replacement of one that was at its deadline
        owner.kill()
    owner.communicate()
    wait_until(lambda: not any(map(alive, pids)))


def test_a_library_that_does_not_load_is_reported_with_what_to_do(tmp_path, monkeypatch):
    (tmp_path / "math_verify.py").write_text("raise ImportError('no such thing')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        Verifier(RewardConfig()) as verifier,
        pytest.raises(VerifierUnavailable, match=r"no such thing.*install"),
    ):
        verifier.verify([("x+5", "\\boxed{5+x}")])


def test_a_process_that_never_gets_ready_is_not_started_for_ever(tmp_path, monkeypatch):
    (tmp_path / "math_verify.py").write_text("import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with (
        Verifier(RewardConfig()) as verifier,
        pytest.raises(VerifierUnavailable, match="in a row"),
    ):
        verifier.verify([("x+5", "\\boxed{5+x}")])


def test_the_child_imports_nothing_heavy_besides_its_library():
    heavy = ("torch", "ray", "transformers", "pydantic", "numpy", "sympy")
    code = (
        "import sys, conspo_study.reward.worker\n"
        f"sys.exit(' '.join(name for name in {heavy} if name in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE, check=False)
    assert done.stderr.strip() == b""
