"""`conspo doctor`, and what reports say of findings."""

import json

import pytest
import regime_results
from regime_results import points, small, write_map

from analysis.findings.collapses import collapse_notes
from analysis.load.study import load_study
from analysis.report.digest import write_digest
from analysis.report.writing import write_report
from conspo_study.commands.command_line import main

STEPS = 30
pytestmark = pytest.mark.usefixtures("few_figures", "unwritten")


def level(label, seed):
    return 0.02 if (label, seed) == ("GRPO, E1, lr 0.0001", 1) else 0.5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six trials; the reward of seed 1 of t0002 falls, and the seed ends collapsed."""
    place = tmp_path_factory.mktemp("doctor") / "map"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regime_results, "STEPS", STEPS)
        write_map(place, small(points(steps=(1,))), level)
    (place / "snapshot.json").write_text("{}", "utf-8")
    for trial in (place / "trials").iterdir():
        rows = [
            {
                "seed": seed,
                "step": step,
                "reward": 0.1 if (trial.name, seed) == ("t0002", 1) and step > 15 else 0.6,
            }
            for seed in (0, 1)
            for step in range(1, STEPS + 1)
        ]
        (trial / "steps.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows), "utf-8")
    return place


def test_the_command_names_finding_trial_seeds_step_and_what_helps(folder, capsys):
    assert main(["doctor", str(folder)]) == 0
    said = capsys.readouterr().out
    assert "t0002" in said and "t0003" not in said
    assert "reward fall" in said and "1 of 2" in said and "0.6 at step" in said
    assert "collapsed seed" in said and "seed 1: collapsed from 0.190 untrained" in said
    assert "what usually helps is fewer optimiser steps" in said
    assert "9 trials examined: 8 without findings." in said


def test_json_has_a_row_per_seed(folder, capsys):
    assert main(["doctor", str(folder), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all((row["trial"], row["seed"]) == ("t0002", 1) for row in rows)
    assert {row["finding"]: row["step"] for row in rows} == {
        "reward fall": 18,
        "collapsed seed": STEPS,
    }


def test_single_trials_can_be_named(folder, capsys):
    assert main(["doctor", str(folder), "--trials", "t0000,t0001"]) == 0
    assert "2 trials examined: 2 without findings." in capsys.readouterr().out
    assert main(["doctor", str(folder), "--trials", "t9"]) == 2
    assert "has no trial t9" in capsys.readouterr().err


def test_a_digest_has_no_training_steps(folder, tmp_path, capsys):
    write_digest(folder, tmp_path / "small")
    assert main(["doctor", str(tmp_path / "small")]) == 2
    assert "is a digest" in capsys.readouterr().err


def test_the_report_has_the_table_and_says_so(folder, tmp_path):
    report = write_report(folder, tmp_path / "out")
    table = next(one for one in report.tables if one.name == "findings")
    assert len(table.table.rows) == 2
    assert any("went wrong in 1 trial" in note for note in report.notes)
    assert (tmp_path / "out" / "tables" / "findings.csv").read_text("utf-8").count("\n") == 3


def test_notes_of_collapses_say_what_set_in_first(folder):
    (note,) = collapse_notes(load_study(folder))
    assert note.endswith("What set in first: reward fall from step 18.")


def test_a_study_that_is_well_has_no_table(tmp_path):
    study = write_map(tmp_path / "well", small(points(steps=(1,))), lambda *_: 0.5)
    report = write_report(study, tmp_path / "out")
    assert "findings" not in [one.name for one in report.tables]
