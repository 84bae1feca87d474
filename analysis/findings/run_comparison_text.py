"""A comparison of runs as table, frame and sentences that claim no more than it shows."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pandas as pd

from analysis.findings.metric_difference import size_of
from analysis.findings.run_comparison import Pairing, RunComparison, SettingDifference, spread
from analysis.load.text import metric_label, visible
from analysis.statistics.family_tests import Verdict
from analysis.statistics.intervals import FEWEST_SEEDS
from analysis.tables.numbers import ABSENT, interval, number, p_value
from analysis.tables.text_table import TextTable
from conspo_study.statistics.power import POWER
from conspo_study.text import counted

_SIGNED, _PLAIN = "+.4g", ".4g"
_INFERRED = (
    *("low", "high", "low_family", "high_family", "p", "p_holm"),
    "p_equivalence",
    *("detectable", "detectable_low", "detectable_high"),
)
"""Columns that are empty for a difference without an interval."""


def run_table(comparison: RunComparison) -> TextTable:
    """One row per setting, the reference first."""
    runs = comparison.runs
    titles = ("setting", "n", "mean", "difference", "95 % CI", "p (Holm)", "can detect", "finding")
    values = runs.values[comparison.reference]
    absent = (ABSENT,) * 4
    rows = [
        (
            visible(comparison.reference, 60),
            str(len(values)),
            _mean(comparison, comparison.reference),
            *absent,
            "reference",
        )
    ]
    for item in comparison.differences:
        low, high = item.contrast.interval() if item.contrast else (None, None)
        rows.append(
            (
                visible(item.setting, 60),
                _seeds(item),
                _mean(comparison, item.setting),
                number(item.value, _SIGNED),
                interval(low, high, _SIGNED),
                p_value(item.adjusted),
                number(_detectable(item), ".2g"),
                _finding(comparison, item),
            )
        )
    return TextTable(titles, tuple(rows))


def run_frame(comparison: RunComparison) -> pd.DataFrame:
    """Unrounded, a row per difference.

    low and high end the 95 % interval, low_family and high_family the interval that holds for all
    rows at once; p_equivalence is that of the test that the difference is as large as the margin,
    by Holm; finding is the verdict; detectable is the smallest difference found with probability
    80 % at the family's level, and detectable_low to detectable_high its range for the spread that
    so few seeds leave possible.
    """
    runs = comparison.runs
    base = runs.values[comparison.reference]
    records = []
    for item in comparison.differences:
        values = runs.values[item.setting]
        record: dict[str, Any] = {
            "setting": item.setting,
            "minus": comparison.reference,
            "metric": runs.metric,
            "step": runs.step,
            "mean": fmean(values.values()),
            "sd": spread(values),
            "reference_mean": fmean(base.values()),
            "reference_sd": spread(base),
            "difference": item.value,
            "pairing": str(item.pairing),
            "seeds": item.seeds[0],
            "reference_seeds": item.seeds[1],
            "problems": item.problems,
        }
        numbers: tuple[float | None, ...] = (None,) * len(_INFERRED)
        if (found := item.contrast) is not None:
            ends = *found.interval(), *found.interval(1 - comparison.alpha)
            plausible = item.tested.detectable_range(min(item.seeds)) if item.tested else None
            sizes = found.detectable(comparison.alpha), *(plausible or (None, None))
            equal = item.tested.equivalence if item.tested else None
            numbers = (*ends, found.p_value, item.adjusted, equal, *sizes)
        record |= dict(zip(_INFERRED, numbers, strict=True))
        records.append({**record, "finding": str(comparison.verdict(item)), "reason": item.reason})
    return pd.DataFrame(records)


def run_lines(comparison: RunComparison) -> list[str]:
    """What was compared and decided, each difference, and the selection bias."""
    runs = comparison.runs
    at = "" if runs.step is None else f" at step {runs.step}"
    better = "lower" if comparison.lower_is_better else "higher"
    lines = [
        f"{visible(metric_label(runs.metric), 100)}{at}, {better} is better; differences are the "
        f"setting minus {visible(comparison.reference, 60)}."
    ]
    lines += comparison.notes
    count = len(comparison.differences)
    level = f"the level {comparison.alpha:.3g}"
    if count > 1:
        lines.append(f"The {count} differences are one family, for which Holm's p is corrected.")
        level += f", 5 % / {count}"
    if any(item.contrast for item in comparison.differences):
        lines.append(
            f"Can detect: the true difference that the test finds with probability "
            f"{100 * POWER:.0f} % or more at {level}, for any spread that so few seeds leave "
            "plausible (80 % limits); in brackets by the spread as estimated, and at best."
        )
    if comparison.margin is not None:
        within = size_of(comparison.margin, comparison.share)
        lines.append(
            f"Equivalent: shown to differ by less than {within} (two one-sided tests, by Holm); "
            "--margin changes it."
        )
    lines += [_sentence(comparison, item) for item in comparison.differences]
    return lines + _selection(comparison)


def _mean(comparison: RunComparison, setting: str) -> str:
    values = comparison.runs.values[setting]
    sd = number(spread(values), ".2g")
    mean = number(fmean(values.values()), _PLAIN)
    return mean if sd == ABSENT else f"{mean} ± {sd}"


def _seeds(item: SettingDifference) -> str:
    own, others = map(str, item.seeds)
    return f"{own}/{others}" if item.pairing is Pairing.NONE else own


def _detectable(item: SettingDifference) -> float | None:
    """The difference that is found with probability 80 % or more."""
    ends = item.tested.detectable_range(min(item.seeds)) if item.tested else None
    return ends[1] if ends else None


def _finding(comparison: RunComparison, item: SettingDifference) -> str:
    """The verdict, or why there is none."""
    if item.contrast is None:
        return item.reason
    if min(item.seeds) < FEWEST_SEEDS:
        return "too few seeds for a claim"
    found = comparison.verdict(item)
    if found is Verdict.EQUIVALENT and comparison.margin is not None:
        return f"equivalent within {size_of(comparison.margin, comparison.share)}"
    return str(found)


def _sentence(comparison: RunComparison, item: SettingDifference) -> str:
    name = f"{visible(item.setting, 60)} minus {visible(comparison.reference, 60)}"
    if item.pairing is Pairing.NONE:
        on = f"{item.seeds[0]} against {counted(item.seeds[1], 'seed')}, unpaired"
    else:
        on = counted(item.seeds[0], "shared seed")
        on += f" and {counted(item.problems, 'problem')}" if item.problems else ""
    shown = f"{name}: {item.value:{_SIGNED}} on {on}"
    found = item.contrast
    if found is None:
        return f"{shown}: no interval and no claim ({item.reason})."
    ends = interval(*found.interval(), _SIGNED)
    return (
        f"{shown}, 95 % CI {ends}, Holm's p {p_value(item.adjusted)}: "
        f"{_finding(comparison, item)}{_promise(item)}."
    )


def _promise(item: SettingDifference) -> str:
    ends = item.tested.detectable_range(min(item.seeds)) if item.tested else None
    if item.tested is None or ends is None:
        return ""
    return f"; can detect {ends[1]:.2g} ({item.tested.detectable():.2g}, {ends[0]:.2g} at best)"


def _selection(comparison: RunComparison) -> list[str]:
    """What the choice of the best setting adds to its value."""
    if comparison.selected is None:
        return []
    runs, name = comparison.runs, visible(comparison.selected, 60)
    means = {setting: fmean(values.values()) for setting, values in runs.values.items()}
    best = (min if comparison.lower_is_better else max)(means, key=means.__getitem__)
    lines = []
    if best != comparison.selected:
        lines.append(
            f"{name} was selected, but {visible(best, 60)} has the best mean here: the bias is "
            "that of choosing by the mean."
        )
    if comparison.bias is None:
        return [
            *lines,
            "Selection bias: unknown without two seeds that all settings have.",
        ]
    sign = -1.0 if comparison.lower_is_better else 1.0
    size = sign * comparison.bias.estimate
    if abs(size) < 1e-12 * max(map(abs, means.values())):
        size = 0.0  # always the same winner: what is left is rounding
    lead = sign * (means[comparison.selected] - means[comparison.reference])
    of = "" if comparison.selected == comparison.reference else f" of its lead of {lead:+.3g}"
    lines.append(
        f"Estimated selection bias in favour of {name}, the best of {len(means)} settings: "
        f"{size:+.3g}{of} (each seed left out in turn, the best of the rest measured on it; a "
        "little too large, and with no interval). Settings that the search tried and that are not "
        "here add to it. Fresh seeds remove it: run the winner and the reference again."
    )
    return lines
