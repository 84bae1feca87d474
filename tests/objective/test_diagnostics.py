"""What the diagnostics say of batches and objectives."""

import math
from dataclasses import replace

import pytest
import torch
from objective_batches import SHAPES, random_batch, select

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import Progress, Totals, objective_named
from conspo_study.objective.conspo import score_credits
from conspo_study.objective.diagnostics import (
    LARGEST_LOG_RATIO,
    grpo_identity_gap,
    mismatch_metrics,
    ratio_metrics,
    ratio_quantile,
    rollout_credits,
    score_metrics,
)
from conspo_study.objective.grpo import rollout_losses

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


@pytest.mark.parametrize(
    "wrong",
    [
        lambda batch, advantages_B, options: 1.01 * rollout_losses(batch, advantages_B, options),
        # The value is right on-policy, the gradient is not.
        lambda batch, advantages_B, _: -advantages_B * batch.rollout_mean(batch.ratio_T**2),
        # The gradient is right, the value is not.
        lambda batch, advantages_B, options: (
            rollout_losses(batch, advantages_B, options) + 0.01 * batch.correct_B
        ),
    ],
)
def test_the_identity_gap_shows_a_loss_that_is_not_grpo(monkeypatch, wrong):
    monkeypatch.setattr("conspo_study.objective.diagnostics.rollout_losses", wrong)
    assert grpo_identity_gap(random_batch(on_policy=True)) > 0.001


def test_the_identity_gap_is_of_the_worst_rollout_however_the_batch_is_split(monkeypatch):
    def wrong(batch, advantages_B, options):
        return rollout_losses(batch, advantages_B, options) * batch.lengths_B

    monkeypatch.setattr("conspo_study.objective.diagnostics.rollout_losses", wrong)
    batch = random_batch()
    gaps = [grpo_identity_gap(select(batch, [group])[0]) for group in (0, 1)]
    assert gaps[0] != gaps[1]
    assert grpo_identity_gap(batch) == pytest.approx(max(gaps), rel=1e-12)


def test_score_and_ratio_metrics_by_hand():
    batch = random_batch("single tokens")
    scores = batch.logprobs_T.tolist()
    metrics = score_metrics(batch)
    assert metrics["score_gap"].value == pytest.approx(
        (scores[0] - scores[1] + scores[3] - scores[2]) / 2
    )
    ordered = (scores[0] > scores[1]) + (scores[3] > scores[2])
    assert metrics["pairwise_accuracy"].value == ordered / 2
    ratios = batch.ratio_T.tolist()
    metrics = {name: part.value for name, part in ratio_metrics(batch).items()}
    assert metrics["kl_old_k1"] == pytest.approx(batch.kl_old)
    assert metrics["ratio_min"] == pytest.approx(min(ratios))
    # With single tokens a rollout's ratio is its token's.
    assert metrics["ratio_max"] == metrics["sequence_ratio_max"] == pytest.approx(max(ratios))
    assert metrics["ratio_mean"] == metrics["sequence_ratio_mean"] == pytest.approx(sum(ratios) / 4)


def test_sequence_ratios_are_geometric_means_over_tokens():
    batch = random_batch()
    assert ratio_metrics(batch)["sequence_ratio_max"].value == pytest.approx(
        max(math.exp(d) for d in batch.rollout_mean(batch.log_ratio_T).tolist())
    )


def test_a_quantile_of_ratios_is_right_to_its_resolution_and_survives_what_is_no_number():
    d_T = torch.linspace(-0.3, 0.7, 1001, dtype=torch.float64)[torch.randperm(1001)]
    assert ratio_quantile(d_T, 0.99).value == pytest.approx(math.exp(0.69), rel=5.1e-4)
    assert ratio_quantile(d_T, 0.5).value == pytest.approx(math.exp(0.2), rel=5.1e-4)
    odd_T = torch.tensor([math.nan, math.inf, -math.inf, 1e9], dtype=torch.float64)
    assert ratio_quantile(odd_T, 1.0).value == pytest.approx(math.exp(LARGEST_LOG_RATIO))
    assert ratio_quantile(odd_T, 0.01).value == pytest.approx(math.exp(-LARGEST_LOG_RATIO))


def test_mismatch_metrics_by_hand():
    trainer, sampler = torch.tensor([-1.0, -2.0, -4.0]), torch.tensor([-1.5, -2.0, -3.75])
    metrics = {name: part.value for name, part in mismatch_metrics(trainer, sampler).items()}
    assert metrics["mismatch_abs"] == pytest.approx(0.25)
    assert metrics["mismatch_max"] == 0.5
    expected = sum(math.expm1(d) - d for d in (0.5, 0.0, -0.25)) / 3
    assert metrics["mismatch_kl"] == pytest.approx(expected)
    r = torch.corrcoef(torch.stack([trainer, sampler]).double())[0, 1]
    assert metrics["mismatch_r"] == pytest.approx(float(r))


@pytest.mark.parametrize("found", [score_metrics, ratio_metrics])
def test_diagnostics_of_two_workers_add_up_to_those_of_one(found):
    batch = random_batch()
    parts = [found(select(batch, [group])[0]) for group in (0, 1)]
    for name, part in found(batch).items():
        together = parts[0][name] + parts[1][name]
        assert together.value == pytest.approx(part.value, rel=1e-12), name
