"""The result of a study in a few sentences that claim no more than its seeds support."""

from __future__ import annotations

import math
from typing import Any

from analysis.findings.confirmation import Confirmation, confirmation_of
from analysis.findings.confirmation_report import confirmation_lines
from analysis.findings.continuity import change_notes, ran_alike
from analysis.findings.frames import is_number, objective_settings, other_params, setting
from analysis.findings.naming import describe, mean_sd
from analysis.findings.pareto import front_of
from analysis.load.study import StudyResults
from analysis.load.text import metric_label, visible
from analysis.statistics.intervals import PairedDifference, paired_difference
from conspo_study.records import TrialState
from conspo_study.results.table import TrialRow


def summary_lines(study: StudyResults) -> list[str]:
    """What is confirmed, if anything; then counts, accepted changes, the best trial of the search,
    and its difference to training without a margin; then the best compromises of a study with
    several objectives."""
    confirmation = confirmation_of(study)
    lines = confirmation_lines(confirmation) if confirmation else []
    counts = [f"{count} {state}" for state, count in study.table.counts.items() if count]
    lines.append(f"{len(study.table.rows)} trials: {', '.join(counts) or 'none yet'}.")
    lines += change_notes(study)
    if study.problem:
        return [*lines, f"Which trial is best cannot be told: {visible(study.problem, 400)}."]
    best = study.best
    if best is None:
        return [*lines, "No trial has finished with all its seeds: there is no best configuration."]
    lines.append(
        f"Best{' of the search' if confirmation else ''}: {describe(study, best)}: "
        f"{metric_label(study.metric)} {mean_sd(best.values)}."
    )
    reference = no_margin_reference(study, best)
    if reference is None:
        lines.append("No finished trial without a margin to compare it with.")
    elif reference.id == best.id:
        lines.append("The best trial uses no margin.")
    else:
        lines += _comparison(study, best, reference, confirmation)
    return [*lines, *_compromises(study)]


def no_margin_reference(study: StudyResults, row: TrialRow) -> TrialRow | None:
    """The finished trial without a margin that is most like `row`.

    The same tau if there is one, else the nearest; then the fewest other differences, then the
    better value. The trial itself when it has no margin.
    """

    sign = 1.0 if study.direction == "max" else -1.0

    def settings(trial: TrialRow) -> dict[str, Any]:
        return objective_settings(study.configs.get(trial.id, {}), trial.params)

    def distance(trial: TrialRow) -> tuple[bool, float, int, float, str]:
        mine, theirs = settings(row)["tau"], settings(trial)["tau"]
        known = is_number(mine) and is_number(theirs) and min(mine, theirs) > 0
        apart = abs(math.log(mine / theirs)) if known else math.inf
        others = sum(
            setting(study, row, path) != setting(study, trial, path) for path in other_params(study)
        )
        worse = -sign * (trial.value or 0.0)
        return trial.id != row.id, apart, others, worse, trial.id

    candidates = [
        trial
        for trial in study.table.rows
        if trial.state is TrialState.FINISHED
        and not trial.missing_seeds
        and settings(trial)["ratio"] == 0
    ]
    return min(candidates, key=distance, default=None)


def _comparison(
    study: StudyResults, best: TrialRow, reference: TrialRow, confirmation: Confirmation | None
) -> list[str]:
    lines = [
        f"Reference without a margin: {describe(study, reference)}: {mean_sd(reference.values)}."
    ]
    if not ran_alike(study, best, reference):
        lines.append("Between these two the study was changed, which may be their difference.")
    difference = paired_difference(best.values, reference.values)
    if difference is None:
        return [*lines, "The two share no seed, so their difference is not paired."]
    seeds = ", ".join(f"seed {seed} {value:+.3f}" for seed, value in difference.by_seed.items())
    lines.append(f"Paired difference: {difference.mean:+.3f} ({seeds}).")
    return [*lines, _what_it_supports(study, difference, confirmation)]


def _what_it_supports(
    study: StudyResults, difference: PairedDifference, confirmation: Confirmation | None
) -> str:
    n = len(difference.by_seed)
    finished = study.table.counts[TrialState.FINISHED]
    chosen = (
        f"the best of {finished} finished trials was picked by these same numbers, which flatters "
        "it"
    )
    if confirmation is None:
        chosen += ": re-run both on fresh seeds"
    if n < 3 or difference.interval is None:
        count = "One seed does" if n == 1 else "Two seeds do"
        return f"{count} not support a claim about this difference; also, {chosen}."
    interval = difference.interval
    found = f"[{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"95 % t-interval over {n} seeds: {found}; but {chosen}."


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
    lines = [f"Pareto front of {objectives}, means over the seeds of the search:"]
    lines += [
        f"{describe(study, row)}: {', '.join(f'{value:.3f}' for value in values)}"
        for row, values in front
    ]
    return [*lines, "Like the best trial, a front is flattered by having been selected."]
