"""The result of a study in a few sentences that claim no more than its seeds support."""

from __future__ import annotations

import math
from typing import Any

from analysis.findings.accepted_changes import change_notes, ran_alike
from analysis.findings.collapses import collapse_notes
from analysis.findings.confirmation import Confirmation, confirmation_of
from analysis.findings.confirmation_summary import confirmation_lines
from analysis.findings.naming import describe, mean_and_seeds
from analysis.findings.pareto import front_of
from analysis.findings.trial_settings import objective_settings, other_params, setting
from analysis.findings.undecided import undecided_notes
from analysis.load.study import StudyResults
from analysis.load.text import metric_label, visible
from analysis.statistics.intervals import FEWEST_SEEDS, PairedDifference, paired_difference
from analysis.tables.numbers import interval
from conspo_study.records import is_number
from conspo_study.results.strata import chosen_over
from conspo_study.results.table import TrialRow
from conspo_study.text import counted


def summary_lines(study: StudyResults) -> list[str]:
    """The confirmation, if any; then counts, accepted changes, the best search trial and its
    difference to training without a margin, or to the best baseline of a training function; then
    the Pareto front of a study with several objectives, the collapsed seeds, and the trials whose
    values rest on responses without a verdict."""
    confirmation = confirmation_of(study)
    lines = confirmation_lines(confirmation) if confirmation else []
    lines.append(f"{counted(len(study.table.rows), 'trial')}: {study.counts or 'none yet'}.")
    lines += change_notes(study)
    if study.problem:
        return [*lines, f"The best trial is unknown: {visible(study.problem, 400)}."]
    best = study.best
    if best is None:
        return [*lines, "There is no best trial: none has finished with all its seeds."]
    lines.append(
        f"Best {'search ' if confirmation else ''}trial: {describe(study, best)}: "
        f"{metric_label(study.metric)} {mean_and_seeds(best.values)}."
    )
    if not chosen_over(study.definition):  # the best of all strata is compared with none
        lines += _to_reference(study, best, confirmation)
    return [*lines, *_compromises(study), *collapse_notes(study), *undecided_notes(study)]


def _to_reference(
    study: StudyResults, best: TrialRow, confirmation: Confirmation | None
) -> list[str]:
    """The best trial's difference to its reference."""
    reference = reference_of(study, best)
    what = "baseline" if study.function else "trial without a margin"
    if reference is None:
        return [f"There is no finished {what} to compare it with."]
    if reference.id == best.id:
        own = "is a baseline" if study.function else "uses no margin"
        return [f"The best trial {own}."]
    return _comparison(study, best, reference, confirmation)


def reference_of(study: StudyResults, best: TrialRow) -> TrialRow | None:
    """The finished trial that the best one is compared with: one without a margin, or the best
    baseline of a study of a training function; None without one."""
    if not study.function:
        return no_margin_reference(study, best)
    sign = 1.0 if study.direction == "max" else -1.0
    baselines = [
        row
        for row in study.table.rows
        if row.label and row.state.has_result and not row.missing_seeds
    ]
    return max(baselines, key=lambda row: sign * (row.value or 0.0), default=None)


def no_margin_reference(study: StudyResults, row: TrialRow) -> TrialRow | None:
    """The finished trial without a margin that is most like `row`.

    The same tau if there is one, else the nearest; then the fewest other differences, then the
    better value. The trial itself when it has no margin.
    """
    sign = 1.0 if study.direction == "max" else -1.0

    def settings(trial: TrialRow) -> dict[str, Any]:
        return objective_settings(study.configs.get(trial.id, {}), trial.params)

    def distance(trial: TrialRow) -> tuple[bool, float, int, float, str]:
        tau, other = settings(row)["tau"], settings(trial)["tau"]
        known = is_number(tau) and is_number(other) and min(tau, other) > 0
        apart = abs(math.log(tau / other)) if known else math.inf
        others = sum(
            setting(study, row, path) != setting(study, trial, path) for path in other_params(study)
        )
        worse = -sign * (trial.value or 0.0)
        return trial.id != row.id, apart, others, worse, trial.id

    candidates = [
        trial
        for trial in study.table.rows
        if trial.state.has_result and not trial.missing_seeds and settings(trial)["ratio"] == 0
    ]
    return min(candidates, key=distance, default=None)


def _comparison(
    study: StudyResults, best: TrialRow, reference: TrialRow, confirmation: Confirmation | None
) -> list[str]:
    name = "Best baseline" if study.function else "Baseline without a margin"
    lines = [f"{name}: {describe(study, reference)}: {mean_and_seeds(reference.values)}."]
    if not ran_alike(study, best, reference):
        lines.append(
            "The study was changed between these two trials, which may explain a difference."
        )
    difference = paired_difference(best.values, reference.values)
    if difference is None:
        return [*lines, "The two share no seed, so their difference is not paired."]
    seeds = ", ".join(f"seed {seed} {value:+.3f}" for seed, value in difference.by_seed.items())
    lines.append(f"Paired difference: {difference.mean:+.3f} ({seeds}).")
    return [*lines, _support(study, difference, confirmation)]


def _support(
    study: StudyResults, difference: PairedDifference, confirmation: Confirmation | None
) -> str:
    n = len(difference.by_seed)
    finished = counted(study.table.with_result, "finished trial")
    selected = (
        f"The best of {finished} was selected by these same values, which biases them in its favour"
    )
    if confirmation is None:
        selected += ": run both again on fresh seeds"
    found = difference.interval
    if n < FEWEST_SEEDS or found is None:
        verb = "does" if n == 1 else "do"
        return f"{counted(n, 'seed')} {verb} not support a claim about this difference. {selected}."
    ends = interval(found.low, found.high, "+.3f")
    return f"95 % CI of the difference over {n} seeds: {ends}. {selected}."


def _compromises(study: StudyResults) -> list[str]:
    front = front_of(study)
    if not front:
        return []
    aims = study.definition["also"]
    names = [study.metric, *(aim["metric"] for aim in aims)]
    directions = [study.direction, *(aim["direction"] for aim in aims)]
    objectives = ", ".join(
        visible(f"{metric_label(name)} ({direction})")
        for name, direction in zip(names, directions, strict=True)
    )
    lines = [f"Pareto front of {objectives}, means over the search seeds:"]
    lines += [
        f"{describe(study, row)}: {', '.join(f'{value:.3f}' for value in values)}"
        for row, values in front
    ]
    return [
        *lines,
        "Like the best trial, the front was selected by these same values, which biases them in "
        "its favour.",
    ]
