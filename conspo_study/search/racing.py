"""Early stopping by racing: pruning thresholds for a trial's mean at each evaluation.

Racing (Maron & Moore 1994; irace: Lopez-Ibanez et al. 2016) ends a candidate when it is
significantly worse than the best so far. All trials run the same seeds, and a seed is lucky or
unlucky for all of them, so the noise of a comparison is what remains of the values at a step
without the effects of trials and of seeds: with J trials and S seeds, the residual variance
sigma^2 of the additive two-way layout, with (J - 1)(S - 1) degrees of freedom. The difference of
two means over S seeds then has the variance 2 sigma^2 / S, and with the best mean `best`

    threshold = best - t_{1 - alpha / J} sqrt(2 sigma^2 / S)        (for direction max; + for min).

"The best of J" is favoured by luck, hence alpha / J (Bonferroni). A trial that is as good as the
best falls below the threshold with probability alpha at most, if all are equally noisy. They often
are not: learning rates, off-policy updates and objectives change the noise by factors of ten, and a
noisy trial among quiet ones would be stopped in a quarter of its looks, whatever it is worth. So it
must also be worse by its own noise. With d_s its loss to the best rival on seed s, a paired t-test,

    mean d > t_{1 - beta} sd(d) / sqrt(S)   with S - 1 degrees of freedom,   beta = 1.4 alpha / S

where seeds that are lucky for all cancel. The smaller beta of many seeds pays for the choice of the
best; by simulation (benchmarks/racing.py) a trial as good as the best is stopped in alpha of its
looks at most, for 3 to 23 rivals of which any number are up to 40 times as noisy as the others. Two
seeds tell little of a trial's own noise, and stop less often for it.

A threshold is fixed when its trial is suggested, and the best rival's values with it; the trial's
own it meets at the look. It rests on trials that ended well before, never on those that happen to
run at the same time. In code and in the log it is called a bar.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean
from typing import Any, Literal

from scipy.special import stdtrit

from conspo_study.definition import EarlyStopping, StudyDefinition
from conspo_study.records import Bar, EventKind, PairedBar, is_number
from conspo_study.results.lines import LoggedEvent
from conspo_study.statistics.paired_spread import residual_squares

OWN_SHARE = 1.4
"""S beta / alpha, where beta is the level of the paired test."""
RESOLUTION = 1e-9
"""Residuals below this part of the values are rounding errors."""
MOST_LOOKS = 20
"""Thresholds of a trial of a training function, which may measure at every step."""


class Curves:
    """The study's metric by trial, step and seed, at the steps where trials may be stopped.

    Reports between evaluations repeat the numbers of the last one; only those of a step at which
    the policy was evaluated are measurements.
    """

    def __init__(self, definition: StudyDefinition):
        self._metric, self._seeds = definition.metric, definition.seeds
        looks = definition.looks
        self._looks = looks if isinstance(looks, range) else frozenset(looks)
        self._values: dict[str, dict[int, list[float]]] = {}
        self._read = 0

    def update(self, events: Sequence[LoggedEvent]) -> None:
        """Read the events of the log that were added since the last call."""
        for logged in events[self._read :]:
            if logged.event.kind is EventKind.REPORTED:
                self._add(logged.event.trial, logged.event.data)
        self._read = len(events)

    def measured(self, trials: Iterable[str]) -> list[int]:
        """The steps at which any of the trials was measured, in order."""
        return sorted({step for trial in trials for step in self._values.get(trial, ())})

    def at(self, step: int, trials: Iterable[str]) -> list[list[float]]:
        """A row of values by seed for each of the trials that was measured at `step`."""
        rows = (self._values.get(trial, {}).get(step) for trial in trials)
        return [values for values in rows if values is not None]

    def _add(self, trial: str, data: Mapping[str, Any]) -> None:
        step, seeds = data.get("step"), data.get("seeds", {})
        if not isinstance(step, int) or step not in self._looks:
            return
        values = [seeds.get(str(seed), {}).get(self._metric) for seed in self._seeds]
        if all(is_number(value) for value in values):
            # A resumed trial measures some steps again, with the same values.
            self._values.setdefault(trial, {})[step] = [float(value) for value in values]


def bars(
    curves: Curves, definition: StudyDefinition, trials: Sequence[str], *, paired: bool = True
) -> dict[int, Bar]:
    """Pruning threshold by step, from the measurements of `trials`; a step without evidence has
    none.

    trials: ids of trials that finished or were stopped early. The steps of a study of the built-in
    training are declared; of those at which a training function measures, evenly spaced ones count.
    paired: False for the rule of version 0.2, which has no paired test.
    """
    rule = definition.early_stopping
    thresholds: dict[int, Bar] = {}
    if isinstance(rule, EarlyStopping):
        steps: Sequence[int] = definition.looks
        if definition.function is not None:
            steps = curves.measured(trials)
            steps = steps[:: -(-len(steps) // MOST_LOOKS) or 1]
        for step in steps:
            layout = curves.at(step, trials)
            value = bar(layout, rule.alpha, definition.direction)
            if value is not None and paired:
                pairing = layout, definition.seeds, rule.alpha, definition.direction
                thresholds[step] = paired_bar(value, *pairing)
            elif value is not None:
                thresholds[step] = value
    return thresholds


def paired_bar(
    threshold: float,
    layout: Sequence[Sequence[float]],
    seeds: Sequence[int],
    alpha: float,
    direction: Literal["max", "min"],
) -> PairedBar:
    """The threshold with the paired test against the best trial (row) of a layout.

    seeds: those of its columns, at least two.
    """
    best = (max if direction == "max" else min)(layout, key=fmean)
    level = OWN_SHARE * alpha / len(seeds)
    factor = float(stdtrit(len(seeds) - 1, 1 - level)) / math.sqrt(len(seeds))
    return PairedBar(threshold, dict(zip(seeds, best, strict=True)), factor)


def bar(
    layout: Sequence[Sequence[float]], alpha: float, direction: Literal["max", "min"]
) -> float | None:
    """Pruning threshold that a layout of J trials (rows) by S seeds (columns) sets for the next
    trial.

    None with fewer than two trials or seeds, and if nothing remains without the effects of trials
    and seeds: a metric of few problems has few values, which may agree by chance.
    """
    residuals = residual_squares(layout)
    if residuals is None:
        return None
    squares, freedom = residuals
    trials, seeds, means = len(layout), len(layout[0]), [fmean(row) for row in layout]
    sigma = math.sqrt(squares / freedom)
    if sigma <= RESOLUTION * max(abs(value) for row in layout for value in row):
        return None
    margin = float(stdtrit(freedom, 1 - alpha / trials)) * sigma * math.sqrt(2 / seeds)
    return max(means) - margin if direction == "max" else min(means) + margin
