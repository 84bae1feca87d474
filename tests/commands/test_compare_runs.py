"""`conspo compare` on files of runs: what it prints and writes, and the example of the page."""

import csv
import json
import re
from pathlib import Path

import pytest
from run_files import five_by_five, table, trl_history
from scipy import stats

from conspo_study.commands.command_line import main

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "compare.md").read_text()
RESULTS = ROOT / "tests" / "assets" / "results_v2"


def block(language):
    """The first fenced block of the page in a language."""
    return re.search(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)[1]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(folder="comparison"):
    with Path(folder, "differences.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_example_of_the_page_prints_what_it_says(here, capsys):
    Path("runs.csv").write_text(block("csv"))
    assert main(["compare", "runs.csv"]) == 0
    printed = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert printed == [line.rstrip() for line in block("text").splitlines()]
    for name in ("differences.pdf", "differences.svg", "differences.png"):
        assert Path("comparison", name).stat().st_size > 5000


def test_the_table_that_is_written_has_scipy_s_numbers(here, capsys):
    values = five_by_five()
    Path("runs.csv").write_text(table(values))
    assert main(["compare", "runs.csv", "--reference", "linear", "--output", "deep/er"]) == 0
    rows = written("deep/er")
    assert [row["setting"] for row in rows] == ["grpo", "tau 0.3", "tau 1", "tau 10"]
    for row in rows:
        test = stats.ttest_rel(*(list(values[n].values()) for n in (row["setting"], "linear")))
        ends = test.confidence_interval()
        found = [float(row[name]) for name in ("p", "low", "high")]
        assert found == pytest.approx([test.pvalue, ends.low, ends.high], rel=1e-9)
    assert "wrote deep/er/differences.csv, differences.pdf|svg|png" in capsys.readouterr().out


def test_the_same_files_give_the_same_files(here):
    Path("runs.csv").write_text(table(five_by_five()))
    for folder in ("one", "two"):
        assert main(["compare", "runs.csv", "--output", folder]) == 0
    for path in Path("one").iterdir():
        assert path.read_bytes() == Path("two", path.name).read_bytes()


def test_the_options_reach_the_comparison(here, capsys):
    for name, value in (("a", 0.5), ("b", 0.25)):
        for seed in range(3):
            history = trl_history(value + seed**2 / 100 * (1 + (name == "b")), steps=(10, 20))
            Path(f"{name}-s{seed}.json").write_text(json.dumps(history))
    files = [str(path) for path in sorted(here.glob("*.json"))]
    options = ["--metric", "eval_reward", "--step", "10", "--lower-is-better", "--unpaired"]
    assert main(["compare", *files, *options, "--selected", "b", "--markdown"]) == 0
    said = capsys.readouterr().out
    assert "eval_reward at step 10, lower is better; differences are the setting minus a." in said
    assert "| b | 3/3 |" in said and "| better |" in said
    assert "Estimated selection bias in favour of b, the best of 2 settings" in said
    (row,) = written()
    assert (row["step"], row["pairing"], row["minus"]) == ("10", "none (Welch)", "a")


def test_a_spreadsheet_evaluates_no_name_of_a_setting(here):
    rows = "".join(f"{name},{s},{s}.{i}{s}\n" for i, name in enumerate("a=") for s in range(3))
    Path("runs.csv").write_text("setting,seed,acc\n" + rows.replace("=,", "=1+1,"))
    assert main(["compare", "runs.csv"]) == 0
    assert written()[0]["setting"] == "'=1+1"


BAD = {
    "nothing": ([], "name two results directories, or files of runs"),
    "no file": (["nope.csv"], "nope.csv: No such file"),
    "a mistyped reference": (["runs.csv", "--reference", "gpo"], "did you mean grpo?"),
    "a results directory beside a file": ([str(RESULTS), "runs.csv"], "is a results directory"),
    "one results directory": ([str(RESULTS)], "two results directories are compared"),
    "an option of runs": ([str(RESULTS), "other", "--step", "3"], "--step is about files of runs"),
    "an empty folder": (["empty"], "empty: it holds no file of a run"),
    "its own table": (["comparison/differences.csv"], "is one of the files that are read"),
}


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_one_line_and_nothing_is_written(what, here, capsys):
    words, message = BAD[what]
    text = table(five_by_five())
    for name in ("runs.csv", "comparison/differences.csv"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
    Path("empty").mkdir()
    assert main(["compare", *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and len(said.err.splitlines()) == 1
    assert said.err.startswith("error: ") and message in said.err
    assert Path("comparison/differences.csv").read_text() == text
    assert [path.name for path in Path("comparison").iterdir()] == ["differences.csv"]
