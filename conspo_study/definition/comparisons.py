"""The comparisons that a study declares before it runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import Field

from conspo_study.config.stage import Stage
from conspo_study.statistics.family import Correction


class Comparisons(Stage):
    """The differences between baselines that a study is about, tested together.

    Plan and report use the same ones: fewer comparisons show smaller differences.
    """

    reference: str
    """Label of the baseline that the others are compared with."""
    against: tuple[str, ...] | None = Field(None, min_length=1)
    """Labels of the baselines that are compared with it; None takes all others."""
    correction: Correction = Correction.HOLM
    """`holm` takes every difference with its own standard error. `dunnett` pools them, which shows
    smaller differences where all settings vary equally from seed to seed and misleads elsewhere."""
    equivalence: float | None = Field(None, gt=0)
    """Differences below it are none that matters, in units of the metric. The report calls a
    difference equivalent that is shown to be smaller; None: 0.02 of a share, and nothing of other
    metrics."""


def comparison_problems(compare: Comparisons, labels: Sequence[str]) -> Iterator[str]:
    """What is wrong with the labels that are compared. labels: of the study's baselines."""
    known = ", ".join(labels) or "none"
    against = compare.against or ()
    for label in (compare.reference, *against):
        if label not in labels:
            near = get_close_matches(label, labels, 1)
            hint = f" (did you mean {near[0]!r}?)" if near else ""
            yield f"compare: no anchor is called {label!r}{hint}; known: {known}"
    if compare.reference in against:
        yield f"compare: {compare.reference!r} is the reference, and is not compared with itself"
    if len(set(against)) != len(against):
        yield "compare: a label is compared once; remove what repeats it"
    if compare.against is None and list(labels) == [compare.reference]:
        yield f"compare: {compare.reference!r} is the only anchor, with nothing to compare it with"


def declared(compare: Comparisons | None) -> Mapping[str, Any] | None:
    """The comparisons as plain data, as `statistics.family.study_family` takes them."""
    return None if compare is None else compare.model_dump(mode="json")
