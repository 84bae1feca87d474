"""The committed study of a released model says what its page says."""

import re
from pathlib import Path

import pandas as pd
import pytest

from analysis.report.writing import write_reports
from conspo_study import load

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "docs" / "examples" / "smollm2"
PAGE = ROOT / "docs" / "models.md"

pytestmark = pytest.mark.usefixtures("unwritten")


@pytest.fixture(scope="module")
def results():
    return load(EXAMPLE / "contrast")


def test_its_tables_are_those_of_its_log(tmp_path):
    write_reports([EXAMPLE / "contrast"], tmp_path)
    for name in ("methods.csv", "methods-differences.csv", "trials.csv"):
        fresh, stored = (
            pd.read_csv(place / "tables" / name) for place in (tmp_path, EXAMPLE / "report")
        )
        pd.testing.assert_frame_equal(fresh, stored, rtol=1e-6, atol=1e-9)


def test_the_page_has_its_numbers(results):
    text = PAGE.read_text("utf-8")
    methods = pd.read_csv(EXAMPLE / "report" / "tables" / "methods.csv")
    methods = methods[methods["benchmark"] == "word_problems/one_step"].set_index("method")
    steps = results.reported(results.metric).groupby(["trial", "step"])["value"].mean() * 100
    names = {
        "ConSPO": "ConSPO",
        "linear score difference": "ConSPO (linear score difference)",
        "GRPO": "GRPO",
    }
    for row in results.table.rows:
        last = methods.loc[names[row.label]]
        said = re.search(rf"^\| {row.label} \|(.*)\|$", text, re.MULTILINE)[1]
        before, middle, after = (cell.strip() for cell in said.split("|"))
        assert before.startswith(f"{steps[row.id, 0]:.1f}")
        assert middle == f"{steps[row.id, 10]:.1f}"
        assert after == f"{last['value']:.1f} [{last['low']:.1f}, {last['high']:.1f}]"


def test_the_page_has_its_differences():
    text = " ".join(PAGE.read_text("utf-8").split()).replace(" points", "")
    for row in pd.read_csv(EXAMPLE / "report" / "tables" / "methods-differences.csv").itertuples():
        value, low, high = (100 * end for end in (row.difference, row.low, row.high))
        assert f"{value:+.1f} [{low:+.1f}, {high:+.1f}]" in text


def test_it_is_small():
    files = [path for path in EXAMPLE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 3_000_000
