"""The figures of a report, written as PDF and PNG, each with the trials that it shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from analysis.figures.gallery import failure, figures_of
from analysis.figures.style import save, style
from analysis.load.study import StudyResults
from analysis.report.page import ReportFigure
from analysis.report.tables import Reference


def write_figures(
    study: StudyResults, folder: Path, refer: Reference, tell: Callable[[str], None]
) -> tuple[list[ReportFigure], list[str], list[str]]:
    """Draw all that the study has data for, and say in a note each why others are absent, and which
    ones failed. `tell` is told of each before it is drawn.

    Raises StudyUnreadable naming a damaged file, OSError for one that cannot be written.
    """
    gallery = figures_of(study)
    drawn, failed = [], list(gallery.failed)
    with style():
        for number, entry in enumerate(gallery.figures, start=1):
            tell(f"figure {number} of {len(gallery.figures)}: {entry.title}")
            try:
                paths = tuple(save(entry.draw(), folder / entry.stem))
            except OSError:
                raise
            except Exception as error:
                failed.append(failure(entry.title, error))
                continue
            trials = tuple(refer(study, trial) for trial in entry.trials)
            drawn.append(ReportFigure(entry.stem, entry.title, entry.caption, trials, paths))
    return drawn, list(gallery.notes), failed
