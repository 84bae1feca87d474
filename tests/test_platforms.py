"""On macOS and Windows a study is refused in one sentence; plans and results work."""

import subprocess
import sys
from pathlib import Path

import pytest
from study_shapes import shapes, write_shape

from conspo_study import machine

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
@pytest.mark.parametrize(("system", "name"), [("darwin", "macOS"), ("win32", "Windows")])
def test_plans_and_results_work_there_and_a_study_is_refused_before_any_work(
    system, name, tmp_path
):
    folder = write_shape(tmp_path / "study", shapes()["confirmed"])
    commands = [
        "studies/margin_sweep.py --preset quick --dry-run",
        f"conspo status {folder}",
        f"conspo report {folder}",
        f"conspo export {folder}",
        f"studies/margin_sweep.py --preset quick --results {tmp_path / 'refused'}",
    ]
    script = ROOT / "tests" / "support" / "another_system.py"
    done = subprocess.run(
        [sys.executable, script, system, *commands],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=ROOT,
    )
    plan, status, report, export, refused, rest = done.stdout.split("exit status ")
    assert "concurrency" in plan, done.stderr
    assert "2 finished" in status
    assert (folder / "report.html").exists()
    assert (folder / "optuna.sqlite3").exists()
    ends = [text[0] for text in (status, report, export, refused, rest)]
    assert ends == ["0", "0", "0", "0", "2"], done.stderr
    (message,) = done.stderr.splitlines()
    assert message.startswith(f"error: {name} cannot run a study, since")
    assert "Linux machine" in message
    assert not (tmp_path / "refused").exists()


def test_linux_runs_studies_and_others_are_named(monkeypatch):
    assert machine.why_no_study_runs_here() is None
    monkeypatch.setattr(machine.sys, "platform", "freebsd14")
    assert machine.why_no_study_runs_here().startswith("freebsd14 cannot run a study")


def test_without_a_cpu_mask_all_cores_count(monkeypatch, tmp_path):
    monkeypatch.setattr(machine.sys, "platform", "darwin")
    monkeypatch.delattr(machine.os, "sched_getaffinity")
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 7)
    assert machine.usable_cores(tmp_path) == 7
    monkeypatch.setattr(machine.os, "cpu_count", lambda: None)
    assert machine.usable_cores(tmp_path) == 1
