"""Angles of credits, against numpy on the scores themselves."""

import math

import numpy as np
import pytest
import torch
from objective_batches import SHAPES, random_batch, select

from conspo_study.config.objectives import OPTIONS
from conspo_study.objective import GroupBatch, Progress, objective_named, token_weights
from conspo_study.objective.direction import direction_metrics
from conspo_study.objective.output import angle_of
from conspo_study.records import add_parts

END = Progress(9, 10)


def metrics_of(batch, name="conspo", progress=END, **settings):
    objective, options = objective_named(name), OPTIONS[name](**settings)
    weights = token_weights(batch, objective, options, progress)
    return direction_metrics(batch, weights.weights_T, objective, options, progress)


def angles_of(batch, *given, **settings):
    return {name: part.value for name, part in metrics_of(batch, *given, **settings).items()}


def plain_credits(scores, correct, groups, tau, margin):
    """Lemma 2 group by group: exp(s/tau) as it stands, without any care for large scores."""
    credits = np.zeros(len(scores))
    for group in set(groups):
        right = [i for i, g in enumerate(groups) if g == group and correct[i]]
        wrong = [i for i, g in enumerate(groups) if g == group and not correct[i]]
        if math.isinf(tau):
            credits[right], credits[wrong] = 1 / len(right), -1 / len(wrong)
            continue
        odds = np.exp(scores[wrong] / tau)
        for i in right:
            own = np.exp((scores[i] - margin) / tau)
            push = odds.sum() / (own + odds.sum()) / len(right)
            credits[i] += push
            credits[wrong] -= push * odds / odds.sum()
    return credits


def degrees(x, y):
    return math.degrees(math.acos(x @ y / math.sqrt((x @ x) * (y @ y))))


def parts_of(batch):
    scores = batch.rollout_mean(batch.logprobs_T.detach()).numpy()
    return scores, batch.correct_B.tolist(), batch.group_B.tolist()


@pytest.mark.parametrize("shape", [name for name in SHAPES if name != "extreme"])
@pytest.mark.parametrize(("tau", "margin"), [(0.3, 0.2), (1.0, 5.0), (0.05, 0.0)])
def test_the_angles_are_those_of_the_credits_of_lemma_2(shape, tau, margin):
    batch = random_batch(shape)
    found = angles_of(batch, tau=tau, margin=margin, schedule="constant")
    credits, linear, without = (
        plain_credits(*parts_of(batch), *setting)
        for setting in ((tau, margin), (math.inf, 0), (tau, 0))
    )
    # The arc cosine of a number near 1 has few digits.
    near = {"rel": 1e-6, "abs": 2e-6}
    assert found["credit_angle"] == pytest.approx(degrees(credits, linear), **near)
    if margin:
        assert found["credit_angle_margin"] == pytest.approx(degrees(credits, without), **near)
    else:
        assert found["credit_angle_margin"] == 0


@pytest.mark.parametrize("name", ["conspo", "conspo_clipped_ratio", "grpo", "disco"])
def test_parts_of_a_split_batch_add_up(name):
    batch = random_batch(drift=0.1)
    whole = angles_of(batch, name)
    merged = {}
    for group in (0, 1):
        add_parts(merged, metrics_of(select(batch, [group])[0], name))
    assert {key: part.value for key, part in merged.items()} == pytest.approx(whole, rel=1e-9)
    assert whole["credit_angle"] > 1


def test_the_limits():
    batch = random_batch()
    one, _ = select(batch, [0])
    assert angles_of(batch, "conspo_linear")["credit_angle"] == pytest.approx(0, abs=1e-12)
    angles = [angles_of(one, tau=tau, schedule="off")["credit_angle"] for tau in (0.1, 1, 10, 1e9)]
    assert angles == sorted(angles, reverse=True)
    assert angles[-1] == pytest.approx(0, abs=1e-3)
    assert angles[0] > 10
    # A margin far beyond tau and all gaps gives every correct rollout the push 1.
    far = angles_of(one, tau=1e3, margin=1e6, schedule="constant")
    assert far["credit_angle"] < 0.1


def test_the_margin_counts_as_far_as_it_has_risen():
    batch = random_batch()
    start, end = (angles_of(batch, progress=p, tau=0.3, margin=1.0) for p in (Progress(0, 10), END))
    assert start["credit_angle_margin"] == 0
    assert end["credit_angle_margin"] > 1


def test_groups_without_verdicts_and_credits_of_zero_have_no_angle():
    logprobs = -torch.rand(4, dtype=torch.float64)
    ones = [1] * 4
    graded = GroupBatch.of(
        logprobs, logprobs, ones, [2, 2], [True] * 2 + [False, True], rewards=[0.5, 1, 0, 1]
    )
    assert angles_of(graded, "grpo")["credit_angle"] == 0
    alike = GroupBatch.of(logprobs, logprobs, ones, [4], [True] * 4, rewards=[0, 0, 0, 1])
    assert angles_of(alike, "grpo") == {"credit_angle": None}


def test_the_angle_of_two_vectors():
    def angle(x, y):
        return angle_of(torch.tensor(x).double(), torch.tensor(y).double()).value

    assert angle([0.0, 0.0], [1.0, 0.0]) is None
    assert angle([1.0, 0.0], [0.0, 0.0]) is None
    assert angle([1.0, 0.0], [-2.0, 0.0]) == pytest.approx(180)
    assert angle([3.0, 0.0], [0.0, 2.0]) == pytest.approx(90)
    assert angle([1.0, 1.0], [7.0, 7.0]) == 0
    for small in (1e-8, 1e-15):  # of vectors of unlike length, in either order
        assert angle([1.0, 0.0], [small, small]) == pytest.approx(45)
        assert angle([small, small], [1.0, 0.0]) == pytest.approx(45)
    assert angle([1.0, 0.0], [1.0, 1e-9]) == pytest.approx(math.degrees(1e-9), rel=1e-6)
