"""The memory of the process that asks stays flat, whatever it is asked."""

import pytest

from conspo_study.config import RewardConfig
from conspo_study.reward import Verifier
from conspo_study.update.resident import peak_resident_bytes

HOSTILE = (
    "9^{{9^{{9^{{{}}}}}}}",
    "{}" + "{{" * 40,
    "\\frac{{1}}{{" * 5 + "{}" + "}}" * 5,
    "\\{{{}," + ",".join(map(str, range(60))) + "\\}}",
    "\\text{{I think that it is {} or so}}",
    "{}=" + "=".join(map(str, range(40))),
    "x" * 200 + "{}",
    "\ud800{}\x00",
    "\\boxed{{{}",
    "(" * 30 + "{}" + ")" * 30,
)
COUNT, BATCH = 15_000, 1_000
ALLOWED = 24 * 2**20


@pytest.mark.slow
def test_hostile_answers_leave_nothing_behind():
    with Verifier(RewardConfig()) as verifier:
        for start in range(0, COUNT, BATCH):
            answers = [
                (number, HOSTILE[number % len(HOSTILE)].format(number))
                for number in range(start, start + BATCH)
            ]
            verifier.verify([(str(n % 97), f"\\boxed{{{answer}}}") for n, answer in answers])
            if start == 2 * BATCH:
                before = peak_resident_bytes()
        assert verifier.pids == ()
        assert peak_resident_bytes() - before < ALLOWED
