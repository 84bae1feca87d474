import random
from itertools import islice, pairwise

import pytest

from conspo_study.data.arithmetic import (
    CHAIN,
    LEVEL_TERMS,
    MAX_TOTAL,
    STYLES,
    Expression,
    demonstrations,
    solution,
)


def parse(prompt: str) -> Expression:
    """Read a prompt back into its expression."""
    text = prompt.removesuffix("=?\n").replace("-", "+-").split("+")
    return Expression(int(text[0]), tuple(int(part) for part in text[1:]))


def held_out_texts() -> set[str]:
    return {
        problem.text
        for level in LEVEL_TERMS
        for split in ("dev", "test")
        for problem in CHAIN.evaluation_problems(level, split, 96)
    }


def test_training_and_demonstrations_never_show_a_held_out_expression():
    trained = {CHAIN.training_problem(seed, index).text for seed in (0, 1) for index in range(1500)}
    shown = {prompt for prompt, _ in demonstrations(0, 3000)}
    assert not (trained | shown) & held_out_texts()
    assert {parse(prompt).split for prompt in trained | shown} == {"train"}


def test_dev_and_test_are_disjoint_and_distinct():
    for level in LEVEL_TERMS:
        dev = [problem.text for problem in CHAIN.evaluation_problems(level, "dev", 96)]
        test = [problem.text for problem in CHAIN.evaluation_problems(level, "test", 96)]
        assert len(set(dev)) == len(set(test)) == 96
        assert not set(dev) & set(test)


def test_levels_have_their_number_of_terms_and_training_never_reaches_ood():
    for level, (fewest, most) in LEVEL_TERMS.items():
        lengths = {
            len(parse(p.text).steps) + 1 for p in CHAIN.evaluation_problems(level, "dev", 96)
        }
        assert lengths == set(range(fewest, most + 1))
    trained = {len(parse(CHAIN.training_problem(0, i).text).steps) + 1 for i in range(500)}
    assert trained == {2, 3, 4, 5, 6}


def test_every_number_of_every_solution_is_within_the_vocabulary_and_right():
    for prompt, response in demonstrations(3, 2000):
        expression = parse(prompt)
        trace, _, boxed = response.rpartition("\n")
        assert boxed == f"\\boxed{{{expression.total}}}"
        assert f"{expression.text}=?\n" == prompt
        total = expression.first
        for step in expression.steps:
            assert 1 <= abs(step) <= 9
            total += step
            assert 0 <= total <= MAX_TOTAL
        pieces = trace.split("=") if trace else []
        for left, right in pairwise(pieces):
            stated = right.replace("-", "+-").split("+")[0]
            assert parse(left + "=?\n").total == int(stated)


def test_the_styles_differ_in_verbosity_only():
    expression = parse("7+5-3+8=?\n")
    full, lazy, direct = (solution(expression, style, random.Random(1)) for style in STYLES)
    assert full == "7+5=12-3=9+8=17\n\\boxed{17}"
    assert direct == "\\boxed{17}"
    assert lazy.endswith("=17\n\\boxed{17}") and lazy.count("=") < full.count("=")


def test_the_warm_start_ends_on_a_mix_in_which_guessing_dominates():
    pairs = list(demonstrations(0, 4000))
    direct = [response.startswith("\\boxed") for _, response in pairs]
    assert 0.07 < sum(direct[:3200]) / 3200 < 0.13
    assert 0.38 < sum(direct[3200:]) / 800 < 0.52


def test_streams_are_deterministic_and_seeds_differ():
    assert CHAIN.training_problem(5, 7) == CHAIN.training_problem(5, 7)
    assert CHAIN.training_problem(5, 7) != CHAIN.training_problem(6, 7)
    assert list(demonstrations(1, 50)) == list(demonstrations(1, 50))
    assert list(islice(demonstrations(1, 50), 5)) != list(islice(demonstrations(2, 50), 5))


def test_a_smaller_evaluation_is_the_start_of_a_larger_one():
    assert (
        CHAIN.evaluation_problems("hard", "dev", 10)
        == CHAIN.evaluation_problems("hard", "dev", 30)[:10]
    )


@pytest.mark.parametrize("level", ["medium", "hard", "ood"])
def test_a_level_has_a_thousand_different_problems_of_either_split(level):
    dev, test = (CHAIN.evaluation_problems(level, split, 1000) for split in ("dev", "test"))
    texts = {problem.text for problem in (*dev, *test)}
    assert len(dev) == len(test) == 1000 and len(texts) == 2000


def test_the_split_of_an_expression_never_changes():
    assert [parse(text).split for text in ("9+9", "5+8-7", "7+3-7")] == ["train", "dev", "test"]
    assert CHAIN.evaluation_problems("easy", "dev", 1)[0].text == "5+8-7=?\n"


def test_bad_requests_say_what_exists():
    with pytest.raises(ValueError, match="known: easy, medium, hard, ood"):
        CHAIN.evaluation_problems("tiny")
    with pytest.raises(ValueError, match="known: train, dev, test"):
        CHAIN.evaluation_problems("easy", "holdout")
    with pytest.raises(ValueError, match=r"lower evaluation.problems_per_set"):
        CHAIN.evaluation_problems("easy", "dev", 300)
