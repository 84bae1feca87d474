"""The table of paired differences tests the family that the study declares, in its metric."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.findings.measured import labelled, measured
from analysis.findings.method_differences import method_differences
from analysis.findings.method_family import in_the_metric, methods_family
from analysis.findings.study_family import declared_family
from analysis.load.published import BASE
from analysis.load.study import StudyResults, load_study
from analysis.report.paper import write_method_tables
from analysis.report.tables import method_reports
from conspo_study.statistics.family import Correction

Make = Callable[..., Path]
LABELS = ("a", "b", "c", "d")


@pytest.fixture
def four(make_study: Make, trial: Any) -> Path:
    trials = [trial(1.0, 0.0, schedule="off", label=label) for label in LABELS]
    trials[3].end = "failed"
    return make_study(trials, seeds=[0, 1, 2], problems=12)


def differences(study: StudyResults) -> list[Any]:
    trials = labelled(study)
    metric, scores = in_the_metric(trials, measured(trials))
    assert metric == "chain/hard avg@8"
    return method_differences({BASE: scores["a"], **scores}, methods_family(trials))


def test_the_declared_family_is_tested(four: Path, define: Any) -> None:
    declared = {"reference": "b", "against": ["a", "d"], "correction": "dunnett"}
    define(four, compare={**declared, "equivalence": 0.3})
    study = load_study(four)
    family = methods_family(labelled(study))
    assert (family.correction, family.margin) == (Correction.DUNNETT, 0.3)
    found = differences(study)
    assert [(one.method, one.reference) for one in found] == [("a", "b"), ("d", "b")]
    assert found[1].difference is None and found[1].adjusted is None, "it failed, and counts"


def test_without_a_declaration_every_pair_but_the_untrained_policy(four: Path) -> None:
    found = differences(load_study(four))
    pairs = [(one.method, one.reference) for one in found]
    assert pairs == [("b", "a"), ("c", "a"), ("d", "a"), ("c", "b"), ("d", "b"), ("d", "c")]
    p = found[0].difference.p_value
    assert found[0].adjusted >= p and found[0].adjusted <= 6 * p + 1e-12


@pytest.mark.parametrize(
    "damaged",
    [
        {"reference": 3, "against": 7},
        {"correction": "x"},
        [],
        "b",
        {"reference": "b", "equivalence": -0.02},
        {"reference": "b", "equivalence": "x"},
        {"reference": "b", "equivalence": float("inf")},
        {"reference": "b", "equivalence": True},
        {"reference": "b", "against": "a"},
        {"reference": "b", "against": [1]},
    ],
)
def test_a_damaged_declaration_is_none(four: Path, define: Any, damaged: Any) -> None:
    define(four, compare=damaged)
    study = load_study(four)
    assert methods_family(labelled(study)).size == 6 and not declared_family(study).declared
    assert method_differences(measured(labelled(study)).scores, declared_family(study))


def test_the_papers_table_tests_the_declared_family(
    four: Path, define: Any, tmp_path: Path
) -> None:
    define(four, compare={"reference": "b", "correction": "dunnett", "equivalence": 0.3})
    paths = write_method_tables(labelled(load_study(four)), tmp_path / "ours")
    text = paths[-1].read_text()
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert [row.split(" | ")[:2] for row in rows] == [["| a", "b"], ["| c", "b"], ["| d", "b"]]
    assert "p (Dunnett)" in text and "equivalent is within 2 points" in text


def test_baselines_that_have_not_begun_are_corrected_for(four: Path, define: Any) -> None:
    anchors = [{"label": name, "params": {}} for name in ("z", *LABELS)]
    define(four, anchors=[*anchors, "damaged", {"params": {}}])
    pairs = methods_family(labelled(load_study(four))).pairs
    assert len(pairs) == 10 and ("a", "z") in pairs and ("b", "a") in pairs


def test_of_a_metric_that_is_no_share_average_accuracy_is_compared(
    make_study: Make, trial: Any, define: Any, tmp_path: Path
) -> None:
    """The direction and the margin of a loss say nothing about accuracy."""
    trials = [trial(0.1, 0.0, schedule="off", label="low"), trial(1.0, 20.0, label="high")]
    folder = make_study(trials, seeds=[0, 1, 2], problems=12)
    loss = {"metric": "eval/chain/hard/loss", "direction": "min"}
    define(folder, **loss, compare={"reference": "low", "equivalence": 50.0})
    study = load_study(folder)
    assert study.direction == "min"
    tables = method_reports(labelled(study), tmp_path, "methods", "Methods", lambda s, t: t)
    (row,) = tables[1].table.rows
    assert row[0] == "high" and row[2].startswith("+")
    assert "better" in row, row
    assert "equivalent is within 2 points" in tables[1].sentences[0]


def test_a_confirmation_compares_its_winner(
    make_study: Make, trial: Any, define: Any, confirm: Any
) -> None:
    study = make_study(
        [trial(0.3, 0.0, label="a"), trial(0.1, 0.0, label="b"), trial(1.0, 20.0)], seeds=[0, 1]
    )
    define(study, confirm={"seeds": [10, 11, 12], "anchors": None}, compare={"reference": "a"})
    for of in ("t0000", "t0001", "t0002"):
        confirm(study, of, {10: 0.5, 11: 0.6, 12: 0.7})
    loaded = load_study(study)
    family = methods_family(labelled(loaded, loaded.table.confirmations))
    assert family.pairs == (("winner (t0002)", "a"), ("winner (t0002)", "b"))
