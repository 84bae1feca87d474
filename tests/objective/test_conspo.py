"""ConSPO against a slow loop, its closed-form credits, and its behaviour at extremes."""

import math

import pytest
import torch
from objective.batches import SHAPES, random_batch

from conspo_study.config import ConSPOOptions
from conspo_study.objective import GroupBatch, Progress, Totals, objective_named
from conspo_study.objective.conspo import score_credits

END = Progress(step=99, steps=100)
SETTINGS = [(10.0, 0.01), (1.0, 0.1), (0.1, 0.5), (0.05, 0.0)]


def loss_of(batch, **options):
    return objective_named("conspo")(batch, ConSPOOptions(**options), END)


def slow_conspo(batch, tau, margin):
    """Equation 13 read off the page: python loops, one quotient of exponentials per positive."""
    rollouts = batch.logprobs_T.split(batch.lengths_B.tolist())
    scores = [tokens.sum() / len(tokens) for tokens in rollouts]
    members = {}
    for index, group in enumerate(batch.group_B.tolist()):
        members.setdefault(group, []).append(index)
    objective = 0
    for group in members.values():
        positives = [i for i in group if batch.correct_B[i]]
        negatives = [j for j in group if not batch.correct_B[j]]
        for i in positives:
            own = torch.exp((scores[i] - margin) / tau)
            others = sum(torch.exp(scores[j] / tau) for j in negatives)
            objective = objective + tau * torch.log(own / (own + others)) / len(positives)
    return -objective / len(members)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("tau", "margin"), SETTINGS)
def test_loss_and_gradient_equal_the_slow_loop(shape, tau, margin):
    batch = random_batch(shape)
    fast = loss_of(batch, tau=tau, margin=margin).loss
    slow = slow_conspo(batch, tau, margin)
    torch.testing.assert_close(fast, slow, rtol=1e-11, atol=1e-13)
    grads = [torch.autograd.grad(loss, batch.logprobs_T)[0] for loss in (fast, slow)]
    torch.testing.assert_close(*grads, rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("tau", "margin"), SETTINGS)
def test_lemma_2_gives_the_gradient_and_credits_sum_to_zero(shape, tau, margin):
    batch = random_batch(shape)
    scores = batch.rollout_mean(batch.logprobs_T)
    credits_B = score_credits(batch, scores.detach(), tau, margin)
    torch.testing.assert_close(
        batch.group_sum(credits_B),
        torch.zeros(batch.groups, dtype=torch.float64),
        atol=1e-15,
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
    shift_Q = torch.tensor([37.0, -52.0], dtype=torch.float64)
    shifted = GroupBatch(
        **{
            **{
                name: getattr(batch, name)
                for name in ("lengths_B", "group_B", "correct_B", "totals")
            },
            "logprobs_T": (batch.logprobs_T + shift_Q[batch.group_B][batch.rollout_T]).detach(),
            "old_logprobs_T": batch.old_logprobs_T,
        }
    )
    a = loss_of(batch, tau=tau, margin=margin).loss
    b = loss_of(shifted, tau=tau, margin=margin).loss
    torch.testing.assert_close(a.detach(), b, rtol=1e-11, atol=1e-12)


def test_large_temperature_is_the_linear_score_difference_weighted_by_the_negatives():
    batch = random_batch("one negative")
    (grad,) = torch.autograd.grad(loss_of(batch, tau=1e6, margin=0.0).loss, batch.logprobs_T)
    scores = batch.rollout_mean(batch.logprobs_T)
    linear = scores[batch.correct_B].mean() - scores[~batch.correct_B].mean()
    (expected,) = torch.autograd.grad(-0.5 * linear, batch.logprobs_T)  # N-/(1 + N-), N- = 1
    torch.testing.assert_close(grad, expected, rtol=1e-5, atol=1e-9)


def test_large_margin_is_disco_s_log_sum_exp_without_penalty():
    batch = random_batch()
    (grad,) = torch.autograd.grad(loss_of(batch, tau=0.5, margin=20.0).loss, batch.logprobs_T)
    scores = batch.rollout_mean(batch.logprobs_T)
    value = 0
    for group in range(batch.groups):
        inside = batch.group_B == group
        positives, negatives = scores[inside & batch.correct_B], scores[inside & ~batch.correct_B]
        value = value + positives.mean() - 0.5 * torch.logsumexp(negatives / 0.5, 0)
    (expected,) = torch.autograd.grad(-value / batch.groups, batch.logprobs_T)
    torch.testing.assert_close(grad, expected, rtol=1e-10, atol=1e-14)


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
    assert grad.abs().sum() <= 2 + 1e-5
    assert float(grad.sum()) == pytest.approx(0, abs=1e-6)


def test_float32_gradient_agrees_with_float64_for_large_scores_and_small_tau():
    batch = random_batch(scale=500.0)
    (exact,) = torch.autograd.grad(loss_of(batch, tau=0.05, margin=0.1).loss, batch.logprobs_T)
    single = batch.logprobs_T.detach().float().requires_grad_()
    sizes = batch.sizes_Q.tolist()
    rounded = GroupBatch.of(
        single, single.detach(), batch.lengths_B.tolist(), sizes, batch.correct_B.tolist()
    )
    (grad,) = torch.autograd.grad(loss_of(rounded, tau=0.05, margin=0.1).loss, single)
    torch.testing.assert_close(grad.double(), exact, rtol=5e-3, atol=1e-6)


def test_groups_of_several_workers_add_up_to_the_whole_step():
    whole = random_batch()
    (expected,) = torch.autograd.grad(loss_of(whole, tau=0.5, margin=0.1).loss, whole.logprobs_T)
    totals = Totals(groups=2, rollouts=8, tokens=35)
    parts, start, rollout = [], 0, 0
    for size in whole.sizes_Q.tolist():
        lengths = whole.lengths_B[rollout : rollout + size].tolist()
        correct = whole.correct_B[rollout : rollout + size].tolist()
        piece = whole.logprobs_T[start : start + sum(lengths)].detach().requires_grad_()
        batch = GroupBatch.of(piece, piece.detach(), lengths, [size], correct, totals)
        parts.append(torch.autograd.grad(loss_of(batch, tau=0.5, margin=0.1).loss, piece)[0])
        start, rollout = start + sum(lengths), rollout + size
    torch.testing.assert_close(torch.cat(parts), expected, rtol=1e-12, atol=1e-15)


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
    from conspo_study.objective.margin import margin_at

    options = ConSPOOptions(margin=0.2, schedule=schedule, alpha=0.4)
    values = [margin_at(options, fraction) for fraction in (0.0, 0.2, 0.4, 1.0)]
    assert values == pytest.approx([0.2 * value for value in expected], abs=1e-15)


def test_cosine_margin_follows_the_published_formula_between_its_ends():
    from conspo_study.objective.margin import margin_at

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
    assert metrics["p_positive"].value == pytest.approx(0.25, rel=1e-5)
    assert metrics["push"].value == pytest.approx(0.75, rel=1e-5)
