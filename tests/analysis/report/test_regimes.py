"""`conspo map`, the study of boundary cells that it writes, and the map in a study's own report."""

import json
import runpy

import pytest
from regime_results import BASE, OBJECTIVES, points, small, write_map

from analysis.figures.data_regimes import angle_frame, difference_frame
from analysis.figures.gallery import figures_of
from analysis.figures.gallery_regimes import regime_figures
from analysis.figures.style import style
from analysis.findings.regime_differences import families_of
from analysis.findings.regimes import regime_map
from analysis.load.study import load_study
from analysis.report.boundary_study import SEEDS, boundary_study
from analysis.report.regimes import print_map
from analysis.report.writing import write_report
from conspo_study.commands.command_line import main
from conspo_study.config import with_overrides

pytestmark = pytest.mark.usefixtures("few_figures", "unwritten")

ANGLES = {"linear": 0.0, "GRPO": 30.0, "ConSPO tau 1": 25.0}


def level(label, seed):
    name, e, _ = label.split(", ")
    return 0.02 if (name, e, seed) == ("linear", "E4", 101) else 0.5 + 0.1 * (name == "GRPO")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("map") / "map"
    return write_map(place, small(), level, angle=lambda label: ANGLES[label.split(", ")[0]])


@pytest.fixture(scope="module")
def found(folder):
    return regime_map([load_study(folder)])


def test_a_map_has_a_figure_per_reference_values_by_rate_and_the_angle(found):
    entries = list(regime_figures(found, families_of(found)))
    stems = ["map_minus_linear", "map_minus_GRPO", "map_by_rate", "map_credit_angle"]
    assert [entry.stem for entry in entries] == stems
    with style():
        figures = [entry.draw() for entry in entries]
    texts = [text.get_text() for text in figures[0].axes[0].texts]
    assert texts.count("reference") == 2
    assert "× 1/4" in texts, "a seed of the reference collapsed"
    assert len(figures[2].axes) == 3, "a panel per E, and the scale"
    marks = [line for line in figures[3].axes[0].lines if line.get_marker() == "o"]
    assert [line.get_xdata()[0] for line in marks] == [25.0], "only what has a temperature"
    assert "4 comparisons" in entries[0].caption and "within 2 points" in entries[0].caption


def test_the_frames_hold_what_is_drawn(found):
    linear = families_of(found)[0]
    frame = difference_frame(found, linear)
    assert list(frame["verdict"]).count("reference") == 2
    assert frame["collapsed"].sum() == 1
    angles = angle_frame(found, linear)
    assert list(angles["tau"]) == [1.0, 1.0] and set(angles["ratio"]) == {0.0}


def test_cells_in_a_trust_region_are_not_among_the_angles_of_plain_ones(tmp_path):
    plain = OBJECTIVES["ConSPO tau 1"]
    limited = {
        f"ConSPO tau 1 {name}": {**plain, f"objective.{name}": value}
        for name, value in (("clip_score", 0.03), ("kl_limit", 1e-4))
    }
    named = {"linear": OBJECTIVES["linear"], "ConSPO tau 1": plain, **limited}
    study = small(points(named, steps=(4,), rates=(1e-4,)))
    folder = write_map(tmp_path / "map", study, lambda *_: 0.5, angle=lambda _: 25.0)
    found = regime_map([load_study(folder)])
    linear = families_of(found)[0]
    assert list(angle_frame(found, linear)["objective"]) == ["ConSPO tau 1"]
    assert "Without cells in a trust region." in list(regime_figures(found, [linear]))[-1].caption


def test_a_metric_that_was_not_logged_is_told(tmp_path):
    study = load_study(write_map(tmp_path / "plain", small(points(steps=(1,))), level))
    told = [entry for entry in regime_figures(regime_map([study]), ()) if isinstance(entry, str)]
    assert told == []
    one = regime_map([study])
    reasons = [e for e in regime_figures(one, families_of(one)) if isinstance(e, str)]
    assert len(reasons) == 1 and "has logged credit_angle" in reasons[0]


def test_the_command_writes_tables_figures_and_findings(folder, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["map", str(folder), "--out", str(out)]) == 0
    names = sorted(path.name for path in (out / "tables").iterdir())
    assert names == ["map.csv", "map.md", "map.tex", "map_searched.csv"]
    findings = (out / "findings.md").read_text("utf-8")
    assert "of this study alone" not in findings
    assert "family of 4" in findings and "## Comparisons with a verdict" in findings
    printed = capsys.readouterr().out
    assert "6 cells: 3 objectives at E 1, 4" in printed and "findings.md" in printed


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "name a results directory"),
        (["a", "b"], "add --out"),
        (["a", "--margin", "0"], "positive"),
        (["a", "--margin", "nan"], "positive"),
        (["a", "--margin", "inf"], "positive"),
        (["missing"], "missing"),
    ],
)
def test_bad_input_is_answered_in_one_line(words, what, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["map", *words]) == 2
    assert what in capsys.readouterr().err


def test_an_unknown_reference_is_answered_with_those_there_are(folder, tmp_path, capsys):
    assert main(["map", str(folder), "--out", str(tmp_path), "--minus", "PPO"]) == 2
    assert "known: linear, GRPO, ConSPO tau 1" in capsys.readouterr().err


def test_the_study_of_boundary_cells_is_one_that_runs(folder, tmp_path, found):
    path = tmp_path / "again.py"
    assert print_map([folder], tmp_path, references=["linear"], again=path)
    study = runpy.run_path(str(path))["boundaries"]()
    _, cells = boundary_study(found, families_of(found, ["linear"]))
    assert cells == 2, "no difference at E 1, and a reference that collapsed at E 4"
    labels = [anchor.label for anchor in study.anchors]
    assert {label.split(", ")[0] for label in labels} == {"linear", "ConSPO tau 1"}
    assert len(study.seeds) == SEEDS and min(study.seeds) == 104
    assert study.base == with_overrides(BASE, {"evaluation.split": "test"})
    assert study.confirm is None and study.early_stopping is None
    chosen = {cell.chosen.label: dict(cell.chosen.params) for cell in found.cells}
    assert {a.label: dict(a.params) for a in study.anchors}.items() <= chosen.items()


def test_names_from_results_are_data_in_the_study_file(tmp_path):
    hostile = {'x"""\nimport os\n"""': OBJECTIVES["linear"], "GRPO": OBJECTIVES["GRPO"]}
    study = small(points(hostile, steps=(1,), rates=(1e-4,)))
    folder = write_map(tmp_path / "map", study, lambda *_: 0.5)
    one = regime_map([load_study(folder)])
    text, _ = boundary_study(one, families_of(one))
    (tmp_path / "again.py").write_text(text)
    read = runpy.run_path(str(tmp_path / "again.py"))
    assert "os" not in read
    assert [a.label for a in read["boundaries"]().anchors] == [a.label for a in study.anchors]


def test_without_boundary_cells_no_study_is_written(tmp_path):
    study = small(points(steps=(1,), rates=(1e-4,)))
    far = {"linear": 0.35, "GRPO": 0.6, "ConSPO tau 1": 0.9}
    folder = write_map(tmp_path / "far", study, lambda label, _: far[label.split(", ")[0]])
    with pytest.raises(ValueError, match="nothing to run again"):
        print_map([folder], tmp_path, again=tmp_path / "again.py")


def two_studies(tmp_path, second, **changes):
    """`linear` from one study, GRPO, which is no different, from another."""
    first = small(points({"linear": OBJECTIVES["linear"]}, steps=(4,), rates=(1e-4,)), name="one")
    other = small(second, name="two", **changes)
    folders = [write_map(tmp_path / s.name, s, lambda *_: 0.5) for s in (first, other)]
    found = regime_map([load_study(folder) for folder in folders])
    return found, families_of(found, ["linear"])


GRPO_ALONE = points({"GRPO": OBJECTIVES["GRPO"]}, steps=(4,), rates=(1e-4,))


def test_a_reference_of_other_settings_is_refused_as_a_cell_is(tmp_path):
    other = with_overrides(BASE, {"rollout.group_size": BASE.rollout.group_size * 2})
    with pytest.raises(ValueError, match="different settings: write a boundary study of each"):
        boundary_study(*two_studies(tmp_path, GRPO_ALONE, base=other))


def test_one_label_for_two_settings_is_refused(tmp_path):
    eight = {name: OBJECTIVES[name] for name in ("linear", "GRPO")}
    linear, grpo = points(eight, steps=(8,), rates=(1e-4,))
    clash = linear.model_copy(update={"label": "linear, E4, lr 0.0001"})
    with pytest.raises(ValueError, match="two studies call different settings 'linear, E4"):
        boundary_study(*two_studies(tmp_path, (*GRPO_ALONE, clash, grpo)))


def test_plugins_of_all_studies_are_loaded(tmp_path):
    found, families = two_studies(tmp_path, GRPO_ALONE)
    for study, plugins in zip(found.studies, (["a.py"], ["b.py", "a.py"]), strict=True):
        study.definition["plugins"] = plugins
    text, cells = boundary_study(found, families)
    assert cells == 1 and "plugins=('a.py', 'b.py')" in text


@pytest.mark.slow
def test_the_report_of_such_a_study_has_its_map_and_no_table_of_all_pairs(folder):
    report = write_report(folder)
    tables = {table.name for table in report.tables}
    assert tables == {"trials", "confirmation", "map", "findings"}, "a seed has collapsed"
    own = next(table for table in report.tables if table.name == "map")
    assert own.sentences[-1].startswith("These are families of this study alone: if it is a piece")
    assert any(note.startswith("Tables of methods are left out") for note in report.notes)
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    rows = manifest["tables"]["tables/map"]["rows"]
    assert rows[0]["row"] == "1 linear" and rows[0]["trials"] == ["map/c0000"]
    assert "6 strata" in report.summary[0]
    assert not any("Paired difference" in line for line in report.summary), "of the best of all"


def test_its_figures_are_among_those_of_the_study(folder):
    stems = [entry.stem for entry in figures_of(load_study(folder)).figures]
    assert {"map_minus_linear", "map_by_rate"} <= set(stems)
