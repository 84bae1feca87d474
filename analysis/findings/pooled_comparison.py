"""One paired test over all trials that two studies share.

Two studies that differ in one setting ask one question, which many tests of single trials, each
corrected for the others, answer worse than one test of their mean difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from analysis.statistics.bootstrap import difference
from analysis.statistics.scores import ProblemScores, Scores
from conspo_study.statistics.contrast import Contrast, mean_contrast, usable


@dataclass(frozen=True, slots=True)
class Pooled:
    """The mean over trials of B minus A."""

    trials: int
    value: float
    contrast: Contrast | None
    reason: str
    """Why there is no contrast."""
    seeds: int
    """On which all these trials are compared."""
    problems: int
    """0 where they are taken as fixed."""


def pooled(
    by_seed: Sequence[Mapping[int, float]],
    scores: Sequence[tuple[Scores | None, Scores | None]],
) -> Pooled | None:
    """None for fewer than two trials, and where no seed is common to all of them.

    by_seed: of every trial, B minus A. scores: of B and A, by seed and problem. Where all trials
    have scores on shared seeds and problems, the mean over trials is one method with the two-level
    bootstrap: what trials of one seed or answers to one problem have in common does not count
    several times. Else the mean over trials of every common seed is one observation of a paired
    t-test: what the trials of a seed have in common counts once, however many trials there are.
    """
    if len(by_seed) < 2:
        return None
    sides = [[one for one in side if one is not None] for side in zip(*scores, strict=True)]
    if all(len(side) == len(by_seed) for side in sides):
        means = [_mean(side) for side in sides]
        found = difference(means[0], means[1]) if means[0] and means[1] else None
        if found is not None:
            return Pooled(
                len(by_seed),
                found.value,
                found.contrast,
                found.no_interval,
                found.seeds,
                found.problems,
            )
    seeds = sorted(set(by_seed[0]).intersection(*by_seed[1:]))
    if not seeds:
        return None
    values = [fmean(one[seed] for one in by_seed) for seed in seeds]
    involved = [one[seed] for one in by_seed for seed in seeds]
    contrast, reason = usable(mean_contrast(values) if len(values) > 1 else None, involved)
    return Pooled(len(by_seed), fmean(values), contrast, reason, len(seeds), 0)


def _mean(trials: Sequence[Scores]) -> Scores | None:
    """The mean over trials on the seeds and problems that all have, of their one benchmark."""
    seeds = [seed for seed in trials[0].seeds if all(seed in one.seeds for one in trials)]
    tables = [next(iter(one.benchmarks.values())) for one in trials]
    shared = sorted(set(tables[0].problems).intersection(*(one.problems for one in tables[1:])))
    if not seeds or not shared:
        return None
    cells = []
    for one, table in zip(trials, tables, strict=True):
        at = {problem: index for index, problem in enumerate(table.problems)}
        rows = [one.seeds.index(seed) for seed in seeds]
        cells.append(table.values[np.ix_(rows, [at[problem] for problem in shared])])
    stacked = np.stack(cells)
    # A problem that one trial lacks is left out of all: means are then over the same trials.
    values = np.where(np.isnan(stacked).any(axis=0), np.nan, stacked.mean(axis=0))
    if np.isnan(values).all(axis=1).any():
        return None
    return Scores(tuple(seeds), {"mean": ProblemScores(tuple(shared), values)})
