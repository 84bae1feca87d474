import json
from pathlib import Path

import pytest

from conspo_study.data.problems import (
    MAX_CHARACTERS,
    BadRow,
    ProblemFileError,
    content_hash,
    read_problems,
)
from conspo_study.records import Problem

GOOD = {"id": "a", "problem": "1+1?", "answer": "2"}


def write(folder: Path, *rows: object) -> Path:
    """A file with these rows; bytes are written as they are."""
    path = folder / "problems.jsonl"
    lines = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def test_fields_are_read_extra_ones_kept_and_numbers_accepted(tmp_path):
    path = write(tmp_path, {**GOOD, "source": "x"}, b"", {"id": 7, "problem": "p", "answer": 0.5})
    found = [Problem("a", "1+1?", "2", extra={"source": "x"}), Problem("7", "p", "0.5")]
    assert read_problems(path, 0) == (found, [])


def test_windows_line_ends_and_unicode_are_accepted(tmp_path):
    path = write(tmp_path, json.dumps(GOOD | {"problem": "π²?"}).encode() + b"\r")
    assert read_problems(path, 0)[0][0].text == "π²?"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (GOOD | {"id": [1]}, "id is a list"),
        (GOOD | {"answer": None}, "answer is missing"),
        (GOOD | {"answer": float("nan")}, "answer is nan"),
        (GOOD | {"answer": "NaN"}, "answer is NaN"),
        (GOOD | {"answer": " "}, "answer is empty"),
        (GOOD | {"answer": ["2", "3"]}, "answer is a list"),
        (GOOD | {"answer": True}, "answer is a bool"),
        (GOOD | {"problem": 3}, "problem is a int, but text is needed"),
        (GOOD | {"problem": "x" * (MAX_CHARACTERS + 1)}, "more than 100000"),
        (GOOD | {"problem": "\ud800"}, "lone surrogate"),
        (GOOD | {"id": "a\x1b[2J"}, r"id 'a\x1b[2J' has unprintable characters"),
        ([1, 2], "not a JSON object"),
        (b'{"id": 1,', "not JSON"),
        (b"[" * 100_000, "too deep nesting"),
        (b'{"id": "\xff"}', "not UTF-8"),
    ],
)
def test_a_bad_row_is_left_out_with_its_number_and_reason(tmp_path, row, reason):
    path = write(tmp_path, GOOD | {"id": "first"}, row, GOOD | {"id": "last"})
    problems, bad = read_problems(path, 0.5)
    assert [problem.id for problem in problems] == ["first", "last"]
    assert [one.row for one in bad] == [2] and reason in bad[0].reason
    with pytest.raises(ProblemFileError) as caught:
        read_problems(path, 0.3)
    assert str(path) in str(caught.value)
    assert "row 2: " in str(caught.value) and reason in str(caught.value)


def test_of_a_repeated_id_the_first_row_stays_and_is_named(tmp_path):
    path = write(tmp_path, GOOD, GOOD | {"id": "b"}, GOOD | {"problem": "other"})
    problems, bad = read_problems(path, 0.5)
    assert [problem.text for problem in problems] == ["1+1?", "1+1?"]
    assert bad == [BadRow(3, "id 'a' repeats row 1")]


@pytest.mark.parametrize(("bad", "allowed"), [(1, True), (2, False)])
def test_one_row_in_a_hundred_may_be_bad_and_no_more(tmp_path, bad, allowed):
    rows = [GOOD | {"id": str(index), "answer": "" if index < bad else "2"} for index in range(100)]
    path = write(tmp_path, *rows)
    if allowed:
        assert len(read_problems(path, 0.01)[0]) == 99
    else:
        with pytest.raises(ProblemFileError, match=r"2 of 100 rows are unusable, more"):
            read_problems(path, 0.01)


def test_a_file_without_a_usable_row_is_refused_whatever_is_allowed(tmp_path):
    with pytest.raises(ProblemFileError, match="no problems; row 1: answer is empty"):
        read_problems(write(tmp_path, GOOD | {"answer": ""}), 1)


def test_all_bad_rows_are_counted_and_twenty_are_shown(tmp_path):
    rows = [GOOD | {"id": str(index), "answer": ""} for index in range(25)]
    with pytest.raises(ProblemFileError) as caught:
        read_problems(write(tmp_path, *rows), 0.01)
    assert "25 of 25 rows are unusable" in str(caught.value) and "and 5 more" in str(caught.value)
    assert str(caught.value).count("answer is empty") == 20


def test_missing_and_empty_files_are_refused(tmp_path):
    with pytest.raises(ProblemFileError, match="cannot be read"):
        read_problems(tmp_path / "none.jsonl", 1)
    with pytest.raises(ProblemFileError, match="no problems"):
        read_problems(write(tmp_path, b""), 1)


def test_the_content_hash_sees_every_field_and_the_order():
    a, b = Problem("a", "p", "1"), Problem("b", "q", "2")
    hashes = {
        content_hash([a, b]),
        content_hash([b, a]),
        content_hash([a]),
        content_hash([a, Problem("b", "q", "3")]),
        content_hash([a, Problem("b", "r", "2")]),
    }
    assert len(hashes) == 5
    assert content_hash([a, b]) == content_hash(iter([a, b]))
