"""Collapse of a seed: its training broke down, or it ended far below where it began."""

from __future__ import annotations

from collections.abc import Mapping

from analysis.load.study import StudyResults
from conspo_study.records import EventKind
from conspo_study.results.table import TrialRow

SHARE = 0.5
"""A seed that ends below this share of its untrained policy's value has collapsed."""


def collapsed_seeds(study: StudyResults, row: TrialRow) -> tuple[int, ...]:
    """The seeds of a trial with values that collapsed: they stopped for it, or ended below half of
    the value that their untrained policy had.

    A metric of which less is better has the first kind alone.
    """
    stopped = set(getattr(row, "collapsed", ()))
    before = untrained_values(study, row.id) if study.direction == "max" else {}
    fallen = {
        seed
        for seed, value in row.values.items()
        if value < SHARE * before.get(seed, float("-inf"))
    }
    return tuple(seed for seed in row.values if seed in stopped | fallen)


def untrained_values(study: StudyResults, trial: str) -> Mapping[int, float]:
    """The study's metric by seed before training; empty where it was not measured."""
    for logged in study.events:
        event = logged.event
        if event.trial == trial and event.kind is EventKind.REPORTED:
            if event.data.get("step") != 0:
                return {}
            return {
                int(seed): float(metrics[study.metric])
                for seed, metrics in event.data.get("seeds", {}).items()
                if isinstance(metrics.get(study.metric), int | float)
            }
    return {}
