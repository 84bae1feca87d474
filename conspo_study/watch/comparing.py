"""Trials side by side: the settings in which they differ, and their paired differences."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from typing import Any

from conspo_study.records.nested import flattened
from conspo_study.results.event_data import with_text_seeds
from conspo_study.results.table import TrialRow

FEWEST, MOST = 2, 8
"""Trials that are compared at once."""


def named_trials(text: str) -> list[str]:
    """The trials of a question, `t0001,t0002`. Raises ValueError for too few or too many."""
    trials = list(dict.fromkeys(part for part in text.split(",") if part))
    if not FEWEST <= len(trials) <= MOST:
        raise ValueError(f"compare {FEWEST} to {MOST} trials, not {len(trials)}")
    return trials


def metric_values(row: TrialRow, metric: str, own: str) -> dict[int, float]:
    """A metric of a trial by seed: at its end, or as last reported; empty where it has none.

    own: the study's metric, which a trial that has ended has by its own.
    """
    if metric == own and row.values:
        return dict(row.values)
    if metric in row.also:
        return dict(row.also[metric])
    return {seed: values[metric] for seed, values in row.seed_metrics.items() if metric in values}


def differences(
    values: Mapping[str, Mapping[int, float]], reference: str
) -> dict[str, dict[str, Any]]:
    """Every trial's values minus the reference's over the seeds that both have: mean, ends of the
    95 % t-interval or why there are none, and the number of seeds.

    values: by trial and seed. Each interval is 95 % by itself.
    """
    from conspo_study.statistics.contrast import paired_contrast

    found = {}
    for trial, own in values.items():
        shared = own.keys() & values[reference].keys()
        if trial == reference:
            continue
        if not shared:
            found[trial] = {"n": 0, "why": "they have no seed in common"}
            continue
        contrast, why = paired_contrast(own, values[reference])
        mean = statistics.fmean(own[seed] - values[reference][seed] for seed in shared)
        low, high = contrast.interval() if contrast else (None, None)
        found[trial] = {"mean": mean, "low": low, "high": high, "n": len(shared), "why": why}
    return found


def shown_values(values: Mapping[str, Mapping[int, float]]) -> dict[str, dict[str, Any]]:
    """Mean, standard deviation over seeds and values of each trial."""
    return {
        trial: {
            "mean": statistics.fmean(own.values()) if own else None,
            "spread": statistics.stdev(own.values()) if len(own) > 1 else None,
            "seeds": with_text_seeds(own),
        }
        for trial, own in values.items()
    }


def differing(configs: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The settings in which configurations differ: `path`, and `values` by trial; a trial without
    the setting has none.

    configs: by trial, nested as stored, or by dotted name.
    """
    flat = {trial: flattened(config) for trial, config in configs.items()}
    paths = dict.fromkeys(path for settings in flat.values() for path in settings)
    found = []
    for path in paths:
        values = {trial: own[path] for trial, own in flat.items() if path in own}
        texts = {json.dumps(value, sort_keys=True) for value in values.values()}
        if len(texts) > 1 or len(values) < len(flat):
            found.append({"path": path, "values": values})
    return found
