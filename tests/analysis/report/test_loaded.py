"""Loaded studies in a notebook: verdict, table, figures and report."""

import pandas as pd
import pytest
from matplotlib.figure import Figure
from study_shapes import shapes, write_shape

from analysis.findings.verdict import verdict_sentence
from analysis.load.study import load_study
from conspo_study import load

pytestmark = pytest.mark.usefixtures("unwritten")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_shape(tmp_path_factory.mktemp("loaded") / "study", shapes()["confirmed"])


def test_it_has_a_verdict_a_table_of_trials_and_its_responses(folder):
    results = load(str(folder))
    study = load_study(folder)
    assert results.verdict == verdict_sentence(study)
    assert set(results.trials["trial"]) == {row.id for row in study.table.rows}
    assert results.trials.set_index("trial").loc[study.best.id, "value"] == study.best.value
    responses = results.responses
    pd.testing.assert_frame_equal(responses[study.evaluations.columns], study.evaluations)
    texts = {"response", "prompt", "gold"}
    assert texts <= set(responses.columns) and responses[[*texts]].isna().all(axis=None), "old rows"


def test_figures_are_drawn_by_name(folder):
    plot = load(folder).plot
    assert "learning_curves" in dir(plot) and "learning_curves(): Learning curves" in repr(plot)
    assert isinstance(plot.learning_curves(), Figure)
    with pytest.raises(AttributeError, match=r"no figure 'curves'.*it has: .*learning_curves"):
        _ = plot.curves


@pytest.mark.parametrize("name", shapes())
def test_every_shape_of_study_displays_itself_with_text_as_text(tmp_path, name):
    results = load(write_shape(tmp_path / "study", shapes()[name]))
    shown = results._repr_html_()
    assert shown.count("<table") == 1 and "<script" not in shown.lower()
    assert all(trial in shown for trial in results.trials["trial"].head(10))
    assert "config_hash" not in shown and "nan" not in shown.lower().split(">")


def test_the_report_is_written_where_it_is_wanted(folder, tmp_path):
    report = load(folder).report(str(tmp_path / "out"))
    assert (tmp_path / "out" / "report.html").exists() and report.verdict
