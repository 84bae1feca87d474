"""Fits and their differences as frames and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.findings.curve_differences import CurveDifference, CurveFamily
from analysis.findings.curve_fits import CurveFit
from analysis.findings.curve_settings import CurveSet
from analysis.load.text import metric_label
from analysis.tables.numbers import ABSENT, interval, number, p_value
from analysis.tables.text_table import TextTable
from conspo_study.statistics.contrast import Contrast

CLAIMED = "claimed"
Ends = tuple[float | None, float | None, float | None]
"""A value and the ends of its interval."""


def amount(value: float) -> str:
    """An amount of compute to three digits, written out up to ten millions."""
    rounded = float(f"{value:.3g}")
    return f"{rounded:,.0f}" if 100 <= rounded < 1e7 else f"{rounded:g}"


def oriented(found: CurveSet, contrast: Contrast) -> tuple[float, float, float]:
    """A value of the metric and the ends of its 95 % interval, as the study measures it."""
    low, high = contrast.interval()
    if found.sign < 0:
        low, high = -high, -low
    return found.sign * contrast.value, low, high


_LARGEST = 700.0
"""Whose exponential a float still holds."""


def exponential(contrast: Contrast) -> tuple[float, float, float]:
    """What the contrast is the logarithm of, and the ends of its 95 % interval."""
    low, high = contrast.interval()
    return math.exp(contrast.value), math.exp(min(low, _LARGEST)), math.exp(min(high, _LARGEST))


def points_frame(found: CurveSet, fits: Sequence[CurveFit]) -> pd.DataFrame:
    """One row per setting and evaluation, the untrained policy first: setting, study, trial, step,
    compute (mean over seeds), value, low, high (95 %), n, problems, curve (of a claimed fit), and
    predicted, predicted_low, predicted_high of the last third."""
    records = []
    for fit in fits:
        curve = fit.setting.curve
        if curve is None:
            continue
        means, drawn = _means(fit), _fitted(fit)
        predicted = _predicted(fit)
        compute = [0.0, *curve.mean_compute.tolist()]
        for index, step in enumerate((0, *fit.setting.steps)):
            record: dict[str, Any] = {
                **{"setting": fit.setting.title, "study": fit.setting.study.folder.name},
                **{"trial": fit.setting.row.id, "step": step, "compute": compute[index]},
            }
            record |= _ends(("value", "low", "high"), found, means[index])
            record |= {"n": len(curve.seeds), "problems": len(curve.problems)}
            record |= {"curve": None if drawn is None else found.sign * drawn[index]}
            names = ("predicted", "predicted_low", "predicted_high")
            record |= _ends(names, found, predicted.get(index, (None, None, None)))
            records.append(record)
    return pd.DataFrame(records)


def fits_frame(found: CurveSet, fits: Sequence[CurveFit]) -> pd.DataFrame:
    """One row per setting, unrounded: setting, study, trial, over, n, problems, evaluations, start,
    asymptote, midpoint (C_mid), steepness (B) and reached (compute at the level that was asked
    for), each with _low and _high (95 %), held_out, held_out_inside, held_out_error (mean
    absolute), refusal (empty where the fit is claimed), reason."""
    records = []
    for fit in fits:
        curve = fit.setting.curve
        record: dict[str, Any] = {
            **{"setting": fit.setting.title, "study": fit.setting.study.folder.name},
            **{"trial": fit.setting.row.id, "over": found.over.value},
            "n": len(curve.seeds) if curve else 0,
            "problems": len(curve.problems) if curve else 0,
            "evaluations": len(fit.setting.steps),
            "start": found.sign * float(curve.start.mean()) if curve else None,
        }
        ends = oriented(found, fit.asymptote) if fit.asymptote else None
        record |= _named("asymptote", ends)
        for name, contrast in (
            ("midpoint", fit.log_midpoint),
            ("steepness", fit.log_steepness),
            ("reached", fit.log_reached),
        ):
            record |= _named(name, exponential(contrast) if contrast else None)
        held = fit.held_out
        record |= {
            "held_out": len(held.measured) if held else 0,
            "held_out_inside": held.inside if held else None,
            "held_out_error": float(np.mean(np.abs(held.errors))) if held else None,
            "refusal": fit.refusal.value if fit.refusal else "",
            "reason": fit.reason,
        }
        records.append(record)
    return pd.DataFrame(records)


def fits_table(found: CurveSet, fits: Sequence[CurveFit]) -> TextTable:
    """The fits as text; those that are not claimed have the reason in place of numbers."""
    titles: tuple[str, ...] = (
        "setting",
        metric_label(found.metric),
        "n",
        "evaluations",
        "asymptote A",
        "95 % CI",
    )
    titles += (f"C_mid ({found.over.label})", "95 % CI", "B", "95 % CI", "last third", "fit")
    rows = []
    for fit in fits:
        curve = fit.setting.curve
        final = number(found.sign * float(curve.values[:, -1].mean()) if curve else None, ".3f")
        row = [fit.setting.title, final, str(len(curve.seeds)) if curve else ABSENT]
        row += [str(len(fit.setting.steps))]
        shown = fit.claimed
        row += _cells(oriented(found, fit.asymptote) if shown and fit.asymptote else None, ".3f")
        middle = exponential(fit.log_midpoint) if shown and fit.log_midpoint else None
        row += (
            [amount(middle[0]), f"[{amount(middle[1])}, {amount(middle[2])}]"]
            if middle
            else ([ABSENT, ABSENT])
        )
        bend = exponential(fit.log_steepness) if shown and fit.log_steepness else None
        row += _cells(bend, ".2f")
        held = fit.held_out
        row += [f"{held.inside} of {len(held.measured)} inside" if held else ABSENT]
        rows.append((*row, CLAIMED if fit.refusal is None else fit.refusal.value))
    own = frozenset({"n", "asymptote A", titles[6], "B"})
    return TextTable(titles, tuple(rows), own)


def differences_frame(found: CurveSet, family: CurveFamily) -> pd.DataFrame:
    """One row per pair, unrounded: setting, minus, asymptote (difference of A) and midpoint_ratio
    (of C_mid), each with _low, _high (95 % of its own), _p (Holm's) and family_ ends, level and
    compute_ratio (to reach it) with _low and _high, n, problems, family (its size), verdict,
    reason."""
    return pd.DataFrame([_difference(found, family, one) for one in family.differences])


def differences_table(found: CurveSet, family: CurveFamily) -> TextTable:
    """The pairs as text."""
    titles: tuple[str, ...] = (
        "setting",
        "minus",
        "asymptote",
        "95 % CI",
        "p (Holm)",
        "C_mid ratio",
        "95 % CI",
    )
    titles += ("p (Holm)", "differs in")
    rows = []
    for one in family.differences:
        top = one.asymptote.contrast
        ratio = one.efficiency.contrast
        row = [one.first, one.second]
        row += _cells(oriented(found, top) if top else None, "+.3f")
        row += [p_value(one.asymptote.adjusted)]
        row += _cells(exponential(ratio) if ratio else None, ".3g")
        rows.append((*row, p_value(one.efficiency.adjusted), one.verdict))
    return TextTable(titles, tuple(rows), frozenset({"p (Holm)", "C_mid ratio"}))


def _difference(found: CurveSet, family: CurveFamily, one: CurveDifference) -> dict[str, Any]:
    record: dict[str, Any] = {"setting": one.first, "minus": one.second}
    top, ratio = one.asymptote, one.efficiency
    record |= _named("asymptote", oriented(found, top.contrast) if top.contrast else None)
    ends = top.family_interval
    if ends is not None and found.sign < 0:
        ends = -ends[1], -ends[0]
    record |= {
        "asymptote_family_low": ends[0] if ends else None,
        "asymptote_family_high": ends[1] if ends else None,
        "asymptote_p": top.adjusted,
        "same_asymptote_p": one.same,
    }
    record |= _named("midpoint_ratio", exponential(ratio.contrast) if ratio.contrast else None)
    bounds = ratio.family_interval
    record |= {
        "midpoint_ratio_family_low": math.exp(min(bounds[0], _LARGEST)) if bounds else None,
        "midpoint_ratio_family_high": math.exp(min(bounds[1], _LARGEST)) if bounds else None,
        "midpoint_ratio_p": ratio.adjusted,
        "level": None if one.level is None else found.sign * one.level,
    }
    record |= _named("compute_ratio", exponential(one.log_ratio) if one.log_ratio else None)
    counts = {"n": one.seeds, "problems": one.problems, "family": family.size}
    return record | counts | {"verdict": one.verdict, "reason": one.reason}


def _named(name: str, ends: tuple[float, float, float] | None) -> dict[str, float | None]:
    names = (name, f"{name}_low", f"{name}_high")
    return dict(zip(names, ends or (None,) * 3, strict=True))


def _cells(ends: tuple[float, float, float] | None, spec: str) -> list[str]:
    if ends is None:
        return [ABSENT, ABSENT]
    return [number(ends[0], spec), interval(ends[1], ends[2], spec)]


def _means(fit: CurveFit) -> list[Ends]:
    """Value and 95 % interval at step 0 and at each evaluation."""
    curve = fit.setting.curve
    assert curve is not None
    levels = np.concatenate([curve.start[:, None], curve.values], axis=1).mean(axis=0).tolist()
    if len(curve.seeds) < 2:
        return [(value, None, None) for value in levels]
    draws = curve.resampled
    quantities = np.concatenate([draws.start[:, None], draws.means], axis=1).T
    found = [draws.contrast(quantity) for quantity in quantities]
    return [
        (value, *(one.interval() if one else (None, None)))
        for value, one in zip(levels, found, strict=True)
    ]


def _predicted(fit: CurveFit) -> dict[int, Ends]:
    """Place among the evaluations, counted from 1: what the evaluations before predict."""
    held = fit.held_out
    if held is None:
        return {}
    ends = zip(held.predicted, held.low, held.high, strict=True)
    return dict(enumerate(ends, start=held.fitted + 1))


def _fitted(fit: CurveFit) -> list[float] | None:
    """The claimed curve at step 0 and at each evaluation."""
    curve = fit.setting.curve
    if curve is None or not fit.claimed:
        return None
    found = curve.resampled.fitted
    return [float(found.start[0]), *found.at(curve.mean_compute)[0].tolist()]


def _ends(names: Sequence[str], found: CurveSet, ends: Ends) -> dict[str, float | None]:
    """A value and its interval as the study measures them."""
    if found.sign < 0:
        value, low, high = (None if end is None else -end for end in ends)
        ends = value, high, low
    return dict(zip(names, ends, strict=True))
