"""Comparisons that are tested together: which they are, and the test that corrects for them.

The plan of a study computes its power for a family, and the report tests that family.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations
from typing import Any


class Correction(StrEnum):
    """A test that keeps the probability of any false discovery in a family at 5 %."""

    HOLM = "holm"
    """Holm (1979): every difference with its own standard error, at any dependence."""
    DUNNETT = "dunnett"
    """Dunnett (1955): differences to one reference, with one standard error for all of them."""

    @property
    def author(self) -> str:
        """The name in tables and sentences."""
        return self.value.title()


@dataclass(frozen=True, slots=True)
class Family:
    """Differences that are tested together."""

    pairs: tuple[tuple[str, str], ...]
    """Of settings: the first minus the second."""
    correction: Correction = Correction.HOLM
    margin: float | None = None
    """Differences below it count as none, in units of the metric; None where the study says
    nothing."""
    declared: bool = False

    @property
    def size(self) -> int:
        """Number of comparisons, at least one."""
        return max(1, len(self.pairs))

    @property
    def reference(self) -> str | None:
        """The setting that all others are compared with; None where there are several."""
        references = {reference for _, reference in self.pairs}
        return references.pop() if len(references) == 1 else None


ONE_COMPARISON = Family(())
"""Of two settings that nothing names."""


def study_family(labels: Sequence[str], declared: Mapping[str, Any] | None) -> Family:
    """The comparisons of a study's baselines: those it declares, else every pair, the later minus
    the earlier.

    labels: of the baselines, in their order. declared: the field `compare` of the definition as
    plain data.
    """
    if declared is None:
        return Family(tuple((later, earlier) for earlier, later in combinations(labels, 2)))
    reference, against = str(declared["reference"]), declared.get("against")
    chosen = labels if against is None else against
    return Family(
        tuple((str(label), reference) for label in chosen if label != reference),
        Correction(declared.get("correction", Correction.HOLM)),
        declared.get("equivalence"),
        declared=True,
    )


def winner_family(winner: str, baselines: Sequence[str], of: Family) -> Family:
    """The comparisons of a confirmation: the winner minus every baseline.

    of: the study's own family, whose margin it has; the correction is Holm's.
    """
    pairs = tuple((winner, label) for label in baselines if label != winner)
    return Family(pairs, margin=of.margin, declared=of.declared)
