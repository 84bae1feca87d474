"""The figure of margin and temperature."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pandas as pd

from analysis.figures.data_margin import margin_panels, margin_trials
from analysis.figures.data_search import MOST_GROUPS
from analysis.figures.draw_margin import (
    COLUMNS,
    MOST_BASELINES,
    margin_multiples,
    margin_scatter,
)
from analysis.figures.entry import FigureEntry
from analysis.figures.legends import seed_range
from analysis.findings.frames import baselines_without_margin, initial_value, margin_points
from analysis.load.study import StudyResults
from analysis.load.text import axis_label, metric_label
from conspo_study.records import TrialState

MOST_PANELS = 2 * COLUMNS
MOST_IN_PANEL = 24
"""With more temperatures, or more trials at one, a single panel shows means alone."""
_FEWEST_IN_GROUP = 2
_MOST_NAMED = 8
"""Trials that a caption names; the others are counted."""


def margin_figure(study: StudyResults) -> FigureEntry | str:
    """The metric after training against M/tau."""
    points, baselines = margin_points(study), baselines_without_margin(study)
    if points.empty or points["trial"].nunique() < 2:
        return "No figure of margin and temperature: fewer than two trials that set one have ended."
    ended = {
        row.id for row in study.table.rows if row.state.has_result or row.state is TrialState.PRUNED
    }
    points, mixed = _groups(points)
    if not mixed:
        baselines = baselines[baselines["other"].isin(points["other"])]
    best_first = baselines.sort_values("value", ascending=study.direction == "min")
    shown = best_first.drop_duplicates("label").head(MOST_BASELINES)["label"]
    chosen = baselines[baselines["label"].isin(shown)]
    initial = initial_value(study)
    labels: dict[str, Any] = {
        "metric": f"{axis_label(study.metric)} after training",
        "initial": initial,
    }
    stopped = points[points["state"] == TrialState.PRUNED].drop_duplicates("trial")
    sentences = []
    sizes = points.groupby(["other", "tau"])["trial"].nunique()
    if not mixed and len(sizes) <= MOST_PANELS and sizes.max() <= MOST_IN_PANEL:
        trials = margin_trials(study, points)
        draw = partial(margin_multiples, margin_panels(trials), baselines=chosen, **labels)
        sentences += [_multiples(study, trials)]
    else:
        alone = points.assign(other="") if mixed else points
        lines = chosen.assign(other="") if mixed else chosen
        draw = partial(margin_scatter, alone, baselines=lines, **labels)
        sentences += [_scatter(study, points, mixed)]
        sentences += ["Trials differ in other settings, too."] if mixed else []
    if len(chosen):
        names = ", ".join(dict.fromkeys(chosen["label"]))
        sentences.append(f"Thin lines: {names}, which have no margin.")
    if initial is not None:
        sentences.append(f"Before training it was {initial:.3f} (dashed, where in range).")
    if len(stopped):
        at = _some([f"{row.trial} at step {row.step}" for row in stopped.itertuples()])
        sentences.append(f"Pruned, and so without a value after training (crosses): {at}.")
    if left_out := ended - set(points["trial"]) - set(chosen["trial"]):
        sentences.append(f"Not in the figure: {_some(sorted(left_out))}.")
    drawn = tuple(dict.fromkeys([*points["trial"], *chosen["trial"]]))
    caption = " ".join(sentences)
    return FigureEntry("accuracy_against_margin", "Margin and temperature", caption, drawn, draw)


def _multiples(study: StudyResults, trials: pd.DataFrame) -> str:
    ended = trials[trials["value"].notna()]
    seeds = seed_range(map(len, ended["by_seed"])) if len(ended) else str(len(study.seeds))
    over = "over seeds and problems" if ended["over_problems"].any() else "over seeds"
    caption = (
        f"{metric_label(study.metric)} after training against M/tau, {len(trials)} trials, a panel "
        "for each temperature tau and group of other settings. Markers: mean over "
        f"{seeds} seeds; short lines: each seed"
    )
    if ended["low"].notna().any():
        caption += f"; bars: 95 % CI {over}"
    caption += ". Nothing was measured between the points, so nothing joins them."
    if trials["difference"].notna().any():
        caption += (
            " Lower panels: the same minus the trial without a margin at the same tau and other "
            "settings, paired by seed"
        )
        if trials["difference_low"].notna().any():
            caption += (
                ", with the 95 % CI of that difference, each on its own: a bar that leaves out 0 "
                "is one of several, and the search chose which were run"
            )
        else:
            caption += "; without intervals, for too few seeds or values that do not vary"
        caption += "."
    return caption


def _some(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(names[:_MOST_NAMED]) + more


def _scatter(study: StudyResults, points: pd.DataFrame, mixed: bool) -> str:
    seeds = seed_range(points.groupby("trial")["seed"].size())
    ended = points[points["state"] != TrialState.PRUNED]["trial"].nunique()
    many = "groups of other settings" if mixed else "temperatures or trials"
    return (
        f"{metric_label(study.metric)} after training against M/tau, {ended} finished trials: a "
        f"point each, its mean over {seeds} seeds, coloured by temperature tau. The search has "
        f"more {many} than panels of their own can show."
    )


def _groups(points: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The trials of groups that share their other settings, at least two of each, and whether there
    are more groups than panels, so that one has to mix them."""
    sizes = points.groupby("other")["trial"].nunique()
    if len(sizes) > MOST_GROUPS:
        return points, True
    alone = sizes.index[sizes < _FEWEST_IN_GROUP]
    kept = points[~points["other"].isin(alone)]
    return (points, len(sizes) > 1) if kept.empty else (kept, False)
