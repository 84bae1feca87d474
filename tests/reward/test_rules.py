"""Every example of every rule, judged as a response's answer is."""

import re

import pytest

from conspo_study.config import RewardConfig
from conspo_study.records import Verdict
from conspo_study.reward import Verifier
from conspo_study.reward.reading import RULES

EXAMPLES = [
    (rule.name, gold, answer, right)
    for rule in RULES
    for pairs, right in ((rule.accepted, True), (rule.refused, False))
    for gold, answer in pairs
]


@pytest.fixture(scope="module")
def verdicts():
    """Verdict by example; all are judged in one batch."""
    with Verifier(RewardConfig(workers=2, deadline_s=60)) as verifier:
        # The blank keeps a backslash at the end of an answer from escaping the brace.
        judged = verifier.verify(
            [(gold, f"\\boxed{{{answer} }}") for _, gold, answer, _ in EXAMPLES]
        )
    return dict(zip(EXAMPLES, (judgement.verdict for judgement in judged), strict=True))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: f"{e[0]}: {e[1]} <- {e[2]}")
def test_an_example_gets_the_verdict_that_its_rule_says(example, verdicts):
    *_, right = example
    assert verdicts[example].decided
    assert (verdicts[example] is Verdict.CORRECT) is right


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_reads_as_one_and_shows_both_sides(rule):
    assert re.match(r"[A-Z].*[a-z].*[.]", rule.text), "its docstring says what holds"
    assert not re.match("(Return|Read|Whether|The reading)", rule.text)
    assert rule.accepted and rule.refused


def test_rules_and_their_examples_occur_once():
    assert len({rule.name for rule in RULES}) == len(RULES) > 15
    pairs = [(gold, answer) for _, gold, answer, _ in EXAMPLES]
    assert len(set(pairs)) == len(pairs) > 150
