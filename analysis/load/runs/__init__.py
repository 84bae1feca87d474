"""Runs of any trainer, read from the files that it writes: rows of one metric.

`read_runs` takes tables (CSV, with a setting and a seed in every row, or exported by W&B or
TensorBoard) and logs of single runs (TRL's `log_history`, verl's lines of JSON). All of it is
untrusted: bounded, and refused with the place of what is wrong.
"""

from analysis.load.runs.read import read_runs
from analysis.load.runs.rows import Reading, Row, Runs, RunsUnreadable

__all__ = ["Reading", "Row", "Runs", "RunsUnreadable", "read_runs"]
