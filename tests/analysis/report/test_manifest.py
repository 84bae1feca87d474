"""Every number of a report can be followed to trials, configuration, code and data."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.report.sections import tab_of
from analysis.report.writing import write_report, write_reports

pytestmark = pytest.mark.usefixtures("few_figures", "unwritten")

FIGURES = (
    *("effects", "accuracy_against_margin", "learning_curves", "training_panels", "methods"),
    *("pass_at_k", "sensitivity", "tau_margin_map", "importance", "history", "pareto"),
    *("group_size", "scores", "credit_against_score", "margin_courses", "grpo_identity"),
)
Make = Callable[..., Path]


def read(folder: Path) -> Any:
    return json.loads((folder / "manifest.json").read_text())


@pytest.fixture
def confirmed(make_study: Make, trial: Any, confirm: Any) -> Path:
    trials = [trial(10.0, 0.001, label="paper"), trial(1.0, 0.0, schedule="off"), trial(1.0, 20.0)]
    study = make_study(trials, seeds=[0, 1, 2])
    confirm(study, "t0000", {10: 0.60, 11: 0.64, 12: 0.65})
    confirm(study, "t0002", {10: 0.71, 11: 0.74, 12: 0.75})
    return study


def test_every_row_of_every_table_leads_to_known_trials(confirmed: Path) -> None:
    write_report(confirmed)
    found = read(confirmed)
    assert set(found["tables"]) >= {"tables/trials", "tables/confirmation", "tables/methods"}
    for name, table in found["tables"].items():
        lines = list(csv.DictReader((confirmed / f"{name}.csv").open(newline="")))
        assert all((confirmed / path).is_file() for path in table["files"])
        for row in table["rows"]:
            cells = row.get("cells", {})
            assert set(cells) <= set(lines[0]), name
            for trials in (row["trials"], *cells.values()):
                assert set(trials) <= set(found["trials"]), name
        if name in ("tables/trials", "tables/confirmation"):
            assert [row["row"] for row in table["rows"]] == [line["trial"] for line in lines]


def test_a_difference_names_both_of_its_trials(confirmed: Path) -> None:
    write_report(confirmed)
    anchor = read(confirmed)["tables"]["tables/confirmation"]["rows"][1]
    study = "margin-sweep"
    assert anchor["trials"] == [f"{study}/c0000"]
    assert anchor["cells"]["difference"] == [f"{study}/c0001", f"{study}/c0000"]
    assert anchor["cells"]["search_value"] == [f"{study}/t0000"]
    assert anchor["cells"]["drop"] == [f"{study}/t0000", f"{study}/c0000"]


def test_a_trial_leads_to_its_configuration_code_and_data(confirmed: Path) -> None:
    path = confirmed / "study.json"
    frozen = json.loads(path.read_text())
    code = {"hash": "5ea1", "git": "1f3a", "files": {"a.py": "00"}}
    path.write_text(json.dumps({**frozen, "data": {"chain/hard": "d47a"}, "code": code}))
    write_report(confirmed)
    found = read(confirmed)
    trial = found["trials"]["margin-sweep/t0002"]
    assert trial["config_hash"] == "c0ffee" and trial["seeds"] == [0, 1, 2]
    study = found["studies"][trial["study"]]
    assert study["data"] == {"chain/hard": "d47a"}
    assert study["code"] == {"hash": "5ea1", "git": "1f3a"}
    assert study["git"] == {"hash": None, "dirty": None}
    assert study["definition_hash"] == "0123456789ab"


def test_figures_name_the_trials_that_they_show(full_study: Path) -> None:
    write_report(full_study)
    found = read(full_study)
    curves = found["figures"]["figures/learning_curves"]
    assert "margin-sweep/t0012" in curves["trials"]
    assert set(curves["trials"]) <= set(found["trials"])
    assert curves["group"] == "curves"
    assert curves["files"] == [
        f"figures/learning_curves.{ending}" for ending in ("pdf", "svg", "png")
    ]


def test_checks_of_the_code_are_diagnostics_and_no_results() -> None:
    diagnostics = {name for name in FIGURES if tab_of(name) == "Diagnostics"}
    assert diagnostics == {"scores", "credit_against_score", "margin_courses", "grpo_identity"}
    assert tab_of("sensitivity") == tab_of("accuracy_against_margin") == "Settings"


def test_studies_of_one_name_are_told_apart(
    tmp_path: Path, make_study: Make, trial: Any, full_study: Path
) -> None:
    study = make_study([trial(1.0, 1.0)])
    write_reports([study, full_study], tmp_path / "out")
    found = read(tmp_path / "out")
    assert list(found["studies"]) == ["margin-sweep", "margin-sweep-2"]
    assert len(found["trials"]) == 1 + 16
    assert "margin-sweep-2/tables/trials" in found["tables"]
