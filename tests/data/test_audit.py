"""Faults of a set are told where a study is planned, and rows that mislead take no part."""

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conspo_study.commands.command_line import main
from conspo_study.config import DataConfig, EvaluationConfig
from conspo_study.data import problems
from conspo_study.data.check import check_data
from conspo_study.data.problems import ProblemFileError, read_set

CLEAN = [{"id": f"c{i}", "problem": f"Which is {i}?", "answer": str(i)} for i in range(6)]


def write(path, *rows):
    path.write_bytes(
        b"".join(
            one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in rows
        )
    )
    return path


def row(problem, answer, name="x"):
    return {"id": name, "problem": problem, "answer": answer}


def told(path):
    return [str(remark) for remark in read_set(path, 1).remarks]


def test_a_clean_set_has_nothing_to_tell(tmp_path):
    assert read_set(write(tmp_path / "a.jsonl", *CLEAN), 0) == (
        [*read_set(tmp_path / "a.jsonl", 0).problems],
        [],
        (),
    )


def test_damaged_latex_is_repaired_in_problem_and_answer(tmp_path):
    damaged = (
        b'{"id": "x", "problem": "Find $\\frac{1}{2}+\\beta$, \\u0001please.", '
        b'"answer": "\\frac{1}{2}"}\n'
    )
    found = read_set(write(tmp_path / "a.jsonl", *CLEAN, damaged), 0)
    assert found.problems[-1].text == "Find $\\frac{1}{2}+\\beta$, please."
    assert found.problems[-1].answer == "\\frac{1}{2}"
    assert told(tmp_path / "a.jsonl") == [
        "LaTeX commands repaired that escape sequences had damaged (a form feed and rac: \\frac): "
        "1 row (row 7)",
        "control characters removed: 1 row (row 7)",
    ]


def test_an_answer_with_a_control_character_that_means_nothing_is_a_bad_row(tmp_path):
    found = read_set(
        write(tmp_path / "a.jsonl", *CLEAN, row("q?", "4\x0c2"), row("\x01\x02", "1")), 1
    )
    assert [one.reason for one in found.bad] == [
        "answer '4\\x0c2' has control characters",
        "problem is empty but for control characters",
    ]
    assert not found.remarks, "what is told is of rows that take part"


@pytest.mark.parametrize("answer", ["null", "N/A", "none", "None", "NaN", "-", " - ", "—", "n/a"])
def test_a_missing_value_in_words_is_a_bad_row(tmp_path, answer):
    path = write(tmp_path / "a.jsonl", *CLEAN, row("q?", answer))
    (bad,) = read_set(path, 1).bad
    assert bad.row == 7
    assert bad.reason.startswith(f"answer is {answer.strip()}, a missing value written as text")
    assert read_set(path, 0, answers_required=False).problems[-1].answer == ""
    assert read_set(write(path, row(answer, "5"), *CLEAN), 1).bad[0].row == 1


@pytest.mark.parametrize("answer", ["\\text{none}", "-1", "N", "n/2", "\\text{N/A}", "Na", "A-"])
def test_an_answer_that_only_looks_like_a_missing_value_is_kept(tmp_path, answer):
    found = read_set(write(tmp_path / "a.jsonl", *CLEAN, row("q?", answer)), 0)
    assert found.problems[-1].answer == answer


def test_answers_that_a_verifier_may_stumble_on_are_told_and_kept(tmp_path):
    answers = ["4.5e33", "4e33", "5E-7", "$42$", "42.", "x,", "2e", "1.5", "e^2", "0.5", "a;b"]
    rows = [row(f"Which is {i}?", name, name) for i, name in enumerate(answers)]
    found = read_set(write(tmp_path / "a.jsonl", *rows), 0)
    assert [problem.answer for problem in found.problems] == answers
    assert told(tmp_path / "a.jsonl") == [
        "answers in e-notation, such as 4.5e33: 3 rows (rows 1, 2, 3)",
        "answers with marks around them, such as $42$ or 42.: 3 rows (rows 4, 5, 6)",
    ]


def test_copies_are_kept_and_told(tmp_path):
    rows = [row("Which is  2?", "2.0", "y"), row("$Which$ is 3", "3", "z"), row("WHICH IS 3?", "3")]
    path = write(tmp_path / "a.jsonl", *CLEAN, *rows)
    assert len(read_set(path, 0).problems) == 9
    assert told(path) == [
        "the same problem several times with the same answer, all kept: "
        "2 problems (rows 3 = 7, 4 = 8 = 9)"
    ]


def test_problems_with_contradictory_answers_take_no_part(tmp_path):
    path = write(tmp_path / "a.jsonl", *CLEAN, row("which is $2$?", 8))
    found = read_set(path, 1)
    assert [problem.id for problem in found.problems] == ["c0", "c1", "c3", "c4", "c5"]
    reason = "the same problem has different answers: '2' (row 3), '8' (row 7)"
    assert [(one.row, one.reason) for one in found.bad] == [(3, reason), (7, reason)]
    with pytest.raises(ProblemFileError, match=r"2 of 7 rows are unusable"):
        read_set(path, 0.01)


def test_the_plan_tells_each_kind_in_one_line(tmp_path):
    train = str(
        write(
            tmp_path / "train.jsonl",
            *CLEAN,
            row("which is $2$?", 8, "d"),
            row("q?", None, "e"),
            row("r?", None, "f"),
            row("$\x0crac12$?", "$.5$", "g"),
        )
    )
    study = check_data(
        DataConfig(train=train, max_bad_rows=0.5), EvaluationConfig(sets=("chain/easy",))
    )
    assert study.lines() == [
        f"{train}: 2 left out (row 3: the same problem has different answers: '2' (row 3), '8' "
        "(row 7), and 1 more (row 7))",
        f"{train}: 2 left out (row 8: answer is missing, and 1 more (row 9))",
        f"{train}: LaTeX commands repaired that escape sequences had damaged (a form feed and rac: "
        "\\frac): 1 row (row 10)",
        f"{train}: answers with marks around them, such as $42$ or 42.: 1 row (row 10)",
    ]


def test_data_check_tells_each_kind_in_one_line(tmp_path, capsys):
    write(
        tmp_path / "dapo_math_17k.jsonl",
        *CLEAN,
        *(row(f"which is ${i}$?", 9, f"d{i}") for i in range(2)),
        row("Which is 5", "5.0", "e"),
        *(row(f"Is $\x0crac{{{i}}}2$?", "1e5", f"f{i}") for i in range(7)),
    )
    assert main(["data", "check", "--data-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines()[:5] == [
        "dapo-math-17k: 16 of 17398 rows, 4 left out, 0 gold answers unreadable",
        "  row 1: the same problem has different answers: '0' (row 1), '9' (row 7), and 3 more "
        "(rows 2, 7, 8)",
        "  LaTeX commands repaired that escape sequences had damaged (a form feed and rac: "
        "\\frac): 7 rows (rows 10, 11, 12, 13, 14, and 2 more)",
        "  answers in e-notation, such as 4.5e33: 7 rows (rows 10, 11, 12, 13, 14, and 2 more)",
        "  the same problem several times with the same answer, all kept: 1 problem (rows 6 = 9)",
    ]


FRAGMENTS = [
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\n", b"\r", b"\t", b" ", b"\\", b"\0", b"\xff"),
    *(b"\xef\xbb\xbf", b"\x1f\x8b", b"null", b"NaN", b"1e999", b"1e-5", b"true", b"####", b"$"),
    *(b'"id"', b'"problem"', b'"answer"', b'"solution"', b'"prompt"', b'"reward_model"', b'"role"'),
    *(b'{"id": 1, "problem": "q", "answer": 2}', b'{"question": "q", "target": [1.0]}', b"\\frac"),
    *(b'{"prompt": [{"role": "user", "content": [1]}], "gold": {}}', b'"\\boxed{', b'"\\ud800"'),
    *(b'{"problem": 1, "answer": [[]]}', b'{"problem": {}, "ground_truth": 0.1, "label": []}'),
]


@pytest.mark.parametrize("required", [True, False])
@given(
    content=st.one_of(
        st.binary(max_size=40), st.lists(st.sampled_from(FRAGMENTS), max_size=12).map(b"".join)
    )
)
@settings(max_examples=600, deadline=None)
def test_no_bytes_raise_anything_but_the_reader_s_own_error(tmp_path_factory, content, required):
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(content)
    try:
        found = read_set(path, 1, required)
    except ProblemFileError:
        return
    assert all(one.text.strip() and (one.answer.strip() or not required) for one in found.problems)
    assert len({one.id for one in found.problems}) == len(found.problems)


@pytest.mark.parametrize(
    "piece",
    ["\\boxed{", "\\boxed{1} and ", "####", "\n#### ", " ", "$", "\x0c", "\\[", "{", "'", "1,"],
)
def test_a_row_takes_linear_time(tmp_path, piece):
    long = piece * (90_000 // len(piece))
    path = write(
        tmp_path / "a.jsonl",
        {"problem": "q" + long, "solution": long},
        {"problem": "r" + long, "solution": "$5$" + long},
    )
    start = time.process_time()
    with contextlib.suppress(ProblemFileError):
        read_set(path, 1)
    assert time.process_time() - start < 2


def test_a_set_is_read_once_while_it_stays_the_same(tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", *CLEAN)
    read_set(path, 0)
    monkeypatch.setattr(problems, "read_rows", None)
    assert len(read_set(path, 0).problems) == 6
