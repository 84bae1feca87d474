"""Scores of a trial by seed and problem, at its last step and by the study's own metric."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import pandas as pd

from analysis.findings.measured import metric_values
from analysis.load.study import StudyResults
from analysis.statistics.accuracy import greedy_outcomes, sampled_outcomes
from analysis.statistics.bootstrap import estimate
from analysis.statistics.intervals import Interval
from analysis.statistics.scores import ProblemScores, Scores
from conspo_study.results.table import TrialRow

_COLUMNS = ("seed", "step", "problem_set", "problem_id", "sample", "verdict", "answer", "vote")
_CLOSE = 1e-6
"""Largest difference between a stored mean and the one computed from responses."""


def final_scores(study: StudyResults, row: TrialRow) -> Scores | None:
    """Scores of the seeds with values; None where the stored responses do not give these values,
    as for a metric that is no accuracy, or for files that are missing.

    A seed that was measured on fewer problems than the others has its mean on the rest, so that it
    counts with its value. A problem whose gold answer cannot be read has no score. Raises
    StudyUnreadable naming a damaged file.
    """
    place, _ = _place_and_kind(study)
    if not place or not row.values:
        return None
    digest = study.digest
    keys = (
        problem_scores(study, row, [row.step])
        if digest is None
        else digest.scores_of(row.id, place)
    )
    if keys is None or keys.empty:
        return None
    wide, asked = (
        keys.assign(asked=1.0).pivot(index="seed", columns="problem_id", values=name)
        for name in ("score", "asked")
    )
    return _of(wide, asked.notna(), place, row)


def problem_scores(
    study: StudyResults, row: TrialRow, steps: Collection[int]
) -> pd.DataFrame | None:
    """Columns seed, step, problem_id and score, by the study's metric, from the responses of these
    evaluations; None for a metric that responses do not give."""
    place, kind = _place_and_kind(study)
    rows = study.evaluations_of([row.id], _COLUMNS, steps).drop(columns="trial")
    rows = rows[rows["problem_set"] == place]
    outcomes = greedy_outcomes(rows) if kind == "greedy" else sampled_outcomes(rows)
    try:
        values = metric_values(outcomes, "avg" if kind.startswith("avg@") else kind)
    except ValueError:
        return None
    return outcomes.keys[["seed", "step", "problem_id"]].assign(score=values)


def _place_and_kind(study: StudyResults) -> tuple[str, str]:
    """Problem set and kind of the study's metric; empty for one that is not of an evaluation."""
    if not study.metric.startswith("eval/"):
        return "", ""
    place, _, kind = study.metric.removeprefix("eval/").rpartition("/")
    return place, kind


def _of(wide: pd.DataFrame, asked: pd.DataFrame, place: str, row: TrialRow) -> Scores | None:
    """wide, asked: a row for each seed, a column for each problem."""
    seeds = tuple(row.values)
    if not set(seeds) <= set(wide.index):
        return None
    wide, asked = wide.loc[list(seeds)], asked.loc[list(seeds)]
    means = wide.mean(axis=1)
    told = [row.values[seed] for seed in seeds]
    if not all(math.isclose(a, b, abs_tol=_CLOSE) for a, b in zip(means, told, strict=True)):
        return None
    filled = np.where(asked, wide.to_numpy(dtype=float), means.to_numpy(dtype=float)[:, None])
    return Scores(seeds, {place: ProblemScores(tuple(map(str, wide.columns)), filled)})


def score_interval(scores: Scores | None) -> Interval | None:
    """95 % interval of the mean over seeds and problems (the two-level bootstrap), as far as scores
    can lie; None without scores, and where these support none."""
    found = estimate(scores) if scores else None
    if found is None or found.low is None or found.high is None:
        return None
    return Interval(found.value, max(0.0, found.low), min(1.0, found.high), found.seeds)
