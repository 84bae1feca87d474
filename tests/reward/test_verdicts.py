"""The verdict that a response gets."""

import json
import threading
from pathlib import Path

import pytest

from conspo_study.config import RewardConfig
from conspo_study.records import Judgement, Verdict
from conspo_study.reward import Verifier

CASES = [
    ("5", "\\boxed{5}", Verdict.CORRECT),
    ("5", "\\boxed{6}", Verdict.WRONG),
    ("-5", "\\boxed{-5}", Verdict.CORRECT),
    ("\\boxed{5}", "\\boxed{5}", Verdict.CORRECT),
    ("1/2", "\\boxed{0.5}", Verdict.CORRECT),
    ("\\frac{1}{2}", "\\boxed{\\frac{2}{4}}", Verdict.CORRECT),
    ("\\frac{1}{2}", "\\boxed{\\frac{2}{5}}", Verdict.WRONG),
    ("x^2+2x+1", "\\boxed{(x+1)^2}", Verdict.CORRECT),
    ("1000", "\\boxed{1,000}", Verdict.CORRECT),
    ("5", "\\boxed{+5}", Verdict.CORRECT),
    ("5", "\\boxed{x=5}", Verdict.CORRECT),
    ("(2, 1)", "\\boxed{(1, 2)}", Verdict.WRONG),
    ("5", "\\boxed{5 or 6}", Verdict.WRONG),
    ("5", "\\boxed{5$ or $6}", Verdict.WRONG),
    ("\\text{yes}", "\\boxed{\\text{no}}", Verdict.WRONG),
    ("5", "the answer is 5", Verdict.NO_ANSWER),
    ("5", "\\boxed{}", Verdict.NO_ANSWER),
    ("x^2", "\\boxed{x^2", Verdict.NO_ANSWER),
    ("5", "\\boxed{((}", Verdict.UNPARSABLE),
    ("x^2", "\\boxed{=}", Verdict.UNPARSABLE),
    ("5", "\\boxed{\x1b[31m5}", Verdict.UNPARSABLE),
    ("5", "\\boxed{\ud800}", Verdict.UNPARSABLE),
    ("((", "\\boxed{5}", Verdict.GOLD_BAD),
    ("((", "\\boxed{((}", Verdict.GOLD_BAD),
    ("((", "no box", Verdict.GOLD_BAD),
    ("", "\\boxed{5}", Verdict.GOLD_BAD),
    ("1" * 5000, "\\boxed{5}", Verdict.GOLD_BAD),
]
PAIRS = [(gold, response) for gold, response, _ in CASES]

# Where math-verify on boxed answers differs from the grader that a case was written for.
KNOWN_DISAGREEMENTS = {
    "vc-0314": "the grader is strict about the order of a list without brackets",
    "vc-0321": "the grader is strict about the order of a list without brackets",
    "vc-0333": "an assignment to an indexed name with \\max is beyond the parser: gold_bad",
    "vc-0356": "the grader tolerates rounding",
    "vc-0362": "the grader tolerates rounding",
    "vc-0363": "a power tower as gold answer: not checked in time",
    "vc-0384": "the grader refuses text around the box",
    "vc-0386": "the grader refuses text around the box",
    "vc-0387": "the answer is not in a box: no_answer",
    "vc-0395": "the grader compares strings",
    "vc-0407": "the grader reads only what follows </think>",
}


@pytest.fixture(scope="module")
def verifier():
    with Verifier(RewardConfig(deadline_s=30)) as verifier:
        yield verifier


def test_each_case_gets_its_verdict_in_order(verifier):
    judged = verifier.verify(PAIRS)
    found = [(*pair, judgement.verdict) for pair, judgement in zip(PAIRS, judged, strict=True)]
    assert found == CASES


def test_order_is_kept_over_several_processes_and_duplicates():
    with Verifier(RewardConfig(workers=2, deadline_s=30)) as verifier:
        judged = verifier.verify(PAIRS[::-1] + PAIRS)
        assert len(verifier.pids) == 2
    verdicts = [verdict for _, _, verdict in CASES]
    assert [judgement.verdict for judgement in judged] == verdicts[::-1] + verdicts


def test_a_judgement_carries_the_extracted_answer_shortened(verifier):
    responses = ["\\boxed{ 0.5 }", "no box", f"\\boxed{{{'1' * 300}}}"]
    judged = verifier.verify([("1/2", response) for response in responses])
    assert judged[:2] == [
        Judgement(Verdict.CORRECT, "0.5", key="1/2"),
        Judgement(Verdict.NO_ANSWER, ""),
    ]
    assert judged[2].answer == "1" * 199 + "…"


def test_no_pairs_no_judgements(verifier):
    assert verifier.verify([]) == []


def test_integer_answers_start_no_process():
    with Verifier(RewardConfig()) as verifier:
        judged = verifier.verify([("17", "\\boxed{17}"), ("17", "\\boxed{18}"), ("17", "17")])
        assert verifier.pids == ()
    verdicts = [judgement.verdict for judgement in judged]
    assert verdicts == [Verdict.CORRECT, Verdict.WRONG, Verdict.NO_ANSWER]


def test_threads_get_the_verdicts_of_the_main_thread_also_at_the_same_time(verifier):
    from_main = verifier.verify(PAIRS)
    from_threads = [[], [], []]
    threads = [
        threading.Thread(target=lambda found=found: found.extend(verifier.verify(PAIRS)))
        for found in from_threads
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert from_threads == [from_main] * 3


def test_labelled_cases_of_other_graders_agree_except_where_conventions_differ():
    path = Path(__file__).parents[3] / "shared/data/verify_cases.jsonl"
    if not path.exists():
        pytest.skip("the labelled cases are not here")
    cases = [json.loads(line) for line in path.read_text().splitlines()]
    cases = [case for case in cases if case["form"] in ("completion", "answer_pair")]
    responses = [
        case["prediction"]
        if case["form"] == "completion" or "\\boxed{" in case["prediction"]
        else f"\\boxed{{{case['prediction']}}}"
        for case in cases
    ]
    with Verifier(RewardConfig(deadline_s=4)) as verifier:
        judged = verifier.verify(
            [(case["gold"], response) for case, response in zip(cases, responses, strict=True)]
        )
    # What a busy machine cannot check in time is undecided; that says nothing about agreement.
    timely = [
        (case, judgement.verdict)
        for case, judgement in zip(cases, judged, strict=True)
        if judgement.verdict is not Verdict.TIMEOUT
    ]
    differing = {
        case["id"]
        for case, verdict in timely
        if not verdict.decided or (verdict is Verdict.CORRECT) != case["expected"]
    }
    assert differing <= KNOWN_DISAGREEMENTS.keys()
    assert len(timely) - len(differing) >= 55
