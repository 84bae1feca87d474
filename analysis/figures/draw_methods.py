"""Figures that compare methods: means with intervals, and pass@k."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.data_training import Curve
from analysis.figures.legends import curve_legend, seed_range
from analysis.figures.style import (
    FAINT,
    PAGE_IN,
    POSITIVE,
    distinct,
    label_below,
    shortened,
    title_panels,
    wrapped,
)
from analysis.load.text import axis_label

MOST_PASS_BANDS = 5
"""Curves of pass@k that have bands; more of them would hide one another."""


def method_comparison(frame: pd.DataFrame, *, metric: str, initial: float | None) -> Figure:
    """Methods by their mean over benchmarks, best on top: point, interval, and each seed.

    frame: of `data_methods.method_frame`, at least one row. initial: the value before
    training, which is written rather than drawn: far away it would squeeze the methods together.
    """
    figure = Figure(figsize=(0.75 * PAGE_IN, 0.85 + 0.24 * len(frame)))
    axes = figure.subplots()
    ranked = frame.sort_values("value", ignore_index=True)
    for height, row in enumerate(ranked.to_dict("records")):
        seeds = row["by_seed"]
        axes.plot(seeds, [height - 0.24] * len(seeds), "|", color=FAINT, ms=5, mew=0.9)
        if not np.isnan(row["low"]):
            axes.plot([row["low"], row["high"]], [height] * 2, color=POSITIVE, linewidth=1.4)
        filled = "white" if np.isnan(row["low"]) else POSITIVE
        axes.plot([row["value"]], [height], "o", color=POSITIVE, mfc=filled, ms=4.5)
    axes.set_yticks(range(len(ranked)), [shortened(name, 36) for name in ranked["method"]])
    axes.set_ylim(-0.6, len(ranked) - 0.5)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    start = "" if initial is None else f"\nbefore training (not drawn): {initial:.3f}"
    axes.set_xlabel(wrapped(metric, 70) + start)
    seeds_text = seed_range(frame["seeds"])
    handles = [
        Line2D([], [], color=POSITIVE, marker="o", ms=4.5, label="mean, 95 % CI"),
        Line2D(
            [],
            [],
            color=FAINT,
            marker="|",
            ls="",
            label=f"each seed (n = {seeds_text})",
        ),
    ]
    if frame["low"].isna().any():
        look: dict[str, Any] = {
            "color": POSITIVE,
            "marker": "o",
            "mfc": "white",
            "ls": "",
            "ms": 4.5,
        }
        handles.append(Line2D([], [], **look, label="no interval"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def pass_at_k(frame: pd.DataFrame, curves: Sequence[Curve]) -> Figure:
    """pass@k against k, a panel per problem set and a curve per trial.

    frame: of `data_methods.pass_curves`; a mean over seeds, at the k that all of them have.
    """
    sets = list(dict.fromkeys(frame["problem_set"]))
    columns = min(len(sets), 4)
    rows = -(-len(sets) // columns)
    height = 1.8 * rows + 0.17 * -(-len(curves) // 2) + 0.3
    figure = Figure(figsize=(PAGE_IN if columns > 1 else 0.75 * PAGE_IN, height))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    looks = distinct(len(curves))
    ks = sorted(frame["k"].unique())
    for axes, name in zip(grid, sets, strict=False):
        for curve, (colour, line) in zip(curves, looks, strict=True):
            selected = frame[(frame["trial"] == curve.trial) & (frame["problem_set"] == name)]
            wide = selected.pivot(index="k", columns="seed", values="value").dropna()
            axes.plot(wide.index, wide.mean(axis=1), color=colour, ls=line, marker=".", lw=1.1)
            if wide.shape[1] > 1 and len(curves) <= MOST_PASS_BANDS:
                mean, sd = wide.mean(axis=1), wide.std(axis=1, ddof=1)
                axes.fill_between(
                    wide.index, mean - sd, mean + sd, color=colour, alpha=0.15, linewidth=0
                )
        axes.set_xscale("log", base=2)
        axes.set_xticks(ks, [str(k) for k in ks])
        axes.minorticks_off()
    for axes in grid[len(sets) :]:
        axes.set_axis_off()
    title_panels(grid[: len(sets)], [shortened(axis_label(name, 30)) for name in sets])
    for axes in grid[::columns]:
        axes.set_ylabel("pass@$k$")
    grid[0].set_ylim(0, 1.02)
    label_below(grid[: len(sets)], columns, "samples $k$")
    curve_legend(figure, curves, looks)
    return figure
