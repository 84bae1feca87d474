"""Figures of a search: its history, the importance of settings, and the best compromises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.style import (
    COLUMN_IN,
    FAINT,
    INK,
    NEGATIVE,
    PAGE_IN,
    POSITIVE,
    SMALL_PT,
    title_panels,
    wrapped,
)
from analysis.figures.symbols import literal, setting_symbol


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
        (~shown["usable"], "o", INK, "white", "not finished, or a seed missing: last value"),
    )
    handles = [Line2D([], [], color=FAINT, label="best so far")]
    for chosen, marker, edge, face, name in kinds:
        if chosen.any():
            look: dict[str, Any] = {"marker": marker, "mec": edge, "mfc": face, "ls": "", "ms": 4}
            axes.plot(shown["number"][chosen], shown["value"][chosen], **look)
            handles.append(Line2D([], [], **look, label=name))
    spread = " (bar: ± 1 SD over seeds)" if shown["sd"].notna().any() else " (one seed)"
    axes.set_ylabel(f"{wrapped(metric, 36)}\n{spread.strip()}")
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
    axes.set_yticks(heights, list(map(setting_symbol, found["setting"])))
    axes.set_xlim(0, 1)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(f"share of the variance between {trials} trials\n($\\eta^2$, by itself)")
    handle = Line2D([], [], color=INK, marker="|", ls="", ms=9, mew=1.4)
    figure.legend([handle], ["95 % of shuffled values stay below"], loc="outside lower center")
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
            axes.annotate(
                literal(trial), at, xytext=offset, textcoords="offset points", fontsize=SMALL_PT
            )
        axes.set_xlabel(wrapped(label, 40))
        axes.margins(0.1)
    title_panels(grid)
    grid[0].set_ylabel("\n".join(map(literal, metric.split("\n"))))
    handles = [
        Line2D([], [], color=NEGATIVE, marker="D", ls="", ms=4, label="best compromises"),
        Line2D([], [], color=FAINT, marker="o", ls="", ms=4, label="dominated by another trial"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure
