"""Tables, statistics, figures and reports from results directories, without torch and Ray.

Its rooms, each importing only those before it: `load`, `statistics`, `tables`, `findings`,
`figures`, `report`.
"""

from pathlib import Path


def print_report(folder: Path) -> None:
    """Write the report of a results directory into it, and print its tables and sentences."""
    # Imported here: a study script that only prints its help does not wait for pandas.
    from analysis.report import print_report as print_it

    print_it(folder)
