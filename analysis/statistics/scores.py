"""Scores by seed and problem, from which intervals over both are computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class ProblemScores:
    """Scores on one benchmark; the samples of a problem are already averaged."""

    problems: tuple[str, ...]
    """Ids, each once."""
    values: Floats
    """[seeds, problems]; nan where no response of a seed can be judged."""

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != len(self.problems):
            raise ValueError(
                f"values have shape {self.values.shape}, which is not seeds x "
                f"{len(self.problems)} problems"
            )
        if len(set(self.problems)) != len(self.problems):
            raise ValueError("a problem appears twice")
        if np.isinf(self.values).any():
            raise ValueError("scores must be finite, or nan where there is none")
        if np.isnan(self.values).all(axis=1).any():
            raise ValueError("a seed has no score on any problem; leave that seed out")

    @property
    def seed_means(self) -> Floats:
        """[seeds]; a problem without a score is left out of its seed's mean."""
        return np.asarray(np.nanmean(self.values, axis=1))

    @property
    def missing(self) -> float:
        """The largest share, over seeds, of problems without a score."""
        return float(np.isnan(self.values).mean(axis=1).max())


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of one method: the same seeds on every benchmark."""

    seeds: tuple[int, ...]
    benchmarks: Mapping[str, ProblemScores]
    """At least one."""

    def __post_init__(self) -> None:
        if not self.seeds or not self.benchmarks:
            raise ValueError("scores need at least one seed and one benchmark")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"a seed appears twice in {self.seeds}")
        for name, scores in self.benchmarks.items():
            if len(scores.values) != len(self.seeds):
                raise ValueError(
                    f"{name} has scores of {len(scores.values)} seeds, not of {len(self.seeds)}"
                )

    @property
    def cells(self) -> Floats:
        """[seeds, benchmarks]: means over problems."""
        return np.stack([scores.seed_means for scores in self.benchmarks.values()], axis=1)

    def by_seed(self, benchmark: str) -> dict[int, float]:
        """Mean over problems for every seed. Raises KeyError for an unknown benchmark."""
        means = self.benchmarks[benchmark].seed_means
        return dict(zip(self.seeds, means.tolist(), strict=True))

    def only(self, *benchmarks: str) -> Scores:
        """The same seeds on some benchmarks, in that order."""
        return Scores(self.seeds, {name: self.benchmarks[name] for name in benchmarks})


def aligned(first: Scores, second: Scores) -> tuple[Scores, Scores] | None:
    """Both on the seeds, benchmarks and problems that they share; None when they share none.

    A problem that lacks a score in one of the two lacks it in both, so that the means of the two
    are over the same problems, seed by seed.
    """
    seeds = tuple(seed for seed in first.seeds if seed in second.seeds)
    rows = [[scores.seeds.index(seed) for seed in seeds] for scores in (first, second)]
    found: tuple[dict[str, ProblemScores], dict[str, ProblemScores]] = ({}, {})
    for name in first.benchmarks:
        if not seeds or name not in second.benchmarks:
            continue
        pair = (first.benchmarks[name], second.benchmarks[name])
        problems = tuple(sorted(set(pair[0].problems) & set(pair[1].problems)))
        values = [
            scores.values[np.ix_(rows[side], _positions(scores.problems, problems))]
            for side, scores in enumerate(pair)
        ]
        absent = np.isnan(values[0]) | np.isnan(values[1])
        if not problems or absent.all(axis=1).any():
            continue
        for side in (0, 1):
            found[side][name] = ProblemScores(problems, np.where(absent, np.nan, values[side]))
    return (Scores(seeds, found[0]), Scores(seeds, found[1])) if found[0] else None


def _positions(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    where = {name: index for index, name in enumerate(names)}
    return [where[name] for name in wanted]
