"""Scores of a trial by seed and problem, at its last step and by the study's own metric."""

from __future__ import annotations

import math

import pandas as pd

from analysis.load.study import StudyResults
from analysis.statistics.accuracy import Outcomes, greedy_outcomes, sampled_outcomes
from analysis.statistics.scores import Floats, ProblemScores, Scores
from conspo_study.results.table import TrialRow

_COLUMNS = ("seed", "step", "problem_set", "problem_id", "sample", "verdict", "answer")
_CLOSE = 1e-6
"""Largest difference between a stored mean and the one computed from responses."""


def final_scores(study: StudyResults, row: TrialRow) -> Scores | None:
    """Scores of the seeds with values; None where the stored responses do not give these values,
    as for a metric that is no accuracy, or for files that are missing.

    A seed that was measured on fewer problems than the others has its mean on the rest, so that it
    counts with its value. Raises StudyUnreadable naming a damaged file.
    """
    place, _, kind = study.metric.removeprefix("eval/").rpartition("/")
    if not study.metric.startswith("eval/") or not row.values:
        return None
    rows = study.evaluations_of([row.id], _COLUMNS, [row.step]).drop(columns="trial")
    rows = rows[rows["problem_set"] == place]
    outcomes = greedy_outcomes(rows) if kind == "greedy" else sampled_outcomes(rows)
    values = _values(outcomes, kind)
    if values is None or not len(values):
        return None
    wide = outcomes.keys.assign(value=values).pivot(
        index="seed", columns="problem_id", values="value"
    )
    return _of(wide, place, row)


def _of(wide: pd.DataFrame, place: str, row: TrialRow) -> Scores | None:
    """wide: a row for each seed, a column for each problem."""
    seeds = tuple(row.values)
    if not set(seeds) <= set(wide.index):
        return None
    wide = wide.loc[list(seeds)]
    means = wide.mean(axis=1)
    told = [row.values[seed] for seed in seeds]
    if not all(math.isclose(a, b, abs_tol=_CLOSE) for a, b in zip(means, told, strict=True)):
        return None
    filled = wide.apply(lambda problem: problem.fillna(means), axis=0)
    problems = tuple(map(str, wide.columns))
    return Scores(seeds, {place: ProblemScores(problems, filled.to_numpy(dtype=float))})


def _values(outcomes: Outcomes, kind: str) -> Floats | None:
    name, _, k = kind.partition("@")
    if kind == "greedy" or name == "avg":
        return outcomes.avg()
    if name in ("pass", "maj") and k.isdecimal():
        return outcomes.pass_at(int(k)) if name == "pass" else outcomes.maj_at(int(k))
    return None
