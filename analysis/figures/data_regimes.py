"""Data of the figures of a map."""

from __future__ import annotations

from statistics import fmean

import numpy as np
import pandas as pd

from analysis.findings.regime_differences import MapFamily
from analysis.findings.regimes import Cell, RegimeMap
from analysis.findings.trial_settings import objective_settings
from conspo_study.records import is_number

ANGLE = "credit_angle"
"""Metric of a training step: degrees between its credits and those of the linear objective."""

TRUST_REGION = ("clip_score", "kl_limit")
"""Settings of an objective that limit how far a rollout batch takes it."""


def difference_frame(found: RegimeMap, family: MapFamily) -> pd.DataFrame:
    """A row per cell: objective, e, value (None for what is not measured), verdict (`reference`
    for the reference's own), collapsed, n."""
    records = []
    for cell in found.cells:
        one = family.of(cell)
        records.append(
            {
                "objective": cell.objective,
                "e": cell.steps,
                "value": np.nan if one is None or one.value is None else one.value,
                "verdict": "reference" if one is None else one.verdict,
                "collapsed": len(cell.collapsed),
                "n": len(cell.values),
            }
        )
    return pd.DataFrame(records)


def angle_frame(found: RegimeMap, family: MapFamily) -> pd.DataFrame:
    """A row per cell of a likelihood objective with a temperature: objective, e, tau, ratio
    (M/tau), angle (degrees, mean over the training steps and seeds of its run), value, low, high
    (the difference to the reference). Cells in a trust region are left out: their temperature and
    margin are those of a cell without one. Empty where no run has logged the angle.

    Raises StudyUnreadable naming a damaged file.
    """
    records = []
    for cell in found.cells:
        one = family.of(cell)
        if one is None or one.value is None or cell.run is None:
            continue
        config = cell.study.configs.get(cell.run.id, {})
        if any(config.get("objective", {}).get(limit) is not None for limit in TRUST_REGION):
            continue
        settings = objective_settings(config, cell.run.params)
        angle = _angle(cell)
        if angle is None or not is_number(settings["tau"]) or settings["ratio"] is None:
            continue
        records.append(
            {
                "objective": cell.objective,
                "e": cell.steps,
                "tau": float(settings["tau"]),
                "ratio": float(settings["ratio"]),
                "angle": angle,
                "value": one.value,
                "low": np.nan if one.low is None else one.low,
                "high": np.nan if one.high is None else one.high,
            }
        )
    columns = ["objective", "e", "tau", "ratio", "angle", "value", "low", "high"]
    return pd.DataFrame(records, columns=columns)


def _angle(cell: Cell) -> float | None:
    """Mean over steps for every seed, and over seeds."""
    assert cell.run is not None
    by_seed = cell.study.step_means(cell.run.id, [ANGLE]).get(ANGLE)
    return fmean(by_seed.values()) if by_seed else None
