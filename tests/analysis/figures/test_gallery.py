"""The gallery draws what a study supports and says what is absent."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from analysis.figures.data_training import Curve
from analysis.figures.draw_methods import method_comparison
from analysis.figures.draw_objective import ROUNDING, identity_gap
from analysis.figures.draw_search import optimisation_history, parallel_coordinates, pareto
from analysis.figures.draw_settings import tau_margin_map
from analysis.figures.draw_training import band_note, margin_courses, training_panels
from analysis.figures.entry import FigureEntry
from analysis.figures.gallery import BUILDERS, figures_of
from analysis.figures.gallery_training import identity
from analysis.figures.style import style
from analysis.load.study import StudyResults, StudyUnreadable, load_study

FIGURES = [
    "effects",
    "accuracy_against_margin",
    "learning_curves",
    "training_panels",
    "methods",
    "pass_at_k",
    "sensitivity",
    "tau_margin_map",
    "importance",
    "parallel_coordinates",
    "history",
    "pareto",
    "group_size",
    "margin_courses",
    "scores",
    "credit_against_score",
    "grpo_identity",
]
LABEL = "50 $^{x}$ <b>"
LENGTH = "response_length"


def enrich(folder: Path) -> None:
    """What training logs besides: scores, margins, times, credits; and a second objective."""
    study = json.loads((folder / "study.json").read_text())
    study["definition"]["also"] = [{"metric": LENGTH, "direction": "min"}]
    (folder / "study.json").write_text(json.dumps(study))
    for own in (folder / "trials").iterdir():
        objective = json.loads((own / "config.json").read_text())["config"]["objective"]
        lines = [json.loads(line) for line in (own / "steps.jsonl").read_text().splitlines()]
        for row in lines:
            row["score_positive"], row["score_negative"] = -0.3, -0.5
            row |= {"score_gap": 0.2, "valid_fraction": 0.5, "grpo_identity_gap": 1e-8}
            row["margin"] = objective["margin"] * objective["tau"] * min(1.0, row["step"] / 10)
            row |= {"tokens": 30.0, "tokens_per_s": 10.0}
        (own / "steps.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
        credit = {"update": [0, 0], "group": [0, 0], "problem_id": ["p", "p"], "rollout": [0, 1]}
        credit |= {"correct": [True, False], "score": [-0.2, -0.6], "credit": [0.5, -0.5]}
        line = {"seed": 0, "step": 1, **credit, "response_tokens": [9, 9]}
        (own / "credits.jsonl").write_text(json.dumps(line) + "\n")


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))]


def test_all_figures_of_a_rich_study_are_drawn(make_study: Any, trial: Any) -> None:
    trials = [
        trial(tau, ratio, "cosine" if ratio else "off", params={"rollout.group_size": size})
        for tau in (0.3, 1.0)
        for ratio in (0.0, 1.0, 5.0)
        for size in (4, 8)
    ]
    trials[0].label, trials[1].label = LABEL, "other"
    folder = make_study(trials)
    enrich(folder)
    study = load_study(folder)
    rows = [replace(row, also={LENGTH: dict.fromkeys(row.seeds, 9.0)}) for row in study.table.rows]
    gallery = figures_of(replace(study, table=replace(study.table, rows=tuple(rows))))
    assert gallery.skipped == ()
    assert [entry.stem for entry in gallery.figures] == FIGURES
    with style():
        drawn = {entry.stem: entry.draw() for entry in gallery.figures}
    captions = {entry.stem: entry.caption for entry in gallery.figures}
    for entry in gallery.figures:
        assert entry.caption.endswith(".") and drawn[entry.stem].axes
        assert entry.trials and len(set(entry.trials)) == len(entry.trials)
    assert "± 1 SD over 2 seeds" in captions["training_panels"]
    assert "± 1 SD over 2 seeds" in captions["history"]
    assert "95 %" in captions["methods"]
    # Names are no formulas, and digits on logarithmic axes are plain.
    logarithmic = ("sensitivity", "grpo_identity", "methods")
    shown = [text for stem in logarithmic for text in texts(drawn[stem])]
    assert any(LABEL in text for text in shown)
    assert not any("mathdefault" in text for text in shown)


def test_the_identity_of_a_large_study_is_shown_on_some_of_its_trials(
    make_study: Any, trial: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [(tau, ratio) for tau in (0.3, 1.0, 10.0) for ratio in (0.0, 1.0, 5.0)][:7]
    trials = [trial(tau, ratio, "cosine") for tau, ratio in settings]
    trials[5].label = LABEL
    folder = make_study(trials)
    enrich(folder)
    study = load_study(folder)
    whole = identity(study)
    assert isinstance(whole, FigureEntry)
    assert len(whole.trials) == 7 and "Examined" not in whole.caption
    monkeypatch.setattr("analysis.figures.gallery_training._MOST_IDENTITY", 3)
    opened = []
    monkeypatch.setattr(
        StudyResults, "step_rows", lambda _, trial: opened.append(trial) or [{"step": 1, "seed": 0}]
    )
    assert "none of 3 trials examined has logged" in str(identity(study))
    assert opened == ["t0005", "t0000", "t0003"], "the baseline, and others at even distances"
    monkeypatch.undo()
    monkeypatch.setattr("analysis.figures.gallery_training._MOST_IDENTITY", 3)
    some = identity(study)
    assert isinstance(some, FigureEntry)
    assert sorted(some.trials) == sorted(opened)
    assert "Examined: 3 of 7 trials, spread over the search." in some.caption


def test_each_trial_is_a_line_through_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = pd.DataFrame({"usable": [True, False, True], "value": [0.5, 0.9, 0.1]})
    frame = frame.assign(tau=[1.0, 1.0, 3.0], schedule=["cosine", "off", "off"])
    for most, pixels in ((1000, False), (1, True)):
        monkeypatch.setattr("analysis.figures.draw_search._MOST_VECTORS", most)
        figure = parallel_coordinates(frame, ["tau", "schedule"], metric="m")
        (lines,) = figure.axes[0].collections
        worst, best = (path.vertices for path in lines.get_paths())
        assert np.allclose(worst, [[0, 1 - 0.012], [1, 1 - 0.012]]), "drawn first, the worst"
        assert np.allclose(best, [[0, 0.012], [1, 0.012]])
        assert lines.get_rasterized() is pixels


def test_a_study_without_the_data_says_what_is_absent(make_study: Any, trial: Any) -> None:
    gallery = figures_of(load_study(make_study([trial(1.0, 5.0, end="waiting")])))
    assert gallery.figures == ()
    assert len(gallery.skipped) == len(BUILDERS)
    assert all(note.startswith("No ") and note.endswith(".") for note in gallery.skipped)


def test_all_figures_of_a_study_with_one_seed_are_drawn(make_study: Any, trial: Any) -> None:
    trials = [trial(tau, ratio, "cosine") for tau in (0.3, 1.0) for ratio in (1.0, 5.0)]
    gallery = figures_of(load_study(make_study(trials, seeds=[0])))
    assert {"sensitivity", "history"} <= {entry.stem for entry in gallery.figures}
    with style():
        assert all(entry.draw().axes for entry in gallery.figures)


def test_damage_is_no_absence(make_study: Any, trial: Any) -> None:
    folder = make_study([trial(1.0, 5.0)])
    (folder / "trials" / "t0000" / "steps.jsonl").write_text("{\n")
    with pytest.raises(StudyUnreadable, match="line 1"):
        figures_of(load_study(folder))


def band(n: int) -> pd.DataFrame:
    sd = 0.1 if n > 1 else np.nan
    return pd.DataFrame({"trial": "a", "step": [0, 1], "mean": [0.2, 0.4], "sd": sd, "n": n})


@pytest.mark.parametrize(("n", "shaded"), [(1, 0), (3, 1)])
def test_a_band_is_one_sd_around_the_mean_and_absent_for_one_seed(n: int, shaded: int) -> None:
    with style():
        axes = training_panels({"m": band(n)}, [Curve("a", "A")], note="").axes[0]
    assert list(axes.lines[0].get_ydata()) == [0.2, 0.4]
    assert len(axes.collections) == shaded
    if shaded:
        edges = axes.collections[0].get_paths()[0].vertices[:, 1]
        assert (edges.min(), edges.max()) == pytest.approx((0.1, 0.5))


def test_many_curves_have_no_bands_and_say_so() -> None:
    assert band_note([band(3)], 2) == "line: mean; band: ± 1 SD over 3 seeds"
    assert "left out" in band_note([band(3)], 9)
    assert band_note([band(1)], 2) == "one seed: no bands"
    with style():
        curves = [Curve("a", str(index)) for index in range(9)]
        assert not training_panels({"m": band(3)}, curves, note="").axes[0].collections


@pytest.mark.parametrize(("direction", "best"), [("max", [0.2, 0.5, 0.5]), ("min", [0.2] * 3)])
def test_the_best_so_far_counts_usable_trials_alone(direction: Any, best: list[float]) -> None:
    found = pd.DataFrame({"value": [0.2, 0.9, 0.5, 0.4], "sd": np.nan, "label": ""})
    found = found.assign(number=range(4), usable=[True, False, True, True])
    with style():
        axes = optimisation_history(found, metric="m", direction=direction).axes[0]
    assert list(axes.lines[0].get_ydata()) == best
    assert "one seed" in axes.get_ylabel()


def test_cells_hold_the_mean_of_their_trials_and_empty_ones_nothing() -> None:
    rows = {"tau": [1.0, 1.0, 2.0], "ratio": [0.0, 0.0, 5.0], "value": [0.2, 0.4, 0.5]}
    with style():
        axes = tau_margin_map(pd.DataFrame(rows).assign(usable=True), metric="m").axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.300\nn = 2", "0.500\nn = 1"]
    image = axes.images[0].get_array()
    assert np.isnan(np.ma.filled(image, np.nan)).sum() == 2


def test_the_front_is_marked() -> None:
    points = pd.DataFrame({"trial": ["a", "b"], "value": [0.1, 0.9], "aim0": [3.0, 2.0]})
    with style():
        axes = pareto(points, ["b"], [("aim0", "length")], metric="m").axes[0]
    assert [line.get_ydata().tolist() for line in axes.lines] == [[0.1], [0.9]]
    assert [text.get_text() for text in axes.texts] == ["b"]


def test_a_method_without_an_interval_is_hollow() -> None:
    rows = [("a", 0.4, 0.3, 0.5, 3, [0.3, 0.4, 0.5]), ("b", 0.6, np.nan, np.nan, 1, [0.6])]
    found = pd.DataFrame(rows, columns=["method", "value", "low", "high", "seeds", "by_seed"])
    with style():
        figure = method_comparison(found, metric="m", initial=0.123)
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert names == ["a", "b"]
    assert "0.123" in figure.axes[0].get_xlabel()
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["mean, 95 % CI", "each seed (n = 1 to 3)", "no interval"]


def test_gaps_of_zero_are_on_a_logarithmic_axis_too() -> None:
    found = pd.DataFrame({"trial": "a", "seed": 0, "step": [1, 2], "value": [0.0, 1e-8]})
    with style():
        axes = identity_gap(found).axes[0]
    lowest, gap = axes.lines[0].get_ydata()
    assert 0 < lowest < gap == 1e-8
    assert axes.get_ylim()[0] < lowest and axes.get_ylim()[1] > ROUNDING
    assert axes.get_title(loc="left").endswith("lowest row: 0")


def test_margin_courses_are_drawn_as_logged() -> None:
    found = pd.DataFrame({"trial": "a", "step": [2, 1], "value": [1.0, 0.5]})
    with style():
        line = margin_courses(found, {"a": "linear, alpha 1"}).axes[0].lines[0]
    assert list(line.get_ydata()) == [0.5, 1.0]
