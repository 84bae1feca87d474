import random
import re

import pytest

from conspo_study.data.generated import split_of
from conspo_study.data.word_problems import LEVELS, NAMES, WORD_PROBLEMS, _Story

NUMBER = re.compile(r"\d+")


def by_hand(text: str) -> int:
    """The answer of a problem, found by the words of its text alone."""
    a, *rest = map(int, NUMBER.findall(text))
    both = "together" in text
    if "times as many" in text:
        return a + a * rest[0] if both else a * rest[0]
    if "each" in text:
        return a * rest[0] + sum(rest[1:])
    if both and "more than" in text:
        return a + (a + rest[0])
    return a + sum(rest)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("split", ["dev", "test"])
def test_every_answer_follows_from_the_text(level, split):
    for problem in WORD_PROBLEMS.evaluation_problems(level, split, 400):
        assert by_hand(problem.text) == int(problem.answer), problem
        assert all(1 <= int(n) <= 99 for n in [*NUMBER.findall(problem.text), problem.answer])
        assert problem.level == level


@pytest.mark.parametrize("level", LEVELS)
def test_every_kind_stays_below_a_hundred(level):
    rng = random.Random(0)
    for kind in LEVELS[level]:
        for _ in range(2000):
            text, answer = kind(_Story(rng))
            assert 1 <= answer <= 99 and by_hand(text) == answer, text
            assert all(int(number) <= 99 for number in NUMBER.findall(text))


def test_what_is_trained_on_is_of_one_step_and_never_held_out():
    held_out = {
        problem.text
        for split in ("dev", "test")
        for problem in WORD_PROBLEMS.evaluation_problems("one_step", split, 400)
    }
    texts = [WORD_PROBLEMS.training_problem(0, index).text for index in range(1000)]
    assert not held_out & {*texts} and len({*texts}) > 990
    assert all(split_of(text) == "train" and len(NUMBER.findall(text)) == 2 for text in texts)


def test_splits_are_disjoint_and_problems_distinct():
    dev, test = (
        {problem.text for problem in WORD_PROBLEMS.evaluation_problems("two_steps", split, 300)}
        for split in ("dev", "test")
    )
    assert len(dev) == len(test) == 300 and not dev & test


def test_nobody_gives_to_themselves():
    for problem in WORD_PROBLEMS.evaluation_problems("one_step", "dev", 200):
        named = [word for word in re.findall(r"[A-Z][a-z]+", problem.text) if word in NAMES]
        assert len({*named}) == (2 if re.search(r"than|and [A-Z]|times", problem.text) else 1), (
            problem.text
        )


def test_problems_are_the_same_everywhere():
    assert WORD_PROBLEMS.training_problem(0, 0).text == (
        "Ben has 15 coins. Anna has 4 more than Ben. How many coins does Anna have?"
    )
    assert WORD_PROBLEMS.evaluation_problems("two_steps", "test", 1)[0].text == (
        "Ben has 20 coins. Mia has 8 more than Ben. How many coins do they have together?"
    )
