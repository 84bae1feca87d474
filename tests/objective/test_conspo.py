"""ConSPO: its closed-form credits, its limits, its margin, and its behaviour at extremes."""

import math

import pytest
import torch
from objective_batches import SHAPES, random_batch, shifted
from tolerances import rounding

from conspo_study.config import ConSPOOptions
from conspo_study.objective import GroupBatch, Progress, objective_named
from conspo_study.objective.conspo import score_credits
from conspo_study.objective.margin import margin_at

END = Progress(step=99, steps=100)
SETTINGS = [(10.0, 0.01), (1.0, 0.1), (0.1, 0.5), (0.05, 0.0)]


def loss_of(batch, **options):
    return objective_named("conspo")(batch, ConSPOOptions(**options), END)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("tau", "margin"), SETTINGS)
def test_lemma_2_gives_the_gradient_and_credits_sum_to_zero(shape, tau, margin):
    batch = random_batch(shape)
    scores = batch.rollout_mean(batch.logprobs_T)
    credits_B = score_credits(batch, scores.detach(), tau, margin)
    torch.testing.assert_close(
        batch.group_sum(credits_B),
        torch.zeros(batch.groups, dtype=torch.float64),
        atol=rounding(8, 1, torch.float64),  # of up to eight credits of up to 1
        rtol=0,
    )
    (grad_T,) = torch.autograd.grad(loss_of(batch, tau=tau, margin=margin).loss, batch.logprobs_T)
    expected_T = -(credits_B / batch.lengths_B)[batch.rollout_T] / batch.groups
    torch.testing.assert_close(grad_T, expected_T, rtol=1e-11, atol=1e-15)


def test_two_negatives_share_credit_as_the_exponential_of_their_score_gap():
    batch = random_batch("one positive")
    scores = batch.rollout_mean(batch.logprobs_T).detach()
    credits_B = score_credits(batch, scores, tau=0.3, margin=0.2)
    ratio = math.exp(float(scores[1] - scores[2]) / 0.3)
    assert float(credits_B[1] / credits_B[2]) == pytest.approx(ratio, rel=1e-12)


@pytest.mark.parametrize(("tau", "margin"), SETTINGS)
def test_a_constant_added_to_every_score_of_a_group_changes_nothing(tau, margin):
    batch = random_batch()
    a = loss_of(batch, tau=tau, margin=margin).loss.detach()
    b = loss_of(shifted(batch, [37.0, -52.0]), tau=tau, margin=margin).loss.detach()
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def test_large_temperature_is_the_linear_score_difference_weighted_by_the_negatives():
    batch = random_batch("one negative")
    (grad,) = torch.autograd.grad(loss_of(batch, tau=1e6, margin=0.0).loss, batch.logprobs_T)
    scores = batch.rollout_mean(batch.logprobs_T)
    linear = scores[batch.correct_B].mean() - scores[~batch.correct_B].mean()
    (expected,) = torch.autograd.grad(-0.5 * linear, batch.logprobs_T)  # N-/(1 + N-), N- = 1
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("tau", [1e-4, 0.05, 1.0, 1e4])
@pytest.mark.parametrize("margin", [0.0, 1e4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extreme_scores_temperatures_and_margins_stay_finite(tau, margin, dtype):
    logprobs = torch.tensor([-1e4, 0.0, -1e4, 0.0], dtype=dtype, requires_grad=True)
    correct = [True, False, False, True]
    batch = GroupBatch.of(logprobs, logprobs.detach(), [1] * 4, [4], correct)
    output = loss_of(batch, tau=tau, margin=margin)
    (grad,) = torch.autograd.grad(output.loss, logprobs)
    assert torch.isfinite(output.loss)
    assert torch.isfinite(grad).all()
    allowed = rounding(4, 1, dtype)
    assert grad.abs().sum() <= 2 + allowed
    assert float(grad.sum()) == pytest.approx(0, abs=allowed)


def test_float32_gradient_agrees_with_float64_for_large_scores_and_small_tau():
    batch = random_batch(scale=500.0)
    (exact,) = torch.autograd.grad(loss_of(batch, tau=0.05, margin=0.1).loss, batch.logprobs_T)
    single = batch.logprobs_T.detach().float().requires_grad_()
    sizes = batch.sizes_Q.tolist()
    rounded = GroupBatch.of(
        single, single.detach(), batch.lengths_B.tolist(), sizes, batch.correct_B.tolist()
    )
    (grad,) = torch.autograd.grad(loss_of(rounded, tau=0.05, margin=0.1).loss, single)
    # Exponentials of numbers of up to 500 / 0.05, each rounded by eps / 2.
    torch.testing.assert_close(grad.double(), exact, rtol=5e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("cosine", [0.0, 0.5, 1.0, 1.0]),
        ("linear", [0.0, 0.5, 1.0, 1.0]),
        ("constant", [1.0, 1.0, 1.0, 1.0]),
        ("off", [0.0, 0.0, 0.0, 0.0]),
    ],
)
def test_margin_schedules_at_start_middle_and_end_of_their_warm_up(schedule, expected):
    options = ConSPOOptions(margin=0.2, schedule=schedule, alpha=0.4)
    values = [margin_at(options, fraction) for fraction in (0.0, 0.2, 0.4, 1.0)]
    assert values == pytest.approx([0.2 * value for value in expected], abs=1e-15)


def test_cosine_margin_follows_the_published_formula_between_its_ends():
    options = ConSPOOptions()  # M 0.01, alpha 0.3
    assert margin_at(options, 0.1) == pytest.approx(0.005 * (1 - math.cos(math.pi / 3)), rel=1e-12)


def test_a_margin_in_units_of_tau_is_multiplied_by_tau():
    assert ConSPOOptions(tau=0.2, margin=5, margin_unit="tau").target_margin == pytest.approx(1.0)
    assert ConSPOOptions(tau=0.2, margin=5).target_margin == 5


def test_progress_runs_from_zero_to_one():
    assert [Progress(step, 5).fraction for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]


def test_a_group_without_contrast_is_refused():
    logprobs = torch.zeros(4)
    with pytest.raises(ValueError, match="group 1 has no contrast"):
        GroupBatch.of(logprobs, logprobs, [1] * 4, [2, 2], [True, False, True, True])


def test_metrics_tell_the_size_of_the_push_and_of_the_contrast():
    batch = random_batch("one positive")
    metrics = loss_of(batch, tau=1e6, margin=0.0).metrics
    assert metrics["effective_negatives"].value == pytest.approx(3, rel=1e-5)
    assert metrics["effective_negatives_share"].value == pytest.approx(1, rel=1e-5)
    assert metrics["p_positive"].value == pytest.approx(0.25, rel=1e-5)
    assert metrics["push"].value == pytest.approx(0.75, rel=1e-5)


def margin_effect(tau, margin, shape="ragged"):
    metrics = loss_of(random_batch(shape), tau=tau, margin=margin, schedule="constant").metrics
    return metrics["margin_effect"].value


@pytest.mark.parametrize("shape", SHAPES)
def test_the_effect_of_a_margin_is_the_largest_change_of_a_credit(shape):
    batch = random_batch(shape)
    scores_B = batch.rollout_mean(batch.logprobs_T.detach())
    with_margin, without = (score_credits(batch, scores_B, 0.3, m) for m in (0.2, 0.0))
    change = float((with_margin - without).abs().max())
    assert margin_effect(0.3, 0.2, shape) == pytest.approx(change, rel=1e-9, abs=1e-15)


def test_the_published_margin_has_hardly_an_effect_at_the_published_temperature():
    assert margin_effect(tau=10.0, margin=0.0) == 0
    assert 0 < margin_effect(tau=10.0, margin=0.01) < 3e-4
    assert margin_effect(tau=0.1, margin=0.5) > 0.1
