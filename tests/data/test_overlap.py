"""Two copies of one problem are found however they are typeset, and two problems are not one."""

import pytest

from conspo_study.data.overlap import normalised, overlapping_ids
from conspo_study.records import Problem

SAME = [
    ("What is  1+1?\n", "what is 1+1?"),
    ("For $x^2 + ax + b$, find $a$.", "For $x^{2}+a x+b$, find $a$."),
    (r"Let $f(x)=|x|,$ where $0 < p.$", r"Let $f(x)=|x|$, where $0 < p$."),
    ("we have \\[x = 2\\]Find $y$.", "we have\n$$x=2$$\nFind \\(y\\)."),
    (r"\begin{align*}x&=1,\\ y&=2\end{align*}", r"$x = 1$, $y = 2$"),
    (r"\left| m - n \right| ?", r"|m - n|?"),
    (r"\dfrac{1}{2} \leqslant \ldots", r"\frac12 \leq \dots"),
    (r"real and $\text{imaginary}$ \quad part", "real and imaginary part"),
    ("an *odd* number; “n”", "an odd number, 'n'"),
]
DIFFERENT = [
    ("the roots of $z^4 - z^2 + 1$", "the roots of $z^4 + z^2 + 1$"),
    ("a price of $1.5$", "a price of $15$"),
    ("$x < 3$", "$x > 3$"),
    (r"\frac{1}{2}", r"\sqrt{12}"),
    ("$5!$", "$5$"),
    ("find $x_1$", "find $x^1$"),
    ("What is 1+1?", "What is 1+1? Give the square of it."),
]


@pytest.mark.parametrize(("a", "b"), SAME)
def test_typesetting_does_not_hide_a_copy(a, b):
    assert normalised(a) == normalised(b)


@pytest.mark.parametrize(("a", "b"), DIFFERENT)
def test_what_changes_the_answer_is_another_problem(a, b):
    assert normalised(a) != normalised(b)


def test_pairs_are_named_training_first_and_every_copy_counts():
    train = [Problem("t1", "1 + 1?", "2"), Problem("t2", "other", "3"), Problem("t3", "1+1?", "2")]
    evaluation = [Problem("e1", "$1+1$?", "2"), Problem("e2", "1+2?", "3")]
    assert overlapping_ids(train, evaluation) == [("t1", "e1"), ("t3", "e1")]
