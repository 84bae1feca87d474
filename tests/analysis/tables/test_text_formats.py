"""Tables of text in all formats: nothing in a cell is a command, a formula or markup."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from latex_structure import assert_sound

from analysis.findings.missing_values import missing_value_notes
from analysis.load.study import load_study
from analysis.tables.latex_layout import MOST_ON_A_PAGE
from analysis.tables.latex_tables import tabular
from analysis.tables.text_formats import write_text_table
from analysis.tables.text_table import TextTable

HOSTILE = [r"\input{/etc/passwd}", "a & b \\\\ c", "=1+1", "@x", "|a|", "<b>", "\x1b[2J", "50 %"]


@pytest.mark.parametrize("cell", HOSTILE)
def test_hostile_cells_are_text_in_every_format(tmp_path: Path, cell: str) -> None:
    table = TextTable(("name", cell), ((cell, "1"),))
    frame = pd.DataFrame({"name": [cell], cell: [1]})
    write_text_table(table, frame, cell, [cell], tmp_path / "v1.2")
    texts = {path.suffix: path.read_text() for path in tmp_path.iterdir()}
    assert set(texts) == {".md", ".csv", ".tex"}
    assert all("\x1b" not in text for text in texts.values())
    assert r"\input" not in texts[".tex"] and "<b>" not in texts[".md"]
    assert_sound(texts[".tex"])
    assert (
        len(texts[".tex"].partition(r"\midrule")[2].partition(r"\bottomrule")[0].split("\n")) == 3
    )
    row = list(csv.reader(io.StringIO(texts[".csv"])))[1]
    assert not row[0].startswith(("=", "@"))


@pytest.mark.parametrize("rows", [MOST_ON_A_PAGE, MOST_ON_A_PAGE + 1])
def test_a_latex_table_breaks_over_pages_only_where_it_must(rows: int) -> None:
    text = tabular(TextTable(("name", "value"), (("a", "+1.5"),) * rows), "c", "trials")
    kind, package = ("longtable", ",longtable") if rows > MOST_ON_A_PAGE else ("tabular", "")
    assert rf"\begin{{{kind}}}{{@{{}}l" in text and rf"\end{{{kind}}}" in text
    assert text.startswith(
        rf"% Needs \usepackage[T1]{{fontenc}} and \usepackage{{booktabs,siunitx{package}}}."
    )
    assert text.index(r"\caption{c}") < text.index(r"\label{tab:trials}")
    assert_sound(text)
    assert text.count("+1.5") == rows


def test_seeds_and_cells_that_are_missing_are_named(
    make_study: Callable[..., Path], trial: Any
) -> None:
    study = load_study(make_study([trial(1.0, 1.0), trial(1.0, 5.0, end="pruned")]))
    assert missing_value_notes(study) == []
    row = study.table.rows[0]
    row.values.pop(1)  # type: ignore[attr-defined]
    row.seed_metrics[1].pop("eval/chain/easy/avg@8")  # type: ignore[attr-defined]
    study.configs["t0000"]["evaluation"]["sets"].append("chain/far")
    assert missing_value_notes(study) == [
        "t0000 has no value for seed 1, so it is not ranked and cannot win.",
        "t0000 has no eval/chain/easy/avg@8 for seed 1.",
        "t0000 has no results on chain/far at its last step.",
    ]
