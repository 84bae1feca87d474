"""Differences between the ratio methods: where each stops pushing, what its metrics count."""

import pytest
import torch
from objective_batches import gradient, random_batch

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import GroupBatch, Progress, objective_named

START = Progress(step=0, steps=1)


def run(name, batch, **options):
    return objective_named(name)(batch, OPTIONS[name](**options), START)


def pair(log_ratio_correct, log_ratio_wrong):
    """One correct and one wrong rollout of one token each, with these log-ratios."""
    old = torch.tensor([-3.0, -3.0], dtype=torch.float64)
    moved = torch.tensor([log_ratio_correct, log_ratio_wrong], dtype=torch.float64)
    return GroupBatch.of((old + moved).requires_grad_(), old, [1, 1], [2], [True, False])


@pytest.mark.parametrize(
    "name", ["grpo", "dapo", "dr_grpo", "gmpo", "gspo", "luspo", "rloo", "maxrl"]
)
def test_a_clip_stops_the_push_in_the_direction_of_the_advantage_only(name):
    stopped = pair(2.0, -2.0)
    assert gradient(run(name, stopped).loss, stopped).tolist() == [0, 0]
    back = pair(-2.0, 2.0)
    assert (gradient(run(name, back).loss, back) != 0).all()


def test_cispo_keeps_a_gradient_of_the_size_of_the_cap_beyond_it():
    batch = pair(2.0, -2.0)
    positive, negative = gradient(run("cispo", batch, std_ddof=0, std_epsilon=0).loss, batch)
    assert float(positive) == pytest.approx(-5.0 / 2)
    assert float(negative) == pytest.approx(torch.tensor(-2.0).exp().item() / 2, rel=1e-6)


def test_sapo_fades_with_the_distance_from_ratio_1():
    sizes = []
    for distance in (0.0, 0.5, 1.0, 2.0):
        batch = pair(distance, 0.0)
        weight = gradient(run("sapo", batch).loss, batch)[0]
        sizes.append(abs(float(weight)) / torch.tensor(distance).exp().item())
    assert sizes == sorted(sizes, reverse=True)


def test_clip_fractions_count_each_side_and_wide_clips_count_nothing():
    for name in ("grpo", "dapo", "dr_grpo", "rloo", "maxrl"):
        metrics = run(name, pair(2.0, 0.0)).metrics
        assert metrics["clip_fraction_high"].value == 0.5
        assert metrics["clip_fraction_low"].value == 0
        wide = run(name, pair(2.0, -2.0), clip_low=1.0, clip_high=1e9).metrics
        assert wide["clip_fraction_high"].value == wide["clip_fraction_low"].value == 0
    metrics = run("gmpo", pair(0.0, -2.0)).metrics
    assert metrics["clip_fraction_high"].value == 0
    assert metrics["clip_fraction_low"].value == 0.5


def test_metrics_of_sequence_clip_cap_and_gate():
    for name in ("gspo", "luspo"):
        assert run(name, pair(0.1, 0.0)).metrics["sequence_clip_fraction"].value == 0.5
    assert run("cispo", pair(0.0, 2.0)).metrics["cap_hit"].value == 0.5
    assert run("sapo", pair(0.0, 0.0)).metrics["gate_weight"].value == 1
    assert run("sapo", pair(3.0, 0.0)).metrics["gate_weight"].value == pytest.approx(0.5, abs=1e-6)


def test_advantage_metrics_are_means_over_rollouts():
    metrics = run("dr_grpo", random_batch("one positive")).metrics
    assert metrics["advantage_mean"].value == pytest.approx(0, abs=1e-15)
    assert metrics["advantage_abs"].value == pytest.approx(2 * 0.25 * 0.75)


def test_the_choice_of_ddof_is_one_constant_for_a_fixed_group_size():
    batch = random_batch("one positive")
    population = run("grpo", batch, std_ddof=0, std_epsilon=0.0).loss
    sample = run("grpo", batch, std_ddof=1, std_epsilon=0.0).loss
    assert float((sample / population).detach()) == pytest.approx((3 / 4) ** 0.5, rel=1e-12)


def test_shaped_rewards_change_advantages_and_leave_the_verdicts_alone():
    batch = random_batch("one positive", rewards=[0.5, 0.0, 0.0, -0.5])
    assert run("dr_grpo", batch).metrics["advantage_abs"].value == pytest.approx(0.25)
    same = random_batch("one positive")
    assert torch.equal(run("conspo", batch).loss, run("conspo", same).loss)


def test_disco_reports_its_constraint():
    inside = run("disco", random_batch(kl_old=5e-5)).metrics
    assert inside["hinge_active"].value == inside["penalty_share"].value == 0
    beyond = run("disco", random_batch(kl_old=2.1e-3)).metrics
    assert beyond["hinge_active"].value == 1
    assert beyond["constraint_kl"].value == 2.1e-3
    # Beside the contrast, whose weights sum to 2 in every group, stand beta (KL - delta) = 2.
    assert beyond["penalty_share"].value == pytest.approx(0.5)
