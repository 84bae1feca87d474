"""The fork server: a forked worker looks like a fresh process, and without a server it is one."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conspo_study.processes import fork_client
from conspo_study.processes.fork_client import SERVER
from conspo_study.processes.fork_server import fork_server

SCRIPT = """
import os, sys
print(sys.argv[1:], os.environ.get("COLOUR"), os.getcwd(), "torch" in sys.modules, __name__)
"""


def run_client(script, *arguments, folder=None, context=None, **environment):
    """Start a worker as Ray does, `script` standing for Ray's."""
    if context is not None:
        arguments += ("--language=PYTHON", f"--serialized-runtime-env-context={context}")
    return subprocess.run(
        [sys.executable, fork_client.__file__, str(script), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=folder,
        env={**os.environ, **environment},
    )


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "default_worker.py"
    path.write_text(SCRIPT)
    # Ray's own script, which the client becomes where it cannot have a worker forked.
    (tmp_path / "setup_worker.py").write_text("import sys; print('set up', sys.argv[1:])")
    return path


@pytest.mark.parametrize("address", [None, "", "/nonexistent/socket"])
def test_without_a_server_the_client_becomes_rays_own_script(script, tmp_path, address):
    environment = {} if address is None else {SERVER: address}
    result = run_client(script, "a b", "'c'", folder=tmp_path, context="{}", **environment)
    given = [str(script), "a b", "'c'", "--language=PYTHON", "--serialized-runtime-env-context={}"]
    assert result.stdout.strip() == f"set up {given}"


NOTHING = {"command_prefix": [], "env_vars": {}, "override_worker_entrypoint": None}


@pytest.mark.parametrize(
    ("asked", "variables"),
    [
        ({}, {}),
        ({"py_executable": sys.executable}, {}),
        ({"env_vars": {"COLOUR": "red"}}, {"COLOUR": "red"}),
        ({"env_vars": {"COLOUR": "${OTHER}"}}, None),
        ({"py_executable": "/usr/bin/another"}, None),
        ({"command_prefix": ["cd", "/tmp", "&&"]}, None),
        ({"override_worker_entrypoint": "another.py"}, None),
        ({"something_new": True}, None),
    ],
)
def test_only_environment_variables_are_left_to_the_fork(asked, variables):
    context = json.dumps(NOTHING | asked)
    arguments = ["/ray/default_worker.py", "--x", f"--serialized-runtime-env-context={context}"]
    expected = None if variables is None else {**os.environ, **variables}
    assert fork_client._environment(arguments) == expected


def test_workers_of_other_languages_and_scripts_are_left_to_ray():
    assert fork_client._environment(["/ray/default_worker.py", "--language=JAVA"]) is None
    assert fork_client._environment(["-s", "/ray/default_worker.py"]) is None
    assert fork_client._environment([]) is None


@pytest.mark.slow
def test_ray_starts_workers_through_the_client(monkeypatch, tmp_path):
    """What Ray hands over is what the client reads: no worker takes the slow way."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code = (
        "import os, ray\n"
        "from conspo_study.cluster.launch import ray_cluster\n"
        "def parent(): return open(f'/proc/{os.getppid()}/cmdline').read()\n"
        "with ray_cluster():\n"
        "    fresh = ray.remote(num_cpus=0, runtime_env={'env_vars': {'A': 'b'}})(parent)\n"
        "    print(ray.get(fresh.remote()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    assert "conspo_study.processes.fork_server" in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server():
    with fork_server() as server:
        server.start(os.environ)
        server.wait_until_ready(120)
        assert Path(server.address).exists(), "the fork server refused to serve"
        yield server


@pytest.mark.slow
def test_a_forked_worker_sees_its_own_arguments_environment_and_folder(server, script, tmp_path):
    environment = {SERVER: server.address, "COLOUR": "red"}
    context = json.dumps({"env_vars": {"COLOUR": "blue"}})
    result = run_client(script, "a b", folder=tmp_path, context=context, **environment)
    assert result.stdout.strip() == f"['a b'] blue {tmp_path} True __main__"
    assert result.stderr == ""


@pytest.mark.slow
def test_forked_workers_do_not_repeat_each_others_random_ids(server, tmp_path):
    script = tmp_path / "default_worker.py"
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
    script = tmp_path / "default_worker.py"
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
        "from conspo_study.processes.fork_server import fork_server\n"
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
        "import os, signal, conspo_study.processes.fork_server as spawner\n"
        "spawner._preload_ray = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        f"spawner.serve({str(tmp_path / 'socket')!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, input=b"{}\n"
    )
    assert done.returncode == -signal.SIGINT
    assert done.stdout + done.stderr == b""
