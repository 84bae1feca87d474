"""The notebook: committed with the outputs of its own sources, and run by one command."""

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOK = ROOT / "studies" / "notebook.ipynb"
COMMAND = ROOT / ".ci" / "notebook.py"
LARGEST = 600_000


@pytest.fixture(scope="module")
def command():
    spec = importlib.util.spec_from_file_location("run_notebook", COMMAND)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def stored():
    return json.loads(NOTEBOOK.read_text("utf-8"))


def code_of(notebook):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def outputs_of(notebook):
    return [output for cell in code_of(notebook) for output in cell["outputs"]]


def shape(notebook):
    """Cells with the kinds of their outputs, which two runs have in common."""
    kinds = [
        [(o["output_type"], *sorted(o.get("data", {}))) for o in c["outputs"]]
        for c in code_of(notebook)
    ]
    return [(cell["cell_type"], cell["source"]) for cell in notebook["cells"]], kinds


def test_its_outputs_are_those_of_the_sources_it_has(command, stored):
    assert stored["metadata"][command.RAN] == command.sources(stored), "run: make notebook"
    counts = [cell["execution_count"] for cell in code_of(stored)]
    assert counts == list(range(1, len(counts) + 1))
    assert all(cell["outputs"] for cell in code_of(stored)[2:]), (
        "imports and a definition show nothing"
    )
    assert not any(output["output_type"] == "error" for output in outputs_of(stored))


def test_its_outputs_need_no_script_and_name_no_machine(stored):
    text = json.dumps(outputs_of(stored))
    assert NOTEBOOK.stat().st_size < LARGEST
    assert not re.search(
        r"/(?:tmp|root|home|work|Users)/|<script|https?://|\\d\\.\\d\\d+ s\\b|token=", text
    )
    kinds = {kind for output in outputs_of(stored) for kind in output.get("data", {})}
    assert kinds == {"text/plain", "text/html", "image/png"}
    (image,) = [
        o["data"]["image/png"] for o in outputs_of(stored) if "image/png" in o.get("data", {})
    ]
    assert base64.b64decode(image).startswith(b"\x89PNG")


def test_a_cell_shows_what_it_prints_and_its_last_value(command, tmp_path):
    source = "import time\nprint('took 12.5 s in', __import__('os').getcwd())\n[1, 2]"
    cells = [{"cell_type": "code", "source": [source], "metadata": {}}]
    ran = command.execute({"cells": cells, "metadata": {}}, tmp_path)
    printed, value = ran["cells"][0]["outputs"]
    assert printed["text"] == ["took … s in .\n"]
    assert value["data"] == {"text/plain": ["[1, 2]"]}
    assert ran["metadata"][command.RAN] == command.sources(ran)
    cells[0]["source"] = ["1 / 0"]
    with pytest.raises(ZeroDivisionError):
        command.execute({"cells": cells, "metadata": {}}, tmp_path)


@pytest.mark.slow
@pytest.mark.ray
def test_its_command_runs_it_to_the_same_cells_and_kinds_of_output(stored, shared_ray, tmp_path):
    out = tmp_path / "out.ipynb"
    environment = {
        **os.environ,
        **shared_ray,
        "PYTHONPATH": str(ROOT),
        "CONSPO_STUDY_CACHE": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, str(COMMAND), "--out", str(out)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert shape(json.loads(out.read_text("utf-8"))) == shape(stored)


@pytest.mark.slow
@pytest.mark.ray
def test_run_again_its_study_is_found_done(stored, shared_ray, tmp_path):
    code = ["".join(cell["source"]) for cell in code_of(stored)]
    code = code[: next(n for n, text in enumerate(code) if "study.run(" in text) + 1]
    script = tmp_path / "cells.py"
    script.write_text(
        "\n\n".join([*code, "print([outcome.complete, outcome.ran, outcome.finished])"])
    )
    environment = {
        **os.environ,
        **shared_ray,
        "PYTHONPATH": str(ROOT),
        "CONSPO_STUDY_CACHE": str(tmp_path / "cache"),
    }
    for ran in (True, False):
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
