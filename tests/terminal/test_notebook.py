"""The notebook: committed without outputs, and its cells run one after the other."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "studies" / "notebook.ipynb"


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text())["cells"]


def test_it_is_stored_without_outputs(cells):
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert len(code) > 5
    for cell in code:
        assert cell["outputs"] == [] and cell["execution_count"] is None


@pytest.mark.slow
@pytest.mark.ray
def test_its_cells_run_and_run_again(cells, shared_ray, tmp_path):
    """As a script, since Jupyter need not be here; declared and run again, all is done already."""
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    runs = next(number for number, text in enumerate(code) if "study.run(" in text) + 1
    told = "print([outcome.complete, outcome.ran, outcome.finished])"
    script = tmp_path / "cells.py"
    environment = {
        **os.environ,
        **shared_ray,
        "PYTHONPATH": str(ROOT),
        "MPLBACKEND": "Agg",
        "CONSPO_STUDY_CACHE": str(tmp_path / "cache"),
    }
    for cells_run, ran in ((code, True), (code[:runs], False)):
        script.write_text("\n\n".join([*cells_run, told]) + "\n")
        done = subprocess.run(
            [sys.executable, str(script)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=600,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1] == f"[True, {ran}, 3]"
    assert (tmp_path / "results" / "notebook" / "report.html").exists()
