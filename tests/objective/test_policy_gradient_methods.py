"""Differences between the weighted policy gradients, and their numbers far from the old policy."""

import math
from dataclasses import replace

import mpmath
import pytest
import torch
from needed_settings import needed
from objective_batches import gradient, random_batch

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import GroupBatch, Progress, objective_named
from conspo_study.objective.dppo import binary_kl, total_variation

START = Progress(step=0, steps=1)
WEIGHTED = ["dppo", "reinforce", "dro", "vespo", "rloo", "maxrl", "luspo"]


def run(name, batch, **options):
    given = OPTIONS[name](**(needed(name) | options))
    return objective_named(name)(batch, given, START)


def pair(old, new, dtype=torch.float64):
    """One correct and one wrong rollout of one token each, at these log-probabilities."""
    old_T, new_T = torch.tensor(old, dtype=dtype), torch.tensor(new, dtype=dtype)
    return GroupBatch.of(new_T.requires_grad_(), old_T, [1, 1], [2], [True, False])


def probabilities(*p):
    return [math.log(value) for value in p]


@pytest.mark.parametrize("log_p", [-1e4, -50.0, -3.0, -0.1, -1e-5, -1e-12])
@pytest.mark.parametrize("move", [-30.0, -1.0, -1e-9, 1e-9, 1.0])
def test_divergences_of_tokens_keep_their_digits_from_rare_to_certain(log_p, move):
    moved = min(log_p + move, log_p * math.exp(-move))  # stays below 0
    with mpmath.workdps(60):
        p, q = mpmath.exp(log_p), mpmath.exp(moved)
        floor = mpmath.mpf("1e-8")
        spread = mpmath.log((1 - p + floor) / (1 - q + floor))
        kl = p * (mpmath.mpf(log_p) - mpmath.mpf(moved)) + (1 - p) * spread
        tv = abs(q - p)
    old_T, new_T = (torch.tensor([x], dtype=torch.float64) for x in (log_p, moved))
    # What cancels is of the size of p times the log-ratio.
    rounding = 1e-15 * (1 + float(p) * abs(moved - log_p))
    assert float(binary_kl(old_T, new_T)) == pytest.approx(float(kl), rel=1e-12, abs=rounding)
    assert float(total_variation(old_T, new_T)) == pytest.approx(float(tv), rel=1e-12, abs=1e-15)


def test_the_binary_kl_is_the_kl_of_two_coins():
    p, q = torch.tensor([0.3, 0.9, 0.01]).double(), torch.tensor([0.5, 0.2, 0.3]).double()
    coins = torch.distributions.Bernoulli(p), torch.distributions.Bernoulli(q)
    exact = torch.distributions.kl_divergence(*coins)
    torch.testing.assert_close(binary_kl(p.log(), q.log()), exact, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_token_that_float32_makes_certain_does_not_count_as_infinitely_far(dtype):
    certain = pair([math.log(0.999), -1.0], [0.0, -1.0], dtype)
    assert run("dppo", certain, divergence="kl").metrics["clip_fraction_high"].value == 0
    surprised = pair([0.0, -1.0], [-5.0, -1.0], dtype)
    assert torch.isfinite(run("dppo", surprised, divergence="kl").loss)


@pytest.mark.parametrize("divergence", ["tv", "kl"])
def test_dppo_lets_rare_tokens_change_their_ratio_and_stops_likely_ones(divergence):
    rare = pair(probabilities(1e-4, 0.5), probabilities(1e-3, 0.5))  # ratio 10
    likely = pair(probabilities(0.4, 0.5), probabilities(0.8, 0.5))  # ratio 2
    assert gradient(run("dppo", rare, divergence=divergence).loss, rare)[0] < 0
    stopped = run("dppo", likely, divergence=divergence)
    assert gradient(stopped.loss, likely)[0] == 0
    assert stopped.metrics["clip_fraction_high"].value == 0.5
    back = pair(probabilities(0.8, 0.4), probabilities(0.4, 0.8))
    assert (gradient(run("dppo", back, divergence=divergence).loss, back) != 0).all()
    down = pair(probabilities(0.5, 0.8), probabilities(0.5, 0.4))
    assert run("dppo", down, divergence=divergence).metrics["clip_fraction_low"].value == 0.5


def test_each_divergence_of_dppo_has_its_own_usual_limit():
    assert OPTIONS["dppo"]().limits == (0.2, 0.2)
    assert OPTIONS["dppo"](divergence="kl").limits == (0.05, 0.05)
    assert OPTIONS["dppo"](divergence="kl", delta_low=0.3).limits == (0.3, 0.05)


def test_dppo_caps_the_ratio_of_what_it_lets_through():
    batch = pair(probabilities(1e-4, 0.5), probabilities(1e-2, 0.5))  # ratio 100
    plain = {"std_ddof": 0, "std_epsilon": 0.0}
    output = run("dppo", batch, **plain)
    assert float(gradient(output.loss, batch)[0]) == pytest.approx(-20 / 2)
    assert output.metrics["cap_hit"].value == 0.5
    assert float(gradient(run("dppo", batch, ratio_cap=7, **plain).loss, batch)[0]) == -3.5


@pytest.mark.parametrize("name", WEIGHTED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("nats", [30.0, -30.0, 80.0, -80.0])
def test_long_rollouts_far_from_the_old_policy_have_finite_gradients(name, dtype, nats):
    new_T = torch.full((4000,), -1.0, dtype=dtype).requires_grad_()
    batch = GroupBatch.of(new_T, new_T.detach() - nats, [3000, 1000], [2], [True, False])
    output = run(name, batch)
    assert torch.isfinite(output.loss) and torch.isfinite(gradient(output.loss, batch)).all()
    assert all(math.isfinite(part.value) for part in output.metrics.values())


def test_vespo_s_weight_is_1_on_policy_and_highest_at_k_over_lambda():
    weights = {
        w: run("vespo", pair([-3.0, -3.0], [-3.0 + math.log(w)] * 2))
        .metrics["sequence_weight_max"]
        .value
        for w in (0.1, 2 / 3, 1.0, 1.5, 4.0)
    }
    assert weights[1.0] == 1
    # Of the two signs one has its peak at 2/3, the other at 3/2.
    assert weights[2 / 3] == pytest.approx(math.exp(3 - 2) * (2 / 3) ** 2)
    assert weights[1.5] == pytest.approx(math.exp(2 - 3) * 1.5**3)
    assert max(weights[0.1], weights[4.0]) < 0.2


def test_vespo_takes_a_rollout_s_corrections_into_the_ratio_of_the_sequence():
    batch = random_batch("ragged")
    correction_T = torch.linspace(0.9, 1.1, len(batch.logprobs_T), dtype=torch.float64)
    moved = replace(batch, old_logprobs_T=batch.old_logprobs_T - correction_T.log())
    corrected = replace(batch, correction_T=correction_T)
    expected = gradient(run("vespo", moved).loss, moved)
    torch.testing.assert_close(gradient(run("vespo", corrected).loss, corrected), expected)
    lost = replace(batch, correction_T=torch.zeros_like(correction_T))
    assert (gradient(run("vespo", lost).loss, lost) == 0).all()


def test_dro_stops_where_the_log_ratio_is_the_advantage_over_beta_and_returns_from_beyond():
    plain = {"std_ddof": 0, "std_epsilon": 0.0, "beta": 0.5}
    at = {}
    for d in (1.9, 2.0, 2.1):
        batch = pair([-3.0, -3.0], [-3.0 + d, -3.0 - d])  # A = 1 and -1
        at[d] = gradient(run("dro", batch, **plain).loss, batch).tolist()
    assert at[1.9][0] < 0 < at[1.9][1]
    assert at[2.0] == pytest.approx([0, 0], abs=1e-15)
    assert at[2.1][1] < 0 < at[2.1][0]


def test_dro_needs_its_beta():
    with pytest.raises(ValueError, match="beta"):
        OPTIONS["dro"]()


def test_maxrl_weighs_rare_successes_more_and_wrong_rollouts_alike():
    batch = random_batch("ragged")  # 2 of 5 and 1 of 3 are correct
    output = run("maxrl", batch, mean_epsilon=0.0)
    right = output.advantages_B[batch.correct_B].tolist()
    assert right == pytest.approx([1.5, 1.5, 2.0])
    assert output.advantages_B[~batch.correct_B].tolist() == pytest.approx([-1] * 5)


@pytest.mark.parametrize("rewards", [[-1, 1, -1, 1], [-1, -1, -1, -0.5]])
def test_maxrl_leaves_out_groups_whose_mean_reward_is_not_above_0(rewards):
    batch = random_batch("single tokens", rewards=[1, 0, *rewards[:2]])
    output = run("maxrl", batch)
    assert output.metrics["silent_groups"].value == 0.5
    assert output.advantages_B.tolist() == pytest.approx([1, -1, 0, 0], rel=1e-5)


def test_rloo_compares_with_the_mean_of_the_others():
    batch = random_batch("one positive", rewards=[0.9, 0.3, 0.0, 0.0])
    found = run("rloo", batch).advantages_B.tolist()
    assert found == pytest.approx([0.8, 0.0, -0.4, -0.4])
