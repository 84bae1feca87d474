"""The figures of a report, written as PDF and PNG."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from analysis.load.study import StudyResults
from analysis.report.contents import Reference, ReportFigure


def write_figures(
    study: StudyResults, folder: Path, refer: Reference, tell: Callable[[str], None]
) -> tuple[list[ReportFigure], list[str], list[str]]:
    """Draw all figures that the study has data for.

    tell: called with the title of each before it is drawn. Returns the figures, a reason for each
    that was skipped, and an error for each that failed. Raises StudyUnreadable naming a damaged
    file, OSError for one that cannot be written.
    """
    # Matplotlib takes a second to import: only who draws figures waits for it.
    from analysis.figures.gallery import failure, figures_of
    from analysis.figures.style import save, style

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
    return drawn, list(gallery.skipped), failed
