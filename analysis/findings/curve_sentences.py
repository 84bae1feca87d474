"""Learning curves in sentences: asymptote or efficiency, each with its interval and family."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from analysis.findings.curve_differences import CurveDifference, CurveFamily
from analysis.findings.curve_fits import CurveFit, HeldOut, Refusal
from analysis.findings.curve_settings import MOST_SETTINGS, CurveSet
from analysis.findings.curve_tables import amount, exponential, oriented
from analysis.findings.metric_difference import size_of
from analysis.load.text import metric_label, visible
from analysis.statistics.family_tests import FamilyTest
from analysis.tables.numbers import interval, p_value
from conspo_study.statistics.contrast import Contrast
from conspo_study.statistics.power import ALPHA
from conspo_study.text import counted

_MOST_NAMED = 8
"""Settings that one sentence names."""


def curve_lines(
    found: CurveSet, fits: Sequence[CurveFit], family: CurveFamily, level: float | None = None
) -> list[str]:
    """All sentences: of each setting, of each pair, and of the family."""
    lines = [_setup(found)]
    if found.left_out:
        lines.append(
            f"{counted(found.left_out, 'trial')} of large studies are left out: the labelled, the "
            f"confirmed and the best {MOST_SETTINGS} have curves."
        )
    lines += [_setting(found, fit, level) for fit in fits if fit.claimed]
    lines += _refused(fits)
    lines += [_pair(found, family, one) for one in family.differences]
    return [*lines, *_family(family)]


def _setup(found: CurveSet) -> str:
    return (
        f"{metric_label(found.metric)} over {found.over.label} of a seed, evaluations not "
        "counted; R(C) = R0 + (A - R0) / (1 + (C_mid / C)^B) with R0 as measured at step 0."
    )


def _setting(found: CurveSet, fit: CurveFit, level: float | None) -> str:
    curve, held = fit.setting.curve, fit.held_out
    assert curve is not None and fit.asymptote is not None and held is not None
    parts = [f"asymptote {_value(found, fit.asymptote, '.3f')}"]
    start = found.sign * float(curve.start.mean())
    if fit.log_midpoint is not None:
        parts.append(f"half of the gain from {start:.3f} at {_compute(found, fit.log_midpoint)}")
    else:
        parts.append(
            f"half of the gain from {start:.3f} lies between two evaluations, and its compute is "
            "not known"
        )
    if level is not None:
        reached = _compute(found, fit.log_reached) if fit.log_reached else "no compute in all draws"
        parts.append(f"{level:g} at {reached}")
    over = f"{counted(len(curve.seeds), 'seed')}, "
    over += f"{counted(len(curve.problems), 'problem')}, " if curve.problems else ""
    over += counted(len(fit.setting.steps), "evaluation")
    return f"{fit.setting.title}: {'; '.join(parts)} ({over}). {_held_out(held)}"


def _refused(fits: Sequence[CurveFit]) -> Iterator[str]:
    """A sentence for each reason, of all settings that have it."""
    names: dict[str, list[str]] = {}
    for fit in fits:
        if not fit.claimed:
            tested = f" {_held_out(fit.held_out)}" if fit.refusal is Refusal.HELD_OUT else ""
            names.setdefault(f"{visible(fit.reason, 400)}.{tested}", []).append(fit.setting.title)
    for reason, titles in names.items():
        more = len(titles) - _MOST_NAMED
        shown = ", ".join(titles[:_MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
        yield f"{shown}: no saturating curve is claimed, because {reason}"


def _held_out(held: HeldOut | None) -> str:
    if held is None:
        return ""
    sizes = np.abs(held.errors)
    half = max((high - low) / 2 for low, high in zip(held.low, held.high, strict=True))
    count = len(held.measured)
    where = "all inside" if held.kept else f"{held.inside} of {count} inside"
    return (
        f"Fitted to its first {held.fitted} evaluations it predicts the last {count} with a mean "
        f"error of {sizes.mean():.3f} (largest {sizes.max():.3f}), {where} their intervals of up "
        f"to ± {half:.3f}."
    )


def _pair(found: CurveSet, family: CurveFamily, one: CurveDifference) -> str:
    names = f"{one.first} and {one.second}"
    if one.reason:
        return f"{names}: undecided, because {visible(one.reason, 600)}."
    opening = {
        "asymptote": "differ in asymptote; a difference in efficiency is not shown",
        "efficiency": "differ in efficiency; " + _same(found, family, one),
        "both": "differ in asymptote and in efficiency",
        "undecided": "undecided; " + _same(found, family, one),
    }[one.verdict]
    parts = [_asymptote(found, one.asymptote), _efficiency(found, one.efficiency)]
    if one.log_ratio is not None and one.level is not None:
        value, low, high = exponential(one.log_ratio)
        parts.append(
            f"{found.sign * one.level:.3f}, half of the smaller gain, takes {value:.3g} times as "
            f"much [{low:.3g}, {high:.3g}]"
        )
    over = f"paired over {counted(one.seeds, 'seed')}"
    over += f" and {counted(one.problems, 'problem')}" if one.problems else ""
    return f"{names}{':' * (one.verdict == 'undecided')} {opening}: {'; '.join(parts)}; {over}."


def _same(found: CurveSet, family: CurveFamily, one: CurveDifference) -> str:
    if one.same_asymptote and family.margin is not None:
        return f"the asymptotes are equal within {size_of(family.margin, found.share)}"
    if one.verdict == "undecided":
        return "neither is shown to differ"
    return "a difference in asymptote is not shown"


def _asymptote(found: CurveSet, test: FamilyTest) -> str:
    if test.contrast is None:
        return "asymptote not comparable"
    return f"asymptote {_value(found, test.contrast, '+.3f')}, p {p_value(test.adjusted)}"


def _efficiency(found: CurveSet, test: FamilyTest) -> str:
    if test.contrast is None:
        return "C_mid not comparable, since one rises between two evaluations"
    value, low, high = exponential(test.contrast)
    return (
        f"half of its own gain takes {value:.3g} times the {found.over.label} (C_mid), 95 % CI "
        f"[{low:.3g}, {high:.3g}], p {p_value(test.adjusted)}"
    )


def _family(family: CurveFamily) -> Iterator[str]:
    if family.note:
        yield f"Nothing is compared: {family.note}."
    if not family.size:
        return
    untested = sum(
        test.contrast is None
        for one in family.differences
        for test in (one.asymptote, one.efficiency)
    )
    untested += 2 * family.absent
    lacking = f" ({untested} of them could not be made and count)" if untested else ""
    pairs = counted(family.size // 2, "pair")
    yield (
        f"The {family.size} tests, asymptote and C_mid of {pairs}{lacking}, are one family, for "
        f"which Holm's p is corrected at {100 * ALPHA:.0f} %; each interval is for its own "
        "difference."
    )


def _value(found: CurveSet, contrast: Contrast, spec: str) -> str:
    value, low, high = oriented(found, contrast)
    return f"{value:{spec}}, 95 % CI {interval(low, high, spec)}"


def _compute(found: CurveSet, contrast: Contrast) -> str:
    value, low, high = exponential(contrast)
    return f"{amount(value)} {found.over.label} [{amount(low)}, {amount(high)}]"
