"""Step rows survive kills, evaluation files are whole or absent."""

import math
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conspo_study.records import MOST_TEXT, CreditRow, EvalRow
from conspo_study.results.rows import (
    MEASURED,
    append_credits,
    append_step_row,
    eval_path,
    read_credits,
    read_eval_rows,
    read_eval_table,
    read_steps,
    write_eval_rows,
)


def row(step: int = 0, answer: str = "7", sample: int = 0) -> EvalRow:
    return EvalRow(0, step, "chain/hard", "p1", sample, "correct", answer, 12, "stopped")


def test_the_last_row_of_a_step_counts(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    for seed, step, reward in [(1, 0, 0.1), (0, 1, 0.2), (0, 0, 0.3), (0, 1, 0.4)]:
        append_step_row(path, {"seed": seed, "step": step, "reward": reward})
    assert [(r["seed"], r["step"], r["reward"]) for r in read_steps(path)] == [
        (0, 0, 0.3),
        (0, 1, 0.4),
        (1, 0, 0.1),
    ]


def test_a_torn_step_row_is_ignored_and_then_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    append_step_row(path, {"seed": 0, "step": 0})
    append_step_row(path, {"seed": 0, "step": 1})
    whole = path.read_bytes()
    for end in range(len(whole) // 2 + 1, len(whole) - 1):
        path.write_bytes(whole[:end])
        assert len(read_steps(path)) == 1
        append_step_row(path, {"seed": 0, "step": 1})
        assert path.read_bytes() == whole


@pytest.mark.parametrize("end", [b"", b"\r\n", b"\n\n"])
def test_what_an_editor_does_to_line_ends_costs_no_row(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "steps.jsonl"
    for step in range(2):
        append_step_row(path, {"seed": 0, "step": step})
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\xef\xbb\xbf" + (end or b"\n").join(lines) + end)
    assert [row["step"] for row in read_steps(path)] == [0, 1]
    append_step_row(path, {"seed": 0, "step": 2})
    assert [row["step"] for row in read_steps(path)] == [0, 1, 2]


def test_non_finite_diagnostics_are_gaps(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    append_step_row(path, {"seed": 0, "step": 0, "a": math.nan, "b": math.inf, "c": 1.5})
    assert read_steps(path) == [{"seed": 0, "step": 0, "a": None, "b": None, "c": 1.5}]


def test_a_bad_step_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text('{"seed":0,"step":0}\n{"step":1}\n{"seed":0,"step":2}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_steps(path)


def credit(rollout: int, value: float) -> CreditRow:
    return CreditRow(0, 2, "p7", rollout, rollout == 0, -0.5, value, 9)


def test_credits_come_back_and_those_of_a_step_that_ran_again_count(tmp_path: Path) -> None:
    path = tmp_path / "credits.jsonl"
    append_credits(path, 1, 3, [credit(0, 9.0), credit(1, 9.0), credit(2, 9.0)])
    append_credits(path, 0, 3, [credit(0, 0.5), credit(1, math.nan)])
    append_credits(path, 1, 3, [credit(0, 1.0)])
    append_credits(path, 0, 1, [])
    found = read_credits(path)
    assert [(row["seed"], row["step"], row["rollout"], row["credit"]) for row in found] == [
        (0, 3, 0, 0.5),
        (0, 3, 1, None),
        (1, 3, 0, 1.0),
    ]
    assert found[0] == {"seed": 0, "step": 3, **asdict(credit(0, 0.5))}


@pytest.mark.parametrize("wrong", ['"rolls": [0, 1]', '"rollout": [0]', '"rollout": 0'])
def test_a_damaged_line_of_credits_is_named(tmp_path: Path, wrong: str) -> None:
    path = tmp_path / "credits.jsonl"
    append_credits(path, 0, 2, [credit(0, 1.0), credit(1, 1.0)])
    path.write_text(path.read_text().replace('"rollout": [0, 1]', wrong))
    with pytest.raises(ValueError, match="seed 0, step 2 does not hold a list"):
        read_credits(path)


def test_a_trial_without_rows_has_none(tmp_path: Path) -> None:
    assert read_steps(tmp_path / "steps.jsonl") == []
    assert read_credits(tmp_path / "credits.jsonl") == []
    assert read_eval_rows(tmp_path) == []


def test_evaluation_rows_come_back(tmp_path: Path) -> None:
    rows = [row(20), row(20, sample=-1)]
    write_eval_rows(eval_path(tmp_path, 0, 0), [row(0)])
    write_eval_rows(eval_path(tmp_path, 0, 20), rows)
    assert read_eval_rows(tmp_path) == [row(0), *rows]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "eval-0-00000.parquet",
        "eval-0-00020.parquet",
    ]


@pytest.mark.parametrize("answer", ["", "=cmd()", "\x00\x1b[31m", "\ud800", "ü|\n" * 100])
def test_hostile_answers_are_stored(tmp_path: Path, answer: str) -> None:
    write_eval_rows(eval_path(tmp_path, 0, 0), [row(answer=answer)])
    expected = answer.encode("utf-8", "backslashreplace").decode()
    assert read_eval_rows(tmp_path)[0].answer == expected


def test_an_evaluation_without_rows_keeps_its_columns(tmp_path: Path) -> None:
    write_eval_rows(eval_path(tmp_path, 0, 0), [])
    assert read_eval_table(tmp_path).num_columns == 12


def test_votes_come_back_and_take_a_column_only_where_there_are_some(tmp_path: Path) -> None:
    voted = [replace(row(20), vote=3), row(20, answer="", sample=1)]
    write_eval_rows(eval_path(tmp_path, 0, 0), [row(0)])
    write_eval_rows(eval_path(tmp_path, 0, 20), voted)
    assert read_eval_rows(tmp_path) == [row(0), *voted]
    columns = [set(pq.read_schema(eval_path(tmp_path, 0, step)).names) for step in (0, 20)]
    assert columns[1] - columns[0] == {"vote"}


def many(samples: int, problems: int, length: int, sets: tuple[str, ...] = ("s",)) -> list[EvalRow]:
    """Rows of greedy and sampled responses, of `length` characters each."""
    return [
        replace(row(sample=k), problem_set=name, problem_id=f"p{i:03d}", response="x" * length)
        for name in sets
        for i in range(problems)
        for k in range(-1, samples)
    ]


def test_responses_come_back_and_take_a_column_only_where_there_are_some(tmp_path: Path) -> None:
    rows = [replace(row(20), response="1 + 1 = <b>2</b>"), row(20, sample=1)]
    write_eval_rows(eval_path(tmp_path, 0, 0), [row(0)])
    write_eval_rows(eval_path(tmp_path, 0, 20), rows)
    assert read_eval_rows(tmp_path) == [row(0), *rows]
    columns = [set(pq.read_schema(eval_path(tmp_path, 0, step)).names) for step in (0, 20)]
    assert columns[1] - columns[0] == {"response"}
    assert read_eval_table(tmp_path, columns=MEASURED).column_names == list(MEASURED)


def test_a_file_keeps_the_greedy_responses_then_the_first_of_every_problem(tmp_path: Path) -> None:
    length = MOST_TEXT // 100
    rows = many(4, 20, length, ("a", "b"))
    assert len(rows) == 200, "of which 100 fit"
    path = eval_path(tmp_path, 0, 0)
    write_eval_rows(path, rows)
    kept = {(r.sample, r.problem_set, r.problem_id) for r in read_eval_rows(tmp_path) if r.response}
    assert len(kept) == 100
    assert {sample for sample, *_ in kept} == {-1, 0, 1}
    assert sum(sample == 1 for sample, *_ in kept) == 20
    assert {(name, p) for sample, name, p in kept if sample == 1} == {
        (name, f"p{i:03d}") for name in "ab" for i in range(10)
    }
    assert [replace(r, response=None) for r in read_eval_rows(tmp_path)] == [
        replace(r, response=None) for r in rows
    ], "no number is left out"


def test_what_a_file_keeps_depends_on_no_order_and_not_on_a_second_writing(tmp_path: Path) -> None:
    rows = many(3, 40, MOST_TEXT // 90)
    paths = [eval_path(tmp_path, 0, step) for step in range(3)]
    write_eval_rows(paths[0], rows)
    write_eval_rows(paths[1], read_eval_rows(tmp_path, [(0, 0)]))
    write_eval_rows(paths[2], rows[::-1])
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert read_eval_rows(tmp_path, [(0, 2)]) == read_eval_rows(tmp_path, [(0, 0)])[::-1]


def test_a_file_whose_texts_are_no_texts_is_named(tmp_path: Path) -> None:
    path = eval_path(tmp_path, 0, 0)
    write_eval_rows(path, [replace(row(), response="7")])
    table = pq.read_table(path)
    numbers = table.set_column(table.column_names.index("response"), "response", pa.array([7]))
    pq.write_table(numbers, path)
    with pytest.raises(ValueError, match=r"eval-0-00000\.parquet does not have the columns"):
        read_eval_table(tmp_path)


def test_files_of_earlier_versions_have_no_responses() -> None:
    trial = Path(__file__).parents[1] / "assets" / "results_v1" / "trials" / "t0000"
    rows = read_eval_rows(trial)
    assert rows and {r.response for r in rows} == {None}


def test_foreign_and_broken_files_are_named(tmp_path: Path) -> None:
    path = eval_path(tmp_path, 0, 0)
    pq.write_table(pa.table({"seed": [1]}), path)
    with pytest.raises(ValueError, match=r"eval-0-00000\.parquet does not have the columns"):
        read_eval_table(tmp_path)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(ValueError, match=r"eval-0-00000\.parquet is not readable"):
        read_eval_table(tmp_path)
