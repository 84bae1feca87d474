"""A map of one or several studies: tables, figures and findings, written and printed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from analysis.findings.regime_differences import MapFamily, families_of
from analysis.findings.regime_tables import (
    cells_frame,
    cells_table,
    findings_table,
    map_lines,
    searched_frame,
)
from analysis.findings.regimes import RegimeMap, regime_map
from analysis.load.study import StudyResults, load_studies
from analysis.load.text import markdown_text
from analysis.report.boundary_study import SEEDS, boundary_study
from analysis.report.contents import Reference, ReportTable, TracedRow
from analysis.report.figures import draw_figures
from analysis.report.terminal import print_written
from analysis.tables.text_formats import write_text_table
from analysis.tables.text_table import to_csv, to_markdown
from conspo_study.files import make_folders, write_atomic
from conspo_study.text import counted, speak_plainly

FINDINGS, MAP = "findings.md", "map"
OWN_FAMILY = (
    "These are families of this study alone: if it is a piece of a map, conspo map reads the "
    "pieces together, and only their family is the result."
)


def map_report(study: StudyResults, folder: Path, refer: Reference) -> ReportTable:
    """The table of a study's own map. Raises ValueError where it makes none."""
    found = regime_map([study])
    families = families_of(found)
    return _table(found, families, folder, refer, (OWN_FAMILY,))


def print_map(
    folders: Sequence[Path],
    out: Path,
    *,
    references: Sequence[str] = (),
    margin: float | None = None,
    again: Path | None = None,
) -> bool:
    """Write `tables/map`, `figures/map_*` and `findings.md` of these studies together into `out`,
    and print the table and the sentences; reasons of figures that are missing come last.

    again: where to write the study of the boundary cells.

    Returns False when a figure could not be drawn. Raises StudyUnreadable or ValueError for studies
    that cannot be read or make no map.
    """
    speak_plainly()
    found = regime_map(load_studies(folders))
    families = families_of(found, references, margin)
    boundary, cells = boundary_study(found, families) if again else ("", 0)
    for part in ("tables", "figures"):
        make_folders(out / part, 2)
    names = {id(study): study.folder.name for study in found.studies}
    table = _table(found, families, out / "tables", lambda s, trial: f"{names[id(s)]}/{trial}")
    searched = out / "tables" / "map_searched.csv"
    write_atomic(searched, to_csv(searched_frame(found)).encode())
    findings = out / FINDINGS
    write_atomic(findings, _findings(found, families, table.sentences).encode())
    drawn, skipped, failed = _figures(found, families, out / "figures")
    written = [str(path) for path in (findings, *table.paths, searched, *drawn)]
    if again:
        write_atomic(again, boundary.encode())
        written.append(
            f"{again}: {counted(cells, 'boundary cell')} and their references on {SEEDS} further "
            f"seeds, run by: conspo run {again}"
        )
    shown = {MAP: cells_table(found, families)}
    print_written(shown, [*table.sentences, *skipped], written, failed)
    return not failed


def _table(
    found: RegimeMap,
    families: Sequence[MapFamily],
    folder: Path,
    refer: Reference,
    notes: Sequence[str] = (),
) -> ReportTable:
    table, frame = cells_table(found, families), cells_frame(found, families)
    sentences = [*map_lines(found, families), *notes]
    over = ", ".join(found.chosen_over)
    title = f"Map: objectives by E{f', each at its own best {over}' if over else ''}"
    paths = write_text_table(table, frame, title, sentences, folder / MAP)
    rows = [
        TracedRow(
            f"{cell.steps} {cell.objective}",
            (refer(cell.study, cell.run.id),) if cell.run else (),
            {"search_value": (refer(cell.study, cell.chosen.id),)} if cell.chosen else {},
        )
        for cell in found.cells
    ]
    return ReportTable(MAP, title, table, tuple(sentences), tuple(rows), tuple(paths))


def _findings(found: RegimeMap, families: Sequence[MapFamily], sentences: Sequence[str]) -> str:
    """The findings as Markdown: the sentences, and a line per comparison with a verdict."""
    studies = ", ".join(markdown_text(study.folder.name) for study in found.studies)
    listed = "".join(f"- {markdown_text(line, 4000)}\n" for line in sentences)
    table = findings_table(found, families)
    told = to_markdown(table) if table.rows else "No comparison came to a verdict.\n"
    return f"# Findings\n\nStudies: {studies}.\n\n{listed}\n## Comparisons with a verdict\n\n{told}"


def _figures(
    found: RegimeMap, families: Sequence[MapFamily], folder: Path
) -> tuple[list[Path], list[str], list[str]]:
    from analysis.figures.gallery_regimes import regime_figures

    made = list(regime_figures(found, families))
    skipped = [one for one in made if isinstance(one, str)]
    drawn, failed = draw_figures([one for one in made if not isinstance(one, str)], folder)
    return list(chain.from_iterable(drawn.values())), skipped, failed
