"""The fork server: a forked worker looks like a fresh process, and without a server it is one."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conspo_study import spawn_client
from conspo_study.spawn_client import SERVER
from conspo_study.spawner import fork_server

SCRIPT = """
import os, sys
print(sys.argv[1:], os.environ.get("COLOUR"), os.getcwd(), "torch" in sys.modules, __name__)
"""


def run_client(script, *arguments, folder=None, **environment):
    return subprocess.run(
        [sys.executable, "-I", "-S", spawn_client.__file__, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, **environment},
    )


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


@pytest.mark.parametrize("address", [None, "/nonexistent/socket"])
def test_without_a_server_the_client_becomes_a_plain_python(script, tmp_path, address):
    environment = {SERVER: address} if address else {}
    result = run_client(script, "a b", "'c'", folder=tmp_path, COLOUR="red", **environment)
    assert (
        result.stdout.strip() == f"{['a b', chr(39) + 'c' + chr(39)]} red {tmp_path} False __main__"
    )


@pytest.fixture(scope="module")
def server():
    with fork_server() as server:
        server.start(os.environ)
        server.wait_until_ready(120)
        assert Path(server.address).exists(), "the fork server refused to serve"
        yield server


@pytest.mark.slow
def test_a_forked_worker_sees_its_own_arguments_environment_and_folder(server, script, tmp_path):
    environment = {SERVER: server.address, "COLOUR": "blue"}
    result = run_client(script, "a b", folder=tmp_path, **environment)
    assert result.stdout.strip() == f"['a b'] blue {tmp_path} True __main__"
    assert result.stderr == ""


@pytest.mark.slow
def test_forked_workers_do_not_repeat_each_others_random_ids(server, tmp_path):
    script = tmp_path / "ids.py"
    script.write_text(
        "from ray._raylet import JobID, PlacementGroupID\n"
        "import random, uuid\n"
        "print(PlacementGroupID.of(JobID.from_int(1)).hex(), uuid.uuid4(), random.random())\n"
    )
    lines = {run_client(script, **{SERVER: server.address}).stdout for _ in range(3)}
    columns = list(zip(*(line.split() for line in lines), strict=True))
    assert [len(set(column)) for column in columns] == [3, 3, 3]


@pytest.mark.slow
def test_the_client_lives_as_long_as_its_worker_and_the_worker_can_have_children(server, tmp_path):
    script = tmp_path / "slow.py"
    script.write_text(
        "import subprocess, time\n"
        "assert subprocess.run(['false']).returncode == 1\n"
        "time.sleep(0.5)\n"
        "raise SystemExit('an error that belongs on standard error')\n"
    )
    started = time.monotonic()
    result = run_client(script, **{SERVER: server.address})
    assert time.monotonic() - started > 0.5
    assert "an error that belongs" in result.stderr


@pytest.mark.slow
def test_the_server_ends_with_the_process_that_started_it(tmp_path):
    code = (
        "import os, time\n"
        "from conspo_study.spawner import fork_server\n"
        "with fork_server() as server:\n"
        "    server.start(os.environ)\n"
        "    print(server._process.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    parent = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    pid = int(parent.stdout)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not Path(f"/proc/{pid}").exists()


def test_ctrl_c_while_it_gets_ready_ends_it_without_a_word(tmp_path):
    code = (
        "import os, signal, conspo_study.spawner as spawner\n"
        "spawner._preload = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        f"spawner.serve({str(tmp_path / 'socket')!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert done.returncode == -signal.SIGINT
    assert done.stdout + done.stderr == b""
