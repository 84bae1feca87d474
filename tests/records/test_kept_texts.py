"""Texts that are kept for reading are cut where no letter is divided, and the first ones kept."""

import pytest

from conspo_study.records import LONGEST_TEXT, cut, number_that_fit, text_bytes


def test_a_text_within_the_bound_stays_and_a_longer_one_says_what_is_missing():
    assert cut("x" * LONGEST_TEXT) == "x" * LONGEST_TEXT
    assert cut("x" * (LONGEST_TEXT + 1234)) == "x" * LONGEST_TEXT + "\n… 1,234 more characters"
    assert cut("") == ""


@pytest.mark.parametrize(
    ("one", "parts"),
    [
        ("e\u0301", 2),  # e and an accent
        ("न\u0940", 2),
        ("👍\U0001f3fd", 2),  # a skin tone
        ("👩\u200d🚀", 3),  # joined by a character without width
        ("\ud83d\ude00", 2),  # halves of a pair, as a model may emit them
    ],
)
def test_a_cut_divides_nothing_that_is_read_as_one(one, parts):
    assert len(one) == parts
    for inside in range(1, parts):
        shown, _, note = cut("a" * (10 - inside) + one + "b" * 50, 10).partition("\n")
        assert shown == "a" * (10 - inside)
        assert note == f"… {parts + 50} more characters"
    assert cut("a" * (10 - parts) + one + "b" * 50, 10).startswith("a" * (10 - parts) + one + "\n")


def test_endless_accents_are_cut_nevertheless():
    shown = cut("e" + "\u0301" * 100_000, 100).partition("\n")[0]
    assert 60 < len(shown) < 100


def test_texts_are_counted_in_bytes_up_to_the_first_that_has_no_room():
    assert number_that_fit([3, 4, 5, 1], 7) == 2
    assert number_that_fit([8, 1], 7) == 0
    assert number_that_fit([], 7) == 0
    assert [text_bytes(text) for text in (None, "", "aä€", "\ud800")] == [0, 0, 6, 6]
