"""What the seeds of a study could have shown, beside what they did show.

The paired t-test over S seeds, two-sided, at 5 %: with a true difference D whose paired values
have standard deviation sd, t is noncentral with S - 1 degrees of freedom and noncentrality
D sqrt(S) / sd (Cohen 1988, ch. 2). sd is measured on trials of the study, not on the difference
that is judged.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm
from scipy.stats import t as student_t

from analysis.confirmation import Confirmation, confirmation_of
from analysis.load import StudyResults
from analysis.naming import describe
from analysis.stats import PairedDifference, paired_difference
from analysis.summary import no_margin_reference
from conspo_study.records import TrialState
from conspo_study.results.table import TrialRow

ALPHA, POWER = 0.05, 0.8
"""Probabilities of calling equal settings different, and of finding a difference that is there."""

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(500)
_QUANTILES, _WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2


@dataclass(frozen=True, slots=True)
class Noise:
    """How much the difference of two trials varies from seed to seed."""

    sd: float
    """Of the paired difference, in units of the metric."""
    trials: int
    seeds: int
    """The layout that it was measured on."""


def power(effect: float, seeds: int) -> float | None:
    """Probability that a true difference of `effect` is found significant; None for one seed.

    effect: in units of the standard deviation of the paired differences.
    """
    if seeds < 2:
        return None
    freedom, shift = seeds - 1, abs(effect) * math.sqrt(seeds)
    limit = float(student_t.ppf(1 - ALPHA / 2, freedom))

    # scipy's noncentral t gives nan far from its mode. Given the sample's standard deviation the
    # mean is normal; averaged over the quantiles of that deviation, this is the noncentral t.
    seen = limit * np.sqrt(chi2.ppf(_QUANTILES, freedom) / freedom)
    return min(1.0, float(_WEIGHTS @ (norm.sf(seen - shift) + norm.cdf(-seen - shift))))


def detectable(seeds: int) -> float | None:
    """The smallest difference found with probability `POWER`, in standard deviations of the paired
    differences; None for one seed."""
    if seeds < 2:
        return None
    return float(brentq(lambda effect: (power(effect, seeds) or 0.0) - POWER, 0.0, 20.0))


def noise(rows: Iterable[TrialRow]) -> Noise | None:
    """Pooled over finished trials with all their seeds; None for fewer than two of each, or when
    the values do not vary.

    What is left of each value after its trial's and its seed's mean, times sqrt(2).
    """
    finished = [row for row in rows if row.state is TrialState.FINISHED and not row.missing_seeds]
    layouts: dict[tuple[int, ...], list[list[float]]] = {}
    for row in finished:
        seeds = tuple(sorted(row.values))
        layouts.setdefault(seeds, []).append([row.values[seed] for seed in seeds])
    layout = max(layouts.values(), key=len, default=[])
    values = np.array(layout, dtype=float)
    if values.ndim != 2 or min(values.shape) < 2:
        return None
    left = values - values.mean(1, keepdims=True) - values.mean(0, keepdims=True) + values.mean()
    freedom = (values.shape[0] - 1) * (values.shape[1] - 1)
    sd = math.sqrt(2 * float((left**2).sum()) / freedom)
    return Noise(sd, *values.shape) if sd > 1e-12 else None


def detectable_lines(study: StudyResults) -> list[str]:
    """For the differences that the study is about: whether one was detected, and which could have
    been; empty before there is anything to compare."""
    confirmation = confirmation_of(study)
    lines = _confirmed(confirmation) if confirmation else []
    return lines or _searched(study)


def _confirmed(confirmation: Confirmation) -> list[str]:
    winner = confirmation.winner
    if winner is None or not winner.values:
        return []
    measured = noise(confirmation.study.table.confirmations)
    lines = []
    for anchor in confirmation.anchors:
        difference = confirmation.advantage(anchor)
        if difference is not None:
            name = f"the winner and {describe(confirmation.study, anchor.search)}"
            lines.append(_verdict(name, difference, measured, "fresh seeds"))
    return lines


def _searched(study: StudyResults) -> list[str]:
    best = study.best
    reference = no_margin_reference(study, best) if best else None
    if best is None or reference is None or reference.id == best.id:
        return []
    difference = paired_difference(best.values, reference.values)
    if difference is None:
        return []
    name = f"{describe(study, best)} and {describe(study, reference)}"
    line = _verdict(name, difference, noise(study.table.rows), "seeds of the search")
    return [line]


def _verdict(name: str, difference: PairedDifference, measured: Noise | None, kind: str) -> str:
    seeds = len(difference.by_seed)
    budget = _budget(seeds, measured, list(difference.by_seed.values()), kind)
    interval = difference.interval
    if interval is None:
        return f"Between {name}: {budget}"
    if interval.low <= 0 <= interval.high:
        return f"No difference detected between {name}; {budget}"
    return f"A difference was detected between {name}; {budget}"


def _budget(seeds: int, measured: Noise | None, found: Sequence[float], kind: str) -> str:
    smallest = detectable(seeds)
    if smallest is None:
        return "one seed cannot show a difference of any size."
    if measured is None:
        constant = max(found) - min(found) < 1e-12
        why = "the values do not vary between seeds" if constant else "too few finished trials"
        return (
            f"{seeds} {kind} show a difference of {smallest:.2g} standard deviations, whose size "
            f"is not known: {why}."
        )
    size = smallest * measured.sd
    said = f"{size:.3f}, {100 * size:.1f} points" if size < 1 else f"{size:.3g}"
    beyond = ", which is more than the metric can vary" if size >= 1 else ""
    return (
        f"these {seeds} {kind} could have detected one of {said}{beyond} with probability "
        f"{POWER:.0%} (noise of a paired difference: sd {measured.sd:.3f}, from {measured.trials} "
        f"trials x {measured.seeds} seeds)."
    )
