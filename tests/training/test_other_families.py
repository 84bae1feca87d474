"""Training steps of architectures with windows, caps or states: sampled, rewarded, updated."""

import math

import pytest
from decoder_families import tiny
from model_folders import save_model
from training_runs import CONFIG, run

from conspo_study.config import with_overrides

REWARD = """
def score(prompt, response, problem):
    return float(len(response) % 2)
"""
"""Random models answer nothing rightly; this gives their groups a contrast."""
SETTINGS = {
    "reward.name": "odd_length:score",
    "evaluation.reward": "odd_length:score",
    "train.steps": 2,
    "rollout.max_new_tokens": 16,
    "policy.head_precision": "float32",
}


@pytest.mark.parametrize(
    ("family", "attention"),
    [("mistral", "sdpa"), ("gemma2", "eager"), ("cohere2", "sdpa"), ("qwen3_5_text", "sdpa")],
)
def test_a_policy_of_another_architecture_learns_from_what_it_samples(
    family, attention, tmp_path, place
):
    place("odd_length.py", REWARD)
    folder = save_model(tmp_path / "model", tiny(family))
    changes = {"policy.model": str(folder), "policy.attention": attention}
    config = with_overrides(CONFIG, SETTINGS | changes)
    rows = run(tmp_path, folder, config, seeds=(0,)).rows
    assert len(rows) == 2
    for row in rows:
        assert row["valid_fraction"] > 0 and math.isfinite(row["loss"]) and row["grad_norm"] > 0
        # Each step samples and trains the same weights.
        assert row["mismatch_max"] < 1e-3
