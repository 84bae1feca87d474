"""Figures of the search of a study."""

from __future__ import annotations

from functools import partial
from statistics import fmean

import pandas as pd

from analysis.figures.data_effects import DRAWS, partial_effects
from analysis.figures.data_effects import FEWEST_TRIALS as FEWEST_FOR_EFFECTS
from analysis.figures.data_search import importance, most_alike, search_frame
from analysis.figures.data_training import cost_curves
from analysis.figures.draw_search import optimisation_history, pareto, setting_importance
from analysis.figures.draw_settings import (
    group_size_costs,
    is_grid,
    partial_effect_panels,
    tau_margin_map,
)
from analysis.figures.entry import FigureEntry
from analysis.figures.legends import seed_range
from analysis.findings.frames import evaluation_curves
from analysis.findings.pareto import front_of
from analysis.findings.trial_settings import shown_path
from analysis.load.study import StudyResults
from analysis.load.text import axis_label, metric_label, visible
from conspo_study.statistics.importance import FEWEST_TRIALS

_FEWEST_POINTS = 4
_NAMES = {"ratio": "M/tau"}
"""Of columns in captions, where the name is another."""


def sensitivities(study: StudyResults) -> FigureEntry | str:
    """The effect of every setting with the others held as they were."""
    frame, settings = search_frame(study)
    # The tau of an objective without a margin is another quantity.
    alike = frame[frame["ratio"].notna()] if frame["ratio"].notna().any() else frame
    usable = alike[alike["usable"]]
    settings = [name for name in settings if usable[name].nunique(dropna=False) > 1]
    if study.definition.get("space") == {}:
        return "No partial effects of settings: the study varies none."
    if len(usable) < FEWEST_FOR_EFFECTS:
        return (
            f"No partial effects of settings: they need {FEWEST_FOR_EFFECTS} finished trials, and "
            f"{len(usable)} have finished."
        )
    found = partial_effects(usable, settings)
    if not found.settings:
        return "No partial effects of settings: none of them varies apart from the others."
    left_out = ", ".join(map(_plain_name, found.left_out))
    caption = (
        f"{metric_label(study.metric)} by {', '.join(map(_plain_name, found.settings))}, a panel "
        f"each: the mean that all trials would have at each level if the settings' effects added "
        f"up (regression over {len(usable)} finished trials, each its mean over "
        f"{seed_range(usable['n'])} seeds), with the 95 % interval of {DRAWS} bootstrap resamples "
        "of the trials. Dashed: the mean of all. Hollow: too few trials for an interval. A search "
        "prefers good regions, and interactions are not included."
    )
    if left_out:
        caption += f" Not told apart from the others: {left_out}."
    draw = partial(partial_effect_panels, found, metric=axis_label(study.metric))
    trials = tuple(usable["trial"])
    return FigureEntry("sensitivity", "Partial effects of settings", caption, trials, draw)


def margin_map(study: StudyResults) -> FigureEntry | str:
    """tau against M/tau."""
    frame = search_frame(study)[0]
    frame, at = most_alike(study, frame[frame["ratio"].notna() & frame["tau"].notna()])
    usable = frame[frame["usable"]]
    few = len(usable) < _FEWEST_POINTS
    if few or usable["tau"].nunique() < 2 or usable["ratio"].nunique() < 2:
        return "No map of tau and M/tau: fewer than four finished trials that vary both."
    differ = "which may differ in schedule, warm-up or other settings"
    caption = f"{metric_label(study.metric)} by tau and M/tau of {len(usable)} finished trials: "
    caption += (
        f"mean over the trials of a cell, {differ}. n counts seeds, over all trials of the cell."
        if is_grid(usable)
        else f"a point each, or the mean of trials at one place, {differ}; every trial is its mean "
        f"over {seed_range(usable['n'])} seeds."
    )
    caption += at
    draw = partial(tau_margin_map, frame, metric=axis_label(study.metric))
    return FigureEntry("tau_margin_map", "tau and M/tau", caption, tuple(usable["trial"]), draw)


def importances(study: StudyResults) -> FigureEntry | str:
    """The share of the variance that each setting explains by itself."""
    frame, settings = search_frame(study)
    if study.definition.get("space") == {}:
        return "No importance of settings: the study varies none."
    found = importance(frame, settings)
    if found.empty:
        return (
            f"No importance of settings: it needs {FEWEST_TRIALS} finished trials with different "
            "values, and a setting that some of them share."
        )
    usable = frame[frame["usable"]]
    if not (found["share"] > found["chance"]).any():
        return (
            f"No importance of settings: {len(usable)} finished trials cannot tell the share of "
            "any of them in the variance from chance."
        )
    caption = (
        f"Share of the variance between {len(usable)} finished trials, each its mean over "
        f"{seed_range(usable['n'])} seeds, that each setting accounts for by itself (one-way eta "
        "squared; numbers in quartiles). Ticks: 95 % quantile under shuffled values; "
        "a bar below its tick is no evidence. Interactions are not included, and a search that "
        "prefers good regions varies its settings together."
    )
    draw = partial(setting_importance, found, trials=len(usable))
    return FigureEntry(
        "importance", "Importance of settings", caption, tuple(usable["trial"]), draw
    )


def history(study: StudyResults) -> FigureEntry | str:
    """Values in the order of the search."""
    frame, _ = search_frame(study)
    trials = _valued(frame)
    if len(trials) < 2:
        return "No history of the search: fewer than two trials have a value."
    caption = (
        f"{metric_label(study.metric)} of the trials in the order of the search, and the best so "
        f"far among the finished ones. {_bars(frame)}"
    )
    draw = partial(
        optimisation_history,
        frame,
        metric=axis_label(study.metric),
        direction=study.direction,
    )
    return FigureEntry("history", "History of the search", caption, trials, draw)


def compromises(study: StudyResults) -> FigureEntry | str:
    """The Pareto front of a study with several objectives."""
    aims = study.definition.get("also") or []
    front = [row.id for row, _ in front_of(study)]
    if not aims:
        return "No Pareto front: the study has a single objective."
    records = []
    for row in study.table.rows:
        means = [row.also.get(aim["metric"], {}) for aim in aims]
        if row.state.has_result and not row.missing_seeds and all(means):
            values = {f"aim{index}": fmean(found.values()) for index, found in enumerate(means)}
            records.append({"trial": row.id, "value": row.value, **values})
    if len(records) < 2:
        return "No Pareto front: fewer than two trials have finished with all objectives."
    points = pd.DataFrame(records)
    labels = [
        (f"aim{index}", f"{axis_label(aim['metric'])} (better: {_more(aim)})")
        for index, aim in enumerate(aims)
    ]
    metric = f"{axis_label(study.metric)}\n(better: {_more({'direction': study.direction})})"
    caption = (
        f"Means over seeds of {metric_label(study.metric)} and of the further objectives; "
        f"{len(front)} of {len(points)} trials are not dominated: {', '.join(front)}."
    )
    draw = partial(pareto, points, front, labels, metric=metric)
    return FigureEntry("pareto", "Best compromises", caption, tuple(points["trial"]), draw)


def group_sizes(study: StudyResults) -> FigureEntry | str:
    """The effect of the group size on value and cost."""
    evaluation = evaluation_curves(study, study.metric)
    ran = [row.id for row in study.table.rows if row.state.has_result]
    sizes = {study.configs.get(trial, {}).get("rollout", {}).get("group_size") for trial in ran} - {
        None
    }
    if len(sizes) < 2:
        return "No figure of group sizes: all finished trials have the same."
    frame = cost_curves(study, evaluation[evaluation["trial"].isin(ran)])
    if frame.empty:
        return "No figure of group sizes: no trial was evaluated during training."
    caption = (
        f"{metric_label(study.metric)} of every finished trial, mean over seeds, against the "
        "rollouts sampled and the seconds of training before each evaluation. Trials may differ in "
        "other settings too; times depend on the machine and its load."
    )
    draw = partial(group_size_costs, frame, metric=axis_label(study.metric))
    trials = tuple(dict.fromkeys(frame["trial"]))
    return FigureEntry("group_size", "Group size and its cost", caption, trials, draw)


def _plain_name(setting: str) -> str:
    return visible(_NAMES.get(setting) or shown_path(setting), 60)


def _valued(frame: pd.DataFrame) -> tuple[str, ...]:
    return tuple(frame.loc[frame["value"].notna(), "trial"])


def _bars(frame: pd.DataFrame) -> str:
    counts = frame.loc[frame["sd"].notna(), "n"]
    if counts.empty:
        return "One seed per trial: no bars."
    return f"Points: means; bars: ± 1 SD over {seed_range(counts)} seeds."


def _more(aim: dict[str, str]) -> str:
    return "less" if aim["direction"] == "min" else "more"
