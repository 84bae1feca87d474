"""Tests of numbers pass on other CPUs: their bounds were not read off one machine."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
OF_NUMBERS = (
    "rollout/test_engine.py",
    "rollout/test_fused_llama.py",
    "policy/test_head_logprobs.py",
    "policy/test_logprobs.py",
    "policy/test_lora.py",
    "policy/test_packing.py",
    "policy/test_precision.py",
    "update/test_gradient.py",
    "training/test_policy_update.py",
)
OTHER_CPU = {"ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
"""PyTorch's kernels without vector instructions, which round as none of the others do."""


@pytest.mark.slow
def test_the_tests_of_numbers_pass_with_other_kernels_whose_sums_round_otherwise():
    path = os.pathsep.join([str(TESTS.parent), str(TESTS / "support")])
    fast = "not slow and not vllm and not integrations"
    options = ["-m", fast, "-p", "no:cacheprovider", "-p", "other_kernels"]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(str(TESTS / name) for name in OF_NUMBERS)],
        capture_output=True,
        text=True,
        cwd=TESTS.parent,
        env=os.environ | OTHER_CPU | {"PYTHONPATH": path},
    )
    assert run.returncode == 0, run.stdout[-4000:]
