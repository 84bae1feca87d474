"""Reading texts that nobody would write."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conspo_study.reward.reading import Garbage, key_of, read

PIECES = [
    *("{", "}", "\\frac", "\\sqrt[", "(", ")", ",", "=", "1 ", "\\text{", "\\pm", "a:", "\\", "$"),
    *("^", "_", "|", "!", ".", "`", '"', "**", "\\left", "\\{", "\\cup", "x<", "&", "²", "½", "٣"),
    *("\\begin{pmatrix}", "\\end{pmatrix}", "\\not", "\\color", "0/0", "1e999999999", "_{37}", "%"),
]
TEXTS = st.text(max_size=60) | st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


@settings(max_examples=400, deadline=None)
@given(TEXTS)
def test_no_text_raises(text):
    assert isinstance(key_of(read(text)), str)


@pytest.mark.parametrize(
    "unit",
    ["{", "}", "\\frac", "(", ",", "=", "1 ", "\\text{", "\\pm", "a:", "!", ".", "`", '"', "\\\\"],
)
@pytest.mark.parametrize(("before", "after"), [("", ""), ("x=", ""), ("\\text{", "}"), ("(", ")")])
def test_the_longest_answers_are_read_at_once(unit, before, after):
    text = before + unit * ((4096 - len(before + after)) // len(unit)) + after
    start = time.process_time()
    read(text)
    assert time.process_time() - start < 1.0


@pytest.mark.parametrize(
    "text", ["", " ", "$$", "{", "}", "\\text{}", "((", "=", "\\frac{1}", "5\x00"]
)
def test_what_says_nothing_is_garbage(text):
    assert isinstance(read(text), Garbage)
