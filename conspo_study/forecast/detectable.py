"""The differences that a stage of a study can show, by the family that its report tests.

Paired t-tests over seeds, at the level that the correction leaves the first discovery. Where
responses are stored the report is over problems, too: with three seeds that finds smaller
differences; how settings differ from problem to problem costs up to nine points of power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from conspo_study.definition import StudyDefinition
from conspo_study.definition.batches import confirmation_batch
from conspo_study.definition.comparisons import declared
from conspo_study.statistics.family import (
    ONE_COMPARISON,
    Correction,
    Family,
    study_family,
    winner_family,
)
from conspo_study.statistics.paired_spread import (
    FEWEST_SEEDS,
    ONE_SEED,
    TOO_FEW,
    PairedSpread,
)
from conspo_study.text import counted

_MOST_SEEDS = 10_000
_WINNER = "the winner"
_STRATUM = "one stratum"


@dataclass(frozen=True, slots=True)
class Detectable:
    """What the tests of one stage can show."""

    family: Family
    seeds: int
    effect: float | None
    """The smallest difference that is found with probability 80 %, whatever else is true; None for
    seeds that are too few for a verdict, and for an unknown spread."""
    half: int | None
    """Number of seeds that detect half of it."""

    def line(self, share: bool = False) -> str:
        """For people; of a known spread, or of too few seeds. share: whether the metric is one,
        between 0 and 1."""
        if self.effect is None:
            return ONE_SEED if self.seeds < 2 else TOO_FEW
        seeds, test = counted(self.seeds, "seed"), f"{_test(self.family)}, power 80 %"
        if share and self.effect >= 1:
            needed = f"differences {_of(self.family)} would have to be larger than 1"
            return f"nothing, over {seeds}: {needed} ({test})"
        half = f"; half of it needs {self.half} seeds" if self.half else ""
        return (
            f"differences {_of(self.family)} from {self.effect:.3f} up, over {seeds} ({test}){half}"
        )


def search_family(study: StudyDefinition) -> Family:
    """The comparisons of the baselines: those that are declared, else every pair; none with
    strata, whose best are compared when they are confirmed."""
    if study.compare is None and study.confirm is not None and study.confirm.best_over:
        return ONE_COMPARISON
    return study_family([anchor.label for anchor in study.anchors], declared(study.compare))


def confirmation_family(study: StudyDefinition) -> Family | None:
    """The winner against the baselines that are confirmed, as many as there can be; with strata,
    each against one of them. None where nothing is compared."""
    again = confirmation_batch(study)
    if again is not None and study.confirm is not None and study.confirm.best_over:
        pairs = tuple((f"stratum {number}", _STRATUM) for number in range(1, again.trials))
        return Family(pairs, declared=True) if pairs else None
    known = [anchor.label for anchor in study.anchors]
    asked = study.confirm.anchors if study.confirm else ()
    labels = known if asked is None else list(asked)
    if study.trials == len(known) and set(labels) == set(known):
        labels = labels[1:]  # one of them is the winner
    return winner_family(_WINNER, labels, search_family(study)) if labels else None


def detectable(family: Family, spread: PairedSpread | None, seeds: int) -> Detectable:
    """What so many seeds can show of a family. spread: of a paired difference."""
    if spread is None or seeds < FEWEST_SEEDS:
        return Detectable(family, seeds, None, None)
    effect = spread.sd * _effect(family, seeds)
    return Detectable(family, seeds, effect, _seeds_for(family, effect / 2 / spread.sd, seeds))


def _effect(family: Family, seeds: int) -> float:
    """In standard deviations of a paired difference."""
    from conspo_study.statistics.family_power import family_shift  # scipy is slow to import

    return family_shift(family, seeds - 1) / math.sqrt(seeds)


def _seeds_for(family: Family, effect: float, seeds: int) -> int | None:
    """The fewest seeds that detect `effect`. seeds: fewer than are needed."""
    low, high = seeds, 2 * seeds
    while _effect(family, high) > effect:
        low, high = high, 2 * high
        if low > _MOST_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _effect(family, middle) <= effect else (middle, high)
    return high


def _of(family: Family) -> str:
    if family.size == 1:
        return "of two settings"
    if family.reference and family.declared and family.pairs[0][0] != _WINNER:
        return f"to {family.reference}"
    if family.pairs[0][0] == _WINNER:
        return f"of the winner to each of {family.size} baselines"
    return f"of every two of the baselines, {family.size} comparisons,"


def _test(family: Family) -> str:
    if family.size == 1:
        return "paired t-test, two-sided 5 %"
    if family.correction is Correction.DUNNETT:
        return f"Dunnett's test of {family.size} comparisons, two-sided 5 %"
    return f"paired t-test, two-sided 5 % / {family.size} as Holm's first step"
