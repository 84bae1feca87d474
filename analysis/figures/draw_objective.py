"""Figures of objectives: GRPO's identity, and credit against score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from analysis.figures.data_training import Curve
from analysis.figures.style import (
    COLUMN_IN,
    FAINT,
    INK,
    NEGATIVE,
    PAGE_IN,
    POSITIVE,
    broken,
    label_below,
    log_axis,
    step_axis,
    title_panels,
)

ROUNDING = 2.0**-23
"""Relative rounding of 32-bit floats, the reference for the identity's gap."""
_MOST_POINTS = 4000


def credit_against_score(credits: pd.DataFrame, curves: Sequence[Curve]) -> Figure:
    """Score and credit of each stored rollout; figure 2 of the paper.

    credits: trial, correct, score, credit. curves: one panel each, at most six.
    """
    columns = min(3, len(curves))
    rows = -(-len(curves) // columns)
    figure = Figure(figsize=(PAGE_IN if columns > 1 else COLUMN_IN, 2.0 * rows + 0.3))
    grid = figure.subplots(rows, columns, sharex=True, squeeze=False).flatten()
    rng = np.random.default_rng(0)
    titles = []
    for axes, curve in zip(grid, curves, strict=False):
        selected = credits[credits["trial"] == curve.trial]
        kept = selected.iloc[np.sort(rng.permutation(len(selected))[:_MOST_POINTS])]
        axes.axhline(0, color=FAINT, linewidth=0.7)
        for correct, colour, marker in ((True, POSITIVE, "o"), (False, NEGATIVE, "x")):
            part = kept[kept["correct"] == correct]
            axes.plot(
                part["score"],
                part["credit"],
                marker,
                color=colour,
                markersize=2.2,
                markeredgewidth=0.5,
                alpha=0.45,
                rasterized=True,
            )
        shown = f", {len(kept)} drawn" if len(kept) < len(selected) else ""
        titles.append(f"{broken(curve.typeset, 40)}\n{len(selected)} rollouts{shown}")
        axes.xaxis.set_major_locator(MaxNLocator(4))
    for axes in grid[len(curves) :]:
        axes.set_axis_off()
    title_panels(grid[: len(curves)], titles)
    for axes in grid[::columns]:
        axes.set_ylabel("credit $dJ/ds$")
    label_below(grid[: len(curves)], columns, "score $s$ (nats per token)")
    handles = [
        Line2D([], [], color=POSITIVE, marker="o", linestyle="", label="correct", markersize=4),
        Line2D([], [], color=NEGATIVE, marker="x", linestyle="", label="wrong", markersize=4),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def identity_gap(frame: pd.DataFrame) -> Figure:
    """Largest difference of GRPO and its discriminative form in every training step.

    frame: trial, seed, step, value, at least one row. A gap of zero is drawn at the lower edge.
    """
    figure = Figure(figsize=(COLUMN_IN, 0.62 * COLUMN_IN))
    axes = figure.subplots()
    positive = frame.loc[frame["value"] > 0, "value"]
    floor = min(positive.min() if len(positive) else ROUNDING, ROUNDING) / 3
    axes.plot(
        frame["step"],
        frame["value"].clip(lower=floor),
        "o",
        color=POSITIVE,
        markersize=2.5,
        alpha=0.35,
        markeredgewidth=0,
    )
    axes.axhline(ROUNDING, color=INK, linestyle="--", linewidth=0.8)
    log_axis(axes, "y", [floor, ROUNDING, *frame["value"].clip(lower=floor)])
    axes.set_ylim(floor / 1.5, 3 * max(ROUNDING, float(frame["value"].max())))
    axes.set_ylabel("largest difference")
    zero = "; lowest row: 0" if (frame["value"] <= 0).any() else ""
    note = f"dashed: rounding of 32-bit floats{zero}"
    axes.set_title(note, loc="left", color=FAINT)
    step_axis(axes)
    return figure
