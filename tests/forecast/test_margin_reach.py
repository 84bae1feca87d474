"""How much a margin can move a credit, by the objective's own arithmetic."""

import math

import pytest
import torch
from study_fixtures import MARGIN, SCHEDULE, TAU, definition

from conspo_study.config import with_overrides
from conspo_study.definition import Anchor
from conspo_study.definition.space import Choice, Range
from conspo_study.forecast.margin_reach import credit_shift, margin_lines
from conspo_study.objective import GroupBatch
from conspo_study.objective.conspo import score_credits


@pytest.mark.parametrize(
    ("ratio", "negatives", "shift"),
    [
        (0.001, 4, 1.6e-4),  # the published tau 10, M 0.01, in a group of 8, half of it wrong
        (0.001, 8, 9.87e-5),
        (0.001, 1, 2.5e-4),  # one wrong rollout: the most that any scores give
        (0.0, 8, 0.0),
        (1e6, 8, 1 / 9),
    ],
)
def test_the_shift_at_equal_scores(ratio, negatives, shift):
    assert credit_shift(ratio, negatives) == pytest.approx(shift, rel=3e-3)


@pytest.mark.parametrize("scores", [0.0, -0.7, 3.0])
@pytest.mark.parametrize("ratio", [0.001, 0.5, 5.0])
def test_the_shift_is_that_of_the_sigmoid_and_never_above_its_bound(scores, ratio):
    for negatives in (1, 8, 31):
        z = torch.logsumexp(torch.full((negatives,), scores, dtype=torch.float64), 0)
        moved = (torch.sigmoid(z + ratio) - torch.sigmoid(z)).item()
        if scores == 0.0:
            assert credit_shift(ratio, negatives) == pytest.approx(moved, rel=1e-9)
        assert moved <= math.tanh(ratio / 4) + 1e-12
    z = torch.tensor(-ratio / 2, dtype=torch.float64)
    reached = (torch.sigmoid(z + ratio) - torch.sigmoid(z)).item()
    assert reached == pytest.approx(math.tanh(ratio / 4))


def test_the_objective_gives_the_same_shift():
    logprobs = torch.full((16,), -0.4, dtype=torch.float64)
    correct = [True] * 8 + [False] * 8
    batch = GroupBatch.of(logprobs, logprobs, [1] * 16, [16], correct, max_response_length=1)
    scores = batch.rollout_mean(batch.logprobs_T)
    with_margin, without = (score_credits(batch, scores, 10.0, m)[0] * 8 for m in (0.01, 0.0))
    assert (with_margin - without).item() == pytest.approx(credit_shift(0.001, 8), rel=1e-9)


def study(unit="tau", **changes):
    base = with_overrides(
        definition().base, {"objective.margin_unit": unit, "rollout.group_size": 16}
    )
    return definition(base=base, **changes)


def test_margins_in_units_of_tau_share_a_line():
    head, *rows = margin_lines(study())
    assert "(8 of 16 wrong, equal scores; " in head
    assert rows == [
        "tau 0.1, 1: M/tau 1 gives 0.067, 5 gives 0.11",
        "tau 10: M/tau 0.001 gives 9.9e-05 (not measurable)",
    ]


def test_margins_in_units_of_the_score_act_differently_at_each_tau():
    space = {TAU: Range(low=0.1, high=10.0, log=True), MARGIN: Choice(values=(0.0, 0.01))}
    rows = margin_lines(study("score", space=space, anchors=()))[1:]
    assert rows == [
        "tau 0.1: M 0.01 gives 0.0095",
        "tau 1: M 0.01 gives 0.00098 (not measurable)",
        "tau 10: M 0.01 gives 9.9e-05 (not measurable)",
    ]


def test_only_a_sweep_of_a_margin_has_such_lines():
    assert margin_lines(study(space={TAU: Choice(values=(0.1, 1.0))})) == []
    grpo = with_overrides(definition().base, {"objective.name": "grpo"})
    space = {"objective.clip_high": Choice(values=(0.2, 0.3))}
    assert margin_lines(definition(base=grpo, space=space, anchors=())) == []


def test_anchors_without_a_margin_or_with_another_objective_are_passed_over():
    anchors = (
        Anchor(label="off", params={TAU: 7.0, MARGIN: 3.0, SCHEDULE: "off"}),
        Anchor(label="GRPO", params={"objective.name": "grpo"}),
    )
    assert "tau 7" not in "\n".join(margin_lines(study(anchors=anchors)))
