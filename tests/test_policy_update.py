"""Several optimiser steps per rollout batch: how groups are split and what ratios refer to."""

import pytest
import torch
from tiny_models import random_model

from conspo_study.config import with_overrides
from conspo_study.objective import Progress
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.policy_update import PolicyUpdate
from conspo_study.presets import QUICK
from conspo_study.records import FinishStatus, Group, Judgement, Rollout, Verdict
from conspo_study.reward.shaping import overlong_penalty
from conspo_study.update.step import Updater
from conspo_study.update.world import World

RESPONSES = [((5, 6, 2), True), ((7, 2), False), ((8, 9, 9, 2), False), ((4, 2), True)]


def make_groups(model, count=4, shift=0.0):
    """Groups whose sampler log-probabilities are the model's own, plus `shift`."""
    groups = []
    for number in range(count):
        prompt = (3 + number, 4)
        rollouts, judgements = [], []
        for tokens, correct in RESPONSES:
            with torch.no_grad():
                logprobs = response_logprobs(model, [prompt], [tokens]) + shift
            rollouts.append(Rollout(tokens, tuple(logprobs.tolist()), FinishStatus.STOPPED, ""))
            judgements.append(Judgement(Verdict.CORRECT if correct else Verdict.WRONG))
        groups.append(Group(f"p{number}", prompt, tuple(rollouts), tuple(judgements)))
    return groups


def update(shift=0.0, count=4, **settings):
    config = with_overrides(
        QUICK,
        {"objective.name": "grpo", "update.learning_rate": 0.01, "update.warmup_steps": 0}
        | {name.replace("__", "."): value for name, value in settings.items()},
    )
    model = random_model("Llama")
    groups = make_groups(model, count, shift)
    updater = Updater(model, config.update, World())
    metrics = PolicyUpdate(config, model, updater).run(groups, Progress(0, 2), seed=0)
    return metrics, torch.cat([p.detach().reshape(-1) for p in model.parameters()]), updater


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
    _, trainer, _ = update(update__mini_batches=2)
    _, sampler, _ = update(update__mini_batches=2, update__old_logprobs="sampler")
    torch.testing.assert_close(trainer, sampler, atol=1e-4, rtol=1e-4)


def test_the_importance_cap_changes_ratio_methods_only_where_sampler_and_trainer_disagree():
    agreeing = [update(**cap)[0]["grad_norm"] for cap in ({}, {"update__importance_cap": 2.0})]
    assert agreeing[0] == pytest.approx(agreeing[1], rel=1e-5)
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
