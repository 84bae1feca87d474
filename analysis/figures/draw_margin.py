"""The figure of margin and temperature: a panel for each temperature, or one for many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation, Transform

from analysis.figures.data_margin import MarginPanel
from analysis.figures.style import (
    FAINT,
    INK,
    OTHER_SCHEDULE,
    PAGE_IN,
    SCHEDULES,
    SMALL_PT,
    label_below,
    log_axis,
    shortened,
    title_panels,
    wrapped,
)
from analysis.figures.symbols import SYMBOLS, literal, setting_is, setting_title
from analysis.findings.frames import WITH_RESULT
from analysis.findings.trial_settings import NO_MARGIN
from conspo_study.records import TrialState

COLUMNS = 4
"""Panels side by side."""
_MOST_PLACES = 8
"""More values of M/tau than this get a logarithmic axis, fewer a place each."""
_APART_PT, _WIDEST_PT = 6.0, 22.0
"""Between trials of one M/tau, and from the first to the last."""
_LINES = ("-", (0, (5, 1.5)), (0, (1, 1.2)), (0, (5, 1.2, 1, 1.2)))
MOST_BASELINES = len(_LINES)
_DIFFERENCE = "paired difference\nto no margin"


def margin_multiples(
    panels: Sequence[MarginPanel], *, metric: str, initial: float | None, baselines: pd.DataFrame
) -> Figure:
    """Final metric against M/tau, a panel per temperature; below each, where a trial without a
    margin has finished, the paired differences to it. Nothing joins the points.

    A pruned trial has no final value: what it had at its last step is no point of this axis, where
    slow starters would look like failures. A cross at the lower edge stands for it.

    metric: plain text. initial: the metric before training, a dashed line where it is in range.
    baselines: of `frames.baselines_without_margin`, at most `MOST_BASELINES`, drawn as lines.
    """
    trials = pd.concat([panel.trials for panel in panels])
    kinds = ("value", "difference") if trials["difference"].notna().any() else ("value",)
    spots = _spots(panels)
    blocks, columns = (1 + max(found) for found in zip(*spots, strict=True))
    height = (1.95 if len(kinds) == 1 else 3.1) * blocks + 0.55
    figure = Figure(figsize=(PAGE_IN if columns > 2 else 0.35 * PAGE_IN * (columns + 1), height))
    grid = figure.subplots(
        *(blocks * len(kinds), columns),
        squeeze=False,
        height_ratios=[1.0, 0.85][: len(kinds)] * blocks,
    )
    drawn: list[list[Axes]] = [[] for _ in kinds]
    for panel, (block, column) in zip(panels, spots, strict=True):
        for part, kind in enumerate(kinds):
            axes = grid[len(kinds) * block + part, column]
            drawn[part].append(axes)
            places = _ratio_axis(axes, trials["ratio"])
            _draw_trials(axes, panel.trials, places, "" if kind == "value" else "difference_")
            axes.tick_params(labelleft=column == 0, labelbottom=part == len(kinds) - 1)
    for axes in set(grid.flat) - {axes for part in drawn for axes in part}:
        axes.set_axis_off()
    lines = _levels(baselines)
    for axes, panel in zip(drawn[0], panels, strict=True):
        _draw_stopped(axes, panel.trials, _ratio_axis(axes, trials["ratio"]), INK)
        _draw_levels(axes, baselines, lines, panel.other)
    in_range = _value_limits(drawn[0], trials, baselines, initial)
    if len(kinds) > 1:
        _difference_panels(drawn[1], panels, trials)
    title_panels(drawn[0], [_title(panel) for panel in panels])
    for label, row_of_kind in zip((wrapped(metric, 30), _DIFFERENCE), drawn, strict=False):
        for axes, (_, column) in zip(row_of_kind, spots, strict=True):
            axes.set_ylabel("" if column else label)
    lowest = {column: index for index, (_, column) in enumerate(spots)}
    for index in lowest.values():
        drawn[-1][index].set_xlabel(SYMBOLS["ratio"])
    handles = [*_schedule_handles(trials), *_mark_handles(trials)]
    handles += _level_handles(baselines, lines, in_range)
    figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.4)
    return figure


def margin_scatter(
    points: pd.DataFrame, *, metric: str, initial: float | None, baselines: pd.DataFrame
) -> Figure:
    """Final metric against M/tau of trials at more temperatures than there is room for panels: a
    point per trial, its mean over seeds, coloured by temperature; a panel per value of `other`.

    points: of `frames.margin_points`. The rest as for `margin_multiples`.
    """
    keys = ["trial", "state", "tau", "ratio", "schedule", "other", "complete"]
    trials = points.groupby(keys, sort=False)["value"].mean().reset_index()
    positive = trials["tau"][trials["tau"] > 0]
    low, high = (positive.min(), positive.max()) if len(positive) else (1.0, 1.0)
    high = high if high > low else 1.01 * low
    scale = LogNorm(low, high)
    # The brightest tenth of the map is too pale on white.
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.9, 256))
    mapped = LinearSegmentedColormap.from_list("temperatures", colours)
    others = list(trials["other"].value_counts().index)
    figure = Figure(figsize=(PAGE_IN if len(others) > 1 else 0.75 * PAGE_IN, 2.9))
    panels = figure.subplots(1, len(others), squeeze=False, sharey=True)[0]
    lines = _levels(baselines)
    for axes, other in zip(panels, others, strict=True):
        own = trials[trials["other"] == other]
        _ratio_axis(axes, trials["ratio"], always_numbers=True)
        for row in own[own["state"] != TrialState.PRUNED].to_dict("records"):
            colour = mapped(scale(max(row["tau"], low)))
            shape = SCHEDULES.get(row["schedule"], OTHER_SCHEDULE)[0]
            face = colour if row["complete"] else "white"
            axes.plot([row["ratio"]], [row["value"]], shape, color=colour, mfc=face, ms=4)
        _draw_stopped(axes, own, {}, INK)
        _draw_levels(axes, baselines, lines, other)
    ended = trials[trials["state"] != TrialState.PRUNED]
    in_range = _value_limits(list(panels), ended.assign(by_seed=None), baselines, initial)
    title_panels(panels, [wrapped(other, 40) for other in others] if len(others) > 1 else [""])
    panels[0].set_ylabel(wrapped(metric, 40))
    label_below(panels, len(others), setting_title("ratio"))
    bar = figure.colorbar(ScalarMappable(scale, mapped), ax=list(panels), pad=0.02)
    bar.set_label(setting_title("tau"))
    log_axis(bar.ax, "y", [low, high, *positive])
    bar.ax.set_ylim(low, high)
    handles = [*_schedule_handles(trials, INK), *_state_handles(trials)]
    handles += _level_handles(baselines, lines, in_range)
    figure.legend(handles=handles, loc="outside lower center", ncols=5, columnspacing=1.4)
    return figure


def _spots(panels: Sequence[MarginPanel]) -> list[tuple[int, int]]:
    """Block of rows and column of each panel: side by side where all fit, else a block or more for
    each group of other settings."""
    spots: list[tuple[int, int]] = []
    for index, panel in enumerate(panels):
        block, column = spots[-1] if spots else (0, -1)
        regrouped = bool(index) and len(panels) > COLUMNS and panels[index - 1].other != panel.other
        fits = column + 1 < COLUMNS and not regrouped
        spots.append((block, column + 1) if fits else (block + 1, 0))
    return spots


def _draw_trials(axes: Axes, trials: pd.DataFrame, places: dict[float, int], prefix: str) -> None:
    """Mean, interval and seeds of each trial, beside one another where they share M/tau.

    prefix: `difference_` for differences, whose mean is the column `difference`.
    """
    mean = "difference" if prefix else "value"
    shown = trials[trials[mean].notna()].sort_values(["schedule", "trial"])
    for ratio in sorted(map(float, shown["ratio"].unique())):
        group = shown[shown["ratio"] == ratio]
        step = min(_APART_PT, _WIDEST_PT / max(len(group) - 1, 1))
        for rank, row in enumerate(group.to_dict("records")):
            moved = _moved(axes, axes.transData, (rank - (len(group) - 1) / 2) * step)
            shape, colour = SCHEDULES.get(row["schedule"], OTHER_SCHEDULE)
            x = places.get(ratio, ratio)
            seeds = row[f"{prefix}by_seed"]
            look: dict[str, Any] = {"color": colour, "transform": moved}
            if len(seeds) > 1:
                axes.plot([x] * len(seeds), seeds, "_", ms=4, mew=0.6, alpha=0.7, **look)
            low, high = row[f"{prefix}low"], row[f"{prefix}high"]
            if not math.isnan(low):
                axes.vlines([x], [low], [high], lw=1.1, **look)
            solid = row["state"] in WITH_RESULT and row["complete"]
            face = colour if solid else "white"
            axes.plot([x], [row[mean]], shape, ms=4, mfc=face, mew=0.8, zorder=3, **look)


def _draw_stopped(axes: Axes, trials: pd.DataFrame, places: dict[float, int], colour: Any) -> None:
    """A cross at the lower edge for each M/tau of a pruned trial."""
    ratios = sorted(trials.loc[trials["state"] == TrialState.PRUNED, "ratio"].unique())
    at = [places.get(float(ratio), ratio) for ratio in ratios]
    look: dict[str, Any] = {"color": colour, "transform": axes.get_xaxis_transform()}
    axes.plot(at, [0.03] * len(at), "x", ms=4, mew=0.9, zorder=3, **look)


def _draw_levels(axes: Axes, baselines: pd.DataFrame, lines: Sequence[Any], other: str) -> None:
    """The baselines of one group of other settings as lines."""
    for row, line in zip(baselines.to_dict("records"), lines, strict=True):
        if row["other"] == other:
            axes.axhline(row["value"], color=INK, linestyle=line, lw=0.7, alpha=0.7, zorder=1)


def _difference_panels(
    drawn: Sequence[Axes], panels: Sequence[MarginPanel], trials: pd.DataFrame
) -> None:
    """Zero in each, equal limits, and a word where there is nothing to subtract."""
    known = trials[trials["difference"].notna()]
    seeds = [value for values in known["difference_by_seed"] for value in values]
    low, high = min([0.0, *seeds]), max([0.0, *seeds])
    # One interval of two seeds must not flatten all others: it leaves the axis.
    room = 0.7 * (high - low or 1.0)
    low = min(low, max(low - room, known["difference_low"].fillna(0.0).min()))
    high = max(high, min(high + room, known["difference_high"].fillna(0.0).max()))
    pad = 0.08 * (high - low or 1.0)
    for axes, panel in zip(drawn, panels, strict=True):
        axes.axhline(0, color=INK, lw=0.7, zorder=1)
        axes.set_ylim(low - pad, high + pad)
        if panel.trials["difference"].isna().all():
            where: dict[str, Any] = {"transform": axes.transAxes, "ha": "center"}
            axes.text(0.5, 0.5, "nothing to compare", color=FAINT, fontsize=SMALL_PT, **where)


def _value_limits(
    drawn: Sequence[Axes], trials: pd.DataFrame, baselines: pd.DataFrame, initial: float | None
) -> bool:
    """Equal limits around what was measured; returns whether the start is within and drawn."""
    known = trials[trials["value"].notna()]
    seeds = [value for values in known["by_seed"] for value in values or ()]
    values = [*known["value"], *seeds, *baselines["value"]]
    values = values or ([0.0, 1.0] if initial is None else [initial])
    low, high = min(values), max(values)
    span = high - low or 0.1
    for name in ("low", "high") if "low" in known else ():
        ends = known[name].dropna()
        low = min([low, *ends[ends > low - 0.5 * span]])
        high = max([high, *ends[ends < high + 0.5 * span]])
    in_range = initial is not None and low - span <= initial <= high + span
    if in_range and initial is not None:
        low, high = min(low, initial), max(high, initial)
    for axes in drawn:
        # Room for the crosses at the lower edge.
        axes.set_ylim(low - 0.12 * (high - low or 0.1), high + 0.07 * (high - low or 0.1))
        if in_range and initial is not None:
            axes.axhline(initial, color=FAINT, linestyle="--", lw=0.9, zorder=1)
    return in_range


def _ratio_axis(
    axes: Axes, ratios: pd.Series[float], always_numbers: bool = False
) -> dict[float, int]:
    """Horizontal axis of M/tau; returns the place of each value where there are few, else
    nothing, and the axis is logarithmic."""
    distinct = sorted({float(ratio) for ratio in ratios})
    if always_numbers or len(distinct) > _MOST_PLACES:
        log_axis(axes, "x", distinct, most=5)
        return {}
    axes.set_xticks(range(len(distinct)), [f"{ratio:.3g}" for ratio in distinct])
    axes.set_xlim(-0.6, len(distinct) - 0.4)
    return {ratio: place for place, ratio in enumerate(distinct)}


def _moved(axes: Axes, base: Transform, points: float) -> Transform:
    """To the right by so many points."""
    return base + ScaledTranslation(points / 72, 0, axes.figure.dpi_scale_trans)


def _title(panel: MarginPanel) -> str:
    other = f"\n{wrapped(panel.other, 32)}" if panel.other else ""
    return setting_is("tau", panel.tau) + other


def _levels(baselines: pd.DataFrame) -> list[Any]:
    """A line style for each baseline, the same for one label in all panels."""
    labels = list(dict.fromkeys(baselines["label"]))
    return [_LINES[labels.index(label) % len(_LINES)] for label in baselines["label"]]


def _schedule_handles(trials: pd.DataFrame, colour: Any = None) -> Iterator[Line2D]:
    found = list(trials["schedule"].value_counts().index)
    for name in sorted(found, key=lambda name: name != NO_MARGIN):
        shape, own = SCHEDULES.get(name, OTHER_SCHEDULE)
        label = name if name == NO_MARGIN else f"{literal(name)} margin"
        yield _handle(color=colour or own, marker=shape, ms=4, linestyle="", label=label)


def _mark_handles(trials: pd.DataFrame) -> Iterator[Line2D]:
    if (trials["by_seed"].dropna().map(len) > 1).any():
        yield _handle(color=FAINT, marker="_", ms=5, linestyle="", label="each seed")
    if trials[["low", "difference_low"]].notna().any(axis=None):
        yield _handle(color=FAINT, marker="|", ms=8, mew=1.1, linestyle="", label="95 % CI")
    yield from _state_handles(trials)


def _state_handles(trials: pd.DataFrame) -> Iterator[Line2D]:
    pruned = trials["state"] == TrialState.PRUNED
    if not trials["complete"][~pruned].all():
        label = "hollow: a seed is missing"
        yield _handle(color=INK, marker="o", ms=4, mfc="white", linestyle="", label=label)
    if pruned.any():
        label = "pruned: no value after training"
        yield _handle(color=INK, marker="x", ms=4, linestyle="", label=label)


def _level_handles(
    baselines: pd.DataFrame, lines: Sequence[Any], in_range: bool
) -> Iterator[Line2D]:
    for label, line in dict(zip(baselines["label"], lines, strict=True)).items():
        yield _handle(color=INK, linestyle=line, lw=0.8, label=shortened(label, 30))
    if in_range:
        yield _handle(color=FAINT, linestyle="--", lw=0.9, label="before training")


def _handle(**options: Any) -> Line2D:
    return Line2D([], [], **options)
