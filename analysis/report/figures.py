"""Figures drawn into files, as PDF, SVG and PNG: those of a report, and any others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from analysis.load.study import StudyResults
from analysis.report.contents import Reference, ReportFigure

if TYPE_CHECKING:
    from analysis.figures.entry import FigureEntry


def draw_figures(
    entries: Sequence[FigureEntry], folder: Path, tell: Callable[[str], None] = lambda _: None
) -> tuple[dict[str, tuple[Path, ...]], list[str]]:
    """Draw each figure; returns the files of those drawn, by stem, and an error for each that
    failed.

    tell: called with the title of each before it is drawn. Raises StudyUnreadable naming a damaged
    file, OSError for one that cannot be written.
    """
    # Matplotlib takes a second to import: only who draws figures waits for it.
    from analysis.figures.gallery import failure
    from analysis.figures.style import save, style
    from analysis.tables.html import PNG_PIXELS

    drawn: dict[str, tuple[Path, ...]] = {}
    failed = []
    with style():
        for number, entry in enumerate(entries, start=1):
            tell(f"figure {number} of {len(entries)}: {entry.title}")
            try:
                drawn[entry.stem] = tuple(save(entry.draw(), folder / entry.stem, PNG_PIXELS))
            except OSError:
                raise
            except Exception as error:
                failed.append(failure(entry.title, error))
    return drawn, failed


def write_figures(
    study: StudyResults, folder: Path, refer: Reference, tell: Callable[[str], None]
) -> tuple[list[ReportFigure], list[str], list[str]]:
    """Draw all figures that the study has data for.

    Returns the figures, a reason for each that was skipped, and an error for each that failed.
    tell, errors: as for `draw_figures`.
    """
    from analysis.figures.gallery import figures_of

    gallery = figures_of(study)
    drawn, failed = draw_figures(gallery.figures, folder, tell)
    figures = [
        ReportFigure(
            *(entry.stem, entry.title, entry.caption),
            tuple(refer(study, trial) for trial in entry.trials),
            drawn[entry.stem],
        )
        for entry in gallery.figures
        if entry.stem in drawn
    ]
    return figures, list(gallery.skipped), [*gallery.failed, *failed]
