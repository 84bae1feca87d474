"""The published numbers are those that were read, absent ones absent, and travel with the code."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from analysis.load.published import (
    AVERAGE,
    BASE,
    BENCHMARKS,
    CAVEATS,
    parse_results,
    published_results,
    published_score,
)

SMALL = "DeepSeek-R1-Distill-Qwen-1.5B"
HEADER = "table,model,train_data,method,benchmark,metric,score\n"


def test_all_numbers_are_there() -> None:
    rows = published_results()
    assert len(rows) == 169
    assert {row.table for row in rows} == {1, 2, 3, 4, 5, 6, 9}
    assert published_score(1, SMALL, "ConSPO", "AIME24") == 34.7
    assert published_score(9, "DeepSeek-R1-Distill-Qwen-32B", "GRPO", AVERAGE) == 60.2


def test_an_absent_cell_is_none_and_never_zero() -> None:
    assert published_score(1, SMALL, "GMPO", "MATH500") is None
    assert published_score(7, SMALL, "ConSPO", "AIME24") is None
    assert all(row.score > 0 for row in published_results())


@pytest.mark.parametrize(
    ("table", "method", "stated"), [(1, "GRPO", 40.0), (1, "ConSPO", 44.4), (4, "ConSPO", 44.1)]
)
def test_full_rows_reproduce_the_stated_averages(table: int, method: str, stated: float) -> None:
    cells = [published_score(table, SMALL, method, name) for name in BENCHMARKS]
    known = [cell for cell in cells if cell is not None]
    assert len(known) == 7
    assert round(statistics.fmean(known), 1) == stated
    assert published_score(table, SMALL, method, AVERAGE) == stated


def test_the_same_untrained_model_has_the_same_numbers_in_two_tables() -> None:
    for name in BENCHMARKS:
        assert published_score(1, SMALL, BASE, name) == published_score(4, SMALL, BASE, name)


def test_the_caveat_names_the_selection_of_checkpoints() -> None:
    assert any("select the checkpoint on the benchmarks" in caveat for caveat in CAVEATS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n", "need the columns table, model"),
        (HEADER + "1,m,,base,AIME24,avg@32,\n", "line 2 .*could not convert"),
        (HEADER + "1,m,,base,AIME24,avg@32,nan\n", "line 2 .*no percentage"),
        (HEADER + "1,m,,base,AIME24,avg@32,120\n", "no percentage"),
        (HEADER + "1,m,,base,AIME27,avg@32,1\n", "unknown benchmark 'AIME27'"),
        (HEADER + "1,m,,base,AIME24\n", "line 2"),
        (HEADER + "1,m,,base,AMC,avg@32,1\n1,m,,base,AMC,avg@32,2\n", "line 3 .*appears twice"),
    ],
)
def test_damaged_results_are_refused_by_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_results(text)


def test_the_numbers_are_found_from_anywhere(tmp_path: Path) -> None:
    code = "from analysis.load.published import published_results; print(len(published_results()))"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.strip() == "169"
