"""The differences that no number of trials can tell from the luck of sampling an evaluation.

Both settings answer the same n problems k times each. Given success probabilities p of the
problems, an accuracy has the variance mean(p (1 - p)) / (n k), and a difference of two twice that.
With p uniform between 0 and 1 the mean is 1/6. What training adds from seed to seed is unknown
before two seeds have run, and comes on top. The bound holds for every test, whatever it knows of
the noise: it takes the standard error as known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from conspo_study.definition import StudyDefinition
from conspo_study.forecast.responses import problems_of
from conspo_study.policy.models import EMBEDDED
from conspo_study.statistics.family import ONE_COMPARISON, Family
from conspo_study.statistics.paired_spread import FEWEST_SEEDS, ONE_SEED, TOO_FEW
from conspo_study.text import counted

_MEAN_VARIANCE = 1 / 6


@dataclass(frozen=True, slots=True)
class SamplingNoise:
    """The noise of the metric that a study decides by, from sampling alone."""

    sd: float
    """Standard deviation of a paired difference, in units of the metric."""
    problems: int
    samples: int

    def line(self, seeds: int, family: Family = ONE_COMPARISON) -> str:
        """The differences that so many seeds can show at best, by the tests of a family."""
        from conspo_study.statistics.family_power import least_shift  # scipy is slow to import

        if seeds < FEWEST_SEEDS:
            return ONE_SEED if seeds < 2 else TOO_FEW
        effect = self.sd / math.sqrt(seeds) * least_shift(family)
        among = f" of {family.size} comparisons" if family.size > 1 else ""
        over = f"over {counted(seeds, 'seed')}"
        shown = f"at best differences{among} from {effect:.3f} up, {over}"
        if effect >= 1:
            shown = f"nothing, {over}: differences{among} would have to be larger than 1"
        return (
            f"{shown}: "
            f"sampling {self.problems:,} problems {counted(self.samples, 'time')} alone gives a "
            f"paired difference an sd of {self.sd:.3f} (assumed), and training adds to it"
        )


def sampling_noise(study: StudyDefinition) -> SamplingNoise | None:
    """The noise of the study's metric at the last step; None if that is no accuracy over samples,
    and for the embedded model, whose spread on `problems_per_set` problems is known better."""
    settings = study.built_in.evaluation
    name, _, kind = study.metric.removeprefix("eval/").rpartition("/")
    known = study.built_in.policy.model == EMBEDDED and settings.final_problems is None
    if known or name not in settings.names or "avg@" not in kind:
        return None
    problems, samples = problems_of(name, settings, last=True), settings.samples_for(name)
    sd = math.sqrt(2 * _MEAN_VARIANCE / (problems * samples))
    return SamplingNoise(sd, problems, samples)
