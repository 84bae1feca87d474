"""Step rows survive kills, evaluation files are whole or absent."""

import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conspo_study.records import EvalRow
from conspo_study.results.rows import (
    append_step_row,
    eval_path,
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
    for end in range(len(whole) // 2 + 1, len(whole)):
        path.write_bytes(whole[:end])
        assert len(read_steps(path)) == 1
        append_step_row(path, {"seed": 0, "step": 1})
        assert path.read_bytes() == whole


def test_non_finite_diagnostics_are_gaps(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    append_step_row(path, {"seed": 0, "step": 0, "a": math.nan, "b": math.inf, "c": 1.5})
    assert read_steps(path) == [{"seed": 0, "step": 0, "a": None, "b": None, "c": 1.5}]


def test_a_bad_step_row_is_named(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text('{"seed":0,"step":0}\n{"step":1}\n{"seed":0,"step":2}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_steps(path)


def test_a_trial_without_rows_has_none(tmp_path: Path) -> None:
    assert read_steps(tmp_path / "steps.jsonl") == []
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
    assert read_eval_table(tmp_path).num_columns == 9


def test_foreign_and_broken_files_are_named(tmp_path: Path) -> None:
    path = eval_path(tmp_path, 0, 0)
    pq.write_table(pa.table({"seed": [1]}), path)
    with pytest.raises(ValueError, match=r"eval-0-00000\.parquet does not have the columns"):
        read_eval_table(tmp_path)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(ValueError, match=r"eval-0-00000\.parquet is not readable"):
        read_eval_table(tmp_path)
