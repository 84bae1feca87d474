"""Figures that compare the methods and objectives of a study."""

from __future__ import annotations

from functools import partial

from analysis.figures.data_methods import method_frame, pass_curves
from analysis.figures.data_training import credits_frame, curve_of, curves_to_show
from analysis.figures.draw_methods import MOST_PASS_BANDS, method_comparison, pass_at_k
from analysis.figures.draw_objective import credit_against_score
from analysis.figures.entry import FigureEntry
from analysis.figures.legends import seed_range
from analysis.findings.measured import labelled, measured
from analysis.load.published import BASE
from analysis.load.study import StudyResults, StudyUnreadable
from analysis.load.text import visible
from conspo_study.results.names import CREDITS
from conspo_study.results.table import TrialRow

_MOST_CREDIT_PANELS = 6
_MOST_PASS_CURVES = 6


def methods(study: StudyResults) -> FigureEntry | str:
    """Methods with intervals; from confirmations where there are some."""
    confirmed = _finished(study.table.confirmations)
    rows = confirmed if len(confirmed) > 1 else _finished(study.table.rows, named=True)
    if len(rows) < 2:
        return "No comparison of methods: fewer than two labelled trials have finished."
    try:
        found = measured(labelled(study, rows))
    except StudyUnreadable:
        raise
    except ValueError as error:
        return f"No comparison of methods: {visible(str(error))}."
    rated = method_frame(found)
    before = rated.loc[rated["method"] == BASE, "value"]
    frame = rated[rated["method"] != BASE]
    if len(frame) < 2:
        return "No comparison of methods: fewer than two have stored evaluations."
    stage = "confirmation runs on fresh seeds" if rows is confirmed else "labelled search trials"
    reasons = sorted(set(frame["no_interval"]) - {""})
    absent = f" No interval: {'; '.join(reasons)}." if reasons else ""
    several = f", mean over {len(found.benchmarks)} problem sets"
    on = several if len(found.benchmarks) > 1 else f" on {visible(found.benchmarks[0])}"
    metric = f"{found.metric}{on} ({found.split})"
    caption = (
        f"{metric}, of {stage}, best on top: mean and 95 % bootstrap CI over seeds and "
        f"problems, and the mean of each seed.{absent} Intervals of single methods, not of "
        "differences: two that overlap may still differ."
    )
    trials = tuple(row.id for row in rows)
    draw = partial(
        method_comparison,
        frame,
        metric=metric,
        initial=None if before.empty else float(before.iloc[0]),
    )
    return FigureEntry("methods", "Methods", caption, trials, draw)


def pass_at(study: StudyResults) -> FigureEntry | str:
    """pass@k at the last step, for all k that the stored samples allow."""
    curves = [
        curve for curve in curves_to_show(study) if study.table.row(curve.trial).state.has_result
    ][:_MOST_PASS_CURVES]
    frame = pass_curves(study, [curve.trial for curve in curves])
    if frame["k"].nunique() < 2:
        return "No pass@k curves: no finished trial has several stored samples of each problem."
    curves = [curve for curve in curves if curve.trial in set(frame["trial"])]
    counts = frame.groupby("trial")["seed"].nunique()
    banded = counts.max() > 1 and len(curves) <= MOST_PASS_BANDS
    caption = (
        "Unbiased pass@k, the chance that one of k samples is right, at the last step against k: "
        f"mean over {seed_range(counts)} seeds"
        + (" (band: ± 1 SD)" if banded else "")
        + ", a panel per problem set, in the order of the study: "
        f"{'; '.join(curve.name for curve in curves)}."
    )
    trials = tuple(curve.trial for curve in curves)
    return FigureEntry("pass_at_k", "pass@k", caption, trials, partial(pass_at_k, frame, curves))


def credits(study: StudyResults) -> FigureEntry | str:
    """Credit against score, figure 2 of the paper, from stored credits."""
    shown = [
        *curves_to_show(study),
        *(curve_of(study, row) for row in study.table.rows),
    ]
    stored = {
        curve.trial: curve
        for curve in reversed(shown)
        if (study.trial_folder(curve.trial) / CREDITS).is_file()
    }
    order = list(dict.fromkeys(curve.trial for curve in shown if curve.trial in stored))
    frame = credits_frame(study, order[:_MOST_CREDIT_PANELS])
    if frame.empty:
        return "No figure of credit: no credits are stored (update.store_credits_every is 0)."
    curves = [stored[trial] for trial in order if trial in set(frame["trial"])]
    steps = frame.groupby("trial")["step"].nunique()
    caption = (
        "Credit dJ/ds of each rollout, times the number of groups of its batch, against its score "
        "(mean log-probability per token), for the correct and the wrong rollouts of up to "
        f"{steps.max()} stored training steps and all seeds: "
        f"{'; '.join(curve.name for curve in curves)}. Scales of the vertical axes differ."
    )
    draw = partial(credit_against_score, frame, curves)
    trials = tuple(curve.trial for curve in curves)
    return FigureEntry("credit_against_score", "Credit and score", caption, trials, draw)


def _finished(rows: tuple[TrialRow, ...], named: bool = False) -> list[TrialRow]:
    return [row for row in rows if row.state.has_result and (bool(row.label) or not named)]
