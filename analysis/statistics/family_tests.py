"""Tests of the differences of one family: corrected p-values, joint intervals, verdicts, power.

Better or worse is what the family's test shows at 5 %. Equivalent is what two one-sided tests show,
corrected by Holm over the family, too: the true difference is below a margin. Whatever is neither
is undecided; so is every difference on fewer than three seeds, and one whose error is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from analysis.statistics.equivalence import equivalence_p
from analysis.statistics.holm import holm
from analysis.statistics.intervals import FEWEST_SEEDS
from conspo_study.statistics.contrast import Contrast
from conspo_study.statistics.family import Correction, Family
from conspo_study.statistics.family_power import (
    critical,
    dunnett_p,
    pooled_freedom,
)
from conspo_study.statistics.power import ALPHA, POWER, shift_beyond, spread_range

FEWEST_FREEDOM = 2.0
"""With fewer degrees of freedom a difference does not know its own error well enough to say what
would have been found."""


class Verdict(StrEnum):
    """What a family's tests show about one of its differences."""

    BETTER = "better"
    WORSE = "worse"
    EQUIVALENT = "equivalent"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class FamilyTest:
    """One difference of a family."""

    contrast: Contrast | None
    """As tested: Dunnett's test pools the errors of a family. None where nothing says how well the
    difference is known."""
    adjusted: float | None
    """Corrected p-value of the test that it is zero."""
    equivalence: float | None
    """Corrected p-value of the test that it is as large as the margin; None without a margin."""
    family_interval: tuple[float, float] | None
    """Ends of the interval that holds for all differences of the family at once with 95 %."""
    limit: float
    """What |t| has to exceed for the first discovery of the family."""
    pooling: float = 1.0
    """Degrees of freedom of the error, in units of those of one difference by itself."""

    def verdict(self, seeds: int, *, lower_is_better: bool = False) -> Verdict:
        """seeds: fewest on either side."""
        if self.contrast is None or self.adjusted is None or seeds < FEWEST_SEEDS:
            return Verdict.UNDECIDED
        if self.adjusted < ALPHA:
            return Verdict.BETTER if (self.contrast.value > 0) != lower_is_better else Verdict.WORSE
        if self.equivalence is not None and self.equivalence < ALPHA:
            return Verdict.EQUIVALENT
        return Verdict.UNDECIDED

    def detectable(self, target: float = POWER) -> float | None:
        """The smallest true difference that is found with probability `target`, if the error is
        what it was estimated to be; None where it is not known."""
        if self.contrast is None:
            return None
        return self.contrast.error * shift_beyond(self.contrast.freedom, self.limit, target)

    def detectable_range(self, seeds: int) -> tuple[float, float] | None:
        """`detectable` for the least and the largest error that is plausible: few seeds know their
        own spread badly (80 % limits). At the upper end the power is 80 % or more in nine studies
        of ten.

        seeds: fewest on either side; None for too few for a verdict. However many problems a
        bootstrap has, its error is known no better than so many seeds tell: where they happen to
        agree, it finds degrees of freedom that it does not have.
        """
        size = self.detectable()
        if size is None or self.contrast is None or seeds < FEWEST_SEEDS:
            return None
        freedom = min(self.contrast.freedom, self.pooling * (seeds - 1))
        if freedom < FEWEST_FREEDOM:
            return None
        least, most = spread_range(freedom)
        return least * size, most * size


def family_tests(
    contrasts: Sequence[Contrast | None], family: Family, margin: float | None
) -> list[FamilyTest]:
    """The tests of a family, in the order of its pairs.

    contrasts: of each pair; None, or one without an error, where it is not known: it counts as a
    comparison and is not decided. margin: of equivalence, in units of the contrasts.
    """
    known = [one if one is not None and one.error > 0 else None for one in contrasts]
    pooling = 1.0
    adjusted: list[float | None]
    if family.correction is Correction.DUNNETT:
        pooling = pooled_freedom(1.0, sum(one is not None for one in known))
        known = _pooled(known, pooling)
        adjusted = [_dunnett(one, family.size) if one else None for one in known]
    else:
        adjusted = holm([one.p_value if one else None for one in known])
    close = [equivalence_p(one, margin) if one and margin else None for one in known]
    limits = [critical(family, one.freedom) if one else 0.0 for one in known]
    return [
        FamilyTest(one, p, equal, _around(one, limit) if one else None, limit, pooling)
        for one, p, equal, limit in zip(known, adjusted, holm(close), limits, strict=True)
    ]


def _pooled(contrasts: Sequence[Contrast | None], pooling: float) -> list[Contrast | None]:
    """The contrasts with one error for all: the root of their mean variance, with `pooling` times
    the degrees of freedom of one."""
    known = [one for one in contrasts if one is not None]
    if not known:
        return list(contrasts)
    error = (sum(one.error**2 for one in known) / len(known)) ** 0.5
    freedom = pooling * min(one.freedom for one in known)
    return [one and replace(one, error=error, freedom=freedom) for one in contrasts]


def _dunnett(contrast: Contrast, size: int) -> float:
    return dunnett_p(contrast.value / contrast.error, size, contrast.freedom)


def _around(contrast: Contrast, limit: float) -> tuple[float, float]:
    half = limit * contrast.error
    return contrast.value - half, contrast.value + half
