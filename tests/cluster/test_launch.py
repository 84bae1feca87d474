"""A cluster that is not there, or cannot be used, is an error at once."""

import ctypes
import signal
import socket
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray

from conspo_study.cluster import connection, launch
from conspo_study.cluster.connection import (
    METRICS_PORT,
    RAY_SETTINGS,
    Cluster,
    metrics_port,
    ray_cluster,
)
from conspo_study.cluster.passed_on import PASSED_ON
from conspo_study.processes.interrupts import interrupts
from conspo_study.records import StudyError
from conspo_study.results.retention import BUDGET
from conspo_study.terminal.console import Console


@pytest.fixture
def closed_port():
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return reserved.getsockname()[1]


def test_a_cluster_that_nobody_runs_is_an_error_with_advice(monkeypatch, closed_port):
    monkeypatch.setenv("RAY_ADDRESS", f"127.0.0.1:{closed_port}")
    with (
        pytest.raises(StudyError, match=r"cannot be used: .*refused.*ray start --head"),
        ray_cluster(),
    ):
        pass


def test_what_processes_of_a_cluster_need_is_passed_on_and_nothing_else(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "head:6379")
    monkeypatch.setenv("CONSPO_STUDY_CACHE", "/shared/cache")
    monkeypatch.setenv("SECRET", "token")
    monkeypatch.setenv("HF_TOKEN", "token")
    monkeypatch.setenv("HF_HOME", "/shared/hub")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in set(PASSED_ON) - {"RAY_ADDRESS", "CONSPO_STUDY_CACHE", "HF_HOME", "HF_HUB_OFFLINE"}:
        monkeypatch.delenv(name, raising=False)
    for name in ("NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME"):
        monkeypatch.setenv(name, "ib0")
    monkeypatch.setenv("VLLM_USE_V2_MODEL_RUNNER", "0")
    for name in ("VLLM_API_KEY", "VLLM_HOST_IP", "NCCL_SECRET", "PYTORCH_TOKEN"):
        monkeypatch.setenv(name, "secret, or of this node alone")
    for name, value in RAY_SETTINGS.items():
        monkeypatch.setenv(name, value)
    passed = connection._passed_on()
    assert passed == {
        **RAY_SETTINGS,
        "RAY_ADDRESS": "head:6379",
        "CONSPO_STUDY_CACHE": "/shared/cache",
        "HF_HOME": "/shared/hub",
        "HF_HUB_OFFLINE": "1",
        "NCCL_SOCKET_IFNAME": "ib0",
        "GLOO_SOCKET_IFNAME": "ib0",
        "VLLM_USE_V2_MODEL_RUNNER": "0",
    }


def test_a_signal_is_heard_after_ray_has_ended(monkeypatch):
    """Ray's core gives SIGTERM back to the system when it ends, unseen by Python."""

    def core_ends():
        ctypes.CDLL(None).signal(signal.SIGTERM, None)

    def is_handled():
        status = Path("/proc/self/status").read_text()
        caught = int(status.partition("SigCgt:")[2].split()[0], 16)
        return bool(caught >> (signal.SIGTERM - 1) & 1)

    monkeypatch.setattr(ray, "shutdown", core_ends)
    with interrupts():
        core_ends()
        assert not is_handled()
        connection._shut_down()
        assert is_handled()


def test_every_name_that_is_passed_on_is_documented():
    page = (Path(__file__).resolve().parents[2] / "docs" / "cluster.md").read_text()
    assert [name for name in PASSED_ON if name not in page] == []


def test_a_budget_that_is_no_amount_stops_a_study_before_ray_starts(monkeypatch, tmp_path):
    monkeypatch.setenv(BUDGET, "plenty")
    monkeypatch.setattr(launch, "ray_cluster", lambda: pytest.fail("Ray was started"))
    with pytest.raises(StudyError, match="plenty"):
        launch.launch(None, tmp_path, None, None, Console(quiet=True))


@pytest.mark.parametrize("root", ["/proc/nosuch/cache", "/dev/null/cache"])
def test_a_cache_that_cannot_be_made_stops_a_study_before_ray_starts(monkeypatch, tmp_path, root):
    monkeypatch.setenv("CONSPO_STUDY_CACHE", root)
    monkeypatch.setattr(launch, "ray_cluster", lambda: pytest.fail("Ray was started"))
    with pytest.raises(StudyError, match=f"cache {root} cannot be made .*set CONSPO_STUDY_CACHE"):
        launch.launch(None, tmp_path, None, None, Console(quiet=True))


def test_a_policy_that_cannot_be_had_is_bad_input_in_one_line():
    for error in (OSError("the cache is full"), ValueError("no such model")):
        policy = Future()
        policy.set_exception(error)
        with pytest.raises(StudyError, match=str(error)):
            launch._policy_of(policy)


def test_ray_s_object_store_goes_to_the_disk_where_shared_memory_is_small(monkeypatch):
    free = SimpleNamespace(free=64 << 20)
    monkeypatch.setattr(connection, "disk_usage", lambda path: free)
    small = {"object_store_memory": connection.OBJECT_STORE_BYTES, "_plasma_directory": "/scratch"}
    assert connection._object_store(Path("/scratch")) == small
    free.free = 8 << 30
    assert connection._object_store(Path("/scratch")) == {}

    def absent(path):
        raise FileNotFoundError(path)

    monkeypatch.setattr(connection, "disk_usage", absent)
    assert connection._object_store(Path("/scratch")) == small


def test_folders_of_this_process_alone_are_not_passed_on_to_other_nodes(monkeypatch, tmp_path):
    monkeypatch.setattr(connection, "private_folder_if_any", lambda: tmp_path)
    monkeypatch.setenv("CONSPO_STUDY_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", "/shared/hub")
    passed = connection._passed_on()
    assert "CONSPO_STUDY_CACHE" not in passed and passed["HF_HOME"] == "/shared/hub"


@pytest.mark.parametrize("text", ["many", "0", "65536", "-1", "80.5", "", "८०८०"])
def test_what_is_no_port_stops_a_study_before_ray_starts(monkeypatch, tmp_path, text):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv(METRICS_PORT, text)
    monkeypatch.setattr(launch, "ray_cluster", lambda: pytest.fail("Ray was started"))
    with pytest.raises(StudyError, match=rf"{METRICS_PORT} is .*1 to 65535"):
        launch.launch(None, tmp_path, None, None, Console(quiet=True))


def test_a_port_for_metrics_must_be_free_unless_a_cluster_has_its_own(monkeypatch, closed_port):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv(METRICS_PORT, raising=False)
    assert metrics_port() is None
    monkeypatch.setenv(METRICS_PORT, str(closed_port))
    assert metrics_port() == closed_port
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", closed_port))
        taken.listen()
        with pytest.raises(StudyError, match=f"{closed_port}, a port that cannot be used"):
            metrics_port()
        monkeypatch.setenv("RAY_ADDRESS", "head:6379")
        assert metrics_port() is None


def test_the_dashboard_s_address_says_how_to_get_the_token_and_not_the_token(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    cluster = Cluster("127.0.0.1:8265", tmp_path)
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    (line,) = cluster.lines()
    assert "http://127.0.0.1:8265" in line and "`ray get-auth-token`" in line
    assert "secret" not in line
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert cluster.lines() == ["Ray dashboard: http://127.0.0.1:8265"]
    assert Cluster("", tmp_path).lines() == []
    (tmp_path / "a token").write_text("secret")
    (line,) = Cluster("127.0.0.1:8265", tmp_path, tmp_path / "a token").lines()
    assert line.endswith(f"`cat '{tmp_path}/a token'` prints") and "secret" not in line


def test_logs_of_a_ray_that_did_not_start_outlive_the_study_s_folder(tmp_path):
    folder = tmp_path / "conspo-1"
    logs = folder / "ray" / "session_1" / "logs"
    logs.mkdir(parents=True)
    (folder / "ray" / "session_latest").symlink_to(logs.parent)
    (logs / "raylet.out").write_text("out of files")
    advice = connection._start_advice(folder)
    kept = Path(advice.partition("Ray's logs are kept in ")[2])
    assert (kept / "raylet.out").read_text() == "out of files"
    assert kept.parent.parent == tmp_path and kept.parent.stat().st_mode & 0o777 == 0o700
    assert "are kept" not in connection._start_advice(tmp_path / "never made")
