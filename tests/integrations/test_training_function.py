"""The documented study of TRL's trainer, on a tiny model and a CPU."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from exact_models import exact_model

from conspo_study.records import TrialState
from conspo_study.results.log import read_log
from conspo_study.results.rows import read_steps
from conspo_study.results.table import build_table

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.integrations, pytest.mark.slow, pytest.mark.ray]
pytest.importorskip("trl")


def test_the_documented_margin_sweep_runs_in_trl(tmp_path):
    from trl_runs import words_tokenizer

    exact_model("Llama").float().save_pretrained(tmp_path / "model")
    words_tokenizer().save_pretrained(tmp_path / "model")
    page = (ROOT / "docs" / "training_functions.md").read_text()
    text = re.search(r"```python\n(\"\"\"Does a margin.*?)^```$", page, re.DOTALL | re.MULTILINE)[1]
    (tmp_path / "margin_in_trl.py").write_text(text.replace('"2 + 3 ="', '"t5 t6"'))
    config = {"use_cpu": True, "bf16": False, "gradient_checkpointing": False, "disable_tqdm": True}
    changes = {
        "model": str(tmp_path / "model"),
        "max_completion_length": 4,
        "learning_rate": 0.01,
        "config": json.dumps(config),
        "train.steps": 2,
        "train.gpus_per_worker": 0,
        "train.cpus_per_worker": 1,
    }
    settings = [word for path, value in changes.items() for word in ("--set", f"{path}={value}")]
    options = ["--trials", "2", "--seeds", "1,2", "--no-confirm", *settings]
    process = subprocess.run(
        [sys.executable, "margin_in_trl.py", *options],
        capture_output=True,
        text=True,
        timeout=600,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CONSPO_STUDY_CACHE": str(tmp_path / "cache")},
    )
    assert process.returncode == 0, process.stdout + process.stderr
    folder = tmp_path / "results" / "margin_in_trl"
    rows = build_table(read_log(folder / "log.jsonl")).rows
    assert [row.label for row in rows] == ["no margin", ""]
    assert all(row.state is TrialState.FINISHED for row in rows)
    assert all(0 < row.value < 1 for row in rows)
    by_trial = {row.id: read_steps(folder / "trials" / row.id / "steps.jsonl") for row in rows}
    for steps in by_trial.values():
        assert [(step["seed"], step["step"]) for step in steps] == [(1, 1), (1, 2), (2, 1), (2, 2)]
        assert all(math.isfinite(step["loss"]) and step["grad_norm"] > 0 for step in steps)
    # Both begin with the same batch; the margin, which rises from 0, makes other steps on the next.
    without, searched = by_trial.values()
    assert without[0]["reward"] == searched[0]["reward"]
    assert without[1]["objective/margin"] == 0 < searched[1]["objective/margin"]
    assert without[1]["grad_norm"] != searched[1]["grad_norm"]
