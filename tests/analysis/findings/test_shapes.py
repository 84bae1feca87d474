"""Every shape of study has its report, comparison, status and page, and they tell the truth."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from study_shapes import CAUSE, shapes, write_shape

from analysis.figures import gallery
from conspo_study.commands.command_line import main as manage
from conspo_study.text import counted, first_line, setting_text
from conspo_study.watch.study_view import StudyView

pytestmark = pytest.mark.usefixtures("unwritten")

SHAPES = shapes()


@pytest.fixture
def run() -> Callable[..., int]:
    """Runs a command."""
    return lambda *words: manage([*map(str, words)])


def trials_of(folder: Path) -> dict[str, dict[str, str]]:
    with (folder / "tables" / "trials.csv").open(encoding="utf-8", newline="") as file:
        return {row["trial"]: row for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_study_reports(tmp_path: Path, capsys: Any, run: Any, name: str) -> None:
    shape = SHAPES[name]
    folder = write_shape(tmp_path / "study", shape)
    assert run("report", folder) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    rows = trials_of(folder)
    assert list(rows) and len(rows) == len(shape.searched) if shape.searched else not rows
    for number, trial in enumerate(shape.searched):
        row = rows[f"t{number:04d}"]
        assert row["state"] == trial.end
        if trial.end == "finished" and trial.valued is None:
            seeds = trial.seeds or shape.study.seeds
            wanted = trial.value + sum(seeds) / len(seeds) / 100
            assert float(row["value"]) == pytest.approx(wanted)
        told = " ".join(row.values()) + " "
        for path, value in trial.params.items():
            shown = value is not None and not path.endswith((".schedule", ".margin"))
            if isinstance(value, str | bool | list) and shown:
                assert setting_text(value) in told, path
    page = (folder / "report.html").read_text("utf-8")
    assert counted(len(shape.searched), "search trial") in page
    for ending in ("md", "tex"):
        assert (folder / "tables" / f"trials.{ending}").stat().st_size
    assert_accounted_for(folder, page)
    for table in folder.glob("tables/*.csv"):
        assert "nan" not in table.read_text("utf-8").lower()


def assert_accounted_for(folder: Path, page: str) -> None:
    """Each figure is there, or a sentence says why not."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    figures = len(manifest["figures"])
    assert figures + page.count("<li>No ") >= len(gallery.BUILDERS)
    assert len(list(folder.glob("figures/*.png"))) == figures


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_study_has_a_status_a_plan_and_a_page(
    tmp_path: Path, capsys: Any, name: str
) -> None:
    shape = SHAPES[name]
    folder = write_shape(tmp_path / "study", shape)
    assert manage(["status", str(folder)]) == 0
    said = capsys.readouterr().out
    count = sum(run.end == "finished" for run in shape.searched)
    assert (f" {count} finished" in said) is (count > 0)
    assert manage(["status", "--json", str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["counts"]["finished"] == count
    told = StudyView(folder).study(0, 0)
    assert [trial["params"] for trial in told["trials"] if not trial["of"]] == [
        dict(run.params) for run in shape.searched
    ]
    assert json.dumps(told, allow_nan=False)
    if not shape.stored and not name.startswith("set with"):
        assert manage(["plan", str(folder)]) == 0
        assert f"{shape.study.trials} (" in capsys.readouterr().out


@pytest.mark.parametrize(
    "name",
    [
        *("one trial, one seed", "all failed", "nothing begun", "interrupted", "mixed space"),
        *("choices of all types", "choices of lists", "a seed is missing", "confirmed"),
        *("confirmation failed", "set with markup", "labels with markup"),
        "an objective with options of our names",
    ],
)
def test_shapes_of_studies_compare(tmp_path: Path, capsys: Any, run: Any, name: str) -> None:
    shape = SHAPES[name]
    folder = write_shape(tmp_path / "study", shape)
    other = write_shape(tmp_path / "other", shape)
    assert run("compare", folder, other) == 0
    assert "Definitions, sources and packages are the same." in capsys.readouterr().out
    named = [run for run in shape.searched if run.label]
    assert run("paper", tmp_path / "paper", folder) == (0 if named else 2)
    if not named:
        assert capsys.readouterr().err == "error: test: there are no labelled trials\n"


@pytest.mark.parametrize("name", ["mixed space", "choices of all types", "choices of lists"])
def test_odd_values_are_exported(tmp_path: Path, name: str) -> None:
    import optuna

    folder = write_shape(tmp_path / "study", SHAPES[name])
    assert manage(["export", str(folder)]) == 0
    study = optuna.load_study(study_name="test", storage=f"sqlite:///{folder / 'optuna.sqlite3'}")
    for trial, run in zip(study.trials, SHAPES[name].searched, strict=True):
        for path, value in run.params.items():
            assert trial.params[path] in (value, setting_text(value))
        assert len({str(other.params) for other in study.trials}) == len(
            {json.dumps(run.params) for run in SHAPES[name].searched}
        )


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("all failed", "No trial finished: 3 failed; first cause: t0000 at step 1: "),
        ("a failed anchor", "1 of 2 trials failed; first cause: t0000 at step 1: "),
        ("all pruned", "No trial finished: 2 pruned"),
        ("confirmation failed", "2 of 2 confirmations failed; first cause: c0000 at step 1: "),
    ],
)
def test_failures_lead(tmp_path: Path, capsys: Any, run: Any, name: str, line: str) -> None:
    folder = write_shape(tmp_path / "study", SHAPES[name])
    failed = "failed" in line
    cause = first_line(CAUSE) if failed else ""
    assert run("report", folder) == 0
    assert capsys.readouterr().out.startswith(f"{line}{cause}")
    assert manage(["status", str(folder)]) == 0
    assert capsys.readouterr().out.startswith(f"failed     {line}{cause}\n")
    assert (folder / "tables" / "trials.md").read_text("utf-8").startswith(f"- {line[:20]}")
    page = (folder / "report.html").read_text("utf-8")
    assert page.index(line) < page.index("<h2>Results</h2>")
    if failed:
        assert "  import its module" in page, "the page has all lines of a cause"


def test_a_whole_cause_is_pointed_to(tmp_path: Path, capsys: Any) -> None:
    folder = write_shape(tmp_path / "study", SHAPES["all failed"])
    whole = folder / "trials" / "t0000" / "failure.txt"
    whole.write_text(CAUSE, "utf-8")
    assert manage(["status", str(folder)]) == 0
    first = capsys.readouterr().out.splitlines()[0]
    assert first.endswith(f"(all of it: {whole})") and "unknown objective" in first


@pytest.mark.parametrize("name", ["all metrics", "interrupted"])
def test_files_with_values_of_any_type_cost_no_figure(tmp_path: Path, run: Any, name: str) -> None:
    folder = write_shape(tmp_path / "study", SHAPES[name])
    assert run("report", folder) == 0
    figures = {path.name for path in folder.glob("figures/*")}
    for steps in folder.glob("trials/*/steps.jsonl"):
        rows = [json.loads(line) for line in steps.read_text("utf-8").splitlines()]
        odd = {"reward": "high", "entropy": True, "score_gap": [1], "note": {}}
        steps.write_text("".join(json.dumps(row | odd) + "\n" for row in rows[1:]), "utf-8")
    for path in folder.glob("trials/*/config.json"):
        config = {"objective": "conspo", "rollout": None, "evaluation": {"sets": 5}}
        path.write_text(json.dumps({"config": config}), "utf-8")
    assert run("report", folder) == 0
    kept = {path.name for path in folder.glob("figures/*")}
    assert figures == kept and len(trials_of(folder)) == len(SHAPES[name].runs)


def test_a_figure_that_fails_costs_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, run: Any
) -> None:
    def history(study: Any) -> Any:
        raise TypeError("no such <axis>")

    def margin_figure(study: Any) -> Any:
        entry = gallery.margin_figure(study)
        assert not isinstance(entry, str)
        return replace(entry, draw=lambda: 1 / 0)

    builders = (margin_figure, history, *gallery.BUILDERS[2:4])
    monkeypatch.setattr(gallery, "BUILDERS", builders)
    folder = write_shape(tmp_path / "study", SHAPES["two trials"])
    assert run("report", folder) == 1
    said = capsys.readouterr().err
    assert "No figure 'history': it failed with TypeError: no such <axis>." in said
    assert "No figure 'Margin and temperature': it failed with ZeroDivisionError" in said
    page = (folder / "report.html").read_text("utf-8")
    assert "TypeError: no such &lt;axis&gt;" in page and len(trials_of(folder)) == 2
    assert {path.stem for path in (folder / "figures").iterdir()} == {
        "learning_curves",
        "training_panels",
    }
