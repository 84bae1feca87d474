"""What the diagnostics say of batches and objectives."""

import math
from dataclasses import replace

import pytest
import torch
from objective.batches import SHAPES, random_batch, select

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import Progress, Totals, objective_named
from conspo_study.objective.conspo import score_credits
from conspo_study.objective.diagnostics import (
    grpo_identity_gap,
    margin_effect,
    ratio_metrics,
    rollout_credits,
    score_metrics,
)

END = Progress(step=9, steps=10)


def credits_of(name, batch, **options):
    return rollout_credits(batch, objective_named(name), OPTIONS[name](**options), END)


@pytest.mark.parametrize("shape", SHAPES)
def test_credits_of_conspo_are_those_of_lemma_2(shape):
    batch = random_batch(shape)
    expected = score_credits(batch, batch.rollout_mean(batch.logprobs_T.detach()), 0.3, 0.2)
    actual = credits_of("conspo", batch, tau=0.3, margin=0.2)
    torch.testing.assert_close(actual, expected, rtol=1e-10, atol=1e-13)


def test_credits_of_grpo_are_the_same_for_every_rollout_of_a_sign():
    batch = random_batch("one positive", on_policy=True)
    actual = credits_of("grpo", batch, std_ddof=0, std_epsilon=0.0)
    p = 1 / 4
    scale = math.sqrt(p * (1 - p))
    expected = torch.tensor([scale, -scale / 3, -scale / 3, -scale / 3], dtype=torch.float64)
    torch.testing.assert_close(actual, expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["conspo", "conspo_linear", "dr_grpo"])
def test_credits_of_a_group_are_the_same_alone_and_among_others(name):
    batch = random_batch()
    credits_B = credits_of(name, batch)
    part = select(batch, [0])[0]
    alone = replace(part, totals=Totals(groups=1, rollouts=4, tokens=25))
    # 4, not the group's 5: Dr. GRPO's mean is over rollouts, and the two groups have 8 together.
    torch.testing.assert_close(credits_of(name, alone), credits_B[:5], rtol=1e-12, atol=1e-14)


def test_credits_leave_the_batch_alone():
    batch = random_batch()
    assert not credits_of("conspo", batch).requires_grad
    assert batch.logprobs_T.grad is None


@pytest.mark.parametrize("shape", SHAPES)
def test_grpo_is_its_discriminative_form_on_any_batch(shape):
    assert grpo_identity_gap(random_batch(shape)) < 1e-11


def test_the_identity_gap_ignores_shaped_rewards_and_corrections():
    rewards = [0.1 * i for i in range(8)]
    batch = random_batch(rewards=rewards, correction_T=torch.full((35,), 3.0).double())
    assert grpo_identity_gap(batch) < 1e-11


def test_the_identity_gap_shows_a_loss_that_is_not_grpo(monkeypatch):
    name = "conspo_study.objective.diagnostics.grpo"
    monkeypatch.setattr(
        name, lambda batch, _, p: objective_named("dr_grpo")(batch, OPTIONS["dr_grpo"](), p)
    )
    assert grpo_identity_gap(random_batch()) > 0.01


def test_the_published_margin_has_hardly_an_effect_at_the_published_temperature():
    batch = random_batch()
    assert margin_effect(batch, tau=10.0, margin=0.0) == 0
    assert 0 < margin_effect(batch, tau=10.0, margin=0.01) < 3e-4
    assert margin_effect(batch, tau=0.1, margin=0.5) > 0.1


def test_score_and_ratio_metrics_by_hand():
    batch = random_batch("single tokens")
    scores = batch.logprobs_T.tolist()
    metrics = score_metrics(batch)
    assert metrics["score_gap"].value == pytest.approx(
        (scores[0] - scores[1] + scores[3] - scores[2]) / 2
    )
    ordered = (scores[0] > scores[1]) + (scores[3] > scores[2])
    assert metrics["pairwise_accuracy"].value == ordered / 2
    assert ratio_metrics(batch)["kl_old_k1"].value == pytest.approx(batch.kl_old)
