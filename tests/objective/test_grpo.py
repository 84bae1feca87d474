"""GRPO against a slow loop and against the discriminative form that the ConSPO paper derives."""

import pytest
import torch
from objective.batches import SHAPES, random_batch

from conspo_study.config import GRPOOptions
from conspo_study.objective import Progress, objective_named

START = Progress(step=0, steps=1)


def loss_of(batch, **options):
    return objective_named("grpo")(batch, GRPOOptions(**options), START)


def slow_grpo(batch, low=0.2, high=0.2, ddof=1, epsilon=1e-6):
    new = batch.logprobs_T.split(batch.lengths_B.tolist())
    old = batch.old_logprobs_T.split(batch.lengths_B.tolist())
    total = 0
    for i, group in enumerate(batch.group_B.tolist()):
        rewards = batch.correct_B[batch.group_B == group].double()
        advantage = (float(batch.correct_B[i]) - rewards.mean()) / (
            rewards.std(correction=ddof) + epsilon
        )
        tokens = 0
        for now, before in zip(new[i], old[i], strict=True):
            rho = torch.exp(now - before)
            clipped = torch.clip(rho, 1 - low, 1 + high)
            tokens = tokens - torch.min(rho * advantage, clipped * advantage)
        total = total + tokens / len(new[i])
    return total / len(new)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("ddof", [0, 1])
def test_loss_and_gradient_equal_the_slow_loop(shape, ddof):
    batch = random_batch(shape)
    fast, slow = loss_of(batch, std_ddof=ddof).loss, slow_grpo(batch, ddof=ddof)
    torch.testing.assert_close(fast, slow, rtol=1e-12, atol=1e-14)
    grads = [torch.autograd.grad(loss, batch.logprobs_T)[0] for loss in (fast, slow)]
    torch.testing.assert_close(*grads, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", ["one positive", "one negative", "single tokens"])
def test_with_population_std_it_is_the_discriminative_form_of_proposition_1(shape):
    batch = random_batch(shape)
    rho = batch.log_ratio_T.exp()
    positive_scores = batch.rollout_mean(rho.clamp(max=1.2))
    negative_scores = batch.rollout_mean(rho.clamp(min=0.8))
    value = 0
    for group in range(batch.groups):
        inside = batch.group_B == group
        p = batch.correct_B[inside].double().mean()
        value = value + (p * (1 - p)).sqrt() * (
            positive_scores[inside & batch.correct_B].mean()
            - negative_scores[inside & ~batch.correct_B].mean()
        )
    loss = loss_of(batch, std_ddof=0, std_epsilon=0.0).loss
    torch.testing.assert_close(loss, -value / batch.groups, rtol=1e-12, atol=1e-14)


def test_the_choice_of_ddof_is_one_constant_for_a_fixed_group_size():
    batch = random_batch("one positive")
    a = loss_of(batch, std_ddof=0, std_epsilon=0.0).loss
    b = loss_of(batch, std_ddof=1, std_epsilon=0.0).loss
    assert float((b / a).detach()) == pytest.approx((3 / 4) ** 0.5, rel=1e-12)


def test_on_policy_nothing_is_clipped_and_off_policy_both_sides_are_counted():
    batch = random_batch()
    assert loss_of(batch).metrics["clip_fraction_high"].value > 0
    assert loss_of(batch).metrics["clip_fraction_low"].value > 0
    wide = loss_of(batch, clip_low=1.0, clip_high=1e9).metrics
    assert wide["clip_fraction_high"].value == wide["clip_fraction_low"].value == 0
