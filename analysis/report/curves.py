"""Curves over compute of one or several studies: tables, figures and findings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

import pandas as pd

from analysis.findings.compute_axes import Over
from analysis.findings.curve_differences import curve_family
from analysis.findings.curve_fits import CurveFit, curve_fit
from analysis.findings.curve_sentences import curve_lines
from analysis.findings.curve_settings import CurveSet, curve_set
from analysis.findings.curve_tables import (
    differences_frame,
    differences_table,
    fits_frame,
    fits_table,
    points_frame,
)
from analysis.load.study import load_studies
from analysis.load.text import axis_label
from analysis.report.figures import draw_figures
from analysis.report.terminal import print_written
from analysis.tables.text_formats import write_text_table
from analysis.tables.text_table import to_csv
from conspo_study.files import make_folders, write_atomic
from conspo_study.text import counted, speak_plainly

CURVES, DIFFERENCES, POINTS, TOGETHER = (
    "compute_curves",
    "compute_differences",
    "compute_points",
    "compute_curves_together",
)
"""Names of files, without endings."""
MOST_PANELS, MOST_TOGETHER = 24, 12
"""Settings of one figure."""


def print_curves(
    folders: Sequence[Path],
    out: Path,
    *,
    over: Over = Over.TOKENS,
    reference: str | None = None,
    level: float | None = None,
) -> bool:
    """Write `tables/compute_*` and `figures/compute_*` of these studies into `out`, and print the
    tables and the sentences.

    reference: the setting that all others are compared with. level: a value of the metric, whose
    compute is asked for.

    Returns False when a figure could not be drawn. Raises StudyUnreadable or ValueError for studies
    that cannot be read or have no curves.
    """
    speak_plainly()
    found = curve_set(load_studies(folders), over)
    fits = [curve_fit(s, None if level is None else found.sign * level) for s in found.settings]
    family = curve_family(fits, share=found.share, reference=reference)
    sentences = curve_lines(found, fits, family, level)
    for part in ("tables", "figures"):
        make_folders(out / part, 2)
    points = points_frame(found, fits)
    tables = {CURVES: fits_table(found, fits)}
    frames = {CURVES: fits_frame(found, fits)}
    if family.differences:
        tables[DIFFERENCES] = differences_table(found, family)
        frames[DIFFERENCES] = differences_frame(found, family)
    paths = []
    for name, table in tables.items():
        title = f"{name.replace('_', ' ')}, over {over.label}"
        stem = out / "tables" / name
        paths += write_text_table(table, frames[name], title.capitalize(), sentences, stem)
    csv = out / "tables" / f"{POINTS}.csv"
    write_atomic(csv, to_csv(points).encode())
    drawn, skipped, failed = _figures(found, fits, points, out / "figures")
    shown = {name.replace("_", " "): table for name, table in tables.items()}
    written = [str(path) for path in (*paths, csv, *drawn)]
    print_written(shown, [*sentences, *skipped], written, failed)
    return not failed


def _figures(
    found: CurveSet, fits: Sequence[CurveFit], points: pd.DataFrame, folder: Path
) -> tuple[list[Path], list[str], list[str]]:
    """Files, reasons of what is left out, and errors."""
    from analysis.figures.draw_curves import curve_panels, curves_together
    from analysis.figures.entry import FigureEntry

    measured = [fit for fit in fits if fit.setting.curve is not None]
    # Claimed ones first, where there are too many.
    chosen = sorted(measured, key=lambda fit: not fit.claimed)[:MOST_PANELS]
    claimed = [fit for fit in measured if fit.claimed][:MOST_TOGETHER]
    labels = {"x": found.over.label, "y": axis_label(found.metric)}
    shown = [fit for fit in measured if fit in chosen]
    entries = [
        FigureEntry(stem, stem, "", (), partial(draw, points, of, found.sign, **labels))
        for stem, draw, of in (
            (CURVES, curve_panels, shown),
            (TOGETHER, curves_together, claimed if len(claimed) > 1 else []),
        )
        if of
    ]
    drawn, failed = draw_figures(entries, folder)
    files = list(chain.from_iterable(drawn.values()))
    return files, list(_left_out(fits, len(shown), len(claimed))), failed


def _left_out(fits: Sequence[CurveFit], shown: int, together: int) -> Iterator[str]:
    measured = sum(fit.setting.curve is not None for fit in fits)
    if measured > shown:
        yield f"The figure shows {shown} of {counted(measured, 'setting')}, claimed fits first."
    if together < 2:
        yield "No figure of claimed curves together: fewer than two are claimed."
