"""Figures of the search of a study."""

from __future__ import annotations

from functools import partial
from statistics import fmean

import pandas as pd

from analysis.figures.data_search import (
    FEWEST_TRIALS,
    MOST_GROUPS,
    importance,
    most_alike,
    search_frame,
    setting_label,
    slices,
)
from analysis.figures.data_training import cost_curves
from analysis.figures.draw_overview import accuracy_against_margin
from analysis.figures.draw_search import (
    optimisation_history,
    parallel_coordinates,
    pareto,
    setting_importance,
)
from analysis.figures.draw_settings import group_size_costs, sensitivity, tau_margin_map
from analysis.figures.entry import FigureEntry
from analysis.figures.legends import seed_range
from analysis.findings.frames import (
    baselines_without_margin,
    evaluation_curves,
    initial_value,
    margin_points,
)
from analysis.findings.pareto import front_of
from analysis.load.study import StudyResults
from analysis.load.text import axis_label, metric_label
from conspo_study.records import TrialState

KNOBS = ("tau", "margin", "ratio", "alpha")
"""Columns of the sensitivity figure: tau, M, M/tau and alpha."""

_MOST_AXES = 9
_FEWEST_POINTS = 4
_FEWEST_IN_PANEL = 2


def margin_figure(study: StudyResults) -> FigureEntry | str:
    """The metric after training against M/tau."""
    points, baselines = margin_points(study), baselines_without_margin(study)
    if points.empty or points["trial"].nunique() < 2:
        return "No figure of margin and temperature: fewer than two trials that set one have ended."
    points, mixed = _panels(points)
    if mixed:
        points, baselines = points.assign(other=""), baselines.assign(other="")
    ended = {
        row.id for row in study.table.rows if row.state.has_result or row.state is TrialState.PRUNED
    }
    baselines = baselines[baselines["other"].isin(points["other"])]
    left_out = ended - set(points["trial"]) - set(baselines["trial"])
    label = metric_label(study.metric)
    absent = f" Not in the figure: {', '.join(sorted(left_out))}." if left_out else ""
    if mixed:
        absent = f" Trials differ in other settings, too.{absent}"
    stopped = points[points["state"] == TrialState.PRUNED].drop_duplicates("trial")
    if len(stopped):
        at = ", ".join(f"{row.trial} at step {row.step}" for row in stopped.itertuples())
        absent += f" Pruned, and so without a value after training (crosses): {at}."
    caption = f"{label} of {points['trial'].nunique()} trials against M/tau.{absent}"
    if len(baselines):
        absent = f" Lines: {', '.join(baselines['label'])}, which have no margin.{absent}"
    draw = partial(
        accuracy_against_margin,
        points,
        metric=axis_label(study.metric),
        seeds=len(study.seeds),
        initial=initial_value(study),
        baselines=baselines,
    )
    trials = tuple(dict.fromkeys([*points["trial"], *baselines["trial"]]))
    return FigureEntry("accuracy_against_margin", "Margin and temperature", caption, trials, draw)


def _panels(points: pd.DataFrame) -> tuple[pd.DataFrame, bool]:
    """The trials of groups that share their other settings, at least two of each, and whether there
    are more groups than panels, so that one has to mix them."""
    sizes = points.groupby("other")["trial"].nunique()
    if len(sizes) > MOST_GROUPS:
        return points, True
    alone = sizes.index[sizes < _FEWEST_IN_PANEL]
    kept = points[~points["other"].isin(alone)]
    return (points, len(sizes) > 1) if kept.empty else (kept, False)


def sensitivities(study: StudyResults) -> FigureEntry | str:
    """Figure 3 of the paper on this study's trials."""
    frame, settings = search_frame(study)
    # The tau of an objective without a margin is another quantity.
    frame, at = most_alike(study, frame[frame["ratio"].notna()])
    usable = frame[frame["usable"]]
    columns = [name for name in KNOBS if usable[name].nunique() > 1]
    if not columns or len(usable) < _FEWEST_POINTS:
        return "No sensitivity figure: fewer than four finished trials that vary tau, M or alpha."
    lines = {name: slices(frame, settings, name) for name in columns}
    joined = any(lines.values())
    caption = (
        f"{metric_label(study.metric)} against {', '.join(map(setting_label, columns))}. "
        f"{_bars(frame)} Hollow: stopped early or a seed is missing.{at} "
        + (
            "Lines join trials that differ in that setting alone."
            if joined
            else "No two trials differ in one of them alone: trends here mix several settings."
        )
    )
    draw = partial(sensitivity, frame, lines, metric=axis_label(study.metric))
    trials = _valued(frame)
    return FigureEntry("sensitivity", "Sensitivity to tau, M and alpha", caption, trials, draw)


def margin_map(study: StudyResults) -> FigureEntry | str:
    """tau against M/tau."""
    frame = search_frame(study)[0]
    frame, at = most_alike(study, frame[frame["ratio"].notna() & frame["tau"].notna()])
    usable = frame[frame["usable"]]
    few = len(usable) < _FEWEST_POINTS
    if few or usable["tau"].nunique() < 2 or usable["ratio"].nunique() < 2:
        return "No map of tau and M/tau: fewer than four finished trials that vary both."
    caption = (
        f"{metric_label(study.metric)} by tau and M/tau of {len(usable)} finished trials. A cell "
        f"with several is their mean; they differ in schedule, warm-up or other settings.{at}"
    )
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
    caption = (
        "Share of the variance between finished trials that each setting accounts for by itself "
        "(one-way eta squared; numbers in quartiles). Ticks: 95 % quantile under shuffled values; "
        "a bar below its tick is no evidence. Interactions are not included, and a search that "
        "prefers good regions varies its settings together."
    )
    draw = partial(setting_importance, found, trials=len(usable))
    return FigureEntry(
        "importance", "Importance of settings", caption, tuple(usable["trial"]), draw
    )


def parallel(study: StudyResults) -> FigureEntry | str:
    """All settings of all finished trials side by side."""
    frame, settings = search_frame(study)
    usable = frame[frame["usable"]]
    settings = [name for name in settings if usable[name].nunique(dropna=False) > 1][:_MOST_AXES]
    if study.definition.get("space") == {}:
        return "No parallel coordinates: the study varies no settings."
    if len(settings) < 2 or len(usable) < _FEWEST_POINTS:
        return "No parallel coordinates: they need four finished trials and two settings."
    caption = (
        f"The settings of {len(usable)} finished trials, a line each; colour: "
        f"{metric_label(study.metric)}."
    )
    draw = partial(parallel_coordinates, frame, settings, metric=axis_label(study.metric))
    trials = tuple(usable["trial"])
    return FigureEntry("parallel_coordinates", "Settings side by side", caption, trials, draw)


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


def _valued(frame: pd.DataFrame) -> tuple[str, ...]:
    return tuple(frame.loc[frame["value"].notna(), "trial"])


def _bars(frame: pd.DataFrame) -> str:
    counts = frame.loc[frame["sd"].notna(), "n"]
    if counts.empty:
        return "One seed per trial: no bars."
    return f"Points: means; bars: ± 1 SD over {seed_range(counts)} seeds."


def _more(aim: dict[str, str]) -> str:
    return "less" if aim["direction"] == "min" else "more"
