"""Ray starts its processes itself whenever forking them fails, with one notice."""

import inspect
import os
import signal
import time
from importlib import metadata

import pytest
import ray
from ray._private import parameter
from ray._private.runtime_env.context import RuntimeEnvContext

from conspo_study.processes import forked_workers as module
from conspo_study.processes import ray_internals
from conspo_study.processes.fork_client import SERVER
from conspo_study.processes.fork_server import WITH_RAY
from conspo_study.processes.forked_workers import SWITCH, forked_workers
from conspo_study.processes.ray_internals import FORKING, STARTING, missing
from conspo_study.records import StudyError

RAY_PARAMS = parameter.RayParams


@pytest.mark.parametrize("name", [*STARTING, *FORKING, *(n for n in WITH_RAY if n[:3] == "ray")])
def test_canary_ray_still_has_the_private_name(name):
    """Forking Ray's workers needs every one of these; see `ray_internals` for what each is for."""
    assert missing([name]) == [], (
        f"Ray {ray.__version__} has no {name}: adapt conspo_study/processes/fork_server.py and its "
        "neighbours, or bound Ray's version in pyproject.toml; until then Ray starts its processes "
        "itself, and trials start more slowly"
    )


def test_canary_ray_still_uses_them_as_it_did():
    version = f"Ray {ray.__version__}"
    source = inspect.getsource(ray._private.worker)
    assert "ray._private.parameter.RayParams(" in source, f"{version} makes its node otherwise"
    assert vars(RuntimeEnvContext()).keys() == {
        "command_prefix",
        "env_vars",
        "py_executable",
        "override_worker_entrypoint",
        "java_jars",
    }, f"{version} asks a worker for something that fork_client does not know"


def test_names_that_ray_lacks_are_told():
    absent = ["ray.no_such_module", "ray.actor:NoSuchClass", "ray:init(no_such_argument)"]
    assert missing(["ray:init(num_cpus)", *absent, "ray.actor"]) == absent


@pytest.fixture
def notices():
    return []


def wait_for(notices):
    deadline = time.monotonic() + 30
    while not notices and time.monotonic() < deadline:
        time.sleep(0.02)


def check_that_ray_starts_its_own_processes(notices, *reasons):
    """One notice, and nothing left of the attempt."""
    with forked_workers(notices.append) as server:
        assert server is None
        assert SERVER not in os.environ
        assert parameter.RayParams is RAY_PARAMS
    (notice,) = notices
    assert notice.startswith("Trials start more slowly, because")
    assert notice.endswith(f"Results stay the same; {SWITCH}=0 starts without it")
    assert all(reason in notice for reason in reasons), notice


def test_the_switch_turns_it_off_without_a_word(monkeypatch, notices):
    monkeypatch.setenv(SWITCH, "0")
    monkeypatch.setattr(module, "ForkServer", lambda *_: pytest.fail("it was started"))
    with forked_workers(notices.append) as server:
        assert server is None
    assert notices == []


def test_a_switch_that_says_neither_is_refused(monkeypatch, notices):
    monkeypatch.setenv(SWITCH, "perhaps")
    with (
        pytest.raises(StudyError, match=f"{SWITCH} is 'perhaps': set it to 0 "),
        forked_workers(notices.append),
    ):
        pass


def test_a_private_name_that_ray_lacks(monkeypatch, notices):
    monkeypatch.setattr(module, "STARTING", ("ray._private.gone:Name",))
    check_that_ray_starts_its_own_processes(notices, "has no ray._private.gone:Name")


def test_a_version_of_ray_that_was_not_tested(monkeypatch, notices):
    monkeypatch.setattr(metadata, "version", lambda _: "1.0")
    monkeypatch.setattr(metadata, "requires", lambda _: ["ray[train]<2.62,>=2.60", "torch"])
    assert ray_internals.tested_versions() == "<2.62,>=2.60"
    check_that_ray_starts_its_own_processes(notices, "not among those tested (<2.62,>=2.60)")


def test_a_process_that_cannot_be_started(monkeypatch, notices):
    def refuse(*arguments, **options):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(module.subprocess, "Popen", refuse)
    check_that_ray_starts_its_own_processes(notices, "Resource temporarily unavailable")


def stand_in(monkeypatch, tmp_path, script):
    """Let a shell script stand for the server's Python."""
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(module.sys, "executable", str(python))


def test_a_server_that_fails_tells_its_last_line_once(monkeypatch, tmp_path, notices):
    stand_in(monkeypatch, tmp_path, "echo Traceback >&2; echo 'ImportError: no torch' >&2; exit 1")
    with forked_workers(notices.append) as server:
        server.start({})
        server.wait_until_ready(30)
        wait_for(notices)
        assert "failed: ImportError: no torch." in notices[0]
    assert len(notices) == 1


def test_a_server_that_is_killed_in_the_middle_of_a_study(monkeypatch, tmp_path, notices):
    stand_in(monkeypatch, tmp_path, "echo 'a warning' >&2; exec sleep 60")
    with forked_workers(notices.append) as server:
        os.kill(server._process.pid, signal.SIGKILL)
        wait_for(notices)
        assert "failed: it was ended by SIGKILL." in notices[0]
    assert len(notices) == 1


def test_a_server_that_is_never_ready_is_ended(monkeypatch, tmp_path, notices):
    monkeypatch.setattr(module, "_END_S", 0.1)
    stand_in(monkeypatch, tmp_path, "exec sleep 60")
    with forked_workers(notices.append) as server:
        server.start({})
        server.wait_until_ready(0.1)
        assert server._process.poll() is not None
    assert len(notices) == 1
    assert "it was not ready after 0 s" in notices[0]


@pytest.mark.parametrize("script", ["cat > /dev/null", "kill -INT $$"])
def test_an_end_that_was_asked_for_is_not_told(monkeypatch, tmp_path, notices, script):
    stand_in(monkeypatch, tmp_path, script)
    with forked_workers(notices.append) as server:
        if "INT" in script:
            server._process.wait()
            time.sleep(0.1)
    assert notices == []
