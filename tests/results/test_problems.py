"""Problems of evaluations are stored once for a trial, within bounds, and read with care."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conspo_study.records import MOST_TEXT, ProblemRow
from conspo_study.results.problems import (
    MOST_FILES,
    add_problems,
    problems_path,
    read_problem_table,
    write_problems,
)

ROWS = [
    ProblemRow("a", "p1", "1 + 1 = <i>", "2"),
    ProblemRow("a", "p2", None, "3"),
    ProblemRow("b", "p1", "2 + 2 =", None),
]


def read(folder):
    return [ProblemRow(**row) for row in read_problem_table(folder).to_pylist()]


def test_problems_come_back(tmp_path):
    assert read(tmp_path) == []
    write_problems(problems_path(tmp_path), ROWS)
    assert read(tmp_path) == ROWS


def test_those_that_exceed_the_bound_are_left_out(tmp_path):
    rows = [ProblemRow("a", f"p{i}", "x" * 4000, "1") for i in range(1000)]
    write_problems(problems_path(tmp_path), rows)
    kept = read(tmp_path)
    assert kept == rows[: len(kept)]
    assert MOST_TEXT - 10_000 < 4000 * len(kept) <= MOST_TEXT


def test_calls_of_a_function_keep_a_file_each_which_grows_by_new_problems(tmp_path):
    path = problems_path(tmp_path, 3)
    add_problems(path, ROWS[:1])
    first = path.stat().st_mtime_ns
    add_problems(path, [ProblemRow("a", "p1", "another text", "2")])
    assert path.stat().st_mtime_ns == first, "nothing is new"
    add_problems(path, ROWS)
    add_problems(problems_path(tmp_path, 4), [ROWS[0], ProblemRow("c", "p9", "9", "9")])
    assert read(tmp_path) == [*ROWS, ProblemRow("c", "p9", "9", "9")]


def test_a_damaged_file_is_named_and_replaced_by_a_later_evaluation(tmp_path):
    path = problems_path(tmp_path, 0)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(ValueError, match=r"problems-0\.parquet is not readable"):
        read_problem_table(tmp_path)
    add_problems(path, ROWS)
    assert read(tmp_path) == ROWS


@pytest.mark.parametrize("gold", [pa.array([7]), pa.array([b"7"]), pa.array([["7"]])])
def test_a_file_of_other_types_is_refused(tmp_path, gold):
    write_problems(problems_path(tmp_path), ROWS[:1])
    table = pq.read_table(problems_path(tmp_path))
    pq.write_table(table.set_column(3, "gold", gold), problems_path(tmp_path))
    with pytest.raises(ValueError, match="does not have the columns of evaluated problems"):
        read_problem_table(tmp_path)


def test_texts_that_would_fill_the_memory_are_refused(tmp_path):
    rows = [ProblemRow("a", str(i), "p", "x" * 1_000_000) for i in range(2)]
    write_problems(problems_path(tmp_path), rows)
    table = pq.read_table(problems_path(tmp_path))
    pq.write_table(pa.concat_tables([table] * 150), problems_path(tmp_path), compression="zstd")
    assert problems_path(tmp_path).stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=r"problems\.parquet is refused"):
        read_problem_table(tmp_path)


def test_no_more_files_are_read_than_trials_have(tmp_path):
    for seed in range(MOST_FILES + 10):
        write_problems(problems_path(tmp_path, seed), [ProblemRow("a", f"p{seed}", "", "")])
    (tmp_path / "problems-x.parquet").write_bytes(b"of somebody else")
    assert len(read(tmp_path)) == MOST_FILES
