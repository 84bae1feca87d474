"""The two figures that come first: accuracy against margin, and learning curves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from analysis.figures.data_training import Curve
from analysis.figures.legends import curve_legend
from analysis.figures.style import FAINT, INK, MARKERS, PAGE_IN, colours, distinct, step_axis
from analysis.findings.frames import WITH_RESULT
from analysis.findings.trial_settings import NO_MARGIN
from analysis.load.text import visible
from conspo_study.records import TrialState

_DODGE_PT = 2.0
_MOST_TAUS = 7
"""Beyond this many values of tau (a random search), the legend names a selection."""


def accuracy_against_margin(
    points: pd.DataFrame,
    *,
    metric: str,
    seeds: int,
    initial: float | None,
    baselines: pd.DataFrame | None = None,
) -> Figure:
    """Final metric against M/tau; one colour per tau, one marker per schedule, one panel for each
    value of the column `other`.

    A pruned trial has no final value: what it had at its last step is no point of this axis, where
    slow starters would look like failures. A cross at the lower edge stands for it.

    points: see `frames.margin_points`, at least one row. metric: its label. seeds: how many each
    trial was planned with. initial: the metric before training, drawn as a dashed line. baselines:
    see `frames.baselines_without_margin`, drawn as lines with their names.
    """
    taus = sorted(points["tau"].unique())
    # The commonest first: it stays in place, rarer ones move aside.
    found = points["schedule"].value_counts().index
    schedules = sorted(found, key=lambda name: name != NO_MARGIN)
    tau_colour = dict(zip(taus, colours(len(taus)), strict=True))
    marker = {name: MARKERS.get(name, "P") for name in schedules}
    others = list(points["other"].value_counts().index)
    figure = Figure(figsize=(PAGE_IN, 0.46 * PAGE_IN))
    panels = figure.subplots(1, len(others), sharey=True, squeeze=False)[0]
    for axes, other in zip(panels, others, strict=True):
        own = points[points["other"] == other]
        _margin_panel(axes, own, tau_colour, marker, points["ratio"])
        if initial is not None:
            axes.axhline(initial, color=FAINT, linestyle="--", linewidth=1, zorder=1)
        shown = [points["value"][points["state"] != TrialState.PRUNED]]
        shown += [baselines["value"]] if baselines is not None else []
        _value_axis(axes, pd.concat(shown))
        if baselines is not None:
            _baseline_lines(axes, baselines[baselines["other"] == other])
        _baseline_names(axes, own[own["state"] != TrialState.PRUNED])
        if len(others) > 1:
            axes.set_title(other, fontsize=8)
    panels[0].set_ylabel(f"{metric} after training")
    figure.supxlabel("target margin in units of tau, M/tau (0: no margin)", fontsize="medium")
    note = _seed_note("markers", "ticks", seeds)
    panels[0].set_title(
        note, loc="left", color=FAINT, fontsize=7, y=1.08 if len(others) > 1 else None
    )
    _margin_legend(figure, tau_colour, marker, points, initial)
    return figure


def _margin_panel(
    axes: Axes,
    points: pd.DataFrame,
    tau_colour: Mapping[float, Any],
    marker: Mapping[str, str],
    ratios: pd.Series[float],
) -> None:
    """The trials of one panel. ratios: of all panels."""
    _margin_axis(axes, ratios)
    pruned = points["state"] == TrialState.PRUNED
    dodge = _DODGE_PT if len(tau_colour) <= _MOST_TAUS else 0.0
    for index, (tau, colour) in enumerate(tau_colour.items()):
        shift = (index - (len(tau_colour) - 1) / 2) * dodge
        for schedule, shape in marker.items():
            selected = points[
                (points["tau"] == tau) & (points["schedule"].isin([schedule, NO_MARGIN]))
            ]
            ended, stopped = selected[~pruned[selected.index]], selected[pruned[selected.index]]
            _draw_trials(axes, ended, schedule, colour, shape, shift)
            own = stopped.loc[stopped["schedule"] == schedule, "ratio"]
            _draw_stopped(axes, own, colour, shift)
            shift += 0.0 if schedule == NO_MARGIN else _DODGE_PT / 2


def _baseline_lines(axes: Axes, baselines: pd.DataFrame) -> None:
    """A thin line with a name for each, the names at the right end and clear of one another."""
    low, high = axes.get_ylim()
    least, height = 0.045 * (high - low), -math.inf
    for row in baselines.sort_values("value").to_dict("records"):
        axes.axhline(row["value"], color=INK, linewidth=0.8, alpha=0.6, zorder=1)
        height = max(height + least, row["value"])
        axes.text(
            *(0.99, height, visible(row["label"], 30)),
            transform=axes.get_yaxis_transform(),
            ha="right",
            va="bottom",
            fontsize=7,
            color=INK,
        )


def learning_curves(
    evaluation: pd.DataFrame,
    training: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    metric: str,
    reward: str,
    seeds: int,
) -> Figure:
    """Two panels over training steps: the evaluation metric, and the training reward.

    evaluation, training: trial, seed, step, value. A thick line is the mean at the steps that all
    seeds of the trial have, a thin line one seed. metric, reward: labels of the two.
    """
    figure = Figure(figsize=(PAGE_IN, 0.42 * PAGE_IN))
    panels = figure.subplots(1, 2)
    looks = distinct(len(curves))
    for axes, frame, label in zip(panels, (evaluation, training), (metric, reward), strict=True):
        for curve, look in zip(curves, looks, strict=True):
            _draw_curve(axes, frame[frame["trial"] == curve.trial], *look)
        step_axis(axes)
        axes.set_ylabel(label)
        _value_axis(axes, frame["value"])
        if frame.empty:
            axes.text(0.5, 0.5, "not recorded", transform=axes.transAxes, ha="center", color=FAINT)
    panels[0].set_title(_seed_note("thick", "thin", seeds), loc="left", color=FAINT, fontsize=7)
    curve_legend(figure, curves, looks)
    return figure


def _draw_trials(
    axes: Axes, points: pd.DataFrame, schedule: str, colour: Any, shape: str, shift_pt: float
) -> None:
    """The trials of one tau and schedule, moved sideways so that they do not hide others.

    points: of this schedule, and of no margin: the line through the means starts there.
    """
    figure = axes.figure
    moved = axes.transData + ScaledTranslation(shift_pt / 72, 0, figure.dpi_scale_trans)
    keys = ["trial", "label", "state", "tau", "ratio", "schedule", "complete"]
    trials = points.groupby(keys)["value"].agg(["mean", "min", "max"]).reset_index()
    finished = trials[trials["state"].isin(WITH_RESULT) & trials["complete"]]
    line = finished.sort_values("ratio")
    # Several trials at one M/tau differ in something else: a line would zigzag among them.
    if schedule != NO_MARGIN and line["ratio"].is_unique and len(line) > 1:
        axes.plot(line["ratio"], line["mean"], color=colour, transform=moved, alpha=0.5, lw=1)
    points, trials = (frame[frame["schedule"] == schedule] for frame in (points, trials))
    spread = points[points.groupby("trial")["seed"].transform("size") > 1]
    axes.plot(spread["ratio"], spread["value"], "_", color=colour, transform=moved, ms=8, mew=0.7)
    axes.vlines(
        trials["ratio"], trials["min"], trials["max"], color=colour, transform=moved, lw=0.7
    )
    for trial in trials.to_dict("records"):
        solid = trial["state"] in WITH_RESULT and trial["complete"]
        axes.plot(
            [trial["ratio"]],
            [trial["mean"]],
            shape,
            markeredgecolor="white" if solid else colour,
            markerfacecolor=colour if solid else "white",
            markeredgewidth=0.5 if solid else 1.0,
            markersize=5.5 if solid else 4.5,
            transform=moved,
            zorder=3,
        )


def _draw_stopped(axes: Axes, ratios: pd.Series[float], colour: Any, shift_pt: float) -> None:
    """Crosses at the lower edge, moved sideways as by `_draw_trials`."""
    figure = axes.figure
    moved = axes.get_xaxis_transform() + ScaledTranslation(shift_pt / 72, 0, figure.dpi_scale_trans)
    at = sorted(ratios.unique())
    axes.plot(at, [0.02] * len(at), "x", color=colour, transform=moved, ms=4.5, mew=1.0, zorder=3)


def _draw_curve(axes: Axes, curve: pd.DataFrame, colour: Any, style: Any) -> None:
    wide = curve.pivot(index="step", columns="seed", values="value")
    for seed in wide if wide.shape[1] > 1 else ():
        line = wide[seed].dropna()
        axes.plot(line.index, line, color=colour, linewidth=0.6, alpha=0.45)
    mean = wide.dropna().mean(axis=1)
    axes.plot(mean.index, mean, color=colour, linestyle=style)


def _baseline_names(axes: Axes, points: pd.DataFrame) -> None:
    """The labels of labelled trials, beside their markers and clear of one another."""
    means = points.groupby(["label", "trial", "ratio"])["value"].mean().reset_index()
    to_axes = axes.transData + axes.transAxes.inverted()
    spots = to_axes.transform(means[["ratio", "value"]].to_numpy())
    # Left, right, bottom and top of what no name may cover, in fractions of the axes.
    taken = [(x - 0.02, x + 0.02, y - 0.03, y + 0.03) for x, y in spots]
    for index in means[means["label"] != ""].sort_values("value", ascending=False).index:
        label, (x, y) = visible(means["label"][index], 40), spots[index]
        width = 0.0125 * len(label)
        left = x + 0.04 if x < 0.6 else x - 0.04 - width
        boxes = [(left, left + width, h - 0.025, h + 0.025) for h in _heights(y)]
        free = [box for box in boxes if not any(_overlap(box, other) for other in taken)]
        box = (free or boxes)[0]
        taken.append(box)
        axes.annotate(
            label,
            (means["ratio"][index], means["value"][index]),
            xytext=(box[0] if x < 0.6 else box[1], (box[2] + box[3]) / 2),
            textcoords="axes fraction",
            ha="left" if x < 0.6 else "right",
            va="center",
            fontsize=7,
            color=INK,
            arrowprops={"arrowstyle": "-", "color": FAINT, "linewidth": 0.7, "shrinkB": 4},
        )


def _heights(y: float) -> list[float]:
    """Fractions of the axes at which the name of a point at `y` may stand: below it, else above."""
    away = [0.09 + 0.055 * index for index in range(18)]
    heights = [*(y - distance for distance in away), *(y + distance for distance in away)]
    return [height for height in heights if 0.03 < height < 0.97]


def _overlap(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]


def _margin_axis(axes: Axes, ratios: pd.Series[float]) -> None:
    """Logarithmic, but linear near 0, which must be visible."""
    largest = max(ratios.max(), 1e-12)
    # A baseline with a tiny margin must not stretch the axis: next to 0 is where it belongs.
    threshold = max(ratios[ratios > 0].min(), largest / 200) if ratios.any() else 1.0
    axes.set_xscale("symlog", linthresh=threshold, linscale=0.6)
    scale = axes.xaxis.get_transform()
    low, high = scale.transform([0.0, largest if ratios.any() else 1.0])
    pad = 0.08 * (high - low)
    axes.set_xlim(*scale.inverted().transform([low - pad, high + pad]))
    ticks = sorted(ratio for ratio in ratios.unique() if ratio >= threshold)
    if len(ticks) > 7:
        first, last = math.ceil(math.log10(threshold)), math.floor(math.log10(largest))
        ticks = [10.0**power for power in range(first, last + 1)]
    axes.set_xticks([0.0, *ticks], ["0", *(f"{ratio:.3g}" for ratio in ticks)])
    axes.minorticks_off()


def _value_axis(axes: Axes, values: pd.Series[float]) -> None:
    """From 0 to 1 for fractions, so that heights are comparable between figures."""
    if values.between(0, 1).all():
        axes.set_ylim(0, 1)


def _seed_note(mean: str, single: str, seeds: int) -> str:
    if seeds == 1:
        return "one seed per trial: no spread"
    return f"{mean}: mean of {seeds} seeds; {single}: each seed"


def _margin_legend(
    figure: Figure,
    tau_colour: Mapping[float, Any],
    marker: Mapping[str, str],
    points: pd.DataFrame,
    initial: float | None,
) -> None:
    every = -(-len(tau_colour) // _MOST_TAUS)
    named = list(tau_colour.items())[::every]
    handles = [_line(color=colour, label=f"tau {tau:.3g}") for tau, colour in named]
    for name, shape in marker.items():
        label = name if name == NO_MARGIN else f"{name} margin"
        handles.append(_line(color=INK, marker=shape, linestyle="", label=label))
    pruned = points["state"] == TrialState.PRUNED
    if not points["complete"][~pruned].all():
        label = "hollow: a seed is missing"
        handles.append(_line(color=INK, marker="o", mfc="white", linestyle="", label=label))
    if pruned.any():
        label = "pruned: no value\nafter training"
        handles.append(_line(color=INK, marker="x", ms=4.5, linestyle="", label=label))
    if initial is not None:
        handles.append(_line(color=FAINT, linestyle="--", label="before training"))
    figure.legend(handles=handles, loc="outside right upper")


def _line(**options: Any) -> Line2D:
    return Line2D([], [], **options)
