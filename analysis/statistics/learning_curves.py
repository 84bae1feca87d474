"""Learning curves of several seeds, resampled over seeds and problems, and fitted in every draw.

The levels are crossed as in `analysis.statistics.bootstrap`: all seeds and all evaluations of a
setting answer the same problems. A draw takes S - 1 of S seeds with their whole curves, and P - 1
of P problems, the same for all seeds and evaluations. Seeds alone, problems alone and both are
drawn; of any quantity of a curve their variances give its standard error and degrees of freedom.
Draws do not depend on the data: those of two curves with the same seeds and problems are paired.

R0 is measured by the same seeds on the same problems, so a draw has its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from analysis.statistics.bootstrap import combined_error, drawn_counts
from analysis.statistics.saturation import Saturation, fit
from analysis.statistics.scores import Floats
from conspo_study.statistics.contrast import Contrast

DRAWS = 400
"""Of each kind; standard errors are then known to about four percent."""


@dataclass(frozen=True, eq=False)
class LearningCurve:
    """A metric of which more is better, over compute: S seeds, E evaluations after step 0."""

    seeds: tuple[int, ...]
    compute: Floats
    """[S, E]: what each seed had spent at each evaluation; positive, ascending along E."""
    values: Floats
    """[S, E]."""
    start: Floats
    """[S]: the untrained policy."""
    ceiling: float | None = None
    """The largest value that the metric can have; None where it has none."""
    problems: tuple[str, ...] = ()
    """Ids; empty where only the values are known, and problems are taken as fixed."""
    scores: Floats | None = None
    """[S, 1 + E, P]: the same by problem, the untrained policy first; their means over problems are
    `start` and `values`."""

    def __post_init__(self) -> None:
        shape = self.values.shape
        if (
            self.compute.shape != shape
            or shape[0] != len(self.seeds)
            or len(self.start) != shape[0]
        ):
            raise ValueError(f"values {shape}, compute {self.compute.shape} and seeds do not match")
        if not (np.isfinite(self.values).all() and np.isfinite(self.start).all()):
            raise ValueError("values must be finite")
        if not (self.compute > 0).all():
            raise ValueError("compute must be positive")

    @property
    def mean_compute(self) -> Floats:
        """[E]: over seeds."""
        return np.asarray(self.compute.mean(axis=0))

    @cached_property
    def resampled(self) -> Resampled:
        """Its draws; needs two seeds or more."""
        return Resampled(self)


def shared(first: LearningCurve, second: LearningCurve) -> tuple[LearningCurve, LearningCurve]:
    """Both on the seeds that they share, in one order, and on shared problems where both have some.

    Seeds may be none.
    """
    seeds = tuple(sorted(set(first.seeds) & set(second.seeds)))
    problems = tuple(sorted(set(first.problems) & set(second.problems)))
    if len(problems) < 2:
        problems = ()
    return _on(first, seeds, problems), _on(second, seeds, problems)


def _on(curve: LearningCurve, seeds: tuple[int, ...], problems: tuple[str, ...]) -> LearningCurve:
    if (seeds, problems) == (curve.seeds, curve.problems):
        return curve
    rows = [curve.seeds.index(seed) for seed in seeds]
    scores = None
    values, start = curve.values[rows], curve.start[rows]
    if curve.scores is not None and problems:
        where = {name: index for index, name in enumerate(curve.problems)}
        scores = curve.scores[rows][:, :, [where[name] for name in problems]]
        values, start = scores[:, 1:].mean(axis=2), scores[:, 0].mean(axis=1)
    return LearningCurve(seeds, curve.compute[rows], values, start, curve.ceiling, problems, scores)


class Resampled:
    """The draws of a curve: the curve itself, then `DRAWS` of each kind; D in all."""

    def __init__(self, curve: LearningCurve):
        seeds, problems = len(curve.seeds), len(curve.problems)
        rng = np.random.default_rng(0)
        drawn = drawn_counts(rng, seeds, DRAWS).astype(float)
        whole = np.ones((1, seeds))
        self.curve = curve
        self.kinds = 3 if curve.scores is not None and problems > 1 else 1
        self.freedom = seeds - 1, problems - 1
        if self.kinds == 1 or curve.scores is None:
            self.weights = np.concatenate([whole, drawn])
            levels = np.concatenate([curve.start[:, None], curve.values], axis=1)
            self._levels = np.broadcast_to(levels, (1 + DRAWS, *levels.shape))
            return
        shares = drawn_counts(rng, problems, DRAWS) / (problems - 1)
        by_problem = np.moveaxis(curve.scores @ shares.T, 2, 0)
        fixed = np.broadcast_to(curve.scores.mean(axis=2), by_problem.shape)
        self.weights = np.concatenate([whole, drawn, np.ones_like(drawn), drawn])
        self._levels = np.concatenate([fixed[:1], fixed, by_problem, by_problem])

    @cached_property
    def start(self) -> Floats:
        """[D]: R0."""
        return self._mean(self._levels[:, :, 0])

    @cached_property
    def means(self) -> Floats:
        """[D, E]: means over seeds."""
        return self._mean(self._levels[:, :, 1:])

    @cached_property
    def fitted(self) -> Saturation:
        """The curves through all evaluations."""
        return self.fit(self.curve.values.shape[1])

    def fit(self, first: int) -> Saturation:
        """The curves through the first evaluations alone."""
        compute, ceiling = self.curve.compute[:, :first], self.curve.ceiling
        if (compute == compute[0]).all():
            # The same least squares with a fraction of the points.
            means = self.means[:, :first]
            return fit(compute[0], means, np.ones_like(means), self.start, ceiling)
        count = len(self.weights)
        return fit(
            compute.ravel(),
            self._levels[:, :, 1 : 1 + first].reshape(count, -1),
            np.repeat(self.weights, first, axis=1),
            self.start,
            ceiling,
        )

    def missed(self, found: Saturation, evaluation: int) -> Floats:
        """[D]: the measured value of an evaluation minus that of the fitted curves."""
        predicted = found.at(self.curve.compute[:, evaluation])
        return self._mean(self._levels[:, :, 1 + evaluation] - predicted)

    def contrast(self, quantity: Floats) -> Contrast | None:
        """A quantity of the draws [D] with its error; None where it is not finite in each, or does
        not vary."""
        if not np.isfinite(quantity).all():
            return None
        parts = quantity[1:].reshape(self.kinds, DRAWS).var(axis=1).tolist()
        if self.kinds == 1:
            error, freedom = parts[0] ** 0.5, float(self.freedom[0])
            return Contrast(float(quantity[0]), error, freedom) if error > 1e-12 else None
        found = combined_error(parts[0], parts[1], parts[2], *self.freedom)
        return None if found is None else Contrast(float(quantity[0]), *found)

    def _mean(self, levels: Floats) -> Floats:
        """[D, S, ...] -> [D, ...]: over the drawn seeds."""
        weights = self.weights.reshape(*self.weights.shape, *(1,) * (levels.ndim - 2))
        return np.asarray((weights * levels).sum(axis=1) / weights.sum(axis=1))


def filled(scores: Floats) -> Floats:
    """Scores [S, 1 + E, P] with a missing one as its seed's mean at that evaluation."""
    return np.where(np.isnan(scores), np.nanmean(scores, axis=2, keepdims=True), scores)
