"""The estimate of time is its arithmetic, from the configuration alone, and grows with what costs.

The numbers are worked out here, from the definitions in `forecast/gpu_hours.py`, and not by it.
"""

import pytest

from conspo_study.config import RunConfig, with_overrides
from conspo_study.definition import Anchor, Confirmation, StudyDefinition
from conspo_study.definition.paper_runs import PAPER_RUNS
from conspo_study.definition.presets import PRESETS
from conspo_study.forecast.gpu_hours import gpu_lines, run_cost, update_work

QWEN = PAPER_RUNS["paper/qwen-1.5b"].config
LAB = PRESETS["lab/qwen2.5-0.5b-gsm8k"]
GIB = 2**30


def study(base, **changes):
    fields = {
        "anchors": (Anchor(label="a", params={}), Anchor(label="b", params={"objective.tau": 1.0})),
        "trials": 2,
        "seeds": (0, 1, 2),
        "metric": base.evaluation.main_metric,
    }
    return StudyDefinition(name="x", base=base, **{**fields, **changes})


def test_the_paper_s_run_by_hand():
    found = run_cost(QWEN)
    assert found.tokens == 1260 * 128 * 8 * 4000
    # A decoding step: 6 ms, and 1,777,088,000 weights of 2 bytes at 2 TB/s.
    step = 0.006 + 0.001777088
    # Each of eight GPUs draws 128 responses: 42.6 s at 12,020 tokens/s, but the longest response
    # has 8192 tokens, and takes 63.7 s whatever the others do. Then 3 s for the weights.
    assert pytest.approx(42.6, abs=0.01) == 128 * 4000 / 12_019.7
    assert found.rollouts_s == pytest.approx(1260 * (3 + 8192 * step))
    # 10 N and five forward passes of attention over 200 + 2000 tokens on average, for a token.
    attention = 4 * 28 * 12 * 128 * 2200
    each = 10 * 1_777_088_000 + 5 * attention
    assert found.update_s == pytest.approx(each * 1260 * 128 * 4000 / 2.5e14)
    # 14 times: four sets of 4 problems a GPU x 32, 63 of MATH500, 85 of OlympiadBench, none of
    # which takes longer than its longest; and 11 x 32 of AMC, 352 x 4000 tokens.
    longest, amc = 8192 * step, 352 * 4000 / (12_000 * 1.78e9 / 1_777_088_000)
    assert found.evaluation_s == pytest.approx(14 * (3 + 6 * longest + amc))
    assert found.hours(found.seconds) == pytest.approx(8 * found.seconds / 3600)
    assert 310 < found.hours(found.seconds) < 320


def test_a_small_model_by_hand():
    found = run_cost(LAB)
    step = 0.006 + 2 * 494_032_768 / 2e12
    assert found.step_s == pytest.approx(step)
    # 256 responses of 250 tokens: 1.5 s at 43,236 tokens/s, 1.7 s as 250 steps; the longest 3.3 s.
    assert found.rollouts_s == pytest.approx(150 * (3 + 512 * step))
    attention = 4 * 24 * 14 * 64 * (200 + 125)
    assert found.update_s == pytest.approx(
        (10 * 494_032_768 + 5 * attention) * 150 * 256 * 250 / 2.5e14
    )
    # 1,200 responses, 512 at a time, before training, after it, and at 25, 50, ... 125.
    tokens = 1200 * 250 / (12_000 * 1.78e9 / 494_032_768)
    assert found.evaluation_s == pytest.approx(7 * (3 + tokens))
    assert found.trial_seconds(2) == pytest.approx(150 + 2 * found.seconds)


@pytest.mark.parametrize(
    ("changes", "work"),
    [
        ({}, 10),  # 2 without a graph, 2 with one, 2 again, 4 backward
        ({"policy.gradient_checkpointing": False}, 8),
        # Three quarters wait and are scored once more before the first step.
        ({"update.mini_batches": 4}, 11.5),
        ({"update.mini_batches": 4, "update.old_logprobs": "sampler"}, 10),
        ({"update.epochs_per_batch": 2}, 20),
        ({"update.epochs_per_batch": 2, "update.reference_kl": 0.01}, 22),
        ({"update.micro_batch_tokens": 10**6}, 8),  # one pass serves both
        ({"policy.lora_rank": 8, "train.sharding": "replicate"}, 8),  # no gradients of weights
    ],
)
def test_what_a_token_of_the_update_costs(changes, work):
    assert update_work(with_overrides(QWEN, changes), 4000) == work


def test_engine_precision_and_gpu_count():
    slow = {"rollout.engine": "transformers", "rollout.vllm_colocated": False}
    transformers, fast = run_cost(with_overrides(QWEN, slow)), run_cost(QWEN)
    assert transformers.rate == pytest.approx(fast.rate / 4)
    assert transformers.step_s == pytest.approx(0.03 + 0.001777088)
    precise = run_cost(with_overrides(QWEN, {"policy.precision": "float32"}))
    assert precise.update_s == pytest.approx(10 * fast.update_s)
    small = run_cost(LAB, 24 * GIB)
    assert small.update_s == pytest.approx(5 * run_cost(LAB, 80 * GIB).update_s)
    assert small.rate == pytest.approx(run_cost(LAB).rate / 5)
    assert run_cost(LAB, 40 * GIB).update_s == pytest.approx(2.5 * run_cost(LAB).update_s)


def test_a_cache_too_small_for_all_responses_makes_them_wait():
    little = with_overrides(LAB, {"rollout.vllm_gpu_memory": 0.05})
    # 0.05 x 85.9 GB hold 0.99 GB of weights, 2.5 GB of the engine, and 12,288 bytes a token.
    tokens = int((0.05 * 80 * GIB - 2 * 494_032_768 - 2.5e9) / (2 * 2 * 24 * 2 * 64))
    assert run_cost(little, 80 * GIB).at_once == tokens // 450 < 256 == run_cost(LAB).at_once


def test_hours_grow_with_parameters_and_epochs():
    hours = {name: run_cost(run.config).seconds for name, run in PAPER_RUNS.items()}
    order = ["llama-3b", "qwen-1.5b", "qwen-7b", "llama-8b", "qwen-32b"]
    assert sorted(order, key=lambda name: hours[f"paper/{name}"]) == order
    assert hours["paper/qwen-1.5b-dapo"] < hours["paper/qwen-1.5b"]


def test_what_is_not_known_is_not_estimated():
    assert run_cost(RunConfig()) is None
    assert run_cost(with_overrides(QWEN, {"rollout.max_new_tokens": 100})) is None
    assert run_cost(with_overrides(LAB, {"policy.model": "someone/else"})) is None


def test_a_study_counts_all_its_runs_and_says_what_is_assumed():
    declared = study(QWEN, confirm=Confirmation(seeds=(7,)))
    lines = gpu_lines(declared)
    one = run_cost(QWEN)
    # Two trials of three seeds, two of one.
    total = 8 * (2 * (150 + 3 * one.seconds) + 2 * (150 + one.seconds)) / 3600
    assert lines[0].startswith(f"about {float(f'{total:.2g}'):,.0f} h") and "8 runs" in lines[0]
    assert "estimate" in lines[0] and "as fast as an H100 (assumed)" in lines[0]
    assert "(assumed)" in lines[2] and "all rates assumed" in lines[2]
    assert "an A10 or RTX 4090" in gpu_lines(declared, 24 * GIB)[0]
    assert gpu_lines(study(RunConfig())) == []
