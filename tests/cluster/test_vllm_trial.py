"""A trial with real vLLM engines through Ray Tune and Ray Train, as a study runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from training_runs import LARGEST_MISMATCH
from trials_under_fire import make_spec, request

from conspo_study.results.incidents import read_incidents
from conspo_study.results.rows import read_eval_rows, read_steps

pytestmark = [pytest.mark.vllm, pytest.mark.slow]

RUNNER = Path(__file__).resolve().parents[1] / "support" / "trial_runner.py"
STEPS = 4


def test_a_trial_with_vllm_trains_both_seeds_from_their_own_weights(tmp_path, tiny_policy):
    spec = make_spec(
        tmp_path,
        **{
            "rollout.engine": "vllm",
            "rollout.vllm_cache_mib": 64,
            "train.steps": STEPS,
            "evaluation.every": 2,
            "update.learning_rate": 0.003,  # stale weights would be far from the trainer's
            "update.warmup_steps": 0,
        },
    )
    run = subprocess.run(
        [sys.executable, str(RUNNER)],
        input=request(spec),
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "CONSPO_STUDY_CACHE": str(tiny_policy.parent)},
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    reports = [json.loads(line) for line in run.stdout.splitlines() if line.startswith("{")]
    assert reports[-1] == {"ended": ""} and reports[-2]["step"] == STEPS, reports
    rows = read_steps(spec.folder / "steps.jsonl")
    assert sorted((row["seed"], row["step"]) for row in rows) == [
        (seed, step) for seed in spec.seeds for step in range(1, STEPS + 1)
    ]
    updated = [row for row in rows if "mismatch_max" in row]
    assert {row["seed"] for row in updated if row["step"] > 1} == set(spec.seeds)
    assert max(row["mismatch_max"] for row in updated) < LARGEST_MISMATCH
    assert {row.step for row in read_eval_rows(spec.folder)} == {0, 2, STEPS}
    kinds = {row["type"] for row in read_incidents(spec.folder)}
    assert "engine_restarted" not in kinds and "worker_restarted" not in kinds
    assert (spec.run_folder / "engines-0" / "engine-0.log").stat().st_size > 0
