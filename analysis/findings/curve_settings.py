"""The learning curves of all settings of one or several studies, over what training had cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.findings.collapses import rate_of
from analysis.findings.compute_axes import NoCompute, Over, spent
from analysis.findings.final_scores import problem_scores
from analysis.findings.frames import evaluation_curves
from analysis.findings.metric_difference import is_share
from analysis.findings.naming import describe
from analysis.load.study import StudyResults
from analysis.load.text import visible
from analysis.statistics.bootstrap import MOST_MISSING
from analysis.statistics.learning_curves import LearningCurve, filled
from analysis.statistics.scores import Floats
from conspo_study.records import TrialState
from conspo_study.results.collapse import CollapseRate
from conspo_study.results.table import TrialRow

CONFIRMED = " (confirmed)"
MOST_SETTINGS = 60
"""Of a study with more trials, the labelled, the confirmed and so many of the best have curves."""
_CLOSE = 1e-6
"""Largest difference between a logged mean and the one computed from responses."""


@dataclass(frozen=True)
class CurveSetting:
    """A trial and its curve: all seeds of one setting."""

    name: str
    """Of the search's trial; a confirmation has the name of what it confirms."""
    study: StudyResults
    row: TrialRow
    steps: tuple[int, ...]
    """The evaluations after step 0."""
    curve: LearningCurve | None
    """The metric, or minus it where less is better; None where there is no curve."""
    reason: str = ""
    """Why there is none."""

    @property
    def title(self) -> str:
        """For tables and sentences."""
        return visible(self.name + CONFIRMED * bool(self.row.of))

    @property
    def collapsed(self) -> CollapseRate:
        """The collapsed seeds."""
        return rate_of(self.study, self.row)

    @property
    def split(self) -> str:
        """Where it was measured: curves of different splits do not compare."""
        return str(self.study.configs.get(self.row.id, {}).get("evaluation", {}).get("split"))


@dataclass(frozen=True)
class CurveSet:
    """All settings of studies with one metric."""

    studies: tuple[StudyResults, ...]
    over: Over
    settings: tuple[CurveSetting, ...]
    """At least one with a curve."""
    left_out: int = 0
    """Trials of large studies that are none of them."""

    @property
    def metric(self) -> str:
        """The metric of all of them."""
        return self.studies[0].metric

    @property
    def sign(self) -> int:
        """1 if more of the metric is better, -1 if less is."""
        return 1 if self.studies[0].direction == "max" else -1

    @property
    def share(self) -> bool:
        """Whether the metric lies between 0 and 1."""
        return is_share(self.studies[0])


def curve_set(studies: Sequence[StudyResults], over: Over) -> CurveSet:
    """The curves of all trials that were measured, confirmations included.

    Raises ValueError for a digest, for studies without a definition or of different metrics, and
    where no trial has a curve; StudyUnreadable naming a damaged file.
    """
    for study in studies:
        if study.problem:
            raise ValueError(study.problem)
        if study.digest is not None:
            raise ValueError(
                f"{study.folder} is a digest, which keeps final scores and no curves: name the "
                "whole results directory"
            )
    if len({(study.metric, study.direction) for study in studies}) > 1:
        named = ", ".join(sorted({study.metric for study in studies}))
        raise ValueError(f"the studies select by different metrics, {named}: name one at a time")
    settings: list[CurveSetting] = []
    prefixes, left_out = _prefixes(studies), 0
    for study in studies:
        rows = _chosen(study)
        left_out += sum(row.state is not TrialState.WAITING for row in study.table.all_rows)
        left_out -= len(rows)
        reports = evaluation_curves(study, study.metric, [row.id for row in rows])
        by_trial = dict(list(reports.groupby("trial")))
        for row in rows:
            own = by_trial.get(row.id, reports.iloc[:0])
            name = _name(study, row, prefixes[id(study)])
            settings.append(_setting(name, study, row, own, over))
    if not any(one.curve for one in settings):
        reasons = Counter(one.reason for one in settings)
        raise ValueError(
            max(reasons, key=lambda reason: reasons[reason])
            if reasons
            else "no trial has begun: there are no curves"
        )
    return CurveSet(tuple(studies), over, tuple(_distinct(settings)), left_out)


def _chosen(study: StudyResults) -> list[TrialRow]:
    """The trials that have begun; of a large study the labelled, the confirmed and the best."""
    begun = [row for row in study.table.all_rows if row.state is not TrialState.WAITING]
    if len(begun) <= MOST_SETTINGS:
        return begun
    sign = -1.0 if study.direction == "max" else 1.0
    valued = [row for row in study.table.rows if row.state.has_result and row.value is not None]
    best = sorted(valued, key=lambda row: (sign * (row.value or 0.0), row.id))[:MOST_SETTINGS]
    kept = {row.id for row in best}
    return [row for row in begun if row.label or row.of or row.id in kept]


def _prefixes(studies: Sequence[StudyResults]) -> dict[int, str]:
    """What the names of a study's settings begin with, where there are several studies."""
    if len(studies) < 2:
        return {id(study): "" for study in studies}
    counts = Counter(study.folder.name for study in studies)
    return {
        id(study): f"{study.folder.name}: "
        if counts[study.folder.name] == 1
        else f"{study.folder.parent.name}/{study.folder.name}: "
        for study in studies
    }


def _name(study: StudyResults, row: TrialRow, prefix: str) -> str:
    searched = study.table.row(row.of) if row.of else row
    return prefix + (searched.label or describe(study, searched))


def _distinct(settings: Sequence[CurveSetting]) -> list[CurveSetting]:
    """Search trials of one name, and their confirmations, have the trial's id behind it."""
    bearers: dict[str, set[tuple[int, str]]] = {}
    for one in settings:
        bearers.setdefault(one.name, set()).add((id(one.study), one.row.of or one.row.id))
    return [
        CurveSetting(
            f"{one.name}, {one.row.of or one.row.id}" if len(bearers[one.name]) > 1 else one.name,
            *(one.study, one.row, one.steps, one.curve, one.reason),
        )
        for one in settings
    ]


def _setting(
    name: str, study: StudyResults, row: TrialRow, reports: pd.DataFrame, over: Over
) -> CurveSetting:
    values = reports.pivot(index="seed", columns="step", values="value")
    reported = sorted({int(step) for step in reports["step"]})
    values = values[[step for step in reported if _evaluated(study, row, step)]].dropna(axis=1)
    steps = tuple(step for step in reported if step > 0 and step in values)

    def without(reason: str) -> CurveSetting:
        return CurveSetting(name, study, row, steps, None, f"{study.folder.name}/{row.id} {reason}")

    if row.state is TrialState.FAILED:
        return without("failed")
    if 0 not in values:
        return without(f"has no {study.metric} of the untrained policy, at step 0")
    if not steps:
        return without(f"has no {study.metric} after step 0")
    try:
        cost = spent(study, row, over, steps)
    except NoCompute as error:
        return CurveSetting(name, study, row, steps, None, str(error))
    seeds = tuple(int(seed) for seed in values.index)
    compute = [[cost.at(seed, step) or 0.0 for step in steps] for seed in seeds]
    if min(map(min, compute)) <= 0:
        return without(f"has spent no {over.label} before its first evaluation")
    sign = 1 if study.direction == "max" else -1
    ceiling = (1.0 if sign > 0 else 0.0) if is_share(study) else None
    levels = values[[0, *steps]].to_numpy(dtype=float)
    problems, scores = _by_problem(study, row, values, [0, *steps])
    if scores is not None:
        levels = scores.mean(axis=2)
        scores = sign * scores
    return CurveSetting(
        *(name, study, row, steps),
        LearningCurve(
            *(seeds, np.array(compute), sign * levels[:, 1:], sign * levels[:, 0], ceiling),
            *(problems, scores),
        ),
    )


def _evaluated(study: StudyResults, row: TrialRow, step: int) -> bool:
    """Reports between evaluations repeat the last one; files tell, and without files the
    configuration does."""
    if study.function or study.evaluated_steps(row.id):
        return True
    every = study.configs.get(row.id, {}).get("evaluation", {}).get("every")
    return not isinstance(every, int) or every < 1 or step % every == 0 or step == row.steps


def _by_problem(
    study: StudyResults, row: TrialRow, values: pd.DataFrame, steps: Sequence[int]
) -> tuple[tuple[str, ...], Floats | None]:
    """Ids and scores [S, 1 + E, P] on the problems that every evaluation has; none where stored
    responses do not give the logged values.

    values: the metric by seed and step.
    """
    if not study.metric.startswith("eval/"):
        return (), None
    values = values[list(steps)]
    found = problem_scores(study, row, steps)
    if found is None or found.empty:
        return (), None
    means = found.groupby(["seed", "step"])["score"].mean().unstack()
    means = means.reindex(index=values.index, columns=values.columns)
    if not np.allclose(means.to_numpy(dtype=float), values.to_numpy(dtype=float), 0, _CLOSE):
        return (), None
    asked = found.groupby("problem_id").size()
    common = sorted(str(name) for name in asked.index[asked == values.size])
    if len(common) < 2:
        return (), None
    wide = found.pivot(index=["seed", "step"], columns="problem_id", values="score")
    order = pd.MultiIndex.from_product([values.index, steps], names=["seed", "step"])
    scores = wide.reindex(order)[common].to_numpy(dtype=float)
    if np.isnan(scores).mean(axis=1).max() > MOST_MISSING:
        return (), None
    return tuple(common), filled(scores.reshape(*values.shape, len(common)))
