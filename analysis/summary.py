"""The result of a study in a few sentences that claim no more than its seeds support."""

from __future__ import annotations

import math

from analysis.frames import objective_settings, other_params, setting
from analysis.load import StudyResults
from analysis.stats import PairedDifference, paired_difference
from analysis.text import metric_label, visible
from conspo_study.records import TrialState
from conspo_study.results.table import TrialRow


def summary_lines(study: StudyResults) -> list[str]:
    """Counts, the best trial, and its difference to training without a margin."""
    counts = [f"{count} {state}" for state, count in study.table.counts.items() if count]
    lines = [f"{len(study.table.rows)} trials: {', '.join(counts) or 'none yet'}."]
    best = study.best
    if best is None:
        return [*lines, "No trial has finished with all its seeds: there is no best configuration."]
    metric = metric_label(study.metric)
    lines.append(f"Best: {describe(study, best)}: {metric} {_mean_sd(best)}.")
    reference = no_margin_reference(study, best)
    if reference is None:
        lines.append("No finished trial without a margin to compare it with.")
    elif reference.id == best.id:
        lines.append("The best trial uses no margin.")
    else:
        lines += _comparison(study, best, reference)
    return lines


def describe(study: StudyResults, row: TrialRow) -> str:
    """`t0007 (tau 0.3, M/tau 5, cosine, alpha 0.3)`, or `t0000 (paper)` for a named anchor."""
    if row.label:
        return visible(f"{row.id} ({row.label})")
    settings = objective_settings(study.configs.get(row.id, {}), row.params)
    parts = []
    if settings["tau"] is None:
        parts += [str(settings["objective"])] if settings["objective"] else []
    else:
        parts.append(f"tau {settings['tau']:g}")
    if settings["ratio"] == 0:
        parts.append("no margin")
    elif settings["ratio"] is not None:
        parts += [f"M/tau {settings['ratio']:g}", str(settings["schedule"])]
        parts += [f"alpha {settings['alpha']:g}"] if settings["alpha"] is not None else []
    parts += [f"{path} {setting(study, row, path)}" for path in other_params(study)]
    return visible(f"{row.id} ({', '.join(parts)})" if parts else row.id)


def no_margin_reference(study: StudyResults, row: TrialRow) -> TrialRow | None:
    """The finished trial without a margin that is most like `row`.

    The same tau if there is one, else the nearest; then the fewest other differences, then the
    better value. The trial itself when it has no margin.
    """

    sign = 1.0 if study.direction == "max" else -1.0

    def settings(trial: TrialRow) -> dict[str, object]:
        return objective_settings(study.configs.get(trial.id, {}), trial.params)

    def distance(trial: TrialRow) -> tuple[bool, float, int, float, str]:
        mine, theirs = settings(row)["tau"], settings(trial)["tau"]
        known = isinstance(mine, int | float) and isinstance(theirs, int | float)
        apart = abs(math.log(mine / theirs)) if known else math.inf  # type: ignore[operator]
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


def _comparison(study: StudyResults, best: TrialRow, reference: TrialRow) -> list[str]:
    lines = [f"Reference without a margin: {describe(study, reference)}: {_mean_sd(reference)}."]
    difference = paired_difference(best.values, reference.values)
    if difference is None:
        return [*lines, "The two share no seed, so their difference is not paired."]
    seeds = ", ".join(f"seed {seed} {value:+.3f}" for seed, value in difference.by_seed.items())
    lines.append(f"Paired difference: {difference.mean:+.3f} ({seeds}).")
    return [*lines, _what_it_supports(study, difference)]


def _what_it_supports(study: StudyResults, difference: PairedDifference) -> str:
    n = len(difference.by_seed)
    finished = study.table.counts[TrialState.FINISHED]
    chosen = (
        f"the best of {finished} finished trials was picked by these same numbers, which flatters "
        "it: re-run both on fresh seeds"
    )
    if n < 3 or difference.interval is None:
        count = "One seed does" if n == 1 else "Two seeds do"
        return f"{count} not support a claim about this difference; also, {chosen}."
    interval = difference.interval
    found = f"[{interval.low:+.3f}, {interval.high:+.3f}]"
    return f"95 % t-interval over {n} seeds: {found}; but {chosen}."


def _mean_sd(row: TrialRow) -> str:
    n = len(row.values)
    seeds = f"n = {n} seed{'s' if n != 1 else ''}"
    if row.spread is None:
        return f"{row.value:.3f} ({seeds})"
    return f"{row.value:.3f} ± {row.spread:.3f} (mean ± sd, {seeds})"
