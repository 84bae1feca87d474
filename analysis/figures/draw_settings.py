"""Figures of single settings: sensitivity, tau against M/tau, and the group size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.data_search import setting_label
from analysis.figures.style import (
    COLUMN_IN,
    FAINT,
    INK,
    PAGE_IN,
    POSITIVE,
    VALUE_SCALE,
    colours,
    log_axis,
)


def sensitivity(
    frame: pd.DataFrame, lines: Mapping[str, Sequence[pd.DataFrame]], *, metric: str
) -> Figure:
    """Value against tau, M, M/tau and alpha, as far as they vary; figure 3 of the paper.

    frame: of `search_frame`. lines: column -> its `slices`, in the order of the panels.
    """
    columns = min(4, len(lines))
    width = PAGE_IN if columns > 1 else COLUMN_IN
    figure = Figure(figsize=(width, 2.4))
    grid = figure.subplots(1, columns, sharey=True, squeeze=False).flatten()
    for axes, (name, found) in zip(grid, lines.items(), strict=True):
        known = frame[frame[name].notna() & frame["value"].notna()]
        usable, others = known[known["usable"]], known[~known["usable"]]
        axes.plot(others[name], others["value"], "o", mec=FAINT, mfc="white", ms=3.5)
        for line in found:
            axes.plot(line[name], line["value"], color=POSITIVE, alpha=0.35, linewidth=1)
        axes.errorbar(
            usable[name],
            usable["value"],
            yerr=usable["sd"].astype(float),
            fmt="o",
            ms=3.5,
            color=POSITIVE,
            ecolor=FAINT,
            elinewidth=0.7,
        )
        if name != "alpha":
            log_axis(axes, "x", known[name].tolist(), most=4)
        axes.set_xlabel(_SETTINGS.get(name, setting_label(name)))
    grid[0].set_ylabel(metric)
    return figure


def tau_margin_map(frame: pd.DataFrame, *, metric: str) -> Figure:
    """Mean value over trials at each tau and M/tau: cells of a grid, or points without one.

    frame: of `search_frame`; both settings vary among its usable trials.
    """
    usable = frame[frame["usable"] & frame["tau"].notna() & frame["ratio"].notna()]
    scale = Normalize(usable["value"].min(), usable["value"].max())
    taus, ratios = (sorted(usable[name].unique()) for name in ("tau", "ratio"))
    figure = Figure(figsize=(0.62 * PAGE_IN, 0.4 * PAGE_IN))
    axes = figure.subplots()
    if len(taus) <= 8 and len(ratios) <= 10:
        _cells(axes, usable, taus, ratios, scale)
    else:
        axes.scatter(
            usable["tau"], usable["ratio"], c=usable["value"], cmap=VALUE_SCALE, norm=scale, s=26
        )
        log_axis(axes, "x", taus)
        log_axis(axes, "y", ratios)
        axes.grid(visible=False)
    axes.set(xlabel="tau", ylabel="M/tau (0: no margin)")
    figure.colorbar(ScalarMappable(scale, VALUE_SCALE), ax=axes, label=metric, pad=0.02)
    return figure


def group_size_costs(frame: pd.DataFrame, *, metric: str) -> Figure:
    """Evaluations against the rollouts and the time that they had cost, coloured by group size.

    frame: of `data_training.cost_curves`; means over seeds are drawn, one line per trial.
    """
    figure = Figure(figsize=(PAGE_IN, 0.38 * PAGE_IN))
    panels = figure.subplots(1, 2, sharey=True)
    sizes = sorted(frame["group_size"].unique())
    palette = dict(zip(sizes, colours(len(sizes)), strict=True))
    labels = ("rollouts sampled", "seconds of training on this machine")
    for axes, column, label in zip(panels, ("rollouts", "seconds"), labels, strict=True):
        for (_, size), group in frame.groupby(["trial", "group_size"]):
            means = group.groupby("step")[[column, "value"]].mean().dropna()
            axes.plot(means[column], means["value"], color=palette[size], lw=0.9, alpha=0.7)
            axes.plot(
                means[column].iloc[-1:], means["value"].iloc[-1:], "o", color=palette[size], ms=3.5
            )
        axes.set_xlabel(label)
        axes.set_xlim(left=0)
    panels[0].set_ylabel(metric)
    handles = [
        Line2D([], [], color=colour, marker="o", ms=3.5, label=f"group size {size}")
        for size, colour in palette.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


_SETTINGS = {
    "tau": "temperature tau",
    "margin": "target margin M (nats)",
    "ratio": "M/tau",
    "alpha": "warm-up fraction alpha",
}


def _cells(
    axes: Axes,
    usable: pd.DataFrame,
    taus: list[float],
    ratios: list[float],
    scale: Normalize,
) -> None:
    cells = usable.groupby(["ratio", "tau"])["value"].agg(["mean", "size"])
    table = cells["mean"].unstack().reindex(index=ratios, columns=taus).to_numpy()
    axes.imshow(table, origin="lower", aspect="auto", cmap=VALUE_SCALE, norm=scale)
    for (ratio, tau), mean, size in zip(cells.index, cells["mean"], cells["size"], strict=True):
        colour = "white" if scale(mean) < 0.55 else INK
        text = f"{mean:.3f}\nn = {size}"
        where = taus.index(tau), ratios.index(ratio)
        axes.text(*where, text, ha="center", va="center", color=colour, fontsize=6, linespacing=1)
    # Where no trial has finished there is no colour.
    axes.set_facecolor("#ececec")
    for edge in range(1, len(taus)):
        axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    for edge in range(1, len(ratios)):
        axes.axhline(edge - 0.5, color="white", linewidth=1.5)
    axes.set_xticks(range(len(taus)), [f"{tau:.3g}" for tau in taus])
    axes.set_yticks(range(len(ratios)), [f"{ratio:.3g}" for ratio in ratios])
    axes.grid(visible=False)
