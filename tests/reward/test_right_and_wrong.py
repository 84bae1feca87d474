"""Labelled answers: right ones in usual spellings, wrong ones that are close to right, and
attempts to be paid without an answer."""

import json
from pathlib import Path

from conspo_study.config import RewardConfig
from conspo_study.records import Verdict
from conspo_study.reward import Verifier

LABELLED = Path(__file__).parents[1] / "assets" / "answers_right_and_wrong.jsonl"


def test_right_answers_are_correct_and_wrong_ones_are_decided_and_not():
    rows = [json.loads(line) for line in LABELLED.read_text("utf-8").splitlines()]
    with Verifier(RewardConfig(deadline_s=120)) as verifier:
        judged = verifier.verify([(row["gold"], row["response"]) for row in rows])
    mistaken = [
        (row["gold"], row["response"], judgement.verdict.value)
        for row, judgement in zip(rows, judged, strict=True)
        if (judgement.verdict is Verdict.CORRECT) != row["right"]
    ]
    assert mistaken == []
    unreadable = [row["gold"] for row, j in zip(rows, judged, strict=True) if not j.verdict.decided]
    assert unreadable == ["((", "", "\\frac{"]
