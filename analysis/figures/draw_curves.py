"""Figures of a metric over compute: measured points, fitted curves, and what they predict."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.figures.style import (
    FAINT,
    INK,
    NEGATIVE,
    PAGE_IN,
    POSITIVE,
    distinct,
    label_below,
    shortened,
    title_panels,
    wrapped,
)
from analysis.figures.symbols import literal
from analysis.findings.curve_fits import CurveFit
from analysis.findings.curve_tables import amount
from analysis.statistics.scores import Floats

AHEAD = 4.0
"""Curves go on, dashed, to so many times the compute of the last evaluation."""
_PREDICTED = "last third, predicted by those before"
_COLUMNS, _MOST_TICKS = 3, 5


def curve_panels(
    points: pd.DataFrame, fits: Sequence[CurveFit], sign: int, *, x: str, y: str
) -> Figure:
    """A panel per setting: measured means with intervals, the claimed curve, dashed where nothing
    was measured, and the last third as the evaluations before it predict it.

    points: of `curve_tables.points_frame`. sign: -1 where less of the metric is better. x, y: axis
    labels, plain text.
    """
    rows = -(-len(fits) // _COLUMNS)
    columns = min(_COLUMNS, len(fits))
    figure = Figure(figsize=(PAGE_IN * columns / _COLUMNS, 1.75 * rows + 0.5))
    grid = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    titles = []
    for axes, fit in zip(grid, fits, strict=False):
        own = points[points["setting"] == fit.setting.title]
        _measured(axes, own, INK)
        _curve(axes, fit, sign, POSITIVE, "-")
        held = own[own["predicted"].notna()]
        if len(held):
            away = (
                held["predicted"] - held["predicted_low"],
                held["predicted_high"] - held["predicted"],
            )
            axes.errorbar(
                *(held["compute"], held["predicted"], away),
                **{"fmt": "D", "mfc": "none", "color": NEGATIVE, "ms": 4, "lw": 0.9, "capsize": 2},
            )
        title = fit.setting.title if fit.claimed else f"{fit.setting.title}: {fit.refusal}"
        titles.append(wrapped(title, 34))
        _horizontal(axes, own)
    title_panels(grid[: len(fits)], titles)
    for axes in grid[len(fits) :]:
        axes.set_axis_off()
    for axes in grid[::columns]:
        axes.set_ylabel(literal(y))
    label_below(grid[: len(fits)], columns, literal(x))
    handles = [
        Line2D([], [], color=INK, marker="o", ms=3, ls="", label="measured, 95 % CI"),
        Line2D([], [], color=POSITIVE, label="claimed fit"),
        Line2D([], [], color=POSITIVE, ls="--", label="beyond what was measured"),
        Line2D([], [], color=NEGATIVE, marker="D", mfc="none", ms=4, ls="", label=_PREDICTED),
        Line2D([], [], color=FAINT, ls=":", label="untrained policy"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def curves_together(
    points: pd.DataFrame, fits: Sequence[CurveFit], sign: int, *, x: str, y: str
) -> Figure:
    """All claimed curves in one panel, with the points that they were fitted to.

    fits: claimed ones; the rest as for `curve_panels`.
    """
    figure = Figure(figsize=(0.75 * PAGE_IN, 0.5 * PAGE_IN + 0.17 * -(-len(fits) // 2)))
    axes = figure.subplots()
    handles = []
    for fit, (colour, line) in zip(fits, distinct(len(fits)), strict=True):
        own = points[points["setting"] == fit.setting.title]
        _measured(axes, own, colour)
        _curve(axes, fit, sign, colour, line)
        label = shortened(fit.setting.title)
        handles.append(Line2D([], [], color=colour, linestyle=line, label=label))
    chosen = points[points["setting"].isin([fit.setting.title for fit in fits])]
    _horizontal(axes, chosen)
    axes.set(xlabel=literal(x), ylabel=literal(y))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, columnspacing=2)
    return figure


def _measured(axes: Axes, own: pd.DataFrame, colour: Any) -> None:
    trained = own[own["step"] > 0]
    low, high = (trained[name].astype(float).fillna(trained["value"]) for name in ("low", "high"))
    away = trained["value"] - low, high - trained["value"]
    axes.errorbar(
        trained["compute"], trained["value"], away, fmt="o", color=colour, ms=3, lw=0.8, capsize=1.5
    )
    axes.axhline(own["value"].iloc[0], color=FAINT, ls=":", lw=0.8)


def _curve(axes: Axes, fit: CurveFit, sign: int, colour: Any, line: Any) -> None:
    curve = fit.setting.curve
    if curve is None or not fit.claimed:
        return
    first, last = curve.mean_compute[0], curve.mean_compute[-1]
    for start, end, look, width in ((first, last, line, 1.3), (last, AHEAD * last, "--", 0.9)):
        compute: Floats = np.geomspace(start, end, 60)
        level = sign * curve.resampled.fitted.at(compute)[0]
        axes.plot(compute, level, color=colour, linestyle=look, linewidth=width)


def _horizontal(axes: Axes, own: pd.DataFrame) -> None:
    spent = own.loc[own["step"] > 0, "compute"]
    low, high = float(spent.min()) / 1.15, 1.15 * AHEAD * float(spent.max())
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [m * 10.0**k for k in decades for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    ticks = ticks if len(ticks) <= _MOST_TICKS else ticks[:: -(-len(ticks) // _MOST_TICKS)]
    axes.set_xticks(ticks, labels=[amount(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
