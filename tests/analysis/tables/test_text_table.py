"""Tables show every trial, its gaps included, and untrusted text only as text."""

import csv
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt
from rich.console import Console

from analysis.findings.frames import trials_frame
from analysis.findings.trial_settings import objective_settings
from analysis.findings.trials_table import trials_table
from analysis.load.study import load_study
from analysis.load.text import csv_text, markdown_text, metric_label, visible
from analysis.tables.text_table import TextTable, to_csv, to_markdown, to_rich
from conspo_study.records import EventKind, TrialEvent
from conspo_study.results.log import ResultsLog

HOSTILE = "a|b\nc\r\x1b[31m\u202e<script>`x`*[y](http://z)_"


def test_finished_trials_come_first_and_best_first(full_study: Path) -> None:
    frame = trials_frame(load_study(full_study))
    assert list(frame["state"]) == ["finished"] * 13 + ["pruned"] * 2 + ["failed"]
    for state in ("finished", "pruned"):
        assert frame[frame["state"] == state]["value"].is_monotonic_decreasing


def test_a_study_that_minimises_is_sorted_the_other_way(full_study: Path) -> None:
    study = load_study(full_study)
    object.__setattr__(study, "direction", "min")
    frame = trials_frame(study)
    assert frame[frame["state"] == "finished"]["value"].is_monotonic_increasing
    assert study.best is not None and study.best.id == frame["trial"][0]


def test_columns_are_those_that_mean_something(full_study: Path) -> None:
    assert trials_table(load_study(full_study)).titles == (
        "trial",
        "label",
        "tau",
        "M/tau",
        "schedule",
        "alpha",
        "state (step)",
        "chain/hard avg@8",
        "n",
        "easy",
        "medium",
        "ood",
        "cause",
    )


def test_settings_that_vary_get_a_column(make_study: Callable[..., Path], trial: Any) -> None:
    study = make_study(
        [trial(1.0, 1.0, params={"update.learning_rate": 1e-4}), trial(1.0, 1.0)], seeds=[0]
    )
    table = trials_table(load_study(study))
    column = table.titles.index("update.learning_rate")
    assert {row[column] for row in table.rows} == {"0.0001", "0.0003"}


def test_objectives_are_named_when_they_differ(make_study: Callable[..., Path], trial: Any) -> None:
    study = make_study([trial(1.0, 1.0), trial(1.0, 0.0)], seeds=[0])
    config = study / "trials" / "t0001" / "config.json"
    text = config.read_text().replace('"conspo"', '"grpo"').replace('"tau": 1.0,', "")
    config.write_text(text.replace('"objective.tau": 1.0,', ""))
    frame = trials_frame(load_study(study)).set_index("trial")
    assert frame["objective"]["t0001"] == "grpo"
    assert "objective" in trials_table(load_study(study)).titles


def test_a_failed_trial_shows_its_cause_and_no_value(full_study: Path) -> None:
    table = trials_table(load_study(full_study))
    failed = dict(zip(table.titles, table.rows[-1], strict=True))
    assert failed["state (step)"] == "failed (20)"
    assert failed["chain/hard avg@8"] == failed["easy"] == failed["n"] == "–"
    assert failed["cause"].startswith("diverged")


def test_a_finished_trial_without_all_seeds_is_marked_and_ranks_last(
    make_study: Callable[..., Path], trial: Any
) -> None:
    study = make_study([trial(1.0, 1.0), trial(1.0, 5.0, end="running")])
    with ResultsLog(study / "log.jsonl") as log:
        end = {"step": 20, "values": {"0": 0.99}}
        log.append(TrialEvent(EventKind.FINISHED, "t0001", end))
    loaded = load_study(study)
    table = trials_table(loaded)
    assert [row[0] for row in table.rows] == ["t0000", "t0001"]
    assert "1 of 2" in table.rows[1] and "0.990" in table.rows[1]
    assert loaded.best is not None and loaded.best.id == "t0000"


def test_one_seed_has_no_spread(make_study: Callable[..., Path], trial: Any) -> None:
    table = trials_table(load_study(make_study([trial(1.0, 1.0)], seeds=[3])))
    assert not any("±" in cell for row in table.rows for cell in row)


def test_a_study_without_trials_has_a_header(make_study: Callable[..., Path]) -> None:
    study = load_study(make_study([]))
    assert to_markdown(trials_table(study)).startswith("| trial |")
    assert to_csv(trials_frame(study)).startswith("trial,")


@pytest.mark.parametrize(
    ("objective", "ratio", "schedule", "alpha"),
    [
        ({"margin": 0.01, "margin_unit": "score", "schedule": "cosine"}, 0.001, "cosine", 0.3),
        ({"margin": 5.0, "margin_unit": "tau", "schedule": "linear"}, 5.0, "linear", 0.3),
        ({"margin": 5.0, "margin_unit": "tau", "schedule": "constant"}, 5.0, "constant", None),
        ({"margin": 5.0, "margin_unit": "tau", "schedule": "off"}, 0.0, None, None),
        ({"margin": 0.0, "margin_unit": "score", "schedule": "cosine"}, 0.0, None, None),
    ],
)
def test_the_margin_is_given_in_units_of_tau(
    objective: dict[str, Any], ratio: float, schedule: str | None, alpha: float | None
) -> None:
    config = {"objective": {"name": "conspo", "tau": 10.0, "alpha": 0.3, **objective}}
    found = objective_settings(config, {})
    assert found["ratio"] == pytest.approx(ratio)
    assert (found["schedule"], found["alpha"]) == (schedule, alpha)


def test_a_trial_that_never_started_is_known_by_its_parameters() -> None:
    found = objective_settings({}, {"objective.tau": 0.3, "update.learning_rate": 1.0})
    assert (found["tau"], found["ratio"], found["alpha"]) == (0.3, None, None)


def test_markdown_cells_cannot_break_the_table() -> None:
    table = to_markdown(TextTable(("a", "b|c"), ((HOSTILE, "plain"),)))
    lines = table.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert line.replace(r"\|", "").count("|") == 3
    assert "<" not in table and "\x1b" not in table and "\u202e" not in table
    assert "[y&#93;(" in table and r"\`x\`" in table


@pytest.mark.parametrize("start", ["=", "+", "-", "@", " =", "\t=", "\r@"])
def test_csv_text_is_never_a_formula(start: str) -> None:
    cell = csv_text(f"{start}cmd()")
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))


def test_csv_round_trips_hostile_text_and_exact_numbers(full_study: Path) -> None:
    study = load_study(full_study)
    frame = trials_frame(study)
    frame.loc[0, "label"] = '=1,"2'
    frame.loc[1, "label"] = HOSTILE
    rows = list(csv.DictReader(io.StringIO(to_csv(frame))))
    assert rows[0]["label"] == "'=1,\"2"
    assert rows[1]["label"] == visible(HOSTILE)
    assert [float(row["value"]) for row in rows[:-1]] == list(frame["value"][:-1])
    assert rows[-1]["value"] == ""


def test_the_terminal_shows_markup_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    table = TextTable(("a",), (("[red]x[/red]\x1b[31m",),))
    Console(width=80).print(to_rich(table, "[bold]t", 80))
    shown = capsys.readouterr().out
    assert "[red]x[/red]\\x1b[31m" in shown and "\x1b" not in shown and "[bold]t" in shown


@pytest.mark.parametrize("width", [50, 60, 80, 100, 140, 300])
def test_a_narrow_terminal_loses_columns_and_cuts_no_cell(full_study: Path, width: int) -> None:
    table = trials_table(load_study(full_study))
    drawn = to_rich(table, "", width)
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(drawn)
    assert isinstance(console.file, io.StringIO)
    said = console.file.getvalue()
    assert "…" not in said and all(row[0] in said for row in table.rows)
    titles = [str(column.header).replace("\n", " ").replace("/ ", "/") for column in drawn.columns]
    kept = {"trial", "label", "chain/hard avg@8", "n"}
    assert kept <= set(titles) and "cause" not in titles
    named = " ".join(said.partition("Not shown here:")[2].split())
    gone = set(table.titles) - set(titles) - {"cause"}
    assert set(filter(None, named.split(", "))) == gone
    assert bool(gone) == (width < 140)


def test_what_is_alike_in_all_rows_is_the_first_to_go_and_settings_the_last() -> None:
    titles = ("trial", "label", "tau", "schedule", "value", "n", "easy")
    rows = (("t0", "a", "1", "off", "0.5", "3", "0.7"), ("t1", "b", "2", "off", "0.6", "3", "0.8"))
    gone = []
    for width in range(80, 20, -1):
        names = {
            str(column.header) for column in to_rich(TextTable(titles, rows), "", width).columns
        }
        gone += sorted(set(titles) - names - set(gone))
    assert gone == ["schedule", "easy", "tau"]


def test_text_is_one_short_printable_line() -> None:
    assert visible("x" * 500) == "x" * 160 + "…"
    assert visible("\ud800\x00ü ") == "\\ud800\\x00ü "
    assert markdown_text("a_b") == r"a\_b"
    assert metric_label("eval/chain/hard/avg@8") == "chain/hard avg@8"
    assert metric_label("reward") == "reward"


@pytest.mark.parametrize(
    "text",
    ["[x](javascript:alert(1))", "![x](https://evil.example)", "[x]: https://evil.example",
     "[x][y]", "<javascript:alert(1)>", "<https://evil.example>", "\\[x](https://evil.example)"],
)  # fmt: skip
def test_markdown_has_no_link_that_a_text_makes(text: str) -> None:
    written = to_markdown(TextTable(("a", text), (("b", text), ("c", f"a {text} ]({text}"))))
    assert "](" not in written
    shown = MarkdownIt("commonmark").enable("table").render(written)
    assert "<a" not in shown and "<img" not in shown
    assert shown.count(html.escape(text)) == 4, "the text itself is shown"
