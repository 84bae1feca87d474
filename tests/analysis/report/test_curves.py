"""`conspo curves`: what it prints and writes, and what it answers where there are no curves."""

import shutil

import pandas as pd
import pytest
from compute_results import Learner, write_curves

from analysis.figures import draw_curves
from analysis.figures.style import style
from analysis.findings.compute_axes import Over
from analysis.findings.curve_fits import curve_fit
from analysis.findings.curve_settings import curve_set
from analysis.findings.curve_tables import amount, points_frame
from analysis.load.study import load_study
from analysis.report import curves, write_digest
from analysis.report.curves import print_curves
from conspo_study.commands.command_line import main

pytestmark = pytest.mark.usefixtures("unwritten")

LEARNERS = [Learner("base"), Learner("fast", middle=10.0), Learner("flat", shape=lambda s: 0.2)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_curves(tmp_path_factory.mktemp("curves") / "study", LEARNERS)


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    place = tmp_path_factory.mktemp("few") / "few"
    return write_curves(place, [Learner("few")], steps=8, every=4, seeds=(0, 1), problems=4)


def test_the_verb_writes_tables_and_figures_and_prints_the_sentences(folder, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["--reference", "base", "--level", "0.5", "--out", str(out)]
    assert main(["curves", str(folder), *words]) == 0
    said = capsys.readouterr().out
    assert "fast and base differ in efficiency" in said
    assert "flat: no saturating curve is claimed, because its last 3 evaluations" in said
    assert "0.5 at 2," in said, "the level that was asked for, in tokens"
    written = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    names = ("compute_curves", "compute_differences")
    tables = {f"tables/{name}.{end}" for name in names for end in ("md", "csv", "tex")}
    figures = {
        f"figures/{name}.{end}"
        for name in ("compute_curves", "compute_curves_together")
        for end in ("pdf", "svg", "png")
    }
    assert written == tables | figures | {"tables/compute_points.csv"}
    assert all(f"wrote {out}/{path}" in said for path in written)
    fits = pd.read_csv(out / "tables" / "compute_curves.csv").set_index("setting")
    assert fits.loc["base", "asymptote"] == pytest.approx(0.7, abs=0.02)
    assert fits.loc["base", "asymptote_low"] < 0.7 < fits.loc["base", "asymptote_high"]
    reached = 2040 * (0.3 / 0.2) ** (1 / 1.7)
    assert fits.loc["base", "reached"] == pytest.approx(reached, rel=0.03)
    assert fits.loc["base", "held_out_inside"] == fits.loc["base", "held_out"] == 3
    assert fits.loc["flat", "refusal"] == "no rise" and pd.isna(fits.loc["flat", "asymptote"])
    pairs = pd.read_csv(out / "tables" / "compute_differences.csv").set_index("setting")
    assert pairs.loc["fast", "midpoint_ratio"] == pytest.approx(0.5, rel=0.05)
    assert list(pairs["verdict"]) == ["efficiency", "undecided"] and set(pairs["family"]) == {4}
    page = (out / "tables" / "compute_curves.md").read_text()
    assert "| flat |" in page and "no rise" in page


def test_points_hold_values_intervals_curve_and_predictions(folder):
    found = curve_set([load_study(folder)], Over.TOKENS)
    points = points_frame(found, [curve_fit(one) for one in found.settings])
    base = points[points["setting"] == "base"].set_index("step")
    assert base.loc[0, "compute"] == 0 and base.loc[0, "value"] == pytest.approx(0.2)
    assert base.loc[80, "compute"] == pytest.approx(80 * 102.0)
    assert (base.loc[8:, "low"] < base.loc[8:, "value"]).all()
    assert base.loc[40, "curve"] == pytest.approx(base.loc[40, "value"], abs=0.01)
    assert list(base.index[base["predicted"].notna()]) == [64, 72, 80]
    assert points.loc[points["setting"] == "flat", "curve"].isna().all()


def test_a_metric_of_which_less_is_better_keeps_its_sign(tmp_path):
    loss = Learner("loss", start=2.0, top=0.5, shape=lambda s: 2.0 - 1.5 / (1 + (20 / s) ** 1.7))
    options = {"metric": "val/loss", "direction": "min"}
    found = curve_set([load_study(write_curves(tmp_path / "s", [loss], **options))], Over.STEPS)
    fit = curve_fit(found.settings[0])
    last = points_frame(found, [fit]).iloc[-1]
    assert last["value"] == pytest.approx(loss.level(80), abs=0.05)
    assert last["low"] < last["value"] < last["high"]
    assert last["predicted_low"] < last["predicted"] < last["predicted_high"]
    assert last["curve"] == pytest.approx(last["value"], abs=0.05)


def test_the_figure_has_measured_fitted_extrapolated_and_predicted_parts(folder):
    found = curve_set([load_study(folder)], Over.TOKENS)
    fits = [curve_fit(one) for one in found.settings]
    points = points_frame(found, fits)
    with style():
        figure = draw_curves.curve_panels(points, fits, 1, x="tokens", y="accuracy")
        together = draw_curves.curves_together(points, fits[:2], 1, x="tokens", y="accuracy")
    base, _, flat = figure.axes
    dashed = [line for line in base.lines if line.get_linestyle() == "--"]
    measured = points.loc[points["setting"] == "base", "compute"].max()
    assert [line.get_xdata()[0] for line in dashed] == [pytest.approx(measured)]
    marks = [line for line in base.lines if line.get_marker() == "D"]
    assert len(marks[0].get_xdata()) == 3
    assert not [line for line in flat.lines if line.get_linestyle() == "--"]
    assert flat.get_title(loc="left") == "(c) flat: no rise"
    assert len([line for line in together.axes[0].lines if line.get_linestyle() == "--"]) == 2


def test_a_digest_has_no_curves(few, tmp_path, capsys):
    write_digest(few, tmp_path / "digest")
    assert main(["curves", str(tmp_path / "digest")]) == 2
    assert "digest is a digest, which keeps final scores and no curves" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "name a results directory: conspo curves"),
        (("few", "few2"), "several studies need a folder for their curves: add --out FOLDER"),
        (("few", "--over", "gpu_hours"), "few/t0000 used no GPU: use --over seconds"),
        (("few", "--over", "flops"), "few/t0000 has no training FLOP in steps.jsonl"),
        (("few", "--reference", "fewer"), "no setting is called 'fewer'; known: few"),
        (("few", "--level", "nan"), "--level is a number"),
        (("few", "few", "--out", "out"), "is named twice"),
    ],
)
def test_what_cannot_be_done_is_told(few, words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("few", "few2"):
        shutil.copytree(few, tmp_path / name)
    assert main(["curves", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_figure_that_fails_costs_the_exit_status_alone(few, tmp_path, monkeypatch, capsys):
    def broken(*arguments, **options):
        raise RuntimeError("no ink")

    monkeypatch.setattr(draw_curves, "curve_panels", broken)
    assert not print_curves([few], tmp_path / "out", over=Over.STEPS)
    said = capsys.readouterr()
    assert "no ink" in said.err and (tmp_path / "out" / "tables" / "compute_curves.md").exists()
    assert "few: no saturating curve is claimed, because it has 2 seeds" in said.out


def test_too_many_settings_are_counted_in_the_figure(few, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(curves, "MOST_PANELS", 0)
    print_curves([few], tmp_path / "out", over=Over.STEPS)
    assert "The figure shows 0 of 1 setting, claimed fits first." in capsys.readouterr().out


def test_amounts_are_written_out():
    assert [amount(x) for x in (0.01234, 12.345, 1234.5, 2_345_678.0, 3.2e12)] == [
        *("0.0123", "12.3", "1,230", "2,350,000", "3.2e+12")
    ]
