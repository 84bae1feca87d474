"""The exact path answers as math-verify does, or not at all."""

import random
from contextlib import closing

import pytest
from asking import verdicts

from conspo_study.records import Verdict
from conspo_study.reward.fast_path import decide
from conspo_study.reward.pool import Pool

EDGES = [0, 1, -1, 2, 7, -7, 9, 10, -10, 11, 50, 99, 100, 1000, -1000, 10_000, 123_456, 1_000_000]
EDGES += [2**31, -(2**31), 2**53, 2**53 + 1, 10**17, 10**18 - 1, 1 - 10**18]

OTHER_SPELLINGS = [
    "",
    "+5",
    "-0",
    "05",
    "007",
    " 5",
    "5 ",
    "5\n",
    "- 5",
    "--5",
    "−5",
    "٥",
    "５",
    "²",
]
OTHER_SPELLINGS += ["5.0", "5.", "1e3", "1_000", "1,000", "1 000", "5%", "$5$", "x=5", "0x5", "½"]
OTHER_SPELLINGS += ["1" * 19, "-" + "1" * 19]


def test_the_fast_path_agrees_with_math_verify_on_every_integer_it_decides():
    draw = random.Random(0)
    pairs = [(str(a), str(b)) for a in EDGES for b in EDGES]
    for _ in range(100):
        number = draw.randrange(-(10 ** draw.randint(1, 17)), 10 ** draw.randint(1, 17))
        pairs += [(str(number), str(other)) for other in (number, -number, number + 1)]
    with closing(Pool(workers=1, memory_mb=1024)) as pool:
        asked = verdicts(pool, pairs, 60)
    assert [decide(*pair) for pair in pairs] == asked
    assert set(asked) == {Verdict.CORRECT, Verdict.WRONG}


@pytest.mark.parametrize("text", OTHER_SPELLINGS)
def test_any_other_spelling_is_left_to_math_verify(text):
    assert decide("5", text) is None
    assert decide(text, "5") is None
