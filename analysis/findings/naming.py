"""How sentences name a trial and its value."""

from __future__ import annotations

import statistics
from collections.abc import Mapping

from analysis.findings.frames import objective_settings, other_params, setting
from analysis.load.study import StudyResults
from analysis.load.text import visible
from conspo_study.results.table import TrialRow


def describe(study: StudyResults, row: TrialRow) -> str:
    """`t0007 (tau 0.3, M/tau 5, cosine, alpha 0.3)`, or `t0000 (paper)` for a named anchor."""
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
    found = {path: setting(study, row, path) for path in other_params(study)}
    parts += [f"{path} {_short(value)}" for path, value in found.items() if value is not None]
    return visible(f"{row.id} ({', '.join(parts)})" if parts else row.id)


def _short(value: object, digits: int = 3) -> str:
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)


def mean_sd(values: Mapping[int, float]) -> str:
    """`0.742 ± 0.012 (mean ± sd, n = 5 seeds)`; one seed has no sd, none has no number."""
    if not values:
        return "no value"
    n, mean = len(values), statistics.fmean(values.values())
    seeds = f"n = {n} seed{'s' if n != 1 else ''}"
    if n == 1:
        return f"{mean:.3f} ({seeds})"
    return f"{mean:.3f} ± {statistics.stdev(values.values()):.3f} (mean ± sd, {seeds})"
