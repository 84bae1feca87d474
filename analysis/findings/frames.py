"""Tidy frames of trials and curves, from which tables and figures are made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.collapses import rate_of
from analysis.findings.trial_settings import (
    NO_MARGIN,
    objective_settings,
    other_params,
    other_settings,
    setting,
)
from analysis.load.study import StudyResults
from analysis.load.text import visible
from conspo_study.records import TrialState, is_number
from conspo_study.results.table import TrialRow
from conspo_study.text import first_line

ORDER = (
    TrialState.FINISHED,
    TrialState.COLLAPSED,
    TrialState.RUNNING,
    TrialState.PAUSED,
    TrialState.PRUNED,
    TrialState.FAILED,
    TrialState.WAITING,
)
"""The order of tables: trials whose values compare come first."""
WITH_RESULT = tuple(state.value for state in TrialState if state.has_result)
"""Names of the states of trials whose values are those of their last step."""


def trials_frame(study: StudyResults) -> pd.DataFrame:
    """One row per trial, best first within its state.

    Columns: trial, label, the objective settings, other varying settings, state, step, steps,
    value (mean), sd (sample standard deviation over seeds), n (seeds with a value), seeds
    (planned), collapsed (seeds; see `results.collapse`), further metrics of the same kind, such as
    `avg@k` of other sets, as mean, `<metric>/sd` and `<metric>/n`, wall_s, config_hash, cause.
    `value` of a running trial is its last report; a failed or waiting trial has none.
    """
    if "trials" not in study.derived:
        study.derived["trials"] = _trials_frame(study)
    return pd.DataFrame(study.derived["trials"].copy())


def _trials_frame(study: StudyResults) -> pd.DataFrame:
    levels, others = _other_levels(study), other_params(study)
    records = []
    for row in study.table.rows:
        values = shown_values(study, row)
        record: dict[str, Any] = {"trial": row.id, "label": row.label}
        record |= objective_settings(study.configs.get(row.id, {}), row.params)
        record |= {path: setting(study, row, path) for path in others}
        record |= {"state": row.state.value, "step": row.step, "steps": row.steps}
        record |= _mean_and_sd("value", "sd", values)
        record |= {"n": len(values), "seeds": len(row.seeds)}
        record |= {"collapsed": len(rate_of(study, row).seeds)}
        for metric in levels:
            by_seed = {s: m[metric] for s, m in row.seed_metrics.items() if metric in m}
            record |= _mean_and_sd(metric, f"{metric}/sd", by_seed if values else {})
            record |= {f"{metric}/n": len(by_seed) if values else 0}
        record |= {"wall_s": row.wall_s, "config_hash": row.config_hash}
        record |= {"cause": first_line(row.cause)}
        records.append(record)
    columns = ["trial", "label", "objective", "tau", "ratio", "schedule", "alpha", *others]
    columns += ["state", "step", "steps", "value", "sd", "n", "seeds", "collapsed"]
    columns += [name for metric in levels for name in (metric, f"{metric}/sd", f"{metric}/n")]
    columns += ["wall_s", "config_hash", "cause"]
    frame = pd.DataFrame(records, columns=columns)
    rank = {state.value: index for index, state in enumerate(ORDER)}
    rank |= dict.fromkeys(WITH_RESULT, 0)
    order = frame.assign(
        _state=frame["state"].map(rank),
        _incomplete=(frame["n"] < frame["seeds"]) & frame["state"].isin(WITH_RESULT),
    ).sort_values(
        ["_state", "_incomplete", "value", "trial"],
        ascending=[True, True, study.direction == "min", True],
    )
    return frame.loc[order.index].reset_index(drop=True)


def margin_points(study: StudyResults) -> pd.DataFrame:
    """One row per seed of every finished or pruned trial whose M/tau is known, of the objective
    that most of them have: another one's tau is in other units.

    Columns: trial, label, state, step, tau, ratio, schedule, other (the other settings that vary
    between trials, as text), seed, value, complete (whether all seeds of the trial have a value).
    """
    known = [
        (row, settings)
        for row in study.table.rows
        if row.state.has_result or row.state is TrialState.PRUNED
        if (settings := objective_settings(study.configs.get(row.id, {}), row.params))["tau"]
        is not None
        and settings["ratio"] is not None
    ]
    objectives = Counter(settings["objective"] for _, settings in known)
    records = []
    for row, settings in known:
        if settings["objective"] == objectives.most_common(1)[0][0]:
            records += [
                {
                    "trial": row.id,
                    "label": visible(row.label),
                    "state": row.state.value,
                    "step": row.step,
                    "tau": settings["tau"],
                    "ratio": settings["ratio"],
                    "schedule": settings["schedule"] or NO_MARGIN,
                    "other": other_settings(study, row),
                    "seed": seed,
                    "value": value,
                    "complete": not row.missing_seeds,
                }
                for seed, value in row.values.items()
            ]
    return pd.DataFrame(records)


def baselines_without_margin(study: StudyResults) -> pd.DataFrame:
    """One row per labelled trial with a result whose objective has no margin to set, as GRPO:
    trial, label, other (as in `margin_points`), value (mean over all its seeds)."""
    records = [
        {
            "trial": row.id,
            "label": visible(row.label),
            "other": other_settings(study, row),
            "value": row.value,
        }
        for row in study.table.rows
        if row.label
        and row.state.has_result
        and row.value is not None
        and not row.missing_seeds
        and objective_settings(study.configs.get(row.id, {}), row.params)["ratio"] is None
    ]
    return pd.DataFrame(records, columns=["trial", "label", "other", "value"])


def initial_value(study: StudyResults) -> float | None:
    """The study's metric before training: mean over seeds of the reports at step 0; None unless
    all seeds have one."""
    reports = study.reported(study.metric)
    start = reports[reports["step"] == 0]
    # By seed first: trials share their start, and some may not have reported all seeds.
    by_seed = start.groupby("seed")["value"].mean()
    complete = len(by_seed) and set(by_seed.index) >= set(study.seeds)
    return float(by_seed.mean()) if complete else None


def evaluation_curves(
    study: StudyResults, metric: str, trials: Iterable[str] | None = None
) -> pd.DataFrame:
    """trial, seed, step, value of an evaluation metric at the steps that were evaluated.

    trials: of which, by default those of the search.
    """
    reports = study.reported(metric, trials)
    evaluated = {trial: study.evaluated_steps(trial) for trial in reports["trial"].unique()}
    keep = [
        not evaluated[trial] or step in evaluated[trial]
        for trial, step in zip(reports["trial"], reports["step"], strict=True)
    ]
    return reports[pd.Series(keep, index=reports.index, dtype=bool)].sort_values(
        ["trial", "seed", "step"], ignore_index=True
    )


def metric_of(steps: pd.DataFrame, name: str) -> pd.DataFrame:
    """trial, seed, step, value of one column of `StudyResults.steps_of`; empty without it.

    Values that are not finite numbers, as a custom objective may log them, are left out.
    """
    if name not in steps:
        return pd.DataFrame(columns=["trial", "seed", "step", "value"])
    frame = steps[["trial", "seed", "step", name]].rename(columns={name: "value"})
    if frame["value"].dtype.kind not in "fi":
        numbers = [value if is_number(value) else None for value in frame["value"]]
        frame["value"] = pd.Series(numbers, index=frame.index, dtype=float)
    return frame.dropna().reset_index(drop=True)


def shown_values(study: StudyResults, row: TrialRow) -> dict[int, float]:
    """The study's metric per seed: at the end, or last reported while the trial runs."""
    if row.state is TrialState.RUNNING:
        metric = study.metric
        return {seed: m[metric] for seed, m in row.seed_metrics.items() if metric in m}
    return {} if row.state is TrialState.FAILED else dict(row.values)


def _other_levels(study: StudyResults) -> list[str]:
    names = {name for row in study.table.rows for m in row.seed_metrics.values() for name in m}
    kind = _kind(study.metric)
    return sorted(
        name
        for name in names
        if name.startswith("eval/") and _kind(name) == kind and name != study.metric
    )


def _kind(metric: str) -> str:
    """`avg` of `eval/chain/hard/avg@8`: sets may differ in their number of samples."""
    return metric.rpartition("/")[2].partition("@")[0]


def _mean_and_sd(mean: str, sd: str, values: Mapping[int, float]) -> dict[str, float | None]:
    numbers = np.array(list(values.values()), dtype=float)
    return {
        mean: float(numbers.mean()) if len(numbers) else None,
        sd: float(numbers.std(ddof=1)) if len(numbers) > 1 else None,
    }
