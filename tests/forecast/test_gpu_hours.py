"""The estimate is its arithmetic, from the configuration alone, and grows with what costs."""

import pytest

from conspo_study.config import RunConfig, with_overrides
from conspo_study.definition import Anchor, Confirmation, StudyDefinition
from conspo_study.definition.paper_runs import PAPER_RUNS
from conspo_study.forecast.gpu_hours import gpu_lines, run_hours

QWEN = PAPER_RUNS["paper/qwen-1.5b"].config


def test_the_arithmetic_by_hand():
    found = run_hours(QWEN)
    tokens = 1260 * 128 * 8 * 4000
    assert found.tokens == tokens
    assert found.rollouts == pytest.approx(tokens / 12_000 / 3600)
    assert found.update == pytest.approx(10 * 1.78e9 * tokens / 2.5e14 / 3600)
    # Before training, after it, and every 100 of 1260 steps: 14 times.
    responses = 14 * ((4 * 30 + 83) * 32 + 500 + 674)
    assert found.evaluated == responses * 4000
    assert found.evaluation == pytest.approx(responses * 4000 / 12_000 / 3600)
    assert found.total == found.rollouts + found.update + found.evaluation


def test_engine_precision_and_recomputing_count():
    slow = {
        "rollout.engine": "transformers",
        "rollout.vllm_colocated": False,
        "policy.precision": "float32",
        "policy.gradient_checkpointing": False,
    }
    found, fast = run_hours(with_overrides(QWEN, slow)), run_hours(QWEN)
    assert found.rollouts == pytest.approx(4 * fast.rollouts)
    assert found.update == pytest.approx(10 * 8 / 10 * fast.update)


def test_hours_grow_with_parameters_group_size_and_epochs():
    hours = {name: run_hours(run.config).total for name, run in PAPER_RUNS.items()}
    order = ["llama-3b", "qwen-1.5b", "qwen-7b", "llama-8b", "qwen-32b"]
    assert sorted(order, key=lambda name: hours[f"paper/{name}"]) == order
    assert hours["paper/qwen-1.5b-dapo"] < hours["paper/qwen-1.5b"]
    twice = run_hours(with_overrides(QWEN, {"rollout.group_size": 16}))
    assert twice.update == pytest.approx(2 * run_hours(QWEN).update)


def test_what_is_not_known_is_not_estimated():
    assert run_hours(RunConfig()) is None
    assert run_hours(with_overrides(QWEN, {"rollout.max_new_tokens": 100})) is None


def test_a_study_counts_all_its_runs_and_says_what_is_assumed():
    study = StudyDefinition(
        name="x",
        base=QWEN,
        anchors=(Anchor(label="a", params={}), Anchor(label="b", params={"objective.tau": 1.0})),
        trials=2,
        seeds=(0, 1, 2),
        metric=QWEN.evaluation.main_metric,
        confirm=Confirmation(seeds=(7,)),
    )
    lines = gpu_lines(study)
    total = 8 * run_hours(QWEN).total
    assert lines[0].startswith(f"about {float(f'{total:.2g}'):,.0f} h") and "8 runs" in lines[0]
    assert "estimate" in lines[0] and "(assumed)" in lines[2] and "both rates assumed" in lines[2]
    assert gpu_lines(study.model_copy(update={"base": RunConfig()})) == []
