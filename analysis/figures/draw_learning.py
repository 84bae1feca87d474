"""Learning curves: the metric, its difference to a reference, and a training metric."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
from matplotlib.figure import Figure

from analysis.figures.data_training import Curve
from analysis.figures.draw_training import MOST_BANDS, draw_band
from analysis.figures.legends import curve_legend
from analysis.figures.style import (
    FAINT,
    INK,
    PAGE_IN,
    broken,
    distinct,
    step_axis,
    title_panels,
    wrapped,
)


def learning_curves(
    evaluation: pd.DataFrame,
    differences: pd.DataFrame,
    training: pd.DataFrame,
    curves: Sequence[Curve],
    *,
    metric: str,
    other: str,
    reference: str,
    note: str,
) -> Figure:
    """Panels over training steps: the evaluation metric, its paired difference to a reference where
    there is one, and another metric of training.

    evaluation, differences, training: of `data_training.bands`. metric, other: plain labels of the
    first and the last. reference: typeset name of the trial subtracted. note: of
    `draw_training.band_note`.
    """
    parts = [(evaluation, wrapped(metric, 40), "")]
    if not differences.empty:
        parts.append((differences, "paired difference", broken(f"minus {reference}", 34)))
    parts.append((training, wrapped(other, 40), ""))
    figure = Figure(figsize=(PAGE_IN, 2.1 + 0.17 * -(-len(curves) // 2)))
    panels = figure.subplots(1, len(parts))
    looks = distinct(len(curves))
    for axes, (frame, label, _) in zip(panels, parts, strict=True):
        if frame is differences:
            axes.axhline(0, color=INK, lw=0.7, zorder=1)
        for curve, look in zip(curves, looks, strict=True):
            own = frame[frame["trial"] == curve.trial]
            draw_band(axes, own, *look, shaded=len(curves) <= MOST_BANDS)
        step_axis(axes)
        axes.set_ylabel(label)
        if frame.empty:
            where = {"transform": axes.transAxes, "ha": "center", "color": FAINT}
            axes.text(0.5, 0.5, "not recorded", **where)
    title_panels(panels, [title for _, _, title in parts])
    curve_legend(figure, curves, looks, note)
    return figure
