"""Differences with their intervals, beside those that could have been detected."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from analysis.figures.style import FAINT, INK, NEGATIVE, PAGE_IN, POSITIVE, broken
from analysis.statistics.family_tests import Verdict

LOOKS = {Verdict.BETTER: POSITIVE, Verdict.WORSE: NEGATIVE}
"""Colours of decided differences."""


def effect_plot(frame: pd.DataFrame, *, label: str, margin: float | None) -> Figure:
    """Differences in the order of the frame, from the top.

    frame: name (typeset), value, low, high, detectable (its upper limit, NaN where unknown) and
    verdict of each, in units of the axis. label: of the axis, typeset. margin: of equivalence, in
    the same units.
    """
    figure = Figure(figsize=(0.85 * PAGE_IN, 0.85 + 0.27 * len(frame)))
    axes = figure.subplots()
    heights = range(len(frame) - 1, -1, -1)
    shown: list[Line2D | Patch] = []
    if margin is not None:
        axes.axvspan(-margin, margin, color="#eef3f7", linewidth=0, zorder=0)
        shown.append(Patch(color="#eef3f7", label="counts as equivalent"))
    for height, row in zip(heights, frame.to_dict("records"), strict=True):
        if row["detectable"] == row["detectable"]:
            half = row["detectable"]
            axes.plot([-half, half], [height - 0.26] * 2, color=FAINT, lw=0.8, marker="|", ms=4)
        colour = LOOKS.get(row["verdict"], INK)
        axes.plot([row["low"], row["high"]], [height] * 2, color=colour, lw=1.6)
        filled = "white" if row["verdict"] == Verdict.UNDECIDED else colour
        axes.plot([row["value"]], [height], "o", color=colour, mfc=filled, ms=4.5)
    axes.axvline(0, color=INK, lw=0.8)
    axes.set_yticks(list(heights), [broken(name, 44) for name in frame["name"]])
    axes.set_ylim(-0.6, len(frame) - 0.4)
    axes.grid(visible=True, axis="x")
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(broken(label, 90))
    figure.legend(handles=[*_handles(frame), *shown], loc="outside lower center", ncols=3)
    return figure


def _handles(frame: pd.DataFrame) -> Sequence[Line2D]:
    handles = [
        Line2D([], [], color=LOOKS.get(kind, INK), marker="o", ms=4.5, label=f"{kind}, 95 % CI")
        for kind in (Verdict.BETTER, Verdict.WORSE, Verdict.EQUIVALENT)
        if kind in set(frame["verdict"])
    ]
    if Verdict.UNDECIDED in set(frame["verdict"]):
        name = f"{Verdict.UNDECIDED}, 95 % CI"
        handles.append(Line2D([], [], color=INK, marker="o", mfc="white", ms=4.5, label=name))
    if frame["detectable"].notna().any():
        name = "a true one beyond would be found"
        handles.append(Line2D([], [], color=FAINT, lw=0.8, marker="|", ms=4, label=name))
    return handles
