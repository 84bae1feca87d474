"""A method that collapses in 3 of 10 seeds: in the table, in comparisons, in sentences."""

import re

import pytest

from analysis.findings.collapses import collapse_notes, rate_of
from analysis.findings.frames import trials_frame
from analysis.findings.measured import labelled, measured
from analysis.findings.summary import summary_lines
from analysis.findings.trials_table import trials_table
from analysis.load.study import load_study
from analysis.report.tables import method_reports

SEEDS = tuple(range(10))


@pytest.fixture
def study(make_study, trial):
    """At the steps 10, 12 and 20; the last of them at the end of training, by its value."""
    fallen = trial(1.0, 0.0, schedule="off", label="linear", collapses={1: 10, 4: 12, 8: 20})
    steady = trial(1.0, 5.0, label="steady")
    dead = trial(0.3, 0.0, schedule="off", end="collapsed", collapses=dict.fromkeys(SEEDS, 10))
    return load_study(make_study([fallen, steady, dead], seeds=SEEDS, problems=4, every=20))


def test_tables_and_sentences_count_collapsed_seeds_with_their_last_value(study):
    frame = trials_frame(study).set_index("trial")
    assert list(frame["collapsed"][["t0000", "t0001", "t0002"]]) == [3, 0, 10]
    assert list(frame.index) == ["t0001", "t0000", "t0002"], "by value, whatever collapsed"
    values = study.table.row("t0000").values
    assert [values[seed] for seed in (1, 4, 8)] == [0.0, 0.0, 0.0]
    assert frame.loc["t0000", "value"] == pytest.approx(sum(values.values()) / 10)
    table = trials_table(study)
    cells = {row[0]: row[table.titles.index("collapsed")] for row in table.rows}
    assert cells == {"t0000": "3 of 10", "t0001": "", "t0002": "10 of 10"}
    assert frame.loc["t0002", "state"] == "collapsed"
    first, second = collapse_notes(study)
    assert first.startswith("t0002: 10 of 10 seeds collapsed, which count with their last value: ")
    assert first.endswith("; 7 more.")
    assert second.startswith("t0000 (linear): 3 of 10 seeds collapsed")
    assert "seed 4 collapsed at step 12: diverged: the gradient was not finite" in second
    assert {first, second} <= set(summary_lines(study))


def test_a_table_without_collapses_has_no_such_column(make_study, trial):
    table = trials_table(load_study(make_study([trial(1.0, 0.0), trial(1.0, 5.0)])))
    assert "collapsed" not in table.titles


def test_a_collapse_by_value_counts_as_well(make_study, trial):
    study = load_study(make_study([trial(1.0, 0.0)], seeds=(0, 1)))
    row = study.table.rows[0]
    assert row.untrained[0][study.metric] == pytest.approx(0.18)
    assert rate_of(study, row).seeds == ()


def test_comparisons_of_methods_tell_the_rates(study, tmp_path):
    found = measured(labelled(study))
    assert "3 of 10 seeds collapsed" in found.methods["linear"].notes
    assert found.methods["steady"].notes == ()
    assert found.methods["linear"].scores.seeds == SEEDS, "collapsed seeds are not left out"
    table, differences = method_reports(
        labelled(study), tmp_path, "methods", "Methods", lambda study, trial: trial
    )
    assert any(re.search(r"linear.*3 of 10 seeds collapsed", note) for note in table.sentences)
    assert differences.sentences[1] == (
        "Collapsed seeds, which count with their last value: linear 3 of 10, steady 0 of 10."
    )
    row = next(row for row in differences.table.rows if set(row[:2]) == {"linear", "steady"})
    sign = 1 if row[0] == "steady" else -1
    assert sign * float(row[2].replace("−", "-")) > 10
