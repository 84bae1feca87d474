"""Rewards by functions that users wrote: called in killable processes, graded, combined."""

import os
import time
from pathlib import Path

import pytest

from conspo_study.config import ConfigError, RewardConfig, RunConfig, with_overrides
from conspo_study.plugins import PluginError
from conspo_study.records import Answered, Problem, Verdict
from conspo_study.reward import RewardUnavailable, make_judge
from conspo_study.reward.trial_call import try_reward

PROBLEM = Problem("p", "1+1=?", "2", extra={"tests": ["assert f(1) == 2"], "n": 3})
REWARDS = """
import os, time

def graded(prompt, response, problem):
    assert prompt.startswith("Q: ") and problem.text in prompt
    if response == "none": return None
    if response == "raise": raise KeyError("tests")
    if response == "nan": return float("nan")
    if response == "text": return "0.5"
    if response == "list": return [1]
    if response == "hang": time.sleep(60)
    if response == "exit": os._exit(3)
    if response == "leave": raise SystemExit
    if response == "memory": return len(bytearray(4 << 30))
    if response == "print": print("loud"); os.write(1, b"louder\\\\n"); return 1
    if response == "true": return True
    if response == "extra": return problem.extra["n"] + len(problem.extra["tests"])
    return len(response) / 10

def batch(prompts, responses, problems):
    if "short" in responses: return [1.0]
    if "raise" in responses: raise RuntimeError("batch")
    return [None if r == "none" else len(responses) for r in responses]

def process(prompt, response, problem):
    return os.getpid()

class Callable:
    def __call__(self, prompt, response, problem): return 0.25
instance = Callable()

def wrong_signature(completion): return 1
constant = 5
"""


@pytest.fixture(autouse=True)
def rewards(place):
    place("rewards.py", REWARDS)


def judged(responses, **settings):
    settings = {"deadline_s": 20.0, "name": "rewards:graded", **settings}
    with make_judge(RewardConfig(**settings)) as judge:
        answered = [Answered(PROBLEM, "Q: 1+1=?", response) for response in responses]
        return judge.judge(answered), judge.last_error


def test_a_reward_flows_through_and_the_threshold_makes_verdicts():
    found, error = judged(["12345", "1234", "123456789", "true", "extra"])
    assert [one.reward for one in found] == [0.5, 0.4, 0.9, 1.0, 4.0]
    assert [one.verdict is Verdict.CORRECT for one in found] == [True, False, True, True, True]
    assert not error
    strict, _ = judged(["12345", "123456789"], threshold=0.9)
    assert [one.verdict for one in strict] == [Verdict.WRONG, Verdict.CORRECT]


def test_every_way_of_having_no_reward_has_its_cause():
    responses = [
        "none",
        "raise",
        "nan",
        "text",
        "list",
        "exit",
        "leave",
        "memory",
        "print",
        "12345",
    ]
    found, error = judged(responses, memory_mb=1024)
    verdicts = dict(zip(responses, (one.verdict for one in found), strict=True))
    assert verdicts == {
        "none": Verdict.UNDECIDED,
        **dict.fromkeys(("raise", "nan", "text", "list"), Verdict.ERROR),
        **dict.fromkeys(("exit", "leave", "memory"), Verdict.KILLED),
        **dict.fromkeys(("print", "12345"), Verdict.CORRECT),
    }
    assert not any(one.verdict.decided for one in found[:8])
    assert "returned a list" in error


def test_an_error_is_told_with_the_line_that_raised_it():
    _, error = judged(["raise"])
    assert error.startswith("KeyError: 'tests'") and "rewards.py, line 7" in error


def test_a_call_that_hangs_is_killed_at_its_deadline_and_the_next_one_is_answered():
    start = time.monotonic()
    found, _ = judged(["hang", "12345"], deadline_s=1.5)
    assert [one.verdict for one in found] == [Verdict.TIMEOUT, Verdict.CORRECT]
    assert time.monotonic() - start < 40


def test_functions_run_outside_of_this_process_and_not_in_one_for_each_call():
    found, _ = judged(["a", "b", "c"], name="rewards:process")
    pids = {one.reward for one in found}
    assert len(pids) == 1 and os.getpid() not in pids


def test_the_batched_form_is_called_once_per_process():
    found, _ = judged(["a", "none", "c", "d"], name="rewards:batch")
    assert [one.graded for one in found] == [4.0, None, 4.0, 4.0]
    assert found[1].verdict is Verdict.UNDECIDED
    two, _ = judged(["a", "b", "c", "d"], name="rewards:batch", workers=2)
    assert [one.reward for one in two] == [2.0] * 4
    for fault in ("short", "raise"):
        lost, error = judged([fault, "b"], name="rewards:batch")
        assert {one.verdict for one in lost} == {Verdict.ERROR}
        assert ("1 rewards for 2" if fault == "short" else "RuntimeError: batch") in error


def test_an_object_that_can_be_called_is_a_reward():
    assert judged(["a"], name="rewards:instance")[0][0].reward == 0.25


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("rewards:wrong_signature", r"cannot be called with \(prompt, response, problem\)"),
        ("rewards:constant", "is a int, not a function"),
        ("rewards:grade", "did you mean graded"),
        ("nowhere:score", "'nowhere' is not found"),
    ],
)
def test_what_is_no_reward_is_refused_when_its_process_starts(name, said):
    with pytest.raises(RewardUnavailable, match=said):
        judged(["a"], name=name)


def test_further_rewards_are_added_by_weight_and_do_not_decide():
    extra = {"rewards:graded": 0.1, "rewards:instance": -1.0}
    found, _ = judged(["\\boxed{2}", "\\boxed{3}", "none"], name="math", extra=extra)
    assert [one.verdict for one in found] == [Verdict.CORRECT, Verdict.WRONG, Verdict.UNDECIDED]
    assert found[0].reward == pytest.approx(1 + 0.1 * 0.9 - 0.25)
    assert found[1].reward == pytest.approx(0 + 0.1 * 0.9 - 0.25)
    assert found[0].answer == "2"


def test_math_can_be_a_further_reward():
    found, _ = judged(["\\boxed{2}", "\\boxed{3}"], extra={"math": 2.0})
    assert [one.reward for one in found] == pytest.approx([0.9 + 2, 0.9])


def test_names_are_checked_when_they_are_read(place):
    def config(**reward):
        return with_overrides(RunConfig(), {f"reward.{k}": v for k, v in reward.items()}).reward

    with pytest.raises(ConfigError, match="unknown reward 'score'"):
        config(name="score")
    with pytest.raises(ConfigError, match="unknown reward 'format'"):
        config(extra={"format": 1.0})
    with pytest.raises(ConfigError, match="adds math to itself"):
        config(extra={"math": 1.0})
    place("other.py", "def score(prompt, response, problem): return 1\n")
    import other

    assert config(name=other.score).name == "other:score"


def test_a_reward_that_decides_nothing_is_refused_before_a_study_and_one_that_hesitates_noted():
    def tried(**settings):
        config = RewardConfig(**{"deadline_s": 20.0, **settings})
        return try_reward(config, [(PROBLEM, "Q: 1+1=?")])

    assert tried(name="rewards:graded") is None
    with pytest.raises(PluginError, match=r"decides none of 3 test responses: KeyError"):
        place = Path(__import__("rewards").__file__)
        place.write_text("def graded(prompt, response, problem): return problem.extra['missing']\n")
        tried(name="rewards:graded")
    place.write_text("def graded(prompt, response, problem): return 1.0 if response else None\n")
    assert "decides 2 of 3 test responses (undecided)" in tried(name="rewards:graded")
    place.write_text("import time\ndef graded(prompt, response, problem): time.sleep(60)\n")
    with pytest.raises(PluginError, match=r"raise reward\.deadline_s"):
        tried(name="rewards:graded", deadline_s=0.3)
    with pytest.raises(PluginError, match=r"reward\.name: the module 'gone' is not found"):
        tried(name="gone:score")
