"""Two gloo workers do what one does: same gradient in float64, same training run."""

import json
import subprocess
import sys
from pathlib import Path

import gloo_worker
import pytest
import torch
from safetensors.torch import load_file

from conspo_study.config import with_overrides
from conspo_study.presets import QUICK
from conspo_study.update.world import World

WORKER = Path(gloo_worker.__file__)


def run_workers(task, size, folder):
    workers = [
        subprocess.Popen([sys.executable, str(WORKER), task, str(rank), str(size), str(folder)])
        for rank in range(size)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * size


def test_the_summed_gradient_is_that_of_one_worker(tmp_path):
    run_workers("gradient", 2, tmp_path)
    for name in gloo_worker.OPTIONS:
        alone = gloo_worker.gradient(World(), name)
        assert alone.abs().sum() > 0
        for rank in range(2):
            together = load_file(tmp_path / f"gradient-{rank}.safetensors")[name]
            torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-14)


@pytest.mark.slow
def test_two_workers_train_the_same_policy_as_one(tmp_path, tiny_policy):
    config = with_overrides(QUICK, {"train.workers": 2, "train.steps": 3})
    results = []
    for size in (1, 2):
        folder = tmp_path / str(size)
        folder.mkdir()
        settings = {"config": config.model_dump(mode="json"), "policy": str(tiny_policy)}
        (folder / "config.json").write_text(json.dumps(settings))
        run_workers("train", size, folder)
        rows = json.loads((folder / "rows.json").read_text())
        results.append((rows, load_file(folder / "weights.safetensors")))
    (rows_1, weights_1), (rows_2, weights_2) = results
    assert any(row["valid_fraction"] > 0 for row in rows_1)
    for a, b in zip(rows_1, rows_2, strict=True):
        compared = [key for key in a if not key.startswith("time/") and key != "tokens_per_s"]
        assert {key: a[key] for key in compared} == pytest.approx(
            {key: b[key] for key in compared}, rel=2e-3, abs=1e-5
        )
    for name, tensor in weights_1.items():
        torch.testing.assert_close(weights_2[name], tensor, rtol=1e-3, atol=2e-5)
