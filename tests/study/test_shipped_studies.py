"""Every shipped study runs to its report; the margin sweep has tests of its own."""

import os
import subprocess
import sys

import pytest
from studies_under_fire import LIMIT_S, ROOT, table_of

SHIPPED = {
    "ablation": (),
    "baselines": (),
    "baselines_learning_rate": ("--set", "train.steps=1"),
    "contrast": (),
    "group_size_sweep": (),
    "joint_search": ("--trials", "3"),
    "more_objectives": ("--only", "lr x1", "--name", "more_objectives"),
    "parameter_study": (),
    "regime_map": (
        *("--only", "E1,E16", "--only", "linear,GRPO", "--only", "lr x1"),
        *("--name", "regime_map"),
    ),
    "temperature_sweep": (),
}
"""Name of the script to options that keep it short."""


def test_no_study_is_forgotten():
    scripts = {path.stem for path in (ROOT / "studies").glob("*.py")}
    assert scripts == {*SHIPPED, "margin_sweep"}


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_study_runs_to_its_report(name, shared_ray, tmp_path):
    options = ["--preset", "quick", "--seeds", "0", "--no-confirm", "--results", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, str(ROOT / "studies" / f"{name}.py"), *options, *SHIPPED[name]],
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        cwd=tmp_path,
        env={**os.environ, **shared_ray, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    folder = tmp_path / name
    table = table_of(folder)
    assert table.finished and {row.state.value for row in table.rows} == {"finished"}
    assert (folder / "report.html").stat().st_size > 10_000
    assert len(list((folder / "figures").glob("*.png"))) >= 5
    tables = (folder / "tables" / "trials.md").read_text("utf-8")
    assert all(row.id in tables for row in table.rows)
