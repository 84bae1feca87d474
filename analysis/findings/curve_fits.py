"""Fits of settings' curves: asymptote and efficiency, or the reason why nothing is claimed.

A fit is claimed only where the data carry it. In this order a setting is refused with fewer than
three seeds; with fewer than six evaluations after step 0, since the first two thirds then leave
four, one more than the parameters of the curve; with collapsed seeds; without a rise beyond noise;
with a decline at the end, which no saturating curve has; where the last third of the evaluations,
predicted from those before it, lies outside its interval; and where the asymptote is not
identified.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy.special import stdtr

from analysis.findings.curve_settings import CurveSetting
from analysis.statistics.intervals import FEWEST_SEEDS
from analysis.statistics.learning_curves import Resampled
from analysis.statistics.scores import Floats
from conspo_study.statistics.contrast import Contrast
from conspo_study.statistics.power import ALPHA
from conspo_study.text import counted

FEWEST_EVALUATIONS = 6
WIDEST = 0.5
"""An asymptote whose 95 % interval is wider than this share of the gain is not identified."""
MOST_AT_EDGE = 0.05
"""Share of draws whose C_mid or B may lie at a bound of the fit."""


class Refusal(StrEnum):
    """Why no saturating curve is claimed."""

    NO_CURVE = "no curve"
    SEEDS = "too few seeds"
    EVALUATIONS = "too few evaluations"
    COLLAPSED = "collapsed seeds"
    NO_RISE = "no rise"
    DECLINE = "decline"
    HELD_OUT = "last third missed"
    NOT_IDENTIFIED = "asymptote not identified"


@dataclass(frozen=True)
class HeldOut:
    """The last third of the evaluations, predicted by the curve through those before it."""

    fitted: int
    """Evaluations that the curve was fitted to."""
    compute: tuple[float, ...]
    """Mean over seeds, of each evaluation that was predicted, as all that follows."""
    predicted: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    """Ends of the intervals, which hold for all of them together with 95 %: the errors of
    prediction and measurement are both in them."""
    measured: tuple[float, ...]

    @property
    def errors(self) -> list[float]:
        """Measured minus predicted."""
        return [a - b for a, b in zip(self.measured, self.predicted, strict=True)]

    @property
    def inside(self) -> int:
        """How many measured values lie inside their intervals."""
        return sum(
            low <= value <= high
            for low, value, high in zip(self.low, self.measured, self.high, strict=True)
        )

    @property
    def kept(self) -> bool:
        """Whether all of them do."""
        return self.inside == len(self.measured)


@dataclass(frozen=True)
class CurveFit:
    """A setting with what was fitted to it. Values are of a metric of which more is better."""

    setting: CurveSetting
    refusal: Refusal | None
    reason: str = ""
    """Of the refusal, as the end of a sentence."""
    asymptote: Contrast | None = None
    """A; None where nothing could be fitted."""
    log_midpoint: Contrast | None = None
    """log C_mid; None also where the fit's bounds decide it."""
    log_steepness: Contrast | None = None
    """log B; None as that."""
    log_reached: Contrast | None = None
    """Logarithm of the compute at which the level that was asked for is reached."""
    held_out: HeldOut | None = None
    edge: bool = False
    """Whether the bounds of the fit decide C_mid or B: the rise lies between two evaluations."""

    @property
    def claimed(self) -> bool:
        """Whether the fit is a result."""
        return self.refusal is None


def curve_fit(setting: CurveSetting, level: float | None = None) -> CurveFit:
    """The fit of a setting, refused where its data do not carry it.

    level: of the metric (minus it where less is better), whose compute is asked for.
    """
    curve = setting.curve
    if curve is None:
        return CurveFit(setting, Refusal.NO_CURVE, setting.reason)
    seeds, evaluations = curve.values.shape
    if seeds < FEWEST_SEEDS:
        reason = f"it has {counted(seeds, 'seed')}, and {FEWEST_SEEDS} are needed"
        return CurveFit(setting, Refusal.SEEDS, reason)
    if evaluations < FEWEST_EVALUATIONS:
        reason = (
            f"it has {counted(evaluations, 'evaluation')} after step 0, and {FEWEST_EVALUATIONS} "
            "are needed (evaluation.every)"
        )
        return CurveFit(setting, Refusal.EVALUATIONS, reason)
    if setting.collapsed.seeds:
        reason = f"{setting.collapsed.sentence}, and a collapse does not saturate"
        return CurveFit(setting, Refusal.COLLAPSED, reason)
    draws = curve.resampled
    shape = _no_rise(draws) or _decline(draws)
    if shape is not None:
        return CurveFit(setting, *shape)
    found = draws.fitted
    asymptote = draws.contrast(found.asymptote)
    edge = at_edge(draws)
    held_out = _held_out(draws)
    refused = _missed(held_out) or _not_identified(draws, asymptote)
    refusal, reason = refused or (None, "")
    return CurveFit(
        *(setting, refusal, reason, asymptote),
        None if edge else draws.contrast(np.log(found.midpoint)),
        None if edge else draws.contrast(np.log(found.steepness)),
        None if level is None or edge else draws.contrast(np.log(found.compute_at(level))),
        *(held_out, edge),
    )


def at_edge(draws: Resampled) -> bool:
    """Whether the bounds of the fit decide C_mid or B."""
    edge = draws.fitted.edge
    return bool(edge[0]) or float(edge.mean()) > MOST_AT_EDGE


def identified(draws: Resampled) -> bool:
    """Whether the asymptote is."""
    return _not_identified(draws, draws.contrast(draws.fitted.asymptote)) is None


def last_third(evaluations: int) -> int:
    """How many evaluations the last third has."""
    return max(1, evaluations // 3)


def _no_rise(draws: Resampled) -> tuple[Refusal, str] | None:
    last = last_third(draws.means.shape[1])
    rise = draws.means[:, -last:].mean(axis=1) - draws.start
    if _above_zero(draws, rise):
        return None
    size = float(rise[0])
    return Refusal.NO_RISE, (
        f"its last {counted(last, 'evaluation')} are {'better' if size >= 0 else 'worse'} than the "
        f"untrained policy by {abs(size):.3g} on average, no gain beyond noise"
    )


def _decline(draws: Resampled) -> tuple[Refusal, str] | None:
    """The last third lies below the third before it, or the last evaluation below the third before
    it; the two tests share the 5 %."""
    count = last_third(draws.means.shape[1])
    before = draws.means[:, -2 * count : -count].mean(axis=1)
    drops = {
        f"last {counted(count, 'evaluation')} lie": before - draws.means[:, -count:].mean(axis=1),
        "last evaluation lies": draws.means[:, -1 - count : -1].mean(axis=1) - draws.means[:, -1],
    }
    for what, drop in drops.items():
        if _above_zero(draws, drop):
            return Refusal.DECLINE, (
                f"it gets worse at the end: its {what} {drop[0]:.3g} behind those before, beyond "
                "noise"
            )
    return None


def _above_zero(draws: Resampled, quantity: Floats) -> bool:
    """One-sided t-test at 2.5 %. What does not vary is as it is."""
    found = draws.contrast(quantity)
    if found is None:
        return bool(quantity[0] > 0)
    return float(stdtr(found.freedom, -found.value / found.error)) < ALPHA / 2


def _missed(held_out: HeldOut) -> tuple[Refusal, str] | None:
    count = len(held_out.measured)
    if held_out.kept:
        return None
    return Refusal.HELD_OUT, (
        f"fitted to its first {held_out.fitted} evaluations, the curve misses "
        f"{count - held_out.inside} of the last {count} beyond their intervals"
    )


def _not_identified(draws: Resampled, asymptote: Contrast | None) -> tuple[Refusal, str] | None:
    ceiling, found = draws.curve.ceiling, draws.fitted
    shown = "its asymptote is not identified: "
    if asymptote is None:
        return Refusal.NOT_IDENTIFIED, shown + "it does not vary between draws"
    last = float(draws.curve.mean_compute[-1])
    if float(found.midpoint[0]) > last:
        return Refusal.NOT_IDENTIFIED, (
            f"{shown}training ends before half of the gain that the curve supposes"
        )
    low, high = asymptote.interval()
    gain = asymptote.value - float(found.start[0])
    if ceiling is not None and high >= ceiling:
        bound = abs(ceiling)
        return Refusal.NOT_IDENTIFIED, f"{shown}its 95 % interval reaches the bound {bound:g}"
    if high - low > WIDEST * gain:
        return Refusal.NOT_IDENTIFIED, (
            f"{shown}its 95 % interval is {high - low:.3g} wide, more than half of the gain of "
            f"{gain:.3g}"
        )
    return None


def _held_out(draws: Resampled) -> HeldOut:
    evaluations = draws.means.shape[1]
    count = last_third(evaluations)
    chosen: Sequence[int] = range(evaluations - count, evaluations)
    found = draws.fit(evaluations - count)
    predicted, low, high, measured = [], [], [], []
    for evaluation in chosen:
        missed = draws.missed(found, evaluation)
        contrast = draws.contrast(missed)
        value = float(draws.means[0, evaluation])
        centre = value - float(missed[0])
        half = 0.0
        if contrast is not None:
            ends = contrast.interval(1 - ALPHA / count)
            half = (ends[1] - ends[0]) / 2
        room = half + 1e-9 * math.fabs(value)
        predicted.append(centre)
        low.append(centre - room)
        high.append(centre + room)
        measured.append(value)
    compute = draws.curve.mean_compute[evaluations - count :].tolist()
    return HeldOut(
        evaluations - count, tuple(compute), *map(tuple, (predicted, low, high, measured))
    )
