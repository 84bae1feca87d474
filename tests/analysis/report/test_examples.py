"""The committed examples say today what their committed tables say."""

from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from analysis.findings.regime_differences import families_of
from analysis.findings.regime_tables import cells_frame, map_lines
from analysis.findings.regimes import regime_map
from analysis.load.study import load_studies
from analysis.load.text import markdown_text
from analysis.tables.text_table import to_csv

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples" / "regime_map"
PIECES = sorted(path.parent for path in EXAMPLES.glob("E*/study.json"))


@pytest.fixture(scope="module")
def found():
    return regime_map(load_studies(PIECES))


def test_the_committed_table_is_that_of_the_committed_studies(found):
    fresh = pd.read_csv(StringIO(to_csv(cells_frame(found, families_of(found)))))
    stored = pd.read_csv(EXAMPLES / "map" / "tables" / "map.csv")
    pd.testing.assert_frame_equal(fresh, stored, rtol=1e-6, atol=1e-9)


def test_the_committed_findings_are_those_sentences(found):
    text = (EXAMPLES / "map" / "findings.md").read_text("utf-8")
    for line in map_lines(found, families_of(found)):
        assert markdown_text(line, 4000) in text, line


def test_no_example_names_a_machine():
    for path in EXAMPLES.parent.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".md", ".csv", ".html"):
            text = path.read_text("utf-8")
            assert "/root" not in text and "/tmp" not in text and "/home" not in text, path
