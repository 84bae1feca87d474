import subprocess
import sys

import pytest

from conspo_study.records import FinishStatus, Judgement, Problem, Rollout, Verdict
from conspo_study.rollout.groups import GroupCounts, form_groups

C, W, NONE, BAD = Verdict.CORRECT, Verdict.WRONG, Verdict.NO_ANSWER, Verdict.UNPARSABLE
TIMEOUT, KILLED, GOLD = Verdict.TIMEOUT, Verdict.KILLED, Verdict.GOLD_BAD


def form(*verdicts):
    """One problem per list of verdicts; rollout i of a problem is the token i."""
    return form_groups(
        [Problem(f"p{index}", "?", "1") for index in range(len(verdicts))],
        [[1, index] for index in range(len(verdicts))],
        [
            [Rollout((i,), (-0.5,), FinishStatus.STOPPED, "") for i in range(len(row))]
            for row in verdicts
        ],
        [[Judgement(verdict) for verdict in row] for row in verdicts],
    )


@pytest.mark.parametrize(
    ("verdicts", "kind"),
    [
        ([C, W], "valid"),
        ([C, NONE], "valid"),
        ([BAD, C, C], "valid"),
        ([C, C, C], "all_correct"),
        ([W, NONE, BAD], "all_wrong"),
        ([C], "too_small"),
        ([], "too_small"),
        ([GOLD, GOLD], "gold_bad"),
        ([C, W, GOLD], "gold_bad"),
        ([GOLD, TIMEOUT], "gold_bad"),
    ],
)
def test_each_kind_of_group_is_counted_once_and_only_contrasts_are_kept(verdicts, kind):
    groups, counts = form(verdicts)
    assert counts == GroupCounts(sampled=1, rollouts=len(verdicts), **{kind: 1})
    assert len(groups) == (kind == "valid")


@pytest.mark.parametrize(
    ("verdicts", "kind", "timed_out", "killed"),
    [
        ([C, TIMEOUT, W], "valid", 1, 0),
        ([C, C, KILLED, TIMEOUT], "all_correct", 1, 1),
        ([W, KILLED, W], "all_wrong", 0, 1),
        ([C, KILLED], "too_small", 0, 1),
        ([TIMEOUT, TIMEOUT], "too_small", 2, 0),
    ],
)
def test_undecided_rollouts_are_dropped_before_the_group_is_judged(
    verdicts, kind, timed_out, killed
):
    _, counts = form(verdicts)
    expected = {"sampled": 1, "rollouts": len(verdicts), kind: 1}
    expected |= {"timed_out": timed_out, "killed": killed}
    assert counts == GroupCounts(**expected)


def test_a_kept_group_holds_the_decided_rollouts_in_order():
    (group,), _ = form([C, TIMEOUT, W, NONE])
    assert group.problem_id == "p0" and group.prompt_tokens == (1, 0)
    assert [rollout.tokens for rollout in group.rollouts] == [(0,), (2,), (3,)]
    assert [judgement.verdict for judgement in group.judgements] == [C, W, NONE]
    assert group.correct == (True, False, False)


def test_kept_groups_follow_the_order_of_the_problems_and_counts_add_up():
    groups, counts = form([C, W], [C, C], [W, C], [W, W], [GOLD, GOLD], [KILLED, C])
    assert [group.problem_id for group in groups] == ["p0", "p2"]
    parts = form([C, W], [C, C])[1] + form([W, C], [W, W], [GOLD, GOLD], [KILLED, C])[1]
    assert counts == parts
    kinds = (counts.valid, counts.all_correct, counts.all_wrong, counts.too_small, counts.gold_bad)
    assert kinds == (2, 1, 1, 1, 1) and counts.sampled == sum(kinds) and counts.rollouts == 12


def test_fractions_of_nothing_are_zero_and_others_are_shares():
    assert set(GroupCounts().fractions().values()) == {0.0}
    fractions = form([C, W], [C, C], [C, KILLED], [W, W])[1].fractions()
    assert fractions["valid_fraction"] == fractions["too_small_fraction"] == 0.25
    assert fractions["dropped_rollout_fraction"] == 1 / 8


def test_lists_of_different_lengths_are_an_error():
    with pytest.raises(ValueError):
        form_groups([Problem("p", "?", "1")], [[1]], [], [])


def test_groups_engine_and_data_import_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['transformers'] = None\n"
        "import conspo_study.rollout.groups, conspo_study.rollout.engine\n"
        "import conspo_study.data.arithmetic, conspo_study.data.problems, conspo_study.data.order\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
