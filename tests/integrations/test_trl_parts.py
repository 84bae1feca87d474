"""The parts of TRL's integration that need no TRL: divisors, verdicts, groups, refusals."""

import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.utils.backend_registration
from objective_batches import LIMIT, gradient, random_batch

from conspo_study.config import ConSPOOptions, DisCOOptions, GRPOOptions, VESPOOptions
from conspo_study.integrations import Arrangement
from conspo_study.integrations.trl import with_objective
from conspo_study.integrations.trl.checks import (
    check_settings,
    check_trainer,
    check_version,
    updates_are_aligned,
)
from conspo_study.integrations.trl.parts import parts_of
from conspo_study.integrations.trl.rows import cut, loss_mask, neutral_correction
from conspo_study.integrations.trl.scaling import KNOWN, divisors
from conspo_study.integrations.trl.verdicts import Judged, judge_column, judged
from conspo_study.integrations.trl.weighing import Rows, weigh
from conspo_study.objective import Progress, Totals, objective_named

CONSPO, GRPO = ConSPOOptions(), GRPOOptions()
LENGTHS = torch.tensor([2.0, 3.0, 0.0, 1.0])


def settings(**changed):
    plain = {
        "loss_type": "dapo",
        "top_entropy_quantile": 1.0,
        "off_policy_mask_threshold": None,
        "delta": None,
        "importance_sampling_level": "token",
        "multi_objective_aggregation": "sum_then_normalize",
        "beta": 0.0,
        "use_bias_correction_kl": True,
        "per_device_train_batch_size": 8,
        "num_generations": 8,
        "steps_per_generation": 4,
        "gradient_accumulation_steps": 4,
        "num_iterations": 1,
    }
    return SimpleNamespace(**(plain | changed))


def loss_of(loss_type, logprobs, mask, advantage=1.0, cap=0.2):
    """TRL's losses of one micro-batch at ratio 1, of one process, by their definitions."""
    ratio = (logprobs - logprobs.detach()).exp()
    lengths = mask.sum(1)
    token = -advantage * ratio
    if loss_type == "cispo":
        token = -advantage * ratio.clamp(max=cap).detach() * logprobs
    if loss_type == "sapo":
        token = -advantage * torch.sigmoid(1.05 * (ratio - 1)) * 4 / 1.05
    if loss_type in ("grpo", "sapo"):
        return ((token * mask).sum(1) / lengths.clamp(min=1)).mean()
    total = (token * mask).sum()
    by = {"dr_grpo": len(mask) * 7, "luspo": len(mask)}
    return total / by.get(loss_type, lengths.sum())


@pytest.mark.parametrize("loss_type", KNOWN)
@pytest.mark.parametrize("cap", [0.2, 5.0])
def test_a_divisor_is_what_the_loss_divides_an_advantage_by(loss_type, cap):
    logprobs = -torch.rand(4, 3, generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(3) < LENGTHS[:, None]).float()
    logprobs.requires_grad_()
    (found,) = torch.autograd.grad(loss_of(loss_type, logprobs, mask, 2.0, cap), logprobs)
    tokens = float(mask.sum())
    divisor = divisors(
        loss_type, LENGTHS, rollouts=4, tokens=tokens, limit=7, cap=cap, micro_batch_tokens=tokens
    )
    torch.testing.assert_close(found, -2.0 * mask / divisor.clamp(min=1)[:, None])


def test_a_loss_without_a_known_divisor_is_refused():
    for loss_type in ("bnpo", "new_loss"):
        with pytest.raises(ValueError, match=f"loss_type='{loss_type}' has no divisor"):
            divisors(loss_type, LENGTHS, rollouts=4, tokens=6, limit=7, cap=0.2)


def test_verdicts_come_from_the_reward_that_judges():
    rewards = torch.tensor([[1.0, 0.3], [0.0, math.nan], [math.nan, 0.9], [math.nan, math.nan]])
    found = judged(rewards, torch.tensor([1.0, 2.0]), 0, None, CONSPO)
    assert found.correct[:2].tolist() == [1, 0]
    assert found.counted.tolist() == [True, True, False, False]
    assert found.rewards[:2].tolist() == pytest.approx([1.6, 0])
    # Advantages read the sum; a row that one function judged counts.
    found = judged(rewards, torch.tensor([1.0, 2.0]), None, None, GRPO)
    assert found.counted.tolist() == [True, True, True, False]
    assert found.rewards.tolist() == pytest.approx([1.6, 0, 1.8, 0])
    assert found.correct[:3].tolist() == [1, 0, 1]


def test_a_graded_reward_needs_a_threshold_which_is_the_smallest_that_counts():
    rewards = torch.tensor([[0.2], [0.8], [0.5]])
    with pytest.raises(ValueError, match=r"a reward of 0\.2 does not say whether"):
        judged(rewards, torch.ones(1), None, None, CONSPO)
    assert judged(rewards, torch.ones(1), None, 0.5, CONSPO).correct.tolist() == [0, 1, 1]
    minus = judged(torch.tensor([[-1.0], [1.0]]), torch.ones(1), None, 0.0, CONSPO)
    assert minus.correct.tolist() == [0, 1]


def test_who_judges_must_be_known():
    assert judge_column(["right"], None, CONSPO) is None
    assert judge_column(["form", "right"], "right", CONSPO) == 1
    assert judge_column(["form", "right"], None, GRPO) is None
    with pytest.raises(ValueError, match=r"with_objective\(\.\.\., judge='form'\)"):
        judge_column(["form", "right"], None, CONSPO)
    with pytest.raises(ValueError, match="judge='rigth' is none of the reward functions form"):
        judge_column(["form", "right"], "rigth", CONSPO)


def judged_rows(correct, counted=None):
    correct = torch.tensor(correct, dtype=torch.float64)
    counted = torch.ones(len(correct), dtype=torch.bool) if counted is None else counted
    return Judged(correct, correct, torch.as_tensor(counted))


def test_groups_may_lie_across_processes():
    """Rows 0-5 on the first process, 6-11 on the second; groups of four."""
    found = judged_rows([1, 0, 0, 0, 1, 1, 0, 1, 1, 1, 1, 1])
    lengths = torch.full((12,), 2)
    lengths[2] = 0
    (part,) = parts_of(found, lengths, CONSPO, generations=4, processes=2)
    assert part.plan.rows == [0, 1, 3, 4, 5, 6, 7]
    assert part.plan.sizes == [3, 4]
    assert part.totals == Totals(2, 7, 14)


def test_parts_of_a_batch_know_the_update_that_they_belong_to():
    """Two processes of eight rows, cut into four micro-batches of one group each, two an update."""
    correct = [1, 0, 1, 1, 0, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 1]
    found = judged_rows(correct)
    lengths = torch.arange(16) + 1
    parts = parts_of(found, lengths, CONSPO, generations=2, processes=2, parts=4, window=2)
    # Micro-batch 0 holds rows 0, 1 of the first process and 8, 9 of the second.
    assert [part.plan.rows for part in parts] == [[0, 1], [2, 3], [0, 1], [0, 1, 2, 3]]
    tokens = [1 + 2, 11 + 12, 5 + 6, 7 + 8 + 15 + 16]
    assert [part.totals for part in parts] == [
        *[Totals(2, 4, tokens[0] + tokens[1])] * 2,
        *[Totals(3, 6, tokens[2] + tokens[3])] * 2,
    ]


@pytest.mark.parametrize("name", ["conspo", "grpo"])
def test_weights_are_those_of_the_objective_in_any_order_of_rows(name):
    batch = random_batch(drift=0.2)
    options = {"conspo": ConSPOOptions(tau=0.5), "grpo": GRPOOptions()}[name]
    place = Progress(1, 3)
    expected_T = gradient(objective_named(name)(batch, options, place).loss, batch)
    width = int(batch.lengths_B.max())
    mask = torch.arange(width) < batch.lengths_B[:, None]

    def padded(values_T, fill):
        table = torch.full((len(batch.lengths_B), width), fill, dtype=values_T.dtype)
        table[mask] = values_T
        return table.flip(0)

    mask_of_rows = mask.flip(0)
    last = len(batch.lengths_B) - 1
    plan = Arrangement(
        [last - row for row in range(last + 1)],
        batch.sizes_Q.tolist(),
        batch.correct_B.tolist(),
        batch.rewards_B.tolist(),
    )
    logprobs = padded(batch.logprobs_T.detach(), math.nan)
    found = weigh(
        Rows(logprobs, mask_of_rows, padded(batch.old_logprobs_T, math.nan)),
        plan,
        batch.totals,
        options,
        place,
        on_scores=False,
        max_response_length=LIMIT,
    )
    torch.testing.assert_close(found.weights.flip(0)[mask], expected_T)
    assert not found.weights[~mask_of_rows].any()
    assert found.metrics["credit_max"] >= found.metrics["credit_abs"] > 0


def test_a_batch_without_contrast_has_no_weights():
    rows = Rows(torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.bool))
    plan = Arrangement([], [], [], [])
    found = weigh(rows, plan, Totals(0, 0, 0), CONSPO, Progress(0, 1), on_scores=False)
    assert not found.weights.any()
    assert found.metrics == {}


def test_batches_are_cut_in_order_and_masks_meet():
    batch = {
        "completion_ids": torch.arange(8).view(4, 2),
        "completion_mask": torch.ones(4, 2, dtype=torch.long),
        "tool_mask": torch.tensor([[1, 0]] * 4),
        "num_items_in_batch": torch.tensor(8),
        "names": list("abcd"),
    }
    first, second = cut(batch, 2)
    assert second["completion_ids"].tolist() == [[4, 5], [6, 7]]
    assert first["names"] == ["a", "b"]
    assert first["num_items_in_batch"] == second["num_items_in_batch"] == 8
    assert loss_mask(first).tolist() == [[True, False]] * 2


def test_importance_weights_are_taken_out_of_the_batch():
    inputs = {"importance_sampling_ratio": torch.tensor([[0.5], [2.0]])}
    assert neutral_correction(inputs).tolist() == [[0.5], [2.0]]
    assert inputs["importance_sampling_ratio"].tolist() == [[1], [1]]
    assert neutral_correction({}) is None


@pytest.mark.parametrize(
    ("iterations", "parts", "steps", "aligned"),
    [(1, 4, 4, True), (1, 2, 4, True), (2, 2, 4, True), (1, 4, 2, False), (2, 4, 4, False)],
)
def test_a_batch_gets_one_update_when_its_parts_fit_into_one(iterations, parts, steps, aligned):
    args = settings(
        num_iterations=iterations, steps_per_generation=parts, gradient_accumulation_steps=steps
    )
    assert updates_are_aligned(args) is aligned


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"loss_type": "new"}, "loss_type='new' is not known here: set one of grpo, sapo"),
        ({"loss_type": "bnpo"}, "drawn later: set loss_type='dapo'"),
        ({"top_entropy_quantile": 0.2}, "top_entropy_quantile .* set it to 1.0"),
        ({"off_policy_mask_threshold": 0.5}, "off_policy_mask_threshold .* set it to None"),
        ({"delta": 2.0}, "delta clips ratios, which are 1 here: set it to None"),
        ({"multi_objective_aggregation": "normalize_then_sum"}, "set it to 'sum_then_normalize'"),
    ],
)
def test_settings_that_would_change_the_objective_are_refused(changed, message):
    check_settings(settings(), CONSPO, False, True, False)
    with pytest.raises(ValueError, match=message):
        check_settings(settings(**changed), CONSPO, False, True, False)


@pytest.mark.parametrize("mode", ["sequence_mask", "sequence_truncate", "token_mask"])
def test_vespo_takes_ratios_of_tokens_alone(mode):
    """Of which it takes logarithms: one ratio of a sequence would count once for every token."""
    vllm = {"use_vllm": True, "vllm_importance_sampling_correction": True}
    of_tokens = settings(**vllm, vllm_importance_sampling_mode="token_truncate")
    check_settings(of_tokens, VESPOOptions(), False, False, False)
    changed = settings(**vllm, vllm_importance_sampling_mode=mode)
    with pytest.raises(ValueError, match=f"mode='{mode}' .* set it to 'token_truncate'"):
        check_settings(changed, VESPOOptions(), False, False, False)
    check_settings(changed, GRPO, False, False, False)


def test_all_problems_are_told_at_once():
    changed = settings(top_entropy_quantile=0.2, importance_sampling_level="sequence", delta=1.5)
    with pytest.raises(ValueError) as told:
        check_settings(changed, GRPO, False, False, True)
    lines = str(told.value).splitlines()
    assert lines[0] == "grpo cannot be trained exactly with these settings of TRL:"
    assert len(lines) == 5
    assert any("importance_sampling_level='sequence' averages" in line for line in lines)
    assert any("use_liger_kernel computes the loss elsewhere" in line for line in lines)


@pytest.mark.parametrize(
    ("changed", "options", "message"),
    [
        (
            {"per_device_train_batch_size": 6},
            CONSPO,
            "per_device_train_batch_size=6 is not a multiple of num_generations=8: set "
            "per_device_train_batch_size=8",
        ),
        ({"gradient_accumulation_steps": 3}, CONSPO, "set steps_per_generation=6, a multiple of"),
        ({"beta": 0.1}, CONSPO, "use_bias_correction_kl .* set it to False"),
        ({}, DisCOOptions(), "disco limits the KL of a whole update"),
        ({}, ConSPOOptions(kl_limit=0.01), "conspo limits the KL of a whole update"),
    ],
)
def test_several_updates_need_whole_groups(changed, options, message):
    check_settings(settings(), CONSPO, True, True, False)
    with pytest.raises(ValueError, match=message):
        check_settings(settings(**changed), options, True, True, False)


def test_another_class_or_version_is_refused(monkeypatch):
    with pytest.raises(TypeError, match=r"int has no _generate_and_score_completions: give trl\."):
        check_trainer(int)
    for version in ("1.11.4", "2.0.0"):
        monkeypatch.setattr("importlib.metadata.version", lambda _, v=version: v)
        with pytest.raises(ImportError, match=f"TRL {version} is installed"):
            with_objective(int)
    for version in ("1.12.0", "1.16.0.dev0", "1.20"):
        monkeypatch.setattr("importlib.metadata.version", lambda _, v=version: v)
        check_version()


@pytest.mark.skipif(
    not hasattr(torch.utils.backend_registration, "_setup_privateuseone_for_python_backend"),
    reason="this version of PyTorch has no devices that are written in Python",
)
def test_a_gpu_computes_the_same():
    script = Path(__file__).parents[1] / "support" / "pretended_gpu_integrations.py"
    run = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(script.parents[2])},
    )
    assert run.stdout.startswith("the same on both"), run.stderr[-2000:]
