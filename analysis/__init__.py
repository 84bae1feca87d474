"""Tables, statistics and figures from results directories; needs neither torch nor Ray."""

from pathlib import Path


def print_report(folder: Path) -> None:
    """Write tables and figures of a results directory into it, and print the table and paths."""
    # Here, not above: a study script that only prints its help need not wait for matplotlib.
    from analysis.report.report import print_report as print_it

    print_it(folder)
