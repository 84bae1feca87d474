"""Kept responses: whole groups within a limit, the same file whenever the step is run."""

import math
from dataclasses import replace
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conspo_study.records import RolloutRow
from conspo_study.results.kept import (
    read_rollout_table,
    read_rollouts,
    rollouts_path,
    stored_rollouts,
    write_rollouts,
)

LIMIT = 1_000_000


def group(number: int, seed: int = 0, step: int = 1, response: str = "7") -> list[RolloutRow]:
    return [
        RolloutRow(
            seed, step, number, i, f"p{number}", "3+4=?", f"{response}{i}", "correct", "7",
            -0.5, 0.25 if i else None, None, 9, "stopped",
        )
        for i in range(4)
    ]  # fmt: skip


def together(groups: list[list[RolloutRow]]) -> list[RolloutRow]:
    return list(chain.from_iterable(groups))


def test_rows_come_back_in_the_order_of_seeds_and_steps(tmp_path: Path) -> None:
    for seed, step in [(10, 1), (2, 100_000), (2, 1)]:
        path = rollouts_path(tmp_path, seed, step)
        write_rollouts(path, group(0, seed, step) + group(1, seed, step), LIMIT)
    (tmp_path / "rollouts-2-00001.parquet.torn").write_text("of somebody else")
    assert stored_rollouts(tmp_path) == [(2, 1), (2, 100_000), (10, 1)]
    rows = read_rollouts(tmp_path)
    assert rows[:8] == group(0, 2, 1) + group(1, 2, 1)
    assert len(rows) == 24
    chosen = read_rollout_table(tmp_path, [(10, 1), (3, 1)])
    assert chosen.column("seed").to_pylist() == [10] * 8


def test_a_step_that_is_run_again_writes_the_same_bytes(tmp_path: Path) -> None:
    path = rollouts_path(tmp_path, 0, 1)
    write_rollouts(path, group(0), LIMIT)
    before = path.read_bytes()
    write_rollouts(path, group(0), LIMIT)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["rollouts-0-00001.parquet"]


def test_groups_that_exceed_the_limit_are_left_out_whole(tmp_path: Path) -> None:
    # Text that does not compress, so that every group has its size.
    texts = [bytes((i * j * j + 7 * j) % 89 + 33 for j in range(3000)).decode() for i in (3, 5, 7)]
    groups = [group(number, response=text) for number, text in enumerate(texts)]
    path = rollouts_path(tmp_path, 0, 1)
    sizes = []
    for count in (1, 2, 3):
        write_rollouts(path, together(groups[:count]), LIMIT)
        sizes.append(path.stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2]
    for limit, kept in [(sizes[2], 3), (sizes[2] - 1, 2), (sizes[1] - 1, 1)]:
        write_rollouts(path, together(groups), limit)
        assert read_rollouts(tmp_path) == together(groups[:kept])
        assert path.stat().st_size <= limit
    path.unlink()
    write_rollouts(path, together(groups), sizes[0] - 1)
    assert read_rollouts(tmp_path) == [] and not path.exists()


@pytest.mark.parametrize("text", ["", "<script>", "\x00\x1b[31m", "\ud800", "ü|\n" * 100])
def test_hostile_text_is_stored(tmp_path: Path, text: str) -> None:
    rows = [replace(row, response=text, prompt=text) for row in group(0)]
    write_rollouts(rollouts_path(tmp_path, 0, 1), rows, LIMIT)
    expected = text.encode("utf-8", "backslashreplace").decode()
    assert {(row.response, row.prompt) for row in read_rollouts(tmp_path)} == {(expected, expected)}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_gaps(tmp_path: Path, value: float) -> None:
    rows = [replace(row, score=value, credit=value) for row in group(0)]
    write_rollouts(rollouts_path(tmp_path, 0, 1), rows, LIMIT)
    assert {(row.score, row.credit) for row in read_rollouts(tmp_path)} == {(None, None)}


def test_foreign_and_broken_files_are_named(tmp_path: Path) -> None:
    path = rollouts_path(tmp_path, 0, 1)
    pq.write_table(pa.table({"seed": [1]}), path)
    with pytest.raises(ValueError, match=r"rollouts-0-00001\.parquet does not have the columns"):
        read_rollout_table(tmp_path)
    path.write_bytes(b"PAR1 nonsense")
    with pytest.raises(ValueError, match=r"rollouts-0-00001\.parquet is not readable"):
        read_rollout_table(tmp_path)


def test_gold_answers_come_back_and_files_without_them_are_read(tmp_path: Path) -> None:
    known = [replace(row, gold="7") for row in group(0, step=2)]
    write_rollouts(rollouts_path(tmp_path, 0, 1), group(0), LIMIT)
    write_rollouts(rollouts_path(tmp_path, 0, 2), known, LIMIT)
    assert read_rollouts(tmp_path) == group(0) + known
    assert "gold" not in pq.read_schema(rollouts_path(tmp_path, 0, 1)).names


def test_a_trial_without_kept_responses_has_none(tmp_path: Path) -> None:
    assert read_rollouts(tmp_path) == []
    assert read_rollout_table(tmp_path / "absent").num_columns == 16
