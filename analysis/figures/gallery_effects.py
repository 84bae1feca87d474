"""The figure of the differences that a study is about."""

from __future__ import annotations

from functools import partial

import pandas as pd

from analysis.figures.draw_effects import effect_plot
from analysis.figures.entry import FigureEntry
from analysis.figures.symbols import literal, trial_name
from analysis.findings.effects import Effects, effects_of
from analysis.findings.regimes import is_mapped
from analysis.load.study import StudyResults
from analysis.load.text import metric_label, visible
from conspo_study.statistics.power import POWER
from conspo_study.text import counted

_MOST = 20
"""Differences that one figure shows."""


def effects(study: StudyResults) -> FigureEntry | str:
    """The winner minus each baseline, or the declared comparisons, with intervals."""
    if is_mapped(study):
        return "No figure of effects: the map has the differences of this study."
    found = effects_of(study)
    if found is None:
        return "No figure of effects: nothing that is compared has an interval yet."
    if len(found.found) > _MOST:
        return (
            f"No figure of effects: the study compares {len(found.found)} pairs, and none of them "
            "first; compare=Comparisons(reference=...) says which matter."
        )
    first = found.found[0].judged
    factor, unit = (100, " (points)") if first.share else (1, "")
    metric = metric_label(study.metric)
    stage = "fresh seeds of the confirmation" if found.confirmed else "seeds of the search"
    caption = (
        f"Differences in {metric}{unit}, {found.subject}, paired on the {stage}: mean and 95 % CI, "
        "each interval on its own. The verdicts are those of the whole family of "
        f"{counted(first.family.size, 'comparison')}. The thin lines reach to the true difference "
        f"that would have been found with probability {100 * POWER:.0f} % or more."
    )
    names, subject = _typeset(study, found)
    draw = partial(
        effect_plot,
        effects_frame(found, factor).assign(name=names),
        label=f"{literal(visible(metric))}: {subject}{unit}",
        margin=None if first.margin is None else factor * first.margin,
    )
    trials = tuple(dict.fromkeys(trial for one in found.found for trial in one.trials))
    return FigureEntry("effects", "Differences", caption, trials, draw)


def _typeset(study: StudyResults, found: Effects) -> tuple[list[str], str]:
    """A name for each difference and what is subtracted from what, as the figure draws them."""
    if not found.confirmed:
        return [literal(visible(one.name, 60)) for one in found.found], literal(found.subject)
    names = [trial_name(study, study.table.row(one.trials[1])) for one in found.found]
    winner = trial_name(study, study.table.row(found.found[0].trials[0]))
    return names, f"{winner} minus each baseline"


def effects_frame(found: Effects, factor: float) -> pd.DataFrame:
    """One row per difference: name, value, low, high, detectable and verdict, times `factor`."""
    rows = []
    for one in found.found:
        contrast, difference = one.judged.tested.contrast, one.judged.difference
        assert contrast is not None and difference is not None
        low, high = contrast.interval()
        ends = one.judged.detectable_range
        rows.append(
            {
                "name": one.name,
                "value": factor * difference.value,
                "low": factor * low,
                "high": factor * high,
                "detectable": float("nan") if ends is None else factor * ends[1],
                "verdict": one.judged.verdict,
            }
        )
    return pd.DataFrame(rows)
