"""Files in the formats that public sets come in: arrays, other columns, chats, compressed."""

import gzip
import json
import os

import pytest

from conspo_study.data import rows
from conspo_study.data.problems import ProblemFileError, read_set
from conspo_study.untrusted import within

ROWS = [{"id": str(i), "problem": f"{i}+1?", "answer": str(i + 1)} for i in range(3)]


def zipped(content):
    """Without the time, which would give each process other names of tests."""
    return gzip.compress(content, mtime=0)


def lines(*given):
    return "".join(json.dumps(row) + "\n" for row in given).encode()


def read(tmp_path, content, limit=0.0, **settings):
    path = tmp_path / "set.jsonl"
    path.write_bytes(content)
    return read_set(path, limit, **settings)


def told(found):
    return [str(remark) for remark in found.remarks]


DOUBLED = b'{"id": "d", "problem": "1+1?", "answer": "2", "answer": "3"}'


@pytest.mark.parametrize(
    "row", [DOUBLED, b'{"problem": "1?", "answer": "1", "of": [{"a": 1, "a": 2}]}']
)
def test_a_row_with_a_key_twice_is_unusable_and_says_so(tmp_path, row):
    found = read(tmp_path, row + b"\n" + lines(*ROWS), limit=0.5)
    assert [p.id for p in found.problems] == ["0", "1", "2"]
    (bad,) = found.bad
    assert bad.row == 1 and "more than once: leave one of them out" in bad.reason
    with pytest.raises(ProblemFileError, match=r"problem 2 of its array has '.*' more than once"):
        read(tmp_path, b"[" + lines(ROWS[0]).strip() + b", " + row + b"]")


def pipe(path):
    os.mkfifo(path)


def huge(path):
    path.touch()
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (pipe, "it is a pipe"),
        (lambda path: path.symlink_to("/dev/zero"), "it is a device"),
        (lambda path: path.mkdir(), "it is a folder"),
        (huge, "it has 1.1 TB"),
    ],
)
def test_what_is_no_file_of_problems_is_refused_at_once(tmp_path, make, why):
    make(tmp_path / "set.jsonl")
    with within(10), pytest.raises(ProblemFileError, match=f"{why}.*a regular file"):
        read_set(tmp_path / "set.jsonl", 0.0)


def test_a_file_of_problems_may_be_a_link(tmp_path):
    (tmp_path / "real").write_bytes(lines(*ROWS))
    (tmp_path / "set.jsonl").symlink_to("real")
    assert len(read_set(tmp_path / "set.jsonl", 0.0).problems) == 3


@pytest.mark.parametrize(
    "content",
    [
        lines(*ROWS),
        b"\xef\xbb\xbf" + lines(*ROWS),
        b"\n\n" + lines(*ROWS).replace(b"\n", b"\r\n\n"),
        json.dumps(ROWS).encode(),
        b"\xef\xbb\xbf \n" + json.dumps(ROWS, indent=2).encode() + b"\n",
        zipped(lines(*ROWS)),
        zipped(b"\xef\xbb\xbf" + json.dumps(ROWS, indent=1).encode()),
        b"  " + lines(*ROWS),
    ],
)
def test_every_encoding_of_the_same_rows_is_the_same_set(tmp_path, content):
    found = read(tmp_path, content)
    assert [(p.id, p.text, p.answer) for p in found.problems] == [tuple(r.values()) for r in ROWS]
    assert not found.bad and not found.remarks


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (lines(*ROWS).decode().encode("utf-16"), "UTF-16 .*iconv"),
        (lines(*ROWS).decode().encode("utf-16-le"), "UTF-16 .*iconv"),
        (lines(*ROWS).decode().encode("utf-32"), "UTF-16 or UTF-32"),
        (b"PAR1\x15\x04", r"Parquet file: .*to_json"),
        (b"PK\x03\x04...", "zip archive"),
        (json.dumps(ROWS).encode()[:-20], r"problem 3 of its JSON array .*line 1"),
        (json.dumps(ROWS).encode() + b"{}", "behind its JSON array"),
        (b"[]", "no problems"),
        (json.dumps({"version": 1, "data": ROWS}, indent=1).encode(), "keys 'version', 'data'"),
        (zipped(lines(*ROWS))[:-12], "cannot be unpacked"),
        (lines({"Frage": "q", "answer": "1"}), "problem is missing: of the columns 'Frage'"),
        (lines({"problem": "q", "x": "1"}), r"answer is missing: .*data.answers=optional"),
        (
            lines({"question": "q", "prompt": "p", "answer": "1"}),
            "no column problem, but question and prompt, which differ: rename",
        ),
        (
            lines({"problem": "q", "target": "1", "gold": "2"}),
            "no column answer, but gold and target, which differ",
        ),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_cause(tmp_path, content, says):
    with pytest.raises(ProblemFileError, match=says) as error:
        read(tmp_path, content, 1)
    assert str(tmp_path / "set.jsonl") in str(error.value)


def test_a_small_file_that_unpacks_to_a_large_one_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_UNPACKED", 1 << 20)
    with pytest.raises(ProblemFileError, match="unpacks to more than 1 MiB"):
        read(tmp_path, zipped(b"\n" * (1 << 21)))


def test_unescaped_tabs_are_read_and_a_single_backslash_is_explained(tmp_path):
    found = read(tmp_path, b'{"id": 1, "problem": "a\tb?", "answer": 1}\n')
    assert found.problems[0].text == "a\tb?"
    bad = read(tmp_path, lines(*ROWS) + b'{"problem": "\\sqrt{2}"}\n', 1).bad
    assert "escape" in bad[0].reason and "backslash is written twice" in bad[0].reason


@pytest.mark.parametrize(
    ("row", "text", "answer"),
    [
        ({"question": "q?", "answer": "steps\n#### 1,018"}, "q?", "1018"),
        ({"problem": "q?", "solution": "So it is $\\boxed{\\frac{1}{2}}$."}, "q?", "\\frac{1}{2}"),
        (
            {"problem": "q?", "solution": "\\boxed{1}. No: \\boxed{3} and \\boxed{8}."},
            "q?",
            "\\boxed{3} and \\boxed{8}",
        ),
        ({"problem": "q?", "solution": "\\boxed{\\boxed{4}}"}, "q?", "\\boxed{4}"),
        ({"prompt": "q?", "solution": "34"}, "q?", "34"),
        ({"Problem": "q?", "Answer": 7, "Solution": "..."}, "q?", "7"),
        ({"query": "q?", "final_answer": ["2"], "solution": ["s"]}, "q?", "2"),
        ({"input": "q?", "target": 1.50}, "q?", "1.5"),
        (
            {
                "prompt": [
                    {"role": "system", "content": "s"},
                    {"role": "user", "content": "first"},
                    {"role": "assistant", "content": "a"},
                    {"role": "user", "content": [{"type": "text", "text": "q?"}]},
                ],
                "reward_model": {"style": "rule", "ground_truth": "34"},
                "extra_info": {"index": 5},
            },
            "q?",
            "34",
        ),
        ({"prompt": "q?", "question": "q?", "ground_truth": "3", "label": "3"}, "q?", "3"),
        # The standard columns win, whatever else there is.
        ({"problem": "q?", "question": "r?", "answer": "1", "solution": "\\boxed{2}"}, "q?", "1"),
    ],
)
def test_columns_of_public_sets_are_read(tmp_path, row, text, answer):
    (problem,) = read(tmp_path, lines(row)).problems
    assert (problem.id, problem.text, problem.answer) == ("1", text, answer)


def test_what_is_read_differently_is_told(tmp_path):
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "q?"}]
    found = read(tmp_path, lines({"prompt": chat, "solution": "It is \\boxed{5}", "level": 2}))
    assert told(found) == [
        "read from other columns: prompt as problem, solution as answer",
        "no id, numbered by row: 1 row (row 1)",
        "last message of the user taken from a chat, without the other messages: 1 row (row 1)",
        "final answer taken from a worked solution: 1 row (row 1)",
    ]
    assert found.problems[0].level == "2"
    assert found.problems[0].extra == {"solution": "It is \\boxed{5}"}


def test_a_solution_without_a_final_answer_is_a_bad_row(tmp_path):
    rows = [{"problem": f"q{i}?", "solution": "We get \\boxed{1}"} for i in range(2)]
    found = read(tmp_path, lines(*rows, {"problem": "r?", "solution": "The answer is 5."}), 1)
    assert [one.row for one in found.bad] == [3]
    assert "solution has no final answer" in found.bad[0].reason


def test_a_missing_answer_is_not_taken_from_another_column(tmp_path):
    rows = [*ROWS, {"id": "x", "problem": "r?", "answer": None, "solution": "\\boxed{5}"}]
    found = read(tmp_path, lines(*rows), 1)
    assert [(one.row, one.reason) for one in found.bad] == [(4, "answer is missing")]


def test_rows_without_id_are_numbered_and_never_collide(tmp_path):
    found = read(tmp_path, b"\n" + lines(*({"problem": f"q{i}", "answer": 1} for i in range(3))))
    assert [problem.id for problem in found.problems] == ["2", "3", "4"], "lines of the file"
    rows = [{"problem": "a", "answer": 1}, {"id": 1, "problem": "b", "answer": 1}]
    found = read(tmp_path, lines(*rows, {"id": None, "problem": "c", "answer": 1}))
    assert [problem.id for problem in found.problems] == ["row 1", "1", "row 3"]
    assert told(found) == ["no id, numbered by row: 2 rows (rows 1, 3)"]


@pytest.mark.parametrize("array", [False, True])
def test_a_number_keeps_the_digits_that_it_is_written_with(tmp_path, array):
    written = ["0.00005", "1e-5", "1.50", "1.5E+3", "12345678901234567890.5", "7", "-0.0"]
    rows = [
        f'{{"id": {i}, "problem": "q{i}", "answer": {number}, "weight": 1.50}}'
        for i, number in enumerate(written)
    ]
    content = f"[{', '.join(rows)}]" if array else "\n".join(rows)
    problems = read(tmp_path, content.encode()).problems
    assert [problem.answer for problem in problems] == written
    assert all(type(problem.extra["weight"]) is float for problem in problems)
    nested = '{"prompt": "q", "reward_model": {"ground_truth": 0.00005}}'
    assert read(tmp_path, nested.encode()).problems[0].answer == "0.00005"
    assert (
        "answer is inf"
        in read(tmp_path, b'{"id": 1, "problem": "q", "answer": 1e999}\n' + lines(*ROWS), 1)
        .bad[0]
        .reason
    )


def test_the_cached_problems_are_not_shared(tmp_path):
    first = read(tmp_path, lines(*ROWS))
    first.problems.clear()
    assert len(read(tmp_path, lines(*ROWS)).problems) == 3
    assert len(read(tmp_path, lines(*ROWS[:2])).problems) == 2
