"""The whole trainer on a GPU that is pretended on the CPU: it computes there what it does here.

A tensor that somebody forgot to move ends such a run, as it would end one on a real GPU.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch.utils.backend_registration
from needed_settings import needed_overrides
from training_runs import LARGEST_MISMATCH
from update_cases import REGULARIZED

from conspo_study.config.objectives import OPTIONS

RUNS = Path(__file__).resolve().parents[1] / "support" / "pretended_gpu_runs.py"
pytestmark = pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this version of PyTorch has no devices that are written in Python",
)
GRPO = {"objective.name": "grpo", "update.mini_batches": 2}
CAPPED = GRPO | {"update.old_logprobs": "sampler", "update.importance_cap": 2.0}
TINY = {"update.micro_batch_tokens": 64}
FIRST = {
    "conspo": {"settings": {}, "resumed": True},
    "capped": {"settings": CAPPED},
    "a forgotten move of the sampler's": {
        "settings": CAPPED,
        "forgotten": [
            "conspo_study.training.policy_update",
            "PolicyUpdate._weigh",
            ".to(logprobs_T.device)",
        ],
    },
    "a forgotten move of old ones": {
        "settings": CAPPED,
        "forgotten": [
            "conspo_study.training.old_logprobs",
            "OldLogprobs.of",
            ".to(current_T.device)",
        ],
    },
}
OBJECTIVES = {
    name: {
        "settings": {
            "objective.name": name,
            "update.mini_batches": 2,
            "train.steps": 1,
            **needed_overrides(name),
        }
    }
    for name in OPTIONS
}
OBJECTIVES["dapo"]["settings"]["reward.overlong_cache"] = 8
SETTINGS = {
    "auto": {"settings": {**GRPO, "update.old_logprobs": "auto", "update.mini_batches": 8}},
    "two epochs": {"settings": GRPO | TINY | {"update.epochs_per_batch": 2}, "resumed": True},
    "refilled": {"settings": {"rollout.refill_rounds": 1, "rollout.temperature": 0.8}},
    "top-p": {"settings": {"evaluation.top_p": 0.9, "evaluation.temperature": 0.6}},
    "recomputed": {"settings": TINY | {"policy.gradient_checkpointing": True}},
    "eager": {"settings": {"policy.attention": "eager", "update.micro_batch_tokens": 256}},
    "regularized": {"settings": TINY | REGULARIZED | {"update.mini_batches": 2}, "resumed": True},
    "ahead": {"settings": {"rollout.ahead": True}, "resumed": True},
    "adapters": {
        "settings": {"policy.lora_rank": 4, "policy.gradient_checkpointing": True},
        "resumed": True,
    },
}


def outcomes(cases, policy, scratch):
    """What the cases came to, by name."""
    done = subprocess.run(
        [sys.executable, str(RUNS), str(policy), str(scratch)],
        input=json.dumps(cases),
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = {one["case"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert told.keys() == cases.keys()
    return told


def check(name, case, told):
    """Every metric is the CPU's, but for the rounding of log-probabilities."""
    cpu, gpu = told["cpu"], told["gpu"]
    if "forgotten" in case:
        assert "expected all tensors to be on the same device" in gpu, name
        return
    assert any(row.get("grad_norm") for row in cpu), f"{name}: nothing was learned from"
    for here, there in zip(cpu, gpu, strict=True):
        assert here.keys() == there.keys(), name
        for metric, value in here.items():
            allowed = LARGEST_MISMATCH * max(1.0, abs(value))
            assert there[metric] == pytest.approx(value, rel=0, abs=allowed), (name, metric)
    assert told["operations"] > 1000 and told["waits"] > 20, "the device did the work"
    if "resumed" in case:
        assert told["resumed"] == gpu[1:], name


def test_a_pretended_gpu_trains_like_the_cpu_and_meets_forgotten_moves(tiny_policy, tmp_path):
    told = outcomes(FIRST, tiny_policy, tmp_path)
    for name, case in FIRST.items():
        check(name, case, told[name])


@pytest.mark.slow
@pytest.mark.parametrize("cases", [OBJECTIVES, SETTINGS], ids=["objectives", "settings"])
def test_a_pretended_gpu_trains_by(cases, tiny_policy, tmp_path):
    told = outcomes(cases, tiny_policy, tmp_path)
    for name, case in cases.items():
        check(name, case, told[name])
