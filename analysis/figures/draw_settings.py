"""Figures of single settings: partial effects, tau against M/tau, and the group size."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.data_effects import PartialEffects
from analysis.figures.style import (
    COLUMN_IN,
    FAINT,
    INK,
    PAGE_IN,
    POSITIVE,
    SMALL_PT,
    VALUE_SCALE,
    colours,
    log_axis,
    shortened,
    title_panels,
    wrapped,
)
from analysis.figures.symbols import setting_is, setting_title

_COLUMNS = 4
_MOST_LETTERS = 24
"""Of the ticks of a panel side by side."""
_MOSTLY = 0.75
"""Share of the cells of a grid that have to be filled."""
_GROUP = "rollout.group_size"


def partial_effect_panels(found: PartialEffects, *, metric: str) -> Figure:
    """A panel per setting: the adjusted mean at each of its levels, with its interval, around the
    mean of all trials. metric: plain text."""
    columns = min(_COLUMNS, len(found.settings))
    rows = -(-len(found.settings) // columns)
    figure = Figure(figsize=(PAGE_IN if columns > 1 else COLUMN_IN, 1.95 * rows + 0.25))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).flatten()
    for axes, name in zip(grid, found.settings, strict=False):
        own = found.levels[found.levels["setting"] == name]
        places = range(len(own))
        axes.axhline(found.mean, color=FAINT, linestyle="--", lw=0.8, zorder=1)
        axes.vlines(places, own["low"], own["high"], color=POSITIVE, lw=1.2)
        for place, row in zip(places, own.to_dict("records"), strict=True):
            face = "white" if math.isnan(row["low"]) else POSITIVE
            axes.plot([place], [row["value"]], "o", color=POSITIVE, mfc=face, ms=4)
        crowded = sum(map(len, own["level"])) > _MOST_LETTERS
        axes.set_xticks(
            places,
            [shortened(level, 16) for level in own["level"]],
            rotation=30 if crowded else 0,
            rotation_mode="anchor",
            ha="right" if crowded else "center",
        )
        axes.set_xlim(-0.6, len(own) - 0.4)
    title_panels(grid[: len(found.settings)], list(map(setting_title, found.settings)))
    for axes in grid[len(found.settings) :]:
        axes.set_axis_off()
    for axes in grid[::columns]:
        axes.set_ylabel(wrapped(metric, 30))
    return figure


def tau_margin_map(frame: pd.DataFrame, *, metric: str) -> Figure:
    """Mean value over trials at each tau and M/tau: cells of a grid that is mostly filled, else a
    point each.

    frame: of `search_frame`; both settings vary among its usable trials. metric: plain text.
    """
    usable = frame[frame["usable"] & frame["tau"].notna() & frame["ratio"].notna()]
    cells = usable.groupby(["ratio", "tau"]).agg(mean=("value", "mean"), seeds=("n", "sum"))
    scale = Normalize(cells["mean"].min(), cells["mean"].max())
    taus, ratios = (sorted(usable[name].unique()) for name in ("tau", "ratio"))
    figure = Figure(figsize=(0.62 * PAGE_IN, 0.4 * PAGE_IN))
    axes = figure.subplots()
    if is_grid(usable):
        _cells(axes, cells, taus, ratios, scale)
    else:
        shown = cells.reset_index()
        look: dict[str, Any] = {
            "cmap": VALUE_SCALE,
            "norm": scale,
            "s": 26,
            "edgecolors": INK,
            "linewidths": 0.4,
        }
        axes.scatter(shown["tau"], shown["ratio"], c=shown["mean"], **look)
        log_axis(axes, "x", taus)
        log_axis(axes, "y", ratios)
        axes.grid(visible=False)
    axes.set(xlabel=setting_title("tau"), ylabel=f"{setting_title('ratio')}\n(0: no margin)")
    bar = figure.colorbar(ScalarMappable(scale, VALUE_SCALE), ax=axes, pad=0.02)
    bar.set_label(wrapped(metric, 40))
    return figure


def is_grid(usable: pd.DataFrame) -> bool:
    """Whether most cells of tau and M/tau are filled, and there is room for all."""
    taus, ratios = usable["tau"].nunique(), usable["ratio"].nunique()
    filled = len(usable.drop_duplicates(["tau", "ratio"]))
    return taus <= 8 and ratios <= 10 and filled >= _MOSTLY * taus * ratios


def group_size_costs(frame: pd.DataFrame, *, metric: str) -> Figure:
    """Evaluations against the rollouts and the time that they had cost, coloured by group size.

    frame: of `data_training.cost_curves`; means over seeds are drawn, one line per trial. metric:
    plain text.
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
    title_panels(panels)
    panels[0].set_ylabel(wrapped(metric, 40))
    handles = [
        Line2D([], [], color=colour, marker="o", ms=3.5, label=setting_is(_GROUP, int(size)))
        for size, colour in palette.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=5)
    return figure


def _cells(
    axes: Axes, cells: pd.DataFrame, taus: list[float], ratios: list[float], scale: Normalize
) -> None:
    """cells: mean and seeds by ratio and tau."""
    table = cells["mean"].unstack().reindex(index=ratios, columns=taus).to_numpy()
    axes.imshow(table, origin="lower", aspect="auto", cmap=VALUE_SCALE, norm=scale)
    for (ratio, tau), mean, seeds in zip(cells.index, cells["mean"], cells["seeds"], strict=True):
        colour = "white" if scale(mean) < 0.55 else INK
        text = f"{mean:.3f}\n$n={seeds:.0f}$"
        where = taus.index(tau), ratios.index(ratio)
        look: dict[str, Any] = {"color": colour, "fontsize": SMALL_PT, "linespacing": 1}
        axes.text(*where, text, ha="center", va="center", **look)
    # Where no trial has finished there is no colour.
    axes.set_facecolor("#ececec")
    for edge in range(1, len(taus)):
        axes.axvline(edge - 0.5, color="white", linewidth=1.5)
    for edge in range(1, len(ratios)):
        axes.axhline(edge - 0.5, color="white", linewidth=1.5)
    axes.set_xticks(range(len(taus)), [f"{tau:.3g}" for tau in taus])
    axes.set_yticks(range(len(ratios)), [f"{ratio:.3g}" for ratio in ratios])
    axes.grid(visible=False)
