"""Names of trials and of their values in sentences."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from analysis.findings.trial_settings import (
    objective_settings,
    other_params,
    setting,
    shown_path,
)
from analysis.load.study import StudyResults
from analysis.load.text import visible
from analysis.tables.numbers import mean_and_sd
from conspo_study.results.table import TrialRow
from conspo_study.text import counted


def describe(study: StudyResults, row: TrialRow) -> str:
    """`t0007 (tau 0.3, M/tau 5, cosine, alpha 0.3)`, or `t0000 (paper)` for a baseline."""
    if row.label:
        return visible(f"{row.id} ({row.label})")
    settings = objective_settings(study.configs.get(row.id, {}), row.params)
    parts = []
    if settings["tau"] is None:
        parts += [str(settings["objective"])] if settings["objective"] else []
    else:
        parts.append(f"tau {_short(settings['tau'], 6)}")
    if settings["ratio"] == 0:
        parts.append("no margin")
    elif settings["ratio"] is not None:
        parts += [f"M/tau {_short(settings['ratio'], 6)}", str(settings["schedule"])]
        parts += [f"alpha {_short(settings['alpha'], 6)}"] if settings["alpha"] is not None else []
    others = {path: setting(study, row, path) for path in other_params(study)}
    parts += [
        f"{shown_path(path)} {_short(value)}" for path, value in others.items() if value is not None
    ]
    return visible(f"{row.id} ({', '.join(parts)})" if parts else row.id)


def mean_and_seeds(values: Mapping[int, float]) -> str:
    """`0.742 ± 0.012 (standard deviation, n = 5 seeds)`; one seed has no standard deviation."""
    if not values:
        return "no value"
    n, mean = len(values), statistics.fmean(values.values())
    if n == 1:
        return f"{mean:.3f} (n = 1 seed)"
    shown = mean_and_sd(mean, statistics.stdev(values.values()))
    return f"{shown} (standard deviation, n = {counted(n, 'seed')})"


def _short(value: object, digits: int = 3) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
