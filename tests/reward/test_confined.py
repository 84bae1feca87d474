"""Code that got into a checking process reaches nothing but its own computation."""

import socket

import pytest
from checking_libraries import write_libraries

from conspo_study.config import RewardConfig
from conspo_study.records import Answered, Problem, Verdict
from conspo_study.reward import Verifier, make_judge

# Stands in for math-verify and does what an executed answer might: it dies if it succeeds.
INTRUDER = r"""
import ctypes, os, signal, socket, subprocess, threading

parent, libc = os.getppid(), ctypes.CDLL(None, use_errno=True)

def read(path):
    with open(path, "rb") as file:
        return file.read(100)

def write(path, how):
    with open(path, how) as file:
        file.write("x")

def call(function, *arguments):
    if function(*arguments) == -1:
        raise OSError(ctypes.get_errno(), "refused")

ATTEMPTS = {
    "environ": lambda: os.environ["CANARY"],
    "block": lambda: read("/proc/self/environ").index(b"canary"),
    "parent": lambda: read(f"/proc/{parent}/environ"),
    "memory": lambda: read(f"/proc/{parent}/mem"),
    "passwd": lambda: read("/etc/passwd"),
    "study": lambda: read(SECRET),
    "listing": lambda: os.listdir(os.path.dirname(SECRET)),
    "terminal": lambda: read("/dev/tty"),
    "write": lambda: write(TARGET, "w"),
    "append": lambda: write(SECRET, "a"),
    "remove": lambda: os.unlink(SECRET),
    "rename": lambda: os.rename(SECRET, TARGET),
    "link": lambda: os.symlink("/", TARGET),
    "mode": lambda: os.chmod(SECRET, 0o777),
    "connect": lambda: socket.create_connection(("127.0.0.1", PORT), 5),
    "local": lambda: socket.socketpair(),
    "listen": lambda: socket.create_server(("127.0.0.1", 0)),
    "fork": lambda: os.fork(),
    "spawn": lambda: subprocess.run(["/bin/true"], check=True),
    "exec": lambda: os.execv("/bin/sh", ["sh", "-c", "exit 0"]),
    "thread": lambda: threading.Thread(target=int).start(),
    "signal": lambda: os.kill(parent, 0),
    "trace": lambda: call(libc.ptrace, 16, parent, 0, 0),
    "peek": lambda: call(libc.process_vm_readv, parent, 0, 0, 0, 0, 0),
    "ring": lambda: call(libc.syscall, 425, 8, ctypes.create_string_buffer(120)),
    "nothing": lambda: None,
}

def verify(golds, answers, timeout_seconds):
    (answer,) = answers
    for name, attempt in ATTEMPTS.items():
        if name in answer:
            try:
                attempt()
            except (OSError, RuntimeError, LookupError, ValueError):
                return False
            os._exit(0)
    return False
"""
NAMES = [line.split('"')[1] for line in INTRUDER.splitlines() if line.startswith('    "')]


@pytest.fixture
def listening():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def intruder(tmp_path, monkeypatch, listening):
    """A verifier whose library attempts what an answer names; nothing it attempts may show."""
    secret, target = tmp_path / "study" / "secret", tmp_path / "target"
    secret.parent.mkdir()
    secret.write_text("secret")
    constants = f"SECRET, TARGET, PORT = {str(secret)!r}, {str(target)!r}, {listening}\n"
    write_libraries(tmp_path / "libraries", constants + INTRUDER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "libraries"))
    monkeypatch.setenv("CANARY", "canary")
    with Verifier(RewardConfig(deadline_s=30)) as verifier:
        yield verifier
    assert secret.read_text() == "secret" and secret.stat().st_mode & 0o777 != 0o777
    assert not target.exists() and not target.is_symlink()


def test_code_in_a_checking_process_reaches_nothing(intruder):
    held = intruder._pool.hello()["confined"]
    # The project is tested where the kernel offers both, or this would test nothing.
    assert held == {"files": True, "calls": True}
    judged = intruder.verify([("x", f"\\boxed{{x+{name}}}") for name in NAMES])
    verdicts = dict(zip(NAMES, (judgement.verdict for judgement in judged), strict=True))
    assert verdicts.pop("nothing") is Verdict.KILLED, "an attempt that succeeds is seen"
    assert verdicts == dict.fromkeys(verdicts, Verdict.WRONG)


def test_a_kernel_that_offers_nothing_leaves_a_verifier(monkeypatch, tmp_path):
    hook = (
        "from conspo_study.reward import landlock, seccomp\n"
        "landlock._CREATE = 10**6\n"
        "seccomp._SET_SECCOMP = 10**6\n"
    )
    (tmp_path / "sitecustomize.py").write_text(hook)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with Verifier() as verifier:
        judged = verifier.verify([("x+5", "\\boxed{5+x}"), ("x+5", "\\boxed{x+6}")])
        assert verifier._pool.hello()["confined"] == {"files": False, "calls": False}
    assert [judgement.verdict for judgement in judged] == [Verdict.CORRECT, Verdict.WRONG]


def test_a_reward_of_ones_own_keeps_environment_files_and_network(place, monkeypatch, listening):
    place(
        "calling.py",
        "import os, socket\n"
        "def score(prompt, response, problem):\n"
        "    socket.create_connection(('127.0.0.1', int(response)), 5).close()\n"
        "    open(os.environ['NOTE'], 'w').write('called')\n"
        "    return 1.0\n",
    )
    note = place("note", "")
    monkeypatch.setenv("NOTE", str(note))
    with make_judge(RewardConfig(name="calling:score", deadline_s=30)) as judge:
        (judged,) = judge.judge([Answered(Problem("p", "", ""), "", str(listening))])
    assert judged.verdict is Verdict.CORRECT and note.read_text() == "called"
