"""The command writes the paper's tables, with and without studies, or says why it cannot."""

from dataclasses import replace
from pathlib import Path

import pytest

from analysis.findings.measured import labelled
from analysis.load.study import load_study
from analysis.report.paper import write_method_tables
from conspo_study.commands.command_line import main

FROZEN = Path(__file__).parents[2] / "assets" / "results_v1"


def run(*arguments: object) -> int:
    return main(["paper", *map(str, arguments)])


def test_the_published_tables_need_no_study(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "tables") == 0
    names = sorted(path.name for path in (tmp_path / "tables").iterdir())
    assert len(names) == 7 * 3 and names[:3] == ["table_1.csv", "table_1.md", "table_1.tex"]
    assert capsys.readouterr().out.count("wrote ") == 21


def test_a_study_stands_beside_a_table(tmp_path: Path) -> None:
    assert run(tmp_path, FROZEN, "--table", 2, "--model", "DeepSeek-R1-Distill-Qwen-7B") == 0
    beside = (tmp_path / "table_2_and_ours.md").read_text()
    assert "| paper |" in beside and "| ConSPO |" in beside and "chain/hard ours" in beside
    own = (tmp_path / "ours.md").read_text()
    assert "| paper |" in own and "ConSPO" not in own


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([FROZEN, "--confirmed"], "margin-sweep: there are no confirmations"),
        ([FROZEN, "--table", 2], "Table 2 has the models"),
        ([FROZEN, "--metric", "best"], "unknown metric 'best'"),
        ([FROZEN, "--reference", "GRPO"], "no scores of 'GRPO'; known methods: "),
        ([FROZEN / "nowhere"], "not a results directory"),
    ],
)
def test_what_cannot_be_written_is_said(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[object],
    message: str,
) -> None:
    assert run(tmp_path, *arguments) == 2
    assert message in capsys.readouterr().err


def test_methods_are_compared_pair_by_pair_or_with_a_reference(tmp_path: Path) -> None:
    (one,) = labelled(load_study(FROZEN))
    trials = [replace(one, method=name) for name in ("GRPO", "ConSPO", "x")]
    for reference, count in ((None, 3), ("GRPO", 2)):
        paths = write_method_tables(trials, tmp_path / "ours", reference=reference)
        assert paths[-1].name == "ours-differences.md"
        lines = paths[-1].read_text().splitlines()
        rows = [line for line in lines if line.startswith("|")][2:]
        assert len(rows) == count and not any("base" in row for row in rows)
