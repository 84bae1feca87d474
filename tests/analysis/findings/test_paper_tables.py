"""Tables in the paper's layout: right averages, visible gaps, marks that ties share, no markup."""

import csv
import io
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.findings.measured import Measured, Measurements
from analysis.findings.paper_tables import TABLES, measured_table, published_table, side_by_side
from analysis.load.published import AVERAGE, BENCHMARKS, CAVEATS
from analysis.statistics.bootstrap import estimate
from analysis.statistics.scores import ProblemScores, Scores
from analysis.tables.paper_formats import paper_frame, paper_markdown, write_paper_table
from analysis.tables.paper_layout import Cell, Column, Mark, PaperTable, Row, Source, laid_out

HOSTILE = "a|b\nc\r\x1b[31m\u202e<script>`x`*[y](http://z)_\\input{x}"


def scores(
    level: float, seeds: int = 3, names: tuple[str, ...] = ("chain/easy", "chain/hard")
) -> Scores:
    rng = np.random.default_rng(round(1000 * level))
    ids = tuple(f"p{index}" for index in range(12))
    return Scores(
        tuple(range(seeds)),
        {
            name: ProblemScores(ids, np.clip(level + rng.normal(0, 0.05, (seeds, 12)), 0, 1))
            for name in names
        },
    )


def ours(**methods: Scores | None) -> Measurements:
    return Measurements(
        "avg@8",
        "dev",
        {
            name: Measured(f"study {name}", found, notes=() if found else ("failed at step 3",))
            for name, found in methods.items()
        },
    )


def cell(table: PaperTable, method: str, benchmark: str, source: Source, block: str = "") -> Cell:
    (row,) = [row for row in table.rows if (row.block, row.method) == (block, method)]
    (index,) = [
        index
        for index, column in enumerate(table.columns)
        if (column.benchmark, column.source) == (benchmark, source)
    ]
    return row.cells[index]


@pytest.mark.parametrize(
    ("number", "method", "stated"),
    [(1, "GRPO", "40.0"), (1, "ConSPO", "44.4"), (4, "ConSPO", "44.1")],
)
def test_full_rows_have_the_averages_that_the_paper_states(
    number: int, method: str, stated: str
) -> None:
    found = cell(published_table(number), method, AVERAGE, Source.PAPER)
    assert found.value is not None and f"{found.value:.1f}" == stated
    assert not found.stated and found.value != float(stated), "it is computed, not copied"


def test_a_row_with_a_gap_has_no_average() -> None:
    table = published_table(1)
    assert cell(table, "GMPO", "MATH500", Source.PAPER).value is None
    assert cell(table, "GMPO", AVERAGE, Source.PAPER) == Cell()
    assert (
        "| GMPO | <u>31.5</u> | 24.6 | <u>23.8</u> | 12.8 | – | 70.0 | – | – |"
        in paper_markdown(table)
    )


def test_an_average_of_which_cells_are_absent_is_shown_as_stated() -> None:
    table = published_table(3)
    assert cell(table, "ConSPO", "AIME24", Source.PAPER).value is None
    found = cell(table, "ConSPO", AVERAGE, Source.PAPER)
    assert found.value == 34.0 and found.stated
    assert "34.0†" in paper_markdown(table)
    assert any(note.startswith("†") for note in table.notes)
    assert not any(note.startswith("†") for note in published_table(1).notes)


@pytest.mark.parametrize("number", TABLES)
def test_every_published_table_carries_the_caveats_and_no_nan(number: int) -> None:
    table = published_table(number)
    assert set(CAVEATS) <= set(table.notes)
    text = paper_markdown(table)
    assert "nan" not in text and " 0.0 " not in text and "None" not in text
    assert {len(row.cells) for row in table.rows} == {len(table.columns)}
    expected = [AVERAGE] if number in (6, 9) else [*BENCHMARKS, AVERAGE]
    assert [column.benchmark for column in table.columns] == expected


def test_models_of_one_table_are_blocks_with_marks_of_their_own() -> None:
    table = published_table(2)
    blocks = list(dict.fromkeys(row.block for row in table.rows))
    assert blocks == ["DeepSeek-R1-Distill-Qwen-7B", "DeepSeek-R1-Distill-Llama-8B"]
    for block in blocks:
        assert cell(table, "ConSPO", "AIME25", Source.PAPER, block).mark is Mark.BEST
    assert cell(table, "Dr. GRPO", "HMMT25", Source.PAPER, blocks[0]).mark is Mark.BEST
    assert cell(table, "ConSPO", "AMC", Source.PAPER, blocks[0]).mark is Mark.NONE, "it is alone"


def test_marks_are_shared_by_what_is_shown_equal() -> None:
    values = [40.04, 39.96, 12.0, 11.96, 3.0, None]
    columns = [Column("b", Source.OURS, "")]
    rows = [Row("", str(index), (Cell(value),)) for index, value in enumerate(values)]
    marks = [row.cells[0].mark for row in laid_out("t", columns, rows, ()).rows]
    assert marks == [Mark.BEST, Mark.BEST, Mark.SECOND, Mark.SECOND, Mark.NONE, Mark.NONE]


def test_our_numbers_stand_in_the_papers_order_with_k_and_n() -> None:
    found = ours(extra=scores(0.5), ConSPO=scores(0.7), base=scores(0.2), GRPO=scores(0.6))
    table = measured_table(found)
    assert [row.method for row in table.rows] == ["base", "GRPO", "ConSPO", "extra"]
    assert [(c.benchmark, c.detail) for c in table.columns] == [
        ("chain/easy", "avg@8, n = 3"),
        ("chain/hard", "avg@8, n = 3"),
        (AVERAGE, "avg@8, n = 3"),
    ]
    easy, hard, average = (
        cell(table, "ConSPO", name, Source.OURS) for name in ("chain/easy", "chain/hard", AVERAGE)
    )
    expected = found.methods["ConSPO"].scores
    assert expected is not None
    assert easy.value == pytest.approx(100 * expected.benchmarks["chain/easy"].values.mean())
    assert average.value == pytest.approx(((easy.value or 0) + (hard.value or 0)) / 2)
    assert average.mark is Mark.BEST and average.low is None


def test_the_untrained_policy_can_be_the_best() -> None:
    table = measured_table(ours(base=scores(0.8), ConSPO=scores(0.7)))
    assert cell(table, "base", "chain/hard", Source.OURS).mark is Mark.BEST


def test_what_failed_is_a_row_of_gaps_with_its_reason() -> None:
    table = measured_table(ours(base=scores(0.2), GRPO=None, ConSPO=scores(0.7)))
    assert [cell.value for cell in table.rows[1].cells] == [None, None, None]
    assert "GRPO (study GRPO): failed at step 3." in table.notes


def test_a_method_without_one_benchmark_has_no_average() -> None:
    table = measured_table(ours(GRPO=scores(0.5, names=("chain/hard",)), ConSPO=scores(0.7)))
    assert cell(table, "GRPO", "chain/hard", Source.OURS).value is not None
    assert cell(table, "GRPO", "chain/easy", Source.OURS).value is None
    assert cell(table, "GRPO", AVERAGE, Source.OURS).value is None


def test_rows_of_different_n_show_their_own() -> None:
    table = measured_table(ours(GRPO=scores(0.5, seeds=2), ConSPO=scores(0.7)))
    assert table.columns[0].detail == "avg@8, n = 2–3"
    assert cell(table, "GRPO", "chain/easy", Source.OURS).seeds == 2
    assert "(n = 2)" in paper_markdown(table)
    assert "(n = " not in paper_markdown(measured_table(ours(ConSPO=scores(0.7))))


def test_intervals_are_shown_on_request_and_refused_for_one_seed() -> None:
    found = ours(GRPO=scores(0.5, seeds=1), ConSPO=scores(0.7))
    table = measured_table(found, intervals=True)
    shown = cell(table, "ConSPO", AVERAGE, Source.OURS)
    expected = found.scores["ConSPO"]
    interval = estimate(expected)
    assert interval.low is not None and interval.high is not None
    assert (shown.low, shown.high) == pytest.approx((100 * interval.low, 100 * interval.high))
    assert cell(table, "GRPO", AVERAGE, Source.OURS).low is None
    assert "No interval: a single seed." in table.notes
    assert f"[{shown.low:.1f}, {shown.high:.1f}]" in paper_markdown(table).replace("\\", "")


def test_columns_keep_the_order_of_the_studies_sets() -> None:
    found = replace(ours(ConSPO=scores(0.7)), order=("chain/hard", "chain/ood", "chain/easy"))
    names = [column.benchmark for column in measured_table(found).columns]
    assert names == ["chain/hard", "chain/easy", AVERAGE]


def test_an_interval_of_an_accuracy_ends_at_0_and_100() -> None:
    values = np.array([[0.99] * 6 + [0.9] * 6, [1.0] * 11 + [0.8]])
    high = Scores((0, 1), {"chain/easy": ProblemScores(tuple("abcdefghijkl"), values)})
    interval = estimate(high)
    assert interval.high is not None and interval.high > 1, "Student's reaches beyond it"
    shown = cell(measured_table(ours(X=high), intervals=True), "X", AVERAGE, Source.OURS)
    assert shown.high == 100 and shown.low is not None and shown.low < 97


def test_side_by_side_subtracts_where_both_have_a_number() -> None:
    found = ours(base=scores(0.2, names=BENCHMARKS), ConSPO=scores(0.4, names=BENCHMARKS))
    table = side_by_side(found, 1)
    assert [column.source for column in table.columns] == 8 * [
        Source.PAPER,
        Source.OURS,
        Source.DIFFERENCE,
    ]
    paper, own, difference = (
        cell(table, "ConSPO", "AMC", source)
        for source in (Source.PAPER, Source.OURS, Source.DIFFERENCE)
    )
    assert paper.value == 70.4 and own.value is not None
    assert difference.value == pytest.approx(own.value - 70.4) and difference.mark is Mark.NONE
    assert cell(table, "GRPO", "AMC", Source.DIFFERENCE).value is None
    assert cell(table, "ConSPO", AVERAGE, Source.DIFFERENCE).value is not None
    text = paper_markdown(table)
    assert "AMC paper, avg@32" in text and "AMC ours, avg@8, n = 3" in text
    assert f" {difference.value:+.1f} |" in text


def test_best_evaluations_are_what_the_papers_are_compared_with() -> None:
    found = scores(0.3, names=tuple(BENCHMARKS))
    best = {name: 0.4 + 0.01 * index for index, name in enumerate(BENCHMARKS)}
    mine = ours(GRPO=found)
    mine = replace(mine, methods={"GRPO": replace(mine.methods["GRPO"], best=best)})
    table = side_by_side(mine, 1)
    name = BENCHMARKS[1]
    paper, last, top, gap = (
        cell(table, "GRPO", name, source).value
        for source in (Source.PAPER, Source.OURS, Source.BEST, Source.DIFFERENCE)
    )
    assert top == pytest.approx(41.0) and last == pytest.approx(100 * found.only(name).cells.mean())
    assert gap == pytest.approx(top - paper)
    average = cell(table, "GRPO", AVERAGE, Source.BEST).value
    assert average == pytest.approx(100 * statistics.fmean(best.values()))
    assert "Difference: our best evaluation minus the paper's." in table.notes


def test_averages_of_different_benchmarks_are_not_subtracted() -> None:
    table = side_by_side(ours(ConSPO=scores(0.7)), 1)
    assert Source.DIFFERENCE not in {column.source for column in table.columns}
    assert cell(table, "ConSPO", AVERAGE, Source.OURS).value == pytest.approx(70, abs=3)
    assert [c.benchmark for c in table.columns][-4:] == [
        "chain/easy",
        "chain/hard",
        AVERAGE,
        AVERAGE,
    ]
    assert set(CAVEATS) <= set(table.notes)


def test_a_table_of_several_models_needs_one_for_comparison() -> None:
    found = ours(ConSPO=scores(0.7))
    with pytest.raises(ValueError, match=r"Table 2 has the models .*7B, .*8B: name one"):
        side_by_side(found, 2)
    with pytest.raises(ValueError, match="name one of them"):
        side_by_side(found, 1, "another")
    with pytest.raises(ValueError, match="no Table 7 of results is known"):
        published_table(7)
    table = side_by_side(found, 2, "DeepSeek-R1-Distill-Llama-8B")
    assert cell(table, "ConSPO", "MATH500", Source.PAPER).value == 90.4


def test_nothing_measured_is_an_empty_table() -> None:
    table = measured_table(ours())
    assert table.rows == () and [column.benchmark for column in table.columns] == [AVERAGE]
    assert paper_markdown(table) and paper_frame(table).empty


def test_markdown_shows_hostile_names_as_text() -> None:
    hostile = Measured(HOSTILE, scores(0.5, names=(HOSTILE,)), notes=(HOSTILE,))
    text = paper_markdown(measured_table(Measurements("avg@8", "dev", {HOSTILE: hostile})))
    (row,) = [line for line in text.splitlines() if line.startswith("| a")]
    assert row.replace(r"\|", "").count("|") == 4
    assert "<script" not in text and "\x1b" not in text and "\u202e" not in text
    assert "[y](" not in text


def test_csv_holds_every_cell_unrounded_with_gaps_empty(tmp_path: Path) -> None:
    paths = write_paper_table(published_table(1), tmp_path / "table.1")
    assert [path.name for path in paths] == ["table.1.md", "table.1.csv", "table.1.tex"]
    rows = list(csv.DictReader(io.StringIO(paths[1].read_text())))
    assert len(rows) == 9 * 8
    values = {(row["method"], row["benchmark"]): row["value"] for row in rows}
    full = [float(values["GRPO", name]) for name in BENCHMARKS]
    assert float(values["GRPO", AVERAGE]) == pytest.approx(statistics.fmean(full), rel=1e-12)
    assert values["GMPO", "MATH500"] == values["GMPO", AVERAGE] == ""
    own = paper_frame(measured_table(ours(GRPO=scores(0.5, seeds=2), ConSPO=scores(0.7))))
    assert list(own["n"]) == [2, 2, 2, 3, 3, 3]


def test_csv_names_are_never_formulas() -> None:
    found = Measurements("avg@8", "dev", {"=cmd()": Measured("s", scores(0.5))})
    from analysis.tables.text_table import to_csv

    assert "'=cmd()" in to_csv(paper_frame(measured_table(found)))
