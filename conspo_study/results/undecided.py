"""The other bound of a trial's metric: its value without the responses that have no verdict."""

from __future__ import annotations

from statistics import fmean

from conspo_study.records import decided_name
from conspo_study.results.table import TrialRow


def value_without_undecided(row: TrialRow, metric: str) -> float | None:
    """Mean of `metric` over the trial's seeds in its latest report, responses without a verdict
    left out; None where all have one, where it is not known, and while a seed lacks the metric."""
    name = decided_name(metric)
    seeds = [row.seed_metrics.get(seed, {}) for seed in row.seeds]
    if not any(name in measured for measured in seeds) or any(metric not in m for m in seeds):
        return None
    return fmean(measured.get(name, measured[metric]) for measured in seeds)
