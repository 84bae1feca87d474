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

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "examples"
MAPS = {"regime_map": ("linear", "GRPO"), "more_objectives": ("GRPO",)}
"""Committed maps, with the references that their tables have."""


@pytest.fixture(scope="module", params=MAPS)
def committed(request):
    """A map made from the committed studies, its families, and the folder of what was made then."""
    folder = EXAMPLES / request.param
    pieces = sorted(path.parent for path in folder.glob("*/study.json"))
    found = regime_map(load_studies(pieces))
    return found, families_of(found, MAPS[request.param]), folder / "map"


def test_the_committed_table_is_that_of_the_committed_studies(committed):
    found, families, folder = committed
    fresh = pd.read_csv(StringIO(to_csv(cells_frame(found, families))))
    stored = pd.read_csv(folder / "tables" / "map.csv")
    pd.testing.assert_frame_equal(fresh, stored, rtol=1e-6, atol=1e-9)


def test_the_committed_findings_are_those_sentences(committed):
    found, families, folder = committed
    text = (folder / "findings.md").read_text("utf-8")
    for line in map_lines(found, families):
        assert markdown_text(line, 4000) in text, line


def test_the_page_of_objectives_says_what_the_table_of_later_ones_does():
    table = pd.read_csv(EXAMPLES / "more_objectives" / "map" / "tables" / "map.csv")
    text = " ".join((EXAMPLES.parent / "objectives.md").read_text("utf-8").split())
    reference, others = table[table["objective"] == "GRPO"].iloc[0], table[table["n"] == 5][1:]
    ends = f"{reference['mean']:.3f} [{reference['low']:.3f}, {reference['high']:.3f}]"
    assert f"GRPO has {ends}" in text
    differences = 100 * others["minus_GRPO"]
    low, high = f"{differences.min():+.1f}", f"{differences.max():+.1f}"
    assert f"the seven lie between {low} and {high} points of it, all undecided" in text
    assert len(others) == 7


def test_no_example_names_a_machine():
    for path in EXAMPLES.rglob("*"):
        if path.suffix in (".json", ".jsonl", ".md", ".csv", ".html"):
            text = path.read_text("utf-8")
            assert "/root" not in text and "/tmp" not in text and "/home" not in text, path
