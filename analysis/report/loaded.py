"""Results of a study for notebooks and scripts, as `conspo_study.load` returns them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from analysis.findings.frames import trials_frame
from analysis.findings.trials_table import trials_table
from analysis.findings.verdict import verdict_sentence
from analysis.load.study import StudyResults, load_study
from analysis.report.contents import StudyReport
from analysis.report.writing import write_report
from analysis.tables.html import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from analysis.figures.entry import FigureEntry


_NOTEBOOK_DPI = 110


class LoadedStudy(StudyResults):
    """`StudyResults` with a verdict, a table, figures and a report. Displays itself in Jupyter."""

    @cached_property
    def verdict(self) -> str:
        """What the study shows, or has shown so far, in one sentence. Raises StudyUnreadable naming
        a damaged file."""
        return verdict_sentence(self)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per search trial, best first within its state: trial, label, objective settings,
        what else varies, state, step, steps, value (mean over seeds), sd, n and others
        (`analysis.findings.frames.trials_frame`)."""
        return trials_frame(self)

    @cached_property
    def responses(self) -> pd.DataFrame:
        """One row per evaluated response of the search trials: its verdict and answer, its text
        (`response`), and its problem's `prompt` and `gold` answer, null where they were not kept.
        Untrusted. Raises StudyUnreadable naming a damaged file."""
        return self.responses_of(row.id for row in self.table.rows)

    @cached_property
    def plot(self) -> Plots:
        """The report's figures: `results.plot.learning_curves()`; `results.plot` lists them."""
        return Plots(self)

    def report(self, out: Path | str | None = None) -> StudyReport:
        """Write `report.html`, tables and figures into `out`, by default the study's folder. Raises
        StudyUnreadable as loading does."""
        return write_report(self.folder, None if out is None else Path(out))

    def _repr_html_(self) -> str:
        try:
            said = self.verdict
        except ValueError as error:
            said = f"No verdict: {error}"
        table = trials_table(self)
        return render("notebook.html", name=self.name, verdict=said, table=table)


class Plots:
    """A study's figures by name, drawn when they are called for."""

    def __init__(self, study: StudyResults) -> None:
        self._study = study

    @cached_property
    def _entries(self) -> dict[str, FigureEntry]:
        from analysis.figures.gallery import figures_of

        return {entry.stem: entry for entry in figures_of(self._study).figures}

    def __getattr__(self, name: str) -> Callable[[], Figure]:
        if name.startswith("_"):
            raise AttributeError(name)
        if name not in self._entries:
            known = ", ".join(self._entries) or "none"
            raise AttributeError(f"{self._study.name} has no figure {name!r}; it has: {known}")
        return lambda: _drawn(self._entries[name])

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._entries]

    def __repr__(self) -> str:
        lines = [f"{stem}(): {entry.title}" for stem, entry in self._entries.items()]
        return "\n".join(lines) or f"{self._study.name} has no figures yet"


def _drawn(entry: FigureEntry) -> Figure:
    from analysis.figures.style import style

    def png() -> bytes:
        content = io.BytesIO()
        with style():
            figure.savefig(content, format="png", dpi=_NOTEBOOK_DPI, metadata={"Software": None})
        return content.getvalue()

    with style():
        figure = entry.draw()
    # Without pyplot, Jupyter shows a figure only by this.
    figure._repr_png_ = png  # type: ignore[attr-defined]
    return figure


def load(folder: Path | str) -> LoadedStudy:
    """Load `results/<study>`; works on a running study too.

    Raises StudyUnreadable when it is no results directory, has no events, was written by a newer
    version or is damaged.
    """
    found = load_study(folder)
    return LoadedStudy(**{field.name: getattr(found, field.name) for field in fields(found)})
