"""The comparison of anyone's runs, printed and written: `conspo compare runs.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.findings.run_comparison import compare_runs
from analysis.findings.run_comparison_text import run_frame, run_lines, run_table
from analysis.findings.runs_at_step import runs_at_step
from analysis.load.runs import Reading, read_runs
from analysis.report.terminal import plain_console
from analysis.tables.text_table import to_csv, to_markdown, to_rich
from conspo_study.files import make_folders, write_atomic

TABLE, FIGURE = "differences.csv", "differences"


def print_run_comparison(
    paths: Sequence[Path],
    out: Path,
    reading: Reading,
    *,
    step: int | None = None,
    reference: str | None = None,
    lower_is_better: bool = False,
    unpaired: bool = False,
    selected: str | None = None,
    margin: float | None = None,
    markdown: bool = False,
) -> None:
    """Print the table and sentences; write `differences.csv`, `.pdf`, `.svg` and `.png` into `out`.

    The options are those of `runs_at_step` and `compare_runs`. Raises ValueError for files that
    cannot be compared, OSError for what cannot be read or written; nothing is written then.
    """
    comparison = compare_runs(
        runs_at_step(read_runs(paths, reading), step),
        reference=reference,
        lower_is_better=lower_is_better,
        unpaired=unpaired,
        selected=selected,
        margin=margin,
    )
    written = [
        out / TABLE,
        *((out / FIGURE).with_suffix(ending) for ending in (".pdf", ".svg", ".png")),
    ]
    read = {path.resolve() for path in paths}
    if overwritten := [path for path in written if path.resolve() in read]:
        raise ValueError(f"{overwritten[0]} is one of the files that are read: choose an --output")
    # Matplotlib takes a second to import: who mistyped an option does not wait for it.
    from analysis.figures.draw_comparison import differences_to_reference
    from analysis.figures.style import save, style
    from analysis.tables.html import PNG_PIXELS

    table = run_table(comparison)
    if markdown:
        print(to_markdown(table), end="")
    else:
        console = plain_console()
        title = f"differences to {comparison.reference}"
        console.print(to_rich(table, title, console.width))
    for line in run_lines(comparison):
        print(line)
    make_folders(out, 1)
    write_atomic(out / TABLE, to_csv(run_frame(comparison)).encode())
    with style():
        save(differences_to_reference(comparison), out / FIGURE, PNG_PIXELS)
    print(f"wrote {out / TABLE}, {FIGURE}.pdf|svg|png")
