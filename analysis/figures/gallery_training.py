"""Figures of training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import pandas as pd

from analysis.figures.data_training import (
    Curve,
    bands,
    curves_to_show,
    differences_to,
    smoothing,
)
from analysis.figures.draw_learning import learning_curves
from analysis.figures.draw_objective import identity_gap
from analysis.figures.draw_training import (
    band_note,
    margin_courses,
    score_courses,
    training_panels,
)
from analysis.figures.entry import FigureEntry
from analysis.figures.symbols import literal, setting_is
from analysis.findings.frames import (
    evaluation_curves,
    metric_of,
)
from analysis.findings.regimes import is_mapped
from analysis.findings.summary import reference_of
from analysis.findings.trial_settings import objective_settings
from analysis.load.study import StudyResults
from analysis.load.text import axis_label, metric_label, visible
from conspo_study.records import TrialState, is_number
from conspo_study.results.table import TrialRow
from conspo_study.text import counted

PANELS = {
    "reward": "training reward",
    "response_length": "response length\n(tokens)",
    "entropy": "entropy\n(nats per token)",
    "score_gap": "score gap\n(nats per token)",
    "valid_fraction": "valid groups\n(share)",
}
"""Training metrics of the panels and their labels; the study's own metric comes first."""

_MOST_SCORE_PANELS = 4
_MOST_COURSES = 6
_MOST_LEARNING = 8
_MOST_IDENTITY = 200
"""Trials whose training steps one figure reads."""


def learning(study: StudyResults) -> FigureEntry | str:
    """Evaluation metric, its paired difference to the reference, and training reward."""
    shown = curves_to_show(study)[:_MOST_LEARNING]
    ids = [curve.trial for curve in shown]
    values = evaluation_curves(study, study.metric, ids)
    other, name = _other_metric(study, ids)
    steps = study.steps_of(ids)
    window = smoothing(steps)
    evaluation, training = bands(values), bands(metric_of(steps, other), window)
    drawn = {*evaluation["trial"], *training["trial"]}
    curves = [
        _with_note(curve, _incomplete(study, curve.trial, values))
        for curve in shown
        if curve.trial in drawn
    ]
    if not curves:
        return "No learning curves: none of the trials to show has reported a value."
    subtracted = _subtracted(study, curves)
    differences = bands(differences_to(values, subtracted.trial if subtracted else ""))
    note = band_note([evaluation, differences, training], len(curves))
    draw = partial(
        learning_curves,
        evaluation,
        differences,
        training,
        curves,
        metric=axis_label(study.metric),
        other=name,
        reference=subtracted.typeset if subtracted else "",
        note=note,
    )
    caption = f"{metric_label(study.metric)} and {name} over training steps: {_names(curves)}"
    caption += f" ({note})."
    if subtracted and not differences.empty:
        caption += (
            f" Second panel: each minus {subtracted.name}, seed by seed: curves of the same seeds "
            "vary together, so that differences can be seen where the curves themselves coincide."
        )
    if window > 1:
        caption += f" The last panel has running means of {window} steps."
    return FigureEntry("learning_curves", "Learning curves", caption, _trials(curves), draw)


def panels(study: StudyResults) -> FigureEntry | str:
    """Evaluation and training metrics over training, with bands over seeds."""
    shown = curves_to_show(study)
    steps = study.steps_of([curve.trial for curve in shown])
    window = smoothing(steps)
    evaluation = evaluation_curves(study, study.metric)
    evaluation = evaluation[evaluation["trial"].isin([curve.trial for curve in shown])]
    frames = {axis_label(study.metric, 24): bands(evaluation)}
    frames |= {
        label: bands(metric_of(steps, name), window)
        for name, label in (_own_panels(study, steps) if study.function else PANELS).items()
    }
    frames = {label: frame for label, frame in frames.items() if not frame.empty}
    drawn = {trial for frame in frames.values() for trial in frame["trial"]}
    curves = [curve for curve in shown if curve.trial in drawn]
    if len(frames) < 2:
        return "No training panels: no training step has been recorded."
    note = band_note(list(frames.values()), len(curves))
    smoothed = "" if window == 1 else f" Training metrics are means over {window} steps."
    caption = (
        f"{', '.join(label.replace(chr(10), ' ') for label in frames)} over training steps, of "
        f"{_names(curves)} ({note}).{smoothed}"
    )
    if window > 1:
        note += f"; running means of {window} steps"
    return FigureEntry(
        "training_panels",
        "Training metrics",
        caption,
        _trials(curves),
        partial(training_panels, frames, curves, note=note),
    )


def margins(study: StudyResults) -> FigureEntry | str:
    """The logged margin for each schedule and warm-up of the study."""
    longest: dict[tuple[str, float], tuple[int, str, float]] = {}
    for row in study.table.rows:
        found = objective_settings(study.configs.get(row.id, {}), row.params)
        if not found["ratio"] or not found["tau"] or not found["schedule"] or not row.step:
            continue
        alpha = found["alpha"]
        course = str(found["schedule"]), float(alpha) if is_number(alpha) else 0.0
        if row.step > longest.get(course, (0, "", 0.0))[0]:
            longest[course] = row.step, row.id, found["ratio"] * found["tau"]
    courses = sorted(longest)
    every = max(1, -(-len(courses) // _MOST_COURSES))
    chosen = {longest[course][1]: course for course in courses[::every]}
    frame = metric_of(study.steps_of(chosen), "margin")
    targets = {trial: target for _, trial, target in longest.values()}
    if frame.empty:
        return "No margin courses: no trial with a margin has logged it."
    frame["value"] /= frame["trial"].map(targets)
    # All seeds follow the same course; one that skipped a step has no margin there.
    frame = frame.groupby(["trial", "step"])["value"].mean().reset_index()
    names = {
        trial: literal(visible(schedule, 30)) + (f", {setting_is('alpha', alpha)}" if alpha else "")
        for trial, (schedule, alpha) in chosen.items()
        if trial in set(frame["trial"])
    }
    listed = "; ".join(
        visible(f"{schedule}{f', alpha {alpha:.3g}' if alpha else ''} ({trial})")
        for trial, (schedule, alpha) in chosen.items()
        if trial in names
    )
    caption = (
        "The margin m_t over training, as logged, in units of its target M; "
        f"{len(names)} of the study's {counted(len(courses), 'course')}: {listed}. It shows that "
        "the schedules ran as they were set, and is no result."
    )
    draw = partial(margin_courses, frame, names)
    return FigureEntry("margin_courses", "Margin over training", caption, tuple(names), draw)


def scores(study: StudyResults) -> FigureEntry | str:
    """Mean scores of correct and wrong responses over training."""
    shown = curves_to_show(study)
    steps = study.steps_of([curve.trial for curve in shown])
    window = smoothing(steps)
    positive, negative = (
        bands(metric_of(steps, name), window) for name in ("score_positive", "score_negative")
    )
    known = set(positive["trial"]) & set(negative["trial"])
    curves = [curve for curve in shown if curve.trial in known][:_MOST_SCORE_PANELS]
    if not curves:
        return (
            "No scores of correct and wrong responses: none of the trials to show has logged them."
        )
    note = band_note([positive, negative], len(curves))
    note += f"; running means of {window} steps" if window > 1 else ""
    caption = (
        "Mean log-probability per token of the correct and of the wrong responses of a group, "
        f"mean over groups, for {_names(curves)} ({note})."
    )
    draw = partial(score_courses, positive, negative, curves, note=note)
    return FigureEntry(
        "scores", "Scores of correct and wrong responses", caption, _trials(curves), draw
    )


def identity(study: StudyResults) -> FigureEntry | str:
    """The gap between GRPO and its discriminative form on training batches."""
    ran = [row for row in study.table.rows if row.state is not TrialState.WAITING]
    chosen = _spread(ran, _MOST_IDENTITY)
    name = "grpo_identity_gap"
    logged = [
        {"trial": trial, "seed": step["seed"], "step": step["step"], name: step[name]}
        for trial in chosen
        for step in study.step_rows(trial)
        if name in step
    ]
    frame = metric_of(pd.DataFrame(logged), name)
    of = "no trial" if len(chosen) == len(ran) else f"none of {len(chosen)} trials examined"
    if frame.empty:
        return f"No figure of GRPO's identity: {of} has logged {name}."
    trials = tuple(dict.fromkeys(frame["trial"]))
    examined = (
        ""
        if len(chosen) == len(ran)
        else f" Examined: {len(chosen)} of {len(ran)} trials, spread over the search."
    )
    caption = (
        "Largest difference, over the rollouts of a training step, between GRPO's objective and "
        f"its discriminative form (Proposition 1), or of their derivatives: {len(frame)} steps of "
        f"{len(trials)} trials, at most {frame['value'].max():.1e}. Real batches, "
        "every seed; dashed: rounding of 32-bit floats, up to which the two are equal. A check of "
        f"the code, and no result.{examined}"
    )
    return FigureEntry(
        "grpo_identity", "GRPO's identity", caption, trials, partial(identity_gap, frame)
    )


def _spread(rows: Sequence[TrialRow], most: int) -> list[str]:
    """At most so many trials, at even distances in the order of the search, baselines first."""
    chosen = [row.id for row in rows if row.label][:most]
    others = [row.id for row in rows if not row.label]
    room = min(most - len(chosen), len(others))
    return chosen + [others[number * len(others) // room] for number in range(room)]


def _own_panels(study: StudyResults, steps: pd.DataFrame) -> dict[str, str]:
    """The first further metrics that a training function has reported, with their labels."""
    names = [str(name) for name in steps if name not in ("trial", "seed", "step", study.metric)]
    return {name: axis_label(name, 24) for name in names[: len(PANELS)]}


def _other_metric(study: StudyResults, trials: list[str]) -> tuple[str, str]:
    """The training metric beside the study's, and its label."""
    if not study.function:
        return "reward", "training reward"
    own = _own_panels(study, study.steps_of(trials))
    return next(iter(own.items()), ("reward", "no further metric"))


def _subtracted(study: StudyResults, curves: list[Curve]) -> Curve | None:
    """The curve that the others are compared with: that of the best trial's reference."""
    best = study.best
    found = reference_of(study, best) if best and not is_mapped(study) else None
    return next((curve for curve in curves if found and curve.trial == found.id), None)


def _with_note(curve: Curve, note: str) -> Curve:
    return replace(curve, name=curve.name + note, typeset=curve.typeset + note)


def _incomplete(study: StudyResults, trial: str, evaluation: pd.DataFrame) -> str:
    """The note of a curve whose mean lacks some of the trial's seeds; else empty."""
    found = evaluation.loc[evaluation["trial"] == trial, "seed"].nunique()
    planned = len(study.table.row(trial).seeds)
    return f", {found} of {planned} seeds" if 0 < found < planned else ""


def _names(curves: list[Curve]) -> str:
    return "; ".join(curve.name for curve in curves)


def _trials(curves: list[Curve]) -> tuple[str, ...]:
    return tuple(curve.trial for curve in curves)
