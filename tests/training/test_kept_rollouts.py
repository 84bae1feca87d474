"""The kept responses of a step are chosen before it is sampled, the same for any workers."""

import pytest

from conspo_study.config import with_overrides
from conspo_study.definition.presets import EMBEDDED, QUICK
from conspo_study.forecast.costs import rows_bytes
from conspo_study.records import FinishStatus, Judgement, Problem, Rollout, Verdict
from conspo_study.training.kept_rollouts import Sample, kept_positions, kept_rows
from conspo_study.training.step_result import Signal


def config(**train):
    return with_overrides(QUICK, {f"train.store_rollouts_{name}": v for name, v in train.items()})


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, [0, 1]), (1, []), (2, []), (3, [12, 13]), (6, [24, 25])],
)
def test_the_first_prompts_of_every_nth_step_are_kept(step, expected):
    assert list(kept_positions(config(every=3, groups=2), step)) == expected


def test_a_step_that_refills_keeps_groups_of_its_first_round():
    refilling = with_overrides(config(every=1, groups=2), {"rollout.refill_rounds": 2})
    assert list(kept_positions(refilling, 1)) == [12, 13]


def test_no_more_than_the_prompts_of_a_step_are_kept_and_none_without_a_wish():
    assert len(kept_positions(config(every=1, groups=99), 0)) == QUICK.rollout.prompts_per_step
    assert not kept_positions(config(every=0), 0)


def test_equal_responses_keep_their_own_credits():
    def rollout():
        return Rollout((5, 6), (-1.0, -3.0), FinishStatus.TRUNCATED, "<b>7")

    rollouts = [rollout(), rollout(), rollout()]
    judgements = [
        Judgement(Verdict.WRONG, "7"),
        Judgement(Verdict.TIMEOUT),
        Judgement(Verdict.WRONG),
    ]
    signals = [[Signal(-9.0, 9.0, 9.0)], [Signal(-1.5, -0.2, None), Signal(-1.5, -0.3, -1.0)]]
    sample = Sample(4, Problem("p", "1+1", "2"), (1, 2), rollouts, judgements, group=1)
    rows = list(kept_rows(9, 3, [sample], signals, lambda tokens: f"prompt of {len(tokens)}"))
    assert [(row.score, row.credit, row.advantage) for row in rows] == [
        (-1.5, -0.2, None),
        (-2.0, None, None),  # not trained on: the sampler's score
        (-1.5, -0.3, -1.0),
    ]
    assert [(row.verdict, row.answer, row.rollout) for row in rows] == [
        ("wrong", "7", 0),
        ("timeout", "", 1),
        ("wrong", "", 2),
    ]
    assert {(row.seed, row.step, row.group, row.prompt, row.status) for row in rows} == {
        (9, 3, 4, "prompt of 2", "truncated")
    }
    assert {row.gold for row in rows} == {"2"}


def test_responses_without_a_group_keep_the_score_of_the_sampler():
    rollout = Rollout((5, 6), (-1.0, -3.0), FinishStatus.STOPPED, "7")
    sample = Sample(
        0, Problem("p", "1+1", ""), (1, 2), [rollout], [Judgement(Verdict.WRONG)], group=None
    )
    (row,) = kept_rows(9, 3, [sample], [], str)
    assert (row.score, row.credit, row.advantage) == (-2.0, None, None)
    assert row.gold is None, "the set has no gold answers"


def test_the_plan_counts_what_is_kept_up_to_its_cap():
    def kept(base, **settings):
        run = with_overrides(base, {f"train.store_rollouts_{k}": v for k, v in settings.items()})
        none = with_overrides(run, {"train.store_rollouts_every": 0})
        return rows_bytes(run, 2) - rows_bytes(none, 2)

    assert 16 * 4_000 < kept(EMBEDDED) < 500_000
    assert kept(EMBEDDED, mb=0.05) == 50_000
