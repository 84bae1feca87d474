"""Folds an event into the row of its trial."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

from conspo_study.records import EventKind, TrialState
from conspo_study.results.event_data import (
    by_seed,
    collapses_of,
    number_of,
    numbers_of,
    seed_of,
    step_of,
)
from conspo_study.results.trial_row import TrialRow, changed

_CAUSES_OF_THE_MACHINE = (
    *("the trial's processes died", "the trial ended after step", "the workers died"),
    *("out of memory: ", "rollout "),
)


def row_after(row: TrialRow, kind: EventKind, data: Mapping[str, Any]) -> TrialRow:
    """The trial after an event that is not its suggestion. Raises ValueError, TypeError, KeyError,
    AttributeError or OverflowError for data that makes no sense."""
    if kind is EventKind.INCIDENT:
        return changed(row, incidents=counted_incidents(row.incidents, data))
    if row.state.has_result:
        # Its value may already have been used: the first end stands.
        return row
    if kind is EventKind.STARTED:
        return changed(
            row,
            state=TrialState.RUNNING,
            cause="",
            machine=False,
            collapses={},
            values={},
            also={},
            recorded_value=None,
            wall_s=None,
        )
    if kind is EventKind.REPORTED:
        # A stopped worker may still report once; the end of its trial stands, and so does a pause.
        over = row.state.ended or row.state is TrialState.PAUSED
        return row if over else _reported(row, data)
    cause = str(data.get("cause", ""))
    wall_s = number_of(data.get("wall_s"))
    wall_s = None if wall_s is None else wall_s + row.earlier_s
    if kind is EventKind.PAUSED:
        there = statistics.fmean(by_seed(data["values"]).values())
        pauses = {**row.pauses, step_of(data["step"]): there}
        row = changed(row, pauses=pauses, earlier_s=wall_s or row.earlier_s)
    return changed(
        row,
        state=TrialState(kind.value),
        step=step_of(data.get("step") or row.step),
        values=by_seed(data.get("values") or {}),
        also={metric: by_seed(values) for metric, values in (data.get("also") or {}).items()},
        recorded_value=number_of(data.get("value")),
        cause=cause,
        machine=kind is EventKind.FAILED and _is_of_the_machine(data, cause),
        collapses=collapses_of(data) or row.collapses,
        wall_s=wall_s,
    )


def _reported(row: TrialRow, data: Mapping[str, Any]) -> TrialRow:
    # A report holds all that is up to date: what it lacks was measured at an earlier step only.
    seeds = {seed_of(seed): numbers_of(metrics) for seed, metrics in data.get("seeds", {}).items()}
    return changed(
        row,
        state=TrialState.RUNNING,
        step=step_of(data["step"]) if "step" in data else row.step,
        steps=step_of(data["steps"]) if "steps" in data else row.steps,
        metrics=numbers_of(data.get("metrics", {})),
        seed_metrics=seeds,
        collapses=collapses_of(data),
        untrained=_shared(seeds) if data.get("step") == 0 else row.untrained,
        tokens_per_s=number_of(data.get("tokens_per_s")),
    )


def _shared(seeds: Mapping[int, Mapping[str, float]]) -> dict[int, Mapping[str, float]]:
    """Metrics by seed that are kept once however many trials report the same: trials of one policy
    have the evaluation of the untrained one in common."""
    return {
        seed: _kept_once(tuple((n, v) for n, v in metrics.items() if not n.startswith("time/")))
        for seed, metrics in seeds.items()
    }


@lru_cache(maxsize=1024)
def _kept_once(metrics: tuple[tuple[str, float], ...]) -> Mapping[str, float]:
    return MappingProxyType(dict(metrics))


def counted_incidents(incidents: Mapping[str, int], data: Mapping[str, Any]) -> dict[str, int]:
    """The counts after one more incident event."""
    kind, count = str(data["type"]), int(data.get("count", 1))
    return {**incidents, kind: incidents.get(kind, 0) + count}


def _is_of_the_machine(data: Mapping[str, Any], cause: str) -> bool:
    """Whether the machine made a trial fail; logs before version 0.3 say so by the cause alone."""
    return bool(data.get("machine", cause.startswith(_CAUSES_OF_THE_MACHINE)))
