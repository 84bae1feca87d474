"""Metrics of a step's responses, by hand and from any split."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conspo_study.records import FinishStatus, Judgement, Rollout, Verdict, add_parts
from conspo_study.rollout.metrics import derived_metrics, rollout_metrics

RESPONSES = st.lists(
    st.tuples(st.integers(1, 9), st.sampled_from(Verdict), st.sampled_from(FinishStatus)),
    min_size=1,
    max_size=8,
)


def parts_of(responses):
    rollouts = [
        Rollout((5,) * length, (-0.1 * length,) * length, status, "")
        for length, _, status in responses
    ]
    return rollout_metrics(rollouts, [Judgement(verdict) for _, verdict, _ in responses])


def values_of(parts):
    return {name: part.value for name, part in parts.items() if part.value is not None}


def test_rewards_and_lengths_by_hand():
    stopped, truncated = FinishStatus
    found = values_of(
        parts_of(
            [
                (2, Verdict.CORRECT, stopped),
                (4, Verdict.WRONG, stopped),
                (9, Verdict.NO_ANSWER, truncated),
                (3, Verdict.CORRECT, stopped),
                (6, Verdict.TIMEOUT, stopped),
            ]
        )
    )
    assert found["reward"] == found["reward_std"] == 0.5
    assert found["undecided_fraction"] == found["no_answer_fraction"] == 0.2
    assert found["truncated_fraction"] == 0.2
    assert found["response_length"] == pytest.approx(24 / 5)
    assert (found["response_length_min"], found["response_length_max"]) == (2, 9)
    assert found["response_length_stopped"] == pytest.approx(15 / 4)
    assert found["response_length_correct"] == 2.5
    assert found["response_length_wrong"] == 6.5
    assert found["entropy"] == pytest.approx(sum(0.1 * n * n for n in (2, 4, 9, 3, 6)) / 24)


@given(pieces=st.lists(RESPONSES, min_size=1, max_size=3))
def test_no_metric_of_responses_depends_on_how_they_are_spread(pieces):
    together = {}
    for piece in pieces:
        add_parts(together, parts_of(piece))
    whole = values_of(parts_of([response for piece in pieces for response in piece]))
    assert values_of(together) == pytest.approx(whole, rel=1e-12)


def test_of_nothing_nothing_is_said():
    assert values_of(parts_of([])) == {}


def test_quotients_are_left_out_where_they_mean_nothing():
    row = {"entropy": 0.5, "mismatch_kl": 0.1, "groups": 4.0}
    assert derived_metrics(row, sampled=10) == {"kl_entropy_ratio": 0.2, "refill_factor": 2.5}
    assert derived_metrics(row, sampled=None) == {"kl_entropy_ratio": 0.2}
    assert derived_metrics({"entropy": 0.5}, sampled=10) == {}  # no group, no update
    assert derived_metrics(row | {"entropy": 0.0}, sampled=None) == {}
