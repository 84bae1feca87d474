"""Figures over training steps: curves with bands, margins, scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.data_training import Curve
from analysis.figures.legends import curve_legend, seed_range
from analysis.figures.style import (
    COLUMN_IN,
    NEGATIVE,
    PAGE_IN,
    POSITIVE,
    broken,
    distinct,
    step_axis,
    title_panels,
)
from analysis.figures.symbols import literal

MOST_BANDS = 6
"""With more curves, bands would cover each other: then the means stand alone."""


def band_note(frames: Sequence[pd.DataFrame], curves: int) -> str:
    """The meaning of the bands, in the same words for the figure and its caption."""
    counts = {int(n) for frame in frames for n in frame["n"].unique()}
    if not counts or counts == {1}:
        return "one seed: no bands"
    seeds = seed_range(counts)
    if curves > MOST_BANDS:
        return f"mean of {seeds} seeds; bands left out among {curves} curves"
    return f"line: mean; band: ± 1 SD over {seeds} seeds"


def training_panels(
    panels: Mapping[str, pd.DataFrame], curves: Sequence[Curve], *, note: str
) -> Figure:
    """Up to six panels over training steps, one per metric, one curve per trial.

    panels: axis label -> a frame of `data_training.bands`, none empty. note: of `band_note`.
    """
    rows = -(-len(panels) // 3)
    figure = Figure(figsize=(PAGE_IN, 1.75 * rows + 0.17 * -(-len(curves) // 2) + 0.2))
    grid = figure.subplots(rows, min(3, len(panels)), squeeze=False).flatten()
    looks = distinct(len(curves))
    for axes, (label, frame) in zip(grid, panels.items(), strict=False):
        for curve, (colour, line) in zip(curves, looks, strict=True):
            selected = frame[frame["trial"] == curve.trial]
            draw_band(axes, selected, colour, line, shaded=len(curves) <= MOST_BANDS)
        axes.set_ylabel(literal(label))
        step_axis(axes)
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    title_panels(grid[: len(panels)])
    curve_legend(figure, curves, looks, note)
    return figure


def margin_courses(frame: pd.DataFrame, names: Mapping[str, str]) -> Figure:
    """m_t over training as logged, one step-wise line per distinct course.

    frame: trial, step, value: m_t / M. names: trial -> the course's typeset name, in the legend's
    order.
    """
    figure = Figure(figsize=(COLUMN_IN, 0.7 * COLUMN_IN))
    axes = figure.subplots()
    for (trial, name), (colour, line) in zip(names.items(), distinct(len(names)), strict=True):
        selected = frame[frame["trial"] == trial].sort_values("step")
        axes.plot(selected["step"], selected["value"], color=colour, linestyle=line, label=name)
    axes.set(ylabel="margin over its target $m_t/M$", ylim=(-0.03, 1.06))
    step_axis(axes)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def score_courses(
    positive: pd.DataFrame, negative: pd.DataFrame, curves: Sequence[Curve], *, note: str
) -> Figure:
    """Mean scores of correct and of wrong responses over training, a panel per trial.

    positive, negative: frames of `data_training.bands`. curves: at most four.
    """
    figure = Figure(figsize=(PAGE_IN, 0.33 * PAGE_IN))
    grid = figure.subplots(1, len(curves), sharey=True, squeeze=False).flatten()
    for axes, curve in zip(grid, curves, strict=True):
        for frame, colour, line in ((positive, POSITIVE, "-"), (negative, NEGATIVE, "--")):
            draw_band(axes, frame[frame["trial"] == curve.trial], colour, line)
        step_axis(axes)
    title_panels(grid, [broken(curve.typeset, 34) for curve in curves])
    grid[0].set_ylabel("score $s$: log-probability\nper token (nats)")
    handles = [
        Line2D([], [], color=POSITIVE, label="correct responses"),
        Line2D([], [], color=NEGATIVE, linestyle="--", label="wrong responses"),
        Line2D([], [], linestyle="", label=note),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def draw_band(
    axes: Axes, selected: pd.DataFrame, colour: Any, line: Any, shaded: bool = True
) -> None:
    """The mean of one trial, and one standard deviation around it where there are several seeds.

    selected: rows of `data_training.bands`.
    """
    axes.plot(selected["step"], selected["mean"], color=colour, linestyle=line, linewidth=1.2)
    if shaded and len(selected) and (selected["n"] > 1).all():
        low, high = selected["mean"] - selected["sd"], selected["mean"] + selected["sd"]
        axes.fill_between(selected["step"], low, high, color=colour, alpha=0.15, linewidth=0)
