"""The switches of every objective, against exact sums over small vocabularies and long digits."""

from dataclasses import replace

import mpmath
import pytest
import torch
from needed_settings import needed
from objective_agreement import PROGRESS, SETTINGS, TOKEN_SUMS
from objective_batches import random_batch

from conspo_study.config import UpdateConfig
from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import objective_named, token_weights
from conspo_study.objective.regularization import (
    entropy_bonus,
    importance_weighted,
    reference_penalty,
    regularized,
)


def weights_of(name, batch):
    options = OPTIONS[name](**needed(name))
    return token_weights(batch, objective_named(name), options, PROGRESS)


def test_the_mean_of_the_estimate_over_all_tokens_is_the_kl_divergence():
    draw = torch.Generator().manual_seed(0)
    policy, reference = torch.randn(2, 50, generator=draw).double().log_softmax(-1)
    pairs = zip(policy, reference, strict=True)
    each = [reference_penalty(p[None], q[None], 1.0, 1).loss for p, q in pairs]
    mean = float((policy.exp() * torch.tensor(each, dtype=torch.float64)).sum())
    kl = float((policy.exp() * (policy - reference)).sum())
    assert mean == pytest.approx(kl, rel=1e-12)


@pytest.mark.parametrize("gap", [-8.0, -0.5, -1e-4, -1e-9, 0.0, 1e-9, 1e-4, 0.5, 8.0])
def test_the_estimate_and_its_gradient_keep_their_digits(gap):
    policy_T, reference_T = torch.tensor([-3.0]).double(), torch.tensor([-3.0 + gap]).double()
    term = reference_penalty(policy_T, reference_T, 0.25, 8)
    with mpmath.workdps(50):
        log_q = mpmath.mpf(float(reference_T)) - mpmath.mpf(float(policy_T))
        k3, slope = mpmath.expm1(log_q) - log_q, -mpmath.expm1(log_q)
        expected, steep = float(k3 / 32), float(slope / 32)
    # A gap of 1e-9 nats squared is below what float64 keeps of the gap itself.
    assert term.loss == pytest.approx(expected, rel=1e-11, abs=1e-17)
    assert float(term.weights_T) == pytest.approx(steep, rel=1e-14)
    assert term.metrics["reference_kl"].value == pytest.approx(32 * expected, rel=1e-11, abs=1e-17)


def test_a_coefficient_weighs_the_mean_over_the_tokens_of_all_workers():
    values_T = torch.linspace(0.1, 2.0, 7).double()
    whole = entropy_bonus(values_T, 0.3, 7)
    assert whole.loss == pytest.approx(-0.3 * float(values_T.mean()))
    parts = [entropy_bonus(part, 0.3, 7) for part in (values_T[:2], values_T[2:])]
    assert sum(part.loss for part in parts) == pytest.approx(whole.loss)
    assert torch.equal(torch.cat([part.weights_T for part in parts]), whole.weights_T)
    apart = [reference_penalty(part, part + 0.5, 0.3, 7) for part in (values_T[:2], values_T[2:])]
    together = reference_penalty(values_T, values_T + 0.5, 0.3, 7)
    assert sum(part.loss for part in apart) == pytest.approx(together.loss)


@pytest.mark.parametrize("name", SETTINGS)
def test_a_sequence_weight_scales_what_each_rollout_gives_to_the_gradient(name):
    batch = random_batch(on_policy=True, kl_old=0.01)
    generator = torch.Generator().manual_seed(3)
    shift_T = 0.2 * torch.randn(len(batch.logprobs_T), generator=generator).double()
    sampled_T = batch.old_logprobs_T - shift_T
    plain = weights_of(name, batch)
    found = importance_weighted(plain, batch, sampled_T, cap=1.1)
    sums = [float(part.sum()) for part in torch.split(shift_T, batch.lengths_B.tolist())]
    ratios_B = torch.tensor(sums).double().exp()
    assert 0 < (ratios_B > 1.1).sum() < len(ratios_B)
    expected_B = ratios_B.clamp(max=1.1)
    expected_T = plain.weights_T * expected_B[batch.rollout_T]
    torch.testing.assert_close(found.weights_T, expected_T)
    assert found.loss == plain.loss
    assert found.metrics["importance_weight"].value == pytest.approx(float(expected_B.mean()))
    assert found.metrics["importance_capped"].value == float((ratios_B > 1.1).double().mean())
    if name in TOKEN_SUMS:  # there it is the gradient of a weighted loss
        weighted = replace(batch, correction_T=expected_B[batch.rollout_T])
        torch.testing.assert_close(weights_of(name, weighted).weights_T, expected_T)


def test_what_is_off_leaves_an_objective_as_it_is():
    batch = random_batch()
    weights = weights_of("conspo", batch)
    loss, weights_T, metrics = regularized(UpdateConfig(), weights, batch.logprobs_T, None, None, 9)
    assert (loss, metrics) == (weights.loss, weights.metrics)
    assert weights_T is weights.weights_T
