"""Figures of a map: differences to a reference, values by learning rate, and the credit angle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from analysis.figures.style import (
    FAINT,
    INK,
    NEGATIVE,
    PAGE_IN,
    POSITIVE,
    SMALL_PT,
    VALUE_SCALE,
    colours,
    label_below,
    shortened,
    title_panels,
)
from analysis.figures.symbols import E, setting_is, setting_symbol

DIVERGING = LinearSegmentedColormap.from_list(
    "worse_better", [NEGATIVE, "#f2b48f", "#fbf8f4", "#8fbfe0", POSITIVE]
)
"""Worse, none, better: orange and blue are told apart under the common colour vision
deficiencies, and both darken with size."""
LARGEST = 20.0
"""Points at which the colours end; larger differences have the last colour, and their number."""
_ROW_IN, _COLUMN_IN = 0.205, 0.78
_EQUIVALENT = "#ececec"


def difference_map(
    frame: pd.DataFrame, *, reference: str, margin: str, scale: float, better: int
) -> Figure:
    """Objectives by E: the difference to the reference, coloured where its interval leaves out 0,
    hatched where it is equivalent, blank where nothing is decided.

    frame: of `data_regimes.difference_frame`. scale: of a difference to what is written. better:
    -1 if less of the metric is better.
    """
    rows, columns = _order(frame)
    shown = (frame["value"] * scale).to_numpy()
    decided = frame["verdict"].isin(["better", "worse"]).to_numpy()
    largest = np.abs(shown[decided]).max(initial=0.0)
    limit = min(LARGEST, largest) if scale == 100 else largest
    norm = Normalize(-(limit or 1.0), limit or 1.0)
    height = 0.95 + _ROW_IN * len(rows)
    figure = Figure(figsize=(min(PAGE_IN, 2.6 + _COLUMN_IN * len(columns)), height))
    axes = figure.subplots()
    for record, value in zip(frame.to_dict("records"), shown, strict=True):
        x, y = columns.index(record["e"]), rows.index(record["objective"])
        _difference_cell(axes, x, y, record, value, norm, scale, better)
    _grid(axes, rows, columns)
    axes.set_xlabel(f"optimiser steps per rollout batch, {E}")
    unit = "points" if scale == 100 else "metric"
    what = f"minus {shortened(reference, 24)} ({unit})"
    if decided.any():
        bar = figure.colorbar(
            ScalarMappable(norm, DIVERGING if better > 0 else DIVERGING.reversed()),
            ax=axes,
            shrink=min(1.0, 1.6 / (height - 0.9)),
            aspect=14,
            extend="both" if largest > limit else "neither",
        )
        bar.set_label(what, fontsize=SMALL_PT)
        bar.outline.set_visible(False)
    else:
        axes.set_title(what, loc="left")
    handles = [Patch(facecolor="white", edgecolor=FAINT, lw=0.6, label="undecided")]
    if margin:
        hatched: dict[str, Any] = {"facecolor": _EQUIVALENT, "hatch": "////", "edgecolor": FAINT}
        handles.insert(0, Patch(lw=0, label=f"within {margin}", **hatched))
    if frame["collapsed"].any():
        cross = Line2D([], [], color=INK, marker="x", ls="", ms=4, mew=0.9)
        cross.set_label("seeds that collapsed, of all")
        handles.append(cross)  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, columnspacing=1.4)
    return figure


def _difference_cell(
    axes: Axes,
    x: int,
    y: int,
    record: dict[Any, Any],
    value: float,
    norm: Normalize,
    scale: float,
    better: int,
) -> None:
    verdict = record["verdict"]
    place = (x - 0.5, y - 0.5)
    look: dict[str, Any] = {"lw": 0.0, "zorder": 1}
    ink = INK
    if verdict in ("better", "worse"):
        colour = DIVERGING(norm(better * value))
        axes.add_patch(Rectangle(place, 1, 1, facecolor=colour, **look))
        ink = "white" if _dark(colour) else INK
    elif verdict == "equivalent":
        hatched = {**look, "hatch": "////", "edgecolor": "#c4c4c4"}
        axes.add_patch(Rectangle(place, 1, 1, facecolor=_EQUIVALENT, **hatched))
    else:
        ink = FAINT
    text = "reference" if verdict == "reference" else _written(value, scale)
    fallen = f"× {record['collapsed']}/{record['n']}" if record["collapsed"] else ""
    if verdict == "reference":
        ink = FAINT
    shift = -0.19 if fallen else 0.0
    box = {"boxstyle": "round,pad=0.12", "fc": "white", "ec": "none"}
    boxed: dict[str, Any] = {"bbox": box} if verdict == "equivalent" else {}
    at: dict[str, Any] = {"ha": "center", "va": "center", "zorder": 3}
    axes.text(x + shift, y, text, color=ink, fontsize=SMALL_PT, **boxed, **at)
    if fallen:
        axes.text(x + 0.27, y, fallen, color=ink, fontsize=SMALL_PT, **at)


def rate_map(frame: pd.DataFrame, *, path: str, metric: str) -> Figure:
    """The value of every searched trial: a panel per E, objectives by the setting that was chosen
    over, the chosen one framed.

    frame: of `regime_tables.searched_frame`, with a value in some row.
    """
    rows, columns = _order(frame)
    values = [value for value in sorted(frame[path].dropna().unique()) if np.isfinite(value)]
    low, high = frame["value"].min(), frame["value"].max()
    norm = Normalize(low, high if high > low else low + 1)
    colour_of = matplotlib.colormaps[VALUE_SCALE]
    figure = Figure(figsize=(PAGE_IN, 0.95 + _ROW_IN * len(rows)))
    grid = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, steps in zip(grid, columns, strict=True):
        for record in frame[frame["e"] == steps].to_dict("records"):
            if record[path] not in values:
                continue
            x, y = values.index(record[path]), rows.index(record["objective"])
            if np.isnan(record["value"]):
                axes.text(x, y, "–", color=FAINT, fontsize=SMALL_PT, ha="center", va="center")
                continue
            colour = colour_of(norm(record["value"]))
            axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, lw=0))
            if record["chosen"]:
                frame_of: dict[str, Any] = {
                    "fill": False,
                    "edgecolor": "#D55E00",
                    "lw": 1.3,
                    "zorder": 4,
                }
                axes.add_patch(Rectangle((x - 0.46, y - 0.44), 0.92, 0.88, **frame_of))
            fallen = "×" if record["collapsed"] else ""
            text = f"{record['value']:.2f}".removeprefix("0") + fallen
            ink = "white" if _dark(colour) else INK
            axes.text(x, y, text, color=ink, fontsize=SMALL_PT, ha="center", va="center", zorder=5)
        _grid(axes, rows, values)
        axes.set_xticks(range(len(values)), [f"{value:.2g}" for value in values])
    title_panels(grid, [f"$E={steps}$" for steps in columns])
    label_below(grid, len(columns), setting_symbol(path))
    grid[0].set_yticks(range(len(rows)), [shortened(name, 34) for name in rows])
    mark = Patch(fill=False, edgecolor="#D55E00", lw=1.3, label="chosen, and confirmed")
    cross = Line2D([], [], color=INK, marker="x", ls="", ms=4, mew=0.9, label="a seed collapsed")
    figure.legend(handles=[mark, cross], loc="outside lower center", ncols=2)
    bar = figure.colorbar(ScalarMappable(norm, colour_of), ax=list(grid), shrink=0.6, aspect=18)
    bar.set_label(shortened(metric, 40), fontsize=SMALL_PT)
    bar.outline.set_visible(False)
    return figure


def angle_figure(frame: pd.DataFrame, *, reference: str, scale: float) -> Figure:
    """Differences to the reference against the measured credit angle, a panel per E; tau by colour,
    M/tau by marker, with simultaneous intervals as far as they fit.

    frame: of `data_regimes.angle_frame`, at least one row.
    """
    columns = sorted(frame["e"].unique())
    taus, ratios = sorted(frame["tau"].unique()), sorted(frame["ratio"].unique())
    look = dict(zip(taus, colours(len(taus)), strict=True))
    markers = dict(zip(ratios, "os^DvP*X" * len(ratios), strict=False))
    width = PAGE_IN if len(columns) > 1 else 0.6 * PAGE_IN
    figure = Figure(figsize=(width, 2.7 if len(columns) > 1 else 3.2))
    grid = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, steps in zip(grid, columns, strict=True):
        axes.axhline(0, color=FAINT, lw=0.8)
        for row in frame[frame["e"] == steps].to_dict("records"):
            value, low, high = (scale * row[name] for name in ("value", "low", "high"))
            colour = look[row["tau"]]
            if not np.isnan(low):
                axes.plot([row["angle"]] * 2, [low, high], color=colour, lw=0.8, alpha=0.7)
            axes.plot([row["angle"]], [value], markers[row["ratio"]], color=colour, ms=4.5)
        axes.set_xlim(0, 1.08 * frame["angle"].max() or 1)
    title_panels(grid, [f"$E={steps}$" for steps in columns])
    label_below(grid, len(columns), "credit angle (degrees)")
    unit = "points" if scale == 100 else "metric"
    # Intervals of cells that collapse on some seeds would leave no room for the others.
    largest = 1.4 * scale * frame["value"].abs().max() or 1.0
    grid[0].set_ylim(-largest, largest)
    grid[0].set_ylabel(f"minus {shortened(reference, 24)} ({unit})")
    handles = [Line2D([], [], color=look[tau], lw=3, label=setting_is("tau", tau)) for tau in taus]
    handles += [
        Line2D(
            [], [], color=INK, ls="", ms=4.5, marker=markers[ratio],
            label=setting_is("ratio", ratio) if ratio else "no margin",
        )
        for ratio in ratios
    ]  # fmt: skip
    most = 8 if len(columns) > 1 else 4
    figure.legend(handles=handles, loc="outside lower center", ncols=min(most, len(handles)))
    return figure


def _order(frame: pd.DataFrame) -> tuple[list[str], list[int]]:
    return list(dict.fromkeys(frame["objective"])), sorted(frame["e"].unique())


def _grid(axes: Axes, rows: Sequence[str], columns: Sequence[Any]) -> None:
    """Ticks at the middle of the cells, white lines between them, first row on top."""
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xticks(range(len(columns)), [str(column) for column in columns])
    axes.set_yticks(range(len(rows)), [shortened(name, 34) for name in rows])
    axes.tick_params(length=0)
    axes.grid(visible=False)
    for edge in range(1, len(rows)):
        axes.axhline(edge - 0.5, color="#dddddd", lw=0.5, zorder=2)
    for edge in range(1, len(columns)):
        axes.axvline(edge - 0.5, color="#dddddd", lw=0.5, zorder=2)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(True)
        axes.spines[side].set_color("#bbbbbb")


def _written(value: float, scale: float) -> str:
    if np.isnan(value):
        return "–"
    text = f"{value:+.1f}" if scale == 100 else f"{value:+.2g}"
    return text.replace("-", "−")


def _dark(colour: Sequence[float]) -> bool:
    red, green, blue = colour[:3]
    return 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
