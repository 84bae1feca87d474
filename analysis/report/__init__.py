"""Reports: what `conspo report`, `conspo compare` and `conspo paper` write and print.

`write_report` and `write_reports` write tables, figures, a page and a manifest; `print_reports`
also prints them. `print_map` maps studies that confirm the best of each stratum, `print_curves`
fits curves over compute. `print_comparison` compares two studies, `print_run_comparison` the runs
of any trainer. `print_diagnoses` says what went wrong in trials. `write_paper` writes the paper's
tables, `write_digest` a small copy of a study.
"""

from analysis.report.compare import print_comparison
from analysis.report.compare_runs import print_run_comparison
from analysis.report.curves import print_curves
from analysis.report.diagnoses import print_diagnoses
from analysis.report.digest import write_digest
from analysis.report.paper import write_paper
from analysis.report.printing import print_report, print_reports
from analysis.report.regimes import print_map
from analysis.report.writing import write_report, write_reports

__all__ = [
    "print_comparison",
    "print_curves",
    "print_diagnoses",
    "print_map",
    "print_report",
    "print_reports",
    "print_run_comparison",
    "write_digest",
    "write_paper",
    "write_report",
    "write_reports",
]
