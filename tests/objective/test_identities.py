"""Where the objectives are one another, as the ConSPO and DisCO papers derive."""

import math
from dataclasses import replace

import pytest
import torch
from objective_batches import LIMIT, SHAPES, gradient, random_batch, shifted

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import Progress, objective_named

END = Progress(step=9, steps=10)
POPULATION = {"std_ddof": 0, "std_epsilon": 0.0}
ONE_GROUP = ["one positive", "one negative"]


def weights(name, batch, **options):
    loss = objective_named(name)(batch, OPTIONS[name](**options), END).loss
    return gradient(loss, batch)


def assert_equal(actual, expected, atol=1e-14):
    torch.testing.assert_close(actual, expected, rtol=1e-11, atol=atol)


@pytest.mark.parametrize("shape", SHAPES)
def test_on_policy_ten_methods_are_two(shape):
    batch = random_batch(shape, on_policy=True)
    for name in ("gspo", "gmpo", "sapo", "reinforce"):
        assert_equal(weights(name, batch), weights("grpo", batch))
    for name, options in (("cispo", {}), ("dppo", {}), ("vespo", {}), ("dro", {"beta": 3.0})):
        assert_equal(weights(name, batch, **options), weights("dapo", batch))
    assert_equal(weights("dppo", batch, divergence="kl"), weights("dapo", batch))


@pytest.mark.parametrize("shape", ONE_GROUP)
def test_on_policy_grpo_is_the_linear_score_difference_weighted_by_difficulty(shape):
    batch = random_batch(shape, on_policy=True)
    p = float(batch.correct_B.double().mean())
    linear = weights("conspo_linear", batch)
    assert_equal(weights("grpo", batch, **POPULATION), math.sqrt(p * (1 - p)) * linear)
    by_length = (batch.lengths_B / LIMIT)[batch.rollout_T]
    assert_equal(weights("dr_grpo", batch), p * (1 - p) * by_length * linear)


@pytest.mark.parametrize("shape", SHAPES)
def test_disco_b_without_its_constraint_is_the_linear_ablation(shape):
    batch = random_batch(shape)
    disco_b = weights("disco", batch, aggregate="mean", kl_penalty=0.0)
    assert_equal(disco_b, weights("conspo_linear", batch))


@pytest.mark.parametrize("shape", sorted(set(SHAPES) - {"extreme"}))
@pytest.mark.parametrize(("margin", "atol"), [(5.0, 1e-3), (20.0, 1e-14)])
def test_a_large_margin_makes_conspo_disco_without_its_constraint(shape, margin, atol):
    batch = random_batch(shape)
    disco = weights("disco", batch, tau=0.5, kl_penalty=0.0)
    assert_equal(weights("conspo", batch, tau=0.5, margin=margin), disco, atol)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("conspo", {"tau": 0.5, "margin": 0.1}),
        ("conspo_linear", {}),
        ("disco", {"tau": 0.5}),
        ("disco", {"aggregate": "mean"}),
    ],
)
def test_a_constant_added_to_the_scores_of_a_group_changes_nothing(shape, name, options):
    batch = random_batch(shape)
    moved = shifted(batch, [3.0, -7.0][: batch.groups])
    # Log-likelihood scores know no old policy: only DisCO's constraint would notice.
    assert_equal(weights(name, moved, **options), weights(name, batch, **options), atol=1e-10)


def test_on_policy_the_clipped_ratio_ablation_gives_every_rollout_of_a_sign_the_same_credit():
    batch = random_batch("one positive", on_policy=True)
    credit_B = batch.rollout_sum(weights("conspo_clipped_ratio", batch, tau=0.1))
    assert_equal(credit_B[1:], credit_B[1].expand(3))
    assert_equal(credit_B.sum(), torch.zeros((), dtype=torch.float64))


def test_dapo_is_grpo_when_all_responses_are_equally_long():
    batch = random_batch("one positive")
    same = {"clip_low": 0.2, "clip_high": 0.2}
    assert_equal(weights("dapo", batch, **same), weights("grpo", batch, **same))
    assert_equal(
        weights("dr_grpo", batch, max_response_length=4),
        weights("grpo", batch, **POPULATION) * math.sqrt(3) / 4,
    )


@pytest.mark.parametrize("shape", ONE_GROUP)
def test_rloo_and_maxrl_differ_by_the_pass_rate(shape):
    batch = random_batch(shape)
    size, p = len(batch.lengths_B), float(batch.correct_B.double().mean())
    maxrl = weights("maxrl", batch, mean_epsilon=0.0)
    assert_equal(maxrl, weights("rloo", batch) * (size - 1) / (size * p))


def test_rloo_is_dr_grpo_times_g_over_g_minus_1_when_all_responses_are_equally_long():
    batch = random_batch("one positive")
    assert_equal(weights("rloo", batch), 4 / 3 * weights("dr_grpo", batch, max_response_length=4))


@pytest.mark.parametrize("shape", SHAPES)
def test_reinforce_is_grpo_on_policy_wherever_the_old_policy_is(shape):
    batch = random_batch(shape, drift=0.2)
    on_policy = replace(batch, old_logprobs_T=batch.logprobs_T.detach())
    assert_equal(weights("reinforce", batch), weights("grpo", on_policy))


@pytest.mark.parametrize("shape", ONE_GROUP)
def test_reinforce_without_a_scale_is_the_linear_score_difference_times_p_1_minus_p(shape):
    batch = random_batch(shape)
    p = float(batch.correct_B.double().mean())
    linear = weights("conspo_linear", batch)
    assert_equal(weights("reinforce", batch, scale="none"), p * (1 - p) * linear)


@pytest.mark.parametrize("shape", SHAPES)
def test_dro_adds_beta_times_the_log_ratio_to_every_token(shape):
    batch = random_batch(shape, drift=0.1)
    d_T = batch.log_ratio_T.detach()
    off, on = (weights("dro", batch, beta=beta) for beta in (1e-12, 1.5))
    assert_equal(on - off, 1.5 * d_T / len(d_T), atol=1e-11)


@pytest.mark.parametrize("shape", SHAPES)
def test_dppo_without_limits_is_cispo(shape):
    batch = random_batch(shape, drift=-0.3)
    wide = {"delta_low": 1e9, "delta_high": 1e9, "ratio_cap": 1.2}
    assert_equal(weights("dppo", batch, **wide), weights("cispo", batch, ratio_cap=1.2))


def test_luspo_is_gspo_times_the_length_where_it_is_the_same_for_all():
    batch = random_batch("one positive")
    same = {"clip_low": 0.1, "clip_high": 0.1}
    assert_equal(weights("luspo", batch, **same), 4 * weights("gspo", batch, **same))


def test_the_two_aggregations_of_dapo_are_one_for_a_single_group():
    batch = random_batch("one negative")
    by_group = weights("dapo", batch, aggregation="group_token_mean")
    assert_equal(by_group, weights("dapo", batch))


@pytest.mark.parametrize("excess", [1e-4, 0.3])
def test_the_penalty_of_disco_s_paper_has_twice_the_gradient_of_its_code(excess):
    batch = random_batch(kl_old=1e-4 + excess)
    free = weights("disco", batch, kl_penalty=0.0)
    code = weights("disco", batch, penalty="code") - free
    paper = weights("disco", batch, penalty="paper") - free
    assert_equal(paper, 2 * code, atol=1e-12)
    assert_equal(code, torch.full_like(code, -1e3 * excess / len(code)), atol=1e-12)


def test_rewards_of_minus_one_and_one_double_dr_grpo_and_leave_the_others():
    batch = random_batch()
    doubled = replace(batch, rewards_B=2 * batch.rewards_B - 1)
    assert_equal(weights("dr_grpo", doubled), 2 * weights("dr_grpo", batch))
    options = {"std_epsilon": 0.0}
    assert_equal(weights("grpo", doubled, **options), weights("grpo", batch, **options))
