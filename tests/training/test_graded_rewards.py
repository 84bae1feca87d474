"""Graded rewards reach advantages; objectives on verdicts get them by the threshold."""

import math
from copy import deepcopy

import pytest
import torch
from needed_settings import needed
from objective_batches import SHAPES
from thread_world import run_threads
from tiny_models import random_model

from conspo_study.config import OPTIONS, with_overrides
from conspo_study.definition.presets import QUICK
from conspo_study.objective import GroupBatch, Progress, objective_of
from conspo_study.policy.logprobs import response_logprobs
from conspo_study.records import FinishStatus, Group, Judgement, Problem, Rollout, Verdict
from conspo_study.rollout.groups import form_groups
from conspo_study.rollout.metrics import rollout_metrics
from conspo_study.training.policy_update import PolicyUpdate
from conspo_study.update.step import Updater
from conspo_study.update.world import World

C, W = Verdict.CORRECT, Verdict.WRONG
OURS = [name for name, kind in OPTIONS.items() if kind.__module__.startswith("conspo_study.")]
ON_REWARDS = [name for name in OURS if OPTIONS[name].contrast == "rewards"]


def formed(graded, contrast):
    """Groups of judgements (verdict, reward), formed for an objective of this contrast."""
    return form_groups(
        [Problem(f"p{i}", "?", "1") for i in range(len(graded))],
        [[1, 2]] * len(graded),
        [[Rollout((5,), (-0.5,), FinishStatus.STOPPED, "")] * len(row) for row in graded],
        [[Judgement(verdict, "", reward) for verdict, reward in row] for row in graded],
        contrast,
    )


def test_which_objectives_read_rewards():
    assert set(OURS) - set(ON_REWARDS) == {
        *("conspo", "conspo_linear", "conspo_clipped_ratio", "disco"),
    }


def test_rewards_that_differ_are_contrast_for_those_alone_that_read_them():
    graded = [
        [(C, 1.0), (C, 0.7)],  # differ in their rewards alone
        [(W, 0.2), (W, 0.2)],
        [(C, 0.9), (W, 0.9)],  # differ in their verdicts alone, as by a penalty
        [(C, None), (W, None)],
    ]
    kept, counts = formed(graded, "rewards")
    assert [group.problem_id for group in kept] == ["p0", "p2", "p3"]
    assert kept[0].rewards == (1.0, 0.7) and kept[2].rewards == (1.0, 0.0)
    assert (counts.valid, counts.all_wrong, counts.all_correct) == (3, 1, 0)
    kept, counts = formed(graded, "verdicts")
    assert [group.problem_id for group in kept] == ["p2", "p3"]
    assert (counts.valid, counts.all_wrong, counts.all_correct) == (2, 1, 1)


def test_undecided_rewards_are_left_out_and_counted():
    row = [(C, 1.0), (W, 0.1), (Verdict.UNDECIDED, None), (Verdict.ERROR, None)]
    kept, counts = formed([row], "verdicts")
    assert len(kept[0].rollouts) == 2
    assert counts.unrewarded == 2 and counts.fractions()["dropped_rollout_fraction"] == 0.5


def test_metrics_tell_the_mean_reward_and_the_share_of_correct_responses():
    rollouts = [Rollout((5,), (-0.5,), FinishStatus.STOPPED, "")] * 4
    judged = [Judgement(C, "", 0.9), Judgement(C, "", 0.5), Judgement(W, "", 0.1)]
    found = rollout_metrics(rollouts, [*judged, Judgement(Verdict.UNDECIDED)])
    assert found["reward"].value == pytest.approx(0.5)
    assert found["reward_std"].value == pytest.approx(math.sqrt((0.16 + 0 + 0.16) / 3))
    assert found["correct_fraction"].value == pytest.approx(2 / 3)
    assert "correct_fraction" not in rollout_metrics(rollouts, [Judgement(C)] * 4)


def batch(correct, rewards):
    lengths, sizes, _ = SHAPES["ragged"]
    logprobs_T = -torch.rand(sum(lengths), dtype=torch.float64, generator=torch.manual_seed(0))
    return GroupBatch.of(
        logprobs_T.clone().requires_grad_(),
        logprobs_T,
        *(lengths, sizes, correct),
        rewards=rewards,
        max_response_length=12,
    )


@pytest.mark.parametrize("name", OURS)
def test_a_group_without_both_verdicts_is_trained_on_or_refused_never_nonsense(name):
    mixed = batch([True] * 5 + [True, False, False], [1, 0.9, 0.8, 0.7, 0.6, 1, 0, 0.5])
    options = OPTIONS[name](**needed(name))
    objective = objective_of(OPTIONS[name])
    if name not in ON_REWARDS:
        with pytest.raises(ValueError, match="group 0 has no correct or no wrong rollout"):
            objective(mixed, options, Progress(1, 3))
        return
    output = objective(mixed, options, Progress(1, 3))
    (weights_T,) = torch.autograd.grad(output.loss, mixed.logprobs_T)
    assert output.loss.isfinite() and weights_T.isfinite().all()
    first = weights_T[: sum(SHAPES["ragged"][0][:5])]
    assert first.abs().max() > 0
    # A better reward than the group's mean is pushed up, a worse one down.
    credit_B = -mixed.rollout_sum(weights_T)
    centred_B = mixed.rewards_B[:5] - mixed.rewards_B[:5].mean()
    assert ((credit_B[:5].sign() == centred_B.sign()) | (centred_B.abs() < 1e-9)).all()


def test_a_group_in_which_nothing_differs_is_refused():
    with pytest.raises(ValueError, match="group 0 has no contrast"):
        batch([True] * 5 + [True, False, False], [1] * 5 + [1, 0, 0.5])
    with pytest.raises(ValueError, match="group 0 has no contrast"):
        batch([True] * 5 + [True, False, False], None)


def groups(model, count=4):
    """Groups of which every other one differs in its rewards alone."""
    found = []
    for number in range(count):
        rollouts, judgements = [], []
        for i, tokens in enumerate([(5, 6, 2), (7, 2), (8, 9, 9, 2)]):
            with torch.no_grad():
                logprobs = response_logprobs(model, [(3 + number, 4)], [tokens])
            rollouts.append(Rollout(tokens, tuple(logprobs.tolist()), FinishStatus.STOPPED, ""))
            judgements.append(Judgement(C if number % 2 or i else W, "", 0.2 + 0.3 * i))
        found.append(Group(f"p{number}", (3 + number, 4), tuple(rollouts), tuple(judgements)))
    return found


def updated(world, name, model):
    config = with_overrides(QUICK, {"objective.name": name, "update.mini_batches": 2})
    model = deepcopy(model)
    share = 4 // world.size
    own = groups(model)[world.rank * share : (world.rank + 1) * share]
    updater = Updater(model, config.update, world)
    return PolicyUpdate(config, model, updater).run(own, Progress(0, 2), seed=0).metrics


@pytest.mark.parametrize("name", ["grpo", "dr_grpo"])
def test_what_is_logged_of_such_groups_is_finite_and_the_same_for_any_number_of_workers(name):
    model = random_model("Llama")  # whose seed threads would share
    alone = updated(World(), name, model)
    assert all(math.isfinite(value) for value in alone.values()), alone
    assert alone["score_gap"] and alone["grad_norm"] > 0
    for found in run_threads(2, lambda world: updated(world, name, model)):
        assert found.keys() == alone.keys()
        for metric in ("loss", "score_gap", "pairwise_accuracy", "advantage_abs", "kl_old_k3"):
            assert found[metric] == pytest.approx(alone[metric], rel=1e-4, abs=1e-6), metric
