"""The paper's tables, as published and with our studies in them: Markdown, CSV and LaTeX.

python -m analysis.paper_report tables                                # Tables 1 to 6 and 9
python -m analysis.paper_report tables results/baselines              # ours, and beside Table 1
python -m analysis.paper_report tables results/ablation --table 6 --confirmed
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.load import StudyUnreadable, load_study
from analysis.measured import Trial, labelled, measured
from analysis.multiple import compared, comparison_table
from analysis.paper_formats import write_paper_table
from analysis.paper_tables import TABLES, measured_table, published_table, side_by_side
from analysis.tables import to_markdown
from analysis.text import markdown_text
from conspo_study.results.atomic import write_atomic
from conspo_study.results.terminal import speak_plainly

PAIRED = (
    "Differences in percentage points of the average over benchmarks, on the seeds, benchmarks and "
    "problems that both methods have. The 95 % interval is over seeds and problems; Holm's p holds "
    "for all rows together; P(improvement) is the chance that a seed of the method beats a seed of "
    "the other on a benchmark."
)


def write_published_tables(folder: Path) -> list[Path]:
    """Write all tables as published."""
    return [
        path
        for number in TABLES
        for path in write_paper_table(published_table(number), folder / f"table_{number}")
    ]


def write_method_tables(
    trials: Sequence[Trial],
    stem: Path,
    *,
    number: int = 1,
    metric: str = "avg",
    reference: str | None = None,
) -> list[Path]:
    """Write a table of our methods with intervals, and one of their paired differences.

    stem: their path without an ending; `-differences` is added for the second, which needs two
    methods. number: of the paper's table whose order of methods is used. reference: the method that
    the others are compared with, instead of every pair. Raises as `measured`, and ValueError for a
    reference that has no scores.
    """
    ours = measured(trials, metric)
    paths = write_paper_table(measured_table(ours, number, intervals=True), stem)
    if reference is not None and reference not in ours.scores:
        raise ValueError(f"no scores of {reference!r}; there are some of {', '.join(ours.scores)}")
    table = comparison_table(compared(ours.scores, reference))
    if table.rows:
        paths.append(stem.with_name(f"{stem.name}-differences.md"))
        text = f"{markdown_text(PAIRED, 1000)}\n\n{to_markdown(table)}"
        write_atomic(paths[-1], text.encode())
    return paths


def main() -> int:
    """The command line: status 1 for studies that cannot be read or share no table."""
    speak_plainly()
    parser = argparse.ArgumentParser(
        prog="python -m analysis.paper_report",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, help="the folder to write to")
    parser.add_argument("studies", type=Path, nargs="*", help="results directories")
    parser.add_argument("--table", type=int, choices=TABLES, default=1, help="beside which table")
    parser.add_argument("--model", help="which of its models, if it has several")
    parser.add_argument("--metric", default="avg", help="avg, pass@K, maj@K or greedy")
    parser.add_argument("--reference", help="compare methods with this one, not every pair")
    parser.add_argument(
        "--confirmed", action="store_true", help="confirmations instead of the search's trials"
    )
    arguments = parser.parse_args()
    try:
        for path in _write(arguments):
            print(f"wrote {path}")
    except (StudyUnreadable, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _write(arguments: argparse.Namespace) -> list[Path]:
    out, number = arguments.out, arguments.table
    studies = [load_study(folder) for folder in arguments.studies]
    trials = [
        trial
        for study in studies
        for trial in labelled(study, study.table.confirmations if arguments.confirmed else None)
    ]
    out.mkdir(parents=True, exist_ok=True)
    if not studies:
        return write_published_tables(out)
    if not trials:
        kind = "confirmations" if arguments.confirmed else "labelled trials"
        raise ValueError(f"{', '.join(study.name for study in studies)}: there are no {kind}")
    metric, reference = arguments.metric, arguments.reference
    beside = side_by_side(measured(trials, metric), number, arguments.model)
    paths = write_method_tables(
        trials, out / "ours", number=number, metric=metric, reference=reference
    )
    return paths + write_paper_table(beside, out / f"table_{number}_and_ours")


if __name__ == "__main__":
    sys.exit(main())
