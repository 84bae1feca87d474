"""Early stopping by racing: bars that a trial's mean must reach at each evaluation, or it stops.

Racing (Maron & Moore 1994; irace: Lopez-Ibanez et al. 2016) ends a candidate when it is
significantly worse than the best so far. All trials run the same seeds, and a seed is lucky or
unlucky for all of them, so the noise of a comparison is what is left of the values at a step
without the effects of trials and of seeds: with J trials and S seeds, the residual variance
sigma^2 of the additive two-way layout, with (J - 1)(S - 1) degrees of freedom. The difference of
two means over S seeds then has the variance 2 sigma^2 / S, and with the best mean `best`

    bar = best - t_{1 - alpha / J} sqrt(2 sigma^2 / S)        (for direction max; + for min).

A trial that is as good as the best falls below the bar with probability alpha at most, at every
step with a bar: "the best of J" is favoured by luck, hence alpha / J (Bonferroni). Against an
ordinary trial the test is more careful than that.

A bar is fixed when its trial is suggested. It rests on trials that ended well before, never on
what happens to run at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from scipy.special import stdtrit

from conspo_study.definition import StudyDefinition
from conspo_study.records import EventKind, is_number
from conspo_study.results.lines import LoggedEvent

RESOLUTION = 1e-9
"""Residuals below this part of the values are rounding errors."""


class Curves:
    """The study's metric by trial, step and seed, at the steps where trials may be stopped.

    Reports between evaluations repeat the numbers of the last one; only those of a step at which
    the policy was evaluated are measurements.
    """

    def __init__(self, definition: StudyDefinition):
        self._metric, self._seeds = definition.metric, definition.seeds
        self._looks = frozenset(definition.looks)
        self._values: dict[str, dict[int, list[float]]] = {}
        self._read = 0

    def update(self, events: Sequence[LoggedEvent]) -> None:
        """Take in the events of the log that came since the last call."""
        for logged in events[self._read :]:
            if logged.event.kind is EventKind.REPORTED:
                self._add(logged.event.trial, logged.event.data)
        self._read = len(events)

    def at(self, step: int, trials: Iterable[str]) -> list[list[float]]:
        """One row for each of the trials that was measured at `step`: its values by seed."""
        found = (self._values.get(trial, {}).get(step) for trial in trials)
        return [values for values in found if values is not None]

    def _add(self, trial: str, data: Mapping[str, Any]) -> None:
        step, seeds = data.get("step"), data.get("seeds", {})
        if step not in self._looks:
            return
        values = [seeds.get(str(seed), {}).get(self._metric) for seed in self._seeds]
        if all(is_number(value) for value in values):
            # A trial that was resumed reports again what it measures again.
            self._values.setdefault(trial, {})[step] = [float(value) for value in values]


def bars(curves: Curves, definition: StudyDefinition, trials: Sequence[str]) -> dict[int, float]:
    """Step -> bar, from what `trials` measured; a step without evidence has none.

    trials: ids of trials that finished or were stopped early.
    """
    rule, found = definition.early_stopping, {}
    if rule is not None:
        for step in definition.looks:
            value = bar(curves.at(step, trials), rule.alpha, definition.direction)
            if value is not None:
                found[step] = value
    return found


def bar(
    layout: Sequence[Sequence[float]], alpha: float, direction: Literal["max", "min"]
) -> float | None:
    """The bar that a layout of J trials (rows) by S seeds (columns) sets for the next trial.

    None with fewer than two trials or seeds, and where nothing is left once the effects of trials
    and seeds are taken away: a metric of few problems has few values, and that these happen to
    agree does not mean that it has no noise.
    """
    trials, seeds = len(layout), len(layout[0]) if layout else 0
    if trials < 2 or seeds < 2:
        return None
    means = [fmean(row) for row in layout]
    lucks = [fmean(column) for column in zip(*layout, strict=True)]
    level = fmean(means)
    squares = math.fsum(
        (value - mean - luck + level) ** 2
        for row, mean in zip(layout, means, strict=True)
        for value, luck in zip(row, lucks, strict=True)
    )
    freedom = (trials - 1) * (seeds - 1)
    sigma = math.sqrt(squares / freedom)
    if sigma <= RESOLUTION * max(abs(value) for row in layout for value in row):
        return None
    margin = float(stdtrit(freedom, 1 - alpha / trials)) * sigma * math.sqrt(2 / seeds)
    return max(means) - margin if direction == "max" else min(means) + margin
