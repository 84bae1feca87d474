"""The fork server: a forked worker looks like a fresh process, and without a server it is one."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from conspo_study.processes import fork_client
from conspo_study.processes.fork_client import SERVER
from conspo_study.processes.forked_workers import forked_workers

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


def hang_up_at_once(connection):
    connection.close()


def hang_up_after_the_request(connection):
    connection.recv(1 << 20)
    connection.close()


def answer_nonsense(connection):
    connection.recv(1 << 20)  # and lets go of the client's streams
    connection.sendall(b"?")


@pytest.mark.parametrize("answer", [hang_up_at_once, hang_up_after_the_request, answer_nonsense])
def test_a_server_that_fails_leaves_the_worker_to_rays_own_script(script, tmp_path, answer):
    address = str(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        kept = []  # a connection that is collected is closed

        def serve():
            kept.append(listener.accept()[0])
            answer(kept[0])

        thread = threading.Thread(target=serve)
        thread.start()
        result = run_client(script, folder=tmp_path, **{SERVER: address})
        thread.join()
    assert result.stdout.strip() == f"set up {[str(script)]}"


def test_a_server_that_does_not_answer_leaves_the_worker_to_rays_own_script(script, tmp_path):
    address = str(tmp_path / "socket")
    code = (
        "import sys; from conspo_study.processes import fork_client\n"
        f"sys.argv = ['', {str(script)!r}]\n"
        "fork_client.ANSWER_S = 0.2; fork_client.main()"
    )
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        # A file: the streams that are on their way to the server would keep a pipe open.
        with (tmp_path / "output").open("w") as output:
            environment = {**os.environ, SERVER: address}
            subprocess.run([sys.executable, "-c", code], stdout=output, env=environment, timeout=60)
    assert (tmp_path / "output").read_text().strip() == f"set up {[str(script)]}"


@pytest.mark.parametrize(("go", "output"), [(b"g", "ran\n"), (b"", "")])
def test_a_fork_becomes_the_worker_only_if_its_client_still_waits(tmp_path, go, output):
    script = tmp_path / "default_worker.py"
    script.write_text("print('ran')")
    request = {"argv": [str(script)], "environ": {}, "folder": str(tmp_path)}
    code = (
        "import os, socket; from conspo_study.processes.fork_server import _become_worker\n"
        "client, server = socket.socketpair()\n"
        f"payload = {json.dumps(request).encode()!r}\n"
        "socket.send_fds(client, [len(payload).to_bytes(4, 'big')], [0, 1, 2])\n"
        "client.sendall(payload)\n"
        "if os.fork() == 0:\n"
        "    client.close(); _become_worker(server)\n"
        "server.close()\n"
        "assert client.recv(1) == b'r'\n"
        f"client.sendall({go!r})\n"
        f"{'' if go else 'client.close()'}\n"
        "os.wait()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == (output, "")


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
    assert fork_client.worker_environment(arguments) == expected


def test_workers_of_other_languages_and_scripts_are_left_to_ray():
    assert fork_client.worker_environment(["/ray/default_worker.py", "--language=JAVA"]) is None
    assert fork_client.worker_environment(["-s", "/ray/default_worker.py"]) is None
    assert fork_client.worker_environment([]) is None


@pytest.mark.slow
@pytest.mark.ray
def test_ray_starts_workers_through_the_client(monkeypatch, tmp_path):
    """Ray hands over what the client reads: no worker takes the slow way, until the server dies."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    code = (
        "import os, ray, signal\n"
        "from conspo_study.cluster.connection import ray_cluster\n"
        "def parent():\n"
        "    return os.getppid(), open(f'/proc/{os.getppid()}/cmdline').read()\n"
        "def started_by(value):\n"
        "    fresh = ray.remote(num_cpus=0, runtime_env={'env_vars': {'A': value}})(parent)\n"
        "    return ray.get(fresh.remote(), timeout=100)\n"
        "with ray_cluster(tell=print):\n"
        "    pid, command = started_by('b')\n"
        "    print('before', command)\n"
        "    os.kill(pid, signal.SIGKILL)\n"
        "    print('after', started_by('c')[1])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300, cwd=tmp_path
    )
    lines = sorted(done.stdout.splitlines())
    assert len(lines) == 3, done.stdout + done.stderr
    assert lines[0].startswith("Trials start more slowly")
    assert "SIGKILL" in lines[0]
    assert "fork_server" not in lines[1]
    assert "conspo_study.processes.fork_server" in lines[2]


@pytest.fixture(scope="module")
def server():
    with forked_workers(pytest.fail) as server:
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
        "from conspo_study.processes.forked_workers import forked_workers\n"
        "with forked_workers(print) as server:\n"
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
        "spawner.WITHOUT_RAY = ()\n"
        "spawner._preload_ray = lambda: os.kill(os.getpid(), signal.SIGINT)\n"
        f"spawner.serve({str(tmp_path / 'socket')!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, timeout=60, input=b"{}\n"
    )
    assert done.returncode == -signal.SIGINT
    assert done.stdout + done.stderr == b""
