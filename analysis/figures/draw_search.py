"""Figures of a search: its history, its settings side by side, and the best compromises."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.data_search import setting_label
from analysis.figures.style import (
    COLUMN_IN,
    FAINT,
    INK,
    NEGATIVE,
    PAGE_IN,
    POSITIVE,
    VALUE_SCALE,
)
from analysis.load.text import visible

_PAD = 0.08
_MOST_VECTORS = 1000
"""Lines that a figure holds as such."""


def optimisation_history(
    frame: pd.DataFrame, *, metric: str, direction: Literal["max", "min"]
) -> Figure:
    """The value of every trial in the order of the search, and the best so far.

    frame: of `data_search.search_frame`, with at least one value.
    """
    figure = Figure(figsize=(PAGE_IN, 0.38 * PAGE_IN))
    axes = figure.subplots()
    shown = frame[frame["value"].notna()]
    usable = shown[shown["usable"]]
    best = usable["value"].cummax() if direction == "max" else usable["value"].cummin()
    axes.step(usable["number"], best, where="post", color=FAINT, linewidth=1.2, zorder=1)
    axes.errorbar(
        shown["number"],
        shown["value"],
        yerr=shown["sd"].astype(float),
        fmt="none",
        ecolor=FAINT,
        elinewidth=0.7,
    )
    kinds = (
        (shown["usable"] & (shown["label"] == ""), "o", POSITIVE, POSITIVE, "searched"),
        (shown["usable"] & (shown["label"] != ""), "D", NEGATIVE, NEGATIVE, "baseline"),
        (~shown["usable"], "o", INK, "white", "pruned, running or a seed missing: last value"),
    )
    handles = [Line2D([], [], color=FAINT, label="best so far")]
    for chosen, marker, edge, face, name in kinds:
        if chosen.any():
            look: dict[str, Any] = {"marker": marker, "mec": edge, "mfc": face, "ls": "", "ms": 4}
            axes.plot(shown["number"][chosen], shown["value"][chosen], **look)
            handles.append(Line2D([], [], **look, label=name))
    spread = " (bar: ± 1 SD over seeds)" if shown["sd"].notna().any() else " (one seed)"
    axes.set_ylabel(f"{metric}\n{spread.strip()}")
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def setting_importance(found: pd.DataFrame, *, trials: int) -> Figure:
    """Share of the variance by setting, with what chance alone reaches; see `importance`."""
    figure = Figure(figsize=(COLUMN_IN, 0.8 + 0.26 * len(found)))
    axes = figure.subplots()
    heights = np.arange(len(found))[::-1]
    axes.barh(heights, found["share"], height=0.6, color=POSITIVE)
    axes.plot(found["chance"], heights, "|", color=INK, ms=11, mew=1.4)
    axes.set_yticks(heights, [visible(setting_label(name), 30) for name in found["setting"]])
    axes.set_xlim(0, 1)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"share of the variance between {trials} trials\n(eta squared, by itself)")
    handle = Line2D([], [], color=INK, marker="|", ls="", ms=9, mew=1.4)
    figure.legend([handle], ["95 % of shuffled values stay below"], loc="outside lower center")
    return figure


def parallel_coordinates(frame: pd.DataFrame, settings: Sequence[str], *, metric: str) -> Figure:
    """Every usable trial as a line through its settings, coloured by its value.

    frame: of `search_frame`. settings: at least two of its columns.
    """
    usable = frame[frame["usable"]].sort_values("value")
    figure = Figure(figsize=(PAGE_IN, 0.42 * PAGE_IN))
    axes = figure.subplots()
    scale = Normalize(usable["value"].min(), usable["value"].max())
    columns = []
    for index, name in enumerate(settings):
        heights, ticks = _axis(usable[name])
        columns.append(heights)
        axes.axvline(index, color=INK, linewidth=0.7, zorder=3)
        for height, text in ticks:
            axes.annotate(
                text,
                (index, height),
                xytext=(3, 0),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
                zorder=4,
                bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.75},
            )
    # Trials with one setting in common share a point of its axis: a little apart they all show.
    spread = np.linspace(-0.012, 0.012, max(len(usable), 2))
    # As one artist, and in a large study as pixels: a line of its own costs ten times as much.
    upward = np.stack(columns, axis=1) + spread[: len(usable), None]
    across = np.broadcast_to(np.arange(len(settings)), upward.shape)
    lines = LineCollection(
        list(np.stack([across, upward], axis=2)),
        colors=matplotlib.colormaps[VALUE_SCALE](scale(usable["value"].to_numpy(dtype=float))),
        linewidths=1.1,
        alpha=0.85,
        capstyle="projecting",
        joinstyle="round",
        zorder=2,
        rasterized=len(usable) > _MOST_VECTORS,
    )
    axes.add_collection(lines)
    axes.autoscale_view()
    names = [textwrap.fill(visible(setting_label(name), 30), 14) for name in settings]
    axes.set_xticks(range(len(settings)), names)
    axes.set_yticks([])
    axes.set_xlim(-0.1, len(settings) - 1 + 0.45)
    axes.spines[["left", "bottom"]].set_visible(False)
    figure.colorbar(ScalarMappable(scale, VALUE_SCALE), ax=axes, label=metric, pad=0.01)
    return figure


def pareto(
    points: pd.DataFrame, front: Sequence[str], aims: Sequence[tuple[str, str]], *, metric: str
) -> Figure:
    """The study's metric against each further objective, the best compromises marked.

    points: trial, value, and a column per aim. front: ids of trials that none dominates.
    aims: (column, axis label).
    """
    figure = Figure(figsize=(PAGE_IN if len(aims) > 1 else COLUMN_IN, 2.6))
    grid = figure.subplots(1, len(aims), sharey=True, squeeze=False).flatten()
    best = points["trial"].isin(list(front))
    for axes, (column, label) in zip(grid, aims, strict=True):
        axes.plot(points[column][~best], points["value"][~best], "o", color=FAINT, ms=3.5)
        chosen = points[best].sort_values(column)
        # With further objectives the front is no line in the plane of two.
        line = "-" if len(aims) == 1 else ""
        axes.plot(chosen[column], chosen["value"], "D", ls=line, color=NEGATIVE, ms=4.5, lw=0.8)
        for index, trial in enumerate(chosen["trial"]):
            at = (chosen[column].iloc[index], chosen["value"].iloc[index])
            offset = (4, 4 if index % 2 else -9)
            axes.annotate(trial, at, xytext=offset, textcoords="offset points", fontsize=6.5)
        axes.set_xlabel(label)
        axes.margins(0.1)
    grid[0].set_ylabel(metric)
    handles = [
        Line2D([], [], color=NEGATIVE, marker="D", ls="", ms=4, label="best compromises"),
        Line2D([], [], color=FAINT, marker="o", ls="", ms=4, label="dominated by another trial"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _absent_first(text: str) -> tuple[bool, str]:
    return text != "absent", text


def _axis(values: pd.Series[Any]) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights in [0, 1] of the values, and the ticks as (height, text).

    Numbers that span more than a factor of ten are placed by their logarithm; a value that a trial
    does not have, and 0 on such an axis, lie below the others.
    """
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() < values.notna().sum() or numbers.nunique() <= 1:
        texts = ["absent" if pd.isna(value) else str(value) for value in values]
        order = {text: index for index, text in enumerate(sorted(set(texts), key=_absent_first))}
        last = max(len(order) - 1, 1)
        return [order[text] / last for text in texts], [
            (index / last, visible(text, 20)) for text, index in order.items()
        ]
    positive = numbers[numbers > 0]
    logarithmic = bool((numbers.dropna() >= 0).all() and positive.max() > 10 * positive.min())
    scaled = np.log(numbers.where(numbers > 0)) if logarithmic else numbers
    low, high = scaled.min(), scaled.max()
    gaps = numbers.isna().any() + (logarithmic and (numbers == 0).any())
    start = 1.6 * _PAD * gaps
    place = start + (1 - start) * (scaled - low) / ((high - low) or 1.0)
    if logarithmic:
        place = place.where(numbers != 0, start - 1.6 * _PAD)
    place = place.fillna(0.0)
    shown = sorted(numbers.dropna().unique())
    if len(shown) > 8:
        shown = [shown[0], shown[len(shown) // 2], shown[-1]]
    ticks = [(float(place[numbers == value].iloc[0]), f"{value:.3g}") for value in shown]
    ticks += [(0.0, "absent")] if numbers.isna().any() else []
    return place.tolist(), ticks
