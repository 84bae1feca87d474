"""Figures show what their frames hold, under labels that can be read."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from analysis.figures.draw_overview import Curve, accuracy_against_margin, learning_curves
from analysis.figures.style import style
from analysis.findings.frames import margin_points
from analysis.load.study import load_study


def draw(points: pd.DataFrame, seeds: int = 2) -> Any:
    with style():
        return accuracy_against_margin(points, metric="hard avg@8", seeds=seeds, initial=0.18)


def test_the_margin_axis_shows_zero_and_the_ratios_of_the_sweep(full_study: Path) -> None:
    axes = draw(margin_points(load_study(full_study))).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0", "1", "5", "20"]
    low, high = axes.get_xlim()
    assert low < 0 < 20 < high


def test_many_ratios_are_labelled_by_decades(full_study: Path) -> None:
    points = margin_points(load_study(full_study))
    points["ratio"] = [0.05 * 1.25**index for index in range(len(points))]
    axes = draw(points).axes[0]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels == ["0", "1", "10"] or labels == ["0", "0.1", "1", "10"]


@pytest.mark.parametrize("ratio", [0.0, 5.0])
def test_one_trial_with_one_seed_can_be_drawn(full_study: Path, ratio: float) -> None:
    points = margin_points(load_study(full_study)).query("ratio == @ratio").head(1)
    assert draw(points, seeds=1).axes[0].get_title(loc="left") == "one seed per trial: no spread"


def explained(frame: pd.DataFrame) -> str:
    texts = [text.get_text() for text in draw(frame).legends[0].get_texts()]
    return " ".join(text for text in texts if text.startswith(("hollow", "pruned")))


def test_hollow_markers_and_crosses_are_explained_where_there_are_any(full_study: Path) -> None:
    points = margin_points(load_study(full_study))
    assert explained(points) == "pruned: no value\nafter training"
    finished = points[points["state"] == "finished"]
    assert explained(finished) == ""
    assert "a seed is missing" in explained(finished.assign(complete=False))


def test_a_pruned_trial_has_no_height_on_the_axis_of_final_values(full_study: Path) -> None:
    points = margin_points(load_study(full_study))
    pruned = points["state"] == "pruned"
    # A value that no trial has reached: wherever it is drawn, it is a pruned one.
    points.loc[pruned, "value"] = 0.987
    axes = draw(points).axes[0]
    heights = [y for line in axes.lines for y in line.get_ydata()]
    assert not any(abs(float(y) - 0.987) < 1e-9 for y in heights)
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    drawn = sorted(float(x) for line in crosses for x in line.get_xdata())
    assert drawn == sorted(points[pruned].drop_duplicates("trial")["ratio"])
    assert {float(y) for line in crosses for y in line.get_ydata()} == {0.02}


def test_a_study_of_pruned_trials_alone_can_be_drawn(full_study: Path) -> None:
    points = margin_points(load_study(full_study)).query("state == 'pruned'")
    assert explained(points).startswith("pruned")


def test_the_mean_line_stops_where_a_seed_is_missing() -> None:
    rows = [("t0", seed, step, 0.5 + 0.1 * seed) for seed in (0, 1) for step in (0, 10, 20)][:-1]
    frame = pd.DataFrame(rows, columns=["trial", "seed", "step", "value"])
    empty = frame.iloc[:0]
    curves = [Curve("t0", "best")]
    with style():
        figure = learning_curves(frame, empty, curves, metric="m", reward="r", seeds=2)
    seeds, mean = figure.axes[0].lines[:2], figure.axes[0].lines[-1]
    assert [list(line.get_xdata()) for line in seeds] == [[0, 10, 20], [0, 10]]
    assert list(mean.get_xdata()) == [0, 10]
    assert list(mean.get_ydata()) == pytest.approx([0.55, 0.55])
    assert figure.axes[1].texts[0].get_text() == "not recorded"
