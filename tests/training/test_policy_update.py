"""Several optimiser steps per rollout batch: how groups are split and what ratios refer to."""

import math
import re
from copy import deepcopy
from functools import partial
from pathlib import Path

import pytest
import torch
from needed_settings import needed
from thread_world import run_threads
from tiny_models import random_model
from tolerances import rounding, terms_of, typical
from update_cases import REGULARIZED, update_on

from conspo_study.config import TrustRegionOptions, with_overrides
from conspo_study.config.objectives import OPTIONS
from conspo_study.definition.presets import QUICK
from conspo_study.objective import GroupBatch, Progress, objective_named
from conspo_study.objective.diagnostics import rollout_credits
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.records import FinishStatus, Group, Judgement, Rollout, Verdict
from conspo_study.reward.shaping import overlong_penalty
from conspo_study.rollout.groups import GroupCounts
from conspo_study.rollout.metrics import derived_metrics, rollout_metrics
from conspo_study.training.clock import STAGES
from conspo_study.training.old_logprobs import AGREEMENT_NATS
from conspo_study.training.policy_update import PolicyUpdate
from conspo_study.update.gradient import MicroBatchedPolicy
from conspo_study.update.step import Updater
from conspo_study.update.world import World

RESPONSES = [((5, 6, 2), True), ((7, 2), False), ((8, 9, 9, 2), False), ((4, 2), True)]
LARGEST = 14.0
"""Log-probability of a token, in nats."""
TERMS = terms_of(random_model("Llama"), 6)


def make_groups(model, count=4, shift=0.0, shifted=None):
    """Groups whose sampler log-probabilities are the model's own, plus `shift`.

    `shifted` names the groups that are shifted, all of them if it is left out.
    """
    groups = []
    for number in range(count):
        prompt = (3 + number, 4)
        added = shift if shifted is None or number in shifted else 0.0
        rollouts, judgements = [], []
        for tokens, correct in RESPONSES:
            with torch.no_grad():
                logprobs = response_logprobs(model, [prompt], [tokens]) + added
            rollouts.append(Rollout(tokens, tuple(logprobs.tolist()), FinishStatus.STOPPED, ""))
            judgements.append(Judgement(Verdict.CORRECT if correct else Verdict.WRONG))
        groups.append(Group(f"p{number}", prompt, tuple(rollouts), tuple(judgements)))
    return groups


def configured(**settings):
    return with_overrides(
        QUICK,
        {"objective.name": "grpo", "update.learning_rate": 0.01, "update.warmup_steps": 0}
        | {name.replace("__", "."): value for name, value in settings.items()},
    )


def update(shift=0.0, count=4, shifted=None, **settings):
    config = configured(**settings)
    model = random_model("Llama")
    groups = make_groups(model, count, shift, shifted)
    updater = Updater(model, config.update, World())
    result = PolicyUpdate(config, model, updater).run(groups, Progress(0, 2), seed=0)
    return result.metrics, torch.cat([p.detach().reshape(-1) for p in model.parameters()]), updater


@pytest.mark.parametrize(("mini", "epochs", "steps"), [(1, 1, 1), (2, 1, 2), (4, 2, 8), (8, 1, 4)])
def test_a_batch_gives_mini_batches_times_epochs_steps_of_whole_groups(mini, epochs, steps):
    metrics, _, updater = update(update__mini_batches=mini, update__epochs_per_batch=epochs)
    assert metrics["updates"] == updater.applied == steps  # empty mini-batches give none


def test_ratios_are_one_in_the_first_step_and_move_afterwards():
    assert update()[0]["kl_old_k3"] == 0
    assert update(update__mini_batches=2)[0]["kl_old_k3"] > 0


def test_ratios_refer_to_the_trainer_unless_told_to_trust_the_sampler():
    still = {"shift": 0.3, "update__mini_batches": 2, "update__learning_rate": 1e-6}
    trainer = update(**still)[0]
    sampler = update(**still, update__old_logprobs="sampler")[0]
    assert trainer["mismatch_abs"] == pytest.approx(0.3, abs=1e-4)
    assert sampler["kl_old_k1"] == pytest.approx(0.3, abs=1e-2)
    assert abs(trainer["kl_old_k1"]) < 1e-2


def test_sampler_log_probabilities_that_agree_give_the_same_update():
    start = torch.cat([p.detach().reshape(-1) for p in random_model("Llama").parameters()])
    _, trainer, _ = update(update__mini_batches=2)
    for trusting in ("sampler", "auto"):
        metrics, weights, _ = update(update__mini_batches=2, update__old_logprobs=trusting)
        # Single weights say little: Adam moves one with next to no gradient as far as others.
        apart = (weights - trainer).norm() / (trainer - start).norm()
        assert apart < rounding(TERMS, LARGEST)  # as the ratios are
        assert metrics["old_logprobs_sampler"] == 1


@pytest.mark.parametrize("shift", [2e-4, -2e-4, math.nan])
def test_auto_is_bit_for_bit_the_trainer_when_one_group_of_the_first_mini_batch_disagrees(shift):
    odd = {"shift": shift, "shifted": {2}, "update__mini_batches": 2, "update__epochs_per_batch": 2}
    expected, trainer, _ = update(**odd)
    metrics, auto, _ = update(**odd, update__old_logprobs="auto")
    assert torch.equal(auto, trainer)
    assert metrics["old_logprobs_sampler"] == expected["old_logprobs_sampler"] == 0


def test_auto_scores_nothing_beyond_the_first_mini_batch_when_that_agrees(monkeypatch):
    def refuse(*_):
        raise AssertionError("scored again")

    monkeypatch.setattr(MicroBatchedPolicy, "score_without_graph", refuse)
    # The difference in group 1, of the second mini-batch, is not looked for.
    settings = {"shift": 0.3, "shifted": {1}, "update__mini_batches": 2}
    metrics, _, _ = update(**settings, update__old_logprobs="auto", update__learning_rate=1e-6)
    assert metrics["old_logprobs_sampler"] == 1
    assert metrics["mismatch_max"] < AGREEMENT_NATS
    assert metrics["kl_old_k1"] == pytest.approx(0.3 / 4, abs=1e-3)
    with pytest.raises(AssertionError, match="scored again"):
        update(**settings)


def test_running_out_of_gpu_memory_is_absorbed_once_and_told(monkeypatch):
    def scarce(model, prompts, *rest):
        if len(prompts) > 7:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return response_logprobs(model, prompts, *rest)

    plain, weights, _ = update(update__micro_batch_tokens=20)
    assert plain["micro_batches_halved"] == 0
    monkeypatch.setattr("conspo_study.training.policy_update.response_logprobs", scarce)
    metrics, spared, _ = update(update__micro_batch_tokens=40)
    assert metrics["micro_batches_halved"] == 1
    assert torch.equal(spared, weights)
    with pytest.raises(torch.OutOfMemoryError):
        update(update__micro_batch_tokens=10_000)  # half of it is too much as well


def test_workers_trust_the_sampler_together_or_not_at_all():
    def work(world, shifted):
        config = configured(update__mini_batches=2, update__old_logprobs="auto")
        policy = deepcopy(model)
        groups = make_groups(policy, shift=0.3, shifted=shifted)
        mine = groups[2 * world.rank : 2 * world.rank + 2]
        policy_update = PolicyUpdate(config, policy, Updater(policy, config.update, world))
        return policy_update.run(mine, Progress(0, 2), seed=0).metrics["old_logprobs_sampler"]

    model = random_model("Llama")
    assert run_threads(2, partial(work, shifted=set())) == [1, 1]
    assert run_threads(2, partial(work, shifted={0})) == [0, 0]


def test_a_single_step_needs_no_scoring_of_its_own(monkeypatch):
    monkeypatch.setattr(MicroBatchedPolicy, "score_without_graph", None)
    assert update()[0]["mismatch_abs"] < typical(TERMS, LARGEST)


def test_the_importance_cap_changes_ratio_methods_only_where_sampler_and_trainer_disagree():
    agreeing = [update(**cap)[0]["grad_norm"] for cap in ({}, {"update__importance_cap": 2.0})]
    assert agreeing[0] == pytest.approx(agreeing[1], rel=rounding(TERMS, LARGEST))
    first = {"update__grad_clip": 1e9, "update__learning_rate": 1e-3}
    norm = update(shift=-1.0, **first)[0]["grad_norm"]
    corrected = update(shift=-1.0, update__importance_cap=2.0, **first)[0]["grad_norm"]
    assert corrected == pytest.approx(2 * norm, rel=1e-3)  # e^1 is capped at 2


def test_no_group_is_no_step():
    metrics, _, updater = update(count=0)
    assert metrics == {}
    assert updater.applied == 0


def test_length_shaping_changes_the_reward_of_a_mixed_group():
    plain = update(rollout__max_new_tokens=4)[1]
    shaped = update(rollout__max_new_tokens=4, reward__overlong_cache=3)[1]
    assert not torch.allclose(plain, shaped)


def test_the_overlong_penalty_is_zero_then_linear_then_minus_one():
    lengths = (10, 12, 14, 16, 17, 30)
    penalties = [overlong_penalty(length, limit=16, cache=4) for length in lengths]
    assert penalties == [0.0, 0.0, -0.5, -1.0, -1.0, -1.0]


def test_staleness_counts_the_steps_since_the_weights_sampled():
    assert update()[0]["staleness"] == 0
    assert update(update__mini_batches=4, update__epochs_per_batch=2)[0]["staleness"] == 3.5


def test_shaped_rewards_are_told_apart_from_raw_ones():
    assert "shaped_reward" not in update()[0]
    metrics, _, _ = update(rollout__max_new_tokens=4, reward__overlong_cache=3)
    # Lengths 3, 2, 4 and 2 of 4: penalties 2/3, 1/3, 1 and 1/3; half of the responses are right.
    assert metrics["overlong_penalty"] == pytest.approx(-7 / 12)
    assert metrics["shaped_reward"] == pytest.approx(0.5 - 7 / 12)


def test_peak_memory_is_told():
    assert 0.05 < update()[0]["peak_memory_gib"] < 64


def credits_at(step, **settings):
    config = configured(**settings)
    model = random_model("Llama")
    groups = make_groups(model)
    policy_update = PolicyUpdate(config, model, Updater(model, config.update, World()))
    return policy_update.run(groups, Progress(step, 9), seed=0).credits, groups


@pytest.mark.parametrize("name", ["grpo", "conspo", "dr_grpo"])
def test_stored_credits_are_those_that_the_step_gave(name):
    rows, groups = credits_at(3, objective__name=name, update__store_credits_every=3)
    model, config = random_model("Llama"), configured(objective__name=name)
    rollouts = [rollout for group in groups for rollout in group.rollouts]
    prompts = [group.prompt_tokens for group in groups for _ in group.rollouts]
    logprobs_T = response_logprobs(model, prompts, [r.tokens for r in rollouts]).detach()
    batch = GroupBatch.of(
        logprobs_T,
        logprobs_T,
        [len(rollout.tokens) for rollout in rollouts],
        [4] * 4,
        [correct for group in groups for correct in group.correct],
        max_response_length=config.rollout.max_new_tokens,
    )
    expected = rollout_credits(batch, objective_named(name), config.objective, Progress(3, 9))
    assert [row.credit for row in rows] == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-7)
    assert [row.score for row in rows] == pytest.approx(
        batch.rollout_mean(logprobs_T).tolist(), rel=1e-5
    )
    assert [(row.update, row.group, row.problem_id, row.rollout) for row in rows] == [
        (0, g, f"p{g}", i) for g in range(4) for i in range(4)
    ]
    assert [(row.correct, row.response_tokens) for row in rows[:4]] == [
        (correct, len(tokens)) for tokens, correct in RESPONSES
    ]


def test_credits_are_stored_for_every_optimiser_step_when_they_are_due():
    rows, _ = credits_at(4, update__store_credits_every=2, update__mini_batches=2)
    assert [(row.update, row.group) for row in rows[::4]] == [(0, 0), (0, 2), (1, 1), (1, 3)]
    assert credits_at(3, update__store_credits_every=2)[0] == []
    assert credits_at(0)[0] == []


def test_flop_of_a_step_are_those_of_every_pass_over_every_group():
    metrics, _, _ = update(update__mini_batches=2, update__epochs_per_batch=2)
    model = random_model("Llama")
    head = model.get_output_embeddings()
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear) and m is not head]
    weights = sum(m.weight.shape[0] * m.weight.shape[1] for m in linear)
    config = model.config
    width = config.num_attention_heads * config.head_dim
    forward = 0
    for token in (0, 1):  # of the prompt, read once
        forward += 2 * weights + 4 * config.num_hidden_layers * width * (token + 1)
    for tokens, _ in RESPONSES:
        for place in range(len(tokens)):
            forward += 2 * head.weight.numel()
            if place + 1 < len(tokens):  # nothing is predicted from the last one
                forward += 2 * weights + 4 * config.num_hidden_layers * width * (2 + place + 1)
    groups, epochs, passes = 4, 2, 3
    scored = 2  # groups of the second mini-batch, by the policy before the first step
    assert metrics["flops"] == (groups * epochs * passes + scored) * forward


def test_every_metric_is_documented_and_every_documented_metric_is_logged():
    text = (Path(__file__).parents[2] / "docs" / "results.md").read_text()
    section = text.partition("## Metrics of `steps.jsonl`")[2].partition("\n## ")[0]
    documented = {
        name
        for line in section.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`([^`]+)`", line.split("|")[1])
    }
    logged = {"progress", "tokens", "tokens_per_s"}
    logged |= {f"time/{stage}_s" for stage in (*STAGES, "evaluate")}
    logged |= GroupCounts().fractions().keys()
    responses = [Rollout((1,), (0.0,), FinishStatus.STOPPED, "")]
    logged |= rollout_metrics(responses, [Judgement(Verdict.WRONG)]).keys()
    for name, options in OPTIONS.items():
        limits = {"objective__clip_score": 0.1} if issubclass(options, TrustRegionOptions) else {}
        limits |= {f"objective__{field}": value for field, value in needed(name).items()}
        done = update(objective__name=name, reward__overlong_cache=3, **limits)[0]
        row = done | {"entropy": 1.0}
        logged |= row.keys() | derived_metrics(row, sampled=8).keys()
    logged |= update_on(World(), (7,), {"objective.name": "grpo"} | REGULARIZED)[0].keys()
    assert documented == logged
